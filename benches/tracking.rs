//! Does the outline follow the tissue: phantoms with exact truth, 640x480, 30 frames a second, the bundled model.
//!
//! `cargo bench --bench tracking -- [--quick] [--json] [--seeds 11,12,13] [--presets cyst,..] [--look-ms 50,300]
//! [--frames 150] [--model FOLDER] [--no-trouble] [--only-trouble]`
//!
//! One tap in the middle of the structure on the first frame, then motion. Figures are IoU with the truth of the same
//! frame, mean over all frames after the first and over the seeds:
//!
//! | column | the outline is |
//! |---|---|
//! | first | the model's first mask, on the frame of the tap |
//! | stand | the first mask, left where it was |
//! | flow | the first mask, carried by the composite motion alone |
//! | model | the model's, looking at every second frame without delay, fed its own last mask; the click moved with that mask's centroid; each mask stands for two frames |
//! | both | the live path's on a fake clock, a look taking the time that is stated: `all` counts a frame without outline as 0, `drawn` leaves it out |
//! | true+stand, true+flow | the truth of the first frame, left standing, and carried by motion alone |
//!
//! Then what becomes of the outline when the patient changes, the probe is lifted, tissue leaves the plane or the probe
//! jumps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use sonotap::engine::motion::{Motion, MotionStep};
use sonotap::engine::{Engine, EngineConfig};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::{Frame, Picture};
use sonotap::geometry::{ImageSpace, ModelView, Point, Rect};
use sonotap::mask::{Bitmap, LogitGrid};
use sonotap::model::predictor::{PredictOptions, Prediction, Predictor, Prompts};
use sonotap::model::sam;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig};
use sonotap::prompt::Polarity;
use sonotap::scene::Overlay;
use sonotap::session::Command;
use sonotap::source::phantom::{Event, Phantom, PhantomConfig, PhantomPreset};
use sonotap::track::carry;
use sonotap::units::{FrameId, ObjectId, Span, Timestamp};

#[path = "../tests/common/slow_predictor.rs"]
mod slow_predictor;
use slow_predictor::SlowPredictor;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const PERIOD: Duration = Duration::from_nanos(33_333_333);
/// The fake display takes this to draw.
const DRAW: Duration = Duration::from_nanos(4_000_000);
/// Frames from one look of the model alone to the next.
const MODEL_ALONE_EVERY: usize = 2;
/// Side of the view of a true mask, per longer side of the structure.
const TRUE_VIEW: f32 = 2.5;
const CELLS: usize = 128;
/// Taps of several objects are so far apart: none meets the marker of another.
const APART_PX: f32 = 30.0;
/// Frames of a run in which something happens, and the frame at which it does.
const TROUBLE_FRAMES: usize = 75;
const TROUBLE_AT: usize = 30;
/// Frames that a fade takes.
const FADE_FRAMES: usize = 20;
/// How far the probe is moved in one frame, image px.
const JUMP_PX: (i32, i32) = (110, 45);
/// A look takes this in such a run.
const TROUBLE_LOOK_MS: u64 = 50;
/// Added to a seed for another patient.
const OTHER_SEED: u64 = 1_000;

struct Options {
    frames: usize,
    seeds: Vec<u64>,
    presets: Vec<PhantomPreset>,
    look_ms: Vec<u64>,
    model: PathBuf,
    is_json: bool,
    has_motion: bool,
    has_trouble: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self {
            frames: 150,
            seeds: vec![11, 12, 13],
            presets: PhantomPreset::ALL.to_vec(),
            look_ms: vec![50, 300],
            model: concat!(env!("CARGO_MANIFEST_DIR"), "/models/student").into(),
            is_json: false,
            has_motion: true,
            has_trouble: true,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| wrong(format!("{name}: expected a value")));
            match name.as_str() {
                "--bench" => {}
                "--no-trouble" => options.has_trouble = false,
                "--only-trouble" => options.has_motion = false,
                "--json" => options.is_json = true,
                "--quick" => (options.frames, options.seeds) = (45, vec![11]),
                "--frames" => options.frames = number(&value()?)? as usize,
                "--seeds" => options.seeds = value()?.split(',').map(number).collect::<Result<_>>()?,
                "--look-ms" => options.look_ms = value()?.split(',').map(number).collect::<Result<_>>()?,
                "--presets" => options.presets = value()?.split(',').map(str::parse).collect::<Result<_>>()?,
                "--model" => options.model = value()?.into(),
                other => return Err(wrong(format!("no such option: {other}"))),
            }
        }
        Ok(options)
    }
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Argument, what)
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| wrong(format!("expected a number, got {text:?}")))
}

