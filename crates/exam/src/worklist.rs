//! The worklist: what is ordered, by DICOM C-FIND, so that an exam is bound without typing.
//!
//! An entry has the patient and the accession number of the order. Its study keeps our own UID: pictures are taken before anybody
//! binds them, and archives find the order by the accession number.

use chrono::{Days as ChronoDays, NaiveDate};
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use serde::Serialize;
use sonotap::{Error, ErrorKind, Result};
use std::time::Duration;

use crate::association::{
    Association, Caller, Destination, NO_DATA_SET, NoAssociation, Tls, decoded, element, encoded,
};
use crate::dicom::elements::DataSet;
use crate::store::record::Patient;
use crate::wall_clock::{ClockReading, ClockState};

/// Command fields.
const FIND_REQUEST: u16 = 0x0020;
const FIND_RESPONSE: u16 = 0x8020;
const CANCEL_REQUEST: u16 = 0x0FFF;
/// The only request of an association.
const MESSAGE: u16 = 1;
/// Largest entry, bytes.
const ENTRY_BYTES_MAX: usize = 1 << 16;
/// Entries that are heard after asking the server to stop.
const AFTER_CANCEL_MAX: usize = 100;
/// Most characters of a text that is not the patient's.
const TEXT_MAX: usize = 64;

/// Character sets whose letters are read. Letters of others, or of none, would be taken for those of another alphabet.
const READ_SETS: [&str; 13] = [
    "ISO_IR 13",
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 126",
    "ISO_IR 127",
    "ISO_IR 138",
    "ISO_IR 144",
    "ISO_IR 166",
    "ISO_IR 192",
    "GB18030",
    "GBK",
];

/// Which days are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// A day in UTC with the one before and the one after: the server's day is that of its own time zone.
    Around(NaiveDate),
    /// All.
    All,
}

impl Days {
    /// Those around today; all where nobody vouches for the clock.
    pub fn around(clock: &ClockReading) -> Self {
        match clock.judge(None) {
            ClockState::Synchronized => Self::Around(clock.now.date_naive()),
            ClockState::Unverified { .. } => Self::All,
        }
    }

    /// As DICOM asks for a range.
    fn range(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Around(day) => {
                let one = ChronoDays::new(1);
                let (from, to) = (day.checked_sub_days(one).unwrap_or(day), day.checked_add_days(one).unwrap_or(day));
                format!("{}-{}", from.format("%Y%m%d"), to.format("%Y%m%d"))
            }
        }
    }
}

/// Choices of asking a worklist.
#[derive(Clone, Debug)]
pub struct WorklistOptions {
    /// Our AE title.
    pub calling: String,
    /// On connecting, reading and writing.
    pub timeout: Duration,
    /// TLS, where the server has it.
    pub tls: Option<Tls>,
    /// Which days.
    pub days: Days,
    /// Only orders of this modality; all when empty.
    pub modality: String,
    /// Only orders for the device of this AE title; all when empty.
    pub station: String,
    /// Most entries.
    pub entries_max: usize,
}

impl Default for WorklistOptions {
    fn default() -> Self {
        Self {
            calling: "SONOTAP".into(),
            timeout: Duration::from_secs(15),
            tls: None,
            days: Days::All,
            modality: "US".into(),
            station: String::new(),
            entries_max: 200,
        }
    }
}

/// An order. `Debug` shows nothing of its patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorklistEntry {
    /// Scheduled Procedure Step ID (0040,0009).
    pub step: String,
    /// Scheduled date and time in the server's time zone: `2026-11-29 10:30`, or what there is of it.
    pub scheduled: String,
    /// Modality (0008,0060).
    pub modality: String,
    /// What is to be done: the step's description, or the procedure's.
    pub procedure: String,
    /// Whose.
    #[serde(skip)]
    pub patient: Patient,
}

/// What a worklist has, in the order of its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Worklist {
    /// The orders.
    pub entries: Vec<WorklistEntry>,
    /// Orders whose patient an exam cannot hold: no number, a text that is too long, or letters of a set that is not read.
    pub left_out: usize,
    /// Whether there are more than were asked for.
    pub is_cut: bool,
}

