//! A network in f32, run value by value to see which ranges its tensors have.

use tract_fused::network::{Activation, Conv, FloatNetwork, FloatWeights, Layer};

/// What a network's inputs are given, one after the other, each [C, H, W]: an image of grey, 0..=1, is one plane.
pub(super) type Sample = Vec<Vec<f32>>;

/// All tensors, each [H, W, C].
pub(super) fn run(network: &FloatNetwork, sample: &Sample) -> Vec<Vec<f32>> {
    let mut all: Vec<Vec<f32>> = network.tensors.iter().map(|_| Vec::new()).collect();
    for (input, planes) in network.inputs.iter().zip(sample) {
        let channels = network.shape(input.tensor).channels;
        let plane = planes.len() / channels;
        let value = |i: usize| (planes[i % channels * plane + i / channels] - input.norm.mean) / input.norm.sd;
        all[input.tensor] = (0..planes.len()).map(value).collect();
    }
    for layer in &network.layers {
        let result = match layer {
            Layer::Conv(c) => conv(network, c, &all[c.x]),
            Layer::Add { a, b, .. } => all[*a].iter().zip(&all[*b]).map(|(a, b)| a + b).collect(),
            Layer::UpAdd { coarse, fine, y } => {
                let (s, coarse) = (network.shape(*y), &all[*coarse]);
                let (c, w) = (s.channels, s.width);
                let above = |i: usize| coarse[(i / c / w / 2 * (w / 2) + i / c % w / 2) * c + i % c];
                all[*fine].iter().enumerate().map(|(i, f)| above(i) + f).collect()
            }
            Layer::Upsample { .. } | Layer::MaxPool { .. } | Layer::Lookup { .. } => {
                unreachable!("`FloatNetwork::read` makes none")
            }
        };
        all[layer.result()] = result;
    }
    all
}

fn conv(network: &FloatNetwork, c: &Conv<FloatWeights>, x: &[f32]) -> Vec<f32> {
    let (from, to, k) = (network.shape(c.x), network.shape(c.y), c.kernel);
    let inputs = if c.is_depthwise { 1 } else { from.channels };
    // Outputs innermost: [k, k, I, O].
    let turned: Vec<f32> = (0..k * k * inputs * to.channels)
        .map(|i| (i % to.channels, i / to.channels % inputs, i / to.channels / inputs))
        .map(|(o, i, tap)| c.weights.kernels[(o * inputs + i) * k * k + tap])
        .collect();
    let mut out = Vec::with_capacity(to.len());
    for (oy, ox) in (0..to.height * to.width).map(|i| (i / to.width, i % to.width)) {
        let at = out.len();
        out.extend_from_slice(&c.weights.bias);
        let sums = &mut out[at..];
        for (tap, weights) in turned.chunks_exact(inputs * to.channels).enumerate() {
            let iy = (oy * c.stride + tap / k).wrapping_sub(c.pads.top);
            let ix = (ox * c.stride + tap % k).wrapping_sub(c.pads.left);
            if iy >= from.height || ix >= from.width {
                continue;
            }
            let pixel = &x[(iy * from.width + ix) * from.channels..][..from.channels];
            if c.is_depthwise {
                sums.iter_mut().zip(pixel).zip(weights).for_each(|((s, v), w)| *s += v * w);
            } else {
                for (v, weights) in pixel.iter().zip(weights.chunks_exact(to.channels)) {
                    sums.iter_mut().zip(weights).for_each(|(s, w)| *s += v * w);
                }
            }
        }
        match c.weights.activation {
            Activation::None => {}
            Activation::Relu => sums.iter_mut().for_each(|s| *s = s.max(0.0)),
            Activation::Relu6 => sums.iter_mut().for_each(|s| *s = s.clamp(0.0, 6.0)),
        }
    }
    out
}
