//! What the operator measures by hand on still frames: calipers, medians, volumes, and a scale where video has none.
//!
//! Pure values: a [`CaliperCommand`], a tap or a drag goes in with what is [`Seen`], and [`Calipers::view`] says what is to be
//! drawn. Outlines are taken only as they were computed from the very frame ([`Exact`]): nothing is measured on a carried one.
//! Calipers belong to their frame and go when the screen goes live; medians, volumes and the scale stay for the exam.
//!
//! | page | taps on the picture | its controls |
//! |---|---|---|
//! | [`Page::Calipers`] | ends of a distance, three points of an ellipse | distance, ellipse, trace, delete |
//! | [`Page::Median`] | - | keep the active outline of this frame, forget |
//! | [`Page::Volume`] | the two ends of the mitral annulus | two planes; diastole, systole and view of a left ventricle |
//! | [`Page::Scale`] | two ticks of the depth ruler, then two points side by side | 1 cm more or less, set, drop |

pub mod figures;
pub mod kept;
pub mod ruler;
pub mod set;
mod words;

pub(crate) use words::write_figure;

use std::sync::Arc;

use crate::contour::Outline;
use crate::frame::{Frame, PixelScale};
use crate::geometry::{ImageSpace, Point};
use crate::measure::discs::NoStack;
use crate::measure::volume::{NoVolume, Plane};
use crate::measure::{Measurements, measure};
use crate::preset::{Item, Preset, VolumeBy};
use crate::units::{FrameId, ObjectId};

use figures::FigureGroup;
use kept::{NotKept, Planes, Samples, Subject, TakenFrom, Ventricle, Which, put};
use ruler::{CENTIMETRES_MAX, HandScale, MeasuredAspect, NoScale, RulerKey, TwoPoints};
use set::{CaliperSet, Reading, Shape, half_axis_through};

/// A frame more with another ruler than this, and a scale by hand is dropped for good. On each of them it counts for nothing.
const STRANGE_FRAMES_MAX: u32 = 2;

/// A page of controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// Distances, ellipses, traces.
    #[default]
    Calipers,
    /// The median of several frames.
    Median,
    /// Volumes.
    Volume,
    /// The scale by hand.
    Scale,
}

impl Page {
    fn next(self) -> Self {
        match self {
            Self::Calipers => Self::Median,
            Self::Median => Self::Volume,
            Self::Volume => Self::Scale,
            Self::Scale => Self::Calipers,
        }
    }
}

/// What the next taps on the picture make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaliperTool {
    /// A distance, by its ends.
    #[default]
    Distance,
    /// An ellipse, by the ends of one axis and a point on its rim.
    Ellipse,
}

/// A command of the operator. Places are image px of the frame shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CaliperCommand {
    /// Show the pages, or leave them.
    Toggle,
    /// The next page.
    NextPage,
    /// Choose what taps make.
    Choose(CaliperTool),
    /// Take the trace of the active outline.
    Trace,
    /// Delete the chosen caliper.
    Delete,
    /// A finger drags from one place to another.
    Drag {
        /// Where it went down.
        from: Point<ImageSpace>,
        /// Where it is.
        to: Point<ImageSpace>,
        /// Whether it has gone up.
        is_done: bool,
    },
    /// The drag counts for nothing.
    DragCancelled,
    /// Keep the active outline of this frame for the median.
    Keep,
    /// Forget what is kept on this page.
    Forget,
    /// Keep this plane, or confirm this outline.
    Plane(Which),
    /// The other view of the left ventricle.
    NextView,
    /// One centimetre more between the points on the ruler.
    Longer,
    /// One centimetre less.
    Shorter,
    /// Make the points the scale.
    SetScale,
    /// Drop the scale by hand.
    DropScale,
}

