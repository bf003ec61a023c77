//! Inverse search of one patch (Kroeger et al., ECCV 2016, section 2.1), patches normalised by their mean.

use super::pyramid::{BORDER, Level, PATCH};

type Pixels = [[f32; PATCH]; PATCH];
const COUNT: f32 = (PATCH * PATCH) as f32;

/// A prepared patch of the later picture: its gradients are computed once for all steps of the search.
pub(super) struct Patch {
    template: Pixels,
    gradient_x: Pixels,
    gradient_y: Pixels,
    hessian: (f32, f32, f32),
    /// Top left corner, px of the level.
    corner: (f32, f32),
}

/// How well a displaced patch of the earlier picture fits.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    /// Sum of squared differences without their mean.
    pub energy: f32,
    slope: (f32, f32),
}

impl Patch {
    /// The patch of `level` with its top left pixel at (x, y).
    pub(super) fn new(level: &Level, x: usize, y: usize) -> Self {
        let mut patch = Self {
            template: [[0.0; PATCH]; PATCH],
            gradient_x: [[0.0; PATCH]; PATCH],
            gradient_y: [[0.0; PATCH]; PATCH],
            hessian: (0.0, 0.0, 0.0),
            corner: (x as f32, y as f32),
        };
        let corner = level.index(x, y);
        for r in 0..PATCH {
            let here = corner + r * level.stride;
            patch.template[r] = *row(level, here);
            patch.gradient_x[r] = half_difference(row(level, here + 1), row(level, here - 1));
            patch.gradient_y[r] = half_difference(row(level, here + level.stride), row(level, here - level.stride));
        }
        centre(&mut patch.gradient_x);
        centre(&mut patch.gradient_y);
        patch.hessian = (
            dot(&patch.gradient_x, &patch.gradient_x),
            dot(&patch.gradient_x, &patch.gradient_y),
            dot(&patch.gradient_y, &patch.gradient_y),
        );
        patch
    }

    /// Mean of the squared gradient, grey^2 / px^2.
    pub(super) fn texture(&self) -> f32 {
        (self.hessian.0 + self.hessian.2) / COUNT
    }

    /// Fit of the earlier picture, displaced by `u`.
    pub(super) fn fit(&self, earlier: &Level, u: (f32, f32)) -> Fit {
        let window = Window::at(earlier, self.corner.0 + u.0, self.corner.1 + u.1);
        let mut sums = [[0.0f32; PATCH]; 4];
        let mut upper = window.line(0);
        for r in 0..PATCH {
            let lower = window.line(r + 1);
            for c in 0..PATCH {
                let d = upper[c] + (lower[c] - upper[c]) * window.fy - self.template[r][c];
                sums[0][c] += d;
                sums[1][c] += d * d;
                sums[2][c] += d * self.gradient_x[r][c];
                sums[3][c] += d * self.gradient_y[r][c];
            }
            upper = lower;
        }
        let [sum, squares, sx, sy] = sums.map(|lanes| fold(&lanes));
        Fit { energy: squares - sum * sum / COUNT, slope: (sx, sy) }
    }

    /// Descends from `start` (whose fit is `fit`) to a minimum of energy + `pull` |u - start|^2 in at most `steps` steps.
    pub(super) fn search(&self, earlier: &Level, start: (f32, f32), fit: Fit, pull: f32, steps: usize) -> (f32, f32) {
        let (xx, xy, yy) = (self.hessian.0 + pull, self.hessian.1, self.hessian.2 + pull);
        let inverse = 1.0 / (xx * yy - xy * xy).max(1e-6);
        let (mut u, mut fit, mut cost) = (start, fit, fit.energy);
        for _ in 0..steps {
            let away = (u.0 - start.0, u.1 - start.1);
            let (bx, by) = (fit.slope.0 + pull * away.0, fit.slope.1 + pull * away.1);
            let step = ((yy * bx - xy * by) * inverse, (xx * by - xy * bx) * inverse);
            let next = (u.0 - step.0, u.1 - step.1);
            let (dx, dy) = (next.0 - start.0, next.1 - start.1);
            let from_start = dx * dx + dy * dy;
            // A patch that leaves its neighbourhood has matched different tissue.
            if from_start > COUNT {
                break;
            }
            let there = self.fit(earlier, next);
            let next_cost = there.energy + pull * from_start;
            if next_cost >= cost {
                break;
            }
            (u, fit, cost) = (next, there, next_cost);
            if step.0 * step.0 + step.1 * step.1 < 0.02 * 0.02 {
                break;
            }
        }
        u
    }
}

