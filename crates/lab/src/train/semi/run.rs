//! A semi-supervised run: pictures made on one thread, learned on two, kept in a folder.
//!
//! Everything random of a step follows from the seed and the step's number alone: a run that was stopped and taken up again does
//! what an unbroken one does. The folder holds `checkpoint.safetensors` (to go on with), `weights.safetensors` (averaged, half
//! precision; the click model and the head, for `export`) and `history.json`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use burn::tensor::Device;
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::config::{Method, SemiConfig};
use super::lesson::{SemiLesson, Tally};
use super::pictures::{Labelled, Pictures, Unlabelled};
use super::propose::{Proposals, evaluate};
use super::pseudo::Labeller;
use crate::train::checkpoint::{self, Notes, Precision};
use crate::train::config::{StageConfig, TrainConfig};
use crate::train::example::{Example, example};
use crate::train::export::Weights;
use crate::train::net::Network;
use crate::train::net::parameters::Parameters;
use crate::train::net::proposal::{PREFIX, ProposalHead};
use crate::train::optimizer::{Optimizer, Sums};
use crate::train::run::{Ending, random};
use sonotap::durable;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::model::manifest::hex_digest;

/// Steps that a line of the history sums up.
const WINDOW: u64 = 25;
/// Batches made ahead.
const AHEAD: usize = 2;
/// Draws of a picture.
const DRAWS: usize = 50;
/// Most rounds of prompts: the few images are seen often.
const ROUNDS_MAX: usize = 3;

/// Means of a stretch of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SemiStretch {
    /// Last step of it, from 1.
    pub step: u64,
    /// Match network's loss on outlined pictures.
    pub loss: f64,
    /// Its Dice there.
    pub dice: f64,
    /// IoU of the click model after its last round.
    pub click_iou: f64,
    /// Share of the pictures without masks that got a pseudo label.
    pub taken: f64,
    /// Pictures of all kinds a second.
    pub pictures_per_second: f64,
}

/// A run's history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SemiHistory {
    /// Stretches in order.
    pub stretches: Vec<SemiStretch>,
    /// Step and proposals of the averaged weights on the `val` split.
    pub validations: Vec<(u64, Proposals)>,
    /// Time spent so far, all sittings together.
    pub seconds: f64,
}

