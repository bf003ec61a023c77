//! JPEG frames (PS3.5 8.2.1): baseline, extended and progressive of 8 bits, lossless of up to 16.
//!
//! A frame is decoded only after its own header has said what the file's header announces, and within a bound on its work:
//! a progressive frame of many scans is small and takes minutes. Samples come out as they were coded, with what the frame
//! itself says of their colour, which is worth more than the file's label: it is what the encoder did.

use jpeg_decoder::{ColorTransform, Decoder};

use super::samples::{Coding, Samples};
use crate::error::{Error, ErrorKind, Result};

/// Start of image.
pub(super) const START: [u8; 2] = [0xFF, 0xD8];
/// Most scans of a progressive frame, whose encoders make about ten, and of any other: one for each component.
const SCANS_MAX: usize = 64;
const SCANS_MAX_SEQUENTIAL: usize = 4;
/// Most pixels times scans of a frame.
const WORK_MAX: u64 = 1 << 27;

/// Start-of-frame markers (ITU-T T.81 table B.1).
const SOF_BASELINE: u8 = 0xC0;
const SOF_EXTENDED: u8 = 0xC1;
const SOF_PROGRESSIVE: u8 = 0xC2;
const SOF_LOSSLESS: u8 = 0xC3;
const SOF_LS: u8 = 0xF7;

/// How a frame is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// By cosine transform.
    Lossy,
    /// By prediction.
    Lossless,
    /// JPEG-LS, another standard with the same markers.
    Ls,
}

/// Decodes one frame that [`Header::read`] described.
///
/// # Errors
/// `Format` when the frame is corrupt, ends early or is not of that size; `Unsupported` for more bits or work than the
/// module says.
pub(super) fn decode(mut coded: Vec<u8>, header: &Header, size: [u32; 2], samples: usize) -> Result<Samples> {
    header.check(size, samples)?;
    if header.process() == Process::Lossless {
        // Tables of quantization mean nothing here; encoders number them all the same, and the decoder refuses that.
        header.components.iter().for_each(|c| coded[c.at + 2] = 0);
    }
    let mut decoder = Decoder::new(coded.as_slice());
    // For this decoder "RGB" means samples as they are, and "None" planes.
    decoder.set_color_transform(if samples == 1 { ColorTransform::Grayscale } else { ColorTransform::RGB });
    let corrupt = |e| Error::caused(ErrorKind::Format, "JPEG: corrupt or cut short", e);
    let bytes = decoder.decode().map_err(corrupt)?;
    let is_wide = header.precision > 8;
    let expected = size[0] as usize * size[1] as usize * samples * (1 + usize::from(is_wide));
    if bytes.len() != expected {
        let message = format!("JPEG: expected {expected} bytes decoded, got {}", bytes.len());
        return Err(Error::new(ErrorKind::Format, message));
    }
    // Wide samples come in the machine's order, which is little endian wherever sonotap runs.
    Ok(Samples { bytes, is_wide, coding: header.coding() })
}

/// A component of a frame.
#[derive(Clone, Copy, Debug)]
struct Component {
    name: u8,
    /// Sampling factors, horizontal in the upper half.
    sampling: u8,
    /// Where its three bytes are.
    at: usize,
}

/// What a frame's own header says (ITU-T T.81 B.2.2).
#[derive(Debug)]
pub(super) struct Header {
    marker: u8,
    size: [u32; 2],
    precision: u8,
    components: Vec<Component>,
    /// Whether there is a JFIF marker, which says YCbCr.
    has_jfif: bool,
    /// Colour transform of an Adobe marker: 0 none, 1 YCbCr.
    adobe: Option<u8>,
    scans: usize,
}

