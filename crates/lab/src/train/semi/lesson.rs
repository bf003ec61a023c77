//! One picture's gradient in a semi-supervised step.

use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::config::SemiConfig;
use super::loss::{cells, complementary, cross_entropy, dice};
use super::pictures::{Labelled, Unlabelled};
use super::propose::suggested_iou;
use super::pseudo::{Labeller, PseudoLabel};
use crate::train::config::{LossConfig, StageConfig};
use crate::train::example::{Example, Target};
use crate::train::net::Network;
use crate::train::net::decoder::MASK_CELLS;
use crate::train::net::parameters::{OffTape as _, Parameters, host};
use crate::train::net::proposal::{ProposalHead, Proposed};
use crate::train::optimizer::Sums;
use crate::train::picture::SIDE;
use crate::train::prompts::{Task, cells_of};
use crate::train::step::Lesson;
use sonotap::error::Result;
use sonotap::geometry::{ModelSpace, Rect};
use sonotap::mask::Bitmap;

const CELLS: usize = MASK_CELLS * MASK_CELLS;

/// Sums over the pictures of a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Loss of the outlined pictures, summed.
    pub loss: f64,
    /// Dice of the match network on the outlined pictures, summed.
    pub dice: f64,
    /// Outlined pictures.
    pub labelled: u32,
    /// IoU of the click model after its last round, summed over `clicked` pictures.
    pub click_iou: f64,
    /// Pictures of the click model.
    pub clicked: u32,
    /// Pictures without masks.
    pub unlabelled: u32,
    /// Of these, those with a pseudo label.
    pub taken: u32,
    /// How far the head's estimates of IoU are off on the outlined pictures, summed.
    pub score_error: f64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.dice += other.dice;
        self.labelled += other.labelled;
        self.click_iou += other.click_iou;
        self.clicked += other.clicked;
        self.unlabelled += other.unlabelled;
        self.taken += other.taken;
        self.score_error += other.score_error;
    }
}

/// What the pictures of a step are learned with.
pub struct SemiLesson<'a> {
    /// The run.
    pub config: &'a SemiConfig,
    /// The click model's structure.
    pub network: &'a Network,
    /// Of the match network.
    pub head: &'a ProposalHead,
    /// Numbers of both, on tape.
    pub parameters: &'a Parameters,
    /// Makes pseudo labels.
    pub labeller: Labeller<'a>,
    /// Tasks and prompts of the click model.
    pub stage: &'a StageConfig,
    /// Weights of the click model's loss.
    pub loss: &'a LossConfig,
    /// Rounds of prompts.
    pub rounds: usize,
    /// How far the weights of pictures without masks have risen.
    pub ramp: f32,
}

