//! How far a mask is from the truth: overlap, and distances of the boundaries.
//!
//! The boundary of a mask is its inside pixels with a 4-neighbour outside (beyond the image is outside). Distances run
//! between pixel centres, in px; multiply by the pixel size for mm. IoU is [`Bitmap::iou`].

use super::distance::squared_to_inside;
use super::statistics::quantile;
use sonotap::mask::Bitmap;

/// Dice coefficient of two masks of the same size; 1 when both are empty.
///
/// ```
/// use sonotap_lab::eval::metrics::dice;
/// use sonotap::mask::Bitmap;
/// let a = Bitmap::from_values(3, 1, vec![1, 1, 0]).unwrap();
/// let b = Bitmap::from_values(3, 1, vec![0, 1, 0]).unwrap();
/// assert_eq!(dice(&a, &b), 2.0 / 3.0);
/// ```
///
/// # Panics
/// If the sizes differ.
pub fn dice(a: &Bitmap, b: &Bitmap) -> f64 {
    let iou = a.iou(b);
    2.0 * iou / (1.0 + iou)
}

/// The distances of each boundary pixel of one mask to the other mask's boundary, in both directions.
#[derive(Clone, Debug)]
pub struct SurfaceDistances {
    /// From both, ascending.
    sorted: Vec<f64>,
}

impl SurfaceDistances {
    /// `None` when either mask is empty: then there is no distance.
    ///
    /// ```
    /// use sonotap_lab::eval::metrics::SurfaceDistances;
    /// use sonotap::mask::Bitmap;
    /// let a = Bitmap::from_values(4, 1, vec![1, 1, 0, 0]).unwrap();
    /// assert!(SurfaceDistances::between(&a, &a).is_some());
    /// assert!(SurfaceDistances::between(&a, &Bitmap::new(4, 1)).is_none());
    /// ```
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn between(a: &Bitmap, b: &Bitmap) -> Option<Self> {
        assert_eq!((a.width(), a.height()), (b.width(), b.height()), "masks of different size compared");
        let (a, b) = (boundary(a), boundary(b));
        let (to_a, to_b) = (squared_to_inside(&a)?, squared_to_inside(&b)?);
        let on = |edge: &Bitmap, distances: &[u32]| -> Vec<f64> {
            let pairs = edge.pixels().iter().zip(distances).filter(|(p, _)| **p != 0);
            pairs.map(|(_, &d)| f64::from(d).sqrt()).collect()
        };
        let mut sorted = on(&a, &to_b);
        sorted.extend(on(&b, &to_a));
        sorted.sort_by(f64::total_cmp);
        Some(Self { sorted })
    }

    /// 95th percentile of the distances of both directions together, linear between ranks, as MedPy has it. (Others
    /// take the greater of the two directions' percentiles, which is another number.)
    ///
    /// ```
    /// # use sonotap_lab::eval::metrics::SurfaceDistances;
    /// # use sonotap::mask::Bitmap;
    /// # let a = Bitmap::from_values(4, 1, vec![1, 1, 0, 0]).unwrap();
    /// # let b = Bitmap::from_values(4, 1, vec![0, 1, 1, 1]).unwrap();
    /// # let d = SurfaceDistances::between(&a, &b).unwrap();
    /// assert!((d.hd95() - 1.8).abs() < 1e-12);
    /// ```
    pub fn hd95(&self) -> f64 {
        quantile(&self.sorted, 0.95).unwrap_or(0.0)
    }

    /// Mean of the distances of both directions together: average symmetric surface distance. (MedPy's `assd` is the
    /// mean of the two directions' means.)
    ///
    /// ```
    /// # use sonotap_lab::eval::metrics::SurfaceDistances;
    /// # use sonotap::mask::Bitmap;
    /// # let a = Bitmap::from_values(4, 1, vec![1, 1, 0, 0]).unwrap();
    /// # let b = Bitmap::from_values(4, 1, vec![0, 1, 1, 1]).unwrap();
    /// # let d = SurfaceDistances::between(&a, &b).unwrap();
    /// assert_eq!(d.assd(), 4.0 / 5.0);
    /// ```
    pub fn assd(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len().max(1) as f64
    }

