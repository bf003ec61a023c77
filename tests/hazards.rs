//! Every hazard of docs/hazards.toml has tests that exist, and every scenario names hazards that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hazards {
    hazard: Vec<Hazard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hazard {
    id: String,
    what: String,
    control: String,
    #[serde(default)]
    tests: Vec<String>,
    planned: Option<String>,
}

#[derive(Deserialize)]
struct Scenario {
    hazards: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn hazards() -> Vec<Hazard> {
    let text = std::fs::read_to_string(root().join("docs/hazards.toml")).unwrap();
    toml::from_str::<Hazards>(&text).unwrap().hazard
}

fn files(folder: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.extension().is_some_and(|e| e == ending) {
            out.push(path);
        }
    }
}

/// Names of all functions under `#[test]` (or inside `proptest!`), and the scenarios.
fn tests() -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    files(&root().join("tests"), "rs", &mut sources);
    files(&root().join("crates"), "rs", &mut sources);
    let mut names = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.starts_with("fn ")) {
            let is_test = lines[i.saturating_sub(4)..i].iter().rev().take_while(|l| !l.is_empty() && **l != "}");
            if is_test.into_iter().any(|l| *l == "#[test]") {
                names.insert(line[3..].split('(').next().unwrap().to_owned());
            }
        }
    }
    let mut scenarios = Vec::new();
    files(&root().join("tests/scenarios"), "toml", &mut scenarios);
    names.extend(scenarios.iter().map(|s| s.file_stem().unwrap().to_string_lossy().into_owned()));
    names
}

#[test]
fn every_hazard_has_tests_that_exist() {
    let tests = tests();
    let hazards = hazards();
    assert_eq!(hazards.len(), 24);
    for h in &hazards {
        assert!(!h.what.is_empty() && !h.control.is_empty(), "{}: nothing is said of it", h.id);
        assert_eq!(h.tests.is_empty(), h.planned.is_some(), "{}: has neither tests nor a plan, or both", h.id);
        for test in &h.tests {
            assert!(tests.contains(test), "{}: there is no test {test}", h.id);
        }
    }
}

#[test]
fn every_scenario_names_hazards_that_are_listed() {
    let hazards = hazards();
    let mut scenarios = Vec::new();
    files(&root().join("tests/scenarios"), "toml", &mut scenarios);
    for path in scenarios {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario: Scenario = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(!scenario.hazards.is_empty(), "{name}: names no hazard");
        for id in scenario.hazards {
            assert!(hazards.iter().any(|h| h.id == id), "{name}: there is no hazard {id}");
        }
    }
}
