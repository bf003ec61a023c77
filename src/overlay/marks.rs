//! What is drawn on the frame besides outlines: prompts, boxes, labels (chips), banners. Everything goes through the
//! clip.

use crate::frame::Frame;
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Rect};
use crate::overlay::blend::{Painter, PxRect, alpha, stretch};
use crate::overlay::layout::Layout;
use crate::overlay::text::Typeface;
use crate::overlay::theme::Theme;
use crate::prompt::Polarity;
use crate::scene::{Marker, ObjectScene};
use crate::units::ObjectId;

const CLICK_RADIUS_MM: f32 = 2.2;
const CORNER_MM: f32 = 4.0;
const REGION_ARM_MM: f32 = 3.5;
const REGION_DASH_MM: f32 = 0.8;
const REGION_GAP_MM: f32 = 2.2;

/// The shape that identifies an object besides its colour: disc, triangle, square, diamond.
pub(super) fn glyph(painter: &mut Painter, object: ObjectId, cx: f32, cy: f32, radius: f32, colour: u32) {
    let r = around(cx, cy, radius + 1.0);
    match object.index() % ObjectId::MAX {
        0 => painter.shape(r, colour, 256, |x, y| length(x - cx, y - cy) - radius * 0.95),
        1 => painter.shape(r, colour, 256, |x, y| {
            let (dx, dy) = ((x - cx).abs(), y - cy - radius * 0.12);
            (0.866 * dx - 0.5 * dy - radius * 0.5).max(dy - radius * 0.72)
        }),
        2 => painter.shape(r, colour, 256, |x, y| (x - cx).abs().max((y - cy).abs()) - radius * 0.85),
        _ => painter.shape(r, colour, 256, |x, y| ((x - cx).abs() + (y - cy).abs() - radius * 1.15) * 0.707),
    }
}

/// A prompt: a circle with a plus, a square with a minus, or the corners of a box.
pub(super) fn marker(
    painter: &mut Painter,
    px_per_mm: f32,
    to_display: &Converter<ImageSpace, DisplaySpace>,
    marker: &Marker,
    colour: u32,
) {
    match *marker {
        Marker::Click { at, polarity, .. } => {
            let p = to_display.apply(at);
            if p.is_finite() {
                click(painter, px_per_mm, p.x, p.y, polarity, colour);
            }
        }
        Marker::Box { rect, .. } => corners(painter, px_per_mm, &to_display.apply_rect(&rect), colour),
    }
}

fn click(painter: &mut Painter, px_per_mm: f32, cx: f32, cy: f32, polarity: Polarity, colour: u32) {
    let radius = px_per_mm * CLICK_RADIUS_MM;
    let half = (px_per_mm * 0.16).clamp(0.8, 2.0);
    let arm = radius * 0.55;
    let across = stretch(cx - arm, cy, cx + arm, cy);
    let down = stretch(cx, cy - arm, cx, cy + arm);
    let distance = |x: f32, y: f32| match polarity {
        Polarity::Positive => (length(x - cx, y - cy) - radius).abs().min(across(x, y)).min(down(x, y)),
        Polarity::Negative => ((x - cx).abs().max((y - cy).abs()) - radius * 0.92).abs().min(across(x, y)),
    };
    let r = around(cx, cy, radius + half + 3.0);
    painter.shape(r, Theme::DARK.halo, alpha(0.65), |x, y| distance(x, y) - half - 1.4);
    painter.shape(r, colour, 256, |x, y| distance(x, y) - half);
}

/// The corners of a placed box, with faint sides.
fn corners(painter: &mut Painter, px_per_mm: f32, rect: &Rect<DisplaySpace>, colour: u32) {
    let arm = (px_per_mm * CORNER_MM).min(rect.width() / 3.0).min(rect.height() / 3.0);
    sides(painter, rect, 0.6, Theme::DARK.halo, alpha(0.5), |_, _| true);
    sides(painter, rect, 0.5, colour, alpha(0.55), |_, _| true);
    let near = |along: f32, whole: f32| along < arm || along > whole - arm;
    let half = (px_per_mm * 0.2).clamp(1.0, 2.5);
    sides(painter, rect, half + 1.4, Theme::DARK.halo, alpha(0.6), near);
    sides(painter, rect, half, colour, 256, near);
}

