//! ClickSAM's operator: clicks at the centres of Voronoi cells of what is right, missing and too much.
//!
//! A centroidal Voronoi tessellation of a component's pixels is found by Lloyd's algorithm: each pixel belongs to its
//! nearest centre, each centre moves to the mean of its pixels, until nothing moves or after 100 rounds. Counts follow
//! the paper: with the component's area A at 256x256, n = min(5, max(0, floor(1 + 2 (log10 A - 3)))); where n is 0, one
//! click for a false part of at least 5 % of the true-positive area; at most 10 clicks a kind, the largest components
//! first; true-positive clicks only beside false ones.
//!
//! Source: Guo et al., "ClickSAM: Fine-tuning Segment Anything Model using click prompts for ultrasound image
//! segmentation", 2024.

use rand::Rng;

use super::{PixelClick, where_both};
use crate::eval::components::Components;
use sonotap::mask::Bitmap;

/// Most clicks of one component.
const PER_COMPONENT: f64 = 5.0;
/// Most clicks of one kind.
const PER_KIND: usize = 10;
/// Least part of the true-positive area for a single click on a small false part.
const SMALL_PART: f64 = 0.05;
/// Lloyd iterations at most.
const ITERATIONS: usize = 100;

/// The pixel of the mask that is nearest to its centroid, the first in row order; `None` when it is empty. (The
/// tessellation with one cell, kept inside.)
pub fn centre_click(truth: &Bitmap) -> Option<PixelClick> {
    let pixels = pixels_of(truth);
    nearest(&pixels, mean(&pixels)?).map(|at| click(at, true))
}

/// Clicks of a component of that area, px² of an image of 256x256.
///
/// ```
/// use sonotap_lab::eval::clicks::cvt::count_of;
/// assert_eq!([300.0, 400.0, 1e3, 3.2e3, 1e4, 1e6].map(count_of), [0, 0, 1, 2, 3, 5]);
/// ```
pub fn count_of(area_at_256: f64) -> usize {
    (1.0 + 2.0 * (area_at_256.log10() - 3.0)).floor().clamp(0.0, PER_COMPONENT) as usize
}

/// The clicks of stage 2: of the true positives and the false negatives positive, of the false positives negative.
///
/// # Panics
/// If the sizes differ.
pub fn clicks(truth: &Bitmap, prediction: &Bitmap, rng: &mut impl Rng) -> Vec<PixelClick> {
    let right = where_both(truth, prediction, |t, p| t && p);
    let right_area = right.area_px() as f64;
    let missed = of_kind(&where_both(truth, prediction, |t, p| t && !p), true, Some(right_area), rng);
    let added = of_kind(&where_both(truth, prediction, |t, p| !t && p), false, Some(right_area), rng);
    let mut all = Vec::new();
    if !missed.is_empty() || !added.is_empty() {
        all = of_kind(&right, true, None, rng);
    }
    all.extend(missed);
    all.extend(added);
    all
}

/// `right_area` is given for a false part, which gets a click even when it is small.
fn of_kind(part: &Bitmap, is_positive: bool, right_area: Option<f64>, rng: &mut impl Rng) -> Vec<PixelClick> {
    let to_256 = (256.0 / f64::from(part.width().max(part.height()).max(1))).powi(2);
    let components = Components::of(part);
    let mut clicks = Vec::new();
    for index in components.by_area() {
        let area = components.area_px(index) as f64;
        let is_worth_one = right_area.is_some_and(|right| area >= SMALL_PART * right);
        let count = count_of(area * to_256).max(usize::from(is_worth_one)).min(PER_KIND - clicks.len());
        if count > 0 {
            let pixels = pixels_of(&components.bitmap(index));
            clicks.extend(tessellate(&pixels, count, rng).into_iter().map(|at| click(at, is_positive)));
        }
    }
    clicks
}

type Pixel = (u32, u32);
type Centre = (f64, f64);

/// Up to `count` different pixels, each the nearest to the centre of its cell.
fn tessellate(pixels: &[Pixel], count: usize, rng: &mut impl Rng) -> Vec<Pixel> {
    let mut centres = lloyd(pixels, count, rng);
    centres.sort_by(|a, b| (a.1, a.0).partial_cmp(&(b.1, b.0)).unwrap_or(std::cmp::Ordering::Equal));
    let mut chosen: Vec<Pixel> = Vec::new();
    for centre in centres {
        if let Some(at) = nearest(pixels, centre).filter(|at| !chosen.contains(at)) {
            chosen.push(at);
        }
    }
    chosen
}

