//! A suggestion: the largest part of what a model proposes without a prompt, and the box that prompts for it once somebody
//! accepts it.

use crate::geometry::{ImageSpace, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};

/// Of its size, by how much a suggestion's box is larger on each side: a proposal is seldom whole.
const GROW: f32 = 0.1;
/// A smaller part is noise, cells.
const CELLS_MIN: usize = 16;

/// Finds the largest part; keeps its buffers.
#[derive(Clone, Debug, Default)]
pub struct LargestPart {
    /// Part of each cell, from 1; 0 for none.
    labels: Vec<u16>,
    stack: Vec<u32>,
}

impl LargestPart {
    /// Leaves the largest 8-connected part of a proposal and blanks the others. `false` when there is no part of 16 cells or
    /// more, or a value is not a number.
    pub fn keep(&mut self, grid: &mut LogitGrid) -> bool {
        let cells = grid.cells();
        if !grid.values().iter().all(|v| v.is_finite()) {
            return false;
        }
        self.labels.clear();
        self.labels.resize(cells * cells, 0);
        let (mut largest, mut label) = ((0, 0), 0);
        for start in 0..cells * cells {
            if grid.values()[start] > 0.0 && self.labels[start] == 0 && label < u16::MAX {
                label += 1;
                let size = self.flood(grid.values(), cells, start, label);
                if size > largest.0 {
                    largest = (size, label);
                }
            }
        }
        let (size, label) = largest;
        for (value, _) in grid.values_mut().iter_mut().zip(&self.labels).filter(|(v, of)| **v > 0.0 && **of != label) {
            *value = BACKGROUND_LOGIT;
        }
        size >= CELLS_MIN
    }

    /// Labels the part of a cell; returns its number of cells.
    fn flood(&mut self, values: &[f32], cells: usize, start: usize, label: u16) -> usize {
        let mut size = 0;
        self.labels[start] = label;
        self.stack.push(start as u32);
        while let Some(at) = self.stack.pop() {
            size += 1;
            let (x, y) = (at as usize % cells, at as usize / cells);
            for ny in y.saturating_sub(1)..(y + 2).min(cells) {
                for nx in x.saturating_sub(1)..(x + 2).min(cells) {
                    let next = ny * cells + nx;
                    if values[next] > 0.0 && self.labels[next] == 0 {
                        self.labels[next] = label;
                        self.stack.push(next as u32);
                    }
                }
            }
        }
        size
    }
}

/// A square of `edge` values in twice as many along an edge, linear between the middles of cells; the outermost stand for what
/// lies beyond them.
pub fn doubled(values: &[f32], edge: usize, out: &mut Vec<f32>) {
    out.clear();
    out.resize(4 * edge * edge, 0.0);
    for (y, row) in out.chunks_exact_mut(2 * edge).enumerate() {
        let near = y / 2;
        let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(edge - 1) };
        let (near, far) = (&values[near * edge..][..edge], &values[far * edge..][..edge]);
        let value = |x: usize| 0.75 * near[x] + 0.25 * far[x];
        let (mut left, mut here) = (value(0), value(0));
        for (x, pair) in row.chunks_exact_mut(2).enumerate() {
            let right = value((x + 1).min(edge - 1));
            pair[0] = 0.75 * here + 0.25 * left;
            pair[1] = 0.75 * here + 0.25 * right;
            (left, here) = (here, right);
        }
    }
}

/// The box that prompts for a suggestion with these bounds, within the image region: larger by a tenth on each side, as in
/// training and in `eval --protocol auto`.
pub fn prompt_box(bounds: &Rect<ImageSpace>, region: &Rect<ImageSpace>) -> Option<Rect<ImageSpace>> {
    let (dx, dy) = (GROW * bounds.width(), GROW * bounds.height());
    Rect::new(bounds.x0 - dx, bounds.y0 - dy, bounds.x1 + dx, bounds.y1 + dy).intersect(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ModelView;

    fn grid(cells: usize) -> LogitGrid {
        LogitGrid::background(cells, ModelView::new(Rect::new(0.0, 0.0, 64.0, 64.0), 64))
    }

    fn fill(grid: &mut LogitGrid, x: std::ops::Range<usize>, y: std::ops::Range<usize>, logit: f32) {
        let cells = grid.cells();
        y.for_each(|y| grid.values_mut()[y * cells..][x.clone()].fill(logit));
    }

    #[test]
    fn the_largest_part_is_left() {
        let mut proposal = grid(32);
        fill(&mut proposal, 2..6, 2..6, 8.0);
        fill(&mut proposal, 10..20, 10..15, 2.0);
        fill(&mut proposal, 10..20, 15..20, 1.0);
        assert!(LargestPart::default().keep(&mut proposal));
        assert_eq!(proposal.inside_bounds().unwrap(), Rect::new(20.0, 20.0, 40.0, 40.0));
        assert_eq!(proposal.values().iter().filter(|v| **v > 0.0).count(), 100);
    }

    #[test]
    fn cells_that_touch_at_a_corner_are_one_part_and_a_few_cells_are_none() {
        let mut proposal = grid(32);
        fill(&mut proposal, 4..8, 4..6, 2.0);
        fill(&mut proposal, 8..12, 6..8, 2.0);
        let mut parts = LargestPart::default();
        assert!(parts.keep(&mut proposal));
        assert_eq!(proposal.values().iter().filter(|v| **v > 0.0).count(), 16);
        let mut few = grid(32);
        fill(&mut few, 4..9, 4..7, 9.0);
        assert!(!parts.keep(&mut few));
        assert!(!parts.keep(&mut grid(32)));
    }

    #[test]
    fn what_is_not_a_number_is_no_suggestion() {
        let mut proposal = grid(32);
        fill(&mut proposal, 4..20, 4..20, 3.0);
        proposal.values_mut()[900] = f32::NAN;
        assert!(!LargestPart::default().keep(&mut proposal));
    }

    #[test]
    fn an_enlarged_mask_is_linear_between_the_middles_of_cells() {
        let (mut out, edge) = (Vec::new(), 4);
        let plane: Vec<f32> = (0..edge * edge).map(|i| (3 * (i % edge) + 10 * (i / edge)) as f32).collect();
        doubled(&plane, edge, &mut out);
        for (i, v) in out.iter().enumerate() {
            let at = |i: usize| ((i as f32 - 0.5) / 2.0).clamp(0.0, edge as f32 - 1.0);
            let expected = 3.0 * at(i % 8) + 10.0 * at(i / 8);
            assert!((v - expected).abs() < 1e-4, "{i}: {v} {expected}");
        }
    }

    #[test]
    fn a_box_is_larger_by_a_tenth_and_within_the_region() {
        let region = Rect::new(0.0, 0.0, 100.0, 100.0);
        let boxed = prompt_box(&Rect::new(5.0, 40.0, 55.0, 60.0), &region);
        assert_eq!(boxed, Some(Rect::new(0.0, 38.0, 60.0, 62.0)));
        assert_eq!(prompt_box(&Rect::new(200.0, 200.0, 210.0, 210.0), &region), None);
    }
}
