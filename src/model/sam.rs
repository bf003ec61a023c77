//! The two graphs of a model folder, run by tract, or the encoder by the integer engine when it is quantized.
//!
//! Loading trusts nothing: the manifest is checked, each file's bytes are compared with its SHA-256 and those same bytes
//! parsed, names and shapes of both graphs are compared with the manifest, and the self-test is run. What tract cannot
//! take is an error that names the file, also where tract itself would panic.
//!
//! The number of points is symbolic in the decoder. Padding to a fixed number would change the answer, because attention
//! sees padding tokens too, and buys no speed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{DimLike, Factoid, GenericFactoid};

use super::manifest::{Dim, GraphSpec, InputSpec, Kind, Manifest, TensorSpec};
use super::postprocess::{self, MAPS, Padding};
use super::preprocess::Resampler;
use super::{Decoded, ModelPrompts, ModelSpec, Segmenter, self_test};
use crate::decode::{DecodeEngine, Planes, Question, Seen};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::ModelView;
use crate::int8::network::Shape;
use crate::int8::{Engine, Kernels, qdq};
use crate::onnx::read;

/// Most points that a decode takes, the corners of a box included.
pub const POINTS_MAX: usize = 64;

/// An input of SAM's decoder that only its last, data-dependent resize needs; that resize is not asked for.
const UNUSED_INPUT: &str = "orig_im_size";

/// How a model folder is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Leaves the self-test out: to measure a new model, never on the live path.
    pub skip_self_test: bool,
    /// Runs both graphs in tract, also where the integer engine or the own decoder would: to compare with.
    pub tract_only: bool,
}

/// Where the time of loading went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Reading the files and their SHA-256.
    pub read: Duration,
    /// From bytes to graphs.
    pub parse: Duration,
    /// From graphs to plans.
    pub optimize: Duration,
    /// The self-test.
    pub self_test: Duration,
}

/// A loaded model and what is known of it.
pub struct Loaded {
    /// Ready to run.
    pub segmenter: TractSam,
    /// As read.
    pub manifest: Manifest,
    /// How long it took.
    pub times: LoadTimes,
}

/// Loads a model folder with all its checks.
///
/// # Errors
/// `Io` when a file cannot be read, `Model` when the folder is not what its manifest says.
pub fn load(folder: &Path) -> Result<Box<dyn Segmenter>> {
    Ok(Box::new(load_with(folder, LoadOptions::default())?.segmenter))
}

/// Loads a model folder.
///
/// # Errors
/// As [`load`].
pub fn load_with(folder: &Path, options: LoadOptions) -> Result<Loaded> {
    let begin = Instant::now();
    let manifest = Manifest::load(folder)?;
    let [encoder, decoder] =
        [&manifest.encoder, &manifest.decoder].map(|g| Manifest::read_file(folder, &g.file_spec()));
    let (encoder, decoder) = (encoder?, decoder?);
    Manifest::read_file(folder, &manifest.card)?;
    let mut times = LoadTimes { read: begin.elapsed(), ..LoadTimes::default() };
    let decoder = Decoder::build(&manifest, &decoder, options, &mut times)?;
    let encoder = Encoder::build(&manifest, &encoder, options, matches!(decoder, Decoder::Own(..)), &mut times)?;
    let mut segmenter = TractSam::new(&manifest, encoder, decoder)?;
    if !options.skip_self_test {
        let Some(vector) = &manifest.self_test else {
            return Err(refused("manifest.toml: expected a self-test, got none"));
        };
        let begin = Instant::now();
        self_test::run(&mut segmenter, vector)?;
        times.self_test = begin.elapsed();
    }
    Ok(Loaded { segmenter, manifest, times })
}

