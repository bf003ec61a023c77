//! Gestures: from touch contacts (window, touch panel) through a recognizer, or from a script.

pub mod keyboard;
pub mod recognizer;
pub mod script;
pub mod touch;

use crate::geometry::{DisplaySpace, Point};
use crate::units::{FrameId, Timestamp};

/// The phase of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A finger or button went down.
    Down,
    /// It moved while down.
    Move,
    /// It went up.
    Up,
    /// The device withdrew it.
    Cancel,
}

/// One event of one finger or of the mouse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// Number of the finger; the mouse is 0.
    pub finger: u8,
    /// Its phase.
    pub phase: Phase,
    /// Its place.
    pub at: Point<DisplaySpace>,
    /// Longest side of the contact patch, mm; `None` when the device does not report it.
    pub size_mm: Option<f32>,
    /// Monotonic time.
    pub time: Timestamp,
    /// The frame on the screen at that time.
    pub shown: Option<FrameId>,
}

/// What the operator did, in display px. `shown` is the frame on the screen at touch-down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gesture {
    /// Down and up at about the same place.
    Tap {
        /// Where it went down.
        at: Point<DisplaySpace>,
        /// Frame at touch-down.
        shown: Option<FrameId>,
    },
    /// A drag in progress.
    Dragging {
        /// Where it started.
        from: Point<DisplaySpace>,
        /// Where it is now.
        to: Point<DisplaySpace>,
        /// Frame at touch-down.
        shown: Option<FrameId>,
    },
    /// A completed drag.
    Drag {
        /// Where it began.
        from: Point<DisplaySpace>,
        /// Where it ended.
        to: Point<DisplaySpace>,
        /// Frame at touch-down.
        shown: Option<FrameId>,
    },
    /// A finger started to rest on a place; `HoldEnd` follows when it goes up.
    HoldBegin {
        /// Where.
        at: Point<DisplaySpace>,
    },
    /// The resting finger went up.
    HoldEnd,
    /// A drag or hold was cancelled.
    Cancelled,
}
