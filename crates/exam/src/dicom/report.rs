//! Comprehensive SR by TID 1500: a measurement group an object, by TID 1410, with its outline and what was measured. What was
//! measured by hand follows in groups of its own (`by_hand.rs`).
//!
//! An outline of one ring is a polyline (SCOORD); one of several is the segment of the SEG, since TID 1410 has one region.
//! Without a scale there are no measurements of length: DICOM's units of pixels are read as millimetres by some.

use dicom_core::VR;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::{tags, uids};
use sonotap::Outline;
use sonotap::measure::{Measurements, MetricMeasurements};

use super::by_hand;
use super::common::{Context, Series, begin};
use super::elements::{Code, DataSet, NATIVE, decimal, reference};
use super::segmentation::fitting;
use super::{Made, Source, codes};
use crate::capture::{Capture, Outlined};
use crate::notes::Tracking;

pub(super) const CONTAINS: &str = "CONTAINS";
pub(super) const CONTEXT: &str = "HAS OBS CONTEXT";
pub(super) const MODIFIER: &str = "HAS CONCEPT MOD";
pub(super) const PROPERTY: &str = "HAS PROPERTIES";

/// The report of what is outlined and measured on a frame; `segmentation` has the outlines as bits, where there are any.
pub(crate) fn report(
    context: &Context,
    capture: &Capture,
    tracking: &Tracking,
    source: &Source,
    segmentation: Option<&Source>,
) -> Made {
    let class_uid = uids::COMPREHENSIVE_SR_STORAGE;
    let series =
        Series { modality: "SR", number: 200, uid: &context.exam.series.reports, description: "AI measurements" };
    let (mut d, instance_uid) = begin(context, class_uid, &series);
    d.sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new())
        .text(tags::COMPLETION_FLAG, VR::CS, "PARTIAL")
        .text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED")
        .text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY")
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new());
    let sources: Vec<&Source> = std::iter::once(source).chain(segmentation).collect();
    evidence(&mut d, context, &sources);
    d.text(tags::VALUE_TYPE, VR::CS, "CONTAINER")
        .sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![Code("126000", "DCM", "Imaging Measurement Report").item()])
        .text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE")
        .sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template("1500")]);
    let objects = capture.objects.iter().zip(&tracking.objects).enumerate();
    let segment = |i: usize| segmentation.map(|bits| (bits, i as u16 + 1));
    let objects = objects.map(|(i, (o, uid))| group(context, o, uid, source, segment(i)));
    let groups = objects.chain(by_hand::groups(capture, tracking, source)).collect();
    let mut content = vec![
        code(
            MODIFIER,
            Code("121049", "DCM", "Language of Content Item and Descendants"),
            Code("en", "RFC5646", "English"),
        ),
        code(CONTEXT, Code("121005", "DCM", "Observer Type"), Code("121007", "DCM", "Device")),
        uid(CONTEXT, Code("121012", "DCM", "Device Observer UID"), &context.exam.device_uid),
        text(CONTEXT, Code("121013", "DCM", "Device Observer Name"), "sonotap"),
        text(CONTEXT, Code("121015", "DCM", "Device Observer Model Name"), "sonotap"),
        code(
            MODIFIER,
            Code("121058", "DCM", "Procedure reported"),
            Code("16310003", "SCT", "Diagnostic ultrasonography"),
        ),
    ];
    content.push(container(CONTAINS, Code("126010", "DCM", "Imaging Measurements"), groups));
    d.sequence(tags::CONTENT_SEQUENCE, content);
    Made { set: d.0, class_uid, instance_uid, syntax_uid: NATIVE }
}

/// Current Requested Procedure Evidence Sequence: everything that is referred to.
fn evidence(d: &mut DataSet, context: &Context, sources: &[&Source]) {
    let series = sources.iter().map(|s| {
        DataSet::with(|r| {
            r.uid(tags::SERIES_INSTANCE_UID, &s.series_uid)
                .sequence(tags::REFERENCED_SOP_SEQUENCE, vec![reference(s.class_uid, &s.instance_uid)]);
        })
    });
    let study = DataSet::with(|e| {
        e.sequence(tags::REFERENCED_SERIES_SEQUENCE, series.collect())
            .uid(tags::STUDY_INSTANCE_UID, &context.exam.study_uid);
    });
    d.sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![study]);
}

