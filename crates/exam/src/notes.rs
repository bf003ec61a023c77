//! `NNNN.prompts.json`: prompts, outlines and measurements of an item for whoever has no DICOM viewer, and for an export.
//! Nothing in it is of the patient.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sonotap::calipers::figures::{Figure, FigureGroup};
use sonotap::calipers::set::{Reading, Shape, Value};
use sonotap::units::Span as _;
use sonotap::{Measurements, Polarity, Rect};

use crate::capture::{Capture, Origin, Outlined};
use crate::store::record::new_uid;

/// Tracking UIDs of an item: they follow what is outlined and measured through SEG and report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracking {
    pub objects: Vec<String>,
    pub calipers: Vec<String>,
    pub figures: Vec<String>,
}

impl Tracking {
    /// New ones, but for figures of several frames: those have the same in every item of a study.
    pub(crate) fn of(capture: &Capture, study_uid: &str) -> Self {
        Self {
            objects: capture.objects.iter().map(|_| new_uid()).collect(),
            calipers: capture.calipers.iter().map(|_| new_uid()).collect(),
            figures: capture.figures.iter().map(|group| uid_of(group, study_uid)).collect(),
        }
    }
}

fn uid_of(group: &FigureGroup, study_uid: &str) -> String {
    let mut sum = Sha256::new();
    sum.update(study_uid);
    // The texts of these types are of numbers and names of a preset alone.
    sum.update(format!("{:?} {:?} {:?} {:?}", group.kind, group.label, group.frames, group.figures));
    let mut number = [0; 16];
    number.copy_from_slice(&sum.finalize()[..16]);
    format!("2.25.{}", u128::from_be_bytes(number))
}

/// Who says the scales of a group.
pub(crate) fn scales_of(group: &FigureGroup) -> String {
    match group.scales.as_slice() {
        [] => "uncalibrated".to_owned(),
        scales => scales.iter().map(|s| s.label()).collect::<Vec<_>>().join(", "),
    }
}

/// An item's outlines in plain numbers. Places are image px: x to the right, y down, a pixel's centre at +0.5.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// Number of the item.
    pub item: u32,
    /// The item whose frame was outlined or measured anew for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<u32>,
    /// Which of its frames, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from_frame: Option<u32>,
    /// When it was saved, RFC 3339, UTC; nothing in a de-identified export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    pub width_px: u32,
    pub height_px: u32,
    /// The frame that the objects are on, from 1.
    pub frame: u32,
    /// Times of the frames after the first, ms.
    pub frame_times_ms: Vec<f64>,
    /// How much larger the picture with outlines is.
    pub outlined_times: u32,
    pub regions: Vec<RegionNotes>,
    /// Whether the other frames have the same regions and scales.
    #[serde(default)]
    pub are_regions_common: bool,
    /// Whether somebody said which part of the frame is the image: outside it a host may write names.
    pub is_region_known: bool,
    pub origin: Origin,
    pub model: String,
    pub model_sha256: String,
    pub objects: Vec<ObjectNotes>,
    /// What somebody measured by hand on that frame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calipers: Vec<CaliperNotes>,
    /// Medians, volumes and ejection fractions that were made in this exam until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<FigureGroupNotes>,
    #[serde(rename = "use")]
    pub purpose: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RegionNotes {
    /// x0, y0, x1, y1.
    pub bounds_px: [f32; 4],
    pub shows: String,
    pub is_tissue: bool,
    pub mm_per_px: Option<[f32; 2]>,
    pub scale_source: Option<String>,
    /// Error of the scale as a share of it, where somebody knows.
    #[serde(default)]
    pub scale_error: Option<f32>,
    /// Whether others lie above it, whatever their size.
    #[serde(default)]
    pub is_low_priority: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectNotes {
    /// From 1.
    pub object: u32,
    pub label: Option<String>,
    /// Follows the object through the SEG and the report.
    pub tracking_uid: String,
    pub clicks: Vec<ClickNotes>,
    pub box_px: Option<[f32; 4]>,
    /// The model's estimate of the outline's IoU.
    pub score: Option<f32>,
    /// Rings; an outer one has its points clockwise on the screen, a hole counter-clockwise.
    pub outline_px: Vec<Vec<[f32; 2]>>,
    pub measurements: Option<MeasurementNotes>,
}

/// A caliper; without a scale there are no lengths but px.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaliperNotes {
    pub letter: char,
    /// Empty where the item was saved before there were any.
    #[serde(default)]
    pub tracking_uid: String,
    /// What it says, as on the screen.
    #[serde(default)]
    pub words: String,
    /// "distance", "ellipse" or "trace".
    pub kind: String,
    /// Its ends; of a trace its outline.
    pub places_px: Vec<[f32; 2]>,
    pub length_px: Option<f64>,
    pub length_mm: Option<f64>,
    pub area_px2: Option<f64>,
    pub area_mm2: Option<f64>,
    /// Along the line.
    #[serde(default)]
    pub perimeter_mm: Option<f64>,
    /// Of the ellipse of equal second moments.
    #[serde(default)]
    pub ellipse_axes_mm: Option<[f64; 2]>,
    /// Of the ellipse of equal second moments, where it is one.
    pub circumference_mm: Option<f64>,
    pub scale_source: Option<String>,
    /// Error of the scale as a share of it, where somebody knows.
    pub scale_error: Option<f32>,
}

