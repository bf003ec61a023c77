//! A host's picture to be written: checked once, then rows of known length.

use sonotap::contour::Outline;
use sonotap::frame::{Frame, PixelFormat};
use sonotap::overlay::Canvas;

use crate::boundary::{Failure, Outcome};
use crate::raw;
use crate::types::*;

const EDGE_PX_MAX: u32 = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// 0x00RRGGBB, or with an opaque alpha.
    Words {
        alpha: u32,
    },
    /// Red, green, blue.
    Rgb,
    Grey,
}

impl Stored {
    fn bytes(self) -> usize {
        match self {
            Self::Words { .. } => 4,
            Self::Rgb => 3,
            Self::Grey => 1,
        }
    }
}

/// A picture of a host.
pub(crate) struct Pixels<'a> {
    stored: Stored,
    pub width: u32,
    pub height: u32,
    stride: usize,
    bytes: &'a mut [u8],
}

impl<'a> Pixels<'a> {
    /// # Safety
    /// The picture's bytes can be read and written by nobody else for the lifetime.
    pub(crate) unsafe fn of(picture: &sonotap_picture, may_be_grey: bool) -> Outcome<Self> {
        let fourcc = picture.fourcc.to_le_bytes();
        let stored = match &fourcc {
            b"XR24" => Stored::Words { alpha: 0 },
            b"AR24" => Stored::Words { alpha: 0xFF00_0000 },
            b"RGB3" => Stored::Rgb,
            b"GREY" if may_be_grey => Stored::Grey,
            _ => {
                let grey = if may_be_grey { ", GREY" } else { "" };
                let text =
                    format!("picture: expected XR24, AR24, RGB3{grey}, got {:?}", String::from_utf8_lossy(&fourcc));
                return Err(Failure::new(SONOTAP_E_UNSUPPORTED, text));
            }
        };
        let (width, height) = (picture.width, picture.height);
        let is_edge = |v: u32| (1..=EDGE_PX_MAX).contains(&v);
        if !is_edge(width) || !is_edge(height) {
            let text = format!("picture: expected 1 to {EDGE_PX_MAX} px a side, got {width}x{height}");
            return Err(Failure::argument(text));
        }
        let row = width as usize * stored.bytes();
        let stride = if picture.stride == 0 { row } else { picture.stride as usize };
        let needed = stride * (height as usize - 1) + row;
        if stride < row || picture.bytes < needed {
            return Err(Failure::argument(format!(
                "picture of {width}x{height}: expected rows of at least {row} bytes and {needed} in all, got rows of {stride} and {}",
                picture.bytes
            )));
        }
        // SAFETY: the caller's.
        let bytes = unsafe { raw::bytes_mut("picture", picture.pixels, needed) }?;
        Ok(Self { stored, width, height, stride, bytes })
    }

    fn row(&mut self, y: usize) -> &mut [u8] {
        let start = y * self.stride;
        &mut self.bytes[start..start + self.width as usize * self.stored.bytes()]
    }

    /// Writes a canvas with its upper left corner at (x, y); it has to fit.
    pub(crate) fn put(&mut self, canvas: &Canvas, x: usize, y: usize) {
        let (width, stored) = (canvas.width() as usize, self.stored);
        for (i, from) in canvas.pixels().chunks_exact(width.max(1)).enumerate() {
            let to = &mut self.row(y + i)[x * stored.bytes()..][..width * stored.bytes()];
            match stored {
                Stored::Words { alpha } => {
                    to.chunks_exact_mut(4).zip(from).for_each(|(o, p)| o.copy_from_slice(&(p | alpha).to_le_bytes()));
                }
                Stored::Rgb => {
                    to.chunks_exact_mut(3).zip(from).for_each(|(o, p)| o.copy_from_slice(&p.to_be_bytes()[1..]));
                }
                Stored::Grey => to.iter_mut().zip(from).for_each(|(o, p)| *o = *p as u8),
            }
        }
    }

    /// Reads what is under the canvas.
    pub(crate) fn take(&mut self, canvas: &mut Canvas, x: usize, y: usize) {
        let (width, stored) = (canvas.width() as usize, self.stored);
        for (i, to) in canvas.pixels_mut().chunks_exact_mut(width.max(1)).enumerate() {
            let from = &self.row(y + i)[x * stored.bytes()..][..width * stored.bytes()];
            match stored {
                Stored::Words { .. } => to.iter_mut().zip(from.chunks_exact(4)).for_each(|(o, p)| {
                    *o = u32::from_le_bytes([p[0], p[1], p[2], 0]);
                }),
                Stored::Rgb => to.iter_mut().zip(from.chunks_exact(3)).for_each(|(o, p)| {
                    *o = u32::from_be_bytes([0, p[0], p[1], p[2]]);
                }),
                Stored::Grey => to.iter_mut().zip(from).for_each(|(o, p)| *o = u32::from(*p) * 0x01_01_01),
            }
        }
    }

