//! The store: what is saved is there, for a second reader and after a cut; what was not is told.

mod common;

use std::path::Path;
use std::time::Duration;

use dicom_dictionary_std::tags;
use dicom_object::open_file;

use common::{cine, ellipse, frame, islands};
use sonotap::{Error, ErrorKind, PixelFormat, ScaleSource};
use sonotap_exam::{
    Capture, ClockDoubt, ClockReading, ClockState, Exam, Fault, ItemKind, NewExam, Outcome, Patient, Repair, Role,
    Saver, Store, Task,
};

fn clock() -> ClockReading {
    ClockReading { now: "2026-11-29T10:30:00.5Z".parse().unwrap(), is_synchronized: true }
}

fn store(root: &Path) -> Store {
    Store::open_with(root, clock, 1 << 20).unwrap().0
}

fn still(number: u64) -> Capture {
    let frame = frame(number, PixelFormat::Grey8, Some(ScaleSource::Profile));
    let objects = vec![ellipse(&frame, "Bladder")];
    Capture::still(frame, objects)
}

fn begun(root: &Path) -> Exam {
    store(root).begin(&NewExam::default()).unwrap()
}

#[test]
fn what_is_saved_is_read_by_another_reader_while_the_first_writes() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    assert_eq!(exam.name(), "2026-11-29-0001");
    exam.save(&still(1)).unwrap();
    let reader = Store::read(root.path()).unwrap();
    let name = reader.names().unwrap().remove(0);
    assert_eq!(reader.view(&name).unwrap().items().count(), 1);
    let frames = cine(6, PixelFormat::Grey8, None);
    let objects = vec![islands(&frames[2], "")];
    exam.save(&Capture::cine(frames, 2, objects)).unwrap();
    let view = reader.view(&name).unwrap();
    let kinds: Vec<_> = view.items().map(|i| (i.number, i.kind, i.frames, i.objects)).collect();
    assert_eq!(kinds, [(1, ItemKind::Still, 1, 1), (2, ItemKind::Cine, 6, 1)]);
    let roles: Vec<Role> = view.items().next().unwrap().files.iter().map(|f| f.role).collect();
    let all = [
        Role::Image,
        Role::Picture,
        Role::Outlined,
        Role::OutlinedPicture,
        Role::Segmentation,
        Role::Report,
        Role::Notes,
    ];
    assert_eq!(roles, all);
    assert_eq!(view.verify(), []);
    assert!(!view.is_bound() && !view.is_ended() && view.is_date_confirmed());
    // Nobody else writes it meanwhile.
    let refused = store(root.path()).resume(&name).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    drop(exam);
    let mut again = store(root.path()).resume(&name).unwrap();
    assert_eq!(again.save(&still(3)).unwrap().number, 3);
}

#[test]
fn a_changed_or_missing_file_is_found() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    exam.save(&still(1)).unwrap();
    let folder = exam.view().folder().to_owned();
    let mut bytes = std::fs::read(folder.join("0001.dcm")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(folder.join("0001.dcm"), bytes).unwrap();
    std::fs::remove_file(folder.join("0001-sr.dcm")).unwrap();
    std::fs::write(folder.join("0007.png"), "?").unwrap();
    let expected =
        [Fault::Changed("0001.dcm".into()), Fault::Missing("0001-sr.dcm".into()), Fault::Unfinished("0007.png".into())];
    assert_eq!(exam.view().verify(), expected);
}

