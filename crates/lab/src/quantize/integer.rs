//! From a network in f32 to one of bytes: ranges seen on real images, one scale for each kernel, and what it costs.
//!
//! Static, after training: activations are unsigned bytes with one scale a tensor, kernels signed bytes, symmetric, one scale a
//! channel, biases i32. ReLU and ReLU6 become the ends of ranges. The image's own range is exact: a step is one grey level.

use tract_fused::network::{
    Activation, Conv, FloatNetwork, FloatWeights, Input, IntegerNetwork, IntegerWeights, Layer, Network, Norm,
    Quantization, Quantizer, Tensor,
};
use tract_fused::{Engine, reference};

use super::float::{self, Sample};
use super::ranges::{self, Method, Observed};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::model::{chosen_kernels, fused};

/// Largest magnitude of a kernel's byte: as many steps below 0 as above.
const KERNEL_MAX: f32 = 127.0;
/// Largest bias, in its steps: far from what i32 holds.
const BIAS_MAX: f32 = 1e9;
/// Grey levels of an image above black.
const GREYS: f32 = 255.0;

/// Quantizes a network by what was observed of it. `given`: how its inputs are quantized already, in their order; none for a
/// network of one image.
///
/// # Errors
/// `Model` when the network contradicts itself, or a sum would leave i32.
pub(super) fn quantize(
    network: &FloatNetwork,
    observed: &Observed,
    method: Method,
    given: &[Quantization],
) -> Result<IntegerNetwork> {
    network.check().map_err(fused)?;
    let mut quantizations: Vec<Quantization> =
        (0..network.tensors.len()).map(|t| observed.quantization(t, method)).collect();
    for layer in &network.layers {
        let Layer::Conv(c) = layer else { continue };
        let q = &mut quantizations[c.y];
        match c.weights.activation {
            Activation::None => {}
            // No value is below 0, and none above 6: ranges end there.
            Activation::Relu => *q = ranges::affine(0.0, q.value(255)),
            Activation::Relu6 => *q = ranges::affine(0.0, q.value(255).min(6.0)),
        }
    }
    let inputs = match (&network.inputs[..], given) {
        (&[image], []) => vec![of_image(image, &mut quantizations)],
        (inputs, _) if inputs.len() == given.len() && inputs.iter().all(|i| i.norm == Norm::default()) => {
            inputs.iter().zip(given).for_each(|(input, q)| quantizations[input.tensor] = *q);
            inputs.to_vec()
        }
        (inputs, _) => {
            let (expected, got) = (given.len().max(1), inputs.len());
            let what = format!("expected a network of one image or of {expected} features, got {got} inputs");
            return Err(Error::new(ErrorKind::Model, what));
        }
    };
    // What a rounded mean takes off too much or too little is put into the biases.
    let shift = |c: &Conv<FloatWeights>| {
        let pair = network.inputs.iter().zip(&inputs).find(|(i, _)| i.tensor == c.x);
        pair.map_or(0.0, |(exact, rounded)| (rounded.norm.mean - exact.norm.mean) / exact.norm.sd)
    };
    let layers = network.layers.iter();
    let layers = layers.map(|l| l.map(|c| weights(&c.weights, quantizations[c.x].scale, shift(c)))).collect();
    let tensor = |(t, q): (&Tensor<()>, Quantization)| Tensor { name: t.name.clone(), shape: t.shape, quantization: q };
    let quantized = Network {
        tensors: network.tensors.iter().zip(quantizations).map(tensor).collect(),
        layers,
        inputs,
        outputs: network.outputs.clone(),
    };
    quantized.check_numbers().map_err(fused)?;
    Ok(quantized)
}

/// An image's own range is exact: a step is one grey level, and its mean is one.
fn of_image(image: Input, quantizations: &mut [Quantization]) -> Input {
    let Norm { mean, sd } = image.norm;
    let zero_point = (mean * GREYS).round_ties_even().clamp(0.0, 255.0);
    quantizations[image.tensor] = Quantization { scale: 1.0 / (GREYS * sd), zero_point: zero_point as i32 };
    Input { norm: Norm { mean: zero_point / GREYS, sd }, ..image }
}

/// Kernels and biases for an input of this scale; `shift` is added to every input value.
fn weights(w: &FloatWeights, step: f32, shift: f32) -> IntegerWeights {
    let each = w.kernels.len() / w.bias.len().max(1);
    let (mut kernels, mut scales, mut bias) = (Vec::with_capacity(w.kernels.len()), Vec::new(), Vec::new());
    for (kernel, b) in w.kernels.chunks_exact(each.max(1)).zip(&w.bias) {
        let b = b + shift * kernel.iter().sum::<f32>();
        let reach = kernel.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        // A kernel of zeros still needs a scale that its bias can be written with.
        let scale = (reach / KERNEL_MAX).max(b.abs() / (step * BIAS_MAX)).max(f32::MIN_POSITIVE);
        kernels.extend(kernel.iter().map(|w| (w / scale).round_ties_even() as i8));
        bias.push((f64::from(b) / (f64::from(step) * f64::from(scale))).round_ties_even() as i32);
        scales.push(scale);
    }
    IntegerWeights { kernels, scales, bias }
}

