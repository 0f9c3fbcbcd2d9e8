//! How jobs end: finish, reclaim, kill.

use super::*;

fn due_in(next_job: Option<&Job>) -> Option<TimeDelta> {
    next_job.map(|job| job.date_due - now())
}

// covers: CIJ-86 CIJ-91 CIJ-92 CIR-05
#[test]
fn a_result_copies_its_fields_from_the_job_which_is_deleted() {
    let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
    let report = Report {
        status: Status::FailureInvalid,
        log_tail: None,
        log_url: Some("https://logs/42".to_owned()),
        reason: Some("no repository".to_owned()),
        stats: serde_json::Map::from_iter([("bytes".to_owned(), 12.into())]),
    };
    let policy = Policy::default();
    let transition = finish(&job, &run(), &import(), report.clone(), at(&policy));
    assert_eq!(transition.job, Some(JobChange::Delete(JOB)));
    let expected = NewResult {
        id: FRESH.result,
        import_id: IMPORT,
        job_id: JOB,
        run: RUN,
        machine: hostname("bazaar-importer"),
        requesting_user: Some(person("no-priv")),
        status: Status::FailureInvalid,
        date_job_started: ago(hours(1)),
        date_created: now(),
        log_excerpt: "the last lines".to_owned(),
        log_url: report.log_url,
        reason: report.reason,
        stats: report.stats,
    };
    assert_eq!(transition.result, Some(expected));
}

#[test]
fn the_tail_of_a_finish_is_the_last_log_tail() {
    let report = Report { log_tail: Some("bye".to_owned()), ..Report::of(Status::Success) };
    let policy = Policy::default();
    let transition = finish(&running_job(), &run(), &import(), report, at(&policy));
    assert_eq!(transition.result.unwrap().log_excerpt, "bye");
}

#[test]
fn a_clock_that_stepped_back_makes_no_run_end_before_it_began() {
    let began = now() + seconds(2);
    let run = Run { date_started: began, heartbeat: began, ..run() };
    let job = Job { state: JobState::Running(run.clone()), ..running_job() };
    let transition = super::super::heartbeat(&job, &run, String::new(), now());
    assert_eq!(job_after(&transition).run().unwrap().heartbeat, began);
    let policy = Policy::default();
    let transition = finish(&job, &run, &import(), Report::of(Status::Success), at(&policy));
    let result = transition.result.unwrap();
    assert_eq!((result.date_job_started, result.date_created), (began, began));
    assert_eq!(transition.import.unwrap().last_result.unwrap().date_created, began);
}

// covers: CIJ-93
#[test]
fn every_status_is_stored_as_given() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        assert_eq!(finished(*status, &import()).result.unwrap().status, *status);
    }
    assert_eq!(Status::VARIANTS.len(), 11);
    assert_eq!(Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()).count(), 9);
}

// covers: CIJ-96 CIR-04
#[test]
fn only_a_complete_success_moves_the_date_of_the_last_one() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        let before = Import { date_last_successful: Some(ago(hours(9))), ..import() };
        let is_complete = matches!(status, Status::Success | Status::SuccessNoChange);
        let expected = if is_complete { now() } else { ago(hours(9)) };
        let after = finished(*status, &before).import.unwrap();
        assert_eq!(after.date_last_successful, Some(expected), "{status}");
        let last = after.last_result.unwrap();
        assert_eq!((last.job_id, last.run, last.status), (JOB, RUN, *status));
        assert_eq!((last.date_job_started, last.date_created), (ago(hours(1)), now()));
    }
}

// covers: CIJ-87 CIJ-88 CIJ-89 CI-80
#[test]
fn a_finish_schedules_the_next_job_from_the_start_of_its_run() {
    #[track_caller]
    fn check(rcs_type: RcsType, status: Status, failures_before: u32, hours_from_start: Option<i64>) {
        let before = Import { rcs_type, ..failed_before(failures_before) };
        let transition = finished(status, &before);
        let expected = hours_from_start.map(|n| (hours(n - 1)).max(TimeDelta::zero()));
        assert_eq!(due_in(transition.next_job.as_ref()), expected);
        let is_given_up = transition.import.unwrap().review_status == ReviewStatus::Failing;
        assert_eq!(is_given_up, hours_from_start.is_none());
    }

    for rcs in [RcsType::Git, RcsType::Svn, RcsType::Hg, RcsType::Bzr] {
        check(rcs, Status::Success, 3, Some(6));
        check(rcs, Status::SuccessNoChange, 0, Some(6));
        check(rcs, Status::SuccessPartial, 4, Some(0));
        for failure in [Status::Failure, Status::FailureInvalid, Status::FailureRemoteBroken] {
            check(rcs, failure, 0, Some(6));
            check(rcs, failure, 1, Some(12));
            check(rcs, failure, 2, Some(24));
            check(rcs, failure, 3, Some(48));
            check(rcs, failure, 4, None); // given up
        }
    }
    check(RcsType::Cvs, Status::Success, 0, Some(12));
    check(RcsType::Cvs, Status::Failure, 0, Some(12));
    check(RcsType::Cvs, Status::Failure, 1, Some(24));
    check(RcsType::Cvs, Status::Failure, 2, Some(48));
    check(RcsType::Cvs, Status::Failure, 3, Some(96));
    check(RcsType::Cvs, Status::Failure, 4, None);
}

