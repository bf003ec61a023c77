//! The live path put together: push frames and commands, poll what to draw, say when it was at the glass.
//!
//! ```no_run
//! use sonotap::frame::{Picture, PixelFormat};
//! use sonotap::geometry::Point;
//! use sonotap::pipeline::capture_time::CaptureTime;
//! use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
//! use sonotap::session::Command;
//!
//! let mut live = Live::open("models/student", LiveConfig::default())?;
//! let input = live.input();
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
//! # Ok::<(), sonotap::error::Error>(())
//! ```

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::entry::FrameInput;
use super::figures::{Figures, FrameTimes};
use super::latest::{Latest, Wake};
use super::pace::{Pace, Pacer};
use super::stats::Shown;
use super::worker::{Health, InferenceWorker, Supply, Worker};
use crate::calipers::KnownScale;
use crate::engine::object::AgeLimits;
use crate::engine::reopened::SavedFrames;
use crate::engine::{Engine, EngineConfig, Timeliness};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::glass::DisplayTiming;
use crate::model::predictor::Predictor;
use crate::preset::Preset;
use crate::scene::{Mode, Scene, Signal};
use crate::session::{Command, SaveRequest, SessionConfig};
use crate::track::carry::DriftLimits;
use crate::units::{FrameId, Revision, Score, Span, Timestamp};

pub use super::figures::{DeadlineReport, FrameTrace, LiveReport};
pub use crate::glass::Light;

/// Limits of the live path.
///
/// Fields will be added: make one as `LiveConfig { deadline: .., ..LiveConfig::default() }`.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Frame period of the source.
    pub period: Duration,
    /// Greatest age of a live frame when it first is at the glass; one frame period when `None`.
    pub deadline: Option<Duration>,
    /// How the display brings pictures to the glass.
    pub display: DisplayTiming,
    /// Memory for the cine ring, bytes. The newest two frames are kept whatever they weigh, and never more than 512.
    pub cine_bytes: usize,
    /// The structure to be outlined, if it was chosen.
    pub preset: Option<Arc<Preset>>,
    /// Age limits of an outline.
    pub age: AgeLimits,
    /// Limits of the test that ends an outline which no longer fits the image.
    pub drift: DriftLimits,
    /// Time without a new image after which objects are given up.
    pub signal_lost_after: Duration,
    /// How long a notice is shown.
    pub notice_for: Duration,
    /// Scales that are known by the picture of their ruler.
    pub known_scales: Arc<[KnownScale]>,
    /// Lowest score of a suggestion that is shown before any tap ([`Suggestion`]), 0 to 1; `None` to suggest nothing. It needs a
    /// model that proposes.
    ///
    /// [`Suggestion`]: crate::scene::Suggestion
    pub suggest: Option<Score>,
}

impl Default for LiveConfig {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            period: engine.period,
            deadline: None,
            display: DisplayTiming::default(),
            cine_bytes: engine.cine_bytes,
            preset: engine.preset,
            age: engine.age,
            drift: engine.drift,
            signal_lost_after: engine.signal_lost_after,
            notice_for: engine.session.notice_for,
            known_scales: engine.known_scales,
            suggest: engine.suggest,
        }
    }
}

impl LiveConfig {
    fn engine(self, surveys: bool, proposes: bool) -> EngineConfig {
        EngineConfig {
            period: self.period,
            cine_bytes: self.cine_bytes,
            age: self.age,
            drift: self.drift,
            signal_lost_after: self.signal_lost_after,
            session: SessionConfig { notice_for: self.notice_for },
            surveys,
            preset: self.preset,
            known_scales: self.known_scales,
            suggest: self.suggest.filter(|_| proposes),
            ..EngineConfig::default()
        }
    }
}

/// A frame to be drawn now, with its scene.
pub struct LiveView<'a> {
    /// The frame.
    pub frame: &'a Arc<Frame>,
    /// What to draw over it.
    pub scene: &'a Scene,
    /// To be given back: [`Live::presented`] or [`Live::withheld`].
    pub ticket: Ticket,
}

