//! What operations refuse, with what was expected, what came and where.

use std::fmt;

/// What went wrong, coarse enough to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A network contradicts itself, or a graph is another than expected.
    Model,
    /// A caller's argument is outside what the function takes.
    Argument,
    /// Well-formed, but there is no kernel for it.
    Unsupported,
    /// This processor does not have the kernels.
    Unavailable,
    /// An unknown name.
    Config,
}

/// Result of every fallible function that is not an operation's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with its kind, what was expected, what came and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    context: String,
}

impl Error {
    /// An error of this kind; `context` says what was expected, what came and where.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into() }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Puts `place` in front of the message.
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

impl std::error::Error for Error {}
