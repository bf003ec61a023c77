//! Operations on planes ([C, H * W], one channel after the other) and on token rows ([T, C]), f32, wide on any processor.
//!
//! What pulp dispatches must consume what it captured (`let y = y`): a closure that could be called again is reached through a
//! shim that rustc compiles for the narrowest processor, the whole body with it.

use pulp::{Arch, Simd, WithSimd};

use crate::fast_math::exp;

/// What is done to sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    Relu6,
}

impl Activation {
    fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// A linear layer, or a 1x1 convolution.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
    /// [inputs, outputs].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

/// Places that are done before the next, a whole number of vectors: their inputs stay in the first cache.
const PANEL: usize = 96;

impl Linear {
    /// Planes to planes: `y[o] = activation(sum over i of w[i][o] x[i] + b[o] + plus[o])`.
    ///
    /// Shape: `x` [inputs, places], `plus` and `y` [outputs, places].
    pub fn planes(&self, x: &[f32], plus: Option<&[f32]>, y: &mut [f32], panel: &mut Vec<f32>) {
        let places = y.len() / self.outputs.max(1);
        debug_assert_eq!(x.len(), self.inputs * places);
        panel.resize(self.inputs.max(1) * PANEL, 0.0);
        Arch::new().dispatch(Planes { layer: self, x, plus, y, places, panel });
    }

    /// Rows to rows: [n, inputs] to [n, outputs].
    pub fn rows(&self, x: &[f32], y: &mut Vec<f32>) {
        y.clear();
        let (low, high) = self.activation.bounds();
        for row in x.chunks_exact(self.inputs) {
            let at = y.len();
            y.extend_from_slice(&self.bias);
            let sums = &mut y[at..];
            for (v, weights) in row.iter().zip(self.weights.chunks_exact(self.outputs)) {
                sums.iter_mut().zip(weights).for_each(|(s, w)| *s += v * w);
            }
            sums.iter_mut().for_each(|s| *s = s.clamp(low, high));
        }
    }
}

struct Planes<'a> {
    layer: &'a Linear,
    x: &'a [f32],
    plus: Option<&'a [f32]>,
    y: &'a mut [f32],
    places: usize,
    panel: &'a mut [f32],
}

impl WithSimd for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, plus, y, places, panel } = self;
        let (low, high) = layer.activation.bounds();
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        for from in (0..places).step_by(PANEL) {
            let count = PANEL.min(places - from);
            for (panel, plane) in panel.chunks_exact_mut(PANEL).zip(x.chunks_exact(places)) {
                panel[..count].copy_from_slice(&plane[from..from + count]);
            }
            let tile = Tile { layer, panel, from, count, places, low, high };
            let mut first = 0;
            while first < layer.outputs {
                first += tile.outputs(simd, first, plus, y);
            }
        }
    }
}

/// One panel's sums.
struct Tile<'a, S: Simd> {
    layer: &'a Linear,
    panel: &'a [f32],
    /// Place of the panel's first column.
    from: usize,
    count: usize,
    places: usize,
    low: S::f32s,
    high: S::f32s,
}

impl<S: Simd> Tile<'_, S> {
    /// As many outputs from `first` on as registers hold; gives their number.
    #[inline(always)]
    fn outputs(&self, simd: S, first: usize, plus: Option<&[f32]>, y: &mut [f32]) -> usize {
        match self.layer.outputs - first {
            8.. if S::F32_LANES != 8 => self.columns::<8>(simd, first, plus, y),
            4.. => self.columns::<4>(simd, first, plus, y),
            2.. => self.columns::<2>(simd, first, plus, y),
            _ => self.columns::<1>(simd, first, plus, y),
        }
    }

    #[inline(always)]
    fn columns<const M: usize>(&self, simd: S, first: usize, plus: Option<&[f32]>, y: &mut [f32]) -> usize {
        let mut at = 0;
        while at < self.count {
            if self.count - at > S::F32_LANES {
                self.sums::<M, 2>(simd, first, at, plus, y);
                at += 2 * S::F32_LANES;
            } else {
                self.sums::<M, 1>(simd, first, at, plus, y);
                at += S::F32_LANES;
            }
        }
        M
    }

    /// `M` outputs at `V` vectors of places.
    #[inline(always)]
    fn sums<const M: usize, const V: usize>(
        &self,
        simd: S,
        first: usize,
        at: usize,
        plus: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let mut acc = [[simd.splat_f32s(0.0); V]; M];
        for (acc, bias) in acc.iter_mut().zip(&self.layer.bias[first..first + M]) {
            *acc = [simd.splat_f32s(*bias); V];
        }
        let weights = self.layer.weights.chunks_exact(self.layer.outputs);
        for (column, weights) in self.panel.chunks_exact(PANEL).zip(weights) {
            let (seen, _) = S::as_simd_f32s(&column[at..]);
            let (Some(seen), Some(weights)) = (seen.first_chunk::<V>(), weights[first..].first_chunk::<M>()) else {
                return;
            };
            for m in 0..M {
                let w = simd.splat_f32s(weights[m]);
                for v in 0..V {
                    acc[m][v] = simd.mul_add_e_f32s(w, seen[v], acc[m][v]);
                }
            }
        }
        for (m, acc) in acc.iter().enumerate() {
            let place = (first + m) * self.places + self.from + at;
            for (v, sum) in acc.iter().enumerate() {
                let left = self.count.saturating_sub(at + v * S::F32_LANES).min(S::F32_LANES);
                let range = place + v * S::F32_LANES..place + v * S::F32_LANES + left;
                let sum = match plus {
                    Some(plus) => simd.add_f32s(*sum, simd.partial_load_f32s(&plus[range.clone()])),
                    None => *sum,
                };
                let sum = simd.min_f32s(simd.max_f32s(sum, self.low), self.high);
                simd.partial_store_f32s(&mut y[range], sum);
            }
        }
    }
}

