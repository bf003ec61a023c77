//! A graph of a model folder in tract: parsed, typed, compared with the manifest, fused, planned, run.
//!
//! Operations of `tract_fused` replace parts of it where they are faster: integer regions in quantized graphs, and the mask
//! decoder. A graph that tract does not support is an error that names the file, even where tract itself would panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tract_fused::{FuseInt8, FuseMaskDecoder, Int8Region, Kernels, Lower, MaskDecoder, TensorPool, set_input_types};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{DimLike, Factoid, GenericFactoid};

use super::fused;
use super::manifest::{Dim, GraphSpec, TensorSpec};
use super::sam::LoadTimes;
use crate::error::{Error, ErrorKind, Result};

/// An input of SAM's decoder that only the final, data-dependent resize reads; its output is not requested.
const UNUSED_INPUT: &str = "orig_im_size";

/// A typed graph, checked against the manifest and not planned yet.
pub struct TypedGraph {
    file: String,
    model: TypedModel,
}

impl TypedGraph {
    /// Parses and types a graph. `is_plain`: with tract's own operations only.
    pub fn parse(spec: &GraphSpec, bytes: &[u8], is_plain: bool, times: &mut LoadTimes) -> Result<Self> {
        guarded(&spec.file, || {
            let begin = Instant::now();
            let onnx = if is_plain { tract_onnx::onnx().with_ignore_value_info(true) } else { tract_fused::onnx() };
            let model =
                onnx.model_for_read(&mut &bytes[..]).map_err(|e| failed(&spec.file, "is not an ONNX graph", e))?;
            let model = typed(spec, model)?;
            times.parse += begin.elapsed();
            Ok(Self { file: spec.file.clone(), model })
        })
    }

    /// Replaces the graph by the mask decoder operation, if it is one. Returns whether it was.
    pub fn fuse_mask_decoder(&mut self, times: &mut LoadTimes) -> Result<bool> {
        let (file, model) = (&self.file, &mut self.model);
        let begin = Instant::now();
        let outcome = guarded(file, || Ok(FuseMaskDecoder.try_transform(model)))?;
        times.optimize += begin.elapsed();
        if let Err(e) = &outcome {
            log::info!("{file}: no mask decoder that there are kernels for: {e}");
        }
        Ok(outcome.is_ok())
    }

    /// Replaces quantized layers by integer regions.
    pub fn fuse_int8(&mut self, kernels: Kernels, outputs_as_bytes: bool, times: &mut LoadTimes) -> Result<()> {
        let (file, model) = (&self.file, &mut self.model);
        let fuse = FuseInt8 { kernels: Some(kernels), outputs_as_bytes };
        let begin = Instant::now();
        guarded(file, || model.transform(&fuse).map_err(|e| failed(file, "cannot be fused", e)))?;
        times.optimize += begin.elapsed();
        Ok(())
    }

    /// Types of the outputs.
    pub fn output_types(&self) -> Vec<DatumType> {
        (0..self.model.outputs.len()).filter_map(|i| Some(self.model.output_fact(i).ok()?.datum_type)).collect()
    }

    /// Whether integer regions alone read the inputs, and take bytes of these types as they are.
    pub fn takes(&self, types: &[DatumType]) -> bool {
        let takes = |(input, given): (&OutletId, &DatumType)| {
            let readers = &self.model.node(input.node).outputs[0].successors;
            let region = |node: usize| self.model.node(node).op_as::<Int8Region>();
            !readers.is_empty()
                && readers
                    .iter()
                    .all(|r| region(r.node).is_some_and(|region| region.input_type(r.slot) == Some(*given)))
        };
        types.len() == self.model.inputs.len() && self.model.inputs.iter().zip(types).all(takes)
    }

    /// Changes the types of the first inputs; the operations that read them must accept these types.
    pub fn set_input_types(&mut self, types: &[DatumType]) -> Result<()> {
        set_input_types(&mut self.model, types).map_err(|e| failed(&self.file, "input", e))
    }

    /// The f32 network, for quantization.
    pub fn float_network(&self) -> Result<tract_fused::network::FloatNetwork> {
        guarded(&self.file, || {
            tract_fused::network::FloatNetwork::read(&self.model).map_err(|e| fused(e).within(&self.file))
        })
    }

