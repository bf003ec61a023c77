//! The Image Pixel module and what becomes of its samples: 8-bit grey or RGB (PS3.3 C.7.6.3).

use std::ops::Range;

use dicom_core::value::PrimitiveValue;
use dicom_core::{Tag, header::HasLength as _};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::coded::{self, Syntax};
use super::fragments;
use super::layout::{EXPLICIT_VR_BIG_ENDIAN, FileLayout, StoredPixels};
use super::palette::Palette;
use super::rle;
use super::samples::{
    Coding, Samples, contradicted, interleaved, looks_by_pixel, looks_interleaved, looks_planar, shown, to_rgb,
    unpaired,
};
use super::tone;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::PixelFormat;

/// Longest side of a picture, px.
pub(super) const SIDE_MAX: u32 = 8192;
/// Most pixels of a picture.
pub(super) const PIXELS_MAX: u64 = 12 << 20;
/// Most frames of a file.
pub(super) const FRAMES_MAX: u32 = 100_000;

/// What the stored samples mean, PS3.3 C.7.6.3.1.2.
#[derive(Clone, Debug, PartialEq)]
enum Photometric {
    Monochrome,
    Rgb,
    Ybr,
    /// The same with chroma for every second pixel of a row, where it is stored natively.
    Ybr422,
    Palette(Box<Palette>),
}

/// The Image Pixel module of a file, as far as sonotap reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PixelModule {
    /// px.
    pub columns: u32,
    /// px.
    pub rows: u32,
    /// As announced, at least one.
    pub frames: usize,
    photometric: Photometric,
    samples: usize,
    is_planar: bool,
    sample_bytes: usize,
    /// Bits to the right of a native sample.
    shift: u32,
    /// Bits of a colour sample below the eight that are kept.
    below: u32,
    /// Where samples have four bytes: bits below the sixteen that are kept.
    quartered: Option<u32>,
    /// Grey of every value of a sample, where that is not the value itself.
    tone: Option<Vec<u8>>,
}

/// Where each frame's pixels are.
#[derive(Clone, Debug)]
pub(super) enum Frames {
    /// So many, one after the other.
    Native {
        /// How many are there.
        count: usize,
        /// How they are stored, where that is not what the label says.
        form: NativeForm,
    },
    /// Ranges of fragments.
    Encapsulated(Vec<Range<usize>>),
}

impl Frames {
    /// How many are there.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Native { count, .. } => *count,
            Self::Encapsulated(parts) => parts.len(),
        }
    }
}

/// How samples of a native frame follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NativeForm {
    /// As labelled.
    Labelled,
    /// Labelled as half the chroma, stored with all of it.
    FullChroma(Coding),
}

impl PixelModule {
    /// Reads and checks the module.
    ///
    /// # Errors
    /// `Format` for elements that are missing or cannot be, `Unsupported` for other depths, photometric interpretations
    /// and sizes beyond the bounds.
    pub(super) fn read(object: &InMemDicomObject) -> Result<Self> {
        let side = |tag, name| match number(object, tag)? {
            Some(n @ 1..=SIDE_MAX) => Ok(n),
            Some(n) => Err(unsupported(format!("{name} {tag}: expected 1 to {SIDE_MAX}, got {n}"))),
            None => Err(missing(tag, name)),
        };
        let (rows, columns) = (side(tags::ROWS, "Rows")?, side(tags::COLUMNS, "Columns")?);
        if u64::from(rows) * u64::from(columns) > PIXELS_MAX {
            return Err(unsupported(format!("expected at most {PIXELS_MAX} px a frame, got {columns}x{rows}")));
        }
        let frames = match number(object, tags::NUMBER_OF_FRAMES)?.unwrap_or(1) {
            n @ 1..=FRAMES_MAX => n as usize,
            n => {
                let kind = if n == 0 { ErrorKind::Format } else { ErrorKind::Unsupported };
                let message = format!("Number of Frames (0028,0008): expected 1 to {FRAMES_MAX}, got {n}");
                return Err(Error::new(kind, message));
            }
        };
        let depth = Depth::read(object)?;
        let quartered = (depth.allocated == 32).then(|| depth.high + 1 - depth.stored.min(16));
        let depth = if quartered.is_some() { depth.halved() } else { depth };
        let samples = number(object, tags::SAMPLES_PER_PIXEL)?.unwrap_or(1) as usize;
        let (photometric, is_inverted) = Photometric::read(object, samples)?;
        if samples != photometric.samples() {
            let n = photometric.samples();
            let message = format!("Samples per Pixel {}: expected [{n}], got {samples}", tags::SAMPLES_PER_PIXEL);
            return Err(unsupported(message));
        }
        if samples == 3 && (depth.stored < 8 || depth.is_signed) {
            return Err(unsupported(format!("expected unsigned colour of 8 to 16 bits, got {} bits", depth.stored)));
        }
        let is_planar = number(object, tags::PLANAR_CONFIGURATION)?.unwrap_or(0) == 1;
        let is_grey = photometric == Photometric::Monochrome;
        let tone = is_grey.then(|| depth.tone(object, is_inverted)).flatten();
        let (sample_bytes, shift) = (depth.allocated as usize / 8, depth.high + 1 - depth.stored);
        let below = if samples == 3 { depth.stored - 8 } else { 0 };
        Ok(Self { columns, rows, frames, photometric, samples, is_planar, sample_bytes, shift, below, quartered, tone })
    }

