//! What `exam.json` and the journal say.

use std::fmt;

use serde::{Deserialize, Serialize};
use sonotap::{Error, ErrorKind, Result};

use crate::capture::Origin;
use crate::wall_clock::ClockState;

/// Version of the layout of a store and an exam: 2 since items can be deleted, which a reader of 1 would take for a broken journal.
pub(crate) const FORMAT: u32 = 2;
/// The versions that are read.
pub(crate) const FORMATS: std::ops::RangeInclusive<u32> = 1..=FORMAT;
/// Most characters of a patient's name or number: LO and each part of PN in DICOM.
const TEXT_MAX: usize = 64;

/// `store.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    pub format: u32,
    /// Serial number of the device that writes here, and its UID: 2.25 and a random number.
    pub device_uid: String,
}

/// `exam.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExamRecord {
    /// Version of the layout, 1 or 2.
    pub format: u32,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UIDs.
    pub series: SeriesUids,
    /// When it began, RFC 3339, UTC.
    pub began: String,
    /// Whether that can be relied on.
    pub clock: ClockState,
    /// Where the pictures come from.
    pub origin: Origin,
    /// The program and its version.
    pub software: String,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the model's manifest.
    pub model_sha256: String,
    /// Serial number and UID of the device.
    pub device_uid: String,
    /// Whose exam it is; nobody's at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<Patient>,
    /// For the reader.
    #[serde(rename = "use")]
    pub purpose: String,
}

/// Series of an exam, by what is in them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeriesUids {
    /// Pictures and cines.
    pub images: String,
    /// Pictures with the outline burned in.
    pub outlined: String,
    /// Segmentations.
    pub segmentations: String,
    /// Reports.
    pub reports: String,
}

/// A patient. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// Patient ID (0010,0020).
    pub id: String,
    /// Patient's Name (0010,0010): `FAMILY^GIVEN`.
    #[serde(default)]
    pub name: String,
    /// Patient's Birth Date (0010,0030): `YYYYMMDD`, or empty.
    #[serde(default)]
    pub birth_date: String,
    /// Patient's Sex (0010,0040): `M`, `F`, `O`, or empty.
    #[serde(default)]
    pub sex: String,
    /// Accession Number (0008,0050) of the order, or empty.
    #[serde(default)]
    pub accession: String,
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patient(not shown)")
    }
}

impl Patient {
    /// Refuses what DICOM cannot hold.
    ///
    /// # Errors
    /// `Argument`; it names the field and never says its value.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &str, expected: &str| {
            Err(Error::new(ErrorKind::Argument, format!("{field}: expected {expected}, got something else")))
        };
        let is_text = |t: &str, max: usize| t.chars().count() <= max && !t.chars().any(|c| c.is_control() || c == '\\');
        if self.id.trim().is_empty() || !is_text(&self.id, TEXT_MAX) {
            return refuse("patient ID", "1 to 64 characters without a backslash or control character");
        }
        if !is_text(&self.name, TEXT_MAX) || self.name.matches('^').count() > 4 {
            return refuse(
                "patient name",
                "at most 64 characters FAMILY^GIVEN without a backslash or control character",
            );
        }
        if !is_text(&self.accession, 16) {
            return refuse("accession number", "at most 16 characters without a backslash or control character");
        }
        let is_date =
            chrono::NaiveDate::parse_from_str(&self.birth_date, "%Y%m%d").is_ok() && self.birth_date.len() == 8;
        if !self.birth_date.is_empty() && !is_date {
            return refuse("birth date", "YYYYMMDD");
        }
        if !["", "M", "F", "O"].contains(&self.sex.as_str()) {
            return refuse("sex", "M, F, O or nothing");
        }
        Ok(())
    }
}

/// An event of an exam, a line of its journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// An item was saved: all its files are on the disk.
    Saved(ItemRecord),
    /// An item was taken out of the exam. Its files stay until the exam ends.
    Deleted {
        /// Its number.
        number: u32,
        /// When, RFC 3339.
        at: String,
    },
    /// It was put back.
    Restored {
        /// Its number.
        number: u32,
        /// When, RFC 3339.
        at: String,
    },
    /// `exam.json` has a patient, or another one.
    Bound {
        /// When, RFC 3339.
        at: String,
    },
    /// Somebody confirmed the date of the exam.
    ClockConfirmed {
        /// When, RFC 3339.
        at: String,
    },
    /// Nothing is added any more.
    Ended {
        /// When, RFC 3339.
        at: String,
    },
}

/// A saved still or cine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemRecord {
    /// From 1; its files begin with it.
    pub number: u32,
    /// Still or cine.
    pub kind: ItemKind,
    /// When it was saved, RFC 3339, UTC.
    pub taken: String,
    /// Frames.
    pub frames: u32,
    /// Outlined objects.
    pub objects: u32,
    /// Its files.
    pub files: Vec<FileRecord>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// One frame.
    Still,
    /// Several, with their times.
    Cine,
}

/// What a file of an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The frames as they came, DICOM.
    Image,
    /// The frame with outlines burned in, DICOM.
    Outlined,
    /// Exact outlines as bits, DICOM.
    Segmentation,
    /// Outlines and measurements, DICOM.
    Report,
    /// A frame, PNG.
    Picture,
    /// The frame with outlines, PNG.
    OutlinedPicture,
    /// Prompts, outlines and measurements, JSON.
    Notes,
}

/// A file of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the exam's folder.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// SOP Class UID, SOP Instance UID and transfer syntax of a DICOM object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dicom: Option<DicomRecord>,
}

/// A DICOM object among the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DicomRecord {
    /// SOP Class UID.
    pub class_uid: String,
    /// SOP Instance UID.
    pub instance_uid: String,
    /// Transfer Syntax UID.
    pub syntax_uid: String,
}

/// 2.25 and a random number.
pub(crate) fn new_uid() -> String {
    format!("2.25.{}", uuid::Uuid::new_v4().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_that_dicom_cannot_hold_is_refused_without_its_data() {
        let of = |id: &str, name: &str, birth: &str, sex: &str| Patient {
            id: id.into(),
            name: name.into(),
            birth_date: birth.into(),
            sex: sex.into(),
            accession: String::new(),
        };
        assert!(of("4711", "QUARK^ALICE", "19700131", "F").check().is_ok() && of("4711", "", "", "").check().is_ok());
        for (patient, field) in [
            (of(" ", "QUARK", "", ""), "patient ID"),
            (of("47\\11", "QUARK", "", ""), "patient ID"),
            (of("4711", "QUARK\n", "", ""), "patient name"),
            (of("4711", &"QUARK".repeat(13), "", ""), "patient name"),
            (of("4711", "QUARK", "31.1.1970", ""), "birth date"),
            (of("4711", "QUARK", "19700230", ""), "birth date"),
            (of("4711", "QUARK", "", "female"), "sex"),
        ] {
            let told = format!("{} {patient:?}", patient.check().unwrap_err());
            assert!(told.starts_with(field), "{told}");
            for datum in ["4711", "QUARK", "1970", "female"] {
                assert!(!told.contains(datum), "{told}");
            }
        }
    }

    #[test]
    fn uids_are_new_and_short_enough() {
        let (a, b) = (new_uid(), new_uid());
        assert!(a != b && a.len() <= 64 && a.starts_with("2.25."));
    }
}
