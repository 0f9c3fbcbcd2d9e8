//! Domain → columns: what is written of each table, and which of it may change.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::Error;
use super::statement::columns;
use crate::domain::{Import, Job, Machine, NewResult, PersonName, Source, Timestamp};
use crate::workflow::Made;

columns! {
    /// Imports.
    ImportColumns<'a> of "imports" {
        key { id: BigInt => i64 }
        fixed {
            unique_name: Text => &'a str,
            registrant: Text => &'a str,
            rcs_type: Text => String,
            date_created: Timestamptz => Timestamp,
        }
        changing {
            owner: Text => &'a str,
            url: Nullable<Text> => Option<&'a str>,
            cvs_root: Nullable<Text> => Option<&'a str>,
            cvs_module: Nullable<Text> => Option<&'a str>,
            review_status: Text => String,
            update_interval_seconds: Nullable<BigInt> => Option<i64>,
            date_last_successful: Nullable<Timestamptz> => Option<Timestamp>,
            date_source_changed: Nullable<Timestamptz> => Option<Timestamp>,
            last_job_id: Nullable<BigInt> => Option<i64>,
            last_run: Nullable<SqlUuid> => Option<Uuid>,
            last_status: Nullable<Text> => Option<String>,
            last_date_job_started: Nullable<Timestamptz> => Option<Timestamp>,
            last_date_created: Nullable<Timestamptz> => Option<Timestamp>,
            consecutive_failure_count: BigInt => i64,
            consecutive_infrastructure_failure_count: BigInt => i64,
        }
    }
}

columns! {
    /// Jobs. A heartbeat changes no indexed column, so its row stays on its page.
    JobColumns<'a> of "jobs" {
        key { id: BigInt => i64 }
        fixed {
            import_id: BigInt => i64,
            rcs_type: Text => String,
            date_created: Timestamptz => Timestamp,
        }
        changing {
            state: Text => String,
            date_due: Timestamptz => Timestamp,
            date_dispatched: Nullable<Timestamptz> => Option<Timestamp>,
            requesting_user: Nullable<Text> => Option<&'a str>,
            machine: Nullable<Text> => Option<&'a str>,
            run: Nullable<SqlUuid> => Option<Uuid>,
            date_started: Nullable<Timestamptz> => Option<Timestamp>,
            heartbeat: Nullable<Timestamptz> => Option<Timestamp>,
            log_tail: Nullable<Text> => Option<&'a str>,
        }
    }
}

columns! {
    /// What a heartbeat changes of a job: there are more of them than of all other changes together.
    BeatColumns<'a> of "jobs" {
        key { id: BigInt => i64 }
        fixed {}
        changing {
            heartbeat: Nullable<Timestamptz> => Option<Timestamp>,
            log_tail: Nullable<Text> => Option<&'a str>,
        }
    }
}

columns! {
    /// Results.
    ResultColumns<'a> of "results" {
        key { id: BigInt => i64 }
        fixed {
            import_id: BigInt => i64,
            job_id: BigInt => i64,
            run: SqlUuid => Uuid,
            machine: Text => &'a str,
            requesting_user: Nullable<Text> => Option<&'a str>,
            status: Text => String,
            date_job_started: Timestamptz => Timestamp,
            date_created: Timestamptz => Timestamp,
            log_excerpt: Text => &'a str,
            log_url: Nullable<Text> => Option<&'a str>,
            reason: Nullable<Text> => Option<&'a str>,
            stats: Jsonb => serde_json::Value,
        }
        changing {}
    }
}

columns! {
    /// Machines. A row is made when a machine is first heard of, before any rule is asked.
    MachineColumns<'a> of "machines" {
        key { hostname: Text => &'a str }
        fixed {}
        changing {
            state: Text => String,
            offline_reason: Nullable<Text> => Option<String>,
            date_state: Timestamptz => Timestamp,
            heartbeat: Nullable<Timestamptz> => Option<Timestamp>,
        }
    }
}

columns! {
    /// What was answered to asks. Their message ids are reserved before any rule is asked.
    AnswerColumns<'a> of "applied_commands" {
        key { message_id: Text => &'a str }
        fixed {}
        changing { answer: Jsonb => serde_json::Value }
    }
}

