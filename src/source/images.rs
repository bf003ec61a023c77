//! Pictures of no particular origin as a source of frames: a folder of PNG and JPEG files, a GIF, or a single picture.
//!
//! Pictures are decoded as they are needed, and kept when all of them take no more than 64 MiB; bounds are those of
//! `PLATFORM.md`. Nobody says how large a pixel is, so the frames have no scale, and nobody says what they show, so their
//! region is the whole frame.
//!
//! Every picture is turned upright as its EXIF orientation says, before anything else: coordinates, masks, overlays and
//! sizes are those of the upright picture, wherever a picture is read ([`load_still`] is the only way in).
//!
//! GIFs need the feature `gif`.
//!
//! Grey pictures stay [`PixelFormat::Grey8`], all others are [`PixelFormat::Rgb8`]; where a folder holds both, all become
//! RGB. Transparent pixels are laid over black; 16-bit samples keep their upper half.

#[cfg(feature = "gif")]
mod gif_cine;

use std::cmp::Ordering;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::time::Duration;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

#[cfg(feature = "gif")]
use gif_cine::{GifCine, GifOutline};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::source::dicom::store::open_regular;
use crate::source::{FrameSource, Next, SourceDescription};

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most bytes of a picture as its file stores it, those of a PNG, whose decoder holds them twice more, and most pixels.
const DECODED_BYTES_MAX: u64 = 96 << 20;
const PNG_BYTES_MAX: u64 = 48 << 20;
const PIXELS_MAX: u64 = 24 << 20;
const SIDE_MAX: u32 = 8192;
const FRAMES_MAX: usize = 20_000;
/// What a file may be called.
const KINDS: &str = if cfg!(feature = "gif") {
    "a .png, .jpg, .jpeg or .gif"
} else {
    "a .png, .jpg or .jpeg (this build has no GIF: feature `gif`)"
};
/// Decoded pictures that are kept, all together.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// Scans of a progressive JPEG, and most pixels times scans: small files can ask for minutes.
const SCANS_MAX: usize = 64;
const SCAN_WORK_MAX: u64 = 1 << 27;

/// The frames of a folder, a GIF or a single picture.
///
/// ```no_run
/// use sonotap::source::{FrameSource, images::ImagesSource};
/// let sweep = ImagesSource::open("sweep/".as_ref())?;
/// println!("{}", sweep.description().name);
/// # Ok::<(), sonotap::error::Error>(())
/// ```
pub struct ImagesSource {
    description: SourceDescription,
    pictures: Pictures,
    /// Decoded pictures by their number; empty when they are too many to be kept.
    cache: Vec<Option<Arc<Vec<u8>>>>,
    is_damaged: Vec<bool>,
    damaged: Arc<AtomicUsize>,
    /// Delays behind each frame of a GIF, where they vary.
    delays: Vec<Duration>,
    next: usize,
    given: Option<usize>,
}

enum Pictures {
    Files(Vec<PathBuf>),
    #[cfg(feature = "gif")]
    Gif(GifCine),
}

