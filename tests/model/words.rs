//! Random words, in terms that make sense in any state: "the third job" rather than "job 42".

use chrono::TimeDelta;
use code_imports::domain::machine::MachineStateName;
use code_imports::domain::source::SourceInput;
use code_imports::domain::{
    Beat, Hostname, ImportId, JobId, PersonName, RcsType, Report, ReviewStatus, RunId, RunRef, Status,
    UniqueName,
};
use code_imports::workflow::{Act, Ask, Command, KillTarget, Registration, Update};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use strum::VariantArray;
use uuid::Uuid;

use super::memory::Memory;

/// So much time passes, then these words are judged together.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) seconds: i64,
    /// Whether we heard ourselves all the while.
    pub(crate) listens: bool,
    pub(crate) words: Vec<Word>,
}

#[derive(Clone, Debug)]
pub(crate) enum Word {
    Start(Said),
    Heartbeat { machine: u8, said: Vec<Said> },
    Finish(Said, Status),
    Echo { age: i64 },
    NewJob(u8),
    DeletePendingJob(u8),
    RequestJob(Pick, u8),
    Dispatch(Pick),
    Undispatch(Pick),
    Reclaim(Pick),
    Watch(u8),
    Ask { user: u8, message: Option<u8>, what: What },
}

/// What a worker names: mostly the right things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    job: Pick,
    is_other_run: bool,
    is_other_import: bool,
    machine: Option<u8>,
}

/// A job: of those of now, or of all that ever were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    is_of_now: bool,
    n: u8,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Register { name: u8, source: u8, owner: Option<u8>, status: Option<ReviewStatus> },
    Update { name: u8, status: Option<ReviewStatus>, source: Option<u8>, more: u8 },
    Request(u8),
    TryAgain(u8),
    KillJob(Pick),
    Kill(u8),
    Delete(u8),
    SetMachine(u8, MachineStateName),
}

/// Steps with about this many words in all.
pub(crate) fn steps(words: usize) -> impl Strategy<Value = Vec<Step>> {
    let seconds = select(vec![0, 0, 0, 2, 12, 40, 70, 320, 700, 4000, 22_000, 200_000]);
    let step = (seconds, any::<bool>(), vec(word(), 1..8));
    let step = step.prop_map(|(seconds, listens, words)| Step { seconds, listens, words });
    // Something to speak of must be there first.
    let begin = vec((0..4_u8, 0..6_u8), 3..7).prop_map(|imports| {
        let register = |(name, source)| {
            let what = What::Register { name, source, owner: None, status: None };
            Word::Ask { user: 0, message: None, what }
        };
        Step { seconds: 0, listens: true, words: imports.into_iter().map(register).collect() }
    });
    (begin, vec(step, words / 6..words / 3)).prop_map(|(begin, mut steps)| {
        steps.insert(0, begin);
        steps
    })
}

