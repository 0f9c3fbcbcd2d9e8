//! The loops: where store and broker meet. No rule is in here.
//!
//! | file           | what                                             | runs          |
//! |----------------|--------------------------------------------------|---------------|
//! | `consumer`     | what workers and operators say → `Store::apply`  | everywhere    |
//! | `dispatcher`   | due jobs → work queues, a short window           | at its leader |
//! | `relay`        | event log → fanout exchange                      | at its leader |
//! | `reaper`       | silent jobs and machines → `Store::apply`        | at its leader |
//! | [`rejected`]   | rejected messages, sent again or dropped         | when asked    |
//! | [`status`]     | how the whole system does, in numbers            | when asked    |
//! | [`doctor`]     | what is wrong with the system, and what to type  | when asked    |
//! | `housekeeping` | topology, partitions, retention                  | at its leader |
//! | `http`         | health, readiness and metrics                    | everywhere    |

mod consumer;
mod dispatcher;
pub mod doctor;
mod health;
mod housekeeping;
mod http;
mod leader;
mod log;
mod metrics;
mod reaper;
pub mod rejected;
mod relay;
mod settings;
pub mod status;
mod supervise;

pub use settings::Settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Broker, Queue};
use crate::store::{self, Store};
use health::Health;
use log::LogSeen;
use supervise::supervise;

/// How long what is in hand may take once we are told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

/// Who reads which queue. Two share each queue of workers' words: while one waits for the database, the other computes.
const CONSUMERS: [(&str, Queue); 7] = [
    ("start", Queue::Start),
    ("start-2", Queue::Start),
    ("heartbeat", Queue::Heartbeat),
    ("heartbeat-2", Queue::Heartbeat),
    ("finish", Queue::Finish),
    ("finish-2", Queue::Finish),
    ("command", Queue::Commands),
];

/// How `serve` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The event log ends below where this process has read it: restored? A service manager must not start it
    /// again; somebody must run `after-restore`.
    LogWentBack,
}

/// What the roles of one process share.
struct Context {
    settings: Settings,
    broker: Broker,
    health: Health,
    shutdown: CancellationToken,
    /// Something was written to the event log.
    events_written: Notify,
    /// A job may have become due.
    jobs_changed: Notify,
    log_seen: LogSeen,
}

/// Runs every service until `shutdown`, or until something happens that only people can mend.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<Ended> {
    let broker = Broker::new(settings.amqp.clone(), &settings.prefix, &broker::name::here("coordinator"));
    let context = Arc::new(Context {
        settings,
        broker,
        health: Health::default(),
        shutdown,
        events_written: Notify::new(),
        jobs_changed: Notify::new(),
        log_seen: LogSeen::default(),
    });
    let mut roles = JoinSet::new();
    roles.spawn(http::run(Arc::clone(&context)));
    let first = supervise("setup", Arc::clone(&context), setup).await;
    let ended = match first {
        Ok(()) => {
            spawn_roles(&mut roles, &context);
            tracing::info!(version = env!("CARGO_PKG_VERSION"), "coordinator started");
            wait(&mut roles, &context).await
        }
        Err(error) => Err(error),
    };
    context.shutdown.cancel();
    let stopping = async { while roles.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, stopping).await.is_err() {
        tracing::warn!("what was in hand was not done within {STOP_TIMEOUT:?}; it will be delivered again");
    }
    context.broker.close().await;
    tracing::info!("coordinator stopped");
    match ended {
        Ok(()) => Ok(Ended::Stopped),
        Err(error) if matches!(error.downcast_ref(), Some(store::Error::LogWentBack { .. })) => {
            tracing::error!("{error:#}");
            Ok(Ended::LogWentBack)
        }
        Err(error) => Err(error),
    }
}

/// Brings schema and partitions to what is needed, before anything is consumed.
async fn setup(context: Arc<Context>) -> anyhow::Result<()> {
    for version in Store::migrate(&context.settings.database).await? {
        tracing::info!(version, "migration {version} was run");
    }
    let mut store = Store::connect(&context.settings.database, "setup").await?;
    store.make_partitions(context.settings.retention).await?;
    context.broker.declare().await?;
    context.health.forget("setup");
    Ok(())
}

fn spawn_roles(roles: &mut JoinSet<anyhow::Result<()>>, context: &Arc<Context>) {
    for (role, queue) in CONSUMERS {
        spawn(roles, role, context, move |context| consumer::session(context, role, queue));
    }
    spawn(roles, "dispatcher", context, dispatcher::session);
    spawn(roles, "relay", context, relay::session);
    spawn(roles, "reaper", context, reaper::session);
    spawn(roles, "housekeeping", context, housekeeping::session);
}

/// Begins a session of a role: the database, its log, the broker and its topology, and a committed row of its own, in
/// this order. No role may write to a log that went back: what it adds would hide that from the others.
async fn begin(context: &Context, role: &str) -> anyhow::Result<Store> {
    let mut store = Store::connect(&context.settings.database, role).await?;
    log::log_end(context, &mut store).await?;
    context.broker.declare().await?;
    store.begin_session().await?;
    Ok(store)
}

/// Gives a role a thread of its own, with a runtime of its own. Its futures never move, so they need not be `Send`,
/// which the compiler cannot see of those that borrow as ours do; no role waits for another's computing; and what it
/// says to the database, it says itself, without waking another thread for each statement and answer.
fn spawn<F>(
    roles: &mut JoinSet<anyhow::Result<()>>,
    role: &'static str,
    context: &Arc<Context>,
    session: impl Fn(Arc<Context>) -> F + Send + 'static,
) where
    F: Future<Output = anyhow::Result<()>>,
{
    let context = Arc::clone(context);
    roles.spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start a role")?.block_on(supervise(role, context, session))
    });
}

/// Waits for the end of the first role: all end when they are told to, and one ends for all when only people
/// can mend what it met.
async fn wait(roles: &mut JoinSet<anyhow::Result<()>>, context: &Context) -> anyhow::Result<()> {
    while let Some(ended) = roles.join_next().await {
        match ended {
            Ok(Ok(())) if context.shutdown.is_cancelled() => return Ok(()),
            Ok(ended) => ended?,
            // A bug: the process goes down with it, and its service manager starts it again.
            Err(panic) => anyhow::bail!("a role ended in a panic: {panic}"),
        }
    }
    Ok(())
}
