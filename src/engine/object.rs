//! One object from the first tap to `Lost`: its stored mask, the motion since, and the drift test by the model.
//!
//! The shown outline is the stored mask, sampled once through the motion from the shown frame back to the mask's frame. When a
//! prediction confirms the outline, the stored mask becomes a blend of the carried mask and the prediction.

use std::time::Duration;

use super::motion::{Motion, StepId};
use crate::geometry::{ImageSpace, Rect};
use crate::mask::{LogitGrid, Mask, Provenance};
use crate::scene::{HiddenReason, LostReason, Overlay};
use crate::track::carry::{self, DriftLimits, DriftTest, Evidence, Verdict};
use crate::track::flow::FlowField;
use crate::units::{FrameId, Revision, Score, Timestamp};

/// Phase of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No prompts.
    #[default]
    Empty,
    /// Prompted, no mask yet.
    Awaited,
    /// Prompted, but the model's output was not a mask.
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
    pub dim: Duration,
    /// Older than this it is not drawn.
    pub hide: Duration,
    /// Without confirmation for longer than this it is dimmed, and its age counts from the last confirmation, although
    /// predictions go on: the model finds a similar outline, but never the same.
    pub unconfirmed: Duration,
}

impl Default for AgeLimits {
    fn default() -> Self {
        Self {
            dim: Duration::from_millis(1_000),
            hide: Duration::from_millis(2_500),
            unconfirmed: Duration::from_millis(2_000),
        }
    }
}

/// The model's answer about an object.
pub struct ModelAnswer<'a> {
    /// Frame and revision of the prediction.
    pub provenance: Provenance,
    /// The step that led to that frame.
    pub step: StepId,
    /// The mask, corrected for clicks.
    pub logits: &'a LogitGrid,
    /// The model's estimate of its IoU.
    pub score: Score,
    /// The outline as carried to that frame, which the model got as previous mask.
    pub carried: Option<&'a LogitGrid>,
    /// Whether the model predicted without the previous mask.
    pub is_independent: bool,
}

/// Frames in a row whose motion may be unclear before the object is given up.
const UNCLEAR_STEPS_MAX: u32 = 15;
/// Frames in a row whose motion may be unclear before the outline counts as not carried.
const UNCLEAR_STEPS_DIM: u32 = 2;
/// Fraction of the first independent prediction's agreement below which a later one disagrees. On phantoms it was at least
/// .69 while the structure was visible, and at most .53 once it had left the plane.
const INDEPENDENT_FALL: f32 = 0.6;
/// Weight of the prediction in a confirmed outline.
const CONFIRMED_WEIGHT: f32 = 0.3;
/// The same for an independent prediction, which is less accurate.
const INDEPENDENT_WEIGHT: f32 = 0.1;

/// Drift test by independent predictions, which do not get the outline as previous mask.
#[derive(Clone, Copy, Debug)]
struct IndependentCheck {
    is_next: bool,
    /// Agreement of the first independent prediction with the outline.
    reference: Option<f32>,
    /// Doubts in a row.
    doubts: u32,
    /// Confidence of the last independent prediction, if it doubted.
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
    witnessed: Timestamp,
    confirmed: Timestamp,
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
            witnessed: Timestamp::START,
            confirmed: Timestamp::START,
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

    /// Its phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its outline as logits on the shown frame; `None` while there is no outline.
    pub fn carried(&self) -> Option<&LogitGrid> {
        (self.phase == Phase::Held).then_some(&self.carried)
    }

    /// Confidence in the outline: the model's score, lowered if the prediction agrees only in part.
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

    /// Notes changed prompts. An outline is kept until the model has answered; an object without prompts becomes empty.
    pub fn prompted(&mut self, is_empty: bool) {
        self.phase = match self.phase {
            _ if is_empty => Phase::Empty,
            Phase::Held => Phase::Held,
            _ => Phase::Awaited,
        };
        self.drift.reset();
    }

    /// Restarts with a first prompt and drops an earlier outline.
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

    /// Notes that the model failed or returned no mask. A present outline is kept, and ages.
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

    /// Carries the outline along the newest step.
    pub fn follow(&mut self, motion: &mut Motion, region: &Rect<ImageSpace>) {
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

    /// Displacement of the outline's centroid in the last step, image px; `None` without an outline.
    pub fn shift_px(&self) -> Option<(f32, f32)> {
        self.shift_px
    }

    /// Takes the prediction as the outline: after an edit by the operator, or on a frozen frame. Returns `false` if the motion
    /// since that frame is unknown.
    pub fn adopt(&mut self, prediction: &ModelAnswer<'_>, motion: &mut Motion) -> bool {
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

    /// Judges the outline, as it was carried to the prediction's frame, by the prediction.
    pub fn hear(&mut self, prediction: &ModelAnswer<'_>, motion: &mut Motion) {
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

    /// Whether the next prediction should be independent. A model that gets its own last mask tends to confirm it even when the
    /// tissue has changed, so every other prediction is independent.
    pub fn wants_independent_look(&self) -> bool {
        self.phase == Phase::Held && self.independent.is_next
    }

    /// Judges the outline by an independent prediction. The first one after the outline was adopted sets the reference for
    /// agreement.
    fn hear_independent(
        &mut self,
        prediction: &ModelAnswer<'_>,
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

    /// Stores a blend of the carried mask and the prediction. Returns `false` if the motion since that frame is unknown.
    fn correct(
        &mut self,
        prediction: &ModelAnswer<'_>,
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

    /// How the outline may be drawn on frame `shown` at `now`, while live.
    pub fn overlay_live(&self, shown: Option<FrameId>, now: Timestamp, limits: &AgeLimits) -> Overlay {
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

    /// How the outline may be drawn on a still frame: exactly or not at all.
    pub fn overlay_still(&self, shown: Option<FrameId>, revision: Revision) -> Overlay {
        match self.phase {
            Phase::Held if self.is_of(shown) && self.provenance().is_some_and(|p| p.revision >= revision) => {
                Overlay::Exact
            }
            Phase::Refused(reason) => Overlay::Hidden(reason),
            Phase::Lost(reason) => Overlay::Lost(reason),
            Phase::Empty | Phase::Awaited | Phase::Held => Overlay::Hidden(HiddenReason::Computing),
        }
    }

    fn is_of(&self, shown: Option<FrameId>) -> bool {
        self.provenance().is_some_and(|p| Some(p.frame) == shown)
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

    fn confirm(&mut self, prediction: &ModelAnswer<'_>) {
        self.confirmed = prediction.provenance.captured;
        self.confirmed_score = prediction.score;
        self.confirmed_area_px = carry::area_px(prediction.logits);
    }
}

fn lowered(score: Score, agreement: f32) -> Score {
    Score::new(score.get() * agreement).unwrap_or_default()
}
