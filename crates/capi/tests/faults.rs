//! A panic in any place of the library ends in a status, and nothing is printed.

#[allow(dead_code, reason = "each test program uses its part")]
mod common;

use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use common::*;
use sonotap_capi::*;

static PANICS_LOGGED: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn log(_user: *mut c_void, level: i32, text: *const c_char) {
    // SAFETY: the text ends in NUL and lives during the call.
    let text = unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap();
    PANICS_LOGGED.fetch_add(u32::from(level == 1 && text.starts_with("panic: injected")), Ordering::AcqRel);
}

fn inject(place: &str) {
    let place = CString::new(place).unwrap();
    // SAFETY: a text that ends in NUL.
    unsafe { sonotap_inject_panic(place.as_ptr()) };
}

/// One test: places are armed for the whole process.
#[test]
fn a_panic_in_any_place_is_a_status_and_the_handle_answers_nothing_else_until_it_is_closed() {
    assert_eq!(sonotap_set_log(Some(log), std::ptr::null_mut(), 1), SONOTAP_OK);
    inject("model");
    let (status, text) = Model::of_folder(&bundled()).err().unwrap();
    assert!(status == SONOTAP_E_PANIC && text.contains("injected in model"), "{status}: {text}");
    let model = Model::bundled();
    for place in ["push", "poll", "draw", "step", "predict"] {
        let session = model.open(&stepped()).unwrap();
        let mut probe = Probe::new(320, 240);
        turn(&session, &probe.step(), PERIOD_NS).unwrap();
        let (x, y) = probe.middle();
        sonotap_tap(session.0, x, y, 1, 1, 0);
        session.poll();
        inject(place);
        let mut pixels = vec![0; 800 * 480 * 4];
        let status = match place {
            "push" => session.push(&probe.step()),
            "poll" => poll(session.0).0,
            "draw" => session.draw(SONOTAP_DRAW_SCREEN, &picture_of(b"XR24", 800, 480, &mut pixels)),
            _ => sonotap_step(session.0),
        };
        assert_eq!(status, SONOTAP_E_PANIC, "{place}");
        assert!(last_error().contains(&format!("injected in {place}")), "{}", last_error());
        assert_eq!(session.push(&probe.step()), SONOTAP_E_PANIC, "{place}");
        assert_eq!(poll(session.0).0, SONOTAP_E_PANIC, "{place}");
        assert_eq!(sonotap_tap(session.0, x, y, 1, 1, 0), SONOTAP_E_PANIC, "{place}");
        let handle = session.0;
        assert_eq!(session.close(), SONOTAP_OK, "{place}");
        assert_eq!(poll(handle).0, SONOTAP_E_HANDLE, "{place}");
    }
    assert_eq!(PANICS_LOGGED.load(Ordering::Acquire), 6);
    a_thread_that_panics_is_started_again(&model);
    assert_eq!(PANICS_LOGGED.load(Ordering::Acquire), 7);
    assert_eq!(sonotap_set_log(None, std::ptr::null_mut(), 0), SONOTAP_OK);
}

fn a_thread_that_panics_is_started_again(model: &Model) {
    let session = model.open(&sonotap_config { deadline_us: 10_000_000, ..config() }).unwrap();
    let mut probe = Probe::new(320, 240);
    inject("predict");
    let (mut was_down, mut n) = (false, 0);
    loop {
        n += 1;
        assert!(n < 5_000, "no outline after {n} frames: {}", session.report());
        assert!(session.push(&probe.step()) >= 0);
        if n % 20 == 5 {
            let (x, y) = probe.middle();
            assert_eq!(sonotap_tap(session.0, x, y, 1, 0, 0), SONOTAP_OK);
        }
        sonotap_wait(session.0, 10_000);
        let Some(told) = session.poll() else { continue };
        was_down |= told.notice == SONOTAP_NOTICE_MODEL_FAILED;
        let is_outlined = told.objects > 0 && session.object(0).1.points > 0;
        sonotap_presented(session.0, told.ticket, 0);
        if was_down && is_outlined {
            break;
        }
    }
    assert!(session.report().contains("\"worker_restarts\":1"), "{}", session.report());
}
