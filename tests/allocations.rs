//! After warm-up the live path allocates nothing per frame (invariant 3): source, pool, engine, look, screen and figures,
//! counted on one thread with a fake clock. What the model's own graphs allocate is not counted there, and has a bound of its own.

#[allow(dead_code, reason = "each test uses its part")]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allocation_counter::{measure, opt_out};
use common::{DarkRegion, SlowPredictor};
use sonotap::desk::{ExamTold, Identity, SaveTold, Trouble};
use sonotap::error::Result;
use sonotap::frame::Frame;
use sonotap::geometry::{ModelView, Point};
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam::{LoadOptions, load_with};
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter, self_test};
use sonotap::overlay::LayoutConfig;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::prompt::Polarity;
use sonotap::scene::Overlay;
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::FrameSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, Timestamp};

/// The model itself may allocate.
struct Uncounted(DarkRegion);

impl Segmenter for Uncounted {
    fn spec(&self) -> ModelSpec {
        ModelSpec { pixel_channels: 0, ..self.0.spec() }
    }
    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        let mut outcome = Ok(());
        opt_out(|| outcome = self.0.encode(frame, view));
        outcome
    }
    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let mut outcome = Ok(());
        opt_out(|| outcome = self.0.decode(prompts, out));
        outcome
    }
}

struct LivePath {
    hand: Arc<AtomicU64>,
    phantom: Phantom,
    live: Live<SlowPredictor>,
    screen: Screen,
    next: u64,
    carried: u64,
}

impl LivePath {
    fn new() -> Self {
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::set_by(hand.clone());
        let model = Uncounted(DarkRegion::new(Arc::default()));
        let predictor = Predictor::new(Box::new(model), PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(80));
        let live = Live::with(worker, Wake::default(), LiveConfig::default(), clock);
        let config = PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() };
        let phantom = Phantom::new(PhantomPreset::Cyst, config).unwrap();
        let layout = LayoutConfig { has_exam: true, ..LayoutConfig::default() };
        let mut screen = Screen::new(ScreenConfig { layout, ..ScreenConfig::default() }).unwrap();
        screen.desk_mut().unwrap().tell(ExamTold {
            patient: Identity::new("4711"),
            saving: SaveTold::Failed(Trouble::Full),
            waiting: 2,
            ..ExamTold::default()
        });
        Self { hand, phantom, live, screen, next: 1, carried: 0 }
    }

    fn frame(&mut self) {
        let now = Timestamp::from_ns(self.next * 33_333_333);
        self.hand.store(now.as_ns(), Ordering::Release);
        let mut frame = self.live.input().lease().expect("there is memory for frames");
        self.phantom.next_into(&mut frame).unwrap();
        frame.enter(CaptureTime::Live(now), None).unwrap();
        self.next += 1;
        for step in 0..8 {
            self.hand.store(now.as_ns() + step * 4_000_000, Ordering::Release);
            let Some(LiveView { frame, scene, ticket }) = self.live.poll() else { continue };
            self.carried += u64::from(scene.objects.iter().any(|o| matches!(o.overlay, Overlay::Carried { .. })));
            self.screen.draw(frame, scene);
            assert!(self.live.hand_over(&ticket));
            self.live.presented(ticket, Light::Now);
        }
    }
}

#[test]
fn the_live_path_allocates_nothing_per_frame_after_warm_up() {
    let mut path = LivePath::new();
    path.frame();
    let at = path.phantom.tap_point(0).unwrap();
    path.live.command(Command::Click { at, polarity: None, shown: Some(FrameId(1)) }, Timestamp::from_ns(33_333_333));
    // Until the ring is full and every frame of the pool has its pixels.
    (0..540).for_each(|_| path.frame());
    path.carried = 0;
    let counted = measure(|| (0..90).for_each(|_| path.frame()));
    assert_eq!(path.carried, 90, "the path was not at work while it was counted");
    assert_eq!(counted.count_total, 0, "{counted:?}");
    // With a page of the exam open as well, once it is painted.
    path.screen.obey(Command::ShowExam);
    path.frame();
    let counted = measure(|| (0..30).for_each(|_| path.frame()));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// Bytes of the heap while the bundled model is loaded, and after it. Its two files have 2.9 MB.
const LOADING_BYTES_MAX: u64 = 14_500_000;
const LOADED_BYTES_MAX: u64 = 12_000_000;

#[test]
fn loading_holds_one_graph_and_no_file_at_a_time() {
    let mut loaded = None;
    let counted = measure(|| loaded = Some(load_with(&bundled(), LoadOptions::default()).unwrap()));
    assert!(counted.bytes_max <= LOADING_BYTES_MAX, "{counted:?}");
    assert!(counted.bytes_current <= LOADED_BYTES_MAX as i64, "{counted:?}");
}

/// Three results of an encode; the inputs' list, two lists of the plan and three results of a decode.
const ENCODE_ALLOCATIONS_MAX: u64 = 3;
const DECODE_ALLOCATIONS_MAX: u64 = 6;

#[test]
fn a_look_allocates_only_what_the_runtime_passes_between_nodes() {
    let options = LoadOptions { skip_self_test: true, ..LoadOptions::default() };
    let mut model = load_with(&bundled(), options).unwrap().segmenter;
    let frame = self_test::picture(7);
    let view = ModelView::new(frame.bounds(), model.spec().side);
    let mut prompts = ModelPrompts::default();
    prompts.clicks.push((Point::new(120.0, 100.0), Polarity::Positive));
    let mut out = Decoded::default();
    for is_warm in [false, false, true, true] {
        let encode = measure(|| model.encode(&frame, &view).unwrap());
        let decode = measure(|| model.decode(&prompts, &mut out).unwrap());
        assert!(!is_warm || encode.count_total <= ENCODE_ALLOCATIONS_MAX, "{encode:?}");
        assert!(!is_warm || decode.count_total <= DECODE_ALLOCATIONS_MAX, "{decode:?}");
    }
}

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student")
}
