//! Invariants of Questionnaire and QuestionnaireResponse.

use super::{Invariant, Node, rule};

pub(super) const RULES: &[Invariant] = &[
    rule("que-1", "Questionnaire.item", "A group has items, a display has none", |n| {
        (!n.is("type", &["group"]) || n.has("item")) && !(is_display(n) && n.has("item"))
    }),
    rule("que-2", "Questionnaire", "No linkId is there twice", |n| {
        let mut ids = Vec::new();
        collect_link_ids(n, &mut ids);
        ids.sort_unstable();
        ids.windows(2).all(|pair| pair[0] != pair[1])
    }),
    rule("que-3", "Questionnaire.item", "A display has no code", |n| !(is_display(n) && n.has("code"))),
    rule("que-4", "Questionnaire.item", "There is not both answerOption and answerValueSet", |n| {
        !(n.has("answerOption") && n.has("answerValueSet"))
    }),
    rule("que-5", "Questionnaire.item", "Only some types have answers to choose from", |n| {
        n.is(
            "type",
            &[
                "choice",
                "open-choice",
                "decimal",
                "integer",
                "date",
                "dateTime",
                "time",
                "string",
                "quantity",
            ],
        ) || n.count(&["answerOption", "answerValueSet"]) == 0
    }),
    rule("que-6", "Questionnaire.item", "A display is neither required nor repeated", |n| {
        !is_display(n) || n.count(&["required", "repeats"]) == 0
    }),
    rule("que-7", "Questionnaire.item.enableWhen", "The operator exists compares with a boolean", |n| {
        !n.is("operator", &["exists"]) || n.has("answerBoolean")
    }),
    rule("que-8", "Questionnaire.item", "A group or display has no initial value", |n| {
        !(n.is("type", &["group", "display"]) && n.has("initial"))
    }),
    rule("que-9", "Questionnaire.item", "A display is not readOnly", |n| {
        !(is_display(n) && n.has("readOnly"))
    }),
    rule("que-10", "Questionnaire.item", "Only simple types have a maxLength", |n| {
        n.is("type", &["boolean", "decimal", "integer", "string", "text", "url", "open-choice"])
            || !n.has("maxLength")
    }),
    rule("que-11", "Questionnaire.item", "There is not both answerOption and initial", |n| {
        !(n.has("answerOption") && n.has("initial"))
    }),
    rule("que-12", "Questionnaire.item", "Several enableWhen have an enableBehavior", |n| {
        n.list("enableWhen").len() <= 2 || n.has("enableBehavior")
    }),
    rule("que-13", "Questionnaire.item", "Only what repeats has several initial values", |n| {
        n.is_true("repeats") || n.list("initial").len() <= 1
    }),
    rule("qrs-1", "QuestionnaireResponse.item", "There are not both answers and items", |n| {
        !(n.has("answer") && n.has("item"))
    }),
];

fn is_display(n: Node<'_>) -> bool {
    n.is("type", &["display"])
}

fn collect_link_ids<'a>(n: Node<'a>, ids: &mut Vec<&'a str>) {
    for item in n.each("item") {
        ids.extend(item.text("linkId"));
        collect_link_ids(item, ids);
    }
}