impl<'a> ImportColumns<'a> {
    pub(super) fn of(imports: &'a [Import]) -> Self {
        let mut rows = Self::default();
        for import in imports {
            let (url, root, module) = match &import.source {
                Source::Url(url) => (Some(url.as_str()), None, None),
                Source::Cvs { root, module } => (None, Some(root.as_str()), Some(module.as_str())),
            };
            let last = import.last_result.as_ref();
            rows.id.push(import.id.0);
            rows.unique_name.push(import.unique_name.as_str());
            rows.registrant.push(import.registrant.as_str());
            rows.rcs_type.push(import.rcs_type.to_string());
            rows.date_created.push(import.date_created);
            rows.owner.push(import.owner.as_str());
            rows.url.push(url);
            rows.cvs_root.push(root);
            rows.cvs_module.push(module);
            rows.review_status.push(import.review_status.to_string());
            rows.update_interval_seconds.push(import.update_interval.map(|interval| interval.num_seconds()));
            rows.date_last_successful.push(import.date_last_successful);
            rows.date_source_changed.push(import.date_source_changed);
            rows.last_job_id.push(last.map(|last| last.job_id.0));
            rows.last_run.push(last.map(|last| last.run.0));
            rows.last_status.push(last.map(|last| last.status.to_string()));
            rows.last_date_job_started.push(last.map(|last| last.date_job_started));
            rows.last_date_created.push(last.map(|last| last.date_created));
            rows.consecutive_failure_count.push(import.consecutive_failure_count.into());
            let infrastructure = import.consecutive_infrastructure_failure_count;
            rows.consecutive_infrastructure_failure_count.push(infrastructure.into());
        }
        rows
    }
}

impl<'a> JobColumns<'a> {
    pub(super) fn of(jobs: &'a [Job]) -> Self {
        let mut rows = Self::default();
        for job in jobs {
            let run = job.run();
            rows.id.push(job.id.0);
            rows.import_id.push(job.import_id.0);
            rows.rcs_type.push(job.rcs_type.to_string());
            rows.date_created.push(job.date_created);
            rows.state.push(job.state_name().to_string());
            rows.date_due.push(job.date_due);
            rows.date_dispatched.push(job.date_dispatched);
            rows.requesting_user.push(job.requesting_user.as_ref().map(PersonName::as_str));
            rows.machine.push(run.map(|run| run.machine.as_str()));
            rows.run.push(run.map(|run| run.id.0));
            rows.date_started.push(run.map(|run| run.date_started));
            rows.heartbeat.push(run.map(|run| run.heartbeat));
            rows.log_tail.push(run.map(|run| run.log_tail.as_str()));
        }
        rows
    }
}

impl<'a> BeatColumns<'a> {
    pub(super) fn of(jobs: &'a [Job]) -> Self {
        let mut rows = Self::default();
        for job in jobs {
            let run = job.run();
            rows.id.push(job.id.0);
            rows.heartbeat.push(run.map(|run| run.heartbeat));
            rows.log_tail.push(run.map(|run| run.log_tail.as_str()));
        }
        rows
    }
}

impl<'a> ResultColumns<'a> {
    pub(super) fn of(results: &'a [NewResult]) -> Self {
        let mut rows = Self::default();
        for result in results {
            rows.id.push(result.id.0);
            rows.import_id.push(result.import_id.0);
            rows.job_id.push(result.job_id.0);
            rows.run.push(result.run.0);
            rows.machine.push(result.machine.as_str());
            rows.requesting_user.push(result.requesting_user.as_ref().map(PersonName::as_str));
            rows.status.push(result.status.to_string());
            rows.date_job_started.push(result.date_job_started);
            rows.date_created.push(result.date_created);
            rows.log_excerpt.push(&result.log_excerpt);
            rows.log_url.push(result.log_url.as_deref());
            rows.reason.push(result.reason.as_deref());
            rows.stats.push(result.stats.clone().into());
        }
        rows
    }
}

impl<'a> MachineColumns<'a> {
    pub(super) fn of(machines: &'a [Machine]) -> Self {
        let mut rows = Self::default();
        for machine in machines {
            rows.hostname.push(machine.hostname.as_str());
            rows.state.push(machine.state.name().to_string());
            rows.offline_reason.push(machine.state.offline_reason().map(|reason| reason.to_string()));
            rows.date_state.push(machine.date_state);
            rows.heartbeat.push(machine.heartbeat);
        }
        rows
    }
}

impl<'a> AnswerColumns<'a> {
    pub(super) fn of(made: &'a BTreeMap<String, Made>) -> Result<Self, Error> {
        let mut rows = Self::default();
        for (id, made) in made {
            let corrupt = |error| Error::Corrupt {
                table: "applied_commands",
                id: id.clone(),
                what: format!("{error}"),
            };
            rows.message_id.push(id);
            rows.answer.push(serde_json::to_value(made).map_err(corrupt)?);
        }
        Ok(rows)
    }
}
