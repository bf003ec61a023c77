//! What comes in, from any thread: time, frames, taps, commands.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sonotap::error::{Error, ErrorKind};
use sonotap::frame::{Frame, ImageRegion, PixelScale, RegionContent, ScaleSource, frame_bytes};
use sonotap::geometry::{Point, Rect};
use sonotap::input::{Contact, Phase};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::entry::Entered;
use sonotap::prompt::Polarity;
use sonotap::scene::Tool;
use sonotap::session::Command;
use sonotap::source::camera::{CameraFormat, Colours, Levels, Matrix, PictureLayout, convert_buffers};
use sonotap::units::{FrameId, Millimetres, ObjectId, Timestamp};

use crate::boundary::{Failure, Outcome};
use crate::session::{Letter, Session, with_session};
use crate::types::*;
use crate::{faults, raw};

/// The session's clock, ns; 0 for a handle that is not open. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_now_ns(session: *const sonotap_session) -> u64 {
    let mut now = 0;
    with_session(session, |session| {
        now = session.clock.now().as_ns();
        Ok(SONOTAP_OK)
    });
    now
}

/// Sets the clock of a session opened with SONOTAP_HOST_CLOCK; it never runs backwards. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_set_now_ns(session: *mut sonotap_session, now_ns: u64) -> sonotap_status {
    with_session(session, |session| {
        let hand = session.hand.as_ref().ok_or_else(|| {
            Failure::new(SONOTAP_E_CONFIG, "set_now_ns: expected a session opened with SONOTAP_HOST_CLOCK, got another")
        })?;
        let before = hand.fetch_max(now_ns, Ordering::AcqRel);
        if before > now_ns {
            return Err(Failure::argument(format!("now_ns: expected at least {before}, got {now_ns}")));
        }
        session.tell();
        Ok(SONOTAP_OK)
    })
}

/// Copies a frame in, once, and never waits for the display or the model. frame_id gets its number, for taps; it may be NULL.
/// OK, REPLACED or NO_ROOM. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_push_frame(
    session: *mut sonotap_session,
    frame: *const sonotap_frame,
    frame_id: *mut u64,
) -> sonotap_status {
    with_session(session, |session| {
        // SAFETY: the host has a structure of its size there.
        let host = unsafe { raw::read(frame) }?;
        // SAFETY: its planes have their bytes, which nobody writes during the call.
        let planes = unsafe { planes_of(&host) }?;
        let picture = Checked::of(&host, session, &planes)?;
        faults::point("push");
        let buffers = &planes.buffers[..planes.count];
        let fill = |frame: &mut Frame| picture.fill(buffers, session, frame);
        let entered = session.input.push_by(fill, picture.time, Some(host.host_id))?;
        let (status, id) = match entered {
            Entered::Taken { id } => (SONOTAP_OK, id),
            Entered::Displaced { id } => (SONOTAP_REPLACED, id),
            Entered::NoBuffer => return Ok(SONOTAP_NO_ROOM),
        };
        // SAFETY: the host's place for one number, or NULL.
        unsafe { raw::put(frame_id, id.0) };
        session.tell();
        Ok(status)
    })
}

struct Planes<'a> {
    format: CameraFormat,
    buffers: [&'a [u8]; 2],
    count: usize,
}

/// # Safety
/// The planes have their bytes.
unsafe fn planes_of<'a>(host: &sonotap_frame) -> Outcome<Planes<'a>> {
    let fourcc = host.fourcc.to_le_bytes();
    let known = CameraFormat::from_fourcc(fourcc).filter(|f| f.buffers() == 1);
    let Some(format) = known else {
        let known: Vec<String> = CameraFormat::ALL
            .iter()
            .filter(|f| f.buffers() == 1)
            .map(|f| String::from_utf8_lossy(&f.fourcc()).trim_end().to_owned())
            .collect();
        let text = format!("fourcc: expected one of {known:?}, got {:?}", String::from_utf8_lossy(&fourcc));
        return Err(Failure::new(SONOTAP_E_UNSUPPORTED, text));
    };
    // SAFETY: the caller's.
    let first = unsafe { raw::bytes("plane[0]", host.plane[0], host.plane_bytes[0]) }?;
    if host.plane[1].is_null() {
        return Ok(Planes { format, buffers: [first, &[]], count: 1 });
    }
    if format != CameraFormat::Nv12 {
        let text = "plane[1]: expected a second plane with NV12 only: other chroma follows luma in plane[0]";
        return Err(Failure::new(SONOTAP_E_UNSUPPORTED, text));
    }
    // SAFETY: the caller's.
    let second = unsafe { raw::bytes("plane[1]", host.plane[1], host.plane_bytes[1]) }?;
    Ok(Planes { format: CameraFormat::Nm12, buffers: [first, second], count: 2 })
}

