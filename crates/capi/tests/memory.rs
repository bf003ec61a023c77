//! The library's heap: what a session holds, that it stays within what it was given, and that hours of frames add nothing.

#[allow(dead_code, reason = "each test program uses its part")]
mod common;

use common::*;
use sonotap_capi::*;

/// Frames with taps, freezing, and both ways of drawing.
fn live(session: &Session, probe: &mut Probe, from: u64, frames: u64, period_ns: u64) {
    let mut pixels = vec![0; 800 * 480 * 4];
    for n in from..from + frames {
        let frame = probe.step();
        let now_ns = n * period_ns;
        match n % 50 {
            5 => {
                let (x, y) = probe.middle();
                sonotap_tap(session.0, x, y, 1, 0, 0);
            }
            10 => {
                sonotap_command(session.0, SONOTAP_NEW_OBJECT, 0.0);
                sonotap_box(session.0, 20.0, 20.0, 60.0, 60.0, 0, 0);
            }
            20 => {
                sonotap_command(session.0, SONOTAP_FREEZE, 0.0);
            }
            22 => {
                sonotap_command(session.0, SONOTAP_STEP_BACK, 0.0);
            }
            25 => {
                sonotap_command(session.0, SONOTAP_UNFREEZE, 0.0);
            }
            40 => {
                sonotap_command(session.0, SONOTAP_CLEAR, 0.0);
            }
            49 if n % 1_000 == 349 => {
                sonotap_new_exam(session.0);
            }
            _ => {}
        }
        let Some(told) = turn(session, &frame, now_ns) else { continue };
        if n % 16 == 0 {
            session.draw(SONOTAP_DRAW_SCREEN, &picture_of(b"XR24", 800, 480, &mut pixels));
            session.draw(SONOTAP_DRAW_OVERLAY, &picture_of(b"XR24", 320, 240, &mut pixels));
        }
        for i in 0..told.objects {
            let (status, object) = session.object(i);
            if status == SONOTAP_OK && object.points > 0 {
                session.outline(i, &object);
                session.mask(i, probe.frame.width(), probe.frame.height());
            }
        }
        sonotap_presented(session.0, told.ticket, 0);
    }
}

/// One test: the count is of the whole process.
#[test]
fn a_session_stays_within_its_bytes_gives_them_back_and_ten_hours_add_none() {
    // What is allocated once: the parts of the library that are shared.
    drop(Model::bundled().open(&stepped()).unwrap());
    let before = sonotap_memory_bytes();
    let model = Model::bundled();
    let model_bytes = sonotap_memory_bytes() - before;
    let (status, text) = model.open(&sonotap_config { memory_max_bytes: 20 << 20, ..stepped() }).err().unwrap();
    assert_eq!(status, SONOTAP_E_MEMORY, "{text}");
    let kept = sonotap_memory_bytes() - before - model_bytes;
    assert!(kept < 4_096, "a refused session keeps its error's text and nothing else: {kept} bytes");

    let max = 40 << 20;
    // The longest period there is: ten hours are 3,600 frames.
    let period_us = 10_000_000;
    let config =
        sonotap_config { memory_max_bytes: max, frame_width_max: 320, frame_height_max: 240, period_us, ..stepped() };
    let session = model.open(&config).unwrap();
    let opened = sonotap_memory_bytes() - before;
    let mut probe = Probe::new(320, 240);
    let period_ns = u64::from(period_us) * 1_000;
    // The source of the frames is the test's own.
    let own = sonotap_memory_bytes() - before - opened;
    let held = || sonotap_memory_bytes() - before - own;
    // The frames' own memory comes and goes within its bound, by how many are held at the moment.
    let frames = || {
        let report: serde_json::Value = serde_json::from_str(&session.report()).unwrap();
        report["frame_bytes"].as_u64().unwrap()
    };
    live(&session, &mut probe, 1, 720, period_ns);
    let after_two = held();
    assert!(after_two <= max, "{after_two} of {max} bytes, of which the model {model_bytes}");
    let too_large = vec![0; 640 * 480 * 3];
    assert_eq!(session.push(&frame_of(b"RGB3", 640, 480, &too_large)), SONOTAP_E_MEMORY);
    drop(too_large);
    let mut by_hour = Vec::new();
    for hour in 2..10 {
        live(&session, &mut probe, hour * 360 + 1, 360, period_ns);
        by_hour.push(held() - frames());
    }
    let after_ten = held();
    println!("model {model_bytes}, opened {opened}, after 2 h {after_two}, after 10 h {after_ten} bytes");
    println!("beside frames, hour by hour from the third: {by_hour:?}");
    assert!(after_ten <= max, "{after_ten} of {max} bytes");
    // Masks of 64 KiB come and go with what has been tapped.
    let (early, late) = by_hour.split_at(4);
    let [early, late] = [early, late].map(|hours| *hours.iter().max().unwrap());
    assert!(late <= early + 4 * (64 << 10), "{early} bytes in hours 3 to 6, {late} in hours 7 to 10");
    assert_eq!(session.close(), SONOTAP_OK);
    drop(model);
    drop(probe);
    let kept = sonotap_memory_bytes().saturating_sub(before);
    assert!(kept < 16 << 10, "{kept} bytes are kept after closing");
}