fn word() -> impl Strategy<Value = Word> {
    let machine = || 0..3_u8;
    let name = || 0..4_u8;
    let any = select(Status::VARIANTS).prop_filter("ours", |status| status.is_reported_by_workers());
    let failing = select(vec![Status::Failure, Status::Failure, Status::Failure, Status::InternalFailure]);
    let message = prop::option::weighted(0.3, 0..30_u8);
    prop_oneof![
        8 => said().prop_map(Word::Start),
        4 => (machine(), vec(said(), 0..4)).prop_map(|(machine, said)| Word::Heartbeat { machine, said }),
        3 => (said(), any).prop_map(|(said, status)| Word::Finish(said, status)),
        6 => (said(), failing).prop_map(|(said, status)| Word::Finish(said, status)),
        1 => select(vec![0, 5, 28, 33, 60]).prop_map(|age| Word::Echo { age }),
        1 => name().prop_map(Word::NewJob),
        1 => name().prop_map(Word::DeletePendingJob),
        1 => (pick(), 0..4_u8).prop_map(|(job, user)| Word::RequestJob(job, user)),
        2 => pick().prop_map(Word::Dispatch),
        1 => pick().prop_map(Word::Undispatch),
        4 => pick().prop_map(Word::Reclaim),
        1 => machine().prop_map(Word::Watch),
        9 => (prop_oneof![1 => 0..5_u8, 3 => Just(2)], message, what())
            .prop_map(|(user, message, what)| Word::Ask { user, message, what }),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let name = || 0..4_u8;
    let status = || select(ReviewStatus::VARIANTS);
    let maybe = prop::option::of::<_>;
    let machine_state = select(MachineStateName::VARIANTS);
    prop_oneof![
        3 => (name(), 0..6_u8, maybe(0..5_u8), prop::option::weighted(0.3, status()))
            .prop_map(|(name, source, owner, status)| What::Register { name, source, owner, status }),
        6 => (name(), prop::option::weighted(0.7, status()), prop::option::weighted(0.5, 0..12_u8), 0..9_u8)
            .prop_map(|(name, status, source, more)| What::Update { name, status, source, more }),
        2 => name().prop_map(What::Request),
        3 => name().prop_map(What::TryAgain),
        1 => pick().prop_map(What::KillJob),
        1 => name().prop_map(What::Kill),
        1 => name().prop_map(What::Delete),
        1 => (0..4_u8, machine_state).prop_map(|(machine, state)| What::SetMachine(machine, state)),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let seldom = || prop::bool::weighted(0.06);
    (pick(), seldom(), seldom(), prop::option::weighted(0.06, 0..3_u8)).prop_map(
        |(job, is_other_run, is_other_import, machine)| Said { job, is_other_run, is_other_import, machine },
    )
}

fn pick() -> impl Strategy<Value = Pick> {
    (prop::bool::weighted(0.85), any::<u8>()).prop_map(|(is_of_now, n)| Pick { is_of_now, n })
}

/// The commands that these words are, as things stand.
pub(crate) fn commands(words: &[Word], memory: &Memory) -> Vec<Command> {
    words.iter().map(|word| command(word, memory)).collect()
}

fn command(word: &Word, memory: &Memory) -> Command {
    match word {
        Word::Start(said) => {
            let (run, machine) = run_ref(*said, memory);
            Command::Start { run, machine }
        }
        Word::Heartbeat { machine, said } => {
            let beat = |said: &Said| Beat { run: run_ref(*said, memory).0, log_tail: format!("{said:?}") };
            let beats: Vec<_> = said.iter().map(beat).collect();
            Command::Heartbeat { machine: hostname(*machine), is_idle: beats.is_empty(), beats }
        }
        Word::Finish(said, status) => {
            let (run, machine) = run_ref(*said, memory);
            Command::Finish { run, machine, report: Report::of(*status) }
        }
        Word::Echo { age } => Command::Echo { sent: memory.now - TimeDelta::seconds(*age) },
        Word::NewJob(name) => Command::NewJob { import: import(*name, memory) },
        Word::DeletePendingJob(name) => Command::DeletePendingJob { import: import(*name, memory) },
        Word::RequestJob(job, user) => {
            Command::RequestJob { job: pick_job(*job, memory).0, user: person(*user) }
        }
        Word::Dispatch(job) => Command::Dispatch { job: pick_job(*job, memory).0 },
        Word::Undispatch(job) => {
            let job = pick_job(*job, memory).0;
            let mark = memory.jobs.get(&job).and_then(|job| job.date_dispatched);
            Command::Undispatch { job, date_dispatched: mark.unwrap_or(memory.now - TimeDelta::seconds(1)) }
        }
        Word::Reclaim(job) => {
            let (job, import) = pick_job(*job, memory);
            Command::Reclaim { import, job }
        }
        Word::Watch(machine) => Command::Watch { machine: hostname(*machine) },
        Word::Ask { user, message, what } => {
            let message_id = message.map(|message| format!("message-{message}"));
            Command::Ask(Ask { user: person(*user), message_id, act: act(what, memory) })
        }
    }
}

fn act(what: &What, memory: &Memory) -> Act {
    match what {
        What::Register { name, source, owner, status } => Act::Register(Registration {
            unique_name: unique_name(*name),
            rcs_type: if *source == 5 { RcsType::Cvs } else { RcsType::Git },
            source: input(*source),
            owner: owner.map(person),
            review_status: *status,
            update_interval: None,
        }),
        What::Update { name, status, source, more } => {
            let update = Update {
                review_status: *status,
                source: source.map(input).unwrap_or_default(),
                owner: (*more == 1).then(|| person(1)),
                update_interval: match more {
                    2 => Some(Some(TimeDelta::hours(1))),
                    3 => Some(None),
                    _ => None,
                },
            };
            Act::Update { import: unique_name(*name), update }
        }
        What::Request(name) => Act::Request { import: unique_name(*name) },
        What::TryAgain(name) => Act::TryAgain { import: unique_name(*name) },
        What::KillJob(job) => Act::Kill(KillTarget::Job(pick_job(*job, memory).0)),
        What::Kill(name) => Act::Kill(KillTarget::Import(unique_name(*name))),
        What::Delete(name) => Act::Delete { import: unique_name(*name) },
        What::SetMachine(machine, state) => {
            Act::SetMachine { machine: hostname(*machine), state: *state, message: None }
        }
    }
}

fn pick_job(pick: Pick, memory: &Memory) -> (JobId, ImportId) {
    let of_now: Vec<_> = memory.jobs.values().map(|job| (job.id, job.import_id)).collect();
    let among = if pick.is_of_now { &of_now } else { &memory.seen };
    // The newest of those that were are the most interesting.
    let back = usize::from(pick.n).checked_rem(among.len()).map(|n| among.len() - 1 - n);
    back.map_or((JobId(i64::from(pick.n) + 1_000_000), ImportId(1)), |n| among[n])
}

/// What is said of a run, and by whom: each job has one run that is meant and one that is not, and a machine.
fn run_ref(said: Said, memory: &Memory) -> (RunRef, Hostname) {
    let (job, import) = pick_job(said.job, memory);
    let import = if said.is_other_import { ImportId(import.0 + 1) } else { import };
    let running = memory.jobs.get(&job).and_then(|job| job.run());
    let meant = RunId(Uuid::from_u128(u128::try_from(job.0).unwrap() * 2));
    let meant = running.map_or(meant, |run| run.id);
    let run = if said.is_other_run { RunId(Uuid::from_u128(meant.0.as_u128() ^ 1)) } else { meant };
    let machine =
        running.map_or_else(|| hostname((job.0 % 3).try_into().unwrap()), |run| run.machine.clone());
    (RunRef { job, import, run }, said.machine.map_or(machine, hostname))
}

fn import(name: u8, memory: &Memory) -> ImportId {
    let named = memory.imports.values().find(|import| import.unique_name == unique_name(name));
    named.map_or(ImportId(1_000_000), |import| import.id)
}

pub(crate) fn hostname(n: u8) -> Hostname {
    format!("machine-{n}").parse().unwrap()
}

fn unique_name(n: u8) -> UniqueName {
    format!("~gnome/project-{n}/import").parse().unwrap()
}

fn person(n: u8) -> PersonName {
    ["ann", "bob", "david.allouche", "no-priv", "gnome"][usize::from(n)].parse().unwrap()
}

/// Two of them differ in nothing but user-info; the last is for CVS.
fn input(n: u8) -> SourceInput {
    let url = |url: &str| SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
    match n {
        0 => url("https://a.org/b"),
        1 => url("https://me:secret@a.org/b"),
        5 => SourceInput {
            url: None,
            cvs_root: Some(":pserver:me@cvs.a.org/cvs".to_owned()),
            cvs_module: Some("gnome".to_owned()),
        },
        n => url(&format!("https://a.org/{n}")),
    }
}