impl SemiLesson<'_> {
    fn clicks(&self, rounds: usize) -> Lesson<'_> {
        let Self { network, parameters, stage, loss, .. } = *self;
        Lesson { network, parameters, stage, loss, rounds, distill: None }
    }

    /// The click model learns an outlined picture, `share` of the step's gradient.
    ///
    /// # Errors
    /// None today: there is no teacher.
    pub fn click(
        &self,
        example: &Example,
        share: f32,
        sums: &mut Sums,
        tally: &mut Tally,
        rng: &mut impl Rng,
    ) -> Result<()> {
        let (outcome, total) = self.clicks(self.rounds).rounds(example, None, rng)?;
        tally.click_iou += f64::from(outcome.iou.last().copied().unwrap_or(0.0));
        tally.clicked += 1;
        self.learn(total.map(|t| t * share), sums);
        Ok(())
    }

    /// The match network learns an outlined picture, and how good its mask is there.
    pub fn labelled(&self, given: &Labelled, share: f32, sums: &mut Sums, tally: &mut Tally) {
        let Self { network, head, parameters, .. } = *self;
        let embedding = network.encoder.forward(parameters, given.picture.values());
        let proposed = head.forward(parameters, &network.decoder.see(parameters, embedding, 1));
        let (score, missed) = score_loss(&proposed, &given.whole);
        let z = proposed.logits;
        let device = z.device();
        let truth = cells(cells_of(&given.whole), &device);
        let all = cells(vec![1.0; CELLS], &device);
        let overlap = dice(z.clone(), truth.clone(), all.clone());
        tally.dice += 1.0 - f64::from(overlap.clone().inner_if_on_tape().into_scalar::<f32>());
        let total = cross_entropy(z, truth, all) + overlap;
        tally.loss += f64::from(total.clone().inner_if_on_tape().into_scalar::<f32>());
        tally.score_error += missed;
        tally.labelled += 1;
        self.learn(Some((total + score) * share), sums);
    }

    /// Both learn a picture without a mask, as the method has it.
    ///
    /// # Errors
    /// None today: there is no teacher.
    pub fn unlabelled(
        &self,
        given: &Unlabelled,
        share: f32,
        sums: &mut Sums,
        tally: &mut Tally,
        rng: &mut impl Rng,
    ) -> Result<()> {
        let Self { network, head, parameters, .. } = *self;
        tally.unlabelled += 1;
        let label = self.labeller.label(&given.weak);
        let embedding = network.encoder.forward(parameters, given.strong.values());
        let seen = network.decoder.see(parameters, embedding, 1);
        let proposed = head.forward(parameters, &seen);
        let z = proposed.logits.clone();
        let rule = &self.config.matching;
        let outlined = label.agreed(rule);
        let device = z.device();
        let open = cells_of(&given.holes).into_iter().map(|hole| 1.0 - hole).collect::<Vec<f32>>();
        let mut total = match outlined {
            Some(mask) => against_mask(z, mask, label.boxed, open, &device),
            None => against_itself(z, &label, rule.threshold, open, &device),
        } * (share * self.ramp * rule.weight);
        if let Some(mask) = outlined {
            tally.taken += 1;
            if rule.score_weight > 0.0 {
                total = total + score_loss(&proposed, mask).0 * (share * self.ramp * rule.score_weight);
            }
            let mut tasks = vec![Task::new(&Target::whole(mask.clone()))];
            tasks[0].begin(&self.stage.prompts, rng);
            let mut clicks = None;
            self.clicks(1).converse(&mut tasks, &seen, None, &mut clicks, rng)?;
            if let Some(loss) = clicks {
                total = total + loss * (share * self.ramp * rule.click_weight);
            }
        }
        self.learn(Some(total), sums);
        Ok(())
    }

    fn learn(&self, total: Option<Tensor<1>>, sums: &mut Sums) {
        if let Some(total) = total {
            sums.add(self.parameters, &mut total.backward());
        }
    }
}

/// Cross-entropy of the estimated IoU with the IoU, and how far it is off.
///
/// SAM takes the squared error (Kirillov et al., "Segment Anything", 2023, appendix A), which is least at the same estimate. But
/// a new head finds nothing at first: its scores fall to 0, where the squared error of a sigmoid has no slope to come back by.
fn score_loss(proposed: &Proposed, truth: &Bitmap) -> (Tensor<1>, f64) {
    let target = suggested_iou(host(&proposed.logits).values, truth);
    let missed = host(&proposed.score()).values.iter().map(|v| f64::from((v - target).abs())).sum();
    let device = proposed.iou_logit.device();
    let loss = cross_entropy(proposed.iou_logit.clone(), cells(vec![target], &device), cells(vec![1.0], &device));
    (loss, missed)
}

/// The click model's mask as truth, and nothing outside its box.
fn against_mask(
    z: Tensor<2>,
    mask: &Bitmap,
    boxed: Option<Rect<ModelSpace>>,
    open: Vec<f32>,
    device: &Device,
) -> Tensor<1> {
    let k = (SIDE / MASK_CELLS) as f32;
    let is_outside = |i: usize| {
        let (x, y) = ((i % MASK_CELLS) as f32 * k, (i / MASK_CELLS) as f32 * k);
        boxed.is_some_and(|b| x + k <= b.x0 || x >= b.x1 || y + k <= b.y0 || y >= b.y1)
    };
    let outside = open.iter().enumerate().map(|(i, w)| if is_outside(i) { *w } else { 0.0 }).collect();
    let truth = cells(cells_of(mask), device);
    let (open, outside) = (cells(open, device), cells(outside, device));
    cross_entropy(z.clone(), truth.clone(), open.clone()) + dice(z.clone(), truth, open) + complementary(z, outside)
}

/// FixMatch: the cells that the weak view is sure of.
fn against_itself(z: Tensor<2>, label: &PseudoLabel, threshold: f32, open: Vec<f32>, device: &Device) -> Tensor<1> {
    let is_sure = |p: f32| p >= threshold || p <= 1.0 - threshold;
    let weight = label.probability.iter().zip(open).map(|(p, w)| if is_sure(*p) { w } else { 0.0 }).collect();
    let truth = label.probability.iter().map(|p| if *p > 0.5 { 1.0 } else { 0.0 }).collect();
    cross_entropy(z, cells(truth, device), cells(weight, device))
}
