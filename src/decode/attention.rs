//! Attention between token rows ([T, C]) and an image's planes ([C, places]), and layer normalization.

use pulp::{Arch, Simd, WithSimd};

use super::linear::{Linear, Lines, PANEL};
use super::spatial::{carved, copy};
use crate::fast_math::exp;
use crate::wide::wide;

/// How an attention is split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub heads: usize,
    /// Channels of a head.
    pub part: usize,
    pub scale: f32,
}

/// Attention with its projections.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub out: Linear,
    pub heads: Heads,
    /// What the places of the image's cells add to its keys or queries, planes; empty among tokens.
    pub places: Vec<f32>,
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

    /// Over the channels of each place of a panel, [C, PANEL].
    #[inline(always)]
    fn panel(&self, x: &mut [f32]) {
        let n = self.gain.len() as f32;
        let (mut mean, mut scale) = ([0.0; PANEL], [0.0; PANEL]);
        let lines = x.as_chunks_mut::<PANEL>().0;
        for line in &*lines {
            for i in 0..PANEL {
                mean[i] += line[i];
            }
        }
        for m in &mut mean {
            *m /= n;
        }
        for line in &*lines {
            for i in 0..PANEL {
                scale[i] += (line[i] - mean[i]) * (line[i] - mean[i]);
            }
        }
        for s in &mut scale {
            *s = 1.0 / (*s / n + self.epsilon).sqrt();
        }
        for ((line, g), b) in lines.iter_mut().zip(&self.gain).zip(&self.bias) {
            for i in 0..PANEL {
                line[i] = (line[i] - mean[i]) * scale[i] * g + b;
            }
        }
    }
}

/// Values that are summed side by side: some vectors of any processor.
const LANES: usize = 32;

/// The sum of products.
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let mut total = 0.0;
    for s in sums {
        total += s;
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        total += a * b;
    }
    total
}

/// Scores to weights, `exp(scale * (score - most))`; gives their sum.
#[inline(always)]
fn weights_of(scores: &mut [f32], scale: f32) -> f32 {
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let mut most = f32::NEG_INFINITY;
    for s in lanes.iter().chain(&*rest) {
        most = if *s > most { *s } else { most };
    }
    let (mut sums, mut total) = ([0.0; LANES], 0.0);
    for chunk in chunks {
        for i in 0..LANES {
            chunk[i] = exp((chunk[i] - most) * scale);
            sums[i] += chunk[i];
        }
    }
    for s in rest {
        *s = exp((*s - most) * scale);
        total += *s;
    }
    for s in sums {
        total += s;
    }
    total
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
    let places = k.len() / d;
    out.clear();
    out.resize(q.len(), 0.0);
    let [scores] = carved(scratch, [places]);
    wide(
        #[inline(always)]
        move || {
            let (scores, out) = (scores, out);
            let parts = q.chunks_exact(shape.part).zip(out.chunks_exact_mut(shape.part)).enumerate();
            for (i, (q, out)) in parts {
                let planes = i % shape.heads * shape.part * places..(i % shape.heads + 1) * shape.part * places;
                let keys = k[planes.clone()].chunks_exact(places);
                let (chunks, rest) = scores.as_chunks_mut::<LANES>();
                for (c, scores) in chunks.iter_mut().enumerate() {
                    *scores = weighted(q.iter().zip(keys.clone().map(|plane| &plane.as_chunks::<LANES>().0[c])));
                }
                for (score, place) in rest.iter_mut().zip(chunks.len() * LANES..) {
                    *score = q.iter().zip(keys.clone()).map(|(q, plane)| q * plane[place]).sum();
                }
                let total = weights_of(scores, shape.scale);
                for (out, plane) in out.iter_mut().zip(v[planes].chunks_exact(places)) {
                    *out = product(scores, plane) / total;
                }
            }
        },
    );
}

/// What an image is shown of tokens: rows, [T, C].
pub(super) struct Told<'a> {
    pub attention: &'a Attention,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// Of the image, after what it found was added.
    pub norm: &'a Norm,
}

/// An image sees the tokens that it is told of, and makes keys and values for those that look at it next.
///
/// Shape: `image` [C, places], `keys` and `values` [next's C, places].
pub(super) fn image_sees_tokens(
    image: &mut [f32],
    told: Option<Told>,
    next: &Attention,
    projected: [&mut [f32]; 2],
    scratch: &mut Vec<f32>,
) {
    Arch::new().dispatch(Look { image, told, next, projected, scratch });
}

