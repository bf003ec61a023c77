//! Calipers on still frames: several, each with a letter, an end that can be dragged, undo and redo.

use std::sync::Arc;

use crate::contour::Outline;
use crate::frame::PixelScale;
use crate::geometry::{ImageSpace, Point, length_f64};
use crate::measure::{Measurements, measure};
use crate::units::{FrameId, Millimetres};

/// Most calipers at a time.
pub const CALIPERS_MAX: usize = 8;
/// Steps that can be undone.
const UNDO_MAX: usize = 32;
/// Corners of the polygon that stands for an ellipse: its area is 0.02 % too small.
const ELLIPSE_CORNERS: usize = 180;

/// What a caliper measures; places in image px.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// From one end to the other.
    Distance {
        /// One end.
        a: Point<ImageSpace>,
        /// The other.
        b: Point<ImageSpace>,
    },
    /// An ellipse by the ends of one axis and half of the other.
    Ellipse {
        /// One end of the axis.
        a: Point<ImageSpace>,
        /// The other.
        b: Point<ImageSpace>,
        /// Half of the other axis, px.
        half_px: f32,
    },
    /// The trace of an object's outline, as it was computed from this frame.
    Trace(Arc<Outline>),
}

/// One caliper.
#[derive(Clone, Debug, PartialEq)]
pub struct Caliper {
    /// Its letter, from A on.
    pub letter: char,
    /// The frame it is on.
    pub frame: FrameId,
    /// What it measures.
    pub shape: Shape,
}

/// What a caliper says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of a distance.
    Length {
        /// Image px.
        px: f64,
        /// With a scale only.
        mm: Option<Millimetres>,
    },
    /// Of an ellipse or a trace.
    Enclosed(Measurements),
}

/// What a caliper says, with the scale it was read in.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The caliper.
    pub caliper: Caliper,
    /// `None` for what encloses nothing.
    pub value: Option<Value>,
    /// The scale, where there is one.
    pub scale: Option<PixelScale>,
}

impl Shape {
    /// The places where it can be taken hold of; up to three.
    pub fn ends(&self) -> impl Iterator<Item = Point<ImageSpace>> + use<> {
        let ends = match *self {
            Self::Distance { a, b } => [Some(a), Some(b), None],
            Self::Ellipse { a, b, half_px } => [Some(a), Some(b), Some(beside(a, b, half_px))],
            Self::Trace(_) => [None; 3],
        };
        ends.into_iter().flatten()
    }

    fn move_end(&mut self, end: usize, to: Point<ImageSpace>) {
        match (self, end) {
            (Self::Distance { a, .. } | Self::Ellipse { a, .. }, 0) => *a = to,
            (Self::Distance { b, .. } | Self::Ellipse { b, .. }, 1) => *b = to,
            (Self::Ellipse { a, b, half_px }, _) => *half_px = half_axis_through(*a, *b, to),
            _ => {}
        }
    }

    /// The closed line of an ellipse or a trace.
    pub fn ring(&self) -> Option<Arc<Outline>> {
        match self {
            Self::Distance { .. } => None,
            Self::Ellipse { a, b, half_px } => Some(Arc::new(ellipse(*a, *b, *half_px))),
            Self::Trace(outline) => Some(outline.clone()),
        }
    }

    /// Reads it in a scale.
    pub fn read(&self, scale: Option<&PixelScale>) -> Option<Value> {
        match self {
            Self::Distance { a, b } => {
                let (dx, dy) = (f64::from(a.x - b.x), f64::from(a.y - b.y));
                let metric =
                    |s: &PixelScale| length_f64(dx * f64::from(s.mm_per_px().0), dy * f64::from(s.mm_per_px().1));
                Some(Value::Length { px: length_f64(dx, dy), mm: scale.map(metric).map(Millimetres) })
            }
            Self::Ellipse { .. } | Self::Trace(_) => measure(self.ring()?.as_ref(), scale).map(Value::Enclosed),
        }
    }

    /// A place by which its region is known.
    pub fn anchor(&self) -> Point<ImageSpace> {
        let middle = |a: &Point<ImageSpace>, b: &Point<ImageSpace>| Point::new((a.x + b.x) / 2.0, (a.y + b.y) / 2.0);
        match self {
            Self::Distance { a, b } | Self::Ellipse { a, b, .. } => middle(a, b),
            Self::Trace(outline) => outline.points().first().copied().unwrap_or_default(),
        }
    }
}

/// The end of the other axis, to the right of the way from `a` to `b`.
fn beside(a: Point<ImageSpace>, b: Point<ImageSpace>, half_px: f32) -> Point<ImageSpace> {
    let length = a.distance(b).max(1e-3);
    let (nx, ny) = (-(b.y - a.y) / length, (b.x - a.x) / length);
    Point::new((a.x + b.x) / 2.0 + nx * half_px, (a.y + b.y) / 2.0 + ny * half_px)
}

