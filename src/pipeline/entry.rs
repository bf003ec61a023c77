//! The one door through which frames come in: it checks them, numbers them, dates them, and bounds their memory.
//!
//! ```
//! # use sonotap::pipeline::{capture_time::CaptureTime, clock::Clock, entry::{Entered, FrameInput}, latest::{Latest, Wake}};
//! # use sonotap::frame::{Picture, PixelFormat};
//! # let input = FrameInput::new(Latest::new(Wake::default()), Clock::monotonic(), 1 << 20);
//! let pixels = vec![0; 64 * 48]; // a driver's buffer
//! let entered = input.push(&Picture::dense(64, 48, PixelFormat::Grey8, &pixels), CaptureTime::Now, Some(7))?;
//! assert!(matches!(entered, Entered::Taken { .. }));
//! # Ok::<(), sonotap::error::Error>(())
//! ```

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::capture_time::{CaptureClock, CaptureTime};
use super::clock::Clock;
use super::latest::Latest;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FramePool, Picture};
use crate::units::FrameId;

/// Frames beyond the cine ring: one being filled, in the slot, on the screen, at the model, and on the ways between.
pub const FRAMES_ON_THE_WAY: usize = 6;

/// What became of a frame that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is the newest now.
    Taken {
        /// Its number.
        id: FrameId,
    },
    /// The same, and the frame before it was never looked at.
    Displaced {
        /// Its number.
        id: FrameId,
    },
    /// All memory for frames is in use; it was left out, and counted.
    NoBuffer,
}

/// What has come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// Frames taken.
    pub entered: u64,
    /// Frames that nobody took before the next one came.
    pub displaced: u64,
    /// Frames left out because all memory for frames was in use.
    pub no_buffer: u64,
    /// Frames refused because something of them cannot be true.
    pub refused: u64,
    /// Times that the host's clock was found to have been set.
    pub clock_jumps: u64,
}

#[derive(Default)]
struct State {
    pool: FramePool,
    clock: CaptureClock,
    /// Number of the frame that came in last.
    last_number: u64,
    /// Bytes of the largest of the frames that are on their way.
    frame_bytes: usize,
    report: EntryReport,
}

/// Where frames come in, from any thread. Clones are the same door. Nothing here blocks but for another thread's hand-over.
///
/// Guarantees: a frame that comes out is whole, its number is new, its time is not ahead of the clock nor before that of
/// the frame before it; memory of all frames stays within the cine ring's bytes and six frames of the
/// newest size, but for the few that a pool has in any case; once frames keep their size, handing one over allocates nothing.
#[derive(Clone)]
pub struct FrameInput {
    state: Arc<Mutex<State>>,
    slot: Latest<Arc<Frame>>,
    time: Clock,
    cine_bytes: usize,
}

impl FrameInput {
    /// A door to `slot`; the engine's cine ring holds frames of up to `cine_bytes`.
    pub fn new(slot: Latest<Arc<Frame>>, time: Clock, cine_bytes: usize) -> Self {
        Self { state: Arc::default(), slot, time, cine_bytes }
    }

    /// Copies a picture in. `host_number` is carried beside the frame's own number.
    ///
    /// # Errors
    /// `Argument` when the picture or the time cannot be true; it is counted and nothing comes in.
    pub fn push(&self, picture: &Picture<'_>, time: CaptureTime, host_number: Option<u64>) -> Result<Entered> {
        self.push_by(|frame| frame.copy_from(picture), time, host_number)
    }

    /// Takes what `fill` makes of a frame; it is counted when that is refused.
    ///
    /// # Errors
    /// Those of `fill`, and those of its entry.
    pub fn push_by(
        &self,
        fill: impl FnOnce(&mut Frame) -> Result<()>,
        time: CaptureTime,
        host_number: Option<u64>,
    ) -> Result<Entered> {
        let Some(mut lease) = self.lease() else { return Ok(Entered::NoBuffer) };
        fill(&mut lease).inspect_err(|_| self.lock().report.refused += 1)?;
        lease.enter(time, host_number)
    }

    /// A frame to be filled in place; `None`, counted, when all memory for frames is in use.
    pub fn lease(&self) -> Option<Lease> {
        let mut state = self.lock();
        let bytes_max = self.bytes_max(&state);
        let frame = state.pool.take(bytes_max);
        if frame.is_none() {
            state.report.no_buffer += 1;
        }
        drop(state);
        let mut lease = Lease { frame: Some(frame?), input: self.clone() };
        // What was in it before must not come in again as new.
        lease.clear();
        Some(lease)
    }

    /// Forgets a frame that came in and was not taken yet; it counts as displaced.
    pub fn forget_waiting(&self) {
        let mut state = self.lock();
        state.report.displaced += u64::from(self.slot.take().is_some());
    }

    /// What has come in so far.
    pub fn report(&self) -> EntryReport {
        let state = self.lock();
        EntryReport { clock_jumps: state.clock.jumps(), ..state.report }
    }

    /// Memory of frames that are in use or kept for the next ones, bytes.
    pub fn bytes(&self) -> usize {
        self.lock().pool.bytes()
    }

    /// The clock that frames are dated by.
    pub fn clock(&self) -> &Clock {
        &self.time
    }

