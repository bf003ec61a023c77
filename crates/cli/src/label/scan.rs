//! Images of DICOM files for a set: each frame is one, under names that say nothing of a patient.
//!
//! A file's name and its folder's may be a patient's. So an image is named by the digest of its file, and a group by that of
//! the folder's first file. Copies are PNG files: nothing of the header is in them, and nothing outside the regions that the
//! header gives. What is burned into the picture itself stays.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::source::dicom::DicomSource;
use sonotap::source::{FrameSource as _, Next};

use crate::output::png_of_pixels;

/// Digits of a name: files of one archive do not share them.
const DIGITS: usize = 16;

/// A frame of a DICOM file.
#[derive(Clone, Debug)]
pub struct Scan {
    /// From 0.
    pub frame: usize,
    /// Its image within the set.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Millimetres a pixel, where they are the same along both axes.
    pub pixel_mm: Option<f64>,
}

/// Whether a file is DICOM by its name; one without an ending, as on a DICOM medium, by its mark.
pub fn is_dicom(path: &Path) -> bool {
    let is = |e: &std::ffi::OsStr| e.eq_ignore_ascii_case("dcm") || e.eq_ignore_ascii_case("dicom");
    path.extension().map_or_else(|| is_marked(path), is)
}

fn is_marked(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|f| f.take(132).read_to_end(&mut head));
    read.is_ok() && head.get(128..) == Some(b"DICM")
}

fn digest(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    Ok(hex[..DIGITS].to_owned())
}

/// Names files that are read in the order of their paths.
#[derive(Default)]
pub struct Scans {
    /// Of each folder below the one that is named: its group.
    groups: BTreeMap<PathBuf, String>,
}

impl Scans {
    /// The frames of a file of the folder `dir`: all, or of a cine the one that is asked for, from 1. A file that cannot be
    /// opened is one frame, which says so when it is loaded.
    pub fn of(&mut self, path: &Path, dir: &Path, only: Option<usize>) -> Result<Vec<Scan>> {
        let id = digest(path)?;
        let folder = path.parent().filter(|p| *p != dir);
        let group = match folder {
            Some(folder) => self.groups.entry(folder.to_owned()).or_insert_with(|| format!("g-{id}")).clone(),
            None => id.clone(),
        };
        let (count, pixel_mm) = match DicomSource::open(path) {
            Ok(source) => (source.description().frames.unwrap_or(1), pixel_mm(path)),
            Err(_) => (1, None),
        };
        let chosen = match only {
            Some(n) if count > 1 && !(1..=count).contains(&n) => {
                bail!("--frame: expected 1 to {count} for {}, got {n}", path.display());
            }
            Some(n) if count > 1 => n - 1..n,
            _ => 0..count,
        };
        let name = |frame: usize| match count {
            1 => format!("images/{id}.png"),
            _ => format!("images/{id}-{:04}.png", frame + 1),
        };
        Ok(chosen.map(|frame| Scan { frame, name: name(frame), group: group.clone(), pixel_mm }).collect())
    }
}

fn pixel_mm(path: &Path) -> Option<f64> {
    let (x, y) = load(path, 0).ok()?.scale()?.mm_per_px();
    // As many digits as the scale has.
    if (x - y).abs() <= 1e-3 * x { x.to_string().parse().ok() } else { None }
}

/// Decodes a frame.
pub fn load(path: &Path, frame: usize) -> Result<Frame> {
    let mut source = DicomSource::open(path)?;
    source.seek(frame).with_context(|| path.display().to_string())?;
    let mut picture = Frame::default();
    if source.next_into(&mut picture)? == Next::End {
        bail!("{}: expected a frame {}, got none", path.display(), frame + 1);
    }
    let content = picture.region().content;
    if !content.is_segmentable() {
        bail!("{}: expected a B-mode image, got {}", path.display(), content.label());
    }
    Ok(picture)
}

/// A frame as PNG, black outside its region.
pub fn png(frame: &Frame) -> Result<Vec<u8>> {
    let region = frame.region().rect;
    let each = if frame.format() == PixelFormat::Rgb8 { 3 } else { 1 };
    let width = frame.width() as usize;
    let mut pixels = frame.pixels().to_vec();
    for (i, pixel) in pixels.chunks_exact_mut(each).enumerate() {
        let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
        if x < region.x0 || x > region.x1 || y < region.y0 || y > region.y1 {
            pixel.fill(0);
        }
    }
    png_of_pixels(&pixels, (frame.width(), frame.height()), each == 3)
}
