//! Pictures of no particular origin as a source of frames: a folder of PNG and JPEG files, a GIF, or a single picture.
//!
//! All frames are decoded at once, so that playing them copies and allocates nothing. Bounds: files of 512 MiB, sides of
//! 8192 px, 20 000 frames, 512 MiB of decoded frames. Nobody says how large a pixel is, so the frames have no scale, and
//! nobody says what they show, so their region is the whole frame.
//!
//! Grey pictures stay [`PixelFormat::Grey8`], all others are [`PixelFormat::Rgb8`]; where a folder holds both, all become
//! RGB. Transparent pixels are laid over black; 16-bit samples keep their upper half.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::source::{FrameSource, Next, SourceDescription};
use crate::units::Nanos;

const FILE_BYTES_MAX: u64 = 512 << 20;
const DECODED_BYTES_MAX: usize = 512 << 20;
const SIDE_MAX: u32 = 8192;
const FRAMES_MAX: usize = 20_000;

/// The frames of a folder, a GIF or a single picture.
///
/// ```no_run
/// use sonotap::source::{FrameSource, images::ImagesSource};
/// let sweep = ImagesSource::open("sweep/".as_ref())?;
/// println!("{}", sweep.description().name);
/// # Ok::<(), sonotap::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImagesSource {
    description: SourceDescription,
    frames: Vec<u8>,
    frame_bytes: usize,
    next: usize,
}

impl ImagesSource {
    /// Reads and decodes all pictures.
    ///
    /// Of a folder, every `.png`, `.jpg` and `.jpeg` is taken, sorted by name with numbers by value (`2.png` before
    /// `10.png`), and other files are left alone. A GIF's frames are composited; its period is the mean of its delays.
    ///
    /// # Errors
    /// `Io` when something cannot be read; `Format` when a picture is corrupt or truncated, the sizes differ or a folder
    /// holds no picture; `Unsupported` for other kinds of file and beyond the module's bounds.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::open_folder(path);
        }
        let opened = match kind_of(path)? {
            Kind::Gif => Self::open_gif(path),
            Kind::Still => {
                decode_file(path).and_then(|picture| Strip::new().and(picture)).map(|s| s.source("image", None))
            }
        };
        opened.map_err(|e| e.within(path.display()))
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let paths = pictures_of(folder).map_err(|e| e.within(folder.display()))?;
        let mut strip = Strip::new();
        for path in &paths {
            strip = decode_file(path).and_then(|picture| strip.and(picture)).map_err(|e| e.within(path.display()))?;
        }
        Ok(strip.source("images", None))
    }

    fn open_gif(path: &Path) -> Result<Self> {
        let mut strip = Strip::new();
        let mut delays_ms = 0.0;
        for frame in gif_decoder(read_file(path)?)?.into_frames() {
            let frame = frame.map_err(corrupt)?;
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            delays_ms += f64::from(numerator) / f64::from(denominator.max(1));
            strip = strip.and(Picture::of(DynamicImage::from(frame.into_buffer())))?;
        }
        if strip.count == 0 {
            return Err(Error::new(ErrorKind::Format, "expected a GIF with frames, got none"));
        }
        strip.drop_grey_chroma();
        let period_ms = delays_ms / strip.count as f64;
        Ok(strip.source("GIF", (period_ms >= 1.0).then(|| Nanos::from_secs_f64(period_ms / 1000.0))))
    }
}

impl FrameSource for ImagesSource {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_into(&mut self, frame: &mut Frame) -> Result<Next> {
        let from = self.next * self.frame_bytes;
        let Some(pixels) = self.frames.get(from..from + self.frame_bytes) else {
            return Ok(Next::End);
        };
        frame.reshape(self.description.width, self.description.height, self.description.format)?;
        frame.pixels.copy_from_slice(pixels);
        self.next += 1;
        Ok(Next::Filled)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

/// Reads one picture: a PNG, a JPEG, or the first frame of a GIF.
///
/// # Errors
/// As [`ImagesSource::open`].
pub fn load_still(path: &Path) -> Result<Frame> {
    let mut frame = Frame::default();
    let strip = match kind_of(path)? {
        Kind::Still => decode_file(path).and_then(|picture| Strip::new().and(picture)),
        Kind::Gif => first_of_gif(path),
    };
    strip
        .map(|s| s.source("image", None))
        .and_then(|mut s| s.next_into(&mut frame))
        .map_err(|e| e.within(path.display()))?;
    Ok(frame)
}

fn first_of_gif(path: &Path) -> Result<Strip> {
    let Some(frame) = gif_decoder(read_file(path)?)?.into_frames().next() else {
        return Err(Error::new(ErrorKind::Format, "expected a GIF with frames, got none"));
    };
    let frame = frame.map_err(corrupt)?;
    let mut strip = Strip::new().and(Picture::of(DynamicImage::from(frame.into_buffer())))?;
    strip.drop_grey_chroma();
    Ok(strip)
}

/// Frames of one size and format, one after the other.
struct Strip {
    size: Option<(u32, u32)>,
    format: PixelFormat,
    pixels: Vec<u8>,
    count: usize,
}

impl Strip {
    fn new() -> Self {
        Self { size: None, format: PixelFormat::Grey8, pixels: Vec::new(), count: 0 }
    }

