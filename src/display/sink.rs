//! The interface of recording formats.

use super::Presented;
use crate::error::Result;

/// The outcome of writing a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The picture is, or will be, in the recording.
    Written,
    /// It came so soon after the previous one that it replaced it.
    Replaced,
}

/// One format of recording; runs on the writing thread.
pub(super) trait Sink: Send {
    /// Adds a picture, row-major 0x00RRGGBB, of the sink's size.
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate>;
    /// Closes the recording and renames it to its path.
    fn finish(self: Box<Self>) -> Result<()>;
}
