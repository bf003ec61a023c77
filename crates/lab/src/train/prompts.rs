//! The simulated operator of training: a first prompt, then clicks on what is wrong.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::example::Target;
use super::net::decoder::MASK_CELLS;
use super::picture::{Affine, Picture, SIDE, chance, normal, uniform, warped_mask};
use super::tasks::{largest, where_both};
use crate::eval::clicks::boxes::bounds_of;
use crate::eval::clicks::{PixelClick, cvt, noc};
use crate::eval::distance::squared_to_outside;
use sonotap::geometry::{ModelSpace, Point, Rect};
use sonotap::mask::Bitmap;
use sonotap::model::ModelPrompts;
use sonotap::prompt::Polarity;

/// Where the clicks after the first go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// Into the middle of the greatest error, or anywhere in it.
    Corrective,
    /// ClickSAM: one click in the centre, never another.
    Centre,
    /// ClickSAM's second stage: a centre click, then Voronoi clicks of right, missing and superfluous parts.
    Voronoi,
}

/// How often each prompt is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptShares {
    /// Where clicks go.
    pub operator: Operator,
    /// First prompts that are a box.
    pub boxed: f32,
    /// First prompts that are a click and a worn mask of the frame before.
    pub carried: f32,
    /// Rounds that follow a first one, drawn alike.
    pub rounds: Vec<usize>,
    /// Clicks a corrective round, drawn alike.
    pub clicks: Vec<usize>,
    /// Rounds in which the mask of the round before is not shown.
    pub drop_previous: f32,
    /// Rounds in which nothing but the mask of the round before is shown.
    pub mask_alone: f32,
}

/// A target with what the operator has done so far.
#[derive(Clone, Debug)]
pub struct Task {
    /// Pixels of the picture.
    pub truth: Bitmap,
    /// Share of each mask cell that is inside, 0..=1.
    pub cells: Vec<f32>,
    /// What is shown to the network next.
    pub prompts: ModelPrompts,
    /// All clicks so far.
    clicks: Vec<PixelClick>,
    boxed: Option<Rect<ModelSpace>>,
    /// The target some frames before, where that is known.
    before: Option<Bitmap>,
    /// Where the first click lies, when the view was chosen around it.
    click: Option<PixelClick>,
    /// Pixels of the object beyond the view, where they are known.
    beyond_px: Option<f32>,
}

impl Task {
    /// A target without prompts.
    pub fn new(target: &Target) -> Self {
        let Target { mask, beyond_px, before, click } = target.clone();
        let (cells, prompts) = (cells_of(&mask), ModelPrompts::default());
        Self { truth: mask, cells, prompts, clicks: Vec::new(), boxed: None, before, click, beyond_px }
    }

    /// Mask cells of the object beyond the view, where they are known.
    pub fn beyond_cells(&self) -> Option<f32> {
        self.beyond_px.map(|px| px * ((MASK_CELLS * MASK_CELLS) as f32 / (SIDE * SIDE) as f32))
    }

    /// Places the first prompt: a box, a click, or a click with the mask of a frame before.
    pub fn begin(&mut self, shares: &PromptShares, rng: &mut impl Rng) {
        let draw = rng.random::<f32>();
        if draw < shares.boxed
            && let Some(b) = bounds_of(&self.truth)
        {
            let (w, h) = (b.x1 - b.x0, b.y1 - b.y0);
            let mut moved = |edge: f32, size: f32| edge + 0.05 * size * normal(rng);
            self.boxed = Some(Rect::new(moved(b.x0, w), moved(b.y0, h), moved(b.x1, w), moved(b.y1, h)));
            self.prompts.boxed = self.boxed;
            return;
        }
        let first = match shares.operator {
            Operator::Corrective => self.inner_click(rng),
            Operator::Centre | Operator::Voronoi => cvt::centre_click(&self.truth),
        };
        if let Some(click) = first {
            self.add(click);
        }
        if draw < shares.boxed + shares.carried {
            self.carry(rng);
        }
    }

    /// Places a given first click.
    pub fn begin_at(&mut self, click: PixelClick) {
        self.add(click);
    }

    /// The click that the view was chosen for; else one in the middle of the target, or anywhere well inside.
    pub fn inner_click(&self, rng: &mut impl Rng) -> Option<PixelClick> {
        self.click.or_else(|| inner_click(&self.truth, rng))
    }

