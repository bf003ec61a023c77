//! Convolutions of 3x3 over square planes, a few rows at a time: what a row is made of is still in the first cache when it is read.

use pulp::{Arch, Simd, WithSimd};

use super::linear::{Activation, Linear, Lines, PANEL, Planes};

/// A depthwise 3x3 convolution; zeros lie around for stride 1, behind for stride 2.
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

/// Planes, [C, edge, edge], there already or made row by row.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Planes(&'a [f32]),
    /// `activation(layer(maps) + skip + coarse)`, every value of `coarse` twice in both directions; for a stride of 1.
    Joined {
        layer: &'a Linear,
        /// [inputs, edge, edge].
        maps: &'a [f32],
        skip: Planes<'a>,
        /// [C, edge / 2, edge / 2].
        coarse: &'a [f32],
    },
}

/// What becomes of a separable convolution's planes.
pub(super) struct Target<'a> {
    /// Is added, like the answer.
    pub plus: Option<Planes<'a>>,
    /// [outputs, edge / stride, edge / stride].
    pub planes: &'a mut [f32],
    /// A layer on top, and its planes.
    pub then: Option<(&'a Linear, &'a mut [f32])>,
}

impl Separable {
    /// Shape: `source` [C, edge, edge].
    pub fn planes(&self, source: Source, edge: usize, target: Target, scratch: &mut Vec<f32>) {
        Arch::new().dispatch(Bands { layer: self, source, edge, target, scratch });
    }
}

/// A convolution of 3x3 and stride 2, zeros behind, as a linear layer of the neighbourhoods: [C * 9] inputs.
///
/// Shape: `x` [C, edge, edge], `y` [outputs, edge / 2, edge / 2].
pub(super) fn full(layer: &Linear, x: &[f32], edge: usize, y: &mut [f32], scratch: &mut Vec<f32>) {
    Arch::new().dispatch(Full { layer, x, edge, y, scratch });
}

/// Lengths as slices of one buffer; what is in them is left from before.
pub(super) fn carved<const N: usize>(buffer: &mut Vec<f32>, lengths: [usize; N]) -> [&mut [f32]; N] {
    let whole: usize = lengths.iter().sum();
    if buffer.len() < whole {
        buffer.resize(whole, 0.0);
    }
    let mut rest = &mut buffer[..];
    lengths.map(|n| rest.split_off_mut(..n).unwrap_or_default())
}

/// Some values, without a call for them.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    let to = &mut to[..from.len()];
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<32>(), to.as_chunks_mut::<32>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

/// A whole number of vectors of any processor.
fn vectors(count: usize) -> usize {
    count.next_multiple_of(16)
}

/// The three rows of every channel that a row of the answer is made of, laid out so that whole vectors are read at each column of
/// the kernel: zero, row, zero for stride 1; even values, zero, odd values for stride 2.
struct Ring<'a> {
    values: &'a mut [f32],
    edge: usize,
    stride: usize,
    /// Row that is filled next; for stride 1 there is one of zeros first.
    next: usize,
}

impl<'a> Ring<'a> {
    fn length(channels: usize, edge: usize) -> usize {
        channels * 3 * (edge + 2)
    }

    fn new(values: &'a mut [f32], edge: usize, stride: usize) -> Self {
        values.fill(0.0);
        Self { values, edge, stride, next: 2 - stride }
    }

    /// Where in a line each column of the kernel begins.
    fn columns(&self) -> [usize; 3] {
        if self.stride == 1 { [0, 1, 2] } else { [0, self.edge / 2 + 1, 1] }
    }

    /// Where the line of a row is among those of its channel; rows are counted with the zeros before.
    fn at(&self, row: usize) -> usize {
        row % 3 * (self.edge + 2)
    }

    /// Fills what row `to` of the answer needs.
    #[inline(always)]
    fn advance<S: Simd>(&mut self, simd: S, to: usize, source: &mut Rows) {
        while self.next < to * self.stride + 3 {
            let row = self.next + self.stride - 2;
            if row < self.edge {
                source.fill(simd, row, self);
            } else {
                let at = self.at(self.next);
                for lines in self.values.chunks_exact_mut(3 * (self.edge + 2)) {
                    lines[at..][..self.edge + 2].fill(0.0);
                }
            }
            self.next += 1;
        }
    }

