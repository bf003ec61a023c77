//! A scale for video that has none: two points on the scanner's own depth ruler, and the distance between them.
//!
//! A ruler is upright and has equal ticks. Where ticks are found, the points snap to them, and the distance must make a tick
//! worth one of the steps that scanners use. The scale holds only for frames of the same size and region whose ruler looks
//! the same: a change of depth or zoom moves the ticks. Without ticks nothing would show such a change, so that the scale
//! holds for its own frame alone.
//!
//! An upright ruler says nothing of the other axis. Where the video says the aspect of its pixels, that is used; else pixels are
//! taken for square, which the scale's source says ([`ScaleSource::TwoPointSquare`]) until somebody measures two points side by
//! side as well ([`HandScale::across`]).
//!
//! ```
//! use sonotap::calipers::ruler::{HandScale, TwoPoints};
//! use sonotap::frame::{Frame, PixelFormat};
//! use sonotap::geometry::Point;
//! let mut pixels = vec![0; 200 * 240];
//! for tick in 0..11 {
//!     (20..28).for_each(|x| pixels[(20 + 20 * tick) * 200 + x] = 220);
//! }
//! let frame = Frame::from_pixels(200, 240, PixelFormat::Grey8, pixels).unwrap();
//! let points = TwoPoints { a: Point::new(25.0, 22.0), b: Point::new(24.0, 219.0), centimetres: 10 };
//! let by_hand = HandScale::new(&frame, &points).unwrap();
//! assert!((by_hand.scale().mm_per_px().1 - 0.5).abs() < 1e-3);
//! assert_eq!(by_hand.ticks().unwrap().mm_each(), 10.0);
//! assert!(by_hand.holds_for(&frame));
//! assert_eq!(by_hand.scale().source(), sonotap::frame::ScaleSource::TwoPointSquare);
//! ```

use crate::frame::{ASPECT, Frame, ImageRegion, PixelScale, ScaleSource};
use crate::geometry::{ImageSpace, Point};
use crate::units::{FrameId, Millimetres};

/// Shortest distance of the two points, image px: below, half a pixel at each end is more than 2 %.
pub const LENGTH_PX_MIN: f32 = 40.0;
/// Farthest that the points may be aside of each other, as a share of their distance.
const ASIDE_MAX: f32 = 0.1;
/// Longest distance that can be chosen, cm.
pub const CENTIMETRES_MAX: u8 = 30;
/// Columns to each side of the points in which ticks are looked for.
const SEARCH_PX: i32 = 14;
/// Columns to each side of a tick's middle that are averaged.
const TICK_HALF_PX: i32 = 2;
/// Rows to each side whose mean is taken off, so that only what is short counts.
const BACKGROUND_PX: usize = 6;
/// Least distance of ticks, px.
const SPACING_PX_MIN: usize = 5;
/// Least likeness of the rows with themselves, one tick further.
const PERIODIC_MIN: f64 = 0.5;
/// Least contrast of a tick, grey levels.
const CONTRAST_MIN: f64 = 12.0;
/// What a tick may be worth, mm.
const TICK_MM: [f64; 7] = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0];
/// How well a place on a ruler is known at each end, px: on a tick, and by finger.
const END_ON_TICK_PX: f32 = 0.5;
const END_BY_HAND_PX: f32 = 2.0;
/// Least likeness of a ruler with its key.
const LIKENESS_MIN: f64 = 0.9;
/// What of the frame beside the ticks belongs to a key, px; where the image is not, its numbers too.
const KEY_SIDE_PX: i32 = 8;
const NUMBERS_PX: i32 = 30;

/// Two points on a ruler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoPoints {
    /// One.
    pub a: Point<ImageSpace>,
    /// The other.
    pub b: Point<ImageSpace>,
    /// What the ruler says between them, 1 to [`CENTIMETRES_MAX`] cm.
    pub centimetres: u8,
}

