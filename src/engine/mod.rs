//! The engine: session, motion and objects together, as one state machine without threads, I/O or clock.
//!
//! Frames, commands and answered looks come in with the time; questions to the model and scenes go out. Because time is
//! an argument, a scenario on a fake clock runs the same code as the device.
//!
//! ```text
//! advance(frame) ─▶ Motion ─▶ objects follow, prompts are carried ─▶ ask() ─▶ LookJob on the shown frame
//! command(..)    ─▶ Session ─▶ objects prompted                       │
//! answered(job)  ─▶ after an edit: adopt; else: hear the witness ◀────┘
//! compose(now)   ─▶ Scene: each object exact, carried, stale, hidden or lost
//! ```

pub mod cine;
pub mod job;
pub mod motion;
pub mod object;
mod scenery;
pub mod signal;

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Image, Point, Rect};
use crate::mask::{LogitGrid, Provenance};
use crate::model::look::survey::DISTINCT;
use crate::preset::Preset;
use crate::prompt::{Polarity, Prompt, PromptShape};
use crate::region::{FrameRegion, Misplaced};
use crate::scene::{CinePlace, HiddenReason, LostReason, Mode, Notice, Overlay, Scene, Signal};
use crate::session::{Command, Outcome, RingView, Session, SessionConfig, Situation, View};
use crate::track::carry::{self, DriftLimits};
use crate::track::flow::FlowField;
use crate::units::{FrameId, Nanos, ObjectId, Revision};

use cine::CineRing;
use job::LookJob;
use motion::{Motion, Step, StepId};
use object::{AgeLimits, Phase, Seen, TrackedObject};
use scenery::{Scenery, Stage};
use signal::SignalWatch;
pub use signal::Timeliness;

/// Limits of the engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Time from frame to frame of the source.
    pub period: Nanos,
    /// Memory for the cine ring, bytes.
    pub cine_bytes: usize,
    /// Ages of an outline.
    pub age: AgeLimits,
    /// When an object has drifted.
    pub drift: DriftLimits,
    /// Without a new picture for so long, objects are given up.
    pub signal_lost_after: Nanos,
    /// How far from a marker a tap still meets it, image px.
    pub marker_radius_px: f32,
    /// Of the session.
    pub session: SessionConfig,
    /// Whether the model is asked for a lone tap at several scales ([`ModelSpec::view_advantage`]): shown at once is what the
    /// whole image gives, and what closer views give takes its place when they are done.
    ///
    /// [`ModelSpec::view_advantage`]: crate::model::ModelSpec::view_advantage
    pub surveys: bool,
    /// What is about to be outlined, if somebody said.
    pub preset: Option<Arc<Preset>>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            period: Nanos(33_333_333),
            cine_bytes: 32 << 20,
            age: AgeLimits::default(),
            drift: DriftLimits::default(),
            signal_lost_after: Nanos::from_ms(1_000),
            marker_radius_px: 12.0,
            session: SessionConfig::default(),
            surveys: false,
            preset: None,
        }
    }
}

/// What an object's mask was asked with.
#[derive(Clone, Copy, Default)]
struct Asked {
    revision: Revision,
    prompts: usize,
}

/// An outline that was shown for a lone click, and the step that had led to its frame.
struct Passed {
    step: StepId,
    logits: LogitGrid,
}

