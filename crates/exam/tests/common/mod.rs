//! Pictures with known outlines, for tests and for the peers of `.ci/exams`.

#![allow(dead_code, reason = "each test and example uses some of it")]

use std::sync::Arc;

use sonotap::calipers::kept::Which;
use sonotap::calipers::{CaliperCommand, CaliperTool, Calipers, Exact, Page, Seen};
use sonotap::preset::Preset;
use sonotap::region::FrameRegion;
use sonotap::{
    Frame, FrameId, ImageSpace, Millimetres, ObjectId, Outline, Picture, PixelFormat, PixelScale, Point, Rect,
    RegionContent, ScaleSource, Timestamp,
};
use sonotap_exam::{Capture, Outlined};

/// The part of the frame that is the image; a host writes beside it.
pub(crate) const REGION: [f32; 4] = [40.0, 30.0, 300.0, 230.0];
pub(crate) const SIZE: (u32, u32) = (320, 240);
/// Grey of what a host writes.
pub(crate) const WRITTEN: u8 = 251;

/// A ring of an ellipse; clockwise on the screen, or the other way for a hole.
pub(crate) fn ring(centre: (f32, f32), radii: (f32, f32), is_hole: bool) -> Vec<Point<ImageSpace>> {
    let turn = if is_hole { -1.0 } else { 1.0 };
    let corner = |i: usize| {
        let a = turn * i as f32 / 72.0 * std::f32::consts::TAU;
        Point::new(centre.0 + radii.0 * a.cos(), centre.1 + radii.1 * a.sin())
    };
    (0..72).map(corner).collect()
}

/// A frame of speckle with a dark ellipse, and something written outside its region.
pub(crate) fn frame(number: u64, format: PixelFormat, scale: Option<ScaleSource>) -> Frame {
    let (width, height) = SIZE;
    let mut pixels = Vec::with_capacity((width * height) as usize * format.bytes());
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dx, dy) = ((x as f32 - 150.0) / 60.0, (y as f32 - 120.0) / 40.0);
            let is_in_region = (40..300).contains(&x) && (30..230).contains(&y);
            let grey = match (is_in_region, dx * dx + dy * dy < 1.0) {
                (true, true) => (state >> 61) as u8,
                (true, false) => 40 + ((state >> 57) as u8 & 0x7f),
                (false, _) if (10..18).contains(&y) && x % 7 < 4 => WRITTEN,
                (false, _) => 0,
            };
            match format {
                PixelFormat::Grey8 => pixels.push(grey),
                PixelFormat::Rgb8 => pixels.extend([grey, grey / 2, 255 - grey]),
            }
        }
    }
    let scale = scale.and_then(|source| PixelScale::new(Millimetres(0.2), Millimetres(0.25), source));
    let [x0, y0, x1, y1] = REGION;
    // Of a scale by hand it is known how well.
    let scale = scale.map(|s| if s.source() == ScaleSource::TwoPoint { s.with_error(0.01) } else { s });
    let region =
        FrameRegion { rect: Rect::new(x0, y0, x1, y1), content: RegionContent::BMode, scale, is_low_priority: false };
    let picture = Picture { regions: &[region], scale, ..Picture::dense(width, height, format, &pixels) };
    let mut frame = Frame::new(&picture).unwrap();
    // Uneven, as grabbers are: 33, 34, 33, 50 ms.
    let steps = [0, 33, 67, 100, 150];
    frame.stamp(FrameId(number), Timestamp::from_ms(1_000 + number / 5 * 183 + steps[(number % 5) as usize]));
    frame
}

pub(crate) fn cine(frames: u64, format: PixelFormat, scale: Option<ScaleSource>) -> Vec<Arc<Frame>> {
    (1..=frames).map(|n| Arc::new(frame(n, format, scale))).collect()
}

/// The dark ellipse.
pub(crate) fn ellipse(frame: &Frame, label: &str) -> Outlined {
    let mut outline = Outline::default();
    outline.push_ring(ring((150.0, 120.0), (60.0, 40.0), false));
    Outlined::known(ObjectId(0), label, outline, frame)
}

/// An outline of two islands, one with a hole.
pub(crate) fn islands(frame: &Frame, label: &str) -> Outlined {
    let mut outline = Outline::default();
    outline.push_ring(ring((240.0, 80.0), (40.0, 30.0), false));
    outline.push_ring(ring((240.0, 80.0), (15.3, 9.7), true));
    outline.push_ring(ring((220.0, 180.0), (12.0, 20.0), false));
    Outlined::known(ObjectId(1), label, outline, frame)
}

