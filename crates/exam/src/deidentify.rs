//! Objects without a patient: built anew from a list of what may stay.
//!
//! Every element that is not on the list is left out, in sequences too. UIDs become others by HMAC-SHA256 with a salt that is
//! drawn for each export and kept nowhere: they fit each other within it, and lead back to nothing. Dates and times become
//! one day. Pixels outside the image's regions, where a host writes names, become black.
//! Source: DICOM PS3.15 annex E, Basic Application Level Confidentiality Profile with the Clean Pixel Data Option.

use dicom_core::header::Header as _;
use dicom_core::value::{DataSetSequence, PrimitiveValue, Value};
use dicom_core::{DataElement, Length, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sonotap::{Error, ErrorKind, Result};

use crate::dicom::elements::{Code, DataSet};

/// The day that all dates become.
const DAY: &str = "20000101";
const TIME: &str = "000000.000000";

/// What stays as it is.
const KEPT: &[Tag] = &[
    tags::SPECIFIC_CHARACTER_SET,
    tags::IMAGE_TYPE,
    tags::SOP_CLASS_UID,
    tags::TIMEZONE_OFFSET_FROM_UTC,
    tags::MODALITY,
    tags::MANUFACTURER,
    tags::MANUFACTURER_MODEL_NAME,
    tags::SOFTWARE_VERSIONS,
    tags::SERIES_DESCRIPTION,
    tags::SERIES_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::PATIENT_ORIENTATION,
    tags::LATERALITY,
    tags::DERIVATION_DESCRIPTION,
    // A text of this program alone.
    tags::IMAGE_COMMENTS,
    tags::QUALITY_CONTROL_IMAGE,
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::LOSSY_IMAGE_COMPRESSION_RATIO,
    tags::LOSSY_IMAGE_COMPRESSION_METHOD,
    // Pixels.
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::PIXEL_ASPECT_RATIO,
    tags::NUMBER_OF_FRAMES,
    tags::FRAME_INCREMENT_POINTER,
    tags::FRAME_TIME_VECTOR,
    tags::CINE_RATE,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::ULTRASOUND_COLOR_DATA_PRESENT,
    tags::PIXEL_DATA,
    // Regions.
    tags::SEQUENCE_OF_ULTRASOUND_REGIONS,
    tags::REGION_SPATIAL_FORMAT,
    tags::REGION_DATA_TYPE,
    tags::REGION_FLAGS,
    tags::REGION_LOCATION_MIN_X0,
    tags::REGION_LOCATION_MIN_Y0,
    tags::REGION_LOCATION_MAX_X1,
    tags::REGION_LOCATION_MAX_Y1,
    tags::PHYSICAL_UNITS_X_DIRECTION,
    tags::PHYSICAL_UNITS_Y_DIRECTION,
    tags::PHYSICAL_DELTA_X,
    tags::PHYSICAL_DELTA_Y,
    // References.
    tags::REFERENCED_SOP_CLASS_UID,
    tags::REFERENCED_FRAME_NUMBER,
    tags::REFERENCED_SEGMENT_NUMBER,
    tags::REFERENCED_SERIES_SEQUENCE,
    tags::REFERENCED_INSTANCE_SEQUENCE,
    tags::REFERENCED_SOP_SEQUENCE,
    tags::SOURCE_IMAGE_SEQUENCE,
    tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE,
    tags::SPATIAL_LOCATIONS_PRESERVED,
    tags::CODE_VALUE,
    tags::CODING_SCHEME_DESIGNATOR,
    tags::CODE_MEANING,
    // Segmentation.
    tags::CONTENT_LABEL,
    tags::CONTENT_DESCRIPTION,
    tags::SEGMENTATION_TYPE,
    tags::SEGMENTS_OVERLAP,
    tags::SEGMENT_SEQUENCE,
    tags::SEGMENT_NUMBER,
    tags::SEGMENT_LABEL,
    tags::SEGMENT_ALGORITHM_TYPE,
    tags::SEGMENT_ALGORITHM_NAME,
    tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE,
    tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE,
    tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE,
    tags::ALGORITHM_FAMILY_CODE_SEQUENCE,
    tags::ALGORITHM_NAME,
    tags::ALGORITHM_VERSION,
    tags::ALGORITHM_PARAMETERS,
    tags::TRACKING_ID,
    tags::DIMENSION_ORGANIZATION_SEQUENCE,
    tags::DIMENSION_INDEX_SEQUENCE,
    tags::DIMENSION_INDEX_POINTER,
    tags::FUNCTIONAL_GROUP_POINTER,
    tags::DIMENSION_INDEX_VALUES,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::TEMPORAL_POSITION_INDEX,
    tags::DERIVATION_IMAGE_SEQUENCE,
    tags::DERIVATION_CODE_SEQUENCE,
    tags::SEGMENT_IDENTIFICATION_SEQUENCE,
    // Report.
    tags::COMPLETION_FLAG,
    tags::VERIFICATION_FLAG,
    tags::PRELIMINARY_FLAG,
    tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
    tags::PERFORMED_PROCEDURE_CODE_SEQUENCE,
    tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
    tags::VALUE_TYPE,
    tags::RELATIONSHIP_TYPE,
    tags::CONTINUITY_OF_CONTENT,
    tags::CONCEPT_NAME_CODE_SEQUENCE,
    tags::CONCEPT_CODE_SEQUENCE,
    tags::CONTENT_TEMPLATE_SEQUENCE,
    tags::MAPPING_RESOURCE,
    tags::TEMPLATE_IDENTIFIER,
    tags::CONTENT_SEQUENCE,
    tags::TEXT_VALUE,
    tags::GRAPHIC_TYPE,
    tags::GRAPHIC_DATA,
    tags::MEASURED_VALUE_SEQUENCE,
    tags::NUMERIC_VALUE,
    tags::MEASUREMENT_UNITS_CODE_SEQUENCE,
];

/// What becomes another UID.
const UIDS: &[Tag] = &[
    tags::SOP_INSTANCE_UID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::REFERENCED_SOP_INSTANCE_UID,
    tags::TRACKING_UID,
    tags::DIMENSION_ORGANIZATION_UID,
    tags::UID,
];

/// What has to be there and says nothing.
const EMPTIED: &[(Tag, VR)] = &[
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::CONTENT_CREATOR_NAME, VR::PN),
];

