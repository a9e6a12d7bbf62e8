//! Tests of signatures: the published examples, the canonical form, every rule broken once, every byte changed once,
//! and what we sign ourselves.

mod canonical;
mod demand;
mod elements;
mod forms;
mod published;
mod revocation;
mod rules;
mod sign;
mod tampering;

use serde_json::Value;

use super::testing::now;
use super::{Judgement, LineResult, TrustAnchors, Verdict, verify};

/// The verdict about the only signature of a resource.
fn verdict(resource: &Value, trust: &TrustAnchors) -> Verdict {
    let mut verdicts = verify(resource, "R", trust, now());
    assert_eq!(verdicts.len(), 1, "one signature");
    verdicts.remove(0).1
}

/// The rules that are broken.
fn broken(verdict: &Verdict) -> Vec<&'static str> {
    let is_broken = |result| matches!(result, LineResult::Fail | LineResult::Unsupported);
    verdict.lines.iter().filter(|line| is_broken(line.result)).map(|line| line.rule).collect()
}

/// Expects this judgement, and this rule to be the first that is broken.
fn refused(verdict: &Verdict, judgement: Judgement, rule: &str) {
    assert_eq!(verdict.judgement, judgement, "{verdict:?}");
    assert_eq!(broken(verdict).first(), Some(&rule), "{verdict:?}");
}
