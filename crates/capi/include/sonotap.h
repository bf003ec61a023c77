/* sonotap.h - a tap on a live ultrasound image becomes a tracked, measured outline. Generated; do not edit.
 *
 * Not for diagnostic use. An outline is a suggestion of a model. docs/vendors.md says what a host must show.
 *
 * RULES
 * - A handle is a name, not an address. A closed or invented one is refused with SONOTAP_E_HANDLE, never read.
 * - A status >= 0 is an outcome, < 0 an error, whose text sonotap_last_error has for the same thread. Outputs are written
 *   only when the status is >= 0. Numbers are never reused.
 * - Structures begin with struct_size: set it to sizeof. Fields are only appended. Set all else to 0 for the defaults. A smaller
 *   size gets defaults for what it lacks; a larger one is taken if what this library does not know is 0.
 * - [any]: from any thread at any time. [owner]: one thread at a time; a second one gets SONOTAP_E_THREAD.
 *   [last]: sonotap_close, from any thread that is not within a callback.
 * - Nothing blocks but sonotap_wait (until woken), sonotap_step (a prediction) and sonotap_close (0.3 s at most, and calls under
 *   way). Loading a model takes tens of milliseconds. Frames, taps and commands go into bounded mailboxes: of frames the newest
 *   wins; of commands 64 wait.
 * - What is passed is copied during the call: frames, files, texts, rectangles. What is returned is written to the host's memory.
 *   The library keeps no pointer of the host's but the callbacks with their user pointers.
 * - Callbacks wake and log, on any thread. They return at once and call no function of this header (SONOTAP_E_THREAD). None comes
 *   after sonotap_close, or after sonotap_set_log took it away, has returned.
 * - No call unwinds, prints, exits, or changes signal handlers, locale or floating-point state. After a defect (SONOTAP_E_PANIC)
 *   the handle answers nothing else; close it. Memory that the system cannot give ends the process, as in most C programs: set
 *   memory_max_bytes.
 * - A picture is shown as live only in time: sonotap_poll gives a ticket, sonotap_draw or sonotap_hand_over says whether it may
 *   still be shown, sonotap_presented says when it was. What a host forgets is counted as late, and the next scenes say so.
 * - Image px: x to the right, y down, the centre of the first pixel is (0.5, 0.5). Times: ns on the clock of sonotap_now_ns.
 */

#ifndef SONOTAP_H
#define SONOTAP_H

#include <stddef.h>
#include <stdint.h>

/* A fourcc as V4L2 has it: SONOTAP_FOURCC('Y', '1', '6', ' '). */
#define SONOTAP_FOURCC(a, b, c, d) \
    ((uint32_t)(a) | ((uint32_t)(b) << 8) | ((uint32_t)(c) << 16) | ((uint32_t)(d) << 24))

/* ABI of this header. Functions and fields are only added under the same number; the number changes with the SONAME. */
#define SONOTAP_ABI 0

/* No thread of its own: sonotap_step computes predictions. */
#define SONOTAP_STEPPED 1

/* Time is what sonotap_set_now_ns says, from 0: for replays and simulations. Deadlines then mean nothing on the wall's clock. */
#define SONOTAP_HOST_CLOCK 2

/* Frames are kept in grey, which is faster; sonotap's screen shows them in grey, and colour flow is not seen as such. */
#define SONOTAP_GREY 4

/* sonotap_draw swaps left and right. */
#define SONOTAP_MIRRORED 8

/* sonotap_draw's screen has its controls on the left. */
#define SONOTAP_LEFT_HANDED 16

/* Captured as it is pushed. */
#define SONOTAP_TIME_NOW 0

/* time_ns is on the clock of sonotap_now_ns. */
#define SONOTAP_TIME_SESSION 1

/* time_ns is the age: captured so long before it is pushed. The best choice with a driver's stamps. */
#define SONOTAP_TIME_AGE 2

/* time_ns is on a clock of the host's own, of any origin; related to the session's by the smallest delay of the last seconds. */
#define SONOTAP_TIME_HOST 3

/* Nobody said: outlined, never in millimetres. */
#define SONOTAP_CONTENT_UNKNOWN 0

