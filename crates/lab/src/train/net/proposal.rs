//! The match network's head: a mask of the sought structure without any prompt, from what the mask decoder sees of an image.
//!
//! It reads the embedding and the skips of the click model, so that on a device it shares the encoder's work.

use burn::tensor::Tensor;
use rand::Rng;

use super::decoder::{MASK_CELLS, Seen};
use super::encoder::Separable;
use super::layers::Pointwise;
use super::parameters::{Builder, Group, Parameters};
use crate::train::ops::{Activation, up_add};

/// How the names of the head's parameters begin.
pub const PREFIX: &str = "proposal.";

/// Logit that all cells begin near: most of an image is not the structure (Lin et al., "Focal Loss", 2017, section 4.1).
const PRIOR: f32 = -2.0;

/// The head.
#[derive(Clone, Copy, Debug)]
pub struct ProposalHead {
    /// What the whole image shows, added to every cell of the embedding.
    pub context: Pointwise,
    /// At stride 8.
    pub coarse: Separable,
    /// Stride 8 to 4, before enlarging.
    pub up4: Separable,
    /// Stride 4 to 2, before enlarging.
    pub up2: Separable,
    /// At stride 2.
    pub pixels: Separable,
    /// To one logit a cell.
    pub out: Pointwise,
}

impl ProposalHead {
    /// Fresh weights, for an embedding of `d` channels and the decoder's widths at strides 4 and 2.
    pub fn new<R: Rng>(b: &mut Builder<R>, d: usize, middle: usize, pixels: usize) -> Self {
        let none = Activation::None;
        b.grouped(Group::Proposal, |b| {
            b.within("proposal", |b| Self {
                context: Pointwise::new(b, "context", d, d, none),
                coarse: Separable::new(b, "coarse", d, d, Activation::Relu6),
                up4: Separable::new(b, "up4", d, middle, none),
                up2: Separable::new(b, "up2", middle, pixels, none),
                pixels: Separable::new(b, "pixels", pixels, pixels, Activation::Relu6),
                out: b.within("out", |b| Pointwise {
                    weight: b.normal("weight", [pixels, 1], (1.0 / pixels as f32).sqrt()),
                    bias: b.filled("bias", [1, 1], PRIOR),
                    activation: none,
                }),
            })
        })
    }

    /// Logits of the structure, [B, 128 * 128].
    pub fn forward(&self, p: &Parameters, seen: &Seen) -> Tensor<2> {
        let x = seen.image();
        let batch = x.dims()[0];
        let context = self.context.forward(p, x.clone().mean_dim(1).mean_dim(2));
        let x = self.coarse.forward(p, x + context);
        let x = up_add(self.up4.forward(p, x), seen.skip4.clone(), Activation::Relu6);
        let x = up_add(self.up2.forward(p, x), seen.skip2.clone(), Activation::Relu6);
        let x = self.out.forward(p, self.pixels.forward(p, x));
        x.reshape([batch, MASK_CELLS * MASK_CELLS])
    }
}