/// What the operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaliperNotice {
    /// Only still frames are measured.
    FreezeFirst,
    /// The outline is not computed from this frame, or there is none.
    NoExactOutline,
    /// No more calipers fit.
    Full,
    /// The outline was not kept.
    NotKept(NotKept),
    /// There is no stack of discs.
    NoStack(NoStack),
    /// Planes need a scale.
    NoScale,
    /// The two points give no scale.
    Ruler(NoScale),
    /// Tap two ticks of the ruler first.
    TapRuler,
    /// The scale by hand was dropped: size, region or ruler changed.
    ScaleDropped,
    /// The frame has a scale of its own, which counts.
    HasScale,
}

/// An outline that was computed from the frame on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Exact<'a> {
    /// Which object.
    pub object: ObjectId,
    /// Whether taps go to it.
    pub is_active: bool,
    /// The outline.
    pub outline: &'a Outline,
    /// The scale it is measured in.
    pub scale: Option<PixelScale>,
}

/// What is on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// Its number.
    pub id: FrameId,
    /// The exact outlines on it.
    pub exact: &'a [Exact<'a>],
    /// Distance within which a finger hits an end, image px.
    pub reach_px: f32,
    /// What is outlined, if somebody said.
    pub preset: Option<&'a Preset>,
}

/// How a line of text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A figure.
    Plain,
    /// What it comes from.
    Dim,
    /// What to do.
    Cue,
}

/// A caliper as it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Its letter.
    pub letter: char,
    /// Whether it is the chosen one.
    pub is_selected: bool,
    /// What it is.
    pub shape: Shape,
    /// The closed line of an ellipse or a trace.
    pub ring: Option<Arc<Outline>>,
}

impl Mark {
    /// A caliper that was read, as it is drawn.
    pub fn of(reading: &Reading) -> Self {
        let shape = reading.caliper.shape.clone();
        Self { letter: reading.caliper.letter, is_selected: false, ring: shape.ring(), shape }
    }
}

/// What is drawn and written of all this on one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaliperView {
    /// The page of controls; `None` when they are those of outlining.
    pub page: Option<Page>,
    /// What taps make.
    pub tool: CaliperTool,
    /// How the volume of this preset is computed.
    pub volume: VolumeBy,
    /// The calipers of this frame.
    pub marks: Vec<Mark>,
    /// Points that wait for another: ends, the annulus, ticks of the ruler.
    pub points: Vec<Point<ImageSpace>>,
    /// Figures and what they come from, in the order of what matters more.
    pub lines: Vec<(Tone, String)>,
    /// Whether there is something to undo.
    pub can_undo: bool,
    /// Whether there is something to redo.
    pub can_redo: bool,
}

/// A scale that is known by the picture of its ruler.
#[derive(Clone, Debug)]
pub struct KnownScale {
    /// The ruler.
    pub key: RulerKey,
    /// Its scale.
    pub scale: PixelScale,
}

/// The state of all pages.
#[derive(Clone, Debug, Default)]
pub struct Calipers {
    page: Option<Page>,
    tool: CaliperTool,
    set: CaliperSet,
    pending: Vec<Point<ImageSpace>>,
    pending_on: Option<FrameId>,
    samples: Samples,
    planes: Planes,
    ventricle: Ventricle,
    ruler: Vec<Point<ImageSpace>>,
    centimetres: Option<u8>,
    /// The points on the ruler were set, or are none: the next tap begins anew.
    is_ruler_set: bool,
    by_hand: Option<HandScale>,
    /// Of the video's pixels, as measured in this exam.
    aspect: Option<MeasuredAspect>,
    strange_frames: u32,
    known: Arc<[KnownScale]>,
}

impl Calipers {
    /// Nothing measured yet; scales that are known by their ruler.
    pub fn new(known: Arc<[KnownScale]>) -> Self {
        Self { known, ..Self::default() }
    }

    /// The page of controls, where they are shown.
    pub fn page(&self) -> Option<Page> {
        self.page
    }

