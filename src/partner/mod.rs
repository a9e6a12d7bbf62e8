//! The organisations we exchange with: what is agreed with each, and the only way to call one.
//!
//! A call goes to a server of its partner or to nobody: the allow-list is the partner's own servers, the address is
//! resolved, checked and pinned by `outbound`, and the credentials are those for this partner and no other's. Whoever
//! has no entry is never called.

mod call;

use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::{Credentials, Tokens};
use crate::clock::SharedClock;
use crate::config::PolicyConfig;
use crate::outbound::{Base, Client, Limits, OutboundError, Reach, origin};

pub(crate) use call::PartnerError;

/// What is agreed with somebody.
pub(crate) type Policy = PolicyConfig;

/// The largest answer of a partner that is held in memory, in bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// What a partner is made of.
#[derive(Debug)]
pub(crate) struct PartnerSettings {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// The client that its tokens name.
    pub(crate) client_id: Option<String>,
    /// Its business identifiers: system (empty if none) and value.
    pub(crate) identifiers: Vec<(String, String)>,
    /// The base URL of its FHIR server.
    pub(crate) fhir_base: Option<Base>,
    /// Where it takes `$submit-attachment`.
    pub(crate) submit_url: Option<String>,
    /// Every URL by which it may be called.
    pub(crate) urls: Vec<String>,
    /// Which addresses may be called on its behalf.
    pub(crate) reach: Reach,
    /// Who we are when we call it.
    pub(crate) credentials: Credentials,
    /// What is agreed with it.
    pub(crate) policy: Policy,
}

/// One organisation.
pub(crate) struct Partner {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// What is agreed with it.
    pub(crate) policy: Policy,
    /// The base URL of its FHIR server.
    pub(crate) fhir_base: Option<Base>,
    /// Where it takes `$submit-attachment`.
    pub(crate) submit_url: Option<String>,
    identifiers: Vec<(String, String)>,
    reach: Reach,
    origins: Vec<String>,
    client: Client,
    tokens: Tokens,
}

impl Partner {
    /// A partner that has not been called yet.
    ///
    /// # Errors
    /// No client can be made.
    pub(crate) fn new(settings: PartnerSettings, clock: &SharedClock) -> Result<Self, OutboundError> {
        let limits = Limits { answer_bytes: ANSWER_BYTES, reach: settings.reach, ..Limits::default() };
        Ok(Self {
            origins: settings.urls.iter().filter_map(|url| origin(url)).collect(),
            client: Client::new(limits)?,
            tokens: settings.credentials.into_tokens(limits, clock)?,
            reach: settings.reach,
            name: settings.name,
            policy: settings.policy,
            fhir_base: settings.fhir_base,
            submit_url: settings.submit_url,
            identifiers: settings.identifiers,
        })
    }

    /// Whether a URL is one of the partner's servers.
    pub(crate) fn owns(&self, url: &str) -> bool {
        origin(url).is_some_and(|origin| self.origins.contains(&origin))
    }

    /// Whether a URL names no more than one of its servers, or its FHIR base.
    pub(crate) fn is_base(&self, url: &str) -> bool {
        let Ok(named) = Base::parse(url) else { return false };
        let is_server = origin(url).is_some_and(|origin| origin == named.as_str());
        self.owns(url) && (is_server || self.fhir_base.as_ref() == Some(&named))
    }

    /// The business identifier that it is named by: the first one, as system (empty if none) and value.
    pub(crate) fn identifier(&self) -> Option<(&str, &str)> {
        self.identifiers.first().map(|(system, value)| (&**system, &**value))
    }

    /// Whether its servers may be in a private network, where calls need not be encrypted.
    pub(crate) fn may_be_private(&self) -> bool {
        self.reach == Reach::Everywhere
    }

    /// The name of the target under which deliveries go to this partner.
    pub(crate) fn target(&self) -> String {
        target_of(&self.name)
    }
}

/// The name of the target under which deliveries go to the partner of this name.
pub(crate) fn target_of(partner: &str) -> String {
    format!("partner.{partner}")
}

/// All of them.
pub(crate) struct Partners {
    all: Vec<Arc<Partner>>,
    by_client: HashMap<String, usize>,
    policy: Policy,
}

impl Partners {
    /// These partners; `policy` is agreed with everybody else.
    ///
    /// # Errors
    /// No client can be made.
    pub(crate) fn new(
        settings: Vec<PartnerSettings>,
        policy: Policy,
        clock: &SharedClock,
    ) -> Result<Self, OutboundError> {
        let of_client = |(at, partner): (usize, &PartnerSettings)| Some((partner.client_id.clone()?, at));
        let by_client = settings.iter().enumerate().filter_map(of_client).collect();
        let made: Result<Vec<_>, _> =
            settings.into_iter().map(|partner| Partner::new(partner, clock).map(Arc::new)).collect();
        Ok(Self { all: made?, by_client, policy })
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Partner>> {
        self.all.iter()
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Partner>> {
        self.all.iter().find(|partner| partner.name == name)
    }

    /// The one whose server a URL names.
    pub(crate) fn of_url(&self, url: &str) -> Option<&Arc<Partner>> {
        self.all.iter().find(|partner| partner.owns(url))
    }

    /// The one whose tokens name this client.
    pub(crate) fn of_client(&self, client_id: Option<&str>) -> Option<&Arc<Partner>> {
        self.all.get(*self.by_client.get(client_id?)?)
    }

    /// The one that has this business identifier. An identifier without a system is that of anybody who has the value.
    pub(crate) fn of_identifier(&self, system: Option<&str>, value: &str) -> Option<&Arc<Partner>> {
        let is_it = |(own_system, own): &(String, String)| {
            own == value && system.is_none_or(|system| own_system == system)
        };
        self.all.iter().find(|partner| partner.identifiers.iter().any(is_it))
    }

    /// What is agreed with a partner, or with somebody who is none.
    pub(crate) fn policy<'p>(&'p self, partner: Option<&'p Partner>) -> &'p Policy {
        partner.map_or(&self.policy, |partner| &partner.policy)
    }
}

#[cfg(test)]
mod tests;
