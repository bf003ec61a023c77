//! One look at a frame for up to four objects: views, decodes and the rules of interactive use, in their order.
//!
//! 1. *View.* The whole image region that the object's prompts are in (objects of different regions are looked at one
//!    region after the other), until every object has an outline. Then a target crop (`views.rs`), which
//!    moves only when an object or a click nears its edge, so that a look at a live frame costs one encode. A first tap
//!    costs two: the mask of the whole region says where to look closer, and is the previous mask of the closer look. A
//!    mask that reaches the edge of its crop is followed once within the look.
//! 2. *Mask.* For a lone click the one with the highest predicted IoU, or the candidate asked for; else mask 0.
//! 3. *Second decode.* When the mask contradicts the newest click by more than the margin and a previous mask was fed,
//!    the model is asked again without it. That answer stays if it contradicts fewer clicks and not the newest. Clicks
//!    that the model misses by less, or older ones, are left to the correction: without its previous mask the model
//!    loses far more than a click.
//! 4. *Correction.* Clicks hold ([`super::correct`]).
//! 5. *Sanity.* What is not a mask is an outcome of its own, [`Implausible`], never an outline.
//!
//! A frame that was encoded last in the same view is not encoded again.
//!
//! A model whose scores of several views compare ([`ModelSpec::view_advantage`]) is asked for a lone click in all of them:
//! `look/survey.rs`.

pub(crate) mod survey;

use std::time::Instant;

use super::correct::{self, CellClick, Contradicted, CorrectScratch};
use super::postprocess::{candidates, choose};
use super::views::{self, crop_around, is_near_edge};
use super::{Decoded, ModelPrompts, ModelSpec, Segmenter, empty_grid};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Image, ModelView, Point, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};
use crate::preset::ExpectedSize;
use crate::prompt::Polarity;
use crate::units::{FrameId, Nanos, ObjectId, Score};

/// Most clicks of one object.
pub const MAX_CLICKS: usize = 40;
/// Part of the image region that no outline can cover.
const EVERYTHING: f64 = 0.98;

/// What one object is asked.
#[derive(Clone, Debug, Default)]
pub struct LookPrompts {
    /// From the oldest to the newest, on the frame.
    pub clicks: Vec<(Point<Image>, Polarity)>,
    /// A box that the object fills.
    pub boxed: Option<Rect<Image>>,
    /// The mask so far, of any view; one with nothing inside counts as none.
    pub previous: Option<LogitGrid>,
    /// Whether the previous mask only says where to look and is not shown to the model, so that the answer does not lean on it.
    pub is_independent: bool,
    /// The image region that it belongs to; `None` for the one that its prompts are in.
    pub region: Option<Rect<Image>>,
    /// For a lone click: which of its candidates, 0 the best predicted; counted on from the last to the first.
    pub candidate: u8,
    /// Outlines of the lone click that were shown already, as they lie on this frame: the candidates after them differ.
    pub passed: Vec<LogitGrid>,
    /// For a lone click at several scales: sizes that are expected; others come later.
    pub expected: Option<ExpectedSize>,
    /// The picture stands still: for a lone click at several scales more may be asked.
    pub is_still: bool,
}

/// Which rules are in force; all, unless an evaluation switches one off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookOptions {
    /// Look closer at what is outlined.
    pub target_crop: bool,
    /// Let clicks hold.
    pub correct_clicks: bool,
    /// Ask again without the previous mask when the newest click is clearly contradicted.
    pub retry_without_previous: bool,
    /// See a lone click at several scales, if the model's scores of several views compare.
    pub survey: bool,
}

impl Default for LookOptions {
    fn default() -> Self {
        Self { target_crop: true, correct_clicks: true, retry_without_previous: true, survey: true }
    }
}

/// Why a model's output is not a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implausible {
    /// A logit or a predicted IoU is not a finite number.
    NotFinite,
    /// Nothing is inside.
    Empty,
    /// The whole image region is inside.
    Everything,
}

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LookOutcome {
    /// It has a mask, with the model's estimate of its IoU.
    Outlined(Score),
    /// The model's output is not a mask.
    Implausible(Implausible),
}

