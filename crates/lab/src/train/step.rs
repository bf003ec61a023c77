//! One picture's part of a training step: rounds of prompts and answers, their loss, its gradient.

use std::sync::Arc;

use burn::tensor::Tensor;
use rand::Rng;

use super::config::{DistillConfig, LossConfig, StageConfig};
use super::example::Example;
use super::net::Network;
use super::net::decoder::{Answer, MASK_CELLS, Seen};
use super::net::encoder::Embedding;
use super::net::parameters::{OffTape, Parameters};
use super::ops::{LossRow, LossWeights, MASKS, MaskLoss, mask_loss};
use super::optimizer::Sums;
use super::picture::chance;
use super::prompts::Task;
use super::teacher::{Teacher, Told, answer_loss, embedding_loss};
use sonotap::error::Result;
use sonotap::model::ModelPrompts;
use sonotap::model::postprocess::{MAPS, choose};
use sonotap::prompt::Polarity;

const CELLS: usize = MASK_CELLS * MASK_CELLS;

/// What a picture's rounds gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Mean loss of the rounds.
    pub loss: f32,
    /// Mean IoU of the shown mask after each round.
    pub iou: Vec<f32>,
}

/// What a picture is learned with, the same for all pictures of a step.
pub struct Lesson<'a> {
    /// The network's structure.
    pub network: &'a Network,
    /// Its numbers, on tape.
    pub parameters: &'a Parameters,
    /// Tasks, prompts, distillation.
    pub stage: &'a StageConfig,
    /// Weights of the loss.
    pub loss: &'a LossConfig,
    /// Rounds of prompts.
    pub rounds: usize,
    /// What comes from the teacher at this step.
    pub distill: Option<DistillConfig>,
}

impl Lesson<'_> {
    /// Runs the rounds of one picture and adds their gradients.
    ///
    /// # Errors
    /// Those of the teacher.
    pub fn learn(
        &self,
        example: &Example,
        teacher: Option<&mut Teacher>,
        sums: &mut Sums,
        rng: &mut impl Rng,
    ) -> Result<Outcome> {
        let (outcome, total) = self.rounds(example, teacher, rng)?;
        if let Some(total) = total {
            let loss = total.clone().inner().into_scalar::<f32>();
            sums.add(self.parameters, &mut total.backward());
            return Ok(Outcome { loss, ..outcome });
        }
        Ok(outcome)
    }

    pub(super) fn rounds(
        &self,
        example: &Example,
        teacher: Option<&mut Teacher>,
        rng: &mut impl Rng,
    ) -> Result<(Outcome, Option<Tensor<1>>)> {
        let Self { network, parameters, stage, .. } = *self;
        let mut lecture = Lecture::begin(teacher, self.distill, example)?;
        let mut tasks = begin(example, stage, rng);
        let embedding = network.encoder.forward(parameters, example.picture.values());
        let mut total = lecture.as_ref().and_then(|l| l.on_embedding(&embedding));
        let mut outcome = Outcome::default();
        if lecture.as_ref().is_some_and(|l| l.is_wordless()) {
            return Ok((outcome, total));
        }
        let seen = network.decoder.see(parameters, embedding, tasks.len());
        outcome.iou = self.converse(&mut tasks, &seen, lecture.as_mut(), &mut total, rng)?;
        Ok((outcome, total))
    }

    /// The rounds of prompts about targets of an image that was seen; adds to `total`, which stays empty without a round.
    /// Gives the mean IoU of the shown mask after each round.
    ///
    /// # Errors
    /// Those of the teacher.
    pub(super) fn converse(
        &self,
        tasks: &mut [Task],
        seen: &Seen,
        mut lecture: Option<&mut Lecture>,
        total: &mut Option<Tensor<1>>,
        rng: &mut impl Rng,
    ) -> Result<Vec<f32>> {
        let Self { network, parameters, stage, loss, rounds, .. } = *self;
        let mut iou = Vec::new();
        for round in 0..rounds {
            if round > 0 && round + 1 < rounds && chance(rng, stage.prompts.mask_alone) {
                tasks.iter_mut().for_each(Task::show_mask_alone);
            }
            let prompts: Vec<&ModelPrompts> = tasks.iter().map(|t| &t.prompts).collect();
            let answer = network.decoder.forward(parameters, seen, &prompts);
            let told = lecture.as_mut().map_or(Ok(Vec::new()), |l| l.ask(&prompts))?;
            let goal = goal(tasks, loss);
            let (logits, shown) = shown(&answer, tasks);
            let ious = goal.ious(&logits);
            iou.push(ious.iter().zip(&shown).map(|(i, m)| i[*m]).sum::<f32>() / tasks.len() as f32);
            let taught = lecture.as_ref().and_then(|l| l.on_answer(&answer, &told, tasks));
            let truth = lecture.as_ref().map_or(1.0, |l| l.what.truth);
            let part = mask_loss(answer.masks, answer.iou, goal) * truth;
            let part = taught.into_iter().fold(part, |sum, t| sum + t) / rounds as f32;
            *total = Some(total.take().into_iter().fold(part, |sum, t| sum + t));
            if round + 1 < rounds {
                for (i, (task, mask)) in tasks.iter_mut().zip(&shown).enumerate() {
                    task.show_all();
                    let at = (i * MASKS + mask) * CELLS;
                    let better = told.get(i).map(|t: &Told| &t.masks[mask * CELLS..][..CELLS]);
                    let disagreement = lecture.as_ref().map_or(0.0, |l| l.what.disagreement);
                    let better = better.filter(|_| chance(rng, disagreement));
                    task.go_on(&logits[at..][..CELLS], better, &stage.prompts, rng);
                }
            }
        }
        Ok(iou)
    }
}

