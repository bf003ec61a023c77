//! Hosts that are wrong get statuses, and what was wrong as text.

use std::ptr::{null, null_mut};

use sonotap_capi::*;

use crate::common::*;

#[test]
fn null_is_refused_everywhere() {
    let (model, mut made, mut needed) = (Model::bundled(), null_mut(), 0usize);
    let session = model.open(&stepped()).unwrap();
    let s = session.0;
    // SAFETY: NULL is what the functions are to refuse; all else lives until they return.
    let statuses = unsafe {
        [
            ("folder path", sonotap_model_from_folder(null(), &mut made)),
            ("folder out", sonotap_model_from_folder(c"x".as_ptr(), null_mut())),
            ("memory files", sonotap_model_from_memory(null(), 3, &mut made)),
            ("memory out", sonotap_model_from_memory(null(), 0, null_mut())),
            ("describe", sonotap_model_describe(model.0, null_mut(), 1 << 20, &mut needed)),
            ("open out", sonotap_open(model.0, null(), null_mut())),
            ("frame", sonotap_push_frame(s, null(), null_mut())),
            ("plane", sonotap_push_frame(s, &frame_of(b"GREY", 8, 8, &[]).without_plane(), null_mut())),
            ("scene", sonotap_poll(s, null_mut())),
            ("object", sonotap_get_object(s, 0, null_mut())),
            ("marker", sonotap_get_marker(s, 0, 0, null_mut())),
            ("mask", sonotap_get_mask(s, 0, null())),
            ("get frame", sonotap_get_frame(s, null())),
            ("draw", sonotap_draw(s, 1, null())),
            ("report", sonotap_report(s, null_mut(), 1 << 20, &mut needed)),
        ]
    };
    for (what, status) in statuses {
        assert_eq!(status, SONOTAP_E_ARGUMENT, "{what}: {}", last_error());
    }
    let none: *mut sonotap_session = null_mut();
    // SAFETY: as above.
    let handles = unsafe {
        [
            sonotap_model_describe(null(), null_mut(), 0, &mut needed),
            sonotap_model_free(null_mut()),
            sonotap_open(null(), null(), &mut none.clone()),
            sonotap_close(none),
            sonotap_set_now_ns(none, 1),
            sonotap_push_frame(none, &frame_of(b"GREY", 8, 8, &[0; 64]), null_mut()),
            sonotap_signal_lost(none),
            sonotap_tap(none, 1.0, 1.0, 0, 0, 0),
            sonotap_box(none, 1.0, 1.0, 2.0, 2.0, 0, 0),
            sonotap_command(none, 1, 0.0),
            sonotap_contact(none, 0, 0, 1.0, 1.0, 0.0, 0),
            sonotap_new_exam(none),
            sonotap_wait(none, 0),
            sonotap_step(none),
            sonotap_hand_over(none, 1),
            sonotap_presented(none, 1, 0),
            sonotap_withheld(none, 1),
        ]
    };
    assert!(handles.iter().all(|&s| s == SONOTAP_E_HANDLE), "{handles:?}");
    assert_eq!((sonotap_now_ns(none), last_error().contains("got NULL")), (0, true));
}

trait WithoutPlane {
    fn without_plane(self) -> Self;
}

impl WithoutPlane for sonotap_frame {
    fn without_plane(mut self) -> Self {
        self.plane = [null(); 2];
        self
    }
}

