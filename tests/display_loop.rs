//! The display loop, on a fake clock with a display that tells what it was given.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{DarkRegion, SlowPredictor};
use sonotap::desk::{Button, ExamTold, Identity, Page};
use sonotap::display::{Arrival, Display, Key, Presence, Presentation, Presented};
use sonotap::display_loop::DisplayLoop;
use sonotap::error::Result;
use sonotap::frame::Frame;
use sonotap::glass::Light;
use sonotap::input::{Contact, Phase};
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::overlay::{Canvas, Control, LayoutConfig};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::scene::{Mode, Scene};
use sonotap::screen::{Pointer, Screen, ScreenConfig};
use sonotap::session::{Command, SaveRequest};
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, Span, Timestamp};

const PERIOD_MS: u64 = 33;

/// A display whose operator and speed the test sets.
struct Fake {
    hand: Arc<AtomicU64>,
    size: (u32, u32),
    takes: Duration,
    contacts: Vec<Contact>,
    keys: Vec<Key>,
    is_closed: bool,
    /// Of each presentation, the frame and whether it was shown.
    shown: Vec<(FrameId, bool)>,
    again: usize,
    dpi: f32,
    /// Where pictures arrive later: those under way, with the time at which they were handed over.
    underway: Option<Vec<(u64, Timestamp)>>,
    arrivals: Vec<Arrival>,
    controls: Vec<Control>,
    told: u64,
}

impl Fake {
    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }
}

impl Display for Fake {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn dpi(&self) -> f32 {
        self.dpi
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        assert_eq!((canvas.width(), canvas.height()), self.size, "a canvas of another size than the display's");
        self.hand.fetch_add(self.takes.as_ns(), Ordering::AcqRel);
        let is_shown = is_in_time();
        self.shown.push((shown.frame.unwrap(), is_shown));
        let now = self.now();
        if let Some(underway) = self.underway.as_mut().filter(|_| is_shown) {
            let number = shown.frame.unwrap().0;
            underway.push((number, now));
            return Ok(Presentation::Underway(number));
        }
        Ok(if is_shown { Presentation::Lit(Light::Now) } else { Presentation::Withheld })
    }

    fn present_again(&mut self, _canvas: &Canvas, _shown: &Presented) -> Result<()> {
        self.again += 1;
        Ok(())
    }

    fn contacts(&mut self, _now: Timestamp, _shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        out.append(&mut self.contacts);
        Ok(if self.is_closed { Presence::Closed } else { Presence::Open })
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        out.append(&mut self.keys);
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        out.append(&mut self.arrivals);
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        out.append(&mut self.controls);
    }

