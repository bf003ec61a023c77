//! The scatterer field: random, band-limited, fixed to the tissue, and the atlas in which a scene's tissue is kept.
//!
//! Many unresolved scatterers make the echo a complex Gaussian field whose envelope is Rayleigh distributed with mean
//! over standard deviation 1.91 (Wagner, Smith, Sandrik, Lopez, IEEE Trans. Sonics Ultrason. 30, 1983). Instead of
//! placing scatterers one by one (Field II: Jensen, Med. Biol. Eng. Comput. 34, 1996), the field is drawn on a grid and
//! convolved with a separable point-spread function (COLE: Gao et al., IEEE Trans. UFFC 56, 2009). The carrier is left
//! out: after demodulation it only turns the phase of a field that is random already.

use rand::{Rng, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use crate::geometry::Point;

use super::probe::{BEAMS, Probe, SAMPLES};
use super::scene::Anatomy;

/// Standard deviation of the field's own point spread, grid steps; the rest of the spread comes with rendering.
pub(super) const FIELD_SIGMA: f32 = 1.1;

/// Beams that the atlas holds beyond either side of the grid, for tissue that moves in.
const MARGIN_BEAMS: usize = 28;
/// Samples that the atlas holds beyond either end of the grid.
const MARGIN_SAMPLES: usize = 32;
const WIDTH: usize = BEAMS + 2 * MARGIN_BEAMS;
const HEIGHT: usize = SAMPLES + 2 * MARGIN_SAMPLES;

/// Smooth lattice noise in -1..=1, the same for the same seed everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueNoise(u32);

impl ValueNoise {
    pub(super) fn new(seed: u64) -> Self {
        Self(mixed(seed as u32 ^ mixed((seed >> 32) as u32)))
    }

    /// An independent noise.
    pub(super) fn variant(self, n: u32) -> Self {
        Self(mixed(self.0 ^ n.wrapping_mul(0x9E37_79B9)))
    }

    pub(super) fn at(self, x: f32, y: f32) -> f32 {
        let (x0, y0) = (x.floor(), y.floor());
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fx, fy) = (ease(x - x0), ease(y - y0));
        let (i, j) = (x0 as i32, y0 as i32);
        let top = self.node(i, j) + (self.node(i + 1, j) - self.node(i, j)) * fx;
        let bottom = self.node(i, j + 1) + (self.node(i + 1, j + 1) - self.node(i, j + 1)) * fx;
        top + (bottom - top) * fy
    }

    fn node(self, i: i32, j: i32) -> f32 {
        let h = mixed(self.0 ^ mixed((i as u32).wrapping_mul(0x85EB_CA6B) ^ mixed(j as u32)));
        h as f32 * (2.0 / u32::MAX as f32) - 1.0
    }
}

/// Spreads every bit of the input over all of the output (a finalizer of the xorshift-multiply kind).
pub(super) fn mixed(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x7FEB_352D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// `count` complex Gaussian values of unit power, for noise.
pub(super) fn white_noise(seed: u64, count: usize) -> Vec<(f32, f32)> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut normal = || rng.sample::<f32, _>(StandardNormal) * std::f32::consts::FRAC_1_SQRT_2;
    (0..count).map(|_| (normal(), normal())).collect()
}

/// One place of the atlas: two independent echo fields (re, im, re, im), attenuation, reflection (x, y), nothing.
pub(super) type Texel = [f32; 8];

/// A scene's tissue at rest on a grid a little larger than the beam grid.
#[derive(Clone, Debug)]
pub(super) struct Atlas {
    texels: Vec<Texel>,
}

impl Atlas {
    pub(super) fn new(probe: &Probe, anatomy: &Anatomy, seed: u64) -> Self {
        let mut texels = fields(seed);
        for (row, line) in texels.chunks_exact_mut(WIDTH).enumerate() {
            for (column, texel) in line.iter_mut().enumerate() {
                let beam = column as f32 - MARGIN_BEAMS as f32;
                let sample = row as f32 - MARGIN_SAMPLES as f32;
                let p = probe.place(beam, sample).0;
                let tissue = anatomy.at(Point::new(p.x, p.y));
                texel[..4].iter_mut().for_each(|v| *v *= tissue.scatter);
                texel[4] = tissue.attenuation;
                texel[5] = tissue.reflection.0;
                texel[6] = tissue.reflection.1;
            }
        }
        Self { texels }
    }

