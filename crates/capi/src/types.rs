//! Numbers and structures of the header.

use std::ffi::{c_char, c_void};

/// ABI of this header. Functions and fields are only added under the same number; the number changes with the SONAME.
pub const SONOTAP_ABI: u32 = 0;

/// An outcome (>= 0) or an error (< 0). Numbers are never reused.
pub type sonotap_status = i32;

/// Done.
pub const SONOTAP_OK: sonotap_status = 0;
/// There is nothing to draw (poll) or to compute (step).
pub const SONOTAP_NOTHING_NEW: sonotap_status = 1;
/// Done; the frame before was not taken yet, and was dropped and counted.
pub const SONOTAP_REPLACED: sonotap_status = 2;
/// The buffer is too small: the size needed is told, nothing else is written.
pub const SONOTAP_MORE: sonotap_status = 3;
/// Too late: do not show this picture. It counts as dropped. Poll again.
pub const SONOTAP_LATE: sonotap_status = 4;
/// All memory for frames is in use; the frame was left out, and counted.
pub const SONOTAP_NO_ROOM: sonotap_status = 5;
/// An argument cannot be: NULL, a size, a number that is not finite, a structure of a newer header.
pub const SONOTAP_E_ARGUMENT: sonotap_status = -1;
/// A file could not be read.
pub const SONOTAP_E_IO: sonotap_status = -2;
/// Bytes are not what they should be: a plane too short, a broken JPEG.
pub const SONOTAP_E_FORMAT: sonotap_status = -3;
/// A kind that is not handled, such as an unknown fourcc.
pub const SONOTAP_E_UNSUPPORTED: sonotap_status = -4;
/// A setting cannot be, or the session was opened without what the call needs.
pub const SONOTAP_E_CONFIG: sonotap_status = -5;
/// The model is incomplete, was changed, or computes something else than its manifest says.
pub const SONOTAP_E_MODEL: sonotap_status = -6;
/// The system has no more of it: no thread.
pub const SONOTAP_E_UNAVAILABLE: sonotap_status = -7;
/// An [owner] function while another thread is in one, or any function from within a callback.
pub const SONOTAP_E_THREAD: sonotap_status = -8;
/// A defect of this library. The handle answers only this from now on; close it.
pub const SONOTAP_E_PANIC: sonotap_status = -9;
/// 64 taps and commands wait: nobody polls. Nothing was taken.
pub const SONOTAP_E_FULL: sonotap_status = -10;
/// The handle was closed, or never was one.
pub const SONOTAP_E_HANDLE: sonotap_status = -11;
/// It would need more than memory_max_bytes.
pub const SONOTAP_E_MEMORY: sonotap_status = -12;

/// A model: copies of its files, checked.
pub struct sonotap_model {
    _name: [u8; 0],
}

/// A session: one live picture, its taps and its outlines.
pub struct sonotap_session {
    _name: [u8; 0],
}

/// Called with a line of the log, from any thread. level: 1 error, 2 warning, 3 information. No patient data is logged.
pub type sonotap_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, text: *const c_char)>;

/// Called when there may be something to poll, on the thread that caused it: one that pushes or commands, or the session's own.
/// It must return at once.
pub type sonotap_wake_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A file of a model in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sonotap_blob {
    /// Its plain name, UTF-8: manifest.toml, and those that the manifest names.
    pub name: *const c_char,
    /// Its bytes.
    pub bytes: *const c_void,
    /// Their number.
    pub len: usize,
}

/// A place, image px: x to the right, y down, the centre of the first pixel is (0.5, 0.5).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct sonotap_point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// A rectangle from its upper left corner.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct sonotap_rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// No thread of its own: sonotap_step computes predictions.
pub const SONOTAP_STEPPED: u32 = 1;
/// Time is what sonotap_set_now_ns says, from 0: for replays and simulations. Deadlines then mean nothing on the wall's clock.
pub const SONOTAP_HOST_CLOCK: u32 = 2;
/// Frames are kept in grey, which is faster; sonotap's screen shows them in grey, and colour flow is not seen as such.
pub const SONOTAP_GREY: u32 = 4;
/// sonotap_draw swaps left and right.
pub const SONOTAP_MIRRORED: u32 = 8;
/// sonotap_draw's screen has its controls on the left.
pub const SONOTAP_LEFT_HANDED: u32 = 16;

