//! Many clients on what is too little for them, while the daemon is killed and comes back: what they saw, by
//! one clock, is what the journal and the tokens say, or the daemon is wrong.
pub(crate) mod journal;

use crate::daemon::{Daemon, LONG};
use bursar_sim::{
    Random,
    history::{self, Kind, Op, Outcome},
};
use bursar_wire::{
    AskBody, ClaimAnswer, Client, Failure, FenceBody, LineBody, RenewBody, SettleBody, UsedBody,
};
use journal::Journal;
use serde::Serialize;
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

/// Clients, and the leases that each of them goes after.
const CLIENTS: u32 = 12;
const LEASES: usize = 40;
/// What there is: millicores, and one lock.
const CAPACITIES: [u64; 2] = [1000, 1];
const KINDS: [&str; 2] = ["cpu", "lock"];
/// What a lease lasts without renewal: whoever gives up does not stop the others for ever.
const TTL: Duration = Duration::from_secs(2);

/// An operation as its client saw it, and what is found again in the journal.
pub(crate) struct Seen {
    pub(crate) op: Op,
    /// The key of an ask; of anything else a number that no other one has.
    pub(crate) key: String,
    pub(crate) mark: u64,
    /// Sent more than once, so that the answer may be to a repetition.
    pub(crate) repeated: bool,
    /// Sent though it was answered before.
    pub(crate) again: bool,
}

/// What came of sending something until it was answered.
enum Heard<T> {
    Yes(T),
    No(String),
    /// The daemon broke off, and the client did not ask again.
    Nothing,
}

/// What all clients have in common.
struct Stage<'a> {
    socket: &'a Path,
    clock: Instant,
    done: AtomicUsize,
    /// Claims that were granted, for whoever wants to look: (claim, resource).
    granted: Mutex<Vec<(u64, u32)>>,
}

struct Actor<'a> {
    number: u32,
    random: Random,
    client: Client,
    stage: &'a Stage<'a>,
    marks: u64,
    seen: Vec<Seen>,
}

