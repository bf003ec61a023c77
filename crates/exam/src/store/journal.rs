//! The journal of an exam: one event a line, `LENGTH CRC32 JSON`, both in eight hexadecimal digits and of the JSON.
//!
//! A line that is whole is true. What a power cut left of the last one is not, and ends the journal for every reader; the
//! writer cuts it off. After a failed sync the journal is written anew from memory: the kernel takes pages that could not
//! be written for clean.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sonotap::durable::{self, cannot_write};
use sonotap::{Error, ErrorKind, Result};

/// Name of the file.
pub(crate) const JOURNAL: &str = "journal";
/// Largest journal that is read, bytes: some hundred thousand items.
const BYTES_MAX: u64 = 64 << 20;
/// `LENGTH CRC32 `.
const HEAD: usize = 18;

/// A line with its newline.
pub(crate) fn line_of(event: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(event)
        .map_err(|e| Error::caused(ErrorKind::Argument, format!("journal: an event cannot be written: {e}"), e))?;
    Ok(format!("{:08x} {:08x} {json}\n", json.len(), crc32fast::hash(json.as_bytes())))
}

/// The events of a journal up to the first line that is not whole, and the bytes from there on.
pub(crate) fn parse<E: DeserializeOwned>(bytes: &[u8]) -> (Vec<E>, &[u8]) {
    let (mut events, mut rest) = (Vec::new(), bytes);
    while let Some((event, after)) = first_of(rest) {
        events.push(event);
        rest = after;
    }
    (events, rest)
}

fn first_of<E: DeserializeOwned>(bytes: &[u8]) -> Option<(E, &[u8])> {
    let number = |at: std::ops::Range<usize>| {
        let digits = std::str::from_utf8(bytes.get(at)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (length, crc) = (number(0..8)? as usize, number(9..17)?);
    let end = HEAD.checked_add(length)?;
    let json = bytes.get(HEAD..end)?;
    let is_whole = bytes[8] == b' ' && bytes[17] == b' ' && bytes.get(end) == Some(&b'\n');
    (is_whole && crc32fast::hash(json) == crc).then_some(())?;
    Some((serde_json::from_slice(json).ok()?, &bytes[end + 1..]))
}

/// Reads a journal's bytes.
pub(crate) fn read(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join(JOURNAL);
    let failed =
        |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{}: cannot be read: {e}", path.display()), e);
    let bytes = std::fs::metadata(&path).map_err(failed)?.len();
    if bytes > BYTES_MAX {
        let what = format!("{}: expected a journal of at most {BYTES_MAX} bytes, got {bytes}", path.display());
        return Err(Error::new(ErrorKind::Format, what));
    }
    std::fs::read(&path).map_err(failed)
}

/// A journal that is written to. The only one that does, by the lock of its exam.
pub(crate) struct Journal {
    path: PathBuf,
    /// The text that is on the disk, or is to be.
    text: String,
    /// Open at its end, once it was appended to.
    file: Option<File>,
    /// An append failed: the file may end in part of a line, and its pages may be lost.
    is_torn: bool,
}

impl Journal {
    /// Writes a new one with these events.
    pub(crate) fn create(folder: &Path, events: &[impl Serialize]) -> Result<()> {
        let text = events.iter().map(line_of).collect::<Result<String>>()?;
        durable::write(&folder.join(JOURNAL), text.as_bytes())
    }

    /// Opens one whose text was read and is whole.
    pub(crate) fn open(folder: &Path, text: String) -> Self {
        Self { path: folder.join(JOURNAL), text, file: None, is_torn: false }
    }

    /// Adds an event; it is on the disk when this returns. After an error the event is not in the journal's text, though the
    /// disk may have it.
    pub(crate) fn append(&mut self, event: &impl Serialize) -> Result<()> {
        let line = line_of(event)?;
        self.is_torn = self.is_torn || self.append_in_place(&line).is_err();
        if self.is_torn {
            self.file = None;
            durable::write(&self.path, format!("{}{line}", self.text).as_bytes())?;
            self.is_torn = false;
        }
        self.text.push_str(&line);
        Ok(())
    }

    fn append_in_place(&mut self, line: &str) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).open(&self.path).map_err(cannot_write)?),
        };
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(cannot_write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn three() -> (Vec<Value>, String) {
        let events = vec![json!({"a": 1}), json!({"b": "two\nlines"}), json!({"c": [3]})];
        let text = events.iter().map(|e| line_of(e).unwrap()).collect();
        (events, text)
    }

    #[test]
    fn a_journal_cut_anywhere_has_its_whole_lines_and_no_other() {
        let (events, text) = three();
        let ends: Vec<usize> = text.match_indices('\n').map(|(i, _)| i + 1).collect();
        assert_eq!(ends.len(), 3, "a line break within an event");
        for cut in 0..=text.len() {
            let (read, rest) = parse::<Value>(&text.as_bytes()[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(read, events[..whole]);
            assert_eq!(rest.len(), cut - whole.checked_sub(1).map_or(0, |i| ends[i]));
        }
    }

    #[test]
    fn a_changed_byte_ends_the_journal_before_its_line() {
        let (events, text) = three();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 0x20;
            let (read, _) = parse::<Value>(&bytes);
            // Of a hexadecimal digit the case says nothing.
            let lines_before = text[..at].matches('\n').count();
            let expected = if read.len() == 3 { 3 } else { lines_before };
            assert_eq!(read, events[..expected], "byte {at}");
        }
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (events, text) = three();
        Journal::create(folder.path(), &events[..1]).unwrap();
        let whole = String::from_utf8(read(folder.path()).unwrap()).unwrap();
        let mut journal = Journal::open(folder.path(), whole);
        journal.append(&events[1]).unwrap();
        // As after a failed sync: the file ends in part of a line, and is written anew.
        std::fs::write(folder.path().join(JOURNAL), &text.as_bytes()[..30]).unwrap();
        (journal.file, journal.is_torn) = (None, true);
        journal.append(&events[2]).unwrap();
        assert_eq!(read(folder.path()).unwrap(), text.into_bytes());
    }
}