impl TwoPoints {
    /// Whether they are side by side rather than one above the other.
    pub fn are_level(&self) -> bool {
        (self.a.x - self.b.x).abs() > (self.a.y - self.b.y).abs()
    }
}

/// The aspect of a video's pixels, as somebody measured it. It is of the video, whatever the depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredAspect {
    /// Width of a pixel over its height.
    pub ratio: f64,
    /// Error as a share of it.
    pub relative_error: f32,
    size: (u32, u32),
}

/// Why two points give no scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoScale {
    /// A point is not on the frame.
    OffFrame,
    /// They are neither one above the other nor side by side.
    NotUpright,
    /// They are side by side, and the scale along the depth ruler is not known yet.
    DepthFirst,
    /// They make a pixel more than twice as wide as high, or less than half.
    OddAspect,
    /// They are too near to each other.
    TooShort,
    /// The ticks between them would be worth an unusual length.
    TicksDisagree {
        /// Steps from tick to tick between the points.
        steps: u16,
    },
    /// 0 cm, or more than [`CENTIMETRES_MAX`].
    NoDistance,
}

/// The ticks of a ruler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    /// From one to the next, image px.
    pub spacing_px: f64,
    /// Steps between the two points.
    pub steps: u16,
    /// The distance of the two points, mm.
    pub length_mm: f64,
}

impl Ticks {
    /// What one step is worth, mm.
    pub fn mm_each(&self) -> f64 {
        self.length_mm / f64::from(self.steps)
    }
}

/// A part of a frame by which a ruler is known again.
#[derive(Clone, Debug, PartialEq)]
pub struct RulerKey {
    size: (u32, u32),
    x: u32,
    y: u32,
    width: u32,
    pixels: Vec<u8>,
}

impl RulerKey {
    /// The grey pixels of `height` rows from (x, y) on of frames of `size`; `None` where they do not fit or show nothing.
    pub fn new(size: (u32, u32), (x, y): (u32, u32), width: u32, pixels: Vec<u8>) -> Option<Self> {
        let height = (pixels.len() as u32).checked_div(width)?;
        let fits = x.checked_add(width)? <= size.0 && y.checked_add(height)? <= size.1 && height > 0;
        let is_plain = pixels.iter().all(|p| *p == pixels[0]);
        (fits && !is_plain && pixels.len() as u32 == width * height).then_some(Self { size, x, y, width, pixels })
    }

    fn cut(frame: &Frame, (x0, x1): (i32, i32), (y0, y1): (i32, i32)) -> Option<Self> {
        let (width, height) = (frame.width() as i32, frame.height() as i32);
        let (x0, x1) = (x0.clamp(0, width) as u32, x1.clamp(0, width) as u32);
        let (y0, y1) = (y0.clamp(0, height) as u32, y1.clamp(0, height) as u32);
        let rows = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
        let pixels = rows.map(|(x, y)| frame.grey(x, y)).collect();
        Self::new((frame.width(), frame.height()), (x0, y0), x1.checked_sub(x0)?, pixels)
    }

    /// Correlation of the frame with the key, -1..=1; 0 for a frame of another size.
    pub fn likeness(&self, frame: &Frame) -> f64 {
        if (frame.width(), frame.height()) != self.size {
            return 0.0;
        }
        let (mut n, mut a, mut b, mut aa, mut ab, mut bb) = (0u64, 0u64, 0u64, 0u64, 0u64, 0u64);
        for (row, key) in self.pixels.chunks_exact(self.width as usize).enumerate() {
            for (column, key) in key.iter().enumerate() {
                let (p, q) = (u64::from(*key), u64::from(frame.grey(self.x + column as u32, self.y + row as u32)));
                (n, a, b) = (n + 1, a + p, b + q);
                (aa, ab, bb) = (aa + p * p, ab + p * q, bb + q * q);
            }
        }
        let spread = |sum: u64, squares: u64| (n * squares) as f64 - (sum * sum) as f64;
        let both = spread(a, aa) * spread(b, bb);
        if both <= 0.0 {
            return 0.0;
        }
        ((n * ab) as f64 - (a * b) as f64) / both.sqrt()
    }

