//! What is held although the remote does not show it any more.

use super::world::World;

#[tokio::test]
async fn a_mass_deletion_is_held_until_an_operator_accepts_it() {
    let world = World::new();
    world.branches((0..9).map(|number| format!("b{number}")));
    world.outcome(1).await;
    let before = world.refs();
    for number in 0..6 {
        world.git(&["branch", "-q", "-D", &format!("b{number}")]);
    }
    let outcome = world.outcome(2).await;
    let expected = "FAILURE_REMOTE_BROKEN replaced: 6 of 10 refs are gone from the remote; all is held. \
                    To accept it once, create /";
    assert!(outcome.starts_with(expected), "{outcome}");
    assert_eq!(world.refs(), before);

    let acceptance = world.target().join("code-imports.accept");
    assert!(outcome.ends_with(&acceptance.display().to_string()), "{outcome}");
    std::fs::write(&acceptance, "").unwrap();
    assert_eq!(world.outcome(3).await, "SUCCESS 0 new commits, 6 refs changed");
    assert!(!acceptance.exists());
    world.assert_mirrored();
}

#[tokio::test]
async fn an_emptied_remote_deletes_nothing() {
    let world = World::new();
    world.outcome(1).await;
    let before = world.refs();
    world.replace_upstream(&[]);
    let expected = "FAILURE_REMOTE_BROKEN emptied: \
                    the remote shows no branches and no tags any more; 1 are held";
    assert_eq!(world.outcome(2).await, expected);
    assert_eq!(world.refs(), before);
}

#[tokio::test]
async fn a_remote_that_was_always_empty_is_nothing_to_import() {
    let world = World::empty();
    let expected = "FAILURE_INVALID empty: the remote has no branches and no tags";
    assert_eq!(world.outcome(1).await, expected);
    assert!(!world.target().exists());
}

#[tokio::test]
async fn another_repository_in_the_old_one_s_place_is_held_off() {
    let world = World::new();
    world.outcome(1).await;
    let before = world.refs();
    world.replace_upstream(&[]);
    world.commit("unrelated");
    let outcome = world.outcome(2).await;
    let expected = "FAILURE_REMOTE_BROKEN replaced: heads/main has no history in common with what is held";
    assert!(outcome.starts_with(expected), "{outcome}");
    assert_eq!(world.refs(), before);
    std::fs::write(world.target().join("code-imports.accept"), "").unwrap();
    assert_eq!(world.outcome(3).await, "SUCCESS 1 new commit, 1 ref changed");
    world.assert_mirrored();
}

#[tokio::test]
async fn another_object_format_can_not_be_represented() {
    let world = World::new();
    world.outcome(1).await;
    world.replace_upstream(&["--object-format=sha256"]);
    world.commit("first");
    let expected = "FAILURE_UNSUPPORTED_FEATURE not_representable: \
                    the remote's object format is sha256, the target's is sha1";
    assert_eq!(world.outcome(2).await, expected);
}
