//! A network in f32: read from ONNX, and run value by value to see which ranges its tensors have.

use std::collections::BTreeMap;

use super::geometry;
use super::network::{Activation, Conv, FloatNetwork, FloatWeights, Layer, Network, Norm, Shape, Tensor, TensorId};
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::read::{Graph, Node};

/// What a name of the graph stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Image,
    Centred(f32),
    Tensor(TensorId),
    Up(TensorId),
}

struct Reader<'a> {
    graph: &'a Graph,
    names: BTreeMap<String, Meaning>,
    network: FloatNetwork,
    input_shape: Shape,
}

/// Reads a graph of `Conv`, `Clip` (0 to 6), `Relu`, `Add`, `Resize` (nearest, twice), with `Sub` and `Div` of the image.
///
/// # Errors
/// `Model`, naming the node that is not known or does not fit.
pub fn read(graph: &Graph) -> Result<FloatNetwork> {
    let [(name, shape)] = &graph.inputs[..] else {
        return Err(refuse(format!("expected a graph of one input, got {}", graph.inputs.len())));
    };
    let &[1, channels, height, width] = &shape[..] else {
        return Err(refuse(format!("input `{name}`: expected [1, C, H, W], got {shape:?}")));
    };
    let network = Network::default();
    let names = BTreeMap::from([(name.clone(), Meaning::Image)]);
    let mut reader = Reader { graph, names, network, input_shape: Shape { channels, height, width } };
    graph.nodes.iter().try_for_each(|n| reader.node(n))?;
    for output in &graph.outputs {
        match reader.names.get(output) {
            Some(Meaning::Tensor(t)) => reader.network.outputs.push(*t),
            _ => return Err(refuse(format!("output `{output}`: expected a convolution or a sum, got something else"))),
        }
    }
    reader.network.check()?;
    Ok(reader.network)
}

fn refuse(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

impl Reader<'_> {
    fn node(&mut self, node: &Node) -> Result<()> {
        let meaning = match node.op() {
            "Sub" => match self.names.get(node.input(0)) {
                Some(Meaning::Image) => Meaning::Centred(self.graph.float(node.input(1))?),
                _ => return Err(node.refuse("expected a number taken off the image")),
            },
            "Div" => match self.names.get(node.input(0)) {
                Some(Meaning::Centred(mean)) if self.network.tensors.is_empty() => {
                    self.network.norm = Norm { mean: *mean, sd: self.graph.float(node.input(1))? };
                    Meaning::Tensor(self.tensor(node.result(), self.input_shape))
                }
                _ => return Err(node.refuse("expected the image less its mean, divided")),
            },
            "Conv" => self.conv(node)?,
            "Clip" | "Relu" => self.activation(node)?,
            "Add" => self.add(node)?,
            "Resize" => {
                let scales = self.graph.floats(node.input(2))?;
                geometry::nearest_twice(node, &scales)?;
                Meaning::Up(self.read(node, 0)?)
            }
            _ => return Err(node.refuse("expected Conv, Clip, Relu, Add, Resize, got another kind of node")),
        };
        self.names.insert(node.result().to_owned(), meaning);
        Ok(())
    }

    fn tensor(&mut self, name: &str, shape: Shape) -> TensorId {
        self.network.tensors.push(Tensor { name: name.to_owned(), shape, quantization: () });
        self.network.tensors.len() - 1
    }

    /// The tensor that a node reads; the image becomes one when it is read as it is.
    fn read(&mut self, node: &Node, i: usize) -> Result<TensorId> {
        match self.names.get(node.input(i)) {
            Some(Meaning::Tensor(t)) => Ok(*t),
            Some(Meaning::Image) if self.network.tensors.is_empty() => {
                let t = self.tensor(node.input(i), self.input_shape);
                self.names.insert(node.input(i).to_owned(), Meaning::Tensor(t));
                Ok(t)
            }
            _ => Err(node.refuse(format!("input `{}`: expected a convolution, a sum or the image", node.input(i)))),
        }
    }

    fn conv(&mut self, node: &Node) -> Result<Meaning> {
        let x = self.read(node, 0)?;
        let kernels = self.graph.floats(node.input(1))?;
        let g = geometry::conv(node, &self.graph.shape(node.input(1))?, self.network.shape(x))?;
        let bias = match node.input(2) {
            "" => vec![0.0; g.y.channels],
            name => self.graph.floats(name)?,
        };
        if bias.len() != g.y.channels {
            return Err(node.refuse(format!("expected {} biases, got {}", g.y.channels, bias.len())));
        }
        let y = self.tensor(node.result(), g.y);
        let weights = FloatWeights { kernels, bias, activation: Activation::None };
        let (kernel, stride, pads, is_depthwise) = (g.kernel, g.stride, g.pads, g.is_depthwise);
        let name = node.name().to_owned();
        self.network.layers.push(Layer::Conv(Conv { name, x, y, kernel, stride, pads, is_depthwise, weights }));
        Ok(Meaning::Tensor(y))
    }

    /// Joins an activation to the convolution before it.
    fn activation(&mut self, node: &Node) -> Result<Meaning> {
        let activation = match node.op() {
            "Relu" => Activation::Relu,
            _ => match (self.graph.float(node.input(1))?, self.graph.float(node.input(2))?) {
                (0.0, 6.0) => Activation::Relu6,
                bounds => return Err(node.refuse(format!("expected a clip to 0 and 6, got {bounds:?}"))),
            },
        };
        let readers = self.graph.nodes.iter().filter(|n| n.inputs().iter().any(|i| i == node.input(0))).count();
        let is_alone = readers == 1 && !self.graph.outputs.iter().any(|o| o == node.input(0));
        let t = self.read(node, 0)?;
        match self.network.layers.last_mut() {
            Some(Layer::Conv(c)) if c.y == t && is_alone && c.weights.activation == Activation::None => {
                c.weights.activation = activation;
            }
            _ => return Err(node.refuse("expected a convolution before it that nothing else reads")),
        }
        node.result().clone_into(&mut self.network.tensors[t].name);
        Ok(Meaning::Tensor(t))
    }

    fn add(&mut self, node: &Node) -> Result<Meaning> {
        let up = |i: usize| match self.names.get(node.input(i)) {
            Some(Meaning::Up(t)) => Some(*t),
            _ => None,
        };
        let (layer, like) = match (up(0), up(1)) {
            (Some(coarse), None) => (Some(coarse), self.read(node, 1)?),
            (None, Some(coarse)) => (Some(coarse), self.read(node, 0)?),
            (None, None) => (None, self.read(node, 0)?),
            _ => return Err(node.refuse("expected one term that is not resized")),
        };
        let other = if layer.is_none() { self.read(node, 1)? } else { like };
        let y = self.tensor(node.result(), self.network.shape(like));
        self.network.layers.push(match layer {
            Some(coarse) => Layer::UpAdd { coarse, fine: like, y },
            None => Layer::Add { a: like, b: other, y },
        });
        Ok(Meaning::Tensor(y))
    }
}