/// Asks a worklist once.
///
/// # Errors
/// `Argument` for a calling title that is none; `Unsupported` when the server has no worklist, or refuses for good; `Unavailable`
/// when another time may do. None says anything of a patient.
pub fn worklist(from: &Destination, options: &WorklistOptions) -> Result<Worklist> {
    let caller = Caller { title: &options.calling, timeout: options.timeout, tls: options.tls.as_ref() };
    caller.check()?;
    let class_uid = uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND;
    let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN].map(str::to_owned).to_vec();
    let within = |e: Error| e.within(format!("worklist {from}"));
    let opened = Association::open(from, &caller, vec![(class_uid.to_owned(), syntaxes)]);
    let mut association = opened.map_err(|why| within(refusal(why)))?;
    let asked = match association.context(class_uid) {
        Some((context, syntax)) => ask(&mut association, context, &syntax, options),
        None => Err(refusal(NoAssociation::NoContext)),
    };
    match &asked {
        Ok(_) => association.release(),
        Err(_) => association.abort(),
    }
    asked.map_err(within)
}

fn refusal(why: NoAssociation) -> Error {
    match why {
        NoAssociation::NoContext => Error::new(ErrorKind::Unsupported, "the server has no worklist"),
        NoAssociation::Forbidden => {
            Error::new(ErrorKind::Unsupported, "the server takes no association from this title")
        }
        NoAssociation::Passing(why) => Error::new(ErrorKind::Unavailable, format!("no association: {why}")),
    }
}

fn ask(association: &mut Association, context: u8, syntax: &str, options: &WorklistOptions) -> Result<Worklist> {
    let passing = |why: &str| Error::new(ErrorKind::Unavailable, why);
    let keys = encoded(&query(options).0, syntax).ok_or_else(|| passing("the question cannot be written"))?;
    let command = InMemDicomObject::command_from_element_iter([
        element(tags::AFFECTED_SOP_CLASS_UID, VR::UI, uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND),
        element(tags::COMMAND_FIELD, VR::US, FIND_REQUEST),
        element(tags::MESSAGE_ID, VR::US, MESSAGE),
        element(tags::PRIORITY, VR::US, 0u16),
        element(tags::COMMAND_DATA_SET_TYPE, VR::US, 0u16),
    ]);
    association.ask(context, command, Some(&keys)).map_err(passing)?;
    let mut found = Worklist::default();
    let mut after_cancel = 0;
    loop {
        let answer = association.answer(ENTRY_BYTES_MAX).map_err(passing)?;
        let is_ours = answer.number(tags::COMMAND_FIELD) == Some(FIND_RESPONSE)
            && answer.number(tags::MESSAGE_ID_BEING_RESPONDED_TO) == Some(MESSAGE);
        let status = answer.number(tags::STATUS).filter(|_| is_ours);
        match status.ok_or_else(|| passing("expected an answer to the question, got another"))? {
            0xFF00 | 0xFF01 if found.is_cut => {
                after_cancel += 1;
                if after_cancel > AFTER_CANCEL_MAX {
                    return Err(passing("the server does not stop when it is asked to"));
                }
            }
            0xFF00 | 0xFF01 if found.entries.len() + found.left_out >= options.entries_max => {
                found.is_cut = true;
                cancel(association, context).map_err(passing)?;
            }
            0xFF00 | 0xFF01 => match answer.data.and_then(|data| decoded(&data, syntax)).and_then(|set| entry(&set)) {
                Some(entry) => found.entries.push(entry),
                None => found.left_out += 1,
            },
            0x0000 => break,
            0xFE00 if found.is_cut => break,
            status @ (0xA700..=0xA7FF | 0xFE00) => return Err(passing(&format!("status {status:04X}H"))),
            status => return Err(Error::new(ErrorKind::Unsupported, format!("refused: status {status:04X}H"))),
        }
    }
    found.entries.sort_by(|a, b| (&a.scheduled, &a.step).cmp(&(&b.scheduled, &b.step)));
    Ok(found)
}

fn cancel(association: &mut Association, context: u8) -> Result<(), &'static str> {
    let command = InMemDicomObject::command_from_element_iter([
        element(tags::COMMAND_FIELD, VR::US, CANCEL_REQUEST),
        element(tags::MESSAGE_ID_BEING_RESPONDED_TO, VR::US, MESSAGE),
        element(tags::COMMAND_DATA_SET_TYPE, VR::US, NO_DATA_SET),
    ]);
    association.ask(context, command, None)
}

/// What is asked for: keys with a value have to match, those without are told.
///
/// Source: DICOM PS3.4 annex K.6.
fn query(options: &WorklistOptions) -> DataSet {
    let step = DataSet::with(|d| {
        d.text(tags::MODALITY, VR::CS, &options.modality)
            .text(tags::SCHEDULED_STATION_AE_TITLE, VR::AE, &options.station)
            .text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, options.days.range());
        for (tag, vr) in [
            (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM),
            (tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO),
            (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH),
        ] {
            d.text(tag, vr, "");
        }
    });
    DataSet::with(|d| {
        for (tag, vr) in [
            (tags::ACCESSION_NUMBER, VR::SH),
            (tags::PATIENT_NAME, VR::PN),
            (tags::PATIENT_ID, VR::LO),
            (tags::PATIENT_BIRTH_DATE, VR::DA),
            (tags::PATIENT_SEX, VR::CS),
            (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO),
            (tags::REQUESTED_PROCEDURE_ID, VR::SH),
        ] {
            d.text(tag, vr, "");
        }
        d.text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
            .sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
    })
}

