//! What was made of several still frames, as it is saved: medians, volumes, ejection fractions.
//!
//! All of it is of outlines that were computed from their very frames; nothing else can be kept. A group is complete: a plane
//! without the other, or two frames of which there is no median yet, are in none.

use super::kept::{Planes, Samples, TakenFrom, Ventricle, Which};
use super::words::{figure_words, plane_volume_words, volume_words};
use crate::frame::ScaleSource;
use crate::measure::series::MedianOf;
use crate::measure::volume::{Formula, VolumeOf};
use crate::measure::{Measurements, MetricMeasurements};
use crate::preset::Item;
use crate::units::FrameId;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Area within an outline.
    Area,
    /// Circumference of the ellipse of equal second moments.
    Circumference,
    /// Mean of the longest diameter and the extent across it.
    MeanDiameter,
    /// Longest diameter.
    LongestDiameter,
    /// Length of an outline.
    Perimeter,
    /// Major axis of the ellipse of equal second moments.
    MajorAxis,
    /// Of an organ, in the plane along it.
    Length,
    /// Of an organ, in the plane across it.
    Width,
    /// Of an organ, in the plane along it.
    Height,
    /// Of an organ.
    Volume,
    /// Of a left ventricle at the end of diastole.
    DiastolicVolume,
    /// At the end of systole.
    SystolicVolume,
    /// Of a left ventricle.
    EjectionFraction,
}

impl Quantity {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Area => "area",
            Self::Circumference => "circumference",
            Self::MeanDiameter => "mean diameter",
            Self::LongestDiameter => "longest diameter",
            Self::Perimeter => "perimeter",
            Self::MajorAxis => "major axis",
            Self::Length => "length",
            Self::Width => "width",
            Self::Height => "height",
            Self::Volume => "volume",
            Self::DiastolicVolume => "end-diastolic volume",
            Self::SystolicVolume => "end-systolic volume",
            Self::EjectionFraction => "ejection fraction",
        }
    }
}

/// How it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Along the outline.
    AlongOutline,
    /// By the ellipse of equal second moments.
    EqualMoments,
    /// By the two points farthest apart, and the extent across them.
    FarthestPoints,
    /// By a factor times length, width and height.
    Product(Formula),
    /// By 20 discs that are round.
    DiscsOnePlane,
    /// By 20 discs of two planes.
    DiscsTwoPlanes,
}

impl Method {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::AlongOutline => "along the outline",
            Self::EqualMoments => "ellipse of equal second moments",
            Self::FarthestPoints => "farthest points",
            Self::Product(formula) => formula.label(),
            Self::DiscsOnePlane => "20 discs, one plane",
            Self::DiscsTwoPlanes => "20 discs, two planes",
        }
    }
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// mm².
    SquareMillimetres,
    /// mm.
    Millimetres,
    /// ml.
    Millilitres,
    /// %.
    Percent,
    /// px², where there is no scale.
    SquarePixels,
    /// px, where there is no scale.
    Pixels,
}

impl Unit {
    /// Its symbol.
    pub fn label(self) -> &'static str {
        match self {
            Self::SquareMillimetres => "mm²",
            Self::Millimetres => "mm",
            Self::Millilitres => "ml",
            Self::Percent => "%",
            Self::SquarePixels => "px²",
            Self::Pixels => "px",
        }
    }

    /// Whether it is one of pixels: there was no scale.
    pub fn is_of_pixels(self) -> bool {
        matches!(self, Self::SquarePixels | Self::Pixels)
    }
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What is measured.
    pub quantity: Quantity,
    /// How.
    pub method: Method,
    /// The value, of a median the median.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// What the error of the scale makes of it, as a share of the value; `None` where it is not known, or is none.
    pub error: Option<f64>,
    /// Of a median, the median with its spread.
    pub median: Option<MedianOf>,
}

/// What figures of a group are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Medians of one object.
    Median,
    /// The volume of an organ from two planes.
    Planes,
    /// A left ventricle in one of two views.
    View(usize),
    /// A left ventricle in both.
    BothViews,
}

impl GroupKind {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Planes => "two planes",
            Self::View(1) => "view 1",
            Self::View(_) => "view 2",
            Self::BothViews => "both views",
        }
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureGroup {
    /// What they are of.
    pub kind: GroupKind,
    /// What was outlined, if somebody said when it was kept.
    pub label: Option<String>,
    /// The frames whose outlines they are of.
    pub frames: Vec<FrameId>,
    /// Who says the scales of those frames; none without a scale.
    pub scales: Vec<ScaleSource>,
    /// The greatest error of those scales, as a share of a length; `None` where one is not known.
    pub scale_error: Option<f64>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The same in words, as on the screen.
    pub lines: Vec<String>,
}

