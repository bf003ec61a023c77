//! `sonotap exams`: saved exams, also while another process writes them.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use sonotap::profile::{DicomProfile, Profile};
use sonotap_exam::{
    Backoff, ClockReading, ClockState, Days, Destination, Exam, ExamName, ExamView, ExportOptions, ItemKind, Patient,
    Pixels, SendOptions, SendReport, SendState, Store, Tls, Worklist, WorklistEntry, WorklistOptions, export, send,
    worklist,
};

use crate::arguments::{ExamsCommand, NetworkArguments};
use crate::output::{say, say_json};
use crate::saving::open_store;

/// Largest text of a patient, bytes.
const PATIENT_BYTES_MAX: u64 = 4_096;
/// Largest text of an order's step, bytes.
const STEP_BYTES_MAX: u64 = 256;

/// Does what the arguments say.
pub fn exams(command: &ExamsCommand) -> Result<()> {
    match command {
        ExamsCommand::List { store, json } => list(&store.root, *json),
        ExamsCommand::Show { exam, store, patient, json } => show(&view_of(&store.root, exam)?, *patient, *json),
        ExamsCommand::Verify { exam, store, json } => verify(&store.root, exam.as_deref(), *json),
        ExamsCommand::Repair { store } => repair(&store.root),
        ExamsCommand::Bind { exam, store } => bind(&mut resumed(&store.root, exam)?),
        ExamsCommand::Confirm { exam, store } => {
            resumed(&store.root, exam)?.confirm_date()?;
            say(format!("exam {exam}: date and time confirmed"))
        }
        ExamsCommand::End { exam, store } => {
            resumed(&store.root, exam)?.end()?;
            say(format!("exam {exam}: ended"))
        }
        ExamsCommand::Export { exam, store, to, with_patient, pixels_are_clean } => {
            let pixels = if *pixels_are_clean { Pixels::SaidClean } else { Pixels::BlankOutside };
            let options = ExportOptions { with_patient: *with_patient, pixels };
            let made = export(&view_of(&store.root, exam)?, to, &options)?;
            say(format!("{}: {} files, {} bytes, all read back", made.folder.display(), made.files, made.bytes))
        }
        ExamsCommand::Send { exam, store, to, network, tries, unbound, again, json } => {
            let network = Network::of(network)?;
            let options = SendOptions {
                calling: network.profile.calling.clone(),
                is_unbound_allowed: *unbound,
                is_again: *again,
                timeout: network.timeout(),
                tls: network.tls()?,
                backoff: Backoff { tries: *tries, ..Backoff::default() },
            };
            let to = Network::peer("--to", to.as_ref(), "archive", network.profile.archive.as_ref())?;
            let view = view_of(&store.root, exam)?;
            let report = send(&view, &to, &options, &mut |time| {
                log::warn!("exam {exam}: trying again in {} s", time.as_secs());
                std::thread::sleep(time);
            })?;
            sent(exam, &report, *json)
        }
        ExamsCommand::Worklist { from, network, day, all_days, patients, bind, store, json } => {
            let network = Network::of(network)?;
            let from = Network::peer("--from", from.as_ref(), "worklist", network.profile.worklist.as_ref())?;
            let options = network.worklist_options(days_of(day.as_deref(), *all_days)?)?;
            match bind {
                Some(exam) => bind_to_order(&mut resumed(&store.root, exam)?, &from, &options),
                None => listed(&worklist(&from, &options)?, *patients, *json),
            }
        }
        ExamsCommand::Forget { exam, store, unsent_too } => {
            open_store(&store.root)?.forget(&exam.parse()?, *unsent_too)?;
            say(format!("exam {exam}: deleted"))
        }
    }
}

/// How DICOM peers are reached: as the profile says, and then the arguments.
pub struct Network {
    profile: DicomProfile,
}

impl Network {
    /// As a profile says.
    pub fn of_profile(profile: &DicomProfile) -> Self {
        Self { profile: profile.clone() }
    }

    /// The worklist of the profile and how it is asked; `None` where there is none.
    pub fn worklist(&self) -> Result<Option<(Destination, WorklistOptions)>> {
        let Some(from) = &self.profile.worklist else { return Ok(None) };
        let from = from.parse().context("dicom.worklist")?;
        Ok(Some((from, self.worklist_options(Days::All)?)))
    }

