//! Image encoder and neck: inverted residual blocks, joined from coarse to fine.
//!
//! Sources: Sandler et al., "MobileNetV2", 2018 (block); Tan and Le, "EfficientNet", 2019, Lite variant (widths, ReLU6);
//! Lin et al., "Feature Pyramid Networks", 2017 (neck).

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::layers::{First, Pointwise, Spatial};
use super::parameters::{Builder, Group, Id, Parameters};
use crate::train::ops::{Activation, Depthwise, up_add};
use crate::train::picture::SIDE;

/// Mean and standard deviation of grey that ImageNet weights expect.
pub const GREY: (f32, f32) = (0.449, 0.226);

/// Gain of what takes features from the blocks, which nothing normalizes: ImageNet's are about ten times too large.
const FAINT: f32 = 0.15;

/// Blocks of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Channels within a block over those that enter it; 1 leaves the first convolution out.
    pub expand: usize,
    /// Edge of the depthwise kernel, px.
    pub kernel: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// Channels that leave.
    pub channels: usize,
    /// Blocks.
    pub repeats: usize,
}

/// What the encoder is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Channels of the first convolution, of stride 2.
    pub stem: usize,
    /// Blocks.
    pub stages: Vec<Stage>,
    /// Channels of the embedding at stride 8.
    pub embedding: usize,
    /// Channels of the skip at stride 4.
    pub skip4: usize,
    /// Channels of the skip at stride 2.
    pub skip2: usize,
    /// Stages, from 0, after which an adapter stands: with a frozen encoder they alone adapt it to a small set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<usize>,
}

/// An inverted residual block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// 1x1, wider.
    pub expand: Option<Pointwise>,
    /// Depthwise.
    pub spatial: Spatial,
    /// 1x1, narrow again.
    pub project: Pointwise,
    /// What entered is added.
    pub is_residual: bool,
    /// Stride of the whole encoder after it.
    pub reach: usize,
    /// What stands after it.
    pub adapter: Option<Adapter>,
}

/// Channels weighed by what the whole image shows, then a look at twice the scale; begins as nothing.
///
/// Source: Cheng et al., "SAM-Med2D", 2023, section 3 (channel gate, strided and transposed convolution, skip); the
/// transposed convolution is a 1x1 and nearest neighbour here, which quantizes better.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    /// To a quarter of the channels.
    pub squeeze: Pointwise,
    /// And back; through a sigmoid it is the gate.
    pub excite: Pointwise,
    /// Stride 2.
    pub down: Spatial,
    /// Across channels.
    pub mix: Pointwise,
    /// Before enlarging; its weights begin at 0.
    pub up: Pointwise,
}

impl Adapter {
    fn new<R: Rng>(b: &mut Builder<R>, name: &str, channels: usize) -> Self {
        let how = Depthwise { kernel: 3, stride: 2, activation: Activation::None };
        b.within(name, |b| Self {
            squeeze: Pointwise::new(b, "squeeze", channels, channels / 4, Activation::Relu),
            excite: Pointwise::new(b, "excite", channels / 4, channels, Activation::None),
            down: Spatial::new(b, "down", channels, how),
            mix: Pointwise::new(b, "mix", channels, channels, Activation::Relu),
            up: Pointwise::scaled(b, "up", [channels, channels], Activation::None, 0.0),
        })
    }

    /// Shape: as `x`, whose edges are even.
    fn forward(&self, p: &Parameters, x: Tensor<4>) -> Tensor<4> {
        let shown = x.clone().mean_dim(1).mean_dim(2);
        let gate = sigmoid(self.excite.forward(p, self.squeeze.forward(p, shown)));
        let coarse = self.mix.forward(p, self.down.forward(p, x.clone() * gate));
        up_add(self.up.forward(p, coarse), x, Activation::None)
    }
}

/// A convolution, and what enters it, while an image passes.
pub type Watch<'a> = &'a mut dyn FnMut(Conv, &Tensor<4>);

/// A convolution of the encoder or neck.
#[derive(Clone, Copy, Debug)]
pub enum Conv {
    /// 1x1
    Pointwise(Pointwise),
    /// Depthwise.
    Spatial(Spatial),
}

impl Conv {
    /// Its weights; the last axis is the channels that leave.
    pub fn weight(self) -> Id {
        match self {
            Self::Pointwise(c) => c.weight,
            Self::Spatial(c) => c.weight,
        }
    }

