//! What a search asks for, once its parameters have been read. It speaks of values as FHIR R4 search defines them and
//! knows nothing of the index.

use super::SearchParameter;
use crate::clock::Timestamp;
use crate::fhir::Issue;

/// A search.
#[derive(Debug)]
pub(crate) struct Query {
    /// The resource types searched: one, or several at the system level.
    pub(crate) types: Vec<&'static str>,
    /// The compartment searched, if not everything.
    pub(crate) compartment: Option<Compartment>,
    /// What must hold: all of it.
    pub(crate) filters: Vec<Filter>,
    /// In which order, the first key first; then in the order of creation.
    pub(crate) sort: Vec<SortKey>,
    /// How many matches a page has, as asked.
    pub(crate) count: Option<u32>,
    /// Whether the matches are counted.
    pub(crate) total: Total,
    /// How much of each resource is shown.
    pub(crate) summary: Option<Summary>,
    /// The elements shown of each resource (`_elements`); all, if empty.
    pub(crate) elements: Vec<String>,
    /// What comes along with the matches.
    pub(crate) includes: Vec<Include>,
    /// Where the page begins: what a `next` link carried.
    pub(crate) cursor: Option<String>,
    /// The parameters that were applied, as sent: what the `self` link echoes.
    pub(crate) applied: Vec<(String, String)>,
    /// What was sent and not applied, as warnings.
    pub(crate) ignored: Vec<Issue>,
}

/// The resources about one patient (FHIR R4 CompartmentDefinition `patient`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compartment {
    /// The id of the Patient.
    pub(crate) patient: String,
}

/// One condition.
#[derive(Debug)]
pub(crate) enum Filter {
    /// On the resource's own values.
    Own {
        /// The parameter; one per searched type, in the order of the types.
        parameters: Vec<&'static SearchParameter>,
        /// What is asked of it.
        test: Test,
    },
    /// On the id (`_id`).
    Id(Vec<String>),
    /// On the time of the last change (`_lastUpdated`).
    LastUpdated(Vec<Wanted>),
    /// On what a reference leads to: `subject:Patient.name=…`.
    Chain {
        /// The reference parameters; one per searched type.
        parameters: Vec<&'static SearchParameter>,
        /// What must hold of a target, for each type that it may have.
        targets: Vec<(&'static str, Filter)>,
    },
    /// On what refers to the resource: `_has:Observation:patient:code=…`.
    Has {
        /// The reference parameter, of the type that refers.
        parameter: &'static SearchParameter,
        /// What must hold of whatever refers.
        filter: Box<Filter>,
    },
}

/// What is asked of the values of a parameter.
#[derive(Debug)]
pub(crate) enum Test {
    /// `:missing`: that there is none, or that there is one.
    Missing(bool),
    /// That one of them is one of these.
    AnyOf(Vec<Wanted>),
    /// `:not`: that none of them is one of these; a resource without values passes.
    NoneOf(Vec<Wanted>),
}

/// A value asked for, with what the modifier makes of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// A token.
    Token(TokenValue),
    /// `:text` of a token: its display or text begins with or contains this.
    TokenText(String),
    /// `:of-type` of an identifier.
    OfType {
        /// `Identifier.type.coding.system`.
        system: String,
        /// `Identifier.type.coding.code`.
        code: String,
        /// `Identifier.value`.
        value: String,
    },
    /// A string that values begin with, case and accents aside.
    StringStart(String),
    /// `:exact`.
    StringExact(String),
    /// `:contains`.
    StringContains(String),
    /// A reference.
    Reference(ReferenceValue),
    /// `:identifier` of a reference.
    ReferenceIdentifier(TokenValue),
    /// A stretch of time, compared as the prefix says.
    Date {
        /// The prefix.
        comparator: Comparator,
        /// When it begins.
        from: Timestamp,
        /// The first moment after it.
        until: Timestamp,
    },
    /// A number, compared as the prefix says.
    Number {
        /// The prefix.
        comparator: Comparator,
        /// As written: its digits say how precise it is.
        value: String,
    },
    /// A number with a unit.
    Quantity {
        /// The prefix.
        comparator: Comparator,
        /// As written.
        value: String,
        /// `Quantity.system`, if asked for.
        system: Option<String>,
        /// `Quantity.code`, or `Quantity.unit` where no system is asked for.
        unit: Option<String>,
    },
    /// A URI.
    Uri(String),
    /// `:below` of a URI: itself and all that it is the beginning of.
    UriBelow(String),
    /// `:above` of a URI: itself and all that begin it.
    UriAbove(String),
    /// One value per component.
    Composite(Vec<Wanted>),
}

/// A token asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenValue {
    /// What its system must be.
    pub(crate) system: SystemTest,
    /// Its code; none for `system|`.
    pub(crate) code: Option<String>,
}

/// What is asked of a token's system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SystemTest {
    /// Nothing: `code`.
    Any,
    /// That it has none: `|code`.
    Absent,
    /// That it is this one: `system|code`.
    Is(String),
}

/// A reference asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReferenceValue {
    /// A resource here: of one of these types, with this id.
    Local {
        /// The types it may have.
        types: Vec<&'static str>,
        /// Its id.
        id: String,
    },
    /// Anything with this URL, a canonical perhaps.
    Url(String),
}

/// How a value is compared (FHIR R4 search, Prefixes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Less.
    Lt,
    /// Greater or equal.
    Ge,
    /// Less or equal.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// Approximately.
    Ap,
}

/// One key of an order.
#[derive(Debug)]
pub(crate) struct SortKey {
    /// By what; one per searched type.
    pub(crate) by: SortBy,
    /// From the greatest to the least.
    pub(crate) descending: bool,
}

/// What an order looks at.
#[derive(Debug)]
pub(crate) enum SortBy {
    /// The id.
    Id,
    /// The time of the last change.
    LastUpdated,
    /// The values of a parameter (per searched type), and where there are none, those of the next.
    Parameters(Vec<Vec<&'static SearchParameter>>),
}

/// Whether the matches are counted (`_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Total {
    /// If that costs little; nothing was asked.
    IfCheap,
    /// No.
    None,
    /// Yes; `estimate` is exact here too.
    Accurate,
}

/// `_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summary {
    /// The elements that their definitions mark so.
    True,
    /// The narrative and what is mandatory.
    Text,
    /// All but the narrative.
    Data,
    /// No resources, only how many there are; `_count=0` means the same.
    Count,
}

/// What comes along with the matches (`_include`, `_revinclude`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    /// The type that refers; `None` for `*`.
    pub(crate) source: Option<&'static str>,
    /// The reference parameter's code, as in `Task:owner`; `None` for `*`. `Task:output` is one of ours.
    pub(crate) code: Option<&'static str>,
    /// The only type wanted at the other end.
    pub(crate) target: Option<&'static str>,
    /// From what refers to the matches (`_revinclude`), not from what they refer to.
    pub(crate) reverse: bool,
    /// From what came along too (`:iterate`).
    pub(crate) iterate: bool,
}
