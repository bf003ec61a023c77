//! One picture through the bundled model, on whatever processor this is, against a reference that all of them share: preprocessing and the
//! integer encoder bit by bit, what the f32 decoder makes of it within a tolerance.
//!
//! `BLESS=1 cargo test --release --test same_everywhere` writes the reference, `tests/golden/segment.toml` and `segment.png`; that is to
//! be done when the bundled model is another. A mask that differs leaves `segment.actual.png` beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{ModelView, Point, Rect};
use sonotap::mask::Bitmap;
use sonotap::model::manifest::{Manifest, hex_digest};
use sonotap::model::predictor::{PredictOptions, Predictor, Prompts};
use sonotap::model::preprocess::Resampler;
use sonotap::model::sam::{self, LoadOptions};
use sonotap::model::{Decoded, Kernels, ModelPrompts, Segmenter, self_test};
use sonotap::prompt::Polarity::{Negative, Positive};
use tract_fused::Engine;

/// Largest difference of a logit; they reach from about -13 to 6, and the edge is at 0.
const LOGIT_MAX: f32 = 0.01;
/// Largest difference of a predicted IoU.
const IOU_MAX: f32 = 0.001;
/// Smallest IoU of the mask with that of the reference.
const MASK_IOU_MIN: f64 = 0.995;
/// Logits are compared at every so many rows and columns of the first mask.
const EVERY: usize = 16;

/// SHA-256 of values, by what they are of.
type Digests = BTreeMap<String, String>;

/// What is on record.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Reference {
    /// SHA-256 of encoder and decoder.
    model: [String; 2],
    /// The model's estimate of the IoU of the mask of the look.
    score: f32,
    /// Of the decode: predicted IoUs, and logits of the first mask.
    iou: Vec<f32>,
    logits: Vec<f32>,
    /// Of each view, the encoder's input.
    preprocessed: Digests,
    /// Of each view, the encoder's outputs.
    encoded: BTreeMap<String, Digests>,
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn is_blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

fn reference() -> Reference {
    let path = golden("segment.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; BLESS=1 writes it", path.display()));
    let reference: Reference = toml::from_str(&text).unwrap();
    assert_eq!(reference.model, model_digests(), "the reference is that of another model; BLESS=1 writes it anew");
    reference
}

fn model_digests() -> [String; 2] {
    let manifest = Manifest::load(&bundled()).unwrap();
    [manifest.encoder.sha256, manifest.decoder.sha256]
}

/// The self-test's picture, side by side with itself.
fn large_picture() -> Frame {
    let (tile, width, height) = (self_test::picture(7), 700, 500);
    let pixels = (0..width * height).map(|i| tile.grey(i % width % tile.width(), i / width % tile.height())).collect();
    Frame::from_pixels(width, height, PixelFormat::Grey8, pixels).unwrap()
}

/// Pictures at the encoder's size, shrunk and enlarged.
fn views(side: u32) -> [(&'static str, Frame, ModelView); 3] {
    let (picture, large) = (self_test::picture(7), large_picture());
    let view = |rect| ModelView::new(rect, side);
    [
        ("whole", picture.clone(), view(picture.bounds())),
        ("shrunk", large, view(Rect::new(13.25, 7.5, 690.75, 480.1))),
        ("enlarged", picture, view(Rect::new(60.3, 40.2, 180.9, 150.7))),
    ]
}

fn digest(values: &[f32]) -> String {
    hex_digest(&values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect::<Vec<_>>())
}

/// Input and outputs of the encoder of a view.
fn encoded(engine: &mut Engine, names: &[String], frame: &Frame, view: &ModelView) -> (String, Digests) {
    let mut image = vec![0.0; (view.side() * view.side()) as usize];
    Resampler::default().grey_view(frame, view, &mut image).unwrap();
    engine.set_values(0, &image).unwrap();
    engine.run();
    let of = |(i, name): (usize, &String)| {
        let mut values = vec![f32::NAN; engine.plan().output_shape(i).len()];
        engine.output(i, &mut values);
        (name.clone(), digest(&values))
    };
    (digest(&image), names.iter().enumerate().map(of).collect())
}

/// Of every view, with every set of kernels that this processor has.
fn encoded_by_all_kernels() -> Vec<(Kernels, &'static str, String, Digests)> {
    let mut all = Vec::new();
    for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
        let options = LoadOptions { skip_self_test: true, kernels: Some(kernels), ..LoadOptions::default() };
        let model = sam::load_with(&bundled(), options).unwrap().segmenter;
        let regions: Vec<_> = model.encoder_regions().collect();
        assert_eq!(regions.len(), 1, "the whole encoder is one region");
        let network = regions[0].network();
        let names: Vec<String> = network.outputs.iter().map(|t| network.tensors[*t].name.clone()).collect();
        let mut engine = Engine::of(regions[0].plan().unwrap());
        for (name, frame, view) in views(model.spec().side) {
            let (preprocessed, outputs) = encoded(&mut engine, &names, &frame, &view);
            all.push((kernels, name, preprocessed, outputs));
        }
    }
    all
}

