//! Composes the scene of the shown frame; buffers are reused.

use std::sync::Arc;
use std::time::Duration;

use super::object::{AgeLimits, Phase};
use super::slot::Slot;
use super::suggesting::Suggested;
use crate::calipers::CaliperView;
use crate::contour::{Outline, Tracer};
use crate::frame::{Frame, PixelScale};
use crate::measure::Measurer;
use crate::preset::Preset;
use crate::prompt::PromptShape;
use crate::region::{FrameRegion, Unmeasured};
use crate::scene::{
    CinePlace, FillLevel, HiddenReason, Marker, Mode, Notice, ObjectScene, Overlay, SCORE_LOW, Scene, Signal,
    Suggestion, Tool,
};
use crate::session::Session;
use crate::units::{ObjectId, Score, Timestamp};

/// Islands smaller than this, image px², are not drawn.
const ISLAND_PX2_MIN: f64 = 4.0;

/// The state that a scene is composed from.
pub(super) struct SceneInput<'a> {
    pub frame: &'a Frame,
    pub cine: Option<CinePlace>,
    pub session: &'a Session,
    pub slots: &'a [Slot; ObjectId::MAX],
    pub age: &'a AgeLimits,
    pub signal: Signal,
    pub live_tick: u64,
    pub model_fails: bool,
    pub is_model_up: bool,
    pub is_hot: bool,
    pub preset: Option<&'a Arc<Preset>>,
    pub ruler_scale: Option<PixelScale>,
    pub calipers: Option<&'a Arc<CaliperView>>,
    pub suggested: &'a Suggested,
}

/// The scene, and the buffers for composing it.
pub(super) struct Scenery {
    scene: Scene,
    spare: Vec<ObjectScene>,
    spare_suggestion: Option<Suggestion>,
    tracer: Tracer,
    measurer: Measurer,
    unmeasured: [Option<Unmeasured>; ObjectId::MAX],
}

impl Scenery {
    pub(super) fn new() -> Self {
        Self {
            scene: Scene {
                frame: None,
                frame_age: Duration::ZERO,
                mode: Mode::Live,
                signal: Signal::Missing,
                live_tick: 0,
                objects: Vec::with_capacity(ObjectId::MAX),
                tool: Tool::default(),
                fill: FillLevel::default(),
                preset: None,
                can_undo: false,
                can_redo: false,
                rubber_band: None,
                notice: None,
                cine: None,
                is_hot: false,
                ruler_scale: None,
                calipers: None,
                suggestion: None,
            },
            spare: Vec::new(),
            spare_suggestion: None,
            tracer: Tracer::new(ISLAND_PX2_MIN),
            measurer: Measurer::default(),
            unmeasured: [None; ObjectId::MAX],
        }
    }

    pub(super) fn scene(&self) -> &Scene {
        &self.scene
    }

    pub(super) fn fill(&mut self, input: &SceneInput<'_>, now: Timestamp) {
        let (session, frame) = (input.session, input.frame);
        let scene = &mut self.scene;
        scene.frame = frame.id;
        scene.frame_age = now.since(frame.captured);
        scene.mode = session.mode();
        scene.signal = input.signal;
        scene.live_tick = input.live_tick;
        scene.is_hot = input.is_hot;
        scene.tool = session.tool();
        scene.fill = session.fill();
        scene.preset = input.preset.cloned();
        scene.ruler_scale = input.ruler_scale;
        scene.calipers = input.calipers.cloned();
        scene.can_undo = session.prompts().can_undo();
        scene.can_redo = session.prompts().can_redo();
        scene.rubber_band = session.rubber_band();
        scene.cine = input.cine.filter(|_| scene.mode != Mode::Live);
        self.spare.append(&mut self.scene.objects);
        let active = session.active_object();
        for i in (0..ObjectId::MAX as u8).filter(|&i| i != active.0).chain([active.0]) {
            let object = ObjectId(i);
            if input.slots[object.index()].object.phase() != Phase::Empty {
                let mut entry = self.spare.pop().unwrap_or_else(blank);
                self.fill_object(input, object, now, &mut entry);
                self.scene.objects.push(entry);
            }
        }
        self.fill_suggestion(input, now);
        self.scene.notice = notice(input, &self.scene, &self.unmeasured, now);
    }

    /// Writes what is suggested, where nothing is outlined and an outline might be drawn.
    fn fill_suggestion(&mut self, input: &SceneInput<'_>, now: Timestamp) {
        self.spare_suggestion = self.scene.suggestion.take().or_else(|| self.spare_suggestion.take());
        let (session, frame) = (input.session, input.frame);
        let (mode, revision) = (session.mode(), session.prompts().revision());
        let is_fit = (mode != Mode::Live || input.signal.allows_outlines())
            && input.is_model_up
            && frame.region.content.is_segmentable();
        let is_free = self.scene.objects.is_empty() && input.calipers.is_none() && !session.is_overlay_hidden();
        let overlay = input.suggested.overlay(mode, frame.id, revision, now, input.age);
        let Some((overlay, (grid, score))) = overlay.zip(input.suggested.carried()).filter(|_| is_fit && is_free)
        else {
            return;
        };
        let blank = || Suggestion { outline: Outline::default(), score, overlay };
        let mut suggestion = self.spare_suggestion.take().unwrap_or_else(blank);
        (suggestion.score, suggestion.overlay) = (score, overlay);
        self.tracer.trace(grid, &mut suggestion.outline);
        if suggestion.outline.is_empty() {
            self.spare_suggestion = Some(suggestion);
        } else {
            self.scene.suggestion = Some(suggestion);
        }
    }

