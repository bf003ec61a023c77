//! Pascal VOC's segmentations: indexed pictures, an index an object or a class, 255 for the rim between.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Object, Writer, files_below, folder, is_own_file, split_of, stem_of, text_of};
use crate::eval::truth::labels_of;
use sonotap::error::Result;
use sonotap::mask::Bitmap;
use sonotap::source::images::load_still;

/// Neither inside nor outside.
const RIM: u32 = 255;

pub(super) fn read(dir: &Path, writer: &mut Writer) -> Result<()> {
    let images = folder(dir, &["JPEGImages"])?;
    let masks = folder(dir, &["SegmentationObject", "SegmentationClass"])?;
    let splits = splits_of(dir);
    for path in files_below(&masks, &["png"])? {
        let name = stem_of(&path);
        let found =
            ["jpg", "jpeg", "png", "JPG"].iter().map(|e| images.join(format!("{name}.{e}"))).find(|p| is_own_file(p));
        let Some(image) = found else {
            writer.refuse(&name, "expected a picture in JPEGImages, got none");
            continue;
        };
        let read = load_still(&image).map_err(|e| super::super::dataset::chain(&e));
        match read.and_then(|frame| Ok((frame, labels_of(&path)?))) {
            Ok((frame, (values, size))) if size == (frame.width(), frame.height()) => {
                let split = splits.get(&name).copied().unwrap_or("");
                writer.add(&name, split, &frame, objects_of(&values, size, Some(RIM)))?;
            }
            Ok((frame, (_, (w, h)))) => {
                let why = format!("expected a mask of {}x{}, got {w}x{h}", frame.width(), frame.height());
                writer.refuse(&name, why);
            }
            Err(why) => writer.refuse(&name, why),
        }
    }
    Ok(())
}

/// Most bytes of the masks of one picture.
const MASKS_BYTES_MAX: usize = 128 << 20;

/// A mask for each value but 0 and the rim, as many as there is room for.
pub(super) fn objects_of(values: &[u32], (width, height): (u32, u32), rim: Option<u32>) -> Vec<Object> {
    let mut found: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (i, &value) in values.iter().enumerate().filter(|(_, v)| **v != 0 && Some(**v) != rim) {
        if (found.len() + 1) * values.len() > MASKS_BYTES_MAX && !found.contains_key(&value) {
            continue;
        }
        found.entry(value).or_insert_with(|| vec![0; values.len()])[i] = 1;
    }
    let object = |(value, pixels): (u32, Vec<u8>)| {
        Some(Object { mask: Bitmap::from_values(width, height, pixels)?, class: value.to_string() })
    };
    found.into_iter().filter_map(object).collect()
}

/// The split of each name that a list names.
fn splits_of(dir: &Path) -> BTreeMap<String, &'static str> {
    let mut splits = BTreeMap::new();
    for list in files_below(&dir.join("ImageSets").join("Segmentation"), &["txt"]).unwrap_or_default() {
        let split = split_of(Path::new(&stem_of(&list)));
        for line in text_of(&list).unwrap_or_default().lines().filter(|_| !split.is_empty()) {
            splits.entry(line.trim().to_owned()).or_insert(split);
        }
    }
    splits
}
