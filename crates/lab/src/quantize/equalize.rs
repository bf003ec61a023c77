//! Cross-layer equalization: channels are rescaled to a common range, which their writer and readers take back.
//!
//! A tensor has one scale for all channels; one that reaches a hundredth of the farthest would be left with two steps. What is
//! written larger is read smaller: rows of the writer's kernels, columns of the readers'. Through a depthwise convolution and
//! through nothing this is exact; ReLU6 stays where it is, so that a channel ends a little above where it was seen to end. Tensors that are added
//! share their scales; the image and the outputs keep theirs.
//!
//! Source: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction", ICCV 2019, section 4.1, with
//! ranges seen on images in place of those of the kernels.

use tract_fused::network::{Activation, Conv, FloatNetwork, FloatWeights, Layer, TensorId};

/// Largest factor of a channel.
const FACTOR_MAX: f32 = 256.0;
/// Where ReLU6 ends.
const SIX: f32 = 6.0;
/// How much farther than it was seen to reach a channel may go before it is cut off.
const HEADROOM: f32 = 1.25;

/// The same network with channels equalized; `reach`: the greatest magnitude of each tensor's channels.
pub(super) fn equalize(network: &FloatNetwork, reach: &[Vec<f32>]) -> FloatNetwork {
    let groups = groups(network);
    let factors: Vec<Vec<f32>> =
        (0..network.tensors.len()).map(|t| group_factors(network, reach, &groups, groups[t])).collect();
    let mut equal = network.clone();
    for layer in &mut equal.layers {
        if let Layer::Conv(c) = layer {
            rescale(c, network.shape(c.x).channels, &factors[c.x], &factors[c.y]);
        }
    }
    equal
}

/// Of each tensor, the least of those that are added to it, directly or not.
fn groups(network: &FloatNetwork) -> Vec<TensorId> {
    let mut group: Vec<TensorId> = (0..network.tensors.len()).collect();
    let join = |group: &mut Vec<TensorId>, a: TensorId, b: TensorId| {
        let (from, to) = (group[a].max(group[b]), group[a].min(group[b]));
        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
    };
    for layer in &network.layers {
        match layer {
            Layer::Add { a, b, y } | Layer::UpAdd { coarse: a, fine: b, y } => {
                join(&mut group, *a, *b);
                join(&mut group, *a, *y);
            }
            Layer::Upsample { x, y } | Layer::MaxPool { x, y, .. } | Layer::Lookup { x, y, .. } => {
                join(&mut group, *x, *y);
            }
            Layer::Conv(_) => {}
        }
    }
    group
}

/// The factors of a group's channels.
fn group_factors(network: &FloatNetwork, reach: &[Vec<f32>], groups: &[TensorId], group: TensorId) -> Vec<f32> {
    let members: Vec<TensorId> = (0..groups.len()).filter(|t| groups[*t] == group).collect();
    let channels = network.shape(group).channels;
    let is_fixed = |t: &TensorId| network.inputs.iter().any(|i| i.tensor == *t) || network.outputs.contains(t);
    if members.iter().any(is_fixed) {
        return vec![1.0; channels];
    }
    let ends_at_six = |t: TensorId| {
        let writer = network.layers.iter().find(|l| l.result() == t);
        matches!(writer, Some(Layer::Conv(c)) if c.weights.activation == Activation::Relu6)
    };
    let of_channel = |c: usize| members.iter().map(|t| reach[*t][c]).fold(0.0f32, f32::max);
    let farthest = (0..channels).map(of_channel).fold(0.0f32, f32::max);
    let wanted = if members.iter().any(|t| ends_at_six(*t)) { SIX } else { HEADROOM * farthest };
    let factor = |c: usize| match of_channel(c) {
        reach if reach > 0.0 && wanted > 0.0 => (wanted / (HEADROOM * reach)).min(FACTOR_MAX),
        _ => 1.0,
    };
    // A sum of what ends at six may reach farther; nothing is made smaller for that.
    (0..channels).map(|c| factor(c).max(1.0)).collect()
}

fn rescale(c: &mut Conv<FloatWeights>, inputs: usize, read: &[f32], written: &[f32]) {
    let w = &mut c.weights;
    let taps = c.kernel * c.kernel;
    let each = w.kernels.len() / w.bias.len();
    for (o, kernels) in w.kernels.chunks_exact_mut(each).enumerate() {
        for (i, kernel) in kernels.chunks_exact_mut(taps).enumerate() {
            let from = if c.is_depthwise { o } else { i % inputs };
            kernel.iter_mut().for_each(|w| *w *= written[o] / read[from]);
        }
    }
    w.bias.iter_mut().zip(written).for_each(|(b, f)| *b *= f);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::tests::{float_network, images};
    use crate::quantize::{Judge, Method, Observed, float, quantize};

    /// A network that computes the same, with channels that reach very differently.
    fn uneven(network: &FloatNetwork) -> FloatNetwork {
        let mut uneven = network.clone();
        let is_fixed = |t: TensorId| groups(network).iter().filter(|g| **g == groups(network)[t]).count() > 1;
        let factors = |t: TensorId| -> Vec<f32> {
            let of =
                |c: usize| if t == network.inputs[0].tensor || is_fixed(t) { 1.0 } else { [1.0, 0.1, 0.02][c % 3] };
            (0..network.shape(t).channels).map(of).collect()
        };
        for layer in &mut uneven.layers {
            if let Layer::Conv(c) = layer {
                rescale(c, network.shape(c.x).channels, &factors(c.x), &factors(c.y));
            }
        }
        uneven
    }

    #[test]
    fn equalized_channels_compute_the_same_and_lose_less() {
        let network = uneven(&float_network(5));
        let equal = equalize(&network, Observed::of(&network, &images(6)).unwrap().reach());
        for image in images(3) {
            let (a, b) = (float::run(&network, &image), float::run(&equal, &image));
            for t in &network.outputs {
                let most = a[*t].iter().fold(0.0f32, |m, v| m.max(v.abs()));
                assert!(a[*t].iter().zip(&b[*t]).all(|(a, b)| (a - b).abs() <= 1e-4 * most));
            }
        }
        let loss = |made: &FloatNetwork| {
            let observed = Observed::of(made, &images(6)).unwrap();
            Judge::new(&network, &images(9)[6..])
                .sqnr_db(&quantize(made, &observed, Method::MinMax, &[]).unwrap())
                .unwrap()
        };
        let (before, after) = (loss(&network), loss(&equal));
        assert!(after > before + 3.0, "{before} dB to {after} dB");
    }
}
