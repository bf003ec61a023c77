//! The session: the operator's choices as a pure state machine. No I/O, no threads, no clock: time is an argument.
//!
//! A [`Command`] goes in with the [`Situation`] on the screen, an [`Outcome`] comes out. The session owns the prompts,
//! the mode, the tool and the notice; the engine reads them.
//!
//! # Taps
//! The first matching line decides.
//!
//! | tap | effect |
//! |---|---|
//! | frame is not B-mode, or outside its image regions, or on a trace, a spectrum, graphics | refused with a notice |
//! | on the only marker, a positive click, of the active object | shows the next outline; after the last one removes the click |
//! | on another marker of the active object | removes it |
//! | on a marker of a different object, unless the tap excludes | makes that object active, changes no prompt |
//! | active object is lost, tap includes | restarts it with this click; undo restores its old prompts |
//! | active object is lost or empty, tap excludes | refused with a notice: there is nothing to exclude from |
//! | in an image region other than the active object's | refused with a notice |
//! | anywhere else | adds a click to the active object |
//!
//! A drag replaces the active object's box and keeps its clicks; a lost object restarts with it. The markers of a lost
//! object are not drawn, so taps do not hit them. A box is hit at its corners. A tap within a suggestion, which there is only while
//! nothing is outlined, starts the active object with the suggestion's box and the click, in one edit ([`Session::accept`]).
//!
//! # Modes
//! Freezing keeps the frame that is on the screen. Stepping and scrubbing then select a frame of the cine ring, which
//! must not advance while frozen: [`Mode::Review`]. Back at the frozen frame the mode is [`Mode::Frozen`] again.
//! Prompts made on a still frame are kept when the session goes live.
//!
//! ```
//! use sonotap::frame::{ImageRegion, RegionContent};
//! use sonotap::geometry::{Point, Rect};
//! use sonotap::region::Regions;
//! use sonotap::session::{Command, Outcome, RingView, Session, SessionConfig, Situation};
//! use sonotap::units::{FrameId, Timestamp, ObjectId};
//!
//! let mut session = Session::new(SessionConfig::default());
//! let image = ImageRegion { rect: Rect::new(0.0, 0.0, 640.0, 480.0), content: RegionContent::BMode };
//! let situation = Situation {
//!     now: Timestamp::from_ms(500),
//!     ring: RingView { len: 15, shown: 0 },
//!     regions: Regions::one(image),
//!     homes: [None; ObjectId::MAX],
//!     marker_radius_px: 12.0,
//!     lost: [None; ObjectId::MAX],
//! };
//! let tap = Command::Click { at: Point::new(212.0, 140.0), polarity: None, shown: Some(FrameId(14)) };
//! assert_eq!(session.apply(tap, &situation), Outcome::Started(ObjectId(0)));
//! ```

use std::time::Duration;

use crate::calipers::CaliperCommand;
use crate::geometry::{ImageSpace, Point, Rect};
use crate::prompt::{Polarity, Prompt, PromptError, PromptId, PromptSet, PromptShape};
use crate::region::{FrameRegion, Misplaced, Regions};
use crate::scene::{FillLevel, LostReason, Mode, Notice, Tool};
use crate::units::{FrameId, ObjectId, Timestamp};

/// A thinner drag is no box, image px.
const BOX_SIDE_MIN_PX: f32 = 4.0;

/// Settings of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// How long a notice is shown.
    pub notice_for: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { notice_for: Duration::from_millis(3000) }
    }
}

