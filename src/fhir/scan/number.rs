//! The grammar of a JSON number, byte by byte.

use super::error::Rule;

/// A number that is being read.
#[derive(Debug, Default)]
pub(super) struct Number {
    part: Part,
    text: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Part {
    #[default]
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// One that begins with `byte`, a digit or a minus.
    pub(super) fn begin(byte: u8) -> Self {
        let part = match byte {
            b'-' => Part::Minus,
            b'0' => Part::Zero,
            _ => Part::Integer,
        };
        Self { part, text: vec![byte] }
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Takes the next byte; `false` if the number ends before it.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let next = match (self.part, byte) {
            (Part::Minus, b'0') => Part::Zero,
            (Part::Minus | Part::Integer, b'0'..=b'9') => Part::Integer,
            (Part::Zero | Part::Integer, b'.') => Part::Point,
            (Part::Point | Part::Fraction, b'0'..=b'9') => Part::Fraction,
            (Part::Zero | Part::Integer | Part::Fraction, b'e' | b'E') => Part::Exponent,
            (Part::Exponent, b'+' | b'-') => Part::ExponentSign,
            (Part::Exponent | Part::ExponentSign | Part::ExponentDigits, b'0'..=b'9') => Part::ExponentDigits,
            _ => return false,
        };
        self.part = next;
        self.text.push(byte);
        true
    }

    /// The number ends here. What follows it is the next rule's business: `01` fails there.
    pub(super) fn finish(&self) -> Result<(), Rule> {
        match self.part {
            Part::Minus | Part::Point | Part::Exponent | Part::ExponentSign => Err(Rule::Grammar),
            Part::Zero | Part::Integer | Part::Fraction => Ok(()),
            // Readers downstream hold numbers as `f64`; there, these would be infinite or zero.
            Part::ExponentDigits => {
                let value = std::str::from_utf8(&self.text).ok().and_then(|text| text.parse::<f64>().ok());
                let mantissa = self.text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
                let is_zero = mantissa.clone().all(|byte| !matches!(byte, b'1'..=b'9'));
                match value {
                    Some(value) if value.is_finite() && (is_zero || value != 0.0) => Ok(()),
                    _ => Err(Rule::NumberOutOfRange),
                }
            }
        }
    }
}
