//! A thread that saves, so that nothing on the display's thread waits for a disk.
//!
//! What could not be written is kept in memory and tried again, in its order: with the next capture, when the exam is to end, and by
//! itself after 2, 4, 8 s and so on, up to 30. It counts as saved only when its outcome says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sonotap::{Error, ErrorKind, Frame, Result};

use crate::capture::Capture;
use crate::reopen::{Reopened, reopen};
use crate::store::Store;
use crate::store::exam::{Exam, NewExam, Saved};
use crate::store::health::StoreHealth;
use crate::store::record::Patient;
use crate::thumbnail;

/// Tasks at most that wait.
const TASKS_MAX: usize = 16;
/// What could not be written is tried again after so long, and then after twice that, up to so much.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Space and clock are looked at so often while nothing is done.
const HEALTH_EVERY: Duration = Duration::from_secs(30);
/// All exams are looked at so often, for what is unsent: thousands take a while.
const EXAMS_EVERY: Duration = Duration::from_secs(300);

/// What the thread is asked to do beside saving.
#[derive(Debug)]
pub enum Task {
    /// Bind the exam, which begins where it has not yet.
    Bind(Patient),
    /// Somebody has found date and time right.
    ConfirmDate,
    /// Take an item out; until the exam ends it can be put back.
    Delete(u32),
    /// Put it back.
    Restore(u32),
    /// Read the picture of an item.
    Open(u32),
    /// Read an item, to outline it anew.
    Reopen(u32),
    /// Count again what is unsent: something was sent.
    CountUnsent,
    /// End the exam. The next capture begins another.
    End {
        /// What could not be saved is given up, and an exam that cannot be ended is left open on the disk.
        is_unsaved_lost: bool,
    },
}

/// What became of something.
#[derive(Debug)]
pub enum Outcome {
    /// A capture is on the disk for good, or it is not.
    Saved {
        /// The exam; `None` when it could not be begun.
        exam: Option<String>,
        /// Saved for good, or why not.
        saved: Result<Saved>,
        /// A small picture of it, where it was saved.
        thumbnail: Option<Arc<Frame>>,
        /// It is not saved, and tried again.
        is_kept: bool,
    },
    /// The exam is bound, or not.
    Bound {
        /// The exam.
        exam: Option<String>,
        /// Whether.
        bound: Result<()>,
    },
    /// The date is confirmed, or not.
    DateConfirmed(Result<()>),
    /// An item was deleted, or not.
    Deleted(u32, Result<()>),
    /// An item was put back, or not.
    Restored(u32, Result<()>),
    /// The picture of an item.
    Opened(u32, Result<Arc<Frame>>),
    /// An item, to be outlined anew.
    Reopened(u32, Result<Box<Reopened>>),
    /// The exam was ended, or not; with the captures that were given up.
    Ended {
        /// Captures that were given up.
        lost: usize,
        /// Whether.
        ended: Result<()>,
    },
    /// How the store is.
    Health(StoreHealth),
}

enum Order {
    Save(Capture),
    Do(Task),
}

/// Saves captures into one exam, in their order. The exam begins with the first of them, or when it is bound.
pub struct Saver {
    orders: Option<SyncSender<Order>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    /// Captures that were taken and are not on the disk.
    unsaved: usize,
}

impl Saver {
    /// Captures at most that are not on the disk: those that wait, and those that are tried again.
    pub const UNSAVED_MAX: usize = 4;

    /// Starts the thread.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread.
    pub fn start(store: Store, new: NewExam) -> Result<Self> {
        Self::start_and_end(store, new, None)
    }

    /// Starts the thread, which ends exams of earlier runs that nobody has written to for `left_open_for`, now and from time to
    /// time: no picture of another patient comes into them.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread.
    pub fn start_and_end(store: Store, new: NewExam, left_open_for: Option<Duration>) -> Result<Self> {
        let (orders, taken) = sync_channel::<Order>(TASKS_MAX);
        let (told, outcomes) = channel();
        let work = move || {
            end_left_open(&store, left_open_for);
            let unsent = (StoreHealth::unsent(&store), Instant::now());
            let (kept, again_after) = (VecDeque::new(), AGAIN_AFTER);
            Desk { store, new, exam: None, kept, again_after, unsent, left_open_for, told }.work(&taken);
        };
        let thread = std::thread::Builder::new().name("exam".into()).spawn(work);
        let thread = thread.map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the exam", e))?;
        Ok(Self { orders: Some(orders), outcomes, thread: Some(thread), unsaved: 0 })
    }

