//! What scanners, archives and phones really write: the right value of each kind, with files that the tests make.

#[path = "common/dicom.rs"]
mod fixture;

use std::sync::atomic::Ordering;
use std::time::Duration;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use fixture::{Fixture, region};
use image::{GrayImage, ImageEncoder, Luma, Rgb, RgbImage};
use sonotap::error::ErrorKind;
use sonotap::frame::{Frame, RegionContent};
use sonotap::geometry::Point;
use sonotap::region::Misplaced;
use sonotap::source::dicom::DicomSource;
use sonotap::source::images::{ImagesSource, load_still};
use sonotap::source::{FrameSource, Next};

fn frames(source: &mut dyn FrameSource) -> Vec<Frame> {
    let mut all = Vec::new();
    let mut frame = Frame::default();
    while source.next_into(&mut frame).unwrap() == Next::Filled {
        all.push(frame.clone());
    }
    all
}

fn flags(mut item: dicom_object::InMemDicomObject, flags: u32) -> dicom_object::InMemDicomObject {
    item.put(DataElement::new(tags::REGION_FLAGS, VR::UL, PrimitiveValue::from(flags)));
    item
}

#[test]
fn each_half_of_a_dual_image_has_its_own_scale() {
    let mut fixture = Fixture::new(320, 240);
    let (left, right) = (region(1, 1, [0, 0, 159, 239], [0.02, 0.02]), region(1, 1, [160, 0, 319, 239], [0.05, 0.05]));
    fixture.regions(vec![left, right]);
    let frame = fixture.first();
    assert_eq!((frame.scale(), frame.region().rect), (None, frame.bounds()), "two scales are no scale of the frame");
    for (x, mm) in [(50.0, 0.2), (200.0, 0.5)] {
        let home = frame.region_of([Point::new(x, 100.0)], None).unwrap().unwrap();
        assert!((home.scale.unwrap().mm_per_px().0 - mm).abs() < 1e-6, "{x}");
    }
}

#[test]
fn a_spectrum_a_trace_and_the_rim_take_no_prompt() {
    let mut fixture = Fixture::new(320, 240);
    fixture.regions(vec![
        region(1, 1, [20, 10, 219, 129], [0.04, 0.04]),
        region(3, 3, [0, 150, 319, 239], [0.01, 2.0]),
        region(2, 1, [230, 10, 310, 129], [0.01, 0.04]),
    ]);
    let frame = fixture.first();
    for (x, y, expected) in [
        (100.0, 100.0, None),
        (100.0, 200.0, Some(Misplaced::NotTissue(RegionContent::Spectrum))),
        (250.0, 100.0, Some(Misplaced::NotTissue(RegionContent::MMode))),
        (5.0, 5.0, Some(Misplaced::Outside)),
    ] {
        assert_eq!(frame.region_of([Point::new(x, y)], None).err(), expected, "{x},{y}");
    }
    assert!(frame.scale().is_some(), "one tissue region's scale is the frame's");
}

#[test]
fn region_flags_say_which_of_two_regions_lies_on_top() {
    let (large, small) = ([0, 0, 319, 239], [100, 100, 200, 200]);
    let at = |of_large: u32, of_small: u32| {
        let mut fixture = Fixture::new(320, 240);
        let (large, small) = (region(1, 1, large, [0.02, 0.02]), region(1, 1, small, [0.05, 0.05]));
        fixture.regions(vec![flags(large, of_large), flags(small, of_small)]);
        fixture.first().region_of([Point::new(150.0, 150.0)], None).unwrap().unwrap().scale.unwrap().mm_per_px().0
    };
    for (of_large, of_small, mm) in [(0, 0, 0.5), (1, 1, 0.5), (1, 0, 0.5), (0, 1, 0.2)] {
        assert!((at(of_large, of_small) - mm).abs() < 1e-6, "flags {of_large} and {of_small}");
    }
}

