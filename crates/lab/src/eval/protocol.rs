//! The protocols: who places which prompt after which answer, and what is noted of it.
//!
//! Everything happens on the image's own pixels: clicks, masks and figures; what the model sees is the look's business.
//!
//! | protocol | unit | prompts |
//! |---|---|---|
//! | `noc` | object | RITM's clicks, each answer is the next previous mask, until IoU .90 and [`NOC_CLICKS_MIN`] clicks, or the most clicks |
//! | `msa/point-largest` | mask | a point on the largest region, then points of the error, up to [`MSA_CLICKS`]; all points so far, no previous mask |
//! | `msa/points-each` | mask | a point on each of the three largest regions, together |
//! | `msa/box-largest` `msa/boxes-each` `msa/box-all` | mask | a box on the largest region; a box on each, the masks joined; one box over all |
//! | `clicksam/1` `clicksam/2` | object | a centre click; the Voronoi clicks of that answer's errors, without a previous mask |
//! | `box/exact` `box/noisy` | object | its box; each edge moved by up to 5 px of 256 |
//! | `auto/proposal` `auto/suggested` `auto/box` | mask | none: all that the model proposes; the part of it that would be suggested, with its score; the click model's answer to a box around the largest part of it, larger by a tenth on each side |
//!
//! The unit *mask* is the whole mask of a row, as a binary problem; its figures stand with its largest object.
//!
//! Sources: Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive Segmentation" (RITM), ICIP
//! 2022; Mazurowski et al., "Segment anything model for medical image analysis: an experimental study", Medical Image
//! Analysis 89 (2023); Guo et al., "ClickSAM", 2024; Cheng et al., "SAM-Med2D", 2023.

use std::str::FromStr;
use std::time::Instant;

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use sha2::{Digest as _, Sha256};

use super::clicks::{PixelClick, boxes, cvt, msa, noc};
use super::components::Components;
use super::metrics::{SurfaceDistances, dice};
use super::record::{Answer, Boundary, Step};
use sonotap::contour::{self, Outline};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::{Bitmap, LogitGrid};
use sonotap::measure::measure;
use sonotap::model::predictor::{PredictOptions, Prediction, Predictor, Prompts};

/// `noc` goes on to so many clicks when its target is reached before, so that IoU by click is known that far.
pub const NOC_CLICKS_MIN: usize = 5;
/// The highest target of `noc`.
pub const NOC_TARGET: f64 = 0.90;
/// Clicks of `msa/point-largest`.
pub const MSA_CLICKS: usize = 9;
/// Regions that get a point of their own in `msa/points-each`.
const MSA_REGIONS: usize = 3;
/// By how much the box of `auto/box` is larger on each side, part of its size.
const AUTO_GROW: f32 = 0.1;
/// How far an edge of a noisy box moves, px of an image of 256 on its longest side.
const BOX_NOISE_OF_256: f32 = 5.0;
/// Clicks after which boundary distances are taken, beside the last.
const BOUNDARY_AT: [usize; 3] = [1, 3, 5];
/// Tolerance of the normalized surface Dice where the pixel size is known, mm.
const TOLERANCE_MM: f64 = 1.0;
/// The same where it is not, part of the image's longest side.
const TOLERANCE_SHARE: f64 = 0.01;

/// A family of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Number of clicks, as RITM counts them.
    Noc,
    /// The five modes of Mazurowski et al.
    Msa,
    /// ClickSAM's two stages.
    Clicksam,
    /// Boxes with and without noise.
    Box,
    /// What a model proposes without a prompt.
    Auto,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Noc, Self::Msa, Self::Clicksam, Self::Box, Self::Auto];

    /// As written in arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noc => "noc",
            Self::Msa => "msa",
            Self::Clicksam => "clicksam",
            Self::Box => "box",
            Self::Auto => "auto",
        }
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| {
            Error::new(ErrorKind::Argument, format!("expected noc, msa, clicksam, box or auto, got {text:?}"))
        })
    }
}

