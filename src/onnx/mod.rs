//! ONNX files, node by node: written for what is exported, read for what is run by other means than tract.

pub mod read;
pub mod write;
