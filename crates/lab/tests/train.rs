//! Training on a small set made here: it learns, it can be taken up again, and it says what is wrong.
#![cfg(feature = "train")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use image::{GrayImage, Luma};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use sonotap::error::ErrorKind;
use sonotap::mask::Bitmap;
use sonotap::model::sam::{LoadOptions, load_with};
use sonotap_lab::quantize::{Options, quantize_folder};
use sonotap_lab::train::config::{DistillConfig, TrainConfig};
use sonotap_lab::train::example::{Example, Target};
use sonotap_lab::train::export::{self, Weights};
use sonotap_lab::train::net::Network;
use sonotap_lab::train::optimizer::{Optimizer, StepSize, Sums};
use sonotap_lab::train::picture::{Picture, SIDE};
use sonotap_lab::train::run::{Ending, Event, Opening, Run};
use sonotap_lab::train::semi::config::SemiConfig;
use sonotap_lab::train::step::Lesson;
use sonotap_lab::train::teacher::Teacher;

/// A bright ellipse on noisy tissue.
fn scene(i: u32) -> (Vec<u8>, Vec<u8>) {
    let (cx, cy, a, b) = (70.0 + 13.0 * i as f32, 150.0 - 7.0 * i as f32, 25.0 + 4.0 * i as f32, 30.0);
    let inside = |x: u32, y: u32| ((x as f32 - cx) / a).powi(2) + ((y as f32 - cy) / b).powi(2) < 1.0;
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97 + i) >> 27;
    let places = || (0..(SIDE * SIDE) as u32).map(|k| (k % SIDE as u32, k / SIDE as u32));
    let grey = places().map(|(x, y)| (if inside(x, y) { 150 } else { 70 } + noise(x, y)) as u8).collect();
    (grey, places().map(|(x, y)| u8::from(inside(x, y))).collect())
}

/// A set with a manifest; `row` may spoil a line.
fn set(folder: &Path, row: impl Fn(u32, String) -> String) -> PathBuf {
    let folder = folder.join("ellipses");
    for part in ["images", "masks"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let mut manifest = String::from("image,mask,split,group\n");
    for i in 0..8 {
        let (grey, mask) = scene(i);
        let save = |name: String, values: Vec<u8>| {
            let picture =
                GrayImage::from_fn(SIDE as u32, SIDE as u32, |x, y| Luma([values[(y as usize) * SIDE + x as usize]]));
            picture.save(folder.join(name)).unwrap();
        };
        save(format!("images/{i}.png"), grey);
        save(format!("masks/{i}.png"), mask.iter().map(|v| v * 255).collect());
        let split = if i < 6 { "train" } else { "val" };
        writeln!(manifest, "{}", row(i, format!("images/{i}.png,masks/{i}.png,{split},g{i}"))).unwrap();
    }
    std::fs::write(folder.join("manifest.csv"), manifest).unwrap();
    folder
}

fn config(folder: &Path) -> String {
    format!(
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
    {{ expand = 2, kernel = 3, stride = 2, channels = 32, repeats = 2 }},
    {{ expand = 2, kernel = 5, stride = 2, channels = 32, repeats = 2 }},
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
steps = 4
pictures = 2
rate = 2e-3
encoder_rate = 1.0
warmup = 10
decay_from = 0.5
weight_decay = 1e-4
clip = 1.0

[stage.tasks]
targets = 2
scene = 0.3
phantom = 0.2
part = 0.2
structure = 0.5
second_object = 0.4
region = 0.1
near = 0.4

[stage.prompts]
operator = "corrective"
boxed = 0.2
carried = 0.2
rounds = [2, 3]
clicks = [1, 2]
drop_previous = 0.3
mask_alone = 0.1
"#,
        folder.display()
    )
}

fn parsed(folder: &Path) -> TrainConfig {
    let path = folder.join("config.toml");
    std::fs::write(&path, config(&set(folder, |_, row| row))).unwrap();
    TrainConfig::load(&path).unwrap()
}

fn weights(run: &Run) -> Vec<f32> {
    run.averaged().to_host().into_values().flat_map(|m| m.values).collect()
}

#[test]
fn a_small_network_learns_eight_images_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let device = Device::flex().autodiff();
    let (network, mut parameters) = Network::new(&config.network, &device, 1);
    let mut optimizer = Optimizer::new(&parameters);
    let mut stage = config.stage[0].clone();
    (stage.prompts.boxed, stage.prompts.carried, stage.prompts.mask_alone) = (0.0, 0.0, 0.0);
    let examples: Vec<Example> = (0..8)
        .map(|i| {
            let (grey, mask) = scene(i);
            let picture = Picture::from_fn(|x, y| f32::from(grey[y * SIDE + x]) / 255.0);
            Example {
                picture,
                targets: vec![Target::whole(Bitmap::from_values(SIDE as u32, SIDE as u32, mask).unwrap())],
                is_nested: false,
            }
        })
        .collect();
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let mut last = 0.0;
    for step in 0..400 {
        let mut sums = Sums::default();
        let ious: Vec<f32> = examples
            .iter()
            .map(|e| {
                let (network, parameters, loss) = (&network, &parameters, &config.loss);
                let lesson = Lesson { network, parameters, stage: &stage, loss, rounds: 2, distill: None };
                *lesson.learn(e, None, &mut sums, &mut rng).unwrap().iou.last().unwrap()
            })
            .collect();
        last = ious.iter().sum::<f32>() / ious.len() as f32;
        if last > 0.975 {
            return;
        }
        let rate = 3e-3 * ((step + 1) as f32 / 20.0).min(1.0);
        let scale = (1.0 / sums.norm().max(1e-9)).min(1.0 / 8.0);
        optimizer.step(
            &mut parameters,
            sums,
            &StepSize {
                rate,
                encoder_rate: rate,
                proposal_rate: rate,
                inputs_at_rate: 0,
                weight_decay: 0.0,
                scale,
                average: 0.9,
            },
        );
    }
    panic!("expected an IoU above 0.97 on eight images, got {last}");
}