    /// [1, channels that leave]
    pub fn bias(self) -> Id {
        match self {
            Self::Pointwise(c) => c.bias,
            Self::Spatial(c) => c.bias,
        }
    }

    /// What is done to the sums.
    pub fn activation(self) -> Activation {
        match self {
            Self::Pointwise(c) => c.activation,
            Self::Spatial(c) => c.how.activation,
        }
    }

    /// Shape: [B, H, W, inputs] to [B, H / stride, W / stride, outputs], not activated.
    pub fn sums(self, p: &Parameters, x: Tensor<4>) -> Tensor<4> {
        let activation = Activation::None;
        match self {
            Self::Pointwise(c) => Pointwise { activation, ..c }.forward(p, x),
            Self::Spatial(c) => Spatial { how: Depthwise { activation, ..c.how }, ..c }.forward(p, x),
        }
    }
}

impl Pointwise {
    fn watched(&self, p: &Parameters, x: Tensor<4>, watch: Watch) -> Tensor<4> {
        watch(Conv::Pointwise(*self), &x);
        self.forward(p, x)
    }
}

impl Spatial {
    fn watched(&self, p: &Parameters, x: Tensor<4>, watch: Watch) -> Tensor<4> {
        watch(Conv::Spatial(*self), &x);
        self.forward(p, x)
    }
}

impl Block {
    fn forward(&self, p: &Parameters, x: Tensor<4>, watch: Watch) -> Tensor<4> {
        let wide = match &self.expand {
            Some(expand) => expand.watched(p, x.clone(), watch),
            None => x.clone(),
        };
        let y = self.spatial.watched(p, wide, watch);
        let y = self.project.watched(p, y, watch);
        let y = if self.is_residual { x + y } else { y };
        match &self.adapter {
            Some(adapter) => adapter.forward(p, y),
            None => y,
        }
    }
}

/// Depthwise, then 1x1.
#[derive(Clone, Copy, Debug)]
pub struct Separable {
    /// Depthwise.
    pub spatial: Spatial,
    /// 1x1
    pub point: Pointwise,
}

impl Separable {
    /// Stride 1; only the second is activated.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, inputs: usize, outputs: usize, activation: Activation) -> Self {
        Self::shaped(b, name, (3, 1), [inputs, outputs], activation)
    }

    /// Of this kernel and stride.
    pub fn shaped<R: Rng>(
        b: &mut Builder<R>,
        name: &str,
        (kernel, stride): (usize, usize),
        [inputs, outputs]: [usize; 2],
        activation: Activation,
    ) -> Self {
        let how = Depthwise { kernel, stride, activation: Activation::None };
        b.within(name, |b| Self {
            spatial: Spatial::new(b, "spatial", inputs, how),
            point: Pointwise::new(b, "point", inputs, outputs, activation),
        })
    }

    /// Shape: [B, H, W, inputs] to [B, H / stride, W / stride, outputs].
    pub fn forward(&self, p: &Parameters, x: Tensor<4>) -> Tensor<4> {
        self.watched(p, x, &mut |_, _| {})
    }

    fn watched(&self, p: &Parameters, x: Tensor<4>, watch: Watch) -> Tensor<4> {
        let y = self.spatial.watched(p, x, watch);
        self.point.watched(p, y, watch)
    }
}

/// What is known of an image.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// [B, 32, 32, D]
    pub coarse: Tensor<4>,
    /// [B, 64, 64, skip4]
    pub skip4: Tensor<4>,
    /// [B, 128, 128, skip2]
    pub skip2: Tensor<4>,
}

/// Encoder and neck.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The first convolution.
    pub stem: First,
    /// In order.
    pub blocks: Vec<Block>,
    /// From strides 8, 16 and so on to the embedding's width.
    pub laterals: Vec<Pointwise>,
    /// After each join of a coarse and a fine lateral, from stride 8 on.
    pub merges: Vec<Separable>,
    /// To the embedding.
    pub out: Pointwise,
    /// To the skip at stride 4.
    pub skip4: Pointwise,
    /// To the skip at stride 2.
    pub skip2: Pointwise,
}

