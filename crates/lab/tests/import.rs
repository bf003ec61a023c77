//! Sets of other layouts, made one that an evaluation reads.

use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, RgbImage};
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use sonotap_lab::eval::import::{Imported, Kind, import};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn picture(&self, name: &str) {
        RgbImage::from_fn(20, 10, |x, y| image::Rgb([x as u8 * 5, y as u8 * 9, 7])).save(self.path(name)).unwrap();
    }

    fn text(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn import(&self, kind: Kind) -> (Imported, Dataset) {
        let out = self.folder.path().join("out");
        let imported = import(kind, &self.folder.path().join("set"), &out).unwrap();
        let set = Dataset::open(&out, &DatasetOptions { split: None, objects: ObjectChoice::Largest }).unwrap();
        assert_eq!((set.rows.len(), set.unusable.len()), (imported.masks, 0));
        (imported, set)
    }
}

/// Class, split and area of each row.
fn rows(set: &Dataset) -> Vec<(String, String, usize)> {
    let row = |r: &sonotap_lab::eval::dataset::DatasetRow| {
        (r.class.clone(), r.split.clone(), r.load().unwrap().truth.area_px())
    };
    set.rows.iter().map(row).collect()
}

#[test]
fn coco_polygons_and_run_lengths_become_masks() {
    let place = Place::new();
    place.picture("set/val/a.png");
    place.text(
        "set/annotations/instances_val.json",
        r#"{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "absent.png"}],
            "categories": [{"id": 7, "name": "cyst, \"simple\""}],
            "annotations": [
              {"image_id": 1, "category_id": 7, "segmentation": [[2, 2, 8, 2, 8, 6, 2, 6]]},
              {"image_id": 1, "category_id": 7, "segmentation": {"size": [10, 20], "counts": [3, 4, 193]}},
              {"image_id": 1, "category_id": 7, "segmentation": {"size": [9, 9], "counts": [81]}},
              {"image_id": 2, "category_id": 7, "segmentation": [[2, 2, 8, 2, 8, 6]]}]}"#,
    );
    let (imported, set) = place.import(Kind::Coco);
    let class = "cyst, \"simple\"".to_owned();
    assert_eq!(rows(&set), [(class.clone(), "val".into(), 24), (class, "val".into(), 4)]);
    assert_eq!((imported.images, imported.refused.len()), (1, 2), "{:?}", imported.refused);
}

#[test]
fn yolo_outlines_become_masks_and_boxes_do_not() {
    let place = Place::new();
    place.picture("set/images/train/a.jpg");
    place.picture("set/images/train/b.jpg");
    place.text("set/labels/train/a.txt", "2 0.1 0.2 0.6 0.2 0.6 0.8 0.1 0.8\n1 0.5 0.5 0.2 0.2\n\n");
    let (imported, set) = place.import(Kind::Yolo);
    assert_eq!(rows(&set), [("2".into(), "train".into(), 60)]);
    let reasons: Vec<&str> = imported.refused.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(reasons, ["a box without an outline is no mask", "expected a file of labels, got none"]);
}

/// An indexed PNG of 20 x 10: the left half 0, then a stripe of each index.
fn indexed(path: &Path, stripes: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 20, 10);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255u8).flat_map(|i| [i, i.wrapping_mul(3), 9]).collect::<Vec<u8>>());
    let value = |x: usize| if x < 10 { 0 } else { stripes[(x - 10) % stripes.len()] };
    let pixels: Vec<u8> = (0..200).map(|i| value(i % 20)).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn voc_objects_become_masks_without_their_rims() {
    let place = Place::new();
    place.picture("set/JPEGImages/a.jpg");
    indexed(&place.path("set/SegmentationObject/a.png"), &[1, 1, 2, 255, 0]);
    place.text("set/ImageSets/Segmentation/train.txt", "a\nb\n");
    let (_, set) = place.import(Kind::Voc);
    assert_eq!(rows(&set), [("1".into(), "train".into(), 40), ("2".into(), "train".into(), 20)]);
}

fn array(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat()
}

