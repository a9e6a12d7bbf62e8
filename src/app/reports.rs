//! From settings to the sinks of reports.

use super::AppError;
use super::wiring::is_durable;
use crate::clock::SharedClock;
use crate::config::{Config, SinkConfig, SinkPlace};
use crate::db::Db;
use crate::outbound::nats::{NatsCredentials, NatsSettings};
use crate::outbound::{Reach, names_private};
use crate::report::Publisher;
use crate::report::sink::{FileSink, HttpSink, NatsSink, Sink};

/// What sends reports to the sinks that the settings name. Nothing is called yet.
pub(super) fn publisher(config: &Config, db: &Db, clock: &SharedClock) -> Result<Publisher, AppError> {
    let mut sinks = Vec::new();
    for (name, section) in &config.report.sink {
        // Validation has told what is missing.
        let Some(place) = section.place() else { continue };
        let sink = sink(section, place, is_durable(config));
        let sink = sink.map_err(|error| AppError::Report(error.to_string()))?;
        sinks.push((name.clone(), sink));
    }
    Ok(Publisher::new(db.clone(), clock.clone(), sinks, config.report.poll_interval))
}

fn sink(
    section: &SinkConfig,
    place: SinkPlace<'_>,
    durable: bool,
) -> Result<Sink, crate::outbound::OutboundError> {
    Ok(match place {
        SinkPlace::Folder(folder) => Sink::File(FileSink::new(folder.to_owned(), durable)),
        SinkPlace::Endpoint { url } => {
            let is_private = section.private_addresses || names_private(url);
            let reach = if is_private { Reach::Everywhere } else { Reach::Public };
            Sink::Http(HttpSink::new(url, section.token.clone(), reach)?)
        }
        SinkPlace::Subject { url, subject } => {
            let credentials = match (&section.token, &section.user, &section.password) {
                (_, Some(user), Some(password)) => NatsCredentials::User(user.clone(), password.clone()),
                (Some(token), _, _) => NatsCredentials::Token(token.clone()),
                _ => NatsCredentials::None,
            };
            let settings = NatsSettings { url: url.to_owned(), credentials };
            Sink::Nats(Box::new(NatsSink::new(settings, subject.to_owned())))
        }
    })
}