/// Signal to quantization noise of a tensor, dB: ten times the logarithm of the mean square of what it should be over that of
/// what it is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The tensor's name.
    pub name: String,
    /// Over all images; infinite when nothing is off.
    pub sqnr_db: f64,
}

/// Sums of squares, of the signal and of the noise.
#[derive(Clone, Copy, Default)]
struct Squares {
    signal: f64,
    noise: f64,
}

impl Squares {
    fn add(&mut self, exact: &[f32], bytes: &[u8], q: Quantization) {
        for (v, b) in exact.iter().zip(bytes) {
            self.signal += f64::from(*v).powi(2);
            self.noise += f64::from(v - q.value(*b)).powi(2);
        }
    }

    fn sqnr_db(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }
}

/// What quantization costs each tensor, by the definition.
///
/// Cost: seconds an image.
pub(super) fn losses(network: &FloatNetwork, quantized: &IntegerNetwork, images: &[Sample]) -> Vec<Loss> {
    let mut squares = vec![Squares::default(); network.tensors.len()];
    for image in images {
        let exact = float::run(network, image);
        let given = input_bytes(quantized, image);
        let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
        let bytes = reference::run(quantized, &given);
        for (t, squares) in squares.iter_mut().enumerate() {
            squares.add(&exact[t], &bytes[t], quantized.tensors[t].quantization);
        }
    }
    let named = |(t, s): (&Tensor<()>, &Squares)| Loss { name: t.name.clone(), sqnr_db: s.sqnr_db() };
    network.tensors.iter().zip(&squares).map(named).collect()
}

/// What quantization costs a network's outputs on some images.
pub(super) struct Judge<'a> {
    network: &'a FloatNetwork,
    images: &'a [Sample],
    /// Of each image, each output as it should be.
    exact: Vec<Vec<Vec<f32>>>,
}

impl<'a> Judge<'a> {
    /// Runs the network over the images.
    pub(super) fn new(network: &'a FloatNetwork, images: &'a [Sample]) -> Self {
        let outputs = |image: &Sample| {
            let mut all = float::run(network, image);
            network.outputs.iter().map(|t| std::mem::take(&mut all[*t])).collect()
        };
        Self { network, images, exact: images.iter().map(outputs).collect() }
    }

    /// Mean over the outputs of their signal to quantization noise, dB.
    ///
    /// # Errors
    /// Those of [`Engine::new`] and of images of another size.
    pub(super) fn sqnr_db(&self, quantized: &IntegerNetwork) -> Result<f64> {
        let mut engine = Engine::new(quantized, chosen_kernels()?).map_err(fused)?;
        let mut squares = vec![Squares::default(); self.network.outputs.len()];
        for (image, exact) in self.images.iter().zip(&self.exact) {
            run_on(&mut engine, image)?;
            for ((t, exact), squares) in self.network.outputs.iter().zip(exact).zip(&mut squares) {
                let bytes = engine.tensor(*t).unwrap_or_default();
                squares.add(exact, &bytes, quantized.tensors[*t].quantization);
            }
        }
        Ok(squares.iter().map(Squares::sqnr_db).sum::<f64>() / squares.len() as f64)
    }
}

/// Runs an engine on a sample.
///
/// # Errors
/// `Argument` when a value is of another size than its input.
pub(super) fn run_on(engine: &mut Engine, sample: &Sample) -> Result<()> {
    for (i, values) in sample.iter().enumerate() {
        engine.set_values(i, values).map_err(fused)?;
    }
    engine.run();
    Ok(())
}

/// The bytes of a sample, each [H, W, C], as [`Engine::set_values`] makes them.
fn input_bytes(quantized: &IntegerNetwork, sample: &Sample) -> Vec<Vec<u8>> {
    let of_input = |(input, planes): (&Input, &Vec<f32>)| {
        let Tensor { shape, quantization, .. } = &quantized.tensors[input.tensor];
        let plane = shape.height * shape.width;
        let turned: Vec<f32> =
            (0..planes.len()).map(|i| planes[i % shape.channels * plane + i / shape.channels]).collect();
        let mut bytes = vec![0; turned.len()];
        Quantizer::new(input.norm, *quantization).bytes(&turned, bytes.iter_mut());
        bytes
    };
    quantized.inputs.iter().zip(sample).map(of_input).collect()
}
