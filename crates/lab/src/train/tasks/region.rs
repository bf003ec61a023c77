//! Regions of real images that follow their edges.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::Rng;

use super::{AREA_MIN, fits, grown, largest, shrunk, where_both};
use crate::eval::components::Components;
use crate::train::picture::{Picture, SIDE, chance, uniform};
use sonotap::geometry::length;
use sonotap::mask::Bitmap;

/// Below this there is nothing to see, grey in 0..=1.
const BLACK: f32 = 0.03;

/// A watershed cell that differs from its surroundings, or a connected piece of one grey level; `None` when the draw found
/// none of a useful size.
pub fn region(picture: &Picture, rng: &mut impl Rng) -> Option<Bitmap> {
    let sigma = uniform(rng, 1.2, 5.0);
    let smooth = picture.blurred(sigma, sigma);
    if chance(rng, 0.6) { cell(&smooth, rng) } else { level(&smooth, rng) }
}

/// Of a few watershed cells the one that differs most from the ring around it.
fn cell(smooth: &Picture, rng: &mut impl Rng) -> Option<Bitmap> {
    let seeds = rng.random_range(10..=90usize);
    let places: Vec<usize> = (0..seeds).map(|_| rng.random_range(0..SIDE * SIDE)).collect();
    let labels = watershed(&steepness(smooth), &places);
    let mut best: Option<(f32, Bitmap)> = None;
    for label in 0..seeds.min(6) {
        let values = labels.iter().map(|l| u8::from(*l == label as u32)).collect();
        let mask = Bitmap::from_values(SIDE as u32, SIDE as u32, values)?;
        if !fits(&mask, AREA_MIN, 0.5) {
            continue;
        }
        let mean = smooth.mean_in(&mask);
        if mean < BLACK && chance(rng, 0.9) {
            continue;
        }
        let ring = where_both(&grown(&mask, 4), &mask, |g, m| g && !m);
        let spread = smooth.clone().map(|v| (v - mean) * (v - mean)).mean_in(&mask).sqrt();
        let contrast = (mean - smooth.mean_in(&ring)).abs() / (spread + 0.02);
        if best.as_ref().is_none_or(|(c, _)| contrast > *c) {
            best = Some((contrast, mask));
        }
    }
    let (_, mask) = best?;
    let sigma = uniform(rng, 0.5, 3.0);
    let mask = largest(&Picture::of_mask(&mask).blurred(sigma, sigma).above(0.5));
    fits(&mask, AREA_MIN, 0.5).then_some(mask)
}

/// The connected pixels of about the grey value of a random place.
fn level(smooth: &Picture, rng: &mut impl Rng) -> Option<Bitmap> {
    for _ in 0..4 {
        let (x, y) = (rng.random_range(8..SIDE - 8), rng.random_range(8..SIDE - 8));
        let (value, width) = (smooth.at(x, y), uniform(rng, 0.04, 0.15));
        if value < BLACK && chance(rng, 0.8) {
            continue;
        }
        let near = smooth.clone().map(|v| if (v - value).abs() < width { 1.0 } else { 0.0 }).above(0.5);
        let opened = grown(&shrunk(&near, 2), 2);
        let parts = Components::of(&opened);
        let Some(seeded) = (0..parts.len()).map(|i| parts.bitmap(i)).find(|m| m.get(x as u32, y as u32)) else {
            continue;
        };
        let closed = shrunk(&grown(&seeded, 3), 3);
        let sigma = uniform(rng, 0.5, 2.5);
        let mask = largest(&Picture::of_mask(&closed).blurred(sigma, sigma).above(0.5));
        if fits(&mask, 2 * AREA_MIN, 0.4) {
            return Some(mask);
        }
    }
    None
}

/// Length of the gradient by central differences.
fn steepness(p: &Picture) -> Picture {
    let step = |i: usize| (i.saturating_sub(1), (i + 1).min(SIDE - 1));
    Picture::from_fn(|x, y| {
        let ((x0, x1), (y0, y1)) = (step(x), step(y));
        length(p.at(x1, y) - p.at(x0, y), p.at(x, y1) - p.at(x, y0))
    })
}

/// The seed whose flood reaches each pixel first when the lowest edge goes first.
///
/// Source: Meyer, "Color image segmentation", 1992 (flooding by a priority queue).
fn watershed(height: &Picture, seeds: &[usize]) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut labels = vec![NONE; SIDE * SIDE];
    let mut queue = BinaryHeap::new();
    let mut order = 0u64;
    let rank = |i: usize| (height.values()[i] * 1e6) as u64;
    for (label, seed) in seeds.iter().enumerate() {
        queue.push(Reverse((0, order, *seed, label as u32)));
        order += 1;
    }
    while let Some(Reverse((level, _, i, label))) = queue.pop() {
        if labels[i] != NONE {
            continue;
        }
        labels[i] = label;
        let (x, y) = (i % SIDE, i / SIDE);
        let around = [
            (x > 0).then(|| i - 1),
            (x + 1 < SIDE).then(|| i + 1),
            (y > 0).then(|| i - SIDE),
            (y + 1 < SIDE).then(|| i + SIDE),
        ];
        for next in around.into_iter().flatten().filter(|n| labels[*n] == NONE) {
            queue.push(Reverse((level.max(rank(next)), order, next, label)));
            order += 1;
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_meet_at_the_ridge() {
        let ridge = Picture::from_fn(|x, _| if x == 90 { 1.0 } else { 0.0 });
        let labels = watershed(&ridge, &[100 * SIDE + 10, 30 * SIDE + 200]);
        for x in [0, 40, 89] {
            assert_eq!(labels[7 * SIDE + x], 0, "{x}");
        }
        for x in [91, 150, 255] {
            assert_eq!(labels[200 * SIDE + x], 1, "{x}");
        }
    }
}