#[test]
fn what_a_cut_leaves_is_put_right_and_what_was_acknowledged_stays() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    exam.save(&still(1)).unwrap();
    let folder = exam.view().folder().to_owned();
    drop(exam);
    // Files of an item whose line never came, a file without a name, half a line, half an exam.
    std::fs::write(folder.join("0002.dcm"), "DICM").unwrap();
    std::fs::write(folder.join("0002.png.part"), "PN").unwrap();
    let journal = folder.join("journal");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, [&whole[..], &whole[..40]].concat()).unwrap();
    std::fs::create_dir(root.path().join(".2026-11-29-0002.77.part")).unwrap();
    let (store, report) = Store::open_with(root.path(), clock, 1 << 20).unwrap();
    let repairs: Vec<_> = report.repairs.into_iter().map(|(exam, repair)| (exam.is_some(), repair)).collect();
    assert_eq!(
        repairs,
        [(false, Repair::Removed), (true, Repair::JournalCut(40)), (true, Repair::SetAside(vec!["0002.dcm".into()])),]
    );
    assert_eq!(std::fs::read(&journal).unwrap(), whole);
    assert_eq!(std::fs::read(folder.join("unfinished/0002.dcm")).unwrap(), b"DICM");
    let name = store.names().unwrap().remove(0);
    assert_eq!(store.view(&name).unwrap().verify(), []);
    // Its number is not used again.
    assert_eq!(store.resume(&name).unwrap().save(&still(2)).unwrap().number, 3);
    assert!(Store::open_with(root.path(), clock, 1 << 20).unwrap().1.repairs.is_empty());
}

#[test]
fn a_lost_file_is_reported_and_nothing_is_changed_for_it() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    exam.save(&still(1)).unwrap();
    let folder = exam.view().folder().to_owned();
    drop(exam);
    std::fs::remove_file(folder.join("0001.png")).unwrap();
    std::fs::write(folder.join("exam.json.bad"), "{").unwrap();
    let report = Store::open_with(root.path(), clock, 1 << 20).unwrap().1;
    assert_eq!(report.repairs.len(), 1);
    assert_eq!(report.repairs[0].1, Repair::Lost("0001.png".into()));
    std::fs::write(folder.join("exam.json"), "{\"patient\":{\"id\":\"4711\"}}").unwrap();
    let report = Store::open_with(root.path(), clock, 1 << 20).unwrap().1;
    let told = report.repairs[0].1.to_string();
    assert!(told.starts_with("cannot be read") && !told.contains("4711"), "{told}");
}

#[test]
fn an_exam_begins_bound_to_nobody_and_the_patient_is_in_one_file_only() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    exam.save(&still(1)).unwrap();
    assert!(!exam.view().is_bound());
    let patient = Patient {
        id: "ID-4711".into(),
        name: "QUARK^ALICE".into(),
        birth_date: "19700131".into(),
        sex: "F".into(),
        accession: "ACC-0815".into(),
    };
    exam.bind(patient.clone()).unwrap();
    exam.save(&still(2)).unwrap();
    exam.end().unwrap();
    assert!(exam.view().is_bound() && exam.view().is_ended());
    assert_eq!(exam.save(&still(3)).unwrap_err().kind(), ErrorKind::Argument);
    let mut with_identity = Vec::new();
    let mut folders = vec![root.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                let has = |datum: &str| bytes.windows(datum.len()).any(|w| w == datum.as_bytes());
                if ["ID-4711", "QUARK", "ALICE", "19700131", "ACC-0815"].iter().any(|d| has(d)) {
                    with_identity.push(name.clone());
                }
            }
            assert!(!name.contains("4711") && !name.to_uppercase().contains("QUARK"));
        }
    }
    assert_eq!(with_identity, ["exam.json"]);
}

#[test]
fn a_new_exam_of_a_store_has_nothing_of_the_last() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let mut first = store.begin(&NewExam::default()).unwrap();
    first
        .bind(Patient {
            id: "4711".into(),
            name: String::new(),
            birth_date: String::new(),
            sex: String::new(),
            accession: String::new(),
        })
        .unwrap();
    first.save(&still(1)).unwrap();
    let second = store.begin(&NewExam::default()).unwrap();
    assert_eq!(second.name(), "2026-11-29-0002");
    assert!(!second.view().is_bound() && second.view().items().count() == 0);
    assert_ne!(first.view().record().study_uid, second.view().record().study_uid);
}

