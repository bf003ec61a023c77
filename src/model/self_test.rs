//! Checks that a model computes the values in its manifest: synthetic images, three prompts each, sampled outputs.
//!
//! An image is computed in integers from a seed: speckle over tiles of different brightness, and a dark ellipse. The prompts
//! are a lone click in the ellipse, a box and two clicks, and two clicks with the first answer as previous mask. Logits are
//! sampled at positions drawn from the same seed, and compared with a tolerance, because processors add in different order.

use std::path::Path;
use std::time::{Duration, Instant};

use super::manifest::{FileSpec, Kind, Manifest, SelfTestCase, SelfTestVector};
use super::sam::{self, LoadOptions, LoadTimes};
use super::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{ModelView, Point, Rect};
use crate::prompt::Polarity;

/// Prompts of each image, in order.
pub const CASES: [&str; 3] = ["click", "box-and-clicks", "previous"];

/// Most images.
pub const PICTURES_MAX: usize = 8;

/// Name of a case: the prompt, with the image's number from the second image on.
pub fn case_name(case: usize) -> String {
    match case / CASES.len() {
        0 => CASES[case].into(),
        picture => format!("{}, picture {}", CASES[case % CASES.len()], picture + 1),
    }
}

/// Logits that are sampled from the masks of a case.
pub const SAMPLES: usize = 24;

/// Size of the image, px.
const SIZE: (u32, u32) = (256, 192);
/// Centre and half axes of the dark ellipse, image px.
const ELLIPSE: (i32, i32, i32, i32) = (120, 100, 56, 40);
/// Number of runs for the median time of an encode or a decode.
const TIMED_RUNS: usize = 9;

/// Difference between a model's outputs and its self-test vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Largest difference of a sampled logit.
    pub logit_max: f32,
    /// Largest difference of a predicted IoU.
    pub iou_max: f32,
}

/// Runs the self-test; returns the largest difference.
///
/// # Errors
/// `Model` when a difference exceeds the vector's tolerance or is NaN.
pub fn run(model: &mut dyn Segmenter, vector: &SelfTestVector) -> Result<Difference> {
    let mut worst = Difference::default();
    let pictures = vector.cases.len() / CASES.len();
    let (cases, proposal, proposal_iou) = answers(model, vector.seed, pictures)?;
    for (got, expected) in cases.iter().zip(&vector.cases) {
        let logit = check(&expected.name, "logit", &got.logits, &expected.logits, vector.logit_tolerance)?;
        let iou = check(&expected.name, "IoU", &got.iou, &expected.iou, vector.iou_tolerance)?;
        worst = Difference { logit_max: worst.logit_max.max(logit), iou_max: worst.iou_max.max(iou) };
    }
    let logit = check("proposal", "logit", &proposal, &vector.proposal, vector.logit_tolerance)?;
    let iou = check("proposal", "IoU", proposal_iou.as_slice(), vector.proposal_iou.as_slice(), vector.iou_tolerance)?;
    worst = Difference { logit_max: worst.logit_max.max(logit), iou_max: worst.iou_max.max(iou) };
    Ok(worst)
}

/// Measures the self-test vector for a model's manifest.
///
/// # Errors
/// Those of the model.
pub fn measure(model: &mut dyn Segmenter, seed: u64, tolerances: Difference) -> Result<SelfTestVector> {
    measure_on(model, seed, 1, tolerances)
}

/// The same for several images, with this seed and the following ones.
///
/// # Errors
/// Those of the model.
pub fn measure_on(
    model: &mut dyn Segmenter,
    seed: u64,
    pictures: usize,
    tolerances: Difference,
) -> Result<SelfTestVector> {
    let (cases, proposal, proposal_iou) = answers(model, seed, pictures)?;
    let (logit_tolerance, iou_tolerance) = (tolerances.logit_max, tolerances.iou_max);
    Ok(SelfTestVector { seed, logit_tolerance, iou_tolerance, proposal, proposal_iou, cases })
}

