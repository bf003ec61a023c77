//! Contours: closed rings in image px, traced from a logit grid or a bitmap.
//!
//! | term | meaning |
//! |---|---|
//! | ring | a closed polygon; the edge from its last point back to its first is implied |
//! | outer ring | encloses the inside; its shoelace area is positive (x right, y down: clockwise on the screen) |
//! | hole | encloses an outside part within an outer ring; its shoelace area is negative |
//!
//! The contour of a [`LogitGrid`] is where [`LogitGrid::sample`] changes sign. Between cell centres it is interpolated
//! linearly, ambiguous (saddle) cells are resolved as the bilinear surface resolves them, and at the edge of the view's
//! crop the rings follow that edge: no ring leaves the crop.
//!
//! ```
//! use sonotap::contour::{Outline, trace};
//! use sonotap::geometry::{ModelView, Point, Rect};
//! use sonotap::mask::LogitGrid;
//! let view = ModelView::new(Rect::new(0.0, 0.0, 64.0, 64.0), 64);
//! let mut grid = LogitGrid::background(64, view);
//! for (at, v) in grid.values_mut().iter_mut().enumerate() {
//!     let (x, y) = ((at % 64) as f32 + 0.5, (at / 64) as f32 + 0.5);
//!     *v = 20.0 - (x - 32.0).hypot(y - 32.0);
//! }
//! let mut outline = Outline::default();
//! trace(&grid, &mut outline);
//! assert_eq!(outline.rings().count(), 1);
//! assert!((outline.signed_area() - std::f64::consts::PI * 400.0).abs() < 4.0);
//! assert!(outline.contains(Point::new(32.0, 32.0)));
//! ```

use std::cell::RefCell;

use crate::geometry::{ImageSpace, Point, Rect};
use crate::mask::{Bitmap, LogitGrid};

/// The closed rings of an object, image px, in two flat buffers that are reused for every frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    points: Vec<Point<ImageSpace>>,
    ends: Vec<usize>,
}

