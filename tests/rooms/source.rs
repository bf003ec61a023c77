//! The source tree as `tests/rooms.rs` sees it: files with comments and literals blanked out, and the paths that they name.

use std::path::{Path, PathBuf};

/// One file of Rust.
pub(crate) struct Source {
    /// From the repository's root: `crates/lab/src/eval/metrics.rs`.
    pub path: String,
    /// Without the package: `eval/metrics.rs`, `cli/run.rs`, `tract-fused/lib.rs`. The same before and after a module moves to a package of
    /// its own.
    pub place: String,
    pub text: String,
    /// The text with comments and the insides of literals blanked out; lines stay where they are.
    pub code: String,
    /// String literals, without their quotes.
    pub literals: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (code, literals) = blanked(text);
        Source { path: path.into(), place: place(path), text: text.into(), code, literals }
    }

    /// The code without its test modules; nothing where the whole file is one.
    pub(crate) fn product(&self) -> String {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            String::new()
        } else {
            without_tests(&self.code)
        }
    }

    /// The package's folder: `""` for the root, `crates/lab`.
    pub(crate) fn package(&self) -> &str {
        self.path.find("/src/").map_or("", |at| &self.path[..at])
    }

    /// The module within its package: `["eval", "metrics"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let within = self.path.split_once("src/").map_or(self.path.as_str(), |(_, rest)| rest);
        let mut names: Vec<String> = within.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if names.last().is_some_and(|n| ["mod", "lib", "main"].contains(&n.as_str())) {
            names.pop();
        }
        names
    }
}

