//! A depthwise convolution of NHWC images, plus bias, activated.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;

use super::linear::before_activation;
use super::{Activation, Kernel, apply, edges, has_kernels, tensor, values};
use tract_fused::wide::wide;

/// What a depthwise convolution is like.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Edge of the square kernel, px.
    pub kernel: usize,
    /// Step, px, the same in x and y.
    pub stride: usize,
    /// What is done to the sums.
    pub activation: Activation,
}

impl Depthwise {
    /// Padding before the first row and column, as TensorFlow's "SAME" has it for an even edge: the smaller half comes first.
    pub fn before(&self) -> usize {
        (self.kernel - self.stride) / 2
    }

    /// Edge of the result.
    pub fn result(&self, edge: usize) -> usize {
        edge.div_ceil(self.stride)
    }

    /// The rows of kernel taps and of input that meet at one output place: (tap, input).
    #[inline(always)]
    pub(super) fn taps(&self, place: usize, edge: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (start, before) = (place * self.stride, self.before());
        let first = before.saturating_sub(start);
        let last = self.kernel.min(edge + before - start);
        (first..last).map(move |tap| (tap, start + tap - before))
    }
}

/// `activation(depthwise(x, w) + b)`.
///
/// Shape: `x` [B, H, W, C], `w` [kernel * kernel, C], `b` [1, C]; result [B, ceil(H / stride), ceil(W / stride), C].
/// Edges must be multiples of the stride.
pub fn depthwise(x: Tensor<4>, w: Tensor<2>, b: Tensor<2>, how: Depthwise) -> Tensor<4> {
    if has_kernels(&x) {
        return apply(how, [x.into_dispatch(), w.into_dispatch(), b.into_dispatch()]);
    }
    portable(x, w, b, how)
}

/// The same of burn's operations, for any device.
pub(super) fn portable(x: Tensor<4>, w: Tensor<2>, b: Tensor<2>, how: Depthwise) -> Tensor<4> {
    let [_, _, _, channels] = x.dims();
    let (k, before) = (how.kernel, how.before());
    let after = k - how.stride - before;
    let x = x.permute([0, 3, 1, 2]).pad((before, after, before, after), 0.0);
    let w = w.swap_dims(0, 1).reshape([channels, 1, k, k]);
    let options = ConvOptions::new([how.stride, how.stride], [0, 0], [1, 1], channels);
    let y = conv2d(x, w, Some(b.reshape([channels])), options);
    how.activation.on(y.permute([0, 2, 3, 1]))
}

/// Channels that are held in registers.
const BLOCK: usize = 16;

/// Where a tap meets a stretch of one output row: cells `out..out + count`, input cells from `input` on, `stride` apart.
struct Span {
    tap: usize,
    out: usize,
    input: usize,
    count: usize,
}

