//! DICOM files as a source of frames: what is read, what is refused, and what is never claimed.

#[path = "common/dicom.rs"]
mod fixture;

use std::time::Duration;

use dicom_core::smallvec::SmallVec;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use fixture::{Fixture, region};
use sonotap::error::{Error, ErrorKind};
use sonotap::frame::{Frame, PixelFormat, RegionContent, ScaleSource};
use sonotap::geometry::Rect;
use sonotap::source::dicom::DicomSource;
use sonotap::source::{FrameSource, Next};
use sonotap::units::{FrameId, Timestamp};

const HEART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/cine/heart-4ch.dcm");
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

fn with_regions(regions: Vec<InMemDicomObject>) -> (Frame, Option<String>) {
    let mut fixture = Fixture::new(320, 240);
    fixture.regions(regions);
    (fixture.first(), fixture.open().unwrap().scale_refused().map(str::to_owned))
}

fn whole(e: &Error) -> String {
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(e) = cause {
        text += &format!(" / {e}");
        cause = e.source();
    }
    text
}

/// Reference values: pydicom 3.0.2 with pylibjpeg-libjpeg 2.5.0, `pixel_array(ds)` (RGB), mean over each frame and some
/// pixels of it. The largest difference of any sample of the cine between the two decoders is 3.
#[test]
fn bundled_cine_decodes_to_the_pixels_that_pydicom_sees() {
    let mut cine = DicomSource::open(HEART.as_ref()).unwrap();
    let description = cine.description().clone();
    assert_eq!(description.name, "DICOM cine 320x240, 30 frames");
    assert_eq!((description.width, description.height, description.frames), (320, 240, Some(30)));
    assert_eq!(description.frame_period, Some(Duration::from_nanos(33_333_000)));
    let mut frames = Vec::new();
    let mut frame = Frame::default();
    while cine.next_into(&mut frame).unwrap() == Next::Filled {
        frames.push(frame.clone());
    }
    assert_eq!(frames.len(), 30);
    for (n, mean, pixels) in [
        (0, [9.22, 9.54, 9.68], [((160, 180), [135; 3]), ((160, 60), [49; 3]), ((140, 100), [18; 3])]),
        (10, [10.08, 10.40, 10.53], [((141, 176), [129; 3]), ((160, 60), [33; 3]), ((170, 180), [116; 3])]),
        (29, [10.36, 10.68, 10.78], [((173, 177), [117; 3]), ((160, 60), [37; 3]), ((140, 100), [11; 3])]),
    ] {
        let frame = &frames[n];
        assert_eq!(frame.format(), PixelFormat::Rgb8);
        for (channel, expected) in mean.into_iter().enumerate() {
            let sum: u64 = frame.pixels().iter().skip(channel).step_by(3).map(|&v| u64::from(v)).sum();
            let got = sum as f64 / (320.0 * 240.0);
            assert!((got - expected).abs() < 0.1, "frame {n}, channel {channel}: mean {got}, not {expected}");
        }
        let colour_marker = ((190, 20), [73, 143, 119]);
        for ((x, y), expected) in pixels.into_iter().chain([colour_marker]) {
            let got = &frame.row(y)[3 * x..3 * x + 3];
            let is_close = got.iter().zip(expected).all(|(&a, b): (&u8, u8)| a.abs_diff(b) <= 3);
            assert!(is_close, "frame {n} at {x},{y}: {got:?}, not {expected:?}");
        }
    }
}

#[test]
fn region_of_another_size_gives_no_scale() {
    let mut cine = DicomSource::open(HEART.as_ref()).unwrap();
    let mut frame = Frame::default();
    cine.next_into(&mut frame).unwrap();
    assert_eq!(frame.scale(), None);
    assert_eq!((frame.region().rect, frame.region().content), (frame.bounds(), RegionContent::BMode));
    let reason = cine.scale_refused().unwrap();
    assert!(reason.contains("another size: 84,31 to 595,414 reaches beyond 320x240"), "{reason}");

    let tissue = region(1, 1, [0, 0, 199, 199], [0.05, 0.05]);
    let (frame, refused) = with_regions(vec![tissue.clone(), region(3, 3, [0, 300, 500, 470], [0.05, 0.05])]);
    assert_eq!(
        (frame.scale(), frame.region().rect),
        (None, frame.bounds()),
        "one box out of bounds discredits them all"
    );
    assert!(refused.unwrap().contains("another size"));
    assert!(with_regions(vec![tissue]).0.scale().is_some());
}

