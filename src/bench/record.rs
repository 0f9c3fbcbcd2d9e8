//! What is written down: one record for each figure, as JSON and as a table.

use std::collections::BTreeMap;

use serde::Serialize;

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Which figure of which scenario.
    pub name: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// What we want.
    pub goal: Goal,
}

/// What we want of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At least so many times the baseline.
    RatioAtLeast(f64),
    /// At most so many times the baseline.
    RatioAtMost(f64),
    /// At most so much of the unit.
    AtMost(f64),
    /// It is only told.
    None,
}

/// What one run measured of a figure.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// What the coordinator did.
    pub ours: f64,
    /// What the baseline did in the same run.
    pub baseline: Option<f64>,
    /// What else was counted, by name: the parts of the baseline, processor time.
    #[serde(flatten)]
    pub more: BTreeMap<&'static str, f64>,
}

impl Sample {
    /// A figure without a baseline.
    #[must_use]
    pub fn alone(ours: f64) -> Self {
        Self { ours, baseline: None, more: BTreeMap::new() }
    }

    /// A figure beside its baseline.
    #[must_use]
    pub fn beside(ours: f64, baseline: f64) -> Self {
        Self { ours, baseline: Some(baseline), more: BTreeMap::new() }
    }

    /// The same with something else that was counted.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.more.insert(name, value);
        self
    }

    /// What else was counted, in one line.
    pub(super) fn notes(&self) -> String {
        let notes: Vec<String> = self.more.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
        if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
    }
}

/// A figure as it is published.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Which.
    pub scenario: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// The median of the runs.
    pub ours: f64,
    /// The median of the baseline's.
    pub baseline: Option<f64>,
    /// The median of the ratios of the runs, each with its own baseline.
    pub ratio: Option<f64>,
    /// What we want.
    pub goal: String,
    /// Whether it is reached; null where nothing is wanted.
    pub reached: Option<bool>,
    /// Each run.
    pub runs: Vec<Sample>,
}

impl Record {
    /// Sums up the runs of a figure.
    #[must_use]
    pub fn new(figure: &Figure, runs: Vec<Sample>) -> Self {
        let ours = median(runs.iter().map(|run| run.ours).collect()).unwrap_or(f64::NAN);
        let baseline = median(runs.iter().filter_map(|run| run.baseline).collect());
        let ratio = median(runs.iter().filter_map(|run| Some(run.ours / run.baseline?)).collect());
        let (goal, reached) = match figure.goal {
            Goal::RatioAtLeast(least) => (format!(">= {least} x"), ratio.map(|ratio| ratio >= least)),
            Goal::RatioAtMost(most) => (format!("<= {most} x"), ratio.map(|ratio| ratio <= most)),
            Goal::AtMost(most) => (format!("<= {most} {}", figure.unit), Some(ours <= most)),
            Goal::None => (String::new(), None),
        };
        Self { scenario: figure.name, unit: figure.unit, ours, baseline, ratio, goal, reached, runs }
    }

    /// The lowest and the highest of the runs.
    #[must_use]
    pub fn spread(&self) -> (f64, f64) {
        let ours = || self.runs.iter().map(|run| run.ours);
        (ours().fold(f64::INFINITY, f64::min), ours().fold(f64::NEG_INFINITY, f64::max))
    }
}

/// The middle of some numbers, or between the two that are; none of none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len().is_multiple_of(2) { f64::midpoint(numbers[middle - 1], upper) } else { upper })
}

/// The number below which this part of the numbers lies; none of none.
#[must_use]
pub fn percentile(mut numbers: Vec<f64>, percent: usize) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let place = (numbers.len() * percent).div_ceil(100).max(1);
    numbers.get(place - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
        assert_eq!(percentile((1..=200).map(f64::from).collect(), 99), Some(198.0));
    }

    #[test]
    fn a_ratio_is_that_of_the_pairs() {
        let figure = Figure { name: "x", unit: "jobs/s", goal: Goal::RatioAtLeast(0.8) };
        // The third run was on a busy machine, and its baseline too.
        let runs = [(90.0, 100.0), (95.0, 100.0), (45.0, 50.0)];
        let runs = runs.map(|(ours, baseline)| Sample::beside(ours, baseline)).to_vec();
        let record = Record::new(&figure, runs);
        assert_eq!((record.ours, record.ratio, record.reached), (90.0, Some(0.9), Some(true)));
        assert_eq!(record.spread(), (45.0, 95.0));
        let record = Record::new(&Figure { goal: Goal::AtMost(40.0), ..figure }, vec![Sample::alone(41.0)]);
        assert_eq!((record.goal.as_str(), record.reached), ("<= 40 jobs/s", Some(false)));
    }
}
