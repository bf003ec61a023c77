//! Gaussian-process correction of a mask's logits, so that no click is on the wrong side of the outline.
//!
//! A click is an observation of the bilinearly interpolated logit at its position, since the outline is drawn where that
//! interpolation crosses 0. A click whose logit has the wrong sign, or is closer to 0 than [`MARGIN`], has the residual that
//! brings it to the margin. A satisfied click has residual 0 and keeps its surroundings unchanged. The correction is the mean of a Gaussian process given those residuals, with the
//! kernel exp(-1/2 (d²/l² + e²/m²)): d the distance in cells, l = [`LENGTH`], e² the mean squared difference of the
//! decoder's pixel features, each divided by its standard deviation over the grid, m = [`FEATURE_LENGTH`]. So it spreads
//! over similar tissue and stops at edges.
//!
//! Guarantees: after [`correct`] every standing click is on its side of 0. Of two clicks of different polarity less than a
//! quarter of a cell apart on both axes only the newer stands. If a cell has more clicks than its four corners can satisfy,
//! that distance is one cell, with which all standing clicks can be satisfied together.
//!
//! Source: M. Zhou et al., "Interactive Segmentation as Gaussian Process Classification", CVPR 2023; C. E. Rasmussen and
//! C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, eq. 2.25.
//!
//! ```
//! use sonotap::model::correct::{CellClick, CorrectScratch, correct};
//! use sonotap::prompt::Polarity;
//! let mut logits = vec![-2.0; 16 * 16];
//! let features = vec![0.5; 16 * 16];
//! let click = CellClick { x: 4.5, y: 7.5, polarity: Polarity::Positive };
//! correct(&mut logits, 16, &features, 1, &[click], &mut CorrectScratch::default());
//! assert!(logits[7 * 16 + 4] > 0.0);
//! ```

use crate::geometry::{ImageSpace, ModelView, Point};
use crate::prompt::Polarity;

/// The logit that a click is brought to, on its side of 0.
pub const MARGIN: f32 = 1.0;
/// Length scale of the distance, cells of a grid of 128; on other grids the same fraction of the side.
pub const LENGTH: f32 = 10.0;
/// Length scale of the feature difference, standard deviations.
pub const FEATURE_LENGTH: f32 = 1.0;
/// Variance of the observations.
const NOISE: f64 = 1e-2;
/// Exponent, without the -1/2, past which the kernel counts as 0: 4 lengths.
const REACH: f32 = 16.0;
/// Number of times that remaining residuals are solved for again.
const ROUNDS: usize = 6;
/// Signed logit below which a click is fixed by its own four cells.
const HELD: f32 = 0.1;
/// Most passes over the clicks in that step.
const MENDING_PASSES: usize = 1000;
/// Distance on both axes below which clicks of different polarity contradict each other, cells.
const NEAR: f32 = 0.25;
/// The same in a cell with too many clicks.
const CROWDED: f32 = 1.0;

/// A click on the grid of a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellClick {
    /// To the right, cells; centres at +0.5.
    pub x: f32,
    /// Downwards, cells; centres at +0.5.
    pub y: f32,
    /// Inside or outside.
    pub polarity: Polarity,
}

impl CellClick {
    /// Maps a click on the image to the grid of `cells` x `cells` over the model space of `view`.
    pub fn seen(at: Point<ImageSpace>, polarity: Polarity, view: &ModelView, cells: usize) -> Self {
        let p = view.to_model(at);
        let k = cells as f32 / view.side() as f32;
        Self { x: p.x * k, y: p.y * k, polarity }
    }

    fn sign(&self) -> f32 {
        match self.polarity {
            Polarity::Positive => 1.0,
            Polarity::Negative => -1.0,
        }
    }
}

/// Buffers of [`correct`] and [`contradicted`], reused between calls.
#[derive(Clone, Debug, Default)]
pub struct CorrectScratch {
    standing: Vec<Spot>,
    inverse_variance: Vec<f32>,
    features: Vec<f32>,
    corner: Vec<f32>,
    factor: Vec<f64>,
    response: Vec<f64>,
    observed: Vec<f64>,
    residual: Vec<f64>,
    coefficients: Vec<f64>,
    row: Vec<f32>,
}