struct Look<'a> {
    image: &'a mut [f32],
    told: Option<Told<'a>>,
    next: &'a Attention,
    projected: [&'a mut [f32]; 2],
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { image, told, next, projected: [keys, values], scratch } = self;
        let d = next.k.inputs;
        let places = image.len() / d;
        let (inner, tokens) =
            told.as_ref().map_or((0, 0), |t| (t.attention.q.outputs, t.keys.len() / t.attention.q.outputs));
        let [mut x, mut sum, queries, found, scores] = carved(scratch, [d, d, inner, inner, tokens].map(|n| n * PANEL));
        for from in (0..places).step_by(PANEL) {
            let count = PANEL.min(places - from);
            for (line, plane) in x.chunks_exact_mut(PANEL).zip(image.chunks_exact(places)) {
                copy(&plane[from..][..count], line);
            }
            if let Some(Told { attention, keys, values, norm }) = &told {
                let at = Some(Lines { values: &attention.places[from..], apart: places });
                attention.q.lines(simd, count, Lines { values: x, apart: PANEL }, at, (queries, PANEL));
                panel_sees_tokens(queries, keys, values, attention.heads, scores, found);
                let plus = Some(Lines { values: x, apart: PANEL });
                attention.out.lines(simd, count, Lines { values: found, apart: PANEL }, plus, (sum, PANEL));
                norm.panel(sum);
                std::mem::swap(&mut x, &mut sum);
                for (line, plane) in x.chunks_exact(PANEL).zip(image.chunks_exact_mut(places)) {
                    copy(&line[..count], &mut plane[from..]);
                }
            }
            let (x, at) =
                (Lines { values: x, apart: PANEL }, Some(Lines { values: &next.places[from..], apart: places }));
            next.k.lines(simd, count, x, at, (&mut keys[from..], places));
            next.v.lines(simd, count, x, None, (&mut values[from..], places));
        }
    }
}

/// A panel looks at tokens: softmax over the tokens, at every place.
///
/// Shape: `q` and `out` [D, PANEL], `k` and `v` [T, D], `scores` [T, PANEL].
#[inline(always)]
fn panel_sees_tokens(q: &[f32], k: &[f32], v: &[f32], shape: Heads, scores: &mut [f32], out: &mut [f32]) {
    let d = shape.heads * shape.part;
    let (q, out, scores) =
        (q.as_chunks::<PANEL>().0, out.as_chunks_mut::<PANEL>().0, scores.as_chunks_mut::<PANEL>().0);
    for (head, out) in out.chunks_exact_mut(shape.part).enumerate() {
        let from = head * shape.part;
        let mut most = [f32::NEG_INFINITY; PANEL];
        for (k, scores) in k.chunks_exact(d).zip(&mut *scores) {
            *scores = weighted(k[from..].iter().zip(&q[from..from + shape.part]));
            for i in 0..PANEL {
                most[i] = if scores[i] > most[i] { scores[i] } else { most[i] };
            }
        }
        let mut total = [0.0; PANEL];
        for scores in &mut *scores {
            for i in 0..PANEL {
                scores[i] = exp((scores[i] - most[i]) * shape.scale);
                total[i] += scores[i];
            }
        }
        for t in &mut total {
            *t = 1.0 / *t;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = weighted(v.iter().skip(from + j).step_by(d).zip(&*scores));
            for i in 0..PANEL {
                out[i] *= total[i];
            }
        }
    }
}

/// The weighted sum of lines.
#[inline(always)]
fn weighted<'a, const N: usize>(lines: impl Iterator<Item = (&'a f32, &'a [f32; N])>) -> [f32; N] {
    let mut sums = [0.0; N];
    for (weight, line) in lines {
        for i in 0..N {
            sums[i] += weight * line[i];
        }
    }
    sums
}

/// Tokens look at each other.
///
/// Shape: `q`, `k`, `v` [T, D]; `out` [T, D].
pub(super) fn tokens_to_tokens(
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
    let [scores] = carved(scratch, [k.len() / d]);
    for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        for head in 0..shape.heads {
            let range = head * shape.part..(head + 1) * shape.part;
            let dot = |k: &[f32]| q[range.clone()].iter().zip(&k[range.clone()]).map(|(q, k)| q * k).sum::<f32>();
            scores.iter_mut().zip(k.chunks_exact(d)).for_each(|(s, k)| *s = dot(k) * shape.scale);
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = exp(*s - most));
            let total: f32 = scores.iter().sum();
            for (v, s) in v.chunks_exact(d).zip(&*scores) {
                out[range.clone()].iter_mut().zip(&v[range.clone()]).for_each(|(o, v)| *o += s / total * v);
            }
        }
    }
}
