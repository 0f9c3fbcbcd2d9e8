//! What workers and operators say (`messages.md`).

use std::time::Duration;

use code_imports::broker::publish::Outgoing;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{NAME, World, outgoing, said, with};

/// The whole way of one import (sections 4 and 10; messages.md).
#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_from_registered_to_imported_and_a_subscriber_hears_it_in_order() {
    let world = World::new().await;
    let (mut events, coordinator) = (world.events().await, world.serve());
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;

    let (work, _) = world.take("work.git").await;
    assert_eq!((&work["job"], &work["import"]["unique_name"]), (&json!(job), &json!(NAME)));
    assert_eq!(work["import"]["url"], format!("https://***@example.org/{NAME}.git"));
    assert_eq!((&work["heartbeat_interval_s"], &work["heartbeat_timeout_s"]), (&json!(30), &json!(300)));

    let run = said(import, job, Uuid::now_v7());
    let answer = talker.ask("start", &run).await;
    assert_eq!(answer["outcome"], "accepted");
    assert_eq!(answer["import"]["url"], format!("https://me:s3cret@example.org/{NAME}.git"));

    let beat = with(run.clone(), json!({"log_tail": "some interesting log output"}));
    let answer = talker.ask("heartbeat", &json!({"machine": "bazaar-importer", "jobs": [beat]})).await;
    let expected = json!({"machine_state": "ONLINE", "stop": [], "heartbeat_interval_s": 30, "heartbeat_timeout_s": 300});
    assert_eq!(answer, expected);
    assert_eq!(
        world.count("SELECT count(*) FROM jobs WHERE log_tail = 'some interesting log output'").await,
        1
    );

    let finish =
        with(run, json!({"status": "SUCCESS", "reason": "12 new commits", "stats": {"revisions": 12}}));
    assert_eq!(talker.ask("finish", &finish).await, json!({"outcome": "accepted"}));

    let summaries = events.summaries(4).await;
    let expected = [
        format!("CREATE {NAME} david.allouche"),
        "ONLINE bazaar-importer".to_owned(),
        format!("START {NAME} bazaar-importer"),
        format!("FINISH {NAME} bazaar-importer"),
    ];
    assert_eq!(summaries, expected);
    let next = "SELECT count(*) FROM jobs WHERE state = 'PENDING' AND date_due > now() + interval '5 hours'";
    assert_eq!(world.count(next).await, 1);
    world.check_invariants().await;
    coordinator.stop().await;
}

/// messages.md, event: within an epoch ids have no gap; the message id is UUIDv5(epoch, id).
#[tokio::test(flavor = "multi_thread")]
async fn events_carry_their_epoch_and_ids_without_gap() {
    let world = World::new().await;
    let (mut events, coordinator) = (world.events().await, world.serve());
    let mut talker = world.talker().await;
    for n in 0..20 {
        talker.register(&format!("~vcs-imports/p{n}/import")).await;
    }
    for id in 1..=20 {
        let event = events.next().await;
        assert_eq!((event.id, event.epoch_first), (id, 1));
        assert_eq!(event.data["REVIEW_STATUS"], "REVIEWED");
        assert!(!event.data["URL"].contains("s3cret"));
    }
    coordinator.stop().await;
}

/// Section 10, and messages.md: a repeat of what was already applied is answered `accepted`.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_delivered_twice_is_applied_once() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let run = said(import, job, Uuid::now_v7());
    let finish = with(run.clone(), json!({"status": "FAILURE"}));
    for (kind, body) in
        [("start", &run), ("start", &run), ("finish", &finish), ("finish", &finish), ("start", &run)]
    {
        assert_eq!(talker.ask(kind, body).await["outcome"], "accepted", "{kind}");
    }
    assert_eq!(world.count("SELECT count(*) FROM results").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type IN ('START', 'FINISH')").await, 2);
    world.check_invariants().await;
    coordinator.stop().await;
}

/// Section 10: a command is known by its message id, and gets the same answer again.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_again_gets_the_same_answer() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let url = "https://example.org/x.git";
    let body =
        json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": url, "user": "david.allouche"});
    let first = talker.ask_as("once", "command", &body).await;
    assert_eq!(first["outcome"], "accepted");
    assert_eq!(talker.ask_as("once", "command", &body).await, first);
    assert_eq!(talker.ask_as("another", "command", &body).await["code"], "conflict");
    assert_eq!(world.count("SELECT count(*) FROM imports").await, 1);
    coordinator.stop().await;
}

