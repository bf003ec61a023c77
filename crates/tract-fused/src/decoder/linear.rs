//! Linear layers on planes ([C, pixels], one channel after the other), a panel of pixels at a time, and on token rows ([T, C]).

use std::iter::Zip;
use std::slice::ChunksExact;

use pulp::{Arch, Simd, WithSimd};

/// The activation behind a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Activation {
    #[default]
    None,
    Relu,
    Relu6,
}

impl Activation {
    pub(super) fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// A linear layer, or a 1x1 convolution.
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
    /// [inputs, outputs].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

/// Planes, [C, pixels], of f32 or of quantized bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Planes<'a> {
    /// f32.
    Values(&'a [f32]),
    /// Each byte represents `scale * (byte - zero_point)`.
    Quantized { bytes: &'a [u8], scale: f32, zero_point: f32 },
}

impl Planes<'_> {
    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Quantized { bytes, .. } => bytes.len(),
        }
    }

    /// Writes the values from index `from` on to `out`.
    #[inline(always)]
    pub(super) fn read(&self, from: usize, out: &mut [f32]) {
        match self {
            Self::Values(values) => out.copy_from_slice(&values[from..][..out.len()]),
            Self::Quantized { bytes, scale, zero_point } => {
                for (v, byte) in out.iter_mut().zip(&bytes[from..]) {
                    *v = (f32::from(*byte) - zero_point) * scale;
                }
            }
        }
    }
}

/// Planes of one size in contiguous memory: all of them, or a selection.
#[derive(Clone, Copy)]
pub(super) struct PlaneList<'a> {
    values: &'a [f32],
    /// Values of a plane.
    places: usize,
    chosen: Option<&'a [usize]>,
}

impl<'a> PlaneList<'a> {
    /// All planes of `places` values.
    pub(super) fn all(values: &'a [f32], places: usize) -> Self {
        Self { values, places, chosen: None }
    }

    /// Only the planes of these indices.
    pub(super) fn chosen(self, numbers: &'a [usize]) -> Self {
        Self { chosen: Some(numbers), ..self }
    }

    /// Plane `i` of the list.
    #[inline(always)]
    pub(super) fn get(&self, i: usize) -> &'a [f32] {
        let number = match self.chosen {
            Some(numbers) => numbers[i],
            None => i,
        };
        &self.values[number * self.places..][..self.places]
    }

    /// Number of planes.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        match self.chosen {
            Some(numbers) => numbers.len(),
            None => self.values.len() / self.places,
        }
    }
}

/// Pixels that are processed for all channels before the next ones, so that they stay in L1. A multiple of the vector length.
pub(super) const PANEL: usize = 64;

/// Rows at a constant stride: one row of pixels a channel.
#[derive(Clone, Copy)]
pub(super) struct StridedRows<'a> {
    values: &'a [f32],
    apart: usize,
    /// Index of the first pixel in each row.
    from: usize,
}

impl<'a> StridedRows<'a> {
    pub(super) fn new(values: &'a [f32], apart: usize) -> Self {
        Self { values, apart, from: 0 }
    }

    /// The pixels from index `from` on.
    pub(super) fn from(self, from: usize) -> Self {
        Self { from, ..self }
    }
}

/// A term that is added to a layer's sums.
#[derive(Clone, Copy)]
pub(super) enum Addend<'a> {
    Nothing,
    Rows(StridedRows<'a>),
    /// The present content of the output.
    Accumulate,
}

impl Linear {
    /// `y[o] = activation(sum over i of w[i][o] x[i] + b[o] + plus[o])` for `count` pixels of each row. `y` is given with the
    /// stride of its rows.
    #[inline(always)]
    pub(super) fn forward_planes<S: Simd>(
        &self,
        simd: S,
        count: usize,
        x: StridedRows,
        plus: Addend,
        (y, apart): (&mut [f32], usize),
    ) {
        debug_assert!(x.from + count <= x.apart && x.values.len() == self.inputs * x.apart);
        // Not inlined into its callers, where the sums would be spilled from registers.
        simd.vectorize(
            #[inline(always)]
            move || {
                let (low, high) = self.activation.bounds();
                let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
                let weights = self.weights.chunks_exact(self.outputs);
                let inputs = x.values.chunks_exact(x.apart).zip(weights);
                let tile = Tile { simd, layer: self, count, inputs, from: x.from, plus, apart, low, high };
                let y = y;
                let mut first = 0;
                while first < self.outputs {
                    first += tile.outputs(first, y);
                }
            },
        );
    }