/// A host's frame whose every field can be.
struct Checked {
    layout: PictureLayout,
    time: CaptureTime,
    region: ImageRegion,
    scale: Option<PixelScale>,
}

impl Checked {
    fn of(host: &sonotap_frame, session: &Session, planes: &Planes<'_>) -> Outcome<Self> {
        let colours = Colours {
            levels: if host.is_full_range == 0 { Levels::Limited } else { Levels::Full },
            matrix: if host.is_bt709 == 0 { Matrix::Bt601 } else { Matrix::Bt709 },
        };
        let format = planes.format;
        let (width, height) = (host.width, host.height);
        let kept = PictureLayout::new(format, 0, 0, 0, colours).frame_format(session.ink);
        let bytes = frame_bytes(width, height, kept)?;
        if bytes > session.frame_bytes_max {
            let max = session.frame_bytes_max;
            let text = format!("frame of {width}x{height}: expected at most {max} bytes, as opened, got {bytes}");
            return Err(Failure::new(SONOTAP_E_MEMORY, text));
        }
        let row = format.row_bytes(width);
        for (i, stride) in host.stride.into_iter().enumerate() {
            if stride != 0 && (stride as usize) < row {
                return Err(Failure::argument(format!("stride[{i}]: expected at least {row} bytes, got {stride}")));
            }
        }
        let layout = PictureLayout::new(format, width, height, host.stride[0] as usize, colours);
        let layout = match planes.count {
            // A plane of its own has a stride of its own.
            2 => PictureLayout { chroma_stride: chroma_stride(host), ..layout },
            _ => layout,
        };
        if host.reserved != 0 {
            return Err(Failure::argument(format!("reserved: expected 0, got {}", host.reserved)));
        }
        Ok(Self { layout, time: time_of(host)?, region: region_of(host)?, scale: scale_of(host)? })
    }

    fn fill(&self, buffers: &[&[u8]], session: &Session, frame: &mut Frame) -> Result<(), Error> {
        convert_buffers(&self.layout, buffers, session.ink, frame).map_err(|e| e.within("frame"))?;
        frame.set_region(self.region)?;
        frame.set_scale(self.scale);
        Ok(())
    }
}

/// Bytes of a row of the second plane of NV12: two for every two columns.
fn chroma_stride(host: &sonotap_frame) -> usize {
    match host.stride[1] {
        0 => 2 * (host.width as usize).div_ceil(2),
        stride => stride as usize,
    }
}

fn time_of(host: &sonotap_frame) -> Outcome<CaptureTime> {
    Ok(match host.time_kind {
        SONOTAP_TIME_NOW => CaptureTime::Now,
        SONOTAP_TIME_SESSION => CaptureTime::Live(Timestamp::from_ns(host.time_ns)),
        SONOTAP_TIME_AGE => CaptureTime::Ago(Duration::from_nanos(host.time_ns)),
        SONOTAP_TIME_HOST => CaptureTime::Host(Duration::from_nanos(host.time_ns)),
        got => return Err(Failure::argument(format!("time_kind: expected 0 to 3, got {got}"))),
    })
}

