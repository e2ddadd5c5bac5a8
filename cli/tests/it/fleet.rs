//! A hundred agents negotiate over a machine that has room for a few, by the tools that they see: nobody gets
//! what somebody else has, nobody starves, and the daemon's memory stays as it is.
use crate::daemon::{Daemon, LONG};
use bursar_wire::Client;
use serde_json::{Value, json};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
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
