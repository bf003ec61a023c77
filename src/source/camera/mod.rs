//! Cameras. [`pipeline::capture`](crate::pipeline::capture) is the thread that reads one.
//!
//! | file | what |
//! |---|---|
//! | `convert.rs` | pixels of every format become grey or colour; pure |
//! | `profile.rs` | what a device profile says of its camera |
//! | `recovery.rs` | when to open, read or wait, whatever fails; pure |
//! | `v4l2.rs` | V4L2 devices of Linux (feature `v4l2`) |
//!
//! A camera is not a [`FrameSource`](crate::source::FrameSource): it has its own time, may be absent, and comes back.
//!
//! Invariants: a picture that the driver marks as damaged, or that is too short, never becomes a frame; of several
//! pictures that wait only the newest does; a frame's capture time is the driver's; scale and image region are set only
//! on frames of the size that the profile was written for.

mod convert;
mod profile;
mod recovery;
#[cfg(feature = "v4l2")]
pub mod v4l2;

pub use convert::{CameraFormat, Colours, Ink, Levels, Matrix, PictureLayout, convert, convert_buffers};
pub use profile::CameraProfile;
pub use recovery::{Fault, Patience, Recovery, Step};

use std::time::Duration;

use crate::error::Result;
use crate::frame::{Frame, ImageRegion, PixelScale};

/// What a call for the newest picture came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grabbed {
    /// The frame holds the newest picture.
    Picture {
        /// Since its capture, by the driver's own time.
        age: Duration,
        /// Older pictures that waited and were left out.
        skipped: u32,
    },
    /// None came in time.
    Nothing,
    /// All that came were damaged.
    Damaged {
        /// How many.
        pictures: u32,
    },
    /// The stream cannot go on.
    Failed(Fault),
}

/// A device that delivers pictures. It is used by one thread.
pub trait Camera: Send {
    /// Finds the device, agrees on a layout and starts it.
    ///
    /// # Errors
    /// `Unavailable` when it is not there, `Unsupported` when it has no format that is handled, `Io` else.
    fn open(&mut self) -> Result<PictureLayout>;

    /// Waits for a picture, no longer than `patience`, and writes the newest into `frame` (all but its number and time).
    fn newest(&mut self, frame: &mut Frame, patience: Duration) -> Grabbed;

    /// Stops it and lets go of it; does nothing when it is closed.
    fn close(&mut self);
}

/// What a profile knows of a camera's pictures and the camera does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The size that it was written for, px.
    pub size: (u32, u32),
    /// Where the patient is shown.
    pub region: Option<ImageRegion>,
    /// Size of a pixel.
    pub scale: Option<PixelScale>,
    /// Width of a pixel over its height.
    pub pixel_aspect: Option<f32>,
}

impl Annotation {
    /// Sets region, scale and aspect of a frame of the size that this was written for; leaves others alone.
    ///
    /// # Errors
    /// `Argument` when the region cannot be one of such a frame; nothing is set then.
    pub fn apply(&self, frame: &mut Frame) -> Result<()> {
        if (frame.width(), frame.height()) != self.size {
            return Ok(());
        }
        if let Some(region) = self.region {
            frame.set_region(region)?;
        }
        frame.set_scale(self.scale);
        frame.set_pixel_aspect(self.pixel_aspect);
        Ok(())
    }
}
