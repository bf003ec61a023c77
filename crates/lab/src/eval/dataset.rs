//! A folder of images and masks, as rows that can be used and rows that cannot.
//!
//! Two forms (docs/datasets.md): `manifest.csv`, a line for each image and mask; or plain folders `images/` and `masks/`,
//! matched by name. A row that cannot be used never stops anything and is never passed over in silence: it is an
//! [`Unusable`] with its line and reason. Paths lead nowhere outside the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::truth;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::mask::Bitmap;
use sonotap::source::images::load_still;

/// The file that describes a set.
pub const MANIFEST: &str = "manifest.csv";
/// Most bytes of a manifest, and most lines.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
const LINES_MAX: usize = 1 << 20;

/// Which components of a mask are objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectChoice {
    /// The one with the most pixels.
    Largest,
    /// All of them.
    Each,
}

/// What is read of a set.
#[derive(Clone, Debug)]
pub struct DatasetOptions {
    /// Rows of this split only; `None` for all rows.
    pub split: Option<String>,
    /// Which components are objects.
    pub objects: ObjectChoice,
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// Data set.
    pub data: String,
    /// Line of its manifest, the header being 1; for plain folders the place among the masks, from 1.
    pub row: usize,
    /// The mask, as written.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// One image with one mask.
#[derive(Clone, Debug)]
pub struct DatasetRow {
    /// Line of the manifest, the header being 1; for plain folders the place among the masks, from 1.
    pub number: usize,
    /// Where the image is.
    pub image: PathBuf,
    /// Where the mask is.
    pub mask: PathBuf,
    /// As written.
    pub image_name: String,
    /// As written.
    pub mask_name: String,
    /// As written; may be empty.
    pub organ: String,
    /// As written; may be empty.
    pub class: String,
    /// Patient, recording or near-duplicates; the image's name where none is written.
    pub group: String,
    /// As written; may be empty.
    pub split: String,
    /// Millimetres a pixel, if known.
    pub pixel_mm: Option<f64>,
    /// Head circumference, if known, mm.
    pub hc_mm: Option<f64>,
    /// The cine it belongs to.
    pub sequence: Option<String>,
    /// Its place there.
    pub frame: Option<u64>,
    /// Size that the manifest states.
    pub size: Option<(u32, u32)>,
    /// Which value of the mask is inside, for masks of several classes.
    pub value: Option<String>,
}

/// An image and the true mask, of one size, with something inside.
pub struct Pair {
    /// The image.
    pub image: Frame,
    /// The mask.
    pub truth: Bitmap,
}

/// A set.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name of its folder.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// Those of the split that was asked for.
    pub rows: Vec<DatasetRow>,
    /// Those that cannot be used, as far as that is known without opening images.
    pub unusable: Vec<Unusable>,
    /// SHA-256 of the manifest, or of the names and sizes of the files.
    pub digest: String,
    /// Groups that occur in more than one split of the whole set.
    pub leaking_groups: Vec<String>,
}

impl Dataset {
    /// Reads a set.
    ///
    /// # Errors
    /// `Io` when the folder cannot be read; `Format` when it is neither form, a required column is missing, or no row has
    /// the split that was asked for.
    pub fn open(folder: &Path, options: &DatasetOptions) -> Result<Self> {
        let manifest = folder.join(MANIFEST);
        let place = folder.display();
        let whole = std::path::absolute(folder).map_err(|e| unreadable(folder, e))?;
        let name = whole.file_name().map_or("data".into(), |n| n.to_string_lossy().into_owned());
        let mut set = Self {
            name,
            folder: folder.to_owned(),
            rows: Vec::new(),
            unusable: Vec::new(),
            digest: String::new(),
            leaking_groups: Vec::new(),
        };
        if manifest.is_file() {
            set.read_manifest(&manifest)?;
        } else if folder.join("images").is_dir() && folder.join("masks").is_dir() {
            set.read_folders()?;
        } else {
            let what = format!("{place}: expected {MANIFEST}, or folders images and masks, got neither");
            return Err(Error::new(ErrorKind::Format, what));
        }
        set.find_leaks();
        if let Some(split) = &options.split {
            set.keep_split(split)?;
        }
        Ok(set)
    }

