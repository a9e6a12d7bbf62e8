//! What was found becomes the outputs of a Task: a searchset Bundle of its own, one in the Task, or a reference to each
//! resource; what must be signed, a signed document instead of the searchset. Documents that were asked for by their
//! code come in the Task with their bytes, so that whoever may read the Task needs no further right.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::find::{Entry, Found};
use super::{Answer, NoAnswer, Open, Seeker};
use crate::agenda::Item;
use crate::cdex::signature::{SignError, Signer};
use crate::cdex::task::TaskStatus;
use crate::config::TaskOutput;
use crate::exchange::Exchange;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::InteractionError;
use crate::fhir::bundle::{Bundle, BundleEntry, BundleType, SearchMode};
use crate::fhir::search::reference::Target;
use crate::fhir::{self, operation_outcome};
use crate::id::ResourceId;
use crate::repository::{self, Draft, index};
use crate::upstream::UpstreamError;

/// The longest Bundle that is put into a Task, in bytes; a longer one is kept beside it.
const CONTAINED: usize = 4 << 20;

/// The name of a Bundle in its Task.
const RESULTS: &str = "results";

impl Exchange {
    /// The answer that brings what was found.
    pub(super) async fn output_of(
        &self,
        item: &Item,
        open: &Open,
        seeker: &Seeker,
        (patient, mut found): (&str, Found),
        is_query: bool,
    ) -> Result<Answer, NoAnswer> {
        let answer = Answer {
            status: TaskStatus::Completed,
            reason: None,
            outputs: Vec::new(),
            contained: None,
            drafts: Vec::new(),
            patient: None,
        };
        let is_signed = open.signer.is_some();
        if is_signed && (found.is_too_long || found.is_number()) {
            let text = "The answer must be signed and cannot be put into one document: a person must answer";
            return Ok(Answer::without_data(TaskStatus::OnHold, text));
        }
        // Of a number there is nothing to refer to; and what is too long for one Bundle (cdex.md 6.3 has all three
        // forms) can be read one by one.
        let is_referred = open.policy.task_output == TaskOutput::References && !is_signed;
        if (is_referred || found.is_too_long) && !found.entries.is_empty() {
            let outputs = found.entries.iter().map(|entry| format!("{}/{}", entry.resource_type, entry.id));
            return Ok(Answer { outputs: outputs.collect(), ..answer });
        }
        let is_contained = !is_query || open.policy.task_output == TaskOutput::Contained;
        if !is_query {
            self.put_documents_in(seeker, &mut found).await?;
        }
        let text = match &open.signer {
            Some(signer) => self.signed_document(seeker, patient, &found, signer.clone()).await?,
            None => self.searchset(seeker, found),
        };
        if is_contained && text.len() <= CONTAINED {
            let mut bundle = fhir::parse(&text).unwrap_or_default();
            // A signature does not cover the id (CONF-034).
            bundle["id"] = RESULTS.into();
            return Ok(Answer { outputs: vec![format!("#{RESULTS}")], contained: Some(bundle), ..answer });
        }
        let id = ResourceId::new().to_string();
        let outputs = vec![format!("Bundle/{id}")];
        let tree = if is_signed {
            fhir::parse(&text).unwrap_or_default()
        } else {
            // Nothing that a searchset can be found by lies in its entries.
            serde_json::json!({ "resourceType": "Bundle", "type": "searchset" })
        };
        let entries = index::entries(&item.tenant, "Bundle", &tree, &seeker.requester.base);
        // An answer of ours is no push of anybody's: it does not go on.
        let errands = Vec::new();
        let draft = Draft { resource_type: "Bundle", id, text: text.into(), entries, bytes: None, errands };
        Ok(Answer { outputs, drafts: vec![draft], ..answer })
    }

