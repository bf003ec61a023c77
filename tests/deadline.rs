//! The deadline at the glass, on a fake clock: displays that wait for their refresh, miss one, or queue pictures; drawing of
//! any length; captures that jitter.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{DarkRegion, SlowPredictor};
use proptest::prelude::*;
use sonotap::frame::{Picture, PixelFormat};
use sonotap::geometry::Point;
use sonotap::glass::DisplayTiming;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveReport, LiveView, Ticket};
use sonotap::scene::{Mode, Signal};
use sonotap::session::Command;
use sonotap::units::{Span, Timestamp};

const US: u64 = 1_000;
const SIZE: (u32, u32) = (64, 48);
const PERIOD: Duration = Duration::from_nanos(33_333_333);

/// A screen: `None` shows when the call returns.
#[derive(Clone, Copy, Debug)]
struct Glass {
    refresh: Option<Duration>,
    /// Refreshes that a picture waits beyond the first possible one.
    queue: u64,
    /// The call that presents returns at the flip, not at once.
    is_waited_for: bool,
}

#[derive(Clone, Debug)]
struct Setup {
    glass: Glass,
    deadline: Duration,
    look: Duration,
    /// Of each frame in turn: drawing, lateness of its capture, refreshes missed.
    draws_us: Vec<u64>,
    jitter_us: Vec<u64>,
    missed: Vec<u64>,
}

/// One picture at the glass.
#[derive(Clone, Copy, Debug)]
struct Lit {
    composed: Timestamp,
    due: Option<Timestamp>,
    at: Timestamp,
    /// The scene said LIVE.
    is_live_said: bool,
    has_outline: bool,
    signal: Signal,
}

struct Bench {
    hand: Arc<AtomicU64>,
    live: Live<SlowPredictor>,
    setup: Setup,
    pixels: Vec<u8>,
    captured: u64,
    drawn: usize,
    next_due: Timestamp,
    /// Pictures whose flip is still to come.
    flipping: VecDeque<(Ticket, Lit)>,
    last_flip: Timestamp,
    lit: Vec<Lit>,
}

impl Bench {
    fn new(setup: Setup) -> Self {
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(Box::new(DarkRegion::new(Arc::default())), PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), setup.look);
        let display = setup.glass.refresh.map_or(DisplayTiming::OnReturn, |period| DisplayTiming::AtRefresh { period });
        let config = LiveConfig { period: PERIOD, deadline: Some(setup.deadline), display, ..LiveConfig::default() };
        let live = Live::with(worker, Wake::default(), config, clock);
        Self {
            hand,
            live,
            setup,
            pixels: vec![0; (SIZE.0 * SIZE.1) as usize],
            captured: 0,
            drawn: 0,
            next_due: Timestamp::START,
            flipping: VecDeque::new(),
            last_flip: Timestamp::START,
            lit: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }

    fn set(&self, time: Timestamp) {
        self.hand.store(time.as_ns().max(self.now().as_ns()), Ordering::Release);
    }

    fn run(&mut self, frames: u64) -> LiveReport {
        while self.captured < frames {
            self.capture();
            self.lights();
            self.show();
            self.set(self.now() + Duration::from_nanos(500 * US));
        }
        self.live.report()
    }

    /// Frames whose time has come, stamped with it. A dark disc on bright speckle that changes.
    fn capture(&mut self) {
        while self.now() >= self.next_due {
            let seed = self.captured as u32;
            for (i, p) in self.pixels.iter_mut().enumerate() {
                let (x, y) = (i as i32 % 64 - 32, i as i32 / 64 - 24);
                let speckle = ((i as u32).wrapping_mul(2_654_435_761) >> 26) as u8;
                *p = if x * x + y * y < 150 { 10 } else { 120 + speckle + (seed % 3) as u8 };
            }
            let picture = Picture::dense(SIZE.0, SIZE.1, PixelFormat::Grey8, &self.pixels);
            self.live.input().push(&picture, CaptureTime::Live(self.next_due), None).unwrap();
            let at = self.captured as usize;
            self.captured += 1;
            let jitter = Duration::from_nanos(self.setup.jitter_us[at % self.setup.jitter_us.len()] * US);
            self.next_due = Timestamp::from_ns(self.captured * PERIOD.as_ns()) + jitter;
        }
        if self.captured == 5 && self.live.engine().session().prompts().is_empty(sonotap::units::ObjectId(0)) {
            let tap = Command::Click { at: Point::new(32.0, 24.0), polarity: None, shown: self.live.on_screen() };
            self.live.command(tap, self.now());
        }
    }