    /// Restricts the layer to these groups of `each` inputs and writes it to `out`; the other inputs must be zero.
    pub(super) fn only(&self, groups: &[usize], each: usize, out: &mut Self) {
        let size = each * self.outputs;
        out.weights.clear();
        groups.iter().for_each(|g| out.weights.extend_from_slice(&self.weights[g * size..][..size]));
        out.bias.clone_from(&self.bias);
        (out.inputs, out.outputs, out.activation) = (groups.len() * each, self.outputs, self.activation);
    }

    /// Applies the layer to rows: [n, inputs] to [n, outputs].
    pub(super) fn forward_rows(&self, x: &[f32], y: &mut Vec<f32>) {
        y.clear();
        y.resize(x.len() / self.inputs * self.outputs, 0.0);
        Arch::new().dispatch(Rows { layer: self, x, y });
    }
}

/// Computes register tiles: output channels by vectors of pixels.
struct Tile<'a, S: Simd> {
    simd: S,
    layer: &'a Linear,
    count: usize,
    /// Input rows, each with its weights for all outputs; made once, since it divides.
    inputs: Zip<ChunksExact<'a, f32>, ChunksExact<'a, f32>>,
    /// Index of the first pixel in each row.
    from: usize,
    plus: Addend<'a>,
    /// Stride of the output's rows.
    apart: usize,
    low: S::f32s,
    high: S::f32s,
}

impl<S: Simd> Tile<'_, S> {
    /// Computes as many outputs from `first` on as registers hold; returns their number.
    #[inline(always)]
    fn outputs(&self, first: usize, y: &mut [f32]) -> usize {
        match self.layer.outputs - first {
            8.. if S::F32_LANES != 8 => self.columns::<8>(first, y),
            4.. => self.columns::<4>(first, y),
            2.. => self.columns::<2>(first, y),
            _ => self.columns::<1>(first, y),
        }
    }

    #[inline(always)]
    fn columns<const M: usize>(&self, first: usize, y: &mut [f32]) -> usize {
        let mut at = 0;
        while at < self.count {
            match self.count - at {
                left if left >= 2 * S::F32_LANES => self.sums::<M, 2>(first, at, y),
                left if left >= S::F32_LANES => self.sums::<M, 1>(first, at, y),
                left => self.rest::<M>(first, at, left, y),
            }
            at += if self.count - at >= 2 * S::F32_LANES { 2 * S::F32_LANES } else { S::F32_LANES };
        }
        M
    }

    /// The added term, and the stride of its rows.
    #[inline(always)]
    fn plus<'b>(&'b self, y: &'b [f32]) -> Option<(&'b [f32], usize)> {
        match self.plus {
            Addend::Nothing => None,
            Addend::Rows(lines) => Some((&lines.values[lines.from..], lines.apart)),
            Addend::Accumulate => Some((y, self.apart)),
        }
    }

    /// Computes `M` outputs at `V` vectors of pixels.
    #[inline(always)]
    fn sums<const M: usize, const V: usize>(&self, first: usize, at: usize, y: &mut [f32]) {
        let Self { simd, layer, low, high, from, .. } = *self;
        let mut acc = [[low; V]; M];
        for (acc, bias) in acc.iter_mut().zip(&layer.bias[first..first + M]) {
            *acc = [simd.splat_f32s(*bias); V];
        }
        if let Some((plus, apart)) = self.plus(y) {
            for (m, acc) in acc.iter_mut().enumerate() {
                let (plus, _) = S::as_simd_f32s(&plus[(first + m) * apart + at..]);
                let Some(plus) = plus.first_chunk::<V>() else { return };
                for v in 0..V {
                    acc[v] = simd.add_f32s(acc[v], plus[v]);
                }
            }
        }
        for (line, weights) in self.inputs.clone() {
            let (seen, _) = S::as_simd_f32s(&line[from + at..]);
            let (Some(seen), Some(weights)) = (seen.first_chunk::<V>(), weights[first..].first_chunk::<M>()) else {
                return;
            };
            for m in 0..M {
                let w = simd.splat_f32s(weights[m]);
                for v in 0..V {
                    acc[m][v] = simd.mul_add_e_f32s(w, seen[v], acc[m][v]);
                }
            }
        }
        let is_open = layer.activation == Activation::None;
        for m in 0..M {
            let (y, _) = S::as_mut_simd_f32s(&mut y[(first + m) * self.apart + at..]);
            let Some(y) = y.first_chunk_mut::<V>() else { return };
            for v in 0..V {
                y[v] = if is_open { acc[m][v] } else { simd.min_f32s(simd.max_f32s(acc[m][v], low), high) };
            }
        }
    }

    /// Computes `M` outputs at less than a vector of pixels.
    #[inline(always)]
    fn rest<const M: usize>(&self, first: usize, at: usize, left: usize, y: &mut [f32]) {
        let Self { simd, layer, low, high, .. } = *self;
        for m in first..first + M {
            let mut sum = simd.splat_f32s(layer.bias[m]);
            if let Some((plus, apart)) = self.plus(y) {
                sum = simd.add_f32s(sum, loaded(simd, &plus[m * apart + at..][..left]));
            }
            for (line, weights) in self.inputs.clone() {
                sum = simd.mul_add_e_f32s(
                    simd.splat_f32s(weights[m]),
                    loaded(simd, &line[self.from + at..][..left]),
                    sum,
                );
            }
            stored(simd, simd.min_f32s(simd.max_f32s(sum, low), high), &mut y[m * self.apart + at..][..left]);
        }
    }
}

