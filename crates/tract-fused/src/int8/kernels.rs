//! Convolutions and additions over channels-last bytes, written once for all instruction sets.
//!
//! - [`gemm`]: a convolution whose taps along a row are contiguous (1x1, or any kernel over few channels). It computes one
//!   register tile, MR pixels by NR vectors of channels, at a time. Sums are requantized in registers; a residual is added there.
//! - [`depthwise`]: four taps of each channel are interleaved, so that the same dot products serve. At stride 1 a row is
//!   processed as one line of bytes, two output rows at a time.
//!
//! Activations are loaded in whole vectors, so buffers extend beyond the last pixel (see [`buffer`](super::buffer)). Only bytes
//! of the result are written.
#![allow(unsafe_code, reason = "pointers into buffers with halos")]

use std::ops::Range;

use super::isa::{Isa, RegisterTile, dots_of};
use super::network::Sum;
use crate::aligned::Aligned;

/// Output channels that are computed together, with their parameters.
pub(super) struct Block {
    /// First channel.
    pub first: usize,
    /// Number of channels that are written.
    pub count: usize,
    /// Vectors of lanes, 1..=4.
    pub vectors: usize,
    /// Packed, [tap row][four inputs][vector].
    pub weights: Aligned<u8>,
    /// In the packed order; includes the contribution of the input's zero point.
    pub bias: Aligned<i32>,
    /// In the packed order.
    pub scales: Aligned<f32>,
}

/// A tensor that is added to a convolution's result.
pub(super) struct Residual<'a> {
    pub other: *const u8,
    /// Offset of each pixel.
    pub offsets: &'a [u32],
    pub sum: Sum,
}

/// A convolution of a range of pixels. `x` and `y` point to pixel 0, which may be before the buffer of a band.
pub(super) struct GemmCall<'a> {
    pub x: *const u8,
    /// Offset of each pixel's first tap.
    pub inputs: &'a [u32],
    /// Offset of each row of taps.
    pub taps: &'a [usize],
    /// Bytes of a row of taps, divided by four.
    pub quads: usize,
    pub y: *mut u8,
    /// Offset of each pixel.
    pub outputs: &'a [u32],
    pub blocks: &'a [Block],
    /// Zero point of the convolution's result.
    pub zero: i32,
    pub residual: Option<Residual<'a>>,
    pub pixels: Range<usize>,
}

/// Input bytes that are processed for all channels before the next ones, so that they stay in L1 or L2.
const INPUT_BYTES: usize = 96 * 1024;

/// # Safety
/// The processor has the instruction set; offsets and taps stay within the buffers.
#[inline(always)]
pub(super) unsafe fn gemm<I: Isa>(call: &GemmCall) {
    let each = 4 * call.quads * call.taps.len();
    let step = (INPUT_BYTES / each / 48 * 48).max(48);
    let mut from = call.pixels.start;
    while from < call.pixels.end {
        let to = if call.pixels.end - from < step + 16 { call.pixels.end } else { from + step };
        for block in call.blocks {
            // SAFETY: the caller's promise.
            unsafe { tiles::<I>(call, block, from..to) }
        }
        from = to;
    }
}

