//! What leaves: exports with and without the patient, and objects sent to an archive, which is a thread here.

#[path = "common/archive.rs"]
mod archive;
mod common;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use archive::{ALL, DATA, Reply, TAKEN, archive, clock, exam};
use common::{REGION, WRITTEN, frame};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::open_file;
use sonotap::{ErrorKind, PixelFormat};
use sonotap_exam::{
    Backoff, Capture, ClockReading, Exam, ExportOptions, NewExam, Origin, Patient, Pixels, SendOptions, SendState,
    Store, export, send,
};

fn has(path: &Path, datum: &str) -> bool {
    std::fs::read(path).unwrap().windows(datum.len()).any(|w| w == datum.as_bytes())
}

#[test]
fn a_deidentified_export_has_no_datum_of_the_patient_nor_of_the_exam() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let exam = exam(root.path(), Origin::Captured);
    let made = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap();
    let name = made.folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("ANON-") && stick.path().read_dir().unwrap().count() == 1, "{name}");
    let record = exam.view().record();
    let uids = exam.view().files().filter_map(|f| f.dicom.as_ref()).map(|d| d.instance_uid.as_str());
    let mut secret: Vec<&str> = uids.chain(DATA).chain(["20261129", "2026-11-29", "103000"]).collect();
    secret.extend([record.study_uid.as_str(), record.device_uid.as_str(), record.series.images.as_str()]);
    let mut files = 0;
    for entry in made.folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        files += 1;
        for datum in &secret {
            assert!(!has(&path, datum), "{datum} is in {}", path.display());
        }
    }
    assert_eq!(files, made.files);
}

#[test]
fn what_a_host_wrote_beside_the_image_is_black_in_every_picture() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let exam = exam(root.path(), Origin::Captured);
    let written = |folder: &Path| {
        let picture = open_file(folder.join("0001.dcm")).unwrap();
        let pixels = picture.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
        let is_inside = |i: usize| {
            let (x, y) = ((i % 320) as f32 + 0.5, (i / 320) as f32 + 0.5);
            x > REGION[0] && x < REGION[2] && y > REGION[1] && y < REGION[3]
        };
        let outside = pixels.iter().enumerate().filter(|(i, _)| !is_inside(*i)).map(|(_, p)| *p);
        (outside.filter(|p| *p > 0).count(), pixels.iter().filter(|p| **p == WRITTEN).count())
    };
    let (before, _) = written(exam.view().folder());
    assert!(before > 1_000, "nothing was written in the test's picture");
    let made = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap();
    assert_eq!(written(&made.folder), (0, 0));
    for name in ["0001.png", "0002.png"] {
        let image = image_of(&made.folder.join(name));
        assert!((0..320).all(|x| image.get(x, 12) == 0) && (60..200).any(|x| image.get(x, 60) > 0), "{name}");
    }
    // Enlarged twice, with words below that stay.
    let outlined = image_of(&made.folder.join("0001-outlined.png"));
    assert!((0..640).all(|x| outlined.get(x, 24) == 0));
    assert!((0..640).any(|x| outlined.get(x, 490) > 0), "the words below the picture are gone");
    let said = ExportOptions { pixels: Pixels::SaidClean, ..ExportOptions::default() };
    let made = export(exam.view(), stick.path(), &said).unwrap();
    assert_eq!(written(&made.folder).0, before, "pixels that somebody said are clean were changed");
}

struct Image {
    pixels: Vec<u8>,
    width: usize,
    samples: usize,
}

impl Image {
    fn get(&self, x: usize, y: usize) -> u8 {
        let at = (y * self.width + x) * self.samples;
        *self.pixels[at..at + self.samples].iter().max().unwrap()
    }
}

fn image_of(path: &Path) -> Image {
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    Image { pixels, width: info.width as usize, samples: info.color_type.samples() }
}

