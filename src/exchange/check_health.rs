//! Whether every part that the gateway needs works: asked all at once, each with a deadline, so that one that
//! hangs does not hide the others (dex-upload W-30).

use std::panic::AssertUnwindSafe;
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
}

impl Part {
    /// The name for operators.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Database => "database".to_owned(),
            Self::UploadStore => "upload-store".to_owned(),
            Self::Target(name) => format!("target {name}"),
            Self::Scanner => "scanner".to_owned(),
        }
    }

    /// The name that DEX's health body gives it.
    pub(crate) fn dex_name(&self) -> String {
        match self {
            Self::Database => "Database".to_owned(),
            Self::UploadStore => "File Storage".to_owned(),
            Self::Target(name) => format!("File Delivery Target {name}"),
            Self::Scanner => "File Scanner".to_owned(),
        }
    }

    /// Whether no request can be taken without it. Deliveries wait for a target that is down, and for the scanner.
    fn is_needed_to_accept(&self) -> bool {
        !matches!(self, Self::Target(_) | Self::Scanner)
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

/// What a check finds wrong. One that panics harms its own part only: what it said goes nowhere, the panic hook logs the
/// place.
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
    /// Looks at every part.
    pub(crate) async fn check_health(&self) -> Vec<Checked> {
        self.check_parts(|_| true).await
    }

    /// Looks at those without which no request can be taken.
    pub(crate) async fn check_readiness(&self) -> Vec<Checked> {
        self.check_parts(Part::is_needed_to_accept).await
    }

    /// Targets, and whether their deliveries wait because they failed again and again; nobody is asked.
    pub(crate) fn targets_at_rest(&self) -> Vec<(Part, bool)> {
        let targets = self.deliveries.target_names();
        targets.map(|name| (Part::Target(name.to_owned()), self.deliveries.is_resting(name))).collect()
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
        let wanted = checks.into_iter().filter(|(part, _)| is_wanted(part));
        join_all(wanted.map(|(part, check)| async move { Checked { part, issue: issue_of(check).await } }))
            .await
    }

    async fn check_database(&self) -> Result<(), String> {
        self.db.check().await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_panics_or_hangs_says_so_of_its_own_part() {
        assert_eq!(issue_of(std::future::ready(Ok(()))).await, None);
        assert_eq!(issue_of(std::future::ready(Err("x".to_owned()))).await.as_deref(), Some("x"));
        assert_eq!(issue_of(std::future::pending()).await.as_deref(), Some("no answer in time"));
        let panics = async { panic!("ZZPHI") };
        assert_eq!(issue_of(panics).await.as_deref(), Some("the check failed"));
    }
}
