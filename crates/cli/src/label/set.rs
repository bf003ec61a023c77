//! The set that `sonotap label` makes: images, masks, manifest.csv, and labels.csv with what each image took.
//!
//! What is accepted is on the disk, whole, before the next image is shown: image, mask, manifest and log get their names together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sonotap::contour::{Outline, trace_bitmap};
use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::mask::Bitmap;
use sonotap::source::images::load_still;
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, DatasetRow, MANIFEST, ObjectChoice};

use super::scan::{self, Scan, Scans};
use crate::output::{Files, png_of_mask};

/// What each image took.
pub const LABELS: &str = "labels.csv";
const COLUMNS: &str = "image,mask,group,split,organ,class,pixel_mm";
const LABELS_COLUMNS: &str = "image,result,edits,seconds,score";
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "gif"];
/// Folders below the one that is named.
const DEPTH_MAX: usize = 8;

/// An image that is to be outlined.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Where it is.
    path: PathBuf,
    /// The frame of a DICOM file, from 0.
    frame: Option<usize>,
    /// Its path within the set, with `/`.
    pub name: String,
    mask: String,
    /// Group, split, organ, class and pixel size as a manifest has them.
    known: [String; 5],
    /// The mask that it has already.
    row: Option<DatasetRow>,
}

impl Picture {
    /// Its pixels.
    pub fn load(&self) -> Result<Frame> {
        match self.frame {
            Some(frame) => scan::load(&self.path, frame),
            None => Ok(load_still(&self.path)?),
        }
    }

    /// Its copy in a set elsewhere.
    fn copy(&self) -> Result<Vec<u8>> {
        match self.frame {
            Some(_) => scan::png(&self.load()?),
            None => std::fs::read(&self.path).with_context(|| self.path.display().to_string()),
        }
    }

    fn of_scan(path: &Path, found: Scan, row: Option<DatasetRow>) -> Self {
        let Scan { frame, name, group, pixel_mm } = found;
        let mm = pixel_mm.map_or(String::new(), |mm| mm.to_string());
        let known = [group, String::new(), String::new(), String::new(), mm];
        Self { path: path.to_owned(), frame: Some(frame), mask: mask_of(&name, false), name, known, row }
    }

    /// Its name without the folder that all images of a set are in.
    pub fn short_name(&self) -> &str {
        self.name.strip_prefix("images/").unwrap_or(&self.name)
    }
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// Somebody looked at the outline and accepted it.
    Accepted,
    /// Somebody looked at the mask that it had and left it as it is.
    Kept,
    /// The model's own outline, which nobody has looked at.
    Proposed,
    /// Nothing was outlined.
    Skipped,
    /// It cannot be read.
    Unreadable,
}

impl Labelled {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Kept => "kept",
            Self::Proposed => "proposed",
            Self::Skipped => "skipped",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What an image took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Edits of the operator: taps, boxes, undo.
    pub edits: u64,
    /// From the first look at it, s.
    pub seconds: f64,
    /// Of what the model proposed.
    pub score: Option<f32>,
}

/// A set that grows.
pub struct LabelSet {
    out: PathBuf,
    is_elsewhere: bool,
    /// In the order of their paths.
    pub pictures: Vec<Picture>,
    /// Lines of the manifest by image.
    rows: BTreeMap<String, String>,
    log: String,
}