    fn bytes_max(&self, state: &State) -> usize {
        self.cine_bytes.saturating_add(FRAMES_ON_THE_WAY * state.frame_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame that is being filled, of which nobody else knows. Dropped, it goes back unused.
pub struct Lease {
    /// `None` once it was handed over.
    frame: Option<Arc<Frame>>,
    input: FrameInput,
}

const HELD: &str = "a lease holds its frame until it is handed over";

impl Deref for Lease {
    type Target = Frame;
    fn deref(&self) -> &Frame {
        self.frame.as_ref().expect(HELD)
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Frame {
        // Nobody else holds it, so nothing is cloned.
        Arc::make_mut(self.frame.as_mut().expect(HELD))
    }
}

impl Lease {
    /// Hands the frame over as the newest.
    ///
    /// # Errors
    /// `Argument` when the frame is empty or the time cannot be true; it is counted and nothing comes in.
    pub fn enter(mut self, time: CaptureTime, host_number: Option<u64>) -> Result<Entered> {
        let input = self.input.clone();
        let mut state = input.lock();
        let resolved = match self.pixels().is_empty() {
            true => Err(Error::new(ErrorKind::Argument, "frame: expected pixels, got none")),
            false => state.clock.resolve(time, input.time.now()),
        };
        let captured = match resolved {
            Ok(captured) => captured,
            Err(e) => {
                state.report.refused += 1;
                drop(state);
                return Err(e);
            }
        };
        let id = FrameId(state.last_number + 1);
        self.stamp(id, captured);
        self.trim();
        self.host_number = host_number;
        state.last_number = id.0;
        state.frame_bytes = self.pixels().len();
        let frame = self.frame.take().expect(HELD);
        let bytes_max = input.bytes_max(&state);
        state.pool.give(frame.clone(), bytes_max);
        // Within the lock, so that of two threads' frames the newer one stays.
        let displaced = input.slot.put(frame);
        state.report.entered += 1;
        state.report.displaced += u64::from(displaced.is_some());
        Ok(if displaced.is_some() { Entered::Displaced { id } } else { Entered::Taken { id } })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(frame) = self.frame.take() else { return };
        let mut state = self.input.lock();
        let bytes_max = self.input.bytes_max(&state);
        state.pool.give(frame, bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{POOL_FRAMES_MIN, PixelFormat};
    use crate::pipeline::latest::Wake;
    use crate::units::Timestamp;
    use std::sync::atomic::AtomicU64;

    fn door(cine_bytes: usize) -> (FrameInput, Latest<Arc<Frame>>, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(60_000_000_000));
        let slot = Latest::new(Wake::default());
        (FrameInput::new(slot.clone(), Clock::set_by(hand.clone()), cine_bytes), slot, hand)
    }

    #[test]
    fn a_frame_gets_a_number_of_ours_and_keeps_the_hosts_beside_it() {
        let (input, slot, _) = door(1 << 20);
        let pixels = [9; 64];
        let picture = Picture::dense(8, 8, PixelFormat::Grey8, &pixels);
        for (ours, host) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
            let entered = input.push(&picture, CaptureTime::Now, Some(host)).unwrap();
            assert_eq!(entered, Entered::Taken { id: FrameId(ours) });
            let frame = slot.take().unwrap();
            assert_eq!((frame.id(), frame.host_number()), (Some(FrameId(ours)), Some(host)));
            assert_eq!(frame.captured(), Timestamp::from_ms(60_000));
        }
    }

    #[test]
    fn what_is_refused_is_counted_and_takes_no_number() {
        let (input, slot, _) = door(1 << 20);
        let pixels = [9; 64];
        let good = Picture::dense(8, 8, PixelFormat::Grey8, &pixels);
        assert!(input.push(&Picture { height: 9, ..good }, CaptureTime::Now, None).is_err());
        assert!(input.push(&good, CaptureTime::Live(Timestamp::from_ms(99_000)), None).is_err());
        assert!(input.lease().unwrap().enter(CaptureTime::Now, None).is_err(), "an empty frame came in");
        assert!(slot.is_empty());
        assert_eq!(input.push(&good, CaptureTime::Now, None).unwrap(), Entered::Taken { id: FrameId(1) });
        assert_eq!(input.report(), EntryReport { entered: 1, refused: 3, ..EntryReport::default() });
    }

    #[test]
    fn a_frame_that_waits_can_be_forgotten() {
        let (input, slot, _) = door(1 << 20);
        let pixels = [9; 64];
        input.push(&Picture::dense(8, 8, PixelFormat::Grey8, &pixels), CaptureTime::Now, None).unwrap();
        input.forget_waiting();
        input.forget_waiting();
        assert!(slot.is_empty());
        assert_eq!(input.report(), EntryReport { entered: 1, displaced: 1, ..EntryReport::default() });
    }

    #[test]
    fn a_newer_frame_displaces_and_a_full_memory_leaves_out() {
        let (input, slot, _) = door(0);
        let pixels = [9; 64];
        let picture = Picture::dense(8, 8, PixelFormat::Grey8, &pixels);
        let mut held = Vec::new();
        let outcome = loop {
            let entered = input.push(&picture, CaptureTime::Now, None).unwrap();
            match slot.take() {
                Some(frame) => held.push(frame),
                None => break entered,
            }
            assert!(held.len() < 20, "memory for frames has no bound");
        };
        assert_eq!((outcome, held.len()), (Entered::NoBuffer, POOL_FRAMES_MIN));
        held.clear();
        input.push(&picture, CaptureTime::Now, None).unwrap();
        assert!(matches!(input.push(&picture, CaptureTime::Now, None).unwrap(), Entered::Displaced { .. }));
        assert_eq!((input.report().displaced, input.report().no_buffer), (1, 1));
    }
}
