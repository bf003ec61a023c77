//! Codes of what is outlined and measured, from SNOMED CT, DCM and UCUM as DICOM PS3.16 uses them.

use super::elements::Code;

pub(crate) const SCHEME: &str = "99SONOTAP";

pub(crate) const MILLIMETRE: Code = Code("mm", "UCUM", "mm");
pub(crate) const SQUARE_MILLIMETRE: Code = Code("mm2", "UCUM", "square millimeter");
pub(crate) const NO_UNITS: Code = Code("1", "UCUM", "no units");

pub(crate) const AREA: Code = Code("42798000", "SCT", "Area");
pub(crate) const PERIMETER: Code = Code("131191004", "SCT", "Perimeter");
pub(crate) const CIRCUMFERENCE: Code = Code("74551000", "SCT", "Circumference");
pub(crate) const LONG_AXIS: Code = Code("103339001", "SCT", "Long Axis");
pub(crate) const SHORT_AXIS: Code = Code("103340004", "SCT", "Short Axis");
pub(crate) const MAJOR_AXIS: Code = Code("131187009", "SCT", "Major Axis");
pub(crate) const MINOR_AXIS: Code = Code("131188004", "SCT", "Minor Axis");
pub(crate) const SCORE: Code = Code("iou-estimate", SCHEME, "Model's own estimate of its IoU");

pub(crate) const METHOD: Code = Code("370129005", "SCT", "Measurement Method");
pub(crate) const ALONG_OUTLINE: Code = Code("outline", SCHEME, "Along the traced outline");
pub(crate) const FARTHEST_POINTS: Code = Code("farthest", SCHEME, "Farthest points, and extent perpendicular to them");
pub(crate) const EQUAL_MOMENTS: Code = Code("moments", SCHEME, "Ellipse of equal second moments");
pub(crate) const SCALE_SOURCE: Code = Code("scale-source", SCHEME, "Source of the pixel scale");

pub(crate) const SEGMENTATION: Code = Code("113076", "DCM", "Segmentation");
pub(crate) const SOURCE_IMAGE: Code = Code("121322", "DCM", "Source image for image processing operation");
pub(crate) const AI: Code = Code("123110", "DCM", "Artificial Intelligence");

/// What a label says an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Structure {
    /// Segmented Property Category.
    pub category: Code,
    /// Segmented Property Type, and the finding of a report.
    pub kind: Code,
    /// What of the body was looked at, as Image Type's third value names it; empty where nobody knows.
    pub application: &'static str,
}

const ANATOMY: Code = Code("91723000", "SCT", "Anatomical Structure");
const ABNORMAL: Code = Code("49755003", "SCT", "Morphologically Abnormal Structure");
const TISSUE: Code = Code("85756007", "SCT", "Tissue");

/// The code of a preset's label; "tissue", which claims nothing, for any other.
pub(crate) fn structure_of(label: Option<&str>) -> Structure {
    let of = |category, kind, application| Structure { category, kind, application };
    match label.unwrap_or_default() {
        "Bladder" => of(ANATOMY, Code("89837001", "SCT", "Bladder"), "ABDOMINAL"),
        "Gallbladder" => of(ANATOMY, Code("28231008", "SCT", "Gallbladder"), "ABDOMINAL"),
        "Kidney" => of(ANATOMY, Code("64033007", "SCT", "Kidney"), "ABDOMINAL"),
        "Liver lesion" => of(ABNORMAL, Code("52988006", "SCT", "Lesion"), "ABDOMINAL"),
        "Breast lesion" => of(ABNORMAL, Code("52988006", "SCT", "Lesion"), "BREAST"),
        "Thyroid nodule" => of(ABNORMAL, Code("27925004", "SCT", "Nodule"), "SMALL PARTS"),
        "Thyroid lobe" => of(ANATOMY, Code("69748006", "SCT", "Thyroid"), "SMALL PARTS"),
        "Fetal head" => of(ANATOMY, Code("69536005", "SCT", "Head"), "OBSTETRICAL"),
        "Left ventricle" => of(ANATOMY, Code("87878005", "SCT", "Left ventricle"), ""),
        "Carotid artery" => of(ANATOMY, Code("69105007", "SCT", "Carotid Artery"), "PERIPHERAL VASCULAR"),
        "Nerve" => of(ANATOMY, Code("84782009", "SCT", "Peripheral nerve"), "MUSCULOSKELETAL"),
        "Muscle" => of(ANATOMY, Code("71616004", "SCT", "Muscle"), "MUSCULOSKELETAL"),
        "Bone" => of(ANATOMY, Code("272673000", "SCT", "Bone"), "MUSCULOSKELETAL"),
        _ => of(TISSUE, TISSUE, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonotap::Preset;

    #[test]
    fn every_bundled_preset_has_a_code_and_any_other_label_claims_nothing() {
        for name in Preset::names() {
            let label = Preset::find(name).unwrap().label;
            assert_ne!(structure_of(Some(&label)).kind, TISSUE, "{label}");
        }
        for label in [None, Some(""), Some("bladder?")] {
            assert_eq!(structure_of(label), Structure { category: TISSUE, kind: TISSUE, application: "" });
        }
    }
}