    /// Share of both boundaries whose distance is at most `tolerance` px: normalized surface Dice, by pixels, where
    /// DeepMind's `surface-distance` weighs by length.
    ///
    /// ```
    /// # use sonotap_lab::eval::metrics::SurfaceDistances;
    /// # use sonotap::mask::Bitmap;
    /// # let a = Bitmap::from_values(4, 1, vec![1, 1, 0, 0]).unwrap();
    /// # let b = Bitmap::from_values(4, 1, vec![0, 1, 1, 1]).unwrap();
    /// # let d = SurfaceDistances::between(&a, &b).unwrap();
    /// assert_eq!(d.nsd(1.0), 0.8);
    /// ```
    pub fn nsd(&self, tolerance: f64) -> f64 {
        self.sorted.partition_point(|d| *d <= tolerance) as f64 / self.sorted.len().max(1) as f64
    }
}

/// The inside pixels that have a 4-neighbour outside.
///
/// ```
/// use sonotap_lab::eval::metrics::boundary;
/// use sonotap::mask::Bitmap;
/// let whole = Bitmap::from_values(3, 3, vec![1; 9]).unwrap();
/// assert_eq!(boundary(&whole).pixels(), [1, 1, 1, 1, 0, 1, 1, 1, 1]);
/// ```
pub fn boundary(mask: &Bitmap) -> Bitmap {
    let mut edge = Bitmap::new(mask.width(), mask.height());
    for (x, y) in (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y))) {
        let is_surrounded =
            x > 0 && y > 0 && mask.get(x - 1, y) && mask.get(x + 1, y) && mask.get(x, y - 1) && mask.get(x, y + 1);
        edge.set(x, y, mask.get(x, y) && !is_surrounded);
    }
    edge
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bar(from: u32, to: u32) -> Bitmap {
        let mut mask = Bitmap::new(12, 3);
        (from..to).for_each(|x| mask.set(x, 1, true));
        mask
    }

    #[test]
    fn two_bars_have_the_distances_counted_by_hand() {
        let d = SurfaceDistances::between(&bar(0, 4), &bar(2, 6)).unwrap();
        assert_eq!(d.sorted, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!((d.assd(), d.nsd(1.0), d.nsd(0.0), d.hd95()), (0.75, 0.75, 0.5, 2.0));
    }

    #[test]
    fn an_empty_mask_has_no_distance() {
        assert!(SurfaceDistances::between(&bar(0, 0), &bar(1, 2)).is_none());
        assert!(SurfaceDistances::between(&bar(1, 2), &bar(0, 0)).is_none());
    }

    proptest! {
        #[test]
        fn distances_are_symmetric_and_nothing_with_itself(
            a in prop::collection::vec(0u8..2, 48), b in prop::collection::vec(0u8..2, 48), tolerance in 0.0f64..4.0,
        ) {
            let (a, b) = (Bitmap::from_values(8, 6, a).unwrap(), Bitmap::from_values(8, 6, b).unwrap());
            prop_assert_eq!(dice(&a, &b), dice(&b, &a));
            prop_assert!((0.0..=1.0).contains(&dice(&a, &b)) && dice(&a, &b) >= a.iou(&b));
            if let Some(d) = SurfaceDistances::between(&a, &b) {
                let back = SurfaceDistances::between(&b, &a).unwrap();
                prop_assert_eq!(&d.sorted, &back.sorted);
                prop_assert!((0.0..=1.0).contains(&d.nsd(tolerance)));
                let same = SurfaceDistances::between(&a, &a).unwrap();
                prop_assert_eq!((same.hd95(), same.assd(), same.nsd(0.0)), (0.0, 0.0, 1.0));
            }
        }
    }
}
