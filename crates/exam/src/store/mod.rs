//! A folder of exams, for one writer an exam and any number of readers.
//!
//! The writer of an exam holds its lock. Readers take none: `exam.json` is replaced as a whole, and a journal is read up to its
//! last whole line.

pub(crate) mod exam;
pub(crate) mod health;
pub(crate) mod journal;
pub(crate) mod record;
pub(crate) mod repair;
pub(crate) mod reserve;
pub(crate) mod view;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sonotap::durable;
use sonotap::{Error, ErrorKind, Result};

use self::exam::{Exam, NewExam};
use self::record::{FORMAT, FORMATS, StoreRecord, new_uid};
use self::repair::RepairReport;
use self::reserve::Reserve;
use self::view::ExamView;
use crate::wall_clock::ClockReading;

const STORE_JSON: &str = "store.json";
pub(crate) const EXAM_JSON: &str = "exam.json";
pub(crate) const LOCK: &str = "lock";
/// Where what was begun and never acknowledged is put.
pub(crate) const UNFINISHED: &str = "unfinished";
/// Markers of what was sent, by destination.
pub(crate) const SENT: &str = "sent";
/// Largest JSON file of ours that is read.
const JSON_BYTES_MAX: usize = 16 << 20;

/// The name of an exam: its date and a counter. It has nothing of the patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExamName {
    date: NaiveDate,
    counter: u32,
}

impl fmt::Display for ExamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04}", self.date.format("%Y-%m-%d"), self.counter)
    }
}

impl FromStr for ExamName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once('-').and_then(|(date, counter)| {
            let is_plain = counter.len() >= 4 && counter.bytes().all(|b| b.is_ascii_digit()) && date.len() == 10;
            let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| is_plain)?;
            Some(Self { date, counter: counter.parse().ok().filter(|c| *c > 0)? })
        });
        // What came is not repeated: somebody may have typed a patient's name.
        parsed.ok_or_else(|| {
            Error::new(ErrorKind::Argument, "exam: expected a name as 2026-11-29-0001, got something else")
        })
    }
}

impl ExamName {
    /// Study ID (0020,0010): the same in at most 16 characters.
    pub(crate) fn study_id(&self) -> String {
        format!("{}-{:04}", self.date.format("%Y%m%d"), self.counter)
    }

    pub(crate) fn date(&self) -> NaiveDate {
        self.date
    }
}

/// A folder of exams.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    device_uid: String,
    reserve: Option<Reserve>,
    clock: fn() -> ClockReading,
}

impl Store {
    /// Opens a store for writing: makes it where there is none, repairs what a power cut left, fills the reserve.
    ///
    /// # Errors
    /// `Io` when it cannot be written, `Format` when the folder holds something else.
    pub fn open(root: &Path) -> Result<(Self, RepairReport)> {
        Self::open_with(root, ClockReading::take, reserve::BYTES)
    }

    /// The same with another clock and size of the reserve.
    #[doc(hidden)]
    pub fn open_with(root: &Path, clock: fn() -> ClockReading, reserve_bytes: u64) -> Result<(Self, RepairReport)> {
        create(root)?;
        let record = match read_json::<StoreRecord>(&root.join(STORE_JSON)) {
            Err(e) if is_missing(&e) => {
                let record = StoreRecord { format: FORMAT, device_uid: new_uid() };
                write_json(&root.join(STORE_JSON), &record)?;
                record
            }
            read => read?,
        };
        let mut store = Self::of(root, record, clock)?;
        let report = repair::repair(&store)?;
        let reserve = Reserve::new(root, reserve_bytes);
        // Without it a full disk refuses earlier; that is no reason not to start.
        if let Err(e) = reserve.fill() {
            log::warn!("exams: no reserve for a full disk: {e}");
        }
        store.reserve = Some(reserve);
        Ok((store, report))
    }

    /// Opens a store for reading; writes nothing.
    ///
    /// # Errors
    /// `Io` when there is none, `Format` when the folder holds something else.
    pub fn read(root: &Path) -> Result<Self> {
        Self::of(root, read_json(&root.join(STORE_JSON))?, ClockReading::take)
    }

