//! What an import does when all is well.

use code_imports::domain::Status;

use super::world::World;

#[tokio::test]
async fn the_first_import_brings_everything() {
    let world = World::new();
    world.commit("second");
    world.git(&["tag", "light"]);
    world.git(&["tag", "-a", "-m", "a tag", "heavy"]);
    world.git(&["branch", "a/b/c"]);
    let report = world.report(1).await;
    assert_eq!(report.status, Status::Success);
    assert_eq!(report.reason.as_deref(), Some("2 new commits, 4 refs changed, HEAD is heads/main"));
    assert_eq!(report.stats["revisions"], 2);
    assert_eq!(report.stats["refs_created"], 4);
    assert!(report.stats["bytes"].as_u64().unwrap() > 100, "{:?}", report.stats);
    assert!(report.log_tail.unwrap().contains("refs/incoming"));
    world.assert_mirrored();
}

#[tokio::test]
async fn an_import_without_news_changes_nothing() {
    let world = World::new();
    world.outcome(1).await;
    assert_eq!(world.outcome(2).await, "SUCCESS_NOCHANGE nothing new: 1 refs as before");
    world.assert_mirrored();
}

#[tokio::test]
async fn a_new_commit_is_imported() {
    let world = World::new();
    world.outcome(1).await;
    world.commit("second");
    let report = world.report(2).await;
    assert_eq!(report.reason.as_deref(), Some("1 new commit, 1 ref changed"));
    assert_eq!((&report.stats["refs_updated"], &report.stats["revisions"]), (&1.into(), &1.into()));
    world.assert_mirrored();
}

#[tokio::test]
async fn a_rewritten_branch_is_followed() {
    let world = World::new();
    world.commit("second");
    world.outcome(1).await;
    world.git(&["commit", "-q", "--amend", "-m", "other"]);
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 1 ref changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn a_deleted_branch_is_deleted() {
    let world = World::new();
    world.branches(["gone".to_owned()]);
    world.outcome(1).await;
    world.git(&["branch", "-q", "-D", "gone"]);
    let report = world.report(2).await;
    assert_eq!(report.reason.as_deref(), Some("0 new commits, 1 ref changed"));
    assert_eq!(report.stats["refs_deleted"], 1);
    world.assert_mirrored();
}

#[tokio::test]
async fn a_moved_tag_is_followed() {
    let world = World::new();
    world.git(&["tag", "v1"]);
    world.git(&["tag", "blob", &world.git(&["rev-parse", "HEAD:file"])]);
    world.outcome(1).await;
    world.commit("second");
    world.git(&["tag", "-f", "-a", "-m", "moved", "v1"]);
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 2 refs changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn the_default_branch_is_followed() {
    let world = World::new();
    world.git(&["branch", "trunk"]);
    world.outcome(1).await;
    world.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    assert_eq!(world.outcome(2).await, "SUCCESS 0 new commits, 0 refs changed, HEAD is heads/trunk");
    assert_eq!(world.report(3).await.status, Status::SuccessNoChange);
    world.assert_mirrored();
}

#[tokio::test]
async fn a_branch_makes_way_for_branches_below_it_and_the_reverse() {
    let world = World::new();
    world.branches(["x".to_owned(), "y/z".to_owned(), "other".to_owned()]);
    world.outcome(1).await;
    world.git(&["branch", "-q", "-D", "x", "y/z", "other"]);
    world.branches(["x/a/b".to_owned(), "y".to_owned()]);
    assert_eq!(world.outcome(2).await, "SUCCESS 0 new commits, 5 refs changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn two_thousand_refs_are_imported_and_stay_one_file() {
    let world = World::new();
    world.branches((0..2_000).map(|number| format!("group/{number}")));
    assert_eq!(world.outcome(1).await, "SUCCESS 1 new commit, 2001 refs changed, HEAD is heads/main");
    assert!(!world.target().join("refs/heads/group").exists());
    world.git(&["branch", "-q", "-D", "group/7"]);
    world.commit("second");
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 2 refs changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn a_sha256_repository_is_imported() {
    let world = World::empty();
    world.replace_upstream(&["--object-format=sha256"]);
    world.commit("first");
    assert!(world.outcome(1).await.starts_with("SUCCESS 1 new commit"));
    world.commit("second");
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 1 ref changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn an_old_mistake_in_a_repository_is_let_through() {
    let world = World::new();
    let blob = world.git(&["rev-parse", "HEAD:file"]);
    let bytes: Vec<u8> = blob.as_bytes().chunks(2).map(hex).collect();
    let tree = [b"040000 a\0".as_slice(), &empty_tree(&world), b"0100644 file\0", &bytes].concat();
    let path = world.directory.path().join("tree");
    std::fs::write(&path, tree).unwrap();
    let path = path.display().to_string();
    let tree = world.git(&["hash-object", "-t", "tree", "-w", "--literally", &path]);
    let commit = world.git(&["commit-tree", "-m", "old", &tree]);
    world.git(&["branch", "old", &commit]);
    assert!(world.outcome(1).await.starts_with("SUCCESS 2 new commits"));
    assert!(world.refs().contains_key("refs/heads/old"));
}

fn empty_tree(world: &World) -> Vec<u8> {
    let oid = world.git_with(&["mktree"], "");
    oid.as_bytes().chunks(2).map(hex).collect()
}

fn hex(pair: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
}

#[tokio::test]
async fn what_killed_runs_left_is_swept_away() {
    let world = World::new();
    world.outcome(1).await;
    let (target, head) = (world.target(), world.git(&["rev-parse", "HEAD"]));
    world.in_target(&["update-ref", "refs/incoming/dead/heads/main", &head]);
    for left in ["refs/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_x"] {
        std::fs::write(target.join(left), "").unwrap();
    }
    std::fs::write(target.join("objects/pack/pack-1.keep"), "fetch-pack 1 on here\n").unwrap();
    std::fs::write(target.join("objects/pack/pack-2.keep"), "an operator's\n").unwrap();
    world.commit("second");
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 1 ref changed");
    assert!(!target.join("objects/pack/tmp_pack_x").exists());
    assert!(!target.join("objects/pack/pack-1.keep").exists());
    assert!(target.join("objects/pack/pack-2.keep").exists());
    world.assert_mirrored();
}

#[tokio::test]
async fn the_fence_is_hidden_from_those_who_read_the_target() {
    let world = World::new();
    world.outcome(1).await;
    let shown = world.in_target(&["ls-remote", "."]);
    assert!(shown.contains("refs/heads/main") && !shown.contains("code-imports"), "{shown}");
    assert_eq!(world.in_target(&["cat-file", "blob", "refs/code-imports/job"]), "1");
    let description = std::fs::read_to_string(world.target().join("description")).unwrap();
    assert_eq!(description, "~vcs-imports/gnome-terminal/import\n");
}
