//! From tissue to grey values on the beam grid, row by row with the depth.
//!
//! Each row: tissue is fetched from the atlas through the inverse motion; attenuation is integrated along the beams
//! against an imperfect time-gain compensation, so that shadows and enhancement follow by themselves; the lateral
//! response widens away from the focus. Then reverberation and noise are added, the axial response is applied, and the
//! envelope is compressed to its dynamic range. Nothing is allocated.

use super::motion::Pose;
use super::probe::{BEAMS, Probe, SAMPLES};
use super::speckle::{Atlas, FIELD_SIGMA, mixed, white_noise};
use crate::geometry::length;

/// Standard deviation of the whole axial response, samples.
const AXIAL_SIGMA: f32 = 1.6;
const AXIAL_REACH: usize = 3;
const LATERAL_REACH: usize = 8;
/// The motion is evaluated at every so many beams and samples and interpolated between.
const NODE_STEP: usize = 4;
const NODES_ACROSS: usize = BEAMS / NODE_STEP + 1;
const NODES_ALONG: usize = SAMPLES / NODE_STEP + 1;
/// Noise values, a power of two.
const NOISE_COUNT: usize = 1 << 16;
/// Spreading of the transmitted amplitude between neighbouring beams, a sample: an aperture sees around edges.
const DIFFRACTION: f32 = 0.02;
/// Loss of a beam that grazes an interface, Np/mm a unit of reflection.
const EDGE_LOSS: f32 = 0.12;

/// What one frame is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) pose: Pose,
    /// How far the scatterers have drifted out of the plane: 0 and pi show one field, pi/2 the other.
    pub(super) drift: f32,
    pub(super) noise_key: u64,
}

/// How a frame is displayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compression {
    /// Echo that is white, dB against soft tissue.
    pub(super) white_db: f32,
    /// Between black and white, dB.
    pub(super) range_db: f32,
}

/// A symmetric kernel: the middle weight, then those to either side.
type Kernel<const N: usize> = [f32; N];

/// One complex row of the beam grid, with room for the lateral kernel on both sides.
#[derive(Clone, Debug)]
struct Row {
    re: [f32; BEAMS + 2 * LATERAL_REACH],
    im: [f32; BEAMS + 2 * LATERAL_REACH],
}

/// Renders one probe's frames.
#[derive(Clone, Debug)]
pub(super) struct Renderer {
    probe: Probe,
    compression: Compression,
    /// A lateral kernel a row.
    lateral: Vec<Kernel<{ LATERAL_REACH + 1 }>>,
    axial: Kernel<{ AXIAL_REACH + 1 }>,
    /// Gain of the time-gain compensation from each row to the next, Np.
    gain_step: Vec<f32>,
    /// Noise amplitude of each row.
    noise_gain: Vec<f32>,
    noise: Vec<(f32, f32)>,
    /// Echoes of the probe's own face, on skin and in air.
    on_skin: Plane,
    in_air: Plane,
    nodes: Vec<[f32; 4]>,
    row: Row,
    transmitted: [f32; BEAMS],
    plane: Plane,
    grey: Vec<u8>,
}

/// A complex value for each place of the beam grid, row-major.
#[derive(Clone, Debug)]
struct Plane {
    re: Vec<f32>,
    im: Vec<f32>,
}

impl Plane {
    fn black() -> Self {
        Self { re: vec![0.0; BEAMS * SAMPLES], im: vec![0.0; BEAMS * SAMPLES] }
    }
}

impl Renderer {
    pub(super) fn new(probe: Probe, compression: Compression, noise_scale: f32, seed: u64) -> Self {
        let axial = speckle_kernel::<{ AXIAL_REACH + 1 }>(AXIAL_SIGMA);
        let gain_step: Vec<f32> = (0..SAMPLES).map(|s| gain_step_np(&probe, s)).collect();
        let white_power = axial[0].powi(2) + 2.0 * axial[1..].iter().map(|w| w * w).sum::<f32>();
        let face = noise_scale * amplitude(probe.noise_db) / white_power.sqrt();
        let mut np = 0.0;
        let noise_gain = gain_step
            .iter()
            .map(|step| {
                np += step;
                face * np.exp()
            })
            .collect();
        Self {
            probe,
            compression,
            lateral: (0..SAMPLES).map(|s| speckle_kernel(lateral_sigma(&probe, s))).collect(),
            axial,
            gain_step,
            noise_gain,
            noise: white_noise(seed ^ 0x6e6f_6973, NOISE_COUNT + BEAMS),
            on_skin: face_echoes(
                seed,
                Face { period: 15, lines: 5, first: 3.0, decay: 0.75, haze: 0.35, haze_depth: 40.0 },
            ),
            in_air: face_echoes(
                seed,
                Face { period: 26, lines: 12, first: 9.0, decay: 0.6, haze: 0.8, haze_depth: 45.0 },
            ),
            nodes: vec![[0.0; 4]; NODES_ACROSS * NODES_ALONG],
            row: Row { re: [0.0; BEAMS + 2 * LATERAL_REACH], im: [0.0; BEAMS + 2 * LATERAL_REACH] },
            transmitted: [1.0; BEAMS],
            plane: Plane::black(),
            grey: vec![0; BEAMS * SAMPLES],
        }
    }

