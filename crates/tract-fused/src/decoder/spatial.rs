//! 3x3 convolutions over square planes, a few rows at a time, so that the input rows are still in L1.

use pulp::{Arch, Simd, WithSimd};

use super::linear::{Activation, Addend, Linear, PANEL, PlaneList, Planes, StridedRows, loaded, stored};
use crate::aligned::Aligned;

/// A depthwise 3x3 convolution. Stride 1 pads all sides with zeros, stride 2 only the end.
#[derive(Clone, Debug)]
pub(super) struct Spatial {
    pub stride: usize,
    /// [C, 9].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

/// A depthwise convolution and a 1x1 one.
#[derive(Clone, Debug)]
pub(super) struct Separable {
    pub spatial: Spatial,
    pub point: Linear,
}

/// Input planes, [edge, edge], stored or computed row by row.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Planes(PlaneList<'a>),
    /// `activation(layer(maps) + skip + upsample(coarse))`, nearest neighbour by two; for stride 1.
    Joined {
        layer: &'a Linear,
        /// One plane [edge, edge] for each input of the layer.
        maps: PlaneList<'a>,
        skip: Planes<'a>,
        /// [C, edge / 2, edge / 2].
        coarse: &'a [f32],
    },
}

/// Output of a separable convolution.
pub(super) struct Target<'a> {
    /// Added to the output, of its shape.
    pub plus: Option<Planes<'a>>,
    /// [outputs, edge / stride, edge / stride].
    pub planes: &'a mut [f32],
    /// A layer that is applied to the output, and the planes of its result.
    pub then: Option<(&'a Linear, &'a mut [f32])>,
}

impl Separable {
    /// Shape: `source` C times [edge, edge].
    pub(super) fn planes(&self, source: Source, edge: usize, target: Target, scratch: &mut Aligned<f32>) {
        Arch::new().dispatch(Bands { layer: self, source, edge, target, scratch });
    }
}

/// A 3x3 convolution of stride 2, padded at the end, as a linear layer over neighbourhoods: C * 9 inputs.
///
/// Shape: `x` C times [edge, edge], `y` [outputs, edge / 2, edge / 2].
pub(super) fn full(layer: &Linear, x: PlaneList, edge: usize, y: &mut [f32], scratch: &mut Aligned<f32>) {
    Arch::new().dispatch(Full { layer, x, edge, y, scratch });
}

/// Copies values without a call to `memcpy`.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    let to = &mut to[..from.len()];
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<32>(), to.as_chunks_mut::<32>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

/// Rounds up to a multiple of every processor's vector length.
fn vectors(count: usize) -> usize {
    count.next_multiple_of(16)
}

/// Output rows that are computed together at stride 1, and the input lines of a channel that they need.
const TOGETHER: usize = 2;
const DEPTH: usize = TOGETHER + 2;
/// A cache line, in values.
const LINE: usize = Aligned::<f32>::LINE;
/// Offset in a line of each kernel column, for stride 1.
const BESIDE: [usize; 3] = [LINE - 1, LINE, LINE + 1];

/// The input rows of every channel that the current output rows need. The layout allows whole vectors to be read at each kernel
/// column: at stride 1 zeros, row, zeros; at stride 2 even values, zeros, odd values.
struct Ring<'a> {
    values: &'a mut [f32],
    edge: usize,
    stride: usize,
    /// Values of a line, with the zeros.
    line: usize,
    /// Index of the row that is filled next; at stride 1 the first row is a row of zeros.
    next: usize,
}

impl<'a> Ring<'a> {
    fn length(channels: usize, edge: usize, stride: usize) -> usize {
        LINE + channels * DEPTH * Self::line(edge, stride)
    }

    fn line(edge: usize, stride: usize) -> usize {
        if stride == 1 { (edge + 1).next_multiple_of(LINE) } else { 2 * Self::odd(edge) }
    }

    /// Offset of a line's odd values, at stride 2.
    fn odd(edge: usize) -> usize {
        (edge / 2 + 1).next_multiple_of(LINE)
    }

