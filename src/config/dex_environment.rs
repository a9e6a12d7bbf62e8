//! The environment variables of DEX Upload API that mean something here, so that a deployment of it can be moved as it
//! is. One table; what has no counterpart stands in it with the reason (dex-upload 9, W-36). Keys of ours win wherever
//! they are set, and the environment itself is read elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::Problems;

/// The value of another variable of DEX, if it is set.
type Others<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// What a variable's value comes to.
enum Reading {
    /// This value of our key.
    Value(String),
    /// Nothing, because of what other variables say or because it is our default.
    Unset,
    /// It breaks this rule.
    Broken(&'static str),
}
use Reading::{Broken, Unset, Value};

/// Reads a variable's value beside the others.
type Reader = for<'a> fn(&'a str, Others<'a>) -> Reading;

/// What a variable is to us.
#[derive(Clone, Copy)]
enum Meaning {
    /// It sets this key.
    Sets(&'static str, Reader),
    /// It has a part in what the variables beside it set.
    Part,
    /// It is read by its own name, where the place it belongs to is used.
    Same,
    /// Nothing, for this reason.
    Nothing(&'static str),
}
use Meaning::{Nothing, Part, Same, Sets};

/// Every variable of DEX. Its sections are those of dex-upload 9.
const TABLE: &[(&str, Meaning)] = &[
    ("LOGGER_DEBUG_ON", Sets("telemetry.log_filter", debug)),
    ("SERVER_PORT", Sets("server.listen", port)),
    ("LISTENER_WORKERS", Sets("delivery.concurrency", text)),
    ("LOCAL_FOLDER_UPLOADS_TUS", Sets("upload.store_url", upload_folder)),
    ("S3_BUCKET_NAME", Sets("upload.store_url", upload_bucket)),
    ("S3_ENDPOINT", Sets("upload.store.endpoint", s3_endpoint)),
    ("TUS_AZURE_CONTAINER_NAME", Sets("upload.store_url", upload_container)),
    ("AZURE_ENDPOINT", Sets("upload.store.endpoint", azure_endpoint)),
    ("AZURE_STORAGE_ACCOUNT", Same),
    ("AZURE_STORAGE_KEY", Same),
    ("TUS_UPLOAD_PREFIX", Part),
    ("UPLOAD_CONFIG_PATH", Sets("manifest.config_dir", config_folder)),
    ("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME", Sets("manifest.config_dir", config_bucket)),
    ("DEX_MANIFEST_CONFIG_BUCKET_NAME", Part),
    ("DEX_MANIFEST_CONFIG_CONTAINER_NAME", Sets("manifest.config_dir", config_container)),
    ("DEX_DELIVERY_CONFIG_FILE", Sets("delivery.config_file", text)),
    ("LOCAL_REPORTS_FOLDER", Sets("report.sink.dex.type", file_sink)),
    ("LOCAL_REPORTS_FOLDER", Sets("report.sink.dex.folder", folder)),
    ("OAUTH_AUTH_ENABLED", Sets("auth.mode", auth_mode)),
    ("ENVIRONMENT", Nothing("log lines carry no label")),
    ("SERVER_PROTOCOL", Nothing("DEX does not use it either")),
    ("SERVER_HOSTNAME", Nothing("DEX does not use it either; the address from outside is server.public_url")),
    ("PROCESSING_STATUS_HEALTH_URI", Nothing("DEX does not use it either")),
    ("TUSD_HANDLER_BASE_PATH", Nothing("the paths are fixed: /files, /upload/files and /upload")),
    ("TUSD_HANDLER_INFO_PATH", Nothing("the paths are fixed: /info and /upload/info")),
    (
        "EVENT_MAX_RETRY_COUNT",
        Nothing("a delivery is repeated after growing waits: delivery.retry_schedule_secs"),
    ),
    ("METRICS_LABELS_FROM_MANIFEST", Nothing("values of senders are no labels: their number has no bound")),
    (
        "METRICS_POLL_INTERVAL_MILLIS",
        Nothing("deliveries are counted in the database, there is no queue to poll"),
    ),
    ("UI_PORT", Nothing("there are no pages in this version")),
    ("UI_SERVER_EXTERNAL_PROTOCOL", Nothing("there are no pages in this version")),
    ("UI_SERVER_EXTERNAL_HOST", Nothing("there are no pages in this version")),
    ("UI_SERVER_INTERNAL_PROTOCOL", Nothing("there are no pages in this version")),
    ("UI_SERVER_INTERNAL_HOST", Nothing("there are no pages in this version")),
    ("CSRF_TOKEN", Nothing("there are no pages in this version")),
    ("CSRF_TRUSTED_ORIGINS", Nothing("there are no pages in this version")),
    ("OAUTH_SESSION_KEY", Nothing("there are no pages in this version")),
    ("OAUTH_SESSION_SECURE", Nothing("there are no pages in this version")),
    ("OAUTH_SESSION_DOMAIN", Nothing("there are no pages in this version")),
    ("OAUTH_ISSUER_URL", Nothing("tokens are not verified in this version")),
    ("OAUTH_REQUIRED_SCOPES", Nothing("tokens are not verified in this version")),
    ("OAUTH_INTROSPECTION_URL", Nothing("tokens are not verified in this version")),
    ("REDIS_CONNECTION_STRING", Nothing("the database holds the locks")),
    ("LOCAL_EVENTS_FOLDER", Nothing("deliveries lie in the database")),
    (
        "AZURE_TENANT_ID",
        Nothing("the upload store takes an account and its key; a target names it in the delivery file"),
    ),
    (
        "AZURE_CLIENT_ID",
        Nothing("the upload store takes an account and its key; a target names it in the delivery file"),
    ),
    (
        "AZURE_CLIENT_SECRET",
        Nothing("the upload store takes an account and its key; a target names it in the delivery file"),
    ),
    ("REPORTER_CONNECTION_STRING", Nothing("there is no Service Bus here")),
    ("REPORTER_QUEUE", Nothing("there is no Service Bus here")),
    ("REPORTER_TOPIC", Nothing("there is no Service Bus here")),
    ("PUBLISHER_CONNECTION_STRING", Nothing("deliveries need no Service Bus")),
    ("PUBLISHER_QUEUE", Nothing("deliveries need no Service Bus")),
    ("PUBLISHER_TOPIC", Nothing("deliveries need no Service Bus")),
    ("SUBSCRIBER_CONNECTION_STRING", Nothing("deliveries need no Service Bus")),
    ("SUBSCRIBER_TOPIC", Nothing("deliveries need no Service Bus")),
    ("SUBSCRIBER_SUBSCRIPTION", Nothing("deliveries need no Service Bus")),
    ("SUBSCRIBER_MAX_MESSAGES", Nothing("deliveries need no Service Bus")),
    ("SNS_REPORTER_EVENT_ARN", Nothing("there is no SNS here")),
    ("SNS_PUBLISHER_EVENT_ARN", Nothing("deliveries need no SNS")),
    ("SQS_SUBSCRIBER_EVENT_ARN", Nothing("deliveries need no SQS")),
    ("SQS_SUBSCRIBER_TOPIC_ARN", Nothing("deliveries need no SQS")),
    ("SQS_SUBSCRIBER_MAX_MESSAGES", Nothing("deliveries need no SQS")),
    ("SQS_SUBSCRIBER_MAX_RETRIES", Nothing("deliveries need no SQS")),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Nothing("traces go to the log alone")),
];

/// Whether DEX knows a variable of this name.
pub(super) fn is_known(name: &str) -> bool {
    TABLE.iter().any(|(known, _)| *known == name)
}

/// A key of ours that a variable of DEX sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) variable: &'static str,
    pub(super) key: &'static str,
    pub(super) value: String,
}

/// What the variables of DEX set here, and those that mean nothing, with the reasons. Empty ones count as unset.
pub(super) fn settings(
    environment: &[(String, OsString)],
    problems: &mut Problems,
) -> (Vec<Set>, Vec<(&'static str, &'static str)>) {
    let texts: BTreeMap<&str, &str> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str()?)))
        .filter(|(name, value)| !value.is_empty() && is_known(name))
        .collect();
    let (mut sets, mut unused) = (Vec::new(), Vec::new());
    for &(variable, meaning) in TABLE {
        let Some(&value) = texts.get(variable) else { continue };
        match meaning {
            Sets(key, read) => match read(value, &|name| texts.get(name).copied()) {
                Value(value) => sets.push(Set { variable, key, value }),
                Unset => {}
                Broken(rule) => problems.add(variable, rule),
            },
            Part if variable == "DEX_MANIFEST_CONFIG_BUCKET_NAME"
                && !texts.contains_key("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME") =>
            {
                unused.push((variable, "means nothing without DEX_S3_MANIFEST_CONFIG_FOLDER_NAME"));
            }
            Part if variable == "TUS_UPLOAD_PREFIX"
                && !["S3_BUCKET_NAME", "TUS_AZURE_CONTAINER_NAME"]
                    .iter()
                    .any(|store| texts.contains_key(store)) =>
            {
                unused.push((variable, "means nothing without S3_BUCKET_NAME or TUS_AZURE_CONTAINER_NAME"));
            }
            Part | Same => {}
            Nothing(reason) => unused.push((variable, reason)),
        }
    }
    (sets, unused)
}