/// A phantom's frames with their truth.
struct Take {
    frames: Vec<Arc<Frame>>,
    truths: Vec<Bitmap>,
    tap: Point<ImageSpace>,
}

impl Take {
    /// The first frame and `count` more; frame `i` has the id `i + 1`.
    fn new(preset: PhantomPreset, seed: u64, count: usize, events: Vec<(u64, Event)>) -> Result<Self> {
        let config =
            PhantomConfig { width: WIDTH, height: HEIGHT, seed, frame_period: PERIOD, events, ..Default::default() };
        let mut phantom = Phantom::new(preset, config)?;
        let mut take = Self { frames: Vec::new(), truths: Vec::new(), tap: Point::new(0.0, 0.0) };
        take.tap = phantom.tap_point(0).ok_or_else(|| wrong(format!("{preset}: nothing to tap")))?;
        for index in 0..=count as u64 {
            let mut frame = Frame::default();
            phantom.render_at(index, &mut frame);
            frame.stamp(FrameId(index + 1), Timestamp::from_ns(index * PERIOD.as_ns()));
            take.frames.push(Arc::new(frame));
            let mut truth = Bitmap::new(WIDTH, HEIGHT);
            phantom.truth_at(index, &mut truth);
            take.truths.push(truth);
        }
        Ok(take)
    }

    fn iou(&self, index: usize, mask: &LogitGrid) -> f64 {
        mask.to_bitmap(WIDTH, HEIGHT).iou(&self.truths[index])
    }

    /// Mean over the frames after the first.
    fn mean(&self, mut iou: impl FnMut(usize) -> f64) -> f64 {
        (1..self.frames.len()).map(&mut iou).sum::<f64>() / (self.frames.len() - 1) as f64
    }

    /// The truth of the first frame as logits: the share of each cell that lies inside, a half at the outline.
    fn true_mask(&self) -> Option<LogitGrid> {
        let truth = &self.truths[0];
        let inside = |x: u32, y: u32| f32::from(u8::from(truth.get(x, y)));
        let places = || (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).filter(|&(x, y)| truth.get(x, y));
        let pixel = |(x, y): (u32, u32)| Rect::new(x as f32, y as f32, x as f32 + 1.0, y as f32 + 1.0);
        let bounds = places().map(pixel).reduce(|a, b| a.union(&b))?;
        let margin = (TRUE_VIEW - 1.0) / 2.0 * bounds.width().max(bounds.height());
        let crop = bounds.grown(margin).intersect(&Rect::new(0.0, 0.0, WIDTH as f32, HEIGHT as f32))?;
        let mut mask = LogitGrid::background(CELLS, ModelView::new(crop, 256));
        let half = (crop.width().max(crop.height()) / CELLS as f32 / 2.0).max(0.5);
        for n in 0..CELLS * CELLS {
            let c = mask.centre(n % CELLS, n / CELLS);
            let (mut sum, mut count) = (0.0, 0.0f32);
            for step in 0..16 {
                let (i, j) = ((step % 4) as f32 - 1.5, (step / 4) as f32 - 1.5);
                let (x, y) = (c.x + i * half / 2.0, c.y + j * half / 2.0);
                sum += if x >= 0.0 && y >= 0.0 { inside(x as u32, y as u32) } else { 0.0 };
                count += 1.0;
            }
            mask.values_mut()[n] = 16.0 * (sum / count - 0.5);
        }
        Some(mask)
    }
}

