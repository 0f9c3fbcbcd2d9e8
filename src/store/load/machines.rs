//! The machines that speak, or are spoken of.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::domain::{Hostname, JobId, Machine, MachineState, Timestamp};
use crate::store::Error;
use crate::store::rows::{Corrupt, MachineRow, clock_timestamp};
use crate::store::schema::{jobs, machines};
use crate::workflow::{Needs, Policy, Snapshot};

/// Reads the machines that speak, and when that was.
pub(super) async fn read_machines(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
) -> Result<Vec<(Machine, Timestamp)>, Error> {
    if needs.speakers.is_empty() {
        return Ok(Vec::new());
    }
    let names = needs.speakers.iter().map(Hostname::as_str);
    let query = machines::table
        .filter(machines::hostname.eq_any(names))
        .select((MachineRow::as_select(), clock_timestamp()));
    let read: Vec<(MachineRow, Timestamp)> = query.load(&mut connection).await?;
    read.into_iter().map(|(row, now)| Ok((Machine::try_from(row)?, now))).collect()
}

/// Locks the machines that change: those that speak and are new, or were not heard of for a while, or are not ONLINE;
/// and those that are spoken of. Says whether there were any.
pub(super) async fn lock_machines(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
    policy: &Policy,
    spoken: Vec<(Machine, Timestamp)>,
    rows: &mut Snapshot,
) -> Result<bool, Error> {
    let mut to_lock: BTreeSet<Hostname> = needs.machines.clone();
    for (machine, now) in spoken {
        // One that was heard of more recently is not locked: its heartbeat does not move.
        let is_old =
            machine.heartbeat.is_none_or(|heartbeat| now - heartbeat > policy.heartbeat_resolution());
        if is_old || machine.state != MachineState::Online {
            to_lock.insert(machine.hostname.clone());
        }
        rows.machines.insert(machine.hostname.clone(), machine);
    }
    let new: Vec<&Hostname> =
        needs.speakers.iter().filter(|name| !rows.machines.contains_key(*name)).collect();
    if !new.is_empty() {
        // A row without a heartbeat: the rule that hears the first word completes it in this transaction.
        let values: Vec<_> = new
            .iter()
            .map(|name| {
                let date_state = machines::date_state.eq(clock_timestamp());
                (machines::hostname.eq(name.as_str()), machines::state.eq("ONLINE"), date_state)
            })
            .collect();
        diesel::insert_into(machines::table)
            .values(values)
            .on_conflict_do_nothing()
            .execute(&mut connection)
            .await?;
        to_lock.extend(new.into_iter().cloned());
    }
    if to_lock.is_empty() {
        return Ok(false);
    }
    let locked: Vec<MachineRow> = machines::table
        .filter(machines::hostname.eq_any(to_lock.iter().map(Hostname::as_str)))
        .order(machines::hostname)
        .select(MachineRow::as_select())
        .for_no_key_update()
        .load(&mut connection)
        .await?;
    for row in locked {
        let machine = Machine::try_from(row)?;
        rows.locked_machines.insert(machine.hostname.clone());
        rows.machines.insert(machine.hostname.clone(), machine);
    }
    find_running(connection, needs, rows).await?;
    Ok(true)
}

/// Finds the RUNNING jobs of the machines that say that they run nothing, and are to be drained.
async fn find_running(
    mut connection: &AsyncPgConnection,
    needs: &Needs,
    rows: &mut Snapshot,
) -> Result<(), Error> {
    let is_quiescing = |name: &&Hostname| {
        rows.machines.get(*name).is_some_and(|machine| machine.state == MachineState::Quiescing)
    };
    let names: Vec<&str> = needs.idle.iter().filter(is_quiescing).map(Hostname::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    let query = jobs::table
        .filter(jobs::state.eq("RUNNING").and(jobs::machine.eq_any(names)))
        .select((jobs::machine.assume_not_null(), jobs::id));
    for (name, id) in query.load::<(String, i64)>(&mut connection).await? {
        let machine = Corrupt { table: "jobs", id: &id }.parse("machine", &name)?;
        rows.running.insert((machine, JobId(id)));
    }
    Ok(())
}
