//! Where the files of a model come from: a folder, or the memory of a host that has no file system.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::manifest::{FileSpec, MANIFEST, Manifest, hex_digest};
use crate::error::{Error, ErrorKind, Result};

/// A model's files, each found by its plain name.
#[derive(Clone, Copy, Debug)]
pub enum ModelFiles<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In memory.
    Memory(&'a MemoryFiles),
}

impl<'a> ModelFiles<'a> {
    /// A whole file. Of a file that is longer than `bytes_max` at most one byte more is read.
    ///
    /// # Errors
    /// `Io` when there is no such file or it cannot be read, `Model` when it is longer.
    pub fn read(&self, file: &str, bytes_max: u64) -> Result<Cow<'a, [u8]>> {
        match self {
            Self::Folder(folder) => read_bounded(folder, file, bytes_max).map(Cow::Owned),
            Self::Memory(files) => {
                let bytes = files.get(file).ok_or_else(|| {
                    let names: Vec<&str> = files.names().collect();
                    Error::new(ErrorKind::Io, format!("{file}: expected it among the files in memory, got {names:?}"))
                })?;
                bounded(file, bytes.len() as u64, bytes_max)?;
                Ok(Cow::Borrowed(bytes))
            }
        }
    }

    /// A file of the manifest, compared with its size and SHA-256.
    ///
    /// # Errors
    /// Those of [`Self::read`]; `Model` when it differs.
    pub fn read_checked(&self, spec: &FileSpec) -> Result<Cow<'a, [u8]>> {
        let bytes = self.read(&spec.file, spec.bytes)?;
        if bytes.len() as u64 != spec.bytes {
            return Err(refused(format!("{}: expected {} bytes, got {}", spec.file, spec.bytes, bytes.len())));
        }
        let got = hex_digest(&bytes);
        if !got.eq_ignore_ascii_case(&spec.sha256) {
            return Err(refused(format!("{}: expected SHA-256 {}, got {got}", spec.file, spec.sha256)));
        }
        Ok(bytes)
    }
}

/// Copies of a model's files.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Vec<(String, Box<[u8]>)>);

impl MemoryFiles {
    /// Copies of the manifest of a folder and of the files that it names, each compared with its digest.
    ///
    /// # Errors
    /// `Io` when one cannot be read, `Model` when one differs from the manifest.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let files = ModelFiles::Folder(folder);
        let mut copies = Self::default();
        let manifest = Manifest::of(&files)?;
        copies.add(MANIFEST, &files.read(MANIFEST, super::manifest::MANIFEST_BYTES_MAX)?);
        for spec in [manifest.encoder.file_spec(), manifest.decoder.file_spec(), manifest.card] {
            copies.add(&spec.file, &files.read_checked(&spec)?);
        }
        Ok(copies)
    }

    /// Adds a copy of a file, in the place of one of that name.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), bytes.into()));
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, bytes)| &**bytes)
    }
}

fn refused(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

fn bounded(file: &str, size: u64, bytes_max: u64) -> Result<()> {
    if size > bytes_max {
        return Err(refused(format!("{file}: expected at most {bytes_max} bytes, got {size}")));
    }
    Ok(())
}

/// Reads at most one byte more than `bytes_max`: a file that is too large is detected and never read whole.
fn read_bounded(folder: &Path, file: &str, bytes_max: u64) -> Result<Vec<u8>> {
    let cannot =
        |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{file}: cannot be read from the model folder"), e);
    let opened = File::open(folder.join(file)).map_err(cannot)?;
    let size = opened.metadata().map_err(cannot)?.len();
    bounded(file, size, bytes_max)?;
    let mut bytes = Vec::with_capacity(size as usize + 1);
    opened.take(bytes_max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(refused(format!("{file}: expected at most {bytes_max} bytes, got more")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student")
    }

    #[test]
    fn a_folder_in_memory_has_the_same_manifest_and_the_same_bytes() {
        let (folder, files) = (bundled(), MemoryFiles::of_folder(&bundled()).unwrap());
        let (on_disk, in_memory) = (ModelFiles::Folder(&folder), ModelFiles::Memory(&files));
        let manifest = Manifest::of(&on_disk).unwrap();
        assert_eq!(manifest, Manifest::of(&in_memory).unwrap());
        let spec = manifest.encoder.file_spec();
        assert_eq!(on_disk.read_checked(&spec).unwrap(), in_memory.read_checked(&spec).unwrap());
        assert!(files.bytes() as u64 > spec.bytes);
    }

    #[test]
    fn a_missing_a_longer_and_a_changed_file_in_memory_are_refused() {
        let mut files = MemoryFiles::default();
        files.add("a", b"abc");
        let memory = ModelFiles::Memory(&files);
        let missing = memory.read("b", 9).unwrap_err();
        assert_eq!((missing.kind(), missing.to_string().contains("[\"a\"]")), (ErrorKind::Io, true), "{missing}");
        assert_eq!(memory.read("a", 2).unwrap_err().kind(), ErrorKind::Model);
        let spec = |bytes, text: &[u8]| FileSpec { file: "a".into(), bytes, sha256: hex_digest(text) };
        assert!(memory.read_checked(&spec(3, b"abc")).is_ok());
        assert_eq!(memory.read_checked(&spec(4, b"abc")).unwrap_err().kind(), ErrorKind::Model);
        assert_eq!(memory.read_checked(&spec(3, b"abd")).unwrap_err().kind(), ErrorKind::Model);
        files.add("a", b"abd");
        assert!(ModelFiles::Memory(&files).read_checked(&spec(3, b"abd")).is_ok());
    }
}
