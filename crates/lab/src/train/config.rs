//! A training run as a file: data, network, tasks, stages. Strict: an unknown or missing key is an error that names it.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::example::TaskShares;
use super::net::NetworkConfig;
use super::net::parameters::Group;
use super::prompts::PromptShares;
use sonotap::error::{Error, ErrorKind, Result};

/// What the model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// To be passed on: every set needs a licence line.
    Ship,
    /// To learn from only.
    Research,
}

/// One set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of the set (docs/datasets.md), relative to the working directory.
    pub folder: PathBuf,
    /// Under what terms; needed for a model that ships.
    #[serde(default)]
    pub licence: String,
    /// How often it is seen beside the other sets.
    #[serde(default = "one")]
    pub share: f32,
    /// Whether its `val` split is looked at while the run goes on.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub validate: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_true(flag: &bool) -> bool {
    *flag
}

fn one() -> f32 {
    1.0
}

/// Numbers that training begins from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartConfig {
    /// ImageNet weights of EfficientNet-Lite0, safetensors with the names of its PyTorch form.
    #[serde(default)]
    pub imagenet: Option<PathBuf>,
    /// `weights.safetensors` of a network of the same form.
    #[serde(default)]
    pub checkpoint: Option<PathBuf>,
    /// `weights.safetensors` of a network with the same decoder, embedding and skips, of which only the decoder is taken: for
    /// a student of the network that it is distilled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<PathBuf>,
    /// `weights.safetensors` of a smaller network of the same form, as which this one begins: it answers the same at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<PathBuf>,
    /// Stride from which on the encoder's layers, and the neck's that read them, are given channels of an even spread over
    /// training pictures: where what they begin from leaves them at the ends of their activations. Finer layers go on as
    /// they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize_from: Option<usize>,
}

/// Weights of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Focal loss.
    pub focal: f32,
    /// Dice loss.
    pub dice: f32,
    /// Squared error of the predicted IoU.
    pub iou: f32,
    /// Mean of the alternatives beside the best, for a lone click.
    pub alternatives: f32,
    /// Mask 0 beside the alternatives, for a lone click.
    pub first: f32,
    /// Extra weight of cells at clicks.
    pub click: f32,
}

/// What a student takes from its teacher, beside the truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// Weight of the embedding's distance; a teacher must show one of the same size.
    pub embedding: f32,
    /// Weight of the distance of masks and predicted IoU; 0 asks the teacher nothing.
    pub answers: f32,
    /// Clicks that go where student and teacher disagree and the teacher is right.
    pub disagreement: f32,
    /// The truth stays in the loss with this weight; 0, with no `answers`, learns the embedding alone, without prompts.
    pub truth: f32,
    /// Steps of the stage over which `embedding`, `answers` and `disagreement` fall evenly to 0, from where on nobody is
    /// asked; 0 for never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fade: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_no_limit(inputs: &usize) -> bool {
    *inputs == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

impl DistillConfig {
    /// What is taken at a step of the stage; `None` when nothing is any more, and the truth alone counts.
    pub fn at(&self, step: u64) -> Option<Self> {
        if self.fade == 0 {
            return Some(*self);
        }
        let left = 1.0 - step as f32 / self.fade as f32;
        (left > 0.0).then_some(Self {
            embedding: self.embedding * left,
            answers: self.answers * left,
            disagreement: self.disagreement * left,
            ..*self
        })
    }
}

