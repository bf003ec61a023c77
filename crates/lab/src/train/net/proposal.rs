//! The match network's head: a mask of the sought structure without any prompt, and how good that mask is, from what the mask
//! decoder sees of an image.
//!
//! ```text
//!  embedding 32x32 ─┬──▶ 16x16 ─┬─▶ 8x8 ─▶ 7x7 (the whole image) ─┐
//!                   │           └──────────────────▶ + ◀──── x2 ──┘
//!                   └──▶ + ◀────────────── x2 ───────┤
//!  skip4 64x64 ─────────▶ + ◀── x2 ──┘               │
//!                         └─▶ cells 64x64 ─▶ mask    ▼
//!                                └────▶ 16x16 ─────▶ + ─▶ 4x4 ─▶ 1x1 ─▶ score
//! ```
//!
//! It is made of depthwise and 1x1 convolutions and sums alone, so that integer kernels run all of it, and reads nothing finer
//! than stride 4: on a device it costs a few hundredths of a look. Where the image as a whole matters a kernel spans it.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::decoder::{MASK_CELLS, Seen};
use super::encoder::Separable;
use super::layers::Pointwise;
use super::parameters::{Builder, Group, Parameters};
use crate::train::ops::{Activation, up_add};

/// How the names of the head's parameters begin.
pub const PREFIX: &str = "proposal.";
/// A parameter that every head has since it learns a score.
pub const LEARNS_SCORE: &str = "proposal.score.point.weight";
/// Cells along an edge of the head's own mask; twice as many are shown.
pub const CELLS: usize = MASK_CELLS / 2;

/// Logit that all cells begin near: most of an image is not the structure (Lin et al., "Focal Loss", 2017, section 4.1).
const PRIOR: f32 = -2.0;

/// The head.
#[derive(Clone, Copy, Debug)]
pub struct ProposalHead {
    /// Stride 8 to 16.
    pub down16: Separable,
    /// Stride 16 to 32.
    pub down32: Separable,
    /// 7x7 at stride 32: nearly all of the image.
    pub whole: Separable,
    /// Before enlarging to stride 16.
    pub up16: Pointwise,
    /// At stride 16.
    pub merge16: Separable,
    /// Before enlarging to stride 8.
    pub up8: Pointwise,
    /// At stride 8.
    pub merge8: Separable,
    /// Before enlarging to stride 4.
    pub up4: Pointwise,
    /// At stride 4.
    pub merge4: Separable,
    /// At stride 4.
    pub cells: Separable,
    /// To one logit a cell.
    pub mask: Pointwise,
    /// The cells at stride 16, for the score.
    pub score16: Separable,
    /// Stride 16 to 64, for the score.
    pub score64: Separable,
    /// All that is left to one logit.
    pub score: Separable,
}

/// What the head says of some images.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// Logits of the structure, [B, 128 * 128].
    pub logits: Tensor<2>,
    /// Logit of the estimated IoU of the largest part above 0 with the structure, [B, 1].
    pub iou_logit: Tensor<2>,
}

impl Proposed {
    /// Estimated IoU, 0..=1, [B, 1].
    pub fn score(&self) -> Tensor<2> {
        sigmoid(self.iou_logit.clone())
    }
}

impl ProposalHead {
    /// Fresh weights, for an embedding of `d` channels and `middle` channels at stride 4.
    pub fn new<R: Rng>(b: &mut Builder<R>, d: usize, middle: usize) -> Self {
        let (none, relu6) = (Activation::None, Activation::Relu6);
        let separable = |b: &mut Builder<R>, name: &str, how: (usize, usize), widths: [usize; 2]| {
            Separable::shaped(b, name, how, widths, relu6)
        };
        b.grouped(Group::Proposal, |b| {
            b.within("proposal", |b| Self {
                down16: separable(b, "down16", (3, 2), [d, d]),
                down32: separable(b, "down32", (3, 2), [d, d]),
                whole: separable(b, "whole", (7, 1), [d, d]),
                up16: Pointwise::new(b, "up16", d, d, none),
                merge16: separable(b, "merge16", (3, 1), [d, d]),
                up8: Pointwise::new(b, "up8", d, d, none),
                merge8: separable(b, "merge8", (3, 1), [d, d]),
                up4: Pointwise::new(b, "up4", d, middle, none),
                merge4: separable(b, "merge4", (3, 1), [middle, middle]),
                cells: separable(b, "cells", (3, 1), [middle, middle]),
                mask: b.within("mask", |b| Pointwise {
                    weight: b.normal("weight", [middle, 1], (1.0 / middle as f32).sqrt()),
                    bias: b.filled("bias", [1, 1], PRIOR),
                    activation: none,
                }),
                score16: Separable::shaped(b, "score16", (4, 4), [middle, d], none),
                score64: separable(b, "score64", (4, 4), [d, d]),
                score: Separable::shaped(b, "score", (4, 4), [d, 1], none),
            })
        })
    }

    /// What is proposed. The score learns from what the mask is made of and does not change it.
    pub fn forward(&self, p: &Parameters, seen: &Seen) -> Proposed {
        let none = Activation::None;
        let image = seen.image();
        let batch = image.dims()[0];
        let at16 = self.down16.forward(p, image.clone());
        let whole = self.whole.forward(p, self.down32.forward(p, at16.clone()));
        let at16 = self.merge16.forward(p, up_add(self.up16.forward(p, whole), at16, none));
        let at8 = self.merge8.forward(p, up_add(self.up8.forward(p, at16.clone()), image, none));
        let at4 = self.merge4.forward(p, up_add(self.up4.forward(p, at8), seen.skip4.clone(), none));
        let cells = self.cells.forward(p, at4);
        let logits = self.mask.forward(p, cells.clone()).reshape([batch, CELLS * CELLS]);
        let judged = self.score16.forward(p, cells.detach()) + at16.detach();
        let score = self.score.forward(p, self.score64.forward(p, judged));
        Proposed { logits: doubled(logits), iou_logit: score.reshape([batch, 1]) }
    }
}

