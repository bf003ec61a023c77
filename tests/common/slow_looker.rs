//! The model's thread for a fake clock.

use sonotap::engine::job::LookJob;
use sonotap::model::look::Looker;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::worker::Looks;
use sonotap::units::Nanos;

/// A model's thread without a thread: a look is done when its time has passed.
pub struct SlowLooker {
    looker: Looker,
    clock: Clock,
    pub look: Nanos,
    waiting: Option<Box<LookJob>>,
    working: Option<(Nanos, Box<LookJob>)>,
}

impl SlowLooker {
    /// A worker whose looks take `look`, by `clock`.
    pub fn new(looker: Looker, clock: Clock, look: Nanos) -> Self {
        Self { looker, clock, look, waiting: None, working: None }
    }

    fn start(&mut self, mut job: Box<LookJob>, from: Nanos) {
        job.answer(&mut self.looker);
        (job.begun, job.ended) = (from, from + self.look);
        self.working = Some((from + self.look, job));
    }
}

impl Looks for SlowLooker {
    fn ask(&mut self, job: Box<LookJob>) -> Option<Box<LookJob>> {
        if self.working.is_none() {
            self.start(job, self.clock.now());
            return None;
        }
        self.waiting.replace(job)
    }

    fn answer(&mut self) -> Option<Box<LookJob>> {
        let done = self.working.as_ref().is_some_and(|(t, _)| *t <= self.clock.now());
        let (ended, job) = self.working.take_if(|_| done)?;
        if let Some(next) = self.waiting.take() {
            self.start(next, ended);
        }
        Some(job)
    }
}