/* Tissue in grey. */
#define SONOTAP_CONTENT_BMODE 1

/* Tissue in grey with coloured flow over part of it. */
#define SONOTAP_CONTENT_BMODE_COLOUR 2

/* Colour flow that hides which is which: not outlined. */
#define SONOTAP_CONTENT_COLOUR 3

/* A Doppler spectrum: not outlined. */
#define SONOTAP_CONTENT_SPECTRUM 4

/* An M-mode trace: not outlined. */
#define SONOTAP_CONTENT_MMODE 5

/* Another trace, such as an ECG: not outlined. */
#define SONOTAP_CONTENT_TRACE 6

/* The scale is the device's own. */
#define SONOTAP_SCALE_DEVICE 0

/* It is from a DICOM file's regions. */
#define SONOTAP_SCALE_DICOM 1

/* The operator gave it between two points. */
#define SONOTAP_SCALE_TWO_POINT 2

/* A simulation knows it. */
#define SONOTAP_SCALE_PHANTOM 3

/* Take back the last edit. */
#define SONOTAP_UNDO 1

/* Make it again. */
#define SONOTAP_REDO 2

/* Clear the active object; if it is empty, all objects. */
#define SONOTAP_CLEAR 3

/* Freeze, or go live. */
#define SONOTAP_TOGGLE_FREEZE 4

/* Freeze the frame on the screen. */
#define SONOTAP_FREEZE 5

/* Go live. */
#define SONOTAP_UNFREEZE 6

/* One frame back, while frozen. */
#define SONOTAP_STEP_BACK 7

/* One frame forward, while frozen. */
#define SONOTAP_STEP_FORWARD 8

/* To a place in the cine ring, while frozen; argument: 0 the oldest to 1 the newest frame. */
#define SONOTAP_SCRUB 9

/* Make the first empty object active. */
#define SONOTAP_NEW_OBJECT 10

/* Make an object active; argument: 0 to 3. */
#define SONOTAP_SELECT 11

/* The next taps include. */
#define SONOTAP_TOOL_INCLUDE 12

/* The next taps exclude. */
#define SONOTAP_TOOL_EXCLUDE 13

/* The next fill level. */
#define SONOTAP_CYCLE_FILL 14

/* Hide the overlay while argument is 1, show it again with 0. */
#define SONOTAP_HIDE_OVERLAY 15

/* Show the next outline of a lone tap. */
#define SONOTAP_NEXT_CANDIDATE 16

/* The device is hot: with argument 1 only every second frame gets a prediction, and the screen says so; 0 ends it. */
#define SONOTAP_EASE 17

/* A finger went down. */
#define SONOTAP_CONTACT_DOWN 0

/* It moved. */
#define SONOTAP_CONTACT_MOVE 1

/* It went up. */
#define SONOTAP_CONTACT_UP 2

/* The device withdrew it. */
#define SONOTAP_CONTACT_CANCEL 3

/* The newest frame. */
#define SONOTAP_MODE_LIVE 0

/* A frame that the operator froze. */
#define SONOTAP_MODE_FROZEN 1

/* Another frame of the cine ring. */
#define SONOTAP_MODE_REVIEW 2

/* New pictures come, in time. Only now may a screen say LIVE. */
#define SONOTAP_SIGNAL_GOOD 0

/* No picture for more than three periods: say NO SIGNAL. No outlines. */
#define SONOTAP_SIGNAL_MISSING 1

/* The same picture again and again: say NO NEW IMAGE. No outlines. */
#define SONOTAP_SIGNAL_REPEATING 2

/* The picture before was late: say DELAYED. */
#define SONOTAP_SIGNAL_DELAYED 3

/* Pictures are late: say TOO SLOW. No outlines. */
#define SONOTAP_SIGNAL_LATE 4

/* Nothing to tell. */
#define SONOTAP_NOTICE_NONE 0

/* Tap the structure to outline it. */
#define SONOTAP_NOTICE_TAP_TO_START 1

/* The object was lost (notice_reason): tap it again. */
#define SONOTAP_NOTICE_TAP_AGAIN 2

