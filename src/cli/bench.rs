//! `bench`: measure the coordinator beside what this machine can do.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{INTERRUPTED, Usage};
use super::output::{Format, Mood, Output, Text, line};
use crate::bench::{Bench, LARGE, Record, SCENARIOS, Scenario, Servers};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Which scenarios; unless some are named, all but the large ones. `--list` shows them
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,

    /// How often each is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,

    /// Where the records are written, as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Only list the scenarios
    #[arg(long)]
    list: bool,

    /// Where PostgreSQL is; databases `code_imports_bench_…` are made there, and dropped
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Where RabbitMQ is; virtual hosts `code_imports_bench_…` are made there, and deleted
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL")]
    amqp_url: Option<String>,

    /// Where RabbitMQ's console is: `http://host:port`. Virtual hosts are made there, with the account of the AMQP URL
    #[arg(long, env = "AMQP_CONSOLE_URL", hide_env_values = true, value_name = "URL")]
    amqp_console_url: Option<String>,
}

pub(super) async fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        let rows =
            SCENARIOS.iter().chain(LARGE).map(|scenario| vec![scenario.name.into(), scenario.about.into()]);
        Output::new(Format::Table).table(&["SCENARIO", "WHAT"], rows.collect(), "")?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = chosen(&args.scenarios)?;
    let where_is = |variable: &str, url: &Option<String>| {
        url.clone()
            .ok_or_else(|| Usage(format!("{variable} is not set; `make bench` starts private servers")))
    };
    let servers = Servers::new(
        &where_is("DATABASE_URL", &args.database_url)?,
        &where_is("AMQP_URL", &args.amqp_url)?,
        &where_is("AMQP_CONSOLE_URL", &args.amqp_console_url)?,
    )?;
    let bench = Bench { servers, runs: args.runs.into() };
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let records = tokio::select! {
        records = bench.run(&scenarios) => records?,
        // What is dropped ends its `serve`; databases and virtual hosts are left, and say by their names what they are.
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&records)? + "\n";
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    print(&records)?;
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, Usage> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| {
        let found = SCENARIOS.iter().chain(LARGE).find(|scenario| scenario.name == name);
        found.ok_or_else(|| {
            Usage(format!("there is no scenario {name}; `code-imports bench --list` shows all"))
        })
    };
    names.iter().map(find).collect()
}

fn print(records: &[Record]) -> anyhow::Result<()> {
    let header = ["SCENARIO", "UNIT", "OURS", "SPREAD", "BASELINE", "RATIO", "GOAL", "REACHED"];
    Output::new(Format::Table).table(&header, records.iter().map(row).collect(), "")?;
    let missed = records.iter().filter(|record| record.reached == Some(false)).count();
    if missed > 0 {
        line(format!("{missed} goals were not reached on this machine."))?;
    }
    Ok(())
}

fn row(record: &Record) -> Vec<Text> {
    let (lowest, highest) = record.spread();
    let reached = match record.reached {
        Some(true) => Text::new("yes", Mood::Good),
        Some(false) => Text::new("no", Mood::Bad),
        None => "".into(),
    };
    vec![
        record.scenario.into(),
        record.unit.into(),
        number(record.ours).into(),
        format!("{} … {}", number(lowest), number(highest)).into(),
        record.baseline.map(number).unwrap_or_default().into(),
        record.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default().into(),
        record.goal.as_str().into(),
        reached,
    ]
}

/// Few digits: a bench knows no more.
fn number(number: f64) -> String {
    if number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
