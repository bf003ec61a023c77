//! The house rules that a compiler does not hold: who may know whom (ARCHITECTURE.md's table), who may name which crate, where unsafe code
//! is (docs/rooms.toml), the dependencies (docs/soup.md), the environment (PLATFORM.md), the size of files, and links of the pages.
//!
//! Every check is a function of text that returns what is wrong, so that `wrong_samples_are_found` can hold that it finds it.

#[path = "rooms/rules.rs"]
mod rules;
#[path = "rooms/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use rules::{Rooms, Rules, Tree};
use source::{Source, files, folders_of_packages, root, sources};

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn rules() -> Rules {
    toml::from_str(&page("docs/rooms.toml")).unwrap()
}

fn tree() -> Tree {
    let packages =
        folders_of_packages().iter().map(|f| (f.clone(), package_name(&page(&join(f, "Cargo.toml"))))).collect();
    Tree { packages, sources: sources(&["src"]) }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.into() } else { format!("{folder}/{name}") }
}

/// As code names it: `sonotap_lab`.
fn package_name(manifest: &str) -> String {
    let manifest: toml::Table = toml::from_str(manifest).unwrap();
    manifest["package"]["name"].as_str().unwrap().replace('-', "_")
}

#[track_caller]
fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rooms_know_only_whom_the_table_says() {
    let rooms = Rooms::of_table(&page("ARCHITECTURE.md"));
    assert!(rooms.0.len() > 15, "ARCHITECTURE.md: no table of rooms");
    let tree = tree();
    assert!(tree.sources.len() > 200);
    assert_none(rooms.broken_by(&tree));
}

#[test]
fn no_rooms_know_each_other_in_a_circle_but_those_on_record() {
    assert_none(Rooms::of_table(&page("ARCHITECTURE.md")).circles_unlike(&rules().circles));
}

#[test]
fn pure_rooms_have_no_threads_files_or_clock() {
    assert_none(Rooms::of_table(&page("ARCHITECTURE.md")).impure(&rules().pure, &tree()));
}

#[test]
fn only_the_places_on_record_name_a_crate() {
    assert_none(rules().named_elsewhere(&tree().sources));
}

#[test]
fn unsafe_code_is_only_in_the_files_on_record_and_every_block_says_why() {
    assert_none(rules().unsafe_elsewhere(&tree().sources));
    assert_none(
        sources(&["src", "tests", "benches", "examples"]).iter().flat_map(rules::unsafe_without_reason).collect(),
    );
}

#[test]
fn the_list_of_dependencies_is_that_of_the_manifests() {
    let manifests: Vec<String> = folders_of_packages().iter().map(|f| page(&join(f, "Cargo.toml"))).collect();
    assert_none(rules::soup_unlike(&page("docs/soup.md"), &manifests));
}

#[test]
fn no_file_is_longer_than_800_lines() {
    assert_none(rules::longer_than(800, &sources(&["src", "tests", "benches", "examples"])));
}

#[test]
fn invariants_name_tests_that_exist() {
    let sources = sources(&["src", "tests"]);
    let is_there = |file: &str| folders_of_packages().iter().any(|f| root().join(f).join(file).exists());
    let missing = rules::missing_tests(&page("ARCHITECTURE.md"), &sources, is_there);
    assert_none(missing);
}

#[test]
fn the_platform_page_has_every_environment_variable() {
    let sources = sources(&["src", "tests", "benches", "examples"]);
    assert_none(rules::environment_unlike(&page("PLATFORM.md"), &sources));
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    let mut pages = vec![root().join("benches/RESULTS.md")];
    pages.extend(files(&root().join("docs"), "md"));
    pages.extend(files(&root().join("firmware-config"), "md"));
    pages.extend(
        std::fs::read_dir(root())
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "md")),
    );
    let mut wrong = Vec::new();
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        let dead = rules::dead_links(&text, |link| path.parent().unwrap().join(link).exists());
        wrong.extend(dead.into_iter().map(|l| format!("{}: {l}", path.display())));
    }
    assert_none(wrong);
}

#[test]
fn every_decision_is_in_the_index() {
    let index = page("docs/decisions/README.md");
    let decisions = files(&root().join("docs/decisions"), "md");
    let names = decisions.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).filter(|n| *n != "README.md");
    assert_none(rules::decisions_unlike(&index, &names.collect::<Vec<_>>()));
}

const TABLE: &str = "## Rooms

