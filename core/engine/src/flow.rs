//! Lines of what is spent and comes back by itself: of which pools they can be had first, and when. No line is spent of
//! two pools, so of several pools of a kind each is looked at by itself, and lines of one pool together.
use crate::{Engine, round::Offer, sticky::Seats};
use bursar_interface::{Amount, ClaimId, NONE, Row, Time};
use std::ops::Range;

/// What lines are to be spent of one pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// The first of the lines.
    pub(crate) line: Row,
    /// [`NONE`] where there is no such pool.
    pub(crate) pool: Row,
    /// All of them together.
    pub(crate) asked: Amount,
    /// When so much is there, now or by what comes back by itself; `None` where that cannot be told.
    pub(crate) ready: Option<Time>,
}

impl Engine {
    /// Of which pools those of the lines that are spent can be had first, by pool: lines that name theirs go before those
    /// that do not.
    pub(crate) fn flow(&self, lines: impl Iterator<Item = Row> + Clone) -> Vec<Flow> {
        let table = &self.books.tables().lines;
        let mut flows: Vec<Flow> = Vec::new();
        for named in [true, false] {
            for line in lines.clone().filter(|&line| self.is_spent(line)) {
                let (want, amount) = (table.want[line as usize], table.amount[line as usize]);
                if (want != NONE) != named {
                    continue;
                }
                let sum = |pool: Row| {
                    let known = flows.iter().find(|flow| flow.pool == pool);
                    known.map_or(amount, |flow| flow.asked.saturating_add(amount))
                };
                let ready = |pool: Row| (self.books.pool_ready(pool, sum(pool)).unwrap_or(Time::NEVER), pool);
                let first = self.pools_of(line).map(ready).min();
                let (at, pool) = first.unwrap_or((Time::NEVER, NONE));
                let (asked, ready) = (sum(pool), Some(at).filter(|&at| at != Time::NEVER));
                match flows.iter_mut().find(|flow| flow.pool == pool) {
                    Some(flow) => (flow.asked, flow.ready) = (asked, ready),
                    None => flows.push(Flow { line, pool, asked, ready }),
                }
            }
        }
        flows
    }

    /// The pools that a line may be spent of.
    fn pools_of(&self, line: Row) -> impl Iterator<Item = Row> + '_ {
        let (lines, l) = (&self.books.tables().lines, line as usize);
        self.books.spent_from(lines.resource[l], lines.want[l], lines.models[l])
    }

    /// When there is enough in the buckets that lines are to be spent from, and from which; `None` for never.
    pub(crate) fn flows(&self, lines: &[Row]) -> Option<(Time, Seats)> {
        let flows = self.flow(lines.iter().copied());
        let start = flows.iter().map(|flow| flow.ready).try_fold(self.books.at(), |a, b| Some(a.max(b?)))?;
        Some((start, flows.iter().map(|flow| (flow.pool, flow.asked)).collect()))
    }

    /// When lines are worth another try by what comes back by itself, though nothing else happens: when all of them can
    /// be had, or where they can and were not, or never can, when one of them can be had of another pool.
    pub(crate) fn flow_due(&self, lines: impl Iterator<Item = Row> + Clone) -> Option<Time> {
        let (now, amounts) = (self.books.at(), &self.books.tables().lines.amount);
        let flows = self.flow(lines.clone());
        let all = flows.iter().map(|flow| flow.ready).try_fold(now, |a, b| Some(a.max(b?)));
        all.filter(|&all| all > now).or_else(|| {
            let spent = lines.filter(|&line| self.is_spent(line));
            let each = spent.flat_map(|line| {
                let ready = move |pool| self.books.pool_ready(pool, amounts[line as usize]);
                self.pools_of(line).filter_map(ready)
            });
            each.filter(|&ready| ready > now).min()
        })
    }

    /// As [`Engine::flow_due`], of the lines of one kind.
    pub(crate) fn kind_due(&self, lines: impl Iterator<Item = Row> + Clone, resource: Row) -> Option<Time> {
        let kinds = &self.books.tables().lines.resource;
        self.flow_due(lines.filter(|&line| kinds[line as usize] == resource))
    }

    /// When whoever was tried and lacks nothing is worth another try, with its gang or by any of its sets of lines.
    pub(crate) fn try_due(&self, offer: &Offer) -> Option<Time> {
        match self.gang(offer.claim) {
            Some(gang) => self.flow_due(self.lines_of(&gang)),
            None => {
                let sets = (0..self.books.sets(offer.row)).map(|set| self.books.set_rows(offer.row, set));
                sets.filter_map(|lines| self.flow_due(lines)).min()
            }
        }
    }

    /// The lines of a whole gang.
    pub(crate) fn lines_of<'a>(&'a self, gang: &'a [Offer]) -> impl Iterator<Item = Row> + Clone + 'a {
        gang.iter().flat_map(|offer| self.books.tables().claims.line_rows(offer.row))
    }

    /// When a waiting claim will be short no more, with these of its lines (and with its gang), of a kind that is spent,
    /// by what comes back by itself; `None` where somebody holds it.
    pub fn flows_back(&self, claim: ClaimId, lines: Range<Row>, resource: Row) -> Option<Time> {
        let row = self.books.claim(claim)?;
        let ledger = |quota, asked| self.books.quota_ready(row, quota, asked);
        self.last_of(claim, lines, resource, |flow| flow.ready, ledger)
    }

    /// When the first periods end, not before `at`, of all budgets of a kind that a waiting claim is short of with these
    /// of its lines; `None` where one of them has none.
    pub fn periods_end(&self, claim: ClaimId, lines: Range<Row>, resource: Row, at: Time) -> Option<Time> {
        let pool = |flow: &Flow| self.books.pool_renewed(Some(flow.pool).filter(|&pool| pool != NONE)?, at);
        self.last_of(claim, lines, resource, pool, |quota, _| self.books.quota_renewed(quota, at))
    }

    /// The last of such moments, of all pools and ledgers of a kind that a claim is short of.
    fn last_of(
        &self,
        claim: ClaimId,
        lines: Range<Row>,
        resource: Row,
        of_pool: impl Fn(&Flow) -> Option<Time>,
        of_ledger: impl Fn(Row, Amount) -> Option<Time>,
    ) -> Option<Time> {
        let (row, tables, now) = (self.books.claim(claim)?, self.books.tables(), self.books.at());
        let gang = self.gang(claim);
        let rows: Vec<Row> = match &gang {
            Some(gang) => self.lines_of(gang).collect(),
            None => lines.collect(),
        };
        let of_kind = rows.into_iter().filter(|&line| tables.lines.resource[line as usize] == resource);
        let asked = of_kind.clone().map(|line| tables.lines.amount[line as usize]).sum();
        let scope = tables.claims.scope[row as usize];
        let short = self.books.bounds_any(resource).then(|| self.books.ledgers_short(scope, resource, asked));
        let ledgers = short.into_iter().flatten().map(|(quota, _)| of_ledger(quota, asked));
        let flows = self.flow(of_kind);
        let pools = flows.iter().filter(|flow| flow.ready != Some(now)).map(of_pool);
        pools.chain(ledgers).reduce(|a, b| Some(a?.max(b?)))?
    }
}
