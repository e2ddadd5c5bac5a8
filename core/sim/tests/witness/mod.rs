//! Histories that a correct service could have shown: a plain service of leases, clients that send, wait, hear
//! and get lost, and a clock. And the ways in which a wrong one would have shown something else.
use bursar_sim::{
    Random,
    history::{Kind, Op, Outcome},
};
use std::collections::{BTreeSet, VecDeque};

/// Room between two places in the journal, and between two tokens, for what a mutation puts there.
const GAP: u64 = 16;
/// The client of what the service does itself.
const SERVICE: u32 = u32::MAX;

/// What there is of each resource.
pub(crate) const CAPACITIES: [u64; 3] = [1, 4, 1000];

/// Where a client is with what it does.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Idle,
    Sent(usize),
    Waiting,
    Decided(usize),
}

#[derive(Clone, Copy, Debug)]
struct Client {
    stage: Stage,
    /// The lease that it believes to have: (claim, fence, resource).
    lease: Option<(u64, u64, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    claim: u64,
    fence: u64,
    resource: u32,
    amount: u64,
    ends_at: u64,
    live: bool,
}

/// What was seen, and what there was room for when somebody was turned away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ops: Vec<Op>,
    /// By operation: what was free when it was decided.
    pub(crate) room: Vec<u64>,
}

struct World {
    random: Random,
    now: u64,
    place: u64,
    fence: u64,
    clients: Vec<Client>,
    /// By claim, from 1.
    leases: Vec<Lease>,
    /// Live ones by when they end.
    ending: BTreeSet<(u64, usize)>,
    used: [u64; 3],
    queues: [VecDeque<(usize, usize)>; 3],
    seen: Seen,
}

/// A history of so many operations by so many clients; the last of them may be under way.
pub(crate) fn history(seed: u64, ops: usize, clients: usize) -> Seen {
    let client = Client { stage: Stage::Idle, lease: None };
    let mut world = World {
        random: Random::new(seed),
        now: 1,
        place: GAP,
        fence: 1 << 20,
        clients: vec![client; clients],
        leases: Vec::new(),
        ending: BTreeSet::new(),
        used: [0; 3],
        queues: Default::default(),
        seen: Seen::default(),
    };
    while world.seen.ops.len() < ops {
        // Now and then nothing happens between two steps, so that points in time coincide.
        world.now += world.random.below(4);
        world.expire();
        let client = world.random.below(clients as u64) as usize;
        world.act(client);
    }
    world.seen
}

impl World {
    fn act(&mut self, client: usize) {
        match self.clients[client].stage {
            Stage::Idle => self.send(client),
            Stage::Sent(op) if self.random.chance(1, 50) => {
                // It never arrived.
                let _ = op;
                self.forget(client);
            }
            Stage::Sent(op) => self.take_effect(client, op),
            Stage::Waiting => self.give_up(client),
            Stage::Decided(_) if self.random.chance(1, 30) => self.forget(client),
            Stage::Decided(op) => self.hear(client, op),
        }
    }

    fn forget(&mut self, client: usize) {
        self.clients[client] = Client { stage: Stage::Idle, lease: None };
    }

    fn next_place(&mut self) -> u64 {
        self.place += GAP;
        self.place
    }

    fn push(&mut self, client: u32, kind: Kind, (claim, fence, resource): (u64, u64, u32)) -> usize {
        let outcome = Outcome::Unknown;
        let (amount, t_return, asked, seq) = (0, None, None, None);
        let t_invoke = self.now;
        self.seen.ops.push(Op {
            client,
            kind,
            resource,
            amount,
            t_invoke,
            t_return,
            outcome,
            claim,
            fence,
            asked,
            seq,
        });
        self.seen.room.push(u64::MAX);
        self.seen.ops.len() - 1
    }

