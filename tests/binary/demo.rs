//! The demo, as somebody types it whose terminal is a file.

use crate::process::Running;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_goes_as_it_should() {
    let world = World::new().await;
    let text = world.run("demo --directory demo").await.text();
    assert!(text.contains("All 6 went as they should."), "{text}");
    assert!(text.contains("3 new commits"), "{text}");
    assert!(!text.contains('\x1b'), "plain lines: {text}");
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_fails_when_something_is_wrong() {
    let world = World::new().await;
    let mut demo = world.program("demo --directory demo");
    demo.env("CODE_IMPORTS_GIT", "/nowhere/git");
    let ended = Running::start("demo", &demo).end().await;
    assert_eq!(ended.code, Some(1));
    let text = ended.text();
    assert!(text.contains("4 of 4 did not go as they should; they are marked with !."), "{text}");
    assert!(text.contains("/nowhere/git"), "{text}");
    world.check_invariants().await;
}
