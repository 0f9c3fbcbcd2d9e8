//! `completions` and `man`.

use std::process::Command;

use crate::world::{Ended, program};

/// What nobody else is to see.
const ENVIRONMENT: [(&str, &str); 2] =
    [("DATABASE_URL", "postgres://u:secret@h/d"), ("CODE_IMPORTS_USER", "secret")];

fn run(words: &str) -> String {
    let ended: Ended = program(words).envs(ENVIRONMENT).output().unwrap().into();
    ended.text()
}

#[test]
fn each_shell_gets_a_script_that_knows_the_verbs_and_no_secret() {
    for (shell, begin) in
        [("bash", "_code__imports()"), ("zsh", "#compdef code-imports"), ("fish", "# Print")]
    {
        let script = run(&format!("completions {shell}"));
        assert!(script.starts_with(begin), "{shell}: {}", &script[..200]);
        assert!(script.contains("try-again") && script.contains("older-than"), "{shell}");
        assert!(!script.contains("secret"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    std::fs::write(&path, run("completions bash")).unwrap();
    assert!(Command::new("bash").arg("-n").arg(path).status().unwrap().success());
}

#[test]
fn every_verb_has_a_manual_page_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    run(&format!("man {}/man", directory.path().display()));
    let page = |name: &str| std::fs::read_to_string(directory.path().join("man").join(name)).unwrap();
    assert!(page("code-imports.1").contains("rejected"));
    assert!(page("code-imports-rejected-replay.1").contains("dry"));
    assert!(page("code-imports-serve.1").contains("CODE_IMPORTS_ECHO_INTERVAL"));
    assert!(!page("code-imports-import-list.1").contains("secret"));
}