#[test]
fn a_run_that_was_stopped_and_taken_up_again_equals_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let device = Device::flex();
    let mut whole = Run::open(config.clone(), None, &folder.path().join("whole"), Opening::Fresh, &device).unwrap();
    assert_eq!(whole.learn(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ending::Complete);

    let out = folder.path().join("parts");
    let mut short = config.clone();
    // The stop comes with the first checkpoint, after the second step.
    short.checkpoint_minutes = 1e-9;
    let stop = AtomicBool::new(false);
    let mut saves = 0;
    let mut first = Run::open(short.clone(), None, &out, Opening::Fresh, &device).unwrap();
    let ending = first.learn(&stop, &mut |event| {
        saves += usize::from(matches!(event, Event::Saved(_)));
        stop.store(saves == 2, Ordering::Release);
    });
    assert_eq!(ending.unwrap(), Ending::Stopped);
    assert_eq!(first.steps(), 2);
    drop(first);
    let mut second = Run::open(short, None, &out, Opening::Resume, &device).unwrap();
    assert_eq!(second.steps(), 2);
    assert_eq!(second.learn(&AtomicBool::new(false), &mut |_| {}).unwrap(), Ending::Complete);
    assert_eq!(weights(&whole), weights(&second));
}

#[test]
fn a_run_is_taken_up_from_averaged_weights_at_their_step_and_with_what_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = parsed(folder.path());
    let device = Device::flex();
    let total = config.steps();
    let mut whole = Run::open(config.clone(), None, &folder.path().join("first"), Opening::Fresh, &device).unwrap();
    whole.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let file = folder.path().join("first/weights.safetensors");
    config.stage[0].steps += 2;
    let out = folder.path().join("second");
    let mut second = Run::open(config.clone(), None, &out, Opening::TakeUp(&file), &device).unwrap();
    assert_eq!((second.steps(), second.history().seconds), (total, whole.history().seconds));
    let (before, after) = (weights(&whole), weights(&second));
    let far = before.iter().zip(&after).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(far < 1e-3, "half precision is all that is lost: {far}");
    second.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!(second.steps(), total + 2);
    // Taken up once more where it was, it is the same run.
    let again = Run::open(config.clone(), None, &out, Opening::Resume, &device).unwrap();
    assert_eq!((again.steps(), weights(&again)), (total + 2, weights(&second)));

    let error = Run::open(config, None, &out, Opening::TakeUp(&file), &device).err().unwrap();
    assert!(error.to_string().contains("expected no run there"), "{error}");
}

#[test]
fn a_trained_network_becomes_a_model_folder_that_tract_computes_alike() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let out = folder.path().join("run");
    let mut run = Run::open(config, None, &out, Opening::Fresh, &Device::flex()).unwrap();
    run.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let weights = Weights::load(&out.join("weights.safetensors")).unwrap();
    let model = folder.path().join("model");
    let done = export::export(&weights, &model, None, Vec::new()).unwrap();
    assert!(done.difference.logit_max < 1e-3, "{:?}", done.difference);
    sonotap::model::sam::load(&model).unwrap();
    let card = std::fs::read_to_string(model.join("MODEL_CARD.md")).unwrap();
    assert!(card.contains("ellipses, train split | made here"), "{card}");

    let again = export::export(&weights, &model, None, Vec::new()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Argument);
    sonotap::model::sam::load(&model).unwrap();
    assert!(out.join("curves.png").is_file());
}