    /// Whether the graph is quantized.
    pub fn is_quantized(&self) -> bool {
        self.model.nodes().iter().any(|n| n.op.name() == "QuantizeLinear")
    }

    /// Plans the graph; all parts that were not fused run in tract's own operations.
    pub(crate) fn plan(self, times: &mut LoadTimes) -> Result<Graph> {
        let Self { file, mut model } = self;
        guarded(&file, || {
            let begin = Instant::now();
            let plan =
                model.transform(&Lower).and_then(|()| model.into_optimized()).and_then(IntoRunnable::into_runnable);
            let plan = plan.map_err(|e| failed(&file, "cannot be planned", e))?;
            let state = spawned(&file, &plan)?;
            times.optimize += begin.elapsed();
            Ok(Graph { file: file.clone(), plan, state })
        })
    }
}

/// Names and shapes of outputs, inferred from the inputs.
pub(super) fn output_specs(
    file: &str,
    bytes: &[u8],
    inputs: &[TensorSpec],
    outputs: &[&str],
) -> Result<Vec<TensorSpec>> {
    guarded(file, || {
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let model = onnx.model_for_read(&mut &bytes[..]).map_err(|e| failed(file, "is not an ONNX graph", e))?;
        let model = connected(file, inputs, outputs, model)?;
        let spec = |(i, name): (usize, &&str)| {
            let fact = model.output_fact(i).map_err(|e| failed(file, "cannot be typed", e))?;
            Ok(computed_spec(name, fact))
        };
        outputs.iter().enumerate().map(spec).collect()
    })
}

fn computed_spec(name: &str, fact: &TypedFact) -> TensorSpec {
    let dim = |d: &TDim| d.to_usize().map_or_else(|_| Dim::Named(d.to_string()), Dim::Fixed);
    TensorSpec { name: name.to_owned(), shape: fact.shape.iter().map(dim).collect() }
}

/// A graph ready to run.
pub(crate) struct Graph {
    pub file: String,
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
}

fn spawned(file: &str, plan: &Arc<TypedRunnableModel>) -> Result<TypedSimpleState> {
    let mut state = plan.spawn().map_err(|e| failed(file, "cannot be started", e))?;
    state.turn_state.shared.insert(TensorPool::default());
    Ok(state)
}

impl Graph {
    /// Runs the graph. After an error the next run starts from a new state.
    pub(crate) fn run(&mut self, inputs: TVec<TValue>) -> Result<TVec<TValue>> {
        let file = &self.file;
        let state = &mut self.state;
        let outcome = guarded(file, || state.run(inputs).map_err(|e| failed(file, "cannot be run", e)));
        if outcome.is_err() {
            self.state = spawned(file, &self.plan)?;
        }
        outcome
    }

    /// The pool that results are recycled to.
    pub(crate) fn pool(&self) -> Option<&TensorPool> {
        self.state.turn_state.shared.get::<TensorPool>()
    }

    /// The optimized model.
    pub(crate) fn model(&self) -> &TypedModel {
        self.plan.model()
    }

    /// Its integer regions.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &Int8Region> {
        self.model().nodes().iter().filter_map(|n| n.op_as::<Int8Region>())
    }

    /// Whether it contains the mask decoder operation.
    pub(crate) fn is_mask_decoder(&self) -> bool {
        self.model().nodes().iter().any(|n| n.op_is::<MaskDecoder>())
    }
}

/// Types the graph with the manifest's inputs and outputs, in its order, and compares their shapes.
fn typed(spec: &GraphSpec, model: InferenceModel) -> Result<TypedModel> {
    let names: Vec<&str> = spec.outputs.iter().map(|t| t.name.as_str()).collect();
    let model = connected(&spec.file, &spec.inputs, &names, model)?;
    for (i, wanted) in spec.outputs.iter().enumerate() {
        let fact = model.output_fact(i).map_err(|e| failed(&spec.file, "cannot be typed", e))?;
        compare_computed(&spec.file, i, wanted, fact)?;
    }
    Ok(model)
}