| room | what | may know |
|---|---|---|
| values: `units` `frame` | values | - |
| `engine` | state machine | values |
| `model` | prediction | values, ops |
| `eval` | evaluation | model |
| `cli` | arguments | everything |
| `ops` | operations | - |
";

fn sample(files: &[(&str, &str)]) -> Tree {
    let packages =
        [("", "sonotap"), ("crates/lab", "sonotap_lab"), ("crates/cli", "sonotap_cli"), ("crates/ops", "ops")];
    let units = [
        ("src/lib.rs", "pub use rooms::units::{Second as Sec, Metre}; mod units; mod frame;"),
        ("src/units.rs", "pub struct Metre;"),
    ];
    let sources = units.iter().chain(files).map(|(path, text)| Source::new(path, text)).collect();
    Tree { packages: packages.map(|(f, n)| (f.into(), n.into())).into(), sources }
}

/// Everything that the table allows, once.
const ALLOWED: [(&str, &str); 6] = [
    ("src/engine/mod.rs", "use crate::units::Metre;"),
    ("src/model.rs", "use crate::{frame, units::{self, Metre}}; use ops::Op;"),
    ("src/frame.rs", "use crate::units::Metre;"),
    ("crates/ops/src/lib.rs", "mod plan;"),
    ("crates/lab/src/eval/run.rs", "use sonotap::internals::model::Predictor;"),
    ("crates/cli/src/main.rs", "use sonotap_lab::eval; use sonotap::{Metre, Sec};"),
];

#[test]
fn wrong_arrows_between_rooms_are_found() {
    let rooms = Rooms::of_table(TABLE);
    assert_eq!(rooms.broken_by(&sample(&ALLOWED)), [""; 0]);
    let cases = [
        ("src/units.rs", "use crate::engine::Engine;", "values knows engine"),
        ("src/units.rs", "fn f() { crate::engine::go() }", "values knows engine"),
        ("src/frame.rs", "use crate::{units, engine::{Engine as E}};", "values knows engine"),
        ("src/engine/job.rs", "use super::super::model::Predictor;", "engine knows model"),
        ("src/engine/mod.rs", "use super::model;", "engine knows model"),
        ("crates/lab/src/eval/run.rs", "use sonotap::Metre;", "eval knows values"),
        ("crates/lab/src/eval/run.rs", "use sonotap::Sec as S;", "eval knows values"),
        ("crates/lab/src/eval/run.rs", "use sonotap::Second;", "sonotap::Second is neither"),
        ("crates/lab/src/eval/run.rs", "fn f() -> sonotap::internals::engine::Engine {}", "eval knows engine"),
        ("crates/ops/src/lib.rs", "use sonotap::Metre;", "ops knows values"),
        ("src/frame.rs", "use ops::Op;", "values knows ops"),
        ("src/frame.rs", "use crate::Absent;", "crate::Absent"),
        ("src/heat.rs", "", "src/heat.rs: belongs to no room"),
    ];
    for (path, text, expected) in cases {
        let mut files = ALLOWED.to_vec();
        files.push((path, text));
        let wrong = rooms.broken_by(&sample(&files));
        assert_eq!(wrong.len(), 1, "{path}: {text}: {wrong:?}");
        assert!(wrong[0].contains(expected), "{path}: {text}: {wrong:?}");
    }
    let idle = rooms.broken_by(&sample(&ALLOWED[1..]));
    assert_eq!(idle.len(), 2, "{idle:?}");
    assert!(idle.iter().any(|l| l.contains("engine may know values and does not")), "{idle:?}");
    assert!(idle.iter().any(|l| l.contains("engine has no source")), "{idle:?}");
    let told = "use crate::units::Metre; // crate::model\n#[cfg(test)]\nmod tests { use crate::model::X; }\nconst S: &str = \"crate::model::X\";";
    let mut files = ALLOWED.to_vec();
    files.push(("src/engine/cine.rs", told));
    assert_eq!(rooms.broken_by(&sample(&files)), [""; 0], "comments, literals and tests do not count");
}

