//! What an operator asks for.

use serde::{Deserialize, Deserializer};

use super::{Received, Refusal, beginning_of, optional_text};
use crate::domain::machine::MachineStateName;
use crate::domain::{Hostname, JobId, PersonName, RcsType, ReviewStatus, UniqueName};

/// A command, as its body says it; short enough to be typed into the console's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// `register`: makes an import.
    Register(RegisterBody),
    /// `update`: changes an import.
    Update(UpdateBody),
    /// `request`: asks for an import to run as soon as possible.
    Request(ImportName),
    /// `try-again`: gives an import that is FAILING a fresh start.
    TryAgain(ImportName),
    /// `kill`: stops a run.
    Kill(KillBody),
    /// `delete`: deletes an import.
    Delete(ImportName),
    /// `machine`: sets a machine's state.
    Machine(MachineBody),
    /// `requeue`: sends rejected messages again.
    Requeue(RequeueBody),
    /// `status`: asks for the numbers of the status screen.
    Status,
}

/// Which import is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportName {
    /// The name of its target.
    pub import: UniqueName,
}

/// Which run is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KillBody {
    /// The job that runs.
    #[serde(default)]
    pub job: Option<JobId>,
    /// Or the import whose run of this moment is meant.
    #[serde(default)]
    pub import: Option<UniqueName>,
}

/// Which state a machine is to have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MachineBody {
    /// Which machine.
    pub machine: Hostname,
    /// The state.
    pub state: MachineStateName,
    /// Why, for people.
    #[serde(default, deserialize_with = "optional_text")]
    pub message: Option<String>,
}

/// Which rejected messages are to be sent again: those that are all that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RequeueBody {
    /// That of this id.
    #[serde(default, deserialize_with = "optional_text")]
    pub message_id: Option<String>,
    /// Those that were rejected with this code.
    #[serde(default, deserialize_with = "optional_text")]
    pub code: Option<String>,
    /// Those that came from this queue; the prefix may be left out.
    #[serde(default, deserialize_with = "optional_text")]
    pub queue: Option<String>,
}

/// What is needed to make an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RegisterBody {
    /// The name that its target will have.
    pub import: UniqueName,
    /// What its source speaks.
    pub rcs_type: RcsType,
    /// Where it comes from, unless it is CVS.
    #[serde(default, deserialize_with = "optional_text")]
    pub url: Option<String>,
    /// The CVS root.
    #[serde(default, deserialize_with = "optional_text")]
    pub cvs_root: Option<String>,
    /// The CVS module.
    #[serde(default, deserialize_with = "optional_text")]
    pub cvs_module: Option<String>,
    /// Whose it is; the registrant's unless given.
    #[serde(default)]
    pub owner: Option<PersonName>,
    /// REVIEWED unless given.
    #[serde(default)]
    pub review_status: Option<ReviewStatus>,
    /// How long from one run's start to the next, in seconds.
    #[serde(default)]
    pub update_interval_s: Option<u32>,
}

/// What is to be changed of an import; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UpdateBody {
    /// Which import.
    pub import: UniqueName,
    /// Its review status.
    #[serde(default)]
    pub review_status: Option<ReviewStatus>,
    /// Where it comes from.
    #[serde(default, deserialize_with = "optional_text")]
    pub url: Option<String>,
    /// The CVS root.
    #[serde(default, deserialize_with = "optional_text")]
    pub cvs_root: Option<String>,
    /// The CVS module.
    #[serde(default, deserialize_with = "optional_text")]
    pub cvs_module: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<PersonName>,
    /// How long from one run's start to the next, in seconds; null means the default for its RCS.
    #[serde(default, deserialize_with = "present")]
    pub update_interval_s: Option<Option<u32>>,
}

/// Tells a field that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A command, and who says that they give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCommand {
    /// What is asked for.
    pub body: CommandBody,
    /// Who the body says asks; whether that counts depends on the verified account.
    pub user: Option<PersonName>,
}

