//! The manifest of a model folder: its files, their contract, training data, intended use.
//!
//! A folder contains `manifest.toml`, the two graphs that it names, and a model card. A manifest with an unknown or a missing
//! key is refused with the line. Files are read once: the bytes whose SHA-256 is compared are the bytes that are parsed.
//!
//! | kind | encoder | decoder |
//! |---|---|---|
//! | `sonotap` | `image` [1, 1, S, S] grey in 0..=1 to `embedding` [1, D, S/8, S/8], `skip4`, `skip2` | those, `point_coords` [1, N, 2], `point_labels` [1, N], `prompt_maps` [1, 5, C, C] to `masks` [1, M, C, C], `iou` [1, M], and perhaps `pixels` [1, P, C, C] |
//! | `sam-official` | one input [1, 3, S, S], normalised, to `image_embeddings` | the inputs of SAM's ONNX export to `low_res_masks` [1, M, C, C], `iou_predictions` [1, M] |

use std::borrow::Cow;

use std::path::Path;

pub use crate::onnx::{Dim, TensorSpec};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ModelSpec;
use super::files::ModelFiles;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// Name of the manifest within a model folder.
pub const MANIFEST: &str = "manifest.toml";

pub(super) const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const FILE_BYTES_MAX: u64 = 2 << 30;
const SIDE_MAX: usize = 2048;
const CHANNELS_MAX: usize = 4096;
const MASKS_MAX: usize = 16;

/// Which contract the two graphs follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Kind {
    /// This project's: grey input, skips, prompt maps.
    #[serde(rename = "sonotap")]
    Sonotap,
    /// SAM's ONNX export (Kirillov et al., ICCV 2023) and compatible ones.
    #[serde(rename = "sam-official")]
    SamOfficial,
}

/// A file of the folder, with its size and digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// A plain file name within the folder.
    pub file: String,
    /// Size.
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// A graph: its file, inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// A plain file name within the folder.
    pub file: String,
    /// Size.
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// Inputs.
    pub inputs: Vec<TensorSpec>,
    /// Outputs that are used; a graph may have more.
    pub outputs: Vec<TensorSpec>,
}

impl GraphSpec {
    /// Its file alone.
    pub fn file_spec(&self) -> FileSpec {
        FileSpec { file: self.file.clone(), bytes: self.bytes, sha256: self.sha256.clone() }
    }
}

/// The encoder's input: `(grey - mean) / std` for each channel, grey of 0..=255. Padding is 0 after the normalization.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Width and height, model px.
    pub side: usize,
    /// One value a channel.
    pub mean: Vec<f32>,
    /// One value a channel, above 0.
    pub std: Vec<f32>,
}

/// A set of images that the weights were trained on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSet {
    /// Its name.
    pub name: String,
    /// Licence of the data, as far as known.
    pub licence: String,
    /// Its use in training.
    pub used_for: String,
}

/// IoU on a held-out set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Name of the set and its split.
    pub set: String,
    /// Number of objects.
    pub objects: u32,
    /// Mean IoU by number of clicks, as pairs of clicks and IoU.
    pub iou_by_clicks: Vec<(u32, f32)>,
    /// Mean IoU for a box alone.
    pub iou_by_box: Option<f32>,
}

/// Expected outputs of the self-test, with tolerances.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTestVector {
    /// Seed of the input image and of the positions where masks are sampled.
    pub seed: u64,
    /// Largest difference of a sampled logit.
    pub logit_tolerance: f32,
    /// Largest difference of a predicted IoU.
    pub iou_tolerance: f32,
    /// Logits of the proposal on the first image, at [`SAMPLES`](super::self_test::SAMPLES) positions; empty if the model
    /// proposes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposal: Vec<f32>,
    /// Its estimated IoU there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_iou: Option<f32>,
    /// One entry a case, in the order of [`CASES`](super::self_test::CASES), picture by picture.
    pub cases: Vec<SelfTestCase>,
}

