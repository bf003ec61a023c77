//! Groups of the report for what was measured by hand: calipers with their geometry, medians, volumes, ejection fractions.
//!
//! A distance is a number that is inferred from its line, in a group by TID 1501; an ellipse or a trace is a region by TID 1410.
//! What was made of several frames has no region: those frames need not be saved. It has the same tracking UID in every report
//! of an exam, as long as nothing is kept or forgotten. Without a scale there are no numbers but an ejection fraction.

use sonotap::calipers::figures::{Figure, FigureGroup, GroupKind, Method, Quantity, Unit};
use sonotap::calipers::set::{Reading, Shape, Value};
use sonotap::measure::MetricMeasurements;
use sonotap::{ImageSpace, Measurements, Point};

use super::elements::{Code, DataSet};
use super::report::{
    CONTAINS, MODIFIER, PROPERTY, code, coordinates, how, measured, measurement_group, number_as, number_item,
    polyline, scale_words, text, tracked,
};
use super::{Source, codes};
use crate::capture::Capture;
use crate::notes::{Tracking, scales_of};

/// Groups of everything that was measured by hand.
pub(super) fn groups(capture: &Capture, tracking: &Tracking, source: &Source) -> Vec<DataSet> {
    let calipers = capture.calipers.iter().zip(&tracking.calipers);
    let calipers = calipers.filter_map(|(reading, uid)| caliper(reading, uid, source));
    let figures = capture.figures.iter().zip(&tracking.figures);
    calipers.chain(figures.filter_map(|(group, uid)| of_frames(group, uid))).collect()
}

fn caliper(reading: &Reading, uid: &str, source: &Source) -> Option<DataSet> {
    let error = reading.scale.and_then(|s| s.relative_error()).map(f64::from);
    let scale = reading.scale.map_or(String::new(), |s| scale_words(s.source().label(), error));
    let mut content = tracked(&format!("caliper {}", reading.caliper.letter), uid);
    let metric = match reading.value {
        Some(Value::Enclosed(m)) => m.metric.map(|mm| (m, mm)),
        _ => None,
    };
    match (&reading.caliper.shape, reading.value) {
        (Shape::Distance { a, b }, Some(Value::Length { mm: Some(mm), .. })) => {
            let mut from = how(codes::BY_CALIPER, &scale);
            let line = vec![a.x, a.y, b.x, b.y];
            from.push(coordinates("INFERRED FROM", codes::SOURCE_OF_MEASUREMENT, "POLYLINE", line, source));
            content.push(number_item(codes::DISTANCE, mm.0, codes::MILLIMETRE, from));
            return Some(measurement_group("1501", content));
        }
        (Shape::Distance { .. }, _) => return None,
        (Shape::Ellipse { a, b, half_px }, _) => {
            content.push(coordinates(CONTAINS, codes::REGION, "ELLIPSE", axes(*a, *b, *half_px), source));
            content.extend(metric.into_iter().flat_map(|(m, mm)| ellipse(&m, &mm, &scale)));
        }
        (Shape::Trace(outline), _) => {
            let Some(line) = polyline(outline, source) else {
                // TID 1410 has one region: of several rings there are the numbers alone.
                content.extend(metric.into_iter().flat_map(|(m, mm)| measured(&m, &mm)));
                return metric.map(|_| measurement_group("1501", content));
            };
            content.push(line);
            content.extend(metric.into_iter().flat_map(|(m, mm)| measured(&m, &mm)));
        }
    }
    Some(measurement_group("1410", content))
}

/// The ends of the major axis, then of the minor one, in px.
fn axes(a: Point<ImageSpace>, b: Point<ImageSpace>, half_px: f32) -> Vec<f32> {
    let (cx, cy) = ((a.x + b.x) / 2.0, (a.y + b.y) / 2.0);
    let length = a.distance(b).max(1e-3);
    let (nx, ny) = (-(b.y - a.y) / length * half_px, (b.x - a.x) / length * half_px);
    let (given, other) = ([a.x, a.y, b.x, b.y], [cx + nx, cy + ny, cx - nx, cy - ny]);
    let (major, minor) = if 2.0 * half_px > length { (other, given) } else { (given, other) };
    [major, minor].concat()
}

fn ellipse(m: &Measurements, mm: &MetricMeasurements, scale: &str) -> Vec<DataSet> {
    let of = |name, value, unit| number_item(name, value, unit, how(codes::BY_CALIPER, scale));
    let mut numbers = vec![
        of(codes::AREA, mm.area.0, codes::SQUARE_MILLIMETRE),
        of(codes::MAJOR_AXIS, mm.ellipse_axes.0.0, codes::MILLIMETRE),
        of(codes::MINOR_AXIS, mm.ellipse_axes.1.0, codes::MILLIMETRE),
    ];
    numbers.extend(m.circumference().map(|c| of(codes::CIRCUMFERENCE, c.0, codes::MILLIMETRE)));
    numbers
}