    fn fill_object(&mut self, input: &SceneInput<'_>, object: ObjectId, now: Timestamp, out: &mut ObjectScene) {
        let tracked = &input.slots[object.index()].object;
        out.object = object;
        out.is_active = object == input.session.active_object();
        out.overlay = overlay(input, object, now);
        out.score = tracked.score();
        out.outline.clear();
        out.measurements = None;
        if let (true, Some(grid)) = (out.overlay.is_drawn(), tracked.carried()) {
            self.tracer.trace(grid, &mut out.outline);
            let home =
                input.slots[object.index()].home.or_else(|| input.frame.parts().first().copied()).unwrap_or_default();
            let home = FrameRegion { scale: home.scale.or(input.ruler_scale), ..home };
            let scale = input.frame.scale_for(&home, &out.outline, grid);
            self.unmeasured[object.index()] = scale.err();
            if out.overlay == Overlay::Exact {
                out.measurements = self.measurer.measure(&out.outline, scale.ok().flatten().as_ref());
            }
        }
        out.markers.clear();
        if !matches!(out.overlay, Overlay::Lost(_) | Overlay::Hidden(HiddenReason::ByOperator)) {
            for prompt in input.session.prompts().active(object) {
                out.markers.push(match prompt.shape {
                    PromptShape::Click { at, polarity } => Marker::Click { prompt: prompt.id, at, polarity },
                    PromptShape::Box(rect) => Marker::Box { prompt: prompt.id, rect },
                });
            }
        }
    }
}

fn blank() -> ObjectScene {
    ObjectScene {
        object: ObjectId(0),
        is_active: false,
        overlay: Overlay::Hidden(HiddenReason::Computing),
        outline: Outline::default(),
        markers: Vec::with_capacity(16),
        score: None,
        measurements: None,
    }
}

fn overlay(input: &SceneInput<'_>, object: ObjectId, now: Timestamp) -> Overlay {
    let (tracked, frame) = (&input.slots[object.index()].object, input.frame);
    let overlay = if input.session.mode() == Mode::Live {
        tracked.overlay_live(frame.id, now, input.age)
    } else {
        tracked.overlay_still(frame.id, input.session.prompts().object_revision(object))
    };
    let is_live = input.session.mode() == Mode::Live;
    match overlay {
        Overlay::Lost(_) => overlay,
        _ if input.session.is_overlay_hidden() => Overlay::Hidden(HiddenReason::ByOperator),
        _ if is_live && !input.signal.allows_outlines() => Overlay::Hidden(HiddenReason::NoSignal),
        _ if !input.is_model_up => Overlay::Hidden(HiddenReason::ModelFailed),
        _ if !frame.region.content.is_segmentable() => Overlay::Hidden(HiddenReason::NotBMode),
        _ => overlay,
    }
}

fn notice(
    input: &SceneInput<'_>,
    scene: &Scene,
    unmeasured: &[Option<Unmeasured>; ObjectId::MAX],
    now: Timestamp,
) -> Option<Notice> {
    let lost = |o: &ObjectScene| match o.overlay {
        Overlay::Lost(reason) => Some(Notice::TapAgain(o.object, reason)),
        _ => None,
    };
    let is_low = |s: Option<Score>| s.is_some_and(|s| s.get() < SCORE_LOW);
    let is_unsure = |o: &&ObjectScene| o.overlay.is_drawn() && is_low(o.score);
    let is_unmeasured = |o: &ObjectScene| {
        let why = unmeasured[o.object.index()].filter(|_| o.overlay.is_drawn())?;
        Some(Notice::Unmeasured(o.object, why))
    };
    if input.model_fails {
        return Some(Notice::ModelFailed);
    }
    if !input.frame.region.content.is_segmentable() {
        return Some(Notice::NotBMode);
    }
    // While somebody measures by hand a tap outlines nothing.
    let is_by_hand = input.calipers.is_some_and(|view| view.page.is_some());
    input
        .session
        .notice(now)
        .or_else(|| scene.objects.iter().rev().find_map(lost))
        .or_else(|| scene.objects.iter().rev().find_map(is_unmeasured))
        .or_else(|| scene.objects.iter().rev().find(is_unsure).map(|o| Notice::AddPoint(o.object)))
        .or_else(|| (scene.objects.is_empty() && !is_by_hand).then_some(Notice::TapToStart))
}