    /// Whether the frame shows this ruler.
    pub fn is_on(&self, frame: &Frame) -> bool {
        self.likeness(frame) >= LIKENESS_MIN
    }
}

/// A scale that somebody measured on the ruler.
#[derive(Clone, Debug)]
pub struct HandScale {
    scale: PixelScale,
    ticks: Option<Ticks>,
    key: Option<RulerKey>,
    region: ImageRegion,
    size: (u32, u32),
    said_aspect: Option<f32>,
    frame: Option<FrameId>,
}

/// What two points on a ruler come to.
struct Ruled {
    mm_per_px: f64,
    relative_error: f32,
    ticks: Option<Ticks>,
    /// Where the ruler is across its direction, and the points along it.
    column: i32,
    along: (f32, f32),
}

impl Ruled {
    /// Reads a ruler that is upright, or level.
    fn read(frame: &Frame, points: &TwoPoints, is_level: bool) -> Result<Self, NoScale> {
        let TwoPoints { a, b, centimetres } = *points;
        if !(1..=CENTIMETRES_MAX).contains(&centimetres) {
            return Err(NoScale::NoDistance);
        }
        if !(frame.contains(a) && frame.contains(b)) {
            return Err(NoScale::OffFrame);
        }
        let strip = Strip { frame, is_level };
        let (a, b) = (strip.turned(a), strip.turned(b));
        let (upper, lower) = if a.y <= b.y { (a, b) } else { (b, a) };
        let length_px = lower.y - upper.y;
        if (lower.x - upper.x).abs() > ASIDE_MAX * length_px.max(LENGTH_PX_MIN) {
            return Err(NoScale::NotUpright);
        }
        if length_px < LENGTH_PX_MIN {
            return Err(NoScale::TooShort);
        }
        let length_mm = 10.0 * f64::from(centimetres);
        let found = Comb::find(&strip, upper, lower);
        let (ticks, column) = match &found {
            Some(comb) => (comb.between(upper.y, lower.y), comb.column),
            None => (None, ((upper.x + lower.x) / 2.0) as i32),
        };
        let ticks = ticks.map(|(steps, spacing_px)| Ticks { spacing_px, steps, length_mm });
        if let Some(ticks) = ticks.filter(|t| !TICK_MM.iter().any(|mm| (t.mm_each() / mm - 1.0).abs() < 1e-6)) {
            return Err(NoScale::TicksDisagree { steps: ticks.steps });
        }
        let (mm_per_px, end_px) = match &ticks {
            Some(t) => (t.mm_each() / t.spacing_px, END_ON_TICK_PX),
            None => (length_mm / f64::from(length_px), END_BY_HAND_PX),
        };
        let relative_error = std::f32::consts::SQRT_2 * end_px / length_px;
        Ok(Self { mm_per_px, relative_error, ticks, column, along: (upper.y, lower.y) })
    }
}

impl HandScale {
    /// The scale of two points on a frame's ruler.
    ///
    /// # Errors
    /// Why they give none.
    pub fn new(frame: &Frame, points: &TwoPoints) -> Result<Self, NoScale> {
        let Ruled { mm_per_px: y, relative_error, ticks, column, along } = Ruled::read(frame, points, false)?;
        let (x, source) = match frame.pixel_aspect() {
            Some(aspect) => (y * f64::from(aspect), ScaleSource::TwoPoint),
            None => (y, ScaleSource::TwoPointSquare),
        };
        let scale = PixelScale::new(Millimetres(x), Millimetres(y), source).ok_or(NoScale::TooShort)?;
        let rows = (along.0 as i32 - 4, along.1 as i32 + 5);
        Ok(Self {
            scale: scale.with_error(relative_error),
            ticks,
            key: ticks.and_then(|_| RulerKey::cut(frame, key_columns(frame, column), rows)),
            region: frame.region(),
            size: (frame.width(), frame.height()),
            said_aspect: frame.pixel_aspect(),
            frame: frame.id(),
        })
    }

