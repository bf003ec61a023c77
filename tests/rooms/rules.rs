//! The rules themselves: functions of text that return what is wrong, a line each.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::source::{Source, crates_named, path_of, paths};

/// The sources of all packages, and the packages' folders with their names in code.
pub(crate) struct Tree {
    pub packages: Vec<(String, String)>,
    pub sources: Vec<Source>,
}

pub(crate) struct Room {
    pub name: String,
    pub modules: Vec<String>,
    pub may_know: Vec<String>,
}

pub(crate) struct Rooms(pub Vec<Room>);

/// docs/rooms.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub pure: Vec<String>,
    pub circles: Vec<Vec<String>>,
    pub unsafe_files: Vec<String>,
    pub only: Vec<Only>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Only {
    pub crates: Vec<String>,
    pub places: Vec<String>,
}

/// The cells of a page's table under a heading.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let part = page.split_once(&format!("{heading}\n")).map_or("", |(_, rest)| rest.split("\n## ").next().unwrap());
    let lines = part.lines().filter(|l| l.starts_with('|')).skip(2);
    lines.map(|l| l.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Rooms {
    /// From the table under `## Rooms`: name and modules, what it is, whom it may know.
    pub(crate) fn of_table(page: &str) -> Rooms {
        let room = |cells: Vec<&str>| {
            let modules: Vec<String> = quoted(cells[0]).iter().map(|m| m.trim_end_matches('/').to_owned()).collect();
            let name = cells[0].split_once(':').map_or_else(|| modules[0].clone(), |(name, _)| name.to_owned());
            let known = cells[2].split(',').map(str::trim).filter(|n| *n != "-");
            Room { name, modules, may_know: known.map(str::to_owned).collect() }
        };
        Rooms(rows(page, "## Rooms").into_iter().map(room).collect())
    }

    fn of_module(&self, module: &str) -> Option<&Room> {
        self.0.iter().find(|r| r.modules.iter().any(|m| m == module))
    }

    /// The room of a file. None for a crate's root, which names everything of its package.
    fn of_source(&self, source: &Source) -> Option<&Room> {
        self.of_module(source.place.split('/').next().unwrap().trim_end_matches(".rs"))
    }

    pub(crate) fn broken_by(&self, tree: &Tree) -> Vec<String> {
        let (mut wrong, mut used) = (BTreeSet::new(), BTreeSet::new());
        let mut inhabited = BTreeSet::new();
        for source in tree.sources.iter().filter(|s| !["lib.rs", "rooms.rs"].contains(&s.place.as_str())) {
            let Some(room) = self.of_source(source) else {
                wrong.insert(format!("{}: belongs to no room of ARCHITECTURE.md's table", source.path));
                continue;
            };
            inhabited.insert(room.name.as_str());
            for path in paths(&source.product()) {
                match self.known(tree, source, &path) {
                    Ok(Some(known)) if known.name != room.name => {
                        used.insert((room.name.as_str(), known.name.as_str()));
                        if ![known.name.as_str(), "everything"].iter().any(|n| room.may_know.iter().any(|m| m == n)) {
                            wrong.insert(format!(
                                "{}: {} knows {} ({})",
                                source.path,
                                room.name,
                                known.name,
                                path.join("::")
                            ));
                        }
                    }
                    Ok(_) => {}
                    Err(()) => {
                        wrong.insert(format!(
                            "{}: {} is neither a module nor an item of the crate's list",
                            source.path,
                            path.join("::")
                        ));
                    }
                }
            }
        }
        for room in &self.0 {
            let idle = room
                .may_know
                .iter()
                .filter(|k| *k != "everything" && !used.contains(&(room.name.as_str(), k.as_str())));
            wrong.extend(idle.map(|k| format!("ARCHITECTURE.md: {} may know {k} and does not", room.name)));
            if !inhabited.contains(room.name.as_str()) {
                wrong.insert(format!("ARCHITECTURE.md: {} has no source", room.name));
            }
        }
        wrong.into_iter().collect()
    }

    /// The room that a path leads to; none where it stays within its module or leads to a crate of others.
    fn known(&self, tree: &Tree, source: &Source, path: &[String]) -> Result<Option<&Room>, ()> {
        let ups = path.iter().take_while(|p| *p == "super").count();
        let (package, rest) = if ups > 0 {
            let mut at = source.module();
            at.truncate(at.len().saturating_sub(ups));
            at.extend_from_slice(&path[ups..]);
            // Of what is above a crate's own root nothing is known: `super` within a module of the same file.
            return Ok(at
                .first()
                .filter(|m| tree.has(source.package(), m))
                .and_then(|m| self.in_package(source.package(), m)));
        } else if path.first().is_some_and(|p| p == "crate") {
            (source.package(), &path[1..])
        } else if let Some((folder, _)) = tree.packages.iter().find(|(_, name)| path.first() == Some(name)) {
            (folder.as_str(), &path[1..])
        } else {
            return Ok(None);
        };
        if let Some(room) = package.strip_prefix("crates/").and_then(|p| self.of_module(p)) {
            return Ok(Some(room));
        }
        let rest = rest.strip_prefix(["internals".to_owned()].as_slice()).unwrap_or(rest);
        let Some(name) = rest.first() else { return Ok(None) };
        if tree.has(package, name) {
            return Ok(self.in_package(package, name));
        }
        tree.module_of_item(package, name).map(|m| self.in_package(package, &m)).ok_or(())
    }

    fn in_package(&self, package: &str, module: &str) -> Option<&Room> {
        package.strip_prefix("crates/").and_then(|p| self.of_module(p)).or_else(|| self.of_module(module))
    }

    /// Circles of the table that are not on record, and those on record that are none.
    pub(crate) fn circles_unlike(&self, expected: &[Vec<String>]) -> Vec<String> {
        let mut reach: BTreeMap<&str, BTreeSet<&str>> =
            self.0.iter().map(|r| (r.name.as_str(), r.may_know.iter().map(String::as_str).collect())).collect();
        for _ in &self.0 {
            for room in &self.0 {
                let further: BTreeSet<&str> =
                    reach[room.name.as_str()].iter().filter_map(|k| reach.get(k)).flatten().copied().collect();
                reach.get_mut(room.name.as_str()).unwrap().extend(further);
            }
        }
        let meets = |a: &str, b: &str| reach[a].contains(b) && reach.get(b).is_some_and(|r| r.contains(a));
        let of = |a: &Room| -> BTreeSet<&str> {
            self.0.iter().map(|b| b.name.as_str()).filter(|b| meets(&a.name, b)).collect()
        };
        let found: BTreeSet<BTreeSet<&str>> = self.0.iter().map(of).filter(|c| !c.is_empty()).collect();
        let expected: BTreeSet<BTreeSet<&str>> =
            expected.iter().map(|c| c.iter().map(String::as_str).collect()).collect();
        let new = found.difference(&expected).map(|c| format!("these rooms know each other in a circle: {c:?}"));
        new.chain(expected.difference(&found).map(|c| format!("docs/rooms.toml: this circle is no more: {c:?}")))
            .collect()
    }

    /// Places in pure rooms that name what depends on more than their arguments.
    pub(crate) fn impure(&self, pure: &[String], tree: &Tree) -> Vec<String> {
        const OUTSIDE: [&str; 8] = [
            "std::fs",
            "std::thread",
            "std::net",
            "std::process",
            "std::env",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::os",
        ];
        let mut wrong: Vec<String> = pure
            .iter()
            .filter(|p| !self.0.iter().any(|r| r.name == **p))
            .map(|p| format!("docs/rooms.toml: there is no room {p}"))
            .collect();
        for source in &tree.sources {
            if !self.of_source(source).is_some_and(|r| pure.contains(&r.name)) {
                continue;
            }
            let named = paths(&source.product()).into_iter().map(|p| p.join("::"));
            let outside: BTreeSet<String> =
                named.filter(|p| OUTSIDE.iter().any(|o| p == o || p.starts_with(&format!("{o}::")))).collect();
            wrong.extend(outside.into_iter().map(|p| format!("{}: a pure room names {p}", source.path)));
        }
        wrong
    }
}

impl Tree {
    fn has(&self, package: &str, module: &str) -> bool {
        self.sources.iter().any(|s| s.package() == package && s.module().first().is_some_and(|m| m == module))
    }

    /// The module that a crate's root takes an item from; `rooms` holds the modules where they are private.
    fn module_of_item(&self, package: &str, item: &str) -> Option<String> {
        let root = self.sources.iter().find(|s| s.package() == package && s.path.ends_with("src/lib.rs"))?;
        let path = path_of(&root.product(), item)?;
        path.into_iter().find(|n| !["crate", "self", "rooms"].contains(&n.as_str())).filter(|m| self.has(package, m))
    }
}

fn is_at(place: &str, places: &[String]) -> bool {
    places.iter().any(|p| place == p || p.ends_with('/') && place.starts_with(p.as_str()))
}

impl Rules {
    pub(crate) fn named_elsewhere(&self, sources: &[Source]) -> Vec<String> {
        let mut wrong = Vec::new();
        let named: Vec<(&str, Vec<String>)> =
            sources.iter().map(|s| (s.place.as_str(), crates_named(&s.code))).collect();
        for only in &self.only {
            let namers: Vec<(&str, &String)> = named
                .iter()
                .flat_map(|(at, crates)| only.crates.iter().filter(|c| crates.contains(c)).map(move |c| (*at, c)))
                .collect();
            wrong.extend(namers.iter().filter(|(at, _)| !is_at(at, &only.places)).map(|(at, c)| {
                format!("{at}: names {c}, which only {} may (docs/rooms.toml)", only.places.join(", "))
            }));
            let idle = only.places.iter().filter(|p| !namers.iter().any(|(at, _)| is_at(at, std::slice::from_ref(p))));
            wrong.extend(idle.map(|p| format!("docs/rooms.toml: {p} names none of {}", only.crates.join(", "))));
            let unnamed = only.crates.iter().filter(|c| !namers.iter().any(|(_, n)| n == c));
            wrong.extend(unnamed.map(|c| format!("docs/rooms.toml: nobody names {c}")));
        }
        wrong
    }

    pub(crate) fn unsafe_elsewhere(&self, sources: &[Source]) -> Vec<String> {
        let with: BTreeSet<&str> =
            sources.iter().filter(|s| unsafe_lines(s).next().is_some()).map(|s| s.place.as_str()).collect();
        let listed: BTreeSet<&str> = self.unsafe_files.iter().map(String::as_str).collect();
        let new =
            with.difference(&listed).map(|f| format!("{f}: has unsafe code and is not on docs/rooms.toml's list"));
        new.chain(listed.difference(&with).map(|f| format!("docs/rooms.toml: {f} has no unsafe code"))).collect()
    }
}

fn unsafe_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let has_word = |l: &str| l.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
    source.code.lines().enumerate().filter(move |(_, l)| has_word(l))
}