    fn read_manifest(&mut self, path: &Path) -> Result<()> {
        let wrong = |what: String| Error::new(ErrorKind::Format, format!("{}: {what}", path.display()));
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|e| unreadable(path, e))?;
        file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, e))?;
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(wrong(format!("expected at most {MANIFEST_BYTES_MAX} bytes, got more")));
        }
        self.digest = hex(&Sha256::digest(&bytes));
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        // Line by line: a stray quote costs its own line and not all that follow.
        let mut lines = text.split(|b| *b == b'\n').take(LINES_MAX).enumerate().map(|(i, l)| (i + 1, l.trim_ascii()));
        let first = lines.next().map_or(&b""[..], |(_, line)| line);
        let header = record_of(first).map_err(wrong)?;
        let columns: BTreeMap<String, usize> = header.iter().enumerate().map(|(i, h)| (h.to_owned(), i)).collect();
        if !(columns.contains_key("image") && columns.contains_key("mask")) {
            let got: Vec<&str> = header.iter().collect();
            return Err(wrong(format!("expected columns image and mask, got {}", got.join(", "))));
        }
        let mut seen: BTreeMap<(PathBuf, PathBuf, Option<String>), usize> = BTreeMap::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let record = match record_of(line) {
                Ok(record) => record,
                Err(why) => {
                    self.tell(number, "", why);
                    continue;
                }
            };
            let cell = |name: &str| columns.get(name).and_then(|&c| record.get(c)).unwrap_or("");
            let file = cell("mask").to_owned();
            if record.len() != header.len() {
                self.tell(number, &file, format!("expected {} fields, got {}", header.len(), record.len()));
                continue;
            }
            match row_of(&self.folder, number, cell) {
                Err(reason) => self.tell(number, &file, reason),
                Ok(row) => match seen.entry((row.image.clone(), row.mask.clone(), row.value.clone())) {
                    std::collections::btree_map::Entry::Occupied(first) => {
                        self.tell(number, &file, format!("repeats row {}", first.get()));
                    }
                    std::collections::btree_map::Entry::Vacant(free) => {
                        free.insert(number);
                        self.rows.push(row);
                    }
                },
            }
        }
        Ok(())
    }

    fn read_folders(&mut self) -> Result<()> {
        let list = |kind: &str| -> Result<Vec<String>> {
            let folder = self.folder.join(kind);
            let entries = std::fs::read_dir(&folder).map_err(|e| unreadable(&folder, e))?;
            let mut names: Vec<String> = entries
                .filter_map(|e| e.ok().filter(|e| e.path().is_file()))
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .filter(|n| !n.starts_with('.'))
                .collect();
            names.sort();
            Ok(names)
        };
        let (images, masks) = (list("images")?, list("masks")?);
        let mut digest = Sha256::new();
        for (kind, name) in images.iter().map(|n| ("images", n)).chain(masks.iter().map(|n| ("masks", n))) {
            let size = std::fs::metadata(self.folder.join(kind).join(name)).map_or(0, |m| m.len());
            digest.update(format!("{kind}/{name}\n{size}\n"));
        }
        self.digest = hex(&digest.finalize());
        for (i, mask) in masks.iter().enumerate() {
            let mask_name = format!("masks/{mask}");
            let wanted = stem(mask);
            let fits = |image: &&String| {
                let s = stem(image);
                wanted == s || wanted.strip_prefix(s).is_some_and(|rest| rest.starts_with(['_', '-']))
            };
            let Some(image) = images.iter().filter(fits).max_by_key(|n| stem(n).len()) else {
                self.tell(i + 1, &mask_name, format!("expected an image named {wanted}, got none"));
                continue;
            };
            let image_name = format!("images/{image}");
            let cell = |name: &str| match name {
                "image" => image_name.as_str(),
                "mask" => mask_name.as_str(),
                _ => "",
            };
            match row_of(&self.folder, i + 1, cell) {
                Ok(row) => self.rows.push(row),
                Err(reason) => self.tell(i + 1, &mask_name, reason),
            }
        }
        Ok(())
    }

    fn tell(&mut self, row: usize, file: &str, reason: String) {
        self.unusable.push(Unusable { data: self.name.clone(), row, file: file.to_owned(), reason });
    }

    fn find_leaks(&mut self) {
        let mut splits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in &self.rows {
            splits.entry(&row.group).or_default().insert(&row.split);
        }
        self.leaking_groups = splits.iter().filter(|(_, s)| s.len() > 1).map(|(g, _)| (*g).to_owned()).collect();
    }

    fn keep_split(&mut self, split: &str) -> Result<()> {
        // Where no row can be used, the reasons of the rows say more than their splits.
        if self.rows.is_empty() {
            return Ok(());
        }
        let splits: BTreeSet<String> = self.rows.iter().map(|r| r.split.clone()).collect();
        self.rows.retain(|r| r.split == split);
        if self.rows.is_empty() {
            let got: Vec<&str> = splits.iter().map(|s| if s.is_empty() { "none" } else { s.as_str() }).collect();
            let place = self.folder.display();
            let what = format!(
                "{place}: expected rows of split {split}, got splits: {}; `all` takes every row",
                got.join(", ")
            );
            return Err(Error::new(ErrorKind::Format, what));
        }
        Ok(())
    }
}

