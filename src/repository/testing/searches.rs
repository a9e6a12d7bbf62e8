//! Searches made up at random, as clients send them; every one of them makes sense.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::{CODES, DATES, IDS, NUMBERS, SYSTEMS, TEXTS, TYPES, URLS};

/// The type that is searched, and the parameters of the search as a client sends them.
pub(crate) fn searches() -> impl Strategy<Value = (&'static str, Vec<(String, String)>)> {
    select(TYPES.to_vec()).prop_flat_map(|resource_type| {
        let filters = vec(filter(resource_type, 2), 1..4);
        let order = weighted(0.4, vec(sorted_by(resource_type), 1..3).prop_map(|keys| keys.join(",")));
        (Just(resource_type), filters, order).prop_map(|(resource_type, mut parameters, order)| {
            parameters.extend(order.map(|order| ("_sort".to_owned(), order)));
            (resource_type, parameters)
        })
    })
}

fn sorted_by(resource_type: &str) -> BoxedStrategy<String> {
    let own: &[&str] = match resource_type {
        "Patient" => &["birthdate", "family", "gender", "identifier", "organization"],
        "Organization" => &["name", "partof"],
        "Task" => &["authored-on", "status", "owner", "period"],
        "DocumentReference" => &["date", "period", "type"],
        "Observation" => &["date", "value-quantity", "code"],
        _ => &["recorded-date", "onset-date", "code"],
    };
    let codes = [own, &["_id", "_lastUpdated", "_profile"]].concat();
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    (select(codes), any::<bool>())
        .prop_map(|(code, descends)| if descends { format!("-{code}") } else { code })
        .boxed()
}

/// One condition on a type; with `depth` left, on what it refers to or what refers to it.
fn filter(resource_type: &'static str, depth: u8) -> BoxedStrategy<(String, String)> {
    let own = own_filter(resource_type);
    if depth == 0 {
        return own;
    }
    // Type, how it is reached, and what is asked there.
    let links: &[(&str, &str)] = match resource_type {
        "Patient" => &[
            ("organization", "Organization"),
            ("_has:Task:patient", "Task"),
            ("_has:Observation:subject", "Observation"),
            ("link", "Patient"),
        ],
        "Organization" => &[
            ("partof", "Organization"),
            ("_has:Task:owner", "Task"),
            ("_has:Patient:organization", "Patient"),
        ],
        "Task" => &[
            ("patient", "Patient"),
            ("owner:Organization", "Organization"),
            ("subject:Patient", "Patient"),
            ("part-of", "Task"),
        ],
        "DocumentReference" => &[("patient", "Patient"), ("_has:Observation:derived-from", "Observation")],
        "Observation" => &[("patient", "Patient"), ("focus:Task", "Task")],
        _ => &[("patient", "Patient"), ("subject:Patient", "Patient")],
    };
    let linked = select(links.to_vec()).prop_flat_map(move |(link, target)| {
        filter(target, depth - 1).prop_map(move |(name, value)| {
            let separator = if link.starts_with("_has") { ':' } else { '.' };
            (format!("{link}{separator}{name}"), value)
        })
    });
    prop_oneof![3 => own, 1 => linked].boxed()
}

/// Codes of parameters, by what their values look like.
struct Codes {
    /// Codes with systems.
    tokens: &'static [&'static str],
    /// Codes alone.
    plain: &'static [&'static str],
    strings: &'static [&'static str],
    references: &'static [&'static str],
    dates: &'static [&'static str],
}

fn codes_of(resource_type: &str) -> Codes {
    match resource_type {
        "Patient" => Codes {
            tokens: &["identifier", "telecom", "phone"],
            plain: &["gender", "active", "deceased"],
            strings: &["name", "family", "given", "address-city", "address"],
            references: &["general-practitioner", "organization", "link"],
            dates: &["birthdate"],
        },
        "Organization" => Codes {
            tokens: &["identifier"],
            plain: &["active"],
            strings: &["name"],
            references: &["partof"],
            dates: &[],
        },
        "Task" => Codes {
            tokens: &["code", "identifier"],
            plain: &["status", "intent"],
            strings: &[],
            references: &["patient", "subject", "owner", "requester", "focus", "part-of"],
            dates: &["authored-on", "period"],
        },
        "DocumentReference" => Codes {
            tokens: &["type", "category"],
            plain: &["status", "contenttype", "relation"],
            strings: &["description"],
            references: &["patient", "subject", "related", "relatesto"],
            dates: &["date", "period"],
        },
        "Observation" => Codes {
            tokens: &["code", "combo-code", "component-value-concept"],
            plain: &["status"],
            strings: &[],
            references: &["patient", "subject", "focus", "derived-from"],
            dates: &["date"],
        },
        _ => Codes {
            tokens: &["code", "category", "clinical-status"],
            plain: &[],
            strings: &["abatement-string"],
            references: &["patient", "subject", "asserter"],
            dates: &["onset-date", "recorded-date"],
        },
    }
}

