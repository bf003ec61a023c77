//! Converts prompts to inputs of the decoder, and chooses the mask to show.
//!
//! Prompt maps are five planes over model space, so that prompts reach the mask head at every scale: the previous mask's
//! probability, 1 everywhere if there is a previous mask, disks at positive clicks, disks at negative clicks, and the inside of
//! the box. Points are SAM's (Kirillov et al., ICCV 2023): label 1 positive, 0 negative, 2 and 3 the corners
//! of a box, -1 padding.

use std::ops::Range;

use tract_fused::fast_math::exp;
use tract_fused::wide::wide;

use super::ModelPrompts;
use crate::geometry::{ModelSpace, Point};
use crate::prompt::Polarity;

/// Planes of the prompt maps.
pub const MAPS: usize = 5;

/// Radius of a click's disk, in cells of the maps.
pub const DISK_RADIUS_CELLS: f32 = 3.0;

/// When a padding point is added, as SAM's prompt encoder expects without a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// One padding point unless there is a box.
    UnlessBoxed,
    /// One padding point only if there is no other point.
    WhenEmpty,
}

/// Writes the points of `prompts`, clicks first, then the box: `coords` as x, y pairs in model px, and their labels.
pub fn points(prompts: &ModelPrompts, padding: Padding, coords: &mut Vec<f32>, labels: &mut Vec<f32>) {
    coords.clear();
    labels.clear();
    let mut push = |x: f32, y: f32, label: f32| {
        coords.extend([x, y]);
        labels.push(label);
    };
    for (at, polarity) in &prompts.clicks {
        push(at.x, at.y, f32::from(u8::from(*polarity == Polarity::Positive)));
    }
    if let Some(b) = &prompts.boxed {
        push(b.x0, b.y0, 2.0);
        push(b.x1, b.y1, 3.0);
    } else if padding == Padding::UnlessBoxed || prompts.clicks.is_empty() {
        push(0.0, 0.0, -1.0);
    }
}

/// Writes the prompt maps, `[MAPS, cells, cells]` row-major, of a model whose input is `side` model px wide.
///
/// A disk consists of the cells whose centre is at most [`DISK_RADIUS_CELLS`] cells from the click, a box of the cells whose
/// centre is in the closed rectangle. A previous mask that is not of `cells * cells` values counts as none.
///
/// # Panics
/// If `out` has a different number of values.
pub fn prompt_maps(prompts: &ModelPrompts, side: u32, cells: usize, out: &mut [f32]) {
    let plane = cells * cells;
    assert_eq!(out.len(), MAPS * plane, "prompt maps of {cells} cells");
    out.fill(0.0);
    let (previous, rest) = out.split_at_mut(plane);
    let (has_previous, rest) = rest.split_at_mut(plane);
    let (positive, rest) = rest.split_at_mut(plane);
    let (negative, boxed) = rest.split_at_mut(plane);
    if prompts.previous.len() == plane {
        wide(
            #[inline(always)]
            move || previous.iter_mut().zip(&prompts.previous).for_each(|(p, logit)| *p = 1.0 / (1.0 + exp(-*logit))),
        );
        has_previous.fill(1.0);
    }
    let cell = side as f32 / cells as f32;
    for (at, polarity) in &prompts.clicks {
        let map = if *polarity == Polarity::Positive { &mut *positive } else { &mut *negative };
        draw_disk(map, cells, cell, *at);
    }
    if let Some(b) = &prompts.boxed {
        let within = |v: usize, from: f32, to: f32| (from..=to).contains(&((v as f32 + 0.5) * cell));
        for (i, v) in boxed.iter_mut().enumerate() {
            *v = f32::from(u8::from(within(i % cells, b.x0, b.x1) && within(i / cells, b.y0, b.y1)));
        }
    }
}

