//! Files that get their name only when they are complete, and keep it through a power cut.
//!
//! A file is written next to its destination as `*.part`, synced and renamed, and the folder is synced (Pillai et al.,
//! "All File Systems Are Not Created Equal", OSDI 2014). An existing `*.part` is removed first and never written
//! through: it may be a link to another place.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// `path` with `.part` appended.
pub fn part_of(path: &Path) -> PathBuf {
    let mut part = OsString::from(path);
    part.push(".part");
    part.into()
}

/// A file that gets its name only when it is complete.
pub struct PartFile {
    writer: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl PartFile {
    /// Creates a file that will be called `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be written there.
    pub fn create(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::new(ErrorKind::Io, "expected a file to write, got a folder"));
        }
        let part = part_of(path);
        match std::fs::remove_file(&part) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot_write(e)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&part).map_err(cannot_write)?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 18, file), part, path: path.to_path_buf() })
    }

    /// Syncs the file to the disk; [`PartFile::publish`] gives it its name.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<()> {
        self.writer.flush().map_err(cannot_write)?;
        self.writer.get_ref().sync_all().map_err(cannot_write)
    }

    /// Gives the file its name. After that it survives a power cut.
    ///
    /// # Errors
    /// `Io`.
    pub fn publish(mut self) -> Result<()> {
        self.sync()?;
        publish(&self.part, &self.path)
    }

    /// Removes the file.
    pub fn discard(self) {
        let Self { writer, part, .. } = self;
        drop(writer);
        // A leftover of a discarded file is no error.
        let _ = std::fs::remove_file(part);
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

/// Writes a file; after an error the former file is unchanged.
///
/// # Errors
/// `Io`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = PartFile::create(path)?;
    let written = file.write_all(bytes).map_err(cannot_write).and_then(|()| file.publish());
    // A partial file is worthless.
    written.inspect_err(|_| drop(std::fs::remove_file(part_of(path))))
}

/// Renames a complete, synced file, and syncs its folder.
///
/// # Errors
/// `Io`.
pub fn publish(part: &Path, path: &Path) -> Result<()> {
    std::fs::rename(part, path).map_err(cannot_write)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder)
}

/// Syncs a folder's entries to the disk.
///
/// # Errors
/// `Io`.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Elsewhere a folder cannot be opened as a file and needs no sync.
    match cfg!(unix) {
        true => File::open(folder).and_then(|f| f.sync_all()).map_err(cannot_write),
        false => Ok(()),
    }
}

/// A write error.
pub fn cannot_write(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused(ErrorKind::Io, format!("cannot be written: {e}"), e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let mut file = PartFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!path.exists());
        file.publish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        PartFile::create(&path).unwrap().discard();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole", "a file that was given up took the one before with it");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(PartFile::create(folder.path()).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_named_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("a.txt");
        assert_eq!(write(&path, b"whole").unwrap_err().kind(), ErrorKind::Io);
        let path = folder.path().join("a.txt");
        write(&path, b"whole").unwrap();
        write(&path, b"newer").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_parts_place_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("a.txt"), folder.path().join("elsewhere"));
        std::fs::write(&elsewhere, b"untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, part_of(&path)).unwrap();
        let mut file = PartFile::create(&path).unwrap();
        file.write_all(b"mine").unwrap();
        file.publish().unwrap();
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"untouched");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        assert!(!path.is_symlink());
    }
}
