//! When the frames of a cine follow each other (PS3.3 C.7.6.5): by what the increment pointer names, else by what is there.

use std::time::Duration;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::units::Span;

/// Frame periods that are believed, ms: up to 1000 frames a second, and down to a triggered capture every ten seconds.
const PERIOD_MS: std::ops::RangeInclusive<f64> = 1.0..=10_000.0;
/// Intervals that differ by less than this, ms, are even.
const EVEN_MS: f64 = 0.5;

/// What a file says of its frames' times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Timing {
    /// Time from frame to frame; the mean of a vector.
    pub period: Option<Duration>,
    /// Time from each frame to the one before it, where it varies; as many as there are frames.
    pub intervals: Vec<Duration>,
    /// What was read and is not believed.
    pub refused: Option<String>,
}

/// Reads the timing of a cine of so many frames.
pub(super) fn read(object: &InMemDicomObject, frames: usize) -> Timing {
    let pointer = object.get(tags::FRAME_INCREMENT_POINTER).and_then(|e| e.value().primitive().map(|v| v.tags().ok()));
    let named: Vec<Tag> = pointer.flatten().map(<[Tag]>::to_vec).unwrap_or_default();
    let order = [tags::FRAME_TIME, tags::FRAME_TIME_VECTOR, tags::RECOMMENDED_DISPLAY_FRAME_RATE, tags::CINE_RATE];
    let mut timing = Timing::default();
    for tag in named.into_iter().filter(|t| order.contains(t)).chain(order) {
        match by_element(object, tag, frames) {
            Some(Ok(found)) => return Timing { refused: timing.refused, ..found },
            Some(Err(why)) => timing.refused = timing.refused.or(Some(why)),
            None => {}
        }
    }
    timing
}

fn by_element(object: &InMemDicomObject, tag: Tag, frames: usize) -> Option<Result<Timing, String>> {
    let numbers = object.get(tag).and_then(|e| e.to_multi_float64().ok()).unwrap_or_default();
    let first = numbers.first().copied();
    let ms = match tag {
        tags::FRAME_TIME_VECTOR => return by_vector(&numbers, frames),
        tags::FRAME_TIME => first?,
        _ => 1000.0 / first.filter(|rate| *rate != 0.0)?,
    };
    if ms == 0.0 {
        return None;
    }
    Some(match nanos(ms) {
        Some(period) => Ok(Timing { period: Some(period), ..Timing::default() }),
        None => Err(refusal(&format!("{tag}"), ms)),
    })
}

/// The first entry is the time from the first frame to itself; entries beyond the frames are of others.
fn by_vector(numbers: &[f64], frames: usize) -> Option<Result<Timing, String>> {
    let end = if frames > 1 { numbers.len().min(frames) } else { numbers.len() };
    let steps = numbers.get(1..end)?;
    if steps.is_empty() || steps.iter().all(|ms| *ms == 0.0) {
        return None;
    }
    let Some(intervals) = steps.iter().map(|ms| nanos(*ms)).collect::<Option<Vec<_>>>() else {
        let wrong = steps.iter().copied().find(|ms| nanos(*ms).is_none()).unwrap_or_default();
        return Some(Err(refusal("Frame Time Vector (0018,1065)", wrong)));
    };
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let is_even = steps.iter().all(|ms| (ms - mean).abs() <= EVEN_MS);
    // A vector that is too short says nothing of the other frames: they follow in the mean time.
    let rest = frames.saturating_sub(1 + intervals.len());
    let period = nanos(mean);
    let intervals = match (is_even, period) {
        (false, Some(mean)) => [mean].into_iter().chain(intervals).chain(std::iter::repeat_n(mean, rest)).collect(),
        _ => Vec::new(),
    };
    Some(Ok(Timing { period, intervals, refused: None }))
}

fn nanos(ms: f64) -> Option<Duration> {
    PERIOD_MS.contains(&ms).then(|| Duration::of_secs(ms / 1000.0))
}

fn refusal(what: &str, ms: f64) -> String {
    format!("{what}: expected {} to {} ms from frame to frame, got {ms}", PERIOD_MS.start(), PERIOD_MS.end())
}
