//! Typefaces of any size: embedded-graphics' bitmap fonts, enlarged smoothly where the screen needs larger ones.

use embedded_graphics::geometry::{OriginDimensions, Point};
use embedded_graphics::image::GetPixel;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13, FONT_8X13, FONT_9X15, FONT_9X18, FONT_10X20};
use embedded_graphics::pixelcolor::BinaryColor;

use crate::overlay::blend::Painter;

const FIRST: [(u32, u32); 2] = [(0x20, 0x7F), (0xA0, 0x100)];
const GLYPHS: usize = 95 + 96;

/// The printable characters of ISO 8859-1 at one size, as coverage; others are drawn as a question mark.
///
/// Guarantees: fixed width; drawing allocates nothing.
///
/// ```
/// use sonotap::overlay::text::Typeface;
/// let face = Typeface::with_cap_height(13.0);
/// assert!((face.cap_height() - 13).abs() <= 1);
/// assert_eq!(face.width("12 mm²"), 6 * face.width("m"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Typeface {
    columns: usize,
    rows: usize,
    cap_top: usize,
    cap_height: usize,
    coverage: Vec<u8>,
}

impl Typeface {
    /// A typeface whose capitals are `target` display px high, within half a px, and at least 6.
    pub fn with_cap_height(target: f32) -> Self {
        let (font, k) = Self::choose(target);
        Self::scaled(font, k)
    }

    /// Width of a character of [`Self::with_cap_height`], without building the typeface.
    pub fn advance_for(target: f32) -> i32 {
        let (font, k) = Self::choose(target);
        (font.character_size.width as f32 * k).round() as i32
    }

    /// The font and its enlargement: a font of exactly that size, else the largest one, scaled.
    fn choose(target: f32) -> (&'static MonoFont<'static>, f32) {
        let target = target.clamp(6.0, 200.0);
        let fonts = [&FONT_6X10, &FONT_7X13, &FONT_8X13, &FONT_9X15, &FONT_9X18, &FONT_10X20];
        let cap = |f: &MonoFont| cap_rows(f).1 as f32;
        let exact = fonts.into_iter().rfind(|f| (cap(f) - target).abs() <= 0.5);
        exact.map_or((&FONT_10X20, target / cap(&FONT_10X20)), |font| (font, 1.0))
    }

    fn scaled(font: &MonoFont, k: f32) -> Self {
        let (w, h) = (font.character_size.width as f32, font.character_size.height as f32);
        let (columns, rows) = ((w * k).round() as usize, (h * k).round() as usize);
        let (top, height) = cap_rows(font);
        let mut coverage = Vec::with_capacity(GLYPHS * columns * rows);
        for c in FIRST.iter().flat_map(|&(a, b)| a..b).filter_map(char::from_u32) {
            let bitmap = Bits::of(font, c);
            for row in 0..rows {
                for column in 0..columns {
                    let (x, y) = ((column as f32 + 0.5) / k, (row as f32 + 0.5) / k);
                    coverage.push((bitmap.smooth(x, y, k) * 255.0 + 0.5) as u8);
                }
            }
        }
        let cap_top = (top as f32 * k).round() as usize;
        Self { columns, rows, cap_top, cap_height: (height as f32 * k).round() as usize, coverage }
    }

    /// Height of a capital, display px.
    pub fn cap_height(&self) -> i32 {
        self.cap_height as i32
    }

    /// Distance between lines, display px.
    pub fn line_height(&self) -> i32 {
        self.rows as i32
    }

    /// Width of a text, display px.
    pub fn width(&self, text: &str) -> i32 {
        (text.chars().count() * self.columns) as i32
    }

    /// Width of one character, display px.
    pub fn advance(&self) -> i32 {
        self.columns as i32
    }

    /// Draws a text; (x, y) is the top left corner of its first capital.
    pub fn draw(&self, painter: &mut Painter, x: i32, y: i32, text: &str, colour: u32) {
        let mut x = x;
        for c in text.chars() {
            let size = self.columns * self.rows;
            let at = glyph_of(c) * size;
            painter.stamp(x, y - self.cap_top as i32, self.columns, &self.coverage[at..at + size], colour);
            x += self.columns as i32;
        }
    }

    /// Draws a text whose capitals are centred at (x, y).
    pub fn draw_centred(&self, painter: &mut Painter, x: f32, y: f32, text: &str, colour: u32) {
        let left = (x - self.width(text) as f32 / 2.0).round() as i32;
        self.draw(painter, left, (y - self.cap_height as f32 / 2.0).round() as i32, text, colour);
    }
}

