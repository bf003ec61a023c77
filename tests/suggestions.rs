//! Suggestions on a fake clock: what is shown before any tap, what a tap makes of it, and what it must never become.

#[allow(dead_code, reason = "shared with other tests")]
mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Behaviour, CELLS, DarkRegion, World};
use sonotap::calipers::CaliperCommand;
use sonotap::error::{ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, ModelView, Point};
use sonotap::glass::DisplayTiming;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::prompt::Polarity;
use sonotap::scene::{Marker, Mode, Overlay, Scene, Signal, Suggestion, Tool};
use sonotap::session::Command;
use sonotap::source::phantom::{Event, PhantomPreset};
use sonotap::units::{ObjectId, Score, Timestamp};

/// Logits of the next proposals; the last one stays.
type Logits = Arc<Mutex<Vec<f32>>>;

/// A model that proposes the dark regions, as surely as it is told.
struct Finder {
    region: DarkRegion,
    logits: Logits,
}

impl Segmenter for Finder {
    fn spec(&self) -> ModelSpec {
        ModelSpec { proposes: true, ..self.region.spec() }
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        self.region.encode(frame, view)
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        self.region.decode(prompts, out)
    }

    fn propose(&mut self, out: &mut Vec<f32>) -> Result<Option<f32>> {
        let mut logits = self.logits.lock().unwrap();
        let logit = if logits.len() > 1 { logits.remove(0) } else { logits[0] };
        out.clear();
        out.resize(CELLS * CELLS, -6.0);
        for (value, _) in out.iter_mut().zip(&self.region.dark).filter(|(_, dark)| **dark) {
            *value = logit;
        }
        Ok(Some(1.0 / (1.0 + (-logit).exp())))
    }
}

struct Setup {
    world: World,
    logits: Logits,
}

/// A cyst under a probe, and a model that finds it in `look`.
fn setup(events: Vec<(u64, Event)>, look_ms: u64) -> Setup {
    let behaviour = Arc::new(Mutex::new(Behaviour::Good));
    let logits: Logits = Arc::new(Mutex::new(vec![4.0]));
    let finder = Finder { region: DarkRegion::new(behaviour.clone()), logits: logits.clone() };
    let config = LiveConfig { display: DisplayTiming::OnReturn, suggest: Score::new(0.8), ..LiveConfig::default() };
    let look = Duration::from_millis(look_ms);
    let world = World::of(PhantomPreset::Cyst, events, look, config, Box::new(finder), behaviour);
    Setup { world, logits }
}

impl Setup {
    fn run_for(&mut self, ms: u64) {
        let end = self.world.now() + Duration::from_millis(ms);
        self.world.run_until(end);
    }

    fn propose(&self, logits: &[f32]) {
        *self.logits.lock().unwrap() = logits.to_vec();
    }

    fn scene(&self) -> &Scene {
        &self.world.shots.last().unwrap().scene
    }

    fn suggestion(&self) -> Option<&Suggestion> {
        self.scene().suggestion.as_ref()
    }

    fn command(&mut self, command: Command) {
        let now = self.world.now();
        self.world.live.command(command, now);
    }

    fn tap_at(&mut self, at: Point<ImageSpace>, touched: Timestamp) {
        let shown = self.world.live.on_screen();
        self.world.live.command(Command::Click { at, polarity: None, shown }, touched);
    }

    fn tap(&mut self, at: Point<ImageSpace>) {
        self.tap_at(at, self.world.now());
    }

    fn cyst(&self) -> Point<ImageSpace> {
        let picture = self.world.picture_of(self.world.live.on_screen());
        self.world.phantom.tap_point(picture).unwrap()
    }

    fn markers(&self) -> Vec<Marker> {
        self.scene().objects.iter().flat_map(|o| o.markers.clone()).collect()
    }
}