#[test]
fn a_clock_that_went_back_or_is_not_synchronized_holds_the_date() {
    fn earlier() -> ClockReading {
        ClockReading { now: "2026-11-27T10:30:00Z".parse().unwrap(), is_synchronized: true }
    }
    let root = tempfile::tempdir().unwrap();
    begun(root.path());
    let (store, _) = Store::open_with(root.path(), earlier, 1 << 20).unwrap();
    let mut exam = store.begin(&NewExam::default()).unwrap();
    assert_eq!(exam.view().record().clock, ClockState::Unverified { doubt: ClockDoubt::WentBack });
    // It is captured all the same.
    exam.save(&still(1)).unwrap();
    assert!(!exam.view().is_date_confirmed());
    exam.confirm_date().unwrap();
    assert!(exam.view().is_date_confirmed());
}

#[test]
fn what_was_sent_nowhere_is_not_deleted_unless_somebody_means_it() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let mut exam = store.begin(&NewExam::default()).unwrap();
    exam.save(&still(1)).unwrap();
    let name = exam.view().name().clone();
    let kind = |r: Result<(), Error>| r.unwrap_err().kind();
    assert_eq!(kind(store.forget(&name, true)), ErrorKind::Unavailable, "it is written to");
    drop(exam);
    assert_eq!(kind(store.forget(&name, true)), ErrorKind::Argument, "it is open");
    store.resume(&name).unwrap().end().unwrap();
    let told = store.forget(&name, false).unwrap_err().to_string();
    assert!(told.contains("4 objects that were sent nowhere"), "{told}");
    store.forget(&name, true).unwrap();
    assert!(store.names().unwrap().is_empty());
    assert!(root.path().read_dir().unwrap().all(|e| !e.unwrap().file_type().unwrap().is_dir()));
}

#[test]
fn captures_that_cannot_be_saved_are_refused_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    let frames = |n| cine(n, PixelFormat::Grey8, None);
    let mut mixed = frames(2);
    mixed.push(std::sync::Arc::new(frame(3, PixelFormat::Rgb8, None)));
    for (capture, expected) in [
        (Capture::cine(Vec::new(), 0, Vec::new()), "expected 1 to 512 frames, got 0"),
        (Capture::cine(frames(2), 2, Vec::new()), "expected outlines on one of 2 frames, got number 3"),
        (Capture::still(sonotap::Frame::default(), Vec::new()), "px a side, got 0x0"),
        (Capture::cine(mixed, 0, Vec::new()), "expected frames of"),
    ] {
        let refused = exam.save(&capture).unwrap_err();
        assert!(refused.kind() == ErrorKind::Argument && refused.to_string().contains(expected), "{refused}");
    }
    assert_eq!(exam.save(&still(1)).unwrap().number, 1);
}

#[test]
fn without_a_scale_no_object_that_is_saved_has_millimetres() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    for (number, scale) in [(1, None), (2, Some(ScaleSource::DicomRegion))] {
        let frame = frame(number, PixelFormat::Grey8, scale);
        let objects = vec![ellipse(&frame, "Bladder")];
        exam.save(&Capture::still(frame, objects)).unwrap();
        let file = |ending: &str| exam.view().folder().join(format!("{number:04}{ending}"));
        let image = open_file(file(".dcm")).unwrap();
        assert_eq!(image.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).is_some(), scale.is_some());
        let report = std::fs::read(file("-sr.dcm")).unwrap();
        let has = |text: &[u8]| report.windows(text.len()).any(|w| w == text);
        assert_eq!(
            (has(b"42798000"), has(b"mm2"), has(b"DICOM region")),
            (scale.is_some(), scale.is_some(), scale.is_some())
        );
        assert!(has(b"POLYLINE"));
        let notes = std::fs::read_to_string(file(".prompts.json")).unwrap();
        assert_eq!(notes.contains("\"mm\": null"), scale.is_none());
    }
}

