//! The safety gate: whether bytes are what they are said to be ([`sniff`]), whether their type may be delivered, and
//! what a [`scanner`] finds in them.
//!
//! It judges and remembers; holding and releasing deliveries is for whoever finishes an upload (`exchange`). Nothing
//! vanishes here: what is found is told, and kept back only where the configuration says so.

pub(crate) mod scanner;
pub(crate) mod sniff;
mod store;
#[cfg(test)]
mod tests;

use crate::auth::Access;
use crate::clock::Timestamp;
use crate::config::Reaction;
use crate::db::{DbError, Tx};
use crate::id::UploadId;

use scanner::{Finding, Scanner};
pub(crate) use sniff::{Agreement, HEAD_BYTES};

/// The gate, as configured.
#[derive(Debug)]
pub(crate) struct Screening {
    /// Media types that may be delivered, in small letters; all if empty.
    pub(crate) allow: Vec<String>,
    /// What becomes of what is not what it is said to be, or not allowed.
    pub(crate) on_mismatch: Reaction,
    /// What becomes of malicious content.
    pub(crate) on_infected: Reaction,
    /// What looks for it, if anything does.
    pub(crate) scanner: Option<Scanner>,
}

/// What is seen of bytes by looking at their beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// What they are said to be.
    pub(crate) declared: Option<String>,
    /// What they look like.
    pub(crate) found: Option<String>,
    /// Whether that goes together.
    pub(crate) agreement: Agreement,
    /// Whether such bytes may be delivered.
    pub(crate) is_allowed: bool,
}

/// Where the scan of an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The scanner has not said anything yet.
    Pending,
    /// It found nothing.
    Clean,
    /// It found something.
    Infected,
    /// It cannot say anything about these bytes.
    Failed,
    /// There is no scanner.
    Skipped,
}

impl Verdict {
    const ALL: [Self; 5] = [Self::Pending, Self::Clean, Self::Infected, Self::Failed, Self::Skipped];

    /// The word in the table and in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// What is known of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Screened {
    /// What is seen of its bytes.
    pub(crate) look: Look,
    /// What the scanner said.
    pub(crate) verdict: Verdict,
    /// What the scanner calls what it found.
    pub(crate) signature: Option<String>,
    /// Whether its deliveries are held.
    pub(crate) is_held: bool,
    /// When the scanner said so.
    pub(crate) scanned_at: Option<Timestamp>,
}

impl Look {
    /// Whether there is something that somebody should know.
    pub(crate) fn is_noteworthy(&self) -> bool {
        self.agreement == Agreement::Differs || !self.is_allowed
    }

    /// What somebody should know, without a word of the sender's.
    pub(crate) fn remark(&self) -> Option<String> {
        let found = self.found.as_deref().unwrap_or("nothing that is recognised");
        if self.agreement == Agreement::Differs {
            Some(format!(
                "The bytes are not of the media type that they are said to have: they look like {found}"
            ))
        } else if !self.is_allowed {
            Some("The media type is not one of those that are allowed".to_owned())
        } else {
            None
        }
    }
}

impl Screening {
    /// Looks at the beginning of bytes.
    pub(crate) fn look(&self, declared: Option<&str>, head: &[u8]) -> Look {
        let found = sniff::sniff(head);
        let agreement = sniff::compare(declared, found);
        // What the bytes are counts; where that cannot be told, or only roughly, what they are said to be.
        let named = match agreement {
            Agreement::Differs => found.map(str::to_owned),
            Agreement::Agrees | Agreement::Unrecognised => declared.or(found).map(sniff::bare),
        };
        Look {
            declared: declared.map(str::to_owned),
            found: found.map(str::to_owned),
            agreement,
            is_allowed: self.allow.is_empty() || named.is_some_and(|named| self.allows(&named)),
        }
    }

    fn allows(&self, media_type: &str) -> bool {
        self.allow.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(family) => media_type.starts_with(family),
            None => allowed == media_type,
        })
    }

    /// What is remembered of an upload when it is finished; nothing where there is nothing to tell and to wait for.
    pub(crate) fn open(&self, look: Look) -> Option<Screened> {
        let scans = self.scanner.is_some();
        let waits = scans && self.on_infected == Reaction::Quarantine;
        let is_held = waits || self.holds(&look);
        let verdict = if scans { Verdict::Pending } else { Verdict::Skipped };
        let is_remembered = scans || look.is_noteworthy();
        let screened = Screened { look, verdict, signature: None, is_held, scanned_at: None };
        is_remembered.then_some(screened)
    }

    /// What is remembered once the scanner has said something; none of it if it does not take the bytes.
    pub(crate) fn judged(&self, before: &Screened, finding: Option<Finding>, now: Timestamp) -> Screened {
        let (verdict, signature) = match finding {
            Some(Finding::Clean) => (Verdict::Clean, None),
            Some(Finding::Infected(name)) => (Verdict::Infected, Some(name)),
            None => (Verdict::Failed, None),
        };
        let waits = verdict != Verdict::Clean && self.on_infected == Reaction::Quarantine;
        Screened {
            look: before.look.clone(),
            verdict,
            signature,
            is_held: before.is_held && (waits || self.holds(&before.look)),
            scanned_at: Some(now),
        }
    }

    fn holds(&self, look: &Look) -> bool {
        self.on_mismatch == Reaction::Quarantine && look.is_noteworthy()
    }
}

#[cfg(test)]
impl Screening {
    /// Everything is looked at, nothing held, and nobody asked.
    pub(crate) fn noting() -> Self {
        Self { allow: Vec::new(), on_mismatch: Reaction::Note, on_infected: Reaction::Note, scanner: None }
    }
}

/// Remembers what is seen of an upload, in the unit that finishes it.
pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    screened: &Screened,
    now: Timestamp,
) -> Result<(), DbError> {
    store::insert(tx, access, upload_id, screened, now).await
}

/// Remembers what the scanner said.
pub(crate) async fn update(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
    screened: &Screened,
) -> Result<(), DbError> {
    store::update(tx, access, upload_id, screened).await
}

/// What is known of an upload; nothing if there was nothing to tell.
pub(crate) async fn find(
    tx: &mut Tx<'_>,
    access: &Access,
    upload_id: UploadId,
) -> Result<Option<Screened>, DbError> {
    store::find(tx, access, upload_id).await
}
