//! Detects a missing or frozen video signal.

use std::time::Duration;

use crate::scene::Signal;
use crate::units::Timestamp;

/// Frame periods without a new image until the signal counts as missing.
const PERIODS: u32 = 3;

/// Whether live frames reach the display within their deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeliness {
    /// In time.
    #[default]
    InTime,
    /// The last frame was late.
    Delayed,
    /// Several frames in a row were late, or no frame can be in time.
    TooSlow,
}

impl Timeliness {
    /// The signal state that the screen shows while images arrive.
    pub fn signal(self) -> Signal {
        match self {
            Self::InTime => Signal::Good,
            Self::Delayed => Signal::Delayed,
            Self::TooSlow => Signal::Late,
        }
    }
}

/// Watches arriving frames. A repeated image is an arrival, but not a new image.
#[derive(Clone, Copy, Debug)]
pub struct SignalWatch {
    period: Duration,
    last_arrival: Option<Timestamp>,
    last_new: Option<Timestamp>,
    tick: u64,
}

impl SignalWatch {
    /// A watch for a source of this frame period.
    pub fn new(period: Duration) -> Self {
        Self { period, last_arrival: None, last_new: None, tick: 0 }
    }

    /// Notes an arriving frame; `is_new` if its image differs from the one before.
    pub fn arrived(&mut self, captured: Timestamp, is_new: bool) {
        self.last_arrival = Some(captured);
        if is_new {
            self.last_new = Some(captured);
            self.tick += 1;
        }
    }

    /// Notes a frame that arrives while a different one stays on the screen. It counts as signal, but not as a shown image.
    pub fn arrived_unseen(&mut self, captured: Timestamp) {
        self.last_arrival = Some(captured);
        self.last_new = Some(captured);
    }

    /// Notes that the host says there is no signal: it is missing until something arrives.
    pub fn lost(&mut self) {
        self.last_arrival = None;
    }

    /// Number of new images that were shown.
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// The state at `now`.
    pub fn state(&self, now: Timestamp) -> Signal {
        let limit = self.period.saturating_mul(PERIODS);
        let is_within = |t: Option<Timestamp>| t.is_some_and(|t| now.since(t) <= limit);
        match (is_within(self.last_arrival), is_within(self.last_new)) {
            (false, _) => Signal::Missing,
            (true, false) => Signal::Repeating,
            (true, true) => Signal::Good,
        }
    }

    /// Time since the last new image; since the clock's start if there was none.
    pub fn without_picture(&self, now: Timestamp) -> Duration {
        now.since(self.last_new.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_said_to_be_lost_is_missing_at_once_until_something_arrives() {
        let ms = Timestamp::from_ms;
        let mut w = SignalWatch::new(Duration::from_millis(33));
        w.arrived(ms(10), true);
        w.lost();
        assert_eq!((w.state(ms(11)), w.without_picture(ms(30))), (Signal::Missing, Duration::from_millis(20)));
        w.arrived(ms(43), true);
        assert_eq!(w.state(ms(44)), Signal::Good);
    }

    #[test]
    fn stall_and_repeat_are_told_apart_after_three_periods() {
        let ms = Timestamp::from_ms;
        let mut w = SignalWatch::new(Duration::from_millis(33));
        assert_eq!(w.state(ms(0)), Signal::Missing);
        w.arrived(ms(10), true);
        assert_eq!(w.state(ms(109)), Signal::Good);
        assert_eq!(w.state(ms(110)), Signal::Missing);
        for t in [43, 76, 109, 142] {
            w.arrived(ms(t), false);
        }
        assert_eq!(w.state(ms(142)), Signal::Repeating);
        assert_eq!(w.tick(), 1, "a repeated picture moved the LIVE tick");
        w.arrived(ms(175), true);
        assert_eq!((w.state(ms(175)), w.tick()), (Signal::Good, 2));
    }
}
