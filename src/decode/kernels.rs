//! Operations on planes ([C, H * W], one channel after the other) and on token rows ([T, C]), f32, wide on any processor.

use pulp::{Arch, Simd, WithSimd};

use crate::fast_math::exp;
use crate::wide::wide;

/// What is done to sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    Relu6,
}

impl Activation {
    fn bounds(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// A linear layer, or a 1x1 convolution.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
    /// [inputs, outputs].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

/// Planes, [C, places], of values or of bytes that stand for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Planes<'a> {
    /// As they are.
    Values(&'a [f32]),
    /// Each byte stands for `scale * (byte - zero)`.
    Steps { bytes: &'a [u8], scale: f32, zero: f32 },
}

impl Planes<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Steps { bytes, .. } => bytes.len(),
        }
    }
}

/// Places that are done before the next, a whole number of vectors: their inputs stay in the first cache.
const PANEL: usize = 96;

impl Linear {
    /// Planes to planes: `y[o] = activation(sum over i of w[i][o] x[i] + b[o] + plus[o])`.
    ///
    /// Shape: `x` [inputs, places], `plus` and `y` [outputs, places].
    pub fn planes(&self, x: &[f32], plus: Option<Planes>, y: &mut [f32], panel: &mut Vec<f32>) {
        let places = y.len() / self.outputs.max(1);
        debug_assert_eq!(x.len(), self.inputs * places);
        panel.resize((self.inputs + self.outputs).max(1) * PANEL, 0.0);
        let (panel, steps) = panel.split_at_mut(self.inputs * PANEL);
        Arch::new().dispatch(Product { layer: self, x, plus, y, places, panel, steps });
    }

    /// Rows to rows: [n, inputs] to [n, outputs].
    pub fn rows(&self, x: &[f32], y: &mut Vec<f32>) {
        y.clear();
        let (low, high) = self.activation.bounds();
        for row in x.chunks_exact(self.inputs) {
            let at = y.len();
            y.extend_from_slice(&self.bias);
            let sums = &mut y[at..];
            for (v, weights) in row.iter().zip(self.weights.chunks_exact(self.outputs)) {
                sums.iter_mut().zip(weights).for_each(|(s, w)| *s += v * w);
            }
            sums.iter_mut().for_each(|s| *s = s.clamp(low, high));
        }
    }
}

struct Product<'a> {
    layer: &'a Linear,
    x: &'a [f32],
    plus: Option<Planes<'a>>,
    y: &'a mut [f32],
    places: usize,
    /// For columns of inputs, and of what is added.
    panel: &'a mut [f32],
    steps: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, plus, y, places, panel, steps } = self;
        let (low, high) = layer.activation.bounds();
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        for from in (0..places).step_by(PANEL) {
            let count = PANEL.min(places - from);
            for (panel, plane) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(x.chunks_exact(places)) {
                match plane[from..].first_chunk() {
                    Some(whole) => *panel = *whole,
                    None => panel[..count].copy_from_slice(&plane[from..]),
                }
            }
            let plus = match plus {
                None => None,
                Some(Planes::Values(values)) => Some((&values[from..], places)),
                Some(Planes::Steps { bytes, scale, zero }) => {
                    for (line, plane) in steps.as_chunks_mut::<PANEL>().0.iter_mut().zip(bytes.chunks_exact(places)) {
                        match plane[from..].first_chunk::<PANEL>() {
                            Some(whole) => {
                                for i in 0..PANEL {
                                    line[i] = (f32::from(whole[i]) - zero) * scale;
                                }
                            }
                            None => {
                                for (v, byte) in line.iter_mut().zip(&plane[from..]) {
                                    *v = (f32::from(*byte) - zero) * scale;
                                }
                            }
                        }
                    }
                    Some((&*steps, PANEL))
                }
            };
            let tile = Tile { layer, panel, plus, from, count, places, low, high };
            let mut first = 0;
            while first < layer.outputs {
                first += tile.outputs(simd, first, y);
            }
        }
    }
}

/// One panel's sums.
struct Tile<'a, S: Simd> {
    layer: &'a Linear,
    panel: &'a [f32],
    /// What is added, from the panel's first column on, and how far its lines are apart.
    plus: Option<(&'a [f32], usize)>,
    /// Place of the panel's first column.
    from: usize,
    count: usize,
    places: usize,
    low: S::f32s,
    high: S::f32s,
}

