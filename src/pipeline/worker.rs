//! The thread that looks: takes the newest job, answers it, and takes the next.
//!
//! Jobs are boxes that go round: engine, slot, worker, engine. Their number is fixed by the engine, so the way back never
//! holds more than that.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::Clock;
use super::latest::{Latest, Wake};
use crate::engine::job::LookJob;
use crate::error::{Error, ErrorKind, Result};
use crate::model::look::Looker;

/// How long a stop waits for the look in hand.
const PATIENCE: Duration = Duration::from_millis(300);

/// Who answers jobs: a thread, or a test that says how long a look takes.
pub trait Looks {
    /// Hands over the newest job; returns the one that the model did not come to.
    fn ask(&mut self, job: Box<LookJob>) -> Option<Box<LookJob>>;

    /// The next answered job.
    fn answer(&mut self) -> Option<Box<LookJob>>;

    /// Whether there is anybody to answer.
    fn is_alive(&self) -> bool;
}

/// A model at work on a thread of its own. Dropping it lets a look in hand come to its end for at most 0.3 s.
pub struct Worker {
    jobs: Latest<Option<Box<LookJob>>>,
    answers: Receiver<Box<LookJob>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; `wake` is rung whenever an answer is ready.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn start(mut looker: Looker, clock: Clock, wake: Wake) -> Result<Self> {
        let jobs: Latest<Option<Box<LookJob>>> = Latest::new(Wake::default());
        let (give, answers) = bounded(LookJob::IN_ROUND);
        let inbox = jobs.clone();
        let thread = std::thread::Builder::new()
            .name("segmenter".into())
            .spawn(move || work(&mut looker, &clock, &inbox, &give, &wake))
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the model", e))?;
        Ok(Self { jobs, answers, thread: Some(thread) })
    }
}

impl Looks for Worker {
    fn ask(&mut self, job: Box<LookJob>) -> Option<Box<LookJob>> {
        self.jobs.put(Some(job)).flatten()
    }

    fn answer(&mut self) -> Option<Box<LookJob>> {
        self.answers.try_recv().ok()
    }

    fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs.put(None);
        let Some(thread) = self.thread.take() else { return };
        let begin = Instant::now();
        while !thread.is_finished() {
            if begin.elapsed() > PATIENCE {
                return log::warn!("the model is still looking and is left to itself");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.join().is_err() {
            log::error!("the model's thread panicked");
        }
    }
}

fn work(
    looker: &mut Looker,
    clock: &Clock,
    jobs: &Latest<Option<Box<LookJob>>>,
    answers: &Sender<Box<LookJob>>,
    wake: &Wake,
) {
    loop {
        let Some(next) = jobs.take() else {
            jobs.wake().sleep(Duration::from_secs(1));
            continue;
        };
        let Some(mut job) = next else { return };
        job.begun = clock.now();
        job.answer(looker);
        job.ended = clock.now();
        if answers.try_send(job).is_err() {
            return;
        }
        wake.wake();
    }
}