#[inline(always)]
unsafe fn tiles<I: Isa>(call: &GemmCall, block: &Block, pixels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        match (I::REGISTER_TILE, block.vectors) {
            (RegisterTile::Sums24, 4) => rows::<I, 6, 4>(call, block, pixels),
            (RegisterTile::Sums24, 3) => rows::<I, 8, 3>(call, block, pixels),
            (RegisterTile::Sums24, 2) => rows::<I, 12, 2>(call, block, pixels),
            (RegisterTile::Sums24, _) => rows::<I, 16, 1>(call, block, pixels),
            (RegisterTile::Sums20, 4) => rows::<I, 5, 4>(call, block, pixels),
            (RegisterTile::Sums20, 3) => rows::<I, 6, 3>(call, block, pixels),
            (RegisterTile::Sums20, 2) => rows::<I, 8, 2>(call, block, pixels),
            (RegisterTile::Sums20, _) => rows::<I, 12, 1>(call, block, pixels),
            (RegisterTile::Sums15, 4) => rows::<I, 3, 4>(call, block, pixels),
            (RegisterTile::Sums15, 3) => rows::<I, 5, 3>(call, block, pixels),
            (RegisterTile::Sums15, 2) => rows::<I, 7, 2>(call, block, pixels),
            (RegisterTile::Sums15, _) => rows::<I, 10, 1>(call, block, pixels),
            (RegisterTile::Sums12, 4) => rows::<I, 3, 4>(call, block, pixels),
            (RegisterTile::Sums12, 3) => rows::<I, 4, 3>(call, block, pixels),
            (RegisterTile::Sums12, 2) => rows::<I, 5, 2>(call, block, pixels),
            (RegisterTile::Sums12, _) => rows::<I, 8, 1>(call, block, pixels),
        }
    }
}

#[inline(always)]
unsafe fn rows<I: Isa, const MR: usize, const NR: usize>(call: &GemmCall, block: &Block, pixels: Range<usize>) {
    let mut at = pixels.start;
    // SAFETY: the caller's promise; the last tile is moved back to end with the pixels. Pixels computed twice have the same result.
    unsafe {
        if pixels.len() < MR {
            pixels.for_each(|at| tile::<I, 1, NR>(call, block, at));
            return;
        }
        while at < pixels.end {
            tile::<I, MR, NR>(call, block, at.min(pixels.end - MR));
            at += MR;
        }
    }
}

#[inline(always)]
unsafe fn tile<I: Isa, const MR: usize, const NR: usize>(call: &GemmCall, block: &Block, at: usize) {
    // SAFETY: the caller's promise: offsets of `MR` pixels from `at`, and packed weights of all taps.
    unsafe {
        let bias = block.bias.as_ptr();
        let mut acc = [[I::start(bias); NR]; MR];
        for z in 1..NR {
            let start = I::start(bias.add(z * I::LANES));
            for row in &mut acc {
                row[z] = start;
            }
        }
        let mut starts = [call.x; MR];
        for (m, start) in starts.iter_mut().enumerate() {
            *start = call.x.wrapping_add(*call.inputs.get_unchecked(at + m) as usize);
        }
        let mut weights = block.weights.as_ptr();
        // Without multiplication by element this would only occupy registers with addresses.
        let sixteens = if I::HAS_ELEMENTS { call.quads / 4 } else { 0 };
        for &tap in call.taps {
            for k in 0..sixteens {
                let mut lhs16 = [I::lhs16(starts[0], tap + 16 * k); MR];
                for (start, lhs16) in starts.iter().zip(&mut lhs16) {
                    *lhs16 = I::lhs16(*start, tap + 16 * k);
                }
                weights = quad::<I, 0, MR, NR>(&mut acc, &lhs16, weights);
                weights = quad::<I, 1, MR, NR>(&mut acc, &lhs16, weights);
                weights = quad::<I, 2, MR, NR>(&mut acc, &lhs16, weights);
                weights = quad::<I, 3, MR, NR>(&mut acc, &lhs16, weights);
            }
            for k in 4 * sixteens..call.quads {
                let rhs = rhs_vectors::<I, NR>(weights);
                weights = weights.add(NR * I::RHS_BYTES);
                for m in 0..MR {
                    acc[m] = dots_of::<I, NR>(acc[m], I::splat(starts[m].add(tap + 4 * k)), &rhs);
                }
            }
        }
        let scales = block.scales.as_ptr();
        let place = |of: &[u32], m: usize| *of.get_unchecked(at + m) as usize + block.first;
        match &call.residual {
            None => each::<MR>(
                #[inline(always)]
                |m| {
                    let y = call.y.wrapping_add(place(call.outputs, m));
                    I::store::<NR>(I::requantize(acc[m], scales, call.zero), y, block.count);
                },
            ),
            Some(r) => each::<MR>(
                #[inline(always)]
                |m| {
                    let mut own = [0u8; 64];
                    I::store::<NR>(I::requantize(acc[m], scales, call.zero), own.as_mut_ptr(), block.count);
                    let y = call.y.wrapping_add(place(call.outputs, m));
                    I::sum(own.as_ptr(), r.other.add(place(r.offsets, m)), y, block.count, &r.sum);
                },
            ),
        }
    }
}