    fn new(values: &'a mut [f32], edge: usize, stride: usize) -> Self {
        values.fill(0.0);
        Self { values, edge, stride, line: Self::line(edge, stride), next: 2 - stride }
    }

    /// Memory of the next row, and the stride of its channels.
    fn rows(&mut self) -> (&mut [f32], usize) {
        let at = LINE + self.next % DEPTH * self.line;
        (&mut self.values[at..], DEPTH * self.line)
    }

    /// Fills the rows that the output needs up to its row `to`.
    #[inline(always)]
    fn advance<S: Simd>(&mut self, simd: S, to: usize, source: &mut Rows) {
        while self.next < to * self.stride + 3 {
            let row = self.next + self.stride - 2;
            if row < self.edge {
                source.fill(simd, row, self);
            } else {
                let line = self.line;
                let (rows, apart) = self.rows();
                rows.chunks_mut(apart).for_each(|lines| lines[..line].fill(0.0));
            }
            self.next += 1;
        }
    }

    /// Copies a row of every channel into its line.
    #[inline(always)]
    fn lay(&mut self, row: usize, planes: PlaneList) {
        let (edge, odd, stride) = (self.edge, Self::odd(self.edge), self.stride);
        let (rows, apart) = self.rows();
        for (channel, line) in rows.chunks_mut(apart).take(planes.len()).enumerate() {
            let row = &planes.get(channel)[row * edge..][..edge];
            if stride == 1 {
                copy(row, line);
            } else {
                let (even, odd) = line.split_at_mut(odd);
                for ((pair, even), odd) in row.as_chunks::<2>().0.iter().zip(even).zip(odd) {
                    [*even, *odd] = *pair;
                }
            }
        }
    }

    /// The input lines of a channel for output row `row`.
    #[inline(always)]
    fn lines<const N: usize>(&self, channel: usize, row: usize) -> [&[f32]; N] {
        let all = &self.values[channel * DEPTH * self.line..];
        let mut lines: [&[f32]; N] = [&[]; N];
        for (k, line) in lines.iter_mut().enumerate() {
            *line = &all[(row * self.stride + k) % DEPTH * self.line..][..self.line + LINE];
        }
        lines
    }

    /// A channel's input values at each kernel position, for an output row.
    #[inline(always)]
    fn taps(&self, channel: usize, row: usize) -> [&[f32]; 9] {
        let to = self.edge / self.stride;
        let columns = if self.stride == 1 { BESIDE } else { [LINE, LINE + Self::odd(self.edge), LINE + 1] };
        let lines: [_; 3] = self.lines(channel, row);
        let mut taps: [&[f32]; 9] = [&[]; 9];
        for (k, tap) in taps.iter_mut().enumerate() {
            *tap = &lines[k / 3][columns[k % 3]..][..to];
        }
        taps
    }
}

/// Fills a ring.
struct Rows<'a> {
    source: Source<'a>,
    /// A row of maps, [inputs, vectors(edge)].
    maps_row: &'a mut [f32],
}

impl Rows<'_> {
    /// Length of the row of maps.
    fn length(source: Source, edge: usize) -> usize {
        match source {
            Source::Planes(_) => 0,
            Source::Joined { layer, .. } => layer.inputs * vectors(edge),
        }
    }

    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, row: usize, ring: &mut Ring) {
        let (edge, places) = (ring.edge, ring.edge * ring.edge);
        match self.source {
            Source::Planes(planes) => ring.lay(row, planes),
            Source::Joined { layer, maps, skip, coarse } => {
                let (wide, half) = (vectors(edge), edge / 2);
                for (map, line) in self.maps_row.chunks_exact_mut(wide).take(maps.len()).enumerate() {
                    copy(&maps.get(map)[row * edge..][..edge], line);
                }
                let (rows, apart) = ring.rows();
                for (channel, line) in rows.chunks_mut(apart).enumerate() {
                    let line = &mut line[..edge];
                    skip.read(channel * places + row * edge, line);
                    let coarse = &coarse[channel * places / 4 + row / 2 * half..][..half];
                    for (pair, v) in line.as_chunks_mut::<2>().0.iter_mut().zip(coarse) {
                        pair[0] += v;
                        pair[1] += v;
                    }
                }
                let maps = StridedRows::new(self.maps_row, wide);
                layer.forward_planes(simd, edge, maps, Addend::Accumulate, (rows, apart));
            }
        }
    }
}