/// Settings of a session. 0 is the default everywhere.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sonotap_config {
    /// sizeof(sonotap_config).
    pub struct_size: u32,
    /// SONOTAP_STEPPED and others, or-ed.
    pub flags: u32,
    /// From frame to frame, 1,000 to 10,000,000; 33,333.
    pub period_us: u32,
    /// Greatest age of a live frame when it is at the glass; one period.
    pub deadline_us: u32,
    /// Refresh period of a display that shows pictures at its refresh; 0 for one that shows them as they are handed over.
    pub refresh_us: u32,
    /// Largest frame that will be pushed, used with memory_max_bytes; 1280 x 960.
    pub frame_width_max: u32,
    /// The same, height.
    pub frame_height_max: u32,
    /// Number of keep_outs, at most 16.
    pub keep_out_count: u32,
    /// Size of the pictures for SONOTAP_DRAW_SCREEN; 800 x 480.
    pub screen_width: u32,
    /// The same, height.
    pub screen_height: u32,
    /// Their px per inch; 133.
    pub screen_dpi: f32,
    /// 0.
    pub reserved: u32,
    /// Memory for frozen and reviewed frames; 32 MiB, less where memory_max_bytes asks for it.
    pub cine_bytes: u64,
    /// Heap of this session at most; no limit. Open refuses what cannot be held, and push a larger frame.
    pub memory_max_bytes: u64,
    /// Parts of the frame that are never painted over, image px; copied.
    pub keep_outs: *const sonotap_rect,
    /// What will be outlined: a bundled preset's name or the path of a file; copied. NULL for none.
    pub preset: *const c_char,
    /// Something may be polled. NULL for none.
    pub wake: sonotap_wake_fn,
    /// Its argument.
    pub wake_user: *mut c_void,
}

/// Captured as it is pushed.
pub const SONOTAP_TIME_NOW: u32 = 0;
/// time_ns is on the clock of sonotap_now_ns.
pub const SONOTAP_TIME_SESSION: u32 = 1;
/// time_ns is the age: captured so long before it is pushed. The best choice with a driver's stamps.
pub const SONOTAP_TIME_AGE: u32 = 2;
/// time_ns is on a clock of the host's own, of any origin; related to the session's by the smallest delay of the last seconds.
pub const SONOTAP_TIME_HOST: u32 = 3;

/// Nobody said: outlined, never in millimetres.
pub const SONOTAP_CONTENT_UNKNOWN: u32 = 0;
/// Tissue in grey.
pub const SONOTAP_CONTENT_BMODE: u32 = 1;
/// Tissue in grey with coloured flow over part of it.
pub const SONOTAP_CONTENT_BMODE_COLOUR: u32 = 2;
/// Colour flow that hides which is which: not outlined.
pub const SONOTAP_CONTENT_COLOUR: u32 = 3;
/// A Doppler spectrum: not outlined.
pub const SONOTAP_CONTENT_SPECTRUM: u32 = 4;
/// An M-mode trace: not outlined.
pub const SONOTAP_CONTENT_MMODE: u32 = 5;
/// Another trace, such as an ECG: not outlined.
pub const SONOTAP_CONTENT_TRACE: u32 = 6;

/// The scale is the device's own.
pub const SONOTAP_SCALE_DEVICE: u32 = 0;
/// It is from a DICOM file's regions.
pub const SONOTAP_SCALE_DICOM: u32 = 1;
/// The operator gave it between two points.
pub const SONOTAP_SCALE_TWO_POINT: u32 = 2;
/// A simulation knows it.
pub const SONOTAP_SCALE_PHANTOM: u32 = 3;

/// A frame to be pushed. It is copied during the call; nobody may write to it meanwhile.
///
/// fourcc, of V4L2: GREY, Y16 (16 bits, upper byte used), YUYV, UYVY, NV12, NV16, YU12, P010, RGB3, BGR3, XR24 (B, G, R, x), BX24
/// (x, R, G, B), MJPG. Chroma planes follow luma in plane[0] with its stride (half of it in YU12); for NV12 they may be in plane[1].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sonotap_frame {
    /// sizeof(sonotap_frame).
    pub struct_size: u32,
    /// How pixels are stored: SONOTAP_FOURCC('G','R','E','Y') and others, above.
    pub fourcc: u32,
    /// px, 1 to 16,384.
    pub width: u32,
    /// px, 1 to 16,384.
    pub height: u32,
    /// Bytes from one row to the next of each plane; 0 for dense rows.
    pub stride: [u32; 2],
    /// The planes; the second may be NULL.
    pub plane: [*const u8; 2],
    /// Their bytes.
    pub plane_bytes: [usize; 2],
    /// The host's number of the frame, carried along and never used.
    pub host_id: u64,
    /// When it was captured, as time_kind says.
    pub time_ns: u64,
    /// SONOTAP_TIME_...
    pub time_kind: u32,
    /// SONOTAP_CONTENT_...
    pub content: u32,
    /// Size of a pixel; 0 and 0 when it is not known: then there are no millimetres.
    pub mm_per_px_x: f32,
    /// The same along y.
    pub mm_per_px_y: f32,
    /// SONOTAP_SCALE_...: who says so. It is shown beside measurements.
    pub scale_source: u32,
    /// Of luma and chroma formats: 0 for 16..235, 1 for 0..255.
    pub is_full_range: u32,
    /// Of luma and chroma formats: 0 for ITU-R BT.601, 1 for BT.709.
    pub is_bt709: u32,
    /// 0.
    pub reserved: u32,
    /// The part that shows the patient, image px; 0 x 0 for all of it.
    pub region: sonotap_rect,
}

