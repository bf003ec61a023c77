//! Square grey pictures of the model's size, and what makes new ones of them: warps, blurs, noise.

use rand::Rng;
use rand_distr::StandardNormal;

use sonotap::frame::Frame;
use sonotap::mask::Bitmap;

/// Edge of every picture, px: the model's own.
pub const SIDE: usize = 256;

/// A draw of `from..to`.
pub fn uniform(rng: &mut impl Rng, from: f32, to: f32) -> f32 {
    from + (to - from) * rng.random::<f32>()
}

/// True with this probability.
pub fn chance(rng: &mut impl Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// A draw of the normal distribution of mean 0 and standard deviation 1.
pub fn normal(rng: &mut impl Rng) -> f32 {
    rng.sample(StandardNormal)
}

/// Values of `SIDE` x `SIDE` pixels, row-major; grey in 0..=1 when it is an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    values: Vec<f32>,
}

impl Picture {
    /// The same value everywhere.
    pub fn filled(value: f32) -> Self {
        Self { values: vec![value; SIDE * SIDE] }
    }

    /// A value of each place: f(x, y), px, centres at whole numbers.
    pub fn from_fn(mut f: impl FnMut(usize, usize) -> f32) -> Self {
        Self { values: (0..SIDE * SIDE).map(|i| f(i % SIDE, i / SIDE)).collect() }
    }

    /// 1 inside, 0 outside.
    ///
    /// # Panics
    /// If the mask is not `SIDE` x `SIDE`.
    pub fn of_mask(mask: &Bitmap) -> Self {
        assert_eq!(mask.pixels().len(), SIDE * SIDE, "mask size");
        Self { values: mask.pixels().iter().map(|v| f32::from(*v)).collect() }
    }

    /// Row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Row-major.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The value at a pixel.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * SIDE + x]
    }

    /// Each value replaced.
    pub fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|v| *v = f(*v));
        self
    }

    /// Each value joined with another's of the same place.
    pub fn zip(mut self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        self.values.iter_mut().zip(&other.values).for_each(|(v, o)| *v = f(*v, *o));
        self
    }

    /// Mean and standard deviation.
    pub fn moments(&self) -> (f32, f32) {
        let n = self.values.len() as f32;
        let mean = self.values.iter().sum::<f32>() / n;
        (mean, (self.values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt())
    }

    /// Mean over the pixels of a mask; 0 when it is empty.
    pub fn mean_in(&self, mask: &Bitmap) -> f32 {
        let inside = self.values.iter().zip(mask.pixels()).filter(|(_, m)| **m != 0);
        let (sum, n) = inside.fold((0.0, 0usize), |(s, n), (v, _)| (s + v, n + 1));
        sum / n.max(1) as f32
    }

    /// Where the value is above a threshold.
    pub fn above(&self, threshold: f32) -> Bitmap {
        let values = self.values.iter().map(|v| u8::from(*v > threshold)).collect();
        Bitmap::from_values(SIDE as u32, SIDE as u32, values).unwrap_or_else(|| Bitmap::new(SIDE as u32, SIDE as u32))
    }

    /// Blurred by a Gaussian of these standard deviations, px; the edge's values go on beyond it.
    pub fn blurred(&self, sigma_x: f32, sigma_y: f32) -> Self {
        let mut turned = vec![0.0; SIDE * SIDE];
        blur_columns(&self.values, &mut turned, sigma_y);
        transpose(&mut turned);
        let mut values = vec![0.0; SIDE * SIDE];
        blur_columns(&turned, &mut values, sigma_x);
        transpose(&mut values);
        Self { values }
    }

    /// Normal noise, each pixel for itself.
    pub fn white_noise(rng: &mut impl Rng) -> Self {
        Self { values: (0..SIDE * SIDE).map(|_| normal(rng)).collect() }
    }

    /// Normal noise on a grid of about `period` px, enlarged smoothly.
    pub fn smooth_noise(rng: &mut impl Rng, period: f32) -> Self {
        let cells = ((SIDE as f32 / period) as usize).max(2) + 2;
        let grid: Vec<f32> = (0..cells * cells).map(|_| normal(rng)).collect();
        let steps: Vec<([usize; 4], [f32; 4])> = (0..SIDE).map(|i| cubic(i, cells)).collect();
        let rows: Vec<f32> = grid
            .chunks_exact(cells)
            .flat_map(|row| steps.iter().map(move |(at, w)| (0..4).map(|k| row[at[k]] * w[k]).sum::<f32>()))
            .collect();
        Self::from_fn(|x, y| (0..4).map(|k| rows[steps[y].0[k] * SIDE + x] * steps[y].1[k]).sum())
    }

    /// A curve of normal noise of `knots` knots over the width, enlarged smoothly.
    pub fn noise_curve(rng: &mut impl Rng, knots: usize) -> Vec<f32> {
        let grid: Vec<f32> = (0..knots).map(|_| normal(rng)).collect();
        let value = |i| {
            let (at, w): ([usize; 4], [f32; 4]) = cubic(i, knots);
            (0..4).map(|k| grid[at[k]] * w[k]).sum()
        };
        (0..SIDE).map(value).collect()
    }

    /// The value between pixels, bilinear; outside 0.
    #[inline]
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        sample(SIDE, SIDE, x, y, |x, y| self.values[y * SIDE + x])
    }
}

