//! The overlay as the operator sees it: what may be drawn when, and small pictures of each state.
//!
//! `BLESS=1` rewrites the pictures in `tests/golden`. A picture that differs leaves `NAME.actual.png` and
//! `NAME.diff.png` beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use sonotap::contour::{Outline, trace};
use sonotap::frame::{Frame, ImageRegion, PixelFormat, PixelScale, RegionContent, ScaleSource};
use sonotap::geometry::{Converter, DisplaySpace, ImageSpace, ModelView, Point, Rect};
use sonotap::mask::LogitGrid;
use sonotap::measure::measure;
use sonotap::overlay::blend::PxRect;
use sonotap::overlay::blit::Blitter;
use sonotap::overlay::{Canvas, Control, Handedness, Hud, HudView, KeepOut, Layout, LayoutConfig};
use sonotap::prompt::{Polarity, PromptId};
use sonotap::region::{FrameRegion, Regions};
use sonotap::scene::{
    CinePlace, FillLevel, HiddenReason, LostReason, Marker, Mode, Notice, ObjectScene, Overlay, Scene, Signal,
    Suggestion, Tool,
};
use sonotap::units::{FrameId, Millimetres, ObjectId, Score, Timestamp};

const SIZE: (u32, u32) = (160, 120);

/// Tissue of smooth shades with two dark lesions.
fn frame(id: u64) -> Frame {
    let (w, h) = SIZE;
    let shade = |x: u32, y: u32| {
        let (x, y) = (x as f32, y as f32);
        let dark = |cx: f32, cy: f32, r: f32| ((x - cx).powi(2) + (y - cy).powi(2) < r * r) as u8;
        let tissue = 70.0 + (y / 15.0).floor() * 12.0;
        tissue as u8 >> (dark(70.0, 50.0, 24.0) + dark(118.0, 84.0, 14.0))
    };
    let pixels = (0..w * h).map(|i| shade(i % w, i / w)).collect();
    let mut frame = Frame::from_pixels(w, h, PixelFormat::Grey8, pixels).unwrap();
    frame.stamp(FrameId(id), Timestamp::START);
    frame.set_scale(PixelScale::new(Millimetres(0.25), Millimetres(0.25), ScaleSource::Phantom));
    frame
}

/// A disc of radius `r` image px.
fn disc(cx: f32, cy: f32, r: f32) -> Outline {
    let view = ModelView::new(Rect::new(0.0, 0.0, 160.0, 160.0), 160);
    let mut grid = LogitGrid::background(80, view);
    for row in 0..80 {
        for column in 0..80 {
            let d = grid.centre(column, row).distance(Point::new(cx, cy));
            grid.values_mut()[row * 80 + column] = (r - d).clamp(-8.0, 8.0);
        }
    }
    let mut outline = Outline::default();
    trace(&grid, &mut outline);
    outline
}

fn object(id: u8, overlay: Overlay, (cx, cy, r): (f32, f32, f32), scale: Option<&PixelScale>) -> ObjectScene {
    let outline = disc(cx, cy, r);
    let click = |prompt, x, y, polarity| Marker::Click { prompt: PromptId(prompt), at: Point::new(x, y), polarity };
    ObjectScene {
        object: ObjectId(id),
        is_active: id == 0,
        overlay,
        measurements: measure(&outline, scale).filter(|_| overlay.is_drawn()),
        outline,
        markers: vec![click(0, cx, cy, Polarity::Positive), click(1, cx + 1.4 * r, cy + 0.5 * r, Polarity::Negative)],
        score: Score::new(0.93),
    }
}

fn lesion(overlay: Overlay) -> ObjectScene {
    object(0, overlay, (70.0, 50.0, 24.0), frame(1).scale().as_ref())
}

fn scene(objects: Vec<ObjectScene>) -> Scene {
    Scene {
        frame: Some(FrameId(1)),
        frame_age: Duration::from_millis(20),
        mode: Mode::Live,
        signal: Signal::Good,
        live_tick: 2,
        objects,
        tool: Tool::Include,
        fill: FillLevel::None,
        preset: None,
        can_undo: true,
        can_redo: false,
        rubber_band: None,
        notice: None,
        cine: Some(CinePlace { index: 41, len: 120 }),
        is_hot: false,
        ..Scene::default()
    }
}

