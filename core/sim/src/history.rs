//! Checks what clients saw of a service that gives leases, in the order that its journal and its tokens say
//! they happened in: linearizability is hard only where the order is not known. O(n log n).
//!
//! A history is a list of operations, each as its client saw it by one monotonic clock, with the place in
//! the journal of the entry that decided it. What a client never heard of may be missing from the journal,
//! or may have happened at any time after it was sent; what was answered may not be missing. Checked is
//! that the journal's order agrees with the clock; that in this order every answer is what a plain model
//! of capacities, leases and tokens gives; that what was read was so at some point of its reading; and, by the
//! clients' clock and the tokens alone, whatever the journal says, that nothing was ever given twice.
mod claims;
mod replay;
mod tokens;

use claims::Claims;
use std::fmt;

/// What was asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A lease.
    Ask,
    /// More time for one.
    Renew,
    /// What was used of one.
    Settle,
    /// Its end.
    Release,
    /// Its end by the service itself; `t_invoke` is the earliest point at which that may be.
    Expire,
    /// How a claim stands.
    Look,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody knows: nothing was heard, and the journal says nothing or that it was given up.
    Unknown,
    /// Granted, renewed, settled, released, expired.
    Done,
    /// An ask came to nothing because not enough was free.
    Busy,
    /// A verb was refused: the token is not, or no longer, that of a lease.
    Stale,
    /// A look found the claim granted.
    Held,
    /// A look found its lease ended.
    Gone,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Whose.
    pub client: u32,
    /// What.
    pub kind: Kind,
    /// Index of the resource.
    pub resource: u32,
    /// How much, for an ask.
    pub amount: u64,
    /// When it was sent, in nanoseconds of one monotonic clock.
    pub t_invoke: u64,
    /// When the answer came, by the same clock; `None` if none ever did.
    pub t_return: Option<u64>,
    /// What came of it: as it was answered; without an answer, as the journal has it.
    pub outcome: Outcome,
    /// Which claim; 0 where there is none.
    pub claim: u64,
    /// Its token; 0 where there is none.
    pub fence: u64,
    /// Place in the journal of the entry that queued an ask; `None` if it was decided without queueing.
    pub asked: Option<u64>,
    /// Place in the journal of the entry that decided it; `None` if there is none. Looks and stale
    /// verbs change nothing and need none.
    pub seq: Option<u64>,
}

/// The law that a history breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Every line makes sense by itself.
    Form,
    /// What was answered is in the journal.
    Durable,
    /// One entry decides one operation.
    Entry,
    /// Who was answered before another one asked is before it in the journal.
    Order,
    /// Never more is given than there is, in the journal's order.
    Capacity,
    /// Never more is given than there is, in the order of tokens, by the clients' clock.
    Token,
    /// Tokens rise per resource, and no claim is granted twice.
    Fence,
    /// Only the holder of the token acts on a lease, and only while it lasts.
    Holder,
    /// Nobody is turned away while there is room and nobody waits.
    Busy,
    /// What is read was so at some point between question and answer.
    Read,
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which law.
    pub law: Law,
    /// Index of the operation at which it shows.
    pub op: usize,
    /// In words.
    pub why: String,
}