impl LabelSet {
    /// Reads the images below `dir`, and what is known of them: by its manifest, and by the set at `out` so far. `only`: the
    /// frame of DICOM cines, from 1; all without it.
    pub fn open(dir: &Path, out: Option<&Path>, only: Option<usize>) -> Result<Self> {
        let out = out.unwrap_or(dir);
        let is_elsewhere = std::path::absolute(out)? != std::path::absolute(dir)?;
        let known = rows_of(dir)?;
        let labelled = if is_elsewhere { rows_of(out)? } else { known.clone() };
        check_manifest(out, is_elsewhere)?;
        let (mut pictures, mut scans) = (Vec::new(), Scans::default());
        for path in images_below(dir, out, is_elsewhere)? {
            if scan::is_dicom(&path) {
                if !is_elsewhere {
                    bail!(
                        "{}: DICOM files are labelled with --out SET: the set has PNG files of their frames",
                        dir.display()
                    );
                }
                for found in scans.of(&path, dir, only)? {
                    let done = labelled.iter().find(|row| row.image_name.replace('\\', "/") == found.name);
                    pictures.push(Picture::of_scan(&path, found, done.cloned()));
                }
                continue;
            }
            let inner = name_of(&path, dir);
            let name =
                if is_elsewhere && !inner.starts_with("images/") { format!("images/{inner}") } else { inner.clone() };
            let row = known.iter().find(|row| row.image_name.replace('\\', "/") == inner);
            let done = labelled.iter().find(|row| row.image_name.replace('\\', "/") == name);
            let group = row.map_or_else(|| group_of(&inner), |row| row.group.clone());
            let cell = |of: fn(&DatasetRow) -> String| row.map(of).unwrap_or_default();
            let known = [
                group,
                cell(|r| r.split.clone()),
                cell(|r| r.organ.clone()),
                cell(|r| r.class.clone()),
                cell(|r| r.pixel_mm.map_or(String::new(), |mm| mm.to_string())),
            ];
            let (mask, row) = (mask_of(&name, false), done.or(row).cloned());
            pictures.push(Picture { path, frame: None, mask, name, known, row });
        }
        // A DICOM file that is there twice is one.
        let mut names = std::collections::BTreeSet::new();
        pictures.retain(|p| p.frame.is_none() || names.insert(p.name.clone()));
        if pictures.is_empty() {
            bail!("{}: expected PNG, JPEG, GIF or DICOM images, got none", dir.display());
        }
        for i in 1..pictures.len() {
            if pictures[..i].iter().any(|p| p.mask == pictures[i].mask) {
                pictures[i].mask = mask_of(&pictures[i].name, true);
            }
        }
        let mut set = Self { out: out.to_owned(), is_elsewhere, pictures, rows: BTreeMap::new(), log: String::new() };
        set.take_rows(&labelled);
        set.log = std::fs::read_to_string(out.join(LABELS)).unwrap_or_else(|_| format!("{LABELS_COLUMNS}\n"));
        Ok(set)
    }

    fn take_rows(&mut self, labelled: &[DatasetRow]) {
        for row in labelled {
            let mm = row.pixel_mm.map_or(String::new(), |mm| mm.to_string());
            let known = [row.group.clone(), row.split.clone(), row.organ.clone(), row.class.clone(), mm];
            self.rows.insert(row.image_name.clone(), line_of(&row.image_name, &row.mask_name, &known));
        }
    }

    /// Number of images with a mask.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether an image has a mask in this set.
    pub fn is_labelled(&self, at: usize) -> bool {
        self.rows.contains_key(&self.pictures[at].name)
    }

    /// Bounds of the mask that an image has, image px.
    pub fn mask_bounds(&self, at: usize) -> Option<Rect<ImageSpace>> {
        let pair = self.pictures[at].row.as_ref()?.load().ok()?;
        let mut outline = Outline::default();
        trace_bitmap(&pair.truth, &mut outline);
        outline.bounds()
    }

