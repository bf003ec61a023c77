//! Hosts: threads, callbacks, closing, and what one that forgets is told.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Barrier, mpsc};

use sonotap_capi::*;

use crate::common::*;

#[test]
fn a_threaded_session_outlines_a_cyst_that_is_tapped() {
    let model = Model::bundled();
    let session = model.open(&config()).unwrap();
    let mut probe = Probe::new(320, 240);
    let (mut outlined, mut n) = (0, 0);
    // On the wall's clock, but without a bound on it: frames go on until the model has answered.
    while outlined < 3 {
        n += 1;
        assert!(n < 3_000, "no outline after {n} frames: {}", session.report());
        assert!(session.push(&probe.step()) >= 0);
        if n % 20 == 5 {
            let (x, y) = probe.middle();
            assert_eq!(sonotap_tap(session.0, x, y, 1, 0, 0), SONOTAP_OK);
        }
        assert_eq!(sonotap_wait(session.0, 10_000), SONOTAP_OK);
        while let Some(told) = session.poll() {
            for i in 0..told.objects {
                let (status, object) = session.object(i);
                let is_drawn = [SONOTAP_OVERLAY_EXACT, SONOTAP_OVERLAY_CARRIED].contains(&object.overlay);
                outlined += u32::from(status == SONOTAP_OK && is_drawn && object.points > 0);
            }
            if sonotap_hand_over(session.0, told.ticket) == SONOTAP_OK {
                assert_eq!(sonotap_presented(session.0, told.ticket, 0), SONOTAP_OK);
            }
        }
    }
    assert!(session.report().contains("\"late_under_live\""));
    assert!(sonotap_now_ns(session.0) > 0);
}

#[test]
fn a_second_thread_in_an_owner_function_is_told_so() {
    let model = Model::bundled();
    let session = model.open(&config()).unwrap();
    let handle = session.handle();
    let (inside, may_end) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            inside.wait();
            // Sleeps again until the other thread has seen it.
            while !may_end.load(Ordering::Acquire) {
                sonotap_wait(handle.name(), 1_000_000);
            }
        });
        inside.wait();
        let mut status = SONOTAP_NOTHING_NEW;
        while status == SONOTAP_NOTHING_NEW {
            status = poll(handle.0).0;
        }
        assert_eq!((status, last_error().contains("one thread at a time")), (SONOTAP_E_THREAD, true));
        may_end.store(true, Ordering::Release);
        // From any thread: it ends the wait.
        assert_eq!(sonotap_command(handle.0, SONOTAP_UNDO, 0.0), SONOTAP_OK);
    });
}

#[test]
fn four_threads_that_push_while_it_is_closed_get_statuses() {
    let model = Model::bundled();
    for _ in 0..5 {
        let session = model.open(&config()).unwrap();
        let handle = session.handle();
        let ready = Barrier::new(5);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let ready = &ready;
                scope.spawn(move || {
                    let handle = handle;
                    let pixels = vec![thread; 64 * 48];
                    ready.wait();
                    let mut pushed = 0;
                    let end = loop {
                        let status = push(handle.0, &frame_of(b"GREY", 64, 48, &pixels));
                        if status < 0 {
                            break status;
                        }
                        sonotap_tap(handle.0, 1.0, 1.0, 0, 0, 0);
                        pushed += 1;
                    };
                    assert_eq!(end, SONOTAP_E_HANDLE, "after {pushed} frames: {}", last_error());
                });
            }
            ready.wait();
            let mut polls = 0;
            while polls < 20 {
                polls += u32::from(session.poll().is_some());
            }
            assert_eq!(session.close(), SONOTAP_OK);
        });
        assert_eq!(sonotap_close(handle.0), SONOTAP_E_HANDLE, "closed twice");
    }
}

#[test]
fn closing_ends_a_wait_on_another_thread() {
    let model = Model::bundled();
    let session = model.open(&config()).unwrap();
    let handle = session.handle();
    std::thread::scope(|scope| {
        let (begun, begins) = mpsc::channel();
        let waiter = scope.spawn(move || {
            let handle = handle;
            begun.send(()).unwrap();
            while sonotap_wait(handle.0, 60_000_000) == SONOTAP_OK {}
        });
        begins.recv().unwrap();
        assert_eq!(session.close(), SONOTAP_OK);
        waiter.join().unwrap();
    });
}

