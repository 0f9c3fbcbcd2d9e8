//! What a worker tells the coordinator.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    MAX_BEATS, MAX_TEXT_BYTES, Received, Refusal, beginning_of, optional_log_tail, optional_long_text,
};
use crate::domain::{Beat, Hostname, ImportId, JobId, Report, RunId, RunRef, Status, Timestamp};

/// The largest `stats` of a finish, in bytes of JSON.
const MAX_STATS_BYTES: usize = 16 * 1024;

/// `start`: may I run this job?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The job.
    pub job: JobId,
    /// Its import.
    pub import: ImportId,
    /// The attempt: the worker makes up a new one for each.
    pub run: RunId,
    /// Where it is to run.
    pub machine: Hostname,
}

impl Start {
    /// What it names.
    #[must_use]
    pub fn run_ref(&self) -> RunRef {
        RunRef { job: self.job, import: self.import, run: self.run }
    }
}

/// `finish`: this is how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// The job.
    pub job: JobId,
    /// Its import.
    pub import: ImportId,
    /// The run that ended.
    pub run: RunId,
    /// Where it ran.
    pub machine: Hostname,
    /// How it ended; never RECLAIMED or KILLED, which are the coordinator's words.
    pub status: Status,
    /// The last lines of its output.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_log_tail")]
    pub log_tail: Option<String>,
    /// Where the whole log can be read.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_long_text")]
    pub log_url: Option<String>,
    /// Why, in one line, for people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_long_text")]
    pub reason: Option<String>,
    /// Revisions, bytes, refs changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Map<String, Value>>,
}

impl Finish {
    /// Reads a finish; a status or a number that no worker can mean is malformed.
    pub fn read(received: &Received) -> Result<Self, Refusal> {
        let finish: Self = received.decode()?;
        if !finish.status.is_reported_by_workers() {
            let reason = format!("status: {} is the coordinator's word, not a worker's", finish.status);
            return Err(Refusal::malformed(reason));
        }
        if let Some(stats) = &finish.stats {
            check_stats(stats)?;
        }
        Ok(finish)
    }

    /// What it names.
    #[must_use]
    pub fn run_ref(&self) -> RunRef {
        RunRef { job: self.job, import: self.import, run: self.run }
    }

    /// What the workflow is told. A text that is too long is cut, as a log tail is: a result must not be lost for
    /// it.
    #[must_use]
    pub fn report(self) -> Report {
        // One line, for people: a line break in it would be a second one.
        let reason =
            |reason: String| beginning_of(&reason.replace(['\r', '\n'], " "), MAX_TEXT_BYTES).to_owned();
        Report {
            status: self.status,
            log_tail: self.log_tail,
            // The beginning of an address leads nowhere.
            log_url: self.log_url.filter(|url| url.len() <= MAX_TEXT_BYTES),
            reason: self.reason.map(reason),
            stats: self.stats.map(short_stats).unwrap_or_default(),
        }
    }

    /// The message that says how `run` ended.
    #[must_use]
    pub fn of(run: RunRef, machine: Hostname, report: Report) -> Self {
        let Report { status, log_tail, log_url, reason, stats } = report;
        let stats = (!stats.is_empty()).then_some(stats);
        let RunRef { job, import, run } = run;
        Self { job, import, run, machine, status, log_tail, log_url, reason, stats }
    }
}

/// The statistics, or, where they are a book, how long it was.
pub(crate) fn short_stats(stats: Map<String, Value>) -> Map<String, Value> {
    match serde_json::to_string(&stats).map_or(usize::MAX, |written| written.len()) {
        bytes if bytes > MAX_STATS_BYTES => Map::from_iter([("dropped_bytes".to_owned(), bytes.into())]),
        _ => stats,
    }
}

/// The database's JSON holds no NUL.
pub(crate) fn check_stats(stats: &Map<String, Value>) -> Result<(), Refusal> {
    if has_nul(&Value::Object(stats.clone())) {
        return Err(Refusal::malformed("stats: expected texts without NUL"));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `heartbeat`: this machine is alive, and runs these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// Who speaks.
    pub machine: Hostname,
    /// The runs whose start was accepted and whose finish is not answered.
    pub jobs: Vec<BeatBody>,
}

/// What a heartbeat says of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatBody {
    /// The job.
    pub job: JobId,
    /// Its import.
    pub import: ImportId,
    /// The run.
    pub run: RunId,
    /// The last 5 lines of its output, at most 1 KiB.
    #[serde(default, deserialize_with = "super::log_tail")]
    pub log_tail: String,
}

impl From<BeatBody> for Beat {
    fn from(body: BeatBody) -> Self {
        let BeatBody { job, import, run, log_tail } = body;
        Self { run: RunRef { job, import, run }, log_tail }
    }
}

/// A heartbeat as it is judged: entry by entry, so that a malformed one does not silence the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardBeats {
    /// Who speaks.
    pub machine: Hostname,
    /// Whether the machine runs nothing at all.
    pub is_idle: bool,
    /// The entries that could be read.
    pub beats: Vec<Beat>,
    /// Why others could not, all in one.
    pub malformed: Option<Refusal>,
}

