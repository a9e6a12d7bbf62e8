//! Another DEX Upload API, or any tus 1.0.0 server: the upload is sent there in chunks and taken up again where the
//! line broke, by this attempt or a later one.
//!
//! [`outgoing`] reads the upload and compares it with what was promised before its last byte leaves, [`metadata`] says
//! what goes along, [`info`] understands what the other side says of it afterwards. DEX knows no idempotency key, so
//! that sending something once is ours to see to (dex-upload F-11): the URL of the upload over there is remembered
//! before its first byte is sent, and an upload that may be complete is asked after before another one is begun.

mod info;
pub(super) mod metadata;
mod outgoing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Delivered, DeliveryRequest, Destination};
use crate::auth::Tokens;
use crate::clock::SharedClock;
use crate::delivery::dex_target::{DexTarget, WaitFor};
use crate::delivery::{DeliveryError, Progress};
use crate::outbound::tus::{Patience, Remedy, RemoteError, Sending, TusClient, TusSettings, id_of};
use crate::outbound::{Client, Limits, OutboundError, time_for};
use info::Reached;
use outgoing::Outgoing;

/// How long a line that fails is borne within one attempt. The schedule of the delivery owns everything longer.
const PATIENCE: Patience =
    Patience { failures: 5, first: Duration::from_millis(500), longest: Duration::from_secs(20) };

/// How long the other side is asked within one attempt what became of an upload that it has: about a minute.
const POLLING: Patience =
    Patience { failures: 18, first: Duration::from_millis(250), longest: Duration::from_secs(5) };

/// Stands for the status of an answer where nobody can be asked.
const NOT_ASKED: u16 = 0;

/// The largest answer of `/info`.
const ANSWER_BYTES: usize = 1 << 20;

/// Sends uploads to one other DEX.
pub(crate) struct DexDestination {
    client: TusClient,
    target: DexTarget,
    polling: Patience,
}

/// What an attempt leaves for the next one.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Where the upload is over there, once it was created. How far it is says the other side; its bytes and its
    /// manifest are those of our upload, which never change.
    url: Option<String>,
    /// Whether every byte was acknowledged.
    is_sent: bool,
    /// Whether it is the second one, because the first was lost over there.
    is_second: bool,
}

impl Kept {
    fn of(progress: &dyn Progress) -> Self {
        progress.kept().and_then(|kept| serde_json::from_slice(kept).ok()).unwrap_or_default()
    }

    async fn keep(&self, progress: &dyn Progress) -> Result<(), DeliveryError> {
        let state = serde_json::to_vec(self).expect("a struct of a text and two flags is always JSON");
        progress.keep(state).await
    }

    /// Keeps that every byte was acknowledged. Whoever has the delivery by now, it is all there: settling it says
    /// whether somebody called it off meanwhile.
    async fn keep_sent(&mut self, progress: &dyn Progress) -> Result<(), DeliveryError> {
        self.is_sent = true;
        match self.keep(progress).await {
            Err(DeliveryError::LeaseLost) => Ok(()),
            kept => kept,
        }
    }
}

impl DexDestination {
    /// A target that has not been called yet.
    ///
    /// # Errors
    /// No client can be made.
    pub(crate) fn new(target: DexTarget, clock: &SharedClock) -> Result<Self, OutboundError> {
        Self::with_patience(target, clock, PATIENCE, POLLING)
    }

    fn with_patience(
        target: DexTarget,
        clock: &SharedClock,
        patience: Patience,
        polling: Patience,
    ) -> Result<Self, OutboundError> {
        let limits = Limits { reach: target.reach, answer_bytes: ANSWER_BYTES, ..Limits::default() };
        let tokens: Tokens = target.credentials().into_tokens(limits, clock)?;
        let settings = TusSettings { create_url: target.url.clone(), locations: target.locations, patience };
        let client = TusClient::new(Client::new(limits)?, settings, Arc::new(tokens));
        Ok(Self { client, target, polling })
    }

    /// Sees to it that the other side has every byte, and that the next attempt knows.
    async fn send(
        &self,
        kept: &mut Kept,
        metadata: &str,
        outgoing: &mut Outgoing,
        progress: &dyn Progress,
    ) -> Result<(), DeliveryError> {
        let length = outgoing.length();
        let sending = if let Some(url) = &kept.url {
            Sending::resume(&self.client, url.clone(), length).await?
        } else {
            let url = self.client.create(length, metadata).await?;
            kept.url = Some(url.clone());
            kept.keep(progress).await?;
            Sending::begin(&self.client, url, length)
        };
        let meter = progress.meter().clone();
        // Each PATCH ends by itself once the line has been silent for so long.
        meter.bear(time_for(length.min(self.target.chunk_bytes as u64)));
        let mut sending = sending.watched_by(Arc::new(move |_| meter.moved()));
        while !sending.is_complete() {
            let chunk = outgoing.chunk(sending.offset(), self.target.chunk_bytes).await?;
            sending.append(chunk).await?;
        }
        kept.keep_sent(progress).await
    }

