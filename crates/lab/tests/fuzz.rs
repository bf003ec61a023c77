//! Mutated inputs of every parser: an error or a result, never a panic. Seeded, so that a failure comes again.
//!
//! `SONOTAP_FUZZ` is the number of inputs of each target (200 by default). With `SONOTAP_FUZZ_LIMITS` each target also reports its
//! longest input and the process's peak memory, and fails beyond a second or 256 MiB: `.ci/fuzz` runs it so, a process each.
//! `SONOTAP_FUZZ_ONLY=N` takes input N alone and leaves its bytes in the folder of temporary files.

#[path = "../../../tests/common/dicom.rs"]
mod fixture;

use std::path::Path;
use std::time::{Duration, Instant};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use fixture::{Fixture, region};
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use sonotap::frame::Frame;
use sonotap::input::script::Script;
use sonotap::model::manifest::Manifest;
use sonotap::profile::Profile;
use sonotap::source::dicom::DicomSource;
use sonotap::source::images::{ImagesSource, load_still};
use sonotap::source::{FrameSource, Next};
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use sonotap_lab::eval::truth;
use tract_fused::{FuseInt8, Kernels};
use tract_onnx::prelude::*;

/// Longest time for one input, and most memory of the process, in `.ci/fuzz`.
const LONGEST: Duration = Duration::from_secs(1);
const MEMORY_MIB_MAX: u64 = 256;
/// Values that break arithmetic.
const EDGES: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF, b'"', b'0'];

/// Bits flipped, bytes set to edges, stretches cut, doubled, swapped or taken from another seed.
fn mutated(seeds: &[Vec<u8>], random: &mut Pcg64Mcg) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..5) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..64)).min(bytes.len());
        match random.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 | 3 => bytes[at] = EDGES[random.random_range(0..EDGES.len())],
            4 => drop(bytes.drain(at..end)),
            5 => bytes.truncate(at),
            6 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len().saturating_sub(1));
                let part = other[from..(from + end - at).min(other.len())].to_vec();
                bytes.splice(at..end, part);
            }
        }
    }
    bytes
}

/// Whether time and memory are bounded.
fn is_limited() -> bool {
    std::env::var_os("SONOTAP_FUZZ_LIMITS").is_some()
}

fn fuzz(target: &str, seeds: &[Vec<u8>], take: impl FnMut(&[u8])) {
    let inputs: usize = std::env::var("SONOTAP_FUZZ").map_or(200, |n| n.parse().unwrap());
    fuzz_with(target, seeds, inputs, is_limited(), take);
}

fn fuzz_with(target: &str, seeds: &[Vec<u8>], inputs: usize, is_limited: bool, mut take: impl FnMut(&[u8])) {
    let only = std::env::var("SONOTAP_FUZZ_ONLY").ok().map(|n| n.parse::<usize>().unwrap());
    seeds.iter().for_each(|seed| take(seed));
    let mut random = Pcg64Mcg::seed_from_u64(0x50_4E_54_41);
    let (mut longest, mut longest_at) = (Duration::ZERO, 0);
    for i in 0..only.map_or(inputs, |i| i + 1) {
        let input = mutated(seeds, &mut random);
        if only.is_some_and(|only| only != i) {
            continue;
        }
        if only.is_some() {
            let path = std::env::temp_dir().join(format!("sonotap-fuzz-{}-{i}", target.replace(' ', "-")));
            std::fs::write(&path, &input).unwrap();
            println!("{target}: input {i} in {}", path.display());
        }
        let timed = |take: &mut dyn FnMut(&[u8])| {
            let began = Instant::now();
            take(&input);
            began.elapsed()
        };
        let mut took = timed(&mut take);
        // Beside other work anything may take a second once.
        for _ in 0..3 {
            if is_limited && took > LONGEST {
                took = took.min(timed(&mut take));
            }
        }
        if took > longest {
            (longest, longest_at) = (took, i);
        }
        assert!(!is_limited || took <= LONGEST, "{target}: input {i} took {took:?}");
    }
    if is_limited {
        let peak = peak_mib();
        println!(
            "{target}: {inputs} inputs, longest {:.0} ms ({longest_at}), peak {peak} MiB",
            longest.as_secs_f64() * 1e3
        );
        assert!(peak <= MEMORY_MIB_MAX, "{target}: {peak} MiB");
    }
}

