//! The process environment: the only place that reads it. Settings are the variables that begin with `CDEX_`, and those
//! of DEX that mean something here; [`environment`] looks a single variable up for `$VAR` in DEX files.

use std::ffi::OsString;

use super::dex_environment;

const PREFIX: &str = "CDEX_";

/// One variable of the environment; `None` if it is unset or not Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All variables that are meant as settings, sorted by name.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(super) fn settings() -> Vec<(String, OsString)> {
    let mut settings: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| is_setting(name, value))
        .collect();
    settings.sort();
    settings
}

/// Whether a variable is meant for us. Kubernetes makes variables for every service of a namespace
/// (`CDEX_GATEWAY_SERVICE_HOST`, `CDEX_GATEWAY_PORT=tcp://…`); a service called `cdex…` must not keep the
/// gateway from starting. `CDEX_SHARED_DIR` tells the tests where published examples are.
fn is_setting(name: &str, value: &OsString) -> bool {
    let Some(key) = name.strip_prefix(PREFIX) else { return dex_environment::is_known(name) };
    let service_link = !key.contains("__")
        && (key.ends_with("SERVICE_HOST")
            || key.contains("SERVICE_PORT")
            || key.contains("PORT_")
            || (key.ends_with("PORT") && value.to_string_lossy().contains("://")));
    key != "SHARED_DIR" && !service_link
}

/// The key a variable sets, with dots between levels.
pub(super) fn key_of(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase().replace("__", ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_as_a_setting_is_one() {
        let cases = [
            ("CDEX_DATA_DIR", "x", true),
            ("CDEX_SERVER__LISTEN", "x", true),
            ("CDEX_DATA_DIRR", "x", true),
            ("CDEX_PORT", "8080", true),
            ("HOME", "x", false),
            ("UPLOAD_CONFIG_PATH", "x", true),
            ("CDEX_SHARED_DIR", "x", false),
            ("CDEX_PORT", "tcp://10.0.0.1:80", false),
            ("CDEX_GATEWAY_SERVICE_HOST", "10.0.0.1", false),
            ("CDEX_GATEWAY_PORT_80_TCP_ADDR", "10.0.0.1", false),
        ];
        for (name, value, expected) in cases {
            assert_eq!(is_setting(name, &value.into()), expected, "{name}={value}");
        }
        assert_eq!(key_of("CDEX_SERVER__PUBLIC_URL"), "server.public_url");
    }
}
