//! Rejected messages, sent again (messages.md, refusals and rubbish; command).

use code_imports::broker::publish::Outgoing;
use code_imports::broker::rejected::Look;
use lapin::options::{BasicGetOptions, BasicRejectOptions};
use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{NAME, World, outgoing, said, with, within};

/// Looks until so many messages are there.
async fn look(world: &World, count: usize) -> Look {
    let looking = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            looks.tick().await;
            let look = world.broker.look_at_rejected().await.unwrap();
            if look.messages.len() == count {
                return look;
            }
            look.close().await.unwrap();
        }
    };
    within("what was rejected", looking).await
}

fn requeue(more: Value) -> Value {
    with(json!({"type": "requeue", "user": "david.allouche"}), more)
}

/// A command of somebody without rights, which is refused while nobody waits.
fn request() -> Outgoing {
    outgoing("command", &json!({"type": "request", "import": NAME, "user": "no-priv"}))
}

async fn promote(world: &World) {
    world.sql.batch_execute("INSERT INTO team_members VALUES ('vcs-imports', 'no-priv')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_sent_again_is_judged_anew() {
    let world = World::new().await;
    let (coordinator, mut events) = (world.serve(), world.events().await);
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    let request = request();
    talker.publish(&request).await;
    look(&world, 1).await.close().await.unwrap();
    promote(&world).await;

    let answer = talker.command(requeue(json!({"message_id": request.message_id}))).await;
    assert_eq!(answer, json!({"outcome": "accepted", "messages": 1}));
    let event = events.wait_for("REPLAY david.allouche").await;
    let expected = [
        ("MESSAGE_ID", request.message_id.as_str()),
        ("REASON_CODE", "not-allowed"),
        ("REJECTED_FROM", "code-imports.commands"),
    ];
    let data: Vec<_> = event.data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(data, expected);
    world.until("SELECT count(*) FROM jobs WHERE requesting_user = 'no-priv'", 1).await;
    look(&world, 0).await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_chosen_by_id_code_and_queue_and_what_is_not_there_is_told() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    talker.say("start", &said(7, 4242, Uuid::now_v7())).await;
    talker.publish(&request()).await;
    talker.publish(&request()).await;
    look(&world, 3).await.close().await.unwrap();
    promote(&world).await;

    let refused = [
        (json!({"message_id": "nonsense"}), "There is no rejected message with id nonsense."),
        (
            json!({"code": "not-allowed", "queue": "start"}),
            "There is no rejected message with code not-allowed, from queue start.",
        ),
    ];
    for (which, reason) in refused {
        let answer = talker.command(requeue(which)).await;
        assert_eq!(answer, json!({"outcome": "refused", "code": "unknown-message", "reason": reason}));
    }
    for (which, count) in [
        (json!({"code": "not-allowed", "queue": "commands"}), 2),
        (json!({"queue": "code-imports.start"}), 1),
    ] {
        assert_eq!(talker.command(requeue(which)).await["messages"], count);
    }
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'REPLAY'").await, 3);
    coordinator.stop().await;
}

/// Who looks gives back what it held: to those who look at once, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_look_gave_back_the_next_one_finds() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    for _ in 0..60 {
        talker.publish(&request()).await;
    }
    look(&world, 60).await.close().await.unwrap();
    for _ in 0..50 {
        let look = world.broker.look_at_rejected().await.unwrap();
        assert_eq!(look.messages.len(), 60);
        look.close().await.unwrap();
    }
    coordinator.stop().await;
}

/// messages.md: `status` is answered with the numbers of the screen of that name.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_stands_in_the_status() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.say("start", &said(7, 4242, Uuid::now_v7())).await;
    look(&world, 1).await.close().await.unwrap();
    let answer = talker.command(json!({"type": "status"})).await;
    let status = &answer["status"];
    let length = json!({"queue": "code-imports.rejected", "ready": 1});
    assert_eq!((&status["rejected"], &status["queues"][9]), (&json!(1), &length));
    assert_eq!((&status["due"], &status["machines"][0]["machine"]), (&json!(0), &json!("bazaar-importer")));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_send_messages_again() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.register(NAME).await;
    talker.publish(&request()).await;
    look(&world, 1).await.close().await.unwrap();
    let answer =
        talker.command(with(requeue(json!({"queue": "commands"})), json!({"user": "no-priv"}))).await;
    assert_eq!(answer["code"], "not-allowed");
    let expected =
        "no-priv may not deal with rejected messages: that needs to be a member of vcs-imports or admins.";
    assert_eq!(answer["reason"], expected);
    let look = look(&world, 1).await;
    assert_eq!(look.messages[0].replayed_by, None);
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'REPLAY'").await, 0);
    coordinator.stop().await;
}