/// Half of the other axis of the ellipse on the axis from `a` to `b` whose rim is at the height of `p` over it.
pub(super) fn half_axis_through(a: Point<ImageSpace>, b: Point<ImageSpace>, p: Point<ImageSpace>) -> f32 {
    let length = a.distance(b).max(1e-3);
    (((b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)) / length).abs().max(1.0)
}

fn ellipse(a: Point<ImageSpace>, b: Point<ImageSpace>, half_px: f32) -> Outline {
    let (cx, cy) = ((a.x + b.x) / 2.0, (a.y + b.y) / 2.0);
    let (ux, uy) = ((b.x - a.x) / 2.0, (b.y - a.y) / 2.0);
    let half = length_f64(f64::from(ux), f64::from(uy)).max(1e-3) as f32;
    let (vx, vy) = (-uy / half * half_px, ux / half * half_px);
    let mut outline = Outline::default();
    outline.push_ring((0..ELLIPSE_CORNERS).map(|i| {
        let (s, c) = (std::f32::consts::TAU * i as f32 / ELLIPSE_CORNERS as f32).sin_cos();
        Point::new(cx + c * ux + s * vx, cy + c * uy + s * vy)
    }));
    outline
}

/// The calipers of an exam's still frames.
#[derive(Clone, Debug, Default)]
pub struct CaliperSet {
    list: Vec<Caliper>,
    selected: Option<char>,
    past: Vec<Vec<Caliper>>,
    future: Vec<Vec<Caliper>>,
    /// The end under the finger: its caliper, which end, and the caliper as it was.
    held: Option<(char, usize, Shape)>,
}

impl CaliperSet {
    /// Those on a frame.
    pub fn on(&self, frame: FrameId) -> impl Iterator<Item = &Caliper> {
        self.list.iter().filter(move |c| c.frame == frame)
    }

    /// The one that is deleted next.
    pub fn selected(&self) -> Option<char> {
        self.selected
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    /// Adds a caliper and selects it; `false` when no more fit.
    pub fn add(&mut self, frame: FrameId, shape: Shape) -> bool {
        let is_free = |letter: &char| self.list.iter().all(|c| c.letter != *letter);
        let Some(letter) = ('A'..='Z').take(CALIPERS_MAX).find(is_free) else { return false };
        self.remember();
        self.list.push(Caliper { letter, frame, shape });
        self.selected = Some(letter);
        true
    }

    /// Removes the selected caliper of a frame, else its last one; `false` when it has none.
    pub fn delete(&mut self, frame: FrameId) -> bool {
        let is_selected = |c: &&Caliper| c.frame == frame && Some(c.letter) == self.selected;
        let Some(letter) = self.list.iter().find(is_selected).or(self.on(frame).last()).map(|c| c.letter) else {
            return false;
        };
        self.remember();
        self.list.retain(|c| c.letter != letter);
        self.selected = self.list.iter().rfind(|c| c.frame == frame).map(|c| c.letter);
        true
    }

    /// One step back; `false` when there is none.
    pub fn undo(&mut self) -> bool {
        let Some(before) = self.past.pop() else { return false };
        self.future.push(std::mem::replace(&mut self.list, before));
        self.held = None;
        true
    }

    /// One step forward again; `false` when there is none.
    pub fn redo(&mut self) -> bool {
        let Some(after) = self.future.pop() else { return false };
        self.past.push(std::mem::replace(&mut self.list, after));
        self.held = None;
        true
    }

    /// Selects the caliper of a frame with an end near a place; `false` when there is none.
    pub fn select_at(&mut self, frame: FrameId, p: Point<ImageSpace>, reach_px: f32) -> bool {
        let found = self.end_at(frame, p, reach_px).map(|(letter, _)| letter);
        self.selected = found.or(self.selected);
        found.is_some()
    }

    /// Takes hold of an end near a place; `false` when there is none.
    pub fn hold(&mut self, frame: FrameId, p: Point<ImageSpace>, reach_px: f32) -> bool {
        let Some((letter, end)) = self.end_at(frame, p, reach_px) else { return false };
        let before = self.list.iter().find(|c| c.letter == letter).map(|c| c.shape.clone());
        self.held = before.map(|shape| (letter, end, shape));
        self.selected = Some(letter);
        self.held.is_some()
    }

    /// Whether an end is under the finger.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Moves the end that is held.
    pub fn drag(&mut self, to: Point<ImageSpace>) {
        if let Some((letter, end, _)) = self.held
            && let Some(caliper) = self.list.iter_mut().find(|c| c.letter == letter)
        {
            caliper.shape.move_end(end, to);
        }
    }

    /// Lets go of the end; as it was before, when `is_kept` is false.
    pub fn let_go(&mut self, is_kept: bool) {
        let Some((letter, _, before)) = self.held.take() else { return };
        let Some(caliper) = self.list.iter_mut().find(|c| c.letter == letter) else { return };
        let after = std::mem::replace(&mut caliper.shape, before);
        if is_kept && after != caliper.shape {
            self.remember();
            if let Some(caliper) = self.list.iter_mut().find(|c| c.letter == letter) {
                caliper.shape = after;
            }
        }
    }

    /// Forgets all of them, and what could be undone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn remember(&mut self) {
        if self.past.len() == UNDO_MAX {
            self.past.remove(0);
        }
        self.past.push(self.list.clone());
        self.future.clear();
    }

