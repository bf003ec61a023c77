//! Mask decoder: tokens and image look at each other, then four masks are drawn with the skips.
//!
//! Prompts come twice: as tokens (position and kind of each point) and as maps at strides 2, 4 and 8, so that a box or a
//! click reaches every scale.
//!
//! Sources: Kirillov et al., "Segment Anything", 2023, appendix A (two-way attention, token-conditioned masks); Tancik et
//! al., 2020 (Fourier features of positions).

use std::f32::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::encoder::{Embedding, Separable};
use super::layers::{Attention, First, Norm, Pointwise, Spatial};
use super::parameters::{Builder, Group, Id, Matrix, Parameters, host};
use crate::train::ops::{Activation, Depthwise, MASKS, up_add};
use crate::train::picture::SIDE;
use sonotap::model::ModelPrompts;
use sonotap::model::postprocess::{self, MAPS, Padding};

/// Cells along a side of a mask.
pub const MASK_CELLS: usize = 128;
/// Cells along a side of the embedding.
pub const GRID: usize = 32;
/// Kinds of points: negative, positive, box corners, and the padding that stands for no point at all.
pub const POINT_KINDS: usize = 5;

/// Gain of the last layers, so that masks and scores begin undecided.
const FAINT: f32 = 0.1;

/// What the decoder is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Heads of each attention.
    pub heads: usize,
    /// Channels of the prompt maps at stride 4.
    pub prompt: usize,
    /// Channels at stride 4.
    pub middle: usize,
    /// Channels at stride 2: the features that a mask is a product with.
    pub pixels: usize,
}

/// One two-way block.
#[derive(Clone, Debug)]
pub struct TwoWay {
    /// Tokens to tokens.
    pub itself: Attention,
    /// Tokens to image.
    pub to_image: Attention,
    /// Image to tokens.
    pub to_tokens: Attention,
    /// Two layers on each token.
    pub wide: Pointwise,
    /// See `wide`.
    pub narrow: Pointwise,
    /// After each step.
    pub norms: [Norm; 4],
}

/// The decoder.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Frequencies of positions, [2, d / 2].
    pub frequencies: Id,
    /// IoU token and mask tokens, [1 + masks, d].
    pub tokens: Id,
    /// A row a kind of point, [`POINT_KINDS`], d.
    pub kinds: Id,
    /// Prompt maps to stride 4.
    pub map4: First,
    /// And on to stride 8.
    pub map8: Spatial,
    /// Onto the image.
    pub map_out: Pointwise,
    /// Two of them.
    pub blocks: [TwoWay; 2],
    /// Tokens to image once more.
    pub last: Attention,
    /// After it.
    pub last_norm: Norm,
    /// Stride 8 to 4, before enlarging.
    pub up4: Separable,
    /// Skip and prompt maps at stride 4.
    pub skip4: Pointwise,
    /// See `skip4`.
    pub prompt4: Pointwise,
    /// Stride 4 to 2, before enlarging.
    pub up2: Separable,
    /// Skip and prompt maps at stride 2.
    pub skip2: Pointwise,
    /// See `skip2`.
    pub prompt2: Pointwise,
    /// The features.
    pub pixels: Separable,
    /// From each mask token to the weights of its mask: two layers.
    pub heads: [[Pointwise; 2]; MASKS],
    /// From the IoU token to the IoUs: two layers.
    pub iou: [Pointwise; 2],
    /// Places of the embedding's cells, x and y in 0..=1.
    pub grid: Vec<f32>,
}

/// Answers for a batch of targets.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Logits, [T, 4, 128 * 128].
    pub masks: Tensor<3>,
    /// Predicted IoU, [T, 4].
    pub iou: Tensor<2>,
    /// Features, [T, 128 * 128, pixels].
    pub pixels: Tensor<3>,
}

/// Image features as the decoder takes them, one row a target, computed once for all rounds.
#[derive(Clone, Debug)]
pub struct Seen {
    /// [T, 32 * 32, d]
    coarse: Tensor<3>,
    /// [T, 64, 64, middle]
    pub skip4: Tensor<4>,
    /// [T, 128, 128, pixels]
    pub skip2: Tensor<4>,
    /// Where the embedding's cells are, [T, 32 * 32, d]
    places: Tensor<3>,
}

