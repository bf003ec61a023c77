//! Predicts when a picture that is handed to the display will be at the glass.
//!
//! A display that waits for its refresh shows a picture at the next refresh after the hand-over, or some refreshes
//! later if it queues pictures. Phase and queue length are learned from the times that it reports.

use std::time::Duration;

use crate::units::{Span, Timestamp};

/// When a display shows a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisplayTiming {
    /// When the call that presents it returns: a framebuffer, a window whose compositor reports nothing, a recording.
    #[default]
    OnReturn,
    /// At a refresh.
    AtRefresh {
        /// Refresh period.
        period: Duration,
    },
}

/// When a picture was at the glass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// Now.
    Now,
    /// A span ago, for a display that stamps its refreshes.
    Ago(Duration),
    /// At a point on the live path's clock.
    At(Timestamp),
}

/// Least time from the hand-over to a refresh that can show the picture.
const LATCH: Duration = Duration::from_nanos(1_000_000);
/// Number of hand-overs from which the queue's length and the refresh grid are learned.
const RECENT: usize = 8;
/// Lights whose median distance from the refresh grid exceeds 1/8 of a period are on no grid.
const OFF_GRID: u64 = 8;
/// Weight of the newest delay when there is no grid.
const NEWEST: f64 = 1.0 / 8.0;

/// Predicts the time at which a picture is at the glass.
#[derive(Clone, Copy, Debug)]
pub struct Glass {
    timing: DisplayTiming,
    last_light: Option<Timestamp>,
    /// Time from hand-over to light when there is no grid: a slow one here, a fast one below.
    delay_ns: f64,
    delay_least_ns: f64,
    /// Refreshes that recent hand-overs waited beyond the first possible one.
    waited: [u64; RECENT],
    /// Distances of recent lights from the grid.
    off: [u64; RECENT],
    count: usize,
}

impl Glass {
    /// A display whose timing is not learned yet.
    pub fn new(timing: DisplayTiming) -> Self {
        let delay_ns = match timing {
            DisplayTiming::OnReturn => 0.0,
            DisplayTiming::AtRefresh { period } => period.saturating_add(LATCH).as_ns() as f64,
        };
        let (waited, off) = ([0; RECENT], [0; RECENT]);
        Self { timing, last_light: None, delay_ns, delay_least_ns: delay_ns, waited, off, count: 0 }
    }

    /// The display's timing.
    pub fn timing(&self) -> DisplayTiming {
        self.timing
    }

    /// The earliest time at which a picture handed over at `handed` can be at the glass. The earliest, because one slow
    /// presentation must not keep all later pictures from being shown.
    pub fn light_for(&self, handed: Timestamp) -> Timestamp {
        match self.grid() {
            Some((period, last)) => first_refresh(period, last, handed) + self.queued_for(period),
            None => handed + Duration::from_nanos(self.delay_least_ns as u64),
        }
    }

    /// The latest hand-over whose picture is at the glass by `light`, even when the display is slow.
    pub fn handed_for(&self, light: Timestamp) -> Timestamp {
        match self.grid() {
            Some((period, last)) => {
                let refresh = on_grid(period, last, light, i128::div_euclid);
                refresh - self.queued_for(period) - LATCH
            }
            None => light - Duration::from_nanos(self.delay_ns as u64),
        }
    }

    /// Records that a picture handed over at `handed` was at the glass at `light`.
    pub fn lit(&mut self, handed: Timestamp, light: Timestamp) {
        let delay = light.since(handed).as_ns() as f64;
        let slowly = |known: f64| known + (delay - known) * NEWEST;
        self.delay_ns = delay.max(slowly(self.delay_ns));
        self.delay_least_ns = delay.min(slowly(self.delay_least_ns));
        if let (DisplayTiming::AtRefresh { period }, Some(last)) = (self.timing, self.last_light) {
            let first = first_refresh(period, last, handed);
            let (at, period_ns) = (self.count % RECENT, period.as_ns());
            self.waited[at] = (light.since(first).as_ns() + period_ns / 2) / period_ns;
            let span_ns = i128::from(light.as_ns()) - i128::from(last.as_ns());
            let phase_ns = span_ns.rem_euclid(i128::from(period_ns)) as u64;
            self.off[at] = phase_ns.min(period_ns - phase_ns);
            self.count += 1;
        }
        self.last_light = Some(light);
    }

    /// Period and a point of the refresh grid, if lights are on one.
    fn grid(&self) -> Option<(Duration, Timestamp)> {
        let DisplayTiming::AtRefresh { period } = self.timing else { return None };
        let known = self.count.min(RECENT);
        let mut off = self.off;
        let off = &mut off[..known];
        off.sort_unstable();
        let is_steady = off.get(known / 2).is_none_or(|&median| median <= period.as_ns() / OFF_GRID);
        self.last_light.filter(|_| is_steady).map(|last| (period, last))
    }

    fn queued_for(&self, period: Duration) -> Duration {
        Duration::from_nanos(self.queued().saturating_mul(period.as_ns()))
    }

    /// Refreshes that every recent picture waited beyond the first possible one: the queue.
    fn queued(&self) -> u64 {
        self.waited[..self.count.min(RECENT)].iter().copied().min().unwrap_or(0)
    }
}