    /// Grey values of tissue on the beam grid.
    pub(super) fn tissue(&mut self, atlas: &Atlas, moment: &Moment) -> &[u8] {
        self.place_nodes(&moment.pose);
        self.transmitted = [1.0; BEAMS];
        let drift = moment.drift.sin_cos();
        for s in 0..SAMPLES {
            self.fetch_row(atlas, s, drift);
            self.spread_laterally(s);
            self.add_row(s, moment.noise_key, false);
        }
        self.compress()
    }

    /// Grey values of a probe that touches nothing.
    pub(super) fn air(&mut self, noise_key: u64) -> &[u8] {
        self.plane.re.fill(0.0);
        self.plane.im.fill(0.0);
        for s in 0..SAMPLES {
            self.add_row(s, noise_key, true);
        }
        self.compress()
    }

    /// Power of the echo at each place of the beam grid, before compression.
    #[cfg(test)]
    pub(super) fn power(&self) -> Vec<f32> {
        let mut all = Vec::new();
        for s in 0..SAMPLES {
            let mut power = [0.0; BEAMS];
            self.spread_axially(s, &mut power);
            all.extend_from_slice(&power);
        }
        all
    }

    /// Atlas place and beam direction (in the tissue's own axes) at the nodes.
    fn place_nodes(&mut self, pose: &Pose) {
        for (j, line) in self.nodes.chunks_exact_mut(NODES_ACROSS).enumerate() {
            for (i, node) in line.iter_mut().enumerate() {
                let (now, beam) = self.probe.place((i * NODE_STEP) as f32, (j * NODE_STEP) as f32);
                let (rest, turned) = pose.rest_and_turn_of(now);
                let (column, row) = Atlas::column_row(self.probe.beam_sample(rest));
                let (s, c) = turned.sin_cos();
                *node = [column, row, c * beam.0 + s * beam.1, c * beam.1 - s * beam.0];
            }
        }
    }

    fn fetch_row(&mut self, atlas: &Atlas, s: usize, (sin, cos): (f32, f32)) {
        let j = s / NODE_STEP;
        let down = (s % NODE_STEP) as f32 / NODE_STEP as f32;
        let upper = &self.nodes[j * NODES_ACROSS..(j + 1) * NODES_ACROSS];
        let lower = &self.nodes[(j + 1) * NODES_ACROSS..(j + 2) * NODES_ACROSS];
        let mix = |i: usize| -> [f32; 4] { std::array::from_fn(|k| upper[i][k] + (lower[i][k] - upper[i][k]) * down) };
        let np_per_db_cm_mhz =
            self.probe.sample_mm() / 10.0 * 2.0 * self.probe.frequency_mhz * std::f32::consts::LN_10 / 20.0;
        let edge_loss = EDGE_LOSS * self.probe.sample_mm();
        let mut losses = [0.0f32; BEAMS];
        let mut left = mix(0);
        for i in 0..NODES_ACROSS - 1 {
            let right = mix(i + 1);
            for k in 0..NODE_STEP {
                let t = k as f32 / NODE_STEP as f32;
                let node: [f32; 4] = std::array::from_fn(|n| left[n] + (right[n] - left[n]) * t);
                let v = atlas.sample(node[0], node[1]);
                let strength = (v[5] * v[5] + v[6] * v[6]).sqrt();
                let facing = v[5] * node[2] + v[6] * node[3];
                let cos2 = facing * facing / (strength * strength + 1e-12);
                let b = i * NODE_STEP + k;
                let out = self.transmitted[b];
                self.row.re[LATERAL_REACH + b] = out * (cos * v[0] + sin * v[2] + strength * cos2 * cos2 * cos2);
                self.row.im[LATERAL_REACH + b] = out * (cos * v[1] + sin * v[3]);
                let grazing = 1.0 - cos2;
                losses[b] = v[4] * np_per_db_cm_mhz + edge_loss * strength * grazing * grazing * grazing * grazing;
            }
            left = right;
        }
        self.transmit(&losses, self.gain_step[s]);
    }

