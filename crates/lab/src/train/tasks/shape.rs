//! Random outlines of anatomical looks.

use std::f32::consts::{PI, TAU};

use rand::Rng;

use super::largest;
use crate::train::picture::{Picture, SIDE, chance, uniform};
use sonotap::geometry;
use sonotap::mask::Bitmap;

/// A mask: a deformed ellipse, a ring (a wall with its hole), a tube, a thin line, a needle, a layer, a wall (a piece of a
/// ring) or a rounded polygon. One piece.
pub fn shape(rng: &mut impl Rng) -> Bitmap {
    let mask = match rng.random::<f32>() {
        k if k < 0.4 => ellipse(rng),
        k if k < 0.52 => ring(rng),
        k if k < 0.64 => tube(rng),
        k if k < 0.7 => thin_line(rng),
        k if k < 0.76 => needle(rng),
        k if k < 0.87 => layer(rng),
        k if k < 0.94 => wall(rng),
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
    let a = uniform(rng, 8.0, 80.0) * if chance(rng, 0.33) { 0.5 } else { 1.0 };
    let outline = Oval::new(a, a * uniform(rng, 0.35, 1.0), rng);
    of_rule(|x, y| outline.radius(x, y) < 1.0)
}

/// A closed wall with its hole: of even thickness in px or in parts of the radius, the hole somewhat off the middle.
fn ring(rng: &mut impl Rng) -> Bitmap {
    let a = uniform(rng, 12.0, 95.0);
    let outer = Oval::new(a, a * uniform(rng, 0.55, 1.0), rng);
    let thick = uniform(rng, 0.08_f32.ln(), 0.6_f32.ln()).exp().max(2.0 / outer.b);
    let off = 0.4 * thick * uniform(rng, 0.0, 1.0);
    let (sin, cos) = uniform(rng, 0.0, TAU).sin_cos();
    let (dx, dy) = (off * outer.b * cos, off * outer.b * sin);
    if chance(rng, 0.5) {
        let px = thick * outer.b;
        let inner = Oval { a: (outer.a - px).max(1.0), b: (outer.b - px).max(1.0), ..outer.clone() };
        return of_rule(|x, y| outer.radius(x, y) < 1.0 && inner.radius(x + dx, y + dy) > 1.0);
    }
    of_rule(|x, y| outer.radius(x, y) < 1.0 && outer.radius(x + dx, y + dy) > 1.0 - thick)
}

/// An ellipse whose radius is multiplied by a few harmonics of the angle.
#[derive(Clone)]
struct Oval {
    centre: (f32, f32),
    a: f32,
    b: f32,
    sin_cos: (f32, f32),
    /// Frequency, strength, phase.
    harmonics: Vec<[f32; 3]>,
}

impl Oval {
    fn new(a: f32, b: f32, rng: &mut impl Rng) -> Self {
        let (centre, sin_cos) = (centre(rng), uniform(rng, 0.0, PI).sin_cos());
        let amplitude = uniform(rng, 0.0, 0.25);
        let harmonics = (2..rng.random_range(3..=8usize))
            .map(|f| [f as f32, amplitude / f as f32 * uniform(rng, -1.0, 1.0), uniform(rng, 0.0, TAU)])
            .collect();
        Self { centre, a, b, sin_cos, harmonics }
    }

    /// Distance from the centre as a part of the outline's there.
    fn radius(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let (sin, cos) = self.sin_cos;
        let (u, v) = ((dx * cos + dy * sin) / self.a, (dy * cos - dx * sin) / self.b);
        let r = geometry::length(u, v);
        if r > 1.6 {
            return r;
        }
        let angle = v.atan2(u);
        r / self.harmonics.iter().fold(1.0, |d, [f, k, phase]| d + k * (f * angle + phase).cos())
    }
}

/// A straight line, seldom longer than the picture, 1.5 to 5 px thick.
fn needle(rng: &mut impl Rng) -> Bitmap {
    let (cx, cy) = centre(rng);
    let (sin, cos) = uniform(rng, 0.0, PI).sin_cos();
    let (half, radius) = (uniform(rng, 20.0, 120.0), uniform(rng, 0.8, 2.5));
    let end = |sign: f32| (cx + sign * half * cos, cy + sign * half * sin);
    of_rule(|x, y| distance_to_segment((x, y), end(-1.0), end(1.0)) < radius)
}
/// A bent line of 2 to 6 px: an interface, a small vessel.
fn thin_line(rng: &mut impl Rng) -> Bitmap {
    let radius = uniform(rng, 1.0, 3.0);
    along_a_line(radius, rng)
}

/// All places near a wandering line.
fn tube(rng: &mut impl Rng) -> Bitmap {
    let radius = uniform(rng, 3.0, 17.0);
    along_a_line(radius, rng)
}

fn along_a_line(radius: f32, rng: &mut impl Rng) -> Bitmap {
    let (mut x, mut y) = (uniform(rng, -20.0, 276.0), uniform(rng, 0.0, 256.0));
    let mut angle = uniform(rng, 0.0, TAU);
    let mut line = vec![(x, y)];
    for _ in 0..rng.random_range(4..=14) {
        angle += uniform(rng, -0.5, 0.5);
        (x, y) = (x + 26.0 * angle.cos(), y + 26.0 * angle.sin());
        line.push((x, y));
    }
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
