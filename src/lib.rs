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
//! | [`heat`] | when it gets hot, less is computed |
//!
//! A program pushes frames and commands and polls scenes: [`pipeline::live`] has the example.
#![deny(unsafe_code)]
#![cfg_attr(not(feature = "internals"), allow(dead_code, unused_imports, reason = "sonotap's other packages use it"))]

mod rooms;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub use rooms::*;
#[cfg(not(feature = "internals"))]
use rooms::*;
