//! What people ask for: rights, repeats by message id, names that nobody has.

use super::*;
use crate::domain::machine::MachineStateName;
use crate::domain::source::SourceInput;
use crate::domain::{EventKind, NewEvent, RcsType, RejectedRef};
use crate::workflow::{Act, Ask, KillTarget, Registration, Update};

fn ask(user: &str, act: Act) -> Command {
    Command::Ask(Ask { user: person(user), message_id: None, act })
}

fn known(user: &str, message_id: &str, act: Act) -> Command {
    Command::Ask(Ask { user: person(user), message_id: Some(message_id.to_owned()), act })
}

fn input(url: &str) -> SourceInput {
    SourceInput { url: Some(url.to_owned()), ..SourceInput::default() }
}

fn register(unique_name: &str, url: &str, owner: Option<&str>) -> Act {
    Act::Register(Registration {
        unique_name: name(unique_name),
        rcs_type: RcsType::Git,
        source: input(url),
        owner: owner.map(person),
        review_status: None,
        update_interval: None,
    })
}

fn update(update: Update) -> Act {
    Act::Update { import: name(NAME), update }
}

fn request() -> Act {
    Act::Request { import: name(NAME) }
}

fn quiesce() -> Act {
    let machine = hostname("bazaar-importer");
    Act::SetMachine { machine, state: MachineStateName::Quiescing, message: None }
}

fn made(outcome: &Outcome) -> Made {
    match outcome {
        Outcome::Applied(Reply::Made(made)) | Outcome::Repeated(Reply::Made(made)) => made.clone(),
        other => panic!("expected what was made, found {other:?}"),
    }
}

fn rejected_messages() -> Vec<RejectedRef> {
    let message = |message_id: &str| RejectedRef {
        message_id: message_id.to_owned(),
        reason_code: "superseded-run".to_owned(),
        queue: "code-imports.finish".to_owned(),
    };
    vec![message("first"), message("second")]
}

/// Who of a stranger, the registrant, the owner and an operator may.
#[track_caller]
fn check_rights(import: &Import, job: Option<&Job>, act: &Act, who: [bool; 4]) {
    for (user, may) in ["stranger", "ann", "bob", "david.allouche"].into_iter().zip(who) {
        let theirs = Import { registrant: person("ann"), owner: person("bob"), ..import.clone() };
        let mut rows = rows(theirs, job.cloned());
        for user in ["stranger", "bob"] {
            rows.people.insert(person(user), member_of(user, &[]));
        }
        let (outcome, changes) = decide_one(rows, ask(user, act.clone()));
        assert_eq!(is_applied(&outcome), may, "{user}: {outcome:?}");
        if !may {
            let (code, text) = refused(&outcome);
            assert_eq!(code, "not-allowed");
            assert!(text.starts_with(&format!("{user} may not ")), "{text}");
            assert!(text.contains(": that needs to be "), "{text}");
            assert!(is_without_effect(&changes) && changes.machines.is_empty());
        }
    }
}

/// Section 6, "Who may".
#[test]
fn each_act_asks_for_its_right() {
    let (reviewed, failing) = (import(), import_in(ReviewStatus::Failing));
    let (waits, runs) = (pending_job(), running_job());
    check_rights(&reviewed, Some(&waits), &request(), [false, true, true, true]);
    check_rights(&failing, None, &Act::TryAgain { import: name(NAME) }, [false, true, true, true]);
    let new_source = Update { source: input("https://a.org/new"), ..Update::default() };
    check_rights(&reviewed, Some(&waits), &update(new_source.clone()), [false, false, true, true]);
    for other in [
        Update { review_status: Some(ReviewStatus::Suspended), ..Update::default() },
        Update { owner: Some(person("ann")), ..Update::default() },
        Update { update_interval: Some(None), ..Update::default() },
        Update { update_interval: Some(None), ..new_source },
    ] {
        check_rights(&reviewed, Some(&waits), &update(other), [false, false, false, true]);
    }
    let operators = [false, false, false, true];
    check_rights(&reviewed, Some(&waits), &Act::Delete { import: name(NAME) }, operators);
    check_rights(&reviewed, Some(&runs), &Act::Kill(KillTarget::Job(JOB)), operators);
    check_rights(&reviewed, Some(&runs), &Act::Kill(KillTarget::Import(name(NAME))), operators);
    check_rights(&reviewed, None, &quiesce(), operators);
    check_rights(&reviewed, None, &Act::Replay(rejected_messages()), operators);
    check_rights(&reviewed, None, &Act::Drop(rejected_messages()), operators);
    let new = |owner| register("~a/b/c", "https://a.org/b", owner);
    check_rights(&reviewed, None, &new(None), [true, true, true, true]);
    check_rights(&reviewed, None, &new(Some("bob")), [false, false, true, true]);
}

