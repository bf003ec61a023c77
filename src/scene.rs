//! What is on the screen, as plain values: written by the engine once a frame, read by the overlay and by library users.

use std::sync::Arc;
use std::time::Duration;

use crate::calipers::{CaliperNotice, CaliperView};
use crate::contour::Outline;
use crate::frame::{Frame, PixelScale};
use crate::geometry::{ImageSpace, Point, Rect};
use crate::measure::Measurements;
use crate::preset::Preset;
use crate::prompt::{Polarity, PromptId};
use crate::region::{Misplaced, Unmeasured};
use crate::units::{FrameId, ObjectId, Score};

/// Score below which the operator is asked for another point.
pub const SCORE_LOW: f32 = 0.5;

/// How an object's outline may be drawn on the frame that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// Computed from this very frame: the fresh style.
    Exact,
    /// Carried here by motion from the frame that the model last looked at, so long ago.
    Carried {
        /// Time since the capture of the frame that the model looked at.
        age: Duration,
    },
    /// Could not be carried to this frame: dimmed, where it last was.
    Stale {
        /// Time since the capture of the frame that the model looked at.
        age: Duration,
    },
    /// Not drawn.
    Hidden(HiddenReason),
    /// Not drawn any more until the operator taps again.
    Lost(LostReason),
}

impl Overlay {
    /// Whether an outline is drawn at all.
    pub fn is_drawn(self) -> bool {
        matches!(self, Self::Exact | Self::Carried { .. } | Self::Stale { .. })
    }
}

/// Why an outline is not drawn for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiddenReason {
    /// The model has not answered yet.
    Computing,
    /// The last look is older than the age limit.
    TooOld,
    /// The model's output is not a mask: not finite, nothing, or everything.
    ImplausibleMask,
    /// The model returned an error.
    ModelFailed,
    /// The picture is not a B-mode image.
    NotBMode,
    /// There is no new picture.
    NoSignal,
    /// The operator hides the overlay.
    ByOperator,
}

/// Why an object was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostReason {
    /// The picture changed altogether.
    SceneCut,
    /// Motion forwards and backwards do not agree.
    MotionUnreliable,
    /// The model, asked again, sees another outline than the one carried.
    Disagreement,
    /// The model's own score fell.
    LowScore,
    /// The area jumped.
    AreaJump,
    /// It left the image.
    LeftImage,
    /// The source stopped or was exchanged.
    SignalLost,
}

impl LostReason {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::SceneCut => "picture changed",
            Self::MotionUnreliable => "motion unclear",
            Self::Disagreement => "outline uncertain",
            Self::LowScore => "low confidence",
            Self::AreaJump => "size jumped",
            Self::LeftImage => "left the image",
            Self::SignalLost => "signal lost",
        }
    }
}

/// Whether new pictures come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// New pictures come.
    Good,
    /// Nothing yet, or nothing for more than three frame periods.
    #[default]
    Missing,
    /// Frames come, but the same picture again and again.
    Repeating,
    /// The frame before came to the glass after its deadline, and this one may too. Outlines are drawn, LIVE is not said.
    Delayed,
    /// Frames come, but not to the glass within their deadline: what is shown is old. No outlines.
    Late,
}

impl Signal {
    /// Whether outlines may be drawn on a live picture.
    pub fn allows_outlines(self) -> bool {
        matches!(self, Self::Good | Self::Delayed)
    }

    /// Its words on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Good => "LIVE",
            Self::Missing => "NO SIGNAL",
            Self::Repeating => "NO NEW IMAGE",
            Self::Delayed => "DELAYED",
            Self::Late => "TOO SLOW",
        }
    }
}

/// What the screen follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The newest frame.
    #[default]
    Live,
    /// The frame that was on the screen when the operator froze it.
    Frozen,
    /// A frame chosen from the cine ring.
    Review,
}

/// What the next tap means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// This belongs to the object.
    #[default]
    Include,
    /// This does not.
    Exclude,
}

/// How strongly the inside of an outline is tinted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FillLevel {
    /// Contour only.
    #[default]
    None,
    /// 25 %.
    Quarter,
    /// 50 %.
    Half,
}

