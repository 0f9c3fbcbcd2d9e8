//! The one door: nothing else changes a job.

use diesel_async::AsyncPgConnection;

use super::load::load;
use super::save::save;
use super::transaction::roll_back;
use super::{Error, Store};
use crate::failpoint;
use crate::workflow::{Batch, Command, Outcome, Policy, Rejection};

impl Store {
    /// Applies commands in one transaction and answers each in turn.
    ///
    /// All of them happen or, on an error, none: the caller may then send the same commands again. A batch that
    /// errors through a message's own fault is halved until that message is found; it alone is rejected, as
    /// `failed`, and the others are applied.
    ///
    /// # Errors
    /// Only what no message is to blame for; the session must then be given up.
    pub async fn apply(&mut self, commands: &[Command], policy: &Policy) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(commands.len());
        // What is left to do, the first part last: a stack of halves.
        let mut parts = vec![commands];
        while let Some(part) = parts.pop() {
            match self.apply_whole(part, policy).await {
                Ok(decided) => outcomes.extend(decided),
                Err(error) if !error.is_a_messages_fault() => return Err(error),
                Err(error) if part.len() <= 1 => {
                    outcomes
                        .extend(part.iter().map(|_| Outcome::Rejected(Rejection::Failed(one_line(&error)))));
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Ok(outcomes)
    }

    async fn apply_whole(&mut self, commands: &[Command], policy: &Policy) -> Result<Vec<Outcome>, Error> {
        let applied = Box::pin(transact(self.connection(), commands, policy)).await;
        if applied.is_err() {
            roll_back(self.connection()).await?;
        }
        self.check_warning()?;
        applied
    }
}

/// Loads, decides, and saves.
async fn transact(
    connection: &AsyncPgConnection,
    commands: &[Command],
    policy: &Policy,
) -> Result<Vec<Outcome>, Error> {
    let snapshot = load(connection, commands, policy).await?;
    let mut batch = Batch::new(snapshot, policy);
    let outcomes = commands.iter().map(|command| batch.apply(command)).collect();
    failpoint::pass("decided-not-committed");
    save(connection, &batch.into_changes()).await?;
    Ok(outcomes)
}

/// The error in one line. Its detail stays behind: it may show a whole row, user-info and all.
fn one_line(error: &Error) -> String {
    error.to_string().replace(['\r', '\n'], " ")
}