static WOKEN: AtomicU32 = AtomicU32::new(0);
static REENTERED: AtomicU32 = AtomicU32::new(0);
static SESSION: AtomicPtr<sonotap_session> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn wake(user: *mut c_void) {
    assert_eq!(user.addr(), 0x51);
    WOKEN.fetch_add(1, Ordering::AcqRel);
    let session = SESSION.load(Ordering::Acquire);
    if !session.is_null() && sonotap_signal_lost(session) == SONOTAP_E_THREAD {
        REENTERED.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn a_host_is_woken_by_frames_taps_and_answers_until_it_closes_and_may_not_call_back() {
    let model = Model::bundled();
    let mut config = stepped();
    config.wake = Some(wake);
    config.wake_user = std::ptr::without_provenance_mut(0x51);
    let session = model.open(&config).unwrap();
    SESSION.store(session.0, Ordering::Release);
    let mut probe = Probe::new(320, 240);
    let since = |before: u32| WOKEN.load(Ordering::Acquire) - before;
    let before = WOKEN.load(Ordering::Acquire);
    sonotap_set_now_ns(session.0, PERIOD_NS);
    assert_eq!(since(before), 1, "the clock");
    session.push(&probe.step());
    assert_eq!(since(before), 2, "a frame");
    session.poll().unwrap();
    let (x, y) = probe.middle();
    sonotap_tap(session.0, x, y, 1, 1, 0);
    assert_eq!(since(before), 3, "a tap");
    session.poll();
    assert_eq!(sonotap_step(session.0), SONOTAP_OK);
    assert_eq!(since(before), 4, "an answer");
    assert_eq!(REENTERED.load(Ordering::Acquire), 4, "functions within a callback are refused");
    let handle = session.0;
    assert_eq!(session.close(), SONOTAP_OK);
    let closed = WOKEN.load(Ordering::Acquire);
    push(handle, &probe.step());
    assert_eq!(WOKEN.load(Ordering::Acquire), closed);
}

#[test]
fn a_picture_that_is_too_late_is_not_handed_over_and_not_drawn() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let told = turn(&session, &probe.step(), PERIOD_NS).unwrap();
    assert_eq!((told.mode, told.signal), (SONOTAP_MODE_LIVE, SONOTAP_SIGNAL_GOOD));
    let mut pixels = vec![1; 800 * 480 * 4];
    let into = picture_of(b"XR24", 800, 480, &mut pixels);
    assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &into), SONOTAP_OK);
    sonotap_set_now_ns(session.0, told.due_ns + 1);
    assert_eq!(sonotap_hand_over(session.0, told.ticket), SONOTAP_LATE);
    assert_eq!(sonotap_hand_over(session.0, told.ticket), SONOTAP_LATE, "the ticket was taken back");
    assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &into), SONOTAP_LATE, "it is not on the screen and not drawn again");
    assert_eq!(session.frame(b"GREY", 320, 240).0, SONOTAP_LATE);
    assert_eq!(sonotap_hand_over(session.0, told.ticket + 1), SONOTAP_E_ARGUMENT, "never given");
    // The next one is drawn too late.
    let told = turn(&session, &probe.step(), told.due_ns + PERIOD_NS).unwrap();
    sonotap_set_now_ns(session.0, told.due_ns + 1);
    pixels.fill(1);
    let into = picture_of(b"XR24", 800, 480, &mut pixels);
    assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &into), SONOTAP_LATE);
    assert!(pixels.iter().all(|&p| p == 1), "nothing is painted");
    assert_eq!(sonotap_presented(session.0, told.ticket, 0), SONOTAP_LATE);
    assert!(session.report().contains("\"past_deadline\":2"), "{}", session.report());
}

#[test]
fn a_host_that_never_reports_is_told_delayed_then_too_slow_without_outlines() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let mut signals = Vec::new();
    for n in 1..=14 {
        let frame = probe.step();
        if n == 2 {
            let (x, y) = probe.middle();
            sonotap_tap(session.0, x, y, 1, n - 1, 0);
        }
        let Some(told) = turn(&session, &frame, n * PERIOD_NS) else { continue };
        signals.push(told.signal);
        if told.signal == SONOTAP_SIGNAL_LATE && told.objects > 0 {
            let (status, object) = session.object(0);
            assert_eq!((status, object.points, object.overlay), (SONOTAP_OK, 0, SONOTAP_OVERLAY_HIDDEN));
            assert_eq!(object.reason, SONOTAP_HIDDEN_NO_SIGNAL);
        }
    }
    signals.dedup();
    assert_eq!(signals, [SONOTAP_SIGNAL_GOOD, SONOTAP_SIGNAL_DELAYED, SONOTAP_SIGNAL_LATE]);
}

#[test]
fn a_scene_that_nobody_polled_for_is_not_read_as_live() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let told = turn(&session, &probe.step(), PERIOD_NS).unwrap();
    assert_eq!(sonotap_presented(session.0, told.ticket, 0), SONOTAP_OK);
    assert_eq!(session.frame(b"GREY", 320, 240).0, SONOTAP_OK, "it is on the screen and may be drawn again");
    sonotap_set_now_ns(session.0, 5 * PERIOD_NS);
    assert_eq!(session.frame(b"GREY", 320, 240).0, SONOTAP_LATE);
    assert_eq!(session.poll().unwrap().signal, SONOTAP_SIGNAL_MISSING);
    assert_eq!(session.frame(b"GREY", 320, 240).0, SONOTAP_OK, "it says NO SIGNAL now");
}

