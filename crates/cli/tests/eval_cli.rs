//! `sonotap eval` as a user runs it, on small pictures that the test makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{GrayImage, Luma};
use serde_json::Value;

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const SIDE: u32 = 96;

fn picture(centre: (f32, f32), radius: f32) -> (GrayImage, GrayImage) {
    let distance = |x: u32, y: u32| (x as f32 + 0.5 - centre.0).hypot(y as f32 + 0.5 - centre.1);
    // A dark disk in bright, grainy tissue.
    let grain = |x: u32, y: u32| ((x * 73 + y * 151 + x * y * 7) % 61) as u8;
    let image = GrayImage::from_fn(SIDE, SIDE, |x, y| {
        Luma([if distance(x, y) < radius { 20 + grain(x, y) / 4 } else { 120 + grain(x, y) }])
    });
    let mask = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([if distance(x, y) < radius { 255 } else { 0 }]));
    (image, mask)
}

/// Five rows that can be used, of three groups, and four that cannot; columns in an order of their own.
fn make_set(folder: &Path) {
    for kind in ["images", "masks"] {
        std::fs::create_dir_all(folder.join(kind)).unwrap();
    }
    let mut manifest = String::from("split,scanner,mask,group,image,pixel_mm,organ\n");
    for i in 0..5u32 {
        let (image, mask) = picture((40.0 + 4.0 * i as f32, 50.0), 14.0 + 2.0 * i as f32);
        image.save(folder.join(format!("images/{i}.png"))).unwrap();
        mask.save(folder.join(format!("masks/{i}.png"))).unwrap();
        let mm = if i == 0 { "0.2" } else { "" };
        manifest += &format!("test,x,masks/{i}.png,g{},images/{i}.png,{mm},\"spleen, left\"\n", i / 2);
    }
    GrayImage::new(SIDE, SIDE).save(folder.join("masks/empty.png")).unwrap();
    GrayImage::from_pixel(9, 9, Luma([255])).save(folder.join("masks/small.png")).unwrap();
    for bad in ["masks/empty.png", "masks/small.png", "masks/absent.png", "../secret.png"] {
        manifest += &format!("test,x,{bad},h,images/1.png,,spleen\n");
    }
    std::fs::write(folder.join("manifest.csv"), manifest).unwrap();
}

