//! Puts an [`Int8Region`] in the place of each maximal connected set of integer layers.
//!
//! A region must not wait for what it computes itself: each layer has a stage, the number of times that a path to it left
//! integers and came back. Layers of one stage that share tensors are one region.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

use super::Kernels;
use super::network::{Input, IntegerNetwork, Layer, Network, Norm, TensorId};
use super::recognize::{Recognized, recognize};
use super::region::{Form, Int8Region};
use crate::quantization::Dequantize;

/// Fuses the integer layers of a graph that [`onnx`](crate::onnx) parsed and that was not decluttered yet.
#[derive(Clone, Debug)]
pub struct FuseInt8 {
    /// Kernels to run regions with; `None`: value by value from the definition, thousands of times slower.
    pub kernels: Option<Kernels>,
    /// Outputs of the graph that a region writes leave it as bytes, of a quantized type.
    pub outputs_as_bytes: bool,
}

impl ModelTransform for FuseInt8 {
    fn name(&self) -> StaticName {
        "fuse_int8".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let mut found = recognize(model)?;
        let ways_out = found.ways_out(model);
        found.prune(&ways_out);
        if found.layers.is_empty() {
            return Ok(());
        }
        let mut fusing = Fusing { found: &found, ways_out, bytes: BTreeMap::new(), moved: BTreeMap::new() };
        let regions = regions(model, &found)?;
        let outputs = model.outputs.clone();
        for (i, layers) in regions.iter().enumerate() {
            fusing.fuse(self, model, &outputs, i, layers)?;
        }
        model.compact()
    }
}

/// Layers of each region, in an order in which regions can be computed.
fn regions(model: &TypedModel, found: &Recognized) -> TractResult<Vec<Vec<usize>>> {
    let writer: BTreeMap<TensorId, usize> = found.layers.iter().enumerate().map(|(i, l)| (l.result(), i)).collect();
    // Of what is read in f32 behind each node, and of tensors.
    let mut stages = vec![0; model.nodes().len()];
    let mut tensor_stages = vec![0; found.tensors.len()];
    for id in model.eval_order()? {
        let node = model.node(id);
        let foreign = node.inputs.iter().map(|i| stages[i.node]).max().unwrap_or(0);
        stages[id] = match found.quantized.get(&id) {
            None => foreign,
            Some(y) => {
                if found.inputs.contains_key(y) {
                    tensor_stages[*y] = foreign;
                    foreign
                } else {
                    stage_of(*y, found, &writer, &mut tensor_stages) + 1
                }
            }
        };
    }
    let mut groups: Vec<usize> = (0..found.layers.len()).collect();
    let mut owner: BTreeMap<(usize, TensorId), usize> = BTreeMap::new();
    for (i, layer) in found.layers.iter().enumerate() {
        let stage = tensor_stages[layer.result()];
        for t in layer.reads().into_iter().chain([layer.result()]) {
            let other = *owner.entry((stage, t)).or_insert(i);
            let (from, to) = (groups[i].max(groups[other]), groups[i].min(groups[other]));
            groups.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
        }
    }
    let mut regions: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, layer) in found.layers.iter().enumerate() {
        regions.entry((tensor_stages[layer.result()], groups[i])).or_default().push(i);
    }
    Ok(regions.into_values().collect())
}

/// The stage of a tensor that layers write, from those of what they read.
fn stage_of(y: TensorId, found: &Recognized, writer: &BTreeMap<TensorId, usize>, stages: &mut [usize]) -> usize {
    let Some(layer) = writer.get(&y) else { return stages[y] };
    // A layer reads what was written before it; one that was put between has no node of its own.
    let is_between = |t: TensorId| !found.inputs.contains_key(&t) && !found.quantized.values().any(|q| *q == t);
    let reads = found.layers[*layer].reads();
    let stage = reads.into_iter().map(|t| if is_between(t) { stage_of(t, found, writer, stages) } else { stages[t] });
    stages[y] = stage.collect::<Vec<_>>().into_iter().max().unwrap_or(0);
    stages[y]
}