/// A command of the operator. Places are image px of the frame shown now: the engine, which has the motion, first maps
/// them there from the frame of touch-down, `shown`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// A tap on the image.
    Click {
        /// Where.
        at: Point<ImageSpace>,
        /// Included or excluded; `None` for the tool's polarity.
        polarity: Option<Polarity>,
        /// Frame on the screen at touch-down.
        shown: Option<FrameId>,
    },
    /// A drag on the image.
    BoxPrompt {
        /// The box.
        rect: Rect<ImageSpace>,
        /// Frame on the screen at touch-down.
        shown: Option<FrameId>,
    },
    /// Undo the last edit of the prompts.
    Undo,
    /// Redo the last undone edit.
    Redo,
    /// Clear the active object; if it is empty, all objects.
    Clear,
    /// Freeze, or go live.
    ToggleFreeze,
    /// Freeze the frame on the screen.
    Freeze,
    /// Go live.
    Unfreeze,
    /// One frame back; only while frozen or in review.
    StepBack,
    /// One frame forward; only while frozen or in review.
    StepForward,
    /// To a position in the cine ring, 0 the oldest, 1 the newest frame; only while frozen or in review.
    ScrubTo(f32),
    /// Make the first empty object active.
    NewObject,
    /// Make this object active.
    Select(ObjectId),
    /// Choose the tool of the next taps.
    ChooseTool(Tool),
    /// Next fill level.
    CycleFill,
    /// Hide the overlay while the operator holds, or show it again.
    HideOverlay(bool),
    /// Show a drag in progress, or no longer.
    RubberBand(Option<Rect<ImageSpace>>),
    /// Show the next outline of a lone click, cyclically.
    NextCandidate,
    /// Save the frame on the screen with its outlines; see `Session::take_save_request`.
    SaveStill,
    /// Save the cine ring, with the outlines of the frame on the screen.
    SaveCine,
    /// Open the page of the exam, or close it: for the screen, which has it.
    ShowExam,
    /// Measure by hand on a still frame; the engine executes it.
    Calipers(CaliperCommand),
}

/// What the operator asked to save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveRequest {
    /// The frame on the screen.
    pub still: bool,
    /// The cine ring.
    pub cine: bool,
}

/// The state of the cine ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingView {
    /// Number of frames in it.
    pub len: usize,
    /// Index of the frame on the screen, counted from the newest, 0.
    pub shown: usize,
}

/// The state of the screen when a command is applied. Rebuild it after each [`Outcome::Started`], because `lost`
/// changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// Monotonic time.
    pub now: Timestamp,
    /// The frames that can be reviewed.
    pub ring: RingView,
    /// The regions of that frame.
    pub regions: Regions,
    /// The region of each object.
    pub homes: [Option<Rect<ImageSpace>>; ObjectId::MAX],
    /// Distance within which a tap hits a marker, image px.
    pub marker_radius_px: f32,
    /// The lost objects, with reasons.
    pub lost: [Option<LostReason>; ObjectId::MAX],
}

impl Situation {
    fn lost(&self, object: ObjectId) -> Option<LostReason> {
        self.lost[object.index()]
    }
}

/// The outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed.
    Unchanged,
    /// Tool, fill, active object, rubber band or hiding changed, but no prompt.
    Changed,
    /// Prompts changed; [`PromptSet::object_revision`] shows of which objects.
    Edited,
    /// This object starts with its first prompt; any earlier outline of it is obsolete.
    Started(ObjectId),
    /// Mode or frame changed.
    Moved,
    /// Refused, with the reason in the notice.
    Refused(Notice),
}

/// The frame to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The newest one.
    Live,
    /// A frame of the cine ring.
    Ring {
        /// Counted from the newest, 0.
        index_from_newest: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Live,
    Still { frozen: usize, index: usize },
}

/// The operator's choices.
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    prompts: PromptSet,
    watch: Watch,
    tool: Tool,
    fill: FillLevel,
    active: ObjectId,
    is_overlay_hidden: bool,
    rubber_band: Option<Rect<ImageSpace>>,
    notice: Option<(Notice, Timestamp)>,
    save_request: SaveRequest,
}

impl Session {
    /// A live session without prompts, with the first object active.
    pub fn new(config: SessionConfig) -> Self {
        Self {
            config,
            prompts: PromptSet::new(),
            watch: Watch::Live,
            tool: Tool::default(),
            fill: FillLevel::default(),
            active: ObjectId(0),
            is_overlay_hidden: false,
            rubber_band: None,
            notice: None,
            save_request: SaveRequest::default(),
        }
    }