#[test]
fn anisotropic_deltas_give_a_scale_per_axis() {
    let (frame, refused) = with_regions(vec![region(1, 1, [10, 20, 309, 219], [0.05, -0.03])]);
    assert_eq!(refused, None);
    assert_eq!(frame.region().rect, Rect::new(10.0, 20.0, 310.0, 220.0));
    assert_eq!(frame.region().content, RegionContent::BMode);
    let scale = frame.scale().unwrap();
    assert_eq!((scale.mm_per_px(), scale.source()), ((0.5, 0.3), ScaleSource::DicomRegion));
}

#[test]
fn only_centimetres_on_both_axes_give_a_scale() {
    for (tag, unit) in [(tags::PHYSICAL_UNITS_X_DIRECTION, 4), (tags::PHYSICAL_UNITS_Y_DIRECTION, 0)] {
        let mut tissue = region(1, 1, [0, 0, 319, 239], [0.05, 0.05]);
        tissue.put(DataElement::new(tag, VR::US, PrimitiveValue::from(unit as u16)));
        let (frame, refused) = with_regions(vec![tissue]);
        assert_eq!((frame.scale(), frame.region().content), (None, RegionContent::BMode));
        assert!(refused.unwrap().contains("centimetres"));
    }
}

#[test]
fn doppler_region_is_not_taken_for_b_mode() {
    let box_ = [40, 40, 279, 199];
    let deltas = [0.05, 0.05];
    let tissue = || region(1, 1, box_, deltas);
    let rect = Rect::new(40.0, 40.0, 280.0, 200.0);
    let everything = Rect::new(0.0, 0.0, 320.0, 240.0);
    for (what, regions, content, expected) in [
        ("colour flow", vec![region(1, 2, box_, deltas)], RegionContent::ColourDoppler, rect),
        (
            "flow over tissue",
            vec![tissue(), region(1, 2, [90, 90, 150, 150], deltas)],
            RegionContent::ColourDoppler,
            rect,
        ),
        ("flow beside tissue", vec![tissue(), region(1, 2, [279, 40, 319, 199], deltas)], RegionContent::BMode, rect),
        ("pulsed wave", vec![region(3, 3, box_, deltas)], RegionContent::Trace, everything),
        ("M-mode", vec![region(2, 1, box_, deltas)], RegionContent::Trace, everything),
        ("ECG", vec![region(4, 0xA, box_, deltas)], RegionContent::Trace, everything),
        ("no type", vec![region(1, 0, box_, deltas)], RegionContent::Unknown, rect),
        ("nothing", vec![], RegionContent::Unknown, everything),
    ] {
        let (frame, refused) = with_regions(regions);
        assert_eq!((frame.region().content, frame.region().rect), (content, expected), "{what}");
        assert_eq!(frame.scale().is_none(), refused.is_some(), "{what}");
        if matches!(content, RegionContent::Trace | RegionContent::Unknown) {
            assert_eq!(frame.scale(), None, "{what} has a scale");
        }
    }
}

#[test]
fn tissue_is_chosen_among_traces_and_bars() {
    let (frame, refused) = with_regions(vec![
        region(3, 4, [0, 150, 319, 239], [0.01, 2.0]),
        region(1, 0xE, [300, 0, 319, 239], [0.0, 0.0]),
        region(1, 1, [20, 10, 219, 129], [0.04, 0.04]),
        region(4, 0xA, [0, 130, 319, 149], [0.0, 0.0]),
        region(5, 0, [0, 0, 0, 0], [0.0, 0.0]),
    ]);
    assert_eq!(frame.region().content, RegionContent::BMode);
    assert_eq!(frame.region().rect, Rect::new(20.0, 10.0, 220.0, 130.0));
    assert_eq!((frame.scale().unwrap().mm_per_px(), refused), ((0.4, 0.4), None));
}

