//! One side of the power-cut tests of `.ci/exams`.
//!
//! `exam_cuts write STORE N` saves N stills and says `ACK EXAM NUMBER` after each that was acknowledged. `exam_cuts check STORE`
//! reads such lines from standard input, opens the store as after a power cut, and says how many of them are lost or torn.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use sonotap::{PixelFormat, Result, ScaleSource};
use sonotap_exam::{Capture, ClockReading, ExamName, Fault, NewExam, Store};

const RESERVE_BYTES: u64 = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[1..] {
        ["write", root, count] => write(Path::new(root), count.parse().expect("a number")),
        ["check", root] => check(Path::new(root)),
        ["time", root, count] => time(Path::new(root), count.parse().expect("a number")),
        _ => panic!("exam_cuts write|check|time STORE [N]"),
    };
    if let Err(e) = done {
        // What was acknowledged is on standard output already.
        let _ = writeln!(std::io::stderr(), "exam_cuts: {e}");
        std::process::exit(3);
    }
}

fn write(root: &Path, count: u64) -> Result<()> {
    let (store, _) = Store::open_with(root, ClockReading::take, RESERVE_BYTES)?;
    let mut exam = None;
    let mut failed = None;
    for number in 1..=count {
        let still = common::frame(number, PixelFormat::Grey8, Some(ScaleSource::Phantom));
        let objects = vec![common::ellipse(&still, "Bladder")];
        if exam.is_none() || number % 8 == 0 {
            match store.begin(&NewExam::default()) {
                Ok(begun) => exam = Some(begun),
                Err(e) => failed = Some(e),
            }
        }
        let Some(exam) = &mut exam else { continue };
        match exam.save(&Capture::still(still, objects)) {
            Ok(saved) => {
                let told = writeln!(std::io::stdout(), "ACK {} {}", exam.name(), saved.number);
                // Where nobody hears it nothing was acknowledged.
                drop(told.and_then(|()| std::io::stdout().flush()));
            }
            Err(e) => failed = Some(e),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn check(root: &Path) -> Result<()> {
    let (store, report) = Store::open_with(root, ClockReading::take, 0)?;
    let (mut acknowledged, mut lost, mut torn) = (0, 0, 0);
    let lines: Vec<String> = std::io::stdin().lock().lines().map_while(std::result::Result::ok).collect();
    for line in lines {
        let mut words = line.split(' ');
        let (Some("ACK"), Some(exam), Some(number)) = (words.next(), words.next(), words.next()) else { continue };
        let (Ok(exam), Ok(number)) = (exam.parse::<ExamName>(), number.parse::<u32>()) else { continue };
        acknowledged += 1;
        let found = store.view(&exam).ok().and_then(|view| {
            let item = view.items().find(|i| i.number == number)?.clone();
            Some(item.files.iter().all(|f| {
                std::fs::read(view.folder().join(&f.name))
                    .is_ok_and(|b| sonotap::model::manifest::hex_digest(&b) == f.sha256)
            }))
        });
        match found {
            None => lost += 1,
            Some(false) => torn += 1,
            Some(true) => {}
        }
    }
    // What was not acknowledged may be missing, but nothing that is there may be half.
    for name in store.names()? {
        let faults = store.view(&name).map(|view| view.verify());
        torn += faults.map_or(1, |f| f.iter().filter(|f| !matches!(f, Fault::Unfinished(_))).count());
    }
    println!("acknowledged {acknowledged} lost {lost} torn {torn} repairs {}", report.repairs.len());
    if lost + torn > 0 {
        std::process::exit(4)
    }
    Ok(())
}

/// Times of saving, for benches/RESULTS.md.
fn time(root: &Path, count: u64) -> Result<()> {
    let (store, _) = Store::open(root)?;
    let mut exam = store.begin(&NewExam::default())?;
    let summary = |name: &str, mut all: Vec<Duration>| {
        all.sort();
        let at = |q: f64| all[((all.len() - 1) as f64 * q).round() as usize].as_secs_f64() * 1e3;
        println!("{name}: n {} p50 {:.1} p99 {:.1} max {:.1} ms", all.len(), at(0.5), at(0.99), at(1.0));
    };
    let large = |number: u64| {
        let small = common::frame(number, PixelFormat::Grey8, None);
        let pixels: Vec<u8> = (0..480u32 * 640).map(|i| small.grey(i % 640 / 2, i / 640 / 2)).collect();
        sonotap::Frame::from_pixels(640, 480, PixelFormat::Grey8, pixels).expect("a frame")
    };
    let (mut whole, mut disk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 1..=count {
        let still = large(number);
        let objects = vec![common::ellipse(&still, "Bladder"), common::islands(&still, "Bladder")];
        let saved = exam.save(&Capture::still(still, objects))?;
        whole.push(saved.took);
        disk.push(saved.written_in);
        bytes = saved.bytes;
    }
    summary("still 640x480, two outlines, to durable", whole);
    summary("  of it at the disk", disk);
    println!("  bytes {bytes}");
    let frames: Vec<_> = (0..300).map(|n| std::sync::Arc::new(stamped(large(n % 20 + 1), n))).collect();
    let objects = vec![common::ellipse(&frames[150], "Bladder")];
    let began = Instant::now();
    let saved = exam.save(&Capture::cine(frames, 150, objects))?;
    println!(
        "cine 640x480, 300 frames: {:.0} ms, at the disk {:.0} ms, {} bytes",
        began.elapsed().as_secs_f64() * 1e3,
        saved.written_in.as_secs_f64() * 1e3,
        saved.bytes
    );
    Ok(())
}

fn stamped(mut frame: sonotap::Frame, number: u64) -> sonotap::Frame {
    frame.stamp(sonotap::FrameId(number + 1), sonotap::Timestamp::from_ms(number * 1_000 / 30));
    frame
}