/// Peak resident memory of the process, MiB; Linux says so.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn play(source: &mut dyn FrameSource) {
    let mut frame = Frame::default();
    // A damaged count of frames may announce many.
    for _ in 0..8 {
        if !matches!(source.next_into(&mut frame), Ok(Next::Filled)) {
            return;
        }
        let _ = source.interval();
    }
}

fn picture() -> GrayImage {
    GrayImage::from_fn(24, 16, |x, y| Luma([(x * 9 + y * 5) as u8]))
}

fn coded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(24, 16, |x, y| Rgb([x as u8 * 9, y as u8 * 7, 50])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpegs() -> Vec<Vec<u8>> {
    let encode = |progressive: bool, sampling| {
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
        encoder.set_progressive(progressive);
        encoder.set_sampling_factor(sampling);
        let rgb: Vec<u8> = picture().iter().flat_map(|v| [*v, v / 2, 255 - v]).collect();
        encoder.encode(&rgb, 24, 16, jpeg_encoder::ColorType::Rgb).unwrap();
        bytes
    };
    use jpeg_encoder::SamplingFactor::{R_4_2_2, R_4_4_4};
    vec![encode(false, R_4_4_4), encode(true, R_4_2_2), encode(false, R_4_2_2)]
}

/// A lossless frame of four pixels and a JPEG-LS one of sixteen, by hand.
const LS: [u8; 72] = [
    0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xF8, 0x00, 0x0D,
    0x01, 0x00, 0xFF, 0x00, 0x03, 0x00, 0x07, 0x00, 0x15, 0x00, 0x40, 0xFF, 0xDA, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00,
    0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6,
    0x00, 0x00, 0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8, 0x00, 0x00, 0x91, 0x60, 0xFF, 0xD9,
];

fn dicom_seeds() -> Vec<Vec<u8>> {
    let mut native = Fixture::new(24, 16);
    native.regions(vec![region(1, 1, [0, 0, 15, 15], [0.5, 0.5]), region(3, 3, [16, 0, 23, 15], [0.5, 0.5])]);
    native.frames("2").text(tags::FRAME_TIME_VECTOR, VR::DS, "0\\40").bytes(&[7; 768]);
    let mut implicit = native.clone();
    implicit.syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    let mut wide = Fixture::new(4, 3);
    wide.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11).words(&[9; 24]);
    let mut files = vec![native.file(), implicit.file(), wide.file()];
    for (i, jpeg) in jpegs().into_iter().enumerate() {
        let mut fixture = Fixture::new(24, 16);
        let syntax = [uids::JPEG_BASELINE8_BIT, uids::JPEG_EXTENDED12_BIT][i % 2];
        let frames = vec![[jpeg.clone(), vec![0; jpeg.len() % 2]].concat(); 2];
        fixture.colour("YBR_FULL_422", 0).frames("2").encapsulated(syntax, vec![], frames);
        files.push(fixture.file());
    }
    let mut ls = Fixture::new(4, 4);
    ls.encapsulated(uids::JPEGLS_LOSSLESS, vec![], vec![LS.to_vec()]);
    // What gdcm wrote, in grey of 12 bits and in colour.
    for kind in ["j2k", "jls", "ll"] {
        let coded = |name: String| {
            let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/dicom"));
            std::fs::read(folder.join(name)).unwrap()
        };
        let (mut grey, mut rgb) = (Fixture::new(16, 8), Fixture::new(16, 8));
        grey.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
        grey.encapsulated(uids::JPEG2000_LOSSLESS, vec![], vec![coded(format!("g12_{kind}.bin"))]);
        rgb.colour("RGB", 0);
        rgb.frames("2").encapsulated(uids::JPEG2000_LOSSLESS, vec![], vec![coded(format!("rgb_{kind}.bin")); 2]);
        files.extend([grey.file(), rgb.file()]);
    }
    let mut rle = Fixture::new(4, 4);
    let header = [1u32, 64].into_iter().flat_map(u32::to_le_bytes).chain([0; 56]);
    rle.encapsulated(uids::RLE_LOSSLESS, vec![0], vec![header.chain([241, 9]).collect()]);
    files.extend([ls.file(), rle.file()]);
    files
}

#[test]
fn mutated_dicom_files_never_panic() {
    fuzz("DICOM", &dicom_seeds(), |bytes| {
        if let Ok(mut source) = DicomSource::from_bytes(bytes) {
            play(&mut source);
        }
    });
}

