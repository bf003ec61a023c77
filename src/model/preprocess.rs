//! Converts a frame and a view to the encoder's input: crop, scale, normalize, pad.
//!
//! When the view reduces the image, a model pixel is the mean over the image area that it covers; when it enlarges, the pixel is
//! bilinear at its centre. Both are exact to fractions of a pixel and separable, so a view is two tables of weights, which are
//! recomputed only when the view or the frame's size changes. Model pixels whose centre lies outside the
//! crop or outside the frame are padding.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat, luma};
use crate::geometry::ModelView;

/// Weights from image pixels to model pixels along one axis.
#[derive(Debug, Default)]
struct Taps {
    /// The model pixels on the image; the others are padding.
    filled: Range<usize>,
    /// Number of weights of each filled model pixel.
    count: usize,
    /// Image pixel of the first weight of each filled model pixel.
    firsts: Vec<usize>,
    /// `count` for each filled model pixel, some of them 0.
    weights: Vec<f32>,
}

impl Taps {
    /// First image pixel and the weights from there on, of a filled model pixel.
    fn of(&self, i: usize) -> (usize, &[f32]) {
        let k = i - self.filled.start;
        (self.firsts[k], &self.weights[k * self.count..(k + 1) * self.count])
    }

    /// The image pixels that are read; `None` if all is padding.
    fn needed(&self) -> Option<Range<usize>> {
        let (first, last) = (self.firsts.first()?, self.firsts.last()?);
        Some(*first..last + self.count)
    }

    /// Weights for `side` model pixels, each `px` image pixels wide, of the crop [`start`, `end`) of `size` image pixels.
    fn rebuild(&mut self, side: usize, (start, end): (f64, f64), size: usize, px: f64) {
        self.firsts.clear();
        self.weights.clear();
        self.count = (px.ceil() as usize + 1).min(size);
        let (low, high) = (start.max(0.0), end.min(size as f64));
        let centre = |i: usize| start + (i as f64 + 0.5) * px;
        let from = (0..side).find(|&i| centre(i) >= low).unwrap_or(side);
        let to = (from..side).find(|&i| centre(i) >= high).unwrap_or(side);
        self.filled = from..to;
        for i in self.filled.clone() {
            let c = centre(i);
            if px > 1.0 {
                let (from, to) = ((c - px / 2.0).max(low), (c + px / 2.0).min(high));
                let part = |j: usize| (to.min((j + 1) as f64) - from.max(j as f64)).max(0.0) / (to - from);
                self.push(from as usize, size, part);
            } else {
                let (first, last) = (low.floor(), high.ceil() - 1.0);
                let left = (c - 0.5).clamp(first, last);
                self.push(left as usize, size, |j| (1.0 - (left - j as f64).abs()).max(0.0));
            }
        }
    }

    fn push(&mut self, first: usize, size: usize, weight: impl Fn(usize) -> f64) {
        let first = first.min(size - self.count);
        self.firsts.push(first);
        self.weights.extend((first..first + self.count).map(|j| weight(j) as f32));
    }

    /// The weighted sum of `line` for every filled model pixel.
    fn sums(&self, line: &[f32], out: &mut [f32]) {
        match self.count {
            1 => self.sums_of::<1>(line, out),
            2 => self.sums_of::<2>(line, out),
            3 => self.sums_of::<3>(line, out),
            4 => self.sums_of::<4>(line, out),
            5 => self.sums_of::<5>(line, out),
            n => {
                for ((v, &first), w) in out.iter_mut().zip(&self.firsts).zip(self.weights.chunks_exact(n)) {
                    *v = line[first..first + n].iter().zip(w).map(|(grey, w)| grey * w).sum();
                }
            }
        }
    }

    fn sums_of<const N: usize>(&self, line: &[f32], out: &mut [f32]) {
        for ((v, &first), w) in out.iter_mut().zip(&self.firsts).zip(self.weights.as_chunks::<N>().0) {
            if let Some(seen) = line[first..].first_chunk::<N>() {
                *v = (0..N).map(|i| seen[i] * w[i]).sum();
            }
        }
    }
}

