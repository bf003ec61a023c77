//! What a training image shows of a real one: framing, turning, mirroring, and the tones of other scanners.

use rand::Rng;

use super::example::Target;
use super::picture::{Affine, Grey, Picture, SIDE, chance, uniform, warped_mask};
use super::prompts::inner_click;
use super::tasks::AREA_MIN;
use crate::eval::clicks::PixelClick;
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::Bitmap;

/// Share of views that are framed by the object, as the live path's target crop frames it.
const FRAMED: f32 = 0.35;
/// Objects beside the one that is framed.
const BESIDE: usize = 2;
/// Fewest pixels of an object in a view.
const VISIBLE: usize = AREA_MIN * 2 / 3;
/// How near the middle of the object comes to the view's edge, px.
const MARGIN: f32 = 40.0;

/// Shorter edge of the smallest view around a click, px of the image.
const NEAREST_PX: f32 = 48.0;
/// Least side of a view around a click, part of the image's longer side.
const NEAREST: f32 = 0.2;
/// Share of an object from which on a view around a click is always taken; of those that show less, [`CUT`] are.
const SEEN: f32 = 0.35;
const CUT: f32 = 0.3;
/// Draws of a view around a click.
const DRAWS: usize = 4;

/// A view and the objects in it; the first is the one that it is chosen for.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What is seen.
    pub picture: Picture,
    /// What is seen of the objects.
    pub objects: Vec<Target>,
    /// It is a view around a click, which may cut what it shows.
    pub is_near: bool,
}

/// Where a view lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// From view px to image px.
    pub back: Affine,
    /// The click that the view was chosen around, view px.
    pub click: Option<PixelClick>,
}

/// An object of an image.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Around it.
    pub bounds: &'a Rect<ImageSpace>,
    /// Of the image's size.
    pub mask: &'a Bitmap,
}

/// A random view of an image around one of its objects (masks of the image's size, with their bounds); `None` when too
/// little of it would be seen. A share `near` of the views lies around a click. `before`: the only object some frames before.
pub fn random_view(
    grey: &Grey,
    objects: &[(Rect<ImageSpace>, Bitmap)],
    before: Option<&Bitmap>,
    near: f32,
    rng: &mut impl Rng,
) -> Option<View> {
    let chosen = rng.random_range(0..objects.len());
    let object = |i: usize| Object { bounds: &objects[i].0, mask: &objects[i].1 };
    let (placement, first) = random_placement(grey, object(chosen), near, rng)?;
    let back = &placement.back;
    let before = before.map(|m| warped_mask(m, back)).filter(|m| m.area_px() >= VISIBLE);
    let first = Target { before, ..first };
    let others =
        (0..objects.len()).filter(|i| *i != chosen).take(BESIDE).map(|i| seen(object(i).mask, &placement, None));
    let objects = std::iter::once(first).chain(others.filter(|t| t.mask.area_px() >= VISIBLE)).collect();
    Some(View { picture: grey.warped(back), objects, is_near: placement.click.is_some() })
}

/// A random place for a view of an object, and what is seen of it; `None` when that is too little.
pub fn random_placement(grey: &Grey, object: Object, near: f32, rng: &mut impl Rng) -> Option<(Placement, Target)> {
    if !chance(rng, near) {
        let placement = Placement { back: framed(grey, object.bounds, rng).inverse()?, click: None };
        let target = seen(object.mask, &placement, None);
        return (target.mask.area_px() >= VISIBLE).then_some((placement, target));
    }
    (0..DRAWS).find_map(|_| {
        let placement = around_click(grey, object.mask, rng)?;
        let target = seen(object.mask, &placement, placement.click);
        let visible = target.mask.area_px();
        let share = visible as f32 / (visible as f32 + target.beyond_px.unwrap_or(0.0));
        (visible >= VISIBLE && (share >= SEEN || chance(rng, CUT))).then_some((placement, target))
    })
}

/// What a view shows of a mask, and how much lies beyond.
fn seen(mask: &Bitmap, placement: &Placement, click: Option<PixelClick>) -> Target {
    let visible = warped_mask(mask, &placement.back);
    let scale = placement.back.reduction();
    let whole = mask.area_px() as f32 / (scale * scale);
    let click = click.filter(|c| visible.get(c.x, c.y));
    let beyond = whole - visible.area_px() as f32;
    // Less than the sampling of an edge can make up is nothing.
    let beyond_px = Some(if beyond > 0.02 * whole { beyond } else { 0.0 });
    Target { beyond_px, click, ..Target::whole(visible) }
}

