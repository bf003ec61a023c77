//! Text files that are read whole: no larger than they may be, and UTF-8.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Reads `what`, for errors "a profile" or the like, of at most so many bytes; of a larger file not more than one byte beyond.
///
/// # Errors
/// `Io` when it cannot be read, `Config` when it is larger, `Format` when it is not UTF-8; all begin with the path.
pub fn read(path: &Path, what: &str, bytes_max: usize) -> Result<String> {
    let place = path.display().to_string();
    let failed = |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{place}: cannot be read: {e}"), e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    check_size(bytes.len(), &place, what, bytes_max)?;
    String::from_utf8(bytes).map_err(|e| Error::caused(ErrorKind::Format, format!("{place}: expected UTF-8 text"), e))
}

/// Refuses more than so many bytes.
///
/// # Errors
/// `Config`.
pub fn check_size(bytes: usize, place: &str, what: &str, bytes_max: usize) -> Result<()> {
    if bytes > bytes_max {
        let message = format!("{place}: expected {what} of at most {bytes_max} bytes, got a larger one");
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_bound_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note.txt");
        let (place, read) = (path.display(), || read(&path, "a note", 4));
        assert_eq!(read().unwrap_err().kind(), ErrorKind::Io);
        for (bytes, expected) in [
            (&b"four"[..], Ok("four".to_owned())),
            (b"", Ok(String::new())),
            (
                b"fiver",
                Err((ErrorKind::Config, format!("{place}: expected a note of at most 4 bytes, got a larger one"))),
            ),
            (b"\xe9", Err((ErrorKind::Format, format!("{place}: expected UTF-8 text")))),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read().map_err(|e| (e.kind(), e.to_string())), expected);
        }
    }
}