/// Stands for one picture on its way to the glass, and knows when it must be there.
///
/// A ticket that is not given back, or too late, counts as a late frame: the screen then says so, and after three of them
/// that it is too slow, without outlines.
#[must_use = "a frame of which nobody says when it was at the glass counts as late"]
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    serial: u64,
    frame: FrameId,
    captured: Timestamp,
    due: Option<Timestamp>,
}

impl Ticket {
    /// The frame.
    pub fn frame(&self) -> FrameId {
        self.frame
    }

    /// When it was captured, on the live path's clock.
    pub fn captured(&self) -> Timestamp {
        self.captured
    }

    /// When it must be at the glass; `None` for a frame that is not live, or was there before.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

struct Waiting {
    taken: Timestamp,
    asked: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A picture that was given out and is not at the glass yet.
struct Pending {
    serial: u64,
    frame: FrameId,
    is_new: bool,
    due: Option<Timestamp>,
    /// Its time is over and nobody has said anything; it has been taken for late.
    is_expired: bool,
    times: FrameTimes,
    /// The scene said LIVE, without a word of lateness.
    is_live_said: bool,
    shown: Shown,
    revision: Revision,
    drawn: Option<Revision>,
}

struct Tap {
    at: Timestamp,
    revision: Revision,
    is_marked: bool,
}

/// The live path. Owned by the display thread; frames come through [`Live::input`] from any thread.
///
/// Guarantees: [`Live::poll`] never waits for the model. A live frame that cannot be at the glass within its deadline is not
/// given out, or refused at [`Live::hand_over`], and counts as dropped. One that was late nevertheless is counted, and from
/// the next picture on the scene says it ([`Signal::Delayed`], outlines stay; after three in a row [`Signal::Late`], without
/// outlines) until one is in time. Where no frame can be shown in time, frames are shown late as [`Signal::Late`]. After
/// warm-up nothing here allocates per frame.
pub struct Live<W = Worker> {
    engine: Engine,
    worker: W,
    frames: Latest<Arc<Frame>>,
    input: FrameInput,
    clock: Clock,
    pacer: Pacer,
    waiting: Option<Waiting>,
    /// Oldest first.
    pending: VecDeque<Pending>,
    serials: u64,
    last_lit: Option<FrameId>,
    last_dropped: Option<FrameId>,
    taps: Vec<Tap>,
    figures: Figures,
    is_eased: bool,
    is_model_up: bool,
    /// When the first frame came that was not at the glass, nor any after it.
    unshown_since: Option<Timestamp>,
    timeliness: Timeliness,
    /// Frames in a row that were at the glass after their deadline.
    late_run: u32,
}

/// Frame periods beyond the deadline without a frame that could be shown, until the screen says that it is too slow.
const PERIODS_UNSHOWN: u32 = 3;
/// Late frames in a row until the screen says that it is too slow.
const LATE_RUN_MAX: u32 = 3;
/// Pictures that may be on their way to the glass.
pub(crate) const PENDING_MAX: usize = 8;
/// How long after its time a picture may still be reported.
const REPORT_GRACE: Duration = Duration::from_millis(20);

/// Taps whose first marker or mask is still to be timed.
const TAPS_TIMED_MAX: usize = 32;

impl Live {
    /// Loads the model of a folder, with all its checks, and starts its thread. A model that fails is loaded again.
    ///
    /// # Errors
    /// Those of [`Predictor::open`]; `Unavailable` when no thread can be had.
    pub fn open(model: impl Into<PathBuf>, config: LiveConfig) -> Result<Self> {
        let folder: PathBuf = model.into();
        Self::start(move || Predictor::open(&folder), config)
    }

