//! Another DEX against the contract of a destination.

use super::{destination, dex};
use crate::delivery::ClashPolicy;
use crate::delivery::destination::Destination;
use crate::delivery::destination::contract::{DistantTarget, TestTarget, by_a_closed_line, contract_tests};
use crate::id::DeliveryId;
use crate::outbound::tus::testing::FakeTus;

/// The contract of all destinations, where it is about what is whole over there and not about names.
struct Target(FakeTus);

impl TestTarget for Target {
    fn destination(&self, _: ClashPolicy) -> impl Destination {
        destination(&self.0, |_| {})
    }

    /// Another DEX names things itself: what is there, if it is one thing.
    async fn read(&self, _: &str) -> Option<Vec<u8>> {
        let mut complete = self.0.complete();
        assert!(complete.len() < 2, "at most one complete upload");
        complete.pop().map(|upload| upload.content.into_bytes())
    }

    async fn put(&self, _: &str, _: &[u8]) {
        unreachable!("nobody else's upload is in the way of ours")
    }

    async fn paths(&self) -> Vec<String> {
        self.0.complete().into_iter().map(|upload| upload.metadata).collect()
    }

    async fn crash(&self, _: DeliveryId, _: i64, _: &str) {
        unreachable!("what a crash leaves is in the progress of the delivery")
    }

    fn lengths(&self) -> &'static [usize] {
        // One chunk, and three.
        &[1, 20]
    }

    async fn clear(&self) {
        for upload in &mut self.0.state().uploads {
            upload.is_gone = true;
        }
    }

    fn away(&self) -> (impl Destination, impl FnOnce()) {
        by_a_closed_line(self)
    }
}

impl DistantTarget for Target {
    fn url(&self) -> String {
        self.0.url().to_owned()
    }

    fn by(&self, url: String, _: ClashPolicy) -> impl Destination {
        destination(&self.0, |target| {
            target.url = format!("{url}/files");
            target.info_url = Some(format!("{url}/info"));
        })
    }
}

contract_tests!(Target(dex().await);
    the_same_delivery_twice_leaves_what_once_leaves,
    a_source_that_fails_leaves_nothing,
    bytes_that_are_not_the_promised_ones_leave_nothing,
    a_delivery_that_is_given_up_shows_nothing,
    a_target_that_is_gone_is_delivered_to_once_it_is_back,
    a_kill_at_any_call_leaves_one_whole_object,
    a_target_that_goes_away_at_any_call_gets_one_whole_object,
    a_target_that_is_throttled_at_any_call_is_left_alone_for_as_long_as_it_says,
    a_service_that_hangs_holds_up_only_its_own_attempt,
);
