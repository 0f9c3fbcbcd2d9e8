//! Completion, in the real shells.

use crate::common::Database;
use crate::terminal::Terminal;
use crate::world::{Ended, MACHINE, NAME, World, program};

/// How each shell starts without anybody's settings, learns of the program, and begins a name: bash takes a bare
/// `~`, which begins the name of a user in the others.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash --norc --noprofile -i", "eval \"$(code-imports completions bash)\"", "~"),
    ("zsh -f -i", "autoload -U compinit; compinit -u -D; eval \"$(code-imports completions zsh)\"", "'~"),
    ("fish --no-config -i", "code-imports completions fish | source", "'~"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_shell_completes_verbs_and_names_and_runs_what_it_completed() {
    let mut world = World::new().await;
    world.register();
    world.speak().await;
    for (start, learn, tilde) in SHELLS {
        let mut shell = Terminal::of(&world, start, &[]);
        shell.type_in(&format!("{learn}; echo rea''dy\n"));
        shell.wait_for("ready\r\n");
        shell.type_in(&format!("code-imports impo\tsho\t{tilde}gno\t\n"));
        let shown = shell.wait_for("It has never run.");
        assert!(shown.contains(&format!("{NAME} (number 1)")), "{start}: {shown}");
        shell.type_in("code-imports machine show baz\t\n");
        shell.wait_for("It runs no job.");
        shell.type_in("code-imports import list --owner gno\t--status REV\t-o na\t\n");
        shell.wait_for(&format!("{NAME}\r\n"));
        shell.type_in("exit\n");
        assert_eq!(shell.end().0, 0, "{start}");
    }
}

/// What a shell asks for this line, whose last word is begun.
fn candidates(database: &Database, user: &str, words: &str) -> Vec<String> {
    let index = words.split(' ').count().to_string();
    let mut asked = program("");
    asked.arg("--").arg("code-imports").args(words.split(' '));
    asked.env("CODE_IMPORTS_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    asked.env("DATABASE_URL", &database.url).env("CODE_IMPORTS_USER", user);
    let ended: Ended = asked.output().unwrap().into();
    ended.text().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_noun_is_completed_as_far_as_it_may_be_seen() {
    let mut world = World::new().await;
    let job = world.register();
    world.speak().await;
    let complete = |user: &str, words: &str| candidates(&world.database, user, words);
    let begin = "~gnome/g";
    for verb in ["show", "update", "request", "try-again", "approve", "suspend", "invalidate", "delete"] {
        assert_eq!(complete("david", &format!("import {verb} {begin}")), [NAME], "{verb}");
    }
    let (number, machine) = (job.to_string(), MACHINE);
    for (words, expected) in [
        ("job show 1", number.as_str()),
        ("job kill ~gnome/g", NAME),
        ("event list --import ~g", NAME),
        ("event list --person ol", "olga"),
        ("machine quiesce b", machine),
        ("job list --machine baz", machine),
        ("team members adm", "admins"),
        ("import list --as davi", "david"),
        ("import list --rcs HG", "HG"),
    ] {
        assert_eq!(complete("david", words), [expected], "{words}");
    }
    assert_eq!(complete("olga", "import show ~"), [NAME]);
    for (user, words) in [
        ("no-priv", "import show ~"),
        ("olga", "machine show b"),
        ("nobody", "import show ~"),
        ("david", "import show ~gn_me"),
    ] {
        assert_eq!(complete(user, words), Vec::<String>::new(), "{user} {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_names_come_than_a_screen_holds_and_none_when_the_database_is_away() {
    let world = World::new().await;
    world.many("david", "a.org", "NEW", 60).await;
    assert_eq!(candidates(&world.database, "david", "import show ~david/m/i").len(), 50);
    let mut asked = program("");
    asked.args(["--", "code-imports", "import", "show", "~"]);
    asked.env("CODE_IMPORTS_COMPLETE", "fish").env("CODE_IMPORTS_USER", "david");
    asked.env("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d");
    let ended: Ended = asked.output().unwrap().into();
    assert!(!ended.text().contains('~'));
}
