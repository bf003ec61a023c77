//! Monotonic time, and a clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::units::Timestamp;

/// Monotonic time since the clock was made. Clones share their beginning.
#[derive(Clone, Debug)]
pub struct Clock(Time);

#[derive(Clone, Debug)]
enum Time {
    Real(Instant),
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock, from now on.
    pub fn monotonic() -> Self {
        Self(Time::Real(Instant::now()))
    }

    /// A clock that stands at `hand` and moves when the hand is set.
    pub fn set_by(hand: Arc<AtomicU64>) -> Self {
        Self(Time::Set(hand))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Time::Real(start) => Timestamp::from_ns(start.elapsed().as_nanos() as u64),
            Time::Set(hand) => Timestamp::from_ns(hand.load(Ordering::Acquire)),
        }
    }
}
