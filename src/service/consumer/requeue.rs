//! `requeue`: operators send rejected messages again from the console.

use crate::broker::rejected::{Look, MAX_LOOKED};
use crate::domain::{PersonName, Timestamp};
use crate::protocol::command::RequeueBody;
use crate::service::Context;
use crate::service::rejected::{Deed, Which, deal};
use crate::store::Store;
use crate::workflow::{Outcome, Rejection, Reply};

/// Sends messages again, and says what is answered. All commands of a batch share one look.
pub(super) async fn requeue(
    context: &Context,
    store: &mut Store,
    look: &mut Option<Look>,
    (user, message_id): (&PersonName, Option<String>),
    body: RequeueBody,
) -> anyhow::Result<Outcome> {
    if let Some(id) = &message_id
        && let Some(made) = store.answer_to(id).await?
    {
        return Ok(Outcome::Repeated(Reply::Made(made)));
    }
    let look = match look {
        Some(look) => look,
        none => none.insert(context.broker.look_at_rejected().await?),
    };
    let which = Which {
        ids: body.message_id.clone().into_iter().collect(),
        code: body.code.clone(),
        from: body.queue.clone(),
        ..Which::default()
    };
    // No age is asked for, so it does not matter when this is.
    let mut places = which.places(look, context.broker.topology.prefix(), Timestamp::UNIX_EPOCH);
    let obstacle = places.iter().find_map(|place| look.message(*place).obstacle.clone());
    places.retain(|place| look.message(*place).obstacle.is_none());
    if places.is_empty() {
        return Ok(Outcome::Rejected(Rejection::UnknownMessage(missing(&body, look.unseen, obstacle))));
    }
    deal(store, look, (Deed::Replay, &places), user, message_id, &context.settings.policy).await
}

/// What is missing, to stand after `There is no rejected message `.
fn missing(body: &RequeueBody, unseen: u32, obstacle: Option<String>) -> String {
    let said = [("with id", &body.message_id), ("with code", &body.code), ("from queue", &body.queue)];
    let said = said.into_iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?)));
    let said = said.collect::<Vec<_>>().join(", ");
    match (obstacle, unseen) {
        (Some(obstacle), _) => format!("{said} that can be sent again: {obstacle}"),
        (None, 0) => format!("{said}."),
        (None, _) => format!("{said} among the first {MAX_LOOKED}; {unseen} more lie behind them."),
    }
}