#[test]
fn without_a_known_region_nothing_leaves_unless_somebody_looked() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = Store::open_with(root.path(), clock, 1 << 16).unwrap();
    let mut exam = store.begin(&NewExam::default()).unwrap();
    let whole = sonotap::Frame::from_pixels(32, 24, PixelFormat::Grey8, vec![9; 32 * 24]).unwrap();
    exam.save(&Capture::still(whole, Vec::new())).unwrap();
    let refused = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Argument && refused.to_string().contains("expected a known image region"),
        "{refused}"
    );
    assert_eq!(stick.path().read_dir().unwrap().count(), 0, "something was left on the stick");
    export(exam.view(), stick.path(), &ExportOptions { pixels: Pixels::SaidClean, ..ExportOptions::default() })
        .unwrap();
}

#[test]
fn an_export_with_the_patient_says_it_in_the_objects_and_on_the_page_and_in_no_name() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let exam = exam(root.path(), Origin::Captured);
    let options = ExportOptions { with_patient: true, ..ExportOptions::default() };
    let made = export(exam.view(), stick.path(), &options).unwrap();
    assert_eq!(made.folder.file_name().unwrap().to_str().unwrap(), exam.name());
    for name in ["0001.dcm", "0001-seg.dcm", "0001-sr.dcm", "0002-outlined.dcm"] {
        let object = open_file(made.folder.join(name)).unwrap();
        let text = |tag: Tag| object.element(tag).unwrap().to_str().unwrap().into_owned();
        assert_eq!(
            (text(tags::PATIENT_ID).as_str(), text(tags::PATIENT_NAME).as_str()),
            (DATA[0], "QUARK^ALICE"),
            "{name}"
        );
        assert_eq!(text(tags::ACCESSION_NUMBER), DATA[4]);
    }
    assert!(has(&made.folder.join("index.html"), DATA[0]));
    // A second export of it does not replace the first.
    let told = export(exam.view(), stick.path(), &options).unwrap_err().to_string();
    assert!(told.contains("expected a new folder"), "{told}");
}

#[test]
fn a_file_that_is_not_what_was_saved_is_not_exported() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let exam = exam(root.path(), Origin::Simulated);
    std::fs::write(exam.view().folder().join("0002-seg.dcm"), "?").unwrap();
    let refused = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Format);
    assert_eq!(stick.path().read_dir().unwrap().count(), 0);
}

fn options() -> SendOptions {
    let backoff = Backoff { tries: 3, first: Duration::from_secs(2), longest: Duration::from_secs(60) };
    SendOptions { backoff, timeout: Duration::from_secs(20), ..SendOptions::default() }
}

#[test]
fn an_exam_is_sent_once_with_its_patient_and_what_is_there_is_not_sent_again() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    let (to, told) = archive(ALL, vec![vec![TAKEN; 8]]);
    let report = send(exam.view(), &to, &options(), &mut |_| panic!("nothing failed")).unwrap();
    assert_eq!((report.sent, report.before, report.tries, report.state), (8, 0, 1, SendState::Complete));
    let objects: Vec<_> = told.try_iter().collect();
    let mut uids: Vec<_> = objects.iter().map(|o| o.0.as_str()).collect();
    uids.sort_unstable();
    uids.dedup();
    assert!(uids.len() == 8 && objects.iter().all(|o| o.1 == DATA[0]), "{uids:?}");
    // Nobody listens there any more: nothing is left to send.
    let again = send(exam.view(), &to, &options(), &mut |_| panic!("nothing was to be sent")).unwrap();
    assert_eq!((again.sent, again.before, again.tries, again.state), (0, 8, 0, SendState::Complete));
    assert_eq!(exam.view().unsent().unwrap(), 0);
    // Others have it with this patient: it stays bound to them.
    drop(exam);
    let (store, _) = Store::open_with(root.path(), clock, 1 << 16).unwrap();
    let name = store.names().unwrap().remove(0);
    let patient = Patient {
        id: "OTHER".into(),
        name: String::new(),
        birth_date: String::new(),
        sex: String::new(),
        accession: String::new(),
    };
    assert_eq!(store.resume(&name).unwrap().bind(patient).unwrap_err().kind(), ErrorKind::Argument);
    store.forget(&name, false).unwrap();
}

