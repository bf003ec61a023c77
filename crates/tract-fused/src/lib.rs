//! Fused operations for tract: integer regions of quantized networks, and the mask decoder of SAM.
//!
//! tract loads, types, checks, plans and runs every graph. Two operations of this package replace parts of a graph where
//! they are faster. Nothing here depends on what the images show.
//!
//! | operation | what it replaces |
//! |---|---|
//! | [`Int8Region`] | a maximal connected set of quantized convolutions, depthwise convolutions, sums, clips, nearest resizes and max pools |
//! | [`MaskDecoder`] | SAM's two-way decoder with separable convolutions around it, in f32 |
//!
//! Order of the steps: [`onnx`] parses the file and keeps `QuantizeLinear` and `DequantizeLinear` as nodes. [`FuseMaskDecoder`]
//! and [`FuseInt8`] put operations into the typed graph, before tract declutters it. [`Lower`] replaces the quantization nodes
//! that no region took by tract's own operations. `into_optimized` follows as usual.
//!
//! ```no_run
//! use tract_onnx::prelude::*;
//! use tract_fused::{FuseInt8, Kernels, Lower};
//!
//! let mut model = tract_fused::onnx().model_for_path("model.onnx")?.into_typed()?;
//! model.transform(&FuseInt8 { kernels: Some(Kernels::fastest()), outputs_as_bytes: false })?;
//! model.transform(&Lower)?;
//! let plan = model.into_optimized()?.into_runnable()?;
//! # TractResult::Ok(())
//! ```
#![deny(unsafe_code)]

pub mod aligned;
mod decoder;
pub mod error;
pub mod fast_math;
mod int8;
mod lower;
mod pattern;
mod pool;
mod quantization;
pub mod wide;

pub use decoder::{FuseMaskDecoder, MaskDecoder, set_input_types};
pub use int8::engine::StepInfo;
pub use int8::fuse::FuseInt8;
pub use int8::{Engine, EnginePlan, Int8Region, Kernels, OutputForm, network, reference};
pub use lower::Lower;
pub use pool::TensorPool;

/// tract's ONNX parser, which keeps quantization as nodes until [`Lower`].
pub fn onnx() -> tract_onnx::Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    quantization::register(&mut onnx);
    onnx
}
