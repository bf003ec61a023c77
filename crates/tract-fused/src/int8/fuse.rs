//! Replaces each maximal connected set of integer layers by an [`Int8Region`].
//!
//! A region must not depend on its own outputs. So each layer has a stage: the largest number of times that a path to it
//! changes from integers to f32 and back. Layers of one stage that share tensors form one region.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

use super::Kernels;
use super::network::{Input, IntegerNetwork, Layer, Network, Norm, TensorId};
use super::recognize::{Recognized, recognize};
use super::region::{Int8Region, OutputForm};
use crate::quantization::Dequantize;

/// Fuses the integer layers of a graph that was parsed by [`onnx`](crate::onnx) and is not decluttered yet.
#[derive(Clone, Debug)]
pub struct FuseInt8 {
    /// Kernels of the regions; `None`: value by value from the definition, thousands of times slower.
    pub kernels: Option<Kernels>,
    /// Whether outputs of the graph that a region writes are bytes of a quantized type, instead of f32.
    pub outputs_as_bytes: bool,
}

impl ModelTransform for FuseInt8 {
    fn name(&self) -> StaticName {
        "fuse_int8".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let mut found = recognize(model)?;
        let external_readers = found.external_readers(model);
        found.prune(&external_readers);
        if found.layers.is_empty() {
            return Ok(());
        }
        let mut fuser = Fuser { found: &found, external_readers, bytes: BTreeMap::new(), replaced_by: BTreeMap::new() };
        let regions = regions(model, &found)?;
        let outputs = model.outputs.clone();
        for (i, layers) in regions.iter().enumerate() {
            fuser.fuse(self, model, &outputs, i, layers)?;
        }
        model.compact()
    }
}

/// Indices of each region's layers; regions in execution order.
fn regions(model: &TypedModel, found: &Recognized) -> TractResult<Vec<Vec<usize>>> {
    let writer: BTreeMap<TensorId, usize> = found.layers.iter().enumerate().map(|(i, l)| (l.result(), i)).collect();
    // Stages of the f32 values after each node, and of tensors.
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

/// The stage of a tensor, from the stages of the tensors that its layer reads.
fn stage_of(y: TensorId, found: &Recognized, writer: &BTreeMap<TensorId, usize>, stages: &mut [usize]) -> usize {
    let Some(layer) = writer.get(&y) else { return stages[y] };
    // Tensors are visited in order; only an inserted tensor, which has no node, is not known yet.
    let is_between = |t: TensorId| !found.inputs.contains_key(&t) && !found.quantized.values().any(|q| *q == t);
    let reads = found.layers[*layer].reads();
    let stage = reads.into_iter().map(|t| if is_between(t) { stage_of(t, found, writer, stages) } else { stages[t] });
    stages[y] = stage.collect::<Vec<_>>().into_iter().max().unwrap_or(0);
    stages[y]
}

/// Nodes outside all layers that read a tensor.
#[derive(Default)]
struct ExternalReaders {
    /// Dequantize nodes whose result is read or is an output of the graph.
    values: Vec<usize>,
    /// The quantize node, if its bytes are read directly.
    raw: Option<usize>,
}

impl Recognized {
    /// Whether a node is part of a layer.
    fn is_within(&self, node: usize) -> bool {
        self.taken.contains(&node) || self.quantized.get(&node).is_some_and(|t| !self.inputs.contains_key(t))
    }

    /// Whether a node outside all layers reads a node's result.
    fn is_read_outside(&self, model: &TypedModel, node: usize) -> bool {
        model.node(node).outputs[0].successors.iter().any(|s| !self.is_within(s.node))
    }

    fn external_readers(&self, model: &TypedModel) -> BTreeMap<TensorId, ExternalReaders> {
        let mut all: BTreeMap<TensorId, ExternalReaders> = BTreeMap::new();
        for (quantize, t) in &self.quantized {
            let external = all.entry(*t).or_default();
            let readers = model.node(*quantize).outputs[0].successors.iter().map(|s| s.node);
            let (dequantize, other): (Vec<usize>, Vec<usize>) =
                readers.partition(|id| model.node(*id).op_is::<Dequantize>());
            let is_out = |id: &usize| self.is_read_outside(model, *id) || model.outputs.contains(&(*id).into());
            external.values = dequantize.into_iter().filter(is_out).collect();
            external.raw = (!other.is_empty() || model.outputs.contains(&(*quantize).into())).then_some(*quantize);
        }
        all
    }

    /// Drops layers whose result is not read.
    fn prune(&mut self, external_readers: &BTreeMap<TensorId, ExternalReaders>) {
        loop {
            let read: BTreeSet<TensorId> = self.layers.iter().flat_map(Layer::reads).collect();
            let leaves =
                |t: &TensorId| external_readers.get(t).is_some_and(|w| w.raw.is_some() || !w.values.is_empty());
            let before = self.layers.len();
            self.layers.retain(|l| read.contains(&l.result()) || leaves(&l.result()));
            if self.layers.len() == before {
                return;
            }
        }
    }
}

struct Fuser<'a> {
    found: &'a Recognized,
    external_readers: BTreeMap<TensorId, ExternalReaders>,
    /// Outlets of the tensors that regions output as bytes.
    bytes: BTreeMap<TensorId, OutletId>,
    /// Dequantize nodes, and the region's outlets that replace them.
    replaced_by: BTreeMap<OutletId, OutletId>,
}

