//! The books as a whole: the tables, their names, and how to find a row.
use crate::{
    Nested,
    alternatives::Alternatives,
    assured::Assured,
    names::Names,
    outstanding::Outstanding,
    share::Shared,
    slots::{Runs, Slots},
};
use bursar_interface::{ClaimId, NONE, PoolId, ResourceSpec, Row, Tables, Time, View};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Spreads the bits of an identity; identities are counters, so one multiplication is enough.
#[derive(Clone, Default)]
pub struct Spread(u64);
impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
}

/// Rows by identity: looked up, never iterated.
pub(crate) type RowsById<K> = HashMap<K, Row, BuildHasherDefault<Spread>>;

/// What exists and who holds it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Books {
    pub(crate) tables: Tables,
    pub(crate) names: Names,
    /// Now.
    pub(crate) at: Time,
    /// Rises with every change.
    pub(crate) epoch: u64,
    /// Identities given out so far: nodes, pools, scopes, quotas.
    pub(crate) counters: [u32; 4],
    pub(crate) free_pools: Slots,
    pub(crate) free_scopes: Slots,
    pub(crate) free_quotas: Slots,
    pub(crate) free_claims: Slots,
    pub(crate) free_lines: Runs,
    pub(crate) free_occupants: Slots,
    pub(crate) claim_rows: RowsById<ClaimId>,
    pub(crate) pool_rows: RowsById<PoolId>,
    /// Live claims that name a pool, by pool row: a sprung pool goes with the last of them.
    pub(crate) wanted: BTreeMap<Row, u32>,
    /// Pools of which what is spent comes back.
    pub(crate) metered: Vec<Row>,
    /// Live claims, waiting ones included.
    pub(crate) live: u32,
    /// Claims that came with several sets of lines, by row.
    pub(crate) alternatives: BTreeMap<Row, Alternatives>,
    /// Claims that draw from others, and those that others draw from.
    pub(crate) nest: BTreeMap<ClaimId, Nested>,
    pub(crate) assured: Assured,
    /// Ledgers of each kind that an operator bounds: where there are none, none is short.
    pub(crate) bounds: Vec<u32>,
    pub(crate) outstanding: Outstanding,
    /// Pools that are shared by rules.
    pub(crate) shared: BTreeMap<Row, Shared>,
    /// Room in ledgers that is kept from whoever asks, or supposed to be there, for a moment.
    #[serde(skip)]
    pub(crate) shifted: BTreeMap<Row, i64>,
}

impl Books {
    /// Empty books, with the root of the scope tree.
    pub fn new() -> Books {
        let mut books = Books::default();
        // A reader that has seen nothing has seen epoch 0.
        books.begin_change();
        books.ensure_scope("");
        books
    }

