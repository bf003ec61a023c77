//! The engine: session, motion and tracked objects as one state machine without threads, I/O or clock.
//!
//! Inputs are frames, commands and answered jobs, each with the time; outputs are jobs for the model and scenes. Because time
//! is an argument, a scenario on a fake clock runs the same code as the device.
//!
//! ```text
//! advance(frame) ─▶ Motion ─▶ objects follow, prompts are carried ─▶ ask() ─▶ InferenceJob on the shown frame
//! command(..)    ─▶ Session ─▶ objects prompted                       │
//! answered(job)  ─▶ after an edit: adopt; else: judge the outline ◀───┘
//! compose(now)   ─▶ Scene: each object exact, carried, stale, hidden or lost
//! ```

mod asking;
mod by_hand;
pub mod cine;
pub mod job;
pub mod motion;
pub mod object;
pub mod reopened;
mod scenery;
pub mod signal;
mod slot;
mod suggesting;

use std::sync::Arc;
use std::time::Duration;

use crate::calipers::{CaliperNotice, KnownScale};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Point, Rect};
use crate::mask::LogitGrid;
use crate::preset::Preset;
use crate::prompt::{Polarity, Prompt, PromptShape};
use crate::region::{FrameRegion, Misplaced};
use crate::scene::{CinePlace, LostReason, Mode, Notice, Overlay, Scene, Signal};
use crate::session::{Command, Outcome, RingView, SaveRequest, Session, SessionConfig, Situation, View};
use crate::track::carry::DriftLimits;
use crate::track::flow::FlowField;
use crate::units::{FrameId, ObjectId, Revision, Score, Timestamp};

use asking::StillQuestion;
use by_hand::ByHand;
use cine::CineRing;
use job::InferenceJob;
use motion::{Motion, MotionStep, StepId};
use object::{AgeLimits, Phase, TrackedObject};
use reopened::Aside;
use scenery::{SceneInput, Scenery};
use signal::SignalWatch;
pub use signal::Timeliness;
use slot::Slot;
use suggesting::Suggested;

/// Limits of the engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Frame period of the source.
    pub period: Duration,
    /// Memory for the cine ring, bytes.
    pub cine_bytes: usize,
    /// Age limits of an outline.
    pub age: AgeLimits,
    /// Limits of the drift test.
    pub drift: DriftLimits,
    /// Time without a new image after which objects are given up.
    pub signal_lost_after: Duration,
    /// Largest distance from a marker at which a tap hits it, image px.
    pub marker_radius_px: f32,
    /// Configuration of the session.
    pub session: SessionConfig,
    /// Whether a lone tap is predicted at several scales ([`ModelSpec::view_advantage`]). The outline of the whole image is
    /// shown first; that of the closer views replaces it when they are done.
    ///
    /// [`ModelSpec::view_advantage`]: crate::model::ModelSpec::view_advantage
    pub surveys: bool,
    /// The structure to be outlined, if it was chosen.
    pub preset: Option<Arc<Preset>>,
    /// Scales that are known by the picture of their ruler.
    pub known_scales: Arc<[KnownScale]>,
    /// Lowest score of a suggestion that is shown before any tap ([`crate::scene::Suggestion`]); `None` to suggest nothing.
    pub suggest: Option<Score>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            period: Duration::from_nanos(33_333_333),
            cine_bytes: 32 << 20,
            age: AgeLimits::default(),
            drift: DriftLimits::default(),
            signal_lost_after: Duration::from_millis(1_000),
            marker_radius_px: 12.0,
            session: SessionConfig::default(),
            surveys: false,
            preset: None,
            known_scales: Arc::default(),
            suggest: None,
        }
    }
}

/// The state machine that the module describes.
pub struct Engine {
    config: EngineConfig,
    session: Session,
    motion: Motion,
    slots: [Slot; ObjectId::MAX],
    last_asked: Option<StillQuestion>,
    ring: Option<CineRing>,
    shown: Option<Arc<Frame>>,
    signal: SignalWatch,
    signal_state: Signal,
    model_fails: bool,
    is_model_up: bool,
    is_hot: bool,
    timeliness: Timeliness,
    last_advanced: Option<FrameId>,
    #[allow(clippy::vec_box, reason = "the boxes go round between threads and are never unpacked")]
    spare: Vec<Box<InferenceJob>>,
    scenery: Scenery,
    is_changed: bool,
    by_hand: ByHand,
    suggested: Suggested,
    aside: Aside,
}

