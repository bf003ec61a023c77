//! C-STORE of an exam's objects to an archive.
//!
//! Each object leaves with its exam's patient. What the archive has taken has a marker `sent/DESTINATION/SOP-UID`, written after
//! its answer, so an object may be sent twice and is never taken for sent wrongly; archives know it by its SOP Instance UID. A
//! refusal that will not change stops the sending until somebody asks for it again; anything else is tried again, later each
//! time. What a peer says in words is told nowhere: it may repeat the patient's name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use serde::Serialize;
use sonotap::durable;
use sonotap::{Error, ErrorKind, Result};

use crate::association::{Association, Caller, Destination, NoAssociation, Tls, element, encoded};
use crate::dicom::common::address;
use crate::dicom::elements::{DataSet, JPEG};
use crate::dicom::native;
use crate::export::parsed;
use crate::store::record::{DicomRecord, FileRecord};
use crate::store::view::ExamView;
use crate::store::{SENT, write_json};
use crate::wall_clock::{ClockReading, text_of};

/// Command field of C-STORE-RQ.
const STORE_REQUEST: u16 = 0x0001;
/// Command field of C-STORE-RSP.
const STORE_RESPONSE: u16 = 0x8001;
/// An answer to C-STORE has no data set.
const RESPONSE_DATA_MAX: usize = 0;

/// How long to wait before each further try: each twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Tries, the first among them.
    pub tries: u32,
    /// Before the second try.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { tries: 4, first: Duration::from_secs(2), longest: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// The wait after so many tries have failed; `None` when there is no further try.
    pub fn wait_after(&self, failed: u32) -> Option<Duration> {
        (failed < self.tries)
            .then(|| self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest))
    }
}

/// Choices of sending.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Our AE title.
    pub calling: String,
    /// Send an exam that is bound to nobody: archives file all of these under one patient.
    pub is_unbound_allowed: bool,
    /// Send again what was refused.
    pub is_again: bool,
    /// On connecting, reading and writing.
    pub timeout: Duration,
    /// TLS, where the archive has it.
    pub tls: Option<Tls>,
    /// Waits between tries.
    pub backoff: Backoff,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            calling: "SONOTAP".into(),
            is_unbound_allowed: false,
            is_again: false,
            timeout: Duration::from_secs(15),
            tls: None,
            backoff: Backoff::default(),
        }
    }
}

/// How a sending ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SendState {
    /// The archive has everything.
    Complete,
    /// The archive refuses an object, and will again.
    Refused {
        /// Its file.
        file: String,
        /// Why.
        why: String,
    },
    /// All tries failed; another time may do.
    Later {
        /// Why, of the last try.
        why: String,
    },
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// Objects that the archive took now.
    pub sent: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Objects that it had taken before.
    pub before: usize,
    /// Tries.
    pub tries: u32,
    /// How it ended.
    #[serde(flatten)]
    pub state: SendState,
}

/// A marker of what was sent or refused.
#[derive(Serialize)]
struct Marker<'a> {
    at: String,
    status: u16,
    file: &'a str,
}

enum Failure {
    Final {
        file: String,
        why: String,
    },
    Passing(String),
    /// Ours: the disk, or a file that is not what it was.
    Own(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Own(e)
    }
}

/// Sends what a destination does not have yet. `wait` is told how long to wait between tries.
///
/// # Errors
/// `Argument` when the exam is open, its date is not confirmed, or it is bound to nobody; `Io` and `Format` when a file cannot be read
/// or is not what was saved.
pub fn send(
    view: &ExamView,
    to: &Destination,
    options: &SendOptions,
    wait: &mut dyn FnMut(Duration),
) -> Result<SendReport> {
    check(view, options)?;
    let markers = view.folder().join(SENT).join(to.folder_name());
    make_folders(view, &markers)?;
    let mut report = SendReport { sent: 0, bytes: 0, before: 0, tries: 0, state: SendState::Complete };
    let objects = || view.files().filter_map(|f| Some((f, f.dicom.as_ref()?)));
    report.before = objects().filter(|(_, d)| markers.join(&d.instance_uid).is_file()).count();
    let refused = |d: &DicomRecord| markers.join(format!("{}.refused", d.instance_uid));
    if let Some((file, _)) = objects().find(|(_, d)| !options.is_again && refused(d).is_file()) {
        let why = "it was refused before; say so to try it again".to_owned();
        report.state = SendState::Refused { file: file.name.clone(), why };
        return Ok(report);
    }
    loop {
        let left: Vec<_> = objects().filter(|(_, d)| !markers.join(&d.instance_uid).is_file()).collect();
        if left.is_empty() {
            return Ok(report);
        }
        report.tries += 1;
        let sending = Sending { view, to, options, markers: &markers };
        match sending.all(&left, &mut report) {
            Ok(()) => {}
            Err(Failure::Own(e)) => return Err(e.within(format!("exam {}", view.name()))),
            Err(Failure::Final { file, why }) => {
                report.state = SendState::Refused { file, why };
                return Ok(report);
            }
            Err(Failure::Passing(why)) => match options.backoff.wait_after(report.tries) {
                Some(time) => wait(time),
                None => {
                    report.state = SendState::Later { why };
                    return Ok(report);
                }
            },
        }
    }
}

