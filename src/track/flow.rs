//! Dense inverse search optical flow, coarse to fine over halved pictures, without the variational step.
//!
//! Source: Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016. Changes for
//! ultrasound: patches are compared without their mean, so that a change of gain is not motion. A regularization pulls each
//! step towards its start. Patches without structure (fluid, the black outside a sector) are not searched; they keep the
//! motion of the coarser level instead of following noise.

pub use super::field::{CELL_PX, FlowField};
pub use super::small_grey::{BLOCK_COLUMNS, BLOCK_ROWS, SmallGrey};

use super::cells::{Cells, MotionGrid};
use super::patch::Patch;
use super::pyramid::{BORDER, Level, PATCH, Pyramid, STRIDE};

/// Parameters of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowConfig {
    /// Longest side of the small pictures, px; for [`SmallGrey::new`].
    pub side: u32,
    /// Longest side of the coarsest level, px. It limits the largest motion that is found: at 32, about 12 px of a picture of
    /// 256 px; less when it is longer.
    pub coarsest_px: usize,
    /// Most steps of a patch in one pass.
    pub steps: usize,
    /// Passes over the coarser levels, in alternating direction, each propagating better motion from neighbours; the finest level
    /// has one pass.
    pub coarse_passes: usize,
    /// Mean squared gradient below which a patch is not searched, grey^2 / px^2. Noise of 1.5 grey gives about 0.6.
    pub texture_min: f32,
    /// Cost of the distance from the start of a search, grey^2 / px^2, relative to the mean squared gradient.
    pub pull: f32,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self { side: 256, coarsest_px: 32, steps: 6, coarse_passes: 2, texture_min: 2.0, pull: 0.3 }
    }
}

/// How well the motion explains the change between the pictures, at half their size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowQuality {
    /// Mean absolute grey difference after motion compensation, 0..=255.
    pub residual: f32,
    /// Mean absolute grey difference without motion compensation, 0..=255.
    pub before: f32,
    /// Share of patches of the finest level with enough structure to be searched, 0..=1.
    pub textured: f32,
}

impl FlowQuality {
    /// The quality for two pictures that are not comparable: fully different, nothing searched.
    pub const INCOMPARABLE: Self = Self { residual: 255.0, before: 255.0, textured: 0.0 };

    /// Share of the difference that motion does not explain, 0..; 0 when there was no difference.
    pub fn unexplained(&self) -> f32 {
        if self.before > 0.0 { self.residual / self.before } else { 0.0 }
    }
}

/// Finds motion between two small pictures.
///
/// Guarantees: identical pictures have exactly zero motion; the result depends on the two pictures only; after the first call
/// with pictures of one size nothing is allocated.
///
/// ```
/// use sonotap::frame::{Frame, PixelFormat};
/// use sonotap::geometry::Point;
/// use sonotap::track::flow::{DisFlow, FlowConfig, FlowField, SmallGrey};
/// let picture = |shift: f32| {
///     let grey = |i: usize| {
///         let (x, y) = ((i % 128) as f32 - shift, (i / 128) as f32);
///         (128.0 + 50.0 * (x / 5.0).sin() + 50.0 * (y / 6.0 + x / 17.0).cos()) as u8
///     };
///     let mut small = SmallGrey::new(128);
///     small.fill_from(&Frame::from_pixels(128, 96, PixelFormat::Grey8, (0..128 * 96).map(grey).collect()).unwrap());
///     small
/// };
/// let (earlier, later) = (picture(0.0), picture(3.0));
/// let mut motion = FlowField::zero(*later.view());
/// let quality = DisFlow::new(FlowConfig::default()).between(&earlier, &later, &mut motion);
/// let from = motion.backward(Point::new(64.0, 48.0));
/// assert!((from.x - 61.0).abs() < 0.2 && (from.y - 48.0).abs() < 0.2);
/// assert!(quality.unexplained() < 0.2);
/// ```
#[derive(Clone, Debug)]
pub struct DisFlow {
    config: FlowConfig,
    earlier: Pyramid,
    later: Pyramid,
    patches: MotionGrid,
    cells: Cells,
}

impl DisFlow {
    /// A search with empty buffers.
    pub fn new(config: FlowConfig) -> Self {
        Self {
            config,
            earlier: Pyramid::default(),
            later: Pyramid::default(),
            patches: MotionGrid::default(),
            cells: Cells::default(),
        }
    }

    /// Writes the backward motion from `later` to `earlier` into `out`, in `later`'s view. For pictures that are not comparable
    /// the motion is zero and the quality [`FlowQuality::INCOMPARABLE`].
    pub fn between(&mut self, earlier: &SmallGrey, later: &SmallGrey, out: &mut FlowField) -> FlowQuality {
        if !earlier.is_comparable(later) {
            out.reset(*later.view());
            return FlowQuality::INCOMPARABLE;
        }
        self.earlier.build(earlier, self.config.coarsest_px);
        self.later.build(later, self.config.coarsest_px);
        self.cells.motion.resize(0, 0);
        let mut textured = 0;
        for level in (0..self.later.levels.len()).rev() {
            self.start_level(level);
            for pass in 0..if level == 0 { 1 } else { self.config.coarse_passes } {
                textured = self.pass(level, pass % 2 == 1);
            }
            self.cells.gather(&self.earlier.levels[level], &self.later.levels[level], &self.patches);
        }
        self.cells.smooth();
        self.write(out, later);
        let (before, residual) = differences(&self.earlier.levels[0], &self.later.levels[0], &self.cells.motion);
        FlowQuality { residual, before, textured: textured as f32 / self.patches.len() as f32 }
    }

