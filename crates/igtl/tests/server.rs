//! The server with real sockets: what clients get, and what they cannot do to the rest.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use sonotap::engine::{Engine, EngineConfig};
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::{Latest, Wake};
use sonotap::{
    Frame, FrameId, FrameInput, Millimetres, ObjectId, ObjectScene, Outline, Overlay, PixelFormat, PixelScale, Point,
    ScaleSource, Scene, Signal, Timestamp,
};
use sonotap_igtl::image::{IMAGE_HEADER_BYTES, ImageHeader, Plane};
use sonotap_igtl::message::{HEADER_BYTES, Header, Message, PolyData, Stamp, Status, append, parse_string};
use sonotap_igtl::publish::Publisher;
use sonotap_igtl::server::{CLIENTS_MAX, Origin, Server, listen};
use sonotap_igtl::source::{ImageSource, SourceConfig};

/// Nothing here waits so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

struct Client(TcpStream);

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn send(&mut self, kind: &str, body: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        append(&mut bytes, kind, "Probe", Stamp(0), body);
        self.0.write_all(&bytes).unwrap();
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.0.read_exact(&mut bytes).ok()?;
        let header = Header::parse(bytes.first_chunk().unwrap()).unwrap();
        bytes.resize(HEADER_BYTES + header.body_bytes as usize, 0);
        self.0.read_exact(&mut bytes[HEADER_BYTES..]).ok()?;
        Some(bytes)
    }

    /// Reads until a message of that type and device comes.
    fn until(&mut self, kind: &str, device: &str) -> Vec<u8> {
        loop {
            let bytes = self.next().expect("the connection ended");
            let header = Message::parse(&bytes).unwrap().header;
            if (header.kind.as_str(), header.device.as_str()) == (kind, device) {
                return bytes;
            }
        }
    }

    fn state_of(&mut self, frame: u64) -> Value {
        loop {
            let bytes = self.until("STRING", "Sonotap");
            let content = Message::parse(&bytes).unwrap().content;
            let state: Value = serde_json::from_str(parse_string(content).unwrap()).unwrap();
            if state["frame"] == frame {
                return state;
            }
        }
    }

    fn labels(&mut self) -> (ImageHeader, Vec<u8>) {
        let bytes = self.until("IMAGE", "SonotapLabels");
        let content = Message::parse(&bytes).unwrap().content;
        let (head, pixels) = content.split_at(IMAGE_HEADER_BYTES);
        (ImageHeader::parse(head.first_chunk().unwrap()).unwrap(), pixels.to_vec())
    }

    fn outline(&mut self, device: &str) -> (Header, PolyData) {
        let bytes = self.until("POLYDATA", device);
        let message = Message::parse(&bytes).unwrap();
        (message.header, PolyData::parse(message.content).unwrap())
    }

    fn says(&mut self) -> String {
        let bytes = self.until("STATUS", "Sonotap");
        Status::parse(Message::parse(&bytes).unwrap().content).unwrap().text
    }
}

fn server(source: Option<(Arc<ImageSource>, Origin)>) -> (Server, Publisher) {
    let mut server = Server::start(listen("127.0.0.1:0".parse().unwrap()).unwrap(), source).unwrap();
    let publisher = server.publisher().unwrap();
    (server, publisher)
}

fn frame(number: u64, edge: u32, mm: Option<f64>) -> Frame {
    let pixels = vec![number as u8; (edge * edge) as usize];
    let mut frame = Frame::from_pixels(edge, edge, PixelFormat::Grey8, pixels).unwrap();
    frame.set_scale(mm.and_then(|mm| PixelScale::new(Millimetres(mm), Millimetres(mm), ScaleSource::Profile)));
    frame.stamp(FrameId(number), Timestamp::from_ms(number));
    frame
}

/// A square of 8 px at (4, 4) as object `number`.
fn scene(frame: &Frame, number: u8, overlay: Overlay) -> Scene {
    let mut outline = Outline::default();
    outline.push_ring([(4.0, 4.0), (12.0, 4.0), (12.0, 12.0), (4.0, 12.0)].map(|(x, y)| Point::new(x, y)));
    let measurements = sonotap::measure::measure(&outline, frame.scale().as_ref());
    let (object, markers) = (ObjectId(number - 1), Vec::new());
    let object = ObjectScene { object, is_active: true, overlay, outline, markers, score: None, measurements };
    Scene { frame: frame.id(), signal: Signal::Good, objects: vec![object], ..Scene::default() }
}

