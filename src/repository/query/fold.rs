//! What a criterion comes to for resources of one type: what is decided by the type alone is decided here, and what
//! remains is flat, so that the conditions that all must hold stand side by side.

use crate::repository::criteria::Criterion;
use crate::repository::entry::Space;

/// What holds of everything.
pub(super) const ALWAYS: Criterion = Criterion::All(Vec::new());

/// The conditions that a resource of a type must all meet; none if no resource can.
pub(super) fn conjuncts(criterion: &Criterion, kind: Space) -> Option<Vec<Criterion>> {
    match fold(criterion, kind) {
        Criterion::Never => None,
        Criterion::All(conjuncts) => Some(conjuncts),
        other => Some(vec![other]),
    }
}

fn fold(criterion: &Criterion, kind: Space) -> Criterion {
    match criterion {
        Criterion::All(parts) => {
            let mut conjuncts = Vec::with_capacity(parts.len());
            for part in parts {
                match fold(part, kind) {
                    Criterion::Never => return Criterion::Never,
                    Criterion::All(inner) => conjuncts.extend(inner),
                    other => conjuncts.push(other),
                }
            }
            alone(conjuncts).unwrap_or_else(Criterion::All)
        }
        Criterion::Any(parts) => {
            let mut alternatives = Vec::with_capacity(parts.len());
            for part in parts {
                match fold(part, kind) {
                    Criterion::Never => {}
                    always if always == ALWAYS => return ALWAYS,
                    Criterion::Any(inner) => alternatives.extend(inner),
                    other => alternatives.push(other),
                }
            }
            if alternatives.is_empty() {
                return Criterion::Never;
            }
            alone(alternatives).unwrap_or_else(Criterion::Any)
        }
        Criterion::Not(inner) => match fold(inner, kind) {
            Criterion::Never => ALWAYS,
            always if always == ALWAYS => Criterion::Never,
            Criterion::Not(inner) => *inner,
            other => Criterion::Not(Box::new(other)),
        },
        Criterion::Type(space) if *space == kind => ALWAYS,
        Criterion::Type(_) => Criterion::Never,
        Criterion::Id(ids) if ids.is_empty() => Criterion::Never,
        Criterion::LastUpdated(None, None) => ALWAYS,
        Criterion::Leads(space, targets) => {
            let targets = targets.iter().map(|(name, kind, inner)| (*name, *kind, fold(inner, *kind)));
            let possible: Vec<_> = targets.filter(|(_, _, inner)| *inner != Criterion::Never).collect();
            if possible.is_empty() { Criterion::Never } else { Criterion::Leads(*space, possible) }
        }
        Criterion::Referred { from, source, criterion } => match fold(criterion, *source) {
            Criterion::Never => Criterion::Never,
            criterion => Criterion::Referred { from: *from, source: *source, criterion: Box::new(criterion) },
        },
        Criterion::Id(_) | Criterion::LastUpdated(..) | Criterion::Has(..) | Criterion::Never => {
            criterion.clone()
        }
    }
}

/// The only one of these, or all of them.
fn alone(mut parts: Vec<Criterion>) -> Result<Criterion, Vec<Criterion>> {
    if parts.len() == 1 { parts.pop().ok_or(parts) } else { Err(parts) }
}