#[test]
fn the_next_job_is_another_job_that_nobody_asked_for() {
    let policy = Policy::default();
    let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
    let next = finish(&job, &run(), &import(), Report::of(Status::Success), at(&policy)).next_job.unwrap();
    assert_eq!((next.id, next.import_id, next.state), (FRESH.job, IMPORT, JobState::Pending));
    assert_eq!((next.requesting_user, next.date_dispatched, next.date_created), (None, None, now()));
}

// covers: CI-81
#[test]
fn an_imports_own_interval_overrides_the_default() {
    let before = Import { update_interval: Some(hours(2)), ..failed_before(2) };
    assert_eq!(due_in(finished(Status::Success, &before).next_job.as_ref()), Some(hours(1)));
    assert_eq!(due_in(finished(Status::Failure, &before).next_job.as_ref()), Some(hours(7)));
}

// covers: CIJ-98
#[test]
fn the_fifth_failure_in_a_row_makes_failing() {
    let after = finished(Status::Failure, &failed_before(3)).import.unwrap();
    assert_eq!((after.review_status, after.consecutive_failure_count), (ReviewStatus::Reviewed, 4));
    let after = finished(Status::Failure, &after).import.unwrap();
    assert_eq!((after.review_status, after.consecutive_failure_count), (ReviewStatus::Failing, 5));
}

#[test]
fn a_permanent_failure_makes_failing_at_once() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        let is_permanent = matches!(status, Status::FailureForbidden | Status::FailureUnsupportedFeature);
        let transition = finished(*status, &import());
        let is_failing = transition.import.unwrap().review_status == ReviewStatus::Failing;
        assert_eq!((is_failing, transition.next_job.is_none()), (is_permanent, is_permanent), "{status}");
    }
}

// covers: CIJ-95 CIE-16
#[test]
fn a_finish_leaves_one_event_with_status_result_and_duration() {
    let transition = finished(Status::SuccessPartial, &import());
    assert_eq!(summaries(&transition.events), [format!("FINISH {NAME} bazaar-importer")]);
    let data: Vec<(&str, &str)> =
        transition.events[0].data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(data, [("DURATION_SECONDS", "3600"), ("RESULT", "1"), ("STATUS", "SUCCESS_PARTIAL")]);
}

#[test]
fn giving_up_is_told_before_the_finish_by_nobody_with_status_and_reason() {
    let report = Report { reason: Some("policy".to_owned()), ..Report::of(Status::FailureForbidden) };
    let policy = Policy::default();
    let transition = finish(&running_job(), &run(), &import(), report, at(&policy));
    assert_eq!(
        summaries(&transition.events),
        [format!("MODIFY {NAME}"), format!("FINISH {NAME} bazaar-importer")]
    );
    let data = &transition.events[0].data;
    assert_eq!(data["REVIEW_STATUS"], "FAILING");
    assert_eq!(data["OLD_REVIEW_STATUS"], "REVIEWED");
    assert_eq!((data["STATUS"].as_str(), data["REASON"].as_str()), ("FAILURE_FORBIDDEN", "policy"));
}

// covers: CIJ-90
#[test]
fn there_is_no_next_job_unless_still_reviewed_and_only_reviewed_becomes_failing() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        for review_status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Reviewed) {
            let before = Import { review_status, ..failed_before(9) };
            let transition = finished(*status, &before);
            assert_eq!(transition.next_job, None);
            assert_eq!(transition.import.unwrap().review_status, review_status);
            assert_eq!(transition.events.len(), 1, "{status} {review_status}");
        }
    }
}

