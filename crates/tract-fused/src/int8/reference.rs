//! The definition of the network, value by value. Every kernel must equal it bit by bit.

use super::network::{Conv, IntegerNetwork, IntegerWeights, Layer, Shape, requantize};

/// Computes all tensors, each [H, W, C], from the inputs, each [H, W, C].
///
/// Cost: thousands of times that of the kernels.
pub fn run(network: &IntegerNetwork, inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = network.tensors.iter().map(|_| Vec::new()).collect();
    for (input, bytes) in network.inputs.iter().zip(inputs) {
        all[input.tensor] = bytes.to_vec();
    }
    for layer in &network.layers {
        let result = match layer {
            Layer::Conv(c) => conv(network, c, &all[c.x]),
            Layer::Add { a, b, y } => {
                let sum = network.sum(*a, *b, *y);
                all[*a].iter().zip(&all[*b]).map(|(a, b)| sum.of(*a, *b)).collect()
            }
            Layer::UpAdd { coarse, fine, y } => {
                let sum = network.sum(*coarse, *fine, *y);
                let coarse = upsampled(network.shape(*y), &all[*coarse]);
                coarse.iter().zip(&all[*fine]).map(|(c, f)| sum.of(*c, *f)).collect()
            }
            Layer::Upsample { x, y } => upsampled(network.shape(*y), &all[*x]),
            Layer::Lookup { x, table, .. } => all[*x].iter().map(|b| table[usize::from(*b)]).collect(),
            Layer::MaxPool { x, y, kernel, stride, pads } => {
                let (from, to) = (network.shape(*x), network.shape(*y));
                let largest = |i: usize| {
                    let (c, oy, ox) = (i % to.channels, i / to.channels / to.width, i / to.channels % to.width);
                    let taps = (0..kernel * kernel).map(|k| {
                        let row = (oy * stride + k / kernel).wrapping_sub(pads.top);
                        let column = (ox * stride + k % kernel).wrapping_sub(pads.left);
                        (row, column)
                    });
                    let inside = taps.filter(|(row, column)| *row < from.height && *column < from.width);
                    inside.map(|(row, column)| all[*x][(row * from.width + column) * from.channels + c]).max()
                };
                (0..to.len()).map(|i| largest(i).unwrap_or(0)).collect()
            }
        };
        all[layer.result()] = result;
    }
    all
}

/// `x` upsampled by two to shape `y`.
fn upsampled(y: Shape, x: &[u8]) -> Vec<u8> {
    let (c, w) = (y.channels, y.width);
    (0..y.len()).map(|i| x[(i / c / w / 2 * (w / 2) + i / c % w / 2) * c + i % c]).collect()
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
