//! Means with honest intervals, and what a score is worth.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// `None` of nothing; the mean of the middle two of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The value below which the part `q` of ascending values lies, linear between ranks; `None` of nothing.
///
/// ```
/// use sonotap_lab::eval::statistics::quantile;
/// assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
/// ```
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    Some(sorted[low] + (sorted[high] - sorted[low]) * part)
}

/// The 95 % percentile interval of the mean when whole groups are drawn with replacement, as many as there are, and the mean
/// is over all rows of those drawn. `None` with fewer than two groups.
///
/// The order of rows does not matter, the seed does.
///
/// Source: A. Davison and D. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8 (cluster resampling).
///
/// # Panics
/// If there are not as many groups as values.
pub fn bootstrap_mean(values: &[f64], groups: &[&str], resamples: usize, seed: u64) -> Option<Interval> {
    assert_eq!(values.len(), groups.len(), "a group for each value");
    let mut sorted: Vec<(&str, f64)> = groups.iter().copied().zip(values.iter().copied()).collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0).then(a.1.total_cmp(&b.1)));
    let mut by_group: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (group, value) in sorted {
        let sum = by_group.entry(group).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    let sums: Vec<(f64, f64)> = by_group.into_values().collect();
    if sums.len() < 2 || resamples == 0 {
        return None;
    }
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0.0);
            for _ in 0..sums.len() {
                let drawn = sums[rng.random_range(0..sums.len())];
                sum += drawn.0;
                count += drawn.1;
            }
            sum / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&means, 0.025)?, high: quantile(&means, 0.975)? })
}

/// The mean difference of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Mean of second less first.
    pub difference: f64,
    /// Of that mean; `None` with fewer than two groups.
    pub interval: Option<Interval>,
    /// Pairs.
    pub n: usize,
    /// Groups.
    pub groups: usize,
}

/// How much the second values exceed the first, pair by pair; `None` of nothing.
///
/// # Panics
/// If the lengths differ.
pub fn paired_bootstrap(first: &[f64], second: &[f64], groups: &[&str], resamples: usize, seed: u64) -> Option<Paired> {
    assert_eq!(first.len(), second.len(), "pairs");
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    Some(Paired {
        difference: mean(&differences)?,
        interval: bootstrap_mean(&differences, groups, resamples, seed),
        n: differences.len(),
        groups: groups.iter().collect::<std::collections::BTreeSet<_>>().len(),
    })
}

/// Predictions of one range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// From here, closed.
    pub low: f64,
    /// To here; closed in the last bin only.
    pub high: f64,
    /// Predictions in it.
    pub n: usize,
    /// Their mean; 0 of none.
    pub predicted: f64,
    /// Mean of what came; 0 of none.
    pub actual: f64,
}

/// How predictions in 0..=1 compare with what came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of equal width over 0..=1.
    pub bins: Vec<CalibrationBin>,
    /// Mean of |predicted - actual|.
    pub mean_absolute_error: f64,
    /// Mean of predicted - actual: above 0 the model is too sure of itself.
    pub bias: f64,
    /// Pearson's; `None` when either does not vary.
    pub correlation: Option<f64>,
}

