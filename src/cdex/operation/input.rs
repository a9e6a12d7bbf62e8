//! What an operation is given: the parameters of its URL and those of its body, held against its definition, so that
//! it makes no difference which way they came. Everything that is wrong with them is told at once; what their values
//! mean is the operation's business.

use serde_json::{Map, Value};

use super::{Operation, OperationDefinition, ParameterDefinition, ParameterKind};
use crate::fhir::datatype::{self, Coding};
use crate::fhir::{self, Issue, IssueType, search};

/// More parameters than this belong to no call of ours.
const MOST: usize = 1_000;

/// What an operation is given.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    values: Vec<(&'static str, String)>,
    elements: Vec<(&'static str, Value)>,
    resources: Vec<(&'static str, TakenResource)>,
    /// Where the page begins: what a `next` link carried.
    pub(crate) cursor: Option<String>,
    /// What was given and is not applied, as warnings.
    pub(crate) ignored: Vec<Issue>,
}

/// A resource that came as a parameter, or as the body itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TakenResource {
    /// The resource.
    pub(crate) resource: Value,
    /// Its path in the body.
    pub(crate) expression: String,
}

impl Inputs {
    /// Reads the parameters of a URL, decoded, and the body, if there is one. With `strict`, what is not known is an
    /// error.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub(crate) fn read(
        definition: &OperationDefinition,
        url: &[(String, String)],
        body: Option<Value>,
        strict: bool,
    ) -> Result<Self, Vec<Issue>> {
        let has_body = body.is_some();
        let mut reader =
            Reader { definition, strict, inputs: Self::default(), named: Vec::new(), issues: Vec::new() };
        reader.url(url);
        if let Some(body) = body {
            reader.body(body);
        }
        reader.complete(has_body);
        if reader.issues.is_empty() { Ok(reader.inputs) } else { Err(reader.issues) }
    }

    /// The values of a parameter, as text.
    pub(crate) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(own, _)| *own == name).map(|(_, value)| &**value)
    }

    /// The value of a parameter that is given once.
    pub(crate) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.texts(name).next()
    }

    /// The value of a boolean.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }

    /// The value of a count.
    pub(crate) fn count(&self, name: &str) -> Option<u32> {
        self.text(name).and_then(|value| value.parse().ok())
    }

    /// The values of a parameter that has parts of its own: a CodeableConcept, an Identifier or a Reference.
    pub(crate) fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.elements.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The value of such a parameter that is given once.
    pub(crate) fn element<'a>(&'a self, name: &'a str) -> Option<&'a Value> {
        self.elements(name).next()
    }

    /// A resource that is given once; it can be taken only once.
    pub(crate) fn take(&mut self, name: &str) -> Option<TakenResource> {
        let at = self.resources.iter().position(|(own, _)| *own == name)?;
        Some(self.resources.swap_remove(at).1)
    }

    /// A resource without which the operation cannot go on.
    pub(crate) fn require(&mut self, name: &str) -> Result<TakenResource, Vec<Issue>> {
        self.take(name).ok_or_else(|| vec![Issue::refusal(IssueType::Required, missing(name))])
    }

    /// All values as parameters of a URL: what the `self` link of an answer echoes.
    pub(crate) fn applied(&self) -> Vec<(String, String)> {
        self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }
}

/// Where a value came from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Url,
    /// The path of the parameter.
    Body(&'a str),
}

struct Reader<'d> {
    definition: &'d OperationDefinition,
    strict: bool,
    inputs: Inputs,
    /// The parameters that were given, readable or not.
    named: Vec<&'static str>,
    issues: Vec<Issue>,
}