/// The first refresh that can show a picture handed over at `handed`.
fn first_refresh(period: Duration, last: Timestamp, handed: Timestamp) -> Timestamp {
    on_grid(period, last, handed + LATCH, |span, period| -(-span).div_euclid(period))
}

/// The grid point at `count(span, period)` periods from `point`, where the span is that from `point` to `time`.
fn on_grid(period: Duration, point: Timestamp, time: Timestamp, count: fn(i128, i128) -> i128) -> Timestamp {
    let (span, period) = (i128::from(time.as_ns()) - i128::from(point.as_ns()), i128::from(period.as_ns()));
    Timestamp::from_ns(u64::try_from(i128::from(point.as_ns()) + count(span, period) * period).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: u64 = 1_000;

    /// A `Glass` that learned from pictures handed over at `handed` to a display with a queue of `queue` refreshes.
    fn learned(period: Duration, phase: Timestamp, queue: u64, handed: impl IntoIterator<Item = Timestamp>) -> Glass {
        let mut glass = Glass::new(DisplayTiming::AtRefresh { period });
        for at in handed {
            glass.lit(at, truth(period, phase, queue, at));
        }
        glass
    }

    fn truth(period: Duration, phase: Timestamp, queue: u64, handed: Timestamp) -> Timestamp {
        first_refresh(period, phase, handed) + period * queue as u32
    }

    proptest! {
        #[test]
        fn phase_and_queue_of_a_refreshing_display_are_learned(
            hz in prop::sample::select(vec![24.0, 30.0, 50.0, 59.94, 60.0, 120.0]),
            phase in 0u64..40_000,
            queue in 0u64..3,
            gaps in prop::collection::vec(5_000u64..80_000, 10..40),
            at in 0u64..200_000,
        ) {
            let (period, phase) = (Duration::of_secs(1.0 / hz), Timestamp::from_ns(phase * US));
            let mut now = Timestamp::from_ns(50_000 * US);
            let times: Vec<Timestamp> = gaps.iter().map(|g| { now = now + Duration::from_nanos(g * US); now }).collect();
            let glass = learned(period, phase, queue, times);
            let handed = now + Duration::from_nanos(at * US);
            prop_assert_eq!(glass.light_for(handed), truth(period, phase, queue, handed));
            let light = handed + Duration::from_nanos(200_000 * US);
            let latest = glass.handed_for(light);
            prop_assert!(truth(period, phase, queue, latest) <= light);
            prop_assert!(truth(period, phase, queue, latest + Duration::from_nanos(1)) > light, "an earlier hand-over than needed");
        }
    }

    #[test]
    fn a_missed_refresh_is_no_queue() {
        let period = Duration::from_nanos(16_666 * US);
        let mut glass = learned(period, Timestamp::START, 0, (1..8).map(|n| Timestamp::from_ns(n * 33_333 * US)));
        let handed = Timestamp::from_ns(300_000 * US);
        glass.lit(handed, truth(period, Timestamp::START, 3, handed));
        let next = Timestamp::from_ns(400_000 * US);
        assert_eq!(glass.light_for(next), truth(period, Timestamp::START, 0, next));
    }

    #[test]
    fn before_the_first_refresh_is_seen_the_worst_is_expected() {
        let glass = Glass::new(DisplayTiming::AtRefresh { period: Duration::from_nanos(20_000 * US) });
        assert_eq!(
            glass.light_for(Timestamp::from_ns(5)),
            Timestamp::from_ns(5) + Duration::from_nanos(20_000 * US) + LATCH
        );
    }

    #[test]
    fn a_display_that_keeps_to_no_grid_is_known_by_its_delay() {
        let mut glass = Glass::new(DisplayTiming::AtRefresh { period: Duration::from_nanos(16_666 * US) });
        for n in 1..40 {
            let handed = Timestamp::from_ns((n * 33_333 + n * n * 2_711 % 12_000) * US);
            glass.lit(handed, handed + Duration::from_nanos((3_000 + n * 211 % 700) * US));
        }
        let light = glass.light_for(Timestamp::from_ns(9_000_000 * US));
        let delay_us = light.since(Timestamp::from_ns(9_000_000 * US)).as_ns() / US;
        assert!((3_000..=3_800).contains(&delay_us), "{delay_us} us");
    }

    #[test]
    fn where_nothing_is_said_a_wait_reckons_with_a_slow_delay_and_a_drop_with_a_fast_one() {
        let mut glass = Glass::new(DisplayTiming::OnReturn);
        for delay in [2_000, 2_000, 9_000, 2_000] {
            glass.lit(Timestamp::START, Timestamp::from_ns(delay * US));
        }
        let light = Timestamp::from_ns(50_000 * US);
        let slow_us = light.since(glass.handed_for(light)).as_ns() / US;
        assert!((8_000..9_000).contains(&slow_us), "{slow_us} us");
        let fast_us = glass.light_for(Timestamp::START).as_ns() / US;
        assert!((1_000..=2_000).contains(&fast_us), "{fast_us} us");
    }
}
