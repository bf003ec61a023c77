//! Compressed frames that gdcm and dcmtk wrote (tests/reference/dicom/make.py), against the formulas of their pixels.

#[path = "common/dicom.rs"]
mod fixture;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use fixture::Fixture;

const WIDTH: u16 = 16;
const HEIGHT: u16 = 8;

fn coded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/reference/dicom/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn places() -> impl Iterator<Item = (i32, i32)> {
    (0..i32::from(HEIGHT)).flat_map(|y| (0..i32::from(WIDTH)).map(move |x| (x, y)))
}

fn rgb() -> Vec<u8> {
    places()
        .flat_map(|(x, y)| [x * 13 + y * 7, x * 5 + y * 29, 200 - x * 11 + y * 3].map(|v| v.rem_euclid(256) as u8))
        .collect()
}

fn colour(photometric: &str, syntax: &'static str, name: &str) -> Vec<u8> {
    let mut fixture = Fixture::new(WIDTH, HEIGHT);
    fixture.colour(photometric, 0).encapsulated(syntax, vec![], vec![coded(name)]);
    fixture.first().pixels().to_vec()
}

#[test]
fn lossless_colour_of_gdcm_and_dcmtk_comes_out_as_it_went_in() {
    for (name, syntax) in [
        ("rgb_j2k", uids::JPEG2000_LOSSLESS),
        ("rgb_jls", uids::JPEGLS_LOSSLESS),
        ("rgb_jls_dcmtk", uids::JPEGLS_LOSSLESS),
        ("rgb_ll", uids::JPEG_LOSSLESS_SV1),
        ("rgb_llg", uids::JPEG_LOSSLESS_SV1),
    ] {
        assert_eq!(colour("RGB", syntax, name), rgb(), "{name}");
    }
}

#[test]
fn lossless_ycbcr_is_made_rgb_once() {
    let ybr: Vec<u8> = places().flat_map(|(x, y)| [x * 13 + y * 7, 100 + x * 5, 90 + y * 9].map(|v| v as u8)).collect();
    let mut native = Fixture::new(WIDTH, HEIGHT);
    native.colour("YBR_FULL", 0).bytes(&ybr);
    assert_eq!(colour("YBR_FULL", uids::JPEG_LOSSLESS_SV1, "ybr_ll"), native.first().pixels());
}

#[test]
fn twelve_bits_of_every_codec_become_grey_by_their_full_range() {
    let expected: Vec<u8> =
        places().map(|(x, y)| (f64::from((x * 251 + y * 17) % 4096) * 255.0 / 4095.0).round() as u8).collect();
    for (name, syntax) in
        [("g12_j2k", uids::JPEG2000_LOSSLESS), ("g12_jls", uids::JPEGLS_LOSSLESS), ("g12_ll", uids::JPEG_LOSSLESS_SV1)]
    {
        let mut fixture = Fixture::new(WIDTH, HEIGHT);
        fixture.word(tags::BITS_ALLOCATED, 16).word(tags::BITS_STORED, 12).word(tags::HIGH_BIT, 11);
        fixture.encapsulated(syntax, vec![], vec![coded(name)]);
        assert_eq!(fixture.first().pixels(), expected, "{name}");
    }
}

#[test]
fn what_a_frame_is_decides_over_the_transfer_syntax() {
    for name in ["rgb_j2k", "rgb_jls", "rgb_ll"] {
        assert_eq!(colour("RGB", uids::JPEG_BASELINE8_BIT, name), rgb(), "{name} labelled baseline");
    }
}

#[test]
fn frames_that_are_cut_short_are_damaged_and_not_filled_up() {
    for (name, syntax) in
        [("rgb_j2k", uids::JPEG2000_LOSSLESS), ("rgb_jls", uids::JPEGLS_LOSSLESS), ("rgb_ll", uids::JPEG_LOSSLESS_SV1)]
    {
        let whole = coded(name);
        for len in [0, 2, 40, whole.len() / 2] {
            let mut fixture = Fixture::new(WIDTH, HEIGHT);
            fixture.colour("RGB", 0).text(tags::NUMBER_OF_FRAMES, VR::IS, "2");
            let cut = whole[..len / 2 * 2].to_vec();
            fixture.encapsulated(syntax, vec![], vec![whole.clone(), cut]);
            let mut source = fixture.open().unwrap();
            assert!(source.seek(0).is_ok() && source.seek(1).is_err(), "{name}, {len} of {} bytes", whole.len());
        }
    }
}
