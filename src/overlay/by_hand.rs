//! Calipers on the picture, and the text of measuring by hand.

use crate::calipers::set::Shape;
use crate::calipers::{CaliperView, Mark, Page, Tone};
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Point};
use crate::overlay::blend::{Painter, PxRect, alpha, stretch};
use crate::overlay::outline::{LineColours, LineStyle, OutlinePainter};
use crate::overlay::text::Typeface;
use crate::overlay::theme::Theme;

const ARM_MM: f32 = 1.7;

/// Where and with what calipers are drawn.
pub(super) struct CaliperPen<'a> {
    pub(super) outliner: &'a mut OutlinePainter,
    pub(super) face: &'a Typeface,
    pub(super) px_per_mm: f32,
    pub(super) to_display: &'a Converter<ImageSpace, DisplaySpace>,
}

impl CaliperPen<'_> {
    /// Draws the calipers of a view and the points that wait.
    pub(super) fn draw(&mut self, painter: &mut Painter, view: &CaliperView) {
        for mark in &view.marks {
            self.mark(painter, mark);
        }
        let colour = Theme::DARK.cue;
        for p in &view.points {
            self.cross(painter, *p, colour, true);
        }
        if let (Some(Page::Volume | Page::Scale), [a, b]) = (view.page, view.points.as_slice()) {
            self.line(painter, *a, *b, colour, 0.5);
        }
    }

    fn mm(&self, mm: f32) -> f32 {
        mm * self.px_per_mm
    }

    /// Draws one caliper.
    pub(super) fn mark(&mut self, painter: &mut Painter, mark: &Mark) {
        let colour = Theme::DARK.frozen;
        match (&mark.shape, &mark.ring) {
            (Shape::Distance { a, b }, _) => self.line(painter, *a, *b, colour, 0.8),
            (_, Some(ring)) => {
                let colours = LineColours { line: colour, halo: Theme::DARK.halo };
                self.outliner.line(painter, ring, self.to_display, LineStyle::Fresh, self.px_per_mm, colours);
            }
            _ => {}
        }
        for end in mark.shape.ends() {
            self.cross(painter, end, colour, mark.is_selected);
        }
        let at = mark.shape.ends().next().or_else(|| topmost(mark)).unwrap_or_default();
        self.letter(painter, at, mark);
    }

    /// The letter, above and to the left of a place, within the picture.
    fn letter(&self, painter: &mut Painter, at: Point<ImageSpace>, mark: &Mark) {
        let theme = &Theme::DARK;
        let (p, pad) = (self.to_display.apply(at), self.mm(0.7) as i32);
        let (width, height) = (self.face.advance() + 2 * pad, self.face.cap_height() + 2 * pad);
        let area = painter.bounds();
        if !p.is_finite() || area.width() < width || area.height() < height {
            return;
        }
        let away = self.mm(ARM_MM) as i32;
        let x = (p.x as i32 - away - width).clamp(area.x0, area.x1 - width);
        let y = (p.y as i32 - away - height).clamp(area.y0, area.y1 - height);
        let place = PxRect::new(x, y, x + width, y + height);
        let (ground, ink) = if mark.is_selected { (theme.frozen, theme.text_frozen) } else { (theme.chip, theme.text) };
        painter.round_rect(place, self.mm(0.8), ground, 256);
        self.face.draw(painter, x + pad, y + pad, mark.letter.encode_utf8(&mut [0; 4]), ink);
    }

    fn cross(&self, painter: &mut Painter, at: Point<ImageSpace>, colour: u32, is_strong: bool) {
        let p = self.to_display.apply(at);
        if !p.is_finite() {
            return;
        }
        let (arm, half) = (self.mm(ARM_MM), self.mm(0.14).clamp(0.8, 2.0));
        let half = if is_strong { 1.5 * half } else { half };
        let (across, down) = (stretch(p.x - arm, p.y, p.x + arm, p.y), stretch(p.x, p.y - arm, p.x, p.y + arm));
        let reach = arm + half + 3.0;
        let area =
            PxRect::new((p.x - reach) as i32, (p.y - reach) as i32, (p.x + reach) as i32 + 1, (p.y + reach) as i32 + 1);
        painter.shape(area, Theme::DARK.halo, alpha(0.65), |x, y| across(x, y).min(down(x, y)) - half - 1.4);
        painter.shape(area, colour, 256, |x, y| across(x, y).min(down(x, y)) - half);
    }

    fn line(&self, painter: &mut Painter, a: Point<ImageSpace>, b: Point<ImageSpace>, colour: u32, strength: f32) {
        let (a, b) = (self.to_display.apply(a), self.to_display.apply(b));
        if !(a.is_finite() && b.is_finite()) {
            return;
        }
        let distance = stretch(a.x, a.y, b.x, b.y);
        let (x0, x1, y0, y1) = (a.x.min(b.x), a.x.max(b.x), a.y.min(b.y), a.y.max(b.y));
        let area = PxRect::new(x0 as i32 - 3, y0 as i32 - 3, x1 as i32 + 4, y1 as i32 + 4);
        painter.shape(area, Theme::DARK.halo, alpha(0.5), |x, y| distance(x, y) - 1.8);
        painter.shape(area, colour, alpha(strength), |x, y| distance(x, y) - 0.7);
    }
}

fn topmost(mark: &Mark) -> Option<Point<ImageSpace>> {
    mark.ring.as_ref()?.points().iter().copied().min_by(|a, b| a.y.total_cmp(&b.y))
}

/// The colour of a line of text.
pub(super) fn tone_colour(tone: Tone) -> u32 {
    match tone {
        Tone::Plain => Theme::DARK.text,
        Tone::Dim => Theme::DARK.text_dim,
        Tone::Cue => Theme::DARK.cue,
    }
}
