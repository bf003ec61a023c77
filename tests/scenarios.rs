//! Scenarios on a fake clock: each file in tests/scenarios is one, named by the sentence that it proves.
//!
//! What holds in every scenario, at every presentation: a live frame is never older than its deadline;
//! an outline is exact only on the frame that its mask was computed from; an outline that is hidden or lost is empty.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Behaviour, Shot, World};
use serde::Deserialize;
use sonotap::contour::Outline;
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::Bitmap;
use sonotap::scene::{Marker, Mode, Overlay, Signal};
use sonotap::session::Command;
use sonotap::source::phantom::{Event, PhantomPreset};
use sonotap::units::{FrameId, Span, Timestamp};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[allow(dead_code, reason = "read by tests/hazards.rs")]
    hazards: Vec<String>,
    phantom: String,
    look_ms: u64,
    /// By default a frame period.
    deadline_ms: Option<u64>,
    /// By default what the engine expects.
    camera_period_ms: Option<u64>,
    /// By default 4 ms.
    draw_ms: Option<u64>,
    seconds: f64,
    #[serde(default, rename = "phantom_event")]
    phantom_events: Vec<PhantomEvent>,
    #[serde(default, rename = "event")]
    events: Vec<Happening>,
    #[serde(rename = "expect")]
    expectations: Vec<Expectation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhantomEvent {
    frame: u64,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Happening {
    at_ms: u64,
    what: String,
    /// For a tap: the finger went down on the frame that was shown so long ago.
    #[serde(default)]
    ago_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    from_ms: u64,
    to_ms: u64,
    /// The first object is shown in one of these ways at every presentation, and in each of them at least once.
    #[serde(default)]
    overlay: Vec<String>,
    signal: Option<String>,
    mode: Option<String>,
    /// IoU of every drawn outline with the truth of the frame that it is drawn on, at least.
    iou_min: Option<f64>,
    /// Age that a carried or stale outline states, at most.
    age_ms_max: Option<f64>,
    /// Whether the LIVE tick moves.
    tick_moves: Option<bool>,
    /// Frames shown, at least.
    frames_min: Option<usize>,
    /// There is at least one presentation.
    #[serde(default)]
    is_silent: bool,
    /// Distance of the first object's box from the truth's, centre to centre, image px, at most.
    box_off_px_max: Option<f32>,
    /// Objects on the screen at the end.
    objects: Option<usize>,
}

fn name_of(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::Exact => "exact",
        Overlay::Carried { .. } => "carried",
        Overlay::Stale { .. } => "stale",
        Overlay::Hidden(_) => "hidden",
        Overlay::Lost(_) => "lost",
    }
}

fn iou(outline: &Outline, truth: &Bitmap) -> f64 {
    let mut drawn = Bitmap::new(truth.width(), truth.height());
    for y in 0..truth.height() {
        for x in 0..truth.width() {
            let centre = sonotap::geometry::Point::new(x as f32 + 0.5, y as f32 + 0.5);
            drawn.set(x, y, outline.contains(centre));
        }
    }
    drawn.iou(truth)
}

fn bounds(mask: &Bitmap) -> Rect<ImageSpace> {
    let inside =
        (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y))).filter(|&(x, y)| mask.get(x, y));
    let cells = inside.map(|(x, y)| Rect::new(x as f32, y as f32, x as f32 + 1.0, y as f32 + 1.0));
    cells.reduce(|a, b| a.union(&b)).expect("the phantom shows its structure")
}

