//! What the reader sees: steps, labelled rows, and checks. A check mark is printed by the function that
//! compares, so none can stand where nothing was compared.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use super::DemoError;

/// Prints the story and counts what was checked.
pub(super) struct Console {
    out: Box<dyn Write + Send>,
    steps: u32,
    checks: u32,
    compared_bytes: u64,
}

impl Console {
    /// Nothing is printed or checked yet.
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out), steps: 0, checks: 0, compared_bytes: 0 }
    }

    /// Begins the next step.
    pub(super) fn step(&mut self, title: &str) -> io::Result<()> {
        self.steps += 1;
        self.line("")?;
        self.line(&format!("{}  {title}", self.steps))
    }

    /// A row of the step; without a label it goes on with the row above.
    pub(super) fn row(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.line(&format!("   {label:<8}  {text}"))
    }

    /// A line of its own.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Compares, and says what holds; or what was expected and what was found instead.
    pub(super) fn check<T: Copy + PartialEq + Display>(
        &mut self,
        claim: &str,
        expected: T,
        found: T,
    ) -> Result<(), DemoError> {
        if expected == found {
            self.checks += 1;
            self.line(&format!("   ✓ {claim}"))?;
            return Ok(());
        }
        self.line(&format!("   ✗ {claim}"))?;
        self.row("expected", &expected.to_string())?;
        self.row("found", &found.to_string())?;
        Err(DemoError::Check)
    }

    /// Says that a file is its original, which has this many bytes; or where the two part.
    pub(super) fn check_file(
        &mut self,
        name: &str,
        length: u64,
        compared: Compared,
    ) -> Result<(), DemoError> {
        let claim = format!("{name} arrived byte for byte, {}", bytes(length));
        self.check(&claim, Compared::Same { bytes: length }, compared)?;
        self.compared_bytes += length;
        Ok(())
    }

    /// The last words of the story.
    pub(super) fn summary(&mut self, elapsed: Duration) -> io::Result<()> {
        self.line("")?;
        self.line(&format!(
            "All {} steps done, all {} checks passed, {} compared, in {}.",
            self.steps,
            self.checks,
            bytes(self.compared_bytes),
            millis(elapsed),
        ))
    }
}

/// What comparing a delivered file with its original brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// Equal, byte for byte.
    Same {
        /// The length of both.
        bytes: u64,
    },
    /// Equal up to here; here they differ or one of them ends.
    Differs {
        /// The first byte that differs.
        at: u64,
    },
}

impl Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same { bytes } => write!(f, "file and original are equal, {} bytes each", grouped(*bytes)),
            Self::Differs { at } => write!(f, "file and original differ from byte {} on", grouped(*at)),
        }
    }
}

/// A number of bytes for people: `67,108,864 bytes`.
pub(super) fn bytes(count: u64) -> String {
    format!("{} bytes", grouped(count))
}

/// A number with its thousands apart.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration for people: `34 ms`.
pub(super) fn millis(duration: Duration) -> String {
    format!("{} ms", grouped(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

/// A name of a file with the long ids in it cut short, so that it fits on a line.
pub(super) fn short_ids(name: &str, id: &str) -> String {
    name.replace(id, &format!("{}…", id.get(..8).unwrap_or(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (count, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (67_108_864, "67,108,864"), (123_456, "123,456")]
        {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn only_what_was_found_equal_passes_and_counts() {
        let mut console = Console::new(io::sink());
        assert!(console.check("one is one", 1, 1).is_ok());
        assert!(matches!(console.check("one is two", 2, 1), Err(DemoError::Check)));
        assert!(console.check_file("the same", 5, Compared::Same { bytes: 5 }).is_ok());
        assert!(console.check_file("another", 5, Compared::Differs { at: 5 }).is_err());
        assert!(console.check_file("a shorter one", 5, Compared::Same { bytes: 4 }).is_err());
        assert_eq!((console.checks, console.compared_bytes), (2, 5));
    }
}
