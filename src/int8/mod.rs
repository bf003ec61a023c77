//! The integer engine: a quantized encoder, run by kernels made for this processor.
//!
//! | term | meaning |
//! |---|---|
//! | scale, zero point | a byte b stands for `scale * (b - zero point)` |
//! | kernel | weights of a convolution; also a piece of code that runs one (then *kernels* of an instruction set) |
//! | band | some rows of a tensor that are computed at once |
//! | halo | the zero point around an image, so that no kernel asks whether a tap is inside |
//!
//! The way of a network: [`float::read`] takes it from ONNX, [`quantize`] makes bytes of it, [`qdq`] writes it as ONNX that other
//! runtimes run too and reads it back, [`Engine`] plans it and runs it. [`reference::run`] is what every kernel must equal.

mod buffer;
pub mod engine;
pub mod float;
pub(crate) mod geometry;
#[cfg(test)]
mod guarded;
mod isa;
mod kernels;
pub mod network;
mod pack;
mod plan;
pub mod qdq;
pub mod quantize;
pub mod reference;
#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use isa::{Kernels, VARIABLE};