fn text(value: &str, _: Others<'_>) -> Reading {
    Value(value.to_owned())
}

/// Our value for what DEX has as yes or no, in Go's words; a no is our default.
fn if_true(value: &str, ours: &str) -> Reading {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Value(ours.to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Unset,
        _ => Broken("must be true or false"),
    }
}

fn debug(value: &str, _: Others<'_>) -> Reading {
    if_true(value, "info,cdex_gateway=debug")
}

/// Whoever asked for the door to be locked must not find it open.
fn auth_mode(value: &str, _: Others<'_>) -> Reading {
    if_true(value, "external")
}

/// The port alone: DEX listens on every address, which is not for a variable of another program to decide here.
fn port(value: &str, _: Others<'_>) -> Reading {
    match value.parse::<u16>() {
        Ok(port) => Value(format!("127.0.0.1:{port}")),
        Err(_) => Broken("must be a port"),
    }
}

/// DEX keeps uploads in files only if neither bucket nor container is named.
fn upload_folder(value: &str, other: Others<'_>) -> Reading {
    if other("S3_BUCKET_NAME").or(other("TUS_AZURE_CONTAINER_NAME")).is_some() {
        return Unset;
    }
    folder(value, other)
}

/// A folder as DEX sees it: from where it is started.
fn folder(value: &str, _: Others<'_>) -> Reading {
    let folder = std::path::absolute(value).ok();
    match folder.as_deref().and_then(std::path::Path::to_str) {
        Some(folder) => Value(folder.to_owned()),
        None => Broken("cannot be made an absolute path"),
    }
}

