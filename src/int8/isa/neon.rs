//! NEON without dot products: 4 lanes; signed bytes (activations less 128) are multiplied to i16 and added in pairs.
//!
//! Two of a lane's four products are added in i16, which they fit: weights are at most 127 from 0, and 2 * 127 * 128 < 2^15.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::{Isa, Tiles, in_parts, room};
use crate::int8::network::Sum;

pub(super) struct Neon;

/// Activations less 128.
#[inline(always)]
pub(super) unsafe fn signed(p: *const u8) -> int8x16_t {
    // SAFETY: the callers' promise: the instruction set, 16 bytes; unaligned.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128))) }
}

/// Two rows of 16 channels, interleaved.
#[inline(always)]
pub(super) unsafe fn paired(a: int8x16_t, b: int8x16_t) -> (int16x8_t, int16x8_t) {
    // SAFETY: the callers' promise of the instruction set.
    unsafe { (vreinterpretq_s16_s8(vzip1q_s8(a, b)), vreinterpretq_s16_s8(vzip2q_s8(a, b))) }
}

#[inline(always)]
unsafe fn narrowed(acc: int32x4_t, scales: *const f32) -> int16x4_t {
    // SAFETY: the callers' promise: the instruction set, and 4 scales.
    unsafe { vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(scales)))) }
}

/// Writes less than 16 bytes: those of more than 8 channels beyond a multiple of 8, and of images with few. Without a call, for
/// which the sums of other pixels would have to leave their registers.
#[inline(always)]
unsafe fn few(bytes: uint8x16_t, mut y: *mut u8, count: usize) {
    // SAFETY: the callers' promise: the instruction set, `count` bytes to write.
    unsafe {
        let mut bytes = bytes;
        if count & 8 != 0 {
            vst1_u8(y, vget_low_u8(bytes));
            (bytes, y) = (vextq_u8::<8>(bytes, bytes), y.add(8));
        }
        if count & 4 != 0 {
            y.cast::<u32>().write_unaligned(vgetq_lane_u32::<0>(vreinterpretq_u32_u8(bytes)));
            (bytes, y) = (vextq_u8::<4>(bytes, bytes), y.add(4));
        }
        if count & 2 != 0 {
            y.cast::<u16>().write_unaligned(vgetq_lane_u16::<0>(vreinterpretq_u16_u8(bytes)));
            (bytes, y) = (vextq_u8::<2>(bytes, bytes), y.add(2));
        }
        if count & 1 != 0 {
            *y = vgetq_lane_u8::<0>(bytes);
        }
    }
}

/// Four vectors of sums as bytes.
#[inline(always)]
pub(super) unsafe fn requantized<const N: usize>(
    acc: [int32x4_t; N],
    scales: *const f32,
    zero: i32,
    y: *mut u8,
    count: usize,
) {
    // SAFETY: the callers' promise: the instruction set, 4 scales a vector, `count` bytes to write.
    unsafe {
        let zero = vdupq_n_s16(zero as i16);
        let mut words = [vdup_n_s16(0); 4];
        for z in 0..N {
            words[z] = narrowed(acc[z], scales.add(4 * z));
        }
        let low = vqmovun_s16(vqaddq_s16(vcombine_s16(words[0], words[1]), zero));
        let high = vqmovun_s16(vqaddq_s16(vcombine_s16(words[2], words[3]), zero));
        if count == 16 {
            vst1q_u8(y, vcombine_u8(low, high));
        } else if count == 8 {
            vst1_u8(y, low);
        } else {
            few(vcombine_u8(low, high), y, count);
        }
    }
}

/// Four steps of one term of a sum.
#[inline(always)]
unsafe fn term(words: uint16x4_t, sum: &Sum, which: usize) -> float32x4_t {
    // SAFETY: the callers' promise of the instruction set.
    unsafe {
        let x = vsubq_s32(vreinterpretq_s32_u32(vmovl_u16(words)), vdupq_n_s32(sum.zeros[which]));
        vmulq_f32(vcvtq_f32_s32(x), vdupq_n_f32(sum.scales[which]))
    }
}

#[inline(always)]
pub(super) unsafe fn added(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
    // SAFETY: the callers' promise: the instruction set, `count` bytes each; what is left over is done one by one.
    unsafe {
        let zero = vdupq_n_s16(sum.zero as i16);
        let mut at = 0;
        while at + 8 <= count {
            let (x, z) = (vmovl_u8(vld1_u8(a.add(at))), vmovl_u8(vld1_u8(b.add(at))));
            let low = vaddq_f32(term(vget_low_u16(x), sum, 0), term(vget_low_u16(z), sum, 1));
            let high = vaddq_f32(term(vget_high_u16(x), sum, 0), term(vget_high_u16(z), sum, 1));
            let words = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(low)), vqmovn_s32(vcvtnq_s32_f32(high)));
            vst1_u8(y.add(at), vqmovun_s16(vqaddq_s16(words, zero)));
            at += 8;
        }
        for i in at..count {
            *y.add(i) = sum.of(*a.add(i), *b.add(i));
        }
    }
}