/// A depthwise 3x3 convolution.
#[derive(Clone, Debug)]
pub(super) struct Spatial {
    pub stride: usize,
    /// Rows of zero above and columns on the left.
    pub before: usize,
    /// [C, 9].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

impl Spatial {
    /// Planes [C, edge, edge] to [C, edge / stride, edge / stride].
    pub fn planes(&self, x: &[f32], edge: usize, y: &mut [f32]) {
        Arch::new().dispatch(move || {
            let y = y;
            self.all_planes(x, edge, y);
        });
    }

    #[inline(always)]
    fn all_planes(&self, x: &[f32], edge: usize, y: &mut [f32]) {
        let to = edge / self.stride;
        let nothing = vec![0.0; edge];
        let planes = y.chunks_exact_mut(to * to).zip(x.chunks_exact(edge * edge));
        for (((y, x), weights), bias) in planes.zip(self.weights.as_chunks::<9>().0).zip(&self.bias) {
            let row = |at: usize| if at < edge { &x[at * edge..][..edge] } else { &nothing[..] };
            for (oy, y) in y.chunks_exact_mut(to).enumerate() {
                let first = (oy * self.stride).wrapping_sub(self.before);
                let rows = [row(first), row(first.wrapping_add(1)), row(first.wrapping_add(2))];
                if self.stride == 1 {
                    near(rows, weights, *bias, self.activation.bounds(), y);
                } else {
                    apart(rows, weights, *bias, self.activation.bounds(), y);
                }
            }
        }
    }
}

/// A row of a 3x3 convolution of stride 1, one zero at either end.
#[inline(always)]
fn near(rows: [&[f32]; 3], w: &[f32; 9], bias: f32, (low, high): (f32, f32), y: &mut [f32]) {
    let (edge, inner) = (y.len(), y.len() - 2);
    let at = |row: &[f32], i: usize, k: usize| (i + k).checked_sub(1).and_then(|i| row.get(i)).copied().unwrap_or(0.0);
    for i in [0, edge - 1] {
        let taps = (0..9).map(|k| w[k] * at(rows[k / 3], i, k % 3));
        y[i] = (bias + taps.sum::<f32>()).clamp(low, high);
    }
    let [a, b, c] = rows.map(|row| [&row[..inner], &row[1..inner + 1], &row[2..inner + 2]]);
    let y = &mut y[1..inner + 1];
    for i in 0..inner {
        let upper = w[0] * a[0][i] + w[1] * a[1][i] + w[2] * a[2][i];
        let middle = w[3] * b[0][i] + w[4] * b[1][i] + w[5] * b[2][i];
        let lower = w[6] * c[0][i] + w[7] * c[1][i] + w[8] * c[2][i];
        y[i] = (bias + upper + middle + lower).clamp(low, high);
    }
}

/// A row of a 3x3 convolution of stride 2, one zero at the end.
#[inline(always)]
fn apart(rows: [&[f32]; 3], w: &[f32; 9], bias: f32, (low, high): (f32, f32), y: &mut [f32]) {
    let last = y.len() - 1;
    let pairs = rows.map(|row| row.as_chunks::<2>().0);
    let sum = |i: usize| {
        let taps = |k: usize| w[3 * k] * pairs[k][i][0] + w[3 * k + 1] * pairs[k][i][1];
        bias + taps(0) + taps(1) + taps(2)
    };
    for i in 0..last {
        let right = w[2] * pairs[0][i + 1][0] + w[5] * pairs[1][i + 1][0] + w[8] * pairs[2][i + 1][0];
        y[i] = (sum(i) + right).clamp(low, high);
    }
    y[last] = sum(last).clamp(low, high);
}

/// The neighbourhoods of a 3x3 convolution of stride 2, pads 0 before and 1 after, as planes: [C * 9, (edge / 2)^2].
pub(super) fn neighbourhoods(x: &[f32], edge: usize, out: &mut [f32]) {
    let to = edge / 2;
    for (at, plane) in out.chunks_exact_mut(to * to).enumerate() {
        let (channel, ky, kx) = (at / 9, at / 3 % 3, at % 3);
        let x = &x[channel * edge * edge..][..edge * edge];
        for (oy, row) in plane.chunks_exact_mut(to).enumerate() {
            let y = 2 * oy + ky;
            if y >= edge {
                row.fill(0.0);
                continue;
            }
            let pairs = x[y * edge..][..edge].as_chunks::<2>().0;
            match kx {
                0 => row.iter_mut().zip(pairs).for_each(|(v, p)| *v = p[0]),
                1 => row.iter_mut().zip(pairs).for_each(|(v, p)| *v = p[1]),
                _ => {
                    row.iter_mut().zip(&pairs[1..]).for_each(|(v, p)| *v = p[0]);
                    row[to - 1] = 0.0;
                }
            }
        }
    }
}

/// `fine = clamp(coarse + fine, 0, 6)`, every value of `coarse` twice in both directions.
///
/// Shape: `coarse` [C, edge / 2, edge / 2], `fine` [C, edge, edge].
pub(super) fn up_add_relu6(coarse: &[f32], edge: usize, fine: &mut [f32]) {
    Arch::new().dispatch(move || {
        let fine = fine;
        for (coarse, fine) in coarse.chunks_exact(edge / 2).zip(fine.chunks_exact_mut(2 * edge)) {
            for fine in fine.chunks_exact_mut(edge) {
                let (parts, rest) = fine.as_chunks_mut::<16>();
                let (seen, seen_rest) = coarse.as_chunks::<8>();
                for (fine, coarse) in parts.iter_mut().zip(seen) {
                    let twice: [f32; 16] = std::array::from_fn(|i| coarse[i / 2]);
                    for i in 0..16 {
                        fine[i] = (fine[i] + twice[i]).clamp(0.0, 6.0);
                    }
                }
                for (i, fine) in rest.iter_mut().enumerate() {
                    *fine = (*fine + seen_rest[i / 2]).clamp(0.0, 6.0);
                }
            }
        }
    });
}

/// Layer normalization.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    /// Over the channels of each row.
    pub fn rows(&self, x: &mut [f32]) {
        let n = self.gain.len();
        for row in x.chunks_exact_mut(n) {
            let mean = row.iter().sum::<f32>() / n as f32;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((v, g), b) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *v = (*v - mean) * scale * g + b;
            }
        }
    }

    /// Over the channels of each place of planes.
    pub fn planes(&self, x: &mut [f32], scratch: &mut Vec<f32>) {
        Arch::new().dispatch(move || {
            let x = x;
            self.all_planes(x, scratch);
        });
    }

    #[inline(always)]
    fn all_planes(&self, x: &mut [f32], scratch: &mut Vec<f32>) {
        let n = self.gain.len();
        let places = x.len() / n;
        scratch.clear();
        scratch.resize(2 * places, 0.0);
        let (mean, scale) = scratch.split_at_mut(places);
        for plane in x.chunks_exact(places) {
            mean.iter_mut().zip(plane).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= n as f32);
        for plane in x.chunks_exact(places) {
            for ((s, v), m) in scale.iter_mut().zip(plane).zip(&*mean) {
                *s += (v - m) * (v - m);
            }
        }
        scale.iter_mut().for_each(|s| *s = 1.0 / (*s / n as f32 + self.epsilon).sqrt());
        for ((plane, g), b) in x.chunks_exact_mut(places).zip(&self.gain).zip(&self.bias) {
            for ((v, m), s) in plane.iter_mut().zip(&*mean).zip(&*scale) {
                *v = (*v - m) * s * g + b;
            }
        }
    }
}

