//! Pixels of a camera become pixels of a [`Frame`]: grey or red, green, blue, full range.
//!
//! Studio range (16..=235) is stretched to 0..=255, since the model and the screen know full range only. Integer
//! arithmetic of ITU-R BT.601 or BT.709; the worst rounding is one level (two with colour).
//!
//! ```
//! use sonotap::frame::Frame;
//! use sonotap::source::camera::{CameraFormat, Colours, Ink, PictureLayout, convert};
//! let layout = PictureLayout::new(CameraFormat::Yuyv, 2, 1, 4, Colours::default());
//! let mut frame = Frame::default();
//! convert(&layout, &[16, 128, 235, 128], Ink::Grey, &mut frame).unwrap();
//! assert_eq!(frame.pixels(), [0, 255]);
//! ```

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::OnceLock;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};

/// How a camera stores its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CameraFormat {
    /// One byte of grey a pixel.
    Grey,
    /// Two bytes of grey a pixel, the lower first; the upper one is used.
    Y16,
    /// Luma, blue, luma, red: two pixels in four bytes.
    Yuyv,
    /// Blue, luma, red, luma: two pixels in four bytes.
    Uyvy,
    /// A plane of luma, then one of blue and red for each two by two pixels.
    Nv12,
    /// The same in two buffers (NV12M).
    Nm12,
    /// A plane of luma, then one of blue and red for each two pixels of a row.
    Nv16,
    /// Planes of luma, blue and red, the latter two for each two by two pixels.
    Yu12,
    /// As NV12 with 10 bits in the upper part of words, of which the upper byte is used.
    P010,
    /// Blue, green, red, and a byte that says nothing.
    Xr24,
    /// A byte that says nothing, red, green, blue.
    Bx24,
    /// Red, green, blue.
    Rgb3,
    /// Blue, green, red.
    Bgr3,
    /// A JPEG picture each frame.
    Mjpg,
}

impl CameraFormat {
    /// All of them, in the order in which they are preferred: no decoding, then few bytes.
    pub const ALL: [Self; 14] = [
        Self::Grey,
        Self::Nv12,
        Self::Nm12,
        Self::Yu12,
        Self::Nv16,
        Self::Yuyv,
        Self::Uyvy,
        Self::Y16,
        Self::P010,
        Self::Rgb3,
        Self::Bgr3,
        Self::Xr24,
        Self::Bx24,
        Self::Mjpg,
    ];

    /// Its four characters in V4L2.
    pub fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::Grey => b"GREY",
            Self::Y16 => b"Y16 ",
            Self::Yuyv => b"YUYV",
            Self::Uyvy => b"UYVY",
            Self::Nv12 => b"NV12",
            Self::Nm12 => b"NM12",
            Self::Nv16 => b"NV16",
            Self::Yu12 => b"YU12",
            Self::P010 => b"P010",
            Self::Xr24 => b"XR24",
            Self::Bx24 => b"BX24",
            Self::Rgb3 => b"RGB3",
            Self::Bgr3 => b"BGR3",
            Self::Mjpg => b"MJPG",
        }
    }

    /// The one of these four characters; `None` for formats that are not handled.
    pub fn from_fourcc(fourcc: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.fourcc() == fourcc)
    }

    fn has_colour(self) -> bool {
        !matches!(self, Self::Grey | Self::Y16)
    }

    /// Bytes of a row without padding, of the first plane.
    pub fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Grey | Self::Nv12 | Self::Nm12 | Self::Nv16 | Self::Yu12 => width,
            Self::Y16 | Self::P010 => 2 * width,
            Self::Xr24 | Self::Bx24 => 4 * width,
            Self::Yuyv | Self::Uyvy => 4 * width.div_ceil(2),
            Self::Rgb3 | Self::Bgr3 => 3 * width,
            Self::Mjpg => 0,
        }
    }

    /// Buffers of a picture.
    pub fn buffers(self) -> usize {
        if self == Self::Nm12 { 2 } else { 1 }
    }

    /// Chroma planes behind the first: their number, and by how much rows and columns are fewer.
    fn chroma(self) -> Option<ChromaPlanes> {
        let planes = |count, row_bytes_per_pair, rows_per_row| ChromaPlanes { count, row_bytes_per_pair, rows_per_row };
        match self {
            Self::Nv12 | Self::Nm12 => Some(planes(1, 2, 2)),
            Self::Nv16 => Some(planes(1, 2, 1)),
            Self::P010 => Some(planes(1, 4, 2)),
            Self::Yu12 => Some(planes(2, 1, 2)),
            _ => None,
        }
    }
}

