//! `$validate`: everything that is wrong with a resource, told as the result and not as an error. Nothing is kept, and
//! whatever the sender's partner entry tolerates is told all the same.

use serde_json::Value;

use super::Exchange;
use super::find_resource::present;
use super::interaction::{InteractionError, Requester, type_of};
use super::match_patient::tree_of;
use crate::cdex::operation::Inputs;
use crate::fhir::{self, Issue, IssueType, Place, StructureMode};

/// Where the canonical URLs of FHIR's own types lie.
const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// What is to be done with the resource (FHIR R4 `resource-validation-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    Profile,
}

impl Mode {
    fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "profile" => Self::Profile,
            _ => return None,
        })
    }
}

impl Exchange {
    /// Tells everything that there is to say of a resource.
    ///
    /// # Errors
    /// There is no resource to look at.
    pub(super) async fn validate_resource(
        &self,
        requester: &Requester,
        place: &Place,
        mut inputs: Inputs,
    ) -> Result<Vec<Issue>, InteractionError> {
        let mode = match inputs.text("mode") {
            None => None,
            Some(code) => Some(Mode::from_code(code).ok_or_else(unknown_mode)?),
        };
        let mut issues = std::mem::take(&mut inputs.ignored);
        if mode == Some(Mode::Delete) {
            issues.extend(self.deletable(requester, place).await?);
            return Ok(told(issues));
        }
        let resource = match (inputs.require("resource"), place) {
            (Ok(taken), _) => taken.resource,
            (Err(_), Place::Instance(resource_type, id)) => {
                let mut reader = self.db.reader().await?;
                let stored = present(&mut reader.tx(), &requester.access(), resource_type, id).await?;
                tree_of(&stored)?
            }
            (Err(missing), Place::System | Place::Type(_)) => {
                return Err(InteractionError::Malformed(missing));
            }
        };
        let resource_type = type_of(&resource).and_then(fhir::resource_type).unwrap_or("Resource");
        issues.extend(fits_place(&resource, resource_type, place, mode));
        if mode == Some(Mode::Update) && !self.settings.rest.update_creates {
            issues.extend(self.updatable(requester, place).await?);
        }
        issues.extend(fhir::check_structure(&resource, resource_type, StructureMode::Strict));
        issues.extend(self.check_claims(&resource, resource_type));
        for profile in inputs.texts("profile") {
            issues.extend(self.check_profile(&resource, resource_type, profile));
        }
        Ok(told(issues))
    }

    /// What the profiles say that the resource itself claims. Nobody promised to know them all.
    fn check_claims(&self, resource: &Value, resource_type: &str) -> Vec<Issue> {
        let claims = resource.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten();
        let unknown = claims.enumerate().filter_map(|(index, claim)| {
            let claim = claim.as_str()?;
            let is_known = self.profiles.structure(claim).is_some() || core_type(claim).is_some();
            (!is_known).then(|| Issue {
                expression: Some(format!("{resource_type}.meta.profile[{index}]")),
                ..Issue::information("The rules of this profile are not known here, and were not checked")
            })
        });
        let known = self.profiles.of(resource).into_iter();
        let issues = known.flat_map(|known| fhir::validate(resource, &known.url, &self.profiles));
        unknown.chain(issues).collect()
    }

    /// What a profile says that was asked for.
    fn check_profile(&self, resource: &Value, resource_type: &str, profile: &str) -> Vec<Issue> {
        if self.profiles.structure(profile).is_some() {
            return fhir::validate(resource, profile, &self.profiles);
        }
        match core_type(profile) {
            // FHIR's own rules have been looked at.
            Some("Resource" | "DomainResource") => Vec::new(),
            Some(own) if own == resource_type => Vec::new(),
            Some(_) => {
                let text = "The resource is not of the type whose definition it is to keep";
                vec![Issue::error(IssueType::Invalid, resource_type, text)]
            }
            None => {
                let text = "A profile that was asked for is not known here";
                vec![Issue::refusal(IssueType::NotFound, text)]
            }
        }
    }

    /// What speaks against deleting the resource of this place.
    async fn deletable(&self, requester: &Requester, place: &Place) -> Result<Vec<Issue>, InteractionError> {
        match place {
            Place::Instance(..) => self.updatable(requester, place).await,
            Place::System | Place::Type(_) => {
                let text = "A delete is validated on the resource: [base]/[type]/[id]/$validate";
                let issue = Issue::refusal(IssueType::Required, text);
                Err(InteractionError::Malformed(vec![issue]))
            }
        }
    }

    /// That there is no resource, if there must be one and there is none.
    async fn updatable(&self, requester: &Requester, place: &Place) -> Result<Vec<Issue>, InteractionError> {
        let Place::Instance(resource_type, id) = place else { return Ok(Vec::new()) };
        let mut reader = self.db.reader().await?;
        match present(&mut reader.tx(), &requester.access(), resource_type, id).await {
            Ok(_) => Ok(Vec::new()),
            Err(error @ (InteractionError::NotFound | InteractionError::Gone(_))) => Ok(error.issues()),
            Err(error) => Err(error),
        }
    }
}

