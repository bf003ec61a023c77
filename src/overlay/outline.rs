//! Which style an outline gets, and how it is drawn: a bright line with a dark halo, so that it shows on black and white.
//!
//! | overlay | style | looks |
//! |---|---|---|
//! | exact | [`LineStyle::Fresh`] | unbroken, 2-3 px |
//! | carried | [`LineStyle::Carried`] | thinner, long dashes |
//! | stale | [`LineStyle::Stale`] | dimmed dots |
//! | suggested | [`LineStyle::Suggested`] | thin and faint, fine dashes, grey: no object's colour |
//! | hidden, lost | none | nothing |
//!
//! A line is drawn from the distance of each pixel to the nearest segment of the polyline, so that joints and crossings
//! are neither thicker nor brighter. Dashes divide the ring evenly and start to the right of its centre, so that they
//! do not jump when the ring moves and its points are renumbered.

use crate::contour::Outline;
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Point};
use crate::overlay::blend::{Painter, PxRect, alpha, blend_all, mix, stretch};
use crate::scene::Overlay;

/// How an outline is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStyle {
    /// Computed from the frame that is shown.
    Fresh,
    /// Carried to the frame that is shown.
    Carried,
    /// Of an earlier frame.
    Stale,
    /// Of no object: what the model proposes before any tap.
    Suggested,
}

/// The style of an object's outline; `None` draws nothing. The only place where this is decided. What is suggested is no
/// object's, and always [`LineStyle::Suggested`].
///
/// ```
/// use sonotap::overlay::outline::{LineStyle, style_of};
/// use sonotap::scene::{LostReason, Overlay};
/// use std::time::Duration;
/// assert_eq!(style_of(Overlay::Exact), Some(LineStyle::Fresh));
/// assert_eq!(style_of(Overlay::Carried { age: Duration::ZERO }), Some(LineStyle::Carried));
/// assert_eq!(style_of(Overlay::Lost(LostReason::SceneCut)), None);
/// ```
pub fn style_of(overlay: Overlay) -> Option<LineStyle> {
    match overlay {
        Overlay::Exact => Some(LineStyle::Fresh),
        Overlay::Carried { .. } => Some(LineStyle::Carried),
        Overlay::Stale { .. } => Some(LineStyle::Stale),
        Overlay::Hidden(_) | Overlay::Lost(_) => None,
    }
}

/// A style at the screen's resolution; lengths in display px.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pen {
    half_width: f32,
    halo: f32,
    alpha: u32,
    /// Length of a dash and of the gap that follows.
    dash: Option<(f32, f32)>,
}

impl LineStyle {
    /// Whether the inside is tinted.
    pub fn is_filled(self) -> bool {
        !matches!(self, Self::Stale | Self::Suggested)
    }

    fn pen(self, px_per_mm: f32) -> Pen {
        let width = (0.5 * px_per_mm).clamp(2.0, 3.0);
        match self {
            Self::Fresh => Pen { half_width: width / 2.0, halo: 1.4, alpha: 256, dash: None },
            Self::Carried => Pen {
                half_width: (width - 0.8) / 2.0,
                halo: 1.2,
                alpha: 256,
                dash: Some((3.2 * px_per_mm, 1.0 * px_per_mm)),
            },
            Self::Stale => Pen {
                half_width: (width - 0.4) / 2.0,
                halo: 1.2,
                alpha: alpha(0.65),
                dash: Some((0.01, 1.2 * px_per_mm)),
            },
            Self::Suggested => {
                Pen { half_width: 0.6, halo: 0.8, alpha: alpha(0.8), dash: Some((0.5 * px_per_mm, 0.9 * px_per_mm)) }
            }
        }
    }
}

const STEPS: f32 = 16.0;
const FAR: u8 = u8::MAX;
/// Bounds the work for a ring far larger than any screen.
const DASHES_MAX: f32 = 2048.0;

/// Draws outlines. It keeps its buffers; nothing is allocated once they are large enough.
#[derive(Clone, Debug, Default)]
pub struct OutlinePainter {
    /// Distance of each pixel of the canvas to the line, in 1/16 px; all `FAR` between calls.
    near: Vec<u8>,
    bounds: PxRect,
    dirty: PxRect,
    ring: Vec<(f32, f32)>,
    crossings: Vec<(i32, f32)>,
}