#[test]
fn frames_that_cannot_be_are_refused_with_the_reason_and_the_next_good_one_is_taken() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    sonotap_set_now_ns(session.0, 60_000_000_000);
    let pixels = vec![9; 64 * 64];
    let good = || sonotap_frame { content: SONOTAP_CONTENT_BMODE, ..frame_of(b"GREY", 64, 64, &pixels) };
    let region = |x: f32, w: f32| sonotap_frame { region: sonotap_rect { x, y: 0.0, w, h: 64.0 }, ..good() };
    let wrong = [
        (sonotap_frame { fourcc: fourcc(b"H264"), ..good() }, SONOTAP_E_UNSUPPORTED, "H264"),
        (sonotap_frame { fourcc: fourcc(b"NM12"), ..good() }, SONOTAP_E_UNSUPPORTED, "NV12"),
        (sonotap_frame { fourcc: 0, ..good() }, SONOTAP_E_UNSUPPORTED, "GREY"),
        (sonotap_frame { width: 0, ..good() }, SONOTAP_E_ARGUMENT, "0x64"),
        (sonotap_frame { width: u32::MAX, height: u32::MAX, ..good() }, SONOTAP_E_ARGUMENT, "16384"),
        (sonotap_frame { height: 65, ..good() }, SONOTAP_E_FORMAT, "4160"),
        (sonotap_frame { stride: [63, 0], ..good() }, SONOTAP_E_ARGUMENT, "stride[0]"),
        (sonotap_frame { stride: [u32::MAX, 0], ..good() }, SONOTAP_E_FORMAT, "expected"),
        (sonotap_frame { plane: [pixels.as_ptr(); 2], ..good() }, SONOTAP_E_UNSUPPORTED, "plane[1]"),
        (sonotap_frame { plane_bytes: [usize::MAX, 0], ..good() }, SONOTAP_E_ARGUMENT, "plane[0]"),
        (sonotap_frame { fourcc: fourcc(b"YUYV"), ..good() }, SONOTAP_E_FORMAT, "8192"),
        (sonotap_frame { fourcc: fourcc(b"MJPG"), ..good() }, SONOTAP_E_FORMAT, "JPEG"),
        (region(3.0, 0.4), SONOTAP_E_ARGUMENT, "region"),
        (region(-1.0, 64.0), SONOTAP_E_ARGUMENT, "region"),
        (region(f32::NAN, 64.0), SONOTAP_E_ARGUMENT, "region"),
        (sonotap_frame { mm_per_px_x: 0.1, ..good() }, SONOTAP_E_ARGUMENT, "mm_per_px"),
        (sonotap_frame { mm_per_px_x: -0.1, mm_per_px_y: 0.1, ..good() }, SONOTAP_E_ARGUMENT, "mm_per_px"),
        (sonotap_frame { mm_per_px_x: f32::NAN, mm_per_px_y: 0.1, ..good() }, SONOTAP_E_ARGUMENT, "mm_per_px"),
        (sonotap_frame { content: 7, ..good() }, SONOTAP_E_ARGUMENT, "content"),
        (sonotap_frame { scale_source: 4, ..good() }, SONOTAP_E_ARGUMENT, "scale_source"),
        (sonotap_frame { time_kind: 4, ..good() }, SONOTAP_E_ARGUMENT, "time_kind"),
        (sonotap_frame { time_kind: 1, time_ns: 99_000_000_000, ..good() }, SONOTAP_E_ARGUMENT, "capture time"),
        (sonotap_frame { time_kind: 2, time_ns: 10_000_000_001, ..good() }, SONOTAP_E_ARGUMENT, "capture time"),
        (sonotap_frame { reserved: 1, ..good() }, SONOTAP_E_ARGUMENT, "reserved"),
        (sonotap_frame { struct_size: 7, ..good() }, SONOTAP_E_ARGUMENT, "struct_size"),
        (sonotap_frame { struct_size: 5_000, ..good() }, SONOTAP_E_ARGUMENT, "struct_size"),
    ];
    for (i, (frame, expected, words)) in wrong.iter().enumerate() {
        let status = session.push(frame);
        assert_eq!(status, *expected, "{i}: {}", last_error());
        assert!(last_error().contains(words), "{i}: {}", last_error());
    }
    assert!(session.poll().is_none());
    assert_eq!(session.push(&good()), SONOTAP_OK);
    assert_eq!(session.poll().unwrap().frame_id, 1);
    assert_eq!(session.push(&good()), SONOTAP_OK);
    assert_eq!(session.push(&good()), SONOTAP_REPLACED);
}

/// A structure as a host has it that was built with another header.
#[repr(C)]
struct Newer {
    config: sonotap_config,
    beyond: [u64; 3],
}

#[test]
fn structures_of_an_older_and_of_a_newer_header_are_taken_while_they_mean_the_same() {
    let model = Model::bundled();
    let mut newer = Newer { config: stepped(), beyond: [0; 3] };
    newer.config.struct_size = size_of::<Newer>() as u32;
    let open = |newer: &Newer| {
        let mut session = null_mut();
        // SAFETY: a structure of the size that it states, and a place for a handle.
        let status = unsafe { sonotap_open(model.0, (&raw const *newer).cast(), &mut session) };
        if status == SONOTAP_OK {
            assert_eq!(sonotap_close(session), SONOTAP_OK);
        }
        status
    };
    assert_eq!(open(&newer), SONOTAP_OK);
    newer.beyond[1] = 1;
    assert_eq!(open(&newer), SONOTAP_E_ARGUMENT);
    assert!(last_error().contains("the header is newer"), "{}", last_error());
    // Only the first fields are known to an older header: what is beyond them is not read.
    newer.config.struct_size = 16;
    newer.config.screen_dpi = f32::NAN;
    assert_eq!(open(&newer), SONOTAP_OK);

    let session = model.open(&stepped()).unwrap();
    sonotap_set_now_ns(session.0, PERIOD_NS);
    session.push(&frame_of(b"GREY", 32, 32, &[7; 1024]));
    let mut told = sonotap_scene { struct_size: 24, width: 77, ..scene() };
    // SAFETY: a structure of more than the size that it states.
    assert_eq!(unsafe { sonotap_poll(session.0, &mut told) }, SONOTAP_OK);
    assert_eq!((told.struct_size, told.ticket, told.width), (24, 1, 77), "nothing is written beyond the host's size");
}