#[test]
fn a_quantized_model_runs_in_the_integer_engine_and_says_what_it_lost() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let out = folder.path().join("run");
    let stop = AtomicBool::new(false);
    Run::open(config.clone(), None, &out, Opening::Fresh, &Device::flex()).unwrap().learn(&stop, &mut |_| {}).unwrap();
    let (model, quantized) = (folder.path().join("model"), folder.path().join("int8"));
    export::export(&Weights::load(&out.join("weights.safetensors")).unwrap(), &model, None, Vec::new()).unwrap();
    let sets = vec![config.data[0].folder.clone()];
    let options = Options { sets, images: 3, validation: 2, method: None, seed: 1 };
    let report = quantize_folder(&model, &quantized, &options, &stop).unwrap();
    assert_eq!(report.encoder.tried.len(), 3);
    assert_eq!(report.validation[0].objects, 2);
    let lost = |name: &str| report.encoder.losses.iter().find(|l| l.name == name).map(|l| l.sqnr_db);
    for output in ["embedding", "skip4", "skip2"] {
        assert!(lost(output).is_some_and(|db| db > 18.0), "{output}: {:?}", report.encoder.losses);
    }
    let loaded = load_with(&quantized, LoadOptions::default()).unwrap();
    assert!(loaded.segmenter.kernels().is_some() && loaded.segmenter.has_mask_decoder());
    assert_eq!(loaded.manifest.evaluation[0].set, "ellipses, val");
    // Without the engine the same folder runs in tract.
    let plain = load_with(&quantized, LoadOptions { skip_self_test: true, tract_only: true, ..LoadOptions::default() })
        .unwrap();
    assert!(plain.segmenter.kernels().is_none() && !plain.segmenter.has_mask_decoder());
    let error = quantize_folder(&quantized, &folder.path().join("again"), &options, &stop).unwrap_err();
    assert_eq!(error.to_string(), "expected an encoder in f32, got one that is quantized already");
    let error = quantize_folder(&model, &quantized, &options, &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
}

