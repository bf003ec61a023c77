//! Motion on grids: of patches, and of the cells that patches share.

use super::patch::cell_errors;
use super::pyramid::{Level, PATCH, STRIDE};

/// Cells along each side of a patch; a cell is 2 x 2 px of its level.
const CELLS: usize = PATCH / 2;
/// Weight of a patch's cells along one axis: a patch is most accurate in its centre.
const WINDOW: [f32; CELLS] = [1.0, 3.0, 3.0, 1.0];
/// Difference below which smaller values do not make a fit better, grey.
const ERROR_FLOOR: f32 = 1.0;

/// A row-major grid of motion vectors, px of a level.
#[derive(Clone, Debug, Default)]
pub(super) struct MotionGrid {
    cols: usize,
    rows: usize,
    dx: Vec<f32>,
    dy: Vec<f32>,
}

impl MotionGrid {
    /// Changes the size, leaving the values unspecified.
    pub(super) fn resize(&mut self, cols: usize, rows: usize) {
        (self.cols, self.rows) = (cols, rows);
        self.dx.resize(cols * rows, 0.0);
        self.dy.resize(cols * rows, 0.0);
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn len(&self) -> usize {
        self.dx.len()
    }

    pub(super) fn dx(&self) -> &[f32] {
        &self.dx
    }

    pub(super) fn dy(&self) -> &[f32] {
        &self.dy
    }

    pub(super) fn get(&self, n: usize) -> (f32, f32) {
        (self.dx[n], self.dy[n])
    }

    pub(super) fn set(&mut self, n: usize, motion: (f32, f32)) {
        (self.dx[n], self.dy[n]) = motion;
    }

    /// Motion at the centre of patch (i, j) of the next finer level, px of that level; zero if the grid is empty.
    pub(super) fn twice_around(&self, i: usize, j: usize) -> (f32, f32) {
        if self.dx.is_empty() {
            return (0.0, 0.0);
        }
        // The centre of the patch is the corner shared by cells (i, j) and (i + 1, j + 1).
        let (x0, x1) = (i.min(self.cols - 1), (i + 1).min(self.cols - 1));
        let (y0, y1) = (j.min(self.rows - 1) * self.cols, (j + 1).min(self.rows - 1) * self.cols);
        let twice_mean = |v: &[f32]| 0.5 * (v[y0 + x0] + v[y0 + x1] + v[y1 + x0] + v[y1 + x1]);
        (twice_mean(&self.dx), twice_mean(&self.dy))
    }
}

/// The dense field of a level: each cell's motion is the mean over the patches that cover it, weighted by their fit there.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    pub motion: MotionGrid,
    scratch: Vec<f32>,
}

impl Cells {
    /// Computes the field of a level from its patches.
    pub(super) fn gather(&mut self, earlier: &Level, later: &Level, patches: &MotionGrid) {
        self.motion.resize(later.width / 2, later.height / 2);
        self.motion.dx.fill(0.0);
        self.motion.dy.fill(0.0);
        let weights = &mut self.scratch;
        weights.clear();
        weights.resize(self.motion.len(), 0.0);
        for n in 0..patches.len() {
            let (i, j) = (n % patches.cols, n / patches.cols);
            let motion = patches.get(n);
            let errors = cell_errors(later, i * STRIDE, j * STRIDE, earlier, motion);
            for (r, errors) in errors.iter().enumerate() {
                let at = (j * CELLS / 2 + r) * self.motion.cols + i * CELLS / 2;
                let dx = &mut self.motion.dx[at..at + CELLS];
                let dy = &mut self.motion.dy[at..at + CELLS];
                let sum = &mut weights[at..at + CELLS];
                for c in 0..CELLS {
                    let error = errors[c].max(ERROR_FLOOR);
                    let w = WINDOW[r] * WINDOW[c] / (error * error);
                    dx[c] += w * motion.0;
                    dy[c] += w * motion.1;
                    sum[c] += w;
                }
            }
        }
        for ((dx, dy), w) in self.motion.dx.iter_mut().zip(&mut self.motion.dy).zip(weights) {
            let inverse = 1.0 / *w;
            *dx *= inverse;
            *dy *= inverse;
        }
    }

    /// Smooths the field by the binomial 1 2 1 along both axes, edges replicated.
    pub(super) fn smooth(&mut self) {
        let (cols, rows) = (self.motion.cols, self.motion.rows);
        self.scratch.resize(cols * rows, 0.0);
        for values in [&mut self.motion.dx, &mut self.motion.dy] {
            for (from, to) in values.chunks_exact(cols).zip(self.scratch.chunks_exact_mut(cols)) {
                for (out, w) in to[1..].iter_mut().zip(from.windows(3)) {
                    *out = 0.25 * (w[0] + w[2]) + 0.5 * w[1];
                }
                to[0] = 0.75 * from[0] + 0.25 * from[1];
                to[cols - 1] = 0.75 * from[cols - 1] + 0.25 * from[cols - 2];
            }
            for (y, out) in values.chunks_exact_mut(cols).enumerate() {
                let line = |y: usize| &self.scratch[y * cols..][..cols];
                let sides = line(y.saturating_sub(1)).iter().zip(line((y + 1).min(rows - 1)));
                for ((out, here), (above, below)) in out.iter_mut().zip(line(y)).zip(sides) {
                    *out = 0.25 * (above + below) + 0.5 * here;
                }
            }
        }
    }
}