/// Planes of chroma.
#[derive(Clone, Copy)]
struct ChromaPlanes {
    count: usize,
    /// Bytes of a row for every two columns.
    row_bytes_per_pair: usize,
    /// Rows of luma that share one of chroma.
    rows_per_row: usize,
}

/// Which levels are black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Levels {
    /// Luma 16 is black, 235 white.
    #[default]
    Limited,
    /// 0 is black, 255 white.
    Full,
}

/// Which weights made luma of red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601.
    #[default]
    Bt601,
    /// ITU-R BT.709.
    Bt709,
}

/// What the numbers of a luma and chroma format mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colours {
    /// Black and white.
    pub levels: Levels,
    /// Weights.
    pub matrix: Matrix,
}

/// What a frame shall hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ink {
    /// Grey: the least to compute.
    #[default]
    Grey,
    /// Colour where the camera has it, for scanners that mark with colour.
    Colour,
}

/// The picture that a camera has agreed to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLayout {
    /// How pixels are stored.
    pub format: CameraFormat,
    /// px.
    pub width: u32,
    /// px.
    pub height: u32,
    /// Bytes from one row of the first plane to the next; never less than the pixels need.
    pub stride: usize,
    /// Bytes from one row of a chroma plane to the next; 0 where there is none.
    pub chroma_stride: usize,
    /// Meaning of the numbers.
    pub colours: Colours,
}

impl PictureLayout {
    /// A layout; a stride that is too small (drivers say 0) becomes that of dense rows.
    pub fn new(format: CameraFormat, width: u32, height: u32, stride: usize, colours: Colours) -> Self {
        let stride = stride.max(format.row_bytes(width));
        // Of planes in one buffer V4L2 gives the first one's stride; a plane of one chroma has half of it.
        let chroma_stride = match format.chroma() {
            Some(chroma) if chroma.count == 2 => stride.div_ceil(2),
            Some(_) => stride,
            None => 0,
        };
        Self { format, width, height, stride, chroma_stride, colours }
    }

    /// With a stride of the chroma plane of its own, for planes in buffers of their own; too small a one is left.
    pub fn with_chroma_stride(mut self, stride: usize) -> Self {
        self.chroma_stride = self.chroma_stride.max(stride);
        self
    }

    /// Bytes that the buffers of a whole picture have at least together; the last row needs no padding.
    pub fn bytes_min(&self) -> usize {
        (0..self.format.buffers()).map(|i| self.buffer_bytes_min(i)).sum()
    }

    /// Bytes that a buffer has at least.
    fn buffer_bytes_min(&self, buffer: usize) -> usize {
        let (rows, row) = (self.height as usize, self.format.row_bytes(self.width));
        let luma = self.stride * rows.saturating_sub(1) + row;
        let Some(chroma) = self.format.chroma() else {
            return if self.format == CameraFormat::Mjpg { 4 } else { luma };
        };
        let chroma_rows = rows.div_ceil(chroma.rows_per_row) * chroma.count;
        let chroma_row = chroma.row_bytes_per_pair * (self.width as usize).div_ceil(2);
        let planes = self.chroma_stride * chroma_rows.saturating_sub(1) + chroma_row;
        match (self.format.buffers(), buffer) {
            (1, _) => self.stride * rows + planes,
            (_, 0) => luma,
            _ => planes,
        }
    }

    /// How the frames that come of it store a pixel.
    pub fn frame_format(&self, ink: Ink) -> PixelFormat {
        if ink == Ink::Colour && self.format.has_colour() { PixelFormat::Rgb8 } else { PixelFormat::Grey8 }
    }
}

/// Writes a camera's picture of one buffer into `frame`, as [`convert_buffers`].
///
/// # Errors
/// As [`convert_buffers`].
pub fn convert(layout: &PictureLayout, bytes: &[u8], ink: Ink, frame: &mut Frame) -> Result<()> {
    convert_buffers(layout, &[bytes], ink, frame)
}

