//! A host that links the library and does everything wrong: other clocks, reused numbers, impossible pictures, pictures that
//! grow, a model that dies. What it is told is right or an error, never a panic, never an outline of another frame.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{DarkRegion, SlowPredictor};
use sonotap::engine::{Engine, EngineConfig};
use sonotap::error::{ErrorKind, Result};
use sonotap::frame::{Frame, ImageRegion, Picture, PixelFormat, RegionContent};
use sonotap::geometry::{ModelView, Point, Rect};
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::entry::FRAMES_ON_THE_WAY;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::scene::{HiddenReason, Notice, Overlay, Signal};
use sonotap::session::Command;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, ObjectId, Span, Timestamp};

const PERIOD: Duration = Duration::from_nanos(33_000_000);

/// A host on a fake clock.
struct Host {
    hand: Arc<AtomicU64>,
    live: Live<SlowPredictor>,
    phantom: Phantom,
}

impl Host {
    fn new(look_ms: u64) -> Self {
        let hand = Arc::new(AtomicU64::new(Timestamp::from_ms(60_000).as_ns()));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(Box::new(DarkRegion::new(Arc::default())), PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(look_ms));
        let live = Live::with(worker, Wake::default(), LiveConfig::default(), clock);
        let config = PhantomConfig { width: 160, height: 120, ..PhantomConfig::default() };
        Self { hand, live, phantom: Phantom::new(PhantomPreset::Cyst, config).unwrap() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }

    fn pass(&self, span: Duration) {
        self.hand.fetch_add(span.as_ns(), Ordering::AcqRel);
    }

    fn push(&mut self, index: u64, time: CaptureTime, number: u64) -> Result<()> {
        let mut frame = Frame::default();
        self.phantom.render_at(index, &mut frame);
        let picture = Picture::dense(frame.width(), frame.height(), frame.format(), frame.pixels());
        self.live.input().push(&picture, time, Some(number)).map(drop)
    }

    fn tap(&mut self) {
        let at = self.phantom.tap_point(0).unwrap();
        let shown = self.live.on_screen();
        self.live.command(Command::Click { at, polarity: None, shown }, self.now());
    }

    /// Shows what there is for a frame period; what is seen each time.
    fn show(&mut self, mut seen: impl FnMut(&Self, Signal, Option<Overlay>, u64)) {
        for _ in 0..11 {
            if let Some(LiveView { frame, scene, ticket }) = self.live.poll() {
                let (signal, overlay) = (scene.signal, scene.objects.first().map(|o| o.overlay));
                let number = frame.host_number().unwrap_or_default();
                seen(self, signal, overlay, number);
                assert!(self.live.hand_over(&ticket));
                self.live.presented(ticket, Light::Now);
            }
            self.pass(PERIOD / 11);
        }
    }
}

#[test]
fn numbers_that_a_host_uses_again_never_make_an_outline_exact_on_another_frame() {
    for numbers in [vec![1, 2, 1, 2], (1..=8).collect::<Vec<u64>>(), vec![0], vec![5, 4, 3]] {
        let mut host = Host::new(200);
        let mut exact = 0;
        for index in 0..140 {
            host.push(index, CaptureTime::Now, numbers[index as usize % numbers.len()]).unwrap();
            if index == 3 {
                host.tap();
            }
            host.show(|host, _, overlay, number| {
                assert!(numbers.contains(&number), "the host's number was lost");
                let of = host.live.engine().object(ObjectId(0)).and_then(|o| o.provenance()).map(|p| p.frame);
                let shown = host.live.engine().shown().and_then(|f| f.id());
                assert!(overlay != Some(Overlay::Exact) || of == shown, "an outline of {of:?} is exact on {shown:?}");
                exact += u32::from(overlay == Some(Overlay::Exact));
            });
        }
        assert_eq!(exact, 0, "a model of 200 ms cannot be exact on a picture that changes every 33 ms");
    }
}

#[test]
fn a_source_that_stops_is_no_signal_whatever_clock_its_stamps_are_of() {
    type Stamp = fn(Timestamp, Duration) -> CaptureTime;
    let clocks: [(&str, Stamp); 5] = [
        ("handed over", |_, _| CaptureTime::Now),
        ("live", |now, _| CaptureTime::Live(now)),
        ("since boot", |_, t| CaptureTime::Host(t + Duration::from_millis(987_654_321))),
        ("since 1970", |_, t| CaptureTime::Host(t + Duration::from_millis(1_790_000_000_000))),
        ("since its start", |_, t| CaptureTime::Host(t)),
    ];
    for (name, stamp) in clocks {
        let mut host = Host::new(20);
        let begin = host.now();
        for index in 0..40 {
            let time = stamp(host.now(), host.now().since(begin));
            host.push(index, time, index).unwrap();
            if index == 3 {
                host.tap();
            }
            host.show(|_, _, _, _| {});
        }
        let (mut signal, mut overlay) = (Signal::Good, None);
        for _ in 0..6 {
            host.show(|_, s, o, _| (signal, overlay) = (s, o));
        }
        assert_eq!(signal, Signal::Missing, "{name}: 200 ms after the last frame");
        assert_eq!(overlay, Some(Overlay::Hidden(HiddenReason::NoSignal)), "{name}");
    }
}

#[test]
fn stamps_of_another_clock_given_as_ours_are_refused_with_the_way_out() {
    let mut host = Host::new(20);
    for stamp in [Timestamp::from_ms(1_790_000_000_000), Timestamp::from_ms(70_000), Timestamp::from_ns(5)] {
        let e = host.push(0, CaptureTime::Live(stamp), 0).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Argument);
        assert!(e.to_string().contains("CaptureTime::Host"), "{e}");
    }
    assert_eq!(host.live.input().report().refused, 3);
}

