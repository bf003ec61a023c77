//! Writes ONNX files: [`mod@write`] builds graphs node by node, [`mod@pack`] packs external data into a file.

pub mod pack;
mod tensor;
pub mod write;

pub use tensor::{Dim, TensorSpec};
