//! Finds the integer layers of a typed graph.
//!
//! A layer begins at the [`Dequantize`] nodes of its input tensors and ends at a [`Quantize`] node. Between them must be one
//! convolution, addition, resize or pooling, optionally with padding before it and clamps after it. No other node may read
//! the values between.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::tract_core::ops::array::{Pad, PadMode};
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::MaxPool;
use tract_onnx::tract_hir::internal::*;

use super::kernels::TAPS_MAX;
use super::network::{
    Conv, Input, IntegerNetwork, IntegerWeights, Layer, Network, Norm, Pads, Quantization, Tensor as NetworkTensor,
    TensorId,
};
use crate::pattern::{ClampBounds, GraphReader};
use crate::quantization::{Dequantize, QuantizationSteps, Quantize, floats, integers};

/// Largest relative difference between a bias' scale and the product of input and kernel scale.
const BIAS_SCALE_TOLERANCE: f32 = 1e-4;
/// How far a tensor's range may exceed a clamp that it is taken to imply, in quantization steps.
const CLIP_TOLERANCE: f32 = 1e-3;
/// Most groups of a convolution that is run as a full one, with zero weights between groups.
const GROUPS_MAX: usize = 4;
/// Offset from signed to unsigned bytes.
const SIGNED: i32 = 128;

/// Integer tensors and layers of a graph.
#[derive(Default)]
pub(crate) struct Recognized {
    pub tensors: Vec<NetworkTensor<Quantization>>,
    /// In execution order.
    pub layers: Vec<Layer<IntegerWeights>>,
    /// The tensor that each quantize node writes.
    pub quantized: BTreeMap<usize, TensorId>,
    /// Tensors that are quantized from f32 outside all layers: the f32 outlet, and the normalization folded into the quantization.
    pub inputs: BTreeMap<TensorId, (OutletId, Norm)>,
    /// Nodes inside layers.
    pub taken: BTreeSet<usize>,
}

/// Finds all integer layers.
pub(crate) fn recognize(model: &TypedModel) -> TractResult<Recognized> {
    let mut found = Recognized::default();
    for id in model.eval_order()? {
        if let Some(Quantize(steps)) = model.node(id).op_as() {
            found.quantize(GraphReader(model), model.node(id), steps);
        }
    }
    found.join_upsampling();
    Ok(found)
}

/// Per-tensor quantization, with signed bytes as unsigned ones.
fn quantization(steps: &QuantizationSteps) -> Option<Quantization> {
    let (scale, zero_point) = steps.of_tensor()?;
    match steps.zero_point.datum_type() {
        DatumType::U8 => Some(Quantization { scale, zero_point }),
        DatumType::I8 => Some(Quantization { scale, zero_point: zero_point + SIGNED }),
        _ => None,
    }
}

/// A dequantized constant, quantized per tensor or along its first axis.
struct Constant {
    values: Vec<i32>,
    /// One, or one a channel; zero points are subtracted from `values`.
    scales: Vec<f32>,
    shape: Vec<usize>,
}

fn dequantized_constant(r: GraphReader, mut outlet: OutletId) -> Option<Constant> {
    while r.node(outlet).op_is::<Cast>() || r.node(outlet).op_is::<AxisOp>() {
        outlet = r.node(outlet).inputs[0];
    }
    let (Dequantize(steps), node) = r.op::<Dequantize>(outlet)?;
    let tensor = r.constant(node.inputs[0])?;
    let shape = tensor.shape().to_vec();
    let axis = if steps.axis < 0 { steps.axis + shape.len() as i64 } else { steps.axis };
    if steps.scale.len() > 1 && (axis != 0 || steps.scale.len() != shape[0]) {
        return None;
    }
    let as_integers = |t: &Tensor| -> Option<Vec<i32>> {
        let wide = t.cast_to::<i32>().ok()?;
        Some(integers(&wide)?.to_vec())
    };
    let (mut values, zeros) = (as_integers(&tensor)?, as_integers(&steps.zero_point)?);
    let each = values.len() / if zeros.len() > 1 { zeros.len() } else { 1 };
    for (values, zero) in values.chunks_mut(each.max(1)).zip(&zeros) {
        values.iter_mut().for_each(|v| *v -= zero);
    }
    Some(Constant { values, scales: floats(&steps.scale)?.to_vec(), shape })
}

