//! The layers that encoder, neck and decoder are made of.

use burn::tensor::Tensor;
use rand::Rng;

use super::parameters::{Builder, Id, Parameters};
use crate::train::ops::{Activation, Depthwise, attention, depthwise, layer_norm, linear, patches};

/// A 1x1 convolution or linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Pointwise {
    /// [inputs, outputs]
    pub weight: Id,
    /// [1, outputs]
    pub bias: Id,
    /// What is done to the sums.
    pub activation: Activation,
}

impl Pointwise {
    /// Normal weights: Kaiming's where they are activated, fainter where they are not; biases 0.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, inputs: usize, outputs: usize, activation: Activation) -> Self {
        let gain = if activation == Activation::None { 0.6 } else { std::f32::consts::SQRT_2 };
        Self::scaled(b, name, [inputs, outputs], activation, gain)
    }

    /// Normal weights of standard deviation `gain / sqrt(inputs)`, biases 0.
    pub fn scaled<R: Rng>(
        b: &mut Builder<R>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activation: Activation,
        gain: f32,
    ) -> Self {
        b.within(name, |b| Self {
            weight: b.normal("weight", [inputs, outputs], gain / (inputs as f32).sqrt()),
            bias: b.filled("bias", [1, outputs], 0.0),
            activation,
        })
    }

    /// Shape: [.., inputs] to [.., outputs].
    pub fn forward<const D: usize>(&self, p: &Parameters, x: Tensor<D>) -> Tensor<D> {
        linear(x, p.get(self.weight), p.get(self.bias), self.activation)
    }
}

/// A depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub struct Spatial {
    /// [kernel^2, channels]
    pub weight: Id,
    /// [1, channels]
    pub bias: Id,
    /// Kernel, stride, activation.
    pub how: Depthwise,
}

impl Spatial {
    /// Kaiming-normal weights, biases 0.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, channels: usize, how: Depthwise) -> Self {
        let taps = how.kernel * how.kernel;
        b.within(name, |b| Self {
            weight: b.normal("weight", [taps, channels], (1.0 / taps as f32).sqrt()),
            bias: b.filled("bias", [1, channels], 0.0),
            how,
        })
    }

    /// Shape: [B, H, W, C] to [B, H / stride, W / stride, C].
    pub fn forward(&self, p: &Parameters, x: Tensor<4>) -> Tensor<4> {
        depthwise(x, p.get(self.weight), p.get(self.bias), self.how)
    }
}

/// A full convolution of an image that needs no gradient: its patches through a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct First {
    /// Weights [kernel^2 * channels, outputs], taps in row order, channels within a tap.
    pub layer: Pointwise,
    /// Kernel and stride.
    pub how: Depthwise,
    channels: usize,
}

impl First {
    /// A 3x3 convolution of stride 2.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, channels: usize, outputs: usize) -> Self {
        let how = Depthwise { kernel: 3, stride: 2, activation: Activation::Relu6 };
        Self { layer: Pointwise::new(b, name, 9 * channels, outputs, how.activation), how, channels }
    }

    /// Shape: images [B, side, side, channels] flat; result [B, side / 2, side / 2, outputs].
    pub fn forward(&self, p: &Parameters, images: &[f32], side: usize) -> Tensor<4> {
        let weight = p.get(self.layer.weight);
        let rows = patches(images, [side, side, self.channels], self.how);
        let batch = images.len() / (side * side * self.channels);
        let half = self.how.result(side);
        let data = burn::tensor::TensorData::new(rows, [batch, half, half, 9 * self.channels]);
        let rows = Tensor::<4>::from_data(data, &weight.device());
        self.layer.forward(p, rows)
    }
}

/// Layer normalization.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// [1, channels]
    pub gain: Id,
    /// [1, channels]
    pub bias: Id,
}

impl Norm {
    /// Gain 1, bias 0.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, channels: usize) -> Self {
        b.within(name, |b| Self {
            gain: b.filled("gain", [1, channels], 1.0),
            bias: b.filled("bias", [1, channels], 0.0),
        })
    }

    /// Shape: as `x`.
    pub fn forward<const D: usize>(&self, p: &Parameters, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, p.get(self.gain), p.get(self.bias))
    }
}

/// Attention with its four projections.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Projections of queries, keys, values and the result.
    pub q: Pointwise,
    /// See `q`.
    pub k: Pointwise,
    /// See `q`.
    pub v: Pointwise,
    /// See `q`.
    pub out: Pointwise,
    /// Heads.
    pub heads: usize,
}

impl Attention {
    /// Width `d` outside, `inner` within.
    pub fn new<R: Rng>(b: &mut Builder<R>, name: &str, d: usize, inner: usize, heads: usize) -> Self {
        b.within(name, |b| Self {
            q: Pointwise::new(b, "q", d, inner, Activation::None),
            k: Pointwise::new(b, "k", d, inner, Activation::None),
            v: Pointwise::new(b, "v", d, inner, Activation::None),
            out: Pointwise::new(b, "out", inner, d, Activation::None),
            heads,
        })
    }

    /// Shape: `q` [B, N, d], `k`, `v` [B, M, d]; result [B, N, d]. `valid`: how many of each batch's keys are real.
    pub fn forward(
        &self,
        p: &Parameters,
        q: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
        valid: Option<&[usize]>,
    ) -> Tensor<3> {
        let (q, k, v) = (self.q.forward(p, q), self.k.forward(p, k), self.v.forward(p, v));
        self.out.forward(p, attention(q, k, v, self.heads, valid))
    }
}
