//! What the device shows so that a tablet can be paired.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use qrcode::{Color, QrCode};
use sonotap::Canvas;

use crate::authority::Authority;

/// Modules of quiet around a QR code.
const QUIET: usize = 4;

/// Address, PIN and QR code of an open pairing.
///
/// ```
/// # let remote = sonotap_remote::Remote::new(sonotap_remote::RemoteConfig {
/// #     address: "127.0.0.1:0".parse().unwrap(),
/// #     ..Default::default()
/// # })?;
/// let card = remote.open_pairing()?;
/// assert!(card.address().starts_with("http://127.0.0.1:"));
/// assert_eq!(card.pin().len(), 6);
/// assert!(card.to_text().contains(card.pin()));
/// # Ok::<(), sonotap::Error>(())
/// ```
#[derive(Clone)]
pub struct PairingCard {
    address: String,
    pin: String,
    fingerprint: Option<String>,
    code: Option<QrCode>,
}

impl PairingCard {
    pub(crate) fn new(own: SocketAddr, pin: String, token: &str, authority: Option<&Authority>) -> Self {
        let address = address_of(own, authority.is_some());
        // In the fragment: a browser sends it to nobody.
        let code = QrCode::new(format!("{address}#{token}").as_bytes()).ok();
        Self { address, pin, fingerprint: authority.map(Authority::fingerprint), code }
    }

    /// What is typed into the browser.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Six digits.
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// With TLS, the SHA-256 of the authority's certificate, to compare with what the tablet shows before it is taken in.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The QR code, black on white with its margin, `scale` px a module; empty when there is none.
    pub fn to_canvas(&self, scale: u32) -> Canvas {
        let rows = self.rows();
        let scale = scale.max(1);
        let side = rows.len() as u32 * scale;
        let mut canvas = Canvas::new(side, side);
        for (i, pixel) in canvas.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (i as u32 % side / scale, i as u32 / side / scale);
            *pixel = if rows[y as usize][x as usize] { 0 } else { 0x00FF_FFFF };
        }
        canvas
    }

    /// Address, PIN and QR code as text for a terminal with dark or light letters.
    pub fn to_text(&self) -> String {
        let mut text = format!("Tablet: open {} and type {}, or scan:\n", self.address, self.pin);
        if let Some(fingerprint) = &self.fingerprint {
            text += &format!("Its authority is at {}authority.crt, SHA-256 {fingerprint}\n", self.address);
        }
        for pair in self.rows().chunks(2) {
            for (x, &top) in pair[0].iter().enumerate() {
                let bottom = pair.get(1).is_some_and(|row| row[x]);
                // The light modules are drawn, as most terminals are dark.
                text.push(match (top, bottom) {
                    (false, false) => '\u{2588}',
                    (false, true) => '\u{2580}',
                    (true, false) => '\u{2584}',
                    (true, true) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }

    /// Rows of modules with their margin; `true` is dark.
    fn rows(&self) -> Vec<Vec<bool>> {
        let Some(code) = &self.code else { return Vec::new() };
        let width = code.width();
        let is_dark = |x: usize, y: usize| {
            let inside = |v: usize| v.checked_sub(QUIET).filter(|v| *v < width);
            matches!((inside(x), inside(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
        };
        let side = width + 2 * QUIET;
        (0..side).map(|y| (0..side).map(|x| is_dark(x, y)).collect()).collect()
    }
}

fn address_of(own: SocketAddr, is_tls: bool) -> String {
    let ip = match own.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => outward(Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9").unwrap_or(Ipv4Addr::LOCALHOST.into()),
        ip @ IpAddr::V6(_) => outward(ip, "[2001:db8::1]:9").unwrap_or(ip),
    };
    let host = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let (scheme, usual_port) = if is_tls { ("https", 443) } else { ("http", 80) };
    match own.port() {
        port if port == usual_port => format!("{scheme}://{host}/"),
        port => format!("{scheme}://{host}:{port}/"),
    }
}

/// The address under which we would speak to others. Nothing is sent: connecting a datagram socket only chooses a route.
fn outward(from: IpAddr, towards: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect(towards).ok()?;
    socket.local_addr().ok().map(|a| a.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_and_text_show_the_same_modules_with_a_margin() {
        let token = "0123456789abcdef0123456789abcdef";
        let card = PairingCard::new("192.168.7.1:80".parse().unwrap(), "123456".into(), token, None);
        assert_eq!(card.address(), "http://192.168.7.1/");
        let rows = card.rows();
        let (canvas, side) = (card.to_canvas(3), rows.len() as u32);
        assert_eq!(canvas.width(), side * 3);
        assert!(rows[..QUIET].iter().flatten().all(|dark| !dark), "no margin");
        assert!(rows[QUIET][QUIET..QUIET + 7].iter().all(|dark| *dark), "no finder pattern");
        for (y, row) in rows.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                let pixel = canvas.get(x as u32 * 3 + 1, y as u32 * 3 + 1);
                assert_eq!(pixel, Some(if *dark { 0 } else { 0x00FF_FFFF }), "{x}, {y}");
            }
        }
        assert!(card.to_text().contains("192.168.7.1/ and type 123456"));
        assert!(!card.to_text().contains(token), "the token is for cameras");
    }
}