/// Something to tell the operator, in the order of what matters more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Tap the structure to outline it.
    TapToStart,
    /// The object was lost; tap it again.
    TapAgain(ObjectId, LostReason),
    /// The score is low; add a point.
    AddPoint(ObjectId),
    /// A closer view of the tap found another outline, which took the place of the first.
    OutlineChanged(ObjectId),
    /// The tap was outside the image region.
    OutsideImage,
    /// No more prompts fit.
    PromptsFull,
    /// All objects are in use.
    ObjectsFull,
    /// The frame that was tapped is gone from memory.
    FrameGone,
    /// The picture is not B-mode.
    NotBMode,
    /// The prompt belongs to no tissue region, or to another one than its object.
    Misplaced(Misplaced),
    /// The outline is not measured in millimetres, although there is a scale.
    Unmeasured(ObjectId, Unmeasured),
    /// The model fails.
    ModelFailed,
    /// About calipers, volumes or the scale by hand.
    Calipers(CaliperNotice),
}

/// A prompt as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Marker {
    /// A click.
    Click {
        /// For removing it by a tap.
        prompt: PromptId,
        /// Where, on the frame shown.
        at: Point<ImageSpace>,
        /// In or out.
        polarity: Polarity,
    },
    /// A box.
    Box {
        /// For removing it by a tap.
        prompt: PromptId,
        /// Where, on the frame shown.
        rect: Rect<ImageSpace>,
    },
}

/// One object on the screen.
#[derive(Clone, Debug)]
pub struct ObjectScene {
    /// Which one.
    pub object: ObjectId,
    /// Whether taps go to it.
    pub is_active: bool,
    /// How its outline may be drawn.
    pub overlay: Overlay,
    /// Its outline on the frame shown, image px; to be drawn only when `overlay.is_drawn()`.
    pub outline: Outline,
    /// Its prompts on the frame shown.
    pub markers: Vec<Marker>,
    /// The model's estimate of the outline's IoU.
    pub score: Option<Score>,
    /// Of the outline, where it was computed from this frame: nothing is measured on a carried one.
    pub measurements: Option<Measurements>,
}

/// What the model proposes before any tap, while nothing is outlined. It is no finding and no outline of an object: it is drawn
/// in a style of its own with the word "suggested", and never measured, saved or sent. A tap within it accepts it.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// Its outline on the frame shown, image px.
    pub outline: Outline,
    /// The model's mean probability within it.
    pub score: Score,
    /// [`Overlay::Exact`] or [`Overlay::Carried`].
    pub overlay: Overlay,
}

/// Place in the cine ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CinePlace {
    /// 0 is the oldest.
    pub index: usize,
    /// Frames in the ring.
    pub len: usize,
}

/// Everything that the screen shows beside the frame itself; by default what there is before the first frame.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The frame it belongs to.
    pub frame: Option<FrameId>,
    /// Age of that frame when the scene was made, from its capture.
    pub frame_age: Duration,
    /// Live, frozen or review.
    pub mode: Mode,
    /// Whether new pictures come.
    pub signal: Signal,
    /// Counts frames with a new id and a new picture; moves the LIVE tick.
    pub live_tick: u64,
    /// The objects, active one last so that it is drawn on top.
    pub objects: Vec<ObjectScene>,
    /// What the next tap means.
    pub tool: Tool,
    /// How outlines are filled.
    pub fill: FillLevel,
    /// What is about to be outlined, if somebody said.
    pub preset: Option<Arc<Preset>>,
    /// Whether there is something to undo.
    pub can_undo: bool,
    /// Whether there is something to redo.
    pub can_redo: bool,
    /// A drag in progress, image px.
    pub rubber_band: Option<Rect<ImageSpace>>,
    /// Something to tell the operator.
    pub notice: Option<Notice>,
    /// Place in the cine ring, when frozen or reviewing.
    pub cine: Option<CinePlace>,
    /// Whether it is so hot that only every second frame is looked at.
    pub is_hot: bool,
    /// The scale of the frame, where it has none of its own: by hand, or known by its ruler.
    pub ruler_scale: Option<PixelScale>,
    /// Calipers, volumes and their controls; `None` while nobody measures by hand.
    pub calipers: Option<Arc<CaliperView>>,
    /// What the model proposes before any tap; `None` wherever something is outlined.
    pub suggestion: Option<Suggestion>,
}

impl Scene {
    /// Whether this scene may be painted over `frame`.
    pub fn belongs_to(&self, frame: &Frame) -> bool {
        self.frame == frame.id
    }
}
