//! `sonotap train`, `distill` and `export`: learns a click model and says how it goes; makes a model folder of it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sonotap::durable;
use sonotap::model::manifest::Evaluation;
use sonotap_lab::eval::report::Report;
use sonotap_lab::train::Device;
use sonotap_lab::train::config::TrainConfig;
use sonotap_lab::train::export::{self, Weights};
use sonotap_lab::train::preview::preview;
use sonotap_lab::train::run::{Ending, Event, Opening, Run};
use sonotap_lab::train::semi::config::SemiConfig;
use sonotap_lab::train::semi::run::{SemiEvent, SemiRun};
use sonotap_lab::train::teacher::Teacher;

use crate::arguments::{TrainArguments, TrainCommand};
use crate::output::{png_of, say};
use crate::stage::stop_flag;

/// A line on the progress at most so often.
const EVERY: Duration = Duration::from_secs(10);

/// Trains, or draws what would be trained on.
pub fn train(a: &TrainArguments) -> Result<()> {
    if let Some(TrainCommand::Semi { config, out, resume }) = &a.kind {
        return learn_semi(config, out, *resume);
    }
    match (&a.config, &a.preview, &a.out) {
        (Some(config), Some(path), _) => {
            let sheet = preview(&TrainConfig::load(config)?)?;
            durable::write(path, &png_of(&sheet)?)?;
            say(format!("{}", path.display()))
        }
        (Some(config), None, Some(out)) => learn(config, None, out, opening(a.resume, a.take_up.as_deref())),
        _ => bail!("expected CONFIG.toml with --out DIR or --preview FILE.png"),
    }
}

/// Trains with few outlined images and many without, and says how it goes.
fn learn_semi(config: &Path, out: &Path, resume: bool) -> Result<()> {
    let mut run = SemiRun::open(SemiConfig::load(config)?, out, resume, &Device::default())?;
    let (step, total) = run.steps();
    say(format!("step {step} of {total}"))?;
    let stop = stop_flag()?;
    let mut said: Option<Instant> = None;
    let mut unheard = Ok(());
    let ending = run.learn(&stop, &mut |event| {
        let line = match event {
            SemiEvent::Stretch(s) => {
                if said.is_some_and(|t| t.elapsed() < EVERY) {
                    return;
                }
                said = Some(Instant::now());
                format!(
                    "step {} of {total}  proposals: loss {:.3} Dice {:.3}  clicks: IoU {:.3}  pseudo labels {:.0} %  {:.1} pictures/s",
                    s.step,
                    s.loss,
                    s.dice,
                    s.click_iou,
                    100.0 * s.taken,
                    s.pictures_per_second
                )
            }
            SemiEvent::Validated(step, p) => format!(
                "validation at step {step}, {} images: proposals' Dice {:.3}, IoU {:.3}, none on {}; their score is off by {:.3}",
                p.images, p.dice, p.iou, p.silent, p.score_error
            ),
            SemiEvent::Saved(path) => format!("saved {}", path.display()),
        };
        if unheard.is_ok() {
            unheard = say(&line);
        }
    })?;
    unheard?;
    say_ending(ending)
}

fn say_ending(ending: Ending) -> Result<()> {
    say(match ending {
        Ending::Complete => "all stages done",
        Ending::Stopped => "stopped; --resume goes on",
    })
}

/// What the options say.
pub fn opening(resume: bool, take_up: Option<&Path>) -> Opening<'_> {
    match take_up {
        Some(weights) => Opening::TakeUp(weights),
        None if resume => Opening::Resume,
        None => Opening::Fresh,
    }
}

/// Runs until all stages are done, or Ctrl-C; with a teacher, distils.
pub fn learn(config: &Path, teacher: Option<&Path>, out: &Path, opening: Opening) -> Result<()> {
    let config = TrainConfig::load(config)?;
    let total = config.steps();
    let teacher = teacher.map(Teacher::load).transpose()?;
    let mut run = Run::open(config, teacher, out, opening, &Device::default())?;
    let parameters = run.averaged().count();
    say(format!("{parameters} parameters; step {} of {total}", run.steps()))?;
    let stop = stop_flag()?;
    let mut said: Option<Instant> = None;
    let mut unheard = Ok(());
    let ending = run.learn(&stop, &mut |event| {
        let line = match event {
            Event::Stretch(s, left) => {
                if said.is_some_and(|t| t.elapsed() < EVERY) {
                    return;
                }
                said = Some(Instant::now());
                let iou: Vec<String> = s.iou.iter().map(|v| format!("{v:.3}")).collect();
                let minutes = left.as_secs() / 60;
                let rate = s.pictures_per_second;
                format!(
                    "step {} of {total}  loss {:.4}  IoU by round {}  {rate:.2} pictures/s  {minutes} min left",
                    s.step,
                    s.loss,
                    iou.join(" ")
                )
            }
            Event::Silent(layers) => {
                let one = |l: &sonotap_lab::train::spread::Silent| format!("  {:3.0} % of {}", 100.0 * l.share, l.layer);
                let lines: Vec<String> = layers.iter().map(one).collect();
                format!(
                    "channels at the ends of their activation, whatever the picture (nothing is learned through them; see start.normalize_from)\n{}",
                    lines.join("\n")
                )
            }
            Event::Validated(step, sets) => {
                let one = |(name, v): (&String, &sonotap_lab::train::validate::Validation)| {
                    let at = |n: usize| v.iou.get(n - 1).copied().unwrap_or(0.0);
                    format!("  {name}: {:.3} {:.3} {:.3} box {:.3}", at(1), at(3), at(5), v.box_iou)
                };
                format!(
                    "validation at step {step}, IoU after 1, 3, 5 clicks\n{}",
                    sets.iter().map(one).collect::<Vec<_>>().join("\n")
                )
            }
            Event::Saved(path) => format!("saved {}", path.display()),
        };
        if unheard.is_ok() {
            unheard = say(&line);
        }
    })?;
    unheard?;
    say_ending(ending)
}

/// Writes a model folder and says how far tract is from the trainer.
pub fn export(weights: &Path, dir: &Path, card: Option<&Path>, report: Option<&Path>) -> Result<()> {
    let weights = Weights::load(weights)?;
    let read =
        |path: &Path| std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    let card = card.map(read).transpose()?;
    let evaluation = match report {
        Some(path) => {
            figures(&serde_json::from_str(&read(path)?).with_context(|| format!("{} is no report", path.display()))?)
        }
        None => Vec::new(),
    };
    let done = export::export(&weights, dir, card.as_deref(), evaluation)?;
    let d = done.difference;
    say(format!(
        "{}: {} parameters; tract differs by {:.1e} in a logit, {:.1e} in an IoU",
        dir.display(),
        done.parameters,
        d.logit_max,
        d.iou_max
    ))?;
    Ok(())
}

/// IoU after clicks and of the box, as the product looks, of each set of a report.
fn figures(report: &Report) -> Vec<Evaluation> {
    let noc = report.sets.iter().filter(|s| s.protocol == "noc" && s.look == "full");
    let figure = |s: &sonotap_lab::eval::summary::SetSummary| Evaluation {
        set: format!("{}, {}", s.data, s.split),
        objects: s.n as u32,
        iou_by_clicks: [1, 3, 5, 10]
            .iter()
            .filter_map(|n| Some((*n, *s.iou_by_click.get(*n as usize - 1)? as f32)))
            .collect(),
        iou_by_box: s.box_iou.map(|v| v as f32),
    };
    noc.map(figure).collect()
}
