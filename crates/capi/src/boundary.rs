//! What no call may do: unwind into the host, print, or be called from within a callback.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use sonotap::error::{Error, ErrorKind};

use crate::types::*;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A status below 0 with its text.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: sonotap_status,
    pub text: String,
}

pub(crate) type Outcome<T = sonotap_status> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: sonotap_status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(SONOTAP_E_ARGUMENT, text)
    }

    pub(crate) fn thread() -> Self {
        Self::new(SONOTAP_E_THREAD, "expected one thread at a time in [owner] functions, got a second one")
    }

    pub(crate) fn panicked(text: &str) -> Self {
        Self::new(SONOTAP_E_PANIC, format!("a defect of sonotap: {text}; close the handle"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self { status: status_of(error.kind()), text }
    }
}

/// The status of every kind of error of the library.
pub(crate) fn status_of(kind: ErrorKind) -> sonotap_status {
    match kind {
        ErrorKind::Argument => SONOTAP_E_ARGUMENT,
        ErrorKind::Io => SONOTAP_E_IO,
        ErrorKind::Format => SONOTAP_E_FORMAT,
        ErrorKind::Unsupported => SONOTAP_E_UNSUPPORTED,
        ErrorKind::Config => SONOTAP_E_CONFIG,
        ErrorKind::Model => SONOTAP_E_MODEL,
        ErrorKind::Unavailable => SONOTAP_E_UNAVAILABLE,
        // Of a kind that came after this file.
        _ => SONOTAP_E_UNAVAILABLE,
    }
}

/// Runs the body of a function: a failure becomes a status and the thread's last error.
pub(crate) fn call(body: impl FnOnce() -> Outcome) -> sonotap_status {
    let is_in_callback = IN_CALLBACK.try_with(Cell::get).unwrap_or(true);
    let outcome = if is_in_callback {
        Err(Failure::new(SONOTAP_E_THREAD, "expected no sonotap function within a callback, got one"))
    } else {
        contained(body).unwrap_or_else(|text| Err(Failure::panicked(&text)))
    };
    outcome.unwrap_or_else(|failure| {
        let Failure { status, text } = failure;
        // A thread that is ending has no place for it any more.
        let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
        status
    })
}

/// Runs `body`; a panic comes back as its text, and is not printed.
pub(crate) fn contained<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let calls = |add: bool| {
        let _ = CALLS.try_with(|n| n.set(if add { n.get() + 1 } else { n.get() - 1 }));
    };
    calls(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    calls(false);
    outcome.map_err(|payload| {
        // Its own drop could panic again.
        std::mem::forget(payload);
        PANIC.try_with(|text| std::mem::take(&mut *text.borrow_mut())).unwrap_or_default()
    })
}

/// Runs a host's callback: every function that it calls is refused.
pub(crate) fn calling_back(callback: impl FnOnce()) {
    let before = IN_CALLBACK.try_with(|inside| inside.replace(true)).unwrap_or(true);
    callback();
    let _ = IN_CALLBACK.try_with(|inside| inside.set(before));
}

pub(crate) fn is_in_callback() -> bool {
    IN_CALLBACK.try_with(Cell::get).unwrap_or(true)
}

/// The text of this thread's last failure.
pub(crate) fn with_last_error<T>(read: impl FnOnce(&str) -> T) -> Option<T> {
    LAST_ERROR.try_with(|last| read(&last.borrow())).ok()
}

/// From the first call on panics of this library are logged and not printed. In the shared library there are no others.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_call = CALLS.try_with(|n| n.get() > 0).unwrap_or(true);
            let is_ours = is_call || std::thread::current().name() == Some("segmenter");
            if !is_ours {
                return before(info);
            }
            let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
            let text = format!("{}{place}", words_of(info.payload()));
            if !is_in_callback() {
                log::error!("panic: {text}");
            }
            let _ = PANIC.try_with(|panic| *panic.borrow_mut() = text);
        }));
    });
}

fn words_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
