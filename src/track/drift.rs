//! The drift test: judges a carried outline by a prediction and by the motion. Pure decisions.

use crate::scene::LostReason;
use crate::units::Score;

/// Evidence about a carried outline after a prediction on a newer frame.
///
/// The default is that of an outline that was just adopted: nothing speaks against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// IoU of the carried mask and the predicted mask of the same frame, 0..=1.
    pub agreement: f32,
    /// The model's score of its mask now.
    pub score: Score,
    /// The model's score when it last confirmed the outline.
    pub score_confirmed: Score,
    /// Area of the predicted mask divided by that at the last confirmation, > 0.
    pub area_ratio: f32,
    /// Forward-backward error of the motion over the object, px of the small picture.
    pub round_trip_px: f32,
}

impl Default for Evidence {
    fn default() -> Self {
        let certain = Score::new(1.0).unwrap_or_default();
        Self { agreement: 1.0, score: certain, score_confirmed: certain, area_ratio: 1.0, round_trip_px: 0.0 }
    }
}

/// Limits of the drift test. A NaN counts against the outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftLimits {
    /// IoU from which a prediction confirms. Outlines that a person accepts are often at .8 to .9.
    pub agreement_confirms: f32,
    /// IoU below which a prediction disagrees. On real cines the model's masks of an object that it follows are at .4 to .7.
    pub agreement_doubts: f32,
    /// Score below which a prediction is doubted, 0..=1.
    pub score_min: f32,
    /// Fraction of the confirmed score below which a prediction is doubted.
    pub score_fall: f32,
    /// Area ratio, up or down, from which a prediction is doubted; a heart chamber changes by about 1.6 in a beat.
    pub area_jump_doubts: f32,
    /// Area ratio, up or down, from which the object is lost at once.
    pub area_jump_loses: f32,
    /// Forward-backward error from which motion is doubted, px of the small picture.
    pub round_trip_doubts_px: f32,
    /// Forward-backward error from which the object is lost at once, px of the small picture: half a patch of the coarsest level.
    pub round_trip_loses_px: f32,
    /// Share of the object outside the image region from which it has left the image; the engine's test.
    pub outside_loses: f32,
    /// Doubts in a row that lose the object.
    pub doubts_max: u32,
}

impl Default for DriftLimits {
    fn default() -> Self {
        Self {
            agreement_confirms: 0.8,
            agreement_doubts: 0.5,
            score_min: 0.3,
            score_fall: 0.6,
            area_jump_doubts: 2.0,
            area_jump_loses: 4.0,
            round_trip_doubts_px: 2.0,
            round_trip_loses_px: 16.0,
            outside_loses: 0.5,
            doubts_max: 2,
        }
    }
}

/// The ruling on a carried outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The prediction agrees: blend it in, reset age and confidence.
    Confirm,
    /// The prediction agrees in part: keep the carried outline at a lower confidence.
    Keep,
    /// The evidence speaks against the outline: keep it for now at a lower confidence. Doubts in a row lose the object.
    Doubt(LostReason),
    /// Give it up.
    Lost(LostReason),
}

/// Judges one prediction, without regard to earlier ones.
///
/// What loses an object at once comes first (an impossible motion or area), then what is doubted: motion, area, score,
/// agreement. Scene cuts and objects that leave the image are detected by the engine, without a prediction.
///
/// ```
/// use sonotap::scene::LostReason;
/// use sonotap::track::carry::{DriftLimits, Evidence, Verdict, judge};
/// let limits = DriftLimits::default();
/// assert_eq!(judge(&Evidence { agreement: 0.9, ..Evidence::default() }, &limits), Verdict::Confirm);
/// assert_eq!(judge(&Evidence { agreement: 0.6, ..Evidence::default() }, &limits), Verdict::Keep);
/// let other = Evidence { agreement: 0.1, ..Evidence::default() };
/// assert_eq!(judge(&other, &limits), Verdict::Doubt(LostReason::Disagreement));
/// ```
pub fn judge(evidence: &Evidence, limits: &DriftLimits) -> Verdict {
    let jump = evidence.area_ratio.max(1.0 / evidence.area_ratio);
    // Each test asks whether the value is good, so that NaN is not.
    let is_good_jump = |limit: f32| evidence.area_ratio > 0.0 && jump < limit;
    let score_min = limits.score_min.max(limits.score_fall * evidence.score_confirmed.get());
    let is_below = |value: f32, limit: f32| value < limit;
    let agrees = |limit: f32| evidence.agreement >= limit;
    if !is_below(evidence.round_trip_px, limits.round_trip_loses_px) {
        Verdict::Lost(LostReason::MotionUnreliable)
    } else if !is_good_jump(limits.area_jump_loses) {
        Verdict::Lost(LostReason::AreaJump)
    } else if !is_below(evidence.round_trip_px, limits.round_trip_doubts_px) {
        Verdict::Doubt(LostReason::MotionUnreliable)
    } else if !is_good_jump(limits.area_jump_doubts) {
        Verdict::Doubt(LostReason::AreaJump)
    } else if evidence.score.get() < score_min {
        Verdict::Doubt(LostReason::LowScore)
    } else if !agrees(limits.agreement_doubts) {
        Verdict::Doubt(LostReason::Disagreement)
    } else if agrees(limits.agreement_confirms) {
        Verdict::Confirm
    } else {
        Verdict::Keep
    }
}

