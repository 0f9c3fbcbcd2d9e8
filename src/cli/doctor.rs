//! `doctor`: what is wrong with the system, and what to type.

use std::process::ExitCode;

use clap::Args;

use super::output::{Format, Output, line};
use crate::broker::{Broker, name};
use crate::config::read_servers;
use crate::config::servers::{BrokerArgs, DatabaseArgs};
use crate::domain::finding::{Examination, Finding, Gravity};
use crate::service::doctor::Diagnosis;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Look at every import, job, result and event, however long it takes; else at samples where there are many
    #[arg(long)]
    thorough: bool,
    /// Print one JSON document, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let (database, amqp, prefix) = read_servers(&args.database, &args.broker)?;
    let broker = Broker::new(amqp, &prefix, &name::here("doctor"));
    let diagnosis = Diagnosis::make(&database, &broker, args.thorough).await;
    broker.close().await;
    if args.json {
        Output::new(Format::Json).document(&diagnosis)?;
    } else {
        for examination in &diagnosis.examinations {
            line(told(examination))?;
        }
        line(if diagnosis.is_well { "Nothing is wrong." } else { "Something is wrong." })?;
    }
    Ok(if diagnosis.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for what was looked at, and two for each finding.
fn told(examination: &Examination) -> String {
    let Examination { check, looked_at, findings } = examination;
    let verdict = if examination.is_wrong() { "WRONG" } else { "ok" };
    let told = |Finding { gravity, what, remedy }: &Finding| {
        let gravity = if *gravity == Gravity::Wrong { "wrong" } else { "note" };
        format!("\n       {gravity}: {what}\n       type: {remedy}")
    };
    format!("{verdict:<5}  {check}: {looked_at}{}", findings.iter().map(told).collect::<String>())
}
