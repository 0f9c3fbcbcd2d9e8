//! The command line, for operators and registrants: one file per noun.
//!
//! What changes something is the same [`Command`](crate::workflow::Command) that comes over AMQP, and goes
//! through the same door; so permissions exist once. What only reads asks [`views`](crate::store::views), and
//! says who looks.
//!
//! | file         | what                                                    |
//! |--------------|---------------------------------------------------------|
//! | `session`    | who acts, on which database                             |
//! | `document`   | what is read: a JSON document for programs              |
//! | `output`     | tables for people, documents for programs               |
//! | `when`       | times, relative and absolute                            |
//! | `failure`    | what is said when it did not work, and the exit code    |
//! | `hint`       | what to type next, below it                             |
//! | `complete`   | what a shell completes                                  |
//! | `argument`   | how words of the command line are read                  |

mod after_restore;
mod argument;
mod bench;
mod complete;
mod demo;
mod doctor;
mod document;
mod event;
mod failure;
mod hint;
mod import;
mod job;
mod logging;
mod machine;
mod migrate;
mod output;
mod person;
mod rejected;
mod serve;
mod session;
mod shell;
mod status;
mod team;
mod topology;
mod when;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

pub use complete::complete;
pub use failure::exit_code;

/// Keeps Git mirrors of foreign repositories fresh.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    logging: logging::LogArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Every setting is a flag, or a variable of the environment; `--help` lists all, `-h` those of every day.
Exit codes: 0 fine, 1 refused or failed, 2 wrong usage or settings, 3 a server cannot be reached.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how the whole system does, on one screen
    Status(status::StatusArgs),
    /// Register, look at and change imports
    Import(import::ImportArgs),
    /// Look at jobs, and stop them
    Job(job::JobArgs),
    /// Look at machines, and set their states
    Machine(machine::MachineArgs),
    /// Read the audit log
    Event(event::EventArgs),
    /// Look at rejected messages, send them again, drop them
    Rejected(rejected::RejectedArgs),
    /// Add and list people
    Person(person::PersonArgs),
    /// Add, remove and list members of teams
    Team(team::TeamArgs),
    /// Run the coordinator
    Serve(crate::config::serve::ServeArgs),
    /// Run a worker on this machine
    Worker(crate::config::worker::WorkerArgs),
    /// Show the whole system at work, on repositories of its own
    Demo(demo::DemoArgs),
    /// Measure the coordinator beside what this machine can do at all
    Bench(bench::BenchArgs),
    /// Bring the database's schema up to date, and make its partitions
    Migrate(migrate::MigrateArgs),
    /// Begin a new epoch, after the database was restored to an earlier moment
    AfterRestore(after_restore::AfterRestoreArgs),
    /// Say what is wrong with the system, and what to type; exits 1 if anything is
    Doctor(doctor::DoctorArgs),
    /// Declare the broker's exchanges and queues, or compare them
    Topology(topology::TopologyArgs),
    /// Print a script by which a shell completes this command line
    Completions(shell::CompletionsArgs),
    /// Write manual pages
    #[command(hide = true)]
    Man(shell::ManArgs),
}

/// Does what the command line says.
pub fn main(cli: Cli) -> anyhow::Result<ExitCode> {
    let is_service = matches!(cli.command, Command::Serve(_) | Command::Worker(_));
    logging::install(&cli.logging, if is_service { "info" } else { "warn" })?;
    // Of several threads: migrations block the one that they run on.
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    let ended = runtime.block_on(run(cli.command));
    // A role that hangs at a server that answers nothing is not waited for any longer than `serve` did.
    runtime.shutdown_background();
    ended
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status(args) => status::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Job(args) => job::run(args).await,
        Command::Machine(args) => machine::run(args).await,
        Command::Event(args) => event::run(args).await,
        Command::Rejected(args) => rejected::run(args).await,
        Command::Person(args) => person::run(args).await,
        Command::Team(args) => team::run(args).await,
        Command::Serve(args) => serve::run(&args).await,
        Command::Worker(args) => worker::run(&args).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Bench(args) => bench::run(&args).await,
        Command::Migrate(args) => migrate::run(&args).await,
        Command::AfterRestore(args) => after_restore::run(&args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Topology(args) => topology::run(&args).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    }
}
