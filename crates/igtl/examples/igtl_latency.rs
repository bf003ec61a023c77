//! Sends a phantom's images to a running sonotap and times the outlines that come back. `igtl_latency PORT SECONDS`
//!
//! `sonotap run --source igtl:listen --igtl PORT --taps TAPS` runs beside it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sonotap::{Frame, FrameSource as _, Phantom, PhantomConfig, PhantomPreset, Result};
use sonotap_igtl::image::Plane;
use sonotap_igtl::message::{HEADER_BYTES, Header, Message, PolyData, Stamp, append};

const PERIOD: Duration = Duration::from_nanos(33_333_333);

type Sent = Arc<Mutex<HashMap<u64, Instant>>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter_map(|a| a.parse::<u16>().ok());
    let (port, seconds) = (arguments.next().unwrap_or(18_944), arguments.next().unwrap_or(10));
    let mut phantom = Phantom::new("cyst".parse::<PhantomPreset>()?, PhantomConfig::default())?;
    let image = Plane::unplaced(640, 480, Some(phantom.scale().mm_per_px())).labels();
    let mut frame = Frame::default();
    let mut pictures = Vec::new();
    for _ in 0..150 {
        phantom.next_into(&mut frame)?;
        pictures.push(frame.pixels().to_vec());
    }
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a sonotap that listens");
    stream.set_nodelay(true).expect("a socket");
    let (sent, reader) = (Sent::default(), stream.try_clone().expect("a socket"));
    let shared = sent.clone();
    let answers = std::thread::spawn(move || receive(reader, &shared));
    send(stream, &image, &pictures, u64::from(seconds) * 30, &sent);
    let [outlines, states] = answers.join().expect("a reader");
    print("IMAGE sent to POLYDATA received", outlines);
    print("IMAGE sent to STRING received", states);
    Ok(())
}

fn send(
    mut stream: TcpStream,
    image: &sonotap_igtl::image::ImageHeader,
    pictures: &[Vec<u8>],
    images: u64,
    sent: &Sent,
) {
    let (start, mut bytes) = (Instant::now(), Vec::new());
    for n in 0..images {
        std::thread::sleep((PERIOD * n as u32).saturating_sub(start.elapsed()));
        // There and back, so that nothing jumps.
        let at = n as usize % (2 * pictures.len() - 2);
        let picture = &pictures[at.min(2 * pictures.len() - 2 - at)];
        let stamp = Stamp::from_unix(Duration::from_secs(1_000) + start.elapsed());
        bytes.clear();
        append(&mut bytes, "IMAGE", "Phantom", stamp, |out| {
            image.append(out);
            out.extend_from_slice(picture);
        });
        sent.lock().expect("a lock").insert(stamp.0, Instant::now());
        if stream.write_all(&bytes).is_err() {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    // Ends the reader.
    drop(stream.shutdown(std::net::Shutdown::Both));
}

/// Times of outlines and of states, ms.
fn receive(mut stream: TcpStream, sent: &Sent) -> [Vec<f64>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let mut bytes = vec![0; HEADER_BYTES];
    loop {
        bytes.resize(HEADER_BYTES, 0);
        if stream.read_exact(&mut bytes).is_err() {
            return times;
        }
        let Some(header) = bytes.first_chunk().and_then(|head| Header::parse(head).ok()) else { return times };
        bytes.resize(HEADER_BYTES + header.body_bytes as usize, 0);
        if stream.read_exact(&mut bytes[HEADER_BYTES..]).is_err() {
            return times;
        }
        let now = Instant::now();
        let Ok(message) = Message::parse(&bytes) else { return times };
        let Some(at) = sent.lock().expect("a lock").get(&header.stamp.0).copied() else { continue };
        let ms = now.duration_since(at).as_secs_f64() * 1e3;
        match header.kind.as_str() {
            "POLYDATA" if PolyData::parse(message.content).is_ok_and(|p| !p.points.is_empty()) => times[0].push(ms),
            "STRING" => times[1].push(ms),
            _ => {}
        }
    }
}

fn print(name: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms.get(((ms.len() as f64 * share) as usize).min(ms.len().saturating_sub(1))).copied();
    let [p50, p95, max] = [0.5, 0.95, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
    println!("{name}: n {}, p50 {p50:.1}, p95 {p95:.1}, max {max:.1} ms", ms.len());
}
