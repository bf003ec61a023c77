//! A world on a fake clock: a phantom as probe, a model of known make and speed, a display that takes time to draw.

pub(crate) mod slow_predictor;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::{Frame, Picture};
use sonotap::geometry::{ModelView, Point};
use sonotap::glass::DisplayTiming;
use sonotap::mask::Bitmap;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::prompt::Polarity;
use sonotap::scene::Scene;
use sonotap::source::phantom::{Event, Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, Span, Timestamp};

pub(crate) use slow_predictor::SlowPredictor;

pub(crate) const CELLS: usize = 128;
const SIDE: u32 = 256;
/// Grey below which the model takes tissue for fluid.
const FLUID: f32 = 40.0;

/// How the model behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Outlines the dark region under the prompts.
    #[default]
    Good,
    /// Answers with NaN.
    NotANumber,
    /// Answers with nothing inside.
    Nothing,
    /// Answers with everything inside.
    Everything,
    /// Outlines something else, surely.
    Elsewhere,
    /// Repeats the previous mask it is given, surely; without one it sees nothing of the sort.
    Echo,
    /// Returns an error.
    Fails,
}

/// A model that needs no weights: the dark region connected to the prompts.
pub(crate) struct DarkRegion {
    behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) dark: Vec<bool>,
    stack: Vec<usize>,
}

impl DarkRegion {
    pub(crate) fn new(behaviour: Arc<Mutex<Behaviour>>) -> Self {
        Self { behaviour, dark: vec![false; CELLS * CELLS], stack: Vec::new() }
    }

    fn flood(&mut self, prompts: &ModelPrompts, out: &mut [f32]) {
        let cell = |p: f32| ((p / SIDE as f32 * CELLS as f32) as usize).min(CELLS - 1);
        let positive = prompts.clicks.iter().filter(|c| c.1 == Polarity::Positive);
        self.stack.extend(positive.map(|(p, _)| cell(p.y) * CELLS + cell(p.x)));
        if let Some(b) = prompts.boxed {
            let c = b.centre();
            self.stack.push(cell(c.y) * CELLS + cell(c.x));
        }
        while let Some(at) = self.stack.pop() {
            if self.dark[at] && out[at] < 0.0 {
                out[at] = 6.0;
                let (x, y) = (at % CELLS, at / CELLS);
                self.stack.extend((x > 0).then(|| at - 1));
                self.stack.extend((x + 1 < CELLS).then_some(at + 1));
                self.stack.extend((y > 0).then(|| at - CELLS));
                self.stack.extend((y + 1 < CELLS).then_some(at + CELLS));
            }
        }
    }
}

impl Segmenter for DarkRegion {
    fn spec(&self) -> ModelSpec {
        ModelSpec {
            side: SIDE,
            mask_cells: CELLS,
            masks: 4,
            pixel_channels: 0,
            first_candidate: 0,
            view_advantage: None,
            proposes: false,
        }
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        let k = SIDE as f32 / CELLS as f32;
        for at in 0..CELLS * CELLS {
            let centre =
                view.to_image(Point::new((at % CELLS) as f32 * k + k / 2.0, (at / CELLS) as f32 * k + k / 2.0));
            let (mut sum, mut count) = (0.0, 0.0f32);
            for dy in -3..=3 {
                for dx in -3..=3 {
                    let p = Point::new(centre.x + dx as f32, centre.y + dy as f32);
                    if frame.contains(p) {
                        sum += f32::from(frame.grey(p.x as u32, p.y as u32));
                        count += 1.0;
                    }
                }
            }
            self.dark[at] = count > 0.0 && sum / count < FLUID;
        }
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let behaviour = *self.behaviour.lock().unwrap();
        if behaviour == Behaviour::Fails {
            return Err(Error::new(ErrorKind::Model, "told to fail"));
        }
        out.pixels.clear();
        out.iou.clear();
        out.iou.resize(4, 0.9);
        out.masks.clear();
        out.masks.resize(4 * CELLS * CELLS, -6.0);
        let mut one = vec![-6.0; CELLS * CELLS];
        match behaviour {
            Behaviour::Good => self.flood(prompts, &mut one),
            Behaviour::NotANumber => one[77] = f32::NAN,
            Behaviour::Everything => one.fill(6.0),
            Behaviour::Elsewhere => one[..8 * CELLS].fill(6.0),
            Behaviour::Echo if prompts.previous.is_empty() => one[..8 * CELLS].fill(6.0),
            Behaviour::Echo => one.copy_from_slice(&prompts.previous),
            Behaviour::Nothing | Behaviour::Fails => {}
        }
        out.masks.chunks_exact_mut(CELLS * CELLS).for_each(|m| m.copy_from_slice(&one));
        Ok(())
    }
}

