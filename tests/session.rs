//! What the session does with taps, drags and controls, seen from outside: case tables, and random commands within bounds.

use std::time::Duration;

use proptest::prelude::*;
use sonotap::frame::{ImageRegion, RegionContent};
use sonotap::geometry::{Point, Rect};
use sonotap::prompt::{Polarity, PromptShape};
use sonotap::region::{FrameRegion, Misplaced, Regions};
use sonotap::scene::{FillLevel, LostReason, Mode, Notice, Tool};
use sonotap::session::{Command, Outcome, RingView, Session, SessionConfig, Situation, View};
use sonotap::units::{FrameId, ObjectId, Timestamp};

const A: ObjectId = ObjectId(0);
const B: ObjectId = ObjectId(1);
const RADIUS: f32 = 10.0;

fn situation() -> Situation {
    Situation {
        now: Timestamp::from_ms(1000),
        ring: RingView { len: 20, shown: 0 },
        regions: image(RegionContent::BMode),
        homes: [None; ObjectId::MAX],
        marker_radius_px: RADIUS,
        lost: [None; ObjectId::MAX],
    }
}

fn image(content: RegionContent) -> Regions {
    Regions::one(ImageRegion { rect: Rect::new(100.0, 50.0, 500.0, 450.0), content })
}

fn session() -> Session {
    Session::new(SessionConfig::default())
}

fn tap(x: f32, y: f32) -> Command {
    Command::Click { at: Point::new(x, y), polarity: None, shown: Some(FrameId(49)) }
}

fn exclude(x: f32, y: f32) -> Command {
    Command::Click { at: Point::new(x, y), polarity: Some(Polarity::Negative), shown: Some(FrameId(49)) }
}

fn drag(x0: f32, y0: f32, x1: f32, y1: f32) -> Command {
    Command::BoxPrompt { rect: Rect::new(x0, y0, x1, y1), shown: Some(FrameId(48)) }
}

/// `+x,y` `-x,y` `[x0,y0 x1,y1` for each active prompt, then `?n` for another than the first candidate.
fn prompts(s: &Session, object: ObjectId) -> String {
    let mut words: Vec<String> = s
        .prompts()
        .active(object)
        .map(|p| match p.shape {
            PromptShape::Click { at, polarity: Polarity::Positive } => format!("+{},{}", at.x, at.y),
            PromptShape::Click { at, polarity: Polarity::Negative } => format!("-{},{}", at.x, at.y),
            PromptShape::Box(r) => format!("[{},{} {},{}", r.x0, r.y0, r.x1, r.y1),
        })
        .collect();
    if s.prompts().candidate(object) > 0 {
        words.push(format!("?{}", s.prompts().candidate(object)));
    }
    words.join(" ")
}