    /// Whether there is anything to draw or write.
    pub fn is_idle(&self) -> bool {
        self.page.is_none() && self.set.is_empty()
    }

    /// Forgets everything of the patient: calipers, medians, volumes and the scale by hand.
    pub fn new_exam(&mut self) {
        *self = Self::new(self.known.clone());
    }

    /// The screen goes live: calipers belong to still frames.
    pub fn went_live(&mut self) {
        self.page = None;
        self.set.clear();
        self.pending.clear();
        self.ruler.clear();
    }

    /// The scale of a frame that has none of its own: by hand, or known by its ruler. Of the known ones that of the frame
    /// before, `last`, is tried first.
    pub fn scale_of(&self, frame: &Frame, last: Option<&PixelScale>) -> Option<PixelScale> {
        if frame.parts().iter().any(|r| r.scale.is_some()) {
            return None;
        }
        let by_hand = self.by_hand.as_ref().filter(|h| h.holds_for(frame)).map(HandScale::scale);
        let is_last = |k: &&KnownScale| Some(&k.scale) == last;
        let known = self.known.iter().filter(is_last).chain(self.known.iter().filter(|k| !is_last(k)));
        by_hand.or_else(|| known.into_iter().find(|k| k.key.is_on(frame)).map(|k| k.scale))
    }

    /// A live frame has come, with the scale that [`Self::scale_of`] gave. Returns whether the scale by hand is dropped with it.
    pub fn live_frame(&mut self, scale: Option<&PixelScale>) -> bool {
        let is_strange = self.by_hand.as_ref().is_some_and(|h| Some(&h.scale()) != scale);
        self.strange_frames = if is_strange { self.strange_frames + 1 } else { 0 };
        let is_dropped = self.strange_frames > STRANGE_FRAMES_MAX;
        if is_dropped {
            self.by_hand = None;
            self.strange_frames = 0;
        }
        is_dropped
    }

    /// One step back on the page of calipers.
    pub fn undo(&mut self) {
        if self.pending.pop().is_none() {
            self.set.undo();
        }
    }

    /// One step forward again.
    pub fn redo(&mut self) {
        self.set.redo();
    }

