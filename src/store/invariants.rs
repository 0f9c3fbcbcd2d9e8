//! The central invariant (section 3), as a query. It spans rows, so no CHECK can say it.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::{Error, Store};

impl Store {
    /// Where the database is not as section 3 says, each in one line. Nothing is the only good answer.
    ///
    /// It reads every import; it is for tests and for the doctor, not for the hot path.
    pub async fn broken_invariants(&mut self) -> Result<Vec<String>, Error> {
        #[derive(QueryableByName)]
        struct Broken {
            #[diesel(sql_type = Text)]
            broken: String,
        }
        let query = diesel::sql_query(
            "SELECT format('%s is REVIEWED and has no job', unique_name) AS broken
             FROM imports LEFT JOIN jobs ON jobs.import_id = imports.id
             WHERE review_status = 'REVIEWED' AND jobs.id IS NULL
             UNION ALL
             SELECT format('%s is %s and has a PENDING job', unique_name, review_status)
             FROM imports JOIN jobs ON jobs.import_id = imports.id
             WHERE review_status <> 'REVIEWED' AND state = 'PENDING'
             UNION ALL
             SELECT format('the job of %s is for %s and its import is %s', unique_name, jobs.rcs_type, imports.rcs_type)
             FROM imports JOIN jobs ON jobs.import_id = imports.id
             WHERE jobs.rcs_type <> imports.rcs_type
             UNION ALL
             SELECT format('the run %s has %s results', run, count(*)) FROM results GROUP BY run, job_id HAVING count(*) > 1
             UNION ALL
             SELECT format('the run %s of %s is RUNNING and has a result', jobs.run, unique_name)
             FROM jobs JOIN results USING (run) JOIN imports ON imports.id = jobs.import_id
             WHERE results.job_id = jobs.id
             UNION ALL
             SELECT format('there are %s events up to %s from %s on', count(*), max(id), min(id)) FROM events
             HAVING count(*) <> max(id) - min(id) + 1
             UNION ALL
             SELECT format('the counter stands at %s and the last event is %s', next_id, last)
             FROM event_counter, (SELECT max(id) AS last FROM events) AS log WHERE last >= next_id",
        );
        let broken: Vec<Broken> = query.load(self.connection()).await?;
        Ok(broken.into_iter().map(|row| row.broken).collect())
    }
}
