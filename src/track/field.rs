//! A field of motion between two pictures.

use crate::geometry::{ImageSpace, ModelSpace, ModelView, Point};

/// Side of a cell of a [`FlowField`], px of the small picture.
pub const CELL_PX: f32 = 4.0;

/// Backward motion on a regular grid: maps a point of the later picture to its origin in the earlier one.
///
/// earlier = later + (dx, dy), in px of the small picture, which are model px of the field's view. Cell (i, j) is
/// [`CELL_PX`] wide and its value is that of its centre; motion is bilinear between centres and constant beyond the outer ones.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowField {
    view: ModelView,
    cols: usize,
    rows: usize,
    dx: Vec<f32>,
    dy: Vec<f32>,
}

impl FlowField {
    /// Zero motion over the filled part of `view`.
    pub fn zero(view: ModelView) -> Self {
        let mut field = Self { view, cols: 0, rows: 0, dx: Vec::new(), dy: Vec::new() };
        field.reset(view);
        field
    }

    /// Resets to zero motion over the filled part of `view`; reuses the buffers.
    pub fn reset(&mut self, view: ModelView) {
        let filled = view.filled();
        let cells = |length: f32| ((length - 1e-3).max(1.0) / CELL_PX).ceil() as usize;
        self.reshape(view, cells(filled.width()), cells(filled.height()));
        self.dx.fill(0.0);
        self.dy.fill(0.0);
    }

    /// Changes the size, leaving the values unspecified.
    pub(super) fn reshape(&mut self, view: ModelView, cols: usize, rows: usize) {
        self.view = view;
        (self.cols, self.rows) = (cols, rows);
        self.dx.resize(cols * rows, 0.0);
        self.dy.resize(cols * rows, 0.0);
    }

    /// The motion `f(centre)` of each cell, over the filled part of `view`.
    pub fn from_fn(view: ModelView, mut f: impl FnMut(Point<ModelSpace>) -> (f32, f32)) -> Self {
        let mut field = Self::zero(view);
        for i in 0..field.dx.len() {
            (field.dx[i], field.dy[i]) = f(field.centre(i % field.cols, i / field.cols));
        }
        field
    }

    /// The view whose model px the motion is in.
    pub fn view(&self) -> &ModelView {
        &self.view
    }

    /// Cells along x.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Cells along y.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Motion along x of each cell, row-major, px of the small picture.
    pub fn dx(&self) -> &[f32] {
        &self.dx
    }

    /// Motion along y of each cell, row-major, px of the small picture.
    pub fn dy(&self) -> &[f32] {
        &self.dy
    }

    pub(super) fn values_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.dx, &mut self.dy)
    }

    /// Centre of a cell.
    pub fn centre(&self, column: usize, row: usize) -> Point<ModelSpace> {
        Point::new((column as f32 + 0.5) * CELL_PX, (row as f32 + 0.5) * CELL_PX)
    }

    /// Motion at a point, (dx, dy): bilinear, clamped at the outer cells.
    #[inline]
    pub fn at(&self, p: Point<ModelSpace>) -> (f32, f32) {
        let ((x, right, fx), (y, below, fy)) = (place(p.x, self.cols), place(p.y, self.rows));
        let (top, bottom) = (y * self.cols, (y + below) * self.cols);
        let mix = |v: &[f32]| {
            let (top, bottom) = (&v[top..top + self.cols], &v[bottom..bottom + self.cols]);
            let upper = top[x] + (top[x + right] - top[x]) * fx;
            let lower = bottom[x] + (bottom[x + right] - bottom[x]) * fx;
            upper + (lower - upper) * fy
        };
        (mix(&self.dx), mix(&self.dy))
    }

    /// Maps a point of the later picture to the earlier one.
    ///
    /// ```
    /// use sonotap::geometry::{ModelView, Point, Rect};
    /// use sonotap::track::flow::FlowField;
    /// let view = ModelView::new(Rect::new(0.0, 0.0, 512.0, 384.0), 256);
    /// let moved = FlowField::from_fn(view, |_| (-3.0, 1.0));
    /// assert_eq!(moved.backward(Point::new(100.0, 80.0)), Point::new(94.0, 82.0));
    /// ```
    pub fn backward(&self, p: Point<ImageSpace>) -> Point<ImageSpace> {
        let p = self.view.to_model(p);
        let (dx, dy) = self.at(p);
        self.view.to_image(Point::new(p.x + dx, p.y + dy))
    }

    /// Maps a point of the earlier picture to the later one: the inverse of [`Self::backward`], by fixed-point iteration. Exact
    /// to .01 px of the small picture where motion changes by less than .5 px per px. Where motion folds there is no inverse,
    /// and the result is the last iterate.
    pub fn forward(&self, p: Point<ImageSpace>) -> Point<ImageSpace> {
        let from = self.view.to_model(p);
        let mut to = from;
        for _ in 0..16 {
            let (dx, dy) = self.at(to);
            let next = Point::new(from.x - dx, from.y - dy);
            let moved = next.distance(to);
            to = next;
            if moved < 0.005 {
                break;
            }
        }
        self.view.to_image(to)
    }

    /// Prepends a newer motion: `self` maps frame n-1 to frame k, `newer` frame n to n-1; afterwards `self` maps n to k.
    ///
    /// C(x) = b(x) + C_old(x + b(x)), and the view becomes that of `newer`. `scratch` is a buffer; its content is lost.
    pub fn then(&mut self, newer: &Self, scratch: &mut Self) {
        scratch.reshape(newer.view, newer.cols, newer.rows);
        let is_same_view = self.view == newer.view;
        for i in 0..newer.dx.len() {
            let x = newer.centre(i % newer.cols, i / newer.cols);
            let middle = Point::new(x.x + newer.dx[i], x.y + newer.dy[i]);
            let (dx, dy) = if is_same_view {
                let (dx, dy) = self.at(middle);
                (newer.dx[i] + dx, newer.dy[i] + dy)
            } else {
                let from = newer.view.to_model(self.backward(newer.view.to_image(middle)));
                (from.x - x.x, from.y - x.y)
            };
            (scratch.dx[i], scratch.dy[i]) = (dx, dy);
        }
        std::mem::swap(self, scratch);
    }

    /// Copies `other`; reuses the buffers.
    pub fn copy_from(&mut self, other: &Self) {
        self.view = other.view;
        (self.cols, self.rows) = (other.cols, other.rows);
        self.dx.clone_from(&other.dx);
        self.dy.clone_from(&other.dy);
    }
}

