//! Invariants of what carries other resources: Bundle, Parameters, Composition, List.

use super::{Invariant, Node, rule};

pub(super) const RULES: &[Invariant] = &[
    rule("bdl-1", "Bundle", "Only a searchset or history has a total", |n| {
        !n.has("total") || n.is("type", &["searchset", "history"])
    }),
    rule("bdl-2", "Bundle", "Only entries of a searchset have a search", |n| {
        n.is("type", &["searchset"]) || n.each("entry").all(|entry| !entry.has("search"))
    }),
    rule(
        "bdl-3",
        "Bundle",
        "Entries of a batch, transaction or history have a request, others have none",
        |n| {
            let wanted = n.is("type", &["batch", "transaction", "history"]);
            n.each("entry").all(|entry| entry.has("request") == wanted)
        },
    ),
    rule("bdl-4", "Bundle", "Entries of a response or history have a response, others have none", |n| {
        let wanted = n.is("type", &["batch-response", "transaction-response", "history"]);
        n.each("entry").all(|entry| entry.has("response") == wanted)
    }),
    rule("bdl-5", "Bundle.entry", "There is a resource, a request or a response", |n| {
        n.count(&["resource", "request", "response"]) > 0
    }),
    rule("bdl-7", "Bundle", "No version of a fullUrl is there twice", |n| {
        n.is("type", &["history"]) || have_distinct_urls(n)
    }),
    rule("bdl-8", "Bundle.entry", "A fullUrl is of no version", |n| {
        !n.text("fullUrl").is_some_and(|url| url.contains("/_history/"))
    }),
    rule("bdl-9", "Bundle", "A document has an identifier with system and value", |n| {
        !n.is("type", &["document"])
            || n.first("identifier")
                .is_some_and(|identifier| identifier.has("system") && identifier.has("value"))
    }),
    rule("bdl-10", "Bundle", "A document has a timestamp", |n| {
        !n.is("type", &["document"]) || n.text("timestamp").is_some()
    }),
    rule("bdl-11", "Bundle", "A document begins with a Composition", |n| {
        !n.is("type", &["document"]) || begins_with(n, "Composition")
    }),
    rule("bdl-12", "Bundle", "A message begins with a MessageHeader", |n| {
        !n.is("type", &["message"]) || begins_with(n, "MessageHeader")
    }),
    rule("inv-1", "Parameters.parameter", "There is exactly one of a value, a resource and parts", |n| {
        n.count(&["part", "resource"]) + usize::from(n.has_choice("value")) == 1
    }),
    rule("cmp-1", "Composition.section", "There is a text, an entry or a section", |n| {
        n.count(&["text", "entry", "section"]) > 0
    }),
    rule("cmp-2", "Composition.section", "Only what has no entry has an emptyReason", has_entries_or_reason),
    rule("lst-1", "List", "Only what has no entry has an emptyReason", has_entries_or_reason),
    rule("lst-2", "List", "Only entries of changes are deleted", |n| {
        n.is("mode", &["changes"]) || n.each("entry").all(|entry| !entry.has("deleted"))
    }),
    rule("lst-3", "List", "Only entries of a working list have a date", |n| {
        n.is("mode", &["working"]) || n.each("entry").all(|entry| !entry.has("date"))
    }),
];

fn has_entries_or_reason(n: Node<'_>) -> bool {
    !(n.has("emptyReason") && n.has("entry"))
}

fn begins_with(n: Node<'_>, resource_type: &str) -> bool {
    let resource = n.first("entry").and_then(|entry| entry.first("resource"));
    resource.is_some_and(|resource| resource.is("resourceType", &[resource_type]))
}

fn have_distinct_urls(n: Node<'_>) -> bool {
    let mut urls: Vec<_> = n
        .each("entry")
        .filter_map(|entry| {
            let meta = entry.first("resource").and_then(|resource| resource.first("meta"));
            Some((entry.text("fullUrl")?, meta.and_then(|meta| meta.text("versionId"))))
        })
        .collect();
    urls.sort_unstable();
    urls.windows(2).all(|pair| pair[0] != pair[1])
}