/// Largest differences between answers.
pub fn difference(a: &[SelfTestCase], b: &[SelfTestCase]) -> Difference {
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    a.iter().zip(b).fold(Difference::default(), |worst, (a, b)| Difference {
        logit_max: worst.logit_max.max(far(&a.logits, &b.logits)),
        iou_max: worst.iou_max.max(far(&a.iou, &b.iou)),
    })
}

/// Result of verifying a model folder.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyReport {
    /// The manifest's name.
    pub name: String,
    /// The graphs' contract.
    pub kind: Kind,
    /// Sizes of inputs and outputs.
    pub spec: ModelSpec,
    /// The files whose digests were compared.
    pub files: Vec<FileSpec>,
    /// Largest difference in the self-test.
    pub difference: Difference,
    /// Largest difference allowed.
    pub tolerance: Difference,
    /// Times of loading.
    pub load: LoadTimes,
    /// Median time of an encode of the self-test's image.
    pub encode: Duration,
    /// Median time of a decode of a lone click.
    pub decode: Duration,
}

/// Verifies a model folder as loading does, and measures times.
///
/// # Errors
/// Those of [`sam::load`].
pub fn verify(folder: &Path) -> Result<VerifyReport> {
    let mut loaded = sam::load_with(folder, LoadOptions { skip_self_test: true, ..LoadOptions::default() })?;
    let files = loaded.manifest.verify_files(folder)?;
    let Some(vector) = &loaded.manifest.self_test else {
        return Err(Error::new(ErrorKind::Model, "manifest.toml: expected a self-test, got none"));
    };
    let begin = Instant::now();
    let model: &mut dyn Segmenter = &mut loaded.segmenter;
    let difference = run(model, vector)?;
    loaded.times.self_test = begin.elapsed();
    let (frame, spec) = (picture(vector.seed), model.spec());
    let view = ModelView::new(frame.bounds(), spec.side);
    let (asked, mut answer) = (question(0, &spec, &[]), Decoded::default());
    let encode = median(|| model.encode(&frame, &view))?;
    let decode = median(|| model.decode(&asked, &mut answer))?;
    let tolerance = Difference { logit_max: vector.logit_tolerance, iou_max: vector.iou_tolerance };
    let Manifest { name, kind, .. } = loaded.manifest;
    Ok(VerifyReport { name, kind, spec, files, difference, tolerance, load: loaded.times, encode, decode })
}

/// The image of a seed, 256 x 192 grey, for comparison with other runtimes.
pub fn picture(seed: u64) -> Frame {
    let (width, height) = SIZE;
    let (cx, cy, a, b) = ELLIPSE;
    let mut random = Sequence(seed);
    let tones: Vec<i32> = (0..13 * 17).map(|_| random.below(70) as i32 + 70).collect();
    let mut pixels = Vec::with_capacity((width * height) as usize);
    for y in 0..height as i32 {
        for x in 0..width as i32 {
            let tone = tones[(y / 16 * 17 + x / 16) as usize];
            let (dx, dy) = ((x - cx) * b, (y - cy) * a);
            let is_inside = dx * dx + dy * dy <= a * a * b * b;
            let speckle = random.below(48) as i32 + random.below(48) as i32 - 47;
            let grey = if is_inside { tone / 5 + speckle / 4 } else { tone + speckle };
            pixels.push(grey.clamp(0, 255) as u8);
        }
    }
    Frame::from_pixels(width, height, PixelFormat::Grey8, pixels).expect("a pixel a place")
}

