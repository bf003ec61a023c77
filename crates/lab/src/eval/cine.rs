//! One tap on the first frame of a cine with truth, then the live path's own engine, on a clock of its own.
//!
//! A look is answered a fixed number of frames after it was asked, as on a device; nothing depends on this machine's
//! speed. The figures are of what the engine would draw: a frame without an outline counts 0, and an outline that is
//! drawn where hardly anything of the structure is counts as *falsely tracked*.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clicks::noc;
use super::components::Components;
use super::dataset::{Dataset, DatasetRow, Unusable};
use sonotap::engine::object::TrackedObject;
use sonotap::engine::{Engine, EngineConfig};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, Point};
use sonotap::mask::Bitmap;
use sonotap::model::predictor::Predictor;
use sonotap::prompt::Polarity;
use sonotap::scene::Overlay;
use sonotap::session::Command;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{FrameId, ObjectId, Span, Timestamp};

/// Frames from one to the next, 30 a second.
const PERIOD: Duration = Duration::from_nanos(33_333_333);
/// A look asked on a frame is answered when so many more were shown.
pub const LOOK_FRAMES: usize = 2;
/// Below this IoU a drawn outline is falsely tracked.
pub const FALSE_BELOW: f64 = 0.5;
/// Fewest frames of a cine.
const FRAMES_MIN: usize = 2;

/// Frames with the truth of each.
pub struct Cine {
    /// Data set, or `phantom`.
    pub data: String,
    /// Which of it.
    pub name: String,
    frames: Vec<Arc<Frame>>,
    truths: Vec<Bitmap>,
    tap: Point<ImageSpace>,
}

/// What was drawn on a cine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CineRow {
    /// Data set, or `phantom`.
    pub data: String,
    /// Which of it.
    pub name: String,
    /// IoU on each frame after the first, 0 where nothing was drawn.
    pub iou_by_frame: Vec<f64>,
    /// Mean of it.
    pub mean_iou: f64,
    /// Mean over the frames with an outline; `None` when there was never one.
    pub drawn_iou: Option<f64>,
    /// Share of frames with an outline.
    pub drawn_share: f64,
    /// Share of the outlines that are falsely tracked.
    pub falsely_tracked_share: f64,
    /// Frames until the outline was given up, with the reason; `None` when it never was.
    pub lost: Option<(usize, String)>,
}

impl Cine {
    /// A phantom in its natural motion, 640x480, tapped in the middle of its structure; `frames` follow the first.
    ///
    /// # Errors
    /// `Argument` when the phantom cannot be made.
    pub fn phantom(preset: PhantomPreset, seed: u64, frames: usize) -> Result<Self> {
        let (width, height) = (640, 480);
        let config = PhantomConfig { width, height, seed, frame_period: PERIOD, ..PhantomConfig::default() };
        let mut phantom = Phantom::new(preset, config)?;
        let nothing =
            || Error::new(ErrorKind::Argument, format!("phantom {preset}: nothing to tap on its first frame"));
        let tap = phantom.tap_point(0).ok_or_else(nothing)?;
        let name = format!("{preset} {seed}");
        let mut cine = Self { data: "phantom".into(), name, frames: Vec::new(), truths: Vec::new(), tap };
        for index in 0..=frames as u64 {
            let mut frame = Frame::default();
            phantom.render_at(index, &mut frame);
            let mut truth = Bitmap::new(width, height);
            phantom.truth_at(index, &mut truth);
            cine.push(frame, truth);
        }
        Ok(cine)
    }

    /// The cines of a set whose rows name a sequence and a frame: one for each sequence and class, tapped where the
    /// distance to the outside is greatest. The object is the largest component of the first mask, then the one that
    /// overlaps it most. A frame that cannot be read ends its cine there and is told.
    pub fn of_set(set: &Dataset, told: &mut Vec<Unusable>) -> Vec<Self> {
        let mut sequences: BTreeMap<(&str, &str), Vec<(u64, &DatasetRow)>> = BTreeMap::new();
        for row in &set.rows {
            if let (Some(sequence), Some(frame)) = (&row.sequence, row.frame) {
                sequences.entry((sequence, &row.class)).or_default().push((frame, row));
            }
        }
        let mut cines = Vec::new();
        for ((sequence, class), mut rows) in sequences {
            rows.sort_by_key(|(frame, _)| *frame);
            let name = format!("{sequence} {class}");
            let mut cine = Self {
                data: set.name.clone(),
                name,
                frames: Vec::new(),
                truths: Vec::new(),
                tap: Point::new(0.0, 0.0),
            };
            for (_, row) in rows {
                match row.load() {
                    Ok(pair) => {
                        let truth = going_on(&pair.truth, cine.truths.last());
                        cine.push(pair.image, truth);
                    }
                    Err(reason) => {
                        let (data, file) = (set.name.clone(), row.mask_name.clone());
                        told.push(Unusable { data, row: row.number, file, reason });
                        break;
                    }
                }
            }
            let Some(first) = cine.truths.first() else { continue };
            let nothing = Bitmap::new(first.width(), first.height());
            if let (Some(click), true) = (noc::next_click(first, &nothing, &[]), cine.frames.len() >= FRAMES_MIN) {
                cine.tap = click.at();
                cines.push(cine);
            }
        }
        cines
    }

