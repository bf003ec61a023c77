//! Shall a frame be shown now, wait for its own mask, or be dropped: the bound on latency, as a pure decision.
//!
//! The bound is on the light at the glass. A frame is worth drawing while, drawn as fast as it ever was lately, the display
//! can still bring it to the glass within its deadline; it waits for its mask no longer than a slow drawing would allow.

use std::time::Duration;

use crate::glass::{DisplayTiming, Glass};
use crate::units::{Span, Timestamp};

/// What to do with a frame that the display side has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Show it with what there is.
    Show,
    /// Its own mask may come in time, before the next frame; look again when it has come, or at this time.
    WaitUntil(Timestamp),
    /// It cannot be at the glass within its deadline: a newer one will be shown instead.
    Drop,
}

/// Decides by the deadline, by what drawing takes, by what the display takes, and by how long looks take.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    deadline: Duration,
    period: Duration,
    glass: Glass,
    /// What drawing takes when it is slow.
    draw_ns: f64,
    /// And when it is fast.
    draw_least_ns: f64,
    look_ns: Option<f64>,
}

/// Weight of the newest span in the running means: about the last eight count.
const NEWEST: f64 = 1.0 / 8.0;
/// Of the deadline, the share that waiting and drawing may use up; the rest is for the scheduler.
const USABLE: f64 = 0.9;

impl Pacer {
    /// A pacer for frames that may be `deadline` old when they are at the glass, and come once a `period`.
    pub fn new(deadline: Duration, period: Duration) -> Self {
        let glass = Glass::new(DisplayTiming::default());
        Self { deadline, period, glass, draw_ns: 5e6, draw_least_ns: 0.0, look_ns: None }
    }

    /// Greatest age at the glass.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Between frames.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What is known of the display.
    pub fn glass(&self) -> &Glass {
        &self.glass
    }

    /// Another display, of which nothing but its kind is known.
    pub fn set_display(&mut self, timing: DisplayTiming) {
        self.glass = Glass::new(timing);
    }

    /// Notes what drawing a frame took, up to its hand-over. A longer one counts at once, shorter ones slowly.
    pub fn drew(&mut self, span: Duration) {
        let span = span.as_ns() as f64;
        let slowly = |known: f64| known + (span - known) * NEWEST;
        self.draw_ns = span.max(slowly(self.draw_ns));
        self.draw_least_ns = span.min(slowly(self.draw_least_ns));
    }

    /// Notes when a picture handed over to the display was at the glass.
    pub fn lit(&mut self, handed: Timestamp, light: Timestamp) {
        self.glass.lit(handed, light);
    }

    /// Notes what a look took from request to answer.
    pub fn looked(&mut self, span: Duration) {
        let span = span.as_ns() as f64;
        self.look_ns = Some(self.look_ns.map_or(span, |m| m + (span - m) * NEWEST));
    }

    /// Whether a picture of a frame captured at `captured` that is handed over at `now` will be at the glass in time.
    pub fn can_make(&self, now: Timestamp, captured: Timestamp) -> bool {
        self.glass.light_for(now) <= captured + self.deadline
    }

    /// What to do at `now` with a frame captured at `captured`, whose look was asked for at `asked` (if it was).
    pub fn decide(&self, now: Timestamp, captured: Timestamp, asked: Option<Timestamp>) -> Pace {
        if !self.can_make(now + Duration::from_nanos(self.draw_least_ns as u64), captured) {
            return Pace::Drop;
        }
        let (Some(asked), Some(look_ns)) = (asked, self.look_ns) else { return Pace::Show };
        let draw = Duration::from_nanos(self.draw_ns as u64);
        // A frame that waited until the next one comes would never be shown, nor would that one.
        let usable = Duration::from_nanos((self.deadline.min(self.period).as_ns() as f64 * USABLE) as u64);
        let latest = (captured + usable).min(self.glass.handed_for(captured + self.deadline));
        let until = latest - draw;
        let expected = asked + Duration::from_nanos(look_ns as u64);
        if now < until && expected <= until { Pace::WaitUntil(until) } else { Pace::Show }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(v: u64) -> Timestamp {
        Timestamp::from_ms(v)
    }

    fn span(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pacer(look_ms: Option<u64>) -> Pacer {
        let mut p = Pacer::new(span(33), span(33));
        p.drew(span(5));
        if let Some(l) = look_ms {
            p.looked(span(l));
        }
        p
    }

    #[test]
    fn a_frame_older_than_its_deadline_is_dropped() {
        assert_eq!(pacer(None).decide(ms(134), ms(100), None), Pace::Drop);
        assert_eq!(pacer(None).decide(ms(132), ms(100), None), Pace::Show);
    }

    #[test]
    fn a_frame_that_the_next_refresh_would_show_too_late_is_dropped() {
        let mut p = pacer(None);
        p.set_display(DisplayTiming::AtRefresh { period: span(20) });
        p.lit(ms(95), ms(100));
        // Refreshes at 120, 140, 160; a frame of 101 must be at the glass by 134.
        assert_eq!(p.decide(ms(118), ms(101), None), Pace::Show, "the refresh of 120 shows it");
        assert_eq!(p.decide(ms(120), ms(101), None), Pace::Drop, "the next is at 140");
        assert!(p.can_make(ms(119), ms(101)) && !p.can_make(ms(120), ms(101)));
    }

    #[test]
    fn a_wait_ends_before_the_last_refresh_within_the_deadline() {
        let mut p = pacer(Some(8));
        p.set_display(DisplayTiming::AtRefresh { period: span(20) });
        p.lit(ms(95), ms(100));
        let Pace::WaitUntil(until) = p.decide(ms(102), ms(101), Some(ms(102))) else { panic!("does not wait") };
        assert!(until + span(5) <= ms(119), "{until:?}: drawn after the hand-over for the refresh of 120");
    }

    #[test]
    fn one_slow_drawing_does_not_drop_the_frames_after_it() {
        let mut p = pacer(None);
        (0..9).for_each(|_| p.drew(span(4)));
        p.drew(span(60));
        assert_eq!(p.decide(ms(101), ms(100), None), Pace::Show);
    }

    #[test]
    fn only_a_model_that_can_make_it_is_waited_for() {
        for (look, waits) in [(Some(8), true), (Some(100), false), (None, false)] {
            let decision = pacer(look).decide(ms(101), ms(100), Some(ms(101)));
            assert_eq!(matches!(decision, Pace::WaitUntil(_)), waits, "{look:?}: {decision:?}");
        }
    }

    #[test]
    fn no_frame_waits_until_the_next_one_comes() {
        for (look, waits) in [(8, true), (60, false), (200, false)] {
            let mut p = Pacer::new(span(400), span(33));
            p.drew(span(5));
            p.looked(span(look));
            match p.decide(ms(101), ms(100), Some(ms(101))) {
                Pace::WaitUntil(until) => assert!(waits && until + span(5) <= ms(133), "{look}: {until:?}"),
                other => assert!(!waits, "{look}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_wait_ends_early_enough_to_draw_before_the_deadline() {
        let p = pacer(Some(8));
        let Pace::WaitUntil(until) = p.decide(ms(101), ms(100), Some(ms(101))) else { panic!("does not wait") };
        assert!(until + span(5) <= ms(133), "{until:?}");
        assert_eq!(p.decide(until, ms(100), Some(ms(101))), Pace::Show, "waits twice");
    }
}
