//! From stored samples to grey or RGB bytes (PS3.3 C.7.6.3, PS3.5 annexes A and G).

use std::ops::Range;

use dicom_core::header::HasLength;
use dicom_core::{PrimitiveValue, Tag};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::jpeg;
use super::layout::{EXPLICIT_VR_BIG_ENDIAN, FileLayout, StoredPixels};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::PixelFormat;

/// Longest side of a picture, px.
pub const SIDE_MAX: u32 = 8192;
/// Most frames of a file.
pub const FRAMES_MAX: u32 = 20_000;
/// Most memory that the decoded frames of a file may take.
pub const DECODED_BYTES_MAX: u64 = 512 << 20;

const NATIVE: [&str; 3] = [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN];

/// Refuses transfer syntaxes that [`PixelModule::decode`] cannot read.
///
/// # Errors
/// `Unsupported`, with the UID.
pub fn check_transfer_syntax(uid: &str) -> Result<()> {
    if NATIVE.contains(&uid) || uid == uids::RLE_LOSSLESS || jpeg::is_readable(uid) {
        return Ok(());
    }
    Err(unsupported(format!("transfer syntax: expected an uncompressed one, RLE or 8-bit JPEG, got {uid}")))
}

/// What the stored samples mean, PS3.3 C.7.6.3.1.2.
#[derive(Clone, Debug, PartialEq)]
enum Photometric {
    Monochrome1,
    Monochrome2,
    Rgb,
    YbrFull,
    YbrFull422,
    Palette(Box<Palette>),
}

/// How the samples of a frame follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// All samples of a pixel, then the next pixel.
    Interleaved,
    /// All pixels of a sample, then the next sample.
    Planar,
    /// Y Y Cb Cr for every two pixels of a row.
    Paired,
}

/// The Image Pixel module of a file, as far as sonotap reads it: unsigned samples of 8 bits in bytes or words.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelModule {
    /// px.
    pub columns: u32,
    /// px.
    pub rows: u32,
    /// At least one.
    pub frames: usize,
    photometric: Photometric,
    samples: usize,
    is_planar: bool,
    sample_bytes: usize,
}

impl PixelModule {
    /// Reads and checks the module.
    ///
    /// # Errors
    /// `Format` for elements that are missing or cannot be, `Unsupported` for other depths, photometric interpretations
    /// and sizes beyond [`SIDE_MAX`], [`FRAMES_MAX`] and [`DECODED_BYTES_MAX`].
    pub fn read(object: &InMemDicomObject) -> Result<Self> {
        let side = |tag, name| match number(object, tag)? {
            Some(n @ 1..=SIDE_MAX) => Ok(n),
            Some(n) => Err(unsupported(format!("{name} {tag}: expected 1 to {SIDE_MAX}, got {n}"))),
            None => Err(missing(tag, name)),
        };
        let (rows, columns) = (side(tags::ROWS, "Rows")?, side(tags::COLUMNS, "Columns")?);
        let frames = match number(object, tags::NUMBER_OF_FRAMES)?.unwrap_or(1) {
            n @ 1..=FRAMES_MAX => n as usize,
            n => {
                let kind = if n == 0 { ErrorKind::Format } else { ErrorKind::Unsupported };
                let message = format!("Number of Frames (0028,0008): expected 1 to {FRAMES_MAX}, got {n}");
                return Err(Error::new(kind, message));
            }
        };
        let allocated = expect(object, tags::BITS_ALLOCATED, "Bits Allocated", &[8, 16])?;
        expect(object, tags::BITS_STORED, "Bits Stored", &[8])?;
        if number(object, tags::HIGH_BIT)?.is_some() {
            expect(object, tags::HIGH_BIT, "High Bit", &[7])?;
        }
        if number(object, tags::PIXEL_REPRESENTATION)?.is_some() {
            expect(object, tags::PIXEL_REPRESENTATION, "Pixel Representation", &[0])?;
        }
        let photometric = Photometric::read(object)?;
        let samples = photometric.samples();
        expect(object, tags::SAMPLES_PER_PIXEL, "Samples per Pixel", &[samples as u32])?;
        let is_planar = number(object, tags::PLANAR_CONFIGURATION)?.unwrap_or(0) == 1;
        let module =
            Self { columns, rows, frames, photometric, samples, is_planar, sample_bytes: allocated as usize / 8 };
        let total = module.frame_bytes() as u64 * frames as u64;
        if total > DECODED_BYTES_MAX {
            let message = format!(
                "{frames} frames of {columns}x{rows} px: expected at most {DECODED_BYTES_MAX} bytes decoded, got {total}"
            );
            return Err(unsupported(message));
        }
        Ok(module)
    }

