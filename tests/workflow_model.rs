//! Whatever is said, in whatever order, together or alone: the specification holds.

mod model;

use chrono::TimeDelta;
use code_imports::domain::{ImportId, JobId};
use code_imports::workflow::{Command, Hearing, Made, Outcome, Reply};
use model::memory::Memory;
use model::words::{Step, commands, steps};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 2,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Sections 3, 4, 5 and 7, after every step of any story.
    // covers: CI-49
    #[test]
    fn no_sequence_of_words_breaks_the_central_invariant(steps in steps(60)) {
        let mut memory = Memory::new();
        for step in &steps {
            pass(&mut memory, step);
            let commands = commands(&step.words, &memory);
            memory.apply(&commands);
            model::history::check(&memory);
        }
    }

    /// Decision 1: there is no second path.
    #[test]
    fn a_batch_is_as_many_batches_of_one(steps in steps(60)) {
        let mut memory = Memory::new();
        for step in &steps {
            pass(&mut memory, step);
            let commands = commands(&step.words, &memory);
            let before = memory.clone();
            let together = memory.apply(&commands);
            let mut alone = before.clone();
            let one_by_one: Vec<Outcome> = commands.iter().flat_map(|one| alone.apply(std::slice::from_ref(one))).collect();
            for ((command, together), alone) in commands.iter().zip(&together).zip(&one_by_one) {
                assert_eq!(shown(together, &before), shown(alone, &before), "{command:?} of {commands:#?}");
            }
            assert_eq!(state(&memory, &before), state(&alone, &before), "after {commands:#?}");
        }
    }

    /// Section 10: whatever comes again changes nothing more.
    #[test]
    fn a_workers_words_that_come_again_change_nothing(steps in steps(60)) {
        let mut memory = Memory::new();
        for step in &steps {
            pass(&mut memory, step);
            let commands = commands(&step.words, &memory);
            let first = memory.apply(&commands);
            let repeats = |(command, outcome): (&Command, &Outcome)| {
                let is_done = !matches!(outcome, Outcome::Rejected(_));
                let is_workers = matches!(command, Command::Start { .. } | Command::Finish { .. });
                let is_known = matches!(command, Command::Ask(ask) if ask.message_id.is_some());
                (is_done && (is_workers || is_known)).then(|| command.clone())
            };
            let again: Vec<_> = commands.iter().zip(&first).filter_map(repeats).collect();
            let before = memory.clone();
            for outcome in memory.apply(&again) {
                // A start may have lost its run to a kill since; applied it is not.
                assert!(!matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            }
            assert_eq!(state(&memory, &before), state(&before, &before));
        }
    }
}

/// Time passes, and we hear ourselves or not.
fn pass(memory: &mut Memory, step: &Step) {
    memory.now += TimeDelta::seconds(step.seconds);
    if step.listens {
        memory.hearing = Some(Hearing { heard: memory.now, since: memory.now - TimeDelta::days(1) });
    }
}

/// An outcome, without the ids that were given out since: a batch draws them together.
fn shown(outcome: &Outcome, before: &Memory) -> String {
    let hidden = |made: &Made| Made {
        import_id: made.import_id.map(|id| ImportId(old(id.0, before.last_ids[0]))),
        job: made.job.map(|id| JobId(old(id.0, before.last_ids[1]))),
        ..made.clone()
    };
    match outcome {
        Outcome::Applied(Reply::Made(made)) => format!("applied {:?}", hidden(made)),
        Outcome::Repeated(Reply::Made(made)) => format!("repeated {:?}", hidden(made)),
        other => format!("{other:?}"),
    }
}

/// The id, or -1 if it was given out since.
fn old(id: i64, last: i64) -> i64 {
    if id > last { -1 } else { id }
}

/// Every row, without the ids that were given out since.
fn state(memory: &Memory, before: &Memory) -> Vec<String> {
    let import = |id: ImportId| ImportId(old(id.0, before.last_ids[0]));
    let mut rows: Vec<String> = Vec::new();
    for (id, row) in &memory.imports {
        let mut row = row.clone();
        row.id = import(*id);
        rows.push(format!("{row:?}"));
        let mut job = memory.job_of(*id).cloned();
        if let Some(job) = &mut job {
            job.import_id = import(*id);
            job.id = JobId(old(job.id.0, before.last_ids[1]));
        }
        rows.push(format!("its job: {job:?}"));
    }
    rows.sort();
    for result in &memory.results {
        rows.push(format!(
            "{} of {} {:?} {:?}",
            result.status, result.job_id, result.run, result.date_created
        ));
    }
    rows.extend(memory.machines.values().map(|machine| format!("{machine:?}")));
    for (date, event) in &memory.events {
        let mut event = event.clone();
        if let Some(import_ref) = &mut event.import {
            import_ref.id = import(import_ref.id);
        }
        event.data.remove("CODE_IMPORT");
        event.data.remove("RESULT");
        rows.push(format!("{date} {event:?}"));
    }
    let mut answers: Vec<_> = memory.answered.keys().map(|id| format!("answered {id}")).collect();
    answers.sort();
    rows.extend(answers);
    rows.push(format!("{:?}", memory.hearing));
    rows
}
