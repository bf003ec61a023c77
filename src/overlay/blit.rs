//! The frame, scaled to the image area of the screen.

use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Point};
use crate::overlay::blend::PxRect;
use crate::overlay::canvas::Canvas;

/// A source pixel, the one after it, and the weight of the latter, 0..=256.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tap {
    first: u32,
    second: u32,
    weight: u32,
}

/// The geometry that the tables were made for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    width: u32,
    height: u32,
    format: PixelFormat,
    to_display: Converter<ImageSpace, DisplaySpace>,
    area: PxRect,
    canvas: (u32, u32),
}

/// Scales frames onto a canvas, bilinearly, mirrored where the converter mirrors.
///
/// Guarantees: writes every pixel of the area and no other; allocates only when size, format or area change. Below half
/// size it samples without filtering, so fine texture may alias.
///
/// ```
/// use sonotap::frame::{Frame, PixelFormat};
/// use sonotap::geometry::{Converter, Rect};
/// use sonotap::overlay::{Canvas, blend::PxRect, blit::Blitter};
///
/// let frame = Frame::from_pixels(2, 1, PixelFormat::Grey8, vec![0, 200]).unwrap();
/// let to_display = Converter::fit(&frame.bounds(), &Rect::new(0.0, 0.0, 2.0, 1.0), true);
/// let mut canvas = Canvas::new(2, 1);
/// Blitter::default().blit(&frame, &to_display, PxRect::new(0, 0, 2, 1), &mut canvas);
/// assert_eq!(canvas.pixels(), [0xC8C8C8, 0x000000]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Blitter {
    plan: Option<Plan>,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    painted: PxRect,
    upper: Line,
    lower: Line,
}

/// One source row, already scaled to display columns, in 1/256 of a grey level; three values per pixel for colour.
#[derive(Clone, Debug, Default)]
struct Line {
    row: Option<u32>,
    values: Vec<u16>,
}

impl Blitter {
    /// Paints the part of `frame` that maps into `area` (display px), and black elsewhere. Returns the area that the
    /// frame covers.
    pub fn blit(
        &mut self,
        frame: &Frame,
        to_display: &Converter<ImageSpace, DisplaySpace>,
        area: PxRect,
        canvas: &mut Canvas,
    ) -> PxRect {
        let size = (canvas.width(), canvas.height());
        let area = area.intersect(PxRect::new(0, 0, size.0 as i32, size.1 as i32));
        let plan = Plan {
            width: frame.width,
            height: frame.height,
            format: frame.format,
            to_display: *to_display,
            area,
            canvas: size,
        };
        if self.plan != Some(plan) {
            self.prepare(plan);
        }
        (self.upper.row, self.lower.row) = (None, None);
        let pitch = size.0 as usize;
        let painted = self.painted;
        for y in area.y0..area.y1 {
            let start = y as usize * pitch;
            let line = &mut canvas.pixels_mut()[start + area.x0 as usize..start + area.x1 as usize];
            if y < painted.y0 || y >= painted.y1 {
                line.fill(0);
                continue;
            }
            let (a, b) = ((painted.x0 - area.x0) as usize, (painted.x1 - area.x0) as usize);
            line[..a].fill(0);
            line[b..].fill(0);
            self.paint_row(frame, (y - painted.y0) as usize, &mut line[a..b]);
        }
        painted
    }

    fn prepare(&mut self, plan: Plan) {
        let whole =
            plan.to_display.apply_rect(&crate::geometry::Rect::new(0.0, 0.0, plan.width as f32, plan.height as f32));
        let covered = PxRect::new(
            (whole.x0 - 0.5).ceil() as i32,
            (whole.y0 - 0.5).ceil() as i32,
            (whole.x1 - 0.5).ceil() as i32,
            (whole.y1 - 0.5).ceil() as i32,
        );
        self.painted = covered.intersect(plan.area);
        let centre = |x: i32, y: i32| plan.to_display.invert(Point::new(x as f32 + 0.5, y as f32 + 0.5));
        self.columns.clear();
        self.columns.extend((self.painted.x0..self.painted.x1).map(|x| tap(centre(x, 0).x, plan.width)));
        self.rows.clear();
        self.rows.extend((self.painted.y0..self.painted.y1).map(|y| tap(centre(0, y).y, plan.height)));
        let values = self.columns.len() * plan.format.bytes();
        self.upper.values.resize(values, 0);
        self.lower.values.resize(values, 0);
        self.plan = Some(plan);
    }

    fn paint_row(&mut self, frame: &Frame, row: usize, out: &mut [u32]) {
        let tap = self.rows[row];
        if self.upper.row != Some(tap.first) {
            std::mem::swap(&mut self.upper, &mut self.lower);
            self.upper.load(frame, tap.first, &self.columns);
        }
        self.lower.load(frame, tap.second, &self.columns);
        let (k0, k1) = (256 - tap.weight, tap.weight);
        let level = |a: u16, b: u16| (u32::from(a) * k0 + u32::from(b) * k1 + 0x8000) >> 16;
        let (upper, lower) = (&self.upper.values, &self.lower.values);
        match frame.format {
            PixelFormat::Grey8 => {
                for ((p, &a), &b) in out.iter_mut().zip(upper).zip(lower) {
                    *p = level(a, b) * 0x01_0101;
                }
            }
            PixelFormat::Rgb8 => {
                for ((p, a), b) in out.iter_mut().zip(upper.chunks_exact(3)).zip(lower.chunks_exact(3)) {
                    *p = level(a[0], b[0]) << 16 | level(a[1], b[1]) << 8 | level(a[2], b[2]);
                }
            }
        }
    }
}

