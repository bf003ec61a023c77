//! An archive that is a thread here, and an exam to be sent to it.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::association::server::ServerAssociationOptions;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use sonotap::{PixelFormat, ScaleSource};
use sonotap_exam::{Capture, ClockReading, Destination, Exam, NewExam, Origin, Patient, Store};

use crate::common::{cine, ellipse, frame, islands};

pub(crate) const DATA: [&str; 5] = ["ID-4711", "QUARK", "ALICE", "19700131", "ACC-0815"];

pub(crate) fn clock() -> ClockReading {
    ClockReading { now: "2026-11-29T10:30:00.5Z".parse().unwrap(), is_synchronized: true }
}

/// An exam of a still with an outline and of a cine, bound and ended.
pub(crate) fn exam(root: &Path, origin: Origin) -> Exam {
    let (store, _) = Store::open_with(root, clock, 1 << 16).unwrap();
    let mut exam = store.begin(&NewExam { origin, ..NewExam::default() }).unwrap();
    let still = frame(1, PixelFormat::Grey8, Some(ScaleSource::Profile));
    let objects = vec![ellipse(&still, "Bladder")];
    exam.save(&Capture::still(still, objects)).unwrap();
    let frames = cine(3, PixelFormat::Rgb8, None);
    let objects = vec![islands(&frames[1], "")];
    exam.save(&Capture::cine(frames, 1, objects)).unwrap();
    exam.bind(Patient {
        id: DATA[0].into(),
        name: format!("{}^{}", DATA[1], DATA[2]),
        birth_date: DATA[3].into(),
        sex: "F".into(),
        accession: DATA[4].into(),
    })
    .unwrap();
    exam.end().unwrap();
    exam
}

/// What an archive does with an object.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Status(u16),
    HangUp,
}

/// Takes as many associations as there are lists of replies; tells SOP Instance UID and patient of each object.
pub(crate) fn archive(
    syntaxes: &'static [&'static str],
    replies: Vec<Vec<Reply>>,
) -> (Destination, Receiver<(String, String, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("ARCHIVE@127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for replies in replies {
            let stream = listener.accept().unwrap().0;
            let mut options = ServerAssociationOptions::new().accept_any().ae_title("ARCHIVE");
            for class in [
                uids::ULTRASOUND_IMAGE_STORAGE,
                uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
                uids::SEGMENTATION_STORAGE,
                uids::COMPREHENSIVE_SR_STORAGE,
            ] {
                options = options.with_abstract_syntax(class);
            }
            for syntax in syntaxes {
                options = options.with_transfer_syntax(*syntax);
            }
            let Ok(mut association) = options.establish(stream) else { continue };
            let mut hangs_up = false;
            for reply in replies {
                let Some((context, message, data)) = request(&mut association) else { break };
                let syntax = association
                    .presentation_contexts()
                    .iter()
                    .find(|c| c.id == context)
                    .unwrap()
                    .transfer_syntax
                    .clone();
                let is_native = syntax != uids::JPEG_BASELINE8_BIT;
                let ts = if syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN {
                    IMPLICIT_VR_LITTLE_ENDIAN.erased()
                } else {
                    dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN.erased()
                };
                let set = InMemDicomObject::read_dataset_with_ts(data.as_slice(), &ts).unwrap();
                let text = |tag: Tag| set.element(tag).unwrap().to_str().unwrap().trim_end_matches('\0').to_owned();
                tell.send((text(tags::SOP_INSTANCE_UID), text(tags::PATIENT_ID), is_native)).unwrap();
                let Reply::Status(status) = reply else {
                    hangs_up = true;
                    break;
                };
                answer(&mut association, context, message, status);
            }
            if !hangs_up {
                // Hears the release or the abort.
                let _ = association.receive();
                let _ = association.send(&Pdu::ReleaseRP);
            }
        }
    });
    (to, told)
}

type Association = dicom_ul::association::server::ServerAssociation<std::net::TcpStream>;

fn request(association: &mut Association) -> Option<(u8, u16, Vec<u8>)> {
    let (mut command, mut data) = (Vec::new(), Vec::new());
    loop {
        let Ok(Pdu::PData { data: values }) = association.receive() else { return None };
        for value in values {
            let context = value.presentation_context_id;
            match value.value_type {
                PDataValueType::Command => command.extend(value.data),
                PDataValueType::Data => {
                    data.extend(value.data);
                    if value.is_last {
                        let set =
                            InMemDicomObject::read_dataset_with_ts(&command[..], &IMPLICIT_VR_LITTLE_ENDIAN.erased())
                                .unwrap();
                        return Some((context, set.element(tags::MESSAGE_ID).unwrap().to_int().unwrap(), data));
                    }
                }
            }
        }
    }
}

fn answer(association: &mut Association, context: u8, message: u16, status: u16) {
    let number = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let response = InMemDicomObject::command_from_element_iter([
        number(tags::COMMAND_FIELD, 0x8001),
        number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
        number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
        number(tags::STATUS, status),
        DataElement::new(tags::ERROR_COMMENT, VR::LO, PrimitiveValue::from("no room for QUARK^ALICE")),
    ]);
    let mut bytes = Vec::new();
    response.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let value = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: true,
        data: bytes,
    };
    association.send(&Pdu::PData { data: vec![value] }).unwrap();
}

pub(crate) const ALL: &[&str] =
    &[uids::JPEG_BASELINE8_BIT, uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];

pub(crate) const TAKEN: Reply = Reply::Status(0);
