//! The thread that plays a source as if it came from the probe.
//!
//! A frame is prepared before it is due and handed over when it is.
//! A source that cannot keep up leaves frames out; it is never waited for by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::capture_time::CaptureTime;
use super::clock::Clock;
use super::entry::{Entered, FrameInput, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{FrameSource, Next};
use crate::units::{Span, Timestamp};

/// How to play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayConfig {
    /// Time from frame to frame.
    pub period: Duration,
    /// Whether the source starts again when it ends.
    pub is_looped: bool,
}

#[derive(Default)]
struct Counters {
    played: AtomicU64,
    no_buffer: AtomicU64,
    late: AtomicU64,
    displaced: AtomicU64,
    ended: AtomicBool,
}

/// What a player has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Frames put into the slot.
    pub played: u64,
    /// Frames left out because all memory for frames was in use.
    pub no_buffer: u64,
    /// Frames left out because the source was a period late.
    pub late: u64,
    /// Frames that nobody took before the next one came.
    pub displaced: u64,
    /// Whether the source has come to its end (or failed).
    pub has_ended: bool,
}

/// A source being played on a thread of its own; dropping it stops it.
pub struct Player {
    counters: Arc<Counters>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Player {
    /// Starts to play `source` into `input`.
    ///
    /// # Errors
    /// `Argument` for a period of zero; `Unavailable` when no thread can be had.
    pub fn start(source: Box<dyn FrameSource>, config: PlayConfig, input: FrameInput) -> Result<Self> {
        if config.period.is_zero() {
            return Err(Error::new(ErrorKind::Argument, "a source cannot be played with a frame period of 0"));
        }
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = bounded(0);
        let shared = counters.clone();
        let thread = std::thread::Builder::new()
            .name("player".into())
            .spawn(move || {
                let outcome =
                    Play { source, config, clock: input.clock().clone(), input, counters: &shared, stopped }.run();
                shared.ended.store(true, Ordering::Release);
                outcome
            })
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the player", e))?;
        Ok(Self { counters, stop: Some(stop), thread: Some(thread) })
    }

    /// What has been done so far.
    pub fn played(&self) -> Played {
        let c = &self.counters;
        Played {
            played: c.played.load(Ordering::Relaxed),
            no_buffer: c.no_buffer.load(Ordering::Relaxed),
            late: c.late.load(Ordering::Relaxed),
            displaced: c.displaced.load(Ordering::Relaxed),
            has_ended: c.ended.load(Ordering::Acquire),
        }
    }

    /// Stops and returns the source's error, if it had one.
    pub fn stop(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.stop.take();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Error::new(ErrorKind::Io, "the source's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if let Err(e) = self.join() {
            log::error!("source: {e}");
        }
    }
}

struct Play<'a> {
    source: Box<dyn FrameSource>,
    config: PlayConfig,
    input: FrameInput,
    clock: Clock,
    counters: &'a Counters,
    stopped: Receiver<()>,
}

impl Play<'_> {
    fn run(mut self) -> Result<()> {
        let mut due = self.clock.now();
        loop {
            let frame = match self.input.lease() {
                None => {
                    self.counters.no_buffer.fetch_add(1, Ordering::Relaxed);
                    None
                }
                Some(mut frame) => match self.fill(&mut frame)? {
                    Next::Filled => Some(frame),
                    Next::End => return Ok(()),
                },
            };
            if self.is_stopped_by(due) {
                return Ok(());
            }
            if let Some(frame) = frame {
                let entered = frame.enter(CaptureTime::Now, None)?;
                self.counters.played.fetch_add(1, Ordering::Relaxed);
                let is_displaced = matches!(entered, Entered::Displaced { .. });
                self.counters.displaced.fetch_add(u64::from(is_displaced), Ordering::Relaxed);
            }
            due = self.next_due(due, self.source.interval().filter(|i| !i.is_zero()).unwrap_or(self.config.period));
        }
    }

    fn fill(&mut self, frame: &mut Lease) -> Result<Next> {
        if self.source.next_into(frame)? == Next::Filled {
            return Ok(Next::Filled);
        }
        if !self.config.is_looped {
            return Ok(Next::End);
        }
        self.source.rewind();
        match self.source.next_into(frame)? {
            Next::Filled => Ok(Next::Filled),
            Next::End => Err(Error::new(ErrorKind::Format, "the source has no frames")),
        }
    }

    /// Sleeps until `due`; whether the player was stopped meanwhile.
    fn is_stopped_by(&self, due: Timestamp) -> bool {
        let left = due.since(self.clock.now());
        !matches!(self.stopped.recv_timeout(left), Err(crossbeam_channel::RecvTimeoutError::Timeout))
    }

    fn next_due(&self, due: Timestamp, interval: Duration) -> Timestamp {
        let next = due + interval;
        let late = self.clock.now().since(next).as_ns() / interval.as_ns();
        self.counters.late.fetch_add(late, Ordering::Relaxed);
        next + Duration::from_nanos(late.saturating_mul(interval.as_ns()))
    }
}
