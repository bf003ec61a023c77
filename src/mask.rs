//! Masks: a grid of logits that knows which frame, prompts and view it was computed from, and bitmaps of image size.

use crate::geometry::{ImageSpace, ModelSpace, ModelView, Point, Rect};
use crate::units::{FrameId, ObjectId, Revision, Score, Timestamp};

/// Logit outside every view: surely background (sigmoid 3e-4).
pub const BACKGROUND_LOGIT: f32 = -8.0;

/// A square grid of logits over model space: cell (i, j) covers `side / cells` model px, its value stands at its centre.
/// Inside where the value is > 0.
#[derive(Clone, Debug, PartialEq)]
pub struct LogitGrid {
    cells: usize,
    view: ModelView,
    values: Vec<f32>,
}

impl LogitGrid {
    /// A grid of `cells` x `cells`, all background.
    pub fn background(cells: usize, view: ModelView) -> Self {
        Self { cells, view, values: vec![BACKGROUND_LOGIT; cells * cells] }
    }

    /// A grid from row-major values; `None` unless there are `cells * cells` of them.
    pub fn from_values(cells: usize, view: ModelView, values: Vec<f32>) -> Option<Self> {
        (cells > 0 && values.len() == cells * cells).then_some(Self { cells, view, values })
    }

    /// Cells along each side.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// The view whose model space the grid covers.
    pub fn view(&self) -> &ModelView {
        &self.view
    }

    /// Row-major, `cells * cells`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Row-major, `cells * cells`.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Becomes a copy of `other`, reusing the buffer.
    pub fn copy_from(&mut self, other: &Self) {
        self.cells = other.cells;
        self.view = other.view;
        self.values.clone_from(&other.values);
    }

    /// Changes the view and the number of cells and sets everything to background, reusing the buffer.
    pub fn reset(&mut self, cells: usize, view: ModelView) {
        self.cells = cells;
        self.view = view;
        self.values.clear();
        self.values.resize(cells * cells, BACKGROUND_LOGIT);
    }

    /// Model px per cell.
    pub fn cell(&self) -> f32 {
        self.view.side() as f32 / self.cells as f32
    }

    /// Centre of a cell in the image.
    pub fn centre(&self, column: usize, row: usize) -> Point<ImageSpace> {
        let k = self.cell();
        self.view.to_image(Point::new((column as f32 + 0.5) * k, (row as f32 + 0.5) * k))
    }

    /// Bilinear value at a point of model space; edge cells extend to the border, beyond it is background.
    pub fn sample_model(&self, p: Point<ModelSpace>) -> f32 {
        let side = self.view.side() as f32;
        if !(p.x >= 0.0 && p.y >= 0.0 && p.x <= side && p.y <= side) {
            return BACKGROUND_LOGIT;
        }
        let last = (self.cells - 1) as f32;
        let k = self.cells as f32 / side;
        let (gx, gy) = ((p.x * k - 0.5).clamp(0.0, last), (p.y * k - 0.5).clamp(0.0, last));
        let (x0, y0) = (gx as usize, gy as usize);
        let (x1, y1) = ((x0 + 1).min(self.cells - 1), (y0 + 1).min(self.cells - 1));
        let (fx, fy) = (gx - x0 as f32, gy - y0 as f32);
        let at = |x: usize, y: usize| self.values[y * self.cells + x];
        let top = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * fx;
        let bottom = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * fx;
        top + (bottom - top) * fy
    }

    /// Bilinear value at a point of the image; background outside the view's crop.
    pub fn sample(&self, p: Point<ImageSpace>) -> f32 {
        if !self.view.crop().contains(p) {
            return BACKGROUND_LOGIT;
        }
        self.sample_model(self.view.to_model(p))
    }

    /// The rectangle of image space that holds all cells above 0; `None` when there are none.
    pub fn inside_bounds(&self) -> Option<Rect<ImageSpace>> {
        let (mut x0, mut y0, mut x1, mut y1) = (usize::MAX, usize::MAX, 0, 0);
        for (row, line) in self.values.chunks_exact(self.cells).enumerate() {
            for (column, &v) in line.iter().enumerate() {
                if v > 0.0 {
                    (x0, x1) = (x0.min(column), x1.max(column + 1));
                    (y0, y1) = (y0.min(row), y1.max(row + 1));
                }
            }
        }
        let k = self.cell();
        let corner = |x: usize, y: usize| self.view.to_image(Point::new(x as f32 * k, y as f32 * k));
        (x0 < x1).then(|| Rect::between(corner(x0, y0), corner(x1, y1)))
    }

    /// The mask at image size: each pixel's centre sampled bilinearly, inside where > 0.
    pub fn to_bitmap(&self, width: u32, height: u32) -> Bitmap {
        let mut out = Bitmap::new(width, height);
        for y in 0..height {
            for x in 0..width {
                let inside = self.sample(Point::new(x as f32 + 0.5, y as f32 + 0.5)) > 0.0;
                out.set(x, y, inside);
            }
        }
        out
    }
}

