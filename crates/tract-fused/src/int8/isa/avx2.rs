//! AVX2: 8 lanes; bytes become i16, even and odd apart, and `vpmaddwd` adds their products in pairs. Exact: nothing saturates.
#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Isa, RegisterTile, dots_of, kernel_table};
use crate::int8::network::Sum;

pub(super) struct Avx2;

/// Bytes 0 and 2, and 1 and 3, of each lane as i16.
#[inline(always)]
unsafe fn widened(bytes: __m256i) -> (__m256i, __m256i) {
    // SAFETY: the callers' promise of the instruction set.
    unsafe { (_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)) }
}

/// Sums as rounded steps of the result.
#[inline(always)]
unsafe fn scaled(acc: __m256i, scales: *const f32) -> __m256i {
    // SAFETY: the callers' promise: the instruction set, and 8 scales.
    unsafe { _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(scales))) }
}

/// Eight steps plus a zero point as bytes in the low half.
#[inline(always)]
unsafe fn narrowed(steps: __m256i, zero: i32) -> __m128i {
    // SAFETY: the callers' promise of the instruction set.
    unsafe {
        let words = _mm256_permute4x64_epi64::<0b1000>(_mm256_packs_epi32(steps, steps));
        let words = _mm_adds_epi16(_mm256_castsi256_si128(words), _mm_set1_epi16(zero as i16));
        _mm_packus_epi16(words, words)
    }
}

/// Eight bytes as a term of a sum.
#[inline(always)]
unsafe fn term(p: *const u8, sum: &Sum, which: usize) -> __m256 {
    // SAFETY: the callers' promise: the instruction set, eight bytes.
    unsafe {
        let x = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast()));
        let x = _mm256_sub_epi32(x, _mm256_set1_epi32(sum.zeros[which]));
        _mm256_mul_ps(_mm256_cvtepi32_ps(x), _mm256_set1_ps(sum.scales[which]))
    }
}

impl Isa for Avx2 {
    const LANES: usize = 8;
    const RHS_BYTES: usize = 64;
    const REGISTER_TILE: RegisterTile = RegisterTile::Sums12;
    const HAS_ELEMENTS: bool = false;
    const OFFSET: i32 = 0;
    type Bytes = __m256i;
    type Pair = (__m256i, __m256i);
    type Lhs = (__m256i, __m256i);
    type Lhs16 = (*const u8, usize);
    type Rhs = (__m256i, __m256i);
    type Acc = __m256i;
    type Packed = __m256i;

    #[inline(always)]
    unsafe fn load(p: *const u8) -> __m256i {
        // SAFETY: the caller's promise; unaligned.
        unsafe { _mm256_loadu_si256(p.cast()) }
    }

    #[inline(always)]
    unsafe fn pair(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
        // SAFETY: the caller's promise of the instruction set.
        unsafe { (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)) }
    }

    #[inline(always)]
    unsafe fn quad(a: (__m256i, __m256i), b: (__m256i, __m256i)) -> [(__m256i, __m256i); 4] {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            [
                widened(_mm256_unpacklo_epi16(a.0, b.0)),
                widened(_mm256_unpackhi_epi16(a.0, b.0)),
                widened(_mm256_unpacklo_epi16(a.1, b.1)),
                widened(_mm256_unpackhi_epi16(a.1, b.1)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn splat(p: *const u8) -> (__m256i, __m256i) {
        // SAFETY: the caller's promise; read unaligned.
        unsafe { widened(_mm256_set1_epi32(p.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn lhs16(p: *const u8, offset: usize) -> (*const u8, usize) {
        (p, offset)
    }

    #[inline(always)]
    unsafe fn rhs(p: *const u8) -> (__m256i, __m256i) {
        // SAFETY: the caller's promise; unaligned.
        unsafe { (_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(32).cast())) }
    }

    #[inline(always)]
    unsafe fn start(bias: *const i32) -> __m256i {
        // SAFETY: the caller's promise; unaligned.
        unsafe { _mm256_loadu_si256(bias.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m256i, lhs: (__m256i, __m256i), rhs: (__m256i, __m256i)) -> __m256i {
        // SAFETY: the caller's promise of the instruction set.
        unsafe {
            let even = _mm256_add_epi32(acc, _mm256_madd_epi16(lhs.0, rhs.0));
            _mm256_add_epi32(even, _mm256_madd_epi16(lhs.1, rhs.1))
        }
    }

    #[inline(always)]
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [__m256i; N],
        (p, offset): (*const u8, usize),
        rhs: &[(__m256i, __m256i); N],
    ) -> [__m256i; N] {
        // SAFETY: the caller's promise.
        unsafe { dots_of::<Self, N>(acc, Self::splat(p.add(offset + 4 * I)), rhs) }
    }

    #[inline(always)]
    unsafe fn requantize<const N: usize>(acc: [__m256i; N], scales: *const f32, zero: i32) -> __m256i {
        // SAFETY: the caller's promise: the instruction set, 8 scales a vector.
        unsafe {
            let zero = _mm256_set1_epi16(zero as i16);
            let mut steps = [_mm256_setzero_si256(); 4];
            for z in 0..N {
                steps[z] = scaled(acc[z], scales.add(8 * z));
            }
            let low = _mm256_adds_epi16(_mm256_packs_epi32(steps[0], steps[1]), zero);
            let high = if N > 2 { _mm256_adds_epi16(_mm256_packs_epi32(steps[2], steps[3]), zero) } else { low };
            let bytes = _mm256_packus_epi16(low, high);
            match N {
                1 => _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0)),
                2 => _mm256_permute4x64_epi64::<0b1000>(bytes),
                3 => _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 0, 0)),
                _ => bytes,
            }
        }
    }

    #[inline(always)]
    unsafe fn store<const N: usize>(bytes: __m256i, y: *mut u8, count: usize) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes to write.
        unsafe {
            match (N, count) {
                (1, 8) => _mm_storel_epi64(y.cast(), _mm256_castsi256_si128(bytes)),
                (2, 16) => _mm_storeu_si128(y.cast(), _mm256_castsi256_si128(bytes)),
                (4, 32) => _mm256_storeu_si256(y.cast(), bytes),
                _ => std::ptr::copy_nonoverlapping((&raw const bytes).cast::<u8>(), y, count.min(32)),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum) {
        // SAFETY: the caller's promise: the instruction set, `count` bytes each; what is left over is done one by one.
        unsafe {
            let mut at = 0;
            while at + 8 <= count {
                let terms = _mm256_add_ps(term(a.add(at), sum, 0), term(b.add(at), sum, 1));
                let steps = _mm256_cvtps_epi32(terms);
                _mm_storel_epi64(y.add(at).cast(), narrowed(steps, sum.zero));
                at += 8;
            }
            for i in at..count {
                *y.add(i) = sum.of(*a.add(i), *b.add(i));
            }
        }
    }

    fn pack(weights: &[[i8; 4]], out: &mut [u8]) {
        for (lane, w) in weights.iter().enumerate() {
            for (i, w) in w.iter().enumerate() {
                let at = 32 * (i % 2) + 4 * lane + i / 2 * 2;
                out[at..at + 2].copy_from_slice(&i16::from(*w).to_le_bytes());
            }
        }
    }
}

kernel_table!(Avx2, "avx2");
