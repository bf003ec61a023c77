//! Saves what an operator asks for into a store of exams: of `run` beside the live path, of `segment` at once.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sonotap::frame::Frame;
use sonotap::pipeline::live::Live;
use sonotap::scene::{HiddenReason, Mode, Overlay, Scene};
use sonotap::session::SaveRequest;
use sonotap::units::Timestamp;
use sonotap_exam::{Capture, Kept, NewExam, Outcome, Outlined, RepairReport, Saver, Store};

/// A frozen frame's outlines are waited for so long.
const EXACT_WITHIN: Duration = Duration::from_secs(2);

/// An item that is on the disk for good.
#[derive(Clone, Debug, Serialize)]
pub struct SavedItem {
    /// Name of the exam.
    pub exam: String,
    /// Number of the item in it.
    pub item: u32,
    /// Bytes of its files.
    pub bytes: u64,
    /// From the request until it was on the disk, ms.
    pub took_ms: f64,
}

/// What a run saved.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ExamReport {
    /// What is on the disk for good.
    pub saved: Vec<SavedItem>,
    /// Outlines that were not saved with their frame, since they were not computed from it.
    pub outlines_left_out: usize,
    /// What was asked for and is not saved, with the reason.
    pub failed: Vec<String>,
}

/// Who saves during a run.
pub struct Saving {
    saver: Saver,
    asked: SaveRequest,
    asked_since: Timestamp,
    report: ExamReport,
}

impl Saving {
    /// Opens the store, puts right what a power cut left, and starts the thread that writes.
    pub fn open(root: &Path, new: NewExam) -> Result<Self> {
        let store = open_store(root)?;
        let saver = Saver::start(store, new)?;
        Ok(Self { saver, asked: SaveRequest::default(), asked_since: Timestamp::START, report: ExamReport::default() })
    }

    /// Takes requests from the live path and tells what became of them. Never waits.
    pub fn turn(&mut self, live: &mut Live, now: Timestamp) {
        let asked = live.take_save_request();
        if self.asked == SaveRequest::default() {
            self.asked_since = now;
        }
        self.asked = SaveRequest { still: self.asked.still | asked.still, cine: self.asked.cine | asked.cine };
        while let Some(outcome) = self.saver.outcome() {
            self.report.note(outcome);
        }
        let is_asked = self.asked != SaveRequest::default();
        let Some((frame, scene)) = live.engine().composed().filter(|_| is_asked) else { return };
        let is_late = now.since(self.asked_since) > EXACT_WITHIN;
        if !is_late && (!scene.belongs_to(frame) || is_awaited(scene)) {
            return;
        }
        let Kept { exact, left_out } = Outlined::of_scene(scene, frame);
        if self.asked.still {
            self.report.outlines_left_out += left_out.len();
            let capture = Capture::still(frame.clone(), exact.clone())
                .with_calipers(live.engine().caliper_readings())
                .with_ruler_scale(scene.ruler_scale);
            self.hand_over(capture);
        }
        if self.asked.cine {
            let frames: Vec<_> = live.engine().cine().cloned().collect();
            let capture = match frames.iter().position(|f| f.id() == frame.id()) {
                Some(place) => Capture::cine(frames, place, exact),
                None => Capture::cine(frames, 0, Vec::new()),
            };
            self.hand_over(capture);
        }
        self.asked = SaveRequest::default();
    }

    fn hand_over(&mut self, capture: Capture) {
        if let Err(e) = self.saver.save(capture) {
            self.report.failed(e.to_string());
        }
    }

    /// Waits until everything is on the disk.
    pub fn finish(self) -> ExamReport {
        let Self { saver, mut report, .. } = self;
        saver.finish().into_iter().for_each(|outcome| report.note(outcome));
        report
    }
}

impl ExamReport {
    fn note(&mut self, outcome: Outcome) {
        match (outcome.saved, outcome.exam) {
            (Ok(saved), Some(exam)) => {
                log::info!("saved: exam {exam}, item {:04}", saved.number);
                let took_ms = saved.took.as_secs_f64() * 1e3;
                self.saved.push(SavedItem { exam, item: saved.number, bytes: saved.bytes, took_ms });
            }
            (Ok(_), None) => self.failed("not saved: expected the name of an exam, got none".into()),
            (Err(e), _) => self.failed(e.to_string()),
        }
    }

    fn failed(&mut self, why: String) {
        log::warn!("{why}");
        self.failed.push(why);
    }
}

/// Whether a frozen frame waits for an outline of its own.
fn is_awaited(scene: &Scene) -> bool {
    let is_awaited = |o: Overlay| o == Overlay::Hidden(HiddenReason::Computing);
    scene.mode != Mode::Live && scene.objects.iter().any(|o| is_awaited(o.overlay))
}

/// Says that there is no store.
pub fn refuse(live: &mut Live) {
    if live.take_save_request() != SaveRequest::default() {
        log::warn!("not saved: expected a store of exams, got none; --save-exam DIR names one");
    }
}

/// Opens a store for writing; what was put right is logged.
pub fn open_store(root: &Path) -> Result<Store> {
    let (store, RepairReport { repairs }) = Store::open(root).with_context(|| format!("store {}", root.display()))?;
    for (exam, repair) in repairs {
        match exam {
            Some(exam) => log::warn!("exam {exam}: {repair}"),
            None => log::warn!("exams: {repair}"),
        }
    }
    Ok(store)
}

/// Saves a still at once, into a new exam or a given one.
pub fn save_still(
    root: &Path,
    exam: Option<&str>,
    new: &NewExam,
    frame: &Frame,
    object: Option<Outlined>,
) -> Result<SavedItem> {
    let store = open_store(root)?;
    let mut exam = match exam {
        Some(name) => store.resume(&name.parse().context("--exam")?)?,
        None => store.begin(new)?,
    };
    let saved = exam.save(&Capture::still(frame.clone(), object.into_iter().collect()))?;
    let took_ms = saved.took.as_secs_f64() * 1e3;
    Ok(SavedItem { exam: exam.name(), item: saved.number, bytes: saved.bytes, took_ms })
}

/// For a line of text.
pub fn told(report: &ExamReport) -> String {
    let items: Vec<String> =
        report.saved.iter().map(|s| format!("{} {:04} ({:.0} ms)", s.exam, s.item, s.took_ms)).collect();
    let what = if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let left_out = match report.outlines_left_out {
        0 => String::new(),
        n => format!("; {n} outlines left out, not computed from their frame"),
    };
    format!("saved    {what}{left_out}")
}