/// Converts frames to encoder inputs; reuses its tables and buffers.
///
/// ```
/// use sonotap::frame::{Frame, PixelFormat};
/// use sonotap::geometry::ModelView;
/// use sonotap::model::preprocess::Resampler;
/// let frame = Frame::from_pixels(4, 2, PixelFormat::Grey8, vec![0, 0, 255, 255, 0, 0, 255, 255]).unwrap();
/// let mut out = [0.0; 4];
/// Resampler::default().grey_view(&frame, &ModelView::new(frame.bounds(), 2), &mut out).unwrap();
/// assert_eq!(out, [0.0, 1.0, 0.0, 0.0]);
/// ```
#[derive(Debug, Default)]
pub struct Resampler {
    columns: Taps,
    rows: Taps,
    made_for: Option<(ModelView, u32, u32)>,
    line: Vec<f32>,
}

impl Resampler {
    /// The view in grey, 0 black to 1 white, padding 0; `out` is row-major, [side, side].
    ///
    /// # Errors
    /// `Argument` when the size of `out` or of the frame's pixels is wrong.
    ///
    /// # Cost
    /// Reads every image pixel of the crop once or twice. Allocates when the view or the frame's size changes.
    pub fn grey_view(&mut self, frame: &Frame, view: &ModelView, out: &mut [f32]) -> Result<()> {
        self.planes(frame, view, &[(0.0, 255.0)], out)
    }

    /// The view in grey of 0..=255, normalized as `(grey - mean) / deviation`, one plane for each pair of mean and deviation.
    /// Padding is 0 after the normalization. `out` is [planes, side, side].
    ///
    /// # Errors
    /// As [`Self::grey_view`].
    pub fn planes(&mut self, frame: &Frame, view: &ModelView, norms: &[(f32, f32)], out: &mut [f32]) -> Result<()> {
        let side = view.side() as usize;
        let plane = side * side;
        check(view, norms.len() * plane, out.len())?;
        let Some((first_norm, other_norms)) = norms.split_first() else {
            return Ok(());
        };
        self.prepare(frame, view);
        out.fill(0.0);
        for y in self.rows.filled.clone() {
            self.blend_rows(frame, y);
            let row = y * side + self.columns.filled.start..y * side + self.columns.filled.end;
            self.columns.sums(&self.line, &mut out[row.clone()]);
            let (first_plane, others) = out.split_at_mut(plane);
            let grey = &mut first_plane[row.clone()];
            for (other, norm) in others.chunks_exact_mut(plane).zip(other_norms) {
                other[row.clone()].iter_mut().zip(&*grey).for_each(|(v, g)| *v = (g - norm.0) / norm.1);
            }
            grey.iter_mut().for_each(|v| *v = (*v - first_norm.0) / first_norm.1);
        }
        Ok(())
    }

    fn prepare(&mut self, frame: &Frame, view: &ModelView) {
        let made_for = Some((*view, frame.width, frame.height));
        if self.made_for == made_for {
            return;
        }
        let (side, crop) = (view.side() as usize, view.crop());
        let px = 1.0 / f64::from(view.converter().scale());
        let (width, height) = (frame.width as usize, frame.height as usize);
        self.columns.rebuild(side, (f64::from(crop.x0), f64::from(crop.x1)), width, px);
        self.rows.rebuild(side, (f64::from(crop.y0), f64::from(crop.y1)), height, px);
        self.line.resize(width, 0.0);
        self.made_for = made_for;
    }