/// Speckle on black, as triplets.
fn speckle(pixels: usize) -> Vec<u8> {
    (0..pixels).flat_map(|i| [if i.is_multiple_of(3) { 0 } else { (i * 97 % 251) as u8 }; 3]).collect()
}

#[test]
fn half_chroma_by_label_and_full_chroma_by_length_is_decoded_as_its_samples_show() {
    let rgb = speckle(64 * 48);
    let ybr: Vec<u8> = rgb.chunks_exact(3).flat_map(|p| [p[0], 128, 128]).collect();
    for (what, stored) in [("RGB", &rgb), ("YBR_FULL", &ybr)] {
        let mut fixture = Fixture::new(64, 48);
        fixture.colour("YBR_FULL_422", 0).bytes(stored);
        assert_eq!(fixture.first().pixels(), rgb, "{what}");
    }
    let mut unclear = Fixture::new(64, 48);
    unclear.colour("YBR_FULL_422", 0).bytes(&(0..64 * 48 * 3).map(|i| (i * 131 % 256) as u8).collect::<Vec<_>>());
    assert_eq!(unclear.open().unwrap_err().kind(), ErrorKind::Format);
}

#[test]
fn bytes_beyond_the_frames_are_padding_or_whole_frames_or_refused() {
    // Nine bytes a frame; what has an odd length is written with one more for padding.
    for (len, is_lawful) in [(9, true), (18, true), (27, true), (11, false), (12, false), (16, false), (8, false)] {
        let mut fixture = Fixture::new(3, 3);
        fixture.bytes(&(0..len).collect::<Vec<u8>>());
        match fixture.open() {
            Ok(mut source) if is_lawful => assert_eq!(frames(&mut source)[0].pixels(), (0..9).collect::<Vec<u8>>()),
            Err(e) if !is_lawful => assert!(e.to_string().contains("expected 9 bytes for 1 frames of 3x3 px"), "{e}"),
            other => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[test]
fn colour_or_wide_samples_under_a_grey_label_are_refused() {
    let rgb = speckle(64 * 48);
    let wide: Vec<u8> = rgb.iter().step_by(3).flat_map(|v| [*v, v >> 4]).collect();
    for (stored, what) in [(rgb, "three samples a pixel"), (wide, "two bytes a sample")] {
        let mut fixture = Fixture::new(64, 48);
        fixture.bytes(&stored);
        let e = fixture.open().unwrap_err();
        assert!(e.to_string().contains(what), "{e}");
    }
}

#[test]
fn planes_and_pixels_are_told_apart_whatever_the_label_says() {
    let rgb = speckle(64 * 48);
    let planes: Vec<u8> = (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).copied()).collect();
    for (label, stored) in [(0, &rgb), (0, &planes), (1, &planes), (1, &rgb)] {
        let mut fixture = Fixture::new(64, 48);
        fixture.colour("RGB", label).bytes(stored);
        assert_eq!(fixture.first().pixels(), rgb, "planar configuration {label}");
    }
}

/// A JPEG of four bars: grey, red, blue, orange; chroma of half the width, no marker that says YCbCr.
fn bars() -> (Vec<u8>, [[u8; 3]; 4]) {
    let colours = [[120, 120, 120], [220, 30, 30], [30, 30, 220], [240, 150, 20]];
    let picture = RgbImage::from_fn(64, 32, |x, _| Rgb(colours[x as usize / 16]));
    let mut coded = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut coded, 95);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_2);
    encoder.encode(picture.as_raw(), 64, 32, jpeg_encoder::ColorType::Rgb).unwrap();
    assert_eq!(coded[2..4], [0xFF, 0xE0], "the encoder writes a JFIF marker first");
    let marker = 2 + usize::from(u16::from_be_bytes([coded[4], coded[5]]));
    coded.drain(2..2 + marker);
    coded.resize(coded.len().next_multiple_of(2), 0);
    (coded, colours)
}

