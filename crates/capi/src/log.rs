//! Log lines and wake-ups on their way to the host. Once a callback has been taken away it is not called again: taking it away waits for
//! calls that are under way.

use std::ffi::{CString, c_void};
use std::sync::{Once, PoisonError, RwLock};

use log::{Level, LevelFilter, Metadata, Record};

use crate::boundary::{calling_back, is_in_callback};
use crate::types::{sonotap_log_fn, sonotap_wake_fn};

/// A host's argument, handed back to it as it came.
#[derive(Clone, Copy)]
struct User(*mut c_void);

// SAFETY: nothing here reads through it, and the header demands that callbacks may be called from any thread.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

static SINK: RwLock<Option<(sonotap_log_fn, User)>> = RwLock::new(None);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // A host that causes a log line within its own log callback would wait for itself.
        if is_in_callback() || !self.enabled(record.metadata()) {
            return;
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        let Some((Some(log), user)) = *sink else { return };
        let text = CString::new(record.args().to_string().replace('\0', " ")).unwrap_or_default();
        let level = match record.level() {
            Level::Error => 1,
            Level::Warn => 2,
            _ => 3,
        };
        // SAFETY: the host gave both for this, and the text lives until the call returns.
        calling_back(|| unsafe { log(user.0, level, text.as_ptr()) });
    }

    fn flush(&self) {}
}

/// Sends lines up to a level to the host; none without a callback.
pub(crate) fn set(log: sonotap_log_fn, user: *mut c_void, level_max: i32) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // In a Rust program that links this package and has a logger of its own, that one stays.
        let _ = log::set_logger(&Logger);
    });
    let level = match level_max {
        _ if log.is_none() => LevelFilter::Off,
        ..=0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        _ => LevelFilter::Info,
    };
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = log.is_some().then_some((log, User(user)));
    log::set_max_level(level);
}

/// Tells a host that there may be something to poll.
#[derive(Default)]
pub(crate) struct Alarm(RwLock<Option<(sonotap_wake_fn, User)>>);

impl Alarm {
    pub(crate) fn new(wake: sonotap_wake_fn, user: *mut c_void) -> Self {
        Self(RwLock::new(wake.is_some().then_some((wake, User(user)))))
    }

    pub(crate) fn ring(&self) {
        let alarm = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((Some(wake), user)) = *alarm else { return };
        // SAFETY: the host gave both for this.
        calling_back(|| unsafe { wake(user.0) });
    }

    /// From the return on it never rings again.
    pub(crate) fn silence(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
