//! One look at a frame for up to four objects: views, decodes and the rules of interactive use, in their order.
//!
//! 1. *View.* The whole image region, until every object has an outline. Then a target crop ([`super::views`]), which
//!    moves only when an object or a click nears its edge, so that a look at a live frame costs one encode. A first tap
//!    costs two: the mask of the whole region says where to look closer, and is the previous mask of the closer look. A
//!    lone click whose mask scores below [`LOW_SCORE`] (often a part of a large organ) stays with the whole region until
//!    its second prompt. A mask that reaches the edge of its crop is followed once within the look.
//! 2. *Mask.* For a lone click the best, or the chosen, of the alternatives; else mask 0.
//! 3. *Second decode.* When the mask contradicts the newest click by more than the margin and a previous mask was fed,
//!    the model is asked again without it. That answer stays if it contradicts fewer clicks and not the newest. Clicks
//!    that the model misses by less, or older ones, are left to the correction: without its previous mask the model
//!    loses far more than a click.
//! 4. *Correction.* Clicks hold ([`super::correct`]).
//! 5. *Sanity.* What is not a mask is an outcome of its own, [`Implausible`], never an outline.
//!
//! A frame that was encoded last in the same view is not encoded again.

use std::time::Instant;

use super::correct::{self, CellClick, Contradicted, CorrectScratch};
use super::postprocess::{candidates_by_score, choose, nth_candidate};
use super::views::{self, crop_around, is_near_edge};
use super::{Decoded, ModelPrompts, ModelSpec, Segmenter, empty_grid};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Image, ModelView, Point, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};
use crate::prompt::Polarity;
use crate::units::{FrameId, Nanos, ObjectId, Score};

/// Most clicks of one object.
pub const MAX_CLICKS: usize = 16;
/// Score of a lone click's mask below which no closer look is taken.
pub const LOW_SCORE: f32 = 0.6;
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
    /// For a lone click: which of its alternatives, 0 the best predicted; counted on from the last to the first.
    pub candidate: u8,
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
}

impl Default for LookOptions {
    fn default() -> Self {
        Self { target_crop: true, correct_clicks: true, retry_without_previous: true }
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
    bounds: Rect<Image>,
    objects: &'a [LookPrompts],
}

/// Looks at frames through a model. Keeps the view from look to look, and all buffers.
///
/// Objects are told apart by their place in the list, so callers keep the order from look to look.
pub struct Looker {
    segmenter: Box<dyn Segmenter>,
    options: LookOptions,
    spec: ModelSpec,
    encoded: Option<(FrameKey, ModelView)>,
    crop: Option<Rect<Image>>,
    is_hesitant: [bool; ObjectId::MAX],
    prompts: ModelPrompts,
    decoded: Decoded,
    decoded_first: Decoded,
    cell_clicks: Vec<CellClick>,
    scratch: CorrectScratch,
}

impl Looker {
    /// A looker through this model.
    pub fn new(segmenter: Box<dyn Segmenter>, options: LookOptions) -> Self {
        Self {
            spec: segmenter.spec(),
            segmenter,
            options,
            encoded: None,
            crop: None,
            is_hesitant: [false; ObjectId::MAX],
            prompts: ModelPrompts::default(),
            decoded: Decoded::default(),
            decoded_first: Decoded::default(),
            cell_clicks: Vec::new(),
            scratch: CorrectScratch::default(),
        }
    }

    /// What the model takes and gives.
    pub fn spec(&self) -> ModelSpec {
        self.spec
    }

    /// The rules in force.
    pub fn options(&self) -> LookOptions {
        self.options
    }

    /// Forgets the view and the encoded frame: for another source, another exam, another image.
    pub fn forget_view(&mut self) {
        self.encoded = None;
        self.crop = None;
        self.is_hesitant = [false; ObjectId::MAX];
    }