    fn push(&mut self, mut frame: Frame, truth: Bitmap) {
        let index = self.frames.len() as u64;
        frame.stamp(FrameId(index + 1), Timestamp::from_ns(index * PERIOD.as_ns()));
        self.frames.push(Arc::new(frame));
        self.truths.push(truth);
    }
}

/// Taps, follows, and notes what is drawn on each frame.
///
/// # Errors
/// The model's.
pub fn follow(cine: &Cine, predictor: &mut Predictor) -> Result<CineRow> {
    predictor.forget_view();
    let mut engine =
        Engine::new(EngineConfig { period: PERIOD, surveys: predictor.surveys(), ..EngineConfig::default() });
    let mut answered: Option<(usize, Box<sonotap::engine::job::InferenceJob>)> = None;
    let (mut iou_by_frame, mut drawn, mut lost) = (Vec::new(), Vec::new(), None);
    for (i, frame) in cine.frames.iter().enumerate() {
        let now = frame.captured();
        engine.advance(frame.clone(), now)?;
        if i == 0 {
            let click = Command::Click { at: cine.tap, polarity: Some(Polarity::Positive), shown: frame.id() };
            engine.command(click, now);
        }
        if answered.as_ref().is_some_and(|(due, _)| *due <= i)
            && let Some((_, job)) = answered.take()
        {
            engine.answered(job);
        }
        if answered.is_none()
            && let Some(mut job) = engine.ask(now)
        {
            job.answer(predictor);
            answered = Some((i + LOOK_FRAMES, job));
        }
        let overlay = engine.compose(now).and_then(|(_, scene)| scene.objects.first().map(|o| o.overlay));
        if i == 0 {
            continue;
        }
        let carried = engine.object(ObjectId(0)).and_then(TrackedObject::carried);
        let mask = carried.filter(|_| overlay.is_some_and(Overlay::is_drawn));
        let truth = &cine.truths[i];
        iou_by_frame.push(mask.map_or(0.0, |m| m.to_bitmap(truth.width(), truth.height()).iou(truth)));
        drawn.push(mask.is_some());
        if let (Some(Overlay::Lost(reason)), None) = (overlay, &lost) {
            lost = Some((i, format!("{reason:?}")));
        }
    }
    Ok(row(cine, iou_by_frame, &drawn, lost))
}

fn row(cine: &Cine, iou_by_frame: Vec<f64>, drawn: &[bool], lost: Option<(usize, String)>) -> CineRow {
    let shown: Vec<f64> = iou_by_frame.iter().zip(drawn).filter(|(_, d)| **d).map(|(iou, _)| *iou).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    CineRow {
        data: cine.data.clone(),
        name: cine.name.clone(),
        mean_iou: mean(&iou_by_frame),
        drawn_iou: (!shown.is_empty()).then(|| mean(&shown)),
        drawn_share: shown.len() as f64 / drawn.len().max(1) as f64,
        falsely_tracked_share: shown.iter().filter(|iou| **iou < FALSE_BELOW).count() as f64
            / shown.len().max(1) as f64,
        lost,
        iou_by_frame,
    }
}

/// The component of `mask` that overlaps `last` most; the largest when there is no last or no overlap.
fn going_on(mask: &Bitmap, last: Option<&Bitmap>) -> Bitmap {
    let components = Components::of(mask);
    let candidates = components.by_area().into_iter().map(|i| components.bitmap(i));
    let same_size = last.filter(|l| (l.width(), l.height()) == (mask.width(), mask.height()));
    let mut best: Option<(f64, Bitmap)> = None;
    for candidate in candidates {
        let overlap = same_size.map_or(0.0, |l| candidate.iou(l));
        if best.as_ref().is_none_or(|(most, _)| overlap > *most) {
            best = Some((overlap, candidate));
        }
    }
    best.map_or_else(|| mask.clone(), |(_, m)| m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drawn_outlines_are_falsely_tracked_and_every_frame_counts() {
        let cine = Cine {
            data: "d".into(),
            name: "n".into(),
            frames: Vec::new(),
            truths: Vec::new(),
            tap: Point::new(0.0, 0.0),
        };
        let lost = Some((4, "Gone".to_owned()));
        let row = row(&cine, vec![0.8, 0.6, 0.4, 0.0], &[true, true, true, false], lost);
        assert!((row.mean_iou - 0.45).abs() < 1e-12 && (row.drawn_iou.unwrap() - 0.6).abs() < 1e-12);
        assert!((row.drawn_share - 0.75).abs() < 1e-12 && (row.falsely_tracked_share - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_component_that_goes_on_is_the_one_that_overlaps_not_the_largest() {
        let mut mask = Bitmap::new(20, 6);
        (0..8).for_each(|x| (0..6).for_each(|y| mask.set(x, y, true)));
        (12..15).for_each(|x| (1..4).for_each(|y| mask.set(x, y, true)));
        let mut last = Bitmap::new(20, 6);
        (13..17).for_each(|x| (1..4).for_each(|y| last.set(x, y, true)));
        assert_eq!(going_on(&mask, Some(&last)).area_px(), 9);
        assert_eq!(going_on(&mask, None).area_px(), 48);
    }
}