struct Bands<'a> {
    layer: &'a Separable,
    source: Source<'a>,
    edge: usize,
    target: Target<'a>,
    scratch: &'a mut Aligned<f32>,
}

impl WithSimd for Bands<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer: Separable { spatial, point }, source, edge, mut target, scratch } = self;
        let (channels, to) = (spatial.bias.len(), edge / spatial.stride);
        let rows = (PANEL / to).max(TOGETHER);
        let wide = vectors(rows * to);
        let lengths = [Ring::length(channels, edge, spatial.stride), Rows::length(source, edge), channels * wide];
        let [ring, maps_row, band] = scratch.carved(lengths);
        let (mut ring, mut source) = (Ring::new(ring, edge, spatial.stride), Rows { source, maps_row });
        for first in (0..to).step_by(rows) {
            let rows = rows.min(to - first);
            let mut row = 0;
            while row < rows {
                let together = if spatial.stride == 1 { TOGETHER.min(rows - row) } else { 1 };
                ring.advance(simd, first + row + together - 1, &mut source);
                for (channel, band) in band.chunks_exact_mut(wide).enumerate() {
                    let (kernel, band) = (spatial.kernel(simd, channel), &mut band[row * to..]);
                    if together == TOGETHER {
                        kernel.pair(ring.lines(channel, first + row), &mut band[..TOGETHER * to]);
                    } else {
                        kernel.row(ring.taps(channel, first + row), &mut band[..to]);
                    }
                }
                row += together;
            }
            let (from, count) = (first * to, rows * to);
            let x = StridedRows::new(band, wide);
            target.put(simd, point, x, from, count);
        }
    }
}

impl Target<'_> {
    /// Writes a band of `count` pixels from pixel `from` on.
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, point: &Linear, x: StridedRows, from: usize, count: usize) {
        let apart = self.planes.len() / point.outputs;
        if let Some(plus) = self.plus {
            for (channel, plane) in self.planes.chunks_exact_mut(apart).enumerate() {
                plus.read(channel * apart + from, &mut plane[from..][..count]);
            }
        }
        let plus = if self.plus.is_some() { Addend::Accumulate } else { Addend::Nothing };
        point.forward_planes(simd, count, x, plus, (&mut self.planes[from..], apart));
        if let Some((layer, planes)) = &mut self.then {
            let x = StridedRows::new(self.planes, apart).from(from);
            layer.forward_planes(simd, count, x, Addend::Nothing, (&mut planes[from..], apart));
        }
    }
}

/// A channel of a depthwise convolution.
struct Kernel<S: Simd> {
    simd: S,
    weights: [S::f32s; 9],
    bias: S::f32s,
    low: S::f32s,
    high: S::f32s,
}

impl Spatial {
    #[inline(always)]
    fn kernel<S: Simd>(&self, simd: S, channel: usize) -> Kernel<S> {
        let bias = simd.splat_f32s(self.bias[channel]);
        let mut weights = [bias; 9];
        for (w, v) in weights.iter_mut().zip(&self.weights[9 * channel..][..9]) {
            *w = simd.splat_f32s(*v);
        }
        let (low, high) = self.activation.bounds();
        Kernel { simd, weights, bias, low: simd.splat_f32s(low), high: simd.splat_f32s(high) }
    }
}

impl<S: Simd> Kernel<S> {
    /// Computes a row from its input values at each kernel position.
    #[inline(always)]
    fn row(&self, taps: [&[f32]; 9], y: &mut [f32]) {
        let mut from = 0;
        while from < y.len() {
            let end = y.len().min(from + S::F32_LANES);
            let mut seen = [[self.bias; 3]; 3];
            for (k, tap) in taps.iter().enumerate() {
                seen[k / 3][k % 3] = loaded(self.simd, &tap[from..end]);
            }
            stored(self.simd, self.sum(seen), &mut y[from..end]);
            from = end;
        }
    }

