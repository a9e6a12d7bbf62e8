//! `[server]`: addresses, limits, stop time.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Problems, unit};

/// The listener reads at most this much ahead, so no header can be larger.
const LARGEST_HEADER_BYTES: usize = 64 * 1024;

/// How the gateway listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How clients reach the gateway, without a slash at its end; see [`ServerConfig::base_url`].
    pub public_url: Option<String>,
    /// The address metrics and readiness move to.
    pub admin_listen: Option<SocketAddr>,
    /// Time for the header of a request, and for a connection to stay idle.
    #[serde(rename = "header_timeout_secs", deserialize_with = "unit::seconds")]
    pub header_timeout: Duration,
    /// Time for the next bytes of a request body, or for the client to take bytes of its answer.
    #[serde(rename = "idle_timeout_secs", deserialize_with = "unit::seconds")]
    pub idle_timeout: Duration,
    /// The slowest request body allowed.
    pub minimum_rate_bytes_per_sec: u64,
    /// Time to answer, counted from the end of the request body.
    #[serde(rename = "handler_timeout_secs", deserialize_with = "unit::seconds")]
    pub handler_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Request line and header fields together.
    pub max_header_bytes: usize,
    /// Time for running work to finish after the first signal to stop.
    #[serde(rename = "stop_timeout_secs", deserialize_with = "unit::seconds")]
    pub stop_timeout: Duration,
    /// Origins whose web pages may call.
    pub cors_origins: Vec<String>,
}

impl ServerConfig {
    /// The URL under which clients see the gateway, without a slash at its end; `bound` is where the
    /// listener really is, if the port was left to the system.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{bound}"),
        }
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.refuse_zero("server.header_timeout_secs", self.header_timeout.as_secs());
        problems.refuse_zero("server.idle_timeout_secs", self.idle_timeout.as_secs());
        problems.refuse_zero("server.handler_timeout_secs", self.handler_timeout.as_secs());
        problems.refuse_outside("server.max_connections", self.max_connections, 1_000_000);
        if !(1024..=LARGEST_HEADER_BYTES).contains(&self.max_header_bytes) {
            problems.add("server.max_header_bytes", format!("must be 1024 to {LARGEST_HEADER_BYTES}"));
        }
        if self.admin_listen.is_some_and(|admin| admin == self.listen && admin.port() != 0) {
            problems.add("server.admin_listen", "is the same as server.listen");
        }
        if self.public_url.as_deref().is_some_and(|url| !is_web_url(url)) {
            problems.add(
                "server.public_url",
                "must be http:// or https:// with a host, and perhaps a path; no user, query or fragment",
            );
        }
        for (index, origin) in self.cors_origins.iter().enumerate() {
            if !is_origin(origin) {
                problems.add(
                    &format!("server.cors_origins[{index}]"),
                    "must be http:// or https:// with a host in lower case, and perhaps a port; nothing else",
                );
            }
        }
    }
}

/// Whether a text is a URL of the web: a host, and perhaps a path.
pub(super) fn is_web_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty()
            && !host.starts_with(':')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"<>".contains(&b))
    })
}

/// Browsers compare origins byte by byte and send them in lower case without a slash at the end.
fn is_origin(text: &str) -> bool {
    is_web_url(text)
        && !text.bytes().any(|b| b.is_ascii_uppercase())
        && text.split_once("://").is_some_and(|(_, host)| !host.contains('/'))
}
