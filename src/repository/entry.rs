//! The search index as data: each value of each parameter of a resource is one [`Entry`], filed in the [`Space`] of its
//! parameter. The database only ever compares bytes, so both databases order alike; what the bytes mean is known to
//! `index` (which writes them) and to `criteria` (which asks for them).

/// Where the values of one parameter of one type of one tenant lie. Tenants never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Space(i64);

impl Space {
    /// The space of a parameter. `code` may carry a suffix for a second set of values (`requester:identifier`).
    pub(crate) fn of(tenant: &str, resource_type: &str, code: &str) -> Self {
        // FNV-1a, 64 bits: stable for ever, because rows carry it.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in [tenant, resource_type, code].join("\0").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash.cast_signed())
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