impl OutlinePainter {
    /// Draws the line. Returns the area that it covers, display px.
    pub fn line(
        &mut self,
        painter: &mut Painter,
        outline: &Outline,
        to_display: &Converter<ImageSpace, DisplaySpace>,
        style: LineStyle,
        px_per_mm: f32,
        colours: LineColours,
    ) -> PxRect {
        let pen = style.pen(px_per_mm);
        self.begin(painter.bounds());
        let halo_dash = pen.dash.filter(|_| !style.is_filled());
        self.trace_rings(outline, to_display, pen.half_width + pen.halo, halo_dash);
        let covered = self.dirty;
        self.ink(painter, pen.half_width + pen.halo, colours.halo, alpha(0.6));
        self.trace_rings(outline, to_display, pen.half_width, pen.dash);
        self.ink(painter, pen.half_width, colours.line, pen.alpha);
        covered
    }

    /// Tints the inside, by the even-odd rule at pixel centres; `alpha` 0..=256.
    pub fn fill(
        &mut self,
        painter: &mut Painter,
        outline: &Outline,
        to_display: &Converter<ImageSpace, DisplaySpace>,
        colour: u32,
        alpha: u32,
    ) {
        let bounds = painter.bounds();
        self.crossings.clear();
        for ring in outline.rings() {
            self.load(ring, to_display);
            for (a, b) in sides(&self.ring) {
                cross_rows(a, b, bounds, &mut self.crossings);
            }
        }
        self.crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for pair in self.crossings.chunks_exact(2) {
            let ((y, enter), (_, leave)) = (pair[0], pair[1]);
            let (x0, x1) = ((enter - 0.5).ceil() as i32, (leave - 0.5).ceil() as i32);
            painter.row(y, x0, x1, |_, pixels| blend_all(pixels, colour, alpha));
        }
    }

    fn begin(&mut self, bounds: PxRect) {
        if self.bounds != bounds {
            self.bounds = bounds;
            let area = bounds.width().max(0) as usize * bounds.height().max(0) as usize;
            self.near.clear();
            self.near.resize(area, FAR);
        }
        self.dirty = PxRect::default();
    }

    /// Loads the ring in display px, without points that are not finite or nearer than half a pixel to the one before.
    fn load(&mut self, ring: &[Point<ImageSpace>], to_display: &Converter<ImageSpace, DisplaySpace>) {
        self.ring.clear();
        for p in ring.iter().map(|&p| to_display.apply(p)).filter(|p| p.is_finite()) {
            let is_near = |&(x, y): &(f32, f32)| (x - p.x).abs() + (y - p.y).abs() < 0.5;
            if !self.ring.last().is_some_and(is_near) {
                self.ring.push((p.x, p.y));
            }
        }
    }

    fn trace_rings(
        &mut self,
        outline: &Outline,
        to_display: &Converter<ImageSpace, DisplaySpace>,
        reach: f32,
        dash: Option<(f32, f32)>,
    ) {
        for points in outline.rings() {
            self.load(points, to_display);
            let ring = std::mem::take(&mut self.ring);
            match dash {
                None => sides(&ring).for_each(|(a, b)| self.approach(a, b, reach)),
                Some((on, off)) => each_dash(&ring, on, off, |a, b| self.approach(a, b, reach)),
            }
            self.ring = ring;
        }
    }

    /// Records the distance to a segment for pixels within `reach` plus one half.
    fn approach(&mut self, a: (f32, f32), b: (f32, f32), reach: f32) {
        let r = reach + 1.0;
        let around = PxRect::new(
            (a.0.min(b.0) - r).floor() as i32,
            (a.1.min(b.1) - r).floor() as i32,
            (a.0.max(b.0) + r).ceil() as i32,
            (a.1.max(b.1) + r).ceil() as i32,
        );
        let box_ = around.intersect(self.bounds);
        if box_.is_empty() {
            return;
        }
        self.dirty = self.dirty.union(box_);
        let distance = stretch(a.0, a.1, b.0, b.1);
        let pitch = self.bounds.width() as usize;
        for y in box_.y0..box_.y1 {
            let start = (y - self.bounds.y0) as usize * pitch + (box_.x0 - self.bounds.x0) as usize;
            for (x, near) in (box_.x0..).zip(&mut self.near[start..start + box_.width() as usize]) {
                let d = distance(x as f32 + 0.5, y as f32 + 0.5) * STEPS;
                *near = (*near).min(d.min(f32::from(FAR)) as u8);
            }
        }
    }

