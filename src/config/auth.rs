//! `[auth]`: who may call.

use serde::Deserialize;

use super::Problems;

/// Who may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Whose tokens are believed.
    pub mode: AuthMode,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Nobody is asked; the gateway listens on loopback only.
    None,
    /// The gateway issues its own.
    Builtin,
    /// An authorisation server does.
    External,
}

impl AuthConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        // Falling back to `none` would open the door that the operator asked to be locked.
        match self.mode {
            AuthMode::None => {}
            AuthMode::Builtin | AuthMode::External => {
                problems.add("auth.mode", "only \"none\" is available in this version");
            }
        }
    }
}