// covers: CI-40 CI-41 CI-42 CI-43 CI-44 CI-45 CI-46 CI-47 CI-48
#[test]
fn failures_are_counted_since_the_latest_success() {
    #[track_caller]
    fn check(statuses: &[Status], count: u32) {
        let after =
            statuses.iter().fold(import(), |import, status| finished(*status, &import).import.unwrap());
        assert_eq!(after.consecutive_failure_count, count);
    }

    use Status::{Failure, FailureInvalid, InternalFailure, Success, SuccessNoChange, SuccessPartial};
    check(&[], 0);
    check(&[Success], 0);
    check(&[Failure], 1);
    check(&[Success, SuccessNoChange], 0);
    check(&[Success, SuccessPartial], 0);
    check(&[Failure, FailureInvalid], 2);
    check(&[Failure, Failure, Success], 0);
    check(&[Failure, Success, Failure], 1);
    check(&[Success, Failure, Success], 0);
    check(&[Failure, InternalFailure, Failure], 2);
    check(&[Failure, Failure, SuccessPartial], 0);
    check(&[Failure, Failure, SuccessNoChange, Failure], 1);
}

#[test]
fn trouble_of_our_own_and_a_kill_leave_the_failure_count_alone() {
    let policy = Policy::default();
    let before = failed_before(4);
    let after = [
        finished(Status::InternalFailure, &before),
        kill(&running_job(), &before, &person("no-priv"), at(&policy)).unwrap(),
        reclaimed(&running_job(), &before).unwrap(),
    ];
    for transition in after {
        let after = transition.import.unwrap();
        assert_eq!((after.consecutive_failure_count, after.review_status), (4, ReviewStatus::Reviewed));
    }
}

#[test]
fn the_result_of_a_run_that_began_before_a_change_of_source_neither_counts_nor_makes_failing() {
    #[track_caller]
    fn check(status: Status, changed: TimeDelta, counts: bool) {
        let before = Import { date_source_changed: Some(ago(changed)), ..failed_before(4) };
        let transition = finished(status, &before);
        let after = transition.import.unwrap();
        assert_eq!(after.review_status == ReviewStatus::Failing, counts);
        assert_eq!(after.consecutive_failure_count, if counts { 5 } else { 4 });
        // And the new source is tried at once.
        assert_eq!(due_in(transition.next_job.as_ref()), (!counts).then(TimeDelta::zero));
    }

    check(Status::Failure, minutes(30), false);
    check(Status::FailureForbidden, minutes(30), false);
    check(Status::Failure, minutes(61), true);
    check(Status::FailureForbidden, minutes(61), true);
}

#[test]
fn a_run_that_had_the_old_source_is_followed_at_once_however_it_ended() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        let before = Import {
            date_source_changed: Some(ago(minutes(30))),
            consecutive_infrastructure_failure_count: 9,
            ..import()
        };
        let transition = finished(*status, &before);
        assert_eq!(due_in(transition.next_job.as_ref()), Some(TimeDelta::zero()), "{status}");
    }
}

#[test]
fn after_internal_failure_the_next_job_keeps_the_request_and_comes_later_and_later_from_now() {
    #[track_caller]
    fn check(times_before: u32, minutes_from_now: i64) {
        let before = Import { consecutive_infrastructure_failure_count: times_before, ..import() };
        let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
        let policy = Policy::default();
        let report = Report::of(Status::InternalFailure);
        let next = finish(&job, &run(), &before, report, at(&policy)).next_job.unwrap();
        assert_eq!(next.date_due, now() + minutes(minutes_from_now));
        assert_eq!(next.requesting_user, Some(person("no-priv")));
        let again = reclaimed(&job, &before).unwrap().next_job.unwrap();
        assert_eq!(again, next, "a reclaim does the same");
    }

    check(0, 0);
    check(1, 5);
    check(2, 10);
    check(3, 20);
    check(6, 160);
    check(7, 320);
    check(8, 360); // the effective interval
    check(1_000_000, 360); // without limit of count
    check(u32::MAX, 360);
}

#[test]
fn only_trouble_of_our_own_counts_as_such_and_all_else_but_a_kill_ends_it() {
    for status in Status::VARIANTS.iter().filter(|status| status.is_reported_by_workers()) {
        let before = Import { consecutive_infrastructure_failure_count: 3, ..import() };
        let after = finished(*status, &before).import.unwrap();
        let expected = if *status == Status::InternalFailure { 4 } else { 0 };
        assert_eq!(after.consecutive_infrastructure_failure_count, expected, "{status}");
    }
    let before = Import { consecutive_infrastructure_failure_count: 3, ..import() };
    let policy = Policy::default();
    let killed = kill(&running_job(), &before, &person("no-priv"), at(&policy)).unwrap().import.unwrap();
    assert_eq!(killed.consecutive_infrastructure_failure_count, 3);
    let after = reclaimed(&running_job(), &before).unwrap().import.unwrap();
    assert_eq!(after.consecutive_infrastructure_failure_count, 4);
}

/// A reclaim of a job that fell silent 301 s ago.
fn reclaimed(job: &Job, import: &Import) -> Decision {
    let policy = Policy::default();
    let run = job.run().unwrap();
    let silent = Run { heartbeat: ago(seconds(301)), ..run.clone() };
    let job = Job { state: JobState::Running(silent), ..job.clone() };
    reclaim(&job, import, Some(heard(0, 10_000)), at(&policy))
}

