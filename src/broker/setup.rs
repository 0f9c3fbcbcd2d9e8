//! The broker as [`definitions`](super::definitions) say that it should be: what differs, and mending it.
//!
//! Exchanges, queues and bindings are [`topology`](super::topology)'s; here are virtual host, accounts, permissions and
//! policies. Whatever else is at the broker is left alone.

use std::fmt;

use serde_json::{Value, json};

use super::Error;
use super::accounts::Password;
use super::console::Console;
use super::definitions::{Account, Permissions, Plan, Role, permissions, policies, tags};
use super::topology::Topology;

/// The parts of a policy that count.
const POLICY_PARTS: [&str; 4] = ["pattern", "apply-to", "priority", "definition"];

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The virtual host is missing.
    Vhost,
    /// An account is missing.
    Account(Account),
    /// An account lacks tags that the console asks for.
    Tags(Account, Vec<&'static str>),
    /// An account may do something else than its role.
    Permissions(Account, Option<Permissions>, Permissions),
    /// A policy is missing, or says something else.
    Policy(String, Option<Value>, Value),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vhost => write!(f, "there is no such virtual host"),
            Self::Account(account) => write!(f, "there is no account {account}"),
            Self::Tags(account, missing) => {
                write!(f, "the account {account} lacks the tag {}", missing.join(", "))
            }
            Self::Permissions(account, None, _) => write!(f, "the account {account} may do nothing"),
            Self::Permissions(account, Some(was), will) => {
                write!(f, "the account {account} may do something else:")?;
                let rights = [
                    ("configure", &was.configure, &will.configure),
                    ("write", &was.write, &will.write),
                    ("read", &was.read, &will.read),
                ];
                let mut differ = rights.iter().filter(|(_, was, will)| was != will);
                differ.try_for_each(|(right, was, will)| write!(f, " {right} {was} instead of {will}"))
            }
            Self::Policy(name, None, _) => write!(f, "there is no policy {name}"),
            Self::Policy(name, Some(was), will) => {
                write!(f, "the policy {name} differs:")?;
                let mut differ = POLICY_PARTS.iter().filter(|part| was[**part] != will[**part]);
                differ.try_for_each(|part| write!(f, " {part} {} instead of {}", was[*part], will[*part]))
            }
        }
    }
}

impl Console {
    /// What of virtual host, accounts, permissions and policies is not as the plan says.
    pub async fn differences(&self, topology: &Topology, plan: &Plan) -> Result<Vec<Difference>, Error> {
        let mut differences = Vec::new();
        if !self.has_vhost(&plan.vhost).await? {
            differences.push(Difference::Vhost);
        }
        let permitted = self.permissions_in(&plan.vhost).await?;
        for account in &plan.accounts {
            match self.user(&account.name).await? {
                None => differences.push(Difference::Account(account.clone())),
                Some(user) => {
                    let missing = tags(account.role).iter().filter(|tag| !user.has(tag));
                    let missing: Vec<_> = missing.copied().collect();
                    if !missing.is_empty() {
                        differences.push(Difference::Tags(account.clone(), missing));
                    }
                }
            }
            let was = permitted.iter().find(|it| it.user == account.name).map(|it| it.permissions.clone());
            let will = permissions(topology, account);
            if was.as_ref() != Some(&will) {
                differences.push(Difference::Permissions(account.clone(), was, will));
            }
        }
        let there = self.policies(&plan.vhost).await?;
        for policy in policies(topology, plan) {
            let name = policy["name"].as_str().unwrap_or_default().to_owned();
            let was = there.iter().find(|it| it["name"] == policy["name"]);
            if was.is_none_or(|was| POLICY_PARTS.iter().any(|part| was[*part] != policy[*part])) {
                differences.push(Difference::Policy(name, was.cloned(), policy));
            }
        }
        Ok(differences)
    }

    /// Makes one thing as it should be. A new account gets a password, which is told; one that is there keeps its own.
    pub async fn mend(&self, plan: &Plan, difference: &Difference) -> Result<Option<Password>, Error> {
        match difference {
            Difference::Vhost => self.put_vhost(&plan.vhost).await?,
            Difference::Account(account) => {
                let password = Password::random();
                self.put_user(&account.name, &password, tags(account.role)).await?;
                return Ok(Some(password));
            }
            Difference::Tags(account, missing) => {
                let Some(user) = self.user(&account.name).await? else {
                    return Err(Error::Account(format!("The account {account} is gone; try again.")));
                };
                let tags: Vec<String> =
                    user.tags.iter().cloned().chain(missing.iter().map(ToString::to_string)).collect();
                self.put_tags(&account.name, &user, &tags).await?;
            }
            Difference::Permissions(account, _, will) => {
                self.put_permissions(&plan.vhost, &account.name, will).await?;
            }
            Difference::Policy(name, _, policy) => {
                let parts = POLICY_PARTS.map(|part| (part.to_owned(), policy[part].clone()));
                self.put_policy(&plan.vhost, name, json!(serde_json::Map::from_iter(parts))).await?;
            }
        }
        Ok(None)
    }

    /// Accounts that may do something in the virtual host that none of the four roles may, each in one line. Nothing is
    /// wrong with that, if somebody knows of it.
    pub async fn strangers(&self, topology: &Topology, plan: &Plan) -> Result<Vec<String>, Error> {
        const ROLES: [Role; 4] = [Role::Coordinator, Role::Worker, Role::Subscriber, Role::Operator];
        let permitted = self.permissions_in(&plan.vhost).await?;
        let is_stranger = |name: &str, what: &Permissions| {
            let is_planned = plan.accounts.iter().any(|account| account.name == name);
            let is =
                |role: &Role| permissions(topology, &Account { name: name.to_owned(), role: *role }) == *what;
            !is_planned && !ROLES.iter().any(is)
        };
        let strangers = permitted.iter().filter(|it| is_stranger(&it.user, &it.permissions));
        let line = |it: &super::console::Permitted| {
            let Permissions { configure, write, read } = &it.permissions;
            format!(
                "the account {} has none of the four roles: configure {configure}, write {write}, read {read}",
                it.user
            )
        };
        Ok(strangers.map(line).collect())
    }
}
