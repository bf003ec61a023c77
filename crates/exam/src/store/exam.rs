//! An exam that is written to.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sonotap::durable::{self, cannot_write};
use sonotap::model::manifest::hex_digest;
use sonotap::{Error, ErrorKind, Result};

use super::journal::{self, Journal};
use super::record::{Event, ExamRecord, FORMAT, FileRecord, ItemKind, ItemRecord, Patient, SeriesUids, new_uid};
use super::view::ExamView;
use super::{EXAM_JSON, ExamName, Store, json_of, lock, write_json};
use crate::capture::{Capture, Origin};
use crate::pictures::{self, MadeFile};
use crate::wall_clock::text_of;

/// Exams a day at most.
const COUNTER_MAX: u32 = 9_999;
/// Items an exam at most.
const ITEMS_MAX: u32 = 9_999;

/// What an exam begins with.
#[derive(Clone, Debug)]
pub struct NewExam {
    /// Where its pictures come from.
    pub origin: Origin,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the model's manifest.
    pub model_sha256: String,
}

impl Default for NewExam {
    fn default() -> Self {
        Self { origin: Origin::Captured, model: "none".into(), model_sha256: String::new() }
    }
}

/// An item that is on the disk for good.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its number in the exam.
    pub number: u32,
    /// Still or cine.
    pub kind: ItemKind,
    /// Bytes of its files.
    pub bytes: u64,
    /// From the call until it was on the disk.
    pub took: Duration,
    /// The same without making the files.
    pub written_in: Duration,
    /// The disk was full, and the reserve was used. Nothing new is begun until there is space.
    pub is_reserve_used: bool,
}

/// An exam that is written to, by one process at a time.
pub struct Exam {
    store: Store,
    view: ExamView,
    journal: Journal,
    next_number: u32,
    /// Held while it is written to.
    _lock: File,
}

impl Exam {
    pub(crate) fn begin(store: &Store, new: &NewExam) -> Result<Self> {
        store.reserve().map_or(Ok(()), super::reserve::Reserve::check)?;
        let reading = store.clock();
        let record = ExamRecord {
            format: FORMAT,
            study_uid: new_uid(),
            series: SeriesUids { images: new_uid(), outlined: new_uid(), segmentations: new_uid(), reports: new_uid() },
            began: text_of(&reading.now),
            clock: reading.judge(store.newest()?),
            origin: new.origin,
            software: format!("sonotap {}", env!("CARGO_PKG_VERSION")),
            model: new.model.clone(),
            model_sha256: new.model_sha256.clone(),
            device_uid: store.device_uid().to_owned(),
            patient: None,
            purpose: "not for diagnostic use".into(),
        };
        let date = reading.now.date_naive();
        let taken = store.names()?.into_iter().filter(|n| n.date == date).map(|n| n.counter).max().unwrap_or(0);
        for counter in taken + 1..=COUNTER_MAX {
            let name = ExamName { date, counter };
            if let Some(made) = Self::make(store, &name, &record)? {
                return Ok(made);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, format!("expected at most {COUNTER_MAX} exams a day, got more")))
    }

    /// Makes the folder under another name and gives it its own when it is whole; `None` when the name was taken meanwhile.
    fn make(store: &Store, name: &ExamName, record: &ExamRecord) -> Result<Option<Self>> {
        let part = store.root().join(format!(".{name}.{}.part", std::process::id()));
        let within = |e: Error| e.within(format!("exam {name}"));
        std::fs::create_dir(&part).map_err(|e| within(cannot_write(e)))?;
        let begun = lock(&part).and_then(|lock| {
            write_json(&part.join(EXAM_JSON), record)?;
            Journal::create(&part, &[] as &[Event])?;
            Ok(lock)
        });
        let named = begun.and_then(|lock| durable::rename(&part, &store.folder(name)).map(|()| lock));
        match named {
            Ok(Some(lock)) => Self::open(store, name, lock).map(Some),
            Ok(None) => Err(Error::new(ErrorKind::Unavailable, format!("exam {name}: another process writes it"))),
            Err(e) => {
                // Where it has its name already this finds nothing; then it is an exam without items.
                let _ = std::fs::remove_dir_all(&part);
                let kind = durable::os_error(&e).map(std::io::Error::kind);
                match kind {
                    Some(std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists) => Ok(None),
                    _ => Err(within(e)),
                }
            }
        }
    }

