//! What was found about one signature: one line for each rule that was looked at, and the judgement that follows. Texts
//! are fixed and never hold anything of the signature itself, so a verdict may be shown, kept and logged.

use crate::fhir::{Issue, IssueType, Severity};

/// What is wrong with the certificate of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CertificateFault {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// Nobody who is trusted vouches for it.
    Untrusted,
    /// Its authority has revoked it.
    Revoked,
    /// It is not for signatures.
    KeyUsage,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Judgement {
    /// Every rule holds.
    Valid,
    /// There is none.
    Missing,
    /// It is an image or a text: a signature for people, in which nothing can be verified.
    Electronic,
    /// It is not of the form that the rules ask for.
    Malformed,
    /// Its form is right, but not one that is verified here.
    Unsupported,
    /// Its certificate does not hold.
    BadCertificate(CertificateFault),
    /// It is not the signature of this content by this certificate's key.
    BadSignature,
    /// The certificate is not that of whom the signature names.
    IdentityMismatch,
    /// The purposes that were signed are not those that the signature names.
    CommitmentMismatch,
    /// The time that was signed is not the one that the signature names.
    TimeMismatch,
}

impl Judgement {
    /// One word for it, for records.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Missing => "missing",
            Self::Electronic => "electronic",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::BadCertificate(CertificateFault::Expired) => "certificate-expired",
            Self::BadCertificate(CertificateFault::NotYetValid) => "certificate-not-yet-valid",
            Self::BadCertificate(CertificateFault::Untrusted) => "certificate-untrusted",
            Self::BadCertificate(CertificateFault::Revoked) => "certificate-revoked",
            Self::BadCertificate(CertificateFault::KeyUsage) => "certificate-key-usage",
            Self::BadSignature => "bad-signature",
            Self::IdentityMismatch => "identity-mismatch",
            Self::CommitmentMismatch => "commitment-mismatch",
            Self::TimeMismatch => "time-mismatch",
        }
    }

    /// Whether it shows that a digital signature is there and does not hold. What is not there, or was never meant to
    /// be verified, is for the one who asks for signatures to judge.
    pub(crate) fn is_bad(self) -> bool {
        !matches!(self, Self::Valid | Self::Missing | Self::Electronic)
    }

    /// What a person reads; in part the guide's own words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Missing => "This health care attachments transactions requires a digital signature",
            Self::Valid => "The signature is valid",
            Self::Electronic => "The signature is an electronic one; nothing in it can be verified",
            Self::Malformed => "The signature cannot be verified because it is malformed",
            Self::Unsupported => "The signature cannot be verified because its form is not supported",
            Self::BadCertificate(CertificateFault::Expired) => {
                "The signature cannot be verified because the certificate is expired"
            }
            Self::BadCertificate(CertificateFault::NotYetValid) => {
                "The signature cannot be verified because the certificate is not yet valid"
            }
            Self::BadCertificate(CertificateFault::Untrusted) => {
                "The signature cannot be verified because the certificate is not trusted"
            }
            Self::BadCertificate(CertificateFault::Revoked) => {
                "The signature cannot be verified because the certificate is revoked"
            }
            Self::BadCertificate(CertificateFault::KeyUsage) => {
                "The signature cannot be verified because the certificate is not for signatures"
            }
            Self::BadSignature => "The signature is not that of this content",
            Self::IdentityMismatch => "The certificate is not that of the signer whom the signature names",
            Self::CommitmentMismatch => "The signed purposes are not those of the signature's type",
            Self::TimeMismatch => "The signed time is not that of the signature",
        }
    }
}

/// What came of looking at one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineResult {
    /// It holds.
    Pass,
    /// It is broken.
    Fail,
    /// It holds, or is a recommendation only, but something deserves attention.
    Warn,
    /// Whether it holds is not found out here.
    Unsupported,
}

impl LineResult {
    /// One word for it, for records.
    pub(crate) fn as_code(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unsupported => "unsupported",
        }
    }
}

/// One rule and what came of looking at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// The key of the requirement.
    pub(crate) rule: &'static str,
    /// Whether it holds.
    pub(crate) result: LineResult,
    /// What was found.
    pub(crate) text: &'static str,
}

/// What was found about one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What it is worth: the first rule that is broken decides, in the order in which the guide verifies.
    pub(crate) judgement: Judgement,
    /// Every rule that was looked at, in that order.
    pub(crate) lines: Vec<Line>,
    /// SHA-256 of the certificates that came with it, the signer's first.
    pub(crate) certificates: Vec<[u8; 32]>,
    /// SHA-256 of the canonical form that it should be the signature of.
    pub(crate) canonical_sha256: Option<[u8; 32]>,
}

