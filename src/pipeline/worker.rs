//! The thread that looks: takes the newest job, answers it, and takes the next. A thread that dies is started again.
//!
//! Jobs are boxes that go round: engine, slot, worker, engine. Their number is fixed by the engine, so the way back never
//! holds more than that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::clock::Clock;
use super::latest::{Latest, Wake};
use crate::engine::job::InferenceJob;
use crate::error::{Error, ErrorKind, Result};
use crate::model::predictor::Predictor;
use crate::units::Timestamp;

/// How long a stop waits for the look in hand.
const PATIENCE: Duration = Duration::from_millis(300);
/// From one start of the thread to the next, when it keeps dying.
const RESTART_EVERY: Duration = Duration::from_millis(500);
/// A look that takes longer never comes to an end: its thread is left to itself.
const STUCK: Duration = Duration::from_millis(60_000);
/// Threads that may be left to themselves: each holds a model.
const STUCK_MAX: u32 = 2;

/// Makes what looks: at the start, and again when the thread has died.
pub type Supply = Box<dyn FnMut() -> Result<Predictor> + Send>;

/// Whether there is anybody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// There is.
    Up,
    /// There is nobody at present.
    Down,
    /// There is again, since now: jobs that were handed over before will not come back.
    Restarted,
}

/// Who answers jobs: a thread, or a test that says how long a look takes.
pub trait InferenceWorker {
    /// Hands over the newest job; returns the one that the model did not come to.
    fn ask(&mut self, job: Box<InferenceJob>) -> Option<Box<InferenceJob>>;

    /// The next answered job.
    fn answer(&mut self) -> Option<Box<InferenceJob>>;

    /// Whether a lone click is predicted at several scales.
    fn surveys(&self) -> bool {
        false
    }

    /// Whether the model proposes an outline without a prompt.
    fn proposes(&self) -> bool {
        false
    }

    /// Whether there is anybody to answer; sees to it that there will be.
    fn health(&mut self, _now: Timestamp) -> Health {
        Health::Up
    }
}

/// A model at work on a thread of its own. Dropping it lets a look in hand come to its end for at most 0.3 s.
pub struct Worker {
    supply: Arc<Mutex<Supply>>,
    clock: Clock,
    wake: Wake,
    running: Option<Running>,
    begun: Timestamp,
    surveys: bool,
    proposes: bool,
    is_up: bool,
    stuck: u32,
}

/// One life of the thread.
struct Running {
    jobs: Latest<Option<Box<InferenceJob>>>,
    answers: Receiver<Box<InferenceJob>>,
    thread: JoinHandle<()>,
    is_ready: Arc<AtomicBool>,
    /// When the look in hand began, ns; 0 when there is none.
    looking_since_ns: Arc<AtomicU64>,
}

impl Running {
    fn looking_since(&self) -> Option<Timestamp> {
        let ns = self.looking_since_ns.load(Ordering::Acquire);
        (ns > 0).then_some(Timestamp::from_ns(ns))
    }
}

impl Worker {
    /// Starts the thread; `wake` is rung whenever an answer is ready.
    ///
    /// # Errors
    /// Those of `supply`; `Unavailable` when no thread can be had.
    pub fn start(mut supply: Supply, clock: Clock, wake: Wake) -> Result<Self> {
        let predictor = supply()?;
        let mut worker = Self {
            begun: clock.now(),
            surveys: predictor.surveys(),
            proposes: predictor.spec().proposes,
            supply: Arc::new(Mutex::new(supply)),
            clock,
            wake,
            running: None,
            is_up: true,
            stuck: 0,
        };
        worker.running = Some(worker.run(Some(predictor))?);
        Ok(worker)
    }