fn happen(world: &mut World, event: &Happening) {
    let now = world.now();
    match event.what.as_str() {
        "draw:fast" => world.draw = Duration::from_millis(4),
        "draw:slow" => world.draw = Duration::from_millis(50),
        "tap" => {
            let touched = Timestamp::from_ns(now.as_ns() - event.ago_ms * 1_000_000);
            let shown = world.shots.iter().rev().find(|s| s.at <= touched).map_or(Some(FrameId(1)), |s| s.scene.frame);
            let at = world.phantom.tap_point(world.picture_of(shown)).expect("the phantom shows its structure");
            world.live.command(Command::Click { at, polarity: None, shown }, touched);
        }
        "box" => {
            let shown = world.live.on_screen();
            let rect = bounds(&world.truth(world.picture_of(shown)));
            world.live.command(Command::BoxPrompt { rect, shown }, now);
        }
        "freeze" => world.live.command(Command::Freeze, now),
        "unfreeze" => world.live.command(Command::Unfreeze, now),
        "step-back" => world.live.command(Command::StepBack, now),
        "undo" => world.live.command(Command::Undo, now),
        "hide" => world.live.command(Command::HideOverlay(true), now),
        "show" => world.live.command(Command::HideOverlay(false), now),
        "new-exam" => world.live.new_exam(),
        "stop-source" => world.is_source_running = false,
        "start-source" => world.is_source_running = true,
        "repeat" => world.is_source_repeating = true,
        "go-on" => world.is_source_repeating = false,
        "model:good" => *world.behaviour.lock().unwrap() = Behaviour::Good,
        "model:nan" => *world.behaviour.lock().unwrap() = Behaviour::NotANumber,
        "model:nothing" => *world.behaviour.lock().unwrap() = Behaviour::Nothing,
        "model:everything" => *world.behaviour.lock().unwrap() = Behaviour::Everything,
        "model:elsewhere" => *world.behaviour.lock().unwrap() = Behaviour::Elsewhere,
        "model:echo" => *world.behaviour.lock().unwrap() = Behaviour::Echo,
        "model:fails" => *world.behaviour.lock().unwrap() = Behaviour::Fails,
        other => panic!("no such event: {other}"),
    }
}

fn play(path: &Path) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let scenario: Scenario =
        toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let events = scenario.phantom_events.iter().map(|e| {
        let what = match e.what.as_str() {
            "cut" => Event::Cut { seed: 99 },
            "lift" => Event::Lift,
            other => panic!("{name}: no such phantom event: {other}"),
        };
        (e.frame, what)
    });
    let preset: PhantomPreset = scenario.phantom.parse().unwrap();
    let deadline = scenario.deadline_ms.map(Duration::from_millis);
    let mut world = World::new(preset, events.collect(), Duration::from_millis(scenario.look_ms), deadline);
    if let Some(ms) = scenario.draw_ms {
        world.draw = Duration::from_millis(ms);
    }
    if let Some(ms) = scenario.camera_period_ms {
        world.period = Duration::from_millis(ms);
    }
    for event in &scenario.events {
        world.run_until(Timestamp::from_ms(event.at_ms));
        happen(&mut world, event);
    }
    world.run_until(Timestamp::START + Duration::of_secs(scenario.seconds));
    for shot in &world.shots {
        check_always(&name, shot, &world, deadline.unwrap_or(Duration::from_nanos(33_333_333)));
    }
    for expectation in &scenario.expectations {
        check(&name, expectation, &world);
    }
}

fn check_always(name: &str, shot: &Shot, world: &World, limit: Duration) {
    let at = shot.at.since(Timestamp::START).as_ms();
    let is_first_showing =
        world.shots.iter().find(|s| s.scene.frame == shot.scene.frame).is_some_and(|s| s.at == shot.at);
    if shot.scene.mode == Mode::Live && is_first_showing && shot.scene.signal == Signal::Good {
        assert!(
            shot.at.since(shot.captured) <= limit,
            "{name}: at {at} ms a frame is {:?} old",
            shot.at.since(shot.captured)
        );
    }
    for object in &shot.scene.objects {
        match object.overlay {
            Overlay::Exact => {
                assert_eq!(
                    shot.mask_frame, shot.scene.frame,
                    "{name}: at {at} ms an exact outline is of another frame"
                );
            }
            Overlay::Hidden(_) | Overlay::Lost(_) => {
                assert!(object.outline.is_empty(), "{name}: at {at} ms an outline that is not to be drawn is there");
            }
            Overlay::Carried { .. } | Overlay::Stale { .. } => {}
        }
    }
}