#[test]
fn circles_and_impure_rooms_are_found() {
    let round = TABLE.replace("| values | - |", "| values | model |");
    let named = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(Rooms::of_table(TABLE).circles_unlike(&[]), [""; 0]);
    assert_eq!(Rooms::of_table(&round).circles_unlike(&[named(&["model", "values"])]), [""; 0]);
    assert_eq!(Rooms::of_table(&round).circles_unlike(&[]).len(), 1);
    assert_eq!(Rooms::of_table(TABLE).circles_unlike(&[named(&["model", "values"])]).len(), 1);

    let pure = named(&["engine"]);
    assert_eq!(Rooms::of_table(TABLE).impure(&pure, &sample(&ALLOWED)), [""; 0]);
    for text in [
        "use std::fs;",
        "fn f() { std::thread::spawn(g) }",
        "use std::time::{Duration, Instant};",
        "use std::env::var;",
    ] {
        let tree = sample(&[("src/engine/mod.rs", text), ("src/frame.rs", text)]);
        assert_eq!(Rooms::of_table(TABLE).impure(&pure, &tree).len(), 1, "{text}");
    }
    assert_eq!(Rooms::of_table(TABLE).impure(&named(&["nobody"]), &sample(&[])).len(), 1);
}

#[test]
fn crates_and_unsafe_code_at_other_places_are_found() {
    let rules: Rules = toml::from_str(
        "pure = []\ncircles = []\nunsafe_files = ['a.rs']\n[[only]]\ncrates = ['gif']\nplaces = ['display/gif.rs', 'source/']",
    )
    .unwrap();
    let at = |path: &str, text: &str| Source::new(path, text);
    let good = [at("src/display/gif.rs", "use gif::Encoder;"), at("src/source/x.rs", "fn f() -> gif::Frame {}")];
    assert_eq!(rules.named_elsewhere(&good), [""; 0]);
    for text in
        ["use gif::Encoder;", "fn f() -> gif::Frame {}", "pub use gif;", "use ::gif::Frame;", "fn f() { gif::<u8>() }"]
    {
        let mut sources = Vec::from([at("crates/cli/src/run.rs", text)]);
        sources.extend(good.iter().map(|s| at(&s.path, &s.text)));
        let wrong = rules.named_elsewhere(&sources);
        assert!(wrong.len() == 1 && wrong[0].contains("cli/run.rs"), "{text}: {wrong:?}");
    }
    for text in
        ["use crate::display::gif; fn f() { gif::go() }", "mod gif; use self::gif::X;", "use a::{gif::X};", "// gif::X"]
    {
        assert_eq!(
            rules.named_elsewhere(&[
                at("src/a.rs", text),
                at(good[0].path.as_str(), "use gif::E;"),
                at("src/source/x.rs", "gif::F")
            ]),
            [""; 0],
            "{text}"
        );
    }
    assert_eq!(rules.named_elsewhere(&good[..1]).len(), 1, "source/ names it no more");

    assert_eq!(rules.unsafe_elsewhere(&[at("src/a.rs", "unsafe fn f() {}")]), [""; 0]);
    assert_eq!(
        rules.unsafe_elsewhere(&[at("src/a.rs", "unsafe {}"), at("src/b.rs", "unsafe impl Send for X {}")]).len(),
        1
    );
    assert_eq!(rules.unsafe_elsewhere(&[at("src/a.rs", "// unsafe\n#![deny(unsafe_code)]")]).len(), 1, "a.rs has none");
    let reasons = [
        ("// SAFETY: x\nunsafe { f() }", 0),
        ("// SAFETY: x\n// more\nlet y =\n    unsafe { f() };", 0),
        ("match x {\n    // SAFETY: x\n    A => unsafe { f() },\n}", 0),
        ("// SAFETY: x\n#[cfg(unix)]\nunsafe impl Send for X {}", 0),
        ("unsafe { f() }", 1),
        ("// SAFETY: x\nf();\nlet y = unsafe { f() };", 1),
        ("// because\nunsafe impl Send for X {}", 1),
        ("unsafe fn f() {}", 0),
    ];
    for (text, wrong) in reasons {
        assert_eq!(rules::unsafe_without_reason(&at("src/a.rs", text)).len(), wrong, "{text}");
    }
}

