//! Contacts of a viewer: which picture each names, and when it happened on the tablet.
//!
//! A tablet's clock is related to ours by the fastest of its requests: what took the shortest way says how far the clocks are
//! apart. Contacts of one touch keep the distances that they had on the tablet, whatever the link does to them.

use std::collections::VecDeque;
use std::time::Duration;

/// Pictures that a contact may name.
const REMEMBERED: usize = 64;
/// A contact that is older when it comes is refused: what was tapped then is not what is shown now.
pub(crate) const LATE: Duration = Duration::from_millis(1000);
/// The fastest request of so long counts, twice that at most.
const FASTEST_OF: Duration = Duration::from_secs(30);

/// A picture that a viewer was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentPicture {
    /// Its number.
    pub picture: u64,
    /// Its frame.
    pub frame: u64,
    /// Width and height, px.
    pub size: (u32, u32),
}

/// The last pictures sent to a viewer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(VecDeque<SentPicture>);

impl Sent {
    /// Remembers one more.
    pub(crate) fn push(&mut self, sent: SentPicture) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(sent);
    }

    /// The picture of that number, if it is remembered.
    pub(crate) fn find(&self, picture: u64) -> Option<SentPicture> {
        self.0.iter().find(|s| s.picture == picture).copied()
    }
}

/// Relates a tablet's clock to ours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TabletClock {
    /// Our time minus the tablet's, ms, at the fastest requests of the present and the last spell.
    fastest_ms: [Option<f64>; 2],
    began: Duration,
}

impl TabletClock {
    /// A request that was sent at `sent_ms` of the tablet's clock came at `now` of ours.
    pub(crate) fn heard(&mut self, sent_ms: f64, now: Duration) {
        if !sent_ms.is_finite() {
            return;
        }
        let apart = now.as_secs_f64() * 1e3 - sent_ms;
        if now.saturating_sub(self.began) > FASTEST_OF {
            self.fastest_ms = [None, self.fastest_ms[0]];
            self.began = now;
        }
        self.fastest_ms[0] = Some(self.fastest_ms[0].map_or(apart, |f| f.min(apart)));
    }

    /// How long before `now` something was at `time_ms` of the tablet's clock, as far as is known.
    pub(crate) fn age(&self, time_ms: f64, now: Duration) -> Duration {
        let fastest = self.fastest_ms.iter().flatten().copied().reduce(f64::min);
        let age_ms = fastest.map_or(0.0, |apart| now.as_secs_f64() * 1e3 - (time_ms + apart));
        Duration::from_secs_f64(if age_ms.is_nan() { 60.0 } else { age_ms.clamp(0.0, 60_000.0) / 1e3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(v: u64) -> Duration {
        Duration::from_millis(v)
    }

    #[test]
    fn contacts_keep_their_distances_over_a_link_that_hesitates() {
        let mut clock = TabletClock::default();
        // The tablet's clock is 5,000 ms behind; the way takes 10 ms, once 300.
        clock.heard(0.0, ms(5_010));
        clock.heard(100.0, ms(5_400));
        assert_eq!(clock.age(100.0, ms(5_400)), ms(290), "a touch-down that was held up");
        clock.heard(180.0, ms(5_400));
        assert_eq!(clock.age(180.0, ms(5_400)), ms(210), "its end, 80 ms later");
    }

    #[test]
    fn a_faster_request_counts_until_it_is_old_and_the_future_is_now() {
        let mut clock = TabletClock::default();
        assert_eq!(clock.age(1e9, ms(5)), Duration::ZERO);
        clock.heard(0.0, ms(10));
        clock.heard(40_000.0, ms(40_030));
        assert_eq!(clock.age(40_000.0, ms(40_030)), ms(20));
        clock.heard(80_000.0, ms(80_030));
        assert_eq!(clock.age(80_000.0, ms(80_030)), ms(0), "the request of 80 s ago still counts");
        for odd in [f64::NAN, f64::INFINITY, -1e300] {
            assert!(clock.age(odd, ms(1)) <= Duration::from_secs(60));
        }
    }

    #[test]
    fn only_pictures_that_were_sent_lately_can_be_named() {
        let mut sent = Sent::default();
        for picture in 1..=100 {
            sent.push(SentPicture { picture, frame: picture + 7, size: (8, 6) });
        }
        assert_eq!(sent.find(100).unwrap().frame, 107);
        assert_eq!((sent.find(36), sent.find(101), sent.find(37).is_some()), (None, None, true));
        assert_eq!(sent.0.len(), 64);
    }
}
