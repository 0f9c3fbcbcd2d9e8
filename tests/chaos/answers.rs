//! What our own workers were answered: they write it into their logs, from which it is read at the end.

use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

use crate::history::History;
use crate::process::append;

/// What must be logged for that.
pub(crate) const FILTER: &str = "code_imports::worker::duties=debug";

/// Begins to log what the library does in this process.
pub(crate) fn log_to(file: &Path) {
    let log = tracing_subscriber::fmt().json().with_env_filter(format!("off,{FILTER}"));
    log.with_writer(Mutex::new(append(file))).init();
}

/// Reads a log, of this machine if it is of one only.
pub(crate) fn read(history: &History, log: &Path, machine: Option<&str>) {
    let log = std::fs::read_to_string(log).expect("a worker writes a log");
    for line in log.lines() {
        understand(history, machine, line);
    }
}

/// The last line of one that was killed may be cut off.
fn understand(history: &History, machine: Option<&str>, line: &str) {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let word = |name: &str| line["fields"][name].as_str();
    let (Some(job), Some(run)) = (word("job.id"), word("run.id")) else { return };
    let (status, outcome) = (word("status"), word("outcome").or(word("code")));
    if status.or(outcome).is_none() {
        return;
    }
    let at = line["timestamp"].as_str().and_then(|time| time.parse().ok()).expect("a line has its time");
    history.run(run.parse().expect("a run is a UUID"), |story| {
        if let Some(machine) = machine {
            machine.clone_into(&mut story.machine);
        }
        story.job = job.parse().expect("a job is a number");
        if let Some(status) = status {
            status.clone_into(&mut story.status);
        }
        if let Some(outcome) = outcome {
            story.finish_confirmed.get_or_insert(at);
            story.finish_was_answered(at, outcome);
        }
    });
}
