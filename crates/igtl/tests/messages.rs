//! The wire format: what is written is what is read, and nothing that comes is believed before it is checked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::{Latest, Wake};
use sonotap::{ErrorKind, Frame, FrameInput, Outline, PixelFormat, Point, ScaleSource};
use sonotap_igtl::image::{Axes, IMAGE_HEADER_BYTES, ImageHeader, Plane};
use sonotap_igtl::message::{
    BODY_BYTES_MAX, Code, HEADER_BYTES, Header, Message, PolyData, Stamp, Status, Verb, append, append_string, crc64,
    parse_string, verb_of,
};
use sonotap_igtl::raster::Filler;
use sonotap_igtl::source::{ImageSource, Peer, SourceConfig};

const PEER: Peer = Peer { connection: 1, ip: IpAddr::V4(Ipv4Addr::LOCALHOST) };

fn message(kind: &str, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, kind, "Probe", Stamp(0x6000_0000_8000_0000), body);
    out
}

fn header(size: [u16; 3], components: u8, mm: f32) -> ImageHeader {
    let steps = [[mm, 0.0, 0.0], [0.0, mm, 0.0], [0.0, 0.0, 1.0]];
    let (axes, part_start, part_size, centre) = (Axes::Lps, [0; 3], size, [1.0, 2.0, 3.0]);
    ImageHeader { components, scalar: 3, endian: 2, axes, size, steps, centre, part_start, part_size }
}

fn image(header: &ImageHeader) -> Vec<u8> {
    let pixels = header.size.iter().map(|v| usize::from(*v)).product::<usize>() * usize::from(header.components);
    message("IMAGE", |out| {
        header.append(out);
        out.extend((0..pixels).map(|i| i as u8));
    })
}

fn image_of(content: &[u8]) -> sonotap::Result<ImageHeader> {
    ImageHeader::parse(content.first_chunk::<IMAGE_HEADER_BYTES>().unwrap())
}

fn source() -> (ImageSource, Latest<Arc<Frame>>) {
    let slot = Latest::new(Wake::default());
    let input = FrameInput::new(slot.clone(), Clock::monotonic(), 1 << 20);
    (ImageSource::new(input, SourceConfig::default()), slot)
}

