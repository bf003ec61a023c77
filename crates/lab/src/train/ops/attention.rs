//! Scaled dot-product attention with several heads.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use burn_flex::FlexTensor;

use super::fast_math::exp;
use super::norm::sum;
use super::{Kernel, apply, edges, has_kernels, tensor, values};
use tract_fused::wide::wide;

/// `softmax(q k^T / sqrt(D / heads)) v`, each head on its own part of the channels.
///
/// Shape: `q` [B, N, D], `k` and `v` [B, M, D]; result [B, N, D]. `valid`: of each batch's M keys only so many are looked
/// at, all when it is `None`.
///
/// Source: Vaswani et al., "Attention Is All You Need", 2017, equation 1.
pub fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, valid: Option<&[usize]>) -> Tensor<3> {
    if has_kernels(&q) {
        let valid = valid.map(|v| v.to_vec());
        return apply(Attention { heads, valid }, [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()]);
    }
    portable(q, k, v, heads, valid)
}

/// The same of burn's operations, for any device.
pub(super) fn portable(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, heads: usize, valid: Option<&[usize]>) -> Tensor<3> {
    let [b, n, d] = q.dims();
    let m = k.dims()[1];
    let part = d / heads;
    let split = |t: Tensor<3>, len: usize| t.reshape([b, len, heads, part]).swap_dims(1, 2);
    let mut scores = split(q, n).matmul(split(k, m).swap_dims(2, 3)) / (part as f32).sqrt();
    if let Some(valid) = valid {
        let closed = valid.iter().flat_map(|v| (0..m).map(move |i| if i < *v { 0.0 } else { -1e9f32 })).collect();
        scores =
            scores.clone() + Tensor::<4>::from_data(TensorData::new::<f32, _>(closed, [b, 1, 1, m]), &scores.device());
    }
    softmax(scores, 3).matmul(split(v, m)).swap_dims(1, 2).reshape([b, n, d])
}

#[derive(Clone, Debug)]
struct Attention {
    heads: usize,
    valid: Option<Vec<usize>>,
}

/// One head of one image, with its channels as planes: [part][length].
struct Head {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// [N][M], or [M][N] when there are more queries than keys: rows are long, so that they run wide.
    weights: Vec<f32>,
    /// Rows are keys.
    by_key: bool,
}

impl Head {
    /// `out[j][n] += sum over m of a[n][m] b[j][m]`, for `a` as the weights lie.
    #[inline(always)]
    fn to_queries(&self, a: &[f32], b: &[f32], part: usize, out: &mut [f32]) {
        if self.by_key { along_columns(a, b, part, out) } else { along_rows(a, b, part, out) }
    }

    /// `out[j][m] += sum over n of a[n][m] b[j][n]`, for `a` as the weights lie.
    #[inline(always)]
    fn to_keys(&self, a: &[f32], b: &[f32], part: usize, out: &mut [f32]) {
        if self.by_key { along_rows(a, b, part, out) } else { along_columns(a, b, part, out) }
    }

    /// `sum over j of q[j][n] k[j][m]`, as the weights lie.
    #[inline(always)]
    fn products(by_key: bool, q: &[f32], k: &[f32], part: usize, scale: f32) -> Vec<f32> {
        let mut out = vec![0.0; q.len() / part * (k.len() / part)];
        let (rows, columns) = if by_key { (k, q) } else { (q, k) };
        outer(rows, columns, part, scale, &mut out);
        out
    }

    /// From the gradient of the weights to that of the scores before the softmax.
    #[inline(always)]
    fn through_softmax(&self, slope: &mut [f32], columns: usize, scale: f32) {
        if self.by_key {
            let mut mean = vec![0.0; columns];
            for (slope, weights) in slope.chunks_exact(columns).zip(self.weights.chunks_exact(columns)) {
                for ((mean, s), w) in mean.iter_mut().zip(slope).zip(weights) {
                    *mean += s * w;
                }
            }
            for (slope, weights) in slope.chunks_exact_mut(columns).zip(self.weights.chunks_exact(columns)) {
                for ((s, w), mean) in slope.iter_mut().zip(weights).zip(&mean) {
                    *s = scale * w * (*s - mean);
                }
            }
        } else {
            for (slope, weights) in slope.chunks_exact_mut(columns).zip(self.weights.chunks_exact(columns)) {
                let mean = sum(slope.iter().zip(weights).map(|(s, w)| s * w));
                for (s, w) in slope.iter_mut().zip(weights) {
                    *s = scale * w * (*s - mean);
                }
            }
        }
    }
}