/// One object's part of a look.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectLook {
    outcome: LookOutcome,
    mask: LogitGrid,
    candidates: u8,
    contradicted: usize,
    redecoded: bool,
}

impl ObjectLook {
    /// What became of it.
    pub fn outcome(&self) -> LookOutcome {
        self.outcome
    }

    /// Its mask, in the view it was decoded in; `None` when the output is not a mask.
    pub fn mask(&self) -> Option<&LogitGrid> {
        matches!(self.outcome, LookOutcome::Outlined(_)).then_some(&self.mask)
    }

    /// The model's estimate of the mask's IoU; `None` when the output is not a mask.
    pub fn score(&self) -> Option<Score> {
        match self.outcome {
            LookOutcome::Outlined(score) => Some(score),
            LookOutcome::Implausible(_) => None,
        }
    }

    /// How many masks a lone click can choose from with [`LookPrompts::candidate`]; 0 when it is not a lone click.
    pub fn candidates(&self) -> u8 {
        self.candidates
    }

    /// Clicks that the model's mask contradicted before the correction.
    pub fn contradicted(&self) -> usize {
        self.contradicted
    }

    /// Whether the mask is that of a second decode, without the previous mask, because it contradicts fewer clicks.
    pub fn redecoded(&self) -> bool {
        self.redecoded
    }
}

/// What a look cost, and the view it ended with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookReport {
    /// Runs of the encoder.
    pub encodes: u32,
    /// Runs of the decoder.
    pub decodes: u32,
    /// Time in the encoder, ns.
    pub encode_ns: u64,
    /// Time in the decoder, ns.
    pub decode_ns: u64,
    /// What the model saw last.
    pub view: ModelView,
}

/// Which previous mask an object's decode is fed in a pass, if it is decoded at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Skip,
    Given,
    Answer,
}

type Feeds = [Feed; ObjectId::MAX];

/// Tells one captured frame from another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FrameKey {
    id: FrameId,
    captured: Nanos,
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

/// What a look is about.
struct Task<'a> {
    frame: &'a Frame,
    objects: &'a [LookPrompts],
    /// The region of each object.
    homes: [Rect<Image>; ObjectId::MAX],
    /// The region that is looked at.
    bounds: Rect<Image>,
}

impl Task<'_> {
    /// Whether an object is in the region that is looked at.
    fn is_here(&self, object: usize) -> bool {
        self.homes[object] == self.bounds
    }

    /// Turns to each region that holds objects.
    fn regions(&mut self, mut look: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        for i in 0..self.objects.len() {
            if !self.homes[..i].contains(&self.homes[i]) {
                self.bounds = self.homes[i];
                look(self)?;
            }
        }
        Ok(())
    }
}

/// Looks at frames through a model. Keeps the view from look to look, and all buffers.
pub struct Looker {
    segmenter: Box<dyn Segmenter>,
    options: LookOptions,
    spec: ModelSpec,
    encoded: Option<(FrameKey, ModelView)>,
    /// The last crop of each region, by the region's bounds.
    crops: [Option<(Rect<Image>, Rect<Image>)>; ObjectId::MAX],
    prompts: ModelPrompts,
    decoded: Decoded,
    decoded_first: Decoded,
    cell_clicks: Vec<CellClick>,
    scratch: CorrectScratch,
    found: survey::Found,
}

