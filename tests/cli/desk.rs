//! The operators' desk: commands typed into the console's forms, and accounts of machines.

use std::time::Duration;

use code_imports::broker::Broker;
use serde_json::{Value, json};

use crate::common::{Vhost, authorization, console, setting};
use crate::definitions::Imported;
use crate::world::{Ended, Started, World, program};

/// Asks the console as somebody: what it answers, and its status.
fn post(account: &str, path: &str, body: &Value) -> (u16, Value) {
    let login = data_encoding::BASE64.encode(format!("{account}:secret").as_bytes());
    let request = ureq::post(console(path)).header("Authorization", format!("Basic {login}"));
    let request = request.config().http_status_as_error(false).build();
    let mut answer = request.content_type("application/json").send(body.to_string()).unwrap();
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_json().unwrap_or_default())
}

/// What the form "Publish message" sends; nothing but a body was typed.
fn typed(routing_key: &str, body: &Value) -> Value {
    json!({"properties": {}, "routing_key": routing_key, "payload": body.to_string(), "payload_encoding": "string"})
}

/// Asks until the answer is as wanted.
async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    let asking = async {
        loop {
            looks.tick().await;
            if let Some(answer) = ask() {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_typed_on_the_page_of_a_queue_or_an_exchange_is_accepted() {
    let (imported, world) = (Imported::new(), World::new().await);
    let vhost = &imported.vhost.name;
    let mut serve = program("serve --http none");
    serve.env("AMQP_URL", imported.url("coordinator")).env("DATABASE_URL", &world.database.url);
    let coordinator = Started::of(serve);
    let operator = imported.account("operator");
    let publish = |page: &str, key: &str, body: Value| {
        post(&operator, &format!("exchanges/{vhost}/{page}/publish"), &typed(key, &body))
    };
    let routed = (200, json!({"routed": true}));

    // The page of the queue publishes to the default exchange; that of the exchange wants the key.
    let register = json!({"type": "register", "import": "~gnome/a/import", "rcs_type": "GIT",
        "url": "https://example.org/a", "review_status": "REVIEWED", "user": "david"});
    let import = |wanted: &str| {
        let ended = world.run("david", "import show ~gnome/a/import --json");
        (ended.code == 0 && ended.stdout.contains(wanted)).then_some(())
    };
    let declared = until("the topology", || {
        let answer = publish("amq.default", "code-imports.commands", register.clone());
        (answer == routed).then_some(())
    });
    declared.await;
    until("the import", || import("REVIEWED")).await;
    let suspend =
        json!({"type": "update", "import": "~gnome/a/import", "review_status": "SUSPENDED", "user": "david"});
    assert_eq!(publish("code-imports.commands", "command", suspend), routed);
    until("its new status", || import("SUSPENDED")).await;

    // What was wrong is seen by "Get messages", in the headers.
    let wrong = json!({"type": "request", "import": "~gnome/b/import", "user": "david"});
    assert_eq!(publish("amq.default", "code-imports.commands", wrong), routed);
    let get = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let got = until("the rejected message", || {
        let (_, got) = post(&operator, &format!("queues/{vhost}/code-imports.rejected/get"), &get);
        got.get(0).cloned()
    });
    let headers = got.await["properties"]["headers"].clone();
    assert_eq!(headers["x-reason-code"], "unknown-import");
    assert_eq!(headers["x-reason"], "There is no code import ~gnome/b/import.");

    // Who is no operator gets no form: neither the console, nor what it would publish to.
    for role in ["worker", "subscriber", "coordinator"] {
        let path = format!("exchanges/{vhost}/amq.default/publish");
        let body = typed("code-imports.commands", &json!({"type": "status"}));
        assert_eq!(post(&imported.account(role), &path, &body).0, 401, "{role}");
    }
    coordinator.interrupt();
}

/// The program in a virtual host, with a database and the console; and machines whose accounts go with it.
struct Desk {
    world: World,
    vhost: Vhost,
    machines: Vec<String>,
}

impl Desk {
    async fn new() -> Self {
        let (world, vhost) = (World::new().await, Vhost::new());
        let broker = Broker::new(vhost.url.parse().unwrap(), "code-imports", "test");
        broker.declare().await.unwrap();
        broker.close().await;
        Self { world, vhost, machines: Vec::new() }
    }

    /// A machine's name that no other test has.
    fn machine(&mut self) -> String {
        self.machines.push(format!("m-{}", self.vhost.name));
        self.machines[0].clone()
    }

    fn run(&self, user: &str, words: &str) -> Ended {
        let mut program = program(&format!("machine {words}"));
        program.env("DATABASE_URL", &self.world.database.url).env("CODE_IMPORTS_USER", user);
        program.env("AMQP_URL", &self.vhost.url).env("AMQP_CONSOLE_URL", setting("AMQP_CONSOLE_URL"));
        program.output().unwrap().into()
    }

    /// Whether an account gets in with a password.
    async fn gets_in(&self, account: &str, password: &str) -> Result<Broker, String> {
        let (_, server) = self.vhost.url.split_once('@').unwrap();
        let url = format!("amqp://{account}:{password}@{server}");
        let broker = Broker::new(url.parse().unwrap(), "code-imports", "test");
        let opened = broker.asking_publisher().await.map(drop);
        opened.map(|()| broker).map_err(|error| error.to_string())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for machine in &self.machines {
            let path = console(&format!("users/{machine}"));
            drop(ureq::delete(path).header("Authorization", &authorization()).call());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_an_account_a_new_password_and_loses_it_again() {
    let mut desk = Desk::new().await;
    let machine = desk.machine();
    let refused = desk.run("olga", &format!("add {machine}")).wrong(1);
    assert!(refused.contains("olga may not add machines: that needs to be a member of"), "{refused}");

    let added = desk.run("david", &format!("add {machine} --json")).json();
    let first = added["password"].as_str().unwrap().to_owned();
    assert_eq!((added["account"].as_str(), first.len()), (Some(machine.as_str()), 32));
    assert!(
        added["amqp_url"].as_str().unwrap().starts_with(&format!("amqp://{machine}:PASSWORD@")),
        "{added}"
    );
    let connected = desk.gets_in(&machine, &first).await.unwrap();
    let path = format!("permissions/{}/{machine}", desk.vhost.name);
    let request = ureq::get(console(&path)).header("Authorization", &authorization());
    let permissions: Value = request.call().unwrap().body_mut().read_json().unwrap();
    assert_eq!(permissions["write"], "^code-imports\\.worker$", "a worker's, and no more");

    let again = desk.run("david", &format!("add {machine}")).wrong(1);
    assert!(again.starts_with(&format!("refused: There is an account {machine} already.")), "{again}");
    assert!(again.contains("--rotate") && again.contains(&format!("`machine remove {machine}`")), "{again}");
    let text = desk.run("david", &format!("add {machine} --rotate")).text();
    let second = text.lines().find_map(|line| line.strip_prefix("Password:")).unwrap().trim().to_owned();
    assert_eq!(text.matches(&second).count(), 1, "{text}");
    assert!(
        desk.gets_in(&machine, &first)
            .await
            .unwrap_err()
            .contains(&format!("refused the account {machine}: "))
    );
    desk.gets_in(&machine, &second).await.unwrap();

    let removed = desk.run("david", &format!("remove {machine}")).text();
    assert!(removed.starts_with(&format!("The account {machine} is gone")), "{removed}");
    assert!(desk.gets_in(&machine, &second).await.is_err());
    // The connection that was open is closed: a channel on it cannot be had, and another is refused.
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    let closing = async {
        while connected.asking_publisher().await.is_ok() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closing).await.expect("its connection is closed");
    let gone = desk.run("david", &format!("remove {machine}")).wrong(1);
    assert_eq!(gone, format!("refused: There is no account {machine}; `machine add {machine}` makes one.\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_at_work_keeps_its_account_unless_somebody_insists() {
    let mut desk = Desk::new().await;
    let machine = desk.machine();
    desk.run("david", &format!("add {machine}")).text();
    desk.world.speak_as(&machine).await;
    let refused = desk.run("david", &format!("remove {machine}")).wrong(1);
    let expected =
        format!("refused: The machine {machine} is ONLINE and runs 0 jobs. Type `machine quiesce {machine}`");
    assert!(refused.starts_with(&expected), "{refused}");
    let removed = desk.run("david", &format!("remove {machine} --force")).text();
    assert!(
        removed.contains(&format!("The machine {machine} is OFFLINE, and stays in the records.")),
        "{removed}"
    );
    let events =
        desk.world.run("david", &format!("event list --json --machine {machine} --type offline")).json();
    assert_eq!(events["events"][0]["data"]["MESSAGE"], "its account is taken away");
    assert_eq!(events["events"][0]["person"], "david");
}

/// Who may add machines must not get at the coordinator's password by a machine of its name.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_no_workers_is_not_touched() {
    let desk = Desk::new().await;
    let (_, rest) = desk.vhost.url.split_once("//").unwrap();
    let (coordinator, _) = rest.split_once(':').unwrap();
    for words in ["add --rotate", "remove --force"] {
        let refused = desk.run("david", &format!("{words} {coordinator}")).wrong(1);
        assert!(
            refused.starts_with(&format!("refused: The account {coordinator} is not a worker's")),
            "{refused}"
        );
    }
    assert!(desk.gets_in(coordinator, coordinator).await.is_ok(), "its password is what it was");
    let person = desk.run("david", "add david").wrong(1);
    assert_eq!(
        person,
        "refused: david is the name of a person or a team; a machine has a name of its own.\n"
    );
    let without = desk.world.run("david", "machine add m1").wrong(2);
    assert!(without.contains("AMQP_URL is not set"), "{without}");
}
