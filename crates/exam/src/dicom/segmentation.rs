//! SEG, BINARY: the pixels of every outline, one frame an object.

use dicom_core::VR;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::{tags, uids};
use sonotap::{Bitmap, Frame};

use super::common::{Context, Series, begin};
use super::elements::{DataSet, NATIVE, reference};
use super::image::put_lossiness;
use super::{Made, Source, codes};
use crate::capture::Outlined;
use crate::raster;
use crate::store::record::{ExamRecord, new_uid};

/// The outlines of a frame; `tracking` are the objects' UIDs.
pub(crate) fn segmentation(
    context: &Context,
    frame: &Frame,
    objects: &[Outlined],
    tracking: &[String],
    source: &Source,
    lossy_ratio: Option<f64>,
) -> Made {
    let class_uid = uids::SEGMENTATION_STORAGE;
    let series =
        Series { modality: "SEG", number: 100, uid: &context.exam.series.segmentations, description: "AI outlines" };
    let (mut d, instance_uid) = begin(context, class_uid, &series);
    d.texts(tags::IMAGE_TYPE, VR::CS, &["DERIVED", "PRIMARY"])
        .text(tags::PATIENT_ORIENTATION, VR::CS, "")
        .text(tags::CONTENT_LABEL, VR::CS, "SONOTAP")
        .text(tags::CONTENT_DESCRIPTION, VR::LO, "Outlines prompted by an operator")
        .text(tags::CONTENT_CREATOR_NAME, VR::PN, "")
        .text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO")
        .text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY")
        .text(tags::SEGMENTS_OVERLAP, VR::CS, "UNDEFINED");
    put_lossiness(&mut d, lossy_ratio);
    let masks: Vec<Bitmap> = objects.iter().map(|o| raster::fill(&o.outline, frame.width(), frame.height())).collect();
    pixel_module(&mut d, frame, masks.len());
    let segments = objects.iter().zip(tracking).enumerate();
    d.sequence(tags::SEGMENT_SEQUENCE, segments.map(|(i, (o, uid))| segment(i, o, uid, context.exam)).collect());
    dimensions(&mut d);
    let instance = reference(source.class_uid, &source.instance_uid);
    d.sequence(
        tags::REFERENCED_SERIES_SEQUENCE,
        vec![DataSet::with(|r| {
            r.uid(tags::SERIES_INSTANCE_UID, &source.series_uid)
                .sequence(tags::REFERENCED_INSTANCE_SEQUENCE, vec![instance]);
        })],
    );
    d.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![DataSet::new()]);
    d.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, (0..masks.len()).map(|i| groups(i, source)).collect());
    d.put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(packed(&masks).into()));
    Made { set: d.0, class_uid, instance_uid, syntax_uid: NATIVE }
}

fn pixel_module(d: &mut DataSet, frame: &Frame, masks: usize) {
    d.text(tags::NUMBER_OF_FRAMES, VR::IS, masks.to_string())
        .short(tags::SAMPLES_PER_PIXEL, 1)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .short(tags::ROWS, frame.height() as u16)
        .short(tags::COLUMNS, frame.width() as u16)
        .short(tags::BITS_ALLOCATED, 1)
        .short(tags::BITS_STORED, 1)
        .short(tags::HIGH_BIT, 0)
        .short(tags::PIXEL_REPRESENTATION, 0);
}

