//! What is kept from one still frame to the next: exact outlines for a median, planes and views for a volume.

use crate::contour::Outline;
use crate::frame::{PixelScale, ScaleSource};
use crate::geometry::{ImageSpace, Point};
use crate::measure::Measurements;
use crate::measure::discs::{NoStack, Stack, ejection_fraction, single_plane_fraction};
use crate::measure::series::{FRAMES_MAX, MedianOf, median_of};
use crate::measure::volume::{Formula, NoVolume, Plane, VolumeOf, of_planes};
use crate::preset::Item;
use crate::units::{FrameId, ObjectId};

/// Of what medians are, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The object on the screen.
    pub object: ObjectId,
    /// What it is, if somebody said: the label of a preset.
    pub label: Option<String>,
    /// What is measured of it, in the order in which it is shown.
    pub items: Vec<Item>,
}

/// Exact outlines of one object on several frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    subject: Option<Subject>,
    list: Vec<(FrameId, Measurements)>,
}

/// Why an outline is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// This frame is kept already.
    SameFrame,
    /// The others are of another object.
    OtherObject,
    /// Some are in mm and this is not, or the other way round.
    OtherScale,
    /// No more fit.
    Full,
}

impl Samples {
    /// Keeps an exact outline's measurements.
    ///
    /// # Errors
    /// Why they are not kept.
    pub fn keep(&mut self, subject: Subject, frame: FrameId, m: Measurements) -> Result<(), NotKept> {
        if self.subject.as_ref().is_some_and(|kept| (kept.object, &kept.label) != (subject.object, &subject.label)) {
            return Err(NotKept::OtherObject);
        }
        if self.list.iter().any(|(f, _)| *f == frame) {
            return Err(NotKept::SameFrame);
        }
        let source = |m: &Measurements| m.metric.map(|mm| mm.source);
        if self.list.first().is_some_and(|(_, first)| source(first) != source(&m)) {
            return Err(NotKept::OtherScale);
        }
        if self.list.len() == FRAMES_MAX {
            return Err(NotKept::Full);
        }
        self.subject.get_or_insert(subject);
        self.list.push((frame, m));
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Of what they are; `None` while there are none.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// The frames that they are of, in the order in which they were kept.
    pub fn frames(&self) -> impl Iterator<Item = FrameId> {
        self.list.iter().map(|(frame, _)| *frame)
    }

    /// The greatest error of their scales as a share of it; `None` where one is not known.
    pub fn scale_error(&self) -> Option<f64> {
        self.list.iter().try_fold(0.0, |most: f64, (_, m)| Some(most.max(m.metric?.scale_error?)))
    }

    /// The first one's measurements: the source of their scale is that of all.
    pub fn first(&self) -> Option<&Measurements> {
        self.list.first().map(|(_, m)| m)
    }

    /// The median of a figure that all of them have; `None` below three frames.
    pub fn median(&self, figure: impl Fn(&Measurements) -> Option<f64>) -> Option<MedianOf> {
        let mut values = [0.0; FRAMES_MAX];
        for (value, (_, m)) in values.iter_mut().zip(&self.list) {
            *value = figure(m)?;
        }
        median_of(&values[..self.list.len()])
    }
}

/// Which of the two pictures of a volume: along or across an organ, in diastole or in systole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Along the organ; end of diastole.
    First,
    /// Across it; end of systole.
    Second,
}

impl Which {
    fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

/// Where a figure of a still frame comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TakenFrom {
    /// The frame.
    pub frame: FrameId,
    /// Who says its scale; `None` without one.
    pub scale: Option<ScaleSource>,
}

/// The planes of an ellipsoid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planes {
    planes: [Option<(Plane, TakenFrom)>; 2],
    formula: Formula,
    label: Option<String>,
}

impl Planes {
    /// Keeps one of them. A plane of another organ, or for another formula, begins anew.
    pub fn keep(&mut self, which: Which, plane: Plane, from: TakenFrom, formula: Formula, label: Option<&str>) {
        if self.formula != formula || self.label.as_deref() != label {
            *self = Self { planes: [None; 2], formula, label: label.map(str::to_owned) };
        }
        self.planes[which.index()] = Some((plane, from));
    }