/// Section 10: a command is known by its message id.
#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_that_comes_again_gets_the_same_answer_and_sends_nothing() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.say("start", &said(7, 4242, Uuid::now_v7())).await;
    look(&world, 1).await.close().await.unwrap();
    let body = requeue(json!({"queue": "start"}));
    for _ in 0..2 {
        assert_eq!(talker.ask_as("once", "command", &body).await["messages"], 1);
        // It is refused again, and so is there again.
        look(&world, 1).await.close().await.unwrap();
    }
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'REPLAY'").await, 1);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finish_that_is_refused_again_keeps_what_was_said_the_first_time() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let ours = said(import, job, Uuid::now_v7());
    assert_eq!(talker.ask("start", &ours).await["outcome"], "accepted");
    let other = with(said(import, job, Uuid::now_v7()), json!({"status": "SUCCESS"}));
    let user_id = Some("coordinator".to_owned());
    talker.publish(&Outgoing { user_id, ..outgoing("finish", &other) }).await;
    let first = look(&world, 1).await;
    let headers = first.messages[0].headers.clone();
    first.close().await.unwrap();
    assert_eq!(talker.ask("finish", &with(ours, json!({"status": "SUCCESS"}))).await["outcome"], "accepted");

    assert_eq!(talker.command(requeue(json!({"code": "superseded-run"}))).await["messages"], 1);
    let again = look(&world, 1).await;
    let message = &again.messages[0];
    assert_eq!(message.replayed_by.as_deref(), Some("david.allouche"));
    assert_eq!((message.code.as_str(), message.user_id.as_deref()), ("superseded-run", Some("coordinator")));
    for header in headers.iter().filter(|(name, _)| name != "x-delivery-count") {
        assert!(message.headers.contains(header), "{header:?} is not in {:?}", message.headers);
    }
    let said_again = ("x-replay-reason-code".to_owned(), "superseded-run".to_owned());
    assert!(message.headers.contains(&said_again), "{:?}", message.headers);
    assert_eq!(world.count("SELECT count(*) FROM results").await, 1);
    again.close().await.unwrap();
    coordinator.stop().await;
}

/// The mark, and what it says of the first sender, count only with a verified account.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_nobody_vouches_for_does_not_count() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let forged = [
        ("x-replayed-by", "david.allouche"),
        ("x-user-id", "david.allouche"),
        ("x-reason-code", "superseded-run"),
        ("x-rejected-from", "code-imports.finish"),
    ];
    let headers = forged.map(|(name, value)| (name, value.to_owned())).to_vec();
    let body = json!({"type": "machine", "machine": "m", "state": "OFFLINE"});
    talker.publish(&Outgoing { headers, ..outgoing("command", &body) }).await;
    let look = look(&world, 1).await;
    let message = &look.messages[0];
    assert_eq!((message.code.as_str(), message.from.as_str()), ("malformed", "code-imports.commands"));
    assert_eq!((&message.user_id, &message.replayed_by), (&None, &None));
    coordinator.stop().await;
}