impl Seen {
    /// The embedding as an image, [T, 32, 32, d].
    pub fn image(&self) -> Tensor<4> {
        let [targets, _, d] = self.coarse.dims();
        self.coarse.clone().reshape([targets, GRID, GRID, d])
    }

    /// The same image for `targets` targets; of one image only.
    pub fn repeated(&self, targets: usize) -> Self {
        let [_, cells, d] = self.coarse.dims();
        Self {
            coarse: self.coarse.clone().expand([targets, cells, d]),
            skip4: repeat_image(self.skip4.clone(), targets),
            skip2: repeat_image(self.skip2.clone(), targets),
            places: self.places.clone().expand([targets, cells, d]),
        }
    }
}

impl Decoder {
    /// Fresh weights, for an embedding of `d` channels and these skips.
    pub fn new<R: Rng>(b: &mut Builder<R>, config: &DecoderConfig, d: usize, [skip4, skip2]: [usize; 2]) -> Self {
        let DecoderConfig { heads, prompt, middle, pixels } = *config;
        let none = Activation::None;
        b.within("decoder", |b| Self {
            frequencies: b.grouped(Group::Constant, |b| b.normal("frequencies", [2, d / 2], 1.0)),
            tokens: b.normal("tokens", [1 + MASKS, d], 1.0),
            kinds: b.normal("kinds", [POINT_KINDS, d], 1.0),
            map4: First::new(b, "map4", MAPS, prompt),
            map8: Spatial::new(b, "map8", prompt, Depthwise { kernel: 3, stride: 2, activation: Activation::Relu6 }),
            map_out: Pointwise::new(b, "map_out", prompt, d, none),
            blocks: std::array::from_fn(|i| {
                b.within(format!("blocks.{i}"), |b| TwoWay {
                    itself: Attention::new(b, "itself", d, d, heads),
                    to_image: Attention::new(b, "to_image", d, d / 2, heads),
                    to_tokens: Attention::new(b, "to_tokens", d, d / 2, heads),
                    wide: Pointwise::new(b, "wide", d, 2 * d, Activation::Relu),
                    narrow: Pointwise::new(b, "narrow", 2 * d, d, none),
                    norms: std::array::from_fn(|i| Norm::new(b, &format!("norms.{i}"), d)),
                })
            }),
            last: Attention::new(b, "last", d, d / 2, heads),
            last_norm: Norm::new(b, "last_norm", d),
            up4: Separable::new(b, "up4", d, middle, none),
            skip4: Pointwise::new(b, "skip4", skip4, middle, none),
            prompt4: Pointwise::new(b, "prompt4", prompt, middle, none),
            up2: Separable::new(b, "up2", middle, pixels, none),
            skip2: Pointwise::new(b, "skip2", skip2, pixels, none),
            prompt2: Pointwise::new(b, "prompt2", MAPS, pixels, none),
            pixels: Separable::new(b, "pixels", pixels, pixels, Activation::Relu6),
            heads: std::array::from_fn(|i| {
                b.within(format!("heads.{i}"), |b| {
                    [
                        Pointwise::new(b, "0", d, d, Activation::Relu),
                        Pointwise::scaled(b, "1", [d, pixels], none, FAINT),
                    ]
                })
            }),
            iou: b.within("iou", |b| {
                [Pointwise::new(b, "0", d, d, Activation::Relu), Pointwise::scaled(b, "1", [d, MASKS], none, FAINT)]
            }),
            grid: (0..GRID * GRID).flat_map(|i| [i % GRID, i / GRID].map(|v| (v as f32 + 0.5) / GRID as f32)).collect(),
        })
    }

