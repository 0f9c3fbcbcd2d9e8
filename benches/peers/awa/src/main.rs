//! A job that does nothing, in PostgreSQL alone; its row stays, as completed.

use std::time::Duration;

use awa::{Client, InsertOpts, JobArgs, JobResult, QueueConfig};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JobArgs)]
struct Noop {
    n: i64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let pool = sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    match arguments[1].as_str() {
        "prepare" => awa::awa_model::migrations::run(&pool).await?,
        "enqueue" => {
            let jobs: Vec<i64> = (0..arguments[2].parse()?).collect();
            for numbers in jobs.chunks(1000) {
                let params = |n: &i64| {
                    let opts = InsertOpts { queue: "noop".into(), ..Default::default() };
                    awa::awa_model::insert::params_with(&Noop { n: *n }, opts)
                };
                let params = numbers.iter().map(params).collect::<Result<Vec<_>, _>>()?;
                awa::awa_model::insert::insert_many_copy_from_pool(&pool, &params).await?;
            }
        }
        _ => {
            let tuned = std::env::var("PEER_TUNED")? == "1";
            let queue = if tuned {
                let poll_interval = Duration::from_millis(50);
                QueueConfig { max_workers: 512, claimers: 2, claim_batch_size: 512, poll_interval, ..Default::default() }
            } else {
                QueueConfig::default()
            };
            let client = Client::builder(pool)
                .queue("noop", queue)
                .register::<Noop, _, _>(|_, _| async { Ok(JobResult::Completed) })
                .build()?;
            client.start().await?;
            tokio::signal::ctrl_c().await?;
        }
    }
    Ok(())
}
