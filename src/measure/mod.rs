//! Measurements of an outline: area, perimeter, ellipse axes and circumference, longest diameter and the extent
//! perpendicular to it. Volumes from two planes are in [`volume`], those of the left ventricle in [`discs`], the median of
//! several frames in [`series`].
//!
//! Everything is in image px. There are millimetres only with a [`PixelScale`], together with the scale's source; they
//! are measured on the outline in mm, so they hold for non-square pixels too.
//!
//! ```
//! use sonotap::contour::Outline;
//! use sonotap::frame::{PixelScale, ScaleSource};
//! use sonotap::geometry::Point;
//! use sonotap::measure::measure;
//! use sonotap::units::Millimetres;
//! let mut outline = Outline::default();
//! outline.push_ring([(0.0, 0.0), (40.0, 0.0), (40.0, 30.0), (0.0, 30.0)].map(|(x, y)| Point::new(x, y)));
//! let scale = PixelScale::new(Millimetres(0.5), Millimetres(0.5), ScaleSource::Profile);
//! let m = measure(&outline, scale.as_ref()).unwrap();
//! assert_eq!((m.area_px, m.perimeter_px, m.longest_px), (1200.0, 140.0, 50.0));
//! assert_eq!(m.metric.unwrap().longest, Millimetres(25.0));
//! ```

pub mod discs;
pub mod series;
pub mod volume;

use std::cell::RefCell;
use std::f64::consts::PI;

use crate::contour::Outline;
use crate::frame::{PixelScale, ScaleSource};
use crate::geometry::length_f64;
use crate::units::{Millimetres, SquareMillimetres};

/// Measurements of an outline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurements {
    /// Area: outer rings minus their holes, px².
    pub area_px: f64,
    /// Length of the outer rings, px.
    pub perimeter_px: f64,
    /// Full major and minor axis of the ellipse with the same second moments, px.
    pub ellipse_axes_px: (f64, f64),
    /// Mean distance of the outer rings from that ellipse, as a share of its radius there: 0 for an ellipse.
    pub ellipse_fit: f64,
    /// Distance of the two points farthest apart, px.
    pub longest_px: f64,
    /// Full extent perpendicular to the longest diameter, px.
    pub perpendicular_px: f64,
    /// The same in millimetres; `None` without a scale.
    pub metric: Option<MetricMeasurements>,
}

/// Measurements of an outline in millimetres, with the source of the scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricMeasurements {
    /// Area: outer rings minus their holes.
    pub area: SquareMillimetres,
    /// Length of the outer rings.
    pub perimeter: Millimetres,
    /// Full major and minor axis of the ellipse with the same second moments.
    pub ellipse_axes: (Millimetres, Millimetres),
    /// Distance of the two points farthest apart.
    pub longest: Millimetres,
    /// Full extent perpendicular to the longest diameter.
    pub perpendicular: Millimetres,
    /// Source of the scale, to be shown with every value in millimetres.
    pub source: ScaleSource,
    /// Error of the scale as a share of it, where somebody knows: once in a length, twice in an area.
    pub scale_error: Option<f64>,
}

/// Largest [`Measurements::ellipse_fit`] of an outline that is called an ellipse.
pub const ELLIPSE_FIT_MAX: f64 = 0.05;

impl Measurements {
    /// Whether the outline is near enough to its ellipse to be measured by it.
    pub fn is_elliptic(&self) -> bool {
        self.ellipse_fit <= ELLIPSE_FIT_MAX
    }

    /// Circumference of the ellipse with the same second moments, px; `None` where the outline is no ellipse. It does not
    /// grow with the outline's roughness, which its perimeter does.
    pub fn circumference_px(&self) -> Option<f64> {
        self.is_elliptic().then(|| ellipse_circumference(self.ellipse_axes_px.0, self.ellipse_axes_px.1))
    }

    /// The same in millimetres; `None` without a scale too.
    pub fn circumference(&self) -> Option<Millimetres> {
        let (major, minor) = self.metric.filter(|_| self.is_elliptic())?.ellipse_axes;
        Some(Millimetres(ellipse_circumference(major.0, minor.0)))
    }
}

impl MetricMeasurements {
    /// Mean of the longest diameter and the extent perpendicular to it.
    pub fn mean_diameter(&self) -> Millimetres {
        Millimetres((self.longest.0 + self.perpendicular.0) / 2.0)
    }
}