    /// With one more picture, which makes the strip RGB if it is.
    fn and(mut self, picture: Picture) -> Result<Self> {
        let size = *self.size.get_or_insert(picture.size);
        if picture.size != size {
            let ((w, h), (gw, gh)) = (size, picture.size);
            let message = format!("expected {w}x{h} px as the first picture has, got {gw}x{gh}");
            return Err(Error::new(ErrorKind::Format, message));
        }
        if self.count == FRAMES_MAX {
            return Err(Error::new(ErrorKind::Unsupported, format!("expected at most {FRAMES_MAX} frames, got more")));
        }
        let format = if self.format == picture.format { self.format } else { PixelFormat::Rgb8 };
        self.count += 1;
        let total = self.count * size.0 as usize * size.1 as usize * format.bytes();
        if total > DECODED_BYTES_MAX {
            let message = format!("expected at most {DECODED_BYTES_MAX} bytes of decoded frames, got at least {total}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if self.format != format {
            self.pixels = tripled(&self.pixels);
            self.format = format;
        }
        if picture.format == format {
            self.pixels.extend_from_slice(&picture.pixels);
        } else {
            self.pixels.extend_from_slice(&tripled(&picture.pixels));
        }
        Ok(self)
    }

    /// Makes the strip grey if no pixel has a colour: a GIF's palette does not say whether it is grey.
    fn drop_grey_chroma(&mut self) {
        if self.format == PixelFormat::Rgb8 && self.pixels.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]) {
            self.pixels = self.pixels.iter().step_by(3).copied().collect();
            self.format = PixelFormat::Grey8;
        }
    }

    fn source(self, kind: &str, frame_period: Option<Nanos>) -> ImagesSource {
        let (width, height) = self.size.unwrap_or_default();
        let name = match self.count {
            1 => format!("{kind} {width}x{height}"),
            n => format!("{kind} {width}x{height}, {n} frames"),
        };
        let description =
            SourceDescription { name, width, height, format: self.format, frame_period, frames: Some(self.count) };
        let frame_bytes = width as usize * height as usize * self.format.bytes();
        ImagesSource { description, frames: self.pixels, frame_bytes, next: 0 }
    }
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
        if decoded.color().has_color() {
            let pixels = decoded.into_rgba8();
            let pixels = pixels.pixels().flat_map(|p| [0, 1, 2].map(|i| over_black(p[i], p[3]))).collect();
            Self { size, format: PixelFormat::Rgb8, pixels }
        } else {
            let pixels = decoded.into_luma_alpha8();
            let pixels = pixels.pixels().map(|p| over_black(p[0], p[1])).collect();
            Self { size, format: PixelFormat::Grey8, pixels }
        }
    }
}

fn tripled(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|&v| [v; 3]).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Still,
    Gif,
}

fn kind_of(path: &Path) -> Result<Kind> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" => Ok(Kind::Still),
        "gif" => Ok(Kind::Gif),
        other => {
            let message = format!("{}: expected a .png, .jpg, .jpeg or .gif, got \".{other}\"", path.display());
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

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::caused(ErrorKind::Io, "the file cannot be read", e);
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("expected a file of at most {FILE_BYTES_MAX} bytes, got a larger one");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(bytes)
}

fn decode_file(path: &Path) -> Result<Picture> {
    let bytes = read_file(path)?;
    check_jpeg_ends(&bytes)?;
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::caused(ErrorKind::Io, "the file cannot be read", e))?;
    reader.limits(limits());
    Ok(Picture::of(reader.decode().map_err(corrupt)?))
}

/// The decoder fills up a truncated JPEG with grey; a picture that is not all there is an error here.
fn check_jpeg_ends(bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Ok(());
    }
    let last_scan = bytes.windows(2).rposition(|w| w == [0xFF, 0xDA]);
    if last_scan.is_some_and(|at| bytes[at..].windows(2).any(|w| w == [0xFF, 0xD9])) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Format,
        "JPEG: expected an end of image (FF D9) after the last scan, got none: truncated",
    ))
}

fn gif_decoder(bytes: Vec<u8>) -> Result<GifDecoder<Cursor<Vec<u8>>>> {
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(corrupt)?;
    decoder.set_limits(limits()).map_err(corrupt)?;
    Ok(decoder)
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX as u64);
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
