//! What must be known of a bucket to use it: the service, its name, and who we are there. Read from the settings or
//! from DEX's delivery file; a credential never shows itself.

use crate::config::Secret;
use crate::outbound::client::callable;
use crate::outbound::{Reach, names_loopback};

/// A bucket of S3 or a container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BucketSettings {
    /// A bucket of S3, or of another service that speaks its protocol.
    S3(S3Settings),
    /// A container of Azure Blob Storage.
    Azure(AzureSettings),
}

/// A bucket of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Settings {
    /// The bucket.
    pub(crate) bucket: String,
    /// Another S3 than Amazon's, addressed by path.
    pub(crate) endpoint: Option<String>,
    /// The region, `us-east-1` unless set.
    pub(crate) region: Option<String>,
    /// The static key.
    pub(crate) access_key_id: Secret,
    /// Its secret.
    pub(crate) secret_access_key: Secret,
    /// What temporary keys come with.
    pub(crate) session_token: Option<Secret>,
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AzureSettings {
    /// The account's blob service.
    pub(crate) endpoint: String,
    /// The container.
    pub(crate) container: String,
    /// Who we are there.
    pub(crate) credential: AzureCredential,
}

/// How we prove to Azure who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AzureCredential {
    /// The account's shared key.
    SharedKey {
        /// The storage account.
        storage_account: String,
        /// Its key.
        storage_key: Secret,
    },
    /// A service principal.
    ServicePrincipal {
        /// The tenant.
        tenant_id: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
}

/// What is wrong with a setting: its key, as a delivery file names it, and the rule.
pub(crate) type BucketProblem = (&'static str, &'static str);

const ENDPOINT_RULE: &str =
    "must be http:// or https:// with a host, and perhaps a path; no user, query, fragment or space";
const WORD_RULE: &str =
    "must be made of ASCII letters and digits, and of no other signs than '.', '-' and '_'";
const SIGNS_RULE: &str = "must have neither spaces nor control characters";

impl BucketSettings {
    /// Everything that is wrong with them. A client is to be made of sound settings only: what is part of a URL or of a
    /// header field fails there without naming its key, or panics. An empty value is missing, which is told elsewhere.
    pub(crate) fn problems(&self) -> Vec<BucketProblem> {
        match self {
            Self::S3(s3) => s3.problems(),
            Self::Azure(azure) => azure.problems(),
        }
    }

    /// Whether what is sent can be read by others on the way: by plain HTTP, to a host that is not this one.
    pub(crate) fn is_exposed(&self) -> bool {
        let endpoint = match self {
            Self::S3(s3) => s3.endpoint.as_deref().unwrap_or_default(),
            Self::Azure(azure) => &azure.endpoint,
        };
        endpoint.starts_with("http://") && !names_loopback(endpoint)
    }
}

/// A key, its value, whether a value is sound, and what it must be.
type KeyRule<'v> = (&'static str, &'v str, fn(&str) -> bool, &'static str);

