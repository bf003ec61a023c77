//! Saves what an operator asks for into a store of exams: of `run` beside the live path, of `segment` at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sonotap::desk::{Desk, ExamRequest, ExamTold, Identity, ItemTold, SaveTold, Trouble, Warnings, WorklistTold};
use sonotap::display_loop::DisplayLoop;
use sonotap::durable;
use sonotap::error::{Error, ErrorKind, Result as SonotapResult};
use sonotap::frame::Frame;
use sonotap::pipeline::live::Live;
use sonotap::preset::Preset;
use sonotap::profile::ExamsProfile;
use sonotap::scene::{HiddenReason, Mode, Overlay, Scene};
use sonotap::session::SaveRequest;
use sonotap::units::{Span, Timestamp};
use sonotap_exam::{
    Capture, ItemKind, Kept, NewExam, Outcome, Outlined, Patient, Reopened, RepairReport, SavedSource, Saver, Store,
    StoreHealth, Task,
};

use crate::displays::Displays;
use crate::orders::Orders;
use crate::sending::{Sending, SendingReport};

/// A frozen frame's outlines are waited for so long.
const EXACT_WITHIN: Duration = Duration::from_secs(2);
/// The screen says so long that something was saved, or why it could not be.
const SAID_FOR: Duration = Duration::from_secs(5);

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
    /// Exams that were ended.
    pub ended: usize,
    /// What was refused at once, and the operator was told so.
    pub refused: usize,
    /// What was asked for and is not done, with the reason.
    pub failed: Vec<String>,
    /// What was sent by itself, where the profile wants that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<SendingReport>,
}

/// Who saves during a run.
pub struct Saving {
    saver: Saver,
    cine: (Duration, Duration),
    presets: Vec<(String, Arc<Preset>)>,
    /// Where patients can be picked from.
    orders: Option<Orders>,
    /// Who sends exams that were ended.
    sending: Option<Sending>,
    asked: SaveRequest,
    asked_since: Timestamp,
    /// The press of a cine whose last frames are still coming.
    pressed: Option<Timestamp>,
    /// Whom the exam is being bound to.
    binding: Option<Identity>,
    /// The saved item whose frames are shown, to be outlined anew.
    reopened: Option<SavedSource>,
    /// The exam is being ended; whether what is not saved may be lost.
    ending: Option<bool>,
    told: ExamTold,
    is_news: bool,
    said_since: Timestamp,
    /// Of this turn.
    now: Timestamp,
    report: ExamReport,
}

impl Saving {
    /// Opens the store, puts right what a power cut left, and starts the thread that writes.
    pub fn open(
        root: &Path,
        new: NewExam,
        profile: &ExamsProfile,
        presets: Vec<(String, Arc<Preset>)>,
        preset: Option<&str>,
    ) -> Result<Self> {
        // A later run adds nothing to the exam of an earlier one.
        let left_open_for =
            (profile.ask_after_min > 0.0).then(|| Duration::from_secs_f64(60.0 * profile.ask_after_min));
        let saver = Saver::start_and_end(open_store(root)?, new, left_open_for)?;
        let preset = preset.and_then(|chosen| presets.iter().position(|(name, _)| name == chosen));
        Ok(Self {
            saver,
            cine: (Duration::of_secs(profile.cine_before_s), Duration::of_secs(profile.cine_after_s)),
            presets,
            orders: None,
            sending: None,
            asked: SaveRequest::default(),
            asked_since: Timestamp::START,
            pressed: None,
            binding: None,
            reopened: None,
            ending: None,
            told: ExamTold { preset, ..ExamTold::default() },
            is_news: true,
            said_since: Timestamp::START,
            now: Timestamp::START,
            report: ExamReport::default(),
        })
    }

    /// With a worklist from which a patient can be picked.
    pub fn with_orders(mut self, orders: Option<Orders>) -> Self {
        self.told.worklist = if orders.is_some() { WorklistTold::Ready } else { WorklistTold::Absent };
        self.orders = orders;
        self
    }

