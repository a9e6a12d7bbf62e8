//! From settings to live objects. Each function takes the part of the configuration it needs and makes one
//! thing of it; what is wrong with files that the settings name is reported all at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::dex_files::DexFiles;
use super::storage;
use crate::agenda::Agenda;
use crate::auth::{
    AccessToken, ClientSettings, Credentials, FrontSettings, Grant, OAuthFront, SigningKey, TokenEndpoint,
};
use crate::clock::SharedClock;
use crate::config::{
    Config, CredentialsConfig, Durability, PartnerConfig, Problems, ScannerAddress, StorePlace, Unrouted,
    UpstreamConfig,
};
use crate::db::{Db, DbSettings};
use crate::delivery::{
    BreakerSettings, Deliveries, Destination, DexDestination, EndpointDestination, FileDestination,
    ObjectDestination, Routing, Schedule, TargetConfig, WorkerSettings,
};
use crate::exchange::export_data::ExportSettings;
use crate::exchange::{ExchangeSettings, RestSettings, Signatures};
use crate::fhir::{self, ScanLimits};
use crate::http::routes::Limits;
use crate::manifest::ConfigProblem;
use crate::outbound::{Base, OutboundError, Reach, names_private};
use crate::partner::{Partner, PartnerSettings, Partners, Policy};
use crate::screening::Screening;
use crate::screening::scanner::{Clamd, HttpScanner, Scanner};
use crate::telemetry;
use crate::upload::{Expiry, MetadataMode, UploadSettings, Uploads};
use crate::upstream::UpstreamSettings;

/// Values of one FHIR body that are held in memory as a tree: enough for a Bundle of thousands of resources, and
/// few enough that several bodies at once stay small.
const NODES: usize = 250_000;

/// Long bodies that are held in memory at once.
pub(super) const LONG_BODIES: usize = 4;

/// What the files that the settings name say, and the store that they describe.
pub(super) struct Files {
    pub(super) dex: DexFiles,
    pub(super) upstream: Option<UpstreamSettings>,
    pub(super) partners: Vec<PartnerSettings>,
    pub(super) signatures: Signatures,
    pub(super) store: storage::Store,
}

/// Reads the other files that the settings name; everything that is wrong with them and with those of DEX is told at
/// once.
pub(super) fn files(config: &Config, dex: Result<DexFiles, Vec<ConfigProblem>>) -> Result<Files, Problems> {
    let signatures = super::signatures::signatures(config);
    let store = storage::upload_store(config);
    match (dex, upstream_settings(config), partner_settings(config), signatures, store) {
        (Ok(dex), Ok(upstream), Ok(partners), Ok(signatures), Ok(store)) => {
            Ok(Files { dex, upstream, partners, signatures, store })
        }
        (dex, upstream, partners, signatures, store) => {
            let mut problems = Problems::default();
            let found = [dex.err(), upstream.err(), partners.err(), signatures.err(), store.err()];
            for ConfigProblem { place, rule } in found.into_iter().flatten().flatten() {
                problems.add(&place, rule);
            }
            Err(problems)
        }
    }
}

/// The server that some resources live on, if there is one.
fn upstream_settings(config: &Config) -> Result<Option<UpstreamSettings>, Vec<ConfigProblem>> {
    let section = &config.fhir.upstream;
    let Some(url) = &section.url else { return Ok(None) };
    let mut problems = Vec::new();
    let mut problem = |key: &str, rule: String| {
        problems.push(ConfigProblem::new(format!("fhir.upstream.{key}"), rule));
    };
    let mut types = BTreeSet::new();
    for (index, name) in section.types.iter().enumerate() {
        match fhir::resource_type(name) {
            Some(name) => {
                types.insert(name);
            }
            None => problem(&format!("types[{index}]"), "is no resource type of FHIR R4".to_owned()),
        }
    }
    let base = Base::parse(url).map_err(|_| problem("url", "cannot be called".to_owned()));
    let credentials = base
        .as_ref()
        .ok()
        .and_then(|base| upstream_credentials(section, base).map_err(|(key, rule)| problem(key, rule)).ok());
    let (Ok(base), Some(credentials), []) = (base, credentials, problems.as_slice()) else {
        return Err(problems);
    };
    let is_private = section.allow_private_addresses || names_private(url);
    Ok(Some(UpstreamSettings {
        base,
        types,
        credentials,
        timeout: section.timeout,
        answer_bytes: section.max_answer_bytes,
        scan: ScanLimits { nodes: NODES, ..ScanLimits::default() },
        reach: if is_private { Reach::Everywhere } else { Reach::Public },
    }))
}