/// Circumference of an ellipse from its full axes, within 4e-5 also where it is flat.
///
/// Source: Ramanujan 1914, the second of his approximations.
///
/// ```
/// use sonotap::measure::ellipse_circumference;
/// assert!((ellipse_circumference(2.0, 2.0) - std::f64::consts::TAU).abs() < 1e-12);
/// assert!((ellipse_circumference(4.0, 0.0) / 8.0 - 1.0).abs() < 5e-4);
/// ```
pub fn ellipse_circumference(major: f64, minor: f64) -> f64 {
    let sum = major + minor;
    if sum <= 0.0 {
        return 0.0;
    }
    let h = ((major - minor) / sum) * ((major - minor) / sum);
    PI / 2.0 * sum * (1.0 + 3.0 * h / (10.0 + (4.0 - 3.0 * h).sqrt()))
}

/// Measures an outline, as [`Measurer::measure`].
///
/// Each thread keeps one measurer, so that nothing is allocated after the first calls.
///
/// ```
/// use sonotap::contour::Outline;
/// use sonotap::measure::measure;
/// assert_eq!(measure(&Outline::default(), None), None);
/// ```
pub fn measure(outline: &Outline, scale: Option<&PixelScale>) -> Option<Measurements> {
    thread_local! {
        static MEASURER: RefCell<Measurer> = RefCell::new(Measurer::default());
    }
    MEASURER.with_borrow_mut(|measurer| measurer.measure(outline, scale))
}

/// Measures outlines, reusing its working buffers. Cost: O(n log n) in the number of points.
#[derive(Clone, Debug, Default)]
pub struct Measurer {
    sorted: Vec<(f64, f64)>,
    hull: Vec<(f64, f64)>,
}

impl Measurer {
    /// Measures all rings of `outline` together; `None` when it is empty, encloses nothing or is not finite.
    ///
    /// ```
    /// # use sonotap::contour::Outline;
    /// # use sonotap::geometry::Point;
    /// # use sonotap::measure::Measurer;
    /// let mut outline = Outline::default();
    /// outline.push_ring([(0.0, 0.0), (4.0, 0.0), (0.0, 3.0)].map(|(x, y)| Point::new(x, y)));
    /// let m = Measurer::default().measure(&outline, None).unwrap();
    /// assert_eq!((m.area_px, m.longest_px, m.metric), (6.0, 5.0, None));
    /// assert!((m.perpendicular_px - 2.4).abs() < 1e-12);
    /// ```
    pub fn measure(&mut self, outline: &Outline, scale: Option<&PixelScale>) -> Option<Measurements> {
        let px = self.lengths(outline, 1.0, 1.0)?;
        let metric = scale.and_then(|scale| {
            let (x, y) = scale.mm_per_px();
            let mm = self.lengths(outline, f64::from(x), f64::from(y))?;
            Some(MetricMeasurements {
                area: SquareMillimetres(mm.area),
                perimeter: Millimetres(mm.perimeter),
                ellipse_axes: (Millimetres(mm.axes.0), Millimetres(mm.axes.1)),
                longest: Millimetres(mm.longest),
                perpendicular: Millimetres(mm.perpendicular),
                source: scale.source(),
                scale_error: scale.relative_error().map(f64::from),
            })
        });
        Some(Measurements {
            area_px: px.area,
            perimeter_px: px.perimeter,
            ellipse_axes_px: px.axes,
            ellipse_fit: px.fit,
            longest_px: px.longest,
            perpendicular_px: px.perpendicular,
            metric,
        })
    }

    fn lengths(&mut self, outline: &Outline, sx: f64, sy: f64) -> Option<Lengths> {
        let first = outline.points().first()?;
        let origin = (f64::from(first.x) * sx, f64::from(first.y) * sy);
        self.sorted.clear();
        let local = |x: f32, y: f32| (f64::from(x) * sx - origin.0, f64::from(y) * sy - origin.1);
        self.sorted.extend(outline.points().iter().map(|p| local(p.x, p.y)));

        let mut moments = Moments::default();
        let mut perimeter = 0.0;
        let mut start = 0;
        for ring in outline.rings() {
            let ring = &self.sorted[start..start + ring.len()];
            start += ring.len();
            let of_ring = Moments::of(ring);
            if of_ring.area > 0.0 {
                perimeter += edges(ring).map(|(a, b)| length_f64(b.0 - a.0, b.1 - a.1)).sum::<f64>();
            }
            moments.add(&of_ring);
        }
        if !(moments.area > 0.0 && moments.area.is_finite() && perimeter.is_finite()) {
            return None;
        }
        let fit = self.distance_from_ellipse(outline, &moments);
        self.wrap_hull();
        let (longest, perpendicular) = diameters(&self.hull);
        Some(Lengths { area: moments.area, perimeter, axes: moments.axes(), fit, longest, perpendicular })
    }