/* The score is low: add a point. */
#define SONOTAP_NOTICE_ADD_POINT 3

/* A closer view of the tap found another outline, which took the place of the first. */
#define SONOTAP_NOTICE_OUTLINE_CHANGED 4

/* The tap was outside the image. */
#define SONOTAP_NOTICE_OUTSIDE_IMAGE 5

/* No more points fit: undo or clear. */
#define SONOTAP_NOTICE_PROMPTS_FULL 6

/* All objects are in use. */
#define SONOTAP_NOTICE_OBJECTS_FULL 7

/* The frame that was tapped is gone from memory. */
#define SONOTAP_NOTICE_FRAME_GONE 8

/* The picture is not B-mode. */
#define SONOTAP_NOTICE_NOT_BMODE 9

/* The prompt belongs to no tissue, to coloured flow, or to another region than its object. */
#define SONOTAP_NOTICE_MISPLACED 10

/* The outline is not measured in millimetres, although there is a scale. */
#define SONOTAP_NOTICE_UNMEASURED 11

/* The model fails. */
#define SONOTAP_NOTICE_MODEL_FAILED 12

/* Computed from this very frame. */
#define SONOTAP_OVERLAY_EXACT 1

/* Carried to it by motion from a frame that was predicted on: draw it so that it cannot be taken for exact. */
#define SONOTAP_OVERLAY_CARRIED 2

/* Could not be carried: draw it dimmed, with its age. */
#define SONOTAP_OVERLAY_STALE 3

/* Not drawn for now (reason). */
#define SONOTAP_OVERLAY_HIDDEN 4

/* Given up until the operator taps again (reason). */
#define SONOTAP_OVERLAY_LOST 5

/* The model has not answered yet. */
#define SONOTAP_HIDDEN_COMPUTING 1

/* The last prediction is too old. */
#define SONOTAP_HIDDEN_TOO_OLD 2

/* The model's output is no mask: not finite, nothing, or everything. */
#define SONOTAP_HIDDEN_IMPLAUSIBLE 3

/* The model failed. */
#define SONOTAP_HIDDEN_MODEL_FAILED 4

/* The picture is not B-mode. */
#define SONOTAP_HIDDEN_NOT_BMODE 5

/* No signal, no new image, or too slow: see the scene's signal. */
#define SONOTAP_HIDDEN_NO_SIGNAL 6

/* The operator hides the overlay. */
#define SONOTAP_HIDDEN_BY_OPERATOR 7

/* The picture changed altogether. */
#define SONOTAP_LOST_SCENE_CUT 101

/* Motion forwards and backwards do not agree. */
#define SONOTAP_LOST_MOTION 102

/* The model, asked again, sees another outline. */
#define SONOTAP_LOST_DISAGREEMENT 103

/* The model's score fell. */
#define SONOTAP_LOST_LOW_SCORE 104

/* The area jumped. */
#define SONOTAP_LOST_AREA_JUMP 105

/* It left the image. */
#define SONOTAP_LOST_LEFT_IMAGE 106

/* The source stopped or was exchanged. */
#define SONOTAP_LOST_SIGNAL 107

/* A notice, reason, tool or source of the scale that this header has no number for. */
#define SONOTAP_OTHER 255

/* This belongs to the object. */
#define SONOTAP_MARKER_INCLUDE 1

/* This does not. */
#define SONOTAP_MARKER_EXCLUDE 2

/* A box around it. */
#define SONOTAP_MARKER_BOX 3

/* The whole screen: frame, outlines, texts and controls. Give its touches to sonotap_contact. */
#define SONOTAP_DRAW_SCREEN 1

/* Over what the host has drawn: outlines, prompts, ages, NO SIGNAL, and a label with the mode, "AI" and "Not for diagnostic use". */
#define SONOTAP_DRAW_OVERLAY 2

/* A model: copies of its files, checked. */
typedef struct sonotap_model sonotap_model;

/* A session: one live picture, its taps and its outlines. */
typedef struct sonotap_session sonotap_session;

/* An outcome (>= 0) or an error (< 0). Numbers are never reused. */
typedef int32_t sonotap_status;