    /// The truth as a tracker might have carried it, or as it was some frames before, as previous mask.
    fn carry(&mut self, rng: &mut impl Rng) {
        let Some(b) = bounds_of(&self.truth) else { return };
        let (cx, cy) = ((b.x0 + b.x1) / 2.0, (b.y0 + b.y1) / 2.0);
        let (away, angle) = (uniform(rng, 0.0, 10.0), uniform(rng, 0.0, std::f32::consts::TAU));
        let scale = 1.0 / uniform(rng, 0.88, 1.14);
        let (dx, dy) = (away * angle.cos(), away * angle.sin());
        let back = Affine([scale, 0.0, cx - scale * (cx + dx), 0.0, scale, cy - scale * (cy + dy)]);
        let moved = match &self.before {
            Some(before) => Picture::of_mask(before),
            None => Picture::of_mask(&warped_mask(&self.truth, &back)),
        };
        let rough = Picture::smooth_noise(rng, 40.0).zip(&moved.blurred(6.0, 6.0), |n, m| 0.35 * n * m);
        let worn = moved.zip(&rough, |m, r| m + r).blurred(2.0, 2.0);
        self.prompts.previous = (0..MASK_CELLS * MASK_CELLS)
            .map(|i| {
                let (x, y) = (2 * (i % MASK_CELLS), 2 * (i / MASK_CELLS));
                let p = (worn.at(x, y) + worn.at(x + 1, y) + worn.at(x, y + 1) + worn.at(x + 1, y + 1)) / 4.0;
                let p = p.clamp(0.002, 0.998);
                (p / (1.0 - p)).ln()
            })
            .collect();
    }

    /// What the operator does after an answer (logits of the mask that inference would show). With a teacher's answer the
    /// click goes where the two disagree and the teacher is right, if there is such a place.
    pub fn go_on(&mut self, shown: &[f32], better: Option<&[f32]>, shares: &PromptShares, rng: &mut impl Rng) {
        let prediction = pixels_of(shown);
        let disputed = better.and_then(|b| {
            let right = where_both(&pixels_of(b), &self.truth, |b, t| b == t);
            let wrong = where_both(&prediction, &self.truth, |p, t| p != t);
            let disputed = where_both(&right, &wrong, |r, w| r && w);
            // Where nothing is disputed the prediction counts as right.
            let as_if = where_both(&self.truth, &disputed, |t, d| t != d);
            random_error_click(&self.truth, &as_if, true, rng)
        });
        match shares.operator {
            Operator::Corrective if disputed.is_some() => disputed.into_iter().for_each(|c| self.add(c)),
            Operator::Corrective => {
                let count = shares.clicks[rng.random_range(0..shares.clicks.len())];
                self.correct(&prediction, count, rng);
            }
            Operator::Centre => {}
            Operator::Voronoi => {
                let clicks = cvt::clicks(&self.truth, &prediction, rng);
                if !clicks.is_empty() {
                    self.clicks.clear();
                    self.prompts.clicks.clear();
                    clicks.into_iter().for_each(|c| self.add(c));
                }
            }
        }
        self.prompts.previous = if chance(rng, shares.drop_previous) { Vec::new() } else { shown.to_vec() };
    }

    /// For one round, nothing but the previous mask; the clicks come back with [`Task::show_all`].
    pub fn show_mask_alone(&mut self) {
        if !self.prompts.previous.is_empty() {
            self.prompts.clicks.clear();
            self.prompts.boxed = None;
        }
    }

    /// Shows all clicks and the box again.
    pub fn show_all(&mut self) {
        self.prompts.boxed = self.boxed;
        self.prompts.clicks = self.clicks.iter().map(|c| as_prompt(*c)).collect();
    }

    fn correct(&mut self, prediction: &Bitmap, count: usize, rng: &mut impl Rng) {
        if count == 1 && chance(rng, 0.5) {
            if let Some(click) = noc::next_click(&self.truth, prediction, &self.clicks) {
                self.add(click);
            }
            return;
        }
        for _ in 0..count {
            if let Some(click) = random_error_click(&self.truth, prediction, count == 1, rng) {
                self.add(click);
            }
        }
    }

    fn add(&mut self, click: PixelClick) {
        self.clicks.push(click);
        self.prompts.clicks.push(as_prompt(click));
    }
}

fn as_prompt(c: PixelClick) -> (Point<ModelSpace>, Polarity) {
    (Point::new(c.x as f32 + 0.5, c.y as f32 + 0.5), c.polarity())
}

/// A click in the middle of a mask of any size, or anywhere well inside; `None` when the mask is empty.
pub fn inner_click(mask: &Bitmap, rng: &mut impl Rng) -> Option<PixelClick> {
    let depth = Depth::of(mask)?;
    let share = if chance(rng, 0.6) { WELL_INSIDE } else { 1.0 };
    Some(depth.click(share, true, rng))
}

/// Squared depth, as a part of the greatest, from which a place counts as well inside.
const WELL_INSIDE: f32 = 0.09;

