//! The network straight from its definition, value by value: what every kernel must equal bit by bit.

use super::network::{Conv, IntegerNetwork, IntegerWeights, Layer, requantize};

/// All tensors, each [H, W, C], for an input [H, W, C].
///
/// Cost: thousands of times that of the kernels.
pub fn run(network: &IntegerNetwork, input: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = network.tensors.iter().map(|_| Vec::new()).collect();
    all[network.input] = input.to_vec();
    for layer in &network.layers {
        let result = match layer {
            Layer::Conv(c) => conv(network, c, &all[c.x]),
            Layer::Add { a, b, y } => {
                let sum = network.sum(*a, *b, *y);
                all[*a].iter().zip(&all[*b]).map(|(a, b)| sum.of(*a, *b)).collect()
            }
            Layer::UpAdd { coarse, fine, y } => {
                let (sum, s) = (network.sum(*coarse, *fine, *y), network.shape(*y));
                let (c, coarse) = (s.channels, &all[*coarse]);
                let above = |i: usize| {
                    let (y, x) = (i / c / s.width / 2, i / c % s.width / 2);
                    coarse[(y * (s.width / 2) + x) * c + i % c]
                };
                all[*fine].iter().enumerate().map(|(i, f)| sum.of(above(i), *f)).collect()
            }
        };
        all[layer.result()] = result;
    }
    all
}

fn conv(network: &IntegerNetwork, c: &Conv<IntegerWeights>, x: &[u8]) -> Vec<u8> {
    let (from, to) = (network.shape(c.x), network.shape(c.y));
    let zero = network.tensors[c.x].quantization.zero_point;
    let inputs = if c.is_depthwise { 1 } else { from.channels };
    let mut out = Vec::with_capacity(to.len());
    for (oy, ox, o) in (0..to.len()).map(|i| (i / to.channels / to.width, i / to.channels % to.width, i % to.channels))
    {
        let mut sum = c.weights.bias[o];
        for (ky, kx) in (0..c.kernel * c.kernel).map(|k| (k / c.kernel, k % c.kernel)) {
            let (iy, ix) =
                ((oy * c.stride + ky).wrapping_sub(c.pads.top), (ox * c.stride + kx).wrapping_sub(c.pads.left));
            if iy >= from.height || ix >= from.width {
                continue;
            }
            for i in 0..inputs {
                let channel = if c.is_depthwise { o } else { i };
                let v = i32::from(x[(iy * from.width + ix) * from.channels + channel]) - zero;
                let w = c.weights.kernels[((o * inputs + i) * c.kernel + ky) * c.kernel + kx];
                sum += v * i32::from(w);
            }
        }
        out.push(requantize(sum, network.requantization(c, o), network.tensors[c.y].quantization.zero_point));
    }
    out
}
