//! The whole screen in each state that an operator meets, made by the engine, the bundled model and the screen itself on a
//! fake clock. `BLESS=1 cargo test --release --test screens` writes the pictures to docs/screens/.

#[path = "common/slow_predictor.rs"]
mod slow_predictor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slow_predictor::SlowPredictor;
use sonotap::frame::PixelFormat;
use sonotap::geometry::Point;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::overlay::Canvas;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::scene::{Mode, Notice, Overlay, Scene, Signal};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::phantom::{Event, Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{Span, Timestamp};

const SIZE: (u32, u32) = (640, 480);
const PERIOD: Duration = Duration::from_nanos(33_333_333);

/// A device on a fake clock: a phantom for a probe, the bundled model at a given speed, a screen.
struct Device {
    hand: Arc<AtomicU64>,
    live: Live<SlowPredictor>,
    phantom: Phantom,
    screen: Screen,
    scene: Scene,
    is_source_running: bool,
    next_due: Timestamp,
    next_id: u64,
    /// What a picture needs to the glass, beyond all expectation.
    draw: Duration,
}

impl Device {
    fn new(events: Vec<(u64, Event)>, look_ms: u64) -> Self {
        let model = sonotap::model::sam::load(&root().join("models/student")).unwrap();
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(model, PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(look_ms));
        let limits = LiveConfig { period: PERIOD, ..LiveConfig::default() };
        let config = PhantomConfig { width: SIZE.0, height: SIZE.1, events, ..PhantomConfig::default() };
        let mut screen = Screen::new(ScreenConfig::default()).unwrap();
        screen.warm_up(SIZE.0, SIZE.1, PixelFormat::Grey8);
        Self {
            hand,
            live: Live::with(worker, Wake::default(), limits, clock),
            phantom: Phantom::new(PhantomPreset::Cyst, config).unwrap(),
            screen,
            scene: Scene::default(),
            is_source_running: true,
            next_due: Timestamp::START,
            next_id: 1,
            draw: Duration::ZERO,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }

    fn run(&mut self, ms: u64) {
        let end = self.now() + Duration::from_millis(ms);
        while self.now() < end {
            if self.now() >= self.next_due {
                self.next_due = self.next_due + PERIOD;
                self.capture();
            }
            if let Some(LiveView { frame, scene, ticket }) = self.live.poll() {
                self.screen.draw(frame, scene);
                self.scene = scene.clone();
                self.hand.fetch_add(self.draw.as_ns(), Ordering::AcqRel);
                self.live.presented(ticket, Light::Now);
            }
            self.hand.fetch_add(1_000_000, Ordering::AcqRel);
        }
    }

    fn capture(&mut self) {
        if self.is_source_running {
            let mut frame = self.live.input().lease().expect("there is memory for frames");
            self.phantom.render_at(self.next_id, &mut frame);
            frame.enter(CaptureTime::Now, None).unwrap();
            self.next_id += 1;
        }
    }

    fn command(&mut self, command: Command) {
        self.live.command(command, self.now());
    }

    fn tap(&mut self, x: f32, y: f32) {
        let shown = self.live.on_screen();
        self.command(Command::Click { at: Point::new(x, y), polarity: None, shown });
    }

    fn tap_structure(&mut self) {
        let at = self.phantom.tap_point(self.live.on_screen().map_or(0, |f| f.0)).unwrap();
        self.tap(at.x, at.y);
    }

    fn overlay(&self) -> Option<Overlay> {
        self.scene.objects.first().map(|o| o.overlay)
    }

    /// The picture of this state: it is written when that is asked for, and must be there.
    fn keep(&self, name: &str) {
        keep(name, self.screen.canvas());
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn keep(name: &str, canvas: &Canvas) {
    let path = root().join("docs/screens").join(format!("{name}.png"));
    if std::env::var_os("BLESS").is_some() {
        write(&path, canvas);
    }
    let kept = image::image_dimensions(&path).unwrap_or_else(|e| panic!("{}: {e}; BLESS=1 writes it", path.display()));
    assert_eq!(kept, (canvas.width(), canvas.height()), "{name}");
}

fn write(path: &Path, canvas: &Canvas) {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    let (width, height) = (canvas.width(), canvas.height());
    let colour = image::ExtendedColorType::Rgb8;
    image::ImageEncoder::write_image(encoder, &canvas.to_rgb(), width, height, colour).unwrap();
}

#[test]
fn before_the_first_picture_there_is_no_signal() {
    let device = Device::new(vec![], 50);
    assert_eq!(device.scene.signal, Signal::Missing);
    device.keep("start");
}

#[test]
fn live_frozen_and_without_a_signal() {
    let mut device = Device::new(vec![], 50);
    device.run(300);
    device.tap_structure();
    device.run(700);
    assert!(matches!(device.overlay(), Some(Overlay::Carried { .. } | Overlay::Exact)), "{:?}", device.overlay());
    device.keep("live");

    device.command(Command::Freeze);
    device.run(400);
    assert_eq!((device.scene.mode, device.overlay()), (Mode::Frozen, Some(Overlay::Exact)));
    device.keep("frozen");

    device.command(Command::Unfreeze);
    device.run(300);
    device.is_source_running = false;
    device.run(150);
    assert_eq!(device.scene.signal, Signal::Missing);
    assert!(!device.overlay().unwrap().is_drawn(), "{:?}", device.overlay());
    device.keep("no-signal");
}

#[test]
fn a_late_picture_is_said_with_the_next() {
    let mut device = Device::new(vec![], 50);
    device.run(300);
    device.tap_structure();
    device.run(700);
    device.draw = Duration::from_millis(40);
    device.run(34);
    device.draw = Duration::ZERO;
    while device.scene.signal == Signal::Good && device.now() < Timestamp::from_ms(1_500) {
        device.run(1);
    }
    assert_eq!(device.scene.signal, Signal::Delayed);
    assert!(device.overlay().unwrap().is_drawn(), "{:?}", device.overlay());
    device.keep("delayed");
    device.run(40);
    assert_eq!(device.scene.signal, Signal::Good);
}

#[test]
fn a_service_that_has_failed_says_so() {
    keep("failed", &sonotap::overlay::sign((800, 480), "SONOTAP HAS FAILED"));
}

#[test]
fn an_outline_of_a_slow_model_is_stale() {
    let mut device = Device::new(vec![], 1_400);
    device.run(300);
    device.tap_structure();
    device.run(1_450);
    while !matches!(device.overlay(), Some(Overlay::Stale { .. })) && device.now() < Timestamp::from_ms(4_000) {
        device.run(20);
    }
    assert!(matches!(device.overlay(), Some(Overlay::Stale { .. })), "{:?}", device.overlay());
    device.keep("stale");
}

#[test]
fn a_structure_is_lost_when_the_picture_changes() {
    let mut device = Device::new(vec![(30, Event::Cut { seed: 9 })], 50);
    device.run(300);
    device.tap_structure();
    device.run(1_000);
    assert!(matches!(device.overlay(), Some(Overlay::Lost(_))), "{:?}", device.overlay());
    device.keep("lost");
}

#[test]
fn a_low_score_asks_for_a_point() {
    let mut device = Device::new(vec![], 50);
    device.run(200);
    let asks = |device: &Device| matches!(device.scene.notice, Some(Notice::AddPoint(_)));
    let places = (1..8).flat_map(|row| (1..10).map(move |column| (column as f32 * 64.0, row as f32 * 60.0)));
    for (x, y) in places {
        device.command(Command::Clear);
        device.tap(x, y);
        device.run(160);
        if asks(&device) && device.overlay().is_some_and(Overlay::is_drawn) {
            break;
        }
    }
    assert!(asks(&device), "no tap got a low score: {:?}", device.scene.notice);
    device.keep("low-confidence");
}

#[test]
fn heat_is_told_and_the_outline_goes_on() {
    let mut device = Device::new(vec![], 50);
    device.run(300);
    device.tap_structure();
    device.live.ease(true);
    device.run(900);
    assert!(device.scene.is_hot && device.overlay().is_some_and(Overlay::is_drawn), "{:?}", device.overlay());
    device.keep("hot");
}
