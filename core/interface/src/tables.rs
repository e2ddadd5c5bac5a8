//! The tables themselves, and the view that borrows them all: what a strategy sees of the world.
use crate::table::{CHUNK, Cell, Column, table};
use crate::{Amount, NONE, Row, Time};
use serde::{Deserialize, Serialize};

/// A kind's name as a number: FNV-1a, 64 bits (Fowler, Noll and Vo).
pub const fn tag(name: &str) -> u64 {
    let (bytes, mut hash, mut i) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

table! {
    /// Kinds of things. Row = [`crate::ResourceId`].
    Resources, ResourceTable {
        /// [`crate::Shape`] as a number.
        shape: u32,
        /// First floating pool of this kind, or [`NONE`].
        first_floating: u32,
        /// Smallest amount that can be claimed.
        min: u64,
        /// Claims are multiples of this.
        step: u64,
        /// The largest sum of capacities of this kind on one node, for scaling scores.
        largest: u64,
        /// Sum of what is free over all pools, wherever they are.
        free: u64,
        /// [`tag`] of the name, by which a strategy knows a kind that it treats specially.
        tag: u64,
        /// Sum of the capacities of all pools, but for those that spring from a name.
        capacity: u64,
    }
}

table! {
    /// Machines. Rows are in the order in which nodes were first set; ties go to the lower row.
    Nodes, NodeTable {
        /// [`crate::NodeId`]; 0 marks a free row.
        id: u32,
        /// [`crate::NodeState`] as a number.
        state: u32,
        /// Label terms as bits.
        labels: u64,
        /// Measured availability in parts per million; [`NONE`] where it is unknown.
        availability: u32,
        /// First pool of the node's first kind, or [`NONE`].
        first_pool: u32,
    }
}

table! {
    /// Supplies. Pools of one node are linked kind by kind, in the order in which they were set.
    Pools, PoolTable {
        /// [`crate::PoolId`]; 0 marks a free row.
        id: u32,
        /// Row of the node, or [`NONE`] for a floating pool.
        node: u32,
        /// Row of the pool that this one is a slice of, or [`NONE`].
        parent: u32,
        /// Kind.
        resource: u32,
        /// Next pool of the same kind on the same node (or floating like this one), or [`NONE`].
        next: u32,
        /// On the first pool of a kind: the first pool of the node's next kind, or [`NONE`].
        next_kind: u32,
        /// Label terms as bits: a device's model, for one.
        labels: u64,
        /// What exists.
        capacity: u64,
        /// What may be promised.
        offered: u64,
        /// What is promised and not yet enforced.
        reserved: u64,
        /// What is in use.
        held: u64,
        /// What came back without proof: it still counts as used.
        quarantined: u64,
        /// Measured pressure in parts per million; [`NONE`] where it is unknown.
        pressure: u32,
        /// Price in micro-dollars per base unit and hour; 0 where none is set.
        price: u64,
        /// What can still be taken: offered less reserved, held, quarantined and spent, or nothing.
        free: u64,
        /// What is spent and not yet back, of kinds that are spent.
        spent: u64,
        /// In which the whole capacity comes back, in nanoseconds; 0 for never.
        period: u64,
        /// Rates: the time up to which coming back was counted. Budgets: when the period ends.
        due: u64,
        /// Rates: what came back beyond whole amounts, in amounts times nanoseconds.
        rest: u64,
        /// What guaranteed claims can still take, if that is less than what is free; `u64::MAX` where there is no
        /// such rule.
        firm: u64,
        /// Leases that may come to hold some of it beside those that do; [`NONE`] for as many as fit.
        places: u32,
    }
}

table! {
    /// Who demands: tenant ⊃ session ⊃ agent ⊃ task.
    Scopes, ScopeTable {
        /// [`crate::ScopeId`]; 0 marks a free row.
        id: u32,
        /// Row of the parent, or [`NONE`] at the root.
        parent: u32,
        /// Share of the parent relative to its siblings.
        weight: u32,
        /// Live claims of the scope itself.
        claims: u32,
        /// Live child scopes.
        children: u32,
        /// First quota of the scope, or [`NONE`].
        first_quota: u32,
    }
}

table! {
    /// Bounds of scopes on resources.
    Quotas, QuotaTable {
        /// [`crate::QuotaId`]; 0 marks a free row.
        id: u32,
        /// Row of the scope.
        scope: u32,
        /// Kind.
        resource: u32,
        /// Next quota of the same scope, or [`NONE`].
        next: u32,
        /// What the scope can always have.
        guaranteed: u64,
        /// What the scope and its children may hold together; `u64::MAX` for no limit.
        limit: u64,
        /// What may be borrowed above the guarantee; `u64::MAX` for no limit.
        borrow_limit: u64,
        /// What may be lent to siblings; `u64::MAX` for no limit.
        lend_limit: u64,
        /// What the scope and its children hold.
        charged: u64,
        /// What they spent as of `due`, of kinds that are spent.
        spent: u64,
        /// What may be spent at once of a rate.
        burst: u64,
        /// In which the whole limit comes back, in nanoseconds; 0 for never.
        period: u64,
        /// Rates: the time up to which coming back was counted. Budgets: when the period ends.
        due: u64,
        /// Rates: what came back beyond whole amounts, in amounts times nanoseconds.
        rest: u64,
        /// 1 = an operator set it; 0 = it only keeps what the scope holds.
        set: u32,
        /// What the claims of the scope itself hold.
        direct: u64,
        /// What its children have free of their guarantees and do not lend.
        kept_back: u64,
    }
}

table! {
    /// Demands from ask to return.
    Claims, ClaimTable {
        /// [`crate::ClaimId`]; 0 marks a free row.
        id: u64,
        /// The token of the lease; 0 while it waits.
        fence: u64,
        /// Row of the scope.
        scope: u32,
        /// [`crate::Class`] as a number: 0 comes first.
        class: u32,
        /// Larger comes first within a class.
        priority: u32,
        /// [`crate::Phase`] as a number.
        phase: u32,
        /// [`crate::Reason`] as a number plus one: why it waits; 0 for none.
        reason: u32,
        /// Row of the node it was placed on, or [`NONE`].
        node: u32,
        /// First row in [`Lines`]; the lines of a claim are adjacent.
        first_line: u32,
        /// How many lines.
        lines: u32,
        /// When it was asked.
        asked_at: u64,
        /// When waiting ends in a refusal; of a lease in the grace of a restart when that ends, else 0.
        wait_until: u64,
        /// When the lease ends unless it is renewed.
        lease_until: u64,
        /// What a renewal adds, in nanoseconds.
        ttl: u64,
        /// The caller's own estimate of its run time in nanoseconds; 0 for unknown.
        expect: u64,
        /// Label terms that the node must all have.
        need: u64,
        /// Label terms of which the node must have none.
        bar: u64,
        /// Row of the scope of which no two claims share a node, or [`NONE`].
        apart: u32,
        /// 1 = an edge must prove the return (a process was attached, or a driver enforced it).
        bodied: u32,
        /// When what it waits for will have come back; 0 where that cannot be told.
        retry_at: u64,
        /// When it was granted; 0 while it waits.
        granted_at: u64,
    }
}

table! {
    /// What each claim asks for, line by line, and from which pool it got it.
    Lines, LineTable {
        /// Row of the claim, or [`NONE`] for a free row.
        claim: u32,
        /// Kind.
        resource: u32,
        /// The pool that the asker named, or [`NONE`].
        want: u32,
        /// The pool it was taken from, or [`NONE`].
        pool: u32,
        /// How much.
        amount: u64,
        /// Label terms of which the pool must have one; 0 for any pool.
        models: u64,
        /// What was really used, as settled; `u64::MAX` for unknown.
        used: u64,
    }
}

table! {
    /// How many claims of a scope with an `apart` rule are on a node.
    Occupants, OccupantTable {
        /// Row of the scope, or [`NONE`] for a free row.
        scope: u32,
        /// Row of the node.
        node: u32,
        /// How many claims.
        claims: u32,
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $view:ident, $table:ident;)*) => {
        /// The books, borrowed whole and never copied. References between tables are rows.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct View<'a> {
            /// Now.
            pub at: Time,
            /// Rises with each change; compare with the `touched` stamps of a table.
            pub epoch: u64,
            $($(#[$doc])* pub $name: $view<'a>,)*
        }

        impl<'a> View<'a> {
            /// Columns per table, in the order in which tables cross the border.
            pub const SHAPE: &'static [usize] = &[$($view::COLUMNS),*];

            /// Hands over every column of every table: `sink(table, column)`.
            pub fn columns(&self, sink: &mut dyn FnMut(usize, Column<'a>)) {
                let mut table = 0;
                $(self.$name.columns(&mut |column| sink(table, column)); table += 1;)*
                let _ = table;
            }

            /// The view again from the columns of its tables; `None` if one does not match.
            pub fn gather(at: Time, epoch: u64, tables: &[&[Column<'a>]]) -> Option<Self> {
                let mut next = tables.iter();
                Some(View { at, epoch, $($name: $view::gather(next.next()?)?,)* })
            }
        }

        /// The owned tables behind a [`View`]: plain vectors that only the books write.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Tables {
            $($(#[$doc])* pub $name: $table,)*
        }

        impl Tables {
            /// Borrows every table.
            pub fn view(&self, at: Time, epoch: u64) -> View<'_> {
                View { at, epoch, $($name: self.$name.view(),)* }
            }

            /// Feeds every cell of every table into `sink`.
            pub fn cells(&self, sink: &mut dyn FnMut(u64)) {
                $(sink(self.$name.len() as u64); self.$name.cells(sink);)*
            }

            /// Stamps everything as changed in `epoch`.
            pub fn touch_all(&mut self, epoch: u64) {
                $(self.$name.touch_all(epoch);)*
            }
        }
    };
}

tables! {
    /// Kinds of things.
    resources: Resources, ResourceTable;
    /// Machines.
    nodes: Nodes, NodeTable;
    /// Supplies.
    pools: Pools, PoolTable;
    /// Who demands.
    scopes: Scopes, ScopeTable;
    /// Bounds of scopes.
    quotas: Quotas, QuotaTable;
    /// Demands.
    claims: Claims, ClaimTable;
    /// Lines of demands.
    lines: Lines, LineTable;
    /// Claims kept apart.
    occupants: Occupants, OccupantTable;
}

impl Pools<'_> {
    /// What can still be taken from a pool.
    #[inline]
    pub fn free(&self, pool: Row) -> Amount {
        self.free[pool as usize]
    }
}

impl Pools<'_> {
    /// Whether the rules of sharing let a claim of a class take so much: never more than there is, and guaranteed
    /// ones together no more than that.
    #[inline]
    pub fn certain(&self, pool: Row, amount: Amount, class: u32) -> bool {
        let firm = self.firm[pool as usize];
        firm == u64::MAX || amount <= self.capacity[pool as usize] && (class != 0 || firm >= amount)
    }
}

impl Claims<'_> {
    /// The rows of a claim's lines.
    pub fn line_rows(&self, claim: Row) -> std::ops::Range<Row> {
        let first = self.first_line[claim as usize];
        first..first + self.lines[claim as usize]
    }
}

impl ClaimTable {
    /// The rows of a claim's lines.
    pub fn line_rows(&self, claim: Row) -> std::ops::Range<Row> {
        let first = self.first_line[claim as usize];
        first..first + self.lines[claim as usize]
    }
}

impl PoolTable {
    /// What can still be taken from a pool.
    #[inline]
    pub fn free(&self, pool: Row) -> Amount {
        self.free[pool as usize]
    }
}

impl View<'_> {
    /// The first pool of `resource` on `node`, or [`NONE`]; follow `pools.next` from there.
    pub fn first_of_kind(&self, node: Row, resource: u32) -> Row {
        let mut pool = self.nodes.first_pool[node as usize];
        while pool != NONE && self.pools.resource[pool as usize] != resource {
            pool = self.pools.next_kind[pool as usize];
        }
        pool
    }

    /// The pools of `resource` on `node`, in order.
    pub fn pools_of(&self, node: Row, resource: u32) -> impl Iterator<Item = Row> {
        let next = self.pools.next;
        let first = self.first_of_kind(node, resource);
        std::iter::successors((first != NONE).then_some(first), move |&pool| {
            Some(next[pool as usize]).filter(|&row| row != NONE)
        })
    }
}
