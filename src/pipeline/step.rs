//! A model without a thread of its own: it predicts when the host says so, on whatever thread the host has for it.
//!
//! ```
//! # use sonotap::pipeline::{clock::Clock, latest::Wake, live::{Live, LiveConfig}, step};
//! # fn go(predictor: sonotap::model::predictor::Predictor) {
//! let (clock, wake) = (Clock::monotonic(), Wake::default());
//! let (stepped, mut stepper) = step::pair(predictor, clock.clone(), wake.clone());
//! let mut live = Live::with(stepped, wake, LiveConfig::default(), clock);
//! live.poll(); // may ask for a prediction
//! let has_predicted = stepper.step(); // computes it, here
//! # }
//! ```

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::Clock;
use super::latest::{Latest, Wake};
use super::worker::InferenceWorker;
use crate::engine::job::InferenceJob;
use crate::model::predictor::Predictor;

/// The two ends: what the live path asks, and what computes. `wake` is rung when an answer is ready.
pub fn pair(predictor: Predictor, clock: Clock, wake: Wake) -> (Stepped, Stepper) {
    let jobs = Latest::new(Wake::default());
    let (give, answers) = bounded(InferenceJob::IN_ROUND);
    let surveys = predictor.surveys();
    (Stepped { jobs: jobs.clone(), answers, surveys }, Stepper { predictor, clock, wake, jobs, answers: give })
}

/// The end of the live path.
pub struct Stepped {
    jobs: Latest<Box<InferenceJob>>,
    answers: Receiver<Box<InferenceJob>>,
    surveys: bool,
}

impl InferenceWorker for Stepped {
    fn ask(&mut self, job: Box<InferenceJob>) -> Option<Box<InferenceJob>> {
        self.jobs.put(job)
    }

    fn answer(&mut self) -> Option<Box<InferenceJob>> {
        self.answers.try_recv().ok()
    }

    fn surveys(&self) -> bool {
        self.surveys
    }
}

/// The end that computes. It may be on another thread than the live path.
pub struct Stepper {
    predictor: Predictor,
    clock: Clock,
    wake: Wake,
    jobs: Latest<Box<InferenceJob>>,
    answers: Sender<Box<InferenceJob>>,
}

impl Stepper {
    /// Computes the newest prediction that was asked for, which takes as long as a prediction; `false` when none was.
    pub fn step(&mut self) -> bool {
        let Some(mut job) = self.jobs.take() else { return false };
        job.begun = self.clock.now();
        job.answer(&mut self.predictor);
        job.ended = self.clock.now();
        // There is room for every job there is; without a live path nobody wants the answer.
        if self.answers.try_send(job).is_ok() {
            self.wake.wake();
        }
        true
    }
}
