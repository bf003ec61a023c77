//! Creates a model folder from the two files of a SAM export: manifest, measured self-test, skeleton of a model card.
//!
//! External data is packed into the files. Graphs of `quantize_dynamic` and 16-bit weights, which would run wrongly or far too
//! slowly, are refused; the error names the alternative.

use std::path::Path;

use super::graph::output_specs;
use super::manifest::{Dim, GraphSpec, InputSpec, Kind, MANIFEST, Manifest, TensorSpec, TrainingSet};
use super::sam::{self, LoadOptions};
use super::self_test::{self, Difference};
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::pack::Packed;

/// Side of SAM's input, for a graph with a symbolic input size.
const SIDE: usize = 1024;
/// SAM's pixel means and deviations, of 0..=255.
const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
const STD: [f32; 3] = [58.395, 57.12, 57.375];
/// Pictures of the self-test; each is asked about three times.
const PICTURES: usize = 3;
const SELF_TEST_SEED: u64 = 20_261_129;
/// Tolerance for other processors: an absolute minimum, and a fraction of the largest logit.
const LOGIT_TOLERANCE: f32 = 0.02;
const LOGIT_PART: f32 = 2e-3;
const IOU_TOLERANCE: f32 = 0.002;
/// ONNX data types of 16-bit floats.
const HALF_TYPES: [i32; 2] = [10, 16];

const CARD: &str = "MODEL_CARD.md";

/// Information about the model that its files do not contain.
#[derive(Clone, Debug)]
pub struct Said {
    /// For people.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
}

/// The created folder.
#[derive(Clone, Debug)]
pub struct Added {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether encoder and decoder had external data.
    pub packed: [bool; 2],
    /// Largest difference between fused operations and tract's own, on the self-test.
    pub difference: Difference,
}

/// Creates the folder `out` from an encoder and a decoder, and loads it.
///
/// # Errors
/// `Argument` when `out` exists or the licence is empty; `Io`; `Unsupported` for graphs that must be exported differently;
/// `Model` when the files are no SAM export or do not run. The folder is removed then.
pub fn add_sam(encoder: &Path, decoder: &Path, said: &Said, out: &Path) -> Result<Added> {
    let place = out.display();
    if out.exists() {
        return Err(Error::new(ErrorKind::Argument, format!("{place}: expected a new folder, got one that is there")));
    }
    if said.licence.trim().is_empty() || said.name.trim().is_empty() {
        return Err(Error::new(ErrorKind::Argument, "expected a name and the licence of the weights, got nothing"));
    }
    let mut files = Vec::new();
    for path in [encoder, decoder] {
        let packed = Packed::read(path)?;
        refuse_slow(&packed).map_err(|e| e.within(path.display()))?;
        files.push(packed);
    }
    let (decoder_file, encoder_file) = (files.remove(1), files.remove(0));
    let [encoder_spec, decoder_spec] = specs([&encoder_file, &decoder_file], [encoder, decoder])?;
    std::fs::create_dir_all(out).map_err(|e| Error::new(ErrorKind::Io, format!("{place}: {e}")))?;
    let written = write(said, out, [(&encoder_file, encoder_spec), (&decoder_file, decoder_spec)]);
    if written.is_err() {
        let _ = std::fs::remove_dir_all(out);
    }
    written
}

/// Refuses graphs without efficient operations.
fn refuse_slow(packed: &Packed) -> Result<()> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Unsupported, what));
    let dynamic = ["DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"];
    if let Some(kind) = packed.kinds().find(|k| dynamic.contains(k)) {
        return refuse(format!(
            "expected f32, or QDQ of ONNX Runtime's quantize_static, got `{kind}` of quantize_dynamic, which runs slower than \
             f32 here: quantize the f32 graph with quantize_static (QuantFormat.QDQ, per_channel=True) instead"
        ));
    }
    if packed.constant_types().any(|t| HALF_TYPES.contains(&t)) {
        return refuse(
            "expected weights of f32, got 16-bit floats: export without half precision, or convert the graph to f32"
                .into(),
        );
    }
    Ok(())
}