impl Header {
    /// Reads the marker segments up to the frame header, and counts scans.
    ///
    /// # Errors
    /// `Format` when there is no frame header.
    pub(super) fn read(coded: &[u8]) -> Result<Self> {
        let early = || Error::new(ErrorKind::Format, format!("JPEG: no frame header in {} bytes", coded.len()));
        if !coded.starts_with(&START) {
            return Err(Error::new(ErrorKind::Format, "JPEG: expected a start of image (FF D8), got something else"));
        }
        let (mut has_jfif, mut adobe) = (false, None);
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
                0xC0..=0xCF | SOF_LS => {
                    let header = Self::of_frame(marker, body, at + 4).ok_or_else(early)?;
                    // Within coded samples FF is always followed by 00 or a restart marker, so FF DA begins a scan.
                    let scans = coded[end..].windows(2).filter(|w| *w == [0xFF, 0xDA]).count();
                    return Ok(Self { has_jfif, adobe, scans, ..header });
                }
                0xE0 => has_jfif |= body.starts_with(b"JFIF\0"),
                0xEE if body.starts_with(b"Adobe") => adobe = body.get(11).copied(),
                0xD9 | 0xDA => return Err(early()),
                _ => {}
            }
            at = end;
        }
    }

    fn of_frame(marker: u8, body: &[u8], at: usize) -> Option<Self> {
        let &[precision, h0, h1, w0, w1, n, ref components @ ..] = body else { return None };
        let size = [[w0, w1], [h0, h1]].map(|b| u32::from(u16::from_be_bytes(b)));
        let component = |(i, c): (usize, &[u8])| Component { name: c[0], sampling: c[1], at: at + 6 + 3 * i };
        let components: Vec<Component> = components.chunks_exact(3).enumerate().map(component).collect();
        let is_whole = components.len() == usize::from(n);
        is_whole.then_some(Self { marker, size, precision, components, has_jfif: false, adobe: None, scans: 0 })
    }

    /// How the frame is coded.
    pub(super) fn process(&self) -> Process {
        match self.marker {
            SOF_LOSSLESS => Process::Lossless,
            SOF_LS => Process::Ls,
            _ => Process::Lossy,
        }
    }

    fn check(&self, size: [u32; 2], samples: usize) -> Result<()> {
        let unsupported = |message: String| Err(Error::new(ErrorKind::Unsupported, message));
        if self.size != size || self.components.len() != samples {
            let ([w, h], [gw, gh], n) = (size, self.size, self.components.len());
            let message = format!("JPEG: expected {w}x{h} px of {samples} samples, got {gw}x{gh} px of {n}");
            return Err(Error::new(ErrorKind::Format, message));
        }
        match (self.marker, self.precision) {
            (SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE, 8) | (SOF_LOSSLESS, 2..=16) => {}
            (SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE, bits) => {
                return unsupported(format!(
                    "JPEG: expected samples of 8 bits in a lossy frame, got {bits}; undo the compression first: dcmdjpeg FILE.dcm \
                     PLAIN.dcm (dcmtk) or gdcmconv --raw FILE.dcm PLAIN.dcm (gdcm)"
                ));
            }
            (SOF_LOSSLESS, bits) => return unsupported(format!("JPEG: expected 2 to 16 bits, got {bits}")),
            (marker, _) => return unsupported(format!("JPEG: arithmetic or hierarchical coding (FF {marker:02X})")),
        }
        if self.process() == Process::Lossless && (self.is_subsampled() || self.scans > 1) {
            return unsupported("JPEG: lossless frames of subsampled or separate components are not read".to_owned());
        }
        let work = u64::from(size[0]) * u64::from(size[1]) * self.scans as u64;
        let scans_max = if self.marker == SOF_PROGRESSIVE { SCANS_MAX } else { SCANS_MAX_SEQUENTIAL };
        if self.scans > scans_max || work > WORK_MAX {
            let n = self.scans;
            return unsupported(format!(
                "JPEG: expected at most {scans_max} scans and {WORK_MAX} px in all, got {n} scans"
            ));
        }
        Ok(())
    }

    fn is_subsampled(&self) -> bool {
        self.components.windows(2).any(|c| c[0].sampling != c[1].sampling)
    }

    /// What the coded samples are, by the frame itself. Chroma at half the width or height is chroma, whatever a label says.
    fn coding(&self) -> Coding {
        let names: Vec<u8> = self.components.iter().map(|c| c.name).collect();
        match self.adobe {
            _ if self.components.len() != 3 => Coding::Unsaid,
            Some(0) => Coding::Rgb,
            Some(1) => Coding::Ycc,
            _ if self.is_subsampled() => Coding::Ycc,
            _ if names == *b"RGB" => Coding::Rgb,
            _ if self.has_jfif && self.process() == Process::Lossy => Coding::Ycc,
            _ => Coding::Unsaid,
        }
    }
}