/// What happens at [`TROUBLE_AT`].
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Another patient from one frame to the next.
    Cut,
    /// The probe leaves the skin.
    Lift,
    /// Tissue leaves the plane: the picture fades into itself rolled by half its width, so that the structure is elsewhere.
    Fade,
    /// The picture moves by [`JUMP_PX`] within one frame; the same tissue.
    Jump,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::Cut, Self::Lift, Self::Fade, Self::Jump];

    /// The take with it; after it, truth is that of what is then in the picture.
    fn befall(self, preset: PhantomPreset, seed: u64) -> Result<Take> {
        let other = Event::Cut { seed: seed + OTHER_SEED };
        let with = |event| Take::new(preset, seed, TROUBLE_FRAMES, vec![(TROUBLE_AT as u64, event)]);
        match self {
            Self::Cut => with(other),
            Self::Lift => with(Event::Lift),
            Self::Fade => {
                let mut take = Take::new(preset, seed, TROUBLE_FRAMES, Vec::new())?;
                for i in TROUBLE_AT..take.frames.len() {
                    let part = ((i - TROUBLE_AT) as f32 / FADE_FRAMES as f32).min(1.0);
                    let (still, truth) = (take.frames[i].clone(), take.truths[i].clone());
                    let frame = Arc::make_mut(&mut take.frames[i]);
                    for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
                        let rolled = (x + WIDTH / 2) % WIDTH;
                        let (a, b) = (f32::from(still.grey(x, y)), f32::from(still.grey(rolled, y)));
                        frame.pixels_mut()[(y * WIDTH + x) as usize] = (a + part * (b - a)) as u8;
                        take.truths[i].set(x, y, truth.get(if part > 0.5 { rolled } else { x }, y));
                    }
                }
                Ok(take)
            }
            Self::Jump => {
                let mut take = Take::new(preset, seed, TROUBLE_FRAMES, Vec::new())?;
                for i in TROUBLE_AT..take.frames.len() {
                    let (still, truth) = (take.frames[i].clone(), take.truths[i].clone());
                    let frame = Arc::make_mut(&mut take.frames[i]);
                    for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
                        let from = (x as i32 - JUMP_PX.0, y as i32 - JUMP_PX.1);
                        let is_there = from.0 >= 0 && from.1 >= 0;
                        let (fx, fy) = (from.0.max(0) as u32, from.1.max(0) as u32);
                        frame.pixels_mut()[(y * WIDTH + x) as usize] = if is_there { still.grey(fx, fy) } else { 0 };
                        take.truths[i].set(x, y, is_there && truth.get(fx, fy));
                    }
                }
                Ok(take)
            }
        }
    }
}

/// What became of the outline after a [`Trouble`], at a look of 50 ms.
#[derive(Clone, Debug, Serialize)]
struct Aftermath {
    preset: String,
    seed: u64,
    trouble: String,
    /// The first loss after it, with the frames that it took.
    lost: Option<(String, usize)>,
    /// Frames with an outline after it.
    drawn: usize,
    /// Mean IoU of those with what is in the picture.
    drawn_iou: f64,
}

fn aftermath(options: &Options, preset: PhantomPreset, seed: u64, trouble: Trouble) -> Result<Aftermath> {
    let take = trouble.befall(preset, seed)?;
    let shown = live(&take, Predictor::new(sam::load(&options.model)?, PredictOptions::default()), TROUBLE_LOOK_MS);
    let after = &shown[TROUBLE_AT..];
    let lost = after.iter().enumerate().find_map(|(n, shot)| match shot {
        Some((Overlay::Lost(reason), _)) => Some((format!("{reason:?}"), n)),
        _ => None,
    });
    let drawn: Vec<f64> = after.iter().flatten().filter(|(o, _)| o.is_drawn()).map(|(_, iou)| *iou).collect();
    Ok(Aftermath {
        preset: preset.name().into(),
        seed,
        trouble: format!("{trouble:?}").to_lowercase(),
        lost,
        drawn: drawn.len(),
        drawn_iou: drawn.iter().fold(0.0, |sum, iou| sum + iou) / drawn.len().max(1) as f64,
    })
}

