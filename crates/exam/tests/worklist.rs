//! A worklist is asked, and sending and asking go by TLS. The peers are threads here.

mod common;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::frame;
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Length, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
use dicom_ul::association::CloseSocket;
use dicom_ul::association::server::{ServerAssociation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sonotap::{ErrorKind, PixelFormat};
use sonotap_exam::{
    Backoff, Capture, Days, Destination, NewExam, Patient, SendOptions, SendState, Store, Tls, WorklistOptions, send,
    worklist,
};

const DATA: [&str; 4] = ["ID-4711", "QUARK", "19700131", "ACC-0815"];

fn options() -> WorklistOptions {
    WorklistOptions { timeout: Duration::from_secs(20), ..WorklistOptions::default() }
}

/// An order: patient's number and name, step, date and time.
#[derive(Clone)]
struct Order(&'static str, &'static str, &'static str, &'static str, &'static str);

/// Of this patient's order the character set is not told.
const OF_NO_SET: &str = "ID-4713";

fn text(tag: Tag, vr: VR, value: &str) -> DataElement<InMemDicomObject> {
    DataElement::new(tag, vr, PrimitiveValue::from(value))
}

impl Order {
    fn set(&self) -> InMemDicomObject {
        let step = InMemDicomObject::from_element_iter([
            text(tags::MODALITY, VR::CS, "US"),
            text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, self.3),
            text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, self.4),
            text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, "Bladder\u{7}"),
            text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, self.2),
        ]);
        InMemDicomObject::from_element_iter([
            text(tags::SPECIFIC_CHARACTER_SET, VR::CS, if self.0 == OF_NO_SET { "" } else { "ISO_IR 100" }),
            text(tags::PATIENT_ID, VR::LO, self.0),
            text(tags::PATIENT_NAME, VR::PN, self.1),
            text(tags::PATIENT_BIRTH_DATE, VR::DA, DATA[2]),
            text(tags::PATIENT_SEX, VR::CS, "F"),
            text(tags::ACCESSION_NUMBER, VR::SH, DATA[3]),
            DataElement::new(
                tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
                VR::SQ,
                DataSetSequence::new(vec![step], Length::UNDEFINED),
            ),
        ])
    }
}

/// What a server says: entries, and then a status; it goes on until it is cancelled where that is `None`.
#[derive(Clone)]
struct Says {
    orders: Vec<Order>,
    status: Option<u16>,
    class: &'static str,
    syntax: &'static str,
}

fn says(orders: &[Order]) -> Says {
    Says {
        orders: orders.to_vec(),
        status: Some(0),
        class: uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
        syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
    }
}

const ORDERS: [Order; 4] = [
    Order("ID-4711", "QUARK^ALICE", "STEP2", "20261129", "103000"),
    Order("ID-4712", "B\u{d6}HM^J\u{c9}R\u{d4}ME", "STEP1", "20261129", "0815"),
    // No number: no exam can hold it.
    Order("", "NOBODY", "STEP3", "20261129", "12"),
    // Letters of an unknown alphabet.
    Order(OF_NO_SET, "B\u{d6}HM^X", "STEP4", "20261129", "12"),
];

/// Answers one question; gives what was asked for.
fn server(says: Says) -> (Destination, std::thread::JoinHandle<Option<InMemDicomObject>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("RIS@127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let thread = std::thread::spawn(move || {
        let options = ServerAssociationOptions::new()
            .accept_any()
            .ae_title("RIS")
            .with_abstract_syntax(says.class)
            .with_transfer_syntax(says.syntax);
        let mut association = options.establish(listener.accept().unwrap().0).ok()?;
        Some(serve(&mut association, &says))
    });
    (to, thread)
}

fn receive<S: CloseSocket + std::io::Read + std::io::Write>(association: &mut ServerAssociation<S>) -> Vec<PDataValue> {
    match association.receive() {
        Ok(Pdu::PData { data }) => data,
        _ => Vec::new(),
    }
}