/// Types the graph with these inputs and outputs, in this order.
fn connected(
    file: &str,
    wanted_inputs: &[TensorSpec],
    names: &[&str],
    mut model: InferenceModel,
) -> Result<TypedModel> {
    let cannot = |e| failed(file, "cannot be typed", e);
    let given = model.input_outlets().map_err(cannot)?.to_vec();
    let name_of = |model: &InferenceModel, o: &OutletId| model.node(o.node).name.clone();
    let mut inputs = Vec::new();
    for (i, wanted) in wanted_inputs.iter().enumerate() {
        let Some(&outlet) = given.iter().find(|o| name_of(&model, o) == wanted.name) else {
            let got: Vec<String> = given.iter().map(|o| name_of(&model, o)).collect();
            return Err(refused(format!("{file}: expected an input `{}`, got {got:?}", wanted.name)));
        };
        compare_declared(file, i, wanted, model.outlet_fact(outlet).map_err(cannot)?)?;
        let fact = InferenceFact::dt_shape(f32::datum_type(), dims(&model, wanted));
        model.set_outlet_fact(outlet, fact).map_err(cannot)?;
        inputs.push(outlet);
    }
    if let Some(o) = given.iter().find(|o| !inputs.contains(o) && name_of(&model, o) != UNUSED_INPUT) {
        let name = name_of(&model, o);
        return Err(refused(format!("{file}: expected the manifest's inputs, got another, `{name}`")));
    }
    model.set_input_outlets(&inputs).map_err(cannot)?;
    let absent = |e| failed(file, format!("expected outputs {names:?}"), e);
    model.select_outputs_by_name(names).map_err(absent)?;
    model.into_compact().and_then(|m| m.into_typed()).map_err(cannot)
}

fn dims(model: &InferenceModel, t: &TensorSpec) -> TVec<TDim> {
    let dim = |d: &Dim| match d {
        Dim::Fixed(n) => n.to_dim(),
        Dim::Named(name) => model.symbols.sym(name).into(),
    };
    t.shape.iter().map(dim).collect()
}

/// Compares an input's declared shape with the manifest's: fixed dimensions must be equal, symbolic ones are free.
fn compare_declared(file: &str, i: usize, wanted: &TensorSpec, fact: &InferenceFact) -> Result<()> {
    let declared: Vec<Option<i64>> = fact.shape.dims().map(|d| d.concretize().and_then(|d| d.to_i64().ok())).collect();
    let fits = |(got, wanted): (&Option<i64>, &Dim)| match (got, wanted) {
        (Some(got), Dim::Fixed(n)) => *got == *n as i64,
        (Some(_), Dim::Named(_)) => false,
        (None, _) => true,
    };
    let same_rank = declared.len() == wanted.shape.len() || fact.shape.is_open();
    if !same_rank || !declared.iter().zip(&wanted.shape).all(fits) {
        let got: Vec<String> = declared.iter().map(|d| d.map_or("?".into(), |n| n.to_string())).collect();
        let name = &wanted.name;
        return Err(refused(format!("{file}: input {i} `{name}` is {}, manifest says {wanted}", got.join("x"))));
    }
    if matches!(fact.datum_type, GenericFactoid::Only(t) if t != f32::datum_type()) {
        return Err(refused(format!("{file}: input {i} `{}` is {:?}, expected f32", wanted.name, fact.datum_type)));
    }
    Ok(())
}

/// Compares an output's inferred shape with the manifest's.
fn compare_computed(file: &str, i: usize, wanted: &TensorSpec, fact: &TypedFact) -> Result<()> {
    let got = computed_spec(&wanted.name, fact);
    if got != *wanted {
        return Err(refused(format!("{file}: output {i} `{}` is {got}, manifest says {wanted}", wanted.name)));
    }
    if fact.datum_type != f32::datum_type() {
        return Err(refused(format!("{file}: output {i} `{}` is {:?}, expected f32", wanted.name, fact.datum_type)));
    }
    Ok(())
}

pub(super) fn refused(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, context)
}

pub(super) fn failed(file: &str, what: impl std::fmt::Display, cause: TractError) -> Error {
    Error::caused(ErrorKind::Model, format!("{file}: {what}: {cause:#}"), cause)
}

/// Converts a panic inside tract, which parses untrusted bytes, to an error.
pub(super) fn guarded<T>(file: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(refused(format!("{file}: {}", said(&*panic)))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the runtime panicked: {}", text.unwrap_or_default())
}
