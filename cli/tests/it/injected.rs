//! An agent whose model was told by somebody else what to do (T-AGENT): it asks for everything, for more than that,
//! without end, and for what only operators may.
use crate::daemon::{Daemon, program, told};
use serde_json::json;
use std::time::{Duration, Instant};

/// What it says, a command a line; what is answered goes behind the name of each.
const SCRIPT: &str = r#"
say() { name=$1; shift; "$B" "$@" >/dev/null 2>&1; echo "$name $?"; }
say all claim --cpu 4000
say priority claim --cpu 3 --class guaranteed --priority 4294967295
say outside claim --cpu 2 --within none
say theirs cancel 1
say quota set quota team cpu --limit 4000
say apply apply -f /dev/stdin </dev/null
say cordon cordon "$NODE"
say drain drain "$NODE"
say strategy strategy use allocator worst-fit
say plugin plugin reload
say trust plugin trust RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
say terminal claim --cpu 0.01 --scope "$(printf 'a\033[2J')"
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do say again claim --cpu 4000; done
deep="$B run --"
say deep run -- $deep $deep $deep $deep $deep $deep true
"#;

#[test]
fn t_agent_one_that_was_talked_into_it_gets_its_own_and_no_more_and_others_their_turn() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"4\"\n");
    assert_eq!(daemon.tell(&["claim", "--cpu", "1", "--scope", "other"]).code, 0);
    let node = daemon.tell(&["get", "nodes", "-o", "name"]).out.trim().to_owned();
    let said = std::thread::scope(|scope| {
        let agent = scope.spawn(|| {
            let mut command =
                daemon.command(&["run", "--cpu", "1", "--scope", "team/agent", "--", "sh", "-c", SCRIPT]);
            command.env("B", program()).env("NODE", &node);
            told(command)
        });
        daemon.await_phase("2", "held");
        // Meanwhile somebody else wants what is there for everybody.
        let since = Instant::now();
        let body =
            json!({ "scope": "other", "wait": "20s", "lines": [{ "resource": "cpu", "amount": "2000" }] });
        let (status, answer) = daemon.http("POST", "/v1/claims", &body.to_string());
        assert_eq!(status, 201, "{answer}");
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        agent.join().expect("ended")
    });
    assert_eq!(said.code, 0, "{said:?}");
    let codes = |name: &str| {
        let lines =
            said.out.lines().filter_map(|line| line.split_once(' ')).filter(|(known, _)| *known == name);
        lines.map(|(_, code)| code.parse().expect("a number")).collect::<Vec<i32>>()
    };
    for name in ["all", "priority", "outside", "quota", "cordon", "drain", "strategy", "plugin", "trust"] {
        assert_eq!(codes(name), [4], "{name}: {}", said.out);
    }
    assert_eq!(
        (codes("theirs"), codes("terminal"), codes("apply")),
        (vec![3], vec![2], vec![2]),
        "{}",
        said.out
    );
    assert!(codes("again").len() == 30 && codes("again").iter().all(|code| *code == 4), "{}", said.out);
    assert_eq!(codes("deep"), [125], "there is an end to it: {}", said.out);
    // What it tried is known, and from where.
    let log = daemon.http("GET", "/v1/audit", "").1;
    let rows = log["audit"].as_array().expect("rows");
    let tried: Vec<&str> = rows.iter().filter_map(|row| row["act"].as_str()).collect();
    assert_eq!(tried.iter().filter(|act| act.starts_with("PUT /v1/nodes/")).count(), 2, "{tried:?}");
    assert!(rows.iter().all(|row| row["scope"] == "team/agent" && row["within"] == "2"), "{rows:?}");
    assert!(rows.len() >= 6 && rows.iter().all(|row| row["reason"] == "Forbidden"), "{rows:?}");
    assert_eq!(daemon.claim("1")["phase"], "held");
}