/// Calls `f` for each index below `MR`, unrolled: sums indexed by a loop variable would be spilled from their registers.
#[inline(always)]
fn each<const MR: usize>(mut f: impl FnMut(usize)) {
    const { assert!(MR <= 16) };
    macro_rules! calls {
        ($($m:literal)*) => { $(if $m < MR { f($m) })* };
    }
    calls!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// The weights of four inputs for all vectors.
#[inline(always)]
unsafe fn rhs_vectors<I: Isa, const NR: usize>(weights: *const u8) -> [I::Rhs; NR] {
    // SAFETY: the caller's promise: that many packed weights.
    unsafe {
        let mut rhs = [I::rhs(weights); NR];
        for (z, rhs) in rhs.iter_mut().enumerate() {
            *rhs = I::rhs(weights.add(z * I::RHS_BYTES));
        }
        rhs
    }
}

/// Multiplies the `K`th four of sixteen activations of each pixel; returns the address of the next weights.
#[inline(always)]
unsafe fn quad<I: Isa, const K: usize, const MR: usize, const NR: usize>(
    acc: &mut [[I::Acc; NR]; MR],
    lhs16: &[I::Lhs16; MR],
    weights: *const u8,
) -> *const u8 {
    // SAFETY: the caller's promise: that many packed weights, and 16 bytes of each pixel.
    unsafe {
        let rhs = rhs_vectors::<I, NR>(weights);
        for (acc, lhs16) in acc.iter_mut().zip(lhs16) {
            *acc = I::dots::<K, NR>(*acc, *lhs16, &rhs);
        }
        weights.add(NR * I::RHS_BYTES)
    }
}

/// Packed weights of a depthwise convolution.
pub(super) struct DepthwiseWeights {
    /// Whether rows are processed as lines of bytes, along which patterns of weights repeat.
    pub is_flat: bool,
    /// Patterns, or groups of channels.
    pub patterns: usize,
    /// Packed, [pattern][vector], vectors in the order of the kernel's loop.
    pub weights: Aligned<u8>,
    /// Bytes of a pattern's weights.
    pub each: usize,
    /// [pattern][4 * lanes], in the packed order.
    pub bias: Aligned<i32>,
    /// As `bias`.
    pub scales: Aligned<f32>,
}

/// A depthwise convolution of a range of rows.
pub(super) struct DepthwiseCall<'a> {
    /// First tap of the first pixel.
    pub x: *const u8,
    pub x_row: usize,
    pub y: *mut u8,
    pub y_row: usize,
    /// Bytes of a pixel, the same in input and output.
    pub pixel: usize,
    pub rows: usize,
    pub width: usize,
    pub kernel: usize,
    pub stride: usize,
    pub weights: &'a DepthwiseWeights,
    pub zero: i32,
}

/// # Safety
/// The processor has the instruction set; all taps of all pixels lie within the buffers. At stride 1 a row more may be read.
#[inline(always)]
pub(super) unsafe fn depthwise<I: Isa>(call: &DepthwiseCall) {
    // SAFETY: the caller's promise.
    unsafe {
        match (call.weights.is_flat, call.kernel) {
            (true, 3) => flat::<I, 3>(call),
            (true, _) => flat::<I, 5>(call),
            (false, 3) => pixels::<I>(call, 3),
            (false, 5) => pixels::<I>(call, 7),
            (false, k) => pixels::<I>(call, (k * k).div_ceil(4)),
        }
    }
}

