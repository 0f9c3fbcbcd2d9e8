//! Rejected messages: sent again or dropped, by the console or the command line, and each act an event.
//!
//! ```text
//! replay: published, confirmed ──► REPLAY event ──► off the queue
//! drop:                            DROP event   ──► off the queue
//! ```
//!
//! Whatever dies in between leaves the message where it was, or in both places; then it is sent again once
//! more, and a replay changes nothing.

use chrono::TimeDelta;

use crate::broker::rejected::{Look, RejectedMessage};
use crate::domain::{PersonName, Timestamp};
use crate::store::Store;
use crate::workflow::{Act, Ask, Command, Outcome, Policy, Rejection, check_acts, check_handles_rejected};

/// Which rejected messages are meant: those that are all that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Those of these ids; none means whatever their id is.
    pub ids: Vec<String>,
    /// Those that were rejected with this code.
    pub code: Option<String>,
    /// Those that came from this queue; the prefix may be left out.
    pub from: Option<String>,
    /// Those that were rejected longer ago.
    pub older_than: Option<TimeDelta>,
    /// Those that were rejected since.
    pub newer_than: Option<TimeDelta>,
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// They are sent again to where they came from.
    Replay,
    /// They are dropped.
    Drop,
}

impl Which {
    /// Whether it is every message.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The places of those that are held, oldest first.
    #[must_use]
    pub fn places(&self, look: &Look, prefix: &str, now: Timestamp) -> Vec<usize> {
        look.held().filter(|(_, message)| self.takes(message, prefix, now)).map(|(place, _)| place).collect()
    }

    fn takes(&self, message: &RejectedMessage, prefix: &str, now: Timestamp) -> bool {
        let comes_from = |queue: &String| {
            message.from == *queue
                || message.from.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) == Some(queue)
        };
        let is_older = |than: TimeDelta| message.at.is_some_and(|at| now - at > than);
        let is_newer = |than: TimeDelta| message.at.is_some_and(|at| now - at <= than);
        (self.ids.is_empty() || self.ids.contains(&message.id))
            && self.code.as_ref().is_none_or(|code| message.code == *code)
            && self.from.as_ref().is_none_or(comes_from)
            && self.older_than.is_none_or(is_older)
            && self.newer_than.is_none_or(is_newer)
    }
}

/// Does it to the messages at these places, for a person, and says what is answered. Of those that are to be
/// sent again, each must be one that can be.
///
/// `message_id` is that of the command by which it was asked, if there was one: one that came before is
/// answered as it was then, and does nothing.
pub async fn deal(
    store: &mut Store,
    look: &mut Look,
    (deed, places): (Deed, &[usize]),
    user: &PersonName,
    message_id: Option<String>,
    policy: &Policy,
) -> anyhow::Result<Outcome> {
    // The same check as of the act itself, before anything is published.
    if let Err(rejection) = check(store, user).await? {
        return Ok(Outcome::Rejected(rejection));
    }
    let references = places.iter().map(|place| look.message(*place).reference()).collect();
    let act = match deed {
        Deed::Replay => {
            look.send_again(places, user).await?;
            Act::Replay(references)
        }
        Deed::Drop => Act::Drop(references),
    };
    let ask = Command::Ask(Ask { user: user.clone(), message_id, act });
    let outcomes = store.apply(&[ask], policy).await?;
    let outcome = outcomes.into_iter().next();
    let outcome = outcome.unwrap_or_else(|| unreachable!("every command has its outcome"));
    // A repeat noted nothing of these messages, so they stay.
    if matches!(outcome, Outcome::Applied(_)) {
        look.remove(places).await?;
        let count = places.len();
        tracing::info!(%user, batch.size = count, "{user}: {deed:?} of {count} rejected messages");
    }
    Ok(outcome)
}

async fn check(store: &mut Store, user: &PersonName) -> anyhow::Result<Result<(), Rejection>> {
    let person = store.person(user).await?;
    let person = person.ok_or_else(|| Rejection::UnknownPerson(user.clone()));
    Ok(person.and_then(|person| check_acts(&person).and_then(|()| check_handles_rejected(&person))))
}