    /// The tables, borrowed.
    pub fn view(&self) -> View<'_> {
        self.tables.view(self.at, self.epoch)
    }

    /// The tables themselves: for a cell or two, where borrowing every column is too much.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Now.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Moves now forward; it never moves back. What was spent comes back meanwhile; `freed` hears of the
    /// kinds of which more is free since.
    pub fn advance(&mut self, at: Time, freed: impl FnMut(Row)) {
        self.at = self.at.max(at);
        if !self.metered.is_empty() {
            self.begin_change();
            self.refill(freed);
        }
    }

    /// Begins a new change: everything touched from here on is newer than any view handed out so far.
    pub fn begin_change(&mut self) {
        self.epoch += 1;
    }

    /// Makes everything newer than any view that was ever handed out, after the books were taken back
    /// to an earlier state: what others keep of a view counts changes only as long as they rise. `seen` is the
    /// newest view that anybody may have of other books in the place of which these come.
    pub fn renew_views(&mut self, seen: u64) {
        self.epoch = self.epoch.max(seen) + (1 << 32);
        self.tables.touch_all(self.epoch);
    }

    /// Live claims, waiting ones included.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// The row of a kind.
    pub fn resource(&self, name: &str) -> Option<Row> {
        // Byte by byte: names are short, and a call to compare them costs more than they do.
        let same = |spec: &ResourceSpec| spec.name.len() == name.len() && spec.name.bytes().eq(name.bytes());
        self.names.resources.iter().position(same).map(|row| row as Row)
    }

    /// All that is known of a kind.
    pub fn spec(&self, resource: Row) -> &ResourceSpec {
        &self.names.resources[resource as usize]
    }

    /// Every kind, by row.
    pub fn specs(&self) -> &[ResourceSpec] {
        &self.names.resources
    }

    /// The row of a node.
    pub fn node(&self, name: &str) -> Option<Row> {
        self.names.node_rows.get(name).copied()
    }

    /// The name of a node; empty for [`NONE`].
    pub fn node_name(&self, node: Row) -> &str {
        self.names.nodes.get(node as usize).map_or("", String::as_str)
    }

    /// The row of a pool by identity. While no row was used twice it is the one before the identity.
    pub fn pool(&self, id: PoolId) -> Option<Row> {
        let guess = id.0.wrapping_sub(1);
        match self.tables.pools.id.get(guess as usize) {
            Some(&here) if here == id.0 => Some(guess),
            _ => self.pool_rows.get(&id).copied(),
        }
    }

    /// The row of a pool by kind and name: floating first, then on the node of that name in
    /// `NODE/NAME`, then on whichever node has one.
    pub fn pool_named(&self, resource: Row, name: &str) -> Option<Row> {
        let rows = &self.names.pool_rows;
        let floating = rows.get(&(resource, NONE, name.to_owned()));
        let on_named = || {
            let (node, pool) = name.split_once('/')?;
            rows.get(&(resource, self.node(node)?, pool.to_owned()))
        };
        let anywhere = || {
            let nodes = 0..self.names.nodes.len() as Row;
            nodes.filter_map(|node| rows.get(&(resource, node, name.to_owned()))).next()
        };
        floating.or_else(on_named).or_else(anywhere).copied()
    }

    /// The name of a pool; empty for [`NONE`].
    pub fn pool_name(&self, pool: Row) -> &str {
        self.names.pools.get(pool as usize).map_or("", String::as_str)
    }

    /// The row of a scope by its path from the root of the tree.
    pub fn scope(&self, path: &str) -> Option<Row> {
        match path {
            // The root was there first, and never goes.
            "" if !self.tables.scopes.is_empty() => Some(0),
            _ => self.names.scope_rows.get(path, &self.names.scopes),
        }
    }

    /// The path of a scope from the root of the tree.
    pub fn scope_path(&self, scope: Row) -> &Arc<str> {
        &self.names.scopes[scope as usize]
    }

    /// The row of a live claim.
    pub fn claim(&self, id: ClaimId) -> Option<Row> {
        self.claim_rows.get(&id).copied()
    }

    /// The bits of label terms.
    ///
    /// # Errors
    /// The first term that nothing carries.
    pub fn labels(&self, terms: &[String]) -> Result<u64, String> {
        match terms.iter().find(|term| !self.names.labels.contains(term)) {
            Some(unknown) => Err(unknown.clone()),
            None => Ok(self.names.known_labels(terms)),
        }
    }

    /// The bits of those label terms that something carries.
    pub fn known_labels(&self, terms: &[String]) -> u64 {
        self.names.known_labels(terms)
    }

    /// How many label terms are known.
    pub fn known_terms(&self) -> usize {
        self.names.labels.len()
    }

    /// Scopes alive, the root included.
    pub fn scopes(&self) -> usize {
        self.names.scope_rows.len()
    }

    /// The label terms of a set of bits.
    pub fn label_terms(&self, bits: u64) -> Vec<&str> {
        let terms = self.names.labels.iter().enumerate();
        terms.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, term)| term.as_str()).collect()
    }

    /// A scope and those above it, up to the root.
    pub fn chain(&self, scope: Row) -> impl Iterator<Item = Row> + '_ {
        std::iter::successors(Some(scope), |&row| {
            Some(self.tables.scopes.parent[row as usize]).filter(|&up| up != NONE)
        })
    }
}
