//! Painting within a clip: every pixel of the overlay goes through a [`Clip`].

use crate::geometry::{Converter, DisplaySpace, ImageSpace, Rect};
use crate::overlay::canvas::Canvas;

/// A part of the frame that is never painted over: the host's MI/TI, depth scale, patient line, orientation marker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeepOut {
    /// Its bounds, image px.
    pub rect: Rect<ImageSpace>,
}

/// A rectangle of whole display pixels, half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PxRect {
    /// Left edge.
    pub x0: i32,
    /// Top edge.
    pub y0: i32,
    /// Right edge, outside.
    pub x1: i32,
    /// Bottom edge, outside.
    pub y1: i32,
}

impl PxRect {
    /// From its four edges.
    pub const fn new(x0: i32, y0: i32, x1: i32, y1: i32) -> Self {
        Self { x0, y0, x1, y1 }
    }

    /// All pixels that `r` touches.
    pub fn around(r: &Rect<DisplaySpace>) -> Self {
        Self::new(r.x0.floor() as i32, r.y0.floor() as i32, r.x1.ceil() as i32, r.y1.ceil() as i32)
    }

    /// The common part; empty when there is none.
    pub fn intersect(self, o: Self) -> Self {
        let r = Self::new(self.x0.max(o.x0), self.y0.max(o.y0), self.x1.min(o.x1), self.y1.min(o.y1));
        if r.is_empty() { Self::default() } else { r }
    }

    /// The smallest rectangle that holds both; an empty one is ignored.
    pub fn union(self, o: Self) -> Self {
        match (self.is_empty(), o.is_empty()) {
            (true, _) => o,
            (_, true) => self,
            _ => Self::new(self.x0.min(o.x0), self.y0.min(o.y0), self.x1.max(o.x1), self.y1.max(o.y1)),
        }
    }

    /// Whether it holds no pixel.
    pub fn is_empty(self) -> bool {
        self.x0 >= self.x1 || self.y0 >= self.y1
    }

    /// x1 - x0.
    pub fn width(self) -> i32 {
        self.x1 - self.x0
    }

    /// y1 - y0.
    pub fn height(self) -> i32 {
        self.y1 - self.y0
    }

    /// Moved outwards by `d` on every side.
    pub fn grown(self, d: i32) -> Self {
        Self::new(self.x0 - d, self.y0 - d, self.x1 + d, self.y1 + d)
    }

    /// Whether the pixel lies inside.
    pub fn contains(self, x: i32, y: i32) -> bool {
        x >= self.x0 && x < self.x1 && y >= self.y0 && y < self.y1
    }

    /// Its centre, display px.
    pub fn centre(self) -> (f32, f32) {
        ((self.x0 + self.x1) as f32 / 2.0, (self.y0 + self.y1) as f32 / 2.0)
    }
}

/// Where painting is allowed: an area minus its holes.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    area: PxRect,
    holes: Vec<PxRect>,
}

impl Clip {
    /// The whole of `area`.
    pub fn whole(area: PxRect) -> Self {
        Self { area, holes: Vec::new() }
    }

    /// Becomes `area` minus every pixel that a keep-out touches. Reuses the buffer.
    pub fn set(&mut self, area: PxRect, keep_outs: &[KeepOut], to_display: &Converter<ImageSpace, DisplaySpace>) {
        self.area = area;
        self.holes.clear();
        let touched = |k: &KeepOut| PxRect::around(&to_display.apply_rect(&k.rect)).intersect(area);
        self.holes.extend(keep_outs.iter().map(touched).filter(|h| !h.is_empty()));
    }

    /// The area, holes included.
    pub fn area(&self) -> PxRect {
        self.area
    }

    /// Whether the pixel may be painted.
    pub fn allows(&self, x: i32, y: i32) -> bool {
        self.area.contains(x, y) && !self.holes.iter().any(|h| h.contains(x, y))
    }

    /// Whether all of `r` may be painted.
    pub fn allows_all(&self, r: PxRect) -> bool {
        r.intersect(self.area) == r && self.holes.iter().all(|h| h.intersect(r).is_empty())
    }

    /// Calls `each` for the allowed, non-empty parts of row `y` in x0..x1, left to right.
    pub fn spans(&self, y: i32, x0: i32, x1: i32, mut each: impl FnMut(i32, i32)) {
        if y < self.area.y0 || y >= self.area.y1 {
            return;
        }
        let (mut x, end) = (x0.max(self.area.x0), x1.min(self.area.x1));
        while x < end {
            let mut next = end;
            let mut inside = None;
            for h in self.holes.iter().filter(|h| y >= h.y0 && y < h.y1 && h.x1 > x) {
                if h.x0 <= x {
                    inside = Some(inside.map_or(h.x1, |e: i32| e.max(h.x1)));
                } else {
                    next = next.min(h.x0);
                }
            }
            match inside {
                Some(after) => x = after,
                None => {
                    each(x, next);
                    x = next;
                }
            }
        }
    }
}

