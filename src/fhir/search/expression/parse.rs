//! Reads the text of an expression. The texts are those of the tables and no client's, so what cannot be read is simply
//! `None`; a test compiles every one of them.

use super::{Alternative, CHOICES, Condition, Expression, Literal, Step};

/// Compiles an expression; `None` if it uses more of FHIRPath than is known here.
pub(in crate::fhir::search) fn compile(text: &'static str) -> Option<Expression> {
    let mut reader = Reader { rest: text };
    let alternatives = reader.union()?;
    reader.skip_space();
    reader.rest.is_empty().then_some(Expression(alternatives))
}

struct Reader {
    rest: &'static str,
}

/// What an operand came to.
enum Operand {
    /// The paths that it stands for: several, if it was a union in parentheses.
    Paths(Vec<Vec<Step>>),
    /// Something to be true or not.
    Condition(Condition),
}

impl Reader {
    fn union(&mut self) -> Option<Vec<Alternative>> {
        let mut alternatives = Vec::new();
        loop {
            match self.conjunction()? {
                Operand::Paths(paths) => alternatives.extend(paths.into_iter().map(Alternative::Path)),
                Operand::Condition(condition) => alternatives.push(Alternative::Holds(condition)),
            }
            if !self.take("|") {
                return Some(alternatives);
            }
        }
    }

    fn conjunction(&mut self) -> Option<Operand> {
        let first = self.comparison()?;
        if !self.take_word("and") {
            return Some(first);
        }
        let mut all = vec![condition(first)?];
        loop {
            all.push(condition(self.comparison()?)?);
            if !self.take_word("and") {
                return Some(Operand::Condition(Condition::All(all)));
            }
        }
    }

    fn comparison(&mut self) -> Option<Operand> {
        if self.take("resolve()") {
            let of_type = if self.take_word("is") { self.name()? } else { return None };
            return Some(Operand::Condition(Condition::Refers(of_type)));
        }
        let operand = self.path()?;
        let is_equal = match (self.take("!="), self.take("=")) {
            (true, _) => false,
            (_, true) => true,
            _ => return Some(operand),
        };
        let literal = self.literal()?;
        let steps = single(operand)?;
        let compared =
            if is_equal { Condition::Equals(steps, literal) } else { Condition::Differs(steps, literal) };
        Some(Operand::Condition(compared))
    }

    fn path(&mut self) -> Option<Operand> {
        let mut paths = self.start()?;
        loop {
            if self.take(".") {
                let name = self.name()?;
                if !self.take("(") {
                    for steps in &mut paths {
                        steps.push(member(name));
                    }
                    continue;
                }
                match name {
                    "exists" => {
                        self.take(")").then_some(())?;
                        let [steps] = <[_; 1]>::try_from(paths).ok()?;
                        return Some(Operand::Condition(Condition::Exists(steps)));
                    }
                    "as" | "ofType" => {
                        let of_type = self.name()?;
                        paths.iter_mut().try_for_each(|steps| of_this_type(steps, of_type))?;
                    }
                    "where" => {
                        let condition = condition(self.conjunction()?)?;
                        for steps in &mut paths {
                            steps.push(Step::Where(condition.clone()));
                        }
                    }
                    "extension" => {
                        let Literal::Text(url) = self.literal()? else { return None };
                        let condition = Condition::Equals(vec![member("url")], Literal::Text(url));
                        for steps in &mut paths {
                            steps.extend([member("extension"), Step::Where(condition.clone())]);
                        }
                    }
                    _ => return None,
                }
                self.take(")").then_some(())?;
            } else if self.take("[") {
                let digits = self.while_true(|c| c.is_ascii_digit());
                let index = digits.parse().ok()?;
                self.take("]").then_some(())?;
                for steps in &mut paths {
                    let Some(Step::Member { at, .. }) = steps.last_mut() else { return None };
                    *at = Some(index);
                }
            } else if self.take_word("as") {
                let of_type = self.name()?;
                paths.iter_mut().try_for_each(|steps| of_this_type(steps, of_type))?;
            } else {
                return Some(Operand::Paths(paths));
            }
        }
    }

    fn start(&mut self) -> Option<Vec<Vec<Step>>> {
        if self.take("(") {
            let alternatives = self.union()?;
            self.take(")").then_some(())?;
            let paths = alternatives.into_iter().map(|alternative| match alternative {
                Alternative::Path(steps) => Some(steps),
                Alternative::Holds(_) => None,
            });
            return paths.collect();
        }
        if self.take("%resource") {
            return Some(vec![vec![Step::Resource]]);
        }
        let name = self.name()?;
        // A path may begin with the type of what it begins at.
        let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
        Some(vec![if is_type { Vec::new() } else { vec![member(name)] }])
    }

    fn literal(&mut self) -> Option<Literal> {
        if self.take("'") {
            let text = self.while_true(|c| c != '\'');
            self.rest = self.rest.strip_prefix('\'')?;
            return Some(Literal::Text(text));
        }
        match self.name()? {
            "true" => Some(Literal::Boolean(true)),
            "false" => Some(Literal::Boolean(false)),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<&'static str> {
        self.skip_space();
        Some(self.while_true(|c| c.is_ascii_alphanumeric() || c == '_')).filter(|name| !name.is_empty())
    }

    fn while_true(&mut self, holds: impl Fn(char) -> bool) -> &'static str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a word that is not merely the beginning of another.
    fn take_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let is_whole =
            self.take(word) && !self.rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !is_whole {
            self.rest = before;
        }
        is_whole
    }
}

fn member(name: &'static str) -> Step {
    if CHOICES.contains(&name) { Step::Choice { name } } else { Step::Member { name: name.into(), at: None } }
}

/// Narrows the last step to one type: `value as Quantity` is `valueQuantity` in JSON.
fn of_this_type(steps: &mut [Step], of_type: &str) -> Option<()> {
    let name: &str = match steps.last()? {
        Step::Member { name, at: None } => name,
        Step::Choice { name } => name,
        _ => return None,
    };
    let (first, rest) = of_type.split_at_checked(1)?;
    let name = [name, &first.to_ascii_uppercase(), rest].concat().into();
    *steps.last_mut()? = Step::Member { name, at: None };
    Some(())
}

fn single(operand: Operand) -> Option<Vec<Step>> {
    match operand {
        Operand::Paths(paths) => <[_; 1]>::try_from(paths).ok().map(|[steps]| steps),
        Operand::Condition(_) => None,
    }
}

fn condition(operand: Operand) -> Option<Condition> {
    match operand {
        Operand::Condition(condition) => Some(condition),
        Operand::Paths(_) => None,
    }
}
