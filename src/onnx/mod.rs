//! ONNX files as they are written: [`write`] builds graphs node by node, [`pack`] takes external data in.

pub mod pack;
pub mod write;
