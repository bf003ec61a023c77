//! States of a scene as numbers of the header. Every match is total: a new state does not compile until it has its number.

use sonotap::frame::{Frame, ScaleSource};
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::pipeline::live::Ticket;
use sonotap::prompt::Polarity;
use sonotap::scene::{
    FillLevel, HiddenReason, LostReason, Marker, Mode, Notice, ObjectScene, Overlay, Scene, Signal, Tool,
};
use sonotap::units::ObjectId;
use sonotap::units::Span as _;

use crate::types::*;

pub(crate) fn scene(frame: &Frame, scene: &Scene, ticket: &Ticket, number: u64) -> sonotap_scene {
    let (notice, notice_object, notice_reason) = notice(scene.notice);
    let cine = scene.cine.unwrap_or_default();
    sonotap_scene {
        struct_size: size_of::<sonotap_scene>() as u32,
        objects: scene.objects.len() as u32,
        ticket: number,
        frame_id: frame.id().map_or(0, |id| id.0),
        host_id: frame.host_number().unwrap_or(0),
        captured_ns: frame.captured().as_ns(),
        due_ns: ticket.due().map_or(0, |due| due.as_ns()),
        age_ns: scene.frame_age.as_ns(),
        live_tick: scene.live_tick,
        width: frame.width(),
        height: frame.height(),
        mode: match scene.mode {
            Mode::Live => SONOTAP_MODE_LIVE,
            Mode::Frozen => SONOTAP_MODE_FROZEN,
            Mode::Review => SONOTAP_MODE_REVIEW,
        },
        signal: match scene.signal {
            Signal::Good => SONOTAP_SIGNAL_GOOD,
            Signal::Missing => SONOTAP_SIGNAL_MISSING,
            Signal::Repeating => SONOTAP_SIGNAL_REPEATING,
            Signal::Delayed => SONOTAP_SIGNAL_DELAYED,
            Signal::Late => SONOTAP_SIGNAL_LATE,
        },
        notice,
        notice_object,
        notice_reason,
        tool: match scene.tool {
            Tool::Include => 1,
            Tool::Exclude => 2,
            _ => SONOTAP_OTHER,
        },
        fill: match scene.fill {
            FillLevel::None => 0,
            FillLevel::Quarter => 25,
            FillLevel::Half => 50,
        },
        can_undo: scene.can_undo.into(),
        can_redo: scene.can_redo.into(),
        is_hot: scene.is_hot.into(),
        cine_index: cine.index as u32,
        cine_len: cine.len as u32,
    }
}

fn notice(notice: Option<Notice>) -> (u32, u32, u32) {
    let of = |object: ObjectId| u32::from(object.0);
    match notice {
        None => (SONOTAP_NOTICE_NONE, 0, 0),
        Some(Notice::TapToStart) => (SONOTAP_NOTICE_TAP_TO_START, 0, 0),
        Some(Notice::TapAgain(object, why)) => (SONOTAP_NOTICE_TAP_AGAIN, of(object), lost(why)),
        Some(Notice::AddPoint(object)) => (SONOTAP_NOTICE_ADD_POINT, of(object), 0),
        Some(Notice::OutlineChanged(object)) => (SONOTAP_NOTICE_OUTLINE_CHANGED, of(object), 0),
        Some(Notice::OutsideImage) => (SONOTAP_NOTICE_OUTSIDE_IMAGE, 0, 0),
        Some(Notice::PromptsFull) => (SONOTAP_NOTICE_PROMPTS_FULL, 0, 0),
        Some(Notice::ObjectsFull) => (SONOTAP_NOTICE_OBJECTS_FULL, 0, 0),
        Some(Notice::FrameGone) => (SONOTAP_NOTICE_FRAME_GONE, 0, 0),
        Some(Notice::NotBMode) => (SONOTAP_NOTICE_NOT_BMODE, 0, 0),
        Some(Notice::Misplaced(_)) => (SONOTAP_NOTICE_MISPLACED, 0, 0),
        Some(Notice::Unmeasured(object, _)) => (SONOTAP_NOTICE_UNMEASURED, of(object), 0),
        Some(Notice::ModelFailed) => (SONOTAP_NOTICE_MODEL_FAILED, 0, 0),
        Some(_) => (SONOTAP_OTHER, 0, 0),
    }
}

fn lost(why: LostReason) -> u32 {
    match why {
        LostReason::SceneCut => SONOTAP_LOST_SCENE_CUT,
        LostReason::MotionUnreliable => SONOTAP_LOST_MOTION,
        LostReason::Disagreement => SONOTAP_LOST_DISAGREEMENT,
        LostReason::LowScore => SONOTAP_LOST_LOW_SCORE,
        LostReason::AreaJump => SONOTAP_LOST_AREA_JUMP,
        LostReason::LeftImage => SONOTAP_LOST_LEFT_IMAGE,
        LostReason::SignalLost => SONOTAP_LOST_SIGNAL,
        _ => SONOTAP_OTHER,
    }
}