/// A model of either kind.
///
/// # Cost
/// After the first call of each kind its own buffers are reused; tract allocates what passes between its nodes.
pub struct TractSam {
    kind: Kind,
    spec: ModelSpec,
    norms: Vec<(f32, f32)>,
    encoder: Encoder,
    decoder: Decoder,
    resampler: Resampler,
    image: Arc<Tensor>,
    /// Prompt maps, or SAM's mask input.
    dense: Arc<Tensor>,
    coords: Vec<f32>,
    labels: Vec<f32>,
    embedding: Option<Embedding>,
}

/// What the encoder made of a frame.
enum Embedding {
    Tensors(TVec<TValue>),
    /// It lies in the integer encoder.
    Bytes,
}

impl TractSam {
    fn new(manifest: &Manifest, encoder: Encoder, decoder: Decoder) -> Result<Self> {
        let spec = manifest.spec();
        let InputSpec { side, mean, std } = &manifest.input;
        let planes = match manifest.kind {
            Kind::Sonotap => MAPS,
            Kind::SamOfficial => 1,
        };
        let image = zeros(&[1, mean.len(), *side, *side]).map_err(|e| failed("encoder", "input", e))?;
        let dense = zeros(&[1, planes, spec.mask_cells, spec.mask_cells]).map_err(|e| failed("decoder", "input", e))?;
        Ok(Self {
            kind: manifest.kind,
            spec,
            norms: mean.iter().copied().zip(std.iter().copied()).collect(),
            encoder,
            decoder,
            resampler: Resampler::default(),
            image: Arc::new(image),
            dense: Arc::new(dense),
            coords: Vec::new(),
            labels: Vec::new(),
            embedding: None,
        })
    }

    /// Whether the decoder runs without tract.
    pub fn has_own_decoder(&self) -> bool {
        matches!(self.decoder, Decoder::Own(..))
    }

    /// The kernels of the integer engine, when the encoder runs there.
    pub fn kernels(&self) -> Option<Kernels> {
        match &self.encoder {
            Encoder::Graph(_) => None,
            Encoder::Integer(e) => Some(e.engine.kernels()),
        }
    }

    fn check(&self, prompts: &ModelPrompts) -> Result<()> {
        let refuse = |context: String| Err(Error::new(ErrorKind::Argument, context));
        let points = prompts.clicks.len() + 2 * usize::from(prompts.boxed.is_some());
        if points > POINTS_MAX {
            return refuse(format!("prompts: expected at most {POINTS_MAX} points, got {points}"));
        }
        if let Some((at, _)) = prompts.clicks.iter().find(|(at, _)| !at.is_finite()) {
            return refuse(format!("prompts: expected clicks at finite places, got {at:?}"));
        }
        if let Some(b) = prompts.boxed.filter(|b| !(b.min().is_finite() && b.max().is_finite())) {
            return refuse(format!("prompts: expected a box with finite edges, got {b:?}"));
        }
        let (cells, got) = (self.spec.mask_cells, prompts.previous.len());
        if got != 0 && got != cells * cells {
            return refuse(format!("prompts: expected a previous mask of {cells}x{cells} values, got {got}"));
        }
        Ok(())
    }

    /// Points into `coords` and `labels`, maps or a mask into `dense`.
    fn write_prompts(&mut self, prompts: &ModelPrompts) -> Result<()> {
        let padding = if self.kind == Kind::Sonotap { Padding::WhenEmpty } else { Padding::UnlessBoxed };
        postprocess::points(prompts, padding, &mut self.coords, &mut self.labels);
        let dense = values_mut(&mut self.dense).map_err(|e| failed(self.decoder.file(), "input", e))?;
        match self.kind {
            Kind::Sonotap => postprocess::prompt_maps(prompts, self.spec.side, self.spec.mask_cells, dense),
            Kind::SamOfficial if !prompts.previous.is_empty() => dense.copy_from_slice(&prompts.previous),
            Kind::SamOfficial => dense.fill(0.0),
        }
        Ok(())
    }

