//! MedSAM's training folders: `imgs/` and `gts/` of one name each, as numpy arrays or pictures, or archives of both.

use std::path::Path;

use super::voc::objects_of;
use super::{Writer, files_below, folder, npz, stem_of};
use crate::eval::truth;
use sonotap::error::Result;
use sonotap::frame::{Frame, PixelFormat};
use sonotap::source::images::{load_still, read_file};

/// Most elements of an array.
const ELEMENTS_MAX: usize = 1 << 26;

pub(super) fn read(dir: &Path, writer: &mut Writer) -> Result<()> {
    let archives = files_below(dir, &["npz"])?;
    if !archives.is_empty() {
        return npz::read(dir, &archives, writer);
    }
    let (images, masks) = (folder(dir, &["imgs", "images"])?, folder(dir, &["gts", "labels"])?);
    let pictures = files_below(&images, &["npy", "png", "jpg", "jpeg"])?;
    for path in files_below(&masks, &["npy", "png"])? {
        let name = stem_of(&path);
        let Some(image) = pictures.iter().find(|p| stem_of(p) == name) else {
            writer.refuse(&name, "expected an image of this name, got none");
            continue;
        };
        let read = image_of(image).and_then(|frame| Ok((frame, mask_of(&path)?)));
        match read {
            Ok((frame, (values, size))) if size == (frame.width(), frame.height()) => {
                writer.add(&name, "", &frame, objects_of(&values, size, None))?;
            }
            Ok((frame, (_, (w, h)))) => {
                writer.refuse(&name, format!("expected a mask of {}x{}, got {w}x{h}", frame.width(), frame.height()));
            }
            Err(why) => writer.refuse(&name, why),
        }
    }
    Ok(())
}

fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

fn image_of(path: &Path) -> Result<Frame, String> {
    if !is_array(path) {
        return load_still(path).map_err(|e| super::super::dataset::chain(&e));
    }
    let array = Array::read(path)?;
    frame_of(&array.shape, &array.values, array.scale())
}

fn mask_of(path: &Path) -> Result<(Vec<u32>, (u32, u32)), String> {
    if !is_array(path) {
        return truth::labels_of(path);
    }
    let array = Array::read(path)?;
    labels_of(&array.shape, &array.values)
}

/// A picture of an array's values, or of one slice of them.
pub(super) fn frame_of(shape: &[usize], values: &[f64], scale: f64) -> Result<Frame, String> {
    let (height, width, channels) = match *shape {
        [h, w] => (h, w, 1),
        [h, w, c @ (1 | 3)] => (h, w, c),
        _ => return Err(format!("expected an array of height, width and 1 or 3 channels, got {shape:?}")),
    };
    let pixels = values.iter().map(|v| (v * scale).round().clamp(0.0, 255.0) as u8).collect();
    let format = if channels == 1 { PixelFormat::Grey8 } else { PixelFormat::Rgb8 };
    Frame::from_pixels(width as u32, height as u32, format, pixels).map_err(|e| e.to_string())
}

/// Labels, and their width and height.
pub(super) fn labels_of(shape: &[usize], values: &[f64]) -> Result<(Vec<u32>, (u32, u32)), String> {
    let [h, w] = *shape else {
        return Err(format!("expected labels of height and width, got an array of {shape:?}"));
    };
    Ok((values.iter().map(|v| v.max(0.0) as u32).collect(), (w as u32, h as u32)))
}

/// An array of numpy's file form, version 1 to 3.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Array {
    fn read(path: &Path) -> Result<Self, String> {
        Self::of(&read_file(path).map_err(|e| super::super::dataset::chain(&e))?)
    }

    /// What makes levels of its values: they may have been scaled to 0 to 1 before training.
    pub(super) fn scale(&self) -> f64 {
        if self.values.iter().copied().fold(0.0, f64::max) <= 1.0 { 255.0 } else { 1.0 }
    }

    pub(super) fn of(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |what: &str| format!("expected a numpy array, got {what}");
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err(wrong("something else"));
        }
        let (len, from): (usize, usize) = match bytes.get(6..12) {
            Some(&[1, _, a, b, ..]) => (usize::from(u16::from_le_bytes([a, b])), 10),
            Some(&[_, _, a, b, c, d]) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
            _ => return Err(wrong("a file that is cut short")),
        };
        let header = bytes.get(from..from.saturating_add(len)).ok_or_else(|| wrong("a header that is cut short"))?;
        let header = String::from_utf8_lossy(header);
        let value = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let kind = value("descr").and_then(|v| v.strip_prefix('\'')).and_then(|v| v.split('\'').next());
        let is_by_row = value("fortran_order").is_some_and(|v| v.starts_with("False"));
        let shape = value("shape").and_then(|v| v.strip_prefix('(')).and_then(|v| v.split(')').next());
        let shape: Option<Vec<usize>> =
            shape.and_then(|s| s.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().ok()).collect());
        let (Some(kind), Some(shape), true) = (kind, shape, is_by_row) else {
            return Err(wrong("one that is not stored by rows, or no description"));
        };
        let count = shape.iter().try_fold(1usize, |n, s| n.checked_mul(*s)).filter(|n| (1..=ELEMENTS_MAX).contains(n));
        let count = count.ok_or_else(|| format!("expected at most {ELEMENTS_MAX} elements, got {shape:?}"))?;
        let stored = &bytes[from + len..];
        let numbers = |size: usize, number: &dyn Fn(&[u8]) -> f64| {
            let all = stored.get(..count * size).ok_or_else(|| wrong("fewer values than announced"))?;
            Ok(all.chunks_exact(size).map(number).collect::<Vec<f64>>())
        };
        let values = match kind {
            "|u1" | "|b1" => numbers(1, &|b| f64::from(b[0])),
            "|i1" => numbers(1, &|b| f64::from(b[0] as i8)),
            "<u2" => numbers(2, &|b| f64::from(u16::from_le_bytes([b[0], b[1]]))),
            "<i2" => numbers(2, &|b| f64::from(i16::from_le_bytes([b[0], b[1]]))),
            "<u4" => numbers(4, &|b| f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            "<i4" => numbers(4, &|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            "<f4" => numbers(4, &|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            "<i8" => numbers(8, &|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f64),
            "<f8" => numbers(8, &|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
            other => Err(format!("expected numbers of up to 8 bytes, got {other}")),
        };
        Ok(Self { shape, values: values? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn array(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    #[test]
    fn arrays_are_read_by_their_description() {
        let bytes = Array::of(&array("|u1", "(2, 3)", &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!((bytes.shape, bytes.values), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let reals = [0.5f32, 1.0].map(f32::to_le_bytes).concat();
        assert_eq!(Array::of(&array("<f4", "(2,)", &reals)).unwrap().values, [0.5, 1.0]);
        for wrong in [array("<f4", "(9,)", &reals), array("|S1", "(1,)", b"a"), b"\x93NUMPY".to_vec(), vec![0; 40]] {
            assert!(Array::of(&wrong).is_err());
        }
    }
}