    /// Keeps a mask for an image. When this returns, it is on the disk.
    pub fn keep(&mut self, at: usize, mask: &Bitmap, labelled: Labelled, effort: Effort) -> Result<()> {
        let picture = &self.pictures[at];
        let line = line_of(&picture.name, &picture.mask, &picture.known);
        let before = self.rows.insert(picture.name.clone(), line.clone());
        let mut files = Files::default();
        let mask_path = self.out.join(&picture.mask);
        let image_path = self.out.join(&picture.name);
        for path in [&mask_path, &image_path] {
            let folder = path.parent().unwrap_or(&self.out);
            std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        }
        files.add(&mask_path, png_of_mask(mask)?);
        if self.is_elsewhere {
            files.add(&image_path, picture.copy()?);
        }
        let name = picture.name.clone();
        let written = self.write(files, &name, labelled, effort);
        if written.is_err() {
            match before {
                Some(line) => self.rows.insert(name, line),
                None => self.rows.remove(&name),
            };
        }
        written?;
        let row = rows_of(&self.out)?.into_iter().find(|row| row.image_name == self.pictures[at].name);
        self.pictures[at].row = row;
        Ok(())
    }

    /// Notes what became of an image that gets no new mask.
    pub fn note(&mut self, at: usize, labelled: Labelled, effort: Effort) -> Result<()> {
        let name = self.pictures[at].name.clone();
        std::fs::create_dir_all(&self.out).with_context(|| format!("{}: cannot be made", self.out.display()))?;
        self.write(Files::default(), &name, labelled, effort)
    }

    fn write(&mut self, mut files: Files, image: &str, labelled: Labelled, effort: Effort) -> Result<()> {
        let mut log = self.log.clone();
        let score = effort.score.map_or(String::new(), |s| format!("{s:.3}"));
        let Effort { edits, seconds, .. } = effort;
        // Writing to a String cannot fail.
        let _ = writeln!(log, "{},{},{edits},{seconds:.1},{score}", field(image), labelled.word());
        if !self.rows.is_empty() {
            let lines = self.rows.values().fold(format!("{COLUMNS}\n"), |text, line| text + line + "\n");
            files.add(&self.out.join(MANIFEST), lines.into_bytes());
        }
        files.add(&self.out.join(LABELS), log.clone().into_bytes());
        files.write()?;
        self.log = log;
        Ok(())
    }
}

/// The rows of a set; none where there is no set yet.
fn rows_of(dir: &Path) -> Result<Vec<DatasetRow>> {
    let has_folders = dir.join("images").is_dir() && dir.join("masks").is_dir();
    if !dir.join(MANIFEST).is_file() && !has_folders {
        return Ok(Vec::new());
    }
    let set = Dataset::open(dir, &DatasetOptions { split: None, objects: ObjectChoice::Largest })?;
    if let Some(row) = set.unusable.first() {
        bail!("{}: row {}: {}: {}", dir.join(MANIFEST).display(), row.row, row.file, row.reason);
    }
    Ok(set.rows)
}

/// Refuses to write over a manifest with other columns: they would be lost.
fn check_manifest(out: &Path, is_elsewhere: bool) -> Result<()> {
    let path = out.join(MANIFEST);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    let header = text.lines().next().unwrap_or_default().trim();
    if header == COLUMNS {
        return Ok(());
    }
    let way_out = if is_elsewhere { "another folder as --out" } else { "--out NEW" };
    bail!("{}: expected the columns {COLUMNS}, got {header}; with {way_out} nothing of it is lost", path.display())
}

