//! What one sees of the demo: a live view in a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use super::Seen;
use crate::domain::{Import, Job, JobState, Timestamp};
use crate::protocol::event::EventBody;

/// How often a live view is drawn anew while nothing happens.
pub(super) const REFRESH: Duration = Duration::from_millis(500);

/// So many events stay to be seen.
const EVENTS: usize = 14;

/// The terminal, or whatever standard output is.
pub(super) struct Screen {
    is_live: bool,
    notes: Vec<String>,
    chapter: String,
    events: VecDeque<String>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            is_live: stdout().is_terminal(),
            notes: Vec::new(),
            chapter: String::new(),
            events: VecDeque::new(),
        }
    }

    /// Whether it is drawn anew and anew.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Says something that stays to be seen.
    pub(super) fn say(&mut self, note: &str) {
        if !self.is_live {
            println!("{note}");
        }
        self.notes.push(note.to_owned());
    }

    /// Says what comes next.
    pub(super) fn chapter(&mut self, chapter: &str) {
        if !self.is_live {
            println!("\n== {chapter}");
        }
        chapter.clone_into(&mut self.chapter);
    }

    /// Shows an event.
    pub(super) fn event(&mut self, event: &EventBody) {
        let status = event.data.get("STATUS").map(|status| format!("  {status}")).unwrap_or_default();
        let line =
            format!("{}  #{:<4} {}{status}", event.date.format("%H:%M:%S%.3f"), event.id, event.summary);
        if !self.is_live {
            println!("   {line}");
        }
        self.events.push_back(line);
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// Draws imports, their jobs and the latest events.
    pub(super) fn draw(&self, imports: &[(Import, Option<Job>)], now: Timestamp) {
        let mut lines = vec!["\x1b[2J\x1b[H\x1b[1mcode-imports: the demo\x1b[0m".to_owned()];
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.push(format!("\n\x1b[1m{}\x1b[0m\n", self.chapter));
        lines.push(format!("{:<32} {:<10} {:<34} last result", "import", "review", "job"));
        for (import, job) in imports {
            let last = import.last_result.as_ref().map_or("-".to_owned(), |last| last.status.to_string());
            let job = job.as_ref().map_or("-".to_owned(), |job| words(job, now));
            lines.push(format!("{:<32} {:<10} {job:<34} {last}", import.unique_name, import.review_status));
        }
        lines.push("\nevents, as an audit subscriber hears them:".to_owned());
        lines.extend(self.events.iter().map(|event| format!("  {event}")));
        let mut out = stdout().lock();
        // A terminal that went away is noticed by the signal that comes with it.
        drop(writeln!(out, "{}", lines.join("\n")).and_then(|()| out.flush()));
    }

    /// Says how it all went.
    pub(super) fn summary(seen: &[Seen]) {
        println!("\n{:<30} {:<28} {:<18} {:>7}  what the worker said", "what", "import", "status", "took");
        for run in seen {
            let Seen { step, result } = run;
            let mark = if run.is_fine() { " " } else { "!" };
            let took = result.duration().num_milliseconds();
            println!(
                "{mark}{:<29} {:<28} {:<18} {:>4} ms  {}",
                step.what,
                step.name,
                result.status,
                took,
                result.reason.as_deref().unwrap_or_default()
            );
        }
        let wrong = seen.iter().filter(|seen| !seen.is_fine()).count();
        match wrong {
            0 => println!("\nAll {} went as they should.", seen.len()),
            _ => println!("\n{wrong} of {} did not go as they should; they are marked with !.", seen.len()),
        }
    }
}

/// How a job stands, in a few words.
fn words(job: &Job, now: Timestamp) -> String {
    match &job.state {
        JobState::Running(run) => format!("running on {}", run.machine),
        JobState::Pending if job.is_overdue(now) => "as soon as possible".to_owned(),
        JobState::Pending => format!("due in {} min", (job.date_due - now).num_minutes()),
    }
}
