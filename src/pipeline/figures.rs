//! What a run comes to: every frame followed from capture to the glass, the outlines on it, and the worst case.

use std::time::Duration;

use serde::Serialize;

use super::stats::{Drops, Histogram, Shown, Summary};
use crate::units::{Span, Timestamp};

/// The way of one frame, as times on the live path's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTimes {
    /// At the source.
    pub captured: Timestamp,
    /// Taken by the display thread.
    pub taken: Timestamp,
    /// Its motion was known, its mask come or not awaited: the scene was made.
    pub composed: Timestamp,
    /// Drawn, and handed to the display.
    pub handed: Timestamp,
    /// At the glass.
    pub lit: Timestamp,
}

impl FrameTimes {
    /// Age at the glass.
    pub fn age(&self) -> Duration {
        self.lit.since(self.captured)
    }
}

/// Where the time of one frame went, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FrameTrace {
    /// From capture until the display thread took it.
    pub to_display_thread: f64,
    /// Motion, carrying, waiting for its own mask.
    pub prepare: f64,
    /// Drawing.
    pub draw: f64,
    /// From the hand-over to light at the glass.
    pub to_glass: f64,
    /// All of it.
    pub age: f64,
}

impl From<FrameTimes> for FrameTrace {
    fn from(t: FrameTimes) -> Self {
        Self {
            to_display_thread: t.taken.since(t.captured).as_ms(),
            prepare: t.composed.since(t.taken).as_ms(),
            draw: t.handed.since(t.composed).as_ms(),
            to_glass: t.lit.since(t.handed).as_ms(),
            age: t.age().as_ms(),
        }
    }
}

/// Figures of a run so far.
#[derive(Default)]
pub(super) struct Figures {
    pub age: Histogram,
    pub to_display_thread: Histogram,
    pub prepare: Histogram,
    pub draw: Histogram,
    pub to_glass: Histogram,
    pub tap_to_marker: Histogram,
    pub tap_to_mask: Histogram,
    pub motion: Histogram,
    pub encode: Histogram,
    pub decode: Histogram,
    pub look: Histogram,
    pub suggest: Histogram,
    pub shown: Shown,
    pub drops: Drops,
    pub frames: u64,
    pub redraws: u64,
    pub late_under_live: u64,
    pub late_said: u64,
    pub unconfirmed: u64,
    pub refused: u64,
    pub worker_restarts: u64,
    pub worst: Option<FrameTimes>,
}

impl Figures {
    /// Counts a live frame that came to the glass for the first time.
    pub(super) fn follow(&mut self, times: FrameTimes) {
        self.age.record(times.age());
        self.to_display_thread.record(times.taken.since(times.captured));
        self.prepare.record(times.composed.since(times.taken));
        if self.worst.is_none_or(|w| w.age() < times.age()) {
            self.worst = Some(times);
        }
    }
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LiveReport {
    /// Different frames shown.
    pub frames: u64,
    /// Times that a frame was drawn again because something else changed.
    pub redraws: u64,
    /// What became of the deadline.
    #[serde(skip)]
    pub deadline: DeadlineReport,
    /// Frames and looks that were left out.
    pub drops: Drops,
    /// Frames that the engine refused.
    pub refused: u64,
    /// Times that the model's thread was started again.
    pub worker_restarts: u64,
    /// How outlines were shown.
    pub shown: Shown,
    /// From capture until the display thread took it, live frames.
    pub to_display_thread: Summary,
    /// Motion, carrying and waiting for the frame's own mask.
    pub prepare: Summary,
    /// Drawing, a presentation.
    pub draw: Summary,
    /// From the hand-over to light at the glass, a presentation.
    pub to_glass: Summary,
    /// From touch-down to the marker at the glass.
    pub tap_to_marker: Summary,
    /// From touch-down to an outline that obeys it at the glass.
    pub tap_to_mask: Summary,
    /// Motion and carrying, a frame.
    pub motion: Summary,
    /// Encoder, a look.
    pub encode: Summary,
    /// All decodes, a look.
    pub decode: Summary,
    /// A look from begin to end.
    pub look: Summary,
    /// A suggestion from begin to end: encoder and proposal.
    pub suggest: Summary,
}

/// What became of the deadline: the bound on a live frame's age when it first is at the glass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DeadlineReport {
    /// Greatest age allowed at the glass, ms.
    pub limit_ms: f64,
    /// Frames that were at the glass after their deadline while the screen said LIVE.
    pub late_under_live: u64,
    /// Frames that were, while the screen said that they are late (DELAYED or TOO SLOW).
    pub late_said: u64,
    /// Frames given out to be drawn of which nobody said when they were at the glass; they count as late.
    pub unconfirmed: u64,
    /// Age of live frames when they first were at the glass, ms.
    pub age_at_glass_ms: Age,
    /// Where the time of the oldest of them went, ms.
    pub worst: Option<FrameTrace>,
}

/// Ages, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Age {
    /// Live frames that were at the glass.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// The oldest.
    pub max: f64,
}

impl Figures {
    pub(super) fn report(&self, deadline: Duration) -> LiveReport {
        let age = self.age.summary();
        LiveReport {
            frames: self.frames,
            redraws: self.redraws,
            deadline: DeadlineReport {
                limit_ms: deadline.as_ms(),
                late_under_live: self.late_under_live,
                late_said: self.late_said,
                unconfirmed: self.unconfirmed,
                age_at_glass_ms: Age {
                    count: age.count,
                    p50: age.p50_ms,
                    p99: age.p99_ms,
                    p999: age.p999_ms,
                    max: age.max_ms,
                },
                worst: self.worst.map(FrameTrace::from),
            },
            drops: self.drops,
            refused: self.refused,
            worker_restarts: self.worker_restarts,
            shown: self.shown,
            to_display_thread: self.to_display_thread.summary(),
            prepare: self.prepare.summary(),
            draw: self.draw.summary(),
            to_glass: self.to_glass.summary(),
            tap_to_marker: self.tap_to_marker.summary(),
            tap_to_mask: self.tap_to_mask.summary(),
            motion: self.motion.summary(),
            encode: self.encode.summary(),
            decode: self.decode.summary(),
            look: self.look.summary(),
            suggest: self.suggest.summary(),
        }
    }
}
