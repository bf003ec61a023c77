//! A lone click at several scales: one tap does not say whether it means the nodule, the lobe or the neck.
//!
//! The click is predicted in the whole image region and in closer squares around it. All masks of all views are candidates,
//! ranked by their predicted IoU with the whole object. The score of a closer view must exceed the whole image's by
//! [`ModelSpec::view_advantage`](crate::model::ModelSpec::view_advantage). A candidate is distinct when its IoU with each one
//! before it is below [`DISTINCT`]. If sizes are expected, other sizes rank lower; no candidate is dropped for its size.
//! A mask is not a candidate if it fills its view or is cut by it (the object extends into a wider view), if it does not
//! contain the click, or if its score is far below the best. Without a candidate the click is predicted as usual.
//!
//! The chosen outline is then refined in a target crop, like any outline. Each view costs an encode, so a survey is made for a
//! tap, not for each frame. On a still frame each view is predicted mirrored as well, and both results are averaged.

use super::{Prediction, PredictionOutcome, PredictionReport, Predictor, Prompts, Task};
use crate::error::Result;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{ImageSpace, ModelSpace, ModelView, Point, Rect};
use crate::mask::LogitGrid;
use crate::model::views::{filled_cells, square_around};
use crate::preset::ExpectedSize;
use crate::prompt::{Polarity, PromptSet};
use crate::track::carry::area_px;
use crate::units::Score;

/// Sides of the closer views, as fractions of the image region's longer side.
const SIDES: [f32; 4] = [0.7, 0.47, 0.33, 0.22];
/// Shortest side of a view, image px: a smaller one would show no more detail.
const SIDE_MIN_PX: f32 = 48.0;
/// IoU from which on two outlines count as the same.
pub(crate) const DISTINCT: f32 = 0.7;
/// Penalty of an unexpected size in the ranking, in units of IoU.
const UNEXPECTED: f32 = 0.2;
/// Cells of a mask along the edge of its view from which it counts as cut.
const CUT_CELLS: usize = 4;
/// Lowest score of a candidate, as a fraction of the best.
const LEAST: f32 = 0.3;
/// Points per side on which two masks are compared.
const COMPARED: usize = 64;

/// Candidates of a survey; buffers are reused.
#[derive(Default)]
pub(super) struct Found {
    all: Vec<Candidate>,
    len: usize,
    /// Distinct candidates, best first.
    distinct: Vec<LogitGrid>,
}

struct Candidate {
    grid: LogitGrid,
    score: Score,
    area_px: f32,
    bounds: Rect<ImageSpace>,
    /// Whether its view is the whole image region.
    is_whole: bool,
}

impl Found {
    fn push(&mut self, score: Score, values: &[f32], cells: usize, view: ModelView, is_whole: bool) {
        if self.all.len() == self.len {
            let grid = LogitGrid::background(0, view);
            self.all.push(Candidate { grid, score, area_px: 0.0, bounds: *view.crop(), is_whole });
        }
        let candidate = &mut self.all[self.len];
        candidate.grid.reset(cells, view);
        candidate.grid.values_mut().copy_from_slice(values);
        (candidate.score, candidate.is_whole) = (score, is_whole);
        candidate.area_px = area_px(&candidate.grid);
        let Some(bounds) = candidate.grid.inside_bounds() else { return };
        candidate.bounds = bounds;
        self.len += 1;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.distinct.clear();
    }

    /// Replaces the chosen outline by its refinement.
    pub(super) fn settle(&mut self, object: &Prompts, look: &Prediction) {
        if let (Some(slot), Some(mask)) = (self.distinct.get_mut(usize::from(object.candidate)), look.mask()) {
            slot.copy_from(mask);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.distinct.is_empty()
    }

    pub(super) fn distinct(&self) -> impl Iterator<Item = LogitGrid> + '_ {
        self.distinct.iter().cloned()
    }

    /// Sorts candidates, best first; the wider view first among equals. The whole image's have an advantage.
    fn ranked(&self, expected: Option<&ExpectedSize>, advantage: f32) -> Vec<&Candidate> {
        let worth = |c: &Candidate| {
            let unexpected = expected.is_some_and(|size| !size.fits(&c.bounds));
            c.score.get() + if c.is_whole { advantage } else { 0.0 } - if unexpected { UNEXPECTED } else { 0.0 }
        };
        let mut ranked: Vec<&Candidate> = self.all[..self.len].iter().collect();
        let best = ranked.iter().map(|c| c.score.get()).fold(0.0, f32::max);
        ranked.retain(|c| c.score.get() >= LEAST * best);
        ranked.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        ranked
    }
}