/// Compares predictions with what came; predictions outside 0..=1 count in the end bins.
///
/// # Panics
/// If the lengths differ or there are no bins.
pub fn calibration(predicted: &[f64], actual: &[f64], bins: usize) -> Calibration {
    assert!(predicted.len() == actual.len() && bins > 0, "pairs and bins");
    let edge = |i: usize| i as f64 / bins as f64;
    let mut sums = vec![(0usize, 0.0, 0.0); bins];
    for (&p, &a) in predicted.iter().zip(actual) {
        let sum = &mut sums[(1..bins).take_while(|&i| p >= edge(i)).count()];
        *sum = (sum.0 + 1, sum.1 + p, sum.2 + a);
    }
    let n = predicted.len().max(1) as f64;
    let errors = || predicted.iter().zip(actual).map(|(p, a)| p - a);
    let bin = |(i, &(n, p, a)): (usize, &(usize, f64, f64))| {
        let count = n.max(1) as f64;
        CalibrationBin { low: edge(i), high: edge(i + 1), n, predicted: p / count, actual: a / count }
    };
    Calibration {
        bins: sums.iter().enumerate().map(bin).collect(),
        mean_absolute_error: errors().map(f64::abs).sum::<f64>() / n,
        bias: errors().sum::<f64>() / n,
        correlation: correlation(predicted, actual),
    }
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (ma, mb) = (mean(a)?, mean(b)?);
    let sum = |f: fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let (aa, bb) = (sum(|x, _| x * x), sum(|_, y| y * y));
    (aa > 1e-12 && bb > 1e-12).then(|| sum(|x, y| x * y) / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_are_those_computed_by_hand() {
        assert_eq!((mean(&[]), median(&[]), quantile(&[], 0.5)), (None, None, None));
        assert_eq!(
            (mean(&[1.0, 2.0, 6.0]), median(&[6.0, 1.0, 2.0]), median(&[4.0, 1.0])),
            (Some(3.0), Some(2.0), Some(2.5))
        );
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)] {
            assert!((quantile(&[1.0, 2.0, 3.0, 4.0], q).unwrap() - expected).abs() < 1e-12, "{q}");
        }
    }

    #[test]
    fn two_groups_give_their_means_as_the_ends() {
        // A quarter of the draws takes each group twice, so both tails of 2.5 % are a group's own mean.
        let i = bootstrap_mean(&[0.2, 0.4, 1.0], &["a", "a", "b"], 1000, 3).unwrap();
        assert!((i.low - 0.3).abs() < 1e-12 && (i.high - 1.0).abs() < 1e-12, "{i:?}");
    }

    #[test]
    fn pairs_differ_by_second_less_first() {
        let p = paired_bootstrap(&[0.5, 0.5, 0.5], &[0.6, 0.7, 0.8], &["a", "b", "b"], 200, 1).unwrap();
        assert!((p.difference - 0.2).abs() < 1e-12 && (p.n, p.groups) == (3, 2), "{p:?}");
        assert_eq!(paired_bootstrap(&[], &[], &[], 200, 1), None);
        assert_eq!(paired_bootstrap(&[0.5], &[0.6], &["a"], 200, 1).unwrap().interval, None);
    }

    #[test]
    fn bins_are_closed_below_for_any_number_of_them() {
        for bins in 1..=60 {
            let edges: Vec<f64> = (0..bins).map(|i| i as f64 / bins as f64).collect();
            let c = calibration(&edges, &edges, bins);
            assert!(c.bins.iter().all(|b| b.n == 1 && b.predicted == b.low), "{bins}");
        }
        let c = calibration(&[-1.0, 1.0, 2.0], &[0.0; 3], 4);
        assert_eq!((c.bins[0].n, c.bins[3].n, c.correlation), (1, 2, None));
    }

    #[test]
    fn one_group_has_no_interval_however_many_rows() {
        assert_eq!(bootstrap_mean(&[0.1, 0.9, 0.5], &["a"; 3], 100, 1), None);
    }

    #[test]
    fn rows_of_one_group_do_not_narrow_the_interval() {
        let (few, few_groups) = ([0.2, 0.4, 0.6, 0.8], ["a", "b", "c", "d"]);
        let many: Vec<f64> = few.iter().flat_map(|v| [*v; 10]).collect();
        let many_groups: Vec<&str> = few_groups.iter().flat_map(|g| [*g; 10]).collect();
        let (a, b) = (bootstrap_mean(&few, &few_groups, 500, 7), bootstrap_mean(&many, &many_groups, 500, 7));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a.low - b.low).abs() < 1e-9 && (a.high - b.high).abs() < 1e-9, "{a:?} {b:?}");
    }

    #[test]
    fn bias_is_that_of_too_sure_a_model() {
        let c = calibration(&[0.9, 0.9, 0.5, 1.0], &[0.5, 0.7, 0.5, 0.9], 10);
        assert!((c.bias - 0.175).abs() < 1e-12 && (c.mean_absolute_error - 0.175).abs() < 1e-12);
        assert_eq!(c.bins.iter().map(|b| b.n).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]);
    }

    proptest! {
        #[test]
        fn interval_lies_among_the_groups_and_ignores_order(values in prop::collection::vec(0.0f64..1.0, 4..30), seed: u64) {
            let names: Vec<String> = (0..values.len()).map(|i| format!("g{}", i % 4)).collect();
            let groups: Vec<&str> = names.iter().map(String::as_str).collect();
            let i = bootstrap_mean(&values, &groups, 60, seed).unwrap();
            let of_group = |g: usize| mean(&values.iter().copied().skip(g).step_by(4).collect::<Vec<_>>()).unwrap();
            let (low, high) = (0..4).map(of_group).fold((1.0f64, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
            prop_assert!(low - 1e-9 <= i.low && i.low <= i.high && i.high <= high + 1e-9);
            let (back, back_groups): (Vec<f64>, Vec<&str>) = values.iter().copied().zip(groups.iter().copied()).rev().unzip();
            prop_assert_eq!(bootstrap_mean(&back, &back_groups, 60, seed).unwrap(), i);
            let same = paired_bootstrap(&values, &values, &groups, 60, seed).unwrap();
            prop_assert_eq!((same.difference, same.interval.unwrap().low, same.interval.unwrap().high), (0.0, 0.0, 0.0));
        }
    }
}
