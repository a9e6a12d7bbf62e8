//! What a Subscription asks for, read from the resource (R5 Backport 1.1.0 for R4; CONF-064). Pure. All that is not
//! served is told at once: another topic, another channel, another amount of content, a filter that the topic does not
//! have. Whether the endpoint is one of a partner is for `exchange` to say.

use serde_json::Value;

use super::filter::{Filter, MOST_CRITERIA};
use super::topic::TASK_TOPIC;
use crate::clock::Timestamp;
use crate::fhir::{self, Issue, IssueType};

/// How the canonical URLs of the extensions of the backport begin.
const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";

/// The longest time that an attempt to notify may be given.
const LONGEST_TIMEOUT_SECS: u32 = 600;

/// More header fields than an endpoint needs.
const MOST_HEADERS: usize = 20;

/// Header fields that the gateway sets itself, or that are about one connection (RFC 9110, 7.6.1).
const OWN_HEADERS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a Subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Where notifications go (`channel.endpoint`).
    pub(crate) endpoint: String,
    /// The media type of notifications (`channel.payload`).
    pub(crate) content_type: String,
    /// The header fields that every notification carries (`channel.header`).
    pub(crate) headers: Vec<(String, String)>,
    /// How much of a Task a notification tells.
    pub(crate) content: PayloadContent,
    /// Which Tasks it is about, as written; all of these must be met.
    pub(crate) criteria: Vec<String>,
    /// After how many seconds without a notification one without events is sent; never, if 0.
    pub(crate) heartbeat_secs: u32,
    /// After how many seconds an attempt to notify has failed; as the gateway has it, if 0.
    pub(crate) timeout_secs: u32,
    /// How many events a notification has at most.
    pub(crate) max_count: u32,
    /// When it ends by itself.
    pub(crate) end: Option<Timestamp>,
}

/// How much of a Task a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayloadContent {
    /// That there was an event.
    Empty,
    /// Which Task it was about.
    IdOnly,
    /// The Task.
    FullResource,
}

impl PayloadContent {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Empty, Self::IdOnly, Self::FullResource];

    /// The code (`backport-content-code-system`).
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::IdOnly => "id-only",
            Self::FullResource => "full-resource",
        }
    }

    /// The content of this code.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|content| content.as_code() == code)
    }
}

/// Reads a Subscription. What it lacks that R4 itself demands is told by the check of its structure.
///
/// # Errors
/// All that is not served, at once, each with its element.
pub(crate) fn read(resource: &Value, base: &str, now: Timestamp) -> Result<Terms, Vec<Issue>> {
    let mut reader = Reader { resource, issues: Vec::new() };
    reader.topic();
    reader.channel_type();
    let terms = Terms {
        endpoint: reader.endpoint(),
        content_type: reader.content_type(),
        headers: reader.headers(),
        content: reader.content(),
        criteria: reader.criteria(base),
        heartbeat_secs: reader.number("backport-heartbeat-period", "valueUnsignedInt", 0),
        timeout_secs: reader.timeout(),
        max_count: reader.number("backport-max-count", "valuePositiveInt", 1),
        end: reader.end(now),
    };
    if reader.issues.is_empty() { Ok(terms) } else { Err(reader.issues) }
}

