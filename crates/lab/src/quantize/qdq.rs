//! A quantized network as ONNX: every tensor quantized and dequantized again ("QDQ"), as runtimes exchange it.
//!
//! A tensor is a `QuantizeLinear` node and the `DequantizeLinear` node that reads it, both with a scale and a zero point of one
//! unsigned byte; kernels are signed bytes with a scale for each channel, biases i32 with the product of both scales.
//! Activations that a tensor's range implies are left out.

use tract_fused::network::{Conv, Input, IntegerNetwork, IntegerWeights, Layer, Norm, Shape, Tensor, TensorId};

use sonotap::error::{Error, ErrorKind, Result};
use sonotap::model::fused;
use sonotap::model::manifest::{Dim, TensorSpec};
use sonotap::onnx::write::{Attribute, Bytes, Graph};

/// After an input's name, that of its values as they are read.
const READ: &str = "/read";

/// Writes a network as a QDQ graph of opset 17, of this name. Its inputs are one image that is normalized, or values as they
/// are, under their tensors' names.
///
/// # Errors
/// `Model` when it contradicts itself, or has a layer that quantization does not make.
pub(super) fn write(network: &IntegerNetwork, name: &str) -> Result<Vec<u8>> {
    network.check_numbers().map_err(fused)?;
    // What an input is called, and what it is once it was quantized, are two values of the graph.
    let mut read = network.clone();
    let mut given = Vec::new();
    for input in &network.inputs {
        let name = &mut read.tensors[input.tensor].name;
        if input.norm == Norm::default() {
            given.push(name.clone());
            name.push_str(READ);
        } else {
            given.push("image".into());
        }
    }
    let network = &read;
    let mut w = Writer { graph: Graph::default(), network };
    for (Input { tensor, norm }, outside) in network.inputs.iter().zip(&given) {
        if *norm == Norm::default() {
            w.quantized(*tensor, outside);
            continue;
        }
        let (mean, sd) = (w.graph.floats("grey.mean", &[], &[norm.mean]), w.graph.floats("grey.sd", &[], &[norm.sd]));
        let input = network.tensors[*tensor].name.clone();
        let centred = w.graph.node("Sub", &format!("{input}/centred"), &[outside, &mean], vec![]);
        let normed = w.graph.node("Div", &format!("{input}/f32"), &[&centred, &sd], vec![]);
        w.quantized(*tensor, &normed);
    }
    for layer in &network.layers {
        w.layer(layer)?;
    }
    let spec = |name: &str, s: Shape| TensorSpec {
        name: name.to_owned(),
        shape: [1, s.channels, s.height, s.width].map(Dim::Fixed).to_vec(),
    };
    let outputs: Vec<TensorSpec> =
        network.outputs.iter().map(|t| spec(&network.tensors[*t].name, network.shape(*t))).collect();
    let inputs: Vec<TensorSpec> =
        network.inputs.iter().zip(&given).map(|(i, name)| spec(name, network.shape(i.tensor))).collect();
    Ok(w.graph.finish(name, &inputs, &outputs))
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

    fn layer(&mut self, layer: &Layer<IntegerWeights>) -> Result<()> {
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
            Layer::Upsample { .. } | Layer::MaxPool { .. } | Layer::Lookup { .. } => {
                let what = format!("tensor `{}`: expected a convolution or a sum to write it", name(y));
                return Err(Error::new(ErrorKind::Model, what));
            }
        };
        self.quantized(y, &computed);
        Ok(())
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
