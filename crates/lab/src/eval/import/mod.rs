//! Data sets of other layouts, made one that `sonotap eval` and `train` read: `images/`, `masks/`, `manifest.csv`.
//!
//! | kind | what is read |
//! |---|---|
//! | `coco` | `*.json` with `images`, `annotations`, `categories`: polygons and run lengths |
//! | `yolo` | `images/` and `labels/` with outlines: a line `class x y x y ...` an object, parts of width and height |
//! | `voc` | `JPEGImages/` and `SegmentationObject/`, else `SegmentationClass/` |
//! | `medsam` | `imgs/` and `gts/`, as `.npy` or pictures, or `.npz` archives of both, a label a value |
//!
//! Images are written upright, one mask a file for each object. What cannot be used is told with its reason, and nothing is
//! written into a folder that is there already.

mod coco;
mod npy;
mod npz;
mod polygon;
mod voc;
mod yolo;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::dataset::MANIFEST;
use sonotap::durable;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::mask::Bitmap;

/// Most bytes of a file of annotations.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Most objects of a set.
const OBJECTS_MAX: usize = 200_000;

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// COCO's instances.
    Coco,
    /// YOLO's outlines.
    Yolo,
    /// Pascal VOC's segmentations.
    Voc,
    /// MedSAM's training folders.
    Medsam,
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "coco" => Ok(Self::Coco),
            "yolo" => Ok(Self::Yolo),
            "voc" => Ok(Self::Voc),
            "medsam" => Ok(Self::Medsam),
            other => {
                let message = format!("expected coco, yolo, voc or medsam, got {other:?}");
                Err(Error::new(ErrorKind::Argument, message))
            }
        }
    }
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Images written.
    pub images: usize,
    /// Masks written, a row each.
    pub masks: usize,
    /// What could not be used: where, and why.
    pub refused: Vec<(String, String)>,
}

/// Reads the set in `dir` and writes it into the new folder `out`.
///
/// # Errors
/// `Io` for what cannot be read or written; `Format` when `dir` has not that layout, or nothing of it can be used;
/// `Argument` when `out` is there already.
pub fn import(kind: Kind, dir: &Path, out: &Path) -> Result<Imported> {
    let mut writer = Writer::new(out)?;
    match kind {
        Kind::Coco => coco::read(dir, &mut writer)?,
        Kind::Yolo => yolo::read(dir, &mut writer)?,
        Kind::Voc => voc::read(dir, &mut writer)?,
        Kind::Medsam => npy::read(dir, &mut writer)?,
    }
    writer.finish()
}

/// One object of an image.
struct Object {
    mask: Bitmap,
    class: String,
}

/// Writes images, masks and manifest.
struct Writer {
    out: PathBuf,
    manifest: String,
    names: BTreeSet<String>,
    imported: Imported,
}

