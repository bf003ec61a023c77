//! Channels of an even spread over training pictures, and those that say nothing.
//!
//! Weights that were made for another width, other pictures or batch statistics can leave a layer where its activation ends,
//! whatever the picture: it says the same of all, no gradient passes, and what lies before it is never trained. Here each layer's
//! channels get the mean and standard deviation that batch normalization would give them now, one layer after the other.
//!
//! Source: Mishkin and Matas, "All You Need Is a Good Init", ICLR 2016 (layer after layer, from data), for each channel, with a
//! mean, as in Ioffe and Szegedy, "Batch Normalization", ICML 2015.

use burn::tensor::{Device, Tensor};

use super::net::Network;
use super::net::encoder::{Conv, Encoder};
use super::net::parameters::{Id, OffTape as _, Parameters, host};
use super::ops::Activation;
use sonotap::error::{Error, ErrorKind, Result};

/// Pictures that a spread is measured on.
pub const PICTURES: usize = 24;
/// A channel of which fewer values lie between the ends of its activation learns nothing: no gradient passes elsewhere.
const BETWEEN_MIN: f32 = 0.005;
/// Largest gain of a channel: one that hardly differs is not made all noise.
const GAIN_MAX: f32 = 100.0;

/// Mean and standard deviation of a channel's sums.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    mean: f32,
    sd: f32,
}

/// Of what ReLU6 follows: most values between its ends.
const ACTIVATED: Spread = Spread { mean: 1.0, sd: 2.0 };
/// Of what begins a sum, and of what is added to it.
const FIRST: Spread = Spread { mean: 0.0, sd: 1.0 };
const ADDED: Spread = Spread { mean: 0.0, sd: 0.5 };
/// Of what enters layers that go on as they were: a little, which learning can make more.
const FAINT: Spread = Spread { mean: 0.5, sd: 0.15 };

/// What of a channel was seen over pictures.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sums: Spread,
    activated_mean: f32,
    /// Share of values between the ends of the activation.
    between: f32,
}

/// A layer many of whose channels are at the ends of their activation, whatever the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Silent {
    /// Its name.
    pub layer: String,
    /// Share of such channels.
    pub share: f32,
}

/// Gives the channels of layers from a stride on an even spread; pictures: grey, 256x256 each, flat.
///
/// What goes on as it was is given the mean of what it read before, so that the network answers about the same where the layers
/// were silent.
///
/// # Errors
/// `Argument` when the encoder has no such stride.
pub fn normalize(
    network: &Network,
    parameters: &mut Parameters,
    from: usize,
    pictures: &[f32],
    device: &Device,
) -> Result<()> {
    let plan = plan(&network.encoder, from)?;
    let mut p = off_tape(parameters);
    let device_of_values = device.clone().inner();
    let before = plan.entry.map(|(conv, _)| see(network, &p, conv, pictures));
    for (conv, goal) in plan.layers {
        let seen = see(network, &p, conv, pictures);
        let (mut weight, mut bias) = (host(&p.get(conv.weight())), host(&p.get(conv.bias())));
        let channels = bias.values.len();
        for (c, seen) in seen.iter().enumerate() {
            let gain = (goal.sd / seen.sums.sd.max(f32::MIN_POSITIVE)).min(GAIN_MAX);
            weight.values.iter_mut().skip(c).step_by(channels).for_each(|w| *w *= gain);
            bias.values[c] = (bias.values[c] - seen.sums.mean) * gain + goal.mean;
        }
        p.set(conv.weight(), &weight, &device_of_values);
        p.set(conv.bias(), &bias, &device_of_values);
    }
    if let (Some((entry, reader)), Some(before)) = (plan.entry, before) {
        let after = see(network, &p, entry, pictures);
        let mut bias = host(&p.get(reader));
        for (b, (before, after)) in bias.values.iter_mut().zip(before.iter().zip(&after)) {
            *b += before.activated_mean - after.activated_mean;
        }
        p.set(reader, &bias, &device_of_values);
    }
    parameters.load(&p.to_host(), device, |_| false)
}

