//! The small grey picture that motion is estimated on.

use crate::frame::{Frame, PixelFormat};
use crate::geometry::{ImageSpace, ModelView, Rect};

/// Block means along x that [`SmallGrey::blocks`] holds.
pub const BLOCK_COLUMNS: usize = 16;
/// Block means along y that [`SmallGrey::blocks`] holds.
pub const BLOCK_ROWS: usize = 12;

/// A frame's image region, its longest side scaled to `side` px by area averaging, grey, one byte a pixel.
///
/// Pixel (i, j) covers [i, i+1) x [j, j+1) of the model space of [`SmallGrey::view`]: px of the small picture are model
/// px of that view. Only the filled part is stored, without the padding of the letterbox.
#[derive(Clone, Debug)]
pub struct SmallGrey {
    side: u32,
    view: ModelView,
    cols: usize,
    rows: usize,
    pixels: Vec<u8>,
    blocks: [f32; BLOCK_COLUMNS * BLOCK_ROWS],
    across: Taps,
    down: Taps,
    line: Vec<f32>,
}

impl SmallGrey {
    /// A black picture of one pixel, to be filled; `side` is the longest side after filling, at least 16 px.
    pub fn new(side: u32) -> Self {
        let side = side.max(16);
        Self {
            side,
            view: ModelView::new(Rect::new(0.0, 0.0, 1.0, 1.0), side),
            cols: 1,
            rows: 1,
            pixels: vec![0],
            blocks: [0.0; BLOCK_COLUMNS * BLOCK_ROWS],
            across: Taps::default(),
            down: Taps::default(),
            line: Vec::new(),
        }
    }

    /// Fills it from the frame's image region, or from the whole frame if the region is outside it. A frame without pixels
    /// becomes one black pixel. Allocates only when sizes grow.
    pub fn fill_from(&mut self, frame: &Frame) {
        if frame.pixels().is_empty() {
            self.view = ModelView::new(Rect::new(0.0, 0.0, 1.0, 1.0), self.side);
            (self.cols, self.rows) = (1, 1);
            self.pixels.clear();
            self.pixels.push(0);
            self.blocks.fill(0.0);
            return;
        }
        let crop = frame.region.rect.intersect(&frame.bounds()).unwrap_or(frame.bounds());
        self.aim(crop, frame.width as usize, frame.height as usize);
        let bytes = frame.format.bytes();
        let (first, last) = (self.across.first() * bytes, self.across.end() * bytes);
        self.line.resize(last - first, 0.0);
        for (j, out) in self.pixels.chunks_exact_mut(self.cols).enumerate() {
            self.line.fill(0.0);
            let (start, weights) = self.down.of(j);
            for (i, &w) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
                let source = &frame.row((start + i) as u32)[first..last];
                self.line.iter_mut().zip(source).for_each(|(sum, &p)| *sum += w * f32::from(p));
            }
            if frame.format == PixelFormat::Rgb8 {
                to_luma(&mut self.line);
            }
            self.across.apply(&self.line, out);
        }
        self.measure_blocks();
    }

    /// View of the image that the picture shows.
    pub fn view(&self) -> &ModelView {
        &self.view
    }

    /// Width of the filled part, px.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Height of the filled part, px.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row-major, `cols * rows`, 0 black.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Mean grey of [`BLOCK_COLUMNS`] x [`BLOCK_ROWS`] equal blocks, row-major, 0..=255.
    pub fn blocks(&self) -> &[f32] {
        &self.blocks
    }

    /// Whether both pictures show the same part of an image at the same size, so that pixels can be compared.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.view == other.view && self.cols == other.cols && self.rows == other.rows
    }

    /// Mean absolute difference of grey values, 0..=255; 255 when the pictures are not comparable.
    ///
    /// ```
    /// use sonotap::frame::{Frame, PixelFormat};
    /// use sonotap::track::flow::SmallGrey;
    /// let (mut a, mut b) = (SmallGrey::new(64), SmallGrey::new(64));
    /// a.fill_from(&Frame::from_pixels(64, 48, PixelFormat::Grey8, vec![10; 64 * 48]).unwrap());
    /// b.fill_from(&Frame::from_pixels(64, 48, PixelFormat::Grey8, vec![13; 64 * 48]).unwrap());
    /// assert_eq!(a.mean_abs_difference(&b), 3.0);
    /// ```
    pub fn mean_abs_difference(&self, other: &Self) -> f32 {
        if !self.is_comparable(other) {
            return 255.0;
        }
        let sum: u32 = self.pixels.iter().zip(&other.pixels).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        sum as f32 / self.pixels.len() as f32
    }

    /// Copies `other`; reuses the buffers.
    pub fn copy_from(&mut self, other: &Self) {
        self.side = other.side;
        self.view = other.view;
        (self.cols, self.rows) = (other.cols, other.rows);
        self.pixels.clone_from(&other.pixels);
        self.blocks = other.blocks;
    }

    fn aim(&mut self, crop: Rect<ImageSpace>, width: usize, height: usize) {
        self.view = ModelView::new(crop, self.side);
        let scale = self.view.converter().scale();
        // A remainder of .001 px from rounding is not a row.
        let count = |length: f32| ((length * scale - 1e-3).ceil() as usize).clamp(1, self.side as usize);
        (self.cols, self.rows) = (count(crop.width()), count(crop.height()));
        self.pixels.resize(self.cols * self.rows, 0);
        self.across.aim(crop.x0, crop.x1, scale, self.cols, width);
        self.down.aim(crop.y0, crop.y1, scale, self.rows, height);
    }

    fn measure_blocks(&mut self) {
        for by in 0..BLOCK_ROWS {
            let (y0, y1) = block_span(by, BLOCK_ROWS, self.rows);
            for bx in 0..BLOCK_COLUMNS {
                let (x0, x1) = block_span(bx, BLOCK_COLUMNS, self.cols);
                let rows = self.pixels.chunks_exact(self.cols).take(y1).skip(y0);
                let sum: u32 = rows.flat_map(|row| &row[x0..x1]).map(|&p| u32::from(p)).sum();
                self.blocks[by * BLOCK_COLUMNS + bx] = sum as f32 / ((x1 - x0) * (y1 - y0)) as f32;
            }
        }
    }
}