/// Writes a camera's picture into `frame`, which is reshaped. Allocates nothing after the first frame, but for MJPG.
///
/// # Errors
/// `Format` when there are fewer buffers, or bytes in one, than the layout needs, or no JPEG picture of its size.
pub fn convert_buffers(layout: &PictureLayout, buffers: &[&[u8]], ink: Ink, frame: &mut Frame) -> Result<()> {
    for i in 0..layout.format.buffers() {
        let (need, got) = (layout.buffer_bytes_min(i), buffers.get(i).map_or(0, |b| b.len()));
        if got < need {
            let format = String::from_utf8_lossy(&layout.format.fourcc()).trim_end().to_owned();
            let (w, h) = (layout.width, layout.height);
            let message = format!("camera: expected {need} bytes for {format} {w}x{h}, got {got}");
            return Err(Error::new(ErrorKind::Format, message));
        }
    }
    let bytes = buffers[0];
    frame.reshape(layout.width, layout.height, layout.frame_format(ink))?;
    if layout.format == CameraFormat::Mjpg {
        return decode_jpeg(layout, bytes, frame);
    }
    let is_colour = frame.format == PixelFormat::Rgb8;
    let table = LumaTable::new(layout.colours.levels);
    let chroma = Chroma::new(layout.colours);
    let width = layout.width as usize;
    let planes = match layout.format.buffers() {
        1 => &bytes[(layout.stride * layout.height as usize).min(bytes.len())..],
        _ => buffers[1],
    };
    for (y, out) in frame.pixels.chunks_exact_mut(width * frame.format.bytes()).enumerate() {
        let start = y * layout.stride;
        let row = &bytes[start..start + layout.format.row_bytes(layout.width)];
        match (layout.format, is_colour) {
            (CameraFormat::Grey, _) => out.copy_from_slice(row),
            (CameraFormat::Y16, _) => out.iter_mut().zip(row.chunks_exact(2)).for_each(|(o, p)| *o = p[1]),
            (CameraFormat::Yuyv, false) => packed_grey(row, 0, &table, out),
            (CameraFormat::Uyvy, false) => packed_grey(row, 1, &table, out),
            (CameraFormat::Yuyv, true) => packed_rgb(row, [0, 1, 2, 3], &chroma, out),
            (CameraFormat::Uyvy, true) => packed_rgb(row, [1, 0, 3, 2], &chroma, out),
            (CameraFormat::Nv12 | CameraFormat::Nm12 | CameraFormat::Nv16 | CameraFormat::Yu12, false) => {
                out.iter_mut().zip(row).for_each(|(o, &v)| *o = table.0[usize::from(v)]);
            }
            (CameraFormat::P010, false) => {
                out.iter_mut().zip(row.chunks_exact(2)).for_each(|(o, p)| *o = table.0[usize::from(p[1])]);
            }
            (CameraFormat::Nv12 | CameraFormat::Nm12 | CameraFormat::Nv16 | CameraFormat::P010, true) => {
                let shared = if layout.format == CameraFormat::Nv16 { 1 } else { 2 };
                let uv = &planes[y / shared * layout.chroma_stride..];
                // Of words the upper bytes.
                let (step, first) = if layout.format == CameraFormat::P010 { (2, 1) } else { (1, 0) };
                planar_rgb(out, &chroma, |x| {
                    let at = x / 2 * 2;
                    [row[x * step + first], uv[at * step + first], uv[(at + 1) * step + first]]
                });
            }
            (CameraFormat::Yu12, true) => {
                let rows = (layout.height as usize).div_ceil(2);
                let (u, v) = (y / 2 * layout.chroma_stride, (rows + y / 2) * layout.chroma_stride);
                planar_rgb(out, &chroma, |x| [row[x], planes[u + x / 2], planes[v + x / 2]]);
            }
            (CameraFormat::Xr24, true) => reordered(row, [2, 1, 0], out),
            (CameraFormat::Bx24, true) => reordered(row, [1, 2, 3], out),
            (CameraFormat::Xr24, false) => grey_of_words(row, [2, 1, 0], out),
            (CameraFormat::Bx24, false) => grey_of_words(row, [1, 2, 3], out),
            (CameraFormat::Rgb3, true) => out.copy_from_slice(row),
            (CameraFormat::Bgr3, true) => {
                out.chunks_exact_mut(3).zip(row.chunks_exact(3)).for_each(|(o, p)| {
                    o.copy_from_slice(&[p[2], p[1], p[0]]);
                });
            }
            (CameraFormat::Rgb3, false) => grey_of(row, 0, 2, out),
            (CameraFormat::Bgr3, false) => grey_of(row, 2, 0, out),
            // Handled before the loop.
            (CameraFormat::Mjpg, _) => {}
        }
    }
    Ok(())
}