/// A box that is being dragged.
pub(super) fn rubber_band(painter: &mut Painter, layout: &Layout, rect: &Rect<DisplaySpace>, colour: u32) {
    let half = layout.mm(0.17).clamp(1.0, 2.0);
    sides(painter, rect, half + 1.2, Theme::DARK.halo, alpha(0.6), |_, _| true);
    sides(painter, rect, half, colour, 256, |_, _| true);
    painter.fill(PxRect::around(rect), colour, alpha(0.08));
}

/// Draws the sides of a rectangle, `half` px to each side of the edge, where `is_inked(position along the side, its
/// length)`.
fn sides(
    painter: &mut Painter,
    rect: &Rect<DisplaySpace>,
    half: f32,
    colour: u32,
    alpha: u32,
    is_inked: impl Fn(f32, f32) -> bool,
) {
    if !(rect.min().is_finite() && rect.max().is_finite()) {
        return;
    }
    let (w, h) = (rect.width(), rect.height());
    let inked = |x: f32, y: f32| {
        let (along_x, along_y) = ((x - rect.x0).clamp(0.0, w), (y - rect.y0).clamp(0.0, h));
        let (dx, dy) = ((x - rect.x0).abs().min((x - rect.x1).abs()), (y - rect.y0).abs().min((y - rect.y1).abs()));
        let is_level = dy <= dx;
        if is_level { is_inked(along_x, w) } else { is_inked(along_y, h) }
    };
    let (cx, cy) = (rect.centre().x, rect.centre().y);
    let distance = |x: f32, y: f32| {
        let d = ((x - cx).abs() - w / 2.0).max((y - cy).abs() - h / 2.0).abs() - half;
        if d < 1.0 && !inked(x, y) { 9.0 } else { d }
    };
    let all = PxRect::around(rect).grown(half.ceil() as i32 + 1);
    let band = (2.0 * half).ceil() as i32 + 3;
    painter.shape(PxRect::new(all.x0, all.y0, all.x1, all.y0 + band), colour, alpha, distance);
    let below = (all.y1 - band).max(all.y0 + band);
    painter.shape(PxRect::new(all.x0, below, all.x1, all.y1), colour, alpha, distance);
    painter.shape(PxRect::new(all.x0, all.y0 + band, all.x0 + band, below), colour, alpha, distance);
    let right = (all.x1 - band).max(all.x0 + band);
    painter.shape(PxRect::new(right, all.y0 + band, all.x1, below), colour, alpha, distance);
}

/// Where the regions of a frame end: corners of those that take prompts, dashes around all others. Nothing for a frame that
/// is one region and no more.
pub(super) fn regions(
    painter: &mut Painter,
    layout: &Layout,
    to_display: &Converter<ImageSpace, DisplaySpace>,
    frame: &Frame,
) {
    let parts = frame.parts();
    let picture = whole_px(&to_display.apply_rect(&frame.bounds())).intersect(painter.bounds());
    let place = |rect: &Rect<ImageSpace>| whole_px(&to_display.apply_rect(rect)).intersect(picture);
    if parts.len() < 2 && parts.iter().all(|r| place(&r.rect) == picture) {
        return;
    }
    let line = (layout.mm(0.12).round() as i32).max(1);
    let [arm, dash, gap] = [REGION_ARM_MM, REGION_DASH_MM, REGION_GAP_MM].map(|mm| layout.mm(mm).round() as i32);
    // The topmost last.
    for region in parts.iter().rev() {
        let place = place(&region.rect);
        for (whole, is_level) in [(place.width(), true), (place.height(), false)] {
            let mut piece =
                |from: i32, to: i32| side_pieces(painter, place, is_level, line, from.max(0), to.min(whole));
            if region.content.is_segmentable() {
                piece(0, arm.min(whole / 3));
                piece(whole - arm.min(whole / 3), whole);
            } else {
                (0..whole).step_by((dash + gap).max(2) as usize).for_each(|from| piece(from, from + dash.max(1)));
            }
        }
    }
}

