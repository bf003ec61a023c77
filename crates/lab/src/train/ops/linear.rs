//! A 1x1 convolution, or a linear layer: rows of channels times a matrix, plus bias, activated.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::{Activation, Kernel, apply, edges, has_kernels, tensor, values};
use tract_fused::wide::wide;

/// `activation(x w + b)` over the last axis.
///
/// Shape: `x` [.., I], `w` [I, O], `b` [1, O]; result [.., O].
pub fn linear<const D: usize>(x: Tensor<D>, w: Tensor<2>, b: Tensor<2>, activation: Activation) -> Tensor<D> {
    let mut shape = x.dims();
    let [inputs, outputs] = w.dims();
    let rows = shape.iter().product::<usize>() / inputs;
    shape[D - 1] = outputs;
    let x = x.reshape([rows, inputs]);
    let y: Tensor<2> = if has_kernels(&x) {
        apply(Linear { activation }, [x.into_dispatch(), w.into_dispatch(), b.into_dispatch()])
    } else {
        activation.on(x.matmul(w) + b)
    };
    y.reshape(shape)
}

#[derive(Clone, Debug)]
struct Linear {
    activation: Activation,
}

impl Kernel<3> for Linear {
    fn forward(&self, [x, w, b]: [&FlexTensor; 3]) -> FlexTensor {
        let y = Flex::float_matmul(x.clone(), w.clone());
        let (b, act) = (values(b), self.activation);
        wide(
            #[inline(always)]
            move || {
                let mut y = y;
                for row in y.storage_mut::<f32>().chunks_exact_mut(b.len()) {
                    for (y, b) in row.iter_mut().zip(b) {
                        *y = act.of(*y + b);
                    }
                }
                y
            },
        )
    }

    fn backward(
        &self,
        [x, w, b]: [&FlexTensor; 3],
        out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [_, outputs] = edges(out);
        let (slope, sums) = before_activation(values(out), values(grad), outputs, self.activation);
        let before = match slope {
            Some(slope) => tensor(edges::<2>(out), slope),
            None => grad.clone(),
        };
        [
            wanted[0].then(|| Flex::float_matmul(before.clone(), w.transpose(0, 1))),
            wanted[1].then(|| Flex::float_matmul(x.transpose(0, 1), before.clone())),
            wanted[2].then(|| tensor(edges::<2>(b), sums)),
        ]
    }
}

/// The gradient before the activation (`None` when it is the same), and its sum over rows.
pub(super) fn before_activation(
    out: &[f32],
    grad: &[f32],
    channels: usize,
    act: Activation,
) -> (Option<Vec<f32>>, Vec<f32>) {
    let sums = vec![0.0f32; channels];
    if act == Activation::None {
        let sums = wide(
            #[inline(always)]
            move || {
                let mut sums = sums;
                for row in grad.chunks_exact(channels) {
                    for (s, g) in sums.iter_mut().zip(row) {
                        *s += g;
                    }
                }
                sums
            },
        );
        return (None, sums);
    }
    let slope = vec![0.0f32; grad.len()];
    wide(
        #[inline(always)]
        move || {
            let (mut slope, mut sums) = (slope, sums);
            let rows =
                slope.chunks_exact_mut(channels).zip(out.chunks_exact(channels).zip(grad.chunks_exact(channels)));
            for (row, (out, grad)) in rows {
                for (((d, s), y), g) in row.iter_mut().zip(sums.iter_mut()).zip(out).zip(grad) {
                    *d = g * act.passes(*y);
                    *s += *d;
                }
            }
            (Some(slope), sums)
        },
    )
}