fn hidden(why: HiddenReason) -> u32 {
    match why {
        HiddenReason::Computing => SONOTAP_HIDDEN_COMPUTING,
        HiddenReason::TooOld => SONOTAP_HIDDEN_TOO_OLD,
        HiddenReason::ImplausibleMask => SONOTAP_HIDDEN_IMPLAUSIBLE,
        HiddenReason::ModelFailed => SONOTAP_HIDDEN_MODEL_FAILED,
        HiddenReason::NotBMode => SONOTAP_HIDDEN_NOT_BMODE,
        HiddenReason::NoSignal => SONOTAP_HIDDEN_NO_SIGNAL,
        HiddenReason::ByOperator => SONOTAP_HIDDEN_BY_OPERATOR,
        _ => SONOTAP_OTHER,
    }
}

pub(crate) fn object(object: &ObjectScene) -> sonotap_object {
    let (overlay, reason, age) = match object.overlay {
        Overlay::Exact => (SONOTAP_OVERLAY_EXACT, 0, 0),
        Overlay::Carried { age } => (SONOTAP_OVERLAY_CARRIED, 0, age.as_ns()),
        Overlay::Stale { age } => (SONOTAP_OVERLAY_STALE, 0, age.as_ns()),
        Overlay::Hidden(why) => (SONOTAP_OVERLAY_HIDDEN, hidden(why), 0),
        Overlay::Lost(why) => (SONOTAP_OVERLAY_LOST, lost(why), 0),
    };
    let is_drawn = object.overlay.is_drawn();
    let measured = object.measurements.filter(|_| is_drawn);
    let metric = measured.and_then(|m| m.metric);
    let px = |of: fn(&sonotap::measure::Measurements) -> f64| measured.as_ref().map_or(0.0, of);
    let mm = |of: fn(&sonotap::measure::MetricMeasurements) -> f64| metric.as_ref().map_or(0.0, of);
    sonotap_object {
        struct_size: size_of::<sonotap_object>() as u32,
        object: object.object.0.into(),
        is_active: object.is_active.into(),
        overlay,
        reason,
        points: if is_drawn { object.outline.points().len() as u32 } else { 0 },
        rings: if is_drawn { object.outline.rings().count() as u32 } else { 0 },
        markers: object.markers.len() as u32,
        prediction_age_ns: age,
        has_score: object.score.is_some().into(),
        score: object.score.map_or(0.0, |s| s.get()),
        is_measured: measured.is_some().into(),
        is_metric: metric.is_some().into(),
        scale_source: metric.map_or(0, |m| match m.source {
            ScaleSource::Profile => SONOTAP_SCALE_DEVICE,
            ScaleSource::DicomRegion => SONOTAP_SCALE_DICOM,
            ScaleSource::TwoPoint => SONOTAP_SCALE_TWO_POINT,
            ScaleSource::Phantom => SONOTAP_SCALE_PHANTOM,
            _ => SONOTAP_OTHER,
        }),
        reserved: 0,
        area_px: px(|m| m.area_px),
        perimeter_px: px(|m| m.perimeter_px),
        major_px: px(|m| m.ellipse_axes_px.0),
        minor_px: px(|m| m.ellipse_axes_px.1),
        longest_px: px(|m| m.longest_px),
        perpendicular_px: px(|m| m.perpendicular_px),
        area_mm2: mm(|m| m.area.0),
        perimeter_mm: mm(|m| m.perimeter.0),
        major_mm: mm(|m| m.ellipse_axes.0.0),
        minor_mm: mm(|m| m.ellipse_axes.1.0),
        longest_mm: mm(|m| m.longest.0),
        perpendicular_mm: mm(|m| m.perpendicular.0),
    }
}

pub(crate) fn marker(marker: &Marker) -> sonotap_marker {
    let (kind, rect) = match *marker {
        Marker::Click { at, polarity, .. } => {
            let kind = match polarity {
                Polarity::Positive => SONOTAP_MARKER_INCLUDE,
                Polarity::Negative => SONOTAP_MARKER_EXCLUDE,
            };
            (kind, sonotap_rect { x: at.x, y: at.y, w: 0.0, h: 0.0 })
        }
        Marker::Box { rect, .. } => (SONOTAP_MARKER_BOX, rect_of(&rect)),
    };
    sonotap_marker { struct_size: size_of::<sonotap_marker>() as u32, kind, rect }
}

fn rect_of(rect: &Rect<ImageSpace>) -> sonotap_rect {
    sonotap_rect { x: rect.x0, y: rect.y0, w: rect.width(), h: rect.height() }
}
