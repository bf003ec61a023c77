//! The outlined few, drawn by group; the images without masks; weak and strong views of both.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::config::SemiConfig;
use crate::eval::components::Components;
use crate::eval::dataset::{Dataset, DatasetOptions, DatasetRow, ObjectChoice};
use crate::train::picture::{Affine, Grey, Picture, SIDE, chance, uniform, warped_mask};
use crate::train::sources::{self, Sources};
use crate::train::views::tone;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::mask::Bitmap;
use sonotap::source::images::load_still;

/// Images kept in memory.
const KEPT: usize = 4000;
/// Endings of files that are searched for.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "dcm", "dicom"];
/// Most files of a folder.
const FILES_MAX: usize = 100_000;

/// The rows of one image.
pub type ImageRows = Vec<DatasetRow>;

/// An outlined picture.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// What is seen.
    pub picture: Picture,
    /// All of the structure.
    pub whole: Bitmap,
    /// Its parts, the largest first.
    pub objects: Vec<Bitmap>,
}

/// A picture without a mask, seen twice in the same place.
#[derive(Clone, Debug)]
pub struct Unlabelled {
    /// As it is.
    pub weak: Picture,
    /// With other tones and holes.
    pub strong: Picture,
    /// Where the holes are.
    pub holes: Bitmap,
}

/// The images of a run.
#[derive(Debug)]
pub struct Pictures {
    labelled: Vec<ImageRows>,
    unlabelled: Vec<PathBuf>,
    outlined: HashMap<usize, Arc<(Grey, Bitmap)>>,
    plain: HashMap<usize, Arc<Grey>>,
    /// Files that could not be read, with the reason; they are left out.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Pictures {
    /// Draws the few, and lists the rest.
    ///
    /// # Errors
    /// Those of the set; `Format` when there is nothing to draw from.
    pub fn open(config: &SemiConfig) -> Result<Self> {
        let [labelled, rest] = draw(config)?;
        let unlabelled = match config.unlabelled.as_slice() {
            _ if config.unlabelled_pictures == 0 => Vec::new(),
            [] => rest.into_iter().map(|rows| rows[0].image.clone()).collect(),
            folders => files(folders)?,
        };
        if config.unlabelled_pictures > 0 && unlabelled.is_empty() {
            return Err(Error::new(ErrorKind::Format, "unlabelled: expected images without masks, got none"));
        }
        Ok(Self { labelled, unlabelled, outlined: HashMap::new(), plain: HashMap::new(), unreadable: Vec::new() })
    }

    /// Outlined images, and images without masks.
    pub fn counts(&self) -> (usize, usize) {
        (self.labelled.len(), self.unlabelled.len())
    }

    /// The outlined images, for the click model's own tasks.
    pub fn sources(&self, name: &str) -> Sources {
        Sources::of_images(name, self.labelled.clone())
    }

    /// The images without masks.
    pub fn unlabelled(&self) -> &[PathBuf] {
        &self.unlabelled
    }

    /// A random outlined picture; `None` when the view shows too little of it.
    ///
    /// # Errors
    /// `Format` when it cannot be read; the message names the set's row.
    pub fn labelled(&mut self, rng: &mut impl Rng) -> Result<Option<Labelled>> {
        let index = rng.random_range(0..self.labelled.len());
        let subject = match self.outlined.get(&index) {
            Some(subject) => subject.clone(),
            None => {
                let read = Arc::new(read(&self.labelled[index])?);
                self.outlined.insert(index, read.clone());
                read
            }
        };
        let (grey, mask) = (&subject.0, &subject.1);
        let Some(back) = whole_view(grey, rng).inverse() else { return Ok(None) };
        let whole = warped_mask(mask, &back);
        let parts = Components::of(&whole);
        let objects: Vec<Bitmap> = parts.by_area().into_iter().map(|i| parts.bitmap(i)).collect();
        if objects.is_empty() {
            return Ok(None);
        }
        Ok(Some(Labelled { picture: tone(grey.warped(&back), rng), whole, objects }))
    }

    /// A random picture without a mask; `None` when its file cannot be read.
    pub fn unlabelled_picture(&mut self, rng: &mut impl Rng) -> Option<Unlabelled> {
        let index = rng.random_range(0..self.unlabelled.len());
        let grey = self.plain(index)?;
        let weak = grey.warped(&whole_view(&grey, rng).inverse()?);
        let (strong, holes) = strong(&weak, rng);
        Some(Unlabelled { weak, strong, holes })
    }

    fn plain(&mut self, index: usize) -> Option<Arc<Grey>> {
        if let Some(grey) = self.plain.get(&index) {
            return Some(grey.clone());
        }
        match load_still(&self.unlabelled[index]) {
            Ok(frame) => {
                let grey = Arc::new(Grey::of_frame(&frame));
                if self.plain.len() < KEPT {
                    self.plain.insert(index, grey.clone());
                }
                Some(grey)
            }
            Err(e) => {
                let path = self.unlabelled[index].clone();
                if self.unreadable.iter().all(|(p, _)| *p != path) {
                    log::warn!("{}: left out: {e}", path.display());
                    self.unreadable.push((path, e.to_string()));
                }
                None
            }
        }
    }
}