    /// How decoded pixels are stored.
    pub(super) fn format(&self) -> PixelFormat {
        if self.photometric == Photometric::Monochrome { PixelFormat::Grey8 } else { PixelFormat::Rgb8 }
    }

    /// Bytes of a decoded frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.pixels() * self.format().bytes()
    }

    fn pixels(&self) -> usize {
        self.columns as usize * self.rows as usize
    }

    /// Finds the frames that are there; not more than announced.
    ///
    /// # Errors
    /// `Format` when there is none, or when the pixel data are of a length that the label does not explain;
    /// `Unsupported` for other transfer syntaxes.
    pub(super) fn find(&self, layout: &FileLayout) -> Result<Frames> {
        let uid = layout.transfer_syntax.as_str();
        let syntax = coded::syntax(uid)?;
        match (&layout.pixels, syntax) {
            (StoredPixels::Native { bytes, .. }, Syntax::Native) => self.find_native(layout, bytes),
            (StoredPixels::Encapsulated { offsets, fragments }, Syntax::Rle | Syntax::Pictures) => {
                let parts = fragments::of_frames(layout, offsets, fragments, self.frames, syntax == Syntax::Rle)?;
                if parts.is_empty() {
                    let message = format!("Pixel Data (7FE0,0010): expected {} frames, got none", self.frames);
                    return Err(Error::new(ErrorKind::Format, message));
                }
                Ok(Frames::Encapsulated(parts))
            }
            (StoredPixels::Native { .. }, _) => {
                let message = format!("transfer syntax {uid}: expected encapsulated pixel data, got native ones");
                Err(Error::new(ErrorKind::Format, message))
            }
            (StoredPixels::Encapsulated { .. }, _) => {
                let message = format!("transfer syntax {uid}: expected native pixel data, got encapsulated ones");
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }

    /// Bytes of a sample as it is stored.
    fn stored_bytes(&self) -> usize {
        if self.quartered.is_some() { 4 } else { self.sample_bytes }
    }

    /// Bytes of a native frame as it is labelled.
    fn native_bytes(&self) -> usize {
        let samples = if self.photometric == Photometric::Ybr422 { 2 } else { self.samples };
        self.pixels() * samples * self.stored_bytes()
    }

    fn find_native(&self, layout: &FileLayout, bytes: &Range<usize>) -> Result<Frames> {
        let (frame, len) = (self.native_bytes(), bytes.len());
        let wrong = |what: String| Error::new(ErrorKind::Format, format!("Pixel Data (7FE0,0010): {what}"));
        let (columns, rows, n) = (self.columns, self.rows, self.frames);
        if self.photometric == Photometric::Ybr422 {
            let full = self.pixels() * 3;
            // A byte for padding is lawful. What may be half as many frames again as labelled shows it by its samples.
            if self.sample_bytes == 1 && (len == full * n || len == (full * n).next_multiple_of(2)) {
                let mut first = Vec::new();
                layout.store.read(bytes.start..bytes.start + full, &mut first)?;
                match shown(&first) {
                    Some(coding) => return Ok(Frames::Native { count: n, form: NativeForm::FullChroma(coding) }),
                    None if n % 2 == 0 => {}
                    None => {
                        let message = format!(
                            "{len} bytes for {n} frames of {columns}x{rows} px labelled YBR_FULL_422 have the chroma of every \
                             pixel, and do not show whether they are YBR_FULL or RGB"
                        );
                        return Err(wrong(message));
                    }
                }
            }
            if columns % 2 == 1 {
                return Err(wrong(format!("YBR_FULL_422 needs an even number of columns, got {columns}")));
            }
        }
        let count = len / frame;
        if count == 0 {
            return Err(wrong(format!(
                "expected {} bytes for {n} frames of {columns}x{rows} px, got {len}",
                frame * n
            )));
        }
        // One byte for padding and whole further frames are lawful; anything else is of another size or depth. Fewer frames
        // than announced, the last one cut, are what an interrupted export leaves.
        let rest = len % frame;
        if count >= n && rest > 1 {
            let message = format!(
                "expected {} bytes for {n} frames of {columns}x{rows} px, got {len}: of another size",
                frame * n
            );
            return Err(wrong(message));
        }
        if count > n && self.samples == 1 {
            let mut all = Vec::new();
            layout.store.read(bytes.start..bytes.start + frame * count.min(3), &mut all)?;
            let is_colour = count == 3 * n && looks_interleaved(&all, 3);
            let is_wide = count == 2 * n && self.sample_bytes == 1 && looks_interleaved(&all[..2 * frame], 2);
            if is_colour || is_wide {
                let what = if is_colour { "three samples a pixel" } else { "two bytes a sample" };
                return Err(wrong(format!("labelled one byte a pixel, but the {len} bytes are {what}")));
            }
        }
        Ok(Frames::Native { count: count.min(n), form: NativeForm::Labelled })
    }

    /// Decodes one frame, rows dense.
    ///
    /// # Errors
    /// `Format` when its pixel data are corrupt, `Unsupported` when they are coded in a way that is not read.
    pub(super) fn decode(&self, layout: &FileLayout, frames: &Frames, index: usize) -> Result<Vec<u8>> {
        let mut stored = Vec::new();
        let samples = match (&layout.pixels, frames) {
            (StoredPixels::Native { bytes, is_words }, Frames::Native { form, .. }) => {
                let frame = if *form == NativeForm::Labelled { self.native_bytes() } else { 3 * self.pixels() };
                let is_swapped = *is_words && layout.transfer_syntax == EXPLICIT_VR_BIG_ENDIAN;
                read_native(layout, bytes, index * frame, frame, is_swapped, &mut stored)?;
                if let Some(shift) = self.quartered {
                    stored = halves(&stored, shift, is_swapped);
                }
                self.native(stored, *form)?
            }
            (StoredPixels::Encapsulated { fragments, .. }, Frames::Encapsulated(parts)) => {
                let gone = || Error::new(ErrorKind::Format, "expected a frame, got none");
                for fragment in parts.get(index).cloned().and_then(|p| fragments.get(p)).ok_or_else(gone)? {
                    if stored.len() + fragment.len() > CODED_BYTES_MAX {
                        let message = format!("expected a frame of at most {CODED_BYTES_MAX} bytes coded, got more");
                        return Err(unsupported(message));
                    }
                    layout.store.read(fragment.clone(), &mut stored)?;
                }
                match coded::syntax(&layout.transfer_syntax)? {
                    Syntax::Rle => {
                        rle::decode(&stored, self.pixels(), self.samples, self.stored_bytes(), self.quartered)?
                    }
                    _ => coded::decode(stored, [self.columns, self.rows], self.samples)?,
                }
            }
            _ => return Err(Error::new(ErrorKind::Format, "expected a frame, got none")),
        };
        let is_native = matches!(frames, Frames::Native { .. });
        let samples = match samples {
            wide if wide.is_wide && self.samples == 3 => {
                Samples { bytes: narrowed(&wide.bytes, self.below), is_wide: false, coding: wide.coding }
            }
            other => other,
        };
        match &self.photometric {
            Photometric::Monochrome => Ok(self.grey(samples, if is_native { self.shift } else { 0 })),
            Photometric::Palette(palette) => Ok(palette.colours(&samples.bytes, samples.is_wide)),
            Photometric::Rgb => to_rgb(samples, Coding::Rgb),
            Photometric::Ybr | Photometric::Ybr422 => to_rgb(samples, Coding::Ycc),
        }
    }

    /// Native samples in order of pixels.
    fn native(&self, stored: Vec<u8>, form: NativeForm) -> Result<Samples> {
        if let NativeForm::FullChroma(coding) = form {
            return Ok(Samples { bytes: stored, is_wide: false, coding });
        }
        if self.samples == 1 {
            return Ok(Samples { bytes: stored, is_wide: self.sample_bytes == 2, coding: Coding::Unsaid });
        }
        let narrow = match self.sample_bytes {
            1 => stored,
            _ => narrowed(&stored, self.shift + self.below),
        };
        let bytes = match (&self.photometric, self.is_planar) {
            (Photometric::Ybr422, _) => unpaired(&narrow),
            // The label of the order is wrong where the samples show the other one.
            (_, true) => match interleaved(&narrow) {
                by_plane if looks_by_pixel(&narrow, &by_plane) => narrow,
                by_plane => by_plane,
            },
            (_, false) if looks_planar(&narrow) => interleaved(&narrow),
            (_, false) => narrow,
        };
        let said = if self.photometric == Photometric::Rgb { Coding::Rgb } else { Coding::Ycc };
        let coding = contradicted(&bytes, said).unwrap_or(Coding::Unsaid);
        Ok(Samples { bytes, is_wide: false, coding })
    }

    fn grey(&self, samples: Samples, shift: u32) -> Vec<u8> {
        match (&self.tone, samples.is_wide) {
            (None, false) => samples.bytes,
            (Some(tone), false) => samples.bytes.iter().map(|v| tone[usize::from(*v)]).collect(),
            (tone, true) => {
                let value = |w: &[u8]| usize::from(u16::from_le_bytes([w[0], w[1]]) >> shift);
                let grey = |v: usize| tone.as_ref().map_or(v as u8, |tone| tone[v % tone.len()]);
                samples.bytes.chunks_exact(2).map(|w| grey(value(w))).collect()
            }
        }
    }
}

/// Sixteen bits of samples of four bytes, whose upper half comes first where a big endian file's words were swapped.
fn halves(stored: &[u8], shift: u32, is_upper_first: bool) -> Vec<u8> {
    let number = |w: &[u8]| match is_upper_first {
        true => u32::from_le_bytes([w[2], w[3], w[0], w[1]]),
        false => u32::from_le_bytes([w[0], w[1], w[2], w[3]]),
    };
    stored.chunks_exact(4).flat_map(|w| ((number(w) >> shift) as u16).to_le_bytes()).collect()
}

/// The upper part of samples of two bytes.
fn narrowed(wide: &[u8], shift: u32) -> Vec<u8> {
    wide.chunks_exact(2).map(|w| (u16::from_le_bytes([w[0], w[1]]) >> shift) as u8).collect()
}

/// Most bytes of a compressed frame.
const CODED_BYTES_MAX: usize = 64 << 20;

/// A frame's bytes out of a range, put right where they are stored in swapped pairs: a frame of an odd number of bytes
/// begins in the middle of a pair.
fn read_native(
    layout: &FileLayout,
    all: &Range<usize>,
    from: usize,
    len: usize,
    is_swapped: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = all.start + from;
    if !is_swapped {
        return layout.store.read(start..start + len, out);
    }
    let even = from / 2 * 2;
    let to = (from + len).next_multiple_of(2).min(all.len());
    let mut pairs = Vec::new();
    layout.store.read(all.start + even..all.start + to, &mut pairs)?;
    let unswapped = pairs.chunks(2).flat_map(|word| word.iter().rev().copied());
    out.extend(unswapped.skip(from - even).take(len));
    Ok(())
}

/// How many bits a sample has, and where.
struct Depth {
    allocated: u32,
    stored: u32,
    high: u32,
    is_signed: bool,
}

impl Depth {
    fn read(object: &InMemDicomObject) -> Result<Self> {
        let allocated = match number(object, tags::BITS_ALLOCATED)? {
            Some(n @ (8 | 16 | 32)) => n,
            Some(n) => {
                return Err(unsupported(format!(
                    "Bits Allocated {}: expected [8, 16, 32], got {n}",
                    tags::BITS_ALLOCATED
                )));
            }
            None => return Err(missing(tags::BITS_ALLOCATED, "Bits Allocated")),
        };
        let stored = match number(object, tags::BITS_STORED)? {
            Some(n) if (2..=allocated).contains(&n) => n,
            Some(n) => {
                let tag = tags::BITS_STORED;
                return Err(unsupported(format!("Bits Stored {tag}: expected 2 to {allocated}, got {n}")));
            }
            None => return Err(missing(tags::BITS_STORED, "Bits Stored")),
        };
        let high = number(object, tags::HIGH_BIT)?.unwrap_or(stored - 1);
        if !(stored - 1..allocated).contains(&high) {
            let (tag, low, end) = (tags::HIGH_BIT, stored - 1, allocated - 1);
            return Err(unsupported(format!("High Bit {tag}: expected {low} to {end}, got {high}")));
        }
        let is_signed = match number(object, tags::PIXEL_REPRESENTATION)?.unwrap_or(0) {
            0 => false,
            1 => true,
            n => {
                let tag = tags::PIXEL_REPRESENTATION;
                return Err(unsupported(format!("Pixel Representation {tag}: expected 0 or 1, got {n}")));
            }
        };
        Ok(Self { allocated, stored, high, is_signed })
    }

    /// Of samples of four bytes only the upper two that are stored are kept, or the lower two where they hold no more.
    fn halved(self) -> Self {
        let stored = self.stored.min(16);
        Self { allocated: 16, stored, high: stored - 1, is_signed: self.is_signed }
    }

    /// Grey of every value; `None` where a value is its own grey.
    fn tone(&self, object: &InMemDicomObject, is_inverted: bool) -> Option<Vec<u8>> {
        if self.stored == 8 && self.allocated == 8 && !self.is_signed && !is_inverted {
            return None;
        }
        // Bits above the stored ones are no part of the value.
        let table_len = if self.allocated == 8 { 256 } else { 1 << 16 };
        let stored = tone::Stored { bits: self.stored, is_signed: self.is_signed };
        Some(tone::table(object, stored, is_inverted, table_len))
    }
}

impl Photometric {
    /// With whether grey is inverted.
    fn read(object: &InMemDicomObject, samples: usize) -> Result<(Self, bool)> {
        let tag = tags::PHOTOMETRIC_INTERPRETATION;
        let text = object.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default();
        let meant = match text.trim_end_matches([' ', '\0']) {
            "MONOCHROME1" => return Ok((Self::Monochrome, true)),
            "MONOCHROME2" => Self::Monochrome,
            "" if samples == 1 => Self::Monochrome,
            // What is reversible or irreversible is undone by the decoder of the codestream.
            "RGB" | "YBR_RCT" | "YBR_ICT" => Self::Rgb,
            "YBR_FULL" => Self::Ybr,
            "YBR_FULL_422" => Self::Ybr422,
            "PALETTE COLOR" => Self::Palette(Box::new(Palette::read(object)?)),
            "" => return Err(missing(tag, "Photometric Interpretation")),
            other => {
                return Err(unsupported(format!(
                    "Photometric Interpretation {tag}: expected MONOCHROME1, MONOCHROME2, RGB, YBR_FULL, YBR_FULL_422, \
                     YBR_RCT, YBR_ICT or PALETTE COLOR, got {:.16}",
                    other.escape_default().to_string()
                )));
            }
        };
        Ok((meant, false))
    }

    fn samples(&self) -> usize {
        match self {
            Self::Monochrome | Self::Palette(_) => 1,
            Self::Rgb | Self::Ybr | Self::Ybr422 => 3,
        }
    }
}

/// A whole number >= 0; `None` when the element is absent or empty.
pub(super) fn number(object: &InMemDicomObject, tag: Tag) -> Result<Option<u32>> {
    match object.get(tag) {
        None => Ok(None),
        Some(e) if e.is_empty() => Ok(None),
        Some(e) if matches!(e.value().primitive(), Some(PrimitiveValue::Strs(_) | PrimitiveValue::Str(_))) => {
            let text = e.to_str().unwrap_or_default();
            match text.split('\\').next().unwrap_or_default().trim_matches([' ', '\0']) {
                "" => Ok(None),
                first => first.parse().map(Some).map_err(|_| not_whole(tag)),
            }
        }
        Some(e) => match e.to_int::<i64>().map(u32::try_from) {
            Ok(Ok(n)) => Ok(Some(n)),
            _ => Err(not_whole(tag)),
        },
    }
}

fn not_whole(tag: Tag) -> Error {
    Error::new(ErrorKind::Format, format!("{tag}: expected a whole number, got something else"))
}

fn missing(tag: Tag, name: &str) -> Error {
    Error::new(ErrorKind::Format, format!("{name} {tag}: expected a value, got none"))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}
