//! Carries a mask along the motion, and measures whether it still holds.

pub use super::change::{is_repeat, is_scene_cut, structure_correlation};
pub use super::drift::{DriftLimits, DriftTest, Evidence, Verdict, judge};
use super::flow::FlowField;
use crate::geometry::{ImageSpace, ModelSpace, Point, Rect};
use crate::mask::{BACKGROUND_LOGIT, LogitGrid};

/// Most points of an object that are followed to judge its motion.
const SAMPLES: usize = 512;

/// Moves a mask along `motion`, which maps the frame of `out` back to the frame of `source`: out(x) = source(backward(x)).
///
/// `out` gets the view and the cells of `source`; points from outside the view's square become background. Warp the model's
/// mask by the composite motion, not the last result by the last step, so that it is interpolated only once.
///
/// ```
/// use sonotap::geometry::{ModelView, Point, Rect};
/// use sonotap::mask::LogitGrid;
/// use sonotap::track::{carry::warp, flow::FlowField};
/// let view = ModelView::new(Rect::new(0.0, 0.0, 256.0, 256.0), 256);
/// let mut source = LogitGrid::background(128, view);
/// source.values_mut()[20 * 128 + 30] = 8.0;
/// let moved_by_ten_right = FlowField::from_fn(view, |_| (-10.0, 0.0));
/// let mut out = LogitGrid::background(128, view);
/// warp(&source, &moved_by_ten_right, &mut out);
/// assert!((out.values()[20 * 128 + 35] - 8.0).abs() < 1e-3);
/// ```
pub fn warp(source: &LogitGrid, motion: &FlowField, out: &mut LogitGrid) {
    let cells = source.cells();
    out.reset(cells, *source.view());
    let cell = source.cell();
    let to_motion = source.view().converter().inverse().then(motion.view().converter());
    let per_px = 1.0 / to_motion.scale();
    for (row, line) in out.values_mut().chunks_exact_mut(cells).enumerate() {
        let y = (row as f32 + 0.5) * cell;
        for (column, value) in line.iter_mut().enumerate() {
            let x = (column as f32 + 0.5) * cell;
            let (dx, dy) = motion.at(to_motion.apply(Point::new(x, y)));
            *value = source.sample_model(Point::<ModelSpace>::new(x + dx * per_px, y + dy * per_px));
        }
    }
}

/// Blends the model's mask into the carried one: carried + `weight` (model - carried), `weight` in 0..=1.
///
/// The model's mask is resampled into the carried mask's view; outside the model's crop the carried mask is unchanged. Both
/// are clamped to +-8 first, so that the larger logits do not dominate the outline.
pub fn gently_correct(carried: &mut LogitGrid, model: &LogitGrid, weight: f32) {
    let weight = weight.clamp(0.0, 1.0);
    let cells = carried.cells();
    let limited = |v: f32| v.clamp(BACKGROUND_LOGIT, -BACKGROUND_LOGIT);
    if carried.view() == model.view() && cells == model.cells() {
        let pairs = carried.values_mut().iter_mut().zip(model.values());
        return pairs.for_each(|(value, &seen)| *value = limited(*value) + weight * (limited(seen) - limited(*value)));
    }
    for n in 0..cells * cells {
        let at = carried.centre(n % cells, n / cells);
        if model.view().crop().contains(at) {
            let value = &mut carried.values_mut()[n];
            *value = limited(*value) + weight * (limited(model.sample(at)) - limited(*value));
        }
    }
}

/// Intersection over union of two masks, over the cells of `a`; `b` may have a different view. 1 when both are empty.
///
/// To compare a crop with the whole frame, pass the whole frame's mask as `a`: the part of `b` outside `a`'s view is ignored.
pub fn agreement(a: &LogitGrid, b: &LogitGrid) -> f32 {
    let cells = a.cells();
    let is_same_grid = a.view() == b.view() && cells == b.cells();
    let (mut both, mut any) = (0u32, 0u32);
    for (n, &value) in a.values().iter().enumerate() {
        let other = if is_same_grid { b.values()[n] } else { b.sample(a.centre(n % cells, n / cells)) };
        let (in_a, in_b) = (value > 0.0, other > 0.0);
        both += u32::from(in_a && in_b);
        any += u32::from(in_a || in_b);
    }
    if any == 0 { 1.0 } else { both as f32 / any as f32 }
}

/// Area of a mask by its cells, square image px.
pub fn area_px(mask: &LogitGrid) -> f32 {
    let side = mask.cell() / mask.view().converter().scale();
    mask.values().iter().filter(|&&v| v > 0.0).count() as f32 * side * side
}