    fn of(root: &Path, record: StoreRecord, clock: fn() -> ClockReading) -> Result<Self> {
        if !FORMATS.contains(&record.format) {
            let what =
                format!("{}: expected format 1 to {FORMAT}, got {}", root.join(STORE_JSON).display(), record.format);
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        Ok(Self { root: root.to_owned(), device_uid: record.device_uid, reserve: None, clock })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all exams, oldest first.
    ///
    /// # Errors
    /// `Io`.
    pub fn names(&self) -> Result<Vec<ExamName>> {
        let names = entries(&self.root)?.into_iter().filter_map(|name| name.parse::<ExamName>().ok());
        let mut names: Vec<ExamName> = names.filter(|n| self.folder(n).is_dir()).collect();
        names.sort();
        Ok(names)
    }

    /// Reads an exam as it is on the disk.
    ///
    /// # Errors
    /// `Io` when there is none, `Format` when it cannot be read.
    pub fn view(&self, name: &ExamName) -> Result<ExamView> {
        ExamView::read(self, name)
    }

    /// Begins an exam, bound to nobody.
    ///
    /// # Errors
    /// `Io`; `Unavailable` when the disk is full.
    pub fn begin(&self, new: &NewExam) -> Result<Exam> {
        Exam::begin(self, new)
    }

    /// Opens an exam for writing.
    ///
    /// # Errors
    /// `Io` when there is none; `Unavailable` while another process writes it.
    pub fn resume(&self, name: &ExamName) -> Result<Exam> {
        Exam::resume(self, name)
    }

    /// Deletes an exam.
    ///
    /// # Errors
    /// `Argument` when it has not ended, or when something of it was sent nowhere and `is_unsent_too` does not say that this
    /// is meant; `Unavailable` while another process writes it.
    pub fn forget(&self, name: &ExamName, is_unsent_too: bool) -> Result<()> {
        let exam = self.resume(name)?;
        if !exam.view().is_ended() {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("exam {name}: expected one that was ended, got an open one"),
            ));
        }
        let unsent = exam.view().unsent()?;
        if unsent > 0 && !is_unsent_too {
            let what =
                format!("exam {name}: expected all of it to be sent, got {unsent} objects that were sent nowhere");
            return Err(Error::new(ErrorKind::Argument, what));
        }
        // Under another name at once, so that a power cut leaves no half of an exam.
        let gone = self.root.join(format!(".{name}.forgotten"));
        durable::rename(&self.folder(name), &gone).map_err(|e| e.within(format!("exam {name}")))?;
        drop(exam);
        std::fs::remove_dir_all(&gone).map_err(|e| durable::cannot_write(e).within(format!("exam {name}")))?;
        durable::sync_folder(&self.root)
    }

    /// Ends exams that were left open: those to which nobody has written for so long, and that no process writes. Whatever the
    /// clock says of the future stays open. One that cannot be ended is left for the next time.
    ///
    /// # Errors
    /// `Io` when the store cannot be read.
    pub fn end_left_open(&self, idle: Duration) -> Result<Vec<ExamName>> {
        let is_idle = |name: &ExamName| {
            let journal = self.folder(name).join(journal::JOURNAL);
            let written = std::fs::metadata(journal).and_then(|m| m.modified());
            written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= idle))
        };
        let mut ended = Vec::new();
        for name in self.names()? {
            let is_open = self.view(&name).is_ok_and(|view| !view.is_ended());
            if is_open && is_idle(&name) && self.resume(&name).and_then(|mut exam| exam.end()).is_ok() {
                ended.push(name);
            }
        }
        Ok(ended)
    }

    pub(crate) fn folder(&self, name: &ExamName) -> PathBuf {
        self.root.join(name.to_string())
    }

    pub(crate) fn device_uid(&self) -> &str {
        &self.device_uid
    }

    pub(crate) fn reserve(&self) -> Option<&Reserve> {
        self.reserve.as_ref()
    }

    pub(crate) fn clock(&self) -> ClockReading {
        (self.clock)()
    }

    /// The beginning of the day of the newest exam: no clock that is right says less.
    pub(crate) fn newest(&self) -> Result<Option<DateTime<Utc>>> {
        let newest = self.names()?.pop();
        Ok(newest.and_then(|name| Some(name.date().and_hms_opt(0, 0, 0)?.and_utc())))
    }
}

/// Makes a folder that only its owner reads, and those above it.
fn create(root: &Path) -> Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(above) = root.parent().filter(|p| !p.as_os_str().is_empty()) {
        create(above)?;
    }
    let made = durable::create_folder(root).and_then(|()| keep_private(root));
    made.map_err(|e| e.within(root.display()))
}

#[cfg(unix)]
fn keep_private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(durable::cannot_write)
}

#[cfg(not(unix))]
fn keep_private(_folder: &Path) -> Result<()> {
    Ok(())
}

/// The names in a folder that are text.
pub(crate) fn entries(folder: &Path) -> Result<Vec<String>> {
    let failed =
        |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{}: cannot be read: {e}", folder.display()), e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Reads a JSON file. What is wrong with it is said by line and column, never with what it says.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = sonotap::text_file::read(path, "a JSON file", JSON_BYTES_MAX)?;
    serde_json::from_str(&text).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let what = format!(
            "{}: line {line}, column {column}: expected a record of sonotap, got something else",
            path.display()
        );
        Error::new(ErrorKind::Format, what)
    })
}

pub(crate) fn json_of(what: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(what)
        .map_err(|e| Error::new(ErrorKind::Argument, format!("a record cannot be written: line {}", e.line())))?;
    json.push(b'\n');
    Ok(json)
}

pub(crate) fn write_json(path: &Path, what: &impl Serialize) -> Result<()> {
    durable::write(path, &json_of(what)?)
}

/// Whether an error means that there is no such file.
pub(crate) fn is_missing(e: &Error) -> bool {
    durable::os_error(e).is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound)
}

/// Takes the lock of an exam's folder; `None` while another process has it.
pub(crate) fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let failed =
        |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{}: cannot be locked: {e}", path.display()), e);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}
