//! The date and time of day, and whether anybody vouches for them.
//!
//! A device without a network and with an empty battery wakes in 1970. Its pictures are saved all the same; sending waits
//! until somebody has confirmed the exam's date.

use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Before this, seconds since 1970, no clock can be right: 2026-11-01.
const RELEASED_S: i64 = 1_793_491_200;
/// systemd-timesyncd leaves it once it has the time of a server.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// What the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The time.
    pub now: DateTime<Utc>,
    /// Whether the system has it from a time server.
    pub is_synchronized: bool,
}

impl ClockReading {
    /// Reads the system's clock.
    pub fn take() -> Self {
        Self { now: SystemTime::now().into(), is_synchronized: Path::new(SYNCHRONIZED).exists() }
    }

    /// Whether the reading can be relied on, when `newest` is the latest time that is on the disk already.
    pub fn judge(&self, newest: Option<DateTime<Utc>>) -> ClockState {
        let doubt = if self.now.timestamp() < RELEASED_S {
            ClockDoubt::BeforeRelease
        } else if newest.is_some_and(|newest| self.now < newest) {
            ClockDoubt::WentBack
        } else if !self.is_synchronized {
            ClockDoubt::NotSynchronized
        } else {
            return ClockState::Synchronized;
        };
        ClockState::Unverified { doubt }
    }
}

/// Whether the clock of an exam can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ClockState {
    /// The system had the time from a time server.
    Synchronized,
    /// Nobody vouches for it.
    Unverified {
        /// Why.
        doubt: ClockDoubt,
    },
}

/// Why a clock is not relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockDoubt {
    /// The system has no time server.
    NotSynchronized,
    /// It says a time before this program was made.
    BeforeRelease,
    /// It says a time before that of a saved exam.
    WentBack,
}

impl ClockDoubt {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotSynchronized => "no time server",
            Self::BeforeRelease => "older than this program",
            Self::WentBack => "earlier than a saved exam",
        }
    }
}

/// `20261129` and `103000.250000`, as DICOM writes them.
pub(crate) fn dicom_date_time(at: &DateTime<Utc>) -> (String, String) {
    (at.format("%Y%m%d").to_string(), at.format("%H%M%S%.6f").to_string())
}

/// A time as text in a file.
pub(crate) fn text_of(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_relied_on_only_when_somebody_vouches_for_it() {
        let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
        let doubt = |doubt| ClockState::Unverified { doubt };
        assert_eq!(at(RELEASED_S).to_rfc3339(), "2026-11-01T00:00:00+00:00");
        for (now, is_synchronized, newest, expected) in [
            (RELEASED_S + 9, true, None, ClockState::Synchronized),
            (RELEASED_S + 9, true, Some(RELEASED_S + 9), ClockState::Synchronized),
            (RELEASED_S + 9, false, None, doubt(ClockDoubt::NotSynchronized)),
            (RELEASED_S + 9, true, Some(RELEASED_S + 10), doubt(ClockDoubt::WentBack)),
            (0, true, None, doubt(ClockDoubt::BeforeRelease)),
            (RELEASED_S - 1, true, None, doubt(ClockDoubt::BeforeRelease)),
        ] {
            let reading = ClockReading { now: at(now), is_synchronized };
            assert_eq!(reading.judge(newest.map(at)), expected, "{now} {newest:?}");
        }
        let (date, time) = dicom_date_time(&at(RELEASED_S + 3_661));
        assert_eq!((date.as_str(), time.as_str()), ("20261101", "010101.000000"));
    }
}