    /// Writes the weighted sum of the image rows of model row `y` to `line`, for the columns that are needed.
    fn blend_rows(&mut self, frame: &Frame, y: usize) {
        let Some(needed) = self.columns.needed() else {
            return;
        };
        let (first, weights) = self.rows.of(y);
        let line = &mut self.line[needed.clone()];
        line.fill(0.0);
        for (i, &w) in weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
            let row = frame.row((first + i) as u32);
            match frame.format {
                PixelFormat::Grey8 => {
                    line.iter_mut().zip(&row[needed.clone()]).for_each(|(sum, &v)| *sum += w * f32::from(v));
                }
                PixelFormat::Rgb8 => {
                    let pixels = row[3 * needed.start..3 * needed.end].chunks_exact(3);
                    line.iter_mut().zip(pixels).for_each(|(sum, c)| *sum += w * f32::from(luma(c[0], c[1], c[2])));
                }
            }
        }
    }
}

fn check(view: &ModelView, expected: usize, got: usize) -> Result<()> {
    let refuse = |context: String| Err(Error::new(ErrorKind::Argument, context));
    if got != expected {
        return refuse(format!("encoder input: expected a buffer of {expected} values, got {got}"));
    }
    let crop = view.crop();
    if !(crop.min().is_finite() && crop.max().is_finite()) {
        return refuse(format!("view: expected finite edges, got {crop:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use proptest::prelude::*;

    fn grey(width: u32, height: u32, pixels: Vec<u8>) -> Frame {
        Frame::from_pixels(width, height, PixelFormat::Grey8, pixels).unwrap()
    }

    fn seen(frame: &Frame, view: &ModelView) -> Vec<f32> {
        let mut out = vec![f32::NAN; (view.side() * view.side()) as usize];
        Resampler::default().grey_view(frame, view, &mut out).unwrap();
        out
    }

    /// The definition, pixel by pixel: mean over 16 x 16 points of the area, or bilinear at the centre.
    fn by_definition(frame: &Frame, view: &ModelView, x: u32, y: u32) -> f32 {
        use crate::geometry::Point;
        let visible = view.crop().intersect(&frame.bounds()).unwrap();
        if !visible.contains(view.to_image(Point::new(x as f32 + 0.5, y as f32 + 0.5))) {
            return 0.0;
        }
        let at = |px: i64, py: i64| {
            let clamp = |v: i64, a: f32, b: f32| v.clamp(a.floor() as i64, b.ceil() as i64 - 1) as u32;
            f32::from(frame.grey(clamp(px, visible.x0, visible.x1), clamp(py, visible.y0, visible.y1))) / 255.0
        };
        if view.converter().scale() >= 1.0 {
            let p = view.to_image(Point::new(x as f32 + 0.5, y as f32 + 0.5));
            let (gx, gy) = (p.x - 0.5, p.y - 0.5);
            let (x0, y0) = (gx.floor() as i64, gy.floor() as i64);
            let (fx, fy) = (gx - gx.floor(), gy - gy.floor());
            let top = at(x0, y0) * (1.0 - fx) + at(x0 + 1, y0) * fx;
            return top * (1.0 - fy) + (at(x0, y0 + 1) * (1.0 - fx) + at(x0 + 1, y0 + 1) * fx) * fy;
        }
        let (mut sum, mut n) = (0.0, 0.0);
        for j in 0..64 {
            for i in 0..64 {
                let p =
                    view.to_image(Point::new(x as f32 + (i as f32 + 0.5) / 64.0, y as f32 + (j as f32 + 0.5) / 64.0));
                if visible.contains(p) {
                    sum += at(p.x as i64, p.y as i64);
                    n += 1.0;
                }
            }
        }
        sum / n
    }

    #[test]
    fn same_size_is_the_same_picture() {
        let frame = grey(4, 4, (0..16).map(|v| v * 16).collect());
        let out = seen(&frame, &ModelView::new(frame.bounds(), 4));
        for (got, v) in out.iter().zip(&frame.pixels) {
            assert!((got - f32::from(*v) / 255.0).abs() < 1e-6);
        }
    }

    #[test]
    fn enlarging_is_bilinear_and_half_pixel_exact() {
        let frame = grey(2, 1, vec![0, 255]);
        let out = seen(&frame, &ModelView::new(frame.bounds(), 4));
        for (got, expected) in out.iter().zip([0.0, 0.25, 0.75, 1.0, 0.0, 0.25, 0.75, 1.0]) {
            assert!((got - expected).abs() < 1e-6, "{out:?}");
        }
        assert!(out[8..].iter().all(|&v| v == 0.0), "padding below is 0: {out:?}");
    }

    #[test]
    fn colour_is_seen_as_its_luma() {
        let frame = Frame::from_pixels(2, 1, PixelFormat::Rgb8, vec![255, 0, 0, 0, 255, 0]).unwrap();
        let view = ModelView::new(frame.bounds(), 2);
        let expected = [f32::from(luma(255, 0, 0)) / 255.0, f32::from(luma(0, 255, 0)) / 255.0, 0.0, 0.0];
        assert_eq!(seen(&frame, &view), expected);
    }

    #[test]
    fn planes_are_normalised_and_padding_stays_zero() {
        let frame = grey(2, 1, vec![100, 200]);
        let mut out = [9.0; 12];
        let norms = [(100.0, 10.0), (0.0, 1.0), (50.0, 2.0)];
        Resampler::default().planes(&frame, &ModelView::new(frame.bounds(), 2), &norms, &mut out).unwrap();
        assert_eq!(out, [0.0, 10.0, 0.0, 0.0, 100.0, 200.0, 0.0, 0.0, 25.0, 75.0, 0.0, 0.0]);
    }

    #[test]
    fn tables_follow_the_view_and_the_frame() {
        let mut resampler = Resampler::default();
        let mut out = vec![0.0; 64];
        for (w, h, x0) in [(16, 8, 0.0), (16, 8, 4.0), (8, 16, 0.0), (16, 8, 0.0)] {
            let frame = grey(w, h, (0..w * h).map(|v| (v * 7 % 256) as u8).collect());
            let view = ModelView::new(Rect::new(x0, 0.0, w as f32, h as f32), 8);
            resampler.grey_view(&frame, &view, &mut out).unwrap();
            assert_eq!(out, seen(&frame, &view));
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let frame = grey(4, 4, vec![0; 16]);
        let view = ModelView::new(frame.bounds(), 4);
        let mut r = Resampler::default();
        let e = r.grey_view(&frame, &view, &mut [0.0; 15]).unwrap_err();
        assert_eq!(e.to_string(), "encoder input: expected a buffer of 16 values, got 15");
        let nowhere = ModelView::new(Rect::new(0.0, 0.0, f32::INFINITY, 4.0), 4);
        assert_eq!(r.grey_view(&frame, &nowhere, &mut [0.0; 16]).unwrap_err().kind(), ErrorKind::Argument);
    }

    #[test]
    fn a_view_beside_the_frame_is_all_padding() {
        let frame = grey(4, 4, vec![255; 16]);
        for crop in [Rect::new(10.0, 0.0, 14.0, 4.0), Rect::new(0.0, -9.0, 4.0, -5.0)] {
            assert!(seen(&frame, &ModelView::new(crop, 8)).iter().all(|&v| v == 0.0), "{crop:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn tables_give_what_the_definition_gives(
            w in 3u32..40, h in 3u32..40, x0 in -3.0f32..10.0, y0 in -3.0f32..10.0,
            cw in 2.0f32..40.0, ch in 2.0f32..40.0, seed in any::<u32>(),
        ) {
            let pixels = (0..w * h).map(|i| (i.wrapping_mul(2_654_435_761) ^ seed).wrapping_mul(40503) as u8).collect();
            let frame = grey(w, h, pixels);
            let view = ModelView::new(Rect::new(x0, y0, x0 + cw, y0 + ch), 16);
            prop_assume!(view.crop().intersect(&frame.bounds()).is_some());
            let out = seen(&frame, &view);
            let near = |a: f32, b: f32| (a - b).abs() < 0.03;
            for y in 0..16 {
                for x in 0..16 {
                    let (got, expected) = (out[(y * 16 + x) as usize], by_definition(&frame, &view, x, y));
                    prop_assert!(near(got, expected), "({x}, {y}): {got} is not {expected}");
                }
            }
        }
    }
}
