//! Boxes around a mask, exact and as a hand draws them.

use rand::Rng;

use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::Bitmap;

/// The edges of the pixels inside, half-open; `None` when the mask is empty.
///
/// ```
/// use sonotap_lab::eval::clicks::boxes::bounds_of;
/// use sonotap::geometry::Rect;
/// use sonotap::mask::Bitmap;
/// let mask = Bitmap::from_values(4, 2, vec![0, 1, 1, 0, 0, 0, 1, 0]).unwrap();
/// assert_eq!(bounds_of(&mask), Some(Rect::new(1.0, 0.0, 3.0, 2.0)));
/// ```
pub fn bounds_of(mask: &Bitmap) -> Option<Rect<ImageSpace>> {
    let (mut x0, mut y0, mut x1, mut y1) = (u32::MAX, u32::MAX, 0, 0);
    for (x, y) in (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y))) {
        if mask.get(x, y) {
            (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1));
        }
    }
    (x0 < x1).then(|| Rect::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32))
}

/// Each edge moved by up to `noise_px` either way, all moves equally likely, within the image, at least 1 px a side.
///
/// Source: after the box noise of Cheng et al., "SAM-Med2D", 2023, which is another: their code moves the whole box by
/// one whole number of px a direction, at most 5 and at most half its shorter side, and keeps its size.
pub fn noisy(boxed: Rect<ImageSpace>, width: u32, height: u32, noise_px: f32, rng: &mut impl Rng) -> Rect<ImageSpace> {
    let mut edge = |v: f32, size: u32| (v + noise_px * rng.random_range(-1.0..=1.0f32)).clamp(0.0, size as f32);
    let (x0, x1) = (edge(boxed.x0, width), edge(boxed.x1, width));
    let (y0, y1) = (edge(boxed.y0, height), edge(boxed.y1, height));
    let apart = |a: f32, b: f32, size: u32| {
        let (low, high) = (a.min(b), a.max(b));
        let low = low.min(size as f32 - 1.0).max(0.0);
        (low, high.max(low + 1.0))
    };
    let ((x0, x1), (y0, y1)) = (apart(x0, x1, width), apart(y0, y1, height));
    Rect::new(x0, y0, x1, y1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    proptest! {
        #[test]
        fn noisy_box_lies_in_the_image_and_near_the_exact_one(
            x in 0.0f32..30.0, y in 0.0f32..20.0, w in 1.0f32..10.0, h in 1.0f32..10.0, noise in 0.0f32..9.0, seed: u64,
        ) {
            let exact = Rect::new(x, y, x + w, y + h);
            let n = noisy(exact, 40, 30, noise, &mut Pcg64Mcg::seed_from_u64(seed));
            prop_assert!(n.x0 >= 0.0 && n.y0 >= 0.0 && n.x1 <= 40.0 && n.y1 <= 30.0);
            prop_assert!(n.width() > 0.999 && n.height() > 0.999);
            let reach = noise + 1.001;
            prop_assert!(n.x0 >= x - reach && n.y0 >= y - reach && n.x1 <= x + w + reach && n.y1 <= y + h + reach);
        }
    }
}
