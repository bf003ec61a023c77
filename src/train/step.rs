//! One picture's part of a training step: rounds of prompts and answers, their loss, its gradient.

use std::sync::Arc;

use burn::tensor::Tensor;
use rand::Rng;

use super::config::{LossConfig, StageConfig};
use super::example::Example;
use super::net::Network;
use super::net::decoder::{Answer, MASK_CELLS};
use super::net::parameters::{OffTape, Parameters};
use super::ops::{LossRow, LossWeights, MASKS, MaskLoss, mask_loss};
use super::optimizer::Sums;
use super::picture::chance;
use super::prompts::Task;
use crate::model::ModelPrompts;
use crate::model::postprocess::MAPS;
use crate::prompt::Polarity;

const CELLS: usize = MASK_CELLS * MASK_CELLS;

/// What a picture's rounds gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Mean loss of the rounds.
    pub loss: f32,
    /// Mean IoU of the shown mask after each round.
    pub iou: Vec<f32>,
}

/// Runs the rounds of one picture and adds their gradients.
pub fn learn(
    network: &Network,
    parameters: &Parameters,
    example: &Example,
    rounds: usize,
    stage: &StageConfig,
    loss: &LossConfig,
    sums: &mut Sums,
    rng: &mut impl Rng,
) -> Outcome {
    let mut tasks = begin(example, stage, rng);
    let seen = network.encoder.forward(parameters, example.picture.values());
    let seen = network.decoder.see(parameters, seen, tasks.len());
    let mut total: Option<Tensor<1>> = None;
    let mut outcome = Outcome::default();
    for round in 0..rounds {
        if round > 0 && round + 1 < rounds && chance(rng, stage.prompts.mask_alone) {
            tasks.iter_mut().for_each(Task::show_mask_alone);
        }
        let prompts: Vec<&ModelPrompts> = tasks.iter().map(|t| &t.prompts).collect();
        let answer = network.decoder.forward(parameters, &seen, &prompts);
        let goal = goal(&tasks, loss);
        let (logits, shown) = shown(&answer, &tasks);
        let ious = goal.ious(&logits);
        let mean = ious.iter().zip(&shown).map(|(i, m)| i[*m]).sum::<f32>() / tasks.len() as f32;
        outcome.iou.push(mean);
        let part = mask_loss(answer.masks, answer.iou, goal) / rounds as f32;
        total = Some(match total {
            Some(sum) => sum + part,
            None => part,
        });
        if round + 1 < rounds {
            for (i, (task, mask)) in tasks.iter_mut().zip(&shown).enumerate() {
                task.show_all();
                task.go_on(&logits[(i * MASKS + mask) * CELLS..][..CELLS], &stage.prompts, rng);
            }
        }
    }
    if let Some(total) = total {
        outcome.loss = total.clone().inner().into_scalar::<f32>();
        let mut gradients = total.backward();
        sums.add(parameters, &mut gradients);
    }
    outcome
}

fn begin(example: &Example, stage: &StageConfig, rng: &mut impl Rng) -> Vec<Task> {
    let mut tasks: Vec<Task> = example.targets.iter().map(|m| Task::new(m.clone())).collect();
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
    crate::model::postprocess::prompt_maps(&clicks, super::picture::SIDE as u32, MASK_CELLS, &mut maps);
    let (positive, negative) = (&maps[2 * CELLS..3 * CELLS], &maps[3 * CELLS..4 * CELLS]);
    let at = |i: usize| 1.0 + extra * (positive[i] * task.cells[i] + negative[i] * (1.0 - task.cells[i]));
    (0..CELLS).map(at).collect()
}

/// All logits on the host, and which mask of each target inference would show.
fn shown(answer: &Answer, tasks: &[Task]) -> (Vec<f32>, Vec<usize>) {
    let logits: Vec<f32> = answer.masks.clone().inner_if_on_tape().into_data().try_to_vec().unwrap_or_default();
    let iou: Vec<f32> = answer.iou.clone().inner_if_on_tape().into_data().try_to_vec().unwrap_or_default();
    let best = |i: usize| {
        let scores = &iou[i * MASKS..][..MASKS];
        (1..MASKS).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0)
    };
    let shown = tasks.iter().enumerate().map(|(i, t)| if t.prompts.is_lone_click() { best(i) } else { 0 });
    let shown = shown.collect();
    (logits, shown)
}
