//! Many at once: no deadlock, no gap, no effect twice.

use code_imports::domain::{Job, Status};
use code_imports::store::Store;
use code_imports::workflow::{Act, Command, KillTarget, Outcome, Policy, Update};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::world::{
    World, ask, beat, code, finish, is_applied, machine, name, register, request, start, unique_name,
};

const IMPORTS: usize = 8;

/// Anything that may be said of these jobs and their imports.
fn random_word(random: &mut StdRng, jobs: &[Job]) -> Command {
    let n = random.random_range(0..jobs.len());
    let (job, import) = (&jobs[n], unique_name(&name(n)));
    let statuses = [Status::Success, Status::SuccessPartial, Status::Failure];
    match random.random_range(0..11) {
        0 | 1 => start(job),
        2 => beat(job, "tail"),
        3 | 4 => finish(job, *statuses.choose(random).unwrap()),
        5 => request(&name(n)),
        6 => ask(None, Act::Kill(KillTarget::Import(import))),
        7 => Command::Dispatch { job: job.id },
        8 => {
            let source = code_imports::domain::source::SourceInput {
                url: Some(format!("https://a.org/new/{n}/{}", random.random_range(0..3))),
                ..Default::default()
            };
            ask(None, Act::Update { import, update: Update { source, ..Update::default() } })
        }
        9 => Command::RequestJob { job: job.id, user: "no-priv".parse().unwrap() },
        _ => register(&name(100 + n), &format!("https://a.org/{}", 100 + n), None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_over_the_same_rows_in_any_order_never_wait_for_each_other_in_a_circle() {
    let (mut world, _) = World::with_imports(IMPORTS).await;
    let mut writers = JoinSet::new();
    for seed in 0..4 {
        let mut store = world.database.store().await;
        writers.spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            let policy = Policy::default();
            let operator = "david.allouche".parse().unwrap();
            let operator = store.person(&operator).await.unwrap().unwrap();
            for _ in 0..20 {
                let mut jobs = Vec::new();
                for n in 0..IMPORTS {
                    let import = store.import(&operator, &unique_name(&name(n))).await.unwrap().unwrap();
                    jobs.extend(store.job_of(&import).await.unwrap());
                }
                let mut words: Vec<_> = (0..12).map(|_| random_word(&mut random, &jobs)).collect();
                words.shuffle(&mut random);
                // A deadlock would be an error.
                store.apply(&words, &policy).await.unwrap();
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    world.check_invariants().await;
}

/// Registers, asks again, and errs now and then, so that transactions roll back.
async fn write(mut store: Store, writer: usize) {
    let policy = Policy::default();
    for n in 0..10 {
        let own = 1000 * (writer + 1) + n;
        let id = format!("message {own}");
        let too_long = "i".repeat(300);
        let words = [
            register(&name(own), &format!("https://a.org/{own}"), Some(&id)),
            request(&name(own)),
            ask(Some(&too_long), Act::Request { import: unique_name(&name(own)) }),
        ];
        let outcomes = store.apply(&words, &policy).await.unwrap();
        assert!(is_applied(&outcomes[0]) && is_applied(&outcomes[1]));
        assert!(matches!(&outcomes[2], Outcome::Rejected(rejection) if rejection.code() == "failed"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_events_have_no_gap_though_four_write_and_some_roll_back() {
    let mut world = World::new().await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        writers.spawn(write(world.database.store().await, writer));
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let ids: Vec<_> = world.store.events_after(0, 1000).await.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=80).collect::<Vec<i64>>());
    // In commit order: the transaction that wrote an event is no older than that of the event before.
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_commands_at_two_connections_at_once_have_one_effect_and_one_answer() {
    let mut world = World::new().await;
    let words: Vec<_> = (0..20)
        .map(|n| register(&name(n), &format!("https://a.org/{n}"), Some(&format!("message {n}"))))
        .collect();
    let backwards: Vec<_> = words.iter().rev().cloned().collect();
    let mut other = world.database.store().await;
    let policy = world.policy.clone();
    let (ours, theirs) = tokio::join!(world.store.apply(&words, &policy), other.apply(&backwards, &policy));
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    for (one, two) in ours.iter().zip(theirs.iter().rev()) {
        let (Outcome::Applied(first), Outcome::Repeated(again)) =
            (if is_applied(one) { (one, two) } else { (two, one) })
        else {
            panic!("{one:?} {two:?}")
        };
        assert_eq!(first, again);
    }
    assert_eq!(world.number("SELECT count(*) FROM events").await, 20);
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_finishes_at_two_connections_at_once_leave_one_result_each() {
    let (mut world, jobs) = World::with_imports(6).await;
    world.apply_all(&jobs.iter().map(start).collect::<Vec<_>>()).await;
    let words: Vec<_> = jobs.iter().map(|job| finish(job, Status::Success)).collect();
    let backwards: Vec<_> = words.iter().rev().cloned().collect();
    let mut other = world.database.store().await;
    let policy = world.policy.clone();
    let (ours, theirs) = tokio::join!(world.store.apply(&words, &policy), other.apply(&backwards, &policy));
    let applied = ours.unwrap().iter().chain(&theirs.unwrap()).filter(|outcome| is_applied(outcome)).count();
    assert_eq!(applied, 6);
    assert_eq!(world.number("SELECT count(*) FROM results").await, 6);
    world.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_words_of_a_machine_at_two_connections_at_once_are_one_online() {
    let world = World::new().await;
    let machine: code_imports::domain::Hostname = "new-machine".parse().unwrap();
    let hello = [Command::Heartbeat { machine, is_idle: true, beats: Vec::new() }];
    let policy = Policy::default();
    let (mut one, mut two) = (world.database.store().await, world.database.store().await);
    let (first, second) = tokio::join!(one.apply(&hello, &policy), two.apply(&hello, &policy));
    assert!(is_applied(&first.unwrap()[0]) && is_applied(&second.unwrap()[0]));
    assert_eq!(world.number("SELECT count(*) FROM events WHERE event_type = 'ONLINE'").await, 1);
}

// covers: CIM-01 CIM-13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_stop_a_machine_at_once_stop_it_once() {
    let mut world = World::new().await;
    let hello = Command::Heartbeat { machine: machine(), is_idle: true, beats: Vec::new() };
    world.apply(hello).await;
    let state = code_imports::domain::machine::MachineStateName::Offline;
    let stop = [ask(None, Act::SetMachine { machine: machine(), state, message: None })];
    let policy = Policy::default();
    let (mut one, mut two) = (world.database.store().await, world.database.store().await);
    let (first, second) = tokio::join!(one.apply(&stop, &policy), two.apply(&stop, &policy));
    let mut codes = [code(&first.unwrap()[0]), code(&second.unwrap()[0])];
    codes.sort_unstable();
    assert_eq!(codes, ["", "wrong-machine-state"]);
    assert_eq!(world.number("SELECT count(*) FROM events WHERE event_type = 'OFFLINE'").await, 1);
    let operator = world.store.person(&"david.allouche".parse().unwrap()).await.unwrap().unwrap();
    let machines = world.store.machines(&operator).await.unwrap();
    assert_eq!(machines.len(), 1);
}
