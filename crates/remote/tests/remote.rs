//! A remote screen and tablets that speak HTTP, without a browser.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use sonotap::{Arrival, Canvas, Contact, Display, FrameId, Light, Phase, Presentation, Presented, Timestamp};
use sonotap_remote::{Authority, PairingCard, Remote, RemoteConfig, UNDERWAY_MAX};

/// One request by TLS; gives the whole answer, or why there is none.
fn by_tls(device: SocketAddr, authority: &Authority, name: &str, request: &str) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = authority.to_pem();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(device)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut tls = rustls::StreamOwned::new(connection, stream);
    tls.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn by_tls_a_tablet_that_has_the_authority_is_answered_and_nobody_is_in_plain() {
    let names = ["probe.local".to_owned()];
    let authority = Arc::new(Authority::from_pem(&Authority::new(&names).unwrap().to_pem()).unwrap());
    let config = RemoteConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        names: names.to_vec(),
        authority: Some(authority.clone()),
        ..RemoteConfig::default()
    };
    let remote = Remote::new(config).unwrap();
    let card = remote.open_pairing().unwrap();
    assert_eq!(card.fingerprint(), Some(authority.fingerprint().as_str()));
    let device: SocketAddr = card.address().trim_start_matches("https://").trim_end_matches('/').parse().unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {device}\r\n\r\n");
    let ask = |name: &str, request: &str| by_tls(device, &authority, name, request);
    assert!(ask("127.0.0.1", &get("/")).unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask("probe.local", &get("/authority.crt")).unwrap().contains("application/x-x509-ca-cert"));
    assert!(ask("other.local", &get("/")).is_err(), "a certificate for a name that is not ours");
    assert!(
        by_tls(device, &Authority::new(&[]).unwrap(), "127.0.0.1", &get("/")).is_err(),
        "another device's authority"
    );
    let body = format!("{{\"pin\":\"{}\"}}", card.pin());
    let pair = |origin: &str| {
        let length = body.len();
        format!(
            "POST /pair HTTP/1.1\r\nHost: {device}\r\nOrigin: {origin}{device}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    assert!(ask("127.0.0.1", &pair("http://")).unwrap().starts_with("HTTP/1.1 403"), "a page that came in plain");
    let paired = ask("127.0.0.1", &pair("https://")).unwrap();
    assert!(paired.starts_with("HTTP/1.1 204") && paired.contains("SameSite=Strict; Secure"), "{paired}");
    let mut plain = TcpStream::connect(device).unwrap();
    plain.write_all(get("/").as_bytes()).unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
}

fn remote() -> Remote {
    Remote::new(RemoteConfig { address: "127.0.0.1:0".parse().unwrap(), ..RemoteConfig::default() }).unwrap()
}

fn address(card: &PairingCard) -> SocketAddr {
    card.address().trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

/// A tablet.
struct Tablet {
    device: SocketAddr,
    cookie: String,
}

impl Tablet {
    fn paired(remote: &Remote) -> Self {
        let card = remote.open_pairing().unwrap();
        let mut tablet = Self { device: address(&card), cookie: String::new() };
        let (status, head) = tablet.post("/pair", &format!("{{\"pin\":\"{}\"}}", card.pin()));
        assert_eq!(status, 204, "{head}");
        let cookie = head.lines().find_map(|l| l.strip_prefix("Set-Cookie: ")).unwrap();
        tablet.cookie = cookie.split(';').next().unwrap().to_owned();
        tablet
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.device).unwrap();
        let device = self.device;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {device}\r\nOrigin: http://{device}\r\nCookie: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.cookie,
            body.len()
        )
        .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        (head[9..12].parse().unwrap(), head)
    }

    fn stream(&self) -> Stream {
        let mut stream = TcpStream::connect(self.device).unwrap();
        write!(stream, "GET /frames HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", self.device, self.cookie).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = Stream(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.bytes(1)[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"));
        stream
    }

    fn down(&self, picture: u64, frame: u64, phase: &str) -> u16 {
        let contact = format!(
            "{{\"frame\":{frame},\"picture\":{picture},\"finger\":0,\"phase\":\"{phase}\",\"x\":12.5,\"y\":7,\"time_ms\":5,\"size_mm\":null}}"
        );
        self.post("/contact", &format!("{{\"sent_ms\":5,\"contacts\":[{contact}]}}")).0
    }

    fn seen(&self, picture: u64) {
        assert_eq!(self.post("/seen", &format!("{{\"picture\":{picture},\"sent_ms\":5}}")).0, 204);
    }
}

struct Stream(TcpStream);

impl Stream {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn message(&mut self) -> Vec<u8> {
        let length = u32::from_be_bytes(self.bytes(4).try_into().unwrap());
        self.bytes(length as usize)
    }

    /// The next message, while the display thread goes its rounds: without them there is no beat.
    fn message_beside(&mut self, remote: &mut Remote) -> Vec<u8> {
        self.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while self.0.peek(&mut [0]).is_err() {
            contacts(remote);
        }
        self.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        self.message()
    }

    /// Number and frame of the next picture.
    fn picture(&mut self) -> (u64, u64) {
        loop {
            let message = self.message();
            if message[0] == 1 {
                let number = |at: usize| u64::from_be_bytes(message[at..at + 8].try_into().unwrap());
                return (number(2), number(10));
            }
        }
    }
}

/// Presents a frame whose number is told by its picture.
fn present(remote: &mut Remote, frame: u64) -> Presentation {
    let mut canvas = Canvas::new(64, 48);
    canvas.pixels_mut().fill(frame as u32 * 3 % 256);
    let shown = Presented { frame: Some(FrameId(frame)), captured: Timestamp::START, presented: Timestamp::from_ms(9) };
    remote.present(&canvas, &shown, &mut || true).unwrap()
}

fn contacts(remote: &mut Remote) -> Vec<Contact> {
    let mut out = Vec::new();
    remote.contacts(Timestamp::from_ns(1_000_000_000_000), None, &mut out).unwrap();
    out
}

fn arrivals(remote: &mut Remote) -> Vec<Arrival> {
    let mut out = Vec::new();
    remote.arrivals(&mut out);
    out
}

#[test]
fn nobody_is_listened_to_before_pairing_is_opened_nor_after_it_closed_in_vain() {
    let mut remote = remote();
    assert_eq!(present(&mut remote, 1), Presentation::Lit(Light::Now), "nobody looks");
    let card = remote.open_pairing().unwrap();
    assert!(TcpStream::connect(address(&card)).is_ok());
    remote.close_pairing();
    contacts(&mut remote);
    assert!(TcpStream::connect(address(&card)).is_err(), "still listened to");
}

#[test]
fn a_tap_names_the_picture_that_it_touched_and_an_unknown_one_is_refused() {
    let mut remote = remote();
    let tablet = Tablet::paired(&remote);
    let mut stream = tablet.stream();
    assert!(matches!(present(&mut remote, 41), Presentation::Underway(_)));
    let (picture, frame) = stream.picture();
    assert_eq!(frame, 41);
    assert!(matches!(present(&mut remote, 42), Presentation::Underway(_)));
    assert_eq!(stream.picture().1, 42);
    for (number, frame) in [(picture, 42), (picture + 9, 41), (0, 0)] {
        assert_eq!(tablet.down(number, frame, "down"), 409, "{number} {frame}");
    }
    assert_eq!(tablet.down(picture, 41, "down"), 204);
    assert_eq!(tablet.down(picture, 41, "up"), 204);
    let got = contacts(&mut remote);
    assert_eq!(
        got.iter().map(|c| (c.phase, c.shown.unwrap().0)).collect::<Vec<_>>(),
        [(Phase::Down, 41), (Phase::Up, 41)]
    );
    assert_eq!((got[0].at.x, got[0].at.y), (12.5, 7.0));
}

#[test]
fn one_viewer_controls_and_the_others_look_on() {
    let mut remote = remote();
    let (first, second) = (Tablet::paired(&remote), Tablet::paired(&remote));
    let (mut of_first, mut of_second) = (first.stream(), second.stream());
    present(&mut remote, 1);
    let ((picture, _), (other, _)) = (of_first.picture(), of_second.picture());
    assert_eq!(picture, other, "one encoding for both");
    assert_eq!(second.down(picture, 1, "down"), 403);
    assert_eq!(second.post("/press", "{\"press\":\"freeze\",\"sent_ms\":5,\"time_ms\":5}").0, 403);
    assert_eq!(first.down(picture, 1, "down"), 204);
    assert_eq!(second.post("/control", "\"ask\"").0, 204);
    assert_eq!(first.post("/control", "\"give\"").0, 204);
    let phases: Vec<Phase> = contacts(&mut remote).iter().map(|c| c.phase).collect();
    assert_eq!(phases, [Phase::Down, Phase::Cancel], "the finger of who gave the control away is still down");
    assert_eq!((first.down(picture, 1, "down"), second.down(picture, 1, "down")), (403, 204));
}

#[test]
fn at_most_four_pictures_are_under_way_and_newer_ones_displace_what_waits() {
    let mut remote = remote();
    let tablet = Tablet::paired(&remote);
    let mut stream = tablet.stream();
    // Two at the beginning: more only when they arrive quickly.
    let mut underway = Vec::new();
    for frame in 1..=2 {
        present(&mut remote, frame);
        underway.push(stream.picture());
    }
    assert_eq!(underway, [(1, 1), (2, 2)]);
    for frame in 3..=60 {
        present(&mut remote, frame);
    }
    loop {
        let message = stream.message_beside(&mut remote);
        let number = u64::from_be_bytes(message[2..10].try_into().unwrap());
        assert_eq!(message[0], 2, "picture {number} is one too many under way, at most {UNDERWAY_MAX}");
        // A beat names the newest.
        if number == 60 {
            break;
        }
    }
    tablet.seen(underway[1].0);
    assert_eq!(stream.picture(), (60, 60));
    let unseen = arrivals(&mut remote).iter().filter(|a| a.light.is_none()).count();
    assert!(unseen >= 50, "{unseen} of those left out are told");
}

#[test]
fn light_is_when_the_lead_says_that_it_has_drawn() {
    let mut remote = remote();
    let (tablet, onlooker) = (Tablet::paired(&remote), Tablet::paired(&remote));
    let (mut stream, mut other) = (tablet.stream(), onlooker.stream());
    let began = Instant::now();
    let Presentation::Underway(number) = present(&mut remote, 5) else { panic!("nobody looks") };
    let (picture, _) = stream.picture();
    assert_eq!((picture, other.picture().0), (number, number));
    onlooker.seen(picture);
    assert_eq!(arrivals(&mut remote), [], "an onlooker's word counted");
    tablet.seen(picture);
    let got = arrivals(&mut remote);
    let Some(Light::Ago(ago)) = got[0].light else { panic!("{got:?}") };
    assert_eq!((got.len(), got[0].picture), (1, number));
    assert!(ago < began.elapsed(), "before it was presented");
    let Presentation::Underway(six) = present(&mut remote, 6) else { panic!("nobody looks") };
    drop(stream);
    // The stream ends at a beat that cannot be sent; then nobody will say anything of that picture.
    let lost = loop {
        contacts(&mut remote);
        if let Some(arrival) = arrivals(&mut remote).into_iter().find(|a| a.picture == six) {
            break arrival;
        }
        std::thread::yield_now();
    };
    assert_eq!(lost.light, None);
}

#[test]
fn a_viewer_that_goes_away_takes_its_fingers_back() {
    let mut remote = remote();
    let tablet = Tablet::paired(&remote);
    let mut stream = tablet.stream();
    present(&mut remote, 1);
    let (picture, frame) = stream.picture();
    assert_eq!(tablet.down(picture, frame, "down"), 204);
    assert_eq!(contacts(&mut remote).len(), 1);
    // The page is opened again.
    let _again = tablet.stream();
    let got = contacts(&mut remote);
    assert_eq!(got.iter().map(|c| c.phase).collect::<Vec<_>>(), [Phase::Cancel]);
    assert_eq!(tablet.down(picture, frame, "up"), 204, "of a touch that is over nothing comes");
    assert_eq!(contacts(&mut remote).len(), 0);
}

#[test]
fn a_tablet_gets_a_screen_of_its_own_size_and_millimetres() {
    let mut remote = remote();
    let tablet = Tablet::paired(&remote);
    let _stream = tablet.stream();
    assert_eq!(remote.size(), (800, 480));
    assert_eq!(tablet.post("/screen", "{\"width\":768,\"height\":1024,\"dpi\":132}").0, 204);
    assert_eq!((remote.size(), remote.dpi()), ((768, 1024), 132.0));
    assert_eq!(tablet.post("/screen", "{\"width\":1e9,\"height\":1024,\"dpi\":132}").0, 400);
    let mut pressed = Vec::new();
    assert_eq!(tablet.post("/press", "{\"press\":\"scrub\",\"at\":0.5,\"sent_ms\":5,\"time_ms\":5}").0, 204);
    remote.controls(&mut pressed);
    assert_eq!(pressed, [sonotap::Control::Scrub(0.5)]);
    remote.finish().unwrap();
    assert!(TcpStream::connect(tablet.device).is_err(), "still listened to");
}
