//! The engine's jobs for the model: which objects a job is about, its prompts, and the effect of its answer.

use super::Engine;
use super::job::{InferenceJob, JobOutcome};
use super::object::{ModelAnswer, Phase};
use super::slot::{AnsweredPrompts, PassedOutline};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Point, Rect};
use crate::mask::{LogitGrid, Provenance};
use crate::model::predictor::survey::DISTINCT;
use crate::prompt::{Polarity, PromptShape};
use crate::scene::{HiddenReason, Mode, Notice};
use crate::track::carry;
use crate::units::{FrameId, ObjectId, Revision, Timestamp};

/// A question about a still frame. The same question is not asked twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct StillQuestion {
    /// The shown frame.
    frame: Option<FrameId>,
    /// The operator's last edit.
    revision: Revision,
    /// Which objects have a rough outline.
    is_rough: [bool; ObjectId::MAX],
}

impl Engine {
    /// A job about the shown frame; `None` if no object needs one or no job is free. While nothing is outlined it may be one for
    /// a suggestion.
    ///
    /// Objects without an outline come first, for a quick answer from the whole region. The next job has that answer as
    /// previous mask and uses a closer view. While live, a first outline is requested only once.
    pub fn ask(&mut self, now: Timestamp) -> Option<Box<InferenceJob>> {
        let frame = self.shown.clone()?;
        if !frame.region.content.is_segmentable() {
            return None;
        }
        let is_live = self.session.mode() == Mode::Live;
        let phase = |i: usize| self.slots[i].object.phase();
        let wanted: [bool; ObjectId::MAX] = std::array::from_fn(|i| match phase(i) {
            Phase::Empty | Phase::Lost(_) => false,
            Phase::Awaited if is_live => !self.slots[i].is_underway(),
            Phase::Awaited | Phase::Refused(_) | Phase::Held => true,
        });
        let is_first = (0..ObjectId::MAX).any(|i| wanted[i] && phase(i) == Phase::Awaited);
        // A survey is a job about one object alone, requested once. Meanwhile jobs are about the other objects.
        let is_underway = |i: usize| is_live && self.slots[i].is_underway();
        let surveys: [bool; ObjectId::MAX] = std::array::from_fn(|i| wanted[i] && !is_first && self.is_to_survey(i));
        let surveyed = (0..ObjectId::MAX).find(|&i| surveys[i] && !is_underway(i));
        let is_asked = |i: &usize| match surveyed {
            Some(one) => *i == one,
            None => wanted[*i] && !surveys[*i] && (!is_first || phase(*i) == Phase::Awaited),
        };
        if !(0..ObjectId::MAX).any(|i| is_asked(&i)) {
            return self.ask_to_suggest(now);
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
            self.slots[object.index()].in_flight = Some(job.revision);
        }
        self.last_asked = Some(self.still_question(frame.id));
        Some(job)
    }

    /// Whether a still frame has objects that need a job, and this question was not asked yet.
    pub fn is_still_unasked(&self) -> bool {
        let asked = self.shown.as_ref().map(|f| self.still_question(f.id));
        let is_wanting = !self.is_exact() || self.slots.iter().any(|slot| slot.is_rough);
        self.session.mode() != Mode::Live && self.last_asked != asked && is_wanting
    }

    /// Whether no object of the shown still frame awaits an answer or a closer look; one that the model refused does not.
    pub fn is_settled(&self) -> bool {
        let Some(shown) = self.shown.as_ref().and_then(|f| f.id) else { return false };
        self.slots.iter().enumerate().all(|(i, slot)| match slot.object.phase() {
            Phase::Empty | Phase::Refused(_) | Phase::Lost(_) => true,
            Phase::Awaited => false,
            Phase::Held => {
                let edited = self.session.prompts().object_revision(ObjectId(i as u8));
                let is_exact = slot.object.provenance().is_some_and(|p| p.frame == shown);
                is_exact && slot.is_standing(edited) && !slot.is_rough
            }
        })
    }

