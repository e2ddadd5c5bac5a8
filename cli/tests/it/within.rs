//! Claims within leases: charged once, caged in the cell of the lease around them, gone with it; and how far
//! agents fan out.
use crate::daemon::{Daemon, number_in, program, runs};
use serde_json::Value;
use std::fs;

/// Held over all pools of a kind.
fn held(pools: &Value, kind: &str) -> u64 {
    let pools = pools["pools"].as_array().expect("pools");
    let of_kind = pools.iter().filter(|pool| pool["resource"] == kind);
    of_kind.map(|pool| pool["held"].as_str().and_then(|text| text.parse::<u64>().ok()).expect("digits")).sum()
}

fn bursar() -> String {
    program().display().to_string()
}

#[test]
fn what_is_within_a_lease_is_charged_once_and_lies_in_its_cell() {
    let daemon = Daemon::plain();
    let (bursar, file) = (bursar(), daemon.scratch.path().join("cells"));
    let innermost = format!("cat /proc/self/cgroup > {}; {bursar} get pools -o json", file.display());
    let script = format!(
        "{bursar} run --cpu 0.3 --memory 128M --pids 200 -- {bursar} run --cpu 0.2 --lock deep -- sh -c '{innermost}'"
    );
    let told = daemon.tell(&["run", "--cpu", "0.5", "--memory", "256M", "--", "sh", "-c", &script]);
    assert_eq!(told.code, 0, "{told:?}");
    let pools = told.json();
    assert_eq!((held(&pools, "cpu"), held(&pools, "memory"), held(&pools, "pids")), (500, 256 << 20, 200));
    let claims = ["1", "2", "3"].map(|id| daemon.claim(id));
    assert_eq!(claims.each_ref().map(|claim| claim["within"].as_str()), [None, Some("1"), Some("2")]);
    let own = claims[2]["lines"].as_array().expect("lines").iter().map(|line| line["resource"].as_str());
    assert_eq!(own.collect::<Vec<_>>(), [Some("lock"), Some("cpu")]);
    assert_eq!(daemon.taken(), 0);
    if daemon.ask(&["doctor"])["findings"][0]["state"] != "ok" {
        eprintln!("skipped: no control groups here");
        return;
    }
    let cells = fs::read_to_string(file).expect("read");
    let deepest = cells.lines().map(|line| line.matches("lease-").count()).max();
    assert_eq!(deepest, Some(3), "{cells}");
    assert!(cells.lines().any(|line| line.ends_with("/lease-1/lease-2/lease-3")), "{cells}");
}