/// One stretch of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// For logs.
    pub name: String,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Pictures a step.
    pub pictures: usize,
    /// Largest learning rate.
    pub rate: f32,
    /// The encoder's, as a part of it; 0 freezes it.
    pub encoder_rate: f32,
    /// Matrices of more inputs than this learn more slowly, in proportion; 0, as when left out, for none.
    #[serde(default, skip_serializing_if = "is_no_limit")]
    pub inputs_at_rate: usize,
    /// Steps in which the rate rises from 0.
    pub warmup: u64,
    /// Part of the stage after which the rate falls, along a cosine, to a hundredth.
    pub decay_from: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest norm of the gradient.
    pub clip: f32,
    /// What comes from a teacher; none when the stage has no teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillConfig>,
    /// Kinds of targets.
    pub tasks: TaskShares,
    /// Kinds of prompts.
    pub prompts: PromptShares,
}

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Name of the model.
    pub name: String,
    /// What the model is for.
    pub intent: Intent,
    /// Everything that is drawn at random follows from it.
    pub seed: u64,
    /// How slowly the averaged weights follow, a step.
    pub average: f32,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
    /// Steps between validations; 0 for none.
    pub validate_every: u64,
    /// Images of each set's `val` split that are looked at.
    pub validate_images: usize,
    /// By how much a closer view's score must be above the whole image's to be preferred, for the model's manifest: once it was
    /// measured on `val` splits that a lone click is answered better so. Without it a lone click is seen in one view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_advantage: Option<f32>,
    /// Sets.
    pub data: Vec<DataConfig>,
    /// What is trained.
    pub network: NetworkConfig,
    /// What it begins from.
    #[serde(default)]
    pub start: Option<StartConfig>,
    /// What is minimized.
    pub loss: LossConfig,
    /// One after the other.
    pub stage: Vec<StageConfig>,
}

/// Reads a config of training and checks it.
///
/// # Errors
/// `Io` when it cannot be read; `Argument` when a key is unknown or missing, or `check` names what is wrong.
pub(super) fn load_checked<T: DeserializeOwned>(path: &Path, check: impl Fn(&T) -> Result<(), String>) -> Result<T> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let config: T = toml::from_str(&text).map_err(|e| Error::new(ErrorKind::Argument, format!("{place}: {e}")))?;
    check(&config).map_err(|what| Error::new(ErrorKind::Argument, format!("{place}: {what}")))?;
    Ok(config)
}