    /// Mean over the length of the outer rings of the distance from the ellipse of equal moments, in radii. `sorted` still has
    /// the rings in their order.
    fn distance_from_ellipse(&self, outline: &Outline, moments: &Moments) -> f64 {
        let (mut sum, mut length, mut start) = (0.0, 0.0, 0);
        for ring in outline.rings() {
            let ring = &self.sorted[start..start + ring.len()];
            start += ring.len();
            if Moments::of(ring).area <= 0.0 {
                continue;
            }
            for (a, b) in edges(ring) {
                let edge = length_f64(b.0 - a.0, b.1 - a.1);
                let middle = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
                sum += edge * (moments.radius_at(middle) - 1.0).abs();
                length += edge;
            }
        }
        if length > 0.0 { sum / length } else { 0.0 }
    }

    /// Sorts `sorted` and puts its strictly convex hull into `hull`.
    ///
    /// Source: Andrew 1979, the monotone chain.
    fn wrap_hull(&mut self) {
        self.sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        self.sorted.dedup();
        self.hull.clear();
        let n = self.sorted.len();
        let there_and_back = (0..n).chain((0..n.saturating_sub(1)).rev());
        let mut floor = 1;
        for (step, i) in there_and_back.enumerate() {
            if step == n {
                floor = self.hull.len();
            }
            let p = self.sorted[i];
            while self.hull.len() > floor
                && turn(self.hull[self.hull.len() - 2], self.hull[self.hull.len() - 1], p) <= 0.0
            {
                self.hull.pop();
            }
            self.hull.push(p);
        }
        if self.hull.len() > 1 {
            self.hull.pop();
        }
    }
}

/// Lengths in one unit.
struct Lengths {
    area: f64,
    perimeter: f64,
    axes: (f64, f64),
    fit: f64,
    longest: f64,
    perpendicular: f64,
}

/// Area, first and second moments about the origin.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    area: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Moments {
    /// Of a polygon, by Green's theorem.
    fn of(ring: &[(f64, f64)]) -> Self {
        let mut m = Self::default();
        for (&(ax, ay), &(bx, by)) in edges(ring) {
            let c = ax * by - bx * ay;
            m.area += c / 2.0;
            m.x += (ax + bx) * c / 6.0;
            m.y += (ay + by) * c / 6.0;
            m.xx += (ax * ax + ax * bx + bx * bx) * c / 12.0;
            m.yy += (ay * ay + ay * by + by * by) * c / 12.0;
            m.xy += (ax * by + 2.0 * ax * ay + 2.0 * bx * by + bx * ay) * c / 24.0;
        }
        m
    }

    fn add(&mut self, o: &Self) {
        self.area += o.area;
        self.x += o.x;
        self.y += o.y;
        self.xx += o.xx;
        self.xy += o.xy;
        self.yy += o.yy;
    }

    /// Centre, and the second moments about it: xx, xy, yy.
    fn central(&self) -> ((f64, f64), (f64, f64, f64)) {
        let (cx, cy) = (self.x / self.area, self.y / self.area);
        let xx = self.xx / self.area - cx * cx;
        let yy = self.yy / self.area - cy * cy;
        ((cx, cy), (xx, self.xy / self.area - cx * cy, yy))
    }

    /// Distance of a point from the centre in radii of the ellipse; 1 on it.
    fn radius_at(&self, p: (f64, f64)) -> f64 {
        let ((cx, cy), (xx, xy, yy)) = self.central();
        let (dx, dy) = (p.0 - cx, p.1 - cy);
        let determinant = xx * yy - xy * xy;
        if determinant <= 0.0 {
            return f64::INFINITY;
        }
        ((yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant).max(0.0).sqrt() / 2.0
    }

    /// Full axes, major first: an ellipse of full axis d has the variance (d / 4)² along it.
    fn axes(&self) -> (f64, f64) {
        let (_, (xx, xy, yy)) = self.central();
        let mean = (xx + yy) / 2.0;
        let spread = length_f64((xx - yy) / 2.0, xy);
        (4.0 * (mean + spread).max(0.0).sqrt(), 4.0 * (mean - spread).max(0.0).sqrt())
    }
}

