//! Whether our role may do what the coordinator does.

use diesel::QueryableByName;
use diesel::sql_types::{Array, Bool, Text};
use diesel_async::RunQueryDsl;

use crate::domain::finding::Examination;
use crate::store::{Error, Store};

/// What is done with each table. Nobody updates or deletes an event.
const TABLES: [(&str, &str); 13] = [
    ("people", "SELECT INSERT"),
    ("team_members", "SELECT INSERT DELETE"),
    ("imports", "SELECT INSERT UPDATE DELETE"),
    ("machines", "SELECT INSERT UPDATE"),
    ("jobs", "SELECT INSERT UPDATE DELETE"),
    ("results", "SELECT INSERT DELETE"),
    ("events", "SELECT INSERT"),
    ("event_counter", "SELECT UPDATE"),
    ("event_cursor", "SELECT UPDATE"),
    ("event_epochs", "SELECT INSERT"),
    ("applied_commands", "SELECT INSERT UPDATE DELETE"),
    ("hearing", "SELECT INSERT UPDATE"),
    ("sessions", "SELECT INSERT UPDATE"),
];

#[derive(QueryableByName)]
struct Missing {
    #[diesel(sql_type = Text)]
    privilege: String,
    #[diesel(sql_type = Text)]
    target: String,
}

#[derive(QueryableByName)]
struct Us {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Bool)]
    may_create: bool,
}

pub(super) async fn examine(store: &mut Store) -> Result<Examination, Error> {
    let query = diesel::sql_query(
        "SELECT quote_ident(current_user) AS role, quote_ident(current_schema()) AS schema,
             has_schema_privilege(current_schema(), 'CREATE') AS may_create",
    );
    let Us { role, schema, may_create } = query.get_result(store.connection()).await?;
    let mut look = Examination::of("permissions", format!("what {role} may do in PostgreSQL"));
    for Missing { privilege, target } in missing(store).await? {
        let what = format!("{role} has no {privilege} on {target}");
        look.wrong(what, format!("GRANT {privilege} ON {target} TO {role};"));
    }
    // Partitions are made and dropped by whoever owns their table.
    for Missing { target, .. } in not_owned(store).await? {
        let what = format!("{role} does not own {target}, so it cannot make partitions of it");
        look.wrong(what, format!("ALTER TABLE {target} OWNER TO {role};"));
    }
    if !may_create {
        let what = format!("{role} may not create partitions in the schema {schema}");
        look.wrong(what, format!("GRANT CREATE ON SCHEMA {schema} TO {role};"));
    }
    Ok(look)
}

/// The privileges that are wanted, and are not there. UPDATE of a sequence: ids are drawn from it, and `after-restore`
/// moves it.
async fn missing(store: &mut Store) -> Result<Vec<Missing>, Error> {
    let wanted = TABLES.iter().flat_map(|(table, privileges)| {
        privileges.split(' ').map(|privilege| ((*table).to_owned(), privilege.to_owned()))
    });
    let (tables, privileges): (Vec<String>, Vec<String>) = wanted.unzip();
    let query = diesel::sql_query(
        "SELECT string_agg(privilege, ', ' ORDER BY privilege) AS privilege, target FROM (
             SELECT privilege, target FROM unnest($1, $2) AS wanted (target, privilege)
             WHERE NOT has_table_privilege(target, privilege)
         ) AS missing GROUP BY target
         UNION ALL
         SELECT 'UPDATE', format('SEQUENCE %s', target)
         FROM unnest(ARRAY['imports_id_seq', 'jobs_id_seq', 'results_id_seq']) AS sequence (target)
         WHERE NOT has_sequence_privilege(target, 'UPDATE')
         UNION ALL
         SELECT 'EXECUTE', format('FUNCTION %s', oid::regprocedure) FROM pg_proc
         WHERE proname = 'pg_logical_emit_message' AND 'text'::regtype = ALL (proargtypes[1:2])
             AND NOT has_function_privilege(oid, 'EXECUTE')
         ORDER BY target",
    );
    let query = query.bind::<Array<Text>, _>(tables).bind::<Array<Text>, _>(privileges);
    Ok(query.load(store.connection()).await?)
}

async fn not_owned(store: &mut Store) -> Result<Vec<Missing>, Error> {
    let query = diesel::sql_query(
        "SELECT 'OWNER' AS privilege, relname::text AS target FROM pg_class
         WHERE oid IN ('results'::regclass, 'events'::regclass) AND NOT pg_has_role(relowner, 'USAGE')
         ORDER BY relname",
    );
    Ok(query.load(store.connection()).await?)
}