/// Mean absolute difference, without the patch's mean difference, of each 2 x 2 px cell of the patch of `later` with its
/// top left pixel at (x, y) when displaced by `u` in `earlier`.
pub(super) fn cell_errors(
    later: &Level,
    x: usize,
    y: usize,
    earlier: &Level,
    u: (f32, f32),
) -> [[f32; PATCH / 2]; PATCH / 2] {
    let window = Window::at(earlier, x as f32 + u.0, y as f32 + u.1);
    let corner = later.index(x, y);
    let mut d = [[0.0f32; PATCH]; PATCH];
    let mut upper = window.line(0);
    for (r, d) in d.iter_mut().enumerate() {
        let lower = window.line(r + 1);
        let template = row(later, corner + r * later.stride);
        *d = std::array::from_fn(|c| upper[c] + (lower[c] - upper[c]) * window.fy - template[c]);
        upper = lower;
    }
    centre(&mut d);
    std::array::from_fn(|r| {
        let sums: [f32; PATCH] = std::array::from_fn(|c| d[2 * r][c].abs() + d[2 * r + 1][c].abs());
        std::array::from_fn(|c| (sums[2 * c] + sums[2 * c + 1]) * 0.25)
    })
}

/// Read position of a displaced patch: whole pixel and fraction, clamped to the level's border.
struct Window<'a> {
    level: &'a Level,
    start: usize,
    fx: f32,
    fy: f32,
}

impl<'a> Window<'a> {
    fn at(level: &'a Level, x: f32, y: f32) -> Self {
        // From the corner of the border: both are >= 0, so that the cast rounds down.
        let x = (x + BORDER as f32).max(0.0).min((level.width + 2 * BORDER - PATCH - 1) as i32 as f32);
        let y = (y + BORDER as f32).max(0.0).min((level.height + 2 * BORDER - PATCH - 1) as i32 as f32);
        let (ix, iy) = (x as i32, y as i32);
        Self { level, start: iy as usize * level.stride + ix as usize, fx: x - ix as f32, fy: y - iy as f32 }
    }

    /// Row `r` of the window, interpolated along x.
    #[inline(always)]
    fn line(&self, r: usize) -> [f32; PATCH] {
        let at = self.start + r * self.level.stride;
        let (left, right) = (row(self.level, at), row(self.level, at + 1));
        std::array::from_fn(|c| left[c] + (right[c] - left[c]) * self.fx)
    }
}

#[inline(always)]
fn row(level: &Level, at: usize) -> &[f32; PATCH] {
    level.pixels()[at..].first_chunk().expect("a patch lies within its level's border")
}

#[inline(always)]
fn half_difference(a: &[f32; PATCH], b: &[f32; PATCH]) -> [f32; PATCH] {
    std::array::from_fn(|c| (a[c] - b[c]) * 0.5)
}

#[inline(always)]
fn fold(lanes: &[f32; PATCH]) -> f32 {
    (lanes[0] + lanes[4]) + (lanes[1] + lanes[5]) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

#[inline(always)]
fn dot(a: &Pixels, b: &Pixels) -> f32 {
    let mut lanes = [0.0; PATCH];
    for (a, b) in a.iter().zip(b) {
        for c in 0..PATCH {
            lanes[c] += a[c] * b[c];
        }
    }
    fold(&lanes)
}

#[inline(always)]
fn centre(values: &mut Pixels) {
    let mut lanes = [0.0; PATCH];
    for row in values.iter() {
        for c in 0..PATCH {
            lanes[c] += row[c];
        }
    }
    let mean = fold(&lanes) / COUNT;
    values.iter_mut().flatten().for_each(|v| *v -= mean);
}