/// What a crop of a picture around a click in one of its masks shows: the crop at the picture's size, and the masks.
pub fn zoomed(picture: &Picture, masks: &[Bitmap], rng: &mut impl Rng) -> Option<View> {
    let side = SIDE as f32;
    let chosen = rng.random_range(0..masks.len().max(1));
    let click = inner_click(masks.get(chosen)?, rng)?;
    let k = uniform(rng, NEAREST.ln(), 0.0).exp();
    let corner = |at: u32| (at as f32 - k * side / 2.0).clamp(0.0, side - k * side);
    let (x, y) = (corner(click.x), corner(click.y));
    let half = (k - 1.0) / 2.0;
    let back = Affine([k, 0.0, x + half, 0.0, k, y + half]);
    let placement = Placement { back, click: Some(placed(click, &back)?) };
    let mut objects: Vec<Target> = vec![seen(&masks[chosen], &placement, placement.click)];
    objects.extend((0..masks.len()).filter(|i| *i != chosen).map(|i| seen(&masks[i], &placement, None)));
    objects.retain(|t| t.mask.area_px() >= AREA_MIN);
    let picture = Picture::from_fn(|x, y| {
        let (x, y) = back.of(x as f32, y as f32);
        picture.sample(x.clamp(0.0, side - 1.0), y.clamp(0.0, side - 1.0))
    });
    Some(View { picture, objects, is_near: true })
}

/// A click of the image, in view px; `None` when it is not seen.
fn placed(click: PixelClick, back: &Affine) -> Option<PixelClick> {
    let (x, y) = back.inverse()?.of(click.x as f32, click.y as f32);
    let inside = |v: f32| (0.0..SIDE as f32 - 0.5).contains(&v);
    (inside(x) && inside(y)).then(|| PixelClick { x: x.round() as u32, y: y.round() as u32, ..click })
}

/// A square of any scale around a click in the mask, moved into the image where it can be.
fn around_click(grey: &Grey, mask: &Bitmap, rng: &mut impl Rng) -> Option<Placement> {
    let click = inner_click(mask, rng)?;
    let (width, height) = (grey.width as f32, grey.height as f32);
    let longest = width.max(height);
    let side = (longest * uniform(rng, NEAREST.ln(), 0.0).exp()).max(NEAREST_PX.min(longest));
    let middle =
        |at: u32, edge: f32| if side >= edge { edge / 2.0 } else { (at as f32).clamp(side / 2.0, edge - side / 2.0) };
    let linear = turned(SIDE as f32 / side, rng);
    let (cx, cy) = linear.of(middle(click.x, width) - 0.5, middle(click.y, height) - 0.5);
    let off = if chance(rng, 0.5) { 8.0 } else { 0.0 };
    let mut shift = |centre: f32| SIDE as f32 / 2.0 - 0.5 - centre + uniform(rng, -off, off);
    let [a, b, _, d, e, _] = linear.0;
    let back = Affine([a, b, shift(cx), d, e, shift(cy)]).inverse()?;
    Some(Placement { back, click: Some(placed(click, &back)?) })
}

/// A linear map of this scale, perhaps turned, mirrored, stretched.
fn turned(scale: f32, rng: &mut impl Rng) -> Affine {
    let mut degrees = if chance(rng, 0.5) { uniform(rng, -25.0, 25.0) } else { 0.0 };
    if chance(rng, 0.05) {
        degrees += 90.0 * rng.random_range(1..4) as f32;
    }
    let mirror = if chance(rng, 0.5) { -1.0 } else { 1.0 };
    let stretch = if chance(rng, 0.3) { uniform(rng, 0.8, 1.25) } else { 1.0 };
    let (sin, cos) = degrees.to_radians().sin_cos();
    Affine([cos * scale * mirror * stretch, -sin * scale, 0.0, sin * scale * mirror * stretch, cos * scale, 0.0])
}

