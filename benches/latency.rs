//! The live path on the clock: age of frames at display, tap to outline, drops, allocations, memory.
//!
//! `cargo bench --bench latency -- [SECONDS]` plays phantom:cyst at 640x480, 30 frames a second, with the bundled model
//! as it is (SECONDS, 60 by default), then slowed to 100 ms and to 1 s a look (a third of SECONDS each).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sonotap::display::{Display, NullDisplay, Presentation, Presented};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::ModelView;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam;
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use sonotap::pipeline::live::{Live, LiveConfig, LiveView};
use sonotap::pipeline::player::{PlayConfig, Player};
use sonotap::pipeline::stats::Summary;
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::Span;

const PERIOD: Duration = Duration::from_nanos(33_333_333);
/// A tap so often, on a fresh start of the object.
const TAP_EVERY: Duration = Duration::from_millis(3_000);
/// Frames that count as warm-up for allocations.
const WARM_UP: u64 = 150;

#[derive(Default)]
struct Counts {
    encodes: AtomicU64,
    encode_allocations: AtomicU64,
    decodes: AtomicU64,
    decode_allocations: AtomicU64,
}

/// A model that takes at least so long for each encode, and counts what it allocates.
struct Slowed {
    inner: Box<dyn Segmenter>,
    least: Duration,
    counts: Arc<Counts>,
}

impl Segmenter for Slowed {
    fn spec(&self) -> ModelSpec {
        self.inner.spec()
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        let begin = Instant::now();
        let mut outcome = Ok(());
        let counted = measure(|| outcome = self.inner.encode(frame, view));
        self.counts.encodes.fetch_add(1, Ordering::Relaxed);
        self.counts.encode_allocations.fetch_add(counted.count_total, Ordering::Relaxed);
        std::thread::sleep(self.least.saturating_sub(begin.elapsed()));
        outcome
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let mut outcome = Ok(());
        let counted = measure(|| outcome = self.inner.decode(prompts, out));
        self.counts.decodes.fetch_add(1, Ordering::Relaxed);
        self.counts.decode_allocations.fetch_add(counted.count_total, Ordering::Relaxed);
        outcome
    }
}