/// Squared distance to the outside within the bounds of a region; outside of them there is nothing to find.
struct Depth {
    corner: (u32, u32),
    width: u32,
    squared: Vec<u32>,
    most: u32,
}

impl Depth {
    /// `None` for an empty region.
    fn of(region: &Bitmap) -> Option<Self> {
        let b = bounds_of(region)?;
        let (corner, width) = ((b.x0 as u32, b.y0 as u32), (b.x1 - b.x0) as u32);
        let rows = corner.1 as usize..b.y1 as usize;
        let row = |y: usize| &region.pixels()[y * region.width() as usize + corner.0 as usize..][..width as usize];
        let inside = Bitmap::from_values(width, rows.len() as u32, rows.flat_map(row).copied().collect())?;
        let squared = squared_to_outside(&inside);
        let most = squared.iter().copied().max()?;
        Some(Self { corner, width, squared, most })
    }

    /// A random place at least so deep, squared, as a part of the greatest depth.
    fn click(&self, share: f32, is_positive: bool, rng: &mut impl Rng) -> PixelClick {
        let at_least = (self.most as f32 * share).max(1.0);
        let places: Vec<usize> = (0..self.squared.len()).filter(|i| self.squared[*i] as f32 >= at_least).collect();
        let i = places[rng.random_range(0..places.len())] as u32;
        PixelClick { x: self.corner.0 + i % self.width, y: self.corner.1 + i / self.width, is_positive }
    }
}

/// Anywhere well inside the larger of the two greatest errors, or of all errors alike.
fn random_error_click(truth: &Bitmap, prediction: &Bitmap, greatest: bool, rng: &mut impl Rng) -> Option<PixelClick> {
    let missing = where_both(truth, prediction, |t, p| t && !p);
    let extra = where_both(truth, prediction, |t, p| p && !t);
    let (a, b) = (Depth::of(&missing), Depth::of(&extra));
    let is_positive = match (&a, &b) {
        (None, None) => return None,
        (Some(a), Some(b)) if greatest => a.most >= b.most,
        (Some(_), Some(_)) => rng.random_range(0..missing.area_px() + extra.area_px()) < missing.area_px(),
        (a, _) => a.is_some(),
    };
    if greatest {
        let depth = Depth::of(&largest(if is_positive { &missing } else { &extra }))?;
        return Some(depth.click(WELL_INSIDE, is_positive, rng));
    }
    let depth = if is_positive { a } else { b };
    depth.map(|d| d.click(WELL_INSIDE, is_positive, rng))
}

