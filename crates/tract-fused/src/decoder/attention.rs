//! Attention between token rows ([T, C]) and an image's planes ([C, places]), and layer normalization.

use pulp::{Arch, Simd, WithSimd};

use super::linear::{Activation, Addend, Linear, PANEL, StridedRows};
use super::spatial::copy;
use crate::aligned::Aligned;
use crate::fast_math::exp;

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
    pub pe: Vec<f32>,
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
/// Shape: `q` [T, D], `k` and `v` planes [D, places], D = heads * part; `out` [T, D]. `layer` is memory.
pub(super) fn tokens_to_image(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    (layer, scratch): (&mut Linear, &mut Aligned<f32>),
    out: &mut Vec<f32>,
) {
    out.clear();
    out.resize(q.len(), 0.0);
    Arch::new().dispatch(Search { q, k, v, shape, layer, scratch, out });
}

struct Search<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    shape: Heads,
    layer: &'a mut Linear,
    scratch: &'a mut Aligned<f32>,
    out: &'a mut [f32],
}

impl WithSimd for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { q, k, v, shape: Heads { heads, part, scale }, layer, scratch, out } = self;
        let d = heads * part;
        let (tokens, places) = (q.len() / d, k.len() / d);
        // Not a multiple of a page, as planes are: all lines would fall into the same sets of the first cache.
        let line = Aligned::<f32>::LINE;
        let apart = places.next_multiple_of(line) + line;
        let [scores] = scratch.carved([tokens * apart]);
        // Queries are the weights of a layer from keys to scores.
        (layer.inputs, layer.outputs, layer.activation) = (part, tokens, Activation::None);
        layer.bias.clear();
        layer.bias.resize(tokens, 0.0);
        for head in 0..heads {
            let [keys, values] = [k, v].map(|planes| &planes[head * part * places..][..part * places]);
            layer.weights.clear();
            layer.weights.extend((0..part).flat_map(|c| q.iter().skip(head * part + c).step_by(d)));
            layer.lines(simd, places, StridedRows::new(keys, places), Addend::Nothing, (scores, apart));
            let mut token = 0;
            while token < tokens {
                let (scores, out) = (&mut scores[token * apart..], &mut out[token * d + head * part..]);
                token += match tokens - token {
                    4.. => found::<S, 4>(simd, (scores, apart), scale, values, places, (out, d)),
                    2.. => found::<S, 2>(simd, (scores, apart), scale, values, places, (out, d)),
                    _ => found::<S, 1>(simd, (scores, apart), scale, values, places, (out, d)),
                };
            }
        }
    }
}

/// What `T` tokens find: their scores, so far apart, become weights of the values' planes; gives the number of tokens.
#[inline(always)]
fn found<S: Simd, const T: usize>(
    simd: S,
    (scores, apart): (&mut [f32], usize),
    scale: f32,
    values: &[f32],
    places: usize,
    (out, d): (&mut [f32], usize),
) -> usize {
    let mut totals = [0.0; T];
    for (total, scores) in totals.iter_mut().zip(scores.chunks_mut(apart)) {
        *total = weights_of(&mut scores[..places], scale);
    }
    let mut lines: [&[f32]; T] = [&[]; T];
    for (line, scores) in lines.iter_mut().zip(scores.chunks(apart)) {
        *line = &scores[..places];
    }
    for (c, plane) in values.chunks_exact(places).enumerate() {
        for (t, sum) in products(simd, lines, plane).into_iter().enumerate() {
            out[t * d + c] = sum / totals[t];
        }
    }
    T
}

/// The sums of products of each of the lines with another one.
#[inline(always)]
fn products<S: Simd, const T: usize>(simd: S, lines: [&[f32]; T], other: &[f32]) -> [f32; T] {
    let (pairs, _) = S::as_simd_f32s(other).0.as_chunks::<2>();
    let mut vectors: [&[[S::f32s; 2]]; T] = [&[]; T];
    for (vectors, line) in vectors.iter_mut().zip(lines) {
        *vectors = &S::as_simd_f32s(line).0.as_chunks::<2>().0[..pairs.len()];
    }
    let mut sums = [[simd.splat_f32s(0.0); 2]; T];
    for (i, other) in pairs.iter().enumerate() {
        for (sums, vectors) in sums.iter_mut().zip(vectors) {
            for v in 0..2 {
                sums[v] = simd.mul_add_e_f32s(vectors[i][v], other[v], sums[v]);
            }
        }
    }
    let done = 2 * pairs.len() * S::F32_LANES;
    let mut totals = [0.0; T];
    for ((total, sums), line) in totals.iter_mut().zip(sums).zip(lines) {
        *total = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]));
        for (a, b) in line[done..].iter().zip(&other[done..]) {
            *total += a * b;
        }
    }
    totals
}

/// What an image is shown of tokens: rows, [T, C].
pub(super) struct TokenUpdate<'a> {
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
    told: Option<TokenUpdate>,
    next: &Attention,
    projected: [&mut [f32]; 2],
    scratch: &mut Aligned<f32>,
) {
    Arch::new().dispatch(Look { image, told, next, projected, scratch });
}

struct Look<'a> {
    image: &'a mut [f32],
    told: Option<TokenUpdate<'a>>,
    next: &'a Attention,
    projected: [&'a mut [f32]; 2],
    scratch: &'a mut Aligned<f32>,
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
        let [x, queries, found, scores] = scratch.carved([d, inner, inner, tokens].map(|n| n * PANEL));
        for from in (0..places).step_by(PANEL) {
            let count = PANEL.min(places - from);
            for (line, plane) in x.chunks_exact_mut(PANEL).zip(image.chunks_exact(places)) {
                copy(&plane[from..][..count], line);
            }
            if let Some(TokenUpdate { attention, keys, values, norm }) = &told {
                let at = Addend::Rows(StridedRows::new(&attention.pe, places).from(from));
                attention.q.lines(simd, count, StridedRows::new(x, PANEL), at, (queries, PANEL));
                panel_sees_tokens(queries, keys, values, attention.heads, scores, found);
                attention.out.lines(simd, count, StridedRows::new(found, PANEL), Addend::Accumulate, (x, PANEL));
                norm.panel(x);
                for (line, plane) in x.chunks_exact(PANEL).zip(image.chunks_exact_mut(places)) {
                    copy(&line[..count], &mut plane[from..]);
                }
            }
            let at = Addend::Rows(StridedRows::new(&next.pe, places).from(from));
            next.k.lines(simd, count, StridedRows::new(x, PANEL), at, (&mut keys[from..], places));
            next.v.lines(simd, count, StridedRows::new(x, PANEL), Addend::Nothing, (&mut values[from..], places));
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
    scratch: &mut Aligned<f32>,
    out: &mut Vec<f32>,
) {
    let d = shape.heads * shape.part;
    out.clear();
    out.resize(q.len(), 0.0);
    let [scores] = scratch.carved([k.len() / d]);
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