#[test]
fn every_photometric_interpretation_becomes_grey_or_rgb() {
    let grey: Vec<u8> = (0..12).map(|v| v * 20).collect();
    let rgb: Vec<u8> = (0..36).map(|v| v * 7).collect();
    let planes: Vec<u8> = (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).copied()).collect();
    let inverted: Vec<u8> = grey.iter().map(|v| 255 - v).collect();
    // Y, Cb, Cr of black, white, red and blue, and what they become.
    let ybr = [[0, 128, 128], [255, 128, 128], [76, 85, 255], [29, 255, 107]].repeat(3).concat();
    let of_ybr = [[0, 0, 0], [255, 255, 255], [254, 0, 0], [0, 0, 254]].repeat(3).concat();
    // Two pixels of 76 and 29 that share the chroma of red.
    let of_pairs = [[254, 0, 0], [207, 0, 0]].repeat(6).concat();
    let base = Fixture::new(4, 3);
    let colour = |photometric, planar, stored: &[u8]| {
        let mut fixture = base.clone();
        fixture.colour(photometric, planar).bytes(stored);
        fixture
    };
    let mut monochrome = base.clone();
    monochrome.bytes(&grey);
    let mut monochrome1 = monochrome.clone();
    monochrome1.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    for (what, fixture, format, expected) in [
        ("MONOCHROME2", monochrome, PixelFormat::Grey8, &grey),
        ("MONOCHROME1", monochrome1, PixelFormat::Grey8, &inverted),
        ("RGB by pixel", colour("RGB", 0, &rgb), PixelFormat::Rgb8, &rgb),
        ("RGB by plane", colour("RGB", 1, &planes), PixelFormat::Rgb8, &rgb),
        ("YBR_FULL", colour("YBR_FULL", 0, &ybr), PixelFormat::Rgb8, &of_ybr),
        ("YBR_FULL_422", colour("YBR_FULL_422", 0, &[76, 29, 85, 255].repeat(6)), PixelFormat::Rgb8, &of_pairs),
    ] {
        for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN, BIG_ENDIAN] {
            let mut fixture = fixture.clone();
            fixture.syntax = syntax;
            let frame = fixture.first();
            assert_eq!(frame.format(), format, "{what} in {syntax}");
            assert_eq!(&frame.pixels(), expected, "{what} in {syntax}");
        }
    }
}

#[test]
fn samples_in_words_are_read_in_every_byte_order() {
    let grey: Vec<u8> = (0..12).map(|v| v * 20 + 1).collect();
    let in_words: Vec<u8> = grey.iter().flat_map(|&v| [v, 0]).collect();
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN, BIG_ENDIAN] {
        let mut packed = Fixture::new(4, 3);
        packed.words(&grey).syntax = syntax;
        assert_eq!(packed.first().pixels(), grey, "8 bits allocated in {syntax}");
        let mut wide = Fixture::new(4, 3);
        wide.word(tags::BITS_ALLOCATED, 16).words(&in_words).syntax = syntax;
        assert_eq!(wide.first().pixels(), grey, "16 bits allocated in {syntax}");
    }
}

#[test]
fn palette_colours_are_looked_up() {
    let mut fixture = Fixture::new(4, 1);
    fixture.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR").bytes(&[9, 10, 11, 200]);
    for (descriptor, values, table) in [
        (
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            [0x1000, 0x2000, 0x3000],
        ),
        (
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            [0x1100, 0x2100, 0x3100],
        ),
        (
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
            [0x1200, 0x2200, 0x32FF],
        ),
    ] {
        let described: [u16; 3] = [3, 10, 16];
        fixture.put(DataElement::new(descriptor, VR::US, PrimitiveValue::U16(SmallVec::from_slice(&described))));
        fixture.put(DataElement::new(values, VR::OW, PrimitiveValue::U16(SmallVec::from_slice(&table))));
    }
    let rows = [[0x10, 0x11, 0x12], [0x10, 0x11, 0x12], [0x20, 0x21, 0x22], [0x30, 0x31, 0x32]];
    assert_eq!(fixture.first().pixels(), rows.concat());
}

/// An RLE frame (PS3.5 annex G): each segment as one run, or as literals.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let mut header = vec![segments.len() as u32];
    let mut body = Vec::new();
    for segment in segments {
        header.push(64 + body.len() as u32);
        if segment.iter().all(|v| v == &segment[0]) {
            body.extend([(257 - segment.len()) as u8, segment[0]]);
        } else {
            body.push(segment.len() as u8 - 1);
            body.extend_from_slice(segment);
        }
        if body.len() % 2 == 1 {
            body.push(128);
        }
    }
    header.resize(16, 0);
    header.into_iter().flat_map(u32::to_le_bytes).chain(body).collect()
}

