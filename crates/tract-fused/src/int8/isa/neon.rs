//! What NEON does the same way with and without dot products: 4 lanes, signed bytes (activations less 128).
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;
use std::marker::PhantomData;

use super::{Isa, RegisterTile};
use crate::int8::network::Sum;

/// NEON that multiplies as `P` does.
pub(super) struct Neon<P>(PhantomData<P>);

/// How sixteen activations are multiplied by sixteen weights and added to four lanes. What each function promises and asks is said
/// at [`Isa`].
pub(super) trait Products {
    const REGISTER_TILE: RegisterTile;
    unsafe fn quad(a: Words, b: Words) -> [int8x16_t; 4];
    /// The same four activations in every lane, of sixteen the `I`th.
    unsafe fn spread<const I: usize>(activations: int8x16_t) -> int8x16_t;
    unsafe fn dot(acc: int32x4_t, lhs: int8x16_t, rhs: int8x16_t) -> int32x4_t;
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [int32x4_t; N],
        lhs16: int8x16_t,
        rhs: &[int8x16_t; N],
    ) -> [int32x4_t; N];
    fn pack(weights: &[[i8; 4]], out: &mut [u8]);
}

/// Two rows of 16 channels, interleaved.
pub(super) type Words = (int16x8_t, int16x8_t);

/// Activations less 128.
#[inline(always)]
unsafe fn signed(p: *const u8) -> int8x16_t {
    // SAFETY: the callers' promise: the instruction set, 16 bytes; unaligned.
    unsafe { vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128))) }
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

/// Four steps of one term of a sum.
#[inline(always)]
unsafe fn term(words: uint16x4_t, sum: &Sum, which: usize) -> float32x4_t {
    // SAFETY: the callers' promise of the instruction set.
    unsafe {
        let x = vsubq_s32(vreinterpretq_s32_u32(vmovl_u16(words)), vdupq_n_s32(sum.zeros[which]));
        vmulq_f32(vcvtq_f32_s32(x), vdupq_n_f32(sum.scales[which]))
    }
}

impl<P: Products> Isa for Neon<P> {
    const LANES: usize = 4;
    const RHS_BYTES: usize = 16;
    const REGISTER_TILE: RegisterTile = P::REGISTER_TILE;
    const HAS_ELEMENTS: bool = true;
    const OFFSET: i32 = 128;
    type Bytes = int8x16_t;
    type Pair = Words;
    type Lhs = int8x16_t;
    type Lhs16 = int8x16_t;
    type Rhs = int8x16_t;
    type Acc = int32x4_t;
    type Packed = uint8x16_t;

    #[inline(always)]
    unsafe fn load(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { signed(p) }
    }

    #[inline(always)]
    unsafe fn pair(a: int8x16_t, b: int8x16_t) -> Words {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { (vreinterpretq_s16_s8(vzip1q_s8(a, b)), vreinterpretq_s16_s8(vzip2q_s8(a, b))) }
    }

    #[inline(always)]
    unsafe fn quad(a: Words, b: Words) -> [int8x16_t; 4] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { P::quad(a, b) }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise: the instruction set, four bytes; read unaligned.
        unsafe {
            let four = vdupq_n_u32(p.cast::<u32>().read_unaligned());
            P::spread::<0>(vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(four), vdupq_n_u8(128))))
        }
    }

    #[inline(always)]
    unsafe fn lhs16(p: *const u8, offset: usize) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { signed(p.add(offset)) }
    }

    #[inline(always)]
    unsafe fn rhs(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise; unaligned.
        unsafe { vld1q_s8(p.cast()) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_s32(bias) }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, lhs: int8x16_t, rhs: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { P::dot(acc, lhs, rhs) }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [int32x4_t; N],
        lhs16: int8x16_t,
        rhs: &[int8x16_t; N],
    ) -> [int32x4_t; N] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { P::dots::<I, N>(acc, lhs16, rhs) }
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [int32x4_t; N], scales: *const f32, zero: i32) -> uint8x16_t {
        // SAFETY: the caller's promise: the instruction set, 4 scales a vector.
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

    #[inline(always)]
    unsafe fn store<const N: usize>(bytes: uint8x16_t, y: *mut u8, count: usize) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes to write.
        unsafe {
            match count {
                16 => vst1q_u8(y, bytes),
                8 => vst1_u8(y, vget_low_u8(bytes)),
                _ => few(bytes, y, count),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes each; what is left over is done one by one.
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

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        P::pack(weights, out);
    }
}
