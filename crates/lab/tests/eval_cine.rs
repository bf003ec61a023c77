//! One tap, then the live path's engine, on cines with truth.

use image::{GrayImage, Luma};
use sonotap::frame::Frame;
use sonotap::mask::Bitmap;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap_lab::eval::cine::{Cine, follow};
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};

const FRAMES: usize = 12;

fn predictor() -> Predictor {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/student");
    Predictor::new(sam::load(folder.as_ref()).unwrap(), PredictOptions::default())
}

#[test]
fn a_tapped_cyst_is_followed_from_the_frame_on_which_the_look_is_answered() {
    let row = follow(&Cine::phantom(PhantomPreset::Cyst, 11, FRAMES).unwrap(), &mut predictor()).unwrap();
    assert_eq!(row.iou_by_frame.len(), FRAMES);
    assert_eq!((row.iou_by_frame[0], row.lost.clone(), row.falsely_tracked_share), (0.0, None, 0.0));
    assert!(row.iou_by_frame[2..].iter().all(|v| *v > 0.85), "{:?}", row.iou_by_frame);
    assert!((row.drawn_share - (FRAMES - 1) as f64 / FRAMES as f64).abs() < 1e-9, "{}", row.drawn_share);
}

#[test]
fn a_cine_that_comes_as_files_is_followed_as_well_as_the_phantom_it_was_written_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = String::from("image,mask,class,group,split,sequence,frame\n");
    ["images", "masks"].iter().for_each(|d| std::fs::create_dir(folder.path().join(d)).unwrap());
    let config = PhantomConfig { width: 640, height: 480, seed: 11, ..PhantomConfig::default() };
    let mut phantom = Phantom::new(PhantomPreset::Cyst, config).unwrap();
    for index in (0..=FRAMES as u64).rev() {
        let (mut frame, mut truth) = (Frame::default(), Bitmap::new(640, 480));
        phantom.render_at(index, &mut frame);
        phantom.truth_at(index, &mut truth);
        let image = GrayImage::from_fn(640, 480, |x, y| Luma([frame.grey(x, y)]));
        let mask = GrayImage::from_fn(640, 480, |x, y| Luma([u8::from(truth.get(x, y)) * 255]));
        image.save(folder.path().join(format!("images/{index}.png"))).unwrap();
        mask.save(folder.path().join(format!("masks/{index}.png"))).unwrap();
        manifest += &format!("images/{index}.png,masks/{index}.png,cyst,p,test,s1,{index}\n");
    }
    std::fs::write(folder.path().join("manifest.csv"), manifest).unwrap();
    let options = DatasetOptions { split: None, objects: ObjectChoice::Largest };
    let set = Dataset::open(folder.path(), &options).unwrap();
    let mut told = Vec::new();
    let cines = Cine::of_set(&set, &mut told);
    assert_eq!((cines.len(), told.len()), (1, 0));
    let from_files = follow(&cines[0], &mut predictor()).unwrap();
    let phantom = follow(&Cine::phantom(PhantomPreset::Cyst, 11, FRAMES).unwrap(), &mut predictor()).unwrap();
    assert_eq!(from_files.iou_by_frame.len(), FRAMES);
    assert!((from_files.mean_iou - phantom.mean_iou).abs() < 0.03, "{from_files:?} {phantom:?}");
}
