//! What the match network minimizes, all of burn's operations on logits [1, 128 * 128].

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};

/// Values of mask cells, row-major, as a tensor.
pub fn cells(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [1, count]), device)
}

/// ln(1 + e^z), without overflow.
fn softplus(z: Tensor<2>) -> Tensor<2> {
    z.clone().clamp_min(0.0) + (z.abs().neg().exp() + 1.0).log()
}

/// Cross-entropy of each cell with its share inside, averaged by weight.
pub fn cross_entropy(z: Tensor<2>, truth: Tensor<2>, weight: Tensor<2>) -> Tensor<1> {
    let total = weight.clone().sum().clamp_min(1.0);
    ((softplus(z.clone()) - z * truth) * weight).sum() / total
}

/// 1 - Dice, over the cells with weight (Milletari et al., "V-Net", 2016, with plain sums).
pub fn dice(z: Tensor<2>, truth: Tensor<2>, weight: Tensor<2>) -> Tensor<1> {
    let p = sigmoid(z) * weight.clone();
    let truth = truth * weight;
    let both = (p.clone() * truth.clone()).sum();
    let whole = p.sum() + truth.sum() + 1.0;
    (both * 2.0 + 1.0).div(whole).neg() + 1.0
}

/// Complementary loss: where `outside` is 1 the structure is not, whatever else is there: -ln(1 - p), averaged.
pub fn complementary(z: Tensor<2>, outside: Tensor<2>) -> Tensor<1> {
    let total = outside.clone().sum().clamp_min(1.0);
    (softplus(z) * outside).sum() / total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor<2> {
        cells(values.to_vec(), &Device::flex())
    }

    fn value(t: Tensor<1>) -> f32 {
        t.into_scalar::<f32>()
    }

    #[test]
    fn losses_are_those_of_their_definitions() {
        let (z, t) = ([2.0f32, -1.0, 0.5, -3.0], [1.0f32, 0.0, 0.0, 1.0]);
        let w = [1.0, 1.0, 0.0, 1.0];
        let p = |z: f32| 1.0 / (1.0 + (-z).exp());
        let each = |i: usize| -(t[i] * p(z[i]).ln() + (1.0 - t[i]) * (1.0 - p(z[i])).ln());
        let expected = (each(0) + each(1) + each(3)) / 3.0;
        assert!((value(cross_entropy(tensor(&z), tensor(&t), tensor(&w))) - expected).abs() < 1e-5);
        let sum: f32 = [0, 1, 3].iter().map(|i| p(z[*i])).sum();
        let expected = 1.0 - (2.0 * (p(2.0) + p(-3.0)) + 1.0) / (sum + 2.0 + 1.0);
        assert!((value(dice(tensor(&z), tensor(&t), tensor(&w))) - expected).abs() < 1e-5);
        let expected = -((1.0 - p(2.0)).ln() + (1.0 - p(-1.0)).ln()) / 2.0;
        assert!((value(complementary(tensor(&z), tensor(&[1.0, 1.0, 0.0, 0.0]))) - expected).abs() < 1e-5);
    }

    #[test]
    fn nothing_to_learn_from_costs_nothing_and_is_finite() {
        let z = [80.0, -80.0];
        let none = tensor(&[0.0, 0.0]);
        assert_eq!(value(cross_entropy(tensor(&z), tensor(&[0.0, 1.0]), none.clone())), 0.0);
        assert_eq!(value(complementary(tensor(&z), none)), 0.0);
        assert!((value(cross_entropy(tensor(&z), tensor(&[0.0, 1.0]), tensor(&[1.0, 1.0]))) - 80.0).abs() < 1e-3);
    }
}