/// Centre of gravity of a mask's cells, image px; `None` for an empty mask.
///
/// ```
/// use sonotap::geometry::{ModelView, Rect};
/// use sonotap::mask::LogitGrid;
/// use sonotap::track::carry::centroid;
/// let view = ModelView::new(Rect::new(0.0, 0.0, 64.0, 64.0), 64);
/// let mut mask = LogitGrid::background(64, view);
/// assert!(centroid(&mask).is_none());
/// mask.values_mut()[10 * 64 + 20] = 1.0;
/// mask.values_mut()[10 * 64 + 21] = 1.0;
/// let c = centroid(&mask).unwrap();
/// assert_eq!((c.x, c.y), (21.0, 10.5));
/// ```
pub fn centroid(mask: &LogitGrid) -> Option<Point<ImageSpace>> {
    let cells = mask.cells();
    let (mut count, mut columns, mut rows) = (0u32, 0u32, 0u32);
    for (n, _) in mask.values().iter().enumerate().filter(|(_, v)| **v > 0.0) {
        (count, columns, rows) = (count + 1, columns + (n % cells) as u32, rows + (n / cells) as u32);
    }
    let at = |sum: u32| (sum as f32 / count as f32 + 0.5) * mask.cell();
    (count > 0).then(|| mask.view().to_image(Point::new(at(columns), at(rows))))
}

/// Forward-backward error: the distance of a point from its origin after moving along `backward` and back along `reverse`.
/// Median over the object, px of `backward`'s small picture. 0 for an empty mask.
///
/// `backward` maps the frame of `object` to an earlier one; `reverse`, estimated with the pictures exchanged, maps the earlier
/// frame to that of `object`.
pub fn round_trip_error(backward: &FlowField, reverse: &FlowField, object: &LogitGrid) -> f32 {
    let mut errors = [0.0f32; SAMPLES];
    let count = for_samples(object, |n, at| errors[n] = reverse.backward(backward.backward(at)).distance(at));
    if count == 0 {
        return 0.0;
    }
    let (_, median, _) = errors[..count].select_nth_unstable_by(count / 2, f32::total_cmp);
    *median * backward.view().converter().scale()
}

/// Share of the object that has left the image since the prediction: points of `looked`, moved forward along `motion` (which
/// maps the shown frame back to the prediction's), that are outside `region`. 0 for an empty mask.
pub fn left_share(looked: &LogitGrid, motion: &FlowField, region: &Rect<ImageSpace>) -> f32 {
    let mut left = 0u32;
    let count = for_samples(looked, |_, at| left += u32::from(!region.contains(motion.forward(at))));
    if count == 0 { 0.0 } else { left as f32 / count as f32 }
}

/// Share of the points outside `region`; 0 without points.
pub fn outside_share(points: impl Iterator<Item = Point<ImageSpace>>, region: &Rect<ImageSpace>) -> f32 {
    let (mut outside, mut count) = (0u32, 0u32);
    for point in points {
        outside += u32::from(!region.contains(point));
        count += 1;
    }
    if count == 0 { 0.0 } else { outside as f32 / count as f32 }
}

