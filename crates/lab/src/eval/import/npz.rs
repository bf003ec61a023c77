//! MedSAM's archives: `imgs` and `gts` of one picture, or of a volume slice by slice, in one `.npz` file each.

use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::npy::{Array, frame_of, labels_of};
use super::voc::objects_of;
use super::{Writer, split_of};
use sonotap::error::Result;
use sonotap::source::images::read_file;

/// Most bytes of an array.
const ARRAY_BYTES_MAX: u64 = 256 << 20;

pub(super) fn read(dir: &Path, archives: &[PathBuf], writer: &mut Writer) -> Result<()> {
    for path in archives {
        let below = path.strip_prefix(dir).unwrap_or(path).with_extension("");
        let name = below.to_string_lossy().into_owned();
        match Pair::read(path) {
            Ok(pair) => pair.add(&name, split_of(&below), writer)?,
            Err(why) => writer.refuse(name, why),
        }
    }
    Ok(())
}

/// Pictures and their labels.
struct Pair {
    images: Array,
    labels: Array,
    /// `None` for a single picture.
    slices: Option<usize>,
}

impl Pair {
    fn read(path: &Path) -> Result<Self, String> {
        let bytes = read_file(path).map_err(|e| super::super::dataset::chain(&e))?;
        let mut archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("expected an archive, got none: {e}"))?;
        let mut array = |name: &str| {
            let missing = |e| format!("expected an array {name}, got none: {e}");
            let mut bytes = Vec::new();
            let file = archive.by_name(&format!("{name}.npy")).map_err(missing)?;
            file.take(ARRAY_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: corrupt: {e}"))?;
            if bytes.len() as u64 > ARRAY_BYTES_MAX {
                return Err(format!("{name}: expected at most {ARRAY_BYTES_MAX} bytes, got more"));
            }
            Array::of(&bytes).map_err(|why| format!("{name}: {why}"))
        };
        let (images, labels) = (array("imgs")?, array("gts")?);
        let slices = match (&images.shape[..], &labels.shape[..]) {
            ([h, w] | [h, w, 1 | 3], [lh, lw]) if (h, w) == (lh, lw) => None,
            ([n, h, w] | [n, h, w, 1 | 3], [ln, lh, lw]) if (n, h, w) == (ln, lh, lw) => Some(*n),
            (images, labels) => {
                return Err(format!("expected imgs and gts of one size, got {images:?} and {labels:?}"));
            }
        };
        Ok(Self { images, labels, slices })
    }

    /// Every slice with labels is a picture of the same patient.
    fn add(&self, name: &str, split: &str, writer: &mut Writer) -> Result<()> {
        let skip = usize::from(self.slices.is_some());
        let (shape, label_shape) = (&self.images.shape[skip..], &self.labels.shape[skip..]);
        let count = self.slices.unwrap_or(1);
        let slice_len = |array: &Array| array.values.len() / count;
        let parts = self.images.values.chunks_exact(slice_len(&self.images));
        for (i, (image, labels)) in parts.zip(self.labels.values.chunks_exact(slice_len(&self.labels))).enumerate() {
            let labels = labels_of(label_shape, labels);
            let frame = frame_of(shape, image, self.images.scale());
            let slice = if skip == 0 { name.to_owned() } else { format!("{name}-{i:04}") };
            match frame.and_then(|frame| Ok((frame, labels?))) {
                Ok((frame, (values, size))) => {
                    writer.add_of(name, &slice, split, &frame, objects_of(&values, size, None))?;
                }
                Err(why) => writer.refuse(slice, why),
            }
        }
        Ok(())
    }
}