/// The longest diameter of a strictly convex polygon and the extent perpendicular to it.
///
/// Source: Shamos 1978, rotating calipers.
fn diameters(hull: &[(f64, f64)]) -> (f64, f64) {
    let n = hull.len();
    let distance = |i: usize, k: usize| length_f64(hull[i].0 - hull[k].0, hull[i].1 - hull[k].1);
    let (mut longest, mut ends) = (0.0, (0, 0));
    let mut far = 1 % n.max(1);
    for i in 0..n {
        let next = (i + 1) % n;
        let mut steps = 0;
        loop {
            for (a, b) in [(i, far), (next, far)] {
                if distance(a, b) > longest {
                    (longest, ends) = (distance(a, b), (a, b));
                }
            }
            let farther = (far + 1) % n;
            if steps > n || turn(hull[i], hull[next], hull[farther]) < turn(hull[i], hull[next], hull[far]) {
                break;
            }
            far = farther;
            steps += 1;
        }
    }
    if longest == 0.0 {
        return (0.0, 0.0);
    }
    let (a, b) = (hull[ends.0], hull[ends.1]);
    let across = (-(b.1 - a.1) / longest, (b.0 - a.0) / longest);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for p in hull {
        let d = (p.0 - a.0) * across.0 + (p.1 - a.1) * across.1;
        (low, high) = (low.min(d), high.max(d));
    }
    (longest, high - low)
}

/// Twice the area of the triangle, positive when a, b, c turn in the sense of outer rings.
fn turn(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (c.0 - a.0) * (b.1 - a.1)
}

