//! Semi-supervised training on a small set made here: it finds the structure, can be taken up again, and reads no mask that it
//! was not given.
#![cfg(feature = "train")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use image::{GrayImage, Luma};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use sonotap::error::ErrorKind;
use sonotap::mask::LogitGrid;
use sonotap::model::inspect::inspect;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam::{self, LoadOptions};
use sonotap::source::images::load_still;
use sonotap_lab::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use sonotap_lab::eval::protocol::{LookKind, Protocol, Questions, Subject, examine};
use sonotap_lab::quantize::{Options, quantize_folder};
use sonotap_lab::train::config::TrainConfig;
use sonotap_lab::train::export::{self, Weights};
use sonotap_lab::train::picture::SIDE;
use sonotap_lab::train::run::{Ending, Opening, Run};
use sonotap_lab::train::semi::config::SemiConfig;
use sonotap_lab::train::semi::pictures::Pictures;
use sonotap_lab::train::semi::run::{SemiEvent, SemiRun};

const IMAGES: u32 = 12;

/// A set of bright ellipses, two images a group; the last two are of split `val`.
fn set(folder: &Path) -> PathBuf {
    let folder = folder.join("ellipses");
    for part in ["images", "masks"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let mut manifest = String::from("image,mask,split,group\n");
    let side = SIDE as u32;
    for i in 0..IMAGES {
        let (cx, cy) = (60.0 + 11.0 * i as f32, 190.0 - 9.0 * i as f32);
        let inside = |x: u32, y: u32| ((x as f32 - cx) / 34.0).powi(2) + ((y as f32 - cy) / 26.0).powi(2) < 1.0;
        let noise =
            |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97 + i) >> 27;
        let grey = |x, y| Luma([(if inside(x, y) { 170 } else { 60 } + noise(x, y)) as u8]);
        GrayImage::from_fn(side, side, grey).save(folder.join(format!("images/{i}.png"))).unwrap();
        let mask = |x, y| Luma([if inside(x, y) { 255 } else { 0 }]);
        GrayImage::from_fn(side, side, mask).save(folder.join(format!("masks/{i}.png"))).unwrap();
        let split = if i < IMAGES - 2 { "train" } else { "val" };
        writeln!(manifest, "images/{i}.png,masks/{i}.png,{split},g{}", i / 2).unwrap();
    }
    std::fs::write(folder.join("manifest.csv"), manifest).unwrap();
    folder
}

/// Weights of a small click model that has learned a step.
fn click_model(folder: &Path, set: &Path) -> PathBuf {
    let text = format!(
        r#"
name = "small"
intent = "ship"
seed = 7
average = 0.9
checkpoint_minutes = 60.0
validate_every = 0
validate_images = 2

[[data]]
folder = "{}"
licence = "made here"

[network.encoder]
stem = 8
embedding = 32
skip4 = 16
skip2 = 16
stages = [
    {{ expand = 1, kernel = 3, stride = 1, channels = 16, repeats = 1 }},
    {{ expand = 2, kernel = 3, stride = 2, channels = 16, repeats = 1 }},
    {{ expand = 2, kernel = 3, stride = 2, channels = 32, repeats = 1 }},
    {{ expand = 2, kernel = 5, stride = 2, channels = 32, repeats = 1 }},
]

[network.decoder]
heads = 4
prompt = 8
middle = 16
pixels = 16

[loss]
focal = 20.0
dice = 1.0
iou = 1.0
alternatives = 0.05
first = 0.1
click = 8.0

[[stage]]
name = "all"
steps = 1
pictures = 1
rate = 1e-3
encoder_rate = 1.0
warmup = 1
decay_from = 0.5
weight_decay = 1e-4
clip = 1.0

[stage.tasks]
targets = 2
scene = 0.0
part = 0.0
structure = 0.5
second_object = 0.4
region = 0.1

[stage.prompts]
operator = "corrective"
boxed = 0.5
carried = 0.1
rounds = [1]
clicks = [1]
drop_previous = 0.3
mask_alone = 0.1
"#,
        set.display()
    );
    let path = folder.join("click.toml");
    std::fs::write(&path, text).unwrap();
    let run = folder.join("click");
    let config = TrainConfig::load(&path).unwrap();
    let mut run_of = Run::open(config, None, &run, Opening::Fresh, &Device::flex()).unwrap();
    run_of.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
    run.join("weights.safetensors")
}