fn group(
    context: &Context,
    object: &Outlined,
    tracking_uid: &str,
    source: &Source,
    segment: Option<(&Source, u16)>,
) -> DataSet {
    let exam = context.exam;
    let structure = codes::structure_of(object.label.as_deref());
    let number = u32::from(object.object.0) + 1;
    let software = exam.software.trim_start_matches("sonotap ");
    let mut content = tracked(&format!("object {number}"), tracking_uid);
    content.extend([
        code(CONTAINS, codes::FINDING, structure.kind),
        text(MODIFIER, Code("111001", "DCM", "Algorithm Name"), &fitting(&format!("sonotap {}", exam.model))),
        text(
            MODIFIER,
            Code("111003", "DCM", "Algorithm Version"),
            &fitting(&format!("{software} {:.16}", exam.model_sha256)),
        ),
    ]);
    content.extend(region(object, source, segment));
    if let Some((m, metric)) = object.measurements.and_then(|m| Some((m, m.metric?))) {
        content.extend(measured(&m, &metric));
    }
    if let Some(score) = object.score {
        content.push(number_item(codes::SCORE, f64::from(score.get()), codes::NO_UNITS, Vec::new()));
    }
    measurement_group("1410", content)
}

/// A line on the image: `kind` is `POLYLINE` or `ELLIPSE`.
pub(super) fn coordinates(relation: &str, name: Code, kind: &str, places: Vec<f32>, source: &Source) -> DataSet {
    let image = item("SELECTED FROM", "IMAGE", None).with_more(|i| {
        i.sequence(tags::REFERENCED_SOP_SEQUENCE, vec![referred(source)]);
    });
    item(relation, "SCOORD", Some(name)).with_more(|r| {
        r.text(tags::GRAPHIC_TYPE, VR::CS, kind)
            .put(tags::GRAPHIC_DATA, VR::FL, PrimitiveValue::F32(places.into()))
            .sequence(tags::CONTENT_SEQUENCE, vec![image]);
    })
}

/// The one ring of an outline as a closed polyline; `None` where it has several.
pub(super) fn polyline(outline: &Outline, source: &Source) -> Option<DataSet> {
    let mut rings = outline.rings();
    let (Some(ring), None) = (rings.next(), rings.next()) else { return None };
    let mut places: Vec<f32> = ring.iter().flat_map(|p| [p.x, p.y]).collect();
    // Closed: the last point is the first.
    places.extend_from_within(..2);
    Some(coordinates(CONTAINS, codes::REGION, "POLYLINE", places, source))
}

/// The outline: a polyline where it is one, else its segment.
fn region(object: &Outlined, source: &Source, segment: Option<(&Source, u16)>) -> Vec<DataSet> {
    match (polyline(&object.outline, source), segment) {
        (Some(line), _) => vec![line],
        (None, None) => Vec::new(),
        (None, Some((segmentation, number))) => {
            let mut bits = reference(segmentation.class_uid, &segmentation.instance_uid);
            bits.short(tags::REFERENCED_SEGMENT_NUMBER, number);
            let image = |name, referred| {
                item(CONTAINS, "IMAGE", Some(name)).with_more(|i| {
                    i.sequence(tags::REFERENCED_SOP_SEQUENCE, vec![referred]);
                })
            };
            vec![
                image(Code("121191", "DCM", "Referenced Segment"), bits),
                image(Code("121233", "DCM", "Source image for segmentation"), referred(source)),
            ]
        }
    }
}

fn referred(source: &Source) -> DataSet {
    let mut image = reference(source.class_uid, &source.instance_uid);
    if let Some(frame) = source.frame {
        image.text(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string());
    }
    image
}

/// Who says a scale, and how well it is known.
pub(super) fn scale_words(source: &str, error: Option<f64>) -> String {
    format!("{source}{}", error.map_or(String::new(), |e| format!(", within {:.1} %", 100.0 * e)))
}

/// How a number came about.
pub(super) fn how(method: Code, scale: &str) -> Vec<DataSet> {
    vec![code(MODIFIER, codes::METHOD, method), text(PROPERTY, codes::SCALE_SOURCE, scale)]
}