/// DEX always writes its reports to files, and ours look the same.
fn file_sink(_: &str, _: Others<'_>) -> Reading {
    Value("file".to_owned())
}

fn prefix(other: Others<'_>) -> &str {
    other("TUS_UPLOAD_PREFIX").unwrap_or("tus-prefix").trim_matches('/')
}

fn upload_bucket(value: &str, other: Others<'_>) -> Reading {
    match other("TUS_AZURE_CONTAINER_NAME") {
        None => Value(format!("s3://{value}/{}", prefix(other))),
        Some(_) => Broken("names an upload store beside TUS_AZURE_CONTAINER_NAME: there is one"),
    }
}

/// Only the container turns the store on: an account may be there for a target alone (dex-upload 9).
fn upload_container(value: &str, other: Others<'_>) -> Reading {
    Value(format!("az://{value}/{}", prefix(other)))
}

fn s3_endpoint(value: &str, other: Others<'_>) -> Reading {
    other("S3_BUCKET_NAME").map_or(Unset, |_| Value(value.to_owned()))
}

fn azure_endpoint(value: &str, other: Others<'_>) -> Reading {
    other("TUS_AZURE_CONTAINER_NAME").map_or(Unset, |_| Value(value.to_owned()))
}

fn config_folder(value: &str, other: Others<'_>) -> Reading {
    match other("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME").or(other("DEX_MANIFEST_CONFIG_CONTAINER_NAME")) {
        None => Value(value.to_owned()),
        Some(_) => Unset,
    }
}

fn config_bucket(value: &str, other: Others<'_>) -> Reading {
    match other("DEX_MANIFEST_CONFIG_BUCKET_NAME").or(other("S3_BUCKET_NAME")) {
        Some(bucket) => Value(format!("s3://{bucket}/{}", value.trim_matches('/'))),
        None => Broken("needs DEX_MANIFEST_CONFIG_BUCKET_NAME or S3_BUCKET_NAME"),
    }
}

