//! What goes out, to the one thread that owns the display.

use std::ffi::c_char;
use std::time::Duration;

use serde_json::json;

use crate::boundary::Failure;
use crate::pixels::Pixels;
use crate::session::{with_owner, with_stepper};
use crate::types::*;
use crate::{faults, memory, numbers, raw};

/// Obeys what was posted and tells what is to be drawn now; NOTHING_NEW when the picture on the screen may stay. Never waits for the
/// model. Call it at least once a frame period: a signal that is missing is noticed here. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_poll(session: *mut sonotap_session, scene: *mut sonotap_scene) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host's structure begins with its size.
        let room = unsafe { raw::room(scene) }?;
        let Some(told) = owner.poll(session) else { return Ok(SONOTAP_NOTHING_NEW) };
        // SAFETY: the structure has its size.
        unsafe { raw::write(scene, room, &told) };
        Ok(SONOTAP_OK)
    })
}

/// Sleeps until there may be something to poll, at most longest_us. For hosts without an event loop; sonotap_close ends it. [owner]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_wait(session: *mut sonotap_session, longest_us: u32) -> sonotap_status {
    with_owner(session, |session, owner| {
        if !session.is_closing() {
            owner.live().wait(Duration::from_micros(longest_us.into()));
        }
        Ok(SONOTAP_OK)
    })
}

/// With SONOTAP_STEPPED: computes the newest prediction that is wanted, which takes as long as a prediction; NOTHING_NEW when none is.
/// It may be called beside [owner] functions, by one thread at a time. Poll afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_step(session: *mut sonotap_session) -> sonotap_status {
    with_stepper(session, |stepper| {
        faults::point("step");
        Ok(if stepper.step() { SONOTAP_OK } else { SONOTAP_NOTHING_NEW })
    })
}

/// An object of the last poll that returned OK. This and the following functions return LATE when its picture may not be shown any
/// more. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_get_object(
    session: *mut sonotap_session,
    index: u32,
    object: *mut sonotap_object,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host's structure begins with its size.
        let room = unsafe { raw::room(object) }?;
        owner.object(session, index, |_, scene| {
            // SAFETY: the structure has its size.
            unsafe { raw::write(object, room, &numbers::object(scene)) };
            Ok(SONOTAP_OK)
        })
    })
}

/// The outline of an object, ring by ring: rings are closed, holes run the other way round. ring_ends gets the index after each ring's
/// last point. sonotap_object has the sizes needed; MORE when one is too small. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_get_outline(
    session: *mut sonotap_session,
    index: u32,
    points: *mut sonotap_point,
    point_cap: usize,
    ring_ends: *mut u32,
    ring_cap: usize,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        owner.object(session, index, |_, object| {
            let is_drawn = object.overlay.is_drawn();
            let outline = if is_drawn { object.outline.points() } else { &[] };
            let mut end = 0;
            let ends: Vec<u32> = object
                .outline
                .rings()
                .filter(|_| is_drawn)
                .map(|ring| {
                    end += ring.len() as u32;
                    end
                })
                .collect();
            if outline.len() > point_cap || ends.len() > ring_cap {
                return Ok(SONOTAP_MORE);
            }
            if ends.is_empty() {
                return Ok(SONOTAP_OK);
            }
            if points.is_null() || ring_ends.is_null() {
                return Err(Failure::argument("expected places for points and ring_ends, got NULL"));
            }
            let points_of = outline.iter().map(|p| sonotap_point { x: p.x, y: p.y });
            // SAFETY: the host has room for `point_cap` points.
            unsafe { raw::write_list(points, point_cap, points_of) }?;
            // SAFETY: the host has room for `ring_cap` numbers.
            unsafe { raw::write_list(ring_ends, ring_cap, ends.into_iter()) }
        })
    })
}