    /// A thread that looks with `predictor`, or with what it is supplied with.
    fn run(&self, predictor: Option<Predictor>) -> Result<Running> {
        let jobs: Latest<Option<Box<InferenceJob>>> = Latest::new(Wake::default());
        let (give, answers) = bounded(InferenceJob::IN_ROUND);
        let is_ready = Arc::new(AtomicBool::new(predictor.is_some()));
        let looking_since_ns = Arc::new(AtomicU64::new(0));
        let work = Work {
            clock: self.clock.clone(),
            jobs: jobs.clone(),
            answers: give,
            wake: self.wake.clone(),
            looking_since_ns: looking_since_ns.clone(),
        };
        let (supply, ready) = (self.supply.clone(), is_ready.clone());
        let thread = std::thread::Builder::new()
            .name("segmenter".into())
            .spawn(move || {
                let supplied = predictor.map_or_else(|| supply.lock().unwrap_or_else(PoisonError::into_inner)(), Ok);
                match supplied {
                    Ok(mut predictor) => {
                        ready.store(true, Ordering::Release);
                        work.wake.wake();
                        work.run(&mut predictor);
                    }
                    Err(e) => log::error!("model: {e}"),
                }
            })
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the model", e))?;
        Ok(Running { jobs, answers, thread, is_ready, looking_since_ns })
    }

    /// Lets go of a thread that has died, or never will.
    fn bury(&mut self, now: Timestamp) {
        let Some(running) = &self.running else { return };
        let is_stuck = running.looking_since().is_some_and(|since| now.since(since) > STUCK);
        if !running.thread.is_finished() && !is_stuck {
            return;
        }
        let Some(running) = self.running.take() else { return };
        self.is_up = false;
        if !running.thread.is_finished() {
            self.stuck += 1;
            log::error!("the model has been looking for {} s and is left to itself", STUCK.as_secs());
        } else if running.thread.join().is_err() {
            log::error!("the model's thread panicked");
        }
    }
}

impl InferenceWorker for Worker {
    fn ask(&mut self, job: Box<InferenceJob>) -> Option<Box<InferenceJob>> {
        match &self.running {
            Some(running) => running.jobs.put(Some(job)).flatten(),
            None => Some(job),
        }
    }

    fn answer(&mut self) -> Option<Box<InferenceJob>> {
        self.running.as_ref()?.answers.try_recv().ok()
    }

    fn surveys(&self) -> bool {
        self.surveys
    }

    fn proposes(&self) -> bool {
        self.proposes
    }

    fn health(&mut self, now: Timestamp) -> Health {
        self.bury(now);
        let may_start = now.since(self.begun) >= RESTART_EVERY && self.stuck <= STUCK_MAX;
        if self.running.is_none() && may_start {
            self.begun = now;
            self.running = self.run(None).map_err(|e| log::error!("{e}")).ok();
        }
        let is_ready = self.running.as_ref().is_some_and(|r| r.is_ready.load(Ordering::Acquire));
        match (std::mem::replace(&mut self.is_up, is_ready), is_ready) {
            (true, true) => Health::Up,
            (false, true) => Health::Restarted,
            (_, false) => Health::Down,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.jobs.put(None);
        let begin = Instant::now();
        while !running.thread.is_finished() {
            if begin.elapsed() > PATIENCE {
                return log::warn!("the model is still looking and is left to itself");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if running.thread.join().is_err() {
            log::error!("the model's thread panicked");
        }
    }
}

struct Work {
    clock: Clock,
    jobs: Latest<Option<Box<InferenceJob>>>,
    answers: Sender<Box<InferenceJob>>,
    wake: Wake,
    looking_since_ns: Arc<AtomicU64>,
}

impl Work {
    fn run(&self, predictor: &mut Predictor) {
        loop {
            let Some(next) = self.jobs.take() else {
                self.jobs.wake().sleep(Duration::from_secs(1));
                continue;
            };
            let Some(mut job) = next else { return };
            job.begun = self.clock.now();
            self.looking_since_ns.store(job.begun.as_ns().max(1), Ordering::Release);
            job.answer(predictor);
            self.looking_since_ns.store(0, Ordering::Release);
            job.ended = self.clock.now();
            if self.answers.try_send(job).is_err() {
                return;
            }
            self.wake.wake();
        }
    }
}