fn serve(association: &mut ServerAssociation<TcpStream>, says: &Says) -> InMemDicomObject {
    let mut data = Vec::new();
    let mut context = 0;
    while data.is_empty() {
        for value in receive(association) {
            context = value.presentation_context_id;
            if value.value_type == PDataValueType::Data {
                data = value.data;
            }
        }
    }
    let syntax = match says.syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        _ => EXPLICIT_VR_LITTLE_ENDIAN.erased(),
    };
    let asked = InMemDicomObject::read_dataset_with_ts(data.as_slice(), &syntax).unwrap();
    let mut send = |status: u16, set: Option<InMemDicomObject>| {
        let number = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
        let command = InMemDicomObject::command_from_element_iter([
            number(tags::COMMAND_FIELD, 0x8020),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 1),
            number(tags::COMMAND_DATA_SET_TYPE, if set.is_some() { 1 } else { 0x0101 }),
            number(tags::STATUS, status),
            text(tags::ERROR_COMMENT, VR::LO, "no room for QUARK^ALICE"),
        ]);
        let mut bytes = Vec::new();
        command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        let value = |value_type, data| PDataValue { presentation_context_id: context, value_type, is_last: true, data };
        // Both in one: a peer may.
        let mut values = vec![value(PDataValueType::Command, bytes)];
        if let Some(set) = set {
            let mut data = Vec::new();
            set.write_dataset_with_ts(&mut data, &syntax).unwrap();
            values.push(value(PDataValueType::Data, data));
        }
        association.send(&Pdu::PData { data: values })
    };
    match says.status {
        Some(status) => {
            for order in &says.orders {
                send(0xFF00, Some(order.set())).unwrap();
            }
            send(status, None).unwrap();
        }
        None => {
            // More than is asked for: some of it is on its way before the cancel is heard.
            for _ in 0..5 {
                send(0xFF01, Some(says.orders[0].set())).unwrap();
            }
            send(0xFE00, None).unwrap();
        }
    }
    // Hears the cancel, the release or the abort.
    while let Ok(Pdu::PData { .. }) = association.receive() {}
    let _ = association.send(&Pdu::ReleaseRP);
    asked
}

#[test]
fn orders_come_in_the_order_of_their_time_with_their_patients_and_what_cannot_be_held_is_counted() {
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        let (from, thread) = server(Says { syntax, ..says(&ORDERS) });
        let options =
            WorklistOptions { days: Days::Around("2026-11-29".parse().unwrap()), station: "PROBE".into(), ..options() };
        let found = worklist(&from, &options).unwrap();
        let told: Vec<_> = found.entries.iter().map(|e| (e.step.as_str(), e.scheduled.as_str())).collect();
        assert_eq!(told, [("STEP1", "2026-11-29 08:15"), ("STEP2", "2026-11-29 10:30")]);
        assert_eq!((found.left_out, found.is_cut, found.entries[0].procedure.as_str()), (2, false, "Bladder"));
        assert_eq!(found.entries[0].patient.name, "B\u{d6}HM^J\u{c9}R\u{d4}ME", "its character set was not read");
        let patient = &found.entries[1].patient;
        let held = [&patient.id, &patient.name, &patient.birth_date, &patient.sex, &patient.accession];
        assert_eq!(held.map(String::as_str), [DATA[0], "QUARK^ALICE", DATA[2], "F", DATA[3]]);
        let shown = format!("{found:?}");
        assert!(DATA.iter().all(|datum| !shown.contains(datum)), "{shown}");
        let asked = thread.join().unwrap().unwrap();
        let step = &asked.element(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).unwrap().items().unwrap()[0];
        let key = |set: &InMemDicomObject, tag| set.element(tag).unwrap().to_str().unwrap().trim().to_owned();
        assert_eq!(key(step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE), "20261128-20261130");
        assert_eq!(
            (key(step, tags::MODALITY), key(step, tags::SCHEDULED_STATION_AE_TITLE)),
            ("US".into(), "PROBE".into())
        );
        assert_eq!(key(&asked, tags::PATIENT_ID), "");
    }
}

#[test]
fn a_server_with_more_than_is_asked_for_is_told_to_stop() {
    let (from, _thread) = server(Says { status: None, ..says(&ORDERS[..1]) });
    let found = worklist(&from, &WorklistOptions { entries_max: 3, ..options() }).unwrap();
    assert_eq!((found.entries.len(), found.is_cut), (3, true));
}

