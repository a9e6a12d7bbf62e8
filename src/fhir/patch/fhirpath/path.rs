//! The FHIRPath that a patch may name its places by: element names, `[n]`, `first()`, `last()`, `single()`, `where(…)`
//! with equations joined by `and`, `extension('url')`, `ofType(…)` and `as(…)`. That is what the simple subset of
//! FHIR has and what clients write; anything else is refused, never half understood.

use serde_json::{Number, Value};

/// Characters of a path at most.
const MOST_CHARS: usize = 2_000;

/// A path that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The resource type that it begins with, if it does.
    pub(super) root: Option<String>,
    /// From the resource on.
    pub(super) steps: Vec<Step>,
}

/// A step to other elements, or a choice among those reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `name`
    Element(String),
    /// `[n]`
    Index(usize),
    /// `first()`
    First,
    /// `last()`
    Last,
    /// `single()`
    Single,
    /// `where(a = 'x' and b.c = 'y')`
    Where(Vec<Equation>),
    /// `extension('url')`
    Extension(String),
    /// `ofType(Quantity)` or `as(Quantity)`
    OfType(String),
}

/// What `where` asks of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Equation {
    /// The elements inside it; none for `$this`.
    pub(super) path: Vec<String>,
    /// What must be there.
    pub(super) literal: Value,
}

impl Path {
    /// Reads a path; `None` if it is not of the forms above.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MOST_CHARS {
            return None;
        }
        let mut reader = Reader { rest: text };
        reader.space();
        let mut path = Self { root: None, steps: Vec::new() };
        let first = reader.name()?;
        if first.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            path.root = Some(first);
        } else {
            path.steps.push(reader.step(first)?);
        }
        loop {
            if reader.take('[') {
                path.steps.push(Step::Index(reader.number()?));
                reader.expect(']')?;
            } else if reader.take('.') {
                let name = reader.name()?;
                path.steps.push(reader.step(name)?);
            } else {
                return reader.rest.is_empty().then_some(path);
            }
        }
    }

    /// The path of the collection and the name of the list in it, where the path ends with an element's name.
    pub(super) fn split_list(&self) -> Option<(Self, &str)> {
        let (Step::Element(name), before) = self.steps.split_last()? else { return None };
        Some((Self { root: self.root.clone(), steps: before.to_vec() }, name))
    }

    /// The name of the elements that the path leads to; `None` if it leads to the resource.
    pub(super) fn element(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Element(name) => Some(name.as_str()),
            Step::Extension(_) => Some("extension"),
            _ => None,
        })
    }
}

/// What is left of the text.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// The step that begins with a name, which may be a function's.
    fn step(&mut self, name: String) -> Option<Step> {
        if !self.take('(') {
            return Some(Step::Element(name));
        }
        let step = match &*name {
            "first" => Step::First,
            "last" => Step::Last,
            "single" => Step::Single,
            "extension" => Step::Extension(self.string()?),
            "ofType" | "as" => Step::OfType(self.type_name()?),
            "where" => Step::Where(self.equations()?),
            _ => return None,
        };
        self.expect(')')?;
        Some(step)
    }

    fn equations(&mut self) -> Option<Vec<Equation>> {
        let mut equations = Vec::new();
        loop {
            let mut path = Vec::new();
            if !self.take_word("$this") {
                path.push(self.name()?);
            }
            while self.take('.') {
                path.push(self.name()?);
            }
            self.expect('=')?;
            equations.push(Equation { path, literal: self.literal()? });
            if !self.take_word("and") {
                return Some(equations);
            }
        }
    }

    fn literal(&mut self) -> Option<Value> {
        if self.rest.starts_with('\'') {
            return self.string().map(Value::from);
        }
        // A date is compared as the text that the resource has: `@2020-01-01`.
        let is_date = self.take('@');
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.:".contains(c)));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.space();
        match word {
            "" => None,
            _ if is_date => Some(word.into()),
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ => serde_json::from_str::<Number>(word).ok().map(Value::Number),
        }
    }

    /// `Quantity` or `FHIR.Quantity`.
    fn type_name(&mut self) -> Option<String> {
        let name = self.name()?;
        if name == "FHIR" && self.take('.') { self.name() } else { Some(name) }
    }

    fn name(&mut self) -> Option<String> {
        if self.rest.starts_with('`') {
            let (name, rest) = self.rest[1..].split_once('`')?;
            self.rest = rest;
            self.space();
            return (!name.is_empty() && !name.contains('\\')).then(|| name.to_owned());
        }
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return None;
        }
        self.rest = rest;
        self.space();
        Some(name.to_owned())
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.space();
        number.parse().ok()
    }

    /// A text in single quotes (FHIRPath, String literals).
    fn string(&mut self) -> Option<String> {
        let mut chars = self.rest.strip_prefix('\'')?.chars();
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\'' => break,
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'f' => '\u{c}',
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    same @ ('\'' | '"' | '`' | '\\' | '/') => same,
                    _ => return None,
                }),
                other => text.push(other),
            }
        }
        self.rest = chars.as_str();
        self.space();
        Some(text)
    }

    fn take(&mut self, mark: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(mark) else { return false };
        self.rest = rest;
        self.space();
        true
    }

    fn take_word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        self.space();
        true
    }

    fn expect(&mut self, mark: char) -> Option<()> {
        self.take(mark).then_some(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}