/// A semi-supervised config, changed by `edit`.
fn config(folder: &Path, edit: impl Fn(String) -> String) -> Result<SemiConfig, String> {
    let set = set(folder);
    let weights = folder.join("click/weights.safetensors");
    let weights = if weights.is_file() { weights } else { click_model(folder, &set) };
    let text = format!(
        r#"
name = "ellipse"
intent = "research"
seed = 3
click_model = "{}"
method = "sam-match"
steps = 6
labelled_pictures = 2
unlabelled_pictures = 2
rate = 2e-3
encoder_rate = 1.0
proposal_rate = 3.0
warmup = 2
weight_decay = 0.0
clip = 1.0
average = 0.9
checkpoint_minutes = 60.0
validate_every = 0

[labelled]
folder = "{}"
split = "train"
images = 3
draw = 1

[match]
threshold = 0.6
grow = 0.1
agreement = 0.0
weight = 1.0
click_weight = 0.25
ramp = 0.4
"#,
        weights.display(),
        set.display()
    );
    let path = folder.join("semi.toml");
    std::fs::write(&path, edit(text)).unwrap();
    SemiConfig::load(&path).map_err(|e| e.to_string())
}

fn learned(folder: &Path, config: &SemiConfig, name: &str) -> SemiRun {
    let mut run = SemiRun::open(config.clone(), &folder.join(name), false, &Device::flex()).unwrap();
    assert_eq!(run.learn(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ending::Complete);
    run
}

#[test]
fn three_outlined_images_teach_a_proposal_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), |text| {
        text.replace("steps = 6", "steps = 120")
            .replace("proposal_rate = 3.0", "proposal_rate = 8.0")
            .replace("method = \"sam-match\"", "method = \"fix-match\"")
            .replace("threshold = 0.6", "threshold = 0.9")
    });
    let run = learned(folder.path(), &config.unwrap(), "run");
    let found = run.evaluate("val").unwrap();
    assert_eq!(found.images, 2);
    assert!(found.dice > 0.8, "Dice {}", found.dice);
    assert!(found.score_error < 0.25, "score off by {}", found.score_error);
}

#[test]
fn a_semi_supervised_run_that_was_stopped_and_taken_up_again_equals_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), |text| text.replace("validate_every = 0", "validate_every = 3")).unwrap();
    learned(folder.path(), &config, "whole");
    let stop = AtomicBool::new(false);
    let at = folder.path().join("parts");
    let mut run = SemiRun::open(config.clone(), &at, false, &Device::flex()).unwrap();
    let mut halt = |event: SemiEvent| {
        if matches!(event, SemiEvent::Validated(3, _)) {
            stop.store(true, Ordering::Release);
        }
    };
    assert_eq!(run.learn(&stop, &mut halt).unwrap(), Ending::Stopped);
    stop.store(false, Ordering::Release);
    let mut run = SemiRun::open(config, &at, true, &Device::flex()).unwrap();
    assert_eq!(run.steps(), (3, 6));
    assert_eq!(run.learn(&stop, &mut |_| {}).unwrap(), Ending::Complete);
    let read = |name: &str| Weights::load(&folder.path().join(name).join("weights.safetensors")).unwrap().numbers();
    assert_eq!(read("whole"), read("parts"));
}

#[test]
fn masks_of_the_rest_are_never_read_and_a_broken_image_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), |text| text).unwrap();
    let rest: Vec<PathBuf> = Pictures::open(&config).unwrap().unlabelled().to_vec();
    assert_eq!(rest.len(), 7);
    for image in &rest {
        let name = image.file_name().unwrap();
        std::fs::write(config.labelled.folder.join("masks").join(name), b"no image").unwrap();
    }
    std::fs::write(&rest[0], b"no image").unwrap();
    let mut pictures = Pictures::open(&config).unwrap();
    let rng = &mut Pcg64Mcg::seed_from_u64(1);
    let seen = (0..100).filter(|_| pictures.unlabelled_picture(rng).is_some()).count();
    assert!((60..100).contains(&seen), "{seen}");
    assert_eq!(pictures.unreadable.len(), 1);
    assert_eq!(pictures.unreadable[0].0, rest[0]);
    learned(folder.path(), &config, "run");
}

