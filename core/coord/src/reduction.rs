//! Who would wait forever: the wait-for graph is reduced, and who is left in it is in a deadlock or waits for
//! those who are.
//!
//! Leases of which nobody waits for more end by themselves. A claim that could be had if those gave back is
//! granted one day, and whoever asked for it goes on, so its leases end as well; and so on, until nothing
//! moves. (Holt, "Some deadlock properties of computer systems", 1972: the reduction of a general resource
//! graph; Coffman, Elphick and Shoshani, 1971, section 4.) A claim waits for all of its lines (AND), a line of
//! a kind that many hold for any of these (OR), and one of several sets of lines for either: what is enough is
//! for [`Held`] to say, and all that is asked of it is that more that came back is never less. For things of
//! which there is one each this is the search for a circle (Knapp, "Deadlock detection in distributed
//! databases", 1987, the AND model).
//!
//! A graph without a deadlock gets one only with a new claim, or when there is less to be had: so it is looked
//! at when a claim is asked for (as `deadlock.c` of PostgreSQL looks when a lock is waited for), before it stands
//! in line, and again when a supply shrank. The claim that would close a circle is the one that is refused,
//! and only that one: without it the graph is as it was.
use crate::WaitFor;
use bursar_interface::ClaimId;

/// What leases hold against those who wait.
pub trait Held {
    /// Whether a claim could be had one day if, of all leases, only those that `stay` (in order) never gave
    /// anything back.
    fn could_have(&self, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool;
    /// Whether this lease, one of those that `stay`, has some of what keeps a claim from being had.
    fn keeps(&self, lease: ClaimId, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool;
    /// Whether a lease ends though whoever holds it waits: it was told to, or drains.
    fn ends(&self, lease: ClaimId) -> bool;
}

/// How many edges may still be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    left: usize,
}

impl Looks {
    /// So many.
    pub fn new(most: usize) -> Looks {
        Looks { left: most }
    }

    /// So many were looked at.
    pub fn took(&mut self, edges: usize) {
        self.left = self.left.saturating_sub(edges);
    }

    /// Whether there are none left: what was found since is not to be trusted.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// What becomes of a claim if it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be had one day, or what keeps it from being had is no circle.
    Clear,
    /// Those for whom it waits would wait for it.
    Closes,
    /// There was too much to look at.
    Unknown,
}

/// No step before this one.
const START: u32 = u32::MAX;

/// A step of the search for a circle: a claim waits for what a lease holds.
#[derive(Clone, Copy, Debug)]
struct Step {
    claim: ClaimId,
    lease: ClaimId,
    before: u32,
}

/// The graph while it is reduced. Kept between reductions, so that its memory is.
#[derive(Clone, Debug, Default)]
pub struct Reduction {
    /// Claims that cannot be had so far.
    open: Vec<ClaimId>,
    /// Leases whose holders wait for some of these, in order, and for how many.
    stay: Vec<ClaimId>,
    waits: Vec<usize>,
    steps: Vec<Step>,
}

impl Reduction {
    /// Whether a claim that is in the graph closes a circle.
    pub fn closes(
        &mut self,
        graph: &WaitFor,
        claim: ClaimId,
        held: &impl Held,
        looks: &mut Looks,
    ) -> Verdict {
        if graph.held(claim).is_empty() {
            return Verdict::Clear;
        }
        if self.settles(graph, claim, held, looks) {
            return Verdict::Clear;
        }
        // What it waits for may not come though nobody waits for it: then it is not what closes a circle.
        self.begin(graph, Some(claim), held);
        self.reduce(graph, None, held, looks);
        let alone = held.could_have(claim, &self.stay, looks);
        if !looks.is_spent() && !alone {
            return Verdict::Clear;
        }
        let settles = self.settles(graph, claim, held, looks);
        match looks.is_spent() {
            true => Verdict::Unknown,
            false if settles => Verdict::Clear,
            false => Verdict::Closes,
        }
    }

    /// Whether a claim can be had one day. What cannot be had is left otherwise.
    fn settles(&mut self, graph: &WaitFor, claim: ClaimId, held: &impl Held, looks: &mut Looks) -> bool {
        self.begin(graph, None, held);
        self.reduce(graph, Some(claim), held, looks);
        self.open.binary_search(&claim).is_err()
    }