/* Called with a line of the log, from any thread. level: 1 error, 2 warning, 3 information. No patient data is logged. */
typedef void (*sonotap_log_fn)(void *user, int32_t level, const char *text);

/* A file of a model in memory. */
typedef struct sonotap_blob {
    /* Its plain name, UTF-8: manifest.toml, and those that the manifest names. */
    const char *name;
    /* Its bytes. */
    const void *bytes;
    /* Their number. */
    size_t len;
} sonotap_blob;

/* A rectangle from its upper left corner. */
typedef struct sonotap_rect {
    /* Left edge. */
    float x;
    /* Upper edge. */
    float y;
    /* Width. */
    float w;
    /* Height. */
    float h;
} sonotap_rect;

/* Called when there may be something to poll, on the thread that caused it: one that pushes or commands, or the session's own.
   It must return at once. */
typedef void (*sonotap_wake_fn)(void *user);

/* Settings of a session. 0 is the default everywhere. */
typedef struct sonotap_config {
    /* sizeof(sonotap_config). */
    uint32_t struct_size;
    /* SONOTAP_STEPPED and others, or-ed. */
    uint32_t flags;
    /* From frame to frame, 1,000 to 10,000,000; 33,333. */
    uint32_t period_us;
    /* Greatest age of a live frame when it is at the glass; one period. */
    uint32_t deadline_us;
    /* Refresh period of a display that shows pictures at its refresh; 0 for one that shows them as they are handed over. */
    uint32_t refresh_us;
    /* Largest frame that will be pushed, used with memory_max_bytes; 1280 x 960. */
    uint32_t frame_width_max;
    /* The same, height. */
    uint32_t frame_height_max;
    /* Number of keep_outs, at most 16. */
    uint32_t keep_out_count;
    /* Size of the pictures for SONOTAP_DRAW_SCREEN; 800 x 480. */
    uint32_t screen_width;
    /* The same, height. */
    uint32_t screen_height;
    /* Their px per inch; 133. */
    float screen_dpi;
    /* 0. */
    uint32_t reserved;
    /* Memory for frozen and reviewed frames; 32 MiB, less where memory_max_bytes asks for it. */
    uint64_t cine_bytes;
    /* Heap of this session at most; no limit. Open refuses what cannot be held, and push a larger frame. */
    uint64_t memory_max_bytes;
    /* Parts of the frame that are never painted over, image px; copied. */
    const struct sonotap_rect *keep_outs;
    /* What will be outlined: a bundled preset's name or the path of a file; copied. NULL for none. */
    const char *preset;
    /* Something may be polled. NULL for none. */
    sonotap_wake_fn wake;
    /* Its argument. */
    void *wake_user;
} sonotap_config;

/* A frame to be pushed. It is copied during the call; nobody may write to it meanwhile.

   fourcc, of V4L2: GREY, Y16 (16 bits, upper byte used), YUYV, UYVY, NV12, NV16, YU12, P010, RGB3, BGR3, XR24 (B, G, R, x), BX24
   (x, R, G, B), MJPG. Chroma planes follow luma in plane[0] with its stride (half of it in YU12); for NV12 they may be in plane[1]. */
typedef struct sonotap_frame {
    /* sizeof(sonotap_frame). */
    uint32_t struct_size;
    /* How pixels are stored: SONOTAP_FOURCC('G','R','E','Y') and others, above. */
    uint32_t fourcc;
    /* px, 1 to 16,384. */
    uint32_t width;
    /* px, 1 to 16,384. */
    uint32_t height;
    /* Bytes from one row to the next of each plane; 0 for dense rows. */
    uint32_t stride[2];
    /* The planes; the second may be NULL. */
    const uint8_t *plane[2];
    /* Their bytes. */
    size_t plane_bytes[2];
    /* The host's number of the frame, carried along and never used. */
    uint64_t host_id;
    /* When it was captured, as time_kind says. */
    uint64_t time_ns;
    /* SONOTAP_TIME_... */
    uint32_t time_kind;
    /* SONOTAP_CONTENT_... */
    uint32_t content;
    /* Size of a pixel; 0 and 0 when it is not known: then there are no millimetres. */
    float mm_per_px_x;
    /* The same along y. */
    float mm_per_px_y;
    /* SONOTAP_SCALE_...: who says so. It is shown beside measurements. */
    uint32_t scale_source;
    /* Of luma and chroma formats: 0 for 16..235, 1 for 0..255. */
    uint32_t is_full_range;
    /* Of luma and chroma formats: 0 for ITU-R BT.601, 1 for BT.709. */
    uint32_t is_bt709;
    /* 0. */
    uint32_t reserved;
    /* The part that shows the patient, image px; 0 x 0 for all of it. */
    struct sonotap_rect region;
} sonotap_frame;

