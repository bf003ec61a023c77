//! RITM's operator: a click in the middle of the greatest error.
//!
//! Source: Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive Segmentation", ICIP 2022,
//! and its evaluation protocol: distance maps of the false negatives and the false positives (exact, 1 px padding),
//! clicked pixels set to 0, positive only where the first's maximum is greater, the first maximum in row order.

use super::{PixelClick, click_at, where_both};
use crate::eval::distance::squared_to_outside;
use sonotap::mask::Bitmap;

/// The next click; `None` when there is no error that was not clicked.
///
/// # Panics
/// If the sizes differ.
pub fn next_click(truth: &Bitmap, prediction: &Bitmap, clicked: &[PixelClick]) -> Option<PixelClick> {
    let map = |error: Bitmap| {
        let mut distances = squared_to_outside(&error);
        for c in clicked.iter().filter(|c| c.x < truth.width() && c.y < truth.height()) {
            distances[c.y as usize * truth.width() as usize + c.x as usize] = 0;
        }
        let mut best = (0, 0);
        for (i, &d) in distances.iter().enumerate() {
            if d > best.0 {
                best = (d, i);
            }
        }
        best
    };
    let missed = map(where_both(truth, prediction, |t, p| t && !p));
    let added = map(where_both(truth, prediction, |t, p| !t && p));
    let is_positive = missed.0 > added.0;
    let (distance, at) = if is_positive { missed } else { added };
    (distance > 0).then(|| click_at(at, truth.width(), is_positive))
}

/// Clicks until the IoU is at least `target`, and whether it never was; a miss counts `max`.
///
/// ```
/// use sonotap_lab::eval::clicks::noc::clicks_to_reach;
/// assert_eq!(clicks_to_reach(&[0.5, 0.85, 0.8], 0.85, 20), (2, false));
/// assert_eq!(clicks_to_reach(&[0.5, 0.8], 0.85, 20), (20, true));
/// ```
pub fn clicks_to_reach(iou: &[f64], target: f64, max: usize) -> (usize, bool) {
    iou.iter().take(max).position(|v| *v >= target).map_or((max, true), |i| (i + 1, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_errors_are_answered_by_a_negative_click() {
        let truth = Bitmap::from_values(7, 1, vec![1, 1, 1, 0, 0, 0, 0]).unwrap();
        let prediction = Bitmap::from_values(7, 1, vec![0, 0, 0, 0, 1, 1, 1]).unwrap();
        let click = next_click(&truth, &prediction, &[]).unwrap();
        assert_eq!(click, PixelClick { x: 4, y: 0, is_positive: false });
    }

    proptest! {
        #[test]
        fn click_is_a_new_pixel_of_the_error_it_is_for(
            truth in prop::collection::vec(0u8..2, 63), prediction in prop::collection::vec(0u8..2, 63),
        ) {
            let truth = Bitmap::from_values(9, 7, truth).unwrap();
            let prediction = Bitmap::from_values(9, 7, prediction).unwrap();
            let mut clicked = Vec::new();
            while let Some(click) = next_click(&truth, &prediction, &clicked) {
                prop_assert!(truth.get(click.x, click.y) != prediction.get(click.x, click.y));
                prop_assert_eq!(truth.get(click.x, click.y), click.is_positive);
                prop_assert!(clicked.iter().all(|c: &PixelClick| (c.x, c.y) != (click.x, click.y)));
                clicked.push(click);
            }
            let errors = truth.pixels().iter().zip(prediction.pixels()).filter(|(a, b)| a != b).count();
            prop_assert_eq!(clicked.len(), errors);
        }
    }
}
