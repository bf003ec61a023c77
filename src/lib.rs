//! sonotap turns a tap on a live ultrasound image into a measured, tracked outline, on the device that shows the image.
#![deny(missing_docs)]

pub mod error;
pub mod frame;
pub mod geometry;
pub mod mask;
pub mod units;
