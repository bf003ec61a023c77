//! The listener, its connections, and what each address answers.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sonotap::{Error, ErrorKind, Phase, Result};

use crate::access::{Claim, Refusal, ViewerId};
use crate::authority::Authority;
use crate::channel::{Channel, NoTls};
use crate::http::{Answer, Method, NoRequest, Request, Requests, begin_stream};
use crate::hub::{Dead, FINGERS, Hub, Next, TabletTouch};
use crate::wire;

/// Connections at a time; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 32;
/// Connections of one address at a time. A browser keeps six.
const CONNECTIONS_OF_ONE: usize = 12;
/// How long a connection may say nothing, of one who is not paired, and of one who is.
const IDLE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// Contacts in one request.
const TOUCHES_MAX: usize = 64;
/// A tablet's picture has at most so many px, and px a side; a larger one is shown enlarged.
const PIXELS_MAX: f32 = 1_000_000.0;
const SIDE_MAX: f32 = 1600.0;
const SIDE_MIN: f32 = 64.0;
const DPI: std::ops::RangeInclusive<f32> = 40.0..=800.0;
/// A TLS handshake takes at most so long.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Where the certificate of the authority is; whoever asks may have it.
const CERTIFICATE: &str = "/authority.crt";
/// The cookie of a session.
const COOKIE: &str = "sonotap";

const PAGE: [(&str, &str, &[u8]); 5] = [
    ("/", "text/html; charset=utf-8", include_bytes!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("page/page.js")),
    ("/manifest.webmanifest", "application/manifest+json", include_bytes!("page/manifest.webmanifest")),
    ("/icon.png", "image/png", include_bytes!("page/icon.png")),
];

