//! Compressed frames: what is inside decides how it is decoded, since archives relabel what they do not recode.

use dicom_dictionary_std::uids;
use dicom_toolkit_jpeg2000::{DecodeSettings, Image};

use super::jpeg::{self, Process};
use super::jpeg_ls;
use super::samples::{Coding, Samples};
use crate::error::{Error, ErrorKind, Result};

/// Begin of a JPEG 2000 codestream, and of the file form that some archives put around it.
const J2K: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
const JP2: [u8; 8] = [0, 0, 0, 12, b'j', b'P', b' ', b' '];
/// Pixels of a JPEG 2000 frame: its decoder holds a number of 4 bytes for every sample several times.
const J2K_PIXELS_MAX: u64 = 4 << 20;

/// What is known of a compressed transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Not compressed.
    Native,
    /// Run lengths.
    Rle,
    /// A picture each frame, of a kind that the frame itself names.
    Pictures,
}

/// Sorts transfer syntaxes.
///
/// # Errors
/// `Unsupported`, with the UID, and for video with the command that makes pictures of it.
pub fn syntax(uid: &str) -> Result<Syntax> {
    let unsupported = |message: String| Err(Error::new(ErrorKind::Unsupported, message));
    let family =
        |n: &str| uid.strip_prefix("1.2.840.10008.1.2.4.").is_some_and(|rest| rest.split('.').next() == Some(n));
    match uid {
        uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN | super::layout::EXPLICIT_VR_BIG_ENDIAN => {
            Ok(Syntax::Native)
        }
        uids::RLE_LOSSLESS => Ok(Syntax::Rle),
        _ if (50..=70).chain([80, 81, 90, 91]).any(|n| family(&n.to_string())) => Ok(Syntax::Pictures),
        _ if (100..=109).any(|n| family(&n.to_string())) => unsupported(format!(
            "transfer syntax {uid} is video (MPEG-2, H.264 or H.265); make pictures of it first: gdcmraw FILE.dcm video.bin && \
             mkdir frames && ffmpeg -i video.bin frames/%06d.png, then --source images:frames"
        )),
        _ => unsupported(format!(
            "transfer syntax: expected an uncompressed one, RLE, JPEG, JPEG-LS or JPEG 2000, got {uid}"
        )),
    }
}

/// Whether a frame of pictures begins with these bytes.
pub fn is_start(head: &[u8]) -> bool {
    head.starts_with(&jpeg::START) || head.starts_with(&J2K) || head.starts_with(&JP2)
}

/// Decodes one picture of that size and number of samples.
///
/// # Errors
/// `Format` when it is corrupt, cut short or of another size, `Unsupported` when it is none that is read.
pub fn decode(coded: Vec<u8>, size: [u32; 2], samples: usize) -> Result<Samples> {
    if coded.is_empty() {
        return Err(Error::new(ErrorKind::Format, "expected a picture, got nothing"));
    }
    if coded.starts_with(&J2K) || coded.starts_with(&JP2) {
        return decode_j2k(&coded, size, samples);
    }
    let header = jpeg::Header::read(&coded)?;
    if header.process() != Process::Ls {
        return jpeg::decode(coded, &header, size, samples);
    }
    let decoded = jpeg_ls::decode(&coded, size, samples)?;
    let is_wide = decoded.precision > 8;
    let bytes = match is_wide {
        true => decoded.samples.iter().flat_map(|v| v.to_le_bytes()).collect(),
        false => decoded.samples.iter().map(|v| *v as u8).collect(),
    };
    Ok(Samples { bytes, is_wide, coding: Coding::Unsaid })
}

fn decode_j2k(coded: &[u8], size: [u32; 2], samples: usize) -> Result<Samples> {
    let corrupt = |what: String| Error::new(ErrorKind::Format, format!("JPEG 2000: {what}"));
    if u64::from(size[0]) * u64::from(size[1]) > J2K_PIXELS_MAX {
        let message = format!("JPEG 2000: expected at most {J2K_PIXELS_MAX} px, got {}x{}", size[0], size[1]);
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let stated = j2k_size(coded).ok_or_else(|| corrupt("no size".to_owned()))?;
    if stated.0 != size || stated.1 != samples {
        let ([w, h], [gw, gh], n) = (size, stated.0, stated.1);
        return Err(corrupt(format!("expected {w}x{h} px of {samples} samples, got {gw}x{gh} px of {n}")));
    }
    // Boxes around it say nothing that the file does not, and not all that are written are lawful.
    let coded = codestream(coded).unwrap_or(coded);
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    // The decoder is young: what it does not foresee is a damaged frame here.
    let decoded = std::panic::catch_unwind(|| {
        let image = Image::new(coded, &settings).map_err(|e| corrupt(e.to_string()))?;
        image.decode_native().map_err(|e| corrupt(e.to_string()))
    });
    let raw = decoded.unwrap_or_else(|_| Err(corrupt("the decoder gave up".to_owned())))?;
    let is_wide = raw.bit_depth > 8;
    let expected = size[0] as usize * size[1] as usize * samples * (1 + usize::from(is_wide));
    if [raw.width, raw.height] != size || raw.data.len() != expected {
        let message =
            format!("expected {expected} bytes decoded, got {} of {}x{}", raw.data.len(), raw.width, raw.height);
        return Err(corrupt(message));
    }
    // The component transform, where there is one, is undone by the decoder.
    let coding = if samples == 3 && has_component_transform(coded) { Coding::Rgb } else { Coding::Unsaid };
    Ok(Samples { bytes: raw.data, is_wide, coding })
}

/// The marker segment SIZ begins behind the codestream's first marker.
fn codestream(coded: &[u8]) -> Option<&[u8]> {
    let at = coded.windows(4).position(|w| w == J2K)?;
    coded.get(at..)
}

/// Size in px and number of components (ISO/IEC 15444-1 A.5.1).
fn j2k_size(coded: &[u8]) -> Option<([u32; 2], usize)> {
    let siz = codestream(coded)?.get(4..)?;
    let word = |at: usize| Some(u32::from_be_bytes(siz.get(at..at + 4)?.try_into().ok()?));
    let (right, bottom, left, top) = (word(4)?, word(8)?, word(12)?, word(16)?);
    let components = u16::from_be_bytes(siz.get(36..38)?.try_into().ok()?);
    Some(([right.checked_sub(left)?, bottom.checked_sub(top)?], usize::from(components)))
}

/// Whether COD says that the first three components are transformed (A.6.1).
fn has_component_transform(coded: &[u8]) -> bool {
    let Some(stream) = codestream(coded) else { return false };
    let mut at = 2;
    while let Some(&[0xFF, marker, l0, l1]) = stream.get(at..at + 4) {
        match marker {
            0x52 => return stream.get(at + 8) == Some(&1),
            0x90 | 0x93 | 0xD9 => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([l0, l1])),
        }
    }
    false
}
