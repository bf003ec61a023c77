//! Codes of what is outlined and measured, from SNOMED CT, DCM and UCUM as DICOM PS3.16 uses them.

use sonotap::measure::volume::Formula;

use super::elements::Code;

pub(crate) const SCHEME: &str = "99SONOTAP";

pub(crate) const MILLIMETRE: Code = Code("mm", "UCUM", "mm");
pub(crate) const SQUARE_MILLIMETRE: Code = Code("mm2", "UCUM", "square millimeter");
pub(crate) const MILLILITRE: Code = Code("ml", "UCUM", "ml");
pub(crate) const PERCENT: Code = Code("%", "UCUM", "Percent");
pub(crate) const NO_UNITS: Code = Code("1", "UCUM", "no units");

pub(crate) const AREA: Code = Code("42798000", "SCT", "Area");
pub(crate) const PERIMETER: Code = Code("131191004", "SCT", "Perimeter");
pub(crate) const CIRCUMFERENCE: Code = Code("74551000", "SCT", "Circumference");
pub(crate) const LONG_AXIS: Code = Code("103339001", "SCT", "Long Axis");
pub(crate) const SHORT_AXIS: Code = Code("103340004", "SCT", "Short Axis");
pub(crate) const MAJOR_AXIS: Code = Code("131187009", "SCT", "Major Axis");
pub(crate) const MINOR_AXIS: Code = Code("131188004", "SCT", "Minor Axis");
pub(crate) const DIAMETER: Code = Code("81827009", "SCT", "Diameter");
pub(crate) const DISTANCE: Code = Code("121206", "DCM", "Distance");
pub(crate) const LENGTH: Code = Code("410668003", "SCT", "Length");
pub(crate) const WIDTH: Code = Code("103355008", "SCT", "Width");
pub(crate) const HEIGHT: Code = Code("121207", "DCM", "Height");
pub(crate) const ELLIPSOID_VOLUME: Code = Code("121221", "DCM", "Volume of ellipsoid");
// CID 12202. Those of CID 12300 name the view, which nobody says here.
pub(crate) const DIASTOLIC_VOLUME: Code = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume");
pub(crate) const SYSTOLIC_VOLUME: Code = Code("18148-7", "LN", "Left Ventricular End Systolic Volume");
pub(crate) const EJECTION_FRACTION: Code = Code("18043-0", "LN", "Left Ventricular Ejection Fraction by US");
pub(crate) const SCORE: Code = Code("iou-estimate", SCHEME, "Model's own estimate of its IoU");

pub(crate) const METHOD: Code = Code("370129005", "SCT", "Measurement Method");
pub(crate) const ALONG_OUTLINE: Code = Code("outline", SCHEME, "Along the traced outline");
pub(crate) const FARTHEST_POINTS: Code = Code("farthest", SCHEME, "Farthest points, and extent perpendicular to them");
pub(crate) const EQUAL_MOMENTS: Code = Code("moments", SCHEME, "Ellipse of equal second moments");
pub(crate) const BY_CALIPER: Code = Code("caliper", SCHEME, "Caliper placed by the operator");
pub(crate) const MEAN_OF_DIAMETERS: Code =
    Code("mean-diameter", SCHEME, "Mean of the longest diameter and the extent perpendicular to it");
pub(crate) const DISCS_ONE_PLANE: Code = Code("125208", "DCM", "Method of Disks, Single Plane");
pub(crate) const DISCS_TWO_PLANES: Code = Code("125207", "DCM", "Method of Disks, Biplane");
pub(crate) const SCALE_SOURCE: Code = Code("scale-source", SCHEME, "Source of the pixel scale");

pub(crate) const DERIVATION: Code = Code("121401", "DCM", "Derivation");
pub(crate) const MEDIAN: Code = Code("373099004", "SCT", "Median");
pub(crate) const LEAST: Code = Code("255605001", "SCT", "Minimum");
pub(crate) const MOST: Code = Code("56851009", "SCT", "Maximum");
pub(crate) const FRAMES: Code = Code("frames", SCHEME, "Number of frames");
pub(crate) const SOURCE_OF_MEASUREMENT: Code = Code("121112", "DCM", "Source of Measurement");

pub(crate) const FINDING: Code = Code("121071", "DCM", "Finding");
pub(crate) const REGION: Code = Code("111030", "DCM", "Image Region");
pub(crate) const ERROR: Code = Code("scale-error", SCHEME, "What the error of the scale makes of it");
pub(crate) const SEGMENTATION: Code = Code("113076", "DCM", "Segmentation");
pub(crate) const SOURCE_IMAGE: Code = Code("121322", "DCM", "Source image for image processing operation");
pub(crate) const AI: Code = Code("123110", "DCM", "Artificial Intelligence");

/// The method of a volume from length, width and height.
pub(crate) fn product_of(formula: Formula) -> Code {
    match formula {
        Formula::Ellipsoid => Code("lwh-pi-6", SCHEME, "pi/6 x length x width x height"),
        Formula::Bladder => Code("lwh-0.52", SCHEME, "0.52 x length x width x height"),
        Formula::Lobe => Code("lwh-0.524", SCHEME, "0.524 x length x width x height"),
        Formula::LobeBrunn => Code("lwh-0.479", SCHEME, "0.479 x length x width x height"),
    }
}

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
