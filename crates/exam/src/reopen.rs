//! A saved item read back, to be reviewed and outlined anew: its frames with regions and scales, and the prompts of its objects.

use std::time::Duration;

use dicom_dictionary_std::tags;
use sonotap::engine::reopened::{SavedFrames, SavedObject};
use sonotap::frame::{PixelScale, ScaleSource};
use sonotap::region::FrameRegion;
use sonotap::region::Regions;
use sonotap::units::{Millimetres, Span as _};
use sonotap::{Error, ErrorKind, Frame, ObjectId, PixelFormat, Point, Polarity, Rect, RegionContent, Result};

use crate::capture::SavedFrame;
use crate::dicom::native;
use crate::export::parsed;
use crate::notes::{Notes, ObjectNotes, RegionNotes};
use crate::store::record::{FileRecord, ItemKind, Role};
use crate::store::view::ExamView;
use crate::thumbnail::decoded;

/// A saved item, to be reviewed and outlined anew.
#[derive(Clone, Debug)]
pub struct Reopened {
    /// Its number, its frames and the prompts of its objects. The outlined frame is as it was captured; the others of a cine were
    /// compressed.
    pub saved: SavedFrames,
    /// What was outlined, if somebody said.
    pub label: Option<String>,
    /// What a capture of one of its frames is to name.
    pub source: SavedSource,
}

/// Frames, and since when after the first.
type TimedFrames = Vec<(Frame, Duration)>;

/// A saved item as a source of captures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedSource {
    /// Its number.
    pub item: u32,
    /// The frame that is as it was captured.
    outlined: usize,
    /// By how much the others were compressed.
    lossy_ratio: Option<f64>,
}

impl SavedSource {
    /// A frame of it, from 0, for [`Capture::of_item`](crate::Capture::of_item).
    pub fn frame(&self, frame: usize) -> SavedFrame {
        let lossy_ratio = self.lossy_ratio.filter(|_| frame != self.outlined);
        SavedFrame { item: self.item, frame, lossy_ratio }
    }
}

/// Reads an item: of a cine all frames.
///
/// # Errors
/// `Argument` when there is no such item; `Io`; `Format` when its files are not what was saved.
pub fn reopen(exam: &ExamView, number: u32) -> Result<Reopened> {
    let item = exam.items().find(|item| item.number == number);
    let file = |role| item.and_then(|item| item.files.iter().find(|f| f.role == role));
    let (Some(item), Some(picture), Some(notes)) = (item, file(Role::Picture), file(Role::Notes)) else {
        let what = format!("exam {}: expected a saved item, got number {number}", exam.name());
        return Err(Error::new(ErrorKind::Argument, what));
    };
    let within = |e: Error| e.within(format!("exam {}: {}", exam.name(), notes.name));
    let outlined = decoded(exam, picture)?;
    let notes: Notes = serde_json::from_slice(&exam.bytes_of(notes)?)
        .map_err(|_| within(Error::new(ErrorKind::Format, "expected the notes of an item, got something else")))?;
    let regions = notes.regions.iter().map(region).collect::<Result<Vec<_>>>().map_err(within)?;
    let too_many = || within(Error::new(ErrorKind::Format, "expected at most 8 regions, got more"));
    let regions = Regions::new(&regions).ok_or_else(too_many)?;
    let label = notes.objects.iter().find_map(|o| o.label.clone());
    let objects = notes.objects.iter().filter_map(object).collect();
    let at = (notes.frame as usize).saturating_sub(1);
    let (frames, lossy_ratio) = match (item.kind, file(Role::Image)) {
        (ItemKind::Cine, Some(image)) => cine_of(exam, image, &notes, outlined, regions)?,
        _ => (vec![(with_regions(outlined, regions).map_err(within)?, Duration::ZERO)], None),
    };
    let outlined = at.min(frames.len() - 1);
    let source = SavedSource { item: number, outlined, lossy_ratio };
    Ok(Reopened { saved: SavedFrames { item: number, frames, outlined, objects }, label, source })
}

