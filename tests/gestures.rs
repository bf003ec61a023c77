//! Hazard H16, glove or gel mis-tap: what the recognizer makes of contacts, as a table of stories.
//!
//! At 254 dpi a display px is 0.1 mm.

use std::time::Duration;

use proptest::prelude::*;
use sonotap::geometry::Point;
use sonotap::input::recognizer::{Recognizer, RecognizerConfig, SILENCE_MAX};
use sonotap::input::{Contact, Gesture, Phase};
use sonotap::units::{FrameId, Timestamp};

const DPI: f32 = 254.0;

/// One step of a story: at a time, a finger does something at a place; or only time passes.
#[derive(Clone, Copy)]
enum Step {
    Down(u64, u8, f32, f32),
    Move(u64, u8, f32, f32),
    Up(u64, u8, f32, f32),
    Cancel(u64, u8),
    /// Down with a patch of that size, mm.
    Patch(u64, u8, f32, f32, f32),
    /// Move with a patch of that size, mm.
    Spread(u64, u8, f32, f32, f32),
    Tick(u64),
}
use Step::*;

fn contact(ms: u64, finger: u8, phase: Phase, x: f32, y: f32, size_mm: Option<f32>) -> Contact {
    Contact { finger, phase, at: Point::new(x, y), size_mm, time: Timestamp::from_ms(ms), shown: Some(FrameId(ms)) }
}

/// Frame numbers are the milliseconds, so that a gesture shows when its touch-down was.
fn play(config: RecognizerConfig, story: &[Step]) -> Vec<String> {
    let mut recognizer = Recognizer::new(config).unwrap();
    let mut out = Vec::new();
    for &step in story {
        let contact = match step {
            Down(ms, f, x, y) => contact(ms, f, Phase::Down, x, y, Some(9.0)),
            Move(ms, f, x, y) => contact(ms, f, Phase::Move, x, y, Some(9.0)),
            Up(ms, f, x, y) => contact(ms, f, Phase::Up, x, y, None),
            Cancel(ms, f) => contact(ms, f, Phase::Cancel, 0.0, 0.0, None),
            Patch(ms, f, x, y, size) => contact(ms, f, Phase::Down, x, y, Some(size)),
            Spread(ms, f, x, y, size) => contact(ms, f, Phase::Move, x, y, Some(size)),
            Tick(ms) => {
                recognizer.tick(Timestamp::from_ms(ms), &mut out);
                continue;
            }
        };
        recognizer.push(contact, &mut out);
    }
    out.iter().map(word).collect()
}

fn word(gesture: &Gesture) -> String {
    match gesture {
        Gesture::Tap { at, shown } => format!("tap {},{} {}", at.x, at.y, shown.unwrap()),
        Gesture::Dragging { to, .. } => format!("to {},{}", to.x, to.y),
        Gesture::Drag { from, to, shown } => format!("drag {},{} {},{} {}", from.x, from.y, to.x, to.y, shown.unwrap()),
        Gesture::HoldBegin { at } => format!("hold {},{}", at.x, at.y),
        Gesture::HoldEnd => "end".into(),
        Gesture::Cancelled => "cancelled".into(),
    }
}