#[test]
fn commands_and_taps_that_cannot_be_are_refused_and_the_mailbox_has_an_end() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let s = session.0;
    let wrong = [
        sonotap_tap(s, f32::NAN, 1.0, 0, 0, 0),
        sonotap_tap(s, 1.0, 1.0, 2, 0, 0),
        sonotap_box(s, 1.0, f32::INFINITY, 2.0, 2.0, 0, 0),
        sonotap_command(s, 0, 0.0),
        sonotap_command(s, SONOTAP_EASE + 1, 0.0),
        sonotap_command(s, SONOTAP_SCRUB, 1.5),
        sonotap_command(s, SONOTAP_SCRUB, f32::NAN),
        sonotap_command(s, SONOTAP_SELECT, 4.0),
        sonotap_command(s, SONOTAP_SELECT, 0.5),
        sonotap_command(s, SONOTAP_HIDE_OVERLAY, 2.0),
        sonotap_contact(s, 4, 0, 1.0, 1.0, 0.0, 0),
        sonotap_contact(s, 0, 256, 1.0, 1.0, 0.0, 0),
        sonotap_contact(s, 0, 0, 1.0, f32::NAN, 0.0, 0),
    ];
    assert!(wrong.iter().all(|&s| s == SONOTAP_E_ARGUMENT), "{wrong:?}");
    for _ in 0..64 {
        assert_eq!(sonotap_tap(s, 1.0, 1.0, 0, 0, 0), SONOTAP_OK);
    }
    assert_eq!(sonotap_command(s, SONOTAP_UNDO, 0.0), SONOTAP_E_FULL);
    assert_eq!(sonotap_new_exam(s), SONOTAP_OK, "this is never left out");
    assert_eq!(sonotap_command(s, SONOTAP_UNDO, 0.0), SONOTAP_OK);
    session.poll();
    assert_eq!(sonotap_tap(s, 1.0, 1.0, 0, 0, 0), SONOTAP_OK);
    assert_eq!(sonotap_set_now_ns(s, 5), SONOTAP_OK);
    assert_eq!(sonotap_set_now_ns(s, 4), SONOTAP_E_ARGUMENT, "time does not run backwards");
}