fn region_of(host: &sonotap_frame) -> Outcome<ImageRegion> {
    let content = match host.content {
        SONOTAP_CONTENT_UNKNOWN => RegionContent::Unknown,
        SONOTAP_CONTENT_BMODE => RegionContent::BMode,
        SONOTAP_CONTENT_BMODE_COLOUR => RegionContent::BModeWithColour,
        SONOTAP_CONTENT_COLOUR => RegionContent::ColourDoppler,
        SONOTAP_CONTENT_SPECTRUM => RegionContent::Spectrum,
        SONOTAP_CONTENT_MMODE => RegionContent::MMode,
        SONOTAP_CONTENT_TRACE => RegionContent::Trace,
        got => return Err(Failure::argument(format!("content: expected 0 to 6, got {got}"))),
    };
    let sonotap_rect { x, y, w, h } = host.region;
    let rect = match w == 0.0 && h == 0.0 {
        true => Rect::new(0.0, 0.0, host.width as f32, host.height as f32),
        false => Rect::new(x, y, x + w, y + h),
    };
    Ok(ImageRegion { rect, content })
}

fn scale_of(host: &sonotap_frame) -> Outcome<Option<PixelScale>> {
    let source = match host.scale_source {
        SONOTAP_SCALE_DEVICE => ScaleSource::Profile,
        SONOTAP_SCALE_DICOM => ScaleSource::DicomRegion,
        SONOTAP_SCALE_TWO_POINT => ScaleSource::TwoPoint,
        SONOTAP_SCALE_PHANTOM => ScaleSource::Phantom,
        got => return Err(Failure::argument(format!("scale_source: expected 0 to 3, got {got}"))),
    };
    let (x, y) = (host.mm_per_px_x, host.mm_per_px_y);
    if x == 0.0 && y == 0.0 {
        return Ok(None);
    }
    let scale = PixelScale::new(Millimetres(x.into()), Millimetres(y.into()), source);
    scale.map(Some).ok_or_else(|| {
        Failure::argument(format!("mm_per_px: expected two lengths above 0, or 0 and 0, got {x} and {y}"))
    })
}

/// There is no signal: a cable was pulled, a probe unplugged. Outlines are hidden until a frame comes in. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_signal_lost(session: *mut sonotap_session) -> sonotap_status {
    with_session(session, |session| {
        session.input.forget_waiting();
        session.mailbox().is_signal_lost = true;
        session.tell();
        Ok(SONOTAP_OK)
    })
}

/// A tap on the frame numbered shown, the one that the operator saw at touch-down; 0 for the one shown now. polarity: 1 belongs to the
/// object, -1 does not, 0 as the tool says. at_ns: time of touch-down on the session's clock; 0 for now. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_tap(
    session: *mut sonotap_session,
    x: f32,
    y: f32,
    polarity: i32,
    shown: u64,
    at_ns: u64,
) -> sonotap_status {
    with_session(session, |session| {
        finite(&[x, y])?;
        let polarity = match polarity {
            0 => None,
            1 => Some(Polarity::Positive),
            -1 => Some(Polarity::Negative),
            got => return Err(Failure::argument(format!("polarity: expected -1, 0 or 1, got {got}"))),
        };
        let click = Command::Click { at: Point::new(x, y), polarity, shown: shown_of(session, shown) };
        session.post(Letter::Command(click, time_on(session, at_ns)))
    })
}

/// A box drawn around the active object, between two of its corners; shown and at_ns as for a tap. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_box(
    session: *mut sonotap_session,
    x0: f32,
    y0: f32,
    x1: f32,
    y1: f32,
    shown: u64,
    at_ns: u64,
) -> sonotap_status {
    with_session(session, |session| {
        finite(&[x0, y0, x1, y1])?;
        let rect = Rect::between(Point::new(x0, y0), Point::new(x1, y1));
        let drag = Command::BoxPrompt { rect, shown: shown_of(session, shown) };
        session.post(Letter::Command(drag, time_on(session, at_ns)))
    })
}