#[test]
fn chroma_of_half_the_width_is_chroma_under_a_label_of_rgb() {
    let (coded, colours) = bars();
    for label in ["RGB", "YBR_FULL_422"] {
        let mut fixture = Fixture::new(64, 32);
        fixture.colour(label, 0).encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![coded.clone()]);
        let frame = fixture.first();
        for (bar, colour) in colours.iter().enumerate() {
            let at = 3 * (16 * 64 + 16 * bar + 8);
            let got = &frame.pixels()[at..at + 3];
            assert!(
                got.iter().zip(colour).all(|(a, b)| a.abs_diff(*b) <= 6),
                "{label}, bar {bar}: {got:?}, not {colour:?}"
            );
        }
    }
}

fn jpeg(value: u8) -> Vec<u8> {
    let picture = GrayImage::from_fn(32, 16, |x, y| Luma([value ^ ((x * 7 + y * 13) % 9) as u8]));
    let mut coded = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut coded, 95).encode_image(&picture).unwrap();
    coded.resize(coded.len().next_multiple_of(2), 0);
    coded
}

#[test]
fn a_damaged_frame_costs_that_frame_alone_and_its_time_is_kept() {
    let whole: Vec<Vec<u8>> = [40, 80, 120, 160].map(jpeg).to_vec();
    type Damage = fn(&mut Vec<Vec<u8>>);
    let cases: [(&str, Damage, usize); 4] = [
        ("begins with 00", |f| f[2][..16].fill(0), 2),
        ("cut", |f| f[2].truncate(120), 2),
        ("empty", |f| f[3].clear(), 3),
        ("first", |f| f[0][..16].fill(0), 0),
    ];
    for (what, damage, which) in cases {
        let mut fragments = whole.clone();
        damage(&mut fragments);
        let mut fixture = Fixture::new(32, 16);
        fixture.frames("4").text(tags::FRAME_TIME, VR::DS, "50");
        fixture.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], fragments);
        let mut source = fixture.open().unwrap();
        let (mut shown, mut frame, mut times) = (Vec::new(), Frame::default(), Vec::new());
        while source.next_into(&mut frame).unwrap() == Next::Filled {
            shown.push((frame.pixels()[0] + 20) / 40);
            times.push(source.interval());
        }
        let kept: Vec<u8> = [1, 2, 3, 4].into_iter().filter(|v| usize::from(*v) != which + 1).collect();
        assert_eq!(shown, kept, "{what}");
        assert_eq!(source.damaged().load(Ordering::Relaxed), 1, "{what}");
        source.rewind();
        assert_eq!(frames(&mut source).len(), 3, "{what}, played again");
        source.rewind();
        source.next_into(&mut frame).unwrap();
        source.next_into(&mut frame).unwrap();
        if which == 2 {
            assert_eq!(
                source.interval(),
                Some(Duration::from_millis(100)),
                "the time of the frame that is passed over"
            );
        }
        let e = source.seek(which).unwrap_err();
        assert!(e.to_string().starts_with(&format!("frame {} of 4", which + 1)), "{e}");
        assert!(source.seek(4).is_err() && source.seek((which + 1) % 4).is_ok());
    }
}

#[test]
fn a_file_whose_frames_are_all_damaged_is_refused() {
    let mut fixture = Fixture::new(32, 16);
    fixture.frames("3").encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![vec![0; 40]; 3]);
    let e = fixture.open().unwrap_err();
    assert!(e.to_string().starts_with("frame 1 of 3: JPEG"), "{e}");
}

