//! A model folder as a [`Segmenter`]: two graphs in tract, and the tensors between them.
//!
//! Loading verifies everything: the manifest is checked, each file is compared with its SHA-256 and the same bytes are parsed,
//! names and shapes of both graphs are compared with the manifest, and the self-test is run.
//!
//! A quantized encoder passes bytes to the mask decoder, a quarter of the memory of f32. The number of points is symbolic in
//! the decoder. Padding to a fixed number would change the result, because padding tokens take part in attention, and would
//! not be faster.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;

use super::files::ModelFiles;
use super::graph::{Graph, TypedGraph, failed, refused};
use super::manifest::{GraphSpec, InputSpec, Kind, Manifest};
use super::postprocess::{self, MAPS, Padding};
use super::preprocess::Resampler;
use super::suggestion::doubled;
use super::{Decoded, Kernels, ModelPrompts, ModelSpec, Segmenter, chosen_kernels, self_test};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::ModelView;
use crate::model::values::Values;

/// Most points of a decode, including the corners of a box.
pub const POINTS_MAX: usize = 64;

/// Options of loading a model folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Skips the self-test: for measuring a new model, never on the live path.
    pub skip_self_test: bool,
    /// Runs both graphs with tract's own operations only, as a reference.
    pub tract_only: bool,
    /// Kernels of integer regions; `None` for those that [`KERNELS_VARIABLE`](super::KERNELS_VARIABLE) names, or the fastest.
    pub kernels: Option<Kernels>,
}

/// Times of the stages of loading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Reading the files and their SHA-256.
    pub read: Duration,
    /// Parsing and typing the graphs.
    pub parse: Duration,
    /// Fusing, optimizing and planning the graphs.
    pub optimize: Duration,
    /// The self-test.
    pub self_test: Duration,
}

/// A loaded model with its manifest.
pub struct Loaded {
    /// Ready to run.
    pub segmenter: TractSam,
    /// The manifest.
    pub manifest: Manifest,
    /// Times of loading.
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
    load_files(ModelFiles::Folder(folder), options)
}

