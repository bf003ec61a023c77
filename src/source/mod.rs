//! Where frames come from: a file played as if it came from the probe, a folder, a simulation, a camera.
//!
//! A source only fills pixels and says what it knows of them. When a frame is due, its number and its capture time are
//! the business of the pipeline's capture side, so a file and a camera look the same from there.

pub mod camera;
pub mod dicom;
pub mod images;
pub mod phantom;

use std::time::Duration;

use crate::error::Result;
use crate::frame::{Frame, PixelFormat};

/// What a source knows before the first frame.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDescription {
    /// For people; holds no patient data: the kind of source and its size, never a file's tags.
    pub name: String,
    /// image px.
    pub width: u32,
    /// image px.
    pub height: u32,
    /// How its pixels are stored.
    pub format: PixelFormat,
    /// Time from frame to frame as recorded; `None` when the source does not say.
    pub frame_period: Option<Duration>,
    /// Number of different frames; `None` when it goes on by itself.
    pub frames: Option<usize>,
}

/// What a call for the next frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The frame holds a new picture.
    Filled,
    /// There will be no more.
    End,
}

/// A source of frames.
pub trait FrameSource: Send {
    /// What is known beforehand.
    fn description(&self) -> &SourceDescription;

    /// Writes the next picture into `frame` with [`Frame::reshape`], and sets its scale and region where they are known.
    /// Its number and time are left alone. A frame that is damaged is passed over and counted by the source.
    fn next_into(&mut self, frame: &mut Frame) -> Result<Next>;

    /// Time from the frame given last to the next one, where the source has its own; `None` where all follow in the period.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// Starts again with the first picture.
    fn rewind(&mut self);
}
