//! A quantized network as ONNX: every tensor quantized and dequantized again ("QDQ"), as runtimes exchange it.
//!
//! A tensor is a `QuantizeLinear` node and the `DequantizeLinear` node that reads it, both with a scale and a zero point of one
//! unsigned byte; kernels are signed bytes with a scale for each channel, biases i32 with the product of both scales.
//! Activations that a tensor's range implies are left out in writing, and understood in reading.

use std::collections::BTreeMap;

use super::geometry::{self, ConvGeometry};
use super::network::{
    Conv, IntegerNetwork, IntegerWeights, Layer, Network, Norm, Quantization, Shape, Tensor, TensorId,
};
use crate::error::{Error, ErrorKind, Result};
use crate::model::manifest::{Dim, TensorSpec};
use crate::onnx::read::{self, Node};
use crate::onnx::write::{Attribute, Bytes, Graph};

/// Relative difference of a bias' scale from the product of its factors.
const BIAS_SCALE_TOLERANCE: f32 = 1e-4;
/// How far a range may go beyond 6 and still imply the clip, as a part of a step.
const CLIP_TOLERANCE: f32 = 1e-3;

/// What a name of the graph stands for.
#[derive(Clone)]
enum Meaning {
    Image,
    Centred(f32),
    Normed(Norm),
    /// Quantized.
    Bytes(TensorId),
    /// Dequantized again.
    Tensor(TensorId),
    UpBytes(TensorId),
    Up(TensorId),
    /// Computed, not quantized yet.
    Sums(Box<Sums>),
    Kernels {
        values: Vec<i8>,
        scales: Vec<f32>,
        shape: Vec<usize>,
    },
    Bias {
        values: Vec<i32>,
        scales: Vec<f32>,
    },
}

/// A layer whose result has no quantization yet, and what its activation asks of it.
#[derive(Clone)]
struct Sums {
    layer: Layer<IntegerWeights>,
    shape: Shape,
    /// Least and greatest value that the activation lets through.
    low: Option<f32>,
    high: Option<f32>,
}

struct Reader<'a> {
    graph: &'a read::Graph,
    names: BTreeMap<String, Meaning>,
    network: IntegerNetwork,
    input_shape: Shape,
}

/// Reads a QDQ graph of convolutions and sums.
///
/// # Errors
/// `Model`, naming the node that is not known or does not fit.
pub fn read(graph: &read::Graph) -> Result<IntegerNetwork> {
    let [(name, shape)] = &graph.inputs[..] else {
        return Err(refuse(format!("expected a graph of one input, got {}", graph.inputs.len())));
    };
    let &[1, channels, height, width] = &shape[..] else {
        return Err(refuse(format!("input `{name}`: expected [1, C, H, W], got {shape:?}")));
    };
    let network = Network::default();
    let names = BTreeMap::from([(name.clone(), Meaning::Image)]);
    let mut reader = Reader { graph, names, network, input_shape: Shape { channels, height, width } };
    for node in &graph.nodes {
        let meaning = reader.node(node)?;
        reader.names.insert(node.result().to_owned(), meaning);
    }
    for output in &graph.outputs {
        match reader.names.get(output) {
            Some(Meaning::Tensor(t)) => reader.network.outputs.push(*t),
            _ => return Err(refuse(format!("output `{output}`: expected a dequantized tensor, got something else"))),
        }
    }
    reader.network.check_numbers()?;
    Ok(reader.network)
}

/// Whether a graph is quantized, as far as its kinds of nodes tell.
pub fn is_quantized(graph: &read::Graph) -> bool {
    graph.nodes.iter().any(|n| n.op() == "QuantizeLinear")
}