/// A piece of both level or both upright sides, within the rectangle, with a dark line inside of it.
fn side_pieces(painter: &mut Painter, r: PxRect, is_level: bool, line: i32, from: i32, to: i32) {
    let theme = &Theme::DARK;
    let at = |offset: i32| match is_level {
        true => PxRect::new(r.x0 + from, r.y0 + offset, r.x0 + to, r.y0 + offset + line),
        false => PxRect::new(r.x0 + offset, r.y0 + from, r.x0 + offset + line, r.y0 + to),
    };
    let depth = if is_level { r.height() } else { r.width() };
    for (offset, colour, strength) in [
        (line, theme.halo, 0.5),
        (depth - 2 * line, theme.halo, 0.5),
        (0, theme.text, 0.75),
        (depth - line, theme.text, 0.75),
    ] {
        painter.fill(at(offset), colour, alpha(strength));
    }
}

/// The pixels that most of is within a rectangle.
fn whole_px(r: &Rect<DisplaySpace>) -> PxRect {
    let [x0, y0, x1, y1] = [r.x0, r.y0, r.x1, r.y1].map(|v| v.round() as i32);
    PxRect::new(x0, y0, x1, y1)
}

/// A label beside an outline.
pub(super) struct Chip<'a> {
    pub(super) object: ObjectId,
    /// The object's colour.
    pub(super) colour: u32,
    /// Age of the prediction, if the outline was not computed from this frame.
    pub(super) age: &'a str,
    /// What the operator is asked to do, if anything.
    pub(super) cue: &'a str,
}

/// What chips must not cover.
pub(super) struct ChipPlaces<'a> {
    objects: &'a [ObjectScene],
    to_display: &'a Converter<ImageSpace, DisplaySpace>,
    /// Half the size of a marker, display px.
    reach: f32,
    /// The areas that outlines cover, by object.
    outlines: [PxRect; ObjectId::MAX],
    taken: [PxRect; ObjectId::MAX],
    count: usize,
}

impl<'a> ChipPlaces<'a> {
    pub(super) fn new(
        objects: &'a [ObjectScene],
        to_display: &'a Converter<ImageSpace, DisplaySpace>,
        layout: &Layout,
        outlines: [PxRect; ObjectId::MAX],
    ) -> Self {
        let reach = layout.mm(CLICK_RADIUS_MM) + 2.0;
        Self { objects, to_display, reach, outlines, taken: Default::default(), count: 0 }
    }

    fn is_on_marker(&self, r: PxRect) -> bool {
        let clicks = self.objects.iter().flat_map(|o| &o.markers).filter_map(|m| match m {
            Marker::Click { at, .. } => Some(self.to_display.apply(*at)),
            Marker::Box { .. } => None,
        });
        clicks.into_iter().any(|p| !around(p.x, p.y, self.reach).intersect(r).is_empty())
    }

