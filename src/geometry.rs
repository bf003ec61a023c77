//! Points and rectangles in three spaces, and the only converter between them.
//!
//! | space | unit | what |
//! |---|---|---|
//! | [`ImageSpace`] | image px | the frame as captured |
//! | [`ModelSpace`] | model px, 0..side | what the encoder sees: a crop of the image, longest side scaled to `side`, padded right and bottom |
//! | [`DisplaySpace`] | display px | the screen: the image region scaled to fit, centred, mirrored where the profile says so |
//!
//! In all of them x points right, y down, and coordinates are continuous: pixel (i, j) covers [i, i+1) x [j, j+1) and
//! its centre is at (i + 0.5, j + 0.5). So every conversion is a scale and a shift, with no half-pixel terms.
//!
//! ```
//! use sonotap::geometry::{ModelView, Point, Rect};
//! let view = ModelView::new(Rect::new(0.0, 0.0, 640.0, 480.0), 256);
//! let p = view.to_model(Point::new(320.0, 240.0));
//! assert_eq!((p.x, p.y), (128.0, 96.0));
//! ```

use std::fmt;
use std::marker::PhantomData;

/// The space of the captured frame, in image px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSpace {}
/// The space of the encoder's input, in model px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelSpace {}
/// The space of the screen, in display px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplaySpace {}

/// A point of space `S`.
pub struct Point<S> {
    /// To the right, px of `S`.
    pub x: f32,
    /// Downwards, px of `S`.
    pub y: f32,
    space: PhantomData<S>,
}

impl<S> Point<S> {
    /// The point (x, y).
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y, space: PhantomData }
    }

    /// Euclidean distance, px of `S`.
    pub fn distance(self, o: Self) -> f32 {
        length(self.x - o.x, self.y - o.y)
    }

    /// Whether both coordinates are finite numbers.
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite()
    }
}

impl<S> Clone for Point<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for Point<S> {}
impl<S> PartialEq for Point<S> {
    fn eq(&self, o: &Self) -> bool {
        self.x == o.x && self.y == o.y
    }
}
impl<S> Default for Point<S> {
    fn default() -> Self {
        Self::new(0.0, 0.0)
    }
}
impl<S> fmt::Debug for Point<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.x, self.y)
    }
}

/// Length of the vector (x, y).
///
/// A square root rounds correctly on every processor, so this is the same number everywhere, within one unit in the last place; that of
/// `hypot` is what the platform's libm makes of it. Its price: beyond 1.8e19 it is infinite, and below 1e-19 it loses digits.
///
/// ```
/// assert_eq!(sonotap::geometry::length(3.0, -4.0), 5.0);
/// ```
#[inline]
pub fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// As [`length`], in f64; its range is 1e-154 to 1e154.
///
/// ```
/// assert_eq!(sonotap::geometry::length_f64(-0.5, 1.2), 1.3);
/// ```
#[inline]
pub fn length_f64(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// An axis-parallel rectangle of space `S`, half-open: x0 <= x < x1, y0 <= y < y1.
pub struct Rect<S> {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge, outside.
    pub x1: f32,
    /// Bottom edge, outside.
    pub y1: f32,
    space: PhantomData<S>,
}

impl<S> Rect<S> {
    /// The rectangle between two edges each; swapped edges are put in order.
    pub fn new(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self { x0: x0.min(x1), y0: y0.min(y1), x1: x0.max(x1), y1: y0.max(y1), space: PhantomData }
    }

    /// The smallest rectangle that holds both points.
    pub fn between(a: Point<S>, b: Point<S>) -> Self {
        Self::new(a.x, a.y, b.x, b.y)
    }

    /// x1 - x0.
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    /// y1 - y0.
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    /// The middle.
    pub fn centre(&self) -> Point<S> {
        Point::new((self.x0 + self.x1) / 2.0, (self.y0 + self.y1) / 2.0)
    }

    /// Top left corner.
    pub fn min(&self) -> Point<S> {
        Point::new(self.x0, self.y0)
    }

    /// Bottom right corner.
    pub fn max(&self) -> Point<S> {
        Point::new(self.x1, self.y1)
    }

    /// Whether the point lies inside (half-open; false for NaN).
    pub fn contains(&self, p: Point<S>) -> bool {
        p.x >= self.x0 && p.x < self.x1 && p.y >= self.y0 && p.y < self.y1
    }

    /// The nearest point of the closed rectangle.
    pub fn clamp(&self, p: Point<S>) -> Point<S> {
        Point::new(p.x.clamp(self.x0, self.x1), p.y.clamp(self.y0, self.y1))
    }

    /// The smallest rectangle that holds both.
    pub fn union(&self, o: &Self) -> Self {
        Self::new(self.x0.min(o.x0), self.y0.min(o.y0), self.x1.max(o.x1), self.y1.max(o.y1))
    }

    /// The common part; `None` when there is none.
    pub fn intersect(&self, o: &Self) -> Option<Self> {
        let (x0, y0) = (self.x0.max(o.x0), self.y0.max(o.y0));
        let (x1, y1) = (self.x1.min(o.x1), self.y1.min(o.y1));
        (x0 < x1 && y0 < y1).then(|| Self::new(x0, y0, x1, y1))
    }

    /// Moved outwards by `d` on every side.
    pub fn grown(&self, d: f32) -> Self {
        Self::new(self.x0 - d, self.y0 - d, self.x1 + d, self.y1 + d)
    }

    /// Larger by a share of its size on each side.
    pub fn grown_by(&self, share: f32) -> Self {
        let (dx, dy) = (share * self.width(), share * self.height());
        Self::new(self.x0 - dx, self.y0 - dy, self.x1 + dx, self.y1 + dy)
    }
}

impl<S> Clone for Rect<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S> Copy for Rect<S> {}
impl<S> PartialEq for Rect<S> {
    fn eq(&self, o: &Self) -> bool {
        (self.x0, self.y0, self.x1, self.y1) == (o.x0, o.y0, o.x1, o.y1)
    }
}
impl<S> Default for Rect<S> {
    fn default() -> Self {
        Self::new(0.0, 0.0, 0.0, 0.0)
    }
}
impl<S> fmt::Debug for Rect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {} .. {}, {})", self.x0, self.y0, self.x1, self.y1)
    }
}