/// What is told while a run goes on.
#[derive(Debug)]
pub enum SemiEvent<'a> {
    /// A stretch is done.
    Stretch(&'a SemiStretch),
    /// Figures of the averaged weights.
    Validated(u64, &'a Proposals),
    /// Files were written.
    Saved(&'a Path),
}

/// A run.
pub struct SemiRun {
    config: SemiConfig,
    folder: PathBuf,
    network: Network,
    head: ProposalHead,
    parameters: Parameters,
    optimizer: Optimizer,
    click: TrainConfig,
    stage: StageConfig,
    start_digest: String,
    /// Until the run begins.
    pictures: Option<Pictures>,
    history: SemiHistory,
    step: u64,
}

/// The pictures of a step.
#[derive(Default)]
struct Batch {
    labelled: Vec<Labelled>,
    examples: Vec<Example>,
    unlabelled: Vec<Unlabelled>,
}

impl SemiRun {
    /// Begins a run in a folder, or takes up the one that is there.
    ///
    /// # Errors
    /// `Argument` when the folder holds another run, or none to resume; those of files and of the click model's weights.
    pub fn open(config: SemiConfig, folder: &Path, resume: bool, device: &Device) -> Result<Self> {
        let start = Weights::load(&config.click_model)?;
        let pictures = Some(Pictures::open(&config)?);
        let device = device.clone().autodiff();
        let (network, head, mut parameters) = Network::with_proposal(&start.config.network, &device, config.seed);
        parameters.load(&start.numbers(), &device, |name| name.starts_with(PREFIX))?;
        let click = config.click_config(&start.config);
        let stage = click.stage.last().cloned().ok_or_else(|| {
            let what = format!("{}: expected weights with a stage, got none", config.click_model.display());
            Error::new(ErrorKind::Format, what)
        })?;
        let path = checkpoint::of_folder(folder, resume)?;
        let place = path.display();
        let mut run = Self {
            optimizer: Optimizer::new(&parameters),
            folder: folder.to_owned(),
            network,
            head,
            click,
            stage,
            start_digest: start.digest,
            pictures,
            history: SemiHistory::default(),
            step: 0,
            parameters: Parameters::default(),
            config,
        };
        if resume {
            let (tensors, notes) = checkpoint::load(&path)?;
            let note = |key: &str| notes.get(key).map_or("", String::as_str);
            if note("config") != run.digest() {
                let what = format!("{place}: expected a run of this config, got another's");
                return Err(Error::new(ErrorKind::Argument, what));
            }
            let broken = || Error::new(ErrorKind::Format, format!("{place}: expected the step and history of a run"));
            run.step = note("step").parse().map_err(|_| broken())?;
            run.history = serde_json::from_str(note("history")).map_err(|_| broken())?;
            run.optimizer = checkpoint::restore(&tensors, &mut parameters, &device)?;
        } else {
            let cannot = |e| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display()));
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        (run.optimizer.steps, run.optimizer.averaged) = (run.step, run.step);
        let freezes = run.config.encoder_rate == 0.0;
        parameters.learn_only(|group| group.is_learned(freezes));
        run.parameters = parameters;
        Ok(run)
    }

    /// What a run must share to be the same run.
    fn digest(&self) -> String {
        let mut text = toml::to_string(&self.config).unwrap_or_default();
        text.push_str(&self.start_digest);
        hex_digest(text.as_bytes())
    }

    /// Steps taken, and all.
    pub fn steps(&self) -> (u64, u64) {
        (self.step, self.config.steps)
    }

    /// What happened so far.
    pub fn history(&self) -> &SemiHistory {
        &self.history
    }

    /// Proposals of the averaged weights on a split of the labelled set.
    ///
    /// # Errors
    /// Those of the set.
    pub fn evaluate(&self, split: &str) -> Result<Proposals> {
        let averaged = self.optimizer.averaged(&self.parameters);
        evaluate(&self.config, split, &self.network, &self.head, &averaged)
    }

    /// Learns until all steps are done or `stop` is set; tells what happens.
    ///
    /// # Errors
    /// Those of the labelled set (the message names the row) and of files. An unlabelled file that cannot be read is left out.
    pub fn learn(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(SemiEvent)) -> Result<Ending> {
        let pictures = self.pictures.take().map_or_else(|| Pictures::open(&self.config), Ok)?;
        let (sender, batches) = sync_channel(AHEAD);
        let (config, stage, first) = (self.config.clone(), self.stage.clone(), self.step);
        std::thread::scope(|scope| {
            scope.spawn(move || make_batches(pictures, &config, &stage, first, &sender));
            let ending = self.follow(&batches, stop, tell);
            drop(batches);
            ending
        })
    }

    fn follow(
        &mut self,
        batches: &Receiver<Result<Batch>>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(SemiEvent),
    ) -> Result<Ending> {
        let (begin, before) = (Instant::now(), self.history.seconds);
        let (mut saved, mut since) = (Instant::now(), Instant::now());
        let mut window = Tally::default();
        while self.step < self.config.steps {
            if stop.load(Ordering::Acquire) {
                self.save(tell)?;
                return Ok(Ending::Stopped);
            }
            let batch = batches.recv().map_err(|_| Error::new(ErrorKind::Format, "data: pictures ended"))??;
            window.add(&self.one_step(&batch)?);
            self.history.seconds = before + begin.elapsed().as_secs_f64();
            if self.step.is_multiple_of(WINDOW) {
                let stretch = stretch(self.step, &window, since.elapsed().as_secs_f64());
                tell(SemiEvent::Stretch(&stretch));
                self.history.stretches.push(stretch);
                (window, since) = (Tally::default(), Instant::now());
            }
            let every = self.config.validate_every;
            if every > 0 && self.step.is_multiple_of(every) {
                let found = self.evaluate("val")?;
                tell(SemiEvent::Validated(self.step, &found));
                self.history.validations.push((self.step, found));
            }
            if saved.elapsed().as_secs_f64() > 60.0 * self.config.checkpoint_minutes {
                self.save(tell)?;
                saved = Instant::now();
            }
        }
        self.save(tell)?;
        Ok(Ending::Complete)
    }

    fn one_step(&mut self, batch: &Batch) -> Result<Tally> {
        let mut rng = random(self.config.seed, self.step, u64::MAX);
        let rounds = &self.stage.prompts.rounds;
        let rounds = rounds[rng.random_range(0..rounds.len())].min(ROUNDS_MAX);
        let averaged = self.optimizer.averaged(&self.parameters);
        let mut twin = self.parameters.clone();
        let freezes = self.config.encoder_rate == 0.0;
        twin.learn_only(|group| group.is_learned(freezes));
        let lesson = |parameters| SemiLesson {
            config: &self.config,
            network: &self.network,
            head: &self.head,
            parameters,
            labeller: Labeller {
                network: &self.network,
                head: &self.head,
                parameters: &averaged,
                rule: &self.config.matching,
                asks_click_model: self.config.method == Method::SamMatch,
            },
            stage: &self.stage,
            loss: &self.click.loss,
            rounds,
            ramp: self.config.ramp_at(self.step),
        };
        let (seed, step) = (self.config.seed, self.step);
        // Two shares, whatever the number of cores: sums are the same everywhere.
        let (even, odd) = std::thread::scope(|scope| {
            let (first, second) = (lesson(&self.parameters), lesson(&twin));
            let odd = scope.spawn(move || half(&second, batch, 1, seed, step));
            let even = half(&first, batch, 0, seed, step);
            (even, odd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let ((mut sums, mut tally), (others, more)) = (even?, odd?);
        sums.merge(others);
        tally.add(&more);
        let norm = sums.norm();
        if norm.is_finite() {
            let size = self.config.step_size(self.step, norm);
            self.optimizer.step(&mut self.parameters, sums, &size);
        } else {
            log::warn!("step {}: the gradient is not finite and was left out", self.step);
        }
        self.step += 1;
        Ok(tally)
    }

    fn save(&self, tell: &mut dyn FnMut(SemiEvent)) -> Result<()> {
        let history = serde_json::to_string(&self.history).unwrap_or_default();
        let notes = Notes::from([
            ("step".to_owned(), self.step.to_string()),
            ("config".to_owned(), self.digest()),
            ("history".to_owned(), history.clone()),
        ]);
        let path = self.folder.join("checkpoint.safetensors");
        checkpoint::save(&path, &checkpoint::of_run(&self.parameters, &self.optimizer), notes, Precision::Single)?;
        let notes = Notes::from([
            ("name".to_owned(), self.config.name.clone()),
            ("step".to_owned(), self.step.to_string()),
            ("config".to_owned(), toml::to_string(&self.click).unwrap_or_default()),
            ("semi".to_owned(), toml::to_string(&self.config).unwrap_or_default()),
            ("start".to_owned(), self.start_digest.clone()),
        ]);
        let weights = checkpoint::averaged(&self.parameters, &self.optimizer);
        checkpoint::save(&self.folder.join("weights.safetensors"), &weights, notes, Precision::Half)?;
        durable::write(&self.folder.join("history.json"), history.as_bytes())?;
        tell(SemiEvent::Saved(&path));
        Ok(())
    }
}

/// Every other picture of each kind.
fn half(lesson: &SemiLesson, batch: &Batch, first: usize, seed: u64, step: u64) -> Result<(Sums, Tally)> {
    let (mut sums, mut tally) = (Sums::default(), Tally::default());
    let share = |count: usize| 1.0 / count.max(1) as f32;
    let mut rng = random(seed ^ 0x5eed, step, first as u64);
    for given in batch.labelled.iter().skip(first).step_by(2) {
        lesson.labelled(given, share(batch.labelled.len()), &mut sums, &mut tally);
    }
    for example in batch.examples.iter().skip(first).step_by(2) {
        lesson.click(example, share(batch.examples.len()), &mut sums, &mut tally, &mut rng)?;
    }
    for given in batch.unlabelled.iter().skip(first).step_by(2) {
        lesson.unlabelled(given, share(batch.unlabelled.len()), &mut sums, &mut tally, &mut rng)?;
    }
    Ok((sums, tally))
}

fn stretch(step: u64, window: &Tally, seconds: f64) -> SemiStretch {
    let mean = |sum: f64, n: u32| sum / f64::from(n.max(1));
    SemiStretch {
        step,
        loss: mean(window.loss, window.labelled),
        dice: mean(window.dice, window.labelled),
        click_iou: mean(window.click_iou, window.clicked),
        taken: mean(f64::from(window.taken), window.unlabelled),
        pictures_per_second: f64::from(window.labelled + window.clicked + window.unlabelled) / seconds.max(1e-9),
    }
}

/// Makes the pictures of all steps from `first` on, in order, until nobody takes them.
fn make_batches(
    mut pictures: Pictures,
    config: &SemiConfig,
    stage: &StageConfig,
    first: u64,
    to: &SyncSender<Result<Batch>>,
) {
    let mut sources = pictures.sources(&config.name);
    for step in first..config.steps {
        let batch = batch(&mut pictures, &mut sources, config, stage, step);
        let failed = batch.is_err();
        if to.send(batch).is_err() || failed {
            return;
        }
    }
}

fn batch(
    pictures: &mut Pictures,
    sources: &mut crate::train::sources::Sources,
    config: &SemiConfig,
    stage: &StageConfig,
    step: u64,
) -> Result<Batch> {
    let mut batch = Batch::default();
    let mut rng = random(config.seed, step, 0);
    let nothing = |what: &str| Error::new(ErrorKind::Format, format!("{what}: expected a usable view, got none"));
    for _ in 0..config.labelled_pictures {
        let mut found = None;
        for _ in 0..DRAWS {
            found = pictures.labelled(&mut rng)?;
            if found.is_some() {
                break;
            }
        }
        batch.labelled.push(found.ok_or_else(|| nothing("labelled"))?);
        batch.examples.push(example(sources, &stage.tasks, &mut rng)?);
    }
    for _ in 0..config.unlabelled_pictures {
        let found = (0..DRAWS).find_map(|_| pictures.unlabelled_picture(&mut rng));
        batch.unlabelled.push(found.ok_or_else(|| nothing("unlabelled"))?);
    }
    Ok(batch)
}
