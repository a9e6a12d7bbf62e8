//! Reads `profiles/r4/elements.tsv` into the model. The table is ours and a test derives it, so a line that says
//! nothing readable is left out here and found there.
//!
//! | Line | Columns |
//! |---|---|
//! | a type | name, nothing, `a` if it is abstract, what it specialises |
//! | an element | path, cardinality, `s` (summary) and `m` (modifier), types, value set of a required binding |
//!
//! An inherited element has no line, unless it differs. Types are separated by `|`; `Reference(Patient,Group)` says
//! the targets; `#Questionnaire.item` means the elements of that one.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::model::{Binding, Element, ElementType, Form, Name, Type};
use super::primitive::Primitive;

pub(super) const ELEMENTS: &str = include_str!("../../../profiles/r4/elements.tsv");

pub(super) static MODEL: LazyLock<Model> = LazyLock::new(|| Model::read(ELEMENTS));

/// All types of R4.
#[derive(Debug)]
pub(super) struct Model {
    types: Vec<Type>,
    by_name: HashMap<&'static str, usize>,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Line {
    path: &'static str,
    cardinality: &'static str,
    flags: &'static str,
    types: &'static str,
    binding: &'static str,
}

impl Line {
    fn read(line: &'static str) -> Self {
        let mut columns = line.split('\t');
        let [path, cardinality, flags, types, binding] = [(); 5].map(|()| columns.next().unwrap_or_default());
        Self { path, cardinality, flags, types, binding }
    }

    fn is_type(&self) -> bool {
        self.cardinality.is_empty()
    }

    /// What an element with elements of its own specialises.
    fn inner_base(&self) -> Option<&'static str> {
        Some(self.types).filter(|base| matches!(*base, "BackboneElement" | "Element"))
    }
}

impl Model {
    pub(super) fn types(&self) -> &[Type] {
        &self.types
    }

    pub(super) fn named(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).map(|index| &self.types[*index])
    }

    fn read(table: &'static str) -> Self {
        let lines: Vec<Line> = table.lines().filter(|line| !line.starts_with('#')).map(Line::read).collect();
        // The types first, so that every element finds its own.
        let mut model = Self { types: Vec::new(), by_name: HashMap::new() };
        for line in lines.iter().filter(|line| line.is_type() || line.inner_base().is_some()) {
            model.by_name.insert(line.path, model.types.len());
            model.types.push(Type {
                index: model.types.len(),
                name: line.path,
                base: None,
                is_resource: false,
                is_abstract: line.is_type() && line.flags.contains('a'),
                elements: Vec::new(),
                names: Vec::new(),
                required: 0,
            });
        }
        for line in &lines {
            if line.is_type() || line.inner_base().is_some() {
                let index = model.by_name[line.path];
                model.types[index].base = model.by_name.get(line.types).copied();
            }
            if let Some((owner, name)) = line.path.rsplit_once('.')
                && let Some(owner) = model.by_name.get(owner).copied()
            {
                let element = model.element(line, name);
                model.types[owner].elements.push(element);
            }
        }
        model.inherit();
        model.name_elements();
        model
    }

    fn element(&self, line: &Line, name: &'static str) -> Element {
        let (min, max) = line.cardinality.split_once("..").unwrap_or_default();
        let types = line.types.split('|').filter_map(|text| self.element_type(line, text)).collect();
        Element {
            name: name.strip_suffix("[x]").unwrap_or(name),
            is_choice: name.ends_with("[x]"),
            types,
            min: min.parse().unwrap_or_default(),
            max: max.parse().ok(),
            is_summary: line.flags.contains('s'),
            binding: Some(line.binding).filter(|name| !name.is_empty()).map(Binding::to),
        }
    }

    fn element_type(&self, line: &Line, text: &'static str) -> Option<ElementType> {
        let (name, targets) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, targets)) => (name, targets.split(',').collect()),
            None => (text, Vec::new()),
        };
        let form = match Primitive::named(name) {
            Some(primitive) => Form::Primitive(primitive),
            None if name == "Resource" => Form::Resource,
            None if line.inner_base().is_some() => Form::Complex(self.by_name[line.path]),
            None => Form::Complex(*self.by_name.get(name.trim_start_matches('#'))?),
        };
        Some(ElementType { form, targets })
    }

    /// The type and what it specialises, step by step.
    fn line(&self, index: usize) -> Vec<usize> {
        std::iter::successors(Some(index), |step| self.types[*step].base).collect()
    }

    /// Puts before the elements of each type those that it inherits and does not say itself.
    fn inherit(&mut self) {
        let own: Vec<Vec<Element>> =
            self.types.iter_mut().map(|found| std::mem::take(&mut found.elements)).collect();
        for index in 0..self.types.len() {
            let line = self.line(index);
            let mut elements: Vec<Element> = Vec::new();
            for element in line.iter().rev().flat_map(|step| &own[*step]) {
                match elements.iter_mut().find(|inherited| inherited.name == element.name) {
                    Some(inherited) => *inherited = element.clone(),
                    None => elements.push(element.clone()),
                }
            }
            self.types[index].elements = elements;
            self.types[index].is_resource = line.iter().any(|step| self.types[*step].name == "Resource");
        }
    }

    fn name_elements(&mut self) {
        for index in 0..self.types.len() {
            let mut names = Vec::new();
            let mut required = 0;
            for (element, facts) in self.types[index].elements.iter().enumerate() {
                if facts.min > 0 {
                    required |= 1 << element;
                }
                for (of_type, facts_of_type) in facts.types.iter().enumerate() {
                    let text = match facts_of_type.form {
                        _ if !facts.is_choice => facts.name.to_owned(),
                        Form::Primitive(primitive) => choice_name(facts.name, primitive.name()),
                        Form::Complex(inner) => choice_name(facts.name, self.types[inner].name),
                        Form::Resource => choice_name(facts.name, "Resource"),
                    };
                    names.push(Name { text: text.into(), element, of_type });
                }
            }
            names.sort_by(|one, other| one.text.cmp(&other.text));
            let of = &mut self.types[index];
            of.names = names;
            of.required = required;
        }
    }
}

fn choice_name(element: &str, type_name: &str) -> String {
    let mut name = element.to_owned();
    let mut rest = type_name.chars();
    name.extend(rest.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(rest.as_str());
    name
}
