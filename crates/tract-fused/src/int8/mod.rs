//! The integer engine: runs regions of a quantized network with kernels for this processor.
//!
//! | term | meaning |
//! |---|---|
//! | scale, zero point | a byte b represents `scale * (b - zero point)` |
//! | kernel | the weights of a convolution; also the code that runs one (*kernels* of an instruction set) |
//! | lhs, rhs | activations and weights of a matrix product |
//! | register tile, MR x NR | pixels by vectors of channels whose sums stay in registers |
//! | band | rows of a tensor that are computed together |
//! | halo | the zero point around an image, so that kernels need no bounds check |
//!
//! [`recognize`] finds integer layers in a typed graph, [`fuse`] replaces them by [`Int8Region`]s, [`Engine`] runs a region.
//! Every kernel must equal [`reference::run`].

mod buffer;
pub(crate) mod engine;
pub(crate) mod float;
pub(crate) mod fuse;
#[cfg(test)]
mod guarded;
mod isa;
mod kernels;
pub mod network;
mod pack;
mod plan;
pub(crate) mod recognize;
pub mod reference;
pub(crate) mod region;
#[cfg(test)]
mod tests;

pub use engine::{Engine, EnginePlan};
pub use isa::Kernels;
pub use region::{Int8Region, OutputForm};