    /// The same with the scale of the other axis, by two points side by side on this frame.
    ///
    /// # Errors
    /// Why they give none.
    pub fn across(&self, frame: &Frame, points: &TwoPoints) -> Result<Self, NoScale> {
        if !self.holds_for(frame) {
            return Err(NoScale::DepthFirst);
        }
        let across = Ruled::read(frame, points, true)?;
        let ratio = across.mm_per_px / self.y_mm_per_px();
        if !ASPECT.contains(&(ratio as f32)) {
            return Err(NoScale::OddAspect);
        }
        Ok(self.with_x(across.mm_per_px, across.relative_error))
    }

    /// The aspect of its pixels, where it was measured along both axes.
    pub fn aspect(&self) -> Option<MeasuredAspect> {
        let is_measured = self.scale.source() == ScaleSource::TwoPoint && self.said_aspect.is_none();
        let (x, y) = self.scale.mm_per_px();
        is_measured.then(|| MeasuredAspect {
            ratio: f64::from(x) / f64::from(y),
            relative_error: self.scale.relative_error().unwrap_or(0.0),
            size: self.size,
        })
    }

    /// The same with an aspect that was measured before, where pixels would be taken for square.
    pub fn with_aspect(&self, aspect: &MeasuredAspect) -> Self {
        if self.scale.source() != ScaleSource::TwoPointSquare || aspect.size != self.size {
            return self.clone();
        }
        let error = aspect.relative_error + self.scale.relative_error().unwrap_or(0.0);
        self.with_x(self.y_mm_per_px() * aspect.ratio, error)
    }

    fn y_mm_per_px(&self) -> f64 {
        f64::from(self.scale.mm_per_px().1)
    }

    /// A scale has one error: the larger of its axes.
    fn with_x(&self, x_mm_per_px: f64, relative_error: f32) -> Self {
        let error = relative_error.max(self.scale.relative_error().unwrap_or(0.0));
        let (x, y) = (Millimetres(x_mm_per_px), Millimetres(self.y_mm_per_px()));
        let scale = PixelScale::new(x, y, ScaleSource::TwoPoint).map_or(self.scale, |scale| scale.with_error(error));
        Self { scale, ..self.clone() }
    }

    /// The scale.
    pub fn scale(&self) -> PixelScale {
        self.scale
    }

    /// The ticks that confirm it; `None` where none were found.
    pub fn ticks(&self) -> Option<Ticks> {
        self.ticks
    }

    /// Whether it is the scale of this frame: same size and region, and the same ruler; the very frame where no ticks were
    /// found.
    pub fn holds_for(&self, frame: &Frame) -> bool {
        let is_alike = (frame.width(), frame.height()) == self.size
            && frame.region() == self.region
            && frame.pixel_aspect() == self.said_aspect;
        is_alike
            && match &self.key {
                Some(key) => key.is_on(frame),
                None => frame.id().is_some() && frame.id() == self.frame,
            }
    }
}

/// The columns of a key: the ticks, and what is beside them where the image is not.
fn key_columns(frame: &Frame, column: i32) -> (i32, i32) {
    let image = frame.region().rect;
    let is_whole = image == frame.bounds();
    let is_beside = |x0: i32, x1: i32| !is_whole && (x1 as f32 <= image.x0 || x0 as f32 >= image.x1);
    let left = if is_beside(column - NUMBERS_PX, column) { NUMBERS_PX } else { KEY_SIDE_PX };
    let right = if is_beside(column, column + NUMBERS_PX) { NUMBERS_PX } else { KEY_SIDE_PX };
    (column - left, column + right)
}

