//! Shall a frame be shown now, wait for its own mask, or be dropped: the bound on latency, as a pure decision.

use crate::units::Nanos;

/// What to do with a frame that the display side has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Show it with what there is.
    Show,
    /// Its own mask may come in time, before the next frame; look again when it has come, or at this time.
    WaitUntil(Nanos),
    /// It is older than its deadline: a newer one will be shown instead.
    Drop,
}

/// Decides by the deadline, by what drawing takes and by how long looks take.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    deadline: Nanos,
    period: Nanos,
    draw_ns: f64,
    look_ns: Option<f64>,
}

/// Weight of the newest span in the running means: about the last eight count.
const NEWEST: f64 = 1.0 / 8.0;
/// Of the deadline, the share that waiting and drawing may use up; the rest is for the scheduler.
const USABLE: f64 = 0.9;

impl Pacer {
    /// A pacer for frames that may be `deadline` old when shown, and come once a `period`.
    pub fn new(deadline: Nanos, period: Nanos) -> Self {
        Self { deadline, period, draw_ns: 5e6, look_ns: None }
    }

    /// Greatest age at display.
    pub fn deadline(&self) -> Nanos {
        self.deadline
    }

    /// Between frames.
    pub fn period(&self) -> Nanos {
        self.period
    }

    /// Changes the greatest age at display.
    pub fn set_deadline(&mut self, deadline: Nanos) {
        self.deadline = deadline;
    }

    /// Notes what drawing and presenting a frame took. A longer one counts at once, shorter ones slowly.
    pub fn drew(&mut self, span: Nanos) {
        let span = span.0 as f64;
        self.draw_ns = if span > self.draw_ns { span } else { self.draw_ns + (span - self.draw_ns) * NEWEST };
    }

    /// Notes what a look took from request to answer.
    pub fn looked(&mut self, span: Nanos) {
        let span = span.0 as f64;
        self.look_ns = Some(self.look_ns.map_or(span, |m| m + (span - m) * NEWEST));
    }

    /// What to do at `now` with a frame captured at `captured`, whose look was asked for at `asked` (if it was).
    pub fn decide(&self, now: Nanos, captured: Nanos, asked: Option<Nanos>) -> Pace {
        let age = now.since(captured);
        if age > self.deadline {
            return Pace::Drop;
        }
        let (Some(asked), Some(look_ns)) = (asked, self.look_ns) else { return Pace::Show };
        // A frame that waited until the next one comes would never be shown, nor would that one.
        let budget = (self.deadline.min(self.period).0 as f64 * USABLE - self.draw_ns).max(0.0);
        let until = captured + Nanos(budget as u64);
        let expected = asked + Nanos(look_ns as u64);
        if now < until && expected <= until { Pace::WaitUntil(until) } else { Pace::Show }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(v: u64) -> Nanos {
        Nanos::from_ms(v)
    }

    fn pacer(look_ms: Option<u64>) -> Pacer {
        let mut p = Pacer::new(ms(33), ms(33));
        p.drew(ms(5));
        if let Some(l) = look_ms {
            p.looked(ms(l));
        }
        p
    }

    #[test]
    fn a_frame_older_than_its_deadline_is_dropped() {
        assert_eq!(pacer(None).decide(ms(134), ms(100), None), Pace::Drop);
        assert_eq!(pacer(None).decide(ms(133), ms(100), None), Pace::Show);
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
            let mut p = Pacer::new(ms(400), ms(33));
            p.drew(ms(5));
            p.looked(ms(look));
            match p.decide(ms(101), ms(100), Some(ms(101))) {
                Pace::WaitUntil(until) => assert!(waits && until + ms(5) <= ms(133), "{look}: {until:?}"),
                other => assert!(!waits, "{look}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_wait_ends_early_enough_to_draw_before_the_deadline() {
        let p = pacer(Some(8));
        let Pace::WaitUntil(until) = p.decide(ms(101), ms(100), Some(ms(101))) else { panic!("does not wait") };
        assert!(until + ms(5) <= ms(133), "{until:?}");
        assert_eq!(p.decide(until, ms(100), Some(ms(101))), Pace::Show, "waits twice");
    }
}