#[test]
fn medsam_arrays_become_images_and_masks() {
    let place = Place::new();
    let image: Vec<u8> = (0..600).flat_map(|i| (i as f32 / 600.0).to_le_bytes()).collect();
    std::fs::write(place.path("set/imgs/a.npy"), array("<f4", "(10, 20, 3)", &image)).unwrap();
    let labels: Vec<u8> = (0..200).map(|i| [0, 3, 255][i / 80]).collect();
    std::fs::write(place.path("set/gts/a.npy"), array("|u1", "(10, 20)", &labels)).unwrap();
    let (_, set) = place.import(Kind::Medsam);
    assert_eq!(rows(&set), [("3".into(), "".into(), 80), ("255".into(), "".into(), 40)]);
    let first = set.rows[0].load().unwrap().image;
    assert!(first.grey(19, 9) > 250 && first.grey(0, 0) < 2);
}

fn archive(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (i, (name, bytes)) in arrays.iter().enumerate() {
        // As numpy's savez and savez_compressed do.
        let method = [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored][i % 2];
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn medsam_archives_become_images_and_slices_of_one_patient() {
    let place = Place::new();
    let pixels = |n: usize| (0..n).map(|i| (i % 200) as u8).collect::<Vec<u8>>();
    let labels = |n: usize| (0..n).map(|i| [0, 3, 9][i / 80 % 3]).collect::<Vec<u8>>();
    let pair =
        |imgs: Vec<u8>, gts: Vec<u8>| [("imgs", imgs), ("gts", gts), ("spacing", array("<f8", "(3,)", &[0; 24]))];
    let colour = pair(array("|u1", "(10, 20, 3)", &pixels(600)), array("|u1", "(10, 20)", &labels(200)));
    archive(&place.path("set/npz_train/US/2DUS_a.npz"), &colour);
    // Of three slices the last has no label.
    let gts = [labels(200), vec![4; 200], vec![0; 200]].concat();
    let volume = pair(array("|u1", "(3, 10, 20)", &pixels(600)), array("|u1", "(3, 10, 20)", &gts));
    archive(&place.path("set/npz_train/US/3D_b.npz"), &volume);
    let other = pair(array("|u1", "(10, 20)", &pixels(200)), array("|u1", "(20, 10)", &labels(200)));
    archive(&place.path("set/npz_train/US/c.npz"), &other);
    archive(&place.path("set/npz_train/US/d.npz"), &other[..1]);
    std::fs::write(place.path("set/npz_train/US/e.npz"), b"PK").unwrap();

    let (imported, set) = place.import(Kind::Medsam);
    let row = |class: &str, area| (class.to_owned(), "train".to_owned(), area);
    assert_eq!(rows(&set), [row("3", 80), row("9", 40), row("3", 80), row("9", 40), row("4", 200)]);
    let groups: Vec<&str> = set.rows.iter().map(|r| r.group.as_str()).collect();
    assert_eq!(groups[..2], ["npz_train_US_2DUS_a"; 2]);
    assert_eq!(groups[2..], ["npz_train_US_3D_b"; 3], "slices of a volume are one patient");
    let second = set.rows[4].load().unwrap().image;
    assert_eq!((second.grey(0, 0), second.grey(7, 1)), (0, 27));
    let reasons: Vec<&str> = imported.refused.iter().map(|(_, why)| why.as_str()).collect();
    assert!(reasons[0].contains("[10, 20] and [20, 10]"), "{reasons:?}");
    assert!(reasons[1].contains("an array gts") && reasons[2].contains("an archive"), "{reasons:?}");
}

#[test]
fn what_has_no_objects_or_a_folder_that_is_there_is_refused() {
    let place = Place::new();
    place.picture("set/images/a.png");
    place.text("set/labels/a.txt", "0 0.5 0.5 0.2 0.2\n");
    let out = place.folder.path().join("out");
    let e = import(Kind::Yolo, &place.folder.path().join("set"), &out).unwrap_err();
    assert!(e.to_string().contains("a box without an outline"), "{e}");
    for (kind, what) in [(Kind::Voc, "JPEGImages"), (Kind::Medsam, "no objects"), (Kind::Coco, ".json")] {
        let e = import(kind, &place.folder.path().join("set"), &out).unwrap_err();
        assert!(e.to_string().contains(what), "{e}");
    }
    let e = import(Kind::Yolo, place.folder.path(), place.folder.path()).unwrap_err();
    assert!(e.to_string().contains("a new folder"), "{e}");
}

#[test]
fn masks_of_ones_of_palettes_and_of_windows_paths_are_evaluated() {
    let place = Place::new();
    place.picture("set/images/a.png");
    place.picture("set/images/b.png");
    GrayImage::from_fn(20, 10, |x, _| Luma([u8::from(x < 5)])).save(place.path("set/masks/ones.png")).unwrap();
    indexed(&place.path("set/masks/palette.png"), &[4]);
    indexed(&place.path("set/masks/classes.png"), &[1, 2]);
    place.text(
        "set/manifest.csv",
        "image,mask,value\r\nimages\\a.png,masks\\ones.png,\r\n./images/b.png,masks/palette.png,\r\n\
         images/a.png,masks/classes.png,\r\nimages/a.png,masks/classes.png,2\r\n\
         images/b.png,masks/palette.png,\r\n\"images/a.png,masks/ones.png,\r\nimages/b.png,masks/ones.png,\r\n",
    );
    let options = DatasetOptions { split: None, objects: ObjectChoice::Largest };
    let set = Dataset::open(&place.folder.path().join("set"), &options).unwrap();
    let areas: Vec<Result<usize, String>> = set.rows.iter().map(|r| r.load().map(|p| p.truth.area_px())).collect();
    assert_eq!((&areas[0], &areas[1], &areas[3], &areas[4]), (&Ok(50), &Ok(100), &Ok(50), &Ok(50)));
    assert!(areas[2].as_ref().unwrap_err().contains("values 1, 2"), "{areas:?}");
    let told: Vec<(usize, &str)> = set.unusable.iter().map(|u| (u.row, u.reason.as_str())).collect();
    assert_eq!(told[0], (6, "repeats row 3"));
    assert!(told[1].0 == 7 && told[1].1.contains("quote"), "{told:?}");
    assert_eq!(told.len(), 2, "a stray quote costs its own line alone");
}

#[test]
fn a_manifest_beyond_its_bound_is_refused_and_not_held() {
    let place = Place::new();
    std::fs::File::create(place.path("set/manifest.csv")).unwrap().set_len(3 << 30).unwrap();
    let options = DatasetOptions { split: None, objects: ObjectChoice::Largest };
    let e = Dataset::open(&place.folder.path().join("set"), &options).unwrap_err();
    assert!(e.to_string().contains("at most 67108864 bytes"), "{e}");
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere_outside_a_set_that_is_imported() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.picture("elsewhere/a.jpg");
    place.text("elsewhere/a.txt", "2 0.1 0.2 0.6 0.2 0.6 0.8 0.1 0.8\n");
    indexed(&place.path("set/SegmentationObject/a.png"), &[1]);
    symlink(place.path("elsewhere/a.jpg"), place.path("set/JPEGImages/a.jpg")).unwrap();
    place.picture("set/images/a.jpg");
    symlink(place.path("elsewhere/a.txt"), place.path("set/labels/a.txt")).unwrap();
    for (kind, why) in [(Kind::Voc, "a picture in JPEGImages"), (Kind::Yolo, "a file of labels")] {
        let e = import(kind, &place.folder.path().join("set"), &place.folder.path().join("out")).unwrap_err();
        assert!(e.to_string().contains(why), "{e}");
    }
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere_outside_a_set() {
    let place = Place::new();
    place.picture("elsewhere/a.png");
    place.picture("set/images/b.png");
    place.text("set/manifest.csv", "image,mask\nimages/a.png,images/b.png\n");
    std::os::unix::fs::symlink(place.path("elsewhere/a.png"), place.path("set/images/a.png")).unwrap();
    let options = DatasetOptions { split: None, objects: ObjectChoice::Largest };
    let set = Dataset::open(&place.folder.path().join("set"), &options).unwrap();
    assert!(set.rows.is_empty() && set.unusable[0].reason.contains("a link that leads out"), "{:?}", set.unusable);
}