/* What there is to draw. All of it belongs to one frame. */
typedef struct sonotap_scene {
    /* sizeof(sonotap_scene). */
    uint32_t struct_size;
    /* Objects, of which the active one is the last. */
    uint32_t objects;
    /* Names this picture on its way to the glass: give it to sonotap_hand_over and sonotap_presented. */
    uint64_t ticket;
    /* The frame's number, from 1. */
    uint64_t frame_id;
    /* The host's own. */
    uint64_t host_id;
    /* When it was captured, on the clock of sonotap_now_ns. */
    uint64_t captured_ns;
    /* When it must be at the glass; 0 for a frame that is not live, or was there before. */
    uint64_t due_ns;
    /* Its age when the scene was made. */
    uint64_t age_ns;
    /* Counts new pictures, and nothing else does: let it move something beside LIVE. */
    uint64_t live_tick;
    /* Width of the frame, px. */
    uint32_t width;
    /* Height of the frame, px. */
    uint32_t height;
    /* SONOTAP_MODE_... */
    uint32_t mode;
    /* SONOTAP_SIGNAL_...: read it together with mode. */
    uint32_t signal;
    /* SONOTAP_NOTICE_... */
    uint32_t notice;
    /* The object that the notice is about. */
    uint32_t notice_object;
    /* Of TAP_AGAIN: SONOTAP_LOST_... */
    uint32_t notice_reason;
    /* What the next tap does: 1 includes, 2 excludes. */
    uint32_t tool;
    /* How outlines are filled, percent: 0, 25, 50. */
    uint32_t fill;
    /* Whether there is something to undo. */
    uint32_t can_undo;
    /* Whether there is something to redo. */
    uint32_t can_redo;
    /* Whether only every second frame gets a prediction. */
    uint32_t is_hot;
    /* Place in the cine ring while frozen, 0 the oldest. */
    uint32_t cine_index;
    /* Frames in the cine ring while frozen; 0 while live. */
    uint32_t cine_len;
} sonotap_scene;

/* One object of a scene. */
typedef struct sonotap_object {
    /* sizeof(sonotap_object). */
    uint32_t struct_size;
    /* Which one, 0 to 3; it keeps its number. */
    uint32_t object;
    /* Whether taps go to it. */
    uint32_t is_active;
    /* SONOTAP_OVERLAY_... */
    uint32_t overlay;
    /* SONOTAP_HIDDEN_... or SONOTAP_LOST_... */
    uint32_t reason;
    /* Points of its outline; 0 while it is not drawn. */
    uint32_t points;
    /* Rings of its outline. */
    uint32_t rings;
    /* Its taps and boxes. */
    uint32_t markers;
    /* Of CARRIED and STALE: time since the capture of the frame that was predicted on. */
    uint64_t prediction_age_ns;
    /* Whether there is a score. */
    uint32_t has_score;
    /* The model's own opinion of its outline, 0 to 1; below 0.5 ask for another point. */
    float score;
    /* Whether the fields in px are set. */
    uint32_t is_measured;
    /* Whether the fields in mm are set, too. */
    uint32_t is_metric;
    /* SONOTAP_SCALE_...: show it with every value in mm. */
    uint32_t scale_source;
    /* 0. */
    uint32_t reserved;
    /* Area, px^2. */
    double area_px;
    /* Length of the outer rings, px. */
    double perimeter_px;
    /* Long axis of the ellipse of equal moments, px. */
    double major_px;
    /* Its short axis, px. */
    double minor_px;
    /* Distance of the two points farthest apart, px. */
    double longest_px;
    /* Extent across it, px. */
    double perpendicular_px;
    /* Area, mm^2. */
    double area_mm2;
    /* Length of the outer rings, mm. */
    double perimeter_mm;
    /* Long axis of the ellipse of equal moments, mm. */
    double major_mm;
    /* Its short axis, mm. */
    double minor_mm;
    /* Distance of the two points farthest apart, mm. */
    double longest_mm;
    /* Extent across it, mm. */
    double perpendicular_mm;
} sonotap_object;