/// Index of the mask to show. For a lone click it is the `n`th candidate, by decreasing predicted IoU, NaN last, cyclic. With
/// more prompts (a box or a previous mask counts) it is mask 0, which is trained for that.
///
/// Candidates are the masks from [`ModelSpec::first_candidate`](super::ModelSpec::first_candidate) on. SAM uses only masks 1..;
/// mask 0 averages over ambiguities, which is more often than not better with a small model (`benches/RESULTS.md`).
pub fn choose(prompts: &ModelPrompts, iou: &[f32], first_candidate: usize, n: usize) -> usize {
    if !prompts.is_lone_click() {
        return 0;
    }
    let all = among(iou, first_candidate);
    let score = |i: usize| iou.get(i).copied().filter(|v| !v.is_nan()).unwrap_or(f32::NEG_INFINITY);
    let is_before = |a: usize, b: usize| score(a).total_cmp(&score(b)).reverse().then(a.cmp(&b)).is_lt();
    let rank = |i: usize| all.clone().filter(|&other| is_before(other, i)).count();
    all.clone().find(|&i| rank(i) == n % all.len()).unwrap_or(all.start)
}

/// Number of candidates of a lone click: the masks from [`ModelSpec::first_candidate`](super::ModelSpec::first_candidate) on, or mask 0 when it is the only one.
pub fn candidates(iou: &[f32], first_candidate: usize) -> usize {
    among(iou, first_candidate).len()
}

fn among(iou: &[f32], first_candidate: usize) -> Range<usize> {
    if iou.len() > first_candidate { first_candidate..iou.len() } else { 0..1 }
}