/// How the gateway says who it is upstream, or the key and the rule that it breaks.
fn upstream_credentials(
    section: &UpstreamConfig,
    base: &Base,
) -> Result<Credentials, (&'static str, String)> {
    let own = CredentialsConfig {
        token_url: section.token_url.clone(),
        client_id: section.client_id.clone(),
        key_file: section.key_file.clone(),
        key_id: section.key_id.clone(),
        scope: Some(section.scope()),
        static_token: section.static_token.clone(),
    };
    credentials(&own, Some(base))
}

/// Who the gateway is at another server, or the key and the rule that it breaks.
fn credentials(
    section: &CredentialsConfig,
    base: Option<&Base>,
) -> Result<Credentials, (&'static str, String)> {
    if let Some(secret) = &section.static_token {
        let token = AccessToken::new(secret.reveal());
        let token = token.ok_or_else(|| ("static_token", "cannot be sent in a header field".to_owned()))?;
        return Ok(Credentials::Token(secret.clone(), token));
    }
    let (Some(client_id), Some(key_file)) = (&section.client_id, &section.key_file) else {
        return Ok(Credentials::None);
    };
    let pem = std::fs::read(key_file)
        .map_err(|error| ("key_file", format!("{}: {}", key_file.display(), error.kind())))?;
    let key = SigningKey::from_pem(&pem, section.key_id.as_deref())
        .map_err(|error| ("key_file", format!("{}: {error}", key_file.display())))?;
    let endpoint = match (&section.token_url, base) {
        (Some(url), _) => TokenEndpoint::At(url.clone()),
        (None, Some(base)) => TokenEndpoint::Discovered(base.clone()),
        (None, None) => return Err(("token_url", "is missing".to_owned())),
    };
    Ok(Credentials::Granted(Grant::Assertion(Box::new(ClientSettings {
        client_id: client_id.clone(),
        key,
        scope: section.scope.clone().unwrap_or_else(|| "system/*.cruds".to_owned()),
        endpoint,
    }))))
}

/// Whom we exchange with.
fn partner_settings(config: &Config) -> Result<Vec<PartnerSettings>, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let mut partners = Vec::new();
    for (name, section) in &config.partner {
        match partner(name, section, &config.policy) {
            Ok(partner) => partners.push(partner),
            Err((key, rule)) => {
                problems.push(ConfigProblem::new(format!("partner.{name}.{key}"), rule));
            }
        }
    }
    if problems.is_empty() { Ok(partners) } else { Err(problems) }
}

fn partner(
    name: &str,
    section: &PartnerConfig,
    policy: &Policy,
) -> Result<PartnerSettings, (String, String)> {
    let base = section.fhir_base.as_deref().map(Base::parse).transpose();
    let fhir_base = base.map_err(|_| ("fhir_base".to_owned(), "cannot be called".to_owned()))?;
    let credentials = credentials(&section.credentials, fhir_base.as_ref())
        .map_err(|(key, rule)| (format!("credentials.{key}"), rule))?;
    let identifier = |text: &String| {
        let (system, value) = text.split_once('|').unwrap_or(("", text));
        (system.to_owned(), value.to_owned())
    };
    Ok(PartnerSettings {
        name: name.to_owned(),
        client_id: section.client_id.clone(),
        identifiers: section.identifiers.iter().map(identifier).collect(),
        fhir_base,
        submit_url: section.submit_url.clone(),
        urls: section.urls().cloned().collect(),
        reach: if section.private_addresses { Reach::Everywhere } else { Reach::Public },
        credentials,
        policy: policy.with(&section.policy),
    })
}

