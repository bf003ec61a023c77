//! A part of an object, so that a first click may mean the part or the whole and the next click says which.

use rand::Rng;

use super::{AREA_MIN, fits, largest, paint, shape, where_both};
use crate::train::picture::{Picture, SIDE, chance, uniform};
use sonotap::mask::Bitmap;

/// A part, and the image that shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The image; the same as before when the part is cut by an invisible line.
    pub picture: Picture,
    /// The part; it lies within the whole.
    pub mask: Bitmap,
}

/// Shares of the whole that a part may have.
const SHARE: std::ops::RangeInclusive<f32> = 0.12..=0.7;

/// Cuts a part from an object by a line, a curve, or a structure drawn within it; `None` when a few draws gave none of a
/// useful size.
pub fn part(picture: &Picture, whole: &Bitmap, rng: &mut impl Rng) -> Option<Part> {
    let inside: Vec<usize> = (0..SIDE * SIDE).filter(|i| whole.pixels()[*i] != 0).collect();
    if inside.len() < 4 * AREA_MIN {
        return None;
    }
    for _ in 0..4 {
        let drawn = chance(rng, 0.6);
        let cut = if drawn { structure_at(&inside, rng) } else { half_plane(&inside, rng) };
        let mask = largest(&where_both(&cut, whole, |c, w| c && w));
        let share = mask.area_px() as f32 / inside.len() as f32;
        if !fits(&mask, AREA_MIN, 0.5) || !SHARE.contains(&share) {
            continue;
        }
        let picture =
            if drawn { paint(picture, &mask, Some(picture), rng).map(|v| v.clamp(0.0, 1.0)) } else { picture.clone() };
        return Some(Part { picture, mask });
    }
    None
}

/// A random shape moved so that its middle lies in the object.
fn structure_at(inside: &[usize], rng: &mut impl Rng) -> Bitmap {
    let mask = shape(rng);
    let pixels: Vec<usize> = (0..SIDE * SIDE).filter(|i| mask.pixels()[*i] != 0).collect();
    let (Some(from), Some(to)) = (pixels.get(pixels.len() / 2), inside.get(rng.random_range(0..inside.len()))) else {
        return mask;
    };
    let place = |i: usize| ((i % SIDE) as isize, (i / SIDE) as isize);
    let ((fx, fy), (tx, ty)) = (place(*from), place(*to));
    let mut moved = Bitmap::new(SIDE as u32, SIDE as u32);
    for (x, y) in pixels.iter().map(|i| place(*i)).map(|(x, y)| (x + tx - fx, y + ty - fy)) {
        if (0..SIDE as isize).contains(&x) && (0..SIDE as isize).contains(&y) {
            moved.set(x as u32, y as u32, true);
        }
    }
    moved
}

/// One side of a bent line through the object.
fn half_plane(inside: &[usize], rng: &mut impl Rng) -> Bitmap {
    let through = inside[rng.random_range(0..inside.len())];
    let (cx, cy) = ((through % SIDE) as f32, (through / SIDE) as f32);
    let (sin, cos) = uniform(rng, 0.0, std::f32::consts::TAU).sin_cos();
    let (bend, strength) = (Picture::noise_curve(rng, 8), uniform(rng, 0.0, 10.0));
    Picture::from_fn(|x, y| {
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let along = ((dx * cos + dy * sin) + SIDE as f32 / 2.0).clamp(0.0, SIDE as f32 - 1.0);
        if dy * cos - dx * sin > strength * bend[along as usize] { 1.0 } else { 0.0 }
    })
    .above(0.5)
}
