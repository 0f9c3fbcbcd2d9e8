//! The architecture as a test: who may know what, and how long is long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may know whom. What is not named here may know everything.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("failpoint", &[]),
    ("workflow", &["domain"]),
    ("protocol", &["domain"]),
    ("tls", &[]),
    ("store", &["domain", "workflow", "tls", "failpoint"]),
    ("broker", &["domain", "protocol", "tls", "failpoint"]),
    ("service", &["domain", "workflow", "protocol", "store", "broker", "failpoint"]),
    ("worker", &["domain", "protocol", "broker", "failpoint"]),
    ("bench", &["domain", "workflow", "protocol", "store", "broker"]),
];

/// Who may know everything.
const RIM: &[&str] = &["cli", "config", "fuzzing", "lib", "main"];

/// Each crate on the left is named only under the paths on the right.
const HOMES: &[(&str, &[&str])] = &[
    ("diesel", &["src/store"]),
    ("diesel_async", &["src/store"]),
    ("diesel_migrations", &["src/store"]),
    ("tokio_postgres", &["src/store", "src/bench"]),
    ("tokio_postgres_rustls", &["src/store"]),
    ("lapin", &["src/broker", "src/bench"]),
    ("ureq", &["src/broker", "src/bench"]),
    ("rustls_native_certs", &["src/tls.rs"]),
    ("axum", &["src/service"]),
    ("process_wrap", &["src/worker"]),
    ("rustix", &["src/worker", "src/cli/demo", "src/bench", "src/failpoint.rs"]),
    ("clap", &["src/cli", "src/config", "src/main.rs"]),
    ("clap_complete", &["src/cli"]),
    ("clap_mangen", &["src/cli"]),
    ("comfy_table", &["src/cli"]),
    ("strsim", &["src/cli"]),
    ("terminal_size", &["src/cli"]),
    ("indicatif", &["src/cli"]),
    ("humantime", &["src/cli", "src/config"]),
    ("tracing_subscriber", &["src/cli"]),
    ("anyhow", &["src/service", "src/cli", "src/bench", "src/main.rs"]),
];

/// The rules have no clock, no randomness, no I/O and no log.
const PURE: &[&str] = &["src/domain", "src/workflow", "src/protocol"];

/// What the pure ones do not name.
const IMPURE: &[&str] =
    &["tokio", "tracing", "rand", "std::fs", "std::io", "std::process", "std::time::SystemTime"];

/// A module that has no name has no place yet.
const NAMELESS: &[&str] = &["util", "utils", "common", "helpers", "helper", "types", "manager", "misc"];

/// Made by Diesel, a line a column.
const GENERATED: &str = "src/store/schema.rs";

#[test]
fn every_layer_knows_only_those_below_it() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(layer, _)| *layer).chain(RIM.iter().copied()).collect();
    let mut wrong = Vec::new();
    for file in files("src") {
        let layer = layer(&file);
        assert!(
            known.contains(layer.as_str()),
            "{} is in no layer: say in LAYERS whom it may know",
            file.shown
        );
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        let is_allowed = |module: &str| module == layer || below.contains(&module);
        let crossed =
            file.code().flat_map(|(line, code)| modules(code).into_iter().map(move |module| (line, module)));
        wrong.extend(
            crossed
                .filter(|(_, module)| known.contains(module) && !is_allowed(module))
                .map(|(line, module)| format!("{}:{line}: {layer} knows {module}", file.shown)),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_crate_stays_at_home() {
    let mut wrong = Vec::new();
    for file in files("src") {
        for (line, code) in file.code() {
            let strangers =
                HOMES.iter().filter(|(_, homes)| !homes.iter().any(|home| file.shown.starts_with(home)));
            let named = strangers.filter(|(name, _)| names(code, name));
            wrong.extend(named.map(|(name, _)| format!("{}:{line}: names {name}", file.shown)));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn rules_know_no_clock_no_chance_and_no_world() {
    let mut wrong = Vec::new();
    for file in files("src").into_iter().filter(|file| PURE.iter().any(|home| file.shown.starts_with(home))) {
        for (line, code) in file.code() {
            let named = IMPURE.iter().filter(|name| names(code, name));
            wrong.extend(named.map(|name| format!("{}:{line}: names {name}", file.shown)));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_file_is_long() {
    let all = ["src", "tests", "benches", "examples"].into_iter().flat_map(files);
    let long = |file: &File| file.shown != GENERATED && file.lines() > 500;
    let long: Vec<String> =
        all.filter(long).map(|file| format!("{}: {} lines", file.shown, file.lines())).collect();
    assert_eq!(long, Vec::<String>::new(), "split by noun before it hurts");
    let main = files("src").into_iter().find(|file| file.shown == "src/main.rs").unwrap();
    assert!(main.lines() < 60, "main.rs is a novel: {} lines", main.lines());
    let common: usize = files("tests/common").iter().map(File::lines).sum();
    assert!(common < 200, "tests/common needs tests of its own: {common} lines");
}

#[test]
fn every_module_has_a_name() {
    let nameless = |file: &File| file.shown.split(['/', '.']).any(|part| NAMELESS.contains(&part));
    let nameless: Vec<String> = files("src").into_iter().filter(nameless).map(|file| file.shown).collect();
    assert_eq!(nameless, Vec::<String>::new());
}

#[test]
fn nothing_is_left_out() {
    // Not in one piece, or this file would be found.
    let unfinished = ["#[ig", "tod", "unimple"].into_iter().zip(["nore", "o!(", "mented!("]);
    let unfinished: Vec<String> = unfinished.map(|(begin, end)| format!("{begin}{end}")).collect();
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches", "examples"].into_iter().flat_map(files) {
        for (line, code) in file.code() {
            let left = unfinished.iter().filter(|word| code.contains(word.as_str()));
            wrong.extend(left.map(|word| format!("{}:{line}: {word}", file.shown)));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is() {
    let silent = |file: &File| file.shown != GENERATED && !file.text.starts_with("//! ");
    let all = ["src", "tests"].into_iter().flat_map(files);
    let silent: Vec<String> = all.filter(silent).map(|file| file.shown).collect();
    assert_eq!(silent, Vec::<String>::new(), "a file begins with a sentence about it");
}

/// A source file of ours.
struct File {
    /// Its path from the root.
    shown: String,
    text: String,
}

impl File {
    fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Its lines with their numbers, without comments. A `//` in a text ends the line early, which does no harm.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line: &'_ str| line.find("//").unwrap_or(line.len());
        self.text.lines().enumerate().map(move |(n, line)| (n + 1, &line[..code(line)]))
    }
}

/// The Rust files below a folder; none if there is no such folder.
fn files(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let file = |path: PathBuf| {
        let shown = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        File { text: fs::read_to_string(&path).unwrap(), shown }
    };
    paths.into_iter().map(file).collect()
}

/// The top-level module that a file of `src` belongs to.
fn layer(file: &File) -> String {
    let path = file.shown.strip_prefix("src/").unwrap();
    path.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that stand after `crate::` in a line, alone or in braces.
fn modules(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                assert!(group.contains('}'), "keep it on one line, or use a `use` for each module: {code}");
                let mut depth = 0;
                let parts = group.split(|c: char| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && depth == 0
                });
                found.extend(parts.map(|part| word(part.trim())));
            }
            None => found.push(word(rest)),
        }
    }
    found
}

/// The identifier that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a line names a crate or a path: as a whole word, with `::` or `;` after it.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + path.len()..];
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
            && (after.starts_with("::") || after.starts_with(';'))
    })
}