#[test]
fn a_number_of_frames_that_is_wrong_shows_those_that_are_there() {
    for (announced, there, shown, missing) in [("3", 4, 3, 0), ("4", 3, 3, 1), ("1", 2, 1, 0)] {
        let mut coded = Fixture::new(32, 16);
        coded.frames(announced);
        coded.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], (1..=there).map(|i| jpeg(40 * i as u8)).collect());
        let mut native = Fixture::new(4, 3);
        native.frames(announced).bytes(&vec![9; 12 * there]);
        for mut source in [coded.open().unwrap(), native.open().unwrap()] {
            assert_eq!(frames(&mut source).len(), shown, "{announced} announced, {there} there");
            assert_eq!(source.damaged().load(Ordering::Relaxed), missing, "{announced} announced, {there} there");
        }
    }
}

/// A frame of run lengths that is all of one value.
fn flat(pixels: usize, value: u8) -> Vec<u8> {
    let mut coded: Vec<u8> = [1u32, 64].into_iter().flat_map(u32::to_le_bytes).collect();
    coded.resize(64, 0);
    coded.extend([129, value].repeat(pixels / 128));
    coded
}

#[test]
fn a_cine_of_any_length_is_decoded_as_it_is_needed() {
    let mut fixture = Fixture::new(1024, 768);
    fixture.frames("300").text(tags::FRAME_TIME, VR::DS, "33.3");
    let fragments = (0..300).map(|i| flat(1024 * 768, i as u8)).collect();
    fixture.encapsulated(uids::RLE_LOSSLESS, vec![], fragments);
    let mut source = fixture.open().unwrap();
    assert_eq!(source.description().frames, Some(300));
    let mut frame = Frame::default();
    for (index, value) in [(0, 0), (299, 43), (7, 7)] {
        source.seek(index).unwrap();
        source.next_into(&mut frame).unwrap();
        assert_eq!((frame.pixels()[0], frame.pixels()[1024 * 768 - 1]), (value, value), "frame {}", index + 1);
    }
}

#[test]
fn frames_follow_each_other_as_the_increment_pointer_says() {
    let pointer = |f: &mut Fixture, tag: Tag| {
        f.put(DataElement::new(tags::FRAME_INCREMENT_POINTER, VR::AT, PrimitiveValue::from(tag)));
    };
    let mut fixture = Fixture::new(4, 3);
    fixture.frames("4").bytes(&[0; 48]);
    fixture.text(tags::FRAME_TIME, VR::DS, "33").text(tags::FRAME_TIME_VECTOR, VR::DS, "0\\100\\100\\100");
    pointer(&mut fixture, tags::FRAME_TIME_VECTOR);
    assert_eq!(fixture.open().unwrap().description().frame_period, Some(Duration::from_millis(100)));
    pointer(&mut fixture, tags::FRAME_TIME);
    assert_eq!(fixture.open().unwrap().description().frame_period, Some(Duration::from_millis(33)));

    fixture.text(tags::FRAME_TIME_VECTOR, VR::DS, "0\\40\\400\\40");
    pointer(&mut fixture, tags::FRAME_TIME_VECTOR);
    let mut source = fixture.open().unwrap();
    let mut frame = Frame::default();
    for ms in [40, 400, 40] {
        source.next_into(&mut frame).unwrap();
        assert_eq!(source.interval(), Some(Duration::from_millis(ms)));
    }
    source.ignore_intervals();
    assert_eq!(source.interval(), None, "played at a chosen rate");
}

#[test]
fn times_that_cannot_be_are_refused_with_what_was_read() {
    let mut fixture = Fixture::new(4, 3);
    fixture.frames("2").bytes(&[0; 24]).text(tags::FRAME_TIME, VR::DS, "40000");
    let source = fixture.open().unwrap();
    assert_eq!(source.description().frame_period, None);
    let why = source.timing_refused().unwrap();
    assert!(why.contains("(0018,1063)") && why.contains("got 40000"), "{why}");
    fixture.text(tags::CINE_RATE, VR::IS, "25");
    let source = fixture.open().unwrap();
    assert_eq!((source.description().frame_period, source.timing_refused()), (Some(Duration::from_millis(40)), None));
}