#[test]
fn rle_frames_are_literals_and_runs_of_planes() {
    let ramp: Vec<u8> = (0..12).map(|v| v * 20).collect();
    let mut grey = Fixture::new(4, 3);
    grey.frames("2").encapsulated(uids::RLE_LOSSLESS, vec![], vec![rle(&[&[7; 12]]), rle(&[&ramp])]);
    let mut source = grey.open().unwrap();
    let mut frame = Frame::default();
    source.next_into(&mut frame).unwrap();
    assert_eq!(frame.pixels(), [7; 12]);
    source.next_into(&mut frame).unwrap();
    assert_eq!(frame.pixels(), ramp);

    let mut rgb = Fixture::new(4, 3);
    rgb.colour("RGB", 0).encapsulated(uids::RLE_LOSSLESS, vec![], vec![rle(&[&ramp, &[50; 12], &ramp])]);
    let expected: Vec<u8> = ramp.iter().flat_map(|&v| [v, 50, v]).collect();
    assert_eq!(rgb.first().pixels(), expected);

    let mut words = Fixture::new(4, 3);
    words.word(tags::BITS_ALLOCATED, 16);
    words.encapsulated(uids::RLE_LOSSLESS, vec![], vec![rle(&[&[0; 12], &ramp])]);
    assert_eq!(words.first().pixels(), ramp);

    let mut short = Fixture::new(5, 3);
    short.encapsulated(uids::RLE_LOSSLESS, vec![], vec![rle(&[&ramp])]);
    let e = short.open().unwrap_err();
    assert!(e.to_string().contains("frame 1 of 1: RLE: segment 0 ends 3 pixels early"), "{e}");
}

fn jpeg(width: u32, height: u32, value: u8) -> Vec<u8> {
    let picture = image::GrayImage::from_pixel(width, height, image::Luma([value]));
    let mut coded = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut coded, 95).encode_image(&picture).unwrap();
    if coded.len() % 2 == 1 {
        coded.push(0);
    }
    coded
}

#[test]
fn jpeg_frames_are_found_in_any_fragments() {
    let values = [20u8, 120, 220];
    let frames: Vec<Vec<u8>> = values.iter().map(|&v| jpeg(16, 8, v)).collect();
    let halves: Vec<Vec<u8>> = frames.iter().flat_map(|f| f.chunks(f.len() / 4 * 2).map(<[u8]>::to_vec)).collect();
    let starts = frames.iter().scan(0, |at, f| {
        let pieces = f.chunks(f.len() / 4 * 2).count();
        Some(std::mem::replace(at, *at + f.len() as u32 + 8 * pieces as u32))
    });
    for (what, offsets, fragments) in [
        ("one fragment a frame", vec![], frames.clone()),
        ("halves with an offset table", starts.collect(), halves.clone()),
        ("halves without a table", vec![], halves.clone()),
    ] {
        let mut fixture = Fixture::new(16, 8);
        fixture.frames("3").encapsulated(uids::JPEG_BASELINE8_BIT, offsets, fragments);
        let mut source = fixture.open().unwrap();
        let mut frame = Frame::default();
        for value in values {
            assert_eq!(source.next_into(&mut frame).unwrap(), Next::Filled);
            assert!(
                frame.pixels().iter().all(|v| v.abs_diff(value) <= 1),
                "{what}: {value} became {:?}",
                frame.pixels()
            );
        }
    }
    let mut fixture = Fixture::new(16, 8);
    fixture.frames("4").encapsulated(uids::JPEG_BASELINE8_BIT, vec![], halves);
    let source = fixture.open().unwrap();
    let damaged = source.damaged().load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((source.description().frames, damaged), (Some(3), 1), "one of four announced frames is not there");
}

