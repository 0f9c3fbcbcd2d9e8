//! `import load`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Ended, NAME, World};

/// A database, and a folder for files.
struct Load {
    world: World,
    folder: TempDir,
}

impl Load {
    async fn new() -> Self {
        Self { world: World::new().await, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Loads a file that is made of this content.
    fn load(&self, name: &str, content: impl AsRef<[u8]>) -> Ended {
        self.load_file("david", &self.file(name, content), "--json")
    }

    fn load_file(&self, user: &str, file: &Path, more: &str) -> Ended {
        self.world.run(user, &format!("import load {} {more}", file.display()))
    }

    /// Loads from a pipe.
    fn pipe(&self, content: &[u8]) -> Ended {
        let mut program = self.world.program("david", "import load - --json");
        let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        child.wait_with_output().unwrap().into()
    }

    async fn count(&self, of: &str) -> i64 {
        let client = self.world.database.client().await;
        client.query_one(&format!("SELECT count(*) FROM {of}"), &[]).await.unwrap().get(0)
    }

    /// Imports, and one job and one CREATE event of each.
    async fn check_whole(&self, imports: i64) {
        let jobs_of_theirs = "jobs JOIN imports ON imports.id = jobs.import_id WHERE state = 'PENDING'";
        let events_of_theirs =
            "events JOIN imports ON imports.id = events.import_id WHERE event_type = 'CREATE'";
        for of in ["imports", jobs_of_theirs, events_of_theirs, "jobs", "events"] {
            assert_eq!(self.count(of).await, imports, "{of}");
        }
    }
}

/// So many imports as JSON lines.
fn lines(count: u32) -> String {
    (0..count).fold(String::new(), |mut all, n| {
        writeln!(all, r#"{{"import":"~david/p/i{n}","rcs_type":"GIT","url":"https://a.org/{n}"}}"#).unwrap();
        all
    })
}

/// What a load says to a program: registered, skipped, refused.
#[track_caller]
fn counts(ended: &Ended, code: i32) -> [i64; 3] {
    assert_eq!(ended.code, code, "{} {}", ended.stdout, ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    ["registered", "skipped", "refused"].map(|name| document[name].as_i64().unwrap())
}

fn errors(ended: &Ended) -> Vec<(i64, String, String)> {
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let error = |it: &Value| (it["line"].as_i64().unwrap(), text(&it["code"]), text(&it["reason"]));
    document["errors"].as_array().unwrap().iter().map(error).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_leaves_what_registering_one_by_one_leaves() {
    let load = Load::new().await;
    let file = r#"
        {"import": "~gnome/p/git", "rcs_type": "GIT", "url": "https://me:secret@A.org/b/", "owner": "gnome"}
        {"import": "~gnome/p/new", "rcs_type": "svn", "url": "svn://a.org/b", "review_status": "new"}
        {"import": "~gnome/p/cvs", "rcs_type": "CVS", "cvs_root": ":pserver:a.org:/c", "cvs_module": "m",
         "update_interval_s": 90}"#
        .replace(",\n         ", ", ");
    assert_eq!(counts(&load.load("imports.jsonl", file), 0), [3, 0, 0]);
    for (name, words) in [
        ("git", "--rcs GIT --url https://me:secret@A.org/c/ --owner gnome"),
        ("new", "--rcs SVN --url svn://a.org/c --status NEW"),
        ("cvs", "--rcs CVS --cvs-root :pserver:a.org:/d --cvs-module m --interval 90s"),
    ] {
        load.world.run("david", &format!("import register ~single/p/{name} {words}")).text();
    }
    let client = load.world.database.client().await;
    let query = "
        SELECT split_part(imports.unique_name, '/', 3), registrant, owner, imports.rcs_type, review_status,
               update_interval_seconds, jobs.state, jobs.date_due = imports.date_created, event_type, person,
               data - 'URL' - 'CVS_ROOT' - 'CODE_IMPORT', count(*)
        FROM imports LEFT JOIN jobs ON import_id = imports.id JOIN events ON events.import_id = imports.id
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11";
    let rows = client.query(query, &[]).await.unwrap();
    let counts: Vec<i64> = rows.iter().map(|row| row.get(11)).collect();
    assert_eq!(counts, [2, 2, 2], "a load and a register differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_told_with_its_number_and_reason_and_the_others_go_in() {
    let load = Load::new().await;
    load.world.run("david", "import register ~david/p/there --rcs GIT --url https://a.org/there").text();
    let file = r#"{"import": "~david/p/one", "rcs_type": "GIT", "url": "https://a.org/1"}
nonsense
{"import": "~david/p/two", "rcs_type": "GIT", "url": "https://a.org/2", "colour": "red"}

{"import": "~david/p/three", "rcs_type": "GIT", "url": "ftp://a.org/3"}
{"import": "~david/p/there", "rcs_type": "GIT", "url": "https://a.org/4"}
{"import": "~david/p/five", "rcs_type": "GIT", "url": "https://a.org/there"}
{"import": "~david/p/one", "rcs_type": "GIT", "url": "https://a.org/6"}
{"import": "~david/p/one", "rcs_type": "GIT", "url": "https://a.org/1"}
{"import": "~david/p/eight", "rcs_type": "GIT", "url": "https://a.org/8", "owner": "nobody"}
{"import": "~david/p/nine", "rcs_type": "GIT", "url": "https://a.org/9"}
"#;
    let noted = load.folder.path().join("refused.jsonl");
    let file = load.file("imports.jsonl", file);
    let ended = load.load_file("david", &file, &format!("--json --errors {}", noted.display()));
    assert_eq!(counts(&ended, 1), [2, 1, 7]);
    let told = errors(&ended);
    let expected = [
        (2, "malformed", "expected a JSON object"),
        (3, "malformed", "unknown field `colour`"),
        (5, "bad-source", "The URI scheme \"ftp\" is not allowed."),
        (6, "conflict", "There is already a code import ~david/p/there."),
        (7, "conflict", "That source is already imported by ~david/p/there."),
        (8, "conflict", "There is already a code import ~david/p/one."),
        (10, "unknown-person", "There is no person nobody."),
    ];
    assert_eq!(told.len(), expected.len());
    for ((line, code, reason), (its_line, its_code, its_reason)) in told.iter().zip(expected) {
        assert_eq!((*line, code.as_str()), (its_line, its_code));
        assert!(reason.contains(its_reason), "{reason}");
        assert!(ended.stderr.contains(&format!("line {line}: {reason} ({code})")), "{}", ended.stderr);
    }
    let noted = fs::read_to_string(noted).unwrap();
    let noted: Vec<Value> = noted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(noted[0], json!({"line": 2, "code": "malformed", "reason": "expected a JSON object"}));
    assert_eq!(noted.len(), 7);
    load.check_whole(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_in_words_and_of_many_bad_lines_only_the_first() {
    let load = Load::new().await;
    let file = load.file("imports.csv", format!("import,rcs_type,url\n{}", "~a/b\n".repeat(30)));
    let ended = load.load_file("david", &file, "");
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.starts_with("Registered 0, skipped 0 that are there already, refused 30; "));
    assert_eq!(ended.stderr.matches("expected 3 cells, found 1 (malformed)\n").count(), 20);
    assert!(ended.stderr.ends_with("… and more; --errors FILE notes all of them\n"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_may_have_quotes_a_byte_order_mark_and_the_line_ends_of_any_system() {
    let load = Load::new().await;
    let table = "\u{feff}rcs_type,\"import\",url,cvs_root,cvs_module,owner\r\n\
                 GIT,~david/p/one,\"https://a.org/1,2\",,,\r\n\
                 \r\n\
                 CVS,\"~david/p/two\",,\":pserver:a.org:/c\",\"a \"\"b\"\"\",gnome\r\n\
                 GIT,~david/p/three,\"https://a.org/3,,,\r\n\
                 GIT,~david/p/four,https://a.org/4,,,";
    let ended = load.load("imports.csv", table);
    let [registered, skipped, refused] = counts(&ended, 1);
    assert_eq!((registered + refused, skipped), (4, 0));
    let told = errors(&ended);
    assert_eq!(told.last().map(|(line, code, _)| (*line, code.as_str())), Some((5, "malformed")));
    let shown = load.world.run("david", "import show ~david/p/one --json").json();
    assert_eq!(shown["url"], "https://a.org/1,2");
    load.world.run("david", "import show ~david/p/four --json").json();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_as_described_is_skipped_and_what_runs_made_of_it_stays() {
    let load = Load::new().await;
    assert_eq!(counts(&load.load("imports.jsonl", lines(3)), 0), [3, 0, 0]);
    load.world.run("david", "import update ~david/p/i0 --status SUSPENDED").text();
    load.world.run("david", "import update ~david/p/i1 --url https://a.org/other").text();
    let events = load.count("events").await;

    let ended = load.load("imports.jsonl", lines(4));
    assert_eq!(counts(&ended, 1), [1, 2, 1]);
    assert_eq!(errors(&ended)[0].0, 2);
    let shown = load.world.run("david", "import show ~david/p/i0 --json").json();
    assert_eq!(shown["review_status"], "SUSPENDED");
    assert_eq!(load.count("events").await, events + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_has_the_rights_of_who_loads() {
    let load = Load::new().await;
    load.world.register();
    let hidden = format!(r#"{{"import": "{NAME}", "rcs_type": "GIT", "url": "https://me:secret@a.org/b"}}"#);
    let file = load.file(
        "imports.jsonl",
        format!(
            "{hidden}\n{}{}",
            lines(1),
            r#"{"import": "~a/b/c", "rcs_type": "GIT", "url": "https://a.org/c", "owner": "gnome"}
               {"import": "~a/b/d", "rcs_type": "GIT", "url": "https://a.org/d", "review_status": "SUSPENDED"}"#
        ),
    );
    let ended = load.load_file("no-priv", &file, "--json");
    assert_eq!(counts(&ended, 1), [1, 0, 3]);
    let codes: Vec<_> = errors(&ended).into_iter().map(|(line, code, _)| (line, code)).collect();
    let code = |line, code: &str| (line, code.to_owned());
    assert_eq!(codes, [code(1, "conflict"), code(3, "not-allowed"), code(4, "not-allowed")]);

    assert_eq!(counts(&load.load_file("david", &file, "--json"), 0), [2, 2, 0]);
    assert!(load.load_file("nobody", &file, "").wrong(1).contains("There is no person nobody."));
    assert!(load.load_file("gnome", &file, "").wrong(1).contains("may not act"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_ten_mebibytes_is_refused_and_the_next_goes_in() {
    let load = Load::new().await;
    let long = format!(r#"{{"import": "~a/b/c", "rcs_type": "GIT", "url": "{}"}}"#, "x".repeat(10 << 20));
    let file = load.file("imports.jsonl", format!("{}{long}\n{}", lines(1), lines(2)));
    let ended = load.load_file("david", &file, "--json");
    assert_eq!(counts(&ended, 1), [2, 1, 1]);
    let (line, code, reason) = &errors(&ended)[0];
    assert_eq!((*line, code.as_str()), (2, "too-large"));
    assert!(reason.ends_with("bytes; the limit is 65536."), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_read_from_a_pipe() {
    let load = Load::new().await;
    assert_eq!(counts(&load.pipe(lines(2).as_bytes()), 0), [2, 0, 0]);
    assert_eq!(counts(&load.pipe(b"import,rcs_type,url\n~david/p/i3,HG,https://a.org/3"), 0), [1, 0, 0]);
    assert_eq!(counts(&load.pipe(b""), 0), [0, 0, 0]);
    load.check_whole(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_list_of_imports_is_wrong_usage() {
    let load = Load::new().await;
    assert_eq!(counts(&load.load("empty.csv", "\n"), 0), [0, 0, 0]);
    let wrong = load.load("array.json", "[{}]").wrong(2);
    assert!(wrong.contains("expected JSON lines"), "{wrong}");
    let wrong = load.load("columns.csv", "name,url\n").wrong(2);
    assert!(wrong.contains("line 1, which names the columns: there is no column \"name\""), "{wrong}");
    let wrong = load.load_file("david", Path::new("/no/such/file"), "").wrong(1);
    assert!(wrong.contains("cannot read /no/such/file"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_interrupted_or_killed_is_taken_up_by_running_it_again() {
    let load = Load::new().await;
    let total = 6_000;
    let content = lines(total);
    for (signal, sent) in [("-INT", 2_500), ("-KILL", 5_500)] {
        // From a pipe that stays open, so that it is surely not at its end when the signal comes.
        let before = load.count("imports").await;
        let mut program = load.world.program("david", "import load -");
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let part = content.lines().take(sent).fold(String::new(), |all, line| all + line + "\n");
        let writing = std::thread::spawn(move || {
            // The program may be gone before it has read all.
            drop(input.write_all(part.as_bytes()));
            input
        });
        while load.count("imports").await == before {
            tokio::task::yield_now().await;
        }
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        drop(writing.join());
        let imports = load.count("imports").await;
        if signal == "-INT" {
            let ended = Ended::from(output);
            assert_eq!(ended.code, 130, "{}", ended.stderr);
            let told = format!("Interrupted: it ended after line {imports}; load the same file again");
            assert!(ended.stdout.contains(&told), "{}", ended.stdout);
        }
        load.check_whole(imports).await;
    }
    let before = load.count("imports").await;
    let [registered, skipped, refused] = counts(&load.load("imports.jsonl", content), 0);
    assert_eq!((registered + skipped, skipped, refused), (total.into(), before, 0));
    load.check_whole(total.into()).await;
}