    /// The archive of the profile and how exams are sent to it.
    pub fn archive(&self) -> Result<(Destination, SendOptions)> {
        let to = Self::peer("exams send --to", None, "archive", self.profile.archive.as_ref())?;
        let options = SendOptions {
            calling: self.profile.calling.clone(),
            timeout: self.timeout(),
            tls: self.tls()?,
            ..SendOptions::default()
        };
        Ok((to, options))
    }

    fn worklist_options(&self, days: Days) -> Result<WorklistOptions> {
        Ok(WorklistOptions {
            calling: self.profile.calling.clone(),
            timeout: self.timeout(),
            tls: self.tls()?,
            days,
            modality: self.profile.modality.clone(),
            station: self.profile.station.clone(),
            ..WorklistOptions::default()
        })
    }

    fn of(arguments: &NetworkArguments) -> Result<Self> {
        let mut profile = match &arguments.config {
            None => DicomProfile::default(),
            Some(path) => {
                let missing = || format!("{}: expected [dicom] in it, got none", path.display());
                Profile::load(path)?.dicom.with_context(missing)?
            }
        };
        if let Some(calling) = &arguments.calling {
            profile.calling.clone_from(calling);
        }
        if let Some(timeout) = arguments.timeout {
            profile.timeout_s = timeout as f64;
        }
        Ok(Self { profile })
    }

    fn peer(argument: &str, given: Option<&String>, key: &str, configured: Option<&String>) -> Result<Destination> {
        match (given, configured) {
            (Some(given), _) => given.parse().with_context(|| argument.to_owned()),
            (None, Some(configured)) => configured.parse().with_context(|| format!("dicom.{key}")),
            (None, None) => bail!("expected dicom.{key} in the profile, or {argument}, got neither"),
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.profile.timeout_s)
    }

    fn tls(&self) -> Result<Option<Tls>> {
        let Some(tls) = &self.profile.tls else { return Ok(None) };
        let own = tls.certificate.as_deref().zip(tls.key.as_deref());
        Ok(Some(Tls::open(&tls.authorities, own, tls.name.as_deref()).context("dicom.tls")?))
    }
}

fn days_of(day: Option<&str>, is_all: bool) -> Result<Days> {
    match day {
        Some(day) => Ok(Days::Around(day.parse().context("--day: expected YYYY-MM-DD")?)),
        None if is_all => Ok(Days::All),
        None => Ok(Days::around(&ClockReading::take())),
    }
}

/// An order with its patient, which is said only when somebody asks for it.
#[derive(Serialize)]
struct Order<'a> {
    #[serde(flatten)]
    entry: &'a WorklistEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<&'a Patient>,
}

fn listed(found: &Worklist, are_patients_shown: bool, is_json: bool) -> Result<()> {
    let orders: Vec<_> = found
        .entries
        .iter()
        .map(|entry| Order { entry, patient: are_patients_shown.then_some(&entry.patient) })
        .collect();
    if is_json {
        return say_json(&orders);
    }
    if orders.is_empty() {
        say("no orders")?;
    } else {
        say(format!("{:<16} {:<16} {:<8} procedure", "step", "scheduled", "modality"))?;
    }
    for Order { entry, patient } in &orders {
        let WorklistEntry { step, scheduled, modality, procedure, .. } = entry;
        let line = format!("{step:<16} {scheduled:<16} {modality:<8} {procedure}");
        say(line.trim_end())?;
        if let Some(p) = patient {
            say(format!("{:<16} {} {} {} {}", "", p.id, p.name, p.birth_date, p.sex).trim_end())?;
        }
    }
    if found.left_out > 0 {
        say(format!("{} orders are left out: an exam cannot hold their patient", found.left_out))?;
    }
    if found.is_cut { say(format!("only the first {} are told", orders.len())) } else { Ok(()) }
}