/// Activated layers of which more than `share` of the channels are at the ends of their activation everywhere in all pictures.
pub fn silent(network: &Network, parameters: &Parameters, pictures: &[f32], share: f32) -> Vec<Silent> {
    let p = off_tape(parameters);
    let mut found = Vec::new();
    network.encoder.forward_watched(&p, pictures, &mut |conv, x| {
        if conv.activation() == Activation::None {
            return;
        }
        let seen = spread(conv, &conv.sums(&p, x.clone()));
        let at_ends = seen.iter().filter(|s| s.between < BETWEEN_MIN).count() as f32 / seen.len() as f32;
        if at_ends > share {
            let layer = p.name(conv.weight()).trim_end_matches(".weight").to_owned();
            found.push(Silent { layer, share: at_ends });
        }
    });
    found
}

fn off_tape(parameters: &Parameters) -> Parameters {
    let mut p = parameters.clone();
    p.update(|_, one| one.value.clone().inner_if_on_tape());
    p
}

/// Layers in the order in which images pass, what they are to be like, and where they enter what goes on as it was: the layer,
/// and the bias that is added to what it says.
struct Plan {
    layers: Vec<(Conv, Spread)>,
    entry: Option<(Conv, Id)>,
}

fn plan(encoder: &Encoder, from: usize) -> Result<Plan> {
    let coarsest = encoder.blocks.iter().map(|b| b.reach).max().unwrap_or(2);
    if !from.is_power_of_two() || !(2..=coarsest).contains(&from) {
        let what = format!("start.normalize_from: expected a stride of the encoder, 2 to {coarsest}, got {from}");
        return Err(Error::new(ErrorKind::Argument, what));
    }
    let mut layers = Vec::new();
    for block in encoder.blocks.iter().filter(|b| b.reach >= from) {
        layers.extend(block.expand.map(|e| (Conv::Pointwise(e), ACTIVATED)));
        layers.push((Conv::Spatial(block.spatial), ACTIVATED));
        layers.push((Conv::Pointwise(block.project), if block.is_residual { ADDED } else { FIRST }));
    }
    // Of the neck, what reads them: from coarse to fine.
    let first = (from.trailing_zeros() as usize).saturating_sub(3);
    layers.extend(encoder.laterals[first..].iter().map(|l| (Conv::Pointwise(*l), ADDED)));
    for merge in encoder.merges.iter().skip(first).rev() {
        layers.push((Conv::Spatial(merge.spatial), FIRST));
        layers.push((Conv::Pointwise(merge.point), ACTIVATED));
    }
    if first > 0 {
        if let Some((_, goal)) = layers.last_mut() {
            *goal = FAINT;
        }
        let entry = layers.last().map(|(conv, _)| (*conv, encoder.laterals[first - 1].bias));
        return Ok(Plan { layers, entry });
    }
    layers.push((Conv::Pointwise(encoder.out), FIRST));
    layers.extend((from <= 4).then_some((Conv::Pointwise(encoder.skip4), ADDED)));
    layers.extend((from <= 2).then_some((Conv::Pointwise(encoder.skip2), ADDED)));
    Ok(Plan { layers, entry: None })
}

/// One layer's channels over pictures.
fn see(network: &Network, p: &Parameters, wanted: Conv, pictures: &[f32]) -> Vec<Seen> {
    let mut seen = Vec::new();
    network.encoder.forward_watched(p, pictures, &mut |conv, x| {
        if conv.weight() == wanted.weight() {
            seen = spread(conv, &conv.sums(p, x.clone()));
        }
    });
    seen
}

