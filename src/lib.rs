//! sonotap turns a tap on a live ultrasound image into a measured, tracked outline, on the device that shows the image.
//!
//! **Not for diagnostic use.** An outline is a suggestion of a model; it is drawn with what is known of its age and worth.
//!
//! Push frames and commands, poll what to draw, say when it was at the glass:
//!
//! ```no_run
//! use sonotap::{CaptureTime, Command, Light, Live, LiveConfig, LiveView, Picture, PixelFormat, Point};
//!
//! let mut live = Live::open("models/student", LiveConfig::default())?;
//! let input = live.input(); // for the thread that has the frames
//! let pixels = vec![0; 640 * 480];
//! input.push(&Picture::dense(640, 480, PixelFormat::Grey8, &pixels), CaptureTime::Now, None)?;
//! let tap = Command::Click { at: Point::new(320.0, 240.0), polarity: None, shown: live.on_screen() };
//! live.command(tap, live.clock().now());
//! if let Some(LiveView { frame, scene, ticket }) = live.poll() {
//!     println!("{} objects on frame {}", scene.objects.len(), ticket.frame());
//!     // Draw it here. Then, as the picture is handed to the display:
//!     if live.hand_over(&ticket) {
//!         live.presented(ticket, Light::Now);
//!     } else {
//!         live.withheld(ticket);
//!     }
//! }
//! # Ok::<(), sonotap::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | outline on a live stream, drawn by the host | [`Live`], [`FrameInput`], [`Scene`] |
//! | the same on sonotap's own screen | [`DisplayLoop`], [`Screen`], [`Display`] |
//! | outline a still image | [`Predictor::open`], [`load_still`] |
//! | play a file or a simulation | [`DicomSource`], [`Phantom`] |
//!
//! The list below is the whole interface. What belongs to it is named here, or is the type of a public field or the result of a
//! method of what is named.
//! The modules behind it change without notice; the feature `internals` opens them to sonotap's own packages.
#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "internals"),
    allow(dead_code, unreachable_pub, unused_imports, reason = "sonotap's other packages use it")
)]

mod rooms;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub use rooms::*;
#[cfg(not(feature = "internals"))]
use rooms::*;

pub use ndarray;

// Errors, and values that know their unit and space.
pub use error::{Error, ErrorKind, Result};
pub use geometry::{DisplaySpace, ImageSpace, Point, Rect};
pub use units::{FrameId, Millimetres, ObjectId, Score, Timestamp};

// Measuring by hand.
pub use calipers::kept::Which;
pub use calipers::{CaliperCommand, CaliperTool, CaliperView, KnownScale};

// Frames.
pub use frame::{Frame, ImageRegion, Picture, PixelFormat, PixelScale, RegionContent, ScaleSource};
pub use pipeline::capture_time::CaptureTime;
pub use pipeline::entry::{Entered, FrameInput};

// The live path.
pub use glass::{DisplayTiming, Light};
pub use pipeline::live::{Live, LiveConfig, LiveReport, LiveView, Ticket};
pub use preset::Preset;
pub use prompt::Polarity;
pub use session::{Command, SaveRequest};

// What is on the screen.
pub use contour::Outline;
pub use mask::{Bitmap, LogitGrid};
pub use measure::Measurements;
pub use scene::{HiddenReason, LostReason, Mode, Notice, ObjectScene, Overlay, Scene, Signal, Suggestion, Tool};

// Still images, and models.
pub use model::predictor::{PredictOptions, Prediction, Predictor, Prompts};
pub use source::images::load_still;

// The screen and its display.
pub use desk::{Desk, DeskConfig, ExamRequest, ExamTold, Identity, ItemTold, SaveTold, Trouble, Warnings};
pub use display::{Arrival, Display, Key, NullDisplay, Presence, Presentation, Presented};
pub use display_loop::DisplayLoop;
pub use input::{Contact, Phase};
pub use overlay::{Canvas, Control};
pub use screen::{Screen, ScreenConfig};

// Sources, and device profiles.
pub use profile::Profile;
pub use source::dicom::DicomSource;
pub use source::phantom::{Phantom, PhantomConfig, PhantomPreset};
pub use source::{FrameSource, SourceDescription};