    /// Captures that were taken and are not on the disk.
    pub fn unsaved(&self) -> usize {
        self.unsaved
    }

    /// Hands a capture over. It is saved only when its outcome says so. Never waits.
    ///
    /// # Errors
    /// `Unavailable` when four are not on the disk yet, or the thread is gone.
    pub fn save(&mut self, capture: Capture) -> Result<()> {
        if self.unsaved >= Self::UNSAVED_MAX {
            let what = "not saved: expected at most four captures to wait for the disk, got one more";
            return Err(Error::new(ErrorKind::Unavailable, what));
        }
        self.order(Order::Save(capture))?;
        self.unsaved += 1;
        Ok(())
    }

    /// Hands a task over. It is done when its outcome says so. Never waits.
    ///
    /// # Errors
    /// `Unavailable` when too many wait, or the thread is gone.
    pub fn ask(&mut self, task: Task) -> Result<()> {
        self.order(Order::Do(task))
    }

    fn order(&self, order: Order) -> Result<()> {
        let Some(orders) = &self.orders else { return Err(gone()) };
        match orders.try_send(order) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                let why = "not saved: the disk is too slow for what it is asked";
                Err(Error::new(ErrorKind::Unavailable, why))
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    /// What became of something, if anything is done. Never waits.
    pub fn outcome(&mut self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                match &outcome {
                    Outcome::Saved { is_kept: false, .. } => self.unsaved -= 1,
                    Outcome::Ended { lost, .. } => self.unsaved -= lost,
                    _ => {}
                }
                Some(outcome)
            }
            Err(TryRecvError::Disconnected) if self.unsaved > 0 => {
                self.unsaved -= 1;
                Some(Outcome::Saved { exam: None, saved: Err(gone()), thumbnail: None, is_kept: false })
            }
            Err(_) => None,
        }
    }

    /// Waits until everything that was taken is on the disk, or is not; the outcomes that were not asked for. What was kept is
    /// tried once more.
    pub fn finish(mut self) -> Vec<Outcome> {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic shows as captures without an outcome.
            let _ = thread.join();
        }
        std::iter::from_fn(|| self.outcome()).collect()
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Unavailable, "not saved: the thread of the exam is gone")
}

/// The thread's side.
struct Desk {
    store: Store,
    new: NewExam,
    exam: Option<Exam>,
    /// Captures that could not be written, oldest first.
    kept: VecDeque<Capture>,
    /// How long they rest before they are tried again.
    again_after: Duration,
    /// Ended exams of which something was sent nowhere, and when they were counted.
    unsent: (usize, Instant),
    /// Exams that were left open are ended when nobody has written to them for so long.
    left_open_for: Option<Duration>,
    told: Sender<Outcome>,
}

fn end_left_open(store: &Store, left_open_for: Option<Duration>) {
    match left_open_for.map(|idle| store.end_left_open(idle)) {
        Some(Ok(ended)) => ended.iter().for_each(|name| log::warn!("exam {name}: was left open, is ended")),
        Some(Err(e)) => log::warn!("exams: {e}"),
        None => {}
    }
}

