//! The bytes of a file, in memory or read where they lie: a cine of a gigabyte costs no more memory than a still.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::{Error, ErrorKind, Result};

/// Bytes that can be read by place.
#[derive(Clone, Debug)]
pub enum Store {
    /// All of them.
    Memory(Arc<Vec<u8>>),
    /// An open file of so many bytes.
    File(Arc<Mutex<File>>, usize),
}

impl Store {
    /// Opens a regular file: a pipe would be waited for without end.
    ///
    /// # Errors
    /// `Io` when it cannot be opened, `Unsupported` when it is no regular file or larger than this machine can address.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        let len = file.metadata().map_err(unreadable)?.len();
        let len = usize::try_from(len).map_err(|_| Error::new(ErrorKind::Unsupported, "the file is too large"))?;
        Ok(Self::File(Arc::new(Mutex::new(file)), len))
    }

    /// Those of a slice.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Memory(Arc::new(bytes.to_vec()))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(_, len) => *len,
        }
    }

    /// Appends a range to `out`.
    ///
    /// # Errors
    /// `Format` for a range beyond the end, `Io` when the file cannot be read (any more).
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        if range.start > range.end || range.end > self.len() {
            let message = format!("expected bytes {} to {}, got a file of {}", range.start, range.end, self.len());
            return Err(Error::new(ErrorKind::Format, message));
        }
        match self {
            Self::Memory(bytes) => out.extend_from_slice(&bytes[range]),
            Self::File(file, _) => {
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                file.seek(SeekFrom::Start(range.start as u64)).map_err(unreadable)?;
                let from = out.len();
                out.resize(from + range.len(), 0);
                file.read_exact(&mut out[from..]).map_err(unreadable)?;
            }
        }
        Ok(())
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// `Io` when it cannot be opened, `Unsupported` when it is a folder, a pipe or a device.
pub fn open_regular(path: &Path) -> Result<File> {
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        let got = if kind.is_dir() { "a folder" } else { "a pipe or a device" };
        return Err(Error::new(ErrorKind::Unsupported, format!("expected a regular file, got {got}")));
    }
    File::open(path).map_err(unreadable)
}

fn unreadable(cause: std::io::Error) -> Error {
    Error::caused(ErrorKind::Io, "the file cannot be read", cause)
}
