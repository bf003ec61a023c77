//! Attention between token rows ([T, C]) and an image's planes ([C, pixels]), and layer normalization.

use pulp::{Arch, Simd, WithSimd};

use super::linear::{Activation, Addend, Linear, PANEL, StridedRows};
use super::spatial::copy;
use crate::aligned::Aligned;
use crate::fast_math::exp;

/// Heads of an attention.
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
    pub q_proj: Linear,
    pub k_proj: Linear,
    pub v_proj: Linear,
    pub out_proj: Linear,
    pub heads: Heads,
    /// Contribution of the image's positional encoding to its keys or queries, planes; empty in self-attention.
    pub pe: Vec<f32>,
}

/// Layer normalization.
#[derive(Clone, Debug)]
pub(super) struct LayerNorm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalizes the channels of each row.
    pub(super) fn forward_rows(&self, x: &mut [f32]) {
        let n = self.weight.len();
        for row in x.chunks_exact_mut(n) {
            let mean = row.iter().sum::<f32>() / n as f32;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((v, g), b) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *v = (*v - mean) * scale * g + b;
            }
        }
    }

    /// Normalizes the channels of each pixel of a panel, [C, PANEL].
    #[inline(always)]
    fn forward_panel(&self, x: &mut [f32]) {
        let n = self.weight.len() as f32;
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
        for ((line, g), b) in lines.iter_mut().zip(&self.weight).zip(&self.bias) {
            for i in 0..PANEL {
                line[i] = (line[i] - mean[i]) * scale[i] * g + b;
            }
        }
    }
}

/// Independent partial sums: several vectors on every processor.
const LANES: usize = 32;

/// Replaces scores by unnormalized softmax weights, `exp(scale * (score - max))`; returns their sum.
#[inline(always)]
fn softmax_weights(scores: &mut [f32], scale: f32) -> f32 {
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let mut max = f32::NEG_INFINITY;
    for s in lanes.iter().chain(&*rest) {
        max = if *s > max { *s } else { max };
    }
    let (mut sums, mut total) = ([0.0; LANES], 0.0);
    for chunk in chunks {
        for i in 0..LANES {
            chunk[i] = exp((chunk[i] - max) * scale);
            sums[i] += chunk[i];
        }
    }
    for s in rest {
        *s = exp((*s - max) * scale);
        total += *s;
    }
    for s in sums {
        total += s;
    }
    total
}

/// Attention of tokens to an image: softmax over its pixels.
///
/// Shape: `q` [T, D], `k` and `v` planes [D, pixels], D = heads * part; `out` [T, D]. `layer` and `scratch` are memory.
pub(super) fn token_to_image_attention(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    (layer, scratch): (&mut Linear, &mut Aligned<f32>),
    out: &mut Vec<f32>,
) {
    out.clear();
    out.resize(q.len(), 0.0);
    Arch::new().dispatch(TokenToImage { q, k, v, shape, layer, scratch, out });
}

struct TokenToImage<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    shape: Heads,
    layer: &'a mut Linear,
    scratch: &'a mut Aligned<f32>,
    out: &'a mut [f32],
}

impl WithSimd for TokenToImage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { q, k, v, shape: Heads { heads, part, scale }, layer, scratch, out } = self;
        let d = heads * part;
        let (tokens, places) = (q.len() / d, k.len() / d);
        // Rows a multiple of 4 KiB apart, as planes are, would share the same sets of the L1 cache.
        let line = Aligned::<f32>::LINE;
        let apart = places.next_multiple_of(line) + line;
        let [scores] = scratch.carved([tokens * apart]);
        // The queries serve as weights of a layer from keys to scores.
        (layer.inputs, layer.outputs, layer.activation) = (part, tokens, Activation::None);
        layer.bias.clear();
        layer.bias.resize(tokens, 0.0);
        for head in 0..heads {
            let [keys, values] = [k, v].map(|planes| &planes[head * part * places..][..part * places]);
            layer.weights.clear();
            layer.weights.extend((0..part).flat_map(|c| q.iter().skip(head * part + c).step_by(d)));
            layer.forward_planes(simd, places, StridedRows::new(keys, places), Addend::Nothing, (scores, apart));
            let mut token = 0;
            while token < tokens {
                let (scores, out) = (&mut scores[token * apart..], &mut out[token * d + head * part..]);
                token += match tokens - token {
                    4.. => attend::<S, 4>(simd, (scores, apart), scale, values, places, (out, d)),
                    2.. => attend::<S, 2>(simd, (scores, apart), scale, values, places, (out, d)),
                    _ => attend::<S, 1>(simd, (scores, apart), scale, values, places, (out, d)),
                };
            }
        }
    }
}

/// Softmax and weighted sum of the values for `T` tokens; `apart` is the stride of their scores. Returns `T`.
#[inline(always)]
fn attend<S: Simd, const T: usize>(
    simd: S,
    (scores, apart): (&mut [f32], usize),
    scale: f32,
    values: &[f32],
    places: usize,
    (out, d): (&mut [f32], usize),
) -> usize {
    let mut totals = [0.0; T];
    for (total, scores) in totals.iter_mut().zip(scores.chunks_mut(apart)) {
        *total = softmax_weights(&mut scores[..places], scale);
    }
    let mut lines: [&[f32]; T] = [&[]; T];
    for (line, scores) in lines.iter_mut().zip(scores.chunks(apart)) {
        *line = &scores[..places];
    }
    for (c, plane) in values.chunks_exact(places).enumerate() {
        for (t, sum) in dot_products(simd, lines, plane).into_iter().enumerate() {
            out[t * d + c] = sum / totals[t];
        }
    }
    T
}