/* A place, image px: x to the right, y down, the centre of the first pixel is (0.5, 0.5). */
typedef struct sonotap_point {
    /* To the right. */
    float x;
    /* Down. */
    float y;
} sonotap_point;

/* A tap or box of an object, where it is on the frame of the scene. */
typedef struct sonotap_marker {
    /* sizeof(sonotap_marker). */
    uint32_t struct_size;
    /* SONOTAP_MARKER_... */
    uint32_t kind;
    /* The place, or the box. */
    struct sonotap_rect rect;
} sonotap_marker;

/* A picture of the host's that is written to. fourcc: XR24 or AR24 (32 bits, 0x00RRGGBB on little-endian processors; AR24 with opaque
   alpha), RGB3; for masks and frames also GREY. */
typedef struct sonotap_picture {
    /* sizeof(sonotap_picture). */
    uint32_t struct_size;
    /* How pixels are stored. */
    uint32_t fourcc;
    /* px. */
    uint32_t width;
    /* px. */
    uint32_t height;
    /* Bytes from one row to the next; 0 for dense rows. */
    uint32_t stride;
    /* Of SONOTAP_DRAW_OVERLAY: px per inch, 40 to 800; 0 for 96. */
    float dpi;
    /* The pixels. */
    uint8_t *pixels;
    /* Their bytes. */
    size_t bytes;
    /* Of SONOTAP_DRAW_OVERLAY: the frame fills this part of the picture, as much as keeps its proportions; 0 x 0 for all of it. */
    struct sonotap_rect place;
} sonotap_picture;

/* Done. */
#define SONOTAP_OK 0

/* There is nothing to draw (poll) or to compute (step). */
#define SONOTAP_NOTHING_NEW 1

/* Done; the frame before was not taken yet, and was dropped and counted. */
#define SONOTAP_REPLACED 2

/* The buffer is too small: the size needed is told, nothing else is written. */
#define SONOTAP_MORE 3

/* Too late: do not show this picture. It counts as dropped. Poll again. */
#define SONOTAP_LATE 4

/* All memory for frames is in use; the frame was left out, and counted. */
#define SONOTAP_NO_ROOM 5

/* An argument cannot be: NULL, a size, a number that is not finite, a structure of a newer header. */
#define SONOTAP_E_ARGUMENT -1

/* A file could not be read. */
#define SONOTAP_E_IO -2

/* Bytes are not what they should be: a plane too short, a broken JPEG. */
#define SONOTAP_E_FORMAT -3

/* A kind that is not handled, such as an unknown fourcc. */
#define SONOTAP_E_UNSUPPORTED -4

/* A setting cannot be, or the session was opened without what the call needs. */
#define SONOTAP_E_CONFIG -5

/* The model is incomplete, was changed, or computes something else than its manifest says. */
#define SONOTAP_E_MODEL -6

/* The system has no more of it: no thread. */
#define SONOTAP_E_UNAVAILABLE -7

/* An [owner] function while another thread is in one, or any function from within a callback. */
#define SONOTAP_E_THREAD -8

/* A defect of this library. The handle answers only this from now on; close it. */
#define SONOTAP_E_PANIC -9

/* 64 taps and commands wait: nobody polls. Nothing was taken. */
#define SONOTAP_E_FULL -10

/* The handle was closed, or never was one. */
#define SONOTAP_E_HANDLE -11

/* It would need more than memory_max_bytes. */
#define SONOTAP_E_MEMORY -12

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* SONOTAP_ABI of the library that is linked. [any] */
uint32_t sonotap_abi(void);