/// The lesion, suggested before any tap.
fn suggested(overlay: Overlay) -> Scene {
    let score = Score::new(0.87).unwrap();
    let suggestion = Suggestion { outline: disc(70.0, 50.0, 24.0), score, overlay };
    let notice = Some(Notice::TapToStart);
    Scene { suggestion: Some(suggestion), notice, can_undo: false, ..scene(vec![]) }
}

/// Two images side by side, one of them the higher, a spectrum below and a grey bar at the rim.
fn screen_of_regions(id: u64) -> Frame {
    let part = |[x0, y0, x1, y1]: [f32; 4], content| FrameRegion {
        rect: Rect::new(x0, y0, x1, y1),
        content,
        ..FrameRegion::default()
    };
    let parts = [
        part([0.0, 6.0, 74.0, 80.0], RegionContent::BMode),
        part([76.0, 6.0, 148.0, 80.0], RegionContent::BMode),
        part([0.0, 84.0, 148.0, 120.0], RegionContent::Spectrum),
        part([151.0, 20.0, 158.0, 70.0], RegionContent::Furniture),
    ];
    let mut frame = frame(id);
    frame.set_regions(Regions::new(&parts).unwrap()).unwrap();
    frame
}

struct Screen {
    layout: Layout,
    keep_outs: Vec<KeepOut>,
    is_mirrored: bool,
    hud: Hud,
}

impl Screen {
    fn new(handedness: Handedness) -> Self {
        let layout = Layout::new((400, 256), 64.0, LayoutConfig { handedness, ..LayoutConfig::default() }).unwrap();
        assert_eq!(layout.absent().count(), 0);
        Self { layout, keep_outs: Vec::new(), is_mirrored: false, hud: Hud::new() }
    }

    fn to_display(&self) -> Converter<ImageSpace, DisplaySpace> {
        Converter::fit(&frame(1).region().rect, &self.layout.image_area(), self.is_mirrored)
    }

    fn draw(&mut self, frame: &Frame, scene: &Scene) -> Canvas {
        let view = HudView {
            to_display: self.to_display(),
            layout: &self.layout,
            keep_outs: &self.keep_outs,
            pressed: None,
            low_score: None,
        };
        let mut canvas = Canvas::default();
        self.hud.draw(&mut canvas, frame, scene, &view);
        canvas
    }

    fn picture_area(&self) -> PxRect {
        PxRect::around(&self.layout.image_area())
    }

    /// The picture as it is without any overlay.
    fn bare(&self, frame: &Frame) -> Canvas {
        let (width, height) = self.layout.size();
        let mut canvas = Canvas::new(width, height);
        Blitter::default().blit(frame, &self.to_display(), self.picture_area(), &mut canvas);
        canvas
    }

    /// Pixels within the picture that differ.
    fn changed(&self, a: &Canvas, b: &Canvas) -> usize {
        let area = self.picture_area();
        let all = (area.y0..area.y1).flat_map(|y| (area.x0..area.x1).map(move |x| (x as u32, y as u32)));
        all.filter(|&(x, y)| a.get(x, y) != b.get(x, y)).count()
    }
}

/// The left part of a right-handed screen: status bar, picture and panel.
fn without_controls(canvas: &Canvas, layout: &Layout) -> Canvas {
    let mut part = Canvas::new(layout.status_bar().x1 as u32 + 2, canvas.height());
    part.paste(canvas, 0, 0);
    part
}

/// Every state that has a picture.
fn states() -> Vec<(&'static str, Scene)> {
    let age = Duration::from_millis;
    let mut low = lesion(Overlay::Carried { age: age(80) });
    low.score = Score::new(0.4);
    let mut lost = lesion(Overlay::Lost(LostReason::SceneCut));
    lost.markers.clear();
    let mut boxed = lesion(Overlay::Hidden(HiddenReason::Computing));
    boxed.markers = vec![Marker::Box { prompt: PromptId(4), rect: Rect::new(96.0, 62.0, 142.0, 108.0) }];
    let bare = object(0, Overlay::Exact, (70.0, 50.0, 24.0), None);
    let four = vec![
        object(1, Overlay::Carried { age: age(66) }, (24.0, 24.0, 12.0), None),
        object(2, Overlay::Stale { age: age(1400) }, (122.0, 28.0, 15.0), None),
        object(3, Overlay::Carried { age: age(66) }, (112.0, 92.0, 14.0), None),
        lesion(Overlay::Exact),
    ];
    let again = Some(Notice::TapAgain(ObjectId(0), LostReason::SceneCut));
    vec![
        ("exact", scene(vec![lesion(Overlay::Exact)])),
        ("carried", scene(vec![lesion(Overlay::Carried { age: age(120) })])),
        ("stale", scene(vec![lesion(Overlay::Stale { age: age(420) })])),
        ("lost", Scene { notice: again, ..scene(vec![lost]) }),
        ("low_score", Scene { notice: Some(Notice::AddPoint(ObjectId(0))), ..scene(vec![low]) }),
        ("frozen", Scene { mode: Mode::Frozen, fill: FillLevel::Quarter, ..scene(vec![lesion(Overlay::Exact)]) }),
        (
            "review_uncalibrated",
            Scene { mode: Mode::Review, tool: Tool::Exclude, fill: FillLevel::Half, ..scene(vec![bare]) },
        ),
        ("no_signal", Scene { signal: Signal::Missing, ..scene(vec![lesion(Overlay::Exact)]) }),
        ("no_new_image", Scene { signal: Signal::Repeating, ..scene(vec![lesion(Overlay::Exact)]) }),
        ("four_objects", scene(four)),
        ("suggested", suggested(Overlay::Exact)),
        ("box", Scene { rubber_band: Some(Rect::new(30.0, 20.0, 90.0, 70.0)), ..scene(vec![boxed]) }),
    ]
}

