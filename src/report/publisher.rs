//! The worker that sends reports to the sinks: each sink gets all of them in one order, one after the other, and what
//! it has is remembered in the database. A sink that is down holds up no other; nothing is skipped because of it, and
//! it goes on where it stopped. What was sent and not yet remembered when the gateway ended is sent again under the
//! same id.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::sink::{Sink, SinkError};
use super::store::outbox::{self, Outgoing, Seat};
use crate::clock::SharedClock;
use crate::db::{Db, DbError, Tx};
use crate::telemetry::metrics::{count_reports, observe_report_lag};

/// Reports that are sent before it is remembered that they were, and so at most as many as are sent again after a
/// crash.
const BATCH: u32 = 100;

/// Reports that get their places in one unit.
const PLACES: u32 = 1000;

/// The pause after a first failure; twice as long after each further one with nothing taken in between, up to the
/// longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Sends reports to the sinks. One for the gateway; [`Publisher::run`] is its worker.
pub(crate) struct Publisher {
    db: Db,
    clock: SharedClock,
    lanes: Vec<Lane>,
    poll_interval: Duration,
}

/// The way to one sink.
struct Lane {
    name: String,
    sink: Sink,
    /// Why the last report did not get there, if it did not.
    trouble: Mutex<Option<String>>,
}

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// There may be more.
    Sent,
    /// The sink has everything.
    Idle,
    /// The sink failed, perhaps after it had taken some, and perhaps wants to be asked again after a time of its own.
    Failed { took_some: bool, wait: Option<Duration> },
    /// Somebody else serves the sink now.
    Replaced,
}

impl Publisher {
    /// Sends to these sinks, by name; new reports are looked for every `poll_interval`.
    pub(crate) fn new(
        db: Db,
        clock: SharedClock,
        sinks: Vec<(String, Sink)>,
        poll_interval: Duration,
    ) -> Self {
        let lanes = sinks.into_iter().map(|(name, sink)| Lane { name, sink, trouble: Mutex::new(None) });
        Self { db, clock, lanes: lanes.collect(), poll_interval }
    }