/// A mask at image size, one byte a pixel, 0 or 1, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Bitmap {
    /// An empty mask.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0; width as usize * height as usize] }
    }

    /// From row-major values, inside where non-zero; `None` when their number does not fit.
    pub fn from_values(width: u32, height: u32, mut values: Vec<u8>) -> Option<Self> {
        if values.len() != width as usize * height as usize {
            return None;
        }
        values.iter_mut().for_each(|v| *v = u8::from(*v != 0));
        Some(Self { width, height, pixels: values })
    }

    /// px.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// px.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Row-major, 0 or 1.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Whether the pixel is inside; false beyond the edges.
    pub fn get(&self, x: u32, y: u32) -> bool {
        x < self.width && y < self.height && self.pixels[y as usize * self.width as usize + x as usize] != 0
    }

    /// Sets a pixel; nothing beyond the edges.
    pub fn set(&mut self, x: u32, y: u32, inside: bool) {
        if x < self.width && y < self.height {
            self.pixels[y as usize * self.width as usize + x as usize] = u8::from(inside);
        }
    }

    /// Empties the mask.
    pub fn clear(&mut self) {
        self.pixels.fill(0);
    }

    /// Number of pixels inside.
    pub fn area_px(&self) -> usize {
        self.pixels.iter().map(|&p| usize::from(p)).sum()
    }

    /// Intersection over union with a mask of the same size; 1 when both are empty.
    ///
    /// ```
    /// use sonotap::mask::Bitmap;
    /// let a = Bitmap::from_values(3, 1, vec![1, 1, 0]).unwrap();
    /// let b = Bitmap::from_values(3, 1, vec![0, 1, 1]).unwrap();
    /// assert_eq!(a.iou(&b), 1.0 / 3.0);
    /// ```
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn iou(&self, o: &Self) -> f64 {
        assert_eq!((self.width, self.height), (o.width, o.height), "masks of different size compared");
        let (mut both, mut any) = (0usize, 0usize);
        for (&a, &b) in self.pixels.iter().zip(&o.pixels) {
            both += usize::from(a & b);
            any += usize::from(a | b);
        }
        if any == 0 { 1.0 } else { both as f64 / any as f64 }
    }
}

/// Where a mask comes from. Without it no [`Mask`] can be made, so none can be shown as something that it is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Provenance {
    /// The frame whose pixels the model saw.
    pub frame: FrameId,
    /// That frame's capture time.
    pub captured: Timestamp,
    /// The prompts' revision.
    pub revision: Revision,
    /// Whose outline it is.
    pub object: ObjectId,
}

/// An object's mask, as the model gave it (and clicks corrected it) on one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    provenance: Provenance,
    score: Score,
    logits: LogitGrid,
}

impl Mask {
    /// A mask of that provenance.
    pub fn new(provenance: Provenance, score: Score, logits: LogitGrid) -> Self {
        Self { provenance, score, logits }
    }

    /// Frame, revision and object that it was computed from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The model's own estimate of its IoU.
    pub fn score(&self) -> Score {
        self.score
    }

    /// Its logits at model resolution.
    pub fn logits(&self) -> &LogitGrid {
        &self.logits
    }

    /// Becomes a mask of another provenance with the values of `logits`, reusing the buffer.
    pub fn assign(&mut self, provenance: Provenance, score: Score, logits: &LogitGrid) {
        self.provenance = provenance;
        self.score = score;
        self.logits.copy_from(logits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(side: u32) -> ModelView {
        ModelView::new(Rect::new(0.0, 0.0, side as f32, side as f32), side)
    }

    #[test]
    fn sampling_at_a_cell_centre_gives_its_value() {
        let values: Vec<f32> = (0..64).map(|v| v as f32).collect();
        let g = LogitGrid::from_values(8, whole(64), values).unwrap();
        for (row, column) in [(0, 0), (3, 5), (7, 7)] {
            assert_eq!(g.sample(g.centre(column, row)), (row * 8 + column) as f32);
        }
    }

    #[test]
    fn outside_the_crop_is_background() {
        let view = ModelView::new(Rect::new(10.0, 10.0, 30.0, 20.0), 64);
        let g = LogitGrid::from_values(4, view, vec![5.0; 16]).unwrap();
        assert_eq!(g.sample(Point::new(12.0, 12.0)), 5.0);
        for (x, y) in [(9.0, 12.0), (31.0, 12.0), (12.0, 25.0), (f32::NAN, 12.0)] {
            assert_eq!(g.sample(Point::new(x, y)), BACKGROUND_LOGIT, "{x} {y}");
        }
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_one_with_itself(a in prop::collection::vec(0u8..2, 48), b in prop::collection::vec(0u8..2, 48)) {
            let a = Bitmap::from_values(8, 6, a).unwrap();
            let b = Bitmap::from_values(8, 6, b).unwrap();
            prop_assert_eq!(a.iou(&b), b.iou(&a));
            prop_assert_eq!(a.iou(&a), 1.0);
            prop_assert!((0.0..=1.0).contains(&a.iou(&b)));
        }
    }
}
