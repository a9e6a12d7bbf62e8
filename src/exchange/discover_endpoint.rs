//! Where a partner takes `$submit-attachment` (HRex endpoint discovery): as the configuration says, else as the partner
//! itself publishes it. What it publishes is believed for a while, and only where it names one of its own servers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::ask_partner::{self, NoAnswer};
use crate::cdex::discovery::{DAVINCI_CONFIGURATION, submit_url};
use crate::clock::Timestamp;
use crate::outbound::origin;
use crate::partner::Partner;

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

impl Endpoints {
    /// The URL at which a partner takes `$submit-attachment`; none if nobody says one.
    ///
    /// # Errors
    /// The partner cannot be asked now.
    pub(super) async fn submit_url(
        &self,
        partner: &Partner,
        now: Timestamp,
    ) -> Result<Option<String>, NoAnswer> {
        if partner.submit_url.is_some() {
            return Ok(partner.submit_url.clone());
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&partner.name).cloned();
        if let Some(known) = known.filter(|known| known.until > now) {
            return Ok(known.submit_url);
        }
        let submit_url = published(partner).await?.filter(|url| partner.owns(url));
        let found = Found { submit_url: submit_url.clone(), until: now.after(BELIEVED) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partner.name.clone(), found);
        Ok(submit_url)
    }
}

/// What a partner publishes: below its FHIR base, else at the root of that server.
async fn published(partner: &Partner) -> Result<Option<String>, NoAnswer> {
    let Some(base) = &partner.fhir_base else { return Ok(None) };
    let at_root = origin(base.as_str()).map(|origin| format!("{origin}{DAVINCI_CONFIGURATION}"));
    for url in std::iter::once(base.at(DAVINCI_CONFIGURATION)).chain(at_root) {
        let answer = match ask_partner::bytes(partner, &url, "application/json").await {
            Ok(answer) if answer.body.len() <= LONGEST => answer,
            Err(error @ NoAnswer::NotNow(_)) => return Err(error),
            Ok(_) | Err(_) => continue,
        };
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(url) = submit_url(&document) {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::auth::Credentials;
    use crate::clock::{SharedClock, SystemClock};
    use crate::config::Config;
    use crate::outbound::testing::{FakeServer, Reply};
    use crate::outbound::{Base, Reach};
    use crate::partner::PartnerSettings;

    fn partner(base: &str, submit_url: Option<&str>) -> Partner {
        let clock: SharedClock = Arc::new(SystemClock);
        let config = Config::defaults_in(Path::new("/srv/gateway")).expect("the defaults are sound");
        let settings = PartnerSettings {
            name: "acme".to_owned(),
            client_id: None,
            identifiers: Vec::new(),
            fhir_base: Some(Base::parse(base).expect("a base")),
            submit_url: submit_url.map(str::to_owned),
            urls: vec![base.to_owned()],
            reach: Reach::Everywhere,
            credentials: Credentials::None,
            policy: config.policy,
        };
        Partner::new(settings, &clock).expect("a partner")
    }

    #[tokio::test]
    async fn what_a_partner_publishes_at_its_root_is_believed_for_an_hour_and_what_is_set_always() {
        let server = FakeServer::start(|asked| {
            let endpoint = format!("http://{}/cdex", asked.header("host").unwrap_or_default());
            match asked.line() {
                "GET /.well-known/davinci-configuration" => Reply::json(
                    &json!({ "endpoints": { "davinci_cdex_attachsubmit_endpoint#2.1": endpoint } }),
                ),
                _ => Reply::new(404, "", ""),
            }
        })
        .await;
        let base = format!("{}/fhir", server.url());
        let (endpoints, start) = (Endpoints::default(), Timestamp::from_nanos(0));
        let partner_here = partner(&base, None);
        let expected = Some(format!("{}/cdex/$submit-attachment", server.url()));
        for (minutes, asked) in [(0, 2), (59, 2), (61, 4)] {
            let now = start.after(Duration::from_mins(minutes));
            let found = endpoints.submit_url(&partner_here, now).await;
            assert_eq!((found, server.seen().len()), (Ok(expected.clone()), asked), "{minutes}");
        }
        let set = partner(&base, Some("https://acme.example/submit"));
        let found = endpoints.submit_url(&set, start).await;
        assert_eq!(found, Ok(Some("https://acme.example/submit".to_owned())));
    }

    #[tokio::test]
    async fn a_server_that_is_not_the_partners_is_not_believed() {
        let server = FakeServer::start(|_| {
            let elsewhere = "https://elsewhere.example/fhir";
            Reply::json(&json!({ "endpoints": { "davinci_cdex_attachsubmit_endpoint#2.1": elsewhere } }))
        })
        .await;
        let (endpoints, partner) = (Endpoints::default(), partner(server.url(), None));
        assert_eq!(endpoints.submit_url(&partner, Timestamp::from_nanos(0)).await, Ok(None));
    }
}
