//! The operations in plain Rust, four lanes: what runs where nothing better is known, and under Miri.
#![allow(unsafe_code, reason = "the kernels are shared with the vector instruction sets and take pointers")]

use super::{Isa, RegisterTile, dots_of, kernel_table, pack_bytes};
use crate::int8::network::{Sum, requantize};

pub(super) struct Portable;

impl Isa for Portable {
    const LANES: usize = 4;
    const RHS_BYTES: usize = 16;
    const REGISTER_TILE: RegisterTile = RegisterTile::Sums12;
    const HAS_ELEMENTS: bool = false;
    const OFFSET: i32 = 0;
    type Bytes = [u8; 16];
    type Pair = [[u8; 2]; 16];
    type Lhs = [[u8; 4]; 4];
    type Lhs16 = (*const u8, usize);
    type Rhs = [[i8; 4]; 4];
    type Acc = [i32; 4];
    type Packed = [u8; 16];

    #[inline(always)]
    unsafe fn load(p: *const u8) -> [u8; 16] {
        // SAFETY: the caller's promise; bytes have no alignment.
        unsafe { p.cast::<[u8; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn pair(a: [u8; 16], b: [u8; 16]) -> [[u8; 2]; 16] {
        std::array::from_fn(|i| [a[i], b[i]])
    }

    #[inline(always)]
    unsafe fn quad(a: [[u8; 2]; 16], b: [[u8; 2]; 16]) -> [[[u8; 4]; 4]; 4] {
        std::array::from_fn(|z| {
            std::array::from_fn(|l| [a[z * 4 + l][0], a[z * 4 + l][1], b[z * 4 + l][0], b[z * 4 + l][1]])
        })
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> [[u8; 4]; 4] {
        // SAFETY: the caller's promise; bytes have no alignment.
        [unsafe { p.cast::<[u8; 4]>().read() }; 4]
    }

    #[inline(always)]
    unsafe fn lhs16(p: *const u8, offset: usize) -> (*const u8, usize) {
        (p, offset)
    }

    #[inline(always)]
    unsafe fn rhs(p: *const u8) -> [[i8; 4]; 4] {
        // SAFETY: the caller's promise; bytes have no alignment.
        unsafe { p.cast::<[[i8; 4]; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> [i32; 4] {
        // SAFETY: the caller's promise.
        unsafe { bias.cast::<[i32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn dot(acc: [i32; 4], lhs: [[u8; 4]; 4], rhs: [[i8; 4]; 4]) -> [i32; 4] {
        let lane = |l: usize| -> i32 { (0..4).map(|i| i32::from(lhs[l][i]) * i32::from(rhs[l][i])).sum() };
        std::array::from_fn(|l| acc[l].wrapping_add(lane(l)))
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [[i32; 4]; N],
        (p, offset): (*const u8, usize),
        rhs: &[[[i8; 4]; 4]; N],
    ) -> [[i32; 4]; N] {
        // SAFETY: the caller's promise.
        unsafe { dots_of::<Self, N>(acc, Self::splat(p.add(offset + 4 * I)), rhs) }
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [[i32; 4]; N], scales: *const f32, zero: i32) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (i, acc) in acc.as_flattened().iter().enumerate() {
            // SAFETY: the caller's promise: as many scales as lanes.
            bytes[i] = unsafe { requantize(*acc, *scales.add(i), zero) };
        }
        bytes
    }

    #[inline(always)]
    unsafe fn store<const N: usize>(bytes: [u8; 16], y: *mut u8, count: usize) {
        // SAFETY: the caller's promise: `count` bytes to write.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), y, count.min(16)) }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        for i in 0..count {
            // SAFETY: the caller's promise: `count` bytes each.
            unsafe { *y.add(i) = sum.of(*a.add(i), *b.add(i)) }
        }
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        pack_bytes(weights, out);
    }
}

kernel_table!(Portable);
