//! A saved item read back, to be outlined anew: its frame with regions and scales, and the prompts of its objects.

use sonotap::engine::reopened::{SavedObject, SavedStill};
use sonotap::frame::{PixelScale, ScaleSource};
use sonotap::region::FrameRegion;
use sonotap::units::Millimetres;
use sonotap::{Error, ErrorKind, Frame, ObjectId, Picture, Point, Polarity, Rect, RegionContent, Result};

use crate::notes::{Notes, ObjectNotes, RegionNotes};
use crate::store::record::Role;
use crate::store::view::ExamView;
use crate::thumbnail::decoded;

/// A saved item, to be outlined anew.
#[derive(Clone, Debug)]
pub struct Reopened {
    /// Its number.
    pub number: u32,
    /// Its frame and the prompts of its objects; of a cine the frame that was outlined.
    pub still: SavedStill,
    /// What was outlined, if somebody said.
    pub label: Option<String>,
}

/// Reads an item.
///
/// # Errors
/// `Argument` when there is no such item; `Io`; `Format` when its files are not what was saved.
pub fn reopen(exam: &ExamView, number: u32) -> Result<Reopened> {
    let item = exam.items().find(|item| item.number == number);
    let file = |role| item.and_then(|item| item.files.iter().find(|f| f.role == role));
    let (Some(picture), Some(notes)) = (file(Role::Picture), file(Role::Notes)) else {
        let what = format!("exam {}: expected a saved item, got number {number}", exam.name());
        return Err(Error::new(ErrorKind::Argument, what));
    };
    let within = |e: Error| e.within(format!("exam {}: {}", exam.name(), notes.name));
    let bare = decoded(exam, picture)?;
    let notes: Notes = serde_json::from_slice(&exam.bytes_of(notes)?)
        .map_err(|_| within(Error::new(ErrorKind::Format, "expected the notes of an item, got something else")))?;
    let regions = notes.regions.iter().map(region).collect::<Result<Vec<_>>>().map_err(within)?;
    let picture =
        Picture { regions: &regions, ..Picture::dense(bare.width(), bare.height(), bare.format(), bare.pixels()) };
    let frame = Frame::new(&picture).map_err(within)?;
    let label = notes.objects.iter().find_map(|o| o.label.clone());
    let objects = notes.objects.iter().filter_map(object).collect();
    Ok(Reopened { number, still: SavedStill { frame, objects }, label })
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
