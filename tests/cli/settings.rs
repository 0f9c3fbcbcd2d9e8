//! Settings, usage, servers that are not there, and `migrate`.

use crate::common::{Database, Vhost};
use crate::world::{Ended, World, program};

fn run(words: &str, environment: &[(&str, &str)]) -> Ended {
    program(words).envs(environment.iter().copied()).output().unwrap().into()
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let environment = [
        ("AMQP_URL", "amqp://host/"),
        ("CODE_IMPORTS_UPDATE_INTERVAL", "six hours"),
        ("CODE_IMPORTS_EXTRA_SCHEMES", "file,gopher"),
        ("CODE_IMPORTS_WINDOW_MAX", "5"),
    ];
    let words =
        "serve --echo-interval 30s --heartbeat-timeout 40s --http nowhere --allowed-networks 10.0.0.0/99";
    let told = run(words, &environment).wrong(2);
    for expected in [
        "DATABASE_URL is not set: ",
        "AMQP_URL: the virtual host is empty; for the default one end it with /%2f",
        "--update-interval (CODE_IMPORTS_UPDATE_INTERVAL): expected a time with its unit, like 6h or 30s, not \"six hours\"",
        "--extra-schemes (CODE_IMPORTS_EXTRA_SCHEMES): expected some of file, ssh, svn+ssh, bzr+ssh with commas between, not \"gopher\"",
        "--allowed-networks (CODE_IMPORTS_ALLOWED_NETWORKS): expected networks like 10.1.0.0/16",
        "--echo-interval (CODE_IMPORTS_ECHO_INTERVAL): expected a time from 1s to 29s, not 30s",
        "--http (CODE_IMPORTS_HTTP): expected 127.0.0.1:8080 or none, not \"nowhere\"",
        "--heartbeat-timeout and --heartbeat-interval: ",
        "--window-min and --window-max: ",
    ] {
        assert!(told.contains(expected), "{expected}\nis not in\n{told}");
    }
    assert_eq!(told.lines().count(), 10, "{told}");
}

#[test]
fn what_is_wrong_with_a_worker_is_told_at_once() {
    let words = "worker --machine Bad_Name --rcs-types git,darcs --slots 0 --prefix a/b --run-limit 1";
    let told = run(words, &[]).wrong(2);
    for expected in
        ["AMQP_URL is not set", "--machine ", "not \"DARCS\"", "--slots ", "--prefix ", "--run-limit "]
    {
        assert!(told.contains(expected), "{expected}\nis not in\n{told}");
    }
}

#[test]
fn a_flag_counts_over_the_environment() {
    let environment = [("CODE_IMPORTS_UPDATE_INTERVAL", "nonsense"), ("CODE_IMPORTS_USER", "me")];
    let told = run("import list --update-interval 1h", &environment).wrong(2);
    assert!(told.contains("DATABASE_URL is not set") && !told.contains("nonsense"), "{told}");
}

#[test]
fn every_setting_is_in_the_help_with_unit_and_default_and_no_secret() {
    let environment = [("DATABASE_URL", "postgres://u:secret@h/d"), ("AMQP_URL", "amqp://u:secret@h/v")];
    let help = run("serve --help", &environment).text();
    assert!(!help.contains("secret"), "{help}");
    for (flag, default) in [
        ("update-interval", "6h"),
        ("cvs-update-interval", "12h"),
        ("failure-limit", "5"),
        ("infrastructure-backoff", "5min"),
        ("heartbeat-interval", "30s"),
        ("heartbeat-timeout", "300s"),
        ("machine-timeout", "300s"),
        ("quiesce-grace", "30s"),
        ("dispatch-timeout", "10min"),
        ("window-min", "10"),
        ("window-max", "5000"),
        ("echo-interval", "10s"),
        ("retention-results", "365d"),
        ("retention-events", "365d"),
        ("retention-commands", "7d"),
        ("events-per-partition", "10000000"),
        ("http", "127.0.0.1:8080"),
        ("prefix", "code-imports"),
        ("extra-schemes", "none"),
        ("blocked-hosts", "localhost and this host's name"),
        ("allowed-networks", "none"),
    ] {
        let entry = help.split("      --").find(|entry| entry.starts_with(&format!("{flag} "))).unwrap();
        let entry = entry.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(entry.contains(&format!("[default: {default}]")), "{entry}");
        let variable = format!("[env: CODE_IMPORTS_{}=", flag.to_uppercase().replace('-', "_"));
        assert!(entry.contains(&variable), "{entry}");
    }
}