    /// With somebody who sends exams that were ended.
    pub fn with_sending(self, sending: Option<Sending>) -> Self {
        Self { sending, ..self }
    }

    /// Takes what the operator wants, and tells the screen what became of it. Never waits.
    pub fn turn(&mut self, display_loop: &mut DisplayLoop<Displays>, now: Timestamp) {
        self.now = now;
        while let Some(request) = display_loop.screen_mut().desk_mut().and_then(Desk::take_request) {
            self.obey(request, display_loop.live_mut());
        }
        while let Some(outcome) = self.saver.outcome() {
            self.note(outcome, display_loop);
        }
        if let Some(told) = self.orders.as_mut().and_then(Orders::answer) {
            self.told.worklist = told;
            self.is_news = true;
        }
        if self.sending.as_mut().is_some_and(Sending::take_news)
            && let Err(e) = self.saver.ask(Task::CountUnsent)
        {
            // It is counted again with the next exam, and from time to time.
            log::debug!("{e}");
        }
        self.note_reopened(display_loop.live());
        let is_asking = display_loop.screen().desk().is_some_and(Desk::is_asking);
        self.take_presses(display_loop.live_mut(), is_asking, now);
        self.capture(display_loop.live_mut(), now);
        // What the disk refused is said until something else is.
        let is_passing = match self.told.saving {
            SaveTold::Saved(_) => true,
            SaveTold::Failed(why) => matches!(why, Trouble::NoPicture | Trouble::Asked | Trouble::TooMany),
            _ => false,
        };
        if is_passing && now.since(self.said_since) > SAID_FOR {
            self.say(SaveTold::Idle);
        }
        if self.is_news {
            self.is_news = false;
            display_loop.screen_mut().desk_mut().into_iter().for_each(|desk| desk.tell(self.told.clone()));
        }
    }

    /// When the screen is live again, what is saved is no frame of a saved item.
    fn note_reopened(&mut self, live: &Live) {
        self.reopened = self.reopened.filter(|_| live.engine().is_reopened());
        let number = self.reopened.map(|source| source.item);
        if self.told.reopened != number {
            self.told.reopened = number;
            self.is_news = true;
        }
    }

    /// Shows a saved item with its prompts, and what it was outlined as.
    fn reopen(&mut self, saved: Reopened, live: &mut Live) {
        let Reopened { saved, label, source } = saved;
        if self.ending.is_some() || !live.reopen(saved) {
            self.say(SaveTold::NotDone(Trouble::NoPicture));
            return self.report.failed("not opened: expected a picture, got none".into());
        }
        let preset = self.presets.iter().position(|(_, preset)| Some(&preset.label) == label.as_ref());
        live.set_preset(preset.map(|number| self.presets[number].1.clone()));
        (self.told.preset, self.reopened) = (preset, Some(source));
        // What was pressed before is not of this picture.
        (self.asked, self.pressed) = (SaveRequest::default(), None);
        self.is_news = true;
    }

    fn say(&mut self, saving: SaveTold) {
        (self.told.saving, self.said_since) = (saving, self.now);
        self.is_news = true;
    }

    /// Notes what was asked for; what cannot be saved now is said at once.
    fn take_presses(&mut self, live: &mut Live, is_asking: bool, now: Timestamp) {
        let asked = live.take_save_request();
        if asked == SaveRequest::default() {
            return;
        }
        let refused = match live.engine().shown() {
            _ if is_asking || self.ending.is_some() => {
                Some((Trouble::Asked, "not saved: expected an answer to the question on the screen, got none"))
            }
            None => Some((Trouble::NoPicture, "not saved: expected a picture, got none")),
            Some(_) => None,
        };
        if let Some((why, words)) = refused {
            self.say(SaveTold::Failed(why));
            self.report.refused += 1;
            return log::warn!("{words}");
        }
        if self.asked == SaveRequest::default() {
            self.asked_since = now;
        }
        self.asked.still |= asked.still;
        self.say(SaveTold::Saving);
        if asked.cine && self.pressed.is_none() {
            self.pressed = Some(now);
            self.say(SaveTold::Recording);
        }
    }