impl<S: Simd> Tile<'_, S> {
    /// As many outputs from `first` on as registers hold; gives their number.
    #[inline(always)]
    fn outputs(&self, simd: S, first: usize, y: &mut [f32]) -> usize {
        match self.layer.outputs - first {
            8.. if S::F32_LANES != 8 => self.columns::<8>(simd, first, y),
            4.. => self.columns::<4>(simd, first, y),
            2.. => self.columns::<2>(simd, first, y),
            _ => self.columns::<1>(simd, first, y),
        }
    }

    #[inline(always)]
    fn columns<const M: usize>(&self, simd: S, first: usize, y: &mut [f32]) -> usize {
        let mut at = 0;
        while at < self.count {
            if self.count - at > S::F32_LANES {
                self.sums::<M, 2>(simd, first, at, y);
                at += 2 * S::F32_LANES;
            } else {
                self.sums::<M, 1>(simd, first, at, y);
                at += S::F32_LANES;
            }
        }
        M
    }

    /// `M` outputs at `V` vectors of places.
    #[inline(always)]
    fn sums<const M: usize, const V: usize>(&self, simd: S, first: usize, at: usize, y: &mut [f32]) {
        let mut acc = [[simd.splat_f32s(0.0); V]; M];
        for (acc, bias) in acc.iter_mut().zip(&self.layer.bias[first..first + M]) {
            *acc = [simd.splat_f32s(*bias); V];
        }
        let weights = self.layer.weights.chunks_exact(self.layer.outputs);
        for (column, weights) in self.panel.chunks_exact(PANEL).zip(weights) {
            let (seen, _) = S::as_simd_f32s(&column[at..]);
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
        for (m, acc) in acc.iter().enumerate() {
            for (v, sum) in acc.iter().enumerate() {
                let at = at + v * S::F32_LANES;
                let left = self.count.saturating_sub(at).min(S::F32_LANES);
                let sum = match self.plus {
                    Some((plus, line)) => simd.add_f32s(*sum, loaded(simd, &plus[(first + m) * line + at..][..left])),
                    None => *sum,
                };
                let sum = simd.min_f32s(simd.max_f32s(sum, self.low), self.high);
                match S::as_mut_simd_f32s(&mut y[(first + m) * self.places + self.from + at..][..left]) {
                    ([whole], _) => *whole = sum,
                    (_, part) => simd.partial_store_f32s(part, sum),
                }
            }
        }
    }
}

/// At most a vector of values.
#[inline(always)]
fn loaded<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values) {
        ([whole], _) => *whole,
        (_, part) => simd.partial_load_f32s(part),
    }
}

/// A depthwise 3x3 convolution.
#[derive(Clone, Debug)]
pub(super) struct Spatial {
    pub stride: usize,
    /// [C, 9].
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub activation: Activation,
}

impl Spatial {
    /// Planes [C, edge, edge] to [C, edge / stride, edge / stride].
    pub fn planes(&self, x: &[f32], edge: usize, y: &mut [f32], scratch: &mut Vec<f32>) {
        scratch.clear();
        scratch.resize(3 * (edge + 2), 0.0);
        Arch::new().dispatch(Neighbours { layer: self, x, edge, y, lines: scratch });
    }
}

struct Neighbours<'a> {
    layer: &'a Spatial,
    x: &'a [f32],
    edge: usize,
    y: &'a mut [f32],
    /// Three of `edge + 2` values, whose ends are zero.
    lines: &'a mut [f32],
}

impl WithSimd for Neighbours<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, x, edge, y, lines } = self;
        let to = edge / layer.stride;
        let bounds = layer.activation.bounds();
        let weights = layer.weights.as_chunks::<9>().0.iter().zip(&layer.bias);
        for ((y, x), (weights, bias)) in y.chunks_exact_mut(to * to).zip(x.chunks_exact(edge * edge)).zip(weights) {
            if layer.stride == 1 {
                let near = Near {
                    simd,
                    weights: weights.map(|w| simd.splat_f32s(w)),
                    bias: simd.splat_f32s(*bias),
                    low: simd.splat_f32s(bounds.0),
                    high: simd.splat_f32s(bounds.1),
                };
                near.plane(x, edge, lines, y);
            } else {
                let nothing = &mut lines[..edge];
                nothing.fill(0.0);
                for (at, y) in y.chunks_exact_mut(to).enumerate() {
                    let below = x.get((2 * at + 2) * edge..(2 * at + 3) * edge).unwrap_or(nothing);
                    let rows = [&x[2 * at * edge..][..edge], &x[(2 * at + 1) * edge..][..edge], below];
                    apart(rows, weights, *bias, bounds, y);
                }
            }
        }
    }
}

