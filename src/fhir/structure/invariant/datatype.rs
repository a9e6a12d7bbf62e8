//! Invariants of datatypes.

use super::moment::is_certainly_after;
use super::{Invariant, Node, rule};

const UCUM: &str = "http://unitsofmeasure.org";

pub(super) const RULES: &[Invariant] = &[
    rule("ext-1", "Extension", "An extension has either a value or extensions", |n| {
        n.has("extension") != n.has_choice("value")
    }),
    rule(
        "per-1",
        "Period",
        "The start is not after the end",
        |n| !matches!((n.text("start"), n.text("end")), (Some(start), Some(end)) if is_certainly_after(start, end)),
    ),
    rule("qty-3", "Quantity", "A code has its system", |n| !n.has("code") || n.has("system")),
    rule("age-1", "Age", "A value above zero, with a UCUM code", |n| {
        is_coded_in_ucum(n) && n.number("value").is_none_or(|value| value > 0.0)
    }),
    rule("cnt-3", "Count", "A whole number, with the UCUM code 1", |n| {
        let is_whole = n.value("value").is_none_or(|value| !value.to_string().contains('.'));
        is_coded_in_ucum(n) && (!n.has("code") || n.is("code", &["1"])) && is_whole
    }),
    rule("dis-1", "Distance", "A value has a UCUM code", is_coded_in_ucum),
    rule("drt-1", "Duration", "A code is of UCUM and has a value", |n| {
        !n.has("code") || (n.is("system", &[UCUM]) && n.has("value"))
    }),
    rule("rat-1", "Ratio", "Numerator and denominator are both there, or neither and an extension", |n| {
        n.has("numerator") == n.has("denominator") && (n.has("numerator") || n.has("extension"))
    }),
    rule("rng-2", "Range", "The low value is not above the high one", |n| {
        let (Some(low), Some(high)) = (n.first("low"), n.first("high")) else { return true };
        let is_comparable = ["system", "code", "unit"].iter().all(|name| low.text(name) == high.text(name));
        !(is_comparable && matches!((low.number("value"), high.number("value")), (Some(l), Some(h)) if l > h))
    }),
    rule("att-1", "Attachment", "Data have a contentType", |n| !n.has("data") || n.has("contentType")),
    rule("cpt-2", "ContactPoint", "A value has a system", |n| !n.has("value") || n.has("system")),
    rule("exp-1", "Expression", "There is an expression or a reference", |n| {
        n.has("expression") || n.has("reference")
    }),
    rule("drq-1", "DataRequirement.codeFilter", "There is either a path or a searchParam", either_path),
    rule("drq-2", "DataRequirement.dateFilter", "There is either a path or a searchParam", either_path),
    rule("trd-1", "TriggerDefinition", "There is not both data and timing", |n| {
        !(n.has("data") && n.has_choice("timing"))
    }),
    rule("trd-2", "TriggerDefinition", "A condition has data", |n| !n.has("condition") || n.has("data")),
    rule("trd-3", "TriggerDefinition", "A name, timing or data as its type needs", |n| {
        (!n.is("type", &["named-event"]) || n.has("name"))
            && (!n.is("type", &["periodic"]) || n.has_choice("timing"))
            && (!n.text("type").is_some_and(|code| code.starts_with("data-")) || n.has("data"))
    }),
    rule("tim-1", "Timing.repeat", "A duration has its unit", |n| {
        !n.has("duration") || n.has("durationUnit")
    }),
    rule("tim-2", "Timing.repeat", "A period has its unit", |n| !n.has("period") || n.has("periodUnit")),
    rule("tim-4", "Timing.repeat", "A duration is not negative", |n| {
        n.number("duration").is_none_or(|value| value >= 0.0)
    }),
    rule("tim-5", "Timing.repeat", "A period is not negative", |n| {
        n.number("period").is_none_or(|value| value >= 0.0)
    }),
    rule("tim-6", "Timing.repeat", "A periodMax has a period", |n| !n.has("periodMax") || n.has("period")),
    rule("tim-7", "Timing.repeat", "A durationMax has a duration", |n| {
        !n.has("durationMax") || n.has("duration")
    }),
    rule("tim-8", "Timing.repeat", "A countMax has a count", |n| !n.has("countMax") || n.has("count")),
    rule("tim-9", "Timing.repeat", "An offset has a when that is not C, CM, CD or CV", |n| {
        let is_meal = |when: &serde_json::Value| {
            when.as_str().is_some_and(|when| matches!(when, "C" | "CM" | "CD" | "CV"))
        };
        !n.has("offset") || (n.has("when") && !n.list("when").iter().any(is_meal))
    }),
    rule("tim-10", "Timing.repeat", "There is not both timeOfDay and when", |n| {
        !(n.has("timeOfDay") && n.has("when"))
    }),
    rule("eld-1", "ElementDefinition.slicing", "There is a discriminator or a description", |n| {
        n.has("discriminator") || n.has("description")
    }),
    rule("eld-2", "ElementDefinition", "The min is not above the max", |n| {
        let max = n.text("max").and_then(|max| max.parse::<f64>().ok());
        !matches!((n.number("min"), max), (Some(min), Some(max)) if min > max)
    }),
    rule("eld-8", "ElementDefinition", "There is not both a pattern and a fixed value", |n| {
        !(n.has_choice("pattern") && n.has_choice("fixed"))
    }),
    rule("eld-15", "ElementDefinition", "There is not both a default and meaningWhenMissing", |n| {
        !(n.has_choice("defaultValue") && n.has("meaningWhenMissing"))
    }),
    rule("eld-18", "ElementDefinition", "A modifier has its reason", |n| {
        !n.is_true("isModifier") || n.has("isModifierReason")
    }),
    rule("eld-22", "ElementDefinition", "sliceIsConstraining has a sliceName", |n| {
        !n.has("sliceIsConstraining") || n.has("sliceName")
    }),
    rule("eld-13", "ElementDefinition", "No type is there twice", |n| n.are_distinct("type", "code")),
    rule("eld-14", "ElementDefinition", "No key of a constraint is there twice", |n| {
        n.are_distinct("constraint", "key")
    }),
];

fn is_coded_in_ucum(n: Node<'_>) -> bool {
    (n.has("code") || !n.has("value")) && (!n.has("system") || n.is("system", &[UCUM]))
}

fn either_path(n: Node<'_>) -> bool {
    n.has("path") != n.has("searchParam")
}