/// Blends `over` onto `under`, both `0x00RRGGBB`, with `alpha` from 0 (none) to 256 (opaque).
///
/// ```
/// use sonotap::overlay::blend::mix;
/// assert_eq!(mix(0x102030, 0xFFFFFF, 0), 0x102030);
/// assert_eq!(mix(0x102030, 0xFFFFFF, 256), 0xFFFFFF);
/// assert_eq!(mix(0x000000, 0x808080, 128), 0x404040);
/// ```
pub fn mix(under: u32, over: u32, alpha: u32) -> u32 {
    let alpha = alpha.min(256);
    let rest = 256 - alpha;
    let rb = (under & 0xFF_00FF) * rest + (over & 0xFF_00FF) * alpha + 0x80_0080;
    let g = (under & 0xFF00) * rest + (over & 0xFF00) * alpha + 0x8000;
    ((rb >> 8) & 0xFF_00FF) | ((g >> 8) & 0xFF00)
}

/// Converts 0..=1 to an alpha of 0..=256.
pub fn alpha(v: f32) -> u32 {
    (v.clamp(0.0, 1.0) * 256.0 + 0.5) as u32
}

/// Paints on a canvas where its clip allows.
pub struct Painter<'a> {
    pixels: &'a mut [u32],
    width: i32,
    clip: &'a Clip,
    bounds: PxRect,
}

impl<'a> Painter<'a> {
    /// A painter for `canvas`.
    pub fn new(canvas: &'a mut Canvas, clip: &'a Clip) -> Self {
        let (width, height) = (canvas.width() as i32, canvas.height() as i32);
        let bounds = PxRect::new(0, 0, width, height).intersect(clip.area());
        Self { pixels: canvas.pixels_mut(), width, clip, bounds }
    }

    /// The clip.
    pub fn clip(&self) -> &Clip {
        self.clip
    }

    /// The clip's area within the canvas, holes included.
    pub fn bounds(&self) -> PxRect {
        self.bounds
    }

    /// Calls `paint` for the allowed pixels of row `y` in x0..x1, with the x of the first one and the pixels.
    pub fn row(&mut self, y: i32, x0: i32, x1: i32, mut paint: impl FnMut(i32, &mut [u32])) {
        if y < self.bounds.y0 || y >= self.bounds.y1 {
            return;
        }
        let (x0, x1) = (x0.max(self.bounds.x0), x1.min(self.bounds.x1));
        let start = y as usize * self.width as usize;
        let pixels = &mut *self.pixels;
        self.clip.spans(y, x0, x1, |a, b| paint(a, &mut pixels[start + a as usize..start + b as usize]));
    }

    /// Blends a rectangle; `alpha` 0..=256.
    pub fn fill(&mut self, r: PxRect, colour: u32, alpha: u32) {
        for y in r.y0.max(self.bounds.y0)..r.y1.min(self.bounds.y1) {
            self.row(y, r.x0, r.x1, |_, pixels| blend_all(pixels, colour, alpha));
        }
    }

    /// Blends a shape given by its signed distance (px, negative inside) at pixel centres, with a soft edge of one px.
    pub fn shape(&mut self, r: PxRect, colour: u32, alpha: u32, distance: impl Fn(f32, f32) -> f32) {
        for y in r.y0.max(self.bounds.y0)..r.y1.min(self.bounds.y1) {
            self.row(y, r.x0, r.x1, |x0, pixels| {
                for (x, p) in (x0..).zip(pixels) {
                    let coverage = (0.5 - distance(x as f32 + 0.5, y as f32 + 0.5)).clamp(0.0, 1.0);
                    if coverage > 0.0 {
                        *p = mix(*p, colour, (coverage * alpha as f32 + 0.5) as u32);
                    }
                }
            });
        }
    }

    /// Blends a rounded rectangle.
    pub fn round_rect(&mut self, r: PxRect, radius: f32, colour: u32, alpha: u32) {
        self.shape(r, colour, alpha, round_rect(r, radius));
    }

    /// Blends the border of a rounded rectangle, `thickness` px to the inside.
    pub fn round_frame(&mut self, r: PxRect, radius: f32, thickness: f32, colour: u32, alpha: u32) {
        let outer = round_rect(r, radius);
        self.shape(r, colour, alpha, |x, y| {
            let d = outer(x, y);
            d.max(-d - thickness)
        });
    }