/// A channel of a 3x3 convolution of stride 1.
struct Near<S: Simd> {
    simd: S,
    weights: [S::f32s; 9],
    bias: S::f32s,
    low: S::f32s,
    high: S::f32s,
}

impl<S: Simd> Near<S> {
    #[inline(always)]
    fn plane(&self, x: &[f32], edge: usize, lines: &mut [f32], y: &mut [f32]) {
        let line = edge + 2;
        // Row r, with a zero at either end, is in line (r + 1) % 3; above the first row there are zeros.
        lines[..line].fill(0.0);
        lines[line + 1..=line + edge].copy_from_slice(&x[..edge]);
        for (at, y) in y.chunks_exact_mut(edge).enumerate() {
            let below = &mut lines[(at + 2) % 3 * line..][1..=edge];
            match x.get((at + 1) * edge..(at + 2) * edge) {
                Some(row) => below.copy_from_slice(row),
                None => below.fill(0.0),
            }
            let [a, b, c] = [at % 3, (at + 1) % 3, (at + 2) % 3];
            self.row([&lines[a * line..][..line], &lines[b * line..][..line], &lines[c * line..][..line]], y);
        }
    }

    /// From rows that have a value more at either end.
    #[inline(always)]
    fn row(&self, rows: [&[f32]; 3], y: &mut [f32]) {
        let (edge, whole) = (y.len(), y.len() / S::F32_LANES);
        let mut taps: [&[S::f32s]; 9] = [&[]; 9];
        for (k, tap) in taps.iter_mut().enumerate() {
            *tap = &S::as_simd_f32s(&rows[k / 3][k % 3..][..edge]).0[..whole];
        }
        let (vectors, rest) = S::as_mut_simd_f32s(y);
        for (i, y) in vectors[..whole].iter_mut().enumerate() {
            let mut seen = self.weights;
            for (seen, tap) in seen.iter_mut().zip(taps) {
                *seen = tap[i];
            }
            *y = self.sum(seen);
        }
        if !rest.is_empty() {
            let mut seen = self.weights;
            for (k, seen) in seen.iter_mut().enumerate() {
                *seen = self.simd.partial_load_f32s(&rows[k / 3][k % 3..][edge - rest.len()..edge]);
            }
            self.simd.partial_store_f32s(rest, self.sum(seen));
        }
    }

    #[inline(always)]
    fn sum(&self, seen: [S::f32s; 9]) -> S::f32s {
        let mut sum = self.bias;
        for (weight, seen) in self.weights.into_iter().zip(seen) {
            sum = self.simd.mul_add_e_f32s(weight, seen, sum);
        }
        self.simd.min_f32s(self.simd.max_f32s(sum, self.low), self.high)
    }
}

/// A row of a 3x3 convolution of stride 2, one zero at the end.
#[inline(always)]
fn apart(rows: [&[f32]; 3], w: &[f32; 9], bias: f32, (low, high): (f32, f32), y: &mut [f32]) {
    let last = y.len() - 1;
    let pairs = rows.map(|row| row.as_chunks::<2>().0);
    let sum = |i: usize| {
        let taps = |k: usize| w[3 * k] * pairs[k][i][0] + w[3 * k + 1] * pairs[k][i][1];
        bias + taps(0) + taps(1) + taps(2)
    };
    for i in 0..last {
        let right = w[2] * pairs[0][i + 1][0] + w[5] * pairs[1][i + 1][0] + w[8] * pairs[2][i + 1][0];
        y[i] = (sum(i) + right).clamp(low, high);
    }
    y[last] = sum(last).clamp(low, high);
}

/// The neighbourhoods of a 3x3 convolution of stride 2, pads 0 before and 1 after, as planes: [C * 9, (edge / 2)^2].
pub(super) fn neighbourhoods(x: &[f32], edge: usize, out: &mut [f32]) {
    let to = edge / 2;
    for (at, plane) in out.chunks_exact_mut(to * to).enumerate() {
        let (channel, ky, kx) = (at / 9, at / 3 % 3, at % 3);
        let x = &x[channel * edge * edge..][..edge * edge];
        for (oy, row) in plane.chunks_exact_mut(to).enumerate() {
            let y = 2 * oy + ky;
            if y >= edge {
                row.fill(0.0);
                continue;
            }
            let pairs = x[y * edge..][..edge].as_chunks::<2>().0;
            match kx {
                0 => row.iter_mut().zip(pairs).for_each(|(v, p)| *v = p[0]),
                1 => row.iter_mut().zip(pairs).for_each(|(v, p)| *v = p[1]),
                _ => {
                    row.iter_mut().zip(&pairs[1..]).for_each(|(v, p)| *v = p[0]);
                    row[to - 1] = 0.0;
                }
            }
        }
    }
}

