//! Click simulators, metrics and statistics against SciPy, OpenCV and MedPy (tests/reference/eval/make.py made the
//! values).

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use serde::Deserialize;
use sonotap::mask::Bitmap;
use sonotap_lab::eval::clicks::{PixelClick, cvt, noc};
use sonotap_lab::eval::components::Components;
use sonotap_lab::eval::distance::squared_to_outside;
use sonotap_lab::eval::metrics::{SurfaceDistances, dice};
use sonotap_lab::eval::statistics::bootstrap_mean;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
    bootstrap: Bootstrap,
}

#[derive(Deserialize)]
struct Case {
    truth: Vec<String>,
    prediction: Vec<String>,
    squared: Vec<u32>,
    components: usize,
    noc: Vec<(u32, u32, bool)>,
    hd95: f64,
    assd: f64,
    nsd: f64,
    dice: f64,
    iou: f64,
    kmeans_inertia: f64,
}

#[derive(Deserialize)]
struct Bootstrap {
    values: Vec<f64>,
    groups: Vec<String>,
    low: f64,
    high: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference/eval/reference.json")).unwrap()
}

fn bitmap(rows: &[String]) -> Bitmap {
    let values = rows.iter().flat_map(|r| r.bytes().map(|b| b - b'0')).collect();
    Bitmap::from_values(rows[0].len() as u32, rows.len() as u32, values).unwrap()
}

#[test]
fn distance_transform_is_that_of_scipy_to_the_last_pixel() {
    for case in reference().cases {
        assert_eq!(squared_to_outside(&bitmap(&case.truth)), case.squared);
    }
}

#[test]
fn components_are_as_many_as_opencv_finds() {
    for case in reference().cases {
        assert_eq!(Components::of(&bitmap(&case.truth)).len(), case.components);
    }
}

#[test]
fn noc_clicks_are_those_of_the_protocol_on_opencv_distances() {
    for case in reference().cases {
        let (truth, prediction) = (bitmap(&case.truth), bitmap(&case.prediction));
        let mut clicked = Vec::new();
        for (x, y, is_positive) in case.noc {
            let click = noc::next_click(&truth, &prediction, &clicked).unwrap();
            assert_eq!(click, PixelClick { x, y, is_positive });
            clicked.push(click);
        }
    }
}

/// Distances are square roots of whole numbers on both sides; sums differ by rounding alone.
const ROUNDING: f64 = 1e-9;

#[test]
fn overlap_and_boundary_distances_are_those_of_medpy() {
    for (i, case) in reference().cases.into_iter().enumerate() {
        let (truth, prediction) = (bitmap(&case.truth), bitmap(&case.prediction));
        let d = SurfaceDistances::between(&prediction, &truth).unwrap();
        let pairs = [
            ("hd95", d.hd95(), case.hd95),
            ("assd", d.assd(), case.assd),
            ("nsd", d.nsd(1.5), case.nsd),
            ("dice", dice(&prediction, &truth), case.dice),
            ("iou", prediction.iou(&truth), case.iou),
        ];
        for (name, got, want) in pairs {
            assert!((got - want).abs() < ROUNDING, "case {i}, {name}: {got} instead of {want}");
        }
    }
}

/// SciPy's inertia for three cells is the least of 30 starts. A single start may end in a worse tessellation, the least
/// of ten of ours may not.
#[test]
fn voronoi_cells_are_as_tight_as_those_of_scipy() {
    for (i, case) in reference().cases.into_iter().enumerate() {
        let truth = bitmap(&case.truth);
        let pixels: Vec<(u32, u32)> = (0..truth.height())
            .flat_map(|y| (0..truth.width()).map(move |x| (x, y)))
            .filter(|&(x, y)| truth.get(x, y))
            .collect();
        let inertia = |seed: u64| -> f64 {
            let centres = cvt::lloyd(&pixels, 3, &mut Pcg64Mcg::seed_from_u64(seed));
            let square =
                |p: &(u32, u32), c: &(f64, f64)| (f64::from(p.0) - c.0).powi(2) + (f64::from(p.1) - c.1).powi(2);
            pixels.iter().map(|p| centres.iter().map(|c| square(p, c)).fold(f64::INFINITY, f64::min)).sum()
        };
        let best = (0..10).map(inertia).fold(f64::INFINITY, f64::min);
        assert!(best <= case.kmeans_inertia * 1.001, "case {i}: {best} instead of {}", case.kmeans_inertia);
    }
}

/// Both intervals are Monte Carlo: the quantile of 40,000 means has a standard error of about .0006 here.
#[test]
fn interval_is_that_of_a_cluster_bootstrap_in_numpy() {
    let b = reference().bootstrap;
    let groups: Vec<&str> = b.groups.iter().map(String::as_str).collect();
    let i = bootstrap_mean(&b.values, &groups, 40_000, 5).unwrap();
    assert!(
        (i.low - b.low).abs() < 0.003 && (i.high - b.high).abs() < 0.003,
        "{i:?} instead of {} to {}",
        b.low,
        b.high
    );
}