impl Encoder {
    /// Fresh weights.
    pub fn new<R: Rng>(b: &mut Builder<R>, config: &EncoderConfig) -> Self {
        let (stem, blocks) = b.grouped(Group::Encoder, |b| {
            b.within("encoder", |b| {
                let stem = First::new(b, "stem", 1, config.stem);
                let (mut inputs, mut reach, mut blocks) = (config.stem, 2, Vec::new());
                for (number, stage) in config.stages.iter().enumerate() {
                    for i in 0..stage.repeats {
                        let stride = if i == 0 { stage.stride } else { 1 };
                        reach *= stride;
                        let mut block =
                            b.within(format!("blocks.{}", blocks.len()), |b| block(b, stage, inputs, stride, reach));
                        if i + 1 == stage.repeats && config.adapters.contains(&number) {
                            let name = format!("adapters.{number}");
                            block.adapter = Some(b.grouped(Group::Rest, |b| Adapter::new(b, &name, stage.channels)));
                        }
                        blocks.push(block);
                        inputs = stage.channels;
                    }
                }
                (stem, blocks)
            })
        });
        let width_at = |reach: usize| {
            let mut widths = config.stages.iter().scan(2, |at, s| {
                *at *= s.stride;
                Some((*at, s.channels))
            });
            let mut last = None;
            widths.by_ref().filter(|(at, _)| *at == reach).for_each(|(_, c)| last = Some(c));
            last
        };
        let d = config.embedding;
        b.within("neck", |b| {
            let reaches = (3..).map(|k| 1 << k).map_while(width_at);
            let laterals: Vec<Pointwise> = reaches
                .enumerate()
                .map(|(i, c)| Pointwise::scaled(b, &format!("lateral{}", 8 << i), [c, d], Activation::None, FAINT))
                .collect();
            let merges = (0..laterals.len().saturating_sub(1))
                .map(|i| Separable::new(b, &format!("merge{}", 8 << i), d, d, Activation::Relu6))
                .collect();
            let skip = |reach| width_at(reach).unwrap_or(config.stem);
            Self {
                stem,
                blocks,
                laterals,
                merges,
                out: Pointwise::new(b, "out", d, d, Activation::None),
                skip4: Pointwise::scaled(b, "skip4", [skip(4), config.skip4], Activation::None, FAINT),
                skip2: Pointwise::scaled(b, "skip2", [skip(2), config.skip2], Activation::None, FAINT),
            }
        })
    }

    /// Shape: grey images of 256x256 in 0..=1, flat.
    pub fn forward(&self, p: &Parameters, images: &[f32]) -> Embedding {
        self.forward_watched(p, images, &mut |_, _| {})
    }

    /// The same; `watch` is told of every convolution of the blocks and the neck, in order.
    pub fn forward_watched(&self, p: &Parameters, images: &[f32], watch: Watch) -> Embedding {
        let normed: Vec<f32> = images.iter().map(|v| (v - GREY.0) / GREY.1).collect();
        let mut x = self.stem.forward(p, &normed, SIDE);
        let mut at: Vec<Tensor<4>> = Vec::new();
        let mut reach = 2;
        for block in &self.blocks {
            if block.reach > reach {
                at.push(x.clone());
                reach = block.reach;
            }
            x = block.forward(p, x, watch);
        }
        at.push(x);
        let fine = self.laterals.iter().zip(&at[2..]).map(|(l, x)| l.watched(p, x.clone(), watch));
        let mut fine: Vec<Tensor<4>> = fine.collect();
        let mut y = fine.pop();
        for (lateral, merge) in fine.into_iter().zip(&self.merges).rev() {
            let coarse = y.take();
            let joined = coarse.map(|c| up_add(c, lateral, Activation::None));
            y = joined.map(|j| merge.watched(p, j, watch));
        }
        let y = y.expect("an encoder reaches stride 8");
        Embedding {
            coarse: self.out.watched(p, y, watch),
            skip4: self.skip4.watched(p, at[1].clone(), watch),
            skip2: self.skip2.watched(p, at[0].clone(), watch),
        }
    }
}

fn block<R: Rng>(b: &mut Builder<R>, stage: &Stage, inputs: usize, stride: usize, reach: usize) -> Block {
    let wide = inputs * stage.expand;
    let how = Depthwise { kernel: stage.kernel, stride, activation: Activation::Relu6 };
    Block {
        expand: (stage.expand > 1).then(|| Pointwise::new(b, "expand", inputs, wide, Activation::Relu6)),
        spatial: Spatial::new(b, "spatial", wide, how),
        project: Pointwise::new(b, "project", wide, stage.channels, Activation::None),
        is_residual: stride == 1 && inputs == stage.channels,
        reach,
        adapter: None,
    }
}