#[test]
fn an_exact_outline_goes_to_every_client_with_the_time_of_its_frame() {
    let (server, mut publisher) = server(None);
    let mut clients = [Client::new(server.address()), Client::new(server.address())];
    for client in &mut clients {
        assert_eq!(client.says(), "NO SIGNAL");
        client.state_of(0);
    }
    let shown = frame(7, 32, Some(0.5));
    publisher.publish(&shown, &scene(&shown, 2, Overlay::Exact), Timestamp::from_ms(20));
    for client in &mut clients {
        assert_eq!(client.says(), "LIVE");
        let (head, labels) = client.labels();
        assert_eq!((head.size, head.steps[0], head.steps[1]), ([32, 32, 1], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0]));
        for (at, label) in labels.iter().enumerate() {
            let is_inside = (4..12).contains(&(at % 32)) && (4..12).contains(&(at / 32));
            assert_eq!(*label, if is_inside { 2 } else { 0 }, "pixel {at}");
        }
        let (header, outline) = client.outline("SonotapOutline2");
        assert_eq!(outline.lines, [[0, 1, 2, 3, 0]]);
        assert_eq!(outline.points[2], [5.75, 5.75, 0.0], "(12 - 0.5) px of 0.5 mm");
        let state = client.state_of(7);
        assert_eq!((state["says"].as_str(), state["objects"][0]["state"].as_str()), (Some("LIVE"), Some("exact")));
        assert_eq!(state["objects"][0]["measurements"]["area_mm2"], 16.0);
        assert!(header.stamp > Stamp(1 << 32));
    }
}

#[test]
fn a_carried_outline_is_said_and_the_exact_one_is_taken_back() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    let (first, second) = (frame(1, 32, Some(0.5)), frame(2, 32, Some(0.5)));
    publisher.publish(&first, &scene(&first, 1, Overlay::Exact), Timestamp::from_ms(1));
    client.state_of(1);
    let age = Duration::from_millis(40);
    publisher.publish(&second, &scene(&second, 1, Overlay::Carried { age }), Timestamp::from_ms(2));
    assert!(client.labels().1.iter().all(|l| *l == 0), "an old label map is left over a new image");
    assert_eq!(client.outline("SonotapOutline1").1, PolyData::default(), "an old outline is left over a new image");
    let object = client.state_of(2)["objects"][0].clone();
    assert_eq!((object["state"].as_str(), object["age_ms"].as_f64()), (Some("carried"), Some(40.0)));
    assert!(object["measurements"].is_null() && object["in_polydata"] == false, "{object}");
    // Whoever comes now gets what holds now.
    let mut late = Client::new(server.address());
    assert!(late.labels().1.iter().all(|l| *l == 0));
    assert_eq!(late.state_of(2)["objects"][0]["state"], "carried");
}

#[test]
fn without_a_scale_there_is_no_outline_in_mm_and_it_is_said() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    let shown = frame(1, 32, None);
    publisher.publish(&shown, &scene(&shown, 1, Overlay::Exact), Timestamp::from_ms(1));
    assert!(client.labels().1.contains(&1));
    let state = client.state_of(1);
    assert_eq!(state["no_millimetres"], "nobody says how large a pixel is");
    let object = &state["objects"][0];
    assert_eq!((&object["in_label_map"], &object["in_polydata"]), (&Value::Bool(true), &Value::Bool(false)));
    assert!(object["measurements"]["area_mm2"].is_null() && object["measurements"]["area_px2"] == 64.0);
    client.send("GET_POLYDATA", |_| {});
    client.send("GET_STATUS", |_| {});
    assert_eq!(Message::parse(&client.next().unwrap()).unwrap().header.kind.as_str(), "STATUS", "there is no outline");
}

#[test]
fn clients_ask_for_and_stop_what_they_want() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    client.state_of(0);
    client.send("STP_IMAGE", |_| {});
    assert_eq!(client.until("RTS_IMAGE", "Sonotap")[HEADER_BYTES], 0);
    let shown = frame(1, 32, Some(0.5));
    publisher.publish(&shown, &scene(&shown, 1, Overlay::Exact), Timestamp::from_ms(1));
    loop {
        let bytes = client.next().unwrap();
        let kind = Message::parse(&bytes).unwrap().header.kind;
        assert_ne!(kind.as_str(), "IMAGE", "sent although it was stopped");
        if kind.as_str() == "STRING" {
            break;
        }
    }
    client.send("GET_IMAGE", |_| {});
    assert!(client.labels().1.contains(&1), "asked for once");
    client.send("STT_IMAGE", |_| {});
    client.labels();
    client.send("STT_NDARRAY", |_| {});
    assert_eq!(client.until("RTS_NDARRAY", "Sonotap")[HEADER_BYTES], 1);
    client.send("GET_CAPABIL", |_| {});
    let bytes = client.until("CAPABILITY", "Sonotap");
    assert_eq!(Message::parse(&bytes).unwrap().content.len(), 4 * 12);
    client.send("GET_NDARRAY", |_| {});
    assert!(client.says().contains("expected IMAGE, POLYDATA, STRING or STATUS"));
}

#[test]
fn a_client_that_stops_reading_costs_nobody_else_anything() {
    let (server, mut publisher) = server(None);
    let _deaf = Client::new(server.address());
    let mut client = Client::new(server.address());
    client.state_of(0);
    for number in 1.. {
        assert!(number < 400, "the deaf client's socket takes without end");
        let shown = frame(number, 1024, Some(0.5));
        publisher.publish(&shown, &scene(&shown, 1, Overlay::Exact), Timestamp::from_ms(number));
        client.state_of(number);
        if server.report().skipped > 3 {
            break;
        }
    }
    assert_eq!(server.report().clients, 2);
    drop(server);
}