/// messages.md, refusals and rubbish: nothing is dropped silently.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_message_goes_to_the_rejected_queue_with_its_reason() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let message = Outgoing {
        body: b"{\"job\": 1, nonsense".to_vec(),
        expiration: Some(Duration::from_mins(1)),
        user_id: Some("coordinator".to_owned()),
        reply_to: Some("somewhere.else".to_owned()),
        ..outgoing("finish", &Value::Null)
    };
    talker.publish(&message).await;
    let (body, headers) = world.take("rejected").await;
    assert_eq!(body, "{\"job\": 1, nonsense");
    assert_eq!(headers["x-reason-code"], "malformed");
    assert_eq!(headers["x-rejected-from"], "code-imports.finish");
    assert_eq!((headers["x-user-id"].as_str(), headers["x-expiration"].as_str()), ("coordinator", "60000"));
    assert_eq!(headers["x-reply-to"], "somewhere.else");
    assert!(headers["x-reason"].contains("key must be a string"), "{}", headers["x-reason"]);
    assert!(headers["x-rejected-at"].starts_with("20"), "{}", headers["x-rejected-at"]);
    coordinator.stop().await;
}

/// messages.md, refusals and rubbish. The console's form sends one if nothing is typed into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_body_is_rejected_and_harms_nobody() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    for queue in ["start", "heartbeat", "finish", "command"] {
        talker.publish(&Outgoing { body: Vec::new(), ..outgoing(queue, &Value::Null) }).await;
        let (body, headers) = world.take("rejected").await;
        assert_eq!((&body, headers["x-reason-code"].as_str()), (&json!(""), "malformed"), "{queue}");
    }
    talker.register(NAME).await;
    coordinator.stop().await;
}

/// messages.md: with more than 16 KiB of headers it is refused with `basic.reject`, and dead-lettered.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_too_many_headers_is_left_to_the_dead_letter_exchange() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let headers = vec![("x-large", "x".repeat(20_000))];
    talker.publish(&Outgoing { headers, ..outgoing("start", &json!({})) }).await;
    let (body, headers) = world.take("rejected").await;
    assert_eq!(body, json!({}));
    assert!(
        headers.contains_key("x-death") && !headers.contains_key("x-reason-code"),
        "{:?}",
        headers.keys()
    );
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rejected_message_does_not_hold_back_its_batch() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let body = |name: &str| {
        let url = format!("https://example.org/{name}");
        json!({"type": "register", "import": format!("~a/b/{name}"), "rcs_type": "GIT", "url": url, "user": "david.allouche"})
    };
    // All are there before the coordinator is, and so in one batch.
    talker.say("command", &body("c1")).await;
    talker.say("command", &json!({"type": "explode", "user": "david.allouche"})).await;
    talker.say("command", &body("-")).await;
    talker.say("command", &body("c2")).await;
    let coordinator = world.serve();
    world.until("SELECT count(*) FROM imports", 2).await;
    for _ in 0..2 {
        assert_eq!(world.take("rejected").await.1["x-reason-code"], "malformed");
    }
    assert_eq!(talker.command(json!({"type": "status"})).await["outcome"], "accepted");
    coordinator.stop().await;
}

/// messages.md: what is refused and has nobody waiting is kept; and every refused finish, whoever asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_answered_and_kept_when_nobody_waits_or_a_result_would_be_lost() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let run = said(7, 4242, Uuid::now_v7());
    let refused = json!({"outcome": "refused", "code": "unknown-job", "reason": "There is no job 4242."});
    assert_eq!(talker.ask("start", &run).await, refused);
    talker.say("start", &run).await;
    let (body, headers) = world.take("rejected").await;
    assert_eq!((&body, headers["x-rejected-from"].as_str()), (&run, "code-imports.start"));

    let finish = with(run, json!({"status": "SUCCESS"}));
    assert_eq!(talker.ask("finish", &finish).await, refused);
    let (body, headers) = world.take("rejected").await;
    assert_eq!((&body, headers["x-reason"].as_str()), (&finish, "There is no job 4242."));
    coordinator.stop().await;
}

/// Section 4: another run, import or machine is refused as `superseded-run`.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_current_is_refused_by_name_and_stopped_at_its_heartbeat() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let (ours, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(talker.ask("start", &said(import, job, ours)).await["outcome"], "accepted");

    let answer = talker.ask("start", &said(import, job, other)).await;
    assert_eq!(answer["code"], "already-running");
    assert_eq!(answer["reason"], format!("The CodeImportJob associated with {NAME} is RUNNING."));
    let answer = talker.ask("finish", &with(said(import, job, other), json!({"status": "SUCCESS"}))).await;
    assert_eq!(answer["code"], "superseded-run");
    assert_eq!(answer["reason"], format!("The run {other} of {NAME} is not current."));
    let beats = json!([said(import, job, ours), said(import, job, other)]);
    let answer = talker.ask("heartbeat", &json!({"machine": "bazaar-importer", "jobs": beats})).await;
    assert_eq!(answer["stop"], json!([{"job": job, "run": other}]));

    // A kill is learned of at the next heartbeat, and what comes after it is refused.
    let answer = talker.command(json!({"type": "kill", "job": job, "user": "david.allouche"})).await;
    assert_eq!(answer["outcome"], "accepted");
    let answer = talker.ask("heartbeat", &json!({"machine": "bazaar-importer", "jobs": [beats[0]]})).await;
    assert_eq!(answer["stop"], json!([{"job": job, "run": ours}]));
    let answer = talker.ask("finish", &with(said(import, job, ours), json!({"status": "SUCCESS"}))).await;
    assert_eq!(answer["code"], "superseded-run");
    world.check_invariants().await;
    coordinator.stop().await;
}

