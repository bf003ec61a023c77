//! Targets beside the real objects, so that a click means "this structure" and not "the organ I was trained on".
//!
//! Without them a model learns its organs and not the clicks. Four kinds: regions of real images that follow their edges
//! ([`region`]), structures drawn into real images ([`paint`]), whole synthetic scenes ([`scene`]), and parts of an object
//! together with the whole, from one and the same first click ([`part`]).
//!
//! Source of the idea that such labels help: Wong et al., "ScribblePrompt", ECCV 2024 (superpixel labels).

mod paint;
mod part;
mod region;
mod scene;
mod shape;

pub use crate::eval::clicks::where_both;
use crate::eval::components::Components;
use sonotap::mask::Bitmap;

pub use paint::{paint, with_structure};
pub use part::part;
pub use region::region;
pub use scene::scene;
pub use shape::shape;

use super::picture::SIDE;

/// Fewest pixels of a target.
pub const AREA_MIN: usize = 60;

/// The largest component of a mask; the mask itself when it is empty.
pub fn largest(mask: &Bitmap) -> Bitmap {
    let parts = Components::of(mask);
    parts.largest().map_or_else(|| mask.clone(), |i| parts.bitmap(i))
}

/// True for a mask of at least so many pixels and at most this share of the picture.
pub fn fits(mask: &Bitmap, at_least: usize, share: f32) -> bool {
    (at_least..=(share * (SIDE * SIDE) as f32) as usize).contains(&mask.area_px())
}

/// A mask grown by up to `px` in each direction along the axes.
pub fn grown(mask: &Bitmap, px: usize) -> Bitmap {
    spread(mask, px, true)
}

/// A mask shrunk by up to `px` in each direction along the axes.
pub fn shrunk(mask: &Bitmap, px: usize) -> Bitmap {
    spread(mask, px, false)
}

/// Square dilation of the inside, or of the outside.
fn spread(mask: &Bitmap, px: usize, inside: bool) -> Bitmap {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    let mut values: Vec<bool> = mask.pixels().iter().map(|v| (*v != 0) == inside).collect();
    for (outer, inner, step, line) in [(h, w, 1, w), (w, h, w, 1)] {
        for o in 0..outer {
            let at = |i: usize| o * line + i * step;
            let found: Vec<usize> = (0..inner).filter(|i| values[at(*i)]).collect();
            for i in found {
                (i.saturating_sub(px)..=(i + px).min(inner - 1)).for_each(|k| values[at(k)] = true);
            }
        }
    }
    let values = values.into_iter().map(|v| u8::from(v == inside)).collect();
    Bitmap::from_values(mask.width(), mask.height(), values).unwrap_or_else(|| mask.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::picture::{Picture, uniform};
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    fn speckled(rng: &mut Pcg64Mcg) -> Picture {
        let base = Picture::smooth_noise(rng, 40.0);
        base.zip(&Picture::white_noise(rng).blurred(1.0, 1.0), |a, b| (0.45 + 0.15 * a + 0.1 * b).clamp(0.0, 1.0))
    }

    #[test]
    fn growing_and_shrinking_are_square_and_undo_each_other_on_a_box() {
        let mut mask = Bitmap::new(SIDE as u32, SIDE as u32);
        (0..400u32).for_each(|i| mask.set(100 + i % 20, 50 + i / 20, true));
        assert_eq!(grown(&mask, 3).area_px(), 26 * 26);
        assert_eq!(shrunk(&mask, 3).area_px(), 14 * 14);
        assert_eq!(shrunk(&grown(&mask, 3), 3), mask);
    }

    #[test]
    fn every_task_gives_one_visible_piece_of_a_stated_size_and_the_same_for_the_same_seed() {
        let mut found = [0; 4];
        for seed in 0..24 {
            let make = || {
                let rng = &mut Pcg64Mcg::seed_from_u64(seed);
                let picture = speckled(rng);
                let outline = shape(rng);
                let drawn = with_structure(&picture, &outline, rng);
                let whole = largest(&outline);
                (region(&picture, rng), drawn, scene(Some(&picture), rng), part(&picture, &whole, rng))
            };
            let (a, b) = (make(), make());
            assert_eq!(a, b);
            let (region, drawn, (_, scene), part) = a;
            let all = region.iter().chain(drawn.iter().map(|d| &d.structure)).chain(&scene);
            for mask in all.chain(part.iter().map(|p| &p.mask)) {
                assert!(fits(mask, 30, 0.6), "{}", mask.area_px());
                assert_eq!(Components::of(mask).len(), 1);
            }
            let any = [region.is_some(), drawn.is_some(), scene.len() > 1, part.is_some()];
            found.iter_mut().zip(any).for_each(|(n, any)| *n += usize::from(any));
        }
        assert!(found.iter().all(|n| *n >= 8), "{found:?}");
    }

    #[test]
    fn a_part_lies_in_its_whole_and_its_click_in_both() {
        let rng = &mut Pcg64Mcg::seed_from_u64(5);
        for _ in 0..30 {
            let picture = speckled(rng);
            let whole = largest(&shape(rng));
            let Some(part) = part(&picture, &whole, rng) else { continue };
            let outside = where_both(&part.mask, &whole, |p, w| p && !w);
            assert_eq!(outside.area_px(), 0);
            let share = part.mask.area_px() as f32 / whole.area_px() as f32;
            assert!((0.1..=0.75).contains(&share), "{share}");
            let _ = uniform(rng, 0.0, 1.0);
        }
    }

    #[test]
    fn a_drawn_structure_can_be_seen() {
        let rng = &mut Pcg64Mcg::seed_from_u64(8);
        let mut differ = Vec::new();
        for _ in 0..20 {
            let picture = speckled(rng);
            let mask = largest(&shape(rng));
            if !fits(&mask, 200, 0.3) {
                continue;
            }
            let drawn = paint(&picture, &mask, None, rng);
            let change = drawn.clone().zip(&picture, |a, b| (a - b).abs());
            differ.push(change.mean_in(&mask));
        }
        let mean = differ.iter().sum::<f32>() / differ.len() as f32;
        assert!(mean > 0.08, "{mean}");
    }
}
