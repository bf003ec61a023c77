//! When a frame was captured, in the words of whoever captured it, on the live path's own clock.
//!
//! A host's time stamps count from somewhere: boot, 1970, the start of its scanner. Taken for the live path's own, they
//! make a dead picture young for ever, or every picture too old. So a stamp names its clock, what cannot be true is
//! refused, and a clock of unknown origin is related to ours by the smallest delay seen.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::units::{Span, Timestamp};

/// A stamp of our own clock may be ahead of now by so much: two threads read it.
const AHEAD_MAX: Duration = Duration::from_millis(2);
/// An older frame than this was not captured by a live source.
pub const AGE_MAX: Duration = Duration::from_millis(10_000);
/// A delay that differs by more from the smallest seen means that the host's clock was set.
const JUMP: Duration = Duration::from_millis(1_000);
/// The smallest delay is that of the last one to two windows, so that two clocks may run at different rates.
const WINDOW: Duration = Duration::from_millis(5_000);

/// When a frame was captured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CaptureTime {
    /// As it is handed over.
    Now,
    /// So long before it is handed over: what a driver says that knows its own delay.
    Ago(Duration),
    /// On the live path's clock ([`Live::clock`](super::live::Live::clock)).
    Live(Timestamp),
    /// By the standard library's monotonic clock.
    Instant(Instant),
    /// On a clock of the host's own, the time since any origin, which only grows. The delay of the fastest frame of
    /// the last seconds counts as none, so an age is the true one less that delay.
    Host(Duration),
}

/// Turns capture times into those of the live path's clock. They never run backwards.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaptureClock {
    last: Option<Timestamp>,
    host: Option<HostClock>,
    jumps: u64,
}

impl CaptureClock {
    /// The time of capture on the live path's clock, on which it is `now`.
    ///
    /// # Errors
    /// `Argument` for a time ahead of now, or more than [`AGE_MAX`] before it: it is of another clock.
    pub fn resolve(&mut self, time: CaptureTime, now: Timestamp) -> Result<Timestamp> {
        let captured = match time {
            CaptureTime::Now => now,
            CaptureTime::Ago(age) if age > AGE_MAX => return Err(refused("ago", age, "before")),
            CaptureTime::Ago(age) => now - age,
            CaptureTime::Live(at) => within(at, now, "of the live clock")?,
            CaptureTime::Instant(at) => {
                let read = Instant::now();
                let ahead = at.saturating_duration_since(read);
                let age = read.saturating_duration_since(at);
                match (ahead > AHEAD_MAX, age > AGE_MAX) {
                    (true, _) => return Err(refused("of the monotonic clock", ahead, "ahead of")),
                    (_, true) => return Err(refused("of the monotonic clock", age, "before")),
                    (false, false) => now - age,
                }
            }
            CaptureTime::Host(stamp) => self.rebased(stamp, now),
        };
        let captured = captured.max(self.last.unwrap_or_default()).min(now);
        self.last = Some(captured);
        Ok(captured)
    }

    /// Times that the host's clock was found to have been set.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    fn rebased(&mut self, stamp: Duration, now: Timestamp) -> Timestamp {
        let delay = i128::from(now.as_ns()) - i128::from(stamp.as_ns());
        let is_known = self.host.is_some_and(|host| host.knows(delay));
        if !is_known {
            if self.host.is_some() {
                self.jumps += 1;
                log::warn!("the host's clock was set: capture times are related to ours anew");
            }
            self.host = Some(HostClock { smallest: [delay; 2], began: now });
        }
        self.host.as_mut().map_or(now, |host| host.captured(stamp, delay, now))
    }
}

/// How far the host's clock is from ours: the smallest delay of this window and of the one before.
#[derive(Clone, Copy, Debug)]
struct HostClock {
    smallest: [i128; 2],
    began: Timestamp,
}

impl HostClock {
    fn knows(&self, delay: i128) -> bool {
        (delay - self.offset()).unsigned_abs() <= JUMP.as_nanos()
    }

    fn offset(&self) -> i128 {
        self.smallest[0].min(self.smallest[1])
    }

    fn captured(&mut self, stamp: Duration, delay: i128, now: Timestamp) -> Timestamp {
        if now.since(self.began) > WINDOW {
            self.smallest = [self.smallest[1], delay];
            self.began = now;
        }
        self.smallest[1] = self.smallest[1].min(delay);
        let at = (i128::from(stamp.as_ns()) + self.offset()).clamp(0, i128::from(now.as_ns()));
        Timestamp::from_ns(u64::try_from(at).unwrap_or(now.as_ns()))
    }
}