#[test]
fn what_each_tap_and_drag_does() {
    use Command::*;
    use Outcome::{Changed, Edited, Refused, Started, Unchanged};
    let cases: [(&str, &[Command], Outcome, &str, &str); 20] = [
        ("first tap", &[tap(200.0, 200.0)], Started(A), "+200,200", ""),
        ("another tap", &[tap(200.0, 200.0), tap(220.0, 200.0)], Edited, "+200,200 +220,200", ""),
        ("exclude", &[tap(200.0, 200.0), exclude(220.0, 200.0)], Edited, "+200,200 -220,200", ""),
        (
            "by tool",
            &[tap(200.0, 200.0), ChooseTool(Tool::Exclude), tap(220.0, 200.0)],
            Edited,
            "+200,200 -220,200",
            "",
        ),
        ("exclude first", &[ChooseTool(Tool::Exclude), tap(200.0, 200.0)], Refused(Notice::TapToStart), "", ""),
        ("left of the region", &[tap(99.9, 200.0)], Refused(Notice::OutsideImage), "", ""),
        ("right edge is outside", &[tap(500.0, 200.0)], Refused(Notice::OutsideImage), "", ""),
        ("no place at all", &[tap(f32::NAN, 200.0)], Refused(Notice::OutsideImage), "", ""),
        ("again: next outline", &[tap(200.0, 200.0), tap(206.0, 208.0)], Edited, "+200,200 ?1", ""),
        ("just beside the marker", &[tap(200.0, 200.0), tap(206.0, 208.5)], Edited, "+200,200 +206,208.5", ""),
        ("marker of two", &[tap(200.0, 200.0), tap(250.0, 200.0), tap(200.0, 201.0)], Edited, "+250,200", ""),
        ("nearer of two markers", &[tap(200.0, 200.0), tap(212.0, 200.0), tap(207.0, 200.0)], Edited, "+200,200", ""),
        ("box", &[drag(300.0, 300.0, 200.0, 200.0)], Started(A), "[200,200 300,300", ""),
        ("box over the edge", &[drag(50.0, 200.0, 300.0, 300.0)], Started(A), "[100,200 300,300", ""),
        ("box outside", &[drag(0.0, 0.0, 90.0, 40.0)], Refused(Notice::OutsideImage), "", ""),
        ("line", &[drag(200.0, 200.0, 300.0, 203.0)], Unchanged, "", ""),
        (
            "box after a click, then another",
            &[tap(250.0, 250.0), drag(200.0, 200.0, 300.0, 300.0), drag(210.0, 210.0, 310.0, 310.0)],
            Edited,
            "+250,250 [210,210 310,310",
            "",
        ),
        ("corner of a box", &[drag(200.0, 200.0, 300.0, 300.0), tap(305.0, 195.0)], Edited, "", ""),
        (
            "middle of a small box",
            &[drag(200.0, 200.0, 212.0, 212.0), tap(206.0, 206.0)],
            Edited,
            "[200,200 212,212 +206,206",
            "",
        ),
        (
            "marker of another object",
            &[tap(200.0, 200.0), NewObject, tap(300.0, 300.0), tap(201.0, 200.0)],
            Changed,
            "+200,200",
            "+300,300",
        ),
    ];
    for (name, commands, outcome, of_a, of_b) in cases {
        let mut s = session();
        let outcomes: Vec<_> = commands.iter().map(|&c| s.apply(c, &situation())).collect();
        assert_eq!(outcomes.last(), Some(&outcome), "{name}");
        assert_eq!((prompts(&s, A).as_str(), prompts(&s, B).as_str()), (of_a, of_b), "{name}");
        assert_eq!(s.active_object(), A, "{name}");
    }
}

#[test]
fn taps_on_the_only_marker_show_the_other_outlines_and_then_remove_it() {
    let mut s = session();
    let seen: Vec<_> = (0..5)
        .map(|_| {
            s.apply(tap(200.0, 200.0), &situation());
            prompts(&s, A)
        })
        .collect();
    assert_eq!(seen, ["+200,200", "+200,200 ?1", "+200,200 ?2", "", "+200,200"]);
    let undone: Vec<_> = (0..5)
        .map(|_| {
            s.apply(Command::Undo, &situation());
            prompts(&s, A)
        })
        .collect();
    assert_eq!(undone, ["", "+200,200 ?2", "+200,200 ?1", "+200,200", ""]);
    assert_eq!(s.apply(Command::Undo, &situation()), Outcome::Unchanged);
    s.apply(Command::Redo, &situation());
    for candidate in ["+200,200 ?1", "+200,200 ?2", "+200,200"] {
        assert_eq!(s.apply(Command::NextCandidate, &situation()), Outcome::Edited);
        assert_eq!(prompts(&s, A), candidate, "the button comes round, it does not remove");
    }
}

#[test]
fn an_excluding_tap_near_another_objects_marker_excludes() {
    let mut s = session();
    for c in [tap(200.0, 200.0), Command::NewObject, tap(300.0, 300.0), exclude(201.0, 200.0)] {
        s.apply(c, &situation());
    }
    assert_eq!((s.active_object(), prompts(&s, B).as_str()), (B, "+300,300 -201,200"));
}

#[test]
fn a_tap_begins_a_lost_object_anew_and_undo_brings_its_prompts_back() {
    let mut s = session();
    s.apply(tap(200.0, 200.0), &situation());
    s.apply(exclude(240.0, 200.0), &situation());
    let mut lost = situation();
    lost.lost[0] = Some(LostReason::AreaJump);
    let again = Notice::TapAgain(A, LostReason::AreaJump);
    assert_eq!(s.apply(exclude(300.0, 200.0), &lost), Outcome::Refused(again));
    assert_eq!(s.apply(Command::NextCandidate, &lost), Outcome::Unchanged);
    assert_eq!(s.apply(tap(201.0, 200.0), &lost), Outcome::Started(A), "its old marker was in the way");
    assert_eq!(prompts(&s, A), "+201,200");
    s.apply(Command::Undo, &situation());
    assert_eq!(prompts(&s, A), "+200,200 -240,200");
    assert_eq!(s.apply(drag(200.0, 200.0, 260.0, 260.0), &lost), Outcome::Started(A));
    assert_eq!(prompts(&s, A), "[200,200 260,260");
}