    /// Looks at `frame` for every object and writes their parts into `out`, in their order; its buffers are reused.
    ///
    /// A frame with an id is taken as never changing; one without (id 0) is encoded anew at every look.
    ///
    /// # Errors
    /// `Argument`: more than [`ObjectId::MAX`] objects or [`MAX_CLICKS`] clicks, an object with no prompt at all, a
    /// prompt outside the frame, a frame of no size. `Model`: an output of other size than the model's own statement.
    /// And the model's own errors. After an error `out` is of no use.
    pub fn look(&mut self, frame: &Frame, objects: &[LookPrompts], out: &mut Vec<ObjectLook>) -> Result<LookReport> {
        check(frame, objects)?;
        let task = Task { frame, bounds: bounds(frame, objects), objects };
        let view = ModelView::new(task.bounds, self.spec.side);
        self.prepare(objects.len(), view, out);
        if frame.id == FrameId(0) {
            self.encoded = None;
        }
        let mut report = LookReport { encodes: 0, decodes: 0, encode_ns: 0, decode_ns: 0, view };
        if !self.options.target_crop {
            self.pass(&task, &task.bounds, &[Feed::Given; ObjectId::MAX], out, &mut report)?;
        } else if !objects.is_empty() {
            let crop = self.first_answers(&task, out, &mut report)?;
            self.follow_once(&task, &crop, out, &mut report)?;
        }
        Ok(report)
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
        for ((feed, object), is_hesitant) in feeds.iter_mut().zip(task.objects).zip(self.is_hesitant) {
            if is_hesitant || outline_bounds(object).is_none() {
                *feed = Feed::Given;
            }
        }
        let crop = if feeds.contains(&Feed::Given) {
            self.look_at_all(task, &feeds, out, report)?
        } else {
            let target = target(task, out).unwrap_or(task.bounds);
            views::follow(self.crop.as_ref(), &target, &task.bounds)
        };
        for (feed, answer) in feeds.iter_mut().zip(out.iter()) {
            *feed = match feed {
                Feed::Skip => Feed::Given,
                _ if crop == task.bounds || answer.mask().is_none() => Feed::Skip,
                _ => Feed::Answer,
            };
        }
        self.pass(task, &crop, &feeds, out, report)?;
        self.crop = Some(crop);
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
        for (i, object) in task.objects.iter().enumerate().filter(|(i, _)| feeds[*i] == Feed::Given) {
            let is_low = out[i].score().is_some_and(|s| s.get() < LOW_SCORE);
            self.is_hesitant[i] = is_low && object.clicks.len() == 1 && object.boxed.is_none();
        }
        let must_stay = self.is_hesitant[..task.objects.len()].contains(&true);
        let target = target(task, out).filter(|_| !must_stay);
        Ok(target.map_or(task.bounds, |t| crop_around(&t, &task.bounds)))
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
        self.crop = Some(wider);
        Ok(())
    }

