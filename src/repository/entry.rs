//! The search index as data: each value of each parameter of a resource is one [`Entry`], filed in the [`Space`] of its
//! parameter. The database only ever compares bytes, so both databases order alike; what the bytes mean is known to
//! `index` (which writes them) and to `criteria` (which asks for them).

/// Where the values of one parameter of one type of one tenant lie. Tenants never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Space(i64);

impl Space {
    /// The space of a parameter. `code` may carry a suffix for a second set of values (`requester:identifier`).
    pub(crate) fn of(tenant: &str, resource_type: &str, code: &str) -> Self {
        Spaces::of(tenant, resource_type).of_code(&[code])
    }

    /// What the rows of a whole type are filed under.
    pub(crate) fn of_type(tenant: &str, resource_type: &str) -> Self {
        Self::of(tenant, resource_type, "")
    }

    /// As the databases keep it.
    pub(crate) fn as_i64(self) -> i64 {
        self.0
    }
}

/// The spaces of all parameters of one type of one tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spaces(u64);

impl Spaces {
    /// Those of this type.
    pub(crate) fn of(tenant: &str, resource_type: &str) -> Self {
        // FNV-1a, 64 bits: stable for ever, because rows carry it.
        let start = 0xcbf2_9ce4_8422_2325;
        Self([tenant, "\0", resource_type, "\0"].into_iter().fold(start, hashed))
    }

    /// The one of a parameter, whose code may come in parts.
    pub(crate) fn of_code(self, code: &[&str]) -> Space {
        Space(code.iter().copied().fold(self.0, hashed).cast_signed())
    }
}

fn hashed(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// One value of one parameter. Both parts have at most [`LONGEST`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The parameter.
    pub(crate) space: Space,
    /// What is compared and sorted by. For a reference to a resource here: `Type/id`.
    pub(crate) value: Vec<u8>,
    /// What else is compared: the end of a stretch of time, a unit, an exact spelling, a display.
    pub(crate) extra: Option<Vec<u8>>,
}

/// Longer values are cut off here: PostgreSQL's index takes no more than about 2,700 bytes.
pub(crate) const LONGEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_never_changes_because_rows_carry_it() {
        assert_eq!(Space::of("default", "Task", "status").as_i64(), 3_467_972_760_211_457_951);
        assert_eq!(
            Spaces::of("default", "Task").of_code(&["sta", "tus"]).as_i64(),
            3_467_972_760_211_457_951
        );
    }
}
