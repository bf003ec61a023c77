//! What is drawn is what is hit: contacts on a screen become commands about the place and the frame that were seen.

use proptest::prelude::*;
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{DisplaySpace, ImageSpace, Point, Rect};
use sonotap::input::{Contact, Phase};
use sonotap::overlay::{Control, LayoutConfig};
use sonotap::scene::Scene;
use sonotap::screen::{Pointer, Screen, ScreenConfig, pressed};
use sonotap::session::Command;
use sonotap::units::{FrameId, Timestamp};

/// Sizes and resolutions of usual screens.
const SCREENS: [((u32, u32), f32); 5] =
    [((800, 480), 133.0), ((1280, 800), 150.0), ((640, 480), 96.0), ((1920, 1080), 96.0), ((1024, 600), 170.0)];
/// Image px.
const SIZE: (u32, u32) = (320, 240);

/// A black frame with a white square of 5 px around a place.
fn frame_with_spot(at: (u32, u32)) -> Frame {
    let mut pixels = vec![0; (SIZE.0 * SIZE.1) as usize];
    for y in at.1 - 2..=at.1 + 2 {
        for x in at.0 - 2..=at.0 + 2 {
            pixels[(y * SIZE.0 + x) as usize] = 255;
        }
    }
    let mut frame = Frame::from_pixels(SIZE.0, SIZE.1, PixelFormat::Grey8, pixels).unwrap();
    frame.stamp(FrameId(1), Timestamp::START);
    frame
}

/// A scene that draws nothing over the frame: it has a picture and no objects.
fn scene() -> Scene {
    Scene { frame: Some(FrameId(1)), signal: sonotap::scene::Signal::Good, ..Scene::default() }
}

fn screen(size: (u32, u32), dpi: f32, is_mirrored: bool) -> Screen {
    let pointer = Pointer::Mouse;
    let layout = LayoutConfig { has_exam: true, ..LayoutConfig::default() };
    Screen::new(ScreenConfig { size, dpi, is_mirrored, pointer, layout, ..ScreenConfig::default() }).unwrap()
}

fn drawn(size: (u32, u32), dpi: f32, is_mirrored: bool) -> Screen {
    let mut screen = screen(size, dpi, is_mirrored);
    screen.draw(&frame_with_spot((100, 80)), &scene());
    screen
}

fn contact(phase: Phase, at: Point<DisplaySpace>, ms: u64) -> Contact {
    Contact { finger: 0, phase, at, size_mm: None, time: Timestamp::from_ms(ms), shown: Some(FrameId(1)) }
}

/// Down, and up again 50 ms later, from one place to another.
fn touch(screen: &mut Screen, from: Point<DisplaySpace>, to: Point<DisplaySpace>) -> Vec<Command> {
    let mut out = Vec::new();
    screen.touch(contact(Phase::Down, from, 1000), &mut out);
    if from != to {
        screen.touch(contact(Phase::Move, to, 1020), &mut out);
    }
    screen.touch(contact(Phase::Up, to, 1050), &mut out);
    out
}

fn tap(screen: &mut Screen, at: Point<DisplaySpace>) -> Vec<Command> {
    touch(screen, at, at)
}

/// The middle of the brightest px within the picture.
fn brightest(screen: &Screen) -> Point<DisplaySpace> {
    let (area, canvas) = (screen.layout().image_area(), screen.canvas());
    let (mut sum, mut count) = ((0.0, 0.0), 0.0);
    for (i, pixel) in canvas.pixels().iter().enumerate() {
        let (x, y) = (i as u32 % canvas.width(), i as u32 / canvas.width());
        let at = Point::new(x as f32 + 0.5, y as f32 + 0.5);
        if *pixel == 0xff_ffff && area.contains(at) {
            (sum, count) = ((sum.0 + f64::from(at.x), sum.1 + f64::from(at.y)), count + 1.0);
        }
    }
    assert!(count > 0.0, "the spot is not on the screen");
    Point::new((sum.0 / count) as f32, (sum.1 / count) as f32)
}

#[test]
fn a_tap_on_the_picture_is_where_the_pixel_is_drawn() {
    for (size, dpi) in SCREENS {
        for is_mirrored in [false, true] {
            for spot in [(3, 3), (100, 80), (316, 120), (160, 236)] {
                let mut screen = screen(size, dpi, is_mirrored);
                screen.draw(&frame_with_spot(spot), &scene());
                let seen = brightest(&screen);
                let [Command::Click { at, polarity: None, shown: Some(FrameId(1)) }] = tap(&mut screen, seen)[..]
                else {
                    panic!("{size:?} {spot:?}: no click")
                };
                let centre = Point::new(spot.0 as f32 + 0.5, spot.1 as f32 + 0.5);
                assert!(at.distance(centre) < 1.0, "{size:?} mirrored {is_mirrored}: {at:?} is not {centre:?}");
            }
        }
    }
}

