//! Who acts, on which database.

use clap::Args;

use super::failure::Usage;
use super::output::{Format, Output, line};
use super::{complete, hint};
use crate::broker::{Broker, name};
use crate::config::policy::PolicyArgs;
use crate::config::servers::{BrokerArgs, DatabaseArgs};
use crate::config::{read_database_and_policy, read_servers};
use crate::domain::{Person, PersonName};
use crate::protocol::Refusal;
use crate::protocol::answer::{Accepted, Answer};
use crate::store::{DatabaseUrl, Store};
use crate::workflow::{Act, Ask, Command, Made, Outcome, Policy, Rejection, Reply, check_acts};

/// Who acts, where, and how it is answered.
#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    /// Who acts: the name of a person
    #[arg(long = "as", env = "CODE_IMPORTS_USER", value_name = "NAME", global = true, add = complete::people())]
    user: Option<String>,

    /// How it is printed: table; wide, a list with more columns; json; name, of a list only the names [default: table]
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<Format>,

    /// The same as `--output json`
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// Who acts, and by which rules: what every noun that is acted on takes.
#[derive(Debug, Args)]
pub(super) struct ActorArgs {
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl ActorArgs {
    /// Connects, once the rules are read too: whatever is wrong with either is told at once.
    pub(super) async fn open(&self) -> anyhow::Result<(Session, Policy)> {
        let (url, policy) = read_database_and_policy(&self.session.database, &self.policy)?;
        Ok((self.session.connect(&url).await?, policy))
    }
}

/// The database, who acts on it, and where the answer goes.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) store: Store,
    pub(super) output: Output,
    pub(super) user: Option<PersonName>,
}

impl SessionArgs {
    /// Connects.
    pub(super) async fn open(&self) -> anyhow::Result<Session> {
        self.connect(&self.database.read()?).await
    }

    /// Connects to the database, and knows the broker: whatever is wrong with either setting is told at once.
    pub(super) async fn open_with_broker(&self, broker: &BrokerArgs) -> anyhow::Result<(Session, Broker)> {
        let (url, amqp, prefix) = read_servers(&self.database, broker)?;
        Ok((self.connect(&url).await?, Broker::new(amqp, &prefix, &name::here("cli"))))
    }

    /// How it is printed.
    fn format(&self) -> Result<Format, Usage> {
        match (self.json, self.output) {
            (false, output) => Ok(output.unwrap_or(Format::Table)),
            (true, None | Some(Format::Json)) => Ok(Format::Json),
            (true, Some(_)) => Err(Usage("--json and --output say two things: say one".to_owned())),
        }
    }

    async fn connect(&self, url: &DatabaseUrl) -> anyhow::Result<Session> {
        let output = Output::new(self.format()?);
        let user = self.user.as_deref().filter(|user| !user.is_empty()).map(str::parse).transpose();
        let user = user.map_err(|error| Usage(format!("--as: {error}")))?;
        let store = Store::connect(url, "cli").await?;
        Ok(Session { store, output, user })
    }
}

impl Session {
    /// Who acts, if anybody said; then with their teams.
    pub(super) async fn viewer(&mut self) -> anyhow::Result<Person> {
        let user = self.named_user()?;
        let Some(person) = self.store.person(&user).await? else {
            let hint = hint::similar_person(self, user.as_str()).await;
            return Err(hint::below(Rejection::UnknownPerson(user).into(), hint));
        };
        check_acts(&person)?;
        Ok(person)
    }

    /// The same, if they are known and act: for what is only offered.
    pub(super) async fn viewer_if_known(&mut self) -> Option<Person> {
        let user = self.user.clone()?;
        self.store.person(&user).await.ok().flatten().filter(|person| check_acts(person).is_ok())
    }

    /// Asks for something; the answer is printed, unless people are told more of it.
    pub(super) async fn ask(&mut self, act: Act, policy: &Policy) -> anyhow::Result<Made> {
        let user = self.named_user()?;
        let command = Command::Ask(Ask { user, message_id: None, act: act.clone() });
        let outcome = self.store.apply(&[command], policy).await?.pop();
        match outcome {
            Some(Outcome::Applied(Reply::Made(made)) | Outcome::Repeated(Reply::Made(made))) => Ok(made),
            Some(Outcome::Rejected(rejection)) => {
                if self.output.is_json() {
                    let refusal = Refusal::new(rejection.code(), &rejection);
                    self.output.document(&Answer::Refused(refusal))?;
                }
                let hint = hint::of(self, &rejection, &act).await;
                Err(hint::below(rejection.into(), hint))
            }
            other => unreachable!("an ask is answered by what it made, not by {other:?}"),
        }
    }

    /// Says that it was done: to people in words, to programs as a command over AMQP is answered.
    pub(super) fn accepted(&self, made: &Made, words: impl ToString) -> anyhow::Result<()> {
        if !self.output.is_json() {
            return Ok(line(words)?);
        }
        let serde_json::Value::Object(made) = serde_json::to_value(made)? else {
            unreachable!("what was made is an object")
        };
        Ok(self.output.document(&Answer::Accepted(Accepted { import: None, made }))?)
    }

    /// Who is known to us is no secret among those who are; nor from anybody while there is no admin yet.
    pub(super) async fn check_known(&mut self) -> anyhow::Result<()> {
        if self.store.has_admins().await? {
            self.viewer().await?;
        }
        Ok(())
    }

    pub(super) fn named_user(&self) -> Result<PersonName, Usage> {
        let missing = || Usage("say who acts: --as NAME, or set CODE_IMPORTS_USER".to_owned());
        self.user.clone().ok_or_else(missing)
    }
}
