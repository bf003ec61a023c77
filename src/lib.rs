//! sonotap turns a tap on a live ultrasound image into a measured, tracked outline, on the device that shows the image.
//!
//! **Not for diagnostic use.** An outline is a suggestion of a model; it is drawn with what is known of its age and worth.
//!
//! | room | what |
//! |---|---|
//! | [`units`], [`geometry`], [`frame`], [`mask`] | values that know their unit, space and provenance |
//! | [`source`] | where frames come from: DICOM, images, phantom, camera |
//! | [`profile`] | what a device is made of, from a TOML file |
//! | [`input`], [`prompt`], [`session`] | what the operator does, and what it means |
//! | [`model`] | a promptable model, and one look through it |
//! | [`track`] | optical flow, carrying a mask along it, the drift test |
//! | [`glass`] | when a picture will be at the glass |
//! | [`durable`] | files that are whole or not there |
//! | [`engine`] | session, motion and objects as one state machine without threads or clock |
//! | [`pipeline`] | the engine on threads, with a deadline for every frame |
//! | [`contour`], [`measure`], [`scene`] | the outline, its measurements, what is on the screen |
//! | [`overlay`], [`screen`], [`display`] | drawing it, touching it, showing or recording it |
//! | [`quantize`] | a model folder's encoder made integer, and what that costs |
//! | [`heat`] | when it gets hot, less is computed |
//! | [`eval`] | how good a model is: protocols, metrics, reports |
//!
//! A program pushes frames and commands and polls scenes: [`pipeline::live`] has the example.
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod contour;
pub mod display;
pub mod durable;
pub mod engine;
pub mod error;
pub mod eval;
pub mod frame;
pub mod geometry;
pub mod glass;
pub mod heat;
pub mod input;
pub mod mask;
pub mod measure;
pub mod model;
pub mod onnx;
pub mod overlay;
pub mod pipeline;
pub mod preset;
pub mod profile;
pub mod prompt;
pub mod quantize;
pub mod region;
pub mod scene;
pub mod screen;
pub mod session;
pub mod source;
mod text_file;
pub mod track;
#[cfg(feature = "train")]
pub mod train;
pub mod units;
