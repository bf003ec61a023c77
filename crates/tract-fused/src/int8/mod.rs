//! The integer engine: regions of a quantized network, run by kernels made for this processor.
//!
//! | term | meaning |
//! |---|---|
//! | scale, zero point | a byte b stands for `scale * (b - zero point)` |
//! | kernel | weights of a convolution; also a piece of code that runs one (then *kernels* of an instruction set) |
//! | lhs, rhs | activations and weights of a product |
//! | band | some rows of a tensor that are computed at once |
//! | halo | the zero point around an image, so that no kernel asks whether a tap is inside |
//!
//! [`recognize`] finds integer layers in a typed graph, [`fuse`] puts an [`Int8Region`] in their place, [`Engine`] runs it.
//! [`reference::run`] is what every kernel must equal.

mod buffer;
pub mod engine;
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
pub mod region;
#[cfg(test)]
mod tests;

pub use engine::{Engine, Planned};
pub use isa::Kernels;
pub use region::{Form, Int8Region};
