//! What the operator does on each page, and what is said of it.

use super::set::Value;
use super::*;
use crate::frame::{PixelFormat, ScaleSource};
use crate::units::{Millimetres, Timestamp};

const ID: FrameId = FrameId(5);

/// A frame with ticks every 20 px at its left edge.
fn frame(id: u64) -> Frame {
    let (width, height) = (300usize, 300usize);
    let mut pixels: Vec<u8> = (0..width * height).map(|i| (i * 7919 % 13) as u8).collect();
    for tick in 0..13 {
        pixels[(30 + 20 * tick) * width + 10..(30 + 20 * tick) * width + 18].fill(220);
    }
    let mut frame = Frame::from_pixels(300, 300, PixelFormat::Grey8, pixels).unwrap();
    frame.stamp(FrameId(id), Timestamp::START);
    frame
}

fn circle(cx: f32, cy: f32, r: f32) -> Outline {
    let mut outline = Outline::default();
    outline.push_ring((0..180).map(|i| {
        let (s, c) = (std::f32::consts::TAU * i as f32 / 180.0).sin_cos();
        Point::new(cx + r * c, cy + r * s)
    }));
    outline
}

struct Screen {
    calipers: Calipers,
    frame: Frame,
    outline: Outline,
    has_exact: bool,
    preset: Option<Preset>,
}

impl Screen {
    fn new() -> Self {
        let outline = circle(150.0, 150.0, 60.0);
        let calipers = Calipers { page: Some(Page::Calipers), ..Calipers::default() };
        Self { calipers, frame: frame(ID.0), outline, has_exact: true, preset: None }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Calipers, &Seen) -> T) -> T {
        let scale = self.calipers.scale_of(&self.frame, None).or(self.frame.scale());
        let exact = Exact { object: ObjectId(0), is_active: true, outline: &self.outline, scale };
        let list = if self.has_exact { vec![exact] } else { Vec::new() };
        let (id, preset) = (self.frame.id().unwrap(), self.preset.as_ref());
        let seen = Seen { frame: &self.frame, id, exact: &list, reach_px: 12.0, preset };
        act(&mut self.calipers, &seen)
    }

    fn tap(&mut self, x: f32, y: f32) -> Result<(), CaliperNotice> {
        self.act(|c, seen| c.tap(Point::new(x, y), seen))
    }

    fn press(&mut self, command: CaliperCommand) -> Result<(), CaliperNotice> {
        self.act(|c, seen| c.apply(command, seen))
    }

    fn drag(&mut self, from: (f32, f32), to: (f32, f32)) {
        let (from, to) = (Point::new(from.0, from.1), Point::new(to.0, to.1));
        for is_done in [false, true] {
            self.press(CaliperCommand::Drag { from, to, is_done }).unwrap();
        }
    }

    fn show(&mut self, page: Page) {
        self.calipers.page = Some(page);
    }

    fn view(&mut self) -> CaliperView {
        self.act(|c, seen| c.view(seen))
    }

    fn words(&mut self) -> String {
        self.view().lines.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" | ")
    }

    fn calibrate(&mut self) {
        self.show(Page::Scale);
        self.tap(14.0, 32.0).unwrap();
        self.tap(15.0, 229.0).unwrap();
        // 5 cm by default.
        self.calipers.centimetres = None;
        (0..5).for_each(|_| self.press(CaliperCommand::Longer).unwrap());
        self.press(CaliperCommand::SetScale).unwrap();
    }
}

#[test]
fn two_taps_measure_a_distance_that_snaps_to_an_outline_where_it_is_near() {
    let mut s = Screen::new();
    // The edge of the circle is at 90 and 210; a tap 4 px off is near, one 30 px off is not.
    s.tap(94.0, 150.0).unwrap();
    assert!(s.words().contains("other end"), "{}", s.words());
    s.tap(240.0, 150.0).unwrap();
    let Shape::Distance { a, b } = s.view().marks[0].shape.clone() else { panic!() };
    assert!(a.distance(Point::new(90.0, 150.0)) < 0.1 && b == Point::new(240.0, 150.0), "{a:?} {b:?}");
    assert_eq!(s.words(), "A 150 px | Scale: uncalibrated");
    s.drag((239.0, 150.0), (206.0, 150.0));
    assert_eq!(s.words(), "A 120 px | Scale: uncalibrated", "an end dragged to the edge");
    s.act(|c, _| c.undo());
    assert_eq!(s.words(), "A 150 px | Scale: uncalibrated");
}