/// Logits of twice as many cells along an edge, linear between the middles of cells, as
/// [`sonotap::model::suggestion::doubled`] has them.
///
/// Shape: [B, 64 * 64] to [B, 128 * 128].
fn doubled(logits: Tensor<2>) -> Tensor<2> {
    let batch = logits.dims()[0];
    let rows = weights(&logits.device());
    let wide = logits.reshape([batch * CELLS, CELLS]).matmul(rows.clone());
    let turned = wide.reshape([batch, CELLS, MASK_CELLS]).swap_dims(1, 2).reshape([batch * MASK_CELLS, CELLS]);
    let whole = turned.matmul(rows).reshape([batch, MASK_CELLS, MASK_CELLS]).swap_dims(1, 2);
    whole.reshape([batch, MASK_CELLS * MASK_CELLS])
}

/// [64, 128]: the part of each cell in each of the enlarged row.
fn weights(device: &Device) -> Tensor<2> {
    let mut values = vec![0.0; CELLS * MASK_CELLS];
    for (i, from) in (0..MASK_CELLS).map(|i| (i, i / 2)) {
        let beside = if i % 2 == 0 { from.saturating_sub(1) } else { (from + 1).min(CELLS - 1) };
        values[from * MASK_CELLS + i] += 0.75;
        values[beside * MASK_CELLS + i] += 0.25;
    }
    Tensor::from_data(TensorData::new(values, [CELLS, MASK_CELLS]), device)
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    use super::*;
    use crate::train::net::parameters::{Id, Matrix, host};
    use crate::train::net::{Network, NetworkConfig};
    use crate::train::picture::SIDE;

    const SMALL: &str = r#"
[encoder]
stem = 8
embedding = 16
skip4 = 8
skip2 = 8
stages = [
    { expand = 1, kernel = 3, stride = 1, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 16, repeats = 1 },
]
[decoder]
heads = 4
prompt = 8
middle = 8
pixels = 8
"#;

    #[test]
    fn the_head_learns_in_the_direction_of_its_losses_and_the_score_leaves_the_mask_alone() {
        let config: NetworkConfig = toml::from_str(SMALL).unwrap();
        let device = Device::flex().autodiff();
        let (network, head, mut parameters) = Network::with_proposal(&config, &device, 3);
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let picture: Vec<f32> = (0..SIDE * SIDE).map(|_| rng.random()).collect();
        let on = |p: &Parameters| head.forward(p, &network.decoder.see(p, network.encoder.forward(p, &picture), 1));
        let mask_loss = |p: &Parameters| (on(p).logits.powi_scalar(2).mean()) * 10.0;
        let score_loss = |p: &Parameters| (on(p).score() * 10.0).powi_scalar(2).sum();
        let of_score = [head.score.point.weight, head.score64.spatial.weight, head.score16.point.bias];
        let of_mask = [
            head.mask.weight,
            head.cells.spatial.weight,
            head.up4.bias,
            head.merge8.point.bias,
            head.whole.spatial.weight,
            head.down16.point.bias,
        ];
        let (by_mask, by_score) = (mask_loss(&parameters).backward(), score_loss(&parameters).backward());
        for id in of_mask {
            assert!(parameters.get(id).grad(&by_score).is_none(), "{} learns from the score", parameters.name(id));
        }
        let mut slopes =
            |ids: &[Id], found: &dyn Fn(&Tensor<2>) -> Tensor<2>, loss: &dyn Fn(&Parameters) -> Tensor<1>| {
                for &id in ids {
                    let was = host(&parameters.get(id));
                    let gradient = host(&found(&parameters.get(id)).clone());
                    let steepest = (0..was.values.len())
                        .max_by(|a, b| gradient.values[*a].abs().total_cmp(&gradient.values[*b].abs()))
                        .unwrap();
                    let mut at = |step: f32| {
                        let mut moved: Matrix = was.clone();
                        moved.values[steepest] += step;
                        parameters.set(id, &moved, &device);
                        f64::from(loss(&parameters).inner().into_scalar::<f32>())
                    };
                    let slope = (at(2e-3) - at(-2e-3)) / 4e-3;
                    at(0.0);
                    let got = f64::from(gradient.values[steepest]);
                    assert!((got - slope).abs() < 0.05 * slope.abs() + 1e-3, "{}: {got} {slope}", parameters.name(id));
                }
            };
        slopes(&of_mask, &|w| Tensor::from_inner(w.grad(&by_mask).unwrap()), &mask_loss);
        slopes(&of_score, &|w| Tensor::from_inner(w.grad(&by_score).unwrap()), &score_loss);
    }

    #[test]
    fn training_and_device_enlarge_a_mask_in_the_same_way() {
        let values: Vec<f32> = (0..CELLS * CELLS).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 70.0).collect();
        let given = Tensor::<2>::from_data(TensorData::new(values.clone(), [1, CELLS * CELLS]), &Device::flex());
        let ours: Vec<f32> = doubled(given).into_data().try_to_vec().unwrap();
        let mut theirs = Vec::new();
        sonotap::model::suggestion::doubled(&values, CELLS, &mut theirs);
        assert!(ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
