//! The words: every JSON body that goes over the wire, in and out (`messages.md`).
//!
//! What cannot be decoded, or could not be stored, is a [`Refusal`] here and nowhere later: a body that
//! is no JSON, a field that is missing or of the wrong type or range, a NUL in a text.
//!
//! | file        | who says it                 |
//! |-------------|-----------------------------|
//! | [`worker`]  | a worker to the coordinator |
//! | [`command`] | an operator                 |
//! | [`answer`]  | the coordinator, when asked |
//! | [`work`]    | the coordinator to workers  |
//! | [`event`]   | the coordinator to everyone |

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod answer;
pub mod command;
pub mod event;
pub mod work;
pub mod worker;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// The version of the contract that this program speaks.
pub const VERSION: i64 = 1;

/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// The largest log tail, in bytes; a longer one is cut to its end.
pub const MAX_LOG_TAIL_BYTES: usize = 1024;

/// The largest other text of a message, in bytes.
pub const MAX_TEXT_BYTES: usize = 2000;

/// The longest reason of a refusal, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// The most jobs that one heartbeat names.
pub const MAX_BEATS: usize = 100;

/// Why a message changes nothing: the code that programs branch on, and the text that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One of the codes of `messages.md`.
    pub code: String,
    /// The text, in one line.
    pub reason: String,
}

impl Refusal {
    /// A refusal of this code.
    #[must_use]
    pub fn new(code: &str, reason: impl ToString) -> Self {
        Self { code: code.to_owned(), reason: one_line(&reason.to_string()) }
    }

    /// What cannot be read: where, and what was expected.
    #[must_use]
    pub fn malformed(reason: impl ToString) -> Self {
        Self::new("malformed", reason)
    }
}

/// A message as it came, with those of its properties that mean something to us.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The same on a repeat, different otherwise.
    pub message_id: Option<String>,
    /// What the message is, where its queue does not say it.
    pub kind: Option<String>,
    /// The account that sent it, as the broker verified. Of a message that was sent again, that is who did so.
    pub user_id: Option<String>,
    /// Where an answer is awaited; only queues that `messages.md` allows.
    pub reply_to: Option<String>,
    /// What the answer must carry.
    pub correlation_id: Option<String>,
    /// The version of the contract that it is written in; absent means 1.
    pub version: Option<i64>,
    /// Whether it was sent again from the rejected queue, as it says itself.
    pub replay: Option<Box<Replay>>,
    /// The JSON.
    pub body: Vec<u8>,
}

/// The mark of a message that was sent again from the rejected queue. It counts only when the broker verified
/// the account of an operator or of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Who sent it again.
    pub by: String,
    /// The account that had sent it first, as the broker verified then.
    pub user_id: Option<String>,
}

impl Received {
    /// Decodes the body, once it is known to be of a size and version that we read.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        self.check_envelope()?;
        let text = std::str::from_utf8(&self.body)
            .map_err(|error| Refusal::malformed(format!("byte {}: expected UTF-8", error.valid_up_to())))?;
        // serde would read a struct from an array, too.
        if !text.trim_start().starts_with('{') {
            return Err(Refusal::malformed("the body: expected a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            // `?` is where no value begins: somebody forgot a quote or a brace.
            let path = if path == "." || path == "?" { "the body" } else { &path };
            Refusal::malformed(format!("{path}: {}", error.inner()))
        })?;
        json.end().map_err(|error| Refusal::malformed(format!("after the object: {error}")))?;
        Ok(value)
    }

    fn check_envelope(&self) -> Result<(), Refusal> {
        let texts = [&self.message_id, &self.kind, &self.user_id, &self.correlation_id];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(Refusal::malformed("the properties: expected texts without NUL"));
        }
        let size = self.body.len();
        if size > MAX_BODY_BYTES {
            let reason = format!("The body has {size} bytes; the limit is {MAX_BODY_BYTES}.");
            return Err(Refusal::new("too-large", reason));
        }
        match self.version.unwrap_or(VERSION) {
            VERSION => Ok(()),
            other => {
                let reason = format!("x-version is {other}; this coordinator speaks version {VERSION}.");
                Err(Refusal::new("unsupported-version", reason))
            }
        }
    }
}

/// A text as one line of at most 1 KiB: senders write into our log and into headers with it.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    beginning_of(&line, MAX_REASON_BYTES).to_owned()
}

/// Whether an answer may go to this queue: direct reply-to, a server-named queue, or one of ours.
#[must_use]
pub fn is_answer_queue(queue: &str, prefix: &str) -> bool {
    queue.starts_with("amq.rabbitmq.reply-to.")
        || queue.starts_with("amq.gen-")
        || queue.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(".answers."))
}