#[test]
fn wrong_pages_and_long_files_are_found() {
    let soup = "| crate | purpose |\n|---|---|\n| toml, serde (feature `x`) | files |\n| gif | pictures |\n";
    let manifest = |names: &str| {
        format!(
            "[package]\nname = 'a'\n[dependencies]\nserde = '1'\nb.workspace = true\n{names}\n[workspace.dependencies]\nb = {{ path = '../b' }}"
        )
    };
    let good = manifest("[target.'cfg(unix)'.dependencies]\ngif = '1'\n[dev-dependencies]\ntoml = '1'");
    assert_eq!(rules::soup_unlike(soup, std::slice::from_ref(&good)), [""; 0]);
    assert_eq!(rules::soup_unlike(soup, &[good.clone(), manifest("[build-dependencies]\ncc = '1'")]).len(), 1);
    assert_eq!(rules::soup_unlike(soup, &[manifest("toml = '1'")]), ["docs/soup.md: gif: no manifest has it"]);

    let sources = [Source::new("src/a.rs", &"x\n".repeat(801)), Source::new("src/b.rs", &"x\n".repeat(800))];
    assert_eq!(rules::longer_than(800, &sources), ["src/a.rs: 801 lines, at most 800"]);

    let platform = "## Environment variables\n\n| variable | what |\n|---|---|\n| `A_B`, `HOME` | x |\n\n## Next\n\n| `NO` | x |\n";
    let reads = |text: &str| [Source::new("src/a.rs", text)];
    let both = "use std::env; const N: &str = \"A_B\"; fn f() { env::var(N); std::env::var_os(\"HOME\") }";
    assert_eq!(rules::environment_unlike(platform, &reads(both)), [""; 0]);
    assert_eq!(rules::environment_unlike(platform, &reads(&both.replace("HOME", "PATH"))).len(), 2);
    assert_eq!(rules::environment_unlike(platform, &reads("const N: &str = \"A_B\";")).len(), 2);
    let test = Source::new("tests/a.rs", "fn f() { env::var(\"A_B\"); env::var_os(\"HOME\"); g(\"GIF\") }");
    assert_eq!(rules::environment_unlike(platform, &[test]), [""; 0], "of a test only what is asked for by name");

    let invariants = "## Invariants\n1. x. `holds_a`, `tests/a.sh`\n2. y. `holds_b`, `tests/b.sh`, `told_by`, `SCALE`\n## Next\n`c_d`";
    let tests = [Source::new("tests/a.rs", "#[test]\nfn holds_a() {}\nfn holds_b() {}")];
    assert_eq!(
        rules::missing_tests(invariants, &tests, |f| ["tests/a.sh", "tests/scenarios/told_by.toml"].contains(&f)),
        ["ARCHITECTURE.md: holds_b", "ARCHITECTURE.md: tests/b.sh"]
    );

    let exists = |link: &str| link == "a.md";
    assert_eq!(rules::dead_links("[a](a.md) [b](https://b) [c](#c) [d](a.md#d)\n## C", exists), [""; 0]);
    assert_eq!(rules::dead_links("[a](b.md) ![p](p.png) [c](#d)\n## C", exists), ["b.md", "p.png", "#d"]);

    assert_eq!(rules::decisions_unlike("[1](0001-a.md)", &["0001-a.md"]), [""; 0]);
    assert_eq!(rules::decisions_unlike("[1](0001-a.md)", &["0001-a.md", "0002-b.md"]).len(), 1);
    assert_eq!(
        rules::decisions_unlike("[1](0001-a.md) [2](0001-b.md)", &["0001-a.md", "0001-b.md"]).len(),
        1,
        "a number twice"
    );
    assert_eq!(rules::decisions_unlike("[1](a.md)", &["a.md"]).len(), 1, "no number");
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* /* b */ */ c", "a               c"),
        ("f(\"x\\\"y\") z", "f(      ) z"),
        ("r#\"a\"b\"# c", "         c"),
        ("'x' 'a '\\'' b<'a>", "    'a      b<'a>"),
        ("'\u{e9}' x", "     x"),
        ("br\"\\\" y", "      y"),
    ];
    for (text, code) in cases {
        assert_eq!(source::blanked(text).0, code, "{text}");
    }
    assert_eq!(source::blanked("f(\"A_B\", r\"C\") // \"D\"").1, ["A_B", "C"]);
    let places: Vec<String> = [
        "src/main.rs",
        "crates/lab/src/eval/a.rs",
        "src/eval/a.rs",
        "crates/cli/src/run.rs",
        "src/cli/run.rs",
        "crates/x/src/lib.rs",
    ]
    .map(|p| Source::new(p, "").place)
    .into();
    assert_eq!(places, ["cli/main.rs", "eval/a.rs", "eval/a.rs", "cli/run.rs", "cli/run.rs", "x/lib.rs"]);
    let used: BTreeSet<Vec<String>> =
        source::paths("use a::{b::{c, d as e}, self, f::*}; g::h(); i::<T>::j;").into_iter().collect();
    let expected: [&[&str]; 6] = [&["a"], &["a", "b", "c"], &["a", "b", "d"], &["a", "f"], &["g", "h"], &["i"]];
    assert_eq!(used, expected.map(|p| p.iter().map(|s| (*s).to_owned()).collect()).into());
    assert!(Path::new(&root()).join("src").is_dir());
}