/// Tokens look at an image: softmax over its places.
///
/// Shape: `q` [T, D], `k` and `v` planes [D, places], D = heads * part; `out` [T, D].
pub(super) fn tokens_to_image(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    scratch: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    let d = shape.heads * shape.part;
    out.clear();
    out.resize(q.len(), 0.0);
    Arch::new().dispatch(move || {
        let (scratch, out) = (scratch, out);
        let places = k.len() / d;
        scratch.resize(places, 0.0);
        for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            for head in 0..shape.heads {
                let range = head * shape.part..(head + 1) * shape.part;
                let (q, out) = (&q[range.clone()], &mut out[range.clone()]);
                let (k, v) =
                    (&k[range.start * places..range.end * places], &v[range.start * places..range.end * places]);
                one_to_image(q, k, v, shape.scale, scratch, out);
            }
        }
    });
}

#[inline(always)]
fn one_to_image(q: &[f32], k: &[f32], v: &[f32], scale: f32, scores: &mut [f32], out: &mut [f32]) {
    let places = scores.len();
    scores.fill(0.0);
    for (q, plane) in q.iter().zip(k.chunks_exact(places)) {
        let q = q * scale;
        scores.iter_mut().zip(plane).for_each(|(s, k)| *s += q * k);
    }
    let most = lanes_of(scores, f32::NEG_INFINITY, |a, b| if a > b { a } else { b }, |s| s);
    scores.iter_mut().for_each(|s| *s = exp(*s - most));
    let total = lanes_of(scores, 0.0, |a, b| a + b, |s| s);
    for (out, plane) in out.iter_mut().zip(v.chunks_exact(places)) {
        let (weights, rest) = scores.as_chunks::<16>();
        let (values, values_rest) = plane.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for (w, v) in weights.iter().zip(values) {
            for i in 0..16 {
                sums[i] += w[i] * v[i];
            }
        }
        let left: f32 = rest.iter().zip(values_rest).map(|(w, v)| w * v).sum();
        *out = (sums.iter().sum::<f32>() + left) / total;
    }
}

