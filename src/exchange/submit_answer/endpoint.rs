//! Where an answer is sent: to the input payer-url, which names the operation; where it names only a server or its FHIR
//! base, or is missing, to the endpoint that the payer's entry or its own discovery document says (cdex §3.9, §5.1).

use std::sync::Arc;

use super::progress::Stage;
use crate::agenda::Item;
use crate::cdex::attachment_request::AttachmentRequest;
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::partner::Partner;

/// How often a payer that gives no answer is asked for its discovery document before it counts as having none.
const ATTEMPTS: u32 = 6;

/// The payer and the URL at which it takes the answer.
pub(super) struct Endpoint {
    pub(super) partner: Arc<Partner>,
    pub(super) url: String,
}

impl Exchange {
    /// Where the answer to a request is sent, or the stage of a Task that has nowhere to send it.
    ///
    /// # Errors
    /// The payer cannot be asked for its endpoint now.
    pub(super) async fn endpoint_of(
        &self,
        item: &Item,
        request: &AttachmentRequest,
    ) -> Result<Result<Endpoint, Stage>, FollowError> {
        let nowhere = |text: &str| Ok(Err(Stage::new(Stage::NO_PARTNER, text)));
        let Some(partner) = self.payer_of(request) else {
            return nowhere(match request.payer_url {
                Some(_) => "The server in the input payer-url is none of a configured partner",
                None => "The input payer-url is missing, and the requester is no configured partner",
            });
        };
        let is_named = request.payer_url.as_ref().is_some_and(|named| !partner.is_base(named));
        let published = if is_named { None } else { self.published_endpoint(item, partner).await? };
        match published.or_else(|| request.submit_url()) {
            Some(url) => Ok(Ok(Endpoint { partner: partner.clone(), url })),
            None => nowhere("The input payer-url is missing, and the payer publishes no endpoint"),
        }
    }

    /// The partner that an answer goes to: whose server payer-url names, else who asks.
    pub(super) fn payer_of(&self, request: &AttachmentRequest) -> Option<&Arc<Partner>> {
        if let Some(named) = &request.payer_url {
            return self.partners.of_url(named);
        }
        let payer = request.payer_id.as_ref()?;
        self.partners.of_identifier(payer.system.as_deref(), &payer.value)
    }

    /// What the partner's entry or its discovery document says. To publish one is a SHOULD: a partner that cannot be
    /// asked for long is taken for one that does not.
    async fn published_endpoint(
        &self,
        item: &Item,
        partner: &Partner,
    ) -> Result<Option<String>, FollowError> {
        match self.endpoints.submit_url(partner, self.clock.now()).await {
            Err(error) if item.attempts < ATTEMPTS => Err(FollowError::Unavailable(error.to_string())),
            found => Ok(found.unwrap_or_default()),
        }
    }
}
