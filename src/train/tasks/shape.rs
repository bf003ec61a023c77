//! Random outlines of anatomical looks.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::largest;
use crate::geometry;
use crate::mask::Bitmap;
use crate::train::picture::{Picture, SIDE, chance, uniform};

/// A mask: a deformed ellipse, a tube, a layer, a wall (a piece of a ring) or a rounded polygon. One piece.
pub fn shape(rng: &mut impl Rng) -> Bitmap {
    let mask = match rng.random::<f32>() {
        k if k < 0.5 => ellipse(rng),
        k if k < 0.68 => tube(rng),
        k if k < 0.82 => layer(rng),
        k if k < 0.92 => wall(rng),
        _ => polygon(rng),
    };
    largest(&mask)
}

fn of_rule(mut inside: impl FnMut(f32, f32) -> bool) -> Bitmap {
    Picture::from_fn(|x, y| if inside(x as f32, y as f32) { 1.0 } else { 0.0 }).above(0.5)
}

fn centre(rng: &mut impl Rng) -> (f32, f32) {
    (uniform(rng, 30.0, 226.0), uniform(rng, 30.0, 226.0))
}

/// The radius is multiplied by a few harmonics of the angle.
fn ellipse(rng: &mut impl Rng) -> Bitmap {
    let (cx, cy) = centre(rng);
    let a = uniform(rng, 8.0, 80.0) * if chance(rng, 0.33) { 0.5 } else { 1.0 };
    let b = a * uniform(rng, 0.35, 1.0);
    let (sin, cos) = uniform(rng, 0.0, PI).sin_cos();
    let amplitude = uniform(rng, 0.0, 0.25);
    let harmonics: Vec<[f32; 3]> = (2..rng.random_range(3..=8usize))
        .map(|f| [f as f32, amplitude / f as f32 * uniform(rng, -1.0, 1.0), uniform(rng, 0.0, TAU)])
        .collect();
    of_rule(|x, y| {
        let (dx, dy) = (x - cx, y - cy);
        let (u, v) = ((dx * cos + dy * sin) / a, (dy * cos - dx * sin) / b);
        let r = geometry::length(u, v);
        if r > 1.6 {
            return false;
        }
        let angle = v.atan2(u);
        r < harmonics.iter().fold(1.0, |d, [f, k, phase]| d + k * (f * angle + phase).cos())
    })
}

/// All places near a wandering line.
fn tube(rng: &mut impl Rng) -> Bitmap {
    let (mut x, mut y) = (uniform(rng, -20.0, 276.0), uniform(rng, 0.0, 256.0));
    let mut angle = uniform(rng, 0.0, TAU);
    let mut line = vec![(x, y)];
    for _ in 0..rng.random_range(4..=14) {
        angle += uniform(rng, -0.5, 0.5);
        (x, y) = (x + 26.0 * angle.cos(), y + 26.0 * angle.sin());
        line.push((x, y));
    }
    let radius = uniform(rng, 3.0, 17.0);
    of_rule(|x, y| line.windows(2).any(|w| distance_to_segment((x, y), w[0], w[1]) < radius))
}

fn distance_to_segment(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let along = ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / (dx * dx + dy * dy).max(1e-6);
    let t = along.clamp(0.0, 1.0);
    geometry::length(p.0 - a.0 - t * dx, p.1 - a.1 - t * dy)
}

/// Between two nearly parallel curves, perhaps cut off at both ends.
fn layer(rng: &mut impl Rng) -> Bitmap {
    let (_, cy) = centre(rng);
    let (slope, bend, thick) = (uniform(rng, -0.3, 0.3), uniform(rng, 0.0, 14.0), uniform(rng, 4.0, 40.0));
    let (base, width) = (Picture::noise_curve(rng, 6), Picture::noise_curve(rng, 5));
    let (mut from, mut to) = (-1.0, SIDE as f32);
    if chance(rng, 0.5) {
        let (a, b) = (uniform(rng, 0.0, 256.0), uniform(rng, 0.0, 256.0));
        (from, to) = (a.min(b) - 10.0, a.max(b) + 10.0);
    }
    of_rule(|x, y| {
        let top = cy + slope * (x - 128.0) + bend * base[x as usize];
        let bottom = top + (thick * (1.0 + 0.3 * width[x as usize])).max(3.0);
        y > top && y < bottom && x > from && x < to
    })
}

/// A piece of a ring with an uneven edge.
fn wall(rng: &mut impl Rng) -> Bitmap {
    let (cx, cy) = centre(rng);
    let a = uniform(rng, 25.0, 90.0);
    let (b, thick) = (a * uniform(rng, 0.5, 1.0), uniform(rng, 0.12, 0.45));
    let (from, length) = (uniform(rng, -PI, PI), uniform(rng, 1.2, TAU));
    let uneven = Picture::smooth_noise(rng, 50.0);
    of_rule(|x, y| {
        let (u, v) = ((x - cx) / a, (y - cy) / b);
        let r = geometry::length(u, v) + 0.05 * uneven.at(x as usize, y as usize);
        r > 1.0 - thick && r < 1.0 && (v.atan2(u) - from).rem_euclid(TAU) < length
    })
}

/// A star-shaped polygon, its corners rounded.
fn polygon(rng: &mut impl Rng) -> Bitmap {
    let (cx, cy) = centre(rng);
    let mut angles: Vec<f32> = (0..rng.random_range(3..=8)).map(|_| uniform(rng, 0.0, TAU)).collect();
    angles.sort_by(f32::total_cmp);
    let radius = uniform(rng, 14.0, 80.0);
    let corners: Vec<(f32, f32)> = angles
        .iter()
        .map(|t| {
            let r = radius * uniform(rng, 0.5, 1.0);
            (cx + r * t.cos(), cy + r * t.sin())
        })
        .collect();
    let sigma = uniform(rng, 1.0, 5.0);
    Picture::of_mask(&of_rule(|x, y| contains(&corners, x, y))).blurred(sigma, sigma).above(0.5)
}

/// Even-odd rule.
fn contains(corners: &[(f32, f32)], x: f32, y: f32) -> bool {
    let last = corners.len() - 1;
    let crosses = |i: usize| {
        let (a, b) = (corners[i], corners[if i == 0 { last } else { i - 1 }]);
        (a.1 > y) != (b.1 > y) && x < (b.0 - a.0) * (y - a.1) / (b.1 - a.1) + a.0
    };
    (0..corners.len()).filter(|i| crosses(*i)).count() % 2 == 1
}