impl Broken {
    fn new(law: Law, op: usize, why: impl Into<String>) -> Broken {
        Broken { law, op, why: why.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: operation {}: {}", self.law, self.op, self.why)
    }
}
impl std::error::Error for Broken {}

/// Checks a history, in any order of lines, of resources with these capacities. At most 2³² operations.
///
/// # Errors
/// The first law that is found broken, and where.
pub fn check(capacities: &[u64], ops: &[Op]) -> Result<(), Broken> {
    ops.iter().enumerate().try_for_each(|(index, op)| form(capacities, index, op))?;
    let mut claims = Claims::of(ops)?;
    replay::check(capacities, ops, &mut claims)?;
    claims.check_reads(ops)?;
    tokens::check(capacities, ops, &claims)
}

fn form(capacities: &[u64], index: usize, op: &Op) -> Result<(), Broken> {
    use Kind::{Ask, Expire, Look};
    use Outcome::{Busy, Done, Gone, Held, Stale, Unknown};
    let form = |why: &str| Err(Broken::new(Law::Form, index, why));
    let Some(&capacity) = capacities.get(op.resource as usize) else {
        return form("there is no such resource");
    };
    if op.t_return.is_some_and(|returned| returned < op.t_invoke) {
        return form("it was answered before it was sent");
    }
    let sensible = match op.outcome {
        Unknown => true,
        Done => op.kind != Look && op.claim != 0 && op.fence != 0,
        Busy => op.kind == Ask,
        Stale => !matches!(op.kind, Ask | Look | Expire),
        Held | Gone => op.kind == Look && op.claim != 0,
    };
    if !sensible {
        return form("such an operation has no such outcome");
    }
    if op.asked.is_some() && (op.kind != Ask || op.seq.is_some_and(|seq| op.asked >= Some(seq))) {
        return form("an ask is queued before it is decided, and nothing else is queued");
    }
    if op.kind == Ask && op.outcome == Done && !(1..=capacity).contains(&op.amount) {
        return Err(Broken::new(Law::Capacity, index, "it was given nothing, or more than there is"));
    }
    if matches!(op.outcome, Done | Busy) && op.seq.is_none() {
        return Err(Broken::new(Law::Durable, index, "it was answered, and the journal does not have it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A granted ask of claim 1, 2, … with token 10 · claim, for all of a resource that one can have.
    fn granted(claim: u64, t_invoke: u64, t_return: Option<u64>, seq: u64) -> Op {
        let (client, kind, outcome, fence) = (claim as u32, Kind::Ask, Outcome::Done, 10 * claim);
        let (resource, amount, asked, seq) = (0, 1, None, Some(seq));
        Op { client, kind, resource, amount, t_invoke, t_return, outcome, claim, fence, asked, seq }
    }

    fn then(ask: &Op, kind: Kind, outcome: Outcome, times: (u64, u64), seq: Option<u64>) -> Op {
        Op { kind, outcome, t_invoke: times.0, t_return: Some(times.1), seq, ..*ask }
    }

    fn released(ask: &Op, times: (u64, u64), seq: u64) -> Op {
        then(ask, Kind::Release, Outcome::Done, times, Some(seq))
    }

    fn law(ops: &[Op]) -> Option<Law> {
        check(&[1], ops).err().map(|broken| broken.law)
    }

    #[test]
    fn one_after_the_other_is_lawful_and_each_broken_law_is_named() {
        let (first, second) = (granted(1, 0, Some(5), 1), granted(2, 12, Some(25), 3));
        let release = released(&first, (10, 20), 2);
        let lawful = [first, second, release];
        assert_eq!(law(&lawful), None);
        let with = |at: usize, change: fn(&mut Op)| {
            let mut ops = lawful;
            change(&mut ops[at]);
            law(&ops)
        };
        assert_eq!(with(2, |op| op.t_invoke = 30), Some(Law::Form));
        assert_eq!(with(1, |op| op.resource = 1), Some(Law::Form));
        assert_eq!(with(1, |op| op.asked = Some(9)), Some(Law::Form));
        assert_eq!(with(1, |op| op.amount = 2), Some(Law::Capacity));
        assert_eq!(with(2, |op| op.seq = None), Some(Law::Durable));
        assert_eq!(with(2, |op| op.seq = Some(1)), Some(Law::Entry));
        assert_eq!(with(2, |op| op.seq = Some(4)), Some(Law::Capacity));
        assert_eq!(with(2, |op| (op.t_invoke, op.t_return) = (26, Some(30))), Some(Law::Order));
        assert_eq!(with(2, |op| op.fence = 11), Some(Law::Holder));
        assert_eq!(with(2, |op| op.claim = 3), Some(Law::Holder));
        assert_eq!(with(1, |op| op.fence = 10), Some(Law::Fence));
        assert_eq!(with(1, |op| op.claim = 1), Some(Law::Fence));
        // What nobody heard of may have happened, or not.
        assert_eq!(with(2, |op| op.t_return = None), None);
        let mut lost = then(&second, Kind::Release, Outcome::Unknown, (30, 30), None);
        lost.t_return = None;
        assert_eq!(law(&[first, second, release, lost]), None);
    }

    #[test]
    fn nobody_is_turned_away_for_nothing() {
        let first = granted(1, 0, Some(5), 1);
        let busy = |seq| {
            let (claim, fence) = (0, 0);
            Op { claim, fence, ..then(&first, Kind::Ask, Outcome::Busy, (6, 40), Some(seq)) }
        };
        let release = released(&first, (10, 20), 3);
        assert_eq!(law(&[first, busy(2), release]), None);
        assert_eq!(law(&[first, busy(4), release]), Some(Law::Busy));
        // Unless somebody was there before.
        let waiting = Op { asked: Some(2), ..granted(2, 6, Some(60), 5) };
        assert_eq!(law(&[first, busy(4), release, waiting]), None);
    }

    #[test]
    fn what_is_read_was_so_while_it_was_read() {
        let first = granted(1, 10, Some(20), 1);
        let release = released(&first, (30, 40), 2);
        let look = |outcome, times| law(&[first, release, then(&first, Kind::Look, outcome, times, None)]);
        for (outcome, times, broken) in [
            (Outcome::Held, (1, 9), true),
            (Outcome::Held, (1, 10), false),
            (Outcome::Held, (40, 50), false),
            (Outcome::Held, (41, 50), true),
            (Outcome::Gone, (1, 29), true),
            (Outcome::Gone, (1, 30), false),
            (Outcome::Gone, (41, 50), false),
        ] {
            assert_eq!(look(outcome, times), broken.then_some(Law::Read), "{outcome:?} {times:?}");
        }
        // Once it was seen gone, nobody sees it again, though nobody heard of its end.
        let unheard = Op { t_return: None, ..release };
        let gone = then(&first, Kind::Look, Outcome::Gone, (31, 35), None);
        let held = then(&first, Kind::Look, Outcome::Held, (36, 38), None);
        assert_eq!(law(&[first, unheard, held]), None);
        assert_eq!(law(&[first, unheard, gone, held]), Some(Law::Read));
        // A refused token says the same as a look.
        let stale = then(&first, Kind::Renew, Outcome::Stale, (21, 29), None);
        assert_eq!(law(&[first, release, stale]), Some(Law::Read));
        assert_eq!(law(&[first, release, Op { fence: 9, ..stale }]), None);
    }

    #[test]
    fn tokens_and_clocks_are_enough_to_see_that_something_was_given_twice() {
        let (first, second) = (granted(1, 0, Some(5), 1), granted(2, 12, Some(25), 3));
        let tokens = |ops: &[Op]| {
            let claims = Claims::of(ops).expect("each claim once");
            tokens::check(&[1], ops, &claims).err().map(|broken| broken.law)
        };
        assert_eq!(tokens(&[first, second, released(&first, (25, 30), 2)]), None);
        assert_eq!(tokens(&[first, second, released(&first, (26, 30), 2)]), Some(Law::Token));
        assert_eq!(tokens(&[first, second]), Some(Law::Token));
        assert_eq!(tokens(&[first, Op { fence: 10, ..second }]), Some(Law::Token));
        assert_eq!(tokens(&[first, Op { t_return: None, ..second }, released(&first, (26, 30), 2)]), None);
    }
}