/// Blocks and implementations without a SAFETY line right above the statement that they are in.
pub(crate) fn unsafe_without_reason(source: &Source) -> Vec<String> {
    let text: Vec<&str> = source.text.lines().map(str::trim).collect();
    let code: Vec<&str> = source.code.lines().map(str::trim).collect();
    let needs = |l: &str| {
        ["unsafe fn", "unsafe extern", "#[unsafe(no_mangle)]"]
            .iter()
            .fold(l.to_owned(), |l, w| l.replace(w, ""))
            .contains("unsafe")
    };
    let mut wrong = Vec::new();
    for (at, _) in unsafe_lines(source).filter(|(_, l)| needs(l)) {
        let is_begun_above =
            |line: usize| line > 0 && !code[line - 1].is_empty() && !code[line - 1].ends_with([';', '{', '}', ',']);
        let mut first = at;
        while is_begun_above(first) && at - first < 4 {
            first -= 1;
        }
        let above = text[..first].iter().rev().take_while(|l| l.starts_with("//"));
        if !above.chain([&text[at]]).any(|l| l.contains("SAFETY:")) {
            wrong.push(format!("{}:{}: unsafe without a SAFETY line right above", source.path, at + 1));
        }
    }
    wrong
}

/// The page's first column beside the dependencies of all manifests, those by path left out.
pub(crate) fn soup_unlike(page: &str, manifests: &[String]) -> Vec<String> {
    let mut listed = BTreeSet::new();
    for cell in
        page.lines().filter(|l| l.starts_with('|')).skip(2).map(|l| l.trim_matches('|').split('|').next().unwrap())
    {
        let names = cell.split('(').next().unwrap();
        listed.extend(names.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned));
    }
    let tables: Vec<toml::Table> = manifests.iter().map(|m| toml::from_str(m).unwrap()).collect();
    let (mut needed, mut own) = (BTreeSet::new(), BTreeSet::new());
    tables.iter().for_each(|t| dependencies(t, &mut needed, &mut own));
    let needed: BTreeSet<String> = needed.difference(&own).cloned().collect();
    let missing = needed.difference(&listed).map(|n| format!("docs/soup.md: {n} is missing"));
    missing.chain(listed.difference(&needed).map(|n| format!("docs/soup.md: {n}: no manifest has it"))).collect()
}

