//! COCO's instances: one file names images, objects and classes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Object, Writer, files_below, polygon, split_of, stem_of, text_of};
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::mask::Bitmap;
use sonotap::source::images::load_still;

#[derive(Deserialize)]
struct Coco {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: Value,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    segmentation: Value,
}

#[derive(Deserialize)]
struct Category {
    id: Value,
    name: String,
}

pub(super) fn read(dir: &Path, writer: &mut Writer) -> Result<()> {
    let mut files = files_below(dir, &["json"])?;
    files.retain(|f| text_of(f).is_ok_and(|t| t.contains("\"annotations\"")));
    if files.is_empty() {
        let message = format!("{}: expected a .json file with annotations, got none", dir.display());
        return Err(Error::new(ErrorKind::Format, message));
    }
    let pictures = files_below(dir, &["png", "jpg", "jpeg"])?;
    for file in files {
        let wrong = |e| Error::caused(ErrorKind::Format, format!("{}: expected COCO's instances", file.display()), e);
        let coco: Coco = serde_json::from_str(&text_of(&file)?).map_err(wrong)?;
        one(&coco, split_of(Path::new(&stem_of(&file))), dir, &pictures, writer)?;
    }
    Ok(())
}

fn one(coco: &Coco, split: &str, dir: &Path, pictures: &[PathBuf], writer: &mut Writer) -> Result<()> {
    let classes: BTreeMap<String, &str> = coco.categories.iter().map(|c| (c.id.to_string(), c.name.as_str())).collect();
    let mut objects: BTreeMap<String, Vec<&Annotation>> = BTreeMap::new();
    for annotation in &coco.annotations {
        objects.entry(annotation.image_id.to_string()).or_default().push(annotation);
    }
    for image in &coco.images {
        let Some(annotations) = objects.get(&image.id.to_string()) else { continue };
        let wanted = image.file_name.replace('\\', "/");
        let is_it = |p: &&PathBuf| p.strip_prefix(dir).is_ok_and(|p| p.ends_with(&wanted));
        let Some(path) = pictures.iter().find(is_it) else {
            writer.refuse(&image.file_name, "expected this picture below the folder, got none");
            continue;
        };
        let frame = match load_still(path) {
            Ok(frame) => frame,
            Err(e) => {
                writer.refuse(&image.file_name, super::super::dataset::chain(&e));
                continue;
            }
        };
        let mut kept = Vec::new();
        for annotation in annotations {
            match mask_of(&annotation.segmentation, frame.width(), frame.height()) {
                Ok(mask) => {
                    let class = classes.get(&annotation.category_id.to_string()).copied().unwrap_or_default();
                    kept.push(Object { mask, class: class.to_owned() });
                }
                Err(why) => writer.refuse(&image.file_name, why),
            }
        }
        writer.add(&stem_of(path), split, &frame, kept)?;
    }
    Ok(())
}

/// Polygons as lists of x, y; or run lengths, as numbers or as text.
fn mask_of(segmentation: &Value, width: u32, height: u32) -> Result<Bitmap, String> {
    if let Some(polygons) = segmentation.as_array().filter(|p| !p.is_empty()) {
        let ring = |p: &Value| -> Option<Vec<(f64, f64)>> {
            let numbers: Vec<f64> = p.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
            (numbers.len() >= 6).then(|| numbers.chunks_exact(2).map(|c| (c[0], c[1])).collect())
        };
        let rings = polygons.iter().map(ring).collect::<Option<Vec<_>>>();
        // Parts of one object lie beside each other or overlap; holes are not in this form.
        let rings = rings.ok_or("expected polygons of at least three places, got something else")?;
        let mut mask = Bitmap::new(width, height);
        for ring in rings {
            let part = polygon::fill(&[ring], width, height);
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|&(x, y)| part.get(x, y)) {
                mask.set(x, y, true);
            }
        }
        return Ok(mask);
    }
    let size: Option<Vec<u64>> = segmentation["size"].as_array().and_then(|s| s.iter().map(Value::as_u64).collect());
    if size.as_deref() != Some(&[u64::from(height), u64::from(width)]) {
        return Err(format!("expected an outline, or run lengths of [{height}, {width}], got neither"));
    }
    let runs = match &segmentation["counts"] {
        Value::String(text) => polygon::runs_of_text(text),
        Value::Array(runs) => runs.iter().map(Value::as_u64).collect(),
        _ => None,
    };
    let mask = runs.and_then(|runs| polygon::of_runs(&runs, width, height));
    mask.ok_or_else(|| "expected run lengths that fill the picture, got others".to_owned())
}
