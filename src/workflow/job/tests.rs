//! Sections 3, 4, 5 and 10, sentence by sentence, as far as they speak of jobs.

use strum::VariantArray;

use super::*;
use crate::domain::machine::MachineStateName;
use crate::domain::{ImportId, OfflineReason, RcsType};
use crate::workflow::fixtures::*;

/// Section 3. Covers the seed too.
// covers: CIJ-05 CIJ-06 CIJ-07
#[test]
fn equality_is_overdue() {
    let job = |date_due| Job { date_due, ..pending_job() };
    assert!(!job(now() + TimeDelta::microseconds(1)).is_overdue(now()));
    assert!(job(now()).is_overdue(now()));
    assert!(job(ago(hours(1_000_000))).is_overdue(now()));
}

mod new {
    use super::*;

    fn new_of(import: &Import, job: Option<&Job>, interval: TimeDelta) -> Result<Job, Rejection> {
        super::super::new(import, job, interval, FRESH.job, now())
    }

    // covers: CIJ-60
    #[test]
    fn an_import_that_is_not_reviewed_gets_no_job() {
        for status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Reviewed) {
            let expected = format!("Review status of {NAME} is not REVIEWED: {status}");
            assert_eq!(refusal(new_of(&import_in(status), None, hours(6))), expected);
            // The review status is looked at before the job.
            assert_eq!(refusal(new_of(&import_in(status), Some(&running_job()), hours(6))), expected);
        }
    }

    // covers: CIJ-61
    #[test]
    fn an_import_with_a_job_gets_no_second_one() {
        for job in [pending_job(), running_job()] {
            let text = refusal(new_of(&import(), Some(&job), hours(6)));
            assert_eq!(text, format!("Already associated to a CodeImportJob: {NAME}"));
        }
    }

    // covers: CIJ-08 CIJ-09 CIJ-62 CIJ-63 CIJ-64
    #[test]
    fn a_new_job_is_due_one_interval_after_the_last_start_but_not_before_now() {
        #[track_caller]
        fn check(last_result: Option<crate::domain::LastResult>, date_due: Timestamp) {
            let import = Import { last_result, ..import() };
            let job = new_of(&import, None, hours(6)).unwrap();
            assert_eq!(job.date_due, date_due);
        }

        check(None, now());
        check(Some(last_result(Status::Success, hours(3), hours(1))), now() + hours(3));
        check(Some(last_result(Status::Failure, hours(6), hours(1))), now());
        check(Some(last_result(Status::Killed, hours(100), hours(1))), now());
        check(Some(last_result(Status::Reclaimed, hours(1), hours(1))), now() + hours(5));
    }

    #[test]
    fn a_new_job_is_due_now_when_the_source_changed_after_the_last_start() {
        #[track_caller]
        fn check(changed: TimeDelta, date_due: Timestamp) {
            let last_result = Some(last_result(Status::Success, hours(3), hours(1)));
            let import = Import { last_result, date_source_changed: Some(ago(changed)), ..import() };
            assert_eq!(new_of(&import, None, hours(6)).unwrap().date_due, date_due);
        }

        check(hours(2), now());
        check(seconds(1), now());
        check(hours(3), now() + hours(3)); // not after that start
        check(hours(4), now() + hours(3));
    }

    #[test]
    fn a_new_job_waits_for_nobody_and_is_of_its_imports_rcs() {
        let import = Import { rcs_type: RcsType::Svn, ..import() };
        let expected = Job {
            id: FRESH.job,
            import_id: IMPORT,
            rcs_type: RcsType::Svn,
            date_created: now(),
            date_due: now(),
            date_dispatched: None,
            requesting_user: None,
            state: JobState::Pending,
        };
        assert_eq!(new_of(&import, None, hours(6)), Ok(expected));
    }
}

mod delete_pending {
    use super::*;

    // covers: CIJ-65 CIJ-66 CIJ-67
    #[test]
    fn deleting_a_pending_job_is_refused_in_this_order() {
        #[track_caller]
        fn check(status: ReviewStatus, job: Option<&Job>, text: &str) {
            assert_eq!(refusal(delete_pending(&import_in(status), job)), text.replace("<name>", NAME));
        }

        let reviewed = "The review status of <name> is REVIEWED.";
        check(ReviewStatus::Reviewed, None, reviewed);
        check(ReviewStatus::Reviewed, Some(&running_job()), reviewed);
        check(ReviewStatus::Reviewed, Some(&pending_job()), reviewed);
        check(ReviewStatus::Suspended, None, "Not associated to a CodeImportJob: <name>");
        let running_text = "The CodeImportJob associated to <name> is RUNNING.";
        check(ReviewStatus::Invalid, Some(&running_job()), running_text);
    }