    /// Hands over what was asked for, once outlines and last frames are there.
    fn capture(&mut self, live: &mut Live, now: Timestamp) {
        let is_live = live.engine().is_live();
        // A ring that stands still has all its frames.
        if !self.asked.cine && self.pressed.is_some_and(|at| !is_live || now.since(at) >= self.cine.1) {
            self.asked.cine = true;
            self.asked_since = now;
        }
        let is_asked = self.asked != SaveRequest::default();
        let Some((frame, scene)) = live.engine().composed().filter(|_| is_asked) else { return };
        let is_late = now.since(self.asked_since) > EXACT_WITHIN;
        if !is_late && (!scene.belongs_to(frame) || is_awaited(scene)) {
            return;
        }
        let Kept { exact, left_out } = Outlined::of_scene(scene, frame);
        let mut asked = std::mem::take(&mut self.asked);
        if self.reopened.is_some() && asked.cine {
            // It is saved already.
            (asked, self.pressed) = (SaveRequest { still: true, cine: false }, None);
        }
        if asked.still {
            let place = live.engine().reopened_frame().map(|(_, frame)| frame);
            let source = self.reopened.zip(place).map(|(source, frame)| source.frame(frame));
            self.report.outlines_left_out += left_out.len();
            let capture = Capture::still(frame.clone(), exact.clone())
                .with_calipers(live.engine().caliper_readings())
                .with_figures(live.engine().caliper_figures())
                .with_ruler_scale(scene.ruler_scale)
                .of_item(source);
            self.hand_over(capture);
        }
        if asked.cine {
            let at = self.pressed.take().filter(|_| is_live).unwrap_or(frame.captured());
            let from = at - self.cine.0;
            let frames: Vec<_> = live.engine().cine().filter(|f| f.captured() >= from).cloned().collect();
            let capture = match frames.iter().position(|f| f.id() == frame.id()) {
                Some(place) => Capture::cine(frames, place, exact).with_calipers(live.engine().caliper_readings()),
                None => Capture::cine(frames, 0, Vec::new()),
            };
            self.hand_over(capture.with_figures(live.engine().caliper_figures()));
        }
    }

    fn hand_over(&mut self, capture: Capture) {
        match self.saver.save(capture) {
            Ok(()) => self.say(SaveTold::Saving),
            Err(e) => {
                let is_full = self.saver.unsaved() >= Saver::UNSAVED_MAX;
                self.say(SaveTold::Failed(if is_full { Trouble::TooMany } else { Trouble::Other }));
                self.report.failed(e.to_string());
            }
        }
    }

    fn obey(&mut self, request: ExamRequest, live: &mut Live) {
        let task = match request {
            ExamRequest::Bind(identity) => {
                let of_order = |number| self.orders.as_ref().and_then(|orders| orders.patient(number));
                let patient = match identity.order() {
                    Some(number) => of_order(number),
                    None => Some(patient_of(&identity)),
                };
                let Some(patient) = patient else {
                    self.say(SaveTold::NotBound(Trouble::Other));
                    return self.report.failed("not bound: expected an order of the list, got one that is gone".into());
                };
                self.binding = Some(identity);
                Task::Bind(patient)
            }
            ExamRequest::AskWorklist => {
                if let Some(orders) = &mut self.orders {
                    self.told.worklist = orders.ask();
                    self.is_news = true;
                }
                return;
            }
            ExamRequest::ConfirmDate => Task::ConfirmDate,
            ExamRequest::ChoosePreset(preset) => {
                let chosen = preset.and_then(|number| self.presets.get(number));
                live.set_preset(chosen.map(|(_, preset)| preset.clone()));
                self.told.preset = preset;
                self.is_news = true;
                return;
            }
            ExamRequest::End { is_unsaved_lost } => {
                self.ending = Some(is_unsaved_lost);
                self.asked = SaveRequest::default();
                if self.pressed.take().is_some() {
                    self.report.failed("not saved: the exam was ended while its cine was still coming".into());
                }
                self.say(SaveTold::Ending);
                Task::End { is_unsaved_lost }
            }
            ExamRequest::Open(number) => Task::Open(number),
            ExamRequest::Edit(number) => Task::Reopen(number),
            ExamRequest::Delete(number) => Task::Delete(number),
            ExamRequest::Restore(number) => Task::Restore(number),
            _ => return,
        };
        if let Err(e) = self.saver.ask(task) {
            (self.binding, self.ending) = (None, None);
            self.say(SaveTold::NotDone(trouble_of(&e)));
            self.report.failed(e.to_string());
        }
    }

