//! What a power cut leaves is put right when a store is opened: nothing that was saved is touched, nothing is deleted but files
//! that never had a name.

use std::path::Path;

use sonotap::Result;
use sonotap::durable::{self, cannot_write};

use super::journal::{self, JOURNAL};
use super::record::Event;
use super::{ExamName, Store, UNFINISHED, entries, lock};

/// What was put right, or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// In the order of the exams.
    pub repairs: Vec<(Option<ExamName>, Repair)>,
}

/// One thing that was put right, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// An exam that was never begun, or already forgotten, is gone altogether.
    Removed,
    /// The journal ended in part of a line, which was never acknowledged: so many bytes were cut off.
    JournalCut(usize),
    /// Files of an item that was never acknowledged are in the folder `unfinished`.
    SetAside(Vec<String>),
    /// Files of items that were deleted before the exam ended are gone.
    Deleted(Vec<String>),
    /// A saved file is missing or has another size. Nothing was changed.
    Lost(String),
    /// The exam cannot be read. Nothing was changed.
    Unreadable(String),
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => write!(f, "a folder of an exam that was never begun, or already forgotten, was removed"),
            Self::JournalCut(bytes) => {
                write!(f, "{bytes} bytes of an event that was never acknowledged were cut off the journal")
            }
            Self::SetAside(files) => {
                write!(f, "an item that was never finished is in {UNFINISHED}/: {}", files.join(", "))
            }
            Self::Deleted(files) => write!(f, "files of deleted items were removed: {}", files.join(", ")),
            Self::Lost(file) => write!(f, "{file}: expected the file that was saved, got none or one of another size"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// Repairs every exam that nobody writes at present.
pub(crate) fn repair(store: &Store) -> Result<RepairReport> {
    let mut report = RepairReport::default();
    for name in entries(store.root())? {
        let is_left = name.starts_with('.') && (name.ends_with(".part") || name.ends_with(".forgotten"));
        if is_left && remove(&store.root().join(&name))? {
            report.repairs.push((None, Repair::Removed));
        }
    }
    for name in store.names()? {
        let Some(_lock) = lock(&store.folder(&name))? else { continue };
        match repair_exam(store, &name) {
            Ok(repairs) => report.repairs.extend(repairs.into_iter().map(|r| (Some(name.clone()), r))),
            Err(e) => report.repairs.push((Some(name), Repair::Unreadable(e.to_string()))),
        }
    }
    Ok(report)
}

/// Removes what never had a name or has lost it, unless another process is at it. Whether it was a folder of an exam.
fn remove(path: &Path) -> Result<bool> {
    if !path.is_dir() {
        std::fs::remove_file(path).map_err(|e| cannot_write(e).within(path.display()))?;
        return Ok(false);
    }
    let Some(_lock) = lock(path)? else { return Ok(false) };
    std::fs::remove_dir_all(path).map_err(|e| cannot_write(e).within(path.display()))?;
    Ok(true)
}

fn repair_exam(store: &Store, name: &ExamName) -> Result<Vec<Repair>> {
    let view = store.view(name)?;
    let mut repairs = Vec::new();
    if view.torn_bytes > 0 {
        let bytes = journal::read(view.folder())?;
        let (_, rest) = journal::parse::<Event>(&bytes);
        durable::write(&view.folder().join(JOURNAL), &bytes[..bytes.len() - rest.len()])?;
        repairs.push(Repair::JournalCut(rest.len()));
    }
    let (parts, strangers): (Vec<_>, Vec<_>) = view.strangers().into_iter().partition(|n| n.ends_with(".part"));
    for part in parts {
        let path = view.folder().join(part);
        std::fs::remove_file(&path).map_err(|e| cannot_write(e).within(path.display()))?;
    }
    if !strangers.is_empty() {
        let aside = view.folder().join(UNFINISHED);
        if !aside.is_dir() {
            durable::create_folder(&aside)?;
        }
        for file in &strangers {
            durable::rename(&view.folder().join(file), &aside.join(file))?;
        }
        repairs.push(Repair::SetAside(strangers));
    }
    if view.is_ended() {
        let deleted = view.remove_deleted();
        repairs.extend((!deleted.is_empty()).then_some(Repair::Deleted(deleted)));
    }
    let is_there = |file: &super::record::FileRecord| {
        std::fs::metadata(view.folder().join(&file.name)).is_ok_and(|m| m.len() == file.bytes)
    };
    repairs.extend(view.files().filter(|f| !is_there(f)).map(|f| Repair::Lost(f.name.clone())));
    Ok(repairs)
}