/// The choices of one export.
pub(crate) struct Deidentifier {
    salt: [u8; 32],
    /// Its objects' patient and study.
    subject: String,
}

impl Deidentifier {
    /// With a salt of its own.
    pub(crate) fn new() -> Self {
        let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(halves[0].as_bytes());
        salt[16..].copy_from_slice(halves[1].as_bytes());
        let subject = format!("ANON-{:08X}", uuid::Uuid::new_v4().as_fields().0);
        Self { salt, subject }
    }

    /// A random name for folders and objects of this export.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Another UID for a UID, the same for the same.
    pub(crate) fn uid_of(&self, uid: &str) -> String {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.salt).expect("HMAC takes a key of any length");
        mac.update(uid.trim_end_matches('\0').as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut number = [0; 16];
        number.copy_from_slice(&digest[..16]);
        format!("2.25.{}", u128::from_be_bytes(number))
    }

    /// An object without the patient; its pixels were blanked before, or are known to be clean.
    ///
    /// # Errors
    /// `Format` when it is not an object of this program.
    pub(crate) fn object(&self, set: &InMemDicomObject) -> Result<InMemDicomObject> {
        let mut clean = DataSet(self.kept(set)?);
        clean
            .text(tags::PATIENT_NAME, VR::PN, self.subject.replace('-', "^"))
            .text(tags::PATIENT_ID, VR::LO, &self.subject)
            .text(tags::STUDY_ID, VR::SH, "1")
            .text(tags::STUDY_DATE, VR::DA, DAY)
            .text(tags::STUDY_TIME, VR::TM, TIME)
            .text(tags::CONTENT_DATE, VR::DA, DAY)
            .text(tags::CONTENT_TIME, VR::TM, TIME)
            .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, &self.subject)
            .text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO")
            .text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES")
            .text(tags::DEIDENTIFICATION_METHOD, VR::LO, "sonotap: allow-list");
        for &(tag, vr) in EMPTIED {
            clean.text(tag, vr, "");
        }
        let is_report = set
            .element(tags::SOP_CLASS_UID)
            .is_ok_and(|e| e.to_str().is_ok_and(|u| u.trim_end_matches('\0') == uids::COMPREHENSIVE_SR_STORAGE));
        let mut codes = vec![Code("113100", "DCM", "Basic Application Confidentiality Profile").item()];
        if !is_report {
            codes.push(Code("113101", "DCM", "Clean Pixel Data Option").item());
        }
        clean.sequence(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, codes);
        for tag in [tags::BURNED_IN_ANNOTATION, tags::CONTENT_CREATOR_NAME].into_iter().filter(|_| is_report) {
            clean.0.remove_element(tag);
        }
        if set.get(tags::CONTENT_LABEL).is_none() {
            clean.0.remove_element(tags::CONTENT_CREATOR_NAME);
        }
        Ok(clean.0)
    }

    fn kept(&self, set: &InMemDicomObject) -> Result<InMemDicomObject> {
        let mut clean = InMemDicomObject::new_empty();
        for element in set.iter() {
            let tag = element.tag();
            if UIDS.contains(&tag) {
                let uid =
                    element.to_str().map_err(|_| Error::new(ErrorKind::Format, format!("{tag}: expected a UID")))?;
                clean.put(DataElement::new(tag, VR::UI, PrimitiveValue::from(self.uid_of(&uid))));
            } else if KEPT.contains(&tag) {
                match element.value() {
                    Value::Sequence(sequence) => {
                        let items = sequence.items().iter().map(|item| self.kept(item)).collect::<Result<Vec<_>>>()?;
                        clean.put(DataElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED)));
                    }
                    _ => drop(clean.put(element.clone())),
                }
            }
        }
        Ok(clean)
    }
}