/// Take back the last edit.
pub const SONOTAP_UNDO: u32 = 1;
/// Make it again.
pub const SONOTAP_REDO: u32 = 2;
/// Clear the active object; if it is empty, all objects.
pub const SONOTAP_CLEAR: u32 = 3;
/// Freeze, or go live.
pub const SONOTAP_TOGGLE_FREEZE: u32 = 4;
/// Freeze the frame on the screen.
pub const SONOTAP_FREEZE: u32 = 5;
/// Go live.
pub const SONOTAP_UNFREEZE: u32 = 6;
/// One frame back, while frozen.
pub const SONOTAP_STEP_BACK: u32 = 7;
/// One frame forward, while frozen.
pub const SONOTAP_STEP_FORWARD: u32 = 8;
/// To a place in the cine ring, while frozen; argument: 0 the oldest to 1 the newest frame.
pub const SONOTAP_SCRUB: u32 = 9;
/// Make the first empty object active.
pub const SONOTAP_NEW_OBJECT: u32 = 10;
/// Make an object active; argument: 0 to 3.
pub const SONOTAP_SELECT: u32 = 11;
/// The next taps include.
pub const SONOTAP_TOOL_INCLUDE: u32 = 12;
/// The next taps exclude.
pub const SONOTAP_TOOL_EXCLUDE: u32 = 13;
/// The next fill level.
pub const SONOTAP_CYCLE_FILL: u32 = 14;
/// Hide the overlay while argument is 1, show it again with 0.
pub const SONOTAP_HIDE_OVERLAY: u32 = 15;
/// Show the next outline of a lone tap.
pub const SONOTAP_NEXT_CANDIDATE: u32 = 16;
/// The device is hot: with argument 1 only every second frame gets a prediction, and the screen says so; 0 ends it.
pub const SONOTAP_EASE: u32 = 17;

/// A finger went down.
pub const SONOTAP_CONTACT_DOWN: u32 = 0;
/// It moved.
pub const SONOTAP_CONTACT_MOVE: u32 = 1;
/// It went up.
pub const SONOTAP_CONTACT_UP: u32 = 2;
/// The device withdrew it.
pub const SONOTAP_CONTACT_CANCEL: u32 = 3;

/// The newest frame.
pub const SONOTAP_MODE_LIVE: u32 = 0;
/// A frame that the operator froze.
pub const SONOTAP_MODE_FROZEN: u32 = 1;
/// Another frame of the cine ring.
pub const SONOTAP_MODE_REVIEW: u32 = 2;

/// New pictures come, in time. Only now may a screen say LIVE.
pub const SONOTAP_SIGNAL_GOOD: u32 = 0;
/// No picture for more than three periods: say NO SIGNAL. No outlines.
pub const SONOTAP_SIGNAL_MISSING: u32 = 1;
/// The same picture again and again: say NO NEW IMAGE. No outlines.
pub const SONOTAP_SIGNAL_REPEATING: u32 = 2;
/// The picture before was late: say DELAYED.
pub const SONOTAP_SIGNAL_DELAYED: u32 = 3;
/// Pictures are late: say TOO SLOW. No outlines.
pub const SONOTAP_SIGNAL_LATE: u32 = 4;

