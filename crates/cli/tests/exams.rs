//! `--save-exam` and `sonotap exams`, as a user has them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const DATA: [&str; 5] = ["ID-4711", "QUARK", "ALICE", "19700131", "ACC-0815"];

fn sonotap(folder: &Path, line: &str, input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sonotap"));
    let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("SONOTAP_HOME", home)
        .env("RUST_LOG", "info")
        .env("RUST_BACKTRACE", "1");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = piped.unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", told(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A dark disc on grey, as PNG.
fn picture(path: &Path) {
    let disc = |x: u32, y: u32| {
        if (x as f32 - 80.0).hypot(y as f32 - 64.0) < 30.0 { 12 } else { 120 + ((x * 7 + y * 13) % 40) as u8 }
    };
    image::GrayImage::from_fn(160, 128, |x, y| image::Luma([disc(x, y)])).save(path).unwrap();
}

#[test]
fn a_still_is_saved_looked_at_exported_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("disc.png"));
    let run = |line: &str| sonotap(folder.path(), line, "");
    let answer = json(&run("segment disc.png --box 48,32,112,96 --save-exam kept --json"));
    let exam = answer["saved"]["exam"].as_str().unwrap().to_owned();
    assert_eq!(answer["saved"]["item"], 1);
    let again = json(&run(&format!("segment disc.png --point 80,64 --save-exam kept --exam {exam} --json")));
    assert_eq!((&again["saved"]["exam"], &again["saved"]["item"]), (&Value::from(exam.as_str()), &Value::from(2)));
    let all = json(&run("exams list --in kept --json"));
    assert_eq!(
        (all.as_array().unwrap().len(), &all[0]["items"], &all[0]["outlines"]),
        (1, &Value::from(2), &Value::from(2))
    );
    let shown = json(&run(&format!("exams show {exam} --in kept --json")));
    assert_eq!(shown["saved"][0]["files"].as_array().unwrap().len(), 7);
    assert_eq!(shown["model_sha256"].as_str().unwrap().len(), 64);
    // What is in the file is what was told.
    let notes = std::fs::read(folder.path().join("kept").join(&exam).join("0001.prompts.json")).unwrap();
    let notes: Value = serde_json::from_slice(&notes).unwrap();
    let rings = |value: &Value| serde_json::from_value::<Vec<Vec<[f32; 2]>>>(value.clone()).unwrap();
    assert!(rings(&notes["objects"][0]["outline_px"]) == rings(&answer["outline"]), "another outline was saved");
    assert!(run("exams verify --in kept").status.success());
    let refused = run(&format!("exams export {exam} --in kept --to ."));
    assert!(
        !refused.status.success() && told(&refused).contains("expected a known image region"),
        "{}",
        told(&refused)
    );
    assert!(run(&format!("exams export {exam} --in kept --to . --pixels-are-clean")).status.success());
    for line in ["forget", "end", "forget --unsent-too"] {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let done = run(&format!("exams {word} {exam} --in kept {rest}"));
        assert_eq!(done.status.success(), line != "forget", "{}", told(&done));
    }
    assert_eq!(json(&run("exams list --in kept --json")), Value::Array(Vec::new()));
}

#[test]
fn a_run_saves_what_it_is_asked_to_and_says_what_it_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let taps = "[[step]]\nframe = 3\ntap = [320, 240]\n[[step]]\nframe = 6\npress = \"freeze\"\n[[step]]\nat_ms = 900\npress = \"save\"\n\
                [[step]]\nat_ms = 950\npress = \"save-cine\"\n";
    std::fs::write(folder.path().join("taps.toml"), taps).unwrap();
    let line = "run --source phantom:cyst --taps taps.toml --seconds 1.5 --json";
    let report = json(&sonotap(folder.path(), &format!("{line} --save-exam kept"), ""));
    let saved = report["exam"]["saved"].as_array().unwrap();
    assert_eq!(saved.iter().map(|s| s["item"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2], "{report}");
    assert_eq!(report["exam"]["failed"], Value::Array(Vec::new()));
    let exam = saved[0]["exam"].as_str().unwrap();
    let shown = json(&sonotap(folder.path(), &format!("exams show {exam} --in kept --json"), ""));
    let items = shown["saved"].as_array().unwrap();
    assert_eq!((&items[0]["kind"], &items[1]["kind"]), (&Value::from("still"), &Value::from("cine")));
    // Of one object: its outline was saved, or it is said that it was not.
    assert_eq!(
        items[0]["objects"].as_u64().unwrap() + report["exam"]["outlines_left_out"].as_u64().unwrap(),
        1,
        "{report}"
    );
    assert!(items[1]["frames"].as_u64().unwrap() >= 2);
    let without = sonotap(folder.path(), line, "");
    assert!(
        without.status.success() && told(&without).contains("not saved: expected a store of exams"),
        "{}",
        told(&without)
    );
}

#[test]
fn no_word_of_the_program_has_a_datum_of_the_patient() {
    let folder = tempfile::tempdir().unwrap();
    picture(&folder.path().join("disc.png"));
    let answer = json(&sonotap(folder.path(), "segment disc.png --box 48,32,112,96 --save-exam exams --json", ""));
    let exam = answer["saved"]["exam"].as_str().unwrap().to_owned();
    let patient =
        format!("id={}\nname={}^{}\nbirth-date={}\nsex=F\naccession={}\n", DATA[0], DATA[1], DATA[2], DATA[3], DATA[4]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut all = String::new();
    let mut run = |line: &str, input: &str, is_good: bool| {
        let output = sonotap(folder.path(), &line.replace("EXAM", &exam), input);
        assert_eq!(output.status.success(), is_good, "{line}: {}", told(&output));
        all += &told(&output);
    };
    for wrong in [
        patient.replace("id=", "nummer="),
        patient.replace("19700131", "31.ALICE.1970"),
        patient.replace("sex=F", "sex=QUARK"),
        patient.replace("id=ID-4711", "id=ID-4711\\ALICE"),
        "QUARK ALICE ID-4711\n".into(),
        DATA[1].repeat(2_000),
    ] {
        run("exams bind EXAM", &wrong, false);
    }
    run("exams bind EXAM", &patient, true);
    for (line, is_good) in [
        ("exams list", true),
        ("exams list --json", true),
        ("exams show EXAM", true),
        ("exams show EXAM --json", true),
        ("exams show QUARK", false),
        ("exams verify", true),
        ("exams repair", true),
        ("exams export EXAM --to . --pixels-are-clean", true),
        ("exams export EXAM --to . --with-patient", true),
        ("exams export EXAM --to nowhere --with-patient", false),
        ("exams confirm EXAM", true),
        ("exams end EXAM", true),
        ("exams forget EXAM", false),
    ] {
        run(line, "", is_good);
    }
    run(&format!("exams send EXAM --to ARCHIVE@127.0.0.1:{port} --tries 1"), "", false);
    // A damaged record is told by its place.
    let record = folder.path().join("exams").join(&exam).join("exam.json");
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains(DATA[0]));
    std::fs::write(&record, text.replace("\"sex\": \"F\"", "\"sex\": 7")).unwrap();
    for line in ["exams list", "exams show EXAM", "exams verify", "exams repair"] {
        run(line, "", line == "exams repair");
    }
    for datum in DATA {
        assert!(!all.contains(datum), "{datum} was said: {all}");
    }
    assert!(told(&sonotap(folder.path(), "exams show 2026-11-29 --patient", "")).contains("expected a name"));
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            assert!(DATA.iter().all(|datum| !name.contains(datum)), "{name}");
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