/// Nodes outside of all layers that read a tensor.
#[derive(Default)]
struct WaysOut {
    /// Dequantize nodes whose result is read, or asked for.
    values: Vec<usize>,
    /// The quantize node, when somebody reads the bytes themselves.
    raw: Option<usize>,
}

impl Recognized {
    /// Whether a node goes with a layer.
    fn is_within(&self, node: usize) -> bool {
        self.taken.contains(&node) || self.quantized.get(&node).is_some_and(|t| !self.inputs.contains_key(t))
    }

    /// Whether anybody else reads a node's result.
    fn is_read_outside(&self, model: &TypedModel, node: usize) -> bool {
        model.node(node).outputs[0].successors.iter().any(|s| !self.is_within(s.node))
    }

    fn ways_out(&self, model: &TypedModel) -> BTreeMap<TensorId, WaysOut> {
        let mut all: BTreeMap<TensorId, WaysOut> = BTreeMap::new();
        for (quantize, t) in &self.quantized {
            let ways = all.entry(*t).or_default();
            let readers = model.node(*quantize).outputs[0].successors.iter().map(|s| s.node);
            let (dequantize, other): (Vec<usize>, Vec<usize>) =
                readers.partition(|id| model.node(*id).op_is::<Dequantize>());
            let is_out = |id: &usize| self.is_read_outside(model, *id) || model.outputs.contains(&(*id).into());
            ways.values = dequantize.into_iter().filter(is_out).collect();
            ways.raw = (!other.is_empty() || model.outputs.contains(&(*quantize).into())).then_some(*quantize);
        }
        all
    }

    /// Drops layers whose result nobody reads.
    fn prune(&mut self, ways_out: &BTreeMap<TensorId, WaysOut>) {
        loop {
            let read: BTreeSet<TensorId> = self.layers.iter().flat_map(Layer::reads).collect();
            let leaves = |t: &TensorId| ways_out.get(t).is_some_and(|w| w.raw.is_some() || !w.values.is_empty());
            let before = self.layers.len();
            self.layers.retain(|l| read.contains(&l.result()) || leaves(&l.result()));
            if self.layers.len() == before {
                return;
            }
        }
    }
}

struct Fusing<'a> {
    found: &'a Recognized,
    ways_out: BTreeMap<TensorId, WaysOut>,
    /// Where regions leave tensors as bytes.
    bytes: BTreeMap<TensorId, OutletId>,
    /// Dequantize nodes that regions stand in for.
    moved: BTreeMap<OutletId, OutletId>,
}