/// A teacher at work on one picture.
pub(super) struct Lecture<'a> {
    teacher: &'a mut Teacher,
    what: DistillConfig,
    embedding: Option<Embedding>,
}

impl<'a> Lecture<'a> {
    fn begin(teacher: Option<&'a mut Teacher>, what: Option<DistillConfig>, example: &Example) -> Result<Option<Self>> {
        let (Some(teacher), Some(what)) = (teacher, what) else { return Ok(None) };
        let embedding = teacher.see(&example.picture)?;
        Ok(Some(Self { teacher, what, embedding }))
    }

    /// Nothing is asked: only the embedding is learned.
    fn is_wordless(&self) -> bool {
        self.what.answers == 0.0 && self.what.truth == 0.0
    }

    fn on_embedding(&self, student: &Embedding) -> Option<Tensor<1>> {
        let theirs = self.embedding.as_ref().filter(|_| self.what.embedding > 0.0)?;
        Some(embedding_loss(student, theirs, &student.coarse.device()) * self.what.embedding)
    }

    fn ask(&mut self, prompts: &[&ModelPrompts]) -> Result<Vec<Told>> {
        if self.what.answers == 0.0 && self.what.disagreement == 0.0 {
            return Ok(Vec::new());
        }
        prompts.iter().map(|p| self.teacher.answer(p)).collect()
    }

    fn on_answer(&self, answer: &Answer, told: &[Told], tasks: &[Task]) -> Option<Tensor<1>> {
        let is_lone: Vec<bool> = tasks.iter().map(|t| t.prompts.is_lone_click()).collect();
        (self.what.answers > 0.0)
            .then(|| answer_loss(answer.masks.clone(), answer.iou.clone(), told, &is_lone) * self.what.answers)
    }
}

fn begin(example: &Example, stage: &StageConfig, rng: &mut impl Rng) -> Vec<Task> {
    let mut tasks: Vec<Task> = example.targets.iter().map(Task::new).collect();
    if example.is_nested
        && let Some(click) = tasks[0].inner_click(rng)
    {
        tasks.iter_mut().for_each(|t| t.begin_at(click));
    } else {
        tasks.iter_mut().for_each(|t| t.begin(&stage.prompts, rng));
    }
    tasks
}

fn goal(tasks: &[Task], loss: &LossConfig) -> MaskLoss {
    let rows = tasks.iter().map(|t| LossRow {
        truth: t.cells.clone(),
        weights: near_clicks(t, loss.click),
        is_lone: t.prompts.is_lone_click(),
        share: 1.0,
        beyond: t.beyond_cells(),
    });
    let LossConfig { focal, dice, iou, alternatives, first, .. } = *loss;
    let weights = LossWeights { focal, dice, iou, alternatives, first };
    MaskLoss { rows: Arc::new(rows.collect()), weights }
}

/// 1, and more at cells near clicks whose truth the click tells.
fn near_clicks(task: &Task, extra: f32) -> Vec<f32> {
    let mut maps = vec![0.0; MAPS * CELLS];
    let clicks = ModelPrompts { clicks: task.prompts.clicks.clone(), ..ModelPrompts::default() };
    let positive = clicks.clicks.iter().any(|(_, p)| *p == Polarity::Positive);
    let negative = clicks.clicks.iter().any(|(_, p)| *p == Polarity::Negative);
    if !positive && !negative {
        return vec![1.0; CELLS];
    }
    sonotap::model::postprocess::prompt_maps(&clicks, super::picture::SIDE as u32, MASK_CELLS, &mut maps);
    let (positive, negative) = (&maps[2 * CELLS..3 * CELLS], &maps[3 * CELLS..4 * CELLS]);
    let at = |i: usize| 1.0 + extra * (positive[i] * task.cells[i] + negative[i] * (1.0 - task.cells[i]));
    (0..CELLS).map(at).collect()
}

/// All logits on the host, and which mask of each target inference would show.
fn shown(answer: &Answer, tasks: &[Task]) -> (Vec<f32>, Vec<usize>) {
    let logits: Vec<f32> = answer.masks.clone().inner_if_on_tape().into_data().try_to_vec().unwrap_or_default();
    let iou: Vec<f32> = answer.iou.clone().inner_if_on_tape().into_data().try_to_vec().unwrap_or_default();
    let shown = tasks.iter().zip(iou.chunks_exact(MASKS)).map(|(t, iou)| choose(&t.prompts, iou, 0, 0)).collect();
    (logits, shown)
}