impl Writer {
    fn new(out: &Path) -> Result<Self> {
        if out.exists() {
            let message = format!("{}: expected a new folder, got one that is there", out.display());
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let manifest = "image,mask,organ,class,group,split\n".to_owned();
        Ok(Self { out: out.to_owned(), manifest, names: BTreeSet::new(), imported: Imported::default() })
    }

    fn refuse(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.imported.refused.push((place.into(), why.into()));
    }

    /// Adds an image with its objects; without any it is left out.
    fn add(&mut self, name: &str, split: &str, image: &Frame, objects: Vec<Object>) -> Result<()> {
        self.add_of("", name, split, image, objects)
    }

    /// The same of a group that others belong to as well; by itself where it is empty.
    fn add_of(&mut self, group: &str, name: &str, split: &str, image: &Frame, objects: Vec<Object>) -> Result<()> {
        let kept: Vec<Object> = objects.into_iter().filter(|o| o.mask.area_px() > 0).collect();
        if kept.is_empty() {
            return Ok(());
        }
        if self.imported.masks + kept.len() > OBJECTS_MAX {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("expected at most {OBJECTS_MAX} objects, got more"),
            ));
        }
        let name = self.name_of(name);
        let group = if group.is_empty() { name.clone() } else { plain(group) };
        let image_file = format!("images/{name}.png");
        self.write(&image_file, image.width(), image.height(), image.pixels(), image.format())?;
        self.imported.images += 1;
        for (i, object) in kept.iter().enumerate() {
            let mask_file = format!("masks/{name}_{i}.png");
            let bright: Vec<u8> = object.mask.pixels().iter().map(|v| v * 255).collect();
            self.write(&mask_file, object.mask.width(), object.mask.height(), &bright, PixelFormat::Grey8)?;
            let class: String = object.class.chars().filter(|c| !c.is_control()).collect();
            let quoted = format!("\"{}\"", class.replace('"', "\"\""));
            // Writing to a string cannot fail.
            let _ = writeln!(self.manifest, "{image_file},{mask_file},,{quoted},{group},{split}");
            self.imported.masks += 1;
        }
        Ok(())
    }

    /// A name for files that no other image has.
    fn name_of(&mut self, wanted: &str) -> String {
        let plain = plain(wanted);
        let mut name = plain.clone();
        let mut n = 1;
        while !self.names.insert(name.to_ascii_lowercase()) {
            n += 1;
            name = format!("{plain}-{n}");
        }
        name
    }

    fn write(&self, file: &str, width: u32, height: u32, pixels: &[u8], format: PixelFormat) -> Result<()> {
        let path = self.out.join(file);
        let io = |e| Error::caused(ErrorKind::Io, format!("{}: cannot be written", path.display()), e);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.out)).map_err(io)?;
        let colour = match format {
            PixelFormat::Grey8 => image::ExtendedColorType::L8,
            PixelFormat::Rgb8 => image::ExtendedColorType::Rgb8,
        };
        let unwritten = |e| Error::caused(ErrorKind::Io, format!("{}: cannot be written", path.display()), e);
        image::save_buffer_with_format(&path, pixels, width, height, colour, image::ImageFormat::Png).map_err(unwritten)
    }

    fn finish(self) -> Result<Imported> {
        if self.imported.masks == 0 {
            let reasons: Vec<String> =
                self.imported.refused.iter().take(5).map(|(place, why)| format!("{place}: {why}")).collect();
            let why = if reasons.is_empty() { "no objects are there".to_owned() } else { reasons.join("; ") };
            return Err(Error::new(ErrorKind::Format, format!("nothing can be used: {why}")));
        }
        durable::write(&self.out.join(MANIFEST), self.manifest.as_bytes())?;
        Ok(self.imported)
    }
}

/// What a file may be called.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).take(100).collect()
}

/// The files below a folder with one of these endings, in their order; links are not followed.
fn files_below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![(folder.to_owned(), 0)]);
    while let Some((folder, depth)) = open.pop() {
        let io = |e| Error::caused(ErrorKind::Io, format!("{}: cannot be read", folder.display()), e);
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(io)?);
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if kind.is_dir() && depth < 8 {
                open.push((path, depth + 1));
            } else if kind.is_file() && endings.contains(&ending.as_str()) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file is there, and no link, which may lead out of the set.
fn is_own_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_file())
}

/// A folder of the layout.
fn folder(dir: &Path, names: &[&str]) -> Result<PathBuf> {
    let found = names.iter().map(|n| dir.join(n)).find(|p| p.is_dir());
    let message = || format!("{}: expected a folder {}, got none", dir.display(), names.join(" or "));
    found.ok_or_else(|| Error::new(ErrorKind::Format, message()))
}

/// All of a text file.
fn text_of(path: &Path) -> Result<String> {
    use std::io::Read as _;
    let io = |e| Error::caused(ErrorKind::Io, format!("{}: cannot be read", path.display()), e);
    let mut text = String::new();
    let file = sonotap::source::dicom::store::open_regular(path).map_err(|e| e.within(path.display()))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(io)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{}: expected at most {FILE_BYTES_MAX} bytes, got more", path.display());
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(text)
}

fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Which split a path names.
fn split_of(path: &Path) -> &'static str {
    let text = path.to_string_lossy().to_ascii_lowercase();
    let names = ["train", "val", "test"];
    text.split(|c: char| !c.is_ascii_alphabetic())
        .rev()
        .find_map(|word| names.into_iter().find(|n| *n == word))
        .unwrap_or("")
}