/// Loads at most a vector of values.
#[inline(always)]
pub(super) fn loaded<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values) {
        ([whole], _) => *whole,
        (_, part) => simd.partial_load_f32s(part),
    }
}

/// Stores as much of a vector as fits.
#[inline(always)]
pub(super) fn stored<S: Simd>(simd: S, vector: S::f32s, values: &mut [f32]) {
    match S::as_mut_simd_f32s(values) {
        ([whole], _) => *whole = vector,
        (_, part) => simd.partial_store_f32s(part, vector),
    }
}

struct Rows<'a> {
    layer: &'a Linear,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, y } = self;
        let (mut x, mut y) = (x, y);
        loop {
            // As many rows at once as possible: fewer would leave the latency of the sums exposed.
            let done = match x.len() / layer.inputs {
                0 => return,
                1 => layer.forward_row_tile::<S, 1>(simd, x, y),
                2 => layer.forward_row_tile::<S, 2>(simd, x, y),
                3 => layer.forward_row_tile::<S, 3>(simd, x, y),
                4 => layer.forward_row_tile::<S, 4>(simd, x, y),
                5 => layer.forward_row_tile::<S, 5>(simd, x, y),
                6 => layer.forward_row_tile::<S, 6>(simd, x, y),
                _ => layer.forward_row_tile::<S, 7>(simd, x, y),
            };
            (x, y) = (&x[done * layer.inputs..], &mut y[done * layer.outputs..]);
        }
    }
}

impl Linear {
    /// Computes `T` rows together; returns `T`.
    #[inline(always)]
    fn forward_row_tile<S: Simd, const T: usize>(&self, simd: S, x: &[f32], y: &mut [f32]) -> usize {
        let (low, high) = self.activation.bounds();
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        for from in (0..self.outputs).step_by(S::F32_LANES) {
            let left = (self.outputs - from).min(S::F32_LANES);
            let mut sums = [loaded(simd, &self.bias[from..][..left]); T];
            for (i, weights) in self.weights.chunks_exact(self.outputs).enumerate() {
                let weights = loaded(simd, &weights[from..][..left]);
                for (t, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_add_e_f32s(simd.splat_f32s(x[t * self.inputs + i]), weights, *sum);
                }
            }
            for (t, sum) in sums.into_iter().enumerate() {
                let sum = simd.min_f32s(simd.max_f32s(sum, low), high);
                stored(simd, sum, &mut y[t * self.outputs + from..][..left]);
            }
        }
        T
    }
}