    fn note(&mut self, outcome: Outcome, display_loop: &mut DisplayLoop<Displays>) {
        self.is_news = true;
        match outcome {
            Outcome::Saved { exam, saved, thumbnail, is_kept } => {
                let said = match &saved {
                    Ok(saved) => {
                        let (number, is_cine) = (saved.number, saved.kind == ItemKind::Cine);
                        self.told.items.push(ItemTold { number, is_cine, is_deleted: false, thumbnail });
                        SaveTold::Saved(number)
                    }
                    Err(e) => SaveTold::Failed(trouble_of(e)),
                };
                self.told.waiting = if is_kept { self.saver.unsaved() } else { 0 };
                if self.ending.is_none() && self.pressed.is_none() {
                    self.say(said);
                }
                self.told.exam.clone_from(&exam);
                self.report.saved(exam, saved, is_kept);
            }
            Outcome::Bound { exam, bound } => {
                let identity = self.binding.take();
                self.told.exam = exam;
                match bound {
                    Ok(()) => self.told.patient = identity,
                    Err(e) => self.refused(SaveTold::NotBound(trouble_of(&e)), &e),
                }
            }
            Outcome::Ended { lost, ended } => self.note_end(lost, ended, display_loop),
            Outcome::Deleted(number, done) => self.mark(number, true, done),
            Outcome::Restored(number, done) => self.mark(number, false, done),
            Outcome::DateConfirmed(Err(e)) => self.refused(SaveTold::NotDone(trouble_of(&e)), &e),
            Outcome::DateConfirmed(Ok(())) => {}
            Outcome::Opened(number, Ok(picture)) => {
                display_loop.screen_mut().desk_mut().into_iter().for_each(|d| d.show_item(number, picture.clone()));
            }
            Outcome::Opened(_, Err(e)) => self.refused(SaveTold::NotDone(trouble_of(&e)), &e),
            Outcome::Reopened(_, Ok(saved)) => self.reopen(*saved, display_loop.live_mut()),
            Outcome::Reopened(_, Err(e)) => self.refused(SaveTold::NotDone(trouble_of(&e)), &e),
            Outcome::Health(health) => self.note_health(health),
        }
    }

    fn refused(&mut self, said: SaveTold, why: &Error) {
        self.say(said);
        self.report.failed(why.to_string());
    }

    fn mark(&mut self, number: u32, is_deleted: bool, done: SonotapResult<()>) {
        match done {
            Ok(()) => {
                let item = self.told.items.iter_mut().find(|item| item.number == number);
                item.into_iter().for_each(|item| item.is_deleted = is_deleted);
            }
            Err(e) => self.refused(SaveTold::NotDone(trouble_of(&e)), &e),
        }
    }

