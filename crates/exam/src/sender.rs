//! A thread that sends ended exams to one archive by itself, where a profile wants that.
//!
//! Nothing is kept in memory that a restart would lose: which objects an archive has is on the disk, beside each exam ([`send`]). An
//! exam that is open, bound to nobody, or of a date that nobody vouches for is left for another time; so is one for which the archive
//! is not there, after 2, 4, 8 s and so on. What the archive refuses for good is left to a person.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use sonotap::{Error, ErrorKind, Result};

use crate::association::Destination;
use crate::send::{Backoff, SendOptions, SendReport, SendState, send};
use crate::store::{ExamName, Store};

/// All exams are looked at so often, for those that another program has ended.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// What became of an exam that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendNews {
    /// The archive has all of it.
    Sent {
        /// Its name.
        exam: String,
        /// Objects that were sent now.
        objects: usize,
    },
    /// The archive, or the exam's own files, will not let it be sent; it is not tried again by itself.
    Refused {
        /// Its name.
        exam: String,
        /// Why.
        why: String,
    },
    /// It is tried again. Said once, until something succeeds.
    Later {
        /// Its name.
        exam: String,
        /// Why.
        why: String,
    },
}

/// Sends ended exams. When it is dropped, no further exam is begun; the one that is being sent goes on after a restart where it was.
pub struct ExamSender {
    look: SyncSender<()>,
    news: Receiver<SendNews>,
}

impl ExamSender {
    /// Starts the thread, which begins with what was left unsent. `options.backoff.tries` is not read: it tries for as long as it runs.
    ///
    /// # Errors
    /// `Io` when there is no store; `Unavailable` when there is no thread.
    pub fn start(root: &Path, to: Destination, options: SendOptions) -> Result<Self> {
        let store = Store::read(root)?;
        let (look, asked) = sync_channel(1);
        let (told, news) = channel();
        let again = Backoff { tries: u32::MAX, ..options.backoff };
        // One try a round: an archive that is not there for one exam is not there for the others.
        let options = SendOptions { backoff: Backoff { tries: 1, ..options.backoff }, ..options };
        let rounds = Rounds { store, to, options, again, settled: BTreeSet::new(), last: None, failed: 0, told };
        let thread = std::thread::Builder::new().name("sender".into()).spawn(move || rounds.work(&asked));
        thread.map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for sending", e))?;
        Ok(Self { look, news })
    }

    /// An exam was ended: it is sent now. Never waits.
    pub fn look(&self) {
        // One that waits says the same.
        let _ = self.look.try_send(());
    }

    /// What became of an exam. Never waits.
    pub fn news(&mut self) -> Option<SendNews> {
        self.news.try_recv().ok()
    }
}

/// The thread's side.
struct Rounds {
    store: Store,
    to: Destination,
    options: SendOptions,
    again: Backoff,
    /// Exams that are sent, or left to a person.
    settled: BTreeSet<ExamName>,
    /// The one that failed last: the next round begins behind it, so that none holds up the others for good.
    last: Option<ExamName>,
    /// Rounds in a row that failed.
    failed: u32,
    told: Sender<SendNews>,
}

impl Rounds {
    fn work(mut self, asked: &Receiver<()>) {
        loop {
            let is_done = self.round(asked);
            self.failed = if is_done { 0 } else { self.failed + 1 };
            let rest = if is_done { None } else { self.again.wait_after(self.failed) };
            match asked.recv_timeout(rest.unwrap_or(LOOK_EVERY)) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Sends what can be sent, up to the first that fails. Whether none did.
    fn round(&mut self, asked: &Receiver<()>) -> bool {
        let mut names = match self.store.names() {
            Ok(names) => names,
            Err(e) => {
                log::warn!("exams: {e}");
                return false;
            }
        };
        let behind = self.last.as_ref().map_or(0, |last| names.partition_point(|name| name <= last));
        names.rotate_left(behind);
        for name in names {
            if self.settled.contains(&name) {
                continue;
            }
            if asked.try_recv() == Err(TryRecvError::Disconnected) {
                return true;
            }
            if let Err(why) = self.one(&name) {
                if self.failed == 0 {
                    self.tell(SendNews::Later { exam: name.to_string(), why });
                }
                self.last = Some(name);
                return false;
            }
        }
        true
    }

    /// Sends an exam, or leaves it.
    ///
    /// # Errors
    /// Why it is to be tried again.
    fn one(&mut self, name: &ExamName) -> Result<(), String> {
        let exam = || name.to_string();
        let view = match self.store.view(name) {
            Ok(view) if view.is_ended() && view.is_bound() && view.is_date_confirmed() => view,
            Ok(_) => return Ok(()),
            Err(e) => {
                // It may be just beginning; `exams verify` says what is wrong.
                log::debug!("{e}");
                return Ok(());
            }
        };
        let news = match send(&view, &self.to, &self.options, &mut |_| {}) {
            Ok(SendReport { state: SendState::Later { why }, .. }) => return Err(why),
            Err(e) if e.kind() == ErrorKind::Io => return Err(e.to_string()),
            Ok(SendReport { state: SendState::Complete, sent, .. }) => {
                (sent > 0).then(|| SendNews::Sent { exam: exam(), objects: sent })
            }
            Ok(SendReport { state: SendState::Refused { file, why }, .. }) => {
                Some(SendNews::Refused { exam: exam(), why: format!("{file}: {why}") })
            }
            Err(e) => Some(SendNews::Refused { exam: exam(), why: e.to_string() }),
        };
        self.settled.insert(name.clone());
        news.into_iter().for_each(|news| self.tell(news));
        Ok(())
    }

    fn tell(&self, news: SendNews) {
        // Nobody listens any more once the run is over.
        let _ = self.told.send(news);
    }
}
