//! Invariants of terminology and of what describes systems and measures.

use super::{Invariant, Node, rule};

pub(super) const RULES: &[Invariant] = &[
    rule("vsd-1", "ValueSet.compose.include", "There is a valueSet or a system", |n| {
        n.has("valueSet") || n.has("system")
    }),
    rule("vsd-2", "ValueSet.compose.include", "Concepts and filters have a system", |n| {
        n.count(&["concept", "filter"]) == 0 || n.has("system")
    }),
    rule("vsd-3", "ValueSet.compose.include", "There are not both concepts and filters", |n| {
        !(n.has("concept") && n.has("filter"))
    }),
    rule("vsd-6", "ValueSet.expansion.contains", "There is a code or a display", |n| {
        n.has("code") || n.has("display")
    }),
    rule("vsd-9", "ValueSet.expansion.contains", "Only what is abstract has no code", |n| {
        n.has("code") || n.is_true("abstract")
    }),
    rule("vsd-10", "ValueSet.expansion.contains", "A code has a system", |n| {
        !n.has("code") || n.has("system")
    }),
    rule("csd-1", "CodeSystem", "No code is there twice", |n| {
        let mut codes = Vec::new();
        collect_codes(n, &mut codes);
        codes.sort_unstable();
        codes.windows(2).all(|pair| pair[0] != pair[1])
    }),
    rule("cmd-1", "ConceptMap.group.element.target", "A narrower or inexact target has a comment", |n| {
        n.has("comment") || !n.is("equivalence", &["narrower", "inexact"])
    }),
    rule("cmd-2", "ConceptMap.group.unmapped", "The mode fixed has a code", |n| {
        !n.is("mode", &["fixed"]) || n.has("code")
    }),
    rule("cmd-3", "ConceptMap.group.unmapped", "The mode other-map has a url", |n| {
        !n.is("mode", &["other-map"]) || n.has("url")
    }),
    rule("cpb-1", "CapabilityStatement", "There is a rest, messaging or document", |n| {
        n.count(&["rest", "messaging", "document"]) > 0
    }),
    rule("cpb-2", "CapabilityStatement", "There is a description, software or implementation", |n| {
        n.count(&["description", "software", "implementation"]) > 0
    }),
    rule("cpb-3", "CapabilityStatement", "Only an instance has messaging endpoints", |n| {
        n.is("kind", &["instance"]) || n.each("messaging").all(|messaging| !messaging.has("endpoint"))
    }),
    rule("cpb-9", "CapabilityStatement.rest", "No resource type is there twice", |n| {
        n.are_distinct("resource", "type")
    }),
    rule("cpb-12", "CapabilityStatement.rest.resource", "No search parameter is there twice", |n| {
        n.are_distinct("searchParam", "name")
    }),
    rule("cpb-14", "CapabilityStatement", "An instance has an implementation", |n| {
        !n.is("kind", &["instance"]) || n.has("implementation")
    }),
    rule("cpb-15", "CapabilityStatement", "A capability has software and no implementation", |n| {
        !n.is("kind", &["capability"]) || (!n.has("implementation") && n.has("software"))
    }),
    rule("cpb-16", "CapabilityStatement", "Requirements have neither implementation nor software", |n| {
        !n.is("kind", &["requirements"]) || n.count(&["implementation", "software"]) == 0
    }),
    rule("tcp-1", "TerminologyCapabilities.codeSystem", "Several versions have their codes", |n| {
        n.list("version").len() <= 1 || n.each("version").all(|version| version.has("code"))
    }),
    rule("spd-1", "SearchParameter", "An xpath has an xpathUsage", |n| {
        !n.has("xpath") || n.has("xpathUsage")
    }),
    rule("spd-2", "SearchParameter", "Only a reference is chained", |n| {
        !n.has("chain") || n.is("type", &["reference"])
    }),
    rule("opd-1", "OperationDefinition.parameter", "There is a type or parts", |n| {
        n.has("type") || n.has("part")
    }),
    rule("opd-2", "OperationDefinition.parameter", "Only a string has a searchType", |n| {
        !n.has("searchType") || n.is("type", &["string"])
    }),
    rule(
        "opd-3",
        "OperationDefinition.parameter",
        "Only a Reference or canonical has a targetProfile",
        |n| !n.has("targetProfile") || n.is("type", &["Reference", "canonical"]),
    ),
    rule("nsd-1", "NamingSystem", "A root has no UUID", |n| {
        !n.is("kind", &["root"]) || n.each("uniqueId").all(|id| !id.is("type", &["uuid"]))
    }),
    rule("md-1", "MessageDefinition.focus", "The max is above zero", |n| {
        n.text("max").is_none_or(|max| max == "*" || max.parse::<u32>().is_ok_and(|max| max > 0))
    }),
    rule("mrp-1", "MeasureReport", "A collection of data has no group", |n| {
        !n.is("type", &["data-collection"]) || !n.has("group")
    }),
    rule("mea-1", "Measure", "A stratifier has either components or its own criteria", |n| {
        let mut stratifiers = n.each("group").flat_map(|group| group.each("stratifier"));
        stratifiers.all(|one| (one.count(&["code", "description", "criteria"]) > 0) != one.has("component"))
    }),
];

fn collect_codes<'a>(n: Node<'a>, codes: &mut Vec<&'a str>) {
    for concept in n.each("concept") {
        codes.extend(concept.text("code"));
        collect_codes(concept, codes);
    }
}