/// Centres (x, y) of `count` Voronoi cells of pixels, by Lloyd's algorithm; fewer when there are fewer pixels. They
/// begin far apart (each next pixel is drawn with a probability in proportion to its squared distance from the nearest
/// before it).
pub fn lloyd(pixels: &[(u32, u32)], count: usize, rng: &mut impl Rng) -> Vec<(f64, f64)> {
    let count = count.min(pixels.len());
    let mut centres: Vec<Centre> = Vec::new();
    while centres.len() < count {
        let weights: Vec<f64> = pixels
            .iter()
            .map(|&p| centres.iter().map(|&c| squared(p, c)).fold(f64::INFINITY, f64::min).min(1e12))
            .collect();
        let mut rest = rng.random_range(0.0..1.0) * weights.iter().sum::<f64>();
        let place = weights.iter().position(|w| {
            rest -= w;
            rest < 0.0
        });
        let (x, y) = pixels[place.unwrap_or(pixels.len() - 1)];
        centres.push((f64::from(x), f64::from(y)));
    }
    for _ in 0..ITERATIONS {
        let mut sums = vec![(0.0, 0.0, 0.0); count];
        for &p in pixels {
            let mut best = (f64::INFINITY, 0);
            for (i, &c) in centres.iter().enumerate() {
                let d = squared(p, c);
                if d < best.0 {
                    best = (d, i);
                }
            }
            let sum = &mut sums[best.1];
            *sum = (sum.0 + f64::from(p.0), sum.1 + f64::from(p.1), sum.2 + 1.0);
        }
        let moved: Vec<Centre> =
            sums.iter().zip(&centres).map(|(s, c)| if s.2 > 0.0 { (s.0 / s.2, s.1 / s.2) } else { *c }).collect();
        if moved == centres {
            break;
        }
        centres = moved;
    }
    centres
}

fn pixels_of(mask: &Bitmap) -> Vec<Pixel> {
    let all = (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y)));
    all.filter(|&(x, y)| mask.get(x, y)).collect()
}

fn mean(pixels: &[Pixel]) -> Option<Centre> {
    let sum = pixels.iter().fold((0.0, 0.0), |s, p| (s.0 + f64::from(p.0), s.1 + f64::from(p.1)));
    let n = pixels.len() as f64;
    (n > 0.0).then(|| (sum.0 / n, sum.1 / n))
}

fn nearest(pixels: &[Pixel], centre: Centre) -> Option<Pixel> {
    pixels.iter().copied().min_by(|&a, &b| squared(a, centre).total_cmp(&squared(b, centre)))
}

fn squared(p: Pixel, c: Centre) -> f64 {
    (f64::from(p.0) - c.0).powi(2) + (f64::from(p.1) - c.1).powi(2)
}

