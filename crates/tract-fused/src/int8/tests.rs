//! Random networks through every kernel path of this processor, against the definition.

use proptest::prelude::*;
use rand::Rng;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::network::{
    Conv, Input, IntegerNetwork, IntegerWeights, Layer, Network, Norm, Pads, Quantization, Quantizer, Shape, Tensor,
    TensorId, windows,
};
use super::{Engine, Kernels, reference};

/// Builds networks layer by layer, with random numbers.
pub(super) struct Draft {
    pub network: IntegerNetwork,
    rng: Pcg64Mcg,
}

impl Draft {
    pub(super) fn new(seed: u64, shape: Shape) -> Self {
        let network = Network::default();
        let mut draft = Self { network, rng: Pcg64Mcg::seed_from_u64(seed) };
        draft.given(shape);
        draft
    }

    /// One more input.
    pub(super) fn given(&mut self, shape: Shape) -> TensorId {
        let tensor = self.tensor(shape);
        self.network.inputs.push(Input { tensor, norm: Norm::default() });
        tensor
    }

    fn tensor(&mut self, shape: Shape) -> TensorId {
        let id = self.network.tensors.len();
        let zero_point = if self.rng.random() { 0 } else { self.rng.random_range(0..=255) };
        let quantization = Quantization { scale: self.rng.random_range(0.005..0.05), zero_point };
        self.network.tensors.push(Tensor { name: format!("t{id}"), shape, quantization });
        id
    }

    fn edge(size: usize, pads: usize, kernel: usize, stride: usize) -> usize {
        (size + pads - kernel) / stride + 1
    }

    pub(super) fn conv(&mut self, x: TensorId, channels: usize, kernel: usize, stride: usize, pads: Pads) -> TensorId {
        self.any_conv(x, Some(channels), kernel, stride, pads)
    }

    pub(super) fn depthwise(&mut self, x: TensorId, kernel: usize, stride: usize, pads: Pads) -> TensorId {
        self.any_conv(x, None, kernel, stride, pads)
    }

    fn any_conv(&mut self, x: TensorId, full: Option<usize>, kernel: usize, stride: usize, pads: Pads) -> TensorId {
        let from = self.network.shape(x);
        let channels = full.unwrap_or(from.channels);
        let y = self.tensor(Shape {
            channels,
            height: Self::edge(from.height, pads.top + pads.bottom, kernel, stride),
            width: Self::edge(from.width, pads.left + pads.right, kernel, stride),
        });
        let each = kernel * kernel * full.map_or(1, |_| from.channels);
        let rng = &mut self.rng;
        let kernels = (0..channels * each).map(|_| rng.random_range(-127..=127)).collect();
        let bias = (0..channels).map(|_| rng.random_range(-20_000..20_000)).collect();
        // So that results spread over the bytes and some saturate.
        let reach = 0.02 / (each as f32).sqrt();
        let scales = (0..channels).map(|_| rng.random_range(0.3..1.5) * reach).collect();
        let weights = IntegerWeights { kernels, scales, bias };
        let name = format!("conv{y}");
        let is_depthwise = full.is_none();
        self.network.layers.push(Layer::Conv(Conv { name, x, y, kernel, stride, pads, is_depthwise, weights }));
        y
    }