impl Looker {
    /// A looker through this model.
    pub fn new(segmenter: Box<dyn Segmenter>, options: LookOptions) -> Self {
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
            found: survey::Found::default(),
        }
    }

    /// What the model takes and gives.
    pub fn spec(&self) -> ModelSpec {
        self.spec
    }

    /// Whether a lone click is seen at several scales.
    pub fn surveys(&self) -> bool {
        self.spec.view_advantage.is_some() && self.options.survey
    }

    /// The rules in force.
    pub fn options(&self) -> LookOptions {
        self.options
    }

    /// Forgets the view and the encoded frame: for another source, another exam, another image.
    pub fn forget_view(&mut self) {
        self.encoded = None;
        self.crops = [None; ObjectId::MAX];
    }

    /// Puts other rules in force from the next look on.
    pub fn set_options(&mut self, options: LookOptions) {
        self.options = options;
    }

    /// Forgets where objects were looked at, but not the encoded frame: for another object of the same image.
    pub fn forget_objects(&mut self) {
        self.crops = [None; ObjectId::MAX];
    }

    fn crop(&self, bounds: &Rect<Image>) -> Option<&Rect<Image>> {
        self.crops.iter().flatten().find(|(of, _)| of == bounds).map(|(_, crop)| crop)
    }

    fn keep_crop(&mut self, bounds: Rect<Image>, crop: Rect<Image>) {
        let is_its = |kept: &&mut Option<(Rect<Image>, Rect<Image>)>| kept.is_none_or(|(of, _)| of == bounds);
        match self.crops.iter_mut().find(is_its) {
            Some(kept) => *kept = Some((bounds, crop)),
            // Of regions that are gone.
            None => self.crops = [Some((bounds, crop)), None, None, None],
        }
    }

    /// What the last look could have shown: all masks of the last decode, in the view in which they were made, the one shown as
    /// clicks corrected it; of a survey the distinct outlines that taps go through. For an evaluation that asks what the best
    /// choice would have been.
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

    /// Looks at `frame` for every object and writes their parts into `out`, in their order; its buffers are reused.
    ///
    /// A frame with an id is taken as never changing; one without (id 0) is encoded anew at every look.
    ///
    /// # Errors
    /// `Argument`: more than [`ObjectId::MAX`] objects or 40 clicks, an object with no prompt at all, a
    /// prompt outside the frame or in no region that shows tissue, prompts of one object in different regions, a frame of
    /// no size. `Model`: an output of other size than the model's own statement.
    /// And the model's own errors. After an error `out` is of no use.
    pub fn look(&mut self, frame: &Frame, objects: &[LookPrompts], out: &mut Vec<ObjectLook>) -> Result<LookReport> {
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

    /// The first answers only, from the whole region: what a first [`Self::look`] has after half of its time. The next look
    /// takes them as previous masks and looks closer. Objects that have an outline already are answered anew as well.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn first_look(
        &mut self,
        frame: &Frame,
        objects: &[LookPrompts],
        out: &mut Vec<ObjectLook>,
    ) -> Result<LookReport> {
        let (mut task, mut report) = self.begin(frame, objects, out)?;
        task.regions(|task| self.look_at_all(task, &[Feed::Given; ObjectId::MAX], out, &mut report).map(drop))?;
        self.forget_objects();
        Ok(report)
    }

    /// Checks what is asked and makes `out` ready for it.
    fn begin<'a>(
        &mut self,
        frame: &'a Frame,
        objects: &'a [LookPrompts],
        out: &mut Vec<ObjectLook>,
    ) -> Result<(Task<'a>, LookReport)> {
        check(frame, objects)?;
        let homes = homes(frame, objects)?;
        let task = Task { frame, objects, homes, bounds: homes[0] };
        let view = ModelView::new(task.bounds, self.spec.side);
        self.found.clear();
        self.prepare(objects.len(), view, out);
        if frame.id == FrameId(0) {
            self.encoded = None;
        }
        Ok((task, LookReport { encodes: 0, decodes: 0, encode_ns: 0, decode_ns: 0, view }))
    }

    fn prepare(&self, objects: usize, view: ModelView, out: &mut Vec<ObjectLook>) {
        out.truncate(objects);
        out.resize_with(objects, || ObjectLook {
            outcome: LookOutcome::Implausible(Implausible::Empty),
            mask: empty_grid(&self.spec, view),
            candidates: 0,
            contradicted: 0,
            redecoded: false,
        });
        for object in out.iter_mut() {
            object.outcome = LookOutcome::Implausible(Implausible::Empty);
            (object.candidates, object.contradicted, object.redecoded) = (0, 0, false);
        }
    }

    /// Answers for every object, in the closer view where one is due; gives the crop of that view.
    fn first_answers(&mut self, task: &Task, out: &mut [ObjectLook], report: &mut LookReport) -> Result<Rect<Image>> {
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

    /// The first answers of objects without an outline, from the whole region; gives the crop that they ask for.
    fn look_at_all(
        &mut self,
        task: &Task,
        feeds: &Feeds,
        out: &mut [ObjectLook],
        report: &mut LookReport,
    ) -> Result<Rect<Image>> {
        self.pass(task, &task.bounds, feeds, out, report)?;
        Ok(target(task, out).map_or(task.bounds, |t| crop_around(&t, &task.bounds)))
    }

    /// Looks at what a survey found as closely as at any outline.
    fn look_closer(&mut self, task: &Task, out: &mut [ObjectLook], report: &mut LookReport) -> Result<()> {
        let crop = target(task, out).map_or(task.bounds, |t| crop_around(&t, &task.bounds));
        if self.options.target_crop && crop != task.bounds && out[0].mask().is_some() {
            self.pass(task, &crop, &[Feed::Answer; ObjectId::MAX], out, report)?;
            self.keep_crop(task.bounds, crop);
        }
        Ok(())
    }

    /// Looks once more, in a wider view, when a mask reaches the edge of the crop.
    fn follow_once(
        &mut self,
        task: &Task,
        crop: &Rect<Image>,
        out: &mut [ObjectLook],
        report: &mut LookReport,
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

    /// Encodes the crop if it is not there already, and decodes the objects of the region that are not skipped.
    fn pass(
        &mut self,
        task: &Task,
        crop: &Rect<Image>,
        feeds: &Feeds,
        out: &mut [ObjectLook],
        report: &mut LookReport,
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
            self.answer(object.candidate, &view, *crop == task.bounds, answer, report)?;
        }
        Ok(())
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView, report: &mut LookReport) -> Result<()> {
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

    /// Puts an object's prompts into model space and onto the mask's grid.
    fn ask(&mut self, object: &LookPrompts, view: &ModelView, previous: Option<&LogitGrid>) {
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

    /// Decodes what was asked, by rules 2 to 5. An earlier answer of this look outlives an empty or all-covering one.
    fn answer(
        &mut self,
        candidate: u8,
        view: &ModelView,
        is_whole: bool,
        out: &mut ObjectLook,
        report: &mut LookReport,
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
        match chosen.and_then(|c| Ok((c, self.finish(c.mask, view, is_whole)?))) {
            Ok((chosen, score)) => {
                out.outcome = LookOutcome::Outlined(score);
                out.mask.reset(self.spec.mask_cells, *view);
                out.mask.values_mut().copy_from_slice(self.mask_mut(chosen.mask));
                (out.contradicted, out.redecoded) = (chosen.contradicted.clicks, chosen.redecoded);
            }
            Err(why) if why == Implausible::NotFinite || out.mask().is_none() => {
                out.outcome = LookOutcome::Implausible(why);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn decode(&mut self, report: &mut LookReport) -> Result<()> {
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

    /// The mask to show of those decoded, and how many clicks it contradicts.
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

    /// Asks again without the previous mask; leaves the better of the two decodes in place.
    fn retry(&mut self, first: Chosen, report: &mut LookReport) -> Result<Result<Chosen, Implausible>> {
        std::mem::swap(&mut self.decoded, &mut self.decoded_first);
        self.prompts.previous.clear();
        self.decode(report)?;
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

    /// Corrects the mask in place and tells whether it is one.
    fn finish(&mut self, mask: usize, view: &ModelView, is_whole: bool) -> Result<Score, Implausible> {
        let score = self.plausible(mask, view, is_whole)?;
        if self.options.correct_clicks {
            let (cells, channels) = (self.spec.mask_cells, self.spec.pixel_channels);
            let logits = &mut self.decoded.masks[mask * cells * cells..][..cells * cells];
            correct::correct(logits, cells, &self.decoded.pixels, channels, &self.cell_clicks, &mut self.scratch);
            if area_cells(logits, cells, view) == 0 {
                return Err(Implausible::Empty);
            }
        }
        Ok(score)
    }

    /// Takes the padding off the mask and tells whether it is one.
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

fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Cells inside, of those that show the image.
fn area_cells(logits: &[f32], cells: usize, view: &ModelView) -> usize {
    let (columns, rows) = views::filled_cells(view, cells);
    logits.chunks_exact(cells).take(rows).map(|r| r[..columns].iter().filter(|v| **v > 0.0).count()).sum()
}

/// Sets padding to background, but for the first column and row of it, with which the edge cells are interpolated.
fn blank_padding(logits: &mut [f32], cells: usize, columns: usize, rows: usize) {
    for (y, row) in logits.chunks_exact_mut(cells).enumerate() {
        let from = if y > rows { 0 } else { (columns + 1).min(cells) };
        row[from..].fill(BACKGROUND_LOGIT);
    }
}

/// The rectangle around what the previous mask has inside.
fn outline_bounds(object: &LookPrompts) -> Option<Rect<Image>> {
    object.previous.as_ref().and_then(LogitGrid::inside_bounds)
}

/// The rectangle around outlines and prompts of all objects of the region that have an outline, within the bounds.
fn target(task: &Task, out: &[ObjectLook]) -> Option<Rect<Image>> {
    let mut target: Option<Rect<Image>> = None;
    for (_, (object, answer)) in task.objects.iter().zip(out).enumerate().filter(|(i, _)| task.is_here(*i)) {
        let answered = answer.mask().and_then(LogitGrid::inside_bounds);
        let Some(outline) = answered.or_else(|| outline_bounds(object)) else { continue };
        let prompts = object.clicks.iter().map(|&(at, _)| Rect::between(at, at)).chain(object.boxed);
        let all = prompts.fold(outline, |all, r| all.union(&r));
        target = Some(target.map_or(all, |t| t.union(&all)));
    }
    target.map(|t| t.intersect(&task.bounds).unwrap_or(task.bounds))
}

/// The image region of each object: the one it names, else that of its clicks and box, else that of its outline.
fn homes(frame: &Frame, objects: &[LookPrompts]) -> Result<[Rect<Image>; ObjectId::MAX]> {
    let whole = frame.bounds();
    let mut homes = [frame.region.rect.intersect(&whole).unwrap_or(whole); ObjectId::MAX];
    for (i, (object, home)) in objects.iter().zip(&mut homes).enumerate() {
        let misplaced = |why| Error::new(ErrorKind::Argument, format!("object {i}: {why}"));
        let clicks = object.clicks.iter().map(|&(at, _)| at);
        let of_prompts = || frame.region_of(clicks, object.boxed.as_ref()).map_err(misplaced);
        let of_outline = || outline_bounds(object).and_then(|b| frame.parts().of_box(&b).ok());
        let region = match object.region {
            Some(region) => Some(region),
            None => of_prompts()?.or_else(of_outline).map(|r| r.rect),
        };
        *home = region.and_then(|r| r.intersect(&whole)).unwrap_or(*home);
    }
    Ok(homes)
}

fn check(frame: &Frame, objects: &[LookPrompts]) -> Result<()> {
    let fault = |what: String| Err(Error::new(ErrorKind::Argument, what));
    let (width, height) = (frame.width, frame.height);
    if frame.width == 0 || frame.height == 0 {
        return fault(format!("expected a frame with pixels, got {width}x{height}"));
    }
    if objects.len() > ObjectId::MAX {
        return fault(format!("expected at most {} objects, got {}", ObjectId::MAX, objects.len()));
    }
    for (i, object) in objects.iter().enumerate() {
        let clicks = object.clicks.len();
        if clicks > MAX_CLICKS {
            return fault(format!("object {i}: expected at most {MAX_CLICKS} clicks, got {clicks}"));
        }
        if clicks == 0 && object.boxed.is_none() && object.previous.is_none() {
            return fault(format!("object {i}: expected a click, a box or a previous mask, got none"));
        }
        if let Some((n, (at, _))) = object.clicks.iter().enumerate().find(|(_, (at, _))| !frame.contains(*at)) {
            return fault(format!("object {i}: click {n} at {at:?} is outside the {width}x{height} frame"));
        }
        if let Some(boxed) = object.boxed
            && (!(boxed.min().is_finite() && boxed.max().is_finite()) || boxed.intersect(&frame.bounds()).is_none())
        {
            return fault(format!("object {i}: box {boxed:?} covers nothing of the {width}x{height} frame"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