impl Line {
    fn load(&mut self, frame: &Frame, row: u32, columns: &[Tap]) {
        if self.row == Some(row) {
            return;
        }
        self.row = Some(row);
        let source = frame.row(row);
        let level =
            |a: u8, b: u8, weight: u32| (u32::from(a) * (256 - weight) + u32::from(b) * weight).min(0xFFFF) as u16;
        match frame.format {
            PixelFormat::Grey8 => {
                for (v, t) in self.values.iter_mut().zip(columns) {
                    *v = level(source[t.first as usize], source[t.second as usize], t.weight);
                }
            }
            PixelFormat::Rgb8 => {
                for (v, t) in self.values.chunks_exact_mut(3).zip(columns) {
                    let (a, b) = (t.first as usize * 3, t.second as usize * 3);
                    for channel in 0..3 {
                        v[channel] = level(source[a + channel], source[b + channel], t.weight);
                    }
                }
            }
        }
    }
}

/// Neighbours of a continuous coordinate among `count` pixels with centres at +0.5.
fn tap(at: f32, count: u32) -> Tap {
    let last = count.saturating_sub(1);
    let g = (at - 0.5).clamp(0.0, last as f32);
    let first = g as u32;
    let weight = ((g - first as f32) * 256.0 + 0.5) as u32;
    Tap { first, second: (first + 1).min(last), weight }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use proptest::prelude::*;

    fn bilinear(frame: &Frame, p: Point<ImageSpace>) -> f32 {
        let g = |v: f32, n: u32| (v - 0.5).clamp(0.0, (n - 1) as f32);
        let (x, y) = (g(p.x, frame.width), g(p.y, frame.height));
        let (x0, y0) = (x as u32, y as u32);
        let (x1, y1) = ((x0 + 1).min(frame.width - 1), (y0 + 1).min(frame.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let at = |x, y| f32::from(frame.grey(x, y));
        (at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx) * (1.0 - fy) + (at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx) * fy
    }

    proptest! {
        #[test]
        fn every_pixel_is_the_bilinear_value_at_its_centre(
            w in 1u32..12, h in 1u32..12, seed in any::<u64>(), mirrored in any::<bool>(), colour in any::<bool>(),
            ax in 0i32..9, ay in 0i32..9, aw in 1i32..40, ah in 1i32..40,
        ) {
            let grey: Vec<u8> = (0..w * h).map(|i| (seed.rotate_left(i * 7) ^ u64::from(i * 37)) as u8).collect();
            let frame = if colour {
                let rgb = grey.iter().flat_map(|&v| [v; 3]).collect();
                Frame::from_pixels(w, h, PixelFormat::Rgb8, rgb).unwrap()
            } else {
                Frame::from_pixels(w, h, PixelFormat::Grey8, grey).unwrap()
            };
            let area = PxRect::new(ax, ay, ax + aw, ay + ah);
            let place = Rect::new(ax as f32, ay as f32, (ax + aw) as f32, (ay + ah) as f32);
            let to_display = Converter::fit(&frame.bounds(), &place, mirrored);
            let mut canvas = Canvas::new(50, 50);
            canvas.pixels_mut().fill(0xABCDEF);
            let painted = Blitter::default().blit(&frame, &to_display, area, &mut canvas);
            for y in 0..50i32 {
                for x in 0..50i32 {
                    let got = canvas.get(x as u32, y as u32).unwrap();
                    if !area.contains(x, y) {
                        prop_assert_eq!(got, 0xABCDEF);
                    } else if !painted.contains(x, y) {
                        prop_assert_eq!(got, 0);
                    } else {
                        let p = to_display.invert(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                        prop_assert!((bilinear(&frame, p) - (got & 255) as f32).abs() <= 1.6, "{} {}", x, y);
                        prop_assert_eq!(got, (got & 255) * 0x01_0101);
                    }
                }
            }
        }
    }

    #[test]
    fn same_size_is_a_plain_copy_and_tables_follow_a_change() {
        let mut blitter = Blitter::default();
        let mut canvas = Canvas::new(8, 8);
        for (w, h) in [(8, 8), (8, 4), (4, 8), (8, 8)] {
            let pixels: Vec<u8> = (0..w * h).map(|v| (v * 3) as u8).collect();
            let frame = Frame::from_pixels(w, h, PixelFormat::Grey8, pixels).unwrap();
            let to_display = Converter::fit(&frame.bounds(), &frame_place(w, h), false);
            blitter.blit(&frame, &to_display, PxRect::new(0, 0, w as i32, h as i32), &mut canvas);
            for y in 0..h {
                for x in 0..w {
                    assert_eq!(canvas.get(x, y), Some(u32::from(frame.grey(x, y)) * 0x01_0101), "{w}x{h} {x} {y}");
                }
            }
        }
    }

    fn frame_place(w: u32, h: u32) -> Rect<DisplaySpace> {
        Rect::new(0.0, 0.0, w as f32, h as f32)
    }
}