    /// One of them.
    pub fn get(&self, which: Which) -> Option<&Plane> {
        self.planes[which.index()].as_ref().map(|(plane, _)| plane)
    }

    /// Where one of them comes from.
    pub fn taken_from(&self, which: Which) -> Option<TakenFrom> {
        self.planes[which.index()].as_ref().map(|(_, from)| *from)
    }

    /// The formula of their volume.
    pub fn formula(&self) -> Formula {
        self.formula
    }

    /// What they are of, if somebody said.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The volume, once both are there.
    pub fn volume(&self) -> Option<Result<VolumeOf, NoVolume>> {
        Some(of_planes(self.get(Which::First)?, self.get(Which::Second)?, self.formula))
    }
}

/// The left ventricle in up to two views, each at the end of diastole and of systole, as somebody confirmed them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ventricle {
    stacks: [[Option<(Stack, TakenFrom)>; 2]; 2],
    label: Option<String>,
    view: usize,
    annulus: Vec<Point<ImageSpace>>,
    annulus_on: Option<FrameId>,
}

impl Ventricle {
    /// The view that is kept next: 1 or 2.
    pub fn view(&self) -> usize {
        self.view + 1
    }

    /// Goes to the other view.
    pub fn next_view(&mut self) {
        self.view = 1 - self.view;
        self.annulus.clear();
    }

    /// The points of the annulus on a frame.
    pub fn annulus(&self, frame: FrameId) -> &[Point<ImageSpace>] {
        if self.annulus_on == Some(frame) { &self.annulus } else { &[] }
    }

    /// A point of the annulus: the first, the second, or instead of the nearer one.
    pub fn tap_annulus(&mut self, frame: FrameId, p: Point<ImageSpace>) {
        if self.annulus_on != Some(frame) {
            self.annulus.clear();
            self.annulus_on = Some(frame);
        }
        put(&mut self.annulus, p);
    }

    /// Confirms an exact outline as that of the end of diastole or systole.
    ///
    /// # Errors
    /// Why there are no discs.
    pub fn confirm(
        &mut self,
        which: Which,
        frame: FrameId,
        outline: &Outline,
        scale: Option<&PixelScale>,
        label: Option<&str>,
    ) -> Result<(), NoStack> {
        let &[a, b] = self.annulus(frame) else { return Err(NoStack::NoAnnulus) };
        let stack = Stack::cut(outline, [a, b], scale)?;
        if self.label.as_deref() != label {
            (self.stacks, self.label) = ([[None; 2]; 2], label.map(str::to_owned));
        }
        let from = TakenFrom { frame, scale: scale.map(PixelScale::source) };
        self.stacks[self.view][which.index()] = Some((stack, from));
        Ok(())
    }

    /// What it is, if somebody said.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// What is kept of a view (1 or 2).
    pub fn stack(&self, view: usize, which: Which) -> Option<&Stack> {
        self.kept(view, which).map(|(stack, _)| stack)
    }

    /// Where what is kept of a view (1 or 2) comes from.
    pub fn taken_from(&self, view: usize, which: Which) -> Option<TakenFrom> {
        self.kept(view, which).map(|(_, from)| *from)
    }

    fn kept(&self, view: usize, which: Which) -> Option<&(Stack, TakenFrom)> {
        self.stacks.get(view.checked_sub(1)?)?[which.index()].as_ref()
    }

    /// The volume of both views together, once they are there.
    pub fn biplane(&self, which: Which) -> Option<Result<VolumeOf, NoStack>> {
        let (one, two) = (self.stack(1, which)?, self.stack(2, which)?);
        Some(one.biplane(two))
    }

