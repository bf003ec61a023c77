//! Whether saving costs the live path anything: drops and the age of frames at the glass, with and without it.
//!
//! `cargo bench --bench saving -- [SECONDS] [FOLDER]` plays phantom:cyst at 640x480, 30 frames a second, with the bundled model and an
//! outline, four times SECONDS (60 by default): without saving, with, without, with. With it a still is saved every 5 s and the ring of
//! 10 s every 20 s, into a store in FOLDER (the current folder by default), which is on the disk that is to be measured and is deleted
//! afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sonotap::display::{Display, NullDisplay, Presentation, Presented};
use sonotap::error::{Error, ErrorKind};
use sonotap::frame::PixelFormat;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam;
use sonotap::pipeline::live::{Live, LiveConfig, LiveView};
use sonotap::pipeline::player::{PlayConfig, Player};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::Span;
use sonotap_exam::{Capture, ItemKind, NewExam, Origin, Outcome, Outlined, Saver, Store};

const PERIOD: Duration = Duration::from_nanos(33_333_333);
const STILL_EVERY: Duration = Duration::from_secs(5);
const CINE_EVERY: Duration = Duration::from_secs(20);
const CINE: Duration = Duration::from_secs(10);
/// The phantom's cyst goes its way: the outline begins anew so often.
const TAP_EVERY: Duration = Duration::from_secs(10);

/// What was saved, from the request until it was on the disk.
#[derive(Default)]
struct Saved {
    stills_ms: Vec<f64>,
    cines_ms: Vec<f64>,
    bytes: u64,
    failed: usize,
}

impl Saved {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Saved { saved: Ok(saved), .. } => {
                let all = if saved.kind == ItemKind::Cine { &mut self.cines_ms } else { &mut self.stills_ms };
                all.push(saved.took.as_secs_f64() * 1e3);
                self.bytes += saved.bytes;
            }
            Outcome::Saved { saved: Err(e), .. } => {
                println!("  not saved: {e}");
                self.failed += 1;
            }
            _ => {}
        }
    }
}

fn play(name: &str, length: Duration, store: Option<&Path>) {
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/student"));
    let mut predictor = Some(Predictor::new(sam::load(model).expect("the bundled model"), PredictOptions::default()));
    let supply = move || predictor.take().ok_or_else(|| Error::new(ErrorKind::Model, "the model's thread died"));
    let config = LiveConfig { cine_bytes: 96 << 20, ..LiveConfig::default() };
    let mut live = Live::start(supply, config).unwrap();
    let mut saver = store.map(|root| {
        let (store, _) = Store::open(root).expect("a store");
        Saver::start(store, NewExam { origin: Origin::Simulated, ..NewExam::default() }).expect("a thread")
    });
    let mut screen = Screen::new(ScreenConfig::default()).unwrap();
    screen.warm_up(640, 480, PixelFormat::Grey8);
    let mut display = NullDisplay::new(800, 480);
    let phantom = || Phantom::new(PhantomPreset::Cyst, PhantomConfig::default()).unwrap();
    let truth = phantom();
    let player =
        Player::start(Box::new(phantom()), PlayConfig { period: PERIOD, is_looped: true }, live.input()).unwrap();
    let start = Instant::now();
    let (mut next_tap, mut next_still, mut next_cine) = (Duration::from_millis(500), STILL_EVERY, CINE_EVERY);
    let mut saved = Saved::default();
    while start.elapsed() < length {
        if start.elapsed() >= next_tap {
            next_tap += TAP_EVERY;
            let (shown, now) = (live.on_screen(), live.clock().now());
            live.command(Command::Clear, now);
            if let Some(at) = truth.tap_point(shown.map_or(0, |id| id.0 - 1)) {
                live.command(Command::Click { at, polarity: None, shown }, now);
            }
        }
        if let Some(LiveView { frame, scene, ticket }) = live.poll() {
            screen.draw(frame, scene);
            let shown =
                Presented { frame: Some(ticket.frame()), captured: ticket.captured(), presented: live.clock().now() };
            match display.present(screen.canvas(), &shown, &mut || live.hand_over(&ticket)) {
                Ok(Presentation::Lit(light)) => live.presented(ticket, light),
                _ => live.withheld(ticket),
            }
        }
        if let Some(saver) = &mut saver {
            if start.elapsed() >= next_still {
                next_still += STILL_EVERY;
                hand_over(&live, saver, false);
            }
            if start.elapsed() >= next_cine {
                next_cine += CINE_EVERY;
                hand_over(&live, saver, true);
            }
            while let Some(outcome) = saver.outcome() {
                saved.note(outcome);
            }
        }
        live.wait(Duration::from_millis(4));
    }
    let (report, played) = (live.report(), player.played());
    saver.into_iter().flat_map(Saver::finish).for_each(|outcome| saved.note(outcome));
    let (deadline, age) = (&report.deadline, &report.deadline.age_at_glass_ms);
    println!("\n{name}, {:.0} s: {} frames shown, {played:?}", length.as_secs_f64(), report.frames);
    println!(
        "  age at the glass, limit {:.1} ms: p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.2}; late under LIVE {}",
        deadline.limit_ms, age.p50, age.p99, age.p999, age.max, deadline.late_under_live
    );
    println!("  drops: {:?}", report.drops);
    if store.is_some() {
        println!("  saved {:.1} MB, {} not", saved.bytes as f64 / 1e6, saved.failed);
        row("still to durable", &mut saved.stills_ms);
        row("cine of 10 s to durable", &mut saved.cines_ms);
    }
}

fn hand_over(live: &Live, saver: &mut Saver, is_cine: bool) {
    let Some((frame, scene)) = live.engine().composed() else { return };
    let exact = Outlined::of_scene(scene, frame).exact;
    let from = frame.captured() - CINE;
    let capture = match is_cine {
        false => Capture::still(frame.clone(), exact),
        true => {
            let frames: Vec<_> = live.engine().cine().filter(|f| f.captured() >= from).cloned().collect();
            match frames.iter().position(|f| f.id() == frame.id()) {
                Some(place) => Capture::cine(frames, place, exact),
                None => return println!("  the shown frame is not in the ring: no cine was saved"),
            }
        }
    };
    if let Err(e) = saver.save(capture) {
        println!("  {e}");
    }
}

fn row(name: &str, ms: &mut [f64]) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms.get(((ms.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(f64::NAN);
    println!("  {name:<24} n {:>3}  p50 {:>8.1}  p99 {:>8.1}  max {:>8.1} ms", ms.len(), at(0.5), at(0.99), at(1.0));
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let seconds = given.iter().find_map(|a| a.parse::<f64>().ok()).unwrap_or(60.0);
    let folder = given.iter().find(|a| a.parse::<f64>().is_err()).map_or(PathBuf::from("."), PathBuf::from);
    let store = tempfile::Builder::new().prefix("saving-").tempdir_in(folder).expect("a folder that can be written");
    for round in 1..=2 {
        play(&format!("round {round}, without saving"), Duration::of_secs(seconds), None);
        play(
            &format!("round {round}, saving"),
            Duration::of_secs(seconds),
            Some(&store.path().join(format!("{round}"))),
        );
    }
}