impl Engine {
    /// An engine before its first frame.
    pub fn new(config: EngineConfig) -> Self {
        let motion = Motion::new();
        let object =
            || TrackedObject::new(motion.blank(), LogitGrid::background(1, *motion.blank().view()), config.drift);
        Self {
            session: Session::new(config.session),
            slots: std::array::from_fn(|_| Slot::new(object())),
            last_asked: None,
            ring: None,
            shown: None,
            signal: SignalWatch::new(config.period),
            signal_state: Signal::Missing,
            model_fails: false,
            is_model_up: true,
            is_hot: false,
            timeliness: Timeliness::InTime,
            last_advanced: None,
            spare: (0..InferenceJob::IN_ROUND).map(|_| Box::default()).collect(),
            scenery: Scenery::new(),
            is_changed: true,
            by_hand: ByHand::new(config.known_scales.clone()),
            suggested: Suggested::new(config.suggest, object()),
            aside: Aside::default(),
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

    /// An object; `None` if the number is not below [`ObjectId::MAX`].
    pub fn object(&self, object: ObjectId) -> Option<&TrackedObject> {
        self.slots.get(object.index()).map(|slot| &slot.object)
    }

    /// Number of the operator's last edit.
    pub fn revision(&self) -> Revision {
        self.session.prompts().revision()
    }

    /// Sets [`EngineConfig::marker_radius_px`], which depends on the screen's scale.
    pub fn set_marker_radius_px(&mut self, radius_px: f32) {
        self.config.marker_radius_px = radius_px;
    }

    /// Sets whether the device is hot; the scene shows it.
    pub fn set_hot(&mut self, is_hot: bool) {
        self.is_changed |= self.is_hot != is_hot;
        self.is_hot = is_hot;
    }

    /// Sets whether frames reach the display in time; the scene shows it from its next frame on.
    pub fn set_timeliness(&mut self, timeliness: Timeliness) {
        self.timeliness = timeliness;
    }

    /// Whether the screen follows the newest frame.
    pub fn is_live(&self) -> bool {
        self.session.mode() == Mode::Live
    }

    /// Takes a newer live frame. Returns whether it is to be shown now, which it is not while frozen.
    ///
    /// # Errors
    /// `Argument` for a frame without pixels, or whose number is not above that of the frame before: their outlines could be
    /// confused. Nothing changes then.
    pub fn advance(&mut self, frame: Arc<Frame>, now: Timestamp) -> Result<bool> {
        if frame.id() <= self.last_advanced || frame.pixels().is_empty() {
            let number = |id: Option<FrameId>| id.map_or(0, |id| id.0);
            let (got, last, bytes) = (number(frame.id()), number(self.last_advanced), frame.pixels().len());
            let expected = format!("frame: expected a number above #{last} and pixels");
            return Err(Error::new(ErrorKind::Argument, format!("{expected}, got #{got} with {bytes} bytes")));
        }
        self.last_advanced = frame.id();
        // A capture time in the future would delay the detection of a missing signal.
        let captured = frame.captured().min(now);
        if self.session.mode() != Mode::Live {
            self.signal.arrived_unseen(captured);
            return Ok(false);
        }
        let cine_bytes = self.config.cine_bytes;
        self.ring.get_or_insert_with(|| CineRing::new(cine_bytes)).push(frame.clone());
        let is_new = self.show(frame) != MotionStep::Repeated;
        if self.take_scale_dropped() {
            self.session.notify(Notice::Calipers(CaliperNotice::ScaleDropped), now);
        }
        self.signal.arrived(captured, is_new);
        self.note_signal(now);
        Ok(true)
    }

    /// Notes a live frame that is too late to be shown. It counts as signal.
    pub fn skipped(&mut self, frame: &Frame, now: Timestamp) {
        self.last_advanced = self.last_advanced.max(frame.id());
        self.signal.arrived_unseen(frame.captured().min(now));
    }

    /// Notes that the host says there is no signal, which is faster than waiting for frames that do not come.
    pub fn signal_lost(&mut self, now: Timestamp) {
        self.signal.lost();
        self.note_signal(now);
    }

    /// Executes a command. Its points are on the frame that it names as shown, and are mapped to the frame shown now.
    pub fn command(&mut self, command: Command, now: Timestamp) {
        self.command_of(command, now, now);
    }

    /// The same, of a finger that came down at `touched`: it accepts no suggestion that could not be seen then.
    pub fn command_of(&mut self, command: Command, touched: Timestamp, now: Timestamp) {
        if self.measures_by_hand(&command, now) {
            self.is_changed = true;
            return;
        }
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
        let Some(situation) = self.situation(now) else {
            // Without a picture the host says that there is nothing to save.
            return self.session.ask_to_save(command);
        };
        let outcome = match self.accepted(&command, touched) {
            Some((boxed, at)) => self.session.accept(boxed, at, &situation),
            None => self.session.apply(command, &situation),
        };
        if matches!(outcome, Outcome::Started(_) | Outcome::Edited) {
            self.suggested.drop_it();
        }
        self.is_changed |= outcome != Outcome::Unchanged;
        match outcome {
            Outcome::Started(object) => {
                self.slots[object.index()].object.restart();
                self.note_edits();
            }
            Outcome::Edited => self.note_edits(),
            Outcome::Moved => {
                self.last_asked = None;
                self.show_chosen();
                self.note_mode();
                self.close_reopened();
            }
            Outcome::Unchanged | Outcome::Changed | Outcome::Refused(_) => {}
        }
    }

    /// Discards all data of the patient: prompts, objects, frames.
    pub fn new_exam(&mut self) {
        self.session.new_exam();
        self.by_hand.new_exam();
        self.suggested.drop_it();
        self.aside.forget();
        self.ring = None;
        self.shown = None;
        let revision = self.revision();
        self.slots.iter_mut().for_each(|slot| slot.forget(revision));
        self.is_changed = true;
    }

    /// Chooses what is to be outlined from now on; what is outlined already stays.
    pub fn set_preset(&mut self, preset: Option<Arc<Preset>>) {
        self.config.preset = preset;
        self.is_changed = true;
    }

    /// Notes the time, and whether the model's thread is running.
    pub fn tick(&mut self, now: Timestamp, is_model_up: bool) {
        self.is_changed |= self.is_model_up != is_model_up;
        self.is_model_up = is_model_up;
        self.note_signal(now);
        let is_live = self.session.mode() == Mode::Live;
        if is_live && self.shown.is_some() && self.signal.without_picture(now) > self.config.signal_lost_after {
            self.lose_all(LostReason::SignalLost);
        }
    }

    /// Whether anything besides the frame changed since the last scene.
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether every outlined object has its mask from the shown frame.
    pub fn is_exact(&self) -> bool {
        let Some(shown) = self.shown.as_ref().and_then(|f| f.id) else { return false };
        let objects = self.slots.iter().map(|slot| &slot.object);
        let mut wanted = objects.filter(|o| !matches!(o.phase(), Phase::Empty | Phase::Lost(_))).peekable();
        wanted.peek().is_some() && wanted.all(|o| o.provenance().is_some_and(|p| p.frame == shown))
    }

    /// Composes the scene of the shown frame; `None` before the first frame.
    pub fn compose(&mut self, now: Timestamp) -> Option<(&Arc<Frame>, &Scene)> {
        self.write_by_hand();
        let frame = self.shown.as_ref()?;
        let cine = self
            .ring
            .as_ref()
            .and_then(|ring| ring.index_of(frame.id?).map(|index| CinePlace { index, len: ring.len() }));
        let input = SceneInput {
            frame,
            cine,
            session: &self.session,
            slots: &self.slots,
            age: &self.config.age,
            signal: self.signal_state,
            live_tick: self.signal.tick(),
            model_fails: self.model_fails || !self.is_model_up,
            is_model_up: self.is_model_up,
            is_hot: self.is_hot,
            preset: self.config.preset.as_ref(),
            ruler_scale: self.by_hand.scale(),
            calipers: self.by_hand.view(),
            suggested: &self.suggested,
        };
        self.scenery.fill(&input, now);
        self.suggested.composed(self.scenery.scene().suggestion.is_some(), frame.id, now);
        self.is_changed = false;
        Some((frame, self.scenery.scene()))
    }

    /// The shown frame and the last composed scene.
    pub fn composed(&self) -> Option<(&Arc<Frame>, &Scene)> {
        Some((self.shown.as_ref()?, self.scenery.scene()))
    }

    /// The last composed scene.
    pub fn scene(&self) -> &Scene {
        self.scenery.scene()
    }

    /// What the operator asked to save since the last call; see [`Session::take_save_request`].
    pub fn take_save_request(&mut self) -> SaveRequest {
        self.session.take_save_request()
    }

    /// The frames of the cine ring, oldest first.
    pub fn cine(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.ring.iter().flat_map(|ring| (0..ring.len()).filter_map(|i| ring.get(i)))
    }

    /// The newest edit that all drawn outlines include; `None` while an object waits for its outline.
    pub fn drawn_revision(&self) -> Option<Revision> {
        let scene = self.scenery.scene();
        let of = |o: &crate::scene::ObjectScene| match o.overlay {
            Overlay::Lost(_) => Some(self.revision()),
            overlay if overlay.is_drawn() => self.slots[o.object.index()].object.provenance().map(|p| p.revision),
            _ => None,
        };
        scene.objects.iter().map(of).min().unwrap_or(Some(self.revision()))
    }

    fn show(&mut self, frame: Arc<Frame>) -> MotionStep {
        let is_same = |f: &Arc<Frame>| (f.scale, f.region, f.regions) == (frame.scale, frame.region, frame.regions);
        let is_same_scale = self.shown.as_ref().is_none_or(is_same);
        let step = self.motion.advance(&frame);
        match step {
            MotionStep::Begun if self.shown.is_some() => self.lose_all(LostReason::SceneCut),
            MotionStep::Cut => self.lose_all(LostReason::SceneCut),
            MotionStep::Moved(_) if !is_same_scale => self.lose_all(LostReason::SceneCut),
            MotionStep::Moved(_) => {
                for slot in &mut self.slots {
                    slot.object.follow(&mut self.motion, &slot.home.map_or(frame.region.rect, |h| h.rect));
                }
                self.follow_suggestion(&frame.region.rect);
                let (flow, slots) = (self.motion.latest_flow(), &self.slots);
                self.session.carry_each(|prompt| carried(prompt, &slots[prompt.object.index()].object, flow));
            }
            MotionStep::Begun | MotionStep::Repeated => {}
        }
        self.shown = Some(frame);
        self.note_scale(true);
        step
    }

    fn show_chosen(&mut self) {
        let View::Ring { index_from_newest } = self.session.view() else { return };
        let chosen = self.ring.as_ref().and_then(|r| r.nth_newest(index_from_newest)).cloned();
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
            if revision != self.slots[i].known {
                let home = self.home_of(object);
                let prompts = self.session.prompts();
                self.slots[i].edited(revision, home, prompts.candidate(object), prompts.is_empty(object));
            }
        }
    }

    /// The region of an object's prompts. If they are not all in one region, since carried prompts may leave it slightly, it is
    /// the former region, or else that of the first prompt that is in one.
    fn home_of(&self, object: ObjectId) -> Option<FrameRegion> {
        let regions = self.shown.as_ref()?.parts();
        let of_prompt = |prompt: &Prompt| match prompt.shape {
            PromptShape::Click { at, .. } => regions.of_click(at),
            PromptShape::Box(rect) => regions.of_box(&rect),
        };
        let former = self.slots[object.index()].home.filter(|h| regions.contains(h));
        let mut found = self.session.prompts().active(object).map(of_prompt).filter_map(Result::ok);
        match (former, found.next()) {
            (_, Some(first)) if found.all(|r| r == first) => Some(first),
            (former, first) => former.or(first),
        }
    }

    /// Whether a positive click is on a coloured pixel, which shows flow and not tissue.
    fn is_on_colour(&self, command: &Command) -> bool {
        match (command, &self.shown) {
            (Command::Click { polarity: Some(Polarity::Negative), .. }, _) => false,
            (Command::Click { at, .. }, Some(frame)) => frame.region_of([*at], None) == Err(Misplaced::OnColour),
            _ => false,
        }
    }

    fn mapped(&self, command: Command) -> Option<Command> {
        let map = |p: Point<ImageSpace>, shown: Option<FrameId>| {
            let now = self.shown.as_ref()?.id;
            if shown == now {
                return Some(p);
            }
            self.motion.step_showing(shown?).and_then(|step: StepId| self.motion.forward_since(step, p))
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

    fn situation(&self, now: Timestamp) -> Option<Situation> {
        let frame = self.shown.as_ref()?;
        let ring = self.ring.as_ref()?;
        let index = frame.id.and_then(|id| ring.index_of(id)).unwrap_or(ring.len().saturating_sub(1));
        Some(Situation {
            now,
            ring: RingView { len: ring.len(), shown: ring.len().saturating_sub(1 + index) },
            regions: frame.parts(),
            homes: std::array::from_fn(|i| self.slots[i].home.map(|h| h.rect)),
            marker_radius_px: self.config.marker_radius_px,
            lost: std::array::from_fn(|i| match self.slots[i].object.phase() {
                Phase::Lost(reason) => Some(reason),
                _ => None,
            }),
        })
    }

    fn note_signal(&mut self, now: Timestamp) {
        let state = match self.signal.state(now) {
            Signal::Good => self.timeliness.signal(),
            state => state,
        };
        // A late frame is reported with the next one. Drawing it again would make the next one late as well.
        let is_told_with_next = state.allows_outlines() && self.signal_state.allows_outlines();
        self.is_changed |= state != self.signal_state && !is_told_with_next;
        self.signal_state = state;
    }

    fn lose_all(&mut self, reason: LostReason) {
        self.suggested.drop_it();
        for Slot { object, .. } in &mut self.slots {
            let before = object.phase();
            object.lose(reason);
            self.is_changed |= before != object.phase();
        }
    }
}

/// The position of a prompt's anchor after a step. A click marks tissue and follows the flow at its position. The centre of a
/// box may be in fluid, where flow is unreliable, so a box follows the outline.
fn carried(prompt: &Prompt, object: &TrackedObject, flow: &FlowField) -> Option<Point<ImageSpace>> {
    let at = prompt.shape.anchor();
    match (prompt.shape, object.shift_px()) {
        (PromptShape::Box(_), Some((dx, dy))) => Some(Point::new(at.x + dx, at.y + dy)),
        _ => Some(flow.forward(at)),
    }
}
