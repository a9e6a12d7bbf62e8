//! What is wrong with a configuration: all of it, each with the path of its key. The texts name keys and
//! rules and never show a value, which may be a secret.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, with dots between levels.
    pub path: String,
    /// The rule it breaks.
    pub text: String,
    /// The layer the value came from, if it is not the defaults.
    pub source: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

/// Everything that is wrong, in the order found; one line each when displayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a rule broken at `path`.
    pub fn add(&mut self, path: &str, text: impl Into<String>) {
        self.push(Problem { path: path.to_owned(), text: text.into(), source: None });
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds "must be 1 to `most`" if `value` is not. Pools and semaphores reserve or refuse what is absurd.
    pub(super) fn refuse_outside(&mut self, path: &str, value: usize, most: usize) {
        if !(1..=most).contains(&value) {
            self.add(path, format!("must be 1 to {most}"));
        }
    }

    /// Adds "must be at least 1" if `value` is zero.
    pub(super) fn refuse_zero(&mut self, path: &str, value: u64) {
        if value == 0 {
            self.add(path, "must be at least 1");
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
