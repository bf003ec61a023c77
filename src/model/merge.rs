//! A correcting click changes the outline where it is about, and nothing elsewhere.
//!
//! The decoder answers all prompts with a new mask of the whole object, so that a click on one end moves the outline a little at
//! the other, too. Of the regions in which the new mask and the previous one differ, only that with the newest click is
//! taken; elsewhere the previous mask stays.
//!
//! Source: X. Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022, section 3.3
//! (progressive merge). There it protects a mask that was given; here it holds from the third prompt on, since the second is
//! often the first that shows which object is meant.

use super::correct::CellClick;
use crate::mask::BACKGROUND_LOGIT;

/// Prompts from which on a click corrects an outline instead of choosing one; a box counts as its two corners.
pub const PROMPTS_MIN: usize = 3;
/// Distance on both axes within which a region of difference is the click's, cells.
const NEAR_CELLS: usize = 1;

/// Buffers of [`keep_elsewhere`], reused between calls.
#[derive(Clone, Debug, Default)]
pub struct MergeScratch {
    /// Whether a cell is on different sides in the two masks, and not in the click's region.
    differs: Vec<bool>,
    reached: Vec<usize>,
}

/// Sets `logits` to `previous`, both `cells * cells` row-major, in every 8-connected region in which their signs differ,
/// except the regions within a cell of the click. Returns the number of cells set.
///
/// Cells that the previous mask's view did not cover (exactly [`BACKGROUND_LOGIT`]) keep their value. A click off the grid
/// changes nothing.
///
/// # Panics
/// If either mask does not have `cells * cells` logits.
pub fn keep_elsewhere(
    logits: &mut [f32],
    previous: &[f32],
    cells: usize,
    click: &CellClick,
    scratch: &mut MergeScratch,
) -> usize {
    assert_eq!(logits.len(), cells * cells, "logits of a grid of {cells} x {cells}");
    assert_eq!(previous.len(), logits.len(), "logits of the previous mask");
    let side = cells as f32;
    if !(click.x >= 0.0 && click.y >= 0.0 && click.x <= side && click.y <= side) {
        return 0;
    }
    let MergeScratch { differs, reached } = scratch;
    differs.clear();
    differs.extend(logits.iter().zip(previous).map(|(new, old)| (*new > 0.0) != (*old > 0.0)));
    reached.clear();
    let at = (click.x as usize).min(cells - 1) + (click.y as usize).min(cells - 1) * cells;
    leave_around(differs, cells, at, reached);
    while let Some(at) = reached.pop() {
        leave_around(differs, cells, at, reached);
    }
    let mut kept = 0;
    for ((new, &old), _) in logits.iter_mut().zip(previous).zip(differs.iter()).filter(|(_, differs)| **differs) {
        if old != BACKGROUND_LOGIT {
            *new = old;
            kept += 1;
        }
    }
    kept
}

/// Takes the differing cells around a cell into the click's region.
fn leave_around(differs: &mut [bool], cells: usize, at: usize, reached: &mut Vec<usize>) {
    let (x, y) = (at % cells, at / cells);
    let around = |v: usize| v.saturating_sub(NEAR_CELLS)..=(v + NEAR_CELLS).min(cells - 1);
    for row in around(y) {
        for column in around(x) {
            let cell = row * cells + column;
            if std::mem::take(&mut differs[cell]) {
                reached.push(cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Polarity;
    use proptest::prelude::*;

    const CELLS: usize = 16;

    /// A mask that is inside on these columns of these rows.
    fn block(columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> Vec<f32> {
        let is_inside = |i: usize| columns.contains(&(i % CELLS)) && rows.contains(&(i / CELLS));
        (0..CELLS * CELLS).map(|i| if is_inside(i) { 3.0 } else { -3.0 }).collect()
    }

    fn click(x: f32, y: f32) -> CellClick {
        CellClick { x, y, polarity: Polarity::Positive }
    }

    #[test]
    fn the_clicks_end_changes_and_the_other_end_stays() {
        let previous = block(4..8, 4..8);
        let mut logits = block(2..12, 4..8);
        let kept = keep_elsewhere(&mut logits, &previous, CELLS, &click(10.5, 6.5), &mut MergeScratch::default());
        assert_eq!(kept, 8, "two columns of four rows at the left");
        assert_eq!(logits, block(4..12, 4..8));
    }

    #[test]
    fn without_a_difference_at_the_click_all_stays_as_it_was() {
        let previous = block(4..8, 4..8);
        let mut logits = block(4..12, 4..8);
        keep_elsewhere(&mut logits, &previous, CELLS, &click(1.5, 1.5), &mut MergeScratch::default());
        assert_eq!(logits, previous);
    }

    #[test]
    fn what_the_previous_view_did_not_show_is_taken_from_the_new_mask() {
        let mut previous = block(4..8, 4..8);
        for (i, v) in previous.iter_mut().enumerate().filter(|(i, _)| i % CELLS < 4) {
            *v = if i % 2 == 0 { BACKGROUND_LOGIT } else { *v };
        }
        let mut logits = block(2..8, 4..8);
        keep_elsewhere(&mut logits, &previous, CELLS, &click(14.0, 14.0), &mut MergeScratch::default());
        let shown: Vec<bool> = (0..6).map(|x| logits[5 * CELLS + x] > 0.0).collect();
        assert_eq!(shown, [false, false, true, false, true, true]);
    }

    #[test]
    fn a_click_off_the_grid_keeps_nothing() {
        for (x, y) in [(-0.1, 3.0), (3.0, 16.1), (f32::NAN, 3.0)] {
            let mut logits = block(2..12, 4..8);
            let kept =
                keep_elsewhere(&mut logits, &block(4..8, 4..8), CELLS, &click(x, y), &mut MergeScratch::default());
            assert_eq!((kept, logits), (0, block(2..12, 4..8)));
        }
    }

    proptest! {
        #[test]
        fn every_cell_is_that_of_one_of_the_two_masks(
            new in prop::collection::vec(-4f32..4.0, CELLS * CELLS),
            old in prop::collection::vec(-4f32..4.0, CELLS * CELLS),
            x in 0f32..16.0,
            y in 0f32..16.0,
        ) {
            let mut merged = new.clone();
            keep_elsewhere(&mut merged, &old, CELLS, &click(x, y), &mut MergeScratch::default());
            let own = (x as usize).min(15) + (y as usize).min(15) * CELLS;
            prop_assert_eq!(merged[own], new[own]);
            for ((m, n), o) in merged.iter().zip(&new).zip(&old) {
                prop_assert!(m == n || m == o);
                prop_assert!((*m > 0.0) == (*n > 0.0) || (*m > 0.0) == (*o > 0.0));
            }
        }
    }
}