    // covers: CIJ-10
    #[test]
    fn a_pending_job_is_deleted_without_an_event() {
        let requested = Job { requesting_user: Some(person("no-priv")), ..pending_job() };
        for status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Reviewed) {
            let expected = Transition { job: Some(JobChange::Delete(JOB)), ..Transition::default() };
            assert_eq!(delete_pending(&import_in(status), Some(&requested)), Ok(expected));
        }
    }
}

mod request {
    use super::*;

    fn request_of(job: &Job, user: &str) -> Decision {
        super::super::request(job, &import(), &person(user), now())
    }

    // covers: CIJ-70
    #[test]
    fn a_running_job_is_not_requested() {
        let expected = format!("The CodeImportJob associated with {NAME} is RUNNING.");
        assert_eq!(refusal(request_of(&running_job(), "no-priv")), expected);
        // That it runs is said before that somebody asked.
        let requested = Job { requesting_user: Some(person("no-priv")), ..running_job() };
        assert_eq!(refusal(request_of(&requested, "no-priv")), expected);
    }

    // covers: CIJ-13 CIJ-71
    #[test]
    fn a_job_is_requested_once_not_even_twice_by_the_same_person() {
        let requested = Job { requesting_user: Some(person("no-priv")), ..pending_job() };
        for user in ["no-priv", "david.allouche"] {
            let expected =
                format!("The CodeImportJob associated with {NAME} was already requested by no-priv.");
            assert_eq!(refusal(request_of(&requested, user)), expected);
        }
    }

    // covers: CIJ-11 CIJ-12 CIJ-72 CIJ-73 CIE-08
    #[test]
    fn a_requested_job_is_due_now_unless_it_is_overdue_and_keeps_its_place() {
        #[track_caller]
        fn check(due_before: Timestamp, due_after: Timestamp) {
            let transition = request_of(&Job { date_due: due_before, ..pending_job() }, "no-priv").unwrap();
            let requesting_user = Some(person("no-priv"));
            assert_eq!(
                *job_after(&transition),
                Job { date_due: due_after, requesting_user, ..pending_job() }
            );
            assert_eq!(summaries(&transition.events), [format!("REQUEST {NAME} no-priv")]);
            let data: Vec<_> = transition.events[0].data.iter().collect();
            assert_eq!(data, [(&"CODE_IMPORT".to_owned(), &"7".to_owned())]);
        }

        check(now() + hours(1000), now());
        check(now(), now());
        check(ago(hours(1)), ago(hours(1)));
    }
}

mod dispatch {
    use super::*;

    fn dispatch_of(job: &Job) -> Decision {
        super::super::dispatch(job, &import(), &Policy::default(), now())
    }

    // covers: CIJ-44 CIJ-45 CIJ-46 CIJ-51
    #[test]
    fn only_a_pending_job_that_is_due_and_not_handed_out_is_dispatched() {
        #[track_caller]
        fn check(job: Job, is_dispatched: bool) {
            let decision = dispatch_of(&job);
            assert_eq!(decision.is_ok(), is_dispatched, "{decision:?}");
        }

        let due = Job { date_due: now(), ..pending_job() };
        let handed_out = |before| Job { date_dispatched: Some(ago(before)), ..due.clone() };
        check(due.clone(), true);
        check(Job { date_due: now() + TimeDelta::microseconds(1), ..pending_job() }, false);
        check(running_job(), false);
        check(handed_out(seconds(1)), false);
        check(handed_out(minutes(10)), false);
        check(handed_out(minutes(10) + TimeDelta::microseconds(1)), true); // nobody started it
    }

    #[test]
    fn a_dispatch_marks_the_job_and_nothing_else() {
        let due = Job { date_due: ago(hours(1)), requesting_user: Some(person("no-priv")), ..pending_job() };
        let marked = Job { date_dispatched: Some(now()), ..due.clone() };
        let expected = Transition { job: Some(JobChange::Set(marked)), ..Transition::default() };
        assert_eq!(dispatch_of(&due), Ok(expected));
    }

    #[test]
    fn a_mark_is_taken_back_only_where_the_same_mark_still_stands() {
        #[track_caller]
        fn check(job: Job, is_taken_back: bool) {
            let decision = undispatch(&job, &import(), ago(seconds(9)));
            let unmarked = Job { date_dispatched: None, ..job };
            let expected = Transition { job: Some(JobChange::Set(unmarked)), ..Transition::default() };
            assert_eq!(decision.ok(), is_taken_back.then_some(expected));
        }

        let marked = |before| Some(ago(seconds(before)));
        check(Job { date_dispatched: marked(9), ..pending_job() }, true);
        check(Job { date_dispatched: marked(8), ..pending_job() }, false);
        check(pending_job(), false);
        check(Job { date_dispatched: marked(9), ..running_job() }, false);
    }
}

mod start {
    use super::*;

    fn start_of(job: &Job, state: MachineState, said: RunRef) -> Decision {
        super::super::start(job, &import(), &machine_in(state), said, now())
    }