impl Predictor {
    /// Whether an object is surveyed: a lone positive click without an outline.
    pub(super) fn is_surveyed(&self, object: &Prompts) -> bool {
        let is_lone = matches!(object.clicks.as_slice(), [(_, Polarity::Positive)]) && object.boxed.is_none();
        let has_outline = object.previous.as_ref().is_some_and(|p| p.inside_bounds().is_some());
        self.surveys() && is_lone && !has_outline
    }

    /// Predicts a lone click from all views. Returns `false` if no mask is a candidate.
    pub(super) fn survey(
        &mut self,
        task: &Task,
        object: &Prompts,
        out: &mut Prediction,
        report: &mut PredictionReport,
    ) -> Result<bool> {
        self.forget_objects();
        let at = object.clicks[0].0;
        let longest = task.bounds.width().max(task.bounds.height());
        let sides = SIDES.map(|s| s * longest).into_iter().filter(|s| *s >= SIDE_MIN_PX);
        let squares = sides.map(|side| square_around(at, side, &task.bounds));
        for crop in std::iter::once(task.bounds).chain(squares) {
            let view = ModelView::new(crop, self.spec.side);
            self.ask(object, &view, None);
            self.encode(task.frame, &view, report)?;
            self.decode(report)?;
            if object.is_still {
                self.average_with_mirrored(task, object, &view, report)?;
            }
            if let Err(why) = self.chosen(0) {
                out.outcome = PredictionOutcome::Implausible(why);
                return Ok(true);
            }
            for mask in self.spec.first_candidate..self.spec.masks {
                let Ok(score) = self.plausible(mask, &view, true) else { continue };
                let (cells, n) = (self.spec.mask_cells, self.spec.mask_cells.pow(2));
                let logits = &self.decoded.masks[mask * n..][..n];
                let holds = self.prompts.clicks.first().is_some_and(|(at, _)| holds(logits, cells, &view, *at));
                if holds && !is_cut(logits, cells, &view, &task.bounds) {
                    self.found.push(score, logits, cells, view, crop == task.bounds);
                }
            }
        }
        let advantage = self.spec.view_advantage.unwrap_or_default();
        let ranked = self.found.ranked(object.expected.as_ref(), advantage);
        let Some(chosen) = distinct(&ranked, object) else {
            return Ok(false);
        };
        out.outcome = PredictionOutcome::Outlined(chosen.score);
        out.mask.copy_from(&chosen.grid);
        let all: Vec<LogitGrid> = first_distinct(&ranked).into_iter().map(|c| c.grid.clone()).collect();
        out.candidates = all.len() as u8;
        self.found.distinct = all;
        Ok(true)
    }
}

impl Predictor {
    /// Predicts on the mirrored image as well, and averages both results.
    fn average_with_mirrored(
        &mut self,
        task: &Task,
        object: &Prompts,
        view: &ModelView,
        report: &mut PredictionReport,
    ) -> Result<()> {
        let width = task.frame.width as f32;
        let crop = view.crop();
        let other = ModelView::new(Rect::new(width - crop.x1, crop.y0, width - crop.x0, crop.y1), self.spec.side);
        std::mem::swap(&mut self.decoded, &mut self.decoded_first);
        let clicks = object.clicks.iter().map(|&(at, polarity)| (Point::new(width - at.x, at.y), polarity)).collect();
        self.ask(&Prompts { clicks, ..Prompts::default() }, &other, None);
        self.encoded = None;
        self.encode(&mirrored(task.frame), &other, report)?;
        self.encoded = None;
        self.decode(report)?;
        let cells = self.spec.mask_cells;
        let (columns, _) = filled_cells(view, cells);
        let rows = self.decoded_first.masks.chunks_exact_mut(cells).zip(self.decoded.masks.chunks_exact(cells));
        for (mine, theirs) in rows {
            for (column, value) in mine.iter_mut().take(columns).enumerate() {
                *value = 0.5 * (*value + theirs[columns - 1 - column]);
            }
        }
        self.decoded_first.iou.iter_mut().zip(&self.decoded.iou).for_each(|(a, b)| *a = 0.5 * (*a + b));
        std::mem::swap(&mut self.decoded, &mut self.decoded_first);
        self.ask(object, view, None);
        Ok(())
    }
}