/// messages.md, heartbeat: entries are judged one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_sends_a_copy_to_rejected_and_the_others_count() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let run = said(import, job, Uuid::now_v7());
    assert_eq!(talker.ask("start", &run).await["outcome"], "accepted");
    let beat = with(run, json!({"log_tail": "fine"}));
    let body = json!({"machine": "bazaar-importer", "jobs": [{"job": "x"}, beat]});
    let answer = talker.ask("heartbeat", &body).await;
    assert_eq!((&answer["machine_state"], &answer["stop"]), (&json!("ONLINE"), &json!([])));
    assert_eq!(world.count("SELECT count(*) FROM jobs WHERE log_tail = 'fine'").await, 1);
    let (copy, headers) = world.take("rejected").await;
    assert_eq!(copy, body);
    assert!(headers["x-reason"].contains("jobs[0]"), "{}", headers["x-reason"]);
    coordinator.stop().await;
}

/// Section 10: an echo counts only with the coordinator's own account as its verified `user_id`.
#[tokio::test(flavor = "multi_thread")]
async fn an_echo_of_somebody_else_does_not_count() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let echo = json!({"sent": "2000-01-01T00:00:00Z"});
    talker.publish(&Outgoing { kind: "echo", ..outgoing("heartbeat", &echo) }).await;
    let (_, headers) = world.take("rejected").await;
    assert_eq!(headers["x-reason-code"], "not-allowed");
    assert_eq!(world.count("SELECT count(*) FROM hearing WHERE heard < '2001-01-01'").await, 0);
    coordinator.stop().await;
}

/// messages.md, command: who asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_counts_for_the_account_that_the_broker_verified() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    let request = json!({"type": "request", "import": NAME, "user": "david.allouche"});

    // Nobody says who asks.
    let answer = talker.command(json!({"type": "request", "import": NAME})).await;
    assert_eq!(answer["code"], "malformed");
    world.take("rejected").await;
    // The account is no operator's: the body's word does not count.
    let verified = Outgoing { user_id: Some("coordinator".to_owned()), ..outgoing("command", &request) };
    talker.publish(&verified).await;
    let (_, headers) = world.take("rejected").await;
    assert_eq!(headers["x-reason-code"], "not-allowed");
    assert!(headers["x-reason"].starts_with("coordinator may not request"), "{}", headers["x-reason"]);
    // Now it is: it may speak for others.
    world.sql.batch_execute("INSERT INTO team_members VALUES ('vcs-imports', 'coordinator')").await.unwrap();
    talker.publish(&Outgoing { message_id: Uuid::new_v4().to_string(), ..verified }).await;
    world.until("SELECT count(*) FROM jobs WHERE requesting_user = 'david.allouche'", 1).await;
    coordinator.stop().await;
}

