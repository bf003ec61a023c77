//! Touch panels: what the kernel's events mean, where they lie on the screen, and which frame they touched.
//!
//! | file | what |
//! |---|---|
//! | `protocol.rs` | events of a panel (multitouch protocol B, or a single touch) become fingers; pure |
//! | `transform.rs` | a place on the panel becomes a place on the screen; pure |
//! | `evdev.rs` | finds, opens and reads a panel, also after it was unplugged (feature `touch`) |
//!
//! Invariants: a finger whose state is not known for sure (lost events, a panel that went away) is taken back, and what it
//! did is no gesture; a contact belongs to the frame that was on the screen when the kernel saw it, not when it was read.

#[cfg(feature = "touch")]
pub mod evdev;
mod protocol;
mod transform;

pub use protocol::{Decoder, Demand, Finger, PanelAxes, RawEvent};
pub use transform::{PanelMap, Turn};

use crate::units::{FrameId, Nanos};

/// Which frame was on the screen at a time in the recent past.
///
/// ```
/// use sonotap::input::touch::ShownFrames;
/// use sonotap::units::{FrameId, Nanos};
/// let mut shown = ShownFrames::default();
/// shown.note(FrameId(7), Nanos::from_ms(100));
/// shown.note(FrameId(8), Nanos::from_ms(133));
/// assert_eq!(shown.at(Nanos::from_ms(120)), FrameId(7));
/// assert_eq!(shown.at(Nanos::from_ms(140)), FrameId(8));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ShownFrames {
    /// Newest first.
    shown: [Option<(FrameId, Nanos)>; 16],
}

impl ShownFrames {
    /// `frame` is on the screen at `now`; the time of the first such note counts.
    pub fn note(&mut self, frame: FrameId, now: Nanos) {
        if self.shown[0].is_none_or(|(newest, _)| newest != frame) {
            self.shown.rotate_right(1);
            self.shown[0] = Some((frame, now));
        }
    }

    /// The frame at that time; the oldest that is known when that is longer ago, no frame before the first note.
    pub fn at(&self, time: Nanos) -> FrameId {
        let known = || self.shown.iter().flatten();
        known().find(|(_, since)| *since <= time).or(known().last()).map_or(FrameId(0), |(frame, _)| *frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_read_late_belongs_to_the_frame_of_its_own_time() {
        let mut shown = ShownFrames::default();
        assert_eq!(shown.at(Nanos(5)), FrameId(0));
        for id in 1..=40 {
            for again in 0..3 {
                shown.note(FrameId(id), Nanos::from_ms(33 * id + again));
            }
        }
        assert_eq!(shown.at(Nanos::from_ms(33 * 40)), FrameId(40));
        assert_eq!(shown.at(Nanos::from_ms(33 * 40 - 1)), FrameId(39));
        assert_eq!(shown.at(Nanos::from_ms(33 * 30 + 32)), FrameId(30));
        assert_eq!(shown.at(Nanos(0)), FrameId(25), "older than what is kept");
    }
}