/// All groups that have a figure.
pub(super) fn groups(samples: &Samples, planes: &Planes, ventricle: &Ventricle) -> Vec<FigureGroup> {
    let views = [1, 2].into_iter().filter_map(|view| of_view(ventricle, view));
    of_samples(samples).into_iter().chain(of_planes(planes)).chain(views).chain(of_both(ventricle)).collect()
}

fn of_samples(samples: &Samples) -> Option<FigureGroup> {
    let subject = samples.subject()?;
    let figures: Vec<Figure> = subject.items.iter().filter_map(|item| median(samples, *item)).collect();
    Some(FigureGroup {
        kind: GroupKind::Median,
        label: subject.label.clone(),
        frames: samples.frames().collect(),
        scales: samples.first().and_then(|m| m.metric).map(|m| m.source).into_iter().collect(),
        scale_error: samples.scale_error(),
        lines: figures.iter().map(figure_words).collect(),
        figures,
    })
    .filter(|group| !group.figures.is_empty())
}

/// The median of one item; `None` below three frames, or where one of them has it not.
pub(super) fn median(samples: &Samples, item: Item) -> Option<Figure> {
    use Method as M;
    use Quantity as Q;
    type Of = fn(&Measurements) -> Option<f64>;
    type OfMetric = fn(&MetricMeasurements) -> f64;
    let error = samples.scale_error();
    let figure = |quantity, method, unit, error, m: MedianOf| Figure {
        quantity,
        method,
        value: m.median,
        unit,
        error,
        median: Some(m),
    };
    let in_px = |quantity, method, unit, of: Of| Some(figure(quantity, method, unit, None, samples.median(of)?));
    let in_mm = |quantity, method, of: OfMetric| {
        let m = samples.median(|m| m.metric.as_ref().map(of))?;
        Some(figure(quantity, method, Unit::Millimetres, error, m))
    };
    if samples.first()?.metric.is_none() {
        return match item {
            Item::Area => in_px(Q::Area, M::AlongOutline, Unit::SquarePixels, |m| Some(m.area_px)),
            Item::Circumference => {
                in_px(Q::Circumference, M::EqualMoments, Unit::Pixels, Measurements::circumference_px)
            }
            Item::MeanDiameter | Item::Diameters => {
                in_px(Q::LongestDiameter, M::FarthestPoints, Unit::Pixels, |m| Some(m.longest_px))
            }
            Item::Perimeter => in_px(Q::Perimeter, M::AlongOutline, Unit::Pixels, |m| Some(m.perimeter_px)),
            Item::Ellipse => in_px(Q::MajorAxis, M::EqualMoments, Unit::Pixels, |m| Some(m.ellipse_axes_px.0)),
        };
    }
    match item {
        Item::Area => {
            let m = samples.median(|m| m.metric.map(|mm| mm.area.0))?;
            Some(figure(Q::Area, M::AlongOutline, Unit::SquareMillimetres, error.map(|e| 2.0 * e), m))
        }
        Item::Circumference => {
            let m = samples.median(|m| m.circumference().map(|c| c.0))?;
            Some(figure(Q::Circumference, M::EqualMoments, Unit::Millimetres, error, m))
        }
        Item::MeanDiameter => in_mm(Q::MeanDiameter, M::FarthestPoints, |m| m.mean_diameter().0),
        Item::Diameters => in_mm(Q::LongestDiameter, M::FarthestPoints, |m| m.longest.0),
        Item::Perimeter => in_mm(Q::Perimeter, M::AlongOutline, |m| m.perimeter.0),
        Item::Ellipse => in_mm(Q::MajorAxis, M::EqualMoments, |m| m.ellipse_axes.0.0),
    }
}

fn of_planes(planes: &Planes) -> Option<FigureGroup> {
    let volume = planes.volume()?.ok()?;
    let (along, across) = (planes.get(Which::First)?, planes.get(Which::Second)?);
    let side = |quantity, value, error| Figure {
        quantity,
        method: Method::FarthestPoints,
        value,
        unit: Unit::Millimetres,
        error,
        median: None,
    };
    let figures = vec![
        of_volume(Quantity::Volume, Method::Product(planes.formula()), &volume),
        side(Quantity::Length, along.longest.0, along.scale_error),
        side(Quantity::Width, across.longest.0, across.scale_error),
        side(Quantity::Height, along.perpendicular.0, along.scale_error),
    ];
    let sides = format!("L {:.1}  W {:.1}  H {:.1} mm", along.longest.0, across.longest.0, along.perpendicular.0);
    let lines = vec![plane_volume_words(&volume, planes.formula()), sides];
    let from = [Which::First, Which::Second].map(|which| planes.taken_from(which));
    Some(group(GroupKind::Planes, planes.label(), &from, volume.scale_error, figures, lines))
}