/// The end of a text, of at most `max` bytes, beginning at a character.
#[must_use]
pub fn end_of(text: &str, max: usize) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(max))..).unwrap_or_default()
}

/// The beginning of a text, of at most `max` bytes, ending at a character.
#[must_use]
pub fn beginning_of(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// Reads a log tail, which is never refused: its end counts, and a NUL in it is replaced.
fn log_tail<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let tail = String::deserialize(deserializer)?;
    Ok(end_of(&tail, MAX_LOG_TAIL_BYTES).replace('\0', "\u{fffd}"))
}

fn optional_log_tail<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let tail = Option::<String>::deserialize(deserializer)?;
    Ok(tail.map(|tail| end_of(&tail, MAX_LOG_TAIL_BYTES).replace('\0', "\u{fffd}")))
}

/// Reads a text that the database can hold.
fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| check_text(text).map_err(serde::de::Error::custom)).transpose()
}

/// Reads a text that the database can hold, however long.
fn optional_long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match text {
        Some(text) if text.contains('\0') => Err(serde::de::Error::custom("expected a text without NUL")),
        text => Ok(text),
    }
}

fn check_text(text: String) -> Result<String, String> {
    if text.contains('\0') {
        return Err("expected a text without NUL".to_owned());
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("expected a text of at most {MAX_TEXT_BYTES} bytes, it has {}", text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(body: &[u8]) -> Received {
        Received { body: body.to_vec(), ..Received::default() }
    }

    fn refusal(received: &Received) -> Refusal {
        received.decode::<worker::Start>().unwrap_err()
    }

    #[test]
    fn what_cannot_be_read_is_malformed_and_says_where() {
        #[track_caller]
        fn check(body: &[u8], reason: &str) {
            let refusal = refusal(&received(body));
            assert_eq!(refusal.code, "malformed");
            assert!(refusal.reason.contains(reason), "{}", refusal.reason);
        }
        let good = br#"{"job":1,"import":2,"run":"0192aaaa-0000-7000-8000-000000000000","machine":"m"}"#;
        assert!(received(good).decode::<worker::Start>().is_ok());

        check(b"", "expected a JSON object");
        check(b"\xff\xfe", "byte 0: expected UTF-8");
        check(b"[1]", "the body: expected a JSON object");
        check(br#"[1,2,"0192aaaa-0000-7000-8000-000000000000","m"]"#, "the body: expected a JSON object");
        check(br#"{"job":1}"#, "missing field");
        check(br#"{"job":"x","import":2,"run":"","machine":"m"}"#, "job: invalid type: string");
        check(br#"{"job":99999999999999999999,"import":2}"#, "job: ");
        check(br#"{"job":1,"import":2,"run":"nonsense","machine":"m"}"#, "run: ");
        check(
            br#"{"job":1,"import":2,"run":"0192aaaa-0000-7000-8000-000000000000","machine":"M\u0000"}"#,
            "machine",
        );
        check(&[good.as_slice(), b"{}"].concat(), "after the object");
    }

    #[test]
    fn a_body_over_the_limit_is_told_its_size_and_the_limit() {
        let refusal = refusal(&received(&vec![b' '; MAX_BODY_BYTES + 1]));
        assert_eq!(refusal, Refusal::new("too-large", "The body has 262145 bytes; the limit is 262144."));
    }

    #[test]
    fn a_version_that_we_do_not_speak_is_refused_with_the_one_we_do() {
        let received = Received { version: Some(2), ..received(b"{}") };
        let expected = "x-version is 2; this coordinator speaks version 1.";
        assert_eq!(refusal(&received), Refusal::new("unsupported-version", expected));
    }

    #[test]
    fn answers_go_only_where_answers_belong() {
        for good in ["amq.rabbitmq.reply-to.g1h2AA", "amq.gen-abc", "ci.answers.me"] {
            assert!(is_answer_queue(good, "ci"), "{good}");
        }
        for bad in ["amq.rabbitmq.reply-to", "ci.start", "ci.answers", "other.answers.x", "", "ciX.answers.y"]
        {
            assert!(!is_answer_queue(bad, "ci"), "{bad}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(end_of("aéb", 2), "b");
        assert_eq!(end_of("aéb", 3), "éb");
        assert_eq!(beginning_of("aéb", 2), "a");
        assert_eq!(beginning_of("aéb", 99), "aéb");
    }
}