    /// Ejection fraction of one view; of both where all four outlines are there and `view` is `None`.
    pub fn fraction(&self, view: Option<usize>) -> Option<Result<f64, NoStack>> {
        let of_pair = |pair: Result<Option<f64>, NoStack>| pair.map(|f| f.unwrap_or(0.0));
        match view {
            Some(view) => {
                let (ed, es) = (self.stack(view, Which::First)?, self.stack(view, Which::Second)?);
                Some(of_pair(single_plane_fraction(ed, es))).filter(|f| *f != Ok(0.0))
            }
            None => {
                let (ed, es) = (self.biplane(Which::First)?, self.biplane(Which::Second)?);
                let pair = ed.and_then(|d| es.map(|s| ejection_fraction(d.volume.0, s.volume.0)));
                Some(of_pair(pair)).filter(|f| *f != Ok(0.0))
            }
        }
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        *self = Self { view: self.view, ..Self::default() };
    }
}

/// Adds a point to a pair, or moves the nearer one of a full pair.
pub(super) fn put(pair: &mut Vec<Point<ImageSpace>>, p: Point<ImageSpace>) {
    if pair.len() < 2 {
        pair.push(p);
        return;
    }
    let nearer = usize::from(pair[1].distance(p) < pair[0].distance(p));
    pair[nearer] = p;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::measure;

    fn square(side: f32) -> Measurements {
        let mut outline = Outline::default();
        outline.push_ring([(0.0, 0.0), (side, 0.0), (side, side), (0.0, side)].map(|(x, y)| Point::new(x, y)));
        measure(&outline, None).unwrap()
    }

    fn object(number: u8) -> Subject {
        Subject { object: ObjectId(number), label: None, items: Vec::new() }
    }

    #[test]
    fn a_median_needs_three_different_frames_of_one_object() {
        let mut samples = Samples::default();
        let area = |samples: &Samples| samples.median(|m| Some(m.area_px)).map(|m| m.median);
        samples.keep(object(1), FrameId(4), square(10.0)).unwrap();
        assert_eq!(samples.keep(object(1), FrameId(4), square(12.0)), Err(NotKept::SameFrame));
        assert_eq!(samples.keep(object(0), FrameId(5), square(12.0)), Err(NotKept::OtherObject));
        let renamed = Subject { label: Some("Nerve".into()), ..object(1) };
        assert_eq!(samples.keep(renamed, FrameId(5), square(12.0)), Err(NotKept::OtherObject));
        samples.keep(object(1), FrameId(6), square(12.0)).unwrap();
        assert_eq!(area(&samples), None);
        samples.keep(object(1), FrameId(7), square(11.0)).unwrap();
        assert_eq!(area(&samples), Some(121.0));
        assert_eq!(samples.median(Measurements::circumference_px), None, "a square is no ellipse");
        for i in 8..14 {
            samples.keep(object(1), FrameId(i), square(11.0)).unwrap();
        }
        assert_eq!(samples.keep(object(1), FrameId(20), square(11.0)), Err(NotKept::Full));
    }

    #[test]
    fn a_view_is_confirmed_with_the_annulus_of_its_own_frame_only() {
        let mut outline = Outline::default();
        outline.push_ring((0..90).map(|i| {
            let (s, c) = (std::f32::consts::TAU * i as f32 / 90.0).sin_cos();
            Point::new(100.0 + 30.0 * c, 100.0 + 60.0 * s)
        }));
        let mut lv = Ventricle::default();
        let confirm = |lv: &mut Ventricle, frame| lv.confirm(Which::First, FrameId(frame), &outline, None, None);
        assert_eq!(confirm(&mut lv, 3), Err(NoStack::NoAnnulus));
        lv.tap_annulus(FrameId(3), Point::new(71.0, 110.0));
        assert_eq!(confirm(&mut lv, 3), Err(NoStack::NoAnnulus), "one point is not enough");
        lv.tap_annulus(FrameId(3), Point::new(129.0, 140.0));
        lv.tap_annulus(FrameId(3), Point::new(129.0, 110.0));
        assert_eq!(lv.annulus(FrameId(3)), [Point::new(71.0, 110.0), Point::new(129.0, 110.0)]);
        assert_eq!(confirm(&mut lv, 4), Err(NoStack::NoAnnulus), "of another frame");
        assert_eq!(confirm(&mut lv, 3), Ok(()));
        assert!(lv.stack(1, Which::First).is_some() && lv.stack(2, Which::First).is_none());
        assert_eq!(lv.fraction(Some(1)), None, "without systole");
    }
}