/// How the model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookKind {
    /// As the product does: target crop, click correction, second decode.
    Full,
    /// As [`Self::Full`], but a lone click is seen in one view and the target crop, whatever the model's scores are worth.
    Single,
    /// The graphs alone.
    Plain,
}

impl LookKind {
    /// As written in arguments and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Single => "single",
            Self::Plain => "plain",
        }
    }

    /// The rules in force.
    pub fn options(self) -> PredictOptions {
        match self {
            Self::Full => PredictOptions::default(),
            Self::Single => PredictOptions { survey: false, ..PredictOptions::default() },
            Self::Plain => PredictOptions {
                target_crop: false,
                correct_clicks: false,
                keep_elsewhere: false,
                retry_without_previous: false,
                survey: false,
            },
        }
    }
}

impl FromStr for LookKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Full, Self::Single, Self::Plain]
            .into_iter()
            .find(|l| l.name() == text)
            .ok_or_else(|| Error::new(ErrorKind::Argument, format!("expected full, single or plain, got {text:?}")))
    }
}

/// What an object is asked.
#[derive(Clone, Debug)]
pub struct Questions {
    /// Families, each once.
    pub protocols: Vec<Protocol>,
    /// Looks, each once.
    pub looks: Vec<LookKind>,
    /// Most clicks of `noc`.
    pub max_clicks: usize,
    /// Of everything random.
    pub seed: u64,
}

/// An object on its image.
pub struct Subject<'a> {
    /// With an id that no other image of the run has.
    pub frame: &'a Frame,
    /// The object.
    pub object: &'a Bitmap,
    /// The whole mask of the row, for the protocols whose unit it is; `None` for all but its largest object.
    pub whole: Option<&'a Bitmap>,
    /// Millimetres a pixel, if known.
    pub pixel_mm: Option<f64>,
    /// Head circumference, if known, mm.
    pub hc_mm: Option<f64>,
    /// Tells it from all others; with the seed it decides all that is random.
    pub key: String,
}

/// All answers of an object.
///
/// # Errors
/// As [`Predictor::predict`].
pub fn examine(predictor: &mut Predictor, subject: &Subject, questions: &Questions) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for &look in &questions.looks {
        predictor.set_options(look.options());
        let mut trial = Trial { predictor, subject, look, looks: Vec::new(), seed: questions.seed };
        for protocol in &questions.protocols {
            match protocol {
                Protocol::Noc => answers.push(trial.noc(questions.max_clicks)?),
                Protocol::Msa => trial.msa(&mut answers)?,
                Protocol::Clicksam => trial.clicksam(&mut answers)?,
                Protocol::Box => trial.boxes(&mut answers)?,
                Protocol::Auto => trial.auto(&mut answers)?,
            }
        }
    }
    Ok(answers)
}

/// A mask that the model gave, at image size and as it came.
struct Given {
    mask: Bitmap,
    grid: Option<LogitGrid>,
    score: Option<f64>,
    ms: f64,
}

struct Trial<'a, 'b> {
    predictor: &'a mut Predictor,
    subject: &'b Subject<'b>,
    look: LookKind,
    looks: Vec<Prediction>,
    seed: u64,
}

impl Trial<'_, '_> {
    fn noc(&mut self, max_clicks: usize) -> Result<Answer> {
        let truth = self.subject.object;
        self.predictor.forget_objects();
        let mut prompts = Prompts::default();
        let mut answer = self.answer("noc");
        let mut is_reached = false;
        let mut mask = Bitmap::new(truth.width(), truth.height());
        while let Some(click) = noc::next_click(truth, &mask, &answer.clicks) {
            answer.clicks.push(click);
            prompts.clicks.push((click.at(), click.polarity()));
            let given = self.ask(&prompts)?;
            let n = answer.clicks.len();
            is_reached |= given.mask.iou(truth) >= NOC_TARGET;
            let is_last = n == max_clicks || (is_reached && n >= NOC_CLICKS_MIN);
            answer.steps.push(self.step(&given, truth, n, n == 1, is_last));
            if is_last {
                break;
            }
            mask = given.mask;
            prompts.previous = given.grid;
        }
        Ok(answer)
    }

