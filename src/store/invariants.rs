//! The central invariant (section 3), as a query. It spans rows, so no CHECK can say it.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Text};
use diesel_async::RunQueryDsl;

use super::doctor::{self, Depth};
use super::{Error, Store};
use crate::domain::finding::Examination;

#[derive(QueryableByName)]
struct Broken {
    #[diesel(sql_type = Text)]
    broken: String,
    #[diesel(sql_type = Text)]
    remedy: String,
}

/// Only somebody who wrote to the database by hand can have made one of these. Setting the review status makes or
/// deletes the job; what is wrong with a run is for people to judge. A hundred are told: whoever has more has one
/// reason for them.
const BROKEN: &str = "
    WITH looked AS MATERIALIZED (
        SELECT id, unique_name, review_status, rcs_type FROM imports TABLESAMPLE SYSTEM ($1)
    ), running AS MATERIALIZED (
        SELECT id, import_id, run, date_started FROM jobs WHERE state = 'RUNNING' LIMIT $2
    )
    SELECT format('%s is REVIEWED and has no job', unique_name) AS broken,
        format('code-imports import update %1$s --status SUSPENDED; the same with --status REVIEWED', unique_name)
            AS remedy
    FROM looked LEFT JOIN jobs ON jobs.import_id = looked.id
    WHERE review_status = 'REVIEWED' AND jobs.id IS NULL
    UNION ALL
    SELECT format('%s is %s and has a PENDING job', unique_name, review_status),
        format('code-imports import update %s --status REVIEWED; the same with --status %s', unique_name, review_status)
    FROM looked JOIN jobs ON jobs.import_id = looked.id
    WHERE review_status <> 'REVIEWED' AND state = 'PENDING'
    UNION ALL
    SELECT format('the job of %s is for %s and its import is %s', unique_name, jobs.rcs_type, looked.rcs_type),
        format('code-imports import update %1$s --status SUSPENDED; the same with --status REVIEWED', unique_name)
    FROM looked JOIN jobs ON jobs.import_id = looked.id
    WHERE jobs.rcs_type <> looked.rcs_type
    UNION ALL
    SELECT format('the run %s has %s results', run, count(*)),
        format('SELECT * FROM results WHERE job_id = %s; and DELETE the later one', job_id)
    FROM results
    WHERE date_created >= clock_timestamp() - make_interval(mins => $3::int)
    GROUP BY run, job_id HAVING count(*) > 1
    UNION ALL
    SELECT format('the run %s of %s is RUNNING and has a result', running.run, unique_name),
        format('code-imports job kill %s', running.id)
    FROM running JOIN imports ON imports.id = running.import_id
    JOIN results ON results.job_id = running.id AND results.run = running.run
        AND results.date_created >= running.date_started
    LIMIT 100";

impl Store {
    /// Where the database is not as section 3 says, each in one line. Nothing is the only good answer.
    ///
    /// It reads every import; it is for tests and for the doctor, not for the hot path.
    pub async fn broken_invariants(&mut self) -> Result<Vec<String>, Error> {
        let broken = self.broken(Depth::WHOLE).await?;
        let mut broken: Vec<String> = broken.into_iter().map(|row| row.broken).collect();
        broken.extend(doctor::log::broken(self, Depth::WHOLE).await?);
        Ok(broken)
    }

    pub(super) async fn examine_invariants(&mut self, depth: Depth) -> Result<Examination, Error> {
        let looked_at = if depth == Depth::WHOLE {
            "every import, job and result".to_owned()
        } else {
            format!(
                "a sample: {:.4} % of the imports, {} RUNNING jobs, the results of {} minutes; --thorough looks at all",
                depth.imports_percent, depth.jobs, depth.results_minutes
            )
        };
        let mut look = Examination::of("invariants", looked_at);
        for Broken { broken, remedy } in self.broken(depth).await? {
            look.wrong(broken, remedy);
        }
        Ok(look)
    }

    async fn broken(&mut self, depth: Depth) -> Result<Vec<Broken>, Error> {
        let query = diesel::sql_query(BROKEN)
            .bind::<Double, _>(depth.imports_percent)
            .bind::<BigInt, _>(depth.jobs)
            .bind::<BigInt, _>(depth.results_minutes);
        Ok(query.load(self.connection()).await?)
    }
}