/// All dependencies, and those by path, which other manifests may name by `workspace = true`.
fn dependencies(table: &toml::Table, all: &mut BTreeSet<String>, own: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            all.extend(inner.keys().cloned());
            own.extend(inner.iter().filter(|(_, v)| v.get("path").is_some()).map(|(name, _)| name.clone()));
        } else if ["target", "workspace"].contains(&key.as_str()) || key.starts_with("cfg(") {
            dependencies(inner, all, own);
        }
    }
}

pub(crate) fn longer_than(most: usize, sources: &[Source]) -> Vec<String> {
    let lines = sources.iter().map(|s| (&s.path, s.text.lines().count())).filter(|(_, n)| *n > most);
    lines.map(|(path, n)| format!("{path}: {n} lines, at most {most}")).collect()
}

/// Variables of the page beside those that the code reads. In a product's file that calls `env::var` or `env::var_os` every literal in
/// capitals counts, since a name may be a constant; elsewhere only the literal within the call.
pub(crate) fn environment_unlike(page: &str, sources: &[Source]) -> Vec<String> {
    const CALLS: [&str; 2] = ["env::var(", "env::var_os("];
    let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_variable = |l: &&String| l.len() > 2 && l.as_bytes()[0].is_ascii_uppercase() && l.bytes().all(is_capital);
    let is_asked = |s: &Source, l: &str| CALLS.iter().any(|call| s.text.contains(&format!("{call}\"{l}\"")));
    let mut read = BTreeMap::new();
    for source in sources.iter().filter(|s| CALLS.iter().any(|call| s.code.contains(call))) {
        let is_product = source.path.split('/').any(|part| part == "src");
        let named = source.literals.iter().filter(is_variable).filter(|l| is_product || is_asked(source, l));
        read.extend(named.map(|l| (l.clone(), &source.path)));
    }
    let told: BTreeSet<String> =
        rows(page, "## Environment variables").iter().flat_map(|cells| quoted(cells[0])).collect();
    let missing = read.iter().filter(|(name, _)| !told.contains(*name));
    let missing = missing.map(|(name, at)| format!("PLATFORM.md: {name} is missing, which {at} reads"));
    missing
        .chain(told.iter().filter(|t| !read.contains_key(*t)).map(|t| format!("PLATFORM.md: nothing reads {t}")))
        .collect()
}