    /// Paints all pixels within `reach` of the recorded segments, and clears the record.
    fn ink(&mut self, painter: &mut Painter, reach: f32, colour: u32, alpha: u32) {
        let (pitch, bounds, dirty) = (self.bounds.width() as usize, self.bounds, self.dirty);
        let limit = ((reach + 0.5) * STEPS) as u8;
        for y in dirty.y0..dirty.y1 {
            let row = (y - bounds.y0) as usize * pitch;
            let near = &mut self.near[row..row + pitch];
            painter.row(y, dirty.x0, dirty.x1, |x0, pixels| {
                for (p, &n) in pixels.iter_mut().zip(&near[(x0 - bounds.x0) as usize..]) {
                    if n <= limit {
                        let coverage = (reach + 0.5 - f32::from(n) / STEPS).clamp(0.0, 1.0);
                        *p = mix(*p, colour, (coverage * alpha as f32 + 0.5) as u32);
                    }
                }
            });
            near[(dirty.x0 - bounds.x0) as usize..(dirty.x1 - bounds.x0) as usize].fill(FAR);
        }
        self.dirty = PxRect::default();
    }
}

/// Colours of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColours {
    /// The line itself.
    pub line: u32,
    /// The halo around it.
    pub halo: u32,
}

type Side = ((f32, f32), (f32, f32));

/// The sides of a closed ring.
fn sides(ring: &[(f32, f32)]) -> impl Iterator<Item = Side> + '_ {
    (0..ring.len()).map(|i| (ring[i], ring[(i + 1) % ring.len()]))
}

/// Records where a side crosses the centre lines of pixel rows within `bounds`.
fn cross_rows(a: (f32, f32), b: (f32, f32), bounds: PxRect, crossings: &mut Vec<(i32, f32)>) {
    let (top, bottom) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    let first = ((top.1 - 0.5).ceil() as i32).max(bounds.y0);
    let last = ((bottom.1 - 0.5).ceil() as i32).min(bounds.y1);
    let slope = (bottom.0 - top.0) / (bottom.1 - top.1).max(f32::MIN_POSITIVE);
    crossings.extend((first..last).map(|y| (y, top.0 + (y as f32 + 0.5 - top.1) * slope)));
}

/// Length of a side.
fn length((a, b): Side) -> f32 {
    ((b.0 - a.0).powi(2) + (b.1 - a.1).powi(2)).sqrt()
}

/// Divides a closed ring evenly into dashes; one dash is centred on the point to the right of the ring's centre.
fn each_dash(ring: &[(f32, f32)], on: f32, off: f32, mut each: impl FnMut((f32, f32), (f32, f32))) {
    let total: f32 = sides(ring).map(length).sum();
    if !(total > 0.0 && total.is_finite()) {
        return;
    }
    let period = total / (total / (on + off)).round().clamp(1.0, DASHES_MAX);
    let dash = period * on / (on + off);
    let (side, at) = anchor(ring);
    let mut along = dash / 2.0;
    for i in 0..=ring.len() {
        let index = (side + i) % ring.len();
        let (mut a, mut b) = (ring[index], ring[(index + 1) % ring.len()]);
        if i == 0 {
            a = at;
        } else if i == ring.len() {
            b = at;
        }
        let whole = length((a, b));
        let point = |s: f32| (a.0 + (b.0 - a.0) * s / whole, a.1 + (b.1 - a.1) * s / whole);
        let (first, last) = ((along / period) as u32, ((along + whole) / period) as u32);
        for start in (first..=last).map(|n| n as f32 * period - along) {
            let (s0, s1) = (start.max(0.0), (start + dash).min(whole));
            if s0 < s1 {
                each(point(s0), point(s1));
            }
        }
        along += whole;
    }
}

