//! A model folder in f32 becomes one whose encoder is quantized, and its proposal with it, and what that costs.
//!
//! Ranges are seen on images of the sets' `train` split; the way in which a range follows from them is chosen, and the loss in
//! IoU measured, on the `val` split. The decoder stays as it is. The new folder is refused, and removed, when it cannot be
//! loaded.

mod bias;
mod equalize;
mod float;
mod integer;
mod proposal;
mod qdq;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::eval::clicks::boxes::bounds_of;
use crate::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use crate::eval::protocol::{LookKind, Protocol, Questions};
use crate::eval::record::mean_iou_by_click;
use crate::eval::runner;
use equalize::equalize;
use float::Sample;
use integer::{Judge, losses, quantize};
use ranges::Observed;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::geometry::ModelView;
use sonotap::model::graph::TypedGraph;
use sonotap::model::manifest::{Evaluation, FileSpec, Kind, MANIFEST, Manifest};
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::preprocess::Resampler;
use sonotap::model::sam::{self, LoadOptions, LoadTimes};
use sonotap::model::self_test::{self, Difference};
use sonotap::model::views::crop_around;
use tract_fused::network::{FloatNetwork, IntegerNetwork, Quantization};

pub use integer::Loss;
pub use proposal::ProposalReport;
pub use ranges::Method;

/// Clicks of the validation.
const CLICKS: usize = 5;
/// Images on which the loss of each tensor is measured, by the slow definition.
const LOSS_IMAGES: usize = 4;
/// Images on which biases are corrected.
const BIAS_IMAGES: usize = 64;
/// The self-test of the new folder, and how far another processor's decoder may be off.
const SELF_TEST_SEED: u64 = 20_261_127;
const TOLERANCE: Difference = Difference { logit_max: 0.02, iou_max: 0.002 };

/// What is quantized on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Data sets.
    pub sets: Vec<std::path::PathBuf>,
    /// Images of each set's `train` split, each seen whole and framed by its object.
    pub images: usize,
    /// Images of each set's `val` split.
    pub validation: usize,
    /// How ranges follow from values; `None`: what is best on the `val` split.
    pub method: Option<Method>,
    /// Of the choice of images.
    pub seed: u64,
}

/// How a network was quantized, and what that costs it.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The way that was taken.
    pub method: Method,
    /// Signal to noise of the outputs on the `val` split, dB, for each way that was tried.
    pub tried: Vec<(Method, f64)>,
    /// The same after biases were corrected.
    pub corrected_db: f64,
    /// Signal to noise of each tensor.
    pub losses: Vec<Loss>,
}

/// What quantization costs.
#[derive(Clone, Debug)]
pub struct Report {
    /// The encoder.
    pub encoder: Fit,
    /// The network that proposes, if there is one.
    pub proposal: Option<ProposalReport>,
    /// IoU after 1, 2 .. clicks on each set's `val` split, before and after.
    pub validation: Vec<Validation>,
}

/// One set's loss.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The set.
    pub set: String,
    /// Objects.
    pub objects: usize,
    /// Mean IoU after 1, 2 .. clicks, in f32.
    pub before: Vec<f64>,
    /// The same, quantized.
    pub after: Vec<f64>,
}

/// Quantizes the encoder of `source`, and what proposes, into the new folder `out`.
///
/// # Errors
/// `Argument` when `out` exists or no set has images; `Model` when the encoder holds what integer regions do not (the
/// message names the node); those of the sets, of loading and of writing.
pub fn quantize_folder(source: &Path, out: &Path, options: &Options, stop: &AtomicBool) -> Result<Report> {
    let place = out.display();
    if out.exists() {
        return Err(Error::new(ErrorKind::Argument, format!("{place}: expected a new folder, got one that is there")));
    }
    let manifest = Manifest::load(source)?;
    if manifest.kind != Kind::Sonotap {
        return Err(Error::new(ErrorKind::Unsupported, "expected a model of kind `sonotap`, got another"));
    }
    let bytes = Manifest::read_file(source, &manifest.encoder.file_spec())?;
    let graph = TypedGraph::parse(&manifest.encoder, &bytes, false, &mut LoadTimes::default())?;
    if graph.is_quantized() {
        return Err(Error::new(ErrorKind::Argument, "expected an encoder in f32, got one that is quantized already"));
    }
    let network = graph.float_network()?;
    let side = manifest.input.side as u32;
    let calibration = pictures(&options.sets, "train", options.images, side, options.seed)?;
    let held_out = pictures(&options.sets, "val", options.validation.max(1), side, options.seed).unwrap_or_default();
    // Without a `val` split ranges are judged by what they were made from.
    let judged = if held_out.is_empty() { &calibration } else { &held_out };
    let (quantized, encoder) = fitted(&network, &calibration, judged, options.method, &[])?;
    let head = proposal::quantized(source, &manifest, &quantized, [&calibration, judged], options.method)?;
    let (head, proposal) = head.unzip();
    let mut report = Report { encoder, proposal, validation: Vec::new() };
    std::fs::create_dir_all(out).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let graphs = (qdq::write(&quantized, "encoder")?, head);
    let written = write(source, out, manifest, graphs, options, &mut report, stop);
    if written.is_err() {
        let _ = std::fs::remove_dir_all(out);
    }
    written.map(|()| report)
}

