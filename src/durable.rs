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

/// Writes a file. After an error that came before its name, the former file is unchanged.
///
/// # Errors
/// `Io`, beginning with the path.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_all(&[(path.to_path_buf(), bytes)])
}

/// Writes several files: all are on the disk before the first gets its name, and all names before this returns. When one cannot
/// be written, none gets its name.
///
/// After a failed sync Linux takes the pages for clean: syncing again would succeed without writing them (Rebello et al., ATC
/// 2020). So the files are written anew from memory, once, and never synced a second time.
///
/// # Errors
/// `Io`, beginning with the path.
pub fn write_all<B: AsRef<[u8]>>(files: &[(PathBuf, B)]) -> Result<()> {
    match write_all_once(files) {
        Err(e) if os_error(&e).and_then(std::io::Error::raw_os_error) == Some(EIO) => write_all_once(files),
        done => done,
    }
}

/// Input/output error, as Linux and its relatives number it.
const EIO: i32 = 5;

fn write_all_once<B: AsRef<[u8]>>(files: &[(PathBuf, B)]) -> Result<()> {
    let mut parts = Vec::with_capacity(files.len());
    let written = files.iter().try_for_each(|(path, bytes)| {
        let named = |e: Error| e.within(path.display());
        let mut part = PartFile::create(path).map_err(named)?;
        let whole = part.write_all(bytes.as_ref()).map_err(cannot_write).and_then(|()| part.sync());
        parts.push((path, part));
        whole.map_err(named)
    });
    if written.is_err() {
        parts.into_iter().for_each(|(_, part)| part.discard());
        return written;
    }
    let mut folders: Vec<&Path> = Vec::new();
    for (path, PartFile { part, .. }) in &parts {
        std::fs::rename(part, path).map_err(|e| cannot_write(e).within(path.display()))?;
        if !folders.contains(&folder_of(path)) {
            folders.push(folder_of(path));
        }
    }
    folders.into_iter().try_for_each(|folder| sync_folder(folder).map_err(|e| e.within(folder.display())))
}

/// What the system said, beneath an error of this module.
pub fn os_error(error: &Error) -> Option<&std::io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        match e.downcast_ref::<std::io::Error>() {
            Some(io) => return Some(io),
            None => cause = e.source(),
        }
    }
    None
}

/// Whether a write failed because the disk is full.
pub fn is_full(error: &Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    os_error(error).is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded))
}

/// Makes a folder, and syncs the one that it is in.
///
/// # Errors
/// `Io`.
pub fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(cannot_write)?;
    sync_folder(folder_of(path))
}

/// Renames a file or folder that is on the disk already, and syncs both folders.
///
/// # Errors
/// `Io`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(cannot_write)?;
    sync_folder(folder_of(to))?;
    if folder_of(from) == folder_of(to) { Ok(()) } else { sync_folder(folder_of(from)) }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Renames a complete, synced file, and syncs its folder.
///
/// # Errors
/// `Io`.
pub fn publish(part: &Path, path: &Path) -> Result<()> {
    std::fs::rename(part, path).map_err(cannot_write)?;
    sync_folder(folder_of(path))
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

    #[test]
    fn of_several_files_all_get_their_names_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("c")).unwrap();
        let files = |names: [&str; 3]| names.map(|n| (path(n), n.as_bytes().to_vec()));
        let refused = write_all(&files(["a", "b", "c"])).unwrap_err();
        assert_eq!(refused.to_string(), format!("{}: expected a file to write, got a folder", path("c").display()));
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "a file of a failed set stayed");
        write_all(&files(["a", "b", "d"])).unwrap();
        assert_eq!(std::fs::read(path("d")).unwrap(), b"d");
        assert_eq!(folder.path().read_dir().unwrap().count(), 4);
    }

    #[test]
    fn a_full_disk_is_known_beneath_any_error() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(is_full(&cannot_write(full())) && is_full(&cannot_write(full()).within("a.dcm")));
        assert!(is_full(&Error::caused(ErrorKind::Io, "outer", cannot_write(full()))));
        assert!(!is_full(&cannot_write(std::io::Error::from(std::io::ErrorKind::NotFound))));
        assert!(!is_full(&Error::new(ErrorKind::Io, "no space")));
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
