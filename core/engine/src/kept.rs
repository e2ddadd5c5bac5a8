//! What is remembered of claims that are gone: for late askers, and so that a repeated ask gets its
//! first answer. Bounded by number and by time.
use bursar_interface::{
    Amount, Ask, ClaimId, Ending, Fence, Link, PoolId, Reason, Time,
    bound::{KEPT_MAX, KEPT_NS},
};
use bursar_pool::{Digest, Spread};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::BuildHasherDefault,
    sync::Arc,
};

/// One line of a claim that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLine {
    /// Row of the kind.
    pub resource: u32,
    /// How much was asked.
    pub amount: Amount,
    /// What was used, if it was settled.
    pub used: Option<Amount>,
}

/// What a claim that never got anything was short of in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacked {
    /// Row of the kind.
    pub resource: u32,
    /// The pool, where the claim named one; 0 otherwise.
    pub pool: PoolId,
}

/// A claim that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub claim: ClaimId,
    /// Its last token; 0 if it was never granted.
    pub fence: Fence,
    /// Path of its scope.
    pub scope: Arc<str>,
    /// Its class as a number.
    pub class: u32,
    /// Its priority.
    pub priority: u32,
    /// Why it went.
    pub ending: Ending,
    /// Why it was waiting, if it never got anything.
    pub reason: Option<Reason>,
    /// When what it waited for would have come back by itself; [`Time`] 0 where that cannot be told.
    pub retry_at: Time,
    /// When it was asked.
    pub asked_at: Time,
    /// When it went.
    pub closed_at: Time,
    /// What for.
    pub lines: Vec<ClosedLine>,
    /// Which set of lines it was granted by, where it had a choice.
    pub alternative: Option<u32>,
    /// The claim that it drew from.
    pub within: Option<ClaimId>,
    /// Who would have waited for whom, if it was refused for that.
    pub circle: Vec<Link>,
    /// What it was short of when its time to wait was over.
    pub lacked: Option<Lacked>,
}

/// Closed claims in the order in which they went, and the keys of all claims.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    closed: VecDeque<Closed>,
    /// How many were forgotten: the number of the first of `closed` among all that ever went.
    forgotten: u64,
    /// Numbers of those that are remembered.
    numbers: HashMap<ClaimId, u64, BuildHasherDefault<Spread>>,
    /// By principal's root and key: the claim, and the fingerprint of what was asked for.
    keys: BTreeMap<(String, String), (ClaimId, u64)>,
    keyed: BTreeMap<ClaimId, (String, String)>,
    /// Circles of claims that are about to be gone for them.
    circles: BTreeMap<ClaimId, Vec<Link>>,
}

/// Tells asks apart by what they ask for, of whom and where; how long and how urgently may change from one try to
/// the next.
pub(crate) fn fingerprint(ask: &Ask) -> u64 {
    let mut digest = Digest::default();
    digest.text(&ask.scope);
    digest.word(ask.class as u64);
    for lines in std::iter::once(&ask.lines).chain(&ask.alternatives) {
        digest.word(lines.len() as u64);
        for line in lines {
            digest.text(&line.resource);
            digest.text(line.pool.as_deref().unwrap_or_default());
            digest.word(line.amount);
            digest.word(u64::from(line.whole));
        }
    }
    for terms in [&ask.need, &ask.bar] {
        digest.word(terms.len() as u64);
        terms.iter().for_each(|term| digest.text(term));
    }
    digest.finish()
}

impl Kept {
    /// The claim that was asked for with this key by this principal, and [`fingerprint`] of that ask.
    pub(crate) fn by_key(&self, root: &str, key: &str) -> Option<(ClaimId, u64)> {
        self.keys.get(&(root.to_owned(), key.to_owned())).copied()
    }

    /// Remembers the key of a claim, and what was asked for with it.
    pub(crate) fn key(&mut self, root: &str, key: &str, claim: ClaimId, asked: u64) {
        let key = (root.to_owned(), key.to_owned());
        self.keys.insert(key.clone(), (claim, asked));
        self.keyed.insert(claim, key);
    }

    /// Remembers the circle that a claim would have closed.
    pub(crate) fn circle(&mut self, claim: ClaimId, circle: Vec<Link>) {
        self.circles.insert(claim, circle);
    }

    /// Remembers a claim that is gone with its lines, and forgets what is over the bounds. What is
    /// forgotten gives its memory to what is remembered.
    pub(crate) fn close(&mut self, closed: Closed, lines: impl Iterator<Item = ClosedLine>) {
        let mut spare = self.forget(closed.closed_at);
        spare.clear();
        spare.extend(lines);
        self.numbers.insert(closed.claim, self.forgotten + self.closed.len() as u64);
        let circle = self.circles.remove(&closed.claim).unwrap_or_default();
        self.closed.push_back(Closed { lines: spare, circle, ..closed });
    }

    /// Makes room for one more; returns the lines of the last one that had to go.
    fn forget(&mut self, now: Time) -> Vec<ClosedLine> {
        let mut spare = Vec::new();
        while self.closed.len() >= KEPT_MAX
            || self.closed.front().is_some_and(|old| old.closed_at.after(KEPT_NS) <= now)
        {
            let Some(old) = self.closed.pop_front() else { break };
            self.forgotten += 1;
            self.numbers.remove(&old.claim);
            if let Some(key) = self.keyed.remove(&old.claim) {
                self.keys.remove(&key);
            }
            spare = old.lines;
        }
        spare
    }

    /// A claim that is gone and still remembered.
    pub(crate) fn find(&self, claim: ClaimId) -> Option<&Closed> {
        let number = self.numbers.get(&claim)?;
        self.closed.get((number - self.forgotten) as usize)
    }

    /// All that are remembered, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Closed> {
        self.closed.iter()
    }

    /// Adds everything remembered to a digest.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        for closed in &self.closed {
            let words = [
                closed.claim.0,
                closed.fence.0,
                closed.ending as u64,
                closed.closed_at.0,
                closed.lines.len() as u64,
            ];
            words.into_iter().for_each(|word| digest.word(word));
            closed.circle.iter().for_each(|link| digest.word(link.lease.0));
            closed.lines.iter().for_each(|line| digest.word(line.used.unwrap_or(Amount::MAX)));
        }
        for ((root, key), (claim, asked)) in &self.keys {
            digest.text(root);
            digest.text(key);
            digest.word(claim.0);
            digest.word(*asked);
        }
    }
}