fn segment(index: usize, object: &Outlined, tracking_uid: &str, exam: &ExamRecord) -> DataSet {
    let structure = codes::structure_of(object.label.as_deref());
    let number = u32::from(object.object.0) + 1;
    let label = object.label.clone().unwrap_or_else(|| "object".into());
    let software = exam.software.trim_start_matches("sonotap ");
    DataSet::with(|s| {
        s.short(tags::SEGMENT_NUMBER, index as u16 + 1)
            .text(tags::SEGMENT_LABEL, VR::LO, fitting(&format!("{label} {number}")))
            .text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "SEMIAUTOMATIC")
            .text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, fitting(&format!("sonotap {}", exam.model)))
            .sequence(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, vec![structure.category.item()])
            .sequence(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, vec![structure.kind.item()])
            .text(tags::TRACKING_ID, VR::UT, format!("object {number}"))
            .uid(tags::TRACKING_UID, tracking_uid);
        let algorithm = DataSet::with(|a| {
            a.sequence(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, vec![codes::AI.item()])
                .text(tags::ALGORITHM_NAME, VR::LO, fitting(&format!("sonotap {}", exam.model)))
                .text(tags::ALGORITHM_VERSION, VR::LO, fitting(&format!("{software} {:.16}", exam.model_sha256)))
                .text(tags::ALGORITHM_PARAMETERS, VR::LT, format!("manifest SHA-256 {}", exam.model_sha256));
        });
        s.sequence(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm]);
    })
}

/// LO has 64 characters.
pub(crate) fn fitting(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '\\').take(64).collect()
}

/// Segment number, then time.
fn dimensions(d: &mut DataSet) {
    let organization = new_uid();
    d.sequence(
        tags::DIMENSION_ORGANIZATION_SEQUENCE,
        vec![DataSet::with(|o| {
            o.uid(tags::DIMENSION_ORGANIZATION_UID, &organization);
        })],
    );
    let index = |pointer, group| {
        DataSet::with(|i| {
            i.uid(tags::DIMENSION_ORGANIZATION_UID, &organization)
                .put(tags::DIMENSION_INDEX_POINTER, VR::AT, PrimitiveValue::from(pointer))
                .put(tags::FUNCTIONAL_GROUP_POINTER, VR::AT, PrimitiveValue::from(group));
        })
    };
    d.sequence(
        tags::DIMENSION_INDEX_SEQUENCE,
        vec![
            index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE),
            index(tags::TEMPORAL_POSITION_INDEX, tags::FRAME_CONTENT_SEQUENCE),
        ],
    );
}

fn groups(index: usize, source: &Source) -> DataSet {
    let frame = source.frame.unwrap_or(1);
    let content = DataSet::with(|c| {
        c.put(tags::DIMENSION_INDEX_VALUES, VR::UL, PrimitiveValue::U32(vec![index as u32 + 1, frame].into()))
            .long(tags::TEMPORAL_POSITION_INDEX, frame);
    });
    let mut image = reference(source.class_uid, &source.instance_uid);
    if source.frame.is_some() {
        image.text(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string());
    }
    image.sequence(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![codes::SOURCE_IMAGE.item()]).text(
        tags::SPATIAL_LOCATIONS_PRESERVED,
        VR::CS,
        "YES",
    );
    let derivation = DataSet::with(|d| {
        d.sequence(tags::DERIVATION_CODE_SEQUENCE, vec![codes::SEGMENTATION.item()])
            .sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![image]);
    });
    let segment = DataSet::with(|s| {
        s.short(tags::REFERENCED_SEGMENT_NUMBER, index as u16 + 1);
    });
    DataSet::with(|g| {
        g.sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content])
            .sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation])
            .sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![segment]);
    })
}

/// Bits of all masks one after another, the first pixel in the lowest bit; a frame does not begin with a byte.
fn packed(masks: &[Bitmap]) -> Vec<u8> {
    let bits = masks.iter().flat_map(|m| m.pixels());
    let count: usize = masks.iter().map(|m| m.pixels().len()).sum();
    let mut bytes = vec![0u8; count.div_ceil(16) * 2];
    for (i, bit) in bits.enumerate() {
        bytes[i / 8] |= bit << (i % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_run_on_from_frame_to_frame() {
        let mask = |values: [u8; 9]| Bitmap::from_values(3, 3, values.to_vec()).unwrap();
        let masks = [mask([1, 0, 0, 0, 0, 0, 0, 1, 1]), mask([0, 1, 0, 0, 0, 0, 0, 0, 1])];
        assert_eq!(packed(&masks), [0b1000_0001, 0b0000_0101, 0b0000_0010, 0]);
    }
}
