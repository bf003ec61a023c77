//! What is suggested before any tap: the structure that the model was tuned to find.
//!
//! A suggestion is no object: it is not among the scene's objects, so nothing that measures, saves or sends finds it. It exists
//! only while nothing is outlined. It is asked for when no other job is on its way, and then the model rests for twice the time
//! that it took. Live it is shown from the second answer that agrees on; it is carried, and ages, like an outline, and where it
//! would be dimmed it is not shown.

use std::time::Duration;

use super::Engine;
use super::job::{InferenceJob, JobOutcome};
use super::object::{AgeLimits, ModelAnswer, Phase, TrackedObject};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Point, Rect};
use crate::mask::{LogitGrid, Provenance};
use crate::model::predictor::survey::DISTINCT;
use crate::model::suggestion::prompt_box;
use crate::prompt::Polarity;
use crate::scene::{Mode, Overlay, Tool};
use crate::session::Command;
use crate::track::carry;
use crate::units::{FrameId, ObjectId, Revision, Score, Timestamp};

/// A finger that comes down sooner after a suggestion appeared was on its way before: nobody sees and decides faster.
const SEEN_AFTER: Duration = Duration::from_millis(150);
/// The model rests for so many times as long as a suggestion took: a tap then seldom finds it busy.
const REST: u32 = 2;
/// After a suggestion that failed, and after a frame that was late or left out.
const REST_LONG: Duration = Duration::from_millis(1_000);

/// The suggestion, and when the next may be asked for.
pub(super) struct Suggested {
    /// Lowest score that is shown; `None` when nothing is to be suggested.
    score_min: Option<Score>,
    track: TrackedObject,
    asked_from: Timestamp,
    /// Whether a second answer agreed with the first: live, nothing is shown that flashes up once.
    is_confirmed: bool,
    /// Since when and which frame this suggestion has been in the scene.
    drawn_since: Option<(Timestamp, Option<FrameId>)>,
}

impl Suggested {
    pub(super) fn new(score_min: Option<Score>, track: TrackedObject) -> Self {
        Self { score_min, track, asked_from: Timestamp::START, is_confirmed: false, drawn_since: None }
    }

    /// Drops the suggestion.
    pub(super) fn drop_it(&mut self) {
        self.track.prompted(true);
        (self.is_confirmed, self.drawn_since) = (false, None);
    }

    /// Its outline as logits on the shown frame, and how sure the model is.
    pub(super) fn carried(&self) -> Option<(&LogitGrid, Score)> {
        self.track.carried().zip(self.track.score())
    }

    /// How it may be drawn on the shown frame: exact, carried, or not at all.
    pub(super) fn overlay(
        &self,
        mode: Mode,
        shown: Option<FrameId>,
        revision: Revision,
        now: Timestamp,
        limits: &AgeLimits,
    ) -> Option<Overlay> {
        let overlay = match mode {
            Mode::Live if !self.is_confirmed => return None,
            Mode::Live => self.track.overlay_live(shown, now, limits),
            Mode::Frozen | Mode::Review => self.track.overlay_still(shown, revision),
        };
        matches!(overlay, Overlay::Exact | Overlay::Carried { .. }).then_some(overlay)
    }

    /// Notes whether it is in the scene that was composed.
    pub(super) fn composed(&mut self, is_drawn: bool, frame: Option<FrameId>, now: Timestamp) {
        self.drawn_since = is_drawn.then(|| self.drawn_since.unwrap_or((now, frame)));
    }
}

impl Engine {
    /// Whether something may be suggested: nothing is outlined, and nobody measures by hand.
    fn may_suggest(&self) -> bool {
        let is_nothing_outlined = self.slots.iter().all(|slot| slot.object.phase() == Phase::Empty);
        self.suggested.score_min.is_some() && is_nothing_outlined && self.caliper_page().is_none()
    }