/// Expected outputs of one case of the self-test.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTestCase {
    /// Name of the case.
    pub name: String,
    /// Logits at the sampled positions.
    pub logits: Vec<f32>,
    /// Predicted IoU of every mask.
    pub iou: Vec<f32>,
}

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub format: u32,
    /// A name for people; by convention the folder's.
    pub name: String,
    /// The graphs' contract.
    pub kind: Kind,
    /// Licence of the weights.
    pub licence: String,
    /// Intended use.
    pub intended_use: String,
    /// Uses that are ruled out.
    pub excluded_use: String,
    /// Logit above which a cell is inside; 0, as masks are grids of logits.
    pub mask_threshold: f32,
    /// Margin by which the score of a closer view must exceed the whole image's. Present only if scores were trained to predict
    /// the IoU with the whole object, beyond the view, so that they are comparable between views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_advantage: Option<f32>,
    /// The encoder's input.
    pub input: InputSpec,
    /// The graph that encodes a frame.
    pub encoder: GraphSpec,
    /// The graph that decodes prompts.
    pub decoder: GraphSpec,
    /// The graph that proposes a mask without prompts, of half as many cells along an edge as the decoder's masks, and estimates its
    /// IoU, from the encoder's outputs at strides 8 and 4. Present only if the model was tuned to find one kind of structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<GraphSpec>,
    /// The model card.
    pub card: FileSpec,
    /// Training data.
    pub training: Vec<TrainingSet>,
    /// Accuracy.
    pub evaluation: Vec<Evaluation>,
    /// The self-test. A model without one is loaded only for measuring it.
    pub self_test: Option<SelfTestVector>,
}