#[test]
fn captures_and_other_modalities_open_without_a_scale() {
    let tissue = region(1, 1, [0, 0, 3, 2], [1.0, 1.0]);
    for (class, modality, is_scaled) in [
        (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "US", false),
        (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "OT", false),
        ("1.2.840.10008.5.1.4.1.1.7.2", "US", false),
        ("1.2.840.10008.5.1.4.1.1.7.4", "", false),
        (uids::ULTRASOUND_IMAGE_STORAGE, "OT", true),
    ] {
        let mut fixture = Fixture::new(4, 3);
        fixture.text(tags::SOP_CLASS_UID, VR::UI, class).text(tags::MODALITY, VR::CS, modality);
        fixture.regions(vec![tissue.clone()]);
        let (frame, source) = (fixture.first(), fixture.open().unwrap());
        // Three by four pixels of a centimetre are a plausible scan.
        assert_eq!(frame.scale().is_some(), is_scaled, "{class} {modality}");
        assert_eq!(source.scale_refused().is_some_and(|why| why.contains("resampled")), !is_scaled);
    }
}

#[test]
fn files_without_preamble_meta_or_syntax_are_read() {
    let grey: Vec<u8> = (0..12).map(|v| v * 20).collect();
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"] {
        let mut fixture = Fixture::new(4, 3);
        fixture.bytes(&grey).syntax = syntax;
        let file = fixture.file();
        let meta_len = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
        let set = &file[144 + meta_len..];
        for (what, bytes) in [("no preamble", &file[132..]), ("no meta group", set)] {
            let mut frame = Frame::default();
            DicomSource::from_bytes(bytes).unwrap().next_into(&mut frame).unwrap();
            assert_eq!(frame.pixels(), grey, "{what}, {syntax}");
        }
        // A meta group whose only element is not the transfer syntax.
        let without = [&file[..132], &[2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1], set].concat();
        let mut frame = Frame::default();
        DicomSource::from_bytes(&without).unwrap().next_into(&mut frame).unwrap();
        assert_eq!(frame.pixels(), grey, "no transfer syntax, {syntax}");
    }
}

#[test]
fn deflated_data_sets_are_read_within_a_bound() {
    use std::io::Write as _;
    let mut fixture = Fixture::new(4, 3);
    let grey: Vec<u8> = (0..12).map(|v| v * 20).collect();
    fixture.bytes(&grey);
    let file = fixture.file();
    let meta_len = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    let deflated = |set: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(set).unwrap();
        let syntax = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.as_bytes();
        let meta = [&[2, 0, 0x10, 0, b'U', b'I', 22, 0], syntax].concat();
        [&file[..132], &meta, &encoder.finish().unwrap()].concat()
    };
    let mut frame = Frame::default();
    DicomSource::from_bytes(&deflated(&file[144 + meta_len..])).unwrap().next_into(&mut frame).unwrap();
    assert_eq!(frame.pixels(), grey);
    let e = DicomSource::from_bytes(&deflated(&vec![0; 100 << 20])).unwrap_err();
    assert!(e.kind() == ErrorKind::Unsupported && e.to_string().contains("inflated"), "{e}");
}

