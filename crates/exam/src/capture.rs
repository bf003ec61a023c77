//! What is saved: frames, and the outlines that were computed from one of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sonotap::calipers::figures::FigureGroup;
use sonotap::calipers::set::Reading;
use sonotap::frame::PixelScale;
use sonotap::geometry::ImageSpace;
use sonotap::measure::measure;
use sonotap::model::predictor::{Prediction, Prompts};
use sonotap::region::{FrameRegion, Unmeasured};
use sonotap::scene::Marker;
use sonotap::units::Score;
use sonotap::{Frame, Measurements, ObjectId, Outline, Overlay, Point, Polarity, Rect, Scene};

/// Where pictures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A scanner's video.
    Captured,
    /// A file that was played: the pictures exist elsewhere already.
    File,
    /// A simulation: there is no patient.
    Simulated,
}

/// An object with its exact outline.
#[derive(Clone, Debug)]
pub struct Outlined {
    /// Which one.
    pub(crate) object: ObjectId,
    /// What it is, where somebody said: the label of a preset.
    pub(crate) label: Option<String>,
    pub(crate) outline: Outline,
    pub(crate) clicks: Vec<(Point<ImageSpace>, Polarity)>,
    pub(crate) boxed: Option<Rect<ImageSpace>>,
    pub(crate) score: Option<Score>,
    pub(crate) measurements: Option<Measurements>,
}

/// An outline that is not saved, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which object.
    pub object: ObjectId,
    /// It was not computed from this frame.
    pub overlay: Overlay,
}

/// Outlines of a scene: those that are saved, and those that are not.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Computed from this very frame.
    pub exact: Vec<Outlined>,
    /// Carried, dimmed, hidden or lost.
    pub left_out: Vec<LeftOut>,
}

impl Outlined {
    /// The exact outlines of a scene; none when the scene is of another frame.
    pub fn of_scene(scene: &Scene, frame: &Frame) -> Kept {
        let mut kept = Kept::default();
        for object in &scene.objects {
            if object.overlay != Overlay::Exact || !scene.belongs_to(frame) || object.outline.is_empty() {
                kept.left_out.push(LeftOut { object: object.object, overlay: object.overlay });
                continue;
            }
            let clicks = object.markers.iter().filter_map(|m| match *m {
                Marker::Click { at, polarity, .. } => Some((at, polarity)),
                Marker::Box { .. } => None,
            });
            let boxed = object.markers.iter().find_map(|m| match *m {
                Marker::Box { rect, .. } => Some(rect),
                Marker::Click { .. } => None,
            });
            kept.exact.push(Self {
                object: object.object,
                label: scene.preset.as_ref().map(|p| p.label.clone()),
                outline: object.outline.clone(),
                clicks: clicks.collect(),
                boxed,
                score: object.score,
                measurements: object.measurements,
            });
        }
        kept.exact.sort_by_key(|o| o.object);
        kept
    }

    /// The outline of a prediction on `frame`; `None` where there is none.
    pub fn of_look(
        look: &Prediction,
        outline: &Outline,
        frame: &Frame,
        home: &FrameRegion,
        prompts: &Prompts,
        label: Option<String>,
    ) -> Option<Self> {
        let grid = look.mask().filter(|_| !outline.is_empty())?;
        let scale: Result<_, Unmeasured> = frame.scale_for(home, outline, grid);
        Some(Self {
            object: ObjectId(0),
            label,
            outline: outline.clone(),
            clicks: prompts.clicks.clone(),
            boxed: prompts.boxed,
            score: look.score(),
            measurements: measure(outline, scale.ok().flatten().as_ref()),
        })
    }

    /// A known outline, for tests of what is made of it.
    #[doc(hidden)]
    pub fn known(object: ObjectId, label: &str, outline: Outline, frame: &Frame) -> Self {
        Self {
            object,
            label: (!label.is_empty()).then(|| label.to_owned()),
            clicks: outline.bounds().map(|b| (b.centre(), Polarity::Positive)).into_iter().collect(),
            boxed: None,
            score: Score::new(0.87),
            measurements: measure(&outline, frame.scale().as_ref()),
            outline,
        }
    }
}

/// A frame of a saved item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedFrame {
    /// The number of the item.
    pub item: u32,
    /// Which of its frames, from 0.
    pub frame: usize,
    /// By how much the frame was compressed, with loss, when the item was saved; `None` where it is as it was captured.
    pub lossy_ratio: Option<f64>,
}

/// A still, or a cine, with the outlines of one of its frames.
#[derive(Clone, Debug)]
pub struct Capture {
    /// One frame for a still; more for a cine, all of one size and format, oldest first.
    pub(crate) frames: Vec<Arc<Frame>>,
    /// The frame that the objects are on.
    pub(crate) outlined_frame: usize,
    pub(crate) objects: Vec<Outlined>,
    /// What calipers on that frame say.
    pub(crate) calipers: Vec<Reading>,
    /// Medians, volumes and ejection fractions that were made in this exam until then.
    pub(crate) figures: Vec<FigureGroup>,
    /// The frame of a saved item that it is.
    pub(crate) derived_from: Option<SavedFrame>,
    /// The scale of frames that have none of their own.
    pub(crate) ruler_scale: Option<PixelScale>,
}

