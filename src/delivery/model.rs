//! A delivery, its attempts, and the states it goes through. Transitions can refuse; the statements of
//! `store.rs` repeat in their `WHERE` what is decided here.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{DeliveryId, UploadId};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeliveryStatus {
    /// No attempt has ended since it was asked for.
    Pending,
    /// A worker has it, until its lease ends.
    Leased,
    /// An attempt failed; there will be another.
    Waiting,
    /// The target holds the upload.
    Delivered,
    /// There will be no further attempt unless somebody asks for one.
    Dead,
    /// It was called off before it was done.
    Cancelled,
    /// It is kept back until it is released, or somebody asks for it.
    Held,
}

/// The delivery is in a state from which it cannot do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {from} cannot be {to}")]
pub(crate) struct TransitionRefused {
    from: &'static str,
    to: &'static str,
}

impl DeliveryStatus {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Pending,
        Self::Leased,
        Self::Waiting,
        Self::Delivered,
        Self::Dead,
        Self::Cancelled,
        Self::Held,
    ];

    /// The word in the table and in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Held => "held",
        }
    }

    /// The state of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether there will be another attempt without anybody asking for it.
    pub(crate) fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Leased | Self::Waiting)
    }

    /// A worker takes it. A leased one can be taken only once its lease has ended.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "store.rs decides it in SQL; the tests hold that to this")
    )]
    pub(crate) fn claim(self, lease_ended: bool) -> Result<Self, TransitionRefused> {
        let free = matches!(self, Self::Pending | Self::Waiting) || (self == Self::Leased && lease_ended);
        self.into(Self::Leased, free)
    }

    /// Its worker ends an attempt, or gives the lease back, with `outcome`. One that was called off while the target
    /// took it is delivered all the same: whoever looks must not be told that nothing went out.
    pub(crate) fn settle(self, outcome: Self) -> Result<Self, TransitionRefused> {
        let possible = match self {
            Self::Leased => !matches!(outcome, Self::Leased | Self::Cancelled | Self::Held),
            Self::Cancelled => outcome == Self::Delivered,
            _ => false,
        };
        self.into(outcome, possible)
    }

    /// Somebody calls it off. A worker that has it will find its lease lost, unless the target has it already.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "store.rs decides it in SQL; the tests hold that to this")
    )]
    pub(crate) fn cancel(self) -> Result<Self, TransitionRefused> {
        self.into(Self::Cancelled, self.is_under_way() || self == Self::Held)
    }

    /// What it carries must not go out yet. One that a worker has may be out already.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "store.rs decides it in SQL; the tests hold that to this")
    )]
    pub(crate) fn hold(self) -> Result<Self, TransitionRefused> {
        self.into(Self::Held, self == Self::Pending)
    }

    /// What it carries may go out.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "store.rs decides it in SQL; the tests hold that to this")
    )]
    pub(crate) fn release(self) -> Result<Self, TransitionRefused> {
        self.into(Self::Pending, self == Self::Held)
    }

    /// Somebody asks for it again, or for one that is held.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "store.rs decides it in SQL; the tests hold that to this")
    )]
    pub(crate) fn repeat(self) -> Result<Self, TransitionRefused> {
        self.into(Self::Pending, !self.is_under_way())
    }

    fn into(self, to: Self, allowed: bool) -> Result<Self, TransitionRefused> {
        if allowed { Ok(to) } else { Err(TransitionRefused { from: self.as_str(), to: to.as_str() }) }
    }
}

/// Why a delivery is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The routing of its data stream.
    Route,
    /// Somebody asked for it (`/route/{id}`).
    Manual,
}

impl Cause {
    /// The word in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Manual => "manual",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Route, Self::Manual].into_iter().find(|cause| cause.as_str() == text)
    }
}

/// A delivery that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewDelivery {
    /// The tenant of the upload.
    pub(crate) tenant: String,
    /// The owner of the upload.
    pub(crate) owner: String,
    /// What to deliver.
    pub(crate) upload_id: UploadId,
    /// The target's name.
    pub(crate) target: String,
    /// Where at the target: relative, `/` between its parts; at an endpoint its URL.
    pub(crate) path: String,
    /// Why.
    pub(crate) cause: Cause,
    /// Trace context of the request that asked for it.
    pub(crate) trace: Option<String>,
    /// Deliveries with the same key go one after the other.
    pub(crate) ordering_key: Option<String>,
    /// Further header fields of a call.
    pub(crate) headers: Vec<(String, String)>,
    /// How long a call may take, where that is not for the destination to say.
    pub(crate) timeout: Option<Duration>,
    /// What waits for the outcome.
    pub(crate) followed_by: Option<String>,
}

/// One upload on its way to one path at one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Its identifier; also the idempotency key towards the target.
    pub(crate) id: DeliveryId,
    /// The tenant of the upload.
    pub(crate) tenant: String,
    /// The owner of the upload.
    pub(crate) owner: String,
    /// What is delivered.
    pub(crate) upload_id: UploadId,
    /// The target's name.
    pub(crate) target: String,
    /// Where at the target.
    pub(crate) path: String,
    /// Where it stands.
    pub(crate) status: DeliveryStatus,
    /// Why it is made.
    pub(crate) cause: Cause,
    /// When a worker may take it.
    pub(crate) due_at: Timestamp,
    /// Attempts that have ended since it was last asked for.
    pub(crate) attempts: u32,
    /// Counts its leases; what a worker writes is fenced by it.
    pub(crate) lease_epoch: i64,
    /// Trace context of the request that asked for it.
    pub(crate) trace: Option<String>,
    /// Where the bytes are, once delivered.
    pub(crate) location: Option<String>,
    /// Further header fields of a call.
    pub(crate) headers: Vec<(String, String)>,
    /// How long a call may take, where that is not for the destination to say.
    pub(crate) timeout: Option<Duration>,
    /// What waits for the outcome.
    pub(crate) followed_by: Option<String>,
    /// Whether it waits for those of the same order that were asked for before it.
    pub(crate) is_ordered: bool,
    /// What earlier attempts left at the target, in the destination's own words; lists leave it out.
    pub(crate) progress: Option<Vec<u8>>,
}

/// One try of a delivery, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The delivery that was tried.
    pub(crate) delivery_id: DeliveryId,
    /// The target's name.
    pub(crate) target: String,
    /// Its place among all attempts of the delivery, from 1 on.
    pub(crate) number: u32,
    /// Why it was made.
    pub(crate) cause: Cause,
    /// How it ended.
    pub(crate) outcome: AttemptOutcome,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    /// The target holds the upload and confirmed its length and SHA-256.
    Success {
        /// Where the bytes are.
        location: String,
        /// How many.
        size_bytes: u64,
        /// What the target said beside that, in codes.
        remark: Option<String>,
    },
    /// It does not.
    Failure {
        /// Why, for whoever sent the upload: also what another DEX said of its manifest. Never for logs.
        issue: String,
        /// How much of the upload had been read by then; not known of old attempts.
        read_bytes: Option<u64>,
    },
}
