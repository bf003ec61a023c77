//! Motion: outlines follow the tissue from frame to frame, independent of the model's speed.
//!
//! Pure computation on pictures and masks: no clock, no threads, no I/O, no allocation after the first frames.
//!
//! | file | what |
//! |---|---|
//! | `small_grey.rs` | the frame's image region as a small grey picture |
//! | `flow.rs` | motion between two small pictures: dense inverse search |
//! | `pyramid.rs`, `patch.rs`, `cells.rs` | its parts: image pyramid, search of one patch, dense field from patches |
//! | `field.rs` | a field of motion: look-up, inverse, composition |
//! | `carry.rs` | carrying a mask along the motion; agreement, forward-backward error, share outside the image |
//! | `change.rs` | repeated image, scene cut |
//! | `drift.rs` | the drift test: confirm, keep, doubt, lost |
//!
//! Terms: *backward* motion maps a point of the later picture to its origin in the earlier one. A *composite* is the backward
//! motion over several frames, from the shown frame to the frame of a prediction. *Px of the small picture* are model px of
//! its view.

pub mod carry;
mod cells;
mod change;
mod drift;
mod field;
pub mod flow;
mod patch;
mod pyramid;
mod small_grey;
