//! What workers say → commands; replies → answers.

use super::{Read, json};
use crate::protocol::answer::{Accepted, Answer, HeartbeatAnswer, Stop};
use crate::protocol::work::ImportBody;
use crate::protocol::worker::{Echo, Finish, HeardBeats, Start};
use crate::protocol::{Received, Refusal};
use crate::service::Context;
use crate::workflow::{Command, Reply};

pub(super) fn start(message: &Received) -> Read {
    match message.decode::<Start>() {
        Ok(start) => Read::wish(Command::Start { run: start.run_ref(), machine: start.machine }),
        Err(refusal) => Read::Refused(refusal),
    }
}

pub(super) fn finish(message: &Received) -> Read {
    match Finish::read(message) {
        Ok(finish) => {
            let (run, machine) = (finish.run_ref(), finish.machine.clone());
            Read::wish(Command::Finish { run, machine, report: finish.report() })
        }
        Err(refusal) => Read::Refused(refusal),
    }
}

/// A heartbeat, or the echo by which we hear ourselves: that counts only when it comes from our own account.
pub(super) fn heartbeat(message: &Received, sender: Option<&str>, account: &str) -> Read {
    if message.kind.as_deref() == Some("echo") {
        return match message.decode::<Echo>() {
            Ok(_) if sender != Some(account) => {
                let reason =
                    "An echo counts only with the coordinator's own account as its verified user_id.";
                Read::Refused(Refusal::new("not-allowed", reason))
            }
            Ok(Echo { sent }) => Read::wish(Command::Echo { sent }),
            Err(refusal) => Read::Refused(refusal),
        };
    }
    match HeardBeats::read(message) {
        Ok(HeardBeats { machine, is_idle, beats, malformed }) => {
            Read::Command(Box::new(Command::Heartbeat { machine, is_idle, beats }), malformed)
        }
        Err(refusal) => Read::Refused(refusal),
    }
}

/// What is answered to a command that was applied, now or before.
pub(super) fn answer(context: &Context, reply: Reply) -> Vec<u8> {
    let accepted = match reply {
        Reply::Heard { state, stop } => {
            let stop = stop.into_iter().map(|(job, run)| Stop { job, run }).collect();
            return json(&HeartbeatAnswer {
                machine_state: state,
                stop,
                heartbeat_interval_s: context.settings.heartbeat_interval.as_secs(),
                heartbeat_timeout_s: context.settings.heartbeat_timeout_seconds(),
            });
        }
        Reply::Started(import) => Accepted { import: Some(ImportBody::full(&import)), ..Accepted::default() },
        Reply::Made(made) => {
            let made = serde_json::to_value(made).ok().and_then(|made| made.as_object().cloned());
            Accepted { made: made.unwrap_or_default(), ..Accepted::default() }
        }
        Reply::Done | Reply::Dispatched { .. } => Accepted::default(),
    };
    json(&Answer::Accepted(accepted))
}
