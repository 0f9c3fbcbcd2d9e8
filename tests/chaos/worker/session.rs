//! One connection of a simulated worker, from the first heartbeat to whatever ends it.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
    BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::errand::{Errand, Stage, Word};
use super::{End, LATE, Machine, Orders};
use crate::behaviour::{Behaviour, Step, status};
use crate::history::{Sent, now};
use crate::settings::HEARTBEAT_TIMEOUT;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const WORK: &str = "code-imports.work.hg";

/// How long anything at the broker may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// From one heartbeat to the next.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// An answer to a heartbeat that does not come so long: something is wrong with the session.
const DEAF: Duration = Duration::from_secs(12);

/// What lies between a machine and its broker.
struct Line {
    _connection: Connection,
    speaking: Channel,
    taking: Channel,
    answers: Consumer,
    work: Option<Consumer>,
    /// Whether the last heartbeat was answered ONLINE.
    is_online: bool,
    last_answer: Instant,
}

type Result<T> = std::result::Result<T, End>;

fn lost(error: impl std::fmt::Display) -> End {
    End::Lost(error.to_string())
}

async fn in_time<T>(waiting: impl Future<Output = lapin::Result<T>>) -> Result<T> {
    let late = |_| End::Lost(format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, waiting).await.map_err(late)?.map_err(lost)
}