fn within(at: Timestamp, now: Timestamp, clock: &str) -> Result<Timestamp> {
    if at > now + AHEAD_MAX {
        return Err(refused(clock, at.since(now), "ahead of"));
    }
    if now.since(at) > AGE_MAX {
        return Err(refused(clock, now.since(at), "before"));
    }
    Ok(at.min(now))
}

fn refused(clock: &str, off: Duration, side: &str) -> Error {
    let age_max_s = AGE_MAX.as_secs();
    Error::new(
        ErrorKind::Argument,
        format!(
            "capture time {clock}: expected at most {age_max_s} s before now and not ahead of it, got {:.3} s {side} now; \
             a stamp of another clock is CaptureTime::Host",
            off.as_secs_f64()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(v: u64) -> Timestamp {
        Timestamp::from_ms(v)
    }

    fn span(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_stamp_ahead_of_now_or_far_behind_is_refused() {
        for time in [CaptureTime::Live(ms(60_003)), CaptureTime::Live(ms(49_999)), CaptureTime::Ago(span(10_001))] {
            let e = CaptureClock::default().resolve(time, ms(60_000)).unwrap_err();
            assert!(e.to_string().starts_with("capture time ") && e.to_string().contains("CaptureTime::Host"), "{e}");
        }
        let mut clock = CaptureClock::default();
        assert_eq!(clock.resolve(CaptureTime::Live(ms(50_000)), ms(60_000)).unwrap(), ms(50_000));
        assert_eq!(
            clock.resolve(CaptureTime::Live(ms(60_001)), ms(60_000)).unwrap(),
            ms(60_000),
            "two threads' readings"
        );
    }

    #[test]
    fn capture_times_never_run_backwards() {
        let mut clock = CaptureClock::default();
        assert_eq!(clock.resolve(CaptureTime::Ago(span(5)), ms(1_000)).unwrap(), ms(995));
        assert_eq!(clock.resolve(CaptureTime::Ago(span(60)), ms(1_010)).unwrap(), ms(995));
    }

    #[test]
    fn an_instant_is_its_age() {
        let at = Instant::now() - Duration::from_millis(40);
        let got = CaptureClock::default().resolve(CaptureTime::Instant(at), ms(1_000)).unwrap();
        assert!(got <= ms(960) && got > ms(500), "{got:?}");
    }

    #[test]
    fn a_host_clock_that_is_set_is_related_anew_and_counted() {
        let mut clock = CaptureClock::default();
        for t in 0..100 {
            let now = ms(10_000 + 33 * t);
            let got = clock.resolve(CaptureTime::Host(span(1_700_000_000_000 + 33 * t)), now).unwrap();
            assert_eq!(got, now);
        }
        let got = clock.resolve(CaptureTime::Host(span(5)), ms(13_300)).unwrap();
        assert_eq!((got, clock.jumps()), (ms(13_300), 1));
    }

    #[test]
    fn a_clock_that_runs_slower_does_not_make_frames_old() {
        let mut clock = CaptureClock::default();
        for t in 0..60_000_u64 {
            let now = ms(1_000 + 33 * t);
            // 200 parts in a million slow: 400 ms after the 33 minutes.
            let stamp = Duration::from_nanos(now.as_ns() - now.as_ns() / 5_000);
            let age = now.since(clock.resolve(CaptureTime::Host(stamp), now).unwrap());
            assert!(age <= span(3), "{age:?} old after {:.0} s", now.since(Timestamp::START).as_secs_f64());
        }
        assert_eq!(clock.jumps(), 0);
    }

    proptest! {
        #[test]
        fn whatever_origin_a_host_clock_has_ages_are_the_delays_beyond_the_smallest(
            origin in any::<u32>(),
            delays in prop::collection::vec(0u64..200, 2..80),
        ) {
            let mut clock = CaptureClock::default();
            let mut smallest = u64::MAX;
            let (mut last, mut now) = (Timestamp::START, Timestamp::START);
            for (t, &delay) in delays.iter().enumerate() {
                let captured = 1_000 + 33 * t as u64;
                now = now.max(ms(captured + delay));
                smallest = smallest.min(now.since(ms(captured)).as_ns() / 1_000_000);
                let got = clock.resolve(CaptureTime::Host(span(u64::from(origin) + captured)), now).unwrap();
                prop_assert!(got <= now && got >= last, "{:?} at {:?} after {:?}", got, now, last);
                let expected = ms(captured + smallest).max(last);
                prop_assert_eq!(got, expected);
                last = got;
            }
        }
    }
}