#[test]
fn samples_of_many_bits_become_grey_by_window_or_full_range() {
    let words = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let wide = |values: &[u16], stored: u16| {
        let mut fixture = Fixture::new(4, 1);
        fixture.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, stored).word(tags::HIGH_BIT, stored - 1);
        fixture.words(&words(values));
        fixture
    };
    let full = wide(&[0, 1024, 2048, 4095], 12);
    assert_eq!(full.first().pixels(), [0, 64, 128, 255]);
    let mut windowed = full.clone();
    windowed.text(tags::WINDOW_CENTER, VR::DS, "1024").text(tags::WINDOW_WIDTH, VR::DS, "2048");
    assert_eq!(windowed.first().pixels(), [0, 128, 255, 255]);
    let mut inverted = full.clone();
    inverted.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    assert_eq!(inverted.first().pixels(), [255, 191, 127, 0]);
    let mut signed = wide(&[0xF800, 0xFFFF, 0, 0x07FF], 12);
    signed.word(tags::PIXEL_REPRESENTATION, 1);
    assert_eq!(signed.first().pixels(), [0, 127, 128, 255]);
    let mut high = wide(&[0, 0x4000, 0x8000, 0xFFF0], 12);
    high.word(tags::HIGH_BIT, 15);
    assert_eq!(high.first().pixels(), [0, 64, 128, 255], "in the upper bits of a word");
    assert_eq!(wide(&[0, 1, 512, 1023], 10).first().pixels(), [0, 0, 128, 255]);
    assert_eq!(wide(&[0, 257, 32768, 65535], 16).first().pixels(), [0, 1, 128, 255]);
    let mut signed_bytes = Fixture::new(4, 1);
    signed_bytes.word(tags::PIXEL_REPRESENTATION, 1).bytes(&[0x80, 0xFF, 0, 0x7F]);
    assert_eq!(signed_bytes.first().pixels(), [0, 127, 128, 255]);
}

/// Grey of 12 bits: four samples of a row, with a lookup table of five entries from 1000 on.
fn with_table(sequence: dicom_core::Tag, samples: [u16; 4], table: &[u16], bits: u16) -> Fixture {
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, PrimitiveValue};
    let words = |words: &[u16]| PrimitiveValue::U16(words.into());
    let item = dicom_object::InMemDicomObject::from_element_iter([
        DataElement::new(tags::LUT_DESCRIPTOR, VR::US, words(&[table.len() as u16, 1000, bits])),
        DataElement::new(tags::LUT_DATA, VR::OW, words(table)),
    ]);
    let mut fixture = Fixture::new(4, 1);
    fixture.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
    fixture.words(&samples.map(u16::to_le_bytes).concat());
    fixture.put(DataElement::new(sequence, VR::SQ, DataSetSequence::from(vec![item])));
    fixture
}

#[test]
fn lookup_tables_make_grey_and_win_over_windows() {
    let voi = |samples, table: &[u16], bits| with_table(tags::VOILUT_SEQUENCE, samples, table, bits);
    let mut eight = voi([0, 1001, 1003, 4095], &[7, 50, 90, 200, 255], 8);
    assert_eq!(eight.first().pixels(), [7, 50, 200, 255], "values beyond the table have the entry at its end");
    eight.text(tags::WINDOW_CENTER, VR::DS, "1024").text(tags::WINDOW_WIDTH, VR::DS, "2048");
    assert_eq!(eight.first().pixels(), [7, 50, 200, 255]);
    eight.text(tags::RESCALE_SLOPE, VR::DS, "1").text(tags::RESCALE_INTERCEPT, VR::DS, "2");
    assert_eq!(eight.first().pixels(), [7, 200, 255, 255], "behind the rescaling");
    eight.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    assert_eq!(eight.first().pixels(), [248, 55, 0, 0]);
    let sixteen = voi([1000, 1001, 1002, 1003], &[0, 32768, 65535, 257, 0], 16);
    assert_eq!(sixteen.first().pixels(), [0, 128, 255, 1]);
    let mut implicit = sixteen;
    implicit.syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    assert_eq!(implicit.first().pixels(), [0, 128, 255, 1]);

    let mut modality = with_table(tags::MODALITY_LUT_SEQUENCE, [1000, 1001, 1002, 1003], &[0, 10, 20, 30, 40], 16);
    modality.text(tags::WINDOW_CENTER, VR::DS, "20.5").text(tags::WINDOW_WIDTH, VR::DS, "41");
    assert_eq!(modality.first().pixels(), [0, 64, 128, 191], "a table before the window");
}