    /// Applies a command by the rules of this module.
    pub fn apply(&mut self, command: Command, at: &Situation) -> Outcome {
        self.stay_in_ring(at.ring.len);
        let outcome = match command {
            Command::Click { at: place, polarity, .. } => self.tap(place, polarity, at),
            Command::BoxPrompt { rect, .. } => self.drag(rect, at),
            Command::Undo => self.travel(PromptSet::undo),
            Command::Redo => self.travel(PromptSet::redo),
            Command::Clear => self.clear(),
            Command::ToggleFreeze if self.watch == Watch::Live => self.freeze(at),
            Command::ToggleFreeze | Command::Unfreeze => self.unfreeze(),
            Command::Freeze => self.freeze(at),
            Command::StepBack => self.look_at(|index, _| index + 1, at.ring.len),
            Command::StepForward => self.look_at(|index, _| index.saturating_sub(1), at.ring.len),
            Command::ScrubTo(place) => self.look_at(|index, last| scrubbed(place, last).unwrap_or(index), at.ring.len),
            Command::NewObject => self.new_object(),
            Command::Select(object) => self.select(object, at),
            Command::ChooseTool(tool) => change(&mut self.tool, tool),
            Command::CycleFill => {
                self.fill = next_fill(self.fill);
                Outcome::Changed
            }
            Command::HideOverlay(is_hidden) => change(&mut self.is_overlay_hidden, is_hidden),
            Command::RubberBand(rect) => {
                let band = rect.zip(at.regions.tissue()).and_then(|(r, tissue)| r.intersect(&tissue));
                change(&mut self.rubber_band, band)
            }
            Command::NextCandidate => self.next_candidate(at),
            Command::SaveStill | Command::SaveCine => {
                self.ask_to_save(command);
                Outcome::Unchanged
            }
            // The screen or the engine has executed it before.
            Command::ShowExam | Command::Calipers(_) => Outcome::Unchanged,
        };
        self.note(outcome, at)
    }

    /// Accepts a suggestion: its box and the tap on it start the active object, in one edit. Refused like a tap.
    pub fn accept(&mut self, boxed: Rect<ImageSpace>, place: Point<ImageSpace>, at: &Situation) -> Outcome {
        self.stay_in_ring(at.ring.len);
        let outcome = match at.regions.of_click(place) {
            Err(why) => Outcome::Refused(refusal(why, at)),
            Ok(_) => match self.prompts.restart_boxed(self.active, boxed, place) {
                Ok(()) => Outcome::Started(self.active),
                Err(_) => Outcome::Refused(Notice::OutsideImage),
            },
        };
        self.note(outcome, at)
    }

    fn note(&mut self, outcome: Outcome, at: &Situation) -> Outcome {
        match outcome {
            Outcome::Refused(notice) => self.notify(notice, at.now),
            Outcome::Edited | Outcome::Started(_) => self.notice = None,
            _ => {}
        }
        outcome
    }

    /// Notes a command to save; any other does nothing.
    pub fn ask_to_save(&mut self, command: Command) {
        self.save_request.still |= command == Command::SaveStill;
        self.save_request.cine |= command == Command::SaveCine;
    }

    /// What the operator asked to save since the last call. The host has the disk: it saves, or says why not.
    pub fn take_save_request(&mut self) -> SaveRequest {
        std::mem::take(&mut self.save_request)
    }

    /// Resets prompts, history, mode and tool, so that nothing of one patient is shown with the next. The fill stays.
    pub fn new_exam(&mut self) {
        self.prompts.reset();
        self.watch = Watch::Live;
        self.tool = Tool::default();
        self.active = ObjectId(0);
        self.is_overlay_hidden = false;
        self.rubber_band = None;
        self.notice = None;
        self.save_request = SaveRequest::default();
    }

    /// Other pictures, frozen at the one that is `back` before their newest; they are all that can be reviewed. Tool and fill stay.
    pub fn reopen(&mut self, back: usize) {
        self.forget_prompts();
        self.watch = Watch::Still { frozen: back, index: back };
        self.is_overlay_hidden = false;
    }

