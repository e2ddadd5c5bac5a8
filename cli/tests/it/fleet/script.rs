//! What one agent of a fleet does, over either transport: it asks, haggles, waits, leaves, looks, renews, settles and
//! gives back, and writes down what it heard and when, for the checker of histories.
use super::Stage;
use crate::{
    agents::ByHand,
    daemon::{Daemon, LONG},
    history::Seen,
};
use bursar_sim::{
    Random,
    history::{Kind, Op, Outcome},
};
use bursar_wire::{Client, quantity};
use serde_json::{Value, json};
use std::{thread::sleep, time::Duration};

/// What a lease lasts without renewal, in seconds: whoever leaves in the middle does not stop the others for ever.
pub(super) const TTL_S: u64 = 3;
/// What there is: thousandths of a core, bytes, and one lock.
pub(super) const CAPACITIES: [u64; 3] = [4000, 1 << 30, 1];
const KINDS: [&str; 3] = ["cpu", "memory", "lock"];
/// Marks of one agent: all of them are less than a second in microseconds, for any agent of a thousand.
const MARKS_MAX: u64 = 1000;
/// How long one stands in line who then leaves.
const LEAVES_AFTER: Duration = Duration::from_millis(30);
/// Refusals after which an agent stops haggling, and waits.
const HAGGLES: u32 = 3;

/// How an agent speaks.
pub(super) enum Line {
    Http(Client),
    Stdio(Box<ByHand>),
}

impl Line {
    pub(super) fn http(daemon: &Daemon) -> Line {
        Line::Http(Client::new(&daemon.socket()).patience(LONG * 4))
    }

    pub(super) fn stdio(daemon: &Daemon) -> Line {
        Line::Stdio(Box::new(ByHand::start(daemon, &["--hold", "200ms", "--refusals", "1000000"])))
    }

    /// What a tool says; over HTTP the head says which revision of the protocol it is.
    pub(super) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        match self {
            Line::Http(client) => post(client, tool, arguments).expect("an answer"),
            Line::Stdio(hand) => hand.call(tool, arguments),
        }
    }
}

fn post(client: &mut Client, tool: &str, arguments: Value) -> Option<Value> {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments } });
    let headers = [("Accept", "application/json, text/event-stream"), ("MCP-Protocol-Version", "2025-11-25")];
    let answer = client.request("POST", "/mcp", Some(message.to_string().as_bytes()), &headers).ok()?;
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    Some(answer["result"]["structuredContent"].clone())
}

/// A lease as its holder knows it.
#[derive(Clone, Copy)]
struct Lease {
    claim: u64,
    fence: u64,
    resource: u32,
}

/// One agent.
pub(super) struct Agent<'a> {
    number: u32,
    random: Random,
    line: Line,
    stage: &'a Stage<'a>,
    marks: u64,
    seen: Vec<Seen>,
}

