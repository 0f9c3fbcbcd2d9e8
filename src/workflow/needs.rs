//! What must be locked and loaded before a batch can be decided.

use std::collections::BTreeSet;

use super::Policy;
use super::command::{Act, Ask, Command, KillTarget};
use crate::domain::{Hostname, ImportId, Job, JobId, PersonName, UniqueName};

/// What the commands of a batch may look at. Sets are ordered: rows are locked in the order of their ids.
#[derive(Debug, Default)]
pub struct Needs {
    /// Asks that may have come before.
    pub message_ids: BTreeSet<String>,
    /// Whether a name or a source may be taken: then one at a time looks.
    pub registers: bool,
    /// Imports that are locked, by id.
    pub imports: BTreeSet<ImportId>,
    /// Imports that are locked, by name.
    pub import_names: BTreeSet<UniqueName>,
    /// Names that must be free.
    pub new_names: BTreeSet<UniqueName>,
    /// Sources that must be free.
    pub new_sources: BTreeSet<String>,
    /// Jobs whose imports are locked.
    pub jobs_with_imports: BTreeSet<JobId>,
    /// Jobs that are locked; those of the locked imports are too.
    pub jobs: BTreeSet<JobId>,
    /// Jobs of which a heartbeat is heard: locked too.
    pub beating: BTreeSet<JobId>,
    /// Jobs of which a worker says that it starts or ends them: if they are gone, it may be a repeat.
    pub reported: BTreeSet<(JobId, ImportId)>,
    /// Imports that are read, and not locked.
    pub read_imports: BTreeSet<ImportId>,
    /// Machines that speak: locked only if they changed.
    pub speakers: BTreeSet<Hostname>,
    /// Machines that say that they run nothing.
    pub idle: BTreeSet<Hostname>,
    /// Machines that are spoken of: locked.
    pub machines: BTreeSet<Hostname>,
    /// Whether what we know of our own listening is read.
    pub hearing: bool,
    /// Whether it is locked.
    pub echo: bool,
    /// People who act, or are named.
    pub people: BTreeSet<PersonName>,
    /// Imports that may be made.
    pub new_imports: usize,
    /// Jobs and results that may be made.
    pub fresh: usize,
}

impl Needs {
    /// What these commands may look at.
    pub fn of(commands: &[Command], policy: &Policy) -> Self {
        let mut needs = Self::default();
        for command in commands {
            needs.add(command, policy);
        }
        needs
    }

    /// Whether the import of a job that was locked is looked at. A heartbeat of a RUNNING job asks nothing of it.
    pub fn import_of(&self, job: &Job) -> bool {
        job.run().is_none() || !self.beating.contains(&job.id) || self.jobs.contains(&job.id)
    }

    /// Whether something comes before the lock of the imports: what people ask may have come before, take a name or a
    /// source, or name an import by its name or by its job.
    pub fn asks(&self) -> bool {
        !self.message_ids.is_empty()
            || self.registers
            || !self.import_names.is_empty()
            || !self.jobs_with_imports.is_empty()
    }

    fn add(&mut self, command: &Command, policy: &Policy) {
        match command {
            Command::Start { run, machine } => {
                self.jobs.insert(run.job);
                self.reported.insert((run.job, run.import));
                self.read_imports.insert(run.import);
                self.speakers.insert(machine.clone());
            }
            Command::Heartbeat { machine, is_idle, beats } => {
                self.beating.extend(beats.iter().map(|beat| beat.run.job));
                self.speakers.insert(machine.clone());
                self.idle.extend(is_idle.then(|| machine.clone()));
            }
            Command::Finish { run, machine, .. } => {
                self.imports.insert(run.import);
                self.jobs.insert(run.job);
                self.reported.insert((run.job, run.import));
                self.speakers.insert(machine.clone());
                self.fresh = self.fresh.saturating_add(1);
            }
            Command::Echo { .. } => self.echo = true,
            Command::NewJob { import } | Command::DeletePendingJob { import } => {
                self.imports.insert(*import);
                self.fresh = self.fresh.saturating_add(1);
            }
            Command::RequestJob { job, user } => {
                self.jobs.insert(*job);
                self.people.insert(user.clone());
            }
            Command::Dispatch { job } | Command::Undispatch { job, .. } => {
                self.jobs.insert(*job);
            }
            Command::Reclaim { import, job } => {
                self.imports.insert(*import);
                self.jobs.insert(*job);
                self.hearing = true;
                self.fresh = self.fresh.saturating_add(1);
            }
            Command::Watch { machine } => {
                self.machines.insert(machine.clone());
                self.hearing = true;
            }
            Command::Ask(ask) => self.add_ask(ask, policy),
        }
    }

    fn add_ask(&mut self, ask: &Ask, policy: &Policy) {
        self.message_ids.extend(ask.message_id.clone());
        self.people.insert(ask.user.clone());
        self.fresh = self.fresh.saturating_add(1);
        match &ask.act {
            Act::Register(registration) | Act::Load(registration) => {
                self.registers = true;
                self.new_imports = self.new_imports.saturating_add(1);
                self.new_names.insert(registration.unique_name.clone());
                self.people.extend(registration.owner.clone());
                let source = policy.sources.check(registration.rcs_type, &registration.source);
                self.new_sources.extend(source.ok().map(|source| source.key()));
            }
            Act::Update { import, update } => {
                // The new source's key depends on the import as it is, so it is looked up after the lock.
                self.registers |= update.source != crate::domain::source::SourceInput::default();
                self.import_names.insert(import.clone());
                self.people.extend(update.owner.clone());
            }
            Act::Request { import }
            | Act::TryAgain { import }
            | Act::Delete { import }
            | Act::Kill(KillTarget::Import(import)) => {
                self.import_names.insert(import.clone());
            }
            Act::Kill(KillTarget::Job(job)) => {
                self.jobs_with_imports.insert(*job);
            }
            Act::SetMachine { machine, .. } => {
                self.machines.insert(machine.clone());
            }
            Act::Replay(_) | Act::Drop(_) => {}
        }
    }

    /// The sources that updates ask for, known once their imports are.
    pub fn updated_sources<'a>(
        commands: &'a [Command],
        import_named: impl Fn(&UniqueName) -> Option<&'a crate::domain::Import>,
        policy: &Policy,
    ) -> BTreeSet<String> {
        let updates = commands.iter().filter_map(|command| match command {
            Command::Ask(Ask { act: Act::Update { import, update }, .. }) => Some((import, update)),
            _ => None,
        });
        updates
            .filter_map(|(name, update)| {
                super::import::updated_source(import_named(name)?, &update.source, policy).ok().flatten()
            })
            .map(|source| source.key())
            .collect()
    }
}