/// `fine = clamp(coarse + fine, 0, 6)`, every value of `coarse` twice in both directions.
///
/// Shape: `coarse` [C, edge / 2, edge / 2], `fine` [C, edge, edge].
pub(super) fn up_add_relu6(coarse: &[f32], edge: usize, fine: &mut [f32], scratch: &mut Vec<f32>) {
    scratch.clear();
    scratch.resize(edge, 0.0);
    wide(
        #[inline(always)]
        move || {
            let (fine, twice) = (fine, scratch);
            for (coarse, fine) in coarse.chunks_exact(edge / 2).zip(fine.chunks_exact_mut(2 * edge)) {
                for (pair, v) in twice.as_chunks_mut::<2>().0.iter_mut().zip(coarse) {
                    *pair = [*v, *v];
                }
                for fine in fine.chunks_exact_mut(edge) {
                    for (fine, v) in fine.iter_mut().zip(&*twice) {
                        *fine = (*fine + v).clamp(0.0, 6.0);
                    }
                }
            }
        },
    );
}

/// Layer normalization.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    /// Over the channels of each row.
    pub fn rows(&self, x: &mut [f32]) {
        let n = self.gain.len();
        for row in x.chunks_exact_mut(n) {
            let mean = row.iter().sum::<f32>() / n as f32;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((v, g), b) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *v = (*v - mean) * scale * g + b;
            }
        }
    }

    /// Over the channels of each place of planes.
    pub fn planes(&self, x: &mut [f32], scratch: &mut Vec<f32>) {
        wide(
            #[inline(always)]
            move || {
                let x = x;
                self.all_planes(x, scratch);
            },
        );
    }

    #[inline(always)]
    fn all_planes(&self, x: &mut [f32], scratch: &mut Vec<f32>) {
        let n = self.gain.len();
        let places = x.len() / n;
        scratch.clear();
        scratch.resize(2 * places, 0.0);
        let (mean, scale) = scratch.split_at_mut(places);
        for plane in x.chunks_exact(places) {
            mean.iter_mut().zip(plane).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= n as f32);
        for plane in x.chunks_exact(places) {
            for ((s, v), m) in scale.iter_mut().zip(plane).zip(&*mean) {
                *s += (v - m) * (v - m);
            }
        }
        scale.iter_mut().for_each(|s| *s = 1.0 / (*s / n as f32 + self.epsilon).sqrt());
        for ((plane, g), b) in x.chunks_exact_mut(places).zip(&self.gain).zip(&self.bias) {
            for ((v, m), s) in plane.iter_mut().zip(&*mean).zip(&*scale) {
                *v = (*v - m) * s * g + b;
            }
        }
    }
}

/// Values that are summed side by side: some vectors of any processor.
const LANES: usize = 32;

/// `out[p] = sum over j of a[j] x[j][p]`. Shape: `x` planes [J, places].
#[inline(always)]
fn weighted(a: &[f32], x: &[f32], out: &mut [f32]) {
    let places = out.len();
    let (chunks, rest) = out.as_chunks_mut::<LANES>();
    let first_of_rest = places - rest.len();
    for (c, out) in chunks.iter_mut().enumerate() {
        let mut sums = [0.0; LANES];
        for (a, plane) in a.iter().zip(x.chunks_exact(places)) {
            let Some(x) = plane[c * LANES..].first_chunk::<LANES>() else { continue };
            for i in 0..LANES {
                sums[i] += a * x[i];
            }
        }
        *out = sums;
    }
    rest.fill(0.0);
    for (a, plane) in a.iter().zip(x.chunks_exact(places)) {
        for (s, x) in rest.iter_mut().zip(&plane[first_of_rest..]) {
            *s += a * x;
        }
    }
}

/// The sum of products.
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let mut total = 0.0;
    for s in sums {
        total += s;
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        total += a * b;
    }
    total
}

/// Scores to weights, `exp(scale * (score - most))`; gives their sum.
#[inline(always)]
fn weights_of(scores: &mut [f32], scale: f32) -> f32 {
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let mut most = f32::NEG_INFINITY;
    for s in lanes.iter().chain(&*rest) {
        most = if *s > most { *s } else { most };
    }
    let (mut sums, mut total) = ([0.0; LANES], 0.0);
    for chunk in chunks {
        for i in 0..LANES {
            chunk[i] = exp((chunk[i] - most) * scale);
            sums[i] += chunk[i];
        }
    }
    for s in rest {
        *s = exp((*s - most) * scale);
        total += *s;
    }
    for s in sums {
        total += s;
    }
    total
}

