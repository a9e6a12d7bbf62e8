//! Composition root: the only place where everything meets.
//!
//! [`serve`] holds the data folder ([`data_dir`]), opens what the settings name, starts the workers and the
//! listeners, and returns when the gateway has stopped ([`lifecycle`]).

mod data_dir;
mod lifecycle;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::db::{Db, DbError, DbSettings};
use crate::http::listener::{self, Stop};
use crate::http::state::{Check, EdgeState, Readiness};
use crate::telemetry::Metrics;

use data_dir::DataDir;
pub use data_dir::DataDirError;
pub use lifecycle::LifecycleError;
use lifecycle::{Lifecycle, Signals};

/// The gateway could not start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error("database.url: {0}")]
    Database(String),
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {}", .source.kind())]
    Listen {
        /// The setting.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It ran, but did not end as it should.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
}

impl From<DbError> for AppError {
    fn from(error: DbError) -> Self {
        Self::Database(error.to_string())
    }
}

/// Runs the gateway until it is told to stop.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let data_dir = DataDir::hold(&config.data_dir)?;
    let db = Db::open(&db_settings(&config, config.database.migrate_on_start)).await?;
    let signals = Signals::receive()?;
    let lifecycle = Lifecycle::new(config.server.stop_timeout);
    let settings = Arc::new(config.server.clone());
    let state = EdgeState {
        settings: settings.clone(),
        metrics: Metrics::install(SystemClock.now()),
        readiness: readiness(db.clone()),
        stopping: lifecycle.soft().clone(),
    };

    let main = bind("server.listen", settings.listen).await?;
    if let Some(address) = settings.admin_listen {
        let admin = bind("server.admin_listen", address).await?;
        listen(&lifecycle, "admin listener", admin, crate::http::admin_router(&state), &settings);
    }
    if let Ok(address) = main.local_addr() {
        tracing::info!(%address, data_dir = %data_dir.path().display(), "listening");
    }
    listen(&lifecycle, "listener", main, crate::http::router(&state, Router::new()), &settings);

    let ended = lifecycle.run(signals).await;
    db.close().await;
    Ok(ended?)
}

/// Brings the schema of the database up to date.
pub async fn migrate(config: Config) -> Result<(), AppError> {
    let _held = DataDir::hold(&config.data_dir)?;
    Db::open(&db_settings(&config, true)).await?.close().await;
    Ok(())
}

fn db_settings(config: &Config, migrate: bool) -> DbSettings {
    DbSettings {
        url: config.database_url().reveal().to_owned(),
        connections: config.database.connections,
        busy_timeout: config.database.busy_timeout,
        durable: config.durability == crate::config::Durability::Full,
        migrate,
    }
}

fn readiness(db: Db) -> Readiness {
    Arc::new(move || {
        let db = db.clone();
        Box::pin(async move { vec![Check { name: "database".to_owned(), up: db.reader().await.is_ok() }] })
    })
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address).await.map_err(|source| AppError::Listen { key, address, source })
}

fn listen(
    lifecycle: &Lifecycle,
    name: &'static str,
    listener: TcpListener,
    router: Router,
    settings: &Arc<crate::config::ServerConfig>,
) {
    let settings = settings.clone();
    let stop = Stop {
        soft: lifecycle.soft().clone(),
        hard: lifecycle.hard().clone(),
        tracker: lifecycle.tracker().clone(),
    };
    lifecycle.spawn(name, async move { listener::serve(listener, router, &settings, stop).await });
}