    /// Encodes the crop if it is not there already, and decodes the objects that are not skipped.
    fn pass(
        &mut self,
        task: &Task,
        crop: &Rect<Image>,
        feeds: &Feeds,
        out: &mut [ObjectLook],
        report: &mut LookReport,
    ) -> Result<()> {
        let view = ModelView::new(*crop, self.spec.side);
        for ((object, answer), feed) in task.objects.iter().zip(out).zip(feeds) {
            let previous = match feed {
                Feed::Skip => continue,
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
            out.candidates = candidates_by_score(&self.decoded).count().min(usize::from(u8::MAX)) as u8;
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
        let mask = match candidate {
            0 => choose(&self.prompts, &self.decoded),
            n if self.prompts.is_lone_click() => nth_candidate(&self.decoded, usize::from(n)),
            _ => choose(&self.prompts, &self.decoded),
        };
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
        let (cells, channels) = (self.spec.mask_cells, self.spec.pixel_channels);
        let logits = &mut self.decoded.masks[mask * cells * cells..][..cells * cells];
        let (columns, rows) = views::filled_cells(view, cells);
        blank_padding(logits, cells, columns, rows);
        let inside = |logits: &[f32]| -> usize {
            logits.chunks_exact(cells).take(rows).map(|r| r[..columns].iter().filter(|v| **v > 0.0).count()).sum()
        };
        let area = inside(logits);
        if area == 0 {
            return Err(Implausible::Empty);
        }
        if is_whole && area as f64 > EVERYTHING * (columns * rows) as f64 {
            return Err(Implausible::Everything);
        }
        if self.options.correct_clicks {
            correct::correct(logits, cells, &self.decoded.pixels, channels, &self.cell_clicks, &mut self.scratch);
            if inside(logits) == 0 {
                return Err(Implausible::Empty);
            }
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

/// The rectangle around outlines and prompts of all objects that have an outline, within the bounds.
fn target(task: &Task, out: &[ObjectLook]) -> Option<Rect<Image>> {
    let mut target: Option<Rect<Image>> = None;
    for (object, answer) in task.objects.iter().zip(out) {
        let answered = answer.mask().and_then(LogitGrid::inside_bounds);
        let Some(outline) = answered.or_else(|| outline_bounds(object)) else { continue };
        let prompts = object.clicks.iter().map(|&(at, _)| Rect::between(at, at)).chain(object.boxed);
        let all = prompts.fold(outline, |all, r| all.union(&r));
        target = Some(target.map_or(all, |t| t.union(&all)));
    }
    target.map(|t| t.intersect(&task.bounds).unwrap_or(task.bounds))
}

/// The image region, grown over what is prompted outside it.
fn bounds(frame: &Frame, objects: &[LookPrompts]) -> Rect<Image> {
    let whole = frame.bounds();
    let mut bounds = frame.region.rect.intersect(&whole).unwrap_or(whole);
    for object in objects {
        for &(at, _) in &object.clicks {
            let (x, y) = (at.x.floor(), at.y.floor());
            bounds = bounds.union(&Rect::new(x, y, x + 1.0, y + 1.0));
        }
        if let Some(boxed) = object.boxed.and_then(|b| b.intersect(&whole)) {
            bounds = bounds.union(&boxed);
        }
    }
    bounds
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
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

    const CELLS: usize = 64;
    const SPEC: ModelSpec = ModelSpec { side: 256, mask_cells: CELLS, masks: 4, pixel_channels: 1 };

    /// What a fake model was shown and asked.
    #[derive(Default)]
    struct Log {
        views: Vec<ModelView>,
        fed: Vec<Option<LogitGrid>>,
    }

    /// One decode, as a fake model sees it.
    struct Asked<'a> {
        frame: FrameId,
        view: ModelView,
        prompts: &'a ModelPrompts,
    }

    impl Asked<'_> {
        fn is_whole(&self) -> bool {
            self.view.crop().width() == 640.0
        }

        fn is_fed(&self) -> bool {
            !self.prompts.previous.is_empty()
        }
    }

    type Shape = Box<dyn Fn(Point<Image>) -> f32>;

    /// Answers with four shapes of image space and their predicted IoUs.
    struct Fake<A> {
        frame: FrameId,
        log: Arc<Mutex<Log>>,
        answer: A,
    }

    impl<A: Fn(&Asked) -> [(Shape, f32); 4] + Send> Segmenter for Fake<A> {
        fn spec(&self) -> ModelSpec {
            SPEC
        }

        fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
            self.frame = frame.id;
            self.log.lock().unwrap().views.push(*view);
            Ok(())
        }

        fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
            let mut log = self.log.lock().unwrap();
            let view = *log.views.last().expect("decoded before anything was encoded");
            let previous = (!prompts.previous.is_empty()).then(|| prompts.previous.clone());
            log.fed.push(previous.map(|v| LogitGrid::from_values(CELLS, view, v).unwrap()));
            let answers = (self.answer)(&Asked { frame: self.frame, view, prompts });
            let grid = LogitGrid::background(CELLS, view);
            out.masks.clear();
            for (shape, _) in &answers {
                out.masks.extend((0..CELLS * CELLS).map(|i| shape(grid.centre(i % CELLS, i / CELLS))));
            }
            out.iou = answers.iter().map(|(_, iou)| *iou).collect();
            out.pixels = vec![1.0; CELLS * CELLS];
            Ok(())
        }
    }

    fn disc(x: f32, y: f32, radius: f32) -> Shape {
        Box::new(move |p| (radius - p.distance(Point::new(x, y))) / 4.0)
    }

    fn everywhere(v: f32) -> Shape {
        Box::new(move |_| v)
    }

    /// The same shape for all masks, with the score 0.9.
    fn surely(shape: impl Fn() -> Shape) -> [(Shape, f32); 4] {
        [0.9; 4].map(|iou| (shape(), iou))
    }

    fn looker<A>(options: LookOptions, answer: A) -> (Looker, Arc<Mutex<Log>>)
    where
        A: Fn(&Asked) -> [(Shape, f32); 4] + Send + 'static,
    {
        let log = Arc::new(Mutex::new(Log::default()));
        (Looker::new(Box::new(Fake { frame: FrameId(0), log: log.clone(), answer }), options), log)
    }

    fn frame(id: u64) -> Frame {
        let mut frame = Frame::from_pixels(640, 480, PixelFormat::Grey8, vec![0; 640 * 480]).unwrap();
        frame.id = FrameId(id);
        frame
    }

    fn clicked(clicks: &[(f32, f32, Polarity)]) -> LookPrompts {
        let clicks = clicks.iter().map(|&(x, y, p)| (Point::new(x, y), p)).collect();
        LookPrompts { clicks, ..LookPrompts::default() }
    }

    fn tap(x: f32, y: f32) -> LookPrompts {
        clicked(&[(x, y, Polarity::Positive)])
    }

    fn with_mask(mut prompts: LookPrompts, look: &ObjectLook) -> LookPrompts {
        prompts.previous = look.mask().cloned();
        prompts
    }

    fn area_px(look: &ObjectLook) -> f64 {
        look.mask().unwrap().to_bitmap(640, 480).area_px() as f64
    }

    fn is_disc(look: &ObjectLook, radius: f64) -> bool {
        (area_px(look) / (std::f64::consts::PI * radius * radius) - 1.0).abs() < 0.05
    }

    #[test]
    fn first_tap_costs_two_encodes_and_a_later_frame_one() {
        let (mut looker, log) =
            looker(LookOptions::default(), |a| surely(|| disc(299.0 + a.frame.0 as f32, 220.0, 30.0)));
        let mut out = Vec::new();
        let first = looker.look(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
        assert_eq!((first.encodes, first.decodes), (2, 2));
        for id in 2..6 {
            let prompts = with_mask(tap(299.0 + id as f32, 220.0), &out[0]);
            let report = looker.look(&frame(id), &[prompts], &mut out).unwrap();
            assert_eq!((report.encodes, report.decodes, report.view), (1, 1, first.view), "frame {id}");
            assert!(is_disc(&out[0], 30.0));
        }
        let log = log.lock().unwrap();
        assert_eq!(*log.views[0].crop(), Rect::new(0.0, 0.0, 640.0, 480.0));
        assert_eq!(*log.views[1].crop(), Rect::new(150.0, 70.0, 450.0, 370.0));
        assert!(log.fed[0].is_none() && log.fed[1].is_some(), "the first answer is fed to the closer look");
    }

    #[test]
    fn a_click_on_the_same_frame_costs_no_encode() {
        let (mut looker, _) = looker(LookOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
        let mut out = Vec::new();
        looker.look(&frame(7), &[tap(300.0, 220.0)], &mut out).unwrap();
        let more = clicked(&[(300.0, 220.0, Polarity::Positive), (350.0, 220.0, Polarity::Negative)]);
        let prompts = with_mask(more, &out[0]);
        assert_eq!(looker.look(&frame(7), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 0);
        assert_eq!(looker.look(&frame(8), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 1);
        assert_eq!(looker.look(&frame(0), std::slice::from_ref(&prompts), &mut out).unwrap().encodes, 1);
        assert_eq!(looker.look(&frame(0), &[prompts], &mut out).unwrap().encodes, 1);
    }

    #[test]
    fn low_score_stays_with_the_whole_region_until_the_second_prompt() {
        let (mut looker, _) = looker(LookOptions::default(), |_| [0.5; 4].map(|s| (disc(300.0, 220.0, 40.0), s)));
        let mut out = Vec::new();
        let mut prompts = tap(300.0, 220.0);
        for id in 1..4 {
            let report = looker.look(&frame(id), &[prompts], &mut out).unwrap();
            assert_eq!((report.encodes, report.view.crop().width()), (1, 640.0), "frame {id}");
            prompts = with_mask(tap(300.0, 220.0), &out[0]);
        }
        prompts.clicks.push((Point::new(320.0, 230.0), Polarity::Positive));
        let report = looker.look(&frame(3), &[prompts.clone()], &mut out).unwrap();
        assert_eq!((report.encodes, report.decodes), (1, 2), "asked again on the whole, then closer");
        assert!(report.view.crop().width() < 320.0);
        let prompts = with_mask(prompts, &out[0]);
        assert_eq!(looker.look(&frame(5), &[prompts], &mut out).unwrap().encodes, 1);
    }

    #[test]
    fn view_moves_a_few_times_while_the_object_crosses_the_frame() {
        let x = |id: u64| 100.0 + 2.0 * id as f32;
        let (mut looker, log) = looker(LookOptions::default(), move |a| surely(|| disc(x(a.frame.0), 240.0, 30.0)));
        let mut out = Vec::new();
        looker.look(&frame(1), &[tap(x(1), 240.0)], &mut out).unwrap();
        for id in 2..200 {
            let prompts = with_mask(tap(x(id), 240.0), &out[0]);
            assert_eq!(looker.look(&frame(id), &[prompts], &mut out).unwrap().encodes, 1, "frame {id}");
            assert!(id % 10 != 0 || is_disc(&out[0], 30.0), "cut at frame {id}: {}", area_px(&out[0]));
        }
        let mut views = log.lock().unwrap().views.clone();
        views.dedup();
        assert!((4..7).contains(&views.len()), "{} views", views.len());
    }

    #[test]
    fn near_objects_share_a_closer_view_and_far_ones_the_whole() {
        for (x, is_closer) in [(360.0, true), (560.0, false)] {
            let (mut looker, _) = looker(LookOptions::default(), move |a| {
                let at = a.view.to_image(a.prompts.clicks[0].0);
                surely(|| disc(at.x, at.y, 30.0))
            });
            let mut out = Vec::new();
            let report = looker.look(&frame(1), &[tap(260.0, 220.0), tap(x, 240.0)], &mut out).unwrap();
            assert_eq!((report.encodes, report.decodes), if is_closer { (2, 4) } else { (1, 2) });
            assert_eq!(report.view.crop().width() < 640.0, is_closer);
            let next: Vec<_> =
                [tap(260.0, 220.0), tap(x, 240.0)].into_iter().zip(&out).map(|(p, l)| with_mask(p, l)).collect();
            let report = looker.look(&frame(2), &next, &mut out).unwrap();
            assert_eq!((report.encodes, report.decodes), (1, 2));
            assert!(out.iter().all(|l| is_disc(l, 30.0)));
        }
    }

    #[test]
    fn a_mask_at_the_edge_of_its_crop_is_followed_within_the_look() {
        let (mut looker, _) = looker(LookOptions::default(), |a| {
            let radius = if a.is_fed() { 110.0 } else { 30.0 };
            surely(|| disc(180.0, 170.0, radius))
        });
        let mut out = Vec::new();
        let report = looker.look(&frame(1), &[tap(180.0, 170.0)], &mut out).unwrap();
        assert_eq!(report.encodes, 2, "a disc of 110 px fits the least crop");
        let (mut looker, _) = self::looker(LookOptions::default(), |a| {
            let radius = if a.is_fed() { 170.0 } else { 30.0 };
            surely(|| disc(320.0, 240.0, radius))
        });
        let report = looker.look(&frame(1), &[tap(320.0, 240.0)], &mut out).unwrap();
        assert_eq!(report.encodes, 3);
        assert!(is_disc(&out[0], 170.0), "{}", area_px(&out[0]));
    }

    #[test]
    fn second_decode_without_the_previous_mask_wins_when_it_contradicts_fewer_clicks() {
        let clicks = clicked(&[(300.0, 220.0, Polarity::Positive), (340.0, 220.0, Polarity::Negative)]);
        for (options, is_stubborn, redecoded, decodes) in [
            (LookOptions { target_crop: false, ..LookOptions::default() }, true, true, 2),
            (LookOptions { target_crop: false, ..LookOptions::default() }, false, false, 2),
            (LookOptions { target_crop: false, retry_without_previous: false, correct_clicks: true }, true, false, 1),
        ] {
            let (mut looker, log) = looker(options, move |a| {
                let radius = if a.is_fed() || !is_stubborn { 60.0 } else { 30.0 };
                surely(|| disc(300.0, 220.0, radius))
            });
            let previous =
                LogitGrid::from_values(4, ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256), vec![1.0; 16]);
            let mut out = Vec::new();
            let prompts = LookPrompts { previous, ..clicks.clone() };
            let report = looker.look(&frame(1), &[prompts], &mut out).unwrap();
            assert_eq!((out[0].redecoded(), report.decodes), (redecoded, decodes), "{options:?} {is_stubborn}");
            assert_eq!(out[0].contradicted(), usize::from(!redecoded));
            assert!(out[0].mask().unwrap().sample(Point::new(340.0, 220.0)) < 0.0, "corrected or redecoded");
            assert_eq!(log.lock().unwrap().fed.iter().filter(|f| f.is_some()).count(), 1);
        }
    }

    #[test]
    fn a_click_missed_by_a_little_is_corrected_and_not_asked_again() {
        for (x, is_inside, decodes) in [(358.0, false, 1), (349.0, false, 2), (362.0, true, 1)] {
            let options = LookOptions { target_crop: false, ..LookOptions::default() };
            let (mut looker, _) =
                looker(options, |a| surely(|| disc(300.0, 220.0, if a.is_fed() { 60.0 } else { 20.0 })));
            let previous =
                LogitGrid::from_values(4, ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256), vec![1.0; 16]);
            let polarity = if is_inside { Polarity::Positive } else { Polarity::Negative };
            let prompts =
                LookPrompts { previous, ..clicked(&[(300.0, 220.0, Polarity::Positive), (x, 220.0, polarity)]) };
            let mut out = Vec::new();
            let report = looker.look(&frame(1), &[prompts], &mut out).unwrap();
            assert_eq!((report.decodes, out[0].redecoded()), (decodes, decodes == 2), "click at {x}");
            assert_eq!(out[0].mask().unwrap().sample(Point::new(x, 220.0)) > 0.0, is_inside, "click at {x}");
        }
    }

    #[test]
    fn lone_click_chooses_among_the_alternatives_by_score() {
        let answer =
            |_: &Asked| [(50.0, 0.99), (28.0, 0.7), (35.0, 0.9), (42.0, 0.8)].map(|(r, s)| (disc(300.0, 220.0, r), s));
        let whole = LookOptions { target_crop: false, ..LookOptions::default() };
        for (candidate, radius, score) in [(0, 35.0, 0.9), (1, 42.0, 0.8), (2, 28.0, 0.7), (3, 35.0, 0.9)] {
            let prompts = LookPrompts { candidate, ..tap(300.0, 220.0) };
            let mut out = Vec::new();
            let (mut far, _) = looker(whole, answer);
            far.look(&frame(1), std::slice::from_ref(&prompts), &mut out).unwrap();
            assert!(is_disc(&out[0], radius), "candidate {candidate}: {}", area_px(&out[0]));
            assert_eq!((out[0].score(), out[0].candidates()), (Score::new(score), 3));

            let (mut closer, log) = looker(LookOptions::default(), answer);
            closer.look(&frame(1), &[prompts], &mut out).unwrap();
            assert!(is_disc(&out[0], 50.0), "with the first answer fed, mask 0 is shown");
            assert_eq!(out[0].candidates(), 3);
            let log = log.lock().unwrap();
            let fed = log.fed[1].as_ref().unwrap().to_bitmap(640, 480).area_px() as f64;
            assert!(
                (fed / (std::f64::consts::PI * radius * radius) - 1.0).abs() < 0.08,
                "candidate {candidate}: {fed}"
            );
        }
    }

    #[test]
    fn what_is_no_mask_is_never_an_outline() {
        fn spotted(v: f32) -> Shape {
            Box::new(move |p| if p.x < 12.0 && p.y < 12.0 { v } else { disc(300.0, 220.0, 40.0)(p) })
        }
        type Answer = fn(&Asked) -> [(Shape, f32); 4];
        let cases: [(Answer, Implausible); 6] = [
            (|_| surely(|| spotted(f32::NAN)), Implausible::NotFinite),
            (|_| surely(|| spotted(f32::INFINITY)), Implausible::NotFinite),
            (|_| [0.9, f32::NAN, 0.9, 0.9].map(|s| (disc(300.0, 220.0, 40.0), s)), Implausible::NotFinite),
            (|_| surely(|| everywhere(-3.0)), Implausible::Empty),
            (|_| surely(|| everywhere(3.0)), Implausible::Everything),
            (
                |a| surely(|| if a.is_whole() { disc(300.0, 220.0, 40.0) } else { everywhere(f32::NAN) }),
                Implausible::NotFinite,
            ),
        ];
        for (n, (answer, why)) in cases.into_iter().enumerate() {
            let (mut looker, _) = looker(LookOptions::default(), answer);
            let mut out = Vec::new();
            looker.look(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
            assert_eq!(out[0].outcome(), LookOutcome::Implausible(why), "case {n}");
            assert_eq!((out[0].mask(), out[0].score()), (None, None), "case {n}");
        }
    }

    #[test]
    fn an_empty_closer_look_leaves_the_first_answer() {
        let (mut looker, _) = looker(LookOptions::default(), |a| {
            surely(|| if a.is_whole() { disc(300.0, 220.0, 40.0) } else { everywhere(-3.0) })
        });
        let mut out = Vec::new();
        looker.look(&frame(1), &[tap(300.0, 220.0)], &mut out).unwrap();
        assert!(is_disc(&out[0], 40.0));
        assert_eq!(out[0].mask().unwrap().view().crop().width(), 640.0);
    }

    #[test]
    fn an_implausible_object_does_not_touch_the_others() {
        let (mut looker, _) = looker(LookOptions::default(), |a| {
            let at = a.view.to_image(a.prompts.clicks[0].0);
            surely(|| if at.x < 100.0 { everywhere(-3.0) } else { disc(300.0, 220.0, 30.0) })
        });
        let mut out = Vec::new();
        let report = looker.look(&frame(1), &[tap(20.0, 20.0), tap(300.0, 220.0)], &mut out).unwrap();
        assert_eq!(out[0].outcome(), LookOutcome::Implausible(Implausible::Empty));
        assert!(is_disc(&out[1], 30.0));
        assert_eq!((report.encodes, report.decodes), (2, 3));
    }

    #[test]
    fn a_previous_mask_with_nothing_inside_counts_as_none() {
        let (mut looker, log) = looker(LookOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
        let view = ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256);
        let nothing = Some(LogitGrid::background(CELLS, view));
        let mut out = Vec::new();
        looker.look(&frame(1), &[LookPrompts { previous: nothing.clone(), ..tap(300.0, 220.0) }], &mut out).unwrap();
        assert!(log.lock().unwrap().fed[0].is_none());
        assert_eq!(out[0].candidates(), 3);
        let alone = LookPrompts { previous: nothing, ..LookPrompts::default() };
        let report = looker.look(&frame(2), &[alone], &mut out).unwrap();
        assert_eq!((report.decodes, out[0].outcome()), (0, LookOutcome::Implausible(Implausible::Empty)));
    }

    #[test]
    fn clicks_beside_the_image_region_are_seen() {
        let (mut looker, log) = looker(LookOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
        let mut frame = frame(1);
        frame.region.rect = Rect::new(100.0, 60.0, 540.0, 420.0);
        let mut out = Vec::new();
        let clicks = [(300.0, 220.0, Polarity::Positive), (30.5, 440.0, Polarity::Negative)];
        looker.look(&frame, &[clicked(&clicks)], &mut out).unwrap();
        assert_eq!(*log.lock().unwrap().views[0].crop(), Rect::new(30.0, 60.0, 540.0, 441.0));
    }

    #[test]
    fn padding_is_background() {
        let options = LookOptions { target_crop: false, ..LookOptions::default() };
        let (mut looker, _) = looker(options, |_| surely(|| Box::new(|p| p.x - 320.0)));
        let mut out = Vec::new();
        looker.look(&frame(1), &[tap(400.0, 220.0)], &mut out).unwrap();
        let mask = out[0].mask().unwrap();
        let rows = |from: usize| mask.values()[from * CELLS..(from + 1) * CELLS].iter().filter(|v| **v > 0.0).count();
        assert_eq!((rows(47), rows(49), rows(63)), (32, 0, 0), "48 of 64 rows hold image");
    }

    #[test]
    fn bad_prompts_are_refused_with_what_was_expected() {
        let many = vec![(Point::new(1.0, 1.0), Polarity::Positive); 17];
        let boxed = |r| LookPrompts { boxed: Some(r), ..LookPrompts::default() };
        for (objects, message) in [
            (vec![tap(1.0, 1.0); 5], "expected at most 4 objects, got 5"),
            (
                vec![LookPrompts { clicks: many, ..LookPrompts::default() }],
                "object 0: expected at most 16 clicks, got 17",
            ),
            (
                vec![tap(1.0, 1.0), LookPrompts::default()],
                "object 1: expected a click, a box or a previous mask, got none",
            ),
            (vec![tap(640.0, 20.0)], "object 0: click 0 at (640, 20) is outside the 640x480 frame"),
            (vec![tap(f32::NAN, 20.0)], "object 0: click 0 at (NaN, 20) is outside the 640x480 frame"),
            (
                vec![boxed(Rect::new(-9.0, 0.0, -1.0, 5.0))],
                "object 0: box [-9, 0 .. -1, 5) covers nothing of the 640x480 frame",
            ),
        ] {
            let (mut looker, _) = looker(LookOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
            let error = looker.look(&frame(1), &objects, &mut Vec::new()).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, message));
        }
        let (mut looker, log) = looker(LookOptions::default(), |_| surely(|| disc(300.0, 220.0, 30.0)));
        assert!(looker.look(&Frame::default(), &[tap(0.0, 0.0)], &mut Vec::new()).is_err());
        assert_eq!(looker.look(&frame(1), &[], &mut Vec::new()).unwrap().encodes, 0);
        assert!(log.lock().unwrap().views.is_empty());
    }

    #[test]
    fn outputs_of_another_size_than_stated_are_an_error() {
        struct Short;
        impl Segmenter for Short {
            fn spec(&self) -> ModelSpec {
                SPEC
            }
            fn encode(&mut self, _: &Frame, _: &ModelView) -> Result<()> {
                Ok(())
            }
            fn decode(&mut self, _: &ModelPrompts, out: &mut Decoded) -> Result<()> {
                (out.masks, out.iou, out.pixels) = (vec![0.0; 4 * 32 * 32], vec![0.5; 4], Vec::new());
                Ok(())
            }
        }
        let error = Looker::new(Box::new(Short), LookOptions::default())
            .look(&frame(1), &[tap(9.0, 9.0)], &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "decoder: expected 16384 mask logits, got 4096");
        assert_eq!(error.kind(), ErrorKind::Model);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_click_is_on_the_wrong_side_of_the_outline(
            places in prop::collection::vec((0.0f32..640.0, 0.0f32..480.0, any::<bool>()), 1..16), seed in 1u32..9999,
        ) {
            let (mut looker, _) = looker(LookOptions::default(), move |_| surely(|| {
                Box::new(move |p| ((p.x * 0.37 + seed as f32).sin() + (p.y * 0.23 * seed as f32).cos()) * 6.0)
            }));
            let polarity = |inside| if inside { Polarity::Positive } else { Polarity::Negative };
            let clicks: Vec<_> = places.iter().map(|&(x, y, inside)| (x, y, polarity(inside))).collect();
            let mut out = Vec::new();
            looker.look(&frame(1), &[clicked(&clicks)], &mut out).unwrap();
            let mask = out[0].mask().unwrap();
            for (n, &(x, y, p)) in clicks.iter().enumerate() {
                let is_overruled = clicks[n + 1..].iter().any(|&(u, v, q)| q != p && (u - x).abs().max((v - y).abs()) < 10.0);
                let inside = mask.sample(Point::new(x, y)) > 0.0;
                prop_assert!(is_overruled || inside == (p == Polarity::Positive), "click {n} of {clicks:?}");
            }
        }
    }
}