fn config_container(value: &str, other: Others<'_>) -> Reading {
    match other("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME") {
        None => Value(format!("az://{value}")),
        Some(_) => Broken("names a place beside DEX_S3_MANIFEST_CONFIG_FOLDER_NAME: there is one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with values.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn read(set: Pairs<'_>) -> (Vec<(&'static str, String)>, Vec<&'static str>, String) {
        let environment: Vec<_> =
            set.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        let mut problems = Problems::default();
        let (sets, unused) = settings(&environment, &mut problems);
        let sets = sets.into_iter().map(|set| (set.key, set.value)).collect();
        (sets, unused.into_iter().map(|(name, _)| name).collect(), problems.to_string())
    }

    /// W-36: what DEX's variables mean here, its traps included.
    #[test]
    fn w_36_each_variable_of_dex_sets_the_key_that_it_means() {
        let local = std::path::absolute("up").expect("a working folder").display().to_string();
        let cases: &[(Pairs<'_>, Pairs<'_>)] = &[
            (&[("SERVER_PORT", "8090")], &[("server.listen", "127.0.0.1:8090")]),
            (&[("LOGGER_DEBUG_ON", "false")], &[]),
            (&[("LOGGER_DEBUG_ON", "T")], &[("telemetry.log_filter", "info,cdex_gateway=debug")]),
            (&[("LISTENER_WORKERS", "7")], &[("delivery.concurrency", "7")]),
            (&[("LISTENER_WORKERS", "")], &[]),
            (&[("LOCAL_FOLDER_UPLOADS_TUS", "up")], &[("upload.store_url", &local)]),
            (
                &[("S3_BUCKET_NAME", "b"), ("S3_ENDPOINT", "http://s3"), ("LOCAL_FOLDER_UPLOADS_TUS", "up")],
                &[("upload.store_url", "s3://b/tus-prefix"), ("upload.store.endpoint", "http://s3")],
            ),
            (
                &[
                    ("TUS_AZURE_CONTAINER_NAME", "c"),
                    ("TUS_UPLOAD_PREFIX", "/p/"),
                    ("AZURE_ENDPOINT", "http://a"),
                ],
                &[("upload.store_url", "az://c/p"), ("upload.store.endpoint", "http://a")],
            ),
            // In DEX any of these would turn the Azure store on.
            (&[("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_ENDPOINT", "http://a")], &[]),
            (
                &[("UPLOAD_CONFIG_PATH", "streams"), ("DEX_DELIVERY_CONFIG_FILE", "d.yml")],
                &[("manifest.config_dir", "streams"), ("delivery.config_file", "d.yml")],
            ),
            (
                &[
                    ("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME", "x/"),
                    ("DEX_MANIFEST_CONFIG_BUCKET_NAME", "b"),
                    ("UPLOAD_CONFIG_PATH", "y"),
                ],
                &[("manifest.config_dir", "s3://b/x")],
            ),
            (&[("DEX_MANIFEST_CONFIG_CONTAINER_NAME", "c")], &[("manifest.config_dir", "az://c")]),
            (
                &[("LOCAL_REPORTS_FOLDER", "up")],
                &[("report.sink.dex.type", "file"), ("report.sink.dex.folder", &local)],
            ),
            (&[("OAUTH_AUTH_ENABLED", "true")], &[("auth.mode", "external")]),
        ];
        for (set, expected) in cases {
            let (sets, _, problems) = read(set);
            let sets: Vec<(&str, &str)> = sets.iter().map(|(key, value)| (*key, value.as_str())).collect();
            assert_eq!(&sets, expected, "{set:?}");
            assert_eq!(problems, "", "{set:?}");
        }
    }

    #[test]
    fn what_means_nothing_is_told_and_what_cannot_be_meant_is_a_problem_without_its_value() {
        assert_eq!(
            read(&[("UI_PORT", "1"), ("REDIS_CONNECTION_STRING", "redis://")]).1,
            ["UI_PORT", "REDIS_CONNECTION_STRING"]
        );
        assert_eq!(read(&[("DEX_MANIFEST_CONFIG_BUCKET_NAME", "b")]).1, ["DEX_MANIFEST_CONFIG_BUCKET_NAME"]);
        let refused: [Pairs<'_>; 4] = [
            &[("SERVER_PORT", "ZZ")],
            &[("LOGGER_DEBUG_ON", "ZZ")],
            &[("S3_BUCKET_NAME", "ZZ"), ("TUS_AZURE_CONTAINER_NAME", "c")],
            &[("DEX_S3_MANIFEST_CONFIG_FOLDER_NAME", "ZZ")],
        ];
        for set in refused {
            let (.., problems) = read(set);
            assert!(problems.starts_with(&format!("{}: ", set[0].0)), "{problems}");
            assert!(!problems.contains("ZZ"), "{problems}");
        }
    }

    #[test]
    fn the_readme_tells_of_every_variable_with_a_meaning() {
        let readme = include_str!("../../README.md");
        for (name, _) in TABLE.iter().filter(|(_, meaning)| !matches!(meaning, Nothing(_))) {
            assert!(readme.contains(&format!("`{name}`")), "{name}");
        }
    }
}