fn own_filter(resource_type: &str) -> BoxedStrategy<(String, String)> {
    let Codes { tokens, plain: codes, strings, references, dates } = codes_of(resource_type);
    let tokens = [tokens, &["_tag"]].concat();
    let moments = [dates, &["_lastUpdated"]].concat();
    let mut kinds = vec![
        parameter(&tokens, &["", "", "", ":not"], token_value()),
        parameter(&tokens, &[":text"], escaped(&TEXTS)),
        parameter(references, &["", "", ""], reference_value()),
        parameter(references, &[":identifier"], token_value()),
        parameter(&moments, &[""], date_value()),
        parameter(&["_profile", "_source"], &["", ":below", ":above"], escaped(&URLS)),
        parameter(&["_id"], &[""], escaped(&IDS)),
        parameter(
            &[&tokens[..], codes, strings, references, dates, &["_profile"]].concat(),
            &[":missing"],
            missing(),
        ),
    ];
    if !codes.is_empty() {
        kinds.push(parameter(codes, &["", "", ":not"], code_value()));
    }
    if !strings.is_empty() {
        kinds.push(parameter(strings, &["", ":exact", ":contains"], escaped(&TEXTS)));
    }
    match resource_type {
        "Observation" => {
            let numbers = ["value-quantity", "component-value-quantity", "combo-value-quantity"];
            kinds.push(parameter(&numbers, &[""], quantity_value()));
            let both =
                (with_code(), quantity_value()).prop_map(|(token, quantity)| format!("{token}${quantity}"));
            let composites =
                ["code-value-quantity", "combo-code-value-quantity", "component-code-value-quantity"];
            kinds.push(parameter(&composites, &[""], both.boxed()));
            let both = (with_code(), with_code()).prop_map(|(code, value)| format!("{code}${value}"));
            kinds.push(parameter(
                &["combo-code-value-concept", "component-code-value-concept"],
                &[""],
                both.boxed(),
            ));
        }
        "DocumentReference" => {
            let both = (select(vec!["replaces", "appends"]), reference_value());
            kinds.push(parameter(
                &["relationship"],
                &[""],
                both.prop_map(|(code, to)| format!("{code}${to}")).boxed(),
            ));
        }
        "Patient" => {
            let of_type =
                (coded_value(), escaped(&CODES)).prop_map(|(token, value)| format!("{token}|{value}"));
            kinds.push(parameter(&["identifier"], &[":of-type"], of_type.boxed()));
        }
        _ => {}
    }
    proptest::strategy::Union::new(kinds).boxed()
}

fn parameter(
    codes: &[&'static str],
    modifiers: &[&'static str],
    value: BoxedStrategy<String>,
) -> BoxedStrategy<(String, String)> {
    let name = (select(codes.to_vec()), select(modifiers.to_vec()));
    let made = (name, vec(value, 1..3)).prop_map(|((code, modifier), values)| {
        // Of some only one value makes sense.
        let values = if modifier == ":missing" { &values[..1] } else { &values[..] };
        (format!("{code}{modifier}"), values.join(","))
    });
    made.boxed()
}

fn missing() -> BoxedStrategy<String> {
    escaped(&["true", "false"])
}

fn escaped(all: &[&'static str]) -> BoxedStrategy<String> {
    let escape = |text: &str| {
        ['\\', ',', '|', '$'].into_iter().fold(text.to_owned(), |text, c| text.replace(c, &format!("\\{c}")))
    };
    select(all.iter().map(|text| escape(text)).collect::<Vec<_>>()).boxed()
}

fn coded_value() -> BoxedStrategy<String> {
    (select(SYSTEMS.to_vec()), select(CODES.to_vec()))
        .prop_map(|(system, code)| format!("{system}|{code}"))
        .boxed()
}

fn with_code() -> BoxedStrategy<String> {
    let absent = select(CODES.to_vec()).prop_map(|code| format!("|{code}"));
    prop_oneof![3 => escaped(&CODES), 2 => coded_value(), 1 => absent].boxed()
}

fn token_value() -> BoxedStrategy<String> {
    let system = select(SYSTEMS.to_vec()).prop_map(|system| format!("{system}|"));
    prop_oneof![6 => with_code(), 1 => system].boxed()
}

fn code_value() -> BoxedStrategy<String> {
    let values = [
        "requested",
        "accepted",
        "http://hl7.org/fhir/task-status|requested",
        "http://s|requested",
        "|accepted",
        "http://hl7.org/fhir/task-status|",
        "final",
        "current",
        "male",
        "true",
        "false",
        "text/plain",
        "replaces",
        "order",
    ];
    select(values.to_vec()).prop_map(str::to_owned).boxed()
}

fn reference_value() -> BoxedStrategy<String> {
    let forms =
        ["I", "T/I", "https://gateway.test/fhir/T/I", "https://other.test/fhir/T/I", "T/I/_history/7"];
    (select(TYPES.to_vec()), select(IDS.to_vec()), select(forms.to_vec()))
        .prop_map(|(name, id, form)| form.replace('T', name).replace('I', id))
        .boxed()
}

fn prefix() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
}

fn date_value() -> BoxedStrategy<String> {
    let dates =
        [&DATES[..], &["2020-02-10T10:00", "2020-03", "2020-03-01T00:00:00.500Z", "2020-03-01T00:00:01Z"]]
            .concat();
    (prefix(), select(dates)).prop_map(|(prefix, date)| format!("{prefix}{date}")).boxed()
}

fn quantity_value() -> BoxedStrategy<String> {
    let unit = (select([&[""], &SYSTEMS[..]].concat()), select(["", "mg", "kg"].to_vec()));
    let unit = weighted(0.5, unit)
        .prop_map(|unit| unit.map_or(String::new(), |(system, code)| format!("|{system}|{code}")));
    (prefix(), select(NUMBERS.to_vec()), unit)
        .prop_map(|(prefix, number, unit)| format!("{prefix}{number}{unit}"))
        .boxed()
}
