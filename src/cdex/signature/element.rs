//! Where the signatures of a resource are, and what each of them covers: a Bundle, a QuestionnaireResponse, or an item
//! of one. Says nothing about whether they hold.

use serde_json::Value;

use super::QUESTIONNAIRE_RESPONSE_SIGNATURE;

/// No resource nests deeper than this many items: the scanner of every door refuses it before.
const DEEPEST: usize = 64;

/// The kind of element that a signature covers; it decides what is left out of the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// A Bundle (CONF-034).
    Bundle,
    /// A whole QuestionnaireResponse (CONF-035).
    QuestionnaireResponse,
    /// An item of a QuestionnaireResponse (CONF-036).
    Item,
}

impl Level {
    /// That of a resource that can be signed.
    pub(super) fn of(resource: &Value) -> Option<Self> {
        match text(resource, "resourceType") {
            Some("Bundle") => Some(Self::Bundle),
            Some("QuestionnaireResponse") => Some(Self::QuestionnaireResponse),
            _ => None,
        }
    }
}

/// A signature and what it covers.
#[derive(Debug, Clone)]
pub(super) struct Signed<'a> {
    /// The kind of the element that is signed.
    pub(super) level: Level,
    /// That element.
    pub(super) element: &'a Value,
    /// The Signature; null where the extension has none.
    pub(super) signature: &'a Value,
    /// The path of the Signature.
    pub(super) expression: String,
}

/// Whether a resource has a signature anywhere.
pub(crate) fn has_signature(resource: &Value) -> bool {
    let mut found = false;
    visit(resource, "", &mut |_| {
        found = true;
        false
    });
    found
}

/// The signatures of a resource at `at`, and those of the resources in it if it is a Bundle, but not more than `most`.
pub(super) fn signatures<'a>(resource: &'a Value, at: &str, most: usize) -> Vec<Signed<'a>> {
    let mut found = Vec::new();
    visit(resource, at, &mut |signed| {
        found.push(signed);
        found.len() < most
    });
    found
}

/// Whether signatures with these expressions together cover the whole resource at `at`: its own one does, and so do
/// those of all items of a QuestionnaireResponse, each of which covers the items in it.
pub(crate) fn covers(resource: &Value, at: &str, expressions: &[&str]) -> bool {
    let begins = |prefix: &str| expressions.iter().any(|expression| expression.starts_with(prefix));
    match Level::of(resource) {
        Some(Level::Bundle) => expressions.contains(&format!("{at}.signature").as_str()),
        Some(Level::QuestionnaireResponse) => {
            let items = array(resource, "item").len();
            begins(&format!("{at}.extension["))
                || (items > 0 && (0..items).all(|index| begins(&format!("{at}.item[{index}].extension["))))
        }
        Some(Level::Item) | None => false,
    }
}

/// Shows every signature to `show` until it says that it has seen enough, and gives back whether it never did.
fn visit<'a>(resource: &'a Value, at: &str, show: &mut dyn FnMut(Signed<'a>) -> bool) -> bool {
    match Level::of(resource) {
        Some(Level::Bundle) => {
            let own = resource.get("signature").is_none_or(|signature| {
                show(Signed {
                    level: Level::Bundle,
                    element: resource,
                    signature,
                    expression: format!("{at}.signature"),
                })
            });
            own && array(resource, "entry").iter().enumerate().all(|(index, entry)| {
                entry
                    .get("resource")
                    .is_none_or(|inner| visit(inner, &format!("{at}.entry[{index}].resource"), show))
            })
        }
        Some(Level::QuestionnaireResponse) => {
            visit_item(resource, Level::QuestionnaireResponse, at, DEEPEST, show)
        }
        Some(Level::Item) | None => true,
    }
}

fn visit_item<'a>(
    item: &'a Value,
    level: Level,
    at: &str,
    depth: usize,
    show: &mut dyn FnMut(Signed<'a>) -> bool,
) -> bool {
    if depth == 0 {
        return true;
    }
    let own =
        array(item, "extension").iter().enumerate().filter(|(_, extension)| is_signature(extension)).all(
            |(index, extension)| {
                show(Signed {
                    level,
                    element: item,
                    signature: extension.get("valueSignature").unwrap_or(&Value::Null),
                    expression: format!("{at}.extension[{index}].value"),
                })
            },
        );
    let mut below = |parent: &'a Value, at: &str| {
        array(parent, "item").iter().enumerate().all(|(index, item)| {
            visit_item(item, Level::Item, &format!("{at}.item[{index}]"), depth - 1, show)
        })
    };
    own && below(item, at)
        && array(item, "answer")
            .iter()
            .enumerate()
            .all(|(index, answer)| below(answer, &format!("{at}.answer[{index}]")))
}

/// Whether an extension is a signature.
pub(super) fn is_signature(extension: &Value) -> bool {
    text(extension, "url") == Some(QUESTIONNAIRE_RESPONSE_SIGNATURE)
}

/// The text of an element's member.
pub(super) fn text<'a>(element: &'a Value, name: &str) -> Option<&'a str> {
    element.get(name).and_then(Value::as_str)
}

/// The items of an element's member.
pub(super) fn array<'a>(element: &'a Value, name: &str) -> &'a [Value] {
    element.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
