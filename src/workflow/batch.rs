//! Commands folded over a snapshot: each sees what the one before it left.

mod asks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::changes::{Changes, difference};
use super::command::{Command, Made, Outcome, Reply};
use super::{Fresh, Hearing, JobChange, Moment, Past, Policy, Rejection, Snapshot, Transition, job, machine};
use crate::domain::{
    Beat, Hostname, Import, ImportId, Job, JobId, Machine, MachineState, NewEvent, NewResult, Person,
    PersonName, Report, RunRef, UniqueName,
};

/// Commands being decided.
#[derive(Debug)]
pub struct Batch<'a> {
    policy: &'a Policy,
    rows: Snapshot,
    job_of: HashMap<ImportId, JobId>,
    loaded_imports: HashSet<ImportId>,
    loaded_jobs: HashSet<JobId>,
    touched_imports: HashSet<ImportId>,
    touched_jobs: HashSet<JobId>,
    /// Jobs of which nothing changed but their heartbeats.
    beaten: HashSet<JobId>,
    touched_machines: BTreeSet<Hostname>,
    results: Vec<NewResult>,
    events: Vec<NewEvent>,
    hearing: Option<Hearing>,
    answers: BTreeMap<String, Made>,
    refused: BTreeSet<String>,
}

impl<'a> Batch<'a> {
    /// Begins with the rows as they are.
    pub fn new(rows: Snapshot, policy: &'a Policy) -> Self {
        Self {
            policy,
            job_of: rows.jobs.values().map(|job| (job.import_id, job.id)).collect(),
            loaded_imports: rows.imports.keys().copied().collect(),
            loaded_jobs: rows.jobs.keys().copied().collect(),
            rows,
            touched_imports: HashSet::new(),
            touched_jobs: HashSet::new(),
            beaten: HashSet::new(),
            touched_machines: BTreeSet::new(),
            results: Vec::new(),
            events: Vec::new(),
            hearing: None,
            answers: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Decides one command; the next one sees what it changed.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        match self.decide(command) {
            Ok(outcome) => outcome,
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    /// What must be written.
    pub fn into_changes(self) -> Changes {
        let rows = self.rows;
        let has_import = |result: &NewResult| rows.imports.contains_key(&result.import_id);
        let machines =
            self.touched_machines.iter().filter_map(|name| rows.machines.get(name).cloned()).collect();
        let mut jobs = difference(&self.touched_jobs, &self.loaded_jobs, rows.jobs);
        let beats = jobs.updated.extract_if(.., |job| self.beaten.contains(&job.id)).collect();
        Changes {
            now: rows.now,
            results: self.results.into_iter().filter(has_import).collect(),
            imports: difference(&self.touched_imports, &self.loaded_imports, rows.imports),
            jobs,
            beats,
            machines,
            hearing: self.hearing,
            answers: self.answers,
            refused: self.refused,
            events: self.events,
        }
    }

    fn decide(&mut self, command: &Command) -> Result<Outcome, Rejection> {
        let now = self.rows.now;
        match command {
            Command::Start { run, machine } => self.start(*run, machine),
            Command::Heartbeat { machine, is_idle, beats } => Ok(self.heartbeat(machine, *is_idle, beats)),
            Command::Finish { run, machine, report } => self.finish(*run, machine, report),
            Command::Echo { sent } => {
                let hearing = Hearing::after_echo(self.rows.hearing, *sent, now);
                self.rows.hearing = Some(hearing);
                self.hearing = Some(hearing);
                Ok(Outcome::Applied(Reply::Done))
            }
            Command::NewJob { import } => {
                let import = self.import_by_id(*import)?;
                let interval = self.policy.effective_interval(import);
                let (import, current) = (import.clone(), self.job_of(import.id).cloned());
                let id = self.fresh().job;
                let next_job = Some(job::new(&import, current.as_ref(), interval, id, now)?);
                Ok(self.applied(Transition { next_job, ..Transition::default() }))
            }
            Command::DeletePendingJob { import } => {
                let import = self.import_by_id(*import)?;
                let transition = job::delete_pending(import, self.job_of(import.id))?;
                Ok(self.applied(transition))
            }
            Command::RequestJob { job, user } => {
                self.person(user)?;
                let (job, import) = self.job_and_import(*job)?;
                let transition = job::request(job, import, user, now)?;
                Ok(self.applied(transition))
            }
            Command::Dispatch { job } => self.dispatch(*job),
            Command::Undispatch { job, date_dispatched } => {
                let (job, import) = self.job_and_import(*job)?;
                let transition = job::undispatch(job, import, *date_dispatched)?;
                Ok(self.applied(transition))
            }
            Command::Reclaim { job, .. } => {
                let (job, import) = self.job_and_import(*job)?;
                let (job, import, hearing) = (job.clone(), import.clone(), self.rows.hearing);
                let transition = job::reclaim(&job, &import, hearing, self.moment())?;
                Ok(self.applied(transition))
            }
            Command::Watch { machine } => {
                let transition = machine::watch(self.machine(machine)?, self.rows.hearing, self.policy, now)?;
                Ok(self.applied(transition))
            }
            Command::Ask(ask) => self.ask(ask),
        }
    }

    fn start(&mut self, said: RunRef, hostname: &Hostname) -> Result<Outcome, Rejection> {
        self.hear(hostname);
        let Some(job) = self.rows.jobs.get(&said.job) else { return self.start_of_gone(said) };
        let import = self.import_of(job, said)?.clone();
        if job::current_run(job, said, hostname).is_some() {
            return Ok(Outcome::Repeated(Reply::Started(Box::new(import))));
        }
        let transition = job::start(job, &import, self.machine(hostname)?, said, self.rows.now)?;
        self.record(transition);
        Ok(Outcome::Applied(Reply::Started(Box::new(import))))
    }

    fn start_of_gone(&self, said: RunRef) -> Result<Outcome, Rejection> {
        self.check_repeat(said)?;
        let import = self.import_by_id(said.import)?.clone();
        Ok(Outcome::Repeated(Reply::Started(Box::new(import))))
    }

    fn heartbeat(&mut self, hostname: &Hostname, is_idle: bool, beats: &[Beat]) -> Outcome {
        self.hear(hostname);
        let stop = beats.iter().filter(|beat| !self.beat(hostname, beat));
        let stop = stop.map(|beat| (beat.run.job, beat.run.run)).collect();
        let drained = self.rows.machines.get(hostname).filter(|_| is_idle).and_then(|machine| {
            machine::drain(machine, self.policy, self.rows.now).filter(|_| !self.is_busy(hostname))
        });
        if let Some(transition) = drained {
            self.record(transition);
        }
        let state =
            self.rows.machines.get(hostname).map_or(MachineState::Online, |machine| machine.state).name();
        Outcome::Applied(Reply::Heard { state, stop })
    }

    /// Notes one beat; false if its run is not current.
    fn beat(&mut self, hostname: &Hostname, beat: &Beat) -> bool {
        self.start_if_pending(beat.run, hostname);
        let Some(job) = self.rows.jobs.get(&beat.run.job) else { return false };
        let Some(run) = job::current_run(job, beat.run, hostname) else { return false };
        let transition = job::heartbeat(job, run, beat.log_tail.clone(), self.rows.now);
        let id = job.id;
        let only_beats = !self.touched_jobs.contains(&id) || self.beaten.contains(&id);
        self.record(transition);
        if only_beats {
            self.beaten.insert(id);
        }
        true
    }

    fn finish(&mut self, said: RunRef, hostname: &Hostname, report: &Report) -> Result<Outcome, Rejection> {
        self.hear(hostname);
        self.start_if_pending(said, hostname);
        let Some(job) = self.rows.jobs.get(&said.job) else {
            self.check_repeat(said)?;
            return Ok(Outcome::Repeated(Reply::Done));
        };
        let import = self.import_of(job, said)?.clone();
        let Some(run) = job::current_run(job, said, hostname) else { return Err(self.superseded(said)) };
        let (job, run) = (job.clone(), run.clone());
        let transition = job::finish(&job, &run, &import, report.clone(), self.moment());
        Ok(self.applied(transition))
    }

    /// A word about a PENDING job implies the start that was lost.
    fn start_if_pending(&mut self, said: RunRef, hostname: &Hostname) {
        let Some(job) = self.rows.jobs.get(&said.job) else { return };
        if job.run().is_none() && job.import_id == said.import {
            let import = self.rows.import(job.import_id);
            let transition = job::implied_start(job, import, hostname, said, self.rows.now);
            self.record(transition);
        }
    }

    fn dispatch(&mut self, id: JobId) -> Result<Outcome, Rejection> {
        let (job, import) = self.job_and_import(id)?;
        let import = Box::new(import.clone());
        let transition = job::dispatch(job, &import, self.policy, self.rows.now)?;
        self.record(transition);
        let job = Box::new(self.rows.job(id).clone());
        Ok(Outcome::Applied(Reply::Dispatched { job, import }))
    }

    /// A word about a job that is gone is a repeat if a worker ended that very run.
    fn check_repeat(&self, said: RunRef) -> Result<(), Rejection> {
        let last = self.rows.imports.get(&said.import).and_then(|import| {
            let last = import.last_result.as_ref().filter(|last| last.job_id == said.job)?;
            Some(Past { import: import.id, run: last.run, status: last.status })
        });
        let past = last.or_else(|| self.rows.past.get(&said.job).copied());
        let past = past.ok_or(Rejection::UnknownJob(said.job))?;
        let is_repeat =
            past.import == said.import && past.run == said.run && past.status.is_reported_by_workers();
        if is_repeat { Ok(()) } else { Err(self.superseded(said)) }
    }

    fn superseded(&self, said: RunRef) -> Rejection {
        let name = self.rows.imports.get(&said.import);
        let name =
            name.map_or_else(|| format!("import {}", said.import), |import| import.unique_name.to_string());
        Rejection::SupersededRun { run: said.run, name }
    }

    /// Hears a machine, if there is anything to note of it: then its row is locked.
    fn hear(&mut self, hostname: &Hostname) {
        if !self.rows.locked_machines.contains(hostname) {
            return;
        }
        let machine = self.rows.machines.get(hostname);
        let heard = machine.and_then(|machine| machine::hear(machine, self.policy, self.rows.now));
        if let Some(transition) = heard {
            self.record(transition);
        }
    }

    /// Whether a machine has RUNNING jobs: those that are locked, as they are by now, and others.
    fn is_busy(&self, hostname: &Hostname) -> bool {
        let runs_here = |job: &Job| job.run().is_some_and(|run| run.machine == *hostname);
        let others = self.rows.running.iter().filter(|(_, job)| !self.loaded_jobs.contains(job));
        self.rows.jobs.values().any(runs_here) || others.into_iter().any(|(machine, _)| machine == hostname)
    }

    fn import_of(&self, job: &Job, said: RunRef) -> Result<&Import, Rejection> {
        if job.import_id == said.import {
            Ok(self.rows.import(job.import_id))
        } else {
            Err(self.superseded(said))
        }
    }

    fn import_by_id(&self, id: ImportId) -> Result<&Import, Rejection> {
        self.rows.imports.get(&id).ok_or_else(|| Rejection::UnknownImport(format!("with id {id}")))
    }

    fn named(&self, name: &UniqueName) -> Result<(Import, Option<Job>), Rejection> {
        let id = self.rows.names.get(name).ok_or_else(|| Rejection::UnknownImport(name.to_string()))?;
        Ok((self.rows.import(*id).clone(), self.job_of(*id).cloned()))
    }

    fn job_of(&self, import: ImportId) -> Option<&Job> {
        self.job_of.get(&import).map(|id| self.rows.job(*id))
    }

    fn job_and_import(&self, id: JobId) -> Result<(&Job, &Import), Rejection> {
        let job = self.rows.jobs.get(&id).ok_or(Rejection::UnknownJob(id))?;
        Ok((job, self.rows.import(job.import_id)))
    }

    /// A machine that spoke: the row of one whose first word is still to come in this batch does not count.
    fn machine(&self, hostname: &Hostname) -> Result<&Machine, Rejection> {
        let spoke = |machine: &&Machine| machine.heartbeat.is_some();
        self.rows
            .machines
            .get(hostname)
            .filter(spoke)
            .ok_or_else(|| Rejection::UnknownMachine(hostname.clone()))
    }

    fn person(&self, name: &PersonName) -> Result<&Person, Rejection> {
        self.rows.people.get(name).ok_or_else(|| Rejection::UnknownPerson(name.clone()))
    }

    /// The moment of one command, with ids of its own.
    fn moment(&mut self) -> Moment<'a> {
        Moment { now: self.rows.now, policy: self.policy, fresh: self.fresh() }
    }

    fn fresh(&mut self) -> Fresh {
        self.rows.fresh.pop_front().unwrap_or_else(|| unreachable!("the needs counted jobs and results"))
    }

    fn applied(&mut self, transition: Transition) -> Outcome {
        self.record(transition);
        Outcome::Applied(Reply::Done)
    }

    /// Puts what changed back into the rows, so that the next command sees it, and notes what was touched.
    fn record(&mut self, transition: Transition) {
        let Transition { import, deleted_import, job, next_job, result, machine, events } = transition;
        match job {
            Some(JobChange::Set(job)) => self.set_job(job),
            Some(JobChange::Delete(id)) => {
                let job = self.rows.jobs.remove(&id);
                let job = job.unwrap_or_else(|| unreachable!("only a job that is there is deleted"));
                self.job_of.remove(&job.import_id);
                self.touched_jobs.insert(id);
            }
            None => {}
        }
        if let Some(import) = import {
            self.remember_source(&import);
            self.remember_last_result(import.id);
            self.touched_imports.insert(import.id);
            self.rows.imports.insert(import.id, import);
        }
        if let Some(id) = deleted_import {
            self.forget_source(id);
            self.rows.names.retain(|_, named| *named != id);
            self.rows.past.retain(|_, past| past.import != id);
            self.rows.imports.remove(&id);
            self.touched_imports.insert(id);
        }
        if let Some(job) = next_job {
            self.set_job(job);
        }
        if let Some(result) = result {
            let NewResult { import_id: import, run, status, .. } = result;
            self.rows.past.insert(result.job_id, Past { import, run, status });
            self.results.push(result);
        }
        if let Some(machine) = machine {
            assert!(
                self.rows.locked_machines.contains(&machine.hostname),
                "only a locked machine is written"
            );
            self.touched_machines.insert(machine.hostname.clone());
            self.rows.machines.insert(machine.hostname.clone(), machine);
        }
        self.events.extend(events);
    }

    fn set_job(&mut self, job: Job) {
        self.touched_jobs.insert(job.id);
        self.beaten.remove(&job.id);
        self.job_of.insert(job.import_id, job.id);
        self.rows.jobs.insert(job.id, job);
    }

    /// Keeps names and sources as they are after an import was made or changed its source.
    fn remember_source(&mut self, import: &Import) {
        let before = self.rows.imports.get(&import.id);
        if before.is_some_and(|before| before.source == import.source) {
            return;
        }
        self.forget_source(import.id);
        self.rows.names.insert(import.unique_name.clone(), import.id);
        self.rows.sources.insert(import.source.key(), import.id);
    }

    /// Keeps the result that an import remembers, before it remembers another: a late word may ask for it.
    fn remember_last_result(&mut self, id: ImportId) {
        if let Some(last) = self.rows.imports.get(&id).and_then(|import| import.last_result.as_ref()) {
            let past = Past { import: id, run: last.run, status: last.status };
            self.rows.past.insert(last.job_id, past);
        }
    }

    fn forget_source(&mut self, id: ImportId) {
        if let Some(import) = self.rows.imports.get(&id) {
            self.rows.sources.remove(&import.source.key());
        }
    }
}

#[cfg(test)]
mod tests;
