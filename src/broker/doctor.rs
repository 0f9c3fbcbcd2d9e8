//! Whether the broker is well: what it says over AMQP.
//!
//! | file          | what                                                              |
//! |---------------|-------------------------------------------------------------------|
//! | `permissions` | whether our account may do what the coordinator does              |
//! | `version`     | the broker's version                                              |
//!
//! Bindings cannot be asked for over AMQP: comparing a queue binds it again. Nothing else is changed, and no message
//! is taken or sent.

mod permissions;
mod version;

#[cfg(any(test, fuzzing))]
pub(super) use version::fuzz as fuzz_version;

use super::{Broker, Drift, Error, Queue, topology};
use crate::domain::finding::Examination;

impl Broker {
    /// Looks at everything. A look that fails is a finding, and the next one is taken.
    pub async fn examine(&self) -> Vec<Examination> {
        let mut seen = vec![version::examine(&self.urls).await];
        let drifts = match topology::check(&self.publishing, &self.topology).await {
            Ok(drifts) => drifts,
            Err(error) => {
                seen.push(failed(&error));
                return seen;
            }
        };
        seen.push(self.examine_topology(&drifts));
        for look in [self.examine_queues().await, permissions::examine(self, &drifts).await] {
            seen.push(look.unwrap_or_else(|error| failed(&error)));
        }
        seen
    }

    fn examine_topology(&self, drifts: &[Drift]) -> Examination {
        let prefix = self.topology.prefix();
        let mut look = Examination::of("topology", format!("every exchange and queue of {prefix}"));
        let mut missing = Vec::new();
        for drift in drifts {
            match drift {
                Drift::Missing { kind, name } => missing.push(format!("no {kind} {name}")),
                Drift::Differs { name, reason } => {
                    let remedy =
                        "empty and delete it, and code-imports topology apply; or use another --prefix";
                    look.wrong(format!("{name} is not as it is declared: {reason}"), remedy);
                }
                // That is told with the other permissions.
                Drift::Hidden { .. } => {}
            }
        }
        if !missing.is_empty() {
            look.wrong(format!("there is {}", missing.join(", ")), "code-imports topology apply");
        }
        look
    }

    /// What lies in the queues, and whether anybody takes it.
    async fn examine_queues(&self) -> Result<Examination, Error> {
        let mut look = Examination::of("queues", "what lies in each, and who consumes");
        let mut forsaken = Vec::new();
        for queue in Queue::all() {
            let name = self.topology.queue(queue);
            let Some((ready, consumers)) = self.look_into(queue).await? else { continue };
            match queue {
                Queue::Rejected if ready > 0 => {
                    let what = format!("{ready} messages were rejected and wait in {name}");
                    look.note(what, "code-imports rejected list");
                }
                Queue::Work(rcs_type) if ready > 0 && consumers == 0 => {
                    let what = format!("{ready} jobs wait in {name}, and no worker takes {rcs_type}");
                    look.note(what, "code-imports worker, on a machine that imports it");
                }
                Queue::Rejected | Queue::Work(_) => {}
                _ if consumers > 0 => {}
                _ if ready > 0 => {
                    let what = format!("{ready} messages lie in {name}, and nobody takes them");
                    look.wrong(what, "code-imports serve");
                }
                _ => forsaken.push(name),
            }
        }
        if !forsaken.is_empty() {
            look.note(format!("nobody consumes {}", forsaken.join(", ")), "code-imports serve");
        }
        Ok(look)
    }
}

fn failed(error: &Error) -> Examination {
    let mut look = Examination::of("broker", "nothing: the look failed");
    let remedy = "rabbitmqctl status, on its host; see AMQP_URL for host, account and virtual host";
    look.wrong(error.to_string(), remedy);
    look
}
