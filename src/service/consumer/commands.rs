//! What operators ask for → commands.

use chrono::TimeDelta;

use super::requeue::requeue;
use super::{Read, json};
use crate::broker::rejected::Look;
use crate::domain::PersonName;
use crate::domain::source::SourceInput;
use crate::protocol::command::{CommandBody, KillBody, ReadCommand, RegisterBody, UpdateBody};
use crate::protocol::{Received, Refusal};
use crate::service::Context;
use crate::service::status::Status;
use crate::store::Store;
use crate::workflow::{Act, Ask, Command, KillTarget, Registration, Update};

/// Reads a command of this account, and who asks for it. What is no change of imports, jobs or machines is done.
pub(super) async fn read(
    context: &Context,
    store: &mut Store,
    look: &mut Option<Look>,
    message: &Received,
    account: Option<&str>,
) -> anyhow::Result<Read> {
    let ReadCommand { body, user } = match ReadCommand::read(message) {
        Ok(command) => command,
        Err(refusal) => return Ok(Read::Refused(refusal)),
    };
    if body == CommandBody::Status {
        let status = Status::read(store, &context.broker).await?;
        let answer = serde_json::json!({"outcome": "accepted", "status": status});
        return Ok(Read::Answered(json(&answer)));
    }
    let user = match asker(store, account, user).await? {
        Ok(user) => user,
        Err(refusal) => return Ok(Read::Refused(refusal)),
    };
    let message_id = message.message_id.clone();
    if let CommandBody::Requeue(body) = body {
        let outcome = requeue(context, store, look, (&user, message_id), body).await?;
        return Ok(Read::Decided(Box::new(outcome)));
    }
    let act = act(body).unwrap_or_else(|| unreachable!("the others were done above"));
    Ok(Read::wish(Command::Ask(Ask { user, message_id, act })))
}

/// Who asks: the account that the broker verified speaks for the person of its name. What the body says counts
/// only where no account was verified, or one that belongs to an operator.
async fn asker(
    store: &mut Store,
    account: Option<&str>,
    in_body: Option<PersonName>,
) -> anyhow::Result<Result<PersonName, Refusal>> {
    let Some(account) = account else {
        let missing = "user: expected who asks, in the body or as a verified user_id";
        return Ok(in_body.ok_or_else(|| Refusal::malformed(missing)));
    };
    let account: PersonName = match account.parse() {
        Ok(account) => account,
        Err(error) => return Ok(Err(Refusal::malformed(format!("user_id: {error}")))),
    };
    let is_operator = match &in_body {
        Some(user) if *user != account => {
            store.person(&account).await?.is_some_and(|person| person.is_operator())
        }
        _ => false,
    };
    Ok(Ok(in_body.filter(|_| is_operator).unwrap_or(account)))
}

/// What is to be changed of imports, jobs and machines.
fn act(body: CommandBody) -> Option<Act> {
    Some(match body {
        CommandBody::Register(body) => Act::Register(registration(body)),
        CommandBody::Update(body) => Act::Update { import: body.import.clone(), update: update(body) },
        CommandBody::Request(name) => Act::Request { import: name.import },
        CommandBody::TryAgain(name) => Act::TryAgain { import: name.import },
        CommandBody::Kill(KillBody { job: Some(job), .. }) => Act::Kill(KillTarget::Job(job)),
        CommandBody::Kill(KillBody { import, .. }) => Act::Kill(KillTarget::Import(import?)),
        CommandBody::Delete(name) => Act::Delete { import: name.import },
        CommandBody::Machine(body) => {
            Act::SetMachine { machine: body.machine, state: body.state, message: body.message }
        }
        CommandBody::Requeue(_) | CommandBody::Status => return None,
    })
}

fn registration(body: RegisterBody) -> Registration {
    let RegisterBody { import, rcs_type, url, cvs_root, cvs_module, owner, review_status, update_interval_s } =
        body;
    Registration {
        unique_name: import,
        rcs_type,
        source: SourceInput { url, cvs_root, cvs_module },
        owner,
        review_status,
        update_interval: update_interval_s.map(seconds),
    }
}

fn update(body: UpdateBody) -> Update {
    let UpdateBody { import: _, review_status, url, cvs_root, cvs_module, owner, update_interval_s } = body;
    Update {
        review_status,
        source: SourceInput { url, cvs_root, cvs_module },
        owner,
        update_interval: update_interval_s.map(|interval| interval.map(seconds)),
    }
}

fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(seconds.into())
}
