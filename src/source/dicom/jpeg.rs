//! JPEG frames (PS3.5 8.2.1), decoded only after their own header has said what the file's header announces.

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;

use crate::error::{Error, ErrorKind, Result};

/// Start of image.
pub const START: [u8; 2] = [0xFF, 0xD8];
const LOSSLESS: [&str; 2] = [uids::JPEG_LOSSLESS, uids::JPEG_LOSSLESS_SV1];
const LOSSY: [&str; 2] = [uids::JPEG_BASELINE8_BIT, uids::JPEG_EXTENDED12_BIT];

/// Whether frames of this transfer syntax are decoded here: JPEG baseline, extended and lossless, of 8 bits.
pub fn is_readable(uid: &str) -> bool {
    LOSSLESS.contains(&uid) || LOSSY.contains(&uid)
}

/// Whether three samples of this transfer syntax come out as RGB; otherwise they come out as they were stored.
pub fn yields_rgb(uid: &str) -> bool {
    LOSSY.contains(&uid)
}

/// Decodes one frame to samples by pixel. `is_rgb` tells that the coded samples are RGB; a JFIF or Adobe marker in the
/// frame that says otherwise wins, as the encoder wrote it.
///
/// # Errors
/// `Format` when the frame is corrupt, ends early or is not of that size; `Unsupported` when it has more than 8 bits.
pub fn decode(uid: &str, mut coded: Vec<u8>, size: [u32; 2], samples: usize, is_rgb: bool) -> Result<Vec<u8>> {
    let header = Header::read(&coded)?;
    if header.precision != 8 {
        let message = format!("JPEG: expected samples of 8 bits, got {}", header.precision);
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    if header.size != size || header.components.len() != samples {
        let (w, h) = (size[0], size[1]);
        let [gw, gh] = header.size;
        let n = header.components.len();
        let message = format!("JPEG: expected {w}x{h} px of {samples} samples, got {gw}x{gh} px of {n}");
        return Err(Error::new(ErrorKind::Format, message));
    }
    if is_rgb && yields_rgb(uid) && !header.says_ycc {
        name_components_rgb(&mut coded, &header);
    }
    let decoded = decode_checked(uid, coded, size, samples)?;
    let expected = size[0] as usize * size[1] as usize * samples;
    if decoded.len() != expected {
        let message = format!("JPEG: expected {expected} bytes decoded, got {}", decoded.len());
        return Err(Error::new(ErrorKind::Format, message));
    }
    Ok(decoded)
}

fn decode_checked(uid: &str, coded: Vec<u8>, size: [u32; 2], samples: usize) -> Result<Vec<u8>> {
    let word = |tag, v: u32| DataElement::new(tag, VR::US, PrimitiveValue::from(v as u16));
    let (photometric, class) = (if samples == 3 { "RGB" } else { "MONOCHROME2" }, uids::ULTRASOUND_IMAGE_STORAGE);
    let object = InMemDicomObject::from_element_iter([
        word(tags::SAMPLES_PER_PIXEL, samples as u32),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, PrimitiveValue::from(photometric)),
        word(tags::PLANAR_CONFIGURATION, 0),
        word(tags::ROWS, size[1]),
        word(tags::COLUMNS, size[0]),
        word(tags::BITS_ALLOCATED, 8),
        word(tags::BITS_STORED, 8),
        word(tags::HIGH_BIT, 7),
        word(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new_fragments(vec![coded])),
    ]);
    let meta = FileMetaTableBuilder::new().transfer_syntax(uid).media_storage_sop_class_uid(class);
    let corrupt = |e: Box<dyn std::error::Error + Send + Sync>| Error::caused(ErrorKind::Format, "JPEG: corrupt", e);
    let object = object.with_meta(meta.media_storage_sop_instance_uid("1")).map_err(|e| corrupt(Box::new(e)))?;
    Ok(object.decode_pixel_data_frame(0).map_err(|e| corrupt(Box::new(e)))?.data().to_vec())
}

/// What a frame's own header says (ITU-T T.81 B.2.2).
struct Header {
    size: [u32; 2],
    precision: u8,
    /// Component identifiers, with where each stands.
    components: Vec<(u8, usize)>,
    /// Whether a JFIF or Adobe marker says that the samples are YCbCr.
    says_ycc: bool,
    /// Behind the frame header.
    end: usize,
}

impl Header {
    fn read(coded: &[u8]) -> Result<Self> {
        let early = || Error::new(ErrorKind::Format, format!("JPEG: no frame header in {} bytes", coded.len()));
        if !coded.starts_with(&START) {
            return Err(Error::new(ErrorKind::Format, "JPEG: expected a start of image (FF D8), got something else"));
        }
        let mut says_ycc = false;
        let mut at = 2;
        loop {
            while coded.get(at..at + 2) == Some(&[0xFF, 0xFF]) {
                at += 1;
            }
            let &[0xFF, marker, l0, l1] = coded.get(at..at + 4).ok_or_else(early)? else { return Err(early()) };
            let end = at + 2 + usize::from(u16::from_be_bytes([l0, l1]));
            let body = coded.get(at + 4..end).ok_or_else(early)?;
            match marker {
                0xC4 | 0xC8 | 0xCC => {}
                0xC0..=0xCF => return Self::of_frame(body, at + 4, says_ycc, end).ok_or_else(early),
                0xE0 => says_ycc |= body.starts_with(b"JFIF\0"),
                0xEE => says_ycc |= body.starts_with(b"Adobe") && body.get(11) == Some(&1),
                0xD9 | 0xDA => return Err(early()),
                _ => {}
            }
            at = end;
        }
    }

    fn of_frame(body: &[u8], body_at: usize, says_ycc: bool, end: usize) -> Option<Self> {
        let &[precision, h0, h1, w0, w1, n, ref components @ ..] = body else { return None };
        let size = [[w0, w1], [h0, h1]].map(|b| u32::from(u16::from_be_bytes(b)));
        let components: Vec<(u8, usize)> =
            components.chunks_exact(3).enumerate().map(|(i, c)| (c[0], body_at + 6 + 3 * i)).collect();
        (components.len() == usize::from(n)).then_some(Self { size, precision, components, says_ycc, end })
    }
}

/// Renames three components to R, G and B, in the frame header and in every scan: a decoder takes 1, 2, 3 for YCbCr.
fn name_components_rgb(coded: &mut [u8], header: &Header) {
    let new_name = |old: u8| header.components.iter().zip(*b"RGB").find(|((id, _), _)| *id == old).map(|(_, new)| new);
    for (&(_, at), new) in header.components.iter().zip(*b"RGB") {
        coded[at] = new;
    }
    // Within coded samples FF is always followed by 00 or a restart marker, so FF DA begins a scan.
    let mut at = header.end;
    while at + 5 < coded.len() {
        if coded[at..at + 2] != [0xFF, 0xDA] {
            at += 1;
            continue;
        }
        let n = usize::from(coded[at + 4]);
        for i in 0..n {
            if let Some(id) = coded.get_mut(at + 5 + 2 * i)
                && let Some(new) = new_name(*id)
            {
                *id = new;
            }
        }
        at += 5 + 2 * n;
    }
}