fn place(path: &str) -> String {
    let rest = path.strip_prefix("src/").or_else(|| path.strip_prefix("crates/lab/src/"));
    match rest {
        Some("main.rs") => "cli/main.rs".into(),
        Some(rest) => rest.into(),
        None => path.strip_prefix("crates/").unwrap_or(path).replacen("/src/", "/", 1),
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files of a folder with this ending, sorted; none where there is no such folder.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn folders_of_packages() -> Vec<String> {
    let mut found = vec![String::new()];
    for entry in std::fs::read_dir(root().join("crates")).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if root().join("crates").join(&name).join("Cargo.toml").is_file() {
            found.push(format!("crates/{name}"));
        }
    }
    found.sort();
    found
}

/// The Rust files of these folders of every package.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for package in folders_of_packages() {
        for folder in folders {
            for file in files(&root().join(&package).join(folder), "rs") {
                let path = file.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source::new(&path, &std::fs::read_to_string(&file).unwrap()));
            }
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

/// Where the literal or comment that begins at `from` ends, and its text if it is a string.
fn end_of_blank(bytes: &[u8], from: usize) -> Option<(usize, Option<std::ops::Range<usize>>)> {
    let rest = &bytes[from..];
    let find = |needle: &[u8], at: usize| rest[at..].windows(needle.len()).position(|w| w == needle).map(|p| at + p);
    if rest.starts_with(b"//") {
        return Some((from + find(b"\n", 0).unwrap_or(rest.len()), None));
    }
    if rest.starts_with(b"/*") {
        let (mut depth, mut at) = (0usize, 0);
        while at < rest.len() {
            match &rest[at..] {
                [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
                [b'*', b'/', ..] if depth == 1 => return Some((from + at + 2, None)),
                [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        return Some((bytes.len(), None));
    }
    let begins_word = from == 0 || !is_word(bytes[from - 1]);
    let prefix = rest.iter().take_while(|b| [b'b', b'c', b'r'].contains(b)).count();
    if begins_word && prefix <= 2 && rest[..prefix].contains(&b'r') {
        let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
        if rest.get(prefix + hashes) == Some(&b'"') {
            let begin = prefix + hashes + 1;
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let end = find(&close, begin).unwrap_or(rest.len());
            return Some(((from + end + close.len()).min(bytes.len()), Some(from + begin..from + end)));
        }
    }
    if rest[0] == b'"' {
        let mut at = 1;
        while at < rest.len() && rest[at] != b'"' {
            at += if rest[at] == b'\\' { 2 } else { 1 };
        }
        return Some(((from + at + 1).min(bytes.len()), Some(from + 1..(from + at).min(bytes.len()))));
    }
    if rest[0] == b'\'' {
        let escaped = rest.get(1) == Some(&b'\\');
        // A character is followed by its quote, a lifetime is not.
        let length = match rest.get(1).copied().unwrap_or(0) {
            0..128 => 1,
            128..224 => 2,
            224..240 => 3,
            240.. => 4,
        };
        if escaped {
            return find(b"'", 3).map(|p| (from + p + 1, None));
        }
        if rest.get(1 + length) == Some(&b'\'') {
            return Some((from + length + 2, None));
        }
    }
    None
}

/// Comments and literals as spaces, and the literals.
pub(crate) fn blanked(text: &str) -> (String, Vec<String>) {
    let bytes = text.as_bytes();
    let (mut code, mut literals, mut at) = (Vec::with_capacity(bytes.len()), Vec::new(), 0);
    while at < bytes.len() {
        match end_of_blank(bytes, at) {
            Some((end, literal)) => {
                literals.extend(literal.map(|range| text[range].to_owned()));
                code.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
                at = end;
            }
            None => {
                code.push(bytes[at]);
                at += 1;
            }
        }
    }
    (String::from_utf8(code).expect("literals begin and end at characters"), literals)
}

/// Blanks out every item under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(at) = ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|a| code[from..].find(a)).min() {
        let begin = from + at;
        let mut end = begin;
        let mut depth = 0usize;
        for (i, byte) in code.as_bytes()[begin..].iter().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            end = begin + i + 1;
            if depth == 0 && [b';', b'}'].contains(byte) {
                break;
            }
        }
        bytes[begin..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        from = end;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tokens(code: &str) -> Vec<&str> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b if is_word(b) => bytes[at..].iter().take_while(|b| is_word(**b)).count(),
            _ if bytes[at..].starts_with(b"::") => 2,
            _ => 1,
        };
        found.push(&code[at..at + length]);
        at += length;
    }
    found
}

fn is_name(token: &str) -> bool {
    is_word(token.as_bytes()[0]) && !token.as_bytes()[0].is_ascii_digit()
}

/// A path that code names, and the name that it has there.
struct Named {
    path: Vec<String>,
    name: String,
}

/// The paths of a use tree that begins at `at`, and where it ends.
fn use_tree(tokens: &[&str], mut at: usize, mut prefix: Vec<String>, found: &mut Vec<Named>) -> usize {
    while let Some(&token) = tokens.get(at) {
        match token {
            "::" => {
                at += 1;
                continue;
            }
            "{" => {
                at += 1;
                while let Some(&next) = tokens.get(at).filter(|t| **t != "}") {
                    at = if next == "," { at + 1 } else { use_tree(tokens, at, prefix.clone(), found) };
                }
                return at + 1;
            }
            "self" if !prefix.is_empty() => at += 1,
            name if is_name(name) && name != "as" => {
                prefix.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at) != Some(&"::") {
            break;
        }
    }
    let mut name = prefix.last().cloned().unwrap_or_default();
    if tokens.get(at) == Some(&"as") {
        name = tokens.get(at + 1).map_or(name, |n| (*n).to_owned());
        at += 2;
    }
    found.push(Named { path: prefix, name });
    at + usize::from(tokens.get(at) == Some(&"*"))
}

/// Every path that the code names: `use` trees spread out, and `a::b` in expressions and types.
pub(crate) fn paths(code: &str) -> Vec<Vec<String>> {
    named(code).into_iter().map(|n| n.path).collect()
}

/// The path that code imports as `name`.
pub(crate) fn path_of(code: &str, name: &str) -> Option<Vec<String>> {
    named(code).into_iter().find(|n| n.name == name && n.path.len() > 1).map(|n| n.path)
}

fn named(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at] == "use" {
            at = use_tree(&tokens, at + 1, Vec::new(), &mut found);
        } else if is_name(tokens[at]) && tokens.get(at + 1) == Some(&"::") {
            let mut path = vec![tokens[at].to_owned()];
            while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|t| is_name(t)) {
                path.push(tokens[at + 2].to_owned());
                at += 2;
            }
            found.push(Named { path, name: String::new() });
            at += 1;
            // `::<T>`
            at += usize::from(tokens.get(at) == Some(&"::"));
        } else {
            at += 1;
        }
    }
    found
}

/// The crates that a file names: the first word of a path that the file neither declares nor imports.
pub(crate) fn crates_named(code: &str) -> Vec<String> {
    let tokens = tokens(code);
    let named = named(code);
    let is_declared = |name: &str| tokens.windows(2).any(|w| w[0] == "mod" && w[1] == name);
    let is_imported = |name: &str| named.iter().any(|n| n.name == name && n.path.len() > 1 && n.path[0] != name);
    let heads = named.iter().filter_map(|n| n.path.first().cloned());
    let mut names: Vec<String> = heads.filter(|n| !is_declared(n) && !is_imported(n)).collect();
    names.sort();
    names.dedup();
    names
}
