//! The handbook as it is written: headings, and what is typed and seen below them.

use std::path::PathBuf;

/// Everything that is typed under one heading.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) heading: String,
    /// What is published in the console.
    pub(super) commands: Vec<serde_json::Value>,
    pub(super) steps: Vec<Step>,
}

/// A command, and what one sees.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) command: String,
    /// The lines of the document that hold the answer.
    lines: std::ops::Range<usize>,
    pub(super) expected: Vec<String>,
}

/// Where it is.
pub(super) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operators.md")
}

/// Finds what is to be typed: lines that begin with `$ ` in blocks of `console`, with the answer below; and every line
/// in blocks of `json`.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut block = "";
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            let heading = heading.to_owned();
            sections.push(Section { heading, commands: Vec::new(), steps: Vec::new() });
        } else if let Some(begun) = line.strip_prefix("```") {
            block = begun;
        } else if block == "json" {
            let command = serde_json::from_str(line).unwrap();
            sections.last_mut().expect("a heading stands above").commands.push(command);
        } else if block == "console" {
            let steps = &mut sections.last_mut().expect("a heading stands above").steps;
            if let Some(command) = line.strip_prefix("$ ") {
                let lines = number + 1..number + 1;
                steps.push(Step { command: command.to_owned(), lines, expected: Vec::new() });
            } else {
                let step = steps.last_mut().expect("a command stands above its answer");
                step.expected.push(line.to_owned());
                step.lines.end = number + 1;
            }
        }
    }
    sections
}

/// The document with these answers in place of those that it has.
pub(super) fn with_answers(text: &str, answers: &[(Step, Vec<String>)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (step, answer) in answers.iter().rev() {
        lines.splice(step.lines.clone(), answer.iter().cloned());
    }
    lines.join("\n") + "\n"
}

impl Step {
    /// Whether this is what the handbook says, but for what is never the same twice.
    pub(super) fn expects(&self, seen: &[String]) -> bool {
        let plain = |lines: &[String]| -> Vec<Vec<String>> { lines.iter().map(|line| words(line)).collect() };
        matches(&plain(&self.expected), &plain(seen))
    }

    /// Whether it only looks, and may be typed until it shows what it should.
    pub(super) fn only_looks(&self) -> bool {
        ["list", "show", "status", "curl", "doctor", "check"]
            .iter()
            .any(|verb| self.command.split_whitespace().take(3).any(|word| word == *verb))
    }
}

/// A line `…` stands for any lines.
fn matches(expected: &[Vec<String>], seen: &[Vec<String>]) -> bool {
    match expected.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if *first == ["…"] => (0..=seen.len()).any(|from| matches(rest, &seen[from..])),
        Some((first, rest)) => seen
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others)),
    }
}

/// A word that ends with `…` stands for all that begins with it, to the end of the line.
fn line_matches(expected: &[String], seen: &[String]) -> bool {
    let open = expected.iter().position(|word| word.ends_with('…'));
    let Some(open) = open else { return expected == seen };
    let beginning = expected[open].trim_end_matches('…');
    let begins_so = || seen.get(open).map_or(beginning.is_empty(), |word| word.starts_with(beginning));
    seen.get(..open) == Some(&expected[..open]) && begins_so()
}

/// The words of a line, without numbers, times and rulers, which differ from run to run.
fn words(line: &str) -> Vec<String> {
    let is_unit = |word: &str| ["s", "min", "h", "d", "ago", "in", "now"].contains(&word);
    let is_uuid = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '…');
        let varies = core.is_empty() || core.starts_with(|c: char| c.is_ascii_digit());
        if !varies && !is_unit(core) && !is_uuid(core) {
            words.push(without_numbers(word));
        }
    }
    words
}

/// `lorry-12` → `lorry-0`.
fn without_numbers(word: &str) -> String {
    let mut plain = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' if plain.ends_with('0') => {}
            '0'..='9' => plain.push('0'),
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn an_answer_is_compared_without_numbers_and_times() {
    #[track_caller]
    fn check(expected: &str, seen: &str, is_same: bool) {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        let step = Step { command: String::new(), lines: 0..0, expected: lines(expected) };
        let seen: Vec<String> = lines(seen);
        assert_eq!(step.expects(&seen), is_same, "{expected:?} against {seen:?}");
    }
    check("job 12  5 s ago (2026-11-25 01:00:00Z)", "job 9   now (2027-01-01 02:03:04Z)", true);
    check("lorry-1  ONLINE", "lorry-1  OFFLINE", false);
    check("ONLINE", "ONLINE\nmore", false);
    check("first\n…\nlast", "first\nsecond\nthird\nlast", true);
    check("Password: …", "Password: hvQ-x", true);
}
