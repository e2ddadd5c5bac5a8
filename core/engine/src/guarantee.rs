//! Whether guarantees can be kept: those below a scope come to no more than it can itself always have (or
//! may hold at all, where it is guaranteed nothing), and those of all to no more than there is.
//!
//! Asked of what operators set anew, as it will be when all of it is set. Whoever makes something better that
//! was wrong before is not refused because it is not yet right.
use crate::{Engine, admit::bad};
use bursar_interface::{Amount, QuotaChange, QuotaSpec, Refusal, Row, Setting, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// Guarantees that are added up in one refusal at most.
const ADDED_MAX: usize = 8;

/// What is done to a bound.
#[derive(Clone, Copy)]
enum Touch<'a> {
    Set(&'a QuotaChange),
    Gone(&'a str),
}

/// Bounds by scope path.
type Bounds = BTreeMap<String, QuotaSpec>;

impl Engine {
    /// Refuses guarantees that could not be kept.
    pub(crate) fn check_guarantees(&self, settings: &[Setting]) -> Result<(), Refusal> {
        let mut touched: BTreeMap<Row, Vec<Touch<'_>>> = BTreeMap::new();
        for setting in settings {
            let (kind, touch) = match setting {
                Setting::Quota(change) => (&change.resource, Touch::Set(change)),
                Setting::RemoveQuota { scope, resource } => (resource, Touch::Gone(scope)),
                _ => continue,
            };
            if let Some(resource) = self.books.resource(kind)
                && matches!(self.books.spec(resource).shape, Shape::Capacity | Shape::Unit)
            {
                touched.entry(resource).or_default().push(touch);
            }
        }
        touched
            .iter()
            .try_for_each(|(&resource, touches)| self.check_kind_guarantees(resource, touches, settings))
    }

    fn check_kind_guarantees(
        &self,
        resource: Row,
        touches: &[Touch<'_>],
        settings: &[Setting],
    ) -> Result<(), Refusal> {
        let before: Bounds =
            self.books.quotas_on(resource).into_iter().map(|spec| (spec.scope.clone(), spec)).collect();
        let mut after = before.clone();
        let mut levels: BTreeSet<&str> = BTreeSet::new();
        for touch in touches {
            match *touch {
                Touch::Set(change) => {
                    after.insert(change.scope.clone(), change.onto(self.quota_before(change, resource)));
                    levels.extend(above(&change.scope));
                }
                Touch::Gone(scope) => {
                    after.remove(scope);
                    levels.extend(above(scope));
                }
            }
        }
        let (now, then) = self.supply(resource, settings);
        for level in levels {
            let sum = |bounds: &Bounds| below(bounds, level).map(|spec| spec.guaranteed).sum::<Amount>();
            let excess = |bounds: &Bounds, all| sum(bounds).saturating_sub(most(bounds, level, all));
            if excess(&after, then) > excess(&before, now) {
                return self.too_many(resource, level, &after, then);
            }
        }
        Ok(())
    }

    /// What there is of a kind before and after settings; as much as one likes of what springs from names.
    fn supply(&self, resource: Row, settings: &[Setting]) -> (Amount, Amount) {
        if self.books.spec(resource).springs > 0 {
            return (Amount::MAX, Amount::MAX);
        }
        let now = self.books.tables().resources.capacity[resource as usize];
        let mut then = now;
        for setting in settings {
            if let Setting::Pool(change) = setting
                && self.books.resource(&change.resource) == Some(resource)
            {
                let before = self.pool_before(change, resource).1;
                then = then.saturating_sub(before.capacity).saturating_add(change.onto(before).capacity);
            }
        }
        (now, then)
    }

    fn too_many(&self, resource: Row, level: &str, after: &Bounds, all: Amount) -> Result<(), Refusal> {
        let spec = self.books.spec(resource);
        let mut added: Vec<String> =
            below(after, level).map(|bound| format!("{:?} {}", bound.scope, bound.guaranteed)).collect();
        let sum: Amount = below(after, level).map(|bound| bound.guaranteed).sum();
        let more = added.len().saturating_sub(ADDED_MAX);
        added.truncate(ADDED_MAX);
        if more > 0 {
            added.push(format!("{more} more"));
        }
        let most = most(after, level, all);
        let whose = match after.get(level) {
            Some(bound) if bound.guaranteed > 0 => format!("{} is itself guaranteed", told(level)),
            Some(_) if most < all || !level.is_empty() => format!("{} may hold", told(level)),
            _ => "all pools have".into(),
        };
        bad(
            &format!(
                "the guarantees below {} come to {sum} {} of {} ({}), and {whose} {most}",
                told(level),
                spec.unit,
                spec.name,
                added.join(" + ")
            ),
            "lower some of them, or raise what is above them first or in the same file",
        )
    }
}

/// A scope as it is called in a refusal.
fn told(level: &str) -> String {
    if level.is_empty() { "the root".into() } else { format!("{level:?}") }
}

/// What may be guaranteed below a scope.
fn most(bounds: &Bounds, level: &str, all: Amount) -> Amount {
    let own = bounds.get(level).map_or(Amount::MAX, |bound| match bound.guaranteed {
        0 => bound.limit.unwrap_or(Amount::MAX).min(bound.borrow_limit.unwrap_or(Amount::MAX)),
        guaranteed => guaranteed,
    });
    if level.is_empty() { own.min(all) } else { own }
}

/// The topmost guarantees below a scope: what is guaranteed further below is part of them.
fn below<'a>(bounds: &'a Bounds, level: &'a str) -> impl Iterator<Item = &'a QuotaSpec> {
    let given = |path: &str| bounds.get(path).is_some_and(|bound| bound.guaranteed > 0);
    let inside = move |path: &str| path != level && above(path).any(|up| up == level);
    bounds.values().filter(move |bound| {
        let between = |up: &&str| *up != bound.scope && inside(up);
        given(&bound.scope) && inside(&bound.scope) && !above(&bound.scope).filter(between).any(given)
    })
}

/// A path and those above it, up to the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |&path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(above, _)| above))
    })
}