    /// Asks tract's decoder.
    fn ask(&mut self, has_previous: bool, out: &mut Decoded) -> Result<()> {
        let Decoder::Graph(graph) = &mut self.decoder else { return Ok(()) };
        let Some(Embedding::Tensors(embedding)) = &self.embedding else { return Err(not_encoded()) };
        let file = graph.file.clone();
        let n = self.labels.len();
        let tensor = |shape: &[usize], values: &[f32]| {
            Tensor::from_shape(shape, values).map(TValue::from).map_err(|e| failed(&file, "input", e))
        };
        let mut inputs = embedding.clone();
        inputs.push(tensor(&[1, n, 2], &self.coords)?);
        inputs.push(tensor(&[1, n], &self.labels)?);
        inputs.push(TValue::from_const(self.dense.clone()));
        if self.kind == Kind::SamOfficial {
            inputs.push(tensor(&[1], &[f32::from(u8::from(has_previous))])?);
        }
        let outputs = graph.run(inputs)?;
        for (i, buffer) in [&mut out.masks, &mut out.iou, &mut out.pixels].into_iter().enumerate() {
            buffer.clear();
            if let Some(tensor) = outputs.get(i) {
                buffer.extend_from_slice(values(tensor).map_err(|e| failed(&file, "output", e))?);
            }
        }
        Ok(())
    }
}

impl Segmenter for TractSam {
    fn spec(&self) -> ModelSpec {
        self.spec
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        self.embedding = None;
        if view.side() != self.spec.side {
            let (expected, got) = (self.spec.side, view.side());
            return Err(Error::new(ErrorKind::Argument, format!("view: expected {expected} model px, got {got}")));
        }
        let image = values_mut(&mut self.image).map_err(|e| failed(self.encoder.file(), "input", e))?;
        self.resampler.planes(frame, view, &self.norms, image)?;
        let embedding = match &mut self.encoder {
            Encoder::Graph(graph) => Embedding::Tensors(graph.run(tvec![TValue::from_const(self.image.clone())])?),
            Encoder::Integer(integer) => integer.run(image)?,
        };
        self.embedding = Some(embedding);
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        self.check(prompts)?;
        if self.embedding.is_none() {
            return Err(not_encoded());
        }
        self.write_prompts(prompts)?;
        match &mut self.decoder {
            Decoder::Own(file, engine) => {
                let Decoded { masks, iou, pixels } = out;
                let failed = |e| failed(file, "input", e);
                let maps = values(&self.dense).map_err(failed)?;
                let seen = match (&self.embedding, &self.encoder) {
                    (Some(Embedding::Tensors(tensors)), _) => seen_values(tensors).map_err(failed)?,
                    (_, Encoder::Integer(integer)) => integer.seen(),
                    _ => None,
                };
                let seen = seen.ok_or_else(not_encoded)?;
                engine.answer(&mut Question {
                    seen,
                    coords: &self.coords,
                    labels: &self.labels,
                    maps,
                    masks,
                    iou,
                    pixels,
                })?;
            }
            Decoder::Graph(_) => self.ask(!prompts.previous.is_empty(), out)?,
        }
        let ModelSpec { mask_cells, masks, pixel_channels, .. } = self.spec;
        let plane = mask_cells * mask_cells;
        let sizes = [(&out.masks, masks * plane), (&out.iou, masks), (&out.pixels, pixel_channels * plane)];
        for (i, (buffer, expected)) in sizes.into_iter().enumerate() {
            if buffer.len() != expected {
                let (file, got) = (self.decoder.file(), buffer.len());
                return Err(refused(format!("{file}: expected {expected} values of output {i}, got {got}")));
            }
        }
        Ok(())
    }
}

/// What answers prompts.
enum Decoder {
    Graph(Box<Graph>),
    /// Its file's name, and itself.
    Own(String, Box<DecodeEngine>),
}