#[test]
fn settings_and_pictures_that_cannot_be_are_refused() {
    let model = Model::bundled();
    let one = sonotap_rect::default();
    let wrong = [
        (sonotap_config { flags: 1 << 20, ..stepped() }, SONOTAP_E_CONFIG, "flags"),
        (sonotap_config { period_us: 999, ..stepped() }, SONOTAP_E_CONFIG, "period_us"),
        (sonotap_config { deadline_us: 10_000_001, ..stepped() }, SONOTAP_E_CONFIG, "deadline_us"),
        (sonotap_config { refresh_us: 1, ..stepped() }, SONOTAP_E_CONFIG, "refresh_us"),
        (sonotap_config { screen_dpi: 10.0, ..stepped() }, SONOTAP_E_CONFIG, "screen_dpi"),
        (sonotap_config { reserved: 1, ..stepped() }, SONOTAP_E_CONFIG, "reserved"),
        (sonotap_config { keep_out_count: 1, ..stepped() }, SONOTAP_E_ARGUMENT, "keep_outs"),
        (sonotap_config { keep_outs: &one, keep_out_count: 17, ..stepped() }, SONOTAP_E_ARGUMENT, "keep_outs"),
        (sonotap_config { preset: c"kidny".as_ptr(), ..stepped() }, SONOTAP_E_ARGUMENT, "kidney"),
        (sonotap_config { preset: c"\xff".as_ptr(), ..stepped() }, SONOTAP_E_ARGUMENT, "UTF-8"),
        (sonotap_config { memory_max_bytes: 1 << 20, ..stepped() }, SONOTAP_E_MEMORY, "memory_max_bytes"),
    ];
    for (i, (config, expected, words)) in wrong.iter().enumerate() {
        let (status, text) = model.open(config).err().unwrap();
        assert!(status == *expected && text.contains(words), "{i}: {status}: {text}");
    }
    let session = model.open(&sonotap_config { preset: c"kidney".as_ptr(), ..stepped() }).unwrap();
    let mut pixels = vec![0; 800 * 480 * 4];
    let good = picture_of(b"XR24", 800, 480, &mut pixels);
    assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &good), SONOTAP_E_CONFIG, "before the first scene");
    sonotap_set_now_ns(session.0, PERIOD_NS);
    let grey = [7; 1024];
    session.push(&frame_of(b"GREY", 32, 32, &grey));
    session.poll().unwrap();
    let place = |x: f32, w: f32| sonotap_rect { x, y: 0.0, w, h: 100.0 };
    let wrong = [
        (1, sonotap_picture { fourcc: fourcc(b"YUYV"), ..good }, SONOTAP_E_UNSUPPORTED),
        (1, sonotap_picture { fourcc: fourcc(b"GREY"), ..good }, SONOTAP_E_UNSUPPORTED),
        (1, sonotap_picture { width: 0, ..good }, SONOTAP_E_ARGUMENT),
        (1, sonotap_picture { height: 481, ..good }, SONOTAP_E_ARGUMENT),
        (1, sonotap_picture { stride: 3_199, ..good }, SONOTAP_E_ARGUMENT),
        (1, sonotap_picture { width: 20, height: 20, ..good }, SONOTAP_E_ARGUMENT),
        (3, good, SONOTAP_E_ARGUMENT),
        (2, sonotap_picture { place: place(-1.0, 100.0), ..good }, SONOTAP_E_ARGUMENT),
        (2, sonotap_picture { place: place(750.0, 100.0), ..good }, SONOTAP_E_ARGUMENT),
        (2, sonotap_picture { place: place(f32::NAN, 100.0), ..good }, SONOTAP_E_ARGUMENT),
        (2, sonotap_picture { place: place(0.0, 3.0), ..good }, SONOTAP_E_ARGUMENT),
        (2, sonotap_picture { dpi: 3.0, ..good }, SONOTAP_E_ARGUMENT),
    ];
    for (i, (what, picture, expected)) in wrong.iter().enumerate() {
        assert_eq!(session.draw(*what, picture), *expected, "{i}: {}", last_error());
    }
    assert_eq!(session.mask(0, 32, 32).0, SONOTAP_E_ARGUMENT, "there is no object");
    assert_eq!(session.frame(b"RGB3", 32, 31).0, SONOTAP_E_ARGUMENT);
    let (status, rgb) = session.frame(b"RGB3", 32, 32);
    assert!(status == SONOTAP_OK && rgb.iter().all(|&v| v == 7));
    assert_eq!(sonotap_step(model.open(&config()).unwrap().0), SONOTAP_E_CONFIG);
    assert_eq!(sonotap_set_now_ns(model.open(&config()).unwrap().0, 1), SONOTAP_E_CONFIG);
}

#[test]
fn every_status_has_its_own_name_and_every_kind_of_error_a_status() {
    let name = |status: i32| {
        // SAFETY: a text that stays.
        unsafe { std::ffi::CStr::from_ptr(sonotap_status_name(status)) }.to_str().unwrap()
    };
    let names: std::collections::BTreeSet<&str> = (-12..=5).map(name).collect();
    assert_eq!((names.len(), name(-13), name(6)), (18, "UNKNOWN", "UNKNOWN"));
    // SAFETY: a text that stays.
    let version = unsafe { std::ffi::CStr::from_ptr(sonotap_version()) };
    assert_eq!(version.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!(sonotap_abi(), SONOTAP_ABI);
    let (status, text) = Model::of_folder(std::path::Path::new("/nowhere")).err().unwrap();
    assert!(status == SONOTAP_E_IO && text.contains("/nowhere") && text.contains("manifest.toml"), "{text}");
    let mut cut = [1u8; 8];
    // SAFETY: the buffer has its length.
    assert!(unsafe { sonotap_last_error(cut.as_mut_ptr().cast(), cut.len()) } > 8);
    assert_eq!(&cut, b"/nowher\0");
}
