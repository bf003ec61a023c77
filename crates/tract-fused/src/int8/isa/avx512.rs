//! AVX-512 with VNNI: 16 lanes, `vpdpbusd`.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Isa, RegisterTile, channel, dots_of, kernel_table, pack_bytes};
use crate::int8::network::Sum;

pub(super) struct Avx512;

/// Sums as rounded steps of the result.
#[inline(always)]
unsafe fn scaled(acc: __m512i, scales: *const f32) -> __m512i {
    // SAFETY: the callers' promise: the instruction set, and 16 scales.
    unsafe { _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(scales))) }
}

/// Where each four bytes of `n` packed vectors come from.
const fn order(n: usize) -> [i32; 16] {
    let mut order = [0; 16];
    let mut from = 0;
    while from < 16 {
        if from % 4 < n {
            order[channel(n, from % 4, from & !3) / 4] = from as i32;
        }
        from += 1;
    }
    order
}

#[inline(always)]
fn first(count: usize) -> u64 {
    if count >= 64 { !0 } else { (1 << count) - 1 }
}

impl Isa for Avx512 {
    const LANES: usize = 16;
    const RHS_BYTES: usize = 64;
    const REGISTER_TILE: RegisterTile = RegisterTile::Sums24;
    const HAS_ELEMENTS: bool = false;
    const OFFSET: i32 = 0;
    type Bytes = __m512i;
    type Pair = (__m512i, __m512i);
    type Lhs = __m512i;
    type Lhs16 = (*const u8, usize);
    type Rhs = __m512i;
    type Acc = __m512i;
    type Packed = __m512i;

    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise; unaligned.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)) }
    }

    #[inline(always)]
    unsafe fn quad(a: (__m512i, __m512i), b: (__m512i, __m512i)) -> [__m512i; 4] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            [
                _mm512_unpacklo_epi16(a.0, b.0),
                _mm512_unpackhi_epi16(a.0, b.0),
                _mm512_unpacklo_epi16(a.1, b.1),
                _mm512_unpackhi_epi16(a.1, b.1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise; read unaligned.
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn lhs16(p: *const u8, offset: usize) -> (*const u8, usize) {
        (p, offset)
    }

    #[inline(always)]
    unsafe fn rhs(p: *const u8) -> __m512i {
        // SAFETY: the caller's promise; unaligned.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> __m512i {
        // SAFETY: the caller's promise; unaligned.
        unsafe { _mm512_loadu_si512(bias.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, lhs: __m512i, rhs: __m512i) -> __m512i {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { _mm512_dpbusd_epi32(acc, lhs, rhs) }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [__m512i; N],
        (p, offset): (*const u8, usize),
        rhs: &[__m512i; N],
    ) -> [__m512i; N] {
        // SAFETY: the caller's promise.
        unsafe { dots_of::<Self, N>(acc, Self::splat(p.add(offset + 4 * I)), rhs) }
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [__m512i; N], scales: *const f32, zero: i32) -> __m512i {
        // SAFETY: the caller's promise: the instruction set, 16 scales a vector.
        unsafe {
            if N == 1 {
                let steps = _mm512_add_epi32(scaled(acc[0], scales), _mm512_set1_epi32(zero));
                let bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(steps, _mm512_setzero_si512()));
                return _mm512_castsi128_si512(bytes);
            }
            let zero = _mm512_set1_epi16(zero as i16);
            let mut steps = [_mm512_setzero_si512(); 4];
            for z in 0..N {
                steps[z] = scaled(acc[z], scales.add(16 * z));
            }
            let low = _mm512_adds_epi16(_mm512_packs_epi32(steps[0], steps[1]), zero);
            let high = if N > 2 { _mm512_adds_epi16(_mm512_packs_epi32(steps[2], steps[3]), zero) } else { low };
            let bytes = _mm512_packus_epi16(low, high);
            if N == 4 {
                return bytes;
            }
            let order = const { order(N) };
            _mm512_permutexvar_epi32(_mm512_loadu_si512(order.as_ptr().cast()), bytes)
        }
    }

    #[inline(always)]
    unsafe fn store<const N: usize>(bytes: __m512i, y: *mut u8, count: usize) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes to write; masked ones are not touched.
        unsafe {
            match (N, count) {
                (1, 16) => _mm_storeu_si128(y.cast(), _mm512_castsi512_si128(bytes)),
                (2, 32) => _mm256_storeu_si256(y.cast(), _mm512_castsi512_si256(bytes)),
                (4, 64) => _mm512_storeu_si512(y.cast(), bytes),
                _ => _mm512_mask_storeu_epi8(y.cast(), first(count), bytes),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes each; masked lanes are not touched.
        unsafe {
            let scales = sum.scales.map(|s| _mm512_set1_ps(s));
            let zeros = sum.zeros.map(|z| _mm512_set1_epi32(z));
            let zero = _mm512_set1_epi32(sum.zero);
            let mut at = 0;
            while at < count {
                let mask = first((count - at).min(16)) as u16;
                let x = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, a.add(at).cast()));
                let z = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, b.add(at).cast()));
                let x = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(x, zeros[0])), scales[0]);
                let z = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(z, zeros[1])), scales[1]);
                let steps = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_add_ps(x, z)), zero);
                let bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(steps, _mm512_setzero_si512()));
                _mm_mask_storeu_epi8(y.add(at).cast(), mask, bytes);
                at += 16;
            }
        }
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        pack_bytes(weights, out);
    }
}

kernel_table!(Avx512, "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni");
