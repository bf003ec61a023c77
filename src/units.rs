//! Units as types: a time is not a frame number, a length in millimetres is not a length in pixels.

use std::fmt;
use std::ops::{Add, Sub};

/// A point in monotonic time, or a span of it, in nanoseconds. Differences saturate at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Whole milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Seconds; negative and non-finite input gives zero.
    pub fn from_secs_f64(s: f64) -> Self {
        Self((s * 1e9).max(0.0) as u64)
    }

    /// As milliseconds.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As seconds.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self(self.0.saturating_add(o.0))
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self.since(o)
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(n: Nanos) -> Self {
        Self::from_nanos(n.0)
    }
}

/// Number of a captured frame, counted from 1 by the capture side; never reused within a run. 0 is no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
