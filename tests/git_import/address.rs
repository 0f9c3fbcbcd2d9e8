//! The ways to a remote, and what must not be seen on them.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use super::server::{Answers, Server};
use super::world::{World, git_program};

/// `me:s3cr3t@pw`.
const AUTHORIZATION: &str = "Basic bWU6czNjcjN0QHB3";

fn repositories(world: &World, authorization: Option<&'static str>) -> Server {
    Server::start(Answers::Repositories { root: world.directory.path().to_owned(), authorization })
}

#[tokio::test]
async fn a_web_server_is_imported_from() {
    let world = World::new();
    let server = repositories(&world, None);
    let world = world.at(server.url("upstream/.git"));
    assert!(world.outcome(1).await.starts_with("SUCCESS 1 new commit"));
    world.commit("second");
    assert_eq!(world.outcome(2).await, "SUCCESS 1 new commit, 1 ref changed");
    assert!(world.outcome(3).await.starts_with("SUCCESS_NOCHANGE"));
    world.assert_mirrored();
}

#[tokio::test]
async fn a_host_name_is_bound_to_its_addresses() {
    let mut world = World::new();
    let server = repositories(&world, None);
    world.settings.policy.blocked_hosts.clear();
    let world = world.at(format!("http://localhost:{}/upstream/.git", server.port));
    assert!(world.outcome(1).await.starts_with("SUCCESS 1 new commit"));
    world.assert_mirrored();
}

#[tokio::test]
async fn user_info_opens_the_door_and_is_nowhere_to_be_seen() {
    let world = World::new();
    let server = repositories(&world, Some(AUTHORIZATION));
    let url = server.url("upstream/.git");
    let world = world.at(url.replace("://", "://me:s3cr3t%40pw@"));
    let report = world.report(1).await;
    assert!(report.status.is_success(), "{report:?}");
    world.assert_mirrored();

    let commands = server.commands.lock().unwrap();
    assert!(
        commands.iter().any(|command| command.contains("git-remote-http") || command.contains("remote-http"))
    );
    assert!(!commands.iter().any(|command| command.contains("s3cr3t")), "{commands:?}");
    let config = std::fs::read_to_string(world.target().join("config")).unwrap();
    assert!(!config.contains("s3cr3t") && !config.contains("me:"), "{config}");
    assert!(!format!("{report:?}").contains("s3cr3t"), "{report:?}");
    assert!(!world.log.text().contains("s3cr3t"));
}

#[tokio::test]
async fn wrong_user_info_is_told_without_showing_it() {
    let world = World::new();
    let server = repositories(&world, Some(AUTHORIZATION));
    let url = server.url("upstream/.git");
    let world = world.at(url.replace("://", "://me:wr0ngpw@"));
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("FAILURE_INVALID auth: Authentication failed"), "{outcome}");
    assert!(!outcome.contains("wr0ngpw") && !world.log.text().contains("wr0ngpw"), "{outcome}");
}

/// The address is connected to, and the name is asked for: the server has a repository under it alone.
#[tokio::test]
async fn the_git_protocol_names_its_host() {
    let mut world = World::new();
    let listener = TcpListener::bind(("localhost", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::fs::create_dir(world.directory.path().join("localhost")).unwrap();
    std::os::unix::fs::symlink(world.upstream(), world.directory.path().join("localhost/b")).unwrap();
    let path = format!("--interpolated-path={}/%H%D", world.directory.path().display());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (input, output): (OwnedFd, OwnedFd) = (stream.try_clone().unwrap().into(), stream.into());
            let mut daemon = Command::new(git_program());
            daemon.args(["daemon", "--inetd", "--export-all", &path]);
            daemon.stdin(Stdio::from(input)).stdout(Stdio::from(output)).status().unwrap();
        }
    });
    world.settings.policy.blocked_hosts.clear();
    let world = world.at(format!("git://localhost:{port}/b"));
    let outcome = world.outcome(1).await;
    assert!(outcome.starts_with("SUCCESS 1 new commit"), "{outcome}");
    world.assert_mirrored();
}
