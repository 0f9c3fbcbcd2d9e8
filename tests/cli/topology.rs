//! `topology`.

use serde_json::{Value, json};

use crate::common::{Vhost, authorization, console, put, setting};
use crate::world::{Ended, program};

#[test]
fn the_topology_is_declared_and_compared() {
    let vhost = Vhost::new();
    let run = |words: &str| -> Ended {
        program(&format!("topology {words}")).env("AMQP_URL", &vhost.url).output().unwrap().into()
    };
    let missing = run("check");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stdout.contains("there is no queue code-imports.work.git"), "{missing:?}");
    assert_eq!(missing.stdout.lines().count(), 16, "{missing:?}");
    assert!(
        run("apply --dry-run").text().contains("Would mend: topology: there is no queue code-imports.finish")
    );

    let without = |not: &str| {
        format!(
            "Accounts and policies were not {not}: AMQP_CONSOLE_URL is not set, and AMQP knows nothing of them.\n"
        )
    };
    let applied = format!("Every exchange and queue of code-imports is there.\n{}", without("applied"));
    assert_eq!(run("apply").text(), applied);
    assert_eq!(run("apply").text(), applied);
    let account = run("apply --operator erin").wrong(2);
    assert!(account.contains("AMQP_CONSOLE_URL"), "it must not seem to have been made: {account}");
    let checked = format!("Every exchange and queue is as it should be.\n{}", without("compared"));
    assert_eq!(run("check").text(), checked);
    assert_eq!(run("apply --dry-run").text(), format!("Nothing would be changed.\n{}", without("compared")));

    vhost.delete("queues", "/code-imports.finish");
    let missing = run("check");
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stdout.starts_with("topology: there is no queue code-imports.finish;"), "{missing:?}");
    assert_eq!(run("check --prefix other").code, 1);
}

/// Accounts of a test, which go with it.
struct Accounts(Vec<String>);

impl Drop for Accounts {
    fn drop(&mut self) {
        for account in &self.0 {
            let path = console(&format!("users/{account}"));
            drop(ureq::delete(path).header("Authorization", &authorization()).call());
        }
    }
}

fn ask(path: &str) -> Value {
    let request = ureq::get(console(path)).header("Authorization", &authorization());
    request.call().unwrap().body_mut().read_json().unwrap()
}

#[test]
fn the_console_gets_policies_and_the_accounts_that_are_named() {
    let vhost = Vhost::new();
    let account = |role: &str| format!("{role}-{}", vhost.name);
    let names = [account("m1"), account("david")];
    let _gone = Accounts(names.to_vec());
    let run = |words: &str| -> Ended {
        let mut program = program(&format!("topology {words}"));
        program.env("AMQP_URL", &vhost.url).env("AMQP_CONSOLE_URL", setting("AMQP_CONSOLE_URL"));
        program.output().unwrap().into()
    };
    let [machine, operator] = &names;
    put(&format!("users/{operator}"), r#"{"password": "kept", "tags": "policymaker"}"#);
    let kept = ask(&format!("users/{operator}"))["password_hash"].clone();
    let accounts = format!("--worker {machine} --operator {operator}");

    let shown = run(&format!("apply --dry-run {accounts}")).text();
    for expected in [
        format!("there is no account {machine} (worker)"),
        format!("the account {operator} (operator) lacks the tag monitoring"),
        format!("the account {operator} (operator) may do nothing"),
        "there is no policy code-imports.inbox".to_owned(),
        "there is no queue code-imports.finish".to_owned(),
    ] {
        assert!(
            shown.contains(&format!("Would mend: {}: {expected}", vhost.name)) || shown.contains(&expected),
            "{expected}: {shown}"
        );
    }
    assert_eq!(ask(&format!("policies/{}", vhost.name)), json!([]), "nothing is changed by looking");

    let applied = run(&format!("apply {accounts}")).text();
    let password = applied.lines().find_map(|line| line.split_once("which is shown once: ")).unwrap().1;
    assert_eq!(password.len(), 32, "{applied}");
    assert_eq!(applied.matches("shown once").count(), 1, "{applied}");
    assert_eq!(ask(&format!("users/{operator}"))["password_hash"], kept);
    assert_eq!(ask(&format!("users/{operator}"))["tags"], json!(["policymaker", "monitoring"]));
    let exported = run(&format!("export {accounts}"));
    let exported: Value = serde_json::from_str(&exported.stdout).unwrap();
    for permission in exported["permissions"].as_array().unwrap() {
        let user = permission["user"].as_str().unwrap();
        if names.iter().any(|name| name == user) {
            assert_eq!(&ask(&format!("permissions/{}/{user}", vhost.name)), permission);
        }
    }
    assert!(run(&format!("apply {accounts}")).text().starts_with("Every exchange"), "twice is once");

    let checked = run(&format!("check {accounts}")).text();
    let well = "Policies, and the accounts that were named, are as they should be.\nnote: the account ";
    assert!(checked.contains(well), "{checked}");
    let all = r#"{"configure": ".*", "write": "^code-imports\\.worker$", "read": ".*"}"#;
    put(&format!("permissions/{}/{machine}", vhost.name), all);
    put(
        &format!("policies/{}/code-imports.work", vhost.name),
        r#"{"pattern": "x", "definition": {"max-length": 1}}"#,
    );
    let differs = run(&format!("check {accounts}"));
    assert_eq!(differs.code, 1, "{differs:?}");
    for expected in [
        "may do something else: configure .* instead of ^$ read .* instead of ^(code",
        "policy code-imports.work differs: pattern \"x\" instead of",
    ] {
        assert!(differs.stdout.contains(expected), "{expected}: {differs:?}");
    }
    run(&format!("apply {accounts}")).text();
    assert_eq!(run(&format!("check {accounts}")).code, 0);
}

#[test]
fn a_console_that_is_not_there_or_wants_another_is_told() {
    let vhost = Vhost::new();
    let account = format!("nobody-{}", vhost.name);
    let _gone = Accounts(vec![account.clone()]);
    put(&format!("users/{account}"), r#"{"password": "secret", "tags": ""}"#);
    let run = |url: &str| -> Ended {
        let mut program = program("topology check");
        program.env("AMQP_URL", &vhost.url).env("AMQP_CONSOLE_URL", url).output().unwrap().into()
    };
    let away = run("http://127.0.0.1:1").wrong(3);
    assert!(
        away.starts_with("error: cannot connect to RabbitMQ at the console http://127.0.0.1:1"),
        "{away}"
    );
    let console = setting("AMQP_CONSOLE_URL");
    let refused = run(&console.replace("//", &format!("//{account}:secret@"))).wrong(1);
    assert!(refused.contains(&format!("refused the account {account}: ")), "{refused}");
    assert!(refused.contains("one with the tag administrator") && !refused.contains("secret@"), "{refused}");
    assert!(run("localhost").wrong(2).contains("AMQP_CONSOLE_URL: expected http[s]://"));
}