/// Loads a model whose files may be in memory.
///
/// # Errors
/// As [`load`].
pub fn load_files(files: ModelFiles<'_>, options: LoadOptions) -> Result<Loaded> {
    let mut times = LoadTimes::default();
    let begin = Instant::now();
    let manifest = Manifest::of(&files)?;
    files.read_checked(&manifest.card)?;
    times.read += begin.elapsed();
    let ([encoder, decoder], given) = planned(files, &manifest, options, &mut times)?;
    let proposal = match &manifest.proposal {
        Some(spec) => Some(planned_proposal(files, spec, &given[..spec.inputs.len()], options, &mut times)?),
        None => None,
    };
    let mut segmenter = TractSam::new(&manifest, encoder, decoder, proposal)?;
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

/// Parses a graph; the file's bytes are dropped.
fn parsed(files: ModelFiles<'_>, spec: &GraphSpec, options: LoadOptions, times: &mut LoadTimes) -> Result<TypedGraph> {
    let begin = Instant::now();
    let bytes = files.read_checked(&spec.file_spec())?;
    times.read += begin.elapsed();
    TypedGraph::parse(spec, &bytes, options.tract_only, times)
}

/// Loads both graphs, with bytes between them if both support it, and the types of what the encoder gives. The decoder is reduced to its operation before the encoder is
/// read, so that one unfused graph is in memory at a time.
fn planned(
    files: ModelFiles<'_>,
    manifest: &Manifest,
    options: LoadOptions,
    times: &mut LoadTimes,
) -> Result<([Graph; 2], Vec<DatumType>)> {
    let kernels = options.kernels.map_or_else(chosen_kernels, Ok)?;
    let mut decoder = parsed(files, &manifest.decoder, options, times)?;
    let mut takes_bytes = false;
    if !options.tract_only {
        takes_bytes = manifest.kind == Kind::Sonotap && decoder.fuse_mask_decoder(times)?;
        if !takes_bytes {
            decoder.fuse_int8(kernels, false, times)?;
        }
    }
    let mut encoder = parsed(files, &manifest.encoder, options, times)?;
    if !options.tract_only {
        encoder.fuse_int8(kernels, takes_bytes, times)?;
    }
    let given = encoder.output_types();
    if takes_bytes {
        decoder.set_input_types(&given)?;
    }
    Ok(([encoder.plan(times)?, decoder.plan(times)?], given))
}

/// Loads the graph that proposes, which takes what the encoder gives as bytes where it was quantized for them.
fn planned_proposal(
    files: ModelFiles<'_>,
    spec: &GraphSpec,
    given: &[DatumType],
    options: LoadOptions,
    times: &mut LoadTimes,
) -> Result<Proposal> {
    let mut graph = parsed(files, spec, options, times)?;
    let mut takes_bytes = false;
    if !options.tract_only {
        graph.fuse_int8(options.kernels.map_or_else(chosen_kernels, Ok)?, false, times)?;
        takes_bytes = graph.takes(given);
    }
    if takes_bytes {
        graph.set_input_types(given)?;
    }
    Ok(Proposal { graph: graph.plan(times)?, inputs: given.len(), takes_bytes })
}

/// The graph that proposes a mask.
struct Proposal {
    graph: Graph,
    /// The first outputs of the encoder that it reads.
    inputs: usize,
    /// Whether it takes them as they are; else as f32.
    takes_bytes: bool,
}

/// A model of either kind.
///
/// # Cost
/// After the first calls all buffers of its own and of fused operations are reused. tract allocates the tensors between its
/// other nodes.
pub struct TractSam {
    kind: Kind,
    spec: ModelSpec,
    norms: Vec<(f32, f32)>,
    encoder: Graph,
    decoder: Graph,
    proposal: Option<Proposal>,
    resampler: Resampler,
    image: Arc<Tensor>,
    /// Prompt maps, or SAM's mask input.
    dense: Arc<Tensor>,
    coords: Vec<f32>,
    labels: Vec<f32>,
    /// Both as inputs of the decoder, [1, N, 2] and [1, N].
    points: [Arc<Tensor>; 2],
    /// The encoder's outputs for the last frame.
    embedding: Option<TVec<TValue>>,
}

impl TractSam {
    fn new(manifest: &Manifest, encoder: Graph, decoder: Graph, proposal: Option<Proposal>) -> Result<Self> {
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
            proposal,
            resampler: Resampler::default(),
            image: Arc::new(image),
            dense: Arc::new(dense),
            coords: Vec::new(),
            labels: Vec::new(),
            points: Default::default(),
            embedding: None,
        })
    }

    /// Whether the decoder runs as the fused operation.
    pub fn has_mask_decoder(&self) -> bool {
        self.decoder.is_mask_decoder()
    }

    /// The kernels of the encoder's integer regions; `None` if it has none.
    pub fn kernels(&self) -> Option<Kernels> {
        self.encoder.regions().find_map(|r| Some(r.plan()?.kernels()))
    }

    /// The encoder's integer regions.
    pub fn encoder_regions(&self) -> impl Iterator<Item = &tract_fused::Int8Region> {
        self.encoder.regions()
    }

    /// Whether one integer region is all of the graph that proposes, and takes what the encoder gives as bytes.
    pub fn has_integer_proposal(&self) -> bool {
        self.proposal.as_ref().is_some_and(|p| p.takes_bytes && p.graph.regions().count() == 1)
    }

    /// All graphs, the encoder first.
    pub(super) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        [&self.encoder, &self.decoder].into_iter().chain(self.proposal.as_ref().map(|p| &p.graph))
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

    /// Writes points to `points`, and prompt maps or a mask to `dense`.
    fn write_prompts(&mut self, prompts: &ModelPrompts) -> Result<()> {
        let padding = if self.kind == Kind::Sonotap { Padding::WhenEmpty } else { Padding::UnlessBoxed };
        postprocess::points(prompts, padding, &mut self.coords, &mut self.labels);
        let cannot = |e| failed(&self.decoder.file, "input", e);
        let n = self.labels.len();
        put(&mut self.points[0], &[1, n, 2], &self.coords).map_err(cannot)?;
        put(&mut self.points[1], &[1, n], &self.labels).map_err(cannot)?;
        let dense = values_mut(&mut self.dense).map_err(cannot)?;
        match self.kind {
            Kind::Sonotap => postprocess::prompt_maps(prompts, self.spec.side, self.spec.mask_cells, dense),
            Kind::SamOfficial if !prompts.previous.is_empty() => dense.copy_from_slice(&prompts.previous),
            Kind::SamOfficial => dense.fill(0.0),
        }
        Ok(())
    }

    /// Runs the decoder on the written prompts. Recycles the tensors of `out` and replaces them by the results.
    fn ask(&mut self, has_previous: bool, out: &mut Decoded) -> Result<()> {
        let Some(embedding) = &self.embedding else { return Err(not_encoded()) };
        let graph = &mut self.decoder;
        let mut inputs = embedding.clone();
        let prompts = self.points.iter().chain([&self.dense]);
        inputs.extend(prompts.map(|tensor| TValue::from_const(tensor.clone())));
        if self.kind == Kind::SamOfficial {
            inputs.push(tensor1(&[f32::from(u8::from(has_previous))]).into());
        }
        if let Some(pool) = graph.pool() {
            let read = [&mut out.masks, &mut out.pixels].map(std::mem::take);
            read.into_iter().filter_map(Values::into_runtime).for_each(|tensor| pool.recycle_tensor(tensor));
        }
        let mut outputs = graph.run(inputs)?.into_iter();
        out.masks = outputs.next().map(Values::of).unwrap_or_default();
        out.iou.clear();
        if let Some(iou) = outputs.next() {
            out.iou.extend_from_slice(values(&iou).map_err(|e| failed(&graph.file, "output", e))?);
            if let Some(pool) = graph.pool() {
                pool.recycle(iou);
            }
        }
        out.pixels = outputs.next().map(Values::of).unwrap_or_default();
        Ok(())
    }
}

