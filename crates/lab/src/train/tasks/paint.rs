//! Structures drawn into images as scanners show them.

use rand::Rng;

use super::{fits, grown, largest, shape, shrunk, where_both};
use crate::train::picture::{Picture, SIDE, chance, uniform};
use sonotap::mask::Bitmap;

/// An image with one more structure in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The image.
    pub picture: Picture,
    /// What the structure leaves of the target that was there before.
    pub target: Bitmap,
    /// The structure.
    pub structure: Bitmap,
}

/// Nowhere thicker than this: a line.
const THIN_PX: usize = 6;

/// Draws a random structure beside or partly over a target, or a wall around it; `None` when none of a few draws leaves enough of it.
pub fn with_structure(picture: &Picture, target: &Bitmap, rng: &mut impl Rng) -> Option<Drawn> {
    for _ in 0..4 {
        let structure = if chance(rng, WALLS) { wall_around(target, rng) } else { shape(rng) };
        if !fits(&structure, 80, 0.25) || (picture.mean_in(&structure) < 0.03 && chance(rng, 0.7)) {
            continue;
        }
        let covered = where_both(&structure, target, |s, t| s && t).area_px();
        if covered as f32 > 0.3 * target.area_px() as f32 {
            continue;
        }
        let target = largest(&where_both(target, &structure, |t, s| t && !s));
        let picture = paint(picture, &structure, Some(picture), rng).map(|v| v.clamp(0.0, 1.0));
        return Some(Drawn { picture, target, structure });
    }
    None
}

/// Share of structures that are a wall around the target.
const WALLS: f32 = 0.12;

/// What lies within a few px of a target: the wall of a vessel or a chamber.
fn wall_around(target: &Bitmap, rng: &mut impl Rng) -> Bitmap {
    let reach = uniform(rng, 1.5, 9.0);
    let wide = Picture::of_mask(target).blurred(reach, reach).above(uniform(rng, 0.02, 0.15));
    largest(&where_both(&wide, target, |w, t| w && !t))
}

/// Speckle of mean 0: log-compressed Rayleigh amplitude through an uneven point spread; or a stretched patch of a real
/// image.
pub(super) fn texture(real: Option<&Picture>, rng: &mut impl Rng) -> Picture {
    if let Some(real) = real.filter(|_| chance(rng, 0.5)) {
        let scale = |rng: &mut _| 1.0 / uniform(rng, 0.6, 1.8);
        let (sx, sy) = (scale(rng), scale(rng));
        let (dx, dy) = (uniform(rng, -20.0, 120.0) * sx, uniform(rng, -20.0, 120.0) * sy);
        let mirror = |v: f32| {
            let period = 2.0 * (SIDE - 1) as f32;
            let v = v.rem_euclid(period);
            v.min(period - v)
        };
        let patch = Picture::from_fn(|x, y| real.sample(mirror(x as f32 * sx + dx), mirror(y as f32 * sy + dy)));
        let (mean, _) = patch.moments();
        return patch.map(|v| v - mean);
    }
    let (sx, sy) = (uniform(rng, 0.8, 3.0), uniform(rng, 0.6, 1.6));
    let mut part = || Picture::white_noise(rng).blurred(sx, sy);
    let (re, im) = (part(), part());
    let log = re.zip(&im, |a, b| (a * a + b * b + 1e-6).ln());
    let (mean, sd) = log.moments();
    let strength = uniform(rng, 0.03, 0.14);
    log.map(|v| ((v - mean) / (sd + 1e-6)).clamp(-3.0, 2.0) * strength)
}

/// Draws a structure: another level, another texture, or both; perhaps with a rim, and a shadow or enhancement below.
pub fn paint(picture: &Picture, mask: &Bitmap, real: Option<&Picture>, rng: &mut impl Rng) -> Picture {
    let is_thin = shrunk(mask, THIN_PX / 2).area_px() == 0;
    let sigma = if is_thin { uniform(rng, 0.3, 0.9) } else { uniform(rng, 0.5, 3.0) };
    let soft = Picture::of_mask(mask).blurred(sigma, sigma);
    let level = picture.mean_in(mask);
    // A thin line is seen by its contrast alone, and mostly it is bright.
    let (least, dark) = if is_thin { (0.2, 0.2) } else { (0.08, 0.67) };
    let mut step = uniform(rng, least, 2.0 * least + 0.24) * if chance(rng, dark) { -1.0 } else { 1.0 };
    if !(0.02..0.98).contains(&(level + step)) {
        step = -step;
    }
    let inside = match rng.random::<f32>() {
        k if k < 0.3 => texture(real, rng).map(|v| v + (level + step).clamp(0.0, 1.0)),
        k if k < 0.75 => picture.clone().map(|v| v * (1.0 + step / level.max(0.1))),
        _ => {
            let strength = uniform(rng, 0.1, 0.5);
            texture(None, rng).map(|v| v * strength + (level + 0.5 * step).clamp(0.02, 1.0))
        }
    };
    let mut drawn = Picture::from_fn(|x, y| {
        let s = soft.at(x, y);
        picture.at(x, y) * (1.0 - s) + inside.at(x, y) * s
    });
    if chance(rng, 0.35) {
        let edge = where_both(&grown(mask, 1), &shrunk(mask, 1), |g, s| g && !s);
        let sigma = uniform(rng, 0.7, 2.0);
        let (rim, strength) = (Picture::of_mask(&edge).blurred(sigma, sigma), uniform(rng, -0.25, 0.5));
        let seen = Picture::smooth_noise(rng, 60.0);
        let rim = rim.zip(&seen, |r, s| if s > 0.0 { r * strength } else { 0.0 });
        drawn = drawn.zip(&rim, |v, r| v + r);
    }
    if chance(rng, 0.15) {
        drawn = shaded_below(drawn, mask, rng);
    }
    drawn
}

/// Darker, or somewhat brighter, below a structure: what it absorbs, or does not.
fn shaded_below(picture: Picture, mask: &Bitmap, rng: &mut impl Rng) -> Picture {
    let inside = |x: usize, y: usize| mask.get(x as u32, y as u32);
    let columns: Vec<bool> = (0..SIDE).map(|x| (0..SIDE).any(|y| inside(x, y))).collect();
    let Some(bottom) = (0..SIDE).rfind(|y| (0..SIDE).any(|x| inside(x, *y))) else { return picture };
    let shade = Picture::from_fn(|x, y| if columns[x] && y >= bottom { 1.0 } else { 0.0 }).blurred(4.0, 4.0);
    let strength = uniform(rng, -0.7, 0.4);
    picture.zip(&shade, |v, s| v * (1.0 + s * strength))
}