/// Quantizes a network by calibration samples and corrects its biases; judged on others. `given`: see [`quantize`].
fn fitted(
    network: &FloatNetwork,
    calibration: &[Sample],
    judged: &[Sample],
    method: Option<Method>,
    given: &[Quantization],
) -> Result<(IntegerNetwork, Fit)> {
    // Ranges are seen twice: of channels, to make them equal, and of tensors then.
    let equal = equalize(network, Observed::of(network, calibration)?.reach());
    let observed = Observed::of(&equal, calibration)?;
    let judge = Judge::new(network, judged);
    let mut tried = Vec::new();
    for method in method.map_or_else(|| Method::ALL.to_vec(), |m| vec![m]) {
        tried.push((method, judge.sqnr_db(&quantize(&equal, &observed, method, given)?)?));
    }
    let Some(&(method, _)) = tried.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return Err(Error::new(ErrorKind::Argument, "expected a way to find ranges, got none"));
    };
    let quantized = quantize(&equal, &observed, method, given)?;
    let some = spread(calibration, BIAS_IMAGES);
    let quantized = bias::correct(&equal, quantized, &some, &Judge::new(&equal, &some))?;
    let corrected_db = judge.sqnr_db(&quantized)?;
    let losses = losses(&equal, &quantized, &judged[..judged.len().min(LOSS_IMAGES)]);
    Ok((quantized, Fit { method, tried, corrected_db, losses }))
}

/// At most so many samples, from all over.
fn spread(samples: &[Sample], most: usize) -> Vec<Sample> {
    samples.iter().step_by(samples.len().div_ceil(most).max(1)).take(most).cloned().collect()
}

fn write(
    source: &Path,
    out: &Path,
    mut manifest: Manifest,
    (encoder, head): (Vec<u8>, Option<Vec<u8>>),
    options: &Options,
    report: &mut Report,
    stop: &AtomicBool,
) -> Result<()> {
    let put = |name: &str, bytes: &[u8]| Manifest::write_file(out, name, bytes);
    let decoder = Manifest::read_file(source, &manifest.decoder.file_spec())?;
    put(&manifest.decoder.file, &decoder)?;
    if let (Some(proposal), Some(head)) = (&mut manifest.proposal, head) {
        let FileSpec { bytes, sha256, .. } = put(&proposal.file, &head)?;
        (proposal.bytes, proposal.sha256) = (bytes, sha256);
    }
    let FileSpec { bytes, sha256, .. } = put(&manifest.encoder.file, &encoder)?;
    (manifest.encoder.bytes, manifest.encoder.sha256) = (bytes, sha256);
    let card = Manifest::read_file(source, &manifest.card)?;
    let text = format!("{}\n{}", String::from_utf8_lossy(&card), card_section(options, report));
    manifest.card = put(&manifest.card.file.clone(), text.as_bytes())?;
    manifest.name = format!("{}-int8", manifest.name);
    (manifest.self_test, manifest.evaluation) = (None, Vec::new());
    let save = |m: &Manifest| put(MANIFEST, m.to_toml()?.as_bytes()).map(|_| ());
    save(&manifest)?;
    let mut loaded = sam::load_with(out, LoadOptions { skip_self_test: true, ..LoadOptions::default() })?;
    if loaded.segmenter.kernels().is_none() {
        return Err(Error::new(ErrorKind::Model, "expected integer regions in the new encoder, got none"));
    }
    if let Some(proposal) = &mut report.proposal {
        if !loaded.segmenter.has_integer_proposal() {
            return Err(Error::new(ErrorKind::Model, "expected one integer region in the new proposal, got others"));
        }
        proposal.compare(source, &mut loaded.segmenter, options)?;
    }
    manifest.self_test = Some(self_test::measure(&mut loaded.segmenter, SELF_TEST_SEED, TOLERANCE)?);
    save(&manifest)?;
    report.validation = validate(source, out, options, stop)?;
    manifest.evaluation = report.validation.iter().map(evaluation).collect();
    let text = format!("{}\n{}", String::from_utf8_lossy(&card), card_section(options, report));
    manifest.card = put(&manifest.card.file.clone(), text.as_bytes())?;
    save(&manifest)?;
    sam::load(out).map(|_| ())
}