/// We heard ourselves so many seconds ago, and listened since.
fn heard(ago_s: i64, since_s: i64) -> Hearing {
    Hearing { heard: ago(seconds(ago_s)), since: ago(seconds(since_s)) }
}

// covers: CIJ-54
#[test]
fn a_job_that_is_not_running_is_not_reclaimed() {
    let policy = Policy::default();
    let decision = reclaim(&pending_job(), &import(), Some(heard(0, 10_000)), at(&policy));
    assert_eq!(refusal(decision), format!("The CodeImportJob associated with {NAME} is PENDING."));
}

// covers: CIJ-52 CIJ-53 CIJ-55
#[test]
fn only_a_silence_strictly_longer_than_the_timeout_is_reclaimed() {
    #[track_caller]
    fn check(heartbeat_s: i64, hearing: Option<Hearing>, is_reclaimed: bool) {
        let silent = Run { heartbeat: ago(seconds(heartbeat_s)), ..run() };
        let job = Job { state: JobState::Running(silent), ..running_job() };
        let policy = Policy::default();
        let decision = reclaim(&job, &import(), hearing, at(&policy));
        assert_eq!(decision.is_ok(), is_reclaimed, "{decision:?}");
    }

    check(150, Some(heard(0, 10_000)), false);
    check(300, Some(heard(0, 10_000)), false);
    check(301, Some(heard(0, 10_000)), true);
    check(600, Some(heard(0, 10_000)), true);
    check(301, Some(heard(10, 10_000)), false); // 291 s before we last heard ourselves
    check(331, Some(heard(30, 10_000)), true);
    check(900, Some(heard(31, 10_000)), false); // we do not hear ourselves any more
    check(900, Some(heard(-1, 10_000)), false); // nor after now
    check(900, Some(heard(0, 300)), false); // we have listened for 300 s
    check(900, Some(heard(0, 301)), true);
    check(900, None, false);
}

// covers: CIJ-100 CIJ-101 CIJ-102 CIJ-103 CIE-18
#[test]
fn a_reclaimed_job_leaves_a_result_an_event_and_a_next_job_due_now() {
    let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
    let transition = reclaimed(&job, &import()).unwrap();
    assert_eq!(transition.job, Some(JobChange::Delete(JOB)));
    let result = transition.result.unwrap();
    assert_eq!((result.status, result.date_created, result.run), (Status::Reclaimed, now(), RUN));
    assert_eq!((result.requesting_user, result.log_url), (Some(person("no-priv")), None));
    assert_eq!(summaries(&transition.events), [format!("RECLAIM {NAME} bazaar-importer")]);
    assert_eq!(transition.events[0].data["RECLAIMED_JOB_ID"], "42");
    let next = transition.next_job.unwrap();
    assert_eq!((next.date_due, next.id), (now(), FRESH.job));
    assert_eq!(next.requesting_user, Some(person("no-priv")));
    assert_eq!(transition.import.unwrap().date_last_successful, None);
}

#[test]
fn a_reclaimed_job_of_an_import_that_is_not_reviewed_has_no_next_one() {
    for status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Reviewed) {
        let transition = reclaimed(&running_job(), &import_in(status)).unwrap();
        assert_eq!(transition.next_job, None);
        assert_eq!(transition.import.unwrap().review_status, status);
    }
}

// covers: CIE-17
#[test]
fn a_killed_job_leaves_a_result_an_event_with_the_person_and_a_next_job_one_interval_later() {
    let policy = Policy::default();
    let user = person("david.allouche");
    let job = Job { requesting_user: Some(person("no-priv")), ..running_job() };
    let transition = kill(&job, &failed_before(3), &user, at(&policy)).unwrap();
    assert_eq!(transition.job, Some(JobChange::Delete(JOB)));
    assert_eq!(transition.result.unwrap().status, Status::Killed);
    assert_eq!(summaries(&transition.events), [format!("KILL {NAME} david.allouche bazaar-importer")]);
    let next = transition.next_job.unwrap();
    assert_eq!((next.date_due, next.requesting_user), (now() + hours(5), None));

    for status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Reviewed) {
        let transition = kill(&running_job(), &import_in(status), &user, at(&policy)).unwrap();
        assert_eq!(transition.next_job, None);
    }
}

#[test]
fn only_a_running_job_is_killed() {
    let policy = Policy::default();
    let decision = kill(&pending_job(), &import(), &person("no-priv"), at(&policy));
    assert_eq!(refusal(decision), format!("The CodeImportJob associated with {NAME} is PENDING."));
}
