//! What a training image shows of a real one: framing, turning, mirroring, and the tones of other scanners.

use rand::Rng;

use super::picture::{Affine, Grey, Picture, SIDE, chance, uniform, warped_mask};
use super::tasks::AREA_MIN;
use crate::geometry::{Image, Rect};
use crate::mask::Bitmap;

/// Share of views that are framed by the object, as the live path's target crop frames it.
const FRAMED: f32 = 0.35;
/// Objects beside the one that is framed.
const BESIDE: usize = 2;
/// Fewest pixels of an object in a view.
const VISIBLE: usize = AREA_MIN * 2 / 3;
/// How near the middle of the object comes to the view's edge, px.
const MARGIN: f32 = 40.0;

/// A view and the objects in it; the first is the one that it is framed for.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What is seen.
    pub picture: Picture,
    /// Masks of the view's size.
    pub objects: Vec<Bitmap>,
}

/// A random view of an image around one of its objects (masks of the image's size, with their bounds); `None` when too
/// little of it would be seen.
pub fn random_view(grey: &Grey, objects: &[(Rect<Image>, Bitmap)], rng: &mut impl Rng) -> Option<View> {
    let chosen = rng.random_range(0..objects.len());
    let back = random_placement(grey, &objects[chosen].0, rng)?;
    let first = warped_mask(&objects[chosen].1, &back);
    if first.area_px() < VISIBLE {
        return None;
    }
    let others = (0..objects.len()).filter(|i| *i != chosen).take(BESIDE).map(|i| warped_mask(&objects[i].1, &back));
    let objects = std::iter::once(first).chain(others.filter(|m| m.area_px() >= VISIBLE)).collect();
    Some(View { picture: grey.warped(&back), objects })
}

/// A random map from view px to image px, around an object with these bounds.
pub fn random_placement(grey: &Grey, object: &Rect<Image>, rng: &mut impl Rng) -> Option<Affine> {
    placement(grey, object, rng).inverse()
}

/// The map from image px to view px.
fn placement(grey: &Grey, object: &Rect<Image>, rng: &mut impl Rng) -> Affine {
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
    let mut degrees = if chance(rng, 0.5) { uniform(rng, -25.0, 25.0) } else { 0.0 };
    if chance(rng, 0.05) {
        degrees += 90.0 * rng.random_range(1..4) as f32;
    }
    let mirror = if chance(rng, 0.5) { -1.0 } else { 1.0 };
    let stretch = if chance(rng, 0.3) { uniform(rng, 0.8, 1.25) } else { 1.0 };
    let (sin, cos) = degrees.to_radians().sin_cos();
    let [a, b, d, e] = [cos * scale * mirror * stretch, -sin * scale, sin * scale * mirror * stretch, cos * scale];
    let linear = Affine([a, b, 0.0, d, e, 0.0]);
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

    #[test]
    fn image_and_mask_of_a_view_show_the_same_place() {
        let (width, height) = (400, 300);
        let inside = |x: usize, y: usize| (100..180).contains(&x) && (120..190).contains(&y);
        let values = (0..width * height).map(|i| if inside(i % width, i / width) { 200 } else { 60 }).collect();
        let grey = Grey { width, height, values };
        let mask = (0..width * height).map(|i| u8::from(inside(i % width, i / width))).collect();
        let mask = Bitmap::from_values(width as u32, height as u32, mask).unwrap();
        let objects = [(Rect::new(100.0, 120.0, 180.0, 190.0), mask)];
        for seed in 0..40 {
            let rng = &mut Pcg64Mcg::seed_from_u64(seed);
            let view = random_view(&grey, &objects, rng).unwrap();
            let bright = view.picture.above(130.0 / 255.0);
            let iou = bright.iou(&view.objects[0]);
            assert!(iou > 0.93, "seed {seed}: {iou}");
        }
    }
}