/// Nothing to tell.
pub const SONOTAP_NOTICE_NONE: u32 = 0;
/// Tap the structure to outline it.
pub const SONOTAP_NOTICE_TAP_TO_START: u32 = 1;
/// The object was lost (notice_reason): tap it again.
pub const SONOTAP_NOTICE_TAP_AGAIN: u32 = 2;
/// The score is low: add a point.
pub const SONOTAP_NOTICE_ADD_POINT: u32 = 3;
/// A closer view of the tap found another outline, which took the place of the first.
pub const SONOTAP_NOTICE_OUTLINE_CHANGED: u32 = 4;
/// The tap was outside the image.
pub const SONOTAP_NOTICE_OUTSIDE_IMAGE: u32 = 5;
/// No more points fit: undo or clear.
pub const SONOTAP_NOTICE_PROMPTS_FULL: u32 = 6;
/// All objects are in use.
pub const SONOTAP_NOTICE_OBJECTS_FULL: u32 = 7;
/// The frame that was tapped is gone from memory.
pub const SONOTAP_NOTICE_FRAME_GONE: u32 = 8;
/// The picture is not B-mode.
pub const SONOTAP_NOTICE_NOT_BMODE: u32 = 9;
/// The prompt belongs to no tissue, to coloured flow, or to another region than its object.
pub const SONOTAP_NOTICE_MISPLACED: u32 = 10;
/// The outline is not measured in millimetres, although there is a scale.
pub const SONOTAP_NOTICE_UNMEASURED: u32 = 11;
/// The model fails.
pub const SONOTAP_NOTICE_MODEL_FAILED: u32 = 12;

/// What there is to draw. All of it belongs to one frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct sonotap_scene {
    /// sizeof(sonotap_scene).
    pub struct_size: u32,
    /// Objects, of which the active one is the last.
    pub objects: u32,
    /// Names this picture on its way to the glass: give it to sonotap_hand_over and sonotap_presented.
    pub ticket: u64,
    /// The frame's number, from 1.
    pub frame_id: u64,
    /// The host's own.
    pub host_id: u64,
    /// When it was captured, on the clock of sonotap_now_ns.
    pub captured_ns: u64,
    /// When it must be at the glass; 0 for a frame that is not live, or was there before.
    pub due_ns: u64,
    /// Its age when the scene was made.
    pub age_ns: u64,
    /// Counts new pictures, and nothing else does: let it move something beside LIVE.
    pub live_tick: u64,
    /// Width of the frame, px.
    pub width: u32,
    /// Height of the frame, px.
    pub height: u32,
    /// SONOTAP_MODE_...
    pub mode: u32,
    /// SONOTAP_SIGNAL_...: read it together with mode.
    pub signal: u32,
    /// SONOTAP_NOTICE_...
    pub notice: u32,
    /// The object that the notice is about.
    pub notice_object: u32,
    /// Of TAP_AGAIN: SONOTAP_LOST_...
    pub notice_reason: u32,
    /// What the next tap does: 1 includes, 2 excludes.
    pub tool: u32,
    /// How outlines are filled, percent: 0, 25, 50.
    pub fill: u32,
    /// Whether there is something to undo.
    pub can_undo: u32,
    /// Whether there is something to redo.
    pub can_redo: u32,
    /// Whether only every second frame gets a prediction.
    pub is_hot: u32,
    /// Place in the cine ring while frozen, 0 the oldest.
    pub cine_index: u32,
    /// Frames in the cine ring while frozen; 0 while live.
    pub cine_len: u32,
}

/// Computed from this very frame.
pub const SONOTAP_OVERLAY_EXACT: u32 = 1;
/// Carried to it by motion from a frame that was predicted on: draw it so that it cannot be taken for exact.
pub const SONOTAP_OVERLAY_CARRIED: u32 = 2;
/// Could not be carried: draw it dimmed, with its age.
pub const SONOTAP_OVERLAY_STALE: u32 = 3;
/// Not drawn for now (reason).
pub const SONOTAP_OVERLAY_HIDDEN: u32 = 4;
/// Given up until the operator taps again (reason).
pub const SONOTAP_OVERLAY_LOST: u32 = 5;

/// The model has not answered yet.
pub const SONOTAP_HIDDEN_COMPUTING: u32 = 1;
/// The last prediction is too old.
pub const SONOTAP_HIDDEN_TOO_OLD: u32 = 2;
/// The model's output is no mask: not finite, nothing, or everything.
pub const SONOTAP_HIDDEN_IMPLAUSIBLE: u32 = 3;
/// The model failed.
pub const SONOTAP_HIDDEN_MODEL_FAILED: u32 = 4;
/// The picture is not B-mode.
pub const SONOTAP_HIDDEN_NOT_BMODE: u32 = 5;
/// No signal, no new image, or too slow: see the scene's signal.
pub const SONOTAP_HIDDEN_NO_SIGNAL: u32 = 6;
/// The operator hides the overlay.
pub const SONOTAP_HIDDEN_BY_OPERATOR: u32 = 7;
/// The picture changed altogether.
pub const SONOTAP_LOST_SCENE_CUT: u32 = 101;
/// Motion forwards and backwards do not agree.
pub const SONOTAP_LOST_MOTION: u32 = 102;
/// The model, asked again, sees another outline.
pub const SONOTAP_LOST_DISAGREEMENT: u32 = 103;
/// The model's score fell.
pub const SONOTAP_LOST_LOW_SCORE: u32 = 104;
/// The area jumped.
pub const SONOTAP_LOST_AREA_JUMP: u32 = 105;
/// It left the image.
pub const SONOTAP_LOST_LEFT_IMAGE: u32 = 106;
/// The source stopped or was exchanged.
pub const SONOTAP_LOST_SIGNAL: u32 = 107;
/// A notice, reason, tool or source of the scale that this header has no number for.
pub const SONOTAP_OTHER: u32 = 255;

