//! Chooses the part of a frame that is encoded, and resamples masks from one view to another.
//!
//! Terms: the *bounds* are the image region. The *target* is the rectangle around the outlines and prompts of all objects. The
//! *crop* is the encoded part: square where the bounds allow it, its side [`CONTEXT`] times the target's longer side, so that
//! small objects have more detail. Invariant: a crop is inside the bounds and contains the target's part of them.
//!
//! Source: X. Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022 (target crop).

use std::ops::RangeInclusive;

use crate::geometry::{ImageSpace, ModelSpace, ModelView, Point, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};

/// Side of the crop per longer side of the target.
pub const CONTEXT: f32 = 2.5;
/// Smallest side of the crop, as a fraction of the longest side of the bounds.
pub const LEAST: f32 = 120.0 / 256.0;
/// Side from which the crop is the whole bounds, as a fraction of their longest side.
pub const WHOLE: f32 = 230.0 / 256.0;
/// A target closer to the crop's edge than this fraction of the crop's longest side moves the crop.
const NEAR_EDGE: f32 = 0.06;
/// Range of a kept crop's side, relative to the side that the target needs now.
const KEPT_SIZES: RangeInclusive<f32> = 0.7..=1.4;

/// The crop for `target`.
pub fn crop_around(target: &Rect<ImageSpace>, bounds: &Rect<ImageSpace>) -> Rect<ImageSpace> {
    let longest = longest_side(bounds);
    let side = wanted_side(target, bounds).min(longest);
    if side >= WHOLE * longest {
        return *bounds;
    }
    let c = target.centre();
    let (x0, x1) = placed(c.x, side, bounds.x0, bounds.x1);
    let (y0, y1) = placed(c.y, side, bounds.y0, bounds.y1);
    Rect::new(x0, y0, x1, y1)
}

/// A square of this side around a point, moved into the bounds; clipped where the bounds are narrower.
pub fn square_around(at: Point<ImageSpace>, side: f32, bounds: &Rect<ImageSpace>) -> Rect<ImageSpace> {
    let (x0, x1) = placed(at.x, side, bounds.x0, bounds.x1);
    let (y0, y1) = placed(at.y, side, bounds.y0, bounds.y1);
    Rect::new(x0, y0, x1, y1)
}

/// The last crop, as long as the target stays away from its edges and has about the size that it was chosen for; else the crop
/// for the target. So the view is constant while an object is at rest.
pub fn follow(
    last: Option<&Rect<ImageSpace>>,
    target: &Rect<ImageSpace>,
    bounds: &Rect<ImageSpace>,
) -> Rect<ImageSpace> {
    match last {
        Some(last) if keeps(last, target, bounds) => *last,
        _ => crop_around(target, bounds),
    }
}

/// Whether the target is within `distance` px of an edge of the crop that is not an edge of the bounds.
pub fn is_near_edge(
    crop: &Rect<ImageSpace>,
    target: &Rect<ImageSpace>,
    bounds: &Rect<ImageSpace>,
    distance: f32,
) -> bool {
    (target.x0 < crop.x0 + distance && crop.x0 > bounds.x0)
        || (target.y0 < crop.y0 + distance && crop.y0 > bounds.y0)
        || (target.x1 > crop.x1 - distance && crop.x1 < bounds.x1)
        || (target.y1 > crop.y1 - distance && crop.y1 < bounds.y1)
}

/// Resamples the logits of `from` to a different view, row-major `cells * cells`: bilinear at the cells' centres, background
/// outside either crop.
pub fn resample(from: &LogitGrid, cells: usize, view: &ModelView, out: &mut Vec<f32>) {
    out.clear();
    if from.view() == view && from.cells() == cells {
        out.extend_from_slice(from.values());
    } else {
        let k = view.side() as f32 / cells as f32;
        let centre = |i: usize| (i as f32 + 0.5) * k;
        let filled = view.filled();
        for row in 0..cells {
            out.extend((0..cells).map(|column| {
                let p = Point::new(centre(column), centre(row));
                if filled.contains(p) { from.sample(view.to_image(p)) } else { BACKGROUND_LOGIT }
            }));
        }
    }
}