/// An open connection.
struct Connection {
    number: u64,
    peer: IpAddr,
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

/// The connections, and how they are looked after.
struct Shared {
    hub: Arc<Hub>,
    names: Vec<String>,
    authority: Option<Arc<Authority>>,
    connections: Mutex<Vec<Connection>>,
    is_closed: AtomicBool,
}

/// A listener and its threads. Dropping it closes all of them.
pub(crate) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// `Unavailable` when the address is in use or not ours, or no thread can be had.
    pub(crate) fn start(
        hub: Arc<Hub>,
        address: SocketAddr,
        names: Vec<String>,
        authority: Option<Arc<Authority>>,
    ) -> Result<Self> {
        let failed = |what: &str, e: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("remote screen: {address}: {what}: {e}"))
        };
        let listener = TcpListener::bind(address).map_err(|e| failed("cannot be listened to", e))?;
        let address = listener.local_addr().map_err(|e| failed("has no address", e))?;
        let shared = Arc::new(Shared {
            hub,
            names,
            authority,
            connections: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        let acceptor = std::thread::Builder::new()
            .name("remote-accept".into())
            .spawn(move || accept(&listener, &of_thread))
            .map_err(|e| failed("no thread", e))?;
        Ok(Self { shared, address, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Release);
        // The acceptor waits for a connection: it gets one.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(match own.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let is_woken = TcpStream::connect_timeout(&own, Duration::from_secs(1)).is_ok();
        let connections = std::mem::take(&mut *self.shared.lock());
        for connection in &connections {
            drop(connection.stream.shutdown(Shutdown::Both));
        }
        for thread in connections.into_iter().filter_map(|c| c.thread).chain(self.acceptor.take().filter(|_| is_woken))
        {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a place for a connection from there.
    fn has_place(&self, peer: IpAddr) -> bool {
        let connections = self.lock();
        connections.len() < CONNECTIONS_MAX
            && connections.iter().filter(|c| c.peer == peer).count() < CONNECTIONS_OF_ONE
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut number = 0;
    loop {
        let accepted = listener.accept();
        if shared.is_closed.load(Ordering::Acquire) {
            return;
        }
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, say: connections that end give some back.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        let (Ok(kept), Ok(())) = (stream.try_clone(), stream.set_nodelay(true)) else { continue };
        if !shared.has_place(peer.ip()) {
            shared.hub.refused();
            continue;
        }
        number += 1;
        let mut connections = shared.lock();
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name(format!("remote-{number}")).spawn(move || {
            serve(&stream, &of_thread);
            of_thread.lock().retain(|c| c.number != number);
        });
        match thread {
            Ok(thread) => {
                connections.push(Connection { number, peer: peer.ip(), stream: kept, thread: Some(thread) });
            }
            Err(e) => log::warn!("remote screen: no thread for a connection: {e}"),
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let Ok(own) = stream.local_addr() else { return };
    let Some(authority) = &shared.authority else { return converse(&mut Channel::plain(stream), shared, own) };
    let config = match authority.config(own.ip(), &shared.names) {
        Ok(config) => config,
        Err(e) => return log::error!("{e}"),
    };
    match Channel::tls(stream, config, HANDSHAKE_TIME) {
        Ok(mut channel) => converse(&mut channel, shared, own),
        Err(NoTls::Plain) => {
            shared.hub.refused();
            let mut channel = Channel::plain(stream);
            // What is not read when it closes would make it close before the answer is there.
            drop(Requests::new().next(&mut channel, HANDSHAKE_TIME));
            drop(Answer::text(400, "this screen is at https://, not at http://\n").send(&mut channel, false));
        }
        Err(NoTls::Gone) => shared.hub.refused(),
    }
}

fn converse(channel: &mut Channel, shared: &Shared, own: SocketAddr) {
    let hub = &shared.hub;
    let mut requests = Requests::new();
    let mut is_paired = false;
    loop {
        let request = match requests.next(channel, IDLE[usize::from(is_paired)]) {
            Ok(request) => request,
            Err(NoRequest::Gone) => return,
            Err(NoRequest::Refused(status)) => {
                hub.refused();
                drop(Answer::text(status, "refused\n").send(channel, false));
                return;
            }
        };
        if shared.is_closed.load(Ordering::Acquire) {
            return;
        }
        let viewer = request.cookie(COOKIE).and_then(|c| hub.access(|access, _| access.viewer(c)));
        is_paired |= viewer.is_some();
        let is_good = match may_ask(&request, own, shared) {
            false => refuse(channel, hub, 403, "this address or page may not ask\n"),
            true if request.method == Method::Get && request.path == "/frames" => {
                let Some(viewer) = viewer else {
                    drop(refuse(channel, hub, 403, "not paired\n"));
                    return;
                };
                stream_to(channel, hub, viewer);
                return;
            }
            true => answer(channel, shared, &request, viewer),
        };
        if is_good.is_err() {
            return;
        }
    }
}

/// Whether the request names us as its host, and comes from our own page where it changes anything.
fn may_ask(request: &Request, own: SocketAddr, shared: &Shared) -> bool {
    let (scheme, usual_port) = if shared.authority.is_some() { ("https://", 443) } else { ("http://", 80) };
    let is_port = |port: Option<&str>| match port {
        Some(port) => port.parse() == Ok(own.port()),
        None => own.port() == usual_port,
    };
    let host = request.host.as_str();
    // [::1]:8080, ::1 in brackets alone, or 10.0.0.1:8080.
    let (name, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, rest.strip_prefix(':').or(Some(""))),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_address = name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == own.ip().to_canonical());
    let is_name = shared.names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let is_loopback = own.ip().to_canonical().is_loopback() && name.eq_ignore_ascii_case("localhost");
    if !is_port(port) || !(is_address || is_name || is_loopback) {
        return false;
    }
    let is_foreign = |site: &str| !matches!(site, "same-origin" | "none");
    let is_own_page = ["/", CERTIFICATE].contains(&request.path.as_str()) && request.method == Method::Get;
    if !is_own_page && request.fetch_site.as_deref().is_some_and(is_foreign) {
        return false;
    }
    let origin = request.origin.as_deref();
    match request.method {
        Method::Get => true,
        Method::Post => origin.and_then(|o| o.strip_prefix(scheme)) == Some(host),
    }
}

fn refuse(channel: &mut Channel, hub: &Hub, status: u16, why: &str) -> std::io::Result<()> {
    hub.refused();
    Answer::text(status, why).send(channel, true)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairBody {
    token: Option<String>,
    pin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenBody {
    picture: u64,
    sent_ms: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactBody {
    sent_ms: f64,
    contacts: Vec<ContactEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactEvent {
    frame: u64,
    picture: u64,
    finger: u8,
    phase: PhaseWord,
    x: f32,
    y: f32,
    time_ms: f64,
    size_mm: Option<f32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PhaseWord {
    Down,
    Move,
    Up,
    Cancel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PressBody {
    press: String,
    at: Option<f32>,
    sent_ms: f64,
    time_ms: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenBody {
    width: f32,
    height: f32,
    dpi: f32,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ControlBody {
    Ask,
    Give,
    Keep,
}

fn answer(channel: &mut Channel, shared: &Shared, request: &Request, viewer: Option<ViewerId>) -> std::io::Result<()> {
    let hub = &*shared.hub;
    let bad = |channel: &mut Channel| refuse(channel, hub, 400, "this body is not understood\n");
    if request.method == Method::Get {
        if let Some(authority) = shared.authority.as_ref().filter(|_| request.path == CERTIFICATE) {
            let body = authority.certificate();
            return Answer { status: 200, kind: "application/x-x509-ca-cert", more: "", body }.send(channel, true);
        }
        return match PAGE.iter().find(|(path, ..)| *path == request.path) {
            Some((_, kind, body)) => Answer { status: 200, kind, more: "", body }.send(channel, true),
            None => refuse(channel, hub, 404, "there is nothing here\n"),
        };
    }
    if request.path == "/pair" {
        let Some(body) = parse::<PairBody>(&request.body) else { return bad(channel) };
        return match (&body.token, &body.pin) {
            (Some(token), None) => pair(channel, shared, Claim::Token(token)),
            (None, Some(pin)) => pair(channel, shared, Claim::Pin(pin)),
            _ => bad(channel),
        };
    }
    let Some(viewer) = viewer else { return refuse(channel, hub, 403, "not paired\n") };
    match request.path.as_str() {
        "/seen" => {
            let Some(body) = parse::<SeenBody>(&request.body) else { return bad(channel) };
            hub.seen(viewer, body.picture, body.sent_ms);
            let time = format!("Sonotap-Time-Us: {}\r\n", hub.now_us());
            Answer { more: &time, ..Answer::text(204, "") }.send(channel, true)
        }
        "/contact" => {
            let Some(body) = parse::<ContactBody>(&request.body) else { return bad(channel) };
            let Some(touches) = touches_of(&body) else { return bad(channel) };
            told(channel, hub, hub.touch(viewer, body.sent_ms, &touches))
        }
        "/press" => {
            let Some(body) = parse::<PressBody>(&request.body) else { return bad(channel) };
            let Some(control) = wire::control(&body.press, body.at) else { return bad(channel) };
            told(channel, hub, hub.press(viewer, control, body.sent_ms, body.time_ms))
        }
        "/screen" => {
            let Some((size, dpi)) = parse::<ScreenBody>(&request.body).and_then(|b| fitted(&b)) else {
                return bad(channel);
            };
            told(channel, hub, hub.want(viewer, size, dpi))
        }
        "/control" => {
            let Some(body) = parse::<ControlBody>(&request.body) else { return bad(channel) };
            hub.change_control(|access, now| match body {
                ControlBody::Ask => access.ask(viewer, now),
                ControlBody::Give => drop(access.answer(viewer, true)),
                ControlBody::Keep => drop(access.answer(viewer, false)),
            });
            Answer::text(204, "").send(channel, true)
        }
        _ => refuse(channel, hub, 404, "there is nothing here\n"),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn told(channel: &mut Channel, hub: &Hub, outcome: std::result::Result<(), Dead>) -> std::io::Result<()> {
    match outcome {
        Ok(()) => Answer::text(204, "").send(channel, true),
        Err(Dead::NotYours) => refuse(channel, hub, 403, "another tablet controls\n"),
        Err(Dead::Stale) => refuse(channel, hub, 409, "that picture is not on the screen any more\n"),
        Err(Dead::Busy) => refuse(channel, hub, 429, "too much is waiting\n"),
    }
}

fn pair(channel: &mut Channel, shared: &Shared, claim: Claim) -> std::io::Result<()> {
    let hub = &*shared.hub;
    match hub.access(|access, now| access.pair(claim, now)) {
        Ok((viewer, cookie)) => {
            log::info!("remote screen: viewer {viewer} is paired");
            let secure = if shared.authority.is_some() { "; Secure" } else { "" };
            let cookie = format!("Set-Cookie: {COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}\r\n");
            Answer { more: &cookie, ..Answer::text(204, "") }.send(channel, true)
        }
        Err(why) => {
            log::warn!("remote screen: a tablet is not paired: {why:?}");
            let words = match why {
                Refusal::Closed => "pairing is not open: press the button on the device\n".to_owned(),
                Refusal::Wrong(0) => "wrong; pairing is closed: press the button on the device\n".to_owned(),
                Refusal::Wrong(left) => format!("wrong; {left} tries left\n"),
                Refusal::Full => "as many tablets are paired as may be\n".to_owned(),
                Refusal::NoRandomness => "the device has no randomness\n".to_owned(),
            };
            refuse(channel, hub, 403, &words)
        }
    }
}

fn touches_of(body: &ContactBody) -> Option<Vec<TabletTouch>> {
    if body.contacts.len() > TOUCHES_MAX || !body.sent_ms.is_finite() {
        return None;
    }
    let touch = |c: &ContactEvent| {
        let is_good = [c.x, c.y, c.size_mm.unwrap_or(0.0)].iter().all(|v| v.is_finite()) && c.time_ms.is_finite();
        (is_good && usize::from(c.finger) < FINGERS).then_some(TabletTouch {
            finger: c.finger,
            phase: match c.phase {
                PhaseWord::Down => Phase::Down,
                PhaseWord::Move => Phase::Move,
                PhaseWord::Up => Phase::Up,
                PhaseWord::Cancel => Phase::Cancel,
            },
            at: (c.x, c.y),
            size_mm: c.size_mm,
            time_ms: c.time_ms,
            picture: c.picture,
            frame: c.frame,
        })
    };
    body.contacts.iter().map(touch).collect()
}

/// The size in which a tablet's picture is composed, and its px per inch then; `None` for a size that cannot be.
fn fitted(body: &ScreenBody) -> Option<((u32, u32), f32)> {
    let ScreenBody { width, height, dpi } = *body;
    let fits = |v: f32| v.is_finite() && (SIDE_MIN..=20_000.0).contains(&v);
    if !fits(width) || !fits(height) || !dpi.is_finite() {
        return None;
    }
    let k = (PIXELS_MAX / (width * height)).sqrt().min(SIDE_MAX / width.max(height)).min(1.0);
    let dpi = dpi * k;
    let size = ((width * k).floor(), (height * k).floor());
    (size.0 >= SIDE_MIN && size.1 >= SIDE_MIN && DPI.contains(&dpi)).then_some(((size.0 as u32, size.1 as u32), dpi))
}

fn stream_to(channel: &mut Channel, hub: &Hub, viewer: ViewerId) {
    let number = hub.begin_stream(viewer);
    let mut is_open = begin_stream(channel).is_ok();
    while is_open {
        let sent = match hub.next(number) {
            Next::End => break,
            Next::Beat(newest, flags) => channel.write_all(&wire::beat(flags, newest, hub.now_us())),
            Next::Picture(encoded, flags) => {
                let age = u64::try_from(encoded.age(Instant::now()).as_micros()).unwrap_or(u64::MAX);
                let (number, frame) = (encoded.number, encoded.frame);
                let len = encoded.jpeg.len();
                let head = wire::picture_head(flags, number, frame, age, hub.now_us(), &encoded.words, len);
                channel.write_all(&head).and_then(|()| channel.write_all(&encoded.jpeg))
            }
        };
        is_open = sent.is_ok();
    }
    hub.end_stream(viewer, number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str, host: &str, origin: Option<&str>, site: Option<&str>) -> Request {
        Request {
            method,
            path: path.into(),
            host: host.into(),
            origin: origin.map(Into::into),
            fetch_site: site.map(Into::into),
            cookies: String::new(),
            body: Vec::new(),
        }
    }

    #[test]
    fn only_our_own_addresses_are_our_host_and_only_our_own_page_may_post() {
        let shared = |authority: Option<Arc<Authority>>| Shared {
            hub: Arc::new(Hub::new(1, Duration::from_secs(1))),
            names: vec!["probe.local".to_owned()],
            authority,
            connections: Mutex::new(Vec::new()),
            is_closed: AtomicBool::new(false),
        };
        let plain = shared(None);
        let own: SocketAddr = "192.168.7.1:8080".parse().unwrap();
        let is = |host: &str, origin: Option<&str>, site: Option<&str>| {
            may_ask(&request(Method::Post, "/seen", host, origin, site), own, &plain)
        };
        assert!(is("192.168.7.1:8080", Some("http://192.168.7.1:8080"), Some("same-origin")));
        assert!(is("probe.local:8080", Some("http://probe.local:8080"), None));
        for (host, origin, site) in [
            ("192.168.7.1:8080", None, None),
            ("192.168.7.1:8080", Some("null"), None),
            ("192.168.7.1:8080", Some("http://evil.example"), None),
            ("192.168.7.1:8080", Some("https://192.168.7.1:8080"), None),
            ("192.168.7.1:8080", Some("http://192.168.7.1:8080"), Some("cross-site")),
            ("192.168.7.1:8080", Some("http://192.168.7.1:8080"), Some("same-site")),
            ("evil.example:8080", Some("http://evil.example:8080"), Some("same-origin")),
            ("192.168.7.2:8080", Some("http://192.168.7.2:8080"), None),
            ("192.168.7.1:81", Some("http://192.168.7.1:81"), None),
            ("192.168.7.1", Some("http://192.168.7.1"), None),
            ("localhost:8080", Some("http://localhost:8080"), None),
            ("", Some("http://"), None),
            ("[192.168.7.1]x:8080", Some("http://[192.168.7.1]x:8080"), None),
        ] {
            assert!(!is(host, origin, site), "{host} {origin:?} {site:?}");
        }
        let six: SocketAddr = "[::1]:80".parse().unwrap();
        let get = |host: &str, path: &str, site| may_ask(&request(Method::Get, path, host, None, site), six, &plain);
        assert!(get("[::1]", "/", Some("cross-site")), "a link from elsewhere opens the page");
        assert!(!get("[::1]", "/frames", Some("cross-site")));
        assert!(get("localhost", "/frames", Some("same-origin")) && get("[::1]:80", "/frames", None));
        let tls = shared(Some(Arc::new(Authority::new(&[]).unwrap())));
        let by_tls = |host: &str, origin: &str, own: SocketAddr| {
            may_ask(&request(Method::Post, "/seen", host, Some(origin), Some("same-origin")), own, &tls)
        };
        assert!(by_tls("192.168.7.1:8080", "https://192.168.7.1:8080", own));
        assert!(by_tls("192.168.7.1", "https://192.168.7.1", "192.168.7.1:443".parse().unwrap()));
        assert!(!by_tls("192.168.7.1:8080", "http://192.168.7.1:8080", own), "a page that came in plain");
        assert!(!by_tls("192.168.7.1", "https://192.168.7.1", "192.168.7.1:80".parse().unwrap()));
    }

    #[test]
    fn a_large_tablet_gets_a_smaller_picture_of_the_same_millimetres() {
        let fit = |width, height, dpi| fitted(&ScreenBody { width, height, dpi });
        assert_eq!(fit(800.0, 480.0, 133.0), Some(((800, 480), 133.0)));
        let ((width, height), dpi) = fit(2732.0, 2048.0, 264.0).unwrap();
        assert!(width * height <= 1_000_000 && width * height > 990_000);
        assert!((f64::from(width) / f64::from(dpi) - 2732.0 / 264.0).abs() < 0.02);
        for (width, height, dpi) in [
            (f32::NAN, 480.0, 96.0),
            (0.0, 480.0, 96.0),
            (800.0, 1e9, 96.0),
            (800.0, 480.0, 0.0),
            (800.0, 480.0, f32::INFINITY),
            (20_000.0, 64.0, 96.0),
        ] {
            assert_eq!(fit(width, height, dpi), None, "{width} {height} {dpi}");
        }
    }
}