/// All tensors, each [H, W, C], for an image of grey [H, W] (0..=1) times as many channels as the input has.
pub fn run(network: &FloatNetwork, image: &[f32]) -> Vec<Vec<f32>> {
    let mut all: Vec<Vec<f32>> = network.tensors.iter().map(|_| Vec::new()).collect();
    let channels = network.shape(network.input).channels;
    let norm = |v: &f32| std::iter::repeat_n((v - network.norm.mean) / network.norm.sd, channels);
    all[network.input] = image.iter().flat_map(norm).collect();
    for layer in &network.layers {
        let result = match layer {
            Layer::Conv(c) => conv(network, c, &all[c.x]),
            Layer::Add { a, b, .. } => all[*a].iter().zip(&all[*b]).map(|(a, b)| a + b).collect(),
            Layer::UpAdd { coarse, fine, y } => {
                let (s, coarse) = (network.shape(*y), &all[*coarse]);
                let (c, w) = (s.channels, s.width);
                let above = |i: usize| coarse[(i / c / w / 2 * (w / 2) + i / c % w / 2) * c + i % c];
                all[*fine].iter().enumerate().map(|(i, f)| above(i) + f).collect()
            }
        };
        all[layer.result()] = result;
    }
    all
}

fn conv(network: &FloatNetwork, c: &Conv<FloatWeights>, x: &[f32]) -> Vec<f32> {
    let (from, to, k) = (network.shape(c.x), network.shape(c.y), c.kernel);
    let inputs = if c.is_depthwise { 1 } else { from.channels };
    // Outputs innermost: [k, k, I, O].
    let turned: Vec<f32> = (0..k * k * inputs * to.channels)
        .map(|i| (i % to.channels, i / to.channels % inputs, i / to.channels / inputs))
        .map(|(o, i, tap)| c.weights.kernels[(o * inputs + i) * k * k + tap])
        .collect();
    let mut out = Vec::with_capacity(to.len());
    for (oy, ox) in (0..to.height * to.width).map(|i| (i / to.width, i % to.width)) {
        let at = out.len();
        out.extend_from_slice(&c.weights.bias);
        let sums = &mut out[at..];
        for (tap, weights) in turned.chunks_exact(inputs * to.channels).enumerate() {
            let iy = (oy * c.stride + tap / k).wrapping_sub(c.pads.top);
            let ix = (ox * c.stride + tap % k).wrapping_sub(c.pads.left);
            if iy >= from.height || ix >= from.width {
                continue;
            }
            let pixel = &x[(iy * from.width + ix) * from.channels..][..from.channels];
            if c.is_depthwise {
                sums.iter_mut().zip(pixel).zip(weights).for_each(|((s, v), w)| *s += v * w);
            } else {
                for (v, weights) in pixel.iter().zip(weights.chunks_exact(to.channels)) {
                    sums.iter_mut().zip(weights).for_each(|(s, w)| *s += v * w);
                }
            }
        }
        match c.weights.activation {
            Activation::None => {}
            Activation::Relu => sums.iter_mut().for_each(|s| *s = s.max(0.0)),
            Activation::Relu6 => sums.iter_mut().for_each(|s| *s = s.clamp(0.0, 6.0)),
        }
    }
    out
}