#[test]
fn from_a_new_exam_on_no_picture_of_the_one_before_is_handed_over() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let told = turn(&session, &probe.step(), PERIOD_NS).unwrap();
    let (x, y) = probe.middle();
    sonotap_tap(session.0, x, y, 1, 1, 0);
    session.push(&probe.step());
    assert_eq!(sonotap_new_exam(session.0), SONOTAP_OK);
    assert_eq!(sonotap_hand_over(session.0, told.ticket), SONOTAP_LATE);
    assert_eq!(session.frame(b"GREY", 320, 240).0, SONOTAP_LATE);
    assert!(session.poll().is_none(), "neither the frame that waited nor the tap");
    let told = turn(&session, &probe.step(), 2 * PERIOD_NS).unwrap();
    assert_eq!((told.objects, told.can_undo), (0, 0));
}

#[test]
fn a_lost_signal_is_shown_at_once_and_a_frame_ends_it() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let told = turn(&session, &probe.step(), PERIOD_NS).unwrap();
    sonotap_presented(session.0, told.ticket, 0);
    assert_eq!(sonotap_signal_lost(session.0), SONOTAP_OK);
    assert_eq!(session.poll().unwrap().signal, SONOTAP_SIGNAL_MISSING);
    let told = turn(&session, &probe.step(), 2 * PERIOD_NS).unwrap();
    assert_eq!(told.signal, SONOTAP_SIGNAL_GOOD);
}

#[test]
fn controls_of_our_screen_are_pressed_by_contacts() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let told = turn(&session, &probe.step(), PERIOD_NS).unwrap();
    let mut pixels = vec![0; 800 * 480 * 4];
    assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &picture_of(b"AR24", 800, 480, &mut pixels)), SONOTAP_OK);
    assert!(pixels.chunks_exact(4).all(|p| p[3] == 255), "opaque");
    sonotap_presented(session.0, told.ticket, 0);
    let layout = sonotap::overlay::Layout::new((800, 480), 133.0, Default::default()).unwrap();
    let freeze = layout.place(sonotap::overlay::Control::Freeze).unwrap().centre();
    for (phase, ms) in [(SONOTAP_CONTACT_DOWN, 40), (SONOTAP_CONTACT_UP, 120)] {
        sonotap_set_now_ns(session.0, ms * 1_000_000);
        assert_eq!(sonotap_contact(session.0, phase, 0, freeze.x, freeze.y, 0.0, 0), SONOTAP_OK);
        session.poll();
    }
    sonotap_set_now_ns(session.0, 900_000_000);
    session.poll();
    sonotap_set_now_ns(session.0, 901_000_000);
    sonotap_command(session.0, SONOTAP_CYCLE_FILL, 0.0);
    let told = session.poll().unwrap();
    assert_eq!((told.mode, told.cine_len, told.fill), (SONOTAP_MODE_FROZEN, 1, 25));
}

#[test]
fn a_model_from_memory_is_the_model_from_its_folder() {
    let read = |name: &str| std::fs::read(bundled().join(name)).unwrap();
    let names = ["manifest.toml", "encoder.onnx", "decoder.onnx", "MODEL_CARD.md"];
    let files: Vec<Vec<u8>> = names.map(read).into();
    let blobs: Vec<(&str, &[u8])> = names.iter().zip(&files).map(|(n, b)| (*n, &b[..])).collect();
    let (folder, memory) = (Model::bundled(), Model::of_memory(&blobs).unwrap());
    assert_eq!(folder.describe(), memory.describe());
    assert!(folder.describe().contains("\"licence\""), "{}", folder.describe());
    let (status, text) = Model::of_memory(&blobs[..3]).err().unwrap();
    assert!(status == SONOTAP_E_IO && text.contains("MODEL_CARD.md"), "{status}: {text}");
    let mut changed = files[1].clone();
    changed[500_000] ^= 1;
    let (status, text) = Model::of_memory(&[blobs[0], ("encoder.onnx", &changed), blobs[2], blobs[3]]).err().unwrap();
    assert!(status == SONOTAP_E_MODEL && text.contains("SHA-256"), "{status}: {text}");
}

#[test]
fn a_session_keeps_a_model_that_was_freed_and_more_sessions_have_their_own() {
    let model = Model::bundled();
    let (one, two) = (model.open(&stepped()).unwrap(), model.open(&stepped()).unwrap());
    drop(model);
    for session in [one, two] {
        let mut probe = Probe::new(320, 240);
        let mut outlined = false;
        for n in 1..=6 {
            let frame = probe.step();
            if n == 2 {
                let (x, y) = probe.middle();
                sonotap_tap(session.0, x, y, 1, 0, 0);
            }
            let Some(told) = turn(&session, &frame, n * PERIOD_NS) else { continue };
            outlined |= told.objects == 1 && session.object(0).1.points > 0;
            sonotap_presented(session.0, told.ticket, 0);
        }
        assert!(outlined);
    }
}