fn of_view(ventricle: &Ventricle, view: usize) -> Option<FigureGroup> {
    let volume = |which| ventricle.stack(view, which).and_then(|s| s.volume().ok());
    let fraction = ventricle.fraction(Some(view)).and_then(Result::ok);
    let from = [Which::First, Which::Second].map(|which| ventricle.taken_from(view, which));
    of_ventricle(
        ventricle,
        GroupKind::View(view),
        Method::DiscsOnePlane,
        [volume(Which::First), volume(Which::Second)],
        fraction,
        &from,
    )
}

fn of_both(ventricle: &Ventricle) -> Option<FigureGroup> {
    let volume = |which| ventricle.biplane(which).and_then(Result::ok);
    let fraction = ventricle.fraction(None).and_then(Result::ok);
    let from = [(1, Which::First), (1, Which::Second), (2, Which::First), (2, Which::Second)];
    let from = from.map(|(view, which)| ventricle.taken_from(view, which));
    of_ventricle(
        ventricle,
        GroupKind::BothViews,
        Method::DiscsTwoPlanes,
        [volume(Which::First), volume(Which::Second)],
        fraction,
        &from,
    )
}

fn of_ventricle(
    ventricle: &Ventricle,
    kind: GroupKind,
    method: Method,
    [diastolic, systolic]: [Option<VolumeOf>; 2],
    fraction: Option<f64>,
    from: &[Option<TakenFrom>],
) -> Option<FigureGroup> {
    let volumes = [(Quantity::DiastolicVolume, "ED", diastolic), (Quantity::SystolicVolume, "ES", systolic)];
    let mut figures = Vec::new();
    let mut words = Vec::new();
    for (quantity, name, volume) in volumes {
        if let Some(v) = volume {
            figures.push(of_volume(quantity, method, &v));
            words.push(format!("{name} {}", volume_words(&v)));
        }
    }
    if let Some(ef) = fraction {
        let (quantity, unit) = (Quantity::EjectionFraction, Unit::Percent);
        // A scale that both volumes have in common is not in it.
        figures.push(Figure { quantity, method, value: 100.0 * ef, unit, error: None, median: None });
        words.push(format!("EF {:.0} %", 100.0 * ef));
    }
    if figures.is_empty() {
        return None;
    }
    let error = diastolic.or(systolic).and_then(|v| v.scale_error);
    let lines = vec![format!("{}, {}", words.join("  "), method.label())];
    Some(group(kind, ventricle.label(), from, error, figures, lines))
}

fn of_volume(quantity: Quantity, method: Method, v: &VolumeOf) -> Figure {
    let (value, error) = (v.volume.0, v.scale_error);
    Figure { quantity, method, value, unit: Unit::Millilitres, error, median: None }
}