#[test]
fn each_story_of_a_gloved_hand_gives_its_gestures() {
    const N: f32 = f32::NAN;
    let stories: &[(&str, &[Step], &[&str])] = &[
        ("a tap", &[Down(100, 0, 50.0, 60.0), Up(180, 0, 50.0, 60.0)], &["tap 50,60 #100"]),
        (
            "a glove trembles within 3 mm: a tap, where and when it went down",
            &[Down(100, 0, 50.0, 60.0), Move(130, 0, 75.0, 60.0), Move(160, 0, 50.0, 85.0), Up(180, 0, 70.0, 80.0)],
            &["tap 50,60 #100"],
        ),
        (
            "exactly 3 mm is still a tap",
            &[Down(100, 0, 50.0, 60.0), Move(130, 0, 80.0, 60.0), Up(180, 0, 80.0, 60.0)],
            &["tap 50,60 #100"],
        ),
        (
            "a slide of 4 mm is nothing",
            &[Down(100, 0, 50.0, 60.0), Move(130, 0, 90.0, 60.0), Up(180, 0, 90.0, 60.0)],
            &[],
        ),
        (
            "nor is it if it comes back",
            &[Down(100, 0, 50.0, 60.0), Move(130, 0, 90.0, 60.0), Up(180, 0, 50.0, 60.0)],
            &[],
        ),
        (
            "a drag from 5 mm on",
            &[Down(100, 0, 50.0, 60.0), Move(150, 0, 100.0, 60.0), Move(200, 0, 150.0, 90.0), Up(250, 0, 150.0, 90.0)],
            &["to 100,60", "to 150,90", "to 150,90", "drag 50,60 150,90 #100"],
        ),
        (
            "a drag that the device reports only at its ends",
            &[Down(100, 0, 50.0, 60.0), Up(250, 0, 150.0, 90.0)],
            &["to 150,90", "drag 50,60 150,90 #100"],
        ),
        (
            "a drag brought back is taken back",
            &[Down(100, 0, 50.0, 60.0), Move(150, 0, 150.0, 60.0), Up(250, 0, 60.0, 60.0)],
            &["to 150,60", "to 60,60", "cancelled"],
        ),
        ("a drop of gel, 19 ms", &[Down(100, 0, 50.0, 60.0), Up(119, 0, 50.0, 60.0)], &[]),
        ("20 ms is a tap", &[Down(100, 0, 50.0, 60.0), Up(120, 0, 50.0, 60.0)], &["tap 50,60 #100"]),
        (
            "a drop of gel, then the finger at the same place",
            &[Down(100, 0, 50.0, 60.0), Up(110, 0, 50.0, 60.0), Down(140, 0, 50.0, 60.0), Up(200, 0, 50.0, 60.0)],
            &["tap 50,60 #140"],
        ),
        ("a smear of gel, 22.1 mm", &[Patch(100, 0, 50.0, 60.0, 22.1), Tick(900), Up(1000, 0, 50.0, 60.0)], &[]),
        ("a thick glove, 22 mm", &[Patch(100, 0, 50.0, 60.0, 22.0), Up(200, 0, 50.0, 60.0)], &["tap 50,60 #100"]),
        (
            "a palm rolls on",
            &[
                Down(100, 0, 50.0, 60.0),
                Spread(130, 0, 55.0, 60.0, 30.0),
                Move(160, 0, 200.0, 60.0),
                Up(300, 0, 50.0, 60.0),
            ],
            &[],
        ),
        (
            "a palm grows under a drag",
            &[
                Down(100, 0, 50.0, 60.0),
                Move(130, 0, 150.0, 60.0),
                Spread(160, 0, 160.0, 60.0, 30.0),
                Up(300, 0, 160.0, 60.0),
            ],
            &["to 150,60", "cancelled"],
        ),
        (
            "a finger taps twice while the palm rests",
            &[
                Patch(100, 1, 400.0, 400.0, 40.0),
                Down(200, 0, 50.0, 60.0),
                Up(280, 0, 50.0, 60.0),
                Down(400, 0, 50.0, 60.0),
                Up(480, 0, 50.0, 60.0),
                Up(500, 1, 400.0, 400.0),
            ],
            &["tap 50,60 #200", "tap 50,60 #400"],
        ),
        (
            "a palm comes down under a tap",
            &[
                Down(100, 0, 50.0, 60.0),
                Patch(130, 1, 400.0, 400.0, 40.0),
                Up(180, 0, 50.0, 60.0),
                Up(500, 1, 400.0, 400.0),
            ],
            &["tap 50,60 #100"],
        ),
        (
            "a bounce is one tap",
            &[Down(100, 0, 50.0, 60.0), Up(150, 0, 50.0, 60.0), Down(200, 0, 70.0, 60.0), Up(260, 0, 70.0, 60.0)],
            &["tap 50,60 #100"],
        ),
        (
            "two bounces are one tap",
            &[
                Down(100, 0, 50.0, 60.0),
                Up(150, 0, 50.0, 60.0),
                Down(160, 0, 50.0, 60.0),
                Up(165, 0, 50.0, 60.0),
                Down(220, 0, 50.0, 60.0),
                Up(270, 0, 50.0, 60.0),
            ],
            &["tap 50,60 #100"],
        ),
        (
            "60 ms later it is a second tap",
            &[Down(100, 0, 50.0, 60.0), Up(150, 0, 50.0, 60.0), Down(210, 0, 50.0, 60.0), Up(260, 0, 50.0, 60.0)],
            &["tap 50,60 #100", "tap 50,60 #210"],
        ),
        (
            "3.1 mm away it is a second tap",
            &[Down(100, 0, 50.0, 60.0), Up(150, 0, 50.0, 60.0), Down(160, 0, 81.0, 60.0), Up(210, 0, 81.0, 60.0)],
            &["tap 50,60 #100", "tap 81,60 #160"],
        ),
        (
            "a bounce that drags on is a drag",
            &[Down(100, 0, 50.0, 60.0), Up(130, 0, 50.0, 60.0), Down(150, 0, 50.0, 60.0), Up(300, 0, 150.0, 90.0)],
            &["tap 50,60 #100", "to 150,90", "drag 50,60 150,90 #150"],
        ),
        (
            "a bounce after a drag is nothing, wherever it goes",
            &[Down(100, 0, 50.0, 60.0), Up(200, 0, 150.0, 60.0), Down(230, 0, 150.0, 60.0), Up(300, 0, 250.0, 60.0)],
            &["to 150,60", "drag 50,60 150,60 #100"],
        ),
        (
            "a bounce after a hold is no tap",
            &[
                Down(100, 0, 50.0, 60.0),
                Tick(800),
                Up(900, 0, 50.0, 60.0),
                Down(930, 0, 50.0, 60.0),
                Up(990, 0, 50.0, 60.0),
            ],
            &["hold 50,60", "end"],
        ),
        (
            "a bounce of a slide is no tap",
            &[Down(100, 0, 50.0, 60.0), Up(200, 0, 90.0, 60.0), Down(230, 0, 90.0, 60.0), Up(300, 0, 90.0, 60.0)],
            &[],
        ),
        (
            "a palm that breaks up as it lifts is no tap",
            &[
                Patch(100, 0, 50.0, 60.0, 40.0),
                Up(900, 0, 50.0, 60.0),
                Down(920, 1, 60.0, 60.0),
                Up(990, 1, 60.0, 60.0),
            ],
            &[],
        ),
        (
            "a bounce of two fingers is no tap",
            &[
                Down(100, 0, 50.0, 60.0),
                Down(120, 1, 200.0, 60.0),
                Up(180, 0, 50.0, 60.0),
                Up(190, 1, 200.0, 60.0),
                Down(220, 1, 200.0, 60.0),
                Up(280, 1, 200.0, 60.0),
            ],
            &[],
        ),
        (
            "a resting finger holds and does not tap",
            &[
                Down(100, 0, 50.0, 60.0),
                Tick(699),
                Tick(700),
                Tick(720),
                Move(750, 0, 200.0, 60.0),
                Up(900, 0, 200.0, 60.0),
            ],
            &["hold 50,60", "end"],
        ),
        ("599 ms is a tap", &[Down(100, 0, 50.0, 60.0), Up(699, 0, 50.0, 60.0)], &["tap 50,60 #100"]),
        ("600 ms is a hold", &[Down(100, 0, 50.0, 60.0), Up(700, 0, 50.0, 60.0)], &["hold 50,60", "end"]),
        ("a hold without a tick", &[Down(100, 0, 50.0, 60.0), Up(900, 0, 50.0, 60.0)], &["hold 50,60", "end"]),
        (
            "a slow slide does not hold",
            &[Down(100, 0, 50.0, 60.0), Move(300, 0, 90.0, 60.0), Tick(900), Up(950, 0, 90.0, 60.0)],
            &[],
        ),
        (
            "two fingers are nothing, until both are up",
            &[
                Down(100, 0, 50.0, 60.0),
                Down(120, 1, 200.0, 60.0),
                Up(180, 0, 50.0, 60.0),
                Down(300, 2, 50.0, 60.0),
                Up(400, 2, 50.0, 60.0),
                Up(500, 1, 200.0, 60.0),
                Down(700, 0, 50.0, 60.0),
                Up(800, 0, 50.0, 60.0),
            ],
            &["tap 50,60 #700"],
        ),
        (
            "a second finger takes a drag back",
            &[
                Down(100, 0, 50.0, 60.0),
                Move(150, 0, 150.0, 60.0),
                Down(200, 1, 300.0, 60.0),
                Up(250, 0, 150.0, 60.0),
                Up(260, 1, 300.0, 60.0),
            ],
            &["to 150,60", "cancelled"],
        ),
        (
            "a second finger ends a hold",
            &[
                Down(100, 0, 50.0, 60.0),
                Tick(800),
                Down(900, 1, 300.0, 60.0),
                Up(950, 0, 50.0, 60.0),
                Up(990, 1, 300.0, 60.0),
            ],
            &["hold 50,60", "cancelled"],
        ),
        ("the device takes a tap back", &[Down(100, 0, 50.0, 60.0), Cancel(150, 0), Up(180, 0, 50.0, 60.0)], &[]),
        (
            "the device takes a drag back",
            &[Down(100, 0, 50.0, 60.0), Move(150, 0, 150.0, 60.0), Cancel(180, 0)],
            &["to 150,60", "cancelled"],
        ),
        (
            "an up got lost: the same finger begins anew",
            &[Down(100, 0, 50.0, 60.0), Tick(800), Down(900, 0, 70.0, 60.0), Up(980, 0, 70.0, 60.0)],
            &["hold 50,60", "cancelled", "tap 70,60 #900"],
        ),
        (
            "an up got lost: another finger is not locked out for ever",
            &[Down(100, 0, 50.0, 60.0), Tick(800), Down(5100, 1, 70.0, 60.0), Up(5200, 1, 70.0, 60.0)],
            &["hold 50,60", "cancelled", "tap 70,60 #5100"],
        ),
        ("a finger that never went down", &[Move(100, 3, 50.0, 60.0), Up(150, 3, 50.0, 60.0), Cancel(160, 3)], &[]),
        (
            "places that are none",
            &[
                Down(100, 0, N, 60.0),
                Up(150, 0, N, N),
                Down(300, 0, 50.0, 60.0),
                Move(320, 0, N, 1.0),
                Up(380, 0, N, N),
            ],
            &["tap 50,60 #300"],
        ),
        (
            "time that runs back",
            &[Down(100, 0, 50.0, 60.0), Up(50, 0, 50.0, 60.0), Down(20, 0, 90.0, 60.0), Up(80, 0, 90.0, 60.0)],
            &["tap 90,60 #20"],
        ),
    ];
    for (name, story, gestures) in stories {
        assert_eq!(play(RecognizerConfig::gloves(DPI), story), *gestures, "{name}");
    }
}

