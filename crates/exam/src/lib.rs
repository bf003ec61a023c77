//! Exams on disk: pictures with exact outlines and measurements, as DICOM objects and as files that anybody can read.
//!
//! What [`Exam::save`] has returned survives a power cut. An exam is a plain folder:
//!
//! ```text
//! STORE/store.json                     number of the device
//! STORE/2026-11-29-0001/exam.json      study, clock, model; the patient, once bound: nowhere else
//!                       journal        what is saved: a line an event, with length and CRC
//!                       0001.dcm       US Image (or US Multi-frame), 0001.png beside it
//!                       0001-outlined.dcm, 0001-outlined.png, 0001-seg.dcm, 0001-sr.dcm, 0001.prompts.json
//!                       sent/DESTINATION/SOP-UID
//! ```
//!
//! Terms: an *item* is a saved still or cine with its files; an exam is *bound* when it has a patient, *ended* when nothing is
//! added any more; *unverified* is a clock that nobody vouches for.
//!
//! Invariants: an item exists when the journal has its line, and then all its files are on the disk. No name of a file, no
//! error and no log line has a patient's datum. Only outlines that were computed from the very frame are saved.
//!
//! ```
//! use sonotap::{Frame, PixelFormat};
//! use sonotap_exam::{Capture, NewExam, Origin, Store};
//! let folder = tempfile::tempdir().unwrap();
//! let (store, _) = Store::open(&folder.path().join("exams"))?;
//! let mut exam = store.begin(&NewExam { origin: Origin::Simulated, ..NewExam::default() })?;
//! let frame = Frame::from_pixels(64, 48, PixelFormat::Grey8, vec![7; 64 * 48])?;
//! let saved = exam.save(&Capture::still(frame, Vec::new()))?;
//! assert_eq!(saved.number, 1);
//! assert!(folder.path().join("exams").join(exam.name()).join("0001.dcm").is_file());
//! # Ok::<(), sonotap::Error>(())
//! ```
#![deny(unsafe_code)]

mod association;
mod capture;
mod deidentify;
mod dicom;
mod export;
mod notes;
mod page;
mod pictures;
mod raster;
mod reopen;
mod saver;
mod send;
mod sender;
mod store;
mod thumbnail;
mod wall_clock;
mod worklist;

pub use association::{Destination, Tls};
pub use capture::{Capture, Kept, LeftOut, Origin, Outlined, SavedFrame};
pub use export::{ExportOptions, Exported, Pixels, export};
pub use reopen::{Reopened, SavedSource, reopen};
pub use saver::{Outcome, Saver, Task};
pub use send::{Backoff, SendOptions, SendReport, SendState, send};
pub use sender::{ExamSender, SendNews};
pub use store::exam::{Exam, NewExam, Saved};
pub use store::health::StoreHealth;
pub use store::record::{ExamRecord, FileRecord, ItemKind, ItemRecord, Patient, Role};
pub use store::repair::{Repair, RepairReport};
pub use store::view::{ExamView, Fault};
pub use store::{ExamName, Store};
pub use wall_clock::{ClockDoubt, ClockReading, ClockState};
pub use worklist::{Days, Worklist, WorklistEntry, WorklistOptions, worklist};