/// Binds an exam to the patient of the order whose step is on standard input.
fn bind_to_order(exam: &mut Exam, from: &Destination, options: &WorklistOptions) -> Result<()> {
    let mut step = String::new();
    let read = std::io::stdin().take(STEP_BYTES_MAX).read_to_string(&mut step);
    let step = step.trim();
    if read.is_err() || step.is_empty() {
        bail!("standard input: expected the step of an order, got nothing or something else");
    }
    let found = worklist(from, options)?;
    let mut entries = found.entries.into_iter().filter(|entry| entry.step == step);
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        bail!("worklist {from}: expected one order of this step, got none or several");
    };
    exam.bind(entry.patient)?;
    say(format!("exam {}: bound", exam.name()))
}

fn view_of(root: &Path, exam: &str) -> Result<ExamView> {
    let store = Store::read(root).with_context(|| format!("store {}", root.display()))?;
    Ok(store.view(&exam.parse()?)?)
}

fn resumed(root: &Path, exam: &str) -> Result<Exam> {
    Ok(open_store(root)?.resume(&exam.parse()?)?)
}

/// An exam in a line.
#[derive(Serialize)]
struct Summary {
    exam: String,
    began: String,
    clock: ClockState,
    is_date_confirmed: bool,
    is_bound: bool,
    is_ended: bool,
    items: usize,
    outlines: u32,
    bytes: u64,
    unsent: usize,
}

impl Summary {
    fn of(view: &ExamView) -> Result<Self> {
        Ok(Self {
            exam: view.name().to_string(),
            began: view.record().began.clone(),
            clock: view.record().clock,
            is_date_confirmed: view.is_date_confirmed(),
            is_bound: view.is_bound(),
            is_ended: view.is_ended(),
            items: view.items().count(),
            outlines: view.items().map(|i| i.objects).sum(),
            bytes: view.files().map(|f| f.bytes).sum(),
            unsent: view.unsent()?,
        })
    }

    /// What somebody may have to do about it.
    fn notes(&self) -> String {
        let notes = [
            (!self.is_ended, "open"),
            (!self.is_bound, "bound to nobody"),
            (!self.is_date_confirmed, "clock not verified"),
            (self.unsent > 0, "unsent"),
        ];
        notes.iter().filter(|(is_so, _)| *is_so).map(|(_, what)| *what).collect::<Vec<_>>().join(", ")
    }
}

fn list(root: &Path, is_json: bool) -> Result<()> {
    let store = Store::read(root).with_context(|| format!("store {}", root.display()))?;
    let mut all = Vec::new();
    let mut unreadable = 0;
    for name in store.names()? {
        match store.view(&name).map_err(anyhow::Error::from).and_then(|view| Summary::of(&view)) {
            Ok(summary) => all.push(summary),
            Err(e) => {
                log::warn!("exam {name}: {e}");
                unreadable += 1;
            }
        }
    }
    if is_json {
        say_json(&all)?;
    } else if all.is_empty() {
        say("no exams")?;
    } else {
        say(format!("{:<16} {:<24} {:>5} {:>8} {:>11}  notes", "exam", "began (UTC)", "items", "outlines", "bytes"))?;
        for s in &all {
            say(format!(
                "{:<16} {:<24} {:>5} {:>8} {:>11}  {}",
                s.exam,
                s.began,
                s.items,
                s.outlines,
                s.bytes,
                s.notes()
            ))?;
        }
    }
    if unreadable > 0 { bail!("{unreadable} exams cannot be read") } else { Ok(()) }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: Summary,
    study_uid: &'a str,
    model: &'a str,
    model_sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<&'a Patient>,
    saved: Vec<&'a sonotap_exam::ItemRecord>,
}

fn show(view: &ExamView, is_patient_shown: bool, is_json: bool) -> Result<()> {
    let record = view.record();
    let patient = record.patient.as_ref().filter(|_| is_patient_shown);
    let summary = Summary::of(view)?;
    if is_json {
        return say_json(&Shown {
            summary,
            study_uid: &record.study_uid,
            model: &record.model,
            model_sha256: &record.model_sha256,
            patient,
            saved: view.items().collect(),
        });
    }
    let bound = match patient {
        Some(p) => format!("{} {} {} {}", p.id, p.name, p.birth_date, p.sex).trim_end().to_owned(),
        None if view.is_bound() => "bound (--patient says to whom)".into(),
        None => "bound to nobody".into(),
    };
    say(format!("exam     {}, began {}", summary.exam, summary.began))?;
    if let ClockState::Unverified { doubt } = record.clock {
        let confirmed =
            if summary.is_date_confirmed { ", confirmed by hand" } else { "; it is not sent until it is confirmed" };
        say(format!("clock    not verified ({}){confirmed}", doubt.label()))?;
    }
    say(format!("patient  {bound}\nstate    {}", if summary.is_ended { "ended" } else { "open" }))?;
    say(format!("model    {} {:.16}", record.model, record.model_sha256))?;
    for item in view.items() {
        let what = match item.kind {
            ItemKind::Still => "still".into(),
            ItemKind::Cine => format!("cine of {} frames", item.frames),
        };
        say(format!("{:04}     {what}, {} outlines, {}", item.number, item.objects, item.taken))?;
        for file in &item.files {
            say(format!("         {:<22} {:>10} bytes", file.name, file.bytes))?;
        }
    }
    say("Not for diagnostic use.")
}