#[test]
fn impossible_pictures_are_refused_and_the_next_good_one_is_shown() {
    let mut host = Host::new(20);
    let pixels = vec![100; 640 * 480];
    let good = Picture::dense(640, 480, PixelFormat::Grey8, &pixels);
    let region = |x0, y0, x1, y1| Some(ImageRegion { rect: Rect::new(x0, y0, x1, y1), content: RegionContent::BMode });
    let wrong = [
        Picture { height: 481, ..good },
        Picture { width: 641, ..good },
        Picture { stride: 639, ..good },
        Picture { stride: usize::MAX - 3, ..good },
        Picture { format: PixelFormat::Rgb8, ..good },
        Picture { pixels: &[], ..good },
        Picture { width: 0, height: 0, pixels: &[], ..good },
        Picture { region: region(320.0, 40.0, 320.4, 460.0), ..good },
        Picture { region: region(0.0, f32::NAN, 640.0, 480.0), ..good },
        Picture { region: region(-5.0, 0.0, 640.0, 480.0), ..good },
    ];
    for picture in &wrong {
        let e = host.live.input().push(picture, CaptureTime::Now, None).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Argument, "{picture:?}");
        host.show(|_, _, _, _| panic!("something was shown of {picture:?}"));
    }
    host.live.input().push(&good, CaptureTime::Now, None).unwrap();
    let mut shown = 0;
    host.show(|_, _, _, _| shown += 1);
    assert!(shown > 0);
    assert_eq!(host.live.input().report().refused, wrong.len() as u64);
}

#[test]
fn an_engine_of_ones_own_refuses_old_numbers_and_empty_frames() {
    let mut engine = Engine::new(EngineConfig::default());
    let mut frame = Frame::from_pixels(64, 48, PixelFormat::Grey8, vec![9; 64 * 48]).unwrap();
    frame.stamp(FrameId(7), Timestamp::START);
    engine.advance(Arc::new(frame.clone()), Timestamp::START).unwrap();
    for id in [7, 6, 0] {
        frame.stamp(FrameId(id), Timestamp::START);
        let e = engine.advance(Arc::new(frame.clone()), Timestamp::START).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Argument, "number {id}");
    }
    assert!(engine.advance(Arc::default(), Timestamp::START).is_err());
    assert_eq!(engine.shown().and_then(|f| f.id()), Some(FrameId(7)));
    assert!(engine.object(ObjectId(9)).is_none());
}

#[test]
fn memory_stays_within_its_bytes_when_frames_grow_from_480p_to_4k() {
    let mut host = Host::new(20);
    let input = host.live.input();
    let small = vec![90; 640 * 480];
    let large = vec![90; 3 * 3840 * 2160];
    let mut largest = 0;
    for (width, height, format, pixels, frames) in [
        (640, 480, PixelFormat::Grey8, &small, 150),
        (3840, 2160, PixelFormat::Rgb8, &large, 12),
        (640, 480, PixelFormat::Grey8, &small, 30),
    ] {
        for _ in 0..frames {
            input.push(&Picture::dense(width, height, format, pixels), CaptureTime::Now, None).unwrap();
            host.show(|_, _, _, _| {});
            largest = largest.max(pixels.len());
            let bound = EngineConfig::default().cine_bytes + FRAMES_ON_THE_WAY * largest;
            assert!(input.bytes() <= bound, "{} bytes at {width}x{height}", input.bytes());
        }
        let bound = EngineConfig::default().cine_bytes + FRAMES_ON_THE_WAY * pixels.len();
        assert!(input.bytes() <= bound, "{} bytes are kept at {width}x{height}, at most {bound}", input.bytes());
    }
}

