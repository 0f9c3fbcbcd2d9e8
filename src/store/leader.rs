//! The advisory locks of dispatcher, relay, reaper and housekeeping.
//!
//! Leadership saves work; it is not safety: two leaders at once are harmless. So it is enough that a leader
//! that stopped or vanished loses the lock within seconds: its connection is closed by the server when it is
//! not asked anything for a while.

use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;

use super::connection::Link;
use super::{DatabaseUrl, Error};

/// The class of our advisory locks of two numbers.
const CLASS: i32 = 0x636f_6465;

/// The server closes the lock's connection when it is asked nothing for this long.
const IDLE_LIMIT: &str = "idle_session_timeout=4s";

diesel::define_sql_function! {
    /// Takes an advisory lock of the session, if it is free.
    fn pg_try_advisory_lock(class: Integer, key: Integer) -> Bool;
}

/// The lock of one role, held as long as this lives once it was taken. It must be asked something every second.
pub struct Leadership {
    link: Link,
    role: &'static str,
}

impl Leadership {
    /// Connects, on a connection of its own.
    pub async fn connect(url: &DatabaseUrl, role: &'static str) -> Result<Self, Error> {
        let link = Link::connect(&url.with_option(IDLE_LIMIT), &format!("{role} leader")).await?;
        Ok(Self { link, role })
    }

    /// Takes the lock, if nobody holds it.
    pub async fn try_take(&mut self) -> Result<bool, Error> {
        let lock = diesel::select(pg_try_advisory_lock(CLASS, key(self.role)));
        Ok(lock.get_result(&mut self.link.connection).await?)
    }

    /// Asks the server something, which keeps the lock. An error means that it is lost.
    pub async fn check(&mut self) -> Result<(), Error> {
        let one = diesel::select(diesel::dsl::sql::<Integer>("1"));
        one.get_result::<i32>(&mut self.link.connection).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").finish_non_exhaustive()
    }
}

/// The number of a role's lock: its first four letters, which differ.
fn key(role: &str) -> i32 {
    role.bytes().take(4).fold(0, |key, byte| (key << 8) | i32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_lock_of_its_own() {
        let keys = ["dispatcher", "relay", "reaper", "housekeeping"].map(key);
        let different: std::collections::BTreeSet<i32> = keys.into_iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