    /// The same as a document with the signature of the gateway's organisation (cdex.md 6.8).
    async fn signed_document(
        &self,
        seeker: &Seeker,
        patient: &str,
        found: &Found,
        signer: Arc<Signer>,
    ) -> Result<Vec<u8>, NoAnswer> {
        let texts: Vec<Bytes> = found.entries.iter().map(|entry| entry.text.clone()).collect();
        let subject = serde_json::json!({ "reference": format!("Patient/{patient}") });
        let signed = self.sign_document(texts, subject, seeker.requester.base.clone(), signer).await;
        match signed.map_err(InteractionError::from)? {
            Ok(document) => Ok(document.into()),
            Err(SignError::Unsignable) => {
                let text = "The answer has something that cannot be signed: a person must answer";
                Err(Answer::without_data(TaskStatus::OnHold, text).into())
            }
            // Somebody has to see to the key or its certificate; the Task waits for that.
            Err(error) => Err(NoAnswer::Now(FollowError::Unavailable(error.to_string()))),
        }
    }

    /// The Bundle that answers a search.
    fn searchset(&self, seeker: &Seeker, found: Found) -> Vec<u8> {
        let Found { entries, total, url, remarks, .. } = found;
        let resources = entries.into_iter().map(|Entry { resource_type, id, text, mode }| BundleEntry {
            full_url: Some(format!("{}/{resource_type}/{id}", seeker.requester.base)),
            resource: Some(text),
            search: Some(mode),
            ..BundleEntry::default()
        });
        let told = (!remarks.is_empty()).then(|| BundleEntry {
            resource: Some(operation_outcome(&remarks).to_string().into()),
            search: Some(SearchMode::Outcome),
            ..BundleEntry::default()
        });
        let entries = resources.chain(told).collect();
        let (bundle_type, at) = (BundleType::Searchset, self.clock.now());
        Bundle { bundle_type, at, total, links: vec![("self", url)], entries }.into_text()
    }

    /// Puts the bytes of documents that lie in Binaries here into the documents, as far as there is room. Others keep
    /// their url.
    async fn put_documents_in(&self, seeker: &Seeker, found: &mut Found) -> Result<(), NoAnswer> {
        let mut room = CONTAINED;
        for entry in found.entries.iter_mut().filter(|entry| entry.resource_type == "DocumentReference") {
            let Ok(mut document) = fhir::parse(&entry.text) else { continue };
            let contents = document.get_mut("content").and_then(Value::as_array_mut);
            let mut is_changed = false;
            for content in contents.into_iter().flatten() {
                let Some(attachment) = content.get_mut("attachment").and_then(Value::as_object_mut) else {
                    continue;
                };
                let url = attachment.get("url").and_then(Value::as_str).unwrap_or_default();
                if attachment.contains_key("data") || url.is_empty() {
                    continue;
                }
                let url = url.strip_prefix('/').unwrap_or(url);
                let Target::Local { resource_type: "Binary", id } = Target::of(url, &seeker.requester.base)
                else {
                    continue;
                };
                let Some(binary) = self.short_binary(seeker, id).await? else { continue };
                let Some(data) =
                    binary.get("data").filter(|data| data.as_str().is_some_and(|it| it.len() <= room))
                else {
                    continue;
                };
                room -= data.as_str().map_or(0, str::len);
                attachment.shift_remove("url");
                attachment.insert("data".to_owned(), data.clone());
                if let Some(content_type) = binary.get("contentType") {
                    attachment.entry("contentType").or_insert_with(|| content_type.clone());
                }
                is_changed = true;
            }
            if is_changed {
                entry.text = Bytes::from(document.to_string());
            }
        }
        Ok(())
    }

    /// A Binary whose bytes stand in its text.
    async fn short_binary(&self, seeker: &Seeker, id: &str) -> Result<Option<Value>, NoAnswer> {
        if let Some(upstream) = self.upstream.as_deref().filter(|upstream| upstream.serves("Binary")) {
            return match upstream.read(&seeker.view(None), "Binary", id).await {
                Ok(binary) => Ok(Some(binary)),
                Err(UpstreamError::NotFound | UpstreamError::Gone) => Ok(None),
                Err(error) => Err(InteractionError::from(error).into()),
            };
        }
        let mut reader = self.db.reader().await?;
        let there = repository::read(&mut reader.tx(), &seeker.access, "Binary", id).await?;
        let text = there.filter(|there| there.bytes.is_none()).and_then(|there| there.content);
        Ok(text.and_then(|text| fhir::parse(&text).ok()))
    }
}
