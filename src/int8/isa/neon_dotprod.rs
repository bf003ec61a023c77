//! NEON with dot products: 4 lanes, `sdot` (its intrinsics are not stable, so it is written in assembler).
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{added, four, paired, requantized, signed, stored};
use super::{Isa, Tiles, pack_bytes, room};
use crate::int8::network::Sum;

pub(super) struct NeonDotprod;

impl Isa for NeonDotprod {
    const LANES: usize = 4;
    const RIGHT: usize = 16;
    const TILES: Tiles = Tiles::Large;
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
            [
                vreinterpretq_s8_s16(vzip1q_s16(a.0, b.0)),
                vreinterpretq_s8_s16(vzip2q_s16(a.0, b.0)),
                vreinterpretq_s8_s16(vzip1q_s16(a.1, b.1)),
                vreinterpretq_s8_s16(vzip2q_s16(a.1, b.1)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> int8x16_t {
        // SAFETY: the caller's promise.
        unsafe { four(p) }
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
        let mut sum = acc;
        // SAFETY: the caller's promise of the instruction set; registers only.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {left:v}.16b, {right:v}.16b",
                sum = inout(vreg) sum,
                left = in(vreg) left,
                right = in(vreg) right,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sum
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        mut acc: [int32x4_t; N],
        lefts: int8x16_t,
        right: &[int8x16_t; N],
    ) -> [int32x4_t; N] {
        for z in 0..N {
            // SAFETY: the caller's promise of the instruction set; registers only.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sum:v}.4s, {right:v}.16b, {left:v}.4b[{i}]",
                    sum = inout(vreg) acc[z],
                    right = in(vreg) right[z],
                    left = in(vreg) lefts,
                    i = const I,
                    options(pure, nomem, nostack, preserves_flags)
                );
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

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        pack_bytes(weights, out);
    }
}

room!(NeonDotprod, "neon,dotprod");