/// Luma as stored to grey.
struct LumaTable([u8; 256]);

impl LumaTable {
    fn new(levels: Levels) -> Self {
        Self(std::array::from_fn(|v| match levels {
            Levels::Full => v as u8,
            Levels::Limited => (((v as i32 - 16) * 255 + 109) / 219).clamp(0, 255) as u8,
        }))
    }
}

/// Weights in 1/256: luma, red of V, green of U and V, blue of U.
struct Chroma {
    black: i32,
    luma: i32,
    red: i32,
    green: (i32, i32),
    blue: i32,
}

impl Chroma {
    fn new(colours: Colours) -> Self {
        let (black, luma) = match colours.levels {
            Levels::Limited => (16, 298),
            Levels::Full => (0, 256),
        };
        let (red, green, blue) = match (colours.matrix, colours.levels) {
            (Matrix::Bt601, Levels::Limited) => (409, (-100, -208), 516),
            (Matrix::Bt601, Levels::Full) => (359, (-88, -183), 454),
            (Matrix::Bt709, Levels::Limited) => (459, (-55, -136), 541),
            (Matrix::Bt709, Levels::Full) => (403, (-48, -120), 475),
        };
        Self { black, luma, red, green, blue }
    }

    fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let (c, d, e) = (self.luma * (i32::from(y) - self.black) + 128, i32::from(u) - 128, i32::from(v) - 128);
        let level = |sum: i32| (sum >> 8).clamp(0, 255) as u8;
        [level(c + self.red * e), level(c + self.green.0 * d + self.green.1 * e), level(c + self.blue * d)]
    }
}

fn packed_grey(row: &[u8], first: usize, table: &LumaTable, out: &mut [u8]) {
    for (o, p) in out.iter_mut().zip(row.chunks_exact(2)) {
        *o = table.0[usize::from(p[first])];
    }
}

/// `places` are those of the first luma, U, the second luma and V within four bytes.
fn packed_rgb(row: &[u8], places: [usize; 4], chroma: &Chroma, out: &mut [u8]) {
    let [y0, u, y1, v] = places;
    for (o, p) in out.chunks_mut(6).zip(row.chunks_exact(4)) {
        o[..3].copy_from_slice(&chroma.rgb(p[y0], p[u], p[v]));
        if let Some(second) = o.get_mut(3..6) {
            second.copy_from_slice(&chroma.rgb(p[y1], p[u], p[v]));
        }
    }
}

/// A row whose luma and chroma `at` finds.
fn planar_rgb(out: &mut [u8], chroma: &Chroma, at: impl Fn(usize) -> [u8; 3]) {
    for (x, o) in out.chunks_exact_mut(3).enumerate() {
        let [y, u, v] = at(x);
        o.copy_from_slice(&chroma.rgb(y, u, v));
    }
}

/// Four bytes a pixel, `places` those of red, green and blue.
fn reordered(row: &[u8], places: [usize; 3], out: &mut [u8]) {
    for (o, p) in out.chunks_exact_mut(3).zip(row.chunks_exact(4)) {
        o.copy_from_slice(&places.map(|i| p[i]));
    }
}

fn grey_of_words(row: &[u8], [red, green, blue]: [usize; 3], out: &mut [u8]) {
    for (o, p) in out.iter_mut().zip(row.chunks_exact(4)) {
        *o = crate::frame::luma(p[red], p[green], p[blue]);
    }
}

fn grey_of(row: &[u8], red: usize, blue: usize, out: &mut [u8]) {
    for (o, p) in out.iter_mut().zip(row.chunks_exact(3)) {
        *o = crate::frame::luma(p[red], p[1], p[blue]);
    }
}