#[test]
fn other_pictures_than_b_mode_take_no_prompts() {
    let mut at = situation();
    for (content, outcome) in [
        (RegionContent::BMode, Outcome::Started(A)),
        (RegionContent::Unknown, Outcome::Started(A)),
        (RegionContent::ColourDoppler, Outcome::Refused(Notice::NotBMode)),
        (RegionContent::Trace, Outcome::Refused(Notice::NotBMode)),
    ] {
        at.regions = image(content);
        assert_eq!(session().apply(tap(200.0, 200.0), &at), outcome, "{content:?}");
        assert_eq!(session().apply(drag(200.0, 200.0, 250.0, 250.0), &at), outcome, "{content:?}");
    }
}

#[test]
fn prompts_of_one_object_stay_in_the_region_where_it_began() {
    let part =
        |x0, x1, y1, content| FrameRegion { rect: Rect::new(x0, 0.0, x1, y1), content, ..FrameRegion::default() };
    let screen = [
        part(0.0, 300.0, 400.0, RegionContent::BMode),
        part(300.0, 600.0, 400.0, RegionContent::BMode),
        FrameRegion {
            rect: Rect::new(0.0, 400.0, 600.0, 500.0),
            content: RegionContent::MMode,
            ..FrameRegion::default()
        },
    ];
    let mut at = situation();
    at.regions = Regions::new(&screen).unwrap();
    let mut s = session();
    assert_eq!(s.apply(tap(100.0, 100.0), &at), Outcome::Started(A));
    at.homes[0] = Some(screen[0].rect);
    let misplaced = |why| Outcome::Refused(Notice::Misplaced(why));
    assert_eq!(s.apply(tap(400.0, 100.0), &at), misplaced(Misplaced::Across));
    assert_eq!(s.apply(drag(400.0, 100.0, 500.0, 200.0), &at), misplaced(Misplaced::Across));
    assert_eq!(s.apply(drag(250.0, 100.0, 350.0, 200.0), &at), misplaced(Misplaced::Across));
    assert_eq!(s.apply(tap(100.0, 450.0), &at), misplaced(Misplaced::NotTissue(RegionContent::MMode)));
    assert_eq!(s.apply(tap(100.0, 550.0), &at), Outcome::Refused(Notice::OutsideImage));
    assert_eq!(prompts(&s, A), "+100,100");
    s.apply(Command::NewObject, &at);
    assert_eq!(s.apply(tap(400.0, 100.0), &at), Outcome::Started(ObjectId(1)), "the second image of a dual one");
}

#[test]
fn a_seventeenth_prompt_is_refused_with_a_notice() {
    let mut s = session();
    for i in 0..16 {
        s.apply(tap(110.0 + 20.0 * i as f32, 200.0), &situation());
    }
    assert_eq!(s.apply(tap(110.0, 300.0), &situation()), Outcome::Refused(Notice::PromptsFull));
    assert_eq!(s.prompts().active(A).count(), 16);
}

#[test]
fn objects_are_used_up_selected_and_found_again_by_undo() {
    let mut s = session();
    assert_eq!(s.apply(Command::Select(ObjectId(4)), &situation()), Outcome::Unchanged);
    for i in 0..4 {
        assert_eq!(s.apply(Command::NewObject, &situation()), Outcome::Changed);
        assert_eq!(s.apply(tap(150.0 + 50.0 * i as f32, 200.0), &situation()), Outcome::Started(ObjectId(i)));
    }
    assert_eq!(s.apply(Command::NewObject, &situation()), Outcome::Refused(Notice::ObjectsFull));
    s.apply(Command::Select(B), &situation());
    s.apply(Command::Undo, &situation());
    assert_eq!(s.active_object(), ObjectId(3), "undo changed an object that the operator does not see");
    let mut lost = situation();
    lost.lost[1] = Some(LostReason::SceneCut);
    assert_eq!(s.apply(Command::Select(B), &lost), Outcome::Changed);
    assert_eq!(s.notice(lost.now), Some(Notice::TapAgain(B, LostReason::SceneCut)));
}