/// The same message with header version 2 and metadata behind the content.
fn version_2(message: &[u8], metadata: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 14, 0, metadata.len() as u8, 0, 0, 0, 0, 0, 0, 0, 9, 0xAB, 0xCD];
    body.extend_from_slice(&message[HEADER_BYTES..]);
    body.extend_from_slice(metadata);
    let mut out = message[..HEADER_BYTES].to_vec();
    out[1] = 2;
    out[42..50].copy_from_slice(&(body.len() as u64).to_be_bytes());
    out[50..58].copy_from_slice(&crc64(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

#[test]
fn a_header_is_laid_out_as_the_protocol_says() {
    let bytes = message("STATUS", |out| out.extend_from_slice(b"123456789"));
    assert_eq!(bytes.len(), HEADER_BYTES + 9);
    assert_eq!(bytes[..2], [0, 1]);
    assert_eq!(&bytes[2..14], b"STATUS\0\0\0\0\0\0");
    assert_eq!(&bytes[14..34], b"Probe\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[34..42], [0x60, 0, 0, 0, 0x80, 0, 0, 0], "half a second is a half of 2^32");
    assert_eq!(bytes[42..50], [0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(bytes[50..58], 0x6C40_DF5F_0B49_7347_u64.to_be_bytes(), "the check value of CRC-64/ECMA-182");
}

#[test]
fn every_message_is_read_as_it_was_written_in_both_header_versions() {
    let ring = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, 0.5, -1.0], [1.5, 2.5, 3.5], [0.0, 0.0, 9.0]];
    let polydata = message("POLYDATA", |out| PolyData::append_rings(out, ring.iter().copied(), &[3, 3]));
    let text = message("STRING", |out| append_string(out, "größe"));
    let status = message("STATUS", |out| Status::append(out, Code::Busy, "busy", "somebody else"));
    let picture = header([4, 3, 1], 3, 0.25);
    for bytes in [polydata, text, status, image(&picture)] {
        let second = version_2(&bytes, b"metadata");
        for bytes in [bytes.clone(), second] {
            let read = Message::parse(&bytes).unwrap();
            assert_eq!((read.bytes, read.header.device.as_str()), (bytes.len(), "Probe"));
            match read.header.kind.as_str() {
                "POLYDATA" => {
                    let polydata = PolyData::parse(read.content).unwrap();
                    assert_eq!(polydata.points, ring);
                    assert_eq!(polydata.lines, [[0, 1, 2, 0], [3, 4, 5, 3]]);
                }
                "STRING" => assert_eq!(parse_string(read.content).unwrap(), "größe"),
                "STATUS" => {
                    let status = Status::parse(read.content).unwrap();
                    assert_eq!((status.code, status.name.as_str(), status.text.as_str()), (6, "busy", "somebody else"));
                }
                _ => {
                    assert_eq!(image_of(read.content).unwrap(), picture);
                    let pixels = &read.content[IMAGE_HEADER_BYTES..];
                    let found = picture.picture(pixels.len() as u64).unwrap();
                    assert_eq!((found.width, found.height, found.format), (4, 3, PixelFormat::Rgb8));
                }
            }
        }
    }
    assert_eq!(["GET_STATUS", "STT_IMAGE", "STP_IMAGE", "RTS_IMAGE", "TRANSFORM"].map(|k| verb_of(k).0), {
        [Verb::Get, Verb::Start, Verb::Stop, Verb::Answer, Verb::Tell]
    });
}

#[test]
fn an_empty_outline_is_a_message_of_its_own() {
    let bytes = message("POLYDATA", |out| PolyData::append_rings(out, std::iter::empty(), &[]));
    assert_eq!(PolyData::parse(Message::parse(&bytes).unwrap().content).unwrap(), PolyData::default());
}

#[test]
fn damaged_truncated_and_absurd_messages_are_refused_with_what_was_expected() {
    let good = message("STRING", |out| append_string(out, "abc"));
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let cases = [
        (good[..57].to_vec(), "expected 58 bytes, got 57"),
        (good[..good.len() - 1].to_vec(), "expected a body of 7 bytes, got 6"),
        (changed(0, &[0, 3]), "expected version 1 or 2, got 3"),
        (changed(2, &[0]), "expected a type in printable ASCII"),
        (changed(42, &u64::MAX.to_be_bytes()), "expected a body of at most 67108864 bytes, got 18446744073709551615"),
        (changed(good.len() - 1, b"d"), "expected a body of CRC"),
        (changed(50, &[0; 8]), "expected a body of CRC 0000000000000000"),
        (changed(0, &[0, 2]), "expected an extended header"),
    ];
    for (bytes, expected) in cases {
        let e = Message::parse(&bytes).unwrap_err();
        assert!(e.kind() == ErrorKind::Format && e.to_string().contains(expected), "{expected}: {e}");
    }
    let head = Header::parse(changed(42, &BODY_BYTES_MAX.to_be_bytes()).first_chunk().unwrap()).unwrap();
    assert_eq!(head.body_bytes, BODY_BYTES_MAX);
}

#[test]
fn images_of_another_kind_are_refused_with_what_would_do() {
    let wide = ImageHeader { scalar: 5, ..header([4, 3, 1], 1, 0.1) };
    let rgba = header([4, 3, 1], 4, 0.1);
    let part = ImageHeader { part_size: [2, 3, 1], ..header([4, 3, 1], 1, 0.1) };
    let cases = [
        (wide, 24, "expected type 3 (uint8) and 1 or 3 components, got type 5 and 1; map wider samples to 8 bits"),
        (rgba, 48, "got type 3 and 4"),
        (part, 12, "expected a whole image, got a part"),
        (header([4, 3, 2], 1, 0.1), 24, "expected one slice, got a volume of 4x3x2"),
        (header([4, 0, 1], 1, 0.1), 0, "expected edges of 1 to 8192 px"),
        (header([8192, 8192, 1], 1, 0.1), 8192 * 8192, "at most 12582912 px, got 8192x8192"),
        (header([4, 3, 1], 1, 0.1), 13, "expected 12 bytes of pixels for 4x3 Grey8, got 13"),
    ];
    for (image, bytes, expected) in cases {
        let e = image.picture(bytes).unwrap_err().to_string();
        assert!(e.contains(expected), "{expected}: {e}");
    }
    let as_pyigtl = header([1, 4, 3], 1, 0.1).picture(12).unwrap();
    assert_eq!((as_pyigtl.width, as_pyigtl.height), (4, 3), "an array of two dimensions, as pyigtl sends it");
}

#[test]
fn only_a_matrix_that_somebody_set_gives_a_scale() {
    let plane = |steps: [[f32; 3]; 3]| {
        let image = ImageHeader { steps, ..header([4, 3, 1], 1, 1.0) };
        image.picture(12).unwrap().plane
    };
    let scale = plane([[0.0, 0.2, 0.0], [0.0, 0.0, -0.3], [1.0, 0.0, 0.0]]).scale().unwrap();
    assert_eq!((scale.mm_per_px(), scale.source()), ((0.2, 0.3), ScaleSource::OpenIgtLink));
    let refused = [
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "identity"),
        ([[0.0; 3]; 3], "no pixel size"),
        ([[f32::NAN, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 1.0]], "no pixel size"),
        ([[90.0, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 1.0]], "no pixel size"),
        ([[0.2, 0.0, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, 1.0]], "sheared"),
    ];
    for (steps, why) in refused {
        assert!(plane(steps).scale().unwrap_err().contains(why), "{steps:?}");
    }
}

#[test]
fn a_place_of_the_picture_is_where_the_matrix_says_in_ras() {
    let steps = [[0.0, 0.5, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]];
    let lps = ImageHeader { steps, centre: [10.0, 20.0, 30.0], ..header([5, 3, 1], 1, 1.0) };
    let ras = ImageHeader { axes: Axes::Ras, ..lps };
    // The middle of the box is the middle of the picture, whose pixels have their centres at + 0.5.
    for (image, sign) in [(lps, -1.0), (ras, 1.0)] {
        let plane = image.picture(15).unwrap().plane;
        assert_eq!(plane.to_ras(Point::new(2.5, 1.5)), [sign * 10.0, sign * 20.0, 30.0]);
        assert_eq!(plane.to_ras(Point::new(0.5, 0.5)), [sign * 10.0, sign * 19.0, 28.0], "the first pixel");
        assert_eq!(plane.labels().centre, image.centre, "a label map lies where its image lies");
    }
    assert_eq!(Plane::unplaced(5, 3, Some((0.5, 2.0))).to_ras(Point::new(2.5, 1.5)), [1.0, 2.0, 0.0]);
}

#[test]
fn an_image_becomes_a_frame_with_its_scale_and_number() {
    let (source, slot) = source();
    let bytes = image(&header([16, 12, 1], 1, 0.25));
    for number in 0..2 {
        let mut stream = &bytes[HEADER_BYTES..];
        let header = Message::parse(&bytes).unwrap().header;
        source.receive(&mut stream, &header, PEER).unwrap();
        let frame = slot.take().unwrap();
        assert_eq!((frame.width(), frame.height(), frame.host_number()), (16, 12, Some(number)));
        assert_eq!(frame.pixels()[17], 17);
        assert_eq!(frame.scale().unwrap().mm_per_px(), (0.25, 0.25));
        assert_eq!(source.arrival(number).unwrap().stamp, header.stamp);
    }
    assert!(source.arrival(2).is_none());
    assert_eq!(source.report().images, 2);
}

#[test]
fn an_image_of_a_wrong_crc_never_becomes_a_frame() {
    let (source, slot) = source();
    let mut bytes = image(&header([16, 12, 1], 1, 0.25));
    let header = Message::parse(&bytes).unwrap().header;
    *bytes.last_mut().unwrap() ^= 1;
    let mut stream = &bytes[HEADER_BYTES..];
    assert!(source.receive(&mut stream, &header, PEER).is_err());
    assert!(slot.is_empty() && stream.is_empty(), "the rest of the stream goes on after it");
    assert_eq!((source.report().checksum, source.report().images), (1, 0));
}

#[test]
fn one_sender_and_one_device_at_a_time_are_the_source() {
    let (source, slot) = source();
    let picture = header([16, 12, 1], 1, 0.25);
    let send = |peer: Peer, device: &str| {
        let mut bytes = Vec::new();
        append(&mut bytes, "IMAGE", device, Stamp(0), |out| {
            picture.append(out);
            out.resize(out.len() + 16 * 12, 9);
        });
        let header = Message::parse(&bytes).unwrap().header;
        source.receive(&mut &bytes[HEADER_BYTES..], &header, peer).is_ok()
    };
    let other = Peer { connection: 2, ..PEER };
    let far = Peer { connection: 3, ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)) };
    assert!(send(PEER, "Probe") && send(PEER, "Probe"));
    assert!(!send(other, "Probe") && !send(PEER, "Camera") && !send(far, "Probe"));
    source.left(PEER);
    assert!(!send(far, "Probe") && !send(other, "Camera"), "whoever comes in its place is not the same sender");
    assert!(send(other, "Probe"), "the same sender comes back at once");
    assert_eq!((source.report().images, source.report().busy), (3, 5));
    assert!(!slot.is_empty());
}