fn draw_disk(map: &mut [f32], cells: usize, cell: f32, at: Point<ModelSpace>) {
    let reach = DISK_RADIUS_CELLS * cell;
    let first = |v: f32| (((v - reach) / cell).floor().max(0.0) as usize).min(cells);
    let end = |v: f32| (((v + reach) / cell).ceil().max(0.0) as usize).min(cells);
    for row in first(at.y)..end(at.y) {
        for column in first(at.x)..end(at.x) {
            let (dx, dy) = (at.x - (column as f32 + 0.5) * cell, at.y - (row as f32 + 0.5) * cell);
            if dx * dx + dy * dy <= reach * reach {
                map[row * cells + column] = 1.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn click(x: f32, y: f32, polarity: Polarity) -> (Point<ModelSpace>, Polarity) {
        (Point::new(x, y), polarity)
    }

    fn maps(prompts: &ModelPrompts, side: u32, cells: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; MAPS * cells * cells];
        prompt_maps(prompts, side, cells, &mut out);
        out
    }

    fn ascii(map: &[f32], cells: usize) -> Vec<String> {
        map.chunks_exact(cells).map(|row| row.iter().map(|&v| if v == 1.0 { '#' } else { '.' }).collect()).collect()
    }

    #[test]
    fn a_click_is_a_disk_of_three_cells_around_it() {
        let prompts = ModelPrompts { clicks: vec![click(9.0, 9.0, Polarity::Negative)], ..Default::default() };
        let out = maps(&prompts, 18, 9);
        let disk = ["....#....", "..#####..", "..#####..", ".#######.", "..#####..", "..#####..", "....#...."];
        let around = ascii(&out[3 * 81..4 * 81], 9);
        assert_eq!(around[1..8], disk, "{around:#?}");
        assert_eq!((around[0].as_str(), around[8].as_str()), (".........", "........."));
        assert!(out[..3 * 81].iter().chain(&out[4 * 81..]).all(|&v| v == 0.0), "no other plane is touched");
    }

    #[test]
    fn clicks_beyond_the_edge_reach_in_and_far_ones_do_nothing() {
        let clicks = vec![click(-2.0, 1.0, Polarity::Positive), click(900.0, -900.0, Polarity::Positive)];
        let out = maps(&ModelPrompts { clicks, ..Default::default() }, 16, 8);
        let plane = ascii(&out[2 * 64..3 * 64], 8);
        assert_eq!(plane[..4], ["##......", "##......", "#.......", "........"].map(String::from), "{plane:#?}");
    }

    #[test]
    fn a_box_holds_the_cells_whose_centre_is_inside() {
        let prompts = ModelPrompts { boxed: Some(Rect::new(3.0, 2.9, 7.0, 4.9)), ..Default::default() };
        let plane = ascii(&maps(&prompts, 16, 8)[4 * 64..], 8);
        assert_eq!(plane[..3], ["........", ".###....", "........"].map(String::from), "{plane:#?}");
        assert!(plane[3..].iter().all(|row| row == "........"));
    }

    #[test]
    fn the_previous_mask_is_given_as_probability() {
        let mut prompts = ModelPrompts { previous: vec![0.0, 2.0, -2.0, 100.0], ..Default::default() };
        let out = maps(&prompts, 4, 2);
        for (got, expected) in out[..4].iter().zip([0.5, 0.880_797, 0.119_203, 1.0]) {
            assert!((got - expected).abs() < 1e-6, "{out:?}");
        }
        assert_eq!(out[4..8], [1.0; 4], "there is one");
        prompts.previous.clear();
        assert!(maps(&prompts, 4, 2).iter().all(|&v| v == 0.0), "there is none");
    }

    #[test]
    fn points_are_clicks_then_box_then_padding() {
        let clicks = vec![click(1.0, 2.0, Polarity::Positive), click(3.0, 4.0, Polarity::Negative)];
        let boxed = Some(Rect::new(5.0, 6.0, 7.0, 8.0));
        let none = ModelPrompts::default();
        let clicked = ModelPrompts { clicks: clicks.clone(), ..Default::default() };
        let both = ModelPrompts { clicks, boxed, ..Default::default() };
        use Padding::{UnlessBoxed, WhenEmpty};
        for (prompts, padding, xy, expected) in [
            (&none, WhenEmpty, vec![0.0, 0.0], vec![-1.0]),
            (&none, UnlessBoxed, vec![0.0, 0.0], vec![-1.0]),
            (&clicked, WhenEmpty, vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 0.0]),
            (&clicked, UnlessBoxed, vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0], vec![1.0, 0.0, -1.0]),
            (&both, WhenEmpty, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], vec![1.0, 0.0, 2.0, 3.0]),
            (&both, UnlessBoxed, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], vec![1.0, 0.0, 2.0, 3.0]),
        ] {
            let (mut coords, mut labels) = (vec![9.0], vec![9.0]);
            points(prompts, padding, &mut coords, &mut labels);
            assert_eq!((coords, labels), (xy, expected), "{prompts:?} {padding:?}");
        }
    }

    #[test]
    fn the_shown_mask_follows_the_rule() {
        let lone = ModelPrompts { clicks: vec![click(1.0, 1.0, Polarity::Positive)], ..Default::default() };
        let two = ModelPrompts { clicks: [&lone.clicks[..], &lone.clicks[..]].concat(), ..Default::default() };
        let boxed = ModelPrompts { boxed: Some(Rect::new(0.0, 0.0, 1.0, 1.0)), ..Default::default() };
        let again = ModelPrompts { previous: vec![0.0; 4], ..lone.clone() };
        for (prompts, iou, [ours, sams]) in [
            (&lone, vec![0.9, 0.2, 0.8, 0.5], [0, 2]),
            (&lone, vec![0.6, 0.7, 0.7, 0.7], [1, 1]),
            (&lone, vec![0.9, f32::NAN, 0.1, 0.0], [0, 2]),
            (&lone, vec![f32::NAN, f32::NAN, f32::NAN, f32::NAN], [0, 1]),
            (&lone, vec![0.9], [0, 0]),
            (&two, vec![0.1, 0.2, 0.8, 0.5], [0, 0]),
            (&boxed, vec![0.1, 0.2, 0.8, 0.5], [0, 0]),
            (&again, vec![0.1, 0.2, 0.8, 0.5], [0, 0]),
        ] {
            assert_eq!(choose(prompts, &iou, 0, 0), ours, "{prompts:?} {iou:?}");
            assert_eq!(choose(prompts, &iou, 1, 0), sams, "{prompts:?} {iou:?}");
        }
    }

    #[test]
    fn candidates_come_by_score_and_begin_again() {
        let lone = ModelPrompts { clicks: vec![click(1.0, 1.0, Polarity::Positive)], ..Default::default() };
        let iou = [0.8, 0.3, 0.9, 0.5];
        assert_eq!([0, 1, 2, 3, 4, 9].map(|n| choose(&lone, &iou, 0, n)), [2, 0, 3, 1, 2, 0]);
        assert_eq!([0, 1, 2, 3, 7].map(|n| choose(&lone, &iou, 1, n)), [2, 3, 1, 2, 3]);
        assert_eq!([0, 1].map(|first| candidates(&iou, first)), [4, 3]);
        assert_eq!((choose(&lone, &[0.4], 1, 5), candidates(&[0.4], 1)), (0, 1));
    }
}
