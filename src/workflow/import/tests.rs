//! Section 6, sentence by sentence: register, update, request, try again, delete.

use super::*;
use crate::domain::{JobState, RcsType};
use crate::domain::{NewEvent, Status};
use crate::workflow::fixtures::*;

fn registration(review_status: Option<ReviewStatus>) -> Registration {
    Registration {
        unique_name: name(NAME),
        rcs_type: RcsType::Git,
        source: SourceInput::default(), // the caller has looked at it
        owner: None,
        review_status,
        update_interval: None,
    }
}

fn registered(registration: &Registration, source: Source) -> Decision {
    let policy = Policy::default();
    register(&person("no-priv"), registration, source, IMPORT, at(&policy))
}

fn cvs() -> Source {
    Source::Cvs { root: ":pserver:me:secret@cvs.gnome.org/cvs".to_owned(), module: "gnome".to_owned() }
}

fn data(event: &NewEvent) -> Vec<(&str, &str)> {
    event.data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// An update by an operator.
fn updated(import: &Import, job: Option<&Job>, change: &Update, source: Option<Source>) -> Transition {
    let policy = Policy::default();
    update(import, job, change, source, &person("david.allouche"), at(&policy)).unwrap()
}

fn to(review_status: ReviewStatus) -> Update {
    Update { review_status: Some(review_status), ..Update::default() }
}

// covers: CI-02 CI-09 CI-30 CI-72 CIE-02 CIE-03 CIE-05
#[test]
fn a_new_import_is_reviewed_and_its_registrants_unless_told_otherwise() {
    let source = url("https://me:secret@gitlab.gnome.org/GNOME/gnome-terminal.git");
    let transition = registered(&registration(None), source.clone()).unwrap();
    let expected = Import { date_created: now(), source, ..import() };
    assert_eq!(transition.import, Some(expected));
    let job = transition.next_job.unwrap();
    assert_eq!((job.import_id, job.date_due, job.state), (IMPORT, now(), JobState::Pending));
    assert_eq!(summaries(&transition.events), [format!("CREATE {NAME} no-priv")]);
    let expected = [
        ("CODE_IMPORT", "7"),
        ("OWNER", "no-priv"),
        ("REVIEW_STATUS", "REVIEWED"),
        ("UPDATE_INTERVAL", "default"),
        ("URL", "https://***@gitlab.gnome.org/GNOME/gnome-terminal.git"),
    ];
    assert_eq!(data(&transition.events[0]), expected);

    let told = Registration {
        owner: Some(person("gnome")),
        update_interval: Some(hours(2)),
        ..registration(Some(ReviewStatus::New))
    };
    let transition = registered(&told, url("https://a.org/b")).unwrap();
    let import = transition.import.unwrap();
    assert_eq!((import.owner, import.registrant), (person("gnome"), person("no-priv")));
    assert_eq!((import.review_status, transition.next_job), (ReviewStatus::New, None));
    assert_eq!(transition.events[0].data["UPDATE_INTERVAL"], "7200 s");
}

#[test]
fn only_a_reviewed_import_begins_with_a_job() {
    for status in ALL_STATUSES {
        let transition = registered(&registration(Some(status)), url("https://a.org/b")).unwrap();
        assert_eq!(transition.next_job.is_some(), status == ReviewStatus::Reviewed);
        assert_eq!(transition.import.unwrap().review_status, status);
    }
}

// covers: CI-03 CIE-04
#[test]
fn the_snapshot_of_cvs_has_root_and_module_instead_of_url() {
    let cvs_registration = Registration { rcs_type: RcsType::Cvs, ..registration(None) };
    let transition = registered(&cvs_registration, cvs()).unwrap();
    let expected = [
        ("CODE_IMPORT", "7"),
        ("CVS_MODULE", "gnome"),
        ("CVS_ROOT", ":pserver:***@cvs.gnome.org/cvs"),
        ("OWNER", "no-priv"),
        ("REVIEW_STATUS", "REVIEWED"),
        ("UPDATE_INTERVAL", "default"),
    ];
    assert_eq!(data(&transition.events[0]), expected);
    assert_eq!(transition.next_job.unwrap().rcs_type, RcsType::Cvs);
}

#[test]
fn an_interval_that_no_import_can_have_is_refused() {
    for bad in [seconds(0), seconds(-1), TimeDelta::milliseconds(999), TimeDelta::days(3651)] {
        let told = Registration { update_interval: Some(bad), ..registration(None) };
        assert_eq!(registered(&told, url("https://a.org/b")).unwrap_err().code(), "malformed");
        let policy = Policy::default();
        let change = Update { update_interval: Some(Some(bad)), ..Update::default() };
        let decision = update(&import(), None, &change, None, &person("no-priv"), at(&policy));
        assert_eq!(decision.unwrap_err().code(), "malformed");
    }
}

// covers: CI-20 CI-21 CI-22 CI-23 CI-24 CI-25 CI-26 CI-27 CI-28 CI-29
#[test]
fn a_review_status_makes_or_deletes_a_pending_job_and_leaves_a_running_one_alone() {
    for before in ALL_STATUSES {
        for after in ALL_STATUSES {
            for job in [None, Some(pending_job()), Some(running_job())] {
                let has_right_job = (before == ReviewStatus::Reviewed) == job.is_some();
                let is_left_over = job.as_ref().is_some_and(|job| job.run().is_some());
                if !has_right_job && !is_left_over {
                    continue; // section 3 knows no such import
                }
                let transition = updated(&import_in(before), job.as_ref(), &to(after), None);
                let makes = after == ReviewStatus::Reviewed && job.is_none();
                let deletes = after != ReviewStatus::Reviewed && job == Some(pending_job());
                assert_eq!(transition.next_job.is_some(), makes, "{before} {after} {job:?}");
                let expected = deletes.then_some(JobChange::Delete(JOB));
                assert_eq!(transition.job, expected, "{before} {after} {job:?}");
                assert_eq!(transition.events.len(), usize::from(before != after));
            }
        }
    }
}

#[test]
fn a_reviewed_import_goes_on_in_its_rhythm() {
    let suspended = Import {
        last_result: Some(last_result(Status::Success, hours(2), hours(1))),
        ..import_in(ReviewStatus::Suspended)
    };
    let job = updated(&suspended, None, &to(ReviewStatus::Reviewed), None).next_job.unwrap();
    assert_eq!(job.date_due, now() + hours(4));
}

#[test]
fn becoming_reviewed_gives_a_fresh_failure_budget_and_nothing_else_does() {
    for before in ALL_STATUSES {
        for after in ALL_STATUSES {
            let failing = Import { consecutive_failure_count: 4, ..import_in(before) };
            let transition = updated(&failing, Some(&running_job()), &to(after), None);
            let count = transition.import.map_or(4, |import| import.consecutive_failure_count);
            let becomes_reviewed = before != after && after == ReviewStatus::Reviewed;
            assert_eq!(count, if becomes_reviewed { 0 } else { 4 }, "{before} {after}");
        }
    }
}

// covers: CIE-06 CI-76
#[test]
fn a_modify_event_has_the_new_snapshot_and_the_old_value_of_each_key_that_changed() {
    let change = Update {
        review_status: Some(ReviewStatus::Suspended),
        owner: Some(person("gnome")),
        update_interval: Some(Some(hours(1))),
        ..Update::default()
    };
    let transition = updated(&import(), Some(&pending_job()), &change, None);
    assert_eq!(summaries(&transition.events), [format!("MODIFY {NAME} david.allouche")]);
    let expected = [
        ("CODE_IMPORT", "7"),
        ("OLD_OWNER", "no-priv"),
        ("OLD_REVIEW_STATUS", "REVIEWED"),
        ("OLD_UPDATE_INTERVAL", "default"),
        ("OWNER", "gnome"),
        ("REVIEW_STATUS", "SUSPENDED"),
        ("UPDATE_INTERVAL", "3600 s"),
        ("URL", "https://gitlab.gnome.org/GNOME/gnome-terminal.git"),
    ];
    assert_eq!(data(&transition.events[0]), expected);

    let one = Update { owner: Some(person("gnome")), ..Update::default() };
    let transition = updated(&import(), Some(&pending_job()), &one, None);
    let old: Vec<_> = transition.events[0].data.keys().filter(|key| key.starts_with("OLD_")).collect();
    assert_eq!(old, ["OLD_OWNER"]);
    assert_eq!((transition.job, transition.next_job), (None, None));
}

// covers: CIE-07 CI-77
#[test]
fn a_change_of_nothing_leaves_no_event() {
    let same = Update {
        review_status: Some(ReviewStatus::Reviewed),
        owner: Some(person("no-priv")),
        update_interval: Some(None),
        ..Update::default()
    };
    for change in [same, Update::default()] {
        let transition = updated(&import(), Some(&pending_job()), &change, Some(import().source));
        assert_eq!(transition, Transition::default());
    }
}

#[test]
fn an_interval_is_set_and_set_back_to_the_default_and_the_next_due_date_has_it() {
    let slow = Import { update_interval: Some(hours(100)), ..import() };
    let change = Update { update_interval: Some(None), ..Update::default() };
    let transition = updated(&slow, Some(&pending_job()), &change, None);
    assert_eq!(transition.import.unwrap().update_interval, None);
    assert_eq!(transition.job, None, "a job that waits keeps its due date");
    assert_eq!(transition.events[0].data["OLD_UPDATE_INTERVAL"], "360000 s");
}

// covers: CI-87
#[test]
fn a_new_source_makes_a_pending_job_due_now_and_sets_the_count_back() {
    let failed = Import { consecutive_failure_count: 4, ..import() };
    let new = url("https://gitlab.gnome.org/new.git");
    let transition = updated(&failed, Some(&pending_job()), &Update::default(), Some(new.clone()));
    assert_eq!(*job_after(&transition), Job { date_due: now(), ..pending_job() });
    let after = transition.import.unwrap();
    assert_eq!((after.source, after.date_source_changed), (new, Some(now())));
    assert_eq!(after.consecutive_failure_count, 0);
    let data = &transition.events[0].data;
    assert_eq!(data["OLD_URL"], "https://gitlab.gnome.org/GNOME/gnome-terminal.git");
    assert_eq!(data["URL"], "https://gitlab.gnome.org/new.git");

    let overdue = Job { date_due: ago(hours(3)), ..pending_job() };
    let transition = updated(&import(), Some(&overdue), &Update::default(), Some(url("https://a.org/b")));
    assert_eq!(job_after(&transition).date_due, ago(hours(3)), "it keeps its better place");
}

#[test]
fn a_new_source_leaves_a_running_job_alone() {
    let new = Some(url("https://gitlab.gnome.org/new.git"));
    let transition = updated(&import(), Some(&running_job()), &Update::default(), new);
    assert_eq!((transition.job, transition.next_job), (None, None));
    assert_eq!(transition.import.unwrap().date_source_changed, Some(now()));
}

#[test]
fn a_new_source_with_a_new_review_status_is_due_now_and_one_without_job_makes_none() {
    let before = Import {
        last_result: Some(last_result(Status::Failure, hours(2), hours(1))),
        ..import_in(ReviewStatus::Failing)
    };
    let new = Some(url("https://gitlab.gnome.org/new.git"));
    let transition = updated(&before, None, &to(ReviewStatus::Reviewed), new.clone());
    assert_eq!(transition.next_job.unwrap().date_due, now());
    let transition = updated(&before, None, &Update::default(), new.clone());
    assert_eq!((transition.job, transition.next_job), (None, None));
    let transition = updated(&import(), Some(&pending_job()), &to(ReviewStatus::Suspended), new);
    assert_eq!(transition.job, Some(JobChange::Delete(JOB)));
}

#[test]
fn a_change_that_redaction_hides_says_old_and_new_all_the_same() {
    let before = Import { source: url("https://me:old@a.org/b"), ..import() };
    let new = Some(url("https://me:new@a.org/b"));
    let transition = updated(&before, Some(&pending_job()), &Update::default(), new);
    let data = &transition.events[0].data;
    assert_eq!(
        (data["OLD_URL"].as_str(), data["URL"].as_str()),
        ("https://***@a.org/b", "https://***@a.org/b")
    );

    let before = Import { source: cvs(), rcs_type: RcsType::Cvs, ..import() };
    let Source::Cvs { module, .. } = cvs() else { unreachable!() };
    let new = Source::Cvs { root: ":pserver:me:new@cvs.gnome.org/cvs".to_owned(), module };
    let transition = updated(&before, Some(&pending_job()), &Update::default(), Some(new));
    let data = &transition.events[0].data;
    assert_eq!((&data["OLD_CVS_ROOT"], &data["CVS_ROOT"]), (&data["CVS_ROOT"], &data["OLD_CVS_ROOT"]));
    assert!(!format!("{data:?}").contains("new@"));
}

#[test]
fn of_cvs_the_part_that_is_not_named_stays() {
    let before = Import { source: cvs(), rcs_type: RcsType::Cvs, ..import() };
    let input = SourceInput { cvs_module: Some("evolution".to_owned()), ..SourceInput::default() };
    let source = updated_source(&before, &input, &Policy::default()).unwrap().unwrap();
    let Source::Cvs { root, .. } = cvs() else { unreachable!() };
    assert!(source == Source::Cvs { root, module: "evolution".to_owned() });

    let input = SourceInput { cvs_root: Some(":ext:a.org/cvs".to_owned()), ..SourceInput::default() };
    let source = updated_source(&before, &input, &Policy::default()).unwrap().unwrap();
    assert!(source == Source::Cvs { root: ":ext:a.org/cvs".to_owned(), module: "gnome".to_owned() });

    assert_eq!(updated_source(&before, &SourceInput::default(), &Policy::default()), Ok(None));
    let input = SourceInput { url: Some("https://a.org/b".to_owned()), ..SourceInput::default() };
    let refused = updated_source(&before, &input, &Policy::default()).unwrap_err();
    assert_eq!(refused.code(), "bad-source");
}

// covers: CI-63 CI-64
#[test]
fn a_request_needs_a_job_that_does_not_run() {
    for status in ALL_STATUSES {
        let text = refusal(request(&import_in(status), None, &person("no-priv"), now()));
        let expected =
            format!("This code import is {status}, and must be Reviewed for you to call requestImport.");
        assert_eq!(text, expected);
        let running = request(&import_in(status), Some(&running_job()), &person("no-priv"), now());
        assert_eq!(running.as_ref().unwrap_err().code(), "already-running");
        assert_eq!(refusal(running), "This code import is already running.");
    }
}

// covers: CI-60 CI-61
#[test]
fn a_request_that_comes_second_makes_the_job_due_now_all_the_same() {
    #[track_caller]
    fn check(due_before: Timestamp, due_after: Timestamp) {
        let first = Job { date_due: due_before, requesting_user: Some(person("no-priv")), ..pending_job() };
        let transition = request(&import(), Some(&first), &person("david.allouche"), now()).unwrap();
        assert_eq!(*job_after(&transition), Job { date_due: due_after, ..first });
        assert!(transition.events.is_empty());
    }

    check(now() + hours(2), now()); // it may wait out a backoff
    check(ago(hours(2)), ago(hours(2)));

    let transition = request(&import(), Some(&pending_job()), &person("no-priv"), now());
    assert_eq!(transition, job::request(&pending_job(), &import(), &person("no-priv"), now()));
}

// covers: CI-55
#[test]
fn only_what_is_failing_is_tried_again() {
    let policy = Policy::default();
    for status in ALL_STATUSES.into_iter().filter(|status| *status != ReviewStatus::Failing) {
        let decision = try_again(&import_in(status), None, &person("no-priv"), at(&policy));
        assert_eq!(decision.as_ref().unwrap_err().code(), "not-failing");
        assert_eq!(refusal(decision), format!("review_status is {status} not FAILING"));
    }
}

// covers: CI-56 CI-57
#[test]
fn trying_again_reviews_with_a_fresh_budget_and_requests() {
    let policy = Policy::default();
    let failing = Import {
        consecutive_failure_count: 5,
        last_result: Some(last_result(Status::Failure, hours(2), hours(1))),
        ..import_in(ReviewStatus::Failing)
    };
    let transition = try_again(&failing, None, &person("no-priv"), at(&policy)).unwrap();
    let expected = [format!("MODIFY {NAME} no-priv"), format!("REQUEST {NAME} no-priv")];
    assert_eq!(summaries(&transition.events), expected);
    assert_eq!(transition.events[0].data["OLD_REVIEW_STATUS"], "FAILING");
    let job = transition.next_job.unwrap();
    assert_eq!((job.date_due, job.requesting_user), (now(), Some(person("no-priv"))));
    let after = transition.import.unwrap();
    assert_eq!((after.review_status, after.consecutive_failure_count), (ReviewStatus::Reviewed, 0));
    assert_eq!(after.last_result, failing.last_result);
}

#[test]
fn trying_again_leaves_a_run_of_before_alone() {
    let policy = Policy::default();
    let failing = import_in(ReviewStatus::Failing);
    let transition = try_again(&failing, Some(&running_job()), &person("no-priv"), at(&policy)).unwrap();
    assert_eq!(summaries(&transition.events), [format!("MODIFY {NAME} no-priv")]);
    assert_eq!((transition.job, transition.next_job), (None, None));
    assert_eq!(transition.import.unwrap().review_status, ReviewStatus::Reviewed);
}

// covers: CI-15 CI-16
#[test]
fn a_deleted_import_leaves_nothing_but_its_audit_entries() {
    for (job, change) in [(None, None), (Some(pending_job()), Some(JobChange::Delete(JOB)))] {
        let transition = delete(&import(), job.as_ref(), &person("david.allouche"));
        assert_eq!((transition.deleted_import, transition.job), (Some(IMPORT), change));
        assert_eq!(summaries(&transition.events), [format!("DELETE {NAME} david.allouche")]);
        assert_eq!(transition.events[0].data, import().snapshot());
    }
}

#[test]
fn what_runs_is_killed_before_it_is_deleted() {
    let transition = delete(&import(), Some(&running_job()), &person("david.allouche"));
    let expected =
        [format!("KILL {NAME} david.allouche bazaar-importer"), format!("DELETE {NAME} david.allouche")];
    assert_eq!(summaries(&transition.events), expected);
    assert_eq!(transition.job, Some(JobChange::Delete(JOB)));
    assert_eq!((transition.next_job, transition.result), (None, None));
}
