//! A coarse image enlarged by nearest neighbour, added to one of twice its edges, activated.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::{Activation, Kernel, apply, edges, has_kernels, tensor, values};
use tract_fused::wide::wide;

/// `activation(nearest x2 (coarse) + fine)`.
///
/// Shape: `coarse` [B, H, W, C], `fine` [B, 2 H, 2 W, C]; result as `fine`.
pub fn up_add(coarse: Tensor<4>, fine: Tensor<4>, activation: Activation) -> Tensor<4> {
    if has_kernels(&coarse) {
        return apply(UpAdd { activation }, [coarse.into_dispatch(), fine.into_dispatch()]);
    }
    portable(coarse, fine, activation)
}

/// The same of burn's operations, for any device.
pub(super) fn portable(coarse: Tensor<4>, fine: Tensor<4>, activation: Activation) -> Tensor<4> {
    let [b, h, w, c] = coarse.dims();
    let up = coarse.reshape([b * h, 1, w, c]).repeat_dim(1, 2).reshape([b * h * 2 * w, 1, c]).repeat_dim(1, 2);
    activation.on(up.reshape([b, 2 * h, 2 * w, c]) + fine)
}

#[derive(Clone, Debug)]
struct UpAdd {
    activation: Activation,
}

impl Kernel<2> for UpAdd {
    fn forward(&self, [coarse, fine]: [&FlexTensor; 2]) -> FlexTensor {
        let shape: [usize; 4] = edges(fine);
        let [_, _, w, c] = shape;
        let (coarse, fine, act) = (values(coarse), values(fine), self.activation);
        let out = vec![0.0f32; fine.len()];
        let out = wide(
            #[inline(always)]
            move || {
                let mut out = out;
                for (i, (out, fine)) in out.chunks_exact_mut(w * c).zip(fine.chunks_exact(w * c)).enumerate() {
                    let coarse = &coarse[i / 2 * (w / 2 * c)..][..w / 2 * c];
                    let cells = out.chunks_exact_mut(c).zip(fine.chunks_exact(c)).enumerate();
                    for (x, (out, fine)) in cells {
                        for ((o, a), b) in out.iter_mut().zip(fine).zip(&coarse[x / 2 * c..][..c]) {
                            *o = act.of(a + b);
                        }
                    }
                }
                out
            },
        );
        tensor(shape, out)
    }

    fn backward(
        &self,
        [coarse, _]: [&FlexTensor; 2],
        out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let shape: [usize; 4] = edges(out);
        let [_, _, w, c] = shape;
        let (out, grad, act) = (values(out), values(grad), self.activation);
        let buffers = (vec![0.0f32; out.len()], vec![0.0f32; out.len() / 4]);
        let (dfine, dcoarse) = wide(
            #[inline(always)]
            move || {
                let (mut dfine, mut dcoarse) = buffers;
                for ((d, o), g) in dfine.iter_mut().zip(out).zip(grad) {
                    *d = g * act.passes(*o);
                }
                for (i, row) in dfine.chunks_exact(w * c).enumerate() {
                    let coarse = &mut dcoarse[i / 2 * (w / 2 * c)..][..w / 2 * c];
                    for (pair, d) in row.chunks_exact(2 * c).zip(coarse.chunks_exact_mut(c)) {
                        let (left, right) = pair.split_at(c);
                        for ((d, l), r) in d.iter_mut().zip(left).zip(right) {
                            *d += l + r;
                        }
                    }
                }
                (dfine, dcoarse)
            },
        );
        [wanted[0].then(|| tensor(edges::<4>(coarse), dcoarse)), wanted[1].then(|| tensor(shape, dfine))]
    }
}