#[test]
fn a_tap_on_a_control_gives_its_command_and_shows_it_pressed() {
    for (size, dpi) in SCREENS {
        let mut screen = drawn(size, dpi, false);
        let controls: Vec<_> = screen.layout().controls().collect();
        assert_eq!(controls.len(), Control::ALL.len(), "{size:?}");
        for (control, place) in controls {
            let (width, height) = control.min_size_mm();
            let mm = screen.layout().mm(1.0);
            assert!(width >= 15.0 && height >= 15.0 && place.width() >= width * mm && place.height() >= height * mm);
            let expected = match control {
                Control::Scrub(_) => Command::ScrubTo(0.5),
                other => pressed(other),
            };
            let before = screen.canvas().pixels().to_vec();
            let mut out = Vec::new();
            screen.touch(contact(Phase::Down, place.centre(), 1000), &mut out);
            screen.draw(&frame_with_spot((100, 80)), &scene());
            check_changes(&screen, &before, control, place);
            screen.touch(contact(Phase::Up, place.centre(), 1050), &mut out);
            assert_eq!(out, [expected], "{size:?} {control:?}");
            screen.draw(&frame_with_spot((100, 80)), &scene());
            assert!(screen.canvas().pixels() == before, "{control:?} stays pressed");
        }
    }
}

/// What is drawn otherwise while a control is pressed lies on that control.
fn check_changes(screen: &Screen, before: &[u32], control: Control, place: Rect<DisplaySpace>) {
    let width = screen.canvas().width();
    for (i, _) in screen.canvas().pixels().iter().zip(before).enumerate().filter(|(_, (a, b))| a != b) {
        let at = Point::new((i as u32 % width) as f32 + 0.5, (i as u32 / width) as f32 + 0.5);
        assert!(place.grown(1.0).contains(at), "{control:?} at {place:?} changes {at:?}");
    }
}

#[test]
fn pressed_freeze_looks_pressed() {
    let mut screen = drawn((800, 480), 133.0, false);
    let freeze = screen.layout().place(Control::Freeze).unwrap();
    let before = screen.canvas().pixels().to_vec();
    screen.touch(contact(Phase::Down, freeze.centre(), 0), &mut Vec::new());
    screen.draw(&frame_with_spot((100, 80)), &scene());
    assert!(screen.canvas().pixels() != before);
}

#[test]
fn a_drag_is_a_box_between_its_ends_in_either_direction() {
    for is_mirrored in [false, true] {
        let mut screen = drawn((800, 480), 133.0, is_mirrored);
        let view = *screen.to_display().unwrap();
        let (a, b) = (Point::<ImageSpace>::new(60.0, 50.0), Point::<ImageSpace>::new(200.0, 150.0));
        for (from, to) in [(a, b), (b, a)] {
            let out = touch(&mut screen, view.apply(from), view.apply(to));
            let [Command::RubberBand(Some(band)), .., Command::BoxPrompt { rect, shown: Some(FrameId(1)) }] = out[..]
            else {
                panic!("{out:?}")
            };
            for r in [band, rect] {
                assert!(r.min().distance(a) < 0.01 && r.max().distance(b) < 0.01, "{r:?}");
            }
        }
    }
}

#[test]
fn a_finger_that_slides_along_a_control_presses_it_and_off_it_does_not() {
    let mut screen = drawn((800, 480), 133.0, false);
    let freeze = screen.layout().place(Control::Freeze).unwrap();
    let on = |x: f32| Point::new(freeze.x0 + x * freeze.width(), freeze.centre().y);
    assert_eq!(touch(&mut screen, on(0.1), on(0.9)), [Command::ToggleFreeze]);
    let undo = screen.layout().place(Control::Undo).unwrap();
    assert_eq!(touch(&mut screen, on(0.5), undo.centre()), []);
    let bar = screen.layout().place(Control::Scrub(0.0)).unwrap();
    let at = |share: f32| Point::new(bar.x0 + share * bar.width(), bar.centre().y);
    let out = touch(&mut screen, at(0.25), at(0.75));
    assert!(
        !out.is_empty() && out.iter().all(|c| matches!(c, Command::ScrubTo(s) if (s - 0.75).abs() < 1e-3)),
        "{out:?}"
    );
}

