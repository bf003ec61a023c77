//! An exam as a folder for somebody else: on a stick, without a viewer.
//!
//! ```text
//! FOLDER/index.html            pictures, outlines and measurements, for any browser
//!        measurements.csv
//!        by-hand.csv
//!        0001.dcm ...          the objects
//!        SHA256SUMS            for `sha256sum -c`
//! ```
//!
//! The folder has its name only when every file was read back from the medium and found right. Without `with_patient` it is
//! de-identified and named by a random word.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use dicom_object::{FileDicomObject, InMemDicomObject};
use png::ColorType;
use sonotap::durable::{self, cannot_write};
use sonotap::model::manifest::hex_digest;
use sonotap::{Error, ErrorKind, Result};

use crate::capture::Origin;
use crate::deidentify::{Deidentifier, blank_outside};
use crate::dicom::common::address;
use crate::dicom::elements::{DataSet, JPEG, file_of};
use crate::dicom::{image, native};
use crate::notes::Notes;
use crate::page;
use crate::pictures::png_of;
use crate::store::json_of;
use crate::store::record::{ExamRecord, FileRecord, ItemRecord, Role};
use crate::store::view::ExamView;

/// What is done about names that a host wrote into its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// What is outside the image's regions becomes black; where no region is known nothing is exported.
    #[default]
    BlankOutside,
    /// Somebody has looked at the pictures and says that there is no name in them.
    SaidClean,
}

/// Choices of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// With the patient; else de-identified.
    pub with_patient: bool,
    /// Of a de-identified one.
    pub pixels: Pixels,
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The new folder.
    pub folder: PathBuf,
    /// Files, all read back.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Exports an exam into a new folder in `to`.
///
/// # Errors
/// `Argument` when a picture may show a name and nobody says that it does not; `Format` when a file is not what was saved, or is
/// read back otherwise; `Io`.
pub fn export(view: &ExamView, to: &Path, options: &ExportOptions) -> Result<Exported> {
    let within = |e: Error| e.within(format!("exam {}", view.name()));
    let anonymous = (!options.with_patient).then(Deidentifier::new);
    let name = anonymous.as_ref().map_or_else(|| view.name().to_string(), |a| a.subject().to_owned());
    let folder = to.join(&name);
    if folder.exists() {
        return Err(within(Error::new(
            ErrorKind::Io,
            format!("{}: expected a new folder, got one that is there", folder.display()),
        )));
    }
    // All is checked and made before the first byte goes out, item by item afterwards.
    let items: Vec<(&ItemRecord, Notes)> =
        view.items().map(|item| Ok((item, notes_of(view, item)?))).collect::<Result<_>>().map_err(within)?;
    for (item, notes) in &items {
        if anonymous.is_some() && !is_clean(notes, options.pixels) && !notes.is_region_known {
            let what = format!(
                "item {:04}: expected a known image region, outside which a name can be made black, got none; look at the \
                 pictures, and say so if none shows a name",
                item.number
            );
            return Err(within(Error::new(ErrorKind::Argument, what)));
        }
    }
    let part = to.join(format!(".{name}.part"));
    std::fs::create_dir(&part).map_err(|e| within(cannot_write(e).within(part.display())))?;
    let written = fill(view, &part, &items, anonymous.as_ref(), options);
    let named = written.and_then(|w| durable::rename(&part, &folder).map(|()| w));
    let (files, bytes) = named.map_err(|e| {
        // What is half there is worth nothing.
        let _ = std::fs::remove_dir_all(&part);
        within(e)
    })?;
    Ok(Exported { folder, files, bytes })
}

/// Whether the pixels need no blanking.
fn is_clean(notes: &Notes, pixels: Pixels) -> bool {
    pixels == Pixels::SaidClean || notes.origin == Origin::Simulated
}

