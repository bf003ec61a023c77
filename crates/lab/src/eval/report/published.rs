//! Published IoU by click, to be drawn beside ours where the protocol is the same.
//!
//! All are zero-shot on BUSI as Mazurowski et al. (Medical Image Analysis 89, 2023) ran them, on all its images; ours are on
//! the split that was asked for, of the set without its normal images.

use super::chart::Curve;

/// Curves for a protocol on a set; none where nothing comparable is published.
pub fn curves(data: &str, protocol: &str) -> Vec<Curve> {
    if data != "busi" || protocol != "msa/point-largest" {
        return Vec::new();
    }
    let curve = |label: &str, points: &[(f64, f64)]| Curve {
        label: label.to_owned(),
        points: points.to_vec(),
        is_published: true,
    };
    vec![
        curve("SAM ViT-H", &[(1.0, 0.471), (3.0, 0.601), (5.0, 0.617), (9.0, 0.597)]),
        curve("SimpleClick", &[(1.0, 0.411), (3.0, 0.706), (5.0, 0.824), (9.0, 0.905)]),
        curve("RITM", &[(1.0, 0.228), (3.0, 0.663), (5.0, 0.810), (9.0, 0.908)]),
    ]
}

/// IoU of SAM ViT-H for a box on BUSI (chosen, oracle), as published there.
pub const SAM_BUSI_BOX: (f64, f64) = (0.641, 0.779);
/// The same for a point: (chosen, oracle).
pub const SAM_BUSI_POINT: (f64, f64) = (0.471, 0.619);