/// Pixels of block `index` of `blocks` over `length`: half-open, never empty, even where there are more blocks than px.
fn block_span(index: usize, blocks: usize, length: usize) -> (usize, usize) {
    let start = (index * length / blocks).min(length - 1);
    (start, ((index + 1) * length / blocks).clamp(start + 1, length))
}

/// Converts sums of red, green, blue triples to grey sums at the front of the line, with the weights of `frame::luma`.
fn to_luma(line: &mut [f32]) {
    for i in 0..line.len() / 3 {
        line[i] = (77.0 * line[3 * i] + 150.0 * line[3 * i + 1] + 29.0 * line[3 * i + 2]) / 256.0;
    }
}

/// The source pixels and weights of each pixel along one axis: area averages downwards, linear interpolation upwards.
#[derive(Clone, Debug, Default)]
struct Taps {
    aimed: Option<(f32, f32, f32, usize, usize)>,
    taps: usize,
    starts: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    /// For `count` pixels of 1 / `scale` source px each from `lo`, the source being `length` px and cropped at `hi`.
    fn aim(&mut self, lo: f32, hi: f32, scale: f32, count: usize, length: usize) {
        if self.aimed == Some((lo, hi, scale, count, length)) {
            return;
        }
        self.aimed = Some((lo, hi, scale, count, length));
        let (min, max) = (lo.floor() as usize, (hi.ceil() as usize).clamp(1, length));
        let min = min.min(max - 1);
        let step = 1.0 / scale;
        self.taps = (step.ceil() as usize + 1).max(2).min(max - min);
        self.starts.clear();
        self.weights.clear();
        for i in 0..count {
            let (from, to) = (lo + i as f32 * step, (lo + (i + 1) as f32 * step).min(hi));
            // Narrower than a pixel: a tent of one pixel around the centre, which is linear interpolation.
            let (from, to) = if step < 1.0 {
                let centre = ((from + to) / 2.0).clamp(min as f32 + 0.5, max as f32 - 0.5);
                (centre - 0.5, centre + 0.5)
            } else {
                (from, to)
            };
            let start = (from.floor().max(0.0) as usize).clamp(min, max - self.taps);
            self.starts.push(start);
            let first = self.weights.len();
            self.weights
                .extend((start..start + self.taps).map(|p| (to.min(p as f32 + 1.0) - from.max(p as f32)).max(0.0)));
            let sum: f32 = self.weights[first..].iter().sum();
            if sum > 0.0 {
                self.weights[first..].iter_mut().for_each(|w| *w /= sum);
            } else {
                self.weights[first + self.taps - 1] = 1.0;
            }
        }
    }

    /// First source pixel and weights of pixel `i`.
    fn of(&self, i: usize) -> (usize, &[f32]) {
        (self.starts[i], &self.weights[i * self.taps..(i + 1) * self.taps])
    }

    fn first(&self) -> usize {
        self.starts.first().copied().unwrap_or(0)
    }