/// The map from image px to a view of the whole image, or of an object with these bounds as the target crop shows it.
fn framed(grey: &Grey, object: &Rect<ImageSpace>, rng: &mut impl Rng) -> Affine {
    let side = SIDE as f32;
    let (width, height) = (grey.width as f32, grey.height as f32);
    let whole = side / width.max(height);
    let scale = if chance(rng, FRAMED) {
        let extent = (object.x1 - object.x0).max(object.y1 - object.y0);
        (side * uniform(rng, 0.2, 0.75) / extent).min(4.0 * whole)
    } else if chance(rng, 0.8) {
        whole * uniform(rng, 0.75, 1.5)
    } else {
        whole
    };
    let linear = turned(scale, rng);
    let [a, b, _, d, e, _] = linear.0;
    let (cx, cy) = linear.of((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    let (ox, oy) = linear.of((object.x0 + object.x1) / 2.0, (object.y0 + object.y1) / 2.0);
    let mut shift = |centre: f32, object: f32| {
        let free = side / 2.0 + uniform(rng, -16.0, 16.0) - centre;
        let place = object + free;
        let (low, high) = (MARGIN, side - MARGIN);
        free + (low - place).max(0.0)
            + (high - place).min(0.0)
            + if place < low {
                uniform(rng, 0.0, 60.0)
            } else if place > high {
                -uniform(rng, 0.0, 60.0)
            } else {
                0.0
            }
    };
    let (c, f) = (shift(cx, ox), shift(cy, oy));
    Affine([a, b, c, d, e, f])
}

/// What another scanner or another setting would have shown: gamma, gain, depth gain, speckle, blur, seldom inverted.
pub fn tone(mut picture: Picture, rng: &mut impl Rng) -> Picture {
    if chance(rng, 0.7) {
        let gamma = uniform(rng, 0.5, 1.8);
        picture = picture.map(|v| v.clamp(0.0, 1.0).powf(gamma));
    }
    if chance(rng, 0.5) {
        let (gain, offset) = (uniform(rng, 0.7, 1.3), uniform(rng, -0.08, 0.08));
        picture = picture.map(|v| v * gain + offset);
    }
    if chance(rng, 0.25) {
        let (top, bottom) = (uniform(rng, 0.5, 1.3), uniform(rng, 0.5, 1.3));
        let rows = picture.values_mut().chunks_exact_mut(SIDE).enumerate();
        rows.for_each(|(y, row)| {
            let gain = top + (bottom - top) * y as f32 / (SIDE - 1) as f32;
            row.iter_mut().for_each(|v| *v *= gain);
        });
    }
    if chance(rng, 0.35) {
        let sigma = [0.01, 0.7, 0.7, 1.6][rng.random_range(0..4)];
        let strength = uniform(rng, 0.0, 0.3);
        let noise = Picture::white_noise(rng).blurred(sigma, sigma);
        let (_, sd) = noise.moments();
        picture = picture.zip(&noise, |v, n| v * (1.0 + strength * n / sd.max(1e-6)));
    }
    if chance(rng, 0.2) {
        let sigma = uniform(rng, 0.5, 1.8);
        picture = picture.blurred(sigma, sigma);
    }
    if chance(rng, 0.03) {
        picture = picture.map(|v| 1.0 - v);
    }
    picture.map(|v| v.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    /// An image with a bright object, and the object.
    fn subject() -> (Grey, [(Rect<ImageSpace>, Bitmap); 1]) {
        let (width, height) = (400, 300);
        let inside = |x: usize, y: usize| (100..180).contains(&x) && (120..190).contains(&y);
        let values = (0..width * height).map(|i| if inside(i % width, i / width) { 200 } else { 60 }).collect();
        let mask = (0..width * height).map(|i| u8::from(inside(i % width, i / width))).collect();
        let mask = Bitmap::from_values(width as u32, height as u32, mask).unwrap();
        (Grey { width, height, values }, [(Rect::new(100.0, 120.0, 180.0, 190.0), mask)])
    }

    #[test]
    fn image_and_mask_of_a_view_show_the_same_place() {
        let (grey, objects) = subject();
        for (seed, near) in (0..80).map(|seed| (seed, (seed % 2) as f32)) {
            let rng = &mut Pcg64Mcg::seed_from_u64(seed);
            let view = random_view(&grey, &objects, Some(&objects[0].1), near, rng).unwrap();
            let bright = view.picture.above(130.0 / 255.0);
            let iou = bright.iou(&view.objects[0].mask);
            assert!(iou > 0.93, "seed {seed}: {iou}");
            assert_eq!(view.objects[0].before.as_ref(), Some(&view.objects[0].mask));
        }
    }

    #[test]
    fn a_view_around_a_click_knows_how_much_of_the_object_lies_beyond() {
        let (grey, objects) = subject();
        let mut cut = 0;
        for seed in 0..60 {
            let rng = &mut Pcg64Mcg::seed_from_u64(seed);
            let view = random_view(&grey, &objects, None, 1.0, rng).unwrap();
            let Target { mask, beyond_px, click, .. } = &view.objects[0];
            let click = click.unwrap();
            assert!(view.is_near && mask.get(click.x, click.y), "seed {seed}");
            let edge = (0..SIDE as u32).any(|i| {
                let last = SIDE as u32 - 1;
                mask.get(i, 0) || mask.get(0, i) || mask.get(i, last) || mask.get(last, i)
            });
            let is_cut = beyond_px.unwrap() > 0.0;
            assert!(edge || !is_cut, "seed {seed}: {beyond_px:?} beyond a view whose edge it does not touch");
            cut += usize::from(is_cut);
        }
        assert!((10..50).contains(&cut), "{cut}");
    }

    #[test]
    fn a_zoom_shows_what_the_picture_showed() {
        let picture = Picture::from_fn(|x, y| if (60..120).contains(&x) && (80..150).contains(&y) { 0.8 } else { 0.2 });
        let mask = picture.above(0.5);
        for seed in 0..40 {
            let view = zoomed(&picture, std::slice::from_ref(&mask), &mut Pcg64Mcg::seed_from_u64(seed)).unwrap();
            let seen = &view.objects[0];
            assert!(view.picture.above(0.5).iou(&seen.mask) > 0.95, "seed {seed}");
            assert!(seen.click.is_some_and(|c| seen.mask.get(c.x, c.y)), "seed {seed}");
        }
    }
}