#[test]
fn a_draw_takes_an_image_of_each_group_before_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = |draw: u64, images: usize| {
        let edit = |text: String| {
            text.replace("draw = 1", &format!("draw = {draw}")).replace("images = 3", &format!("images = {images}"))
        };
        let config = config(folder.path(), edit).unwrap();
        let rest: HashSet<PathBuf> = Pictures::open(&config).unwrap().unlabelled().iter().cloned().collect();
        (0..IMAGES - 2).filter(|i| !rest.contains(&config.labelled.folder.join(format!("images/{i}.png")))).collect()
    };
    let five: Vec<u32> = drawn(1, 5);
    assert_eq!(five.iter().map(|i| i / 2).collect::<HashSet<_>>().len(), 5, "{five:?}");
    let six: Vec<u32> = drawn(1, 6);
    assert_eq!(six.iter().map(|i| i / 2).collect::<HashSet<_>>().len(), 5, "{six:?}");
    let draws: HashSet<Vec<u32>> = (0..6).map(|draw| drawn(draw, 3)).collect();
    assert!(draws.len() > 1, "all draws are alike");
}

#[test]
fn pseudo_labels_are_taken_and_pictures_without_masks_change_what_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let with = config(folder.path(), |text| {
        text.replace("steps = 6", "steps = 75").replace("proposal_rate = 3.0", "proposal_rate = 8.0")
    })
    .unwrap();
    let mut taken = Vec::new();
    let mut run = SemiRun::open(with.clone(), &folder.path().join("with"), false, &Device::flex()).unwrap();
    run.learn(&AtomicBool::new(false), &mut |event| {
        if let SemiEvent::Stretch(s) = event {
            taken.push(s.taken);
        }
    })
    .unwrap();
    assert!(taken.iter().any(|t| *t > 0.0), "no pseudo label was taken: {taken:?}");
    let mut without = with;
    (without.matching.weight, without.matching.click_weight) = (0.0, 0.0);
    learned(folder.path(), &without, "without");
    let read = |name: &str| Weights::load(&folder.path().join(name).join("weights.safetensors")).unwrap().numbers();
    assert_ne!(read("with"), read("without"));
}

#[test]
fn a_semi_supervised_config_that_is_wrong_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [
        ("split = \"train\"", "split = \"test\"", "labelled.split"),
        ("images = 3", "images = 0", "labelled.images"),
        ("threshold = 0.6", "threshold = 0.4", "match.threshold"),
        ("grow = 0.1", "grow = -0.1", "match.grow"),
        ("method = \"sam-match\"", "method = \"supervised\"", "unlabelled_pictures"),
        ("unlabelled_pictures = 2", "unlabelled_pictures = 0", "unlabelled_pictures"),
        ("intent = \"research\"", "intent = \"ship\"", "labelled.licence"),
        ("rate = 2e-3", "rate = 0.0", "rate"),
        ("clip = 1.0", "clip = 1.0\nclap = 2", "clap"),
    ];
    for (from, to, key) in wrong {
        let error = config(folder.path(), |text| text.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(key), "{key}: {error}");
    }
    let many = config(folder.path(), |text| text.replace("images = 3", "images = 11")).unwrap();
    let error = Pictures::open(&many).unwrap_err();
    assert!(error.kind() == ErrorKind::Format && error.to_string().contains("11 outlined images"), "{error}");
}