/// A standing click with the bilinear weights of its four cells.
#[derive(Clone, Copy, Debug)]
struct Spot {
    x: f32,
    y: f32,
    sign: f32,
    cell: [usize; 4],
    weight: [f32; 4],
}

impl Spot {
    fn new(click: &CellClick, cells: usize) -> Option<Self> {
        let side = cells as f32;
        if !(click.x >= 0.0 && click.y >= 0.0 && click.x <= side && click.y <= side) {
            return None;
        }
        let last = (cells - 1) as f32;
        let (x, y) = ((click.x - 0.5).clamp(0.0, last), (click.y - 0.5).clamp(0.0, last));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(cells - 1), (y0 + 1).min(cells - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let cell = [y0 * cells + x0, y0 * cells + x1, y1 * cells + x0, y1 * cells + x1];
        let weight = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        Some(Self { x, y, sign: click.sign(), cell, weight })
    }

    fn sample(&self, values: &[f32]) -> f32 {
        self.cell.iter().zip(&self.weight).map(|(&c, &w)| values[c] * w).sum()
    }

    /// Logit in the click's direction: positive when the click is satisfied.
    fn signed(&self, logits: &[f32]) -> f32 {
        self.sign * self.sample(logits)
    }

    fn contradicts(&self, o: &Self, apart: f32) -> bool {
        self.sign != o.sign && (self.x - o.x).abs() < apart && (self.y - o.y).abs() < apart
    }
}

/// Standing clicks on the wrong side of the outline, or on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contradicted {
    /// Their number.
    pub clicks: usize,
    /// Whether the newest is among them, by more than [`MARGIN`].
    pub is_newest_denied: bool,
}

/// Finds which clicks, from the oldest to the newest, the logits contradict. Clicks off the grid are not counted.
///
/// # Panics
/// If the number of logits is not `cells * cells`.
pub fn contradicted(logits: &[f32], cells: usize, clicks: &[CellClick], scratch: &mut CorrectScratch) -> Contradicted {
    assert_eq!(logits.len(), cells * cells, "logits of a grid of {cells} x {cells}");
    stand(clicks, cells, NEAR, &mut scratch.standing);
    Contradicted {
        clicks: scratch.standing.iter().filter(|s| s.signed(logits) <= 0.0).count(),
        is_newest_denied: scratch.standing.first().is_some_and(|s| s.signed(logits) < -MARGIN),
    }
}

/// Changes the logits, `cells * cells` row-major, so that every standing click is on its side of 0; `clicks` from the
/// oldest to the newest, `pixels` the decoder's features `[channels, cells, cells]`.
///
/// Nothing changes if all clicks are beyond the margin already, if there are no features (`channels` 0: a purely spatial
/// kernel would paint discs), or if a logit or feature is not finite. Clicks off the grid are ignored.
///
/// # Panics
/// If the number of logits is not `cells * cells`, or that of features not `channels` times as many.
///
/// # Cost
/// One pass over the features, and for each click one over the circle of 4 lengths around it.
pub fn correct(
    logits: &mut [f32],
    cells: usize,
    pixels: &[f32],
    channels: usize,
    clicks: &[CellClick],
    scratch: &mut CorrectScratch,
) {
    assert_eq!(logits.len(), cells * cells, "logits of a grid of {cells} x {cells}");
    assert_eq!(pixels.len(), channels * logits.len(), "{channels} features of a grid of {cells} x {cells}");
    if channels == 0 {
        return;
    }
    for apart in [NEAR, CROWDED] {
        stand(clicks, cells, apart, &mut scratch.standing);
        let is_settled = scratch.standing.iter().all(|s| s.signed(logits) >= MARGIN);
        let is_finite = scratch.standing.iter().all(|s| s.cell.iter().all(|&c| logits[c].is_finite()));
        if is_settled || !is_finite {
            return;
        }
        let grid = FeatureGrid { cells, channels, pixels, length: LENGTH * cells as f32 / 128.0 };
        if grid.scale(&mut scratch.inverse_variance) {
            grid.solve(logits, scratch);
            grid.spread(logits, scratch);
        }
        if mend(logits, &scratch.standing) {
            return;
        }
    }
}