    fn msa(&mut self, answers: &mut Vec<Answer>) -> Result<()> {
        let Some(whole) = self.subject.whole else { return Ok(()) };
        let regions = Components::of(whole);
        let by_area: Vec<Bitmap> = regions.by_area().into_iter().map(|i| regions.bitmap(i)).collect();
        let Some(largest) = by_area.first() else { return Ok(()) };

        let mut rng = self.random("msa");
        let mut answer = self.answer("msa/point-largest");
        self.predictor.forget_objects();
        let mut prompts = Prompts::default();
        let mut next = msa::first_click(largest, &mut rng);
        while let Some(click) = next {
            answer.clicks.push(click);
            prompts.clicks.push((click.at(), click.polarity()));
            let given = self.ask(&prompts)?;
            let n = answer.clicks.len();
            answer.steps.push(self.step(&given, whole, n, true, n == MSA_CLICKS));
            next = (n < MSA_CLICKS).then(|| msa::next_click(whole, &given.mask, &mut rng)).flatten();
        }
        answers.push(answer);

        let clicks = by_area.iter().take(MSA_REGIONS).filter_map(|r| msa::first_click(r, &mut rng)).collect();
        let answer = self.all_at_once("msa/points-each", whole, clicks)?;
        answers.push(answer);

        let boxes: Vec<Rect<ImageSpace>> = by_area.iter().filter_map(boxes::bounds_of).collect();
        answers.push(self.boxed("msa/box-largest", whole, &boxes[..1])?);
        answers.push(self.boxed("msa/boxes-each", whole, &boxes)?);
        let all: Vec<Rect<ImageSpace>> = boxes::bounds_of(whole).into_iter().collect();
        answers.push(self.boxed("msa/box-all", whole, &all)?);
        Ok(())
    }

    fn clicksam(&mut self, answers: &mut Vec<Answer>) -> Result<()> {
        let truth = self.subject.object;
        let centre = cvt::centre_click(truth).into_iter().collect();
        let mut first = self.answer("clicksam/1");
        self.predictor.forget_objects();
        first.clicks = centre;
        let given = self.ask(&prompts_of(&first.clicks))?;
        first.steps.push(self.step(&given, truth, 1, true, true));
        let clicks = cvt::clicks(truth, &given.mask, &mut self.random("clicksam"));
        let second = match clicks.is_empty() {
            true => Answer { protocol: "clicksam/2".into(), ..first.clone() },
            false => self.all_at_once("clicksam/2", truth, clicks)?,
        };
        answers.extend([first, second]);
        Ok(())
    }

    fn boxes(&mut self, answers: &mut Vec<Answer>) -> Result<()> {
        let truth = self.subject.object;
        let Some(exact) = boxes::bounds_of(truth) else { return Ok(()) };
        let (width, height) = (truth.width(), truth.height());
        let noise_px = BOX_NOISE_OF_256 * width.max(height) as f32 / 256.0;
        let noisy = boxes::noisy(exact, width, height, noise_px, &mut self.random("box"));
        answers.push(self.boxed("box/exact", truth, &[exact])?);
        answers.push(self.boxed("box/noisy", truth, &[noisy])?);
        Ok(())
    }