/// Of whole files one in five gets past the header. Here the file is whole, and its frame is mutated.
#[test]
fn mutated_frames_of_every_codec_never_panic() {
    let reference = |name: &str| {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/dicom"));
        std::fs::read(folder.join(name)).unwrap()
    };
    let mut kinds: Vec<(Fixture, &'static str, Vec<u8>)> = Vec::new();
    for kind in ["j2k", "jls", "ll"] {
        let (mut grey, mut rgb) = (Fixture::new(16, 8), Fixture::new(16, 8));
        grey.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
        rgb.colour("RGB", 0);
        kinds.push((grey, uids::JPEG2000_LOSSLESS, reference(&format!("g12_{kind}.bin"))));
        kinds.push((rgb, uids::JPEG2000_LOSSLESS, reference(&format!("rgb_{kind}.bin"))));
    }
    for jpeg in jpegs() {
        let mut fixture = Fixture::new(24, 16);
        fixture.colour("YBR_FULL_422", 0);
        kinds.push((fixture, uids::JPEG_BASELINE8_BIT, jpeg));
    }
    kinds.push((Fixture::new(4, 4), uids::JPEGLS_LOSSLESS, LS.to_vec()));
    let header = [1u32, 64].into_iter().flat_map(u32::to_le_bytes).chain([0; 56]);
    kinds.push((Fixture::new(4, 4), uids::RLE_LOSSLESS, header.chain([241, 9]).collect()));
    // The first byte says whose frame it is.
    let seeds: Vec<Vec<u8>> = kinds.iter().enumerate().map(|(i, k)| [&[i as u8][..], &k.2].concat()).collect();
    fuzz("frames", &seeds, |bytes| {
        let Some((kind, frame)) = bytes.split_first() else { return };
        let (mut fixture, syntax, _) = kinds[usize::from(*kind) % kinds.len()].clone();
        let frame = [frame, &[0][..frame.len() % 2]].concat();
        fixture.encapsulated(syntax, vec![], vec![frame]);
        if let Ok(mut source) = fixture.open() {
            play(&mut source);
        }
    });
}

/// A JPEG that says another size in its frame header.
fn resized(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = jpeg.to_vec();
    let at = jpeg.windows(2).position(|w| w[0] == 0xFF && matches!(w[1], 0xC0..=0xC3)).unwrap();
    jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// Small files that ask for the most that the bounds allow, or for more.
fn bombs() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut bombs = Vec::new();
    let (w, h) = (4096u16, 3072u16);
    let pixels = usize::from(w) * usize::from(h);
    let empty = |w, h| {
        let mut fixture = Fixture::new(1, 1);
        fixture.word(tags::COLUMNS, w).word(tags::ROWS, h).frames("8");
        fixture
    };
    let repeated = |jpeg: &[u8]| {
        let scan = jpeg.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
        let (head, scan) = (&jpeg[..scan], &jpeg[scan..jpeg.len() - 2]);
        [head, &scan.repeat(60), &[0xFF, 0xD9]].concat()
    };
    let [baseline, progressive, _] = <[Vec<u8>; 3]>::try_from(jpegs()).unwrap();
    // One code of one bit, for no difference.
    let lossless = [
        &[0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 8, 0, 16, 0, 24, 1, 1, 0x11, 0, 0xFF, 0xC4, 0, 20, 0, 1][..],
        &[0; 16],
        &[0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0],
        &[0; 3000],
        &[0xFF, 0xD9],
    ]
    .concat();
    // Twelve scans in a progressive one: as large as the bound on their work lets it be.
    for (name, jpeg, samples, [w, h], [file_w, file_h]) in [
        ("baseline", baseline.clone(), 3, [4096, 3072], [6000, 4000]),
        ("baseline of sixty scans", repeated(&baseline), 3, [4096, 3072], [6000, 4000]),
        ("progressive", progressive, 3, [4096, 2700], [4000, 2780]),
        ("lossless", lossless, 1, [4096, 3072], [6000, 4000]),
    ] {
        let mut whole = resized(&jpeg, w, h);
        whole.resize(whole.len().next_multiple_of(2), 0);
        let mut fixture = empty(w, h);
        if samples == 3 {
            fixture.colour("YBR_FULL_422", 0);
        }
        fixture.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![whole; 8]);
        bombs.push((name, "dcm", fixture.file()));
        bombs.push((name, "jpg", resized(&jpeg, file_w, file_h)));
    }
    let runs = [0xFF, 0x7F].repeat(40_000);
    let mut ls = LS.to_vec();
    ls[7..11].copy_from_slice(&[[0x0C, 0x00], [0x10, 0x00]].concat());
    let mut fixture = empty(w, h);
    let scan = 41;
    let frame = [&ls[..scan], &runs, &[0xFF, 0xD9]].concat();
    fixture.encapsulated(uids::JPEGLS_LOSSLESS, vec![], vec![[&frame[..], &[0]].concat(); 8]);
    bombs.push(("JPEG-LS of runs", "dcm", fixture.file()));
    let mut flat =
        dicom_toolkit_jpeg2000::encode(&vec![9; 4 << 20], 2048, 2048, 1, 8, false, &Default::default()).unwrap();
    flat.resize(flat.len().next_multiple_of(2), 0);
    let mut fixture = empty(2048, 2048);
    fixture.encapsulated(uids::JPEG2000_LOSSLESS, vec![], vec![flat; 8]);
    bombs.push(("JPEG 2000", "dcm", fixture.file()));
    let plane = [129, 7].repeat(pixels / 128);
    let offsets = [3, 64, 64 + plane.len(), 64 + 2 * plane.len()].into_iter().flat_map(|n| (n as u32).to_le_bytes());
    let rle: Vec<u8> = offsets.chain([0; 48]).chain(plane.repeat(3)).collect();
    let mut fixture = empty(w, h);
    fixture.colour("RGB", 0).encapsulated(uids::RLE_LOSSLESS, vec![], vec![rle; 2]);
    bombs.push(("RLE", "dcm", fixture.file()));
    let mut palette = empty(4, 4);
    palette.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR");
    for [descriptor, segments] in [
        [tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA],
        [tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA],
        [tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA],
    ] {
        let words = |words: &[u16]| PrimitiveValue::U16(words.into());
        palette.put(DataElement::new(descriptor, VR::US, words(&[256, 0, 16])));
        // No entry, then copies of the first 65535 segments from there, thousands of times.
        let copies = [2u16, 65535, 0, 0].repeat(40_000);
        palette.put(DataElement::new(segments, VR::OW, words(&[&[0; 140_000][..], &copies].concat())));
    }
    bombs.push(("palette of empty segments", "dcm", palette.file()));
    let item = [0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0].repeat(250_000);
    let sequence = [&[0x18, 0, 0x11, 0x60, b'S', b'Q', 0, 0][..], &(item.len() as u32).to_le_bytes(), &item].concat();
    let file = Fixture::new(24, 16).file();
    let at = file.windows(4).position(|w| w == [0x28, 0, 2, 0]).unwrap();
    bombs.push(("items", "dcm", [&file[..at], &sequence, &file[at..]].concat()));
    for side in [4096, 4896] {
        let mut png = std::io::Cursor::new(Vec::new());
        RgbImage::from_pixel(side, side, Rgb([7; 3])).write_to(&mut png, ImageFormat::Png).unwrap();
        bombs.push(("PNG", "png", png.into_inner()));
    }
    let mut cine = Vec::new();
    let mut encoder = gif::Encoder::new(&mut cine, 6000, 4000, &[0, 0, 0, 80, 80, 80]).unwrap();
    for _ in 0..8 {
        let mut frame = gif::Frame::from_indexed_pixels(2, 2, vec![1; 4], Some(0));
        (frame.dispose, frame.delay) = (gif::DisposalMethod::Background, 4);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bombs.push(("GIF", "gif", cine));
    bombs
}

#[test]
fn small_files_that_ask_for_much_end_soon_within_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    for (name, extension, bytes) in bombs() {
        let path = folder.path().join(format!("a.{extension}"));
        std::fs::write(&path, &bytes).unwrap();
        let began = Instant::now();
        let mut said = "read".to_owned();
        match extension {
            "dcm" => match DicomSource::open(&path) {
                // A frame is the unit of work of a live path.
                Ok(mut source) => drop(source.next_into(&mut Frame::default())),
                Err(e) => said = e.to_string(),
            },
            _ => match ImagesSource::open(&path) {
                Ok(mut source) => drop(source.next_into(&mut Frame::default())),
                Err(e) => said = e.to_string(),
            },
        }
        let took = began.elapsed();
        if is_limited() {
            let (ms, peak) = (took.as_secs_f64() * 1e3, peak_mib());
            println!("{name} ({extension}): {} B, {ms:.0} ms, peak {peak} MiB: {said}", bytes.len());
            assert!(took <= LONGEST && peak <= MEMORY_MIB_MAX, "{name} ({extension}): {took:?}, {peak} MiB");
        }
    }
}