    fn end(&self) -> usize {
        self.starts.last().copied().unwrap_or(0) + self.taps
    }

    fn apply(&self, line: &[f32], out: &mut [u8]) {
        let first = self.first();
        for ((out, &start), weights) in out.iter_mut().zip(&self.starts).zip(self.weights.chunks_exact(self.taps)) {
            let source = &line[start - first..start - first + self.taps];
            let sum: f32 = source.iter().zip(weights).map(|(p, w)| p * w).sum();
            *out = (sum + 0.5) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ImageRegion;

    fn small_of(frame: &Frame, side: u32) -> SmallGrey {
        let mut small = SmallGrey::new(side);
        small.fill_from(frame);
        small
    }

    #[test]
    fn a_frame_of_the_small_size_is_itself() {
        let pixels: Vec<u8> = (0..64 * 48).map(|i| (i * 37 % 251) as u8).collect();
        let small = small_of(&Frame::from_pixels(64, 48, PixelFormat::Grey8, pixels.clone()).unwrap(), 64);
        assert_eq!((small.cols(), small.rows()), (64, 48));
        assert_eq!(small.pixels(), pixels);
    }

    #[test]
    fn two_by_two_pixels_become_their_mean() {
        let frame =
            Frame::from_pixels(32, 32, PixelFormat::Grey8, (0..1024).map(|i| (i % 256) as u8).collect()).unwrap();
        let small = small_of(&frame, 16);
        for (x, y) in [(0u32, 0u32), (5, 3), (15, 15)] {
            let mean = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .map(|(i, j)| f32::from(frame.grey(2 * x + i, 2 * y + j)))
                .iter()
                .sum::<f32>()
                / 4.0;
            assert_eq!(small.pixels()[(y * 16 + x) as usize], (mean + 0.5) as u8, "{x} {y}");
        }
    }

    #[test]
    fn mean_grey_is_kept_for_any_size_format_and_region() {
        for (w, h, region, format) in [
            (640, 480, (0.0, 0.0, 640.0, 480.0), PixelFormat::Grey8),
            (637, 411, (10.0, 20.0, 600.0, 400.0), PixelFormat::Rgb8),
            (100, 300, (0.0, 0.0, 100.0, 300.0), PixelFormat::Rgb8),
            (50, 40, (3.0, 4.0, 43.0, 37.0), PixelFormat::Grey8),
            (640, 480, (900.0, 900.0, 950.0, 950.0), PixelFormat::Grey8),
        ] {
            let mut frame = Frame::default();
            frame.reshape(w, h, format).unwrap();
            let (stride, bytes) = (w as usize * format.bytes(), format.bytes());
            for (i, p) in frame.pixels.iter_mut().enumerate() {
                *p = ((i % stride / bytes) * 255 / w as usize) as u8;
            }
            frame.region =
                ImageRegion { rect: Rect::new(region.0, region.1, region.2, region.3), ..Default::default() };
            let small = small_of(&frame, 256);
            assert_eq!(small.cols().max(small.rows()), 256);
            let crop = *small.view().crop();
            let expected = 255.0 * (crop.centre().x - 0.5) / w as f32 - 0.5;
            let mean = small.pixels().iter().map(|&p| f32::from(p)).sum::<f32>() / small.pixels().len() as f32;
            assert!((mean - expected).abs() < 1.5, "{w}x{h} {region:?}: mean {mean}, expected {expected}");
        }
    }

    #[test]
    fn frames_without_pixels_or_of_one_pixel_are_no_fault() {
        let mut small = SmallGrey::new(256);
        small.fill_from(&Frame::default());
        assert_eq!(small.pixels(), [0]);
        small.fill_from(&Frame::from_pixels(1, 1, PixelFormat::Grey8, vec![7]).unwrap());
        assert!(small.pixels().iter().all(|&p| p == 7));
        small.fill_from(&Frame::from_pixels(1000, 1, PixelFormat::Grey8, vec![7; 1000]).unwrap());
        assert!(small.pixels().iter().all(|&p| p == 7) && small.cols() == 256 && small.rows() == 1);
    }

    #[test]
    fn pictures_of_other_regions_are_as_different_as_can_be() {
        let a = small_of(&Frame::from_pixels(64, 48, PixelFormat::Grey8, vec![5; 64 * 48]).unwrap(), 64);
        let b = small_of(&Frame::from_pixels(48, 64, PixelFormat::Grey8, vec![5; 64 * 48]).unwrap(), 64);
        assert_eq!(a.mean_abs_difference(&b), 255.0);
        assert_eq!(a.mean_abs_difference(&a), 0.0);
    }
}