/// Share of each 2x2 px cell that is inside.
pub fn cells_of(mask: &Bitmap) -> Vec<f32> {
    let at = |x: usize, y: usize| f32::from(mask.pixels()[y * SIDE + x]);
    (0..MASK_CELLS * MASK_CELLS)
        .map(|i| {
            let (x, y) = (2 * (i % MASK_CELLS), 2 * (i / MASK_CELLS));
            (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
        })
        .collect()
}

/// Pixels whose logit, bilinear between cell centres, is above 0.
pub fn pixels_of(logits: &[f32]) -> Bitmap {
    let at = |x: f32, y: f32| {
        let top = MASK_CELLS as f32 - 1.0;
        let (x, y) = (x.clamp(0.0, top), y.clamp(0.0, top));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(MASK_CELLS - 1), (y0 + 1).min(MASK_CELLS - 1));
        let (tx, ty) = (x - x0 as f32, y - y0 as f32);
        let v = |x: usize, y: usize| logits[y * MASK_CELLS + x];
        (v(x0, y0) * (1.0 - tx) + v(x1, y0) * tx) * (1.0 - ty) + (v(x0, y1) * (1.0 - tx) + v(x1, y1) * tx) * ty
    };
    Picture::from_fn(|x, y| at(x as f32 / 2.0 - 0.25, y as f32 / 2.0 - 0.25)).above(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    fn ellipse(cx: f32, cy: f32, a: f32, b: f32) -> Bitmap {
        let inside = |x: usize, y: usize| ((x as f32 - cx) / a).powi(2) + ((y as f32 - cy) / b).powi(2) < 1.0;
        Picture::from_fn(|x, y| if inside(x, y) { 1.0 } else { 0.0 }).above(0.5)
    }

    fn shares(operator: Operator) -> PromptShares {
        PromptShares {
            operator,
            boxed: 0.3,
            carried: 0.3,
            rounds: vec![3],
            clicks: vec![1, 3],
            drop_previous: 0.5,
            mask_alone: 0.2,
        }
    }

    /// Logits of a mask: as sure of it as a model would be.
    fn logits(mask: &Bitmap) -> Vec<f32> {
        cells_of(mask).iter().map(|c| 8.0 * (c - 0.5)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_click_says_what_is_true_where_it_lies(seed: u64, which in 0usize..3) {
            let rng = &mut Pcg64Mcg::seed_from_u64(seed);
            let truth = ellipse(120.0, 100.0, 40.0, 25.0);
            let shares = shares([Operator::Corrective, Operator::Centre, Operator::Voronoi][which]);
            let mut task = Task::new(&Target::whole(truth.clone()));
            task.begin(&shares, rng);
            prop_assert!(task.prompts.count() > 0);
            for _ in 0..3 {
                let shown = ellipse(uniform(rng, 90.0, 150.0), 100.0, 35.0, uniform(rng, 10.0, 40.0));
                task.show_all();
                task.go_on(&logits(&shown), None, &shares, rng);
                for (at, polarity) in &task.prompts.clicks {
                    let inside = truth.get(at.x as u32, at.y as u32);
                    prop_assert_eq!(*polarity == Polarity::Positive, inside);
                }
            }
        }
    }

    #[test]
    fn a_perfect_answer_gets_no_further_click() {
        let rng = &mut Pcg64Mcg::seed_from_u64(1);
        let truth = pixels_of(&logits(&ellipse(120.0, 100.0, 40.0, 25.0)));
        let mut task = Task::new(&Target::whole(truth.clone()));
        task.go_on(&logits(&truth), None, &shares(Operator::Corrective), rng);
        assert_eq!(task.prompts.clicks.len(), 0);
    }

    #[test]
    fn a_disputed_place_is_where_the_teacher_is_right_and_the_student_wrong() {
        let truth = ellipse(128.0, 128.0, 60.0, 40.0);
        let left_half = Picture::from_fn(|x, _| if x < 128 { 1.0 } else { 0.0 }).above(0.5);
        // The student misses all but the upper left quarter, the teacher only the right half.
        let upper = Picture::from_fn(|_, y| if y < 128 { 1.0 } else { 0.0 }).above(0.5);
        let teacher = where_both(&truth, &left_half, |t, l| t && l);
        let student = where_both(&teacher, &upper, |t, u| t && u);
        for seed in 0..10 {
            let mut task = Task::new(&Target::whole(truth.clone()));
            let rng = &mut Pcg64Mcg::seed_from_u64(seed);
            task.go_on(&logits(&student), Some(&logits(&teacher)), &shares(Operator::Corrective), rng);
            let (at, polarity) = task.prompts.clicks[0];
            assert!(at.x < 129.0 && at.y > 127.0 && polarity == Polarity::Positive, "{at:?}");
        }
    }

    #[test]
    fn a_carried_prompt_shows_the_structure_where_it_was_before() {
        let (now, before) = (ellipse(140.0, 100.0, 40.0, 25.0), ellipse(120.0, 100.0, 40.0, 25.0));
        let shares = PromptShares { boxed: 0.0, carried: 1.0, ..shares(Operator::Corrective) };
        for seed in 0..5 {
            let mut task = Task::new(&Target { before: Some(before.clone()), ..Target::whole(now.clone()) });
            task.begin(&shares, &mut Pcg64Mcg::seed_from_u64(seed));
            let shown = pixels_of(&task.prompts.previous);
            assert!(shown.iou(&before) > 0.75 && shown.iou(&before) > shown.iou(&now) + 0.1);
            assert_eq!(task.prompts.clicks.len(), 1);
        }
    }

    #[test]
    fn a_mask_alone_comes_with_nothing_else_and_all_comes_back() {
        let truth = ellipse(120.0, 100.0, 40.0, 25.0);
        let mut task = Task::new(&Target::whole(truth.clone()));
        let shares = PromptShares { boxed: 1.0, carried: 0.0, drop_previous: 0.0, ..shares(Operator::Corrective) };
        let rng = &mut Pcg64Mcg::seed_from_u64(3);
        task.begin(&shares, rng);
        task.go_on(&logits(&ellipse(100.0, 100.0, 40.0, 25.0)), None, &shares, rng);
        let all = task.prompts.clone();
        task.show_mask_alone();
        assert!(task.prompts.clicks.is_empty() && task.prompts.boxed.is_none() && !task.prompts.previous.is_empty());
        task.show_all();
        assert_eq!((task.prompts.clicks, task.prompts.boxed), (all.clicks, all.boxed));
        assert!(all.boxed.is_some());
    }

    #[test]
    fn a_mask_of_cells_and_back_is_the_mask_but_for_its_edge() {
        let truth = ellipse(120.0, 100.0, 40.0, 25.0);
        assert!(pixels_of(&logits(&truth)).iou(&truth) > 0.97);
    }
}