#[test]
fn a_lookup_table_that_is_not_what_it_says_is_left_aside() {
    let mut fixture = with_table(tags::VOILUT_SEQUENCE, [0, 1024, 2048, 4095], &[0, 1, 2], 12);
    assert_eq!(fixture.first().pixels(), [0, 0, 0, 0]);
    for (entries, bits) in [(4, 12), (0, 16), (3, 7), (3, 17)] {
        let sequence = fixture.object.get(tags::VOILUT_SEQUENCE).unwrap().clone();
        let mut item = sequence.items().unwrap()[0].clone();
        let descriptor = dicom_core::PrimitiveValue::U16([entries, 1000, bits].as_slice().into());
        item.put(dicom_core::DataElement::new(tags::LUT_DESCRIPTOR, VR::US, descriptor));
        let items = dicom_core::value::DataSetSequence::from(vec![item]);
        fixture.put(dicom_core::DataElement::new(tags::VOILUT_SEQUENCE, VR::SQ, items));
        assert_eq!(fixture.first().pixels(), [0, 64, 128, 255], "{entries} entries of {bits} bits");
    }
}

#[test]
fn windows_are_linear_exact_or_sigmoid_as_the_file_says() {
    let mut fixture = Fixture::new(4, 1);
    fixture.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
    fixture.words(&[1000u16, 2000, 2500, 3000].map(u16::to_le_bytes).concat());
    fixture.text(tags::WINDOW_CENTER, VR::DS, "2000").text(tags::WINDOW_WIDTH, VR::DS, "2000");
    // 255 * ((v - 1999.5) / 1999 + .5); 255 * ((v - 2000) / 2000 + .5); 255 / (1 + exp(-4 (v - 2000) / 2000)).
    for (function, expected) in [
        ("LINEAR", [0, 128, 191, 255]),
        ("LINEAR_EXACT", [0, 128, 191, 255]),
        ("SIGMOID", [30, 128, 186, 225]),
        ("", [0, 128, 191, 255]),
    ] {
        fixture.text(tags::VOILUT_FUNCTION, VR::CS, function);
        assert_eq!(fixture.first().pixels(), expected, "{function}");
    }
}

#[test]
fn lossy_frames_of_twelve_bits_are_refused_with_the_command_that_converts_them() {
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xC1, 0, 11, 12, 0, 3, 0, 4, 1, 1, 0x11, 0];
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0, 0xFF, 0xD9]);
    let mut fixture = Fixture::new(4, 3);
    fixture.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
    fixture.encapsulated(uids::JPEG_EXTENDED12_BIT, vec![], vec![jpeg]);
    let e = fixture.open().unwrap_err();
    assert!(e.kind() == ErrorKind::Unsupported && e.to_string().contains("dcmdjpeg FILE.dcm PLAIN.dcm"), "{e}");
}

#[test]
fn video_is_refused_with_the_command_that_converts_it() {
    for syntax in [uids::MPEG2MPML, uids::MPEG4HP41, "1.2.840.10008.1.2.4.107"] {
        let mut fixture = Fixture::new(4, 3);
        fixture.encapsulated(syntax, vec![], vec![vec![0; 8]]);
        let e = fixture.open().unwrap_err().to_string();
        assert!(e.contains("video") && e.contains("ffmpeg") && e.contains(syntax), "{e}");
    }
}

#[test]
fn scan_bombs_are_refused_before_they_are_decoded() {
    let picture = GrayImage::from_pixel(64, 64, Luma([90]));
    let mut coded = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut coded, 90);
    encoder.set_progressive_scans(10);
    encoder.encode(picture.as_raw(), 64, 64, jpeg_encoder::ColorType::Luma).unwrap();
    let scan = coded.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let tail = coded[scan..coded.len() - 2].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.jpg");
    for (scans, is_read) in [(0, true), (100, false)] {
        let mut bomb = coded[..coded.len() - 2].to_vec();
        (0..scans).for_each(|_| bomb.extend_from_slice(&tail));
        bomb.extend([0xFF, 0xD9]);
        std::fs::write(&path, &bomb).unwrap();
        assert_eq!(load_still(&path).is_ok(), is_read, "{scans} more scans in a picture");
        bomb.resize(bomb.len().next_multiple_of(2), 0);
        let mut fixture = Fixture::new(64, 64);
        fixture.encapsulated(uids::JPEG_BASELINE8_BIT, vec![], vec![bomb]);
        assert_eq!(fixture.open().is_ok(), is_read, "{scans} more scans in a DICOM file");
    }
}

