//! Touch panels: the meaning of the kernel's events, their place on the screen, and the frame that they touched.
//!
//! | file | what |
//! |---|---|
//! | `profile.rs` | what a device profile says of its panel |
//! | `protocol.rs` | decodes a panel's events (multitouch protocol B, or single touch) to fingers; pure |
//! | `transform.rs` | maps places on the panel to places on the screen; pure |
//! | `evdev.rs` | finds, opens and reads a panel, and finds it again after it was unplugged (feature `touch`) |
//!
//! Invariants: a finger whose state is uncertain (lost events, a panel that went away) is cancelled and makes no
//! gesture; a contact belongs to the frame that was on the screen when the kernel saw it, not when it was read.

#[cfg(feature = "touch")]
pub mod evdev;
mod profile;
mod protocol;
mod transform;

pub use profile::TouchProfile;
pub use protocol::{Decoder, Demand, Finger, PanelAxes, RawEvent};
pub use transform::{PanelMap, Turn};

use crate::units::{FrameId, Timestamp};

/// The frames that were on the screen in the recent past.
///
/// ```
/// use sonotap::input::touch::ShownFrames;
/// use sonotap::units::{FrameId, Timestamp};
/// let mut shown = ShownFrames::default();
/// shown.note(Some(FrameId(7)), Timestamp::from_ms(100));
/// shown.note(Some(FrameId(8)), Timestamp::from_ms(133));
/// assert_eq!(shown.at(Timestamp::from_ms(120)), Some(FrameId(7)));
/// assert_eq!(shown.at(Timestamp::from_ms(140)), Some(FrameId(8)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ShownFrames {
    /// Newest first.
    shown: [Option<(Option<FrameId>, Timestamp)>; 16],
}

impl ShownFrames {
    /// Records that `frame`, or none, is on the screen at `now`; repeated calls for one frame keep its first time.
    pub fn note(&mut self, frame: Option<FrameId>, now: Timestamp) {
        if self.shown[0].is_none_or(|(newest, _)| newest != frame) {
            self.shown.rotate_right(1);
            self.shown[0] = Some((frame, now));
        }
    }

    /// The frame at that time, or the oldest known one for an earlier time; no frame before the first record.
    pub fn at(&self, time: Timestamp) -> Option<FrameId> {
        let known = || self.shown.iter().flatten();
        known().find(|(_, since)| *since <= time).or(known().last()).and_then(|(frame, _)| *frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_read_late_belongs_to_the_frame_of_its_own_time() {
        let mut shown = ShownFrames::default();
        assert_eq!(shown.at(Timestamp::from_ns(5)), None);
        for id in 1..=40 {
            for again in 0..3 {
                shown.note(Some(FrameId(id)), Timestamp::from_ms(33 * id + again));
            }
        }
        assert_eq!(shown.at(Timestamp::from_ms(33 * 40)), Some(FrameId(40)));
        assert_eq!(shown.at(Timestamp::from_ms(33 * 40 - 1)), Some(FrameId(39)));
        assert_eq!(shown.at(Timestamp::from_ms(33 * 30 + 32)), Some(FrameId(30)));
        assert_eq!(shown.at(Timestamp::START), Some(FrameId(25)), "older than what is kept");
    }
}