fn evaluation(v: &Validation) -> Evaluation {
    Evaluation {
        set: format!("{}, val", v.set),
        objects: v.objects as u32,
        iou_by_clicks: [1, 3, 5].iter().filter_map(|n| Some((*n as u32, *v.after.get(n - 1)? as f32))).collect(),
        iou_by_box: None,
    }
}

fn card_section(options: &Options, report: &Report) -> String {
    let named = |p: &std::path::PathBuf| p.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let sets: Vec<String> = options.sets.iter().map(named).collect();
    let at = |v: &[f64], n: usize| v.get(n - 1).copied().unwrap_or(0.0);
    let row = |v: &Validation| {
        let cells = [1, 3, 5].map(|n| format!("{:.3} to {:.3}", at(&v.before, n), at(&v.after, n)));
        format!("| {}, val ({}) | {} |\n", v.set, v.objects, cells.join(" | "))
    };
    let rows: String = report.validation.iter().map(row).collect();
    let proposal = report.proposal.as_ref().map_or_else(String::new, |p| format!("\n{p}\n"));
    format!(
        "**Quantized.** The encoder's activations are unsigned bytes, its kernels signed ones with a scale each, biases corrected; ranges by \
         {} over {} images of each of {} (train split). The decoder is f32.\n\n\
         | IoU, f32 to int8 | 1 click | 3 | 5 |\n|---|---|---|---|\n{rows}{proposal}",
        report.encoder.method.name(),
        options.images,
        sets.join(", "),
    )
}

/// Images of a split as the model sees them: whole, and framed by their largest object. Sets without the split are left out.
fn pictures(sets: &[std::path::PathBuf], split: &str, each: usize, side: u32, seed: u64) -> Result<Vec<Sample>> {
    let mut all = Vec::new();
    let mut resampler = Resampler::default();
    let mut unseen = None;
    for folder in sets {
        let options = DatasetOptions { split: Some(split.into()), objects: ObjectChoice::Largest };
        let set = match Dataset::open(folder, &options) {
            Ok(set) => set,
            Err(e) => {
                unseen = Some(e);
                continue;
            }
        };
        for item in runner::items(&set, ObjectChoice::Largest, Some(each), seed) {
            let Ok(pair) = item.row.load() else { continue };
            let bounds = pair.image.bounds();
            let framed = bounds_of(&pair.truth).map(|b| crop_around(&b, &bounds));
            for crop in std::iter::once(bounds).chain(framed) {
                let mut picture = vec![0.0; (side * side) as usize];
                resampler.grey_view(&pair.image, &ModelView::new(crop, side), &mut picture)?;
                all.push(vec![picture]);
            }
        }
    }
    match (all.is_empty(), unseen) {
        (false, _) => Ok(all),
        (true, Some(e)) => Err(e),
        (true, None) => Err(Error::new(ErrorKind::Argument, format!("expected images in a split `{split}`, got none"))),
    }
}

/// Simulated clicks on each set's `val` split, through the product's look, before and after.
fn validate(source: &Path, out: &Path, options: &Options, stop: &AtomicBool) -> Result<Vec<Validation>> {
    let questions = Questions {
        protocols: vec![Protocol::Noc],
        looks: vec![LookKind::Full],
        max_clicks: CLICKS,
        seed: options.seed,
    };
    let mut all = Vec::new();
    for folder in options.sets.iter().filter(|_| options.validation > 0) {
        let choice = DatasetOptions { split: Some("val".into()), objects: ObjectChoice::Largest };
        let Ok(set) = Dataset::open(folder, &choice) else { continue };
        let items = runner::items(&set, ObjectChoice::Largest, Some(options.validation), options.seed);
        let mean_iou = |model: &Path| -> Result<(usize, Vec<f64>)> {
            let predictor = || Ok(Predictor::new(sam::load(model)?, PredictOptions::default()));
            let mut rows = Vec::new();
            runner::run(&items, &BTreeMap::new(), &questions, 1, &predictor, stop, &mut |done| {
                rows.extend(done.rows);
                Ok(())
            })?;
            Ok((rows.len(), mean_iou_by_click(&rows, "noc", "full", CLICKS)))
        };
        let ((objects, before), (_, after)) = (mean_iou(source)?, mean_iou(out)?);
        all.push(Validation { set: set.name, objects, before, after });
    }
    Ok(all)
}
