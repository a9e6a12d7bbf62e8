//! An item of the agenda, and the errands there are.

use crate::auth::Access;
use crate::clock::Timestamp;

/// Who is waited for while an errand is done. Errands of one kind share a bounded number of slots, so that whoever is
/// slow holds up nothing but what waits for him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Nobody: it is done here.
    Here,
    /// Whoever has the records: the upstream server, or where an authorization lies. A Task is answered.
    Answers,
    /// A partner or the scanner.
    Calls,
    /// Nobody, but it moves many bytes.
    Bytes,
}

impl Pool {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Here, Self::Answers, Self::Calls, Self::Bytes];

    /// Errands of it that are done at the same time.
    pub(crate) fn slots(self) -> usize {
        match self {
            Self::Here | Self::Answers | Self::Calls => 16,
            Self::Bytes => 2,
        }
    }
}

/// The errands by their pools; beside each pool the macro that gives its words as a list in SQL.
macro_rules! errands {
    ($($pool:ident, $words:ident { $($(#[$meta:meta])* $name:ident = $word:literal,)* })*) => {
        /// What is to be done; each errand is one use case of the exchange.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Errand {
            $($($(#[$meta])* $name,)*)*
        }

        impl Errand {
            /// The word in the table.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => $word,)*)*
                }
            }

            pub(super) fn parse(text: &str) -> Option<Self> {
                match text {
                    $($($word => Some(Self::$name),)*)*
                    _ => None,
                }
            }
        }

        $(
            macro_rules! $words {
                () => { concat!("('-'", $(", '", $word, "'",)* ")") };
            }
        )*
    };
}

errands! {
    Here, words_here {
        /// A CDex Task has a moment by which it is to be answered. The subject is the Task, and that moment once it is
        /// known.
        RemindTask = "remind-task",
        /// A submission may belong to a Task or a Claim. The subject is its id, or the Task or Claim that was kept.
        Associate = "associate",
        /// A delivery that somebody waits for was settled. The subject is its id.
        FollowDelivery = "follow-delivery",
        /// A document or Patient was kept that a Task may wait for. The subject is that.
        MatchDocument = "match-document",
        /// A Subscription was asked for: its endpoint is offered a handshake.
        Handshake = "handshake",
        /// A version of a Task was kept: subscribers may want to hear of it.
        Notify = "notify",
        /// Events of a Subscription wait for a notification.
        Tell = "tell",
        /// A Subscription may need a notification without events. The subject ends with the generation.
        Heartbeat = "heartbeat",
        /// A Subscription ends by itself. The subject ends with the generation.
        Expire = "expire",
    }
    Answers, words_answers {
        /// A CDex Task asks for something that the gateway may have. The subject is the Task.
        AnswerTask = "answer-task",
        /// An attachment request was kept, or what it waits for may have come. The subject is the Task.
        SubmitAttachments = "submit-attachments",
        /// A Task that waits for documents looks around. The subject is the Task.
        LookAgain = "look-again",
    }
    Calls, words_calls {
        /// A resource carries something that goes on. The subject is the resource.
        ForwardPush = "forward-push",
        /// An upload waits for the scanner. The subject is its id.
        ScanUpload = "scan-upload",
        /// A Task at a partner may have changed. The subject is the id of our request.
        Poll = "poll",
        /// A Task at a partner has outputs for us. The subject is the id of our request.
        CollectOutputs = "collect-outputs",
    }
    Bytes, words_bytes {
        /// An upload waits for the bytes of its parts. The subject is its id.
        ConcatenateUpload = "concatenate-upload",
    }
}

/// Something that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewItem {
    /// The tenant it is done for.
    pub(crate) tenant: String,
    /// The owner it is done for.
    pub(crate) owner: String,
    /// What.
    pub(crate) errand: Errand,
    /// To what: `Task/12`, or an id.
    pub(crate) subject: String,
    /// Of a resource: the version that made it necessary; 0 otherwise.
    pub(crate) version: u64,
    /// When.
    pub(crate) due_at: Timestamp,
}

/// Something that is being done. Whoever has it ends it with [`done`](super::done) or [`later`](super::later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(super) sequence: i64,
    pub(super) epoch: i64,
    /// The tenant it is done for.
    pub(crate) tenant: String,
    /// The owner it is done for.
    pub(crate) owner: String,
    /// What.
    pub(crate) errand: Errand,
    /// To what.
    pub(crate) subject: String,
    /// Of a resource: the version that made it necessary; 0 otherwise.
    pub(crate) version: u64,
    /// How often it has failed.
    pub(crate) attempts: u32,
}

impl Item {
    /// Its number on the agenda.
    pub(crate) fn number(&self) -> i64 {
        self.sequence
    }

    /// What may be seen while it is done: what its owner may see.
    pub(crate) fn access(&self) -> Access {
        Access::of_owner(&self.tenant, &self.owner)
    }

    /// The type and id of the resource that the subject names.
    pub(crate) fn resource(&self) -> Option<(&str, &str)> {
        self.subject.split_once('/')
    }
}
