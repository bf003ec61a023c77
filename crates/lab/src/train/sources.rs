//! The real images that are trained on, read when first needed and kept.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rand::Rng;

use super::config::DataConfig;
use super::picture::Grey;
use crate::eval::clicks::boxes::bounds_of;
use crate::eval::components::Components;
use crate::eval::dataset::{Dataset, DatasetOptions, DatasetRow, ObjectChoice};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::Bitmap;

/// Smallest object, px of its own image.
const OBJECT_MIN: usize = 30;
/// Most frames of a cine between an image and the one before.
const FRAMES_BEFORE: u64 = 8;
/// Images beyond which a set is not seen more often.
const ENOUGH: f32 = 400.0;

/// An image with its objects.
#[derive(Debug)]
pub struct Subject {
    /// What is seen.
    pub grey: Grey,
    /// Bounds and mask of each object.
    pub objects: Vec<(Rect<ImageSpace>, Bitmap)>,
}

impl Subject {
    /// The mask of its object, when it has one alone.
    pub fn only(&self) -> Option<&Bitmap> {
        if let [(_, mask)] = self.objects.as_slice() { Some(mask) } else { None }
    }
}

/// All images of one split.
#[derive(Debug)]
pub struct Sources {
    images: Vec<Vec<DatasetRow>>,
    /// Name of each image's set.
    sets: Vec<String>,
    /// Sums of the images' weights up to and with each.
    upto: Vec<f32>,
    read: HashMap<usize, Arc<Subject>>,
    /// Images by set, cine and frame.
    frames: HashMap<(String, String, u64), usize>,
    /// SHA-256 of each set's list, by name.
    pub digests: BTreeMap<String, String>,
}

impl Sources {
    /// Lists the images of a split.
    ///
    /// # Errors
    /// Those of the sets; `Format` when a row cannot be used, or a group is in two splits.
    pub fn open(sets: &[DataConfig], split: &str) -> Result<Self> {
        let mut all = Self {
            images: Vec::new(),
            sets: Vec::new(),
            upto: Vec::new(),
            read: HashMap::new(),
            frames: HashMap::new(),
            digests: BTreeMap::new(),
        };
        let mut sum = 0.0;
        for set in sets {
            let dataset = open(&set.folder, split)?;
            let mut by_image: BTreeMap<String, Vec<DatasetRow>> = BTreeMap::new();
            dataset.rows.into_iter().for_each(|r| by_image.entry(r.image_name.clone()).or_default().push(r));
            let n = by_image.len() as f32;
            let weight = set.share * n.min(ENOUGH).sqrt() / n;
            for rows in by_image.into_values() {
                sum += weight;
                let first = rows.first();
                let place = first.and_then(|r| Some((dataset.name.clone(), r.sequence.clone()?, r.frame?)));
                all.frames.extend(place.map(|p| (p, all.images.len())));
                all.images.push(rows);
                all.sets.push(dataset.name.clone());
                all.upto.push(sum);
            }
            all.digests.insert(dataset.name, dataset.digest);
        }
        if all.images.is_empty() {
            return Err(Error::new(ErrorKind::Format, format!("data: expected images of split {split:?}, got none")));
        }
        Ok(all)
    }

    /// These images of one set, each seen as often as the others.
    pub fn of_images(name: &str, images: Vec<Vec<DatasetRow>>) -> Self {
        Self {
            sets: vec![name.to_owned(); images.len()],
            upto: (1..=images.len()).map(|i| i as f32).collect(),
            images,
            read: HashMap::new(),
            frames: HashMap::new(),
            digests: BTreeMap::new(),
        }
    }

    /// A random image; of a cine also one some frames before.
    ///
    /// # Errors
    /// `Format` when it cannot be read; the message names the set's row.
    pub fn draw(&mut self, rng: &mut impl Rng) -> Result<(Arc<Subject>, Option<Arc<Subject>>)> {
        let total = self.upto.last().copied().unwrap_or(0.0);
        let at = rng.random::<f32>() * total;
        let index = self.upto.partition_point(|sum| *sum <= at).min(self.images.len() - 1);
        let before = self.before(index, rng).map(|i| self.get(i)).transpose()?;
        Ok((self.get(index)?, before))
    }

    fn before(&self, index: usize, rng: &mut impl Rng) -> Option<usize> {
        let row = self.images[index].first()?;
        let (sequence, frame) = (row.sequence.clone()?, row.frame?);
        let earlier = frame.checked_sub(rng.random_range(1..=FRAMES_BEFORE))?;
        self.frames.get(&(self.sets[index].clone(), sequence, earlier)).copied()
    }

    /// The image of a place in the list.
    ///
    /// # Errors
    /// As [`Sources::draw`].
    pub fn get(&mut self, index: usize) -> Result<Arc<Subject>> {
        if let Some(subject) = self.read.get(&index) {
            return Ok(subject.clone());
        }
        let subject = Arc::new(read(&self.images[index])?);
        self.read.insert(index, subject.clone());
        Ok(subject)
    }
}

/// A set's rows of a split, refused as a whole when any row is unusable or a group would leak.
pub(super) fn open(folder: &Path, split: &str) -> Result<Dataset> {
    let options = DatasetOptions { split: Some(split.to_owned()), objects: ObjectChoice::Each };
    let set = Dataset::open(folder, &options)?;
    if let Some(group) = set.leaking_groups.first() {
        let context = format!("{}: expected each group in one split, got {group:?} in two", set.name);
        return Err(Error::new(ErrorKind::Format, context));
    }
    if let Some(row) = set.unusable.first() {
        let context = format!("{}: row {} ({}): {}", set.name, row.row, row.file, row.reason);
        return Err(Error::new(ErrorKind::Format, context));
    }
    Ok(set)
}

fn read(rows: &[DatasetRow]) -> Result<Subject> {
    let mut grey = None;
    let mut objects = Vec::new();
    for row in rows {
        let pair = row.load().map_err(|reason| {
            Error::new(ErrorKind::Format, format!("row {} ({}): {reason}", row.number, row.mask_name))
        })?;
        grey.get_or_insert_with(|| Grey::of_frame(&pair.image));
        let parts = Components::of(&pair.truth);
        let large = (0..parts.len()).filter(|i| parts.area_px(*i) >= OBJECT_MIN).map(|i| parts.bitmap(i));
        objects.extend(large.filter_map(|m| Some((bounds_of(&m)?, m))));
    }
    match grey.filter(|_| !objects.is_empty()) {
        Some(grey) => Ok(Subject { grey, objects }),
        None => {
            let (row, file) = rows.first().map_or((0, ""), |r| (r.number, r.mask_name.as_str()));
            let context = format!("row {row} ({file}): expected an object of {OBJECT_MIN} px or more, got none");
            Err(Error::new(ErrorKind::Format, context))
        }
    }
}