impl Fusing<'_> {
    fn fuse(
        &mut self,
        options: &FuseInt8,
        model: &mut TypedModel,
        outputs: &[OutletId],
        number: usize,
        layers: &[usize],
    ) -> TractResult<()> {
        let found = self.found;
        let inside: BTreeSet<TensorId> = layers.iter().map(|l| found.layers[*l].result()).collect();
        let read = |t: &TensorId| layers.iter().any(|l| found.layers[*l].reads().contains(t));
        let inputs: Vec<TensorId> = (0..found.tensors.len()).filter(|t| !inside.contains(t) && read(t)).collect();
        let read_elsewhere: BTreeSet<TensorId> =
            (0..found.layers.len()).filter(|l| !layers.contains(l)).flat_map(|l| found.layers[l].reads()).collect();
        // What leaves the region, in which form, and what it is put in place of.
        let (mut leaving, mut forms) = (Vec::new(), Vec::new());
        for t in inside.iter().copied() {
            let Some(ways) = self.ways_out.get(&t) else { continue };
            let is_asked = |d: &usize| options.outputs_as_bytes && outputs.contains(&OutletId::from(*d));
            let as_bytes = read_elsewhere.contains(&t) || ways.values.iter().any(is_asked);
            let is_read = |d: &usize| !is_asked(d) || found.is_read_outside(model, *d);
            let as_values = ways.raw.is_some() || ways.values.iter().any(is_read);
            for form in [(as_bytes, Form::Bytes), (as_values, Form::Values)].into_iter().filter(|f| f.0) {
                if leaving.last() != Some(&t) {
                    leaving.push(t);
                }
                forms.push((leaving.len() - 1, form.1));
            }
        }
        let (network, norms) = self.network(&inside, &inputs, layers, &leaving);
        let op = Int8Region::new(network, options.kernels, forms.clone())?;
        let name = format!("int8.{number}");
        let mut patch = TypedModelPatch::new(name.clone());
        let mut taps = tvec![];
        for (t, source) in inputs.iter().zip(norms) {
            let outlet = match source {
                Some(outlet) => self.moved.get(&outlet).copied().unwrap_or(outlet),
                None => *self.bytes.get(t).context("expected a region to have been computed before")?,
            };
            taps.push(patch.tap_model(model, outlet)?);
        }
        let wires = patch.wire_node(&name, op, &taps)?;
        let mut asked = Vec::new();
        for (k, (output, form)) in forms.iter().enumerate() {
            let (t, ways) = (leaving[*output], &self.ways_out[&leaving[*output]]);
            if *form == Form::Bytes {
                self.bytes.insert(t, OutletId::new(0, k));
                let places = outputs.iter().enumerate();
                asked.extend(
                    places
                        .filter(|(_, o)| options.outputs_as_bytes && ways.values.contains(&o.node))
                        .map(|(i, _)| (i, k)),
                );
                continue;
            }
            for dequantize in &ways.values {
                patch.shunt_outside(model, OutletId::from(*dequantize), wires[k])?;
            }
            if let Some(quantize) = ways.raw {
                // Bytes in their own type again: exact, as they are on the steps.
                let again =
                    patch.wire_node(format!("{name}.bytes.{k}"), model.node(quantize).op.clone(), &[wires[k]])?;
                patch.shunt_outside(model, quantize.into(), again[0])?;
            }
        }
        patch.apply(model)?;
        let node = model.node_by_name(&name)?.id;
        for t in &leaving {
            if let Some(outlet) = self.bytes.get_mut(t) {
                outlet.node = node;
            }
        }
        for (k, (output, form)) in forms.iter().enumerate() {
            let ways = &self.ways_out[&leaving[*output]];
            if *form == Form::Values {
                self.moved.extend(ways.values.iter().map(|d| (OutletId::from(*d), OutletId::new(node, k))));
            }
        }
        for (place, slot) in asked {
            model.outputs[place] = OutletId::new(node, slot);
        }
        Ok(())
    }

    /// A region's layers with numbers of their own, and where each input comes from in f32.
    fn network(
        &self,
        inside: &BTreeSet<TensorId>,
        inputs: &[TensorId],
        layers: &[usize],
        leaving: &[TensorId],
    ) -> (IntegerNetwork, Vec<Option<OutletId>>) {
        let found = self.found;
        let tensors: Vec<TensorId> = inputs.iter().copied().chain(inside.iter().copied()).collect();
        let place = |t: TensorId| tensors.iter().position(|other| *other == t).unwrap_or_default();
        let sources: Vec<_> = inputs.iter().map(|t| found.inputs.get(t)).collect();
        let network = Network {
            tensors: tensors.iter().map(|t| found.tensors[*t].clone()).collect(),
            layers: layers.iter().map(|l| found.layers[*l].clone().renumbered(place)).collect(),
            inputs: sources
                .iter()
                .enumerate()
                .map(|(tensor, s)| Input { tensor, norm: s.map_or_else(Norm::default, |(_, norm)| *norm) })
                .collect(),
            outputs: leaving.iter().map(|t| place(*t)).collect(),
        };
        (network, sources.into_iter().map(|s| s.map(|(outlet, _)| *outlet)).collect())
    }
}