impl Outline {
    /// Removes all rings and keeps the buffers.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// outline.clear();
    /// assert!(outline.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.points.clear();
        self.ends.clear();
    }

    /// Whether there is no ring.
    ///
    /// ```
    /// assert!(sonotap::contour::Outline::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a ring of at least three points, in order; a shorter one is ignored. Returns whether it was added.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// assert!(!outline.push_ring([Point::new(0.0, 0.0), Point::new(1.0, 0.0)]));
    /// assert!(outline.is_empty());
    /// ```
    pub fn push_ring(&mut self, ring: impl IntoIterator<Item = Point<ImageSpace>>) -> bool {
        let start = self.points.len();
        self.points.extend(ring);
        let is_ring = self.points.len() >= start + 3;
        if is_ring {
            self.ends.push(self.points.len());
        } else {
            self.points.truncate(start);
        }
        is_ring
    }

    /// The rings; the last point of each does not repeat the first.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// assert_eq!(outline.rings().map(|ring| ring.len()).collect::<Vec<_>>(), [3]);
    /// ```
    pub fn rings(&self) -> impl Iterator<Item = &[Point<ImageSpace>]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let ring = &self.points[start..end];
            start = end;
            ring
        })
    }

    /// The points of all rings, ring by ring.
    ///
    /// ```
    /// assert!(sonotap::contour::Outline::default().points().is_empty());
    /// ```
    pub fn points(&self) -> &[Point<ImageSpace>] {
        &self.points
    }

    /// Becomes a copy of `other`, reusing the buffers.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let (mut a, mut b) = (Outline::default(), Outline::default());
    /// a.push_ring([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// b.copy_from(&a);
    /// assert_eq!(a, b);
    /// ```
    pub fn copy_from(&mut self, other: &Self) {
        self.points.clone_from(&other.points);
        self.ends.clone_from(&other.ends);
    }

    /// Area, px²: outer rings minus their holes.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)].map(|(x, y)| Point::new(x, y)));
    /// outline.push_ring([(3.0, 3.0), (3.0, 5.0), (5.0, 5.0), (5.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// assert_eq!(outline.signed_area(), 81.0 - 4.0);
    /// ```
    pub fn signed_area(&self) -> f64 {
        self.rings().map(ring_area).sum()
    }

    /// The smallest closed rectangle that contains all points; `None` when there are none.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::{Point, Rect};
    /// let mut outline = Outline::default();
    /// assert_eq!(outline.bounds(), None);
    /// outline.push_ring([(1.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// assert_eq!(outline.bounds(), Some(Rect::new(1.0, 0.0, 4.0, 3.0)));
    /// ```
    pub fn bounds(&self) -> Option<Rect<ImageSpace>> {
        let (first, rest) = self.points.split_first()?;
        Some(rest.iter().fold(Rect::between(*first, *first), |r, &p| r.union(&Rect::between(p, p))))
    }

    /// Whether the point is inside by the even-odd rule: a hole is outside. For points on the line either answer is
    /// possible.
    ///
    /// Cost: one pass over all points.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)].map(|(x, y)| Point::new(x, y)));
    /// outline.push_ring([(3.0, 3.0), (3.0, 5.0), (5.0, 5.0), (5.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// assert!(outline.contains(Point::new(1.0, 4.0)));
    /// assert!(!outline.contains(Point::new(4.0, 4.0)));
    /// ```
    pub fn contains(&self, p: Point<ImageSpace>) -> bool {
        let mut inside = false;
        for (a, b) in self.rings().flat_map(edges) {
            if (a.y > p.y) != (b.y > p.y) {
                let t = (f64::from(p.y) - f64::from(a.y)) / (f64::from(b.y) - f64::from(a.y));
                let x = f64::from(a.x) + t * (f64::from(b.x) - f64::from(a.x));
                inside ^= f64::from(p.x) < x;
            }
        }
        inside
    }

    /// Maps every point. The map must not mirror: that would turn outer rings into holes.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// outline.transform(|p| Point::new(p.x + 10.0, p.y));
    /// assert_eq!(outline.points()[2], Point::new(14.0, 3.0));
    /// ```
    pub fn transform(&mut self, mut map: impl FnMut(Point<ImageSpace>) -> Point<ImageSpace>) {
        self.points.iter_mut().for_each(|p| *p = map(*p));
    }

    /// Makes a ring of the points after the last ring, unless it is smaller than `area_min` px².
    fn close(&mut self, area_min: f64) {
        let start = self.ends.last().copied().unwrap_or(0);
        while self.points.len() > start + 1 && self.points.last() == self.points.get(start) {
            self.points.pop();
        }
        let ring = &self.points[start..];
        let area = ring_area(ring).abs();
        if ring.len() >= 3 && area > 0.0 && area >= area_min {
            self.ends.push(self.points.len());
        } else {
            self.points.truncate(start);
        }
    }
}

/// Shoelace area of a closed ring, px²: positive for an outer ring, negative for a hole.
///
/// ```
/// use sonotap::contour::ring_area;
/// use sonotap::geometry::Point;
/// let clockwise = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)].map(|(x, y)| Point::new(x, y));
/// assert_eq!(ring_area(&clockwise), 6.0);
/// ```
pub fn ring_area(ring: &[Point<ImageSpace>]) -> f64 {
    let Some(origin) = ring.first() else { return 0.0 };
    let local = |p: &Point<ImageSpace>| (f64::from(p.x) - f64::from(origin.x), f64::from(p.y) - f64::from(origin.y));
    let twice: f64 = edges(ring)
        .map(|(a, b)| {
            let ((ax, ay), (bx, by)) = (local(a), local(b));
            ax * by - bx * ay
        })
        .sum();
    twice / 2.0
}

/// The edges of a ring, the closing one last.
pub(crate) fn edges(ring: &[Point<ImageSpace>]) -> impl Iterator<Item = (&Point<ImageSpace>, &Point<ImageSpace>)> {
    ring.iter().zip(ring.iter().cycle().skip(1))
}

