//! Who holds what at one time, by scope: read from the ledgers, and for named things from the lines.
use crate::Engine;
use bursar_interface::{
    Amount, ClaimId, NONE, Row, Shape, Time,
    bound::{BLAMED_MAX, LOOK_NS, LOOK_ROW_NS},
};
use bursar_pool::Inner;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What one scope itself holds of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    resource: Row,
    /// The pool, where it was looked for by name; [`NONE`] otherwise.
    pool: Row,
    scope: Arc<str>,
    tenant: Arc<str>,
    amount: Amount,
}

/// Where it is that somebody is short.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In all that there is of the kind.
    Kind,
    /// In the ledger of the scope with this path.
    Ledger(Arc<str>),
    /// In the pool that it named.
    Pool(Row),
    /// In the lease that it draws from.
    Lease(ClaimId),
}

/// Who holds something, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) scope: Arc<str>,
    pub(crate) own: bool,
    pub(crate) amount: Amount,
}

/// All that is held, as of the last look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holdings {
    looked: Option<Time>,
    held: Vec<Held>,
    /// Named pools that were looked for.
    pools: BTreeSet<Row>,
    /// Rows that the last look read.
    rows: u64,
}

/// The path of the top-level scope of a scope; that of the root is its own.
pub(crate) fn tenant(engine: &Engine, scope: Row) -> Arc<str> {
    let mut chain: Vec<Row> = engine.books.chain(scope).collect();
    // The root stands above its tenants.
    chain.pop();
    engine.books.scope_path(chain.last().copied().unwrap_or(scope)).clone()
}

impl Holdings {
    /// Whether it is time for another look: reading a row is paid for by so much time without a look.
    pub(crate) fn due(&self, now: Time) -> bool {
        let pause = LOOK_NS.saturating_add(self.rows * LOOK_ROW_NS);
        self.looked.is_none_or(|looked| now.0.saturating_sub(looked.0) >= pause)
    }

    /// Whether a look takes so long that it is not to be had out of turn.
    pub(crate) fn is_costly(&self) -> bool {
        self.rows * LOOK_ROW_NS > LOOK_NS * 8
    }

    /// Whether a named pool was looked for.
    pub(crate) fn has_looked_for(&self, pool: Row) -> bool {
        self.pools.contains(&pool)
    }

    /// Looks who holds what, and of these named pools who holds them.
    pub(crate) fn look(&mut self, engine: &Engine, pools: BTreeSet<Row>) {
        let quotas = &engine.books.tables().quotas;
        let mut held: BTreeMap<(Row, Row, Row), i128> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for q in (0..quotas.len()).filter(|&q| quotas.id[q] != 0) {
            let (resource, scope) = (quotas.resource[q], quotas.scope[q]);
            kept.insert(resource);
            match engine.books.spec(resource).shape {
                Shape::Capacity | Shape::Unit => {
                    *held.entry((resource, NONE, scope)).or_default() += i128::from(quotas.direct[q]);
                }
                // A ledger has what those below have spent as well.
                Shape::Rate | Shape::Budget => {
                    let level = i128::from(engine.books.level(q as Row));
                    *held.entry((resource, NONE, scope)).or_default() += level;
                    let parent = engine.books.tables().scopes.parent[scope as usize];
                    if parent != NONE {
                        *held.entry((resource, NONE, parent)).or_default() -= level;
                    }
                }
            }
        }
        self.rows = quotas.len() as u64;
        self.look_at_lines(engine, &pools, &kept, &mut held);
        let row = |((resource, pool, scope), amount): ((Row, Row, Row), i128)| {
            let amount = Amount::try_from(amount).ok().filter(|&amount| amount > 0)?;
            let (path, tenant) = (engine.books.scope_path(scope).clone(), tenant(engine, scope));
            Some(Held { resource, pool, scope: path, tenant, amount })
        };
        self.held = held.into_iter().filter_map(row).collect();
        (self.pools, self.looked) = (pools, Some(engine.books.at()));
    }

    /// Named pools have no ledgers, and neither has a kind of which nobody below the root ever held any.
    fn look_at_lines(
        &mut self,
        engine: &Engine,
        pools: &BTreeSet<Row>,
        kept: &BTreeSet<Row>,
        held: &mut BTreeMap<(Row, Row, Row), i128>,
    ) {
        let (tables, kinds) = (engine.books.tables(), engine.books.specs().len());
        if pools.is_empty() && kept.len() == kinds {
            return;
        }
        let lines = &tables.lines;
        for l in (0..lines.len()).filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE) {
            let (resource, pool) = (lines.resource[l], lines.pool[l]);
            let scope = tables.claims.scope[lines.claim[l] as usize];
            let mut add = |pool| {
                *held.entry((resource, pool, scope)).or_default() += i128::from(lines.amount[l]);
            };
            if pools.contains(&pool) {
                add(pool);
            }
            if !kept.contains(&resource) {
                add(NONE);
            }
        }
        self.rows += lines.len() as u64;
    }

    /// Who holds a kind at a place, seen from a top-level scope: of one's own the scopes that hold most, of
    /// others the top-level scopes that do; and how much is held in all.
    pub(crate) fn at(
        &self,
        engine: &Engine,
        resource: Row,
        place: &Place,
        tenant: &Arc<str>,
    ) -> (Vec<Holder>, u128) {
        let within = match place {
            Place::Lease(parent) => held_within(engine, *parent, resource),
            _ => Vec::new(),
        };
        let at_place = self.held.iter().filter(|held| held.resource == resource && held.is_at(place));
        let (mut own, mut others): (Vec<Holder>, BTreeMap<Arc<str>, Amount>) = Default::default();
        let mut all = 0;
        for held in at_place.chain(&within) {
            all += u128::from(held.amount);
            match held.tenant == *tenant {
                true => own.push(Holder { scope: held.scope.clone(), own: true, amount: held.amount }),
                false => *others.entry(held.tenant.clone()).or_default() += held.amount,
            }
        }
        let other = |(scope, amount): (Arc<str>, Amount)| Holder { scope, own: false, amount };
        let mut others: Vec<Holder> = others.into_iter().map(other).collect();
        for holders in [&mut own, &mut others] {
            holders.sort_unstable_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.scope.cmp(&b.scope)));
            holders.truncate(BLAMED_MAX);
        }
        own.append(&mut others);
        (own, all)
    }
}

impl Held {
    fn is_at(&self, place: &Place) -> bool {
        match place {
            Place::Pool(pool) => self.pool == *pool,
            Place::Lease(_) => false,
            _ if self.pool != NONE => false,
            Place::Kind => true,
            Place::Ledger(path) => is_below(&self.scope, path),
        }
    }
}

/// What those have of a kind who draw from a lease.
fn held_within(engine: &Engine, lease: ClaimId, resource: Row) -> Vec<Held> {
    let mut held: BTreeMap<Row, Amount> = BTreeMap::new();
    for row in engine.books.descendants(lease).filter_map(|claim| engine.books.claim(claim)) {
        let draws = |line: &&Inner| line.of == lease && line.resource == resource && line.from != NONE;
        let lines = engine.books.inner(row).iter().filter(draws);
        let scope = engine.books.tables().claims.scope[row as usize];
        lines.for_each(|line| *held.entry(scope).or_default() += line.amount);
    }
    let row = |(scope, amount)| Held {
        resource,
        pool: NONE,
        scope: engine.books.scope_path(scope).clone(),
        tenant: tenant(engine, scope),
        amount,
    };
    held.into_iter().map(row).collect()
}

/// Whether a path is another, or below it.
fn is_below(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
