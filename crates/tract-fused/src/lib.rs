//! Fused operations for tract: integer regions of quantized networks, and the mask decoder of SAM.
//!
//! tract loads, types, checks, plans and runs every graph; two operations of this package stand in it where they are faster.
//! Nothing here knows what the images show.
//!
//! | operation | what it takes the place of |
//! |---|---|
//! | [`Int8Region`] | a maximal connected set of quantized convolutions, depthwise convolutions, sums, clips, nearest resizes and max pools |
//! | [`MaskDecoder`] | SAM's two-way decoder with separable convolutions around it, in f32 |
//!
//! The way of a graph: [`onnx`] parses it with `QuantizeLinear` and `DequantizeLinear` kept as nodes; [`FuseMaskDecoder`] and
//! [`FuseInt8`] put operations into the typed graph, before tract declutters it; [`Lower`] gives what no region took back
//! to tract; then `into_optimized` as ever.
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
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod aligned;
mod decoder;
pub mod error;
pub mod fast_math;
mod int8;
mod lower;
mod pattern;
mod quantization;
mod spare;
pub mod wide;

pub use decoder::{FuseMaskDecoder, MaskDecoder, set_input_types};
pub use int8::engine::StepInfo;
pub use int8::fuse::FuseInt8;
pub use int8::{Engine, Form, Int8Region, Kernels, Planned, network, reference};
pub use lower::Lower;
pub use spare::Spare;

/// tract's reader of ONNX files, with quantization kept as nodes until [`Lower`].
pub fn onnx() -> tract_onnx::Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    quantization::register(&mut onnx);
    onnx
}