/// Inputs and outputs of both graphs, with the shapes that tract infers.
fn specs(files: [&Packed; 2], paths: [&Path; 2]) -> Result<[GraphSpec; 2]> {
    let refuse = |path: &Path, what: String| Error::new(ErrorKind::Model, format!("{}: {what}", path.display()));
    let tensor = |name: &str, shape: &[usize]| {
        let dim = |n: &usize| if *n == 0 { Dim::Named("N".into()) } else { Dim::Fixed(*n) };
        TensorSpec { name: name.into(), shape: shape.iter().map(dim).collect() }
    };
    let given = files[0].inputs();
    let [(name, shape)] = &given[..] else {
        return Err(refuse(paths[0], format!("expected an encoder of one input, got {}", given.len())));
    };
    let side = match shape[..] {
        [None | Some(1), Some(3), height, width] if height == width || height.is_none() || width.is_none() => {
            height.or(width).unwrap_or(SIDE)
        }
        _ => {
            let what = "expected normalized RGB planes, [1, 3, S, S], as the encoder's input";
            return Err(refuse(paths[0], format!("{what}, got `{name}` {shape:?}")));
        }
    };
    let outputs = |i: usize, inputs: &[TensorSpec], wanted: &[&str]| -> Result<Vec<TensorSpec>> {
        let got = files[i].outputs();
        if let Some(absent) = wanted.iter().find(|w| !got.iter().any(|g| g == *w)) {
            return Err(refuse(paths[i], format!("expected an output `{absent}`, got {got:?}")));
        }
        output_specs(&paths[i].display().to_string(), &files[i].bytes(), inputs, wanted)
    };
    let image = vec![tensor(name, &[1, 3, side, side])];
    let embedding = outputs(0, &image, &["image_embeddings"])?;
    let mask_input = files[1].inputs().into_iter().find(|(name, _)| name == "mask_input");
    let cells = mask_input.and_then(|(_, shape)| shape.last().copied().flatten()).unwrap_or(side / 4);
    let mut asked = embedding.clone();
    asked.extend([
        tensor("point_coords", &[1, 0, 2]),
        tensor("point_labels", &[1, 0]),
        tensor("mask_input", &[1, 1, cells, cells]),
        tensor("has_mask_input", &[1]),
    ]);
    let masks = outputs(1, &asked, &["low_res_masks", "iou_predictions"])?;
    let graph = |inputs, outputs| GraphSpec { file: String::new(), bytes: 0, sha256: String::new(), inputs, outputs };
    Ok([graph(image, embedding), graph(asked, masks)])
}

fn write(said: &Said, out: &Path, [encoder, decoder]: [(&Packed, GraphSpec); 2]) -> Result<Added> {
    let put = |name: &str, bytes: &[u8]| Manifest::write_file(out, name, bytes);
    let packed = [encoder.0.was_external, decoder.0.was_external];
    let stored = |name: &str, (packed, spec): (&Packed, GraphSpec)| -> Result<GraphSpec> {
        let file = put(name, &packed.bytes())?;
        Ok(GraphSpec { file: file.file, bytes: file.bytes, sha256: file.sha256, ..spec })
    };
    let (encoder, decoder) = (stored("encoder.onnx", encoder)?, stored("decoder.onnx", decoder)?);
    let side = encoder.inputs[0].fixed(2).unwrap_or(SIDE);
    let not_stated = TrainingSet {
        name: "not stated".into(),
        licence: "not stated".into(),
        used_for: "see the publication of the weights".into(),
    };
    let mut manifest = Manifest {
        format: 1,
        name: said.name.clone(),
        kind: Kind::SamOfficial,
        licence: said.licence.clone(),
        intended_use:
            "outlines of structures that an operator taps; research and development; not evaluated on ultrasound".into(),
        excluded_use: "diagnosis, therapy, anything on patients without an assessment of one's own".into(),
        mask_threshold: 0.0,
        view_advantage: None,
        proposal: None,
        input: InputSpec { side, mean: MEAN.to_vec(), std: STD.to_vec() },
        encoder,
        decoder,
        card: put(CARD, card(said, side).as_bytes())?,
        training: vec![not_stated],
        evaluation: Vec::new(),
        self_test: None,
    };
    let save = |m: &Manifest| -> Result<()> {
        let text = m.to_toml()?;
        Manifest::parse(&text)?;
        put(MANIFEST, text.as_bytes()).map(|_| ())
    };
    save(&manifest)?;
    let load = |tract_only: bool| {
        sam::load_with(out, LoadOptions { skip_self_test: true, tract_only, ..LoadOptions::default() })
    };
    let mut loaded = load(false)?.segmenter;
    let none = Difference::default();
    let mut vector = self_test::measure_on(&mut loaded, SELF_TEST_SEED, PICTURES, none)?;
    let largest = vector.cases.iter().flat_map(|c| &c.logits).fold(0.0f32, |m, v| m.max(v.abs()));
    let logits: Vec<f32> = vector.cases.iter().flat_map(|c| c.logits.clone()).collect();
    if logits.iter().any(|v| !v.is_finite()) || logits.iter().all(|v| *v == logits[0]) {
        let what = "expected masks that differ from place to place, got the same value everywhere or none";
        return Err(Error::new(ErrorKind::Model, what));
    }
    let plain = self_test::measure_on(&mut load(true)?.segmenter, SELF_TEST_SEED, PICTURES, none)?;
    let difference = self_test::difference(&vector.cases, &plain.cases);
    vector.logit_tolerance = LOGIT_TOLERANCE.max(LOGIT_PART * largest);
    vector.iou_tolerance = IOU_TOLERANCE;
    manifest.self_test = Some(vector);
    save(&manifest)?;
    sam::load(out)?;
    Ok(Added { manifest, packed, difference })
}

fn card(said: &Said, side: usize) -> String {
    format!(
        "# {}\n\n**Use.** Not for diagnostic use; not validated on patients. Not evaluated on ultrasound: run `sonotap eval` on it \
         before it is passed on, and write here what it found.\n\n**Input.** {side}x{side}, three channels, SAM's means and \
         deviations.\n\n**Weights.** Licence: {}. Origin, version and training data: to be filled in.\n\n**Falls short.** To be \
         filled in.\n",
        said.name, said.licence,
    )
}
