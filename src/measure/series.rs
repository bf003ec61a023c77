//! The median of one measurement over several frames, with its spread.
//!
//! ```
//! use sonotap::measure::series::median_of;
//! let m = median_of(&[30.0, 33.0, 31.0]).unwrap();
//! assert_eq!((m.median, m.least, m.most, m.count), (31.0, 30.0, 33.0, 3));
//! assert_eq!(median_of(&[30.0, 33.0]), None, "two values have no median worth the name");
//! ```

/// Fewest frames whose median is given.
pub const FRAMES_MIN: usize = 3;
/// Most frames of a series.
pub const FRAMES_MAX: usize = 9;

/// A median with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MedianOf {
    /// The middle value; of an even number the mean of the two in the middle.
    pub median: f64,
    /// Least value.
    pub least: f64,
    /// Greatest value.
    pub most: f64,
    /// Values.
    pub count: usize,
}

impl MedianOf {
    /// From the least to the greatest, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.most - self.least) / self.median
    }
}

/// The median of [`FRAMES_MIN`] to [`FRAMES_MAX`] positive, finite values; `None` for any others.
pub fn median_of(values: &[f64]) -> Option<MedianOf> {
    let count = values.len();
    if !(FRAMES_MIN..=FRAMES_MAX).contains(&count) || !values.iter().all(|v| v.is_finite() && *v > 0.0) {
        return None;
    }
    let mut sorted = [0.0; FRAMES_MAX];
    sorted[..count].copy_from_slice(values);
    let sorted = &mut sorted[..count];
    sorted.sort_unstable_by(f64::total_cmp);
    let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
    Some(MedianOf { median, least: sorted[0], most: sorted[count - 1], count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_its_spread_need_three_frames() {
        for (values, median) in [
            (&[10.0, 12.0, 11.0][..], Some(11.0)),
            (&[10.0, 12.0, 11.0, 13.0], Some(11.5)),
            (&[5.0, 5.0, 900.0], Some(5.0)),
            (&[10.0, 12.0], None),
            (&[10.0, f64::NAN, 11.0], None),
            (&[10.0, 0.0, 11.0], None),
            (&[1.0; 10], None),
        ] {
            assert_eq!(median_of(values).map(|m| m.median), median, "{values:?}");
        }
        assert!((median_of(&[95.0, 100.0, 105.0]).unwrap().spread() - 0.1).abs() < 1e-12);
    }
}