/// What was on the screen after one presentation.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub at: Timestamp,
    pub captured: Timestamp,
    /// Number of the phantom's picture.
    pub picture: u64,
    pub scene: Scene,
    /// Of the first object, the frame that its mask is of.
    pub mask_frame: Option<FrameId>,
}

/// Hands a frame over as a host does, region and scale beside the pixels.
pub(crate) fn push<W: sonotap::pipeline::worker::InferenceWorker>(live: &Live<W>, frame: &Frame, time: CaptureTime) {
    let picture = Picture::dense(frame.width(), frame.height(), frame.format(), frame.pixels());
    let picture = Picture { scale: frame.scale(), region: Some(frame.region()), ..picture };
    live.input().push(&picture, time, None).expect("a whole frame of now");
}

/// The world. One step is one millisecond.
pub(crate) struct World {
    hand: Arc<AtomicU64>,
    pub live: Live<SlowPredictor>,
    pub phantom: Phantom,
    pub behaviour: Arc<Mutex<Behaviour>>,
    pub is_source_running: bool,
    pub is_source_repeating: bool,
    pub draw: Duration,
    /// Of the camera.
    pub period: Duration,
    next_due: Timestamp,
    pictures: Vec<u64>,
    frame: Frame,
    pub shots: Vec<Shot>,
}

impl World {
    pub(crate) fn new(
        preset: PhantomPreset,
        events: Vec<(u64, Event)>,
        look: Duration,
        deadline: Option<Duration>,
    ) -> Self {
        let period = Duration::from_nanos(33_333_333);
        let behaviour = Arc::new(Mutex::new(Behaviour::Good));
        let segmenter = Box::new(DarkRegion::new(behaviour.clone()));
        let config = LiveConfig { period, deadline, display: DisplayTiming::OnReturn, ..LiveConfig::default() };
        Self::of(preset, events, look, config, segmenter, behaviour)
    }

    /// A world whose model is `segmenter`.
    pub(crate) fn of(
        preset: PhantomPreset,
        events: Vec<(u64, Event)>,
        look: Duration,
        config: LiveConfig,
        segmenter: Box<dyn Segmenter>,
        behaviour: Arc<Mutex<Behaviour>>,
    ) -> Self {
        let period = config.period;
        let of_phantom = PhantomConfig { width: 320, height: 240, events, ..PhantomConfig::default() };
        let phantom = Phantom::new(preset, of_phantom).unwrap();
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(segmenter, PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), look);
        let live = Live::with(worker, Wake::default(), config, clock);
        Self {
            hand,
            live,
            phantom,
            behaviour,
            is_source_running: true,
            is_source_repeating: false,
            draw: Duration::from_millis(4),
            period,
            next_due: Timestamp::START,
            pictures: vec![0],
            frame: Frame::default(),
            shots: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }

    /// Number of the phantom's picture that a frame shows.
    pub(crate) fn picture_of(&self, frame: Option<FrameId>) -> u64 {
        self.pictures[frame.map_or(0, |id| id.0) as usize]
    }

    /// Truth of the phantom's picture.
    pub(crate) fn truth(&self, picture: u64) -> Bitmap {
        let mut truth = Bitmap::new(320, 240);
        self.phantom.truth_at(picture, &mut truth);
        truth
    }

    /// Runs to a time.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        while self.now() < end {
            self.capture();
            self.show();
            self.pass(Duration::from_millis(1));
        }
    }

    fn pass(&self, span: Duration) {
        self.hand.fetch_add(span.as_ns(), Ordering::AcqRel);
    }

    fn capture(&mut self) {
        if self.now() < self.next_due {
            return;
        }
        self.next_due = self.next_due + self.period;
        if !self.is_source_running {
            return;
        }
        let last = *self.pictures.last().unwrap();
        let picture = if self.is_source_repeating { last } else { last + 1 };
        self.phantom.render_at(picture, &mut self.frame);
        self.pictures.push(picture);
        push(&self.live, &self.frame, CaptureTime::Now);
    }

    fn show(&mut self) {
        let Some(LiveView { frame, scene, ticket }) = self.live.poll() else { return };
        let (scene, captured) = (scene.clone(), frame.captured());
        self.pass(self.draw);
        if !self.live.hand_over(&ticket) {
            return self.live.withheld(ticket);
        }
        self.live.presented(ticket, Light::Now);
        let object = self.live.engine().object(sonotap::units::ObjectId(0));
        let mask_frame = object.and_then(|o| o.provenance()).map(|p| p.frame);
        let picture = self.picture_of(scene.frame);
        self.shots.push(Shot { at: self.now(), captured, picture, scene, mask_frame });
    }
}
