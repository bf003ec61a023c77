//! Units as types: a point in time is not a span of it, a frame number not a count, a length in millimetres not one in pixels.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time on the live path's clock, in nanoseconds since the clock's start.
///
/// Arithmetic saturates: nothing is before the start, and no sum wraps.
///
/// ```
/// # use std::time::Duration;
/// # use sonotap::units::Timestamp;
/// let captured = Timestamp::from_ms(100);
/// let lit = captured + Duration::from_millis(33);
/// assert_eq!(lit.since(captured), Duration::from_millis(33));
/// assert_eq!(captured.since(lit), Duration::ZERO);
/// assert_eq!(captured - Duration::from_secs(1), Timestamp::START);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The clock's start.
    pub const START: Self = Self(0);

    /// Nanoseconds after the clock's start.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Whole milliseconds after the clock's start.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_ns()))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_ns()))
    }
}

/// A span of time as a raw number.
pub trait Span: Copy {
    /// Seconds; negative and non-finite input gives zero, what is too long the longest that nanoseconds can say.
    fn of_secs(s: f64) -> Self;

    /// Whole nanoseconds; `u64::MAX` for spans beyond 584 years.
    fn as_ns(self) -> u64;

    /// Milliseconds.
    fn as_ms(self) -> f64;
}

impl Span for Duration {
    fn of_secs(s: f64) -> Self {
        Self::from_nanos((s * 1e9).max(0.0) as u64)
    }

    fn as_ns(self) -> u64 {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX)
    }

    fn as_ms(self) -> f64 {
        self.as_ns() as f64 / 1e6
    }
}

/// Number of a captured frame, counted from 1 by the capture side; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u64);

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Counts the operator's edits of the prompts; a mask is of the revision that it was computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// Which of the (at most [`ObjectId::MAX`]) objects on the image, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u8);

impl ObjectId {
    /// Most objects that are outlined at a time.
    pub const MAX: usize = 4;

    /// As an index, below [`Self::MAX`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The model's own estimate of a mask's IoU with the truth, 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Score(f32);

impl Score {
    /// Clamped to 0..=1; `None` for NaN.
    pub fn new(v: f32) -> Option<Self> {
        (!v.is_nan()).then(|| Self(v.clamp(0.0, 1.0)))
    }

    /// The value, 0..=1.
    pub fn get(self) -> f32 {
        self.0
    }
}

/// A length in millimetres.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Millimetres(pub f64);

/// An area in square millimetres.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct SquareMillimetres(pub f64);

/// A volume in millilitres, which are cubic centimetres.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Millilitres(pub f64);