/// The contour of a grid at logit 0, as [`Tracer::trace`] with every ring kept. Reuses `out`.
///
/// Each thread keeps one tracer, so that nothing is allocated after the first calls.
///
/// ```
/// # use sonotap::contour::{Outline, trace};
/// # use sonotap::geometry::{ModelView, Rect};
/// # use sonotap::mask::LogitGrid;
/// let view = ModelView::new(Rect::new(10.0, 20.0, 42.0, 36.0), 64);
/// let grid = LogitGrid::from_values(16, view, vec![3.0; 256]).unwrap();
/// let mut outline = Outline::default();
/// trace(&grid, &mut outline);
/// assert_eq!(outline.bounds(), Some(*view.crop()), "a full mask ends at the edge of the crop");
/// ```
pub fn trace(grid: &LogitGrid, out: &mut Outline) {
    TRACER.with_borrow_mut(|tracer| tracer.trace(grid, out));
}

/// The contour of a bitmap, as [`Tracer::trace_bitmap`] with every ring kept. Reuses `out`.
///
/// ```
/// # use sonotap::contour::{Outline, trace_bitmap};
/// # use sonotap::mask::Bitmap;
/// let bitmap = Bitmap::from_values(3, 3, vec![0, 0, 0, 0, 1, 0, 0, 0, 0]).unwrap();
/// let mut outline = Outline::default();
/// trace_bitmap(&bitmap, &mut outline);
/// assert_eq!(outline.points().len(), 4);
/// ```
pub fn trace_bitmap(bitmap: &Bitmap, out: &mut Outline) {
    TRACER.with_borrow_mut(|tracer| tracer.trace_bitmap(bitmap, out));
}

thread_local! {
    static TRACER: RefCell<Tracer> = RefCell::new(Tracer::new(0.0));
}

/// Marks a lattice edge that the contour does not cross.
const NOT_CROSSED: u32 = u32::MAX;

/// Marching squares with its working buffers.
///
/// Guarantees: rings are closed and never leave the crop; after the first call of a size nothing is allocated but
/// growth of `out`. Cost: one pass over the cells and one over the contour.
#[derive(Clone, Debug)]
pub struct Tracer {
    ring_px2_min: f64,
    columns: Vec<Node>,
    rows: Vec<Node>,
    upper: Vec<f32>,
    lower: Vec<f32>,
    /// For each lattice edge on which a segment starts: the edge where it ends, and the start's position on the edge.
    /// All [`NOT_CROSSED`] between calls.
    segments: Vec<(u32, f32)>,
    starts: Vec<u32>,
}

