//! A semi-supervised run as a file. Strict: an unknown or missing key is an error that names it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::train::config::{DataConfig, Intent, TrainConfig, load_checked};
use crate::train::optimizer::StepSize;
use sonotap::error::Result;

/// Who teaches what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The outlined images alone.
    Supervised,
    /// The match network's own confident cells teach it; the click model learns from the outlined images alone.
    FixMatch,
    /// The click model's mask in the match network's box teaches both.
    SamMatch,
}

/// The few outlined images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledConfig {
    /// Folder of the set (docs/datasets.md).
    pub folder: PathBuf,
    /// Under what terms; needed for a model that ships.
    #[serde(default)]
    pub licence: String,
    /// Split that the images are drawn from.
    pub split: String,
    /// Only masks of this class; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Images to draw, of as many groups as there are; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Which draw.
    #[serde(default)]
    pub draw: u64,
}

/// The weights of the parts, and the rule of pseudo labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchConfig {
    /// Probability from which a cell counts as known.
    pub threshold: f32,
    /// By how much the box around the match network's mask is larger on each side, part of its size.
    pub grow: f32,
    /// Least IoU of the click model's mask with the match network's for a pseudo label to be taken.
    pub agreement: f32,
    /// Weight of the pictures without masks in the match network's loss, when it has risen.
    pub weight: f32,
    /// The same in the click model's loss.
    pub click_weight: f32,
    /// The same of the estimated IoU's loss on pseudo labels; on outlined pictures it is 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub score_weight: f32,
    /// Part of the run over which these weights rise.
    pub ramp: f32,
}

fn is_no_limit(inputs: &usize) -> bool {
    *inputs == 0
}

fn is_zero(v: &f32) -> bool {
    *v == 0.0
}

/// A semi-supervised run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SemiConfig {
    /// Name of the model.
    pub name: String,
    /// What the model is for.
    pub intent: Intent,
    /// Everything that is drawn at random follows from it.
    pub seed: u64,
    /// `weights.safetensors` of the click model to start from.
    pub click_model: PathBuf,
    /// Who teaches.
    pub method: Method,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Outlined pictures a step.
    pub labelled_pictures: usize,
    /// Pictures without masks a step.
    pub unlabelled_pictures: usize,
    /// Largest learning rate.
    pub rate: f32,
    /// The encoder's, as a part of it; 0 freezes it.
    pub encoder_rate: f32,
    /// That of the head that proposes, which is new, as a multiple of `rate`.
    pub proposal_rate: f32,
    /// Matrices of more inputs than this learn more slowly, in proportion; 0, as when left out, for none.
    #[serde(default, skip_serializing_if = "is_no_limit")]
    pub inputs_at_rate: usize,
    /// Steps in which the rate rises from 0.
    pub warmup: u64,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest norm of the gradient.
    pub clip: f32,
    /// How slowly the averaged weights follow, a step.
    pub average: f32,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
    /// Steps between looks at the `val` split; 0 for none.
    pub validate_every: u64,
    /// The few.
    pub labelled: LabelledConfig,
    /// Images without masks: folders that are searched for PNG, JPEG, GIF and DICOM files. Without any the labelled set's
    /// other images of the same split are used, whose masks are not read.
    #[serde(default)]
    pub unlabelled: Vec<PathBuf>,
    /// Pseudo labels.
    #[serde(rename = "match")]
    pub matching: MatchConfig,
}

impl SemiConfig {
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
        let shares = [
            ("average", self.average),
            ("encoder_rate", self.encoder_rate),
            ("match.threshold", self.matching.threshold),
            ("match.grow", self.matching.grow),
            ("match.agreement", self.matching.agreement),
            ("match.ramp", self.matching.ramp),
        ];
        for (key, v) in shares {
            if !(0.0..=1.0).contains(&v) {
                return Err(format!("{key}: expected a share of 0 to 1, got {v}"));
            }
        }
        let above = [
            ("steps", self.steps as f64),
            ("labelled_pictures", self.labelled_pictures as f64),
            ("rate", f64::from(self.rate)),
            ("proposal_rate", f64::from(self.proposal_rate)),
            ("clip", f64::from(self.clip)),
            ("checkpoint_minutes", self.checkpoint_minutes),
        ];
        for (key, v) in above {
            if !(v.is_finite() && v > 0.0) {
                return Err(format!("{key}: expected a number above 0, got {v}"));
            }
        }
        let MatchConfig { weight, click_weight, score_weight, .. } = self.matching;
        let weights =
            [("match.weight", weight), ("match.click_weight", click_weight), ("match.score_weight", score_weight)];
        for (key, v) in weights {
            if !(v.is_finite() && v >= 0.0) {
                return Err(format!("{key}: expected a number from 0 on, got {v}"));
            }
        }
        if self.matching.threshold < 0.5 {
            let got = self.matching.threshold;
            return Err(format!("match.threshold: expected at least 0.5, got {got}"));
        }
        if self.labelled.images == Some(0) {
            return Err("labelled.images: expected at least 1, got 0".into());
        }
        if self.labelled.split == "test" {
            return Err("labelled.split: expected a split to learn from, got \"test\"".into());
        }
        if (self.method == Method::Supervised) != (self.unlabelled_pictures == 0) {
            let expected = if self.method == Method::Supervised { "0" } else { "a number above 0" };
            let got = self.unlabelled_pictures;
            return Err(format!("unlabelled_pictures: expected {expected} for this method, got {got}"));
        }
        if self.intent == Intent::Ship && self.labelled.licence.trim().is_empty() {
            return Err("labelled.licence: a model that ships needs the licence of its images, got none".into());
        }
        Ok(())
    }

    /// How far the weights of pictures without masks have risen at a step, 0..=1.
    ///
    /// Source: Laine and Aila, "Temporal Ensembling", 2017: exp(-5 (1 - t)^2).
    pub fn ramp_at(&self, step: u64) -> f32 {
        let t = (step as f32 / (self.matching.ramp * self.steps as f32).max(1.0)).min(1.0);
        (-5.0 * (1.0 - t) * (1.0 - t)).exp()
    }

    /// How a step is taken whose gradients have this norm.
    pub fn step_size(&self, step: u64, norm: f32) -> StepSize {
        let warm = ((step + 1) as f32 / self.warmup.max(1) as f32).min(1.0);
        let done = step as f32 / self.steps as f32;
        let rate = self.rate * warm * (0.5 * (1.0 + (std::f32::consts::PI * done).cos()) * 0.99 + 0.01);
        StepSize {
            rate,
            encoder_rate: rate * self.encoder_rate,
            proposal_rate: rate * self.proposal_rate,
            inputs_at_rate: self.inputs_at_rate,
            weight_decay: self.weight_decay,
            scale: (self.clip / norm.max(1e-12)).min(1.0),
            average: self.average,
        }
    }

    /// The config of the click model that comes of it: that of the one it starts from, with this run's name and images.
    pub fn click_config(&self, start: &TrainConfig) -> TrainConfig {
        let data = DataConfig {
            folder: self.labelled.folder.clone(),
            licence: self.labelled.licence.clone(),
            share: 1.0,
            validate: false,
        };
        let mut config = start.clone();
        config.name.clone_from(&self.name);
        config.intent = self.intent;
        config.seed = self.seed;
        config.data.retain(|d| d.folder != data.folder);
        config.data.push(data);
        config
    }
}