#[test]
fn a_finger_that_rests_hides_the_outline_until_it_goes() {
    let mut screen = drawn((800, 480), 133.0, false);
    let at = screen.layout().image_area().centre();
    let mut out = Vec::new();
    screen.touch(contact(Phase::Down, at, 0), &mut out);
    screen.tick(Timestamp::from_ms(599), &mut out);
    assert_eq!(out, []);
    screen.tick(Timestamp::from_ms(600), &mut out);
    screen.touch(contact(Phase::Up, at, 900), &mut out);
    assert_eq!(out, [Command::HideOverlay(true), Command::HideOverlay(false)]);
}

#[test]
fn a_long_press_on_freeze_freezes_once() {
    let mut screen = drawn((800, 480), 133.0, false);
    let at = screen.layout().place(Control::Freeze).unwrap().centre();
    let mut out = Vec::new();
    screen.touch(contact(Phase::Down, at, 0), &mut out);
    screen.tick(Timestamp::from_ms(700), &mut out);
    screen.touch(contact(Phase::Up, at, 900), &mut out);
    out.retain(|c| *c != Command::HideOverlay(false));
    assert_eq!(out, [Command::ToggleFreeze]);
}

#[test]
fn nothing_is_touched_before_a_picture_of_that_size_is_drawn() {
    let mut screen = screen((800, 480), 133.0, false);
    let middle = screen.layout().image_area().centre();
    assert_eq!(tap(&mut screen, middle), []);
    screen.warm_up(SIZE.0, SIZE.1, PixelFormat::Grey8);
    assert_eq!((tap(&mut screen, middle), screen.marker_radius_px()), (vec![], None));
    screen.draw(&frame_with_spot((100, 80)), &scene());
    assert_eq!(tap(&mut screen, middle).len(), 1);
    assert!(screen.resize((1024, 600)));
    assert_eq!(tap(&mut screen, middle), [], "a tap on a screen that is not drawn yet");
}

#[test]
fn a_resized_screen_is_hit_where_it_is_drawn_and_one_too_small_stays() {
    let mut screen = drawn((800, 480), 133.0, false);
    for size in [(1024, 600), (1024, 601), (801, 481), (800, 480)] {
        assert!(screen.resize(size) && !screen.resize(size));
        screen.draw(&frame_with_spot((100, 80)), &scene());
        assert_eq!((screen.canvas().width(), screen.canvas().height()), size);
        let seen = brightest(&screen);
        let [Command::Click { at, .. }] = tap(&mut screen, seen)[..] else { panic!("{size:?}: no click") };
        assert!(at.distance(Point::new(100.5, 80.5)) < 1.0, "{size:?}: {at:?}");
        let freeze = screen.layout().place(Control::Freeze).unwrap();
        assert_eq!(tap(&mut screen, freeze.centre()), [Command::ToggleFreeze]);
    }
    for size in [(0, 0), (20, 20), (800, 10), (100_000, 480)] {
        assert!(!screen.resize(size), "{size:?}");
    }
    assert_eq!(tap(&mut screen, Point::new(1.0, 1.0)), []);
    assert_eq!(screen.layout().size(), (800, 480));
}

#[test]
fn a_first_frame_after_warming_up_looks_as_one_without() {
    let mut warm = screen((800, 480), 133.0, false);
    warm.warm_up(SIZE.0, SIZE.1, PixelFormat::Rgb8);
    warm.draw(&frame_with_spot((100, 80)), &scene());
    assert!(warm.canvas().pixels() == drawn((800, 480), 133.0, false).canvas().pixels());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_tap_goes_to_the_screen_and_back(
        x in 0.0f32..320.0, y in 0.0f32..240.0, which in 0..SCREENS.len(), is_mirrored in any::<bool>(),
    ) {
        let (size, dpi) = SCREENS[which];
        let mut screen = drawn(size, dpi, is_mirrored);
        let p = Point::new(x, y);
        let on_glass = screen.to_display().unwrap().apply(p);
        prop_assume!(screen.layout().image_area().contains(on_glass));
        let out = tap(&mut screen, on_glass);
        let [Command::Click { at, .. }] = out[..] else { return Err(TestCaseError::fail(format!("{out:?}"))) };
        prop_assert!(at.distance(p) < 0.01, "{at:?} is not {p:?}");
    }
}