    /// The upload is not there any more: it may have been taken away because it was complete; else another one is
    /// begun, once (dex-upload F-05, F-11). Only an answer of the other side says that it was not.
    async fn after_loss(
        &self,
        kept: &mut Kept,
        lost: RemoteError,
        (has_begun, is_at_end): (bool, bool),
        progress: &dyn Progress,
    ) -> Result<(), DeliveryError> {
        // What happened before this attempt nobody knows; within it, the last bytes must have been given out.
        let may_be_complete = !has_begun || is_at_end;
        if let Some(url) =
            kept.url.as_ref().filter(|_| may_be_complete && matches!(lost, RemoteError::Gone { .. }))
        {
            match self.poll(url, Reached::Complete, progress).await {
                Ok((_, reached)) if reached >= Reached::Complete => {
                    return kept.keep_sent(progress).await;
                }
                Ok((NOT_ASKED | 200 | 404 | 410, _)) => {}
                // It does not know at the moment, which is no reason to send anything twice.
                Ok(_) | Err(_) => return Err(lost.into()),
            }
        }
        if kept.is_second {
            // Whoever asks for it again wants it begun anew.
            progress.keep(Vec::new()).await?;
            return Err(DeliveryError::LostTwice);
        }
        *kept = Kept { is_second: true, ..Kept::default() };
        kept.keep(progress).await?;
        // What was read cannot be read again by this attempt.
        if has_begun { Err(lost.into()) } else { Ok(()) }
    }

    /// Waits until the other side says of an upload what is waited for (dex-upload F-09).
    async fn confirm(&self, url: &str, progress: &dyn Progress) -> Result<(), DeliveryError> {
        let (wanted, word) = match self.target.wait_for {
            WaitFor::Sent => return Ok(()),
            WaitFor::Complete => (Reached::Complete, "completed"),
            WaitFor::Delivered => (Reached::Delivered, "delivered"),
        };
        match self.poll(url, wanted, progress).await? {
            (_, reached) if reached >= wanted => Ok(()),
            (status, _) => Err(DeliveryError::NotYet { wanted: word, status }),
        }
    }

    /// Asks until the other side says of an upload what is waited for, or has been asked for long enough: its last
    /// answer.
    async fn poll(
        &self,
        url: &str,
        wanted: Reached,
        progress: &dyn Progress,
    ) -> Result<(u16, Reached), RemoteError> {
        let mut asked = 0;
        loop {
            let answer = self.ask(url).await;
            progress.meter().moved();
            asked += 1;
            let is_over = match answer {
                Ok((status, reached)) => reached >= wanted || status == NOT_ASKED,
                Err(_) => false,
            };
            if is_over || asked > self.polling.failures {
                return answer;
            }
            tokio::time::sleep(self.polling.wait(asked, url)).await;
        }
    }

    /// Asks once: the status of the answer, and how far the upload is.
    async fn ask(&self, url: &str) -> Result<(u16, Reached), RemoteError> {
        let Some(info_url) = &self.target.info_url else {
            return Ok((NOT_ASKED, Reached::Nothing));
        };
        let answer = self.client.get(&format!("{info_url}/{}", id_of(url))).await?;
        // Ids that are not visible yet are 404, at some servers 500 (dex-upload F-09).
        let reached = match answer.status {
            200 => info::reached(&answer.body, &self.target.expected_targets),
            _ => Reached::Nothing,
        };
        Ok((answer.status, reached))
    }
}

#[async_trait]
impl Destination for DexDestination {
    async fn deliver(&self, request: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        let metadata = metadata::header(request.manifest, &self.target.metadata, request.upload_id)?;
        let progress = request.progress;
        let mut outgoing = Outgoing::new(request.source);
        let mut kept = Kept::of(progress);
        if outgoing.length() == 0 {
            // An empty upload is complete as soon as it was created (tus 1.0.0, Creation).
            outgoing.skip_to_end().await?;
        }
        while !kept.is_sent {
            match self.send(&mut kept, &metadata, &mut outgoing, progress).await {
                Err(DeliveryError::Tus(lost)) if lost.remedy() == Remedy::NewUpload => {
                    let read = (outgoing.has_begun(), outgoing.is_at_end());
                    self.after_loss(&mut kept, lost, read, progress).await?;
                }
                sent => sent?,
            }
        }
        let sha256 = outgoing.skip_to_end().await?;
        let location = kept.url.unwrap_or_default();
        self.confirm(&location, progress).await?;
        Ok(Delivered { location, length: outgoing.length(), sha256, remark: None })
    }

    /// Whether the server answers: OPTIONS needs no token and has no effect.
    async fn check(&self) -> Result<(), DeliveryError> {
        Ok(self.client.ask_features().await.map(drop)?)
    }
}

#[cfg(test)]
mod tests;