#[test]
fn the_thread_tells_of_every_capture_what_became_of_it() {
    let root = tempfile::tempdir().unwrap();
    let mut saver = Saver::start(store(root.path()), NewExam::default()).unwrap();
    for number in 1..=3 {
        saver.save(still(number)).unwrap();
    }
    saver.save(Capture::cine(Vec::new(), 0, Vec::new())).unwrap();
    let outcomes = saver.finish();
    assert_eq!(saved(&outcomes), [Some(1), Some(2), Some(3), None]);
    let of_exam = |o: &Outcome| match o {
        Outcome::Saved { exam, .. } => exam.as_deref() == Some("2026-11-29-0001"),
        _ => true,
    };
    assert!(outcomes.iter().all(of_exam), "{outcomes:?}");
}

/// Numbers of what was saved; `None` for what was not.
fn saved(outcomes: &[Outcome]) -> Vec<Option<u32>> {
    let of = |o: &Outcome| match o {
        Outcome::Saved { saved, is_kept: false, .. } => Some(saved.as_ref().ok().map(|s| s.number)),
        _ => None,
    };
    outcomes.iter().filter_map(of).collect()
}

/// The next outcome that is wanted; the thread is waited for, however long it takes.
fn until<T>(saver: &mut Saver, mut wanted: impl FnMut(Outcome) -> Option<T>) -> T {
    loop {
        match saver.outcome().and_then(&mut wanted) {
            Some(found) => return found,
            None => std::thread::yield_now(),
        }
    }
}

#[test]
fn what_the_disk_refuses_is_kept_and_saved_in_its_order_when_it_takes_it() {
    let root = tempfile::tempdir().unwrap();
    let mut saver = Saver::start(store(root.path()), NewExam::default()).unwrap();
    saver.save(still(1)).unwrap();
    let of_saved = |o| match o {
        Outcome::Saved { saved, is_kept, thumbnail, .. } => Some((saved, is_kept, thumbnail)),
        _ => None,
    };
    let (first, _, thumbnail) = until(&mut saver, of_saved);
    assert_eq!((first.unwrap().number, thumbnail.unwrap().width(), saver.unsaved()), (1, 192, 0));
    // The disk is gone.
    let folder = root.path().join("2026-11-29-0001");
    std::fs::rename(&folder, root.path().join("away")).unwrap();
    for number in 2..=5 {
        saver.save(still(number)).unwrap();
    }
    let (second, is_kept, _) = until(&mut saver, of_saved);
    assert!(is_kept && second.is_err());
    // Four are not on the disk: another would be one too many, and is told so.
    assert_eq!((saver.unsaved(), saver.save(still(6)).unwrap_err().kind()), (4, ErrorKind::Unavailable));
    // With them unsaved the exam is not ended, unless somebody gives them up.
    saver.ask(Task::End { is_unsaved_lost: false }).unwrap();
    let of_end = |o| match o {
        Outcome::Ended { lost, ended } => Some((lost, ended.is_ok())),
        _ => None,
    };
    assert_eq!(until(&mut saver, of_end), (0, false));
    std::fs::rename(root.path().join("away"), &folder).unwrap();
    saver.ask(Task::End { is_unsaved_lost: false }).unwrap();
    let mut numbers = Vec::new();
    let ended = until(&mut saver, |o| {
        numbers.extend(saved(std::slice::from_ref(&o)));
        of_end(o)
    });
    assert_eq!(ended, (0, true));
    // A number that failed is not used again.
    assert!(numbers.len() == 4 && numbers.is_sorted() && numbers.iter().all(Option::is_some), "{numbers:?}");
    assert_eq!(saver.unsaved(), 0);
    // What comes after the end is of another exam.
    saver.save(still(7)).unwrap();
    let exam = until(&mut saver, |o| match o {
        Outcome::Saved { exam, .. } => exam,
        _ => None,
    });
    assert_eq!(exam, "2026-11-29-0002");
    let views: Vec<_> = (1..=2)
        .map(|n| Store::read(root.path()).unwrap().view(&format!("2026-11-29-000{n}").parse().unwrap()).unwrap())
        .collect();
    assert_eq!(views.iter().map(|v| (v.items().count(), v.is_ended())).collect::<Vec<_>>(), [(5, true), (1, false)]);
    assert!(views.iter().all(|v| v.verify().is_empty()));
}

