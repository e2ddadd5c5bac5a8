//! A hundred agents negotiate over a machine that has room for a few, by the tools that they see: nobody gets
//! what somebody else has, nobody starves, and the daemon's memory stays as it is. What the agents saw, by one
//! clock, is checked against the journal and the tokens.
use crate::daemon::{Daemon, LONG};
use bursar_interface::What;
use bursar_journal::Follower;
use bursar_sim::history::{self, Kind, Op, Outcome};
use bursar_wire::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const AGENTS: u64 = 100;
/// Leases of each.
const ROUNDS: u64 = 4;
/// Thousandths of a core that there are.
const CORES_MILLI: u64 = 4000;
/// How much the daemon's memory may grow by between two fleets, in KiB.
const GROWTH_KIB: u64 = 16 << 10;

/// One agent on a connection of its own.
struct Agent(Client);

impl Agent {
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } });
        let headers =
            [("Accept", "application/json, text/event-stream"), ("MCP-Protocol-Version", "2025-11-25")];
        let body = message.to_string();
        let answer = self.0.request("POST", "/mcp", Some(body.as_bytes()), &headers).expect("an answer");
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        answer["result"]["structuredContent"].clone()
    }

    /// Asks until it is granted: takes its place in line and keeps it, however long that is.
    fn insist(&mut self, milli: u64, agent: u64) -> Value {
        let cpu = format!("{milli}m");
        let mut told = self.call(
            "resource_allocate",
            json!({ "cpu": cpu, "wait": "10m", "scope": format!("agent-{agent}") }),
        );
        while told["status"] != "GRANTED" {
            // In line, whatever is offered instead: one asks on by the number.
            assert!(["QUEUED", "COUNTER_OFFER"].iter().any(|status| told["status"] == *status), "{told}");
            told = self.call("resource_monitor", json!({ "claim": told["claim"], "wait": "20s" }));
        }
        told
    }
}

/// What all agents have in common.
struct Stage<'a> {
    daemon: &'a Daemon,
    clock: Instant,
    /// Thousandths of a core that are held.
    held: AtomicU64,
    /// What was seen.
    ops: Mutex<Vec<Op>>,
}

impl Stage<'_> {
    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }
}

/// All of them at once; how many leases they had.
fn fleet(stage: &Stage<'_>) -> u64 {
    let (start, leases) = (Barrier::new(AGENTS as usize), AtomicU64::new(0));
    let (daemon, held) = (stage.daemon, &stage.held);
    std::thread::scope(|scope| {
        for agent in 0..AGENTS {
            let (start, leases) = (&start, &leases);
            scope.spawn(move || {
                let mut hand = Agent(Client::new(&daemon.socket()).patience(LONG * 4));
                start.wait();
                for round in 0..ROUNDS {
                    // From a tenth of a core to three, each agent its own mix.
                    let milli = 100 + (agent * 7 + round * 13) % 30 * 100;
                    let asked = stage.now();
                    let granted = hand.insist(milli, agent);
                    let heard = stage.now();
                    let now = held.fetch_add(milli, Ordering::SeqCst) + milli;
                    assert!(now <= CORES_MILLI, "{now} thousandths are held at once");
                    std::thread::sleep(Duration::from_millis(2));
                    held.fetch_sub(milli, Ordering::SeqCst);
                    let handle = json!({ "claim": granted["claim"], "fence": granted["fence"] });
                    let number = |key: &str| handle[key].as_str().and_then(|text| text.parse().ok());
                    let (claim, fence) = (number("claim").expect("digits"), number("fence").expect("digits"));
                    let ask = Op {
                        client: agent as u32,
                        kind: Kind::Ask,
                        resource: 0,
                        amount: milli,
                        t_invoke: asked,
                        t_return: Some(heard),
                        outcome: Outcome::Done,
                        claim,
                        fence,
                        asked: None,
                        seq: None,
                    };
                    let given = stage.now();
                    assert_eq!(hand.call("resource_release", handle)["status"], "RELEASED");
                    let (kind, t_return) = (Kind::Release, Some(stage.now()));
                    let release = Op { kind, t_invoke: given, t_return, amount: 0, ..ask };
                    stage.ops.lock().expect("no panic").extend([ask, release]);
                    leases.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    leases.into_inner()
}

/// What was seen, each with its place in the journal.
fn placed(state: &Path, ops: Vec<Op>) -> Vec<Op> {
    let follower = Follower::open(state).expect("a journal");
    let (mut places, mut place, mut next) = (BTreeMap::<(u64, u8), u64>::new(), 0, 0);
    loop {
        let entries = follower.since(next, 100).expect("rows");
        let Some(last) = entries.last() else { break };
        next = last.batch.next_seq();
        for event in entries.iter().flat_map(|entry| &entry.batch.events) {
            place += 1;
            let what = match &event.what {
                What::Queued { claim, .. } => (claim.0, 0),
                What::Granted { claim, .. } => (claim.0, 1),
                What::Closed { claim, .. } => (claim.0, 2),
                _ => continue,
            };
            assert_eq!(places.insert(what, place), None, "{what:?} happens once");
        }
    }
    let at = |claim: u64, what: u8| places.get(&(claim, what)).copied();
    let placed = |op: Op| match op.kind {
        Kind::Ask => Op { asked: at(op.claim, 0), seq: at(op.claim, 1), ..op },
        _ => Op { seq: at(op.claim, 2), ..op },
    };
    ops.into_iter().map(placed).collect()
}

fn rss_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[test]
fn a_hundred_agents_share_four_cores() {
    let daemon = Daemon::configured(&format!("[node.capacity]\ncpu = \"{}\"\n", CORES_MILLI / 1000));
    let (clock, held, ops) = (Instant::now(), AtomicU64::new(0), Mutex::default());
    let stage = Stage { daemon: &daemon, clock, held, ops };
    assert_eq!(fleet(&stage), AGENTS * ROUNDS, "nobody starves");
    let before = rss_kib(&daemon);
    assert_eq!(fleet(&stage), AGENTS * ROUNDS, "nor the second time");
    let after = rss_kib(&daemon);
    assert!(after < before + GROWTH_KIB, "from {before} to {after} KiB");
    assert_eq!(daemon.taken(), 0);
    let seen = stage.ops.into_inner().expect("no panic");
    assert_eq!(seen.len() as u64, 4 * AGENTS * ROUNDS);
    let seen = placed(&daemon.state(), seen);
    history::check(&[CORES_MILLI], &seen).unwrap_or_else(|broken| panic!("{broken}"));
    // The checker sees a double grant if there is one.
    let double = |op: &Op| Op { amount: CORES_MILLI, ..*op };
    let doubled: Vec<Op> =
        seen.iter().map(|op| if op.kind == Kind::Ask { double(op) } else { *op }).collect();
    assert!(history::check(&[CORES_MILLI], &doubled).is_err());
    let fared = Agent(daemon.client()).call("resource_analytics", json!({}));
    assert_eq!(
        (&fared["held"], &fared["waiting"], &fared["ended"]),
        (&json!(0), &json!(0), &json!(2 * AGENTS * ROUNDS))
    );
}
