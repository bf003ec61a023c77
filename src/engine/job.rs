//! A job for the model and its answer. Jobs circulate between engine and worker and are reused.

use std::sync::Arc;

use super::motion::StepId;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Rect};
use crate::mask::LogitGrid;
use crate::model::predictor::{Prediction, PredictionReport, Predictor, Prompts};
use crate::units::{ObjectId, Revision, Score, Timestamp};

/// Outcome of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOutcome {
    /// Not answered yet.
    #[default]
    Open,
    /// The model answered.
    Answered,
    /// The model returned an error, which was logged.
    Failed,
}

/// A prediction that the engine requests: a frame, objects, their prompts on that frame; and the answer.
#[derive(Debug, Default)]
pub struct InferenceJob {
    pub(crate) frame: Option<Arc<Frame>>,
    pub(crate) step: StepId,
    pub(crate) revision: Revision,
    pub(crate) is_first: bool,
    /// The job is a suggestion in this region, and about no object.
    pub(crate) suggest_in: Option<Rect<ImageSpace>>,
    /// The suggested mask; the buffer outlives the job.
    pub(crate) suggestion: Option<LogitGrid>,
    /// Score of the suggestion; `None` when nothing is suggested.
    pub(crate) suggested: Option<Score>,
    pub(crate) objects: Vec<ObjectId>,
    pub(crate) prompts: Vec<Prompts>,
    pub(crate) looks: Vec<Prediction>,
    pub(crate) report: Option<PredictionReport>,
    pub(crate) outcome: JobOutcome,
    /// When the engine asked.
    pub asked: Timestamp,
    /// When the worker began.
    pub begun: Timestamp,
    /// When the worker ended.
    pub ended: Timestamp,
}

impl InferenceJob {
    /// Jobs in circulation: one being filled, one in the slot, one at the worker, one on its way back.
    pub const IN_ROUND: usize = 4;

    /// Looks, and keeps the answer in the job; a model's error is logged and kept as [`JobOutcome::Failed`].
    pub fn answer(&mut self, predictor: &mut Predictor) {
        self.outcome = match self.predict(predictor) {
            Ok(()) => JobOutcome::Answered,
            Err(e) => {
                log::error!("model: {e}");
                JobOutcome::Failed
            }
        };
    }

    fn predict(&mut self, predictor: &mut Predictor) -> Result<()> {
        let frame = self.frame.as_ref().ok_or_else(|| Error::new(ErrorKind::Argument, "a look needs a frame"))?;
        if let Some(region) = self.suggest_in {
            self.suggested = predictor.suggest(frame, region, &mut self.suggestion)?;
            return Ok(());
        }
        let prompts = &self.prompts[..self.objects.len()];
        self.report = Some(if self.is_first {
            predictor.predict_roughly(frame, prompts, &mut self.looks)?
        } else {
            predictor.predict(frame, prompts, &mut self.looks)?
        });
        Ok(())
    }

    /// Whether it is a suggestion, about no object.
    pub fn is_suggestion(&self) -> bool {
        self.suggest_in.is_some()
    }

    /// Cost of the prediction; `None` before the answer, and for a suggestion.
    pub fn report(&self) -> Option<&PredictionReport> {
        self.report.as_ref()
    }

    /// Releases the frame and keeps the buffers.
    pub(crate) fn release(&mut self) {
        self.frame = None;
        self.objects.clear();
        self.report = None;
        self.suggest_in = None;
        self.suggested = None;
        self.outcome = JobOutcome::Open;
    }
}
