//! Invariants of clinical resources and of what orders and records care.

use super::moment::is_certainly_after;
use super::{Invariant, Node, rule};
use crate::fhir::structure::reference;

const ALLERGY_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
const CONDITION_CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
const CONDITION_VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
const UCUM: &str = "http://unitsofmeasure.org";

pub(super) const RULES: &[Invariant] = &[
    rule("ait-1", "AllergyIntolerance", "There is a clinicalStatus, unless entered in error", |n| {
        is_allergy_in_error(n) || n.has("clinicalStatus")
    }),
    rule("ait-2", "AllergyIntolerance", "What was entered in error has no clinicalStatus", |n| {
        !is_allergy_in_error(n) || !n.has("clinicalStatus")
    }),
    rule("con-1", "Condition.stage", "There is a summary or an assessment", |n| {
        n.has("summary") || n.has("assessment")
    }),
    rule("con-2", "Condition.evidence", "There is a code or a detail", |n| n.has("code") || n.has("detail")),
    rule("con-4", "Condition", "What abated is resolved, in remission or inactive", |n| {
        !n.has_choice("abatement")
            || n.is_coded("clinicalStatus", CONDITION_CLINICAL, &["resolved", "remission", "inactive"])
    }),
    rule("con-5", "Condition", "What was entered in error has no clinicalStatus", |n| {
        !(n.is_coded("verificationStatus", CONDITION_VERIFICATION, &["entered-in-error"])
            && n.has("clinicalStatus"))
    }),
    rule("obs-3", "Observation.referenceRange", "There is a low, a high or a text", |n| {
        n.count(&["low", "high", "text"]) > 0
    }),
    rule("obs-6", "Observation", "Only what has no value has a dataAbsentReason", |n| {
        !(n.has("dataAbsentReason") && n.has_choice("value"))
    }),
    rule("obs-7", "Observation", "What has a value has no component of the same code", |n| {
        !n.has_choice("value") || !has_component_of_own_code(n)
    }),
    rule("cpl-3", "CarePlan.activity", "There is not both a detail and a reference", |n| {
        !(n.has("detail") && n.has("reference"))
    }),
    rule("ctm-1", "CareTeam.participant", "Only a Practitioner acts on behalf of another", |n| {
        let member =
            n.first("member").and_then(|member| member.text("reference")).and_then(reference::type_of);
        !n.has("onBehalfOf") || member.is_none_or(|member| member == "Practitioner")
    }),
    rule("fhs-1", "FamilyMemberHistory", "There is not both an age and a birth", |n| {
        !(n.has_choice("age") && n.has_choice("born"))
    }),
    rule("fhs-2", "FamilyMemberHistory", "Only an age is estimated", |n| {
        n.has_choice("age") || !n.has("estimatedAge")
    }),
    rule("gol-1", "Goal.target", "A detail has a measure", |n| !n.has_choice("detail") || n.has("measure")),
    rule("imm-1", "Immunization.education", "There is a documentType or a reference", |n| {
        n.has("documentType") || n.has("reference")
    }),
    rule(
        "imr-1",
        "ImmunizationRecommendation.recommendation",
        "There is a vaccineCode or a targetDisease",
        |n| n.has("vaccineCode") || n.has("targetDisease"),
    ),
    rule("mad-1", "MedicationAdministration.dosage", "There is a dose or a rate", |n| {
        n.has("dose") || n.has_choice("rate")
    }),
    rule("mdd-1", "MedicationDispense", "It is handed over after it was prepared", |n| {
        is_in_order(n, "whenPrepared", "whenHandedOver")
    }),
    rule("prr-1", "ServiceRequest", "An orderDetail has a code", |n| !n.has("orderDetail") || n.has("code")),
    rule("rqg-1", "RequestGroup.action", "There is either a resource or an action", |n| {
        n.has("resource") != n.has("action")
    }),
    rule("ras-2", "RiskAssessment.prediction", "A probability is at most 100 percent", |n| {
        n.number("probabilityDecimal").is_none_or(|value| value <= 100.0)
    }),
    rule("ras-1", "RiskAssessment.prediction", "A range is in percent", |n| {
        let is_percent = |end: Node<'_>| end.is("code", &["%"]) && end.is("system", &[UCUM]);
        let mut ranges = n.each("probabilityRange");
        ranges.all(|range| range.each("low").chain(range.each("high")).all(is_percent))
    }),
    rule("inv-1", "Task", "It is not modified before it is authored", |n| {
        is_in_order(n, "authoredOn", "lastModified")
    }),
    rule("msq-3", "MolecularSequence", "The coordinate system is 0 or 1", |n| {
        n.number("coordinateSystem").is_none_or(|system| matches!(system, 0.0 | 1.0))
    }),
    rule(
        "msq-5",
        "MolecularSequence.referenceSeq",
        "Chromosome and genome build are both there or neither",
        |n| n.has("chromosome") == n.has("genomeBuild"),
    ),
    rule("msq-6", "MolecularSequence.referenceSeq", "There is exactly one way to know the sequence", |n| {
        n.count(&["genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString"]) == 1
    }),
];

fn is_allergy_in_error(n: Node<'_>) -> bool {
    n.is_coded("verificationStatus", ALLERGY_VERIFICATION, &["entered-in-error"])
}

fn has_component_of_own_code(n: Node<'_>) -> bool {
    let Some(code) = n.first("code") else { return false };
    let own = code.list("coding");
    let mut components = n.each("component").filter_map(|component| component.first("code"));
    components.any(|code| code.list("coding").iter().any(|coding| own.contains(coding)))
}

fn is_in_order(n: Node<'_>, first: &str, then: &str) -> bool {
    !matches!((n.text(first), n.text(then)), (Some(first), Some(then)) if is_certainly_after(first, then))
}
