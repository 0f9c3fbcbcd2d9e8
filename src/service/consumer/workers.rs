//! What workers say → commands; replies → answers.

use super::{Read, Sender, json};
use crate::domain::Hostname;
use crate::protocol::answer::{Accepted, Answer, HeartbeatAnswer, Stop};
use crate::protocol::work::ImportBody;
use crate::protocol::worker::{Echo, Finish, HeardBeats, Start};
use crate::protocol::{Received, Refusal};
use crate::service::Context;
use crate::workflow::{Command, Reply};

pub(super) fn start(context: &Context, message: &Received, sender: &Sender<'_>) -> Read {
    let start = match message.decode::<Start>() {
        Ok(start) => start,
        Err(refusal) => return Read::Refused(refusal),
    };
    match check_speaks(context, sender, &start.machine) {
        Ok(()) => Read::wish(Command::Start { run: start.run_ref(), machine: start.machine }),
        Err(refusal) => Read::NotAllowed(refusal),
    }
}

pub(super) fn finish(context: &Context, message: &Received, sender: &Sender<'_>) -> Read {
    let finish = match Finish::read(message) {
        Ok(finish) => finish,
        Err(refusal) => return Read::Refused(refusal),
    };
    if let Err(refusal) = check_speaks(context, sender, &finish.machine) {
        return Read::NotAllowed(refusal);
    }
    let (run, machine) = (finish.run_ref(), finish.machine.clone());
    Read::wish(Command::Finish { run, machine, report: finish.report() })
}

/// A heartbeat, or the echo by which we hear ourselves: that counts only when it comes from our own account.
pub(super) fn heartbeat(context: &Context, message: &Received, sender: &Sender<'_>) -> Read {
    if message.kind.as_deref() == Some("echo") {
        return match message.decode::<Echo>() {
            Ok(_) if sender.account != Some(context.broker.account()) => {
                let reason =
                    "An echo counts only with the coordinator's own account as its verified user_id.";
                Read::Refused(Refusal::new("not-allowed", reason))
            }
            Ok(Echo { sent }) => Read::wish(Command::Echo { sent }),
            Err(refusal) => Read::Refused(refusal),
        };
    }
    let HeardBeats { machine, is_idle, beats, malformed } = match HeardBeats::read(message) {
        Ok(heard) => heard,
        Err(refusal) => return Read::Refused(refusal),
    };
    match check_speaks(context, sender, &machine) {
        Ok(()) => Read::Command(Box::new(Command::Heartbeat { machine, is_idle, beats }), malformed),
        Err(refusal) => Read::NotAllowed(refusal),
    }
}

/// Refuses whoever speaks for a machine that is not its own, where that is asked: the account that the broker
/// verified must have the machine's name.
fn check_speaks(context: &Context, sender: &Sender<'_>, machine: &Hostname) -> Result<(), Refusal> {
    if !context.settings.verify_machines || sender.account == Some(machine.as_str()) {
        return Ok(());
    }
    let who = match sender.account {
        Some(account) => format!("The account {account}"),
        None => "An account that nobody verified".to_owned(),
    };
    let reason = format!(
        "{who} may not speak for the machine {machine}: that needs {machine} as its verified user_id."
    );
    Err(Refusal::new("not-allowed", reason))
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
