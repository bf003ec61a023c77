//! The pixels of an outline: those whose centre is inside.

use sonotap::{Bitmap, Outline};

/// Fills an outline by the even-odd rule, so that holes stay empty; 1 inside.
///
/// Cost: O(rows * edges + pixels).
pub(crate) fn fill(outline: &Outline, width: u32, height: u32) -> Bitmap {
    let mut bitmap = Bitmap::new(width, height);
    let mut crossings: Vec<f64> = Vec::new();
    for y in 0..height {
        let centre = f64::from(y) + 0.5;
        crossings.clear();
        for ring in outline.rings() {
            let Some(mut a) = ring.last() else { continue };
            for b in ring {
                let (ay, by) = (f64::from(a.y), f64::from(b.y));
                // Half-open, so that a corner on the line counts once.
                if (ay <= centre) != (by <= centre) {
                    let (ax, bx) = (f64::from(a.x), f64::from(b.x));
                    crossings.push(ax + (centre - ay) / (by - ay) * (bx - ax));
                }
                a = b;
            }
        }
        crossings.sort_unstable_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let column = |x: f64| (x - 0.5).ceil().clamp(0.0, f64::from(width)) as u32;
            (column(pair[0])..column(pair[1])).for_each(|x| bitmap.set(x, y, true));
        }
    }
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;
    use sonotap::Point;

    fn ring(points: &[(f32, f32)]) -> impl Iterator<Item = Point<sonotap::ImageSpace>> {
        points.iter().map(|&(x, y)| Point::new(x, y))
    }

    #[test]
    fn a_pixel_is_inside_where_its_centre_is() {
        let mut outline = Outline::default();
        outline.push_ring(ring(&[(2.0, 1.0), (8.5, 1.0), (8.5, 7.5), (2.0, 7.5)]));
        outline.push_ring(ring(&[(4.0, 3.0), (4.0, 5.0), (6.0, 5.0), (6.0, 3.0)]));
        outline.push_ring(ring(&[(-3.0, 9.2), (1.6, 9.2), (1.6, 20.0), (-3.0, 20.0)]));
        let bitmap = fill(&outline, 11, 10);
        for y in 0..10 {
            for x in 0..11 {
                let expected = outline.contains(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                assert_eq!(bitmap.get(x, y), expected, "{x},{y}");
            }
        }
        // 6.5 wide from 2 has the centres 2.5 to 7.5; less the hole; and two of the last row.
        assert_eq!(bitmap.area_px(), 6 * 6 - 4 + 2);
    }

    #[test]
    fn pixels_and_area_of_a_slanted_outline_agree() {
        let mut outline = Outline::default();
        let corner = |i: usize| {
            let a = i as f32 / 90.0 * std::f32::consts::TAU;
            Point::new(160.3 + 80.2 * a.cos(), 120.9 + 41.7 * a.sin())
        };
        outline.push_ring((0..90).map(corner));
        let (pixels, area) = (fill(&outline, 320, 240).area_px() as f64, outline.signed_area());
        assert!((pixels - area).abs() < 0.002 * area, "{pixels} pixels, area {area}");
    }
}
