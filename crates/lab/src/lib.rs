//! What measures, quantizes and trains sonotap's models. No device needs it.
//!
//! | module | what |
//! |---|---|
//! | [`eval`] | how good a model is: data sets, simulated operators, metrics, reports |
//! | [`quantize`] | a model folder whose encoder runs in integers, and what that costs |
//! | `train` (feature `train`) | click models trained on one's own data |
#![deny(unsafe_code)]

pub mod eval;
pub mod quantize;
#[cfg(feature = "train")]
pub mod train;
