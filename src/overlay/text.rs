//! Letters of any size: embedded-graphics' bitmap fonts, smoothed where the screen needs them larger than they are.

use embedded_graphics::geometry::{OriginDimensions, Point};
use embedded_graphics::image::GetPixel;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13, FONT_8X13, FONT_9X15, FONT_9X18, FONT_10X20};
use embedded_graphics::pixelcolor::BinaryColor;

use crate::overlay::blend::Painter;

const FIRST: [(u32, u32); 2] = [(0x20, 0x7F), (0xA0, 0x100)];
const GLYPHS: usize = 95 + 96;

/// The printable characters of ISO 8859-1 at one size, as coverage; others show as a question mark.
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
    /// A typeface whose capitals are `target` display px high, within half a px, and never below 6.
    pub fn with_cap_height(target: f32) -> Self {
        let target = target.clamp(6.0, 200.0);
        let fonts = [&FONT_6X10, &FONT_7X13, &FONT_8X13, &FONT_9X15, &FONT_9X18, &FONT_10X20];
        let cap = |f: &MonoFont| cap_rows(f).1 as f32;
        let exact = fonts.iter().rfind(|f| (cap(f) - target).abs() <= 0.5);
        match exact {
            Some(font) => Self::scaled(font, 1.0),
            None => Self::scaled(&FONT_10X20, target / cap(&FONT_10X20)),
        }
    }

    fn scaled(font: &MonoFont, k: f32) -> Self {
        let (w, h) = (font.character_size.width as f32, font.character_size.height as f32);
        let (columns, rows) = ((w * k).round() as usize, (h * k).round() as usize);
        let (top, height) = cap_rows(font);
        let mut coverage = Vec::with_capacity(GLYPHS * columns * rows);
        for c in FIRST.iter().flat_map(|&(a, b)| a..b).filter_map(char::from_u32) {
            for row in 0..rows {
                for column in 0..columns {
                    let (x, y) = ((column as f32 + 0.5) / k, (row as f32 + 0.5) / k);
                    coverage.push((smooth(font, c, x, y, k) * 255.0 + 0.5) as u8);
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

    /// From one line to the next, display px.
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

    /// Draws a text whose first capital has its top left corner at (x, y).
    pub fn draw(&self, painter: &mut Painter, x: i32, y: i32, text: &str, colour: u32) {
        let mut x = x;
        for c in text.chars() {
            let size = self.columns * self.rows;
            let at = glyph_of(c) * size;
            painter.stamp(x, y - self.cap_top as i32, self.columns, &self.coverage[at..at + size], colour);
            x += self.columns as i32;
        }
    }

    /// Draws a text with the middle of its capitals at (x, y).
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

fn ink(font: &MonoFont, c: char, x: i32, y: i32) -> f32 {
    let (w, h) = (font.character_size.width as i32, font.character_size.height as i32);
    if x < 0 || y < 0 || x >= w || y >= h {
        return 0.0;
    }
    let (index, a_row) = (font.glyph_mapping.index(c) as i32, font.image.size().width as i32 / w);
    let at = Point::new(index % a_row * w + x, index / a_row * h + y);
    if font.image.pixel(at) == Some(BinaryColor::On) { 1.0 } else { 0.0 }
}

/// The bitmap as a smooth field, cut at one half: corners become round instead of stepped.
fn smooth(font: &MonoFont, c: char, x: f32, y: f32, k: f32) -> f32 {
    let (gx, gy) = (x - 0.5, y - 0.5);
    let (x0, y0) = (gx.floor(), gy.floor());
    let (fx, fy) = (gx - x0, gy - y0);
    let at = |i: i32, j: i32| ink(font, c, x0 as i32 + i, y0 as i32 + j);
    let top = at(0, 0) + (at(1, 0) - at(0, 0)) * fx;
    let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * fx;
    let field = top + (bottom - top) * fy;
    ((field - 0.45) * k.max(1.0) * 1.3 + 0.5).clamp(0.0, 1.0)
}

/// First row and number of rows that an H covers.
fn cap_rows(font: &MonoFont) -> (usize, usize) {
    let (w, h) = (font.character_size.width as i32, font.character_size.height as i32);
    let inked = |y: &i32| (0..w).any(|x| ink(font, 'H', x, *y) > 0.0);
    let first = (0..h).find(inked).unwrap_or(0);
    let last = (0..h).rfind(inked).unwrap_or(h - 1);
    (first as usize, (last - first + 1) as usize)
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
    fn an_unknown_character_is_a_question_mark() {
        for (c, same) in [('?', '?'), ('\n', '?'), ('日', '?'), ('\u{7F}', '?'), ('\u{9F}', '?')] {
            assert_eq!(glyph_of(c), glyph_of(same), "{c:?}");
        }
        assert_eq!((glyph_of(' '), glyph_of('ÿ')), (0, GLYPHS - 1));
    }
}
