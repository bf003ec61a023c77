//! YOLO's outlines: a text file a picture, a line an object.

use std::path::Path;

use super::{Object, Writer, files_below, folder, is_own_file, polygon, split_of, stem_of, text_of};
use sonotap::error::Result;
use sonotap::source::images::load_still;

pub(super) fn read(dir: &Path, writer: &mut Writer) -> Result<()> {
    let (images, labels) = (folder(dir, &["images"])?, folder(dir, &["labels"])?);
    for path in files_below(&images, &["png", "jpg", "jpeg"])? {
        let below = path.strip_prefix(&images).unwrap_or(&path).to_owned();
        let label = labels.join(below.with_extension("txt"));
        let place = below.display().to_string();
        if !is_own_file(&label) {
            writer.refuse(place, "expected a file of labels, got none");
            continue;
        }
        let frame = match load_still(&path) {
            Ok(frame) => frame,
            Err(e) => {
                writer.refuse(place, super::super::dataset::chain(&e));
                continue;
            }
        };
        let mut objects = Vec::new();
        for (i, line) in text_of(&label)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match outline(line) {
                Ok((class, ring)) => {
                    let (w, h) = (f64::from(frame.width()), f64::from(frame.height()));
                    let ring = ring.into_iter().map(|(x, y)| (x * w, y * h)).collect();
                    objects.push(Object { mask: polygon::fill(&[ring], frame.width(), frame.height()), class });
                }
                Err(why) => writer.refuse(format!("{place}, line {}", i + 1), why),
            }
        }
        writer.add(&stem_of(&path), split_of(&below), &frame, objects)?;
    }
    Ok(())
}

/// Class and places, as parts of width and height.
fn outline(line: &str) -> Result<(String, Vec<(f64, f64)>), String> {
    let mut words = line.split_whitespace();
    let class = words.next().unwrap_or_default().to_owned();
    let numbers: Option<Vec<f64>> = words.map(|w| w.parse().ok().filter(|v| (-0.01..=1.01).contains(v))).collect();
    match numbers {
        Some(numbers) if numbers.len() >= 6 && numbers.len() % 2 == 0 => {
            Ok((class, numbers.chunks_exact(2).map(|c| (c[0], c[1])).collect()))
        }
        Some(numbers) if numbers.len() == 4 => Err("a box without an outline is no mask".to_owned()),
        _ => Err("expected a class and at least three places of 0 to 1, got something else".to_owned()),
    }
}