/// A command of the operator: SONOTAP_UNDO and others; argument as they say. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_command(session: *mut sonotap_session, command: u32, argument: f32) -> sonotap_status {
    with_session(session, |session| {
        let is_on = || match argument {
            0.0 => Ok(false),
            1.0 => Ok(true),
            got => Err(Failure::argument(format!("argument: expected 0 or 1, got {got}"))),
        };
        let command = match command {
            SONOTAP_UNDO => Command::Undo,
            SONOTAP_REDO => Command::Redo,
            SONOTAP_CLEAR => Command::Clear,
            SONOTAP_TOGGLE_FREEZE => Command::ToggleFreeze,
            SONOTAP_FREEZE => Command::Freeze,
            SONOTAP_UNFREEZE => Command::Unfreeze,
            SONOTAP_STEP_BACK => Command::StepBack,
            SONOTAP_STEP_FORWARD => Command::StepForward,
            SONOTAP_SCRUB if (0.0..=1.0).contains(&argument) => Command::ScrubTo(argument),
            SONOTAP_SCRUB => return Err(Failure::argument(format!("argument: expected 0 to 1, got {argument}"))),
            SONOTAP_NEW_OBJECT => Command::NewObject,
            SONOTAP_SELECT => Command::Select(object_of(argument)?),
            SONOTAP_TOOL_INCLUDE => Command::ChooseTool(Tool::Include),
            SONOTAP_TOOL_EXCLUDE => Command::ChooseTool(Tool::Exclude),
            SONOTAP_CYCLE_FILL => Command::CycleFill,
            SONOTAP_HIDE_OVERLAY => Command::HideOverlay(is_on()?),
            SONOTAP_NEXT_CANDIDATE => Command::NextCandidate,
            SONOTAP_EASE => return session.post(Letter::Ease(is_on()?)),
            got => return Err(Failure::argument(format!("command: expected 1 to {SONOTAP_EASE}, got {got}"))),
        };
        session.post(Letter::Command(command, session.clock.now()))
    })
}

/// A finger on the screen that SONOTAP_DRAW_SCREEN drew, in its px; it may press a control. phase: SONOTAP_CONTACT_... finger: 0 to 255.
/// size_mm: longest side of the patch, 0 when it is not known. at_ns as for a tap. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_contact(
    session: *mut sonotap_session,
    phase: u32,
    finger: u32,
    x: f32,
    y: f32,
    size_mm: f32,
    at_ns: u64,
) -> sonotap_status {
    with_session(session, |session| {
        finite(&[x, y, size_mm])?;
        let phase = match phase {
            SONOTAP_CONTACT_DOWN => Phase::Down,
            SONOTAP_CONTACT_MOVE => Phase::Move,
            SONOTAP_CONTACT_UP => Phase::Up,
            SONOTAP_CONTACT_CANCEL => Phase::Cancel,
            got => return Err(Failure::argument(format!("phase: expected 0 to 3, got {got}"))),
        };
        let finger =
            u8::try_from(finger).map_err(|_| Failure::argument(format!("finger: expected 0 to 255, got {finger}")))?;
        session.post(Letter::Contact(Contact {
            finger,
            phase,
            at: Point::new(x, y),
            size_mm: (size_mm > 0.0).then_some(size_mm),
            time: time_on(session, at_ns),
            shown: shown_of(session, 0),
        }))
    })
}

/// Another patient. Prompts, outlines, frames and waiting commands of the one before are forgotten, and from the return of this call
/// on none of their pictures is handed over. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_new_exam(session: *mut sonotap_session) -> sonotap_status {
    with_session(session, |session| {
        let mut mailbox = session.mailbox();
        session.exams.fetch_add(1, Ordering::AcqRel);
        session.input.forget_waiting();
        mailbox.letters.clear();
        mailbox.is_new_exam = true;
        drop(mailbox);
        session.tell();
        Ok(SONOTAP_OK)
    })
}

fn finite(values: &[f32]) -> Outcome<()> {
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(Failure::argument(format!("expected finite coordinates, got {v}"))),
        None => Ok(()),
    }
}

fn shown_of(session: &Session, shown: u64) -> Option<FrameId> {
    let id = if shown == 0 { session.on_screen.load(Ordering::Acquire) } else { shown };
    (id != 0).then_some(FrameId(id))
}

/// A time of the host's, at the latest now.
fn time_on(session: &Session, at_ns: u64) -> Timestamp {
    let now = session.clock.now();
    if at_ns == 0 { now } else { Timestamp::from_ns(at_ns).min(now) }
}

fn object_of(argument: f32) -> Outcome<ObjectId> {
    match argument {
        0.0 => Ok(ObjectId(0)),
        1.0 => Ok(ObjectId(1)),
        2.0 => Ok(ObjectId(2)),
        3.0 => Ok(ObjectId(3)),
        got => Err(Error::new(ErrorKind::Argument, format!("argument: expected 0, 1, 2 or 3, got {got}")).into()),
    }
}
