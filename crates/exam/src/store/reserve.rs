//! Space that is kept for what has begun when the disk gets full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sonotap::durable::{self, PartFile, cannot_write};
use sonotap::{Error, ErrorKind, Result};

/// A cine of ten seconds with its still, at 640x480.
pub(crate) const BYTES: u64 = 48 << 20;
const NAME: &str = ".reserve";

/// A file of zeros that is given up when a write finds the disk full. Until it is filled again nothing new is begun.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub(crate) fn new(root: &Path, bytes: u64) -> Self {
        Self { path: root.join(NAME), bytes }
    }

    /// Its size when it is full.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is there, whole.
    pub(crate) fn is_full(&self) -> bool {
        File::open(&self.path).and_then(|f| f.metadata()).is_ok_and(|m| m.len() == self.bytes)
    }

    /// Fills it where it is not full.
    ///
    /// # Errors
    /// `Io`, also on a full disk.
    pub(crate) fn fill(&self) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let mut file = PartFile::create(&self.path)?;
        // Zeros that are written take their blocks; a hole would take none.
        let zeros = vec![0; 1 << 20];
        let mut left = self.bytes;
        while left > 0 {
            let now = left.min(zeros.len() as u64) as usize;
            if let Err(e) = file.write_all(&zeros[..now]) {
                file.discard();
                return Err(cannot_write(e));
            }
            left -= now as u64;
        }
        let synced = file.sync();
        if let Err(e) = synced {
            file.discard();
            return Err(e);
        }
        file.publish()
    }

    /// Refuses to begin anything while it is not full.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) fn check(&self) -> Result<()> {
        self.fill().map_err(|e| {
            let what =
                "disk full: expected space for the reserve, got none; what runs is finished, nothing new is begun";
            Error::caused(ErrorKind::Unavailable, what, e)
        })
    }

    /// Gives the space up. Whether there was any.
    pub(crate) fn release(&self) -> bool {
        let is_there = std::fs::remove_file(&self.path).is_ok();
        if let Some(folder) = self.path.parent().filter(|_| is_there) {
            // The space is free in either case.
            let _ = durable::sync_folder(folder);
        }
        is_there
    }
}
