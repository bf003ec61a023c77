//! The files of an item, made in memory before the first is written.

use chrono::{DateTime, Utc};
use dicom_dictionary_std::uids;
use png::{BitDepth, ColorType, Compression};
use sonotap::calipers::Mark;
use sonotap::overlay::still::{Caption, StillByHand, StillObject, magnification, still_of};
use sonotap::{Canvas, Error, ErrorKind, Frame, PixelFormat, Result};

use crate::capture::{Capture, SavedFrame};
use crate::dicom::common::Context;
use crate::dicom::elements::file_of;
use crate::dicom::{Made, Source, image, report, segmentation};
use crate::notes::{Notes, Tracking, scales_of};
use crate::store::json_of;
use crate::store::record::{DicomRecord, ItemKind, Role};
use crate::store::view::ExamView;
use crate::wall_clock::text_of;

/// Longest side of a frame that is saved, px.
const EDGE_PX_MAX: u32 = 8_192;
/// Most frames of a cine: as many as a ring holds.
const FRAMES_MAX: usize = 512;

/// A file that is to be written.
pub(crate) struct MadeFile {
    pub name: String,
    pub role: Role,
    pub bytes: Vec<u8>,
    pub dicom: Option<DicomRecord>,
}

/// Makes all files of an item.
///
/// # Errors
/// `Argument` when there is no frame, one is too large, or they do not fit each other.
pub(crate) fn make(capture: &Capture, exam: &ExamView, number: u32, taken: &DateTime<Utc>) -> Result<Vec<MadeFile>> {
    check(capture)?;
    let context = Context { exam: &exam.record, name: &exam.name, number, taken };
    let frame = &*capture.frames[capture.outlined_frame];
    let label = capture.objects.iter().find_map(|o| o.label.as_deref());
    let mut files = Files { number, files: Vec::new() };
    let is_still = capture.frames.len() == 1;
    let first = capture.derived_from.map(|from| source_of(exam, from)).transpose()?;
    let lossy_ratio = capture.derived_from.and_then(|from| from.lossy_ratio);
    let frames = match is_still {
        true => image::still(&context, frame, label, first.as_ref(), lossy_ratio),
        false => image::cine(&context, &capture.frames, label, capture.has_common_regions())?,
    };
    let series = &exam.record.series;
    let source = Source {
        class_uid: frames.class_uid,
        instance_uid: frames.instance_uid.clone(),
        series_uid: series.images.clone(),
        frame: (!is_still).then_some(capture.outlined_frame as u32 + 1),
    };
    files.object(".dcm", Role::Image, frames)?;
    files.add(".png", Role::Picture, png_of_frame(frame)?);
    let tracking = Tracking::of(capture, &exam.record.study_uid);
    if capture.has_findings() {
        let canvas = outlined(frame, capture)?;
        files.object(
            "-outlined.dcm",
            Role::Outlined,
            image::outlined(&context, &canvas, &source, label, lossy_ratio),
        )?;
        files.add(
            "-outlined.png",
            Role::OutlinedPicture,
            png_of(&canvas.to_rgb(), canvas.width(), canvas.height(), ColorType::Rgb)?,
        );
        let mut of_bits = None;
        if !capture.objects.is_empty() {
            let bits =
                segmentation::segmentation(&context, frame, &capture.objects, &tracking.objects, &source, lossy_ratio);
            of_bits = Some(Source {
                class_uid: bits.class_uid,
                instance_uid: bits.instance_uid.clone(),
                series_uid: series.segmentations.clone(),
                frame: None,
            });
            files.object("-seg.dcm", Role::Segmentation, bits)?;
        }
        let report = report::report(&context, capture, &tracking, &source, of_bits.as_ref());
        files.object("-sr.dcm", Role::Report, report)?;
    }
    let notes = Notes::of(capture, number, text_of(taken), &exam.record, &tracking, magnification(frame));
    files.add(".prompts.json", Role::Notes, json_of(&notes)?);
    Ok(files.files)
}

/// The image of a saved item, and of a cine which frame.
fn source_of(exam: &ExamView, from: SavedFrame) -> Result<Source> {
    let SavedFrame { item: number, frame, .. } = from;
    let missing = || {
        let what = format!("capture: expected a frame of a saved item, got number {}, frame {}", number, frame + 1);
        Error::new(ErrorKind::Argument, what)
    };
    let item = exam.saved().find(|item| item.number == number).ok_or_else(missing)?;
    if frame >= item.frames as usize {
        return Err(missing());
    }
    let file = |role| item.files.iter().find(|f| f.role == role).ok_or_else(missing);
    let image = file(Role::Image)?.dicom.as_ref().ok_or_else(missing)?;
    let frame = match item.kind {
        ItemKind::Still => None,
        ItemKind::Cine => Some(frame as u32 + 1),
    };
    let class_uid = match item.kind {
        ItemKind::Still => uids::ULTRASOUND_IMAGE_STORAGE,
        ItemKind::Cine => uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    };
    let (instance_uid, series_uid) = (image.instance_uid.clone(), exam.record.series.images.clone());
    Ok(Source { class_uid, instance_uid, series_uid, frame })
}