/// Whether the cell of a point is inside.
fn holds(logits: &[f32], cells: usize, view: &ModelView, at: Point<ModelSpace>) -> bool {
    let cell = |v: f32| ((v * cells as f32 / view.side() as f32) as usize).min(cells - 1);
    logits[cell(at.y) * cells + cell(at.x)] > 0.0
}

/// Whether a mask is cut by an edge of its view that is not an edge of the image region.
fn is_cut(logits: &[f32], cells: usize, view: &ModelView, bounds: &Rect<ImageSpace>) -> bool {
    let (crop, (columns, rows)) = (view.crop(), filled_cells(view, cells));
    let at = |column: usize, row: usize| usize::from(logits[row * cells + column] > 0.0);
    let down = |column: usize| (0..rows).map(|row| at(column, row)).sum::<usize>();
    let along = |row: usize| (0..columns).map(|column| at(column, row)).sum::<usize>();
    (crop.x0 > bounds.x0 && down(0) >= CUT_CELLS)
        || (crop.x1 < bounds.x1 && down(columns - 1) >= CUT_CELLS)
        || (crop.y0 > bounds.y0 && along(0) >= CUT_CELLS)
        || (crop.y1 < bounds.y1 && along(rows - 1) >= CUT_CELLS)
}

/// Mirrors a frame left to right, in grey.
fn mirrored(frame: &Frame) -> Frame {
    let (width, height) = (frame.width, frame.height);
    let pixels = (0..height).flat_map(|y| (0..width).rev().map(move |x| frame.grey(x, y))).collect();
    Frame::from_pixels(width, height, PixelFormat::Grey8, pixels).unwrap_or_default()
}

/// The best candidate that differs from the shown outlines; cyclic.
fn distinct<'a>(ranked: &[&'a Candidate], object: &Prompts) -> Option<&'a Candidate> {
    let passed: Vec<Candidate> = object.passed.iter().filter_map(passed).collect();
    let mut taken: Vec<&Candidate> = passed.iter().collect();
    let mut left = usize::from(object.candidate).saturating_sub(passed.len());
    for candidate in ranked {
        if taken.iter().all(|t| iou(t, candidate) < DISTINCT) {
            if left == 0 {
                return Some(candidate);
            }
            left -= 1;
            taken.push(candidate);
        }
    }
    ranked.first().copied()
}

/// Selects the distinct outlines that further taps step through.
fn first_distinct<'a>(ranked: &[&'a Candidate]) -> Vec<&'a Candidate> {
    let mut taken: Vec<&Candidate> = Vec::new();
    for candidate in ranked.iter().copied() {
        if taken.len() < usize::from(PromptSet::CANDIDATES) && taken.iter().all(|t| iou(t, candidate) < DISTINCT) {
            taken.push(candidate);
        }
    }
    taken
}

fn passed(grid: &LogitGrid) -> Option<Candidate> {
    let bounds = grid.inside_bounds()?;
    Some(Candidate { grid: grid.clone(), score: Score::default(), area_px: area_px(grid), bounds, is_whole: false })
}

/// IoU of two outlines in any views, on a grid over both; 0 if their areas alone rule out agreement.
fn iou(a: &Candidate, b: &Candidate) -> f32 {
    if a.area_px.min(b.area_px) < 0.9 * DISTINCT * a.area_px.max(b.area_px) {
        return 0.0;
    }
    let all = a.bounds.union(&b.bounds);
    let (dx, dy) = (all.width() / COMPARED as f32, all.height() / COMPARED as f32);
    let (mut both, mut either) = (0u32, 0u32);
    for i in 0..COMPARED * COMPARED {
        let (x, y) = ((i % COMPARED) as f32 + 0.5, (i / COMPARED) as f32 + 0.5);
        let p = Point::new(all.x0 + x * dx, all.y0 + y * dy);
        let (in_a, in_b) = (a.grid.sample(p) > 0.0, b.grid.sample(p) > 0.0);
        both += u32::from(in_a && in_b);
        either += u32::from(in_a || in_b);
    }
    both as f32 / either.max(1) as f32
}