/// Joins all values, sixteen at a time.
#[inline(always)]
fn lanes_of(values: &[f32], start: f32, join: impl Fn(f32, f32) -> f32, of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [start; 16];
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] = join(lanes[i], of(chunk[i]));
        }
    }
    let lanes = lanes.into_iter().fold(start, &join);
    rest.iter().fold(lanes, |a, v| join(a, of(*v)))
}

/// How an attention is split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub heads: usize,
    /// Channels of a head.
    pub part: usize,
    pub scale: f32,
}

/// An image looks at tokens: softmax over the tokens, at every place.
///
/// Shape: `q` planes [D, places], `k` and `v` [T, D]; `out` planes [D, places].
pub(super) fn image_to_tokens(q: &[f32], k: &[f32], v: &[f32], shape: Heads, scratch: &mut Vec<f32>, out: &mut [f32]) {
    let d = shape.heads * shape.part;
    Arch::new().dispatch(move || {
        let (scratch, out) = (scratch, out);
        let (places, tokens) = (q.len() / d, k.len() / d);
        scratch.resize((tokens + 2) * places, 0.0);
        for head in 0..shape.heads {
            let range = head * shape.part..(head + 1) * shape.part;
            let planes = range.start * places..range.end * places;
            let rows = |x: &[f32], t: usize, j: usize| x[t * d + range.start + j];
            let (ends, scores) = scratch.split_at_mut(2 * places);
            let (most, total) = ends.split_at_mut(places);
            most.fill(f32::NEG_INFINITY);
            total.fill(0.0);
            for (t, scores) in scores.chunks_exact_mut(places).enumerate() {
                scores.fill(0.0);
                for (j, plane) in q[planes.clone()].chunks_exact(places).enumerate() {
                    let k = rows(k, t, j) * shape.scale;
                    scores.iter_mut().zip(plane).for_each(|(s, q)| *s += k * q);
                }
                most.iter_mut().zip(&*scores).for_each(|(m, s)| *m = if *s > *m { *s } else { *m });
            }
            for scores in scores.chunks_exact_mut(places) {
                for ((s, m), total) in scores.iter_mut().zip(&*most).zip(total.iter_mut()) {
                    *s = exp(*s - m);
                    *total += *s;
                }
            }
            total.iter_mut().for_each(|t| *t = 1.0 / *t);
            for (j, plane) in out[planes].chunks_exact_mut(places).enumerate() {
                plane.fill(0.0);
                for (t, scores) in scores.chunks_exact(places).enumerate() {
                    let v = rows(v, t, j);
                    plane.iter_mut().zip(scores).for_each(|(o, s)| *o += v * s);
                }
                plane.iter_mut().zip(&*total).for_each(|(o, t)| *o *= t);
            }
        }
    });
}

/// Tokens look at each other.
///
/// Shape: `q`, `k`, `v` [T, D]; `out` [T, D].
pub(super) fn tokens_to_tokens(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    scores: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    let d = shape.heads * shape.part;
    out.clear();
    out.resize(q.len(), 0.0);
    for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        for head in 0..shape.heads {
            let range = head * shape.part..(head + 1) * shape.part;
            let dot = |k: &[f32]| q[range.clone()].iter().zip(&k[range.clone()]).map(|(q, k)| q * k).sum::<f32>();
            scores.clear();
            scores.extend(k.chunks_exact(d).map(|k| dot(k) * shape.scale));
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = exp(*s - most));
            let total: f32 = scores.iter().sum();
            for (v, s) in v.chunks_exact(d).zip(&*scores) {
                out[range.clone()].iter_mut().zip(&v[range.clone()]).for_each(|(o, v)| *o += s / total * v);
            }
        }
    }
}
