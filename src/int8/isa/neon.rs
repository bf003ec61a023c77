//! NEON without dot products: 4 lanes; signed bytes (activations less 128) are multiplied to i16 and added in pairs.
//!
//! A lane's sum lies in two parts until the end, so that each product needs one addition.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::{Isa, in_parts, pack_bytes, room};
use crate::int8::network::Sum;

pub(super) struct Neon;

/// Activations less 128.
#[inline(always)]
pub(super) unsafe fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: the callers' promise of the instruction set.
    unsafe { vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))) }
}

/// Two rows of 16 channels, interleaved.
#[inline(always)]
pub(super) unsafe fn paired(a: uint8x16_t, b: uint8x16_t) -> (uint16x8_t, uint16x8_t) {
    // SAFETY: the callers' promise of the instruction set.
    unsafe { (vreinterpretq_u16_u8(vzip1q_u8(a, b)), vreinterpretq_u16_u8(vzip2q_u8(a, b))) }
}

/// Four rows of 16 channels, interleaved, less 128.
#[inline(always)]
pub(super) unsafe fn quadrupled(a: (uint16x8_t, uint16x8_t), b: (uint16x8_t, uint16x8_t)) -> [int8x16_t; 4] {
    // SAFETY: the callers' promise of the instruction set.
    unsafe {
        [
            signed(vreinterpretq_u8_u16(vzip1q_u16(a.0, b.0))),
            signed(vreinterpretq_u8_u16(vzip2q_u16(a.0, b.0))),
            signed(vreinterpretq_u8_u16(vzip1q_u16(a.1, b.1))),
            signed(vreinterpretq_u8_u16(vzip2q_u16(a.1, b.1))),
        ]
    }
}

/// The same four activations, less 128, in every lane.
#[inline(always)]
pub(super) unsafe fn splatted(p: *const u8) -> int8x16_t {
    // SAFETY: the callers' promise of four bytes; read unaligned.
    unsafe { signed(vreinterpretq_u8_u32(vdupq_n_u32(p.cast::<u32>().read_unaligned()))) }
}

#[inline(always)]
unsafe fn narrowed(acc: int32x4_t, scales: *const f32) -> int16x4_t {
    // SAFETY: the callers' promise: the instruction set, and 4 scales.
    unsafe { vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(scales)))) }
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
            let mut bytes = [0u8; 16];
            vst1q_u8(bytes.as_mut_ptr(), vcombine_u8(low, high));
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), y, count.min(16));
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

impl Isa for Neon {
    const LANES: usize = 4;
    const RIGHT: usize = 16;
    const HAS_MANY_REGISTERS: bool = false;
    const OFFSET: i32 = 128;
    type Bytes = uint8x16_t;
    type Pair = (uint16x8_t, uint16x8_t);
    type Left = int8x16_t;
    type Right = int8x16_t;
    type Acc = (int32x4_t, int32x4_t);

    #[inline(always)]
    unsafe fn load(p: *const u8) -> uint8x16_t {
        // SAFETY: the caller's promise; unaligned.
        unsafe { vld1q_u8(p) }
    }

    #[inline(always)]
    unsafe fn pair(a: uint8x16_t, b: uint8x16_t) -> (uint16x8_t, uint16x8_t) {
        // SAFETY: the caller's promise.
        unsafe { paired(a, b) }
    }

    #[inline(always)]
    unsafe fn quad(a: (uint16x8_t, uint16x8_t), b: (uint16x8_t, uint16x8_t)) -> [int8x16_t; 4] {
        // SAFETY: the caller's promise.
        unsafe { quadrupled(a, b) }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { splatted(p) }
    }

    #[inline(always)]
    unsafe fn right(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise; unaligned.
        unsafe { vld1q_s8(p.cast()) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> (int32x4_t, int32x4_t) {
        // SAFETY: the caller's promise.
        unsafe {
            let (bias, none) = (vld1q_s32(bias), vdupq_n_s32(0));
            (vzip1q_s32(bias, none), vzip2q_s32(bias, none))
        }
    }

    #[inline(always)]
    unsafe fn dot(acc: (int32x4_t, int32x4_t), left: int8x16_t, right: int8x16_t) -> (int32x4_t, int32x4_t) {
        // SAFETY: the caller's promise of the instruction set. Products are at most 2^14, sums of two fit i32's lanes.
        unsafe {
            let low = vmull_s8(vget_low_s8(left), vget_low_s8(right));
            let high = vmull_high_s8(left, right);
            (vpadalq_s16(acc.0, low), vpadalq_s16(acc.1, high))
        }
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(
        acc: [(int32x4_t, int32x4_t); N],
        scales: *const f32,
        zero: i32,
        y: *mut u8,
        count: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut whole = [vdupq_n_s32(0); N];
            for z in 0..N {
                whole[z] = vpaddq_s32(acc[z].0, acc[z].1);
            }
            requantized(whole, scales, zero, y, count);
        }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise.
        unsafe { added(a, b, y, count, sum) }
    }

    fn channel(_n: usize, z: usize, lane: usize) -> usize {
        in_parts(z, lane)
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        pack_bytes(weights, out);
    }
}

room!(Neon, "neon");