/// Keeps the clicks on the grid that no newer standing click contradicts, newest first.
fn stand(clicks: &[CellClick], cells: usize, apart: f32, standing: &mut Vec<Spot>) {
    standing.clear();
    for spot in clicks.iter().rev().filter_map(|c| Spot::new(c, cells)) {
        if !standing.iter().any(|newer| newer.contradicts(&spot, apart)) {
            standing.push(spot);
        }
    }
}

/// The decoder's features, scaled for the kernel.
struct FeatureGrid<'a> {
    cells: usize,
    channels: usize,
    pixels: &'a [f32],
    length: f32,
}

impl FeatureGrid<'_> {
    fn channel(&self, channel: usize) -> &[f32] {
        let n = self.cells * self.cells;
        &self.pixels[channel * n..][..n]
    }

    /// Weight of each channel's squared difference in the exponent; false when a feature is not a finite number.
    fn scale(&self, weights: &mut Vec<f32>) -> bool {
        weights.clear();
        for channel in 0..self.channels {
            let (mut sum, mut squares) = (0f64, 0f64);
            for row in self.channel(channel).chunks_exact(self.cells) {
                let (s, q) = sums(row);
                sum += f64::from(s);
                squares += f64::from(q);
            }
            let n = (self.cells * self.cells) as f64;
            let deviation = (squares / n - (sum / n).powi(2)).max(0.0).sqrt() + 1e-3;
            weights.push((1.0 / (deviation.powi(2) * self.channels as f64)) as f32 / FEATURE_LENGTH.powi(2));
        }
        weights.iter().all(|w| w.is_finite())
    }

    /// Computes the coefficient of each click's kernel from the interpolated logits at the clicks.
    fn solve(&self, logits: &[f32], scratch: &mut CorrectScratch) {
        let CorrectScratch { standing, inverse_variance, features, corner, factor, response, .. } = scratch;
        let n = standing.len();
        features.clear();
        for spot in standing.iter() {
            features.extend((0..self.channels).map(|c| spot.sample(self.channel(c))));
        }
        factor.clear();
        factor.resize(n * n, 0.0);
        response.clear();
        response.resize(n * n, 0.0);
        for (i, at) in standing.iter().enumerate() {
            let own = &features[i * self.channels..][..self.channels];
            for j in 0..=i {
                let other = &features[j * self.channels..][..self.channels];
                let k = self.kernel(at.x - standing[j].x, at.y - standing[j].y, own, other, inverse_variance);
                factor[i * n + j] = f64::from(k) + if i == j { NOISE } else { 0.0 };
            }
            for (&cell, &weight) in at.cell.iter().zip(&at.weight).filter(|(_, w)| **w > 0.0) {
                let (x, y) = ((cell % self.cells) as f32, (cell / self.cells) as f32);
                corner.clear();
                corner.extend((0..self.channels).map(|c| self.channel(c)[cell]));
                for (j, from) in standing.iter().enumerate() {
                    let centre = &features[j * self.channels..][..self.channels];
                    let k = self.kernel(x - from.x, y - from.y, corner, centre, inverse_variance);
                    response[i * n + j] += f64::from(weight * k);
                }
            }
        }
        cholesky(factor, n);
        find_coefficients(logits, scratch);
    }

    fn kernel(&self, dx: f32, dy: f32, a: &[f32], b: &[f32], weights: &[f32]) -> f32 {
        let apart: f32 = a.iter().zip(b).zip(weights).map(|((a, b), w)| (a - b).powi(2) * w).sum();
        kernel_value((dx * dx + dy * dy) / self.length.powi(2) + apart)
    }

    /// Adds the kernels, each times its coefficient, within their reach.
    fn spread(&self, logits: &mut [f32], scratch: &mut CorrectScratch) {
        let last = (self.cells - 1) as f32;
        let radius = REACH.sqrt() * self.length;
        for (j, spot) in scratch.standing.iter().enumerate() {
            let coefficient = scratch.coefficients[j] as f32;
            if coefficient == 0.0 {
                continue;
            }
            let features = &scratch.features[j * self.channels..][..self.channels];
            let (top, bottom) = ((spot.y - radius).max(0.0).ceil(), (spot.y + radius).min(last).floor());
            for y in top as usize..=bottom as usize {
                let dy = y as f32 - spot.y;
                let half = (radius * radius - dy * dy).max(0.0).sqrt();
                let (left, right) = ((spot.x - half).max(0.0).ceil(), (spot.x + half).min(last).floor());
                if left > right {
                    continue;
                }
                let (left, right) = (left as usize, right as usize + 1);
                let row = y * self.cells + left..y * self.cells + right;
                let exponents = &mut scratch.row;
                exponents.clear();
                exponents.extend((left..right).map(|x| {
                    let dx = x as f32 - spot.x;
                    (dx * dx + dy * dy) / self.length.powi(2)
                }));
                for (c, (&f, &w)) in features.iter().zip(&scratch.inverse_variance).enumerate() {
                    for (e, &p) in exponents.iter_mut().zip(&self.channel(c)[row.clone()]) {
                        *e += (p - f) * (p - f) * w;
                    }
                }
                for (logit, &e) in logits[row].iter_mut().zip(exponents.iter()) {
                    *logit += coefficient * kernel_value(e);
                }
            }
        }
    }
}