    fn send(&mut self, client: usize) {
        let any = self.leases.len() as u64;
        let op = match (self.clients[client].lease, self.random.below(12)) {
            (_, 0) if any > 0 => {
                let lease = self.leases[self.random.below(any) as usize];
                self.push(client as u32, Kind::Look, (lease.claim, 0, lease.resource))
            }
            (Some(lease), 1..=2) => self.push(client as u32, Kind::Renew, lease),
            (Some(lease), 3) => self.push(client as u32, Kind::Settle, lease),
            // Somebody who has it wrong.
            (Some((claim, fence, resource)), 4) => {
                self.push(client as u32, Kind::Release, (claim, fence - 1, resource))
            }
            (Some(lease), _) => self.push(client as u32, Kind::Release, lease),
            (None, _) => {
                let resource = self.random.below(CAPACITIES.len() as u64) as u32;
                let op = self.push(client as u32, Kind::Ask, (0, 0, resource));
                self.seen.ops[op].amount = 1 + self.random.below(CAPACITIES[resource as usize]);
                op
            }
        };
        self.clients[client].stage = Stage::Sent(op);
    }

    fn take_effect(&mut self, client: usize, op: usize) {
        let Op { kind, claim, fence, resource, amount, .. } = self.seen.ops[op];
        let r = resource as usize;
        self.clients[client].stage = Stage::Decided(op);
        let held = (claim as usize).checked_sub(1).filter(|&lease| self.leases[lease].live);
        let outcome = match kind {
            Kind::Ask => {
                let room = CAPACITIES[r] - self.used[r];
                if self.queues[r].is_empty() && amount <= room {
                    return self.grant(op);
                }
                let waits = self.random.chance(2, 3);
                if waits || self.random.chance(1, 2) {
                    self.seen.ops[op].asked = Some(self.next_place());
                }
                if waits {
                    self.queues[r].push_back((client, op));
                    self.clients[client].stage = Stage::Waiting;
                    return;
                }
                self.seen.room[op] = room;
                Outcome::Busy
            }
            Kind::Look if held.is_some() => Outcome::Held,
            Kind::Look => Outcome::Gone,
            _ if held.is_none_or(|lease| self.leases[lease].fence != fence) => Outcome::Stale,
            _ => Outcome::Done,
        };
        self.seen.ops[op].outcome = outcome;
        if matches!(outcome, Outcome::Done | Outcome::Busy) {
            self.seen.ops[op].seq = Some(self.next_place());
        }
        if let (Kind::Release, Outcome::Done, Some(lease)) = (kind, outcome, held) {
            self.end(lease);
        }
    }

    fn grant(&mut self, op: usize) {
        let claim = self.leases.len() as u64 + 1;
        self.fence += GAP;
        let Op { resource, amount, .. } = self.seen.ops[op];
        self.used[resource as usize] += amount;
        let ends_at = self.now + 300 + self.random.below(300);
        self.ending.insert((ends_at, self.leases.len()));
        self.leases.push(Lease { claim, fence: self.fence, resource, amount, ends_at, live: true });
        let seq = Some(self.next_place());
        let told = &mut self.seen.ops[op];
        (told.claim, told.fence, told.seq, told.outcome) = (claim, self.fence, seq, Outcome::Done);
    }

    fn end(&mut self, lease: usize) {
        let Lease { resource, amount, ends_at, .. } = self.leases[lease];
        self.ending.remove(&(ends_at, lease));
        self.leases[lease].live = false;
        self.used[resource as usize] -= amount;
        self.serve(resource as usize);
    }

    /// Who waits is served in order of asking.
    fn serve(&mut self, resource: usize) {
        while let Some(&(client, op)) = self.queues[resource].front() {
            if self.used[resource] + self.seen.ops[op].amount > CAPACITIES[resource] {
                return;
            }
            self.queues[resource].pop_front();
            self.grant(op);
            self.clients[client].stage = Stage::Decided(op);
        }
    }