#[test]
fn a_passing_failure_is_tried_again_later_each_time_and_goes_on_where_it_was() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    let (to, told) =
        archive(ALL, vec![vec![TAKEN, TAKEN, Reply::HangUp], vec![TAKEN, Reply::Status(0xA700)], vec![TAKEN; 5]]);
    let mut waits = Vec::new();
    let report = send(exam.view(), &to, &options(), &mut |time| waits.push(time.as_secs())).unwrap();
    assert_eq!((report.sent, report.tries, report.state), (8, 3, SendState::Complete));
    assert_eq!(waits, [2, 4]);
    assert_eq!(told.try_iter().count(), 10, "two objects are sent twice, the others once");
}

#[test]
fn when_all_tries_fail_it_is_for_another_time() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("ARCHIVE@127.0.0.1:{port}").parse().unwrap();
    let mut waits = 0;
    let report = send(exam.view(), &to, &options(), &mut |_| waits += 1).unwrap();
    assert_eq!((report.sent, report.tries, waits), (0, 3, 2));
    assert_eq!(report.state, SendState::Later { why: "no association: nobody answers there".into() });
}

#[test]
fn a_final_refusal_stops_until_somebody_asks_again_and_its_words_are_told_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    let (to, told) = archive(ALL, vec![vec![TAKEN, Reply::Status(0xC123)], vec![TAKEN; 7]]);
    let mut never = |_| panic!("a final refusal is not waited for");
    let report = send(exam.view(), &to, &options(), &mut never).unwrap();
    assert_eq!(report.sent, 1);
    let told_of = format!("{report:?}");
    assert!(matches!(report.state, SendState::Refused { .. }) && told_of.contains("C123H"), "{told_of}");
    assert!(DATA.iter().all(|datum| !told_of.contains(datum)), "{told_of}");
    let held = send(exam.view(), &to, &options(), &mut never).unwrap();
    assert!(held.tries == 0 && matches!(held.state, SendState::Refused { .. }), "{held:?}");
    let again = SendOptions { is_again: true, ..options() };
    assert_eq!(send(exam.view(), &to, &again, &mut never).unwrap().state, SendState::Complete);
    assert_eq!(told.try_iter().count(), 9);
}

#[test]
fn an_archive_without_jpeg_gets_native_frames_and_one_without_a_syntax_refuses_for_good() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    let (to, told) = archive(&[uids::IMPLICIT_VR_LITTLE_ENDIAN], vec![vec![TAKEN; 8]]);
    let mut never = |_| panic!("nothing passes");
    assert_eq!(send(exam.view(), &to, &options(), &mut never).unwrap().state, SendState::Complete);
    assert!(told.try_iter().all(|object| object.2));
    let (to, _) = archive(&[uids::JPIP_REFERENCED], vec![Vec::new()]);
    let report = send(exam.view(), &to, &options(), &mut never).unwrap();
    assert!(matches!(&report.state, SendState::Refused { why, .. } if why.contains("takes no object")), "{report:?}");
}

#[test]
fn an_exam_is_held_until_it_is_ended_its_date_is_confirmed_and_it_is_bound() {
    fn unverified() -> ClockReading {
        ClockReading { is_synchronized: false, ..clock() }
    }
    let root = tempfile::tempdir().unwrap();
    let (store, _) = Store::open_with(root.path(), unverified, 1 << 16).unwrap();
    let mut exam = store.begin(&NewExam::default()).unwrap();
    exam.save(&Capture::still(frame(1, PixelFormat::Grey8, None), Vec::new())).unwrap();
    let (to, _told) = archive(ALL, vec![vec![TAKEN]]);
    let held = |exam: &Exam| send(exam.view(), &to, &options(), &mut |_| panic!("held")).unwrap_err().to_string();
    assert!(held(&exam).contains("expected one that was ended"));
    exam.end().unwrap();
    assert!(held(&exam).contains("the clock was not verified"));
    exam.confirm_date().unwrap();
    assert!(held(&exam).contains("bound to a patient"));
    let unbound = SendOptions { is_unbound_allowed: true, ..options() };
    assert_eq!(send(exam.view(), &to, &unbound, &mut |_| panic!("held")).unwrap().state, SendState::Complete);
}