    // covers: CIJ-14 CIJ-76 CIE-15
    #[test]
    fn a_started_job_runs_with_a_fresh_heartbeat_and_an_empty_tail() {
        let job = Job {
            requesting_user: Some(person("no-priv")),
            date_dispatched: Some(ago(seconds(3))),
            ..pending_job()
        };
        let transition = start_of(&job, MachineState::Online, said()).unwrap();
        let run = Run { date_started: now(), heartbeat: now(), log_tail: String::new(), ..run() };
        // Who asked for it, and when it was due, stay.
        assert_eq!(*job_after(&transition), Job { state: JobState::Running(run), ..job });
        assert_eq!(summaries(&transition.events), [format!("START {NAME} bazaar-importer")]);
        assert!(transition.events[0].data.is_empty());
    }

    // covers: CIJ-75
    #[test]
    fn a_start_that_comes_second_is_refused() {
        let second = RunRef { run: OTHER_RUN, ..said() };
        let decision = start_of(&running_job(), MachineState::Online, second);
        let name = name(NAME);
        assert_eq!(decision, Err(Rejection::AlreadyRunning { name }));
        assert_eq!(refusal(decision), format!("The CodeImportJob associated with {NAME} is RUNNING."));
    }

    #[test]
    fn that_a_job_runs_is_said_before_that_the_machine_is_not_online() {
        let second = RunRef { run: OTHER_RUN, ..said() };
        let decision = start_of(&running_job(), MachineState::Quiescing, second);
        assert_eq!(decision.unwrap_err().code(), "already-running");
    }

    #[test]
    fn the_same_run_from_another_machine_is_superseded() {
        let machine = Machine { hostname: hostname("other"), ..machine_in(MachineState::Online) };
        let decision = super::super::start(&running_job(), &import(), &machine, said(), now());
        assert_eq!(refusal(decision), format!("The run {RUN} of {NAME} is not current."));
    }

    // covers: CIJ-77
    #[test]
    fn a_machine_that_is_not_online_starts_nothing() {
        #[track_caller]
        fn check(state: MachineState, name: MachineStateName) {
            let text = refusal(start_of(&pending_job(), state, said()));
            assert_eq!(text, format!("The machine bazaar-importer is {name}."));
        }

        check(MachineState::Quiescing, MachineStateName::Quiescing);
        for reason in OfflineReason::VARIANTS {
            check(MachineState::Offline(*reason), MachineStateName::Offline);
        }
    }

    #[test]
    fn the_review_status_does_not_matter_at_the_start() {
        for status in ALL_STATUSES {
            let machine = machine_in(MachineState::Online);
            let decision = super::super::start(&pending_job(), &import_in(status), &machine, said(), now());
            assert!(decision.is_ok(), "{status}: {decision:?}");
        }
    }
}

mod heartbeat {
    use super::*;

    // covers: CIJ-15 CIJ-16 CIJ-17 CIJ-81
    #[test]
    fn a_heartbeat_moves_the_heartbeat_replaces_the_tail_and_writes_no_event() {
        let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
        let transition =
            super::super::heartbeat(&job, &run(), "some interesting log output".to_owned(), now());
        let run = Run { heartbeat: now(), log_tail: "some interesting log output".to_owned(), ..run() };
        let expected = Job { state: JobState::Running(run), ..job };
        let expected = Transition { job: Some(JobChange::Set(expected)), ..Transition::default() };
        assert_eq!(transition, expected);
    }

    #[test]
    fn job_import_run_and_machine_must_all_be_those_that_are_running() {
        #[track_caller]
        fn check(job: &Job, said: RunRef, machine: &str, is_current: bool) {
            assert_eq!(current_run(job, said, &hostname(machine)).is_some(), is_current);
        }

        check(&running_job(), said(), "bazaar-importer", true);
        check(&running_job(), RunRef { job: JobId(41), ..said() }, "bazaar-importer", false);
        check(&running_job(), RunRef { import: ImportId(8), ..said() }, "bazaar-importer", false);
        check(&running_job(), RunRef { run: OTHER_RUN, ..said() }, "bazaar-importer", false);
        check(&running_job(), said(), "other", false);
        check(&pending_job(), said(), "bazaar-importer", false);
    }

    #[test]
    fn an_implied_start_does_what_a_start_does_and_asks_for_no_machine_state() {
        let machine = hostname("bazaar-importer");
        let implied = implied_start(&pending_job(), &import(), &machine, said(), now());
        let online = machine_in(MachineState::Online);
        let said_so = super::super::start(&pending_job(), &import(), &online, said(), now()).unwrap();
        assert_eq!(implied, said_so);
    }
}

/// The next job after a run that began an hour ago, on an import with so many failures before.
fn finished(status: Status, before: &Import) -> Transition {
    let policy = Policy::default();
    finish(&running_job(), &run(), before, Report::of(status), at(&policy))
}

fn failed_before(failures: u32) -> Import {
    Import { consecutive_failure_count: failures, ..import() }
}

mod results;