/// Prompts of case `case`, model px; `first` are the logits of the first case, the previous mask of the third.
fn question(case: usize, spec: &ModelSpec, first: &[f32]) -> ModelPrompts {
    let k = spec.side as f32 / SIZE.0 as f32;
    let at = |x: f32, y: f32| Point::new(x * k, y * k);
    let mut asked = ModelPrompts::default();
    match case {
        0 => asked.clicks.push((at(120.0, 100.0), Polarity::Positive)),
        1 => {
            asked.clicks.push((at(100.0, 90.0), Polarity::Positive));
            asked.clicks.push((at(200.0, 40.0), Polarity::Negative));
            asked.boxed = Some(Rect::between(at(62.0, 58.0), at(178.0, 142.0)));
        }
        _ => {
            asked.clicks.push((at(130.0, 105.0), Polarity::Positive));
            asked.clicks.push((at(60.0, 150.0), Polarity::Negative));
            asked.previous.extend_from_slice(first);
        }
    }
    asked
}

/// Cases of all images, and the sampled proposal on the first with its estimated IoU.
fn answers(
    model: &mut dyn Segmenter,
    seed: u64,
    pictures: usize,
) -> Result<(Vec<SelfTestCase>, Vec<f32>, Option<f32>)> {
    let (mut cases, mut proposal) = (Vec::new(), (Vec::new(), None));
    for picture in 0..pictures {
        answer_picture(model, seed.wrapping_add(picture as u64), &mut cases)?;
        if picture == 0 {
            proposal = sampled_proposal(model, seed)?;
        }
    }
    let (proposal, iou) = proposal;
    Ok((cases, proposal, iou))
}

/// Logits of the proposal on the frame that was encoded last, and its estimated IoU; none if the model proposes nothing.
fn sampled_proposal(model: &mut dyn Segmenter, seed: u64) -> Result<(Vec<f32>, Option<f32>)> {
    let mut logits = Vec::new();
    let iou = model.propose(&mut logits).map_err(|e| e.within("self-test, proposal"))?;
    if iou.is_none() {
        return Ok((logits, iou));
    }
    let mut random = Sequence(seed ^ 0x70f3_1d2b);
    Ok(((0..SAMPLES).map(|_| logits[random.below(logits.len() as u64) as usize]).collect(), iou))
}

fn answer_picture(model: &mut dyn Segmenter, seed: u64, cases: &mut Vec<SelfTestCase>) -> Result<()> {
    let (frame, spec) = (picture(seed), model.spec());
    model.encode(&frame, &ModelView::new(frame.bounds(), spec.side)).map_err(|e| e.within("self-test"))?;
    let plane = spec.mask_cells * spec.mask_cells;
    let mut random = Sequence(seed ^ 0x5bd1_e995);
    let places: Vec<usize> = (0..SAMPLES).map(|_| random.below((spec.masks * plane) as u64) as usize).collect();
    let (mut first, mut answer) = (Vec::new(), Decoded::default());
    for i in 0..CASES.len() {
        let name = case_name(cases.len());
        let asked = question(i, &spec, &first);
        model.decode(&asked, &mut answer).map_err(|e| e.within(format!("self-test, {name}")))?;
        first.clear();
        first.extend_from_slice(&answer.masks[..plane]);
        let logits = places.iter().map(|&p| answer.masks[p]).collect();
        cases.push(SelfTestCase { name, logits, iou: answer.iou.clone() });
    }
    Ok(())
}

/// Returns the largest difference.
fn check(case: &str, what: &str, got: &[f32], expected: &[f32], tolerance: f32) -> Result<f32> {
    let refuse = |context: String| Err(Error::new(ErrorKind::Model, format!("self-test, {case}: {context}")));
    if got.len() != expected.len() {
        return refuse(format!("expected {} values of {what}, got {}", expected.len(), got.len()));
    }
    let mut worst = 0.0f32;
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let difference = (g - e).abs();
        if difference.is_nan() || difference > tolerance {
            return refuse(format!("{what} {i}: expected {e} within {tolerance}, got {g}"));
        }
        worst = worst.max(difference);
    }
    Ok(worst)
}

fn median(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = [Duration::ZERO; TIMED_RUNS];
    for t in &mut times {
        let begin = Instant::now();
        work()?;
        *t = begin.elapsed();
    }
    times.sort_unstable();
    Ok(times[TIMED_RUNS / 2])
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers everywhere.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