fn check(view: &ExamView, options: &SendOptions) -> Result<()> {
    let refuse = |what: &str| Err(Error::new(ErrorKind::Argument, format!("exam {}: {what}", view.name())));
    if !view.is_ended() {
        return refuse("expected one that was ended, got an open one");
    }
    if !view.is_date_confirmed() {
        return refuse("its date is held: the clock was not verified, and nobody has confirmed the date");
    }
    if !view.is_bound() && !options.is_unbound_allowed {
        return refuse("expected one that is bound to a patient, got one that is bound to nobody");
    }
    caller(options).check().map_err(|e| e.within(format!("exam {}", view.name())))
}

fn caller(options: &SendOptions) -> Caller<'_> {
    Caller { title: &options.calling, timeout: options.timeout, tls: options.tls.as_ref() }
}

fn make_folders(view: &ExamView, markers: &PathBuf) -> Result<()> {
    for folder in [&view.folder().join(SENT), markers] {
        if !folder.is_dir() {
            durable::create_folder(folder).map_err(|e| e.within(folder.display()))?;
        }
    }
    Ok(())
}

struct Sending<'a> {
    view: &'a ExamView,
    to: &'a Destination,
    options: &'a SendOptions,
    markers: &'a std::path::Path,
}

impl Sending<'_> {
    /// All in one association.
    fn all(&self, objects: &[(&FileRecord, &DicomRecord)], report: &mut SendReport) -> Result<(), Failure> {
        let mut association = self.associate(objects)?;
        for (number, (file, dicom)) in objects.iter().enumerate() {
            // Ids begin anew after 65,535, which an exam does not reach.
            let status = match self.one(&mut association, file, dicom, number as u16 + 1) {
                Ok(status) => status,
                Err(failure) => {
                    association.abort();
                    return Err(failure);
                }
            };
            let marker = Marker { at: text_of(&ClockReading::take().now), status, file: &file.name };
            match verdict(status) {
                Verdict::Taken => {
                    write_json(&self.markers.join(&dicom.instance_uid), &marker)?;
                    report.sent += 1;
                    report.bytes += file.bytes;
                }
                Verdict::Passing => {
                    association.release();
                    return Err(Failure::Passing(format!("{}: status {status:04X}H", file.name)));
                }
                Verdict::Final => {
                    write_json(&self.markers.join(format!("{}.refused", dicom.instance_uid)), &marker)?;
                    association.release();
                    return Err(Failure::Final { file: file.name.clone(), why: format!("status {status:04X}H") });
                }
            }
        }
        // Everything is there, whether the peer says good-bye or not.
        association.release();
        Ok(())
    }

    /// One context a SOP class: the stored syntax first, then native ones.
    fn associate(&self, objects: &[(&FileRecord, &DicomRecord)]) -> Result<Association, Failure> {
        let mut classes: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (file, dicom) in objects {
            classes.entry(&dicom.class_uid).or_insert((&dicom.syntax_uid, &file.name));
        }
        let contexts = classes.iter().map(|(class_uid, (syntax, _))| {
            let native = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
            let syntaxes = [*syntax].into_iter().chain(native.into_iter().filter(|n| n != syntax));
            ((*class_uid).to_owned(), syntaxes.map(str::to_owned).collect())
        });
        let first = || classes.values().next().map_or(String::new(), |(_, name)| (*name).to_owned());
        Association::open(self.to, &caller(self.options), contexts.collect()).map_err(|why| match why {
            NoAssociation::NoContext => {
                Failure::Final { file: first(), why: "the archive takes no object of this kind".into() }
            }
            NoAssociation::Forbidden => {
                Failure::Final { file: first(), why: "the archive takes no association from this title".into() }
            }
            NoAssociation::Passing(why) => Failure::Passing(format!("no association: {why}")),
        })
    }

    /// Sends an object; its status.
    fn one(
        &self,
        association: &mut Association,
        file: &FileRecord,
        dicom: &DicomRecord,
        message: u16,
    ) -> Result<u16, Failure> {
        let Some((context, syntax)) = association.context(&dicom.class_uid) else {
            let marker = Marker { at: text_of(&ClockReading::take().now), status: 0x0122, file: &file.name };
            write_json(&self.markers.join(format!("{}.refused", dicom.instance_uid)), &marker)?;
            return Err(Failure::Final {
                file: file.name.clone(),
                why: "the archive takes no object of this kind".into(),
            });
        };
        let data = self.data(file, dicom, &syntax)?;
        let command = InMemDicomObject::command_from_element_iter([
            element(tags::AFFECTED_SOP_CLASS_UID, VR::UI, dicom.class_uid.as_str()),
            element(tags::COMMAND_FIELD, VR::US, STORE_REQUEST),
            element(tags::MESSAGE_ID, VR::US, message),
            element(tags::PRIORITY, VR::US, 0u16),
            element(tags::COMMAND_DATA_SET_TYPE, VR::US, 0u16),
            element(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, dicom.instance_uid.as_str()),
        ]);
        let passing = |why: &str| Failure::Passing(format!("{}: {why}", file.name));
        association.ask(context, command, Some(&data)).map_err(passing)?;
        let answer = association.answer(RESPONSE_DATA_MAX).map_err(passing)?;
        let is_ours = answer.number(tags::COMMAND_FIELD) == Some(STORE_RESPONSE)
            && answer.number(tags::MESSAGE_ID_BEING_RESPONDED_TO) == Some(message);
        let status = answer.number(tags::STATUS).filter(|_| is_ours);
        status.ok_or_else(|| passing("expected an answer to the request, got another"))
    }

    /// The data set as it leaves: with the patient, in the syntax that was agreed on.
    fn data(&self, file: &FileRecord, dicom: &DicomRecord, syntax: &str) -> Result<Vec<u8>, Failure> {
        let bytes = self.view.bytes_of(file)?;
        let mut set = DataSet(parsed(&bytes, file)?);
        address(&mut set, self.view.record().patient.as_ref());
        if dicom.syntax_uid == JPEG && syntax != JPEG {
            set = DataSet(native::uncompressed(&set.0)?);
        }
        encoded(&set.0, syntax).ok_or_else(|| {
            let what = format!("{}: cannot be written for the archive", file.name);
            Error::new(ErrorKind::Format, what).into()
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    Passing,
    Final,
}

/// Source: DICOM PS3.4 annex B.2.3, PS3.7 annex C.
fn verdict(status: u16) -> Verdict {
    match status {
        // Success, warnings, and "duplicate SOP instance": it has it.
        0x0000 | 0x0001 | 0x0107 | 0x0111 | 0x0116 | 0xB000..=0xBFFF => Verdict::Taken,
        // Out of resources, resource limitation.
        0xA700..=0xA7FF | 0x0213 => Verdict::Passing,
        _ => Verdict::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let backoff = Backoff { tries: 5, first: Duration::from_secs(2), longest: Duration::from_secs(9) };
        let waits: Vec<_> = (1..7).map(|n| backoff.wait_after(n).map(|w| w.as_secs())).collect();
        assert_eq!(waits, [Some(2), Some(4), Some(8), Some(9), None, None]);
    }

    #[test]
    fn a_status_is_taken_passing_or_final() {
        for (status, expected) in [
            (0x0000, Verdict::Taken),
            (0xB000, Verdict::Taken),
            (0x0111, Verdict::Taken),
            (0xA700, Verdict::Passing),
            (0xA701, Verdict::Passing),
            (0xA900, Verdict::Final),
            (0xC000, Verdict::Final),
            (0x0122, Verdict::Final),
        ] {
            assert_eq!(verdict(status), expected, "{status:04X}");
        }
    }
}