/// Figures that belong together, of the outlines of several frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FigureGroupNotes {
    /// "median", "two planes", "view 1", "view 2" or "both views".
    pub kind: String,
    pub label: Option<String>,
    /// The same in every item of the exam.
    pub tracking_uid: String,
    /// Numbers of the frames in the run; they need not be saved.
    pub frames: Vec<u64>,
    pub scale_source: Option<String>,
    /// Error of the scale as a share of it, where somebody knows.
    pub scale_error: Option<f64>,
    pub figures: Vec<FigureNotes>,
    /// The same in words, as on the screen.
    pub lines: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FigureNotes {
    pub quantity: String,
    pub value: f64,
    /// "mm", "mm²", "ml", "%"; "px" or "px²" without a scale.
    pub unit: String,
    pub method: String,
    /// What the error of the scale makes of it, as a share of the value.
    pub error: Option<f64>,
    pub median: Option<MedianNotes>,
}

/// In the unit of the figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MedianNotes {
    pub frames: usize,
    pub least: f64,
    pub most: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClickNotes {
    pub x: f32,
    pub y: f32,
    pub is_inside: bool,
}

/// In px where there is no scale; then there is no `mm`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MeasurementNotes {
    pub area_px2: f64,
    pub perimeter_px: f64,
    pub longest_px: f64,
    pub perpendicular_px: f64,
    pub mm: Option<MetricNotes>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MetricNotes {
    pub area_mm2: f64,
    /// Along the outline.
    pub perimeter_mm: f64,
    pub longest_mm: f64,
    pub perpendicular_mm: f64,
    /// Of the ellipse of equal second moments.
    pub ellipse_axes_mm: [f64; 2],
    /// Of that ellipse, where the outline is one.
    #[serde(default)]
    pub circumference_mm: Option<f64>,
    pub scale_source: String,
    /// Error of the scale as a share of it, where somebody knows.
    #[serde(default)]
    pub scale_error: Option<f64>,
}

fn corners<S>(r: &Rect<S>) -> [f32; 4] {
    [r.x0, r.y0, r.x1, r.y1]
}

