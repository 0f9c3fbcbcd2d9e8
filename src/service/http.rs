//! Health, readiness and metrics, for whoever watches the process.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Context, metrics};

/// Serves until shutdown. An address that is taken ends the process: somebody else answers there.
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<()> {
    let Some(address) = context.settings.http else {
        context.shutdown.cancelled().await;
        return Ok(());
    };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}; choose another with --http, or none")
    })?;
    let router = axum::Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async || metrics::render()))
        .with_state(Arc::clone(&context));
    let shutdown = context.shutdown.clone();
    axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await?;
    Ok(())
}

/// 200 when every role works or stands by, else 503 with the reasons.
async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, Json<Value>) {
    let mut troubles = context.health.troubles();
    if let Some(reason) = context.broker.blocked() {
        troubles.insert("broker", format!("it takes nothing from publishers: {reason}"));
    }
    let roles = context.health.words();
    let code = if troubles.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({"ready": troubles.is_empty(), "roles": roles, "troubles": troubles})))
}