/// Bits flipped, bytes set to edges, stretches cut or doubled; in every second one the header is made right again.
fn mutated(seeds: &[Vec<u8>], random: &mut Pcg64Mcg) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..5) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.random_range(0..5)],
            2 => bytes.truncate(at.max(1)),
            3 => drop(bytes.drain(at..(at + 9).min(bytes.len() - 1).max(at))),
            _ => bytes.extend_from_within(at..(at + 40).min(bytes.len())),
        }
    }
    if bytes.len() >= HEADER_BYTES && random.random_bool(0.5) {
        let crc = crc64(&bytes[HEADER_BYTES..]);
        let body = (bytes.len() - HEADER_BYTES) as u64;
        bytes[42..50].copy_from_slice(&body.to_be_bytes());
        bytes[50..58].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

#[test]
fn a_hundred_thousand_mutated_messages_neither_panic_nor_take_memory_beyond_a_bound() {
    let ring = [[0.0_f32, 1.0, 2.0]; 40];
    let mut seeds = vec![
        message("POLYDATA", |out| PolyData::append_rings(out, ring.iter().copied(), &[20, 20])),
        message("STRING", |out| append_string(out, "{\"says\":\"größe\"}")),
        message("STATUS", |out| Status::append(out, Code::Ok, "LIVE", "LIVE")),
        image(&header([16, 12, 1], 1, 0.25)),
        image(&header([1, 8, 6], 3, 0.25)),
        message("GET_IMAGE", |_| {}),
    ];
    seeds.extend(seeds.clone().iter().map(|m| version_2(m, b"metadata of some bytes")));
    let mut random = Pcg64Mcg::seed_from_u64(18_944);
    let (source, slot) = source();
    let (mut read, mut entered) = (0, 0);
    for _ in 0..100_000 {
        let bytes = mutated(&seeds, &mut random);
        let used = allocation_counter::measure(|| {
            if let Ok(message) = Message::parse(&bytes) {
                read += 1;
                drop(PolyData::parse(message.content));
                drop(parse_string(message.content));
                drop(Status::parse(message.content));
                if message.content.len() >= IMAGE_HEADER_BYTES {
                    drop(image_of(message.content).and_then(|i| i.picture(message.content.len() as u64 - 72)));
                }
            }
        });
        assert!(used.bytes_max <= 8 * bytes.len() as u64 + 4_096, "{used:?} for {} bytes", bytes.len());
        // As it comes off a stream: the header alone says what follows.
        let used = allocation_counter::measure(|| {
            if let Some(header) = bytes.first_chunk().and_then(|head| Header::parse(head).ok()) {
                drop(source.receive(&mut &bytes[HEADER_BYTES..], &header, PEER));
            }
        });
        entered += u64::from(slot.take().is_some());
        assert!(used.bytes_max <= 40 << 20, "{used:?} for {} bytes", bytes.len());
    }
    assert!(read > 10_000 && entered > 1_000, "{read} were read, {entered} became frames: the mutations are too rough");
}

proptest! {
    #[test]
    fn a_label_map_has_the_label_where_a_pixels_centre_is_inside(
        points in prop::collection::vec((-5.0f32..45.0, -5.0f32..35.0), 3..12),
        hole in prop::collection::vec((5.0f32..30.0, 5.0f32..25.0), 3..6),
    ) {
        let mut outline = Outline::default();
        for ring in [points, hole] {
            outline.push_ring(ring.into_iter().map(|(x, y)| Point::new(x, y)));
        }
        let mut map = vec![0; 40 * 30];
        Filler::default().fill(&mut map, 40, &outline, 3);
        for (at, &label) in map.iter().enumerate() {
            let centre = Point::new((at % 40) as f32 + 0.5, (at / 40) as f32 + 0.5);
            let edge = outline.rings().flat_map(|r| r.iter().zip(r.iter().cycle().skip(1)))
                .map(|(a, b)| distance(centre, *a, *b)).fold(f32::INFINITY, f32::min);
            prop_assert!(edge < 1e-3 || (label == 3) == outline.contains(centre), "{centre:?}: {label}");
        }
    }
}

/// Of a point from a segment.
fn distance(p: Point<sonotap::ImageSpace>, a: Point<sonotap::ImageSpace>, b: Point<sonotap::ImageSpace>) -> f32 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let t = (((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
    p.distance(Point::new(a.x + t * dx, a.y + t * dy))
}
