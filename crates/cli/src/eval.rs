//! `sonotap eval`: a model on data sets, or two reports side by side.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sonotap::error::{Error, ErrorKind};
use sonotap::model::manifest::{self, Manifest};
use sonotap::model::predictor::Predictor;
use sonotap::model::sam::{self, LoadOptions};
use sonotap::source::phantom::PhantomPreset;
use sonotap_lab::eval::cine::{Cine, CineRow, follow};
use sonotap_lab::eval::compare::{self, Comparison, compare};
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, ObjectChoice, Unusable};
use sonotap_lab::eval::protocol::{LookKind, Protocol, Questions};
use sonotap_lab::eval::record::{Row, SCHEMA};
use sonotap_lab::eval::report::html::{Picture, html};
use sonotap_lab::eval::report::{DataRecord, Machine, ModelRecord, Report, RunRecord, sheet};
use sonotap_lab::eval::runner::{self, Done, Item};
use sonotap_lab::eval::summary::{AtLimit, SetSummary, summarize};

use crate::arguments::EvalArguments;
use crate::assets;
use crate::output::{Files, png_of, say, say_json};
use crate::stage::stop_flag;

/// Finished rows, one a line, so that a stopped run can go on.
const ROWS: &str = "rows.jsonl";
/// A line on standard error at most so often, s.
const PROGRESS_EVERY_S: f64 = 5.0;
/// Seeds of the phantoms of `cine`.
const CINE_SEEDS: [u64; 2] = [11, 12];
/// Frames of a phantom cine after the first.
const CINE_FRAMES: usize = 90;
/// Reasons that are told in an error; the report has them all.
const REASONS_TOLD: usize = 5;
/// Most clicks that can be asked for.
const CLICKS_MAX: usize = sonotap::model::predictor::MAX_CLICKS;

/// The first line of [`ROWS`]: rows go with another run only when it is equal.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    schema: String,
    model: ModelRecord,
    data: Vec<(String, String)>,
    /// Digest of every image and mask of the items: pictures may change while a run is stopped.
    #[serde(default)]
    pictures: String,
    run: RunRecord,
}

/// What the arguments ask for.
struct Plan {
    folder: PathBuf,
    model: PathBuf,
    sets: Vec<Dataset>,
    items: Vec<Item>,
    questions: Questions,
    with_cines: bool,
    jobs: usize,
    settings: Settings,
}

/// Evaluates, or compares.
pub fn eval(arguments: &EvalArguments) -> Result<()> {
    if let [first, second] = arguments.compare.as_slice() {
        return compare_files(first, second, arguments);
    }
    let plan = Plan::new(arguments)?;
    let (mut kept, mut file) = begin(&plan, arguments.resume)?;
    let stop = stop_flag()?;
    let mut progress = Progress::new(plan.items.len(), kept.len());
    let earlier = kept.clone();
    let predictor = || predictor(&plan.model);
    let outcome = runner::run(&plan.items, &earlier, &plan.questions, plan.jobs, &predictor, &stop, &mut |done| {
        write_line(&mut file, &done).map_err(|e| Error::caused(ErrorKind::Io, "finished rows cannot be kept", e))?;
        kept.insert(done.key.clone(), done);
        progress.step();
        Ok(())
    });
    outcome.context("the evaluation ended early; --resume goes on from the rows that were finished")?;
    let mut unusable: Vec<Unusable> = plan.sets.iter().flat_map(|s| s.unusable.clone()).collect();
    let is_complete = plan.items.iter().all(|i| kept.contains_key(&i.key()));
    let cines = if plan.with_cines && is_complete { cines(&plan, &mut unusable, &stop)? } else { Vec::new() };
    let was_stopped = stop.load(Ordering::Acquire);
    let report = assemble(&plan, &kept, unusable, cines, is_complete && !was_stopped);
    let pictures = if was_stopped { Vec::new() } else { pictures(&plan, &report)? };
    let mut files = Files::default();
    files.add(&plan.folder.join("report.json"), serde_json::to_vec(&report)?);
    files.add(&plan.folder.join("report.html"), html(&report, &pictures).into_bytes());
    files.write()?;
    match arguments.json {
        true => say_json(&Short { schema: &report.schema, sets: &report.sets, cines: &report.cines })?,
        false => say(table(&report))?,
    }
    let place = plan.folder.display();
    if report.run.is_complete {
        eprintln!("left in {place}: report.html, report.json");
    } else {
        let (done, all) = (kept.len(), plan.items.len());
        eprintln!("stopped after {done} of {all} masks; left in {place}: a report of those; --resume goes on");
    }
    check_measured(&report)
}