#[test]
fn a_mouse_may_go_down_and_up_at_one_time() {
    let story = [Down(100, 0, 50.0, 60.0), Up(100, 0, 50.0, 60.0), Down(110, 0, 50.0, 60.0), Up(110, 0, 50.0, 60.0)];
    assert_eq!(play(RecognizerConfig::mouse(DPI), &story), ["tap 50,60 #100", "tap 50,60 #110"]);
}

#[test]
fn lengths_are_millimetres_whatever_the_screen() {
    for dpi in [96.0, 133.0, 254.0] {
        for (mm, gesture) in [(2.9, Some("tap")), (4.0, None), (5.1, Some("drag"))] {
            let story = [Down(100, 0, 50.0, 60.0), Up(200, 0, 50.0 + mm * dpi / 25.4, 60.0)];
            let got = play(RecognizerConfig::gloves(dpi), &story);
            let last = got.last().and_then(|g| g.split(' ').next());
            assert_eq!(last, gesture, "{mm} mm at {dpi} dpi");
        }
    }
}

#[test]
fn a_device_that_goes_away_takes_back_what_was_going_on() {
    let mut recognizer = Recognizer::new(RecognizerConfig::gloves(DPI)).unwrap();
    let mut out = Vec::new();
    recognizer.push(contact(100, 0, Phase::Down, 50.0, 60.0, None), &mut out);
    recognizer.push(contact(150, 0, Phase::Move, 150.0, 60.0, None), &mut out);
    recognizer.reset(&mut out);
    assert_eq!(out.last(), Some(&Gesture::Cancelled));
    out.clear();
    recognizer.push(contact(200, 1, Phase::Down, 50.0, 60.0, None), &mut out);
    recognizer.push(contact(260, 1, Phase::Up, 50.0, 60.0, None), &mut out);
    assert_eq!(out, [Gesture::Tap { at: Point::new(50.0, 60.0), shown: Some(FrameId(200)) }]);
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let good = RecognizerConfig::gloves(DPI);
    for (name, config) in [
        ("dpi", RecognizerConfig { dpi: 0.0, ..good }),
        ("dpi", RecognizerConfig { dpi: f32::NAN, ..good }),
        ("tap_slop_mm", RecognizerConfig { tap_slop_mm: -1.0, ..good }),
        ("max_contact_mm", RecognizerConfig { max_contact_mm: 0.0, ..good }),
        ("bounce_mm", RecognizerConfig { bounce_mm: f32::INFINITY, ..good }),
        ("min_drag_mm", RecognizerConfig { min_drag_mm: 2.9, ..good }),
    ] {
        let message = Recognizer::new(config).unwrap_err().to_string();
        assert!(message.contains(&format!("expected {name} ")), "{message}");
    }
    Recognizer::new(RecognizerConfig { tap_slop_mm: 0.0, bounce_mm: 0.0, ..good }).unwrap();
}

