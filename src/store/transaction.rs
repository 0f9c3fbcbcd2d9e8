//! Transactions whose statements are sent without waiting for each other's answers.
//!
//! A statement and its answer wake two processes, which costs both more than what is asked of them. So all statements
//! that are known are sent at once (`try_join!`), and PostgreSQL executes them in the order in which they were sent.
//! That order is the one in which their futures are polled first, since each sends before it waits for anything but those
//! before it: the first time a statement is asked for, it is prepared, and those after it queue behind that. A
//! statement that Diesel does not keep prepared keeps its place, too, but costs a round trip.
//!
//! When one fails, the server refuses those behind it, the COMMIT too, which then rolls back.

use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Error;
use super::statement::plain_statement;

plain_statement! {
    /// Begins a transaction.
    Begin, "BEGIN"
}

plain_statement! {
    /// Ends it.
    Commit, "COMMIT"
}

plain_statement! {
    /// Ends it as if it had not been.
    Rollback, "ROLLBACK"
}

/// Begins a transaction.
pub(super) async fn begin(mut connection: &AsyncPgConnection) -> Result<(), Error> {
    Begin.execute(&mut connection).await?;
    Ok(())
}

/// Ends a transaction: all of it happens.
pub(super) async fn commit(mut connection: &AsyncPgConnection) -> Result<(), Error> {
    Commit.execute(&mut connection).await?;
    Ok(())
}

/// Ends a transaction in which something failed.
pub(super) async fn roll_back(mut connection: &AsyncPgConnection) -> Result<(), Error> {
    Rollback.execute(&mut connection).await?;
    Ok(())
}
