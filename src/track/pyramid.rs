//! Image pyramid with replicated borders.

use super::small_grey::SmallGrey;

/// Width of the replicated border around a level, px: patches may move that far outside.
pub(super) const BORDER: usize = 16;
/// Side of a patch, px of its level.
pub(super) const PATCH: usize = 8;
/// Distance of neighbouring patches, px of their level: half of [`PATCH`], so that four patches cover a pixel.
pub(super) const STRIDE: usize = 4;

/// One level: `width` x `height` px, both multiples of [`STRIDE`] and at least [`PATCH`]; the part that the picture does not fill is replicated.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub width: usize,
    pub height: usize,
    pub stride: usize,
    pixels: Vec<f32>,
}

impl Level {
    fn reshape(&mut self, width: usize, height: usize) {
        self.width = width.next_multiple_of(STRIDE).max(PATCH);
        self.height = height.next_multiple_of(STRIDE).max(PATCH);
        self.stride = self.width + 2 * BORDER;
        self.pixels.resize(self.stride * (self.height + 2 * BORDER), 0.0);
    }

    /// All pixels, border included; pixel (x, y) is at `(y + BORDER) * stride + x + BORDER`.
    pub(super) fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// Index of a pixel of the level itself.
    pub(super) fn index(&self, x: usize, y: usize) -> usize {
        (y + BORDER) * self.stride + x + BORDER
    }

    /// Fills `columns` x `rows` px with `row(y)`'s values and replicates the rest.
    fn fill(&mut self, columns: usize, rows: usize, mut row: impl FnMut(usize, &mut [f32])) {
        for y in 0..rows {
            let start = (y + BORDER) * self.stride;
            let line = &mut self.pixels[start..start + self.stride];
            row(y, &mut line[BORDER..BORDER + columns]);
            let (left, right) = (line[BORDER], line[BORDER + columns - 1]);
            line[..BORDER].fill(left);
            line[BORDER + columns..].fill(right);
        }
        let first = BORDER * self.stride;
        for y in 0..BORDER {
            self.pixels.copy_within(first..first + self.stride, y * self.stride);
        }
        let last = (BORDER + rows - 1) * self.stride;
        for y in BORDER + rows..self.height + 2 * BORDER {
            self.pixels.copy_within(last..last + self.stride, y * self.stride);
        }
    }

    /// Downsamples `source` by two: means of 2 x 2 px.
    fn halve(&mut self, source: &Self) {
        let (columns, rows) = (source.width / 2, source.height / 2);
        self.reshape(columns, rows);
        self.fill(columns, rows, |y, out| {
            let (a, b) = (source.index(0, 2 * y), source.index(0, 2 * y + 1));
            let pairs = source.pixels[a..a + 2 * columns]
                .chunks_exact(2)
                .zip(source.pixels[b..b + 2 * columns].chunks_exact(2));
            out.iter_mut().zip(pairs).for_each(|(o, (a, b))| *o = (a[0] + a[1] + b[0] + b[1]) * 0.25);
        });
    }

    /// Downsamples the picture by two; an odd last column or row counts twice.
    fn halve_picture(&mut self, picture: &SmallGrey) {
        let (cols, rows) = (picture.cols(), picture.rows());
        let (columns, lines) = (cols.div_ceil(2), rows.div_ceil(2));
        self.reshape(columns, lines);
        self.fill(columns, lines, |y, out| {
            let upper = &picture.pixels()[2 * y * cols..][..cols];
            let lower = &picture.pixels()[(2 * y + 1).min(rows - 1) * cols..][..cols];
            let sum = |a: &[u8], b: &[u8]| u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            out.iter_mut().zip(pairs).for_each(|(o, (a, b))| *o = f32::from(sum(a, b)) * 0.25);
            if cols % 2 == 1 {
                out[columns - 1] = (f32::from(upper[cols - 1]) + f32::from(lower[cols - 1])) * 0.5;
            }
        });
    }
}

/// A picture at 1/2, 1/4, 1/8 .. of its size.
#[derive(Clone, Debug, Default)]
pub(super) struct Pyramid {
    /// Finest first; the first is the picture at half its size.
    pub levels: Vec<Level>,
}

impl Pyramid {
    /// Builds the pyramid of `picture`, down to a longest side of about `coarsest_px`.
    pub(super) fn build(&mut self, picture: &SmallGrey, coarsest_px: usize) {
        let mut count = 1;
        while picture.cols().max(picture.rows()) >> (count + 1) >= coarsest_px.max(PATCH) {
            count += 1;
        }
        self.levels.resize_with(count, Level::default);
        self.levels[0].halve_picture(picture);
        for i in 1..count {
            let (finer, coarser) = self.levels.split_at_mut(i);
            coarser[0].halve(&finer[i - 1]);
        }
    }
}