pub(super) fn measured(m: &Measurements, metric: &MetricMeasurements) -> Vec<DataSet> {
    let scale = &scale_words(metric.source.label(), metric.scale_error);
    let of = |name, value, unit, method| number_item(name, value, unit, how(method, scale));
    let mm = codes::MILLIMETRE;
    let round = m.circumference().map(|c| of(codes::CIRCUMFERENCE, c.0, mm, codes::EQUAL_MOMENTS));
    let mut all = vec![
        of(codes::AREA, metric.area.0, codes::SQUARE_MILLIMETRE, codes::ALONG_OUTLINE),
        of(codes::PERIMETER, metric.perimeter.0, mm, codes::ALONG_OUTLINE),
        of(codes::LONG_AXIS, metric.longest.0, mm, codes::FARTHEST_POINTS),
        of(codes::SHORT_AXIS, metric.perpendicular.0, mm, codes::FARTHEST_POINTS),
        of(codes::MAJOR_AXIS, metric.ellipse_axes.0.0, mm, codes::EQUAL_MOMENTS),
        of(codes::MINOR_AXIS, metric.ellipse_axes.1.0, mm, codes::EQUAL_MOMENTS),
    ];
    all.extend(round);
    all
}

/// A measurement group of that template.
pub(super) fn measurement_group(identifier: &str, content: Vec<DataSet>) -> DataSet {
    container(CONTAINS, Code("125007", "DCM", "Measurement Group"), content)
        .with_more(|g| _ = g.sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template(identifier)]))
}

/// What a group is known by.
pub(super) fn tracked(identifier: &str, tracking_uid: &str) -> Vec<DataSet> {
    vec![
        text(CONTEXT, Code("112039", "DCM", "Tracking Identifier"), identifier),
        uid(CONTEXT, Code("112040", "DCM", "Tracking Unique Identifier"), tracking_uid),
    ]
}

fn template(identifier: &str) -> DataSet {
    DataSet::with(|t| {
        t.text(tags::MAPPING_RESOURCE, VR::CS, "DCMR").text(tags::TEMPLATE_IDENTIFIER, VR::CS, identifier);
    })
}

fn item(relation: &str, kind: &str, name: Option<Code>) -> DataSet {
    DataSet::with(|d| {
        d.text(tags::RELATIONSHIP_TYPE, VR::CS, relation).text(tags::VALUE_TYPE, VR::CS, kind);
        if let Some(name) = name {
            d.sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![name.item()]);
        }
    })
}

pub(super) fn text(relation: &str, name: Code, value: &str) -> DataSet {
    item(relation, "TEXT", Some(name)).with_more(|d| _ = d.text(tags::TEXT_VALUE, VR::UT, value))
}

fn uid(relation: &str, name: Code, value: &str) -> DataSet {
    item(relation, "UIDREF", Some(name)).with_more(|d| _ = d.uid(tags::UID, value))
}

pub(super) fn code(relation: &str, name: Code, value: Code) -> DataSet {
    item(relation, "CODE", Some(name)).with_more(|d| _ = d.sequence(tags::CONCEPT_CODE_SEQUENCE, vec![value.item()]))
}

fn container(relation: &str, name: Code, content: Vec<DataSet>) -> DataSet {
    item(relation, "CONTAINER", Some(name)).with_more(|d| {
        d.text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE").sequence(tags::CONTENT_SEQUENCE, content);
    })
}

pub(super) fn number_item(name: Code, value: f64, unit: Code, content: Vec<DataSet>) -> DataSet {
    number_as(CONTAINS, name, value, unit, content)
}

pub(super) fn number_as(relation: &str, name: Code, value: f64, unit: Code, content: Vec<DataSet>) -> DataSet {
    item(relation, "NUM", Some(name)).with_more(|d| {
        let measured = DataSet::with(|m| {
            m.text(tags::NUMERIC_VALUE, VR::DS, decimal(value))
                .sequence(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![unit.item()]);
        });
        d.sequence(tags::MEASURED_VALUE_SEQUENCE, vec![measured]);
        if !content.is_empty() {
            d.sequence(tags::CONTENT_SEQUENCE, content);
        }
    })
}
