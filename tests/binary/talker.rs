//! What the test says by AMQP itself, as a worker or as an operator, and what it is answered.

use code_imports::broker::ask::{Answers, DIRECT_REPLY_TO};
use code_imports::broker::publish::{Outgoing, Publisher};
use code_imports::broker::{Broker, Error, Exchange};
use serde_json::Value;
use uuid::Uuid;

use crate::process::within;

pub(crate) struct Talker {
    broker: Broker,
    publisher: Publisher,
    answers: Answers,
}

impl Talker {
    pub(crate) async fn new(amqp_url: &str) -> Self {
        Self::connect(amqp_url).await.unwrap()
    }

    /// The same, where the broker may be away.
    pub(crate) async fn connect(amqp_url: &str) -> Result<Self, Error> {
        let broker = Broker::new(amqp_url.parse().unwrap(), "code-imports", "test");
        let (publisher, answers) = broker.asking_publisher().await?;
        Ok(Self { broker, publisher, answers })
    }

    /// Says something, and waits for the answer.
    pub(crate) async fn ask(&mut self, word: &'static str, body: &Value) -> Value {
        self.ask_with(message(word, body)).await
    }

    /// The same by this account, which the broker verifies.
    pub(crate) async fn ask_as(&mut self, account: &str, word: &'static str, body: &Value) -> Value {
        self.ask_with(Outgoing { user_id: Some(account.to_owned()), ..message(word, body) }).await
    }

    async fn ask_with(&mut self, message: Outgoing) -> Value {
        self.publish(&message).await.unwrap();
        let id = message.correlation_id;
        loop {
            let answer = within("an answer", self.answers.next()).await.unwrap();
            if answer.correlation_id == id {
                return serde_json::from_slice(&answer.body).unwrap();
            }
        }
    }

    /// Publishes, and waits until the broker has it.
    pub(crate) async fn publish(&self, message: &Outgoing) -> Result<(), Error> {
        let exchange = if message.kind.is_empty() { Exchange::Commands } else { Exchange::Worker };
        let exchange = self.broker.topology.exchange(exchange);
        self.publisher.publish_all(&exchange, std::slice::from_ref(message)).await
    }
}

/// A message that asks for an answer. A command says its type in its body.
pub(crate) fn message(word: &'static str, body: &Value) -> Outgoing {
    let id = Uuid::new_v4().to_string();
    Outgoing {
        routing_key: word.to_owned(),
        message_id: id.clone(),
        kind: if word == "command" { "" } else { word },
        body: body.to_string().into_bytes(),
        reply_to: Some(DIRECT_REPLY_TO.to_owned()),
        correlation_id: Some(id),
        ..Outgoing::default()
    }
}