/// Fails when a set was asked and gave nothing to measure: an empty table is no result.
fn check_measured(report: &Report) -> Result<()> {
    let has_figures =
        |set: &str| report.rows.iter().any(|r| r.data == set) || report.cines.iter().any(|c| c.data == set);
    let is_over = |set: &DataRecord| report.run.is_complete && (set.done > 0 || set.masks == 0);
    let Some(set) = report.data.iter().find(|s| is_over(s) && !has_figures(&s.name)) else { return Ok(()) };
    let name = &set.name;
    bail!("{name}: nothing was measured: {}", reasons(report.unusable.iter().filter(|u| u.data == *name)))
}

/// The first reasons why rows cannot be used.
fn reasons<'a>(unusable: impl Iterator<Item = &'a Unusable>) -> String {
    let lines: Vec<String> =
        unusable.take(REASONS_TOLD).map(|u| format!("row {} ({}): {}", u.row, u.file, u.reason)).collect();
    if lines.is_empty() { "no row is there".to_owned() } else { lines.join("; ") }
}

/// What `--json` prints; the whole is in the report.
#[derive(Serialize)]
struct Short<'a> {
    schema: &'a str,
    sets: &'a [SetSummary],
    cines: &'a [CineRow],
}

impl Plan {
    fn new(a: &EvalArguments) -> Result<Self> {
        let Some(folder) = a.report.clone() else { bail!("--report OUT: expected a folder for the report, got none") };
        let (mut protocols, mut with_cines) = (Vec::new(), false);
        for name in &a.protocol {
            match name.as_str() {
                "cine" => with_cines = true,
                name => {
                    let cine = "or cine";
                    let protocol = name.parse::<Protocol>().with_context(|| format!("--protocol ({cine})"))?;
                    if !protocols.contains(&protocol) {
                        protocols.push(protocol);
                    }
                }
            }
        }
        let mut looks: Vec<LookKind> = Vec::new();
        for name in &a.look {
            let look = name.parse().context("--look")?;
            if !looks.contains(&look) {
                looks.push(look);
            }
        }
        if !(1..=CLICKS_MAX).contains(&a.max_clicks) {
            bail!("--max-clicks: expected 1 to {CLICKS_MAX}, got {}", a.max_clicks);
        }
        if a.jobs == 0 || a.limit == Some(0) {
            bail!("--jobs and --limit: expected at least 1, got 0");
        }
        if a.data.is_empty() && !protocols.is_empty() {
            bail!("--data DIR: expected a data set, got none (only --protocol cine runs without one)");
        }
        let objects = match a.objects.as_str() {
            "largest" => ObjectChoice::Largest,
            "each" => ObjectChoice::Each,
            other => bail!("--objects: expected largest or each, got {other:?}"),
        };
        let split = (a.split != "all").then(|| a.split.clone());
        let mut sets: Vec<Dataset> = Vec::new();
        for path in &a.data {
            let set = Dataset::open(path, &DatasetOptions { split: split.clone(), objects })?;
            if sets.iter().any(|s| s.name == set.name) {
                bail!("--data: expected sets of different names, got {:?} twice", set.name);
            }
            sets.push(set);
        }
        let items: Vec<Item> = match protocols.is_empty() {
            true => Vec::new(),
            false => sets.iter().flat_map(|s| runner::items(s, objects, a.limit, a.seed)).collect(),
        };
        if items.is_empty() && !protocols.is_empty() {
            let all: Vec<&Unusable> = sets.iter().flat_map(|s| &s.unusable).collect();
            bail!("expected rows that can be used, got none ({} cannot): {}", all.len(), reasons(all.into_iter()));
        }
        let model = a.model.clone().map_or_else(|| assets::find(assets::MODEL), Ok)?;
        if protocols.contains(&Protocol::Auto) && Manifest::load(&model)?.proposal.is_none() {
            let place = model.display();
            bail!(
                "--protocol auto: expected a model that proposes a mask (proposal.onnx), got {place}, which does not"
            );
        }
        let run = RunRecord {
            split: a.split.clone(),
            protocols: protocols.iter().map(|p| p.name().to_owned()).collect(),
            looks: looks.iter().map(|l| l.name().to_owned()).collect(),
            max_clicks: a.max_clicks,
            objects: a.objects.clone(),
            limit: a.limit,
            seed: a.seed,
            is_complete: false,
        };
        let data = sets.iter().map(|s| (s.name.clone(), s.digest.clone())).collect();
        let pictures = digest_of_pictures(&items);
        let settings = Settings { schema: SCHEMA.to_owned(), model: model_record(&model)?, data, pictures, run };
        let questions = Questions { protocols, looks, max_clicks: a.max_clicks, seed: a.seed };
        Ok(Self { folder, model, sets, items, questions, with_cines, jobs: a.jobs, settings })
    }
}