fn click((x, y): Pixel, is_positive: bool) -> PixelClick {
    PixelClick { x, y, is_positive }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    fn rect(mask: &mut Bitmap, x: std::ops::Range<u32>, y: std::ops::Range<u32>) {
        x.for_each(|x| y.clone().for_each(|y| mask.set(x, y, true)));
    }

    #[test]
    fn the_centre_of_a_ring_is_on_the_ring() {
        let mut ring = Bitmap::new(9, 9);
        rect(&mut ring, 0..9, 0..9);
        for (x, y) in (2..7).flat_map(|y| (2..7).map(move |x| (x, y))) {
            ring.set(x, y, false);
        }
        let c = centre_click(&ring).unwrap();
        assert!(ring.get(c.x, c.y));
        assert_eq!((c.x, c.y), (4, 1));
    }

    #[test]
    fn a_bar_in_two_cells_has_its_quarter_points() {
        let pixels: Vec<(u32, u32)> = (0..40).map(|x| (x, 0)).collect();
        let mut centres = lloyd(&pixels, 2, &mut Pcg64Mcg::seed_from_u64(3));
        centres.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!((centres[0].0 - 9.5).abs() <= 0.5 && (centres[1].0 - 29.5).abs() <= 0.5, "{centres:?}");
    }

    #[test]
    fn a_right_answer_gets_no_click_and_a_wrong_one_gets_both_kinds() {
        let (mut truth, mut prediction) = (Bitmap::new(256, 256), Bitmap::new(256, 256));
        rect(&mut truth, 20..120, 20..120);
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        assert!(clicks(&truth, &truth, &mut rng).is_empty());
        rect(&mut prediction, 70..170, 20..120);
        let all = clicks(&truth, &prediction, &mut rng);
        let of =
            |t: bool, p: bool| all.iter().filter(|c| truth.get(c.x, c.y) == t && prediction.get(c.x, c.y) == p).count();
        assert_eq!((of(true, true), of(true, false), of(false, true), of(false, false)), (2, 2, 2, 0), "{all:?}");
    }

    #[test]
    fn a_small_false_part_gets_a_click_from_5_percent_of_the_true_positives() {
        for (width, expected) in [(4, vec![]), (5, vec![(true, true), (false, false)])] {
            let (mut truth, mut prediction) = (Bitmap::new(256, 256), Bitmap::new(256, 256));
            rect(&mut truth, 0..50, 0..20);
            rect(&mut prediction, 0..50, 0..20);
            rect(&mut prediction, 100..100 + width, 0..10);
            let all = clicks(&truth, &prediction, &mut Pcg64Mcg::seed_from_u64(1));
            let found: Vec<_> = all.iter().map(|c| (c.is_positive, truth.get(c.x, c.y))).collect();
            assert_eq!(found, expected, "{}", width * 10);
        }
    }

    #[test]
    fn the_largest_components_are_served_first_and_area_counts_as_at_256() {
        let mut truth = Bitmap::new(512, 512);
        let (high, mut rng) = (25..37, Pcg64Mcg::seed_from_u64(1));
        (0..12).for_each(|i| rect(&mut truth, 0..350 - i, high.start * i..high.start * i + high.len() as u32));
        let all = clicks(&truth, &Bitmap::new(512, 512), &mut rng);
        let rows: Vec<u32> = all.iter().map(|c| c.y / high.start).collect();
        assert_eq!(rows, (0..10).collect::<Vec<_>>(), "4,200 px are 1,050 at 256x256: one click each, ten in all");
    }

    #[test]
    fn centres_that_fall_on_one_pixel_give_one_click() {
        let pixels = [(2, 0), (4, 0), (2, 1), (4, 1), (5, 1), (0, 2), (1, 2), (3, 2), (4, 2), (6, 2)];
        let counts = (0..1000).map(|seed| {
            let chosen = tessellate(&pixels, 3, &mut Pcg64Mcg::seed_from_u64(seed));
            let different: std::collections::BTreeSet<_> = chosen.iter().collect();
            assert_eq!(different.len(), chosen.len(), "seed {seed}: {chosen:?}");
            chosen.len()
        });
        assert_eq!(counts.min(), Some(2), "no two centres fell on one pixel, so nothing was tested");
    }

    proptest! {
        #[test]
        fn clicks_lie_in_their_part_and_are_few(
            truth in prop::collection::vec(0u8..2, 400), prediction in prop::collection::vec(0u8..2, 400), seed: u64,
        ) {
            let truth = Bitmap::from_values(20, 20, truth).unwrap();
            let prediction = Bitmap::from_values(20, 20, prediction).unwrap();
            let all = clicks(&truth, &prediction, &mut Pcg64Mcg::seed_from_u64(seed));
            prop_assert_eq!(&all, &clicks(&truth, &prediction, &mut Pcg64Mcg::seed_from_u64(seed)));
            let kind = |c: &PixelClick| (truth.get(c.x, c.y), prediction.get(c.x, c.y));
            for c in &all {
                prop_assert!(all.iter().filter(|o| kind(o) == kind(c)).count() <= PER_KIND);
                prop_assert_eq!(all.iter().filter(|o| (o.x, o.y) == (c.x, c.y)).count(), 1);
                prop_assert_eq!(truth.get(c.x, c.y), c.is_positive);
                prop_assert!(c.is_positive || prediction.get(c.x, c.y));
            }
        }
    }
}