    /// How decoded pixels are stored.
    pub fn format(&self) -> PixelFormat {
        match self.photometric {
            Photometric::Monochrome1 | Photometric::Monochrome2 => PixelFormat::Grey8,
            _ => PixelFormat::Rgb8,
        }
    }

    /// Bytes of a decoded frame.
    pub fn frame_bytes(&self) -> usize {
        self.pixels() * self.format().bytes()
    }

    fn pixels(&self) -> usize {
        self.columns as usize * self.rows as usize
    }

    /// Decodes all frames, one after the other, rows dense.
    ///
    /// # Errors
    /// `Format` when the pixel data are fewer than announced or corrupt, `Unsupported` for other transfer syntaxes.
    pub fn decode(&self, file: &[u8], layout: &FileLayout) -> Result<Vec<u8>> {
        let uid = layout.transfer_syntax.as_str();
        check_transfer_syntax(uid)?;
        match &layout.pixels {
            StoredPixels::Native { bytes, is_words } if NATIVE.contains(&uid) => {
                self.decode_native(&file[bytes.clone()], *is_words && uid == EXPLICIT_VR_BIG_ENDIAN)
            }
            StoredPixels::Encapsulated { offsets, fragments } if uid == uids::RLE_LOSSLESS => {
                let parts = self.parts_of_frames(offsets, fragments, |_| true)?;
                self.decode_each(&parts, |part, out| self.decode_rle(&joined(file, part), out))
            }
            StoredPixels::Encapsulated { offsets, fragments } if jpeg::is_readable(uid) => {
                let parts = self.parts_of_frames(offsets, fragments, |f| file[f.clone()].starts_with(&jpeg::START))?;
                self.decode_each(&parts, |part, out| self.decode_jpeg(uid, joined(file, part), out))
            }
            StoredPixels::Native { .. } => {
                let message = format!("transfer syntax {uid}: expected encapsulated pixel data, got native ones");
                Err(Error::new(ErrorKind::Format, message))
            }
            StoredPixels::Encapsulated { .. } => {
                let message = format!("transfer syntax {uid}: expected native pixel data, got encapsulated ones");
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }

    fn decode_native(&self, stored: &[u8], is_swapped: bool) -> Result<Vec<u8>> {
        let order = match (&self.photometric, self.is_planar) {
            (Photometric::YbrFull422, _) => Order::Paired,
            (_, true) => Order::Planar,
            (_, false) => Order::Interleaved,
        };
        if order == Order::Paired && self.columns % 2 == 1 {
            let message = format!("YBR_FULL_422: expected an even number of columns, got {}", self.columns);
            return Err(Error::new(ErrorKind::Format, message));
        }
        let samples = if order == Order::Paired { 2 } else { self.samples };
        let frame_bytes = self.pixels() * samples * self.sample_bytes;
        let needed = frame_bytes * self.frames;
        if stored.len() < needed {
            let message = format!(
                "Pixel Data (7FE0,0010): expected {needed} bytes for {} frames of {}x{} px, got {}",
                self.frames,
                self.columns,
                self.rows,
                stored.len()
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
        let mut out = Vec::with_capacity(self.frame_bytes() * self.frames);
        let mut plain = Vec::new();
        // A frame of an odd number of bytes begins in the middle of a word, so words are put right over the whole.
        let unswapped: Vec<u8>;
        let stored = if is_swapped {
            unswapped = stored.chunks(2).flat_map(|word| word.iter().rev().copied()).collect();
            &unswapped
        } else {
            stored
        };
        for frame in stored.chunks_exact(frame_bytes).take(self.frames) {
            if self.sample_bytes == 1 {
                self.photometric.convert(frame, order, self.columns, &mut out);
            } else {
                plain.clear();
                plain.extend(frame.iter().step_by(2));
                self.photometric.convert(&plain, order, self.columns, &mut out);
            }
        }
        Ok(out)
    }

    fn decode_each(
        &self,
        parts: &[Vec<Range<usize>>],
        mut decode: impl FnMut(&[Range<usize>], &mut Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.frame_bytes() * self.frames);
        for (i, part) in parts.iter().enumerate() {
            decode(part, &mut out).map_err(|e| e.within(format_args!("frame {} of {}", i + 1, self.frames)))?;
        }
        Ok(out)
    }

    /// The fragments of each frame (PS3.5 A.4): one each, or by the offset table, or by where a frame starts.
    fn parts_of_frames(
        &self,
        offsets: &[u32],
        fragments: &[Range<usize>],
        is_start: impl Fn(&Range<usize>) -> bool,
    ) -> Result<Vec<Vec<Range<usize>>>> {
        let parts = if self.frames == 1 {
            vec![fragments.to_vec()]
        } else if fragments.len() == self.frames {
            fragments.iter().map(|f| vec![f.clone()]).collect()
        } else {
            let first = fragments.first().map_or(0, |f| f.start);
            let by_table = offsets.len() == self.frames;
            let mut parts: Vec<Vec<Range<usize>>> = Vec::new();
            for fragment in fragments {
                let is_first = match by_table {
                    true => offsets.binary_search(&((fragment.start - first) as u32)).is_ok(),
                    false => is_start(fragment),
                };
                match parts.last_mut() {
                    Some(part) if !is_first => part.push(fragment.clone()),
                    _ => parts.push(vec![fragment.clone()]),
                }
            }
            parts
        };
        if parts.len() != self.frames || parts.iter().any(Vec::is_empty) {
            let (n, f) = (self.frames, fragments.len());
            let message =
                format!("Pixel Data (7FE0,0010): expected {n} frames, got {f} fragments that hold no such number");
            return Err(Error::new(ErrorKind::Format, message));
        }
        Ok(parts)
    }

    /// One frame of RLE, PS3.5 annex G: a segment for each byte of each sample, most significant first.
    fn decode_rle(&self, coded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let corrupt = |what: String| Error::new(ErrorKind::Format, format!("RLE: {what}"));
        let word = |i: usize| {
            let b = coded.get(4 * i..4 * i + 4).ok_or_else(|| corrupt(format!("a header of {} bytes", coded.len())))?;
            Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
        };
        let (expected, found) = (self.samples * self.sample_bytes, word(0)?);
        if found != expected {
            return Err(corrupt(format!("expected {expected} segments, got {found}")));
        }
        let pixels = self.pixels();
        let mut planes = Vec::with_capacity(pixels * self.samples);
        for sample in 0..self.samples {
            let i = sample * self.sample_bytes + self.sample_bytes - 1;
            let end = if i + 1 < found { word(i + 2)? } else { coded.len() };
            let segment =
                coded.get(word(i + 1)?..end).ok_or_else(|| corrupt(format!("segment {i} is out of place")))?;
            unpack_bits(segment, planes.len() + pixels, &mut planes)
                .map_err(|missing| corrupt(format!("segment {i} ends {missing} pixels early")))?;
        }
        self.photometric.full_chroma().convert(&planes, Order::Planar, self.columns, out);
        Ok(())
    }

    fn decode_jpeg(&self, uid: &str, coded: Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        let is_rgb = self.photometric == Photometric::Rgb;
        let decoded = jpeg::decode(uid, coded, [self.columns, self.rows], self.samples, is_rgb)?;
        if self.samples == 3 && jpeg::yields_rgb(uid) {
            out.extend_from_slice(&decoded);
        } else {
            self.photometric.full_chroma().convert(&decoded, Order::Interleaved, self.columns, out);
        }
        Ok(())
    }
}

/// PackBits until `out` has `len` bytes; the number that is missing when the segment ends before.
fn unpack_bits(segment: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), usize> {
    let mut rest = segment;
    while out.len() < len {
        let room = len - out.len();
        match rest {
            [n @ 0..=127, tail @ ..] if tail.len() > usize::from(*n) => {
                let (literal, tail) = tail.split_at(usize::from(*n) + 1);
                out.extend(literal.iter().take(room));
                rest = tail;
            }
            [n @ 129..=255, value, tail @ ..] => {
                out.extend(std::iter::repeat_n(*value, (257 - usize::from(*n)).min(room)));
                rest = tail;
            }
            [128, tail @ ..] => rest = tail,
            _ => return Err(room),
        }
    }
    Ok(())
}

impl Photometric {
    fn read(object: &InMemDicomObject) -> Result<Self> {
        let tag = tags::PHOTOMETRIC_INTERPRETATION;
        let text = object.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default();
        match text.trim_end_matches([' ', '\0']) {
            "MONOCHROME1" => Ok(Self::Monochrome1),
            "MONOCHROME2" => Ok(Self::Monochrome2),
            "RGB" => Ok(Self::Rgb),
            "YBR_FULL" => Ok(Self::YbrFull),
            "YBR_FULL_422" => Ok(Self::YbrFull422),
            "PALETTE COLOR" => Ok(Self::Palette(Box::new(Palette::read(object)?))),
            "" => Err(missing(tag, "Photometric Interpretation")),
            other => Err(unsupported(format!(
                "Photometric Interpretation {tag}: expected MONOCHROME1, MONOCHROME2, RGB, YBR_FULL, YBR_FULL_422 or \
                 PALETTE COLOR, got {:.16}",
                other.escape_default().to_string()
            ))),
        }
    }

    fn samples(&self) -> usize {
        match self {
            Self::Monochrome1 | Self::Monochrome2 | Self::Palette(_) => 1,
            Self::Rgb | Self::YbrFull | Self::YbrFull422 => 3,
        }
    }

    /// The same with chroma for every pixel, as it is after decompression.
    fn full_chroma(&self) -> &Self {
        match self {
            Self::YbrFull422 => &Self::YbrFull,
            other => other,
        }
    }

    /// Appends a frame, grey or RGB.
    fn convert(&self, frame: &[u8], order: Order, columns: u32, out: &mut Vec<u8>) {
        match self {
            Self::Monochrome1 => out.extend(frame.iter().map(|v| 255 - v)),
            Self::Monochrome2 => out.extend_from_slice(frame),
            Self::Palette(palette) => out.extend(frame.iter().flat_map(|&v| palette.rgb[usize::from(v)])),
            Self::Rgb => each_pixel(frame, order, columns, |rgb| out.extend(rgb)),
            Self::YbrFull | Self::YbrFull422 => each_pixel(frame, order, columns, |ybr| out.extend(rgb_of_ybr(ybr))),
        }
    }
}

fn each_pixel(frame: &[u8], order: Order, columns: u32, mut take: impl FnMut([u8; 3])) {
    match order {
        Order::Interleaved => frame.chunks_exact(3).for_each(|p| take([p[0], p[1], p[2]])),
        Order::Planar => {
            let n = frame.len() / 3;
            (0..n).for_each(|i| take([frame[i], frame[n + i], frame[2 * n + i]]));
        }
        Order::Paired => {
            for row in frame.chunks_exact(2 * columns as usize) {
                for pair in row.chunks_exact(4) {
                    take([pair[0], pair[2], pair[3]]);
                    take([pair[1], pair[2], pair[3]]);
                }
            }
        }
    }
}

/// The inverse of the full-range YCbCr of PS3.3 C.7.6.3.1.2 (ITU-R BT.601), rounded to nearest.
fn rgb_of_ybr([y, b, r]: [u8; 3]) -> [u8; 3] {
    let (y, b, r) = (f64::from(y), f64::from(b) - 128.0, f64::from(r) - 128.0);
    let green = y - (0.114 * 1.772 * b + 0.299 * 1.402 * r) / 0.587;
    [y + 1.402 * r, green, y + 1.772 * b].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

/// The colour of every stored value, PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6.
#[derive(Clone, Debug, PartialEq)]
struct Palette {
    rgb: [[u8; 3]; 256],
}

impl Palette {
    fn read(object: &InMemDicomObject) -> Result<Self> {
        let mut rgb = [[0; 3]; 256];
        for (channel, (descriptor, values)) in [
            (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
            (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        ]
        .into_iter()
        .enumerate()
        {
            let table = palette_channel(object, descriptor, values)?;
            rgb.iter_mut().zip(table).for_each(|(colour, v)| colour[channel] = v);
        }
        Ok(Self { rgb })
    }
}

fn palette_channel(object: &InMemDicomObject, descriptor: Tag, values: Tag) -> Result<[u8; 256]> {
    let corrupt = |tag: Tag, what: &str| Error::new(ErrorKind::Format, format!("palette {tag}: {what}"));
    let described = object.get(descriptor).and_then(|e| e.to_multi_int::<i32>().ok()).unwrap_or_default();
    let &[entries, first, bits @ (8 | 16)] = described.as_slice() else {
        return Err(corrupt(descriptor, "expected entries, first value and 8 or 16 bits, got something else"));
    };
    let entries = if entries == 0 { 65536 } else { usize::from(entries as u16) };
    let stored = object.get(values).and_then(|e| e.value().primitive());
    let mut bytes: Vec<u8> = match stored {
        Some(PrimitiveValue::U16(words)) => words.iter().flat_map(|w| w.to_le_bytes()).collect(),
        Some(PrimitiveValue::U8(bytes)) => bytes.to_vec(),
        _ => return Err(corrupt(values, "expected a table, got none")),
    };
    if bytes.len() >= 2 * entries {
        bytes = bytes.chunks_exact(2).map(|w| if bits == 16 { w[1] } else { w[0] }).collect();
    } else if bits == 16 || bytes.len() < entries {
        return Err(corrupt(values, &format!("expected {entries} entries of {bits} bits, got {} bytes", bytes.len())));
    }
    Ok(std::array::from_fn(|stored| {
        let entry = (stored as i64 - i64::from(first)).clamp(0, entries as i64 - 1);
        bytes[entry as usize]
    }))
}

fn joined(file: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    parts.iter().flat_map(|p| &file[p.clone()]).copied().collect()
}

/// A whole number >= 0; `None` when the element is absent or empty.
fn number(object: &InMemDicomObject, tag: Tag) -> Result<Option<u32>> {
    match object.get(tag) {
        None => Ok(None),
        Some(e) if e.is_empty() => Ok(None),
        Some(e) => match e.to_int::<i64>().map(u32::try_from) {
            Ok(Ok(n)) => Ok(Some(n)),
            _ => Err(Error::new(ErrorKind::Format, format!("{tag}: expected a whole number, got something else"))),
        },
    }
}

fn expect(object: &InMemDicomObject, tag: Tag, name: &str, allowed: &[u32]) -> Result<u32> {
    match number(object, tag)? {
        Some(n) if allowed.contains(&n) => Ok(n),
        Some(n) => Err(unsupported(format!("{name} {tag}: expected {allowed:?}, got {n}"))),
        None => Err(missing(tag, name)),
    }
}

fn missing(tag: Tag, name: &str) -> Error {
    Error::new(ErrorKind::Format, format!("{name} {tag}: expected a value, got none"))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ybr_primaries_become_rgb() {
        for (ybr, rgb) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([100, 128, 128], [100, 100, 100]),
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
        ] {
            assert_eq!(rgb_of_ybr(ybr), rgb, "{ybr:?}");
        }
    }

    #[test]
    fn packed_bits_are_literals_runs_and_no_ops() {
        let mut out = Vec::new();
        assert_eq!(unpack_bits(&[2, 7, 8, 9, 128, 254, 5, 0, 1], 7, &mut out), Ok(()));
        assert_eq!(out, [7, 8, 9, 5, 5, 5, 1]);
        out.clear();
        assert_eq!(unpack_bits(&[2, 7, 8], 3, &mut out), Err(3));
        out.clear();
        assert_eq!(unpack_bits(&[200, 9], 4, &mut out), Ok(()), "a run may reach beyond the last pixel");
        assert_eq!(out, [9; 4]);
    }
}