#[test]
fn a_tuned_model_proposes_on_the_device_what_it_proposed_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), |text| text.replace("steps = 6", "steps = 60")).unwrap();
    learned(folder.path(), &config, "run");
    let weights = Weights::load(&folder.path().join("run/weights.safetensors")).unwrap();
    let (plain, quantized) = (folder.path().join("f32"), folder.path().join("int8"));
    let done = export::export(&weights, &plain, None, Vec::new()).unwrap();
    assert!(done.difference.logit_max < 2e-3, "{:?}", done.difference);
    let sets = vec![config.labelled.folder.clone()];
    let options = Options { sets, images: 4, validation: 2, method: None, seed: 1 };
    let report = quantize_folder(&plain, &quantized, &options, &AtomicBool::new(false)).unwrap();
    let proposal = report.proposal.unwrap();
    assert!(proposal.images == 2 && proposal.agreement > 0.7 && proposal.score_distance < 0.1, "{proposal:?}");
    let integer = inspect(&quantized).unwrap().graphs[2].clone();
    assert!(integer.file == "proposal.onnx" && integer.integer_share() == 1.0, "{integer:?}");
    let loaded = sam::load_with(&quantized, LoadOptions::default()).unwrap().segmenter;
    assert!(loaded.has_integer_proposal(), "one region, of the encoder's own bytes");
    let frame = load_still(&config.labelled.folder.join("images/11.png")).unwrap();
    let suggested = |predictor: &mut Predictor| {
        let mut grid = None;
        predictor.suggest(&frame, frame.bounds(), &mut grid).unwrap().map(|score| score.get())
    };
    let proposed = |folder: &Path| {
        let mut predictor = Predictor::open(folder).unwrap();
        assert!(predictor.spec().proposes);
        predictor.propose(&frame, frame.bounds()).unwrap().unwrap()
    };
    let mut trained = Predictor::new(Box::new(weights.segmenter()), PredictOptions::default());
    let trained = trained.propose(&frame, frame.bounds()).unwrap().unwrap();
    let far = |grid: &LogitGrid| {
        grid.values().iter().zip(trained.values()).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max)
    };
    let mut on_tape = Predictor::new(Box::new(weights.segmenter()), PredictOptions::default());
    let scores = [suggested(&mut on_tape), suggested(&mut Predictor::open(&plain).unwrap())];
    if let [Some(a), Some(b)] = scores {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    assert_eq!(scores[0].is_some(), scores[1].is_some());
    let range = trained.values().iter().fold(0.0f32, |most, v| most.max(v.abs()));
    assert!(far(&proposed(&plain)) < 2e-3, "{}", far(&proposed(&plain)));
    // Integers from the encoder's bytes to the mask.
    let lost = far(&proposed(&quantized));
    assert!(lost > 0.0 && lost < 0.3 * range, "{lost} of {range}");

    let text = std::fs::read_to_string(quantized.join("manifest.toml")).unwrap();
    let (former, to) = (folder.path().join("former"), quantized.clone());
    std::fs::create_dir(&former).unwrap();
    for file in std::fs::read_dir(&to).unwrap().map(|f| f.unwrap()) {
        std::fs::copy(file.path(), former.join(file.file_name())).unwrap();
    }
    let at = text.find("name = \"iou_logit\"").unwrap();
    let begin = text[..at].rfind("[[proposal.outputs]]").unwrap();
    let end = at + text[at..].find("\n\n").unwrap();
    std::fs::write(former.join("manifest.toml"), format!("{}{}", &text[..begin], &text[end..])).unwrap();
    let error = Predictor::open(&former).err().unwrap().to_string();
    assert!(error.contains("without a learned score, of an earlier release"), "{error}");

    let path = quantized.join("proposal.onnx");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = Predictor::open(&quantized).err().unwrap().to_string();
    assert!(error.contains("proposal.onnx"), "{error}");
}

#[test]
fn a_model_without_a_proposal_says_so_when_it_is_evaluated_without_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path());
    let weights = Weights::load(&click_model(folder.path(), &set)).unwrap();
    let mut predictor = Predictor::new(Box::new(weights.segmenter()), PredictOptions::default());
    let frame = load_still(&set.join("images/0.png")).unwrap();
    assert_eq!(predictor.propose(&frame, frame.bounds()).unwrap(), None);
    let dataset = Dataset::open(&set, &DatasetOptions { split: None, objects: ObjectChoice::Largest }).unwrap();
    let pair = dataset.rows[0].load().unwrap();
    let subject = Subject {
        frame: &pair.image,
        object: &pair.truth,
        whole: Some(&pair.truth),
        pixel_mm: None,
        hc_mm: None,
        key: "one".into(),
    };
    let questions = Questions { protocols: vec![Protocol::Auto], looks: vec![LookKind::Full], max_clicks: 1, seed: 1 };
    let error = examine(&mut predictor, &subject, &questions).unwrap_err();
    assert!(error.kind() == ErrorKind::Argument && error.to_string().contains("proposal.onnx"), "{error}");
}
