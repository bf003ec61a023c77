//! One object's way from the first tap to `Lost`: its standing mask, the motion since, and the model as check.
//!
//! What is shown is the standing mask, sampled once through the motion from the shown frame back to the frame of its look.
//! A look that confirms it lets a blend stand: of what was carried to that look's frame and what the model saw there.

use super::motion::{Motion, StepId};
use crate::geometry::{Image, Rect};
use crate::mask::{LogitGrid, Mask, Provenance};
use crate::scene::{HiddenReason, LostReason, Overlay};
use crate::track::carry::{self, DriftLimits, DriftTest, Evidence, Verdict};
use crate::track::flow::FlowField;
use crate::units::{FrameId, Nanos, Revision, Score};

/// How far an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No prompts.
    #[default]
    Empty,
    /// Prompted, no mask yet.
    Awaited,
    /// Prompted, but what the model gave was no mask.
    Refused(HiddenReason),
    /// Outlined and carried from frame to frame.
    Held,
    /// Given up until the operator taps again.
    Lost(LostReason),
}

/// Limits on the age of an outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeLimits {
    /// Older than this it is dimmed.
    pub dim: Nanos,
    /// Older than this it is not drawn.
    pub hide: Nanos,
    /// Not confirmed for longer than this it is dimmed, and its age counts from then, although looks go on: the model
    /// sees something like it, but never the same.
    pub unconfirmed: Nanos,
}

impl Default for AgeLimits {
    fn default() -> Self {
        Self { dim: Nanos::from_ms(1_000), hide: Nanos::from_ms(2_500), unconfirmed: Nanos::from_ms(2_000) }
    }
}

/// What the model made of an object.
pub struct Prediction<'a> {
    /// Frame and revision of the look.
    pub provenance: Provenance,
    /// The step that had led to that frame.
    pub step: StepId,
    /// The mask, corrected for clicks.
    pub logits: &'a LogitGrid,
    /// The model's estimate of its IoU.
    pub score: Score,
    /// What had been carried to that frame and given to the model as previous mask.
    pub carried: Option<&'a LogitGrid>,
    /// Whether the model answered without seeing it.
    pub is_independent: bool,
}

/// Frames in a row whose motion may be unclear before the object is given up.
const UNCLEAR_STEPS_MAX: u32 = 15;
/// Frames in a row whose motion may be unclear before the outline counts as not carried.
const UNCLEAR_STEPS_DIM: u32 = 2;
/// Part of the first independent look's agreement below which a later one disagrees. On phantoms it was at least .69 of
/// it while the structure was there, and at most .53 once it had left the plane.
const INDEPENDENT_FALL: f32 = 0.6;
/// Share of the model's mask in a confirmed outline.
const CONFIRMED_WEIGHT: f32 = 0.3;
/// The same for a mask that the model made without having prediction the outline: it knows less.
const INDEPENDENT_WEIGHT: f32 = 0.1;

/// What the looks say that did not see the outline.
#[derive(Clone, Copy, Debug)]
struct IndependentCheck {
    is_next: bool,
    /// Agreement of the first of them.
    reference: Option<f32>,
    /// Doubts in a row.
    doubts: u32,
    /// Confidence of the last one, if it doubted.
    doubted: Option<Score>,
}

impl Default for IndependentCheck {
    fn default() -> Self {
        Self { is_next: true, reference: None, doubts: 0, doubted: None }
    }
}

/// One object.
pub struct TrackedObject {
    phase: Phase,
    mask: Option<Mask>,
    motion: FlowField,
    carried: LogitGrid,
    blend: LogitGrid,
    witnessed: Nanos,
    confirmed: Nanos,
    drift: DriftTest,
    independent: IndependentCheck,
    limits: DriftLimits,
    confirmed_score: Score,
    confirmed_area_px: f32,
    confidence: Score,
    round_trip_px: f32,
    shift_px: Option<(f32, f32)>,
    unclear_steps: u32,
}