    pub(super) fn still_question(&self, frame: Option<FrameId>) -> StillQuestion {
        let is_rough = std::array::from_fn(|i| self.slots[i].is_rough);
        StillQuestion { frame, revision: self.revision(), is_rough }
    }

    /// Takes back a job that the model did not start.
    pub fn take_back(&mut self, job: Box<InferenceJob>) {
        self.last_asked = None;
        self.put_away(job);
    }

    fn put_away(&mut self, mut job: Box<InferenceJob>) {
        for object in &job.objects {
            let in_flight = &mut self.slots[object.index()].in_flight;
            *in_flight = in_flight.filter(|&r| r != job.revision);
        }
        job.release();
        if self.spare.len() < InferenceJob::IN_ROUND {
            self.spare.push(job);
        }
    }

    /// Notes that the model's thread was restarted: jobs of the old thread will be requested again.
    pub fn model_restarted(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.in_flight = None);
        self.last_asked = None;
        self.spare.resize_with(InferenceJob::IN_ROUND, Box::default);
        self.is_changed = true;
    }

    /// Takes an answered job.
    pub fn answered(&mut self, job: Box<InferenceJob>) {
        if let Some(frame) = job.frame.clone().filter(|_| job.is_suggestion()) {
            self.hear_suggestion(&job, &frame);
        } else if let Some(frame) = job.frame.clone() {
            self.model_fails = job.outcome == JobOutcome::Failed;
            for (i, &object) in job.objects.iter().enumerate() {
                let before = self.slots[object.index()].object.phase();
                self.hear(&job, i, object, &frame);
                self.is_changed |= before != self.slots[object.index()].object.phase();
            }
            self.is_changed |= self.model_fails || self.session.mode() != Mode::Live;
        }
        self.put_away(job);
    }

    fn fill_prompts(&self, object: ObjectId, job: &mut InferenceJob) {
        let at = job.objects.len();
        job.objects.push(object);
        if job.prompts.len() <= at {
            job.prompts.resize_with(at + 1, Default::default);
        }
        let (prompts, slot) = (self.session.prompts(), &self.slots[object.index()]);
        let out = &mut job.prompts[at];
        out.clicks.clear();
        out.boxed = None;
        out.candidate = prompts.candidate(object);
        out.is_still = self.session.mode() != Mode::Live;
        let whole = self.shown.as_ref().map(|f| f.region.rect).unwrap_or_default();
        let bounds = slot.home.map_or(whole, |h| h.rect);
        out.region = Some(bounds);
        let scale = slot.home.and_then(|h| h.scale).or_else(|| self.shown.as_ref().and_then(|f| f.scale));
        out.expected = self.config.preset.as_ref().and_then(|p| p.expected(scale.as_ref()));
        let mut count = 0;
        for prompt in prompts.active(object) {
            count += 1;
            match prompt.shape {
                PromptShape::Click { at, polarity } => out.clicks.push((within(&bounds, at), polarity)),
                PromptShape::Box(rect) => out.boxed = rect.intersect(&bounds),
            }
        }
        let edited = prompts.object_revision(object);
        let is_answered = slot.answered.revision >= edited;
        let previous = slot.object.carried().filter(|_| is_answered || count > slot.answered.count);
        let is_heard = self.session.mode() == Mode::Live && !slot.is_rough && slot.is_standing(edited);
        out.is_independent = is_heard && slot.object.wants_independent_look();
        match (previous, &mut out.previous) {
            (Some(p), Some(kept)) => kept.copy_from(p),
            (Some(p), none) => *none = Some(p.clone()),
            (None, Some(kept)) => kept.reset(kept.cells(), *kept.view()),
            (None, None) => {}
        }
    }

    /// Whether an object's lone click needs a survey: after its first outline, and when the next candidate is requested.
    fn is_to_survey(&self, i: usize) -> bool {
        let (object, slot) = (ObjectId(i as u8), &self.slots[i]);
        let mut prompts = self.session.prompts().active(object);
        let lone = prompts.next().filter(|_| prompts.next().is_none());
        let is_click = lone.is_some_and(|p| matches!(p.shape, PromptShape::Click { polarity: Polarity::Positive, .. }));
        let edited = self.session.prompts().object_revision(object);
        let is_open = slot.is_rough || !slot.is_standing(edited);
        self.config.surveys && is_click && is_open && slot.object.phase() == Phase::Held
    }

    /// Makes the last prompts of a job those of a survey: without previous mask, with the outlines shown so far.
    fn fill_survey(&mut self, i: usize, job: &mut InferenceJob) {
        let Some(out) = job.prompts.get_mut(job.objects.len() - 1) else { return };
        if let Some(previous) = &mut out.previous {
            previous.reset(previous.cells(), *previous.view());
        }
        out.passed.clear();
        for passed in self.slots[i].passed.iter().take(usize::from(out.candidate)) {
            let (mut motion, mut now) = (self.motion.blank(), passed.logits.clone());
            if self.motion.compose_since(passed.step, &mut motion) {
                carry::warp(&passed.logits, &motion, &mut now);
            }
            out.passed.push(now);
        }
    }

    /// Keeps the outline of a lone click; notifies the operator when a closer view replaced it by a different one.
    fn note_outline(&mut self, job: &InferenceJob, i: usize, object: ObjectId, logits: &LogitGrid) {
        let prompts = &job.prompts[i];
        let slot = &mut self.slots[object.index()];
        if !self.config.surveys || prompts.clicks.len() != 1 || prompts.boxed.is_some() {
            return;
        }
        let is_replaced = slot.is_rough && !job.is_first && prompts.candidate == 0;
        let is_other = |before: &PassedOutline| carry::agreement(&before.logits, logits) < DISTINCT;
        if is_replaced && slot.passed.last().is_some_and(is_other) {
            self.session.notify(Notice::OutlineChanged(object), job.ended);
        }
        slot.passed.truncate(usize::from(prompts.candidate));
        slot.passed.push(PassedOutline { step: job.step, logits: logits.clone() });
    }

    fn hear(&mut self, job: &InferenceJob, i: usize, object: ObjectId, frame: &Frame) {
        let slot = &mut self.slots[object.index()];
        let edited = self.session.prompts().object_revision(object);
        let is_standing = slot.is_standing(edited);
        let tracked = &mut slot.object;
        if job.revision < edited || matches!(tracked.phase(), Phase::Empty | Phase::Lost(_)) {
            return;
        }
        if job.outcome == JobOutcome::Failed {
            return tracked.refused(HiddenReason::ModelFailed);
        }
        let look = &job.looks[i];
        let (Some(logits), Some(score)) = (look.mask(), look.score()) else {
            return tracked.refused(HiddenReason::ImplausibleMask);
        };
        let Some(id) = frame.id else { return };
        let provenance = Provenance { frame: id, captured: frame.captured, revision: job.revision, object };
        let carried = job.prompts[i].previous.as_ref();
        let is_independent = job.prompts[i].is_independent;
        if is_independent && self.session.mode() != Mode::Live {
            return;
        }
        let seen = ModelAnswer { provenance, step: job.step, logits, score, carried, is_independent };
        if is_standing && !slot.is_rough && self.session.mode() == Mode::Live {
            tracked.hear(&seen, &mut self.motion);
        } else if tracked.adopt(&seen, &mut self.motion) {
            let prompts = &job.prompts[i];
            self.note_outline(job, i, object, logits);
            let count = prompts.clicks.len() + usize::from(prompts.boxed.is_some());
            let slot = &mut self.slots[object.index()];
            slot.is_rough = job.is_first;
            slot.answered = AnsweredPrompts { revision: job.revision, count };
        }
    }
}

/// Moves a carried click that left the bounds slightly back to their edge.
fn within(bounds: &Rect<ImageSpace>, p: Point<ImageSpace>) -> Point<ImageSpace> {
    let inside = |v: f32, low: f32, high: f32| v.min(high - 0.5).max(low + 0.5);
    Point::new(inside(p.x, bounds.x0, bounds.x1), inside(p.y, bounds.y0, bounds.y1))
}
