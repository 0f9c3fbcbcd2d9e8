//! The verdict, as a table and as `target/chaos.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::evidence::Evidence;
use crate::history::{Facts, Injected, Recovery, now};
use crate::process::append;
use crate::referee::{Harm, Seen, Violation, is_bounded};
use crate::settings::Settings;

/// What became of one seed.
pub(crate) struct Report {
    settings: Settings,
    faults: BTreeMap<&'static str, usize>,
    /// What was tried and did not come to that.
    not_done: BTreeMap<&'static str, usize>,
    /// Every fault, in order.
    story: Vec<Injected>,
    behaviours: BTreeMap<&'static str, usize>,
    /// Published with a confirm, by everybody but our own library.
    messages: u64,
    results: usize,
    events: usize,
    rejected: usize,
    looks: u64,
    /// The longest by kind of fault.
    recoveries: BTreeMap<&'static str, f64>,
    /// From the end of the last fault until all that was due had begun.
    begun_after: Duration,
    seen: Seen,
    took: Duration,
    violations: Vec<Violation>,
}

impl Report {
    pub(crate) fn new(
        settings: Settings,
        facts: &Facts,
        evidence: &Evidence,
        violations: Vec<Violation>,
        (begun_after, took): (Duration, Duration),
    ) -> Self {
        let (mut faults, mut not_done) = (BTreeMap::new(), BTreeMap::new());
        for injected in &facts.injected {
            let counted = if injected.came_about { &mut faults } else { &mut not_done };
            *counted.entry(injected.kind).or_default() += 1;
        }
        let mut recoveries: BTreeMap<&'static str, f64> = BTreeMap::new();
        for Recovery { kind, seconds, .. } in &facts.recoveries {
            let longest = recoveries.entry(kind).or_default();
            *longest = longest.max(seconds.unwrap_or(f64::INFINITY));
        }
        Self {
            settings,
            faults,
            not_done,
            story: facts.injected.clone(),
            behaviours: facts.behaviours.clone(),
            messages: facts.messages,
            results: evidence.results.len(),
            events: evidence.events.len(),
            rejected: facts.rejected.len(),
            looks: facts.looks,
            recoveries,
            begun_after,
            seen: Seen::of(facts, evidence),
            took,
            violations,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    fn count(&self, harm: Harm) -> usize {
        self.violations.iter().filter(|violation| violation.harm == harm).count()
    }

    fn longest(&self) -> f64 {
        let bounded = self.recoveries.iter().filter(|(kind, _)| is_bounded(kind));
        bounded.map(|(_, seconds)| *seconds).fold(0.0, f64::max)
    }

    /// Writes `target/chaos.json`, and prints the table.
    pub(crate) fn write(&self) {
        println!("{self}");
        let violations: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        let finite = |seconds: f64| seconds.is_finite().then_some(seconds);
        let recoveries: BTreeMap<_, _> =
            self.recoveries.iter().map(|(kind, it)| (*kind, finite(*it))).collect();
        let told = |it: &Injected| {
            let lasted = (it.span.until - it.span.from).as_seconds_f64();
            json!({"at": it.span.from, "seconds": lasted, "kind": it.kind, "what": it.what, "done": it.came_about})
        };
        let story: Vec<_> = self.story.iter().map(told).collect();
        let document = json!({
            "seed": self.settings.seed,
            "minutes_of_faults": self.settings.storm.as_secs_f64() / 60.0,
            "minutes": self.took.as_secs_f64() / 60.0,
            "faults": self.faults,
            "faults_not_done": self.not_done,
            "story": story,
            "behaviours": self.behaviours,
            "messages": self.messages,
            "results": self.results,
            "events": self.events,
            "rejected": self.rejected,
            "looks_at_section_3": self.looks,
            "lost": self.count(Harm::Lost),
            "doubled": self.count(Harm::Doubled),
            "wrong": self.count(Harm::Wrong),
            "longest_recovery_s": finite(self.longest()),
            "recoveries_s": recoveries,
            "all_due_begun_after_s": self.begun_after.as_secs_f64(),
            "seen": self.seen.counts(),
            "violations": violations,
        });
        let log = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/chaos.log"));
        let text = self.to_string();
        let line = text.lines().last().unwrap_or_default();
        writeln!(append(log), "{} {line}", now().format("%F %T")).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/chaos.json");
        std::fs::write(path, serde_json::to_vec_pretty(&document).unwrap()).unwrap();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.faults {
            match self.recoveries.get(kind) {
                Some(seconds) => {
                    writeln!(f, "{count:>5}  {kind:<42} work went on after at most {seconds:.1} s")?;
                }
                None => writeln!(f, "{count:>5}  {kind}")?,
            }
        }
        for (kind, count) in &self.not_done {
            writeln!(f, "{count:>5}  {kind:<42} tried, and not done")?;
        }
        for (how, count) in &self.behaviours {
            writeln!(f, "{count:>5}  runs and messages: {how}")?;
        }
        writeln!(
            f,
            "{:>5}  messages, {} results, {} events, {} rejected",
            self.messages, self.results, self.events, self.rejected
        )?;
        writeln!(f, "{:>5}  looks at section 3", self.looks)?;
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        write!(
            f,
            "seed {}: {} lost, {} doubled, {} wrong, longest recovery {:.1} s, in {:.1} min",
            self.settings.seed,
            self.count(Harm::Lost),
            self.count(Harm::Doubled),
            self.count(Harm::Wrong),
            self.longest(),
            self.took.as_secs_f64() / 60.0
        )
    }
}
