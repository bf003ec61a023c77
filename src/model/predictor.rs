//! A prediction on a frame for up to four objects: views, decodes and the rules of interactive use, in order.
//!
//! 1. *View.* The whole image region of the object's prompts, until every object has an outline; objects in different regions
//!    are predicted one region after the other. Then a target crop (`views.rs`), which moves only when an object or a click
//!    comes close to its edge, so that a live frame costs one encode. A first tap costs two: the mask of the whole region
//!    defines the closer view, and is its previous mask. A mask that reaches the edge of its crop is followed once.
//! 2. *Mask.* For a lone click the mask with the highest predicted IoU, or the requested candidate; else mask 0.
//! 3. *Second decode.* When the mask contradicts the newest click by more than the margin and there was a previous mask, the
//!    prompts are decoded again without it. That result is used if it contradicts fewer clicks and not the newest. Smaller
//!    violations and older clicks are left to the correction: without its previous mask the model loses far more than a click.
//! 4. *Merge.* From the third prompt on, a click that contradicts the outline so far changes it only where it is about
//!    ([`super::merge`]).
//! 5. *Correction.* The mask is corrected to satisfy its clicks ([`super::correct`]).
//! 6. *Sanity.* An output that is not a mask is [`Implausible`], never an outline.
//!
//! The frame that was encoded last is not encoded again in the same view.
//!
//! A lone click is predicted in several views if the model's scores are comparable between views
//! ([`ModelSpec::view_advantage`]): `predictor/survey.rs`.

mod proposing;
pub(crate) mod survey;
mod task;

use std::path::Path;
use std::time::Instant;

use self::task::{Task, outline_bounds, target};
use super::correct::{self, CellClick, Contradicted, CorrectScratch};
use super::merge::{self, MergeScratch};
use super::postprocess::{candidates, choose};
use super::sam;
use super::suggestion::LargestPart;
use super::views::{self, crop_around, is_near_edge};
use super::{Decoded, ModelPrompts, ModelSpec, Segmenter, empty_grid};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, ModelView, Point, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};
use crate::preset::ExpectedSize;
use crate::prompt::Polarity;
use crate::units::{FrameId, ObjectId, Score, Timestamp};

/// Most clicks of one object.
pub const MAX_CLICKS: usize = 40;
/// Share of the image region from which a mask is not an outline.
const EVERYTHING: f64 = 0.98;

/// Prompts of one object.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    /// Clicks from the oldest to the newest, image px.
    pub clicks: Vec<(Point<ImageSpace>, Polarity)>,
    /// A box around the object.
    pub boxed: Option<Rect<ImageSpace>>,
    /// The mask so far, in any view; an empty mask counts as none.
    pub previous: Option<LogitGrid>,
    /// Whether the previous mask only chooses the view and is not an input of the model, so that the answer is independent of it.
    pub is_independent: bool,
    /// The image region of the object; `None` for the region of its prompts.
    pub region: Option<Rect<ImageSpace>>,
    /// For a lone click: index of the candidate, 0 for the highest score; cyclic.
    pub candidate: u8,
    /// Outlines of the lone click that were shown already, carried to this frame; later candidates differ from them.
    pub passed: Vec<LogitGrid>,
    /// For a lone click at several scales: expected sizes, which rank first.
    pub expected: Option<ExpectedSize>,
    /// Whether the frame is still: a lone click at several scales may then use more decodes.
    pub is_still: bool,
}

impl Prompts {
    /// One click on the object, image px.
    pub fn click(at: Point<ImageSpace>) -> Self {
        Self { clicks: vec![(at, Polarity::Positive)], ..Self::default() }
    }

    /// A box around the object, image px.
    pub fn around(bounds: Rect<ImageSpace>) -> Self {
        Self { boxed: Some(bounds), ..Self::default() }
    }
}