/// Each row becomes its softmax over the first `valid` values, the rest 0.
#[inline(always)]
fn softmax_rows(scores: &mut [f32], columns: usize, valid: usize) {
    for row in scores.chunks_exact_mut(columns) {
        let (row, closed) = row.split_at_mut(valid);
        closed.fill(0.0);
        let top = row.iter().fold(f32::MIN, |a, b| a.max(*b));
        row.iter_mut().for_each(|v| *v = exp(*v - top));
        let scale = 1.0 / sum(row.iter().copied());
        row.iter_mut().for_each(|v| *v *= scale);
    }
}

/// Each column becomes its softmax over the first `valid` rows, the rest 0.
#[inline(always)]
fn softmax_columns(scores: &mut [f32], columns: usize, valid: usize) {
    let (rows, closed) = scores.split_at_mut(valid * columns);
    closed.fill(0.0);
    let (mut top, mut total) = (vec![f32::MIN; columns], vec![0.0; columns]);
    for row in rows.chunks_exact(columns) {
        for (top, v) in top.iter_mut().zip(row) {
            *top = top.max(*v);
        }
    }
    for row in rows.chunks_exact_mut(columns) {
        for ((v, top), total) in row.iter_mut().zip(&top).zip(total.iter_mut()) {
            *v = exp(*v - top);
            *total += *v;
        }
    }
    for row in rows.chunks_exact_mut(columns) {
        for (v, total) in row.iter_mut().zip(&total) {
            *v /= total;
        }
    }
}

/// Columns `from..from + part` of rows of `d`, turned to planes.
#[inline(always)]
fn planes(rows: &[f32], d: usize, from: usize, part: usize) -> Vec<f32> {
    let len = rows.len() / d;
    let mut out = vec![0.0; len * part];
    for (i, row) in rows.chunks_exact(d).enumerate() {
        for (j, v) in row[from..from + part].iter().enumerate() {
            out[j * len + i] = *v;
        }
    }
    out
}

/// Planes back to columns of rows.
#[inline(always)]
fn put_back(planes: &[f32], rows: &mut [f32], d: usize, from: usize, part: usize) {
    let len = rows.len() / d;
    for (i, row) in rows.chunks_exact_mut(d).enumerate() {
        for (j, v) in row[from..from + part].iter_mut().enumerate() {
            *v = planes[j * len + i];
        }
    }
}

/// `out[n][m] += scale * sum over j of a[j][n] b[j][m]`
#[inline(always)]
fn outer(a: &[f32], b: &[f32], part: usize, scale: f32, out: &mut [f32]) {
    let (n, m) = (a.len() / part, b.len() / part);
    for j in 0..part {
        let b = &b[j * m..][..m];
        for (a, row) in a[j * n..][..n].iter().zip(out.chunks_exact_mut(m)) {
            let a = a * scale;
            for (o, b) in row.iter_mut().zip(b) {
                *o += a * b;
            }
        }
    }
}

/// `out[j][n] += sum over m of weights[n][m] b[j][m]`
#[inline(always)]
fn along_rows(weights: &[f32], b: &[f32], part: usize, out: &mut [f32]) {
    let m = b.len() / part;
    let n = weights.len() / m;
    for j in 0..part {
        let b = &b[j * m..][..m];
        for (o, row) in out[j * n..][..n].iter_mut().zip(weights.chunks_exact(m)) {
            *o += sum(row.iter().zip(b).map(|(w, b)| w * b));
        }
    }
}