fn transpose(values: &mut [f32]) {
    for y in 0..SIDE {
        for x in 0..y {
            values.swap(y * SIDE + x, x * SIDE + y);
        }
    }
}

fn blur_columns(from: &[f32], to: &mut [f32], sigma: f32) {
    let reach = (3.0 * sigma).ceil().max(1.0) as isize;
    let mut taps: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma.max(1e-3)).powi(2)).exp()).collect();
    let sum: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|t| *t /= sum);
    for (y, row) in to.chunks_exact_mut(SIDE).enumerate() {
        for (k, tap) in taps.iter().enumerate() {
            let from_y = (y as isize + k as isize - reach).clamp(0, SIDE as isize - 1) as usize;
            for (o, v) in row.iter_mut().zip(&from[from_y * SIDE..][..SIDE]) {
                *o += tap * v;
            }
        }
    }
}

/// Places and weights of a Catmull-Rom step from `SIDE` pixels to `cells` knots, their ends at the picture's ends.
fn cubic(i: usize, cells: usize) -> ([usize; 4], [f32; 4]) {
    let x = (i as f32 + 0.5) / SIDE as f32 * cells as f32 - 0.5;
    let (whole, t) = (x.floor(), x - x.floor());
    let at = std::array::from_fn(|k| (whole as isize + k as isize - 1).clamp(0, cells as isize - 1) as usize);
    let (t2, t3) = (t * t, t * t * t);
    let w = [-0.5 * t + t2 - 0.5 * t3, 1.0 - 2.5 * t2 + 1.5 * t3, 0.5 * t + 2.0 * t2 - 1.5 * t3, 0.5 * (t3 - t2)];
    (at, w)
}

#[inline]
fn sample(width: usize, height: usize, x: f32, y: f32, at: impl Fn(usize, usize) -> f32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (tx, ty) = (x - fx, y - fy);
    let (x, y) = (fx as isize, fy as isize);
    let value = |x: isize, y: isize| {
        if x < 0 || y < 0 || x >= width as isize || y >= height as isize { 0.0 } else { at(x as usize, y as usize) }
    };
    (value(x, y) * (1.0 - tx) + value(x + 1, y) * tx) * (1.0 - ty)
        + (value(x, y + 1) * (1.0 - tx) + value(x + 1, y + 1) * tx) * ty
}

/// An affine map: `x' = a x + b y + c`, `y' = d x + e y + f`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f32; 6]);

impl Affine {
    /// The image of a point.
    pub fn of(&self, x: f32, y: f32) -> (f32, f32) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The way back; `None` when there is none.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f] = self.0;
        let det = a * e - b * d;
        (det.abs() > 1e-12).then(|| {
            let [ia, ib, id, ie] = [e / det, -b / det, -d / det, a / det];
            Self([ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)])
        })
    }

    /// How many px of the source one px of the result covers along an edge.
    pub fn reduction(&self) -> f32 {
        let [a, b, _, d, e, _] = self.0;
        (a * e - b * d).abs().sqrt()
    }
}

/// A grey image of any size.
#[derive(Clone, Debug)]
pub struct Grey {
    /// px
    pub width: usize,
    /// px
    pub height: usize,
    /// Row-major.
    pub values: Vec<u8>,
}

