//! What a delivery to another DEX tells of itself while it goes on, and what it does when nobody will hear it any more.

use async_trait::async_trait;

use super::super::*;
use super::{Job, MemoryProgress, MemorySource, destination, dex, source};
use crate::delivery::meter::Meter;

/// Whose lease is lost once it keeps that everything was sent, or before.
struct LosesLease<'a> {
    progress: MemoryProgress<'a>,
    is_lost_before: bool,
}

#[async_trait]
impl Progress for LosesLease<'_> {
    fn kept(&self) -> Option<&[u8]> {
        self.progress.kept()
    }

    async fn keep(&self, state: Vec<u8>) -> Result<(), DeliveryError> {
        let kept: Kept = serde_json::from_slice(&state).expect("it can be read");
        if kept.is_sent || self.is_lost_before {
            return Err(DeliveryError::LeaseLost);
        }
        self.progress.keep(state).await
    }

    fn meter(&self) -> &Arc<Meter> {
        self.progress.meter()
    }
}

/// T-28, F-06: who has every byte has it, whoever has the delivery; before the first byte nothing goes out.
#[tokio::test]
async fn a_lease_that_is_lost_stops_what_is_not_sent_and_nothing_else() {
    for is_lost_before in [false, true] {
        let fake = dex().await;
        let job = Job::default();
        let progress = LosesLease { progress: MemoryProgress::of(&job.0), is_lost_before };
        let sent = job.attempt_with(&destination(&fake, |_| {}), source(), &progress).await;
        assert_eq!(sent.is_ok(), !is_lost_before, "{sent:?}");
        assert_eq!(fake.methods().iter().any(|method| method == "PATCH"), !is_lost_before);
    }
}

/// Within one PATCH each block that the line takes is a sign of life.
#[tokio::test]
async fn bytes_on_the_line_are_a_sign_of_life() {
    let fake = dex().await;
    let destination = destination(&fake, |target| target.chunk_bytes = 1 << 20);
    let job = Job::default();
    let progress = MemoryProgress::of(&job.0);
    let content = vec![b'x'; 640 << 10];
    job.attempt_with(&destination, MemorySource::new(content), &progress).await.expect("it is delivered");
    assert_eq!(fake.methods().iter().filter(|method| *method == "PATCH").count(), 1);
    assert!(progress.meter().signs() >= 10, "{}", progress.meter().signs());
}
