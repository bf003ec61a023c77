//! What to do with a camera next: open it, read it, or wait. A pure decision, so that every way in which a camera fails
//! can be played on a fake clock.
//!
//! | what came | what follows |
//! |---|---|
//! | a picture | read on |
//! | no whole picture for `stall` (nothing, or damaged ones only) | close, open again at once |
//! | an error of the stream, or the device is gone | close, open again at once |
//! | opening failed, or a stream that never gave a picture | open again after `retry` |
//!
//! Guarantee: once the device is there and works, it is opened within `retry`.

use std::time::Duration;

use crate::units::Timestamp;

/// Times of the recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a whole picture for so long, a stream counts as stalled.
    pub stall: Duration,
    /// A stream that was just opened may take so long for its first picture.
    pub first: Duration,
    /// From one vain attempt to open to the next.
    pub retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stall: Duration::from_millis(300),
            first: Duration::from_millis(2_000),
            retry: Duration::from_millis(150),
        }
    }
}

/// Why a stream was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No whole picture for too long.
    Stalled,
    /// The driver returned an error.
    Failed,
    /// The device is not there any more.
    Gone,
}

impl Fault {
    /// A few words for the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stalled => "no picture",
            Self::Failed => "the driver failed",
            Self::Gone => "unplugged",
        }
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find and open the device, and start it.
    Open,
    /// Ask for the newest picture, waiting no longer than this.
    Read(Duration),
    /// Nothing until then.
    Wait(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { again: Timestamp },
    Open { last_picture: Timestamp, has_picture: bool },
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    patience: Patience,
    state: State,
    /// Since when pictures are missing; `None` while they come.
    missing_since: Option<Timestamp>,
}

impl Recovery {
    /// Nothing is open at `now`.
    pub fn new(patience: Patience, now: Timestamp) -> Self {
        Self { patience, state: State::Closed { again: now }, missing_since: Some(now) }
    }

    /// What to do at `now`.
    pub fn step(&self, now: Timestamp) -> Step {
        match self.state {
            State::Closed { again } if again <= now => Step::Open,
            State::Closed { again } => Step::Wait(again.since(now)),
            State::Open { last_picture, has_picture } => {
                Step::Read((last_picture + self.limit(has_picture)).since(now))
            }
        }
    }

    /// Whether pictures come.
    pub fn is_streaming(&self) -> bool {
        self.missing_since.is_none()
    }

    /// The device was opened and started.
    pub fn opened(&mut self, now: Timestamp) {
        self.state = State::Open { last_picture: now, has_picture: false };
    }

    /// The device could not be opened.
    pub fn open_failed(&mut self, now: Timestamp) {
        self.state = State::Closed { again: now + self.patience.retry };
    }

    /// A whole picture came; for how long there was none before it, when it is the first after an outage.
    pub fn delivered(&mut self, now: Timestamp) -> Option<Duration> {
        self.state = State::Open { last_picture: now, has_picture: true };
        self.missing_since.take().map(|since| now.since(since))
    }

    /// No whole picture came; the fault when the stream is to be closed for it.
    pub fn nothing(&mut self, now: Timestamp) -> Option<Fault> {
        let State::Open { last_picture, has_picture } = self.state else { return None };
        if now.since(last_picture) < self.limit(has_picture) {
            return None;
        }
        self.failed(now, Fault::Stalled);
        Some(Fault::Stalled)
    }

    /// The stream failed and is closed.
    pub fn failed(&mut self, now: Timestamp, _fault: Fault) {
        let had_picture = matches!(self.state, State::Open { has_picture: true, .. });
        let last_picture = match self.state {
            State::Open { last_picture, has_picture: true } => last_picture,
            _ => now,
        };
        self.missing_since.get_or_insert(last_picture);
        // A stream that never gave a picture would otherwise be opened without a pause.
        self.state = State::Closed { again: if had_picture { now } else { now + self.patience.retry } };
    }

    fn limit(&self, has_picture: bool) -> Duration {
        if has_picture { self.patience.stall } else { self.patience.first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Timestamp = Timestamp::from_ms;
    const SPAN: fn(u64) -> Duration = Duration::from_millis;

    fn streaming(at: u64) -> Recovery {
        let mut r = Recovery::new(Patience::default(), MS(0));
        assert_eq!(r.step(MS(0)), Step::Open);
        r.opened(MS(0));
        r.delivered(MS(at));
        r
    }

    #[test]
    fn an_outage_is_told_with_its_length_once() {
        let mut r = streaming(40);
        assert_eq!(r.delivered(MS(73)), None);
        assert_eq!(r.step(MS(80)), Step::Read(SPAN(293)));
        r.failed(MS(100), Fault::Gone);
        assert!(!r.is_streaming());
        assert_eq!(r.step(MS(100)), Step::Open, "a stream that worked is opened again at once");
        r.open_failed(MS(101));
        assert_eq!(r.step(MS(101)), Step::Wait(SPAN(150)));
        assert_eq!(r.step(MS(251)), Step::Open);
        r.opened(MS(251));
        assert_eq!(r.delivered(MS(300)), Some(SPAN(227)), "counted from the last picture");
        assert!(r.is_streaming());
    }

    #[test]
    fn silence_is_a_stall_after_its_time_and_a_first_picture_may_take_longer() {
        let mut r = streaming(40);
        assert_eq!(r.nothing(MS(339)), None);
        assert_eq!(r.nothing(MS(340)), Some(Fault::Stalled));
        assert_eq!(r.step(MS(340)), Step::Open);
        r.opened(MS(345));
        assert_eq!(r.nothing(MS(2_344)), None);
        assert_eq!(r.nothing(MS(2_345)), Some(Fault::Stalled));
        assert_eq!(
            r.step(MS(2_345)),
            Step::Wait(SPAN(150)),
            "a stream without a picture is not opened in a tight loop"
        );
    }

    #[test]
    fn a_device_that_is_back_is_opened_within_the_retry_time() {
        let retry = Patience::default().retry;
        for back in (0..3_000).step_by(37).map(MS) {
            let mut r = streaming(10);
            r.failed(MS(11), Fault::Gone);
            let mut now = MS(11);
            loop {
                match r.step(now) {
                    Step::Open if now >= back => break,
                    Step::Open => r.open_failed(now),
                    Step::Wait(span) => now = now + span,
                    Step::Read(_) => panic!("reads a closed device"),
                }
            }
            assert!(now.since(back) <= retry || back <= MS(11), "{back:?} was noticed at {now:?}");
        }
    }
}
