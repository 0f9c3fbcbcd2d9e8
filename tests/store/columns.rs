//! What is written is what is read, whatever it holds.

use chrono::TimeDelta;
use code_imports::domain::source::SourceInput;
use code_imports::domain::{RcsType, Report, ReviewStatus, Source, SourcePolicy, Status};
use code_imports::store::views::{ImportFilter, ImportKey, ImportPage};
use code_imports::workflow::{Act, Command, Update};
use serde_json::json;

use crate::world::{
    OPERATOR, World, ask, beat, code, finish, is_applied, machine, name, register, registration, request,
    said, start, unique_name,
};

/// Whatever breaks naive SQL, arrays of PostgreSQL, and JSON.
const ODD: &str = "it's \"odd\": {a,b,NULL} \\N \\' $1 -- 日本語 🦀 \u{1} \t\n%s";

// covers: CIR-01 CIR-02 CIJ-94
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_read_as_it_was_written() {
    let (mut world, jobs) = World::with_imports(2).await;
    world.apply_all(&[request(&name(0)), start(&jobs[0]), start(&jobs[1])]).await;
    let stats = json!({"revisions": 12, "ratio": 0.5, "odd": ODD, "refs": [null, true, {"x": []}], ODD: 1});
    let report = Report {
        log_tail: Some(ODD.to_owned()),
        log_url: Some(format!("https://logs/{ODD}")),
        reason: Some(ODD.to_owned()),
        stats: stats.as_object().unwrap().clone(),
        ..Report::of(Status::FailureInvalid)
    };
    let full = Command::Finish {
        run: said(jobs[0].id, jobs[0].import_id),
        machine: machine(),
        report: report.clone(),
    };
    // One with everything and one with nothing, in one statement.
    let outcomes = world.apply_all(&[full, finish(&jobs[1], Status::Success)]).await;
    assert!(outcomes.iter().all(is_applied));

    let import = world.import(&name(0)).await.unwrap();
    let results = world.store.results(&import, 10).await.unwrap();
    assert_eq!(results.len(), 1);
    let result = &results[0];
    assert_eq!((&result.reason, &result.log_url), (&report.reason, &report.log_url));
    assert_eq!((&result.log_excerpt, &result.stats), (&ODD.to_owned(), &report.stats));
    assert_eq!(result.requesting_user.as_ref().unwrap().as_str(), "david.allouche");
    assert_eq!(result.duration(), result.date_created - result.date_job_started);
    assert_eq!((result.job_id, &result.machine, result.status), (jobs[0].id, &machine(), report.status));
    let last = import.last_result.unwrap();
    assert_eq!((last.job_id, last.run, last.status), (result.job_id, result.run, result.status));
    assert_eq!((last.date_created, last.date_job_started), (result.date_created, result.date_job_started));

    let import = world.import(&name(1)).await.unwrap();
    let empty = world.store.results(&import, 10).await.unwrap().remove(0);
    assert_eq!((empty.reason, empty.log_url, empty.requesting_user), (None, None, None));
    assert_eq!((empty.log_excerpt.as_str(), empty.stats.len()), ("", 0));
    assert_eq!(import.date_last_successful, Some(empty.date_created));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_read_as_it_was_written() {
    let (mut world, jobs) = World::with_imports(2).await;
    let words =
        [Command::Dispatch { job: jobs[0].id }, request(&name(0)), start(&jobs[0]), beat(&jobs[0], ODD)];
    assert!(world.apply_all(&words).await.iter().all(is_applied));
    let job = world.job_of(&name(0)).await.unwrap();
    let run = job.run().unwrap();
    assert_eq!((run.id, &run.machine), (said(job.id, job.import_id).run, &machine()));
    assert_eq!((run.log_tail.as_str(), run.date_started), (ODD, run.heartbeat));
    assert_eq!(job.requesting_user.as_ref().unwrap().as_str(), "david.allouche");
    assert_eq!(job.date_dispatched, Some(run.heartbeat), "one now for all of a batch");
    assert_eq!(world.job_of(&name(1)).await.unwrap(), jobs[1], "no other row is touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_read_as_it_was_written_and_changed() {
    let mut world = World::new().await;
    let source = SourceInput {
        url: None,
        cvs_root: Some(":pserver:me:s'3\"cret@cvs.a.org/cvs".to_owned()),
        cvs_module: Some("gnome/x.y+z".to_owned()),
    };
    let words = [
        ask(None, registration(&name(0), RcsType::Cvs, source.clone())),
        register(&name(1), "https://me:s%27cret@a.org/b", None),
    ];
    assert!(world.apply_all(&words).await.iter().all(is_applied));
    let import = world.import(&name(0)).await.unwrap();
    let expected = SourcePolicy::default().check(RcsType::Cvs, &source).unwrap();
    assert!(import.source == expected);
    assert_eq!((import.update_interval, import.last_result), (None, None));
    assert_eq!((import.date_source_changed, import.date_last_successful), (None, None));

    let update = |n, update| ask(None, Act::Update { import: unique_name(&name(n)), update });
    let all = Update {
        review_status: Some(ReviewStatus::Suspended),
        source: SourceInput { cvs_module: Some("evolution".to_owned()), ..SourceInput::default() },
        owner: Some("no-priv".parse().unwrap()),
        update_interval: Some(Some(TimeDelta::seconds(4321))),
    };
    let url = SourceInput { url: Some("https://other@a.org/c".to_owned()), ..SourceInput::default() };
    let one = Update { source: url, ..Update::default() };
    assert!(world.apply_all(&[update(0, all), update(1, one)]).await.iter().all(is_applied));
    let import = world.import(&name(0)).await.unwrap();
    assert!(matches!(&import.source, Source::Cvs { module, .. } if module == "evolution"));
    assert_eq!(import.owner.as_str(), "no-priv");
    assert_eq!(import.update_interval, Some(TimeDelta::seconds(4321)));
    assert_eq!(import.review_status, ReviewStatus::Suspended);
    assert!(import.date_source_changed.unwrap() > import.date_created);
    assert_eq!(world.job_of(&name(0)).await, None);
    let import = world.import(&name(1)).await.unwrap();
    assert!(import.source == Source::Url("https://other@a.org/c".to_owned()));

    let back = Update { update_interval: Some(None), ..Update::default() };
    world.apply(update(0, back)).await;
    assert_eq!(world.import(&name(0)).await.unwrap().update_interval, None);
}

/// The regular expressions of the indexes, and `Source::key`.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_compares_sources_as_the_program_does() {
    let world = World::new().await;
    let query = "SELECT pg_get_indexdef(indexrelid, 1, true) FROM pg_index
        WHERE indexrelid = ($1::text)::regclass";
    let expression =
        async |index: &str| -> String { world.client.query_one(query, &[&index]).await.unwrap().get(0) };
    let url_key = format!("SELECT {} FROM (SELECT $1::text AS url) AS it", expression("imports_url").await);
    let cvs_key =
        format!("SELECT {} FROM (SELECT $1::text AS cvs_root) AS it", expression("imports_cvs").await);
    let policy =
        SourcePolicy { extra_schemes: strum::VariantArray::VARIANTS.to_vec(), ..SourcePolicy::default() };
    for (rcs, url) in [
        (RcsType::Git, "https://a.org/b"),
        (RcsType::Git, "https://me@a.org/b"),
        (RcsType::Git, "HTTPS://me:s3cret@A.org:443/@b/c@d/"),
        (RcsType::Git, "https://me:p%40ss%2Fword@a.org:8443/b"),
        (RcsType::Git, "git://[2606:4700::1111]:9419/b"),
        (RcsType::Git, "ssh://git@a.org/~me/b"),
        (RcsType::Git, "file:///srv/a@b"),
        (RcsType::Svn, "svn+ssh://me@a.org/trunk@42"),
        (RcsType::Bzr, "bzr://:@a.org/b"),
        (RcsType::Hg, "http://@a.org"),
    ] {
        let input = SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
        let Ok(source) = policy.check(rcs, &input) else { continue };
        let Source::Url(normal) = &source else { unreachable!("only CVS has none") };
        let key: String = world.client.query_one(&url_key, &[normal]).await.unwrap().get(0);
        assert_eq!(key, source.key(), "{url}");
    }
    for root in [":pserver:me:s3cret@cvs.a.org:2402/cvs", ":ext:cvs.a.org/cvs", ":pserver:me:@cvs.a.org:/cvs"]
    {
        let input =
            SourceInput { url: None, cvs_root: Some(root.to_owned()), cvs_module: Some("m".to_owned()) };
        let source = policy.check(RcsType::Cvs, &input).unwrap();
        let Source::Cvs { root, .. } = &source else { unreachable!("it is CVS") };
        let key: String = world.client.query_one(&cvs_key, &[root]).await.unwrap().get(0);
        assert_eq!(format!("{key} m"), source.key());
    }
}

// covers: CI-01 CI-02 CI-03 CI-04 CI-05 CI-06
#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_every_rcs_is_reviewed_and_has_a_job() {
    let mut world = World::new().await;
    let url = |url: &str| SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
    let cvs = SourceInput {
        url: None,
        cvs_root: Some(":pserver:anonymous@cvs.a.org/cvs".to_owned()),
        cvs_module: Some("gnome".to_owned()),
    };
    let sources = [
        (RcsType::Svn, url("svn://svn.a.org/trunk")),
        (RcsType::Svn, url("https://svn.a.org/trunk")),
        (RcsType::Cvs, cvs),
        (RcsType::Git, url("git://a.org/b")),
        (RcsType::Git, url("https://a.org/b")),
        (RcsType::Hg, url("https://hg.a.org/b")),
        (RcsType::Bzr, url("bzr://bzr.a.org/b")),
    ];
    for (n, (rcs, source)) in sources.into_iter().enumerate() {
        assert!(is_applied(&world.apply(ask(None, registration(&name(n), rcs, source))).await));
        let import = world.import(&name(n)).await.unwrap();
        assert_eq!((import.rcs_type, import.review_status), (rcs, ReviewStatus::Reviewed));
        assert_eq!(world.job_of(&name(n)).await.unwrap().rcs_type, rcs);
    }
    world.check_invariants().await;
}