struct Reader<'a> {
    resource: &'a Value,
    issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.resource.pointer(pointer).and_then(Value::as_str)
    }

    /// The extensions of this name at a place, with their indexes.
    fn extensions(&self, pointer: &str, name: &str) -> Vec<(usize, &'a Value)> {
        let all = self.resource.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let is_named = |extension: &Value| {
            extension["url"].as_str().and_then(|url| url.strip_prefix(BACKPORT)) == Some(name)
        };
        all.enumerate().filter(|(_, extension)| is_named(extension)).collect()
    }

    fn refuse(&mut self, code: IssueType, at: &str, text: &str) {
        self.issues.push(Issue::error(code, at, text));
    }

    fn topic(&mut self) {
        let Some(criteria) = self.text("/criteria").filter(|criteria| *criteria != TASK_TOPIC) else {
            return;
        };
        let at = "Subscription.criteria";
        // FHIR R4 Subscription: a search, where the backport has the URL of a topic.
        let is_search = !criteria.contains(':') || criteria.contains('?');
        let issue = if is_search {
            let text = "A Subscription here is one to a topic, not to the results of a search";
            Issue::error(IssueType::NotSupported, at, text).advising(format!(
                "Send {TASK_TOPIC} as the criteria, and a search for Tasks as a filter beside it: \
                 _criteria.extension, {BACKPORT}backport-filter-criteria with the valueString Task?…"
            ))
        } else {
            let issue = Issue::error(IssueType::NotSupported, at, "There is no such topic here");
            issue.advising(format!("Subscribe to {TASK_TOPIC}"))
        };
        self.issues.push(issue);
    }

    fn criteria(&mut self, base: &str) -> Vec<String> {
        let at = "Subscription.criteria.extension";
        let found = self.extensions("/_criteria/extension", "backport-filter-criteria");
        if found.len() > MOST_CRITERIA {
            self.refuse(IssueType::TooCostly, at, "There are too many filters");
            return Vec::new();
        }
        let mut criteria: Vec<&str> = Vec::with_capacity(found.len());
        for (index, extension) in &found {
            match extension["valueString"].as_str() {
                Some(text) => criteria.push(text),
                None => self.refuse(IssueType::Value, &format!("{at}[{index}]"), "The filter is no string"),
            }
        }
        if criteria.len() == found.len()
            && let Err(wrong) = Filter::parse(criteria.iter().copied(), base)
        {
            let placed = wrong.into_iter().map(|(which, issue)| {
                let index = found.get(which).map_or(which, |(index, _)| *index);
                Issue { expression: Some(format!("{at}[{index}].value")), ..issue }
            });
            self.issues.extend(placed);
        }
        criteria.into_iter().map(str::to_owned).collect()
    }

    fn channel_type(&mut self) {
        let text = "Notifications are sent to a rest-hook; there is no other channel";
        if self.text("/channel/type").is_some_and(|channel| channel != "rest-hook") {
            self.refuse(IssueType::NotSupported, "Subscription.channel.type", text);
        }
        if let Some((index, _)) = self.extensions("/channel/_type/extension", "backport-channel-type").first()
        {
            let at = format!("Subscription.channel.type.extension[{index}]");
            self.refuse(IssueType::NotSupported, &at, text);
        }
    }

    fn endpoint(&mut self) -> String {
        let Some(endpoint) = self.text("/channel/endpoint") else {
            let text = "A rest-hook needs the URL that notifications are sent to";
            self.refuse(IssueType::Required, "Subscription.channel.endpoint", text);
            return String::new();
        };
        endpoint.to_owned()
    }

    fn content_type(&mut self) -> String {
        let at = "Subscription.channel.payload";
        match self.text("/channel/payload") {
            Some(payload) if fhir::media_type(Some(payload)).is_ok() => payload.to_owned(),
            Some(_) => {
                let text = "Notifications are JSON: application/fhir+json";
                self.refuse(IssueType::NotSupported, at, text);
                String::new()
            }
            None => {
                self.refuse(IssueType::Required, at, "A Subscription to a topic says its media type");
                String::new()
            }
        }
    }

    fn content(&mut self) -> PayloadContent {
        let at = "Subscription.channel.payload.extension";
        let found = self.extensions("/channel/_payload/extension", "backport-payload-content");
        let [(index, extension)] = found[..] else {
            let text = "A Subscription to a topic says once how much its notifications carry \
                        (backport-payload-content)";
            let code = if found.is_empty() { IssueType::Required } else { IssueType::Structure };
            self.refuse(code, at, text);
            return PayloadContent::Empty;
        };
        let content = extension["valueCode"].as_str().and_then(PayloadContent::parse);
        content.unwrap_or_else(|| {
            let text = "Notifications are empty, id-only or full-resource";
            self.refuse(IssueType::NotSupported, &format!("{at}[{index}].value"), text);
            PayloadContent::Empty
        })
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let at = "Subscription.channel.header";
        let Some(lines) = self.resource.pointer("/channel/header").and_then(Value::as_array) else {
            return Vec::new();
        };
        if lines.len() > MOST_HEADERS {
            self.refuse(IssueType::TooCostly, at, "There are too many header fields");
            return Vec::new();
        }
        let mut headers = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            let at = format!("{at}[{index}]");
            match line.as_str().and_then(header) {
                Some((name, _)) if OWN_HEADERS.contains(&&*name.to_ascii_lowercase()) => {
                    self.refuse(IssueType::BusinessRule, &at, "The gateway sets this header field itself");
                }
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => self.refuse(IssueType::Value, &at, "A header field is written Name: value"),
            }
        }
        headers
    }

    /// A number of the channel; `without` where it is not given.
    fn number(&mut self, name: &str, member: &str, without: u32) -> u32 {
        let at = "Subscription.channel.extension";
        let found = self.extensions("/channel/extension", name);
        let (index, extension) = match found[..] {
            [] => return without,
            [one] => one,
            _ => {
                self.refuse(IssueType::Structure, at, &format!("{name} may be given once"));
                return without;
            }
        };
        let number = extension[member].as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number >= without).unwrap_or_else(|| {
            let text = format!("{name} has a {member} that is a number in range");
            self.refuse(IssueType::Value, &format!("{at}[{index}].value"), &text);
            without
        })
    }

    /// How long an attempt may take: none may hold back the others of its endpoint for ever.
    fn timeout(&mut self) -> u32 {
        let name = "backport-timeout";
        let timeout_secs = self.number(name, "valueUnsignedInt", 0);
        if timeout_secs > LONGEST_TIMEOUT_SECS
            && let Some((index, _)) = self.extensions("/channel/extension", name).first()
        {
            let at = format!("Subscription.channel.extension[{index}].value");
            let text = "An attempt to notify is not given so much time";
            let issue = Issue::error(IssueType::BusinessRule, &at, text);
            let advice = format!("Ask for {LONGEST_TIMEOUT_SECS} seconds at most, or leave {name} out");
            self.issues.push(issue.advising(advice));
        }
        timeout_secs
    }

    fn end(&mut self, now: Timestamp) -> Option<Timestamp> {
        let end = Timestamp::parse_rfc3339(self.text("/end")?);
        if end.is_some_and(|end| end <= now) && self.text("/status") != Some("off") {
            self.refuse(IssueType::BusinessRule, "Subscription.end", "The end has passed");
        }
        end
    }
}

/// Name and value of a header field (RFC 9110, 5.1 and 5.5).
fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let value = value.trim_matches([' ', '\t']);
    let is_text = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    let is_right = !name.is_empty() && name.bytes().all(is_token) && value.bytes().all(is_text);
    is_right.then_some((name, value))
}
