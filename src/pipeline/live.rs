//! The live path put together: push frames and commands, poll what to draw, say when it is on the screen.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sonotap::frame::{Frame, PixelFormat};
//! use sonotap::geometry::Point;
//! use sonotap::model::look::{LookOptions, Looker};
//! use sonotap::pipeline::live::{Live, LiveConfig};
//! use sonotap::session::Command;
//!
//! let model = sonotap::model::sam::load("models/student".as_ref())?;
//! let mut live = Live::start(Looker::new(model, LookOptions::default()), LiveConfig::default())?;
//! let input = live.input();
//! let pixels = vec![0; 640 * 480];
//! let frame = Frame::from_pixels(640, 480, PixelFormat::Grey8, pixels).expect("640 x 480 pixels");
//! input.put(Arc::new(frame));
//! let tap = Command::Click { at: Point::new(320.0, 240.0), polarity: None, shown: live.on_screen() };
//! live.command(tap, live.clock().now());
//! if let Some(view) = live.poll() {
//!     println!("{} objects on frame {}", view.scene.objects.len(), view.frame.id);
//! }
//! # Ok::<(), sonotap::error::Error>(())
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::clock::Clock;
use super::latest::{Latest, Wake};
use super::pace::{Pace, Pacer};
use super::stats::{Drops, Histogram, Shown, Summary};
use super::worker::{Looks, Worker};
use crate::engine::{Engine, EngineConfig};
use crate::error::Result;
use crate::frame::Frame;
use crate::model::look::Looker;
use crate::scene::{Overlay, Scene};
use crate::session::Command;
use crate::units::{FrameId, Nanos, Revision};

/// Limits of the live path.
#[derive(Clone, Debug, Default)]
pub struct LiveConfig {
    /// Of the engine.
    pub engine: EngineConfig,
    /// Greatest age of a frame at display; one frame period when `None`.
    pub deadline: Option<Nanos>,
}

/// A frame to be drawn now, with its scene.
pub struct View<'a> {
    /// The frame.
    pub frame: &'a Arc<Frame>,
    /// What to draw over it.
    pub scene: &'a Scene,
}

struct Waiting {
    asked: Option<Nanos>,
    until: Option<Nanos>,
}

struct Tap {
    at: Nanos,
    revision: Revision,
    is_marked: bool,
}

/// Figures of a run so far.
#[derive(Default)]
struct Figures {
    frame_age: Histogram,
    tap_to_marker: Histogram,
    tap_to_mask: Histogram,
    motion: Histogram,
    draw: Histogram,
    encode: Histogram,
    decode: Histogram,
    look: Histogram,
    shown: Shown,
    drops: Drops,
    frames: u64,
    redraws: u64,
}

/// The live path. Owned by the display thread; frames come through [`Live::input`] from any thread.
///
/// Guarantees: [`Live::poll`] never waits for the model; a frame older than the deadline is never given out for the
/// first time, and [`Live::is_in_time`] tells when one grew too old while it was drawn, but where no frame can be shown in time:
/// then they are shown late, without outlines, as [`Signal::Late`](crate::scene::Signal::Late); after warm-up nothing here
/// allocates per frame.
pub struct Live<W = Worker> {
    engine: Engine,
    worker: W,
    frames: Latest<Arc<Frame>>,
    clock: Clock,
    pacer: Pacer,
    waiting: Option<Waiting>,
    drawing: Option<(Nanos, FrameId)>,
    last_presented: FrameId,
    taps: Vec<Tap>,
    figures: Figures,
    is_eased: bool,
    /// When the first frame came that was not shown, nor any after it.
    unshown_since: Option<Nanos>,
    /// No frame can be shown in time; they are shown late, and said to be.
    is_late: bool,
}

/// Frame periods beyond the deadline without a frame that could be shown, until the screen says that it is late.
const PERIODS_UNSHOWN: u64 = 3;

/// Taps whose first marker or mask is still to be timed.
const TAPS_TIMED_MAX: usize = 32;

impl Live {
    /// Starts the model's thread.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn start(looker: Looker, config: LiveConfig) -> Result<Self> {
        Self::start_on(looker, config, Clock::monotonic())
    }

    /// The same on a given clock, which must be the one that stamps the frames.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn start_on(looker: Looker, config: LiveConfig, clock: Clock) -> Result<Self> {
        let wake = Wake::default();
        let worker = Worker::start(looker, clock.clone(), wake.clone())?;
        Ok(Self::with(worker, wake, config, clock))
    }
}