#[test]
fn an_ellipse_takes_three_taps_and_a_trace_the_exact_outline() {
    let mut s = Screen::new();
    s.has_exact = false;
    assert_eq!(s.press(CaliperCommand::Trace), Err(CaliperNotice::NoExactOutline));
    s.press(CaliperCommand::Choose(CaliperTool::Ellipse)).unwrap();
    for (x, y) in [(60.0, 150.0), (240.0, 150.0), (150.0, 200.0)] {
        s.tap(x, y).unwrap();
    }
    s.has_exact = true;
    s.press(CaliperCommand::Trace).unwrap();
    let readings = s.act(|c, seen| c.readings(seen));
    let Some(Value::Enclosed(ellipse)) = readings[0].value else { panic!() };
    let Some(Value::Enclosed(trace)) = readings[1].value else { panic!() };
    assert!((ellipse.area_px / (std::f64::consts::PI * 90.0 * 50.0) - 1.0).abs() < 1e-3);
    assert!((trace.area_px / (std::f64::consts::PI * 3600.0) - 1.0).abs() < 1e-3);
    s.press(CaliperCommand::Delete).unwrap();
    assert_eq!(s.view().marks.iter().map(|m| m.letter).collect::<Vec<_>>(), ['A'], "the newest is the chosen one");
}

#[test]
fn calipers_are_on_their_frame_only_and_go_when_the_screen_goes_live() {
    let mut s = Screen::new();
    s.tap(20.0, 20.0).unwrap();
    s.tap(60.0, 20.0).unwrap();
    s.frame = frame(6);
    assert!(s.view().marks.is_empty());
    s.tap(20.0, 20.0).unwrap();
    s.frame = frame(5);
    assert_eq!((s.view().marks.len(), s.view().points.len()), (1, 0), "the half of the other frame is not here");
    s.calipers.went_live();
    assert!(s.calipers.is_idle() && s.view().marks.is_empty());
}

#[test]
fn a_scale_by_hand_is_said_with_every_figure_and_its_error_is_carried_through() {
    let mut s = Screen::new();
    s.calibrate();
    assert_eq!(
        s.words(),
        "10 ticks of 10 mm: 0.500 mm/px | Scale: by hand, if px square | Across: two points side by side, Set"
    );
    s.show(Page::Calipers);
    s.tap(20.0, 20.0).unwrap();
    s.tap(220.0, 20.0).unwrap();
    assert_eq!(s.words(), "A 100.0±0.4 mm | Scale: by hand, if px square");
    s.press(CaliperCommand::Trace).unwrap();
    // 30 mm radius: 28.3 cm², twice the error; 188 mm round.
    assert!(s.words().starts_with("B 28.3±0.2 cm² circ 188.5±0.7 mm | A 100.0"), "{}", s.words());
}

#[test]
fn two_points_side_by_side_give_the_other_axis_and_count_at_another_depth_until_they_are_dropped() {
    let mut s = Screen::new();
    s.show(Page::Scale);
    s.tap(60.0, 290.0).unwrap();
    s.tap(240.0, 290.0).unwrap();
    let first = CaliperNotice::Ruler(NoScale::DepthFirst);
    assert_eq!(s.press(CaliperCommand::SetScale), Err(first), "the depth ruler comes first");
    s.calibrate();
    // 10 cm on 180 px across, 200 px down; no ticks are there.
    s.tap(60.0, 290.0).unwrap();
    assert_eq!(s.view().points.len(), 1, "the points on the ruler were set");
    s.tap(240.0, 291.0).unwrap();
    s.press(CaliperCommand::SetScale).unwrap();
    assert_eq!(s.words(), "0.556×0.500 mm/px ±1.6 % | 10 ticks of 10 mm | Scale: calibrated by hand");
    s.show(Page::Calipers);
    s.tap(20.0, 20.0).unwrap();
    s.tap(110.0, 20.0).unwrap();
    assert!(s.words().starts_with("A 50.0±0.8 mm | Scale: calibrated by hand"), "{}", s.words());
    s.calibrate();
    assert!(s.words().starts_with("0.556×0.500 mm/px ±1.9 %"), "the aspect is of the video: {}", s.words());
    s.press(CaliperCommand::DropScale).unwrap();
    s.calibrate();
    assert!(s.words().contains("if px square"), "{}", s.words());
}

