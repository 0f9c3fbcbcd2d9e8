//! The bench: what the coordinator does, beside what this machine can do at all.
//!
//! A [`Scenario`] measures `serve` itself, the program as it is shipped, and in the same run, on the same servers, a
//! bare program that does the same to the broker or the database and nothing else. It is measured several times; the
//! figure is the median, and the ratio the median of the ratios of the pairs. `benches/README.md` says how to read it.
//!
//! | file         | what                                                         |
//! |--------------|--------------------------------------------------------------|
//! | [`record`]   | what is written down: JSON, and the table                    |
//! | [`place`]    | a fresh database and virtual host for each run               |
//! | `console`    | the broker's management API, as far as a bench needs it      |
//! | [`process`]  | `serve` as a child process: its time, its memory, its counts |
//! | [`seed`]     | imports and jobs, made in bulk                               |
//! | [`life`]     | a catalogue of any size, and its history                     |
//! | [`bare`]     | the baselines B, S and L                                     |
//! | `scenario`   | what is measured                                             |

#![allow(clippy::indexing_slicing, reason = "it reads only what it made itself; a mistake ends the bench")]

pub mod bare;
mod console;
pub mod life;
pub mod place;
pub mod process;
pub mod record;
mod scenario;
pub mod seed;

use std::io::Write as _;

use futures_util::future::LocalBoxFuture;

pub use place::{Place, Servers};
pub use record::{Figure, Goal, Record, Sample};
pub use scenario::{LARGE, SCENARIOS};

/// What is measured, and how.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The lines that it adds to the table, in the order of the samples.
    pub figures: &'static [Figure],
    /// Measures once and gives a sample for each figure; or several for each, where one long measurement is cut into
    /// windows: then it is not repeated.
    pub measure: Measure,
    /// Whether one measurement gives the samples of all runs.
    pub is_single: bool,
}

/// One measurement: what it needs are servers and the number of runs; what it gives is a list of samples for each run.
pub type Measure = for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, anyhow::Result<Vec<Vec<Sample>>>>;

/// Where it is measured, and how often.
#[derive(Debug)]
pub struct Bench {
    /// The servers, on which everything is private to a run.
    pub servers: Servers,
    /// How often each scenario is measured.
    pub runs: usize,
}

impl Bench {
    /// Measures scenarios and gives a record for each of their figures. What happens meanwhile is told on standard
    /// error.
    pub async fn run(&self, scenarios: &[&Scenario]) -> anyhow::Result<Vec<Record>> {
        let mut records = Vec::new();
        for scenario in scenarios {
            let mut runs = Vec::new();
            while runs.len() < self.runs {
                tell(&format!("{} {}/{}", scenario.name, runs.len() + 1, self.runs));
                let samples = (scenario.measure)(self).await?;
                for run in &samples {
                    tell(&told(scenario.figures, run));
                }
                runs.extend(samples);
                if scenario.is_single {
                    break;
                }
            }
            for (index, figure) in scenario.figures.iter().enumerate() {
                let of_figure = runs.iter().filter_map(|run| run.get(index)).cloned().collect();
                records.push(Record::new(figure, of_figure));
            }
        }
        Ok(records)
    }
}

/// The samples of a run, for whoever looks on.
fn told(figures: &[Figure], run: &[Sample]) -> String {
    let one = |(figure, sample): (&Figure, &Sample)| {
        let baseline = sample.baseline.map(|baseline| format!(" beside {baseline:.1}")).unwrap_or_default();
        format!("    {}: {:.1} {}{baseline}{}", figure.name, sample.ours, figure.unit, sample.notes())
    };
    figures.iter().zip(run).map(one).collect::<Vec<_>>().join("\n")
}

fn tell(line: &str) {
    // Whoever closed standard error does not want to know.
    drop(writeln!(std::io::stderr(), "{line}"));
}
