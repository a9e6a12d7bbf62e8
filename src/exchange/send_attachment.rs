//! `$send-attachment`: attachments that nobody asked for by a Task go to a partner by its name (CDex, "Unsolicited
//! attachments"), to the endpoint that its entry or its discovery document says. The submission is held to the rules
//! that the partner will hold it to, and leaves as a delivery of the one pipeline; what became of it is asked for like
//! that of any upload.

use std::io;

use serde_json::json;

use super::Exchange;
use super::ask_partner::NoAnswer;
use super::follow_agenda::FollowError;
use super::interaction::{Done, InteractionError, Requester};
use super::send_message::Message;
use super::submit_answer::{ComposeError, SUBMISSION_ROUTE};
use crate::audit;
use crate::cdex;
use crate::cdex::operation::Inputs;
use crate::db::DbError;
use crate::fhir::{FHIR_JSON, Issue, IssueType};
use crate::partner::Partner;
use crate::upload::SourceError;

impl Exchange {
    /// Sends a submission to a partner.
    ///
    /// # Errors
    /// Nobody of that name is known, or takes attachments; or it is no submission that could be accepted.
    pub(super) async fn send_attachment(
        &self,
        requester: &Requester,
        mut inputs: Inputs,
    ) -> Result<Done, InteractionError> {
        let partner = inputs.text("partner").and_then(|name| self.partners.named(name)).cloned();
        let partner = partner
            .ok_or_else(|| refused(IssueType::NotFound, "No partner of this name is in the configuration"))?;
        let submission = inputs.require("submission").map_err(InteractionError::Malformed)?;
        let at = submission.expression.strip_suffix(".resource").unwrap_or(&submission.expression);
        cdex::parse(&submission.resource, &self.profiles).map_err(|issues| {
            InteractionError::Invalid(issues.into_iter().map(|issue| issue.of_entry(at)).collect())
        })?;
        let url = self.submit_url_of(&partner).await?;
        let message = Message {
            route: SUBMISSION_ROUTE,
            content_type: FHIR_JSON.to_owned(),
            partner: partner.name.clone(),
            url: url.clone(),
            headers: Vec::new(),
            timeout: None,
            ordering_key: None,
            followed_by: None,
        };
        let (spool, spooled) = self.compose_submission(requester, submission.resource).await?;
        let upload_id = spooled.id;
        let composed = Self::compose_spooled(&requester.access(), message, spool, spooled);
        let now = self.clock.now();
        let context = self.write_context(requester);
        let entry = context.audit("send-attachment", "upload", &upload_id.to_string(), now);
        let written: Result<(), DbError> = self
            .db
            .write((composed.outgoing(), entry), move |(outgoing, entry), tx| {
                Box::pin(async move {
                    outgoing.write(tx, now).await?;
                    audit::record(tx, entry).await
                })
            })
            .await;
        composed.settle(&written, |()| true).await;
        written?;
        self.deliveries.wake();
        Ok(Done::Answered(json!({ "resourceType": "Parameters", "parameter": [
            { "name": "upload", "valueId": upload_id.to_string() },
            { "name": "endpoint", "valueUrl": url },
        ] })))
    }

    async fn submit_url_of(&self, partner: &Partner) -> Result<String, InteractionError> {
        match self.endpoints.submit_url(partner, self.clock.now()).await {
            Ok(Some(url)) => Ok(url),
            Err(NoAnswer::NotNow(_)) => Err(InteractionError::Unavailable),
            Ok(None) | Err(_) => {
                let text = "The partner has no submit_url in the configuration, and publishes no endpoint";
                Err(refused(IssueType::NotSupported, text))
            }
        }
    }
}

fn refused(code: IssueType, text: &str) -> InteractionError {
    InteractionError::Invalid(vec![Issue::refusal(code, text.to_owned())])
}

impl From<ComposeError> for InteractionError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Unreadable(_) | ComposeError::Source(SourceError::Missing) => refused(
                IssueType::NotFound,
                "An attachment of the submission leads to nothing that can be read here",
            ),
            // Only what answers a Task is signed here.
            ComposeError::Unsignable(_) => {
                refused(IssueType::BusinessRule, "A resource of the submission cannot be signed")
            }
            ComposeError::Db(error) | ComposeError::Records(FollowError::Db(error)) => error.into(),
            ComposeError::Spool(error) => error.into(),
            ComposeError::Source(SourceError::Storage(error)) => Self::Storage(error),
            ComposeError::Source(error) => Self::Storage(io::Error::other(error)),
            ComposeError::Records(FollowError::Unavailable(_)) => Self::Unavailable,
        }
    }
}
