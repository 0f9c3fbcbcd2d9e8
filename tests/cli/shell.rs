//! `completions` and `man`.

use crate::world::{Ended, program};

/// What nobody else is to see.
const ENVIRONMENT: [(&str, &str); 2] =
    [("DATABASE_URL", "postgres://u:secret@h/d"), ("CODE_IMPORTS_USER", "secret")];

fn run(words: &str) -> String {
    let ended: Ended = program(words).envs(ENVIRONMENT).output().unwrap().into();
    ended.text()
}

#[test]
fn each_shell_gets_a_script_that_asks_the_program_and_knows_no_secret() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&format!("completions {shell}"));
        assert!(
            script.contains(&format!("CODE_IMPORTS_COMPLETE=\"{shell}\"")) || shell == "fish",
            "{script}"
        );
        assert!(script.replace('"', "").contains("code-imports -- "), "{shell}: {script}");
        assert!(!script.contains("secret"), "{shell}");
    }
}

#[test]
fn every_verb_has_a_manual_page_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    run(&format!("man {}/man", directory.path().display()));
    let page = |name: &str| std::fs::read_to_string(directory.path().join("man").join(name)).unwrap();
    assert!(page("code-imports.1").contains("rejected"));
    assert!(page("code-imports-rejected-replay.1").contains("dry"));
    for verb in ["try-again", "approve", "suspend", "invalidate", "delete", "request"] {
        let page = page(&format!("code-imports-import-{verb}.1"));
        assert!(page.contains("host") && page.contains("dry"), "{verb}");
    }
    assert!(page("code-imports-job-show.1").contains("follow"));
    assert!(page("code-imports-serve.1").contains("CODE_IMPORTS_ECHO_INTERVAL"));
    assert!(!page("code-imports-import-list.1").contains("secret"));
}
