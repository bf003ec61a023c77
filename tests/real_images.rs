//! The bundled model on real images of validation splits, through the same look that the live path takes.
//!
//! The images are not part of this repository: `SONOTAP_SHARED` names the folder that holds `data/`.

use std::path::{Path, PathBuf};

use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, Point, Rect};
use sonotap::mask::Bitmap;
use sonotap::model::predictor::{PredictOptions, Predictor, Prompts};
use sonotap::model::sam;
use sonotap::prompt::Polarity;
use sonotap::source::images::load_still;

const IMAGES: usize = 16;

struct Pair {
    image: Frame,
    truth: Bitmap,
}

/// The first pairs of a split, evenly over the set; at most one of each group.
fn pairs(set: &str, split: &str) -> Vec<Pair> {
    let shared = std::env::var_os("SONOTAP_SHARED").map(PathBuf::from).expect("SONOTAP_SHARED names the data");
    let folder = shared.join("data").join(set);
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let (image, mask, group, split_at) = (column("image"), column("mask"), column("group"), column("split"));
    let rows: Vec<Vec<&str>> =
        lines.map(|l| l.split(',').collect()).filter(|r: &Vec<&str>| r[split_at] == split).collect();
    let mut groups = std::collections::BTreeSet::new();
    let rows: Vec<&Vec<&str>> = rows.iter().filter(|r| groups.insert(r[group])).collect();
    let step = (rows.len() / IMAGES).max(1);
    rows.iter().step_by(step).take(IMAGES).map(|r| pair(&folder, r[image], r[mask])).collect()
}

fn pair(folder: &Path, image: &str, mask: &str) -> Pair {
    let image = load_still(&folder.join(image)).unwrap();
    let mask = load_still(&folder.join(mask)).unwrap();
    let mut truth = Bitmap::new(mask.width(), mask.height());
    for y in 0..mask.height() {
        for x in 0..mask.width() {
            truth.set(x, y, mask.grey(x, y) > 127);
        }
    }
    assert_eq!((image.width(), image.height()), (truth.width(), truth.height()));
    Pair { image, truth }
}

/// A pixel of `region` that is as far from its outside as any, by repeated shrinking.
fn deepest(region: &Bitmap) -> Option<Point<ImageSpace>> {
    let mut now = region.clone();
    let mut last = None;
    while let Some(at) = now.pixels().iter().position(|&p| p != 0) {
        last = Some(at);
        let mut next = Bitmap::new(now.width(), now.height());
        for y in 0..now.height() {
            for x in 0..now.width() {
                let is_deep = now.get(x, y)
                    && x > 0
                    && y > 0
                    && now.get(x - 1, y)
                    && now.get(x + 1, y)
                    && now.get(x, y - 1)
                    && now.get(x, y + 1);
                next.set(x, y, is_deep);
            }
        }
        now = next;
    }
    let w = region.width() as usize;
    last.map(|at| Point::new((at % w) as f32 + 0.5, (at / w) as f32 + 0.5))
}

fn bounds(truth: &Bitmap) -> Rect<ImageSpace> {
    let (mut x0, mut y0, mut x1, mut y1) = (u32::MAX, u32::MAX, 0, 0);
    for y in 0..truth.height() {
        for x in 0..truth.width() {
            if truth.get(x, y) {
                (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1));
            }
        }
    }
    Rect::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32)
}

fn predictor() -> Predictor {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student");
    Predictor::new(sam::load(&folder).unwrap(), PredictOptions::default())
}

/// Part of `a` that is not in `b`.
fn beyond(a: &Bitmap, b: &Bitmap) -> Bitmap {
    let values = a.pixels().iter().zip(b.pixels()).map(|(&a, &b)| a & (1 - b)).collect();
    Bitmap::from_values(a.width(), a.height(), values).unwrap()
}

#[test]
#[ignore = "needs the shared data: SONOTAP_SHARED"]
fn one_tap_outlines_a_fetal_head() {
    let (mut predictor, mut sum) = (predictor(), 0.0);
    let pairs = pairs("hc18", "val");
    for pair in &pairs {
        let tap = (deepest(&pair.truth).unwrap(), Polarity::Positive);
        let mut out = Vec::new();
        predictor.forget_view();
        predictor.predict(&pair.image, &[Prompts { clicks: vec![tap], ..Prompts::default() }], &mut out).unwrap();
        let mask = out[0].mask().expect("an outline").to_bitmap(pair.image.width(), pair.image.height());
        sum += mask.iou(&pair.truth);
    }
    let mean = sum / pairs.len() as f64;
    println!("hc18 val, one tap, {} images: mean IoU {mean:.3}", pairs.len());
    assert!(mean > 0.8, "mean IoU {mean:.3}");
}

#[test]
#[ignore = "needs the shared data: SONOTAP_SHARED"]
fn a_box_outlines_a_breast_lesion() {
    let (mut predictor, mut sum) = (predictor(), 0.0);
    let pairs = pairs("busi", "val");
    for pair in &pairs {
        let mut out = Vec::new();
        let prompts = Prompts { boxed: Some(bounds(&pair.truth)), ..Prompts::default() };
        predictor.forget_view();
        predictor.predict(&pair.image, &[prompts], &mut out).unwrap();
        let mask = out[0].mask().expect("an outline").to_bitmap(pair.image.width(), pair.image.height());
        sum += mask.iou(&pair.truth);
    }
    let mean = sum / pairs.len() as f64;
    println!("busi val, box, {} images: mean IoU {mean:.3}", pairs.len());
    assert!(mean > 0.75, "mean IoU {mean:.3}");
}

#[test]
#[ignore = "needs the shared data: SONOTAP_SHARED"]
fn every_click_holds_and_clicks_improve_the_outline() {
    let mut predictor = predictor();
    let (mut first, mut last) = (0.0, 0.0);
    let pairs = pairs("busbra", "val");
    for pair in &pairs {
        let mut prompts = Prompts::default();
        prompts.clicks.push((deepest(&pair.truth).unwrap(), Polarity::Positive));
        predictor.forget_view();
        let mut out = Vec::new();
        for round in 0..4 {
            predictor.predict(&pair.image, std::slice::from_ref(&prompts), &mut out).unwrap();
            let grid = out[0].mask().expect("an outline");
            for &(at, polarity) in &prompts.clicks {
                let inside = grid.sample(at) > 0.0;
                assert_eq!(inside, polarity == Polarity::Positive, "a click is on the wrong side of the outline");
            }
            let mask = grid.to_bitmap(pair.image.width(), pair.image.height());
            let iou = mask.iou(&pair.truth);
            if round == 0 {
                first += iou;
            }
            last += if round == 3 { iou } else { 0.0 };
            let (missed, extra) = (beyond(&pair.truth, &mask), beyond(&mask, &pair.truth));
            let (wrong, polarity) = if missed.area_px() >= extra.area_px() {
                (missed, Polarity::Positive)
            } else {
                (extra, Polarity::Negative)
            };
            prompts.previous = Some(grid.clone());
            prompts.clicks.extend(deepest(&wrong).map(|at| (at, polarity)));
        }
    }
    let n = pairs.len() as f64;
    println!("busbra val, {n} images: mean IoU {:.3} after one click, {:.3} after four", first / n, last / n);
    assert!(last > first, "three corrective clicks did not help");
}