#[test]
fn coded_rgb_is_not_converted_unless_the_frame_says_that_it_is_ycbcr() {
    let picture = image::RgbImage::from_pixel(16, 8, image::Rgb([200, 50, 50]));
    let mut with_jfif = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut with_jfif, 95).encode_image(&picture).unwrap();
    assert_eq!(with_jfif[2..4], [0xFF, 0xE0], "the encoder writes a JFIF marker first");
    let marker_len = 2 + usize::from(u16::from_be_bytes([with_jfif[4], with_jfif[5]]));
    let without = [&with_jfif[..2], &with_jfif[2 + marker_len..]].concat();
    // The coded samples of (200, 50, 50): Y 94.85, Cb 102.7, Cr 203 (PS3.3 C.7.6.3.1.2).
    for (photometric, coded, expected) in [
        ("YBR_FULL_422", &with_jfif, [200, 50, 50]),
        ("YBR_FULL_422", &without, [200, 50, 50]),
        ("RGB", &with_jfif, [200, 50, 50]),
        ("RGB", &without, [95, 103, 203]),
    ] {
        let mut fixture = Fixture::new(16, 8);
        let mut coded = coded.clone();
        coded.resize(coded.len().next_multiple_of(2), 0);
        fixture.colour(photometric, 0).encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![coded]);
        let frame = fixture.first();
        let is_close = frame.pixels().iter().zip(expected.iter().cycle()).all(|(a, b): (&u8, &u8)| a.abs_diff(*b) <= 3);
        assert!(is_close, "{photometric}: {:?}, not {expected:?}", &frame.pixels()[..3]);
    }
}

#[test]
fn jpeg_of_another_size_is_refused() {
    for (size, coded) in [((16, 8), jpeg(32, 32, 9)), ((16, 8), jpeg(8, 8, 9)), ((16, 8), vec![0xFF, 0xD8, 0xFF, 0xD9])]
    {
        let mut fixture = Fixture::new(size.0, size.1);
        fixture.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![coded]);
        let e = fixture.open().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().starts_with("frame 1 of 1: JPEG: "), "{e}");
    }
}

#[test]
fn what_is_not_an_ultrasound_image_is_unsupported() {
    for (class, modality) in [
        (uids::CT_IMAGE_STORAGE, "CT"),
        (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "MR"),
        (uids::ULTRASOUND_IMAGE_STORAGE, "MR"),
    ] {
        let mut fixture = Fixture::new(4, 3);
        fixture.text(tags::SOP_CLASS_UID, VR::UI, class).text(tags::MODALITY, VR::CS, modality);
        let e = fixture.open().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        let message = e.to_string();
        assert!(message.contains("1.2.840.10008.5.1.4.1.1.6.1") && message.contains(class), "{message}");
        assert!(message.contains(modality), "{message}");
    }
    for class in [
        "1.2.840.10008.5.1.4.1.1.6.1",
        "1.2.840.10008.5.1.4.1.1.3.1",
        "1.2.840.10008.5.1.4.1.1.6",
        "1.2.840.10008.5.1.4.1.1.3",
    ] {
        let mut fixture = Fixture::new(4, 3);
        fixture.text(tags::SOP_CLASS_UID, VR::UI, class);
        assert!(fixture.open().is_ok(), "{class}");
    }
}

#[test]
fn other_transfer_syntaxes_are_named() {
    for syntax in ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.201", uids::MPEG4HP41, uids::MPEG2MPML] {
        let mut fixture = Fixture::new(4, 3);
        fixture.encapsulated(syntax, vec![], vec![vec![0; 8]]);
        let e = fixture.open().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains(syntax), "{e}");
    }
}