/// The same four activations less 128 in every lane.
#[inline(always)]
pub(super) unsafe fn four(p: *const u8) -> int8x16_t {
    // SAFETY: the callers' promise: the instruction set, four bytes; read unaligned.
    unsafe {
        let four = vdupq_n_u32(p.cast::<u32>().read_unaligned());
        vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(four), vdupq_n_u8(128)))
    }
}

/// A lane's first two activations and its last two, of 4 lanes.
type Halves = (int8x8_t, int8x8_t);

/// The same two activations in every lane, twice.
#[inline(always)]
unsafe fn twice<const FIRST: i32, const LAST: i32>(activations: int8x16_t) -> Halves {
    // SAFETY: the callers' promise of the instruction set.
    unsafe {
        let pairs = vreinterpretq_s16_s8(activations);
        let dup = |pair: int16x4_t| vreinterpret_s8_s16(pair);
        (dup(vdup_laneq_s16::<FIRST>(pairs)), dup(vdup_laneq_s16::<LAST>(pairs)))
    }
}

impl Isa for Neon {
    const LANES: usize = 4;
    const RIGHT: usize = 16;
    const TILES: Tiles = Tiles::Middle;
    const HAS_ELEMENTS: bool = true;
    const OFFSET: i32 = 128;
    type Bytes = int8x16_t;
    type Pair = (int16x8_t, int16x8_t);
    type Left = Halves;
    type Lefts = int8x16_t;
    type Right = Halves;
    type Acc = int32x4_t;

    #[inline(always)]
    unsafe fn load(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { signed(p) }
    }

    #[inline(always)]
    unsafe fn pair(a: int8x16_t, b: int8x16_t) -> (int16x8_t, int16x8_t) {
        // SAFETY: the caller's promise.
        unsafe { paired(a, b) }
    }

    #[inline(always)]
    unsafe fn quad(a: (int16x8_t, int16x8_t), b: (int16x8_t, int16x8_t)) -> [Halves; 4] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            let (low, high) = (|x| vreinterpret_s8_s16(vget_low_s16(x)), |x| vreinterpret_s8_s16(vget_high_s16(x)));
            [(low(a.0), low(b.0)), (high(a.0), high(b.0)), (low(a.1), low(b.1)), (high(a.1), high(b.1))]
        }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> Halves {
        // SAFETY: the caller's promise.
        unsafe { twice::<0, 1>(four(p)) }
    }

    #[inline(always)]
    unsafe fn lefts(p: *const u8, offset: usize) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { signed(p.add(offset)) }
    }

    #[inline(always)]
    unsafe fn right(p: *const u8) -> Halves {
        // SAFETY: the caller's promise; unaligned.
        unsafe { (vld1_s8(p.cast()), vld1_s8(p.add(8).cast())) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_s32(bias) }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, left: Halves, right: Halves) -> int32x4_t {
        // SAFETY: the caller's promise of the instruction set. Sums of two products fit i16, see above.
        unsafe { vpadalq_s16(acc, vmlal_s8(vmull_s8(left.0, right.0), left.1, right.1)) }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        mut acc: [int32x4_t; N],
        lefts: int8x16_t,
        right: &[Halves; N],
    ) -> [int32x4_t; N] {
        // SAFETY: the caller's promise.
        unsafe {
            let left = match I {
                0 => twice::<0, 1>(lefts),
                1 => twice::<2, 3>(lefts),
                2 => twice::<4, 5>(lefts),
                _ => twice::<6, 7>(lefts),
            };
            for z in 0..N {
                acc[z] = Self::dot(acc[z], left, right[z]);
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [int32x4_t; N], scales: *const f32, zero: i32, y: *mut u8, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { requantized(acc, scales, zero, y, count) }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise.
        unsafe { added(a, b, y, count, sum) }
    }

    fn channel(_n: usize, z: usize, lane: usize) -> usize {
        in_parts(z, lane)
    }

    /// First two weights of each lane, then the last two of each.
    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        for (lane, w) in weights.iter().enumerate() {
            let [a, b, c, d] = w.map(|w| w as u8);
            out[2 * lane..][..2].copy_from_slice(&[a, b]);
            out[8 + 2 * lane..][..2].copy_from_slice(&[c, d]);
        }
    }
}

room!(Neon, "neon");
