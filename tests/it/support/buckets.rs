//! Gateways that keep uploads in buckets, and the delivery files that lead into them.

use super::storage::{AZURE_ACCOUNT, BUCKET, Container, S3_KEYS, S3Server};

/// Settings of a gateway, as names and values of variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// Uploads in a bucket of this server.
pub(crate) fn s3_store(server: &S3Server) -> Settings {
    vec![
        ("CDEX_UPLOAD__STORE_URL", format!("s3://{BUCKET}/uploads")),
        ("CDEX_UPLOAD__STORE__ENDPOINT", server.endpoint().to_owned()),
        ("CDEX_UPLOAD__STORE__ACCESS_KEY_ID", S3_KEYS.0.to_owned()),
        ("CDEX_UPLOAD__STORE__SECRET_ACCESS_KEY", S3_KEYS.1.to_owned()),
    ]
}

/// Uploads in this container.
pub(crate) fn azure_store(container: &Container) -> Settings {
    vec![
        ("CDEX_UPLOAD__STORE_URL", format!("az://{}/uploads", container.name())),
        ("CDEX_UPLOAD__STORE__ENDPOINT", container.endpoint().to_owned()),
        ("CDEX_UPLOAD__STORE__STORAGE_ACCOUNT", AZURE_ACCOUNT.0.to_owned()),
        ("CDEX_UPLOAD__STORE__STORAGE_KEY", AZURE_ACCOUNT.1.to_owned()),
    ]
}

/// An entry of `targets` that is the bucket of this server; `more` are further keys.
pub(crate) fn s3_target(name: &str, server: &S3Server, more: &str) -> String {
    let (endpoint, (access_key, secret)) = (server.endpoint(), S3_KEYS);
    format!(
        "  {name}: {{ name: {name}, type: s3, bucket_name: {BUCKET}, endpoint: '{endpoint}', \
         access_key_id: {access_key}, secret_access_key: {secret}{more} }}\n"
    )
}

/// An entry of `targets` that is this container.
pub(crate) fn azure_target(name: &str, container: &Container) -> String {
    let (endpoint, bucket, (account, key)) = (container.endpoint(), container.name(), AZURE_ACCOUNT);
    format!(
        "  {name}: {{ name: {name}, type: az-blob, container_name: {bucket}, endpoint: '{endpoint}', \
         storage_account: {account}, storage_key: '{key}' }}\n"
    )
}

/// Settings as a gateway of the tests takes them.
pub(crate) fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
