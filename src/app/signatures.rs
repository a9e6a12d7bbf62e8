//! Keys and certificates from files: with what the gateway signs, and whose signatures it believes. What cannot be used
//! is told with the key that names it, never with anything of what is in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cdex::signature::{Signer, SignerError, TrustAnchors, TrustError};
use crate::config::{Config, PolicyConfig, SigningConfig};
use crate::exchange::Signatures;
use crate::manifest::ConfigProblem;

/// What the settings say of signatures; everything that is wrong with it at once.
pub(super) fn signatures(config: &Config) -> Result<Signatures, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let signer = signer(&config.fhir.signing).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let everybody = trust("policy", &config.policy, &mut problems);
    let mut partners = HashMap::new();
    for (name, partner) in &config.partner {
        let own = &partner.policy;
        // Whoever has nothing of its own is judged as everybody is.
        if own.trust.is_some() || own.legacy_signatures.is_some() {
            let policy = config.policy.with(own);
            partners.insert(name.clone(), trust(&format!("partner.{name}.policy"), &policy, &mut problems));
        }
    }
    if problems.is_empty() { Ok(Signatures::new(signer, everybody, partners)) } else { Err(problems) }
}

fn signer(section: &SigningConfig) -> Result<Option<Signer>, ConfigProblem> {
    let (Some(key_file), Some(certificate_file), Some(who)) =
        (&section.key_file, &section.certificate_file, &section.who)
    else {
        return Ok(None);
    };
    let problem = |key: &str, text: String| ConfigProblem::new(format!("fhir.signing.{key}"), text);
    let key = read(key_file).map_err(|text| problem("key_file", text))?;
    let certificates = read(certificate_file).map_err(|text| problem("certificate_file", text))?;
    let signer = Signer::from_pem(&key, &certificates, who, section.display.as_deref());
    signer.map(Some).map_err(|error| match error {
        SignerError::Key | SignerError::OtherKey => {
            problem("key_file", format!("{}: {error}", key_file.display()))
        }
        SignerError::Certificate | SignerError::CertificateKey => {
            problem("certificate_file", format!("{}: {error}", certificate_file.display()))
        }
        SignerError::Identity => problem("who", error.to_string()),
    })
}

fn trust(path: &str, policy: &PolicyConfig, problems: &mut Vec<ConfigProblem>) -> TrustAnchors {
    let mut trust = TrustAnchors::default();
    trust.accept_legacy(policy.legacy_signatures);
    trust.require_key_usage(policy.trust.require_key_usage);
    let mut add =
        |key: &str, files: &[PathBuf], add: fn(&mut TrustAnchors, &[u8]) -> Result<(), TrustError>| {
            for (index, file) in files.iter().enumerate() {
                let added = read(file).and_then(|content| {
                    add(&mut trust, &content).map_err(|error| format!("{}: {error}", file.display()))
                });
                if let Err(text) = added {
                    problems.push(ConfigProblem::new(format!("{path}.trust.{key}[{index}]"), text));
                }
            }
        };
    add("anchors", &policy.trust.anchors, TrustAnchors::add_pem);
    add("revocation_lists", &policy.trust.revocation_lists, TrustAnchors::add_revocation_lists);
    for (index, fingerprint) in policy.trust.pinned.iter().enumerate() {
        if let Err(error) = trust.pin(fingerprint) {
            problems.push(ConfigProblem::new(format!("{path}.trust.pinned[{index}]"), error.to_string()));
        }
    }
    trust
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {}", file.display(), error.kind()))
}