    /// A free place of that size near `about`: above, below, right or left of it, else anywhere. Markers and outlines
    /// are avoided where possible.
    fn find(&mut self, painter: &Painter, about: PxRect, width: i32, height: i32) -> Option<PxRect> {
        const APART: i32 = 4;
        let area = painter.bounds();
        if width > area.width() || height > area.height() {
            return None;
        }
        let at = |x: i32, y: i32| {
            let x = x.clamp(area.x0, area.x1 - width);
            let y = y.clamp(area.y0, area.y1 - height);
            PxRect::new(x, y, x + width, y + height)
        };
        let (cx, cy) = ((about.x0 + about.x1 - width) / 2, (about.y0 + about.y1 - height) / 2);
        let beside = [
            at(cx, about.y0 - APART - height),
            at(cx, about.y1 + APART),
            at(about.x1 + APART, cy),
            at(about.x0 - APART - width, cy),
        ];
        let grid = (area.y0..area.y1).step_by(16).flat_map(|y| (area.x0..area.x1).step_by(16).map(move |x| at(x, y)));
        let is_free = |r: &PxRect| {
            painter.clip().allows_all(*r) && self.taken[..self.count].iter().all(|t| t.intersect(*r).is_empty())
        };
        let is_clear = |r: &PxRect| {
            is_free(r) && self.outlines.iter().all(|o| o.intersect(*r).is_empty()) && !self.is_on_marker(*r)
        };
        let off_own = |r: &PxRect| is_free(r) && r.intersect(about).is_empty();
        let mut near = beside.into_iter();
        let place = near
            .find(is_clear)
            .or_else(|| beside.into_iter().find(|r| off_own(r) && !self.is_on_marker(*r)))
            .or_else(|| grid.clone().find(is_clear))
            .or_else(|| beside.into_iter().find(off_own))
            .or_else(|| grid.clone().find(is_free))?;
        if self.count < self.taken.len() {
            self.taken[self.count] = place;
            self.count += 1;
        }
        Some(place)
    }

    /// Draws the words of a suggestion near its outline, or nothing if keep-outs leave no room.
    pub(super) fn put_suggested(
        &mut self,
        painter: &mut Painter,
        layout: &Layout,
        face: &Typeface,
        about: PxRect,
        words: &str,
    ) {
        let theme = &Theme::DARK;
        let pad = layout.mm(0.9) as i32;
        let (width, height) = (2 * pad + face.width(words), 2 * pad + face.cap_height());
        let Some(place) = self.find(painter, about, width, height) else { return };
        painter.round_rect(place, height as f32 / 2.5, theme.chip, alpha(0.8));
        face.draw(painter, place.x0 + pad, place.y0 + pad, words, theme.suggested);
    }

    /// Draws a chip near its outline, or nothing if keep-outs leave no room.
    pub(super) fn put(&mut self, painter: &mut Painter, layout: &Layout, face: &Typeface, chip: &Chip) {
        let theme = &Theme::DARK;
        let pad = layout.mm(0.9) as i32;
        let symbol = face.cap_height();
        let wide = |text: &str| if text.is_empty() { 0 } else { face.width(text) + face.advance() };
        let width = 2 * pad + symbol + wide(chip.age) + wide(chip.cue);
        let height = symbol + 2 * pad;
        let about = self.outlines[chip.object.index() % ObjectId::MAX];
        let Some(place) = self.find(painter, about, width, height) else { return };
        painter.round_rect(place, height as f32 / 2.5, theme.chip, 256);
        let (_, cy) = place.centre();
        let half = symbol as f32 / 2.0;
        glyph(painter, chip.object, (place.x0 + pad) as f32 + half, cy, half, chip.colour);
        let y = place.y0 + pad;
        let mut x = place.x0 + pad + symbol + face.advance();
        face.draw(painter, x, y, chip.age, theme.text);
        x += wide(chip.age);
        face.draw(painter, x, y, chip.cue, theme.cue);
    }
}

/// Large text across the dimmed frame.
pub(super) fn banner(painter: &mut Painter, face: &Typeface, text: &str) {
    let theme = &Theme::DARK;
    let area = painter.bounds();
    painter.fill(area, theme.chip, alpha(0.55));
    let (cx, cy) = area.centre();
    let half = face.cap_height() * 11 / 10;
    painter.fill(PxRect::new(area.x0, cy as i32 - half, area.x1, cy as i32 + half), theme.chip, 256);
    face.draw_centred(painter, cx, cy, text, theme.alarm);
}

fn around(cx: f32, cy: f32, radius: f32) -> PxRect {
    PxRect::around(&Rect::new(cx - radius, cy - radius, cx + radius, cy + radius))
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}