fn decode_jpeg(layout: &PictureLayout, bytes: &[u8], frame: &mut Frame) -> Result<()> {
    let wrong = |e: image::ImageError| Error::caused(ErrorKind::Format, "camera: expected a JPEG picture", e);
    let whole = with_tables(bytes);
    let decoder = JpegDecoder::new(Cursor::new(whole)).map_err(wrong)?;
    if decoder.dimensions() != (layout.width, layout.height) {
        let (got, w, h) = (decoder.dimensions(), layout.width, layout.height);
        let message = format!("camera: expected a JPEG picture of {w}x{h}, got {}x{}", got.0, got.1);
        return Err(Error::new(ErrorKind::Format, message));
    }
    let colour = decoder.color_type();
    let mut decoded = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut decoded).map_err(wrong)?;
    match (colour, frame.format) {
        (ColorType::L8, PixelFormat::Grey8) | (ColorType::Rgb8, PixelFormat::Rgb8) => {
            frame.pixels.copy_from_slice(&decoded);
        }
        (ColorType::Rgb8, PixelFormat::Grey8) => grey_of(&decoded, 0, 2, &mut frame.pixels),
        (ColorType::L8, PixelFormat::Rgb8) => {
            frame.pixels.chunks_exact_mut(3).zip(&decoded).for_each(|(o, &v)| o.fill(v));
        }
        (other, _) => {
            let message = format!("camera: expected a JPEG picture in grey or colour, got {other:?}");
            return Err(Error::new(ErrorKind::Format, message));
        }
    }
    Ok(())
}

/// Marker of Huffman tables.
const DHT: u8 = 0xC4;
/// Marker that compressed data follow.
const SOS: u8 = 0xDA;

/// The picture with the usual Huffman tables where it has none: cameras leave them out to save bytes.
fn with_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    if jpeg.len() < 4 || segments(jpeg).any(|(marker, _)| marker == DHT) {
        return jpeg.into();
    }
    [&jpeg[..2], usual_tables(), &jpeg[2..]].concat().into()
}

/// The marker segments before the compressed data, each with its marker, whole.
fn segments(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = jpeg.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let &[0xFF, marker, high, low, ..] = rest else { return None };
        let len = 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == SOS || rest.len() < len {
            return None;
        }
        let (segment, after) = rest.split_at(len);
        rest = after;
        Some((marker, segment))
    })
}

