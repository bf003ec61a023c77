//! The motion room: outlines follow the tissue from frame to frame, whatever time the model takes.
//!
//! Pure computation on pictures and masks: no clock, no threads, no I/O, and nothing allocated after the first frames.
//!
//! | file | what |
//! |---|---|
//! | `small_grey.rs` | the frame's image region as a small grey picture |
//! | `flow.rs` | motion between two small pictures: dense inverse search |
//! | `pyramid.rs`, `patch.rs`, `cells.rs` | its parts: halved pictures, the search of one patch, patches to a dense field |
//! | `field.rs` | a field of motion: look-up, inverse, composition |
//! | `carry.rs` | a mask along the motion; agreement, forward-backward error, what has left the image |
//! | `change.rs` | the same picture again, or another altogether |
//! | `drift.rs` | the drift test: confirm, keep, doubt, lost |
//!
//! Terms: *backward* motion says, for a point of the later picture, where it came from; a *composite* is the backward motion
//! over several frames, from now to the frame that the model looked at; *px of the small picture* are model px of its view.

pub mod carry;
mod cells;
mod change;
mod drift;
mod field;
pub mod flow;
mod patch;
mod pyramid;
mod small_grey;