    /// Initializes each patch of a level with the motion of the coarser level.
    fn start_level(&mut self, level: usize) {
        let later = &self.later.levels[level];
        self.patches.resize(later.width / STRIDE - 1, later.height / STRIDE - 1);
        let cols = self.patches.cols();
        for n in 0..self.patches.len() {
            self.patches.set(n, self.cells.motion.twice_around(n % cols, n / cols));
        }
    }

    /// Searches every patch of a level, from the top left or `backwards` from the bottom right. Returns the number of patches
    /// with structure.
    fn pass(&mut self, level: usize, backwards: bool) -> usize {
        let (earlier, later) = (&self.earlier.levels[level], &self.later.levels[level]);
        let pull = self.config.pull * (PATCH * PATCH) as f32;
        let (cols, count) = (self.patches.cols(), self.patches.len());
        let mut textured = 0;
        for n in 0..count {
            let n = if backwards { count - 1 - n } else { n };
            let (i, j) = (n % cols, n / cols);
            let patch = Patch::new(later, i * STRIDE, j * STRIDE);
            if patch.texture() < self.config.texture_min {
                continue;
            }
            textured += 1;
            let neighbours = if backwards {
                [(i + 1 < cols).then_some(n + 1), (n + cols < count).then_some(n + cols)]
            } else {
                [(i > 0).then(|| n - 1), (j > 0).then(|| n - cols)]
            };
            let mut start = self.patches.get(n);
            let mut fit = patch.fit(earlier, start);
            for neighbour in neighbours.into_iter().flatten() {
                let motion = self.patches.get(neighbour);
                let away = (motion.0 - start.0, motion.1 - start.1);
                // Starts closer than half a pixel converge to the same minimum.
                if away.0 * away.0 + away.1 * away.1 > 0.25 {
                    let there = patch.fit(earlier, motion);
                    if there.energy < fit.energy {
                        (start, fit) = (motion, there);
                    }
                }
            }
            self.patches.set(n, patch.search(earlier, start, fit, pull, self.config.steps));
        }
        textured
    }

    fn write(&self, out: &mut FlowField, later: &SmallGrey) {
        let (cols, rows) = (self.cells.motion.cols(), self.cells.motion.rows());
        out.reshape(*later.view(), cols, rows);
        let (dx, dy) = out.values_mut();
        dx.iter_mut().zip(self.cells.motion.dx()).for_each(|(out, v)| *out = 2.0 * v);
        dy.iter_mut().zip(self.cells.motion.dy()).for_each(|(out, v)| *out = 2.0 * v);
    }
}

/// Mean absolute difference of `later` to `earlier`, without and with the motion; each cell is 2 x 2 px.
fn differences(earlier: &Level, later: &Level, motion: &MotionGrid) -> (f32, f32) {
    let (mut before, mut after) = ([0.0f32; 4], [0.0f32; 4]);
    let (e, l, stride) = (earlier.pixels(), later.pixels(), later.stride);
    let (right, bottom) = ((later.width + 2 * BORDER - 3) as f32, (later.height + 2 * BORDER - 3) as f32);
    for y in 0..motion.rows() {
        for x in 0..motion.cols() {
            let (dx, dy) = motion.get(y * motion.cols() + x);
            let here = later.index(2 * x, 2 * y);
            // From the corner of the border: both are >= 0, so that the cast rounds down.
            let fx = ((2 * x + BORDER) as f32 + dx).clamp(0.0, right);
            let fy = ((2 * y + BORDER) as f32 + dy).clamp(0.0, bottom);
            let (ix, iy) = (fx as i32, fy as i32);
            let (fx, fy) = (fx - ix as f32, fy - iy as f32);
            let there = iy as usize * stride + ix as usize;
            let line = |r: usize| -> [f32; 2] {
                let p: &[f32; 3] =
                    e[there + r * stride..].first_chunk().expect("a cell lies within its level's border");
                [p[0] + (p[1] - p[0]) * fx, p[1] + (p[2] - p[1]) * fx]
            };
            let lines = [line(0), line(1), line(2)];
            let now = [l[here], l[here + 1], l[here + stride], l[here + stride + 1]];
            let still = [e[here], e[here + 1], e[here + stride], e[here + stride + 1]];
            for k in 0..4 {
                let (upper, lower) = (lines[k / 2][k % 2], lines[k / 2 + 1][k % 2]);
                before[k] += (now[k] - still[k]).abs();
                after[k] += (now[k] - (upper + (lower - upper) * fy)).abs();
            }
        }
    }
    let mean = |sums: [f32; 4]| sums.iter().sum::<f32>() / (later.width * later.height) as f32;
    (mean(before), mean(after))
}