impl Depthwise {
    /// All spans of a batch, output row by output row.
    #[inline(always)]
    fn for_each_span(&self, [batch, h, width]: [usize; 3], mut on: impl FnMut(Span)) {
        let (oh, ow) = (self.result(h), self.result(width));
        for row in 0..batch * oh {
            let (image, oy) = (row / oh, row % oh);
            for (ty, y) in self.taps(oy, h) {
                for tx in 0..self.kernel {
                    let first = self.before().saturating_sub(tx).div_ceil(self.stride);
                    let last = ((width + self.before() - tx - 1) / self.stride + 1).min(ow);
                    if first < last {
                        on(Span {
                            tap: ty * self.kernel + tx,
                            out: row * ow + first,
                            input: (image * h + y) * width + first * self.stride + tx - self.before(),
                            count: last - first,
                        });
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn block(cell: &[f32], from: usize) -> Option<&[f32; BLOCK]> {
    cell.get(from..from + BLOCK)?.try_into().ok()
}

#[inline(always)]
fn block_mut(cell: &mut [f32], from: usize) -> Option<&mut [f32; BLOCK]> {
    cell.get_mut(from..from + BLOCK)?.try_into().ok()
}

/// `to[cell] += from[cell] * tap` for every cell of two rows; `skip` cells are passed over between two of each.
#[inline(always)]
fn add_scaled(to: &mut [f32], to_skip: usize, from: &[f32], from_skip: usize, tap: &[f32]) {
    let c = tap.len();
    let mut at = 0;
    while let Some(&tap) = block(tap, at) {
        for (to, from) in to.chunks_mut(c * to_skip).zip(from.chunks(c * from_skip)) {
            let (Some(to), Some(from)) = (block_mut(to, at), block(from, at)) else { break };
            let mut sums = *to;
            for i in 0..BLOCK {
                sums[i] += from[i] * tap[i];
            }
            *to = sums;
        }
        at += BLOCK;
    }
    if at < c {
        for (to, from) in to.chunks_mut(c * to_skip).zip(from.chunks(c * from_skip)) {
            for ((to, from), tap) in to[at..c].iter_mut().zip(&from[at..c]).zip(&tap[at..]) {
                *to += from * tap;
            }
        }
    }
}

/// `sums += a[cell] * b[cell]` over every cell of two rows.
#[inline(always)]
fn add_products(sums: &mut [f32], a: &[f32], a_skip: usize, b: &[f32]) {
    let c = sums.len();
    for (n, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let at = n * BLOCK;
        if let Ok(sums) = <&mut [f32; BLOCK]>::try_from(&mut *sums) {
            let mut held = [0.0; BLOCK];
            for (a, b) in a.chunks(c * a_skip).zip(b.chunks(c)) {
                let (Some(a), Some(b)) = (block(a, at), block(b, at)) else { break };
                for i in 0..BLOCK {
                    held[i] += a[i] * b[i];
                }
            }
            for i in 0..BLOCK {
                sums[i] += held[i];
            }
        } else {
            for (a, b) in a.chunks(c * a_skip).zip(b.chunks(c)) {
                for ((s, a), b) in sums.iter_mut().zip(&a[at..c]).zip(&b[at..c]) {
                    *s += a * b;
                }
            }
        }
    }
}

impl Kernel<3> for Depthwise {
    fn forward(&self, [x, w, b]: [&FlexTensor; 3]) -> FlexTensor {
        let [batch, h, width, c] = edges(x);
        let shape = [batch, self.result(h), self.result(width), c];
        let (x, w, b) = (values(x), values(w), values(b));
        let mut out: Vec<f32> = Vec::with_capacity(shape.iter().product());
        (0..batch * shape[1] * shape[2]).for_each(|_| out.extend_from_slice(b));
        let how = *self;
        let out = wide(
            #[inline(always)]
            move || {
                let mut out = out;
                how.for_each_span(
                    [batch, h, width],
                    #[inline(always)]
                    |s| {
                        let (to, from) = (&mut out[s.out * c..][..s.count * c], &x[s.input * c..]);
                        add_scaled(to, 1, from, how.stride, &w[s.tap * c..][..c]);
                    },
                );
                for o in &mut out {
                    *o = how.activation.of(*o);
                }
                out
            },
        );
        tensor(shape, out)
    }

    fn backward(
        &self,
        [x, w, b]: [&FlexTensor; 3],
        out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [batch, h, width, c] = edges(x);
        let (slope, sums) = before_activation(values(out), values(grad), c, self.activation);
        let (how, slope) = (*self, slope.as_deref().unwrap_or(values(grad)));
        let dx = wanted[0].then(|| {
            let (w, dx) = (values(w), vec![0.0f32; values(x).len()]);
            let dx = wide(
                #[inline(always)]
                move || {
                    let mut dx = dx;
                    how.for_each_span(
                        [batch, h, width],
                        #[inline(always)]
                        |s| {
                            let (to, from) = (&mut dx[s.input * c..], &slope[s.out * c..][..s.count * c]);
                            add_scaled(to, how.stride, from, 1, &w[s.tap * c..][..c]);
                        },
                    );
                    dx
                },
            );
            tensor([batch, h, width, c], dx)
        });
        let dw = wanted[1].then(|| {
            let (x, dw) = (values(x), vec![0.0f32; values(w).len()]);
            let dw = wide(
                #[inline(always)]
                move || {
                    let mut dw = dw;
                    how.for_each_span(
                        [batch, h, width],
                        #[inline(always)]
                        |s| {
                            let slope = &slope[s.out * c..][..s.count * c];
                            add_products(&mut dw[s.tap * c..][..c], &x[s.input * c..], how.stride, slope);
                        },
                    );
                    dw
                },
            );
            tensor(edges::<2>(w), dw)
        });
        [dx, dw, wanted[2].then(|| tensor(edges::<2>(b), sums))]
    }
}
