//! NEON without dot products: 4 lanes; signed bytes (activations less 128) are multiplied to i16 and added in pairs.
//!
//! Two of a lane's four products are added in i16, which they fit: weights are at most 127 from 0, and 2 * 127 * 128 < 2^15.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::{Isa, Tiles, room};
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

/// Vectors of sums as bytes.
#[inline(always)]
pub(super) unsafe fn requantized<const N: usize>(acc: [int32x4_t; N], scales: *const f32, zero: i32) -> uint8x16_t {
    // SAFETY: the callers' promise: the instruction set, 4 scales a vector.
    unsafe {
        let zero = vdupq_n_s16(zero as i16);
        let mut words = [vdup_n_s16(0); 4];
        for z in 0..N {
            words[z] = narrowed(acc[z], scales.add(4 * z));
        }
        let low = vqmovun_s16(vqaddq_s16(vcombine_s16(words[0], words[1]), zero));
        let high = if N > 2 { vqmovun_s16(vqaddq_s16(vcombine_s16(words[2], words[3]), zero)) } else { low };
        vcombine_u8(low, high)
    }
}

/// Writes the first bytes.
#[inline(always)]
pub(super) unsafe fn stored(bytes: uint8x16_t, y: *mut u8, count: usize) {
    // SAFETY: the callers' promise: the instruction set, `count` bytes to write.
    unsafe {
        match count {
            16 => vst1q_u8(y, bytes),
            8 => vst1_u8(y, vget_low_u8(bytes)),
            _ => few(bytes, y, count),
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

/// Of sixteen activations the `I`th four: its first two in every lane of the lower half, its last two in those of the upper.
#[inline(always)]
unsafe fn spread<const I: usize>(activations: int8x16_t) -> int8x16_t {
    const fn order(i: usize) -> [u8; 16] {
        let mut order = [0; 16];
        let mut at = 0;
        while at < 16 {
            order[at] = (4 * i + at / 8 * 2 + at % 2) as u8;
            at += 1;
        }
        order
    }
    let order = const { &order(I) };
    // SAFETY: the callers' promise of the instruction set; 16 bytes of the table.
    unsafe { vqtbl1q_s8(activations, vld1q_u8(order.as_ptr())) }
}

impl Isa for Neon {
    const LANES: usize = 4;
    const RIGHT: usize = 16;
    const TILES: Tiles = Tiles::Middle;
    const HAS_ELEMENTS: bool = true;
    const OFFSET: i32 = 128;
    type Bytes = int8x16_t;
    type Pair = (int16x8_t, int16x8_t);
    type Left = int8x16_t;
    type Lefts = int8x16_t;
    type Right = int8x16_t;
    type Acc = int32x4_t;
    type Packed = uint8x16_t;

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
    unsafe fn quad(a: (int16x8_t, int16x8_t), b: (int16x8_t, int16x8_t)) -> [int8x16_t; 4] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            let joined = |a: int16x4_t, b: int16x4_t| vreinterpretq_s8_s16(vcombine_s16(a, b));
            [
                joined(vget_low_s16(a.0), vget_low_s16(b.0)),
                joined(vget_high_s16(a.0), vget_high_s16(b.0)),
                joined(vget_low_s16(a.1), vget_low_s16(b.1)),
                joined(vget_high_s16(a.1), vget_high_s16(b.1)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { spread::<0>(four(p)) }
    }

    #[inline(always)]
    unsafe fn lefts(p: *const u8, offset: usize) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { signed(p.add(offset)) }
    }

    #[inline(always)]
    unsafe fn right(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise; unaligned.
        unsafe { vld1q_s8(p.cast()) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_s32(bias) }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, left: int8x16_t, right: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise of the instruction set. Sums of two products fit i16, see above.
        unsafe {
            let first = vmull_s8(vget_low_s8(left), vget_low_s8(right));
            vpadalq_s16(acc, vmlal_high_s8(first, left, right))
        }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        mut acc: [int32x4_t; N],
        lefts: int8x16_t,
        right: &[int8x16_t; N],
    ) -> [int32x4_t; N] {
        // SAFETY: the caller's promise.
        unsafe {
            let left = spread::<I>(lefts);
            for z in 0..N {
                acc[z] = Self::dot(acc[z], left, right[z]);
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [int32x4_t; N], scales: *const f32, zero: i32) -> uint8x16_t {
        // SAFETY: the caller's promise.
        unsafe { requantized(acc, scales, zero) }
    }

    #[inline(always)]
    unsafe fn store<const N: usize>(bytes: uint8x16_t, y: *mut u8, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { stored(bytes, y, count) }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise.
        unsafe { added(a, b, y, count, sum) }
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