impl HeardBeats {
    /// Reads a heartbeat.
    pub fn read(received: &Received) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Body {
            machine: Hostname,
            jobs: Vec<Value>,
        }
        let Body { machine, jobs } = received.decode()?;
        if jobs.len() > MAX_BEATS {
            let reason = format!("jobs: expected at most {MAX_BEATS} entries, there are {}", jobs.len());
            return Err(Refusal::malformed(reason));
        }
        let is_idle = jobs.is_empty();
        let mut beats = Vec::with_capacity(jobs.len());
        let mut wrong = Vec::new();
        for (index, job) in jobs.into_iter().enumerate() {
            if !job.is_object() {
                wrong.push(format!("jobs[{index}]: expected an object"));
                continue;
            }
            match serde_path_to_error::deserialize::<_, BeatBody>(job) {
                Ok(body) => beats.push(body.into()),
                Err(error) => wrong.push(format!("jobs[{index}].{error}")),
            }
        }
        let malformed = (!wrong.is_empty()).then(|| Refusal::malformed(wrong.join("; ")));
        Ok(Self { machine, is_idle, beats, malformed })
    }
}

/// The coordinator's own word on the heartbeat queue, by which it hears that it listens (section 10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The database's time when it was sent.
    pub sent: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0192aaaa-0000-7000-8000-000000000000";

    fn received(body: &Value) -> Received {
        Received { body: body.to_string().into_bytes(), ..Received::default() }
    }

    fn finish(more: &[(&str, Value)]) -> Result<Finish, Refusal> {
        let mut body =
            serde_json::json!({"job": 1, "import": 2, "run": RUN, "machine": "m", "status": "SUCCESS"});
        for (key, value) in more {
            body[*key] = value.clone();
        }
        Finish::read(&received(&body))
    }

    /// messages.md, finish: RECLAIMED and KILLED are the coordinator's words.
    #[test]
    fn a_status_that_is_ours_is_malformed_in_a_finish() {
        for status in ["RECLAIMED", "KILLED"] {
            let refusal = finish(&[("status", status.into())]).unwrap_err();
            assert_eq!(refusal.code, "malformed");
            assert!(refusal.reason.contains("coordinator's word"), "{}", refusal.reason);
        }
        assert!(finish(&[("status", "SUCCESSFUL".into())]).unwrap_err().reason.starts_with("status: "));
    }

    #[test]
    fn a_nul_is_malformed_but_in_a_log_tail_where_it_is_replaced() {
        assert!(finish(&[("reason", "a\0b".into())]).is_err());
        assert!(finish(&[("log_url", "a\0b".into())]).is_err());
        assert!(finish(&[("stats", serde_json::json!({"a": ["x\0"]}))]).is_err());
        assert!(finish(&[("stats", serde_json::json!({"a\0": 1}))]).is_err());
        let tail = finish(&[("log_tail", "a\0b".into())]).unwrap().report().log_tail;
        assert_eq!(tail.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn deep_nesting_is_malformed_and_harmless() {
        let nested = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
        let body = format!(
            r#"{{"job": 1, "import": 2, "run": "{RUN}", "machine": "m", "status": "SUCCESS", "stats": {{"a": {nested}}}}}"#
        );
        let refusal = Finish::read(&Received { body: body.into_bytes(), ..Received::default() }).unwrap_err();
        assert!(refusal.reason.contains("recursion limit"), "{}", refusal.reason);
    }

    #[test]
    fn a_longer_log_tail_is_cut_to_its_end() {
        let tail = format!("{}é{}", "x".repeat(2000), "y".repeat(1023));
        let tail = finish(&[("log_tail", tail.into())]).unwrap().report().log_tail.unwrap();
        assert_eq!(tail, "y".repeat(1023));
    }

    #[test]
    fn a_reason_is_one_line_and_unknown_fields_are_ignored() {
        let report = finish(&[("reason", "a\nb".into()), ("colour", 7.into()), ("stats", Value::Null)])
            .unwrap()
            .report();
        assert_eq!(report.reason.as_deref(), Some("a b"));
        assert!(report.stats.is_empty());
    }

    /// Any answer ends the worker's repeating: a result must not be lost for a long text.
    #[test]
    fn what_is_too_long_is_cut_and_never_refused() {
        let long = finish(&[("reason", "x".repeat(3000).into()), ("log_url", "y".repeat(3000).into())]);
        let report = long.unwrap().report();
        assert_eq!((report.reason.unwrap().len(), report.log_url), (2000, None));
        let report = finish(&[("stats", serde_json::json!({"a": "x".repeat(17_000)}))]).unwrap().report();
        assert_eq!(Value::Object(report.stats), serde_json::json!({"dropped_bytes": 17_008}));
    }

    /// messages.md, heartbeat: entries are judged one by one.
    #[test]
    fn a_malformed_entry_of_a_heartbeat_does_not_silence_the_others() {
        let good = serde_json::json!({"job": 1, "import": 2, "run": RUN, "log_tail": "tail"});
        let body = serde_json::json!({"machine": "m", "jobs": [good, {"job": "x"}, 7]});
        let heard = HeardBeats::read(&received(&body)).unwrap();
        assert_eq!(heard.beats.len(), 1);
        assert_eq!(heard.beats[0].log_tail, "tail");
        assert!(!heard.is_idle);
        let reason = heard.malformed.unwrap().reason;
        assert!(reason.contains("jobs[1].") && reason.contains("jobs[2]"), "{reason}");
    }

    #[test]
    fn a_heartbeat_names_at_most_a_hundred_jobs() {
        let beat = serde_json::json!({"job": 1, "import": 2, "run": RUN});
        let body = |n| serde_json::json!({"machine": "m", "jobs": vec![beat.clone(); n]});
        assert_eq!(HeardBeats::read(&received(&body(100))).unwrap().beats.len(), 100);
        assert!(
            HeardBeats::read(&received(&body(101)))
                .unwrap_err()
                .reason
                .starts_with("jobs: expected at most 100")
        );
        assert!(HeardBeats::read(&received(&body(0))).unwrap().is_idle);
    }
}