#[test]
fn headers_that_cannot_be_are_refused_with_what_was_expected() {
    type Edit = fn(&mut Fixture) -> &mut Fixture;
    let cases: [(&str, Edit, ErrorKind); 15] = [
        ("Rows (0028,0010): expected 1 to 8192, got 0", |f| f.word(tags::ROWS, 0), ErrorKind::Unsupported),
        ("Columns (0028,0011): expected 1 to 8192, got 8193", |f| f.word(tags::COLUMNS, 8193), ErrorKind::Unsupported),
        ("Rows (0028,0010): expected a value, got none", |f| f.without(tags::ROWS), ErrorKind::Format),
        ("expected 1 to 100000, got 0", |f| f.frames("0"), ErrorKind::Format),
        ("(0028,0008): expected a whole number", |f| f.frames("-3"), ErrorKind::Format),
        ("expected 1 to 100000, got 2000000000", |f| f.frames("2000000000"), ErrorKind::Unsupported),
        (
            "expected at most 12582912 px a frame, got 8192x8192",
            |f| f.word(tags::ROWS, 8192).word(tags::COLUMNS, 8192),
            ErrorKind::Unsupported,
        ),
        ("expected 12 bytes for 1 frames of 4x3 px, got 10", |f| f.bytes(&[0; 10]), ErrorKind::Format),
        ("Bits Stored (0028,0101): expected 2 to 8, got 12", |f| f.word(tags::BITS_STORED, 12), ErrorKind::Unsupported),
        (
            "Bits Allocated (0028,0100): expected [8, 16, 32], got 1",
            |f| f.word(tags::BITS_ALLOCATED, 1),
            ErrorKind::Unsupported,
        ),
        ("Pixel Representation (0028,0103)", |f| f.word(tags::PIXEL_REPRESENTATION, 2), ErrorKind::Unsupported),
        (
            "Samples per Pixel (0028,0002): expected [1], got 3",
            |f| f.word(tags::SAMPLES_PER_PIXEL, 3),
            ErrorKind::Unsupported,
        ),
        ("got HSV", |f| f.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "HSV"), ErrorKind::Unsupported),
        ("expected Pixel Data (7FE0,0010), got none", |f| f.without(tags::PIXEL_DATA), ErrorKind::Format),
        ("SOP Class UID (0008,0016)", |f| f.without(tags::SOP_CLASS_UID).without(tags::MODALITY), ErrorKind::Format),
    ];
    for (expected, edit, kind) in cases {
        let mut fixture = Fixture::new(4, 3);
        edit(&mut fixture);
        let e = fixture.open().unwrap_err();
        assert!(e.to_string().contains(expected), "\"{e}\" does not say \"{expected}\"");
        assert_eq!(e.kind(), kind, "{e}");
    }
}

#[test]
fn what_is_no_dicom_file_is_a_format_error() {
    for bytes in [vec![], vec![0; 131], b"GIF89a".repeat(40), vec![0xFF; 4096]] {
        let e = DicomSource::from_bytes(&bytes).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().contains("not a DICOM file"), "{e}");
    }
    let e = DicomSource::open("no/such/file.dcm".as_ref()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io);
    assert!(e.to_string().contains("file.dcm"), "{e}");
}

/// The bundled cine, announced as its first frame alone, so that opening it is quick.
fn first_frame_of_heart() -> Vec<u8> {
    let mut file = std::fs::read(HEART).unwrap();
    let number_of_frames = b"\x28\x00\x08\x00IS\x02\x0030";
    let at = file.windows(10).position(|w| w == number_of_frames).unwrap();
    file[at + 8..at + 10].copy_from_slice(b"1 ");
    file
}

fn small_files() -> Vec<Vec<u8>> {
    let mut native = Fixture::new(4, 3);
    native.regions(vec![region(1, 1, [0, 0, 3, 2], [0.5, 0.5])]).frames("1");
    let mut implicit = native.clone();
    implicit.syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    let mut run_length = native.clone();
    run_length.encapsulated(uids::RLE_LOSSLESS, vec![0], vec![rle(&[&[3; 12]])]);
    let mut coded = Fixture::new(16, 8);
    coded.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![jpeg(16, 8, 77)]);
    [native, implicit, run_length, coded].iter().map(Fixture::file).collect()
}