    /// Starts the model's thread. `supply` makes what looks: once here, and again each time that the thread has died.
    ///
    /// # Errors
    /// Those of `supply`; `Unavailable` when no thread can be had; `Config` when something is to be suggested and the model proposes
    /// nothing.
    pub fn start(supply: impl FnMut() -> Result<Predictor> + Send + 'static, config: LiveConfig) -> Result<Self> {
        let (clock, wake) = (Clock::monotonic(), Wake::default());
        let worker = Worker::start(Box::new(supply) as Supply, clock.clone(), wake.clone())?;
        if config.suggest.is_some() && !worker.proposes() {
            let expected = "suggestions: expected a model that proposes an outline (proposal.onnx)";
            return Err(Error::new(ErrorKind::Config, format!("{expected}, got one that does not")));
        }
        Ok(Self::with(worker, wake, config, clock))
    }
}

impl<W: InferenceWorker> Live<W> {
    /// A live path whose questions `worker` answers; it rings `wake` when it has an answer.
    pub fn with(worker: W, wake: Wake, config: LiveConfig, clock: Clock) -> Self {
        let mut pacer = Pacer::new(config.deadline.unwrap_or(config.period), config.period);
        pacer.set_display(config.display);
        let frames = Latest::new(wake);
        Self {
            pacer,
            input: FrameInput::new(frames.clone(), clock.clone(), config.cine_bytes),
            engine: Engine::new(config.engine(worker.surveys(), worker.proposes())),
            worker,
            frames,
            clock,
            waiting: None,
            pending: VecDeque::with_capacity(PENDING_MAX),
            serials: 0,
            last_lit: None,
            last_dropped: None,
            taps: Vec::with_capacity(TAPS_TIMED_MAX),
            figures: Figures::default(),
            is_eased: false,
            is_model_up: true,
            unshown_since: None,
            timeliness: Timeliness::InTime,
            late_run: 0,
        }
    }

    /// Where frames come in, from any thread; handing one over never waits for the display or the model.
    pub fn input(&self) -> FrameInput {
        self.input.clone()
    }

    /// The clock of all times here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Sets how far from a marker a tap still meets it, image px; the screen knows.
    pub fn set_marker_radius_px(&mut self, radius_px: f32) {
        self.engine.set_marker_radius_px(radius_px);
    }

    /// Eases the work while it is hot: only every second frame is looked at, the outline is carried to those between. What
    /// the operator does is answered as ever.
    pub fn ease(&mut self, is_eased: bool) {
        self.is_eased = is_eased;
        self.engine.set_hot(is_eased);
    }

    /// Whether every frame that came in has been shown or dropped.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.frames.is_empty()
    }

    /// The frame that the operator sees: what a touch-down belongs to. `None` before the first.
    pub fn on_screen(&self) -> Option<FrameId> {
        self.last_lit
    }

    /// Obeys a command of the operator, given at `at` (the time of touch-down).
    pub fn command(&mut self, command: Command, at: Timestamp) {
        let before = self.engine.revision();
        self.engine.command_of(command, at, self.clock.now());
        if self.engine.revision() != before {
            let is_prompt = matches!(command, Command::Click { .. } | Command::BoxPrompt { .. });
            if is_prompt && self.taps.len() < TAPS_TIMED_MAX {
                self.taps.push(Tap { at, revision: self.engine.revision(), is_marked: false });
            }
            self.ask();
        }
    }

    /// What the operator asked to save since the last call; see `Session::take_save_request`.
    pub fn take_save_request(&mut self) -> SaveRequest {
        self.engine.take_save_request()
    }

    /// The host says that there is no signal: a cable was pulled, a probe unplugged. Outlines are hidden from the next scene on, until a
    /// frame comes in; a frame that waits is not shown any more.
    pub fn signal_lost(&mut self) {
        self.input.forget_waiting();
        self.waiting = None;
        self.engine.signal_lost(self.clock.now());
    }

    /// Another patient: forgets prompts, objects and frames.
    pub fn new_exam(&mut self) {
        self.input.forget_waiting();
        self.engine.new_exam();
        self.waiting = None;
        self.taps.clear();
    }

    /// Shows a saved item, frozen, with the prompts that were saved with it, until the screen goes live. Returns whether it does:
    /// only in place of another picture.
    pub fn reopen(&mut self, saved: SavedFrames) -> bool {
        let is_shown = self.engine.reopen(saved, self.clock.now());
        if is_shown {
            self.waiting = None;
            self.taps.clear();
            self.ask();
        }
        is_shown
    }