fn refuse(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

impl Reader<'_> {
    fn meaning(&self, node: &Node, i: usize) -> Result<&Meaning> {
        let name = node.input(i);
        self.names.get(name).ok_or_else(|| node.refuse(format!("input `{name}`: expected to be computed before")))
    }

    fn node(&mut self, node: &Node) -> Result<Meaning> {
        match node.op() {
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Conv" => self.conv(node),
            "Add" => self.add(node),
            "Clip" | "Relu" => self.activation(node),
            "Resize" => {
                geometry::nearest_twice(node, &self.graph.floats(node.input(2))?)?;
                match self.meaning(node, 0)? {
                    Meaning::Tensor(t) => Ok(Meaning::Up(*t)),
                    Meaning::Bytes(t) => Ok(Meaning::UpBytes(*t)),
                    _ => Err(node.refuse("expected a quantized tensor to resize")),
                }
            }
            "Sub" => match self.meaning(node, 0)? {
                Meaning::Image => Ok(Meaning::Centred(self.graph.float(node.input(1))?)),
                _ => Err(node.refuse("expected a number taken off the image")),
            },
            "Div" => match self.meaning(node, 0)? {
                Meaning::Centred(mean) => {
                    Ok(Meaning::Normed(Norm { mean: *mean, sd: self.graph.float(node.input(1))? }))
                }
                _ => Err(node.refuse("expected the image less its mean, divided")),
            },
            _ => Err(node
                .refuse("expected a convolution, a sum, their activation or quantization, got another kind of node")),
        }
    }

    /// Scale and zero point of one byte each; without a zero point it is an unsigned 0.
    fn quantization(&self, node: &Node) -> Result<Quantization> {
        let scale = self.graph.float(node.input(1))?;
        let zero_point = match node.input(2) {
            "" => 0,
            zero => match self.graph.integers(zero)?[..] {
                [zero_point] if self.graph.is_unsigned(zero) => zero_point,
                _ => return Err(node.refuse("expected one zero point, an unsigned byte")),
            },
        };
        Ok(Quantization { scale, zero_point })
    }

    fn quantize(&mut self, node: &Node) -> Result<Meaning> {
        let quantization = self.quantization(node)?;
        let name = node.input(0);
        match self.meaning(node, 0)?.clone() {
            Meaning::Image => Ok(self.input(node, name, Norm { mean: 0.0, sd: 1.0 }, quantization)?),
            Meaning::Normed(norm) => Ok(self.input(node, name, norm, quantization)?),
            Meaning::Up(t) if self.network.tensors[t].quantization == quantization => Ok(Meaning::UpBytes(t)),
            Meaning::Up(_) => Err(node.refuse("expected a resized tensor to keep its quantization")),
            Meaning::Sums(sums) => {
                self.check_activation(node, &sums, quantization)?;
                let y = self.network.tensors.len();
                self.network.tensors.push(Tensor { name: name.to_owned(), shape: sums.shape, quantization });
                let mut layer = sums.layer;
                match &mut layer {
                    Layer::Conv(c) => c.y = y,
                    Layer::Add { y: to, .. } | Layer::UpAdd { y: to, .. } => *to = y,
                }
                self.network.layers.push(layer);
                Ok(Meaning::Bytes(y))
            }
            _ => Err(node.refuse("expected the image, a convolution or a sum to quantize")),
        }
    }

    fn input(&mut self, node: &Node, name: &str, norm: Norm, quantization: Quantization) -> Result<Meaning> {
        if !self.network.tensors.is_empty() {
            return Err(node.refuse("expected the image to be quantized once, before all else"));
        }
        self.network.norm = norm;
        self.network.tensors.push(Tensor { name: name.to_owned(), shape: self.input_shape, quantization });
        Ok(Meaning::Bytes(0))
    }

    /// The range of the bytes must imply the activation.
    fn check_activation(&self, node: &Node, sums: &Sums, q: Quantization) -> Result<()> {
        let (least, most) = (q.value(0), q.value(255));
        let is_implied = sums.low.is_none_or(|low| least >= low)
            && sums.high.is_none_or(|high| most <= high + CLIP_TOLERANCE * q.scale);
        let bounds = (sums.low, sums.high);
        let what = || format!("expected a range that implies the activation {bounds:?}, got {least} to {most}");
        is_implied.then_some(()).ok_or_else(|| node.refuse(what()))
    }

    fn dequantize(&mut self, node: &Node) -> Result<Meaning> {
        let source = node.input(0);
        if self.graph.is_constant(source) {
            let scales = self.graph.floats(node.input(1))?;
            let is_symmetric = node.input(2).is_empty() || self.graph.integers(node.input(2))?.iter().all(|z| *z == 0);
            if !is_symmetric || node.int("axis", 1) != 0 && scales.len() > 1 {
                return Err(node.refuse("expected zero points of 0 and scales along axis 0"));
            }
            let values = self.graph.integers(source)?;
            let shape = self.graph.shape(source)?;
            return Ok(if self.graph.is_signed(source) {
                Meaning::Kernels { values: values.iter().map(|v| *v as i8).collect(), scales, shape }
            } else {
                Meaning::Bias { values, scales }
            });
        }
        let quantization = self.quantization(node)?;
        let (t, meaning) = match self.meaning(node, 0)? {
            Meaning::Bytes(t) => (*t, Meaning::Tensor(*t)),
            Meaning::UpBytes(t) => (*t, Meaning::Up(*t)),
            _ => return Err(node.refuse("expected a quantized tensor or a constant")),
        };
        if self.network.tensors[t].quantization != quantization {
            return Err(node.refuse("expected the scale and zero point that the tensor was quantized with"));
        }
        if matches!(meaning, Meaning::Tensor(_)) {
            node.result().clone_into(&mut self.network.tensors[t].name);
        }
        Ok(meaning)
    }

    fn tensor(&self, node: &Node, i: usize) -> Result<TensorId> {
        match self.meaning(node, i)? {
            Meaning::Tensor(t) => Ok(*t),
            _ => Err(node.refuse(format!("input `{}`: expected a dequantized tensor", node.input(i)))),
        }
    }

    fn conv(&mut self, node: &Node) -> Result<Meaning> {
        let x = self.tensor(node, 0)?;
        let Meaning::Kernels { values, scales, shape } = self.meaning(node, 1)?.clone() else {
            return Err(node.refuse("expected kernels of signed bytes"));
        };
        let ConvGeometry { kernel, stride, pads, is_depthwise, y } =
            geometry::conv(node, &shape, self.network.shape(x))?;
        let scales = if scales.len() == 1 { vec![scales[0]; y.channels] } else { scales };
        let bias = match node.input(2) {
            "" => vec![0; y.channels],
            _ => {
                let Meaning::Bias { values, scales: given } = self.meaning(node, 2)?.clone() else {
                    return Err(node.refuse("expected biases of i32"));
                };
                let step = self.network.tensors[x].quantization.scale;
                let fits = |(i, w): (usize, &f32)| {
                    let given = given.get(i).or(given.first()).copied().unwrap_or(0.0);
                    (given - w * step).abs() <= BIAS_SCALE_TOLERANCE * given
                };
                if !scales.iter().enumerate().all(fits) {
                    return Err(node.refuse("expected biases in steps of the input's scale times the kernels'"));
                }
                values
            }
        };
        let weights = IntegerWeights { kernels: values, scales, bias };
        let name = node.name().to_owned();
        let layer = Layer::Conv(Conv { name, x, y: usize::MAX, kernel, stride, pads, is_depthwise, weights });
        Ok(Meaning::Sums(Box::new(Sums { layer, shape: y, low: None, high: None })))
    }

    fn add(&mut self, node: &Node) -> Result<Meaning> {
        let y = usize::MAX;
        let (layer, like) = match (self.meaning(node, 0)?, self.meaning(node, 1)?) {
            (Meaning::Up(coarse), Meaning::Tensor(fine)) | (Meaning::Tensor(fine), Meaning::Up(coarse)) => {
                (Layer::UpAdd { coarse: *coarse, fine: *fine, y }, *fine)
            }
            (Meaning::Tensor(a), Meaning::Tensor(b)) => (Layer::Add { a: *a, b: *b, y }, *a),
            _ => return Err(node.refuse("expected two dequantized tensors")),
        };
        Ok(Meaning::Sums(Box::new(Sums { layer, shape: self.network.shape(like), low: None, high: None })))
    }

    fn activation(&mut self, node: &Node) -> Result<Meaning> {
        let Meaning::Sums(mut sums) = self.meaning(node, 0)?.clone() else {
            return Err(node.refuse("expected a convolution or a sum before it"));
        };
        if node.op() == "Relu" {
            sums.low = Some(0.0);
        } else {
            let bound = |i: usize| (!node.input(i).is_empty()).then(|| self.graph.float(node.input(i))).transpose();
            (sums.low, sums.high) = (bound(1)?, bound(2)?);
        }
        Ok(Meaning::Sums(sums))
    }
}

