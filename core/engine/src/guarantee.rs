//! Whether guarantees can be kept: those below a scope come to no more than it can itself always have (or
//! may hold at all, where it is guaranteed nothing), and those of all to no more than there is. What is spent is
//! told for the time in which its pool comes back.
//!
//! Asked of what operators set anew, and of the config at the start, as it will be when all of it is set. Whoever makes something better that
//! was wrong before is not refused because it is not yet right.
use crate::{Engine, admit::bad, engine::Tape, verbs::check_name};
use bursar_interface::{
    Amount, Command, FanOutSpec, Input, PoolSpec, QuotaChange, QuotaSpec, Refusal, Row, Setting, What,
};
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
            if let Some(resource) = self.books.resource(kind) {
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
        let time = self.pool_time(resource);
        let known = self.books.quotas_on(resource).into_iter().map(|spec| in_time(spec, time));
        let before: Bounds = known.map(|spec| (spec.scope.clone(), spec)).collect();
        let mut after = before.clone();
        let mut levels: BTreeSet<&str> = BTreeSet::new();
        for touch in touches {
            match *touch {
                Touch::Set(change) => {
                    let spec = in_time(change.onto(self.quota_before(change, resource)), time);
                    after.insert(change.scope.clone(), spec);
                    levels.extend(above(&change.scope));
                }
                Touch::Gone(scope) => {
                    after.remove(scope);
                    levels.extend(above(scope));
                }
            }
        }
        let supply = self.supply(resource, settings);
        self.check_levels(resource, levels, (&before, &after), supply)
    }

    /// Refuses what is promised below one of these scopes, if less of it could be kept than `before`.
    fn check_levels(
        &self,
        resource: Row,
        levels: BTreeSet<&str>,
        (before, after): (&Bounds, &Bounds),
        (now, then): (Amount, Amount),
    ) -> Result<(), Refusal> {
        for level in levels {
            let sum = |bounds: &Bounds| below(bounds, level).map(|spec| spec.guaranteed).sum::<Amount>();
            let excess = |bounds: &Bounds, all| sum(bounds).saturating_sub(most(bounds, level, all));
            if excess(after, then) > excess(before, now) {
                return self.too_many(resource, level, after, then);
            }
        }
        Ok(())
    }

    /// What of a config an operator would be refused, carried out on a copy: that there is less than there was when
    /// a guarantee was set is nobody's fault, and no reason not to start.
    ///
    /// # Errors
    /// What is refused with the refusal, which names the scope and what it has; nothing of it is to be told then.
    pub fn rehearse_start(&self, told: &[Input]) -> Result<(), Refusal> {
        let (mut copy, before) = (self.clone(), self.bounds());
        let mut tape = Tape { inputs: told, events: Vec::new() };
        for (cause, input) in (0..).zip(told) {
            let seen = tape.events.len();
            copy.admit(cause, input, &mut tape);
            let Some(place) = copy.config_key(&input.body) else { continue };
            let refused = tape.events[seen..].iter().find_map(|event| match &event.what {
                What::Refused(refusal) => Some(refusal.clone()),
                _ => None,
            });
            if let Some(refusal) = refused {
                let message = format!("{place}: {}", refusal.message);
                return Err(Refusal { message, ..refusal });
            }
        }
        copy.keeps_guarantees(&before)
    }

    /// Under which key of a config stands what is set; `None` for what was found.
    fn config_key(&self, body: &Command) -> Option<String> {
        Some(match body {
            Command::SetNode(spec) if check_name("node", &spec.name).is_err() => "node.name".into(),
            Command::SetNode(spec) if self.check_labels(&spec.labels).is_err() => "node.labels".into(),
            Command::SetNode(_) => "node".into(),
            Command::SetPool(PoolSpec { resource, node: None, name, .. }) => {
                format!("pool {resource}:{name}")
            }
            Command::SetScope(spec) => format!("scope {:?}", spec.path),
            Command::SetFanOut(FanOutSpec { scope: Some(path), .. }) => format!("scope {path:?}"),
            Command::SetQuota(QuotaSpec { scope, resource, .. }) => {
                format!("quota of {scope:?} on {resource}")
            }
            Command::SetPreemption(_) => "preemption".into(),
            _ => return None,
        })
    }

    /// Every bound that is set.
    fn bounds(&self) -> Vec<QuotaSpec> {
        let kinds = 0..self.books.specs().len() as Row;
        kinds.flat_map(|resource| self.books.quotas_on(resource)).collect()
    }

    /// Refuses guarantees that cannot be kept as they are set now, if they were set otherwise `before`.
    fn keeps_guarantees(&self, before: &[QuotaSpec]) -> Result<(), Refusal> {
        for resource in 0..self.books.specs().len() as Row {
            let (name, time) = (&self.books.spec(resource).name, self.pool_time(resource));
            let by_scope = |specs: Vec<QuotaSpec>| -> Bounds {
                specs.into_iter().map(|spec| (spec.scope.clone(), in_time(spec, time))).collect()
            };
            let before = by_scope(before.iter().filter(|spec| spec.resource == *name).cloned().collect());
            let after = by_scope(self.books.quotas_on(resource));
            let changed = after.values().filter(|spec| before.get(&spec.scope) != Some(spec));
            let levels = changed.flat_map(|spec| above(&spec.scope)).collect();
            let (_, all) = self.supply(resource, &[]);
            self.check_levels(resource, levels, (&before, &after), (all, all))?;
        }
        Ok(())
    }

    /// In which time the first pool of a kind on no node comes back (ns); 0 for never.
    fn pool_time(&self, resource: Row) -> u64 {
        let tables = self.books.tables();
        let first = tables.resources.first_floating[resource as usize];
        tables.pools.period.get(first as usize).copied().unwrap_or(0)
    }

    /// What there is of a kind before and after settings; as much as one likes of what springs from names.
    fn supply(&self, resource: Row, settings: &[Setting]) -> (Amount, Amount) {
        if self.books.spec(resource).springs > 0 {
            return (Amount::MAX, Amount::MAX);
        }
        let (tables, time) = (self.books.tables(), self.pool_time(resource));
        let much = |spec: &PoolSpec| scaled(spec.capacity, spec.refill.period_ns, time);
        let pools = 0..tables.pools.id.len();
        let pools = pools.filter(|&p| tables.pools.id[p] != 0 && tables.pools.resource[p] == resource);
        let now: Amount = pools.map(|p| much(&self.books.pool_spec(p as Row))).sum();
        let mut then = now;
        for setting in settings {
            let (before, after) = match setting {
                Setting::Pool(change) if self.books.resource(&change.resource) == Some(resource) => {
                    let before = self.pool_before(change, resource).1;
                    (much(&before), much(&change.onto(before)))
                }
                Setting::RemovePool { resource: kind, node, name }
                    if self.books.resource(kind) == Some(resource) =>
                {
                    let pool = self.books.pool_on(resource, node.as_deref(), name);
                    (pool.map_or(0, |pool| much(&self.books.pool_spec(pool))), 0)
                }
                _ => continue,
            };
            then = then.saturating_sub(before).saturating_add(after);
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
        let time = match self.pool_time(resource) {
            0 => String::new(),
            time => format!(" in {} s", time / 1_000_000_000),
        };
        let whose = match after.get(level) {
            Some(bound) if bound.guaranteed > 0 => format!("{} is itself guaranteed", told(level)),
            Some(_) if most < all || !level.is_empty() => format!("{} may hold", told(level)),
            _ => "all pools have".into(),
        };
        bad(
            &format!(
                "the guarantees below {} come to {sum} {} of {}{time} ({}), and {whose} {most}",
                told(level),
                spec.unit,
                spec.name,
                added.join(" + ")
            ),
            "lower some of them, or raise what is above them first or in the same file",
        )
    }
}

/// What comes back in one time, told for another (ns); as it is where either never does.
fn scaled(amount: Amount, period_ns: u64, time: u64) -> Amount {
    if period_ns == time || period_ns == 0 || time == 0 {
        return amount;
    }
    let much = u128::from(amount) * u128::from(time) / u128::from(period_ns);
    Amount::try_from(much).unwrap_or(Amount::MAX)
}

/// A bound, told for the time in which the pool comes back.
fn in_time(spec: QuotaSpec, time: u64) -> QuotaSpec {
    let told = |amount: Amount| scaled(amount, spec.refill.period_ns, time);
    let (guaranteed, limit) = (told(spec.guaranteed), spec.limit.map(told));
    let borrow_limit = spec.borrow_limit.map(told);
    QuotaSpec { guaranteed, limit, borrow_limit, ..spec }
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