#[test]
fn a_model_that_tract_computes_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let segmenter = |seed: u64| {
        let (network, parameters) = Network::new(&config.network, &Device::flex(), seed);
        sonotap_lab::train::segmenter::TrainedSegmenter::new(network, parameters)
    };
    export::compare(&mut segmenter(1), &mut segmenter(1)).unwrap();
    let error = export::compare(&mut segmenter(1), &mut segmenter(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
}

#[test]
fn a_config_that_is_wrong_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let good = config(&set(folder.path(), |_, row| row));
    for (from, to, named) in [
        ("seed = 7", "sed = 7", "sed"),
        ("seed = 7", "", "seed"),
        ("licence = \"made here\"", "", "data[0].licence"),
        ("rate = 2e-3", "rate = 0.0", "stage[0].rate"),
        ("boxed = 0.2", "boxed = 1.2", "stage[0].prompts.boxed"),
        ("carried = 0.2", "carried = 0.9", "prompts.boxed + prompts.carried"),
        ("targets = 2", "targets = 3", "stage[0].tasks.targets"),
        ("rounds = [2, 3]", "rounds = []", "stage[0].prompts.rounds"),
        ("kernel = 5", "kernel = 7", "network.encoder.stages[3]"),
        ("embedding = 32", "embedding = 30", "network.encoder.embedding"),
        ("operator = \"corrective\"", "operator = \"lucky\"", "lucky"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let error = TrainConfig::load(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{named}");
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
}

/// What learning from a set with spoilt lines says.
fn complaint(spoil: impl Fn(&Path), row: impl Fn(u32, String) -> String) -> String {
    let folder = tempfile::tempdir().unwrap();
    let data = set(folder.path(), row);
    spoil(&data);
    let path = folder.path().join("config.toml");
    std::fs::write(&path, config(&data)).unwrap();
    let mut run =
        Run::open(TrainConfig::load(&path).unwrap(), None, &folder.path().join("run"), Opening::Fresh, &Device::flex())
            .unwrap();
    run.learn(&AtomicBool::new(false), &mut |_| {}).unwrap_err().to_string()
}

#[test]
fn a_group_in_two_splits_stops_the_run() {
    let said = complaint(|_| {}, |i, row| if i == 7 { row.replace("g7", "g0") } else { row });
    assert!(said.contains("\"g0\""), "{said}");
}

#[test]
fn a_broken_image_names_its_row() {
    let said = complaint(
        |data| (0..6).for_each(|i| std::fs::write(data.join(format!("images/{i}.png")), b"no picture").unwrap()),
        |_, row| row,
    );
    assert!(said.contains("row ") && said.contains("masks/") && said.contains("image"), "{said}");
}

#[test]
fn a_missing_image_names_its_row() {
    let said = complaint(|data| std::fs::remove_file(data.join("images/3.png")).unwrap(), |_, row| row);
    assert!(said.contains("row 5") && said.contains("images/3.png"), "{said}");
}

#[test]
fn a_student_comes_closer_to_its_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let config = parsed(folder.path());
    let out = folder.path().join("teacher");
    Run::open(config.clone(), None, &out, Opening::Fresh, &Device::flex())
        .unwrap()
        .learn(&AtomicBool::new(false), &mut |_| {})
        .unwrap();
    let teacher = out.join("weights.safetensors");
    let bundled = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("models/student");

    // Of the embedding alone, from our own weights; of answers alone, from a model folder.
    for (who, distill, student) in [
        (&teacher, "{ embedding = 1.0, answers = 0.0, disagreement = 0.0, truth = 0.0 }", "embedded"),
        (&bundled, "{ embedding = 0.0, answers = 1.0, disagreement = 0.5, truth = 0.0 }", "told"),
    ] {
        let mut config = config.clone();
        config.seed = 8;
        (config.stage[0].steps, config.stage[0].pictures) = (50, 1);
        config.stage[0].distill =
            Some(toml::from_str::<toml::Table>(&format!("d = {distill}")).unwrap()["d"].clone().try_into().unwrap());
        let mut run = Run::open(
            config,
            Some(Teacher::load(who).unwrap()),
            &folder.path().join(student),
            Opening::Fresh,
            &Device::flex(),
        )
        .unwrap();
        run.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
        let losses: Vec<f32> = run.history().stretches.iter().map(|s| s.loss).collect();
        assert!(losses[1] < 0.9 * losses[0], "{student}: {losses:?}");
    }
}

#[test]
fn a_teacher_that_fades_is_asked_less_and_less_and_then_no_more() {
    let whole = DistillConfig { embedding: 1.0, answers: 0.5, disagreement: 0.25, truth: 1.0, fade: 0 };
    assert_eq!(whole.at(1_000_000), Some(whole));
    let fading = DistillConfig { fade: 100, ..whole };
    assert_eq!(fading.at(0), Some(fading));
    let half = DistillConfig { embedding: 0.5, answers: 0.25, disagreement: 0.125, ..fading };
    assert_eq!(fading.at(50), Some(half));
    assert_eq!(fading.at(100), None);
}

#[test]
fn a_stage_that_distils_needs_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = parsed(folder.path());
    config.stage[0].distill =
        Some(DistillConfig { embedding: 1.0, answers: 0.0, disagreement: 0.0, truth: 1.0, fade: 0 });
    let error = Run::open(config, None, &folder.path().join("run"), Opening::Fresh, &Device::flex()).err().unwrap();
    assert!(error.to_string().contains("teacher"), "{error}");
}

#[test]
fn a_frozen_encoder_keeps_its_weights_while_adapters_and_the_rest_learn() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = parsed(folder.path());
    config.stage[0].encoder_rate = 0.0;
    config.network.encoder.adapters = vec![1, 3];
    let out = folder.path().join("run");
    let mut run = Run::open(config, None, &out, Opening::Fresh, &Device::flex()).unwrap();
    let before = run.averaged().to_host();
    run.learn(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let after = run.averaged().to_host();
    let changed: Vec<&String> = before.keys().filter(|name| before[*name] != after[*name]).collect();
    assert!(changed.iter().all(|name| !name.starts_with("encoder.") || name.contains(".adapters.")), "{changed:?}");
    assert!(changed.iter().any(|name| name.contains(".adapters.3.")), "{changed:?}");
    let weights = Weights::load(&out.join("weights.safetensors")).unwrap();
    let done = export::export(&weights, &folder.path().join("model"), None, Vec::new()).unwrap();
    assert!(done.difference.logit_max < 1e-3);
    assert!(
        changed.iter().any(|name| name.starts_with("neck.")) && changed.iter().any(|name| name.starts_with("decoder."))
    );
}

#[test]
fn every_recipe_of_the_repository_is_whole() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("training");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let recipes: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    let is_semi = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("semi"));
    let (semi, plain): (Vec<PathBuf>, Vec<PathBuf>) = recipes.into_iter().partition(is_semi);
    let names: Vec<String> = plain.iter().map(|path| TrainConfig::load(path).unwrap().name).collect();
    assert!(names.len() >= 3, "{names:?}");
    let names: Vec<String> = semi.iter().map(|path| SemiConfig::load(path).unwrap().name).collect();
    assert!(!names.is_empty());
}