/// Tokens look at an image: softmax over its places.
///
/// Shape: `q` [T, D], `k` and `v` planes [D, places], D = heads * part; `out` [T, D].
pub(super) fn tokens_to_image(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    scratch: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    let d = shape.heads * shape.part;
    let places = k.len() / d;
    out.clear();
    out.resize(q.len(), 0.0);
    scratch.resize(places, 0.0);
    wide(
        #[inline(always)]
        move || {
            let (scores, out) = (&mut scratch[..places], out);
            let parts = q.chunks_exact(shape.part).zip(out.chunks_exact_mut(shape.part)).enumerate();
            for (i, (q, out)) in parts {
                let planes = i % shape.heads * shape.part * places..(i % shape.heads + 1) * shape.part * places;
                weighted(q, &k[planes.clone()], scores);
                let total = weights_of(scores, shape.scale);
                for (out, plane) in out.iter_mut().zip(v[planes].chunks_exact(places)) {
                    *out = product(scores, plane) / total;
                }
            }
        },
    );
}

/// How an attention is split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub heads: usize,
    /// Channels of a head.
    pub part: usize,
    pub scale: f32,
}

/// An image looks at tokens: softmax over the tokens, at every place.
///
/// Shape: `q` planes [D, places], `k` and `v` [T, D]; `out` planes [D, places].
pub(super) fn image_to_tokens(q: &[f32], k: &[f32], v: &[f32], shape: Heads, scratch: &mut Vec<f32>, out: &mut [f32]) {
    let d = shape.heads * shape.part;
    let (places, tokens) = (q.len() / d, k.len() / d);
    scratch.resize((tokens + 2) * places + tokens, 0.0);
    wide(
        #[inline(always)]
        move || {
            let (scratch, out) = (scratch, out);
            let (ends, rest) = scratch.split_at_mut(2 * places);
            let (most, total) = ends.split_at_mut(places);
            let (scores, column) = rest.split_at_mut(tokens * places);
            for (head, out) in out.chunks_exact_mut(shape.part * places).enumerate() {
                let q = &q[head * shape.part * places..][..shape.part * places];
                most.fill(f32::NEG_INFINITY);
                total.fill(0.0);
                for (k, scores) in k.chunks_exact(d).zip(scores.chunks_exact_mut(places)) {
                    weighted(&k[head * shape.part..][..shape.part], q, scores);
                    for (m, s) in most.iter_mut().zip(&*scores) {
                        *m = if *s > *m { *s } else { *m };
                    }
                }
                for scores in scores.chunks_exact_mut(places) {
                    for ((s, m), total) in scores.iter_mut().zip(&*most).zip(&mut *total) {
                        *s = exp((*s - m) * shape.scale);
                        *total += *s;
                    }
                }
                for t in &mut *total {
                    *t = 1.0 / *t;
                }
                for (j, out) in out.chunks_exact_mut(places).enumerate() {
                    for (w, v) in column.iter_mut().zip(v.chunks_exact(d)) {
                        *w = v[head * shape.part + j];
                    }
                    weighted(column, scores, out);
                    for (o, t) in out.iter_mut().zip(&*total) {
                        *o *= t;
                    }
                }
            }
        },
    );
}

/// Tokens look at each other.
///
/// Shape: `q`, `k`, `v` [T, D]; `out` [T, D].
pub(super) fn tokens_to_tokens(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: Heads,
    scores: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    let d = shape.heads * shape.part;
    out.clear();
    out.resize(q.len(), 0.0);
    for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
        for head in 0..shape.heads {
            let range = head * shape.part..(head + 1) * shape.part;
            let dot = |k: &[f32]| q[range.clone()].iter().zip(&k[range.clone()]).map(|(q, k)| q * k).sum::<f32>();
            scores.clear();
            scores.extend(k.chunks_exact(d).map(|k| dot(k) * shape.scale));
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = exp(*s - most));
            let total: f32 = scores.iter().sum();
            for (v, s) in v.chunks_exact(d).zip(&*scores) {
                out[range.clone()].iter_mut().zip(&v[range.clone()]).for_each(|(o, v)| *o += s / total * v);
            }
        }
    }
}
