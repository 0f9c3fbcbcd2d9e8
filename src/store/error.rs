//! What happened to us at the database, not to the job.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::workflow::Rejection;

/// An error of the database. It aborts what was under way, wholly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached.
    #[error("cannot connect to PostgreSQL at {hosts}: {reason}")]
    Connect {
        /// The hosts and the database, without password.
        hosts: String,
        /// Why.
        reason: String,
    },
    /// It is there and does not take us.
    #[error("PostgreSQL at {hosts} refused us: {reason}")]
    TurnedAway {
        /// The hosts and the database, without password.
        hosts: String,
        /// What it says.
        reason: String,
    },
    /// It refused, or went away.
    #[error("PostgreSQL: {0}")]
    Database(DieselError),
    /// It answered nothing for too long.
    #[error("PostgreSQL did not answer within {0:?}")]
    Stalled(std::time::Duration),
    /// A COMMIT came with a warning, so it may not be on the standby.
    #[error("PostgreSQL warned at COMMIT; the session is given up")]
    Warned,
    /// A row that no code of ours can have written.
    #[error("row {id} of {table} is corrupt: {what}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// Which row.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// Migrating failed.
    #[error("migration: {0}")]
    Migration(String),
    /// Whoever asks may not see it.
    #[error(transparent)]
    NotAllowed(#[from] Rejection),
    /// A person or team that is named does not exist, or a change of them is refused.
    #[error("{0}")]
    Refused(String),
    /// The log ends below where this process has read it.
    #[error(
        "the event log ends at {end}, and this process has read it up to {read}: restored? run `code-imports after-restore`"
    )]
    LogWentBack {
        /// Where it ends.
        end: i64,
        /// Where it has been read to.
        read: i64,
    },
    /// Another relay moved the cursor.
    #[error("another relay moved the cursor")]
    CursorMoved,
}

/// Not `#[from]`, which makes it the source too: whoever shows the chain of causes would say it twice.
impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        Self::Database(error)
    }
}

impl Error {
    /// Whether the connection was lost, or could not be made.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            // What comes without a code of the server's did not come from the server.
            Self::Connect { .. }
            | Self::Database(DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _)) => true,
            Self::Database(DieselError::DatabaseError(_, information)) => {
                information.message().starts_with("terminating connection")
            }
            _ => false,
        }
    }

    /// Whether a statement took longer than it may.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        let Self::Database(DieselError::DatabaseError(_, information)) = self else { return false };
        information.message() == "canceling statement due to statement timeout"
    }

    /// Whether a table, or a column, is missing.
    #[must_use]
    pub fn is_schema_missing(&self) -> bool {
        let Self::Database(DieselError::DatabaseError(_, information)) = self else { return false };
        let message = information.message();
        message.ends_with("does not exist") && ["relation", "column"].iter().any(|it| message.starts_with(it))
    }

    /// Whether a message's own fault made the error, so that another message would have passed.
    ///
    /// Everything that is not known to be a message's is the database's: then the session ends, and the
    /// broker gives the messages to whoever is well. A missing partition calls itself a check violation, but
    /// names no constraint.
    pub(super) fn is_a_messages_fault(&self) -> bool {
        let Self::Database(DieselError::DatabaseError(kind, information)) = self else {
            return matches!(self, Self::Corrupt { .. });
        };
        match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation => true,
            DatabaseErrorKind::CheckViolation => information.constraint_name().is_some(),
            DatabaseErrorKind::Unknown => {
                const DATA_EXCEPTIONS: [&str; 7] = [
                    "invalid byte sequence",
                    "unsupported Unicode escape sequence",
                    "out of range",
                    "value too long",
                    "index row size",
                    "invalid input syntax",
                    "total size of jsonb",
                ];
                DATA_EXCEPTIONS.iter().any(|text| information.message().contains(text))
            }
            _ => false,
        }
    }
}
