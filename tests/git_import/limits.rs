//! No run lasts longer than it may, and none leaves anything running.

use std::time::Duration;

use super::world::{INTERRUPTED, World};

/// Serves all but the probe, which it hangs in, with a process of its own.
const HANGS: &str =
    r#"case "$*" in *ls-remote*) sleep 1000 & echo "pids $$ $!" >&2; wait ;; esac; exec "$GIT" "$@""#;

#[tokio::test]
async fn a_silent_remote_is_given_up_with_all_that_was_started() {
    let mut world = World::new();
    world.script_git(HANGS);
    world.settings.inactivity_timeout = Duration::from_secs(2);
    assert_eq!(world.outcome(1).await, "FAILURE timeout: no output for 2 s");
    assert_nothing_runs(&world).await;
}

#[tokio::test]
async fn a_remote_that_talks_for_ever_is_given_up() {
    let mut world = World::new();
    world.script_git(r#"case "$*" in *ls-remote*) exec yes >&2 ;; esac; exec "$GIT" "$@""#);
    world.settings.run_limit = Duration::from_millis(500);
    assert_eq!(world.outcome(1).await, "FAILURE timeout: the whole run took too long");
}

#[tokio::test]
async fn a_cancelled_run_ends_with_all_that_it_started() {
    let mut world = World::new();
    world.script_git(HANGS);
    let run = world.outcome(1);
    tokio::pin!(run);
    tokio::select! {
        outcome = &mut run => panic!("{outcome}"),
        () = world.await_log("pids") => {}
    }
    world.stop.token().cancel();
    assert_eq!(run.await, INTERRUPTED);
    assert_nothing_runs(&world).await;
}

#[tokio::test]
async fn output_without_end_is_refused() {
    let mut world = World::new();
    world.script_git(r#"case "$*" in *ls-remote*) exec yes ;; esac; exec "$GIT" "$@""#);
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("FAILURE_UNSUPPORTED_FEATURE too_many_refs: "), "{outcome}");
}

#[tokio::test]
async fn a_worker_without_git_blames_itself() {
    let mut world = World::new();
    world.settings.git = "/nowhere/git".into();
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("INTERNAL_FAILURE process: /nowhere/git: "), "{outcome}");
}

#[tokio::test]
async fn a_full_disk_is_not_the_import_s_fault() {
    let mut world = World::new();
    let script = r#"case "$*" in *fetch*) echo "fatal: write error: No space left on device" >&2; exit 128 ;; esac; exec "$GIT" "$@""#;
    world.script_git(script);
    assert_eq!(world.outcome(1).await, "INTERNAL_FAILURE disk: write error: No space left on device");
}

/// Waits for the processes to be over whose numbers are in the log.
async fn assert_nothing_runs(world: &World) {
    let log = world.log.text();
    let pids = log.lines().find_map(|line| line.strip_prefix("pids ")).unwrap();
    let is_over = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while !pids.split(' ').all(is_over) {
        ticks.tick().await;
    }
}
