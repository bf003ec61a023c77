//! The model's thread for a fake clock.

use std::time::Duration;

use sonotap::engine::job::InferenceJob;
use sonotap::model::predictor::Predictor;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::worker::InferenceWorker;
use sonotap::units::Timestamp;

/// A model's thread without a thread: a look is done when its time has passed.
pub(crate) struct SlowPredictor {
    predictor: Predictor,
    clock: Clock,
    pub look: Duration,
    waiting: Option<Box<InferenceJob>>,
    working: Option<(Timestamp, Box<InferenceJob>)>,
}

impl SlowPredictor {
    /// A worker whose looks take `look`, by `clock`.
    pub(crate) fn new(predictor: Predictor, clock: Clock, look: Duration) -> Self {
        Self { predictor, clock, look, waiting: None, working: None }
    }

    fn start(&mut self, mut job: Box<InferenceJob>, from: Timestamp) {
        job.answer(&mut self.predictor);
        (job.begun, job.ended) = (from, from + self.look);
        self.working = Some((from + self.look, job));
    }
}

impl InferenceWorker for SlowPredictor {
    fn proposes(&self) -> bool {
        self.predictor.spec().proposes
    }

    fn ask(&mut self, job: Box<InferenceJob>) -> Option<Box<InferenceJob>> {
        if self.working.is_none() {
            self.start(job, self.clock.now());
            return None;
        }
        self.waiting.replace(job)
    }

    fn answer(&mut self) -> Option<Box<InferenceJob>> {
        let done = self.working.as_ref().is_some_and(|(t, _)| *t <= self.clock.now());
        let (ended, job) = self.working.take_if(|_| done)?;
        if let Some(next) = self.waiting.take() {
            self.start(next, ended);
        }
        Some(job)
    }
}