/// Somebody who measures by hand, on exact outlines of still frames.
struct Hand {
    calipers: Calipers,
    preset: Option<Preset>,
}

impl Hand {
    fn on(&mut self, frame: &Frame, outline: &Outline, mut act: impl FnMut(&mut Calipers, &Seen)) {
        let exact = [Exact { object: ObjectId(0), is_active: true, outline, scale: frame.scale() }];
        let id = frame.id().unwrap();
        act(&mut self.calipers, &Seen { frame, id, exact: &exact, reach_px: 8.0, preset: self.preset.as_ref() });
    }

    fn does(&mut self, frame: &Frame, outline: &Outline, commands: &[CaliperCommand]) {
        self.on(frame, outline, |calipers, seen| commands.iter().for_each(|c| calipers.apply(*c, seen).unwrap()));
    }
}

pub(crate) fn round(centre: (f32, f32), radii: (f32, f32)) -> Outline {
    let mut outline = Outline::default();
    outline.push_ring(ring(centre, radii, false));
    outline
}

/// A still with calipers of each kind, and what was made of other frames before: medians and the volume of a bladder, and with
/// `is_heart` the ejection fraction of a left ventricle in two views.
pub(crate) fn by_hand(number: u64, scale: Option<ScaleSource>, is_heart: bool, objects: bool) -> Capture {
    use CaliperCommand as C;
    let mut hand = Hand { calipers: Calipers::default(), preset: Preset::find("bladder").ok() };
    let still = frame(number, PixelFormat::Grey8, scale);
    let seen = round((150.0, 120.0), (60.0, 40.0));
    hand.does(&still, &seen, &[C::Toggle]);
    for (i, grown) in [-1.0, 0.0, 2.0].into_iter().enumerate() {
        let other = frame(number + 100 + i as u64, PixelFormat::Grey8, scale);
        hand.does(&other, &round((150.0, 120.0), (60.0 + grown, 40.0)), &[C::Keep]);
    }
    if scale.is_some() {
        for (which, width) in [(Which::First, 60.0), (Which::Second, 52.0)] {
            hand.does(&still, &round((150.0, 120.0), (width, 40.0)), &[C::Plane(which)]);
        }
    }
    if is_heart {
        hand.preset = Preset::find("left-ventricle").ok();
        hand.does(&still, &seen, &[C::NextPage, C::NextPage]);
        assert_eq!(hand.calipers.page(), Some(Page::Volume));
        for (view, radii) in [(0, [(40.0, 80.0), (34.0, 62.0)]), (1, [(42.0, 78.0), (35.0, 60.0)])] {
            for (which, (a, b)) in [Which::First, Which::Second].into_iter().zip(radii) {
                let other = frame(number + 200 + 10 * view, PixelFormat::Grey8, scale);
                hand.on(&other, &round((150.0, 125.0), (a, b)), |calipers, seen| {
                    [-1.0, 1.0].into_iter().for_each(|side| {
                        calipers.tap(Point::new(150.0 + side * (a - 1.0), 125.0), seen).unwrap();
                    });
                    calipers.apply(C::Plane(which), seen).unwrap();
                });
            }
            hand.does(&still, &seen, &[C::NextView]);
        }
        hand.does(&still, &seen, &[C::NextPage, C::NextPage]);
    }
    hand.on(&still, &seen, |calipers, seen| {
        let tap = |calipers: &mut Calipers, places: &[(f32, f32)]| {
            places.iter().for_each(|(x, y)| calipers.tap(Point::new(*x, *y), seen).unwrap());
        };
        tap(calipers, &[(92.0, 119.0), (208.0, 121.0)]);
        calipers.apply(C::Choose(CaliperTool::Ellipse), seen).unwrap();
        tap(calipers, &[(60.0, 200.0), (100.0, 215.0), (70.0, 180.0)]);
        calipers.apply(C::Trace, seen).unwrap();
    });
    let mut readings = Vec::new();
    hand.on(&still, &seen, |calipers, seen| readings = calipers.readings(seen));
    let outlined = objects.then(|| ellipse(&still, "Bladder"));
    Capture::still(still, outlined.into_iter().collect()).with_calipers(readings).with_figures(hand.calipers.figures())
}