impl Fuser<'_> {
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
        // Tensors that leave the region, and their forms.
        let (mut leaving, mut forms) = (Vec::new(), Vec::new());
        for t in inside.iter().copied() {
            let Some(readers) = self.external_readers.get(&t) else { continue };
            let is_asked = |d: &usize| options.outputs_as_bytes && outputs.contains(&OutletId::from(*d));
            let as_bytes = read_elsewhere.contains(&t) || readers.values.iter().any(is_asked);
            let is_read = |d: &usize| !is_asked(d) || found.is_read_outside(model, *d);
            let as_values = readers.raw.is_some() || readers.values.iter().any(is_read);
            for form in [(as_bytes, OutputForm::Quantized), (as_values, OutputForm::Float)].into_iter().filter(|f| f.0)
            {
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
                Some(outlet) => self.replaced_by.get(&outlet).copied().unwrap_or(outlet),
                None => *self.bytes.get(t).context("expected a region to have been computed before")?,
            };
            taps.push(patch.tap_model(model, outlet)?);
        }
        let wires = patch.wire_node(&name, op, &taps)?;
        let mut asked = Vec::new();
        for (k, (output, form)) in forms.iter().enumerate() {
            let (t, readers) = (leaving[*output], &self.external_readers[&leaving[*output]]);
            if *form == OutputForm::Quantized {
                self.bytes.insert(t, OutletId::new(0, k));
                let places = outputs.iter().enumerate();
                asked.extend(
                    places
                        .filter(|(_, o)| options.outputs_as_bytes && readers.values.contains(&o.node))
                        .map(|(i, _)| (i, k)),
                );
                continue;
            }
            for dequantize in &readers.values {
                patch.shunt_outside(model, OutletId::from(*dequantize), wires[k])?;
            }
            if let Some(quantize) = readers.raw {
                // Quantized again to the tensor's own type: exact, since the values are multiples of its scale.
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
            let readers = &self.external_readers[&leaving[*output]];
            if *form == OutputForm::Float {
                self.replaced_by.extend(readers.values.iter().map(|d| (OutletId::from(*d), OutletId::new(node, k))));
            }
        }
        for (place, slot) in asked {
            model.outputs[place] = OutletId::new(node, slot);
        }
        Ok(())
    }

    /// A region's network, and the f32 outlet of each input; `None` for bytes of a different region.
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
