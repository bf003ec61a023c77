//! NEON without dot products: signed bytes are multiplied to i16 and added in pairs.
//!
//! Two of a lane's four products are added in i16, which they fit: weights are at most 127 from 0, and 2 * 127 * 128 < 2^15.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::aarch64::*;

use super::neon::{Neon, Products, Words};
use super::{RegisterTile, dots_of, kernel_table};

/// A lane's first two activations, and weights, lie in the lower half of a register, its last two in the upper.
pub(super) struct Multiply;

impl Products for Multiply {
    const REGISTER_TILE: RegisterTile = RegisterTile::Sums15;

    #[inline(always)]
    unsafe fn quad(a: Words, b: Words) -> [int8x16_t; 4] {
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
        // SAFETY: the caller's promise of the instruction set; 16 bytes of the table.
        unsafe { vqtbl1q_s8(activations, vld1q_u8(order.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, lhs: int8x16_t, rhs: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise of the instruction set. Sums of two products fit i16, see above.
        unsafe {
            let first = vmull_s8(vget_low_s8(lhs), vget_low_s8(rhs));
            vpadalq_s16(acc, vmlal_high_s8(first, lhs, rhs))
        }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [int32x4_t; N],
        lhs16: int8x16_t,
        rhs: &[int8x16_t; N],
    ) -> [int32x4_t; N] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { dots_of::<Neon<Self>, N>(acc, Self::spread::<I>(lhs16), rhs) }
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        for (lane, w) in weights.iter().enumerate() {
            let [a, b, c, d] = w.map(|w| w as u8);
            out[2 * lane..][..2].copy_from_slice(&[a, b]);
            out[8 + 2 * lane..][..2].copy_from_slice(&[c, d]);
        }
    }
}

kernel_table!(Neon<Multiply>, "neon");
