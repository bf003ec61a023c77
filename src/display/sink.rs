//! Where recorded pictures go, whatever the format; and a file that has its name only when it is whole.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Presented;
use crate::error::{Error, ErrorKind, Result};

/// What a sink did with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is, or will be, in the recording.
    Written,
    /// It came so soon after the one before that it took its place.
    Replaced,
}

/// One format of recording; runs on the writing thread.
pub(super) trait Sink: Send {
    /// Adds a picture, row-major 0x00RRGGBB, of the size that the sink was made for.
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate>;
    /// Closes the recording and gives it its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// `path` with `.part` at its end.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut part = OsString::from(path);
    part.push(".part");
    part.into()
}

/// A file that has its name only when it is whole.
pub(super) struct PartFile {
    writer: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl PartFile {
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::new(ErrorKind::Io, "expected a file to write, got a folder"));
        }
        let part = part_of(path);
        let file = File::create(&part).map_err(cannot_write)?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 18, file), part, path: path.to_path_buf() })
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.writer.flush().map_err(cannot_write)?;
        self.writer.get_ref().sync_all().map_err(cannot_write)?;
        std::fs::rename(&self.part, &self.path).map_err(cannot_write)
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

pub(super) fn cannot_write(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused(ErrorKind::Io, format!("cannot be written: {e}"), e)
}