/// Dot products of each of the rows with `other`.
#[inline(always)]
fn dot_products<S: Simd, const T: usize>(simd: S, lines: [&[f32]; T], other: &[f32]) -> [f32; T] {
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

/// An update of the image by tokens: keys and values of the tokens, rows, [T, C].
pub(super) struct TokenUpdate<'a> {
    pub attention: &'a Attention,
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// Normalization of the image after the residual addition.
    pub norm: &'a LayerNorm,
}

/// Attention of an image to tokens, if there is an `update`, then the keys and values of the image for the attention `next`.
///
/// Shape: `image` [C, pixels]; `projected`, keys and values, each [next's C, pixels].
pub(super) fn image_to_token_attention(
    image: &mut [f32],
    update: Option<TokenUpdate>,
    next: &Attention,
    projected: [&mut [f32]; 2],
    scratch: &mut Aligned<f32>,
) {
    Arch::new().dispatch(ImageToTokens { image, update, next, projected, scratch });
}

struct ImageToTokens<'a> {
    image: &'a mut [f32],
    update: Option<TokenUpdate<'a>>,
    next: &'a Attention,
    projected: [&'a mut [f32]; 2],
    scratch: &'a mut Aligned<f32>,
}

impl WithSimd for ImageToTokens<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { image, update, next, projected: [keys, values], scratch } = self;
        let d = next.k_proj.inputs;
        let places = image.len() / d;
        let (inner, tokens) =
            update.as_ref().map_or((0, 0), |t| (t.attention.q_proj.outputs, t.keys.len() / t.attention.q_proj.outputs));
        let [x, queries, found, scores] = scratch.carved([d, inner, inner, tokens].map(|n| n * PANEL));
        for from in (0..places).step_by(PANEL) {
            let count = PANEL.min(places - from);
            for (line, plane) in x.chunks_exact_mut(PANEL).zip(image.chunks_exact(places)) {
                copy(&plane[from..][..count], line);
            }
            if let Some(TokenUpdate { attention, keys, values, norm }) = &update {
                let at = Addend::Rows(StridedRows::new(&attention.pe, places).from(from));
                attention.q_proj.forward_planes(simd, count, StridedRows::new(x, PANEL), at, (queries, PANEL));
                panel_attention(queries, keys, values, attention.heads, scores, found);
                attention.out_proj.forward_planes(
                    simd,
                    count,
                    StridedRows::new(found, PANEL),
                    Addend::Accumulate,
                    (x, PANEL),
                );
                norm.forward_panel(x);
                for (line, plane) in x.chunks_exact(PANEL).zip(image.chunks_exact_mut(places)) {
                    copy(&line[..count], &mut plane[from..]);
                }
            }
            let at = Addend::Rows(StridedRows::new(&next.pe, places).from(from));
            next.k_proj.forward_planes(simd, count, StridedRows::new(x, PANEL), at, (&mut keys[from..], places));
            next.v_proj.forward_planes(
                simd,
                count,
                StridedRows::new(x, PANEL),
                Addend::Nothing,
                (&mut values[from..], places),
            );
        }
    }
}

/// Attention of a panel of pixels to tokens: softmax over the tokens.
///
/// Shape: `q` and `out` [D, PANEL], `k` and `v` [T, D], `scores` [T, PANEL].
#[inline(always)]
fn panel_attention(q: &[f32], k: &[f32], v: &[f32], shape: Heads, scores: &mut [f32], out: &mut [f32]) {
    let d = shape.heads * shape.part;
    let (q, out, scores) =
        (q.as_chunks::<PANEL>().0, out.as_chunks_mut::<PANEL>().0, scores.as_chunks_mut::<PANEL>().0);
    for (head, out) in out.chunks_exact_mut(shape.part).enumerate() {
        let from = head * shape.part;
        let mut max = [f32::NEG_INFINITY; PANEL];
        for (k, scores) in k.chunks_exact(d).zip(&mut *scores) {
            *scores = weighted_sum(k[from..].iter().zip(&q[from..from + shape.part]));
            for i in 0..PANEL {
                max[i] = if scores[i] > max[i] { scores[i] } else { max[i] };
            }
        }
        let mut total = [0.0; PANEL];
        for scores in &mut *scores {
            for i in 0..PANEL {
                scores[i] = exp((scores[i] - max[i]) * shape.scale);
                total[i] += scores[i];
            }
        }
        for t in &mut total {
            *t = 1.0 / *t;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = weighted_sum(v.iter().skip(from + j).step_by(d).zip(&*scores));
            for i in 0..PANEL {
                out[i] *= total[i];
            }
        }
    }
}

/// Weighted sum of rows.
#[inline(always)]
fn weighted_sum<'a, const N: usize>(lines: impl Iterator<Item = (&'a f32, &'a [f32; N])>) -> [f32; N] {
    let mut sums = [0.0; N];
    for (weight, line) in lines {
        for i in 0..N {
            sums[i] += weight * line[i];
        }
    }
    sums
}

/// Attention of tokens to tokens.
///
/// Shape: `q`, `k`, `v` [T, D]; `out` [T, D].
pub(super) fn self_attention(
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
            let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = exp(*s - max));
            let total: f32 = scores.iter().sum();
            for (v, s) in v.chunks_exact(d).zip(&*scores) {
                out[range.clone()].iter_mut().zip(&v[range.clone()]).for_each(|(o, v)| *o += s / total * v);
            }
        }
    }
}
