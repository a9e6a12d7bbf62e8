//! Whether every part that the gateway needs works: asked all at once, each with a deadline, so that one that hangs
//! does not hide the others (dex-upload W-30). Who asks for everything gets what was found a moment ago: anybody may
//! ask, and each answer costs a call to every target.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use tokio::sync::Mutex;

use super::Exchange;
use crate::clock::Timestamp;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what was found is believed.
const FRESH: Duration = Duration::from_secs(1);

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
    /// The DEX files, which may have changed into what cannot be followed.
    Configuration,
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
            Self::Configuration => "configuration".to_owned(),
            Self::ReportSink(name) => format!("report sink {name}"),
        }
    }

    /// Whether no request can be taken without it. Deliveries wait for a target that is down, and for the scanner;
    /// reports wait for a sink.
    fn is_needed_to_accept(&self) -> bool {
        matches!(self, Self::Database | Self::UploadStore)
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

/// What was found last of all parts.
#[derive(Debug, Default)]
pub(crate) struct LastCheck(Mutex<Option<(Timestamp, Vec<Checked>)>>);

/// What a check finds wrong. One that panics harms its own part only: what it said goes nowhere, the panic hook logs
/// the place.
async fn issue_of(check: impl Future<Output = Result<(), String>>) -> Option<String> {
    let check = AssertUnwindSafe(check).catch_unwind();
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(issue))) => Some(issue),
        Ok(Err(_)) => Some("the check failed".to_owned()),
        Err(_) => Some("no answer in time".to_owned()),
    }
}

impl Exchange {
    /// What was found of every part, a second ago at most. Of those who ask at the same time one looks; the others
    /// wait.
    ///
    /// *Cancellation*: the next one who asks looks.
    pub(crate) async fn check_health(&self) -> Vec<Checked> {
        let mut last = self.last_check.0.lock().await;
        let now = self.clock.now();
        if let Some((at, found)) = &*last
            && now.since(*at) < FRESH
        {
            return found.clone();
        }
        let found = self.check_parts(|_| true).await;
        *last = Some((now, found.clone()));
        found
    }

    /// The name that DEX's health body gives a part, and what it says of one that works (dex-upload 1.3).
    pub(crate) fn dex_name(&self, part: &Part) -> (String, &'static str) {
        const WORKS: &str = "None reported";
        match part {
            Part::Database => ("Database".to_owned(), WORKS),
            Part::UploadStore => (self.settings.upload_store_name.clone(), WORKS),
            Part::Scanner => ("File Scanner".to_owned(), WORKS),
            Part::Configuration => ("Data Stream Configuration".to_owned(), WORKS),
            Part::ReportSink(name) => (format!("Report Sink {name}"), WORKS),
            Part::Target(name) => match self.rules.current().routing.targets().get(name) {
                Some(target) => target.dex_name(name),
                None => (format!("Endpoint {name}"), WORKS),
            },
        }
    }

    /// Looks at those without which no request can be taken.
    pub(crate) async fn check_readiness(&self) -> Vec<Checked> {
        self.check_parts(Part::is_needed_to_accept).await
    }

    /// Whatever others wait for: targets, and whether their deliveries rest because they failed again and again; sinks,
    /// and whether reports wait for them. Nobody is asked.
    pub(crate) fn parts_at_rest(&self) -> Vec<(Part, bool)> {
        let targets = self.deliveries.target_names().into_iter().map(|name| {
            let rests = self.deliveries.is_resting(&name);
            (Part::Target(name), rests)
        });
        let sinks = self.reports.sinks();
        let sinks = sinks.map(|(name, trouble)| (Part::ReportSink(name.to_owned()), trouble.is_some()));
        targets.chain(sinks).collect()
    }

    /// Looks at some of them.
    pub(crate) async fn check_parts(&self, is_wanted: impl Fn(&Part) -> bool) -> Vec<Checked> {
        let mut checks: Vec<(Part, BoxFuture<'_, Result<(), String>>)> = vec![
            (Part::Database, self.check_database().boxed()),
            (
                Part::UploadStore,
                self.uploads.check().map(|done| done.map_err(|error| error.to_string())).boxed(),
            ),
        ];
        for name in self.deliveries.target_names() {
            let Some(destination) = self.deliveries.destination(&name) else { continue };
            // A target that answers and fails again and again is down all the same.
            let rests = self.deliveries.is_resting(&name);
            let check = async move {
                match destination.check().await {
                    Ok(()) if rests => Err(RESTING.to_owned()),
                    done => done.map_err(|error| error.to_string()),
                }
            };
            checks.push((Part::Target(name), check.boxed()));
        }
        let followed = match self.rules.problems() {
            None => Ok(()),
            Some(problems) => Err(format!(
                "the files have changed and {problems} things are wrong with them, which the log tells; what was read \
                 before counts"
            )),
        };
        checks.push((Part::Configuration, std::future::ready(followed).boxed()));
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
        join_all(wanted.map(|(part, check)| async move { Checked { part, issue: issue_of(check).await } }))
            .await
    }

    async fn check_database(&self) -> Result<(), String> {
        self.db.check().await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
#[path = "check_health_tests.rs"]
mod tests;
