//! Invariants of administrative and financial resources.

use super::{Invariant, Node, rule};

pub(super) const RULES: &[Invariant] = &[
    rule("pat-1", "Patient.contact", "There is a name, telecom, address or organization", |n| {
        n.count(&["name", "telecom", "address", "organization"]) > 0
    }),
    rule("org-1", "Organization", "There is an identifier or a name", |n| {
        n.has("identifier") || n.has("name")
    }),
    rule("org-2", "Organization", "No address is a home", |n| !is_home(n, "address")),
    rule("org-3", "Organization", "No telecom is at home", |n| !is_home(n, "telecom")),
    rule("ipn-1", "InsurancePlan", "There is an identifier or a name", |n| {
        n.has("identifier") || n.has("name")
    }),
    rule("app-1", "Appointment.participant", "There is a type or an actor", |n| {
        n.has("type") || n.has("actor")
    }),
    rule("app-2", "Appointment", "Start and end are both there or neither", |n| {
        n.has("start") == n.has("end")
    }),
    rule("app-3", "Appointment", "Only a proposed, cancelled or waiting one has no time", |n| {
        (n.has("start") && n.has("end")) || n.is("status", &["proposed", "cancelled", "waitlist"])
    }),
    rule("app-4", "Appointment", "Only a cancelled or missed one has a reason for it", |n| {
        !n.has("cancelationReason") || n.is("status", &["noshow", "cancelled"])
    }),
    rule("apr-1", "AppointmentResponse", "There is a participantType or an actor", |n| {
        n.has("participantType") || n.has("actor")
    }),
    rule("sev-1", "AuditEvent.entity", "There is not both a name and a query", |n| {
        !(n.has("name") && n.has("query"))
    }),
    rule("ppc-1", "Consent", "There is a policy or a policyRule", |n| n.has("policy") || n.has("policyRule")),
    rule(
        "ces-1",
        "CoverageEligibilityResponse.insurance.item",
        "There is either a category or a productOrService",
        |n| n.has("category") != n.has("productOrService"),
    ),
    rule("grp-1", "Group", "Only an actual group has members", |n| !n.has("member") || n.is_true("actual")),
    rule("lnk-1", "Linkage", "There are several items", |n| n.list("item").len() > 1),
];

fn is_home(n: Node<'_>, name: &str) -> bool {
    n.each(name).any(|entry| entry.is("use", &["home"]))
}