/// The rightmost side at the height of the ring's centre, and the point on it.
fn anchor(ring: &[(f32, f32)]) -> (usize, (f32, f32)) {
    let (low, high) = ring.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let y = (low + high) / 2.0;
    let mut best = (0, ring[0]);
    let mut right = f32::NEG_INFINITY;
    for (i, (a, b)) in sides(ring).enumerate() {
        if (a.1 <= y) != (b.1 <= y) {
            let x = a.0 + (b.0 - a.0) * (y - a.1) / (b.1 - a.1);
            if x > right {
                (right, best) = (x, (i, (x, y)));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ModelView, Rect};
    use crate::mask::LogitGrid;
    use crate::overlay::blend::{Clip, KeepOut};
    use crate::overlay::canvas::Canvas;
    use crate::scene::{HiddenReason, LostReason};
    use std::time::Duration;

    const COLOURS: LineColours = LineColours { line: 0xFFFFFF, halo: 0x000000 };

    fn disc(radius: f32) -> Outline {
        let view = ModelView::new(Rect::new(0.0, 0.0, 100.0, 100.0), 100);
        let mut grid = LogitGrid::background(100, view);
        for row in 0..100 {
            for column in 0..100 {
                let c = grid.centre(column, row);
                grid.values_mut()[row * 100 + column] = radius - c.distance(Point::new(50.0, 50.0));
            }
        }
        let mut outline = Outline::default();
        crate::contour::trace(&grid, &mut outline);
        outline
    }

    fn drawn(style: LineStyle, outline: &Outline, clip: &Clip) -> Canvas {
        let mut canvas = Canvas::new(200, 200);
        canvas.pixels_mut().fill(0x404040);
        let to_display = twice();
        let mut painter = Painter::new(&mut canvas, clip);
        OutlinePainter::default().line(&mut painter, outline, &to_display, style, 5.0, COLOURS);
        canvas
    }

    fn twice() -> Converter<ImageSpace, DisplaySpace> {
        Converter::fit(&Rect::new(0.0, 0.0, 100.0, 100.0), &Rect::new(0.0, 0.0, 200.0, 200.0), false)
    }

    fn everywhere() -> Clip {
        Clip::whole(PxRect::new(0, 0, 200, 200))
    }

    fn every_overlay() -> Vec<Overlay> {
        let mut all = vec![Overlay::Exact];
        for age in [Duration::ZERO, Duration::from_millis(40), Duration::from_nanos(u64::MAX)] {
            all.extend([Overlay::Carried { age }, Overlay::Stale { age }]);
        }
        for reason in [
            HiddenReason::Computing,
            HiddenReason::TooOld,
            HiddenReason::ImplausibleMask,
            HiddenReason::ModelFailed,
            HiddenReason::NotBMode,
            HiddenReason::NoSignal,
            HiddenReason::ByOperator,
        ] {
            all.push(Overlay::Hidden(reason));
        }
        for reason in [LostReason::SceneCut, LostReason::LowScore, LostReason::LeftImage] {
            all.push(Overlay::Lost(reason));
        }
        all
    }

    #[test]
    fn stale_mask_is_never_drawn_fresh() {
        for overlay in every_overlay() {
            assert_eq!(style_of(overlay) == Some(LineStyle::Fresh), overlay == Overlay::Exact, "{overlay:?}");
            assert_eq!(style_of(overlay).is_some(), overlay.is_drawn(), "{overlay:?}");
        }
    }

    #[test]
    fn the_three_styles_are_told_apart_by_brightness_and_length() {
        let outline = disc(30.0);
        let bright = |style| {
            let canvas = drawn(style, &outline, &everywhere());
            canvas.pixels().iter().filter(|&&p| p & 255 >= 0xF0).count()
        };
        let around = std::f32::consts::TAU * 60.0;
        let (fresh, carried, stale) = (bright(LineStyle::Fresh), bright(LineStyle::Carried), bright(LineStyle::Stale));
        assert!(fresh as f32 > around * 1.2, "{fresh} bright px on {around} px of line");
        assert!(carried as f32 > around * 0.4 && (carried as f32) < fresh as f32 * 0.7, "{carried} of {fresh}");
        assert_eq!(stale, 0, "a stale line is as bright as a fresh one");
    }

    #[test]
    fn a_line_is_as_wide_as_its_pen_and_lies_on_the_contour() {
        let canvas = drawn(LineStyle::Fresh, &disc(30.0), &everywhere());
        let light: f32 = (100..200).map(|x| ((canvas.get(x, 100).unwrap() & 255) as f32 - 64.0).max(0.0) / 191.0).sum();
        assert!((light - 2.5).abs() < 0.25, "{light} px wide instead of 2.5");
        let centre = (100..200).filter(|&x| canvas.get(x, 100).unwrap() & 255 > 128).map(|x| x as f32 + 0.5);
        let (sum, count) = centre.fold((0.0, 0.0), |(s, n), x| (s + x, n + 1.0));
        assert!((sum / count - 160.0f32).abs() < 0.6, "lies at {}", sum / count);
    }

    #[test]
    fn fill_covers_the_pixels_inside_and_no_others() {
        let outline = disc(30.0);
        let (mut canvas, clip) = (Canvas::new(200, 200), everywhere());
        let mut outliner = OutlinePainter::default();
        outliner.fill(&mut Painter::new(&mut canvas, &clip), &outline, &twice(), 0xFFFFFF, 128);
        for y in 0..200u32 {
            for x in 0..200u32 {
                let d = (x as f32 + 0.5 - 100.0).hypot(y as f32 + 0.5 - 100.0);
                match canvas.get(x, y).unwrap() {
                    0 => assert!(d > 59.0, "{x} {y} is inside but not filled"),
                    0x808080 => assert!(d < 61.0, "{x} {y} is outside but filled"),
                    other => panic!("{x} {y} was blended more than once: {other:06X}"),
                }
            }
        }
    }

    #[test]
    fn nothing_is_drawn_in_a_keep_out() {
        let mut clip = Clip::default();
        let keep_outs = [KeepOut { rect: Rect::new(70.3, 30.0, 90.0, 60.2) }];
        clip.set(PxRect::new(0, 0, 200, 200), &keep_outs, &twice());
        for style in [LineStyle::Fresh, LineStyle::Carried, LineStyle::Stale] {
            let (free, kept) = (drawn(style, &disc(30.0), &everywhere()), drawn(style, &disc(30.0), &clip));
            let mut changed = 0;
            for y in 0..200u32 {
                for x in 0..200u32 {
                    if (140..180).contains(&x) && (60..121).contains(&y) {
                        assert_eq!(kept.get(x, y), Some(0x404040), "{style:?} at {x}, {y}");
                        changed += u32::from(free.get(x, y) != Some(0x404040));
                    } else {
                        assert_eq!(kept.get(x, y), free.get(x, y), "{style:?} at {x}, {y}");
                    }
                }
            }
            assert!(changed > 20, "the keep-out of this test lies off the line");
        }
    }

    #[test]
    fn dashes_stay_in_place_when_points_are_numbered_anew() {
        let ring: Vec<(f32, f32)> = (0..90)
            .map(|i| {
                let a = i as f32 * std::f32::consts::TAU / 90.0;
                (100.0 + 50.0 * a.cos(), 100.0 + 40.0 * a.sin())
            })
            .collect();
        let dashes = |ring: &[(f32, f32)]| {
            let mut ends = Vec::new();
            each_dash(ring, 16.0, 5.0, |a, b| ends.extend([a, b]));
            ends
        };
        let mut turned = ring.clone();
        turned.rotate_left(37);
        let (a, b) = (dashes(&ring), dashes(&turned));
        assert_eq!(a.len(), b.len());
        for (p, q) in a.iter().zip(&b) {
            assert!((p.0 - q.0).abs() + (p.1 - q.1).abs() < 0.01, "{p:?} {q:?}");
        }
        let covered: f32 = a.chunks_exact(2).map(|d| length((d[0], d[1]))).sum();
        let around: f32 = sides(&ring).map(length).sum();
        assert!((covered / around - 16.0 / 21.0).abs() < 0.01, "{covered} of {around}");
    }

    #[test]
    fn points_that_are_no_numbers_or_far_away_do_no_harm() {
        let far = Converter::fit(&Rect::new(0.0, 0.0, 1.0, 1.0), &Rect::new(-1e9, -1e9, 1e9, 1e9), true);
        let (mut canvas, clip) = (Canvas::new(50, 50), everywhere());
        let mut outliner = OutlinePainter::default();
        let mut painter = Painter::new(&mut canvas, &clip);
        for style in [LineStyle::Fresh, LineStyle::Carried, LineStyle::Stale, LineStyle::Suggested] {
            outliner.line(&mut painter, &disc(30.0), &far, style, 5.0, COLOURS);
        }
        outliner.fill(&mut painter, &disc(30.0), &far, 0xFFFFFF, 64);
        assert!(outliner.near.iter().all(|&n| n == FAR), "distances were left behind");
    }
}