/// `error` is that of a volume, three times that of a length.
fn group(
    kind: GroupKind,
    label: Option<&str>,
    from: &[Option<TakenFrom>],
    error: Option<f64>,
    figures: Vec<Figure>,
    lines: Vec<String>,
) -> FigureGroup {
    let mut scales: Vec<ScaleSource> = Vec::new();
    for scale in from.iter().flatten().filter_map(|from| from.scale) {
        if !scales.contains(&scale) {
            scales.push(scale);
        }
    }
    FigureGroup {
        kind,
        label: label.map(str::to_owned),
        frames: from.iter().flatten().map(|from| from.frame).collect(),
        scales,
        scale_error: error.map(|e| e / 3.0),
        figures,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Subject;
    use super::*;
    use crate::contour::Outline;
    use crate::frame::PixelScale;
    use crate::geometry::Point;
    use crate::measure::measure;
    use crate::measure::volume::Plane;
    use crate::units::{Millimetres, ObjectId};

    fn ellipse(radii: (f32, f32)) -> Outline {
        let mut outline = Outline::default();
        outline.push_ring((0..180).map(|i| {
            let (s, c) = (std::f32::consts::TAU * i as f32 / 180.0).sin_cos();
            Point::new(100.0 + radii.0 * c, 100.0 + radii.1 * s)
        }));
        outline
    }

    fn scale() -> PixelScale {
        PixelScale::new(Millimetres(0.5), Millimetres(0.5), ScaleSource::TwoPoint).unwrap().with_error(0.01)
    }

    fn find(group: &FigureGroup, quantity: Quantity) -> Figure {
        *group.figures.iter().find(|f| f.quantity == quantity).unwrap()
    }

    #[test]
    fn a_median_says_its_frames_its_spread_and_what_the_scale_makes_of_it() {
        let mut samples = Samples::default();
        let items = vec![Item::Area, Item::Perimeter];
        let subject = Subject { object: ObjectId(2), label: Some("Nerve".into()), items };
        for (i, radius) in [20.0, 22.0, 21.0].into_iter().enumerate() {
            assert!(of_samples(&samples).is_none(), "of {i} frames");
            let m = measure(&ellipse((radius, radius)), Some(&scale())).unwrap();
            samples.keep(subject.clone(), FrameId(10 + i as u64), m).unwrap();
        }
        let group = of_samples(&samples).unwrap();
        assert_eq!((group.label.as_deref(), group.frames.len(), group.scales.len()), (Some("Nerve"), 3, 1));
        let (area, perimeter) = (find(&group, Quantity::Area), find(&group, Quantity::Perimeter));
        assert!((area.value / (std::f64::consts::PI * 10.5 * 10.5) - 1.0).abs() < 1e-3, "{}", area.value);
        assert!((area.error.unwrap() - 0.02).abs() < 1e-6 && (perimeter.error.unwrap() - 0.01).abs() < 1e-6);
        assert_eq!(area.median.map(|m| m.count), Some(3));
        assert!(group.lines[0].starts_with("Area 3.5±0.1 cm² of 3, spread"), "{}", group.lines[0]);
    }

    #[test]
    fn a_volume_keeps_the_formula_and_the_organ_of_its_planes() {
        let plane = |longest: f64, perpendicular: f64| Plane {
            longest: Millimetres(longest),
            perpendicular: Millimetres(perpendicular),
            scale_error: Some(0.01),
        };
        let from = |frame| TakenFrom { frame: FrameId(frame), scale: Some(ScaleSource::TwoPoint) };
        let mut planes = Planes::default();
        planes.keep(Which::First, plane(100.0, 60.0), from(4), Formula::Bladder, Some("Bladder"));
        assert!(of_planes(&planes).is_none(), "of one plane");
        planes.keep(Which::Second, plane(80.0, 58.0), from(9), Formula::Bladder, Some("Bladder"));
        let group = of_planes(&planes).unwrap();
        let volume = find(&group, Quantity::Volume);
        assert!((volume.value - 0.52 * 480.0).abs() < 1e-9 && (volume.error.unwrap() - 0.03).abs() < 1e-12);
        assert_eq!((volume.method, group.frames), (Method::Product(Formula::Bladder), vec![FrameId(4), FrameId(9)]));
        assert!((group.scale_error.unwrap() - 0.01).abs() < 1e-12);
        // A plane of another organ does not become a part of it.
        planes.keep(Which::First, plane(50.0, 20.0), from(12), Formula::Lobe, Some("Thyroid lobe"));
        assert!(of_planes(&planes).is_none() && planes.get(Which::Second).is_none());
    }

    #[test]
    fn a_ventricle_of_one_view_has_a_fraction_and_no_volume_without_a_scale() {
        let annulus = [Point::new(61.0, 100.0), Point::new(139.0, 100.0)];
        let confirmed = |scale: Option<&PixelScale>| {
            let mut lv = Ventricle::default();
            for (which, frame, height) in [(Which::First, 3, 80.0), (Which::Second, 8, 60.0)] {
                annulus.iter().for_each(|p| lv.tap_annulus(FrameId(frame), *p));
                lv.confirm(which, FrameId(frame), &ellipse((40.0, height)), scale, Some("Left ventricle")).unwrap();
            }
            groups(&Samples::default(), &Planes::default(), &lv)
        };
        let with = confirmed(Some(&scale()));
        assert_eq!((with.len(), with[0].kind), (1, GroupKind::View(1)));
        assert_eq!(with[0].figures.len(), 3);
        let (ed, es) = (find(&with[0], Quantity::DiastolicVolume), find(&with[0], Quantity::SystolicVolume));
        let ef = find(&with[0], Quantity::EjectionFraction);
        assert!((ef.value - 100.0 * (1.0 - es.value / ed.value)).abs() < 1e-9 && ef.unit == Unit::Percent);
        let without = confirmed(None);
        assert_eq!(without[0].figures.len(), 1);
        assert!((find(&without[0], Quantity::EjectionFraction).value - ef.value).abs() < 0.1);
        assert!(without[0].scales.is_empty() && without[0].scale_error.is_none());
    }
}