#[test]
fn a_wrong_scale_is_refused_and_a_frame_with_its_own_is_not_calibrated() {
    let mut s = Screen::new();
    s.show(Page::Scale);
    assert_eq!(s.press(CaliperCommand::SetScale), Err(CaliperNotice::TapRuler));
    s.tap(14.0, 32.0).unwrap();
    s.tap(15.0, 229.0).unwrap();
    (0..2).for_each(|_| s.press(CaliperCommand::Longer).unwrap());
    let odd = CaliperNotice::Ruler(NoScale::TicksDisagree { steps: 10 });
    assert_eq!(s.press(CaliperCommand::SetScale), Err(odd), "7 cm over 10 ticks");
    assert_eq!(s.calipers.scale_of(&s.frame, None), None);
    (0..40).for_each(|_| s.press(CaliperCommand::Shorter).unwrap());
    assert_eq!(s.calipers.centimetres(), 1);
    s.frame.set_scale(PixelScale::new(Millimetres(0.2), Millimetres(0.2), ScaleSource::DicomRegion));
    assert_eq!(s.press(CaliperCommand::SetScale), Err(CaliperNotice::HasScale));
}

#[test]
fn a_scale_by_hand_is_dropped_for_good_when_live_frames_show_another_ruler() {
    let mut s = Screen::new();
    s.calibrate();
    let strange = Frame::from_pixels(300, 300, PixelFormat::Grey8, vec![9; 90_000]).unwrap();
    let see = |c: &mut Calipers, frame: &Frame| {
        let scale = c.scale_of(frame, None);
        (scale.is_some(), c.live_frame(scale.as_ref()))
    };
    // A glitch counts for nothing on its own frame and drops nothing.
    assert_eq!(see(&mut s.calipers, &strange), (false, false));
    assert_eq!(see(&mut s.calipers, &frame(9)), (true, false));
    let seen: Vec<_> = (0..3).map(|_| see(&mut s.calipers, &strange)).collect();
    assert_eq!(seen, [(false, false), (false, false), (false, true)]);
    assert_eq!(see(&mut s.calipers, &frame(10)), (false, false), "the same ruler again needs a new calibration");
}

#[test]
fn a_scale_known_by_the_picture_of_its_ruler_is_used_without_a_touch() {
    let shown = frame(5);
    let pixels = (20..280).flat_map(|y| shown.row(y)[4..24].to_vec()).collect();
    let key = RulerKey::new((300, 300), (4, 20), 20, pixels).unwrap();
    let scale = PixelScale::new(Millimetres(0.4), Millimetres(0.4), ScaleSource::Profile).unwrap();
    let calipers = Calipers::new(vec![KnownScale { key, scale }].into());
    assert_eq!(calipers.scale_of(&shown, None), Some(scale));
    let other = Frame::from_pixels(300, 300, PixelFormat::Grey8, vec![9; 90_000]).unwrap();
    assert_eq!(calipers.scale_of(&other, Some(&scale)), None);
}

