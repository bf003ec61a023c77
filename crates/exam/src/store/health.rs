//! How a store is: space, clock, what waits to be sent.

use chrono::{DateTime, Utc};
use sonotap::Result;

use super::Store;
use super::exam::Exam;
use crate::wall_clock::{ClockDoubt, ClockState};

/// Space is low below so many times the reserve.
const LOW_RESERVES: u64 = 10;

/// How a store is, for a screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Bytes that can still be written, beside the reserve.
    pub free_bytes: Option<u64>,
    /// Whether that is less than ten times the reserve.
    pub is_low: bool,
    /// The reserve is not there: nothing new is begun.
    pub is_reserve_used: bool,
    /// When the exam began, or what the clock says where none has, as `2026-11-29 10:30 UTC`.
    pub date: String,
    /// Why the date of the exam, or of one that would begin now, is not relied on.
    pub doubt: Option<ClockDoubt>,
    /// Ended exams of which something was sent nowhere.
    pub unsent: usize,
}

impl StoreHealth {
    pub(crate) fn of(store: &Store, exam: Option<&Exam>, unsent: usize) -> Self {
        let free_bytes = rustix::fs::statvfs(store.root()).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        let reserve_bytes = store.reserve().map_or(0, |r| r.bytes());
        Self {
            free_bytes,
            is_low: free_bytes.is_some_and(|free| free < LOW_RESERVES * reserve_bytes),
            is_reserve_used: store.reserve().is_some_and(|r| !r.is_full()),
            date: date(store, exam),
            doubt: doubt(store, exam),
            unsent,
        }
    }

    /// Counts ended exams of which something was sent nowhere.
    pub(crate) fn unsent(store: &Store) -> usize {
        let is_unsent = |name| -> Result<bool> {
            let view = store.view(name)?;
            Ok(view.is_ended() && view.unsent()? > 0)
        };
        // An exam that cannot be read is no reason to be silent about the others.
        let names = store.names().unwrap_or_default();
        names.iter().filter(|name| is_unsent(name).unwrap_or(false)).count()
    }
}

fn date(store: &Store, exam: Option<&Exam>) -> String {
    let began = exam.and_then(|exam| exam.view().record().began.parse::<DateTime<Utc>>().ok());
    began.unwrap_or_else(|| store.clock().now).format("%Y-%m-%d %H:%M UTC").to_string()
}

fn doubt(store: &Store, exam: Option<&Exam>) -> Option<ClockDoubt> {
    let state = match exam {
        Some(exam) if exam.view().is_date_confirmed() => return None,
        Some(exam) => exam.view().record().clock,
        None => store.clock().judge(store.newest().ok().flatten()),
    };
    match state {
        ClockState::Synchronized => None,
        ClockState::Unverified { doubt } => Some(doubt),
    }
}