/// The tables of ITU-T T.81 annex K, as our own encoder writes them.
fn usual_tables() -> &'static [u8] {
    static TABLES: OnceLock<Vec<u8>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut jpeg = Vec::new();
        // Writing to memory cannot fail; were there no tables, the picture would be refused as before.
        let _ = JpegEncoder::new(&mut jpeg).write_image(&[0; 8 * 8 * 3], 8, 8, ExtendedColorType::Rgb8);
        segments(&jpeg).filter(|(marker, _)| *marker == DHT).flat_map(|(_, s)| s.iter().copied()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, green and blue bars, black, grey and white: 6 px.
    const BARS: [[u8; 3]; 6] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0], [128, 128, 128], [255, 255, 255]];

    /// Luma and chroma by the defining equations in floating point: the other route to the same numbers.
    fn yuv([r, g, b]: [u8; 3], colours: Colours) -> [u8; 3] {
        let (kr, kb) = match colours.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let (r, g, b) = (f64::from(r) / 255.0, f64::from(g) / 255.0, f64::from(b) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (u, v) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
        let level = |v: f64| v.round().clamp(0.0, 255.0) as u8;
        match colours.levels {
            Levels::Limited => [level(16.0 + 219.0 * y), level(128.0 + 224.0 * u), level(128.0 + 224.0 * v)],
            Levels::Full => [level(255.0 * y), level(128.0 + 255.0 * u), level(128.0 + 255.0 * v)],
        }
    }

    /// Two rows of the bars, each colour two px wide, as a camera of that format stores it, rows padded by `padding`.
    fn stored(format: CameraFormat, padding: usize, colours: Colours) -> (PictureLayout, Vec<u8>) {
        let width = 12;
        let stride = format.row_bytes(width) + padding;
        let layout = PictureLayout::new(format, width, 2, stride, colours);
        let mut row = Vec::new();
        let (mut chroma_row, mut third_row) = (Vec::new(), Vec::new());
        for bar in BARS {
            let [y, u, v] = yuv(bar, colours);
            let grey = crate::frame::luma(bar[0], bar[1], bar[2]);
            match format {
                CameraFormat::Grey => row.extend([grey, grey]),
                CameraFormat::Y16 => row.extend([7, grey, 9, grey]),
                CameraFormat::Yuyv => row.extend([y, u, y, v]),
                CameraFormat::Uyvy => row.extend([u, y, v, y]),
                CameraFormat::Nv12 | CameraFormat::Nm12 | CameraFormat::Nv16 => {
                    row.extend([y, y]);
                    chroma_row.extend([u, v]);
                }
                CameraFormat::P010 => {
                    row.extend([3, y, 1, y]);
                    chroma_row.extend([2, u, 9, v]);
                }
                CameraFormat::Yu12 => {
                    row.extend([y, y]);
                    chroma_row.push(u);
                    third_row.push(v);
                }
                CameraFormat::Xr24 => row.extend([bar[2], bar[1], bar[0], 7].repeat(2)),
                CameraFormat::Bx24 => row.extend([7, bar[0], bar[1], bar[2]].repeat(2)),
                CameraFormat::Rgb3 => row.extend([bar, bar].concat()),
                CameraFormat::Bgr3 => row.extend([bar[2], bar[1], bar[0], bar[2], bar[1], bar[0]]),
                CameraFormat::Mjpg => unreachable!(),
            }
        }
        let mut bytes = Vec::new();
        let second = if format == CameraFormat::Nv16 { chroma_row.clone() } else { third_row.clone() };
        let chroma_padding = if format == CameraFormat::Yu12 { padding / 2 } else { padding };
        for (part, padding) in
            [(&row, padding), (&row, padding), (&chroma_row, chroma_padding), (&second, chroma_padding)]
        {
            if !part.is_empty() {
                bytes.extend(part);
                bytes.resize(bytes.len() + padding, 0xA5);
            }
        }
        (layout, bytes)
    }

    fn all_colours() -> impl Iterator<Item = Colours> {
        [Levels::Limited, Levels::Full]
            .into_iter()
            .flat_map(|levels| [Matrix::Bt601, Matrix::Bt709].map(|matrix| Colours { levels, matrix }))
    }

    /// Converts what [`stored`] gave, in as many buffers as the format has.
    fn convert_stored(layout: &PictureLayout, bytes: &[u8], ink: Ink, frame: &mut Frame) -> Result<()> {
        let (first, second) = bytes.split_at((layout.stride * layout.height as usize).min(bytes.len()));
        match layout.format.buffers() {
            1 => convert(layout, bytes, ink, frame),
            _ => convert_buffers(layout, &[first, second], ink, frame),
        }
    }

    #[test]
    fn every_format_gives_the_colours_that_went_in() {
        let raw = CameraFormat::ALL.into_iter().filter(|f| *f != CameraFormat::Mjpg);
        for (format, padding) in raw.flat_map(|f| [(f, 0), (f, 20)]) {
            for colours in all_colours() {
                let (layout, bytes) = stored(format, padding, colours);
                let mut frame = Frame::default();
                convert_stored(&layout, &bytes, Ink::Colour, &mut frame).unwrap();
                for (i, bar) in BARS.iter().flat_map(|b| [b, b]).enumerate() {
                    for y in 0..2 {
                        let row = frame.row(y);
                        let (got, expected) = match frame.format {
                            PixelFormat::Rgb8 => (row[3 * i..3 * i + 3].to_vec(), bar.to_vec()),
                            PixelFormat::Grey8 => (vec![row[i]], vec![crate::frame::luma(bar[0], bar[1], bar[2])]),
                        };
                        let worst = got.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                        assert!(worst <= 3, "{format:?} {colours:?} px {i}: {got:?}, expected {expected:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn black_and_white_become_the_ends_of_the_range() {
        for format in CameraFormat::ALL.into_iter().filter(|f| *f != CameraFormat::Mjpg) {
            for colours in all_colours() {
                let (layout, bytes) = stored(format, 4, colours);
                let mut frame = Frame::default();
                convert_stored(&layout, &bytes, Ink::Grey, &mut frame).unwrap();
                assert_eq!((frame.format, frame.width, frame.height), (PixelFormat::Grey8, 12, 2));
                let row = frame.row(1);
                assert_eq!((row[6], row[7], row[10], row[11]), (0, 0, 255, 255), "{format:?} {colours:?}");
                assert!(row[8].abs_diff(128) <= 1, "{format:?} {colours:?}: {row:?}");
            }
        }
    }

    #[test]
    fn a_picture_that_is_cut_short_is_refused_and_never_read_past_its_end() {
        let (two, bytes) = stored(CameraFormat::Nm12, 6, Colours::default());
        let (first, second) = bytes.split_at(two.stride * 2);
        for (a, b, is_whole) in [
            (first, second, true),
            (&first[1..], second, true),
            (&first[..9], second, false),
            (first, &second[..9], false),
        ] {
            for ink in [Ink::Grey, Ink::Colour] {
                assert_eq!(convert_buffers(&two, &[a, b], ink, &mut Frame::default()).is_ok(), is_whole);
            }
        }
        assert!(convert(&two, &bytes, Ink::Grey, &mut Frame::default()).is_err(), "one buffer of two");
        for format in CameraFormat::ALL.into_iter().filter(|f| *f != CameraFormat::Mjpg && f.buffers() == 1) {
            let (layout, bytes) = stored(format, 6, Colours::default());
            for ink in [Ink::Grey, Ink::Colour] {
                for len in 0..bytes.len() {
                    let outcome = convert(&layout, &bytes[..len], ink, &mut Frame::default());
                    assert_eq!(outcome.is_ok(), len >= layout.bytes_min(), "{format:?} {len} of {}", bytes.len());
                }
            }
        }
        let layout = PictureLayout::new(CameraFormat::Yuyv, 640, 480, 0, Colours::default());
        let e = convert(&layout, &[0; 9], Ink::Grey, &mut Frame::default()).unwrap_err();
        assert_eq!(e.to_string(), "camera: expected 614400 bytes for YUYV 640x480, got 9");
    }

    #[test]
    fn odd_widths_keep_their_last_pixel() {
        for (format, bytes) in [
            (CameraFormat::Yuyv, vec![16, 128, 235, 128, 235, 128, 0, 128]),
            (CameraFormat::Nv12, vec![16, 235, 235, 128, 128, 128, 128]),
        ] {
            let layout = PictureLayout::new(format, 3, 1, 0, Colours::default());
            for ink in [Ink::Grey, Ink::Colour] {
                let mut frame = Frame::default();
                convert(&layout, &bytes, ink, &mut frame).unwrap();
                assert_eq!((frame.grey(0, 0), frame.grey(1, 0), frame.grey(2, 0)), (0, 255, 255), "{format:?}");
            }
        }
    }

    fn jpeg(width: u32, height: u32, colour: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut out, 95);
        let (pixels, kind) = match colour {
            true => ([200, 40, 40].repeat((width * height) as usize), ExtendedColorType::Rgb8),
            false => (vec![90; (width * height) as usize], ExtendedColorType::L8),
        };
        encoder.write_image(&pixels, width, height, kind).unwrap();
        out
    }

    /// The same without its Huffman tables, as most USB cameras send it.
    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut out = jpeg[..2].to_vec();
        let mut end = 2;
        for (marker, segment) in segments(jpeg) {
            end += segment.len();
            if marker != DHT {
                out.extend(segment);
            }
        }
        out.extend(&jpeg[end..]);
        assert!(out.len() + 200 < jpeg.len(), "no tables were left out");
        out
    }

    #[test]
    fn jpeg_pictures_are_decoded_also_without_their_usual_tables() {
        for (is_colour, ink, expected) in
            [(true, Ink::Colour, 90), (true, Ink::Grey, 90), (false, Ink::Grey, 90), (false, Ink::Colour, 90)]
        {
            let whole = jpeg(16, 8, is_colour);
            for bytes in [whole.clone(), without_tables(&whole)] {
                let layout = PictureLayout::new(CameraFormat::Mjpg, 16, 8, 0, Colours::default());
                let mut frame = Frame::default();
                convert(&layout, &bytes, ink, &mut frame).unwrap();
                let expected = if is_colour { crate::frame::luma(200, 40, 40) } else { expected };
                assert!(frame.grey(3, 3).abs_diff(expected) <= 4, "{ink:?}: {}", frame.grey(3, 3));
            }
        }
    }

    #[test]
    fn a_jpeg_of_another_size_or_of_noise_is_refused() {
        let layout = PictureLayout::new(CameraFormat::Mjpg, 16, 8, 0, Colours::default());
        let mut noise = jpeg(16, 8, true);
        noise.truncate(40);
        for (bytes, expected) in [(jpeg(8, 8, true), "of 16x8, got 8x8"), (noise, "JPEG"), (vec![0; 50], "JPEG")] {
            let e = convert(&layout, &bytes, Ink::Grey, &mut Frame::default()).unwrap_err();
            assert!(e.kind() == ErrorKind::Format && e.to_string().contains(expected), "{e}");
        }
    }
}
