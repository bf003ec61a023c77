//! The one error type of the library.
//!
//! An [`Error`] says what was expected, what came and where. Outcomes of a running pipeline ("no new frame", "busy",
//! "too old") are not errors; they are values of the functions that meet them.

use std::fmt;

/// What went wrong, coarse enough to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or device could not be read or written.
    Io,
    /// The bytes are not what their kind promises: truncated, corrupt, not this format.
    Format,
    /// Well-formed, but of a kind that sonotap does not handle.
    Unsupported,
    /// A configuration, taps or manifest file says something that cannot be.
    Config,
    /// A model folder is incomplete, changed, or computes something else than its manifest says.
    Model,
    /// A caller's argument is outside what the function takes.
    Argument,
    /// The device has no such capability: no display, no camera.
    Unavailable,
}

/// Result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with its kind, what was expected, what came and where, and the error beneath it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `context` says what was expected, what came and where.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// The same, keeping the error that caused it.
    pub fn caused(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(source.into()) }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was expected, what came and where, without the causes.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Puts `place` in front of the message, so that an inner function need not know the file it works for.
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.context = format!("{place}: {}", self.context);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_goes_in_front_and_cause_is_kept() {
        let cause = std::io::Error::other("disk on fire");
        let e = Error::caused(ErrorKind::Io, "expected 4 bytes, got 2", cause).within("cine.dcm");
        assert_eq!(e.to_string(), "cine.dcm: expected 4 bytes, got 2");
        assert_eq!(std::error::Error::source(&e).unwrap().to_string(), "disk on fire");
        assert_eq!(e.kind(), ErrorKind::Io);
    }
}
