//! Operations on what is kept: each call, however it came, is read against its definition and given to its use case.
//! `$submit-attachment` is not among them: its body may be larger than memory and is never read as one tree.

use serde_json::json;

use super::Exchange;
use super::interaction::{Content, Done, InteractionError, Requester};
use crate::cdex::operation::{Inputs, Operation, OperationDefinition};
use crate::fhir::{Place, Shape, UnknownAddress};

/// A call of an operation.
pub(crate) struct OperationCall {
    /// The operation.
    pub(crate) definition: &'static OperationDefinition,
    /// Where it is called.
    pub(crate) place: Place,
    /// The parameters of the URL, decoded, in their order.
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether parameters that are not known are errors (`Prefer: handling=strict`).
    pub(crate) strict: bool,
    /// Parameters, or the one resource that the operation is about.
    pub(crate) content: Content,
}

impl Exchange {
    /// Does what an operation asks for. A refusal of one that may change something leaves its audit row.
    pub(crate) async fn operate(
        &self,
        requester: &Requester,
        call: OperationCall,
    ) -> Result<Done, InteractionError> {
        let definition = call.definition;
        let outcome = self.perform_operation(requester, call).await;
        if definition.affects_state {
            self.audit_refusal_in(requester, definition.code, &outcome).await?;
        }
        outcome
    }

    async fn perform_operation(
        &self,
        requester: &Requester,
        call: OperationCall,
    ) -> Result<Done, InteractionError> {
        let OperationCall { definition, place, parameters, strict, content } = call;
        let body = match content {
            Content::None => None,
            content => Some(self.receive_resource(requester, Shape::Plain, content).await?.tree),
        };
        if definition.operation == Operation::MemberMatch {
            self.check_member_match(body.as_ref())?;
        }
        let upstream = self.upstream.as_deref().filter(|upstream| upstream.serves("Patient"));
        let passed_on =
            body.clone().filter(|_| definition.operation == Operation::Match && upstream.is_some());
        let inputs =
            Inputs::read(definition, &parameters, body, strict).map_err(InteractionError::Malformed)?;
        if let (Some(upstream), Some(body)) = (upstream, passed_on) {
            let parameters = match body["resourceType"].as_str() {
                Some("Parameters") => body,
                _ => {
                    json!({ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": body }] })
                }
            };
            return self.match_upstream(requester, upstream, &parameters).await;
        }
        match (definition.operation, place) {
            (Operation::Validate, place) => {
                self.validate_resource(requester, &place, inputs).await.map(Done::Validated)
            }
            (Operation::Match, _) => self.match_patient(requester, inputs).await.map(Done::Matched),
            (Operation::MemberMatch, _) => self.match_member(requester, inputs).await.map(Done::Answered),
            (Operation::Docref, _) => self.find_documents(requester, &inputs).await.map(Done::Page),
            (Operation::Everything, Place::Instance(_, id)) => {
                self.gather_everything(requester, id, &inputs).await.map(Done::Page)
            }
            (Operation::Request, _) => self.request_partner(requester, inputs).await,
            (Operation::SendAttachment, _) => self.send_attachment(requester, inputs).await,
            (Operation::Notify, _) => self.take_notification(requester, inputs).await,
            (Operation::SubscriptionStatus, place) => {
                self.tell_status(requester, place, &inputs).await.map(Done::Answered)
            }
            (Operation::SubscriptionEvents, Place::Instance(_, id)) => {
                self.tell_past_events(requester, &id, &inputs).await.map(Done::Answered)
            }
            // The door finds no operation of this name there.
            (
                Operation::Everything
                | Operation::SubscriptionEvents
                | Operation::Export
                | Operation::SubmitAttachment,
                _,
            ) => Err(UnknownAddress::Interaction.into()),
        }
    }
}