/// See the module.
pub struct Engine {
    config: EngineConfig,
    session: Session,
    motion: Motion,
    objects: [TrackedObject; ObjectId::MAX],
    /// The region that each object's prompts are in.
    homes: [Option<FrameRegion>; ObjectId::MAX],
    asked: [Asked; ObjectId::MAX],
    in_flight: [Option<Revision>; ObjectId::MAX],
    is_rough: [bool; ObjectId::MAX],
    /// What a lone click was outlined as so far, one a candidate.
    passed: [Vec<Passed>; ObjectId::MAX],
    last_asked: Option<(FrameId, Revision, [bool; ObjectId::MAX])>,
    known: [Revision; ObjectId::MAX],
    ring: Option<CineRing>,
    shown: Option<Arc<Frame>>,
    signal: SignalWatch,
    signal_state: Signal,
    model_fails: bool,
    is_model_up: bool,
    is_hot: bool,
    timeliness: Timeliness,
    last_advanced: FrameId,
    #[allow(clippy::vec_box, reason = "the boxes go round between threads and are never unpacked")]
    spare: Vec<Box<LookJob>>,
    scenery: Scenery,
    is_changed: bool,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: EngineConfig) -> Self {
        let motion = Motion::new();
        let object =
            || TrackedObject::new(motion.blank(), LogitGrid::background(1, *motion.blank().view()), config.drift);
        Self {
            session: Session::new(config.session),
            objects: std::array::from_fn(|_| object()),
            homes: [None; ObjectId::MAX],
            asked: [Asked::default(); ObjectId::MAX],
            in_flight: [None; ObjectId::MAX],
            is_rough: [false; ObjectId::MAX],
            passed: Default::default(),
            last_asked: None,
            known: [Revision::default(); ObjectId::MAX],
            ring: None,
            shown: None,
            signal: SignalWatch::new(config.period),
            signal_state: Signal::Missing,
            model_fails: false,
            is_model_up: true,
            is_hot: false,
            timeliness: Timeliness::InTime,
            last_advanced: FrameId(0),
            spare: (0..LookJob::IN_ROUND).map(|_| Box::default()).collect(),
            scenery: Scenery::new(),
            is_changed: true,
            motion,
            config,
        }
    }

    /// The operator's choices.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The frame on the screen.
    pub fn shown(&self) -> Option<&Arc<Frame>> {
        self.shown.as_ref()
    }

    /// An object; `None` for a number that is none of the [`ObjectId::MAX`].
    pub fn object(&self, object: ObjectId) -> Option<&TrackedObject> {
        self.objects.get(object.index())
    }

    /// Number of the operator's last edit.
    pub fn revision(&self) -> Revision {
        self.session.prompts().revision()
    }

    /// Sets how far from a marker a tap still meets it; the screen knows.
    pub fn set_marker_radius_px(&mut self, radius_px: f32) {
        self.config.marker_radius_px = radius_px;
    }

    /// Says whether it is hot, which the scene tells the operator.
    pub fn set_hot(&mut self, is_hot: bool) {
        self.is_changed |= self.is_hot != is_hot;
        self.is_hot = is_hot;
    }

    /// Says whether frames come to the glass in time, which the scene tells the operator from its next frame on.
    pub fn set_timeliness(&mut self, timeliness: Timeliness) {
        self.timeliness = timeliness;
    }

    /// Whether the screen follows the newest frame.
    pub fn is_live(&self) -> bool {
        self.session.mode() == Mode::Live
    }

    /// Takes a newer live frame; whether it is the one to be shown now (not while frozen).
    ///
    /// # Errors
    /// `Argument` for a frame without pixels, or whose number is not above that of the frame before: an outline of the one
    /// could be taken for one of the other. Nothing changes then.
    pub fn advance(&mut self, frame: Arc<Frame>, now: Nanos) -> Result<bool> {
        if frame.id() <= self.last_advanced || frame.pixels().is_empty() {
            let (got, last, bytes) = (frame.id(), self.last_advanced, frame.pixels().len());
            let expected = format!("frame: expected a number above {last} and pixels");
            return Err(Error::new(ErrorKind::Argument, format!("{expected}, got {got} with {bytes} bytes")));
        }
        self.last_advanced = frame.id();
        // A stamp ahead of now would keep a signal good that has stopped.
        let captured = frame.captured().min(now);
        if self.session.mode() != Mode::Live {
            self.signal.arrived_unseen(captured);
            return Ok(false);
        }
        let cine_bytes = self.config.cine_bytes;
        self.ring.get_or_insert_with(|| CineRing::new(cine_bytes)).push(frame.clone());
        let is_new = self.show(frame) != Step::Repeated;
        self.signal.arrived(captured, is_new);
        self.note_signal(now);
        Ok(true)
    }

    /// Notes a live frame that comes too late to be shown: the signal is there.
    pub fn skipped(&mut self, frame: &Frame, now: Nanos) {
        self.last_advanced = self.last_advanced.max(frame.id());
        self.signal.arrived_unseen(frame.captured().min(now));
    }

    /// Obeys a command. Places in it are of the frame it names as shown, and are mapped to the one shown now.
    pub fn command(&mut self, command: Command, now: Nanos) {
        let Some(command) = self.mapped(command) else {
            self.session.notify(Notice::FrameGone, now);
            self.is_changed = true;
            return;
        };
        if self.is_on_colour(&command) {
            self.session.notify(Notice::Misplaced(Misplaced::OnColour), now);
            self.is_changed = true;
            return;
        }
        let Some(situation) = self.situation(now) else { return };
        let outcome = self.session.apply(command, &situation);
        self.is_changed |= outcome != Outcome::Unchanged;
        match outcome {
            Outcome::Started(object) => {
                self.objects[object.index()].restart();
                self.note_edits();
            }
            Outcome::Edited => self.note_edits(),
            Outcome::Moved => {
                self.last_asked = None;
                self.show_chosen();
            }
            Outcome::Unchanged | Outcome::Changed | Outcome::Refused(_) => {}
        }
    }

    /// Forgets everything of the patient: prompts, objects, frames.
    pub fn new_exam(&mut self) {
        self.session.new_exam();
        self.ring = None;
        self.shown = None;
        for i in 0..ObjectId::MAX {
            self.objects[i].prompted(true);
        }
        self.known = [self.revision(); ObjectId::MAX];
        self.is_rough = [false; ObjectId::MAX];
        self.homes = [None; ObjectId::MAX];
        self.passed = Default::default();
        self.is_changed = true;
    }

    /// Notes the passing of time, and whether the model's thread is there.
    pub fn tick(&mut self, now: Nanos, is_model_up: bool) {
        self.is_changed |= self.is_model_up != is_model_up;
        self.is_model_up = is_model_up;
        self.note_signal(now);
        let is_live = self.session.mode() == Mode::Live;
        if is_live && self.shown.is_some() && self.signal.without_picture(now) > self.config.signal_lost_after {
            self.lose_all(LostReason::SignalLost);
        }
    }

    /// A question about the shown frame, if any object has one and a box is free.
    ///
    /// Objects without an outline go first, for a quick answer from the whole region; the next question, which has that
    /// answer as previous mask, looks closer. Live, a first outline is asked for once.
    pub fn ask(&mut self, now: Nanos) -> Option<Box<LookJob>> {
        let frame = self.shown.clone()?;
        if !frame.region.content.is_segmentable() {
            return None;
        }
        let is_live = self.session.mode() == Mode::Live;
        let wanted: [bool; ObjectId::MAX] = std::array::from_fn(|i| match self.objects[i].phase() {
            Phase::Empty | Phase::Lost(_) => false,
            Phase::Awaited if is_live => self.in_flight[i].is_none_or(|r| r < self.known[i]),
            Phase::Awaited | Phase::Refused(_) | Phase::Held => true,
        });
        let is_first = (0..ObjectId::MAX).any(|i| wanted[i] && self.objects[i].phase() == Phase::Awaited);
        // A survey of one object's click goes alone, and once: other objects are asked for meanwhile.
        let is_underway = |i: usize| is_live && self.in_flight[i].is_some_and(|r| r >= self.known[i]);
        let surveys: [bool; ObjectId::MAX] = std::array::from_fn(|i| wanted[i] && !is_first && self.is_to_survey(i));
        let surveyed = (0..ObjectId::MAX).find(|&i| surveys[i] && !is_underway(i));
        let is_asked = |i: &usize| match surveyed {
            Some(one) => *i == one,
            None => wanted[*i] && !surveys[*i] && (!is_first || self.objects[*i].phase() == Phase::Awaited),
        };
        if !(0..ObjectId::MAX).any(|i| is_asked(&i)) {
            return None;
        }
        let mut job = self.spare.pop()?;
        job.release();
        job.frame = Some(frame.clone());
        job.step = self.motion.newest();
        job.revision = self.revision();
        job.is_first = is_first;
        job.asked = now;
        let asked: [bool; ObjectId::MAX] = std::array::from_fn(|i| is_asked(&i));
        for i in (0..ObjectId::MAX).filter(|&i| asked[i]) {
            self.fill_prompts(ObjectId(i as u8), &mut job);
            if surveyed == Some(i) {
                self.fill_survey(i, &mut job);
            }
        }
        for object in &job.objects {
            self.in_flight[object.index()] = Some(job.revision);
        }
        self.last_asked = Some((frame.id, job.revision, self.is_rough));
        Some(job)
    }

    /// Whether the picture stands still, has objects, and no question about it as it is was asked yet.
    pub fn is_still_unasked(&self) -> bool {
        let asked = self.shown.as_ref().map(|f| (f.id, self.revision(), self.is_rough));
        let is_wanting = !self.is_exact() || self.is_rough.contains(&true);
        self.session.mode() != Mode::Live && self.last_asked != asked && is_wanting
    }

    /// Takes back a question that the model did not come to.
    pub fn take_back(&mut self, job: Box<LookJob>) {
        self.last_asked = None;
        self.put_away(job);
    }

    fn put_away(&mut self, mut job: Box<LookJob>) {
        for object in &job.objects {
            let in_flight = &mut self.in_flight[object.index()];
            *in_flight = in_flight.filter(|&r| r != job.revision);
        }
        job.release();
        if self.spare.len() < LookJob::IN_ROUND {
            self.spare.push(job);
        }
    }

    /// The model's thread died and there is a new one: what the old one was asked is asked anew.
    pub fn model_restarted(&mut self) {
        self.in_flight = [None; ObjectId::MAX];
        self.last_asked = None;
        self.spare.resize_with(LookJob::IN_ROUND, Box::default);
        self.is_changed = true;
    }

    /// Takes an answer.
    pub fn answered(&mut self, job: Box<LookJob>) {
        if let Some(frame) = job.frame.clone() {
            self.model_fails = job.outcome == job::Outcome::Failed;
            for (i, &object) in job.objects.iter().enumerate() {
                let before = self.objects[object.index()].phase();
                self.hear(&job, i, object, &frame);
                self.is_changed |= before != self.objects[object.index()].phase();
            }
            self.is_changed |= self.model_fails || self.session.mode() != Mode::Live;
        }
        self.put_away(job);
    }

    /// Whether something but the frame changed since the last scene was made.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether every outlined object has its mask from the shown frame.
    pub fn is_exact(&self) -> bool {
        let Some(shown) = self.shown.as_ref().map(|f| f.id) else { return false };
        let mut wanted = self.objects.iter().filter(|o| !matches!(o.phase(), Phase::Empty | Phase::Lost(_))).peekable();
        wanted.peek().is_some() && wanted.all(|o| o.provenance().is_some_and(|p| p.frame == shown))
    }

    /// Makes the scene for the shown frame; `None` before the first frame.
    pub fn compose(&mut self, now: Nanos) -> Option<(&Arc<Frame>, &Scene)> {
        let frame = self.shown.as_ref()?;
        let cine = self
            .ring
            .as_ref()
            .and_then(|ring| ring.index_of(frame.id).map(|index| CinePlace { index, len: ring.len() }));
        let stage = Stage {
            frame,
            cine,
            session: &self.session,
            objects: &self.objects,
            homes: &self.homes,
            age: &self.config.age,
            signal: self.signal_state,
            live_tick: self.signal.tick(),
            model_fails: self.model_fails || !self.is_model_up,
            is_model_up: self.is_model_up,
            is_hot: self.is_hot,
            preset: self.config.preset.as_ref(),
        };
        self.scenery.fill(&stage, now);
        self.is_changed = false;
        Some((frame, self.scenery.scene()))
    }

    /// The shown frame, and the scene as it was last made.
    pub fn composed(&self) -> Option<(&Arc<Frame>, &Scene)> {
        Some((self.shown.as_ref()?, self.scenery.scene()))
    }

    /// The scene as it was last made.
    pub fn scene(&self) -> &Scene {
        self.scenery.scene()
    }

    /// The operator's edit that every drawn outline obeys; `None` while an object waits for its outline.
    pub fn drawn_revision(&self) -> Option<Revision> {
        let scene = self.scenery.scene();
        let of = |o: &crate::scene::ObjectScene| match o.overlay {
            Overlay::Lost(_) => Some(self.revision()),
            overlay if overlay.is_drawn() => self.objects[o.object.index()].provenance().map(|p| p.revision),
            _ => None,
        };
        scene.objects.iter().map(of).min().unwrap_or(Some(self.revision()))
    }

    fn show(&mut self, frame: Arc<Frame>) -> Step {
        let is_same = |f: &Arc<Frame>| (f.scale, f.region, f.regions) == (frame.scale, frame.region, frame.regions);
        let is_same_scale = self.shown.as_ref().is_none_or(is_same);
        let step = self.motion.advance(&frame);
        match step {
            Step::Begun if self.shown.is_some() => self.lose_all(LostReason::SceneCut),
            Step::Cut => self.lose_all(LostReason::SceneCut),
            Step::Moved(_) if !is_same_scale => self.lose_all(LostReason::SceneCut),
            Step::Moved(_) => {
                for (object, home) in self.objects.iter_mut().zip(&self.homes) {
                    object.follow(&mut self.motion, &home.map_or(frame.region.rect, |h| h.rect));
                }
                let (flow, objects) = (self.motion.latest_flow(), &self.objects);
                self.session.carry_each(|prompt| carried(prompt, &objects[prompt.object.index()], flow));
            }
            Step::Begun | Step::Repeated => {}
        }
        self.shown = Some(frame);
        step
    }

    fn show_chosen(&mut self) {
        let View::Ring { index_from_newest } = self.session.view() else { return };
        let chosen = self.ring.as_ref().and_then(|r| r.from_newest(index_from_newest)).cloned();
        if let Some(frame) = chosen
            && self.shown.as_ref().is_none_or(|f| f.id != frame.id)
        {
            self.show(frame);
        }
    }

    fn note_edits(&mut self) {
        for i in 0..ObjectId::MAX {
            let object = ObjectId(i as u8);
            let revision = self.session.prompts().object_revision(object);
            if revision != self.known[i] {
                self.known[i] = revision;
                self.is_rough[i] = false;
                self.homes[i] = self.home_of(object);
                let candidate = self.session.prompts().candidate(object);
                self.passed[i].truncate(usize::from(candidate));
                self.objects[i].prompted(self.session.prompts().is_empty(object));
            }
        }
    }

    /// The region of an object's prompts. Carried ones may have left it by a little: then it is the former one, else that
    /// of the first prompt that is in one.
    fn home_of(&self, object: ObjectId) -> Option<FrameRegion> {
        let regions = self.shown.as_ref()?.parts();
        let of_prompt = |prompt: &Prompt| match prompt.shape {
            PromptShape::Click { at, .. } => regions.of_click(at),
            PromptShape::Box(rect) => regions.of_box(&rect),
        };
        let former = self.homes[object.index()].filter(|h| regions.contains(h));
        let mut found = self.session.prompts().active(object).map(of_prompt).filter_map(Result::ok);
        match (former, found.next()) {
            (_, Some(first)) if found.all(|r| r == first) => Some(first),
            (former, first) => former.or(first),
        }
    }

    /// Whether a positive click is on a coloured pixel, which is flow and not tissue.
    fn is_on_colour(&self, command: &Command) -> bool {
        match (command, &self.shown) {
            (Command::Click { polarity: Some(Polarity::Negative), .. }, _) => false,
            (Command::Click { at, .. }, Some(frame)) => frame.region_of([*at], None) == Err(Misplaced::OnColour),
            _ => false,
        }
    }

    fn fill_prompts(&self, object: ObjectId, job: &mut LookJob) {
        let at = job.objects.len();
        job.objects.push(object);
        if job.prompts.len() <= at {
            job.prompts.resize_with(at + 1, Default::default);
        }
        let (prompts, asked) = (self.session.prompts(), &self.asked[object.index()]);
        let out = &mut job.prompts[at];
        out.clicks.clear();
        out.boxed = None;
        out.candidate = prompts.candidate(object);
        out.is_still = self.session.mode() != Mode::Live;
        let whole = self.shown.as_ref().map(|f| f.region.rect).unwrap_or_default();
        let home = self.homes[object.index()];
        let bounds = home.map_or(whole, |h| h.rect);
        out.region = Some(bounds);
        let scale = home.and_then(|h| h.scale).or_else(|| self.shown.as_ref().and_then(|f| f.scale));
        out.expected = self.config.preset.as_ref().and_then(|p| p.expected(scale.as_ref()));
        let mut count = 0;
        for prompt in prompts.active(object) {
            count += 1;
            match prompt.shape {
                PromptShape::Click { at, polarity } => out.clicks.push((within(&bounds, at), polarity)),
                PromptShape::Box(rect) => out.boxed = rect.intersect(&bounds),
            }
        }
        let is_answered = asked.revision >= prompts.object_revision(object);
        let previous = self.objects[object.index()].carried().filter(|_| is_answered || count > asked.prompts);
        let is_heard = self.session.mode() == Mode::Live && !self.is_rough[object.index()] && self.is_standing(object);
        out.is_independent = is_heard && self.objects[object.index()].wants_independent_look();
        match (previous, &mut out.previous) {
            (Some(p), Some(kept)) => kept.copy_from(p),
            (Some(p), none) => *none = Some(p.clone()),
            (None, Some(kept)) => kept.reset(kept.cells(), *kept.view()),
            (None, None) => {}
        }
    }

    /// Whether an object's lone click waits for the answer of all scales: after the first outline, and when the next is asked for.
    fn is_to_survey(&self, i: usize) -> bool {
        let object = ObjectId(i as u8);
        let mut prompts = self.session.prompts().active(object);
        let lone = prompts.next().filter(|_| prompts.next().is_none());
        let is_click = lone.is_some_and(|p| matches!(p.shape, PromptShape::Click { polarity: Polarity::Positive, .. }));
        let is_open = self.is_rough[i] || !self.is_standing(object);
        self.config.surveys && is_click && is_open && self.objects[i].phase() == Phase::Held
    }

    /// A survey sees no previous mask, but what was shown before it.
    fn fill_survey(&mut self, i: usize, job: &mut LookJob) {
        let Some(out) = job.prompts.get_mut(job.objects.len() - 1) else { return };
        if let Some(previous) = &mut out.previous {
            previous.reset(previous.cells(), *previous.view());
        }
        out.passed.clear();
        for passed in self.passed[i].iter().take(usize::from(out.candidate)) {
            let (mut motion, mut now) = (self.motion.blank(), passed.logits.clone());
            if self.motion.compose_since(passed.step, &mut motion) {
                carry::warp(&passed.logits, &motion, &mut now);
            }
            out.passed.push(now);
        }
    }

    /// Keeps what a lone click was outlined as; tells when a closer view changed the outline by itself.
    fn note_outline(&mut self, job: &LookJob, i: usize, object: ObjectId, logits: &LogitGrid) {
        let prompts = &job.prompts[i];
        let at = object.index();
        if !self.config.surveys || prompts.clicks.len() != 1 || prompts.boxed.is_some() {
            return;
        }
        let is_replaced = self.is_rough[at] && !job.is_first && prompts.candidate == 0;
        let is_other = |before: &Passed| carry::agreement(&before.logits, logits) < DISTINCT;
        if is_replaced && self.passed[at].last().is_some_and(is_other) {
            self.session.notify(Notice::OutlineChanged(object), job.ended);
        }
        self.passed[at].truncate(usize::from(prompts.candidate));
        self.passed[at].push(Passed { step: job.step, logits: logits.clone() });
    }

    /// Whether the object's outline obeys the operator's last edit.
    fn is_standing(&self, object: ObjectId) -> bool {
        let edited = self.session.prompts().object_revision(object);
        self.objects[object.index()].provenance().is_some_and(|p| p.revision >= edited)
    }

    fn hear(&mut self, job: &LookJob, i: usize, object: ObjectId, frame: &Frame) {
        let tracked = &mut self.objects[object.index()];
        let edited = self.session.prompts().object_revision(object);
        if job.revision < edited || matches!(tracked.phase(), Phase::Empty | Phase::Lost(_)) {
            return;
        }
        if job.outcome == job::Outcome::Failed {
            return tracked.refused(HiddenReason::ModelFailed);
        }
        let look = &job.looks[i];
        let (Some(logits), Some(score)) = (look.mask(), look.score()) else {
            return tracked.refused(HiddenReason::ImplausibleMask);
        };
        let provenance = Provenance { frame: frame.id, captured: frame.captured, revision: job.revision, object };
        let carried = job.prompts[i].previous.as_ref();
        let is_independent = job.prompts[i].is_independent;
        if is_independent && self.session.mode() != Mode::Live {
            return;
        }
        let seen = Seen { provenance, step: job.step, logits, score, carried, is_independent };
        let is_answered = tracked.provenance().is_some_and(|p| p.revision >= edited);
        if is_answered && !self.is_rough[object.index()] && self.session.mode() == Mode::Live {
            tracked.hear(&seen, &mut self.motion);
        } else if tracked.adopt(&seen, &mut self.motion) {
            let prompts = &job.prompts[i];
            self.note_outline(job, i, object, logits);
            self.is_rough[object.index()] = job.is_first;
            let count = prompts.clicks.len() + usize::from(prompts.boxed.is_some());
            self.asked[object.index()] = Asked { revision: job.revision, prompts: count };
        }
    }

    fn mapped(&self, command: Command) -> Option<Command> {
        let map = |p: Point<Image>, shown: FrameId| {
            let now = self.shown.as_ref()?.id;
            if shown == now {
                return Some(p);
            }
            self.motion.step_showing(shown).and_then(|step: StepId| self.motion.forward_since(step, p))
        };
        Some(match command {
            Command::Click { at, polarity, shown } => Command::Click { at: map(at, shown)?, polarity, shown },
            Command::BoxPrompt { rect, shown } => {
                let (c, moved) = (rect.centre(), map(rect.centre(), shown)?);
                let (dx, dy) = (moved.x - c.x, moved.y - c.y);
                let rect = Rect::new(rect.x0 + dx, rect.y0 + dy, rect.x1 + dx, rect.y1 + dy);
                Command::BoxPrompt { rect, shown }
            }
            other => other,
        })
    }

    fn situation(&self, now: Nanos) -> Option<Situation> {
        let frame = self.shown.as_ref()?;
        let ring = self.ring.as_ref()?;
        let index = ring.index_of(frame.id).unwrap_or(ring.len().saturating_sub(1));
        Some(Situation {
            now,
            shown: frame.id,
            ring: RingView { len: ring.len(), shown: ring.len().saturating_sub(1 + index) },
            regions: frame.parts(),
            homes: self.homes.map(|home| home.map(|h| h.rect)),
            marker_radius_px: self.config.marker_radius_px,
            lost: std::array::from_fn(|i| match self.objects[i].phase() {
                Phase::Lost(reason) => Some(reason),
                _ => None,
            }),
        })
    }

    fn note_signal(&mut self, now: Nanos) {
        let state = match self.signal.state(now) {
            Signal::Good => self.timeliness.signal(),
            state => state,
        };
        // One late frame is said with the next; drawing it again for that would make the next one late as well.
        let is_told_with_next = state.allows_outlines() && self.signal_state.allows_outlines();
        self.is_changed |= state != self.signal_state && !is_told_with_next;
        self.signal_state = state;
    }

    fn lose_all(&mut self, reason: LostReason) {
        for object in &mut self.objects {
            let before = object.phase();
            object.lose(reason);
            self.is_changed |= before != object.phase();
        }
    }
}

/// Where a prompt's anchor is after a step. A click is tissue and goes with the flow at its place; the middle of a box is
/// not (it may be fluid, where flow is a guess), so a box goes with the outline.
fn carried(prompt: &Prompt, object: &TrackedObject, flow: &FlowField) -> Option<Point<Image>> {
    let at = prompt.shape.anchor();
    match (prompt.shape, object.shift_px()) {
        (PromptShape::Box(_), Some((dx, dy))) => Some(Point::new(at.x + dx, at.y + dy)),
        _ => Some(flow.forward(at)),
    }
}

/// A carried click may have left the image by a little; the model is asked at the edge.
fn within(bounds: &Rect<Image>, p: Point<Image>) -> Point<Image> {
    let inside = |v: f32, low: f32, high: f32| v.min(high - 0.5).max(low + 0.5);
    Point::new(inside(p.x, bounds.x0, bounds.x1), inside(p.y, bounds.y0, bounds.y1))
}