/// Tests and files that the invariants name and that are not there.
pub(crate) fn missing_tests(page: &str, sources: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let part = page.split_once("## Invariants").map_or("", |(_, rest)| rest.split("\n## ").next().unwrap());
    let is_test = |name: &str| {
        let function = format!("fn {name}(");
        sources.iter().any(|s| s.code.match_indices(&function).any(|(at, _)| s.code[..at].trim_end().ends_with(']')))
    };
    let named = quoted(part)
        .into_iter()
        .filter(|n| n.contains('/') || n.contains('_') && n.bytes().all(|b| !b.is_ascii_uppercase()));
    let missing = named.filter(|n| match n.contains('/') {
        true => !exists(n),
        false => !is_test(n) && !exists(&format!("tests/scenarios/{n}.toml")),
    });
    missing.map(|n| format!("ARCHITECTURE.md: {n}")).collect()
}

/// Links to files that are not there, and to headings of the same page that it does not have.
pub(crate) fn dead_links(page: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let anchors: BTreeSet<String> = page.lines().filter(|l| l.starts_with('#')).map(anchor).collect();
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let is_dead = |link: &&str| match link.split_once('#') {
        Some(("", heading)) => !anchors.contains(heading),
        _ if link.contains("://") => false,
        Some((file, _)) => !exists(file),
        None => !exists(link),
    };
    links.filter(is_dead).map(str::to_owned).collect()
}

/// Decisions that the index does not link, and numbers that are missing or used twice.
pub(crate) fn decisions_unlike(index: &str, names: &[&str]) -> Vec<String> {
    let mut wrong: Vec<String> = names
        .iter()
        .filter(|n| !index.contains(&format!("]({n})")))
        .map(|n| format!("docs/decisions/README.md does not link {n}"))
        .collect();
    let mut numbers = BTreeSet::new();
    for name in names {
        let number = name.split('-').next().unwrap();
        if number.len() != 4 || number.parse::<u16>().is_err() || !numbers.insert(number) {
            wrong.push(format!("docs/decisions/{name}: begins with no number of its own"));
        }
    }
    wrong
}
