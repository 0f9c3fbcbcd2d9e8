//! A rejected message: a document for programs, and the same for people. User-info is hidden in both.

use serde::Serialize;
use std::collections::BTreeMap;

use crate::broker::rejected::RejectedMessage;
use crate::cli::job::indented;
use crate::cli::output::{Output, Text, line};
use crate::cli::when;
use crate::domain::Timestamp;
use crate::domain::source::redact;

/// What a list says of a message.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) message_id: String,
    /// When it was rejected.
    pub(super) date: Option<Timestamp>,
    pub(super) code: String,
    pub(super) reason: String,
    pub(super) from: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// The account that sent it first, as the broker verified.
    pub(super) user_id: Option<String>,
    pub(super) replayed_by: Option<String>,
    pub(super) bytes: usize,
    /// Why it cannot be sent again.
    pub(super) obstacle: Option<String>,
}

/// The whole message.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    #[serde(flatten)]
    summary: Summary,
    headers: BTreeMap<String, String>,
    /// As text; what is no UTF-8 is replaced.
    body: String,
}

impl Summary {
    pub(super) fn of(message: &RejectedMessage) -> Self {
        Self {
            message_id: message.id.clone(),
            date: message.at,
            code: message.code.clone(),
            reason: redact(&message.reason),
            from: message.from.clone(),
            kind: message.kind.clone(),
            user_id: message.user_id.clone(),
            replayed_by: message.replayed_by.clone(),
            bytes: message.body.len(),
            obstacle: message.obstacle.clone(),
        }
    }
}

impl Document {
    pub(super) fn of(message: &RejectedMessage) -> Self {
        let headers = message.headers.iter().map(|(name, value)| (name.clone(), redact(value))).collect();
        Self { summary: Summary::of(message), headers, body: body(message) }
    }
}

/// Prints it for people.
pub(super) fn print(output: Output, message: &RejectedMessage, now: Timestamp) -> std::io::Result<()> {
    let Document { summary, headers, body } = Document::of(message);
    let mut fields = vec![
        ("Message", Text::from(summary.message_id)),
        ("Rejected", Text::from(when::both_or_never(summary.date, now))),
        ("From", Text::from(summary.from)),
        ("Code", Text::from(summary.code)),
        ("Reason", Text::from(summary.reason)),
    ];
    let optional = [
        ("Type", summary.kind),
        ("Sender", summary.user_id),
        ("Sent again by", summary.replayed_by),
        ("Obstacle", summary.obstacle),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, text)| Some((name, Text::from(text?)))));
    output.fields(fields)?;
    line("Headers:")?;
    for (name, value) in headers {
        line(indented(&format!("{name}: {value}")))?;
    }
    line(format!("Body, {} bytes:", summary.bytes))?;
    line(indented(&body))
}

fn body(message: &RejectedMessage) -> String {
    redact(&String::from_utf8_lossy(&message.body))
}