impl TrackedObject {
    /// An object without prompts.
    pub fn new(motion: FlowField, grid: LogitGrid, limits: DriftLimits) -> Self {
        Self {
            phase: Phase::Empty,
            mask: None,
            motion,
            blend: grid.clone(),
            carried: grid,
            witnessed: Nanos(0),
            confirmed: Nanos(0),
            drift: DriftTest::new(limits),
            independent: IndependentCheck::default(),
            limits,
            confirmed_score: Score::default(),
            confirmed_area_px: 0.0,
            confidence: Score::default(),
            round_trip_px: 0.0,
            shift_px: None,
            unclear_steps: 0,
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its outline as logits on the frame shown, while there is one.
    pub fn carried(&self) -> Option<&LogitGrid> {
        (self.phase == Phase::Held).then_some(&self.carried)
    }

    /// Confidence in the outline: the model's score, lowered where it agrees only in part.
    pub fn score(&self) -> Option<Score> {
        (self.phase == Phase::Held).then(|| match self.independent.doubted {
            Some(doubted) if doubted.get() < self.confidence.get() => doubted,
            _ => self.confidence,
        })
    }

    /// Frame and revision of the mask that is carried.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.mask.as_ref().filter(|_| self.phase == Phase::Held).map(Mask::provenance)
    }

    /// The prompts changed: what there is stands until the model has answered; an object without prompts is empty.
    pub fn prompted(&mut self, is_empty: bool) {
        self.phase = match self.phase {
            _ if is_empty => Phase::Empty,
            Phase::Held => Phase::Held,
            _ => Phase::Awaited,
        };
        self.drift.reset();
    }

    /// Begins anew with a first prompt: nothing of an earlier outline is carried on.
    pub fn restart(&mut self) {
        self.phase = Phase::Awaited;
        self.drift.reset();
    }

    /// Gives the object up, unless it has no prompts.
    pub fn lose(&mut self, reason: LostReason) {
        if !matches!(self.phase, Phase::Empty | Phase::Lost(_)) {
            self.phase = Phase::Lost(reason);
        }
    }

    /// The model failed or gave no mask. An outline that stands goes on standing, and ages.
    pub fn refused(&mut self, reason: HiddenReason) {
        match self.phase {
            Phase::Awaited | Phase::Refused(_) => self.phase = Phase::Refused(reason),
            Phase::Held => {
                let nothing = Evidence { score: Score::default(), ..Evidence::default() };
                if let Verdict::Lost(reason) = self.drift.judge(&nothing) {
                    self.lose(reason);
                }
            }
            Phase::Empty | Phase::Lost(_) => {}
        }
    }

    /// Follows the newest step, which moved the picture.
    pub fn follow(&mut self, motion: &mut Motion, region: &Rect<Image>) {
        self.shift_px = None;
        if self.phase != Phase::Held {
            return;
        }
        let before = carry::centroid(&self.carried);
        motion.extend(&mut self.motion);
        self.warp();
        let after = carry::centroid(&self.carried);
        self.shift_px = before.zip(after).map(|(b, a)| (a.x - b.x, a.y - b.y));
        self.round_trip_px = motion.round_trip_error(&self.carried);
        let is_clear = self.round_trip_px < self.limits.round_trip_doubts_px;
        self.unclear_steps = if is_clear { 0 } else { self.unclear_steps + 1 };
        let left = self.mask.as_ref().map_or(0.0, |m| carry::left_share(m.logits(), &self.motion, region));
        if left >= self.limits.outside_loses || self.carried.inside_bounds().is_none() {
            self.lose(LostReason::LeftImage);
        } else if self.unclear_steps > UNCLEAR_STEPS_MAX {
            self.lose(LostReason::MotionUnreliable);
        }
    }

    /// How far the outline moved with the last step, image px; `None` when there is none.
    pub fn shift_px(&self) -> Option<(f32, f32)> {
        self.shift_px
    }

    /// Takes the model's mask as the outline: after an edit by the operator, or on a frozen frame.
    /// `false` when the motion since that frame is not known.
    pub fn adopt(&mut self, prediction: &Prediction<'_>, motion: &mut Motion) -> bool {
        if !motion.compose_since(prediction.step, &mut self.motion) {
            return false;
        }
        self.stand(prediction.provenance, prediction.score, prediction.logits);
        self.confirm(prediction);
        self.drift.reset();
        self.independent = IndependentCheck::default();
        self.unclear_steps = 0;
        self.phase = Phase::Held;
        true
    }

    /// Hears the model on an outline that was carried to the frame it looked at.
    pub fn hear(&mut self, prediction: &Prediction<'_>, motion: &mut Motion) {
        let Some(carried) = prediction.carried.filter(|_| self.phase == Phase::Held) else { return };
        let agreement = carry::agreement(carried, prediction.logits);
        self.independent.is_next = !prediction.is_independent;
        if prediction.is_independent {
            return self.hear_independent(prediction, carried, agreement, motion);
        }
        let evidence = Evidence {
            agreement,
            score: prediction.score,
            score_confirmed: self.confirmed_score,
            area_ratio: carry::area_px(prediction.logits) / self.confirmed_area_px.max(1.0),
            round_trip_px: self.round_trip_px,
            ..Evidence::default()
        };
        let verdict = self.drift.judge(&evidence);
        log::debug!("{:?}: {evidence:?} -> {verdict:?}", prediction.provenance.object);
        if matches!(verdict, Verdict::Doubt(_))
            && self.drift.doubts() + self.independent.doubts >= self.limits.doubts_max
        {
            return self.lose(LostReason::Disagreement);
        }
        match verdict {
            Verdict::Confirm => {
                if self.correct(prediction, carried, CONFIRMED_WEIGHT, prediction.score, motion) {
                    self.confirm(prediction);
                }
            }
            Verdict::Keep => {
                self.witnessed = prediction.provenance.captured;
                self.confidence = lowered(prediction.score, agreement);
            }
            Verdict::Doubt(_) => self.confidence = lowered(prediction.score, agreement),
            Verdict::Lost(reason) => self.lose(reason),
        }
    }

    /// Whether the next look should be one that does not see the outline. Fed its own last mask a model says yes to it,
    /// whatever has become of the tissue; so every other look is without.
    pub fn wants_independent_look(&self) -> bool {
        self.phase == Phase::Held && self.independent.is_next
    }

    /// Hears a look that did not see the outline. The first after the outline was taken says how far the model comes by
    /// itself.
    fn hear_independent(
        &mut self,
        prediction: &Prediction<'_>,
        carried: &LogitGrid,
        agreement: f32,
        motion: &mut Motion,
    ) {
        let check = &mut self.independent;
        let reference = *check.reference.get_or_insert(agreement);
        log::debug!("{:?}: independent {agreement:.3} of {reference:.3}", prediction.provenance.object);
        if agreement < INDEPENDENT_FALL * reference {
            check.doubts += 1;
            check.doubted = Some(lowered(prediction.score, agreement));
            if check.doubts + self.drift.doubts() >= self.limits.doubts_max {
                self.lose(LostReason::Disagreement);
            }
            return;
        }
        (check.doubts, check.doubted) = (0, None);
        self.witnessed = prediction.provenance.captured;
        let is_confirmed = agreement >= self.limits.agreement_confirms;
        if is_confirmed && self.correct(prediction, carried, INDEPENDENT_WEIGHT, self.confidence, motion) {
            self.confirmed = prediction.provenance.captured;
        }
    }

    /// Blends what was prediction into what was carried and lets it stand; `false` when the motion since that frame is not known.
    fn correct(
        &mut self,
        prediction: &Prediction<'_>,
        carried: &LogitGrid,
        weight: f32,
        score: Score,
        motion: &mut Motion,
    ) -> bool {
        if !motion.compose_since(prediction.step, &mut self.motion) {
            return false;
        }
        let mut blend = std::mem::replace(&mut self.blend, LogitGrid::background(0, *carried.view()));
        blend.copy_from(carried);
        carry::gently_correct(&mut blend, prediction.logits, weight);
        self.stand(prediction.provenance, score, &blend);
        self.blend = blend;
        true
    }

    /// How the outline may be drawn on `shown` at `now`, while the screen follows the live image.
    pub fn overlay_live(&self, shown: FrameId, now: Nanos, limits: &AgeLimits) -> Overlay {
        match self.phase {
            Phase::Empty | Phase::Awaited => Overlay::Hidden(HiddenReason::Computing),
            Phase::Refused(reason) => Overlay::Hidden(reason),
            Phase::Lost(reason) => Overlay::Lost(reason),
            Phase::Held if self.is_of(shown) => Overlay::Exact,
            Phase::Held => {
                let (age, unconfirmed) = (now.since(self.witnessed), now.since(self.confirmed));
                if age > limits.hide {
                    Overlay::Hidden(HiddenReason::TooOld)
                } else if unconfirmed > limits.unconfirmed {
                    Overlay::Stale { age: unconfirmed }
                } else if age > limits.dim || self.unclear_steps > UNCLEAR_STEPS_DIM {
                    Overlay::Stale { age }
                } else {
                    Overlay::Carried { age }
                }
            }
        }
    }

    /// How it may be drawn on a frame that stands still: exactly or not at all.
    pub fn overlay_still(&self, shown: FrameId, revision: Revision) -> Overlay {
        match self.phase {
            Phase::Held if self.is_of(shown) && self.provenance().is_some_and(|p| p.revision >= revision) => {
                Overlay::Exact
            }
            Phase::Refused(reason) => Overlay::Hidden(reason),
            Phase::Lost(reason) => Overlay::Lost(reason),
            Phase::Empty | Phase::Awaited | Phase::Held => Overlay::Hidden(HiddenReason::Computing),
        }
    }

    fn is_of(&self, shown: FrameId) -> bool {
        self.provenance().is_some_and(|p| p.frame == shown)
    }

    fn stand(&mut self, provenance: Provenance, score: Score, logits: &LogitGrid) {
        match &mut self.mask {
            Some(mask) => mask.assign(provenance, score, logits),
            None => self.mask = Some(Mask::new(provenance, score, logits.clone())),
        }
        self.witnessed = provenance.captured;
        self.confidence = score;
        self.warp();
    }

    fn warp(&mut self) {
        if let Some(mask) = &self.mask {
            carry::warp(mask.logits(), &self.motion, &mut self.carried);
        }
    }

    fn confirm(&mut self, prediction: &Prediction<'_>) {
        self.confirmed = prediction.provenance.captured;
        self.confirmed_score = prediction.score;
        self.confirmed_area_px = carry::area_px(prediction.logits);
    }
}

fn lowered(score: Score, agreement: f32) -> Score {
    Score::new(score.get() * agreement).unwrap_or_default()
}