#[test]
fn what_was_given_up_leaves_the_exam_and_comes_into_no_other() {
    let root = tempfile::tempdir().unwrap();
    let mut saver = Saver::start(store(root.path()), NewExam::default()).unwrap();
    saver.save(still(1)).unwrap();
    until(&mut saver, |o| matches!(o, Outcome::Saved { .. }).then_some(()));
    std::fs::rename(root.path().join("2026-11-29-0001"), root.path().join("away")).unwrap();
    saver.save(still(2)).unwrap();
    saver.ask(Task::End { is_unsaved_lost: true }).unwrap();
    let lost = until(&mut saver, |o| match o {
        Outcome::Ended { lost, .. } => Some(lost),
        _ => None,
    });
    assert_eq!((lost, saver.unsaved()), (1, 0));
    saver.save(still(3)).unwrap();
    assert_eq!(saved(&saver.finish()), [Some(1)]);
    let names = Store::read(root.path()).unwrap().names().unwrap();
    assert_eq!(names.len(), 1, "the next patient's picture is in an exam of its own");
}

#[test]
fn a_deleted_item_can_be_put_back_until_the_exam_ends_and_is_gone_then() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    for number in 1..=3 {
        exam.save(&still(number)).unwrap();
    }
    let name = exam.view().name().clone();
    let numbers = |exam: &Exam| exam.view().items().map(|i| i.number).collect::<Vec<_>>();
    exam.delete(2).unwrap();
    assert_eq!((numbers(&exam), exam.view().verify()), (vec![1, 3], vec![]));
    exam.restore(2).unwrap();
    assert_eq!(numbers(&exam), [1, 2, 3]);
    for wrong in [exam.restore(2), exam.delete(9)] {
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Argument);
    }
    exam.delete(1).unwrap();
    exam.delete(3).unwrap();
    let folder = exam.view().folder().to_owned();
    assert!(folder.join("0003.dcm").is_file(), "until the end it can be put back");
    // A reopened exam knows, and the number is not used again.
    drop(exam);
    let mut exam = store(root.path()).resume(&name).unwrap();
    assert_eq!((numbers(&exam), exam.save(&still(4)).unwrap().number), (vec![2], 4));
    exam.end().unwrap();
    assert!(!folder.join("0003.dcm").exists() && !folder.join("0001.png").exists());
    assert!(exam.restore(3).is_err() && exam.delete(2).is_err());
    assert_eq!((numbers(&exam), exam.view().verify()), (vec![2, 4], vec![]));
    drop(exam);
    // What a cut left of it is removed when the store is opened.
    std::fs::write(folder.join("0003.dcm"), "DICM").unwrap();
    let (_, report) = Store::open_with(root.path(), clock, 1 << 20).unwrap();
    assert_eq!(report.repairs, [(Some(name), Repair::Deleted(vec!["0003.dcm".into()]))]);
}

