//! A store that holds its rows in memory: it loads exactly what [`Needs`] asks for, and writes [`Changes`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta};
use code_imports::domain::{
    Hostname, Import, ImportId, Job, JobId, Machine, MachineState, NewEvent, NewResult, Person, PersonName,
    ResultId, Timestamp,
};
use code_imports::workflow::{
    Batch, Changes, Command, Fresh, Hearing, Made, Needs, Outcome, Past, Policy, Rejection, Snapshot,
};

/// Every table, and the clock.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) now: Timestamp,
    pub(crate) policy: Policy,
    pub(crate) imports: BTreeMap<ImportId, Import>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) machines: BTreeMap<Hostname, Machine>,
    pub(crate) people: HashMap<PersonName, Person>,
    pub(crate) results: Vec<NewResult>,
    pub(crate) events: Vec<(Timestamp, NewEvent)>,
    pub(crate) answered: HashMap<String, Made>,
    pub(crate) hearing: Option<Hearing>,
    /// Every job that ever was, with its import, so that late words can name it.
    pub(crate) seen: Vec<(JobId, ImportId)>,
    /// The last id that was given out, of imports, jobs and results.
    pub(crate) last_ids: [i64; 3],
}

impl Memory {
    /// Nothing but people: two who own, one who operates, one who does neither, and a team.
    pub(crate) fn new() -> Self {
        let person = |name: &str, is_team, teams: &[&str]| {
            let teams = teams.iter().map(|team| team.parse().unwrap()).collect();
            Person { name: name.parse().unwrap(), is_team, teams }
        };
        let people = [
            person("ann", false, &["gnome"]),
            person("bob", false, &[]),
            person("david.allouche", false, &["vcs-imports"]),
            person("no-priv", false, &[]),
            person("gnome", true, &[]),
        ];
        Self {
            now: DateTime::from_timestamp(1_795_428_000, 0).unwrap(),
            // So that stories of this length reach it.
            policy: Policy { failure_limit: 3, ..Policy::default() },
            imports: BTreeMap::new(),
            jobs: BTreeMap::new(),
            machines: BTreeMap::new(),
            people: people.into_iter().map(|person| (person.name.clone(), person)).collect(),
            results: Vec::new(),
            events: Vec::new(),
            answered: HashMap::new(),
            hearing: None,
            seen: Vec::new(),
            last_ids: [0; 3],
        }
    }

    /// Applies commands as the store does: wholly, or halved where they err.
    pub(crate) fn apply(&mut self, commands: &[Command]) -> Vec<Outcome> {
        let before = self.clone();
        if let Some(outcomes) = self.apply_whole(commands) {
            return outcomes;
        }
        // What sequences gave out stays given out.
        *self = Self { last_ids: self.last_ids, ..before };
        if commands.len() == 1 {
            return vec![Outcome::Rejected(Rejection::Failed("it is taken".to_owned()))];
        }
        let (first, second) = commands.split_at(commands.len() / 2);
        [self.apply(first), self.apply(second)].concat()
    }

    /// None if a unique key is broken.
    fn apply_whole(&mut self, commands: &[Command]) -> Option<Vec<Outcome>> {
        let snapshot = self.load(commands);
        let policy = self.policy.clone();
        let mut batch = Batch::new(snapshot, &policy);
        let outcomes = commands.iter().map(|command| batch.apply(command)).collect();
        self.save(batch.into_changes()).then_some(outcomes)
    }

    fn load(&mut self, commands: &[Command]) -> Snapshot {
        let needs = Needs::of(commands, &self.policy);
        let mut rows = Snapshot { now: self.now, ..Snapshot::default() };
        for id in &needs.message_ids {
            rows.answered.extend(self.answered.get(id).map(|made| (id.clone(), made.clone())));
        }
        let mut locked: BTreeSet<ImportId> = needs.imports.clone();
        let named = |import: &&Import| needs.import_names.contains(&import.unique_name);
        locked.extend(self.imports.values().filter(named).map(|import| import.id));
        let of_job = |job: &JobId| self.jobs.get(job).map(|job| job.import_id);
        locked.extend(needs.jobs_with_imports.iter().filter_map(of_job));
        self.read_imports(&locked, &mut rows);

        let is_needed = |job: &&Job| {
            let named = [&needs.jobs, &needs.beating, &needs.jobs_with_imports];
            named.iter().any(|jobs| jobs.contains(&job.id)) || locked.contains(&job.import_id)
        };
        rows.jobs = self.jobs.values().filter(is_needed).map(|job| (job.id, job.clone())).collect();
        let mut read = needs.read_imports.clone();
        read.extend(rows.jobs.values().filter(|job| needs.import_of(job)).map(|job| job.import_id));
        self.read_imports(&read, &mut rows);
        self.find_taken(&needs, commands, &mut rows);
        self.find_past(&needs, &mut rows);
        self.find_machines(&needs, &mut rows);
        rows.hearing = self.hearing.filter(|_| needs.echo || needs.hearing);
        rows.people.clone_from(&self.people);
        rows.people.retain(|name, _| needs.people.contains(name));
        for _ in 0..needs.fresh {
            let fresh = Fresh { job: JobId(self.draw(1)), result: ResultId(self.draw(2)) };
            rows.fresh.push_back(fresh);
        }
        for _ in 0..needs.new_imports {
            rows.import_ids.push_back(ImportId(self.draw(0)));
        }
        rows
    }

