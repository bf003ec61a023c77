//! Packs weights in the order in which the kernels of an instruction set read them.

use super::isa::{KernelTable, channel};
use super::kernels::{Block, DepthwiseWeights, flat_tap};
use super::network::{Conv, IntegerNetwork, IntegerWeights};
use crate::aligned::Aligned;

/// Bias and scale of an output channel. The bias includes the contribution of zero point and activation offset.
fn ends(network: &IntegerNetwork, c: &Conv<IntegerWeights>, table: &KernelTable, channel: usize) -> (i32, f32) {
    let w = &c.weights;
    if channel >= w.bias.len() {
        return (0, 0.0);
    }
    let each = w.kernels.len() / w.bias.len();
    let total: i32 = w.kernels[channel * each..][..each].iter().map(|w| i32::from(*w)).sum();
    let zero = network.tensors[c.x].quantization.zero_point;
    // The kernels sum (x - offset) w; the result is the sum of (x - zero) w.
    let bias = w.bias[channel].wrapping_add((table.offset - zero).wrapping_mul(total));
    (bias, network.requantization(c, channel))
}

/// Packs a full convolution, for an input of `pixel` bytes a pixel and an output of `outputs` bytes a pixel.
pub(super) fn gemm(
    network: &IntegerNetwork,
    c: &Conv<IntegerWeights>,
    table: &KernelTable,
    pixel: usize,
    outputs: usize,
) -> Vec<Block> {
    let inputs = network.shape(c.x).channels;
    let quads = (c.kernel * pixel).div_ceil(4);
    let weight = |o: usize, row: usize, at: usize| -> i8 {
        let (column, i) = (at / pixel, at % pixel);
        if column >= c.kernel || i >= inputs {
            return 0;
        }
        let at = ((o * inputs + i) * c.kernel + row) * c.kernel + column;
        c.weights.kernels.get(at).copied().unwrap_or(0)
    };
    let mut blocks = Vec::new();
    let mut first = 0;
    while first < outputs {
        let count = (outputs - first).min(4 * table.lanes);
        let vectors = count.div_ceil(table.lanes);
        let channel = |z: usize, lane: usize| first + channel(vectors, z, lane);
        let mut weights = Aligned::default();
        let groups = weights.sized(c.kernel * quads * vectors * table.rhs_bytes).chunks_exact_mut(table.rhs_bytes);
        for (at, out) in groups.enumerate() {
            let (row, quad, z) = (at / vectors / quads, at / vectors % quads, at % vectors);
            let lanes =
                (0..table.lanes).map(|lane| std::array::from_fn(|i| weight(channel(z, lane), row, 4 * quad + i)));
            (table.pack)(&lanes.collect::<Vec<[i8; 4]>>(), out);
        }
        let lanes = (0..vectors).flat_map(|z| (0..table.lanes).map(move |lane| (z, lane)));
        let (bias, scales): (Vec<_>, Vec<_>) = lanes.map(|(z, lane)| ends(network, c, table, channel(z, lane))).unzip();
        blocks.push(Block { first, count, vectors, weights, bias: bias.into(), scales: scales.into() });
        first += count;
    }
    blocks
}

/// Packs a depthwise convolution, for `pixel` bytes a pixel.
pub(super) fn depthwise(
    network: &IntegerNetwork,
    c: &Conv<IntegerWeights>,
    table: &KernelTable,
    pixel: usize,
) -> DepthwiseWeights {
    let bytes = 4 * table.lanes;
    let k = c.kernel;
    let is_flat = c.stride == 1 && matches!(k, 3 | 5);
    let patterns = if is_flat { pixel / gcd(pixel, bytes) } else { pixel.div_ceil(bytes) };
    let channel = |pattern: usize, z: usize, lane: usize| {
        let at = pattern * bytes + channel(4, z, lane);
        if is_flat { at % pixel } else { at }
    };
    let weight = |channel: usize, row: Option<usize>, column: usize| -> i8 {
        let at = row.map(|row| (channel * k + row) * k + column);
        at.filter(|_| channel < c.weights.bias.len()).map_or(0, |at| c.weights.kernels[at])
    };
    // Vectors of a pattern: one for each column, quad and output row, or for each group of four taps.
    let vectors = if is_flat { k * (k / 2) * 8 } else { (k * k).div_ceil(4) * 4 };
    let four = |channel: usize, v: usize| -> [i8; 4] {
        std::array::from_fn(|i| {
            if is_flat {
                let (column, quad, is_second) = (v / 8 / (k / 2), v / 8 % (k / 2), v / 4 % 2 == 1);
                weight(channel, flat_tap(k, is_second, quad, i), column)
            } else {
                let tap = v / 4 * 4 + i;
                weight(channel, (tap < k * k).then_some(tap / k), tap % k)
            }
        })
    };
    let each = vectors * table.rhs_bytes;
    let mut weights = Aligned::default();
    for (at, out) in weights.sized(patterns * each).chunks_exact_mut(table.rhs_bytes).enumerate() {
        let (pattern, v) = (at / vectors, at % vectors);
        let lanes = (0..table.lanes).map(|lane| four(channel(pattern, v % 4, lane), v));
        (table.pack)(&lanes.collect::<Vec<[i8; 4]>>(), out);
    }
    let lanes = (0..patterns * bytes).map(|i| (i / bytes, i / table.lanes % 4, i % table.lanes));
    let (bias, scales): (Vec<_>, Vec<_>) =
        lanes.map(|(pattern, z, lane)| ends(network, c, table, channel(pattern, z, lane))).unzip();
    DepthwiseWeights { is_flat, patterns, weights, each, bias: bias.into(), scales: scales.into() }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