fn of_frames(group: &FigureGroup, uid: &str) -> Option<DataSet> {
    let scale = scale_words(&scales_of(group), group.scale_error);
    let numbers: Vec<DataSet> = group.figures.iter().filter_map(|f| number(f, &scale)).collect();
    if numbers.is_empty() {
        return None;
    }
    let identifier = match group.kind {
        GroupKind::Median => "median".to_owned(),
        GroupKind::Planes => "volume of two planes".to_owned(),
        GroupKind::View(_) | GroupKind::BothViews => format!("left ventricle, {}", group.kind.label()),
    };
    let mut content = tracked(&identifier, uid);
    content.push(code(CONTAINS, codes::FINDING, codes::structure_of(group.label.as_deref()).kind));
    content.extend(numbers);
    Some(measurement_group("1501", content))
}

fn number(f: &Figure, scale: &str) -> Option<DataSet> {
    let unit = unit_of(f.unit)?;
    let mut from = how(method_of(f), scale);
    if let Some(m) = f.median {
        from.insert(0, code(MODIFIER, codes::DERIVATION, codes::MEDIAN));
        let property = |name, value, unit| number_as(PROPERTY, name, value, unit, Vec::new());
        from.extend([
            property(codes::FRAMES, m.count as f64, codes::NO_UNITS),
            property(codes::LEAST, m.least, unit),
            property(codes::MOST, m.most, unit),
        ]);
    }
    if let Some(error) = f.error.filter(|e| *e > 0.0) {
        from.push(text(PROPERTY, codes::ERROR, &format!("within {:.1} % by the error of the scale", 100.0 * error)));
    }
    Some(number_item(name_of(f.quantity), f.value, unit, from))
}

fn name_of(quantity: Quantity) -> Code {
    match quantity {
        Quantity::Area => codes::AREA,
        Quantity::Circumference => codes::CIRCUMFERENCE,
        Quantity::MeanDiameter => codes::DIAMETER,
        Quantity::LongestDiameter => codes::LONG_AXIS,
        Quantity::Perimeter => codes::PERIMETER,
        Quantity::MajorAxis => codes::MAJOR_AXIS,
        Quantity::Length => codes::LENGTH,
        Quantity::Width => codes::WIDTH,
        Quantity::Height => codes::HEIGHT,
        Quantity::Volume => codes::ELLIPSOID_VOLUME,
        Quantity::DiastolicVolume => codes::DIASTOLIC_VOLUME,
        Quantity::SystolicVolume => codes::SYSTOLIC_VOLUME,
        Quantity::EjectionFraction => codes::EJECTION_FRACTION,
    }
}

fn method_of(f: &Figure) -> Code {
    match (f.quantity, f.method) {
        (Quantity::MeanDiameter, _) => codes::MEAN_OF_DIAMETERS,
        (_, Method::AlongOutline) => codes::ALONG_OUTLINE,
        (_, Method::EqualMoments) => codes::EQUAL_MOMENTS,
        (_, Method::FarthestPoints) => codes::FARTHEST_POINTS,
        (_, Method::Product(formula)) => codes::product_of(formula),
        (_, Method::DiscsOnePlane) => codes::DISCS_ONE_PLANE,
        (_, Method::DiscsTwoPlanes) => codes::DISCS_TWO_PLANES,
    }
}

/// `None` for pixels, which some read as millimetres.
fn unit_of(unit: Unit) -> Option<Code> {
    match unit {
        Unit::SquareMillimetres => Some(codes::SQUARE_MILLIMETRE),
        Unit::Millimetres => Some(codes::MILLIMETRE),
        Unit::Millilitres => Some(codes::MILLILITRE),
        Unit::Percent => Some(codes::PERCENT),
        Unit::SquarePixels | Unit::Pixels => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_axis_of_an_ellipse_comes_first() {
        let (a, b) = (Point::new(10.0, 20.0), Point::new(50.0, 20.0));
        assert_eq!(axes(a, b, 8.0), [10.0, 20.0, 50.0, 20.0, 30.0, 28.0, 30.0, 12.0]);
        assert_eq!(axes(a, b, 30.0), [30.0, 50.0, 30.0, -10.0, 10.0, 20.0, 50.0, 20.0]);
    }
}