/// Section 10: in both places only if we died between the two, and then a replay changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_a_message_is_taken_off_changes_nothing() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let url = "https://example.org/x.git";
    let body = json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": url, "user": "newbie"});
    talker.publish(&outgoing("command", &body)).await;
    look(&world, 1).await.close().await.unwrap();
    world
        .sql
        .batch_execute("INSERT INTO people (name, display_name) VALUES ('newbie', 'Newbie')")
        .await
        .unwrap();
    for _ in 0..2 {
        let look = look(&world, 1).await;
        look.send_again(&[0], &"david.allouche".parse().unwrap()).await.unwrap();
        // We die here.
        drop(look);
        world.until("SELECT count(*) FROM imports", 1).await;
    }
    // Whatever was sent has been judged before this is answered: the queue is in order.
    let mut talker = world.talker().await;
    assert_eq!(talker.command(json!({"type": "status"})).await["outcome"], "accepted");
    assert_eq!(world.count("SELECT count(*) FROM events WHERE event_type = 'CREATE'").await, 1);
    look(&world, 1).await;
    coordinator.stop().await;
}

/// A dead letter of the broker's says by `x-death` where it came from.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_goes_back_to_its_queue() {
    let world = World::new().await;
    let mut talker = world.talker().await;
    let user_id = Some("coordinator".to_owned());
    let headers = vec![("x-user-id", "david.allouche".to_owned())];
    let finish = with(said(7, 4242, Uuid::now_v7()), json!({"status": "SUCCESS"}));
    talker.publish(&Outgoing { user_id, headers, ..outgoing("finish", &finish) }).await;
    let connection = Connection::connect(&world.vhost.url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let got = channel.basic_get("code-imports.finish".into(), BasicGetOptions::default()).await.unwrap();
    got.unwrap().delivery.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap();

    let dead = look(&world, 1).await;
    let message = &dead.messages[0];
    assert_eq!((message.code.as_str(), message.from.as_str()), ("rejected", "code-imports.finish"));
    // What the broker verified counts, not what somebody wrote.
    assert_eq!(message.user_id.as_deref(), Some("coordinator"));
    assert!(message.at.is_some(), "{message:?}");
    dead.close().await.unwrap();

    let coordinator = world.serve();
    assert_eq!(talker.command(requeue(json!({"code": "rejected"}))).await["messages"], 1);
    let again = look(&world, 1).await;
    let message = &again.messages[0];
    assert_eq!((message.code.as_str(), message.user_id.as_deref()), ("rejected", Some("coordinator")));
    let told = ("x-replay-reason".to_owned(), "There is no job 4242.".to_owned());
    assert!(message.headers.contains(&told), "{:?}", message.headers);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_too_many_headers_is_not_sent_again() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let headers = vec![("x-large", "x".repeat(20_000))];
    talker.publish(&Outgoing { headers, ..outgoing("start", &json!({})) }).await;
    look(&world, 1).await.close().await.unwrap();
    let answer = talker.command(requeue(json!({"queue": "start"}))).await;
    let reason = answer["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("There is no rejected message from queue start that can be sent again: It has 2")
    );
    assert!(reason.ends_with("bytes of headers; the limit is 16384."), "{reason}");
    coordinator.stop().await;
}

/// Who looks holds what it sees; the others go back to where they lay.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_loses_and_reorders_nothing() {
    let world = World::new().await;
    let bodies = |look: &Look| -> Vec<usize> {
        look.messages.iter().map(|message| serde_json::from_slice(&message.body).unwrap()).collect()
    };
    let publisher = world.broker.publisher().await.unwrap();
    let messages: Vec<Outgoing> = (0..240).map(|n: usize| outgoing("start", &json!(n))).collect();
    publisher.publish_all("code-imports.rejected", &messages).await.unwrap();

    let mut first = look(&world, 240).await;
    assert_eq!(bodies(&first), (0..240).collect::<Vec<_>>());
    // Nobody else sees them meanwhile.
    assert_eq!(world.broker.look_at_rejected().await.unwrap().messages.len(), 0);
    let odd: Vec<usize> = (0..240).filter(|n| n % 2 == 1).collect();
    first.remove(&odd).await.unwrap();
    assert_eq!(first.held().count(), 120);
    first.close().await.unwrap();

    let even: Vec<usize> = (0..240).filter(|n| n % 2 == 0).collect();
    let second = look(&world, 120).await;
    assert_eq!(bodies(&second), even);
    // We die here.
    drop(second);
    let third = look(&world, 120).await;
    assert_eq!(bodies(&third), even);
    third.close().await.unwrap();
    look(&world, 120).await;
}