fn play(name: &str, least: Duration, length: Duration) {
    let began = Instant::now();
    let counts = Arc::new(Counts::default());
    let inner = sam::load(Path::new("models/student")).expect("run in the package's folder");
    let loaded = began.elapsed();
    let model = Slowed { inner, least, counts: counts.clone() };
    let predictor = Predictor::new(Box::new(model), PredictOptions::default());
    let mut predictor = Some(predictor);
    let supply = move || predictor.take().ok_or_else(|| Error::new(ErrorKind::Model, "the model's thread died"));
    let mut live = Live::start(supply, LiveConfig::default()).unwrap();
    let mut screen = Screen::new(ScreenConfig::default()).unwrap();
    screen.warm_up(640, 480, PixelFormat::Grey8);
    let mut display = NullDisplay::new(800, 480);
    let phantom = Phantom::new(PhantomPreset::Cyst, PhantomConfig::default()).unwrap();
    let truth = Phantom::new(PhantomPreset::Cyst, PhantomConfig::default()).unwrap();
    let play = PlayConfig { period: PERIOD, is_looped: true };
    let player = Player::start(Box::new(phantom), play, live.input()).unwrap();
    let start = Instant::now();
    let (mut next_tap, mut first_frame, mut first_mask) = (Duration::from_millis(500), None, None);
    let (mut frames, mut allocations, mut fresh_though_old) = (0u64, 0u64, 0u64);
    while start.elapsed() < length {
        if start.elapsed() >= next_tap {
            next_tap += TAP_EVERY;
            let shown = live.on_screen();
            let now = live.clock().now();
            live.command(Command::Clear, now);
            if let Some(at) = truth.tap_point(shown.map_or(0, |id| id.0 - 1)) {
                live.command(Command::Click { at, polarity: None, shown }, now);
            }
        }
        let mut drawn = None;
        let counted = measure(|| {
            if let Some(LiveView { frame, scene, ticket }) = live.poll() {
                let is_drawn = scene.objects.iter().any(|o| o.overlay.is_drawn());
                let exact = scene.objects.iter().any(|o| o.overlay == sonotap::scene::Overlay::Exact);
                screen.draw(frame, scene);
                let (frame, captured, presented) = (ticket.frame(), ticket.captured(), live.clock().now());
                let shown = Presented { frame: Some(frame), captured, presented };
                match display.present(screen.canvas(), &shown, &mut || live.hand_over(&ticket)) {
                    Ok(Presentation::Lit(light)) => {
                        live.presented(ticket, light);
                        drawn = Some((frame, is_drawn, exact));
                    }
                    _ => live.withheld(ticket),
                }
            }
        });
        if let Some((frame, is_drawn, exact)) = drawn {
            frames += 1;
            allocations += if frames > WARM_UP { counted.count_total } else { 0 };
            first_frame.get_or_insert(began.elapsed());
            if is_drawn {
                first_mask.get_or_insert(began.elapsed());
            }
            let mask = live.engine().object(sonotap::units::ObjectId(0)).and_then(|o| o.provenance()).map(|p| p.frame);
            fresh_though_old += u64::from(exact && mask != Some(frame));
        }
        live.wait(Duration::from_millis(4));
    }
    let report = live.report();
    let played = player.played();
    println!("\n{name}, {:.0} s: {} frames captured, {} shown", length.as_secs_f64(), played.played, report.frames);
    let deadline = &report.deadline;
    let age = &deadline.age_at_glass_ms;
    println!(
        "  age at the glass, limit {:.1} ms: p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.2}; late under LIVE {}",
        deadline.limit_ms, age.p50, age.p99, age.p999, age.max, deadline.late_under_live
    );
    row("tap to marker", &report.tap_to_marker);
    row("tap to outline", &report.tap_to_mask);
    row("motion and carrying", &report.motion);
    row("draw", &report.draw);
    row("hand-over to glass", &report.to_glass);
    row("look: encoder", &report.encode);
    row("look: decoder", &report.decode);
    row("look: all", &report.look);
    println!("  drops: {:?}, capture {played:?}", report.drops);
    println!("  outlines: {:?}; stale ones in fresh style: {fresh_though_old}", report.shown);
    let counted = frames.saturating_sub(WARM_UP).max(1);
    println!("  display thread: {:.3} allocations a presentation after {WARM_UP}", allocations as f64 / counted as f64);
    let per = |a: &AtomicU64, n: &AtomicU64| a.load(Ordering::Relaxed) as f64 / n.load(Ordering::Relaxed).max(1) as f64;
    println!(
        "  model: {:.0} allocations an encode, {:.0} a decode",
        per(&counts.encode_allocations, &counts.encodes),
        per(&counts.decode_allocations, &counts.decodes)
    );
    let ms = |d: Option<Duration>| d.map_or(f64::NAN, |d| d.as_secs_f64() * 1e3);
    println!(
        "  from start: model loaded {:.0} ms, first frame {:.0} ms, first outline {:.0} ms; resident {}",
        ms(Some(loaded)),
        ms(first_frame),
        ms(first_mask),
        resident()
    );
}

fn row(name: &str, s: &Summary) {
    println!(
        "  {name:<22} n {:>5}  p50 {:>8.2}  p99 {:>8.2}  p99.9 {:>8.2}  max {:>8.2} ms",
        s.count, s.p50_ms, s.p99_ms, s.p999_ms, s.max_ms
    );
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map_or("unknown", str::trim).to_owned();
    format!("{} now, {} at most", of("VmRSS:"), of("VmHWM:"))
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|a| a.parse::<f64>().ok()).unwrap_or(60.0);
    let length = Duration::of_secs(seconds);
    play("model as it is", Duration::ZERO, length);
    play("model slowed to 100 ms", Duration::from_millis(100), length / 3);
    play("model slowed to 1 s", Duration::from_millis(1_000), length / 3);
}