    /// From beam and sample to fractional atlas column and row, kept inside.
    pub(super) fn column_row((beam, sample): (f32, f32)) -> (f32, f32) {
        let column = (beam + MARGIN_BEAMS as f32).clamp(0.0, WIDTH as f32 - 1.001);
        (column, (sample + MARGIN_SAMPLES as f32).clamp(0.0, HEIGHT as f32 - 1.001))
    }

    /// Bilinear value at what [`Self::column_row`] gave, or between such places.
    #[inline]
    pub(super) fn sample(&self, column: f32, row: f32) -> Texel {
        let (c, r) = (column as usize, row as usize);
        let (fx, fy) = (column - c as f32, row - r as f32);
        let at = r * WIDTH + c;
        let four = &self.texels[at..at + WIDTH + 2];
        let (a, b, c, d) = (&four[0], &four[1], &four[WIDTH], &four[WIDTH + 1]);
        let (wa, wb, wc, wd) = ((1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy);
        std::array::from_fn(|i| wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i])
    }
}

/// Two complex Gaussian fields of unit power, band-limited with [`FIELD_SIGMA`] along both axes.
fn fields(seed: u64) -> Vec<Texel> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut white = vec![Texel::default(); WIDTH * HEIGHT];
    for texel in &mut white {
        texel[..4].fill_with(|| rng.sample::<f32, _>(StandardNormal) * std::f32::consts::FRAC_1_SQRT_2);
    }
    let kernel = unit_energy_kernel(FIELD_SIGMA);
    let reach = kernel.len() / 2;
    let pass = |from: &[Texel], step: usize, length: usize, others: usize, other_step: usize| {
        let mut to = vec![Texel::default(); from.len()];
        for other in 0..others {
            for i in 0..length {
                let out = &mut to[other * other_step + i * step];
                for (k, w) in kernel.iter().enumerate() {
                    let j = (i + length + k - reach) % length;
                    let source = &from[other * other_step + j * step];
                    for (o, s) in out[..4].iter_mut().zip(source) {
                        *o += w * s;
                    }
                }
            }
        }
        to
    };
    let across = pass(&white, 1, WIDTH, HEIGHT, WIDTH);
    pass(&across, WIDTH, HEIGHT, WIDTH, 1)
}

fn unit_energy_kernel(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil() as i32;
    let raw: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let energy = raw.iter().map(|w| w * w).sum::<f32>().sqrt();
    raw.iter().map(|w| w / energy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_has_unit_power_and_uncorrelated_parts() {
        let texels = fields(5);
        let n = texels.len() as f64;
        let mean = |f: &dyn Fn(&Texel) -> f32| texels.iter().map(|t| f64::from(f(t))).sum::<f64>() / n;
        assert!((mean(&|t| t[0] * t[0] + t[1] * t[1]) - 1.0).abs() < 0.03);
        assert!((mean(&|t| t[2] * t[2] + t[3] * t[3]) - 1.0).abs() < 0.03);
        for (i, j) in [(0, 1), (0, 2), (1, 3)] {
            assert!(mean(&|t| t[i] * t[j]).abs() < 0.02, "{i} {j}");
        }
    }

    #[test]
    fn neighbours_correlate_as_the_point_spread_says() {
        let texels = fields(6);
        let pairs = texels.windows(2).map(|w| f64::from(w[0][0] * w[1][0])).sum::<f64>();
        let power = texels.iter().map(|t| f64::from(t[0] * t[0])).sum::<f64>();
        let expected = (-1.0 / (4.0 * f64::from(FIELD_SIGMA).powi(2))).exp();
        assert!((pairs / power - expected).abs() < 0.02, "{} {expected}", pairs / power);
    }

    #[test]
    fn value_noise_is_bounded_smooth_and_its_variants_differ() {
        let noise = ValueNoise::new(9);
        let mut differ = 0;
        for i in 0..2000 {
            let (x, y) = (i as f32 * 0.173 - 100.0, i as f32 * 0.091);
            let v = noise.at(x, y);
            assert!((-1.0..=1.0).contains(&v));
            assert!((noise.at(x + 1e-3, y) - v).abs() < 0.01);
            differ += usize::from((noise.variant(1).at(x, y) - v).abs() > 0.1);
        }
        assert!(differ > 1500);
    }
}