fn print_aftermath(all: &[Aftermath]) {
    println!(
        "\nafter something happened ({} frames are left then; a look takes {TROUBLE_LOOK_MS} ms)",
        TROUBLE_FRAMES - TROUBLE_AT
    );
    for a in all {
        let lost = a.lost.as_ref().map_or("never lost".into(), |(why, n)| format!("lost after {n} frames: {why}"));
        println!(
            "{:<12}{:>5} {:<6}{:>3} frames drawn, IoU {:.3}; {lost}",
            a.preset, a.seed, a.trouble, a.drawn, a.drawn_iou
        );
    }
}

fn lone_click(at: Point<ImageSpace>) -> Prompts {
    Prompts { clicks: vec![(at, Polarity::Positive)], ..Prompts::default() }
}

/// The mask of the tap on the first frame; `None` when the model gives none.
fn first_mask(take: &Take, predictor: &mut Predictor) -> Result<Option<LogitGrid>> {
    let mut looks = Vec::new();
    predictor.forget_view();
    predictor.predict(&take.frames[0], &[lone_click(take.tap)], &mut looks)?;
    Ok(looks[0].mask().cloned())
}

/// Mean IoU of a mask of the first frame that motion alone carries; notes what each frame took.
fn carried(take: &Take, first: &LogitGrid, spans_ns: &mut Vec<u64>) -> f64 {
    let mut motion = Motion::new();
    motion.advance(&take.frames[0]);
    let mut composite = motion.blank();
    composite.reset(*motion.latest_flow().view());
    let mut mask = first.clone();
    take.mean(|i| {
        let begin = Instant::now();
        if matches!(motion.advance(&take.frames[i]), MotionStep::Moved(_)) {
            motion.extend(&mut composite);
        }
        carry::warp(first, &composite, &mut mask);
        spans_ns.push(begin.elapsed().as_nanos() as u64);
        take.iou(i, &mask)
    })
}

/// Mean IoU of the model that is fed its own last mask and knows no motion.
fn model_alone(take: &Take, predictor: &mut Predictor, first: &LogitGrid) -> Result<f64> {
    let start = centroid(first);
    let mut mask = first.clone();
    let mut looks: Vec<Prediction> = Vec::new();
    let mut sum = 0.0;
    for i in 1..take.frames.len() {
        if (i - 1) % MODEL_ALONE_EVERY == 0 {
            let now = centroid(&mask);
            let bounds = take.frames[i].bounds().grown(-0.5);
            let mut prompts =
                lone_click(bounds.clamp(Point::new(take.tap.x + now.x - start.x, take.tap.y + now.y - start.y)));
            prompts.previous = Some(mask.clone());
            predictor.predict(&take.frames[i], &[prompts], &mut looks)?;
            if let Some(seen) = looks[0].mask() {
                mask.copy_from(seen);
            }
        }
        sum += take.iou(i, &mask);
    }
    Ok(sum / (take.frames.len() - 1) as f64)
}

fn centroid(mask: &LogitGrid) -> Point<ImageSpace> {
    let cells = mask.cells();
    let (mut x, mut y, mut count) = (0.0, 0.0, 0.0f32);
    for n in (0..cells * cells).filter(|&n| mask.values()[n] > 0.0) {
        let c = mask.centre(n % cells, n / cells);
        (x, y, count) = (x + c.x, y + c.y, count + 1.0);
    }
    Point::new(x / count.max(1.0), y / count.max(1.0))
}

