//! `Task/$request`: what is wanted becomes a Task, our copy of it, and a message to the partner, all in one unit.

use serde_json::{Value, json};

use super::{FOLLOWED_BY, PartnerRequest, identifier, store};
use crate::audit;
use crate::cdex::operation::Inputs;
use crate::cdex::request::{self, RequestFacts, mirror};
use crate::cdex::task::CdexTask;
use crate::db::DbError;
use crate::exchange::Exchange;
use crate::exchange::find_resource::present;
use crate::exchange::interaction::{Done, InteractionError, Requester, Stored};
use crate::exchange::match_patient::tree_of;
use crate::exchange::send_message::Message;
use crate::fhir::{self, Issue, IssueType, StructureMode};
use crate::id::{ResourceId, TaskRequestId};
use crate::outbound::{Base, form};
use crate::partner::Partner;
use crate::repository::{self, Kept, Precondition};

impl Exchange {
    /// Asks a partner.
    ///
    /// # Errors
    /// Nobody of that name can be asked, or what is to be asked for is no request that CDex knows.
    pub(in crate::exchange) async fn request_partner(
        &self,
        requester: &Requester,
        mut inputs: Inputs,
    ) -> Result<Done, InteractionError> {
        let (partner, base) = self.asked_partner(&inputs)?;
        let id = TaskRequestId::new();
        let facts = self.request_facts(requester, partner, id, &mut inputs).await?;
        let task = match inputs.take("task") {
            Some(task) => request::complete(task.resource, &task.expression, &facts),
            None => request::read(&inputs, &facts).map(|wanted| request::build(&wanted, &facts)),
        };
        let task = task.map_err(InteractionError::Invalid)?;
        let mut remarks = inputs.ignored;
        remarks.extend(self.check_request(&task)?);
        let message = Message {
            route: "task",
            content_type: fhir::FHIR_JSON.to_owned(),
            partner: partner.name.clone(),
            url: base.at("/Task"),
            // A partner that honours it makes one Task of a repeated delivery.
            headers: vec![("if-none-exist".to_owned(), identifier_search(&facts.identifier))],
            timeout: None,
            ordering_key: None,
            followed_by: Some(format!("{FOLLOWED_BY}/{id}")),
        };
        let text = task.to_string().into();
        let composed = self.compose(&requester.access(), message, text).await?;
        let request = PartnerRequest {
            id,
            task_id: ResourceId::new().to_string(),
            partner: partner.name.clone(),
            place: None,
            sent_at: None,
            poll_at: None,
        };
        let copy = mirror::first_copy(&task, base.as_str());
        let draft = self.draft_of_copy(requester, &request.task_id, copy);
        let now = self.clock.now();
        let entry = self.write_context(requester).audit("request", "Task", &request.task_id, now);
        let unit = (requester.access(), (draft, Precondition::Absent), composed.outgoing(), request, entry);
        let kept = self
            .db
            .write(unit, move |(access, draft, outgoing, request, entry), tx| {
                Box::pin(async move {
                    let kept = repository::keep(tx, access, std::slice::from_ref(draft), true, now).await?;
                    let Some(Kept::Created(copy)) = kept.into_iter().next() else {
                        return Err(DbError::inconsistent("resource", "id", "of this draft"));
                    };
                    outgoing.write(tx, now).await?;
                    store::insert(tx, access, request, now).await?;
                    audit::record(tx, entry).await?;
                    Ok(copy)
                })
            })
            .await;
        composed.settle(&kept, |_| true).await;
        let resource = kept?;
        self.deliveries.wake();
        Ok(Done::Created(Stored { resource, remarks }))
    }

    fn asked_partner(&self, inputs: &Inputs) -> Result<(&Partner, &Base), InteractionError> {
        let refused =
            |code, text: &str| InteractionError::Invalid(vec![Issue::refusal(code, text.to_owned())]);
        let partner = inputs.text("partner").and_then(|name| self.partners.named(name));
        let partner = partner
            .ok_or_else(|| refused(IssueType::NotFound, "No partner of this name is in the configuration"))?;
        let base = partner.fhir_base.as_ref().ok_or_else(|| {
            refused(IssueType::NotSupported, "The partner has no fhir_base in the configuration")
        })?;
        Ok((partner, base))
    }

    async fn request_facts(
        &self,
        requester: &Requester,
        partner: &Partner,
        id: TaskRequestId,
        inputs: &mut Inputs,
    ) -> Result<RequestFacts, InteractionError> {
        let mut member = inputs.take("member").map(|member| member.resource);
        if member.is_none()
            && let Some(id) = request::member_here(inputs)
        {
            let mut reader = self.db.reader().await?;
            let stored = present(&mut reader.tx(), &requester.access(), "Patient", id).await?;
            member = Some(tree_of(&stored)?);
        }
        let own = self.settings.identifier.as_ref();
        Ok(RequestFacts {
            identifier: identifier(id),
            requester: own.map(|(system, value)| identifier_element(system, value)),
            owner: partner.identifier().map(|(system, value)| identifier_element(system, value)),
            payer_url: format!("{}/$submit-attachment", requester.base),
            base: requester.base.to_string(),
            member,
            now: self.clock.now(),
        })
    }

    /// What deserves attention in a Task that is to be sent (CONF-088, CONF-089).
    fn check_request(&self, task: &Value) -> Result<Vec<Issue>, InteractionError> {
        let mut issues = fhir::check_structure(task, "Task", StructureMode::Strict);
        if let Some(task) = CdexTask::read(task) {
            issues.extend(fhir::validate(task.tree(), task.kind.profile(), &self.profiles));
        }
        if issues.iter().any(Issue::is_error) {
            return Err(InteractionError::Invalid(issues));
        }
        Ok(issues)
    }
}

/// The search that finds the Task of a request at a partner.
pub(super) fn identifier_search(identifier: &str) -> String {
    form([("identifier", format!("urn:ietf:rfc:3986|{identifier}").as_str())])
}

/// An Identifier.
fn identifier_element(system: &str, value: &str) -> Value {
    if system.is_empty() { json!({ "value": value }) } else { json!({ "system": system, "value": value }) }
}