// covers: CI-82
#[tokio::test(flavor = "multi_thread")]
async fn imports_are_found_by_status_and_by_rcs_and_by_both() {
    let mut world = World::new().await;
    for (n, rcs) in [RcsType::Git, RcsType::Git, RcsType::Hg, RcsType::Hg].into_iter().enumerate() {
        let source = SourceInput { url: Some(format!("https://a.org/{n}")), ..SourceInput::default() };
        let Act::Register(mut registration) = registration(&name(n), rcs, source) else { unreachable!() };
        registration.review_status =
            Some(if n % 2 == 0 { ReviewStatus::New } else { ReviewStatus::Reviewed });
        world.apply(ask(None, Act::Register(registration))).await;
    }
    let operator = world.store.person(&OPERATOR.parse().unwrap()).await.unwrap().unwrap();
    for (review_status, rcs_type, expected) in [
        (None, None, vec![0, 1, 2, 3]),
        (Some(ReviewStatus::New), None, vec![0, 2]),
        (None, Some(RcsType::Hg), vec![2, 3]),
        (Some(ReviewStatus::New), Some(RcsType::Hg), vec![2]),
        (Some(ReviewStatus::Failing), None, vec![]),
    ] {
        let filter = ImportFilter {
            review_statuses: review_status.into_iter().collect(),
            rcs_type,
            ..ImportFilter::default()
        };
        let page = ImportPage { key: ImportKey::Registered, is_descending: false, after: None, limit: 10 };
        let found = world.store.imports(&operator, &filter, page).await.unwrap();
        let found: Vec<_> = found.iter().map(|import| import.unique_name.to_string()).collect();
        assert_eq!(found, expected.into_iter().map(name).collect::<Vec<_>>());
    }
}

