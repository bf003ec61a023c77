//! A small network in f32, quantized, written and read back.

use proptest::prelude::*;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use tract_fused::network::{
    Activation, Conv, FloatNetwork, FloatWeights, Input, IntegerNetwork, Layer, Network, Norm, Pads, Shape, Tensor,
    TensorId,
};
use tract_fused::{FuseInt8, Int8Region, Kernels};
use tract_onnx::prelude::*;

use super::*;

/// Builds a network layer by layer, with random weights.
struct Draft {
    network: FloatNetwork,
    rng: Pcg64Mcg,
}

impl Draft {
    fn tensor(&mut self, shape: Shape) -> TensorId {
        let name = format!("t{}", self.network.tensors.len());
        self.network.tensors.push(Tensor { name, shape, quantization: () });
        self.network.tensors.len() - 1
    }

    /// `full`: channels of a full convolution; none: depthwise. Pads are those that keep the size, or halve it.
    fn conv(
        &mut self,
        x: TensorId,
        full: Option<usize>,
        (kernel, stride): (usize, usize),
        activation: Activation,
    ) -> TensorId {
        let from = self.network.shape(x);
        let (channels, inputs) = (full.unwrap_or(from.channels), full.map_or(1, |_| from.channels));
        let y = self.tensor(Shape { channels, height: from.height / stride, width: from.width / stride });
        let each = kernel * kernel * inputs;
        let mut random = |count: usize, reach: f32| -> Vec<f32> {
            (0..count).map(|_| self.rng.random_range(-reach..reach)).collect()
        };
        let weights = FloatWeights {
            kernels: random(channels * each, 2.0 / (each as f32).sqrt()),
            bias: random(channels, 0.2),
            activation,
        };
        let (before, after) = ((kernel - stride) / 2, (kernel - 1) / 2);
        let pads = Pads { top: before, left: before, bottom: after, right: after };
        let (name, is_depthwise) = (format!("t{y}/f32"), full.is_none());
        self.network.layers.push(Layer::Conv(Conv { name, x, y, kernel, stride, pads, is_depthwise, weights }));
        y
    }

    fn sum(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let (from, shape) = (self.network.shape(a), self.network.shape(b));
        let y = self.tensor(shape);
        self.network.layers.push(match from == shape {
            true => Layer::Add { a, b, y },
            false => Layer::UpAdd { coarse: a, fine: b, y },
        });
        y
    }
}

/// A small network in f32 of everything that there is.
pub(super) fn float_network(seed: u64) -> FloatNetwork {
    use Activation::{None, Relu6};
    let mut draft = Draft { network: Network::default(), rng: Pcg64Mcg::seed_from_u64(seed) };
    let image = draft.tensor(Shape { channels: 1, height: 32, width: 32 });
    let s = draft.conv(image, Some(16), (3, 2), Relu6);
    let d = draft.conv(s, Option::None, (3, 1), None);
    let p = draft.conv(d, Some(8), (1, 1), None);
    let e = draft.conv(p, Some(24), (1, 1), Relu6);
    let d = draft.conv(e, Option::None, (5, 1), Relu6);
    let q = draft.conv(d, Some(8), (1, 1), None);
    let fine = draft.sum(p, q);
    let d = draft.conv(fine, Option::None, (3, 2), None);
    let coarse = draft.conv(d, Some(8), (1, 1), None);
    let joined = draft.sum(coarse, fine);
    let norm = Norm { mean: 0.449, sd: 0.226 };
    Network { inputs: vec![Input { tensor: image, norm }], outputs: vec![joined, coarse], ..draft.network }
}

pub(super) fn images(count: u64) -> Vec<Sample> {
    let image = |i: u64| {
        let mut rng = Pcg64Mcg::seed_from_u64(i);
        vec![(0..32 * 32).map(|_| rng.random_range(0.0..1.0)).collect()]
    };
    (0..count).map(image).collect()
}

fn quantized(method: Method) -> (FloatNetwork, IntegerNetwork) {
    let network = float_network(5);
    let observed = Observed::of(&network, &images(6)).unwrap();
    let quantized = quantize(&network, &observed, method, &[]).unwrap();
    (network, quantized)
}

#[test]
fn a_quantized_network_computes_what_it_was_made_of_within_its_steps() {
    for method in Method::ALL {
        let (network, quantized) = quantized(method);
        let sqnr_db = Judge::new(&network, &images(9)[6..]).sqnr_db(&quantized).unwrap();
        assert!(sqnr_db > 25.0, "{}: {sqnr_db} dB", method.name());
        let worst =
            losses(&network, &quantized, &images(7)[6..]).into_iter().map(|l| l.sqnr_db).fold(f64::MAX, f64::min);
        assert!(worst > 20.0, "{}: {worst} dB", method.name());
    }
}

/// The layers of the only region of a graph.
fn read_back(bytes: &[u8]) -> TractResult<IntegerNetwork> {
    let mut model = tract_fused::onnx().model_for_read(&mut &bytes[..])?.into_typed()?;
    model.transform(&FuseInt8 { kernels: Some(Kernels::Scalar), outputs_as_bytes: false })?;
    let regions: Vec<&Int8Region> = model.nodes().iter().filter_map(|n| n.op_as()).collect();
    assert_eq!(regions.len(), 1, "the whole graph is one region");
    Ok(regions[0].network().clone())
}

#[test]
fn a_network_written_as_onnx_is_read_back_the_same() {
    let (_, quantized) = quantized(Method::MinMax);
    let read = read_back(&qdq::write(&quantized, "encoder").unwrap()).unwrap();
    let tensor = |n: &IntegerNetwork, name: &str| n.tensors.iter().position(|t| t.name == name).unwrap();
    let renumbered = |l: &Layer<_>| l.clone().renumbered(|t| tensor(&read, &quantized.tensors[t].name));
    assert_eq!(quantized.layers.iter().map(renumbered).collect::<Vec<_>>(), read.layers);
    for t in &quantized.tensors {
        assert_eq!(&read.tensors[tensor(&read, &t.name)], t);
    }
    let outputs = |n: &IntegerNetwork| {
        let mut names: Vec<_> = n.outputs.iter().map(|t| n.tensors[*t].name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(outputs(&read), outputs(&quantized));
    assert_eq!(read.inputs[0].norm, quantized.inputs[0].norm);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn changed_bytes_of_a_graph_never_panic_in_fusing(at: prop::sample::Index, value: u8, more: prop::sample::Index) {
        static WRITTEN: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| qdq::write(&quantized(Method::MinMax).1, "encoder").unwrap());
        let mut bytes = WRITTEN.clone();
        let (at, more) = (at.index(bytes.len()), more.index(bytes.len()));
        bytes[at] = value;
        bytes[more] ^= 0x40;
        // tract itself panics on some graphs; what it can type must be fused or left.
        let typed = std::panic::catch_unwind(|| tract_fused::onnx().model_for_read(&mut &bytes[..])?.into_typed());
        if let Ok(Ok(mut model)) = typed {
            let fused = model.transform(&FuseInt8 { kernels: Some(Kernels::fastest()), outputs_as_bytes: false });
            if fused.is_ok() && let Some(region) = model.nodes().iter().find_map(|n| n.op_as::<Int8Region>()) {
                tract_fused::Engine::of(region.plan().unwrap()).run();
            }
        }
    }
}