#[test]
fn what_clients_see_across_kills_is_what_the_journal_says() {
    let mut daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let socket = daemon.socket();
    let (done, granted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let stage = Stage { socket: &socket, clock: Instant::now(), done, granted };
    let seen: Vec<Seen> = thread::scope(|scope| {
        let actors: Vec<_> = (0..CLIENTS)
            .map(|number| Actor::new(number, &stage))
            .map(|actor| scope.spawn(|| actor.act()))
            .collect();
        for part in [1, 2] {
            let enough = CLIENTS as usize * LEASES * part / 3;
            daemon.eventually("they get on", || stage.done.load(Ordering::Relaxed) >= enough);
            daemon.kill();
            sleep(Duration::from_millis(50));
            daemon.start();
        }
        actors.into_iter().flat_map(|actor| actor.join().expect("a client")).collect()
    });
    daemon.stop();
    let journal = Journal::read(&daemon.state());
    let ops = journal.history(seen, TTL);
    if let Err(broken) = history::check(&CAPACITIES, &ops) {
        let claim = ops[broken.op].claim;
        let about: Vec<&Op> = ops.iter().filter(|op| claim != 0 && op.claim == claim).collect();
        panic!("{broken}\n{:?}\n{about:#?}\n{}", ops[broken.op], daemon.log());
    }
    let count = |is: fn(&&Op) -> bool| ops.iter().filter(is).count();
    let told = [
        count(|op| op.kind == Kind::Ask && op.outcome == Outcome::Done),
        count(|op| op.outcome == Outcome::Busy),
        count(|op| op.outcome == Outcome::Stale),
        count(|op| op.kind == Kind::Look && op.outcome != Outcome::Unknown),
        count(|op| op.t_return.is_none()),
    ];
    eprintln!("{} operations: granted, busy, stale, looks, unheard: {told:?}", ops.len());
    assert!(told[..4].iter().all(|count| *count > 20) && told[4] > 0, "too tame: {told:?}");
}

impl<'a> Actor<'a> {
    fn new(number: u32, stage: &'a Stage<'a>) -> Actor<'a> {
        let client = Client::new(stage.socket).patience(LONG);
        let random = Random::new(u64::from(number) + 1);
        Actor { number, random, client, stage, marks: 0, seen: Vec::new() }
    }

    fn act(mut self) -> Vec<Seen> {
        for _ in 0..LEASES {
            let resource = self.random.below(KINDS.len() as u64) as u32;
            if let Some((claim, fence)) = self.ask(resource) {
                self.use_up(claim, fence, resource);
            }
            self.stage.done.fetch_add(1, Ordering::Relaxed);
        }
        self.seen
    }

    /// Asks, and keeps asking with the same key while the daemon is away.
    fn ask(&mut self, resource: u32) -> Option<(u64, u64)> {
        let amount = if resource == 0 { 300 + self.random.below(700) } else { 1 };
        let wait = [None, Some("20ms"), Some("2s")][self.random.below(3) as usize].map(str::to_owned);
        let lock = resource == 1;
        let line = LineBody {
            resource: KINDS[resource as usize].into(),
            amount: amount.to_string(),
            pool: lock.then(|| "turn".into()),
            whole: lock,
            ..LineBody::default()
        };
        let ttl = Some(format!("{}s", TTL.as_secs()));
        let body = AskBody { wait, ttl, lines: vec![line], ..AskBody::default() };
        let (at, heard) = self.send(Kind::Ask, (0, 0, resource), "/v1/claims", |_| body);
        let seen = &mut self.seen[at].op;
        seen.amount = amount;
        match heard {
            Heard::Yes(ClaimAnswer { claim }) => {
                let fence = claim.fence.expect("a token");
                (seen.claim, seen.fence, seen.outcome) = (claim.id, fence, Outcome::Done);
                self.stage.granted.lock().expect("unpoisoned").push((claim.id, resource));
                Some((claim.id, fence))
            }
            Heard::No(reason) => {
                let full = ["InsufficientCapacity", "HeldByOther", "WaitExpired"].contains(&reason.as_str());
                assert!(full, "an ask was refused: {reason}");
                seen.outcome = Outcome::Busy;
                None
            }
            Heard::Nothing => None,
        }
    }

    /// What a holder does with its lease, to its end.
    fn use_up(&mut self, claim: u64, fence: u64, resource: u32) {
        sleep(Duration::from_micros(self.random.below(2000)));
        let (lease, path) = ((claim, fence, resource), format!("/v1/claims/{claim}"));
        if self.random.chance(1, 2) {
            self.verb(Kind::Renew, lease, &format!("{path}/renew"), |mark| RenewBody {
                fence: bursar_interface::Fence(fence),
                ttl: Some(format!("{}s {mark}us", TTL.as_secs())),
            });
        }
        if self.random.chance(1, 3) {
            self.verb(Kind::Settle, lease, &format!("{path}/settle"), |mark| SettleBody {
                fence: bursar_interface::Fence(fence),
                used: vec![UsedBody {
                    resource: KINDS[resource as usize].into(),
                    pool: None,
                    amount: mark.to_string(),
                }],
            });
        }
        self.look();
        let release = |fence: u64| move |_| FenceBody { fence: bursar_interface::Fence(fence) };
        if self.random.chance(1, 6) {
            let wrong = (claim, fence - 1, resource);
            let at = self.verb(Kind::Release, wrong, &format!("{path}/release"), release(fence - 1));
            self.seen[at].again = true;
        }
        let first = self.verb(Kind::Release, lease, &format!("{path}/release"), release(fence));
        // Of one that was not answered nobody knows which of the two it was that ended the lease.
        if self.random.chance(1, 6) && self.seen[first].op.t_return.is_some() {
            let at = self.verb(Kind::Release, lease, &format!("{path}/release"), release(fence));
            self.seen[at].again = true;
        }
    }

    fn verb<B: Serialize>(
        &mut self,
        kind: Kind,
        lease: (u64, u64, u32),
        path: &str,
        body: impl FnOnce(u64) -> B,
    ) -> usize {
        let (at, heard) = self.send(kind, lease, path, body);
        self.seen[at].op.outcome = match heard {
            Heard::Yes(_) => Outcome::Done,
            Heard::No(reason) => {
                assert!(["StaleFence", "LeaseExpired"].contains(&reason.as_str()), "{kind:?}: {reason}");
                Outcome::Stale
            }
            Heard::Nothing => Outcome::Unknown,
        };
        at
    }

    /// Looks at a lease that was granted lately, to whomever.
    fn look(&mut self) {
        let lately = {
            let granted = self.stage.granted.lock().expect("unpoisoned");
            let back = self.random.below(granted.len().min(10) as u64) as usize;
            granted[granted.len() - 1 - back]
        };
        let at = self.begin(Kind::Look, (lately.0, 0, lately.1));
        let path = format!("/v1/claims/{}", lately.0);
        let heard = self.insist(at, |client| client.get::<ClaimAnswer>(&path));
        if let Heard::Yes(ClaimAnswer { claim }) = heard {
            let gone = claim.phase == "closed";
            self.seen[at].op.outcome = if gone { Outcome::Gone } else { Outcome::Held };
        }
    }

    fn send<B: Serialize>(
        &mut self,
        kind: Kind,
        lease: (u64, u64, u32),
        path: &str,
        body: impl FnOnce(u64) -> B,
    ) -> (usize, Heard<ClaimAnswer>) {
        let at = self.begin(kind, lease);
        let (body, key) = (body(self.seen[at].mark), self.seen[at].key.clone());
        let key = (kind == Kind::Ask).then_some(key);
        let heard = self.insist(at, |client| client.send("POST", path, &body, key.as_deref()));
        (at, heard)
    }

    fn begin(&mut self, kind: Kind, (claim, fence, resource): (u64, u64, u32)) -> usize {
        self.marks += 1;
        let mark = u64::from(self.number) * 10_000 + self.marks;
        let op = Op {
            client: self.number,
            kind,
            resource,
            amount: 0,
            t_invoke: self.now(),
            t_return: None,
            outcome: Outcome::Unknown,
            claim,
            fence,
            asked: None,
            seq: None,
        };
        self.seen.push(Seen { op, key: mark.to_string(), mark, repeated: false, again: false });
        self.seen.len() - 1
    }

    fn now(&self) -> u64 {
        self.stage.clock.elapsed().as_nanos() as u64
    }

    /// Sends until there is an answer; one in three gives up when the daemon breaks off.
    fn insist<T>(&mut self, at: usize, mut send: impl FnMut(&mut Client) -> Result<T, Failure>) -> Heard<T> {
        let since = Instant::now();
        loop {
            let heard = match send(&mut self.client) {
                Ok(answer) => Heard::Yes(answer),
                Err(Failure::Refused(error)) => Heard::No(error.reason),
                Err(Failure::Broken { .. }) if self.random.chance(1, 3) => return Heard::Nothing,
                Err(failure) => {
                    assert!(since.elapsed() < LONG, "{failure}");
                    self.seen[at].repeated |= matches!(failure, Failure::Broken { .. });
                    sleep(Duration::from_millis(5));
                    continue;
                }
            };
            self.seen[at].op.t_return = Some(self.now());
            return heard;
        }
    }
}