fn images_below(dir: &Path, out: &Path, is_elsewhere: bool) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![(dir.to_owned(), 0)]);
    let skipped = [dir.join("masks"), out.to_owned()];
    while let Some((folder, depth)) = open.pop() {
        let unreadable = || format!("{}: cannot be read", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let is_skipped = path == skipped[0] || is_elsewhere && path == skipped[1];
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && depth < DEPTH_MAX && !is_skipped && !is_hidden {
                open.push((path, depth + 1));
            } else if kind.is_file() && !is_hidden && (ENDINGS.contains(&ending.as_str()) || scan::is_dicom(&path)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path, dir: &Path) -> String {
    let inner = path.strip_prefix(dir).unwrap_or(path);
    let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// A folder of its own is a group: one patient's images. Other images are each their own.
fn group_of(name: &str) -> String {
    let inner = name.strip_prefix("images/").unwrap_or(name);
    match inner.rsplit_once('/') {
        Some((folder, _)) => folder.to_owned(),
        None => inner.to_owned(),
    }
}

fn mask_of(name: &str, with_ending: bool) -> String {
    let inner = name.strip_prefix("images/").unwrap_or(name).replace('/', "_");
    match inner.rsplit_once('.').filter(|_| !with_ending) {
        Some((stem, _)) => format!("masks/{stem}.png"),
        None => format!("masks/{inner}.png"),
    }
}

fn line_of(image: &str, mask: &str, known: &[String; 5]) -> String {
    let cells: Vec<String> = [image, mask].into_iter().chain(known.iter().map(String::as_str)).map(field).collect();
    cells.join(",")
}

/// A field of a CSV line.
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"").replace(['\n', '\r'], " ")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn picture(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let grey: Vec<u8> = (0..64 * 48).map(|i| (i % 251) as u8).collect();
        image::save_buffer(path, &grey, 64, 48, image::ExtendedColorType::L8).unwrap();
    }

    fn mask() -> Bitmap {
        let mut mask = Bitmap::new(64, 48);
        (10..20).for_each(|y| (12..30).for_each(|x| mask.set(x, y, true)));
        mask
    }

    const EFFORT: Effort = Effort { edits: 2, seconds: 3.25, score: None };

    #[test]
    fn what_is_accepted_is_a_set_that_eval_and_train_read() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["p1/a.png", "p1/b.png", "p2/a.png", "c, d.png"] {
            picture(&dir.path().join(name));
        }
        let mut set = LabelSet::open(dir.path(), None, None).unwrap();
        assert_eq!(set.pictures.len(), 4);
        set.keep(0, &mask(), Labelled::Accepted, EFFORT).unwrap();
        set.keep(1, &mask(), Labelled::Accepted, EFFORT).unwrap();
        set.note(2, Labelled::Skipped, EFFORT).unwrap();
        let rows = rows_of(dir.path()).unwrap();
        let groups: Vec<_> = rows.iter().map(|r| (r.image_name.as_str(), r.group.as_str())).collect();
        assert_eq!(groups, [("c, d.png", "c, d.png"), ("p1/a.png", "p1")]);
        assert_eq!(rows[1].load().unwrap().truth.area_px(), 180);
        let again = LabelSet::open(dir.path(), None, None).unwrap();
        assert_eq!((again.len(), again.is_labelled(1), again.is_labelled(2)), (2, true, false));
        assert_eq!(again.mask_bounds(0), Some(Rect::new(12.0, 10.0, 30.0, 20.0)));
        let log = fs::read_to_string(dir.path().join(LABELS)).unwrap();
        assert_eq!(log.lines().nth(1), Some("\"c, d.png\",accepted,2,3.2,"));
        assert_eq!(log.lines().nth(3), Some("p1/b.png,skipped,2,3.2,"));
    }

    #[test]
    fn a_set_elsewhere_gets_copies_and_keeps_what_the_manifest_knows() {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        picture(&dir.path().join("images/7.png"));
        picture(&dir.path().join("images/7.jpg"));
        fs::create_dir(dir.path().join("masks")).unwrap();
        fs::write(dir.path().join("masks/7.png"), png_of_mask(&mask()).unwrap()).unwrap();
        let manifest = "image,mask,group,split,operator\nimages/7.png,masks/7.png,patient 3,train,kim\n";
        fs::write(dir.path().join(MANIFEST), manifest).unwrap();
        let refused = LabelSet::open(dir.path(), None, None).map(drop).unwrap_err().to_string();
        assert!(refused.contains("--out NEW"), "{refused}");
        let mut set = LabelSet::open(dir.path(), Some(&out.path().join("new")), None).unwrap();
        assert_eq!(set.pictures.len(), 2, "masks are no images");
        assert!(set.mask_bounds(1).is_some() && set.mask_bounds(0).is_none() && !set.is_labelled(1));
        for at in 0..2 {
            set.keep(at, &mask(), Labelled::Accepted, EFFORT).unwrap();
        }
        let rows = rows_of(&out.path().join("new")).unwrap();
        assert_eq!(rows.len(), 2);
        assert_ne!(rows[0].mask, rows[1].mask, "two images of one name have two masks");
        assert_eq!((rows[1].group.as_str(), rows[1].split.as_str()), ("patient 3", "train"));
        assert!(rows.iter().all(|row| row.load().is_ok()));
        assert_eq!(fs::read_to_string(dir.path().join(MANIFEST)).unwrap(), manifest, "the source is as it was");
    }

    #[test]
    fn frames_of_dicom_files_are_images_whose_names_and_files_say_nothing_of_the_patient() {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cine = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/cine/heart-4ch.dcm");
        let folder = dir.path().join("Doe John 1950");
        fs::create_dir(&folder).unwrap();
        // A name in the header, as a file has it: ten characters, patient's name.
        let mut bytes = fs::read(cine).unwrap();
        let name = b"\x10\x00\x10\x00PN";
        if let Some(at) = bytes.windows(6).position(|w| w == name) {
            let length = usize::from(bytes[at + 6]);
            for (i, byte) in bytes[at + 8..at + 8 + length].iter_mut().enumerate() {
                *byte = b"DOE^JOHN"[i % 8];
            }
        }
        fs::write(folder.join("DOE^JOHN.dcm"), &bytes).unwrap();
        fs::write(folder.join("copy of DOE^JOHN"), &bytes).unwrap();
        let refused = LabelSet::open(dir.path(), None, None).map(drop).unwrap_err().to_string();
        assert!(refused.contains("--out SET"), "{refused}");
        let to = out.path().join("set");
        let all = LabelSet::open(dir.path(), Some(&to), None).unwrap();
        let count = all.pictures.len();
        assert!(count > 3, "each frame of a cine is an image, and a file that is there twice is one: {count}");
        let many = LabelSet::open(dir.path(), Some(&to), Some(count + 1)).map(drop).unwrap_err().to_string();
        assert!(many.contains(&format!("expected 1 to {count}")), "{many}");
        let mut set = LabelSet::open(dir.path(), Some(&to), Some(3)).unwrap();
        assert_eq!(set.pictures.len(), 1);
        let frame = set.pictures[0].load().unwrap();
        let mut inside = Bitmap::new(frame.width(), frame.height());
        (20..40).for_each(|y| (30..50).for_each(|x| inside.set(x, y, true)));
        set.keep(0, &inside, Labelled::Accepted, EFFORT).unwrap();
        let rows = rows_of(&to).unwrap();
        assert_eq!(rows[0].load().unwrap().truth.area_px(), 400);
        assert!(rows[0].group.starts_with("g-") && rows[0].image_name.ends_with("-0003.png"), "{:?}", rows[0]);
        let mut open = vec![to.clone()];
        while let Some(folder) = open.pop() {
            for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                let name = path.strip_prefix(&to).unwrap().to_string_lossy().to_lowercase();
                assert!(!name.contains("doe") && !name.contains("1950"), "{name}");
                if path.is_dir() {
                    open.push(path);
                } else {
                    let content = fs::read(&path).unwrap().to_ascii_lowercase();
                    assert!(!content.windows(3).any(|w| w == b"doe"), "{name} holds the patient's name");
                }
            }
        }
        let again = LabelSet::open(dir.path(), Some(&to), None).unwrap();
        assert_eq!(
            (again.pictures.len(), again.len(), again.is_labelled(2), again.is_labelled(1)),
            (count, 1, true, false)
        );
    }

    #[test]
    fn a_folder_without_images_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes.txt"), "none").unwrap();
        let e = LabelSet::open(dir.path(), None, None).map(drop).unwrap_err().to_string();
        assert!(e.contains("expected PNG, JPEG, GIF or DICOM images"), "{e}");
    }
}