    /// A tap on the picture, on a page.
    ///
    /// # Errors
    /// What to tell the operator.
    pub fn tap(&mut self, p: Point<ImageSpace>, seen: &Seen) -> Result<(), CaliperNotice> {
        match self.page {
            Some(Page::Calipers) => self.tap_caliper(p, seen),
            Some(Page::Volume) if volume_by(seen) == VolumeBy::Discs => {
                self.ventricle.tap_annulus(seen.id, snapped(p, seen));
                Ok(())
            }
            Some(Page::Scale) => {
                self.stay_on(seen.id);
                if std::mem::take(&mut self.is_ruler_set) {
                    self.ruler.clear();
                }
                put(&mut self.ruler, p);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Executes a command.
    ///
    /// # Errors
    /// What to tell the operator.
    pub fn apply(&mut self, command: CaliperCommand, seen: &Seen) -> Result<(), CaliperNotice> {
        use CaliperCommand as C;
        match command {
            C::Toggle => self.page = if self.page.is_some() { None } else { Some(Page::default()) },
            _ if self.page.is_none() => {}
            C::NextPage => self.page = self.page.map(Page::next),
            C::Choose(tool) => {
                self.tool = tool;
                self.pending.clear();
            }
            C::Trace => {
                let exact = active(seen)?;
                return self.add(seen.id, Shape::Trace(Arc::new(exact.outline.clone())));
            }
            C::Delete => {
                if self.pending.pop().is_none() {
                    self.set.delete(seen.id);
                }
            }
            C::Drag { from, to, is_done } => return self.drag(from, to, is_done, seen),
            C::DragCancelled => self.set.let_go(false),
            C::Keep => {
                let exact = active(seen)?;
                let m = measured(exact).ok_or(CaliperNotice::NoExactOutline)?;
                self.samples.keep(subject(exact, seen), seen.id, m).map_err(CaliperNotice::NotKept)?;
            }
            C::Forget => self.forget(),
            C::Plane(which) => return self.keep_plane(which, seen),
            C::NextView => self.ventricle.next_view(),
            C::Longer => self.centimetres = Some((self.centimetres() + 1).min(CENTIMETRES_MAX)),
            C::Shorter => self.centimetres = Some((self.centimetres() - 1).max(1)),
            C::SetScale => return self.set_scale(seen),
            C::DropScale => {
                (self.by_hand, self.aspect) = (None, None);
                self.ruler.clear();
            }
        }
        Ok(())
    }

    /// What the calipers of a frame say, in the order of their letters.
    pub fn readings(&self, seen: &Seen) -> Vec<Reading> {
        let by_ruler = self.scale_of(seen.frame, None);
        let read = |caliper: &set::Caliper| {
            let scale = scale_at(seen.frame, &caliper.shape, by_ruler);
            Reading { value: caliper.shape.read(scale.as_ref()), scale, caliper: caliper.clone() }
        };
        let mut readings: Vec<_> = self.set.on(seen.id).map(read).collect();
        readings.sort_by_key(|r| r.caliper.letter);
        readings
    }

    /// What was made of several frames, and has a figure.
    pub fn figures(&self) -> Vec<FigureGroup> {
        figures::groups(&self.samples, &self.planes, &self.ventricle)
    }

    /// What is drawn and written on a frame.
    pub fn view(&self, seen: &Seen) -> CaliperView {
        let mark = |c: &set::Caliper| Mark {
            letter: c.letter,
            is_selected: self.set.selected() == Some(c.letter),
            shape: c.shape.clone(),
            ring: c.shape.ring(),
        };
        let is_here = self.pending_on == Some(seen.id);
        let points = match self.page {
            Some(Page::Calipers) if is_here => self.pending.clone(),
            Some(Page::Volume) => self.ventricle.annulus(seen.id).to_vec(),
            Some(Page::Scale) if is_here => self.ruler.clone(),
            _ => Vec::new(),
        };
        CaliperView {
            page: self.page,
            tool: self.tool,
            volume: volume_by(seen),
            marks: self.set.on(seen.id).map(mark).collect(),
            points,
            lines: self.lines(seen),
            can_undo: self.set.can_undo() || !self.pending.is_empty(),
            can_redo: self.set.can_redo(),
        }
    }

    /// The centimetres between the points on the ruler.
    fn centimetres(&self) -> u8 {
        self.centimetres.unwrap_or(5)
    }

    fn tap_caliper(&mut self, p: Point<ImageSpace>, seen: &Seen) -> Result<(), CaliperNotice> {
        if !seen.frame.contains(p) {
            return Ok(());
        }
        self.stay_on(seen.id);
        if self.pending.is_empty() && self.set.select_at(seen.id, p, seen.reach_px / 2.0) {
            return Ok(());
        }
        let p = snapped(p, seen);
        let shape = match (self.tool, self.pending.as_slice()) {
            (CaliperTool::Distance, &[a]) => Shape::Distance { a, b: p },
            (CaliperTool::Ellipse, &[a, b]) => Shape::Ellipse { a, b, half_px: half_axis_through(a, b, p) },
            _ => {
                self.pending.push(p);
                return Ok(());
            }
        };
        self.pending.clear();
        self.add(seen.id, shape)
    }

    fn add(&mut self, frame: FrameId, shape: Shape) -> Result<(), CaliperNotice> {
        if self.set.add(frame, shape) { Ok(()) } else { Err(CaliperNotice::Full) }
    }

    /// A drag that begins at an end moves it; any other draws a distance.
    fn drag(
        &mut self,
        from: Point<ImageSpace>,
        to: Point<ImageSpace>,
        is_done: bool,
        seen: &Seen,
    ) -> Result<(), CaliperNotice> {
        let to = seen.frame.bounds().clamp(to);
        let drawn = (self.page, self.tool);
        match self.page {
            Some(Page::Volume | Page::Scale) if is_done => {
                // The point near which the finger went down goes where it went up.
                self.tap(from, seen)?;
                return self.tap(to, seen);
            }
            Some(Page::Calipers) => {}
            _ => return Ok(()),
        }
        if self.set.is_holding() || self.set.hold(seen.id, from, seen.reach_px) {
            self.set.drag(snapped(to, seen));
            if is_done {
                self.set.let_go(true);
            }
            return Ok(());
        }
        if is_done && drawn == (Some(Page::Calipers), CaliperTool::Distance) && seen.frame.contains(from) {
            self.pending.clear();
            return self.add(seen.id, Shape::Distance { a: snapped(from, seen), b: snapped(to, seen) });
        }
        Ok(())
    }

    fn keep_plane(&mut self, which: Which, seen: &Seen) -> Result<(), CaliperNotice> {
        let exact = active(seen)?;
        if volume_by(seen) == VolumeBy::Discs {
            let kept = self.ventricle.confirm(which, seen.id, exact.outline, exact.scale.as_ref(), label(seen));
            return kept.map_err(CaliperNotice::NoStack);
        }
        let metric = measured(exact).and_then(|m| m.metric).ok_or(CaliperNotice::NoScale)?;
        let from = TakenFrom { frame: seen.id, scale: Some(metric.source) };
        let formula = volume_by(seen).formula().unwrap_or_default();
        self.planes.keep(which, Plane::from(&metric), from, formula, label(seen));
        Ok(())
    }

    fn forget(&mut self) {
        match self.page {
            Some(Page::Median) => self.samples = Samples::default(),
            Some(Page::Volume) => {
                self.planes = Planes::default();
                self.ventricle.clear();
            }
            _ => {}
        }
    }

    fn set_scale(&mut self, seen: &Seen) -> Result<(), CaliperNotice> {
        if seen.frame.parts().iter().any(|r| r.scale.is_some()) {
            return Err(CaliperNotice::HasScale);
        }
        let (&[a, b], true) = (self.ruler.as_slice(), self.pending_on == Some(seen.id)) else {
            return Err(CaliperNotice::TapRuler);
        };
        let points = TwoPoints { a, b, centimetres: self.centimetres() };
        let scale = self.scale_by(&points, seen);
        self.is_ruler_set = !matches!(scale, Err(NoScale::TicksDisagree { .. } | NoScale::NoDistance));
        let by_hand = scale.map_err(CaliperNotice::Ruler)?;
        if points.are_level() {
            self.aspect = by_hand.aspect();
        }
        self.by_hand = Some(by_hand);
        self.strange_frames = 0;
        Ok(())
    }

    /// Along the depth ruler, or across it.
    fn scale_by(&self, points: &TwoPoints, seen: &Seen) -> Result<HandScale, NoScale> {
        if points.are_level() {
            return self.by_hand.as_ref().ok_or(NoScale::DepthFirst)?.across(seen.frame, points);
        }
        let along = HandScale::new(seen.frame, points)?;
        Ok(self.aspect.as_ref().map_or_else(|| along.clone(), |aspect| along.with_aspect(aspect)))
    }

    /// Points that wait are of one frame.
    fn stay_on(&mut self, frame: FrameId) {
        if self.pending_on != Some(frame) {
            self.pending.clear();
            self.ruler.clear();
            self.pending_on = Some(frame);
        }
    }
}

fn volume_by(seen: &Seen) -> VolumeBy {
    seen.preset.map_or(VolumeBy::default(), |p| p.volume)
}

fn label<'a>(seen: &Seen<'a>) -> Option<&'a str> {
    seen.preset.map(|p| p.label.as_str())
}

fn subject(exact: &Exact, seen: &Seen) -> Subject {
    let usual = [Item::Area, Item::Circumference, Item::MeanDiameter];
    let items = seen.preset.map_or(usual.to_vec(), |p| p.measurements.clone());
    Subject { object: exact.object, label: label(seen).map(str::to_owned), items }
}

fn active<'a>(seen: &Seen<'a>) -> Result<&'a Exact<'a>, CaliperNotice> {
    seen.exact.iter().find(|e| e.is_active).ok_or(CaliperNotice::NoExactOutline)
}

