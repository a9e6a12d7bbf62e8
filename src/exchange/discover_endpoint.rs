//! Where a partner takes `$submit-attachment` (HRex endpoint discovery): as the configuration says, else as the partner
//! itself publishes it. What it publishes is believed for a while, and only where it names one of its own servers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::Exchange;
use crate::cdex::discovery::{DAVINCI_CONFIGURATION, submit_url};
use crate::clock::Timestamp;
use crate::outbound::origin;
use crate::partner::{Partner, PartnerError};

/// How long what was found is believed; what was not found is looked for again as late.
const BELIEVED: Duration = Duration::from_hours(1);

/// The largest document that is read.
const LONGEST: usize = 1 << 20;

/// What partners have published, by their names.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(Mutex<HashMap<String, Found>>);

#[derive(Debug, Clone)]
struct Found {
    submit_url: Option<String>,
    until: Timestamp,
}

impl Exchange {
    /// The URL at which a partner takes `$submit-attachment`; none if nobody says one.
    ///
    /// # Errors
    /// The partner cannot be asked.
    #[expect(dead_code, reason = "for unsolicited attachments to a partner by its name")]
    pub(super) async fn submit_url_of(&self, partner: &Partner) -> Result<Option<String>, PartnerError> {
        if partner.submit_url.is_some() {
            return Ok(partner.submit_url.clone());
        }
        let now = self.clock.now();
        let known =
            self.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner).get(&partner.name).cloned();
        if let Some(known) = known.filter(|known| known.until > now) {
            return Ok(known.submit_url);
        }
        let submit_url = published(partner).await?.filter(|url| partner.owns(url));
        let found = Found { submit_url: submit_url.clone(), until: now.after(BELIEVED) };
        self.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partner.name.clone(), found);
        Ok(submit_url)
    }
}

/// What a partner publishes: below its FHIR base, else at the root of that server.
async fn published(partner: &Partner) -> Result<Option<String>, PartnerError> {
    let Some(base) = &partner.fhir_base else { return Ok(None) };
    let at_root = origin(base.as_str()).map(|origin| format!("{origin}{DAVINCI_CONFIGURATION}"));
    for url in std::iter::once(base.at(DAVINCI_CONFIGURATION)).chain(at_root) {
        let answer = partner.get(&url, "application/json").await?;
        if answer.status != 200 || answer.body.len() > LONGEST {
            continue;
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(url) = submit_url(&document) {
            return Ok(Some(url));
        }
    }
    Ok(None)
}