    fn end_at(&self, frame: FrameId, p: Point<ImageSpace>, reach_px: f32) -> Option<(char, usize)> {
        let ends = self.on(frame).flat_map(|c| c.shape.ends().enumerate().map(move |(i, e)| (c.letter, i, e)));
        let near = ends.map(|(letter, i, e)| (letter, i, e.distance(p))).filter(|(.., d)| *d <= reach_px);
        near.min_by(|a, b| a.2.total_cmp(&b.2)).map(|(letter, i, _)| (letter, i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ScaleSource;

    const FRAME: FrameId = FrameId(7);

    fn distance(x0: f32, y0: f32, x1: f32, y1: f32) -> Shape {
        Shape::Distance { a: Point::new(x0, y0), b: Point::new(x1, y1) }
    }

    fn shapes(set: &CaliperSet) -> Vec<(char, Shape)> {
        set.on(FRAME).map(|c| (c.letter, c.shape.clone())).collect()
    }

    #[test]
    fn a_distance_is_read_along_each_axis_in_its_own_scale() {
        let scale = PixelScale::new(Millimetres(0.1), Millimetres(0.2), ScaleSource::TwoPoint).unwrap();
        let Some(Value::Length { px, mm: Some(mm) }) = distance(10.0, 10.0, 40.0, 50.0).read(Some(&scale)) else {
            panic!("no length")
        };
        assert!((px - 50.0).abs() < 1e-9 && (mm.0 - (9.0f64 + 64.0).sqrt()).abs() < 1e-6, "{px} {mm:?}");
        assert!(matches!(distance(0.0, 0.0, 3.0, 4.0).read(None), Some(Value::Length { mm: None, .. })));
    }

    #[test]
    fn an_ellipse_by_its_axis_and_a_point_measures_what_its_formulas_say() {
        let (a, b) = (Point::new(60.0, 80.0), Point::new(180.0, 170.0));
        let half_px = half_axis_through(a, b, beside(a, b, 40.0));
        assert!((half_px - 40.0).abs() < 1e-3, "{half_px}");
        let Some(Value::Enclosed(m)) = (Shape::Ellipse { a, b, half_px }).read(None) else { panic!("nothing") };
        assert!((m.area_px / (std::f64::consts::PI * 75.0 * 40.0) - 1.0).abs() < 1e-3, "{}", m.area_px);
        assert!((m.ellipse_axes_px.0 / 150.0 - 1.0).abs() < 1e-3 && m.is_elliptic());
    }

    #[test]
    fn calipers_are_added_dragged_deleted_and_all_of_it_is_undone() {
        let mut set = CaliperSet::default();
        assert!(set.add(FRAME, distance(0.0, 0.0, 10.0, 0.0)));
        assert!(set.add(FRAME, distance(50.0, 0.0, 90.0, 0.0)));
        assert!(set.add(FrameId(8), distance(0.0, 0.0, 1.0, 0.0)));
        let before = shapes(&set);
        assert_eq!(before.iter().map(|(l, _)| *l).collect::<Vec<_>>(), ['A', 'B']);
        assert!(!set.hold(FRAME, Point::new(30.0, 30.0), 5.0), "nothing is there");
        assert!(set.hold(FRAME, Point::new(88.0, 1.0), 5.0));
        set.drag(Point::new(100.0, 0.0));
        set.let_go(false);
        assert_eq!(shapes(&set), before, "taken back");
        assert!(set.hold(FRAME, Point::new(88.0, 1.0), 5.0));
        set.drag(Point::new(95.0, 0.0));
        set.drag(Point::new(100.0, 0.0));
        set.let_go(true);
        assert_eq!(shapes(&set)[1].1, distance(50.0, 0.0, 100.0, 0.0));
        assert!(set.undo());
        assert_eq!(shapes(&set), before);
        assert!(set.redo() && set.select_at(FRAME, Point::new(1.0, 1.0), 5.0) && set.delete(FRAME));
        assert_eq!(shapes(&set).iter().map(|(l, _)| *l).collect::<Vec<_>>(), ['B'], "the one that was chosen");
        // A letter that is free again is used again.
        assert!(set.add(FRAME, distance(0.0, 0.0, 5.0, 0.0)) && shapes(&set)[1].0 == 'A');
        while set.undo() {}
        assert!(set.is_empty());
    }

    #[test]
    fn no_more_than_eight_fit_and_the_history_is_bounded() {
        let mut set = CaliperSet::default();
        for _ in 0..CALIPERS_MAX {
            assert!(set.add(FRAME, distance(0.0, 0.0, 5.0, 0.0)));
        }
        assert!(!set.add(FRAME, distance(0.0, 0.0, 5.0, 0.0)));
        for _ in 0..200 {
            assert!(set.delete(FRAME) && set.add(FRAME, distance(0.0, 0.0, 5.0, 0.0)));
        }
        assert_eq!(set.past.len(), UNDO_MAX);
    }
}
