//! Every item of the acceptance checklist has a test or a reason, and `tests/README.md` says which.
//!
//! A test says what it covers in a comment above it: `// covers: CIJ-40 CIJ-41`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod items;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use items::{ITEMS, NOT_APPLICABLE};

const INTRODUCTION: &str = "# Tests

| where | what |
|---|---|
| `src/**/tests` | rules, by the words of the specification; no I/O |
| `workflow_model.rs` | random stories told to the rules: the central invariant, the counts, the audit trail, batches |
| `store_model.rs` | the same stories told to PostgreSQL |
| `story.rs` | Launchpad's `codeimport-job.txt`, from its first line to its last |
| `protocol_model` | every order in which the protocol can go, up to a bound; `MODEL_FAULTS=2` looks farther, for minutes |
| `store`, `migrations.rs` | what PostgreSQL writes, refuses, and does for many at once |
| `chaos` | a machine that breaks things: faults from a seed, and a referee (see ARCHITECTURE.md) |
| `cli` | the command line by the built program, at a terminal and in real shells too |
| `checklist` | that this file is right |
| `cluster` | nodes of RabbitMQ are killed and restarted, a standby is promoted: `make test-cluster` |
| `upgrade` | this release beside the one before, which `upgrade/previous` names (each release changes it): `make test-upgrade` |
| `binary/restore.rs` | the commands of `docs/backup.md`, run as they stand |
| `console` | an operator's day at RabbitMQ's console, in a real browser: `make test-console` |

Tests use a real PostgreSQL and a real RabbitMQ: `make services` starts them and prints what to export. Each test has
a database (from a migrated template) and a virtual host of its own. `PROPTEST_CASES=10000` tells more stories.

## The acceptance checklist

What Launchpad's own tests say, and where ours say it. This table is generated from the comments
`// covers: CIJ-40 CIJ-41` beside the tests: `WRITE_CHECKLIST=1 cargo nextest run --test checklist` writes it anew.
";

/// Where the tests are that cover an item: file and name.
type Covered = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_item_is_covered_or_not_applicable() {
    let covered = covered();
    let reasons: BTreeMap<_, _> = NOT_APPLICABLE.iter().copied().collect();
    for (id, text) in ITEMS {
        let (has_test, has_reason) = (covered.contains_key(*id), reasons.contains_key(id));
        assert!(has_test || has_reason, "{id} has neither a test nor a reason: {text}");
        assert!(!(has_test && has_reason), "{id} has a test and a reason why it can have none");
    }
    let known: BTreeSet<_> = ITEMS.iter().map(|(id, _)| *id).collect();
    for id in covered.keys().map(String::as_str).chain(reasons.into_keys()) {
        assert!(known.contains(id), "there is no item {id}");
    }
}

#[test]
fn the_readme_is_not_stale() {
    let path = root().join("tests/README.md");
    let written = readme(&covered());
    if std::env::var_os("WRITE_CHECKLIST").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == written,
        "tests/README.md is stale; type `WRITE_CHECKLIST=1 cargo nextest run --test checklist`"
    );
}

fn readme(covered: &Covered) -> String {
    let mut text = format!("{INTRODUCTION}\n| item | what | where |\n|---|---|---|\n");
    let reasons: BTreeMap<_, _> = NOT_APPLICABLE.iter().copied().collect();
    for (id, what) in ITEMS.iter().filter(|(id, _)| !reasons.contains_key(id)) {
        let tests = covered.get(*id).into_iter().flatten();
        let tests: Vec<_> = tests.map(|test| format!("`{test}`")).collect();
        writeln!(text, "| {id} | {what} | {} |", tests.join("<br>")).unwrap();
    }
    text.push_str("\n### Not applicable\n\n| item | what | why |\n|---|---|---|\n");
    for (id, what) in ITEMS {
        if let Some(reason) = reasons.get(id) {
            writeln!(text, "| {id} | {what} | {reason} |").unwrap();
        }
    }
    text
}

fn covered() -> Covered {
    let mut covered = Covered::new();
    for folder in ["src", "tests"] {
        for file in files(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let file = file.strip_prefix(root()).unwrap().display().to_string();
            note(&mut covered, &file, &text);
        }
    }
    covered
}

/// Notes what the comments of a file cover, with the function that follows each.
fn note(covered: &mut Covered, file: &str, text: &str) {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(ids) = line.strip_prefix("// covers: ") else { continue };
        let is_function = |line: &&&str| line.starts_with("fn ") || line.starts_with("async fn ");
        let function = lines[at..].iter().find(is_function).expect("a test follows its comment");
        let name = function.split("fn ").nth(1).unwrap().split('(').next().unwrap();
        for id in ids.split_whitespace() {
            covered.entry(id.to_owned()).or_default().insert(format!("{file}: {name}"));
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
