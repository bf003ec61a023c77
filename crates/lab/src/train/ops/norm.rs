//! Layer normalization over the last axis.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::{Kernel, apply, edges, has_kernels, tensor, values};
use tract_fused::wide::wide;

/// Added to the variance.
pub const EPSILON: f32 = 1e-5;

/// `(x - mean) / sqrt(variance + 1e-5) * gain + bias` over the last axis.
///
/// Shape: `x` [.., C], `gain` and `bias` [1, C]; result as `x`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gain: Tensor<2>, bias: Tensor<2>) -> Tensor<D> {
    let shape = x.dims();
    let channels = shape[D - 1];
    let x = x.reshape([shape.iter().product::<usize>() / channels, channels]);
    let y: Tensor<2> = if has_kernels(&x) {
        apply(LayerNorm, [x.into_dispatch(), gain.into_dispatch(), bias.into_dispatch()])
    } else {
        portable(x, gain, bias)
    };
    y.reshape(shape)
}

/// The same of burn's operations, for any device.
pub(super) fn portable(x: Tensor<2>, gain: Tensor<2>, bias: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    centred / (variance + EPSILON).sqrt() * gain + bias
}

#[derive(Clone, Debug)]
struct LayerNorm;

const LANES: usize = 16;

/// A sum in lanes, so that it runs wide.
#[inline(always)]
pub(super) fn sum(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; LANES];
    values.enumerate().for_each(|(i, v)| lanes[i % LANES] += v);
    lanes.iter().sum()
}

/// Mean and 1 / standard deviation.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row.iter().copied()) / n;
    let variance = sum(row.iter().map(|v| (v - mean) * (v - mean))) / n;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

impl Kernel<3> for LayerNorm {
    fn forward(&self, [x, gain, bias]: [&FlexTensor; 3]) -> FlexTensor {
        let shape: [usize; 2] = edges(x);
        let (x, gain, bias) = (values(x), values(gain), values(bias));
        let out = vec![0.0f32; x.len()];
        let out = wide(
            #[inline(always)]
            move || {
                let mut out = out;
                for (out, row) in out.chunks_exact_mut(shape[1]).zip(x.chunks_exact(shape[1])) {
                    let (mean, scale) = moments(row);
                    for (((o, v), g), b) in out.iter_mut().zip(row).zip(gain).zip(bias) {
                        *o = (v - mean) * scale * g + b;
                    }
                }
                out
            },
        );
        tensor(shape, out)
    }

    fn backward(
        &self,
        [x, gain, bias]: [&FlexTensor; 3],
        _out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let shape: [usize; 2] = edges(x);
        let c = shape[1];
        let (xs, gains, grad) = (values(x), values(gain), values(grad));
        let buffers = (vec![0.0f32; xs.len()], vec![0.0f32; c], vec![0.0f32; c]);
        let (dx, dgain, dbias) = wide(
            #[inline(always)]
            move || {
                let (mut dx, mut dgain, mut dbias) = buffers;
                let rows = dx.chunks_exact_mut(c).zip(xs.chunks_exact(c)).zip(grad.chunks_exact(c));
                for ((dx, row), grad) in rows {
                    let (mean, scale) = moments(row);
                    let products = || grad.iter().zip(gains).map(|(d, g)| d * g);
                    let along_one = sum(products()) / c as f32;
                    let along_row = sum(products().zip(row).map(|(p, v)| p * (v - mean) * scale)) / c as f32;
                    for (((d, v), g), gain) in dx.iter_mut().zip(row).zip(grad).zip(gains) {
                        *d = scale * (g * gain - along_one - (v - mean) * scale * along_row);
                    }
                    for (((dg, db), v), g) in dgain.iter_mut().zip(dbias.iter_mut()).zip(row).zip(grad) {
                        *dg += g * (v - mean) * scale;
                        *db += g;
                    }
                }
                (dx, dgain, dbias)
            },
        );
        [
            wanted[0].then(|| tensor(shape, dx)),
            wanted[1].then(|| tensor(edges::<2>(gain), dgain)),
            wanted[2].then(|| tensor(edges::<2>(bias), dbias)),
        ]
    }
}