#[test]
fn three_exact_frames_give_a_median_beside_what_others_published() {
    let mut s = Screen::new();
    s.preset = Some(Preset::find("fetal-head").unwrap());
    s.frame.set_scale(PixelScale::new(Millimetres(0.5), Millimetres(0.5), ScaleSource::Profile));
    s.show(Page::Median);
    assert_eq!(s.words(), "Keep 3 frames or more: 0 kept");
    for (id, radius) in [(1, 60.0), (2, 63.0), (3, 61.0)] {
        s.frame.stamp(FrameId(id), Timestamp::START);
        s.outline = circle(150.0, 150.0, radius);
        s.press(CaliperCommand::Keep).unwrap();
        assert_eq!(s.press(CaliperCommand::Keep), Err(CaliperNotice::NotKept(NotKept::SameFrame)));
    }
    let words = s.words();
    assert!(words.starts_with("Circ 192 mm of 3, spread 4.9 % | Axis 61.0 mm of 3"), "{words}");
    assert!(words.ends_with("Published: HC ±3.0 % (Sarris 2012)"), "{words}");
    s.has_exact = false;
    s.frame.stamp(FrameId(4), Timestamp::START);
    assert_eq!(s.press(CaliperCommand::Keep), Err(CaliperNotice::NoExactOutline), "nothing of a carried outline");
}

#[test]
fn two_planes_give_a_volume_with_formula_and_source() {
    let mut s = Screen::new();
    s.preset = Some(Preset::find("bladder").unwrap());
    s.show(Page::Volume);
    assert_eq!(s.press(CaliperCommand::Plane(Which::First)), Err(CaliperNotice::NoScale));
    s.calibrate();
    s.show(Page::Volume);
    s.press(CaliperCommand::Plane(Which::First)).unwrap();
    s.press(CaliperCommand::Plane(Which::Second)).unwrap();
    // 60 mm each: 0.52 · 216 cm³, three times 0.36 %.
    assert!(s.words().starts_with("Volume 112±1 ml  0.52 L×W×H | 60.0×60.0, 60.0×60.0 mm"), "{}", s.words());
    assert!(s.words().ends_with("Published: 38 % in children (2010)"), "{}", s.words());
    s.press(CaliperCommand::Forget).unwrap();
    assert!(s.words().starts_with("Along: outline it"), "{}", s.words());
}

#[test]
fn diastole_and_systole_with_a_tapped_annulus_give_an_ejection_fraction() {
    let mut s = Screen::new();
    s.preset = Some(Preset::find("left-ventricle").unwrap());
    s.calibrate();
    s.show(Page::Volume);
    for (which, radius) in [(Which::First, 60.0), (Which::Second, 48.0)] {
        s.frame.stamp(FrameId(radius as u64), Timestamp::START);
        s.outline = circle(150.0, 150.0, radius);
        assert_eq!(s.press(CaliperCommand::Plane(which)), Err(CaliperNotice::NoStack(NoStack::NoAnnulus)));
        s.tap(150.0 - radius, 150.0).unwrap();
        s.tap(150.0 + radius, 150.0).unwrap();
        s.press(CaliperCommand::Plane(which)).unwrap();
    }
    // Half spheres of 30 and 24 mm: 56.5 and 29.0 ml.
    let words = s.words();
    assert!(words.contains("View 1: ED 56.5±0.6 ml ES 29.0±0.3 ml") && words.contains("EF 49 %, one plane"), "{words}");
    s.press(CaliperCommand::NextView).unwrap();
    assert!(s.words().contains("View 2: ED - ES -"), "{}", s.words());
}

#[test]
fn a_new_exam_has_no_caliper_volume_or_scale_of_the_last() {
    let mut s = Screen::new();
    s.calibrate();
    s.show(Page::Volume);
    s.press(CaliperCommand::Plane(Which::First)).unwrap();
    s.show(Page::Median);
    s.press(CaliperCommand::Keep).unwrap();
    s.show(Page::Calipers);
    s.press(CaliperCommand::Trace).unwrap();
    s.calipers.new_exam();
    assert!(s.calipers.is_idle() && s.calipers.by_hand.is_none() && s.calipers.samples.is_empty());
    assert!(s.calipers.planes.get(Which::First).is_none() && !s.calipers.set.can_undo());
    assert_eq!(s.calipers.scale_of(&s.frame, None), None);
}