impl Manifest {
    /// Reads and checks `manifest.toml` of a model folder; the files that it names are not read.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Model` when a key is unknown, missing or has an invalid value.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::of(&ModelFiles::Folder(folder))
    }

    /// The same for files that may be in memory.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of(files: &ModelFiles<'_>) -> Result<Self> {
        let bytes = files.read(MANIFEST, MANIFEST_BYTES_MAX)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|e| refused(format!("{MANIFEST}: expected UTF-8, got another byte at {}", e.valid_up_to())))?;
        Self::parse(text)
    }

    /// Parses and checks the text of a manifest.
    ///
    /// # Errors
    /// `Model`, with the line.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |s| 1 + text[..s.start.min(text.len())].matches('\n').count());
            refused(format!("{MANIFEST} line {line}: {}", e.message().trim()))
        })?;
        manifest.check().map_err(|e| e.within(MANIFEST))?;
        Ok(manifest)
    }

    /// The manifest as text, for [`Self::parse`].
    ///
    /// # Errors
    /// `Config` when a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::caused(ErrorKind::Config, "manifest cannot be written as TOML", e))
    }

    /// Sizes of the model's inputs and outputs, from the shapes.
    pub fn spec(&self) -> ModelSpec {
        let masks = self.masks();
        let pixels = self.decoder.outputs.iter().find(|t| t.name == "pixels");
        ModelSpec {
            side: self.input.side as u32,
            mask_cells: masks.and_then(|t| t.fixed(2)).unwrap_or(0),
            masks: masks.and_then(|t| t.fixed(1)).unwrap_or(0),
            pixel_channels: pixels.and_then(|t| t.fixed(1)).unwrap_or(0),
            first_candidate: usize::from(self.kind == Kind::SamOfficial),
            view_advantage: self.view_advantage,
            proposes: self.proposal.is_some(),
        }
    }

    /// Reads a file of the folder and compares its size and SHA-256 with the manifest.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Model` when it differs.
    pub fn read_file(folder: &Path, spec: &FileSpec) -> Result<Vec<u8>> {
        ModelFiles::Folder(folder).read_checked(spec).map(Cow::into_owned)
    }

    /// Writes a file of a folder; returns its entry for the manifest.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<FileSpec> {
        durable::write(&folder.join(name), bytes)?;
        Ok(FileSpec { file: name.into(), bytes: bytes.len() as u64, sha256: hex_digest(bytes) })
    }

    /// Compares size and SHA-256 of every file that the manifest names; returns the compared entries.
    ///
    /// # Errors
    /// Those of [`Self::read_file`], for the first file that differs.
    pub fn verify_files(&self, folder: &Path) -> Result<Vec<FileSpec>> {
        let graphs = [&self.encoder, &self.decoder].into_iter().chain(&self.proposal).map(GraphSpec::file_spec);
        let files: Vec<FileSpec> = graphs.chain([self.card.clone()]).collect();
        for file in &files {
            Self::read_file(folder, file)?;
        }
        Ok(files)
    }

    fn masks(&self) -> Option<&TensorSpec> {
        let name = match self.kind {
            Kind::Sonotap => "masks",
            Kind::SamOfficial => "low_res_masks",
        };
        self.decoder.outputs.iter().find(|t| t.name == name)
    }

    fn check(&self) -> Result<()> {
        expect(self.format == 1, || format!("format: expected 1, got {}", self.format))?;
        expect(self.mask_threshold == 0.0, || {
            format!("mask_threshold: expected 0 (logits), got {}", self.mask_threshold)
        })?;
        expect(self.view_advantage.is_none_or(|v| (0.0..=1.0).contains(&v)), || {
            format!("view_advantage: expected 0 to 1, got {}", self.view_advantage.unwrap_or_default())
        })?;
        for (key, text) in [("name", &self.name), ("licence", &self.licence), ("intended_use", &self.intended_use)] {
            expect(!text.trim().is_empty(), || format!("{key}: expected a text, got none"))?;
        }
        for graph in [&self.encoder, &self.decoder].into_iter().chain(&self.proposal) {
            check_file(&graph.file_spec())?;
        }
        check_file(&self.card)?;
        let grey = usize::from(self.kind == Kind::Sonotap);
        let channels = 3 - 2 * grey;
        self.check_input(channels)?;
        for (place, tensors) in [
            ("encoder.inputs", &self.encoder.inputs),
            ("encoder.outputs", &self.encoder.outputs),
            ("decoder.inputs", &self.decoder.inputs),
            ("decoder.outputs", &self.decoder.outputs),
        ] {
            tensors.iter().try_for_each(|t| check_bounds(t).map_err(|e| e.within(place)))?;
        }
        match self.kind {
            Kind::Sonotap => self.check_sonotap(),
            Kind::SamOfficial => self.check_sam(),
        }?;
        self.proposal.as_ref().map_or(Ok(()), |p| self.check_proposal(p))?;
        self.self_test.as_ref().map_or(Ok(()), |v| self.check_self_test(v))
    }

    fn check_input(&self, channels: usize) -> Result<()> {
        let i = &self.input;
        expect((64..=SIDE_MAX).contains(&i.side) && i.side.is_multiple_of(16), || {
            format!("input.side: expected a multiple of 16 from 64 to {SIDE_MAX}, got {}", i.side)
        })?;
        expect(i.mean.len() == channels && i.std.len() == channels, || {
            format!("input: expected {channels} values of mean and std, got {} and {}", i.mean.len(), i.std.len())
        })?;
        expect(i.mean.iter().all(|v| v.is_finite()) && i.std.iter().all(|v| v.is_finite() && *v > 0.0), || {
            format!("input: expected finite mean and std above 0, got {:?} and {:?}", i.mean, i.std)
        })?;
        expect(self.encoder.inputs.len() == 1, || {
            format!("encoder.inputs: expected one, got {}", self.encoder.inputs.len())
        })?;
        same_shape(&self.encoder.inputs[0], &[1, channels, i.side, i.side]).map_err(|e| e.within("encoder.inputs"))
    }

    fn check_sonotap(&self) -> Result<()> {
        names("encoder.inputs", &self.encoder.inputs, &["image"])?;
        let looked = ["embedding", "skip4", "skip2"];
        names("encoder.outputs", &self.encoder.outputs, &looked)?;
        let asked = [&looked[..], &["point_coords", "point_labels", "prompt_maps"]].concat();
        names("decoder.inputs", &self.decoder.inputs, &asked)?;
        let given = ["masks", "iou", "pixels"];
        let n = if self.decoder.outputs.len() == 2 { 2 } else { 3 };
        names("decoder.outputs", &self.decoder.outputs, &given[..n])?;
        for (got, expected) in self.decoder.inputs.iter().zip(&self.encoder.outputs) {
            expect(got == expected, || format!("decoder.inputs: {} is {got}, the encoder gives {expected}", got.name))?;
        }
        let cells = self.check_answers(&self.decoder.outputs[0], &self.decoder.outputs[1])?;
        if let Some(pixels) = self.decoder.outputs.get(2) {
            let channels = pixels.fixed(1).unwrap_or(0);
            same_shape(pixels, &[1, channels, cells, cells])?;
        }
        check_points(&self.decoder.inputs[3], &self.decoder.inputs[4])?;
        same_shape(&self.decoder.inputs[5], &[1, 5, cells, cells])
    }

    fn check_sam(&self) -> Result<()> {
        names("encoder.outputs", &self.encoder.outputs, &["image_embeddings"])?;
        let asked = ["image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input"];
        names("decoder.inputs", &self.decoder.inputs, &asked)?;
        names("decoder.outputs", &self.decoder.outputs, &["low_res_masks", "iou_predictions"])?;
        let (got, expected) = (&self.decoder.inputs[0], &self.encoder.outputs[0]);
        expect(got.shape == expected.shape, || {
            format!("decoder.inputs: {} is {got}, the encoder gives {expected}", got.name)
        })?;
        let cells = self.check_answers(&self.decoder.outputs[0], &self.decoder.outputs[1])?;
        check_points(&self.decoder.inputs[1], &self.decoder.inputs[2])?;
        same_shape(&self.decoder.inputs[3], &[1, 1, cells, cells])?;
        same_shape(&self.decoder.inputs[4], &[1])
    }

    fn check_proposal(&self, proposal: &GraphSpec) -> Result<()> {
        expect(self.kind == Kind::Sonotap, || "proposal: expected none for this kind of model, got one".into())?;
        let is_former = proposal.outputs.iter().map(|t| t.name.as_str()).eq(["mask"]);
        expect(!is_former, || {
            "proposal.outputs: expected `mask` and `iou_logit`, got a head without a learned score, of an earlier release; \
             `sonotap train semi` makes one with it"
                .to_owned()
        })?;
        expect(proposal.inputs == self.encoder.outputs[..2], || {
            "proposal.inputs: expected the encoder's `embedding` and `skip4`, got others".to_owned()
        })?;
        names("proposal.outputs", &proposal.outputs, &["mask", "iou_logit"])?;
        let cells = self.spec().mask_cells / 2;
        same_shape(&proposal.outputs[0], &[1, 1, cells, cells]).map_err(|e| e.within("proposal.outputs"))?;
        same_shape(&proposal.outputs[1], &[1, 1, 1, 1]).map_err(|e| e.within("proposal.outputs"))
    }

    /// Returns the number of cells along a mask's side.
    fn check_answers(&self, masks: &TensorSpec, iou: &TensorSpec) -> Result<usize> {
        let (count, cells) = (masks.fixed(1).unwrap_or(0), masks.fixed(2).unwrap_or(0));
        expect((1..=MASKS_MAX).contains(&count), || {
            format!("decoder.outputs: expected 1 to {MASKS_MAX} masks, got {masks}")
        })?;
        expect(cells >= 16 && self.input.side.is_multiple_of(cells), || {
            format!("decoder.outputs: expected masks of cells that divide {}, got {masks}", self.input.side)
        })?;
        same_shape(masks, &[1, count, cells, cells])?;
        same_shape(iou, &[1, count])?;
        Ok(cells)
    }

    fn check_self_test(&self, v: &SelfTestVector) -> Result<()> {
        let ok = |t: f32| t.is_finite() && t >= 0.0;
        expect(ok(v.logit_tolerance) && ok(v.iou_tolerance), || {
            format!("self_test: expected tolerances from 0, got {} and {}", v.logit_tolerance, v.iou_tolerance)
        })?;
        use super::self_test::{CASES, PICTURES_MAX, case_name};
        let pictures = v.cases.len().div_ceil(CASES.len()).clamp(1, PICTURES_MAX);
        let expected: Vec<String> = (0..pictures * CASES.len()).map(case_name).collect();
        let got: Vec<&str> = v.cases.iter().map(|c| c.name.as_str()).collect();
        expect(got == expected, || format!("self_test.cases: expected {expected:?}, got {got:?}"))?;
        let proposed = if self.proposal.is_some() { super::self_test::SAMPLES } else { 0 };
        expect(v.proposal.len() == proposed && v.proposal.iter().all(|x| x.is_finite()), || {
            format!("self_test.proposal: expected {proposed} finite logits, got {:?}", v.proposal)
        })?;
        let has_iou = v.proposal_iou.is_some_and(f32::is_finite);
        expect(has_iou == self.proposal.is_some(), || {
            let expected = if self.proposal.is_some() { "a finite IoU" } else { "none" };
            format!("self_test.proposal_iou: expected {expected}, got {:?}", v.proposal_iou)
        })?;
        for case in &v.cases {
            let (masks, samples) = (self.spec().masks, super::self_test::SAMPLES);
            expect(case.iou.len() == masks && case.logits.len() == samples, || {
                let (logits, iou) = (case.logits.len(), case.iou.len());
                format!("self_test, {}: expected {samples} logits, {masks} iou, got {logits}, {iou}", case.name)
            })?;
            expect(case.iou.iter().chain(&case.logits).all(|x| x.is_finite()), || {
                format!("self_test, {}: expected finite values, got others", case.name)
            })?;
        }
        Ok(())
    }
}

