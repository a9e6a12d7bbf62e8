//! The model answers what other modules ask it.

use fhirbolt::FhirReleases;
use fhirbolt_shared::path::ElementPath;

use crate::fhir::r4::{self, Form, Primitive};

#[test]
fn types_are_found_by_name_and_abstract_ones_are_no_resources() {
    assert_eq!(r4::resources().count(), 146);
    assert_eq!(r4::resource("Patient").map(r4::Type::name), Some("Patient"));
    for name in
        ["", "patient", "Resource", "DomainResource", "HumanName", "Patient.contact", "SubscriptionStatus"]
    {
        assert!(r4::resource(name).is_none(), "{name}");
    }
    assert!(r4::datatype("HumanName").is_some() && r4::datatype("Element").is_some());
    assert!(r4::datatype("Patient").is_none() && r4::datatype("string").is_none());
    assert!(r4::types().iter().enumerate().all(|(index, found)| found.index() == index));
}

#[test]
fn the_facts_of_an_element_are_at_hand() {
    let task = r4::resource("Task").expect("a type");
    let status = task.element("status").expect("an element");
    assert_eq!((status.min, status.max, status.is_summary), (1, Some(1), true));
    let binding = status.binding.expect("it is bound");
    assert_eq!(binding.url(), "http://hl7.org/fhir/ValueSet/task-status");
    let codes = binding.value_set().expect("it is listed");
    assert!(codes.contains("requested") && !codes.contains("Requested"));
    assert_eq!(codes.system(), Some("http://hl7.org/fhir/task-status"));
    let intent = task.element("intent").and_then(|element| element.binding).expect("it is bound");
    let intent = intent.value_set().expect("it is listed");
    assert_eq!(intent.system(), None);
    assert_eq!(intent.system_of("order"), Some("http://hl7.org/fhir/request-intent"));
    let owner = task.element("owner").expect("an element");
    assert!(owner.types[0].targets.contains(&"Organization") && !owner.types[0].targets.contains(&"Group"));
    assert!(task.element("for").expect("an element").types[0].targets.is_empty());
    assert!(task.element("id").is_some() && task.element("contained").is_some());
    assert!(task.element("nothing").is_none());
}

#[test]
fn a_choice_is_found_by_each_of_its_names() {
    let observation = r4::resource("Observation").expect("a type");
    let value = observation.element("valueQuantity").expect("an element");
    assert!(value.is_choice && value.name == "value");
    assert_eq!(value.type_of("valueQuantity").map(r4::ElementType::name), Some("Quantity"));
    assert_eq!(value.type_of("valueDateTime").map(|t| t.form), Some(Form::Primitive(Primitive::DateTime)));
    assert!(value.type_of("valueMoney").is_none() && value.type_of("value").is_none());
    assert!(observation.property("value").is_none() && observation.element("value").is_some());
}

#[test]
fn what_repeats_in_itself_is_walked_without_end() {
    let mut item = r4::resource("Questionnaire").and_then(|q| q.element("item")).expect("an element");
    for _ in 0..5 {
        let of_type = item.types[0].complex().expect("it has elements");
        assert_eq!(of_type.name(), "Questionnaire.item");
        item = of_type.element("item").expect("an element");
    }
}

#[test]
fn fhirbolt_knows_the_same_elements_of_every_type() {
    for of_type in
        r4::types().iter().filter(|of_type| !of_type.is_abstract() && of_type.name() != "BackboneElement")
    {
        let mut place = ElementPath::new(FhirReleases::R4);
        of_type.name().split('.').for_each(|part| place.push(part));
        let mut known: Vec<&str> =
            place.children().expect("fhirbolt knows the type").iter().copied().collect();
        known.sort_unstable();
        let ours: Vec<&str> = of_type.names.iter().map(|name| &*name.text).collect();
        assert_eq!(ours, known, "{}", of_type.name());
    }
}

#[test]
fn every_type_fits_a_set_of_bits_and_every_element_has_a_type() {
    for of_type in r4::types() {
        assert!(of_type.elements().len() <= 64, "{}", of_type.name());
        for element in of_type.elements() {
            assert!(!element.types.is_empty(), "{}.{}", of_type.name(), element.name);
        }
    }
}
