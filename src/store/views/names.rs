//! Names by their beginning: for who types them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::selection::escaped;
use crate::domain::Person;
use crate::store::schema::{machines, people};
use crate::store::{Error, Store};

impl Store {
    /// The first machines whose names begin so, if the viewer may see machines.
    pub async fn machine_names_from(
        &mut self,
        viewer: &Person,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<String>, Error> {
        if !viewer.is_operator() {
            return Ok(Vec::new());
        }
        let query = machines::table.filter(machines::hostname.like(format!("{}%", escaped(prefix))));
        let query = query.order(machines::hostname).limit(limit).select(machines::hostname);
        Ok(query.load(self.connection()).await?)
    }

    /// The first people and teams whose names begin so. They are no secret among themselves.
    pub async fn people_names_from(&mut self, prefix: &str, limit: i64) -> Result<Vec<String>, Error> {
        let query = people::table.filter(people::name.like(format!("{}%", escaped(prefix))));
        let query = query.order(people::name).limit(limit).select(people::name);
        Ok(query.load(self.connection()).await?)
    }
}