    fn tell(&mut self, _scene: &Scene) {
        self.told += 1;
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Bench {
    hand: Arc<AtomicU64>,
    phantom: Phantom,
    frame: Frame,
    display_loop: DisplayLoop<Fake, SlowPredictor>,
    pushed: u64,
}

impl Bench {
    fn new() -> Self {
        Self::of(LayoutConfig::default())
    }

    fn of(layout: LayoutConfig) -> Self {
        let hand = Arc::new(AtomicU64::new(Timestamp::from_ms(60_000).as_ns()));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(Box::new(DarkRegion::new(Arc::default())), PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(10));
        let live = Live::with(worker, Wake::default(), LiveConfig::default(), clock);
        let screen = Screen::new(ScreenConfig { pointer: Pointer::Mouse, layout, ..ScreenConfig::default() }).unwrap();
        let display = Fake {
            hand: hand.clone(),
            size: (800, 480),
            takes: Duration::from_millis(2),
            contacts: Vec::new(),
            keys: Vec::new(),
            is_closed: false,
            shown: Vec::new(),
            again: 0,
            dpi: 133.0,
            underway: None,
            arrivals: Vec::new(),
            controls: Vec::new(),
            told: 0,
        };
        let config = PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() };
        let phantom = Phantom::new(PhantomPreset::Cyst, config).unwrap();
        let display_loop = DisplayLoop::new(live, screen, display);
        Self { hand, phantom, frame: Frame::default(), display_loop, pushed: 0 }
    }

    fn push(&mut self) {
        self.phantom.render_at(self.pushed, &mut self.frame);
        self.pushed += 1;
        common::push(self.display_loop.live(), &self.frame, CaptureTime::Now);
    }

    /// One frame period with a turn each millisecond.
    fn period(&mut self) {
        self.push();
        let end = self.now() + PERIOD_MS * 1_000_000;
        while self.now() < end {
            self.display_loop.turn().unwrap();
            self.hand.fetch_add(1_000_000, Ordering::AcqRel);
        }
    }

    fn now(&self) -> u64 {
        self.hand.load(Ordering::Acquire)
    }

    fn fake(&mut self) -> &mut Fake {
        self.display_loop.display_mut()
    }
}

#[test]
fn a_click_on_the_display_becomes_an_outline_of_the_place_that_was_touched() {
    let mut bench = Bench::new();
    (0..5).for_each(|_| bench.period());
    let at = bench.phantom.tap_point(bench.pushed).unwrap();
    let place = bench.display_loop.screen().to_display().unwrap().apply(at);
    let (now, shown) = (Timestamp::from_ns(bench.now()), bench.display_loop.live().on_screen());
    let contact = |phase, at_time| Contact { finger: 0, phase, at: place, size_mm: None, time: at_time, shown };
    bench.fake().contacts = vec![contact(Phase::Down, now), contact(Phase::Up, now + Duration::from_millis(60))];
    (0..10).for_each(|_| bench.period());
    let engine = bench.display_loop.live().engine();
    let object = engine.scene().objects.first().expect("an object");
    assert!(object.overlay.is_drawn(), "{:?}", object.overlay);
    assert!(bench.fake().shown.iter().all(|(_, is_shown)| *is_shown));
}

#[test]
fn a_tap_is_timed_from_touch_down() {
    let mut bench = Bench::new();
    (0..20).for_each(|_| bench.period());
    let place = bench.display_loop.screen().to_display().unwrap().apply(bench.phantom.tap_point(bench.pushed).unwrap());
    let (now, shown) = (Timestamp::from_ns(bench.now()), bench.display_loop.live().on_screen());
    let contact = |phase, time| Contact { finger: 0, phase, at: place, size_mm: None, time, shown };
    bench.fake().contacts = vec![contact(Phase::Down, now - Duration::from_millis(120)), contact(Phase::Up, now)];
    (0..5).for_each(|_| bench.period());
    let marker = bench.display_loop.live().report().tap_to_marker;
    assert!(marker.count == 1 && (120.0..170.0).contains(&marker.max_ms), "{marker:?}");
}

#[test]
fn in_a_list_of_the_hosts_steps_are_its_own_and_the_frame_stays_frozen() {
    let mut bench = Bench::new();
    bench.display_loop.show_list();
    (0..3).for_each(|_| bench.period());
    bench.display_loop.live_mut().command(Command::Freeze, Timestamp::from_ns(bench.hand.load(Ordering::Acquire)));
    let before = bench.display_loop.live().engine().shown().unwrap().id();
    bench.fake().keys = vec![Key::Right, Key::Right, Key::Left, Key::Space, Key::Character('x')];
    bench.period();
    assert_eq!(bench.display_loop.take_steps(), 1);
    bench.display_loop.command(Command::StepBack);
    bench.display_loop.command(Command::Unfreeze);
    bench.period();
    assert_eq!((bench.display_loop.take_steps(), bench.display_loop.take_steps()), (-1, 0));
    let engine = bench.display_loop.live().engine();
    assert_eq!((engine.session().mode(), engine.shown().unwrap().id()), (Mode::Frozen, before));
}

#[test]
fn a_frame_that_a_slow_display_cannot_show_in_time_is_withheld_and_counted() {
    let mut bench = Bench::new();
    (0..5).for_each(|_| bench.period());
    bench.fake().takes = Duration::from_millis(60);
    bench.period();
    assert!(!bench.fake().shown.last().unwrap().1, "a frame that is too old was shown");
    let report = bench.display_loop.live().report();
    assert_eq!((report.deadline.late_under_live, report.drops.past_deadline), (0, 1));
}

#[test]
fn keys_are_commands_and_a_closed_display_ends_the_loop() {
    let mut bench = Bench::new();
    (0..3).for_each(|_| bench.period());
    bench.fake().keys = vec![Key::Space];
    bench.period();
    assert_eq!(bench.display_loop.live().engine().session().mode(), Mode::Frozen);
    bench.fake().is_closed = true;
    let shown = bench.fake().shown.len();
    bench.push();
    let turn = bench.display_loop.turn().unwrap();
    assert_eq!((turn.presence, turn.presented), (Presence::Closed, None));
    assert_eq!(bench.fake().shown.len(), shown, "something was shown on a closed display");
}

#[test]
fn a_display_of_another_size_is_drawn_anew_and_one_without_news_gets_its_picture_again() {
    let mut bench = Bench::new();
    (0..3).for_each(|_| bench.period());
    let again = bench.fake().again;
    // Nothing new comes; the window is pulled.
    bench.fake().size = (1024, 600);
    bench.display_loop.turn().unwrap();
    let canvas = bench.display_loop.screen().canvas();
    assert_eq!((canvas.width(), canvas.height()), (1024, 600));
    assert_eq!(bench.fake().again, again + 1);
    bench.display_loop.turn().unwrap();
    assert_eq!(bench.fake().again, again + 1, "the same picture was shown twice in a row");
}

/// Plays frames on a display where each picture arrives `takes` after it was handed over.
fn play_remotely(bench: &mut Bench, frames: usize, takes: Duration) {
    bench.display_loop.display_mut().underway.get_or_insert_default();
    for _ in 0..frames {
        bench.push();
        let end = bench.now() + PERIOD_MS * 1_000_000;
        while bench.now() < end {
            let display = bench.display_loop.display_mut();
            let now = display.now();
            let underway = display.underway.as_mut().unwrap();
            while underway.first().is_some_and(|(_, handed)| now >= *handed + takes) {
                let (picture, handed) = underway.remove(0);
                let light = Some(Light::Ago(now.since(handed + takes)));
                display.arrivals.push(Arrival { picture, light });
            }
            bench.display_loop.turn().unwrap();
            bench.hand.fetch_add(1_000_000, Ordering::AcqRel);
        }
    }
}

#[test]
fn a_picture_under_way_is_at_the_glass_when_its_display_says_so() {
    let mut bench = Bench::new();
    play_remotely(&mut bench, 30, Duration::from_millis(12));
    let report = bench.display_loop.live().report();
    assert!(report.frames >= 28 && report.deadline.late_under_live == 0, "{}", report.frames);
    let on_screen = bench.display_loop.live().on_screen();
    let display = bench.display_loop.display_mut();
    assert_eq!(on_screen, Some(display.shown.last().unwrap().0));
    assert!(display.told as usize >= display.shown.len(), "a display with words of its own is told of each picture");
    let mut late = Bench::new();
    play_remotely(&mut late, 30, Duration::from_millis(60));
    let report = late.display_loop.live().report();
    // The first, and what was under way before its time was over.
    assert!(report.deadline.late_under_live <= 2 && report.deadline.late_said >= 3, "{:?}", report.deadline);
    assert!(
        report.drops.past_deadline + report.deadline.late_said > 10,
        "a display that is too far away is not believed"
    );
}

#[test]
fn a_picture_that_never_arrives_is_withheld_and_one_of_which_nobody_speaks_is_late() {
    let mut bench = Bench::new();
    bench.display_loop.display_mut().underway = Some(Vec::new());
    bench.period();
    let picture = bench.display_loop.display_mut().underway.as_mut().unwrap()[0].0;
    bench.display_loop.display_mut().arrivals.push(Arrival { picture, light: None });
    bench.display_loop.turn().unwrap();
    let report = bench.display_loop.live().report();
    assert_eq!((report.frames, report.drops.past_deadline), (0, 1));
    for _ in 0..12 {
        bench.period();
    }
    assert_eq!(bench.display_loop.live().report().frames, 0);
    assert!(!bench.display_loop.live().engine().scene().signal.allows_outlines(), "nobody says LIVE");
}

#[test]
fn controls_of_a_display_are_those_of_the_screen_and_its_resolution_may_change() {
    let mut bench = Bench::new();
    bench.period();
    bench.display_loop.display_mut().controls.push(Control::Freeze);
    bench.period();
    assert_eq!(bench.display_loop.live().engine().session().mode(), Mode::Frozen);
    let before = bench.display_loop.screen().layout().text_height();
    let display = bench.display_loop.display_mut();
    (display.size, display.dpi) = ((1000, 600), 266.0);
    bench.display_loop.turn().unwrap();
    let layout = bench.display_loop.screen().layout();
    assert_eq!((layout.size(), layout.dpi()), ((1000, 600), 266.0));
    assert!((layout.text_height() - 2.0 * before).abs() < 0.1, "millimetres are not what they were");
}

fn with_exam() -> Bench {
    Bench::of(LayoutConfig { has_exam: true, ..LayoutConfig::default() })
}

/// Turns without a new frame.
fn idle(bench: &mut Bench, ms: u64) {
    for _ in 0..ms {
        bench.display_loop.turn().unwrap();
        bench.hand.fetch_add(1_000_000, Ordering::AcqRel);
    }
}

#[test]
fn another_exam_takes_the_last_picture_off_the_screen_though_no_frame_comes() {
    let mut bench = with_exam();
    let mut empty = Screen::new(ScreenConfig {
        layout: LayoutConfig { has_exam: true, ..LayoutConfig::default() },
        ..ScreenConfig::default()
    })
    .unwrap();
    (0..5).for_each(|_| bench.period());
    let at = bench.phantom.tap_point(bench.pushed).unwrap();
    let shown = bench.display_loop.live().on_screen();
    bench.display_loop.command(Command::Click { at, polarity: None, shown });
    let told = ExamTold { patient: Identity::new("4711"), ..ExamTold::default() };
    bench.display_loop.screen_mut().desk_mut().unwrap().tell(told);
    bench.period();
    assert!(bench.display_loop.screen().canvas().pixels() != empty.draw_empty().pixels());
    let (again, told) = (bench.fake().again, bench.fake().told);
    bench.display_loop.new_exam();
    idle(&mut bench, 2);
    assert!(bench.display_loop.screen().canvas().pixels() == empty.draw_empty().pixels(), "the last exam is seen");
    assert_eq!((bench.fake().again, bench.fake().told), (again + 1, told + 1));
    let engine = bench.display_loop.live().engine();
    assert_eq!((engine.cine().count(), engine.shown().is_none()), (0, true));
    assert!(engine.session().prompts().active(sonotap::units::ObjectId(0)).next().is_none());
    // The next patient's pictures are shown as ever.
    (0..3).for_each(|_| bench.period());
    assert!(bench.display_loop.live().engine().cine().count() >= 2);
}

#[test]
fn a_page_is_shown_while_frozen_and_before_the_first_frame() {
    for is_frozen in [false, true] {
        let mut bench = with_exam();
        if is_frozen {
            (0..5).for_each(|_| bench.period());
            bench.display_loop.command(Command::Freeze);
            idle(&mut bench, 40);
        }
        let before = bench.display_loop.screen().canvas().pixels().to_vec();
        let again = bench.fake().again;
        bench.display_loop.command(Command::ShowExam);
        idle(&mut bench, 2);
        assert!(bench.display_loop.screen().canvas().pixels() != before, "frozen {is_frozen}");
        assert_eq!(bench.fake().again, again + 1, "frozen {is_frozen}");
        idle(&mut bench, 100);
        assert_eq!(bench.fake().again, again + 1, "it is drawn when something changes, not again and again");
    }
}

#[test]
fn while_an_identity_is_typed_keys_are_text_and_before_and_after_they_are_commands() {
    let mut bench = with_exam();
    bench.period();
    let press = |bench: &mut Bench, keys: &[Key]| {
        bench.fake().keys = keys.to_vec();
        bench.period();
        bench.display_loop.live_mut().take_save_request()
    };
    let still = SaveRequest { still: true, cine: false };
    assert_eq!(press(&mut bench, &[Key::Character('S')]), still);
    assert_eq!(press(&mut bench, &[Key::Character('x')]), SaveRequest::default());
    let desk = |bench: &mut Bench| bench.display_loop.screen_mut().desk_mut().unwrap().page();
    assert_eq!(desk(&mut bench), Some(Page::Exam));
    bench.display_loop.screen_mut().desk_mut().unwrap().push(Button::Patient);
    let keys = [Key::Character('s'), Key::Space, Key::Character('V'), Key::Backspace, Key::Enter];
    assert_eq!(press(&mut bench, &keys), SaveRequest::default());
    assert_eq!((desk(&mut bench), bench.display_loop.live().engine().is_live()), (Some(Page::Confirm), true));
    assert_eq!(press(&mut bench, &[Key::Character('s')]), still);
}

#[test]
fn escape_leaves_what_is_open_and_where_nothing_is_the_program() {
    let mut bench = with_exam();
    bench.period();
    let press = |bench: &mut Bench, keys: &[Key]| {
        bench.fake().keys = keys.to_vec();
        bench.push();
        bench.display_loop.turn().unwrap().presence
    };
    let page = |bench: &mut Bench| bench.display_loop.screen_mut().desk_mut().unwrap().page();
    press(&mut bench, &[Key::Character('x')]);
    bench.display_loop.screen_mut().desk_mut().unwrap().push(Button::Patient);
    assert_eq!(press(&mut bench, &[Key::Character('4'), Key::Escape]), Presence::Open);
    assert_eq!(page(&mut bench), Some(Page::Exam), "the field is left, not the program");
    assert_eq!(press(&mut bench, &[Key::Escape]), Presence::Open);
    assert_eq!(page(&mut bench), None);
    assert_eq!(press(&mut bench, &[Key::Escape]), Presence::Closed);
}