fn check(capture: &Capture) -> Result<()> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Argument, what));
    let count = capture.frames.len();
    if count == 0 || count > FRAMES_MAX {
        return refuse(format!("capture: expected 1 to {FRAMES_MAX} frames, got {count}"));
    }
    if capture.outlined_frame >= count {
        return refuse(format!(
            "capture: expected outlines on one of {count} frames, got number {}",
            capture.outlined_frame + 1
        ));
    }
    for frame in &capture.frames {
        let (w, h) = (frame.width(), frame.height());
        if w == 0 || h == 0 || w.max(h) > EDGE_PX_MAX {
            return refuse(format!("capture: expected frames of 1 to {EDGE_PX_MAX} px a side, got {w}x{h}"));
        }
    }
    Ok(())
}

struct Files {
    number: u32,
    files: Vec<MadeFile>,
}

impl Files {
    fn add(&mut self, ending: &str, role: Role, bytes: Vec<u8>) {
        self.files.push(MadeFile { name: format!("{:04}{ending}", self.number), role, bytes, dicom: None });
    }

    fn object(&mut self, ending: &str, role: Role, made: Made) -> Result<()> {
        let Made { set, class_uid, instance_uid, syntax_uid } = made;
        let bytes = file_of(set, syntax_uid)?;
        let dicom = DicomRecord { class_uid: class_uid.into(), instance_uid, syntax_uid: syntax_uid.into() };
        self.files.push(MadeFile { name: format!("{:04}{ending}", self.number), role, bytes, dicom: Some(dicom) });
        Ok(())
    }
}

/// What is written below the picture of what was measured by hand.
fn lines_by_hand(capture: &Capture) -> Vec<String> {
    let mut lines = Vec::new();
    if capture.objects.is_empty() {
        lines.push("Measured by hand. Not for diagnostic use.".to_owned());
    }
    let with_error = |source: &str, error: Option<f64>| {
        format!("Scale: {source}{}", error.map_or(String::new(), |e| format!(" ±{:.1} %", 100.0 * e)))
    };
    let calipers = capture.calipers.iter().map(|reading| {
        let error = reading.scale.and_then(|s| s.relative_error()).map(f64::from);
        (vec![reading.words()], with_error(reading.scale.map_or("uncalibrated", |s| s.source().label()), error))
    });
    let figures = capture.figures.iter().map(|group| {
        let whose = format!("{}, {}", group.label.as_deref().unwrap_or("Object"), group.kind.label());
        let words = group.lines.iter().map(|line| format!("{whose}: {line}")).collect();
        (words, with_error(&scales_of(group), group.scale_error))
    });
    // A scale that several have in common is said below the last of them.
    let mut all = calipers.chain(figures).peekable();
    while let Some((words, scale)) = all.next() {
        lines.extend(words);
        if all.peek().is_none_or(|(_, next)| *next != scale) {
            lines.push(scale);
        }
    }
    lines
}

fn outlined(frame: &Frame, capture: &Capture) -> Result<Canvas> {
    let objects: Vec<StillObject> = capture
        .objects
        .iter()
        .map(|o| StillObject {
            object: o.object,
            outline: &o.outline,
            clicks: &o.clicks,
            boxed: o.boxed,
            caption: Caption { score: o.score, measurements: o.measurements },
        })
        .collect();
    let marks: Vec<Mark> = capture.calipers.iter().map(Mark::of).collect();
    let lines = match capture.calipers.is_empty() && capture.figures.is_empty() {
        true => Vec::new(),
        false => lines_by_hand(capture),
    };
    still_of(frame, &objects, &StillByHand { marks: &marks, lines: &lines })
}

fn png_of_frame(frame: &Frame) -> Result<Vec<u8>> {
    let colours = match frame.format() {
        PixelFormat::Grey8 => ColorType::Grayscale,
        PixelFormat::Rgb8 => ColorType::Rgb,
    };
    png_of(frame.pixels(), frame.width(), frame.height(), colours)
}

/// A picture as PNG.
pub(crate) fn png_of(pixels: &[u8], width: u32, height: u32, colours: ColorType) -> Result<Vec<u8>> {
    let failed =
        |e: png::EncodingError| Error::new(ErrorKind::Argument, format!("a picture cannot be made a PNG: {e}"));
    let mut bytes = Vec::with_capacity(pixels.len() / 2);
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colours);
    encoder.set_depth(BitDepth::Eight);
    // On speckle the slower settings gain a few percent.
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
