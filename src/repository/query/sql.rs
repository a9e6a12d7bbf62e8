//! A statement that grows from left to right. Its text can only come from this program: constants, numbers and names
//! that it made itself. Whatever a client sent is a [`Value`] and is bound.

use std::fmt::{self, Write as _};

use crate::db::Dialect;

/// What is bound in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::repository) enum Value {
    /// `BIGINT`
    Number(i64),
    /// `TEXT`
    Text(String),
    /// `BYTEA`, `BLOB`
    Bytes(Vec<u8>),
}

/// The name of a row in a statement, as `r1`: its table's own within the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repository) struct Name(&'static str, usize);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

/// Ends a subquery of `EXISTS` so that both planners leave it what it is: a look-up for each row. They would else make
/// joins of it (SQLite: EXISTS-to-JOIN; PostgreSQL: semi-joins), and with skewed values that is how scans come about.
pub(super) const EACH: &str = " LIMIT 1 OFFSET 0)";

/// A statement with what it binds.
#[derive(Debug, Clone)]
pub(in crate::repository) struct Sql {
    text: String,
    values: Vec<Value>,
    dialect: Dialect,
    names: usize,
}

impl Sql {
    /// An empty one.
    pub(in crate::repository) fn new(dialect: Dialect) -> Self {
        Self { text: String::new(), values: Vec::new(), dialect, names: 0 }
    }

    /// The text, to be run as it is.
    pub(in crate::repository) fn text(&self) -> &str {
        &self.text
    }

    /// What is bound, in order.
    pub(in crate::repository) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The database it is for.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A name that nothing else in the statement has. `r` names resources, `e` entries, other letters what is made
    /// of them.
    pub(in crate::repository) fn name(&mut self, letter: &'static str) -> Name {
        self.names += 1;
        Name(letter, self.names)
    }

    pub(in crate::repository) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(in crate::repository) fn push_name(&mut self, name: Name) -> &mut Self {
        let _ = write!(self.text, "{name}");
        self
    }

    /// `row.column`
    pub(in crate::repository) fn column(&mut self, row: Name, column: &'static str) -> &mut Self {
        let _ = write!(self.text, "{row}.{column}");
        self
    }

    /// A number as part of the text, where the planner should know it.
    pub(in crate::repository) fn push_number(&mut self, number: u64) -> &mut Self {
        let _ = write!(self.text, "{number}");
        self
    }

    pub(in crate::repository) fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        let _ = write!(self.text, "${}", self.values.len());
        self
    }

    pub(in crate::repository) fn number(&mut self, number: i64) -> &mut Self {
        self.bind(Value::Number(number))
    }

    pub(in crate::repository) fn string(&mut self, text: &str) -> &mut Self {
        self.bind(Value::Text(text.to_owned()))
    }

    pub(in crate::repository) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bind(Value::Bytes(bytes.to_vec()))
    }

    /// Items with a separator between them.
    pub(in crate::repository) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        separator: &'static str,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                self.push(separator);
            }
            each(self, item);
        }
        self
    }

    /// Conditions with a word between them, as a balanced tree: SQLite bounds the depth of an expression.
    pub(super) fn combine<T>(
        &mut self,
        items: &[T],
        word: &'static str,
        each: &mut dyn FnMut(&mut Self, &T),
    ) -> &mut Self {
        match items {
            [] => {}
            [one] => each(self, one),
            _ => {
                let (left, right) = items.split_at(items.len() / 2);
                self.push("(").combine(left, word, each).push(word).combine(right, word, each).push(")");
            }
        }
        self
    }

    /// ` = $n`, or ` IN ($n, …)`.
    pub(in crate::repository) fn equals_any<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        if items.len() == 1 {
            return self.push(" = ").list(items, "", each);
        }
        self.push(" IN (").list(items, ", ", each).push(")")
    }

    /// Looks up rows of `table` for each row to the left, in the order of the rows to the left. `on` says which.
    pub(in crate::repository) fn look_up(
        &mut self,
        table: &'static str,
        name: Name,
        on: impl FnOnce(&mut Self),
    ) -> &mut Self {
        match self.dialect {
            // SQLite never reorders a CROSS JOIN.
            Dialect::Sqlite => {
                self.push(" CROSS JOIN ").push(table).push(" ").push_name(name).push(" ON ");
                on(self);
            }
            // OFFSET keeps the subquery apart, so that it can only be run for each row.
            Dialect::Postgres => {
                self.push(" CROSS JOIN LATERAL (SELECT * FROM ").push(table).push(" ").push_name(name);
                self.push(" WHERE ");
                on(self);
                self.push(" OFFSET 0) ").push_name(name);
            }
        }
        self
    }
}

impl From<&crate::repository::entry::Space> for Value {
    fn from(space: &crate::repository::entry::Space) -> Self {
        Self::Number(space.as_i64())
    }
}