/// The active rules; all, unless an evaluation disables one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictOptions {
    /// Use a target crop around outlined objects.
    pub target_crop: bool,
    /// Correct the mask to satisfy its clicks.
    pub correct_clicks: bool,
    /// Keep the outline so far where a correcting click is not about it.
    pub keep_elsewhere: bool,
    /// Decode again without the previous mask when the newest click is clearly contradicted.
    pub retry_without_previous: bool,
    /// Predict a lone click at several scales, if the model's scores are comparable between views.
    pub survey: bool,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            target_crop: true,
            correct_clicks: true,
            keep_elsewhere: true,
            retry_without_previous: true,
            survey: true,
        }
    }
}

/// Why a model's output is not a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Implausible {
    /// A logit or a predicted IoU is not a finite number.
    NotFinite,
    /// The mask is empty.
    Empty,
    /// The mask covers the whole image region.
    Everything,
}

/// Outcome for one object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PredictionOutcome {
    /// It has a mask, with the model's estimate of its IoU.
    Outlined(Score),
    /// The model's output is not a mask.
    Implausible(Implausible),
}

/// One object's part of a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    outcome: PredictionOutcome,
    mask: LogitGrid,
    candidates: u8,
    contradicted: usize,
    redecoded: bool,
}

impl Prediction {
    /// Its outcome.
    pub fn outcome(&self) -> PredictionOutcome {
        self.outcome
    }

    /// Its mask, in the view it was decoded in; `None` when the output is not a mask.
    pub fn mask(&self) -> Option<&LogitGrid> {
        matches!(self.outcome, PredictionOutcome::Outlined(_)).then_some(&self.mask)
    }

    /// The model's estimate of the mask's IoU; `None` when the output is not a mask.
    pub fn score(&self) -> Option<Score> {
        match self.outcome {
            PredictionOutcome::Outlined(score) => Some(score),
            PredictionOutcome::Implausible(_) => None,
        }
    }

    /// Number of candidates for [`Prompts::candidate`]; 0 if the prompts are not a lone click.
    pub fn candidates(&self) -> u8 {
        self.candidates
    }

    /// Number of clicks that the model's mask contradicted before the correction.
    pub fn contradicted(&self) -> usize {
        self.contradicted
    }

    /// Whether the mask is that of the second decode, without the previous mask.
    pub fn redecoded(&self) -> bool {
        self.redecoded
    }
}

/// Cost of a prediction, and its last view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionReport {
    /// Runs of the encoder.
    pub encodes: u32,
    /// Runs of the decoder.
    pub decodes: u32,
    /// Time in the encoder, ns.
    pub encode_ns: u64,
    /// Time in the decoder, ns.
    pub decode_ns: u64,
    /// The last encoded view.
    pub view: ModelView,
}

/// The previous mask of an object's decode in a pass, or that it is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Skip,
    Given,
    Answer,
}

type Feeds = [Feed; ObjectId::MAX];

/// Identifies a captured frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FrameKey {
    id: Option<FrameId>,
    captured: Timestamp,
    width: u32,
    height: u32,
}

/// A mask among those of the last decode.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    mask: usize,
    contradicted: Contradicted,
    redecoded: bool,
}

/// Predicts masks on frames with a model. Keeps the view between calls, and reuses all buffers.
pub struct Predictor {
    segmenter: Box<dyn Segmenter>,
    options: PredictOptions,
    spec: ModelSpec,
    encoded: Option<(FrameKey, ModelView)>,
    /// The last crop of each region, by the region's bounds.
    crops: [Option<(Rect<ImageSpace>, Rect<ImageSpace>)>; ObjectId::MAX],
    prompts: ModelPrompts,
    decoded: Decoded,
    decoded_first: Decoded,
    cell_clicks: Vec<CellClick>,
    scratch: CorrectScratch,
    /// The previous mask of the decode, while a second decode does without.
    set_aside: Vec<f32>,
    merge_scratch: MergeScratch,
    found: survey::Found,
    proposed: Vec<f32>,
    parts: LargestPart,
}

