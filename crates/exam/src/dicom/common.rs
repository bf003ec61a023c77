//! Modules that every object has: patient, study, series, equipment, SOP common.

use chrono::{DateTime, Utc};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::elements::DataSet;
use crate::store::ExamName;
use crate::store::record::{ExamRecord, new_uid};
use crate::wall_clock::dicom_date_time;

/// What the objects of an item share.
pub(crate) struct Context<'a> {
    pub exam: &'a ExamRecord,
    pub name: &'a ExamName,
    /// Number of the item.
    pub number: u32,
    pub taken: &'a DateTime<Utc>,
}

/// A series: modality, number, UID.
pub(crate) struct Series<'a> {
    pub modality: &'a str,
    pub number: u32,
    pub uid: &'a str,
    pub description: &'a str,
}

/// An object with the modules that all have; its instance UID is new.
pub(crate) fn begin(context: &Context, class_uid: &str, series: &Series) -> (DataSet, String) {
    let Context { exam, name, number, taken } = context;
    let (began_date, began_time) = began_of(exam);
    let (date, time) = dicom_date_time(taken);
    let instance_uid = new_uid();
    let mut d = DataSet::new();
    d.text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
        .text(tags::INSTANCE_CREATION_DATE, VR::DA, &date)
        .text(tags::INSTANCE_CREATION_TIME, VR::TM, &time)
        .uid(tags::SOP_CLASS_UID, class_uid)
        .uid(tags::SOP_INSTANCE_UID, &instance_uid)
        .text(tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, "+0000")
        .text(tags::CONTENT_DATE, VR::DA, &date)
        .text(tags::CONTENT_TIME, VR::TM, &time);
    // The patient is in exam.json, and is put here when an object leaves (`address`).
    for (tag, vr) in [
        (tags::PATIENT_NAME, VR::PN),
        (tags::PATIENT_ID, VR::LO),
        (tags::PATIENT_BIRTH_DATE, VR::DA),
        (tags::PATIENT_SEX, VR::CS),
    ] {
        d.text(tag, vr, "");
    }
    d.uid(tags::STUDY_INSTANCE_UID, &exam.study_uid)
        .text(tags::STUDY_DATE, VR::DA, began_date)
        .text(tags::STUDY_TIME, VR::TM, began_time)
        .text(tags::STUDY_ID, VR::SH, name.study_id())
        .text(tags::ACCESSION_NUMBER, VR::SH, "")
        .text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "");
    d.text(tags::MODALITY, VR::CS, series.modality)
        .uid(tags::SERIES_INSTANCE_UID, series.uid)
        .text(tags::SERIES_NUMBER, VR::IS, series.number.to_string())
        .text(tags::SERIES_DESCRIPTION, VR::LO, series.description)
        .text(tags::INSTANCE_NUMBER, VR::IS, number.to_string());
    d.text(tags::MANUFACTURER, VR::LO, "sonotap")
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "sonotap")
        .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, &exam.device_uid)
        .text(tags::SOFTWARE_VERSIONS, VR::LO, exam.software.trim_start_matches("sonotap "));
    (d, instance_uid)
}

fn began_of(exam: &ExamRecord) -> (String, String) {
    DateTime::parse_from_rfc3339(&exam.began).map(|at| dicom_date_time(&at.to_utc())).unwrap_or_default()
}

/// Puts the patient of an exam into an object that leaves.
pub(crate) fn address(set: &mut DataSet, patient: Option<&crate::Patient>) {
    let Some(patient) = patient else { return };
    set.text(tags::PATIENT_NAME, VR::PN, &patient.name)
        .text(tags::PATIENT_ID, VR::LO, &patient.id)
        .text(tags::PATIENT_BIRTH_DATE, VR::DA, &patient.birth_date)
        .text(tags::PATIENT_SEX, VR::CS, &patient.sex)
        .text(tags::ACCESSION_NUMBER, VR::SH, &patient.accession);
}