// covers: CI-73 CI-74
#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_imported_once_whoever_reads_it() {
    let mut world = World::new().await;
    let cvs = |root: &str, module: &str| SourceInput {
        url: None,
        cvs_root: Some(root.to_owned()),
        cvs_module: Some(module.to_owned()),
    };
    let cvs = |n, root, module| ask(None, registration(&name(n), RcsType::Cvs, cvs(root, module)));
    let words = [register(&name(0), "https://a.org/b", None), cvs(1, ":pserver:me@cvs.a.org/cvs", "gnome")];
    assert!(world.apply_all(&words).await.iter().all(is_applied));
    // In a batch of their own, so that the database must find the others.
    let words = [
        register(&name(2), "https://me:s3cret@a.org/b", None),
        cvs(3, ":pserver:you:pw@cvs.a.org/cvs", "gnome"),
        cvs(4, ":pserver:me@cvs.a.org/cvs", "evolution"),
        cvs(5, ":ext:me@cvs.a.org/cvs", "gnome"),
        register(&name(0), "https://a.org/c", None),
    ];
    let outcomes = world.apply_all(&words).await;
    assert_eq!(outcomes.iter().map(code).collect::<Vec<_>>(), ["conflict", "conflict", "", "", "conflict"]);
    let to_taken = Update {
        source: SourceInput { url: Some("https://x@a.org/b".to_owned()), ..SourceInput::default() },
        ..Update::default()
    };
    world.apply(register(&name(6), "https://a.org/6", None)).await;
    let outcome =
        world.apply(ask(None, Act::Update { import: unique_name(&name(6)), update: to_taken })).await;
    assert_eq!(code(&outcome), "conflict");

    // And behind the workflow's back the database refuses.
    let copy =
        "INSERT INTO imports (unique_name, registrant, owner, rcs_type, url, review_status, date_created)
        VALUES ('~a/b/c', 'no-priv', 'no-priv', 'GIT', 'https://z@a.org/b', 'NEW', now())";
    let error = world.client.batch_execute(copy).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("imports_url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_taken_until_the_word_that_frees_it() {
    let (mut world, _) = World::with_imports(1).await;
    let to = |n, url: &str| {
        let source = SourceInput { url: Some(url.to_owned()), ..SourceInput::default() };
        ask(
            None,
            Act::Update { import: unique_name(&name(n)), update: Update { source, ..Update::default() } },
        )
    };
    // Of an import that is made in the same batch, nobody knows at its beginning which source it will ask for.
    let words = [
        register(&name(1), "https://a.org/1", None),
        to(1, "https://a.org/0"),
        to(0, "https://a.org/new"),
        to(1, "https://a.org/0"),
        to(0, "https://a.org/1"),
    ];
    let outcomes = world.apply_all(&words).await;
    assert_eq!(outcomes.iter().map(code).collect::<Vec<_>>(), ["", "conflict", "", "", ""]);
    let import = world.import(&name(1)).await.unwrap();
    assert!(import.source == Source::Url("https://a.org/0".to_owned()));
}

