//! Accounts of workers, made and taken away one by one.
//!
//! An account that is not a worker's here and nothing else is not touched: who may add machines must not get at the
//! coordinator's password by a machine of its name.

use super::Error;
use super::console::Console;
use super::definitions::{Account, Role, permissions};
use super::topology::Topology;

/// So many random bytes make a password.
const PASSWORD_BYTES: usize = 24;

/// A password, which is shown to somebody once and never logged.
pub struct Password(String);

impl Password {
    /// A new one, of letters, digits, `-` and `_`: it can stand in a URL.
    pub(super) fn random() -> Self {
        let bytes: [u8; PASSWORD_BYTES] = rand::random();
        Self(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }

    /// The password itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The accounts of workers in a virtual host.
#[derive(Debug)]
pub struct WorkerAccounts<'a> {
    /// Where they are kept.
    pub console: &'a Console,
    /// What they may reach.
    pub topology: &'a Topology,
    /// Where they may work.
    pub vhost: &'a str,
}

impl WorkerAccounts<'_> {
    /// Makes the account of a machine.
    ///
    /// # Errors
    /// [`Error::Account`] if there is one of that name.
    pub async fn add(&self, machine: &str) -> Result<Password, Error> {
        if self.console.user(machine).await?.is_some() {
            return Err(Error::Account(format!(
                "There is an account {machine} already. A worker's gets a new password by `machine add {machine} \
                --rotate`, and goes by `machine remove {machine}`."
            )));
        }
        self.set(machine).await
    }

    /// Gives the account of a machine a new password, and the exact permissions of a worker. Connections that are
    /// open stay open.
    ///
    /// # Errors
    /// [`Error::Account`] if there is none, or one that is more than that.
    pub async fn rotate(&self, machine: &str) -> Result<Password, Error> {
        self.check_is_worker(machine).await?;
        self.set(machine).await
    }

    /// Takes the account of a machine away, and closes its connections; how many there were.
    ///
    /// # Errors
    /// [`Error::Account`] if there is none, or one that is more than that.
    pub async fn remove(&self, machine: &str) -> Result<usize, Error> {
        self.check_is_worker(machine).await?;
        // First, so that nobody comes back in between.
        self.console.delete_user(machine).await?;
        self.console.close_connections(machine).await
    }

    async fn set(&self, machine: &str) -> Result<Password, Error> {
        let password = Password::random();
        self.console.put_user(machine, &password, &[]).await?;
        let account = Account { name: machine.to_owned(), role: Role::Worker };
        let permissions = permissions(self.topology, &account);
        self.console.put_permissions(self.vhost, machine, &permissions).await?;
        Ok(password)
    }

    /// Refuses an account that is more than a worker's here. One that may do nothing yet is what is left of an `add`
    /// that was interrupted.
    pub async fn check_is_worker(&self, machine: &str) -> Result<(), Error> {
        let Some(user) = self.console.user(machine).await? else {
            return Err(Error::Account(format!(
                "There is no account {machine}; `machine add {machine}` makes one."
            )));
        };
        let account = Account { name: machine.to_owned(), role: Role::Worker };
        let workers = permissions(self.topology, &account);
        let permitted = self.console.permissions_of(machine).await?;
        let is_workers = permitted.iter().all(|it| it.vhost == self.vhost && it.permissions == workers);
        if user.tags.is_empty() && is_workers {
            return Ok(());
        }
        Err(Error::Account(format!(
            "The account {machine} is not a worker's: it has tags, or may do something else in {} or elsewhere. \
            Change it in the console.",
            self.vhost
        )))
    }
}
