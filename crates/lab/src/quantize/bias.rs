//! Bias correction: what quantization adds to a channel in the mean is taken off its bias.
//!
//! Rounded kernels and bytes are off by the same amount wherever the image is alike, and an ultrasound image is black in large
//! parts. One layer after the other is compared with what it should be, with all layers before it quantized and corrected.
//!
//! Source: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, with
//! means seen on images in place of those of batch statistics.

use tract_fused::Engine;
use tract_fused::network::{FloatNetwork, IntegerNetwork, Layer, TensorId};

use super::float::{self, Sample};
use super::integer::{Judge, run_on};
use sonotap::error::Result;
use sonotap::model::{chosen_kernels, fused};

/// How often a layer is corrected: what an activation hides of a shift comes to light when a part of it is taken off.
const ROUNDS: usize = 3;

/// The network with corrected biases. A layer whose correction costs the outputs something where the judge looks keeps its own.
///
/// # Errors
/// Those of [`Engine::new`] and of images of another size.
pub(super) fn correct(
    network: &FloatNetwork,
    mut quantized: IntegerNetwork,
    images: &[Sample],
    judge: &Judge<'_>,
) -> Result<IntegerNetwork> {
    let exact = exact_means(network, images);
    let mut best = judge.sqnr_db(&quantized)?;
    for l in 0..quantized.layers.len() {
        for _ in 0..ROUNDS {
            let Some(tried) = corrected(&quantized, l, &exact, images)? else { break };
            let db = judge.sqnr_db(&tried)?;
            if db <= best {
                break;
            }
            (quantized, best) = (tried, db);
        }
    }
    Ok(quantized)
}

/// The network with one layer's biases moved by what its channels are off in the mean; `None` where there is nothing to move.
fn corrected(
    quantized: &IntegerNetwork,
    layer: usize,
    exact: &[Vec<f64>],
    images: &[Sample],
) -> Result<Option<IntegerNetwork>> {
    let Layer::Conv(c) = &quantized.layers[layer] else { return Ok(None) };
    let means = means(quantized, layer, c.y, images)?;
    let step = f64::from(quantized.tensors[c.x].quantization.scale);
    let exact = &exact[c.y];
    let mut tried = quantized.clone();
    let Layer::Conv(c) = &mut tried.layers[layer] else { return Ok(None) };
    for (((bias, scale), exact), mean) in c.weights.bias.iter_mut().zip(&c.weights.scales).zip(exact).zip(means) {
        let shift = ((exact - mean) / (step * f64::from(*scale))).round_ties_even();
        *bias = bias.saturating_add(shift as i32);
    }
    // A bias with which a sum would leave i32 is no correction.
    Ok(tried.check_numbers().is_ok().then_some(tried))
}

/// Mean of each channel of each tensor.
fn exact_means(network: &FloatNetwork, images: &[Sample]) -> Vec<Vec<f64>> {
    let mut means: Vec<Vec<f64>> = network.tensors.iter().map(|t| vec![0.0; t.shape.channels]).collect();
    for image in images {
        for ((means, values), t) in means.iter_mut().zip(float::run(network, image)).zip(&network.tensors) {
            let places = (t.shape.height * t.shape.width * images.len()) as f64;
            for pixel in values.chunks_exact(means.len()) {
                means.iter_mut().zip(pixel).for_each(|(m, v)| *m += f64::from(*v) / places);
            }
        }
    }
    means
}

/// Mean of each channel of the tensor that a layer writes, in the quantized network.
fn means(quantized: &IntegerNetwork, layer: usize, tensor: TensorId, images: &[Sample]) -> Result<Vec<f64>> {
    let mut part = quantized.clone();
    part.layers.truncate(layer + 1);
    part.outputs = vec![tensor];
    let t = &quantized.tensors[tensor];
    let mut engine = Engine::new(&part, chosen_kernels()?).map_err(fused)?;
    let places = (t.shape.height * t.shape.width * images.len()) as f64;
    let mut means = vec![0.0; t.shape.channels];
    for image in images {
        run_on(&mut engine, image)?;
        for pixel in engine.tensor(tensor).unwrap_or_default().chunks_exact(means.len()) {
            means.iter_mut().zip(pixel).for_each(|(m, b)| *m += f64::from(t.quantization.value(*b)) / places);
        }
    }
    Ok(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::tests::{float_network, images};
    use crate::quantize::{Method, Observed, quantize};

    #[test]
    fn a_bias_that_is_off_is_put_right_and_the_outputs_lose_less() {
        let network = float_network(5);
        let observed = Observed::of(&network, &images(6)).unwrap();
        let exact = quantize(&network, &observed, Method::MinMax, &[]).unwrap();
        let mut off = exact.clone();
        let Some(Layer::Conv(c)) = off.layers.iter_mut().find(|l| matches!(l, Layer::Conv(_))) else { panic!() };
        let step = f64::from(exact.tensors[c.x].quantization.scale);
        for (bias, scale) in c.weights.bias.iter_mut().zip(&c.weights.scales) {
            *bias += (0.3 / (step * f64::from(*scale))) as i32;
        }
        let judge_images = images(9);
        let judge = Judge::new(&network, &judge_images[6..]);
        let db = |q: &IntegerNetwork| judge.sqnr_db(q).unwrap();
        let calibration = images(6);
        let put_right = correct(&network, off.clone(), &calibration, &Judge::new(&network, &calibration)).unwrap();
        assert!(db(&off) < db(&exact) - 3.0, "{} {}", db(&off), db(&exact));
        assert!(db(&put_right) > db(&off) + 3.0, "{} {}", db(&put_right), db(&off));
    }
}