/// The converter from space `A` to space `B`: x' = sx x + tx, y' = sy y + ty. Never singular.
pub struct Converter<A, B> {
    sx: f32,
    sy: f32,
    tx: f32,
    ty: f32,
    spaces: PhantomData<(A, B)>,
}

impl<A, B> Converter<A, B> {
    /// From `A` to `B`.
    pub fn apply(&self, p: Point<A>) -> Point<B> {
        Point::new(self.sx * p.x + self.tx, self.sy * p.y + self.ty)
    }

    /// From `B` back to `A`.
    pub fn invert(&self, p: Point<B>) -> Point<A> {
        Point::new((p.x - self.tx) / self.sx, (p.y - self.ty) / self.sy)
    }

    /// A rectangle of `A` in `B`.
    pub fn apply_rect(&self, r: &Rect<A>) -> Rect<B> {
        Rect::between(self.apply(r.min()), self.apply(r.max()))
    }

    /// The way from `A` over `B` to `C`.
    pub fn then<C>(&self, next: &Converter<B, C>) -> Converter<A, C> {
        Converter {
            sx: self.sx * next.sx,
            sy: self.sy * next.sy,
            tx: self.tx * next.sx + next.tx,
            ty: self.ty * next.sy + next.ty,
            spaces: PhantomData,
        }
    }

    /// The way back.
    pub fn inverse(&self) -> Converter<B, A> {
        Converter {
            sx: 1.0 / self.sx,
            sy: 1.0 / self.sy,
            tx: -self.tx / self.sx,
            ty: -self.ty / self.sy,
            spaces: PhantomData,
        }
    }

    /// px of `B` per px of `A`, without sign; the same on both axes for every view that sonotap makes.
    pub fn scale(&self) -> f32 {
        self.sx.abs()
    }
}

impl Converter<ImageSpace, DisplaySpace> {
    /// Fits `region` of the image into `area` of the screen: largest size that fits, centred; `mirrored` swaps left and right.
    pub fn fit(region: &Rect<ImageSpace>, area: &Rect<DisplaySpace>, mirrored: bool) -> Self {
        let k = (area.width() / region.width().max(1.0)).min(area.height() / region.height().max(1.0)).max(1e-6);
        let (c, d) = (region.centre(), area.centre());
        let sx = if mirrored { -k } else { k };
        Self { sx, sy: k, tx: d.x - sx * c.x, ty: d.y - k * c.y, spaces: PhantomData }
    }
}

impl<A, B> Clone for Converter<A, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, B> Copy for Converter<A, B> {}
impl<A, B> PartialEq for Converter<A, B> {
    fn eq(&self, o: &Self) -> bool {
        (self.sx, self.sy, self.tx, self.ty) == (o.sx, o.sy, o.tx, o.ty)
    }
}
impl<A, B> fmt::Debug for Converter<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x' = {} x + {}, y' = {} y + {}", self.sx, self.tx, self.sy, self.ty)
    }
}

/// What the model sees of an image: a crop, its longest side scaled to `side` model px, at the top left; the rest is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelView {
    crop: Rect<ImageSpace>,
    side: u32,
    converter: Converter<ImageSpace, ModelSpace>,
}

impl ModelView {
    /// A view of `crop` in a square of `side` model px. Edges of less than one pixel count as one.
    pub fn new(crop: Rect<ImageSpace>, side: u32) -> Self {
        let k = side as f32 / crop.width().max(crop.height()).max(1.0);
        let converter = Converter { sx: k, sy: k, tx: -crop.x0 * k, ty: -crop.y0 * k, spaces: PhantomData };
        Self { crop, side, converter }
    }