/* Version of the library that is linked, such as "0.1.0". It stays. [any] */
const char *sonotap_version(void);

/* A status as a word: "LATE". It stays. [any] */
const char *sonotap_status_name(sonotap_status status);

/* The text of this thread's last error: what was expected, what came, where. Writes at most cap bytes, NUL included, and returns the
   length without NUL, as snprintf does. [any] */
size_t sonotap_last_error(char *text,
                          size_t cap);

/* Sends log lines up to level_max (1 errors, 2 warnings, 3 information) to log; NULL for none, which is how it begins. It waits for
   calls of the callback before that are under way; afterwards that is not called again. [any] */
sonotap_status sonotap_set_log(sonotap_log_fn log,
                               void *user,
                               int32_t level_max);

/* Heap that this library holds now, all models and sessions together, bytes. [any] */
uint64_t sonotap_memory_bytes(void);

/* Loads a model from a folder, with all its checks (tens of milliseconds). The files are copied: the folder may go away. [any] */
sonotap_status sonotap_model_from_folder(const char *utf8_path,
                                         struct sonotap_model **out);

/* Loads a model from memory: the manifest, named "manifest.toml", and the files that it names. They are copied. [any] */
sonotap_status sonotap_model_from_memory(const struct sonotap_blob *files, size_t count, struct sonotap_model **out);

/* The model's manifest as JSON: name, licence, intended and excluded use, digests, training data, accuracy. [any] */
sonotap_status sonotap_model_describe(const struct sonotap_model *model, char *json, size_t cap, size_t *needed);

/* Lets go of a model. Sessions that use it keep it. [any] */
sonotap_status sonotap_model_free(struct sonotap_model *model);

/* Opens a session; NULL for the default settings. Starts one thread, or none with SONOTAP_STEPPED. [any] */
sonotap_status sonotap_open(const struct sonotap_model *model,
                            const struct sonotap_config *config,
                            struct sonotap_session **out);

/* Closes a session: waits for calls under way on other threads and, at most 0.3 s, for the prediction in hand. From its return on no
   callback comes, and every function refuses the handle. [last] */
sonotap_status sonotap_close(struct sonotap_session *session);

/* The session's clock, ns; 0 for a handle that is not open. [any] */
uint64_t sonotap_now_ns(const struct sonotap_session *session);

/* Sets the clock of a session opened with SONOTAP_HOST_CLOCK; it never runs backwards. [any] */
sonotap_status sonotap_set_now_ns(struct sonotap_session *session, uint64_t now_ns);

/* Copies a frame in, once, and never waits for the display or the model. frame_id gets its number, for taps; it may be NULL.
   OK, REPLACED or NO_ROOM. [any] */
sonotap_status sonotap_push_frame(struct sonotap_session *session,
                                  const struct sonotap_frame *frame,
                                  uint64_t *frame_id);

/* There is no signal: a cable was pulled, a probe unplugged. Outlines are hidden until a frame comes in. [any] */
sonotap_status sonotap_signal_lost(struct sonotap_session *session);

/* A tap on the frame numbered shown, the one that the operator saw at touch-down; 0 for the one shown now. polarity: 1 belongs to the
   object, -1 does not, 0 as the tool says. at_ns: time of touch-down on the session's clock; 0 for now. [any] */
sonotap_status sonotap_tap(struct sonotap_session *session,
                           float x,
                           float y,
                           int32_t polarity,
                           uint64_t shown,
                           uint64_t at_ns);

/* A box drawn around the active object, between two of its corners; shown and at_ns as for a tap. [any] */
sonotap_status sonotap_box(struct sonotap_session *session,
                           float x0,
                           float y0,
                           float x1,
                           float y1,
                           uint64_t shown,
                           uint64_t at_ns);

/* A command of the operator: SONOTAP_UNDO and others; argument as they say. [any] */
sonotap_status sonotap_command(struct sonotap_session *session, uint32_t command, float argument);

/* A finger on the screen that SONOTAP_DRAW_SCREEN drew, in its px; it may press a control. phase: SONOTAP_CONTACT_... finger: 0 to 255.
   size_mm: longest side of the patch, 0 when it is not known. at_ns as for a tap. [any] */