#[test]
fn exams_of_an_earlier_program_are_read_and_get_no_event_that_it_would_cut() {
    let root = tempfile::tempdir().unwrap();
    let mut exam = begun(root.path());
    exam.save(&still(1)).unwrap();
    let (name, path) = (exam.view().name().clone(), exam.view().folder().join("exam.json"));
    drop(exam);
    let text = std::fs::read_to_string(&path).unwrap();
    let of_format = |format: u32| text.replacen("\"format\": 2", &format!("\"format\": {format}"), 1);
    assert_ne!(of_format(1), text);
    std::fs::write(&path, of_format(1)).unwrap();
    let mut exam = store(root.path()).resume(&name).unwrap();
    assert_eq!(exam.delete(1).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(exam.save(&still(2)).unwrap().number, 2);
    drop(exam);
    std::fs::write(&path, of_format(3)).unwrap();
    assert_eq!(Store::read(root.path()).unwrap().view(&name).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn the_thread_tells_how_the_store_is() {
    let root = tempfile::tempdir().unwrap();
    let of_health = |o| match o {
        Outcome::Health(health) => Some(health),
        _ => None,
    };
    let unverified = || ClockReading { is_synchronized: false, ..clock() };
    // No disk has ten times so much.
    let (huge, _) = Store::open_with(root.path(), unverified, 1 << 20).unwrap();
    let mut saver = Saver::start(huge, NewExam::default()).unwrap();
    let health = until(&mut saver, of_health);
    assert_eq!((health.doubt, health.unsent, health.is_reserve_used), (Some(ClockDoubt::NotSynchronized), 0, false));
    assert!(health.free_bytes.is_some());
    saver.save(still(1)).unwrap();
    saver.ask(Task::ConfirmDate).unwrap();
    until(&mut saver, |o| matches!(o, Outcome::DateConfirmed(Ok(()))).then_some(()));
    assert_eq!(until(&mut saver, of_health).doubt, None);
    std::fs::remove_file(root.path().join(".reserve")).unwrap();
    saver.ask(Task::End { is_unsaved_lost: false }).unwrap();
    until(&mut saver, |o| matches!(o, Outcome::Ended { .. }).then_some(()));
    let health = until(&mut saver, of_health);
    assert_eq!((health.is_reserve_used, health.unsent), (true, 1));
}

#[test]
fn the_picture_of_an_item_is_read_back_with_its_outlines() {
    let root = tempfile::tempdir().unwrap();
    let mut saver = Saver::start(store(root.path()), NewExam::default()).unwrap();
    saver.save(still(1)).unwrap();
    saver.ask(Task::Open(1)).unwrap();
    saver.ask(Task::Open(2)).unwrap();
    let mut opened = Vec::new();
    for outcome in saver.finish() {
        if let Outcome::Opened(number, picture) = outcome {
            opened.push((number, picture.ok().map(|p| (p.width(), p.format()))));
        }
    }
    assert_eq!(opened, [(1, Some((640, PixelFormat::Rgb8))), (2, None)]);
}

#[test]
fn another_folder_is_not_taken_for_a_store() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(Store::read(root.path()).unwrap_err().kind(), ErrorKind::Io);
    std::fs::write(root.path().join("store.json"), "{\"format\": 9, \"device_uid\": \"2.25.1\"}").unwrap();
    assert_eq!(Store::read(root.path()).unwrap_err().kind(), ErrorKind::Unsupported);
    std::fs::write(root.path().join("store.json"), "QUARK").unwrap();
    let told = Store::read(root.path()).unwrap_err().to_string();
    assert!(told.contains("line 1") && !told.contains("QUARK"), "{told}");
    let told = "QUARK ALICE".parse::<sonotap_exam::ExamName>().unwrap_err().to_string();
    assert_eq!(told, "exam: expected a name as 2026-11-29-0001, got something else");
}

#[test]
fn exams_that_were_left_open_are_ended_when_nobody_writes_them_and_others_are_not() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let left = {
        let mut exam = store.begin(&NewExam::default()).unwrap();
        exam.save(&still(1)).unwrap();
        exam.name()
    };
    let mut written = store.begin(&NewExam::default()).unwrap();
    written.save(&still(2)).unwrap();
    assert_eq!(store.end_left_open(Duration::from_secs(3_600)).unwrap(), [], "nobody knows yet that they are left");
    let ended: Vec<String> = store.end_left_open(Duration::ZERO).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(ended, [left.as_str()]);
    let view = |name: &str| store.view(&name.parse().unwrap()).unwrap();
    assert!(view(&left).is_ended() && view(&left).items().count() == 1);
    assert!(!view(&written.name()).is_ended(), "somebody writes it");
    written.save(&still(3)).unwrap();
    assert!(store.end_left_open(Duration::ZERO).unwrap().is_empty());
}