impl<W: Looks> Live<W> {
    /// A live path whose questions `worker` answers; it rings `wake` when it has an answer.
    pub fn with(worker: W, wake: Wake, config: LiveConfig, clock: Clock) -> Self {
        let deadline = config.deadline.unwrap_or(config.engine.period);
        Self {
            pacer: Pacer::new(deadline, config.engine.period),
            engine: Engine::new(config.engine),
            worker,
            frames: Latest::new(wake),
            clock,
            waiting: None,
            drawing: None,
            last_presented: FrameId(0),
            taps: Vec::with_capacity(TAPS_TIMED_MAX),
            figures: Figures::default(),
            is_eased: false,
            unshown_since: None,
            is_late: false,
        }
    }

    /// Who answers.
    pub fn worker_mut(&mut self) -> &mut W {
        &mut self.worker
    }

    /// The slot for the newest frame; putting one in never blocks.
    pub fn input(&self) -> Latest<Arc<Frame>> {
        self.frames.clone()
    }

    /// The clock that stamps frames and times.
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

    /// The frame that the operator sees: what a touch-down belongs to.
    pub fn on_screen(&self) -> FrameId {
        self.last_presented
    }

    /// Obeys a command of the operator, given at `at` (the time of touch-down).
    pub fn command(&mut self, command: Command, at: Nanos) {
        let before = self.engine.revision();
        self.engine.command(command, self.clock.now());
        if self.engine.revision() != before {
            let is_prompt = matches!(command, Command::Click { .. } | Command::BoxPrompt { .. });
            if is_prompt && self.taps.len() < TAPS_TIMED_MAX {
                self.taps.push(Tap { at, revision: self.engine.revision(), is_marked: false });
            }
            self.ask();
        }
    }

    /// Another patient: forgets prompts, objects and frames.
    pub fn new_exam(&mut self) {
        self.engine.new_exam();
        self.waiting = None;
        self.taps.clear();
    }