    fn draw(&mut self, sequence: usize) -> i64 {
        self.last_ids[sequence] += 1;
        self.last_ids[sequence]
    }

    fn read_imports(&self, ids: &BTreeSet<ImportId>, rows: &mut Snapshot) {
        for import in ids.iter().filter_map(|id| self.imports.get(id)) {
            rows.names.insert(import.unique_name.clone(), import.id);
            rows.imports.entry(import.id).or_insert_with(|| import.clone());
        }
    }

    fn find_taken(&self, needs: &Needs, commands: &[Command], rows: &mut Snapshot) {
        if !needs.registers {
            return;
        }
        rows.sources = rows.imports.values().map(|import| (import.source.key(), import.id)).collect();
        let import_named = |name: &_| rows.imports.get(rows.names.get(name)?);
        let mut keys = Needs::updated_sources(commands, import_named, &self.policy);
        keys.extend(needs.new_sources.iter().cloned());
        for import in self.imports.values() {
            if needs.new_names.contains(&import.unique_name) || keys.contains(&import.source.key()) {
                rows.names.insert(import.unique_name.clone(), import.id);
                rows.sources.insert(import.source.key(), import.id);
                rows.imports.entry(import.id).or_insert_with(|| import.clone());
            }
        }
    }

    fn find_past(&self, needs: &Needs, rows: &mut Snapshot) {
        for (job, import) in &needs.reported {
            let last = rows.imports.get(import).and_then(|import| import.last_result.as_ref());
            if rows.jobs.contains_key(job) || last.is_some_and(|last| last.job_id == *job) {
                continue;
            }
            if let Some(result) = self.results.iter().find(|result| result.job_id == *job) {
                let past = Past { import: result.import_id, run: result.run, status: result.status };
                rows.past.insert(*job, past);
            }
        }
    }

    fn find_machines(&mut self, needs: &Needs, rows: &mut Snapshot) {
        rows.locked_machines = needs.machines.iter().cloned().collect();
        for name in &needs.speakers {
            let new = Machine {
                hostname: name.clone(),
                state: MachineState::Online,
                date_state: self.now,
                heartbeat: None,
            };
            let machine = self.machines.entry(name.clone()).or_insert(new);
            let is_old = machine.heartbeat.is_none_or(|heard| self.now - heard > TimeDelta::seconds(10));
            if is_old || machine.state != MachineState::Online {
                rows.locked_machines.insert(name.clone());
            }
        }
        for name in needs.speakers.union(&needs.machines) {
            rows.machines.extend(self.machines.get(name).map(|machine| (name.clone(), machine.clone())));
        }
        for job in self.jobs.values() {
            let machine = job.run().map(|run| &run.machine).filter(|name| needs.idle.contains(*name));
            rows.running.extend(machine.map(|machine| (machine.clone(), job.id)));
        }
    }

    /// False if a unique key is broken: the database looks at each row as it comes, the new ones first.
    fn save(&mut self, changes: Changes) -> bool {
        for id in &changes.jobs.deleted {
            assert!(self.jobs.remove(id).is_some(), "only a job that is there is deleted");
        }
        for id in &changes.imports.deleted {
            assert!(self.jobs.values().all(|job| job.import_id != *id), "a job would be left over");
            assert!(self.imports.remove(id).is_some(), "only an import that is there is deleted");
            self.results.retain(|result| result.import_id != *id);
        }
        for import in changes.imports.updated.into_iter().chain(changes.imports.inserted) {
            let is_same = |other: &Import| {
                other.unique_name == import.unique_name || other.source.key() == import.source.key()
            };
            if self.imports.values().any(|other| other.id != import.id && is_same(other)) {
                return false;
            }
            self.imports.insert(import.id, import);
        }
        for job in changes.jobs.updated.into_iter().chain(changes.beats) {
            assert!(self.jobs.insert(job.id, job).is_some(), "only a job that is there is changed");
        }
        for job in changes.jobs.inserted {
            let has_job = self.jobs.values().any(|other| other.import_id == job.import_id);
            assert!(!has_job, "an import has at most one job");
            self.seen.push((job.id, job.import_id));
            self.jobs.insert(job.id, job);
        }
        self.results.extend(changes.results);
        for machine in changes.machines {
            self.machines.insert(machine.hostname.clone(), machine);
        }
        self.hearing = changes.hearing.or(self.hearing);
        self.answered.extend(changes.answers);
        self.events.extend(changes.events.into_iter().map(|event| (changes.now, event)));
        true
    }

    /// The job of an import.
    pub(crate) fn job_of(&self, import: ImportId) -> Option<&Job> {
        self.jobs.values().find(|job| job.import_id == import)
    }
}