    /// Reports the flips that have happened.
    fn lights(&mut self) {
        while self.flipping.front().is_some_and(|(_, lit)| lit.at <= self.now()) {
            let Some((ticket, lit)) = self.flipping.pop_front() else { return };
            self.live.presented(ticket, Light::At(lit.at));
            self.lit.push(lit);
        }
    }

    fn show(&mut self) {
        // A display takes one picture more than it queues; then it is waited for.
        while self.flipping.len() > self.setup.glass.queue as usize + 1 {
            self.set(self.flipping[0].1.at);
            self.lights();
        }
        let composed = self.now();
        let Some(LiveView { scene, ticket, .. }) = self.live.poll() else { return };
        let is_live = scene.mode == Mode::Live;
        let mut lit = Lit {
            composed,
            due: ticket.due(),
            at: composed,
            is_live_said: is_live && scene.signal == Signal::Good,
            has_outline: scene.objects.iter().any(|o| o.overlay.is_drawn()),
            signal: scene.signal,
        };
        let (draws, missed) = (&self.setup.draws_us, &self.setup.missed);
        let (draw, missed) = (draws[self.drawn % draws.len()], missed[self.drawn % missed.len()]);
        self.drawn += 1;
        self.set(composed + Duration::from_nanos(draw * US));
        if !self.live.hand_over(&ticket) {
            return self.live.withheld(ticket);
        }
        lit.at = self.flip(missed);
        self.last_flip = lit.at;
        self.flipping.push_back((ticket, lit));
        if self.setup.glass.is_waited_for {
            self.set(lit.at);
        }
        self.lights();
    }

    /// When a picture that is handed over now is at the glass.
    fn flip(&self, missed: u64) -> Timestamp {
        let Some(period) = self.setup.glass.refresh else { return self.now() };
        let first = self.now().as_ns().div_ceil(period.as_ns()) * period.as_ns();
        let first = first
            .max((self.last_flip.as_ns() + period.as_ns()).saturating_sub(self.setup.glass.queue * period.as_ns()));
        Timestamp::from_ns(first + (self.setup.glass.queue + missed) * period.as_ns()).max(self.last_flip + period)
    }
}

/// First showings of live frames.
fn firsts(lit: &[Lit]) -> Vec<Lit> {
    lit.iter().filter(|l| l.due.is_some()).copied().collect()
}