impl Segmenter for TractSam {
    fn spec(&self) -> ModelSpec {
        self.spec
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        if let (Some(read), Some(pool)) = (self.embedding.take(), self.encoder.pool()) {
            read.into_iter().for_each(|value| pool.recycle(value));
        }
        if view.side() != self.spec.side {
            let (expected, got) = (self.spec.side, view.side());
            return Err(Error::new(ErrorKind::Argument, format!("view: expected {expected} model px, got {got}")));
        }
        let image = values_mut(&mut self.image).map_err(|e| failed(&self.encoder.file, "input", e))?;
        self.resampler.planes(frame, view, &self.norms, image)?;
        self.embedding = Some(self.encoder.run(tvec![TValue::from_const(self.image.clone())])?);
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        self.check(prompts)?;
        if self.embedding.is_none() {
            return Err(not_encoded());
        }
        self.write_prompts(prompts)?;
        self.ask(!prompts.previous.is_empty(), out)?;
        let ModelSpec { mask_cells, masks, pixel_channels, .. } = self.spec;
        let plane = mask_cells * mask_cells;
        let sizes =
            [(out.masks.len(), masks * plane), (out.iou.len(), masks), (out.pixels.len(), pixel_channels * plane)];
        for (i, (got, expected)) in sizes.into_iter().enumerate() {
            if got != expected {
                let file = &self.decoder.file;
                return Err(refused(format!("{file}: expected {expected} values of output {i}, got {got}")));
            }
        }
        Ok(())
    }

    fn propose(&mut self, out: &mut Vec<f32>) -> Result<Option<f32>> {
        out.clear();
        let Some(Proposal { graph, inputs, takes_bytes }) = &mut self.proposal else { return Ok(None) };
        let Some(embedding) = &self.embedding else { return Err(not_encoded()) };
        let seen = &embedding[..*inputs];
        let seen = if *takes_bytes { Ok(seen.iter().cloned().collect()) } else { floats(seen) };
        let outputs = graph.run(seen.map_err(|e| failed(&graph.file, "input", e))?)?;
        let cannot = |e| failed(&graph.file, "output", e);
        let (logits, score) = (values(&outputs[0]).map_err(cannot)?, values(&outputs[1]).map_err(cannot)?);
        let edge = self.spec.mask_cells / 2;
        let (&[score], true) = (score, logits.len() == edge * edge) else {
            let (file, got) = (&graph.file, [logits.len(), score.len()]);
            return Err(refused(format!("{file}: expected {} values and one, got {got:?}", edge * edge)));
        };
        doubled(logits, edge, out);
        if let Some(pool) = graph.pool() {
            outputs.into_iter().for_each(|value| pool.recycle(value));
        }
        Ok(Some(1.0 / (1.0 + (-score).exp())))
    }
}

/// The encoder's outputs as f32, dequantized where they are bytes.
fn floats(embedding: &[TValue]) -> TractResult<TVec<TValue>> {
    embedding.iter().map(|t| Ok(t.cast_to::<f32>()?.into_owned().into_tvalue())).collect()
}

fn zeros(shape: &[usize]) -> TractResult<Tensor> {
    Tensor::zero::<f32>(shape)
}

/// Writes values to a tensor; reallocates it if its shape differs.
fn put(tensor: &mut Arc<Tensor>, shape: &[usize], values: &[f32]) -> TractResult<()> {
    if tensor.shape() != shape {
        *tensor = Arc::new(zeros(shape)?);
    }
    values_mut(tensor)?.copy_from_slice(values);
    Ok(())
}

/// Mutable values; copied first if the tensor is still shared with tract.
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
