//! What is wrong with four masks and four predicted IoUs: focal and Dice loss by SAM's rule of masks, and squared error.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use burn_flex::FlexTensor;

use super::fast_math::{exp, ln_1p};
use super::{Kernel, apply, edges, has_kernels, tensor, values};
use crate::train::net::parameters::OffTape as _;
use tract_fused::wide::wide;

/// Masks a target: 0 for two or more prompts, 1..=3 alternatives for a lone click.
pub const MASKS: usize = 4;

/// Weights of the parts of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeights {
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
}

/// What a target's masks are to be.
#[derive(Clone, Debug)]
pub struct LossRow {
    /// True cells, 0..=1, row-major.
    pub truth: Vec<f32>,
    /// Weight of each cell; 1 is ordinary, more near clicks.
    pub weights: Vec<f32>,
    /// The prompt was one click and no more: the best of masks 1..=3 counts, else mask 0 alone.
    pub is_lone: bool,
    /// Weight of the target among the others.
    pub share: f32,
    /// Cells of the object that lie beyond the view: the predicted IoU is that with the whole object. `None` where it is not
    /// known how the object goes on: then no IoU is learned.
    pub beyond: Option<f32>,
}

impl LossRow {
    /// IoU of a mask within the view with the whole object.
    fn iou(&self, sums: &Sums) -> f32 {
        sums.both / (sums.either + self.beyond.unwrap_or(0.0)).max(1.0)
    }

    /// Weight of the IoU's error, of all rows' `total`.
    fn scored(&self, weight: f32, total: f32) -> f32 {
        if self.beyond.is_some() { weight * self.share / (total * MASKS as f32) } else { 0.0 }
    }
}

/// A batch of targets.
#[derive(Clone, Debug)]
pub struct MaskLoss {
    /// One a target.
    pub rows: std::sync::Arc<Vec<LossRow>>,
    /// Weights of the parts.
    pub weights: LossWeights,
}

/// Mean loss of a batch.
///
/// Shape: `logits` [T, 4, P], `iou` [T, 4] in 0..=1; result of one value.
///
/// Source: the parts are SAM's (Kirillov et al., 2023, section 3 and appendix A): 20 focal + Dice + IoU error, least loss of
/// several masks for an ambiguous prompt. Focal loss: Lin et al., 2017, with gamma 2.
///
pub fn mask_loss(logits: Tensor<3>, iou: Tensor<2>, loss: MaskLoss) -> Tensor<1> {
    if has_kernels(&logits) {
        apply(loss, [logits.into_dispatch(), iou.into_dispatch()])
    } else {
        portable(logits, iou, &loss)
    }
}

/// The same of burn's operations, for any device.
pub(super) fn portable(logits: Tensor<3>, iou: Tensor<2>, loss: &MaskLoss) -> Tensor<1> {
    let device = logits.device();
    let [targets, masks, cells] = logits.dims();
    let on_host: Vec<f32> = logits.clone().inner_if_on_tape().into_data().try_to_vec().unwrap_or_default();
    let (sums, shares) = loss.masks(&on_host);
    let total: f32 = loss.rows.iter().map(|r| r.share).sum();
    let each = |f: &dyn Fn(&LossRow, usize) -> f32| -> Tensor<3> {
        let values: Vec<f32> = loss.rows.iter().flat_map(|r| (0..cells).map(move |i| f(r, i))).collect();
        Tensor::from_data(TensorData::new(values, [targets, 1, cells]), &device)
    };
    let grid = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [targets, masks]), &device);
    let truth = each(&|r, i| r.truth[i]);
    let sign = each(&|r, i| if r.truth[i] > 0.5 { 1.0 } else { -1.0 });
    let weights = each(&|r, i| if r.truth[i] == 0.5 { 0.0 } else { r.weights[i] });
    let z = logits.clone() * sign;
    let surprise = z.clone().neg().clamp_min(0.0) + (z.clone().abs().neg().exp() + 1.0).log();
    let focal = (sigmoid(z.neg()).powi_scalar(2) * surprise * weights).mean_dim(2);
    let p = sigmoid(logits);
    let whole = p.clone().sum_dim(2) + truth.clone().sum_dim(2) + 1.0;
    let dice = ((p * truth).sum_dim(2) * 2.0 + 1.0) / whole;
    let w = &loss.weights;
    let losses = (focal * w.focal - dice * w.dice + w.dice).reshape([targets, masks]);
    let true_iou = |(sums, row): (&[Sums; MASKS], &LossRow)| sums.map(|s| row.iou(&s));
    let miss = iou - grid(sums.iter().zip(loss.rows.iter()).flat_map(true_iou).collect());
    let of_row = |r: &LossRow| [r.scored(w.iou, total); MASKS];
    let scored = miss.powi_scalar(2) * grid(loss.rows.iter().flat_map(of_row).collect());
    (losses * grid(shares.into_iter().flatten().collect()) + scored).sum()
}