/// A tap or box of an object. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_get_marker(
    session: *mut sonotap_session,
    index: u32,
    marker_index: u32,
    marker: *mut sonotap_marker,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host's structure begins with its size.
        let room = unsafe { raw::room(marker) }?;
        owner.object(session, index, |_, object| {
            let found = object.markers.get(marker_index as usize).ok_or_else(|| {
                Failure::argument(format!("marker_index: expected below {}, got {marker_index}", object.markers.len()))
            })?;
            // SAFETY: the structure has its size.
            unsafe { raw::write(marker, room, &numbers::marker(found)) };
            Ok(SONOTAP_OK)
        })
    })
}

/// The outline of an object as a mask: 255 inside, 0 outside, in a GREY picture of the frame's size. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_get_mask(
    session: *mut sonotap_session,
    index: u32,
    into: *const sonotap_picture,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host has a structure of its size there.
        let picture = unsafe { raw::read(into) }?;
        // SAFETY: the picture is the host's, and nobody else writes to it during the call.
        let mut pixels = unsafe { Pixels::of(&picture, true) }?;
        owner.mask(session, index, &mut pixels)
    })
}

/// The frame of the last poll that returned OK, which may be an older one of the cine ring, in a picture of its size. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_get_frame(
    session: *mut sonotap_session,
    into: *const sonotap_picture,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host has a structure of its size there.
        let picture = unsafe { raw::read(into) }?;
        // SAFETY: the picture is the host's, and nobody else writes to it during the call.
        let mut pixels = unsafe { Pixels::of(&picture, true) }?;
        owner.frame(session, |frame| {
            pixels.put_frame(frame)?;
            Ok(SONOTAP_OK)
        })
    })
}

/// Draws the scene of the last poll that returned OK: SONOTAP_DRAW_SCREEN or SONOTAP_DRAW_OVERLAY. OK: hand it to the display now, as
/// after sonotap_hand_over. LATE: do not show it; the ticket has been taken back. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_draw(
    session: *mut sonotap_session,
    what: u32,
    into: *const sonotap_picture,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        // SAFETY: the host has a structure of its size there.
        let picture = unsafe { raw::read(into) }?;
        // SAFETY: the picture is the host's, and nobody else writes to it during the call.
        let mut pixels = unsafe { Pixels::of(&picture, false) }?;
        owner.draw(session, what, &picture, &mut pixels)
    })
}

/// To be asked as late as possible before a picture goes to the display. OK: show it. LATE: do not show it; the ticket has been taken
/// back. [owner]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_hand_over(session: *mut sonotap_session, ticket: u64) -> sonotap_status {
    with_owner(session, |session, owner| owner.hand_over(session, ticket))
}

/// The picture was at the glass at lit_ns on the session's clock; 0 for now. A ticket that nobody gives back within 20 ms after its
/// time counts as late: the next scenes say DELAYED, and after three TOO SLOW, without outlines. LATE for one that was counted so, or
/// was given back before. [owner]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_presented(session: *mut sonotap_session, ticket: u64, lit_ns: u64) -> sonotap_status {
    with_owner(session, |session, owner| owner.presented(session, ticket, lit_ns))
}

/// The picture is not shown, for a reason of the host's. It counts as dropped. [owner]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_withheld(session: *mut sonotap_session, ticket: u64) -> sonotap_status {
    with_owner(session, |_, owner| owner.withheld(ticket))
}

/// Figures so far, as JSON: frames in, shown and dropped by cause, ages at the glass, times of the model, heap. [owner]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_report(
    session: *mut sonotap_session,
    json: *mut c_char,
    cap: usize,
    needed: *mut usize,
) -> sonotap_status {
    with_owner(session, |session, owner| {
        let live = owner.live().report();
        let report = json!({
            "input": session.input.report(),
            "live": live,
            "deadline": live.deadline,
            "frame_bytes": session.input.bytes(),
            "memory_bytes": memory::held(),
        });
        // SAFETY: the host has `cap` bytes at `json` and one number at `needed`.
        unsafe { raw::write_text(&report.to_string(), json, cap, needed) }
    })
}