// covers: CIR-03 CI-31 CI-32
#[tokio::test(flavor = "multi_thread")]
async fn results_of_an_import_are_newest_first_and_no_others() {
    let (mut world, jobs) = World::with_imports(2).await;
    world.apply_all(&[start(&jobs[0]), start(&jobs[1]), finish(&jobs[1], Status::Success)]).await;
    world.apply(finish(&jobs[0], Status::SuccessPartial)).await;
    let second = world.job_of(&name(0)).await.unwrap();
    world.apply_all(&[start(&second), finish(&second, Status::Failure)]).await;
    let import = world.import(&name(0)).await.unwrap();
    let results = world.store.results(&import, 10).await.unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result.status).collect();
    assert_eq!(statuses, [Status::Failure, Status::SuccessPartial]);
}

// covers: CI-17 CI-18
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_import_takes_its_results_and_leaves_its_events() {
    let (mut world, jobs) = World::with_imports(2).await;
    world.apply_all(&[start(&jobs[0]), finish(&jobs[0], Status::SuccessPartial)]).await;
    let running = world.job_of(&name(0)).await.unwrap();
    world.apply_all(&[start(&running), start(&jobs[1])]).await;
    let before = world.number("SELECT count(*) FROM events").await;
    let delete = ask(None, Act::Delete { import: unique_name(&name(0)) });
    assert!(is_applied(&world.apply(delete).await));
    assert_eq!(world.import(&name(0)).await, None);
    assert_eq!(world.number("SELECT count(*) FROM results").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM jobs").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM events").await, before + 2); // KILL and DELETE
    let late = world.apply(finish(&running, Status::Success)).await;
    assert_eq!(code(&late), "unknown-job");
    world.check_invariants().await;
}
