//! Text files that are read whole: no larger than they may be, and UTF-8; and the valid word that is nearest to a wrong one.

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

/// The valid word with the smallest edit distance; `None` if it exceeds half of the letters.
pub(crate) fn nearest<'v>(got: &str, valid: &[&'v str]) -> Option<&'v str> {
    let letters: Vec<char> = got.chars().take(65).collect();
    let distance = |v: &str| {
        let mut row: Vec<usize> = (0..=letters.len()).collect();
        for (i, c) in v.chars().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, &g) in letters.iter().enumerate() {
                let changed = diagonal + usize::from(c != g);
                diagonal = row[j + 1];
                row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
            }
        }
        row[letters.len()]
    };
    let (near, letters_off) = valid.iter().map(|&v| (v, distance(v))).min_by_key(|(_, d)| *d)?;
    (2 * letters_off <= near.len().max(letters.len())).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_within_half_of_its_letters() {
        let valid = ["path", "driver", "fps"];
        for (got, near) in [("pth", Some("path")), ("drivr", Some("driver")), ("fsp", None), ("", None)] {
            assert_eq!(nearest(got, &valid), near, "{got}");
        }
    }

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