fn kernel_value(exponent: f32) -> f32 {
    if exponent > REACH { 0.0 } else { (-0.5 * exponent).exp() }
}

/// Sum and sum of squares, in eight lanes so that the loop can be vectorised.
fn sums(row: &[f32]) -> (f32, f32) {
    let (mut sum, mut squares) = ([0f32; 8], [0f32; 8]);
    let chunks = row.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for ((s, q), &v) in sum.iter_mut().zip(&mut squares).zip(chunk) {
            *s += v;
            *q += v * v;
        }
    }
    for &v in rest {
        sum[0] += v;
        squares[0] += v * v;
    }
    (sum.iter().sum(), squares.iter().sum())
}

/// Solves for the coefficients, and again for the residuals that the interpolation between cells leaves.
fn find_coefficients(logits: &[f32], scratch: &mut CorrectScratch) {
    let CorrectScratch { standing, factor, response, observed, residual, coefficients, .. } = scratch;
    let n = standing.len();
    observed.clear();
    observed.extend(standing.iter().map(|s| f64::from(s.sample(logits))));
    coefficients.clear();
    coefficients.resize(n, 0.0);
    let margin = f64::from(MARGIN);
    for round in 0..ROUNDS {
        let enough = if round == 0 { margin } else { margin / 2.0 };
        let mut is_done = true;
        residual.clear();
        for (i, spot) in standing.iter().enumerate() {
            let change: f64 = response[i * n..][..n].iter().zip(coefficients.iter()).map(|(m, a)| m * a).sum();
            let signed = f64::from(spot.sign) * (observed[i] + change);
            is_done &= signed >= enough;
            residual.push(if signed < margin { f64::from(spot.sign) * (margin - signed) } else { 0.0 });
        }
        if is_done {
            break;
        }
        substitute(factor, residual, n);
        coefficients.iter_mut().zip(residual.iter()).for_each(|(a, r)| *a += r);
    }
}

/// Replaces the lower triangle of a symmetric positive definite matrix by its Cholesky factor.
fn cholesky(a: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let left = a[i * n + j] - dot;
            a[i * n + j] = if i == j { left.max(NOISE * 1e-3).sqrt() } else { left / a[j * n + j] };
        }
    }
}

/// Solves L Lᵀ x = b in place.
fn substitute(l: &[f64], b: &mut [f64], n: usize) {
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| l[i * n + k] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * n + i];
    }
}

