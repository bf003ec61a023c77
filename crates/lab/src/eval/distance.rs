//! The exact Euclidean distance transform.
//!
//! Distances run between pixel centres. They are squared and whole, so two runs agree to the bit.
//!
//! Source: P. Felzenszwalb and D. Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8
//! (2012).

use sonotap::mask::Bitmap;

/// Farther than any two pixels of an image are apart; small enough that a difference of two fits.
const FAR: i64 = 1 << 40;

/// For each pixel inside, the squared distance to the nearest pixel outside, row-major; 0 outside. Everything beyond
/// the image is outside (the 1 px padding of RITM and MSA).
///
/// Cost: linear in the pixels.
///
/// ```
/// use sonotap_lab::eval::distance::squared_to_outside;
/// use sonotap::mask::Bitmap;
/// let row = Bitmap::from_values(5, 3, vec![1; 15]).unwrap();
/// assert_eq!(squared_to_outside(&row)[5..10], [1, 4, 4, 4, 1]);
/// ```
pub fn squared_to_outside(region: &Bitmap) -> Vec<u32> {
    let (w, h) = (region.width() as usize, region.height() as usize);
    let (pw, ph) = (w + 2, h + 2);
    let mut padded = vec![0i64; pw * ph];
    for (y, row) in region.pixels().chunks_exact(w.max(1)).enumerate() {
        for (x, &p) in row.iter().enumerate() {
            padded[(y + 1) * pw + x + 1] = if p != 0 { FAR } else { 0 };
        }
    }
    transform(&mut padded, pw, ph);
    (0..w * h).map(|i| padded[(i / w + 1) * pw + i % w + 1] as u32).collect()
}

/// For each pixel, the squared distance to the nearest pixel inside, row-major; `None` when nothing is inside.
pub fn squared_to_inside(region: &Bitmap) -> Option<Vec<u32>> {
    if region.pixels().iter().all(|&p| p == 0) {
        return None;
    }
    let mut values: Vec<i64> = region.pixels().iter().map(|&p| if p != 0 { 0 } else { FAR }).collect();
    transform(&mut values, region.width() as usize, region.height() as usize);
    Some(values.into_iter().map(|v| v as u32).collect())
}

fn transform(values: &mut [i64], width: usize, height: usize) {
    let mut line = Line::default();
    for x in 0..width {
        line.input.clear();
        line.input.extend((0..height).map(|y| values[y * width + x]));
        line.envelope();
        (0..height).for_each(|y| values[y * width + x] = line.output[y]);
    }
    for row in values.chunks_exact_mut(width.max(1)) {
        line.input.clear();
        line.input.extend_from_slice(row);
        line.envelope();
        row.copy_from_slice(&line.output);
    }
}

/// One dimension: the lower envelope of the parabolas over the input.
#[derive(Default)]
struct Line {
    input: Vec<i64>,
    output: Vec<i64>,
    /// Vertices of the envelope.
    vertices: Vec<usize>,
    /// First place at which the vertex of the same index is the lowest.
    starts: Vec<i64>,
}

impl Line {
    fn envelope(&mut self) {
        let Self { input, output, vertices, starts } = self;
        vertices.clear();
        starts.clear();
        for q in (0..input.len()).filter(|&q| input[q] < FAR) {
            loop {
                let Some(&v) = vertices.last() else {
                    vertices.push(q);
                    starts.push(0);
                    break;
                };
                let (qi, vi) = (q as i64, v as i64);
                let above = input[q] + qi * qi - input[v] - vi * vi;
                // The first whole place at which q is lower.
                let start = above.div_euclid(2 * (qi - vi)) + 1;
                if starts.last().is_some_and(|&s| start <= s) && vertices.len() > 1 || start <= 0 {
                    vertices.pop();
                    starts.pop();
                    continue;
                }
                vertices.push(q);
                starts.push(start);
                break;
            }
        }
        output.clear();
        let mut k = 0;
        for place in 0..input.len() as i64 {
            while starts.get(k + 1).is_some_and(|&s| s <= place) {
                k += 1;
            }
            output.push(vertices.get(k).map_or(FAR, |&v| (place - v as i64).pow(2) + input[v]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(region: &Bitmap, to_inside: bool) -> Vec<u32> {
        let (w, h) = (region.width() as i64, region.height() as i64);
        let is_goal = |x: i64, y: i64| {
            let is_in = x >= 0 && y >= 0 && region.get(x as u32, y as u32);
            is_in == to_inside
        };
        let mut out = Vec::new();
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let goals = (-1..=h).flat_map(|v| (-1..=w).map(move |u| (u, v))).filter(|&(u, v)| is_goal(u, v));
            out.push(goals.map(|(u, v)| ((u - x).pow(2) + (v - y).pow(2)) as u32).min().unwrap());
        }
        out
    }

    proptest! {
        #[test]
        fn transform_equals_brute_force(
            w in 1u32..12, h in 1u32..12, bits in prop::collection::vec(prop::bool::weighted(0.8), 144),
        ) {
            let values = bits.iter().take((w * h) as usize).map(|b| u8::from(*b)).collect();
            let region = Bitmap::from_values(w, h, values).unwrap();
            prop_assert_eq!(squared_to_outside(&region), brute(&region, false));
            if region.area_px() > 0 {
                prop_assert_eq!(squared_to_inside(&region).unwrap(), brute(&region, true));
            } else {
                prop_assert!(squared_to_inside(&region).is_none());
            }
        }
    }
}