/// SHA-256 over the files of all items, in their order; one that cannot be read counts as none.
fn digest_of_pictures(items: &[Item]) -> String {
    let mut all = Sha256::new();
    for path in items.iter().flat_map(|i| [&i.row.image, &i.row.mask]) {
        all.update(Sha256::digest(std::fs::read(path).unwrap_or_default()));
    }
    all.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn model_record(folder: &Path) -> Result<ModelRecord> {
    let path = folder.join(manifest::MANIFEST);
    let bytes = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let whole = std::path::absolute(folder)?;
    let name = whole.file_name().map_or("model".into(), |n| n.to_string_lossy().into_owned());
    let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let trained_on = Manifest::load(folder)?.training.into_iter().map(|t| t.name).collect();
    Ok(ModelRecord { name, digest, trained_on })
}

fn predictor(folder: &Path) -> sonotap::error::Result<Predictor> {
    let loaded = sam::load_with(folder, LoadOptions::default()).map_err(|e| e.within(folder.display()))?;
    Ok(Predictor::new(Box::new(loaded.segmenter), LookKind::Full.options()))
}

/// Opens the file of finished rows; gives those that are in it already.
fn begin(plan: &Plan, is_resumed: bool) -> Result<(BTreeMap<String, Done>, File)> {
    let path = plan.folder.join(ROWS);
    let place = path.display();
    std::fs::create_dir_all(&plan.folder).with_context(|| format!("{}: cannot be made", plan.folder.display()))?;
    if !is_resumed {
        let is_taken = [ROWS, "report.json"].iter().any(|f| plan.folder.join(f).exists());
        if is_taken {
            bail!(
                "{}: holds an evaluation already; --resume goes on with it, another --report begins anew",
                plan.folder.display()
            );
        }
        let mut file = File::create_new(&path).with_context(|| format!("{place}: cannot be written"))?;
        write_line(&mut file, &plan.settings)?;
        return Ok((BTreeMap::new(), file));
    }
    let text = File::open(&path).with_context(|| format!("{place}: --resume expects an evaluation that was begun"))?;
    let mut lines = BufReader::new(text).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let settings: Settings = serde_json::from_str(&first).with_context(|| format!("{place}: line 1"))?;
    if settings != plan.settings {
        bail!("{place}: --resume expects the same model, data and settings as the run that was begun");
    }
    let (mut kept, mut whole) = (BTreeMap::new(), vec![first]);
    for line in lines {
        let line = line?;
        // The last line of a run that was killed may be cut off.
        let Ok(done) = serde_json::from_str::<Done>(&line) else { break };
        kept.insert(done.key.clone(), done);
        whole.push(line);
    }
    let mut files = Files::default();
    files.add(&path, (whole.join("\n") + "\n").into_bytes());
    files.write()?;
    let file = OpenOptions::new().append(true).open(&path).with_context(|| format!("{place}: cannot be written"))?;
    Ok((kept, file))
}

fn write_line(file: &mut File, what: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_string(what)?;
    line.push('\n');
    file.write_all(line.as_bytes())
}

fn cines(plan: &Plan, unusable: &mut Vec<Unusable>, stop: &std::sync::atomic::AtomicBool) -> Result<Vec<CineRow>> {
    let mut predictor = predictor(&plan.model)?;
    let mut all = Vec::new();
    for set in &plan.sets {
        for cine in Cine::of_set(set, unusable) {
            all.push(follow(&cine, &mut predictor)?);
        }
    }
    let phantoms = PhantomPreset::ALL.iter().flat_map(|p| CINE_SEEDS.map(|seed| (*p, seed)));
    for (preset, seed) in phantoms {
        if stop.load(Ordering::Acquire) {
            break;
        }
        eprintln!("cine: phantom {preset} {seed}");
        all.push(follow(&Cine::phantom(preset, seed, CINE_FRAMES)?, &mut predictor)?);
    }
    Ok(all)
}

fn assemble(
    plan: &Plan,
    kept: &BTreeMap<String, Done>,
    mut unusable: Vec<Unusable>,
    cines: Vec<CineRow>,
    is_complete: bool,
) -> Report {
    let done: Vec<&Done> = plan.items.iter().filter_map(|i| kept.get(&i.key())).collect();
    let rows: Vec<Row> = done.iter().flat_map(|d| d.rows.clone()).collect();
    unusable.extend(done.iter().filter_map(|d| d.unusable.clone()));
    let count = |data: &str| unusable.iter().filter(|u| u.data == data).count();
    let data = plan
        .sets
        .iter()
        .map(|s| DataRecord {
            name: s.name.clone(),
            digest: s.digest.clone(),
            masks: plan.items.iter().filter(|i| i.data == s.name).count(),
            done: plan.items.iter().filter(|i| i.data == s.name && kept.contains_key(&i.key())).count(),
            unusable: count(&s.name),
            leaking_groups: s.leaking_groups.clone(),
        })
        .collect();
    let settings = &plan.settings;
    Report {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        model: settings.model.clone(),
        machine: machine(plan.jobs),
        run: RunRecord { is_complete, ..settings.run.clone() },
        data,
        sets: summarize(&rows, &settings.run.split, plan.questions.max_clicks, plan.questions.seed),
        cines,
        unusable,
        rows,
    }
}

fn machine(jobs: usize) -> Machine {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = cpus.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split_once(": "));
    let processor = named.map_or(std::env::consts::ARCH, |(_, name)| name).to_owned();
    Machine { processor, threads: std::thread::available_parallelism().map_or(1, usize::from), jobs }
}