    fn auto(&mut self, answers: &mut Vec<Answer>) -> Result<()> {
        let Some(whole) = self.subject.whole else { return Ok(()) };
        let frame = self.subject.frame;
        let begin = Instant::now();
        let Some(grid) = self.predictor.propose(frame, frame.bounds())? else {
            let what = "protocol auto: expected a model that proposes a mask (proposal.onnx), got one that does not";
            return Err(Error::new(ErrorKind::Argument, what));
        };
        let ms = begin.elapsed().as_secs_f64() * 1e3;
        let mask = grid.to_bitmap(frame.width(), frame.height());
        let parts = Components::of(&mask);
        let largest = parts.largest().and_then(|i| boxes::bounds_of(&parts.bitmap(i)));
        let mut answer = self.answer("auto/proposal");
        answer.steps.push(self.step(&Given { mask, grid: Some(grid), score: None, ms }, whole, 0, false, true));
        answers.push(answer);
        let mut answer = self.answer("auto/suggested");
        let given = self.suggested(ms)?;
        answer.steps.push(self.step(&given, whole, 0, false, true));
        answers.push(answer);
        let boxed: Vec<Rect<ImageSpace>> = largest.map(|b| grown(&b, &frame.bounds())).into_iter().collect();
        let mut answer = self.boxed("auto/box", whole, &boxed)?;
        if answer.steps.is_empty() {
            let nothing = Given { mask: Bitmap::new(frame.width(), frame.height()), grid: None, score: None, ms };
            answer.steps.push(self.step(&nothing, whole, 0, false, true));
        }
        answers.push(answer);
        Ok(())
    }

    /// What would be suggested on the frame; nothing, and no score, if nothing would be. `ms`: what proposing took.
    fn suggested(&mut self, ms: f64) -> Result<Given> {
        let (frame, mut grid) = (self.subject.frame, None);
        let score = self.predictor.suggest(frame, frame.bounds(), &mut grid)?;
        let (score, grid) = (score.map(|s| f64::from(s.get())), grid.filter(|_| score.is_some()));
        let (width, height) = (frame.width(), frame.height());
        let mask = grid.as_ref().map_or_else(|| Bitmap::new(width, height), |g| g.to_bitmap(width, height));
        Ok(Given { mask, grid, score, ms })
    }

    /// Several clicks as one prompt.
    fn all_at_once(&mut self, protocol: &str, truth: &Bitmap, clicks: Vec<PixelClick>) -> Result<Answer> {
        self.predictor.forget_objects();
        let given = self.ask(&prompts_of(&clicks))?;
        let mut answer = self.answer(protocol);
        answer.steps.push(self.step(&given, truth, clicks.len(), true, true));
        answer.clicks = clicks;
        Ok(answer)
    }

    /// Each box alone; the masks joined.
    fn boxed(&mut self, protocol: &str, truth: &Bitmap, boxes: &[Rect<ImageSpace>]) -> Result<Answer> {
        let mut joined: Option<Given> = None;
        for &boxed in boxes {
            self.predictor.forget_objects();
            let given = self.ask(&Prompts { boxed: Some(boxed), ..Prompts::default() })?;
            joined = Some(match joined {
                None => given,
                Some(so_far) => join(so_far, given),
            });
        }
        let mut answer = self.answer(protocol);
        if let Some(given) = joined {
            answer.steps.push(self.step(&given, truth, 1, boxes.len() == 1, true));
        }
        Ok(answer)
    }

    fn answer(&self, protocol: &str) -> Answer {
        let look = self.look.name().to_owned();
        Answer { protocol: protocol.to_owned(), look, steps: Vec::new(), clicks: Vec::new() }
    }

    fn random(&self, protocol: &str) -> Pcg64Mcg {
        let digest = Sha256::digest(format!("{}\n{}\n{protocol}", self.seed, self.subject.key));
        let mut seed = [0; 16];
        seed.copy_from_slice(&digest[..16]);
        Pcg64Mcg::from_seed(seed)
    }

