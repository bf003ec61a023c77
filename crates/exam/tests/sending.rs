//! Ended exams are sent by themselves to an archive, which is a thread here.

#[path = "common/archive.rs"]
mod archive;
mod common;

use std::net::TcpListener;
use std::time::Duration;

use archive::{ALL, DATA, Reply, TAKEN, archive, clock, exam};
use common::frame;
use sonotap::PixelFormat;
use sonotap_exam::{
    Backoff, Capture, ClockReading, ExamSender, NewExam, Origin, Patient, SendNews, SendOptions, Store,
};

fn options() -> SendOptions {
    let backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4), ..Backoff::default() };
    SendOptions { backoff, timeout: Duration::from_secs(20), ..SendOptions::default() }
}

/// The next news.
fn news(sender: &mut ExamSender) -> SendNews {
    loop {
        match sender.news() {
            Some(news) => return news,
            None => std::thread::yield_now(),
        }
    }
}

fn patient() -> Patient {
    Patient {
        id: DATA[0].into(),
        name: String::new(),
        birth_date: String::new(),
        sex: String::new(),
        accession: String::new(),
    }
}

#[test]
fn what_was_left_unsent_is_sent_at_the_start_and_what_is_ended_later_when_it_is_said() {
    let root = tempfile::tempdir().unwrap();
    let first = exam(root.path(), Origin::Captured);
    let (to, told) = archive(ALL, vec![vec![TAKEN; 8], vec![TAKEN; 8]]);
    let mut sender = ExamSender::start(root.path(), to, options()).unwrap();
    assert_eq!(news(&mut sender), SendNews::Sent { exam: first.name(), objects: 8 });
    assert_eq!(first.view().unsent().unwrap(), 0);
    let second = exam(root.path(), Origin::Captured);
    sender.look();
    assert_eq!(news(&mut sender), SendNews::Sent { exam: second.name(), objects: 8 });
    assert!(told.try_iter().all(|object| object.1 == DATA[0]));
}

#[test]
fn an_archive_that_is_not_there_is_said_once_and_gets_the_exam_when_it_comes() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    // It hangs up in the middle, again and again.
    let fails = || vec![TAKEN, Reply::HangUp];
    let (to, told) = archive(ALL, vec![fails(), fails(), fails(), vec![TAKEN; 5]]);
    let mut sender = ExamSender::start(root.path(), to, options()).unwrap();
    assert!(matches!(news(&mut sender), SendNews::Later { exam: name, .. } if name == exam.name()));
    assert_eq!(news(&mut sender), SendNews::Sent { exam: exam.name(), objects: 5 });
    // Three that were taken in the failed rounds, and those on which it hung up.
    assert_eq!(told.try_iter().count(), 11);
    assert_eq!(exam.view().unsent().unwrap(), 0);
}

#[test]
fn a_final_refusal_is_left_to_a_person_and_holds_up_no_other_exam() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (exam(root.path(), Origin::Captured), exam(root.path(), Origin::Captured));
    let (to, told) = archive(ALL, vec![vec![TAKEN, Reply::Status(0xC123)], vec![TAKEN; 8]]);
    let mut sender = ExamSender::start(root.path(), to, options()).unwrap();
    let SendNews::Refused { exam, why } = news(&mut sender) else { panic!("it was refused") };
    assert!(exam == first.name() && why.contains("C123H"), "{why}");
    assert!(DATA.iter().all(|datum| !why.contains(datum)), "{why}");
    assert_eq!(news(&mut sender), SendNews::Sent { exam: second.name(), objects: 8 });
    sender.look();
    // A third round would find nobody listening: nothing more is asked for.
    assert_eq!(told.iter().count(), 10);
    assert_eq!((sender.news(), first.view().unsent().unwrap()), (None, 7));
}

#[test]
fn an_exam_that_is_open_unbound_or_of_an_unverified_clock_is_held_until_it_is_not() {
    fn unverified() -> ClockReading {
        ClockReading { is_synchronized: false, ..clock() }
    }
    let root = tempfile::tempdir().unwrap();
    let (store, _) = Store::open_with(root.path(), unverified, 1 << 16).unwrap();
    let mut held = store.begin(&NewExam::default()).unwrap();
    held.save(&Capture::still(frame(1, PixelFormat::Grey8, None), Vec::new())).unwrap();
    // Behind it one that can be sent: when it is, the one before was looked at.
    let (to, told) = archive(ALL, vec![vec![TAKEN; 8], vec![TAKEN; 8], vec![TAKEN; 8], vec![TAKEN; 1]]);
    let mut sender = ExamSender::start(root.path(), to, options()).unwrap();
    let mut others = 0;
    let mut sends_another = |sender: &mut ExamSender| {
        let other = exam(root.path(), Origin::Captured);
        sender.look();
        others += 1;
        assert_eq!(news(sender), SendNews::Sent { exam: other.name(), objects: 8 });
        assert_eq!(told.try_iter().count(), 8);
    };
    sends_another(&mut sender);
    held.end().unwrap();
    sends_another(&mut sender);
    held.bind(patient()).unwrap();
    sends_another(&mut sender);
    held.confirm_date().unwrap();
    sender.look();
    assert_eq!(news(&mut sender), SendNews::Sent { exam: held.name(), objects: 1 });
}

#[test]
fn a_peer_that_nobody_reaches_costs_nothing_but_later_news() {
    let root = tempfile::tempdir().unwrap();
    let exam = exam(root.path(), Origin::Captured);
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("ARCHIVE@127.0.0.1:{port}").parse().unwrap();
    let mut sender = ExamSender::start(root.path(), to, options()).unwrap();
    let why = "no association: nobody answers there".to_owned();
    assert_eq!(news(&mut sender), SendNews::Later { exam: exam.name(), why });
    assert_eq!(exam.view().unsent().unwrap(), 8);
}
