//! Compressed frames: what is inside decides how it is decoded, since archives relabel what they do not recode.

use dicom_dictionary_std::uids;

use super::j2k;
use super::jpeg::{self, Process};
use super::jpeg_ls;
use super::samples::{Coding, Samples};
use crate::error::{Error, ErrorKind, Result};

/// What is known of a compressed transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
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
pub(super) fn syntax(uid: &str) -> Result<Syntax> {
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
pub(super) fn is_start(head: &[u8]) -> bool {
    head.starts_with(&jpeg::START) || j2k::is_start(head)
}

/// Decodes one picture of that size and number of samples.
///
/// # Errors
/// `Format` when it is corrupt, cut short or of another size, `Unsupported` when it is none that is read.
pub(super) fn decode(coded: Vec<u8>, size: [u32; 2], samples: usize) -> Result<Samples> {
    if coded.is_empty() {
        return Err(Error::new(ErrorKind::Format, "expected a picture, got nothing"));
    }
    if j2k::is_start(&coded) {
        return j2k::decode(&coded, size, samples);
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