/// Section 6, and the refusals of messages.md.
#[tokio::test(flavor = "multi_thread")]
async fn commands_are_refused_with_their_codes_and_texts() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    let checks = [
        (
            json!({"type": "request", "import": "~a/b/c", "user": "david.allouche"}),
            "unknown-import",
            "There is no code import ~a/b/c.",
        ),
        (
            json!({"type": "request", "import": NAME, "user": "nobody"}),
            "unknown-person",
            "There is no person nobody.",
        ),
        (
            json!({"type": "kill", "job": 4242, "user": "david.allouche"}),
            "unknown-job",
            "There is no job 4242.",
        ),
        (
            json!({"type": "kill", "import": NAME, "user": "david.allouche"}),
            "not-running",
            "The CodeImportJob associated with ~vcs-imports/gnome-terminal/import is PENDING.",
        ),
        (
            json!({"type": "try-again", "import": NAME, "user": "david.allouche"}),
            "not-failing",
            "review_status is REVIEWED not FAILING",
        ),
        (
            json!({"type": "machine", "machine": "m", "state": "ONLINE", "user": "david.allouche"}),
            "unknown-machine",
            "There is no machine m.",
        ),
        (
            json!({"type": "update", "import": NAME, "review_status": "SUSPENDED", "user": "no-priv"}),
            "not-allowed",
            "no-priv may not change ~vcs-imports/gnome-terminal/import: that needs to be a member of vcs-imports or admins.",
        ),
        (
            json!({"type": "register", "import": "~a/b/c", "rcs_type": "GIT", "url": "ftp://example.org/x", "user": "no-priv"}),
            "bad-source",
            "The URI scheme \"ftp\" is not allowed. Only URIs with the following schemes may be used: git, http, https",
        ),
        (
            json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": "https://example.org/x", "user": "no-priv"}),
            "conflict",
            "There is already a code import ~vcs-imports/gnome-terminal/import.",
        ),
    ];
    for (body, code, reason) in checks {
        let answer = talker.command(body).await;
        assert_eq!((answer["code"].as_str(), answer["reason"].as_str()), (Some(code), Some(reason)));
    }
    // The source is taken, user-info or not; by whom is only told to those who may see it.
    let url = format!("https://other@example.org/{NAME}.git");
    let register = |user: &str| json!({"type": "register", "import": "~a/b/c", "rcs_type": "GIT", "url": url, "user": user});
    let answer = talker.command(register("no-priv")).await;
    assert_eq!(
        (answer["code"].as_str(), answer["reason"].as_str()),
        (Some("conflict"), Some("That source is already imported."))
    );
    let answer = talker.command(register("david.allouche")).await;
    assert_eq!(answer["reason"], format!("That source is already imported by {NAME}."));
    coordinator.stop().await;
}

/// Section 7: machine states, and a start on a machine that is not ONLINE.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_quiesces_gets_no_new_job_and_learns_it_at_its_heartbeat() {
    let world = World::new().await;
    let coordinator = world.serve();
    let (mut talker, mut events) = (world.talker().await, world.events().await);
    let (import, job) = talker.register(NAME).await;
    let idle = json!({"machine": "bazaar-importer", "jobs": []});
    assert_eq!(talker.ask("heartbeat", &idle).await["machine_state"], "ONLINE");
    let quiesce = json!({"type": "machine", "machine": "bazaar-importer", "state": "QUIESCING", "user": "david.allouche", "message": "new disk"});
    assert_eq!(talker.command(quiesce.clone()).await["outcome"], "accepted");
    assert_eq!(talker.command(quiesce).await["reason"], "State of machine bazaar-importer was QUIESCING.");
    assert_eq!(talker.ask("heartbeat", &idle).await["machine_state"], "QUIESCING");
    let answer = talker.ask("start", &said(import, job, Uuid::now_v7())).await;
    assert_eq!(answer["code"], "machine-not-online");
    assert_eq!(answer["reason"], "The machine bazaar-importer is QUIESCING.");
    let event = events.wait_for("QUIESCE david.allouche bazaar-importer").await;
    assert_eq!(event.data["MESSAGE"], "new disk");
    // Half a minute later it is drained.
    world.sql.batch_execute("UPDATE machines SET date_state = date_state - interval '30 s'").await.unwrap();
    assert_eq!(talker.ask("heartbeat", &idle).await["machine_state"], "OFFLINE");
    let event = events.wait_for("OFFLINE bazaar-importer").await;
    assert_eq!(event.data["OFFLINE_REASON"], "QUIESCED");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_words_of_a_machine_make_one_online_event_however_many_come_at_once() {
    let world = World::new().await;
    let talker = world.talker().await;
    for _ in 0..20 {
        talker.say("heartbeat", &json!({"machine": "bazaar-importer", "jobs": []})).await;
        talker.say("start", &said(1, 1, Uuid::now_v7())).await;
    }
    let coordinators = [world.serve(), world.serve()];
    world.until("SELECT count(*) FROM machines", 1).await;
    let mut talker = world.talker().await;
    talker.ask("start", &said(1, 1, Uuid::now_v7())).await;
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'ONLINE'").await, 1);
    for coordinator in coordinators {
        coordinator.stop().await;
    }
}

/// messages.md: bodies have at most 256 KiB. A larger one is rejected by its size, and not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_rejected_and_those_beside_it_count() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let run = said(import, job, Uuid::now_v7());
    let long = with(run.clone(), json!({"padding": "x".repeat(300 * 1024)}));
    talker.say("start", &long).await;
    talker
        .say(
            "heartbeat",
            &json!({"machine": "bazaar-importer", "jobs": [], "padding": "x".repeat(300 * 1024)}),
        )
        .await;
    assert_eq!(talker.ask("start", &run).await["outcome"], "accepted");
    for _ in 0..2 {
        let (_, headers) = world.take("rejected").await;
        assert_eq!(headers["x-reason-code"], "too-large");
        assert!(headers["x-reason"].ends_with("bytes; the limit is 262144."), "{headers:?}");
    }
    coordinator.stop().await;
}
