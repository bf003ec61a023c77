//! The network that proposes, quantized for the bytes that the quantized encoder gives.

use std::fmt;
use std::path::Path;

use tract_fused::Engine;
use tract_fused::network::{IntegerNetwork, Quantization};

use super::float::Sample;
use super::integer::run_on;
use super::{Fit, Method, Options, fitted, qdq, spread};
use crate::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use crate::eval::runner;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::geometry::ModelView;
use sonotap::model::graph::TypedGraph;
use sonotap::model::manifest::{Manifest, TensorSpec};
use sonotap::model::sam::{self, LoadOptions, LoadTimes, TractSam};
use sonotap::model::{Segmenter as _, chosen_kernels, fused};

/// Images that its ranges are seen on, and judged on: what the encoder gives of an image is kept in memory, 1 MB each.
const IMAGES: usize = 96;

/// What quantization costs the proposal.
#[derive(Clone, Debug)]
pub struct ProposalReport {
    /// Its network.
    pub fit: Fit,
    /// Images of the `val` splits on which it was compared with the proposal in f32, encoders included.
    pub images: usize,
    /// Mean IoU of the two masks; two empty ones agree.
    pub agreement: f64,
    /// Mean distance of the two estimates of IoU.
    pub score_distance: f64,
}

impl fmt::Display for ProposalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, agreement, score_distance, fit } = self;
        if *images == 0 {
            return write!(f, "Proposal quantized, ranges by {}; not compared with that in f32.", fit.method.name());
        }
        write!(
            f,
            "Proposal quantized, ranges by {}; on {images} val images its mask has an IoU of {agreement:.3} with that in f32, and its \
             score differs by {score_distance:.3}.",
            fit.method.name()
        )
    }
}

/// The quantized proposal of a model folder as ONNX; `None` if it has none. `images`: to calibrate on, and to judge on.
///
/// # Errors
/// `Model` when the network holds what integer regions do not; those of reading it.
pub(super) fn quantized(
    source: &Path,
    manifest: &Manifest,
    encoder: &IntegerNetwork,
    images: [&[Sample]; 2],
    method: Option<Method>,
) -> Result<Option<(Vec<u8>, ProposalReport)>> {
    let Some(spec) = &manifest.proposal else { return Ok(None) };
    let bytes = Manifest::read_file(source, &spec.file_spec())?;
    let graph = TypedGraph::parse(spec, &bytes, false, &mut LoadTimes::default())?;
    let network = graph.float_network()?;
    let mut engine = Engine::new(encoder, chosen_kernels()?).map_err(fused)?;
    let places = spec.inputs.iter().map(|input| place(encoder, input)).collect::<Result<Vec<usize>>>()?;
    let given: Vec<Quantization> = places.iter().map(|i| engine.plan().output_quantization(*i)).collect();
    let mut seen = |images: &[Sample]| -> Result<Vec<Sample>> {
        let features = |image: Sample| {
            run_on(&mut engine, &image)?;
            let of_output = |i: &usize| {
                let mut values = vec![0.0; engine.plan().output_shape(*i).len()];
                engine.output(*i, &mut values);
                values
            };
            Ok(places.iter().map(of_output).collect())
        };
        spread(images, IMAGES).into_iter().map(features).collect()
    };
    let (calibration, judged) = (seen(images[0])?, seen(images[1])?);
    let (integer, fit) = fitted(&network, &calibration, &judged, method, &given)?;
    let report = ProposalReport { fit, images: 0, agreement: 0.0, score_distance: 0.0 };
    Ok(Some((qdq::write(&integer, "proposal")?, report)))
}

/// Which of the encoder's outputs an input is.
fn place(encoder: &IntegerNetwork, input: &TensorSpec) -> Result<usize> {
    let found = encoder.outputs.iter().position(|t| encoder.tensors[*t].name == input.name);
    found.ok_or_else(|| {
        Error::new(ErrorKind::Model, format!("proposal: expected an output `{}` of the encoder, got none", input.name))
    })
}

impl ProposalReport {
    /// Compares the proposals of the new folder with those of the old one on the sets' `val` splits.
    ///
    /// # Errors
    /// Those of the models.
    pub(super) fn compare(&mut self, source: &Path, quantized: &mut TractSam, options: &Options) -> Result<()> {
        let skipped = LoadOptions { skip_self_test: true, ..LoadOptions::default() };
        let mut plain = sam::load_with(source, skipped)?.segmenter;
        let side = plain.spec().side;
        let (mut exact, mut rounded) = (Vec::new(), Vec::new());
        for folder in &options.sets {
            let choice = DatasetOptions { split: Some("val".into()), objects: ObjectChoice::Largest };
            let Ok(set) = Dataset::open(folder, &choice) else { continue };
            for item in runner::items(&set, ObjectChoice::Largest, Some(options.validation), options.seed) {
                let Ok(pair) = item.row.load() else { continue };
                let view = ModelView::new(pair.image.bounds(), side);
                plain.encode(&pair.image, &view)?;
                quantized.encode(&pair.image, &view)?;
                let scores = [plain.propose(&mut exact)?, quantized.propose(&mut rounded)?];
                let [Some(a), Some(b)] = scores else { continue };
                self.images += 1;
                self.agreement += overlap(&exact, &rounded);
                self.score_distance += f64::from((a - b).abs());
            }
        }
        let n = self.images.max(1) as f64;
        (self.agreement, self.score_distance) = (self.agreement / n, self.score_distance / n);
        Ok(())
    }
}

/// IoU of what is above 0.
fn overlap(a: &[f32], b: &[f32]) -> f64 {
    let (mut both, mut either) = (0u32, 0u32);
    for (a, b) in a.iter().zip(b) {
        both += u32::from(*a > 0.0 && *b > 0.0);
        either += u32::from(*a > 0.0 || *b > 0.0);
    }
    if either == 0 { 1.0 } else { f64::from(both) / f64::from(either) }
}