#[test]
fn clear_takes_the_active_object_then_all_and_can_be_undone() {
    let mut s = session();
    for c in [tap(200.0, 200.0), Command::NewObject, tap(300.0, 300.0), Command::ChooseTool(Tool::Exclude)] {
        s.apply(c, &situation());
    }
    assert_eq!(s.apply(Command::Clear, &situation()), Outcome::Edited);
    assert_eq!((prompts(&s, A).as_str(), prompts(&s, B).as_str()), ("+200,200", ""));
    assert_eq!(s.tool(), Tool::Include, "the next tap would have nothing to exclude from");
    assert_eq!(s.apply(Command::Clear, &situation()), Outcome::Edited);
    assert!(s.prompts().is_empty(A));
    assert_eq!(s.apply(Command::Clear, &situation()), Outcome::Unchanged);
    s.apply(Command::Undo, &situation());
    s.apply(Command::Undo, &situation());
    assert_eq!((prompts(&s, A).as_str(), prompts(&s, B).as_str()), ("+200,200", "+300,300"));
}

#[test]
fn freezing_keeps_the_shown_frame_and_review_moves_within_the_ring() {
    use Command::*;
    use Outcome::{Moved, Unchanged};
    let mut at = situation();
    at.ring = RingView { len: 5, shown: 1 };
    let mut s = session();
    let still = |i| View::Ring { index_from_newest: i };
    for (n, (command, outcome, mode, view)) in [
        (StepBack, Unchanged, Mode::Live, View::Live),
        (ScrubTo(0.0), Unchanged, Mode::Live, View::Live),
        (Unfreeze, Unchanged, Mode::Live, View::Live),
        (ToggleFreeze, Moved, Mode::Frozen, still(1)),
        (Freeze, Unchanged, Mode::Frozen, still(1)),
        (StepBack, Moved, Mode::Review, still(2)),
        (StepForward, Moved, Mode::Frozen, still(1)),
        (StepForward, Moved, Mode::Review, still(0)),
        (StepForward, Unchanged, Mode::Review, still(0)),
        (ScrubTo(0.0), Moved, Mode::Review, still(4)),
        (StepBack, Unchanged, Mode::Review, still(4)),
        (ScrubTo(f32::NAN), Unchanged, Mode::Review, still(4)),
        (ScrubTo(0.5), Moved, Mode::Review, still(2)),
        (ScrubTo(7.0), Moved, Mode::Review, still(0)),
        (tap(200.0, 200.0), Outcome::Started(A), Mode::Review, still(0)),
        (ToggleFreeze, Moved, Mode::Live, View::Live),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(s.apply(command, &at), outcome, "step {n}: {command:?}");
        assert_eq!((s.mode(), s.view()), (mode, view), "step {n}: {command:?}");
    }
    assert_eq!(prompts(&s, A), "+200,200", "a prompt of the still picture was dropped");
    at.ring = RingView::default();
    assert_eq!(s.apply(Freeze, &at), Unchanged, "nothing was frozen");
}

#[test]
fn notices_go_by_themselves_or_with_the_next_edit() {
    let mut s = session();
    let at = situation();
    s.apply(tap(0.0, 0.0), &at);
    assert_eq!(s.notice(at.now + Duration::from_millis(2999)), Some(Notice::OutsideImage));
    assert_eq!(s.notice(at.now + Duration::from_millis(3000)), None);
    s.apply(Command::CycleFill, &at);
    assert!(s.notice(at.now).is_some(), "a change of the fill answers no notice");
    s.apply(tap(200.0, 200.0), &at);
    assert_eq!(s.notice(at.now), None);
}

#[test]
fn looks_change_and_come_round() {
    let mut s = session();
    let fills: Vec<_> = (0..3)
        .map(|_| {
            s.apply(Command::CycleFill, &situation());
            s.fill()
        })
        .collect();
    assert_eq!(fills, [FillLevel::Quarter, FillLevel::Half, FillLevel::None]);
    assert_eq!(s.apply(Command::HideOverlay(true), &situation()), Outcome::Changed);
    assert_eq!(s.apply(Command::HideOverlay(true), &situation()), Outcome::Unchanged);
    assert!(s.is_overlay_hidden());
    s.apply(Command::RubberBand(Some(Rect::new(0.0, 0.0, 200.0, 200.0))), &situation());
    assert_eq!(s.rubber_band(), Some(Rect::new(100.0, 50.0, 200.0, 200.0)));
    s.apply(drag(0.0, 0.0, 200.0, 200.0), &situation());
    assert_eq!(s.rubber_band(), None);
}

