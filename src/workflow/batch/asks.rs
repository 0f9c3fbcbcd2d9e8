//! What people ask for: known by message id, allowed by rights, decided by the rules of imports and machines.

use super::Batch;
use crate::domain::{
    EventKind, Import, ImportId, Person, PersonName, RejectedRef, ReviewStatus, Source, UniqueName,
};
use crate::workflow::command::{Act, Ask, KillTarget, Made, Outcome, Registration, Reply, Update};
use crate::workflow::{Rejection, import, job, machine, rejected, rights};

impl Batch<'_> {
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Outcome, Rejection> {
        let before =
            ask.message_id.as_ref().and_then(|id| self.answers.get(id).or(self.rows.answered.get(id)));
        if let Some(made) = before {
            return Ok(Outcome::Repeated(Reply::Made(made.clone())));
        }
        let made = self.act(&ask.user, &ask.act);
        if let Some(id) = ask.message_id.clone() {
            match &made {
                Ok(made) => drop(self.answers.insert(id, made.clone())),
                Err(_) => drop(self.refused.insert(id)),
            }
        }
        Ok(Outcome::Applied(Reply::Made(made?)))
    }

    fn act(&mut self, user: &PersonName, act: &Act) -> Result<Made, Rejection> {
        let now = self.rows.now;
        let person = self.person(user)?.clone();
        rights::check_acts(&person)?;
        match act {
            Act::Register(registration) => self.register(&person, registration),
            Act::Load(registration) => self.load(&person, registration),
            Act::Update { import, update } => self.update(&person, import, update),
            Act::Request { import } => {
                let (import, job) = self.named(import)?;
                rights::check_sees(&person, &import, "request")?;
                let transition = import::request(&import, job.as_ref(), user, now)?;
                self.record(transition);
                Ok(self.made(&import))
            }
            Act::TryAgain { import } => {
                let (import, job) = self.named(import)?;
                rights::check_sees(&person, &import, "try again")?;
                let transition = import::try_again(&import, job.as_ref(), user, self.moment())?;
                self.record(transition);
                Ok(self.made(&import))
            }
            Act::Kill(target) => self.kill(&person, target),
            Act::Delete { import } => {
                let (import, job) = self.named(import)?;
                rights::check_operates(&person, &format!("delete {}", import.unique_name))?;
                let transition = import::delete(&import, job.as_ref(), user);
                self.record(transition);
                Ok(Made { import_id: Some(import.id), ..Made::default() })
            }
            Act::SetMachine { machine, state, message } => {
                rights::check_operates(&person, &format!("set the state of {machine}"))?;
                let machine = self.machine(machine)?;
                let transition = machine::set_state(machine, *state, user, message.as_deref(), now)?;
                self.record(transition);
                Ok(Made::default())
            }
            Act::Replay(messages) => self.note(&person, EventKind::Replay, messages),
            Act::Drop(messages) => self.note(&person, EventKind::Drop, messages),
        }
    }

    fn note(
        &mut self,
        person: &Person,
        kind: EventKind,
        messages: &[RejectedRef],
    ) -> Result<Made, Rejection> {
        rights::check_handles_rejected(person)?;
        self.record(rejected::note(kind, messages, &person.name));
        Ok(Made { messages: Some(messages.len()), ..Made::default() })
    }

    fn register(&mut self, person: &Person, registration: &Registration) -> Result<Made, Rejection> {
        let owner = registration.owner.as_ref().unwrap_or(&person.name);
        rights::check_registers(person, self.person(owner)?)?;
        let is_usual =
            matches!(registration.review_status, None | Some(ReviewStatus::New | ReviewStatus::Reviewed));
        if registration.update_interval.is_some() || !is_usual {
            rights::check_operates(person, "register an import with an interval or a status of its own")?;
        }
        let source = self.policy.sources.check(registration.rcs_type, &registration.source)?;
        if self.rows.names.contains_key(&registration.unique_name) {
            return Err(Rejection::NameTaken(registration.unique_name.clone()));
        }
        self.check_source_free(&source, None, person)?;
        let id =
            self.rows.import_ids.pop_front().unwrap_or_else(|| unreachable!("the needs counted imports"));
        let transition = import::register(&person.name, registration, source, id, self.moment())?;
        self.record(transition);
        Ok(self.made(&self.rows.import(id).clone()))
    }

    /// Registers, unless the import is there as it is described, and the person may know.
    fn load(&mut self, person: &Person, registration: &Registration) -> Result<Made, Rejection> {
        let id = self.rows.names.get(&registration.unique_name);
        let named = id.and_then(|id| self.rows.imports.get(id));
        let is_there = |import: &&Import| {
            rights::may_see(person, import) && import::is_as_described(import, registration, self.policy)
        };
        let (made, changed) = match named.filter(is_there) {
            Some(import) => (self.made(import), false),
            None => (self.register(person, registration)?, true),
        };
        Ok(Made { changed: Some(changed), ..made })
    }

    fn update(&mut self, person: &Person, name: &UniqueName, update: &Update) -> Result<Made, Rejection> {
        let (import, job) = self.named(name)?;
        let is_source_only =
            update.review_status.is_none() && update.owner.is_none() && update.update_interval.is_none();
        if is_source_only {
            rights::check_owns(person, &import, "change the source of")?;
        } else {
            rights::check_operates(person, &format!("change {name}"))?;
        }
        if let Some(owner) = &update.owner {
            self.person(owner)?;
        }
        let source = import::updated_source(&import, &update.source, self.policy)?;
        if let Some(source) = &source {
            self.check_source_free(source, Some(import.id), person)?;
        }
        let transition = import::update(&import, job.as_ref(), update, source, &person.name, self.moment())?;
        let changed = transition.import.is_some();
        self.record(transition);
        Ok(Made { changed: Some(changed), ..self.made(&import) })
    }

    fn kill(&mut self, person: &Person, target: &KillTarget) -> Result<Made, Rejection> {
        // Before the job is looked at: who may not see an import learns nothing of it, not even its name.
        rights::check_operates(person, "kill a run")?;
        let (job, import) = match target {
            KillTarget::Job(id) => {
                let (job, import) = self.job_and_import(*id)?;
                (job.clone(), import.clone())
            }
            KillTarget::Import(name) => {
                let (import, job) = self.named(name)?;
                (job.ok_or_else(|| Rejection::NoRun(name.clone()))?, import)
            }
        };
        let transition = job::kill(&job, &import, &person.name, self.moment())?;
        self.record(transition);
        Ok(Made { import_id: Some(import.id), job: Some(job.id), ..Made::default() })
    }

    fn check_source_free(
        &self,
        source: &Source,
        own: Option<ImportId>,
        person: &Person,
    ) -> Result<(), Rejection> {
        let Some(id) = self.rows.sources.get(&source.key()).filter(|id| own != Some(**id)) else {
            return Ok(());
        };
        let by = self.rows.imports.get(id).filter(|import| rights::may_see(person, import));
        Err(Rejection::SourceTaken { by: by.map(|import| import.unique_name.clone()) })
    }

    /// What is said of an import whose job is as it is now.
    fn made(&self, import: &Import) -> Made {
        let job = self.job_of(import.id);
        Made {
            import_id: Some(import.id),
            job: job.map(|job| job.id),
            requested_by: job.and_then(|job| job.requesting_user.clone()),
            changed: None,
            messages: None,
        }
    }
}