/// Rows by image: those that were drawn, one of each group before a second, and the rest.
fn draw(config: &SemiConfig) -> Result<[Vec<ImageRows>; 2]> {
    let from = &config.labelled;
    let set: Dataset = sources::open(&from.folder, &from.split)?;
    let mut images = by_image(set, from.class.as_deref());
    let (count, wanted) = (images.len(), from.images.unwrap_or(images.len()));
    if wanted == 0 || wanted > count {
        let context = format!("{}: expected {wanted} outlined images to draw, got {count}", from.folder.display());
        return Err(Error::new(ErrorKind::Format, context));
    }
    images.shuffle(&mut Pcg64Mcg::seed_from_u64(from.draw));
    let mut turns: HashMap<String, usize> = HashMap::new();
    let mut ranked: Vec<(usize, Vec<DatasetRow>)> = images
        .into_iter()
        .map(|rows| {
            let turn = turns.entry(rows[0].group.clone()).or_default();
            *turn += 1;
            (*turn, rows)
        })
        .collect();
    ranked.sort_by_key(|(turn, _)| *turn);
    let mut drawn: Vec<ImageRows> = ranked.into_iter().map(|(_, rows)| rows).collect();
    let rest = drawn.split_off(wanted);
    Ok([drawn, rest])
}

/// All masks of an image as one.
///
/// # Errors
/// `Format` when a row cannot be used; the message names it.
pub fn read(rows: &[DatasetRow]) -> Result<(Grey, Bitmap)> {
    let mut found: Option<(Grey, Bitmap)> = None;
    for row in rows {
        let pair = row.load().map_err(|reason| {
            Error::new(ErrorKind::Format, format!("row {} ({}): {reason}", row.number, row.mask_name))
        })?;
        match &mut found {
            None => found = Some((Grey::of_frame(&pair.image), pair.truth)),
            Some((_, mask)) => {
                let values = mask.pixels().iter().zip(pair.truth.pixels()).map(|(a, b)| a | b).collect();
                if let Some(joined) = Bitmap::from_values(mask.width(), mask.height(), values) {
                    *mask = joined;
                }
            }
        }
    }
    found.ok_or_else(|| Error::new(ErrorKind::Format, "labelled: expected an image with a mask, got none"))
}

/// Image files below these folders, in order of their names.
fn files(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = open.pop() {
        let place = folder.display();
        let cannot = |e: std::io::Error| Error::new(ErrorKind::Io, format!("{place}: cannot be read: {e}"));
        for entry in std::fs::read_dir(&folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if is_image(&path) {
                found.push(path);
            }
            if found.len() > FILES_MAX {
                let what = format!("unlabelled: expected at most {FILES_MAX} files, got more");
                return Err(Error::new(ErrorKind::Argument, what));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_image(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

/// From image px to a view of the whole image: a little larger or smaller, turned, mirrored, moved.
fn whole_view(grey: &Grey, rng: &mut impl Rng) -> Affine {
    let side = SIDE as f32;
    let (width, height) = (grey.width as f32, grey.height as f32);
    let scale = side / width.max(height) * uniform(rng, 0.85, 1.2);
    let degrees = if chance(rng, 0.5) { uniform(rng, -12.0, 12.0) } else { 0.0 };
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mirror = if chance(rng, 0.5) { -1.0 } else { 1.0 };
    let stretch = if chance(rng, 0.3) { uniform(rng, 0.85, 1.18) } else { 1.0 };
    let linear = [cos * scale * mirror * stretch, -sin * scale, sin * scale * mirror * stretch, cos * scale];
    let (cx, cy) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    let (mx, my) = (linear[0] * cx + linear[1] * cy, linear[2] * cx + linear[3] * cy);
    // Anywhere that the image fits, or a little beyond: the live path has it at the top left.
    let mut place = |extent: f32| {
        let free = (side - extent).abs() / 2.0 + 8.0;
        side / 2.0 - 0.5 + uniform(rng, -free, free)
    };
    let (x, y) = (place(width * scale), place(height * scale));
    Affine([linear[0], linear[1], x - mx, linear[2], linear[3], y - my])
}

/// Other tones, twice, and a few holes (DeVries and Taylor, "Cutout", 2017).
fn strong(weak: &Picture, rng: &mut impl Rng) -> (Picture, Bitmap) {
    let toned = tone(tone(weak.clone(), rng), rng);
    let (mean, _) = toned.moments();
    let mut holes = Bitmap::new(SIDE as u32, SIDE as u32);
    for _ in 0..rng.random_range(0..4) {
        let (w, h) = (rng.random_range(12..48), rng.random_range(12..48));
        let (x0, y0) = (rng.random_range(0..SIDE as u32 - w), rng.random_range(0..SIDE as u32 - h));
        (y0..y0 + h).for_each(|y| (x0..x0 + w).for_each(|x| holes.set(x, y, true)));
    }
    let filled = toned.zip(&Picture::of_mask(&holes), |v, hole| if hole > 0.0 { mean } else { v });
    (filled, holes)
}

/// The rows of a split by image, for proposals.
///
/// # Errors
/// Those of the set.
pub fn images_of(config: &SemiConfig, split: &str) -> Result<Vec<ImageRows>> {
    let from = &config.labelled;
    let options = DatasetOptions { split: Some(split.to_owned()), objects: ObjectChoice::Each };
    let set = Dataset::open(&from.folder, &options)?;
    Ok(by_image(set, from.class.as_deref()))
}

fn by_image(set: Dataset, class: Option<&str>) -> Vec<ImageRows> {
    let mut found: BTreeMap<String, Vec<DatasetRow>> = BTreeMap::new();
    for row in set.rows.into_iter().filter(|r| class.is_none_or(|c| c == r.class)) {
        found.entry(row.image_name.clone()).or_default().push(row);
    }
    found.into_values().collect()
}