/// How the live path did.
#[derive(Clone, Debug, Default, Serialize)]
struct Both {
    look_ms: u64,
    /// A frame without outline counts 0.
    iou_all: f64,
    /// Over the frames with an outline.
    iou_drawn: f64,
    /// Share of frames by overlay; `missed` were not shown at all.
    shares: BTreeMap<String, f64>,
    /// Reasons of losses with the number of the first frame that was lost for each.
    losses: Vec<(String, usize)>,
}

/// Plays a take on a fake clock: how each frame was shown first, with the IoU of a drawn outline.
fn live(take: &Take, predictor: Predictor, look_ms: u64) -> Vec<Option<(Overlay, f64)>> {
    let hand = Arc::new(AtomicU64::new(0));
    let clock = Clock::set_by(hand.clone());
    let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(look_ms));
    let config = LiveConfig { period: PERIOD, ..LiveConfig::default() };
    let mut live = Live::with(worker, Wake::default(), config, clock.clone());
    let input = live.input();
    let mut shown: Vec<Option<(Overlay, f64)>> = vec![None; take.frames.len()];
    let mut next = 0;
    let end = Timestamp::from_ns(PERIOD.as_ns() * take.frames.len() as u64);
    while clock.now() < end {
        if let Some(frame) = take.frames.get(next).filter(|f| f.captured() <= clock.now()) {
            let picture = Picture::dense(frame.width(), frame.height(), frame.format(), frame.pixels());
            let picture = Picture { scale: frame.scale(), region: Some(frame.region()), ..picture };
            input.push(&picture, CaptureTime::Live(frame.captured()), None).expect("a whole frame");
            next += 1;
        }
        let is_first_poll = live.engine().shown().is_none();
        let seen = live.poll().map(|v| (v.ticket, v.scene.objects.first().map(|o| o.overlay)));
        if let Some((ticket, overlay)) = seen {
            let at = ticket.frame().0 as usize - 1;
            if let (Some(overlay), None) = (overlay, shown[at]) {
                let mask = live.engine().object(ObjectId(0)).and_then(|o| o.carried()).filter(|_| overlay.is_drawn());
                shown[at] = Some((overlay, mask.map_or(0.0, |m| take.iou(at, m))));
            }
            hand.fetch_add(DRAW.as_ns(), Ordering::AcqRel);
            live.presented(ticket, Light::Now);
            if is_first_poll {
                let click =
                    Command::Click { at: take.tap, polarity: Some(Polarity::Positive), shown: Some(FrameId(1)) };
                live.command(click, clock.now());
            }
        }
        hand.fetch_add(1_000_000, Ordering::AcqRel);
    }
    shown
}

/// [`live`]'s frames after the first, counted.
fn summary(look_ms: u64, shown: &[Option<(Overlay, f64)>]) -> Both {
    let mut both = Both { look_ms, ..Both::default() };
    let share = 1.0 / shown.len() as f64;
    let mut drawn = 0.0;
    for (n, shot) in shown.iter().enumerate() {
        let name = match shot {
            None => "missed",
            Some((Overlay::Exact, _)) => "exact",
            Some((Overlay::Carried { .. }, _)) => "carried",
            Some((Overlay::Stale { .. }, _)) => "stale",
            Some((Overlay::Hidden(_), _)) => "hidden",
            Some((Overlay::Lost(reason), _)) => {
                let reason = format!("{reason:?}");
                if both.losses.last().is_none_or(|(r, _)| *r != reason) {
                    both.losses.push((reason, n + 1));
                }
                "lost"
            }
        };
        *both.shares.entry(name.into()).or_default() += share;
        if let Some((_, iou)) = shot.filter(|(o, _)| o.is_drawn()) {
            drawn += 1.0;
            both.iou_all += iou * share;
            both.iou_drawn += iou;
        }
    }
    both.iou_drawn = if drawn > 0.0 { both.iou_drawn / drawn } else { 0.0 };
    both
}

