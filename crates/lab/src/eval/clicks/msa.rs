//! The operator of Mazurowski et al. ("Segment anything model for medical image analysis", Medical Image Analysis 89,
//! 2023): a point as far from the outside as any, of the region or of the error, ties broken at random.
//!
//! Their code takes OpenCV's distance of mask size 5, an approximation; ours is exact, so that fewer points tie.

use rand::Rng;

use super::{PixelClick, click_at, where_both};
use crate::eval::distance::squared_to_outside;
use sonotap::mask::Bitmap;

/// A positive point in the middle of a region; `None` when it is empty.
pub fn first_click(region: &Bitmap, rng: &mut impl Rng) -> Option<PixelClick> {
    Some(click_at(deepest(region, rng)?, region.width(), true))
}

/// A point in the middle of what the prediction has wrong, either way, labelled by the truth; `None` when all is right.
///
/// # Panics
/// If the sizes differ.
pub fn next_click(truth: &Bitmap, prediction: &Bitmap, rng: &mut impl Rng) -> Option<PixelClick> {
    let at = deepest(&where_both(truth, prediction, |t, p| t != p), rng)?;
    Some(click_at(at, truth.width(), truth.pixels()[at] != 0))
}

fn deepest(region: &Bitmap, rng: &mut impl Rng) -> Option<usize> {
    let distances = squared_to_outside(region);
    let most = distances.iter().copied().max().filter(|d| *d > 0)?;
    let ties: Vec<usize> = (0..distances.len()).filter(|&i| distances[i] == most).collect();
    Some(ties[rng.random_range(0..ties.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn all_ties_are_drawn_and_nothing_else() {
        let mut region = Bitmap::new(8, 5);
        (1..7).for_each(|x| (1..4).for_each(|y| region.set(x, y, true)));
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let drawn: std::collections::BTreeSet<_> =
            (0..200).map(|_| first_click(&region, &mut rng).unwrap()).map(|c| (c.x, c.y)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [(2, 2), (3, 2), (4, 2), (5, 2)]);
    }

    #[test]
    fn a_point_of_the_error_is_labelled_by_the_truth() {
        let truth = Bitmap::from_values(5, 1, vec![1, 1, 0, 0, 0]).unwrap();
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        for (prediction, want) in [
            (vec![0, 1, 0, 0, 0], Some((0, true))),
            (vec![1, 1, 0, 1, 0], Some((3, false))),
            (vec![1, 1, 0, 0, 0], None),
        ] {
            let prediction = Bitmap::from_values(5, 1, prediction).unwrap();
            assert_eq!(next_click(&truth, &prediction, &mut rng).map(|c| (c.x, c.is_positive)), want);
        }
    }

    proptest! {
        #[test]
        fn a_point_lies_as_deep_in_the_error_as_any(
            truth in prop::collection::vec(0u8..2, 63), prediction in prop::collection::vec(0u8..2, 63), seed: u64,
        ) {
            let truth = Bitmap::from_values(9, 7, truth).unwrap();
            let prediction = Bitmap::from_values(9, 7, prediction).unwrap();
            let depth = squared_to_outside(&where_both(&truth, &prediction, |t, p| t != p));
            let click = next_click(&truth, &prediction, &mut Pcg64Mcg::seed_from_u64(seed));
            prop_assert_eq!(click.is_none(), truth == prediction);
            if let Some(c) = click {
                prop_assert!(truth.get(c.x, c.y) != prediction.get(c.x, c.y));
                prop_assert_eq!(truth.get(c.x, c.y), c.is_positive);
                prop_assert_eq!(Some(&depth[(c.y * 9 + c.x) as usize]), depth.iter().max());
            }
        }
    }
}
