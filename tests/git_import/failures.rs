//! What a web server or a broken repository makes of an import.

use code_imports::domain::SourcePolicy;

use super::server::{Answers, Server};
use super::world::World;

async fn outcome_of(status: &str, headers: &str, body: &str) -> String {
    let server = Server::saying(status, headers, body);
    World::empty().at(server.url("repository")).outcome(1).await
}

#[tokio::test]
async fn what_a_web_server_says_is_told_apart() {
    #[track_caller]
    fn check(outcome: &str, expected: &str) {
        assert!(outcome.starts_with(expected), "{outcome}, not {expected}");
    }
    check(&outcome_of("403 Forbidden", "", "").await, "FAILURE_INVALID denied: ");
    check(&outcome_of("404 Not Found", "", "").await, "FAILURE_INVALID not_found: repository 'http://");
    check(&outcome_of("410 Gone", "", "").await, "FAILURE_INVALID gone: ");
    check(&outcome_of("451 Unavailable", "", "").await, "FAILURE_INVALID gone: ");
    check(&outcome_of("429 Too Many Requests", "Retry-After: 9\r\n", "").await, "FAILURE rate_limited: ");
    check(&outcome_of("500 Internal Server Error", "", "").await, "FAILURE http_5xx: ");
    check(&outcome_of("503 Service Unavailable", "", "").await, "FAILURE http_5xx: ");
    check(&outcome_of("418 Teapot", "", "").await, "FAILURE http_4xx: ");
    let challenge = "WWW-Authenticate: Basic realm=\"x\"\r\n";
    check(
        &outcome_of("401 Unauthorized", challenge, "").await,
        "FAILURE_INVALID auth: could not read Username",
    );
    let page = "<html>\n<body>Log in, please.</body>\n</html>\n";
    check(
        &outcome_of("200 OK", "Content-Type: text/html\r\n", page).await,
        "FAILURE_INVALID not_a_repository: ",
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::new();
    let root = world.directory.path().to_owned();
    let behind = Server::start(Answers::Repositories { root, authorization: None });
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location =
            format!("Location: {}\r\n", behind.url("upstream/.git/info/refs?service=git-upload-pack"));
        let outcome = outcome_of(status, &location, "").await;
        assert!(outcome.starts_with("FAILURE_INVALID moved: "), "{outcome}");
    }
    assert!(behind.commands.lock().unwrap().is_empty(), "somebody came");
}

#[tokio::test]
async fn an_empty_answer_deletes_nothing() {
    let world = World::new();
    world.outcome(1).await;
    let before = world.refs();
    for body in ["", "<html>one line</html>"] {
        let server = Server::saying("200 OK", "", body);
        let world = World { url: server.url("repository"), ..world_like(&world) };
        let outcome = world.outcome(2).await;
        let status = outcome.split(' ').next().unwrap();
        assert!(["FAILURE_REMOTE_BROKEN", "FAILURE_INVALID"].contains(&status), "{outcome}");
    }
    assert_eq!(world.refs(), before);
}

/// Another worker with the same targets.
fn world_like(world: &World) -> World {
    let mut other = World::empty();
    other.settings.targets.clone_from(&world.settings.targets);
    other
}

#[tokio::test]
async fn nobody_at_the_port_is_told_as_such() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let outcome = World::empty().at(format!("http://127.0.0.1:{port}/b")).outcome(1).await;
    assert!(outcome.starts_with("FAILURE connect: "), "{outcome}");
    let outcome = World::empty().at(format!("git://127.0.0.1:{port}/b")).outcome(1).await;
    assert!(outcome.starts_with("FAILURE connect: "), "{outcome}");
}

#[tokio::test]
async fn no_repository_at_a_path_is_told_as_such() {
    let mut world = World::empty();
    world.url = format!("file://{}/nothing", world.directory.path().display());
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("FAILURE_INVALID not_found: "), "{outcome}");
}

#[tokio::test]
async fn a_damaged_remote_is_told_as_such() {
    let world = World::new();
    let blob = world.git(&["rev-parse", "HEAD:file"]);
    let path = world.upstream().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "rubbish").unwrap();
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("FAILURE_REMOTE_BROKEN corrupt: "), "{outcome}: {}", world.log.text());
    assert!(world.refs().is_empty());
}

#[tokio::test]
async fn a_tree_that_would_harm_a_reader_is_refused() {
    let world = World::new();
    let blob = world.git(&["rev-parse", "HEAD:file"]);
    let inner = world.git_with(&["mktree"], &format!("100644 blob {blob}\tconfig\n"));
    let tree = world.git_with(&["mktree"], &format!("040000 tree {inner}\t.git\n"));
    let commit = world.git(&["commit-tree", "-m", "evil", &tree]);
    world.git(&["branch", "evil", &commit]);
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("FAILURE_REMOTE_BROKEN corrupt: "), "{outcome}: {}", world.log.text());
    assert!(outcome.contains("hasDotgit"), "{outcome}");
}

#[tokio::test]
async fn what_the_policy_refuses_is_not_even_asked() {
    let server = Server::saying("200 OK", "", "");
    let mut world = World::new().at(server.url("b"));
    world.settings.policy = SourcePolicy::default();
    let outcome = world.outcome(1).await;
    assert!(
        outcome.starts_with("FAILURE_FORBIDDEN forbidden: The host \"127.0.0.1\" is refused"),
        "{outcome}"
    );

    world.url = format!("file://{}", world.upstream().display());
    let outcome = world.outcome(2).await;
    let expected = "FAILURE_FORBIDDEN forbidden: The URI scheme \"file\" is not allowed.";
    assert!(outcome.starts_with(expected), "{outcome}");

    // A name is allowed, until it leads to a forbidden address.
    world.settings.policy.blocked_hosts.clear();
    world.url = format!("http://localhost:{}/b", server.port);
    let outcome = world.outcome(3).await;
    assert!(
        outcome.starts_with("FAILURE_FORBIDDEN forbidden: The host \"localhost\" is refused"),
        "{outcome}"
    );
    assert!(server.commands.lock().unwrap().is_empty(), "somebody came");
    assert!(!world.target().exists());
}