    /// Takes the transmitted amplitude one sample deeper: loss, gain, and some spreading across beams.
    fn transmit(&mut self, losses: &[f32; BEAMS], gain_np: f32) {
        for (t, loss) in self.transmitted.iter_mut().zip(losses) {
            *t *= falling_exp((loss - gain_np).min(2.0));
        }
        let t = self.transmitted;
        for b in 1..BEAMS - 1 {
            self.transmitted[b] = t[b] + DIFFRACTION * (t[b - 1] - 2.0 * t[b] + t[b + 1]);
        }
    }

    fn spread_laterally(&mut self, s: usize) {
        let kernel = &self.lateral[s];
        let line = s * BEAMS..(s + 1) * BEAMS;
        for (part, plane) in [(&mut self.row.re, &mut self.plane.re), (&mut self.row.im, &mut self.plane.im)] {
            let (first, last) = (part[LATERAL_REACH], part[LATERAL_REACH + BEAMS - 1]);
            part[..LATERAL_REACH].fill(first);
            part[LATERAL_REACH + BEAMS..].fill(last);
            let out = &mut plane[line.clone()];
            for (o, v) in out.iter_mut().zip(&part[LATERAL_REACH..]) {
                *o = kernel[0] * v;
            }
            for (k, &w) in kernel.iter().enumerate().skip(1).filter(|(_, w)| **w > 1e-4) {
                let sides = part[LATERAL_REACH - k..].iter().zip(&part[LATERAL_REACH + k..]);
                for (o, (l, r)) in out.iter_mut().zip(sides) {
                    *o += w * (l + r);
                }
            }
        }
    }

    /// Adds the probe's own echoes and thermal noise to a row.
    fn add_row(&mut self, s: usize, noise_key: u64, in_air: bool) {
        let face = if in_air { &self.in_air } else { &self.on_skin };
        let line = s * BEAMS..(s + 1) * BEAMS;
        let key = mixed(noise_key as u32 ^ mixed((noise_key >> 32) as u32 ^ mixed(s as u32)));
        let start = key as usize % NOISE_COUNT;
        let gain = self.noise_gain[s];
        let noise = &self.noise[start..start + BEAMS];
        let re = self.plane.re[line.clone()].iter_mut().zip(&face.re[line.clone()]);
        let im = self.plane.im[line.clone()].iter_mut().zip(&face.im[line]);
        for (((re, face_re), (im, face_im)), n) in re.zip(im).zip(noise) {
            *re += face_re + gain * n.0;
            *im += face_im + gain * n.1;
        }
    }

    /// Axial response and envelope detection of one row.
    fn spread_axially(&self, s: usize, power: &mut [f32; BEAMS]) {
        let (mut re, mut im) = ([0.0; BEAMS], [0.0; BEAMS]);
        for (from, to) in [(&self.plane.re, &mut re), (&self.plane.im, &mut im)] {
            let at = |s: usize| &from[s * BEAMS..(s + 1) * BEAMS];
            for (o, v) in to.iter_mut().zip(at(s)) {
                *o = self.axial[0] * v;
            }
            for (k, w) in self.axial.iter().enumerate().skip(1) {
                let sides = at(s.saturating_sub(k)).iter().zip(at((s + k).min(SAMPLES - 1)));
                for (o, (above, below)) in to.iter_mut().zip(sides) {
                    *o += w * (above + below);
                }
            }
        }
        for ((p, re), im) in power.iter_mut().zip(&re).zip(&im) {
            *p = re * re + im * im;
        }
    }

    fn compress(&mut self) -> &[u8] {
        let Compression { white_db, range_db } = self.compression;
        let per_octave = 255.0 / range_db * 10.0 * std::f32::consts::LOG10_2;
        let offset = 255.0 * (1.0 - white_db / range_db) + 0.5;
        let mut power = [0.0; BEAMS];
        for s in 0..SAMPLES {
            self.spread_axially(s, &mut power);
            for (g, p) in self.grey[s * BEAMS..(s + 1) * BEAMS].iter_mut().zip(&power) {
                let level = (per_octave * log2(p + 1e-20) + offset).clamp(0.0, 255.0);
                *g = level as i32 as u8;
            }
        }
        &self.grey
    }
}

/// The probe's own echoes: lines at every `period` rows, and a haze.
#[derive(Clone, Copy, Debug)]
struct Face {
    period: usize,
    lines: usize,
    /// Amplitude of the first line against soft tissue.
    first: f32,
    /// Np from line to line.
    decay: f32,
    haze: f32,
    /// Rows over which the haze falls by 1 Np.
    haze_depth: f32,
}