    /// Chooses what is to be outlined from now on; what is outlined already stays.
    pub fn set_preset(&mut self, preset: Option<Arc<Preset>>) {
        self.engine.set_preset(preset);
    }

    /// Takes what has come in and gives out what is to be drawn now, if anything is.
    pub fn poll(&mut self) -> Option<LiveView<'_>> {
        let now = self.clock.now();
        self.expire(now);
        self.look_after_worker(now);
        self.take_answers();
        let is_new = match self.frames.take() {
            Some(frame) => self.arrived(frame, now),
            None => self.waiting.is_some(),
        };
        self.note_late(now);
        self.engine.tick(now, self.is_model_up);
        if self.engine.is_still_unasked() {
            self.ask();
        }
        let is_due = is_new && self.is_due();
        if !is_due && (is_new || !self.engine.is_changed()) {
            return None;
        }
        let taken = self.waiting.take().map_or(now, |w| w.taken);
        // A frame that was left out is not drawn for another reason either, unless it is frozen.
        let is_left_out = self.engine.is_live() && self.engine.shown().is_some_and(|f| f.id() == self.last_dropped);
        if is_left_out && self.timeliness != Timeliness::TooSlow { None } else { self.give_out(taken) }
    }

    fn give_out(&mut self, taken: Timestamp) -> Option<LiveView<'_>> {
        let now = self.clock.now();
        let (revision, is_live) = (self.engine.revision(), self.engine.is_live());
        self.serials += 1;
        let (frame, scene) = self.engine.compose(now)?;
        let (id, captured) = (frame.id()?, frame.captured());
        let is_new = Some(id) != self.last_lit && self.pending.iter().all(|p| p.frame != id);
        let due = (is_live && is_new).then(|| captured + self.pacer.deadline());
        let mut shown = Shown::default();
        scene.objects.iter().for_each(|o| shown.count(o.overlay));
        let is_live_said = scene.mode == Mode::Live && scene.signal == Signal::Good;
        let drawn = self.engine.drawn_revision();
        let times = FrameTimes { captured, taken, composed: now, handed: now, lit: now };
        let serial = self.serials;
        self.pending.push_back(Pending {
            serial,
            frame: id,
            is_new,
            due,
            is_expired: false,
            times,
            is_live_said,
            shown,
            revision,
            drawn,
        });
        let ticket = Ticket { serial, frame: id, captured, due };
        let (frame, scene) = self.engine.composed()?;
        Some(LiveView { frame, scene, ticket })
    }

    /// To be asked when a picture is drawn and about to be handed to the display, as late as possible: whether it will be at
    /// the glass in time. If not, it must not be shown, and the ticket goes to [`Live::withheld`].
    pub fn hand_over(&mut self, ticket: &Ticket) -> bool {
        let now = self.clock.now();
        let Some(pending) = self.pending.iter_mut().find(|p| p.serial == ticket.serial) else { return false };
        pending.times.handed = now;
        self.may_show(ticket, now)
    }

    /// What [`Live::hand_over`] would answer now; notes nothing.
    pub fn is_in_time(&self, ticket: &Ticket) -> bool {
        let is_known = self.pending.iter().any(|p| p.serial == ticket.serial);
        is_known && self.may_show(ticket, self.clock.now())
    }

    fn may_show(&self, ticket: &Ticket, now: Timestamp) -> bool {
        ticket.due.is_none() || self.timeliness == Timeliness::TooSlow || self.pacer.can_make(now, ticket.captured)
    }

    /// Says that the picture was not shown; one that had a time counts as dropped past its deadline.
    pub fn withheld(&mut self, ticket: Ticket) {
        if self.take_pending(&ticket).is_some_and(|p| p.due.is_some()) {
            self.dropped(Some(ticket.frame));
        }
    }

    /// Says when the picture was at the glass.
    pub fn presented(&mut self, ticket: Ticket, light: Light) {
        let now = self.clock.now();
        let Some(mut pending) = self.take_pending(&ticket) else { return };
        let lit = match light {
            Light::Now => now,
            Light::Ago(span) => now - span,
            Light::At(time) => time.min(now),
        };
        let times = &mut pending.times;
        times.lit = lit.max(times.handed);
        self.figures.draw.record(times.handed.since(times.composed));
        self.figures.to_glass.record(times.lit.since(times.handed));
        self.pacer.drew(times.handed.since(times.composed));
        self.pacer.lit(times.handed, times.lit);
        if pending.is_new {
            self.at_glass(&pending);
        } else {
            self.figures.redraws += 1;
        }
        self.time_taps(&pending);
    }

    /// A frame is at the glass for the first time.
    fn at_glass(&mut self, pending: &Pending) {
        self.last_lit = Some(pending.frame);
        self.figures.frames += 1;
        self.figures.shown.add(&pending.shown);
        self.unshown_since = None;
        let Some(due) = pending.due else { return };
        self.figures.follow(pending.times);
        if pending.times.lit <= due {
            (self.timeliness, self.late_run) = (Timeliness::InTime, 0);
            return;
        }
        match pending.is_live_said {
            true => self.figures.late_under_live += 1,
            false => self.figures.late_said += 1,
        }
        if !pending.is_expired {
            self.was_late();
        }
    }

    fn was_late(&mut self) {
        self.engine.rest_from_suggesting(self.clock.now());
        self.late_run += 1;
        if self.late_run >= LATE_RUN_MAX {
            self.too_slow();
        } else if self.timeliness == Timeliness::InTime {
            self.timeliness = Timeliness::Delayed;
        }
    }

    fn too_slow(&mut self) {
        if self.timeliness != Timeliness::TooSlow {
            self.timeliness = Timeliness::TooSlow;
            log::warn!("frames are not at the glass within their deadline of {} ms", self.pacer.deadline().as_ms());
        }
    }

    fn time_taps(&mut self, pending: &Pending) {
        let (figures, lit) = (&mut self.figures, pending.times.lit);
        self.taps.retain_mut(|tap| {
            if !tap.is_marked && pending.revision >= tap.revision {
                tap.is_marked = true;
                figures.tap_to_marker.record(lit.since(tap.at));
            }
            let is_answered = pending.drawn.is_some_and(|r| r >= tap.revision);
            if is_answered {
                figures.tap_to_mask.record(lit.since(tap.at));
            }
            !is_answered
        });
    }

    fn take_pending(&mut self, ticket: &Ticket) -> Option<Pending> {
        let at = self.pending.iter().position(|p| p.serial == ticket.serial)?;
        self.pending.remove(at)
    }

    /// Pictures of which nobody said in time when they were at the glass count as late.
    fn expire(&mut self, now: Timestamp) {
        let mut late = 0;
        for pending in &mut self.pending {
            if !pending.is_expired && pending.due.is_some_and(|due| now > due + REPORT_GRACE) {
                pending.is_expired = true;
                late += 1;
            }
        }
        (0..late).for_each(|_| self.was_late());
        if self.pending.len() == PENDING_MAX {
            let oldest = self.pending.pop_front();
            self.figures.unconfirmed += u64::from(oldest.is_some_and(|p| p.due.is_some()));
        }
    }

    /// A thread that has died is started again; what it was asked is forgotten and asked anew.
    fn look_after_worker(&mut self, now: Timestamp) {
        match self.worker.health(now) {
            Health::Up => self.is_model_up = true,
            Health::Down => self.is_model_up = false,
            Health::Restarted => {
                self.is_model_up = true;
                self.figures.worker_restarts += 1;
                self.engine.model_restarted();
            }
        }
    }

    /// Sleeps until there may be something to poll, at most `longest`.
    pub fn wait(&self, longest: Duration) {
        let left = self.waiting.as_ref().and_then(|w| w.until).map(|t| t.since(self.clock.now()));
        self.frames.wake().sleep(left.map_or(longest, |l| l.min(longest)));
    }

    /// The figures so far.
    pub fn report(&self) -> LiveReport {
        self.figures.report(self.pacer.deadline())
    }

    fn arrived(&mut self, frame: Arc<Frame>, now: Timestamp) -> bool {
        let has_displaced = self.waiting.take().is_some();
        if has_displaced {
            self.figures.drops.display_busy += 1;
        }
        self.unshown_since.get_or_insert(now);
        let is_late = self.pacer.decide(now, frame.captured(), None) == Pace::Drop;
        if is_late && self.timeliness != Timeliness::TooSlow && self.engine.is_live() {
            self.dropped(frame.id());
            self.engine.skipped(&frame, now);
            return false;
        }
        let is_shown = self.engine.advance(frame, now).unwrap_or_else(|e| {
            self.figures.refused += 1;
            log::error!("{e}");
            false
        });
        self.figures.motion.record(self.clock.now().since(now));
        if is_shown {
            let is_turn = !self.is_eased || self.figures.motion.count().is_multiple_of(2);
            let asked = if is_turn { self.ask() } else { None };
            // One that took the place of another is shown at once: where frames come faster than expected, each would displace
            // the one before it and none be shown.
            self.waiting = Some(Waiting { taken: now, asked: asked.filter(|_| !has_displaced), until: None });
        }
        is_shown
    }

    /// Finds out that frames come and none can be shown in time.
    fn note_late(&mut self, now: Timestamp) {
        if !self.engine.is_live() {
            (self.unshown_since, self.timeliness, self.late_run) = (None, Timeliness::InTime, 0);
        }
        let limit = self.pacer.deadline().saturating_add(self.pacer.period().saturating_mul(PERIODS_UNSHOWN));
        if self.unshown_since.is_some_and(|t| now.since(t) > limit) {
            self.too_slow();
        }
        // A picture whose time is over and that is still on its way is late, whoever will say so.
        let is_overdue = self.pending.iter().any(|p| p.due.is_some_and(|due| now > due));
        let timeliness = match self.timeliness {
            Timeliness::InTime if is_overdue => Timeliness::Delayed,
            known => known,
        };
        self.engine.set_timeliness(timeliness);
    }

    fn is_due(&mut self) -> bool {
        let Some((id, captured)) = self.engine.shown().map(|f| (f.id(), f.captured())) else { return false };
        let Some(waiting) = self.waiting.as_mut() else { return false };
        let now = self.clock.now();
        let is_over = waiting.until.is_some_and(|until| now >= until) || self.engine.is_exact();
        match self.pacer.decide(now, captured, waiting.asked.filter(|_| !is_over)) {
            Pace::Show => true,
            Pace::WaitUntil(until) => {
                waiting.until.get_or_insert(until);
                false
            }
            Pace::Drop if self.timeliness == Timeliness::TooSlow || !self.engine.is_live() => true,
            Pace::Drop => {
                self.waiting = None;
                self.dropped(id);
                false
            }
        }
    }

    fn dropped(&mut self, frame: Option<FrameId>) {
        if self.last_dropped != frame {
            self.figures.drops.past_deadline += 1;
            self.engine.rest_from_suggesting(self.clock.now());
            self.last_dropped = frame;
        }
    }

    /// Hands a job to the model. Returns when, if a frame may wait for the answer: it does not for a suggestion.
    fn ask(&mut self) -> Option<Timestamp> {
        if !self.is_model_up {
            return None;
        }
        let now = self.clock.now();
        let job = self.engine.ask(now)?;
        let is_suggestion = job.is_suggestion();
        if let Some(displaced) = self.worker.ask(job) {
            self.figures.drops.model_busy += u64::from(!displaced.is_suggestion());
            self.engine.take_back(displaced);
        }
        (!is_suggestion).then_some(now)
    }

    fn take_answers(&mut self) {
        while let Some(job) = self.worker.answer() {
            if job.is_suggestion() {
                self.figures.suggest.record(job.ended.since(job.begun));
                self.engine.answered(job);
                continue;
            }
            if let Some(report) = job.report() {
                self.figures.encode.record(Duration::from_nanos(report.encode_ns));
                self.figures.decode.record(Duration::from_nanos(report.decode_ns));
            }
            self.figures.look.record(job.ended.since(job.begun));
            self.pacer.looked(job.ended.since(job.asked));
            self.engine.answered(job);
        }
    }
}