fn check(bench: &Bench, report: &LiveReport) {
    let firsts = firsts(&bench.lit);
    let is_late = |l: &Lit| l.due.is_some_and(|due| l.at > due);
    let late_live: Vec<_> = firsts.iter().filter(|l| is_late(l) && l.is_live_said).collect();
    assert_eq!(report.deadline.late_under_live, late_live.len() as u64, "not every late frame was counted");
    let late_said = firsts.iter().filter(|l| is_late(l) && !l.is_live_said).count();
    assert_eq!(report.deadline.late_said, late_said as u64);
    for pair in firsts.windows(2) {
        let (before, this) = (&pair[0], &pair[1]);
        let is_known = before.due.is_some_and(|due| this.composed > due) || this.composed >= before.at;
        let is_second = is_late(before) && is_known && this.is_live_said;
        assert!(!is_second, "LIVE was said again right after a late frame: {before:?} then {this:?}");
    }
    let mut run = 0;
    for l in &firsts {
        assert!(run < 3 || l.signal == Signal::Late || l.composed < l.at, "{run} late frames and no word: {l:?}");
        if l.signal == Signal::Late {
            assert!(!l.has_outline, "an outline on a frame that is too slow: {l:?}");
        }
        run = if is_late(l) { run + 1 } else { 0 };
    }
    if let Some(worst) = report.deadline.worst {
        let oldest = firsts.iter().map(|l| l.at.since(l.due.unwrap_or_default()).as_ms()).fold(0.0, f64::max);
        let over = worst.age - bench.setup.deadline.as_ms();
        assert!((over.max(0.0) - oldest).abs() < 1e-6, "the worst case is {over} ms over, not {oldest}");
        let sum = worst.to_display_thread + worst.prepare + worst.draw + worst.to_glass;
        assert!((sum - worst.age).abs() < 1e-6, "{worst:?}");
    }
    let seen = report.deadline.age_at_glass_ms.count;
    assert_eq!(seen, firsts.len() as u64);
}

fn steady(glass: Glass, draw_us: u64) -> Setup {
    Setup {
        glass,
        deadline: PERIOD,
        look: Duration::from_nanos(3_000 * US),
        draws_us: vec![draw_us],
        jitter_us: vec![0],
        missed: vec![0],
    }
}

fn refreshing(hz: f64, queue: u64, is_waited_for: bool) -> Glass {
    Glass { refresh: Some(Duration::of_secs(1.0 / hz)), queue, is_waited_for }
}

#[test]
fn a_screen_that_waits_for_its_refresh_shows_no_late_frame_under_live() {
    for hz in [50.0, 59.94, 60.0, 75.0, 120.0] {
        for is_waited_for in [true, false] {
            let mut setup = steady(refreshing(hz, 0, is_waited_for), 4_000);
            setup.jitter_us = vec![0, 900, 2_500, 100, 4_000, 1_700, 300];
            let mut bench = Bench::new(setup);
            let report = bench.run(150);
            check(&bench, &report);
            assert_eq!(report.deadline.late_under_live, 0, "{hz} Hz: {:?}", report.deadline);
            assert!(report.frames >= 140, "{hz} Hz: only {} of 150 frames shown", report.frames);
        }
    }
}

#[test]
fn a_screen_slower_than_the_source_shows_what_it_can_and_nothing_late_under_live() {
    let mut bench =
        Bench::new(Setup { deadline: Duration::from_nanos(50_000 * US), ..steady(refreshing(25.0, 0, true), 4_000) });
    let report = bench.run(150);
    check(&bench, &report);
    assert_eq!(report.deadline.late_under_live, 0, "{:?}", report.deadline);
    assert!(report.frames >= 80, "{} of 150 frames shown at 25 Hz", report.frames);
}

#[test]
fn a_screen_that_queues_pictures_is_known_by_its_queue() {
    let setup = Setup { deadline: Duration::from_nanos(60_000 * US), ..steady(refreshing(60.0, 2, false), 4_000) };
    let mut bench = Bench::new(setup);
    let report = bench.run(150);
    check(&bench, &report);
    assert!(report.deadline.late_under_live <= 1, "{:?}", report.deadline);
    assert!(report.frames >= 140, "{} of 150 frames shown", report.frames);
}

#[test]
fn one_late_frame_is_counted_and_said_and_live_is_said_again_after_one_in_time() {
    let mut setup = steady(refreshing(60.0, 0, true), 4_000);
    setup.missed = (0..200).map(|n| if n == 60 { 2 } else { 0 }).collect();
    let mut bench = Bench::new(setup);
    let report = bench.run(150);
    check(&bench, &report);
    assert_eq!(report.deadline.late_under_live, 1, "{:?}", report.deadline);
    let firsts = firsts(&bench.lit);
    let late = firsts.iter().position(|l| l.due.is_some_and(|due| l.at > due)).unwrap();
    let signals: Vec<_> = firsts[late..].iter().take(3).map(|l| l.signal).collect();
    assert_eq!(signals, [Signal::Good, Signal::Delayed, Signal::Good]);
    assert!(firsts[late + 1].has_outline, "one late frame took the outline away");
}