fn fill(
    view: &ExamView,
    part: &Path,
    items: &[(&ItemRecord, Notes)],
    anonymous: Option<&Deidentifier>,
    options: &ExportOptions,
) -> Result<(usize, u64)> {
    let mut sums: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    let mut notes_out: Vec<(&ItemRecord, Notes)> = Vec::new();
    for (item, notes) in items {
        let notes = match anonymous {
            Some(a) => without_times(notes, a),
            None => notes.clone(),
        };
        let made = item
            .files
            .iter()
            .map(|file| Ok((part.join(&file.name), outgoing(view, file, &notes, anonymous, options.pixels)?)))
            .collect::<Result<Vec<_>>>()?;
        durable::write_all(&made)?;
        for (path, content) in &made {
            sums.push((file_name(path), hex_digest(content)));
            bytes += content.len() as u64;
        }
        notes_out.push((item, notes));
    }
    let record: Option<&ExamRecord> = anonymous.is_none().then_some(view.record());
    let texts = [
        ("index.html", page::index(record, view, &notes_out)),
        ("measurements.csv", page::measurements(&notes_out)),
        ("by-hand.csv", page::by_hand(&notes_out)),
    ];
    for (name, text) in texts {
        durable::write(&part.join(name), text.as_bytes())?;
        sums.push((name.to_owned(), hex_digest(text.as_bytes())));
        bytes += text.len() as u64;
    }
    let list: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    durable::write(&part.join("SHA256SUMS"), list.as_bytes())?;
    sums.iter().try_for_each(|(name, sum)| check_again(&part.join(name), sum))?;
    Ok((sums.len() + 1, bytes + list.len() as u64))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads a file from the medium, and not from the memory that it was written from.
fn check_again(path: &Path, sum: &str) -> Result<()> {
    let name = file_name(path);
    let failed = |e: std::io::Error| Error::caused(ErrorKind::Io, format!("{name}: cannot be read back: {e}"), e);
    let mut file = File::open(path).map_err(failed)?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(|e| failed(e.into()))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    if hex_digest(&bytes) != sum {
        return Err(Error::new(
            ErrorKind::Format,
            format!("{name}: expected the bytes that were written, read others back"),
        ));
    }
    Ok(())
}

/// What the notes of an item say.
fn notes_of(view: &ExamView, item: &ItemRecord) -> Result<Notes> {
    let file = item.files.iter().find(|f| f.role == Role::Notes);
    let wrong = || Error::new(ErrorKind::Format, format!("item {:04}: expected its notes, got none", item.number));
    serde_json::from_slice(&view.bytes_of(file.ok_or_else(wrong)?)?).map_err(|_| wrong())
}

fn without_times(notes: &Notes, anonymous: &Deidentifier) -> Notes {
    let mut clean = notes.clone();
    clean.taken = None;
    for object in &mut clean.objects {
        object.tracking_uid = anonymous.uid_of(&object.tracking_uid);
    }
    let calipers = clean.calipers.iter_mut().map(|c| &mut c.tracking_uid);
    for uid in calipers.chain(clean.figures.iter_mut().map(|f| &mut f.tracking_uid)) {
        *uid = anonymous.uid_of(uid);
    }
    clean
}

/// The bytes of a file as they leave.
fn outgoing(
    view: &ExamView,
    file: &FileRecord,
    notes: &Notes,
    anonymous: Option<&Deidentifier>,
    pixels: Pixels,
) -> Result<Vec<u8>> {
    let bytes = view.bytes_of(file)?;
    if file.role == Role::Notes {
        return json_of(notes);
    }
    let Some(record) = &file.dicom else {
        let is_to_blank = anonymous.is_some() && !is_clean(notes, pixels);
        return if is_to_blank { blanked_png(&bytes, file, notes) } else { Ok(bytes) };
    };
    let mut set = parsed(&bytes, file)?;
    match anonymous {
        None => {
            let mut addressed = DataSet(set);
            address(&mut addressed, view.record().patient.as_ref());
            set = addressed.0;
        }
        Some(anonymous) => {
            if !is_clean(notes, pixels) && matches!(file.role, Role::Image | Role::Outlined) {
                set = blanked(set, file, notes)?;
            }
            set = anonymous.object(&set)?;
        }
    }
    file_of(set, &record.syntax_uid)
}

/// An object of a file whose digest was checked.
pub(crate) fn parsed(bytes: &[u8], file: &FileRecord) -> Result<InMemDicomObject> {
    let wrong = || {
        Error::new(ErrorKind::Format, format!("{}: expected a DICOM object of sonotap, got something else", file.name))
    };
    FileDicomObject::from_reader(bytes).map(FileDicomObject::into_inner).map_err(|_| wrong())
}

/// Regions of tissue in a picture of that role, and the rows and columns of it that are the frame.
fn frame_in_picture(role: Role, notes: &Notes, columns: u32) -> (Vec<[f32; 4]>, u32, u32) {
    let is_enlarged = matches!(role, Role::Outlined | Role::OutlinedPicture);
    let times = if is_enlarged { notes.outlined_times } else { 1 };
    let tissue = notes.regions.iter().filter(|r| r.is_tissue);
    (tissue.map(|r| r.bounds_px.map(|v| v * times as f32)).collect(), notes.height_px * times, columns)
}

fn blanked(set: InMemDicomObject, file: &FileRecord, notes: &Notes) -> Result<InMemDicomObject> {
    let wrong = |what: &str| Error::new(ErrorKind::Format, format!("{}: expected {what}, got none", file.name));
    let number = |tag| set.get(tag).and_then(|e| e.to_int::<u32>().ok());
    let (columns, rows) = number(tags::COLUMNS).zip(number(tags::ROWS)).ok_or_else(|| wrong("a size"))?;
    let samples = number(tags::SAMPLES_PER_PIXEL).ok_or_else(|| wrong("samples"))? as usize;
    let (regions, frame_rows, frame_columns) = frame_in_picture(file.role, notes, columns);
    let is_jpeg = file.dicom.as_ref().is_some_and(|d| d.syntax_uid == JPEG);
    let mut pixels = match is_jpeg {
        true => native::decoded(&set)?.0,
        false => set
            .element(tags::PIXEL_DATA)
            .ok()
            .and_then(|e| Some(e.to_bytes().ok()?.into_owned()))
            .ok_or_else(|| wrong("pixels"))?,
    };
    blank_outside(&mut pixels, (columns, rows), samples, &regions, frame_rows, frame_columns);
    let mut clean = set;
    if is_jpeg {
        let frames = pixels.chunks_exact((columns * rows) as usize * samples);
        let coded =
            frames.map(|f| image::compressed(f, (columns, rows), samples as u16)).collect::<Result<Vec<_>>>()?;
        clean.put(DataElement::new(tags::PIXEL_DATA, VR::OB, image::encapsulated(coded)));
    } else {
        clean.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(pixels.into())));
    }
    Ok(clean)
}

fn blanked_png(bytes: &[u8], file: &FileRecord, notes: &Notes) -> Result<Vec<u8>> {
    let wrong = |e: png::DecodingError| {
        Error::new(ErrorKind::Format, format!("{}: expected a PNG of sonotap, got {e}", file.name))
    };
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().map_err(wrong)?;
    let size = reader.output_buffer_size().unwrap_or(0);
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(wrong)?;
    let samples = if info.color_type == ColorType::Grayscale { 1 } else { 3 };
    let (regions, rows, columns) = frame_in_picture(file.role, notes, info.width);
    blank_outside(&mut pixels, (info.width, info.height), samples, &regions, rows, columns);
    png_of(&pixels, info.width, info.height, info.color_type)
}
