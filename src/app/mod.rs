//! Composition root: the only place where everything meets.
//!
//! [`check`] says whether it would start. [`App::start`] holds the data folder ([`data_dir`]), makes live objects of
//! the settings ([`wiring`]), mends what a crash left, and starts workers and listeners. [`serve`] runs one until it is
//! told to stop ([`lifecycle`]); [`reload`] follows its files meanwhile.

mod contradictions;
mod data_dir;
mod dex_files;
mod lifecycle;
mod reload;
mod reports;
mod signatures;
mod sound;
mod storage;
mod wiring;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

use crate::agenda::{self, Agenda};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, Problems, ServerConfig};
use crate::db::{Db, DbError, Dialect};
use crate::delivery;
use crate::exchange::check_health::LastCheck;
use crate::exchange::discover_endpoint::Endpoints;
use crate::exchange::forward_push::ForwardRules;
use crate::exchange::rules::LiveRules;
use crate::exchange::submit_answer::Awaiting;
use crate::exchange::submit_attachment::RunningKeys;
use crate::exchange::{Declared, Exchange, Retention, export_data};
use crate::fhir::{ProfileError, Profiles};
use crate::http::Router;
use crate::http::listener::{self, Stop};
use crate::http::routes::{DoorState, routes};
use crate::http::state::{Check, EdgeState, Readiness};
use crate::manifest::{ConfigProblem, FhirMapping};
use crate::partner::Partners;
use crate::subscription;
use crate::telemetry::Metrics;
use crate::upload::{UploadError, Uploads};
use crate::upstream::Upstream;

use data_dir::DataDir;
pub use data_dir::DataDirError;
use dex_files::{DexFiles, DexSource, Seen};
pub use lifecycle::LifecycleError;
pub(crate) use lifecycle::Signals;
use lifecycle::{Hangups, Lifecycle};
use reload::Reloader;
pub use sound::{check, check_beside};
use wiring::Files;

/// The gateway could not start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The settings, or files that they name, are wrong.
    #[error(transparent)]
    Settings(Problems),
    /// The database cannot be used.
    #[error("database.url: {0}")]
    Database(String),
    /// The upload store cannot be used.
    #[error("upload.store_url: {0}")]
    UploadStore(String),
    /// The journal of uploads cannot be opened.
    #[error("data_dir: the journal of uploads cannot be opened: {0}")]
    Journal(io::Error),
    /// The upstream FHIR server cannot be called.
    #[error("fhir.upstream: {0}")]
    Upstream(String),
    /// A partner cannot be called.
    #[error("partner: {0}")]
    Partner(String),
    /// A target cannot be called.
    #[error("delivery.config_file: {0}")]
    Target(String),
    /// The identity provider cannot be called.
    #[error("auth.oauth_front: {0}")]
    OAuth(String),
    /// The scanner cannot be called.
    #[error("screening.scanner: {0}")]
    Screening(String),
    /// A report sink cannot be called.
    #[error("report.sink: {0}")]
    Report(String),
    /// A FHIR rule file is wrong.
    #[error("{0}")]
    Profile(String),
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

impl From<UploadError> for AppError {
    fn from(error: UploadError) -> Self {
        Self::UploadStore(with_causes(&error))
    }
}

/// What went wrong and why, for whoever has made the settings; nothing twice.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    for cause in causes.map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Runs the gateway until it is told to stop.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let (signals, hangups) = (Signals::receive()?, Hangups::receive()?);
    let app = App::start(config).await?;
    app.reload_at(hangups);
    app.run(signals).await
}

/// Brings the schema of the database up to date.
pub async fn migrate(config: Config) -> Result<(), AppError> {
    let _held = DataDir::hold(&config.data_dir)?;
    Db::open(&wiring::db_settings(&config, true)).await?.close().await;
    Ok(())
}

/// A gateway that runs.
pub struct App {
    lifecycle: Lifecycle,
    db: Db,
    address: SocketAddr,
    /// Notified when the files of DEX are to be looked at.
    reload: Arc<Notify>,
    _data_dir: DataDir,
}

impl App {
    /// Starts a gateway; when this returns it answers.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        let clock: SharedClock = Arc::new(SystemClock);
        // Before anything counts: what is counted earlier is lost.
        let metrics = Metrics::install(clock.now());
        let (source, dex) = dex_files(&config).await;
        let files = wiring::files(&config, dex)?;
        for warning in sound::warnings(&config, &files, clock.now()) {
            tracing::warn!("{warning}");
        }
        let data_dir = DataDir::hold(&config.data_dir)?;
        let db = Db::open(&wiring::db_settings(&config, config.database.migrate_on_start)).await?;
        let lifecycle = Lifecycle::new(config.server.stop_timeout);
        let main = bind("server.listen", config.server.listen).await?;
        let address = main.local_addr().unwrap_or(config.server.listen);
        let base_url = config.server.base_url(address);
        let exchange = Box::pin(exchange(&config, &base_url, files, &db, &clock, &lifecycle)).await?;
        start_workers(&exchange, &lifecycle);

