//! A lone tap at several scales, on the engine as it runs, with a model that sees a small structure only from near.

use std::sync::Arc;
use std::time::Duration;

use sonotap::engine::{Engine, EngineConfig};
use sonotap::error::Result;
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{ModelView, Point};
use sonotap::mask::LogitGrid;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};
use sonotap::scene::Notice;
use sonotap::session::Command;
use sonotap::units::{FrameId, ObjectId, Span, Timestamp};

const CELLS: usize = 64;
const PERIOD: Duration = Duration::from_nanos(33_333_333);
const AT: (f32, f32) = (300.0, 220.0);

/// Sees a disc of 100 px with a score of .5, and in views of at most 250 px one of 20 px with this score.
struct Near {
    view: ModelView,
    score: f32,
    /// Where the structure is on the frame seen last: a mirrored one has no number.
    x: f32,
}

impl Segmenter for Near {
    fn spec(&self) -> ModelSpec {
        ModelSpec {
            side: 256,
            mask_cells: CELLS,
            masks: 2,
            pixel_channels: 0,
            first_candidate: 0,
            view_advantage: Some(0.0),
            proposes: false,
        }
    }

    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()> {
        self.view = *view;
        self.x = if frame.id().is_none() { 640.0 - AT.0 } else { AT.0 };
        Ok(())
    }

    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()> {
        let grid = LogitGrid::background(CELLS, self.view);
        let disc = |i: usize, radius: f32| {
            let p = grid.centre(i % CELLS, i / CELLS);
            (radius - p.distance(Point::new(self.x, AT.1))) / 4.0
        };
        out.pixels.clear();
        out.masks = [100.0, 20.0]
            .into_iter()
            .flat_map(|r| (0..CELLS * CELLS).map(move |i| (i, r)))
            .map(|(i, r)| disc(i, r))
            .collect::<Vec<f32>>()
            .into();
        if !prompts.previous.is_empty() {
            // Fed a mask it says yes to it.
            out.masks[..CELLS * CELLS].copy_from_slice(&prompts.previous);
        }
        out.iou = vec![0.5, if self.view.crop().width() <= 250.0 { self.score } else { 0.1 }];
        Ok(())
    }
}

struct Stage {
    engine: Engine,
    predictor: Predictor,
    frames: u64,
}

impl Stage {
    fn new(surveys: bool, score: f32) -> Self {
        let view = ModelView::new(Frame::default().bounds(), 256);
        let options = PredictOptions { survey: surveys, ..PredictOptions::default() };
        let predictor = Predictor::new(Box::new(Near { view, score, x: AT.0 }), options);
        let engine =
            Engine::new(EngineConfig { period: PERIOD, surveys: predictor.surveys(), ..EngineConfig::default() });
        Self { engine, predictor, frames: 0 }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.frames * PERIOD.as_ns())
    }

    /// The next frame, whose look is answered before the one after it. Runs of the encoder for it.
    fn frame(&mut self) -> u32 {
        self.frames += 1;
        let shade = |i: usize| (i * 37 % 101) as u8 + 60;
        let mut frame = Frame::from_pixels(640, 480, PixelFormat::Grey8, (0..640 * 480).map(shade).collect()).unwrap();
        frame.pixels_mut()[0] = self.frames as u8;
        frame.stamp(FrameId(self.frames), self.now());
        self.engine.advance(Arc::new(frame), self.now()).unwrap();
        self.look()
    }

    fn look(&mut self) -> u32 {
        let Some(mut job) = self.engine.ask(self.now()) else { return 0 };
        job.answer(&mut self.predictor);
        let encodes = job.report().unwrap().encodes;
        self.engine.answered(job);
        encodes
    }

    fn tap(&mut self) {
        let at = Point::new(AT.0, AT.1);
        self.engine.command(Command::Click { at, polarity: None, shown: Some(FrameId(self.frames)) }, self.now());
    }

    /// Radius of the outline that stands, px.
    fn radius(&self) -> f32 {
        let area = self.engine.object(ObjectId(0)).unwrap().carried().unwrap().to_bitmap(640, 480).area_px();
        (area as f32 / std::f32::consts::PI).sqrt()
    }

    fn notice(&mut self) -> Option<Notice> {
        let now = self.now();
        self.engine.compose(now).and_then(|(_, scene)| scene.notice)
    }
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 6.0
}

#[test]
fn what_the_whole_image_gives_is_shown_at_once_and_a_closer_answer_replaces_it_with_a_word() {
    let mut stage = Stage::new(true, 0.9);
    stage.frame();
    stage.tap();
    assert_eq!(stage.look(), 1, "one encode until something is shown");
    assert!(near(stage.radius(), 100.0), "{}", stage.radius());
    assert!(!matches!(stage.notice(), Some(Notice::OutlineChanged(_))));
    assert_eq!(stage.frame(), 6, "the whole image, four squares, and closer at what they gave, on the next frame");
    assert!(near(stage.radius(), 20.0), "{}", stage.radius());
    assert_eq!(stage.notice(), Some(Notice::OutlineChanged(ObjectId(0))));
    for _ in 0..5 {
        assert!(stage.frame() <= 2, "later frames are looked at as ever");
    }
    assert!(near(stage.radius(), 20.0), "{}", stage.radius());
}

#[test]
fn an_answer_that_is_no_better_changes_nothing_and_says_nothing() {
    let mut stage = Stage::new(true, 0.3);
    stage.frame();
    stage.tap();
    stage.look();
    assert_eq!(stage.frame(), 6);
    assert!(near(stage.radius(), 100.0), "{}", stage.radius());
    assert!(!matches!(stage.notice(), Some(Notice::OutlineChanged(_))));
}

#[test]
fn a_second_tap_on_the_marker_shows_the_other_outline_of_all_views() {
    let mut stage = Stage::new(true, 0.9);
    stage.frame();
    stage.tap();
    stage.look();
    stage.frame();
    assert!(near(stage.radius(), 20.0));
    stage.tap();
    assert_eq!(stage.look(), 6);
    assert!(near(stage.radius(), 100.0), "{}", stage.radius());
    assert!(!matches!(stage.notice(), Some(Notice::OutlineChanged(_))), "the operator asked for it");
}

#[test]
fn on_a_frozen_frame_all_views_are_asked_before_it_is_left_alone() {
    let mut stage = Stage::new(true, 0.9);
    stage.frame();
    stage.engine.command(Command::Freeze, stage.now());
    stage.tap();
    stage.look();
    assert!(stage.engine.is_still_unasked(), "a first outline is not the last word");
    assert_eq!(stage.look(), 10, "five views, each in a mirror, too; the whole image was there already; and closer");
    assert!(near(stage.radius(), 20.0));
    assert!(!stage.engine.is_still_unasked());
}

#[test]
fn without_comparable_scores_nothing_is_asked_at_other_scales() {
    let mut stage = Stage::new(false, 0.9);
    stage.frame();
    stage.tap();
    assert_eq!(stage.look(), 1);
    assert!(stage.frame() <= 2);
    assert!(near(stage.radius(), 100.0), "{}", stage.radius());
}