/// What [`Engine::advance`] takes with `objects` outlined objects, ns, one for each frame; the model looks once.
fn advance_spans(take: &Take, predictor: &mut Predictor, objects: usize) -> Vec<u64> {
    let mut engine = Engine::new(EngineConfig { period: PERIOD, ..EngineConfig::default() });
    engine.advance(take.frames[0].clone(), Timestamp::START).expect("the first frame");
    for n in 0..objects {
        if n > 0 {
            engine.command(Command::NewObject, Timestamp::START);
        }
        let [dx, dy] = [(n % 2) as f32, (n / 2) as f32].map(|i| (i - 0.5) * APART_PX);
        let at = Point::new(take.tap.x + dx, take.tap.y + dy);
        engine.command(
            Command::Click { at, polarity: Some(Polarity::Positive), shown: Some(FrameId(1)) },
            Timestamp::START,
        );
    }
    if let Some(mut job) = engine.ask(Timestamp::START) {
        job.answer(predictor);
        engine.answered(job);
    }
    let mut spans = Vec::new();
    for frame in &take.frames[1..] {
        let begin = Instant::now();
        engine.advance(frame.clone(), frame.captured()).expect("a newer frame");
        spans.push(begin.elapsed().as_nanos() as u64);
    }
    spans
}

/// Figures of one phantom.
#[derive(Clone, Debug, Serialize)]
struct Row {
    preset: String,
    seed: u64,
    first: f64,
    stand: f64,
    flow: f64,
    model: f64,
    both: Vec<Both>,
    true_first: f64,
    true_stand: f64,
    true_flow: f64,
    flow_ms: f64,
    advance_ms: [f64; 2],
}

fn median_ms(spans: &mut [u64]) -> f64 {
    spans.sort_unstable();
    spans.get(spans.len() / 2).map_or(0.0, |&ns| ns as f64 / 1e6)
}

fn measure(options: &Options, preset: PhantomPreset, seed: u64) -> Result<Option<Row>> {
    let take = Take::new(preset, seed, options.frames, Vec::new())?;
    let mut predictor = Predictor::new(sam::load(&options.model)?, PredictOptions::default());
    let Some(first) = first_mask(&take, &mut predictor)? else {
        log::warn!("{preset} {seed}: the model gives no mask");
        return Ok(None);
    };
    let truth = take.true_mask().ok_or_else(|| wrong(format!("{preset} {seed}: no truth on the first frame")))?;
    let mut spans = Vec::new();
    let flow = carried(&take, &first, &mut spans);
    let true_flow = carried(&take, &truth, &mut spans);
    let model = model_alone(&take, &mut predictor, &first)?;
    let advance_ms = [1, 4].map(|objects| {
        predictor.forget_view();
        median_ms(&mut advance_spans(&take, &mut predictor, objects))
    });
    let mut both = Vec::new();
    for &look_ms in &options.look_ms {
        let predictor = Predictor::new(sam::load(&options.model)?, PredictOptions::default());
        both.push(summary(look_ms, &live(&take, predictor, look_ms)[1..]));
    }
    let still = |mask: &LogitGrid| {
        let mask = mask.to_bitmap(WIDTH, HEIGHT);
        take.mean(|i| mask.iou(&take.truths[i]))
    };
    Ok(Some(Row {
        preset: preset.name().into(),
        seed,
        first: take.iou(0, &first),
        stand: still(&first),
        flow,
        model,
        both,
        true_first: take.iou(0, &truth),
        true_stand: still(&truth),
        true_flow,
        flow_ms: median_ms(&mut spans),
        advance_ms,
    }))
}

fn print_head(options: &Options) {
    print!("{:<12}{:>5}{:>7}{:>7}{:>7}{:>7}", "preset", "seed", "first", "stand", "flow", "model");
    for ms in &options.look_ms {
        print!(" | {:>10}{:>7}{:>24}", format!("both@{ms}"), "drawn", "exact/carr/stale/lost/hid");
    }
    println!(" | true:first  stand   flow | flow ms, advance ms with 1, 4 objects");
}