    pub(crate) fn resume(store: &Store, name: &ExamName) -> Result<Self> {
        // Looks first, so that no lock is made where there is no exam.
        store.view(name)?;
        match lock(&store.folder(name))? {
            Some(lock) => Self::open(store, name, lock),
            None => Err(Error::new(ErrorKind::Unavailable, format!("exam {name}: another process writes it"))),
        }
    }

    fn open(store: &Store, name: &ExamName, lock: File) -> Result<Self> {
        let view = store.view(name)?;
        let bytes = journal::read(view.folder())?;
        let whole = &bytes[..bytes.len() - view.torn_bytes];
        let text = String::from_utf8_lossy(whole).into_owned();
        if view.torn_bytes > 0 {
            durable::write(&view.folder().join(journal::JOURNAL), whole)?;
        }
        let journal = Journal::open(view.folder(), text);
        let next_number = view.next_number();
        Ok(Self { store: store.clone(), view, journal, next_number, _lock: lock })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.view.name.to_string()
    }

    /// What is on the disk.
    pub fn view(&self) -> &ExamView {
        &self.view
    }

    /// Saves a still or a cine. When this returns, all of it survives a power cut.
    ///
    /// Cost: a still of 640x480 some 15 ms and three waits for the disk.
    ///
    /// # Errors
    /// `Argument` when the capture has no frame or the exam was ended; `Unavailable` when the disk is full; `Io`. Then nothing of
    /// it counts as saved.
    pub fn save(&mut self, capture: &Capture) -> Result<Saved> {
        let began = Instant::now();
        let within = |e: Error, name: &ExamName| e.within(format!("exam {name}"));
        if self.view.is_ended() {
            return Err(within(
                Error::new(ErrorKind::Argument, "expected an open exam, got one that was ended"),
                &self.view.name,
            ));
        }
        if self.next_number > ITEMS_MAX {
            return Err(within(
                Error::new(ErrorKind::Unavailable, format!("expected at most {ITEMS_MAX} items")),
                &self.view.name,
            ));
        }
        self.store.reserve().map_or(Ok(()), super::reserve::Reserve::check)?;
        let number = self.next_number;
        let taken = self.store.clock().now;
        let made = pictures::make(capture, &self.view, number, &taken)?;
        // Whatever comes of it: the number is not used again.
        self.next_number += 1;
        let kind = if capture.frames.len() == 1 { ItemKind::Still } else { ItemKind::Cine };
        let item = ItemRecord {
            number,
            kind,
            taken: text_of(&taken),
            frames: capture.frames.len() as u32,
            objects: capture.objects.len() as u32,
            files: made.iter().map(MadeFile::record).collect(),
        };
        let bytes = item.files.iter().map(|f| f.bytes).sum();
        let writing = Instant::now();
        let is_reserve_used = self.write(&made, item).map_err(|e| within(e, &self.view.name))?;
        Ok(Saved { number, kind, bytes, took: began.elapsed(), written_in: writing.elapsed(), is_reserve_used })
    }

    /// Writes the files, then their line. Whether the reserve was used.
    fn write(&mut self, made: &[MadeFile], item: ItemRecord) -> Result<bool> {
        let paths: Vec<(PathBuf, &[u8])> =
            made.iter().map(|f| (self.view.folder.join(&f.name), f.bytes.as_slice())).collect();
        let event = Event::Saved(item);
        let (files, of_files) = self.with_reserve(|_| durable::write_all(&paths));
        if let Err(e) = files {
            // Nobody was told that they are there.
            paths.iter().for_each(|(path, _)| drop(std::fs::remove_file(path)));
            return Err(not_saved(e));
        }
        // When this fails the line may be on the disk nevertheless, so the files stay.
        let (line, of_line) = self.with_reserve(|exam| exam.journal.append(&event));
        line.map_err(not_saved)?;
        self.view.events.push(event);
        Ok(of_files || of_line)
    }