fn any_contact() -> impl Strategy<Value = (u64, Contact)> {
    let place = || prop_oneof![20 => (0u16..400).prop_map(f32::from), 1 => Just(f32::NAN)];
    let phase = prop::sample::select(vec![Phase::Down, Phase::Move, Phase::Move, Phase::Up, Phase::Up, Phase::Cancel]);
    let wait = prop_oneof![8 => 0u64..90, 2 => 500u64..700, 1 => 4000u64..6000];
    let size = prop_oneof![2 => Just(None), 2 => Just(Some(9.0)), 1 => Just(Some(30.0))];
    (wait, 0u8..14, phase, place(), place(), size)
        .prop_map(|(wait, finger, phase, x, y, size)| (wait, contact(0, finger.saturating_sub(9), phase, x, y, size)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_begins_is_ended_or_taken_back(steps in prop::collection::vec(any_contact(), 1..300)) {
        let mut recognizer = Recognizer::new(RecognizerConfig::gloves(DPI)).unwrap();
        let (mut out, mut now) = (Vec::new(), 0);
        for (n, (wait, contact)) in steps.into_iter().enumerate() {
            now += wait;
            let before = out.len();
            recognizer.push(Contact { time: Timestamp::from_ms(now), shown: Some(FrameId(n as u64 + 1)), ..contact }, &mut out);
            prop_assert!(out.len() - before <= 3);
        }
        recognizer.reset(&mut out);
        let mut going_on = None;
        for gesture in out {
            going_on = match (going_on, gesture) {
                (None, Gesture::Tap { .. }) => None,
                (None, Gesture::HoldBegin { .. }) => Some("hold"),
                (None | Some("drag"), Gesture::Dragging { .. }) => Some("drag"),
                (Some("hold"), Gesture::HoldEnd) | (Some("drag"), Gesture::Drag { .. }) => None,
                (Some(_), Gesture::Cancelled) => None,
                (before, gesture) => return Err(TestCaseError::fail(format!("{gesture:?} during {before:?}"))),
            };
        }
        prop_assert_eq!(going_on, None);
    }

    #[test]
    fn no_contacts_lock_the_screen_for_ever(steps in prop::collection::vec(any_contact(), 1..100)) {
        let mut recognizer = Recognizer::new(RecognizerConfig::gloves(DPI)).unwrap();
        let (mut out, mut now) = (Vec::new(), Timestamp::START);
        for (wait, contact) in steps {
            now = now + Duration::from_millis(wait);
            recognizer.push(Contact { time: now, ..contact }, &mut out);
        }
        now = now + SILENCE_MAX;
        let at = Point::new(10.0, 10.0);
        let down = Contact { finger: 77, phase: Phase::Down, at, size_mm: None, time: now, shown: Some(FrameId(9)) };
        recognizer.push(down, &mut out);
        out.clear();
        recognizer.push(Contact { phase: Phase::Up, time: now + Duration::from_millis(50), ..down }, &mut out);
        prop_assert_eq!(out, vec![Gesture::Tap { at, shown: Some(FrameId(9)) }]);
    }
}