/// A model that panics when it is told to.
struct Fragile {
    inner: DarkRegion,
    panics_left: Arc<AtomicUsize>,
}

impl Segmenter for Fragile {
    fn spec(&self) -> ModelSpec {
        self.inner.spec()
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        let left = self.panics_left.load(Ordering::Acquire);
        if left > 0 {
            self.panics_left.store(left - 1, Ordering::Release);
            panic!("told to");
        }
        self.inner.encode(frame, view)
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        self.inner.decode(prompts, out)
    }
}

#[test]
fn a_model_that_panics_is_started_again_and_its_outline_comes_back() {
    let panics_left = Arc::new(AtomicUsize::new(0));
    let (shared, supplied) = (panics_left.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = supplied.clone();
    let (go_on, told) = std::sync::mpsc::channel();
    let supply = move || {
        // The second one is loaded when the first's death has been seen.
        if counted.fetch_add(1, Ordering::AcqRel) > 0 {
            told.recv().unwrap();
        }
        let model = Fragile { inner: DarkRegion::new(Arc::default()), panics_left: shared.clone() };
        Ok(Predictor::new(Box::new(model), PredictOptions::default()))
    };
    let mut live =
        Live::start(supply, LiveConfig { deadline: Some(Duration::from_millis(5_000)), ..LiveConfig::default() })
            .unwrap();
    let config = PhantomConfig { width: 160, height: 120, ..PhantomConfig::default() };
    let mut phantom = Phantom::new(PhantomPreset::Cyst, config).unwrap();
    let (mut index, mut is_tapped, mut frame) = (0, false, Frame::default());
    let mut until = |what: &str, is_so: &mut dyn FnMut(Option<Overlay>, Option<Notice>) -> bool| {
        let begin = Instant::now();
        loop {
            // The bound only ends a test that fails.
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}: never");
            phantom.render_at(index, &mut frame);
            index += 1;
            common::push(&live, &frame, CaptureTime::Now);
            let mut is_done = false;
            while let Some(LiveView { scene, ticket, .. }) = live.poll() {
                is_done |= is_so(scene.objects.first().map(|o| o.overlay), scene.notice);
                live.presented(ticket, Light::Now);
            }
            if !is_tapped && live.on_screen().is_some() {
                let tap = Command::Click { at: phantom.tap_point(0).unwrap(), polarity: None, shown: live.on_screen() };
                live.command(tap, live.clock().now());
                is_tapped = true;
            }
            if is_done {
                return;
            }
            live.wait(Duration::from_millis(10));
        }
    };
    until("outlined", &mut |overlay, _| overlay.is_some_and(Overlay::is_drawn));
    panics_left.store(1, Ordering::Release);
    until("hidden, with the reason", &mut |overlay, notice| {
        overlay == Some(Overlay::Hidden(HiddenReason::ModelFailed)) && notice == Some(Notice::ModelFailed)
    });
    go_on.send(()).unwrap();
    until("outlined again", &mut |overlay, _| overlay.is_some_and(Overlay::is_drawn));
    assert_eq!((live.report().worker_restarts, supplied.load(Ordering::Acquire)), (1, 2));
}

#[test]
fn a_tap_in_the_narrowest_region_is_no_fault() {
    let mut host = Host::new(20);
    let pixels: Vec<u8> = (0..640 * 480).map(|i| (i * 7 % 251) as u8).collect();
    let rect = Rect::new(320.0, 40.0, 328.0, 460.0);
    let region = Some(ImageRegion { rect, content: RegionContent::BMode });
    let picture = Picture { region, ..Picture::dense(640, 480, PixelFormat::Grey8, &pixels) };
    for round in 0..8 {
        host.live.input().push(&picture, CaptureTime::Now, None).unwrap();
        if round == 2 {
            let at = Point::new(324.0, 200.0);
            host.live.command(Command::Click { at, polarity: None, shown: host.live.on_screen() }, host.now());
        }
        host.show(|_, _, _, _| {});
    }
    assert_eq!(host.live.report().refused, 0);
}