// covers: CI-88
#[test]
fn every_message_that_somebody_deals_with_leaves_an_event() {
    for (act, kind) in [
        (Act::Replay(rejected_messages()), EventKind::Replay),
        (Act::Drop(rejected_messages()), EventKind::Drop),
    ] {
        let (outcome, changes) = decide_one(rows(import(), None), ask("david.allouche", act));
        assert_eq!(made(&outcome), Made { messages: Some(2), ..Made::default() });
        let event = |message_id: &str| {
            let event = NewEvent::new(kind).person(Some(&person("david.allouche")));
            let event = event.data("MESSAGE_ID", message_id).data("REASON_CODE", "superseded-run");
            event.data("REJECTED_FROM", "code-imports.finish")
        };
        assert_eq!(changes.events, [event("first"), event("second")]);
    }
}

#[test]
fn who_is_not_known_may_nothing_and_a_team_does_not_act() {
    for act in [request(), quiesce(), register("~a/b/c", "https://a.org/b", None)] {
        let (outcome, _) = decide_one(rows(import(), Some(pending_job())), ask("nobody", act.clone()));
        assert_eq!(refused(&outcome), ("unknown-person", "There is no person nobody.".to_owned()));
        let (outcome, _) = decide_one(rows(import(), Some(pending_job())), ask("gnome", act));
        assert_eq!(refused(&outcome).0, "not-allowed");
    }
    let act = register("~a/b/c", "https://a.org/b", Some("nobody"));
    let (outcome, _) = decide_one(rows(import(), None), ask("ann", act));
    assert_eq!(refused(&outcome).0, "unknown-person");
    let act = update(Update { owner: Some(person("nobody")), ..Update::default() });
    let (outcome, _) = decide_one(rows(import(), Some(pending_job())), ask("david.allouche", act));
    assert_eq!(refused(&outcome).0, "unknown-person");
}

// covers: CI-84 CIM-02
#[test]
fn what_nobody_knows_is_told_by_name() {
    let missing = name("~a/b/c");
    for act in [
        Act::Request { import: missing.clone() },
        Act::TryAgain { import: missing.clone() },
        Act::Delete { import: missing.clone() },
        Act::Update { import: missing.clone(), update: Update::default() },
        Act::Kill(KillTarget::Import(missing)),
    ] {
        let (outcome, _) = decide_one(rows(import(), None), ask("david.allouche", act));
        assert_eq!(refused(&outcome), ("unknown-import", "There is no code import ~a/b/c.".to_owned()));
    }
    let act = Act::SetMachine { machine: hostname("m"), state: MachineStateName::Online, message: None };
    let (outcome, _) = decide_one(rows(import(), None), ask("david.allouche", act));
    assert_eq!(refused(&outcome), ("unknown-machine", "There is no machine m.".to_owned()));
}

