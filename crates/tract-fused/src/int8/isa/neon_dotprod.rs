//! NEON with dot products: `sdot`. Its intrinsics are not stable, so it is written in assembler.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{Neon, Products, Words};
use super::{RegisterTile, kernel_table, pack_bytes};

pub(super) struct Dotprod;

impl Products for Dotprod {
    const REGISTER_TILE: RegisterTile = RegisterTile::Sums20;

    #[inline(always)]
    unsafe fn quad(a: Words, b: Words) -> [int8x16_t; 4] {
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
    unsafe fn spread<const I: usize>(activations: int8x16_t) -> int8x16_t {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            let fours = vreinterpretq_s32_s8(activations);
            vreinterpretq_s8_s32(match I {
                0 => vdupq_laneq_s32::<0>(fours),
                1 => vdupq_laneq_s32::<1>(fours),
                2 => vdupq_laneq_s32::<2>(fours),
                _ => vdupq_laneq_s32::<3>(fours),
            })
        }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, lhs: int8x16_t, rhs: int8x16_t) -> int32x4_t {
        let mut sum = acc;
        // SAFETY: the caller's promise of the instruction set; registers only.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {lhs:v}.16b, {rhs:v}.16b",
                sum = inout(vreg) sum,
                lhs = in(vreg) lhs,
                rhs = in(vreg) rhs,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sum
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        mut acc: [int32x4_t; N],
        lhs16: int8x16_t,
        rhs: &[int8x16_t; N],
    ) -> [int32x4_t; N] {
        for z in 0..N {
            // SAFETY: the caller's promise of the instruction set; registers only.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sum:v}.4s, {rhs:v}.16b, {lhs:v}.4b[{i}]",
                    sum = inout(vreg) acc[z],
                    rhs = in(vreg) rhs[z],
                    lhs = in(vreg) lhs16,
                    i = const I,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
        acc
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        pack_bytes(weights, out);
    }
}

kernel_table!(Neon<Dotprod>, "neon,dotprod");