/// The database of these settings.
pub(super) fn db_settings(config: &Config, migrate: bool) -> DbSettings {
    DbSettings {
        url: config.database_url().reveal().to_owned(),
        connections: config.database.connections,
        busy_timeout: config.database.busy_timeout,
        durable: is_durable(config),
        migrate,
        observe_group: telemetry::metrics::observe_db_group,
    }
}

/// Whether an acknowledgement survives a loss of power.
pub(super) fn is_durable(config: &Config) -> bool {
    config.durability == Durability::Full
}

/// The other DEX gateways among the targets, by name.
pub(super) fn dex_targets(
    routing: &Routing,
    clock: &SharedClock,
) -> Result<HashMap<String, DexDestination>, OutboundError> {
    let mut destinations = HashMap::new();
    for (name, target) in routing.targets() {
        if let TargetConfig::Dex(target) = target {
            destinations.insert(name.clone(), DexDestination::new(target.clone(), clock)?);
        }
    }
    Ok(destinations)
}

/// All targets of the delivery file, by name; `files` are those that are folders.
pub(super) fn destinations(
    files: HashMap<String, FileDestination>,
    buckets: HashMap<String, ObjectDestination>,
    dexes: HashMap<String, DexDestination>,
) -> HashMap<String, Arc<dyn Destination>> {
    let files = files.into_iter().map(|(name, target)| (name, Arc::new(target) as Arc<dyn Destination>));
    let buckets = buckets.into_iter().map(|(name, target)| (name, Arc::new(target) as Arc<dyn Destination>));
    let dexes = dexes.into_iter().map(|(name, target)| (name, Arc::new(target) as Arc<dyn Destination>));
    files.chain(buckets).chain(dexes).collect()
}

/// The delivery engine; `targets` are those of the delivery file.
pub(super) fn deliveries(
    config: &Config,
    routing: &Routing,
    db: &Db,
    clock: &SharedClock,
    uploads: &Arc<Uploads>,
    targets: HashMap<String, Arc<dyn Destination>>,
    (partners, agenda): (&Partners, &Arc<Agenda>),
) -> Deliveries {
    let endpoint = |partner: &Arc<Partner>| -> (String, Arc<dyn Destination>) {
        (partner.target(), Arc::new(EndpointDestination::new(partner.clone())))
    };
    let destinations = targets.into_iter().chain(partners.iter().map(endpoint)).collect();
    let settings = WorkerSettings {
        concurrency: config.delivery.concurrency,
        concurrency_per_target: config.delivery.concurrency_per_target,
        concurrency_of: routing.concurrency().clone(),
        breaker: BreakerSettings {
            failures: config.delivery.breaker_failures,
            pause: config.delivery.breaker_pause,
            longest_pause: config.delivery.breaker_longest_pause,
        },
        stall_timeout: config.delivery.stall_timeout,
        lease: config.delivery.lease,
        poll_interval: config.delivery.poll_interval,
        name: format!("gateway-{}", std::process::id()),
    };
    let schedule = Schedule::new(config.delivery.retry_schedule.clone());
    Deliveries::new(
        db.clone(),
        clock.clone(),
        uploads.clone(),
        destinations,
        schedule,
        settings,
        agenda.clone(),
    )
}

/// How uploads are taken in.
pub(super) fn upload_settings(config: &Config) -> UploadSettings {
    UploadSettings {
        max_bytes: config.upload.max_size_bytes,
        expiry: Expiry::new(config.upload.expiry, &config.upload.stream_expiry),
        checkpoint_bytes: config.upload.checkpoint_bytes,
        checkpoint_interval: config.upload.checkpoint_interval,
    }
}

/// Where the FHIR API of a gateway is that clients reach at this URL.
pub(super) fn fhir_base(base_url: &str) -> Arc<str> {
    format!("{base_url}/fhir").into()
}

