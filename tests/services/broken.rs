//! Messages that cannot even be read, or answered, and queues that go at the wrong moment.

use std::time::Duration;

use code_imports::broker::consume::{Consumption, Verdict};
use code_imports::broker::publish::Outgoing;
use code_imports::broker::{Error, Queue};
use code_imports::protocol::Received;
use lapin::options::{
    BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{NAME, World, outgoing, said, with, within};

impl World {
    /// Publishes a message with a header that holds a table that holds a table, and so on.
    pub(crate) async fn publish_nested_headers(&self, queue: &str, depth: usize) {
        let mut table = FieldTable::default();
        for _ in 0..depth {
            let mut outer = FieldTable::default();
            outer.insert("x".into(), AMQPValue::FieldTable(table));
            table = outer;
        }
        let connection = Connection::connect(&self.vhost.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let properties = BasicProperties::default().with_headers(table);
        let options = BasicPublishOptions::default();
        let publishing = channel.basic_publish("".into(), queue.into(), options, b"{}", properties);
        publishing.await.unwrap().await.unwrap();
    }

    /// How many messages are ready in a queue, whatever they are.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let connection = Connection::connect(&self.vhost.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = format!("code-imports.{queue}");
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().message_count()
    }

    /// Publishes a message whose correlation id is not UTF-8, as no client of ours can: on a connection of bytes.
    pub(crate) async fn publish_broken_property(&self, queue: &str) {
        let uri: lapin::uri::AMQPUri = self.vhost.url.parse().unwrap();
        let login = format!("\0{}\0{}", uri.authority.userinfo.username, uri.authority.userinfo.password);
        let address = (uri.authority.host.as_str(), uri.authority.port);
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let short = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let long = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
        let frame = |kind: u8, channel: u16, payload: Vec<u8>| {
            let size = u32::try_from(payload.len()).unwrap();
            [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes(), &payload, &[0xCE]].concat()
        };
        let method = |class: u16, method: u16, arguments: Vec<u8>| {
            [class.to_be_bytes().to_vec(), method.to_be_bytes().to_vec(), arguments].concat()
        };
        let start_ok = [vec![0; 4], short("PLAIN"), long(&login), short("en_US")].concat();
        let tune_ok = [0_u16.to_be_bytes().to_vec(), 131_072_u32.to_be_bytes().to_vec(), vec![0, 0]].concat();
        let open = [short(&uri.vhost), vec![0, 0]].concat();
        // Content type and correlation id are there; the second one is no text.
        let header = [
            method(60, 0, vec![]),
            2_u64.to_be_bytes().to_vec(),
            0x8400_u16.to_be_bytes().to_vec(),
            short("x"),
            vec![2, 0xFF, 0xFE],
        ];
        let frames = [
            b"AMQP\0\0\x09\x01".to_vec(),
            frame(1, 0, method(10, 11, start_ok)),
            frame(1, 0, method(10, 31, tune_ok)),
            frame(1, 0, method(10, 40, open)),
            frame(1, 1, method(20, 10, vec![0])),
            frame(1, 1, method(60, 40, [vec![0, 0, 0], short(queue), vec![0]].concat())),
            frame(2, 1, header.concat()),
            frame(3, 1, b"{}".to_vec()),
            // The broker closes the connection when it has taken all that came before.
            frame(1, 0, method(10, 50, [vec![0, 200], short(""), vec![0; 4]].concat())),
        ];
        socket.write_all(&frames.concat()).await.unwrap();
        // It may end with a reset, since what the broker said was not read: it has taken the message all the same.
        drop(within("the end of the connection", socket.read_to_end(&mut Vec::new())).await);
    }
}

/// An answer to an address that somebody made up costs RabbitMQ's own connection for answers, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_made_up_address_stops_nothing() {
    let world = World::new().await;
    let coordinator = world.serve();
    let talker = world.talker().await;
    let forged = Some("amq.rabbitmq.reply-to.g1h2AA.xx".to_owned());
    for _ in 0..5 {
        // Of a job that never will be: the one that is registered below must wait to be handed out.
        let start = outgoing("start", &said(1_000, 1_000, Uuid::now_v7()));
        talker.publish(&Outgoing { reply_to: forged.clone(), ..start }).await;
    }
    // Said without asking: an answer may be lost with the connection, and whoever needs one asks again.
    let url = "https://example.org/x";
    let register =
        json!({"type": "register", "import": NAME, "rcs_type": "GIT", "url": url, "user": "david.allouche"});
    talker.say("command", &register).await;
    world.take("work.git").await;
    let lost = "SELECT count(*) FROM sessions WHERE date_begun > (SELECT min(date_begun) FROM sessions) + interval '3 s'";
    assert_eq!(world.count(lost).await, 0);
    coordinator.stop().await;
}