#[test]
fn a_name_and_a_source_are_taken_once() {
    #[track_caller]
    fn check(user: &str, act: Act, text: &str) {
        let (outcome, changes) = decide_one(rows(import(), Some(pending_job())), ask(user, act));
        assert_eq!(refused(&outcome), ("conflict", text.to_owned()));
        assert!(is_without_effect(&changes));
    }

    let taken = "https://gitlab.gnome.org/GNOME/gnome-terminal.git";
    let by_name = "There is already a code import ~vcs-imports/gnome-terminal/import.";
    check("ann", register(NAME, "https://a.org/b", None), by_name);
    // By which import is told only to who may see it.
    check("ann", register("~a/b/c", taken, None), "That source is already imported.");
    let seen = "That source is already imported by ~vcs-imports/gnome-terminal/import.";
    check("no-priv", register("~a/b/c", taken, None), seen);
    let with_user = "HTTPS://me:secret@gitlab.gnome.org:443/GNOME/gnome-terminal.git/";
    check("david.allouche", register("~a/b/c", with_user, None), seen);
}

#[test]
fn an_import_may_be_changed_to_the_source_that_it_has_and_not_to_anothers() {
    let mut rows = rows(import(), Some(pending_job()));
    let other =
        Import { id: ImportId(8), unique_name: name("~a/b/c"), source: url("https://a.org/b"), ..import() };
    rows.sources.insert(other.source.key(), other.id);
    rows.imports.insert(other.id, other);
    let to = |url| update(Update { source: input(url), ..Update::default() });
    let same = to("https://gitlab.gnome.org/GNOME/gnome-terminal.git");
    let (outcome, changes) = decide_one(rows.clone(), ask("no-priv", same));
    assert_eq!(made(&outcome).changed, Some(false));
    assert!(is_without_effect(&changes));
    let (outcome, _) = decide_one(rows, ask("david.allouche", to("https://a.org/b")));
    assert_eq!(refused(&outcome).1, "That source is already imported by ~a/b/c.");
}

#[test]
fn a_source_that_may_not_be_imported_is_refused_by_register_and_update() {
    let new_source = Update { source: input("gopher://a.org/b"), ..Update::default() };
    for act in [register("~a/b/c", "gopher://a.org/b", None), update(new_source)] {
        let (outcome, changes) = decide_one(rows(import(), Some(pending_job())), ask("no-priv", act));
        let expected = "The URI scheme \"gopher\" is not allowed. Only URIs with the following schemes may be \
                        used: git, http, https";
        assert_eq!(refused(&outcome), ("bad-source", expected.to_owned()));
        assert!(is_without_effect(&changes));
    }
}

#[test]
fn an_ask_that_came_before_is_answered_the_same_and_changes_nothing() {
    let before = Made { import_id: Some(IMPORT), job: Some(JobId(5)), ..Made::default() };
    let mut rows = rows(import(), Some(pending_job()));
    rows.answered.insert("m1".to_owned(), before.clone());
    let words = [known("no-priv", "m1", request()), known("nobody", "m1", quiesce())];
    let (outcomes, changes) = decide(rows, &words);
    for outcome in &outcomes {
        assert_eq!(*outcome, Outcome::Repeated(Reply::Made(before.clone())));
    }
    assert!(is_without_effect(&changes) && changes.answers.is_empty() && changes.refused.is_empty());
}

#[test]
fn the_same_ask_twice_in_one_batch_has_one_effect_and_one_answer() {
    let act = register("~a/b/c", "https://a.org/b", None);
    let words = [known("ann", "m1", act.clone()), known("ann", "m1", act.clone()), ask("ann", act)];
    let (outcomes, changes) = decide(rows(import(), None), &words);
    assert!(is_applied(&outcomes[0]) && is_repeated(&outcomes[1]));
    assert_eq!(made(&outcomes[0]), made(&outcomes[1]));
    assert_eq!(refused(&outcomes[2]).0, "conflict", "an ask without a message id is never a repeat");
    assert_eq!((changes.imports.inserted.len(), changes.events.len()), (1, 1));
    assert_eq!(changes.answers.keys().collect::<Vec<_>>(), ["m1"]);
}