/// Processes rows as lines of bytes.
#[inline(always)]
unsafe fn flat<I: Isa, const K: usize>(call: &DepthwiseCall) {
    let line = call.width * call.pixel;
    let bytes = 4 * I::LANES;
    for pattern in 0..call.weights.patterns {
        let mut at = pattern * bytes;
        while at < line {
            let count = (line - at).min(bytes);
            // SAFETY: the caller's promise.
            unsafe { column::<I, K>(call, pattern, at, count) }
            at += call.weights.patterns * bytes;
        }
    }
}

#[inline(always)]
unsafe fn two_rows<I: Isa>(p: *const u8, row: usize) -> I::Pair {
    // SAFETY: the caller's promise.
    unsafe { I::pair(I::load(p), I::load(p.add(row))) }
}

/// Processes one position of the line down all rows, two at a time.
#[inline(always)]
unsafe fn column<I: Isa, const K: usize>(call: &DepthwiseCall, pattern: usize, at: usize, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let w = call.weights;
        let weights = w.weights.as_ptr().add(pattern * w.each);
        let (bias, scales) =
            (w.bias.as_ptr().add(pattern * 4 * I::LANES), w.scales.as_ptr().add(pattern * 4 * I::LANES));
        let mut start = [I::start(bias); 4];
        for (z, start) in start.iter_mut().enumerate() {
            *start = I::start(bias.add(z * I::LANES));
        }
        let x = call.x.add(at);
        // The lower pair of rows of one step is the upper pair of the next.
        let mut kept = [two_rows::<I>(x, call.x_row); K];
        for (d, kept) in kept.iter_mut().enumerate() {
            *kept = two_rows::<I>(x.add(d * call.pixel), call.x_row);
        }
        let mut row = 0;
        while row < call.rows {
            let (mut first, mut second) = (start, start);
            for (d, kept) in kept.iter_mut().enumerate() {
                let p = x.add((row + 2) * call.x_row + d * call.pixel);
                let mut upper = *kept;
                for q in 0..K / 2 {
                    let lower = two_rows::<I>(p.add(2 * q * call.x_row), call.x_row);
                    let quad = I::quad(upper, lower);
                    let rhs = weights.add((d * (K / 2) + q) * 8 * I::RHS_BYTES);
                    for z in 0..4 {
                        first[z] = I::dot(first[z], quad[z], I::rhs(rhs.add(z * I::RHS_BYTES)));
                        second[z] = I::dot(second[z], quad[z], I::rhs(rhs.add((4 + z) * I::RHS_BYTES)));
                    }
                    if q == 0 {
                        *kept = lower;
                    }
                    upper = lower;
                }
            }
            let y = call.y.add(row * call.y_row + at);
            I::store::<4>(I::requantize(first, scales, call.zero), y, count);
            if row + 1 < call.rows {
                I::store::<4>(I::requantize(second, scales, call.zero), y.add(call.y_row), count);
            }
            row += 2;
        }
    }
}

/// The tap row, of the first or second output row, for byte `i` of a lane in quad `q`. A quad holds rows `2 q ..`; rows that an
/// earlier quad held are not counted again.
pub(super) fn flat_tap(kernel: usize, is_second: bool, q: usize, i: usize) -> Option<usize> {
    let row = 2 * q + i;
    let is_new = q == 0 || i >= 2;
    let tap = row.checked_sub(usize::from(is_second))?;
    (is_new && tap < kernel).then_some(tap)
}

