//! No run changes a target once a newer one has begun, or once its lease is over.

use std::fs::File;
use std::time::Duration;

use code_imports::domain::Status;
use code_imports::worker::{BootTime, Lease};

use super::world::{INTERRUPTED, World};

const SUPERSEDED: &str = "INTERNAL_FAILURE superseded: a newer run has begun";

#[tokio::test]
async fn a_run_of_an_older_job_stops_before_it_begins() {
    let world = World::new();
    world.outcome(5).await;
    let before = world.refs();
    world.commit("second");
    assert_eq!(world.outcome(4).await, SUPERSEDED);
    assert_eq!(world.refs(), before);
    assert_eq!(world.in_target(&["cat-file", "blob", "refs/code-imports/job"]), "5");
}

/// The script is the newer run: it begins when the older one has looked at lock, lease and job ref, and is
/// about to write.
const NEWER_RUN_JUST_BEFORE_THE_WRITE: &str = r#"
case "$*" in
*update-ref*)
    cat > "$SPACE/input"
    if grep -q refs/heads/ "$SPACE/input"; then
        blob=$(printf 99 | "$GIT" --git-dir="$TARGET" hash-object -w --stdin)
        "$GIT" --git-dir="$TARGET" update-ref refs/code-imports/job "$blob"
    fi
    exec "$GIT" "$@" < "$SPACE/input" ;;
esac
exec "$GIT" "$@"
"#;

#[tokio::test]
async fn a_run_that_was_stopped_between_look_and_write_moves_no_ref() {
    let mut world = World::new();
    world.outcome(1).await;
    let before = world.refs();
    world.commit("second");
    world.branches(["new".to_owned()]);
    world.script_git(NEWER_RUN_JUST_BEFORE_THE_WRITE);
    assert_eq!(world.outcome(2).await, SUPERSEDED);
    assert_eq!(world.refs(), before);
    assert_eq!(world.in_target(&["cat-file", "blob", "refs/code-imports/job"]), "99");
}

#[tokio::test]
async fn a_superseded_run_does_not_even_make_way() {
    let mut world = World::new();
    world.branches(["x".to_owned()]);
    world.outcome(1).await;
    let before = world.refs();
    world.git(&["branch", "-q", "-D", "x"]);
    world.branches(["x/y".to_owned()]);
    world.script_git(NEWER_RUN_JUST_BEFORE_THE_WRITE);
    assert_eq!(world.outcome(2).await, SUPERSEDED);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_ref_that_somebody_else_moved_is_not_overwritten() {
    let mut world = World::new();
    world.outcome(1).await;
    world.commit("second");
    let script =
        NEWER_RUN_JUST_BEFORE_THE_WRITE.replace("refs/code-imports/job \"$blob\"", "-d refs/heads/main");
    world.script_git(&script);
    let outcome = world.outcome(2).await;
    assert!(outcome.starts_with("INTERNAL_FAILURE locked: prepare: cannot lock ref"), "{outcome}");
    assert!(world.refs().is_empty());
}

#[tokio::test]
async fn a_run_whose_lease_is_over_lets_go_of_the_lock_and_waits() {
    let mut world = World::new();
    world.outcome(1).await;
    let before = world.refs();
    world.commit("second");
    world.lease = Lease::new(BootTime::now(), Duration::ZERO);
    let run = world.outcome(2);
    tokio::pin!(run);
    tokio::select! {
        outcome = &mut run => panic!("{outcome}"),
        () = world.await_log("Waiting for the coordinator") => {}
    }
    lock_file(&world).try_lock().unwrap();
    assert_eq!(world.refs(), before);
    world.lease.renew(BootTime::now(), Duration::from_mins(5));
    assert_eq!(run.await, "SUCCESS 1 new commit, 1 ref changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn a_run_that_waits_for_the_lock_can_be_cancelled() {
    let world = World::new();
    world.outcome(1).await;
    let held = lock_file(&world);
    held.lock().unwrap();
    let run = world.outcome(2);
    tokio::pin!(run);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..3 {
        tokio::select! {
            outcome = &mut run => panic!("{outcome}"),
            _ = ticks.tick() => {}
        }
    }
    world.stop.token().cancel();
    assert_eq!(run.await, INTERRUPTED);
}

/// The worker is killed, its `git` is not: the script plays a `git` that goes on with what it was told.
#[tokio::test]
async fn a_git_that_outlives_its_worker_still_holds_the_lock() {
    let mut world = World::new();
    world.outcome(1).await;
    world.commit("second");
    let script =
        r#"case "$*" in *update-ref*) echo "at work" >&2; exec sleep 1000 ;; esac; exec "$GIT" "$@""#;
    world.script_git(script);
    let run = world.outcome(2);
    tokio::pin!(run);
    tokio::select! {
        outcome = &mut run => panic!("{outcome}"),
        () = world.await_log("at work") => {}
    }
    let lock = std::fs::canonicalize(world.target().join("code-imports.lock")).unwrap();
    assert!(!holders(&lock).is_empty());
    world.stop.token().cancel();
    assert_eq!(run.await, INTERRUPTED);
    lock_file(&world).try_lock().unwrap();
}

/// The command lines of the processes that have a file open as their output.
fn holders(file: &std::path::Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let holds = |process: &std::fs::DirEntry| {
        std::fs::read_link(process.path().join("fd/1")).is_ok_and(|output| output == file)
    };
    let command = |process: std::fs::DirEntry| std::fs::read_to_string(process.path().join("cmdline")).ok();
    processes.filter(holds).filter_map(command).collect()
}

#[tokio::test]
async fn an_interrupted_start_of_a_target_is_no_obstacle() {
    let mut world = World::new();
    world.script_git(r#"case "$*" in *init*) "$GIT" "$@"; exit 128 ;; esac; exec "$GIT" "$@""#);
    assert_eq!(world.report(1).await.status, Status::InternalFailure);
    assert!(!world.target().exists());
    let dead = world.target().with_extension("dead.new");
    std::fs::create_dir(dead).unwrap();
    world.script_git(r#"exec "$GIT" "$@""#);
    assert_eq!(world.report(2).await.status, Status::Success);
    world.assert_mirrored();
    let siblings = std::fs::read_dir(world.target().parent().unwrap()).unwrap().count();
    assert_eq!(siblings, 1);
}

fn lock_file(world: &World) -> File {
    File::options().append(true).open(world.target().join("code-imports.lock")).unwrap()
}
