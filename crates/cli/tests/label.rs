//! `sonotap label` without a screen: a script taps, accepts, skips and goes back; what is accepted is a set that can be read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sonotap::geometry::Point;
use sonotap::overlay::layout::{Control, Handedness, Layout, LayoutConfig};
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonotap"));
    command.args(arguments).current_dir(folder.path()).env("SONOTAP_HOME", ROOT);
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Speckle with a dark disc of radius 30 at (x, y).
fn picture(path: &Path, x: i64, y: i64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut random = 7_u32;
    let mut shade = |px: i64, py: i64| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let speckle = (random >> 26) as u8;
        if (px - x).pow(2) + (py - y).pow(2) < 900 { speckle / 4 } else { 90 + speckle }
    };
    let grey: Vec<u8> = (0..160 * 120).map(|i| shade(i % 160, i / 160)).collect();
    image::save_buffer(path, &grey, 160, 120, image::ExtendedColorType::L8).unwrap();
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, x, y) in [("scans/p1/a.png", 60, 60), ("scans/p1/b.png", 90, 50), ("scans/p2/c.png", 70, 70)] {
        picture(&folder.path().join(name), x, y);
    }
    folder
}

fn script(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("taps.toml"), text).unwrap();
}

fn manifest(folder: &TempDir) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("set/manifest.csv")).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Share of a mask's pixels that are in the disc, and of the disc's that are in the mask.
fn overlap(folder: &TempDir, mask: &str, x: i64, y: i64) -> (f64, f64) {
    let mask = image::open(folder.path().join("set").join(mask)).unwrap().into_luma8();
    let (mut both, mut inside, mut disc) = (0.0, 0.0, 0.0);
    for (px, py, value) in mask.enumerate_pixels() {
        let is_disc = (i64::from(px) - x).pow(2) + (i64::from(py) - y).pow(2) < 900;
        let is_inside = value.0[0] > 127;
        both += f64::from(is_disc && is_inside);
        inside += f64::from(is_inside);
        disc += f64::from(is_disc);
    }
    (both / inside, both / disc)
}

#[test]
fn a_script_outlines_skips_and_comes_back_and_the_next_call_goes_on() {
    let folder = folder();
    let boxed = "[[step]]\nframe = 1\nbox = [28, 28, 92, 92]\n[[step]]\nframe = 1\npress = \"save\"\n";
    script(&folder, &format!("{boxed}[[step]]\nframe = 2\npress = \"step-forward\"\n"));
    let arguments = ["label", "scans", "--out", "set", "--taps", "taps.toml", "--display", "none", "--json"];
    let report = json(&run(&folder, &arguments));
    let counts = |r: &Value| ["accepted", "kept", "skipped", "left"].map(|key| r[key].as_u64().unwrap());
    assert_eq!(counts(&report), [1, 0, 1, 2], "{report}");
    assert_eq!(report["edits_median"], 1.0);
    assert_eq!(manifest(&folder), ["images/p1/a.png,masks/p1_a.png,p1,,,,"]);
    let (precision, recall) = overlap(&folder, "masks/p1_a.png", 60, 60);
    assert!(precision > 0.8 && recall > 0.8, "{precision} {recall}");
    let before = fs::read(folder.path().join("set/masks/p1_a.png")).unwrap();

    // The first two images without a mask are b and c; a step back from c reopens b.
    script(
        &folder,
        "[[step]]\nframe = 1\npress = \"step-forward\"\n[[step]]\nframe = 2\npress = \"step-back\"\n\
         [[step]]\nframe = 3\ntap = [90, 50]\n[[step]]\nframe = 3\npress = \"save\"\n",
    );
    let report = json(&run(&folder, &arguments));
    assert_eq!(counts(&report), [1, 0, 1, 1], "{report}");
    assert_eq!(manifest(&folder).len(), 2);

    // With --again the first image is kept as it is when nobody edits it.
    script(&folder, "[[step]]\nframe = 1\npress = \"save\"\n[[step]]\nframe = 2\npress = \"step-forward\"\n");
    let again: Vec<&str> = arguments.into_iter().chain(["--again"]).collect();
    let report = json(&run(&folder, &again));
    assert_eq!(counts(&report), [0, 1, 0, 1], "{report}");
    assert_eq!(fs::read(folder.path().join("set/masks/p1_a.png")).unwrap(), before);
    let log = fs::read_to_string(folder.path().join("set/labels.csv")).unwrap();
    let words: Vec<&str> = log.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(words, ["accepted", "skipped", "skipped", "accepted", "kept"]);
}