    /// From here on nothing of the last patient is on the screen, in memory, or saved with the next.
    fn note_end(&mut self, lost: usize, ended: SonotapResult<()>, display_loop: &mut DisplayLoop<Displays>) {
        let is_given_up = self.ending.take() == Some(true);
        let is_over = ended.is_ok() || is_given_up;
        if lost > 0 {
            self.report.failed(format!("{lost} pictures that were not saved were given up"));
        }
        match ended {
            Ok(()) => {
                self.report.ended += 1;
                self.sending.iter().for_each(Sending::ended);
            }
            Err(e) => self.refused(SaveTold::NotEnded(trouble_of(&e)), &e),
        }
        if is_over {
            let (preset, warnings) = (self.told.preset, self.told.warnings);
            self.told = ExamTold { preset, warnings, ..ExamTold::default() };
            // The next patient is picked from a list that is asked for anew.
            if let Some(orders) = &mut self.orders {
                orders.forget();
                self.told.worklist = WorklistTold::Ready;
            }
            (self.asked, self.pressed, self.binding) = (SaveRequest::default(), None, None);
            self.reopened = None;
            display_loop.new_exam();
        }
    }

    fn note_health(&mut self, health: StoreHealth) {
        self.told.clock = health.date;
        self.told.warnings = Warnings {
            is_disk_low: health.is_low,
            is_reserve_used: health.is_reserve_used,
            clock: health.doubt.map(|doubt| doubt.label()),
            unsent: health.unsent,
        };
    }

    /// Waits until everything is on the disk.
    pub fn finish(self) -> ExamReport {
        let Self { saver, mut report, sending, .. } = self;
        for outcome in saver.finish() {
            if let Outcome::Saved { exam, saved, is_kept, .. } = outcome {
                report.saved(exam, saved, is_kept);
            }
        }
        report.sending = sending.map(Sending::finish);
        report
    }
}

impl ExamReport {
    fn saved(&mut self, exam: Option<String>, saved: SonotapResult<sonotap_exam::Saved>, is_kept: bool) {
        match (saved, exam) {
            (Ok(saved), Some(exam)) => {
                log::info!("saved: exam {exam}, item {:04}", saved.number);
                let took_ms = saved.took.as_secs_f64() * 1e3;
                self.saved.push(SavedItem { exam, item: saved.number, bytes: saved.bytes, took_ms });
            }
            (Ok(_), None) => self.failed("not saved: expected the name of an exam, got none".into()),
            (Err(e), _) if is_kept => log::warn!("{e}; it is tried again"),
            (Err(e), _) => self.failed(e.to_string()),
        }
    }

    fn failed(&mut self, why: String) {
        log::warn!("{why}");
        self.failed.push(why);
    }
}

/// What the disk said, in the screen's words.
fn trouble_of(e: &Error) -> Trouble {
    match durable::os_error(e) {
        _ if durable::is_full(e) => Trouble::Full,
        Some(io) if io.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        Some(_) => Trouble::Disk,
        None if e.kind() == ErrorKind::Io => Trouble::Disk,
        None => Trouble::Other,
    }
}

/// A patient as typed or scanned.
fn patient_of(identity: &Identity) -> Patient {
    Patient {
        id: identity.reveal().to_owned(),
        name: identity.name().to_owned(),
        birth_date: String::new(),
        sex: String::new(),
        accession: String::new(),
    }
}

/// Whether a frozen frame waits for an outline of its own.
fn is_awaited(scene: &Scene) -> bool {
    let is_awaited = |o: Overlay| o == Overlay::Hidden(HiddenReason::Computing);
    scene.mode != Mode::Live && scene.objects.iter().any(|o| is_awaited(o.overlay))
}

/// Says that there is no store: at the screen where it has exams, and when something is to be saved.
pub fn refuse(display_loop: &mut DisplayLoop<Displays>) {
    let mut is_asked = display_loop.live_mut().take_save_request() != SaveRequest::default();
    if let Some(desk) = display_loop.screen_mut().desk_mut() {
        while desk.take_request().is_some() {
            is_asked = true;
        }
        desk.tell(ExamTold { saving: SaveTold::Failed(Trouble::NoStore), ..ExamTold::default() });
    }
    if is_asked {
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

#[cfg(test)]
#[path = "saving_tests.rs"]
mod tests;
