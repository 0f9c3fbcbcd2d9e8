//! What must be done after the database was restored to an earlier moment.

use diesel_async::{AsyncConnection, RunQueryDsl};

use super::{Error, Store};

/// So far the sequences jump: farther than any number of ids that were given out after the moment.
const JUMP: i64 = 1_000_000_000;

impl Store {
    /// Begins a new epoch of the event log, and moves the sequences of imports, jobs and results forward, so that
    /// no id says two things. The event counter goes on without a jump: the epoch tells the ids apart.
    ///
    /// Harmless when it was not needed: subscribers see a new epoch, and a billion ids are left out.
    pub async fn after_restore(&mut self) -> Result<(), Error> {
        let statements = [
            "WITH epoch AS (
                INSERT INTO event_epochs (epoch, first_id) SELECT gen_random_uuid(), next_id FROM event_counter
                RETURNING epoch)
             UPDATE event_counter SET epoch = epoch.epoch FROM epoch"
                .to_owned(),
            jump("imports_id_seq"),
            jump("jobs_id_seq"),
            jump("results_id_seq"),
        ];
        self.connection()
            .transaction(async |connection| {
                for statement in &statements {
                    diesel::sql_query(statement).execute(connection).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.check_warning()
    }
}

fn jump(sequence: &str) -> String {
    format!("SELECT setval('{sequence}', nextval('{sequence}') + {JUMP})")
}
