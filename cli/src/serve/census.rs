//! Who holds memory of this machine, as the books have it: what is looked at before anything is said about memory.
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Class, NONE, Offer, Phase, Process, Row, Time};

/// The kind.
pub const MEMORY: &str = "memory";

/// The pool of this machine.
#[derive(Clone, Debug)]
pub struct PoolSeen {
    /// Its name.
    pub name: String,
    /// What there is of it, in bytes.
    pub capacity: u64,
    /// What is promised of it, in bytes.
    pub promised: u64,
    /// The rule under which it is shared.
    pub offer: Option<Offer>,
}

/// An outermost lease that holds some of it.
#[derive(Clone, Debug)]
pub struct LeaseSeen {
    /// Which.
    pub claim: ClaimId,
    /// How firmly.
    pub class: Class,
    /// Larger goes first within the class.
    pub priority: u32,
    /// Since when.
    pub granted_at: Time,
    /// What it can never pass, in bytes.
    pub limit: u64,
    /// Where it wants to be slowed down.
    pub soft: Option<u64>,
    /// How far it is.
    pub phase: Phase,
    /// Its attached processes.
    pub bodies: Vec<Process>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// `None` on a machine without such a pool.
    pub pool: Option<PoolSeen>,
    /// By claim.
    pub leases: Vec<LeaseSeen>,
    /// What others give back is kept for somebody who waits.
    pub keeps: bool,
}

impl Census {
    /// Takes it, of the machine of this name.
    pub fn take(engine: &Engine, node: &str) -> Census {
        let (books, view) = (engine.books(), engine.view());
        let (Some(kind), Some(node)) = (books.resource(MEMORY), books.node(node)) else {
            return Census::default();
        };
        let pools = (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0);
        let row = pools.filter(|&p| view.pools.resource[p] == kind).find(|&p| view.pools.node[p] == node);
        let pool = row.map(|p| PoolSeen {
            name: books.pool_name(p as Row).to_owned(),
            capacity: view.pools.capacity[p],
            promised: view.pools.reserved[p] + view.pools.held[p] + view.pools.quarantined[p],
            offer: books.offer(p as Row).copied(),
        });
        let claims = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let outermost = claims.filter(|&row| books.parent_row(row).is_none());
        let leases = outermost.filter_map(|row| seen(engine, kind, node, row)).collect();
        Census { pool, leases, keeps: engine.has_promises() }
    }
}

/// A lease that holds memory of a machine; or that has processes there, whatever it holds.
fn seen(engine: &Engine, kind: Row, node: Row, row: Row) -> Option<LeaseSeen> {
    let (books, view, c) = (engine.books(), engine.view(), row as usize);
    let phase = books.phase(row);
    let here = view.claims.node[c] == node || view.claims.node[c] == NONE;
    if phase == Phase::Pending || !here {
        return None;
    }
    let of_kind = |line: &usize| view.lines.resource[*line] == kind && view.lines.pool[*line] != NONE;
    let lines = view.claims.line_rows(row).map(|line| line as usize).filter(of_kind);
    let limit = lines.map(|line| view.lines.amount[line]).sum();
    let claim = ClaimId(view.claims.id[c]);
    let bodies = engine.bodies(claim).to_vec();
    (limit > 0 || !bodies.is_empty()).then(|| LeaseSeen {
        claim,
        class: Class::of(view.claims.class[c]),
        priority: view.claims.priority[c],
        granted_at: Time(view.claims.granted_at[c]),
        limit,
        soft: engine.soft_limit(claim, kind).map(|soft| soft.min(limit)),
        phase,
        bodies,
    })
}