impl Default for Tracer {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Tracer {
    /// A tracer that omits rings (and holes) of less than `ring_px2_min` image px²; 0 keeps all.
    ///
    /// ```
    /// # use sonotap::contour::{Outline, Tracer};
    /// # use sonotap::mask::Bitmap;
    /// let speck = Bitmap::from_values(5, 1, vec![0, 0, 1, 0, 0]).unwrap();
    /// let mut outline = Outline::default();
    /// Tracer::new(4.0).trace_bitmap(&speck, &mut outline);
    /// assert!(outline.is_empty());
    /// ```
    pub fn new(ring_px2_min: f64) -> Self {
        Self {
            ring_px2_min,
            columns: Vec::new(),
            rows: Vec::new(),
            upper: Vec::new(),
            lower: Vec::new(),
            segments: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Writes the contour of `grid` at logit 0 into `out`, replacing its content. NaN is outside.
    ///
    /// Source: marching squares (Lorensen and Cline 1987, in the plane) with the asymptotic decider of Nielson and Hamann
    /// 1991.
    ///
    /// ```
    /// # use sonotap::contour::{Outline, Tracer};
    /// # use sonotap::geometry::{ModelView, Rect};
    /// # use sonotap::mask::LogitGrid;
    /// let view = ModelView::new(Rect::new(0.0, 0.0, 8.0, 8.0), 8);
    /// let mut outline = Outline::default();
    /// Tracer::new(0.0).trace(&LogitGrid::background(8, view), &mut outline);
    /// assert!(outline.is_empty());
    /// ```
    pub fn trace(&mut self, grid: &LogitGrid, out: &mut Outline) {
        out.clear();
        let (view, cells) = (grid.view(), grid.cells());
        let (filled, crop) = (view.filled(), *view.crop());
        if cells == 0 || !(filled.width() > 0.0 && filled.height() > 0.0) {
            return;
        }
        lay_nodes(&mut self.columns, cells, grid.cell(), filled.x1);
        lay_nodes(&mut self.rows, cells, grid.cell(), filled.y1);
        let values = grid.values();
        self.link(|column, row| values[row * cells + column]);
        self.walk(out, |x, y| {
            let p = view.to_image(Point::new(x, y));
            Point::new(p.x.max(crop.x0).min(crop.x1), p.y.max(crop.y0).min(crop.y1))
        });
    }

    /// Writes the contour of `bitmap` into `out`, replacing its content. It passes half-way between the centres of
    /// inside and outside pixels, and follows the edge of the image where the mask touches it. Pixels that touch only
    /// at a corner are not joined.
    ///
    /// Each corner of the staircase is cut by 1/8 px², so the area is the pixel count minus 1/2 px² for each outer ring
    /// that does not touch the image's edge, plus 1/2 px² for each hole.
    ///
    /// ```
    /// # use sonotap::contour::{Outline, Tracer};
    /// # use sonotap::mask::Bitmap;
    /// let mut square = Bitmap::new(8, 8);
    /// (0..9).for_each(|i| square.set(2 + i % 3, 2 + i / 3, true));
    /// let mut outline = Outline::default();
    /// Tracer::new(0.0).trace_bitmap(&square, &mut outline);
    /// assert_eq!(outline.signed_area(), 8.5);
    /// ```
    pub fn trace_bitmap(&mut self, bitmap: &Bitmap, out: &mut Outline) {
        out.clear();
        let (width, height) = (bitmap.width() as usize, bitmap.height() as usize);
        if width == 0 || height == 0 {
            return;
        }
        lay_nodes(&mut self.columns, width, 1.0, width as f32);
        lay_nodes(&mut self.rows, height, 1.0, height as f32);
        let pixels = bitmap.pixels();
        self.link(|column, row| if pixels[row * width + column] != 0 { 1.0 } else { -1.0 });
        self.walk(out, Point::new);
    }

    /// Finds every segment of the contour and records, for the lattice edge where it starts, the edge where it ends.
    fn link(&mut self, value: impl Fn(usize, usize) -> f32) {
        let (w, h) = (self.columns.len(), self.rows.len());
        self.segments.resize(2 * w * h, (NOT_CROSSED, 0.0));
        self.starts.clear();
        fill_row(&mut self.upper, &self.columns, &self.rows[0], &value);
        for row in 0..h - 1 {
            fill_row(&mut self.lower, &self.columns, &self.rows[row + 1], &value);
            let mut left = corner_bits(self.upper[0], self.lower[0]);
            for column in 0..w - 1 {
                let right = corner_bits(self.upper[column + 1], self.lower[column + 1]);
                if left | right != 0 && left & right != BOTH {
                    self.link_cell(column, row, left, right);
                }
                left = right;
            }
            std::mem::swap(&mut self.upper, &mut self.lower);
        }
    }

    /// The segments of one cell. The inside is to the right of a segment (on the screen), so that outer rings turn
    /// clockwise.
    fn link_cell(&mut self, column: usize, row: usize, left: u8, right: u8) {
        let (tl, tr) = (self.upper[column], self.upper[column + 1]);
        let (bl, br) = (self.lower[column], self.lower[column + 1]);
        let top = (2 * (row * self.columns.len() + column)) as u32;
        let side = top + 1;
        let bottom = top + 2 * self.columns.len() as u32;
        let edges = [(top, cut(tl, tr)), (side + 2, cut(tr, br)), (bottom, cut(bl, br)), (side, cut(tl, bl))];
        const T: usize = 0;
        const R: usize = 1;
        const B: usize = 2;
        const L: usize = 3;
        // Bits: 1 top left, 2 top right, 4 bottom right, 8 bottom left.
        let case = (left & 1) | ((right & 1) << 1) | ((right & 2) << 1) | ((left & 2) << 2);
        let pairs: &[(usize, usize)] = match case {
            1 => &[(T, L)],
            2 => &[(R, T)],
            3 => &[(R, L)],
            4 => &[(B, R)],
            5 if tl * br > tr * bl => &[(T, R), (B, L)],
            5 => &[(T, L), (B, R)],
            6 => &[(B, T)],
            7 => &[(B, L)],
            8 => &[(L, B)],
            9 => &[(T, B)],
            10 if tr * bl > tl * br => &[(L, T), (R, B)],
            10 => &[(R, T), (L, B)],
            11 => &[(R, B)],
            12 => &[(L, R)],
            13 => &[(T, R)],
            14 => &[(L, T)],
            _ => &[],
        };
        for &(from, to) in pairs {
            let (start, t) = edges[from];
            self.segments[start as usize] = (edges[to].0, t);
            self.starts.push(start);
        }
    }

    /// Follows the segments from edge to edge until each ring closes.
    fn walk(&mut self, out: &mut Outline, place: impl Fn(f32, f32) -> Point<ImageSpace>) {
        let w = self.columns.len();
        for &start in &self.starts {
            let mut edge = start as usize;
            loop {
                let (next, t) = std::mem::replace(&mut self.segments[edge], (NOT_CROSSED, 0.0));
                if next == NOT_CROSSED {
                    break;
                }
                let (column, row) = (edge / 2 % w, edge / 2 / w);
                let (mut x, mut y) = (self.columns[column].at, self.rows[row].at);
                if edge.is_multiple_of(2) {
                    x += t * (self.columns[column + 1].at - x);
                } else {
                    y += t * (self.rows[row + 1].at - y);
                }
                let p = place(x, y);
                let ring_start = out.ends.last().copied().unwrap_or(0);
                if out.points.len() == ring_start || out.points.last() != Some(&p) {
                    out.points.push(p);
                }
                edge = next as usize;
            }
            out.close(self.ring_px2_min);
        }
    }
}

/// A line of the lattice: its position, and the two cells between which its values are interpolated; `None` beyond the
/// edge.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: f32,
    cells: Option<(usize, usize, f32)>,
}

/// Makes the lattice lines of one axis: the edge at 0, the cell centres up to `end`, the edge at `end`; and each edge a
/// second time at the same position as background, so that rings close along the edge.
fn lay_nodes(nodes: &mut Vec<Node>, cells: usize, cell: f32, end: f32) {
    nodes.clear();
    nodes.push(Node { at: 0.0, cells: None });
    nodes.push(Node { at: 0.0, cells: Some((0, 0, 0.0)) });
    let centres = (0..cells).map(|i| Node { at: (i as f32 + 0.5) * cell, cells: Some((i, i, 0.0)) });
    nodes.extend(centres.take_while(|node| node.at < end));
    let position = (end / cell - 0.5).clamp(0.0, (cells - 1) as f32);
    let below = position as usize;
    nodes.push(Node { at: end, cells: Some((below, (below + 1).min(cells - 1), position - below as f32)) });
    nodes.push(Node { at: end, cells: None });
}

/// The values along one lattice row, bilinear at the edges, -1 beyond them.
fn fill_row(out: &mut Vec<f32>, columns: &[Node], row: &Node, value: &impl Fn(usize, usize) -> f32) {
    out.clear();
    let Some((above, below, fy)) = row.cells else {
        out.resize(columns.len(), -1.0);
        return;
    };
    let along = |column: usize| {
        let v = value(column, above);
        if fy > 0.0 { v + (value(column, below) - v) * fy } else { v }
    };
    out.extend(columns.iter().map(|node| match node.cells {
        None => -1.0,
        Some((at, _, 0.0)) => along(at),
        Some((left, right, fx)) => along(left) + (along(right) - along(left)) * fx,
    }));
}

/// Both values of a lattice column's segment are inside.
const BOTH: u8 = 3;

fn corner_bits(upper: f32, lower: f32) -> u8 {
    u8::from(upper > 0.0) | (u8::from(lower > 0.0) << 1)
}

/// Position of the zero between two lattice points, 0..=1; the middle when it is undefined.
fn cut(a: f32, b: f32) -> f32 {
    let t = a / (a - b);
    if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ModelView;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    fn grid(cells: usize, crop: Rect<ImageSpace>, side: u32, f: impl Fn(Point<ImageSpace>) -> f32) -> LogitGrid {
        let mut g = LogitGrid::background(cells, ModelView::new(crop, side));
        for at in 0..cells * cells {
            let v = f(g.centre(at % cells, at / cells));
            g.values_mut()[at] = v;
        }
        g
    }

    fn traced(g: &LogitGrid) -> Outline {
        let mut out = Outline::default();
        trace(g, &mut out);
        out
    }

    fn distance_to_line(o: &Outline, p: Point<ImageSpace>) -> f32 {
        let to_edge = |(a, b): (&Point<ImageSpace>, &Point<ImageSpace>)| {
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            let t = (((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
            p.distance(Point::new(a.x + t * dx, a.y + t * dy))
        };
        o.rings().flat_map(edges).map(to_edge).fold(f32::INFINITY, f32::min)
    }

    fn disc(c: (f32, f32), r: f32) -> impl Fn(Point<ImageSpace>) -> f32 {
        move |p| r - (p.x - c.0).hypot(p.y - c.1)
    }

    #[test]
    fn disc_ellipse_and_ring_have_their_area_and_that_of_their_bitmap() {
        type Shape = Box<dyn Fn(Point<ImageSpace>) -> f32>;
        let ellipse = |p: Point<ImageSpace>| 1.0 - ((p.x - 300.0) / 180.0).hypot((p.y - 200.0) / 90.0);
        let ring = |p: Point<ImageSpace>| 40.0 - (p.distance(Point::new(320.0, 240.0)) - 120.0).abs();
        let cases: [(&str, Shape, usize, f64); 3] = [
            ("disc", Box::new(disc((310.0, 230.0), 150.0)), 1, PI * 150.0 * 150.0),
            ("ellipse", Box::new(ellipse), 1, PI * 180.0 * 90.0),
            ("ring", Box::new(ring), 2, PI * (160.0f64.powi(2) - 80.0f64.powi(2))),
        ];
        for (name, shape, rings, area) in cases {
            let g = grid(128, Rect::new(0.0, 0.0, 640.0, 480.0), 256, shape);
            let o = traced(&g);
            assert_eq!(o.rings().count(), rings, "{name}");
            let (contour, bitmap) = (o.signed_area(), g.to_bitmap(640, 480).area_px() as f64);
            assert!((contour / area - 1.0).abs() < 0.004, "{name}: contour {contour}, true {area}");
            assert!((contour / bitmap - 1.0).abs() < 0.004, "{name}: contour {contour}, bitmap {bitmap}");
        }
    }

    #[test]
    fn a_hole_is_a_negative_ring_inside_a_positive_one() {
        let g =
            grid(64, Rect::new(0.0, 0.0, 64.0, 64.0), 64, |p| 6.0 - (p.distance(Point::new(32.0, 32.0)) - 20.0).abs());
        let o = traced(&g);
        let mut areas: Vec<f64> = o.rings().map(ring_area).collect();
        areas.sort_by(f64::total_cmp);
        assert!((areas[0] + PI * 14.0 * 14.0).abs() < 3.0 && (areas[1] - PI * 26.0 * 26.0).abs() < 3.0, "{areas:?}");
        assert!(!o.contains(Point::new(32.0, 32.0)) && o.contains(Point::new(32.0, 12.0)));
    }

    #[test]
    fn a_mask_at_the_edge_closes_along_the_crop_and_not_beyond() {
        let crop = Rect::new(100.0, 50.0, 300.0, 170.0);
        let g = grid(64, crop, 256, disc((100.0, 110.0), 40.0));
        let o = traced(&g);
        let b = o.bounds().unwrap();
        assert!(b.x0 == crop.x0 && b.x1 <= crop.x1 && b.y0 >= crop.y0 && b.y1 <= crop.y1, "{b:?}");
        assert!((o.signed_area() - PI * 800.0).abs() < 15.0, "{}", o.signed_area());
        let pixels = g.to_bitmap(400, 300).area_px() as f64;
        assert!((o.signed_area() - pixels).abs() < 25.0, "{} {pixels}", o.signed_area());

        let full = traced(&grid(64, crop, 256, |_| 2.0));
        assert_eq!(full.signed_area(), 200.0 * 120.0);
        assert_eq!(full.bounds(), Some(crop));
    }

    #[test]
    fn saddle_cells_join_as_the_bilinear_surface_does() {
        let view = ModelView::new(Rect::new(0.0, 0.0, 2.0, 2.0), 2);
        for (a, b, joined) in [(3.0, 3.0, true), (0.5, 0.5, false), (4.0, 0.5, true), (4.0, 0.2, false)] {
            for values in [[a, -1.0, -1.0, b], [-1.0, a, b, -1.0]] {
                let g = LogitGrid::from_values(2, view, values.to_vec()).unwrap();
                // At the saddle of the surface the bilinear terms in x and in y vanish.
                let [tl, tr, bl, br] = values;
                let twist = tl + br - tr - bl;
                let saddle = Point::new(0.5 + (tl - bl) / twist, 0.5 + (tl - tr) / twist);
                assert_eq!(g.sample(saddle) > 0.0, joined, "{values:?} at {saddle:?}");
                assert_eq!(traced(&g).rings().count(), if joined { 1 } else { 2 }, "{values:?}");
                assert_eq!(traced(&g).contains(saddle), joined, "{values:?} at {saddle:?}");
            }
        }
    }

    #[test]
    fn values_that_are_no_numbers_give_finite_rings() {
        let mut g = grid(16, Rect::new(0.0, 0.0, 16.0, 16.0), 16, disc((8.0, 8.0), 5.0));
        for (at, v) in [(100, f32::NAN), (120, f32::INFINITY), (121, f32::NEG_INFINITY), (136, f32::INFINITY)] {
            g.values_mut()[at] = v;
        }
        let o = traced(&g);
        assert!(!o.is_empty() && o.points().iter().all(|p| p.is_finite()), "{o:?}");
    }

    #[test]
    fn a_smaller_grid_after_a_larger_one_leaves_nothing_behind() {
        let mut tracer = Tracer::new(0.0);
        let mut out = Outline::default();
        let large = grid(96, Rect::new(0.0, 0.0, 96.0, 96.0), 96, disc((40.0, 40.0), 30.0));
        let small = grid(24, Rect::new(0.0, 0.0, 96.0, 60.0), 96, disc((40.0, 40.0), 15.0));
        for g in [&large, &small, &large, &small] {
            tracer.trace(g, &mut out);
            assert_eq!(out, traced(g));
            assert!(tracer.segments.iter().all(|s| s.0 == NOT_CROSSED));
        }
    }

    #[test]
    fn bitmap_contour_has_the_pixel_count_less_half_a_pixel_a_ring() {
        let mut disc = Bitmap::new(60, 50);
        let mut cornered = Bitmap::new(60, 50);
        for (x, y) in (0..50).flat_map(|y| (0..60).map(move |x| (x, y))) {
            let d = (f64::from(x) - 29.5).hypot(f64::from(y) - 24.5);
            disc.set(x, y, (8.0..20.0).contains(&d));
            cornered.set(x, y, x < 7 && y < 5);
        }
        let mut o = Outline::default();
        trace_bitmap(&disc, &mut o);
        assert_eq!(o.rings().count(), 2);
        assert_eq!(o.signed_area(), disc.area_px() as f64);
        trace_bitmap(&cornered, &mut o);
        assert_eq!(o.bounds(), Some(Rect::new(0.0, 0.0, 7.0, 5.0)));
        assert_eq!(o.signed_area(), 35.0 - 0.125);
    }

    fn random_grid() -> impl Strategy<Value = LogitGrid> {
        let crop = (0.0f32..40.0, 0.0f32..40.0, 24.0f32..200.0, 24.0f32..200.0);
        (4usize..24, crop, prop::collection::vec(-4.0f32..4.0, 24 * 24)).prop_map(|(cells, (x, y, w, h), values)| {
            let view = ModelView::new(Rect::new(x, y, x + w, y + h), 128);
            LogitGrid::from_values(cells, view, values[..cells * cells].to_vec()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn rings_stay_in_the_crop_and_their_area_is_that_of_the_bitmap(g in random_grid()) {
            let o = traced(&g);
            let crop = g.view().crop();
            for ring in o.rings() {
                prop_assert!(ring.len() >= 3);
                prop_assert!(edges(ring).all(|(a, b)| a != b));
            }
            for p in o.points() {
                prop_assert!(p.x >= crop.x0 && p.x <= crop.x1 && p.y >= crop.y0 && p.y <= crop.y1, "{p:?} {crop:?}");
            }
            let pixels = g.to_bitmap(260, 260).area_px() as f64;
            let perimeter: f64 = o.rings().flat_map(edges).map(|(a, b)| f64::from(a.distance(*b))).sum();
            // Within a cell the bilinear surface changes sign along a monotone arc: between it and its chord lies at most half
            // of the chord's bounding box. The bitmap counts pixels by their centres: half a pixel along an edge.
            let arcs: f64 = o.rings().flat_map(edges).map(|(a, b)| f64::from(((a.x - b.x) * (a.y - b.y)).abs()) / 2.0).sum();
            prop_assert!((o.signed_area() - pixels).abs() <= arcs + perimeter * 0.5 + 1.0,
                "contour {} bitmap {pixels} perimeter {perimeter} arcs {arcs}", o.signed_area());
        }

        #[test]
        fn area_of_a_shape_of_some_cells_is_that_of_the_bitmap_within_a_hundredth(
            (a, b, cells) in (0.15f32..0.42, 0.15f32..0.42, 24usize..64), (dx, dy) in (-0.05f32..0.05, -0.05f32..0.05),
        ) {
            let view = ModelView::new(Rect::new(0.0, 0.0, 240.0, 240.0), 128);
            let at = |i: usize| ((i as f32 + 0.5) / cells as f32) - 0.5;
            let inside = |x: f32, y: f32| 1.0 - ((x - dx) / a).hypot((y - dy) / b);
            let values = (0..cells * cells).map(|i| inside(at(i % cells), at(i / cells))).collect();
            let grid = LogitGrid::from_values(cells, view, values).unwrap();
            let (area, pixels) = (traced(&grid).signed_area(), grid.to_bitmap(240, 240).area_px() as f64);
            prop_assert!((area - pixels).abs() <= 0.01 * pixels, "contour {area} bitmap {pixels}");
        }

        #[test]
        fn contains_is_the_sign_of_the_logits_away_from_the_line(g in random_grid(), u in 0.0f32..1.0, v in 0.0f32..1.0) {
            let o = traced(&g);
            let crop = g.view().crop();
            let p = Point::new(crop.x0 + u * crop.width(), crop.y0 + v * crop.height());
            let cell = g.cell() / g.view().converter().scale();
            if crop.contains(p) && distance_to_line(&o, p) > 0.5 * cell {
                prop_assert_eq!(o.contains(p), g.sample(p) > 0.0);
            }
            prop_assert!(!o.contains(Point::new(crop.x0 - 0.1, p.y)) && !o.contains(Point::new(p.x, crop.y1 + 0.1)));
        }

        #[test]
        fn bitmap_contour_contains_the_centres_of_its_pixels(values in prop::collection::vec(0u8..2, 12 * 9)) {
            let b = Bitmap::from_values(12, 9, values).unwrap();
            let mut o = Outline::default();
            trace_bitmap(&b, &mut o);
            for (x, y) in (0..9).flat_map(|y| (0..12).map(move |x| (x, y))) {
                let centre = Point::new(x as f32 + 0.5, y as f32 + 0.5);
                prop_assert_eq!(o.contains(centre), b.get(x, y));
            }
            let perimeter: f64 = o.rings().flat_map(edges).map(|(a, b)| f64::from(a.distance(*b))).sum();
            prop_assert!((o.signed_area() - b.area_px() as f64).abs() <= 0.25 * perimeter);
        }
    }
}