/// Predicted IoUs and logits of a decode, without rules.
fn decoded() -> (Vec<f32>, Vec<f32>) {
    let mut model =
        sam::load_with(&bundled(), LoadOptions { skip_self_test: true, ..LoadOptions::default() }).unwrap().segmenter;
    let (frame, spec) = (self_test::picture(7), model.spec());
    let view = ModelView::new(frame.bounds(), spec.side);
    model.encode(&frame, &view).unwrap();
    let at = |x: f32, y: f32| view.to_model(Point::new(x, y));
    let clicks = vec![(at(120.0, 100.0), Positive), (at(220.0, 40.0), Negative)];
    let mut out = Decoded::default();
    model.decode(&ModelPrompts { clicks, ..Default::default() }, &mut out).unwrap();
    let cells = spec.mask_cells;
    let picked = (0..cells * cells).filter(|i| i % cells % EVERY == EVERY / 2 && i / cells % EVERY == EVERY / 2);
    (out.iou, picked.map(|i| out.masks[i]).collect())
}

/// The mask of one tap, and its score, with all rules of a look.
fn looked() -> (Bitmap, f32) {
    let frame = self_test::picture(7);
    let mut predictor = Predictor::new(sam::load(&bundled()).unwrap(), PredictOptions::default());
    let asked = Prompts { clicks: vec![(Point::new(120.0, 100.0), Positive)], ..Prompts::default() };
    let mut looks = Vec::new();
    predictor.predict(&frame, &[asked], &mut looks).unwrap();
    let mask = looks[0].mask().expect("a mask").to_bitmap(frame.width(), frame.height());
    (mask, looks[0].score().unwrap().get())
}

fn write_mask(name: &str, mask: &Bitmap) {
    let grey = mask.pixels().iter().map(|v| 255 * u8::from(*v != 0)).collect();
    image::GrayImage::from_raw(mask.width(), mask.height(), grey).unwrap().save(golden(name)).unwrap();
}

fn largest_difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, d| if d.is_nan() { f32::INFINITY } else { most.max(d) })
}

/// Writes the reference, with the fastest kernels.
fn bless() {
    let mut made = Reference { model: model_digests(), ..Reference::default() };
    (made.iou, made.logits) = decoded();
    let (mask, score) = looked();
    made.score = score;
    write_mask("segment.png", &mask);
    for (_, name, preprocessed, outputs) in encoded_by_all_kernels().into_iter().take(3) {
        made.preprocessed.insert(name.into(), preprocessed);
        made.encoded.insert(name.into(), outputs);
    }
    std::fs::write(golden("segment.toml"), toml::to_string(&made).unwrap()).unwrap();
}

#[test]
fn the_encoder_gives_the_same_bits_on_every_processor() {
    if is_blessing() {
        return bless();
    }
    let reference = reference();
    for (kernels, view, preprocessed, outputs) in encoded_by_all_kernels() {
        assert_eq!(preprocessed, reference.preprocessed[view], "{view}: the encoder's input");
        assert_eq!(outputs, reference.encoded[view], "{view}: the outputs, by {kernels}");
    }
}

#[test]
fn a_tap_gives_the_same_mask_on_every_processor() {
    if is_blessing() {
        return;
    }
    let reference = reference();
    let (iou, logits) = decoded();
    let (iou_off, logit_off) =
        (largest_difference(&iou, &reference.iou), largest_difference(&logits, &reference.logits));
    let (mask, score) = looked();
    let kept = image::open(golden("segment.png")).unwrap().to_luma8();
    let kept = Bitmap::from_values(kept.width(), kept.height(), kept.into_raw()).unwrap();
    let score_off = (score - reference.score).abs();
    println!("decode: logits {logit_off:e}, IoU {iou_off:e}; look: mask IoU {}, score {score_off:e}", mask.iou(&kept));
    assert!(logit_off <= LOGIT_MAX, "a logit differs by {logit_off}");
    assert!(iou_off <= IOU_MAX, "a predicted IoU differs by {iou_off}");
    assert!(score_off <= IOU_MAX, "the score is {score}, that of the reference {}", reference.score);
    if mask.iou(&kept) < MASK_IOU_MIN {
        write_mask("segment.actual.png", &mask);
        panic!("mask: IoU {} with tests/golden/segment.png; BLESS=1 approves", mask.iou(&kept));
    }
}