#[test]
fn a_new_exam_keeps_nothing_of_the_last_patient() {
    let mut s = session();
    let at = situation();
    for c in [
        tap(200.0, 200.0),
        Command::NewObject,
        tap(300.0, 300.0),
        Command::ChooseTool(Tool::Exclude),
        Command::Freeze,
        Command::HideOverlay(true),
        Command::RubberBand(Some(Rect::new(150.0, 150.0, 200.0, 200.0))),
        tap(0.0, 0.0),
    ] {
        s.apply(c, &at);
    }
    let revision = s.prompts().revision();
    s.new_exam();
    assert!(s.prompts().revision() > revision, "a mask of the last patient would still fit");
    assert_eq!((s.mode(), s.view()), (Mode::Live, View::Live));
    assert_eq!((s.active_object(), s.tool(), s.is_overlay_hidden()), (A, Tool::Include, false));
    assert_eq!((s.rubber_band(), s.notice(at.now)), (None, None));
    for c in [Command::Undo, Command::Redo, Command::Clear] {
        assert_eq!(s.apply(c, &at), Outcome::Unchanged, "{c:?} brought something back");
    }
}

fn command() -> impl Strategy<Value = Command> {
    let coordinate =
        || prop_oneof![20 => (0u16..600).prop_map(f32::from), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)];
    let polarity = prop_oneof![Just(None), Just(Some(Polarity::Positive)), Just(Some(Polarity::Negative))];
    prop_oneof![
        20 => (coordinate(), coordinate(), polarity).prop_map(|(x, y, polarity)| Command::Click {
            at: Point::new(x, y), polarity, shown: Some(FrameId(1))
        }),
        4 => (coordinate(), coordinate(), coordinate(), coordinate()).prop_map(|(a, b, c, d)| drag(a, b, c, d)),
        2 => (coordinate(), coordinate(), coordinate(), coordinate())
            .prop_map(|(a, b, c, d)| Command::RubberBand(Some(Rect::new(a, b, c, d)))),
        2 => coordinate().prop_map(|v| Command::ScrubTo(v / 500.0)),
        4 => (0u8..6).prop_map(|o| Command::Select(ObjectId(o))),
        30 => prop::sample::select(vec![
            Command::Undo, Command::Redo, Command::Clear, Command::ToggleFreeze, Command::Freeze,
            Command::Unfreeze, Command::StepBack, Command::StepForward, Command::NewObject,
            Command::ChooseTool(Tool::Include), Command::ChooseTool(Tool::Exclude), Command::CycleFill,
            Command::HideOverlay(true), Command::HideOverlay(false), Command::RubberBand(None), Command::NextCandidate,
            Command::SaveStill, Command::SaveCine,
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_command_leaves_the_bounds(
        steps in prop::collection::vec((command(), 0usize..12, 0usize..20, 0u8..16), 1..400)
    ) {
        let mut s = session();
        for (command, len, shown, lost) in steps {
            let mut at = situation();
            at.ring = RingView { len, shown };
            at.lost = std::array::from_fn(|o| (lost == o as u8).then_some(LostReason::LowScore));
            let before = s.prompts().revision();
            let outcome = s.apply(command, &at);
            let is_edit = matches!(outcome, Outcome::Edited | Outcome::Started(_));
            prop_assert_eq!(s.prompts().revision().0, before.0 + u64::from(is_edit), "{:?}", command);
            if let View::Ring { index_from_newest } = s.view() {
                prop_assert!(index_from_newest < len);
            }
            prop_assert_eq!(s.view() == View::Live, s.mode() == Mode::Live);
            prop_assert!(s.active_object().index() < ObjectId::MAX);
            for prompt in (0..ObjectId::MAX as u8).flat_map(|o| s.prompts().active(ObjectId(o))) {
                let anchor = prompt.shape.anchor();
                prop_assert!(at.regions[0].rect.contains(anchor), "{:?} lies outside the image", prompt);
            }
            if let Some(band) = s.rubber_band() {
                prop_assert!(band.intersect(&at.regions[0].rect) == Some(band));
            }
            if let Outcome::Refused(notice) = outcome {
                prop_assert_eq!(s.notice(at.now), Some(notice));
            }
        }
    }
}