impl ImagesSource {
    /// Reads the headers of all pictures and decodes the first.
    ///
    /// Of a folder, every `.png`, `.jpg` and `.jpeg` is taken, sorted by name with numbers by value (`2.png` before
    /// `10.png`), and other files are left alone. A GIF's frames are composited; its period is the mean of its delays.
    ///
    /// # Errors
    /// `Io` when something cannot be read; `Format` when the first picture is corrupt or truncated, the sizes differ or a
    /// folder holds no picture; `Unsupported` for other kinds of file and beyond the bounds.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::open_folder(path);
        }
        let opened = match kind_of(path)? {
            #[cfg(feature = "gif")]
            Kind::Gif => Self::open_gif(path),
            Kind::Still => Self::of_files("image", vec![path.to_owned()]),
        };
        opened.map_err(|e| e.within(path.display()))
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let paths = pictures_of(folder).map_err(|e| e.within(folder.display()))?;
        Self::of_files("images", paths)
    }

    /// Those of one size; damaged ones keep their place.
    fn of_files(kind: &str, paths: Vec<PathBuf>) -> Result<Self> {
        let is_one = paths.len() == 1;
        let named = |e: Error, path: &Path| if is_one { e } else { e.within(path.display()) };
        let (mut size, mut format) = (None, PixelFormat::Grey8);
        let mut is_damaged = vec![false; paths.len()];
        let mut first_error = None;
        for (i, path) in paths.iter().enumerate() {
            let header = match read_file(path).and_then(|bytes| header_of(&bytes)) {
                Ok(header) => header,
                Err(e) => {
                    is_damaged[i] = true;
                    first_error = first_error.or_else(|| Some(named(e, path)));
                    continue;
                }
            };
            let (w, h) = *size.get_or_insert(header.0);
            if header.0 != (w, h) {
                let (gw, gh) = header.0;
                let message = format!("expected {w}x{h} px as the first picture has, got {gw}x{gh}");
                return Err(named(Error::new(ErrorKind::Format, message), path));
            }
            if header.1 == PixelFormat::Rgb8 {
                format = PixelFormat::Rgb8;
            }
        }
        let Some(size) = size else {
            return Err(first_error.unwrap_or_else(|| Error::new(ErrorKind::Format, "expected pictures, got none")));
        };
        let mut source = Self::new(kind, size, format, None, Pictures::Files(paths), is_damaged);
        source.check_first()?;
        Ok(source)
    }

    #[cfg(feature = "gif")]
    fn open_gif(path: &Path) -> Result<Self> {
        let file: Arc<[u8]> = read_file(path)?.into();
        let outline = GifOutline::read(&file)?;
        let (period, is_damaged) = (outline.period(), vec![false; outline.len()]);
        let pictures = Pictures::Gif(GifCine::new(file));
        let mut source = Self::new("GIF", outline.size, outline.format, period, pictures, is_damaged);
        source.delays = outline.uneven_delays();
        source.check_first()?;
        Ok(source)
    }

    fn new(
        kind: &str,
        (width, height): (u32, u32),
        format: PixelFormat,
        frame_period: Option<Duration>,
        pictures: Pictures,
        is_damaged: Vec<bool>,
    ) -> Self {
        let count = is_damaged.len();
        let name = match count {
            1 => format!("{kind} {width}x{height}"),
            n => format!("{kind} {width}x{height}, {n} frames"),
        };
        let frame_bytes = width as usize * height as usize * format.bytes();
        let is_kept = count.checked_mul(frame_bytes).is_some_and(|bytes| bytes <= CACHE_BYTES_MAX);
        Self {
            description: SourceDescription { name, width, height, format, frame_period, frames: Some(count) },
            pictures,
            cache: if is_kept { vec![None; count] } else { Vec::new() },
            damaged: Arc::new(AtomicUsize::new(is_damaged.iter().filter(|d| **d).count())),
            is_damaged,
            delays: Vec::new(),
            next: 0,
            given: None,
        }
    }

    /// Decodes the first picture whose header was read: an unusable source is refused when it is opened.
    fn check_first(&mut self) -> Result<()> {
        let first = self.is_damaged.iter().position(|d| !d).unwrap_or(0);
        self.picture(first).map(drop)
    }

    /// Counts pictures found damaged so far. They are passed over.
    pub fn damaged(&self) -> Arc<AtomicUsize> {
        self.damaged.clone()
    }

    /// Leaves a GIF's own delays aside: every frame follows in the same time.
    pub fn ignore_intervals(&mut self) {
        self.delays.clear();
    }

    fn picture(&mut self, index: usize) -> Result<Arc<Vec<u8>>> {
        if let Some(Some(kept)) = self.cache.get(index) {
            return Ok(kept.clone());
        }
        let decoded = match &mut self.pictures {
            Pictures::Files(paths) => {
                let is_one = paths.len() == 1;
                let named = |e: Error| if is_one { e } else { e.within(paths[index].display()) };
                decode_file(&paths[index]).map_err(named)
            }
            #[cfg(feature = "gif")]
            Pictures::Gif(cine) => cine.frame(index),
        };
        let expected = (self.description.width, self.description.height);
        let checked = decoded.and_then(|picture| match picture.size == expected {
            true => picture.into_format(self.description.format),
            false => Err(Error::new(ErrorKind::Format, "the picture's size has changed")),
        });
        match checked {
            Ok(pixels) => {
                let pixels = Arc::new(pixels);
                if let Some(place) = self.cache.get_mut(index) {
                    *place = Some(pixels.clone());
                }
                Ok(pixels)
            }
            Err(e) => {
                if !std::mem::replace(&mut self.is_damaged[index], true) {
                    self.damaged.fetch_add(1, Memory::Relaxed);
                    log::warn!("damaged: {e}");
                }
                Err(e)
            }
        }
    }
}