#[test]
fn whoever_asks_for_nothing_shares_what_the_lease_around_has() {
    let daemon = Daemon::plain();
    let bare = format!("{0} run -- {0} get claims -o json", bursar());
    let two = format!("{bare} & {bare} > /dev/null || exit 9; wait");
    let told = daemon.tell(&["run", "--", "sh", "-c", &two]);
    assert_eq!(told.code, 0, "{told:?}");
    let claims = told.json()["claims"].as_array().expect("claims").clone();
    let bare = |claim: &&Value| claim["lines"].as_array().is_some_and(Vec::is_empty);
    assert_eq!(claims.iter().filter(bare).count() + 1, claims.len(), "{claims:?}");
    let pids = daemon.claim("1")["lines"][0]["amount"].clone();
    assert_eq!((pids.as_str(), daemon.claim("2")["within"].as_str()), (Some("256"), Some("1")));
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn more_than_the_lease_has_is_refused_and_nobody_leaves_it() {
    let daemon = Daemon::plain();
    let bursar = bursar();
    let inside = |script: &str| daemon.tell(&["run", "--cpu", "0.2", "--", "sh", "-c", script]);
    let more = inside(&format!("{bursar} run --cpu 0.3 --wait 10s -- true"));
    assert!(
        more.code == 125 && more.err.contains("NeverFits") && more.err.contains("at most 200"),
        "{more:?}"
    );
    let out = inside(&format!("{bursar} run --cpu 0.1 --within none -- true"));
    assert!(out.code == 125 && out.err.contains("Forbidden"), "{out:?}");
    // From outside by name, and by hand; what waits for a sibling says so.
    let outer = daemon.ask(&["claim", "--cpu", "0.2"])["claim"]["id"].as_str().expect("an id").to_owned();
    let within = ["--within", outer.as_str()];
    let first = daemon.ask(&[&["claim", "--cpu", "0.15"], &within[..]].concat())["claim"].clone();
    assert_eq!(first["within"].as_str(), Some(outer.as_str()));
    assert_eq!(held(&daemon.ask(&["get", "pools"]), "cpu"), 200);
    let second = daemon.tell(&[&["claim", "--cpu", "0.1"], &within[..]].concat());
    assert!(second.code != 0 && second.err.contains("InsufficientCapacity"), "{second:?}");
    let wrong = daemon.tell(&[&["claim", "--cpu", "0.01", "--within-fence", "7"], &within[..]].concat());
    assert!(wrong.code != 0 && wrong.err.contains("StaleFence"), "{wrong:?}");
    let body = format!("{{\"lines\":[{{\"resource\":\"cpu\",\"amount\":\"10\"}}],\"within\":\"{outer}\"}}");
    let (status, by_http) = daemon.http("POST", "/v1/claims", &body);
    assert_eq!((status, by_http["claim"]["within"].as_str()), (201, Some(outer.as_str())), "{by_http}");
    assert_eq!(daemon.tell(&["cancel", &outer]).code, 0);
    let id = first["id"].as_str().expect("an id");
    assert_eq!(daemon.await_phase(id, "closed")["ending"], "parent_gone");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn a_command_whose_lease_goes_with_the_one_around_it_is_told_so() {
    let daemon = Daemon::configured("[enforce]\ngrace-ms = 100\n");
    let outer = daemon.ask(&["claim", "--cpu", "0.2"])["claim"].clone();
    let mut run = daemon.command(&["run", "--within", "1", "--cpu", "0.1", "--", "sleep", "300"]);
    let run = run.stderr(std::process::Stdio::piped()).spawn().expect("run");
    daemon.await_phase("2", "held");
    let fence = outer["fence"].as_str().expect("a fence");
    assert_eq!(daemon.tell(&["release", "1", "--fence", fence]).code, 0);
    let ended = run.wait_with_output().expect("ended");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("the lease around it ended (claim 2)"), "{told}");
}

#[test]
fn a_lease_takes_those_within_along_though_the_daemon_died_meanwhile() {
    let mut daemon = Daemon::configured("[enforce]\ngrace-ms = 100\n");
    let (bursar, file) = (bursar(), daemon.scratch.path().join("pid"));
    let deaf = format!("trap \"\" TERM; echo $$ > {}; while :; do sleep 0.1; done", file.display());
    let script = format!("{bursar} run --cpu 0.1 -- sh -c '{deaf}'; sleep 300");
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).spawn().expect("run");
    let inner = number_in(&file);
    daemon.await_phase("2", "held");
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.claim("2")["within"], "1");
    assert!(runs(inner), "the work goes on");
    assert_eq!(daemon.tell(&["cancel", "1", "--wait", "20s"]).code, 0);
    run.wait().expect("ended");
    let claims = ["1", "2"].map(|id| daemon.await_phase(id, "closed")["ending"].clone());
    assert_eq!(claims, ["cancelled", "parent_gone"]);
    assert!(!runs(inner));
    let events = daemon.ask(&["get", "events"])["events"].as_array().expect("events").clone();
    let closed = events.iter().filter(|event| event["kind"] == "closed").map(|event| event["claim"].clone());
    assert_eq!(closed.collect::<Vec<_>>(), ["2", "1"], "from the inside out");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn a_hundred_and_eighty_eight_agents_meet_a_wall_politely() {
    let daemon =
        Daemon::configured("[limits]\nmax-children = 20\n[[scope]]\npath = \"crowd\"\nmax-claims = 3\n");
    let (asks, go) = (daemon.scratch.path().join("asks"), daemon.scratch.path().join("go"));
    let script = format!(
        "for i in $(seq 188); do {} claim --cpu 0.001 --ttl 10m -o json; done > {} 2>&1; while [ ! -e {} ]; do sleep 0.05; done",
        bursar(),
        asks.display(),
        go.display()
    );
    let mut run = daemon.command(&["run", "--cpu", "0.5", "--", "sh", "-c", &script]).spawn().expect("run");
    // Whoever administers is heard all the while.
    daemon.await_phase("1", "held");
    let aside = daemon.ask(&["claim", "--cpu", "0.1"])["claim"]["phase"].clone();
    assert_eq!(aside, "held");
    let count = |what: &str| fs::read_to_string(&asks).unwrap_or_default().matches(what).count();
    daemon.eventually("all of them were answered", || count("\"FanOut\"") >= 168);
    let told = fs::read_to_string(&asks).expect("read");
    assert_eq!((count("\"within\": \"1\""), count("\"FanOut\"")), (20, 168), "{told}");
    assert!(told.contains("20 claims are within claim 1 already") && told.contains("max-children"), "{told}");
    assert_eq!(held(&daemon.ask(&["get", "pools"]), "cpu"), 600);
    // As many in flight as the scope may have, whoever asks; the refusal says when it is worth to ask again.
    let crowd = "{\"scope\":\"crowd\",\"ttl\":\"60s\",\"lines\":[{\"resource\":\"cpu\",\"amount\":\"1\"}]}";
    for _ in 0..3 {
        assert_eq!(daemon.http("POST", "/v1/claims", crowd).0, 201);
    }
    let (status, refused) = daemon.http("POST", "/v1/claims", crowd);
    assert_eq!((status, refused["error"]["reason"].as_str()), (429, Some("FanOut")), "{refused}");
    let retry = refused["error"]["retry_after_ms"].as_u64().expect("a time");
    assert!((1..=60_000).contains(&retry), "{refused}");
    fs::write(&go, "").expect("written");
    assert!(run.wait().expect("ended").success());
    let left = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
    let ended = left.iter().filter(|claim| claim["ending"] == "parent_gone").count();
    assert_eq!(ended, 20, "nothing is lost, and nothing is left behind");
}