impl DatasetRow {
    /// Reads image and mask.
    ///
    /// # Errors
    /// Why the row cannot be used.
    pub fn load(&self) -> Result<Pair, String> {
        let image = load_still(&self.image).map_err(|e| format!("image: {}", chain(&e)))?;
        let truth = truth::read(&self.mask, self.value.as_deref()).map_err(|why| format!("mask: {why}"))?;
        let got = (image.width(), image.height());
        if let Some(size) = self.size.filter(|s| *s != got) {
            return Err(format!("expected an image of {}x{} px, got {}x{}", size.0, size.1, got.0, got.1));
        }
        if (truth.width(), truth.height()) != got {
            let (w, h) = (truth.width(), truth.height());
            return Err(format!("expected a mask of the image's size {}x{} px, got {w}x{h}", got.0, got.1));
        }
        Ok(Pair { image, truth })
    }
}

fn row_of<'a>(folder: &Path, number: usize, cell: impl Fn(&str) -> &'a str) -> Result<DatasetRow, String> {
    let file = |name: &str| -> Result<PathBuf, String> {
        let written = cell(name);
        if written.is_empty() {
            return Err(format!("{name}: expected a file name, got nothing"));
        }
        // As Windows writes it, unless a file has such a name.
        let slashed = written.replace('\\', "/");
        let path = Path::new(if folder.join(written).is_file() { written } else { &slashed });
        if !path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("{name}: expected a path within the set's folder, got {written:?}"));
        }
        let path: PathBuf = folder.join(path.components().filter(|c| *c != Component::CurDir).collect::<PathBuf>());
        if !path.is_file() {
            return Err(format!("{name}: expected a file {written:?}, got none"));
        }
        let is_inside = path.canonicalize().ok().zip(folder.canonicalize().ok()).is_some_and(|(p, f)| p.starts_with(f));
        if is_inside {
            Ok(path)
        } else {
            Err(format!("{name}: {written:?} is a link that leads out of the set's folder"))
        }
    };
    let positive = |name: &str| -> Result<Option<f64>, String> {
        let written = cell(name);
        match written.parse::<f64>() {
            _ if written.is_empty() => Ok(None),
            Ok(v) if v.is_finite() && v > 0.0 => Ok(Some(v)),
            _ => Err(format!("{name}: expected a number above 0, got {written:?}")),
        }
    };
    let whole = |name: &str| -> Result<Option<u64>, String> {
        let written = cell(name);
        match written.parse::<u64>() {
            _ if written.is_empty() => Ok(None),
            Ok(v) => Ok(Some(v)),
            Err(_) => Err(format!("{name}: expected a whole number, got {written:?}")),
        }
    };
    let edge = |name: &str| whole(name).map(|v| v.and_then(|v| u32::try_from(v).ok()));
    let text = |name: &str| cell(name).to_owned();
    let group = if cell("group").is_empty() { text("image") } else { text("group") };
    Ok(DatasetRow {
        number,
        image: file("image")?,
        mask: file("mask")?,
        image_name: text("image"),
        mask_name: text("mask"),
        organ: text("organ"),
        class: text("class"),
        group,
        split: text("split"),
        pixel_mm: positive("pixel_mm")?,
        hc_mm: positive("hc_mm")?,
        sequence: Some(text("sequence")).filter(|s| !s.is_empty()),
        frame: whole("frame")?,
        size: edge("width")?.zip(edge("height")?),
        value: Some(text("value")).filter(|v| !v.is_empty()),
    })
}

/// The fields of one line.
fn record_of(line: &[u8]) -> Result<csv::StringRecord, String> {
    if line.iter().filter(|b| **b == b'"').count() % 2 == 1 {
        return Err("expected every quote to be closed on its line, got one that is not".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(line);
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Ok(record),
        Ok(false) => Ok(csv::StringRecord::new()),
        Err(e) => Err(e.to_string()),
    }
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::caused(ErrorKind::Io, format!("{}: cannot be read", path.display()), cause)
}

/// An error and what caused it.
pub(super) fn chain(error: &Error) -> String {
    let cause = std::error::Error::source(error).map_or(String::new(), |c| format!(": {c}"));
    format!("{error}{cause}")
}