/// A contact sheet for each set.
fn pictures(plan: &Plan, report: &Report) -> Result<Vec<Picture>> {
    let Some(&look) = plan.questions.looks.first().filter(|_| plan.questions.protocols.contains(&Protocol::Noc)) else {
        return Ok(Vec::new());
    };
    let mut predictor = predictor(&plan.model)?;
    let mut pictures = Vec::new();
    for set in &plan.sets {
        let rows = sheet::chosen(&report.rows, &set.name, look.name());
        let named: Vec<_> =
            rows.iter().filter_map(|r| Some((*r, set.rows.iter().find(|source| source.number == r.row)?))).collect();
        if let Some(canvas) = sheet::draw(&named, look, &mut predictor)? {
            let iou = |r: &&Row| {
                let steps = &r.answer("noc", look.name())?.steps;
                steps.get(sheet::CLICKS - 1).or(steps.last()).map(|s| format!("{:.2}", s.iou))
            };
            let ious: Vec<String> = rows.iter().filter_map(iou).collect();
            let caption = format!("{}, {} look: IoU {}", set.name, look.name(), ious.join(", "));
            pictures.push(Picture { caption, png: png_of(&canvas)? });
        }
    }
    Ok(pictures)
}

fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    lines.push(format!(
        "{:<16}{:<20}{:<6}{:>5}  {:>6} {:>6} {:>6} {:>6}  {:>6}  {:>6}  {:>12}  {:>6}",
        "data", "protocol", "look", "n", "IoU@1", "@3", "@5", "last", "best", "Dice@1", "NoC@85 (miss)", "worse"
    ));
    for s in &report.sets {
        let last = s.iou_by_click.len();
        let at = |k: usize| if k <= last { format!("{:.3}", s.iou_by_click[k - 1]) } else { String::new() };
        let best = s.oracle_iou.map_or(String::new(), |v| format!("{v:.3}"));
        let dice = s.dice_by_click.first().map_or(String::new(), |v| format!("{v:.3}"));
        let noc = s.noc.map_or(String::new(), |n| format!("{:.2} ({})", n.to_85.mean, n.to_85.failures));
        let worse = s.worse_click_share.map_or(String::new(), |w| format!("{:.1} %", 100.0 * w));
        lines.push(format!(
            "{:<16}{:<20}{:<6}{:>5}  {:>6} {:>6} {:>6} {:>6}  {best:>6}  {dice:>6}  {noc:>12}  {worse:>6}",
            s.data,
            s.protocol,
            s.look,
            s.n,
            at(1),
            at(3),
            at(5),
            at(last)
        ));
    }
    lines.extend(report.sets.iter().filter_map(suggestions));
    for c in &report.cines {
        let drawn = c.drawn_iou.map_or("none".into(), |v| format!("{v:.3}"));
        let shares = (100.0 * c.drawn_share, 100.0 * c.falsely_tracked_share);
        lines.push(format!(
            "cine {:<20}{:>4} frames, IoU {:.3}, drawn {drawn} ({:.0} % of frames), {:.1} % falsely tracked",
            c.name,
            c.iou_by_frame.len(),
            c.mean_iou,
            shares.0,
            shares.1
        ));
    }
    if !report.unusable.is_empty() {
        lines.push(format!("{} rows could not be used; the report says which and why", report.unusable.len()));
    }
    lines.join("\n")
}

