//! ONNX files as they are written: [`mod@write`] builds graphs node by node, [`mod@pack`] takes external data in.

pub mod pack;
pub mod write;