impl Grey {
    /// A frame's grey values.
    pub fn of_frame(frame: &Frame) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let at = |i: usize| frame.grey((i % width) as u32, (i / width) as u32);
        Self { width, height, values: (0..width * height).map(at).collect() }
    }

    /// The picture whose pixel p shows this image's place `back(p)`; outside black. Where the image is reduced, each pixel is
    /// the mean of a grid of samples.
    pub fn warped(&self, back: &Affine) -> Picture {
        let grid = (back.reduction().ceil() as usize).clamp(1, 4);
        let at = |x: usize, y: usize| f32::from(self.values[y * self.width + x]);
        let part = |i: usize| (i as f32 + 0.5) / grid as f32 - 0.5;
        let scale = 1.0 / (255.0 * (grid * grid) as f32);
        Picture::from_fn(|x, y| {
            let mut sum = 0.0;
            for k in 0..grid * grid {
                let (sx, sy) = back.of(x as f32 + part(k % grid), y as f32 + part(k / grid));
                sum += sample(self.width, self.height, sx, sy, at);
            }
            sum * scale
        })
    }
}

/// The mask whose pixel p shows this mask's place `back(p)`; outside nothing.
pub fn warped_mask(mask: &Bitmap, back: &Affine) -> Bitmap {
    let (w, h) = (mask.width() as usize, mask.height() as usize);
    let at = |x: usize, y: usize| f32::from(mask.pixels()[y * w + x]);
    Picture::from_fn(|x, y| {
        let (sx, sy) = back.of(x as f32, y as f32);
        sample(w, h, sx, sy, at)
    })
    .above(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn blur_keeps_the_sum_and_spreads_by_sigma() {
        let mut dot = Picture::filled(0.0);
        dot.values_mut()[128 * SIDE + 100] = 1.0;
        let b = dot.blurred(3.0, 1.5);
        let moment = |f: &dyn Fn(usize, usize) -> f32| {
            (0..SIDE * SIDE).map(|i| b.values()[i] * f(i % SIDE, i / SIDE)).sum::<f32>()
        };
        assert!((moment(&|_, _| 1.0) - 1.0).abs() < 1e-4);
        assert!((moment(&|x, _| (x as f32 - 100.0).powi(2)).sqrt() - 3.0).abs() < 0.1);
        assert!((moment(&|_, y| (y as f32 - 128.0).powi(2)).sqrt() - 1.5).abs() < 0.05);
    }

    #[test]
    fn an_affine_map_and_its_inverse_cancel() {
        let map = Affine([1.2, -0.3, 5.0, 0.4, 0.9, -7.0]);
        let back = map.inverse().unwrap();
        let (x, y) = map.of(31.0, 17.0);
        let (x, y) = back.of(x, y);
        assert!((x - 31.0).abs() < 1e-4 && (y - 17.0).abs() < 1e-4);
        assert_eq!(Affine([1.0, 2.0, 0.0, 2.0, 4.0, 0.0]).inverse(), None);
    }

    #[test]
    fn a_shifted_image_and_its_mask_stay_together() {
        let grey = Grey {
            width: 300,
            height: 200,
            values: (0..60_000).map(|i| if i % 300 < 150 { 0 } else { 255 }).collect(),
        };
        let mut mask = Bitmap::new(300, 200);
        (0..60_000u32).filter(|i| i % 300 >= 150).for_each(|i| mask.set(i % 300, i / 300, true));
        let back = Affine([2.0, 0.0, 10.0, 0.0, 1.0, 0.0]);
        let (picture, mask) = (grey.warped(&back), warped_mask(&mask, &back));
        for x in [0, 50, 69, 71, 120] {
            assert_eq!(picture.at(x, 100) > 0.5, mask.get(x as u32, 100), "{x}");
            assert_eq!(mask.get(x as u32, 100), x > 70);
        }
        assert_eq!((picture.at(200, 100), mask.get(100, 220)), (0.0, false));
    }

    #[test]
    fn smooth_noise_is_smooth_and_of_order_one() {
        let noise = Picture::smooth_noise(&mut Pcg64Mcg::seed_from_u64(3), 40.0);
        let (_, sd) = noise.moments();
        let step = (1..SIDE).map(|x| (noise.at(x, 9) - noise.at(x - 1, 9)).abs()).fold(0.0, f32::max);
        assert!((0.3..1.5).contains(&sd) && step < 0.3, "{sd} {step}");
    }
}