#[test]
fn an_ask_that_was_refused_is_judged_again() {
    let again = Act::TryAgain { import: name(NAME) };
    let fail = update(Update { review_status: Some(ReviewStatus::Failing), ..Update::default() });
    let words =
        [known("no-priv", "m1", again.clone()), ask("david.allouche", fail), known("no-priv", "m1", again)];
    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words);
    assert_eq!(refused(&outcomes[0]).0, "not-failing");
    assert!(is_applied(&outcomes[2]), "{:?}", outcomes[2]);
    assert_eq!(changes.answers.keys().collect::<Vec<_>>(), ["m1"]);

    let (outcomes, changes) = decide(rows(import(), Some(pending_job())), &words[..1]);
    assert_eq!(refused(&outcomes[0]).0, "not-failing");
    assert!(changes.answers.is_empty());
    assert_eq!(Vec::from_iter(&changes.refused), ["m1"]);
}

#[test]
fn an_answer_says_what_was_made_and_who_asked_first() {
    let (outcome, _) = decide_one(rows(import(), Some(pending_job())), ask("no-priv", request()));
    let requested_by = Some(person("no-priv"));
    let expected = Made { import_id: Some(IMPORT), job: Some(JOB), requested_by, ..Made::default() };
    assert_eq!(made(&outcome), expected);
    let words = [ask("no-priv", request()), ask("david.allouche", request())];
    let (outcomes, _) = decide(rows(import(), Some(pending_job())), &words);
    assert_eq!(made(&outcomes[1]), expected);

    let new = register("~a/b/c", "https://a.org/b", None);
    let (outcome, _) = decide_one(rows(import(), None), ask("ann", new));
    let expected = Made { import_id: Some(ImportId(100)), job: Some(JobId(1042)), ..Made::default() };
    assert_eq!(made(&outcome), expected);
}

#[test]
fn only_what_runs_is_killed() {
    let by_name = Act::Kill(KillTarget::Import(name(NAME)));
    let suspended = rows(import_in(ReviewStatus::Suspended), None);
    let (outcome, _) = decide_one(suspended, ask("david.allouche", by_name.clone()));
    let expected = ("not-running", format!("Not associated to a CodeImportJob: {NAME}"));
    assert_eq!(refused(&outcome), expected);
    for act in [by_name, Act::Kill(KillTarget::Job(JOB))] {
        let (outcome, _) =
            decide_one(rows(import(), Some(pending_job())), ask("david.allouche", act.clone()));
        let expected = ("not-running", format!("The CodeImportJob associated with {NAME} is PENDING."));
        assert_eq!(refused(&outcome), expected);
        let (outcome, changes) = decide_one(rows(import(), Some(running_job())), ask("david.allouche", act));
        assert_eq!(made(&outcome), Made { import_id: Some(IMPORT), job: Some(JOB), ..Made::default() });
        assert_eq!(changes.results[0].status, Status::Killed);
    }
    let gone = Act::Kill(KillTarget::Job(JobId(9)));
    let (outcome, _) = decide_one(rows(import(), None), ask("david.allouche", gone));
    assert_eq!(refused(&outcome), ("unknown-job", "There is no job 9.".to_owned()));
}

#[test]
fn the_operations_of_section_4_ask_for_no_right() {
    let new = Command::NewJob { import: IMPORT };
    let (outcome, changes) = decide_one(rows(import(), None), new.clone());
    assert!(is_applied(&outcome));
    assert_eq!(changes.jobs.inserted.len(), 1);
    let (outcome, _) = decide_one(rows(import(), Some(pending_job())), new);
    assert_eq!(refused(&outcome).0, "conflict");

    let delete = Command::DeletePendingJob { import: IMPORT };
    let invalid = rows(import_in(ReviewStatus::Invalid), Some(pending_job()));
    let (outcome, changes) = decide_one(invalid, delete.clone());
    assert!(is_applied(&outcome));
    assert_eq!(changes.jobs.deleted, [JOB]);
    let (outcome, _) = decide_one(rows(import(), Some(pending_job())), delete);
    assert_eq!(refused(&outcome).0, "not-pending");

    let by_stranger = Command::RequestJob { job: JOB, user: person("ann") };
    let (outcome, _) = decide_one(rows(import(), Some(pending_job())), by_stranger);
    assert!(is_applied(&outcome));
}