/// Writes a network as a QDQ graph of opset 17.
///
/// # Errors
/// `Model` when it contradicts itself.
pub fn write(network: &IntegerNetwork) -> Result<Vec<u8>> {
    network.check_numbers()?;
    let mut w = Writer { graph: Graph::default(), network };
    let norm = network.norm;
    let (mean, sd) = (w.graph.floats("grey.mean", &[], &[norm.mean]), w.graph.floats("grey.sd", &[], &[norm.sd]));
    let input = network.tensors[network.input].name.clone();
    let centred = w.graph.node("Sub", &format!("{input}/centred"), &["image", &mean], vec![]);
    let normed = w.graph.node("Div", &format!("{input}/f32"), &[&centred, &sd], vec![]);
    w.quantized(network.input, &normed);
    for layer in &network.layers {
        w.layer(layer);
    }
    let spec = |name: &str, s: Shape| TensorSpec {
        name: name.to_owned(),
        shape: [1, s.channels, s.height, s.width].map(Dim::Fixed).to_vec(),
    };
    let outputs: Vec<TensorSpec> =
        network.outputs.iter().map(|t| spec(&network.tensors[*t].name, network.shape(*t))).collect();
    Ok(w.graph.finish("encoder", &[spec("image", network.shape(network.input))], &outputs))
}

