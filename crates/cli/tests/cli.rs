//! The command line as a stranger meets it: wrong input is refused with what was expected, what is left behind is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::AnimationDecoder;
use serde_json::Value;
use tempfile::TempDir;

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Longest that a started program is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a folder of its own, without a display server, with the bundled files.
fn sonotap(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonotap"));
    command.args(arguments).current_dir(folder.path()).env("SONOTAP_HOME", ROOT);
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    sonotap(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output as JSON, of a run that went well.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stdout)))
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn bundled(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

/// A folder with wrong files of all kinds.
fn folder_of_wrong_files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let cine = fs::read(bundled("assets/cine/heart-4ch.dcm")).unwrap();
    write("good.dcm", &cine);
    write("truncated.dcm", &cine[..cine.len() / 2]);
    let (ultrasound, ct) = (b"1.2.840.10008.5.1.4.1.1.3.1", b"1.2.840.10008.5.1.4.1.1.2\0\0");
    let mut other = cine;
    for at in 0..other.len() - ultrasound.len() {
        if other[at..].starts_with(ultrasound) {
            other[at..at + ct.len()].copy_from_slice(ct);
        }
    }
    write("ct.dcm", &other);
    write("text.png", b"a text\n");
    write("empty.dcm", b"");
    write("typo.toml", b"[camera]\ndriver = \"uvcvideo\"\nfpps = 30\n");
    write("range.toml", b"[camera]\ndriver = \"uvcvideo\"\nfps = 0\n");
    write("empty.toml", b"");
    write("unknown.toml", b"[[step]]\nat_ms = 1\ntapp = [1, 2]\n");
    write("outside.toml", b"[[step]]\nat_ms = 1\ntap = [4000, 2]\n");
    fs::create_dir(folder.path().join("nothing")).unwrap();
    image::GrayImage::from_pixel(60, 40, image::Luma([90])).save(folder.path().join("grey.png")).unwrap();
    image::GrayImage::new(60, 40).save(folder.path().join("black.png")).unwrap();
    image::GrayImage::from_pixel(9, 9, image::Luma([255])).save(folder.path().join("small.png")).unwrap();
    let model = folder.path().join("changed");
    fs::create_dir(&model).unwrap();
    for name in names_in(&bundled("models/student")) {
        let mut bytes = fs::read(bundled("models/student").join(&name)).unwrap();
        if name == "encoder.onnx" {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        fs::write(model.join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn wrong_input_is_refused_with_what_was_expected() {
    let folder = folder_of_wrong_files();
    let before = names_in(folder.path());
    let cases: &[(&str, &[&str])] = &[
        ("run", &["--source"]),
        ("run --check-config", &["--config"]),
        ("run --config missing.toml", &["missing.toml: cannot be read"]),
        ("run --config unknown.toml", &["unknown.toml: line 1: unknown key \"step\"; expected one of camera, image,"]),
        (
            "run --config typo.toml --check-config",
            &["typo.toml: line 3: unknown key \"fpps\", the nearest is \"fps\"; expected one of path, driver,"],
        ),
        ("run --config range.toml --print-config", &["range.toml: camera.fps: expected 1 to 240, got 0"]),
        ("run --config range.toml", &["range.toml: camera.fps: expected 1 to 240, got 0"]),
        ("run --config empty.toml", &["--source: expected dicom:FILE", "or a --config with a [camera], got neither"]),
        ("run --source camera:missing", &["--source: expected a file or folder that exists, got \"missing\""]),
        ("nonsense", &["nonsense"]),
        (
            "run --source x",
            &["--source: expected dicom:FILE, images:PATH, phantom:PRESET, camera:DEVICE or igtl:listen, got \"x\""],
        ),
        ("run --source cine:x", &["--source: expected dicom, images, phantom, camera or igtl", "got \"cine\""]),
        ("run --source images:", &["--source: expected something after the colon"]),
        ("run --source dicom:missing.dcm", &["--source: expected a file or folder that exists, got \"missing.dcm\""]),
        ("run --source dicom:truncated.dcm", &["truncated.dcm: ", "expected", "truncated"]),
        ("run --source dicom:ct.dcm", &["ct.dcm: expected an ultrasound image", "1.2.840.10008.5.1.4.1.1.2"]),
        ("run --source dicom:empty.dcm", &["empty.dcm: expected \"DICM\""]),
        ("run --source images:text.png", &["text.png: expected a PNG, JPEG or GIF picture"]),
        ("run --source images:nothing", &["nothing: expected a folder with .png"]),
        ("run --source phantom:heart", &["expected one of cyst, lesion, vessel,", "needle, got \"heart\""]),
        ("run --source phantom:cyst --preset liver", &["preset: expected one of bladder,", "got \"liver\""]),
        ("run --source phantom:cyst --preset mine.toml", &["mine.toml"]),
        ("run --source phantom:cyst --fps 0", &["--fps: expected 0.1 to 1000, got 0"]),
        ("run --source phantom:cyst --fps -1", &["--fps: expected 0.1 to 1000, got -1"]),
        ("run --source phantom:cyst --fps nan", &["--fps: expected 0.1 to 1000, got NaN"]),
        ("run --source phantom:cyst --fps fast", &["invalid value 'fast' for '--fps"]),
        ("run --source phantom:cyst --seconds 0", &["--seconds: expected 0.01 to 86400, got 0"]),
        ("run --source phantom:cyst --deadline-ms -3", &["--deadline-ms: expected 0.1 to 60000, got -3"]),
        ("run --source phantom:cyst --size big", &["--size: expected WIDTHxHEIGHT, as in 800x480, got \"big\""]),
        ("run --source phantom:cyst --size 9x9", &["--size, --dpi: ", "expected 64..=16384 px a side", "got 9x9"]),
        ("run --source phantom:cyst --size 100x400", &["--size, --dpi: ", "expected at least", "got 100x400"]),
        ("run --source phantom:cyst --dpi nan", &["expected", "40..=800 dpi", "NaN"]),
        ("run --source phantom:cyst --seed -1", &["'--seed"]),
        (
            "run --source phantom:cyst --display tv",
            &["--display: expected window, drm, fbdev, auto, remote[:ADDRESS:PORT], record:PATH or none, got \"tv\""],
        ),
        (
            "run --source phantom:cyst --display record:",
            &["--display: expected window, drm, fbdev, auto, remote[:ADDRESS:PORT], record:PATH or none"],
        ),
        ("run --source phantom:cyst --display remote", &["--display remote: expected --pair, or a [remote] button"]),
        (
            "run --source phantom:cyst --pair",
            &["--pair: expected --display remote or [remote] in --config, got neither"],
        ),
        ("run --source phantom:cyst --display remote:80", &["--display remote: expected ADDRESS:PORT", "got \"80\""]),
        ("pair --button nobody", &["nobody: no sonotap with this [remote] button runs"]),
        (
            "run --source phantom:cyst --display record:a.gif --display record:./a.gif",
            &["expected one recording at ./a"],
        ),
        ("run --source phantom:cyst --display record:missing/a.gif", &["recording missing/a.gif: cannot be written: "]),
        ("run --source phantom:cyst --display record:changed", &["recording changed: expected a new or empty folder"]),
        ("run --source phantom:cyst --model nowhere", &["model nowhere: manifest.toml: cannot be read"]),
        ("run --source phantom:cyst --taps nowhere", &["nowhere: cannot be read: "]),
        ("run --source phantom:cyst --taps unknown.toml", &["unknown.toml: line 3", "\"tapp\"", "nearest is \"tap\""]),
        ("run --source phantom:cyst --taps outside.toml", &["outside.toml: line 1, step 1: expected a tap at 0 <= x"]),
        (
            "run --source phantom:cyst --igtl localhost",
            &["--igtl: expected a port or ADDRESS:PORT in numbers", "got \"localhost\""],
        ),
        (
            "run --source igtl:probe",
            &["--source: expected igtl:listen, igtl:PORT or igtl:ADDRESS:PORT in numbers, got \"igtl:probe\""],
        ),
        ("run --source phantom:cyst --igtl-device Probe", &["--igtl-device: expected --source igtl:.. beside it"]),
        ("segment", &["<IMAGE>"]),
        ("segment grey.png", &["nothing to outline: give --point X,Y"]),
        ("segment missing.png --point 1,1", &["missing.png: expected an image file, got none"]),
        ("segment nothing --point 1,1", &["nothing: expected an image file, got a folder"]),
        ("segment text.png --point 1,1", &["text.png: expected a PNG, JPEG or GIF picture"]),
        ("segment unknown.toml --point 1,1", &["unknown.toml: expected a .png, .jpg, .jpeg or .gif, got \".toml\""]),
        ("segment truncated.dcm --point 1,1", &["truncated.dcm: ", "truncated"]),
        ("segment ct.dcm --point 1,1", &["ct.dcm: expected an ultrasound image"]),
        ("segment grey.png --point 60,1", &["--point: expected 0 <= x < 60, 0 <= y < 40, got 60,1"]),
        ("segment grey.png --point -1,1", &["--point: expected 0 <= x < 60, 0 <= y < 40, got -1,1"]),
        ("segment grey.png --point 1", &["--point: expected X,Y or X,Y,- with two numbers, got \"1\""]),
        ("segment grey.png --point inf,1", &["--point: expected X,Y or X,Y,- with two numbers, got \"inf,1\""]),
        ("segment grey.png --point 1,1,?", &["--point: expected \"+\" or \"-\" after the second comma, got \"?\""]),
        ("segment grey.png --point 1,1,-", &["only excluding points"]),
        ("segment grey.png --box 1,2,3", &["--box: expected X0,Y0,X1,Y1 with four numbers, got \"1,2,3\""]),
        ("segment grey.png --box 0,0,61,9", &["--box: expected within 0,0,60,40, got 0,0,61,9"]),
        ("segment grey.png --box 5,5,5,9", &["--box: expected at least 1 px a side"]),
        ("segment grey.png --prev black.png", &["--prev: black.png: expected something brighter than 127"]),
        ("segment grey.png --prev small.png", &["--prev: small.png: expected the image's size 60x40, got 9x9"]),
        ("segment grey.png --point 1,1 --out m.jpg", &["--out: expected a name that ends in .png, got \"m.jpg\""]),
        ("segment grey.png --point 1,1 --out m.png --overlay ./m.png", &["--overlay: expected another file"]),
        ("segment grey.png --point 1,1 --model changed", &["model changed: encoder.onnx: expected SHA-256", "got"]),
        ("segment good.dcm --box 152,58,208,126 --candidate 1", &["--candidate: expected 0", "got 1"]),
        (
            "segment good.dcm --point 180,90 --out m.png --overlay missing/o.png",
            &["missing/o.png: cannot be written: "],
        ),
        ("segment good.dcm --point 180,90 --out m.png --overlay changed.png/", &["changed.png/: cannot be written"]),
        ("model verify changed", &["changed: encoder.onnx: expected SHA-256"]),
        ("model verify nothing", &["nothing: manifest.toml: cannot be read from the model folder"]),
    ];
    for (line, expected) in cases {
        let output = run(&folder, &line.split(' ').collect::<Vec<_>>());
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{line}: was accepted");
        assert!(expected.iter().all(|e| said.contains(e)), "{line}: said {said:?}, expected {expected:?}");
        assert!(!said.contains("panicked") && said.len() < 700, "{line}: {said}");
        let causes: Vec<_> = said.trim_end().split(": ").collect();
        assert!(causes.windows(2).all(|w| w[0] != w[1]), "{line}: says it twice: {said}");
        assert_eq!(names_in(folder.path()), before, "{line}: left something behind");
    }
}

#[test]
fn a_window_without_a_display_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, &["run", "--source", "phantom:cyst", "--display", "window", "--display", "record:a.gif"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.starts_with("sonotap: --display window: "), "{said}");
    assert!(names_in(folder.path()).is_empty());
}

#[test]
fn an_outline_is_left_as_mask_picture_and_json_that_agree() {
    let folder = tempfile::tempdir().unwrap();
    let cine = bundled("assets/cine/heart-4ch.dcm").display().to_string();
    let common = ["segment", &cine, "--json", "--box", "152,58,208,126"];
    let first = json(&run(&folder, &[&common[..], &["--out", "mask.png", "--overlay", "overlay.png"]].concat()));
    assert_eq!(names_in(folder.path()), ["mask.png", "overlay.png"]);
    let mask = image::open(folder.path().join("mask.png")).unwrap().into_luma8();
    assert_eq!(mask.dimensions(), (320, 240));
    assert!(mask.pixels().all(|p| matches!(p.0[0], 0 | 255)));
    let inside = mask.pixels().filter(|p| p.0[0] == 255).count() as f64;
    assert_eq!(first["mask_px"].as_f64(), Some(inside));
    let area = first["area_px"].as_f64().unwrap();
    assert!((area - inside).abs() < 0.02 * inside, "outline {area} px, mask {inside} px");
    assert!((0.0..=1.0).contains(&first["score"].as_f64().unwrap()));
    assert!(image::open(folder.path().join("overlay.png")).unwrap().width() >= 320);
    let again = json(&run(&folder, &[&common[..], &["--prev", "mask.png"]].concat()));
    assert!(again["mask_px"].as_f64().unwrap() > 0.5 * inside);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let run_line: &[&str] = &["run", "--source", "phantom:vessel", "--seconds", "0.1", "--json"];
    for arguments in [&["doctor", "--json"][..], &["--help"], run_line] {
        let mut child = sonotap(&folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn reports_for_programs_are_json_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let found = json(&run(&folder, &["doctor", "--json"]));
    assert!(found.as_array().unwrap().iter().any(|f| f["what"] == "model" && f["is_good"] == true));
    let model = bundled("models/student").display().to_string();
    assert_eq!(json(&run(&folder, &["model", "verify", &model, "--json"]))["side"], 256);
    for preset in ["cyst", "fetal-head"] {
        let source = format!("phantom:{preset}");
        let report = json(&run(&folder, &["run", "--source", &source, "--seconds", "0.5", "--mirror", "--json"]));
        assert!(report["live"]["frames"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(report["recording_failed"], Value::Null);
    }
}

#[test]
fn a_single_picture_is_frozen_and_can_be_tapped() {
    let folder = tempfile::tempdir().unwrap();
    let picture = image::GrayImage::from_fn(320, 240, |x, y| {
        let (dx, dy) = (f64::from(x) - 160.0, f64::from(y) - 120.0);
        image::Luma([if (dx / 60.0).hypot(dy / 40.0) < 1.0 { 10 } else { 120 + ((x * 7 + y * 13) % 23) as u8 }])
    });
    picture.save(folder.path().join("cyst.png")).unwrap();
    let taps = "[[step]]\nat_ms = 50\ntap = [160, 120]\n[[step]]\nframe = 2\npress = \"undo\"\n";
    fs::write(folder.path().join("taps.toml"), taps).unwrap();
    let line = "run --source images:cyst.png --taps taps.toml --seconds 1.5 --json --display record:frames";
    let report = json(&run(&folder, &line.split(' ').collect::<Vec<_>>()));
    assert_eq!((&report["live"]["frames"], &report["steps_missed"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["objects"][0]["overlay"], "exact", "{report}");
    let truth = 60.0 * 40.0 * std::f64::consts::PI;
    let area = report["objects"][0]["area_px"].as_f64().unwrap();
    assert!((area - truth).abs() < 0.25 * truth, "{area} px² of {truth}");
    assert!(names_in(&folder.path().join("frames")).len() >= 3, "marker and outline are recorded");
}

/// Ends the program when a test fails.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _already_over = self.0.kill();
    }
}

#[cfg(unix)]
#[test]
fn a_signal_stops_and_keeps_the_recordings_whole() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let line = "run --source phantom:vessel --seconds 600 --json --display record:a.gif --display record:frames";
        let arguments: Vec<_> = line.split(' ').collect();
        let child = sonotap(&folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut started = Started(child);
        let begun = folder.path().join("frames.part").join("000005.png");
        let since = Instant::now();
        while !begun.exists() {
            assert!(since.elapsed() < PATIENCE && started.0.try_wait().unwrap().is_none(), "it does not record");
            std::thread::sleep(Duration::from_millis(10));
        }
        let pid = started.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let asked = Instant::now();
        while started.0.try_wait().unwrap().is_none() {
            assert!(asked.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("{signal}: stopped after {:?}", asked.elapsed());
        let mut said = String::new();
        std::io::Read::read_to_string(started.0.stdout.as_mut().unwrap(), &mut said).unwrap();
        let report: Value = serde_json::from_str(&said).unwrap();
        assert!(report["live"]["frames"].as_u64().unwrap() >= 5);
        assert_eq!(names_in(folder.path()), ["a.gif", "frames"]);
        let gif = fs::File::open(folder.path().join("a.gif")).unwrap();
        let gif = image::codecs::gif::GifDecoder::new(std::io::BufReader::new(gif)).unwrap();
        assert!(gif.into_frames().collect_frames().unwrap().len() >= 4);
        let table = fs::read_to_string(folder.path().join("frames/frames.csv")).unwrap();
        assert_eq!(names_in(&folder.path().join("frames")).len(), table.lines().count(), "{table}");
    }
}

#[test]
fn the_demonstration_leaves_its_three_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Not for diagnostic use"));
    let left = folder.path().join("sonotap-out");
    assert_eq!(names_in(folder.path()), ["sonotap-out"]);
    assert_eq!(names_in(&left), ["contact-sheet.png", "demo.gif", "latency.json"]);
    let report: Value = serde_json::from_slice(&fs::read(left.join("latency.json")).unwrap()).unwrap();
    let shown = &report["live"]["shown"];
    assert!(shown["exact"].as_u64().unwrap() + shown["carried"].as_u64().unwrap() > 0, "no outline: {report}");
    let sheet = image::open(left.join("contact-sheet.png")).unwrap();
    assert!(sheet.width() > 1600 && sheet.height() > 1900, "{}x{}", sheet.width(), sheet.height());
}

#[test]
fn kernels_that_are_not_there_are_refused_with_those_that_are() {
    let folder = TempDir::new().unwrap();
    let found = sonotap(&folder, &["doctor"]).env("SONOTAP_KERNELS", "mmx").output().unwrap();
    assert!(!found.status.success());
    let said = text(&found.stdout);
    assert!(said.contains("SONOTAP_KERNELS: expected one of") && said.contains("scalar, got `mmx`"), "{said}");
    let found = sonotap(&folder, &["doctor"]).env("SONOTAP_KERNELS", "scalar").output().unwrap();
    assert!(found.status.success() && text(&found.stdout).contains("int8 kernels scalar"));
}

#[test]
fn an_encoder_that_cannot_be_quantized_or_timed_is_refused_and_nothing_is_left() {
    let folder = TempDir::new().unwrap();
    let model = Path::new(ROOT).join("models/student");
    let model = model.to_str().unwrap();
    for (arguments, expected) in [
        (&["quantize", model, "--calibrate", "nowhere", "--out", "new"][..], "quantized already"),
        (&["bench", "nowhere"], "manifest.toml"),
        (&["quantize", "nowhere", "--calibrate", "nowhere", "--out", "new"], "manifest.toml"),
        (&["quantize", model, "--calibrate", "nowhere", "--out", "new", "--ranges", "wide"], "--ranges: expected best"),
        (&["quantize", model, "--out", "new"], "--calibrate"),
    ] {
        let output = run(&folder, arguments);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        assert!(names_in(folder.path()).is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_bundled_encoder_runs_in_the_integer_engine_and_is_timed_step_by_step() {
    let folder = TempDir::new().unwrap();
    let times = json(&run(&folder, &["bench", bundled("models/student").to_str().unwrap(), "--runs", "1", "--json"]));
    let steps = times["steps"].as_array().unwrap();
    let macs: u64 = steps.iter().filter_map(|s| s["macs"].as_u64()).sum();
    assert_eq!((Some(macs), macs / 1_000_000), (times["macs"].as_u64(), 380));
}

/// A profile of a camera that no machine has, with so many further lines.
fn profile(folder: &TempDir, name: &str, lines: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, format!("[camera]\ndriver = \"no-such-driver\"\nsize = [640, 480]\n{lines}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_profile_whose_first_tap_would_fail_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = profile(&folder, "good.toml", "[image]\nregion = [40, 40, 600, 460]\ncontent = \"b-mode\"");
    let output = run(&folder, &["run", "--config", &good, "--check-config"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).trim(), format!("{good}: good"));
    let narrow = profile(&folder, "narrow.toml", "[image]\nregion = [320, 40, 320.4, 460]");
    let gone = profile(&folder, "gone.toml", "[model]\nfolder = \"no/such/model\"");
    let small = profile(&folder, "small.toml", "[display]\nkind = \"none\"\nsize = [64, 64]");
    for (config, expected) in
        [(narrow, "region: expected edges of at least 8 px"), (gone, "no/such/model"), (small, "expected")]
    {
        let output = run(&folder, &["run", "--config", &config, "--check-config"]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{config}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

#[test]
fn a_pinned_model_is_that_one_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let model = bundled("models/student");
    let verified = json(&run(&folder, &["model", "verify", model.to_str().unwrap(), "--json"]));
    let pin = verified["pin"].as_str().unwrap();
    let at = format!("[model]\nfolder = {:?}\npin = ", model.to_str().unwrap());
    let check = |name: &str, pin: &str| {
        let config = profile(&folder, name, &format!("{at}\"{pin}\""));
        run(&folder, &["run", "--config", &config, "--check-config"])
    };
    let right = check("right.toml", pin);
    assert!(right.status.success(), "{}", text(&right.stderr));
    for (name, pin, expected) in [
        ("other.toml", "00".repeat(32), "expected the model pinned as 0000000000000000"),
        ("short.toml", "abc".into(), "model.pin: expected 64 hexadecimal digits"),
    ] {
        let wrong = check(name, &pin);
        assert!(!wrong.status.success() && text(&wrong.stderr).contains(expected), "{}", text(&wrong.stderr));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_before_anybody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("endless.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for kind in ["images", "dicom"] {
        let output = run(&folder, &["run", "--source", &format!("{kind}:{}", pipe.display())]);
        assert!(!output.status.success() && text(&output.stderr).contains("expected"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_simulated_screen_says_what_became_of_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "--source", "phantom:cyst", "--display", "none", "--flip-hz", "60", "--json"];
    let report = json(&run(&folder, &[&arguments[..], &["--seconds", "2", "--deadline-ms", "200"]].concat()));
    let deadline = &report["deadline"];
    assert!(deadline["late_under_live"].is_u64(), "{deadline}");
    let age = &deadline["age_at_glass_ms"];
    for key in ["p50", "p99", "max"] {
        assert!(age[key].as_f64().is_some_and(|v| v > 0.0), "{age}");
    }
    let worst = deadline["worst"].as_object().unwrap();
    let parts = ["to_display_thread", "prepare", "draw", "to_glass"].map(|k| worst[k].as_f64().unwrap());
    assert!((parts.iter().sum::<f64>() - age["max"].as_f64().unwrap()).abs() < 0.01, "{worst:?} of {age}");
    for wrong in [&["--display", "record:a.gif", "--flip-hz", "0"][..], &["--display", "none", "--flip-hz", "nan"]] {
        let output = run(&folder, &[&["run", "--source", "phantom:cyst"], wrong].concat());
        assert!(!output.status.success() && text(&output.stderr).contains("--flip-hz: expected"), "{wrong:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_recording_on_a_full_device_is_an_error_in_every_format_of_one_file() {
    for name in ["a.gif", "a.y4m"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let program = env!("CARGO_BIN_EXE_sonotap");
        // No file may grow beyond some blocks; the signal of it is ignored, so that writing fails as on a full disk.
        let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
        let display = format!("record:{}", path.display());
        let arguments =
            ["run", "--source", "phantom:cyst", "--seconds", "2", "--deadline-ms", "5000", "--display", &display];
        let output = Command::new("sh")
            .args(["-c", script, program])
            .args(arguments)
            .current_dir(folder.path())
            .env("SONOTAP_HOME", ROOT)
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("cannot be written"), "{name}: {said}");
        assert!(!path.exists(), "{name}: half a recording has its name");
    }
}