fn measured(exact: &Exact) -> Option<Measurements> {
    measure(exact.outline, exact.scale.as_ref())
}

/// The scale at a caliper: that of its region, which has to hold both of its ends.
fn scale_at(frame: &Frame, shape: &Shape, by_ruler: Option<PixelScale>) -> Option<PixelScale> {
    let parts = frame.parts();
    let home = parts.at(shape.anchor())?;
    let is_within = shape.ends().all(|e| parts.at(e) == Some(home));
    home.scale.or(by_ruler).filter(|_| is_within)
}

/// The place on an exact outline's edge where one is near, else the place itself.
fn snapped(p: Point<ImageSpace>, seen: &Seen) -> Point<ImageSpace> {
    let near = |ring: &[Point<ImageSpace>]| {
        let edges = ring.iter().zip(ring.iter().cycle().skip(1));
        edges.map(|(a, b)| nearest_on(*a, *b, p)).min_by(|x, y| x.distance(p).total_cmp(&y.distance(p)))
    };
    let all = seen.exact.iter().flat_map(|e| e.outline.rings().filter_map(near));
    let nearest = all.min_by(|x, y| x.distance(p).total_cmp(&y.distance(p)));
    nearest.filter(|n| n.distance(p) <= seen.reach_px / 2.0).unwrap_or(p)
}

