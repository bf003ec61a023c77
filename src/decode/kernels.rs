//! Operations on planes ([C, H * W], one channel after the other) and on token rows ([T, C]), f32, wide on any processor.
//!
//! What pulp dispatches must consume what it captured (`let y = y`): a closure that could be called again is reached through a
//! shim that rustc compiles for the narrowest processor, the whole body with it.

use std::ops::Range;

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

/// Outputs that are summed together.
const ROWS: usize = 6;
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
            for first in (0..layer.outputs).step_by(ROWS) {
                let tile =
                    Tile { layer, panel, outputs: first..(first + ROWS).min(layer.outputs), from, count, places };
                let mut at = 0;
                while at < count {
                    at += if count - at > S::F32_LANES {
                        tile.sums::<S, 2>(simd, at, plus, y, low, high)
                    } else {
                        tile.sums::<S, 1>(simd, at, plus, y, low, high)
                    };
                }
            }
        }
    }
}

/// Some outputs of one panel.
struct Tile<'a> {
    layer: &'a Linear,
    panel: &'a [f32],
    outputs: Range<usize>,
    /// Place of the panel's first column.
    from: usize,
    count: usize,
    places: usize,
}

impl Tile<'_> {
    /// `V` vectors of places from `at` on; gives their number.
    #[inline(always)]
    fn sums<S: Simd, const V: usize>(
        &self,
        simd: S,
        at: usize,
        plus: Option<&[f32]>,
        y: &mut [f32],
        low: S::f32s,
        high: S::f32s,
    ) -> usize {
        let width = V * S::F32_LANES;
        let mut acc = [[simd.splat_f32s(0.0); V]; ROWS];
        for (acc, o) in acc.iter_mut().zip(self.outputs.clone()) {
            *acc = [simd.splat_f32s(self.layer.bias[o]); V];
        }
        let weights = self.layer.weights.chunks_exact(self.layer.outputs);
        for (column, weights) in self.panel.chunks_exact(PANEL).zip(weights) {
            let (seen, _) = S::as_simd_f32s(&column[at..at + width]);
            let Some(seen) = seen.first_chunk::<V>() else { continue };
            if let Some(weights) = weights[self.outputs.start..].first_chunk::<ROWS>() {
                for (acc, w) in acc.iter_mut().zip(weights) {
                    let w = simd.splat_f32s(*w);
                    for v in 0..V {
                        acc[v] = simd.mul_add_e_f32s(w, seen[v], acc[v]);
                    }
                }
            } else {
                for (acc, w) in acc.iter_mut().zip(&weights[self.outputs.clone()]) {
                    let w = simd.splat_f32s(*w);
                    for v in 0..V {
                        acc[v] = simd.mul_add_e_f32s(w, seen[v], acc[v]);
                    }
                }
            }
        }
        for (acc, o) in acc.iter().zip(self.outputs.clone()) {
            let place = o * self.places + self.from + at;
            for (v, sum) in acc.iter().enumerate() {
                let (start, left) = (place + v * S::F32_LANES, self.count.saturating_sub(at + v * S::F32_LANES));
                let left = left.min(S::F32_LANES);
                let sum = match plus {
                    Some(plus) => simd.add_f32s(*sum, simd.partial_load_f32s(&plus[start..start + left])),
                    None => *sum,
                };
                let sum = simd.min_f32s(simd.max_f32s(sum, low), high);
                simd.partial_store_f32s(&mut y[start..start + left], sum);
            }
        }
        width
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
        let (low, high) = self.activation.bounds();
        let planes = y.chunks_exact_mut(to * to).zip(x.chunks_exact(edge * edge));
        for (((y, x), weights), bias) in planes.zip(self.weights.chunks_exact(9)).zip(&self.bias) {
            for (oy, y) in y.chunks_exact_mut(to).enumerate() {
                y.fill(*bias);
                for (ky, weights) in weights.chunks_exact(3).enumerate() {
                    let row = (oy * self.stride + ky).wrapping_sub(self.before);
                    if row < edge {
                        add_row(&x[row * edge..][..edge], weights, self.stride, self.before, y);
                    }
                }
                y.iter_mut().for_each(|v| *v = v.clamp(low, high));
            }
        }
    }
}

/// `y[i] += sum over k of w[k] x[stride * i + k - before]`, nothing beyond the ends.
#[inline(always)]
fn add_row(x: &[f32], w: &[f32], stride: usize, before: usize, y: &mut [f32]) {
    let edge = x.len();
    let &[a, b, c] = w else { return };
    if stride == 1 && before == 1 && edge >= 2 {
        let inner = &mut y[1..edge - 1];
        for (i, y) in inner.iter_mut().enumerate() {
            *y += a * x[i] + b * x[i + 1] + c * x[i + 2];
        }
        y[0] += b * x[0] + c * x[1];
        y[edge - 1] += a * x[edge - 2] + b * x[edge - 1];
        return;
    }
    for (i, y) in y.iter_mut().enumerate() {
        for (k, w) in w.iter().enumerate() {
            let at = (stride * i + k).wrapping_sub(before);
            *y += x.get(at).map_or(0.0, |v| v * w);
        }
    }
}

/// The neighbourhoods of a 3x3 convolution of stride 2, pads 0 before and 1 after, as planes: [C * 9, (edge / 2)^2].
pub(super) fn neighbourhoods(x: &[f32], edge: usize, out: &mut [f32]) {
    let to = edge / 2;
    let taps = out.chunks_exact_mut(to * to).enumerate();
    for (at, plane) in taps {
        let (channel, ky, kx) = (at / 9, at / 3 % 3, at % 3);
        let x = &x[channel * edge * edge..][..edge * edge];
        for (oy, row) in plane.chunks_exact_mut(to).enumerate() {
            let y = 2 * oy + ky;
            if y >= edge {
                row.fill(0.0);
                continue;
            }
            let seen = &x[y * edge..][..edge];
            let (inner, last) = row.split_at_mut(to - 1);
            inner.iter_mut().zip(seen[kx..].iter().step_by(2)).for_each(|(v, x)| *v = *x);
            last[0] = seen.get(2 * (to - 1) + kx).copied().unwrap_or(0.0);
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
                for (fine, c) in fine.as_chunks_mut::<2>().0.iter_mut().zip(coarse) {
                    *fine = [(fine[0] + c).clamp(0.0, 6.0), (fine[1] + c).clamp(0.0, 6.0)];
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