impl std::fmt::Debug for ImagesSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImagesSource").field("description", &self.description).field("next", &self.next).finish()
    }
}

impl FrameSource for ImagesSource {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_into(&mut self, frame: &mut Frame) -> Result<Next> {
        while self.next < self.is_damaged.len() {
            let index = self.next;
            self.next += 1;
            if self.is_damaged[index] {
                continue;
            }
            let Ok(pixels) = self.picture(index) else { continue };
            frame.reshape(self.description.width, self.description.height, self.description.format)?;
            frame.pixels.copy_from_slice(&pixels);
            self.given = Some(index);
            return Ok(Next::Filled);
        }
        Ok(Next::End)
    }

    fn interval(&self) -> Option<Duration> {
        self.delays.get(self.given?).copied()
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

/// Reads one picture, upright: a PNG, a JPEG, or the first frame of a GIF.
///
/// # Errors
/// `Io`, `Format` or `Unsupported`: it cannot be read, is damaged, or is of another kind or too large.
pub fn load_still(path: &Path) -> Result<Frame> {
    let picture = match kind_of(path)? {
        Kind::Still => decode_file(path),
        #[cfg(feature = "gif")]
        Kind::Gif => read_file(path).and_then(|file| GifCine::first(file.into())),
    };
    let picture = picture.map_err(|e| e.within(path.display()))?;
    let ((width, height), format) = (picture.size, picture.format);
    Frame::from_pixels(width, height, format, picture.pixels).map_err(|e| e.within(path.display()))
}

struct Picture {
    size: (u32, u32),
    format: PixelFormat,
    pixels: Vec<u8>,
}

impl Picture {
    fn of(decoded: DynamicImage) -> Self {
        let size = (decoded.width(), decoded.height());
        let over_black = |v: u8, alpha: u8| ((u16::from(v) * u16::from(alpha) + 127) / 255) as u8;
        let (format, pixels) = match decoded {
            DynamicImage::ImageLuma8(grey) => (PixelFormat::Grey8, grey.into_raw()),
            DynamicImage::ImageRgb8(rgb) => (PixelFormat::Rgb8, rgb.into_raw()),
            other if other.color().has_color() => {
                let rgba = other.into_rgba8();
                (PixelFormat::Rgb8, rgba.pixels().flat_map(|p| [0, 1, 2].map(|i| over_black(p[i], p[3]))).collect())
            }
            other => {
                let grey = other.into_luma_alpha8();
                (PixelFormat::Grey8, grey.pixels().map(|p| over_black(p[0], p[1])).collect())
            }
        };
        Self { size, format, pixels }
    }

    /// The pixels in a format: grey is made RGB, and RGB without colour grey.
    fn into_format(self, format: PixelFormat) -> Result<Vec<u8>> {
        match (self.format, format) {
            (a, b) if a == b => Ok(self.pixels),
            (PixelFormat::Grey8, _) => Ok(self.pixels.iter().flat_map(|&v| [v; 3]).collect()),
            (PixelFormat::Rgb8, _) => {
                let is_grey = self.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
                let coloured = || Error::new(ErrorKind::Format, "expected a grey picture, got a coloured one");
                is_grey.then(|| self.pixels.iter().step_by(3).copied().collect()).ok_or_else(coloured)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Still,
    #[cfg(feature = "gif")]
    Gif,
}

fn kind_of(path: &Path) -> Result<Kind> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" => Ok(Kind::Still),
        #[cfg(feature = "gif")]
        "gif" => Ok(Kind::Gif),
        other => {
            let message = format!("{}: expected {KINDS}, got \".{other}\"", path.display());
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}

/// The PNG and JPEG files of a folder in their order; hidden files are none.
fn pictures_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |e| Error::caused(ErrorKind::Io, "the folder cannot be read", e);
    let mut named = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && kind_of(&path).is_ok_and(|kind| kind == Kind::Still) && path.is_file() {
            named.push((name, path));
        }
        if named.len() > FRAMES_MAX {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("expected at most {FRAMES_MAX} pictures, got more"),
            ));
        }
    }
    if named.is_empty() {
        return Err(Error::new(ErrorKind::Format, "expected a folder with .png, .jpg or .jpeg files, got none"));
    }
    named.sort_by(|(a, _), (b, _)| by_number(a, b));
    Ok(named.into_iter().map(|(_, path)| path).collect())
}

/// The order of file names, runs of digits by their value.
fn by_number(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(&p), Some(&q)) = (x.first(), y.first()) {
        let order = if p.is_ascii_digit() && q.is_ascii_digit() {
            let (m, n) = (take_number(&mut x), take_number(&mut y));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (&x[1..], &y[1..]);
            p.cmp(&q)
        };
        if order.is_ne() {
            return order;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Cuts the leading digits off and gives them without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&c| c == b'0').count();
    &digits[zeros..]
}

/// All of a regular file.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::caused(ErrorKind::Io, "the file cannot be read", e);
    let mut bytes = Vec::new();
    open_regular(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("expected a file of at most {FILE_BYTES_MAX} bytes, got a larger one");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(bytes)
}

/// Size when upright, and format, of a picture that is within the bounds.
fn header_of(bytes: &[u8]) -> Result<((u32, u32), PixelFormat)> {
    let mut decoder = decoder_of(bytes)?;
    let (width, height) = decoder.dimensions();
    let has_colour = decoder.color_type().has_color();
    let format = if has_colour { PixelFormat::Rgb8 } else { PixelFormat::Grey8 };
    let size = if is_turned(orientation_of(&mut decoder)) { (height, width) } else { (width, height) };
    Ok((size, format))
}

fn decode_file(path: &Path) -> Result<Picture> {
    decode(&read_file(path)?)
}

fn decode(bytes: &[u8]) -> Result<Picture> {
    let bytes = &bytes[..jpeg_end(bytes)?];
    let mut decoder = decoder_of(bytes)?;
    let orientation = orientation_of(&mut decoder);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(corrupt)?;
    decoded.apply_orientation(orientation);
    Ok(Picture::of(decoded))
}

fn decoder_of(bytes: &[u8]) -> Result<impl ImageDecoder + '_> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::caused(ErrorKind::Io, "the file cannot be read", e))?;
    reader.limits(limits());
    let most = if reader.format() == Some(ImageFormat::Png) { PNG_BYTES_MAX } else { DECODED_BYTES_MAX };
    let decoder = reader.into_decoder().map_err(corrupt)?;
    check_size(decoder.dimensions())?;
    if decoder.total_bytes() > most {
        let n = decoder.total_bytes();
        let message = format!("expected at most {most} bytes decoded, got {n}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(decoder)
}

/// As the EXIF chunk says; upright where there is none, or none that can be read.
fn orientation_of(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn check_size((width, height): (u32, u32)) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::new(ErrorKind::Format, format!("expected a picture with pixels, got {width}x{height}")));
    }
    if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > PIXELS_MAX {
        let message = format!("expected at most {SIDE_MAX} px a side and {PIXELS_MAX} px in all, got {width}x{height}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Where a JPEG ends, by its own markers; whatever follows, as phones append it, is no part of it. Other files end where
/// they end. The decoder would fill up a truncated JPEG with grey; a picture that is not all there is an error here.
fn jpeg_end(bytes: &[u8]) -> Result<usize> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Ok(bytes.len());
    }
    let truncated = || {
        let message = "JPEG: expected an end of image (FF D9) after the last scan, got none: truncated";
        Error::new(ErrorKind::Format, message)
    };
    let (mut at, mut scans, mut pixels, mut is_progressive) = (2, 0, 0, false);
    loop {
        let &[first, marker] = bytes.get(at..at + 2).ok_or_else(truncated)? else { return Err(truncated()) };
        match (first, marker) {
            (0xFF, 0xD9) if scans > 0 => return Ok(at + 2),
            // Between segments: fill bytes. Within coded samples: anything, stuffed zeros and restarts.
            (0xFF, 0xFF) => at += 1,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD7) => at += 2,
            (0xFF, 0xD8 | 0xD9) => return Err(truncated()),
            (0xFF, _) => {
                let length = bytes.get(at + 2..at + 4).ok_or_else(truncated)?;
                let body = at + 4;
                if matches!(marker, 0xC0..=0xC3)
                    && let Some(&[h0, h1, w0, w1]) = bytes.get(body + 1..body + 5)
                {
                    let [w, h] = [[w0, w1], [h0, h1]].map(|b| u64::from(u16::from_be_bytes(b)));
                    (pixels, is_progressive) = (w * h, marker == 0xC2);
                }
                scans += usize::from(marker == 0xDA);
                if is_progressive && (scans > SCANS_MAX || pixels * scans as u64 > SCAN_WORK_MAX) {
                    let message =
                        format!("JPEG: expected at most {SCANS_MAX} scans and {SCAN_WORK_MAX} px in all, got more");
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
            _ if scans > 0 => {
                at += bytes[at..].iter().position(|b| *b == 0xFF).ok_or_else(truncated)?;
            }
            _ => return Err(Error::new(ErrorKind::Format, "JPEG: expected a marker, got something else: corrupt")),
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX + (32 << 20));
    limits
}

fn corrupt(e: ImageError) -> Error {
    match e {
        ImageError::Limits(e) => {
            let message =
                format!("expected at most {SIDE_MAX} px a side and {DECODED_BYTES_MAX} bytes decoded, got more");
            Error::caused(ErrorKind::Unsupported, message, e)
        }
        ImageError::Unsupported(e) => Error::caused(ErrorKind::Unsupported, "expected a PNG, JPEG or GIF picture", e),
        e => Error::caused(ErrorKind::Format, "the picture is corrupt or truncated", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_by_the_value_of_their_numbers() {
        let mut names =
            ["f10.png", "f9.png", "f1b.png", "f01.png", "f1.png", "e99.png", "f100.png", "f1a2.png", "f1a10.png"];
        names.sort_by(|a, b| by_number(a, b));
        let sorted =
            ["e99.png", "f01.png", "f1.png", "f1a2.png", "f1a10.png", "f1b.png", "f9.png", "f10.png", "f100.png"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn the_order_of_names_is_total() {
        let names = ["", "0", "00", "01", "1", "1a", "a1", "a01", "a1b", "a01b", "b", "10", "2"];
        for a in names {
            for b in names {
                assert_eq!(by_number(a, b), by_number(b, a).reverse(), "{a} {b}");
                assert_eq!(by_number(a, b) == Ordering::Equal, a == b, "{a} {b}");
            }
        }
    }
}
