//! AdamW over a network's parameters, with an average of the weights that follows slowly.
//!
//! Sources: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, algorithm 2; Yang et al., "Tensor Programs V: Tuning
//! Large Neural Networks via Zero-Shot Hyperparameter Transfer", 2022, table 3 (Adam's rate of a hidden matrix, by its inputs).

use burn::tensor::{Gradients, Tensor};

use super::net::parameters::{Group, OffTape, Parameters};

const BETA: (f32, f32) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

/// Sums of gradients, one a parameter.
#[derive(Default)]
pub struct Sums {
    all: Vec<Option<Tensor<2>>>,
}

impl Sums {
    /// Adds the gradients of one backward pass.
    pub fn add(&mut self, parameters: &Parameters, gradients: &mut Gradients) {
        self.all.resize_with(parameters.iter().count(), || None);
        for (sum, p) in self.all.iter_mut().zip(parameters.iter()) {
            if p.group != Group::Constant
                && let Some(g) = p.value.grad_remove(gradients)
            {
                *sum = Some(match sum.take() {
                    Some(s) => s + g,
                    None => g,
                });
            }
        }
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: Self) {
        self.all.resize_with(self.all.len().max(other.all.len()), || None);
        for (sum, more) in self.all.iter_mut().zip(other.all) {
            *sum = match (sum.take(), more) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
    }

    /// Length of all gradients as one vector.
    pub fn norm(&self) -> f32 {
        let squares = self.all.iter().flatten().map(|g| f64::from(g.clone().powi_scalar(2).sum().into_scalar::<f32>()));
        squares.sum::<f64>().sqrt() as f32
    }
}

/// How a step is taken.
#[derive(Clone, Copy, Debug)]
pub struct StepSize {
    /// Learning rate of all but the encoder.
    pub rate: f32,
    /// The encoder's.
    pub encoder_rate: f32,
    /// That of the head that proposes.
    pub proposal_rate: f32,
    /// Matrices of more inputs than this learn more slowly, in proportion; 0 for none. With Adam a step changes a sum by about the
    /// rate times its inputs, whatever their number.
    pub inputs_at_rate: usize,
    /// Decoupled weight decay; biases and norms (one row) have none.
    pub weight_decay: f32,
    /// Gradients are multiplied by it.
    pub scale: f32,
    /// How slowly the average follows.
    pub average: f32,
}

impl StepSize {
    /// Part of the rate at which a matrix of so many inputs learns.
    fn part_of_rate(&self, inputs: usize) -> f32 {
        if self.inputs_at_rate == 0 { 1.0 } else { (self.inputs_at_rate as f32 / inputs as f32).min(1.0) }
    }
}

/// Moments and averaged weights, one of each a parameter.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// Means of gradients.
    pub first: Vec<Tensor<2>>,
    /// Means of their squares.
    pub second: Vec<Tensor<2>>,
    /// Averaged weights.
    pub average: Vec<Tensor<2>>,
    /// Steps of the moments.
    pub steps: u64,
    /// Steps of the average.
    pub averaged: u64,
}

impl Optimizer {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Self {
        let values = || parameters.iter().map(|p| p.value.clone().inner_if_on_tape());
        let zeros = || values().map(|v| v.zeros_like()).collect();
        Self { first: zeros(), second: zeros(), average: values().collect(), steps: 0, averaged: 0 }
    }

    /// Moves the parameters against their gradients.
    pub fn step(&mut self, parameters: &mut Parameters, sums: Sums, size: &StepSize) {
        self.steps += 1;
        self.averaged += 1;
        let correction = |beta: f32| 1.0 - beta.powf(self.steps.min(1_000_000) as f32);
        let (c1, c2) = (correction(BETA.0), correction(BETA.1));
        // An average over as many steps as there were, at the beginning.
        let keep = size.average.min((1 + self.averaged) as f32 / (10 + self.averaged) as f32);
        let (first, second, average) = (&mut self.first, &mut self.second, &mut self.average);
        parameters.update(|i, p| {
            let rate = match p.group {
                Group::Encoder => size.encoder_rate,
                Group::Proposal => size.proposal_rate,
                Group::Rest | Group::Constant => size.rate,
            } * size.part_of_rate(p.value.dims()[0]);
            let gradient = sums.all.get(i).and_then(|g| g.as_ref());
            let (Some(g), true) = (gradient, rate > 0.0) else { return p.value.clone() };
            let g = g.clone() * size.scale;
            let m = first[i].clone() * BETA.0 + g.clone() * (1.0 - BETA.0);
            let v = second[i].clone() * BETA.1 + g.powi_scalar(2) * (1.0 - BETA.1);
            let step = (m.clone() / c1) / ((v.clone() / c2).sqrt() + EPSILON);
            (first[i], second[i]) = (m, v);
            let now = p.value.clone().inner();
            let decay = if now.dims()[0] == 1 { 0.0 } else { size.weight_decay };
            let next = now.clone() - (step + now * decay) * rate;
            average[i] = average[i].clone() * keep + next.clone() * (1.0 - keep);
            Tensor::from_inner(next).require_grad()
        });
    }

    /// The parameters with their averaged values, off the tape.
    pub fn averaged(&self, parameters: &Parameters) -> Parameters {
        let mut copy = parameters.clone();
        copy.update(|i, p| {
            if p.group == Group::Constant { p.value.clone().inner_if_on_tape() } else { self.average[i].clone() }
        });
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::net::parameters::{Builder, host};
    use burn::tensor::Device;
    use rand::SeedableRng as _;

    #[test]
    fn a_step_changes_a_sum_as_much_however_many_inputs_it_has() {
        let device = Device::flex().autodiff();
        let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(1);
        let mut b = Builder::new(&device, &mut rng);
        let sizes = [16, 64, 640];
        let ids = sizes.map(|inputs| b.filled(&format!("m{inputs}"), [inputs, 4], 0.1));
        let mut p = b.finish();
        let ones = |d: [usize; 2]| Tensor::<2>::ones(d, &device).inner_if_on_tape();
        let sums = Sums { all: sizes.iter().map(|n| Some(ones([*n, 4]))).collect() };
        let size = StepSize {
            rate: 0.01,
            encoder_rate: 0.01,
            proposal_rate: 0.01,
            inputs_at_rate: 64,
            weight_decay: 0.0,
            scale: 1.0,
            average: 0.0,
        };
        Optimizer::new(&p).step(&mut p, sums, &size);
        let changed = ids.map(|id| host(&p.get(id)).values.chunks_exact(4).map(|row| 0.1 - row[0]).sum::<f32>());
        assert!((changed[0] - 0.16).abs() < 1e-3, "{changed:?}");
        assert!((changed[1] - 0.64).abs() < 1e-3 && (changed[2] - 0.64).abs() < 1e-3, "{changed:?}");
    }
}