impl Capture {
    /// One frame with its outlines.
    pub fn still(frame: impl Into<Arc<Frame>>, objects: Vec<Outlined>) -> Self {
        Self::cine(vec![frame.into()], 0, objects)
    }

    /// With what calipers on the outlined frame say.
    pub fn with_calipers(self, calipers: Vec<Reading>) -> Self {
        Self { calipers, ..self }
    }

    /// With medians, volumes and ejection fractions of this exam.
    pub fn with_figures(self, figures: Vec<FigureGroup>) -> Self {
        Self { figures, ..self }
    }

    /// As the frame of a saved item, which was outlined anew. The item stays as it is.
    pub fn of_item(self, frame: Option<SavedFrame>) -> Self {
        Self { derived_from: frame, ..self }
    }

    /// With the scale that somebody measured, or that is known by the ruler; it counts for frames that have none of their own.
    pub fn with_ruler_scale(self, ruler_scale: Option<PixelScale>) -> Self {
        Self { ruler_scale, ..self }
    }

    /// Copies its frames, oldest first, so that those of a live path can be filled again.
    pub(crate) fn detach(&mut self) {
        for frame in &mut self.frames {
            let mut copy = Frame::clone(frame);
            if self.ruler_scale.is_some() && copy.parts().len() == 1 && copy.scale().is_none() {
                copy.set_scale(self.ruler_scale);
            }
            *frame = Arc::new(copy);
        }
    }

    /// Frames in the order of their times, with the outlines of the frame at `outlined_frame`.
    pub fn cine(frames: Vec<Arc<Frame>>, outlined_frame: usize, objects: Vec<Outlined>) -> Self {
        Self {
            frames,
            outlined_frame,
            objects,
            calipers: Vec::new(),
            figures: Vec::new(),
            derived_from: None,
            ruler_scale: None,
        }
    }

    /// Whether all frames have the same regions and scales.
    pub(crate) fn has_common_regions(&self) -> bool {
        self.frames.windows(2).all(|w| w[0].parts() == w[1].parts())
    }

    /// Whether anything is outlined or measured on it.
    pub(crate) fn has_findings(&self) -> bool {
        !(self.objects.is_empty() && self.calipers.is_empty() && self.figures.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonotap::frame::ScaleSource;
    use sonotap::units::Millimetres;
    use sonotap::{FrameId, HiddenReason, LostReason, ObjectScene, PixelFormat, Timestamp};

    #[test]
    fn a_scale_by_the_ruler_is_saved_with_frames_that_have_none_of_their_own() {
        let scale = |mm, source| PixelScale::new(Millimetres(mm), Millimetres(mm), source);
        let by_hand = scale(0.5, ScaleSource::TwoPoint);
        for (own, saved) in
            [(None, by_hand), (scale(0.1, ScaleSource::DicomRegion), scale(0.1, ScaleSource::DicomRegion))]
        {
            let mut frame = Frame::from_pixels(32, 24, PixelFormat::Grey8, vec![0; 32 * 24]).unwrap();
            frame.set_scale(own);
            let mut capture = Capture::still(frame, Vec::new()).with_ruler_scale(by_hand);
            capture.detach();
            assert_eq!(capture.frames[0].parts()[0].scale, saved);
        }
    }

    #[test]
    fn only_exact_outlines_are_kept_and_the_others_are_told() {
        let mut frame = Frame::from_pixels(32, 24, PixelFormat::Grey8, vec![0; 32 * 24]).unwrap();
        frame.stamp(FrameId(7), Timestamp::from_ms(5));
        let mut outline = Outline::default();
        outline.push_ring([(2.0, 2.0), (9.0, 2.0), (9.0, 9.0)].map(|(x, y)| Point::new(x, y)));
        let age = std::time::Duration::from_millis(30);
        let overlays = [
            Overlay::Carried { age },
            Overlay::Exact,
            Overlay::Stale { age },
            Overlay::Hidden(HiddenReason::Computing),
            Overlay::Lost(LostReason::SceneCut),
        ];
        let objects = overlays.iter().enumerate().map(|(i, &overlay)| ObjectScene {
            object: ObjectId(i as u8),
            is_active: i == 0,
            overlay,
            outline: outline.clone(),
            markers: Vec::new(),
            score: None,
            measurements: None,
        });
        let mut scene = Scene { frame: Some(FrameId(7)), objects: objects.collect(), ..Scene::default() };
        let kept = Outlined::of_scene(&scene, &frame);
        assert_eq!(kept.exact.iter().map(|o| o.object).collect::<Vec<_>>(), [ObjectId(1)]);
        assert_eq!(
            kept.left_out.iter().map(|o| o.overlay).collect::<Vec<_>>(),
            [overlays[0], overlays[2], overlays[3], overlays[4]]
        );
        // Of another frame nothing is exact.
        scene.frame = Some(FrameId(6));
        let kept = Outlined::of_scene(&scene, &frame);
        assert!(kept.exact.is_empty() && kept.left_out.len() == 5);
    }
}