/// Calls `each` with a running number and the centre of every k-th inside cell, at most [`SAMPLES`] times; returns the number.
fn for_samples(mask: &LogitGrid, mut each: impl FnMut(usize, Point<ImageSpace>)) -> usize {
    let cells = mask.cells();
    let inside = mask.values().iter().filter(|&&v| v > 0.0).count();
    let step = inside.div_ceil(SAMPLES).max(1);
    let places = mask.values().iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(n, _)| n).step_by(step);
    let mut count = 0;
    for n in places {
        each(count, mask.centre(n % cells, n / cells));
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ModelView;

    fn whole() -> ModelView {
        ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256)
    }

    fn disc(view: ModelView, centre: (f32, f32), radius: f32) -> LogitGrid {
        let mut grid = LogitGrid::background(128, view);
        for n in 0..128 * 128 {
            let p = grid.centre(n % 128, n / 128);
            grid.values_mut()[n] = (radius - (p.x - centre.0).hypot(p.y - centre.1)).clamp(-8.0, 8.0);
        }
        grid
    }

    /// Backward motion of a picture that turned by `angle` about `about` and then moved by `shift`, image px.
    fn turned(view: ModelView, angle: f32, about: (f32, f32), shift: (f32, f32)) -> FlowField {
        FlowField::from_fn(view, |p| {
            let q = view.to_image(p);
            let (x, y) = (q.x - shift.0 - about.0, q.y - shift.1 - about.1);
            let from =
                Point::new(about.0 + angle.cos() * x + angle.sin() * y, about.1 - angle.sin() * x + angle.cos() * y);
            let from = view.to_model(from);
            (from.x - p.x, from.y - p.y)
        })
    }

    #[test]
    fn a_warped_disc_is_the_moved_disc_whatever_its_view() {
        let crop = ModelView::new(Rect::new(150.0, 100.0, 450.0, 400.0), 256);
        for view in [whole(), crop] {
            let motion = turned(whole(), 0.2, (320.0, 240.0), (14.0, -9.0));
            let source = disc(view, (300.0, 250.0), 60.0);
            let mut out = LogitGrid::background(8, whole());
            warp(&source, &motion, &mut out);
            assert_eq!((out.view(), out.cells()), (&view, 128));
            let (s, c) = 0.2f32.sin_cos();
            let moved = (320.0 - 20.0 * c - 10.0 * s + 14.0, 240.0 - 20.0 * s + 10.0 * c - 9.0);
            let iou = out.to_bitmap(640, 480).iou(&disc(view, moved, 60.0).to_bitmap(640, 480));
            assert!(iou > 0.97, "{view:?}: IoU {iou}");
        }
    }

    #[test]
    fn no_motion_leaves_the_mask_and_what_comes_from_outside_is_background() {
        let source = disc(whole(), (30.0, 240.0), 60.0);
        let mut out = source.clone();
        warp(&source, &FlowField::zero(whole()), &mut out);
        assert!(out.values().iter().zip(source.values()).all(|(a, b)| (a - b).abs() < 1e-3));
        warp(&source, &FlowField::from_fn(whole(), |_| (-40.0, 0.0)), &mut out);
        assert_eq!(out.values()[48 * 128 + 10], BACKGROUND_LOGIT);
        assert!(out.values()[48 * 128 + 21] > 0.0, "what touched the edge did not move in");
    }

    #[test]
    fn a_gentle_correction_moves_the_outline_part_of_the_way() {
        let crop = ModelView::new(Rect::new(200.0, 100.0, 440.0, 340.0), 256);
        let mut carried = disc(whole(), (320.0, 220.0), 50.0);
        let before = area_px(&carried);
        gently_correct(&mut carried, &disc(crop, (320.0, 220.0), 56.0), 0.5);
        let radius = |area: f32| (area / std::f32::consts::PI).sqrt();
        assert!((radius(before) - 50.0).abs() < 0.5);
        assert!((radius(area_px(&carried)) - 53.0).abs() < 0.6, "radius {}", radius(area_px(&carried)));
    }

    #[test]
    fn a_correction_of_no_weight_or_from_elsewhere_changes_nothing() {
        let carried = disc(whole(), (100.0, 100.0), 40.0);
        let elsewhere = disc(ModelView::new(Rect::new(400.0, 300.0, 600.0, 460.0), 256), (500.0, 400.0), 40.0);
        for (model, weight) in [(disc(whole(), (120.0, 100.0), 40.0), 0.0), (elsewhere, 1.0)] {
            let mut corrected = carried.clone();
            gently_correct(&mut corrected, &model, weight);
            let crop = *model.view().crop();
            let kept = (0..128 * 128).filter(|n| !crop.contains(carried.centre(n % 128, n / 128)) || weight == 0.0);
            assert!(kept.into_iter().all(|n| corrected.values()[n] == carried.values()[n]));
        }
    }

    #[test]
    fn agreement_of_discs_is_their_iou() {
        let a = disc(whole(), (320.0, 240.0), 80.0);
        let crop = ModelView::new(Rect::new(200.0, 120.0, 440.0, 360.0), 256);
        assert!(agreement(&a, &disc(crop, (320.0, 240.0), 80.0)) > 0.97);
        let smaller = agreement(&a, &disc(whole(), (320.0, 240.0), 56.57));
        assert!((smaller - 0.5).abs() < 0.02, "{smaller}");
        assert_eq!(agreement(&a, &disc(whole(), (40.0, 40.0), 20.0)), 0.0);
        assert_eq!(agreement(&LogitGrid::background(8, whole()), &LogitGrid::background(4, crop)), 1.0);
    }

    #[test]
    fn round_trip_is_zero_for_inverse_motions_and_their_distance_otherwise() {
        let object = disc(whole(), (320.0, 240.0), 60.0);
        let forth = FlowField::from_fn(whole(), |_| (3.0, -1.0));
        let back = FlowField::from_fn(whole(), |_| (-3.0, 1.0));
        assert!(round_trip_error(&forth, &back, &object) < 1e-3);
        let error = round_trip_error(&forth, &FlowField::zero(whole()), &object);
        assert!((error - 10f32.sqrt()).abs() < 1e-2, "{error}");
        assert_eq!(round_trip_error(&forth, &back, &LogitGrid::background(8, whole())), 0.0);
    }

    #[test]
    fn an_object_that_moves_over_the_edge_leaves_in_parts() {
        let object = disc(whole(), (600.0, 240.0), 30.0);
        let region = Rect::new(0.0, 0.0, 640.0, 480.0);
        for (shift_px, low, high) in [(0.0, 0.0, 0.0), (40.0, 0.45, 0.55), (100.0, 1.0, 1.0)] {
            let motion = FlowField::from_fn(whole(), |_| (-shift_px * 256.0 / 640.0, 0.0));
            let share = left_share(&object, &motion, &region);
            assert!((low..=high).contains(&share), "{shift_px}: {share}");
        }
        let corners = [(1.0, 1.0), (-1.0, 1.0), (639.0, 479.0), (640.0, 479.0)].map(|(x, y)| Point::new(x, y));
        assert_eq!(outside_share(corners.into_iter(), &region), 0.5);
    }
}