    /// Repeats the images' features for `targets` targets each and brings the skips to the decoder's widths.
    pub fn see(&self, p: &Parameters, e: Embedding, targets: usize) -> Seen {
        let [b, h, w, d] = e.coarse.dims();
        let places = positions(&self.grid, &host(&p.get(self.frequencies)));
        let places = Tensor::<3>::from_data(TensorData::new(places, [1, h * w, d]), &e.coarse.device());
        Seen {
            places: places.expand([b * targets, h * w, d]),
            coarse: repeat(e.coarse.reshape([b, h * w * d]), targets).reshape([b * targets, h * w, d]),
            skip4: repeat_image(self.skip4.forward(p, e.skip4), targets),
            skip2: repeat_image(self.skip2.forward(p, e.skip2), targets),
        }
    }

    /// Answers one set of prompts a target.
    pub fn forward(&self, p: &Parameters, seen: &Seen, prompts: &[&ModelPrompts]) -> Answer {
        let device = p.get(self.tokens).device();
        let [targets, cells, d] = seen.coarse.dims();
        let maps = maps(prompts);
        let at4 = self.map4.forward(p, &maps, MASK_CELLS);
        let at8 = self.map_out.forward(p, self.map8.forward(p, at4.clone()));
        let (mut q, valid) = self.tokens(p, prompts, &device);
        let mut k = seen.coarse.clone() + at8.reshape([targets, cells, d]);
        let places = seen.places.clone();
        let named = q.clone();
        for (i, block) in self.blocks.iter().enumerate() {
            (q, k) = block.forward(p, q, k, &named, &places, &valid, i == 0);
        }
        let to = self.last.forward(p, q.clone() + named, k.clone() + places, k.clone(), None);
        let q = self.last_norm.forward(p, q + to);
        let x = self.up4.forward(p, k.reshape([targets, GRID, GRID, d]));
        let x = up_add(x, seen.skip4.clone() + self.prompt4.forward(p, at4), Activation::Relu6);
        let maps = Tensor::<4>::from_data(TensorData::new(maps, [targets, MASK_CELLS, MASK_CELLS, MAPS]), &device);
        let x = self.up2.forward(p, x);
        let x = up_add(x, seen.skip2.clone() + self.prompt2.forward(p, maps), Activation::Relu6);
        let x = self.pixels.forward(p, x);
        let channels = x.dims()[3];
        let pixels = x.reshape([targets, MASK_CELLS * MASK_CELLS, channels]);
        let token = |i: usize| q.clone().slice([0..targets, i..i + 1, 0..d]);
        let weights = self.heads.iter().enumerate().map(|(i, [a, b])| b.forward(p, a.forward(p, token(1 + i))));
        let weights = Tensor::cat(weights.collect(), 1);
        let [a, b] = &self.iou;
        let iou = burn::tensor::activation::sigmoid(b.forward(p, a.forward(p, token(0)))).reshape([targets, MASKS]);
        Answer { masks: weights.matmul(pixels.clone().swap_dims(1, 2)), iou, pixels }
    }

    /// Output tokens and points [T, N, d], and how many of each row are real.
    fn tokens(&self, p: &Parameters, prompts: &[&ModelPrompts], device: &Device) -> (Tensor<3>, Vec<usize>) {
        let listed: Vec<(Vec<f32>, Vec<f32>)> = prompts
            .iter()
            .map(|prompts| {
                let (mut coords, mut labels) = (Vec::new(), Vec::new());
                postprocess::points(prompts, Padding::WhenEmpty, &mut coords, &mut labels);
                (coords, labels)
            })
            .collect();
        let most = listed.iter().map(|(_, l)| l.len()).max().unwrap_or(0);
        let frequencies = host(&p.get(self.frequencies));
        let (d, targets) = (2 * frequencies.shape[1], prompts.len());
        let mut places = vec![0.0; targets * most * d];
        let mut kinds = vec![0.0; targets * most * POINT_KINDS];
        for (t, (coords, labels)) in listed.iter().enumerate() {
            let scaled: Vec<f32> = coords.iter().map(|v| v / SIDE as f32).collect();
            let at = positions(&scaled, &frequencies);
            for (n, label) in labels.iter().enumerate() {
                let row = t * most + n;
                let kind = if *label < 0.0 { POINT_KINDS - 1 } else { *label as usize };
                kinds[row * POINT_KINDS + kind] = 1.0;
                if *label >= 0.0 {
                    places[row * d..][..d].copy_from_slice(&at[n * d..][..d]);
                }
            }
        }
        let kinds = Tensor::<2>::from_data(TensorData::new(kinds, [targets * most, POINT_KINDS]), device);
        let points = kinds.matmul(p.get(self.kinds)).reshape([targets, most, d])
            + Tensor::<3>::from_data(TensorData::new(places, [targets, most, d]), device);
        let own = p.get(self.tokens).reshape([1, (1 + MASKS) * d]);
        let own = repeat(own, targets).reshape([targets, 1 + MASKS, d]);
        let valid = listed.iter().map(|(_, l)| 1 + MASKS + l.len()).collect();
        (Tensor::cat(vec![own, points], 1), valid)
    }
}

