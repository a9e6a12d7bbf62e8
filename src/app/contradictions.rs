//! What is legal in each setting and surely not meant beside the others: told as warnings by `check-config` and at
//! start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Config, StorePlace};
use crate::delivery::{Routing, TargetConfig};
use crate::outbound::origin;

/// Everything of that kind.
pub(super) fn contradictions(config: &Config, routing: &Routing) -> Vec<String> {
    let mut warnings = of_store(config);
    warnings.extend(of_folders(config, routing));
    for (name, target) in routing.targets() {
        if target.is_exposed() {
            warnings.push(format!("target {name}: its credentials go over plain http to another host"));
        }
        if let TargetConfig::Dex(dex) = target
            && is_this_gateway(config, &dex.url)
        {
            warnings.push(format!(
                "target {name}: is this gateway itself: what it delivers there comes in again"
            ));
        }
    }
    warnings
}

fn of_store(config: &Config) -> Vec<String> {
    let store = &config.upload.store;
    match config.upload_store() {
        StorePlace::Folder(_) => {
            let keys = [
                ("endpoint", store.endpoint.is_some()),
                ("region", store.region.is_some()),
                ("access_key_id", store.access_key_id.is_some()),
                ("secret_access_key", store.secret_access_key.is_some()),
                ("session_token", store.session_token.is_some()),
                ("storage_account", store.storage_account.is_some()),
                ("storage_key", store.storage_key.is_some()),
            ];
            let set = keys.into_iter().filter(|(_, is_set)| *is_set);
            set.map(|(key, _)| format!("upload.store.{key}: means nothing: upload.store_url names no bucket"))
                .collect()
        }
        StorePlace::S3 { .. } | StorePlace::Azure { .. } => {
            let endpoint = store.endpoint.as_deref().unwrap_or_default();
            if endpoint.starts_with("http://") && !crate::outbound::names_loopback(endpoint) {
                vec!["upload.store.endpoint: its credentials go over plain http to another host".to_owned()]
            } else {
                Vec::new()
            }
        }
    }
}

/// Folders that two would write to, each as if it were alone.
fn of_folders(config: &Config, routing: &Routing) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut owners: BTreeMap<PathBuf, &str> = BTreeMap::new();
    let store = match config.upload_store() {
        StorePlace::Folder(folder) => Some(folder),
        StorePlace::S3 { .. } | StorePlace::Azure { .. } => None,
    };
    for (name, target) in routing.targets() {
        let TargetConfig::File(file) = target else { continue };
        let root = file.root(&config.data_dir);
        let is_within = |store: &Path| root.starts_with(store) || store.starts_with(&root);
        if store.as_deref().is_some_and(is_within) {
            warnings.push(format!("target {name}: its folder and the upload store lie in each other"));
        }
        if let Some(owner) = owners.get(&root) {
            warnings.push(format!("target {name}: has the same folder as target {owner}"));
        }
        owners.insert(root, name);
    }
    warnings
}

/// Whether a URL leads to the address that this gateway is called by, or listens on.
fn is_this_gateway(config: &Config, url: &str) -> bool {
    let own = [config.server.public_url.clone(), Some(format!("http://{}", config.server.listen))];
    let called = origin(url);
    called.is_some() && own.into_iter().flatten().any(|own| origin(&own) == called)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "targets:
  a: {type: file, name: a, path: uploads/x}
  b: {type: file, name: b, path: out}
  c: {type: file, name: c, path: ./out/}
  d: {type: s3, name: d, bucket_name: d, endpoint: 'http://minio.example:9000', access_key_id: k, secret_access_key: s}
  e: {type: s3, name: e, bucket_name: e, endpoint: 'http://127.0.0.1:9000', access_key_id: k, secret_access_key: s}
  f: {type: dex, name: f, url: 'http://127.0.0.1:8080/upload/files'}
  g: {type: dex, name: g, url: 'https://gateway.example/upload/files'}
";

    #[test]
    fn what_is_surely_not_meant_is_told_by_its_key_or_target() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = Config::defaults_in(folder.path()).expect("the defaults are sound");
        let routing = Routing::built_in();
        assert_eq!(contradictions(&config, &routing), Vec::<String>::new());

        config.server.listen = ([127, 0, 0, 1], 8080).into();
        config.server.public_url = Some("https://gateway.example/dex".to_owned());
        config.upload.store.region = Some("eu".to_owned());
        let routing = Routing::from_yaml("f.yml", FILE, &|_| None).expect("it is legal");
        let warnings = contradictions(&config, &routing);
        let places: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(": ").next()).collect();
        assert_eq!(
            places,
            ["upload.store.region", "target a", "target c", "target d", "target f", "target g",],
            "{warnings:?}"
        );
        config.upload.store_url = Some("s3://bucket".to_owned());
        config.upload.store.endpoint = Some("http://10.0.0.1:9000".to_owned());
        let warnings = contradictions(&config, &Routing::built_in());
        assert!(warnings.iter().any(|warning| warning.starts_with("upload.store.endpoint")), "{warnings:?}");
    }
}