    /// Blends `colour` by a coverage map of one byte per pixel, `columns` to a row, with its top left corner at (x, y).
    pub fn stamp(&mut self, x: i32, y: i32, columns: usize, coverage: &[u8], colour: u32) {
        for (row, line) in coverage.chunks_exact(columns).enumerate() {
            self.row(y + row as i32, x, x + columns as i32, |x0, pixels| {
                for (p, &c) in pixels.iter_mut().zip(&line[(x0 - x) as usize..]) {
                    if c > 0 {
                        *p = mix(*p, colour, u32::from(c) + u32::from(c >> 7));
                    }
                }
            });
        }
    }
}

/// Blends one colour over a run of pixels; `alpha` 0..=256.
pub fn blend_all(pixels: &mut [u32], colour: u32, alpha: u32) {
    if alpha >= 256 {
        pixels.fill(colour);
    } else {
        pixels.iter_mut().for_each(|p| *p = mix(*p, colour, alpha));
    }
}

/// Signed distance to a rounded rectangle.
pub fn round_rect(r: PxRect, radius: f32) -> impl Fn(f32, f32) -> f32 {
    let (cx, cy) = r.centre();
    let (hx, hy) = (r.width() as f32 / 2.0, r.height() as f32 / 2.0);
    let radius = radius.min(hx).min(hy);
    move |x, y| {
        let (dx, dy) = ((x - cx).abs() - hx + radius, (y - cy).abs() - hy + radius);
        let outside = (dx.max(0.0).powi(2) + dy.max(0.0).powi(2)).sqrt();
        outside + dx.max(dy).min(0.0) - radius
    }
}

/// Distance to the segment from (ax, ay) to (bx, by).
pub fn stretch(ax: f32, ay: f32, bx: f32, by: f32) -> impl Fn(f32, f32) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let norm = dx * dx + dy * dy;
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    move |x, y| {
        let t = (((x - ax) * dx + (y - ay) * dy) * scale).clamp(0.0, 1.0);
        ((x - ax - t * dx).powi(2) + (y - ay - t * dy).powi(2)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holes() -> impl Strategy<Value = Vec<PxRect>> {
        prop::collection::vec(
            (-5i32..40, -5i32..30, 0i32..20, 0i32..20).prop_map(|(x, y, w, h)| PxRect::new(x, y, x + w, y + h)),
            0..6,
        )
    }

    proptest! {
        #[test]
        fn spans_are_the_allowed_pixels(holes in holes(), y in -3i32..33, x0 in -9i32..50, x1 in -9i32..50) {
            let clip = Clip { area: PxRect::new(2, 1, 37, 29), holes };
            let mut listed = Vec::new();
            clip.spans(y, x0, x1, |a, b| listed.extend(a..b));
            let allowed: Vec<i32> = (x0..x1).filter(|&x| clip.allows(x, y)).collect();
            prop_assert_eq!(listed, allowed);
        }

        #[test]
        fn mixing_stays_within_half_a_step_of_the_exact_value(under in 0u32..0x100_0000, over in 0u32..0x100_0000, a in 0u32..=256) {
            let mixed = mix(under, over, a);
            prop_assert_eq!(mixed >> 24, 0);
            for shift in [0, 8, 16] {
                let (u, o) = (f64::from(under >> shift & 255), f64::from(over >> shift & 255));
                let exact = u + (o - u) * f64::from(a) / 256.0;
                prop_assert!((f64::from(mixed >> shift & 255) - exact).abs() <= 0.5);
            }
        }
    }

    #[test]
    fn nothing_painted_leaves_the_clip_or_enters_a_hole() {
        let clip = Clip { area: PxRect::new(4, 4, 60, 40), holes: vec![PxRect::new(20, 10, 30, 20)] };
        let mut canvas = Canvas::new(64, 48);
        let mut painter = Painter::new(&mut canvas, &clip);
        let all = PxRect::new(-10, -10, 100, 100);
        painter.fill(all, 0xFFFFFF, 100);
        painter.round_rect(all, 9.0, 0xFFFFFF, 200);
        painter.round_frame(PxRect::new(0, 0, 64, 48), 9.0, 20.0, 0xFFFFFF, 256);
        painter.stamp(15, 5, 30, &[255; 900], 0xFF00FF);
        for y in 0..48 {
            for x in 0..64 {
                let painted = canvas.get(x, y) != Some(0);
                assert_eq!(painted, clip.allows(x as i32, y as i32), "at {x}, {y}");
            }
        }
    }
}