impl Recognized {
    fn quantize(&mut self, r: GraphReader, node: &TypedNode, steps: &QuantizationSteps) {
        let (Some(quantization), Some(shape)) = (quantization(steps), r.image(node.id.into())) else { return };
        let reads = node.outputs[0].successors.iter();
        let name = reads.map(|s| r.0.node(s.node)).find(|n| n.op_is::<Dequantize>()).map_or(&node.name, |n| &n.name);
        let y = self.tensor(NetworkTensor { name: name.clone(), shape, quantization });
        let (taken, layers) = (self.taken.clone(), self.layers.len());
        if self.layer(r, node, y).is_none() {
            // Undo what the failed match recorded.
            self.taken = taken;
            self.layers.truncate(layers);
            let (source, norm) = normalized(r, node.inputs[0]);
            self.inputs.insert(y, (source, norm));
        }
        self.quantized.insert(node.id, y);
    }

    fn tensor(&mut self, tensor: NetworkTensor<Quantization>) -> TensorId {
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    /// The tensor that is dequantized at an outlet.
    fn dequantized(&self, r: GraphReader, outlet: OutletId) -> Option<TensorId> {
        let (Dequantize(steps), node) = r.op::<Dequantize>(r.origin(outlet))?;
        let t = *self.quantized.get(&node.inputs[0].node)?;
        (quantization(steps)? == self.tensors[t].quantization).then_some(t)
    }

    /// Recognizes the layer that ends at a quantize node.
    fn layer(&mut self, r: GraphReader, quantize: &TypedNode, y: TensorId) -> Option<()> {
        let (core, bounds) = r.activation(quantize.inputs[0]);
        if let Some(x) = self.dequantized(r, core) {
            // Only a change of quantization.
            self.note_clips(r, quantize.inputs[0], core);
            return self.push(self.lookup(x, y, bounds));
        }
        if !r.is_inner(core) {
            return None;
        }
        self.note_clips(r, quantize.inputs[0], core);
        self.taken.insert(core.node);
        // A clamp that the range of the bytes does not imply becomes a lookup table.
        let is_implied = self.is_implied(y, bounds);
        let unclipped = if is_implied { y } else { self.tensor(self.tensors[y].clone()) };
        let layer = self
            .conv(r, core, unclipped)
            .or_else(|| self.sum(r, core, unclipped))
            .or_else(|| self.resampled(r, core, unclipped))?;
        self.push(layer)?;
        if !is_implied {
            self.push(self.lookup(unclipped, y, bounds))?;
        }
        Some(())
    }

    /// Adds a layer, if the engine can run it.
    fn push(&mut self, layer: Layer<IntegerWeights>) -> Option<()> {
        if let Layer::Conv(c) = &layer
            && c.is_depthwise
            && c.kernel * c.kernel > TAPS_MAX
        {
            return None;
        }
        let mut ids = layer.reads();
        ids.push(layer.result());
        ids.sort_unstable();
        ids.dedup();
        let place = |t: TensorId| ids.iter().position(|id| *id == t).unwrap_or_default();
        let mut inputs: Vec<TensorId> = layer.reads().into_iter().map(place).collect();
        inputs.sort_unstable();
        inputs.dedup();
        let alone: IntegerNetwork = Network {
            tensors: ids.iter().map(|t| self.tensors[*t].clone()).collect(),
            inputs: inputs.into_iter().map(|tensor| Input { tensor, norm: Norm::default() }).collect(),
            outputs: vec![place(layer.result())],
            layers: vec![layer.clone().renumbered(place)],
        };
        alone.check_numbers().ok()?;
        self.layers.push(layer);
        Some(())
    }

    /// Marks the nodes between a quantize node and the core of its layer as taken.
    fn note_clips(&mut self, r: GraphReader, from: OutletId, core: OutletId) {
        let mut at = from;
        while at != core {
            let node = r.node(at);
            self.taken.insert(node.id);
            let computed = node.inputs.iter().copied().find(|i| r.constant(*i).is_none());
            let Some(next) = computed else { return };
            at = next;
        }
    }

    fn is_implied(&self, y: TensorId, bounds: ClampBounds) -> bool {
        let q = self.tensors[y].quantization;
        bounds.low.is_none_or(|low| q.value(0) >= low - CLIP_TOLERANCE * q.scale)
            && bounds.high.is_none_or(|high| q.value(255) <= high + CLIP_TOLERANCE * q.scale)
    }

    fn lookup(&self, x: TensorId, y: TensorId, bounds: ClampBounds) -> Layer<IntegerWeights> {
        let (from, to) = (self.tensors[x].quantization, self.tensors[y].quantization);
        let table = std::array::from_fn(|byte| to.byte(bounds.clamp(from.value(byte as u8))));
        Layer::Lookup { x, y, table: Box::new(table) }
    }

    fn conv(&mut self, r: GraphReader, core: OutletId, y: TensorId) -> Option<Layer<IntegerWeights>> {
        let conv = r.conv(core)?;
        let (x, padded) = match self.dequantized(r, conv.x) {
            Some(x) => (x, Pads::default()),
            None => self.padded(r, conv.x)?,
        };
        let channels = self.tensors[x].shape.channels;
        let kernels = dequantized_constant(r, conv.kernels)?;
        let scales = match kernels.scales[..] {
            [scale] => vec![scale; conv.outputs],
            _ => kernels.scales,
        };
        let bias = bias(r, conv.bias, self.tensors[x].quantization.scale, &scales)?;
        let bytes = kernels.values.iter().map(|v| i8::try_from(*v).ok()).collect::<Option<Vec<i8>>>()?;
        let is_depthwise = conv.group > 1 && conv.group == channels && conv.outputs == channels;
        let kernels = match conv.group {
            1 => bytes,
            _ if is_depthwise => bytes,
            2..=GROUPS_MAX => ungrouped(&bytes, &kernels.shape, conv.group)?,
            _ => return None,
        };
        let crate::pattern::Window { kernel, stride, pads } = conv.window;
        let pads = Pads {
            top: pads.top + padded.top,
            left: pads.left + padded.left,
            bottom: pads.bottom + padded.bottom,
            right: pads.right + padded.right,
        };
        let name = r.node(core).name.clone();
        let weights = IntegerWeights { kernels, scales, bias };
        Some(Layer::Conv(Conv { name, x, y, kernel, stride, pads, is_depthwise, weights }))
    }

    /// A zero-padded tensor, and its padding.
    fn padded(&mut self, r: GraphReader, outlet: OutletId) -> Option<(TensorId, Pads)> {
        let (pad, node) = r.op::<Pad>(outlet)?;
        let PadMode::Constant(value) = &pad.mode else { return None };
        let &[(0, 0), (0, 0), (top, bottom), (left, right)] = &pad.pads[..] else { return None };
        if value.cast_to_scalar::<f32>().ok()? != 0.0 || !r.is_inner(outlet) {
            return None;
        }
        let x = self.dequantized(r, node.inputs[0])?;
        self.taken.insert(node.id);
        Some((x, Pads { top, left, bottom, right }))
    }

    fn sum(&mut self, r: GraphReader, core: OutletId, y: TensorId) -> Option<Layer<IntegerWeights>> {
        let [a, b] = r.binary(core, "Add")?;
        if let (Some(a), Some(b)) = (self.dequantized(r, a), self.dequantized(r, b)) {
            return Some(Layer::Add { a, b, y });
        }
        let doubled = |outlet: OutletId| {
            let x = r.upsampled(outlet).filter(|_| r.is_inner(outlet))?;
            self.dequantized(r, x)
        };
        let (at, coarse, fine) = match (doubled(a), doubled(b)) {
            (Some(coarse), None) => (a, coarse, self.dequantized(r, b)?),
            (None, Some(coarse)) => (b, coarse, self.dequantized(r, a)?),
            _ => return None,
        };
        self.taken.insert(at.node);
        Some(Layer::UpAdd { coarse, fine, y })
    }

    fn resampled(&mut self, r: GraphReader, core: OutletId, y: TensorId) -> Option<Layer<IntegerWeights>> {
        if let Some(x) = r.upsampled(core) {
            return Some(Layer::Upsample { x: self.dequantized(r, x)?, y });
        }
        let (pool, node) = r.op::<MaxPool>(core)?;
        let x = self.dequantized(r, node.inputs[0])?;
        if pool.with_index_outputs.is_some() {
            return None;
        }
        let crate::pattern::Window { kernel, stride, pads } = r.window(&pool.pool_spec, self.tensors[x].shape)?;
        Some(Layer::MaxPool { x, y, kernel, stride, pads })
    }

    /// Merges the upsampling of a term into the addition; the upsampling is pruned later if nothing else reads it.
    fn join_upsampling(&mut self) {
        let source = |layers: &[Layer<IntegerWeights>], t: TensorId| {
            layers.iter().find_map(|l| match l {
                Layer::Upsample { x, y } if *y == t => Some(*x),
                _ => None,
            })
        };
        for i in 0..self.layers.len() {
            let Layer::Add { a, b, y } = self.layers[i] else { continue };
            let joined = match (source(&self.layers, a), source(&self.layers, b)) {
                (Some(coarse), None) => Layer::UpAdd { coarse, fine: b, y },
                (None, Some(coarse)) => Layer::UpAdd { coarse, fine: a, y },
                _ => continue,
            };
            self.layers[i] = joined;
        }
    }
}

/// The value before a normalization `(x - mean) / sd`, and the normalization; the outlet itself if there is none.
fn normalized(r: GraphReader, outlet: OutletId) -> (OutletId, Norm) {
    let found = || {
        let [centred, sd] = r.binary(outlet, "Div")?;
        let [source, mean] = r.binary(centred, "Sub")?;
        Some((source, Norm { mean: r.number(mean)?, sd: r.number(sd)? }))
    };
    let plain = (outlet, Norm::default());
    found().filter(|(_, norm)| norm.sd.is_normal() && norm.mean.is_finite()).unwrap_or(plain)
}

/// Biases in units of input scale times kernel scale.
fn bias(r: GraphReader, outlet: OutletId, x_scale: f32, scales: &[f32]) -> Option<Vec<i32>> {
    if let Some(values) = r.floats(outlet) {
        let is_zero = values.iter().all(|v| *v == 0.0);
        return is_zero.then(|| vec![0; scales.len()]);
    }
    let Constant { values, scales: given, .. } = dequantized_constant(r, outlet)?;
    let fits = |(i, w): (usize, &f32)| {
        let given = given.get(i).or(given.first()).copied().unwrap_or(0.0);
        (given - w * x_scale).abs() <= BIAS_SCALE_TOLERANCE * given
    };
    (values.len() == scales.len() && scales.iter().enumerate().all(fits)).then_some(values)
}

/// Kernels [O, I / groups, k, k] as [O, I, k, k], with zeros for the input channels of the other groups.
fn ungrouped(kernels: &[i8], shape: &[usize], groups: usize) -> Option<Vec<i8>> {
    let &[outputs, inputs, height, width] = shape else { return None };
    let taps = height * width;
    let mut all = vec![0; outputs * inputs * groups * taps];
    for (o, kernel) in kernels.chunks_exact(inputs * taps).enumerate() {
        let group = o / outputs.div_ceil(groups);
        all[(o * groups + group) * inputs * taps..][..inputs * taps].copy_from_slice(kernel);
    }
    Some(all)
}