fn print(rows: &[Row]) {
    for row in rows {
        print!(
            "{:<12}{:>5}{:>7.3}{:>7.3}{:>7.3}{:>7.3}",
            row.preset, row.seed, row.first, row.stand, row.flow, row.model
        );
        for both in &row.both {
            let share = |name| 100.0 * both.shares.get(name).copied().unwrap_or(0.0);
            let shares = ["exact", "carried", "stale", "lost", "hidden"].map(|n| format!("{:.0}", share(n))).join("/");
            print!(" | {:>10.3}{:>7.3}{:>25}", both.iou_all, both.iou_drawn, shares);
        }
        let [one, four] = row.advance_ms;
        let losses: Vec<String> =
            row.both.iter().flat_map(|b| b.losses.iter().map(|(r, n)| format!("@{} {r} {n}", b.look_ms))).collect();
        println!(
            " |     {:>6.3} {:>6.3} {:>6.3} | {:.2} {:.2} {:.2} {}",
            row.true_first,
            row.true_stand,
            row.true_flow,
            row.flow_ms,
            one,
            four,
            losses.join(", ")
        );
    }
}

fn mean_of(rows: &[Row], name: &str) -> Option<Row> {
    let (first, count) = (rows.first()?, rows.len() as f64);
    let mean = |of: fn(&Row) -> f64| rows.iter().map(of).sum::<f64>() / count;
    let both = (0..first.both.len()).map(|n| {
        let each = || rows.iter().map(move |r| &r.both[n]);
        let drawn: Vec<&Both> = each().filter(|b| b.iou_drawn > 0.0).collect();
        let mut shares = BTreeMap::new();
        for (name, share) in each().flat_map(|b| &b.shares) {
            *shares.entry(name.clone()).or_default() += share / count;
        }
        Both {
            look_ms: first.both[n].look_ms,
            iou_all: each().map(|b| b.iou_all).sum::<f64>() / count,
            iou_drawn: drawn.iter().map(|b| b.iou_drawn).sum::<f64>() / drawn.len().max(1) as f64,
            shares,
            losses: Vec::new(),
        }
    });
    Some(Row {
        preset: name.into(),
        seed: 0,
        first: mean(|r| r.first),
        stand: mean(|r| r.stand),
        flow: mean(|r| r.flow),
        model: mean(|r| r.model),
        both: both.collect(),
        true_first: mean(|r| r.true_first),
        true_stand: mean(|r| r.true_stand),
        true_flow: mean(|r| r.true_flow),
        flow_ms: mean(|r| r.flow_ms),
        advance_ms: [mean(|r| r.advance_ms[0]), mean(|r| r.advance_ms[1])],
    })
}

fn main() -> Result<()> {
    let options = Options::parse()?;
    if !options.is_json {
        print_head(&options);
    }
    let mut rows = Vec::new();
    let mut means = Vec::new();
    let mut after = Vec::new();
    for &preset in &options.presets {
        let from = rows.len();
        for &seed in &options.seeds {
            if options.has_motion {
                let row = measure(&options, preset, seed)?;
                if !options.is_json {
                    print(row.as_slice());
                }
                rows.extend(row);
            }
            for trouble in Trouble::ALL.into_iter().filter(|_| options.has_trouble) {
                after.push(aftermath(&options, preset, seed, trouble)?);
            }
        }
        means.extend(mean_of(&rows[from..], preset.name()));
    }
    means.extend(mean_of(&rows, "all"));
    if options.is_json {
        let json = serde_json::json!({ "frames": options.frames, "rows": rows, "means": means, "after": after });
        println!("{json:#}");
    } else {
        println!("\nmeans (seed 0 stands for all of them; `drawn` over the runs that drew anything)");
        print(&means);
        print_aftermath(&after);
    }
    Ok(())
}
