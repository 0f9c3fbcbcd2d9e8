//! Machines. Only operators and admins see them.

use std::collections::HashMap;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::domain::{Hostname, Machine, Person};
use crate::store::rows::MachineRow;
use crate::store::schema::{jobs, machines};
use crate::store::{Error, Store};
use crate::workflow::check_operates;

/// A machine, and how much it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMachine {
    /// The machine.
    pub machine: Machine,
    /// How many jobs it runs.
    pub running_jobs: i64,
}

impl Store {
    /// All machines, by name.
    pub async fn machines(&mut self, viewer: &Person) -> Result<Vec<ListedMachine>, Error> {
        check_operates(viewer, "see machines")?;
        let query = machines::table.order(machines::hostname).select(MachineRow::as_select());
        let rows: Vec<MachineRow> = query.load(self.connection()).await?;
        let running = jobs::table
            .filter(jobs::state.eq("RUNNING").and(jobs::machine.is_not_null()))
            .group_by(jobs::machine)
            .select((jobs::machine.assume_not_null(), count_star()));
        let running: Vec<(String, i64)> = running.load(self.connection()).await?;
        let running: HashMap<String, i64> = running.into_iter().collect();
        let listed = |row: MachineRow| {
            let machine = Machine::try_from(row)?;
            let running_jobs = running.get(machine.hostname.as_str()).copied().unwrap_or(0);
            Ok(ListedMachine { machine, running_jobs })
        };
        rows.into_iter().map(listed).collect()
    }

    /// The machine of this name.
    pub async fn machine(&mut self, viewer: &Person, name: &Hostname) -> Result<Option<Machine>, Error> {
        check_operates(viewer, "see machines")?;
        let query = machines::table.find(name.as_str()).select(MachineRow::as_select());
        query.first(self.connection()).await.optional()?.map(Machine::try_from).transpose()
    }
}