impl TrainConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Argument` when a key is unknown, missing or out of range.
    pub fn load(path: &Path) -> Result<Self> {
        load_checked(path, Self::check)
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// The key, what was expected and what came.
    pub fn check(&self) -> Result<(), String> {
        let share = |key: String, v: f32| match (0.0..=1.0).contains(&v) {
            true => Ok(()),
            false => Err(format!("{key}: expected a share of 0 to 1, got {v}")),
        };
        let above = |key: String, v: f64| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(format!("{key}: expected a number above 0, got {v}")),
        };
        if self.data.is_empty() {
            return Err("data: expected at least one set, got none".into());
        }
        for (i, set) in self.data.iter().enumerate() {
            above(format!("data[{i}].share"), f64::from(set.share))?;
            if self.intent == Intent::Ship && set.licence.trim().is_empty() {
                let folder = set.folder.display();
                return Err(format!("data[{i}].licence: a model that ships needs the licence of {folder}, got none"));
            }
        }
        if self.stage.is_empty() {
            return Err("stage: expected at least one, got none".into());
        }
        share("average".into(), self.average)?;
        share("view_advantage".into(), self.view_advantage.unwrap_or_default())?;
        above("checkpoint_minutes".into(), self.checkpoint_minutes)?;
        for (i, s) in self.stage.iter().enumerate() {
            let key = |name: &str| format!("stage[{i}].{name}");
            above(key("steps"), s.steps as f64)?;
            above(key("pictures"), s.pictures as f64)?;
            above(key("rate"), f64::from(s.rate))?;
            above(key("clip"), f64::from(s.clip))?;
            share(key("encoder_rate"), s.encoder_rate)?;
            share(key("decay_from"), s.decay_from)?;
            let (t, p) = (&s.tasks, &s.prompts);
            above(key("tasks.targets"), t.targets as f64)?;
            let shares = [
                ("tasks.scene", t.scene),
                ("tasks.phantom", t.phantom),
                ("tasks.part", t.part),
                ("tasks.structure", t.structure),
                ("tasks.second_object", t.second_object),
                ("tasks.region", t.region),
                ("tasks.near", t.near),
                ("prompts.boxed", p.boxed),
                ("prompts.carried", p.carried),
                ("prompts.boxed + prompts.carried", p.boxed + p.carried),
                ("prompts.drop_previous", p.drop_previous),
                ("prompts.mask_alone", p.mask_alone),
            ];
            shares.into_iter().try_for_each(|(name, v)| share(key(name), v))?;
            if t.part > 0.0 && t.targets != 2 {
                return Err(format!("{}: nested targets need 2, got {}", key("tasks.targets"), t.targets));
            }
            if let Some(d) = &s.distill {
                share(key("distill.disagreement"), d.disagreement)?;
                for (name, v) in [("embedding", d.embedding), ("answers", d.answers), ("truth", d.truth)] {
                    if !(v.is_finite() && v >= 0.0) {
                        return Err(format!(
                            "{}: expected a number from 0 on, got {v}",
                            key(&format!("distill.{name}"))
                        ));
                    }
                }
                above(key("distill: embedding + answers + truth"), f64::from(d.embedding + d.answers + d.truth))?;
                if d.fade > 0 && d.truth == 0.0 {
                    return Err(format!("{}: a teacher that fades needs truth above 0, got 0", key("distill.fade")));
                }
            }
            for (name, list) in [("prompts.rounds", &p.rounds), ("prompts.clicks", &p.clicks)] {
                if list.is_empty() || list.contains(&0) {
                    return Err(format!("{}: expected numbers above 0, got {list:?}", key(name)));
                }
            }
        }
        self.check_network()
    }

    fn check_network(&self) -> Result<(), String> {
        let (e, d) = (&self.network.encoder, &self.network.decoder);
        let mut reach = 2;
        for (i, s) in e.stages.iter().enumerate() {
            let fits = s.expand > 0 && s.channels > 0 && s.repeats > 0 && [1, 2].contains(&s.stride);
            if !fits || ![3, 5].contains(&s.kernel) {
                return Err(format!(
                    "network.encoder.stages[{i}]: expected stride 1 or 2, kernel 3 or 5, the rest above 0"
                ));
            }
            reach *= s.stride;
        }
        if let Some(number) = e.adapters.iter().find(|n| **n >= e.stages.len()) {
            return Err(format!("network.encoder.adapters: expected stages below {}, got {number}", e.stages.len()));
        }
        if !(8..=32).contains(&reach) {
            return Err(format!("network.encoder.stages: expected a stride of 8, 16 or 32 in all, got {reach}"));
        }
        if e.embedding % (4 * d.heads.max(1)) != 0 || d.heads == 0 {
            let context = "network.encoder.embedding: expected a multiple of 4 times network.decoder.heads";
            return Err(format!("{context}, got {} and {}", e.embedding, d.heads));
        }
        Ok(())
    }

    /// Steps of all stages.
    pub fn steps(&self) -> u64 {
        self.stage.iter().map(|s| s.steps).sum()
    }

    /// The stage of a step, and the step within it; `None` after the last.
    pub fn stage_at(&self, step: u64) -> Option<(&StageConfig, u64)> {
        let mut left = step;
        self.stage.iter().find_map(|s| {
            let within = (left < s.steps).then_some((s, left));
            left = left.saturating_sub(s.steps);
            within
        })
    }
}

impl StageConfig {
    /// Whether parameters of a group are learned, and not frozen.
    pub fn learns(&self, group: Group) -> bool {
        group.is_learned(self.encoder_rate == 0.0)
    }

    /// Learning rate of a step of the stage.
    pub fn rate_at(&self, step: u64) -> f32 {
        let warm = ((step + 1) as f32 / self.warmup.max(1) as f32).min(1.0);
        let done = step as f32 / self.steps as f32;
        let fall = if done < self.decay_from {
            1.0
        } else {
            let t = (done - self.decay_from) / (1.0 - self.decay_from).max(1e-6);
            0.5 * (1.0 + (std::f32::consts::PI * t).cos()) * 0.99 + 0.01
        };
        self.rate * warm * fall
    }
}