impl TwoWay {
    #[allow(clippy::too_many_arguments, reason = "the state of one block")]
    fn forward(
        &self,
        p: &Parameters,
        q: Tensor<3>,
        k: Tensor<3>,
        named: &Tensor<3>,
        places: &Tensor<3>,
        valid: &[usize],
        is_first: bool,
    ) -> (Tensor<3>, Tensor<3>) {
        let [n0, n1, n2, n3] = &self.norms;
        let itself = |q: Tensor<3>, v: Tensor<3>| self.itself.forward(p, q.clone(), q, v, Some(valid));
        let q = if is_first { itself(q.clone(), q) } else { q.clone() + itself(q.clone() + named.clone(), q) };
        let q = n0.forward(p, q);
        let seen = self.to_image.forward(p, q.clone() + named.clone(), k.clone() + places.clone(), k.clone(), None);
        let q = n1.forward(p, q + seen);
        let q = n2.forward(p, q.clone() + self.narrow.forward(p, self.wide.forward(p, q)));
        let told =
            self.to_tokens.forward(p, k.clone() + places.clone(), q.clone() + named.clone(), q.clone(), Some(valid));
        (q, n3.forward(p, k + told))
    }
}

/// Sine and cosine of random frequencies.
///
/// Shape: `xy` pairs in 0..=1, frequencies [2, d / 2]; result [N, d].
pub fn positions(xy: &[f32], frequencies: &Matrix) -> Vec<f32> {
    let half = frequencies.shape[1];
    let (fx, fy) = frequencies.values.split_at(half);
    let mut out = Vec::with_capacity(xy.len() / 2 * 2 * half);
    for at in xy.chunks_exact(2) {
        let (x, y) = (2.0 * at[0] - 1.0, 2.0 * at[1] - 1.0);
        let angles = || fx.iter().zip(fy).map(|(fx, fy)| TAU * (x * fx + y * fy));
        out.extend(angles().map(f32::sin));
        out.extend(angles().map(f32::cos));
    }
    out
}

/// The prompt maps of a batch, [T, 128, 128, 5] flat.
fn maps(prompts: &[&ModelPrompts]) -> Vec<f32> {
    let cells = MASK_CELLS * MASK_CELLS;
    let mut planes = vec![0.0; MAPS * cells];
    let mut out = vec![0.0; prompts.len() * MAPS * cells];
    for (prompts, out) in prompts.iter().zip(out.chunks_exact_mut(MAPS * cells)) {
        postprocess::prompt_maps(prompts, SIDE as u32, MASK_CELLS, &mut planes);
        for (m, plane) in planes.chunks_exact(cells).enumerate() {
            for (o, v) in out[m..].iter_mut().step_by(MAPS).zip(plane) {
                *o = *v;
            }
        }
    }
    out
}

/// Each row `times` times, one after the other.
fn repeat(x: Tensor<2>, times: usize) -> Tensor<3> {
    let [b, n] = x.dims();
    if times == 1 { x.reshape([b, 1, n]) } else { x.reshape([b, 1, n]).repeat_dim(1, times) }
}

fn repeat_image(x: Tensor<4>, times: usize) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    repeat(x.reshape([b, h * w * c]), times).reshape([b * times, h, w, c])
}