sonotap_status sonotap_contact(struct sonotap_session *session,
                               uint32_t phase,
                               uint32_t finger,
                               float x,
                               float y,
                               float size_mm,
                               uint64_t at_ns);

/* Another patient. Prompts, outlines, frames and waiting commands of the one before are forgotten, and from the return of this call
   on none of their pictures is handed over. [any] */
sonotap_status sonotap_new_exam(struct sonotap_session *session);

/* Obeys what was posted and tells what is to be drawn now; NOTHING_NEW when the picture on the screen may stay. Never waits for the
   model. Call it at least once a frame period: a signal that is missing is noticed here. [owner] */
sonotap_status sonotap_poll(struct sonotap_session *session,
                            struct sonotap_scene *scene);

/* Sleeps until there may be something to poll, at most longest_us. For hosts without an event loop; sonotap_close ends it. [owner] */
sonotap_status sonotap_wait(struct sonotap_session *session,
                            uint32_t longest_us);

/* With SONOTAP_STEPPED: computes the newest prediction that is wanted, which takes as long as a prediction; NOTHING_NEW when none is.
   It may be called beside [owner] functions, by one thread at a time. Poll afterwards. */
sonotap_status sonotap_step(struct sonotap_session *session);

/* An object of the last poll that returned OK. This and the following functions return LATE when its picture may not be shown any
   more. [owner] */
sonotap_status sonotap_get_object(struct sonotap_session *session,
                                  uint32_t index,
                                  struct sonotap_object *object);

/* The outline of an object, ring by ring: rings are closed, holes run the other way round. ring_ends gets the index after each ring's
   last point. sonotap_object has the sizes needed; MORE when one is too small. [owner] */
sonotap_status sonotap_get_outline(struct sonotap_session *session,
                                   uint32_t index,
                                   struct sonotap_point *points,
                                   size_t point_cap,
                                   uint32_t *ring_ends,
                                   size_t ring_cap);

/* A tap or box of an object. [owner] */
sonotap_status sonotap_get_marker(struct sonotap_session *session,
                                  uint32_t index,
                                  uint32_t marker_index,
                                  struct sonotap_marker *marker);

/* The outline of an object as a mask: 255 inside, 0 outside, in a GREY picture of the frame's size. [owner] */
sonotap_status sonotap_get_mask(struct sonotap_session *session, uint32_t index, const struct sonotap_picture *into);

/* The frame of the last poll that returned OK, which may be an older one of the cine ring, in a picture of its size. [owner] */
sonotap_status sonotap_get_frame(struct sonotap_session *session,
                                 const struct sonotap_picture *into);

/* Draws the scene of the last poll that returned OK: SONOTAP_DRAW_SCREEN or SONOTAP_DRAW_OVERLAY. OK: hand it to the display now, as
   after sonotap_hand_over. LATE: do not show it; the ticket has been taken back. [owner] */
sonotap_status sonotap_draw(struct sonotap_session *session,
                            uint32_t what,
                            const struct sonotap_picture *into);

/* To be asked as late as possible before a picture goes to the display. OK: show it. LATE: do not show it; the ticket has been taken
   back. [owner] */
sonotap_status sonotap_hand_over(struct sonotap_session *session,
                                 uint64_t ticket);

/* The picture was at the glass at lit_ns on the session's clock; 0 for now. A ticket that nobody gives back within 20 ms after its
   time counts as late: the next scenes say DELAYED, and after three TOO SLOW, without outlines. LATE for one that was counted so, or
   was given back before. [owner] */
sonotap_status sonotap_presented(struct sonotap_session *session,
                                 uint64_t ticket,
                                 uint64_t lit_ns);

/* The picture is not shown, for a reason of the host's. It counts as dropped. [owner] */
sonotap_status sonotap_withheld(struct sonotap_session *session, uint64_t ticket);

/* Figures so far, as JSON: frames in, shown and dropped by cause, ages at the glass, times of the model, heap. [owner] */
sonotap_status sonotap_report(struct sonotap_session *session, char *json, size_t cap, size_t *needed);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SONOTAP_H */