/// Number of columns and rows of cells whose centres are on the image; the others are padding.
pub fn filled_cells(view: &ModelView, cells: usize) -> (usize, usize) {
    let filled: Rect<ModelSpace> = view.filled();
    let k = cells as f32 / view.side() as f32;
    let count = |edge: f32| ((edge * k - 0.5).ceil().max(1.0) as usize).min(cells);
    (count(filled.x1), count(filled.y1))
}

fn keeps(last: &Rect<ImageSpace>, target: &Rect<ImageSpace>, bounds: &Rect<ImageSpace>) -> bool {
    let is_inside = last.x0 >= bounds.x0 && last.y0 >= bounds.y0 && last.x1 <= bounds.x1 && last.y1 <= bounds.y1;
    let side = longest_side(last);
    is_inside
        && KEPT_SIZES.contains(&(side / wanted_side(target, bounds)))
        && !is_near_edge(last, target, bounds, NEAR_EDGE * side)
}

fn longest_side(r: &Rect<ImageSpace>) -> f32 {
    r.width().max(r.height())
}

fn wanted_side(target: &Rect<ImageSpace>, bounds: &Rect<ImageSpace>) -> f32 {
    (CONTEXT * longest_side(target)).max(LEAST * longest_side(bounds))
}

/// A range of whole pixels of about `side` around `centre`, moved into `low..high`.
fn placed(centre: f32, side: f32, low: f32, high: f32) -> (f32, f32) {
    let side = side.min(high - low);
    let start = (centre - side / 2.0).min(high - side).max(low);
    (start.floor().max(low), (start + side).ceil().min(high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds() -> Rect<ImageSpace> {
        Rect::new(0.0, 0.0, 640.0, 480.0)
    }

    fn holds(outer: &Rect<ImageSpace>, inner: &Rect<ImageSpace>) -> bool {
        outer.union(inner) == *outer
    }

    #[test]
    fn crop_has_context_a_least_side_and_an_end() {
        for (target, crop) in [
            (Rect::new(260.0, 200.0, 420.0, 280.0), Rect::new(140.0, 40.0, 540.0, 440.0)),
            (Rect::new(310.0, 230.0, 330.0, 250.0), Rect::new(170.0, 90.0, 470.0, 390.0)),
            (Rect::new(5.0, 5.0, 25.0, 25.0), Rect::new(0.0, 0.0, 300.0, 300.0)),
            (Rect::new(520.0, 300.0, 720.0, 500.0), Rect::new(140.0, 0.0, 640.0, 480.0)),
            (Rect::new(100.0, 100.0, 340.0, 200.0), bounds()),
        ] {
            assert_eq!(crop_around(&target, &bounds()), crop, "{target:?}");
        }
    }

    #[test]
    fn view_moves_only_when_the_target_nears_its_edge() {
        let at = |x: f32| Rect::new(x, 200.0, x + 120.0, 280.0);
        let first = crop_around(&at(200.0), &bounds());
        let mut moves = Vec::new();
        let mut crop = first;
        for step in 0..120 {
            let next = follow(Some(&crop), &at(200.0 + step as f32), &bounds());
            if next != crop {
                moves.push(step);
            }
            assert!(!is_near_edge(&next, &at(200.0 + step as f32), &bounds(), 5.0), "step {step}");
            crop = next;
        }
        assert_eq!(moves, [73], "the right edge of the target is 90 px from the crop's at first, 18 px are near");
    }

    #[test]
    fn view_follows_a_change_of_size() {
        let of = |half: f32| Rect::new(320.0 - half, 240.0 - half, 320.0 + half, 240.0 + half);
        let crop = crop_around(&of(90.0), &bounds());
        for (half, is_kept) in [(70.0, true), (90.0, true), (125.0, true), (60.0, false), (135.0, false)] {
            assert_eq!(follow(Some(&crop), &of(half), &bounds()) == crop, is_kept, "half a side {half}");
        }
    }

    #[test]
    fn a_crop_of_another_region_is_not_kept() {
        let target = Rect::new(310.0, 230.0, 330.0, 250.0);
        let crop = crop_around(&target, &bounds());
        let region = Rect::new(200.0, 100.0, 600.0, 460.0);
        let next = follow(Some(&crop), &target, &region);
        assert!(next != crop && holds(&region, &next), "{next:?}");
    }

    #[test]
    fn mask_stays_in_place_from_view_to_view() {
        let disc = |view: ModelView| {
            let mut grid = LogitGrid::background(128, view);
            for row in 0..128 {
                for column in 0..128 {
                    let d = grid.centre(column, row).distance(Point::new(300.0, 220.0));
                    grid.values_mut()[row * 128 + column] = (50.0 - d) / 4.0;
                }
            }
            grid
        };
        let views = [bounds(), Rect::new(150.0, 90.0, 450.0, 390.0), Rect::new(240.0, 150.0, 640.0, 480.0)]
            .map(|crop| ModelView::new(crop, 256));
        for from in views {
            for to in views {
                let mut values = Vec::new();
                resample(&disc(from), 128, &to, &mut values);
                let moved = LogitGrid::from_values(128, to, values).unwrap().to_bitmap(640, 480);
                let (want, cell) = (disc(to).to_bitmap(640, 480), disc(from).cell() / from.converter().scale());
                let seen = from.crop().intersect(to.crop()).unwrap();
                for y in 0..480 {
                    for x in 0..640 {
                        let p = Point::new(x as f32 + 0.5, y as f32 + 0.5);
                        let is_sure = (p.distance(Point::new(300.0, 220.0)) - 50.0).abs() > cell;
                        let differs = is_sure && seen.grown(-cell).contains(p) && moved.get(x, y) != want.get(x, y);
                        assert!(!differs, "({x}, {y}) from {from:?} to {to:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn beyond_the_old_crop_and_in_the_padding_is_background() {
        let from =
            LogitGrid::from_values(16, ModelView::new(Rect::new(0.0, 0.0, 320.0, 320.0), 256), vec![5.0; 256]).unwrap();
        let to = ModelView::new(Rect::new(160.0, 0.0, 480.0, 160.0), 256);
        let mut values = Vec::new();
        resample(&from, 16, &to, &mut values);
        for (i, v) in values.iter().enumerate() {
            let want = if i % 16 < 8 && i / 16 < 8 { 5.0 } else { BACKGROUND_LOGIT };
            assert_eq!(*v, want, "column {}, row {}", i % 16, i / 16);
        }
        assert_eq!(filled_cells(&to, 16), (16, 8));
    }

    proptest! {
        #[test]
        fn crop_lies_in_the_bounds_and_holds_the_target(
            x in 0.0f32..600.0, y in 0.0f32..440.0, w in 0.0f32..640.0, h in 0.0f32..480.0,
            left in 0.0f32..300.0, top in 0.5f32..200.0, width in 40.0f32..340.0, height in 40.0f32..280.0,
            last in 0.0f32..200.0,
        ) {
            let region = Rect::new(left, top, left + width, top + height);
            let Some(target) = Rect::new(x, y, x + w, y + h).intersect(&region) else { return Ok(()) };
            let last = crop_around(&Rect::new(left + last, top, left + last + 9.0, top + 9.0), &region);
            for crop in [crop_around(&target, &region), follow(Some(&last), &target, &region)] {
                prop_assert!(holds(&region, &crop), "{crop:?} of {region:?}");
                prop_assert!(holds(&crop, &target), "{crop:?} for {target:?}");
            }
        }
    }
}