#[test]
fn refusals_are_told_by_their_number_and_never_in_the_words_of_the_server() {
    let told = |says: Says| {
        let (from, _thread) = server(says);
        let e = worklist(&from, &options()).unwrap_err();
        assert!(DATA.iter().all(|datum| !e.to_string().contains(datum)), "{e}");
        (e.kind(), e.to_string())
    };
    let (kind, text) = told(Says { status: Some(0xA700), ..says(&ORDERS) });
    assert!(kind == ErrorKind::Unavailable && text.contains("A700H"), "{text}");
    let (kind, text) = told(Says { status: Some(0xC001), ..says(&[]) });
    assert!(kind == ErrorKind::Unsupported && text.contains("C001H"), "{text}");
    let (kind, text) = told(Says { class: uids::VERIFICATION, ..says(&[]) });
    assert!(kind == ErrorKind::Unsupported && text.contains("no worklist"), "{text}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("RIS@127.0.0.1:{port}").parse().unwrap();
    assert_eq!(worklist(&nobody, &options()).unwrap_err().kind(), ErrorKind::Unavailable);
    let title = WorklistOptions { calling: "A B".into(), ..options() };
    assert_eq!(worklist(&nobody, &title).unwrap_err().kind(), ErrorKind::Argument);
}

/// An authority, and certificates of it, as files.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes NAME.pem and NAME.key.
    fn sign(&self, name: &str, host: &str) -> (rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

/// An archive with TLS that asks for our certificate and takes what comes.
fn archive(authority: &Authority, host: &str) -> Destination {
    let (certificate, key) = authority.sign("archive", host);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("ARCHIVE@127.0.0.1:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let options = ServerAssociationOptions::new()
                .accept_any()
                .ae_title("ARCHIVE")
                .with_abstract_syntax(uids::ULTRASOUND_IMAGE_STORAGE)
                .with_transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
                .tls_config(config.clone());
            let Ok(mut association) = options.establish_tls(stream) else { continue };
            loop {
                let values = receive(&mut association);
                if values.is_empty() {
                    break;
                }
                let Some(last) = values.iter().find(|v| v.value_type == PDataValueType::Data && v.is_last) else {
                    continue;
                };
                let number = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
                let response = InMemDicomObject::command_from_element_iter([
                    number(tags::COMMAND_FIELD, 0x8001),
                    number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 1),
                    number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
                    number(tags::STATUS, 0),
                ]);
                let mut bytes = Vec::new();
                response.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
                let value = PDataValue {
                    presentation_context_id: last.presentation_context_id,
                    value_type: PDataValueType::Command,
                    is_last: true,
                    data: bytes,
                };
                association.send(&Pdu::PData { data: vec![value] }).unwrap();
            }
            let _ = association.send(&Pdu::ReleaseRP);
        }
    });
    to
}

fn tls(authority: &Authority, own: Option<&str>, name: Option<&str>) -> Tls {
    let own = own.map(|own| (authority.path(&format!("{own}.pem")), authority.path(&format!("{own}.key"))));
    let own = own.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
    Tls::open(&authority.path("ca.pem"), own, name).unwrap()
}

fn exam(root: &Path) -> sonotap_exam::Exam {
    fn clock() -> sonotap_exam::ClockReading {
        sonotap_exam::ClockReading { now: "2026-11-29T10:30:00Z".parse().unwrap(), is_synchronized: true }
    }
    let (store, _) = Store::open_with(root, clock, 1 << 16).unwrap();
    let mut exam = store.begin(&NewExam::default()).unwrap();
    exam.save(&Capture::still(frame(1, PixelFormat::Grey8, None), Vec::new())).unwrap();
    let patient = Patient {
        id: DATA[0].into(),
        name: DATA[1].into(),
        birth_date: DATA[2].into(),
        sex: "F".into(),
        accession: DATA[3].into(),
    };
    exam.bind(patient).unwrap();
    exam.end().unwrap();
    exam
}

#[test]
fn by_tls_only_the_archive_of_our_authority_and_of_its_name_gets_anything() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("device", "sonotap");
    other.sign("device", "sonotap");
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path());
    let to = archive(&authority, "pacs.example");
    let try_with = |tls: Option<Tls>| {
        let backoff = Backoff { tries: 1, ..Backoff::default() };
        let options = SendOptions { tls, backoff, timeout: Duration::from_secs(20), ..SendOptions::default() };
        send(exam.view(), &to, &options, &mut |_| panic!("one try")).unwrap().state
    };
    let why = |state| match state {
        SendState::Later { why } => why,
        other => panic!("{other:?}"),
    };
    let named = Some("pacs.example");
    let foreign = why(try_with(Some(tls(&other, Some("device"), named))));
    assert!(foreign.contains("its certificate is of another authority or host"), "{foreign}");
    let misnamed = why(try_with(Some(tls(&authority, Some("device"), None))));
    assert!(misnamed.contains("its certificate is of another authority or host"), "{misnamed}");
    let anonymous = why(try_with(Some(tls(&authority, None, named))));
    assert!(anonymous.contains("our certificate"), "{anonymous}");
    let open = why(try_with(None));
    assert!(open.starts_with("no association: "), "{open}");
    assert_eq!(exam.view().unsent().unwrap(), 1);
    assert_eq!(try_with(Some(tls(&authority, Some("device"), named))), SendState::Complete);
    assert_eq!(exam.view().unsent().unwrap(), 0);
}
