//! Follows the files of DEX while the gateway runs (dex-upload W-26): looks at them regularly, and at once when asked.
//! What changed is taken whole or not at all. What cannot be followed leaves in force what was, is told by the log, a
//! metric and `/health`, and is tried again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::dex_files::{DexFiles, DexSource, Seen};
use super::{storage, wiring};
use crate::config::Config;
use crate::delivery::Routing;
use crate::exchange::Exchange;
use crate::manifest::ConfigProblem;
use crate::telemetry::metrics::{count_reloads, observe_configuration};

/// How often files that change while they are read are read again at once.
const LOOKS: usize = 3;

/// The files, and what became of them last.
pub(super) struct Reloader {
    config: Config,
    source: DexSource,
    exchange: Arc<Exchange>,
    /// How the files looked when they were taken; `None` if they are not in force as they are now.
    taken: Option<Seen>,
    /// What was told of them last.
    told: Vec<ConfigProblem>,
}

/// What a look came to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// They are as they were.
    Unchanged,
    /// They are in force.
    Taken,
    /// They are still being written: another look will tell.
    Unsettled,
    /// They cannot be followed.
    Refused(Vec<ConfigProblem>),
}

impl Reloader {
    /// One for files that were read when they looked so.
    pub(super) fn new(
        config: Config,
        source: DexSource,
        exchange: Arc<Exchange>,
        taken: Option<Seen>,
    ) -> Self {
        observe_configuration(true);
        Self { config, source, exchange, taken, told: Vec::new() }
    }

    /// Follows the files until `stop` is cancelled; looks at them at once whenever `asked` is notified.
    pub(super) async fn run(mut self, asked: Arc<Notify>, stop: CancellationToken) {
        let every = Some(self.config.manifest.reload).filter(|every| !every.is_zero());
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = asked.notified() => true,
                () = pause(every) => false,
            };
            let outcome = self.reload(is_asked).await;
            self.tell(outcome, is_asked);
        }
    }

    /// Looks at the files, and puts them in force if they have changed or somebody asks.
    async fn reload(&mut self, is_asked: bool) -> Outcome {
        for _ in 0..LOOKS {
            let before = match self.source.look().await {
                Ok(seen) => seen,
                Err(problems) => return Outcome::Refused(problems),
            };
            if !is_asked && self.taken.as_ref() == Some(&before) {
                return Outcome::Unchanged;
            }
            let read = self.source.read().await;
            // Half of a change is none: files that somebody is writing are left alone.
            if self.source.look().await.as_ref() != Ok(&before) {
                continue;
            }
            return match read.and_then(|files| self.apply(files)) {
                Ok(()) => {
                    self.taken = Some(before);
                    Outcome::Taken
                }
                Err(problems) => Outcome::Refused(problems),
            };
        }
        Outcome::Unsettled
    }

    /// Puts these files in force.
    fn apply(&self, files: DexFiles) -> Result<(), Vec<ConfigProblem>> {
        let DexFiles { rules, buckets, .. } = files;
        let (old, routing) = (self.exchange.rules.current(), &rules.routing);
        let dexes = wiring::dex_targets(routing, &self.exchange.clock)
            .map_err(|error| vec![ConfigProblem::new("delivery.config_file", error.to_string())])?;
        let folders = storage::file_targets(&self.config, routing);
        let (gone, come) = changes(&old.routing, routing);
        let mut destinations = wiring::destinations(folders, buckets, dexes);
        destinations.retain(|name, _| come.contains(name));
        let known = old.warnings();
        for warning in rules.warnings().iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!("{warning}");
        }
        // The way to a target is there before anything is routed to it.
        self.exchange.deliveries.retarget(&gone, destinations, routing.concurrency());
        self.exchange.rules.replace(rules);
        Ok(())
    }

    fn tell(&mut self, outcome: Outcome, is_asked: bool) {
        match outcome {
            Outcome::Unchanged => {}
            Outcome::Unsettled => tracing::info!("the files of DEX change while they are read"),
            Outcome::Taken => {
                self.told.clear();
                count_reloads("taken");
                observe_configuration(true);
                let rules = self.exchange.rules.current();
                let (streams, targets) = (rules.streams.names().count(), rules.routing.targets().len());
                tracing::info!(streams, targets, asked = is_asked, "the files of DEX were read anew");
            }
            Outcome::Refused(problems) => {
                self.taken = None;
                self.exchange.rules.refuse(problems.len());
                count_reloads("refused");
                observe_configuration(false);
                if is_asked || problems != self.told {
                    for problem in &problems {
                        tracing::error!(
                            place = problem.place,
                            rule = problem.rule,
                            "the files of DEX are wrong"
                        );
                    }
                    tracing::error!("what the files of DEX said before counts");
                    self.told = problems;
                }
            }
        }
    }
}

/// The targets that are gone or are not what they were, and those that are new or not what they were.
fn changes(old: &Routing, new: &Routing) -> (Vec<String>, BTreeSet<String>) {
    let is_same = |name: &String| {
        old.targets().get(name) == new.targets().get(name)
            && old.concurrency().get(name) == new.concurrency().get(name)
    };
    let gone = old.targets().keys().filter(|name| !is_same(name)).cloned().collect();
    let come = new.targets().keys().filter(|name| !is_same(name)).cloned().collect();
    (gone, come)
}

async fn pause(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
