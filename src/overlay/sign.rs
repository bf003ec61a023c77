//! A screen with one message and no frame.

use super::blend::{Clip, Painter, PxRect};
use super::canvas::Canvas;
use super::marks::banner;
use super::text::Typeface;

/// A black screen of that size, display px, with a short text across the middle, as large as fits.
///
/// ```
/// use sonotap::overlay::sign;
/// let canvas = sign((320, 240), "SONOTAP HAS FAILED");
/// assert!(canvas.pixels().iter().any(|&p| p != 0));
/// assert!(sign((320, 240), "").pixels().iter().all(|&p| p == 0));
/// ```
pub fn sign(size: (u32, u32), text: &str) -> Canvas {
    let (width, height) = size;
    let mut canvas = Canvas::new(width, height);
    if text.is_empty() {
        return canvas;
    }
    let longest = text.chars().count() as f32 + 2.0;
    // Capitals of the 10x20 font are about 1.3 times as high as a character is wide.
    let cap_height = (width as f32 / longest * 1.3).min(height as f32 / 8.0);
    let clip = Clip::whole(PxRect::new(0, 0, width as i32, height as i32));
    banner(&mut Painter::new(&mut canvas, &clip), &Typeface::with_cap_height(cap_height), text);
    canvas
}