impl Machine {
    pub(super) async fn session(&mut self, orders: &Orders) -> End {
        let mut line = match self.open().await {
            Ok(line) => line,
            Err(end) => return end,
        };
        match self.talk(&mut line, orders).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn open(&self) -> Result<Line> {
        let url = format!("{}?heartbeat=4", self.url);
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = in_time(Connection::connect(&url, properties)).await?;
        let speaking = in_time(connection.create_channel()).await?;
        in_time(speaking.confirm_select(ConfirmSelectOptions::default())).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let table = FieldTable::default;
        let answers = in_time(speaking.basic_consume(REPLY_TO.into(), "".into(), options, table())).await?;
        let taking = in_time(connection.create_channel()).await?;
        in_time(taking.basic_qos(1, BasicQosOptions::default())).await?;
        let last_answer = Instant::now();
        Ok(Line {
            _connection: connection,
            speaking,
            taking,
            answers,
            work: None,
            is_online: false,
            last_answer,
        })
    }

    async fn talk(&mut self, line: &mut Line, orders: &Orders) -> Result<std::convert::Infallible> {
        let (mut beats, mut ticks) = (interval(HEARTBEAT), interval(Duration::from_millis(100)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let work = async {
                match &mut line.work {
                    Some(work) => work.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                delivery = work => match delivery {
                    Some(delivery) => self.take(line, delivery.map_err(lost)?).await?,
                    // The queue was deleted; it is opened again as soon as it is there.
                    None => line.work = None,
                },
                answer = line.answers.next() => match answer {
                    Some(answer) => self.hear(line, answer.map_err(lost)?).await?,
                    None => return Err(End::Lost("the answers ended".to_owned())),
                },
                _ = beats.tick() => {
                    self.is_good = self.is_good || orders.behave.is_cancelled();
                    self.beat(line).await?;
                }
                _ = ticks.tick() => {
                    self.go_on(line).await?;
                    let is_leaving = orders.leave.is_cancelled();
                    if is_leaving && self.errands.is_empty() {
                        return Err(End::Left);
                    }
                    self.consume(line, is_leaving).await?;
                }
            }
        }
    }

    /// Consumes while it has a free slot.
    async fn consume(&mut self, line: &mut Line, is_leaving: bool) -> Result<()> {
        if line.work.is_none() && line.is_online && self.free_slots() > 0 && !is_leaving {
            let tag = format!("{}-{}", self.name, Uuid::new_v4());
            let options = BasicConsumeOptions::default();
            let consuming =
                line.taking.basic_consume(WORK.into(), tag.into(), options, FieldTable::default());
            line.work = Some(in_time(consuming).await?);
        }
        if is_leaving {
            self.stop_consuming(line).await?;
        }
        Ok(())
    }

    async fn stop_consuming(&mut self, line: &mut Line) -> Result<()> {
        let Some(mut work) = line.work.take() else { return Ok(()) };
        in_time(line.taking.basic_cancel(work.tag(), BasicCancelOptions::default())).await?;
        // What was on its way is given back.
        while let Ok(Some(Ok(delivery))) = tokio::time::timeout(Duration::from_millis(50), work.next()).await
        {
            give_back(&delivery).await?;
        }
        Ok(())
    }

    /// Work came.
    async fn take(&mut self, line: &mut Line, delivery: Delivery) -> Result<()> {
        let Ok(work) = serde_json::from_slice::<Value>(&delivery.data) else {
            // Somebody's poison in the work queue: not ours to judge.
            return in_time(delivery.acker.ack(BasicAckOptions::default())).await.map(drop);
        };
        let (Some(job), Some(import)) = (work["job"].as_i64(), work["import"]["id"].as_i64()) else {
            return in_time(delivery.acker.ack(BasicAckOptions::default())).await.map(drop);
        };
        if let Some(errand) = self.errands.get_mut(&job) {
            if errand.stage == Stage::Starting {
                errand.tag = Some(delivery.delivery_tag);
                return Ok(());
            }
            return in_time(delivery.acker.ack(BasicAckOptions::default())).await.map(drop);
        }
        if self.free_slots() == 0 {
            return give_back(&delivery).await;
        }
        let drawn = Behaviour::draw(&mut self.chance, self.is_long);
        let behaviour = if self.is_good { Behaviour::Plain } else { drawn };
        let errand = Errand {
            job,
            import,
            run: self.new_run(),
            behaviour,
            status: if self.is_good { "SUCCESS" } else { status(&mut self.chance) },
            takes: behaviour.takes(&mut self.chance),
            stage: Stage::Starting,
            tag: Some(delivery.delivery_tag),
            start_id: Uuid::new_v4().to_string(),
            finish_id: Uuid::new_v4().to_string(),
            due: Instant::now() + behaviour.delay(&mut self.chance),
            is_started: false,
            is_finished: false,
            is_silent: false,
        };
        self.history.behaved(behaviour.name());
        if errand.dies_at(Step::Delivered) {
            return Err(End::Died);
        }
        self.errands.insert(job, errand);
        self.go_on(line).await
    }

    /// Does what is due.
    async fn go_on(&mut self, line: &mut Line) -> Result<()> {
        let due: Vec<i64> = self
            .errands
            .iter()
            .filter(|(_, errand)| errand.due <= Instant::now())
            .map(|(job, _)| *job)
            .collect();
        for job in due {
            let Some(errand) = self.errands.get(&job).cloned() else { continue };
            match errand.stage {
                Stage::Starting if errand.behaviour == Behaviour::Reorders && !errand.is_finished => {
                    self.say_finish(line, job).await?;
                    self.say_start(line, job).await?;
                }
                Stage::Starting => self.say_start(line, job).await?,
                Stage::Working => {
                    if errand.dies_at(Step::Working) {
                        return Err(End::Died);
                    }
                    self.say_finish(line, job).await?;
                }
                Stage::Finishing => self.say_finish(line, job).await?,
                Stage::Done => {
                    self.publish(line, &errand.finish(&self.name), true).await?;
                    self.errands.remove(&job);
                }
            }
        }
        Ok(())
    }

    async fn say_start(&mut self, line: &Line, job: i64) -> Result<()> {
        let Some(errand) = self.errands.get_mut(&job) else { return Ok(()) };
        errand.wait_for_answer();
        let (errand, name) = (errand.clone(), self.name.clone());
        self.history.run(errand.run, |story| {
            story.machine = name;
            story.job = job;
            story.import = errand.import;
        });
        let times = if errand.behaviour == Behaviour::Repeats { 2 } else { 1 };
        for _ in 0..times {
            self.publish(line, &errand.start(&self.name), true).await?;
        }
        self.errands.entry(job).and_modify(|errand| errand.is_started = true);
        if errand.dies_at(Step::Started) { Err(End::Died) } else { Ok(()) }
    }

    async fn say_finish(&mut self, line: &Line, job: i64) -> Result<()> {
        let Some(errand) = self.errands.get_mut(&job) else { return Ok(()) };
        errand.wait_for_answer();
        if errand.stage == Stage::Working {
            errand.stage = Stage::Finishing;
        }
        let errand = errand.clone();
        let name = self.name.clone();
        self.history.run(errand.run, |story| {
            errand.status.clone_into(&mut story.status);
            (story.machine, story.job, story.import) = (name, job, errand.import);
        });
        if errand.behaviour == Behaviour::WrongMachine && !errand.is_finished {
            self.say_finish_of_another(line, &errand).await?;
        }
        let times = if errand.behaviour == Behaviour::Repeats { 2 } else { 1 };
        for _ in 0..times {
            self.publish(line, &errand.finish(&self.name), true).await?;
            self.history.run(errand.run, |story| {
                story.finish_confirmed = story.finish_confirmed.or(Some(now()));
            });
        }
        self.errands.entry(job).and_modify(|errand| errand.is_finished = true);
        if errand.dies_at(Step::Finished) { Err(End::Died) } else { Ok(()) }
    }

    /// Says that another machine has finished the run, which must be refused and kept: its status is one that no worker
    /// of ours reports, so it would be seen in the results.
    async fn say_finish_of_another(&self, line: &Line, errand: &Errand) -> Result<()> {
        let message_id = Uuid::new_v4().to_string();
        let imposter = Errand { status: "FAILURE_FORBIDDEN", ..errand.clone() };
        let word = Word { message_id, ..imposter.finish("somebody-else") };
        self.publish(line, &word, true).await?;
        let what = format!("finish of job {} by another machine", errand.job);
        let sent = Sent { what, queue: "finish", confirmed: now(), is_asking: false, run: Some(errand.run) };
        self.history.facts().poison.insert(word.message_id, sent);
        Ok(())
    }

    async fn beat(&mut self, line: &mut Line) -> Result<()> {
        if line.last_answer.elapsed() > DEAF {
            return Err(End::Lost("no heartbeat was answered".to_owned()));
        }
        let jobs: Vec<Value> = self.errands.values().filter_map(Errand::beat).collect();
        let body = json!({"machine": self.name, "jobs": jobs});
        let word = Word { key: "heartbeat", message_id: Uuid::new_v4().to_string(), body };
        self.publish(line, &word, false).await
    }

    /// Publishes, and waits for the confirm: what no queue takes, or the broker refuses, ends the session.
    async fn publish(&self, line: &Line, word: &Word, is_mandatory: bool) -> Result<()> {
        let time = now().timestamp() + self.clock;
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_message_id(word.message_id.as_str().into())
            .with_correlation_id(word.message_id.as_str().into())
            .with_type(word.key.into())
            .with_timestamp(time.unsigned_abs())
            .with_delivery_mode(if is_mandatory { 2 } else { 1 })
            .with_reply_to(REPLY_TO.into());
        if !is_mandatory {
            properties = properties.with_expiration(HEARTBEAT_TIMEOUT.as_millis().to_string().into());
        }
        let options = BasicPublishOptions { mandatory: is_mandatory, ..BasicPublishOptions::default() };
        let (exchange, key): (ShortString, ShortString) = ("code-imports.worker".into(), word.key.into());
        let body = word.body.to_string().into_bytes();
        let publishing =
            async { line.speaking.basic_publish(exchange, key, options, &body, properties).await?.await };
        let confirm = in_time(publishing).await?;
        self.history.published();
        let is_taken = confirm.is_ack() && confirm.take_message().is_none();
        if is_taken || !is_mandatory { Ok(()) } else { Err(End::Lost("nobody took it".to_owned())) }
    }

    /// An answer came.
    async fn hear(&mut self, line: &mut Line, answer: Delivery) -> Result<()> {
        let Ok(body) = serde_json::from_slice::<Value>(&answer.data) else { return Ok(()) };
        if let Some(state) = body["machine_state"].as_str() {
            line.last_answer = Instant::now();
            line.is_online = state == "ONLINE";
            if !line.is_online {
                self.stop_consuming(line).await?;
            }
            let stop = body["stop"].as_array().cloned().unwrap_or_default();
            let stopped = stop.iter().filter_map(|stop| stop["job"].as_i64());
            for job in stopped {
                // A finish that was published is kept until it is answered.
                if self.errands.get(&job).is_some_and(|errand| errand.stage == Stage::Working) {
                    self.errands.remove(&job);
                }
            }
            return Ok(());
        }
        let id = answer.properties.correlation_id().as_ref().map(ToString::to_string).unwrap_or_default();
        let outcome = match body["outcome"].as_str() {
            Some("accepted") => "accepted".to_owned(),
            _ => body["code"].as_str().unwrap_or("?").to_owned(),
        };
        let errand = self.errands.values().find(|errand| errand.start_id == id || errand.finish_id == id);
        let Some(errand) = errand.cloned() else { return Ok(()) };
        if errand.start_id == id {
            self.hear_start(line, &errand, &outcome).await
        } else {
            self.hear_finish(line, &errand, &outcome).await
        }
    }

    async fn hear_start(&mut self, line: &mut Line, errand: &Errand, outcome: &str) -> Result<()> {
        if errand.stage != Stage::Starting {
            return Ok(());
        }
        if outcome == "machine-not-online" {
            self.history.run(errand.run, |story| story.silent = Some(now()));
            self.errands.remove(&errand.job);
            let Some(tag) = errand.tag else { return Ok(()) };
            let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            return in_time(line.taking.basic_nack(tag, options)).await;
        }
        if errand.dies_at(Step::Answered) {
            return Err(End::Died);
        }
        if self.free_slots() == 0 {
            self.stop_consuming(line).await?;
        }
        if let Some(tag) = errand.tag {
            in_time(line.taking.basic_ack(tag, BasicAckOptions::default())).await?;
        }
        if outcome != "accepted" {
            if !errand.is_finished {
                self.errands.remove(&errand.job);
            }
            return Ok(());
        }
        let late = errand.behaviour == Behaviour::AnswersLate;
        let delay = errand.behaviour.delay(&mut self.chance);
        let Some(held) = self.errands.get_mut(&errand.job) else { return Ok(()) };
        held.tag = None;
        held.stage = if held.is_finished { Stage::Finishing } else { Stage::Working };
        held.due = Instant::now() + if late { LATE } else { held.takes + delay };
        held.is_silent = late;
        if late {
            self.history.run(errand.run, |story| story.silent = Some(now()));
        }
        Ok(())
    }

    async fn hear_finish(&mut self, line: &mut Line, errand: &Errand, outcome: &str) -> Result<()> {
        self.history.run(errand.run, |story| story.finish_was_answered(now(), outcome));
        if let Some(tag) = errand.tag {
            in_time(line.taking.basic_ack(tag, BasicAckOptions::default())).await?;
        }
        let Some(held) = self.errands.get_mut(&errand.job) else { return Ok(()) };
        held.tag = None;
        if errand.behaviour == Behaviour::ReportsAgain && errand.stage != Stage::Done {
            held.stage = Stage::Done;
            held.due = Instant::now() + Duration::from_millis(self.chance.random_range(500..6000));
        } else {
            self.errands.remove(&errand.job);
        }
        Ok(())
    }
}

async fn give_back(delivery: &Delivery) -> Result<()> {
    let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    in_time(delivery.acker.nack(options)).await.map(drop)
}