    /// Publishes until `stop` is cancelled. A report that is on its way then still arrives.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        join_all(self.lanes.iter().map(|lane| self.serve(lane, &stop))).await;
        stop.cancelled().await;
    }

    /// The sinks by name, each with what is wrong with it if anything is; nobody is asked.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.lanes.iter().map(|lane| (lane.name.as_str(), lane.trouble()))
    }

    /// The place up to which every sink has all reports; `None` if there are no sinks, and so nothing to wait for.
    pub(crate) async fn published(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, DbError> {
        let names: Vec<String> = self.lanes.iter().map(|lane| lane.name.clone()).collect();
        outbox::published(tx, &names).await
    }

    async fn serve(&self, lane: &Lane, stop: &CancellationToken) {
        let mut seat = None;
        let mut failures = 0;
        while !stop.is_cancelled() {
            let pause = match self.round(lane, &mut seat, stop).await {
                Ok(Round::Sent) => {
                    failures = 0;
                    continue;
                }
                Ok(Round::Idle) => {
                    failures = 0;
                    self.poll_interval
                }
                Ok(Round::Failed { took_some, wait }) => {
                    failures = if took_some { 1 } else { failures + 1 };
                    pause_after(failures).max(wait.unwrap_or_default())
                }
                Ok(Round::Replaced) => {
                    tracing::warn!(sink = lane.name, "another gateway sends reports to this sink now");
                    return;
                }
                Err(error) => {
                    tracing::warn!(sink = lane.name, %error, "reports could not be published");
                    self.poll_interval
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends what a sink gets next.
    async fn round(
        &self,
        lane: &Lane,
        held: &mut Option<Seat>,
        stop: &CancellationToken,
    ) -> Result<Round, DbError> {
        let seat = match *held {
            Some(seat) => seat,
            None => self.take_seat(lane).await?,
        };
        *held = Some(seat);
        self.give_places().await?;
        let reports = {
            let mut reader = self.db.reader().await?;
            outbox::next(&mut reader.tx(), seat, BATCH).await?
        };
        self.observe(lane, seat, reports.first()).await?;
        if reports.is_empty() {
            lane.is_well();
            return Ok(Round::Idle);
        }
        let Sent { place, refused, failure } = lane.send(&reports, stop).await;
        if let Some(place) = place {
            let now = self.clock.now();
            let state = (lane.name.clone(), refused);
            let kept = self.db.write(state, move |(sink, refused), tx| {
                Box::pin(outbox::advance(tx, sink, (seat.epoch, place), refused, now))
            });
            if !kept.await? {
                return Ok(Round::Replaced);
            }
            *held = Some(Seat { place, ..seat });
        }
        match failure {
            None => {
                lane.is_well();
                Ok(Round::Sent)
            }
            Some(error) => {
                count_reports(&lane.name, "failed", 1);
                tracing::warn!(sink = lane.name, %error, "a report was not taken; it is sent again");
                lane.is_in_trouble(&error);
                Ok(Round::Failed { took_some: place.is_some(), wait: error.wait() })
            }
        }
    }

    async fn take_seat(&self, lane: &Lane) -> Result<Seat, DbError> {
        let now = self.clock.now();
        self.db.write(lane.name.clone(), move |sink, tx| Box::pin(outbox::serve(tx, sink, now))).await
    }

    /// Gives places to all reports that are there and have none.
    async fn give_places(&self) -> Result<(), DbError> {
        loop {
            let is_any = {
                let mut reader = self.db.reader().await?;
                outbox::is_any_without_place(&mut reader.tx()).await?
            };
            if !is_any {
                return Ok(());
            }
            self.db.write((), |(), tx| Box::pin(outbox::give_places(tx, PLACES))).await.map(drop)?;
        }
    }

    /// Shows how far a sink is behind, and by how much time: that of the first report it lacks.
    async fn observe(&self, lane: &Lane, seat: Seat, first: Option<&Outgoing>) -> Result<(), DbError> {
        let (count, age) = match first {
            None => (0, Duration::ZERO),
            Some(first) => {
                let mut reader = self.db.reader().await?;
                let count = outbox::behind(&mut reader.tx(), seat).await?;
                (count, self.clock.now().since(first.created_at))
            }
        };
        observe_report_lag(&lane.name, count, age);
        Ok(())
    }

    /// Sends to every sink what it gets, until each has everything or has failed; returns whether all have. For tests,
    /// which look at what came of it.
    #[cfg(test)]
    pub(crate) async fn publish_all(&self) -> Result<bool, DbError> {
        let never = CancellationToken::new();
        let mut all = true;
        for lane in &self.lanes {
            let mut seat = None;
            let ended = loop {
                match self.round(lane, &mut seat, &never).await? {
                    Round::Sent => {}
                    ended => break ended,
                }
            };
            all &= ended == Round::Idle;
        }
        Ok(all)
    }
}

/// What came of sending some reports.
struct Sent {
    /// The place of the last one that need not be sent again, if there is one.
    place: Option<i64>,
    /// Those that the sink will never take, by their numbers, with the status of the refusal.
    refused: Vec<(i64, u16)>,
    /// What kept the next one from being taken.
    failure: Option<SinkError>,
}

impl Lane {
    async fn send(&self, reports: &[Outgoing], stop: &CancellationToken) -> Sent {
        let mut sent = Sent { place: None, refused: Vec::new(), failure: None };
        let mut taken = 0;
        for report in reports {
            if stop.is_cancelled() {
                break;
            }
            match self.sink.send(report).await {
                Ok(()) => taken += 1,
                Err(SinkError::Refused(status)) => sent.refused.push((report.sequence, status)),
                Err(error) => {
                    sent.failure = Some(error);
                    break;
                }
            }
            sent.place = Some(report.place);
        }
        if let Err(error) = self.sink.flush().await {
            return Sent { place: None, refused: Vec::new(), failure: Some(error) };
        }
        count_reports(&self.name, "sent", taken);
        if !sent.refused.is_empty() {
            let count = sent.refused.len();
            tracing::warn!(sink = self.name, count, "reports were refused for good and set aside");
            count_reports(&self.name, "refused", u64::try_from(count).unwrap_or(u64::MAX));
        }
        sent
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_well(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_in_trouble(&self, error: &SinkError) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// How long a sink is left alone after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = failures.saturating_sub(1).min(16);
    (FIRST_PAUSE * 2_u32.pow(doubled)).min(LONGEST_PAUSE)
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
