//! A training run: examples made on one thread, learned on another, kept in a folder.
//!
//! Everything random of a step follows from the seed and the step's number alone, so a run that was stopped and taken up
//! again does what an unbroken one does.
//!
//! The folder holds `checkpoint.safetensors` (to go on with), `weights.safetensors` (averaged, half precision: to begin
//! another run from, or to export), `history.json` and `curves.png`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::checkpoint::{self, Notes, Precision};
use super::config::{DistillConfig, LossConfig, StageConfig, TrainConfig};
use super::curves;
use super::example::{Example, example};
use super::export::Weights;
use super::grow::grow;
use super::imagenet;
use super::net::Network;
use super::net::parameters::Parameters;
use super::optimizer::{Optimizer, StepSize, Sums};
use super::sources::Sources;
use super::spread::{self, Silent};
use super::step::{Lesson, Outcome};
use super::teacher::Teacher;
use super::validate::{Validation, validate};
use sonotap::durable;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::model::manifest::hex_digest;

/// Steps that a line of the history sums up.
const WINDOW: u64 = 25;
/// How the names of the decoder's parameters begin.
const DECODER: &str = "decoder.";
/// Share of a layer's channels that may be at the ends of their activation before a run tells of it.
const SILENT: f32 = 0.5;
/// Batches made ahead.
const AHEAD: usize = 2;

/// Mean of a stretch of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Last step of it, from 1.
    pub step: u64,
    /// Mean loss.
    pub loss: f32,
    /// Mean IoU of the shown mask after each round.
    pub iou: Vec<f32>,
    /// Pictures learned a second.
    pub pictures_per_second: f64,
}

/// What is known of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Stretches in order.
    pub stretches: Vec<Stretch>,
    /// Validations: step and figures by set.
    pub validations: Vec<(u64, BTreeMap<String, Validation>)>,
    /// Time spent so far, all sittings together.
    pub seconds: f64,
}