impl Notes {
    pub(crate) fn of(
        capture: &Capture,
        number: u32,
        taken: String,
        exam: &crate::ExamRecord,
        tracking: &Tracking,
        times: u32,
    ) -> Self {
        let frame = &capture.frames[capture.outlined_frame];
        let first = capture.frames[0].captured();
        let since = |f: &sonotap::Frame| f.captured().since(first).as_ms();
        let regions: Vec<RegionNotes> = frame
            .parts()
            .iter()
            .map(|r| RegionNotes {
                bounds_px: corners(&r.rect),
                shows: r.content.label().to_owned(),
                is_tissue: r.content.is_segmentable(),
                mm_per_px: r.scale.map(|s| [s.mm_per_px().0, s.mm_per_px().1]),
                scale_source: r.scale.map(|s| s.source().label().to_owned()),
                scale_error: r.scale.and_then(|s| s.relative_error()),
                is_low_priority: r.is_low_priority,
            })
            .collect();
        let whole = corners(&frame.bounds());
        Self {
            item: number,
            derived_from: capture.derived_from.map(|from| from.item),
            derived_from_frame: capture.derived_from.map(|from| from.frame as u32 + 1),
            taken: Some(taken),
            width_px: frame.width(),
            height_px: frame.height(),
            frame: capture.outlined_frame as u32 + 1,
            frame_times_ms: capture.frames[1..].iter().map(|f| since(f)).collect(),
            outlined_times: times,
            are_regions_common: capture.has_common_regions(),
            is_region_known: regions.iter().all(|r| r.bounds_px != whole),
            regions,
            origin: exam.origin,
            model: exam.model.clone(),
            model_sha256: exam.model_sha256.clone(),
            objects: capture.objects.iter().zip(&tracking.objects).map(|(o, uid)| ObjectNotes::of(o, uid)).collect(),
            calipers: capture
                .calipers
                .iter()
                .zip(&tracking.calipers)
                .map(|(r, uid)| CaliperNotes::of(r, uid))
                .collect(),
            figures: capture
                .figures
                .iter()
                .zip(&tracking.figures)
                .map(|(g, uid)| FigureGroupNotes::of(g, uid))
                .collect(),
            purpose: "not for diagnostic use".into(),
        }
    }
}

impl ObjectNotes {
    fn of(object: &Outlined, uid: &str) -> Self {
        Self {
            object: u32::from(object.object.0) + 1,
            label: object.label.clone(),
            tracking_uid: uid.to_owned(),
            clicks: object
                .clicks
                .iter()
                .map(|(p, polarity)| ClickNotes { x: p.x, y: p.y, is_inside: *polarity == Polarity::Positive })
                .collect(),
            box_px: object.boxed.as_ref().map(corners),
            score: object.score.map(|s| s.get()),
            outline_px: object.outline.rings().map(|ring| ring.iter().map(|p| [p.x, p.y]).collect()).collect(),
            measurements: object.measurements.as_ref().map(MeasurementNotes::of),
        }
    }
}

impl FigureGroupNotes {
    fn of(group: &FigureGroup, uid: &str) -> Self {
        Self {
            kind: group.kind.label().to_owned(),
            label: group.label.clone(),
            tracking_uid: uid.to_owned(),
            frames: group.frames.iter().map(|f| f.0).collect(),
            scale_source: (!group.scales.is_empty()).then(|| scales_of(group)),
            scale_error: group.scale_error,
            figures: group.figures.iter().map(FigureNotes::of).collect(),
            lines: group.lines.clone(),
        }
    }
}

impl FigureNotes {
    fn of(f: &Figure) -> Self {
        Self {
            quantity: f.quantity.label().to_owned(),
            value: f.value,
            unit: f.unit.label().to_owned(),
            method: f.method.label().to_owned(),
            error: f.error,
            median: f.median.map(|m| MedianNotes { frames: m.count, least: m.least, most: m.most }),
        }
    }
}