/// A JPEG with an EXIF segment that says only how the picture is turned.
fn turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut coded = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut coded, 98);
    encoder.write_image(picture, picture.width(), picture.height(), image::ExtendedColorType::Rgb8).unwrap();
    let tiff = [b'I', b'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0];
    let body = [b"Exif\0\0", &tiff[..]].concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&coded[..2], &[0xFF, 0xE1], &length, &body, &coded[2..]].concat()
}

#[test]
fn every_exif_orientation_is_turned_upright_wherever_a_picture_is_read() {
    // Upright: red above left, green above right, blue below left, grey below right.
    let upright = RgbImage::from_fn(32, 16, |x, y| {
        Rgb([[[200, 20, 20], [20, 200, 20]], [[20, 20, 200], [90, 90, 90]]][usize::from(y >= 8)][usize::from(x >= 16)])
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.jpg");
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    for (orientation, stored) in [
        (1, upright.clone()),
        (2, flip_horizontal(&upright)),
        (3, rotate180(&upright)),
        (4, flip_vertical(&upright)),
        (5, rotate270(&flip_horizontal(&upright))),
        (6, rotate270(&upright)),
        (7, rotate90(&flip_horizontal(&upright))),
        (8, rotate90(&upright)),
    ] {
        std::fs::write(&path, turned(&stored, orientation)).unwrap();
        let still = load_still(&path).unwrap();
        let mut played = ImagesSource::open(&path).unwrap();
        assert_eq!((played.description().width, played.description().height), (32, 16), "orientation {orientation}");
        for frame in [still, frames(&mut played).remove(0)] {
            for (x, y) in [(4, 4), (28, 4), (4, 12), (28, 12)] {
                let (got, wanted) = (&frame.row(y)[3 * x as usize..][..3], upright.get_pixel(x, y).0);
                let is_close = got.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 12);
                assert!(is_close, "orientation {orientation} at {x},{y}: {got:?}, not {wanted:?}");
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_of_a_jpeg_are_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("motion.jpg");
    let plain = jpeg(100);
    let plain = plain[..plain.windows(2).rposition(|w| w == [0xFF, 0xD9]).unwrap() + 2].to_vec();
    std::fs::write(&path, &plain).unwrap();
    let expected = load_still(&path).unwrap().pixels().to_vec();
    for trailer in [&[0xFF, 0xDA][..], &[0xFF, 0xDA, 0, 8, 1, 2, 3], &[0; 999], b"ftypmp42", &plain, &[0xFF, 0xD9]] {
        std::fs::write(&path, [&plain, trailer].concat()).unwrap();
        assert_eq!(load_still(&path).unwrap().pixels(), expected, "{trailer:?}");
    }
    std::fs::write(&path, &plain[..plain.len() - 2]).unwrap();
    assert!(load_still(&path).unwrap_err().to_string().contains("truncated"));
}

#[test]
fn a_damaged_picture_of_a_folder_costs_that_picture_alone() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..4u8 {
        GrayImage::from_pixel(8, 8, Luma([40 * i])).save(folder.path().join(format!("{i}.png"))).unwrap();
    }
    let path = folder.path().join("2.png");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let mut source = ImagesSource::open(folder.path()).unwrap();
    let shown: Vec<u8> = frames(&mut source).iter().map(|f| f.pixels()[0]).collect();
    assert_eq!((shown, source.damaged().load(Ordering::Relaxed)), (vec![0, 40, 120], 1));
}