#[test]
fn truncated_files_are_errors() {
    let heart = std::fs::read(HEART).unwrap();
    for len in (0..heart.len() - 8).step_by(heart.len() / 60) {
        assert!(DicomSource::from_bytes(&heart[..len]).is_err(), "the cine's first {len} bytes were taken for all");
    }
    for file in small_files() {
        // The last 8 bytes of encapsulated pixel data say only that there are no more.
        for len in 0..file.len() - 8 {
            assert!(DicomSource::from_bytes(&file[..len]).is_err(), "{len} of {} bytes", file.len());
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut refused = 0;
    for (rounds, file) in small_files().into_iter().map(|f| (1500, f)).chain([(40, first_frame_of_heart())]) {
        for _ in 0..rounds {
            let mut flipped = file.clone();
            for _ in 0..1 + random(3) {
                let at = 128 + random(file.len() - 128);
                flipped[at] = if random(3) == 0 { 0xFF } else { flipped[at] ^ (1 << random(8)) };
            }
            refused += usize::from(DicomSource::from_bytes(&flipped).is_err());
        }
    }
    assert!(refused > 1000, "only {refused} of the flipped files were refused");
}

#[test]
fn patient_values_appear_in_no_name_and_no_error() {
    let mut fixture = Fixture::new(4, 3);
    fixture.text(tags::PATIENT_NAME, VR::PN, "Doe^Jane").text(tags::PATIENT_ID, VR::LO, "ID4711");
    assert_eq!(fixture.open().unwrap().description().name, "DICOM image 4x3");
    let file = fixture.file();
    let mut refusals: Vec<Error> = (0..file.len()).filter_map(|n| DicomSource::from_bytes(&file[..n]).err()).collect();
    type Edit = fn(&mut Fixture) -> &mut Fixture;
    let edits: [Edit; 4] = [
        |f| f.text(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        |f| f.word(tags::ROWS, 0),
        |f| f.without(tags::BITS_STORED),
        |f| f.text(tags::PATIENT_BIRTH_DATE, VR::DA, "19Z8Doe1").frames("many"),
    ];
    for edit in edits {
        let mut fixture = fixture.clone();
        refusals.push(edit(&mut fixture).open().unwrap_err());
    }
    for message in refusals.iter().map(whole) {
        for secret in ["Doe", "Jane", "ID4711", "19Z8"] {
            assert!(!message.contains(secret), "\"{message}\" tells \"{secret}\"");
        }
    }
}

#[test]
fn frame_period_comes_from_the_first_tag_that_makes_sense() {
    type Case<'a> = (&'a [(Tag, VR, &'a str)], Option<u64>);
    let cases: &[Case] = &[
        (&[], None),
        (&[(tags::FRAME_TIME, VR::DS, "33.333")], Some(33_333_000)),
        (&[(tags::FRAME_TIME, VR::DS, "0"), (tags::CINE_RATE, VR::IS, "50")], Some(20_000_000)),
        (&[(tags::FRAME_TIME_VECTOR, VR::DS, "0\\40\\50\\60")], Some(50_000_000)),
        (&[(tags::FRAME_TIME_VECTOR, VR::DS, "0"), (tags::CINE_RATE, VR::IS, "25")], Some(40_000_000)),
        (&[(tags::RECOMMENDED_DISPLAY_FRAME_RATE, VR::IS, "20"), (tags::CINE_RATE, VR::IS, "25")], Some(50_000_000)),
        (&[(tags::CINE_RATE, VR::IS, "0")], None),
    ];
    for (elements, expected) in cases {
        let mut fixture = Fixture::new(4, 3);
        for (tag, vr, value) in *elements {
            fixture.text(*tag, *vr, value);
        }
        assert_eq!(
            fixture.open().unwrap().description().frame_period,
            expected.map(Duration::from_nanos),
            "{elements:?}"
        );
    }
}

#[test]
fn a_cine_ends_rewinds_and_reuses_the_frame() {
    let mut fixture = Fixture::new(4, 3);
    fixture.frames("2").bytes(&(0..24).collect::<Vec<u8>>());
    let mut source = fixture.open().unwrap();
    let mut frame = Frame::default();
    frame.stamp(FrameId(7), Timestamp::from_ns(9));
    assert_eq!(source.next_into(&mut frame).unwrap(), Next::Filled);
    let buffer = frame.pixels().as_ptr();
    assert_eq!(source.next_into(&mut frame).unwrap(), Next::Filled);
    assert_eq!(frame.pixels(), (12..24).collect::<Vec<u8>>());
    assert_eq!(source.next_into(&mut frame).unwrap(), Next::End);
    assert_eq!(source.next_into(&mut frame).unwrap(), Next::End);
    source.rewind();
    assert_eq!(source.next_into(&mut frame).unwrap(), Next::Filled);
    assert_eq!(frame.pixels(), (0..12).collect::<Vec<u8>>());
    assert_eq!(frame.pixels().as_ptr(), buffer, "the pixel buffer was allocated again");
    assert_eq!(
        (frame.id(), frame.captured()),
        (Some(FrameId(7)), Timestamp::from_ns(9)),
        "id and time are the capture side's"
    );
}