fn face_echoes(seed: u64, face: Face) -> Plane {
    let mut plane = Plane::black();
    let noise = white_noise(seed ^ 0x6661_6365, BEAMS * SAMPLES);
    for s in 0..SAMPLES {
        let haze = face.haze * (-(s as f32) / face.haze_depth).exp();
        let line: f32 = (0..face.lines)
            .map(|n| {
                let d = (s as f32 - (n * face.period) as f32) / 1.2;
                face.first * (-face.decay * n as f32 - d * d).exp()
            })
            .sum();
        for b in 0..BEAMS {
            let (mut re, mut im) = (0.0, 0.0);
            for k in 0..7 {
                let n = noise[s * BEAMS + (b + k) % BEAMS];
                (re, im) = (re + n.0 * 0.38, im + n.1 * 0.38);
            }
            let ragged = 1.0 + 0.15 * noise[b].0;
            plane.re[s * BEAMS + b] = haze * re + line * ragged;
            plane.im[s * BEAMS + b] = haze * im;
        }
    }
    plane
}

/// Gain of one sample, Np: the expected attenuation, with the ripple of sliders that are never quite right.
fn gain_step_np(probe: &Probe, s: usize) -> f32 {
    let cm = probe.sample_mm() / 10.0;
    let expected_db = probe.expected_attenuation * 2.0 * probe.frequency_mhz * cm;
    let turns = std::f32::consts::TAU * 2.5;
    let ripple_db = 1.2 * turns / SAMPLES as f32 * (turns * s as f32 / SAMPLES as f32).cos();
    (expected_db + ripple_db) * std::f32::consts::LN_10 / 20.0
}

fn lateral_sigma(probe: &Probe, s: usize) -> f32 {
    let off = (s as f32 + 0.5) * probe.sample_mm() / probe.focus_mm - 1.0;
    let spread = if off < 0.0 { -off } else { (0.6 * off).min(1.0) };
    length(probe.focus_beams, spread * probe.spread_beams)
}

/// Widens the field's point spread to `sigma` and keeps its speckle at unit power.
fn speckle_kernel<const N: usize>(sigma: f32) -> Kernel<N> {
    let own = (sigma * sigma - FIELD_SIGMA * FIELD_SIGMA).max(0.04).sqrt();
    let weight = |k: usize| (-0.5 * (k as f32 / own).powi(2)).exp();
    let correlation = |lag: i32| (-(lag * lag) as f32 / (4.0 * FIELD_SIGMA * FIELD_SIGMA)).exp();
    let reach = N as i32 - 1;
    let mut power = 0.0;
    for i in -reach..=reach {
        for j in -reach..=reach {
            power += weight(i.unsigned_abs() as usize) * weight(j.unsigned_abs() as usize) * correlation(i - j);
        }
    }
    std::array::from_fn(|k| weight(k) / power.sqrt())
}

fn amplitude(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// exp(-x) to better than 1 % for x in -1..=2.
fn falling_exp(x: f32) -> f32 {
    let q = x * 0.125;
    let e = 1.0 - q * (1.0 - q * (0.5 - q / 6.0));
    let e2 = e * e;
    let e4 = e2 * e2;
    e4 * e4
}

/// Base 2 logarithm of a positive normal number to 1e-5, by the series of atanh around sqrt(2).
fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
    let s = (m - std::f32::consts::SQRT_2) / (m + std::f32::consts::SQRT_2);
    let s2 = s * s;
    exponent as f32 + 0.5 + 2.0 * std::f32::consts::LOG2_E * s * (1.0 + s2 * (1.0 / 3.0 + s2 * 0.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_logarithm_and_exponential_are_near_the_exact_ones() {
        for i in 0..4000 {
            let x = 10f32.powf(i as f32 * 0.01 - 20.0);
            assert!((log2(x) - x.log2()).abs() < 2e-5, "{x}");
            let y = i as f32 * 0.00075 - 1.0;
            assert!((falling_exp(y) / (-y).exp() - 1.0).abs() < 0.01, "{y}");
        }
    }

    #[test]
    fn kernels_fall_from_the_middle_and_widen_with_sigma() {
        let narrow = speckle_kernel::<9>(1.2);
        let wide = speckle_kernel::<9>(3.0);
        assert!(narrow.is_sorted_by(|a, b| a >= b) && wide.is_sorted_by(|a, b| a >= b));
        assert!(wide[3] / wide[0] > narrow[3] / narrow[0]);
    }
}