    /// Lays the next row of a channel into its line.
    #[inline(always)]
    fn lay(&mut self, channel: usize, row: &[f32]) {
        let line = self.edge + 2;
        let from = channel * 3 * line + self.at(self.next);
        let line = &mut self.values[from..][..line];
        if self.stride == 1 {
            copy(row, &mut line[1..]);
        } else {
            let (even, odd) = line.split_at_mut(row.len() / 2 + 1);
            for ((pair, even), odd) in row.as_chunks::<2>().0.iter().zip(even).zip(odd) {
                [*even, *odd] = *pair;
            }
        }
    }

    /// A channel's values at each place of the kernel, for a row of the answer.
    #[inline(always)]
    fn taps(&self, channel: usize, row: usize) -> [&[f32]; 9] {
        let (line, to, columns) = (self.edge + 2, self.edge / self.stride, self.columns());
        let lines = &self.values[channel * 3 * line..][..3 * line];
        let mut taps: [&[f32]; 9] = [&[]; 9];
        for (k, tap) in taps.iter_mut().enumerate() {
            *tap = &lines[self.at(row * self.stride + k / 3) + columns[k % 3]..][..to];
        }
        taps
    }
}

/// Fills a ring.
struct Rows<'a> {
    source: Source<'a>,
    /// A row of maps, [inputs, vectors(edge)].
    maps_row: &'a mut [f32],
    /// A row of skip and coarse, [C, vectors(edge)].
    plus: &'a mut [f32],
}

impl Rows<'_> {
    /// Lengths of the two rows.
    fn lengths(source: Source, edge: usize) -> [usize; 2] {
        match source {
            Source::Planes(_) => [0; 2],
            Source::Joined { layer, .. } => [layer.inputs, layer.outputs].map(|n| n * vectors(edge)),
        }
    }

    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, row: usize, ring: &mut Ring) {
        let (edge, places) = (ring.edge, ring.edge * ring.edge);
        match self.source {
            Source::Planes(x) => {
                for (channel, plane) in x.chunks_exact(places).enumerate() {
                    ring.lay(channel, &plane[row * edge..][..edge]);
                }
            }
            Source::Joined { layer, maps, skip, coarse } => {
                let (wide, half) = (vectors(edge), edge / 2);
                for (line, plane) in self.maps_row.chunks_exact_mut(wide).zip(maps.chunks_exact(places)) {
                    copy(&plane[row * edge..][..edge], line);
                }
                for (channel, line) in self.plus.chunks_exact_mut(wide).enumerate() {
                    skip.read(channel * places + row * edge, &mut line[..edge]);
                    let coarse = &coarse[channel * places / 4 + row / 2 * half..][..half];
                    for (pair, v) in line.as_chunks_mut::<2>().0.iter_mut().zip(coarse) {
                        pair[0] += v;
                        pair[1] += v;
                    }
                }
                let [x, plus] = [&*self.maps_row, &*self.plus].map(|values| Lines { values, apart: wide });
                let at = ring.at(ring.next) + 1;
                layer.lines(simd, edge, x, Some(plus), (&mut ring.values[at..], 3 * (edge + 2)));
            }
        }
    }
}

struct Bands<'a> {
    layer: &'a Separable,
    source: Source<'a>,
    edge: usize,
    target: Target<'a>,
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Bands<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer: Separable { spatial, point }, source, edge, mut target, scratch } = self;
        let (channels, to) = (spatial.bias.len(), edge / spatial.stride);
        let rows = (PANEL / to).max(1);
        let wide = vectors(rows * to);
        let [maps_row, plus_row] = Rows::lengths(source, edge);
        let then = target.then.as_ref().map_or(0, |(layer, _)| layer.outputs);
        let plus = if target.plus.is_some() { point.outputs } else { 0 };
        let bands = [channels, point.outputs, plus, then].map(|n| n * wide);
        let [ring, rest @ ..] =
            carved(scratch, [Ring::length(channels, edge), maps_row, plus_row, bands[0], bands[1], bands[2], bands[3]]);
        let [maps_row, plus, band, mut buffers @ ..] = rest;
        let (mut ring, mut source) = (Ring::new(ring, edge, spatial.stride), Rows { source, maps_row, plus });
        for first in (0..to).step_by(rows) {
            let rows = rows.min(to - first);
            for row in 0..rows {
                ring.advance(simd, first + row, &mut source);
                for (channel, band) in band.chunks_exact_mut(wide).enumerate() {
                    let kernel = spatial.kernel(simd, channel);
                    kernel.row(ring.taps(channel, first + row), &mut band[row * to..][..to]);
                }
            }
            let (from, count) = (first * to, rows * to);
            let x = Lines { values: band, apart: wide };
            target.put(simd, point, x, from, count, &mut buffers);
        }
    }
}

