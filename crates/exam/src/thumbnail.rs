//! Pictures of saved items for a screen: small ones of what was just saved, and whole ones read back.

use std::io::Cursor;

use sonotap::geometry::{Converter, DisplaySpace};
use sonotap::overlay::Canvas;
use sonotap::overlay::blend::{Clip, Painter, PxRect};
use sonotap::overlay::blit::Blitter;
use sonotap::overlay::outline::{LineColours, OutlinePainter, style_of};
use sonotap::overlay::theme::Theme;
use sonotap::{Error, ErrorKind, Frame, Overlay, PixelFormat, Rect, Result};

use crate::capture::Capture;
use crate::store::record::{FileRecord, Role};
use crate::store::view::ExamView;

/// Width and height of a small picture, px.
const SIZE: (u32, u32) = (192, 144);
/// The resolution that line widths are computed for, px/mm.
const PX_PER_MM: f32 = 4.5;

/// The outlined frame of a capture, small, with its outlines.
pub(crate) fn of_capture(capture: &Capture) -> Option<Frame> {
    let frame = capture.frames.get(capture.outlined_frame)?;
    let mut canvas = Canvas::new(SIZE.0, SIZE.1);
    let area: Rect<DisplaySpace> = Rect::new(0.0, 0.0, SIZE.0 as f32, SIZE.1 as f32);
    let to_display = Converter::fit(&frame.bounds(), &area, false);
    Blitter::default().blit(frame, &to_display, PxRect::around(&area), &mut canvas);
    let clip = Clip::whole(PxRect::around(&area));
    let mut painter = Painter::new(&mut canvas, &clip);
    for object in &capture.objects {
        let colours = LineColours { line: Theme::DARK.object(object.object), halo: Theme::DARK.halo };
        if let Some(style) = style_of(Overlay::Exact) {
            OutlinePainter::default().line(&mut painter, &object.outline, &to_display, style, PX_PER_MM, colours);
        }
    }
    Frame::from_pixels(SIZE.0, SIZE.1, PixelFormat::Rgb8, canvas.to_rgb()).ok()
}

/// The picture of a saved item as it is on the disk, with its outlines.
///
/// # Errors
/// `Argument` when there is no such item; `Io`; `Format` when the file is not what was saved.
pub(crate) fn picture_of(exam: &ExamView, number: u32) -> Result<Frame> {
    let item = exam.saved().find(|item| item.number == number);
    let file = [Role::OutlinedPicture, Role::Picture]
        .into_iter()
        .find_map(|role| item.and_then(|item| item.files.iter().find(|f| f.role == role)));
    let Some(file) = file else {
        let what = format!("exam {}: expected a saved item, got number {number}", exam.name());
        return Err(Error::new(ErrorKind::Argument, what));
    };
    decoded(exam, file)
}

/// A PNG of an exam.
///
/// # Errors
/// `Io`; `Format` when the file is not what was saved.
pub(crate) fn decoded(exam: &ExamView, file: &FileRecord) -> Result<Frame> {
    let bytes = exam.bytes_of(file)?;
    let wrong = |e: png::DecodingError| {
        Error::new(ErrorKind::Format, format!("exam {}: {}: cannot be decoded: {e}", exam.name(), file.name))
    };
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().map_err(wrong)?;
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut pixels).map_err(wrong)?;
    pixels.truncate(info.buffer_size());
    let format = if info.color_type == png::ColorType::Rgb { PixelFormat::Rgb8 } else { PixelFormat::Grey8 };
    Frame::from_pixels(info.width, info.height, format, pixels)
}