/// SHA-256 as 64 lower-case hexadecimal digits.
///
/// ```
/// use sonotap::model::manifest::hex_digest;
/// assert_eq!(&hex_digest(b"abc")[..16], "ba7816bf8f01cfea");
/// ```
pub fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn refused(context: String) -> Error {
    Error::new(ErrorKind::Model, context)
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(refused(otherwise())) }
}

fn check_file(f: &FileSpec) -> Result<()> {
    let plain = !f.file.is_empty() && !f.file.starts_with('.') && !f.file.contains(['/', '\\', ':', '\0']);
    expect(plain, || format!("file: expected a plain file name within the folder, got {:?}", f.file))?;
    expect((1..=FILE_BYTES_MAX).contains(&f.bytes), || {
        format!("{}: expected 1 to {FILE_BYTES_MAX} bytes, got {}", f.file, f.bytes)
    })?;
    expect(f.sha256.len() == 64 && f.sha256.bytes().all(|b| b.is_ascii_hexdigit()), || {
        format!("{}: expected a SHA-256 of 64 hexadecimal digits, got {:?}", f.file, f.sha256)
    })
}

fn check_bounds(t: &TensorSpec) -> Result<()> {
    expect((1..=4).contains(&t.shape.len()), || format!("{}: expected 1 to 4 dimensions, got {t}", t.name))?;
    for d in &t.shape {
        let ok = match d {
            Dim::Fixed(n) => (1..=CHANNELS_MAX).contains(n),
            Dim::Named(n) => n == "N",
        };
        expect(ok, || format!("{}: expected dimensions of 1 to {CHANNELS_MAX} or \"N\", got {t}", t.name))?;
    }
    Ok(())
}

fn names(place: &str, tensors: &[TensorSpec], expected: &[&str]) -> Result<()> {
    let got: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    expect(got == expected, || format!("{place}: expected {expected:?} in this order, got {got:?}"))
}

fn same_shape(t: &TensorSpec, expected: &[usize]) -> Result<()> {
    let wanted = TensorSpec { name: t.name.clone(), shape: expected.iter().map(|&n| Dim::Fixed(n)).collect() };
    expect(*t == wanted, || format!("{}: expected {wanted}, got {t}", t.name))
}

fn check_points(coords: &TensorSpec, labels: &TensorSpec) -> Result<()> {
    let n = || Dim::Named("N".into());
    expect(coords.shape == [Dim::Fixed(1), n(), Dim::Fixed(2)] && labels.shape == [Dim::Fixed(1), n()], || {
        format!("decoder.inputs: expected points of 1xNx2 and 1xN, got {coords} and {labels}")
    })
}