        let settings = Arc::new(config.server.clone());
        let edge = EdgeState {
            settings: settings.clone(),
            metrics,
            readiness: readiness(exchange.clone()),
            stopping: lifecycle.soft().clone(),
        };
        let reload = Arc::new(Notify::new());
        if let Some((source, seen)) = source {
            let reloader = Reloader::new(config.clone(), source, exchange.clone(), seen);
            lifecycle.spawn("reload worker", reloader.run(reload.clone(), lifecycle.soft().clone()));
        }
        if let Some(address) = settings.admin_listen {
            let admin = bind("server.admin_listen", address).await?;
            listen(&lifecycle, "admin listener", admin, crate::http::admin_router(&edge), &settings);
        }
        let doors = DoorState {
            exchange,
            started_at: clock.now(),
            limits: wiring::limits(&config),
            metadata_mode: wiring::metadata_mode(&config),
            oauth: wiring::oauth_front(&config).map_err(|error| AppError::OAuth(error.to_string()))?,
            public_url: settings.public_url.as_deref().map(|url| url.trim_end_matches('/').into()),
            fhir_base: wiring::fhir_base(&base_url),
            base_url: base_url.into(),
        };
        listen(&lifecycle, "listener", main, crate::http::router(&edge, routes(doors)), &settings);
        tracing::info!(%address, data_dir = %data_dir.path().display(), "listening");
        Ok(Self { lifecycle, db, address, reload, _data_dir: data_dir })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the files of DEX whenever the signal for it comes.
    fn reload_at(&self, mut hangups: Hangups) {
        let (reload, stop) = (self.reload.clone(), self.lifecycle.soft().clone());
        self.lifecycle.spawn("signal listener", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = hangups.next() => reload.notify_one(),
                }
            }
        });
    }

    /// Lets it run until a signal comes, and returns when it has stopped.
    pub(crate) async fn run(self, signals: Signals) -> Result<(), AppError> {
        let ended = self.lifecycle.run(signals).await;
        self.db.close().await;
        Ok(ended?)
    }

    /// Stops it as the first signal would, and returns when it has stopped.
    pub async fn stop(self) -> Result<(), AppError> {
        self.lifecycle.stop();
        let ended = self.lifecycle.stopped().await;
        self.db.close().await;
        Ok(ended?)
    }
}

/// The rules in force.
fn profiles(config: &Config) -> Result<Profiles, Vec<ProfileError>> {
    match &config.fhir.profiles_dir {
        None => Profiles::built_in(),
        Some(folder) => Profiles::load(folder),
    }
}

/// Where the files of DEX are and how they look, and what they say.
async fn dex_files(
    config: &Config,
) -> (Option<(DexSource, Option<Seen>)>, Result<DexFiles, Vec<ConfigProblem>>) {
    let source = match DexSource::of(config) {
        Ok(source) => source,
        Err(problems) => return (None, Err(problems)),
    };
    // A change after this look is found by the next one.
    let seen = source.look().await.ok();
    let read = source.read().await;
    (Some((source, seen)), read)
}

