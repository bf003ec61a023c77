//! Means, pairs and calibration against NumPy and SciPy; `reference/statistics/make.py` makes the reference.

use serde::Deserialize;
use sonotap_lab::eval::statistics::{Interval, calibration, paired_bootstrap, quantile};

#[derive(Deserialize)]
struct Reference {
    a: Vec<f64>,
    b: Vec<f64>,
    groups: Vec<String>,
    quantiles: Vec<(f64, f64)>,
    difference: f64,
    paired: (f64, f64),
    singletons: (f64, f64),
    calibration: Bins,
}

#[derive(Deserialize)]
struct Bins {
    n: Vec<usize>,
    predicted: Vec<Option<f64>>,
    actual: Vec<Option<f64>>,
    mean_absolute_error: f64,
    bias: f64,
    correlation: f64,
}

const RESAMPLES: usize = 20_000;
/// Of the interval's width. A 2.5th percentile of N draws of a normal value has a standard error of
/// sqrt(0.025 * 0.975 / N) / 0.0584 = 2.67 / sqrt(N) of its deviation: 0.019 for 20000 draws, 0.027 for the difference of two
/// such runs. Four times that is 0.107 deviations, and the interval is 3.92 of them wide.
const MONTE_CARLO: f64 = 0.0273;

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/statistics/reference.json")).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

fn assert_same_interval(found: Interval, (low, high): (f64, f64)) {
    let most = MONTE_CARLO * (high - low);
    assert!((found.low - low).abs() < most && (found.high - high).abs() < most, "{found:?} instead of {low} to {high}");
}

#[test]
fn quantiles_are_those_of_numpy() {
    let mut r = reference();
    r.a.sort_by(f64::total_cmp);
    for (q, expected) in r.quantiles {
        assert!(close(quantile(&r.a, q).unwrap(), expected), "{q}");
    }
}

#[test]
fn paired_interval_is_that_of_a_cluster_bootstrap_in_numpy() {
    let r = reference();
    let groups: Vec<&str> = r.groups.iter().map(String::as_str).collect();
    let p = paired_bootstrap(&r.a, &r.b, &groups, RESAMPLES, 11).unwrap();
    assert!(close(p.difference, r.difference) && (p.n, p.groups) == (46, 12), "{p:?}");
    assert_same_interval(p.interval.unwrap(), r.paired);
}

#[test]
fn groups_of_one_give_the_interval_of_scipys_bootstrap() {
    let r = reference();
    let names: Vec<String> = (0..r.a.len()).map(|i| i.to_string()).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let interval = paired_bootstrap(&r.a, &r.b, &groups, RESAMPLES, 11).unwrap().interval.unwrap();
    assert_same_interval(interval, r.singletons);
}

#[test]
fn calibration_is_that_of_scipy() {
    let r = reference();
    let c = r.calibration;
    let found = calibration(&r.a, &r.b, c.n.len());
    for (i, bin) in found.bins.iter().enumerate() {
        let (predicted, actual) = (c.predicted[i].unwrap_or(0.0), c.actual[i].unwrap_or(0.0));
        assert_eq!(bin.n, c.n[i], "{bin:?}");
        assert!(close(bin.predicted, predicted) && close(bin.actual, actual), "{bin:?}");
    }
    assert!(close(found.mean_absolute_error, c.mean_absolute_error) && close(found.bias, c.bias));
    assert!(close(found.correlation.unwrap(), c.correlation));
}