#[test]
fn a_list_of_stills_has_neither_freeze_nor_exam_nor_scrub_and_what_is_left_is_large_and_apart() {
    let config = LayoutConfig { has_exam: true, is_list: true, ..LayoutConfig::default() };
    for (size, dpi) in [((800, 480), 133.0), ((1280, 800), 150.0), ((640, 480), 96.0), ((1920, 1080), 96.0)] {
        let layout = Layout::new(size, dpi, config).unwrap();
        let hidden = [Control::Freeze, Control::Exam, Control::Scrub(0.0), Control::Fill];
        for control in Control::ALL {
            let is_hidden = hidden.iter().any(|h| h.is_same(control));
            assert_eq!(layout.place(control).is_none(), is_hidden, "{size:?}: {control:?}");
        }
        assert!(layout.track().is_none() && layout.exam_line().is_some() && layout.absent().count() == 0);
        let (back, forward) = (layout.place(Control::StepBack).unwrap(), layout.place(Control::StepForward).unwrap());
        let between = Point::new((back.x1 + forward.x0) / 2.0, back.centre().y);
        assert_eq!(layout.hit(between), None, "{size:?}: nothing between the steps");
    }
    let mut seen = 0;
    for (w, h, dpi) in (0..2_000u32).map(|i| (64 + i * 797 % 1900, 64 + i * 431 % 1200, 60.0 + (i * 37 % 260) as f32)) {
        let handedness = if w % 2 == 0 { Handedness::Left } else { Handedness::Right };
        let Ok(layout) = Layout::new((w, h), dpi, LayoutConfig { handedness, ..config }) else { continue };
        let all: Vec<_> = layout.controls().collect();
        seen += all.len();
        for (i, (control, place)) in all.iter().enumerate() {
            let (width, height) = control.min_size_mm();
            assert!(place.width() >= layout.mm(width) && place.height() >= layout.mm(height), "{w}x{h}: {control:?}");
            assert!(place.x0 >= 0.0 && place.y0 >= 0.0 && place.x1 <= w as f32 && place.y1 <= h as f32, "{control:?}");
            for (other, its) in &all[..i] {
                let gap = (place.x0 - its.x1).max(its.x0 - place.x1).max((place.y0 - its.y1).max(its.y0 - place.y1));
                assert!(gap >= layout.mm(3.0), "{w}x{h}: {control:?} and {other:?} are {gap} px apart");
            }
        }
    }
    assert!(seen > 5_000, "{seen}");
}

/// A made operator over a made set: a tap in the middle, on every third image a second one beside it; then Save. What it prints
/// is the machine's part of the work: nobody looks, thinks or moves a hand.
#[test]
fn a_scripted_labelling_says_taps_and_images_a_minute_and_its_masks_fit() {
    const COUNT: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let centre = |i: usize| (45 + 13 * i as i64, 50 + 4 * i as i64);
    let mut steps = String::new();
    for i in 0..COUNT {
        let (x, y) = centre(i);
        picture(&folder.path().join(format!("scans/{i}.png")), x, y);
        let mut step = |what: &str| steps.push_str(&format!("[[step]]\nframe = {}\n{what}\n", i + 1));
        step(&format!("tap = [{x}, {y}]"));
        if i % 3 == 0 {
            step(&format!("tap = [{}, {}]", x + 15, y + 10));
        }
        step("press = \"save\"");
    }
    script(&folder, &steps);
    let report =
        json(&run(&folder, &["label", "scans", "--out", "set", "--taps", "taps.toml", "--display", "none", "--json"]));
    let of = |key: &str| report[key].as_f64().unwrap();
    assert_eq!(report["accepted"], COUNT, "{report}");
    assert!((of("edits_mean") - 8.0 / 6.0).abs() < 1e-9 && of("edits_median") == 1.0, "{report}");
    assert!((of("images_per_minute") * of("seconds_mean") - 60.0).abs() < 1e-6, "{report}");
    let mut fit = 0.0;
    for i in 0..COUNT {
        let (x, y) = centre(i);
        let (precision, recall) = overlap(&folder, &format!("masks/{i}.png"), x, y);
        fit += precision.min(recall) / COUNT as f64;
    }
    println!("{:.2} taps an image, {:.1} images a minute, fit {fit:.2}", of("edits_mean"), of("images_per_minute"));
    assert!(fit > 0.6, "{fit}");
}

#[test]
fn nothing_outlined_is_not_accepted_and_a_broken_image_stops_nothing() {
    let folder = folder();
    fs::write(folder.path().join("scans/p1/0.png"), b"no picture").unwrap();
    script(&folder, "[[step]]\nframe = 1\npress = \"save\"\n[[step]]\nframe = 1\npress = \"step-forward\"\n");
    let report =
        json(&run(&folder, &["label", "scans", "--out", "set", "--taps", "taps.toml", "--display", "none", "--json"]));
    assert_eq!((report["accepted"].as_u64(), report["unreadable"].as_u64()), (Some(0), Some(1)), "{report}");
    assert!(!folder.path().join("set/manifest.csv").exists());
}

#[test]
fn wrong_input_is_refused_with_what_was_expected() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (arguments, words) in [
        (&["label", "empty", "--display", "none"][..], "expected PNG, JPEG, GIF or DICOM images"),
        (&["label", "nowhere", "--display", "none"], "nowhere"),
        (&["label", "scans", "--display", "none"], "a script as --taps"),
        (&["label", "scans", "--propose-only"], "proposal.onnx"),
        (&["label", "scans", "--propose", "--display", "none"], "proposal.onnx"),
        (&["label", "scans", "--propose=2", "--display", "none"], "expected 0.5 to 0.99, got 2"),
        (&["run", "--source", "phantom:cyst", "--propose", "--seconds", "1"], "proposal.onnx"),
        (&["run", "--source", "phantom:cyst", "--propose=0.2", "--seconds", "1"], "expected 0.5 to 0.99, got 0.2"),
    ] {
        let e = error(&run(&folder, arguments));
        assert!(e.contains(words), "{arguments:?}: {e}");
    }
    assert!(!folder.path().join("scans/manifest.csv").exists(), "a refused call leaves nothing behind");
}