    /// Takes what has come in and gives out what is to be drawn now, if anything is.
    pub fn poll(&mut self) -> Option<View<'_>> {
        let now = self.clock.now();
        self.take_answers();
        let is_new = match self.frames.take() {
            Some(frame) => self.arrived(frame, now),
            None => self.waiting.is_some(),
        };
        self.note_late(now);
        self.engine.tick(now, self.worker.is_alive());
        if self.engine.is_still_unasked() {
            self.ask();
        }
        let is_due = is_new && self.is_due();
        if !is_due && (is_new || !self.engine.is_changed()) {
            return None;
        }
        self.waiting = None;
        let now = self.clock.now();
        let shown = self.engine.shown()?.id;
        self.drawing = Some((now, shown));
        let (frame, scene) = self.engine.compose(now)?;
        Some(View { frame, scene })
    }

    /// Sleeps until there may be something to poll, at most `longest`.
    pub fn wait(&self, longest: Duration) {
        let left = self.waiting.as_ref().and_then(|w| w.until).map(|t| Duration::from(t.since(self.clock.now())));
        self.frames.wake().sleep(left.map_or(longest, |l| l.min(longest)));
    }

    /// Whether what [`Live::poll`] gave out may still be presented, now that it is drawn: a live frame that has become older
    /// than its deadline meanwhile may not, and counts as dropped.
    pub fn is_in_time(&mut self) -> bool {
        let Some((_, frame)) = self.drawing else { return false };
        let captured = self.engine.live_capture_time(frame).filter(|_| frame != self.last_presented && !self.is_late);
        let is_late = captured.is_some_and(|c| self.clock.now().since(c) > self.pacer.deadline());
        if is_late {
            self.drawing = None;
            self.figures.drops.past_deadline += 1;
        }
        !is_late
    }

    /// Says that what [`Live::poll`] gave out is on the screen now.
    pub fn presented(&mut self) {
        let now = self.clock.now();
        let Some((began, frame)) = self.drawing.take() else { return };
        let figures = &mut self.figures;
        figures.draw.record(now.since(began));
        self.pacer.drew(now.since(began));
        let scene = self.engine.scene();
        if frame != self.last_presented {
            self.last_presented = frame;
            figures.frames += 1;
            self.unshown_since = None;
            if let Some(captured) = self.engine.live_capture_time(frame) {
                figures.frame_age.record(now.since(captured));
                self.is_late &= now.since(captured) > self.pacer.deadline();
            }
            for object in &scene.objects {
                match object.overlay {
                    Overlay::Exact => figures.shown.exact += 1,
                    Overlay::Carried { .. } => figures.shown.carried += 1,
                    Overlay::Stale { .. } => figures.shown.stale += 1,
                    Overlay::Hidden(_) => figures.shown.hidden += 1,
                    Overlay::Lost(_) => figures.shown.lost += 1,
                }
            }
        } else {
            figures.redraws += 1;
        }
        let drawn = self.engine.drawn_revision();
        self.taps.retain_mut(|tap| {
            if !tap.is_marked {
                tap.is_marked = true;
                figures.tap_to_marker.record(now.since(tap.at));
            }
            let is_answered = drawn.is_some_and(|r| r >= tap.revision);
            if is_answered {
                figures.tap_to_mask.record(now.since(tap.at));
            }
            !is_answered
        });
    }

    /// The figures so far.
    pub fn report(&self) -> LiveReport {
        let f = &self.figures;
        LiveReport {
            frames: f.frames,
            redraws: f.redraws,
            deadline_ms: self.pacer.deadline().as_ms(),
            drops: f.drops,
            shown: f.shown,
            frame_age: f.frame_age.summary(),
            tap_to_marker: f.tap_to_marker.summary(),
            tap_to_mask: f.tap_to_mask.summary(),
            motion: f.motion.summary(),
            draw: f.draw.summary(),
            encode: f.encode.summary(),
            decode: f.decode.summary(),
            look: f.look.summary(),
        }
    }

    fn arrived(&mut self, frame: Arc<Frame>, now: Nanos) -> bool {
        let has_displaced = self.waiting.take().is_some();
        if has_displaced {
            self.figures.drops.display_busy += 1;
        }
        self.unshown_since.get_or_insert(now);
        if self.pacer.decide(now, frame.captured, None) == Pace::Drop && !self.is_late {
            self.figures.drops.past_deadline += 1;
            return false;
        }
        let is_shown = self.engine.advance(frame, now);
        self.figures.motion.record(self.clock.now().since(now));
        if is_shown {
            let is_turn = !self.is_eased || self.figures.motion.count().is_multiple_of(2);
            let asked = if is_turn { self.ask() } else { None };
            // One that took the place of another is shown at once: where frames come faster than expected, each would displace
            // the one before it and none be shown.
            self.waiting = Some(Waiting { asked: asked.filter(|_| !has_displaced), until: None });
        }
        is_shown
    }

    /// Finds out that frames come and none can be shown in time.
    fn note_late(&mut self, now: Nanos) {
        if !self.engine.is_live() {
            (self.unshown_since, self.is_late) = (None, false);
        }
        let limit = self.pacer.deadline() + Nanos(PERIODS_UNSHOWN * self.pacer.period().0);
        if self.unshown_since.is_some_and(|t| now.since(t) > limit) && !self.is_late {
            self.is_late = true;
            log::warn!("no frame can be drawn within its deadline of {} ms: shown late", self.pacer.deadline().as_ms());
        }
        self.engine.set_late(self.is_late);
    }

    fn is_due(&mut self) -> bool {
        let Some(captured) = self.engine.shown().map(|f| f.captured) else { return false };
        let Some(waiting) = self.waiting.as_mut() else { return false };
        if self.engine.is_exact() {
            return true;
        }
        let now = self.clock.now();
        if let Some(until) = waiting.until {
            return now >= until;
        }
        match self.pacer.decide(now, captured, waiting.asked) {
            Pace::WaitUntil(until) => {
                waiting.until = Some(until);
                false
            }
            Pace::Show | Pace::Drop => true,
        }
    }

    fn ask(&mut self) -> Option<Nanos> {
        let now = self.clock.now();
        let job = self.engine.ask(now)?;
        if let Some(displaced) = self.worker.ask(job) {
            self.figures.drops.model_busy += 1;
            self.engine.take_back(displaced);
        }
        Some(now)
    }

    fn take_answers(&mut self) {
        while let Some(job) = self.worker.answer() {
            if let Some(report) = job.report() {
                self.figures.encode.record(Nanos(report.encode_ns));
                self.figures.decode.record(Nanos(report.decode_ns));
            }
            self.figures.look.record(job.ended.since(job.begun));
            self.pacer.looked(job.ended.since(job.asked));
            self.engine.answered(job);
        }
    }
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LiveReport {
    /// Different frames shown.
    pub frames: u64,
    /// Times that a frame was drawn again because something else changed.
    pub redraws: u64,
    /// Greatest age allowed at display.
    pub deadline_ms: f64,
    /// Frames and looks that were left out.
    pub drops: Drops,
    /// How outlines were shown.
    pub shown: Shown,
    /// From capture to the end of its presentation.
    pub frame_age: Summary,
    /// From touch-down to the marker on the screen.
    pub tap_to_marker: Summary,
    /// From touch-down to an outline that obeys it on the screen.
    pub tap_to_mask: Summary,
    /// Motion and carrying, a frame.
    pub motion: Summary,
    /// Drawing and presenting, a frame.
    pub draw: Summary,
    /// Encoder, a look.
    pub encode: Summary,
    /// All decodes, a look.
    pub decode: Summary,
    /// A look from begin to end.
    pub look: Summary,
}