/// [`judge`] over the predictions of one object: counts doubts in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DriftTest {
    limits: DriftLimits,
    doubts: u32,
}

impl DriftTest {
    /// A test that has not doubted yet.
    pub fn new(limits: DriftLimits) -> Self {
        Self { limits, doubts: 0 }
    }

    /// Doubts in a row so far.
    pub fn doubts(&self) -> u32 {
        self.doubts
    }

    /// Resets the count: for a new outline, or after a tap of the operator.
    pub fn reset(&mut self) {
        self.doubts = 0;
    }

    /// Judges a prediction as [`judge`] does, but the last of `doubts_max` doubts in a row is a loss, with its reason.
    pub fn judge(&mut self, evidence: &Evidence) -> Verdict {
        let verdict = judge(evidence, &self.limits);
        match verdict {
            Verdict::Confirm | Verdict::Keep => self.doubts = 0,
            Verdict::Doubt(reason) => {
                self.doubts += 1;
                if self.doubts >= self.limits.doubts_max {
                    return Verdict::Lost(reason);
                }
            }
            Verdict::Lost(_) => {}
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(v: f32) -> Score {
        Score::new(v).unwrap()
    }

    #[test]
    fn each_kind_of_evidence_has_its_verdict() {
        use LostReason::*;
        use Verdict::*;
        let good = Evidence::default();
        for (name, evidence, expected) in [
            ("nothing against it", good, Confirm),
            ("agreement at the limit", Evidence { agreement: 0.8, ..good }, Confirm),
            ("middling agreement", Evidence { agreement: 0.79, ..good }, Keep),
            ("agreement at the lower limit", Evidence { agreement: 0.5, ..good }, Keep),
            ("low agreement", Evidence { agreement: 0.49, ..good }, Doubt(Disagreement)),
            ("no agreement known", Evidence { agreement: f32::NAN, ..good }, Doubt(Disagreement)),
            ("score fell", Evidence { score: score(0.5), score_confirmed: score(0.9), ..good }, Doubt(LowScore)),
            ("score as low as ever", Evidence { score: score(0.4), score_confirmed: score(0.5), ..good }, Confirm),
            ("score too low", Evidence { score: score(0.2), score_confirmed: score(0.2), ..good }, Doubt(LowScore)),
            ("a beating heart", Evidence { area_ratio: 1.6, ..good }, Confirm),
            ("area doubled", Evidence { area_ratio: 2.1, ..good }, Doubt(AreaJump)),
            ("area halved", Evidence { area_ratio: 0.4, ..good }, Doubt(AreaJump)),
            ("area gone", Evidence { area_ratio: 0.0, ..good }, Lost(AreaJump)),
            ("area exploded", Evidence { area_ratio: 5.0, ..good }, Lost(AreaJump)),
            ("area unknown", Evidence { area_ratio: f32::NAN, ..good }, Lost(AreaJump)),
            ("motion unclear", Evidence { round_trip_px: 3.0, ..good }, Doubt(MotionUnreliable)),
            ("motion absurd", Evidence { round_trip_px: 20.0, ..good }, Lost(MotionUnreliable)),
            ("motion unknown", Evidence { round_trip_px: f32::NAN, ..good }, Lost(MotionUnreliable)),
        ] {
            assert_eq!(judge(&evidence, &DriftLimits::default()), expected, "{name}");
        }
    }

    #[test]
    fn two_doubts_in_a_row_lose_the_object_for_the_later_reason() {
        let disagreeing = Evidence { agreement: 0.1, ..Evidence::default() };
        let jumping = Evidence { area_ratio: 3.0, ..Evidence::default() };
        let mut test = DriftTest::default();
        assert_eq!(test.judge(&disagreeing), Verdict::Doubt(LostReason::Disagreement));
        assert_eq!(test.judge(&jumping), Verdict::Lost(LostReason::AreaJump));
    }

    #[test]
    fn a_good_look_between_two_doubts_keeps_the_object() {
        let doubt = Evidence { agreement: 0.1, ..Evidence::default() };
        let middling = Evidence { agreement: 0.6, ..Evidence::default() };
        let mut test = DriftTest::default();
        for _ in 0..10 {
            assert_eq!(test.judge(&doubt), Verdict::Doubt(LostReason::Disagreement));
            assert_eq!(test.judge(&middling), Verdict::Keep);
        }
        test.judge(&doubt);
        test.reset();
        assert_eq!(
            test.judge(&doubt),
            Verdict::Doubt(LostReason::Disagreement),
            "a reset test still counted the doubt"
        );
    }
}