impl CaliperNotes {
    fn of(reading: &Reading, uid: &str) -> Self {
        let (length, enclosed) = match reading.value {
            Some(Value::Length { px, mm }) => (Some((px, mm)), None),
            Some(Value::Enclosed(m)) => (None, Some(m)),
            None => (None, None),
        };
        let (kind, places) = match &reading.caliper.shape {
            Shape::Distance { .. } => ("distance", reading.caliper.shape.ends().collect()),
            Shape::Ellipse { .. } => ("ellipse", reading.caliper.shape.ends().collect()),
            Shape::Trace(outline) => ("trace", outline.points().to_vec()),
        };
        Self {
            letter: reading.caliper.letter,
            tracking_uid: uid.to_owned(),
            words: reading.words(),
            kind: kind.to_owned(),
            places_px: places.iter().map(|p| [p.x, p.y]).collect(),
            length_px: length.map(|(px, _)| px),
            length_mm: length.and_then(|(_, mm)| mm).map(|mm| mm.0),
            area_px2: enclosed.map(|m| m.area_px),
            area_mm2: enclosed.and_then(|m| m.metric).map(|m| m.area.0),
            perimeter_mm: enclosed.and_then(|m| m.metric).map(|m| m.perimeter.0),
            ellipse_axes_mm: enclosed.and_then(|m| m.metric).map(|m| [m.ellipse_axes.0.0, m.ellipse_axes.1.0]),
            circumference_mm: enclosed.and_then(|m| m.circumference()).map(|c| c.0),
            scale_source: reading.scale.map(|s| s.source().label().to_owned()),
            scale_error: reading.scale.and_then(|s| s.relative_error()),
        }
    }
}

impl MeasurementNotes {
    fn of(m: &Measurements) -> Self {
        Self {
            area_px2: m.area_px,
            perimeter_px: m.perimeter_px,
            longest_px: m.longest_px,
            perpendicular_px: m.perpendicular_px,
            mm: m.metric.map(|mm| MetricNotes {
                area_mm2: mm.area.0,
                perimeter_mm: mm.perimeter.0,
                longest_mm: mm.longest.0,
                perpendicular_mm: mm.perpendicular.0,
                ellipse_axes_mm: [mm.ellipse_axes.0.0, mm.ellipse_axes.1.0],
                circumference_mm: m.circumference().map(|c| c.0),
                scale_error: mm.scale_error,
                scale_source: mm.source.label().to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonotap::calipers::set::Caliper;
    use sonotap::frame::{PixelScale, ScaleSource};
    use sonotap::units::Millimetres;
    use sonotap::{FrameId, Outline, Point};

    fn reading(shape: Shape, scale: Option<PixelScale>) -> Reading {
        let value = shape.read(scale.as_ref());
        Reading { caliper: Caliper { letter: 'B', frame: FrameId(3), shape }, value, scale }
    }

    #[test]
    fn a_caliper_is_noted_with_its_scale_and_without_one_in_px_only() {
        let scale =
            PixelScale::new(Millimetres(0.5), Millimetres(0.5), ScaleSource::TwoPoint).unwrap().with_error(0.01);
        let distance = || Shape::Distance { a: Point::new(10.0, 10.0), b: Point::new(40.0, 50.0) };
        let noted = CaliperNotes::of(&reading(distance(), Some(scale)), "2.25.1");
        assert_eq!((noted.kind.as_str(), noted.length_px, noted.length_mm), ("distance", Some(50.0), Some(25.0)));
        assert_eq!((noted.scale_source.as_deref(), noted.scale_error), (Some("calibrated by hand"), Some(0.01)));
        assert_eq!(noted.places_px, [[10.0, 10.0], [40.0, 50.0]]);
        let noted = CaliperNotes::of(&reading(distance(), None), "2.25.1");
        assert_eq!((noted.length_px, noted.length_mm, noted.scale_source), (Some(50.0), None, None));
        let mut outline = Outline::default();
        outline.push_ring([(0.0, 0.0), (20.0, 0.0), (20.0, 10.0), (0.0, 10.0)].map(|(x, y)| Point::new(x, y)));
        let noted = CaliperNotes::of(&reading(Shape::Trace(outline.into()), Some(scale)), "2.25.1");
        assert_eq!((noted.kind.as_str(), noted.area_px2, noted.area_mm2), ("trace", Some(200.0), Some(50.0)));
        assert_eq!(noted.circumference_mm, None, "a rectangle is no ellipse");
        let json = serde_json::to_string(&noted).unwrap();
        assert_eq!(serde_json::from_str::<CaliperNotes>(&json).unwrap().letter, 'B', "{json}");
    }
}