    pub(super) fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let y = self.tensor(self.network.shape(a));
        self.network.layers.push(Layer::Add { a, b, y });
        y
    }

    pub(super) fn up_add(&mut self, coarse: TensorId, fine: TensorId) -> TensorId {
        let y = self.tensor(self.network.shape(fine));
        self.network.layers.push(Layer::UpAdd { coarse, fine, y });
        y
    }

    /// A tensor of the quantization of another one.
    fn like(&mut self, t: TensorId, shape: Shape) -> TensorId {
        let y = self.tensor(shape);
        self.network.tensors[y].quantization = self.network.tensors[t].quantization;
        y
    }

    pub(super) fn upsample(&mut self, x: TensorId) -> TensorId {
        let y = self.like(x, self.network.shape(x).doubled());
        self.network.layers.push(Layer::Upsample { x, y });
        y
    }

    pub(super) fn max_pool(&mut self, x: TensorId, kernel: usize, stride: usize, pads: Pads) -> TensorId {
        let shape = self.network.shape(x);
        let y = self.like(x, windows(shape, shape.channels, kernel, stride, pads).unwrap());
        self.network.layers.push(Layer::MaxPool { x, y, kernel, stride, pads });
        y
    }

    pub(super) fn lookup(&mut self, x: TensorId) -> TensorId {
        let y = self.tensor(self.network.shape(x));
        let table = Box::new(std::array::from_fn(|_| self.rng.random()));
        self.network.layers.push(Layer::Lookup { x, y, table });
        y
    }

    /// Bytes of the inputs, [H, W, C].
    pub(super) fn input(&mut self) -> Vec<Vec<u8>> {
        let inputs: Vec<usize> = self.network.inputs.iter().map(|i| self.network.shape(i.tensor).len()).collect();
        inputs.into_iter().map(|n| (0..n).map(|_| self.rng.random()).collect()).collect()
    }
}

fn same(before: usize, after: usize) -> Pads {
    Pads { top: before, left: before, bottom: after, right: after }
}

/// The first output as planes.
fn planes(engine: &Engine) -> Vec<f32> {
    let mut planes = vec![f32::NAN; engine.plan().output_shape(0).len()];
    engine.output(0, &mut planes);
    planes
}

/// The same of its bytes, [H, W, C].
fn reference_planes(network: &IntegerNetwork, bytes: &[u8]) -> Vec<f32> {
    let Tensor { shape: s, quantization: q, .. } = &network.tensors[network.outputs[0]];
    let byte = |at: usize| bytes[at % (s.height * s.width) * s.channels + at / (s.height * s.width)];
    (0..s.len()).map(|at| (f32::from(byte(at)) - q.zero_point as f32) * q.scale).collect()
}

/// Runs a network twice on every path and compares all tensors that exist whole.
fn compare(draft: &mut Draft) {
    draft.network.outputs.push(draft.network.tensors.len() - 1);
    let inputs = [draft.input(), draft.input()];
    let network = &draft.network;
    let expected = inputs.each_ref().map(|input| {
        let input: Vec<&[u8]> = input.iter().map(Vec::as_slice).collect();
        reference::run(network, &input)
    });
    for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
        let mut engine = Engine::new(network, kernels).unwrap();
        for (input, expected) in inputs.iter().zip(&expected) {
            for (i, bytes) in input.iter().enumerate() {
                engine.set_bytes(i, bytes).unwrap();
            }
            engine.run();
            for (t, expected) in expected.iter().enumerate() {
                let Some(got) = engine.tensor(t) else { continue };
                let at = got.iter().zip(expected).position(|(a, b)| a != b);
                let name = &network.tensors[t].name;
                assert_eq!(at, None, "{kernels}: `{name}` {:?} differs there first", network.shape(t));
            }
            assert_eq!(planes(&engine), reference_planes(network, &expected[network.outputs[0]]), "{kernels}");
        }
    }
}

/// At most 32 of each; less by PROPTEST_CASES, under tools that run many times slower.
fn few() -> ProptestConfig {
    let all = ProptestConfig::default();
    ProptestConfig { cases: all.cases.min(if cfg!(miri) { 2 } else { 32 }), ..all }
}

fn edges() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1usize..9, 4 => 1usize..40, 2 => Just(64), 1 => Just(129)]
}

fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 1usize..20,
        4 => prop::sample::select(vec![32usize, 48, 64, 80]),
        2 => 1usize..100,
        1 => Just(320),
    ]
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn a_full_convolution_is_that_of_the_definition(
        seed: u64, inputs in channels(), outputs in channels(), (h, w) in (edges(), edges()),
        kernel in prop_oneof![Just(1usize), Just(3), Just(5)], stride in 1usize..3, before in 0usize..3, after in 0usize..3,
    ) {
        let (before, after) = (before.min(kernel - 1), after.min(kernel - 1));
        prop_assume!(h.min(w) + before + after >= kernel);
        let mut draft = Draft::new(seed, Shape { channels: inputs, height: h, width: w });
        draft.conv(0, outputs, kernel, stride, same(before, after));
        compare(&mut draft);
    }

    #[test]
    fn a_depthwise_convolution_is_that_of_the_definition(
        seed: u64, channels in channels(), (h, w) in (edges(), edges()),
        kernel in prop_oneof![Just(1usize), Just(3), Just(4), Just(5), Just(7)], stride in 1usize..5,
        before in 0usize..4, after in 0usize..4,
    ) {
        let (before, after) = (before.min(kernel - 1), after.min(kernel - 1));
        prop_assume!(h.min(w) + before + after >= kernel);
        let mut draft = Draft::new(seed, Shape { channels, height: h, width: w });
        draft.depthwise(0, kernel, stride, same(before, after));
        compare(&mut draft);
    }

    #[test]
    fn an_inverted_bottleneck_run_in_bands_is_that_of_the_definition(
        seed: u64, narrow in channels(), wide in channels(), (h, w) in (4usize..70, 4usize..40),
        (kernel, stride) in prop::sample::select(vec![(3usize, 1usize), (3, 2), (5, 1), (5, 2), (4, 4), (7, 1)]),
    ) {
        let mut draft = Draft::new(seed, Shape { channels: narrow, height: h, width: w });
        let x = draft.conv(0, narrow, 1, 1, Pads::default());
        let e = draft.conv(x, wide, 1, 1, Pads::default());
        let before = (kernel - stride) / 2;
        let d = draft.depthwise(e, kernel, stride, same(before, kernel - stride - before));
        let p = draft.conv(d, narrow, 1, 1, Pads::default());
        if stride == 1 {
            draft.add(x, p);
        }
        compare(&mut draft);
    }

    #[test]
    fn layers_in_any_order_with_any_outputs_are_those_of_the_definition(
        seed: u64, c in channels(), (h, w) in (1usize..24, 1usize..24),
        layers in prop::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u8..4), 1..10),
    ) {
        let mut draft = Draft::new(seed, Shape { channels: c, height: h, width: w });
        let mut t = 0;
        for (kind, other, shown) in layers {
            t = match kind {
                0 | 1 => draft.depthwise(t, 3, 1, same(1, 1)),
                2 | 3 => draft.conv(t, c, 1, 1, Pads::default()),
                _ => draft.add(t, other.index(draft.network.tensors.len())),
            };
            if shown == 0 {
                draft.network.outputs.push(t);
            }
        }
        if draft.network.outputs.last() == Some(&t) {
            draft.network.outputs.pop();
        }
        compare(&mut draft);
    }

    #[test]
    fn a_pyramid_joined_from_coarse_to_fine_is_that_of_the_definition(seed: u64, c in channels(), (h, w) in (2usize..9, 2usize..9)) {
        let mut draft = Draft::new(seed, Shape { channels: 1, height: 8 * h, width: 8 * w });
        let s = draft.conv(0, c, 3, 2, same(0, 1));
        let fine = draft.depthwise(s, 3, 2, same(0, 1));
        let fine = draft.conv(fine, c, 1, 1, Pads::default());
        let coarse = draft.depthwise(fine, 5, 2, same(1, 2));
        let coarse = draft.conv(coarse, c, 1, 1, Pads::default());
        let lateral = draft.conv(fine, c, 1, 1, Pads::default());
        let y = draft.up_add(coarse, lateral);
        let y = draft.depthwise(y, 3, 1, same(1, 1));
        let y = draft.conv(y, c, 1, 1, Pads::default());
        let y = draft.add(y, lateral);
        draft.add(y, y);
        compare(&mut draft);
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn pools_lookups_and_upsampling_are_those_of_the_definition(
        seed: u64, c in channels(), (h, w) in (2usize..20, 2usize..20), kernel in 1usize..4, stride in 1usize..3, pad in 0usize..2,
    ) {
        let pads = same(pad.min(kernel - 1), pad.min(kernel - 1));
        prop_assume!(h.min(w) + 2 * pads.top >= kernel);
        let mut draft = Draft::new(seed, Shape { channels: 3, height: h, width: w });
        let x = draft.conv(0, c, 3, 1, same(1, 1));
        let pooled = draft.max_pool(x, kernel, stride, pads);
        let y = draft.lookup(pooled);
        let y = draft.upsample(y);
        let y = draft.conv(y, c, 1, 1, Pads::default());
        draft.network.outputs.push(pooled);
        draft.upsample(y);
        compare(&mut draft);
    }

    #[test]
    fn inputs_given_in_any_form_are_the_same_bytes(
        seed: u64, c in prop_oneof![2 => 1usize..20, 1 => Just(32), 1 => Just(64)], h in 1usize..9,
        w in prop_oneof![2 => 1usize..9, 1 => Just(16), 1 => Just(48)],
    ) {
        let shape = Shape { channels: c, height: h, width: w };
        let mut draft = Draft::new(seed, shape);
        let other = draft.given(shape);
        let y = draft.add(0, other);
        draft.network.outputs.push(y);
        let bytes = draft.input();
        let network = &draft.network;
        let place = |i: usize| i % (h * w) * c + i / (h * w);
        let mut engine = Engine::new(network, Kernels::Scalar).unwrap();
        for (i, bytes) in bytes.iter().enumerate() {
            engine.set_bytes(i, bytes).unwrap();
        }
        engine.run();
        let expected = engine.tensor(y).unwrap();
        let planes: Vec<Vec<u8>> = bytes.iter().map(|b| (0..b.len()).map(|i| b[place(i)]).collect()).collect();
        engine.set_planes(0, &planes[0]).unwrap();
        let q = network.tensors[other].quantization;
        let values: Vec<f32> = planes[1].iter().map(|b| q.value(*b)).collect();
        engine.set_values(1, &values).unwrap();
        engine.run();
        prop_assert_eq!(engine.tensor(y).unwrap(), expected);
    }

    #[test]
    fn values_are_quantized_as_onnx_defines_it(v in -300.0f32..300.0, half in -600i32..600, scale in 0.001f32..2.0, zero_point in 0i32..=255) {
        let q = Quantization { scale, zero_point };
        for v in [v, half as f32 / 2.0 * scale, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let mut byte = [0];
            Quantizer::new(Norm::default(), q).bytes(&[v], byte.iter_mut());
            prop_assert_eq!(byte[0], q.byte(v), "{}", v);
        }
    }
}