/// Settings of the use cases.
pub(super) fn exchange_settings(config: &Config, base_url: &str) -> ExchangeSettings {
    let identifier = config.fhir.identifier.as_deref().and_then(|text| text.split_once('|'));
    ExchangeSettings {
        fhir_base: fhir_base(base_url),
        upload_store_name: match config.upload_store() {
            StorePlace::Folder(_) => "File Storage".to_owned(),
            StorePlace::S3 { bucket, .. } => format!("Tus storage S3 Bucket {bucket}"),
            StorePlace::Azure { .. } => "Tus storage".to_owned(),
        },
        refuse_unrouted: config.delivery.unrouted == Unrouted::Refuse,
        terminate_during_delivery: config.upload.terminate_during_delivery,
        payload_limit_bytes: config.fhir.payload_limit_bytes,
        scan: ScanLimits {
            inline_data_bytes: config.fhir.inline_data_bytes,
            skeleton_bytes: config.fhir.skeleton_limit_bytes,
            nodes: NODES,
            ..ScanLimits::default()
        },
        idempotency: config.fhir.idempotency,
        rest: rest_settings(config),
        export: ExportSettings {
            folder: config.data_dir.join("exports"),
            durable: is_durable(config),
            jobs_per_owner: config.fhir.export_jobs,
            file_resources: config.fhir.export_file_resources,
            retention: config.fhir.export_retention,
        },
        identifier: identifier.map(|(system, value)| (system.to_owned(), value.to_owned())),
    }
}

/// Settings of the FHIR REST API.
fn rest_settings(config: &Config) -> RestSettings {
    let body_bytes = usize::try_from(config.fhir.body_limit_bytes).unwrap_or(usize::MAX);
    let partners = config.partner.values();
    RestSettings {
        // What is taken out of these bodies is never put back: it becomes a Binary.
        scan: ScanLimits {
            skeleton_bytes: body_bytes,
            string_bytes: body_bytes,
            nodes: 4 * NODES,
            inline_data_bytes: config.fhir.inline_attachment_bytes.div_ceil(3) * 4,
            late_data_bytes: config.fhir.inline_attachment_bytes.div_ceil(3) * 4,
            ..ScanLimits::default()
        },
        update_creates: config.fhir.update_creates,
        require_if_match: config.fhir.require_if_match,
        validation: config.fhir.validation,
        partners: partners
            .filter_map(|partner| Some((partner.client_id.clone()?, partner.validation?)))
            .collect(),
        page_size: config.fhir.page_size,
        max_page_size: config.fhir.max_page_size,
        bundle_entries: config.fhir.bundle_entries,
    }
}

/// The safety gate.
pub(super) fn screening(config: &Config) -> Result<Screening, OutboundError> {
    let section = &config.screening;
    let scanner = match section.scanner() {
        None | Some(ScannerAddress::None) => None,
        Some(ScannerAddress::Clamd(address)) => {
            Some(Scanner::Clamd(Clamd::new(address, section.scanner_timeout)))
        }
        Some(ScannerAddress::Http(url)) => {
            Some(Scanner::Http(HttpScanner::new(url, section.scanner_timeout)?))
        }
    };
    Ok(Screening {
        allow: section.allow.iter().map(|allowed| allowed.to_ascii_lowercase()).collect(),
        on_mismatch: section.on_mismatch,
        on_infected: section.on_infected,
        scanner,
    })
}

/// The identity provider behind `/oauth`, if there is one.
pub(super) fn oauth_front(config: &Config) -> Result<Option<Arc<OAuthFront>>, OutboundError> {
    let section = &config.auth.oauth_front;
    let Some(token_url) = section.token_url.clone() else { return Ok(None) };
    let settings = FrontSettings {
        token_url,
        client_id: section.client_id.clone(),
        client_secret: section.client_secret.clone(),
        scope: section.scope.clone(),
        reach: if section.private_addresses { Reach::Everywhere } else { Reach::Public },
        timeout: section.timeout,
        query_credentials: section.query_credentials,
    };
    OAuthFront::new(settings).map(|front| Some(Arc::new(front)))
}

/// What the doors announce.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        upload_bytes: config.upload.max_size_bytes,
        payload_bytes: config.fhir.payload_limit_bytes,
        body_bytes: config.fhir.body_limit_bytes,
    }
}

/// How strictly `Upload-Metadata` is read.
pub(super) fn metadata_mode(config: &Config) -> MetadataMode {
    if config.manifest.lenient_metadata { MetadataMode::Lenient } else { MetadataMode::Strict }
}

#[cfg(test)]
#[path = "wiring_tests.rs"]
mod tests;