    /// Does it, and once more with the reserve given up when the disk is full.
    fn with_reserve(&mut self, mut work: impl FnMut(&mut Self) -> Result<()>) -> (Result<()>, bool) {
        match work(self) {
            Err(e) if durable::is_full(&e) && self.store.reserve().is_some_and(super::reserve::Reserve::release) => {
                (work(self), true)
            }
            done => (done, false),
        }
    }

    /// Binds it to a patient. It can be bound again until something of it was sent.
    ///
    /// # Errors
    /// `Argument` when DICOM cannot hold the data or something of it was sent; `Io`. None says anything of the patient.
    pub fn bind(&mut self, patient: Patient) -> Result<()> {
        patient.check()?;
        if self.view.is_sent_in_part()? {
            let what = format!(
                "exam {}: expected one that is not sent, got one that others have with its patient",
                self.view.name
            );
            return Err(Error::new(ErrorKind::Argument, what));
        }
        let mut record = self.view.record.clone();
        record.patient = Some(patient);
        durable::write(&self.view.folder.join(EXAM_JSON), &json_of(&record)?)?;
        self.view.record = record;
        self.note(|at| Event::Bound { at })
    }

    /// Somebody has looked at the exam's date and time and found them right: it may be sent.
    ///
    /// # Errors
    /// `Io`.
    pub fn confirm_date(&mut self) -> Result<()> {
        self.note(|at| Event::ClockConfirmed { at })
    }

    /// Takes an item out: it is not listed, exported or sent. Until the exam ends it can be put back.
    ///
    /// # Errors
    /// `Argument` when there is no such item or the exam was ended; `Io`.
    pub fn delete(&mut self, number: u32) -> Result<()> {
        self.check_item(number, false)?;
        self.note(|at| Event::Deleted { number, at })
    }

    /// Puts a deleted item back.
    ///
    /// # Errors
    /// `Argument` when none of that number is deleted or the exam was ended; `Io`.
    pub fn restore(&mut self, number: u32) -> Result<()> {
        self.check_item(number, true)?;
        self.note(|at| Event::Restored { number, at })
    }

    fn check_item(&self, number: u32, is_deleted: bool) -> Result<()> {
        let is_there = self.view.saved().any(|item| item.number == number);
        if is_there && self.view.is_deleted(number) == is_deleted && !self.view.is_ended() {
            return match self.view.record.format {
                1 => Err(Error::new(
                    ErrorKind::Unsupported,
                    "expected an exam of format 2, got one of an earlier program",
                )),
                _ => Ok(()),
            };
        }
        let expected = if is_deleted { "a deleted item" } else { "a saved item" };
        let what = format!("exam {}: expected {expected} of an open exam, got number {number}", self.view.name);
        Err(Error::new(ErrorKind::Argument, what))
    }

    /// Ends it: nothing is added any more, and deleted items are gone for good.
    ///
    /// # Errors
    /// `Io`.
    pub fn end(&mut self) -> Result<()> {
        if !self.view.is_ended() {
            self.note(|at| Event::Ended { at })?;
        }
        // What is left of them is removed when the store is opened next.
        self.view.remove_deleted();
        Ok(())
    }

    fn note(&mut self, event: impl Fn(String) -> Event) -> Result<()> {
        let event = event(text_of(&self.store.clock().now));
        self.with_reserve(|exam| exam.journal.append(&event)).0?;
        self.view.events.push(event);
        Ok(())
    }
}

fn not_saved(e: Error) -> Error {
    match durable::is_full(&e) {
        true => Error::caused(ErrorKind::Unavailable, format!("disk full: not saved: {e}"), e),
        false => Error::caused(e.kind(), format!("not saved: {e}"), e),
    }
}

impl MadeFile {
    fn record(&self) -> FileRecord {
        let Self { name, role, bytes, dicom } = self;
        let dicom = dicom.clone();
        FileRecord { name: name.clone(), role: *role, bytes: bytes.len() as u64, sha256: hex_digest(bytes), dicom }
    }
}
