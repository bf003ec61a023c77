//! Where gestures come from: touch contacts (window, touch panel) through a recognizer, or a script.

pub mod recognizer;
pub mod script;
pub mod touch;

use crate::geometry::{Display, Point};
use crate::units::{FrameId, Nanos};

/// What a contact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A finger or button goes down.
    Down,
    /// It moves while down.
    Move,
    /// It goes up.
    Up,
    /// The device takes it back.
    Cancel,
}

/// One event of one finger or of the mouse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    /// Which finger; the mouse is 0.
    pub finger: u8,
    /// What it does.
    pub phase: Phase,
    /// Where.
    pub at: Point<Display>,
    /// Longest side of the contact patch, mm; `None` when the device does not say.
    pub size_mm: Option<f32>,
    /// Monotonic time.
    pub time: Nanos,
    /// The frame on the screen at that time.
    pub shown: FrameId,
}

/// What the operator did, in display px. `shown` is the frame on the screen at touch-down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gesture {
    /// Down and up in about the same place.
    Tap {
        /// Where it went down.
        at: Point<Display>,
        /// Frame at touch-down.
        shown: FrameId,
    },
    /// A drag that goes on.
    Dragging {
        /// Where it began.
        from: Point<Display>,
        /// Where it is.
        to: Point<Display>,
        /// Frame at touch-down.
        shown: FrameId,
    },
    /// A drag that ended.
    Drag {
        /// Where it began.
        from: Point<Display>,
        /// Where it ended.
        to: Point<Display>,
        /// Frame at touch-down.
        shown: FrameId,
    },
    /// A finger rests on a place; repeated by `HoldEnd` when it goes up.
    HoldBegin {
        /// Where.
        at: Point<Display>,
    },
    /// The resting finger went up.
    HoldEnd,
    /// A drag or hold was taken back.
    Cancelled,
}
