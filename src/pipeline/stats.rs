//! Fixed histograms and counters of a run.

use std::time::Duration;

use serde::Serialize;

use crate::scene::Overlay;
use crate::units::Span;

const SUB_BITS: u32 = 5;
const SUBS: usize = 1 << SUB_BITS;
const OCTAVES: usize = 32;
/// Nanoseconds of the finest step; what is shorter counts as zero steps.
const STEP_NS: u64 = 1_000;

/// Histogram of time spans with buckets of at most 1/32 relative width, 1 µs to 71 min.
///
/// Guarantees: fixed memory (8 KiB), recording allocates nothing; percentiles are upper bounds, never above the maximum.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; SUBS * OCTAVES]>,
    count: u64,
    max: Duration,
    sum_ns: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; SUBS * OCTAVES]), count: 0, max: Duration::ZERO, sum_ns: 0 }
    }
}

impl Histogram {
    /// Counts one span.
    pub fn record(&mut self, span: Duration) {
        self.counts[bucket(span.as_ns() / STEP_NS)] += 1;
        self.count += 1;
        self.max = self.max.max(span);
        self.sum_ns += span.as_nanos();
    }

    /// Number of spans.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The span that a share of `q` (0..=1) does not exceed; zero when empty.
    pub fn quantile(&self, q: f64) -> Duration {
        let wanted = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (i, &n) in self.counts.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                return Duration::from_nanos(upper(i) * STEP_NS).min(self.max);
            }
        }
        self.max
    }

    /// The usual figures, in milliseconds.
    pub fn summary(&self) -> Summary {
        let mean_ns = if self.count == 0 { 0.0 } else { self.sum_ns as f64 / self.count as f64 };
        Summary {
            count: self.count,
            mean_ms: mean_ns / 1e6,
            p50_ms: self.quantile(0.5).as_ms(),
            p95_ms: self.quantile(0.95).as_ms(),
            p99_ms: self.quantile(0.99).as_ms(),
            p999_ms: self.quantile(0.999).as_ms(),
            max_ms: self.max.as_ms(),
        }
    }
}

/// Figures of a histogram, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Number of spans.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Frames and looks that did not come to be shown, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// A newer frame came before the display side took this one.
    pub display_busy: u64,
    /// The frame could not be at the glass within its deadline, when the display side took it or when it was drawn.
    pub past_deadline: u64,
    /// A newer frame came before the model took this one; the outline was carried over it.
    pub model_busy: u64,
}

/// How the outlines of a run were shown: one count an object and frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Computed from the frame shown.
    pub exact: u64,
    /// Carried to it by motion.
    pub carried: u64,
    /// Dimmed.
    pub stale: u64,
    /// Not drawn for now.
    pub hidden: u64,
    /// Given up.
    pub lost: u64,
}

impl Shown {
    /// Counts one object.
    pub fn count(&mut self, overlay: Overlay) {
        match overlay {
            Overlay::Exact => self.exact += 1,
            Overlay::Carried { .. } => self.carried += 1,
            Overlay::Stale { .. } => self.stale += 1,
            Overlay::Hidden(_) => self.hidden += 1,
            Overlay::Lost(_) => self.lost += 1,
        }
    }

    /// Adds those of another frame.
    pub fn add(&mut self, other: &Self) {
        self.exact += other.exact;
        self.carried += other.carried;
        self.stale += other.stale;
        self.hidden += other.hidden;
        self.lost += other.lost;
    }
}

fn bucket(steps: u64) -> usize {
    if steps < SUBS as u64 {
        return steps as usize;
    }
    let octave = 63 - steps.leading_zeros() - SUB_BITS;
    let sub = (steps >> octave) as usize - SUBS;
    ((octave as usize + 1) * SUBS + sub).min(SUBS * OCTAVES - 1)
}

fn upper(bucket: usize) -> u64 {
    if bucket < SUBS {
        return bucket as u64 + 1;
    }
    let octave = bucket / SUBS - 1;
    ((bucket % SUBS + SUBS + 1) as u64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_histogram_is_zero() {
        assert_eq!(Histogram::default().summary(), Summary::default());
    }

    proptest! {
        #[test]
        fn quantiles_bound_the_sorted_values(mut spans in prop::collection::vec(0u64..20_000_000_000, 1..300)) {
            let mut h = Histogram::default();
            spans.iter().for_each(|&s| h.record(Duration::from_nanos(s)));
            spans.sort_unstable();
            for q in [0.5, 0.95, 0.99, 1.0] {
                let exact = spans[((q * spans.len() as f64).ceil() as usize).clamp(1, spans.len()) - 1];
                let got = h.quantile(q).as_ns();
                prop_assert!(got >= exact.min(h.max().as_ns()), "{q}: {got} < {exact}");
                prop_assert!(got as f64 <= exact as f64 * (1.0 + 1.0 / 32.0) + 1000.0, "{q}: {got} > {exact}");
            }
            prop_assert_eq!(h.max().as_ns(), *spans.last().unwrap());
        }
    }
}