    /// Writes a frame of the same size.
    pub(crate) fn put_frame(&mut self, frame: &Frame) -> Outcome<()> {
        self.is_of(frame)?;
        let is_colour = frame.format() == PixelFormat::Rgb8;
        let stored = self.stored;
        for y in 0..frame.height() {
            let from = frame.row(y);
            let to = self.row(y as usize);
            let rgb = |x: usize| if is_colour { [from[3 * x], from[3 * x + 1], from[3 * x + 2]] } else { [from[x]; 3] };
            match stored {
                Stored::Words { alpha } => to.chunks_exact_mut(4).enumerate().for_each(|(x, o)| {
                    let [r, g, b] = rgb(x);
                    o.copy_from_slice(&(u32::from_be_bytes([0, r, g, b]) | alpha).to_le_bytes());
                }),
                Stored::Rgb => to.chunks_exact_mut(3).enumerate().for_each(|(x, o)| o.copy_from_slice(&rgb(x))),
                Stored::Grey if is_colour => {
                    to.iter_mut().enumerate().for_each(|(x, o)| *o = frame.grey(x as u32, y));
                }
                Stored::Grey => to.copy_from_slice(from),
            }
        }
        Ok(())
    }

    /// Writes 255 where a pixel's centre is inside the outline, 0 elsewhere; `crossings` is a buffer.
    pub(crate) fn put_mask(&mut self, frame: &Frame, outline: &Outline, crossings: &mut Vec<f32>) -> Outcome<()> {
        self.is_of(frame)?;
        if self.stored != Stored::Grey {
            return Err(Failure::new(SONOTAP_E_UNSUPPORTED, "mask: expected a picture of GREY, got another"));
        }
        let width = self.width as usize;
        for y in 0..self.height as usize {
            let centre = y as f32 + 0.5;
            crossings.clear();
            for ring in outline.rings() {
                let ends = ring.iter().zip(ring.iter().cycle().skip(1));
                crossings.extend(
                    ends.filter(|(a, b)| (a.y <= centre) != (b.y <= centre))
                        .map(|(a, b)| a.x + (centre - a.y) / (b.y - a.y) * (b.x - a.x)),
                );
            }
            crossings.sort_unstable_by(f32::total_cmp);
            let row = self.row(y);
            row.fill(0);
            for pair in crossings.chunks_exact(2) {
                // The first and the last centre between the two.
                let first = (pair[0] - 0.5).ceil().clamp(0.0, width as f32) as usize;
                let end = (pair[1] - 0.5).ceil().clamp(0.0, width as f32) as usize;
                row[first..end.max(first)].fill(255);
            }
        }
        Ok(())
    }

    fn is_of(&self, frame: &Frame) -> Outcome<()> {
        let (got, expected) = ((self.width, self.height), (frame.width(), frame.height()));
        if got != expected {
            let text = format!(
                "picture: expected {}x{} px, as the frame has, got {}x{}",
                expected.0, expected.1, got.0, got.1
            );
            return Err(Failure::argument(text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonotap::geometry::Point;

    #[test]
    fn a_mask_is_where_the_outline_contains_the_centres() {
        let mut outline = Outline::default();
        let ring = |n: usize, r: f32| {
            (0..n).map(move |i| {
                let turn = i as f32 / n as f32 * std::f32::consts::TAU;
                Point::new(20.3 + r * turn.cos(), 15.7 + r * turn.sin())
            })
        };
        outline.push_ring(ring(40, 14.0));
        outline.push_ring(ring(30, 6.0).collect::<Vec<_>>().into_iter().rev());
        let frame = Frame::from_pixels(40, 30, PixelFormat::Grey8, vec![0; 1200]).unwrap();
        let mut bytes = vec![7; 1200];
        let mut pixels = Pixels { stored: Stored::Grey, width: 40, height: 30, stride: 40, bytes: &mut bytes };
        pixels.put_mask(&frame, &outline, &mut Vec::new()).unwrap();
        for (at, &v) in bytes.iter().enumerate() {
            let centre = Point::new((at % 40) as f32 + 0.5, (at / 40) as f32 + 0.5);
            assert_eq!(v == 255, outline.contains(centre), "{centre:?}: {v}");
        }
        let area = bytes.iter().filter(|&&v| v == 255).count() as f64;
        assert!((area - outline.signed_area().abs()).abs() < 12.0, "{area} px, {} by the rings", outline.signed_area());
    }
}