/// Brings the clicks that are still violated to a quarter of the margin by their own four cells: cyclic projection onto violated
/// half-spaces (S. Agmon, "The relaxation method for linear inequalities", 1954). Returns false if not all can be satisfied.
fn mend(logits: &mut [f32], standing: &[Spot]) -> bool {
    if standing.iter().all(|s| s.signed(logits) >= HELD) {
        return true;
    }
    let bound = 16.0 * MARGIN;
    for spot in standing {
        spot.cell.iter().for_each(|&c| logits[c] = logits[c].clamp(-bound, bound));
    }
    for _ in 0..MENDING_PASSES {
        let mut is_done = true;
        for spot in standing {
            let signed = spot.signed(logits);
            if signed >= HELD {
                continue;
            }
            is_done = false;
            let norm: f32 = spot.weight.iter().map(|w| w * w).sum();
            let step = spot.sign * (MARGIN / 4.0 - signed) / norm;
            spot.cell.iter().zip(&spot.weight).for_each(|(&c, w)| logits[c] += w * step);
        }
        if is_done {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use crate::mask::LogitGrid;
    use proptest::prelude::*;

    fn click(x: f32, y: f32, is_inside: bool) -> CellClick {
        CellClick { x, y, polarity: if is_inside { Polarity::Positive } else { Polarity::Negative } }
    }

    fn corrected(mut logits: Vec<f32>, cells: usize, pixels: &[f32], clicks: &[CellClick]) -> Vec<f32> {
        let channels = pixels.len() / logits.len();
        correct(&mut logits, cells, pixels, channels, clicks, &mut CorrectScratch::default());
        logits
    }

    /// Features of two kinds of tissue, left and right of the middle, with a little texture.
    fn two_tissues(cells: usize, channels: usize) -> Vec<f32> {
        let at = |c: usize, i: usize| {
            let (x, y) = (i % cells, i / cells);
            let texture = ((x * 7 + y * 13 + c * 5) % 11) as f32 / 40.0;
            texture + if x < cells / 2 { 1.0 + c as f32 * 0.1 } else { 3.0 }
        };
        (0..channels).flat_map(|c| (0..cells * cells).map(move |i| at(c, i))).collect()
    }

    /// The mean of the process in its plain form: dense, in f64, for clicks at cell centres.
    fn plain_mean(logits: &[f32], cells: usize, pixels: &[f32], clicks: &[CellClick]) -> Vec<f64> {
        let n = cells * cells;
        let scaled: Vec<f64> = pixels
            .chunks_exact(n)
            .flat_map(|channel| {
                let mean = channel.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
                let variance = channel.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n as f64;
                let k = 1.0 / (variance.sqrt() + 1e-3);
                channel.iter().map(move |&v| f64::from(v) * k)
            })
            .collect();
        let channels = scaled.len() / n;
        let length = f64::from(LENGTH) * cells as f64 / 128.0;
        let kernel = |a: usize, b: usize| {
            let (dx, dy) = ((a % cells) as f64 - (b % cells) as f64, (a / cells) as f64 - (b / cells) as f64);
            let e: f64 = (0..channels).map(|c| (scaled[c * n + a] - scaled[c * n + b]).powi(2)).sum();
            (-0.5 * ((dx * dx + dy * dy) / length.powi(2) + e / channels as f64)).exp()
        };
        let places: Vec<usize> = clicks.iter().map(|c| c.y as usize * cells + c.x as usize).collect();
        let mut matrix: Vec<Vec<f64>> = places
            .iter()
            .zip(clicks)
            .map(|(&a, c)| {
                let (s, v) = (f64::from(c.sign()), f64::from(logits[a]));
                let mut row: Vec<f64> = places.iter().map(|&b| kernel(a, b)).collect();
                row.push(if s * v < 1.0 { s - v } else { 0.0 });
                row
            })
            .collect();
        let m = matrix.len();
        for (i, row) in matrix.iter_mut().enumerate() {
            row[i] += NOISE;
        }
        for i in 0..m {
            let pivot = matrix[i].clone();
            for row in matrix.iter_mut().skip(i + 1) {
                let k = row[i] / pivot[i];
                row.iter_mut().zip(&pivot).for_each(|(r, p)| *r -= k * p);
            }
        }
        let mut coefficients = vec![0.0; m];
        for i in (0..m).rev() {
            let known: f64 = (i + 1..m).map(|j| matrix[i][j] * coefficients[j]).sum();
            coefficients[i] = (matrix[i][m] - known) / matrix[i][i];
        }
        (0..n)
            .map(|c| {
                f64::from(logits[c]) + places.iter().zip(&coefficients).map(|(&p, a)| a * kernel(c, p)).sum::<f64>()
            })
            .collect()
    }

    #[test]
    fn equals_the_plain_mean_at_cell_centres() {
        let cells = 64;
        let pixels = two_tissues(cells, 6);
        let logits: Vec<f32> = (0..cells * cells)
            .map(|i| 6.0 - ((i % cells) as f32 - 30.0).hypot((i / cells) as f32 - 30.0) / 2.0)
            .collect();
        let clicks =
            [click(30.5, 30.5, true), click(24.5, 36.5, false), click(55.5, 20.5, true), click(40.5, 40.5, false)];
        let plain = plain_mean(&logits, cells, &pixels, &clicks);
        let fast = corrected(logits.clone(), cells, &pixels, &clicks);
        let most = plain.iter().zip(&logits).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
        let error = plain.iter().zip(&fast).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
        assert!(most > 4.0, "the case corrects next to nothing: {most}");
        assert!(error < 0.005 * most, "largest difference {error} of a correction of {most}");
    }

    #[test]
    fn satisfied_clicks_change_nothing() {
        let pixels = two_tissues(32, 3);
        let logits: Vec<f32> = (0..1024).map(|i| if i % 32 < 16 { 1.5 } else { -1.5 }).collect();
        let clicks = [click(4.2, 9.0, true), click(28.0, 9.9, false)];
        assert_eq!(corrected(logits.clone(), 32, &pixels, &clicks), logits);
    }

    #[test]
    fn without_features_nothing_changes() {
        let logits = vec![-3.0; 1024];
        assert_eq!(corrected(logits.clone(), 32, &[], &[click(4.0, 4.0, true)]), logits);
    }

    #[test]
    fn correction_follows_the_tissue_and_stays_near() {
        let cells = 128;
        let pixels = two_tissues(cells, 8);
        let after = corrected(vec![-2.0; cells * cells], cells, &pixels, &[click(60.5, 64.5, true)]);
        let change = |x: usize, y: usize| after[y * cells + x] + 2.0;
        assert!(change(60, 64) > 2.9, "at the click {}", change(60, 64));
        assert!(change(55, 64) > 4.0 * change(65, 64), "{} and {}", change(55, 64), change(65, 64));
        assert_eq!(change(60, 64 + 41), 0.0);
        assert_eq!(change(60 - 41, 64), 0.0);
    }

    #[test]
    fn newer_of_two_contradicting_clicks_wins() {
        let pixels = two_tissues(32, 3);
        for newer_is_inside in [true, false] {
            let clicks = [click(8.6, 8.5, !newer_is_inside), click(8.7, 8.6, newer_is_inside)];
            let after = corrected(vec![0.2; 1024], 32, &pixels, &clicks);
            let newer = Spot::new(&clicks[1], 32).unwrap();
            assert!(newer.signed(&after) > 0.0, "newer is inside: {newer_is_inside}");
            assert_eq!(contradicted(&after, 32, &clicks, &mut CorrectScratch::default()), Contradicted::default());
        }
    }

    #[test]
    fn an_overruled_click_overrules_nothing() {
        let clicks = [click(8.1, 8.5, true), click(8.8, 8.5, false), click(9.5, 8.5, true)];
        let mut standing = Vec::new();
        stand(&clicks, 32, CROWDED, &mut standing);
        assert_eq!(standing.iter().map(|s| s.x + 0.5).collect::<Vec<_>>(), [9.5, 8.1]);
    }

    #[test]
    fn contradicted_counts_wrong_sides_only() {
        let logits: Vec<f32> = (0..256).map(|i| if i % 16 < 8 { 3.0 } else { -0.3 }).collect();
        let clicks = [click(2.0, 2.0, true), click(2.0, 9.0, false), click(14.0, 9.0, true), click(99.0, 2.0, true)];
        let mut scratch = CorrectScratch::default();
        let found = |n: usize, scratch: &mut _| contradicted(&logits, 16, &clicks[..n], scratch);
        assert_eq!(found(1, &mut scratch), Contradicted { clicks: 0, is_newest_denied: false });
        assert_eq!(found(2, &mut scratch), Contradicted { clicks: 1, is_newest_denied: true });
        assert_eq!(found(3, &mut scratch), Contradicted { clicks: 2, is_newest_denied: false });
        assert_eq!(found(4, &mut scratch), Contradicted { clicks: 2, is_newest_denied: false });
    }

    #[test]
    fn faulty_numbers_are_left_alone() {
        let pixels = two_tissues(16, 2);
        let mut logits = vec![-1.0; 256];
        logits[3 * 16 + 3] = f32::NAN;
        let after = corrected(logits, 16, &pixels, &[click(3.5, 3.5, true)]);
        assert_eq!(after.iter().filter(|v| v.is_nan()).count(), 1);
        let lone = corrected(vec![-1.0; 256], 16, &pixels, &[click(f32::NAN, 3.5, true), click(-1.0, 3.0, true)]);
        assert_eq!(lone, vec![-1.0; 256]);
    }

    fn any_clicks(from: f32, to: f32) -> impl Strategy<Value = Vec<CellClick>> {
        let one = (from..to, from..to, any::<bool>()).prop_map(|(x, y, inside)| click(x, y, inside));
        prop::collection::vec(one, 1..17)
    }

    /// The clicks that stand at one of these distances and that the corrected outline has on the wrong side, the
    /// fewest of all the distances.
    fn left_wrong(logits: Vec<f32>, pixels: &[f32], clicks: &[CellClick], distances: &[f32]) -> Vec<CellClick> {
        let cells = 24;
        let view = ModelView::new(Rect::new(0.0, 0.0, 96.0, 96.0), 96);
        let grid = LogitGrid::from_values(cells, view, corrected(logits, cells, pixels, clicks)).unwrap();
        let wrong = |&apart: &f32| -> Vec<CellClick> {
            let mut standing = Vec::new();
            stand(clicks, cells, apart, &mut standing);
            let stands = |c: &&CellClick| {
                let spot = Spot::new(c, cells).unwrap();
                standing.iter().any(|s| (s.x, s.y, s.sign) == (spot.x, spot.y, spot.sign))
            };
            let is_wrong = |c: &&CellClick| grid.sample_model(Point::new(c.x * 4.0, c.y * 4.0)) * c.sign() <= 0.0;
            clicks.iter().filter(stands).filter(is_wrong).copied().collect()
        };
        distances.iter().map(wrong).min_by_key(Vec::len).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]
        #[test]
        fn every_standing_click_holds_at_its_very_place(
            logits in prop::collection::vec(-12.0f32..12.0, 576), pixels in prop::collection::vec(0.0f32..6.0, 576 * 3),
            clicks in any_clicks(0.0, 24.0),
        ) {
            prop_assert_eq!(left_wrong(logits, &pixels, &clicks, &[NEAR, CROWDED]), []);
        }

        #[test]
        fn crowded_clicks_hold_too(
            level in -40.0f32..40.0, pixels in prop::collection::vec(0.0f32..6.0, 576), clicks in any_clicks(9.0, 12.5),
        ) {
            prop_assert_eq!(left_wrong(vec![level; 576], &pixels, &clicks, &[NEAR, CROWDED]), []);
        }

        #[test]
        fn two_clicks_a_quarter_of_a_cell_apart_both_hold(
            level in -9.0f32..9.0, pixels in prop::collection::vec(0.0f32..6.0, 576), x in 3.0f32..9.0, y in 3.0f32..9.0,
            dx in -1.0f32..1.0, dy in -1.0f32..1.0, is_inside in any::<bool>(),
        ) {
            let clicks = [click(x, y, is_inside), click(x + dx, y + dy, !is_inside)];
            prop_assert_eq!(left_wrong(vec![level; 576], &pixels, &clicks, &[NEAR]), []);
        }
    }
}
