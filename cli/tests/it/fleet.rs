//! A hundred agents negotiate over a machine that has room for a few, by the tools that they see: nobody gets
//! what somebody else has, nobody starves, and the daemon's memory stays as it is. What all of them heard, by one
//! clock, is what the journal and the tokens say.
mod script;

use crate::{
    daemon::{Daemon, LONG},
    history::{Seen, journal::Journal},
};
use bursar_interface::bound::KEPT_MAX;
use bursar_sim::history::{self, Kind, Op, Outcome};
use bursar_wire::Client;
use script::{CAPACITIES, Line, TTL_S};
use serde_json::{Value, json};
use std::{
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

/// All of them at once; how many leases they had.
fn fleet(daemon: &Daemon, held: &AtomicU64) -> u64 {
    let (start, leases) = (Barrier::new(AGENTS as usize), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for agent in 0..AGENTS {
            let (start, leases) = (&start, &leases);
            scope.spawn(move || {
                let mut hand = Agent(Client::new(&daemon.socket()).patience(LONG * 4));
                start.wait();
                for round in 0..ROUNDS {
                    // From a tenth of a core to three, each agent its own mix.
                    let milli = 100 + (agent * 7 + round * 13) % 30 * 100;
                    let granted = hand.insist(milli, agent);
                    let now = held.fetch_add(milli, Ordering::SeqCst) + milli;
                    assert!(now <= CORES_MILLI, "{now} thousandths are held at once");
                    std::thread::sleep(Duration::from_millis(2));
                    held.fetch_sub(milli, Ordering::SeqCst);
                    let handle = json!({ "claim": granted["claim"], "fence": granted["fence"] });
                    assert_eq!(hand.call("resource_release", handle)["status"], "RELEASED");
                    leases.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    leases.into_inner()
}

fn rss_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[test]
fn a_hundred_agents_share_four_cores() {
    let daemon = Daemon::configured(&format!("[node.capacity]\ncpu = \"{}\"\n", CORES_MILLI / 1000));
    let held = AtomicU64::new(0);
    assert_eq!(fleet(&daemon, &held), AGENTS * ROUNDS, "nobody starves");
    let before = rss_kib(&daemon);
    assert_eq!(fleet(&daemon, &held), AGENTS * ROUNDS, "nor the second time");
    let after = rss_kib(&daemon);
    assert!(after < before + GROWTH_KIB, "from {before} to {after} KiB");
    assert_eq!(daemon.taken(), 0);
    let fared = Agent(daemon.client()).call("resource_analytics", json!({}));
    assert_eq!(
        (&fared["held"], &fared["waiting"], &fared["ended"]),
        (&json!(0), &json!(0), &json!(2 * AGENTS * ROUNDS))
    );
}

/// What all agents of a fleet have in common.
struct Stage<'a> {
    socket: &'a Path,
    clock: Instant,
    /// Claims that were granted, for whoever wants to look: (claim, resource).
    granted: Mutex<Vec<(u64, u32)>>,
    agents: u64,
}

/// Of these, every so many speaks over standard input and output.
const STDIO_EVERY: u64 = 20;

/// A fleet that haggles for so many leases each; what they saw.
fn haggle(daemon: &Daemon, stage: &Stage<'_>, fleet: u64, leases: u64) -> Vec<Seen> {
    let start = Barrier::new(stage.agents as usize);
    std::thread::scope(|scope| {
        let agents: Vec<_> = (0..stage.agents)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    let stdio = number % STDIO_EVERY == 0;
                    let line = if stdio { Line::stdio(daemon) } else { Line::http(daemon) };
                    start.wait();
                    let number = fleet * stage.agents + number;
                    script::Agent::new(number as u32, line, stage).act(leases)
                })
            })
            .collect();
        agents.into_iter().flat_map(|agent| agent.join().expect("an agent")).collect()
    })
}

/// Fleets one after the other on one machine, and the judgement over all that they heard. Returns how much memory the
/// daemon had after each, in KiB.
fn judged(fleets: u64, leases: u64) -> Vec<u64> {
    let config = format!(
        "[node.capacity]\ncpu = \"{}\"\nmemory = \"{}\"\n[limits]\nrefusals-per-minute = 1000000\n",
        CAPACITIES[0] / 1000,
        CAPACITIES[1]
    );
    let mut daemon = Daemon::configured(&config);
    let socket = daemon.socket();
    let stage = Stage { socket: &socket, clock: Instant::now(), granted: Mutex::default(), agents: AGENTS };
    let (mut seen, mut memory) = (Vec::new(), Vec::new());
    for fleet in 0..fleets {
        seen.extend(haggle(&daemon, &stage, fleet, leases));
        memory.push(rss_kib(&daemon));
    }
    daemon.stop();
    let ops = Journal::read(&daemon.state()).history(seen, Duration::from_secs(TTL_S));
    if let Err(broken) = history::check(&CAPACITIES, &ops) {
        let claim = ops[broken.op].claim;
        let about: Vec<&Op> = ops.iter().filter(|op| claim != 0 && op.claim == claim).collect();
        panic!("{broken}\n{:?}\n{about:#?}\n{}", ops[broken.op], daemon.log());
    }
    let count = |is: fn(&&Op) -> bool| ops.iter().filter(is).count() as u64;
    let granted = count(|op| op.kind == Kind::Ask && op.outcome == Outcome::Done && op.t_return.is_some());
    let told = [
        count(|op| op.outcome == Outcome::Busy),
        count(|op| op.outcome == Outcome::Stale),
        count(|op| op.kind == Kind::Look),
        count(|op| matches!(op.kind, Kind::Renew | Kind::Settle)),
    ];
    let waited = ops.iter().filter(|op| op.kind == Kind::Ask && op.outcome == Outcome::Done);
    let waited = waited.filter_map(|op| Some(Duration::from_nanos(op.t_return? - op.t_invoke))).max();
    eprintln!("{} operations; busy, stale, looks, kept: {told:?}; longest wait {waited:?}", ops.len());
    assert!(granted >= AGENTS * leases * fleets, "nobody starves: {granted}");
    assert!(told.iter().all(|count| *count > 10), "too tame: {told:?}");
    memory
}

#[test]
fn what_a_hundred_agents_that_haggle_hear_is_what_the_journal_says() {
    judged(1, 2);
}

#[test]
#[ignore = "slow: takes minutes"]
fn fleets_that_haggle_for_minutes_leave_the_daemon_as_it_was() {
    let leases = 16;
    // Ten fleets at most: what they send is told apart by it.
    let memory = judged(10, leases);
    eprintln!("KiB after each fleet: {memory:?}");
    // Until then it fills with what is remembered of claims that are over.
    let full = (KEPT_MAX as u64).div_ceil(AGENTS * leases) as usize;
    let (early, late) = (memory[full], memory[memory.len() - 1]);
    assert!(late < early + GROWTH_KIB, "from {early} to {late} KiB");
}