    /// Forgets all prompts and what could be undone.
    pub fn forget_prompts(&mut self) {
        self.prompts.reset();
        self.active = ObjectId(0);
        self.rubber_band = None;
        self.notice = None;
    }

    /// Gives an object the prompts that were saved with it. Returns whether it has any.
    pub fn restore(
        &mut self,
        object: ObjectId,
        boxed: Option<Rect<ImageSpace>>,
        clicks: &[(Point<ImageSpace>, Polarity)],
    ) -> bool {
        if object.index() >= ObjectId::MAX {
            return false;
        }
        let click = |wanted: Polarity| {
            let of_it = clicks.iter().filter(move |(_, polarity)| *polarity == wanted);
            of_it.map(move |(at, polarity)| PromptShape::Click { at: *at, polarity: *polarity })
        };
        // An object begins with what is inside.
        let shapes = boxed.map(PromptShape::Box).into_iter();
        for shape in shapes.chain(click(Polarity::Positive)).chain(click(Polarity::Negative)) {
            // One prompt too many, or outside of everything, is left out.
            let _ = self.prompts.add(object, shape);
        }
        !self.prompts.is_empty(object)
    }

    /// What was restored cannot be undone; the next prompts are of this object.
    pub fn settle(&mut self, active: Option<ObjectId>) {
        self.prompts.settle();
        self.active = active.filter(|object| object.index() < ObjectId::MAX).unwrap_or_default();
    }

    /// Moves the prompts along with the tissue; see [`PromptSet::carry`].
    pub fn carry(&mut self, to: impl FnMut(ObjectId, Point<ImageSpace>) -> Option<Point<ImageSpace>>) -> usize {
        self.prompts.carry(to)
    }

    /// Moves the prompts along with the tissue; see [`PromptSet::carry_each`].
    pub fn carry_each(&mut self, to: impl FnMut(&Prompt) -> Option<Point<ImageSpace>>) -> usize {
        self.prompts.carry_each(to)
    }

    /// Shows a notice, replacing the former one.
    pub fn notify(&mut self, notice: Notice, now: Timestamp) {
        self.notice = Some((notice, now));
    }

    /// The notice to show at `now`, if its time is not over.
    pub fn notice(&self, now: Timestamp) -> Option<Notice> {
        self.notice.filter(|(_, since)| now.since(*since) < self.config.notice_for).map(|(notice, _)| notice)
    }

    /// Live, frozen or review.
    pub fn mode(&self) -> Mode {
        match self.watch {
            Watch::Live => Mode::Live,
            Watch::Still { frozen, index, .. } if frozen == index => Mode::Frozen,
            Watch::Still { .. } => Mode::Review,
        }
    }

    /// The frame to show. An index is below the ring's length at the last command.
    pub fn view(&self) -> View {
        match self.watch {
            Watch::Live => View::Live,
            Watch::Still { index, .. } => View::Ring { index_from_newest: index },
        }
    }

    /// What the next tap means.
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// The fill of outlines.
    pub fn fill(&self) -> FillLevel {
        self.fill
    }

    /// The object that taps apply to.
    pub fn active_object(&self) -> ObjectId {
        self.active
    }

    /// All prompts.
    pub fn prompts(&self) -> &PromptSet {
        &self.prompts
    }

    /// Whether the operator hides the overlay.
    pub fn is_overlay_hidden(&self) -> bool {
        self.is_overlay_hidden
    }

    /// The box of a drag in progress, within the image region.
    pub fn rubber_band(&self) -> Option<Rect<ImageSpace>> {
        self.rubber_band
    }

    fn tap(&mut self, place: Point<ImageSpace>, polarity: Option<Polarity>, at: &Situation) -> Outcome {
        let region = match at.regions.of_click(place) {
            Ok(region) => region,
            Err(why) => return Outcome::Refused(refusal(why, at)),
        };
        let polarity = polarity.unwrap_or(match self.tool {
            Tool::Include => Polarity::Positive,
            Tool::Exclude => Polarity::Negative,
        });
        match self.marker_at(place, polarity, at) {
            Some((object, _)) if object != self.active => self.select(object, at),
            Some((_, id)) => self.tap_marker(id),
            None => self.put(PromptShape::Click { at: place, polarity }, &region, at),
        }
    }