/// A frame as a ruler runs over it: from top to bottom, or for a level one turned so that it does.
struct Strip<'a> {
    frame: &'a Frame,
    is_level: bool,
}

impl Strip<'_> {
    fn turned(&self, p: Point<ImageSpace>) -> Point<ImageSpace> {
        if self.is_level { Point::new(p.y, p.x) } else { p }
    }

    /// Columns and rows.
    fn size(&self) -> (i32, i32) {
        let (width, height) = (self.frame.width() as i32, self.frame.height() as i32);
        if self.is_level { (height, width) } else { (width, height) }
    }

    fn grey(&self, column: i32, row: i32) -> u8 {
        let (x, y) = if self.is_level { (row, column) } else { (column, row) };
        self.frame.grey(x as u32, y as u32)
    }
}

/// Equal ticks: where they are, to a fraction of a pixel.
struct Comb {
    column: i32,
    first_px: f64,
    spacing_px: f64,
}

impl Comb {
    /// The most regular ticks in the columns near two points; `None` where there are none.
    fn find(strip: &Strip, upper: Point<ImageSpace>, lower: Point<ImageSpace>) -> Option<Self> {
        let middle = ((upper.x + lower.x) / 2.0) as i32;
        let (width, height) = strip.size();
        let slack = ((lower.y - upper.y) * 0.05) as i32 + 4;
        let rows = ((upper.y as i32 - slack).max(0), (lower.y as i32 + slack + 1).min(height));
        let columns = (middle - SEARCH_PX).max(TICK_HALF_PX)..=(middle + SEARCH_PX).min(width - 1 - TICK_HALF_PX);
        let mut best: Option<(f64, Self)> = None;
        for column in columns {
            let profile = contrast(strip, column, rows);
            let Some((lag, likeness)) = period(&profile) else { continue };
            let strength = likeness * profile.iter().sum::<f64>();
            if best.as_ref().is_some_and(|(s, _)| *s >= strength) {
                continue;
            }
            if let Some((first, spacing_px)) = fitted(&profile, lag) {
                best = Some((strength, Self { column, first_px: first + f64::from(rows.0), spacing_px }));
            }
        }
        best.map(|(_, comb)| comb)
    }

    /// Steps between the ticks nearest to two rows, and their distance; `None` where a row is between two ticks.
    fn between(&self, upper: f32, lower: f32) -> Option<(u16, f64)> {
        let place = |y: f32| (f64::from(y) - 0.5 - self.first_px) / self.spacing_px;
        let (a, b) = (place(upper), place(lower));
        let is_near = |p: f64| (p - p.round()).abs() < 0.4;
        let steps = b.round() - a.round();
        (is_near(a) && is_near(b) && steps >= 1.0).then_some((steps as u16, self.spacing_px))
    }
}

/// How much brighter each row is than the rows around it, in a few columns; 0 where it is not.
fn contrast(strip: &Strip, column: i32, (y0, y1): (i32, i32)) -> Vec<f64> {
    let of_row = |y: i32| {
        let columns = column - TICK_HALF_PX..=column + TICK_HALF_PX;
        columns.map(|x| f64::from(strip.grey(x, y))).sum::<f64>() / f64::from(2 * TICK_HALF_PX + 1)
    };
    let rows: Vec<f64> = (y0..y1).map(of_row).collect();
    let around = |i: usize| {
        let part = &rows[i.saturating_sub(BACKGROUND_PX)..(i + BACKGROUND_PX + 1).min(rows.len())];
        part.iter().sum::<f64>() / part.len() as f64
    };
    (0..rows.len()).map(|i| (rows[i] - around(i)).max(0.0)).collect()
}

