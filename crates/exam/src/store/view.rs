//! An exam as it is on the disk, for anybody who reads it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sonotap::model::manifest::hex_digest;
use sonotap::{Error, ErrorKind, Result};

use super::record::{Event, ExamRecord, FORMAT, FORMATS, FileRecord, ItemRecord};
use super::{EXAM_JSON, ExamName, SENT, Store, UNFINISHED, entries, journal, read_json};
use crate::wall_clock::ClockState;

/// An exam as it is on the disk.
#[derive(Clone, Debug)]
pub struct ExamView {
    pub(crate) name: ExamName,
    pub(crate) folder: PathBuf,
    pub(crate) record: ExamRecord,
    pub(crate) events: Vec<Event>,
    /// Bytes at the end of the journal that are no line.
    pub(crate) torn_bytes: usize,
}

/// What is wrong with an exam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file of an item is not there.
    Missing(String),
    /// A file has another size or SHA-256 than when it was saved.
    Changed(String),
    /// The journal ends in bytes that are no line.
    TornJournal(usize),
    /// A file that belongs to no saved item.
    Unfinished(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(file) => write!(f, "{file}: expected the file, got none"),
            Self::Changed(file) => write!(f, "{file}: expected the bytes that were saved, got others"),
            Self::TornJournal(bytes) => write!(f, "journal: expected whole lines, got {bytes} bytes of one at its end"),
            Self::Unfinished(file) => write!(f, "{file}: expected a saved item, got one that was never finished"),
        }
    }
}

impl ExamView {
    pub(crate) fn read(store: &Store, name: &ExamName) -> Result<Self> {
        let folder = store.folder(name);
        let record: ExamRecord = read_json(&folder.join(EXAM_JSON))?;
        if !FORMATS.contains(&record.format) {
            let what = format!("exam {name}: expected format 1 to {FORMAT}, got {}", record.format);
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let bytes = journal::read(&folder)?;
        let (events, rest) = journal::parse(&bytes);
        Ok(Self { name: name.clone(), folder, record, events, torn_bytes: rest.len() })
    }

    /// Its name.
    pub fn name(&self) -> &ExamName {
        &self.name
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `exam.json` says.
    pub fn record(&self) -> &ExamRecord {
        &self.record
    }

    /// The saved items, in their order, without deleted ones.
    pub fn items(&self) -> impl Iterator<Item = &ItemRecord> {
        self.saved().filter(|item| !self.is_deleted(item.number))
    }

    /// All items that were ever saved, in their order.
    pub(crate) fn saved(&self) -> impl Iterator<Item = &ItemRecord> {
        self.events.iter().filter_map(|event| match event {
            Event::Saved(item) => Some(item),
            _ => None,
        })
    }

    /// Whether an item was deleted and not put back.
    pub fn is_deleted(&self, item: u32) -> bool {
        let of_item = |event: &Event| match event {
            Event::Deleted { number, .. } if *number == item => Some(true),
            Event::Restored { number, .. } if *number == item => Some(false),
            _ => None,
        };
        self.events.iter().rev().find_map(of_item).unwrap_or(false)
    }

    /// Names of the files of deleted items.
    pub(crate) fn deleted_files(&self) -> impl Iterator<Item = &str> {
        let deleted = self.saved().filter(|item| self.is_deleted(item.number));
        deleted.flat_map(|item| &item.files).map(|file| file.name.as_str())
    }

    /// All files of all items.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.items().flat_map(|item| &item.files)
    }

    /// Whether it has a patient.
    pub fn is_bound(&self) -> bool {
        self.record.patient.is_some()
    }

    /// Whether it was ended.
    pub fn is_ended(&self) -> bool {
        self.events.iter().any(|e| matches!(e, Event::Ended { .. }))
    }

    /// Whether its date can be relied on: the clock was synchronized, or somebody confirmed it.
    pub fn is_date_confirmed(&self) -> bool {
        self.record.clock == ClockState::Synchronized
            || self.events.iter().any(|e| matches!(e, Event::ClockConfirmed { .. }))
    }

    /// Whether anything of it has left for a destination.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_sent_in_part(&self) -> Result<bool> {
        Ok(self.destinations()?.iter().any(|to| entries(to).is_ok_and(|names| !names.is_empty())))
    }

    /// DICOM objects that were sent nowhere.
    ///
    /// # Errors
    /// `Io`.
    pub fn unsent(&self) -> Result<usize> {
        let destinations = self.destinations()?;
        let uids = self.files().filter_map(|f| f.dicom.as_ref());
        Ok(uids.filter(|d| !destinations.iter().any(|to| to.join(&d.instance_uid).is_file())).count())
    }

    fn destinations(&self) -> Result<Vec<PathBuf>> {
        let sent = self.folder.join(SENT);
        if !sent.is_dir() {
            return Ok(Vec::new());
        }
        Ok(entries(&sent)?.into_iter().map(|name| sent.join(name)).collect())
    }

    /// Reads a file of an item and checks it by its digest.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Format` when it is not what was saved.
    pub fn bytes_of(&self, file: &FileRecord) -> Result<Vec<u8>> {
        let place = || format!("exam {}: {}", self.name, file.name);
        let failed = |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{}: cannot be read: {e}", place()), e);
        let opened = File::open(self.folder.join(&file.name)).map_err(failed)?;
        let mut bytes = Vec::with_capacity(usize::try_from(file.bytes).unwrap_or(0).min(1 << 30));
        opened.take(file.bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
        if hex_digest(&bytes) != file.sha256 {
            return Err(Error::new(
                ErrorKind::Format,
                format!("{}: expected the bytes that were saved, got others", place()),
            ));
        }
        Ok(bytes)
    }

    /// Reads every file and compares it with what was saved.
    pub fn verify(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        for file in self.files() {
            match self.bytes_of(file) {
                Ok(_) => {}
                Err(e) if super::is_missing(&e) => faults.push(Fault::Missing(file.name.clone())),
                Err(_) => faults.push(Fault::Changed(file.name.clone())),
            }
        }
        faults.extend((self.torn_bytes > 0).then_some(Fault::TornJournal(self.torn_bytes)));
        faults.extend(self.strangers().into_iter().map(Fault::Unfinished));
        faults
    }

    /// Files named as those of an item that belong to none.
    pub(crate) fn strangers(&self) -> Vec<String> {
        let is_known = |name: &String| self.saved().flat_map(|item| &item.files).any(|f| f.name == *name);
        let is_of_item = |name: &String| name.len() > 4 && name.bytes().take(4).all(|b| b.is_ascii_digit());
        let all = entries(&self.folder).unwrap_or_default();
        all.into_iter().filter(|name| name.ends_with(".part") || is_of_item(name) && !is_known(name)).collect()
    }

    /// Removes the files of deleted items, as far as the disk allows; the names of those that are gone.
    pub(crate) fn remove_deleted(&self) -> Vec<String> {
        let gone = self.deleted_files().filter(|name| std::fs::remove_file(self.folder.join(name)).is_ok());
        gone.map(str::to_owned).collect()
    }

    /// The number of the next item: above all that have a line, a file, or were never finished.
    pub(crate) fn next_number(&self) -> u32 {
        let items = self.saved().map(|i| i.number);
        let folders = [entries(&self.folder), entries(&self.folder.join(UNFINISHED))];
        let names = folders.into_iter().flat_map(Result::unwrap_or_default);
        let of_files = names.filter_map(|name| name.get(..4)?.parse::<u32>().ok());
        items.chain(of_files.collect::<Vec<_>>()).max().unwrap_or(0) + 1
    }
}
