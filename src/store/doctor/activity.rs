//! Who is connected, and for how long: other coordinators, and transactions that hold up the cleaning.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::domain::finding::Examination;
use crate::store::{Error, Store};

/// A coordinator sends itself an echo every ten seconds (section 10).
const ECHO_LIMIT_S: f64 = 60.0;

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = Text)]
    who: String,
    #[diesel(sql_type = BigInt)]
    minutes: i64,
    #[diesel(sql_type = Text)]
    remedy: String,
}

const OLD: &str = "
    SELECT format('%s (pid %s, of %s)', coalesce(nullif(application_name, ''), 'a nameless program'), pid, usename)
            AS who,
        (extract(epoch FROM clock_timestamp() - xact_start) / 60)::bigint AS minutes,
        format('SELECT pg_terminate_backend(%s);', pid) AS remedy
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND xact_start < clock_timestamp() - interval '10 minutes'
    UNION ALL
    SELECT format('the prepared transaction %L', gid),
        (extract(epoch FROM clock_timestamp() - prepared) / 60)::bigint, format('ROLLBACK PREPARED %L;', gid)
    FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - interval '10 minutes'
    ORDER BY minutes DESC LIMIT 10";

#[derive(QueryableByName)]
struct Release {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = BigInt)]
    connections: i64,
    #[diesel(sql_type = Bool)]
    is_coordinator: bool,
}

/// What we call our connections: `code-imports relay 0.1.0`.
const VERSIONS: &str = r"
    SELECT substring(application_name FROM ' ([0-9][^ ]*)$') AS version, count(*) AS connections,
        bool_or(application_name ~ '^code-imports reaper ') AS is_coordinator
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name ~ '^code-imports .* [0-9][^ ]*$'
        AND pid <> pg_backend_pid()
    GROUP BY version ORDER BY version";

#[derive(QueryableByName)]
struct Hearing {
    #[diesel(sql_type = Nullable<Double>)]
    age_s: Option<f64>,
}

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let versions: Vec<Release> = diesel::sql_query(VERSIONS).load(store.connection()).await?;
    let seen: i64 = versions.iter().map(|it| it.connections).sum();
    let mut look =
        Examination::of("activity", format!("{seen} other connections of ours, and open transactions"));
    let old: Vec<Old> = diesel::sql_query(OLD).load(store.connection()).await?;
    for Old { who, minutes, remedy } in old {
        let what = format!(
            "a transaction has been open for {minutes} minutes: {who}; nothing is cleaned up meanwhile"
        );
        look.wrong(what, remedy);
    }
    let here = env!("CARGO_PKG_VERSION");
    for Release { version, .. } in versions.iter().filter(|it| it.version != here) {
        let what = format!("a program of version {version} is connected, and this is {here}");
        look.note(what, "end the upgrade: start it again with this version");
    }
    if versions.iter().any(|it| it.is_coordinator) {
        examine_hearing(&mut look, store).await?;
    } else {
        look.note("no coordinator is connected to the database", "code-imports serve");
    }
    Ok(look)
}

/// Whether the coordinator hears itself; where the schema is not there yet, nobody can tell.
async fn examine_hearing(look: &mut Examination, store: &mut Store) -> Result<(), Error> {
    let query = diesel::sql_query(
        "SELECT extract(epoch FROM clock_timestamp() - coalesce(
             (SELECT heard FROM hearing), (SELECT date_begun FROM sessions WHERE role = 'reaper')))::float8 AS age_s",
    );
    let heard = query.get_result::<Hearing>(store.connection()).await.map_err(Error::from);
    let age = match heard {
        Err(error) if error.is_schema_missing() => return Ok(()),
        heard => heard?.age_s,
    };
    if let Some(age) = age.filter(|age| *age > ECHO_LIMIT_S) {
        look.wrong(
            format!("the coordinator has not heard itself for {age:.0} s, so it reclaims nothing"),
            "code-imports topology apply; then curl http://127.0.0.1:8080/readyz",
        );
    }
    Ok(())
}