fn nearest_on(a: Point<ImageSpace>, b: Point<ImageSpace>, p: Point<ImageSpace>) -> Point<ImageSpace> {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let t = (((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
    Point::new(a.x + t * dx, a.y + t * dy)
}

impl CaliperNotice {
    /// Its words on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::FreezeFirst => "Freeze to measure",
            Self::NoExactOutline => "No outline of this very frame",
            Self::Full => "No more calipers fit: delete one",
            Self::NotKept(NotKept::SameFrame) => "This frame is kept: step to another",
            Self::NotKept(NotKept::OtherObject) => "Kept frames are of another object",
            Self::NotKept(NotKept::OtherScale) => "Kept frames have another scale",
            Self::NotKept(NotKept::Full) => "No more frames fit",
            Self::NoStack(why) => why.label(),
            Self::NoScale => "No scale: no volume",
            Self::Ruler(NoScale::OffFrame) => "That is not on the picture",
            Self::Ruler(NoScale::NotUpright) => "Ticks one above the other, please",
            Self::Ruler(NoScale::DepthFirst) => "First two ticks of the depth ruler",
            Self::Ruler(NoScale::OddAspect) => "Too unlike the depth ruler",
            Self::Ruler(NoScale::TooShort) => "Too near: take ticks farther apart",
            Self::Ruler(NoScale::TicksDisagree { .. }) => "The ticks disagree with the distance",
            Self::Ruler(NoScale::NoDistance) => "Choose a distance of 1 to 30 cm",
            Self::TapRuler => "Tap two ticks of the ruler",
            Self::ScaleDropped => "The ruler changed: scale dropped",
            Self::HasScale => "This picture has its own scale",
        }
    }
}

/// Words for planes that have no volume.
fn no_volume(why: NoVolume) -> &'static str {
    match why {
        NoVolume::Flat => "a plane is flat: no volume",
        NoVolume::HeightsDiffer => "heights differ: no volume",
    }
}

#[cfg(test)]
mod tests;
