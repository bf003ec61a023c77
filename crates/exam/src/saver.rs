//! A thread that saves, so that nothing on the display's thread waits for a disk.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;

use sonotap::{Error, ErrorKind, Result};

use crate::capture::Capture;
use crate::store::Store;
use crate::store::exam::{Exam, NewExam, Saved};

/// Captures that may wait while one is written.
const WAITING_MAX: usize = 4;

/// What became of a capture.
#[derive(Debug)]
pub struct Outcome {
    /// The exam; `None` when it could not be begun.
    pub exam: Option<String>,
    /// Saved for good, or why not.
    pub saved: Result<Saved>,
}

/// Saves captures into one exam, in their order. The exam begins with the first of them.
pub struct Saver {
    captures: Option<SyncSender<Capture>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    /// Captures that were taken and whose outcome is not known.
    pending: usize,
}

impl Saver {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread.
    pub fn start(store: Store, new: NewExam) -> Result<Self> {
        let (captures, taken) = sync_channel::<Capture>(WAITING_MAX);
        let (told, outcomes) = channel();
        let work = move || {
            let mut exam: Option<Exam> = None;
            for mut capture in taken {
                // Coding and writing a cine takes longer than a live path can be without its frames.
                capture.detach();
                let saved = match &mut exam {
                    Some(exam) => exam.save(&capture),
                    none => store.begin(&new).and_then(|begun| none.insert(begun).save(&capture)),
                };
                let outcome = Outcome { exam: exam.as_ref().map(Exam::name), saved };
                if told.send(outcome).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("exam".into()).spawn(work);
        let thread = thread.map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the exam", e))?;
        Ok(Self { captures: Some(captures), outcomes, thread: Some(thread), pending: 0 })
    }

    /// Hands a capture over. It is saved only when its outcome says so. Never waits.
    ///
    /// # Errors
    /// `Unavailable` when four are waiting, or the thread is gone.
    pub fn save(&mut self, capture: Capture) -> Result<()> {
        let sent = self.captures.as_ref().map(|c| c.try_send(capture));
        let why = match sent {
            Some(Ok(())) => {
                self.pending += 1;
                return Ok(());
            }
            Some(Err(TrySendError::Full(_))) => {
                "not saved: expected at most four captures to wait for the disk, got one more"
            }
            Some(Err(TrySendError::Disconnected(_))) | None => "not saved: the thread of the exam is gone",
        };
        Err(Error::new(ErrorKind::Unavailable, why))
    }

    /// What became of a capture, if one is done. Never waits.
    pub fn outcome(&mut self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                self.pending -= 1;
                Some(outcome)
            }
            Err(TryRecvError::Disconnected) if self.pending > 0 => {
                self.pending -= 1;
                Some(Outcome {
                    exam: None,
                    saved: Err(Error::new(ErrorKind::Unavailable, "not saved: the thread of the exam is gone")),
                })
            }
            Err(_) => None,
        }
    }

    /// Waits until everything that was taken is on the disk, or is not; the outcomes that were not asked for.
    pub fn finish(mut self) -> Vec<Outcome> {
        self.captures = None;
        if let Some(thread) = self.thread.take() {
            // A panic shows as captures without an outcome.
            let _ = thread.join();
        }
        std::iter::from_fn(|| self.outcome()).collect()
    }
}
