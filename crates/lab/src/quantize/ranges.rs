//! Which values a network's tensors have on real images, and the ranges that follow.

use tract_fused::network::{FloatNetwork, Quantization};

use super::float::{self, Sample};
use sonotap::error::{Error, ErrorKind, Result};

/// How a tensor's range follows from its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// From the least to the greatest.
    MinMax,
    /// Leaving out one value in ten thousand at either end.
    Percentile,
    /// Where rounding and cutting off together cost least, in the mean square.
    MeanSquare,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MinMax, Self::Percentile, Self::MeanSquare];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile => "percentile",
            Self::MeanSquare => "mean-square",
        }
    }
}

/// Bins between the least and the greatest value of a tensor.
const BINS: usize = 4096;
/// Left out at either end by [`Method::Percentile`].
const LEFT_OUT: f64 = 1e-4;
/// Steps in which [`Method::MeanSquare`] narrows a range.
const NARROWER: f64 = 0.98;
/// Narrowest range that is tried, as a part of the whole.
const NARROWEST: f64 = 0.3;
/// Shortest range, so that a tensor without values has a scale.
const SHORTEST: f32 = 1e-6;

/// Values of a tensor over all images.
#[derive(Clone, Debug)]
struct Histogram {
    low: f32,
    high: f32,
    counts: Vec<u64>,
}

impl Histogram {
    fn add(&mut self, values: &[f32]) {
        let gain = BINS as f32 / (self.high - self.low);
        for v in values {
            let bin = ((v - self.low) * gain) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// Middle of a bin.
    fn value(&self, bin: usize) -> f64 {
        f64::from(self.low) + (bin as f64 + 0.5) * f64::from(self.high - self.low) / BINS as f64
    }

    /// The range that holds all but a share of the values at either end.
    fn without(&self, share: f64) -> (f32, f32) {
        let total: u64 = self.counts.iter().sum();
        let most = (total as f64 * share) as u64;
        let cut = |from_above: bool| {
            let mut seen = 0;
            let bin = |i: usize| if from_above { BINS - 1 - i } else { i };
            let reached = |i: &usize| {
                seen += self.counts[bin(*i)];
                seen > most
            };
            (0..BINS).find(reached).map_or(bin(0), bin)
        };
        let (low, high) = (cut(false), cut(true));
        let edge = |bin: usize| self.low + bin as f32 * (self.high - self.low) / BINS as f32;
        (edge(low), edge(high + 1))
    }

    /// Mean square of what quantization changes.
    fn error(&self, q: Quantization) -> f64 {
        let change = |bin: usize| {
            let v = self.value(bin);
            let kept = v.clamp(f64::from(q.value(0)), f64::from(q.value(255)));
            (v - kept).powi(2) + f64::from(q.scale).powi(2) / 12.0
        };
        self.counts.iter().enumerate().map(|(bin, n)| *n as f64 * change(bin)).sum()
    }

    fn least_square(&self) -> Quantization {
        let mut best = (f64::INFINITY, affine(self.low, self.high));
        let mut part = 1.0;
        while part > NARROWEST {
            for (low, high) in [(part, part), (1.0, part), (part, 1.0)] {
                let q = affine(self.low * low as f32, self.high * high as f32);
                let error = self.error(q);
                if error < best.0 {
                    best = (error, q);
                }
            }
            part *= NARROWER;
        }
        best.1
    }
}

/// Scale and zero point for a range, which is made to hold 0.
pub(super) fn affine(low: f32, high: f32) -> Quantization {
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = ((high - low).max(SHORTEST)) / 255.0;
    Quantization { scale, zero_point: (-low / scale).round_ties_even().clamp(0.0, 255.0) as i32 }
}

/// Values of all tensors over some images.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    histograms: Vec<Histogram>,
    reach: Vec<Vec<f32>>,
}

impl Observed {
    /// Runs the network over samples twice: for the ends, and for what lies between.
    ///
    /// # Errors
    /// `Argument` without samples; `Model` when a value is not finite.
    pub(super) fn of(network: &FloatNetwork, images: &[Sample]) -> Result<Self> {
        if images.is_empty() {
            return Err(Error::new(ErrorKind::Argument, "calibration: expected images, got none"));
        }
        let empty = Histogram { low: 0.0, high: 0.0, counts: vec![0; BINS] };
        let mut histograms = vec![empty; network.tensors.len()];
        let mut reach: Vec<Vec<f32>> = network.tensors.iter().map(|t| vec![0.0; t.shape.channels]).collect();
        for image in images {
            let all = float::run(network, image);
            for (((h, values), t), reach) in histograms.iter_mut().zip(&all).zip(&network.tensors).zip(&mut reach) {
                if let Some(v) = values.iter().find(|v| !v.is_finite()) {
                    return Err(Error::new(
                        ErrorKind::Model,
                        format!("tensor `{}`: expected finite values, got {v}", t.name),
                    ));
                }
                h.low = values.iter().copied().fold(h.low, f32::min);
                h.high = values.iter().copied().fold(h.high, f32::max);
                for pixel in values.chunks_exact(reach.len()) {
                    reach.iter_mut().zip(pixel).for_each(|(r, v)| *r = r.max(v.abs()));
                }
            }
        }
        histograms.iter_mut().for_each(|h| h.high = h.high.max(h.low + SHORTEST));
        for image in images {
            histograms.iter_mut().zip(float::run(network, image)).for_each(|(h, values)| h.add(&values));
        }
        Ok(Self { histograms, reach })
    }

    /// Greatest magnitude of each tensor's channels.
    pub(super) fn reach(&self) -> &[Vec<f32>] {
        &self.reach
    }

    /// Of a tensor.
    pub(super) fn quantization(&self, tensor: usize, method: Method) -> Quantization {
        let h = &self.histograms[tensor];
        match method {
            Method::MinMax => affine(h.low, h.high),
            Method::Percentile => {
                let (low, high) = h.without(LEFT_OUT);
                affine(low, high)
            }
            Method::MeanSquare => h.least_square(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let low = values.iter().copied().fold(0.0, f32::min);
        let high = values.iter().copied().fold(0.0, f32::max);
        let mut h = Histogram { low, high, counts: vec![0; BINS] };
        h.add(values);
        h
    }

    #[test]
    fn zero_is_a_byte_and_both_ends_are_held() {
        for (low, high) in [(0.0, 6.0), (-3.0, 5.0), (1.0, 2.0), (-2.0, -1.0), (0.0, 0.0)] {
            let q = affine(low, high);
            assert_eq!(q.value(q.byte(0.0)), 0.0);
            assert!(q.value(0) <= low + q.scale && q.value(255) >= high - q.scale, "{low} {high} {q:?}");
        }
    }

    #[test]
    fn one_value_far_out_is_cut_off_where_that_costs_less_than_coarse_steps() {
        let mut values: Vec<f32> = (0..100_000).map(|i| i as f32 / 1e5).collect();
        values.push(100.0);
        let h = histogram(&values);
        let (all, best) = (affine(h.low, h.high), h.least_square());
        assert!(h.error(best) < h.error(all) && best.scale < all.scale);
        assert!(h.without(LEFT_OUT).1 < 1.1, "{:?}", h.without(LEFT_OUT));
        let even = histogram(&values[..100_000]);
        assert!((even.least_square().scale * 255.0 - 1.0).abs() < 0.03);
    }
}
