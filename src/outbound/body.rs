//! The body of a call while the line takes it: how far it is, and whether it moves at all. It knows blocks, not what is
//! in them, and how long the answer may take afterwards is the call's to say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::OutboundError;

/// A stream that the line takes block by block.
pub(super) struct OnTheWay {
    /// Notified with each block.
    taken: Notify,
    is_sent: AtomicBool,
    /// How long the line may take nothing; for ever if nobody knows whether it is the line that is waited for.
    stall: Option<Duration>,
}

impl OnTheWay {
    /// One of so many bytes, of which nothing was taken yet.
    pub(super) fn new(length: u64, stall: Option<Duration>) -> Self {
        Self { taken: Notify::new(), is_sent: AtomicBool::new(length == 0), stall }
    }

    /// The line has taken a block.
    pub(super) fn take(&self, is_last: bool) {
        self.is_sent.fetch_or(is_last, Ordering::Release);
        self.taken.notify_one();
    }

    /// Returns once all was taken, or the line has stalled.
    pub(super) async fn sent_or_stalled(&self) -> Result<(), OutboundError> {
        while !self.is_sent.load(Ordering::Acquire) {
            let taken = self.taken.notified();
            match self.stall {
                Some(stall) => timeout(stall, taken).await.map_err(|_| OutboundError::Timeout)?,
                None => taken.await,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_mins(5);

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_may_take_any_time_and_one_that_does_not_is_stalled() {
        // A block every four minutes: the whole takes longer than any stall.
        for (blocks, is_sent) in [(9, true), (3, false)] {
            let body = OnTheWay::new(9, Some(STALL));
            let line = async {
                for block in 1..=blocks {
                    tokio::time::sleep(Duration::from_mins(4)).await;
                    body.take(block == 9);
                }
            };
            let (told, ()) = tokio::join!(body.sent_or_stalled(), line);
            assert_eq!(told.is_ok(), is_sent, "{told:?}");
        }
        OnTheWay::new(0, Some(STALL)).sent_or_stalled().await.expect("nothing is to be sent");
    }
}