#[test]
fn what_the_model_finds_is_suggested_before_any_tap_and_is_no_object() {
    let mut s = setup(vec![], 12);
    s.run_for(500);
    let suggestion = s.suggestion().expect("the cyst is suggested");
    assert!(suggestion.outline.contains(s.cyst()), "{:?}", suggestion.outline.bounds());
    assert!((suggestion.score.get() - 0.982).abs() < 0.01, "{:?}", suggestion.score);
    assert!(s.scene().objects.is_empty() && s.markers().is_empty() && !s.scene().can_undo);
    s.command(Command::SaveStill);
    assert!(s.world.live.take_save_request().still);
    assert!(s.scene().objects.is_empty(), "what is saved is the scene's objects");
    // Live it is carried from the frame that it was made for, at most one frame and an answer ago.
    for shot in s.world.shots.iter().filter(|shot| shot.scene.suggestion.is_some()) {
        match shot.scene.suggestion.as_ref().unwrap().overlay {
            Overlay::Exact => {}
            Overlay::Carried { age } => assert!(age <= Duration::from_millis(90), "{age:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tap_within_a_suggestion_accepts_it_and_one_undo_takes_it_back() {
    let mut s = setup(vec![], 12);
    s.run_for(500);
    let bounds = s.suggestion().unwrap().outline.bounds().unwrap();
    s.tap(s.cyst());
    s.run_for(300);
    assert!(s.suggestion().is_none(), "nothing is suggested beside an object");
    assert!(s.scene().objects[0].overlay.is_drawn(), "{:?}", s.scene().objects[0].overlay);
    let markers = s.markers();
    let [Marker::Box { rect, .. }, Marker::Click { polarity: Polarity::Positive, .. }] = markers[..] else {
        panic!("expected the suggestion's box and the tap, got {markers:?}")
    };
    assert!((rect.width() / bounds.width() - 1.2).abs() < 0.1, "{rect:?} around {bounds:?}");
    s.command(Command::Undo);
    s.run_for(400);
    assert!(s.scene().objects.is_empty() && !s.scene().can_undo, "one undo takes all of it back");
    assert!(s.suggestion().is_some(), "and it is suggested again");
    s.command(Command::Redo);
    s.run_for(200);
    assert_eq!((s.markers().len(), s.suggestion().is_some()), (2, false));
}

#[test]
fn a_tap_beside_a_suggestion_is_an_ordinary_tap() {
    let mut s = setup(vec![], 12);
    s.run_for(500);
    let bounds = s.suggestion().unwrap().outline.bounds().unwrap();
    let beside = Point::new(bounds.x1 + 12.0, bounds.centre().y);
    s.tap(beside);
    s.run_for(100);
    assert!(matches!(s.markers()[..], [Marker::Click { .. }]), "{:?}", s.markers());
    assert!(s.suggestion().is_none());

    let mut s = setup(vec![], 12);
    s.run_for(500);
    s.command(Command::ChooseTool(Tool::Exclude));
    s.tap(s.cyst());
    s.run_for(100);
    assert!(s.scene().objects.is_empty(), "a tap that excludes accepts nothing");
}

#[test]
fn a_finger_that_was_on_its_way_before_a_suggestion_accepts_nothing() {
    let mut s = setup(vec![], 12);
    while s.world.shots.last().is_none_or(|shot| shot.scene.suggestion.is_none()) {
        s.run_for(1);
    }
    s.run_for(100);
    let touched = s.world.now();
    s.run_for(120);
    s.tap_at(s.cyst(), touched);
    s.run_for(100);
    assert!(matches!(s.markers()[..], [Marker::Click { .. }]), "{:?}", s.markers());
}

#[test]
fn a_tap_on_a_frame_from_before_the_suggestion_accepts_nothing() {
    // As on a tablet, whose picture comes later: the finger is on a picture without it, long after it was drawn here.
    let mut s = setup(vec![], 12);
    while s.world.shots.last().is_none_or(|shot| shot.scene.suggestion.is_none()) {
        s.run_for(1);
    }
    let is_without = |shot: &&common::Shot| shot.scene.suggestion.is_none() && shot.scene.frame.is_some();
    let before = s.world.shots.iter().rev().find(is_without).unwrap().scene.frame;
    s.run_for(400);
    let (at, now) = (s.cyst(), s.world.now());
    s.world.live.command(Command::Click { at, polarity: None, shown: before }, now);
    s.run_for(100);
    assert!(matches!(s.markers()[..], [Marker::Click { .. }]), "{:?}", s.markers());
}

#[test]
fn a_frozen_frame_shows_only_its_own_suggestion_and_a_tap_accepts_it() {
    let mut s = setup(vec![], 12);
    s.run_for(500);
    s.command(Command::Freeze);
    s.run_for(400);
    assert_eq!(s.scene().mode, Mode::Frozen);
    assert_eq!(s.suggestion().map(|x| x.overlay), Some(Overlay::Exact));
    s.command(Command::StepBack);
    s.run_for(5);
    assert!(s.suggestion().is_none(), "another frame, and no answer for it yet");
    s.run_for(300);
    assert_eq!(s.suggestion().map(|x| x.overlay), Some(Overlay::Exact));
    s.tap(s.cyst());
    s.run_for(200);
    assert_eq!(s.scene().objects[0].overlay, Overlay::Exact);
}

#[test]
fn a_suggestion_goes_with_the_picture_the_signal_and_the_exam() {
    let mut s = setup(vec![(20, Event::Cut { seed: 7 })], 12);
    s.run_for(1_000);
    let shots = &s.world.shots;
    let first_after = shots.iter().find(|shot| shot.picture >= 20).unwrap();
    assert!(first_after.scene.suggestion.is_none(), "the suggestion of the picture before the cut");

    let mut s = setup(vec![], 12);
    s.run_for(500);
    assert!(s.suggestion().is_some());
    s.world.live.new_exam();
    s.run_for(34);
    assert!(s.suggestion().is_none(), "the suggestion of another exam's picture");
    s.run_for(300);
    assert!(s.suggestion().is_some());
    s.world.is_source_running = false;
    s.run_for(300);
    assert_eq!(s.scene().signal, Signal::Missing);
    assert!(s.suggestion().is_none());
}

#[test]
fn an_unsure_failing_or_stale_proposal_is_not_shown() {
    let mut s = setup(vec![], 12);
    s.run_for(300);
    assert!(s.suggestion().is_some());
    s.propose(&[0.8]);
    s.run_for(200);
    assert!(s.suggestion().is_none(), "a score of .69 is below .8");
    for nothing in [f32::NAN, -1.0] {
        s.propose(&[nothing]);
        s.run_for(200);
        assert!(s.suggestion().is_none(), "{nothing}");
    }
    s.propose(&[4.0]);
    s.run_for(200);
    assert!(s.suggestion().is_some());

    // A look of 1.5 s is older than outlines may be without being dimmed.
    let mut s = setup(vec![], 1_500);
    s.run_for(6_000);
    assert!(s.world.shots.iter().all(|shot| shot.scene.suggestion.is_none()));
}

#[test]
fn what_only_one_answer_finds_does_not_flash_up_live() {
    let mut s = setup(vec![], 12);
    s.propose(&[-1.0, -1.0, 4.0, -1.0]);
    s.run_for(600);
    assert!(s.logits.lock().unwrap().len() == 1 && s.world.live.report().suggest.count > 4);
    let seen = |s: &Setup| s.world.shots.iter().filter(|shot| shot.scene.suggestion.is_some()).count();
    assert_eq!(seen(&s), 0, "one answer among others is not shown");
    s.propose(&[4.0, 4.0, -1.0]);
    s.run_for(300);
    assert!(seen(&s) > 0, "the second that agrees is");
    assert!(s.suggestion().is_none());
}

#[test]
fn nothing_is_suggested_while_somebody_measures_or_hides_the_overlay() {
    let mut s = setup(vec![], 12);
    s.run_for(300);
    s.command(Command::HideOverlay(true));
    s.run_for(40);
    assert!(s.suggestion().is_none());
    s.command(Command::HideOverlay(false));
    s.run_for(40);
    assert!(s.suggestion().is_some());
    s.command(Command::Freeze);
    s.run_for(100);
    assert!(s.suggestion().is_some());
    s.command(Command::Calipers(CaliperCommand::Toggle));
    s.run_for(40);
    assert!(s.suggestion().is_none() && s.scene().calipers.is_some());
}

#[test]
fn suggesting_makes_no_frame_late_and_leaves_the_model_to_taps() {
    let mut s = setup(vec![], 200);
    s.run_for(4_000);
    let report = s.world.live.report();
    assert_eq!((report.deadline.late_under_live, report.drops.past_deadline), (0, 0));
    // Of 4 s the model may be busy for a third.
    assert!((5..=7).contains(&report.suggest.count), "{}", report.suggest.count);
    assert_eq!((report.look.count, report.drops.model_busy), (0, 0), "a suggestion is no look");
    // What is outlined has the model to itself.
    s.tap(Point::new(30.0, 200.0));
    let before = s.world.live.report().suggest.count;
    s.run_for(2_000);
    assert!(!s.scene().objects.is_empty());
    let more = s.world.live.report().suggest.count - before;
    assert!(more <= 1, "only what was on its way: {more}");
}

#[test]
fn while_frames_are_late_or_left_out_nothing_is_suggested() {
    let mut s = setup(vec![], 12);
    s.run_for(500);
    assert!(s.suggestion().is_some());
    s.world.draw = Duration::from_millis(45);
    s.run_for(1_000);
    let report = s.world.live.report();
    assert!(report.drops.past_deadline + report.deadline.late_said > 5, "{:?} {:?}", report.drops, report.deadline);
    s.run_for(3_000);
    let after = s.world.live.report();
    assert_eq!(after.suggest.count, report.suggest.count, "the model was asked while frames were late");
    assert!(s.world.shots.last().unwrap().scene.suggestion.is_none(), "what is old is not shown");
    s.world.draw = Duration::from_millis(4);
    s.run_for(2_000);
    assert!(s.suggestion().is_some(), "and it comes back");
}

#[test]
fn a_suggestion_and_an_outline_are_never_in_one_scene() {
    let mut s = setup(vec![(40, Event::Cut { seed: 3 })], 25);
    for step in 0..40_u64 {
        s.run_for(60);
        match step % 5 {
            0 => s.tap(s.cyst()),
            2 => s.command(Command::Undo),
            3 => s.command(Command::NewObject),
            4 => s.command(Command::Clear),
            _ => {}
        }
    }
    let seen = |is: fn(&Scene) -> bool| s.world.shots.iter().filter(|shot| is(&shot.scene)).count();
    assert_eq!(seen(|x| x.suggestion.is_some() && !x.objects.is_empty()), 0);
    assert!(seen(|x| x.suggestion.is_some()) > 5 && seen(|x| !x.objects.is_empty()) > 5);
}

#[test]
fn a_model_that_proposes_nothing_is_refused_where_something_is_to_be_suggested() {
    let behaviour = Arc::new(Mutex::new(Behaviour::Good));
    let supply = move || {
        let segmenter = Box::new(DarkRegion::new(behaviour.clone()));
        Ok(Predictor::new(segmenter, PredictOptions::default()))
    };
    let config = LiveConfig { suggest: Score::new(0.8), ..LiveConfig::default() };
    let e = Live::start(supply, config).map(drop).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Config);
    assert!(e.to_string().contains("proposal.onnx"), "{e}");
    assert!(s_without().is_none());
}

/// Without the setting nothing is asked of a model that would propose.
fn s_without() -> Option<Suggestion> {
    let behaviour = Arc::new(Mutex::new(Behaviour::Good));
    let finder = Finder { region: DarkRegion::new(behaviour.clone()), logits: Arc::new(Mutex::new(vec![4.0])) };
    let config = LiveConfig { display: DisplayTiming::OnReturn, ..LiveConfig::default() };
    let look = Duration::from_millis(12);
    let mut world = World::of(PhantomPreset::Cyst, vec![], look, config, Box::new(finder), behaviour);
    world.run_until(Timestamp::from_ms(500));
    assert!(world.live.engine().object(ObjectId(0)).is_some() && world.live.report().suggest.count == 0);
    world.shots.last().unwrap().scene.suggestion.clone()
}