/// As in MobileNet's first version: a 1x1 convolution between depthwise ones belongs to one of them.
#[test]
fn depthwise_and_pointwise_in_turn_are_those_of_the_definition() {
    let mut draft = Draft::new(11, Shape { channels: 16, height: 20, width: 20 });
    let mut t = 0;
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (3, 1)] {
        t = draft.depthwise(t, kernel, stride, same((kernel - stride) / 2, (kernel - 1) / 2));
        t = draft.conv(t, 16, 1, 1, Pads::default());
    }
    compare(&mut draft);
}

#[test]
fn tall_bands_slide_over_an_image_larger_than_they_are() {
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
        let mut draft = Draft::new(7, Shape { channels: 16, height: 96, width: 96 });
        let e = draft.conv(0, 192, 1, 1, Pads::default());
        let d = draft.depthwise(e, kernel, stride, same((kernel - stride) / 2, (kernel - 1) / 2));
        draft.conv(d, 16, 1, 1, Pads::default());
        compare(&mut draft);
    }
}

#[test]
fn nothing_is_written_outside_of_the_pixels() {
    let mut draft = Draft::new(3, Shape { channels: 5, height: 9, width: 7 });
    let x = draft.conv(0, 21, 3, 1, same(1, 1));
    let d = draft.depthwise(x, 5, 1, same(2, 2));
    draft.network.outputs = vec![x, d];
    draft.depthwise(d, 3, 2, same(1, 1));
    compare(&mut draft);
}

#[test]
fn numbers_that_would_overflow_are_refused() {
    let mut draft = Draft::new(1, Shape { channels: 4, height: 3, width: 3 });
    let y = draft.conv(0, 4, 1, 1, Pads::default());
    draft.network.outputs.push(y);
    let Layer::Conv(c) = &mut draft.network.layers[0] else { unreachable!() };
    c.weights.scales[2] = 1e6;
    let e = Engine::new(&draft.network, Kernels::Scalar).err().unwrap();
    assert!(e.to_string().starts_with("conv1: channel 2: expected sums within i32"), "{e}");
    let Layer::Conv(c) = &mut draft.network.layers[0] else { unreachable!() };
    c.weights.kernels[3] = -128;
    let e = Engine::new(&draft.network, Kernels::Scalar).err().unwrap();
    assert_eq!(e.to_string(), "conv1: expected weights of -127..=127, got -128");
}

