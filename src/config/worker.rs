//! What only `worker` is told.

use std::path::PathBuf;

use clap::Args;

use super::policy::SourceArgs;
use super::servers::BrokerArgs;
use super::{Check, Invalid, LONGEST, SECOND, own_hostname};
use crate::domain::{Hostname, RcsType};
use crate::worker::{WorkerSettings, importer};

/// More imports at once than any one host can run.
const MAX_SLOTS: usize = 1_000;

/// All that `worker` is told.
#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    runs: RunArgs,
    #[command(flatten)]
    sources: SourceArgs,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Runs")]
struct RunArgs {
    /// What this machine is called; its broker account should have the same name
    /// [default: this host's name]
    #[arg(long, env = "CODE_IMPORTS_MACHINE", value_name = "NAME")]
    machine: Option<String>,

    /// What it imports, with commas between: CVS, SVN, GIT, HG, BZR
    #[arg(long, env = "CODE_IMPORTS_RCS_TYPES", value_name = "LIST", default_value = "GIT")]
    rcs_types: String,

    /// How many imports it runs at once
    #[arg(long, env = "CODE_IMPORTS_SLOTS", value_name = "COUNT", default_value = "2")]
    slots: String,

    /// The directory that holds the targets; it is made if it is missing
    #[arg(long, env = "CODE_IMPORTS_TARGETS", value_name = "DIRECTORY", default_value = "targets")]
    targets: PathBuf,

    /// How long a tool may print nothing before its run is a failure
    #[arg(long, env = "CODE_IMPORTS_INACTIVITY_TIMEOUT", value_name = "TIME", default_value = "60min")]
    inactivity_timeout: String,

    /// How long a run may take in all
    #[arg(long, env = "CODE_IMPORTS_RUN_LIMIT", value_name = "TIME", default_value = "24h")]
    run_limit: String,

    /// The program to run for Git
    #[arg(long, env = "CODE_IMPORTS_GIT", value_name = "PROGRAM", default_value = "git")]
    git: PathBuf,
}

/// What `worker` is told, read and checked: what the client is told, and what the importer is.
pub type Settings = (WorkerSettings, importer::Settings);

impl WorkerArgs {
    /// Reads and checks everything.
    pub fn read(&self) -> Result<Settings, Invalid> {
        let mut check = Check::default();
        let runs = &self.runs;
        let broker = self.broker.check(&mut check);
        let machine = runs.machine(&mut check);
        let rcs_types = runs.rcs_types(&mut check);
        let slots = check.number("slots", &runs.slots, 1..=MAX_SLOTS);
        let inactivity_timeout =
            check.duration("inactivity-timeout", &runs.inactivity_timeout, SECOND..=LONGEST);
        let run_limit = check.duration("run-limit", &runs.run_limit, SECOND..=LONGEST);
        let sources = self.sources.check(&mut check);
        let settings = broker.zip(machine).map(|((urls, prefix), machine)| {
            let client = WorkerSettings { prefix, slots, ..WorkerSettings::new(urls, machine, &rcs_types) };
            let importer = importer::Settings {
                git: runs.git.clone(),
                inactivity_timeout,
                run_limit,
                ..importer::Settings::new(runs.targets.clone(), sources)
            };
            (client, importer)
        });
        check.finish(settings)
    }
}

impl RunArgs {
    fn machine(&self, check: &mut Check) -> Option<Hostname> {
        match &self.machine {
            Some(name) => name.parse().map_err(|error| check.wrong("machine", error)).ok(),
            None => own_hostname().or_else(|| {
                check.wrong("machine", "this host's name is not one that a machine can have; say another");
                None
            }),
        }
    }

    fn rcs_types(&self, check: &mut Check) -> Vec<RcsType> {
        let expected = "some of CVS, SVN, GIT, HG, BZR with commas between";
        let mut types: Vec<RcsType> = check.list("rcs-types", &self.rcs_types.to_uppercase(), expected);
        if types.is_empty() && !check.is_wrong("rcs-types") {
            check.wrong("rcs-types", format!("expected {expected}, not nothing"));
        }
        for rcs_type in &types {
            if let Err(unsupported) = importer::supported(*rcs_type) {
                check.wrong("rcs-types", unsupported);
            }
        }
        types.sort_unstable();
        types.dedup();
        types
    }
}