#[derive(Serialize)]
struct Verified {
    exam: String,
    files: usize,
    faults: Vec<String>,
}

fn verify(root: &Path, exam: Option<&str>, is_json: bool) -> Result<()> {
    let store = Store::read(root).with_context(|| format!("store {}", root.display()))?;
    let names = match exam {
        Some(exam) => vec![exam.parse::<ExamName>()?],
        None => store.names()?,
    };
    let mut all = Vec::new();
    for name in names {
        let verified = match store.view(&name) {
            Ok(view) => {
                let faults = view.verify().iter().map(ToString::to_string).collect();
                Verified { exam: name.to_string(), files: view.files().count(), faults }
            }
            Err(e) => Verified { exam: name.to_string(), files: 0, faults: vec![e.to_string()] },
        };
        all.push(verified);
    }
    let faults: usize = all.iter().map(|v| v.faults.len()).sum();
    if is_json {
        say_json(&all)?;
    } else {
        for v in &all {
            say(format!("exam {}: {} files, {} faults", v.exam, v.files, v.faults.len()))?;
            v.faults.iter().try_for_each(|fault| say(format!("  {fault}")))?;
        }
    }
    if faults > 0 { bail!("{faults} faults") } else { Ok(()) }
}

fn repair(root: &Path) -> Result<()> {
    let (_, report) = Store::open(root).with_context(|| format!("store {}", root.display()))?;
    for (exam, repair) in &report.repairs {
        match exam {
            Some(exam) => say(format!("exam {exam}: {repair}"))?,
            None => say(repair)?,
        }
    }
    say(format!("{} things put right or found", report.repairs.len()))
}

fn bind(exam: &mut Exam) -> Result<()> {
    let mut text = String::new();
    let read = std::io::stdin().take(PATIENT_BYTES_MAX).read_to_string(&mut text);
    // Neither the text nor what is wrong with it is said.
    if read.is_err() {
        bail!("standard input: expected lines KEY=VALUE in UTF-8, got something else");
    }
    let mut patient = Patient {
        id: String::new(),
        name: String::new(),
        birth_date: String::new(),
        sex: String::new(),
        accession: String::new(),
    };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = number + 1;
        let Some((key, value)) = line.split_once('=') else {
            bail!("standard input: line {place}: expected KEY=VALUE, got something else");
        };
        let field = match key.trim() {
            "id" => &mut patient.id,
            "name" => &mut patient.name,
            "birth-date" => &mut patient.birth_date,
            "sex" => &mut patient.sex,
            "accession" => &mut patient.accession,
            _ => bail!(
                "standard input: line {place}: expected a key of id, name, birth-date, sex, accession, got another"
            ),
        };
        *field = value.trim().to_owned();
    }
    exam.bind(patient)?;
    say(format!("exam {}: bound", exam.name()))
}

fn sent(exam: &str, report: &SendReport, is_json: bool) -> Result<()> {
    if is_json {
        say_json(report)?;
    } else {
        let SendReport { sent, bytes, before, tries, .. } = report;
        say(format!("exam {exam}: {sent} objects sent ({bytes} bytes), {before} were there before, {tries} tries"))?;
    }
    match &report.state {
        SendState::Complete => Ok(()),
        SendState::Refused { file, why } => bail!("exam {exam}: {file} was refused: {why}; --again tries it again"),
        SendState::Later { why } => bail!("exam {exam}: not all sent, another time may do: {why}"),
    }
}