#[test]
fn each_state_looks_as_it_was_approved() {
    let keep_out = KeepOut { rect: Rect::new(132.0, 4.0, 156.0, 18.0) };
    let mut failures = Vec::new();
    let (mut right, mut left) = (Screen::new(Handedness::Right), Screen::new(Handedness::Left));
    for (name, scene) in states() {
        let screen = if name == "box" { &mut left } else { &mut right };
        screen.keep_outs = vec![keep_out];
        let mut canvas = screen.draw(&frame(1), &scene);
        if !["exact", "review_uncalibrated", "box"].contains(&name) {
            canvas = without_controls(&canvas, &screen.layout);
        }
        failures.extend(compare(&format!("overlay_{name}"), &canvas));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_bounds_of_several_regions_look_as_they_were_approved() {
    let mut screen = Screen::new(Handedness::Right);
    screen.keep_outs = vec![KeepOut { rect: Rect::new(132.0, 4.0, 156.0, 18.0) }];
    let frozen = Scene { mode: Mode::Frozen, ..scene(vec![object(0, Overlay::Exact, (40.0, 45.0, 18.0), None)]) };
    let mut failures = Vec::new();
    for (name, scene) in [("live", scene(vec![])), ("frozen", frozen)] {
        let canvas = without_controls(&screen.draw(&screen_of_regions(1), &scene), &screen.layout);
        failures.extend(compare(&format!("overlay_regions_{name}"), &canvas));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bounds_are_shown_where_the_picture_is_more_or_less_than_one_region_and_not_while_the_overlay_is_held_away() {
    let mut screen = Screen::new(Handedness::Right);
    let mut changed = |frame: &Frame, scene: &Scene| {
        let drawn = screen.draw(frame, scene);
        screen.changed(&drawn, &screen.bare(frame))
    };
    let region = |x0: f32| {
        let mut frame = frame(1);
        frame.set_region(ImageRegion { rect: Rect::new(x0, 0.0, 160.0, 120.0), ..frame.region() }).unwrap();
        frame
    };
    assert_eq!(changed(&region(0.0), &scene(vec![])), 0, "the whole picture");
    assert!(changed(&region(30.0), &scene(vec![])) > 50, "a part of the picture");
    assert!(changed(&screen_of_regions(1), &scene(vec![])) > 200, "several regions");
    let held = scene(vec![lesion(Overlay::Hidden(HiddenReason::ByOperator))]);
    assert_eq!(changed(&screen_of_regions(1), &held), 0, "held away");
}

#[test]
fn keep_out_pixels_are_unchanged() {
    let mut screen = Screen::new(Handedness::Right);
    for is_mirrored in [false, true] {
        for (name, scene) in states() {
            screen.is_mirrored = is_mirrored;
            screen.keep_outs = vec![
                KeepOut { rect: Rect::new(60.3, 20.0, 90.0, 30.5) },
                KeepOut { rect: Rect::new(40.0, 40.0, 75.0, 62.0) },
                KeepOut { rect: Rect::new(0.0, 0.0, 160.0, 6.0) },
                KeepOut { rect: Rect::new(100.0, 60.0, 130.0, 400.0) },
            ];
            let frame = screen_of_regions(1);
            let (drawn, bare) = (screen.draw(&frame, &scene), screen.bare(&frame));
            let mut kept = 0;
            for keep_out in &screen.keep_outs {
                let r =
                    PxRect::around(&screen.to_display().apply_rect(&keep_out.rect)).intersect(screen.picture_area());
                for (x, y) in (r.y0..r.y1).flat_map(|y| (r.x0..r.x1).map(move |x| (x as u32, y as u32))) {
                    assert_eq!(drawn.get(x, y), bare.get(x, y), "{name}, mirrored {is_mirrored}: {x}, {y}");
                    kept += 1;
                }
            }
            assert!(kept > 1000, "the keep-outs of this test are not on the picture");
        }
    }
}

#[test]
fn a_suggestion_looks_like_no_outline() {
    let mut screen = Screen::new(Handedness::Right);
    let bare = screen.bare(&frame(1));
    let drawn = screen.draw(&frame(1), &suggested(Overlay::Exact));
    let inked = screen.changed(&drawn, &bare);
    assert!(inked > 100, "{inked}");
    let is_grey = |c: u32| {
        let [_, r, g, b] = c.to_be_bytes();
        r.max(g).max(b) - r.min(g).min(b) <= 24
    };
    let area = screen.picture_area();
    let all = (area.y0..area.y1).flat_map(|y| (area.x0..area.x1).map(move |x| (x as u32, y as u32)));
    let coloured = all.filter(|&(x, y)| !is_grey(drawn.get(x, y).unwrap())).count();
    assert_eq!(coloured, 0, "an object has a colour, a suggestion has none");
    let exact = screen.draw(&frame(1), &scene(vec![lesion(Overlay::Exact)]));
    assert!(screen.changed(&exact, &drawn) > 100);

    let filled = screen.draw(&frame(1), &Scene { fill: FillLevel::Half, ..suggested(Overlay::Exact) });
    assert_eq!(screen.changed(&filled, &drawn), 0, "it is never filled");
    let beside = Scene { objects: vec![lesion(Overlay::Exact)], ..suggested(Overlay::Exact) };
    let beside = screen.draw(&frame(1), &beside);
    assert_eq!(screen.changed(&beside, &exact), 0, "it is not drawn beside an object");
    let other = screen.bare(&frame(2));
    let on_other = screen.draw(&frame(2), &suggested(Overlay::Exact));
    assert_eq!(screen.changed(&on_other, &other), 0, "it is not drawn on another frame");
}

#[test]
fn an_outline_is_not_drawn_on_another_frame_than_its_own() {
    let mut screen = Screen::new(Handedness::Right);
    for overlay in [Overlay::Exact, Overlay::Carried { age: Duration::ZERO }, Overlay::Stale { age: Duration::ZERO }] {
        let scene = scene(vec![lesion(overlay)]);
        let (own, other) = (frame(1), frame(2));
        let drawn = screen.draw(&own, &scene);
        assert!(screen.changed(&drawn, &screen.bare(&own)) > 100, "{overlay:?}");
        let drawn = screen.draw(&other, &scene);
        assert_eq!(screen.changed(&drawn, &screen.bare(&other)), 0, "{overlay:?}");
    }
}

#[test]
fn nothing_of_a_hidden_or_lost_outline_is_drawn() {
    let mut screen = Screen::new(Handedness::Right);
    let hidden = [
        HiddenReason::Computing,
        HiddenReason::TooOld,
        HiddenReason::ImplausibleMask,
        HiddenReason::ModelFailed,
        HiddenReason::NotBMode,
        HiddenReason::NoSignal,
        HiddenReason::ByOperator,
    ];
    let lost = [LostReason::SceneCut, LostReason::LowScore, LostReason::SignalLost];
    for overlay in hidden.map(Overlay::Hidden).into_iter().chain(lost.map(Overlay::Lost)) {
        let mut object = lesion(overlay);
        if overlay != Overlay::Hidden(HiddenReason::ByOperator) {
            object.markers.clear();
        }
        let drawn = screen.draw(&frame(1), &Scene { fill: FillLevel::Half, ..scene(vec![object]) });
        assert_eq!(screen.changed(&drawn, &screen.bare(&frame(1))), 0, "{overlay:?}");
    }
}

#[test]
fn without_live_pictures_no_outline_and_no_measurement_is_shown() {
    let mut screen = Screen::new(Handedness::Right);
    for signal in [Signal::Missing, Signal::Repeating] {
        let with = screen.draw(&frame(1), &Scene { signal, ..scene(vec![lesion(Overlay::Exact)]) });
        let mut hidden = lesion(Overlay::Hidden(HiddenReason::NoSignal));
        hidden.measurements = None;
        let without = screen.draw(&frame(1), &Scene { signal, ..scene(vec![hidden]) });
        assert_eq!(with, without, "{signal:?}");
    }
}

#[test]
fn only_a_new_picture_moves_the_live_tick() {
    let mut screen = Screen::new(Handedness::Right);
    let base = scene(vec![]);
    let drawn = |screen: &mut Screen, id: u64, scene: &Scene| screen.draw(&frame(id), scene);
    let first = drawn(&mut screen, 1, &base);
    let later = Scene { frame: Some(FrameId(9)), frame_age: Duration::from_millis(900), ..base.clone() };
    assert_eq!(drawn(&mut screen, 9, &later), first, "time or the frame number alone moved something");
    for tick in 3..10 {
        let moved = drawn(&mut screen, 1, &Scene { live_tick: tick, ..base.clone() });
        assert_eq!(moved == first, tick % 8 == base.live_tick % 8, "tick {tick}");
        assert_eq!(screen.changed(&moved, &first), 0, "the tick moved something on the picture");
    }
    for (mode, signal) in [(Mode::Frozen, Signal::Good), (Mode::Review, Signal::Good), (Mode::Live, Signal::Missing)] {
        let still = Scene { mode, signal, ..base.clone() };
        let a = drawn(&mut screen, 1, &still);
        let b = drawn(&mut screen, 1, &Scene { live_tick: 5, ..still });
        assert_eq!(a, b, "{mode:?} {signal:?} shows a live tick");
    }
}

#[test]
fn the_labels_are_on_every_screen() {
    for (size, dpi) in [((400, 256), 64.0), ((800, 480), 133.0), ((480, 320), 165.0)] {
        let layout = Layout::new(size, dpi, LayoutConfig::default()).unwrap();
        let status = PxRect::around(&layout.status_bar());
        let to_display = Converter::fit(&frame(1).region().rect, &layout.image_area(), false);
        let mut reference: Option<Vec<Option<u32>>> = None;
        let mut hud = Hud::new();
        for (name, scene) in states() {
            let view = HudView { to_display, layout: &layout, keep_outs: &[], pressed: None, low_score: None };
            let mut canvas = Canvas::default();
            hud.draw(&mut canvas, &frame(1), &scene, &view);
            let (x0, y0) = if layout.is_label_split() {
                (status.x0, status.y0 + status.height() * 2 / 5)
            } else {
                (status.x0 + status.width() / 2, status.y0)
            };
            let label: Vec<_> = (y0..status.y1)
                .flat_map(|y| (x0..status.x1).map(move |x| (x as u32, y as u32)))
                .map(|(x, y)| canvas.get(x, y))
                .collect();
            let inked = label.iter().filter(|p| p.is_some_and(|p| p & 255 > 0x80)).count();
            assert!(inked > 100, "{size:?} {name}: nothing is written there");
            assert_eq!(reference.get_or_insert(label.clone()), &label, "{size:?} {name}: the label changed");
        }
    }
}

#[test]
fn a_pressed_control_looks_pressed() {
    let mut screen = Screen::new(Handedness::Right);
    let scene = scene(vec![lesion(Overlay::Exact)]);
    let rest = screen.draw(&frame(1), &scene);
    let view = HudView {
        to_display: screen.to_display(),
        layout: &screen.layout,
        keep_outs: &[],
        pressed: Some(Control::Undo),
        low_score: None,
    };
    let mut canvas = Canvas::default();
    Hud::new().draw(&mut canvas, &frame(1), &scene, &view);
    let undo = PxRect::around(&screen.layout.place(Control::Undo).unwrap());
    for (x, y) in (0..256).flat_map(|y| (0..400).map(move |x| (x, y))) {
        let is_changed = canvas.get(x, y) != rest.get(x, y);
        assert!(!is_changed || undo.contains(x as i32, y as i32), "{x}, {y} changed");
    }
    assert_ne!(canvas, rest);
}

#[test]
fn before_the_first_frame_the_screen_says_no_signal() {
    let mut screen = Screen::new(Handedness::Right);
    let nothing = Scene { frame: None, signal: Signal::Missing, cine: None, ..scene(vec![]) };
    let canvas = screen.draw(&Frame::default(), &nothing);
    let black = Canvas::new(canvas.width(), canvas.height());
    assert!(screen.changed(&canvas, &black) > 1000);
}

#[test]
fn a_hot_machine_says_so_beside_live() {
    let mut screen = Screen::new(Handedness::Right);
    let cool = screen.draw(&frame(1), &scene(vec![]));
    let hot = screen.draw(&frame(1), &Scene { is_hot: true, ..scene(vec![]) });
    let bar = PxRect::around(&screen.layout.status_bar());
    let changed = |x: u32, y: u32| cool.get(x, y) != hot.get(x, y);
    let (width, height) = screen.layout.size();
    let places: Vec<_> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|&(x, y)| changed(x, y)).collect();
    assert!(places.len() > 40, "{} px", places.len());
    assert!(places.iter().all(|&(x, y)| bar.contains(x as i32, y as i32)), "drawn outside the status bar");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_scene_makes_it_panic(
        x in prop_oneof![-1e6f32..1e6, Just(f32::NAN), Just(f32::INFINITY)], y in -300f32..300.0, r in 0.5f32..90.0,
        w in 200u32..900, h in 150u32..600, dpi in 50.0f32..160.0, index in any::<usize>(), len in any::<usize>(),
        age in any::<u64>(), k in prop_oneof![Just(1e-4f32), Just(1.0), Just(1e5)],
    ) {
        let Ok(layout) = Layout::new((w, h), dpi, LayoutConfig::default()) else { return Ok(()) };
        let mut object = object(0, Overlay::Carried { age: Duration::from_nanos(age) }, (60.0, 50.0, r), None);
        object.markers.push(Marker::Click { prompt: PromptId(9), at: Point::new(x, y), polarity: Polarity::Positive });
        object.markers.push(Marker::Box { prompt: PromptId(8), rect: Rect::new(x, y, y, x) });
        let mut outside = object.clone();
        outside.object = ObjectId(200);
        let scene = Scene {
            mode: Mode::Review,
            fill: FillLevel::Half,
            cine: Some(CinePlace { index: index.min(usize::MAX - 1), len }),
            rubber_band: Some(Rect::new(x, y, r, x)),
            ..scene(vec![outside, object])
        };
        let region = Rect::new(0.0, 0.0, 160.0 * k, 120.0 * k);
        let to_display = Converter::fit(&region, &layout.image_area(), false);
        let view = HudView { to_display, layout: &layout, keep_outs: &[KeepOut { rect: Rect::new(x, y, r, r) }], pressed: None, low_score: None };
        let mut canvas = Canvas::default();
        Hud::new().draw(&mut canvas, &screen_of_regions(1), &scene, &view);
        prop_assert_eq!((canvas.width(), canvas.height()), (w, h));
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn write_png(path: &Path, canvas: &Canvas) {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    let (w, h) = (canvas.width(), canvas.height());
    image::ImageEncoder::write_image(encoder, &canvas.to_rgb(), w, h, image::ExtendedColorType::Rgb8).unwrap();
}

/// Compares with the approved picture; what the difference is, if there is one. Rounding may differ by machine: 3 levels.
fn compare(name: &str, canvas: &Canvas) -> Option<String> {
    const LEVELS: u8 = 3;
    let path = golden(&format!("{name}.png"));
    if std::env::var_os("BLESS").is_some() {
        write_png(&path, canvas);
        assert!(std::fs::metadata(&path).unwrap().len() <= 20_000, "{name}.png is larger than 20 KB");
        return None;
    }
    let explain = |what: String| {
        write_png(&golden(&format!("{name}.actual.png")), canvas);
        Some(format!("{name}: {what}; BLESS=1 approves"))
    };
    let Ok(approved) = image::open(&path) else { return explain("there is no approved picture".into()) };
    let approved = approved.to_rgb8();
    if approved.dimensions() != (canvas.width(), canvas.height()) {
        return explain(format!("expected {:?}, got {}x{}", approved.dimensions(), canvas.width(), canvas.height()));
    }
    let mut diff = Canvas::new(canvas.width(), canvas.height());
    let mut count = 0;
    for ((out, got), want) in diff.pixels_mut().iter_mut().zip(canvas.to_rgb().chunks(3)).zip(approved.pixels()) {
        if got.iter().zip(want.0).any(|(g, w)| g.abs_diff(w) > LEVELS) {
            (*out, count) = (0xFF3030, count + 1);
        } else {
            *out = u32::from(want.0[1]) / 3 * 0x01_0101;
        }
    }
    if count == 0 {
        return None;
    }
    write_png(&golden(&format!("{name}.diff.png")), &diff);
    explain(format!("{count} px differ"))
}
