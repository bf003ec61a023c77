//! Instruction sets: the operations that kernels are written in, and run-time detection.
//!
//! A kernel is written once, generic over [`Isa`]. Each file of this folder implements one instruction set. All produce the
//! same bytes. The common operation adds four products of an activation (u8) and a weight (i8) to each lane of i32:
//!
//! | path | how |
//! |---|---|
//! | `avx512-vnni` | `vpdpbusd`, 16 lanes |
//! | `avx2` | bytes widened to i16, `vpmaddwd` twice, 8 lanes; never `vpmaddubsw`, which saturates |
//! | `neon-dotprod` | `sdot`, also by element, 4 lanes, activations less 128 |
//! | `neon` | `smull`, `smlal` and `sadalp`, 4 lanes, activations less 128 |
//! | `scalar` | plain Rust, 4 lanes |
#![allow(unsafe_code, reason = "the caller guarantees the instruction set")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
#[cfg(target_arch = "aarch64")]
mod neon_multiply;
mod portable;

use std::fmt;
use std::str::FromStr;

use super::kernels::{DepthwiseCall, GemmCall, SumCall, peak_macs};
use super::network::Sum;
use crate::error::{Error, ErrorKind, Result};

/// Operations of an instruction set.
///
/// # Safety
/// Methods may be called only where the processor has the instruction set, with pointers valid for what they read (loads of
/// activations read `4 * LANES` bytes) and write.
pub(super) trait Isa {
    /// Lanes of i32.
    const LANES: usize;
    /// Bytes of a vector of packed weights: four for each of [`Self::LANES`] channels.
    const RHS_BYTES: usize;
    /// The register tile.
    const REGISTER_TILE: RegisterTile;
    /// Whether [`Self::dots`] multiplies by element, so that loading sixteen activations at once pays.
    const HAS_ELEMENTS: bool;
    /// Subtracted from activations before the multiplication.
    const OFFSET: i32;
    /// Activations of `4 * LANES` channels.
    type Bytes: Copy;
    /// Two of them, interleaved.
    type Pair: Copy;
    /// Four activations for each lane.
    type Lhs: Copy;
    /// Sixteen activations of a pixel, or their address.
    type Lhs16: Copy;
    /// Four weights for each lane.
    type Rhs: Copy;
    /// Sums.
    type Acc: Copy;
    /// Bytes of the result, of at most four vectors of sums.
    type Packed: Copy;

    unsafe fn load(p: *const u8) -> Self::Bytes;
    unsafe fn pair(a: Self::Bytes, b: Self::Bytes) -> Self::Pair;
    /// Four activations for each of `4 * LANES` channels, in the order of [`channel`].
    unsafe fn quad(a: Self::Pair, b: Self::Pair) -> [Self::Lhs; 4];
    /// The same four activations in every lane.
    unsafe fn splat(p: *const u8) -> Self::Lhs;
    /// Reads 16 bytes, here or in [`Self::dots`]. Pointer and offset are separate because load instructions add them for free.
    unsafe fn lhs16(p: *const u8, offset: usize) -> Self::Lhs16;
    unsafe fn rhs(p: *const u8) -> Self::Rhs;
    unsafe fn start(bias: *const i32) -> Self::Acc;
    unsafe fn dot(acc: Self::Acc, lhs: Self::Lhs, rhs: Self::Rhs) -> Self::Acc;
    /// [`Self::dot`] of several vectors with the `I`th four of sixteen activations in every lane.
    unsafe fn dots<const I: usize, const N: usize>(
        acc: [Self::Acc; N],
        lhs16: Self::Lhs16,
        rhs: &[Self::Rhs; N],
    ) -> [Self::Acc; N];
    /// Scales, rounds half to even, adds the zero point and clamps to a byte; scales are in the order of [`channel`].
    unsafe fn requantize<const N: usize>(acc: [Self::Acc; N], scales: *const f32, zero: i32) -> Self::Packed;
    /// Writes the first `count` channels of `N` vectors' bytes.
    unsafe fn store<const N: usize>(bytes: Self::Packed, y: *mut u8, count: usize);
    /// Adds `count` bytes of two tensors.
    unsafe fn sum(a: *const u8, b: *const u8, y: *mut u8, count: usize, sum: &Sum);
    /// Packs four weights of each lane.
    fn pack(weights: &[[i8; 4]], out: &mut [u8]);
}

/// The register tile of a GEMM: MR pixels by NR vectors of output channels, whose sums stay in registers.
#[allow(dead_code, reason = "each is that of some processor")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RegisterTile {
    /// 12 sums in 16 registers: 3x4, 4x3, 5x2, 8x1.
    Sums12,
    /// 12 to 15 sums in 32 registers, which also hold weights, activations and a byte shuffle: 3x4, 5x3, 7x2, 10x1.
    Sums15,
    /// 20 sums in 32 registers, which also hold activations: 5x4, 6x3, 8x2, 12x1.
    Sums20,
    /// 24 sums in 32 registers: 6x4, 8x3, 12x2, 16x1.
    Sums24,
}

/// [`Isa::dot`] of several vectors with the same activations.
#[inline(always)]
pub(super) unsafe fn dots_of<S: Isa, const N: usize>(
    mut acc: [S::Acc; N],
    lhs: S::Lhs,
    rhs: &[S::Rhs; N],
) -> [S::Acc; N] {
    for z in 0..N {
        // SAFETY: the caller's promise.
        acc[z] = unsafe { S::dot(acc[z], lhs, rhs[z]) };
    }
    acc
}

/// The channel in lane `lane` of vector `z`, of `n` vectors that are requantized together: processors interleave and pack
/// within parts of four lanes.
pub(super) const fn channel(n: usize, z: usize, lane: usize) -> usize {
    4 * (lane / 4 * n + z) + lane % 4
}