/// `None` when an exam cannot hold its patient.
fn entry(set: &InMemDicomObject) -> Option<WorklistEntry> {
    let steps = set.get(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)?;
    let step = steps.items()?.first()?;
    let patient = Patient {
        id: text(set, tags::PATIENT_ID),
        name: name(&text(set, tags::PATIENT_NAME)),
        birth_date: text(set, tags::PATIENT_BIRTH_DATE),
        sex: text(set, tags::PATIENT_SEX),
        accession: text(set, tags::ACCESSION_NUMBER),
    };
    // A byte that its character set has not is in the text as its number after a backslash, which no patient has.
    patient.check().ok()?;
    let is_plain = [&patient.id, &patient.name, &patient.accession].iter().all(|t| t.is_ascii());
    if !is_plain && !READ_SETS.contains(&text(set, tags::SPECIFIC_CHARACTER_SET).as_str()) {
        return None;
    }
    let procedure = [
        plain(&text(step, tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION)),
        plain(&text(set, tags::REQUESTED_PROCEDURE_DESCRIPTION)),
    ];
    Some(WorklistEntry {
        step: plain(&text(step, tags::SCHEDULED_PROCEDURE_STEP_ID)),
        scheduled: scheduled(
            &text(step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE),
            &text(step, tags::SCHEDULED_PROCEDURE_STEP_START_TIME),
        ),
        modality: plain(&text(step, tags::MODALITY)),
        procedure: procedure.into_iter().find(|p| !p.is_empty()).unwrap_or_default(),
        patient,
    })
}

fn text(set: &InMemDicomObject, tag: dicom_core::Tag) -> String {
    let text = set.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default();
    text.trim_matches(|c: char| c == ' ' || c == '\0').to_owned()
}

/// The whole name, or its alphabetic group where the whole is longer than an exam holds: each group is a name in itself.
fn name(text: &str) -> String {
    let name = text.trim_end_matches(['^', '=', ' ']);
    let is_short = name.chars().count() <= TEXT_MAX && name.matches('^').count() <= 4;
    if is_short { name.to_owned() } else { name.split('=').next().unwrap_or_default().to_owned() }
}

/// For a terminal: one line without control characters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

/// `20261129` and `103000.5` as `2026-11-29 10:30`.
fn scheduled(date: &str, time: &str) -> String {
    let is_number = |t: &str, n: usize| t.len() >= n && t.as_bytes()[..n].iter().all(u8::is_ascii_digit);
    let day = is_number(date, 8).then(|| format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..8]));
    let hour = is_number(time, 4).then(|| format!("{}:{}", &time[..2], &time[2..4]));
    [day, hour].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn today_is_asked_for_with_a_day_on_either_side_and_an_unverified_clock_asks_for_all() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(Days::Around(day("2026-12-31")).range(), "20261230-20270101");
        assert_eq!(Days::All.range(), "");
        let now = "2026-11-29T23:30:00Z".parse().unwrap();
        let days = |is_synchronized| Days::around(&ClockReading { now, is_synchronized });
        assert_eq!((days(true), days(false)), (Days::Around(day("2026-11-29")), Days::All));
    }

    #[test]
    fn dates_and_times_are_told_as_far_as_they_are_known() {
        for (date, time, expected) in [
            ("20261129", "103000.5", "2026-11-29 10:30"),
            ("20261129", "", "2026-11-29"),
            ("20261129", "10", "2026-11-29"),
            ("", "0815", "08:15"),
            ("2026\u{e9}11", "1\u{e9}30", ""),
        ] {
            assert_eq!(scheduled(date, time), expected, "{date} {time}");
        }
    }

    #[test]
    fn a_long_name_in_several_scripts_is_told_in_the_first() {
        assert_eq!(
            name("YAMADA^TAROU=\u{5c71}\u{7530}^\u{592a}\u{90ce}^^="),
            "YAMADA^TAROU=\u{5c71}\u{7530}^\u{592a}\u{90ce}"
        );
        let long = format!("YAMADA^TAROU={}", "\u{5c71}".repeat(60));
        assert_eq!(name(&long), "YAMADA^TAROU");
    }
}