    /// Computes two rows from the four input lines that they need.
    #[inline(always)]
    fn pair(&self, lines: [&[f32]; DEPTH], y: &mut [f32]) {
        let to = y.len() / TOGETHER;
        let whole = to / S::F32_LANES;
        let (y, below) = y.split_at_mut(to);
        let mut vectors: [[&[S::f32s]; 3]; DEPTH] = [[&[]; 3]; DEPTH];
        for (vectors, line) in vectors.iter_mut().zip(lines) {
            for (vectors, column) in vectors.iter_mut().zip(BESIDE) {
                *vectors = &S::as_simd_f32s(&line[column..]).0[..whole];
            }
        }
        let ((y, y_rest), (below, below_rest)) = (S::as_mut_simd_f32s(y), S::as_mut_simd_f32s(below));
        for (i, (y, below)) in y[..whole].iter_mut().zip(below).enumerate() {
            let mut seen = [[self.bias; 3]; DEPTH];
            for (seen, vectors) in seen.iter_mut().zip(vectors) {
                for (seen, vector) in seen.iter_mut().zip(vectors) {
                    *seen = vector[i];
                }
            }
            let [a, b, c, d] = seen;
            *y = self.sum([a, b, c]);
            *below = self.sum([b, c, d]);
        }
        if !y_rest.is_empty() {
            let mut seen = [[self.bias; 3]; DEPTH];
            for (seen, line) in seen.iter_mut().zip(lines) {
                for (seen, column) in seen.iter_mut().zip(BESIDE) {
                    *seen = self.simd.partial_load_f32s(&line[column + to - y_rest.len()..][..y_rest.len()]);
                }
            }
            let [a, b, c, d] = seen;
            self.simd.partial_store_f32s(y_rest, self.sum([a, b, c]));
            self.simd.partial_store_f32s(below_rest, self.sum([b, c, d]));
        }
    }

    #[inline(always)]
    fn sum(&self, seen: [[S::f32s; 3]; 3]) -> S::f32s {
        let (simd, w) = (self.simd, &self.weights);
        // One dependency chain per kernel row, which the processor overlaps.
        let mut rows = [self.bias, simd.splat_f32s(0.0), simd.splat_f32s(0.0)];
        for (k, row) in rows.iter_mut().enumerate() {
            for i in 0..3 {
                *row = simd.mul_add_e_f32s(w[3 * k + i], seen[k][i], *row);
            }
        }
        let sum = simd.add_f32s(rows[0], simd.add_f32s(rows[1], rows[2]));
        simd.min_f32s(simd.max_f32s(sum, self.low), self.high)
    }
}

struct Full<'a> {
    layer: &'a Linear,
    x: PlaneList<'a>,
    edge: usize,
    y: &'a mut [f32],
    scratch: &'a mut Aligned<f32>,
}

impl WithSimd for Full<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, edge, y, scratch } = self;
        let (channels, to) = (layer.inputs / 9, edge / 2);
        let wide = vectors(to);
        let [ring, seen] = scratch.carved([Ring::length(channels, edge, 2), layer.inputs * wide]);
        let mut ring = Ring::new(ring, edge, 2);
        let mut source = Rows { source: Source::Planes(x), maps_row: &mut [] };
        for row in 0..to {
            ring.advance(simd, row, &mut source);
            for (channel, seen) in seen.chunks_exact_mut(9 * wide).enumerate() {
                for (line, tap) in seen.chunks_exact_mut(wide).zip(ring.taps(channel, row)) {
                    copy(tap, line);
                }
            }
            layer.forward_planes(
                simd,
                to,
                StridedRows::new(seen, wide),
                Addend::Nothing,
                (&mut y[row * to..], to * to),
            );
        }
    }
}