/// What the score of suggestions is worth, and what would be shown from each limit on.
fn suggestions(s: &SetSummary) -> Option<String> {
    let c = s.calibration.as_ref().filter(|_| !s.at_limits.is_empty())?;
    let limit = |l: &AtLimit| format!("{:.1}: {} of {}", l.limit, l.below_half, l.shown);
    let limits: Vec<String> = s.at_limits.iter().map(limit).collect();
    Some(format!(
        "{} {}: the score is off by {:.3} in the mean, {:+.3} too sure; from a limit on, IoU below .5 of those shown: {}",
        s.data,
        s.protocol,
        c.mean_absolute_error,
        c.bias,
        limits.join(", ")
    ))
}

/// How far it is, and how long it will take, on standard error.
struct Progress {
    all: usize,
    before: usize,
    done: usize,
    began: Instant,
    told: Instant,
}

impl Progress {
    fn new(all: usize, before: usize) -> Self {
        let now = Instant::now();
        Self { all, before, done: before, began: now, told: now }
    }

    fn step(&mut self) {
        self.done += 1;
        if self.told.elapsed().as_secs_f64() < PROGRESS_EVERY_S && self.done < self.all {
            return;
        }
        self.told = Instant::now();
        let each = self.began.elapsed().as_secs_f64() / (self.done - self.before) as f64;
        let left = each * (self.all - self.done) as f64;
        eprintln!("{} of {} masks, {:.2} s each, about {:.0} s left", self.done, self.all, each, left);
    }
}

fn compare_files(first: &Path, second: &Path, arguments: &EvalArguments) -> Result<()> {
    let read = |path: &Path| -> Result<Report> {
        let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let report: Report = serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: expected a report of {SCHEMA}", path.display()))?;
        if report.schema != SCHEMA {
            bail!("{}: expected a report of {SCHEMA}, got {:?}", path.display(), report.schema);
        }
        Ok(report)
    };
    let (first, second) = (read(first)?, read(second)?);
    compare::check(&first, &second).context("--compare")?;
    let comparisons = compare(&first, &second, arguments.seed);
    if comparisons.is_empty() {
        bail!("expected reports that share objects, protocols and looks, got two without");
    }
    if arguments.json {
        return say_json(&comparisons);
    }
    let line = |c: &Comparison| {
        let prompts = c.prompts.map_or("last".into(), |p| p.to_string());
        let (low, high) = c.paired.interval.map_or((f64::NAN, f64::NAN), |i| (i.low, i.high));
        let verdict = match c.paired.interval {
            Some(i) if i.low > 0.0 => "better",
            Some(i) if i.high < 0.0 => "worse",
            Some(_) => "no difference shown",
            None => "too few groups",
        };
        format!(
            "{:<16}{:<20}{:<6}{prompts:>5}{:>6}{:>8.3}{:>8.3}  {:+.3} ({low:+.3} to {high:+.3})  {verdict}",
            c.data, c.protocol, c.look, c.paired.n, c.first, c.second, c.paired.difference
        )
    };
    let head = format!(
        "{:<16}{:<20}{:<6}{:>5}{:>6}{:>8}{:>8}  second less first (95 %)",
        "data", "protocol", "look", "click", "n", "first", "second"
    );
    say([head].into_iter().chain(comparisons.iter().map(line)).collect::<Vec<_>>().join("\n"))
}