impl Target<'_> {
    /// A band of `count` places from place `from` on; in the buffers there is room for the answer, what is added, and the layer on top.
    #[inline(always)]
    fn put<S: Simd>(
        &mut self,
        simd: S,
        point: &Linear,
        x: Lines,
        from: usize,
        count: usize,
        [answer, added, more]: &mut [&mut [f32]; 3],
    ) {
        let (apart, places) = (x.apart, self.planes.len() / point.outputs);
        let plus = self.plus.map(|plus| {
            for (channel, line) in added.chunks_exact_mut(apart).enumerate() {
                plus.read(channel * places + from, &mut line[..count]);
            }
            Lines { values: added, apart }
        });
        point.lines(simd, count, x, plus, (answer, apart));
        copied(Lines { values: answer, apart }, from, count, self.planes);
        if let Some((layer, planes)) = &mut self.then {
            layer.lines(simd, count, Lines { values: answer, apart }, None, (more, apart));
            copied(Lines { values: more, apart }, from, count, planes);
        }
    }
}

/// The first `count` values of each line to place `from` of its plane.
#[inline(always)]
fn copied(lines: Lines, from: usize, count: usize, planes: &mut [f32]) {
    let channels = lines.values.len() / lines.apart;
    let places = planes.len() / channels;
    for (plane, line) in planes.chunks_exact_mut(places).zip(lines.values.chunks_exact(lines.apart)) {
        copy(&line[..count], &mut plane[from..]);
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
    #[inline(always)]
    fn row(&self, taps: [&[f32]; 9], y: &mut [f32]) {
        let (to, whole) = (y.len(), y.len() / S::F32_LANES);
        let mut vectors: [&[S::f32s]; 9] = [&[]; 9];
        for (vectors, tap) in vectors.iter_mut().zip(taps) {
            *vectors = &S::as_simd_f32s(tap).0[..whole];
        }
        let (done, rest) = S::as_mut_simd_f32s(y);
        for (i, y) in done[..whole].iter_mut().enumerate() {
            let mut seen = self.weights;
            for (seen, tap) in seen.iter_mut().zip(vectors) {
                *seen = tap[i];
            }
            *y = self.sum(seen);
        }
        if !rest.is_empty() {
            let mut seen = self.weights;
            for (seen, tap) in seen.iter_mut().zip(taps) {
                *seen = self.simd.partial_load_f32s(&tap[to - rest.len()..]);
            }
            self.simd.partial_store_f32s(rest, self.sum(seen));
        }
    }

    #[inline(always)]
    fn sum(&self, seen: [S::f32s; 9]) -> S::f32s {
        let (simd, w) = (self.simd, &self.weights);
        // A chain for each row, of which the processor does several at once.
        let mut rows = [self.bias, simd.splat_f32s(0.0), simd.splat_f32s(0.0)];
        for (k, row) in rows.iter_mut().enumerate() {
            for i in 3 * k..3 * k + 3 {
                *row = simd.mul_add_e_f32s(w[i], seen[i], *row);
            }
        }
        let sum = simd.add_f32s(rows[0], simd.add_f32s(rows[1], rows[2]));
        simd.min_f32s(simd.max_f32s(sum, self.low), self.high)
    }
}

struct Full<'a> {
    layer: &'a Linear,
    x: &'a [f32],
    edge: usize,
    y: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Full<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, edge, y, scratch } = self;
        let (channels, to) = (layer.inputs / 9, edge / 2);
        let wide = vectors(to);
        let [ring, seen] = carved(scratch, [Ring::length(channels, edge), layer.inputs * wide]);
        let mut ring = Ring::new(ring, edge, 2);
        let mut source = Rows { source: Source::Planes(x), maps_row: &mut [], plus: &mut [] };
        for row in 0..to {
            ring.advance(simd, row, &mut source);
            for (channel, seen) in seen.chunks_exact_mut(9 * wide).enumerate() {
                for (line, tap) in seen.chunks_exact_mut(wide).zip(ring.taps(channel, row)) {
                    copy(tap, line);
                }
            }
            layer.lines(simd, to, Lines { values: seen, apart: wide }, None, (&mut y[row * to..], to * to));
        }
    }
}