fn check(name: &str, e: &Expectation, world: &World) {
    let span = format!("{name}: {}..{} ms", e.from_ms, e.to_ms);
    let within = |s: &&Shot| s.at >= Timestamp::from_ms(e.from_ms) && s.at < Timestamp::from_ms(e.to_ms);
    let shots: Vec<&Shot> = world.shots.iter().filter(within).collect();
    assert_eq!(shots.is_empty(), e.is_silent, "{span}: {} presentations", shots.len());
    if let Some(min) = e.frames_min {
        let mut frames: Vec<Option<FrameId>> = shots.iter().map(|s| s.scene.frame).collect();
        frames.dedup();
        assert!(frames.len() >= min, "{span}: {} frames shown, expected at least {min}", frames.len());
    }
    let mut met = Vec::new();
    for shot in &shots {
        let at = shot.at.since(Timestamp::START).as_ms();
        let first = shot.scene.objects.iter().find(|o| o.object.0 == 0);
        if !e.overlay.is_empty() {
            let got = first.map_or("none", |o| name_of(o.overlay)).to_owned();
            assert!(e.overlay.contains(&got), "{span}: at {at} ms the object is {got}, expected {:?}", e.overlay);
            met.push(got);
        }
        if let (Some(min), Some(o)) = (e.iou_min, first.filter(|o| o.overlay.is_drawn())) {
            let got = iou(&o.outline, &world.truth(shot.picture));
            assert!(got >= min, "{span}: at {at} ms IoU {got:.3} of the {} outline is below {min}", name_of(o.overlay));
        }
        if let (Some(max), Some(Overlay::Carried { age } | Overlay::Stale { age })) =
            (e.age_ms_max, first.map(|o| o.overlay))
        {
            assert!(age.as_ms() <= max, "{span}: at {at} ms the age is {} ms", age.as_ms());
        }
        if let (Some(max), Some(o)) = (e.box_off_px_max, first) {
            let boxed = o.markers.iter().find_map(|m| match m {
                Marker::Box { rect, .. } => Some(rect.centre()),
                Marker::Click { .. } => None,
            });
            let off = boxed.expect("the box is on the screen").distance(bounds(&world.truth(shot.picture)).centre());
            assert!(off <= max, "{span}: at {at} ms the box is {off} px from the object");
        }
        if let Some(signal) = &e.signal {
            let got = match shot.scene.signal {
                Signal::Good => "good",
                Signal::Missing => "missing",
                Signal::Repeating => "repeating",
                Signal::Delayed => "delayed",
                Signal::Late => "late",
            };
            assert_eq!(got, signal, "{span}: at {at} ms");
        }
        if let Some(mode) = &e.mode {
            let got = match shot.scene.mode {
                Mode::Live => "live",
                Mode::Frozen => "frozen",
                Mode::Review => "review",
            };
            assert_eq!(got, mode, "{span}: at {at} ms");
        }
    }
    for wanted in &e.overlay {
        assert!(met.contains(wanted), "{span}: the object is never {wanted}");
    }
    if let (Some(moves), [first, .., last]) = (e.tick_moves, &shots[..]) {
        assert_eq!(last.scene.live_tick > first.scene.live_tick, moves, "{span}: the LIVE tick");
    }
    if let (Some(objects), Some(last)) = (e.objects, shots.last()) {
        assert_eq!(last.scene.objects.len(), objects, "{span}: objects at the end");
    }
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            play(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/", stringify!($name), ".toml")));
        })*

        #[test]
        fn every_scenario_file_is_played() {
            let played = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios")).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                assert!(played.contains(&name.as_str()), "{name}.toml is not played");
            }
        }
    };
}

scenarios!(
    a_slow_model_is_carried_not_awaited,
    a_generous_deadline_holds_no_picture_up,
    a_screen_that_is_too_slow_says_so,
    a_camera_faster_than_expected_holds_no_picture_up,
    a_very_slow_model_dims_then_hides,
    a_box_goes_with_the_outline_it_made,
    a_fast_model_is_exact,
    a_stopped_source_hides_then_loses,
    a_repeated_frame_is_not_live,
    a_tap_belongs_to_the_frame_it_touched,
    a_scene_cut_loses_the_object,
    a_lifted_probe_loses_the_object,
    a_frozen_frame_shows_only_its_own_mask,
    a_model_that_answers_no_mask_shows_none,
    a_model_that_disagrees_loses_the_object,
    a_model_that_only_repeats_the_outline_loses_the_object,
    a_failing_model_shows_no_outline,
    a_new_exam_knows_nothing_of_the_last,
    a_second_tap_brings_a_lost_object_back,
    a_tap_on_a_forgotten_frame_is_refused,
    holding_the_picture_hides_the_overlay,
);