/// Wires the use cases, and mends what a crash left before anything new can come in.
async fn exchange(
    config: &Config,
    base_url: &str,
    files: Files,
    db: &Db,
    clock: &SharedClock,
    lifecycle: &Lifecycle,
) -> Result<Arc<Exchange>, AppError> {
    let Files { dex, upstream, partners, signatures, store } = files;
    let is_shared = db.dialect() != Dialect::Sqlite;
    // What may be lost with this machine, or is seen by other gateways, is not acknowledged from a file of ours.
    let is_ours_alone = !is_shared && matches!(store, storage::Store::Folder(_));
    let takes_entries = config.upload.journal && is_ours_alone;
    let mut uploads = Uploads::new(
        db.clone(),
        clock.clone(),
        storage::blob_store(config, store, clock, is_shared)?,
        wiring::upload_settings(config),
        lifecycle.tracker().clone(),
    );
    uploads.tie_store().await?;
    if let Some(journal) = storage::journal(config, db, takes_entries).await? {
        uploads = uploads.with_journal(journal);
    }
    let uploads = Arc::new(uploads);
    let routing = &dex.rules.routing;
    let folders = storage::file_targets(config, routing);
    for (name, target) in &folders {
        match target.sweep().await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(target = %name, removed, "removed what crashed deliveries left"),
            Err(error) => tracing::warn!(target = %name, %error, "the target cannot be swept"),
        }
    }
    let dexes = wiring::dex_targets(routing, clock).map_err(|error| AppError::Target(error.to_string()))?;
    if !is_shared {
        // The lock on the data folder proves that nobody else runs: whoever held these leases is gone.
        let now = clock.now();
        db.write((), move |(), tx| Box::pin(delivery::free_all_leases(tx, now))).await?;
        db.write((), |(), tx| Box::pin(export_data::free_all_leases(tx))).await?;
        db.write((), |(), tx| Box::pin(agenda::free_all(tx))).await?;
    }
    let upstream = upstream.map(|settings| Upstream::new(settings, clock).map(Arc::new)).transpose();
    let partners = Partners::new(partners, config.policy.clone(), clock);
    let partners = partners.map_err(|error| AppError::Partner(error.to_string()))?;
    let agenda = Arc::new(Agenda::default());
    let exchange = Arc::new(Exchange {
        deliveries: Arc::new(wiring::deliveries(
            config,
            routing,
            db,
            clock,
            &uploads,
            wiring::destinations(folders, dex.buckets, dexes),
            (&partners, &agenda),
        )),
        partners: Arc::new(partners),
        agenda,
        awaiting: Awaiting::at_start(db).await?,
        signatures,
        db: db.clone(),
        clock: clock.clone(),
        uploads,
        rules: LiveRules::new(dex.rules),
        mapping: FhirMapping::new(&config.manifest.fhir),
        profiles: profiles(config).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            AppError::Profile(lines.join("\n"))
        })?,
        upstream: upstream.map_err(|error| AppError::Upstream(error.to_string()))?,
        endpoints: Endpoints::default(),
        // Of what is shared, others may keep a Subscription at any time.
        has_subscribers: (is_shared || subscription::is_any(&mut db.reader().await?.tx()).await?).into(),
        declared: Declared::new(clock.now()),
        last_check: LastCheck::default(),
        forward: ForwardRules::new(config.fhir.forward.clone()),
        screening: wiring::screening(config).map_err(|error| AppError::Screening(error.to_string()))?,
        reports: Arc::new(reports::publisher(config, db, clock)?),
        retention: Retention::new(&config.retention),
        settings: wiring::exchange_settings(config, base_url),
        running: RunningKeys::default(),
        reading: Semaphore::new(wiring::LONG_BODIES),
        collecting: Semaphore::new(wiring::LONG_BODIES),
        tracker: lifecycle.tracker().clone(),
        stopping: lifecycle.soft().clone(),
    });
    let finished = exchange.finish_left_over().await?;
    if finished > 0 {
        tracing::info!(finished, "finished uploads that a crash left full");
    }
    Ok(exchange)
}

fn start_workers(exchange: &Arc<Exchange>, lifecycle: &Lifecycle) {
    let deliveries = exchange.deliveries.clone();
    lifecycle.spawn("delivery tidier", deliveries.clone().tidy(lifecycle.soft().clone()));
    lifecycle.spawn("delivery worker", deliveries.run(lifecycle.tracker().clone(), lifecycle.soft().clone()));
    lifecycle.spawn("agenda worker", exchange.clone().follow_agenda(lifecycle.soft().clone()));
    lifecycle.spawn("export worker", exchange.clone().run_exports(lifecycle.soft().clone()));
    lifecycle.spawn("upload journal", exchange.clone().redeem_uploads(lifecycle.soft().clone()));
    lifecycle.spawn("retention worker", exchange.clone().retain(lifecycle.soft().clone()));
    lifecycle.spawn("report publisher", exchange.reports.clone().run(lifecycle.soft().clone()));
    let (uploads, stopping) = (exchange.uploads.clone(), lifecycle.soft().clone());
    // Looking at every file may take long; nobody has to wait for it.
    lifecycle.tracker().spawn(async move {
        let swept = tokio::select! {
            swept = uploads.sweep() => swept,
            () = stopping.cancelled() => return,
        };
        match swept {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed bytes that no upload names"),
            Err(error) => tracing::warn!(%error, "the upload store cannot be swept"),
        }
    });
}

fn readiness(exchange: Arc<Exchange>) -> Readiness {
    Arc::new(move || {
        let exchange = exchange.clone();
        Box::pin(async move {
            let needed = exchange.check_readiness().await.into_iter().map(|checked| Check {
                name: checked.part.name(),
                up: checked.issue.is_none(),
                needed: true,
            });
            let resting = exchange.parts_at_rest().into_iter();
            let resting = resting.map(|(part, rests)| Check { name: part.name(), up: !rests, needed: false });
            needed.chain(resting).collect()
        })
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
    settings: &Arc<ServerConfig>,
) {
    let settings = settings.clone();
    let stop = Stop {
        soft: lifecycle.soft().clone(),
        hard: lifecycle.hard().clone(),
        tracker: lifecycle.tracker().clone(),
    };
    lifecycle.spawn(name, async move { listener::serve(listener, router, &settings, stop).await });
}