    /// Notes that a frame was late or left out: the processor has enough to do, and nothing is asked for suggestions for a second.
    pub fn rest_from_suggesting(&mut self, now: Timestamp) {
        self.suggested.asked_from = self.suggested.asked_from.max(now + REST_LONG);
    }

    /// A job for a suggestion on the shown frame, when nothing else is to be done or on its way.
    pub(super) fn ask_to_suggest(&mut self, now: Timestamp) -> Option<Box<InferenceJob>> {
        let is_all_home = self.spare.len() == InferenceJob::IN_ROUND;
        if !self.may_suggest() || !is_all_home || self.is_hot || now < self.suggested.asked_from {
            return None;
        }
        let frame = self.shown.clone()?;
        let region = frame.parts().iter().find(|r| r.content.is_segmentable())?.rect;
        let mut job = self.spare.pop()?;
        job.release();
        job.step = self.motion.newest();
        job.revision = self.revision();
        job.is_first = false;
        job.suggest_in = Some(region);
        job.asked = now;
        self.last_asked = Some(self.still_question(frame.id));
        job.frame = Some(frame);
        Some(job)
    }

    /// Takes the answer to a job for a suggestion.
    pub(super) fn hear_suggestion(&mut self, job: &InferenceJob, frame: &Frame) {
        let took = job.ended.since(job.begun);
        let has_failed = job.outcome == JobOutcome::Failed;
        let rest = if has_failed { REST_LONG } else { took.saturating_mul(REST) };
        self.suggested.asked_from = self.suggested.asked_from.max(job.ended + rest);
        self.is_changed |= self.session.mode() != Mode::Live;
        let score = job.suggested.filter(|s| self.suggested.score_min.is_some_and(|min| s.get() >= min.get()));
        let found = score.zip(job.suggestion.as_ref()).zip(frame.id);
        let (true, Some(((score, logits), id))) = (self.may_suggest() && job.revision == self.revision(), found) else {
            return self.suggested.drop_it();
        };
        let suggested = &mut self.suggested;
        let is_other = |before: &LogitGrid| carry::agreement(before, logits) < DISTINCT;
        suggested.is_confirmed = !suggested.track.carried().is_none_or(is_other);
        if !suggested.is_confirmed {
            suggested.drawn_since = None;
        }
        let provenance =
            Provenance { frame: id, captured: frame.captured, revision: job.revision, object: ObjectId(0) };
        let answer = ModelAnswer { provenance, step: job.step, logits, score, carried: None, is_independent: false };
        if !suggested.track.adopt(&answer, &mut self.motion) {
            suggested.drop_it();
        }
    }

    /// Carries the suggestion along the newest step; one that cannot be carried is dropped.
    pub(super) fn follow_suggestion(&mut self, region: &Rect<ImageSpace>) {
        self.suggested.track.follow(&mut self.motion, region);
        if matches!(self.suggested.track.phase(), Phase::Lost(_)) {
            self.suggested.drop_it();
        }
    }

    /// The prompts that a command comes to as it accepts the suggestion: its box, and the tap. `None` for any other command, for a
    /// tap beside it, and for a finger that came down before it could be seen: too early, or on a frame without it, as on a tablet
    /// whose picture comes later.
    pub(super) fn accepted(
        &self,
        command: &Command,
        touched: Timestamp,
    ) -> Option<(Rect<ImageSpace>, Point<ImageSpace>)> {
        let Command::Click { at, polarity, shown } = *command else { return None };
        let is_including = match polarity {
            Some(polarity) => polarity == Polarity::Positive,
            None => self.session.tool() == Tool::Include,
        };
        let (since, first) = self.suggested.drawn_since.filter(|_| is_including && self.may_suggest())?;
        let (grid, _) = self.suggested.carried()?;
        if touched < since + SEEN_AFTER || shown < first || grid.sample(at) <= 0.0 {
            return None;
        }
        let region = self.shown.as_ref()?.region_of([at], None).ok().flatten()?;
        Some((prompt_box(&grid.inside_bounds()?, &region.rect)?, at))
    }
}