fn edges(ring: &[(f64, f64)]) -> impl Iterator<Item = (&(f64, f64), &(f64, f64))> {
    ring.iter().zip(ring.iter().cycle().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contour::trace;
    use crate::geometry::{ImageSpace, ModelView, Point, Rect};
    use crate::mask::LogitGrid;
    use proptest::prelude::*;
    use std::f64::consts::TAU;

    fn outline(points: impl IntoIterator<Item = (f64, f64)>) -> Outline {
        let mut o = Outline::default();
        o.push_ring(points.into_iter().map(|(x, y)| Point::new(x as f32, y as f32)));
        o
    }

    fn ellipse(a: f64, b: f64, tilt: f64, n: usize) -> Outline {
        outline((0..n).map(move |i| {
            let (s, c) = (TAU * i as f64 / n as f64).sin_cos();
            let (x, y) = (a * c, b * s);
            (400.0 + x * tilt.cos() - y * tilt.sin(), 300.0 + x * tilt.sin() + y * tilt.cos())
        }))
    }

    fn ramanujan(a: f64, b: f64) -> f64 {
        let h = ((a - b) / (a + b)).powi(2);
        PI * (a + b) * (1.0 + 3.0 * h / (10.0 + (4.0 - 3.0 * h).sqrt()))
    }

    fn assert_close(name: &str, got: f64, want: f64, relative: f64) {
        assert!((got / want - 1.0).abs() <= relative, "{name}: got {got}, want {want}");
    }

    fn assert_ellipse(m: &Measurements, a: f64, b: f64, relative: f64) {
        assert_close("area", m.area_px, PI * a * b, relative);
        assert_close("perimeter", m.perimeter_px, ramanujan(a, b), relative);
        assert_close("major", m.ellipse_axes_px.0, 2.0 * a, relative);
        assert_close("minor", m.ellipse_axes_px.1, 2.0 * b, relative);
        assert_close("longest", m.longest_px, 2.0 * a, relative);
        assert_close("perpendicular", m.perpendicular_px, 2.0 * b, relative.max(0.005));
    }

    #[test]
    fn an_ellipse_measures_what_its_formulas_say() {
        for (a, b, tilt) in [(120.0, 60.0, 0.0), (200.0, 190.0, 0.7), (90.0, 12.0, 2.1), (30.0, 29.0, 1.0)] {
            assert_ellipse(&measure(&ellipse(a, b, tilt, 720), None).unwrap(), a, b, 2e-4);
        }
    }

    #[test]
    fn a_circumference_is_that_of_the_ellipse_and_only_of_an_ellipse() {
        for (a, b, tilt) in [(120.0, 60.0, 0.0), (200.0, 190.0, 0.7), (90.0, 30.0, 2.1)] {
            let m = measure(&ellipse(a, b, tilt, 720), None).unwrap();
            assert!(m.ellipse_fit < 1e-3, "{}", m.ellipse_fit);
            assert_close("circumference", m.circumference_px().unwrap(), ramanujan(a, b), 2e-4);
            // A rough outline is longer by its roughness; the ellipse is not.
            let rough = outline((0..720).map(|i| {
                let (s, c) = (TAU * f64::from(i) / 720.0).sin_cos();
                let k = 1.0 + if i % 2 == 0 { 0.01 } else { -0.01 };
                (400.0 + k * a * c, 300.0 + k * b * s)
            }));
            let m = measure(&rough, None).unwrap();
            assert!(m.perimeter_px > 1.05 * ramanujan(a, b), "{}", m.perimeter_px);
            assert_close("of a rough one", m.circumference_px().unwrap(), ramanujan(a, b), 1e-3);
        }
        let square = measure(&outline([(0.0, 0.0), (90.0, 0.0), (90.0, 90.0), (0.0, 90.0)]), None).unwrap();
        assert!(square.ellipse_fit > ELLIPSE_FIT_MAX && square.circumference_px().is_none(), "{square:?}");
        let mm = PixelScale::new(Millimetres(0.5), Millimetres(0.5), ScaleSource::TwoPoint).unwrap().with_error(0.02);
        let m = measure(&ellipse(40.0, 40.0, 0.0, 720), Some(&mm)).unwrap();
        assert_close("mm", m.circumference().unwrap().0, TAU * 20.0, 2e-4);
        assert_close("mean diameter", m.metric.unwrap().mean_diameter().0, 40.0, 2e-4);
        assert!((m.metric.unwrap().scale_error.unwrap() - 0.02).abs() < 1e-6);
    }

    #[test]
    fn a_traced_ellipse_measures_what_its_formulas_say() {
        let mut grid = LogitGrid::background(128, ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256));
        for at in 0..128 * 128 {
            let p = grid.centre(at % 128, at / 128);
            grid.values_mut()[at] = 1.0 - ((p.x - 320.0) / 150.0).hypot((p.y - 240.0) / 80.0);
        }
        let mut o = Outline::default();
        trace(&grid, &mut o);
        assert_ellipse(&measure(&o, None).unwrap(), 150.0, 80.0, 0.005);
    }

    #[test]
    fn pixels_that_are_not_square_are_measured_in_millimetres() {
        let (mm_x, mm_y) = (0.1f32, 0.25f32);
        let scale =
            PixelScale::new(Millimetres(mm_x.into()), Millimetres(mm_y.into()), ScaleSource::DicomRegion).unwrap();
        let circle_mm = 20.0;
        let (rx, ry) = (circle_mm / f64::from(mm_x), circle_mm / f64::from(mm_y));
        let mm = measure(&ellipse(rx, ry, 0.0, 720), Some(&scale)).unwrap().metric.unwrap();
        assert_close("area", mm.area.0, PI * circle_mm * circle_mm, 2e-4);
        assert_close("perimeter", mm.perimeter.0, TAU * circle_mm, 2e-4);
        assert_close("major", mm.ellipse_axes.0.0, 2.0 * circle_mm, 2e-4);
        assert_close("minor", mm.ellipse_axes.1.0, 2.0 * circle_mm, 2e-4);
        assert_close("longest", mm.longest.0, 2.0 * circle_mm, 2e-4);
        assert_close("perpendicular", mm.perpendicular.0, 2.0 * circle_mm, 2e-4);
        assert_eq!(mm.source, ScaleSource::DicomRegion);
    }

    #[test]
    fn the_longest_diameter_in_millimetres_need_not_be_the_longest_in_pixels() {
        let cross = [
            (0.0, 50.0),
            (45.0, 45.0),
            (50.0, 0.0),
            (55.0, 45.0),
            (100.0, 50.0),
            (55.0, 55.0),
            (50.0, 90.0),
            (45.0, 55.0),
        ];
        let scale = PixelScale::new(Millimetres(0.125), Millimetres(0.5), ScaleSource::Phantom);
        let m = measure(&outline(cross), scale.as_ref()).unwrap();
        assert_eq!((m.longest_px, m.metric.unwrap().longest), (100.0, Millimetres(45.0)));
        assert_eq!(m.metric.unwrap().perpendicular, Millimetres(12.5));
    }

    #[test]
    fn without_a_scale_there_are_no_millimetres() {
        assert_eq!(measure(&ellipse(20.0, 10.0, 0.3, 64), None).unwrap().metric, None);
    }

    #[test]
    fn what_encloses_nothing_measures_nothing() {
        let line = [(0.0, 0.0), (10.0, 5.0), (20.0, 10.0)];
        let hole_only = [(0.0, 0.0), (0.0, 9.0), (9.0, 9.0), (9.0, 0.0)];
        let unbounded = [(0.0, 0.0), (9.0, 0.0), (f64::INFINITY, 9.0)];
        let no_number = [(0.0, 0.0), (9.0, 0.0), (f64::NAN, 9.0)];
        for points in [&line[..], &hole_only, &unbounded, &no_number] {
            assert_eq!(measure(&outline(points.iter().copied()), None), None, "{points:?}");
        }
    }

    #[test]
    fn a_hole_lowers_the_area_and_not_the_perimeter() {
        let mut o = outline([(0.0, 0.0), (30.0, 0.0), (30.0, 30.0), (0.0, 30.0)]);
        let full = measure(&o, None).unwrap();
        o.push_ring(
            [(10.0, 10.0), (10.0, 20.0), (20.0, 20.0), (20.0, 10.0)].map(|(x, y)| Point::<ImageSpace>::new(x, y)),
        );
        let holed = measure(&o, None).unwrap();
        assert_eq!((holed.area_px, holed.perimeter_px), (full.area_px - 100.0, full.perimeter_px));
        // (30⁴ - 10⁴) / 12 over 800 px².
        assert_close("axes", holed.ellipse_axes_px.0, 4.0 * (800_000.0f64 / 12.0 / 800.0).sqrt(), 1e-12);
    }

    fn brute_longest(o: &Outline) -> f64 {
        let p = o.points();
        let pairs = p.iter().flat_map(|a| p.iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| length_f64(f64::from(a.x - b.x), f64::from(a.y - b.y))).fold(0.0, f64::max)
    }

    fn star() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec(5.0f64..80.0, 3..60).prop_map(|radii| {
            let n = radii.len() as f64;
            radii
                .iter()
                .enumerate()
                .map(|(i, r)| (r * (TAU * i as f64 / n).cos(), r * (TAU * i as f64 / n).sin()))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn calipers_find_what_brute_force_finds(points in star()) {
            let o = outline(points);
            let m = measure(&o, None).unwrap();
            prop_assert!((m.longest_px - brute_longest(&o)).abs() < 1e-4);
            prop_assert!(m.perpendicular_px <= m.longest_px + 1e-9);
        }

        #[test]
        fn calipers_survive_points_on_a_lattice(cells in prop::collection::vec((0u8..6, 0u8..6), 1..40)) {
            let mut measurer = Measurer::default();
            measurer.sorted.extend(cells.iter().map(|&(x, y)| (f64::from(x), f64::from(y))));
            let all = measurer.sorted.clone();
            measurer.wrap_hull();
            let brute = all.iter().flat_map(|a| all.iter().map(move |b| length_f64(a.0 - b.0, a.1 - b.1))).fold(0.0, f64::max);
            prop_assert_eq!(diameters(&measurer.hull).0, brute);
        }

        #[test]
        fn a_turn_and_a_shift_change_nothing(points in star(), angle in 0.0f64..TAU, dx in 0.0f64..900.0, dy in 0.0f64..700.0) {
            let turned = points.iter().map(|&(x, y)| {
                (dx + x * angle.cos() - y * angle.sin(), dy + x * angle.sin() + y * angle.cos())
            });
            let (a, b) = (measure(&outline(points.clone()), None).unwrap(), measure(&outline(turned), None).unwrap());
            prop_assert!((a.area_px - b.area_px).abs() < 0.2, "{a:?} {b:?}");
            prop_assert!((a.perimeter_px - b.perimeter_px).abs() < 0.02, "{a:?} {b:?}");
            prop_assert!((a.ellipse_axes_px.0 - b.ellipse_axes_px.0).abs() < 0.02, "{a:?} {b:?}");
            prop_assert!((a.longest_px - b.longest_px).abs() < 0.002, "{a:?} {b:?}");
        }
    }
}