/// The shortest distance at which a profile is like itself, and how much; `None` where it is not, or has no contrast.
fn period(profile: &[f64]) -> Option<(usize, f64)> {
    let n = profile.len();
    if profile.iter().copied().fold(0.0, f64::max) < CONTRAST_MIN || n < 3 * SPACING_PX_MIN {
        return None;
    }
    let mean = profile.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = profile.iter().map(|v| v - mean).collect();
    let likeness = |lag: usize| {
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        // Ticks that are not whole pixels apart drift by a row: the neighbours count as well.
        for i in 1..n - lag - 1 {
            let shifted = (centred[i + lag - 1] + centred[i + lag] + centred[i + lag + 1]) / 2.0;
            let here = (centred[i - 1] + centred[i] + centred[i + 1]) / 2.0;
            (ab, aa, bb) = (ab + here * shifted, aa + here * here, bb + shifted * shifted);
        }
        if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
    };
    let likenesses: Vec<f64> = (0..n / 2).map(|lag| if lag < SPACING_PX_MIN { 0.0 } else { likeness(lag) }).collect();
    let most = likenesses.iter().copied().fold(0.0, f64::max);
    if most < PERIODIC_MIN {
        return None;
    }
    let is_peak = |lag: usize| {
        let at = |l: usize| likenesses.get(l).copied().unwrap_or(0.0);
        at(lag) >= 0.85 * most && at(lag) >= at(lag - 1) && at(lag) >= at(lag + 1)
    };
    let lag = (SPACING_PX_MIN..likenesses.len()).find(|&lag| is_peak(lag))?;
    Some((lag, likenesses[lag]))
}

/// First tick and spacing by least squares over all ticks, rows of the profile; `None` where they are not equal.
fn fitted(profile: &[f64], lag: usize) -> Option<(f64, f64)> {
    let strongest = (0..profile.len()).max_by(|&a, &b| profile[a].total_cmp(&profile[b]))?;
    let floor = 0.3 * profile[strongest];
    // Walks from the strongest tick in both directions, each time from where the last one was found.
    let mut ticks = vec![(0i32, centroid(profile, strongest as f64, floor)?)];
    for direction in [1i32, -1] {
        let (mut at, mut step) = (ticks[0].1, 0);
        loop {
            step += direction;
            let expected = at + f64::from(direction) * lag as f64;
            let is_inside = expected > 1.0 && expected < profile.len() as f64 - 2.0;
            if !is_inside {
                break;
            }
            match centroid(profile, expected, floor) {
                Some(found) => {
                    at = found;
                    ticks.push((step, found));
                }
                None => return None,
            }
        }
    }
    if ticks.len() < 3 {
        return None;
    }
    let n = ticks.len() as f64;
    let (mk, my) = (ticks.iter().map(|t| f64::from(t.0)).sum::<f64>() / n, ticks.iter().map(|t| t.1).sum::<f64>() / n);
    let (mut kk, mut ky) = (0.0, 0.0);
    for (k, y) in &ticks {
        let k = f64::from(*k) - mk;
        (kk, ky) = (kk + k * k, ky + k * (y - my));
    }
    let spacing = ky / kk;
    let is_equal = ticks.iter().all(|(k, y)| (y - my - spacing * (f64::from(*k) - mk)).abs() < 1.5);
    (is_equal && spacing > 0.0).then_some((my - spacing * mk, spacing))
}

/// The middle of a tick near a row; `None` where there is none as strong as `floor`.
fn centroid(profile: &[f64], row: f64, floor: f64) -> Option<f64> {
    let near = |row: usize, reach: usize| row.saturating_sub(reach)..(row + reach + 1).min(profile.len());
    let peak = near(row.round() as usize, 2).max_by(|&a, &b| profile[a].total_cmp(&profile[b]))?;
    if profile[peak] < floor {
        return None;
    }
    let (sum, moment) = near(peak, 2).fold((0.0, 0.0), |(s, m), i| (s + profile[i], m + profile[i] * i as f64));
    Some(moment / sum)
}

#[cfg(test)]
mod tests;
