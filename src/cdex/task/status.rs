//! The statuses of HRex Tasks and how one may follow another (cdex.md 6.1). The table is HRex's own graph; whoever
//! answers may skip forward along it, and nobody goes back or leaves an end.

use serde_json::Value;

/// A status of an HRex Task (value set `hrex-task-status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TaskStatus {
    /// Asked for; nobody has looked at it.
    Requested,
    /// Whoever is asked will answer.
    Accepted,
    /// Whoever is asked will not answer.
    Rejected,
    /// The answer is being made.
    InProgress,
    /// The answer has to wait.
    OnHold,
    /// It is answered.
    Completed,
    /// There is no answer.
    Failed,
}

impl TaskStatus {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Requested,
        Self::Accepted,
        Self::Rejected,
        Self::InProgress,
        Self::OnHold,
        Self::Completed,
        Self::Failed,
    ];

    /// The status of this code.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_code() == code)
    }

    /// The status of a Task; none where it is not one of HRex.
    pub(crate) fn of(task: &Value) -> Option<Self> {
        Self::from_code(task.get("status")?.as_str()?)
    }

    /// The code as on the wire.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::InProgress => "in-progress",
            Self::OnHold => "on-hold",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing follows.
    pub(crate) fn is_terminal(self) -> bool {
        self.steps().is_empty()
    }

    /// What follows directly, as HRex draws it.
    fn steps(self) -> &'static [Self] {
        match self {
            Self::Requested => &[Self::Accepted, Self::Rejected],
            Self::Accepted | Self::OnHold => &[Self::InProgress],
            Self::InProgress => &[Self::OnHold, Self::Completed, Self::Failed],
            Self::Rejected | Self::Completed | Self::Failed => &[],
        }
    }

    /// What may follow, directly or by skipping what lies between.
    pub(crate) fn next(self) -> Vec<Self> {
        let mut reached = self.steps().to_vec();
        let mut looked = 0;
        while let Some(status) = reached.get(looked).copied() {
            for step in status.steps() {
                if *step != self && !reached.contains(step) {
                    reached.push(*step);
                }
            }
            looked += 1;
        }
        reached
    }

    /// The statuses between this one and the one that an answer brings it to, in order: the gateway skips none of them,
    /// so that its history shows each (cdex.md 6.1).
    pub(crate) fn on_the_way_to(self, to: Self) -> &'static [Self] {
        let ahead: &[Self] = match self {
            Self::Requested => &[Self::Accepted, Self::InProgress],
            Self::Accepted | Self::OnHold => &[Self::InProgress],
            Self::InProgress | Self::Rejected | Self::Completed | Self::Failed => &[],
        };
        match to {
            Self::InProgress => &ahead[..ahead.len().saturating_sub(1)],
            Self::OnHold if self == Self::OnHold => &[],
            Self::OnHold | Self::Completed | Self::Failed => ahead,
            Self::Requested | Self::Accepted | Self::Rejected => &[],
        }
    }

    /// Whether a version with `next` may follow one with this status. A status may stay what it is.
    pub(crate) fn may_become(self, next: Self) -> bool {
        self == next || self.next().contains(&next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::TaskStatus::{self, *};

    #[test]
    fn conf_059_every_status_may_become_what_lies_ahead_of_it_and_nothing_else() {
        for (status, ahead) in [
            (Requested, &[Accepted, Rejected, InProgress, OnHold, Completed, Failed][..]),
            (Accepted, &[InProgress, OnHold, Completed, Failed]),
            (InProgress, &[OnHold, Completed, Failed]),
            (OnHold, &[InProgress, Completed, Failed]),
            (Rejected, &[]),
            (Completed, &[]),
            (Failed, &[]),
        ] {
            for next in TaskStatus::ALL {
                let expected = next == status || ahead.contains(&next);
                assert_eq!(status.may_become(next), expected, "{status:?} -> {next:?}");
            }
            assert_eq!(status.is_terminal(), ahead.is_empty(), "{status:?}");
        }
    }

    #[test]
    fn conf_059_what_lies_on_the_way_is_a_way_of_single_steps() {
        for (from, to, expected) in [
            (Requested, InProgress, &[Accepted][..]),
            (Requested, Completed, &[Accepted, InProgress]),
            (Requested, Failed, &[Accepted, InProgress]),
            (Requested, OnHold, &[Accepted, InProgress]),
            (Requested, Rejected, &[]),
            (Accepted, InProgress, &[]),
            (Accepted, Failed, &[InProgress]),
            (InProgress, InProgress, &[]),
            (InProgress, Completed, &[]),
            (OnHold, OnHold, &[]),
            (OnHold, InProgress, &[]),
            (OnHold, Completed, &[InProgress]),
            (Completed, Completed, &[]),
        ] {
            let way = from.on_the_way_to(to);
            assert_eq!(way, expected, "{from:?} to {to:?}");
            let steps: Vec<_> = std::iter::once(from).chain(way.iter().copied()).chain([to]).collect();
            assert!(
                steps.windows(2).all(|step| step[0] == step[1] || step[0].steps().contains(&step[1])),
                "{steps:?}"
            );
        }
    }

    #[test]
    fn a_status_is_its_code() {
        for status in TaskStatus::ALL {
            assert_eq!(TaskStatus::from_code(status.as_code()), Some(status));
        }
        for code in ["draft", "cancelled", "entered-in-error", "Requested", "in progress", ""] {
            assert_eq!(TaskStatus::from_code(code), None, "{code}");
        }
    }

    proptest! {
        #[test]
        fn conf_060_however_a_task_moves_it_never_comes_back_to_where_it_began(
            wishes in proptest::collection::vec(select(TaskStatus::ALL.to_vec()), 0..40)
        ) {
            let mut status = Requested;
            let mut ends = 0;
            for wish in wishes {
                if !status.may_become(wish) || wish == status {
                    continue;
                }
                prop_assert!(!status.is_terminal());
                status = wish;
                prop_assert!(!matches!(status, Requested));
                ends += usize::from(status.is_terminal());
            }
            prop_assert!(ends <= 1);
        }
    }
}
