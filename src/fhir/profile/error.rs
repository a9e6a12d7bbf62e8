//! What is wrong with a rule file, told so that whoever wrote it finds the place.

use std::path::PathBuf;

use serde_json::Value;

/// A rule file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// The file, or the folder of rule files, cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not JSON.
    #[error("{file} is not JSON")]
    Json {
        /// The rule file.
        file: String,
        /// Where reading stopped.
        source: serde_json::Error,
    },
    /// It holds a resource that carries no rules.
    #[error("{file} is neither a StructureDefinition nor a ValueSet")]
    NotARuleFile {
        /// The rule file.
        file: String,
    },
    /// Something is missing or has the wrong form.
    #[error("{file}, {element}: {problem}")]
    Malformed {
        /// The rule file.
        file: String,
        /// The element of the profile, or of the rule file itself.
        element: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It demands what the gateway cannot check.
    #[error("{file}, {element}: {feature} cannot be enforced")]
    Unsupported {
        /// The rule file.
        file: String,
        /// The element of the profile, or of the rule file itself.
        element: String,
        /// What is demanded.
        feature: String,
    },
    /// It builds on a profile or value set that no file defines.
    #[error("{file}, {element}: {kind} {url} is not defined")]
    Undefined {
        /// The rule file.
        file: String,
        /// The element of the profile, or of the rule file itself.
        element: String,
        /// What is missing: `the profile` or `the value set`.
        kind: &'static str,
        /// Its canonical URL.
        url: String,
    },
}

/// The file being read, so that every error can name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The name of the file.
    pub(super) file: &'a str,
}

impl Source<'_> {
    /// Something is missing or has the wrong form.
    pub(super) fn malformed(self, element: &str, problem: &str) -> ProfileError {
        ProfileError::Malformed {
            file: self.file.to_owned(),
            element: element.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// Something is demanded that the gateway cannot check.
    pub(super) fn unsupported(self, element: &str, feature: &str) -> ProfileError {
        ProfileError::Unsupported {
            file: self.file.to_owned(),
            element: element.to_owned(),
            feature: feature.to_owned(),
        }
    }

    /// Another definition is missing.
    pub(super) fn undefined(self, element: &str, kind: &'static str, url: &str) -> ProfileError {
        ProfileError::Undefined {
            file: self.file.to_owned(),
            element: element.to_owned(),
            kind,
            url: url.to_owned(),
        }
    }

    /// The text at `key`, or an error that names it.
    pub(super) fn text<'v>(self, json: &'v Value, element: &str, key: &str) -> Result<&'v str, ProfileError> {
        json.get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| self.malformed(element, &format!("{key} is missing")))
    }
}