fn glyph_of(c: char) -> usize {
    match u32::from(c) {
        v @ 0x20..=0x7E => v as usize - 0x20,
        v @ 0xA0..=0xFF => v as usize - 0xA0 + 95,
        _ => '?' as usize - 0x20,
    }
}

/// One glyph of a font, 0 or 1 per pixel, with a margin of one empty pixel.
struct Bits {
    width: usize,
    height: usize,
    ink: Vec<f32>,
}

impl Bits {
    fn of(font: &MonoFont, c: char) -> Self {
        let (w, h) = (font.character_size.width as i32, font.character_size.height as i32);
        let (index, a_row) = (font.glyph_mapping.index(c) as i32, font.image.size().width as i32 / w);
        let corner = Point::new(index % a_row * w, index / a_row * h);
        let is_inked = |x: i32, y: i32| {
            let is_inside = (0..w).contains(&x) && (0..h).contains(&y);
            is_inside && font.image.pixel(corner + Point::new(x, y)) == Some(BinaryColor::On)
        };
        let all = (-1..=h).flat_map(|y| (-1..=w).map(move |x| (x, y)));
        let ink = all.map(|(x, y)| if is_inked(x, y) { 1.0 } else { 0.0 }).collect();
        Self { width: w as usize + 2, height: h as usize + 2, ink }
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.ink[y * self.width..(y + 1) * self.width]
    }

    /// The glyph as a smooth field, thresholded at one half: corners become round instead of stepped.
    fn smooth(&self, x: f32, y: f32, k: f32) -> f32 {
        let (gx, gy) = (x + 0.5, y + 0.5);
        let (x0, y0) = ((gx as usize).min(self.width - 2), (gy as usize).min(self.height - 2));
        let (fx, fy) = (gx - x0 as f32, gy - y0 as f32);
        let along = |row: &[f32]| row[x0] + (row[x0 + 1] - row[x0]) * fx;
        let (top, bottom) = (along(self.row(y0)), along(self.row(y0 + 1)));
        let field = top + (bottom - top) * fy;
        ((field - 0.45) * k.max(1.0) * 1.3 + 0.5).clamp(0.0, 1.0)
    }
}

/// First row and number of rows of an H.
fn cap_rows(font: &MonoFont) -> (usize, usize) {
    let letter = Bits::of(font, 'H');
    let is_inked = |y: &usize| letter.row(*y).contains(&1.0);
    let first = (1..letter.height).find(is_inked).unwrap_or(1);
    let last = (1..letter.height).rfind(is_inked).unwrap_or(letter.height - 2);
    (first - 1, last - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::blend::{Clip, PxRect};
    use crate::overlay::canvas::Canvas;

    #[test]
    fn capitals_have_the_asked_height_at_every_size() {
        for target in [6.0, 7.5, 9.4, 10.0, 13.1, 14.8, 20.0, 39.0, 80.0] {
            let face = Typeface::with_cap_height(target);
            assert!((face.cap_height() as f32 - target).abs() <= 0.51, "{target}: {}", face.cap_height());
            let area = PxRect::new(0, 0, 120, 120);
            let (mut canvas, clip) = (Canvas::new(120, 120), Clip::whole(area));
            face.draw(&mut Painter::new(&mut canvas, &clip), 20, 20, "H", 0xFFFFFF);
            let inked = |y: &u32| (0..120).any(|x| canvas.get(x, *y).unwrap() & 255 >= 128);
            let (top, bottom) = ((0..120).find(inked).unwrap(), (0..120).rfind(inked).unwrap());
            let drawn = (bottom - top + 1) as f32;
            assert!((drawn - target).abs() <= 1.01 && top.abs_diff(20) <= 1, "{target}: {drawn} px from {top}");
        }
    }

    #[test]
    fn the_width_is_known_without_making_the_letters() {
        for target in [3.0, 7.5, 10.0, 13.0, 15.5, 33.3, 60.0] {
            assert_eq!(Typeface::advance_for(target), Typeface::with_cap_height(target).advance(), "{target}");
        }
    }

    #[test]
    fn an_unknown_character_is_a_question_mark() {
        for (c, same) in [('?', '?'), ('\n', '?'), ('日', '?'), ('\u{7F}', '?'), ('\u{9F}', '?')] {
            assert_eq!(glyph_of(c), glyph_of(same), "{c:?}");
        }
        assert_eq!((glyph_of(' '), glyph_of('ÿ')), (0, GLYPHS - 1));
    }
}