/// The keys whose value is there and breaks its rule.
fn broken(rules: &[KeyRule<'_>]) -> Vec<BucketProblem> {
    let broken = rules.iter().filter(|(_, value, is_sound, _)| !value.is_empty() && !is_sound(value));
    broken.map(|(key, _, _, rule)| (*key, *rule)).collect()
}

fn is_endpoint(text: &str) -> bool {
    // A URL is read without the spaces around it and the line breaks in it; whoever joins texts keeps them.
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && callable(text, Reach::Everywhere)
            .is_ok_and(|url| url.query().is_none() && url.fragment().is_none())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// S3 itself takes less; others who speak its protocol take these, too.
fn is_bucket(text: &str) -> bool {
    is_word(text) && text.len() <= 255 && !text.contains("..") && !text.starts_with('.')
}

fn is_container(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or(text);
    text.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_signs(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A `/` would end the key within the field that names it.
fn is_key_id(text: &str) -> bool {
    is_signs(text) && !text.contains(['/', ','])
}

fn is_base64(text: &str) -> bool {
    base64_simd::STANDARD.check(text.as_bytes()).is_ok()
}

impl S3Settings {
    fn problems(&self) -> Vec<BucketProblem> {
        broken(&[
            ("bucket_name", &self.bucket, is_bucket, "must be a name of a bucket"),
            ("endpoint", self.endpoint.as_deref().unwrap_or_default(), is_endpoint, ENDPOINT_RULE),
            ("region", self.region.as_deref().unwrap_or_default(), is_word, WORD_RULE),
            (
                "access_key_id",
                self.access_key_id.reveal(),
                is_key_id,
                "must have neither spaces nor control characters, nor '/' or ','",
            ),
            ("secret_access_key", self.secret_access_key.reveal(), is_signs, SIGNS_RULE),
            (
                "session_token",
                self.session_token.as_ref().map_or("", |token| token.reveal()),
                is_signs,
                SIGNS_RULE,
            ),
        ])
    }

    /// The region in force.
    pub(super) fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// What the buckets of one service have in common.
    pub(super) fn service(&self) -> (Option<&str>, &str) {
        (self.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/')), self.region())
    }

    /// The URL below which the objects are.
    pub(super) fn base(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{}", endpoint.trim_end_matches('/'), self.bucket),
            None => format!("https://s3.{}.amazonaws.com/{}", self.region(), self.bucket),
        }
    }
}

impl AzureSettings {
    fn problems(&self) -> Vec<BucketProblem> {
        let mut problems = broken(&[
            ("endpoint", &self.endpoint, is_endpoint, ENDPOINT_RULE),
            ("container_name", &self.container, is_container, "must be a name of a container"),
        ]);
        problems.extend(match &self.credential {
            AzureCredential::SharedKey { storage_account, storage_key } => broken(&[
                ("storage_account", storage_account, is_word, WORD_RULE),
                ("storage_key", storage_key.reveal(), is_base64, "is not base64"),
            ]),
            AzureCredential::ServicePrincipal { tenant_id, client_id, client_secret } => broken(&[
                ("tenant_id", tenant_id, is_word, WORD_RULE),
                ("client_id", client_id, is_signs, SIGNS_RULE),
                ("client_secret", client_secret.reveal(), is_signs, SIGNS_RULE),
            ]),
        });
        problems
    }

    /// The URL below which the objects are.
    pub(super) fn base(&self) -> String {
        format!("{}/{}", self.endpoint.trim_end_matches('/'), self.container)
    }

    /// The storage account: that of the key, or the first label of the endpoint's host.
    pub(super) fn account(&self) -> String {
        match &self.credential {
            AzureCredential::SharedKey { storage_account, .. } => storage_account.clone(),
            AzureCredential::ServicePrincipal { .. } => {
                let host = self.endpoint.split("://").nth(1).unwrap_or_default();
                host.split(['.', ':', '/']).next().unwrap_or_default().to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> S3Settings {
        S3Settings {
            bucket: "my-bucket.1".to_owned(),
            endpoint: Some("http://127.0.0.1:9000/s3".to_owned()),
            region: Some("eu-central-1".to_owned()),
            access_key_id: Secret::new("AKIA0"),
            secret_access_key: Secret::new("a/b+c="),
            session_token: None,
        }
    }

    fn azure(storage_key: &str) -> AzureSettings {
        AzureSettings {
            endpoint: "http://127.0.0.1:10000/devstoreaccount1".to_owned(),
            container: "$web".to_owned(),
            credential: AzureCredential::SharedKey {
                storage_account: "devstoreaccount1".to_owned(),
                storage_key: Secret::new(storage_key),
            },
        }
    }

    #[test]
    fn what_no_client_can_be_made_of_is_told_with_its_key() {
        let broken: [(S3Settings, &str); 12] = [
            (S3Settings { endpoint: Some("http://foo bar".to_owned()), ..s3() }, "endpoint"),
            (S3Settings { endpoint: Some("ftp://foo".to_owned()), ..s3() }, "endpoint"),
            (S3Settings { endpoint: Some("http://foo\n".to_owned()), ..s3() }, "endpoint"),
            (S3Settings { endpoint: Some("http://u:p@foo".to_owned()), ..s3() }, "endpoint"),
            (S3Settings { endpoint: Some("http://foo?x".to_owned()), ..s3() }, "endpoint"),
            (S3Settings { bucket: "my bucket".to_owned(), ..s3() }, "bucket_name"),
            (S3Settings { bucket: "a..b".to_owned(), ..s3() }, "bucket_name"),
            (S3Settings { bucket: "..".to_owned(), ..s3() }, "bucket_name"),
            (S3Settings { region: Some("eu west".to_owned()), ..s3() }, "region"),
            (S3Settings { access_key_id: Secret::new("AKIA\n"), ..s3() }, "access_key_id"),
            (S3Settings { secret_access_key: Secret::new("a b"), ..s3() }, "secret_access_key"),
            (S3Settings { session_token: Some(Secret::new("a\nb")), ..s3() }, "session_token"),
        ];
        for (settings, key) in broken {
            let problems = BucketSettings::S3(settings.clone()).problems();
            assert_eq!(problems.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key], "{settings:?}");
        }
        assert_eq!(BucketSettings::S3(s3()).problems(), []);
        assert_eq!(BucketSettings::Azure(azure("AAAA")).problems(), []);
        assert_eq!(BucketSettings::Azure(azure("not base64")).problems(), [("storage_key", "is not base64")]);
        let both = AzureSettings { container: "a/b".to_owned(), endpoint: "x".to_owned(), ..azure("AAAA") };
        let keys: Vec<_> = BucketSettings::Azure(both).problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["endpoint", "container_name"]);
    }

    #[test]
    fn plain_http_to_another_host_is_exposed() {
        let at = |endpoint: &str| {
            BucketSettings::S3(S3Settings { endpoint: Some(endpoint.to_owned()), ..s3() }).is_exposed()
        };
        for hidden in ["https://s3.example", "http://127.0.0.1:9000", "http://localhost", "http://[::1]/a"] {
            assert!(!at(hidden), "{hidden}");
        }
        assert!(at("http://minio.example:9000") && at("http://10.0.0.1"));
        assert!(!BucketSettings::S3(S3Settings { endpoint: None, ..s3() }).is_exposed());
    }
}