/// Sums over a mask's cells.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    focal: f32,
    probability: f32,
    overlap: f32,
    truth: f32,
    /// Intersection and union of the mask at threshold 0.
    both: f32,
    either: f32,
}

impl Sums {
    #[inline(always)]
    fn of(logits: &[f32], row: &LossRow) -> Self {
        const LANES: usize = 16;
        let mut lanes = [[0.0f32; LANES]; 6];
        let cells = logits.chunks_exact(LANES).zip(row.truth.chunks_exact(LANES)).zip(row.weights.chunks_exact(LANES));
        for ((logits, truth), weights) in cells {
            for i in 0..LANES {
                let (l, g) = (logits[i], truth[i]);
                let (p, focal, _) = cell(l, g);
                let (hard, inside) = (if l > 0.0 { 1.0 } else { 0.0 }, if g >= 0.5 { 1.0 } else { 0.0 });
                lanes[0][i] += focal * weights[i];
                lanes[1][i] += p;
                lanes[2][i] += p * g;
                lanes[3][i] += g;
                lanes[4][i] += hard * inside;
                lanes[5][i] += f32::max(hard, inside);
            }
        }
        let [focal, probability, overlap, truth, both, either] = lanes.map(|l| l.iter().sum());
        Self { focal, probability, overlap, truth, both, either }
    }

    fn loss(&self, cells: usize, w: &LossWeights) -> f32 {
        let dice = 1.0 - (2.0 * self.overlap + 1.0) / (self.probability + self.truth + 1.0);
        w.focal * self.focal / cells as f32 + w.dice * dice
    }
}

/// Probability, focal loss and its derivative at one cell; a cell that is half inside has no focal loss.
#[inline(always)]
fn cell(logit: f32, truth: f32) -> (f32, f32, f32) {
    let u = exp(-logit.abs());
    let p = if logit >= 0.0 { 1.0 / (1.0 + u) } else { u / (1.0 + u) };
    let (sign, right) = if truth > 0.5 { (1.0, p) } else { (-1.0, 1.0 - p) };
    let wrong = 1.0 - right;
    let surprise = (-logit * sign).max(0.0) + ln_1p(u);
    let counts = if truth == 0.5 { 0.0 } else { 1.0 };
    let focal = counts * wrong * wrong * surprise;
    let slope = -counts * wrong * wrong * (2.0 * right * surprise + wrong);
    (p, focal, slope * sign)
}

