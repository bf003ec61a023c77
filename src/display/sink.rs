//! Where recorded pictures go, whatever the format.

use super::Presented;
use crate::error::Result;

/// What a sink did with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is, or will be, in the recording.
    Written,
    /// It came so soon after the one before that it took its place.
    Replaced,
}

/// One format of recording; runs on the writing thread.
pub(super) trait Sink: Send {
    /// Adds a picture, row-major 0x00RRGGBB, of the size that the sink was made for.
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate>;
    /// Closes the recording and gives it its name.
    fn finish(self: Box<Self>) -> Result<()>;
}
