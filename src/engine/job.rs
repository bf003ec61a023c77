//! A question to the model and its answer, in a box that goes round between engine and worker.

use std::sync::Arc;

use super::motion::StepId;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::model::look::{LookPrompts, LookReport, Looker, ObjectLook};
use crate::units::{Nanos, ObjectId, Revision};

/// What became of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOutcome {
    /// Nobody has looked yet.
    #[default]
    Open,
    /// The model answered.
    Answered,
    /// The model returned an error, which was logged.
    Failed,
}

/// One look that the engine asks for: a frame, whose objects, with which prompts on that frame; and what came of it.
#[derive(Debug, Default)]
pub struct LookJob {
    pub(crate) frame: Option<Arc<Frame>>,
    pub(crate) step: StepId,
    pub(crate) revision: Revision,
    pub(crate) is_first: bool,
    pub(crate) objects: Vec<ObjectId>,
    pub(crate) prompts: Vec<LookPrompts>,
    pub(crate) looks: Vec<ObjectLook>,
    pub(crate) report: Option<LookReport>,
    pub(crate) outcome: JobOutcome,
    /// When the engine asked.
    pub asked: Nanos,
    /// When the worker began.
    pub begun: Nanos,
    /// When the worker ended.
    pub ended: Nanos,
}

impl LookJob {
    /// Boxes that go round: one being filled, one in the slot, one in the worker's hands, one on its way back.
    pub const IN_ROUND: usize = 4;

    /// Looks, and keeps the answer in the job; a model's error is logged and kept as [`JobOutcome::Failed`].
    pub fn answer(&mut self, looker: &mut Looker) {
        self.outcome = match self.look(looker) {
            Ok(()) => JobOutcome::Answered,
            Err(e) => {
                log::error!("model: {e}");
                JobOutcome::Failed
            }
        };
    }

    fn look(&mut self, looker: &mut Looker) -> Result<()> {
        let frame = self.frame.as_ref().ok_or_else(|| Error::new(ErrorKind::Argument, "a look needs a frame"))?;
        let prompts = &self.prompts[..self.objects.len()];
        self.report = Some(if self.is_first {
            looker.first_look(frame, prompts, &mut self.looks)?
        } else {
            looker.look(frame, prompts, &mut self.looks)?
        });
        Ok(())
    }

    /// What the look cost; `None` before it was done.
    pub fn report(&self) -> Option<&LookReport> {
        self.report.as_ref()
    }

    /// Lets the frame go, keeping the buffers.
    pub(crate) fn release(&mut self) {
        self.frame = None;
        self.objects.clear();
        self.report = None;
        self.outcome = JobOutcome::Open;
    }
}