/// Processes pixel by pixel, in groups of four taps.
#[inline(always)]
unsafe fn pixels<I: Isa>(call: &DepthwiseCall, groups: usize) {
    let (w, k) = (call.weights, call.kernel);
    let bytes = 4 * I::LANES;
    let mut taps = [0; TAPS_MAX];
    for (i, tap) in taps.iter_mut().enumerate().take(k * k) {
        *tap = i / k * call.x_row + i % k * call.pixel;
    }
    for group in 0..w.patterns {
        let count = (call.pixel - group * bytes).min(bytes);
        // SAFETY: the caller's promise; taps beyond the kernel are the first one, with weights of 0.
        unsafe {
            let weights = w.weights.as_ptr().add(group * w.each);
            let (bias, scales) = (w.bias.as_ptr().add(group * bytes), w.scales.as_ptr().add(group * bytes));
            let mut start = [I::start(bias); 4];
            for (z, start) in start.iter_mut().enumerate() {
                *start = I::start(bias.add(z * I::LANES));
            }
            for row in 0..call.rows {
                let x = call.x.add(call.stride * row * call.x_row + group * bytes);
                let y = call.y.add(row * call.y_row + group * bytes);
                for column in 0..call.width {
                    let p = x.add(column * call.stride * call.pixel);
                    let mut acc = start;
                    for g in 0..groups {
                        let t = taps.as_ptr().add(4 * g);
                        let upper = I::pair(I::load(p.add(*t)), I::load(p.add(*t.add(1))));
                        let lower = I::pair(I::load(p.add(*t.add(2))), I::load(p.add(*t.add(3))));
                        let quad = I::quad(upper, lower);
                        let rhs = weights.add(g * 4 * I::RHS_BYTES);
                        for z in 0..4 {
                            acc[z] = I::dot(acc[z], quad[z], I::rhs(rhs.add(z * I::RHS_BYTES)));
                        }
                    }
                    I::store::<4>(I::requantize(acc, scales, call.zero), y.add(column * call.pixel), count);
                }
            }
        }
    }
}

/// Taps of the largest depthwise kernel (7x7), rounded up to groups of four.
pub(super) const TAPS_MAX: usize = 52;

/// A tensor of an addition, term or result.
#[derive(Clone, Copy)]
pub(super) struct Plane<P> {
    pub start: P,
    pub row: usize,
    pub pixel: usize,
}

/// An addition of two tensors.
pub(super) struct SumCall {
    pub a: Plane<*const u8>,
    pub b: Plane<*const u8>,
    pub y: Plane<*mut u8>,
    /// Whether `a` has half the height and width and is upsampled by two.
    pub is_up: bool,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub sum: Sum,
}

/// # Safety
/// The processor has the instruction set; the images lie within their buffers.
#[inline(always)]
pub(super) unsafe fn sum<I: Isa>(call: &SumCall) {
    let shift = usize::from(call.is_up);
    for row in 0..call.height {
        for column in 0..call.width {
            // SAFETY: the caller's promise.
            unsafe {
                let a = call.a.start.add((row >> shift) * call.a.row + (column >> shift) * call.a.pixel);
                let b = call.b.start.add(row * call.b.row + column * call.b.pixel);
                let y = call.y.start.add(row * call.y.row + column * call.y.pixel);
                I::sum(a, b, y, call.channels, &call.sum);
            }
        }
    }
}

/// Multiply-accumulates of a turn of [`peak`], for `lanes` lanes.
pub(super) const fn peak_macs(lanes: usize) -> usize {
    PEAK_SUMS * 4 * lanes
}

/// Sums that [`peak`] keeps in registers: enough to hide the latency of a dot product.
const PEAK_SUMS: usize = 12;

/// Dot products of registers only: the upper bound of the kernels' speed. Returns a value that depends on all of them.
///
/// # Safety
/// The processor has the instruction set; `p` holds 1024 bytes.
#[inline(always)]
pub(super) unsafe fn peak<I: Isa>(p: *const u8, turns: usize) -> u8 {
    // SAFETY: the caller's promise; biases and scales are any bytes.
    unsafe {
        let mut acc = [I::start(p.cast()); PEAK_SUMS];
        for _ in 0..turns {
            // An opaque pointer, so that the compiler cannot hoist products out of the loop.
            let p = std::hint::black_box(p);
            for l in 0..4 {
                let lhs = I::splat(p.add(4 * l));
                for r in 0..3 {
                    acc[3 * l + r] = I::dot(acc[3 * l + r], lhs, I::rhs(p.add(64 * r)));
                }
            }
        }
        let mut out = [0u8; 64];
        for acc in acc {
            I::store::<1>(I::requantize([acc], p.cast(), 0), out.as_mut_ptr(), 1);
        }
        out[0]
    }
}