    fn give_up(&mut self, client: usize) {
        let patient = !self.random.chance(1, 15);
        let found = self.queues.iter().enumerate().find_map(|(resource, queue)| {
            queue.iter().position(|(waiting, _)| *waiting == client).map(|place| (resource, place))
        });
        let Some((resource, place)) = found.filter(|_| !patient) else { return };
        let Some((_, op)) = self.queues[resource].remove(place) else { return };
        // It leaves, or the service has waited long enough with it.
        let left = self.random.chance(1, 3);
        self.seen.ops[op].seq = Some(self.next_place());
        self.seen.ops[op].outcome = if left { Outcome::Unknown } else { Outcome::Busy };
        self.seen.room[op] = CAPACITIES[resource] - self.used[resource];
        if left {
            self.forget(client);
        } else {
            self.clients[client].stage = Stage::Decided(op);
        }
        self.serve(resource);
    }

    fn hear(&mut self, client: usize, op: usize) {
        let told = &mut self.seen.ops[op];
        told.t_return = Some(self.now);
        let lease = match (told.kind, told.outcome) {
            (Kind::Ask, Outcome::Done) => Some((told.claim, told.fence, told.resource)),
            // Now and then it does not take no, or yes, for an answer.
            (Kind::Release, Outcome::Done) if !self.random.chance(1, 8) => None,
            (Kind::Look, _) => self.clients[client].lease,
            (_, Outcome::Stale) if self.random.chance(1, 2) => None,
            _ => self.clients[client].lease,
        };
        self.clients[client] = Client { stage: Stage::Idle, lease };
    }

    fn expire(&mut self) {
        let Some(&(ends_at, over)) = self.ending.first() else { return };
        if ends_at > self.now || self.random.chance(1, 2) {
            return;
        }
        let Lease { claim, fence, resource, .. } = self.leases[over];
        let op = self.push(SERVICE, Kind::Expire, (claim, fence, resource));
        let seq = Some(self.next_place());
        let told = &mut self.seen.ops[op];
        (told.t_invoke, told.seq, told.outcome) = (ends_at, seq, Outcome::Done);
        self.end(over);
    }
}

/// A way of being wrong; `None` where a history has no place for it.
pub(crate) type Wrong = fn(&Seen, &mut Random) -> Option<Vec<Op>>;

/// Every way, by name.
pub(crate) const WRONGS: [(&str, Wrong); 10] = [
    ("double grant", double_grant),
    ("lost release", lost_release),
    ("forgotten release", forgotten_release),
    ("token reuse", token_reuse),
    ("stale read of a lease", stale_held),
    ("stale read of an end", stale_gone),
    ("reordered ack", reordered_ack),
    ("resurrected lease", resurrected),
    ("released twice", released_twice),
    ("turned away for nothing", turned_away),
];

fn one(random: &mut Random, ops: &[Op], is: impl Fn(usize, &Op) -> bool) -> Option<usize> {
    let all: Vec<usize> = (0..ops.len()).filter(|&index| is(index, &ops[index])).collect();
    (!all.is_empty()).then(|| *random.pick(&all))
}

fn answered(op: &Op, kind: Kind, outcome: Outcome) -> bool {
    op.kind == kind && op.outcome == outcome && op.t_return.is_some()
}

fn last_claim(ops: &[Op]) -> u64 {
    ops.iter().map(|op| op.claim).max().unwrap_or(0)
}

/// Who was turned away for want of room gets it nevertheless, with a token of its own.
fn double_grant(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |index, op| {
        op.t_return.is_some() && op.outcome == Outcome::Busy && op.amount > seen.room[index]
    })?;
    let before =
        ops.iter().filter(|op| op.kind == Kind::Ask && op.outcome == Outcome::Done && op.seq < ops[at].seq);
    let fence = before.map(|op| op.fence).max()? + 1;
    let claim = last_claim(&ops) + 1;
    (ops[at].outcome, ops[at].claim, ops[at].fence) = (Outcome::Done, claim, fence);
    Some(ops)
}

/// A release is answered and not in the journal.
fn lost_release(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |_, op| answered(op, Kind::Release, Outcome::Done))?;
    ops[at].seq = None;
    Some(ops)
}