#[test]
fn wrong_usage_exits_2_and_help_exits_0() {
    assert!(run("", &[]).wrong(2).contains("Usage: code-imports"));
    assert!(run("import explode", &[]).wrong(2).contains("unrecognized subcommand"));
    assert!(run("import show nonsense", &[]).wrong(2).contains("it reads ~owner/project/name"));
    assert!(run("import list --rcs darcs", &[]).wrong(2).contains("expected one of CVS, SVN, GIT, HG, BZR"));
    assert!(run("import request ~a/b/c --timeout 5s", &[]).wrong(2).contains("--wait"));
    assert!(run("--help", &[]).text().contains("Exit codes: 0 fine"));
    let filter = [("CODE_IMPORTS_LOG", "a=b=c")];
    assert!(run("person list", &filter).wrong(2).contains("CODE_IMPORTS_LOG: expected a filter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_must_be_said() {
    let world = World::new().await;
    let url = [("DATABASE_URL", world.database.url.as_str())];
    for words in ["import list", "job list", "machine list", "event list", "import request ~a/b/c"] {
        let told = run(words, &url).wrong(2);
        assert_eq!(told, "error: say who acts: --as NAME, or set CODE_IMPORTS_USER\n", "{words}");
    }
    run("import list --as david", &url).text();
}

#[test]
fn a_server_that_cannot_be_reached_exits_3_with_host_and_remedy() {
    // Nobody listens on port 1.
    let environment = [
        ("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/d"),
        ("AMQP_URL", "amqp://u:secret@127.0.0.1:1/v"),
    ];
    for words in ["person list", "migrate", "import list --as me"] {
        let told = run(words, &environment).wrong(3);
        assert!(told.starts_with("error: cannot connect to PostgreSQL at 127.0.0.1:1/d: "), "{told}");
        assert!(told.contains("`make services` starts a private one"), "{told}");
    }
    for words in ["topology check", "topology apply"] {
        let told = run(words, &environment).wrong(3);
        assert!(told.starts_with("error: cannot connect to RabbitMQ at 127.0.0.1:1/v: "), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

/// Whoever mends it must know which of the two it was.
#[test]
fn an_address_that_is_wrong_is_told_with_the_setting_that_said_it() {
    let environment = [("DATABASE_URL", "nonsense"), ("AMQP_URL", "nonsense")];
    let told = run("person list", &environment).wrong(2);
    assert!(told.contains("DATABASE_URL: expected postgres://user:password@host"), "{told}");
    let told = run("person list --database-url rubbish", &environment).wrong(2);
    assert!(
        told.contains("--database-url: expected postgres://") && !told.contains(" DATABASE_URL:"),
        "{told}"
    );
    let told = run("topology check --amqp-url rubbish", &environment).wrong(2);
    assert!(told.contains("--amqp-url: expected amqp[s]://"), "{told}");
    let away = "postgres://me:secret@127.0.0.1:1/d";
    assert!(
        run("person list", &[("DATABASE_URL", away)]).wrong(3).contains("(the address is from DATABASE_URL)")
    );
    let told = run(&format!("person list --database-url {away}"), &environment).wrong(3);
    assert!(told.contains("(the address is from --database-url)") && !told.contains("secret"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_us_is_told_apart_from_one_that_is_not_there() {
    let (world, vhost) = (World::new().await, Vhost::new());
    let told = run("person list", &[("DATABASE_URL", &format!("{}_not", world.database.url))]).wrong(1);
    assert!(told.starts_with("error: PostgreSQL at 127.0.0.1:") && told.contains(" refused us: "), "{told}");
    assert!(told.contains("does not exist"), "{told}");
    let (_, server) = vhost.url.split_once('@').unwrap();
    let told = run("topology check", &[("AMQP_URL", &format!("amqp://nobody:secret@{server}"))]).wrong(1);
    assert!(told.starts_with("error: the broker at 127.0.0.1:"), "{told}");
    assert!(
        told.contains(" refused the account nobody: ACCESS_REFUSED") && !told.contains("secret"),
        "{told}"
    );
    let told = run("topology check", &[("AMQP_URL", &format!("{}-not", vhost.url))]).wrong(1);
    assert!(told.contains("refused the account coordinator: NOT_ALLOWED"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_meanwhile_exits_3() {
    let world = World::new().await;
    world.register();
    let mut following = world.start("david", "event follow --after 0");
    following.line();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'code-imports cli'";
    world.database.client().await.execute(end, &[]).await.unwrap();
    let told = following.end().wrong(3);
    assert!(told.starts_with("error: PostgreSQL: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_schema_is_migrated_once() {
    let database = Database::new().await;
    database.client().await.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    let url = [("DATABASE_URL", database.url.as_str())];
    let told = run("person list", &url).wrong(1);
    assert!(told.contains("Type `code-imports migrate`"), "{told}");

    let ran = run("migrate", &url).text();
    assert!(ran.starts_with("Ran migration 20261124000001.\n"), "{ran}");
    let again = run("migrate", &url).text();
    assert!(again.starts_with("The schema was up to date.\n"), "{again}");
    run("person add ann", &url).text();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_read_enough_ends_it_quietly() {
    let world = World::new().await;
    let mut program = program("person list");
    program.env("DATABASE_URL", &world.database.url).env("CODE_IMPORTS_USER", "ann");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended: Ended = program.stdout(writer).output().unwrap().into();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}