impl MaskLoss {
    /// IoU of each mask at threshold 0 with the truth, and the loss's share of each.
    fn masks(&self, logits: &[f32]) -> (Vec<[Sums; MASKS]>, Vec<[f32; MASKS]>) {
        let cells = self.rows[0].truth.len();
        let all = vec![[Sums::default(); MASKS]; self.rows.len()];
        let all = wide(
            #[inline(always)]
            move || {
                let mut all = all;
                for ((sums, masks), row) in all.iter_mut().zip(logits.chunks_exact(MASKS * cells)).zip(self.rows.iter())
                {
                    for (s, mask) in sums.iter_mut().zip(masks.chunks_exact(cells)) {
                        *s = Sums::of(mask, row);
                    }
                }
                all
            },
        );
        let total: f32 = self.rows.iter().map(|r| r.share).sum();
        let shares = all.iter().zip(self.rows.iter()).map(|(sums, row)| {
            let share = row.share / total;
            if !row.is_lone {
                return [share, 0.0, 0.0, 0.0];
            }
            let losses = sums.map(|s| s.loss(cells, &self.weights));
            let best = (1..MASKS).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap_or(1);
            let mut shares = [share * self.weights.alternatives / 3.0; MASKS];
            shares[0] = share * self.weights.first;
            shares[best] += share;
            shares
        });
        let shares = shares.collect();
        (all, shares)
    }

    /// IoU of each of the four masks at threshold 0 with the whole object.
    pub fn ious(&self, logits: &[f32]) -> Vec<[f32; MASKS]> {
        let (sums, _) = self.masks(logits);
        sums.iter().zip(self.rows.iter()).map(|(sums, row)| sums.map(|s| row.iou(&s))).collect()
    }
}

impl Kernel<2> for MaskLoss {
    fn forward(&self, [logits, iou]: [&FlexTensor; 2]) -> FlexTensor {
        let (sums, shares) = self.masks(values(logits));
        let cells = self.rows[0].truth.len();
        let total: f32 = self.rows.iter().map(|r| r.share).sum();
        let mut loss = 0.0;
        for (i, (sums, shares)) in sums.iter().zip(&shares).enumerate() {
            for (j, (s, share)) in sums.iter().zip(shares).enumerate() {
                let miss = values(iou)[i * MASKS + j] - self.rows[i].iou(s);
                loss +=
                    share * s.loss(cells, &self.weights) + self.rows[i].scored(self.weights.iou, total) * miss * miss;
            }
        }
        tensor([1], vec![loss])
    }

    fn backward(
        &self,
        [logits, iou]: [&FlexTensor; 2],
        _out: &FlexTensor,
        grad: &FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let grad = values(grad)[0];
        let (sums, shares) = self.masks(values(logits));
        let cells = self.rows[0].truth.len();
        let total: f32 = self.rows.iter().map(|r| r.share).sum();
        let mut dlogits = vec![0.0f32; values(logits).len()];
        let mut diou = vec![0.0f32; values(iou).len()];
        for (i, row) in self.rows.iter().enumerate() {
            for j in 0..MASKS {
                let at = i * MASKS + j;
                let (s, share) = (sums[i][j], grad * shares[i][j]);
                let miss = values(iou)[at] - row.iou(&s);
                diou[at] = grad * row.scored(self.weights.iou, total) * 2.0 * miss;
                if share == 0.0 {
                    continue;
                }
                let whole = s.probability + s.truth + 1.0;
                let (focal, dice) = (share * self.weights.focal / cells as f32, share * self.weights.dice / whole);
                let ratio = (2.0 * s.overlap + 1.0) / whole;
                let (taken, logits) = (std::mem::take(&mut dlogits), &values(logits)[at * cells..][..cells]);
                dlogits = wide(
                    #[inline(always)]
                    move || {
                        let mut dlogits = taken;
                        let out = &mut dlogits[at * cells..][..cells];
                        for (((d, l), g), w) in out.iter_mut().zip(logits).zip(&row.truth).zip(&row.weights) {
                            let (p, _, slope) = cell(*l, *g);
                            *d = focal * w * slope - dice * (2.0 * g - ratio) * p * (1.0 - p);
                        }
                        dlogits
                    },
                );
            }
        }
        [wanted[0].then(|| tensor(edges::<3>(logits), dlogits)), wanted[1].then(|| tensor(edges::<2>(iou), diou))]
    }
}