    fn drag(&mut self, rect: Rect<ImageSpace>, at: &Situation) -> Outcome {
        self.rubber_band = None;
        if at.regions.tissue().is_none() {
            return Outcome::Refused(Notice::NotBMode);
        }
        if rect.width() < BOX_SIDE_MIN_PX || rect.height() < BOX_SIDE_MIN_PX {
            return Outcome::Unchanged;
        }
        let region = match at.regions.of_box(&rect) {
            Ok(region) => region,
            Err(why) => return Outcome::Refused(refusal(why, at)),
        };
        match rect.intersect(&region.rect) {
            Some(inside) => self.put(PromptShape::Box(inside), &region, at),
            None => Outcome::Refused(Notice::OutsideImage),
        }
    }

    /// Adds a prompt to the active object, or begins it with it.
    fn put(&mut self, shape: PromptShape, region: &FrameRegion, at: &Situation) -> Outcome {
        let object = self.active;
        let lost = at.lost(object);
        let begins = lost.is_some() || self.prompts.is_empty(object);
        if !begins && at.homes[object.index()].is_some_and(|home| home != region.rect) {
            return Outcome::Refused(Notice::Misplaced(Misplaced::Across));
        }
        let added = if begins { self.prompts.restart(object, shape) } else { self.prompts.add(object, shape) };
        match (added, lost) {
            (Ok(_), _) if begins => Outcome::Started(object),
            (Ok(_), _) => Outcome::Edited,
            (Err(PromptError::Full), _) => Outcome::Refused(Notice::PromptsFull),
            (Err(PromptError::NothingInside), Some(reason)) => Outcome::Refused(Notice::TapAgain(object, reason)),
            (Err(PromptError::NothingInside), None) => Outcome::Refused(Notice::TapToStart),
            (Err(_), _) => Outcome::Refused(Notice::OutsideImage),
        }
    }

    fn tap_marker(&mut self, id: PromptId) -> Outcome {
        let is_last = self.prompts.candidate(self.active) + 1 == PromptSet::CANDIDATES;
        if is_last || self.prompts.next_candidate(self.active).is_none() {
            self.prompts.remove(id);
        }
        Outcome::Edited
    }