/// Packs weights in the given order.
fn pack_bytes(weights: &[[i8; 4]], out: &mut [u8]) {
    for (out, w) in out.iter_mut().zip(weights.iter().flatten()) {
        *out = *w as u8;
    }
}

/// Kernels compiled for an instruction set, and the parameters of their packed weights.
#[derive(Clone, Copy)]
pub(super) struct KernelTable {
    pub lanes: usize,
    pub rhs_bytes: usize,
    pub offset: i32,
    pub pack: fn(&[[i8; 4]], &mut [u8]),
    pub gemm: unsafe fn(&GemmCall),
    pub depthwise: unsafe fn(&DepthwiseCall),
    pub sum: unsafe fn(&SumCall),
    pub peak: unsafe fn(*const u8, usize) -> u8,
}

/// Compiles the kernels with the named target features into a `TABLE`, a [`KernelTable`].
macro_rules! kernel_table {
    ($isa:ty $(, $features:literal)?) => {
        mod entries {
            use super::*;
            use crate::int8::kernels::{self, DepthwiseCall, GemmCall, SumCall};

            $(#[target_feature(enable = $features)])?
            pub(crate) unsafe fn gemm(call: &GemmCall) {
                // SAFETY: the caller's promise is this function's.
                unsafe { kernels::gemm::<$isa>(call) }
            }

            $(#[target_feature(enable = $features)])?
            pub(crate) unsafe fn depthwise(call: &DepthwiseCall) {
                // SAFETY: the caller's promise is this function's.
                unsafe { kernels::depthwise::<$isa>(call) }
            }

            $(#[target_feature(enable = $features)])?
            pub(crate) unsafe fn sum(call: &SumCall) {
                // SAFETY: the caller's promise is this function's.
                unsafe { kernels::sum::<$isa>(call) }
            }

            $(#[target_feature(enable = $features)])?
            pub(crate) unsafe fn peak(p: *const u8, turns: usize) -> u8 {
                // SAFETY: the caller's promise is this function's.
                unsafe { kernels::peak::<$isa>(p, turns) }
            }
        }

        pub(super) const TABLE: super::KernelTable = super::KernelTable {
            lanes: <$isa as super::Isa>::LANES,
            rhs_bytes: <$isa as super::Isa>::RHS_BYTES,
            offset: <$isa as super::Isa>::OFFSET,
            pack: <$isa as super::Isa>::pack,
            gemm: entries::gemm,
            depthwise: entries::depthwise,
            sum: entries::sum,
            peak: entries::peak,
        };
    };
}
use kernel_table;

/// A set of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX2.
    Avx2,
    /// NEON with dot products (Cortex-A55, A76 and later).
    NeonDotprod,
    /// NEON (Cortex-A53, A72).
    Neon,
    /// Plain Rust.
    Scalar,
}

impl Kernels {
    /// All of them, the fastest first.
    pub const ALL: [Self; 5] = [Self::Avx512Vnni, Self::Avx2, Self::NeonDotprod, Self::Neon, Self::Scalar];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx2 => "avx2",
            Self::NeonDotprod => "neon-dotprod",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }

    /// Whether this processor can run them.
    pub fn is_available(self) -> bool {
        self.table().is_some()
    }

    /// The fastest kernels that this processor can run.
    pub fn fastest() -> Self {
        Self::ALL.into_iter().find(|k| k.is_available()).unwrap_or(Self::Scalar)
    }

    /// Peak multiply-accumulates of one thread, operands in registers, 1e9/s. Measured, which takes about 10 ms; 0 if this
    /// processor cannot run the kernels.
    pub fn peak_gmacs_per_second(self) -> f64 {
        const TURNS: usize = 20_000;
        let Some(table) = self.table() else { return 0.0 };
        let bytes = [1u8; 1024];
        let turn = || {
            let begin = std::time::Instant::now();
            // SAFETY: the kernels are this processor's, and there are 1024 bytes.
            std::hint::black_box(unsafe { (table.peak)(bytes.as_ptr(), TURNS) });
            begin.elapsed().as_secs_f64()
        };
        let least = (0..40).map(|_| turn()).fold(f64::INFINITY, f64::min);
        (TURNS * peak_macs(table.lanes)) as f64 / least / 1e9
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn table(self) -> Option<KernelTable> {
        let vnni = || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni")
        };
        match self {
            Self::Avx512Vnni => vnni().then_some(avx512::TABLE),
            Self::Avx2 => is_x86_feature_detected!("avx2").then_some(avx2::TABLE),
            Self::Scalar => Some(portable::TABLE),
            Self::NeonDotprod | Self::Neon => None,
        }
    }

    #[cfg(target_arch = "aarch64")]
    pub(super) fn table(self) -> Option<KernelTable> {
        use std::arch::is_aarch64_feature_detected as has;
        match self {
            Self::NeonDotprod => (has!("neon") && has!("dotprod")).then_some(neon_dotprod::TABLE),
            Self::Neon => has!("neon").then_some(neon_multiply::TABLE),
            Self::Scalar => Some(portable::TABLE),
            Self::Avx512Vnni | Self::Avx2 => None,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) fn table(self) -> Option<KernelTable> {
        (self == Self::Scalar).then_some(portable::TABLE)
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernels {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let here: Vec<&str> = Self::ALL.into_iter().filter(|k| k.is_available()).map(Self::name).collect();
        let known = Self::ALL.into_iter().find(|k| k.name() == name && k.is_available());
        known.ok_or_else(|| Error::new(ErrorKind::Config, format!("expected one of {}, got `{name}`", here.join(", "))))
    }
}