impl ReadCommand {
    /// Reads a command, whose type stands in its body or in its properties.
    pub fn read(received: &Received) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Signed {
            #[serde(default, rename = "type")]
            kind: Option<String>,
            #[serde(default)]
            user: Option<PersonName>,
        }
        let Signed { kind, user } = received.decode()?;
        let Some(kind) = kind.or_else(|| received.kind.clone()) else {
            return Err(Refusal::malformed(format!("type: expected one of {KINDS}")));
        };
        let body = match kind.as_str() {
            "register" => CommandBody::Register(received.decode()?),
            "update" => CommandBody::Update(received.decode()?),
            "request" => CommandBody::Request(received.decode()?),
            "try-again" => CommandBody::TryAgain(received.decode()?),
            "kill" => CommandBody::Kill(received.decode()?),
            "delete" => CommandBody::Delete(received.decode()?),
            "machine" => CommandBody::Machine(received.decode()?),
            "requeue" => CommandBody::Requeue(received.decode()?),
            "status" => CommandBody::Status,
            other => {
                let other = beginning_of(other, 40);
                return Err(Refusal::malformed(format!("type: expected one of {KINDS}, not {other:?}")));
            }
        };
        if matches!(&body, CommandBody::Kill(KillBody { job: None, import: None })) {
            return Err(Refusal::malformed("kill: expected a job or an import"));
        }
        if matches!(&body, CommandBody::Requeue(which) if *which == RequeueBody::default()) {
            return Err(Refusal::malformed("requeue: expected a message_id, a code or a queue"));
        }
        Ok(Self { body, user })
    }
}

/// The types of commands.
const KINDS: &str = "register, update, request, try-again, kill, delete, machine, requeue, status";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Option<&str>, body: &str) -> Result<ReadCommand, Refusal> {
        let kind = kind.map(str::to_owned);
        ReadCommand::read(&Received { kind, body: body.as_bytes().to_vec(), ..Received::default() })
    }

    /// messages.md, command: the bodies given there, as written.
    #[test]
    fn commands_are_read_as_the_contract_writes_them() {
        let name = "~vcs-imports/gnome-terminal/import";
        let body = format!(r#"{{"type": "request", "import": "{name}", "user": "david.allouche"}}"#);
        let command = read(None, &body).unwrap();
        assert_eq!(command.user.unwrap().as_str(), "david.allouche");
        assert_eq!(command.body, CommandBody::Request(ImportName { import: name.parse().unwrap() }));

        let body =
            format!(r#"{{"type": "update", "import": "{name}", "review_status": "SUSPENDED", "user": "x"}}"#);
        let CommandBody::Update(update) = read(None, &body).unwrap().body else { panic!() };
        assert_eq!(update.review_status, Some(ReviewStatus::Suspended));
        assert_eq!(update.update_interval_s, None);

        let kill = read(None, r#"{"type": "kill", "job": 42, "user": "x"}"#).unwrap().body;
        assert_eq!(kill, CommandBody::Kill(KillBody { job: Some(JobId(42)), import: None }));

        let requeue = read(None, r#"{"type": "requeue", "message_id": "1", "user": "x"}"#).unwrap().body;
        let which = RequeueBody { message_id: Some("1".to_owned()), ..RequeueBody::default() };
        assert_eq!(requeue, CommandBody::Requeue(which));

        let body = r#"{"type": "machine", "machine": "bazaar-importer", "state": "QUIESCING", "user": "x"}"#;
        assert!(matches!(
            read(None, body).unwrap().body,
            CommandBody::Machine(MachineBody { state: MachineStateName::Quiescing, message: None, .. })
        ));
        assert_eq!(read(None, r#"{"type": "status"}"#).unwrap().body, CommandBody::Status);
    }

    #[test]
    fn the_type_may_stand_in_the_properties() {
        let command = read(Some("try-again"), r#"{"import": "~a/b/c", "user": "x"}"#).unwrap();
        assert_eq!(command.body, CommandBody::TryAgain(ImportName { import: "~a/b/c".parse().unwrap() }));
    }

    #[test]
    fn an_interval_of_null_differs_from_none() {
        let update = |more: &str| {
            let body = format!(r#"{{"type": "update", "import": "~a/b/c"{more}}}"#);
            let CommandBody::Update(update) = read(None, &body).unwrap().body else { panic!() };
            update.update_interval_s
        };
        assert_eq!(update(""), None);
        assert_eq!(update(r#", "update_interval_s": null"#), Some(None));
        assert_eq!(update(r#", "update_interval_s": 60"#), Some(Some(60)));
    }

    #[test]
    fn a_wrong_command_says_what_was_expected() {
        #[track_caller]
        fn check(body: &str, reason: &str) {
            let refusal = read(None, body).unwrap_err();
            assert!(refusal.reason.contains(reason), "{}", refusal.reason);
        }
        check(r#"{"type": "kill", job: 42}"#, "the body: key must be a string");
        check(r#"{"type": "explode"}"#, "expected one of register, update");
        check(r#"{"import": "~a/b/c"}"#, "type: expected one of register");
        check(r#"{"type": "kill", "user": "x"}"#, "expected a job or an import");
        check(r#"{"type": "requeue", "user": "x"}"#, "expected a message_id, a code or a queue");
        check(r#"{"type": "request", "import": "a/b"}"#, "import: import \"a/b\" is not a name");
        check(r#"{"type": "request", "import": "~a/b/c", "user": "No Priv"}"#, "user: ");
    }
}
