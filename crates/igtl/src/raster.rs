//! A label map of outlines: a pixel has an object's label where its centre is inside the object's outline.

use sonotap::Outline;

/// Fills the inside of outlines, row by row; the buffer of crossings is reused.
#[derive(Debug, Default)]
pub struct Filler {
    /// Row and x of every edge that crosses the centre line of a row.
    crossings: Vec<(u32, f32)>,
}

impl Filler {
    /// Sets the pixels of a dense row-major map whose centres are inside `outline` (even-odd, so holes stay free) to `label`.
    ///
    /// An outline with a point that is no place fills nothing.
    ///
    /// Cost: one pass over the rows that the outline's edges cross, one sort of the crossings.
    ///
    /// ```
    /// use sonotap::{Outline, Point};
    /// use sonotap_igtl::raster::Filler;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(1.0, 0.0), (3.0, 0.0), (3.0, 2.0), (1.0, 2.0)].map(|(x, y)| Point::new(x, y)));
    /// let mut map = [0; 8];
    /// Filler::default().fill(&mut map, 4, &outline, 7);
    /// assert_eq!(map, [0, 7, 7, 0, 0, 7, 7, 0]);
    /// ```
    pub fn fill(&mut self, map: &mut [u8], width: u32, outline: &Outline, label: u8) {
        let width = width as usize;
        if width == 0 || !outline.points().iter().all(|p| p.is_finite()) {
            return;
        }
        let height = map.len() / width;
        self.crossings.clear();
        for ring in outline.rings() {
            for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                let (low, high) = if a.y < b.y { (a, b) } else { (b, a) };
                // Rows whose centre is in [low, high): each corner belongs to one of its two edges.
                let first = (low.y - 0.5).ceil().max(0.0) as usize;
                let end = ((high.y - 0.5).ceil().max(0.0) as usize).min(height);
                for row in first..end {
                    let t = (row as f32 + 0.5 - low.y) / (high.y - low.y);
                    self.crossings.push((row as u32, low.x + t * (high.x - low.x)));
                }
            }
        }
        self.crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for pair in self.crossings.chunks_exact(2) {
            let [(row, from), (_, to)] = [pair[0], pair[1]];
            let column = |x: f32| ((x - 0.5).ceil().max(0.0) as usize).min(width);
            let start = row as usize * width;
            let (from, to) = (column(from), column(to));
            if from < to {
                map[start + from..start + to].fill(label);
            }
        }
    }
}
