//! What the DEX files say, and its replacement while the gateway runs: readers take what is in force without waiting
//! for anybody, and hold it for as long as one piece of work takes. Where the files come from is for `app`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::delivery::Routing;
use crate::manifest::StreamConfigs;

/// The rules of the data streams, and where each goes: read together and in force together.
#[derive(Debug, Clone)]
pub(crate) struct DexRules {
    /// What each data stream's manifest must say.
    pub(crate) streams: StreamConfigs,
    /// Which data stream goes where.
    pub(crate) routing: Routing,
}

impl DexRules {
    /// What is legal but surely not meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.routing.warnings(&self.streams)
    }
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct LiveRules {
    current: ArcSwap<DexRules>,
    /// How much is wrong with the files as they are now; zero while they are in force.
    problems: AtomicUsize,
}

impl LiveRules {
    /// These are in force.
    pub(crate) fn new(rules: DexRules) -> Self {
        Self { current: ArcSwap::from_pointee(rules), problems: AtomicUsize::new(0) }
    }

    /// The rules in force. Whoever asks once for a piece of work judges all of it by the same rules.
    pub(crate) fn current(&self) -> Arc<DexRules> {
        self.current.load_full()
    }

    /// Puts others in their place; what has been judged stays judged.
    pub(crate) fn replace(&self, rules: DexRules) {
        self.current.store(Arc::new(rules));
        self.problems.store(0, Ordering::Relaxed);
    }

    /// The files have changed and cannot be followed: what is in force stays, and `/health` tells.
    pub(crate) fn refuse(&self, problems: usize) {
        self.problems.store(problems, Ordering::Relaxed);
    }

    /// How much is wrong with the files as they are now; `None` while they are in force.
    pub(super) fn problems(&self) -> Option<usize> {
        Some(self.problems.load(Ordering::Relaxed)).filter(|&problems| problems > 0)
    }
}