impl Verdict {
    /// The verdict about a signature that should be there.
    pub(crate) fn missing() -> Self {
        Lines::default().into_verdict(Judgement::Missing)
    }

    /// It as issues about the element at `expression`: what it is worth, then one for each rule. `refuses` says whether
    /// the request fails because of it; if not, nothing is worse than a warning.
    pub(crate) fn issues(&self, expression: &str, refuses: bool) -> Vec<Issue> {
        let refuses = refuses && self.judgement != Judgement::Valid;
        let worst = if refuses { Severity::Error } else { Severity::Warning };
        let issue = |severity, text: String| Issue {
            severity,
            code: match severity {
                Severity::Information => IssueType::Informational,
                Severity::Error | Severity::Warning => IssueType::BusinessRule,
            },
            expression: Some(expression.to_owned()),
            text,
            diagnostics: None,
        };
        let severity = if self.judgement == Judgement::Valid { Severity::Information } else { worst };
        let mut summary = issue(severity, self.judgement.text().to_owned());
        if refuses {
            summary = summary.advising("Resubmit with valid digital signature");
        }
        let lines = self.lines.iter().map(|line| {
            let severity = match line.result {
                LineResult::Pass => Severity::Information,
                LineResult::Warn => Severity::Warning,
                LineResult::Fail | LineResult::Unsupported => worst,
            };
            issue(severity, format!("{}: {}", line.rule, line.text))
        });
        std::iter::once(summary).chain(lines).collect()
    }
}

/// The lines of a verdict while it is found.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    /// Whether what the published 2.1.0 of CDex did not ask for may be missing.
    is_lenient: bool,
    lines: Vec<Line>,
    /// That of the first broken rule.
    judgement: Option<Judgement>,
}

impl Lines {
    /// None yet. `is_lenient`: signatures by the published 2.1.0 of CDex are taken.
    pub(super) fn new(is_lenient: bool) -> Self {
        Self { is_lenient, ..Self::default() }
    }

    /// A rule holds.
    pub(super) fn pass(&mut self, rule: &'static str, text: &'static str) {
        self.lines.push(Line { rule, result: LineResult::Pass, text });
    }

    /// Something deserves attention.
    pub(super) fn warn(&mut self, rule: &'static str, text: &'static str) {
        self.lines.push(Line { rule, result: LineResult::Warn, text });
    }

    /// A rule is broken, or cannot be looked at, which `judgement` tells apart.
    pub(super) fn fail(&mut self, rule: &'static str, judgement: Judgement, text: &'static str) {
        let result = match judgement {
            Judgement::Unsupported | Judgement::Electronic => LineResult::Unsupported,
            _ => LineResult::Fail,
        };
        self.lines.push(Line { rule, result, text });
        self.judgement.get_or_insert(judgement);
    }

    /// A rule holds or not; gives back whether.
    pub(super) fn hold(
        &mut self,
        rule: &'static str,
        holds: bool,
        pass: &'static str,
        (judgement, fail): (Judgement, &'static str),
    ) -> bool {
        if holds {
            self.pass(rule, pass);
        } else {
            self.fail(rule, judgement, fail);
        }
        holds
    }

    /// The same for something that must be there, and that the published 2.1.0 did not ask for.
    pub(super) fn hold_new(
        &mut self,
        rule: &'static str,
        holds: bool,
        pass: &'static str,
        (judgement, fail): (Judgement, &'static str),
    ) -> bool {
        if self.is_lenient && !holds {
            self.warn(rule, fail);
            return false;
        }
        self.hold(rule, holds, pass, (judgement, fail))
    }

    /// Whether no rule is broken so far.
    pub(super) fn is_clean(&self) -> bool {
        self.judgement.is_none()
    }

    /// No lines, under the same terms.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.is_lenient)
    }

    /// Puts what was found before in front.
    #[must_use]
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            is_lenient: self.is_lenient,
            lines: before.lines.iter().chain(&self.lines).copied().collect(),
            judgement: before.judgement.or(self.judgement),
        }
    }

    /// The verdict; `otherwise` is the judgement where no rule is broken.
    pub(super) fn into_verdict(self, otherwise: Judgement) -> Verdict {
        Verdict {
            judgement: self.judgement.unwrap_or(otherwise),
            lines: self.lines,
            certificates: Vec::new(),
            canonical_sha256: None,
        }
    }
}
