//! The 86 numbered requirements of CDex (its text labelled 2.1.0), in our own words, and how the gateway stands to
//! each.

/// One requirement.
pub(super) struct Requirement {
    /// Its key.
    pub(super) key: &'static str,
    /// What it asks for.
    pub(super) text: &'static str,
    /// How the gateway stands to it.
    pub(super) stand: Stand,
}

/// How the gateway stands to a requirement.
pub(super) enum Stand {
    /// It meets it, and a test names it.
    Met,
    /// It meets it but for this.
    Partly(&'static str),
    /// It does not meet it: this is missing.
    NotYet(&'static str),
    /// Nothing that a program does could show it; this says whose it is.
    Elsewhere(&'static str),
}

use Stand::{Elsewhere, Met, NotYet, Partly};

const AGREED: &str = "for those who agree on its use";
const PEOPLE: &str = "for the people who sign";

/// A row of the table.
const fn is(key: &'static str, text: &'static str, stand: Stand) -> Requirement {
    Requirement { key, text, stand }
}

/// All of them. The keys that are missing were withdrawn.
pub(super) const REQUIREMENTS: &[Requirement] = &[
    is("CONF-001", "Declare which attachment features are supported", Met),
    is("CONF-002", "An attachment should have a code; one without is not refused", Met),
    is("CONF-003", "Take DocumentReference and other resource types as content", Met),
    is("CONF-004", "Not for care in real time", Elsewhere(AGREED)),
    is("CONF-005", "Never counts as another guide's exchange", Elsewhere(AGREED)),
    is("CONF-006", "Implement `Patient/$match`", Met),
    is("CONF-007", "Find the patient by a business identifier", Met),
    is("CONF-008", "Provenance that is given out follows HRex", Met),
    is("CONF-009", "Where signatures are agreed on, search and do not read", Met),
    is("CONF-010", "Refuse a read where a signature is agreed on", Met),
    is("CONF-011", "Follow the Da Vinci guiding principles", Elsewhere(AGREED)),
    is("CONF-012", "A claim's attachment request says the day of service", Met),
    is("CONF-014", "Follow the security rules of HRex", NotYet("authentication")),
    is("CONF-015", "SMART scopes limit who sees which patient", NotYet("authentication")),
    is("CONF-016", "Audit every exchange", Partly("reads and searches leave no rows")),
    is("CONF-017", "A Task may say what the data are for", Met),
    is("CONF-018", "It must where that is agreed on", Met),
    is("CONF-021", "Tell that an attachment is held for a future claim", Met),
    is("CONF-022", "Document the payload limit and whether `Final` is honoured", Met),
    is("CONF-023", "413 for a payload over the limit", Met),
    is("CONF-024", "Document what to do with a payload over the limit", Met),
    is("CONF-025", "400 for a signature that does not hold, where one is asked for", Met),
    is("CONF-026", "Meet what the Task and the Questionnaire ask to be signed", Met),
    is("CONF-027", "The signature profile within the signed resource", Met),
    is("CONF-028", "FHIR JSON signatures: detached JWS over canonical JSON", Met),
    is("CONF-029", "`sigFormat` is `application/jose`", Met),
    is("CONF-030", "Canonical JSON by RFC 8785", Met),
    is("CONF-031", "`targetFormat` names the canonical form", Met),
    is("CONF-032", "Signatures across XML and JSON", Elsewhere("refused as unsupported: JSON only")),
    is("CONF-033", "Their `targetFormat`", Met),
    is("CONF-034", "A Bundle's id, meta and signature are not signed", Met),
    is("CONF-035", "Nor those of a QuestionnaireResponse", Met),
    is("CONF-036", "Nor the id of an item", Met),
    is("CONF-037", "`srCms` says what the signer commits to", Met),
    is("CONF-038", "It contains the verification signature", Met),
    is("CONF-039", "`Signature.type` repeats it", Met),
    is("CONF-040", "`alg` names an algorithm that holds", Met),
    is("CONF-042", "`x5c` carries the certificates", Met),
    is("CONF-043", "`sigT` says when", Met),
    is("CONF-044", "`srCms` is there", Met),
    is("CONF-045", "SHA-256 or better", Met),
    is("CONF-046", "One signature: compact, encoded twice", Met),
    is("CONF-047", "Several signatures: JSON serialization", Met),
    is("CONF-048", "The certificate has a subject alternative name", Met),
    is("CONF-049", "It matches who signed", Met),
    is("CONF-050", "The issuer is trusted", Met),
    is("CONF-051", "The key may be used for signatures", Met),
    is("CONF-052", "The certificate is valid at receipt", Met),
    is("CONF-053", "The verifier compares the alternative name with who signed", Met),
    is("CONF-054", "The verifier compares the commitments", Met),
    is("CONF-055", "The verifier compares the times", Met),
    is("CONF-056", "Prefer CRD, DTR and PAS for prior authorization", Elsewhere(AGREED)),
    is("CONF-057", "A data request follows its profile", Met),
    is("CONF-058", "It says what led to it", Met),
    is("CONF-059", "All seven statuses of a Task", Met),
    is("CONF-060", "Further transitions may be allowed", Met),
    is("CONF-061", "`businessStatus` tells what happens in between", Met),
    is("CONF-062", "Poll at the pace of the guide", Met),
    is("CONF-064", "Subscriptions follow the R5 backport and HRex", Met),
    is("CONF-065", "The Task topic of HRex", Met),
    is("CONF-066", "Other topics", Elsewhere("a MAY; none")),
    is("CONF-067", "The topic can be discovered", Met),
    is("CONF-068", "By the CapabilityStatement", Met),
    is("CONF-069", "Or otherwise", Elsewhere("a MAY; CONF-068 does it")),
    is("CONF-078", "State actual capabilities in the CapabilityStatement", Met),
    is("CONF-079", "The day of service as an input", Met),
    is("CONF-080", "`Task.reasonReference` has a target that is supported", Met),
    is("CONF-081", "Coverage follows the US Core version in use", NotYet("Coverage is held to R4 alone")),
    is("CONF-082", "Clients can name all four targets", Met),
    is("CONF-083", "A purpose of use not otherwise enumerated has another coding", Met),
    is("CONF-084", "Few interactions to sign attachments", Elsewhere(PEOPLE)),
    is("CONF-085", "Few interactions to sign data", Elsewhere(PEOPLE)),
    is("CONF-086", "Must-support in attachment requests means what follows", Met),
    is("CONF-087", "And in data requests", Met),
    is("CONF-088", "Attachment requests have what is mandatory", Met),
    is("CONF-089", "Data requests have what is mandatory", Met),
    is(
        "CONF-090",
        "Or a reason why it is absent, where the profile lets them",
        Elsewhere("no element lets them"),
    ),
    is("CONF-091", "The same in data requests", Elsewhere("no element lets them")),
    is("CONF-092", "What an attachment request must support can be filled in", Met),
    is("CONF-093", "What a data request must support can be filled in", Met),
    is("CONF-094", "Attachment requests with all of it are processed", Met),
    is("CONF-095", "Data requests with all of it are processed", Met),
    is("CONF-096", "Unexpected elements in attachment requests are no reason to refuse", Met),
    is("CONF-097", "Nor in data requests", Met),
    is("CONF-098", "A request by code follows its profile", Met),
    is("CONF-099", "A request by Questionnaire follows its profile", Met),
];