fn with_regions(mut frame: Frame, regions: Regions) -> Result<Frame> {
    frame.set_regions(regions)?;
    Ok(frame)
}

/// All frames of a cine with their times, and by how much they were compressed; the outlined one is in place of its compressed copy.
fn cine_of(
    exam: &ExamView,
    image: &FileRecord,
    notes: &Notes,
    outlined: Frame,
    regions: Regions,
) -> Result<(TimedFrames, Option<f64>)> {
    let within = |e: Error| e.within(format!("exam {}: {}", exam.name(), image.name));
    let set = parsed(&exam.bytes_of(image)?, image)?;
    let (width, height) = (notes.width_px, notes.height_px);
    let times = [0.0].into_iter().chain(notes.frame_times_ms.iter().copied());
    let mut times = times.map(|ms| Duration::of_secs(ms / 1e3));
    let mut outlined = Some(outlined);
    let mut frames: TimedFrames = Vec::with_capacity(1 + notes.frame_times_ms.len());
    let wrong = || Error::new(ErrorKind::Format, "expected as many frames as there are times, got others");
    native::each_decoded(&set, |pixels, samples| {
        let is_outlined = frames.len() + 1 == notes.frame as usize;
        let format = if samples == 1 { PixelFormat::Grey8 } else { PixelFormat::Rgb8 };
        let frame = match outlined.take_if(|_| is_outlined) {
            Some(frame) => with_regions(frame, regions)?,
            None => {
                let frame = Frame::from_pixels(width, height, format, pixels)?;
                // Of other regions nobody knows a scale.
                if notes.are_regions_common { with_regions(frame, regions)? } else { frame }
            }
        };
        frames.push((frame, times.next().ok_or_else(wrong)?));
        Ok(())
    })
    .map_err(within)?;
    if frames.is_empty() || times.next().is_some() || outlined.is_some() {
        return Err(within(wrong()));
    }
    let ratio = set.element(tags::LOSSY_IMAGE_COMPRESSION_RATIO).ok().and_then(|e| e.to_float64().ok());
    // Which frames these are is said even where by how much is not.
    Ok((frames, Some(ratio.unwrap_or(1.0))))
}

fn region(notes: &RegionNotes) -> Result<FrameRegion> {
    let [x0, y0, x1, y1] = notes.bounds_px;
    let unknown =
        |what: &str| Error::new(ErrorKind::Format, format!("{what}: expected one that is known, got another"));
    let content = RegionContent::ALL.into_iter().find(|c| c.label() == notes.shows).ok_or_else(|| unknown("region"))?;
    let scale = match (notes.mm_per_px, &notes.scale_source) {
        (Some([x, y]), Some(source)) => {
            let source = ScaleSource::ALL.into_iter().find(|s| s.label() == source);
            let [x, y] = [x, y].map(|v| Millimetres(f64::from(v)));
            let scale = source.and_then(|source| PixelScale::new(x, y, source)).ok_or_else(|| unknown("scale"))?;
            Some(notes.scale_error.map_or(scale, |e| scale.with_error(e)))
        }
        _ => None,
    };
    Ok(FrameRegion { rect: Rect::new(x0, y0, x1, y1), content, scale, is_low_priority: notes.is_low_priority })
}

fn object(notes: &ObjectNotes) -> Option<SavedObject> {
    let number = notes.object.checked_sub(1).and_then(|n| u8::try_from(n).ok())?;
    let polarity = |is_inside| if is_inside { Polarity::Positive } else { Polarity::Negative };
    Some(SavedObject {
        object: ObjectId(number),
        boxed: notes.box_px.map(|[x0, y0, x1, y1]| Rect::new(x0, y0, x1, y1)),
        clicks: notes.clicks.iter().map(|c| (Point::new(c.x, c.y), polarity(c.is_inside))).collect(),
    })
}