#[test]
fn three_late_frames_in_a_row_say_too_slow_without_outlines() {
    let mut setup = steady(refreshing(60.0, 0, true), 4_000);
    setup.missed = (0..400).map(|n| if (60..90).contains(&n) { 2 } else { 0 }).collect();
    let mut bench = Bench::new(setup);
    let report = bench.run(200);
    check(&bench, &report);
    assert_eq!(report.deadline.late_under_live, 1, "{:?}", report.deadline);
    let too_slow = bench.lit.iter().filter(|l| l.signal == Signal::Late).count();
    assert!(too_slow >= 5, "TOO SLOW was said {too_slow} times");
    assert!(bench.lit.last().is_some_and(|l| l.is_live_said && l.has_outline), "LIVE does not come back");
}

#[test]
fn a_host_that_never_says_when_a_picture_was_shown_is_not_told_live() {
    let mut bench = Bench::new(steady(Glass { refresh: None, queue: 0, is_waited_for: true }, 4_000));
    let mut signals = Vec::new();
    while bench.captured < 60 {
        bench.capture();
        if let Some(LiveView { scene, ticket, .. }) = bench.live.poll() {
            signals.push((scene.signal, scene.objects.iter().any(|o| o.overlay.is_drawn())));
            drop(ticket);
        }
        bench.set(bench.now() + Duration::from_nanos(1_000 * US));
    }
    let said_live = signals.iter().filter(|(s, _)| *s == Signal::Good).count();
    assert!(said_live <= 3, "LIVE was said {said_live} times to a host that confirms nothing");
    assert!(matches!(signals.last(), Some((Signal::Late, false))), "{:?}", signals.last());
    assert!(bench.live.report().deadline.unconfirmed > 10);
}

#[test]
fn a_picture_that_would_be_late_is_withheld_however_late_that_turns_out() {
    let mut setup = steady(refreshing(60.0, 0, true), 4_000);
    setup.draws_us = (0..300).map(|n| if n % 7 == 3 { 29_000 } else { 4_000 }).collect();
    let mut bench = Bench::new(setup);
    let report = bench.run(150);
    check(&bench, &report);
    assert_eq!(report.deadline.late_under_live, 0, "{:?}", report.deadline);
    assert!(report.drops.past_deadline > 0, "nothing was withheld: {:?}", report.drops);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 40, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn whatever_the_load_only_the_first_of_a_run_of_late_frames_says_live(
        hz in prop::sample::select(vec![0.0, 30.0, 50.0, 59.94, 60.0]),
        queue in 0u64..3,
        is_waited_for in any::<bool>(),
        deadline_ms in prop::sample::select(vec![25u64, 33, 50, 100]),
        look_ms in prop::sample::select(vec![3u64, 20, 200]),
        draws_us in prop::collection::vec(prop_oneof![8 => 1_000u64..9_000, 1 => 9_000u64..60_000], 20..60),
        jitter_us in prop::collection::vec(0u64..12_000, 5..30),
        missed in prop::collection::vec(prop_oneof![12 => Just(0u64), 1 => 1u64..4], 20..60),
    ) {
        let glass = match hz > 0.0 {
            true => refreshing(hz, queue, is_waited_for),
            false => Glass { refresh: None, queue: 0, is_waited_for: true },
        };
        let (deadline, look) = (Duration::from_millis(deadline_ms), Duration::from_millis(look_ms));
        let mut bench = Bench::new(Setup { glass, deadline, look, draws_us, jitter_us, missed });
        let report = bench.run(90);
        check(&bench, &report);
    }
}