struct Writer<'a> {
    graph: Graph,
    network: &'a IntegerNetwork,
}

impl Writer<'_> {
    fn scale_and_zero(&mut self, t: TensorId) -> [String; 2] {
        let Tensor { name, quantization: q, .. } = &self.network.tensors[t];
        let scale = self.graph.floats(&format!("{name}.scale"), &[], &[q.scale]);
        let zero = self.graph.bytes(&format!("{name}.zero"), &[], Bytes::Unsigned, vec![q.zero_point as u8]);
        [scale, zero]
    }

    /// Quantizes what was computed and dequantizes it under the tensor's name.
    fn quantized(&mut self, t: TensorId, computed: &str) {
        let [scale, zero] = self.scale_and_zero(t);
        let name = self.network.tensors[t].name.clone();
        let bytes = self.graph.node("QuantizeLinear", &format!("{name}/bytes"), &[computed, &scale, &zero], vec![]);
        self.graph.node("DequantizeLinear", &name, &[&bytes, &scale, &zero], vec![]);
    }

    fn layer(&mut self, layer: &Layer<IntegerWeights>) {
        let network = self.network;
        let name = |t: TensorId| network.tensors[t].name.as_str();
        let y = layer.result();
        let computed = match layer {
            Layer::Conv(c) => self.conv(c),
            Layer::Add { a, b, y } => {
                self.graph.node("Add", &format!("{}/f32", name(*y)), &[name(*a), name(*b)], vec![])
            }
            Layer::UpAdd { coarse, fine, y } => {
                let scales = self.graph.floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
                let attributes = vec![
                    ("mode", Attribute::Text("nearest")),
                    ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
                    ("nearest_mode", Attribute::Text("floor")),
                ];
                let twice = format!("{}/twice", name(*y));
                let up = self.graph.node("Resize", &format!("{twice}/f32"), &[name(*coarse), "", &scales], attributes);
                let [scale, zero] = self.scale_and_zero(*coarse);
                let up = self.graph.node("QuantizeLinear", &format!("{twice}/bytes"), &[&up, &scale, &zero], vec![]);
                let up = self.graph.node("DequantizeLinear", &twice, &[&up, &scale, &zero], vec![]);
                self.graph.node("Add", &format!("{}/f32", name(*y)), &[&up, name(*fine)], vec![])
            }
        };
        self.quantized(y, &computed);
    }

    fn conv(&mut self, c: &Conv<IntegerWeights>) -> String {
        let network = self.network;
        let (outputs, w) = (c.weights.bias.len(), &c.weights);
        let inputs = if c.is_depthwise { 1 } else { network.shape(c.x).channels };
        let (x, y) = (&network.tensors[c.x], &network.tensors[c.y].name);
        let axis = || vec![("axis", Attribute::Int(0))];
        let bytes = w.kernels.iter().map(|w| *w as u8).collect();
        let bytes = self.graph.bytes(
            &format!("{y}.kernels.bytes"),
            &[outputs, inputs, c.kernel, c.kernel],
            Bytes::Signed,
            bytes,
        );
        let scales = self.graph.floats(&format!("{y}.kernels.scales"), &[outputs], &w.scales);
        let kernels = self.graph.node("DequantizeLinear", &format!("{y}.kernels"), &[&bytes, &scales], axis());
        let bias = self.graph.integers(&format!("{y}.bias.integers"), &[outputs], &w.bias);
        let steps: Vec<f32> = w.scales.iter().map(|s| x.quantization.scale * s).collect();
        let steps = self.graph.floats(&format!("{y}.bias.scales"), &[outputs], &steps);
        let bias = self.graph.node("DequantizeLinear", &format!("{y}.bias"), &[&bias, &steps], axis());
        let [k, s] = [c.kernel, c.stride].map(|n| n as i64);
        let p = [c.pads.top, c.pads.left, c.pads.bottom, c.pads.right].map(|p| p as i64);
        let attributes = vec![
            ("kernel_shape", Attribute::Ints(vec![k, k])),
            ("strides", Attribute::Ints(vec![s, s])),
            ("pads", Attribute::Ints(p.to_vec())),
            ("group", Attribute::Int(if c.is_depthwise { outputs as i64 } else { 1 })),
        ];
        let x = x.name.clone();
        self.graph.node("Conv", &format!("{y}/f32"), &[&x, &kernels, &bias], attributes)
    }
}