impl Decoder {
    /// Our own for a graph that it knows; else tract.
    fn build(manifest: &Manifest, bytes: &[u8], options: LoadOptions, times: &mut LoadTimes) -> Result<Self> {
        let spec = &manifest.decoder;
        let begin = Instant::now();
        if manifest.kind == Kind::Sonotap && !options.tract_only {
            match read::Graph::parse(bytes).and_then(|g| DecodeEngine::new(&g)) {
                Ok(engine) => {
                    times.parse += begin.elapsed();
                    return Ok(Self::Own(spec.file.clone(), Box::new(engine)));
                }
                Err(e) => log::info!("{}: runs in tract: {e}", spec.file),
            }
        }
        Ok(Self::Graph(Box::new(Graph::build(spec, bytes, times)?)))
    }

    fn file(&self) -> &str {
        match self {
            Self::Graph(graph) => &graph.file,
            Self::Own(file, _) => file,
        }
    }
}

/// What looks at an image.
enum Encoder {
    Graph(Box<Graph>),
    Integer(Box<IntegerEncoder>),
}

impl Encoder {
    /// The integer engine for a quantized graph that it knows; else tract. `gives_bytes`: the decoder takes bytes.
    fn build(
        manifest: &Manifest,
        bytes: &[u8],
        options: LoadOptions,
        gives_bytes: bool,
        times: &mut LoadTimes,
    ) -> Result<Self> {
        let spec = &manifest.encoder;
        let kernels = Kernels::chosen()?;
        let begin = Instant::now();
        let is_own = manifest.kind == Kind::Sonotap && !options.tract_only;
        if let Some(graph) = read::Graph::parse(bytes).ok().filter(|g| is_own && qdq::is_quantized(g)) {
            match IntegerEncoder::new(spec, &graph, kernels, gives_bytes) {
                Ok(integer) => {
                    times.parse += begin.elapsed();
                    return Ok(Self::Integer(Box::new(integer)));
                }
                Err(e) => log::warn!("{}: runs without the integer engine, many times slower: {e}", spec.file),
            }
        }
        Ok(Self::Graph(Box::new(Graph::build(spec, bytes, times)?)))
    }

    fn file(&self) -> &str {
        match self {
            Self::Graph(graph) => &graph.file,
            Self::Integer(integer) => &integer.file,
        }
    }
}

/// A quantized encoder with its outputs as the decoder takes them.
struct IntegerEncoder {
    file: String,
    engine: Engine,
    /// Of each of the manifest's outputs, which of the network's it is.
    order: Vec<usize>,
    outputs: Outputs,
}

/// Planes of what an encoder made.
enum Outputs {
    /// For tract.
    Tensors(Vec<Arc<Tensor>>),
    /// For a decoder of our own: a quarter of the memory to write and read.
    Bytes(Vec<Vec<u8>>),
}

