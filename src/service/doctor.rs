//! Whether the whole system is well: what the database says of itself, and the broker.

use serde::Serialize;

use crate::broker::Broker;
use crate::domain::finding::Examination;
use crate::store::{DatabaseUrl, Store};

/// All that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Whether nothing is broken; notes do not count.
    pub is_well: bool,
    /// The version of this program.
    pub version: &'static str,
    /// What was looked at, and what was found.
    pub examinations: Vec<Examination>,
}

impl Diagnosis {
    /// Looks at both servers. One that is away is a finding, and the other is looked at all the same.
    pub async fn make(database: &DatabaseUrl, broker: &Broker, is_thorough: bool) -> Self {
        let mut examinations = match Store::connect(database, "doctor").await {
            Ok(mut store) => store.examine(is_thorough).await,
            Err(error) => {
                let mut look = Examination::of("postgresql", "nothing: no connection");
                let remedy = "pg_lsclusters, on its host; see DATABASE_URL for host, role and database";
                look.wrong(error.to_string(), remedy);
                vec![look]
            }
        };
        examinations.extend(broker.examine().await);
        let is_well = !examinations.iter().any(Examination::is_wrong);
        Self { is_well, version: env!("CARGO_PKG_VERSION"), examinations }
    }
}