/// What is told while a run goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stretch is done; the time left is an estimate.
    Stretch(&'a Stretch, Duration),
    /// Layers at the ends of their activation, whatever the picture: nothing is learned through them.
    Silent(&'a [Silent]),
    /// Figures of the averaged weights.
    Validated(u64, &'a BTreeMap<String, Validation>),
    /// A checkpoint was written.
    Saved(&'a Path),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All stages are done.
    Complete,
    /// It was stopped and can be taken up again.
    Stopped,
}

/// How a run is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// From the config's `[start]`, in a folder that holds no run.
    Fresh,
    /// The run that the folder holds goes on, to the same result as if it had never stopped.
    Resume,
    /// From `weights.safetensors` of a run of the same network, at its step, in a folder that holds no run. The optimizer's
    /// moments begin anew, and the rate rises again in the stage's `warmup`; the config may differ.
    TakeUp(&'a Path),
}

/// A run.
pub struct Run {
    config: TrainConfig,
    folder: PathBuf,
    network: Network,
    parameters: Parameters,
    optimizer: Optimizer,
    history: History,
    step: u64,
    /// The step at which the optimizer's moments began.
    taken_up: u64,
    teacher: Option<Teacher>,
    /// Of the second thread.
    second_teacher: Option<Teacher>,
}

impl Run {
    /// Begins a run in a folder, or takes up the one that is there.
    ///
    /// # Errors
    /// `Argument` when the folder holds another run, or none to resume, or when a stage distils and nobody teaches; those of
    /// files and of the beginning's weights.
    pub fn open(
        config: TrainConfig,
        teacher: Option<Teacher>,
        folder: &Path,
        opening: Opening,
        device: &Device,
    ) -> Result<Self> {
        if teacher.is_some() != config.stage.iter().any(|s| s.distill.is_some()) {
            let what = if teacher.is_some() {
                "a stage with [stage.distill] for the teacher"
            } else {
                "a teacher for [stage.distill]"
            };
            return Err(Error::new(ErrorKind::Argument, format!("config: expected {what}, got none")));
        }
        let device = device.clone().autodiff();
        let (network, mut parameters) = Network::new(&config.network, &device, config.seed);
        let is_resumed = opening == Opening::Resume;
        let path = checkpoint::of_folder(folder, is_resumed)?;
        let place = path.display();
        let mut run = Self {
            optimizer: Optimizer::new(&parameters),
            folder: folder.to_owned(),
            history: History::default(),
            step: 0,
            taken_up: 0,
            second_teacher: teacher.as_ref().and_then(Teacher::twin),
            teacher,
            network,
            parameters: Parameters::default(),
            config,
        };
        if is_resumed {
            let (tensors, notes) = checkpoint::load(&path)?;
            let note = |key: &str| notes.get(key).map_or("", String::as_str);
            if note("config") != run.digest() {
                return Err(Error::new(
                    ErrorKind::Argument,
                    format!("{place}: expected a run of this config, got another's"),
                ));
            }
            let broken = || Error::new(ErrorKind::Format, format!("{place}: expected the step and history of a run"));
            run.step = note("step").parse().map_err(|_| broken())?;
            run.taken_up = notes.get("taken_up").map_or(Ok(0), |n| n.parse()).map_err(|_| broken())?;
            run.history = serde_json::from_str(note("history")).map_err(|_| broken())?;
            run.optimizer = checkpoint::restore(&tensors, &mut parameters, &device)?;
        } else {
            std::fs::create_dir_all(folder)
                .map_err(|e| Error::new(ErrorKind::Io, format!("{}: {e}", folder.display())))?;
            match opening {
                Opening::TakeUp(weights) => run.take_up(weights, &mut parameters, &device)?,
                Opening::Fresh | Opening::Resume => run.begin(&mut parameters, &device)?,
            }
            run.optimizer = Optimizer::new(&parameters);
        }
        run.optimizer.steps = run.step - run.taken_up.min(run.step);
        run.optimizer.averaged = run.step;
        run.parameters = parameters;
        Ok(run)
    }

    fn begin(&self, parameters: &mut Parameters, device: &Device) -> Result<()> {
        let Some(start) = &self.config.start else { return Ok(()) };
        if let Some(path) = &start.imagenet {
            imagenet::begin_from(path, &self.network, parameters, device)?;
        }
        if let Some(path) = &start.checkpoint {
            let (tensors, _) = checkpoint::load(path)?;
            parameters.load(&tensors, device, |name| name.contains(".adapters."))?;
        }
        if let Some(path) = &start.decoder {
            let (mut tensors, _) = checkpoint::load(path)?;
            tensors.retain(|name, _| name.starts_with(DECODER));
            parameters.load(&tensors, device, |name| !name.starts_with(DECODER))?;
        }
        if let Some(path) = &start.grown {
            let small = Weights::load(path)?;
            grow(&small.config.network, &small.numbers(), &self.network, parameters, device)?;
        }
        if let Some(from) = start.normalize_from {
            let mut sources = Sources::open(&self.config.data, "train")?;
            spread::normalize(&self.network, parameters, from, &self.some_pictures(&mut sources)?, device)?;
        }
        Ok(())
    }

    /// Training pictures that no step sees, flat.
    fn some_pictures(&self, sources: &mut Sources) -> Result<Vec<f32>> {
        let Some((stage, _)) = self.config.stage_at(0) else { return Ok(Vec::new()) };
        let one = |i| example(sources, &stage.tasks, &mut random(self.config.seed, u64::MAX, i as u64));
        let examples: Vec<Example> = (0..spread::PICTURES).map(one).collect::<Result<_>>()?;
        Ok(examples.iter().flat_map(|e| e.picture.values()).copied().collect())
    }

    /// Goes on from averaged weights.
    fn take_up(&mut self, weights: &Path, parameters: &mut Parameters, device: &Device) -> Result<()> {
        let (tensors, notes) = checkpoint::load(weights)?;
        parameters.load(&tensors, device, |_| false)?;
        let step = notes.get("step").and_then(|n| n.parse().ok());
        self.step = step.ok_or_else(|| {
            let what = format!("{}: expected the weights of a run with their step, got none", weights.display());
            Error::new(ErrorKind::Format, what)
        })?;
        self.taken_up = self.step;
        self.history = notes.get("history").and_then(|n| serde_json::from_str(n).ok()).unwrap_or_default();
        Ok(())
    }

    /// What a run must share to be the same run.
    fn digest(&self) -> String {
        let mut text = toml::to_string(&self.config).unwrap_or_default();
        text.extend(self.teacher.iter().map(|t| t.digest.as_str()));
        hex_digest(text.as_bytes())
    }

    /// What it is made of.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The averaged weights, off the tape.
    pub fn averaged(&self) -> Parameters {
        self.optimizer.averaged(&self.parameters)
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Learns until all stages are done or `stop` is set; tells what happens.
    ///
    /// # Errors
    /// Those of the sets (the message names the row) and of files. What was learned until the last checkpoint is kept.
    pub fn learn(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(Event)) -> Result<Ending> {
        let mut sources = Sources::open(&self.config.data, "train")?;
        let silent = spread::silent(&self.network, &self.parameters, &self.some_pictures(&mut sources)?, SILENT);
        if !silent.is_empty() {
            tell(Event::Silent(&silent));
        }
        let (sender, batches) = sync_channel(AHEAD);
        let (config, first) = (self.config.clone(), self.step);
        std::thread::scope(|scope| {
            scope.spawn(move || make_batches(sources, &config, first, &sender));
            let ending = self.follow(&batches, stop, tell);
            drop(batches);
            ending
        })
    }

    fn follow(
        &mut self,
        batches: &Receiver<Result<Vec<Example>>>,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Ending> {
        let (begin, before) = (Instant::now(), self.history.seconds);
        let mut saved = Instant::now();
        let first = self.step;
        let (mut window, mut since) = (Window::default(), Instant::now());
        while let Some((stage, within)) = self.config.stage_at(self.step) {
            if stop.load(Ordering::Acquire) {
                self.save(tell)?;
                return Ok(Ending::Stopped);
            }
            let stage = stage.clone();
            if within == 0 || self.step == first {
                self.parameters.learn_only(|group| stage.learns(group));
            }
            let examples = batches.recv().map_err(|_| Error::new(ErrorKind::Format, "data: examples ended"))??;
            self.one_step(&stage, within, &examples, &mut window)?;
            self.history.seconds = before + begin.elapsed().as_secs_f64();
            if self.step.is_multiple_of(WINDOW) {
                let stretch = std::mem::take(&mut window).mean(self.step, since.elapsed());
                let left = self.config.steps() - self.step;
                let rate = stretch.pictures_per_second.max(1e-9);
                let left = Duration::from_secs_f64(left as f64 * stage.pictures as f64 / rate);
                tell(Event::Stretch(&stretch, left));
                self.history.stretches.push(stretch);
            }
            if self.config.validate_every > 0 && self.step.is_multiple_of(self.config.validate_every) {
                let found = validate(&self.config, &self.network, &self.averaged(), stop)?;
                tell(Event::Validated(self.step, &found));
                self.history.validations.push((self.step, found));
            }
            if saved.elapsed().as_secs_f64() > 60.0 * self.config.checkpoint_minutes {
                self.save(tell)?;
                saved = Instant::now();
            }
            if self.step.is_multiple_of(WINDOW) {
                since = Instant::now();
            }
        }
        self.save(tell)?;
        Ok(Ending::Complete)
    }

    fn one_step(&mut self, stage: &StageConfig, within: u64, examples: &[Example], window: &mut Window) -> Result<()> {
        let mut rng = random(self.config.seed, self.step, u64::MAX);
        let rounds = stage.prompts.rounds[rng.random_range(0..stage.prompts.rounds.len())];
        let share = Share {
            network: &self.network,
            loss: &self.config.loss,
            stage,
            rounds,
            examples,
            seed: self.config.seed,
            step: self.step,
            distill: stage.distill.and_then(|d| d.at(within)),
        };
        // Two shares, whatever the number of cores: sums are the same everywhere. Each has leaves of its own, because
        // burn keeps all that grows from one leaf under one lock.
        let mut twin = self.parameters.clone();
        twin.learn_only(|group| stage.learns(group));
        let (first, second) = match share.distill {
            Some(_) => (self.teacher.as_mut(), self.second_teacher.as_mut()),
            None => (None, None),
        };
        let parameters = &self.parameters;
        let (even, odd) = match (first, second) {
            // Whose answers come from one place alone is asked in turn.
            (Some(teacher), None) => {
                let even = share.learn(parameters, 0, Some(&mut *teacher));
                (even, share.learn(&twin, 1, Some(teacher)))
            }
            (first, second) => std::thread::scope(|scope| {
                let odd = scope.spawn(|| share.learn(&twin, 1, second));
                let even = share.learn(parameters, 0, first);
                (even, odd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }),
        };
        let ((mut sums, even), (others, odd)) = (even?, odd?);
        sums.merge(others);
        for outcome in even.iter().chain(&odd) {
            window.add(&outcome.iou, outcome.loss);
        }
        let scale = 1.0 / examples.len() as f32;
        let norm = sums.norm() * scale;
        let again = (self.step - self.taken_up + 1) as f32 / stage.warmup.max(1) as f32;
        let rate = stage.rate_at(within) * again.min(1.0);
        let size = StepSize {
            rate,
            encoder_rate: rate * stage.encoder_rate,
            proposal_rate: rate,
            inputs_at_rate: stage.inputs_at_rate,
            weight_decay: stage.weight_decay,
            scale: scale * (stage.clip / norm.max(1e-12)).min(1.0),
            average: self.config.average,
        };
        if norm.is_finite() {
            self.optimizer.step(&mut self.parameters, sums, &size);
        } else {
            log::warn!("step {}: the gradient is not finite and was left out", self.step);
        }
        self.step += 1;
        Ok(())
    }

    /// Writes all files of the run.
    fn save(&self, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let history = serde_json::to_string(&self.history).unwrap_or_default();
        let notes = Notes::from([
            ("step".to_owned(), self.step.to_string()),
            ("taken_up".to_owned(), self.taken_up.to_string()),
            ("config".to_owned(), self.digest()),
            ("history".to_owned(), history.clone()),
        ]);
        let path = self.folder.join("checkpoint.safetensors");
        checkpoint::save(&path, &checkpoint::of_run(&self.parameters, &self.optimizer), notes, Precision::Single)?;
        let figures = History { stretches: Vec::new(), ..self.history.clone() };
        let notes = Notes::from([
            ("history".to_owned(), serde_json::to_string(&figures).unwrap_or_default()),
            ("name".to_owned(), self.config.name.clone()),
            ("step".to_owned(), self.step.to_string()),
            ("config".to_owned(), toml::to_string(&self.config).unwrap_or_default()),
            (
                "teacher".to_owned(),
                self.teacher.as_ref().map_or(String::new(), |t| format!("{} ({})", t.name, t.digest)),
            ),
        ]);
        let weights = checkpoint::averaged(&self.parameters, &self.optimizer);
        checkpoint::save(&self.folder.join("weights.safetensors"), &weights, notes, Precision::Half)?;
        let write = |name: &str, bytes: &[u8]| durable::write(&self.folder.join(name), bytes);
        write("history.json", history.as_bytes())?;
        write("curves.png", &curves::png(&self.history)?)?;
        tell(Event::Saved(&path));
        Ok(())
    }
}

/// Every other picture of a step.
struct Share<'a> {
    network: &'a Network,
    loss: &'a LossConfig,
    stage: &'a StageConfig,
    rounds: usize,
    examples: &'a [Example],
    seed: u64,
    step: u64,
    distill: Option<DistillConfig>,
}

impl Share<'_> {
    fn learn(
        &self,
        parameters: &Parameters,
        first: usize,
        mut teacher: Option<&mut Teacher>,
    ) -> Result<(Sums, Vec<Outcome>)> {
        let Self { network, loss, stage, rounds, distill, .. } = *self;
        let lesson = Lesson { network, parameters, stage, loss, rounds, distill };
        let mut sums = Sums::default();
        let mut outcomes = Vec::new();
        for (i, example) in self.examples.iter().enumerate().skip(first).step_by(2) {
            let mut rng = random(self.seed ^ 0x5eed, self.step, i as u64);
            outcomes.push(lesson.learn(example, teacher.as_deref_mut(), &mut sums, &mut rng)?);
        }
        Ok((sums, outcomes))
    }
}

/// Sums over a stretch.
#[derive(Default)]
struct Window {
    loss: f32,
    pictures: usize,
    iou: Vec<(f32, usize)>,
}

impl Window {
    fn add(&mut self, iou: &[f32], loss: f32) {
        self.loss += loss;
        self.pictures += 1;
        self.iou.resize(self.iou.len().max(iou.len()), (0.0, 0));
        self.iou.iter_mut().zip(iou).for_each(|(sum, v)| *sum = (sum.0 + v, sum.1 + 1));
    }

    fn mean(self, step: u64, time: Duration) -> Stretch {
        Stretch {
            step,
            loss: self.loss / self.pictures.max(1) as f32,
            iou: self.iou.iter().map(|(sum, n)| sum / *n as f32).collect(),
            pictures_per_second: self.pictures as f64 / time.as_secs_f64().max(1e-9),
        }
    }
}

/// A stream of its own for each purpose, step and picture.
pub(super) fn random(seed: u64, step: u64, picture: u64) -> Pcg64Mcg {
    let mut hash = Sha256::new();
    [seed, step, picture].iter().for_each(|v| hash.update(v.to_le_bytes()));
    let digest = hash.finalize();
    Pcg64Mcg::from_seed(std::array::from_fn(|i| digest[i]))
}

/// Makes the examples of all steps from `first` on, in order, until nobody takes them.
fn make_batches(mut sources: Sources, config: &TrainConfig, first: u64, to: &SyncSender<Result<Vec<Example>>>) {
    for step in first.. {
        let Some((stage, _)) = config.stage_at(step) else { return };
        let batch: Result<Vec<Example>> = (0..stage.pictures)
            .map(|i| example(&mut sources, &stage.tasks, &mut random(config.seed, step, i as u64)))
            .collect();
        let failed = batch.is_err();
        if to.send(batch).is_err() || failed {
            return;
        }
    }
}