/// One object of a scene.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct sonotap_object {
    /// sizeof(sonotap_object).
    pub struct_size: u32,
    /// Which one, 0 to 3; it keeps its number.
    pub object: u32,
    /// Whether taps go to it.
    pub is_active: u32,
    /// SONOTAP_OVERLAY_...
    pub overlay: u32,
    /// SONOTAP_HIDDEN_... or SONOTAP_LOST_...
    pub reason: u32,
    /// Points of its outline; 0 while it is not drawn.
    pub points: u32,
    /// Rings of its outline.
    pub rings: u32,
    /// Its taps and boxes.
    pub markers: u32,
    /// Of CARRIED and STALE: time since the capture of the frame that was predicted on.
    pub prediction_age_ns: u64,
    /// Whether there is a score.
    pub has_score: u32,
    /// The model's own opinion of its outline, 0 to 1; below 0.5 ask for another point.
    pub score: f32,
    /// Whether the fields in px are set.
    pub is_measured: u32,
    /// Whether the fields in mm are set, too.
    pub is_metric: u32,
    /// SONOTAP_SCALE_...: show it with every value in mm.
    pub scale_source: u32,
    /// 0.
    pub reserved: u32,
    /// Area, px^2.
    pub area_px: f64,
    /// Length of the outer rings, px.
    pub perimeter_px: f64,
    /// Long axis of the ellipse of equal moments, px.
    pub major_px: f64,
    /// Its short axis, px.
    pub minor_px: f64,
    /// Distance of the two points farthest apart, px.
    pub longest_px: f64,
    /// Extent across it, px.
    pub perpendicular_px: f64,
    /// Area, mm^2.
    pub area_mm2: f64,
    /// Length of the outer rings, mm.
    pub perimeter_mm: f64,
    /// Long axis of the ellipse of equal moments, mm.
    pub major_mm: f64,
    /// Its short axis, mm.
    pub minor_mm: f64,
    /// Distance of the two points farthest apart, mm.
    pub longest_mm: f64,
    /// Extent across it, mm.
    pub perpendicular_mm: f64,
}

/// This belongs to the object.
pub const SONOTAP_MARKER_INCLUDE: u32 = 1;
/// This does not.
pub const SONOTAP_MARKER_EXCLUDE: u32 = 2;
/// A box around it.
pub const SONOTAP_MARKER_BOX: u32 = 3;

/// A tap or box of an object, where it is on the frame of the scene.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct sonotap_marker {
    /// sizeof(sonotap_marker).
    pub struct_size: u32,
    /// SONOTAP_MARKER_...
    pub kind: u32,
    /// The place, or the box.
    pub rect: sonotap_rect,
}

/// The whole screen: frame, outlines, texts and controls. Give its touches to sonotap_contact.
pub const SONOTAP_DRAW_SCREEN: u32 = 1;
/// Over what the host has drawn: outlines, prompts, ages, NO SIGNAL, and a label with the mode, "AI" and "Not for diagnostic use".
pub const SONOTAP_DRAW_OVERLAY: u32 = 2;

/// A picture of the host's that is written to. fourcc: XR24 or AR24 (32 bits, 0x00RRGGBB on little-endian processors; AR24 with opaque
/// alpha), RGB3; for masks and frames also GREY.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sonotap_picture {
    /// sizeof(sonotap_picture).
    pub struct_size: u32,
    /// How pixels are stored.
    pub fourcc: u32,
    /// px.
    pub width: u32,
    /// px.
    pub height: u32,
    /// Bytes from one row to the next; 0 for dense rows.
    pub stride: u32,
    /// Of SONOTAP_DRAW_OVERLAY: px per inch, 40 to 800; 0 for 96.
    pub dpi: f32,
    /// The pixels.
    pub pixels: *mut u8,
    /// Their bytes.
    pub bytes: usize,
    /// Of SONOTAP_DRAW_OVERLAY: the frame fills this part of the picture, as much as keeps its proportions; 0 x 0 for all of it.
    pub place: sonotap_rect,
}
