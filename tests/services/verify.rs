//! `--verify-machines`: one worker cannot speak for another.

use code_imports::broker::Broker;
use code_imports::broker::publish::Outgoing;
use code_imports::broker::rejected::Look;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Vhost, authorization, console, put};
use crate::world::{Events, NAME, Talker, World, outgoing, said, with, within};

/// A coordinator that verifies, and two accounts of machines; with an account of an operator, who is david.
struct Verified {
    world: World,
    accounts: [String; 3],
}

impl Verified {
    async fn new() -> Self {
        let mut world = World::new().await;
        world.settings.verify_machines = true;
        let account = |name: &str| format!("{name}-{}", world.vhost.name);
        let accounts = ["m1", "m2", "operator"].map(account);
        for account in &accounts {
            put(&format!("users/{account}"), r#"{"password": "secret", "tags": ""}"#);
            let all = r#"{"configure": "", "write": ".*", "read": ".*"}"#;
            put(&format!("permissions/{}/{account}", world.vhost.name), all);
        }
        let operator =
            "WITH it AS (INSERT INTO people (name, display_name) VALUES ($1, 'An operator') RETURNING name)
            INSERT INTO team_members SELECT 'vcs-imports', name FROM it";
        world.sql.execute(operator, &[&accounts[2]]).await.unwrap();
        Self { world, accounts }
    }

    /// Somebody who is connected by this account.
    async fn talker(&self, account: usize) -> Talker {
        world_talker(&self.world.vhost, &self.accounts[account]).await
    }

    /// What the machine of this account says: of a run, with more.
    fn said(&self, machine: usize, (import, job): (i64, i64), run: Uuid, more: Value) -> Value {
        with(said(import, job, run), with(json!({"machine": self.accounts[machine]}), more))
    }

    /// A message with a user id, or none.
    fn message(&self, word: &'static str, account: Option<usize>, body: &Value) -> Outgoing {
        let user_id = account.map(|account| self.accounts[account].clone());
        Outgoing { user_id, ..outgoing(word, body) }
    }

    /// Waits until the rejected queue is as wanted, and says whose the first message is.
    async fn rejected(&self, wanted: impl Fn(&Look) -> bool) -> Option<String> {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
        let looking = async {
            loop {
                looks.tick().await;
                let look = self.world.broker.look_at_rejected().await.unwrap();
                let (is_so, first) = (wanted(&look), look.messages.first().and_then(|it| it.user_id.clone()));
                look.close().await.unwrap();
                if is_so {
                    return first;
                }
            }
        };
        within("rejected messages", looking).await
    }
}

impl Drop for Verified {
    fn drop(&mut self) {
        for account in &self.accounts {
            let path = console(&format!("users/{account}"));
            drop(ureq::delete(path).header("Authorization", &authorization()).call());
        }
    }
}

async fn world_talker(vhost: &Vhost, account: &str) -> Talker {
    let (_, server) = vhost.url.split_once('@').unwrap();
    let url = format!("amqp://{account}:secret@{server}");
    let broker = Broker::new(url.parse().unwrap(), "code-imports", account);
    Talker::of(broker).await
}

/// What a refusal says: the account if one was verified, and the machine that it spoke for.
fn not_allowed(account: Option<&str>, machine: &str) -> Value {
    let who = account.map_or("An account that nobody verified".to_owned(), |it| format!("The account {it}"));
    let reason = format!(
        "{who} may not speak for the machine {machine}: that needs {machine} as its verified user_id."
    );
    json!({"outcome": "refused", "code": "not-allowed", "reason": reason})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_for_another_machine_is_refused_and_changes_nothing() {
    let it = Verified::new().await;
    let coordinator = it.world.serve();
    let target = it.world.talker().await.register(NAME).await;
    let (mut own, mut other) = (it.talker(0).await, it.talker(1).await);
    let (first, second) = (it.accounts[0].as_str(), it.accounts[1].as_str());
    let run = Uuid::now_v7();
    let start = it.said(0, target, run, json!({}));
    let beat = json!({"machine": first, "jobs": []});

    // Another's account, and nobody's.
    for (account, who) in [(Some(1), Some(second)), (None, None)] {
        for (word, body) in [("start", &start), ("heartbeat", &beat)] {
            let answer = other.ask_with(it.message(word, account, body)).await;
            assert_eq!(answer, not_allowed(who, first), "{word}");
        }
    }
    assert_eq!(it.world.count("SELECT count(*) FROM machines").await, 0);
    assert_eq!(it.world.count("SELECT count(*) FROM jobs WHERE state = 'PENDING'").await, 1);
    assert_eq!(it.world.count("SELECT count(*) FROM events WHERE event_type = 'ONLINE'").await, 0);

    // Its own: then the run is its own, too.
    let answer = own.ask_with(it.message("heartbeat", Some(0), &beat)).await;
    assert_eq!(answer["machine_state"], "ONLINE");
    let answer = own.ask_with(it.message("start", Some(0), &start)).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    let finish = it.said(0, target, run, json!({"status": "SUCCESS"}));
    let answer = other.ask_with(it.message("finish", Some(1), &finish)).await;
    assert_eq!(answer, not_allowed(Some(second), first));
    // As itself, it does not hold the run.
    let finish_as_itself = it.said(1, target, run, json!({"status": "SUCCESS"}));
    let answer = other.ask_with(it.message("finish", Some(1), &finish_as_itself)).await;
    assert_eq!(answer["code"], "superseded-run", "{answer}");
    assert_eq!(it.world.count("SELECT count(*) FROM results").await, 0);
    let answer = own.ask_with(it.message("finish", Some(0), &finish)).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    // A refused heartbeat or start that somebody asked for is answered only; a refused finish is kept.
    let sender = it.rejected(|look| look.messages.len() == 2).await;
    assert_eq!(sender.as_deref(), Some(second));
    coordinator.stop().await;
    it.world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_made_up_is_refused_by_the_broker_itself() {
    let it = Verified::new().await;
    let coordinator = it.world.serve();
    let other = it.talker(1).await;
    let beat = json!({"machine": it.accounts[0], "jobs": []});
    let refused = other.try_publish(&it.message("heartbeat", Some(0), &beat)).await.unwrap_err().to_string();
    assert!(refused.contains("user_id property set to"), "{refused}");
    coordinator.stop().await;
    assert_eq!(it.world.count("SELECT count(*) FROM machines").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finish_that_an_operator_sends_again_counts_as_its_machines() {
    let it = Verified::new().await;
    let coordinator = it.world.serve();
    let mut events: Events = it.world.events().await;
    let mut anybody = it.world.talker().await;
    let target = anybody.register(NAME).await;
    let mut own = it.talker(0).await;
    let run = Uuid::now_v7();
    let answer = own.ask_with(it.message("start", Some(0), &it.said(0, target, run, json!({})))).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");

    // Nobody verified it: an operator who sends it again vouches for the replay, and not for that.
    let finish = it.said(0, target, run, json!({"status": "SUCCESS"}));
    let unverified = it.message("finish", None, &finish);
    own.publish(&unverified).await;
    it.rejected(|look| look.messages.len() == 1).await;
    let mut operator = it.talker(2).await;
    let body = json!({"type": "requeue", "message_id": unverified.message_id});
    let answer = operator.ask_with(it.message("command", Some(2), &body)).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    let said_again = ("x-replay-reason-code".to_owned(), "not-allowed".to_owned());
    it.rejected(|look| look.messages.iter().any(|it| it.headers.contains(&said_again))).await;
    assert_eq!(it.world.count("SELECT count(*) FROM results").await, 0);

    // The machine's own word counts when an operator sends it again, and not when another machine does.
    let replayed = Outgoing {
        user_id: Some(it.accounts[2].clone()),
        headers: vec![("x-replayed-by", it.accounts[2].clone()), ("x-user-id", it.accounts[0].clone())],
        ..outgoing("finish", &finish)
    };
    let forged = Outgoing { user_id: Some(it.accounts[1].clone()), ..replayed.clone() };
    let answer = it.talker(1).await.ask_with(forged).await;
    assert_eq!(answer["code"], "not-allowed", "another machine's mark does not count: {answer}");
    let answer = operator.ask_with(replayed).await;
    assert_eq!(answer["outcome"], "accepted", "{answer}");
    events.wait_for(&format!("FINISH {NAME} {}", it.accounts[0])).await;
    coordinator.stop().await;
    it.world.check_invariants().await;
}