impl Reader<'_> {
    fn url(&mut self, parameters: &[(String, String)]) {
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            match (name.as_str(), self.input(name)) {
                // The form of the answer is the door's business.
                ("_format" | "_pretty", None) => {}
                ("_cursor", None) if self.definition.is_paged => self.inputs.cursor = Some(value.clone()),
                (_, None) => self.unknown(Source::Url),
                (_, Some(input)) if !input.kind.fits_a_url() => {
                    let text = format!("The parameter {} cannot stand in a URL", input.name);
                    self.issues.push(Issue::refusal(IssueType::Invalid, text));
                }
                (_, Some(input)) => self.url_value(input, value),
            }
        }
    }

    fn url_value(&mut self, input: &'static ParameterDefinition, value: &str) {
        match input.kind {
            // What repeats may also come as a list, as in a search.
            ParameterKind::Code | ParameterKind::Canonical | ParameterKind::Coding if input.repeats => {
                for value in value.split(',').filter(|value| !value.is_empty()) {
                    self.value(input, value.to_owned(), Source::Url);
                }
            }
            // A zone's `+` that nobody encoded has become a space.
            ParameterKind::Date | ParameterKind::DateTime | ParameterKind::Instant => {
                self.value(input, value.replace(' ', "+"), Source::Url);
            }
            _ => self.value(input, value.to_owned(), Source::Url),
        }
    }

    /// Whether a Parameters resource is what is to be validated and not what says so: it names nothing that
    /// `$validate` knows.
    fn is_itself(&self, body: &Value) -> bool {
        let Some(parameters) = body.get("parameter").and_then(Value::as_array) else { return false };
        let is_known =
            |parameter: &Value| self.definition.inputs().any(|input| parameter["name"] == input.name);
        self.definition.operation == Operation::Validate
            && !parameters.is_empty()
            && !parameters.iter().any(is_known)
    }

    fn body(&mut self, body: Value) {
        let resource_type = body.get("resourceType").and_then(Value::as_str);
        let Some(resource_type) = resource_type else {
            let text = "The body is no resource: it does not say its type";
            self.issues.push(Issue::error(IssueType::Required, "resourceType", text));
            return;
        };
        if resource_type != "Parameters" || self.is_itself(&body) {
            if let Some(input) = self.definition.body() {
                self.named.push(input.name);
                // What the client says is the type of its body is shown only if it is one.
                let expression = fhir::resource_type(resource_type).unwrap_or("Resource").to_owned();
                self.resource(input, body, expression);
            } else {
                let text = "The operation takes a Parameters resource";
                self.issues.push(Issue::error(IssueType::Structure, "resourceType", text));
            }
            return;
        }
        let parameters = match body {
            Value::Object(mut body) => body.remove("parameter").unwrap_or_default(),
            _ => Value::Null,
        };
        match parameters {
            Value::Null => {}
            Value::Array(parameters) if parameters.len() <= MOST => {
                for (index, parameter) in parameters.into_iter().enumerate() {
                    self.parameter(parameter, &format!("Parameters.parameter[{index}]"));
                }
            }
            Value::Array(_) => {
                let text = format!("There are more than {MOST} parameters");
                self.issues.push(Issue::error(IssueType::TooCostly, "Parameters.parameter", text));
            }
            _ => {
                let text = "parameter is an array";
                self.issues.push(Issue::error(IssueType::Structure, "Parameters.parameter", text));
            }
        }
    }

    fn parameter(&mut self, parameter: Value, at: &str) {
        let Value::Object(mut parameter) = parameter else {
            self.issues.push(Issue::error(IssueType::Structure, at, "A parameter is an object"));
            return;
        };
        let Some(Value::String(name)) = parameter.remove("name") else {
            let text = "A parameter has a name";
            self.issues.push(Issue::error(IssueType::Required, format!("{at}.name"), text));
            return;
        };
        let Some(input) = self.input(&name) else {
            self.unknown(Source::Body(at));
            return;
        };
        if matches!(input.kind, ParameterKind::Resource(_)) {
            if let Some(resource) = parameter.remove("resource") {
                self.resource(input, resource, format!("{at}.resource"));
            } else {
                let text = format!("The parameter {} has a resource", input.name);
                self.issues.push(Issue::error(IssueType::Required, format!("{at}.resource"), text));
            }
            return;
        }
        match value_of(&parameter) {
            Some(element @ Value::Object(_)) if input.kind.is_element() => {
                self.element(input, element.clone(), at);
            }
            Some(Value::Object(coding)) => self.codings(input, &Value::Object(coding.clone()), at),
            Some(Value::String(text)) => self.value(input, text.clone(), Source::Body(at)),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => {
                self.value(input, value.to_string(), Source::Body(at));
            }
            Some(Value::Null | Value::Array(_)) | None => {
                let text = format!("The parameter {} has a value", input.name);
                self.issues.push(Issue::error(IssueType::Required, format!("{at}.value"), text));
            }
        }
    }

    /// A Coding as the token of a search; a CodeableConcept, as earlier releases of US Core have it, as several.
    fn codings(&mut self, input: &'static ParameterDefinition, value: &Value, at: &str) {
        let codings: Vec<Coding<'_>> = match value.get("coding") {
            Some(_) => datatype::codings(value).collect(),
            None => vec![Coding::of(value)],
        };
        let tokens: Vec<String> = codings
            .iter()
            .filter_map(|coding| match (coding.system, coding.code) {
                (Some(system), Some(code)) => {
                    Some(format!("{}|{}", search::escaped(system), search::escaped(code)))
                }
                (None, Some(code)) => Some(search::escaped(code).into_owned()),
                (_, None) => None,
            })
            .collect();
        if tokens.is_empty() || !matches!(input.kind, ParameterKind::Coding) {
            self.unreadable(input, Source::Body(at));
        }
        for token in tokens {
            self.inputs.values.push((input.name, token));
        }
    }

    fn value(&mut self, input: &'static ParameterDefinition, value: String, source: Source<'_>) {
        let is_right = match input.kind {
            ParameterKind::Boolean => value == "true" || value == "false",
            ParameterKind::Count => value.parse::<u32>().is_ok_and(|count| count > 0),
            ParameterKind::Text => datatype::is_string(&value),
            ParameterKind::Code => datatype::is_code(&value),
            ParameterKind::Canonical => datatype::is_uri(&value),
            // A whole reference will do where its end is the id.
            ParameterKind::Id => datatype::is_id(value.rsplit('/').next().unwrap_or_default()),
            ParameterKind::Date | ParameterKind::DateTime | ParameterKind::Instant => {
                datatype::date_time_precision(&value).is_some()
            }
            ParameterKind::Coding => !value.is_empty(),
            ParameterKind::CodeableConcept
            | ParameterKind::Identifier
            | ParameterKind::Reference
            | ParameterKind::Resource(_)
            | ParameterKind::Parts(_) => false,
        };
        if !is_right {
            self.unreadable(input, source);
        } else if !input.repeats && self.inputs.text(input.name).is_some() {
            self.twice(input, source);
        } else {
            self.inputs.values.push((input.name, value));
        }
    }

    fn element(&mut self, input: &'static ParameterDefinition, element: Value, at: &str) {
        if !input.repeats && self.inputs.element(input.name).is_some() {
            self.twice(input, Source::Body(at));
        } else {
            self.inputs.elements.push((input.name, element));
        }
    }

    fn resource(&mut self, input: &'static ParameterDefinition, resource: Value, expression: String) {
        let resource_type = resource.get("resourceType").and_then(Value::as_str);
        let is_right = match input.kind {
            ParameterKind::Resource("Resource") => resource_type.is_some(),
            ParameterKind::Resource(name) => resource_type == Some(name),
            _ => false,
        };
        if !is_right {
            let wanted = input.kind.type_name().unwrap_or("Resource");
            let text = format!("A resource of type {wanted} is expected");
            self.issues.push(Issue::error(IssueType::Value, expression, text));
        } else if self.inputs.resources.iter().any(|(name, _)| *name == input.name) {
            self.twice(input, Source::Body(&expression));
        } else {
            self.inputs.resources.push((input.name, TakenResource { resource, expression }));
        }
    }

    /// Says what is missing.
    fn complete(&mut self, has_body: bool) {
        let needed = self.definition.inputs().filter(|input| input.is_required);
        for input in needed.filter(|input| !self.named.contains(&input.name)) {
            self.issues.push(if has_body {
                Issue::error(IssueType::Required, "Parameters.parameter", missing(input.name))
            } else {
                Issue::refusal(IssueType::Required, missing(input.name))
            });
        }
    }

    fn input(&mut self, name: &str) -> Option<&'static ParameterDefinition> {
        let input = self.definition.inputs().find(|input| input.name == name)?;
        self.named.push(input.name);
        Some(input)
    }

    fn unknown(&mut self, source: Source<'_>) {
        let issue =
            told(IssueType::NotSupported, source, "A parameter is none of the operation's".to_owned());
        if self.strict {
            self.issues.push(issue);
        } else {
            self.inputs.ignored.push(issue.into_warning());
        }
    }

    fn unreadable(&mut self, input: &ParameterDefinition, source: Source<'_>) {
        let text = format!("The value of {} cannot be read", input.name);
        self.issues.push(told(IssueType::Value, source, text));
    }

    fn twice(&mut self, input: &ParameterDefinition, source: Source<'_>) {
        let text = format!("The parameter {} may be given once", input.name);
        self.issues.push(told(IssueType::Structure, source, text));
    }
}

/// `name` is one of ours.
fn missing(name: &str) -> String {
    format!("The operation needs the parameter {name}")
}

fn told(code: IssueType, source: Source<'_>, text: String) -> Issue {
    match source {
        Source::Url => Issue::refusal(code, text),
        Source::Body(at) => Issue::error(code, at, text),
    }
}

/// `value[x]`, whatever its type.
fn value_of(parameter: &Map<String, Value>) -> Option<&Value> {
    parameter.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
}