/// What of a resource does not fit where the operation was called.
fn fits_place(
    resource: &Value,
    resource_type: &'static str,
    place: &Place,
    mode: Option<Mode>,
) -> Vec<Issue> {
    let mut issues = Vec::new();
    let (wanted, id) = match place {
        Place::System => (None, None),
        Place::Type(name) => (Some(*name), None),
        Place::Instance(name, id) => (Some(*name), Some(id.as_str())),
    };
    if wanted.is_some_and(|wanted| wanted != resource_type) {
        let text = "The resource is not of the type that the URL names";
        issues.push(Issue::error(IssueType::Value, format!("{resource_type}.resourceType"), text));
    }
    let at = format!("{resource_type}.id");
    let own = resource.get("id").and_then(Value::as_str);
    match (own, id, mode) {
        (Some(own), Some(id), _) if own != id => {
            issues.push(Issue::error(IssueType::Value, at, "The id is not that of the URL"));
        }
        (None, _, Some(Mode::Update)) => {
            issues.push(Issue::error(IssueType::Required, at, "An update needs the id of the resource"));
        }
        _ => {}
    }
    // FHIR R4, Parameters: there is no such endpoint.
    if resource_type == "Parameters" && matches!(mode, Some(Mode::Create | Mode::Update)) {
        let text = "Resources of this type are not kept";
        issues.push(Issue::error(IssueType::NotSupported, resource_type, text));
    }
    issues
}

/// Each issue once, what is wrong first; or that nothing is.
fn told(issues: Vec<Issue>) -> Vec<Issue> {
    let mut told: Vec<Issue> = Vec::with_capacity(issues.len() + 1);
    for issue in issues {
        // A profile repeats what its base demands: that an element is missing is said once.
        let is_told = told.iter().any(|earlier| {
            *earlier == issue
                || (issue.code == IssueType::Required
                    && earlier.code == IssueType::Required
                    && earlier.severity == issue.severity
                    && earlier.expression.is_some()
                    && earlier.expression == issue.expression)
        });
        if !is_told {
            told.push(issue);
        }
    }
    told.sort_by_key(|issue| issue.severity);
    if !told.iter().any(Issue::is_error) {
        told.insert(0, Issue::information("All OK: no errors were found"));
    }
    told
}

/// The name of one of FHIR's own types, if that is what a canonical URL names.
fn core_type(url: &str) -> Option<&'static str> {
    let url = url.split_once('|').map_or(url, |(url, _)| url);
    match url.strip_prefix(CORE)? {
        "Resource" => Some("Resource"),
        "DomainResource" => Some("DomainResource"),
        name => fhir::resource_type(name),
    }
}

fn unknown_mode() -> InteractionError {
    let text = "The mode is one of create, update, delete and profile";
    InteractionError::Malformed(vec![Issue::refusal(IssueType::CodeInvalid, text)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_must_fit_the_place_and_the_mode() {
        let instance = || Place::Instance("Task", "1".to_owned());
        for (resource, place, mode, expected) in [
            (json!({"id": "1"}), instance(), Some(Mode::Update), vec![]),
            (json!({"id": "2"}), instance(), None, vec![("value", "Task.id")]),
            (json!({}), instance(), Some(Mode::Update), vec![("required", "Task.id")]),
            (json!({}), instance(), Some(Mode::Create), vec![]),
            (json!({}), Place::Type("Patient"), None, vec![("value", "Task.resourceType")]),
            (json!({}), Place::System, Some(Mode::Profile), vec![]),
        ] {
            let issues = fits_place(&resource, "Task", &place, mode);
            let found: Vec<_> = issues
                .iter()
                .map(|it| (it.code.as_code(), it.expression.as_deref().unwrap_or_default()))
                .collect();
            assert_eq!(found, expected, "{resource} {place:?}");
        }
        let kept = fits_place(&json!({}), "Parameters", &Place::System, Some(Mode::Create));
        assert_eq!(kept[0].code, IssueType::NotSupported);
    }

    #[test]
    fn what_is_wrong_comes_first_and_once() {
        let missing = |text: &str| Issue::error(IssueType::Required, "Task.status", text);
        let warning = missing("a warning").into_warning();
        let other = Issue::error(IssueType::Invariant, "Task.status", "another rule");
        let issues = vec![warning.clone(), missing("one"), other.clone(), missing("two"), other.clone()];
        assert_eq!(told(issues), [missing("one"), other, warning.clone()]);
        assert_eq!(told(vec![warning]).len(), 2);
        assert_eq!(told(Vec::new())[0].severity, fhir::Severity::Information);
    }

    #[test]
    fn definitions_of_fhir_itself_are_known_by_their_urls() {
        for (url, expected) in [
            ("http://hl7.org/fhir/StructureDefinition/Task", Some("Task")),
            ("http://hl7.org/fhir/StructureDefinition/Task|4.0.1", Some("Task")),
            ("http://hl7.org/fhir/StructureDefinition/Resource", Some("Resource")),
            ("http://hl7.org/fhir/StructureDefinition/vitalsigns", None),
            ("http://example.org/StructureDefinition/Task", None),
        ] {
            assert_eq!(core_type(url), expected, "{url}");
        }
    }
}
