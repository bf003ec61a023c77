//! Reads an f32 network from a typed graph.

use std::collections::BTreeMap;

use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::network::{
    Activation, Conv, FloatNetwork, FloatWeights, Input, Layer, Network, Norm, Shape, Tensor as NetworkTensor, TensorId,
};
use crate::error::{Error, ErrorKind, Result};
use crate::pattern::{ClampBounds, GraphReader};

impl FloatNetwork {
    /// Reads a graph of convolutions, ReLU, ReLU6, additions and nearest resizes by two. Its inputs are one image, whose
    /// normalization is read with it, or values as they are.
    ///
    /// # Errors
    /// `Model`, naming the first node that is not supported.
    pub fn read(model: &TypedModel) -> Result<Self> {
        let mut reader = NetworkReader { r: GraphReader(model), known: BTreeMap::new(), network: Network::default() };
        for outlet in &model.outputs {
            let t = reader.tensor(*outlet)?;
            if let Some(label) = model.outlet_label(*outlet) {
                label.clone_into(&mut reader.network.tensors[t].name);
            }
            reader.network.outputs.push(t);
        }
        let place = |i: &Input| model.inputs.iter().position(|o| reader.known.get(o) == Some(&i.tensor));
        reader.network.inputs.sort_by_key(place);
        reader.network.check()?;
        Ok(reader.network)
    }
}

struct NetworkReader<'a> {
    r: GraphReader<'a>,
    known: BTreeMap<OutletId, TensorId>,
    network: FloatNetwork,
}

impl NetworkReader<'_> {
    fn refuse(&self, outlet: OutletId, what: &str) -> Error {
        let node = self.r.node(outlet);
        Error::new(ErrorKind::Model, format!("node `{}` ({}): {what}", node.name, node.op.name()))
    }

    fn add(&mut self, outlet: OutletId, shape: Shape) -> TensorId {
        let node = self.r.node(outlet);
        // tract splits a clamp with two bounds into two nodes, and names both after it.
        let name = [".max", ".high", ".low"].iter().find_map(|end| node.name.strip_suffix(end)).unwrap_or(&node.name);
        self.network.tensors.push(NetworkTensor { name: name.to_owned(), shape, quantization: () });
        self.network.tensors.len() - 1
    }

    /// The tensor of a value; its operands are added before it.
    fn tensor(&mut self, outlet: OutletId) -> Result<TensorId> {
        let outlet = self.r.origin(outlet);
        if let Some(t) = self.known.get(&outlet) {
            return Ok(*t);
        }
        let t = self.read(outlet)?;
        self.known.insert(outlet, t);
        Ok(t)
    }

    fn read(&mut self, outlet: OutletId) -> Result<TensorId> {
        let r = self.r;
        let shape = r.image(outlet).ok_or_else(|| self.refuse(outlet, "expected one image, [1, C, H, W]"))?;
        if let Some(norm) = self.image(outlet) {
            let is_plain = |norm: &Norm| *norm == Norm::default();
            if !self.network.inputs.iter().map(|i| &i.norm).chain([&norm]).all(is_plain)
                && !self.network.inputs.is_empty()
            {
                return Err(self.refuse(outlet, "expected one image, normalized once"));
            }
            let tensor = self.add(outlet, shape);
            self.network.inputs.push(Input { tensor, norm });
            return Ok(tensor);
        }
        let (core, bounds) = r.activation(outlet);
        if let Some(conv) = r.conv(core) {
            let x = self.tensor(conv.x)?;
            let activation = match (bounds.low, bounds.high) {
                (None, None) => Activation::None,
                (Some(0.0), None) => Activation::Relu,
                (Some(0.0), Some(6.0)) => Activation::Relu6,
                _ => return Err(self.refuse(outlet, "expected a clip to 0, or to 0 and 6")),
            };
            let channels = self.network.shape(x).channels;
            let is_depthwise = conv.group > 1 && conv.group == channels && conv.outputs == channels;
            let kernels = r.floats(conv.kernels).filter(|_| conv.group == 1 || is_depthwise);
            let kernels =
                kernels.ok_or_else(|| self.refuse(core, "expected a full or depthwise convolution of constants"))?;
            let bias = match r.floats(conv.bias) {
                Some(bias) if bias.len() == conv.outputs => bias,
                Some(bias) if bias.iter().all(|b| *b == 0.0) => vec![0.0; conv.outputs],
                _ => return Err(self.refuse(core, "expected a constant bias for each channel")),
            };
            let y = self.add(outlet, shape);
            let crate::pattern::Window { kernel, stride, pads } = conv.window;
            let (name, weights) = (r.node(core).name.clone(), FloatWeights { kernels, bias, activation });
            self.network.layers.push(Layer::Conv(Conv { name, x, y, kernel, stride, pads, is_depthwise, weights }));
            return Ok(y);
        }
        let Some([a, b]) = r.binary(core, "Add").filter(|_| bounds == ClampBounds::default()) else {
            return Err(self.refuse(core, "expected a convolution, a sum, a nearest resize by two, or their clip"));
        };
        let layer = match (r.upsampled(a), r.upsampled(b)) {
            (None, None) => (self.tensor(a)?, self.tensor(b)?, false),
            (Some(coarse), None) => (self.tensor(coarse)?, self.tensor(b)?, true),
            (None, Some(coarse)) => (self.tensor(coarse)?, self.tensor(a)?, true),
            _ => return Err(self.refuse(core, "expected one term that is not resized")),
        };
        let y = self.add(outlet, shape);
        self.network.layers.push(match layer {
            (a, b, false) => Layer::Add { a, b, y },
            (coarse, fine, true) => Layer::UpAdd { coarse, fine, y },
        });
        Ok(y)
    }

    /// The normalization, if this is the image, normalized or not.
    fn image(&self, outlet: OutletId) -> Option<Norm> {
        let r = self.r;
        if r.op::<TypedSource>(outlet).is_some() {
            return Some(Norm::default());
        }
        let [centred, sd] = r.binary(outlet, "Div")?;
        let [source, mean] = r.binary(centred, "Sub")?;
        r.op::<TypedSource>(source)?;
        Some(Norm { mean: r.number(mean)?, sd: r.number(sd)? })
    }
}