/// Makes everything black that is in none of the rectangles (x0, y0, x1, y1), in each frame of a picture. A picture may be
/// larger than its frame by `times`, and have lines below it, which stay.
pub(crate) fn blank_outside(
    pixels: &mut [u8],
    size: (u32, u32),
    samples: usize,
    regions: &[[f32; 4]],
    rows: u32,
    columns: u32,
) {
    let (width, height) = (size.0 as usize, size.1 as usize);
    for frame in pixels.chunks_exact_mut(width * height * samples) {
        for (y, row) in frame.chunks_exact_mut(width * samples).enumerate().take(rows as usize) {
            for (x, pixel) in row.chunks_exact_mut(samples).enumerate().take(columns as usize) {
                let (cx, cy) = (x as f32 + 0.5, y as f32 + 0.5);
                if !regions.iter().any(|[x0, y0, x1, y1]| cx >= *x0 && cx < *x1 && cy >= *y0 && cy < *y1) {
                    pixel.fill(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_fit_each_other_within_an_export_and_lead_back_to_nothing() {
        let (a, b) = (Deidentifier::new(), Deidentifier::new());
        let uid = "2.25.47114711";
        assert_eq!(a.uid_of(uid), a.uid_of("2.25.47114711\0"));
        assert!(a.uid_of(uid) != b.uid_of(uid) && a.uid_of(uid) != a.uid_of("2.25.47124712"));
        assert!(a.uid_of(uid).len() <= 64 && !a.uid_of(uid).contains("47114711"));
    }

    #[test]
    fn what_is_not_on_the_list_is_left_out_in_sequences_too() {
        let mut inner = DataSet::new();
        inner
            .uid(tags::REFERENCED_SOP_INSTANCE_UID, "2.25.47114711")
            .text(tags::PATIENT_NAME, VR::PN, "QUARK^ALICE")
            .text(tags::TEXT_VALUE, VR::UT, "object 1");
        let mut set = DataSet::new();
        set.uid(tags::SOP_CLASS_UID, uids::ULTRASOUND_IMAGE_STORAGE)
            .uid(tags::SOP_INSTANCE_UID, "2.25.47124712")
            .text(tags::PATIENT_NAME, VR::PN, "QUARK^ALICE")
            .text(tags::PATIENT_ID, VR::LO, "47114711")
            .text(tags::INSTITUTION_NAME, VR::LO, "QUARK CLINIC")
            .text(tags::STUDY_DATE, VR::DA, "20261129")
            .text(Tag(0x0009, 0x1001), VR::LO, "QUARK")
            .short(tags::ROWS, 480)
            .sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![inner]);
        let clean = Deidentifier::new().object(&set.0).unwrap();
        let told = format!("{clean:?}");
        for datum in ["QUARK", "47114711", "47124712", "20261129"] {
            assert!(!told.contains(datum), "{datum} is in {told}");
        }
        assert_eq!(clean.element(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 480);
        assert!(told.contains("object 1"));
    }

    #[test]
    fn only_what_is_in_a_region_stays_lit() {
        let mut pixels = vec![9; 2 * 6 * 5];
        blank_outside(&mut pixels, (6, 5), 1, &[[1.0, 1.0, 4.0, 3.0], [4.0, 0.0, 5.0, 1.0]], 4, 6);
        let one = [[0, 0, 0, 0, 9, 0], [0, 9, 9, 9, 0, 0], [0, 9, 9, 9, 0, 0], [0, 0, 0, 0, 0, 0], [9, 9, 9, 9, 9, 9]];
        assert_eq!(pixels, [one, one].concat().concat());
    }
}