impl IntegerEncoder {
    fn new(spec: &GraphSpec, graph: &read::Graph, kernels: Kernels, gives_bytes: bool) -> Result<Self> {
        let network = qdq::read(graph)?;
        let Shape { channels, height, width } = network.shape(network.input);
        let given = &spec.inputs[0];
        if ![1, channels, height, width].iter().enumerate().all(|(i, n)| given.fixed(i) == Some(*n)) {
            let name = &given.name;
            return Err(refused(format!("input 0 `{name}` is 1x{channels}x{height}x{width}, manifest says {given}")));
        }
        let (mut order, mut tensors, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in &spec.outputs {
            let place = network.outputs.iter().position(|t| network.tensors[*t].name == wanted.name);
            let place = place.ok_or_else(|| refused(format!("expected an output `{}`, got none", wanted.name)))?;
            let Shape { channels, height, width } = network.shape(network.outputs[place]);
            if ![1, channels, height, width].iter().enumerate().all(|(i, n)| wanted.fixed(i) == Some(*n)) {
                let name = &wanted.name;
                return Err(refused(format!(
                    "output `{name}` is 1x{channels}x{height}x{width}, manifest says {wanted}"
                )));
            }
            order.push(place);
            if gives_bytes {
                bytes.push(vec![0; channels * height * width]);
            } else {
                let tensor = zeros(&[1, channels, height, width]).map_err(|e| failed(&spec.file, "output", e))?;
                tensors.push(Arc::new(tensor));
            }
        }
        let outputs = if gives_bytes { Outputs::Bytes(bytes) } else { Outputs::Tensors(tensors) };
        Ok(Self { file: spec.file.clone(), engine: Engine::new(&network, kernels)?, order, outputs })
    }

    fn run(&mut self, image: &[f32]) -> Result<Embedding> {
        self.engine.set_image(image)?;
        self.engine.run();
        match &mut self.outputs {
            Outputs::Bytes(planes) => {
                for (place, planes) in self.order.iter().zip(planes) {
                    self.engine.output_bytes(*place, planes);
                }
                Ok(Embedding::Bytes)
            }
            Outputs::Tensors(tensors) => {
                let mut values = TVec::new();
                for (place, tensor) in self.order.iter().zip(tensors) {
                    let out = values_mut(tensor).map_err(|e| failed(&self.file, "output", e))?;
                    self.engine.output(*place, out);
                    values.push(TValue::from_const(tensor.clone()));
                }
                Ok(Embedding::Tensors(values))
            }
        }
    }

    /// The bytes of the last run.
    fn seen(&self) -> Option<Seen<'_>> {
        let (Outputs::Bytes(planes), [embedding, skip4, skip2]) = (&self.outputs, &self.order[..]) else { return None };
        let steps = |i: usize, place: &usize| {
            let q = self.engine.output_quantization(*place);
            Planes::Steps { bytes: &planes[i], scale: q.scale, zero: q.zero_point as f32 }
        };
        Some(Seen { embedding: steps(0, embedding), skip4: steps(1, skip4), skip2: steps(2, skip2) })
    }
}

/// What an encoder in tract made, for a decoder of our own.
fn seen_values(tensors: &[TValue]) -> TractResult<Option<Seen<'_>>> {
    let [embedding, skip4, skip2] = tensors else { return Ok(None) };
    let planes = |tensor| values(tensor).map(Planes::Values);
    Ok(Some(Seen { embedding: planes(embedding)?, skip4: planes(skip4)?, skip2: planes(skip2)? }))
}

/// A graph ready to run.
struct Graph {
    file: String,
    plan: Arc<TypedRunnableModel>,
    state: TypedSimpleState,
}

impl Graph {
    fn build(spec: &GraphSpec, bytes: &[u8], times: &mut LoadTimes) -> Result<Self> {
        guarded(&spec.file, || {
            let begin = Instant::now();
            let onnx = tract_onnx::onnx().with_ignore_value_info(true);
            let model =
                onnx.model_for_read(&mut &bytes[..]).map_err(|e| failed(&spec.file, "is not an ONNX graph", e))?;
            times.parse += begin.elapsed();
            let begin = Instant::now();
            let model = typed(spec, model)?;
            let plan = model.into_optimized().and_then(IntoRunnable::into_runnable);
            let plan = plan.map_err(|e| failed(&spec.file, "cannot be planned", e))?;
            let state = plan.spawn().map_err(|e| failed(&spec.file, "cannot be started", e))?;
            times.optimize += begin.elapsed();
            Ok(Self { file: spec.file.clone(), plan, state })
        })
    }

    /// After an error the next run begins afresh.
    fn run(&mut self, inputs: TVec<TValue>) -> Result<TVec<TValue>> {
        let file = &self.file;
        let state = &mut self.state;
        let outcome = guarded(file, || state.run(inputs).map_err(|e| failed(file, "cannot be run", e)));
        if outcome.is_err() {
            self.state = self.plan.spawn().map_err(|e| failed(file, "cannot be started", e))?;
        }
        outcome
    }
}