/// A property that is not UTF-8 breaks the connection that reads it: that of its own queue, until the broker has
/// delivered it often enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_breaks_its_connection_holds_up_no_other_queue() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    talker.command(json!({"type": "status"})).await;
    world.publish_broken_property("code-imports.finish").await;
    talker.register(NAME).await;
    let idle = json!({"machine": "bazaar-importer", "jobs": []});
    assert_eq!(talker.ask("heartbeat", &idle).await["machine_state"], "ONLINE");
    coordinator.stop().await;
}

/// The broker counts each delivery of such a message, and of all that were on their way with it. So they come one by
/// one, and while one consumer has lost its connection the other goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_breaks_its_connection_holds_up_no_message_behind_it() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    let (import, job) = talker.register(NAME).await;
    let run = said(import, job, Uuid::now_v7());
    assert_eq!(talker.ask("start", &run).await["outcome"], "accepted");
    coordinator.stop().await;
    world.publish_broken_property("code-imports.finish").await;
    for _ in 0..20 {
        talker.say("finish", &with(run.clone(), json!({"status": "SUCCESS"}))).await;
    }
    let coordinator = world.serve();
    world.until("SELECT count(*) FROM results WHERE status = 'SUCCESS'", 1).await;
    coordinator.stop().await;
    // The message itself, if it was delivered often enough by now.
    assert!(world.ready("rejected").await <= 1);
}

/// Headers that are nested as deep as a frame is long end no process; they are left to the dead-letter exchange like
/// all that are too many.
#[tokio::test(flavor = "multi_thread")]
async fn headers_nested_thousands_deep_are_dead_lettered_and_harm_nobody() {
    let world = World::new().await;
    let coordinator = world.serve();
    let mut talker = world.talker().await;
    world.publish_nested_headers("code-imports.start", 3_000).await;
    let (_, headers) = world.take("rejected").await;
    assert!(headers.contains_key("x-death"), "{:?}", headers.keys());
    talker.register(NAME).await;
    coordinator.stop().await;
}

/// RabbitMQ tells nobody whose consumer began just when its queue was deleted, and the next queue of that name knows
/// nothing of it. It takes luck to meet that moment, so there are many tries; each is found well.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_began_just_when_its_queue_was_deleted_reads_the_next_one() {
    let world = World::new().await;
    let talker = world.talker().await;
    let connection = Connection::connect(&world.vhost.url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..30 {
        world.broker.declare().await.unwrap();
        let (consumption, shutdown) = (
            Consumption { queue: Queue::Finish, batch: 1, idle: Duration::from_millis(300) },
            CancellationToken::new(),
        );
        let judge = async |messages: &[Received]| {
            shutdown.cancel();
            Ok::<_, Error>(vec![Verdict::default(); messages.len()])
        };
        let consuming = async {
            // A queue that is missing just now is an error, and another session follows.
            while !shutdown.is_cancelled() {
                drop(world.broker.consume(consumption, &shutdown, judge).await);
            }
        };
        let meddling = async {
            for _ in 0..random.random_range(0..40) {
                let options = BasicQosOptions::default();
                channel.basic_qos(1, options).await.unwrap();
            }
            let queue = "code-imports.finish".into();
            channel.queue_delete(queue, QueueDeleteOptions::default()).await.unwrap();
            world.broker.declare().await.unwrap();
            talker.say("finish", &json!({})).await;
        };
        Box::pin(within("the message", async { tokio::join!(consuming, meddling) })).await;
    }
}
