//! An outlined still image for a file: the image, the outline, the prompts, and below it score and measurements.

use super::Canvas;
use super::blend::{Clip, Painter, PxRect};
use super::blit::Blitter;
use super::by_hand::CaliperPen;
use super::marks;
use super::outline::{LineColours, OutlinePainter, style_of};
use super::text::Typeface;
use super::theme::Theme;
use crate::calipers::Mark;
use crate::contour::Outline;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Point, Rect};
use crate::measure::Measurements;
use crate::prompt::{Polarity, PromptId};
use crate::scene::{Marker, Overlay};
use crate::units::{ObjectId, Score};

/// A smaller image is magnified up to this longest side, px.
const SIDE: u32 = 720;
/// Longest side of an image, px.
const SIDE_MAX: u32 = 8192;
/// The resolution that line widths and text sizes are computed for, px/mm.
const PX_PER_MM: f32 = 4.5;

/// The text below the image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caption {
    /// The predicted IoU of the outline.
    pub score: Option<Score>,
    /// Measurements of the outline.
    pub measurements: Option<Measurements>,
}

/// An object of a still image.
#[derive(Clone, Copy, Debug)]
pub struct StillObject<'a> {
    /// Which one; chooses the colour.
    pub object: ObjectId,
    /// Its outline, computed from this image.
    pub outline: &'a Outline,
    /// Its clicks.
    pub clicks: &'a [(Point<ImageSpace>, Polarity)],
    /// Its box.
    pub boxed: Option<Rect<ImageSpace>>,
    /// What is said of it below the image.
    pub caption: Caption,
}

/// What was measured by hand on a still image.
#[derive(Clone, Copy, Debug, Default)]
pub struct StillByHand<'a> {
    /// Its calipers.
    pub marks: &'a [Mark],
    /// What is written below the image, after what is said of the objects.
    pub lines: &'a [String],
}

/// How many times larger than the image its picture is.
pub fn magnification(frame: &Frame) -> u32 {
    (SIDE / frame.width.max(frame.height).max(1)).max(1)
}

/// Draws an outlined still image, enlarged by a whole factor.
///
/// # Errors
/// `Argument` for an image of more than 8192 px a side.
pub fn still(
    frame: &Frame,
    outline: &Outline,
    clicks: &[(Point<ImageSpace>, Polarity)],
    boxed: Option<Rect<ImageSpace>>,
    caption: &Caption,
) -> Result<Canvas> {
    let object = StillObject { object: ObjectId(0), outline, clicks, boxed, caption: *caption };
    still_of(frame, &[object], &StillByHand::default())
}

/// The same with any number of objects, and with what was measured by hand.
///
/// # Errors
/// As [`still`].
pub fn still_of(frame: &Frame, objects: &[StillObject], by_hand: &StillByHand) -> Result<Canvas> {
    let longest = frame.width.max(frame.height);
    if longest == 0 || longest > SIDE_MAX {
        let got = format!("{}x{}", frame.width, frame.height);
        return Err(Error::new(ErrorKind::Argument, format!("still: expected 1..={SIDE_MAX} px a side, got {got}")));
    }
    let times = magnification(frame);
    let (width, height) = (frame.width * times, frame.height * times);
    let face = Typeface::with_cap_height(PX_PER_MM * 2.5);
    let mut lines: Vec<(String, u32)> = objects.iter().flat_map(|o| caption_lines(o, objects.len() > 1)).collect();
    lines.extend(by_hand.lines.iter().map(|line| (line.clone(), Theme::DARK.text)));
    let foot = face.line_height() * lines.len() as i32 + face.line_height() / 2;
    let widest = lines.iter().map(|(line, _)| face.width(line)).max().unwrap_or(0) + face.advance() * 2;
    let mut canvas = Canvas::new(width.max(widest as u32), height + foot as u32);
    canvas.pixels_mut().fill(Theme::DARK.background);
    let area: Rect<DisplaySpace> = Rect::new(0.0, 0.0, width as f32, height as f32);
    let to_display = Converter::fit(&frame.bounds(), &area, false);
    Blitter::default().blit(frame, &to_display, PxRect::around(&area), &mut canvas);
    let clip = Clip::whole(PxRect::around(&area));
    let mut painter = Painter::new(&mut canvas, &clip);
    for object in objects {
        paint(&mut painter, object, &to_display);
    }
    let mut outliner = OutlinePainter::default();
    let mut pen = CaliperPen { outliner: &mut outliner, face: &face, px_per_mm: PX_PER_MM, to_display: &to_display };
    by_hand.marks.iter().for_each(|mark| pen.mark(&mut painter, mark));
    let below = Clip::whole(PxRect::new(0, height as i32, canvas.width() as i32, canvas.height() as i32));
    let mut painter = Painter::new(&mut canvas, &below);
    for (i, (line, colour)) in lines.iter().enumerate() {
        let y = height as i32 + face.line_height() / 4 + i as i32 * face.line_height();
        face.draw(&mut painter, face.advance(), y, line, *colour);
    }
    Ok(canvas)
}

fn paint(painter: &mut Painter, object: &StillObject, to_display: &Converter<ImageSpace, DisplaySpace>) {
    let colour = Theme::DARK.object(object.object);
    if let Some(style) = style_of(Overlay::Exact) {
        let colours = LineColours { line: colour, halo: Theme::DARK.halo };
        OutlinePainter::default().line(painter, object.outline, to_display, style, PX_PER_MM, colours);
    }
    let prompt = PromptId(0);
    for &(at, polarity) in object.clicks {
        marks::marker(painter, PX_PER_MM, to_display, &Marker::Click { prompt, at, polarity }, colour);
    }
    if let Some(rect) = object.boxed {
        marks::marker(painter, PX_PER_MM, to_display, &Marker::Box { prompt, rect }, colour);
    }
}

/// Lines of text with their colours: that of the object where there are several.
fn caption_lines(object: &StillObject, is_one_of_several: bool) -> Vec<(String, u32)> {
    let caption = &object.caption;
    let (colour, number) = match is_one_of_several {
        true => (Theme::DARK.object(object.object), format!(" {}", object.object.0 + 1)),
        false => (Theme::DARK.text, String::new()),
    };
    let score = caption.score.map_or("-".into(), |s| format!("{:.2}", s.get()));
    let mut lines = vec![format!("AI outline{number}, score {score}. Not for diagnostic use.")];
    if let Some(m) = caption.measurements {
        lines.push(match m.metric {
            Some(mm) => format!(
                "area {:.1} mm2, {:.1} x {:.1} mm (scale: {})",
                mm.area.0,
                mm.longest.0,
                mm.perpendicular.0,
                mm.source.label()
            ),
            None => {
                format!("area {:.0} px, {:.0} x {:.0} px, uncalibrated", m.area_px, m.longest_px, m.perpendicular_px)
            }
        });
    }
    lines.into_iter().map(|line| (line, colour)).collect()
}