/// Gives the graph the manifest's inputs and outputs, in its order, and compares their shapes.
fn typed(spec: &GraphSpec, mut model: InferenceModel) -> Result<TypedModel> {
    let cannot = |e| failed(&spec.file, "cannot be typed", e);
    let given = model.input_outlets().map_err(cannot)?.to_vec();
    let name_of = |model: &InferenceModel, o: &OutletId| model.node(o.node).name.clone();
    let mut inputs = Vec::new();
    for (i, wanted) in spec.inputs.iter().enumerate() {
        let Some(&outlet) = given.iter().find(|o| name_of(&model, o) == wanted.name) else {
            let got: Vec<String> = given.iter().map(|o| name_of(&model, o)).collect();
            return Err(refused(format!("{}: expected an input `{}`, got {got:?}", spec.file, wanted.name)));
        };
        compare_declared(&spec.file, i, wanted, model.outlet_fact(outlet).map_err(cannot)?)?;
        let fact = InferenceFact::dt_shape(f32::datum_type(), dims(&model, wanted));
        model.set_outlet_fact(outlet, fact).map_err(cannot)?;
        inputs.push(outlet);
    }
    if let Some(o) = given.iter().find(|o| !inputs.contains(o) && name_of(&model, o) != UNUSED_INPUT) {
        let (file, name) = (&spec.file, name_of(&model, o));
        return Err(refused(format!("{file}: expected the manifest's inputs, got another, `{name}`")));
    }
    model.set_input_outlets(&inputs).map_err(cannot)?;
    let names: Vec<&str> = spec.outputs.iter().map(|t| t.name.as_str()).collect();
    let absent = |e| failed(&spec.file, format!("expected outputs {names:?}"), e);
    model.select_outputs_by_name(&names).map_err(absent)?;
    let model = model.into_compact().and_then(|m| m.into_typed()).map_err(cannot)?;
    for (i, wanted) in spec.outputs.iter().enumerate() {
        compare_computed(&spec.file, i, wanted, model.output_fact(i).map_err(cannot)?)?;
    }
    Ok(model)
}

fn dims(model: &InferenceModel, t: &TensorSpec) -> TVec<TDim> {
    let dim = |d: &Dim| match d {
        Dim::Fixed(n) => n.to_dim(),
        Dim::Named(name) => model.symbols.sym(name).into(),
    };
    t.shape.iter().map(dim).collect()
}

/// An input's declared shape against the manifest's: fixed edges must be equal, open ones may be anything.
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

/// An output's shape, as it follows from the inputs, against the manifest's.
fn compare_computed(file: &str, i: usize, wanted: &TensorSpec, fact: &TypedFact) -> Result<()> {
    let got = TensorSpec {
        name: wanted.name.clone(),
        shape: fact.shape.iter().map(|d| d.to_usize().map_or_else(|_| Dim::Named(d.to_string()), Dim::Fixed)).collect(),
    };
    if got != *wanted {
        return Err(refused(format!("{file}: output {i} `{}` is {got}, manifest says {wanted}", wanted.name)));
    }
    if fact.datum_type != f32::datum_type() {
        return Err(refused(format!("{file}: output {i} `{}` is {:?}, expected f32", wanted.name, fact.datum_type)));
    }
    Ok(())
}

fn zeros(shape: &[usize]) -> TractResult<Tensor> {
    Tensor::zero::<f32>(shape)
}

/// The values for writing; copied first if tract still holds the tensor.
fn values_mut(tensor: &mut Arc<Tensor>) -> TractResult<&mut [f32]> {
    let view = Arc::make_mut(tensor).to_plain_array_view_mut::<f32>()?;
    view.into_slice().ok_or_else(|| TractError::msg("expected a dense tensor"))
}

/// The values of a dense tensor.
fn values(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

fn not_encoded() -> Error {
    Error::new(ErrorKind::Argument, "decode: expected a frame to be encoded before, got none")
}

fn refused(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, context)
}

fn failed(file: &str, what: impl std::fmt::Display, cause: TractError) -> Error {
    Error::caused(ErrorKind::Model, format!("{file}: {what}: {cause:#}"), cause)
}

/// A panic within tract, which meets bytes that nobody here wrote, becomes an error.
fn guarded<T>(file: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(refused(format!("{file}: {}", said(&*panic)))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the runtime panicked: {}", text.unwrap_or_default())
}
