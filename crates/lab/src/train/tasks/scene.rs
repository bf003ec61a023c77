//! Whole synthetic images: tissue with a few structures in it.

use rand::Rng;

use super::paint::{paint, texture};
use super::{AREA_MIN, fits, largest, shape, where_both};
use crate::train::picture::{Picture, SIDE, chance, uniform};
use sonotap::geometry::length;
use sonotap::mask::Bitmap;

/// An image and the masks of the structures that stay visible in it; a real image may lend its tissue.
pub fn scene(real: Option<&Picture>, rng: &mut impl Rng) -> (Picture, Vec<Bitmap>) {
    let mut picture = background(real, rng);
    for _ in 0..rng.random_range(0..=2) {
        if chance(rng, 0.5) {
            let (tissue, step) = (shape(rng), uniform(rng, -0.2, 0.2));
            picture = picture.zip(&Picture::of_mask(&tissue), |v, m| v + m * step);
        }
    }
    let mut masks: Vec<Bitmap> = Vec::new();
    for _ in 0..rng.random_range(2..=7) {
        let mask = shape(rng);
        if !fits(&mask, AREA_MIN, 0.45) {
            continue;
        }
        picture = paint(&picture, &mask, real, rng);
        for before in &mut masks {
            *before = where_both(before, &mask, |b, m| b && !m);
        }
        masks.push(mask);
    }
    if chance(rng, 0.3) {
        let fan = fan(rng);
        picture = picture.zip(&Picture::of_mask(&fan), |v, f| v * f);
        masks.iter_mut().for_each(|m| *m = where_both(m, &fan, |m, f| m && f));
    }
    let masks = masks.iter().filter(|m| m.area_px() > 0).map(largest).filter(|m| fits(m, AREA_MIN, 0.5)).collect();
    (picture.map(|v| v.clamp(0.0, 1.0)), masks)
}

fn background(real: Option<&Picture>, rng: &mut impl Rng) -> Picture {
    if let Some(real) = real.filter(|_| chance(rng, 0.5)) {
        let gain = uniform(rng, 0.5, 1.0);
        return real.clone().map(|v| v * gain);
    }
    let (level, period, strength) = (uniform(rng, 0.15, 0.6), uniform(rng, 30.0, 120.0), uniform(rng, 0.03, 0.12));
    let tissue = Picture::smooth_noise(rng, period);
    tissue.zip(&texture(real, rng), |n, t| level + n * strength + t)
}

/// What a curved probe sees.
fn fan(rng: &mut impl Rng) -> Bitmap {
    let apex = (SIDE as f32 / 2.0 + uniform(rng, -20.0, 20.0), -60.0);
    let (from, to, half) = (uniform(rng, 0.0, 70.0), uniform(rng, 270.0, 330.0), uniform(rng, 0.45, 1.0));
    Picture::from_fn(|x, y| {
        let (dx, dy) = (x as f32 - apex.0, y as f32 - apex.1);
        let (r, angle) = (length(dx, dy), dx.atan2(dy));
        if r > from && r < to && angle.abs() < half { 1.0 } else { 0.0 }
    })
    .above(0.5)
}