/// Nobody ever released what somebody else has now.
fn forgotten_release(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let last =
        ops.iter().filter(|op| op.resource == 0 && op.kind == Kind::Ask && op.outcome == Outcome::Done);
    let last = last.map(|op| op.seq).max()?;
    let at = one(random, &ops, |_, op| {
        answered(op, Kind::Release, Outcome::Done) && op.resource == 0 && op.seq < last
    })?;
    let claim = ops[at].claim;
    ops.retain(|op| op.claim != claim || op.kind == Kind::Ask);
    Some(ops)
}

/// Two leases of a resource have the same token.
fn token_reuse(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let first = one(random, &ops, |_, op| answered(op, Kind::Ask, Outcome::Done))?;
    let Op { resource, fence, seq, .. } = ops[first];
    let second = one(random, &ops, |_, op| {
        answered(op, Kind::Ask, Outcome::Done) && op.resource == resource && op.seq > seq
    })?;
    let old = ops[second].fence;
    ops.iter_mut().filter(|op| op.fence == old).for_each(|op| op.fence = fence);
    Some(ops)
}

fn look(like: &Op, at: u64, outcome: Outcome) -> Op {
    let (client, kind, t_return) = (SERVICE - 1, Kind::Look, Some(at));
    Op { client, kind, t_invoke: at, t_return, outcome, asked: None, seq: None, ..*like }
}

/// A lease is seen after its end was answered.
fn stale_held(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |_, op| answered(op, Kind::Release, Outcome::Done))?;
    let late = ops[at].t_return? + 1 + random.below(50);
    ops.push(look(&ops[at].clone(), late, Outcome::Held));
    Some(ops)
}

/// An end is seen while the lease lasts.
fn stale_gone(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |_, op| answered(op, Kind::Ask, Outcome::Done))?;
    let (claim, from) = (ops[at].claim, ops[at].t_return?);
    let until = ops.iter().filter(|op| op.claim == claim && matches!(op.kind, Kind::Release | Kind::Expire));
    let until = until.map(|op| op.t_invoke).min().unwrap_or(u64::MAX);
    (from < until).then(|| {
        let early = look(&ops[at].clone(), from, Outcome::Gone);
        ops.push(early);
        ops
    })
}

/// The journal has two operations the other way round than the clock.
fn reordered_ack(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let first = one(random, &ops, |_, op| op.seq.is_some() && op.t_return.is_some())?;
    let returned = ops[first].t_return?;
    let second = one(random, &ops, |_, op| op.seq.is_some() && op.t_invoke > returned)?;
    (ops[first].seq, ops[second].seq) = (ops[second].seq, ops[first].seq);
    Some(ops)
}

/// After its end a lease is renewed.
fn resurrected(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    again(seen, random, Kind::Renew)
}

fn released_twice(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    again(seen, random, Kind::Release)
}

fn again(seen: &Seen, random: &mut Random, kind: Kind) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |_, op| {
        matches!(op.kind, Kind::Release | Kind::Expire) && op.outcome == Outcome::Done
    })?;
    let now = ops[at].t_return.unwrap_or(ops[at].t_invoke) + 1;
    let seq = ops[at].seq.map(|seq| seq + 1 + random.below(GAP - 1));
    ops.push(Op { client: SERVICE - 1, kind, t_invoke: now, t_return: Some(now + 9), seq, ..ops[at] });
    Some(ops)
}

/// Somebody was turned away while all of a resource was free, after everything else.
fn turned_away(seen: &Seen, random: &mut Random) -> Option<Vec<Op>> {
    let mut ops = seen.ops.clone();
    let at = one(random, &ops, |index, op| {
        op.t_return.is_some() && op.outcome == Outcome::Busy && seen.room[index] > 0 && op.asked.is_none()
    })?;
    let waits = ops.iter().any(|op| {
        op.kind == Kind::Ask
            && op.resource == ops[at].resource
            && op.asked.is_some_and(|asked| Some(asked) < ops[at].seq)
            && op.seq.is_none_or(|seq| Some(seq) > ops[at].seq)
    });
    (!waits).then(|| {
        ops[at].amount = seen.room[at];
        ops
    })
}
