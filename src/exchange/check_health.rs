//! Whether every part that the gateway needs works: asked all at once, each with a deadline, so that one that
//! hangs does not hide the others (dex-upload W-30).

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use super::Exchange;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wrong with a target whose circuit is open.
const RESTING: &str = "deliveries failed again and again, so they wait";

/// Something that the gateway depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The database.
    Database,
    /// Where uploads are kept.
    UploadStore,
    /// A delivery target, by its configured name.
    Target(String),
    /// What looks for malicious content.
    Scanner,
    /// Where reports are sent, by its configured name.
    ReportSink(String),
}

impl Part {
    /// The name for operators.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Database => "database".to_owned(),
            Self::UploadStore => "upload-store".to_owned(),
            Self::Target(name) => format!("target {name}"),
            Self::Scanner => "scanner".to_owned(),
            Self::ReportSink(name) => format!("report sink {name}"),
        }
    }

    /// The name that DEX's health body gives it.
    pub(crate) fn dex_name(&self) -> String {
        match self {
            Self::Database => "Database".to_owned(),
            Self::UploadStore => "File Storage".to_owned(),
            Self::Target(name) => format!("File Delivery Target {name}"),
            Self::Scanner => "File Scanner".to_owned(),
            Self::ReportSink(name) => format!("Report Sink {name}"),
        }
    }

    /// Whether no request can be taken without it. Deliveries wait for a target that is down, and for the scanner; reports
    /// wait for a sink.
    fn is_needed_to_accept(&self) -> bool {
        !matches!(self, Self::Target(_) | Self::Scanner | Self::ReportSink(_))
    }
}

/// What was found of one part.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// The part.
    pub(crate) part: Part,
    /// What is wrong with it, if anything is; a text of ours.
    pub(crate) issue: Option<String>,
}

impl Exchange {
    /// Looks at every part.
    pub(crate) async fn check_health(&self) -> Vec<Checked> {
        self.check_parts(|_| true).await
    }

    /// Looks at those without which no request can be taken.
    pub(crate) async fn check_readiness(&self) -> Vec<Checked> {
        self.check_parts(Part::is_needed_to_accept).await
    }

    /// Whatever others wait for: targets, and whether their deliveries rest because they failed again and again; sinks, and
    /// whether reports wait for them. Nobody is asked.
    pub(crate) fn parts_at_rest(&self) -> Vec<(Part, bool)> {
        let targets = self.deliveries.target_names();
        let targets = targets.map(|name| (Part::Target(name.to_owned()), self.deliveries.is_resting(name)));
        let sinks = self.reports.sinks();
        let sinks = sinks.map(|(name, trouble)| (Part::ReportSink(name.to_owned()), trouble.is_some()));
        targets.chain(sinks).collect()
    }

    async fn check_parts(&self, is_wanted: impl Fn(&Part) -> bool) -> Vec<Checked> {
        let mut checks: Vec<(Part, BoxFuture<'_, Result<(), String>>)> = vec![
            (Part::Database, self.check_database().boxed()),
            (
                Part::UploadStore,
                self.uploads.check().map(|done| done.map_err(|error| error.to_string())).boxed(),
            ),
        ];
        for name in self.deliveries.target_names() {
            let Some(destination) = self.deliveries.destination(name) else { continue };
            // A target that answers and fails again and again is down all the same.
            let check = destination.check().map(|done| match done {
                Ok(()) if self.deliveries.is_resting(name) => Err(RESTING.to_owned()),
                done => done.map_err(|error| error.to_string()),
            });
            checks.push((Part::Target(name.to_owned()), check.boxed()));
        }
        if let Some(scanner) = &self.screening.scanner {
            let check = scanner.check().map(|done| done.map_err(|error| error.to_string()));
            checks.push((Part::Scanner, check.boxed()));
        }
        for (name, trouble) in self.reports.sinks() {
            // A report is sent as soon as there is one: what came of the last says how the sink is.
            let known = std::future::ready(trouble.map_or(Ok(()), Err));
            checks.push((Part::ReportSink(name.to_owned()), known.boxed()));
        }
        let wanted = checks.into_iter().filter(|(part, _)| is_wanted(part));
        join_all(wanted.map(|(part, check)| async move {
            let issue = match tokio::time::timeout(PATIENCE, check).await {
                Ok(Ok(())) => None,
                Ok(Err(issue)) => Some(issue),
                Err(_) => Some("no answer in time".to_owned()),
            };
            Checked { part, issue }
        }))
        .await
    }

    async fn check_database(&self) -> Result<(), String> {
        self.db.check().await.map_err(|error| error.to_string())
    }
}