    /// The part of the image that is seen.
    pub fn crop(&self) -> &Rect<ImageSpace> {
        &self.crop
    }

    /// Width and height of the model's input, model px.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// The part of model space that holds image, the rest being padding.
    pub fn filled(&self) -> Rect<ModelSpace> {
        self.converter.apply_rect(&self.crop)
    }

    /// Image to model.
    pub fn to_model(self, p: Point<ImageSpace>) -> Point<ModelSpace> {
        self.converter.apply(p)
    }

    /// Model to image.
    pub fn to_image(self, p: Point<ModelSpace>) -> Point<ImageSpace> {
        self.converter.invert(p)
    }

    /// The converter itself.
    pub fn converter(&self) -> &Converter<ImageSpace, ModelSpace> {
        &self.converter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close<S>(a: Point<S>, b: Point<S>) -> bool {
        a.distance(b) <= 1e-3 * (1.0 + a.x.abs() + a.y.abs())
    }

    #[test]
    fn model_view_golden_corners() {
        for (crop, side, image, model) in [
            ((0.0, 0.0, 640.0, 480.0), 256, (640.0, 480.0), (256.0, 192.0)),
            ((0.0, 0.0, 480.0, 640.0), 256, (0.5, 0.5), (0.2, 0.2)),
            ((100.0, 50.0, 228.0, 178.0), 256, (100.0, 50.0), (0.0, 0.0)),
            ((100.0, 50.0, 228.0, 178.0), 256, (228.0, 178.0), (256.0, 256.0)),
            ((0.0, 0.0, 320.0, 240.0), 1024, (320.0, 240.0), (1024.0, 768.0)),
        ] {
            let v = ModelView::new(Rect::new(crop.0, crop.1, crop.2, crop.3), side);
            let got = v.to_model(Point::new(image.0, image.1));
            assert!(close(got, Point::new(model.0, model.1)), "{crop:?} {image:?}: {got:?} is not {model:?}");
        }
    }

    #[test]
    fn a_length_is_that_of_the_standard_library_to_the_last_unit() {
        for i in 0..4000 {
            let (x, y) = (f64::from(i % 61 - 30) * 1.37, f64::from(i / 61 - 30) / 0.71);
            assert!((length_f64(x, y) - x.hypot(y)).abs() <= x.hypot(y) * f64::EPSILON, "{x} {y}");
            let (x, y) = (x as f32, y as f32);
            let exact = f64::from(x).hypot(f64::from(y));
            assert!((f64::from(length(x, y)) - exact).abs() <= exact * f64::from(f32::EPSILON), "{x} {y}");
        }
    }

    #[test]
    fn fit_centres_and_mirrors() {
        let area = Rect::new(0.0, 0.0, 800.0, 480.0);
        let region = Rect::new(0.0, 0.0, 640.0, 480.0);
        let plain = Converter::fit(&region, &area, false);
        assert_eq!(plain.apply(Point::new(0.0, 0.0)), Point::new(80.0, 0.0));
        let mirrored = Converter::fit(&region, &area, true);
        assert_eq!(mirrored.apply(Point::new(0.0, 0.0)), Point::new(720.0, 0.0));
        assert_eq!(mirrored.apply(Point::new(0.5, 0.5)), Point::new(719.5, 0.5));
    }

    proptest! {
        #[test]
        fn every_conversion_round_trips(
            x in -50.0f32..2000.0, y in -50.0f32..2000.0, x0 in 0.0f32..500.0, y0 in 0.0f32..500.0,
            w in 2.0f32..1500.0, h in 2.0f32..1500.0, mirrored in any::<bool>(), side in 64u32..1025,
        ) {
            let crop = Rect::new(x0, y0, x0 + w, y0 + h);
            let p = Point::new(x, y);
            let view = ModelView::new(crop, side);
            prop_assert!(close(view.to_image(view.to_model(p)), p));
            let fit = Converter::fit(&crop, &Rect::new(3.0, 9.0, 803.0, 489.0), mirrored);
            prop_assert!(close(fit.invert(fit.apply(p)), p));
            let both = view.converter().inverse().then(&fit);
            prop_assert!(close(both.apply(view.to_model(p)), fit.apply(p)));
        }

        #[test]
        fn crop_fills_the_longest_side(x0 in 0.0f32..500.0, y0 in 0.0f32..500.0, w in 2.0f32..900.0, h in 2.0f32..900.0) {
            let filled = ModelView::new(Rect::new(x0, y0, x0 + w, y0 + h), 256).filled();
            prop_assert!(filled.x0.abs() < 0.01 && filled.y0.abs() < 0.01);
            prop_assert!((filled.width().max(filled.height()) - 256.0).abs() < 0.05);
        }
    }
}