impl<'a> Agent<'a> {
    pub(super) fn new(number: u32, line: Line, stage: &'a Stage<'a>) -> Agent<'a> {
        Agent { number, random: Random::new(u64::from(number) + 1), line, stage, marks: 0, seen: Vec::new() }
    }

    /// So many leases, one after the other; what it saw.
    pub(super) fn act(mut self, leases: u64) -> Vec<Seen> {
        for _ in 0..leases {
            if self.random.chance(1, 12) {
                self.leave();
            }
            let lease = self.insist();
            self.use_up(lease);
        }
        self.seen
    }

    /// Negotiates until it has something: asks at once, takes what is offered or has two wishes, then waits in line.
    fn insist(&mut self) -> Lease {
        let resource = self.random.below(KINDS.len() as u64) as u32;
        let most = CAPACITIES[resource as usize];
        let mut amount = (most / 40 + self.random.below(most)).clamp(1, most);
        for _ in 0..HAGGLES {
            let (told, lease) = self.ask(resource, amount, None);
            if let Some(lease) = lease {
                return lease;
            }
            let offered = told["offers"][0]["lines"][0]["amount"].as_str();
            let offered = offered.and_then(|text| quantity(KINDS[resource as usize], text).ok());
            amount = offered.unwrap_or(amount).clamp(1, amount);
            if offered.is_none() {
                break;
            }
        }
        let wait = if self.random.chance(1, 4) { "40ms" } else { "10m" };
        if let (_, Some(lease)) = self.ask(resource, amount, Some(wait)) {
            return lease;
        }
        let (told, lease) = self.ask(resource, amount, Some("10m"));
        lease.unwrap_or_else(|| panic!("agent {} starves: {told}", self.number))
    }

    fn arguments(&mut self, resource: u32, amount: u64, wait: Option<&str>, key: &str) -> Value {
        let seat = u64::from(self.number) % self.stage.agents;
        let mut arguments = json!({ "scope": format!("team-{}/agent-{seat}", seat % 7),
            "ttl": format!("{TTL_S}s"), "key": key, "wait": wait });
        match resource {
            2 => arguments["locks"] = json!(["turn"]),
            _ => arguments[KINDS[resource as usize]] = written(resource, amount).into(),
        }
        if resource == 0 && amount > 1000 && self.random.chance(1, 3) {
            arguments["or"] = json!([format!("cpu={}m", amount / 2)]);
        }
        arguments
    }

    /// An ask with what came of it, through all the looks that it takes.
    fn ask(&mut self, resource: u32, amount: u64, wait: Option<&str>) -> (Value, Option<Lease>) {
        let at = self.begin(Kind::Ask, Lease { claim: 0, fence: 0, resource });
        let key = self.seen[at].key.clone();
        let arguments = self.arguments(resource, amount, wait, &key);
        let choice = arguments.get("or").is_some();
        let mut told = self.line.call("resource_allocate", arguments);
        // In line, whatever is offered instead: one asks on by the number. What was refused has none.
        while told["claim"].is_string()
            && ["QUEUED", "COUNTER_OFFER"].iter().any(|status| told["status"] == *status)
        {
            let place = told["position"].as_str().and_then(|place| place.parse::<u64>().ok());
            // It may have been granted since the daemon looked.
            assert!(place.is_none_or(|place| place <= self.stage.agents), "{told}");
            let look = json!({ "claim": told["claim"], "wait": "20s" });
            told = self.line.call("resource_monitor", look);
        }
        let returned = self.now();
        let op = &mut self.seen[at].op;
        (op.t_return, op.amount) = (Some(returned), amount);
        let number = |key: &str| told[key].as_str().and_then(|text| text.parse().ok());
        match told["status"].as_str() {
            Some("GRANTED" | "GRANTED_WITH_CAPS") => {
                let (claim, fence) = (number("claim").expect("a number"), number("fence").expect("a token"));
                op.amount = held(resource, &told);
                assert!(op.amount == amount || choice && op.amount == amount / 2, "{told}");
                (op.claim, op.fence, op.outcome) = (claim, fence, Outcome::Done);
                self.stage.granted.lock().expect("unpoisoned").push((claim, resource));
                (told, Some(Lease { claim, fence, resource }))
            }
            status => {
                let full = ["InsufficientCapacity", "HeldByOther", "Fragmented", "WaitExpired"];
                let reason = told["reason"].as_str().unwrap_or_default();
                assert!(status != Some("QUEUED") && full.contains(&reason), "{told}");
                (op.outcome, op.amount) = (Outcome::Busy, if choice { amount / 2 } else { amount });
                (told, None)
            }
        }
    }

    /// Stands in line on a connection of its own, and is gone before it hears anything.
    fn leave(&mut self) {
        let resource = self.random.below(2) as u32;
        let at = self.begin(Kind::Ask, Lease { claim: 0, fence: 0, resource });
        let (key, amount) = (self.seen[at].key.clone(), CAPACITIES[resource as usize]);
        let mut arguments = self.arguments(resource, amount, Some("10m"), &key);
        // Nobody would hear which of two it was granted.
        arguments.as_object_mut().expect("an object").remove("or");
        self.seen[at].op.amount = amount;
        let mut short = Client::new(self.stage.socket).patience(LEAVES_AFTER);
        if let Some(told) = post(&mut short, "resource_allocate", arguments) {
            // It was quick: then it is a lease like any other.
            let number = |key: &str| told[key].as_str().and_then(|text| text.parse().ok()).expect("a number");
            let (claim, fence) = (number("claim"), number("fence"));
            let returned = self.now();
            let op = &mut self.seen[at].op;
            op.amount = held(resource, &told);
            (op.t_return, op.claim, op.fence, op.outcome) = (Some(returned), claim, fence, Outcome::Done);
            self.use_up(Lease { claim, fence, resource });
        }
    }

    /// What a holder does with its lease, to its end.
    fn use_up(&mut self, lease: Lease) {
        sleep(Duration::from_micros(self.random.below(2000)));
        if self.random.chance(1, 3) {
            self.verb(Kind::Renew, lease);
        }
        if self.random.chance(1, 4) {
            self.verb(Kind::Settle, lease);
        }
        if self.random.chance(1, 3) {
            self.look();
        }
        if self.random.chance(1, 8) {
            let at = self.verb(Kind::Release, Lease { fence: lease.fence - 1, ..lease });
            self.seen[at].again = true;
        }
        self.verb(Kind::Release, lease);
        if self.random.chance(1, 8) {
            let at = self.verb(Kind::Release, lease);
            self.seen[at].again = true;
        }
    }

    fn verb(&mut self, kind: Kind, lease: Lease) -> usize {
        let at = self.begin(kind, lease);
        let (mark, resource) = (self.seen[at].mark, KINDS[lease.resource as usize]);
        let mut arguments = json!({ "claim": lease.claim.to_string(), "fence": lease.fence.to_string() });
        let tool = match kind {
            Kind::Renew => {
                arguments["ttl"] = format!("{TTL_S}s {mark}us").into();
                "resource_settle"
            }
            Kind::Settle => {
                let amount = if lease.resource == 0 { format!("{mark}m") } else { mark.to_string() };
                arguments["used"] = json!([{ "resource": resource, "amount": amount }]);
                "resource_settle"
            }
            _ => "resource_release",
        };
        let told = self.line.call(tool, arguments);
        let returned = self.now();
        let op = &mut self.seen[at].op;
        op.t_return = Some(returned);
        op.outcome = match (told["status"].as_str(), told["reason"].as_str()) {
            (Some("SETTLED" | "RELEASED"), _) => Outcome::Done,
            (_, Some("StaleFence" | "LeaseExpired")) => Outcome::Stale,
            _ => panic!("{kind:?}: {told}"),
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
        let at = self.begin(Kind::Look, Lease { claim: lately.0, fence: 0, resource: lately.1 });
        let told = self.line.call("resource_monitor", json!({ "claim": lately.0.to_string() }));
        let returned = self.now();
        let op = &mut self.seen[at].op;
        op.t_return = Some(returned);
        op.outcome = if told["status"] == "ENDED" { Outcome::Gone } else { Outcome::Held };
    }

    fn begin(&mut self, kind: Kind, lease: Lease) -> usize {
        self.marks += 1;
        assert!(self.marks < MARKS_MAX, "more marks than there are");
        let mark = u64::from(self.number) * MARKS_MAX + self.marks;
        let Lease { claim, fence, resource } = lease;
        let (client, amount, outcome, t_invoke) = (self.number, 0, Outcome::Unknown, self.now());
        let (t_return, asked, seq) = (None, None, None);
        let op = Op { client, kind, resource, amount, t_invoke, t_return, outcome, claim, fence, asked, seq };
        self.seen.push(Seen { op, key: mark.to_string(), mark, repeated: false, again: false });
        self.seen.len() - 1
    }

    fn now(&self) -> u64 {
        self.stage.clock.elapsed().as_nanos() as u64
    }
}

/// An amount as it is asked for.
fn written(resource: u32, amount: u64) -> String {
    if resource == 0 { format!("{amount}m") } else { amount.to_string() }
}

/// What is held by an answer; of a lock it is told in a word.
fn held(resource: u32, told: &Value) -> u64 {
    let amount = told["lines"][0]["amount"].as_str().expect("an amount");
    if resource == 2 { 1 } else { quantity(KINDS[resource as usize], amount).expect("an amount") }
}