fn eval(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonotap"));
    command.arg("eval").args(arguments).env("SONOTAP_HOME", ROOT).output().unwrap()
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// A report without what depends on the clock and the number of threads.
fn timeless(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                ["ms", "seconds_per_click", "jobs"].iter().for_each(|k| drop(map.remove(*k)));
                map.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

struct Bench {
    _folder: tempfile::TempDir,
    set: PathBuf,
    out: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (set, out) = (folder.path().join("spleen"), folder.path().join("out"));
        make_set(&set);
        Self { _folder: folder, set, out }
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        let (set, out) = (self.set.display().to_string(), self.out.join(out).display().to_string());
        let fixed = ["--data", &set, "--report", &out, "--max-clicks", "3"];
        eval(&[&fixed[..], more].concat())
    }

    fn report(&self, out: &str) -> Value {
        report(&self.out.join(out))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_set_of_another_organ_runs_unchanged_and_every_row_is_accounted_for() {
    let bench = Bench::new();
    let output = bench.run("a", &[]);
    assert!(output.status.success(), "{}", said(&output));
    let report = bench.report("a");
    assert_eq!(report["schema"], "sonotap-eval/1");
    assert_eq!(report["rows"].as_array().unwrap().len(), 5);
    let reasons: Vec<&str> =
        report["unusable"].as_array().unwrap().iter().map(|u| u["reason"].as_str().unwrap()).collect();
    for part in
        ["black alone", "image's size 96x96 px, got 9x9", "\"masks/absent.png\", got none", "within the set's folder"]
    {
        assert!(reasons.iter().any(|r| r.contains(part)), "{part}: {reasons:?}");
    }
    let noc = report["sets"].as_array().unwrap().iter().find(|s| s["protocol"] == "noc").unwrap();
    assert_eq!((noc["n"].as_u64(), noc["groups"].as_u64(), noc["data"].as_str()), (Some(5), Some(3), Some("spleen")));
    let first = noc["iou_by_click"][0].as_f64().unwrap();
    let interval = &noc["intervals"]["iou_by_click"][0];
    assert!((interval["low"].as_f64().unwrap()..=interval["high"].as_f64().unwrap()).contains(&first));
    assert!(first > 0.5, "a dark disk is easy: {first}");
    let worst = report["rows"].as_array().unwrap().iter().map(|r| r["answers"].as_array().unwrap().len()).min();
    assert_eq!(worst, Some(1 + 5 + 2 + 2), "every protocol of every object");
    let units: Vec<bool> = noc["boundary"].as_array().unwrap().iter().map(|b| b["is_mm"].as_bool().unwrap()).collect();
    assert_eq!(units, [true, false], "millimetres only where the manifest has them");
    let html = std::fs::read_to_string(bench.out.join("a/report.html")).unwrap();
    for part in ["spleen", "4 rows.", "data:image/png;base64", "Not for diagnostic use", "INCOMPLETE"] {
        assert_eq!(html.contains(part), part != "INCOMPLETE", "{part}");
    }
}

#[test]
fn figures_depend_neither_on_the_number_of_threads_nor_on_a_stop_in_between() {
    let bench = Bench::new();
    let few = ["--protocol", "noc,clicksam"];
    assert!(bench.run("one", &few).status.success());
    assert!(bench.run("two", &[&few[..], &["--jobs", "2"]].concat()).status.success());
    let one = bench.report("one");
    assert!(timeless(one.clone()) == timeless(bench.report("two")), "one thread and two");

    let kept = bench.out.join("one/rows.jsonl");
    let text = std::fs::read_to_string(&kept).unwrap();
    let cut = text.lines().take(3).map(str::len).sum::<usize>() + 3 + 40;
    std::fs::write(&kept, &text[..cut]).unwrap();
    std::fs::remove_file(bench.out.join("one/report.json")).unwrap();
    let refused = bench.run("one", &few);
    assert!(!refused.status.success() && said(&refused).contains("--resume"), "{}", said(&refused));
    let other = bench.run("one", &[&few[..], &["--resume", "--seed", "9"]].concat());
    assert!(!other.status.success() && said(&other).contains("same model, data and settings"), "{}", said(&other));
    let resumed = bench.run("one", &[&few[..], &["--resume"]].concat());
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(timeless(bench.report("one")) == timeless(one), "in one go and resumed");
    assert_eq!(std::fs::read_to_string(&kept).unwrap().lines().count(), text.lines().count());
}

#[test]
fn a_set_without_anything_to_measure_fails_with_the_reasons() {
    let bench = Bench::new();
    for entry in std::fs::read_dir(bench.set.join("images")).unwrap() {
        std::fs::write(entry.unwrap().path(), "no picture").unwrap();
    }
    let output = bench.run("a", &["--protocol", "noc"]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("spleen: nothing was measured: row "), "{text}");
    assert!(bench.out.join("a/report.json").is_file(), "the report lists every row");
    std::fs::remove_dir_all(bench.set.join("images")).unwrap();
    let output = bench.run("b", &["--protocol", "noc"]);
    assert!(!output.status.success() && said(&output).contains("row 2 ("), "{}", said(&output));
}

#[test]
fn pictures_that_change_while_a_run_is_stopped_are_noticed() {
    let bench = Bench::new();
    let few = ["--protocol", "noc"];
    assert!(bench.run("a", &few).status.success());
    let image = std::fs::read_dir(bench.set.join("images")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&image).unwrap();
    bytes.push(0);
    std::fs::write(&image, bytes).unwrap();
    let output = bench.run("a", &[&few[..], &["--resume"]].concat());
    assert!(!output.status.success() && said(&output).contains("same model, data and settings"), "{}", said(&output));
}

#[test]
fn a_report_compared_with_itself_shows_no_difference() {
    let bench = Bench::new();
    assert!(bench.run("a", &["--protocol", "noc"]).status.success());
    let path = bench.out.join("a/report.json").display().to_string();
    let output = eval(&["--compare", &path, &path, "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!all.as_array().unwrap().is_empty());
    for c in all.as_array().unwrap() {
        assert_eq!((c["paired"]["difference"].as_f64(), c["paired"]["n"].as_u64()), (Some(0.0), Some(5)));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = bench.out.join("edited.json");
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 3] = [
        ("expected IoU and Dice of 0 to 1, got 7", |v| v["rows"][0]["answers"][0]["steps"][0]["iou"] = 7.into()),
        ("expected reports of one split", |v| v["run"]["split"] = "val".into()),
        ("expected the same data in both reports", |v| v["data"][0]["digest"] = "another".into()),
    ];
    for (expected, edit) in edits {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        edit(&mut value);
        std::fs::write(&edited, value.to_string()).unwrap();
        let output = eval(&["--compare", &path, &edited.display().to_string()]);
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
    }
    let foreign = bench.set.join("manifest.csv").display().to_string();
    let output = eval(&["--compare", &path, &foreign]);
    assert!(!output.status.success() && said(&output).contains("expected a report of sonotap-eval/1"));
}

#[test]
fn wrong_arguments_say_what_was_expected() {
    let bench = Bench::new();
    let set = bench.set.display().to_string();
    for (more, part) in [
        (vec!["--split", "validation"], "got splits: test"),
        (vec!["--protocol", "nic"], "expected noc, msa, clicksam, box or auto"),
        (vec!["--protocol", "auto"], "expected a model that proposes a mask (proposal.onnx), got"),
        (vec!["--look", "closer"], "expected full, single or plain"),
        (vec!["--objects", "some"], "expected largest or each"),
        (vec!["--jobs", "0"], "expected at least 1"),
        (vec!["--data", &set], "of different names"),
        (vec!["--data", ROOT], "expected manifest.csv, or folders images and masks"),
        (vec!["--model", "/nowhere"], "/nowhere"),
    ] {
        let output = bench.run("w", &more);
        assert!(!output.status.success(), "{more:?}");
        assert!(said(&output).contains(part), "{more:?}: {}", said(&output));
    }
    assert!(!bench.out.join("w/report.json").exists(), "nothing is left as if it were whole");
}

#[test]
fn plain_folders_are_matched_by_name_and_each_component_is_an_object() {
    let bench = Bench::new();
    std::fs::remove_file(bench.set.join("manifest.csv")).unwrap();
    ["empty", "small"].iter().for_each(|n| std::fs::remove_file(bench.set.join(format!("masks/{n}.png"))).unwrap());
    std::fs::rename(bench.set.join("masks/4.png"), bench.set.join("masks/4_lesion.png")).unwrap();
    let mut two = picture((30.0, 30.0), 12.0).1;
    (70..90).for_each(|x| (70..90).for_each(|y| two.put_pixel(x, y, Luma([255]))));
    two.save(bench.set.join("masks/0.png")).unwrap();
    let output = bench.run("f", &["--split", "all", "--objects", "each", "--protocol", "box"]);
    assert!(output.status.success(), "{}", said(&output));
    let report = bench.report("f");
    assert_eq!(report["rows"].as_array().unwrap().len(), 6);
    assert_eq!(report["rows"][1]["component"], 1);
}

#[test]
#[ignore = "needs the shared data: SONOTAP_SHARED names the folder that holds data/"]
fn the_bundled_model_reaches_its_card_on_real_validation_images() {
    let shared = PathBuf::from(std::env::var_os("SONOTAP_SHARED").expect("SONOTAP_SHARED names the data"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let set = |name: &str| shared.join("data").join(name).display().to_string();
    let (hc18, ccaui) = (set("hc18"), set("ccaui"));
    let rest = ["--split", "val", "--limit", "12", "--protocol", "noc,box", "--max-clicks", "5", "--report", &out];
    let output = eval(&[&["--data", &hc18, "--data", &ccaui][..], &rest].concat());
    assert!(output.status.success(), "{}", said(&output));
    let report = report(Path::new(&out));
    for (name, least) in [("hc18", 0.87), ("ccaui", 0.80)] {
        let sets = report["sets"].as_array().unwrap();
        let noc = sets.iter().find(|s| s["data"] == name && s["protocol"] == "noc").unwrap();
        let iou = noc["iou_by_click"][2].as_f64().unwrap();
        assert!(iou > least, "{name}: IoU after three clicks {iou}");
    }
}