    fn ask(&mut self, prompts: &Prompts) -> Result<Given> {
        let begin = Instant::now();
        self.predictor.predict(self.subject.frame, std::slice::from_ref(prompts), &mut self.looks)?;
        let ms = begin.elapsed().as_secs_f64() * 1e3;
        let (width, height) = (self.subject.frame.width(), self.subject.frame.height());
        let grid = self.looks[0].mask().cloned();
        let mask = grid.as_ref().map_or_else(|| Bitmap::new(width, height), |g| g.to_bitmap(width, height));
        Ok(Given { mask, grid, score: self.looks[0].score().map(|s| f64::from(s.get())), ms })
    }

    fn step(&self, given: &Given, truth: &Bitmap, prompts: usize, with_oracle: bool, is_last: bool) -> Step {
        let iou = given.mask.iou(truth);
        let oracle_iou = with_oracle.then(|| {
            let masks = self.predictor.last_masks();
            masks.map(|m| m.to_bitmap(truth.width(), truth.height()).iou(truth)).fold(iou, f64::max)
        });
        let with_boundary = is_last || BOUNDARY_AT.contains(&prompts);
        Step {
            iou,
            dice: dice(&given.mask, truth),
            oracle_iou,
            score: given.score,
            ms: given.ms,
            boundary: with_boundary.then(|| self.boundary(&given.mask, truth)).flatten(),
            hc_error_mm: self.hc_error_mm(given.grid.as_ref()),
        }
    }

    fn boundary(&self, mask: &Bitmap, truth: &Bitmap) -> Option<Boundary> {
        let distances = SurfaceDistances::between(mask, truth)?;
        let mm = self.subject.pixel_mm;
        let tolerance = mm.map_or(TOLERANCE_SHARE * f64::from(truth.width().max(truth.height())), |_| TOLERANCE_MM);
        let unit = mm.unwrap_or(1.0);
        Some(Boundary {
            is_mm: mm.is_some(),
            hd95: distances.hd95() * unit,
            assd: distances.assd() * unit,
            nsd: distances.nsd(tolerance / unit),
            tolerance,
        })
    }

    fn hc_error_mm(&self, grid: Option<&LogitGrid>) -> Option<f64> {
        let (hc, mm) = (self.subject.hc_mm?, self.subject.pixel_mm?);
        let mut outline = Outline::default();
        contour::trace(grid?, &mut outline);
        let (major, minor) = measure(&outline, None)?.ellipse_axes_px;
        Some(ellipse_circumference(major / 2.0, minor / 2.0) * mm - hc)
    }
}

/// A box that is larger by [`AUTO_GROW`] of its size on each side, within the image.
fn grown(b: &Rect<ImageSpace>, image: &Rect<ImageSpace>) -> Rect<ImageSpace> {
    b.grown_by(AUTO_GROW).intersect(image).unwrap_or(*b)
}

/// Circumference of an ellipse with these half axes (Ramanujan's second approximation).
///
/// ```
/// use sonotap_lab::eval::protocol::ellipse_circumference;
/// assert!((ellipse_circumference(1.0, 1.0) - std::f64::consts::TAU).abs() < 1e-12);
/// ```
pub fn ellipse_circumference(a: f64, b: f64) -> f64 {
    let h = ((a - b) / (a + b)).powi(2);
    std::f64::consts::PI * (a + b) * (1.0 + 3.0 * h / (10.0 + (4.0 - 3.0 * h).sqrt()))
}

fn prompts_of(clicks: &[PixelClick]) -> Prompts {
    Prompts { clicks: clicks.iter().map(|c| (c.at(), c.polarity())).collect(), ..Prompts::default() }
}

/// What lies in either mask, with the lower score.
fn join(a: Given, b: Given) -> Given {
    let either = a.mask.pixels().iter().zip(b.mask.pixels()).map(|(p, q)| p | q).collect();
    let mask = Bitmap::from_values(a.mask.width(), a.mask.height(), either).unwrap_or(a.mask);
    let score = a.score.zip(b.score).map(|(p, q)| p.min(q));
    Given { mask, grid: None, score, ms: a.ms + b.ms }
}