    /// Claims that can never be had, oldest first: those in a deadlock, and those who wait for them. `None` where
    /// there was too much to look at.
    pub fn stuck(&mut self, graph: &WaitFor, held: &impl Held, looks: &mut Looks) -> Option<&[ClaimId]> {
        self.begin(graph, None, held);
        self.reduce(graph, None, held, looks);
        (!looks.is_spent()).then_some(self.open.as_slice())
    }

    /// Whether `other`, in the graph or not, cannot be had while `claim` waits.
    pub fn holds_up(
        &mut self,
        graph: &WaitFor,
        claim: ClaimId,
        other: ClaimId,
        held: &impl Held,
        looks: &mut Looks,
    ) -> bool {
        self.begin(graph, None, held);
        // Whatever is there, it waits.
        self.open.retain(|&open| open != claim);
        self.reduce(graph, None, held, looks);
        looks.is_spent() || !held.could_have(other, &self.stay, looks)
    }

    /// All who wait wait, but for one, and their leases stay.
    fn begin(&mut self, graph: &WaitFor, but: Option<ClaimId>, held: &impl Held) {
        self.open.clear();
        self.open.extend(graph.claims().filter(|&claim| Some(claim) != but));
        self.stay.clear();
        self.waits.clear();
        for (lease, waits) in graph.leases() {
            let waits = waits - usize::from(but.is_some_and(|but| graph.held(but).contains(&lease)));
            if waits > 0 && !held.ends(lease) {
                self.stay.push(lease);
                self.waits.push(waits);
            }
        }
    }

    /// Grants what can be had, until nothing can, or the goal is.
    fn reduce(&mut self, graph: &WaitFor, goal: Option<ClaimId>, held: &impl Held, looks: &mut Looks) {
        // The goal first: what is looked for is mostly there.
        if let Some(goal) = goal
            && held.could_have(goal, &self.stay, looks)
        {
            return self.open.retain(|&open| open != goal);
        }
        let mut open = std::mem::take(&mut self.open);
        let mut moved = true;
        while std::mem::take(&mut moved) && !looks.is_spent() {
            open.retain(|&claim| {
                let had = held.could_have(claim, &self.stay, looks);
                if had {
                    moved = true;
                    graph.held(claim).iter().for_each(|&lease| self.goes_on(lease));
                }
                !had
            });
            moved &= goal.is_none_or(|goal| open.binary_search(&goal).is_ok());
        }
        self.open = open;
    }

    /// The holder of a lease waits for one claim less.
    fn goes_on(&mut self, lease: ClaimId) {
        let Ok(at) = self.stay.binary_search(&lease) else { return };
        self.waits[at] -= 1;
        if self.waits[at] == 0 {
            self.stay.remove(at);
            self.waits.remove(at);
        }
    }

    /// The leases that never come back, as the last reduction left it, in order.
    pub fn stay(&self) -> &[ClaimId] {
        &self.stay
    }

    /// The shortest circle that a claim closes, as [`Reduction::closes`] or [`Reduction::stuck`] left it: who
    /// waits for which lease, beginning with the claim and ending with a lease of its own asker. Nothing where
    /// there is none.
    pub fn circle(
        &mut self,
        graph: &WaitFor,
        claim: ClaimId,
        held: &impl Held,
        looks: &mut Looks,
    ) -> Vec<(ClaimId, ClaimId)> {
        self.steps.clear();
        self.step(claim, START, held, looks);
        let mut at = 0;
        while let Some(&Step { lease, .. }) = self.steps.get(at) {
            if graph.held(claim).contains(&lease) {
                return self.way(at);
            }
            for next in graph.asked(lease) {
                if self.open.binary_search(&next).is_ok() {
                    self.step(next, at as u32, held, looks);
                }
            }
            at += 1;
        }
        Vec::new()
    }

    /// Steps to those that keep a claim from being had, and were not stepped to before.
    fn step(&mut self, claim: ClaimId, before: u32, held: &impl Held, looks: &mut Looks) {
        for &lease in &self.stay {
            let known = self.steps.iter().any(|step| step.lease == lease);
            if !known && held.keeps(lease, claim, &self.stay, looks) {
                self.steps.push(Step { claim, lease, before });
            }
        }
    }

    fn way(&self, last: usize) -> Vec<(ClaimId, ClaimId)> {
        let before = |step: &Step| self.steps.get(step.before as usize).copied();
        let back = std::iter::successors(self.steps.get(last).copied(), before);
        let mut way: Vec<_> = back.map(|Step { claim, lease, .. }| (claim, lease)).collect();
        way.reverse();
        way
    }
}