/// The cell whose centre is before `v`, the distance to the next cell (0 at the end of a single one), and the fraction between.
#[inline]
fn place(v: f32, count: usize) -> (usize, usize, f32) {
    let last = count as i32 - 1;
    // NaN becomes 0 here; the cast through i32 is the cheap one.
    let g = (v / CELL_PX - 0.5).max(0.0).min(last as f32);
    let i = (g as i32).min((last - 1).max(0));
    (i as usize, usize::from(last > 0), g - i as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use proptest::prelude::*;

    fn view() -> ModelView {
        ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256)
    }

    fn wave(ax: f32, ay: f32, phase: f32) -> FlowField {
        FlowField::from_fn(view(), |p| (ax * (p.y / 30.0 + phase).sin(), ay * (p.x / 40.0 - phase).cos()))
    }

    #[test]
    fn grid_covers_the_filled_part() {
        for (w, h, cols, rows) in
            [(640.0, 480.0, 64, 48), (480.0, 640.0, 48, 64), (100.0, 1.0, 64, 1), (256.0, 250.0, 64, 63)]
        {
            let field = FlowField::zero(ModelView::new(Rect::new(0.0, 0.0, w, h), 256));
            assert_eq!((field.cols(), field.rows()), (cols, rows), "{w}x{h}");
        }
    }

    #[test]
    fn motion_is_bilinear_between_cells_and_constant_beyond() {
        let field = FlowField::from_fn(view(), |p| (p.x, -p.y));
        assert_eq!(field.at(Point::new(2.0, 2.0)), (2.0, -2.0));
        assert_eq!(field.at(Point::new(17.0, 31.0)), (17.0, -31.0));
        assert_eq!(field.at(Point::new(-50.0, 1e9)), (2.0, -190.0));
        let (x, y) = field.at(Point::new(f32::NAN, 4.0));
        assert!(x.is_finite() && y.is_finite(), "a NaN point left the grid");
    }

    #[test]
    fn two_translations_add_up() {
        let mut composite = FlowField::from_fn(view(), |_| (3.0, -2.0));
        let newer = FlowField::from_fn(view(), |_| (-1.25, 0.5));
        let mut scratch = FlowField::zero(view());
        composite.then(&newer, &mut scratch);
        assert!(composite.dx().iter().all(|&v| v == 1.75) && composite.dy().iter().all(|&v| v == -1.5));
    }

    #[test]
    fn a_view_that_changed_in_between_is_converted() {
        let half = ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 128);
        let mut composite = FlowField::from_fn(half, |_| (1.0, 2.0));
        let newer = FlowField::from_fn(view(), |_| (4.0, -3.0));
        composite.then(&newer, &mut FlowField::zero(half));
        assert_eq!(composite.view(), &view());
        let (x, y) = composite.at(Point::new(100.0, 100.0));
        assert!((x - 6.0).abs() < 1e-3 && (y - 1.0).abs() < 1e-3, "{x} {y}");
    }

    proptest! {
        #[test]
        fn forward_undoes_backward_on_smooth_fields(
            ax in -8.0f32..8.0, ay in -8.0f32..8.0, phase in 0.0f32..6.0, x in 60.0f32..580.0, y in 60.0f32..420.0,
        ) {
            let field = wave(ax, ay, phase);
            let p = Point::new(x, y);
            prop_assert!(field.forward(field.backward(p)).distance(p) < 0.05, "{:?}", field.forward(field.backward(p)));
            prop_assert!(field.backward(field.forward(p)).distance(p) < 0.05);
        }

        #[test]
        fn composite_goes_where_the_two_steps_go(
            a in -5.0f32..5.0, b in -5.0f32..5.0, phase in 0.0f32..6.0, x in 60.0f32..580.0, y in 60.0f32..420.0,
        ) {
            let (old, newer) = (wave(a, b, phase), wave(b, a, phase + 1.0));
            let mut composite = old.clone();
            composite.then(&newer, &mut FlowField::zero(view()));
            let p = Point::new(x, y);
            // Within what bilinear interpolation of the composite between cells can differ, image px.
            prop_assert!(composite.backward(p).distance(old.backward(newer.backward(p))) < 0.15);
        }
    }
}