#[test]
fn a_client_that_goes_and_comes_back_gets_the_whole_state() {
    let (server, mut publisher) = server(None);
    for number in 1..4 {
        let mut client = Client::new(server.address());
        let shown = frame(number, 32, Some(0.5));
        publisher.publish(&shown, &scene(&shown, 1, Overlay::Exact), Timestamp::from_ms(number));
        assert_eq!(client.state_of(number)["objects"][0]["state"], "exact");
    }
    let mut client = Client::new(server.address());
    assert!(client.labels().1.contains(&1));
    assert_eq!(client.outline("SonotapOutline1").1.points.len(), 4);
    client.state_of(3);
}

#[test]
fn garbage_and_too_many_clients_are_turned_away_and_the_rest_goes_on() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    client.state_of(0);
    for first in [&b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"[..], &[0xFF; 4096], &[0; 58]]
    {
        let mut other = Client::new(server.address());
        // It may be closed before all is written.
        let _ = other.0.write_all(first);
        while other.next().is_some() {}
    }
    let mut others: Vec<_> = (0..CLIENTS_MAX + 3).map(|_| Client::new(server.address())).collect();
    let is_welcome = |c: &mut Client| c.next().is_some();
    let welcome = others.iter_mut().map(is_welcome).filter(|w| *w).count();
    // Those of the garbage may not be forgotten yet when these come.
    assert!((1..CLIENTS_MAX).contains(&welcome), "{welcome} of {} clients", others.len());
    let shown = frame(1, 32, Some(0.5));
    publisher.publish(&shown, &scene(&shown, 1, Overlay::Exact), Timestamp::from_ms(1));
    client.state_of(1);
    assert!(server.report().turned_away >= 3);
}

#[test]
fn when_images_stop_the_clients_hear_no_signal() {
    let hand = Arc::new(AtomicU64::new(Timestamp::from_ms(60_000).as_ns()));
    let (slot, clock) = (Latest::new(Wake::default()), Clock::set_by(hand.clone()));
    let input = FrameInput::new(slot.clone(), clock.clone(), 1 << 20);
    let source = Arc::new(ImageSource::new(input, SourceConfig::default()));
    let (server, mut publisher) = server(Some((source, Origin::Clients)));
    let mut client = Client::new(server.address());
    let mut engine = Engine::new(EngineConfig::default());
    let mut images = 0_u8;
    let mut turn = |client: &mut Client, publisher: &mut Publisher, has_image: bool| {
        if has_image {
            images += 1;
            let mut image = Plane::unplaced(64, 48, Some((0.3, 0.3))).labels();
            image.components = 1;
            client.send("IMAGE", |out| {
                image.append(out);
                out.extend((0..64 * 48).map(|i| (i as u8).wrapping_mul(images)));
            });
            while slot.is_empty() {
                assert!(slot.wake().sleep(PATIENCE), "no image came in");
            }
            engine.advance(slot.take().unwrap(), clock.now()).unwrap();
        }
        engine.tick(clock.now(), true);
        let (shown, scene) = engine.compose(clock.now()).unwrap();
        publisher.publish(shown, scene, clock.now());
        let state = client.state_of(shown.id().unwrap().0);
        (state["says"].as_str().unwrap().to_owned(), state["scale"]["source"].clone())
    };
    assert_eq!(turn(&mut client, &mut publisher, true), ("LIVE".into(), "OpenIGTLink image".into()));
    hand.fetch_add(33_000_000, Ordering::SeqCst);
    assert_eq!(turn(&mut client, &mut publisher, true).0, "LIVE");
    hand.fetch_add(150_000_000, Ordering::SeqCst);
    assert_eq!(turn(&mut client, &mut publisher, false).0, "NO SIGNAL");
    hand.fetch_add(33_000_000, Ordering::SeqCst);
    assert_eq!(turn(&mut client, &mut publisher, true).0, "LIVE", "it comes back with the images");
}

#[test]
fn a_display_that_stands_still_is_still_heard_once_a_second_and_only_then() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    assert_eq!(client.says(), "NO SIGNAL");
    publisher.turn(Timestamp::from_ms(999));
    publisher.turn(Timestamp::from_ms(1_001));
    assert_eq!(client.says(), "NO SIGNAL");
    assert_eq!(server.report().encoded, 1);
}

#[test]
fn publishing_allocates_nothing_on_the_display_thread_after_warm_up() {
    let (server, mut publisher) = server(None);
    let mut client = Client::new(server.address());
    let frames: Vec<_> = (1..30).map(|n| frame(n, 64, Some(0.5))).collect();
    let scenes: Vec<_> = frames.iter().map(|f| scene(f, 1, Overlay::Exact)).collect();
    for (frame, scene) in frames.iter().zip(&scenes) {
        let used = allocation_counter::measure(|| publisher.publish(frame, scene, frame.captured()));
        client.state_of(frame.id().unwrap().0);
        assert!(frame.id().unwrap().0 < 5 || used.count_total == 0, "frame {:?}: {used:?}", frame.id());
    }
    assert_eq!(publisher.displaced(), 0);
    drop(server);
}