fn pictures(target: &str, name: &str, seeds: &[Vec<u8>]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fuzz(target, seeds, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let _ = load_still(&path);
        if let Ok(mut source) = ImagesSource::open(&path) {
            play(&mut source);
        }
        let _ = truth::read(&path, None);
    });
}

#[test]
fn mutated_jpeg_files_never_panic() {
    pictures("JPEG", "a.jpg", &jpegs());
}

#[test]
fn mutated_png_files_never_panic() {
    let mut grey = std::io::Cursor::new(Vec::new());
    picture().write_to(&mut grey, ImageFormat::Png).unwrap();
    let mut indexed = Vec::new();
    let mut encoder = png::Encoder::new(&mut indexed, 8, 4);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![0, 0, 0, 128, 0, 0, 0, 128, 0, 9, 9, 9]);
    encoder.write_header().unwrap().write_image_data(&[0x1B; 8]).unwrap();
    pictures("PNG", "a.png", &[coded(ImageFormat::Png), grey.into_inner(), indexed]);
}

#[test]
fn mutated_gif_files_never_panic() {
    let mut cine = Vec::new();
    let mut encoder = gif::Encoder::new(&mut cine, 8, 4, &[0, 0, 0, 80, 80, 80, 255, 0, 0]).unwrap();
    for i in 0..3u8 {
        let mut frame = gif::Frame::from_indexed_pixels(4, 2, vec![i; 8], Some(0));
        (frame.left, frame.delay) = (u16::from(i), u16::from(3 * i));
        frame.dispose =
            [gif::DisposalMethod::Keep, gif::DisposalMethod::Background, gif::DisposalMethod::Previous][usize::from(i)];
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    pictures("GIF", "a.gif", &[cine, coded(ImageFormat::Gif)]);
}

/// Text files of the repository as seeds.
fn texts(paths: &[&str]) -> Vec<Vec<u8>> {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    paths.iter().map(|p| std::fs::read(root.join(p)).unwrap()).collect()
}

#[test]
fn mutated_taps_never_panic() {
    fuzz(
        "taps",
        &texts(&["tests/scenarios/a_second_tap_brings_a_lost_object_back.toml", "assets/cine/heart-4ch.taps.toml"]),
        |bytes| {
            let _ = Script::parse(&String::from_utf8_lossy(bytes), "taps");
        },
    );
}

#[test]
fn mutated_profiles_never_panic() {
    fuzz("profile", &texts(&["firmware-config/profiles/vm.toml"]), |bytes| {
        if let Ok(profile) = Profile::parse(&String::from_utf8_lossy(bytes), "profile") {
            let _ = (profile.annotation(), profile.keep_outs(), profile.to_toml());
        }
    });
}

#[test]
fn mutated_model_manifests_never_panic() {
    fuzz("manifest", &texts(&["models/student/manifest.toml"]), |bytes| {
        let _ = Manifest::parse(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn mutated_data_set_manifests_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["images", "masks"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        picture().save(folder.path().join(name).join("a.png")).unwrap();
    }
    let seed = "image,mask,organ,class,group,split,pixel_mm,sequence,frame,value\nimages/a.png,masks/a.png,liver,\"a, b\",g,test,0.2,s,3,\n\
                images\\a.png,./masks/a.png,,,,,,,,7\n";
    fuzz("data set", &[seed.as_bytes().to_vec()], |bytes| {
        std::fs::write(folder.path().join("manifest.csv"), bytes).unwrap();
        let options = DatasetOptions { split: None, objects: ObjectChoice::Each };
        if let Ok(set) = Dataset::open(folder.path(), &options) {
            set.rows.iter().take(2).for_each(|row| drop(row.load()));
        }
    });
}

#[test]
fn mutated_graphs_never_panic_in_fusing() {
    let folder =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("crates/tract-fused/tests/reference/qdq");
    let seeds = ["exact.onnx", "foreign.onnx", "mobilenet.onnx"].map(|name| std::fs::read(folder.join(name)).unwrap());
    // Time and memory here are tract's, which is given a graph only when its SHA-256 is the manifest's.
    fuzz_with("ONNX", &seeds, 200, false, |bytes| {
        // tract itself panics on some graphs, which loading a model catches; what it can type must be fused or left.
        let typed = std::panic::catch_unwind(|| tract_fused::onnx().model_for_read(&mut &bytes[..])?.into_typed());
        if let Ok(Ok(mut model)) = typed {
            let _ = model.transform(&FuseInt8 { kernels: Some(Kernels::fastest()), outputs_as_bytes: false });
        }
    });
}