/// Shape: sums [B, H, W, C].
fn spread(conv: Conv, sums: &Tensor<4>) -> Vec<Seen> {
    let channels = sums.dims()[3];
    let values: Vec<f32> = sums.clone().into_data().try_to_vec().unwrap_or_default();
    let count = (values.len() / channels).max(1) as f64;
    let activation = conv.activation();
    let of_channel = |c: usize| {
        let own = || values.iter().skip(c).step_by(channels);
        let mean = own().map(|v| f64::from(*v)).sum::<f64>() / count;
        let square = own().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        Seen {
            sums: Spread { mean: mean as f32, sd: square.sqrt() as f32 },
            activated_mean: (own().map(|v| f64::from(activation.of(*v))).sum::<f64>() / count) as f32,
            between: (own().map(|v| f64::from(activation.passes(activation.of(*v)))).sum::<f64>() / count) as f32,
        }
    };
    (0..channels).map(of_channel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::picture::SIDE;

    const CONFIG: &str = "
[encoder]
stem = 8
embedding = 16
skip4 = 8
skip2 = 8
stages = [
    { expand = 1, kernel = 3, stride = 1, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 5, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 2 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 1 },
]

[decoder]
heads = 2
prompt = 8
middle = 8
pixels = 8
";

    fn pictures() -> Vec<f32> {
        let one = |k: usize| (0..SIDE * SIDE).map(move |i| ((i % SIDE / (5 + k)) * 7 + i / SIDE / 9 * (k + 3)) % 11);
        (0..3).flat_map(one).map(|v| v as f32 / 11.0).collect()
    }

    /// A network whose coarse lateral is far beyond where the next activation ends.
    fn silenced() -> (Network, Parameters) {
        let device = Device::flex();
        let (network, mut p) = Network::new(&toml::from_str(CONFIG).unwrap(), &device, 3);
        let mut bias = host(&p.get(network.encoder.laterals[2].bias));
        bias.values.iter_mut().enumerate().for_each(|(i, b)| *b = if i % 2 == 0 { 900.0 } else { -700.0 });
        p.set(network.encoder.laterals[2].bias, &bias, &device);
        // What is trained speaks up.
        let mut fine = host(&p.get(network.encoder.laterals[0].weight));
        fine.values.iter_mut().for_each(|w| *w *= 40.0);
        p.set(network.encoder.laterals[0].weight, &fine, &device);
        (network, p)
    }

    fn embedding(network: &Network, p: &Parameters) -> Vec<f32> {
        network.encoder.forward(p, &pictures()).coarse.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_layer_at_the_ends_of_its_activation_is_named() {
        let (network, p) = silenced();
        let found = silent(&network, &p, &pictures(), 0.5);
        assert!(found.iter().any(|s| s.layer == "neck.merge16.point" && s.share > 0.9), "{found:?}");
    }

    #[test]
    fn a_spread_gives_it_a_voice_and_hardly_changes_what_the_network_says() {
        let (network, mut p) = silenced();
        let before = embedding(&network, &p);
        normalize(&network, &mut p, 16, &pictures(), &Device::flex()).unwrap();
        let is_merge = |s: &Silent| s.layer == "neck.merge16.point";
        assert!(!silent(&network, &p, &pictures(), 0.0).iter().any(is_merge));
        let after = embedding(&network, &p);
        let rms = |v: &mut dyn Iterator<Item = f32>| {
            let squares: Vec<f32> = v.map(|v| v * v).collect();
            (squares.iter().sum::<f32>() / squares.len() as f32).sqrt()
        };
        let changed = rms(&mut before.iter().zip(&after).map(|(a, b)| a - b));
        let said = rms(&mut before.iter().copied());
        assert!(changed > 0.0 && changed < 0.3 * said, "{changed} of {said}");
    }

    #[test]
    fn channels_get_the_mean_and_deviation_that_they_are_to_have() {
        let (network, mut p) = silenced();
        normalize(&network, &mut p, 4, &pictures(), &Device::flex()).unwrap();
        for (conv, goal) in plan(&network.encoder, 4).unwrap().layers {
            for seen in see(&network, &p, conv, &pictures()) {
                let off = (seen.sums.mean - goal.mean).abs() + (seen.sums.sd - goal.sd).abs();
                assert!(off < 0.05 * goal.sd, "{}: {seen:?}", p.name(conv.weight()));
            }
        }
    }

    #[test]
    fn a_stride_that_the_encoder_lacks_is_refused() {
        let (network, mut p) = silenced();
        for from in [0, 1, 12, 64] {
            let error = normalize(&network, &mut p, from, &pictures(), &Device::flex()).unwrap_err();
            assert!(error.to_string().contains("expected a stride of the encoder, 2 to 32"), "{error}");
        }
    }
}
