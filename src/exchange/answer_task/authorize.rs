//! The formal authorization that a request rests on (`Task.basedOn`, cdex.md 6.9): a resource on the requester's own
//! server, which is fetched there and nowhere else, and kept beside the answer.

use serde_json::{Map, Value};

use super::{Answer, NoAnswer, Open, Seeker};
use crate::agenda::Item;
use crate::cdex::task::{CdexTask, reference_of};
use crate::config::Authorization;
use crate::exchange::Exchange;
use crate::exchange::ask_partner;
use crate::exchange::follow_agenda::FollowError;
use crate::fhir::{self, search::reference::Target};
use crate::id::ResourceId;
use crate::partner::Partner;
use crate::repository::{self, Draft, index};

/// Authorizations of one Task that are looked at.
const MOST: usize = 10;

/// How often a server that gives no answer is asked before an authorization counts as not to be had.
const ATTEMPTS: u32 = 6;

/// What became of an authorization.
enum Fetched {
    /// It is this resource, of this URL.
    Copy(Value, String),
    /// It is a resource of our own.
    Here,
    /// It is not to be had.
    Nowhere,
    /// Its server gave no answer.
    NoAnswer(String),
}

impl Exchange {
    /// Copies of what a Task rests on, if anything is to be done about it.
    pub(super) async fn authorize(
        &self,
        item: &Item,
        open: &Open,
        task: &CdexTask<'_>,
        seeker: &Seeker,
    ) -> Result<Vec<Draft>, NoAnswer> {
        let is_required = match open.policy.authorization {
            Authorization::Ignore => return Ok(Vec::new()),
            Authorization::Keep => false,
            Authorization::Require => true,
        };
        let mut copies = Vec::new();
        let mut is_authorized = false;
        for reference in task.authorizations().take(MOST) {
            match self.authorization(open, reference, seeker).await? {
                Fetched::Copy(resource, _) if !is_in_force(&resource) => {}
                Fetched::Copy(resource, url) => {
                    is_authorized = true;
                    copies.extend(self.copy_of(item, resource, &url));
                }
                Fetched::Here => is_authorized = true,
                Fetched::NoAnswer(error) if is_required && item.attempts < ATTEMPTS => {
                    return Err(NoAnswer::Now(FollowError::Unavailable(error)));
                }
                Fetched::Nowhere | Fetched::NoAnswer(_) => {}
            }
        }
        if is_required && !is_authorized {
            let text = "The authorization that the request must rest on cannot be had";
            return Err(Answer::rejected(text).into());
        }
        Ok(copies)
    }

    async fn authorization(
        &self,
        open: &Open,
        reference: &Value,
        seeker: &Seeker,
    ) -> Result<Fetched, NoAnswer> {
        let Some(text) = reference_of(reference) else { return Ok(Fetched::Nowhere) };
        let relative = match Target::of(text, &seeker.requester.base) {
            Target::Url(url) => {
                // Nobody gets at what is another partner's with our credentials there.
                let partner = match &open.partner {
                    Some(asking) => Some(asking).filter(|asking| asking.owns(url)),
                    None => self.partners.of_url(url),
                };
                let Some(partner) = partner else { return Ok(Fetched::Nowhere) };
                return Ok(get(partner, url.to_owned()).await);
            }
            Target::Local { resource_type, id } => (resource_type, id),
        };
        // A relative reference is one to the requester's own server, or to ours where we know of none.
        let is_ours = text.starts_with(&*seeker.requester.base);
        if let Some((partner, base)) = open.partner.as_ref().and_then(|it| Some((it, it.fhir_base.as_ref()?)))
            && !is_ours
        {
            return Ok(get(partner, base.at(&format!("/{}/{}", relative.0, relative.1))).await);
        }
        let mut reader = self.db.reader().await?;
        let there = repository::read(&mut reader.tx(), &seeker.access, relative.0, relative.1).await?;
        let resource = there.and_then(|there| fhir::parse(&there.content?).ok());
        Ok(if resource.is_some_and(|resource| is_in_force(&resource)) {
            Fetched::Here
        } else {
            Fetched::Nowhere
        })
    }

    /// What is kept of an authorization: all of it, under an id of our own, with where it came from.
    fn copy_of(&self, item: &Item, mut resource: Value, url: &str) -> Option<Draft> {
        let name = resource.get("resourceType").and_then(Value::as_str)?;
        let resource_type = fhir::resource_type(name)?;
        let id = ResourceId::new().to_string();
        let members = resource.as_object_mut()?;
        members.insert("id".to_owned(), id.clone().into());
        let meta = members.entry("meta").or_insert_with(|| Value::Object(Map::new()));
        meta.as_object_mut()?.insert("source".to_owned(), url.into());
        Some(Draft {
            resource_type,
            id,
            entries: index::entries(&item.tenant, resource_type, &resource, &self.settings.fhir_base),
            errands: Vec::new(),
            text: resource.to_string().into(),
            bytes: None,
        })
    }
}

/// Gets a resource of a partner.
async fn get(partner: &Partner, url: String) -> Fetched {
    let is_authorization = |tree: &Value| {
        let name = tree.get("resourceType").and_then(Value::as_str);
        // CDex, "Formal authorization"
        name.is_some_and(|name| matches!(name, "CommunicationRequest" | "ServiceRequest"))
    };
    match ask_partner::resource(fhir::ScanLimits::default(), partner, &url).await {
        Ok(given) if is_authorization(&given.tree) => Fetched::Copy(given.tree, url),
        Err(error @ ask_partner::NoAnswer::NotNow(_)) => Fetched::NoAnswer(error.to_string()),
        Ok(_) | Err(_) => Fetched::Nowhere,
    }
}

/// Whether a request still stands (FHIR R4 `request-status`).
fn is_in_force(resource: &Value) -> bool {
    let status = resource.get("status").and_then(Value::as_str);
    !matches!(status, Some("revoked" | "entered-in-error"))
}