#[test]
fn the_largest_products_of_every_sign_are_added_without_saturating() {
    for (weight, byte) in [(127, 0), (127, 255), (-127, 0), (-127, 255)] {
        let mut draft = Draft::new(5, Shape { channels: 40, height: 6, width: 7 });
        let y = draft.conv(0, 24, 1, 1, Pads::default());
        let y = draft.depthwise(y, 3, 1, same(1, 1));
        draft.network.outputs.push(y);
        for layer in &mut draft.network.layers {
            let Layer::Conv(c) = layer else { unreachable!() };
            c.weights.kernels.fill(weight);
            c.weights.scales.fill(2e-5);
        }
        let input = vec![byte; 40 * 6 * 7];
        let expected = reference::run(&draft.network, &[&input]);
        for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
            let mut engine = Engine::new(&draft.network, kernels).unwrap();
            engine.set_bytes(0, &input).unwrap();
            engine.run();
            assert_eq!(engine.tensor(y).unwrap(), expected[y], "{kernels}: {weight} x {byte}");
        }
    }
}

#[test]
fn a_network_that_reads_what_is_not_there_is_refused() {
    let mut draft = Draft::new(1, Shape { channels: 4, height: 3, width: 3 });
    let y = draft.conv(0, 4, 1, 1, Pads::default());
    draft.add(0, y);
    draft.network.layers.swap(0, 1);
    let e = Engine::new(&draft.network, Kernels::Scalar).err().unwrap();
    assert_eq!(e.to_string(), "tensor `t1`: expected to be computed before it is used");
}

/// A convolution of tests/reference/int8/conv.json.
#[derive(serde::Deserialize)]
struct Stored {
    shape: [usize; 3],
    outputs: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
    is_depthwise: bool,
    x_scale: f32,
    x_zero: i32,
    y_scale: f32,
    y_zero: i32,
    scales: Vec<f32>,
    bias: Vec<i32>,
    kernels: Vec<i8>,
    x: Vec<i32>,
    y: Vec<i32>,
}

#[derive(serde::Deserialize)]
struct StoredCases {
    cases: Vec<Stored>,
}

#[test]
fn convolutions_are_those_of_onnx_runtime_on_signed_bytes() {
    let text = include_str!("../../tests/reference/int8/conv.json");
    let stored: StoredCases = serde_json::from_str(text).unwrap();
    for (i, s) in stored.cases.into_iter().enumerate() {
        let [channels, height, width] = s.shape;
        let mut draft = Draft::new(0, Shape { channels, height, width });
        let pads = same(s.before, s.after);
        let y = if s.is_depthwise {
            draft.depthwise(0, s.kernel, s.stride, pads)
        } else {
            draft.conv(0, s.outputs, s.kernel, s.stride, pads)
        };
        let network = &mut draft.network;
        // Signed bytes as unsigned ones: all is 128 higher.
        network.tensors[0].quantization = Quantization { scale: s.x_scale, zero_point: s.x_zero + 128 };
        network.tensors[y].quantization = Quantization { scale: s.y_scale, zero_point: s.y_zero + 128 };
        let Layer::Conv(c) = &mut network.layers[0] else { unreachable!() };
        c.weights = IntegerWeights { kernels: s.kernels, scales: s.scales, bias: s.bias };
        network.outputs.push(y);
        let unsigned = |v: &[i32]| v.iter().map(|v| (v + 128) as u8).collect::<Vec<u8>>();
        for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
            let mut engine = Engine::new(network, kernels).unwrap();
            engine.set_bytes(0, &unsigned(&s.x)).unwrap();
            engine.run();
            assert_eq!(engine.tensor(y).unwrap(), unsigned(&s.y), "case {i}, {kernels}");
        }
    }
}