impl Predictor {
    /// A predictor through this model.
    pub fn new(segmenter: Box<dyn Segmenter>, options: PredictOptions) -> Self {
        Self {
            spec: segmenter.spec(),
            segmenter,
            options,
            encoded: None,
            crops: [None; ObjectId::MAX],
            prompts: ModelPrompts::default(),
            decoded: Decoded::default(),
            decoded_first: Decoded::default(),
            cell_clicks: Vec::new(),
            scratch: CorrectScratch::default(),
            set_aside: Vec::new(),
            merge_scratch: MergeScratch::default(),
            found: survey::Found::default(),
            proposed: Vec::new(),
            parts: LargestPart::default(),
        }
    }

    /// Loads the model of a folder, with all its checks, and predicts by all rules.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Model` when the folder is not what its manifest says.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(sam::load(folder.as_ref())?, PredictOptions::default()))
    }

    /// Sizes of the model's inputs and outputs.
    pub fn spec(&self) -> ModelSpec {
        self.spec
    }

    /// Whether a lone click is predicted at several scales.
    pub fn surveys(&self) -> bool {
        self.spec.view_advantage.is_some() && self.options.survey
    }

    /// The active rules.
    pub fn options(&self) -> PredictOptions {
        self.options
    }

    /// Drops the view and the encoded frame: for a new source, exam or image.
    pub fn forget_view(&mut self) {
        self.encoded = None;
        self.crops = [None; ObjectId::MAX];
    }

    /// Sets the active rules from the next call on.
    pub fn set_options(&mut self, options: PredictOptions) {
        self.options = options;
    }

    /// Drops the view, but not the encoded frame: for a new object on the same image.
    pub fn forget_objects(&mut self) {
        self.crops = [None; ObjectId::MAX];
    }

    fn crop(&self, bounds: &Rect<ImageSpace>) -> Option<&Rect<ImageSpace>> {
        self.crops.iter().flatten().find(|(of, _)| of == bounds).map(|(_, crop)| crop)
    }

    fn keep_crop(&mut self, bounds: Rect<ImageSpace>, crop: Rect<ImageSpace>) {
        let is_its = |kept: &&mut Option<(Rect<ImageSpace>, Rect<ImageSpace>)>| kept.is_none_or(|(of, _)| of == bounds);
        match self.crops.iter_mut().find(is_its) {
            Some(kept) => *kept = Some((bounds, crop)),
            // Crops of regions that no longer exist.
            None => self.crops = [Some((bounds, crop)), None, None, None],
        }
    }

    /// The masks that the last prediction could have shown: all masks of the last decode, in its view, the shown one as corrected;
    /// for a survey the distinct outlines. For evaluations of the best possible choice.
    pub fn last_masks(&self) -> impl Iterator<Item = LogitGrid> + '_ {
        let cells = self.spec.mask_cells;
        let is_decode = self.found.is_empty();
        let masks = self.encoded.filter(|_| is_decode).map(|(_, view)| {
            self.decoded
                .masks
                .chunks_exact(cells * cells)
                .filter_map(move |values| LogitGrid::from_values(cells, view, values.to_vec()))
        });
        masks.into_iter().flatten().chain(self.found.distinct())
    }

    /// Predicts every object on `frame` and writes their parts to `out`, in order; buffers of `out` are reused.
    ///
    /// A frame with an id is assumed never to change; a frame without one is encoded in every call.
    ///
    /// # Errors
    /// `Argument`: more than [`ObjectId::MAX`] objects or 40 clicks, an object with no prompt at all, a
    /// prompt outside the frame or outside all regions with tissue, prompts of one object in different regions, an empty
    /// frame. `Model`: an output whose size differs from the model's specification. Also the model's own errors. After an
    /// error the content of `out` is unspecified.
    pub fn predict(
        &mut self,
        frame: &Frame,
        objects: &[Prompts],
        out: &mut Vec<Prediction>,
    ) -> Result<PredictionReport> {
        let (mut task, mut report) = self.begin(frame, objects, out)?;
        if let [object] = objects
            && self.is_surveyed(object)
            && self.survey(&task, object, &mut out[0], &mut report)?
        {
            self.look_closer(&task, out, &mut report)?;
            self.found.settle(object, &out[0]);
            return Ok(report);
        }
        task.regions(|task| {
            if !self.options.target_crop {
                return self.pass(task, &task.bounds, &[Feed::Given; ObjectId::MAX], out, &mut report);
            }
            let crop = self.first_answers(task, out, &mut report)?;
            self.follow_once(task, &crop, out, &mut report)
        })?;
        Ok(report)
    }

    /// Predicts one object on `frame`; [`Self::predict`] is for several, and reuses its buffers.
    ///
    /// ```no_run
    /// # use sonotap::{Frame, Point, Predictor, Prompts};
    /// # let frame = Frame::default();
    /// let mut predictor = Predictor::open("models/student")?;
    /// let cyst = predictor.predict_one(&frame, &Prompts::click(Point::new(212.0, 140.0)))?;
    /// if let (Some(mask), Some(score)) = (cyst.mask(), cyst.score()) {
    ///     println!("{} px, IoU about {:.2}", mask.to_bitmap(frame.width(), frame.height()).area_px(), score.get());
    /// }
    /// # Ok::<(), sonotap::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_one(&mut self, frame: &Frame, prompts: &Prompts) -> Result<Prediction> {
        let mut out = Vec::with_capacity(1);
        self.predict(frame, std::slice::from_ref(prompts), &mut out)?;
        out.pop().ok_or_else(|| Error::new(ErrorKind::Model, "expected a prediction for one object, got none"))
    }

    /// Predicts from the whole region only: the intermediate result of a first [`Self::predict`], after half of its time. The next
    /// call takes it as previous mask and uses a closer view. Objects that already have an outline are predicted again as well.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_roughly(
        &mut self,
        frame: &Frame,
        objects: &[Prompts],
        out: &mut Vec<Prediction>,
    ) -> Result<PredictionReport> {
        let (mut task, mut report) = self.begin(frame, objects, out)?;
        task.regions(|task| self.look_at_all(task, &[Feed::Given; ObjectId::MAX], out, &mut report).map(drop))?;
        self.forget_objects();
        Ok(report)
    }

    /// Checks the arguments and prepares `out`.
    fn begin<'a>(
        &mut self,
        frame: &'a Frame,
        objects: &'a [Prompts],
        out: &mut Vec<Prediction>,
    ) -> Result<(Task<'a>, PredictionReport)> {
        let task = Task::new(frame, objects)?;
        let view = ModelView::new(task.bounds, self.spec.side);
        self.found.clear();
        self.prepare(objects.len(), view, out);
        if frame.id.is_none() {
            self.encoded = None;
        }
        Ok((task, PredictionReport { encodes: 0, decodes: 0, encode_ns: 0, decode_ns: 0, view }))
    }

    fn prepare(&self, objects: usize, view: ModelView, out: &mut Vec<Prediction>) {
        out.truncate(objects);
        out.resize_with(objects, || Prediction {
            outcome: PredictionOutcome::Implausible(Implausible::Empty),
            mask: empty_grid(&self.spec, view),
            candidates: 0,
            contradicted: 0,
            redecoded: false,
        });
        for object in out.iter_mut() {
            object.outcome = PredictionOutcome::Implausible(Implausible::Empty);
            (object.candidates, object.contradicted, object.redecoded) = (0, 0, false);
        }
    }

    /// Predicts every object, in the closer view if there is one; returns the crop of that view.
    fn first_answers(
        &mut self,
        task: &Task,
        out: &mut [Prediction],
        report: &mut PredictionReport,
    ) -> Result<Rect<ImageSpace>> {
        let mut feeds = [Feed::Skip; ObjectId::MAX];
        for (i, feed) in feeds.iter_mut().enumerate().take(task.objects.len()) {
            if task.is_here(i) && outline_bounds(&task.objects[i]).is_none() {
                *feed = Feed::Given;
            }
        }
        let crop = if feeds.contains(&Feed::Given) {
            self.look_at_all(task, &feeds, out, report)?
        } else {
            let target = target(task, out).unwrap_or(task.bounds);
            views::follow(self.crop(&task.bounds), &target, &task.bounds)
        };
        for (feed, answer) in feeds.iter_mut().zip(out.iter()) {
            *feed = match feed {
                Feed::Skip => Feed::Given,
                _ if crop == task.bounds || answer.mask().is_none() => Feed::Skip,
                _ => Feed::Answer,
            };
        }
        self.pass(task, &crop, &feeds, out, report)?;
        self.keep_crop(task.bounds, crop);
        Ok(crop)
    }

    /// Predicts objects without an outline from the whole region; returns the crop for the closer view.
    fn look_at_all(
        &mut self,
        task: &Task,
        feeds: &Feeds,
        out: &mut [Prediction],
        report: &mut PredictionReport,
    ) -> Result<Rect<ImageSpace>> {
        self.pass(task, &task.bounds, feeds, out, report)?;
        Ok(target(task, out).map_or(task.bounds, |t| crop_around(&t, &task.bounds)))
    }

    /// Refines the outline of a survey in a target crop.
    fn look_closer(&mut self, task: &Task, out: &mut [Prediction], report: &mut PredictionReport) -> Result<()> {
        let crop = target(task, out).map_or(task.bounds, |t| crop_around(&t, &task.bounds));
        if self.options.target_crop && crop != task.bounds && out[0].mask().is_some() {
            self.pass(task, &crop, &[Feed::Answer; ObjectId::MAX], out, report)?;
            self.keep_crop(task.bounds, crop);
        }
        Ok(())
    }

    /// Predicts once more in a wider view if a mask reaches the edge of the crop.
    fn follow_once(
        &mut self,
        task: &Task,
        crop: &Rect<ImageSpace>,
        out: &mut [Prediction],
        report: &mut PredictionReport,
    ) -> Result<()> {
        let cell = crop.width().max(crop.height()) / self.spec.mask_cells as f32;
        let Some(target) = target(task, out).filter(|t| is_near_edge(crop, t, &task.bounds, cell)) else {
            return Ok(());
        };
        let mut feeds = [Feed::Skip; ObjectId::MAX];
        for (feed, _) in feeds.iter_mut().zip(out.iter()).filter(|(_, answer)| answer.mask().is_some()) {
            *feed = Feed::Answer;
        }
        let wider = crop_around(&target, &task.bounds);
        self.pass(task, &wider, &feeds, out, report)?;
        self.keep_crop(task.bounds, wider);
        Ok(())
    }

    /// Encodes the crop, unless it is encoded already, and decodes the region's objects that are not skipped.
    fn pass(
        &mut self,
        task: &Task,
        crop: &Rect<ImageSpace>,
        feeds: &Feeds,
        out: &mut [Prediction],
        report: &mut PredictionReport,
    ) -> Result<()> {
        let view = ModelView::new(*crop, self.spec.side);
        for (i, ((object, answer), feed)) in task.objects.iter().zip(out).zip(feeds).enumerate() {
            let previous = match feed {
                _ if !task.is_here(i) => continue,
                Feed::Skip => continue,
                Feed::Given if object.is_independent => None,
                Feed::Given => object.previous.as_ref().filter(|p| p.inside_bounds().is_some()),
                Feed::Answer => Some(&answer.mask),
            };
            self.ask(object, &view, previous);
            if self.prompts.count() == 0 {
                continue;
            }
            self.encode(task.frame, &view, report)?;
            let is_correction = self.options.keep_elsewhere && is_correction(object);
            self.answer(object.candidate, &view, *crop == task.bounds, is_correction, answer, report)?;
        }
        Ok(())
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView, report: &mut PredictionReport) -> Result<()> {
        report.view = *view;
        let key = FrameKey { id: frame.id, captured: frame.captured, width: frame.width, height: frame.height };
        if self.encoded == Some((key, *view)) {
            return Ok(());
        }
        self.encoded = None;
        let start = Instant::now();
        self.segmenter.encode(frame, view)?;
        report.encode_ns += elapsed_ns(start);
        report.encodes += 1;
        self.encoded = Some((key, *view));
        Ok(())
    }

    /// Maps an object's prompts to model space and to the mask's grid.
    fn ask(&mut self, object: &Prompts, view: &ModelView, previous: Option<&LogitGrid>) {
        let cells = self.spec.mask_cells;
        self.prompts.clear();
        self.prompts.clicks.extend(object.clicks.iter().map(|&(at, polarity)| (view.to_model(at), polarity)));
        let seen = object.boxed.and_then(|b| b.intersect(view.crop()));
        self.prompts.boxed = seen.map(|b| view.converter().apply_rect(&b));
        if let Some(previous) = previous {
            views::resample(previous, cells, view, &mut self.prompts.previous);
        }
        self.cell_clicks.clear();
        self.cell_clicks.extend(object.clicks.iter().map(|&(at, p)| CellClick::seen(at, p, view, cells)));
    }

    /// Decodes an object by rules 2 to 6. An earlier mask of this prediction is kept if the new one is implausible.
    fn answer(
        &mut self,
        candidate: u8,
        view: &ModelView,
        is_whole: bool,
        is_correction: bool,
        out: &mut Prediction,
        report: &mut PredictionReport,
    ) -> Result<()> {
        self.decode(report)?;
        let is_lone = self.prompts.is_lone_click();
        let is_fed = !self.prompts.previous.is_empty();
        let mut chosen = self.chosen(candidate);
        if is_lone {
            out.candidates = candidates(&self.decoded.iou, self.spec.first_candidate).min(usize::from(u8::MAX)) as u8;
        }
        if let Ok(first) = chosen
            && first.contradicted.is_newest_denied
            && is_fed
            && self.options.retry_without_previous
        {
            chosen = self.retry(first, report)?;
        }
        match chosen.and_then(|c| Ok((c, self.finish(c, view, is_whole, is_correction)?))) {
            Ok((chosen, score)) => {
                out.outcome = PredictionOutcome::Outlined(score);
                out.mask.reset(self.spec.mask_cells, *view);
                out.mask.values_mut().copy_from_slice(self.mask_mut(chosen.mask));
                (out.contradicted, out.redecoded) = (chosen.contradicted.clicks, chosen.redecoded);
            }
            Err(why) if why == Implausible::NotFinite || out.mask().is_none() => {
                out.outcome = PredictionOutcome::Implausible(why);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn decode(&mut self, report: &mut PredictionReport) -> Result<()> {
        let start = Instant::now();
        self.segmenter.decode(&self.prompts, &mut self.decoded)?;
        report.decode_ns += elapsed_ns(start);
        report.decodes += 1;
        let (spec, cells) = (self.spec, self.spec.mask_cells.pow(2));
        for (what, got, expected) in [
            ("mask logits", self.decoded.masks.len(), spec.masks * cells),
            ("predicted IoUs", self.decoded.iou.len(), spec.masks),
            ("pixel features", self.decoded.pixels.len(), spec.pixel_channels * cells),
        ] {
            if got != expected {
                return Err(Error::new(ErrorKind::Model, format!("decoder: expected {expected} {what}, got {got}")));
            }
        }
        Ok(())
    }

    /// Index of the mask to show, and the number of clicks that it contradicts.
    fn chosen(&mut self, candidate: u8) -> Result<Chosen, Implausible> {
        let is_finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if !is_finite(&self.decoded.iou) || !is_finite(&self.decoded.masks) {
            return Err(Implausible::NotFinite);
        }
        let mask = choose(&self.prompts, &self.decoded.iou, self.spec.first_candidate, usize::from(candidate));
        let cells = self.spec.mask_cells;
        let logits = &self.decoded.masks[mask * cells * cells..][..cells * cells];
        let contradicted = correct::contradicted(logits, cells, &self.cell_clicks, &mut self.scratch);
        Ok(Chosen { mask, contradicted, redecoded: false })
    }

    /// Decodes again without the previous mask; keeps the better of the two decodes.
    fn retry(&mut self, first: Chosen, report: &mut PredictionReport) -> Result<Result<Chosen, Implausible>> {
        std::mem::swap(&mut self.decoded, &mut self.decoded_first);
        std::mem::swap(&mut self.prompts.previous, &mut self.set_aside);
        self.prompts.previous.clear();
        self.decode(report)?;
        std::mem::swap(&mut self.prompts.previous, &mut self.set_aside);
        let second = match self.chosen(0) {
            Ok(second) => second,
            Err(why) => return Ok(Err(why)),
        };
        if second.contradicted.is_newest_denied || second.contradicted.clicks >= first.contradicted.clicks {
            std::mem::swap(&mut self.decoded, &mut self.decoded_first);
            return Ok(Ok(first));
        }
        Ok(Ok(Chosen { redecoded: true, ..second }))
    }

    /// Merges and corrects the mask in place and checks that it is plausible.
    fn finish(
        &mut self,
        chosen: Chosen,
        view: &ModelView,
        is_whole: bool,
        is_correction: bool,
    ) -> Result<Score, Implausible> {
        let score = self.plausible(chosen.mask, view, is_whole)?;
        let (cells, channels) = (self.spec.mask_cells, self.spec.pixel_channels);
        let logits = &mut self.decoded.masks[chosen.mask * cells * cells..][..cells * cells];
        // A mask decoded without the previous one is another answer, not a correction of it.
        if is_correction
            && !chosen.redecoded
            && !self.prompts.previous.is_empty()
            && let Some(newest) = self.cell_clicks.last()
        {
            merge::keep_elsewhere(logits, &self.prompts.previous, cells, newest, &mut self.merge_scratch);
        }
        if self.options.correct_clicks {
            correct::correct(logits, cells, &self.decoded.pixels, channels, &self.cell_clicks, &mut self.scratch);
            if area_cells(logits, cells, view) == 0 {
                return Err(Implausible::Empty);
            }
        }
        Ok(score)
    }

    /// Clears the mask's padding and checks that it is plausible.
    fn plausible(&mut self, mask: usize, view: &ModelView, is_whole: bool) -> Result<Score, Implausible> {
        let cells = self.spec.mask_cells;
        let logits = &mut self.decoded.masks[mask * cells * cells..][..cells * cells];
        let (columns, rows) = views::filled_cells(view, cells);
        blank_padding(logits, cells, columns, rows);
        let area = area_cells(logits, cells, view);
        if area == 0 {
            return Err(Implausible::Empty);
        }
        if is_whole && area as f64 > EVERYTHING * (columns * rows) as f64 {
            return Err(Implausible::Everything);
        }
        Score::new(self.decoded.iou[mask]).ok_or(Implausible::NotFinite)
    }

    fn mask_mut(&mut self, mask: usize) -> &mut [f32] {
        let n = self.spec.mask_cells.pow(2);
        &mut self.decoded.masks[mask * n..][..n]
    }
}

/// Whether the newest click corrects the outline so far: there are prompts enough for one, and it contradicts the click.
///
/// A click that the outline satisfies was answered before, as on every live frame after the tap's.
fn is_correction(object: &Prompts) -> bool {
    let prompts = object.clicks.len() + 2 * usize::from(object.boxed.is_some());
    let (Some(previous), Some(&(at, polarity))) = (&object.previous, object.clicks.last()) else { return false };
    prompts >= merge::PROMPTS_MIN && (previous.sample(at) > 0.0) != (polarity == Polarity::Positive)
}

fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Number of inside cells on the image.
fn area_cells(logits: &[f32], cells: usize, view: &ModelView) -> usize {
    let (columns, rows) = views::filled_cells(view, cells);
    logits.chunks_exact(cells).take(rows).map(|r| r[..columns].iter().filter(|v| **v > 0.0).count()).sum()
}

/// Sets padding to background, except its first column and row, which take part in the interpolation at the image's edge.
fn blank_padding(logits: &mut [f32], cells: usize, columns: usize, rows: usize) {
    for (y, row) in logits.chunks_exact_mut(cells).enumerate() {
        let from = if y > rows { 0 } else { (columns + 1).min(cells) };
        row[from..].fill(BACKGROUND_LOGIT);
    }
}

#[cfg(test)]
mod tests;