/// `out[j][m] += sum over n of weights[n][m] a[j][n]`
#[inline(always)]
fn along_columns(weights: &[f32], a: &[f32], part: usize, out: &mut [f32]) {
    let n = a.len() / part;
    let m = weights.len() / n;
    for j in 0..part {
        let out = &mut out[j * m..][..m];
        for (a, row) in a[j * n..][..n].iter().zip(weights.chunks_exact(m)) {
            for (o, w) in out.iter_mut().zip(row) {
                *o += a * w;
            }
        }
    }
}

impl Attention {
    #[inline(always)]
    fn head(&self, image: usize, q: &[f32], k: &[f32], v: &[f32], d: usize, head: usize) -> Head {
        let part = d / self.heads;
        let [q, k, v] = [q, k, v].map(|t| planes(t, d, head * part, part));
        let (n, m) = (q.len() / part, k.len() / part);
        let by_key = n > m;
        let mut weights = Head::products(by_key, &q, &k, part, 1.0 / (part as f32).sqrt());
        let valid = self.valid.as_ref().map_or(m, |v| v[image]);
        if by_key {
            softmax_columns(&mut weights, n, valid)
        } else {
            softmax_rows(&mut weights, m, valid)
        }
        Head { q, k, v, weights, by_key }
    }
}

impl Kernel<3> for Attention {
    fn forward(&self, [q, k, v]: [&FlexTensor; 3]) -> FlexTensor {
        let shape: [usize; 3] = edges(q);
        let ([_, n, d], [_, m, _]) = (shape, edges::<3>(k));
        let part = d / self.heads;
        let out = vec![0.0; values(q).len()];
        let out = wide(
            #[inline(always)]
            move || {
                let mut out = out;
                let images = values(q).chunks_exact(n * d).zip(values(k).chunks_exact(m * d));
                let images = images.zip(values(v).chunks_exact(m * d)).zip(out.chunks_exact_mut(n * d));
                for (i, (((q, k), v), out)) in images.enumerate() {
                    for head in 0..self.heads {
                        let h = self.head(i, q, k, v, d, head);
                        let mut result = vec![0.0; n * part];
                        h.to_queries(&h.weights, &h.v, part, &mut result);
                        put_back(&result, out, d, head * part, part);
                    }
                }
                out
            },
        );
        tensor(shape, out)
    }

    fn backward(
        &self,
        [q, k, v]: [&FlexTensor; 3],
        _out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let ([b, n, d], [_, m, _]) = (edges::<3>(q), edges::<3>(k));
        let part = d / self.heads;
        let scale = 1.0 / (part as f32).sqrt();
        let buffers = (vec![0.0; b * n * d], vec![0.0; b * m * d], vec![0.0; b * m * d]);
        let (dq, dk, dv) = wide(
            #[inline(always)]
            move || {
                let (mut dq, mut dk, mut dv) = buffers;
                for i in 0..b {
                    let of = |len: usize| i * len * d..(i + 1) * len * d;
                    let (iq, im) = (of(n), of(m));
                    let grad = &values(grad)[iq.clone()];
                    let (q, k, v) = (&values(q)[iq.clone()], &values(k)[im.clone()], &values(v)[im.clone()]);
                    for head in 0..self.heads {
                        let from = head * part;
                        let h = self.head(i, q, k, v, d, head);
                        let grad = planes(grad, d, from, part);
                        let mut result = vec![0.0; m * part];
                        h.to_keys(&h.weights, &grad, part, &mut result);
                        put_back(&result, &mut dv[im.clone()], d, from, part);
                        let mut slope = Head::products(h.by_key, &grad, &h.v, part, 1.0);
                        h.through_softmax(&mut slope, if h.by_key { n } else { m }, scale);
                        let mut result = vec![0.0; n * part];
                        h.to_queries(&slope, &h.k, part, &mut result);
                        put_back(&result, &mut dq[iq.clone()], d, from, part);
                        let mut result = vec![0.0; m * part];
                        h.to_keys(&slope, &h.q, part, &mut result);
                        put_back(&result, &mut dk[im.clone()], d, from, part);
                    }
                }
                (dq, dk, dv)
            },
        );
        [
            wanted[0].then(|| tensor([b, n, d], dq)),
            wanted[1].then(|| tensor([b, m, d], dk)),
            wanted[2].then(|| tensor([b, m, d], dv)),
        ]
    }
}