impl Desk {
    fn work(mut self, orders: &Receiver<Order>) {
        let mut looked = Instant::now();
        self.tell_health();
        loop {
            match orders.recv_timeout(self.again_after) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {
                    self.save_kept(false);
                    // Coding a cine again and again would take the live path's processor.
                    self.again_after = match self.kept.is_empty() {
                        true => AGAIN_AFTER,
                        false => (2 * self.again_after).min(AGAIN_AFTER_MAX),
                    };
                    if looked.elapsed() < HEALTH_EVERY {
                        continue;
                    }
                    looked = Instant::now();
                    if self.unsent.1.elapsed() >= EXAMS_EVERY {
                        end_left_open(&self.store, self.left_open_for);
                        self.unsent = (StoreHealth::unsent(&self.store), looked);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.save_kept(true),
            }
            self.tell_health();
        }
    }

    fn tell_health(&self) {
        self.tell(Outcome::Health(StoreHealth::of(&self.store, self.exam.as_ref(), self.unsent.0)));
    }

    fn tell(&self, outcome: Outcome) {
        // Nobody listens any more once the run is over.
        let _ = self.told.send(outcome);
    }

    fn obey(&mut self, order: Order) {
        self.again_after = AGAIN_AFTER;
        match order {
            Order::Save(mut capture) => {
                // Coding and writing a cine takes longer than a live path can be without its frames.
                capture.detach();
                self.kept.push_back(capture);
                self.save_kept(false);
            }
            Order::Do(Task::Bind(patient)) => {
                let bound = self.exam().and_then(|exam| exam.bind(patient));
                self.tell(Outcome::Bound { exam: self.name(), bound });
            }
            Order::Do(Task::ConfirmDate) => {
                let confirmed = self.exam().and_then(Exam::confirm_date);
                self.tell(Outcome::DateConfirmed(confirmed));
            }
            Order::Do(Task::Delete(number)) => {
                let deleted = self.exam().and_then(|exam| exam.delete(number));
                self.tell(Outcome::Deleted(number, deleted));
            }
            Order::Do(Task::Restore(number)) => {
                let restored = self.exam().and_then(|exam| exam.restore(number));
                self.tell(Outcome::Restored(number, restored));
            }
            Order::Do(Task::Open(number)) => {
                let opened = self.exam().and_then(|exam| thumbnail::picture_of(exam.view(), number));
                self.tell(Outcome::Opened(number, opened.map(Arc::new)));
            }
            Order::Do(Task::Reopen(number)) => {
                let read = self.exam().and_then(|exam| reopen(exam.view(), number));
                self.tell(Outcome::Reopened(number, read.map(Box::new)));
            }
            Order::Do(Task::CountUnsent) => self.unsent = (StoreHealth::unsent(&self.store), Instant::now()),
            Order::Do(Task::End { is_unsaved_lost }) => self.end(is_unsaved_lost),
        }
    }

    /// The exam, begun where there is none.
    fn exam(&mut self) -> Result<&mut Exam> {
        match &mut self.exam {
            Some(exam) => Ok(exam),
            none => Ok(none.insert(self.store.begin(&self.new)?)),
        }
    }

    fn name(&self) -> Option<String> {
        self.exam.as_ref().map(Exam::name)
    }

    /// Tries what is kept, oldest first, up to the first that cannot be written; at the end of all, every one.
    fn save_kept(&mut self, is_last: bool) {
        while let Some(capture) = self.kept.pop_front() {
            let saved = self.exam().and_then(|exam| exam.save(&capture));
            // What no disk would take is not tried again.
            let is_kept = !is_last && saved.as_ref().is_err_and(|e| e.kind() != ErrorKind::Argument);
            let thumbnail = saved.is_ok().then(|| thumbnail::of_capture(&capture)).flatten().map(Arc::new);
            if is_kept {
                self.kept.push_front(capture);
            }
            self.tell(Outcome::Saved { exam: self.name(), saved, thumbnail, is_kept });
            if is_kept {
                return;
            }
        }
    }

    fn end(&mut self, is_unsaved_lost: bool) {
        self.save_kept(false);
        let unsaved = self.kept.len();
        if unsaved > 0 && !is_unsaved_lost {
            let what = format!("not ended: expected all captures on the disk, got {unsaved} that are not");
            let ended = Err(Error::new(ErrorKind::Unavailable, what));
            return self.tell(Outcome::Ended { lost: 0, ended });
        }
        self.kept.clear();
        let ended = self.exam.as_mut().map_or(Ok(()), Exam::end);
        if ended.is_ok() || is_unsaved_lost {
            // Whatever the disk says: nothing more of another patient comes into it.
            self.exam = None;
            self.unsent = (StoreHealth::unsent(&self.store), Instant::now());
        }
        self.tell(Outcome::Ended { lost: unsaved, ended });
    }
}