    /// The marker that a tap hits: the nearest, and of two equally near ones the active object's.
    fn marker_at(&self, place: Point<ImageSpace>, polarity: Polarity, at: &Situation) -> Option<(ObjectId, PromptId)> {
        let others = (0..ObjectId::MAX as u8)
            .map(ObjectId)
            .filter(|&object| object != self.active && polarity == Polarity::Positive);
        std::iter::once(self.active)
            .chain(others)
            .filter(|&object| at.lost(object).is_none())
            .flat_map(|object| self.prompts.active(object))
            .filter_map(|prompt| Some((prompt, met(prompt, place, at.marker_radius_px)?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(prompt, _)| (prompt.object, prompt.id))
    }

    fn next_candidate(&mut self, at: &Situation) -> Outcome {
        if at.lost(self.active).is_some() || self.prompts.next_candidate(self.active).is_none() {
            return Outcome::Unchanged;
        }
        Outcome::Edited
    }

    /// Undoes or redoes; the changed object becomes active, so that the operator sees it.
    fn travel(&mut self, step: fn(&mut PromptSet) -> bool) -> Outcome {
        if !step(&mut self.prompts) {
            return Outcome::Unchanged;
        }
        let now = self.prompts.revision();
        let has_changed = |object: &ObjectId| self.prompts.object_revision(*object) == now;
        if !has_changed(&self.active) {
            let changed = (0..ObjectId::MAX as u8).map(ObjectId).find(has_changed);
            self.active = changed.unwrap_or(self.active);
        }
        Outcome::Edited
    }

    fn clear(&mut self) -> Outcome {
        if !self.prompts.clear_object(self.active) && !self.prompts.clear_all() {
            return Outcome::Unchanged;
        }
        self.tool = Tool::Include;
        Outcome::Edited
    }

    fn new_object(&mut self) -> Outcome {
        let mut objects = (0..ObjectId::MAX as u8).map(ObjectId);
        match objects.find(|&object| self.prompts.is_empty(object)) {
            Some(object) => {
                self.tool = Tool::Include;
                self.active = object;
                Outcome::Changed
            }
            None => Outcome::Refused(Notice::ObjectsFull),
        }
    }

    fn select(&mut self, object: ObjectId, at: &Situation) -> Outcome {
        if object.index() >= ObjectId::MAX {
            return Outcome::Unchanged;
        }
        if let Some(reason) = at.lost(object) {
            self.notify(Notice::TapAgain(object, reason), at.now);
        }
        change(&mut self.active, object)
    }

    fn freeze(&mut self, at: &Situation) -> Outcome {
        if self.watch != Watch::Live || at.ring.len == 0 {
            return Outcome::Unchanged;
        }
        let index = at.ring.shown.min(at.ring.len - 1);
        self.watch = Watch::Still { frozen: index, index };
        Outcome::Moved
    }

    fn unfreeze(&mut self) -> Outcome {
        match change(&mut self.watch, Watch::Live) {
            Outcome::Changed => Outcome::Moved,
            unchanged => unchanged,
        }
    }

    /// While frozen or in review, goes to the index that `choose` returns for the present index and the largest one.
    fn look_at(&mut self, choose: impl Fn(usize, usize) -> usize, ring_len: usize) -> Outcome {
        let Watch::Still { index, .. } = &mut self.watch else { return Outcome::Unchanged };
        let last = ring_len.saturating_sub(1);
        match change(index, choose(*index, last).min(last)) {
            Outcome::Changed => Outcome::Moved,
            unchanged => unchanged,
        }
    }

    fn stay_in_ring(&mut self, len: usize) {
        match &mut self.watch {
            Watch::Live => {}
            Watch::Still { .. } if len == 0 => self.watch = Watch::Live,
            Watch::Still { frozen, index, .. } => {
                *frozen = (*frozen).min(len - 1);
                *index = (*index).min(len - 1);
            }
        }
    }
}

/// The notice for a misplaced prompt.
fn refusal(why: Misplaced, at: &Situation) -> Notice {
    match why {
        _ if at.regions.tissue().is_none() => Notice::NotBMode,
        Misplaced::Outside => Notice::OutsideImage,
        why => Notice::Misplaced(why),
    }
}

fn change<T: PartialEq>(what: &mut T, to: T) -> Outcome {
    if *what == to {
        return Outcome::Unchanged;
    }
    *what = to;
    Outcome::Changed
}

fn next_fill(fill: FillLevel) -> FillLevel {
    match fill {
        FillLevel::None => FillLevel::Quarter,
        FillLevel::Quarter => FillLevel::Half,
        FillLevel::Half => FillLevel::None,
    }
}

/// Index from the newest for a position between the oldest, 0, and the newest, 1; `None` for NaN.
fn scrubbed(place: f32, last: usize) -> Option<usize> {
    (!place.is_nan()).then(|| ((1.0 - place.clamp(0.0, 1.0)) * last as f32).round() as usize)
}

/// Distance of a tap from a prompt's marker, if it hits it. The corners of a small box leave its middle free.
fn met(prompt: &Prompt, place: Point<ImageSpace>, radius: f32) -> Option<f32> {
    let (distance, radius) = match prompt.shape {
        PromptShape::Click { at, .. } => (at.distance(place), radius),
        PromptShape::Box(r) => {
            let corners = [(r.x0, r.y0), (r.x1, r.y0), (r.x0, r.y1), (r.x1, r.y1)];
            let nearest = corners.map(|(x, y)| Point::new(x, y).distance(place)).into_iter().fold(f32::MAX, f32::min);
            (nearest, radius.min(r.width().min(r.height()) / 4.0))
        }
    };
    (distance <= radius).then_some(distance)
}
