//! Memory that runs short, on a real machine whose memory is a group with a hard limit: what is promised follows what
//! there is, holders are asked before anything is taken, and the machine lives on.
use crate::{
    daemon::{Daemon, LONG, Setup},
    hooks::hook,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const QUICK: &str = "[memory]\nanalytics_interval = \"100ms\"\n";

/// A group with a hard limit in which a daemon and all its leases live; `None` where there is no way to make one.
struct Small(PathBuf);

impl Small {
    fn make(name: &str, bytes: u64) -> Option<Small> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = own.lines().find_map(|line| line.split_once(":memory:"))?.1.to_owned();
        let folder = PathBuf::from("/sys/fs/cgroup/memory").join(path.trim_start_matches('/'));
        // A daemon stands outside of what is named like a daemon's own.
        let folder = folder.join(format!("small-{name}-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let small = Small(folder);
        fs::write(small.0.join("memory.limit_in_bytes"), bytes.to_string()).ok().map(|()| small)
    }

    /// A daemon that lives in it.
    fn daemon(&self, config: &str) -> Daemon {
        let join = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", self.0.display());
        let within = ["sh", "-c", &join].map(str::to_owned).to_vec();
        Daemon::with(Setup { config: config.into(), within, ..Setup::default() })
    }

    fn failures(&self) -> String {
        fs::read_to_string(self.0.join("memory.oom_control")).unwrap_or_default()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Cells that are left would keep it; there are none.
        let _ = fs::remove_dir(&self.0);
    }
}

fn start(daemon: &Daemon, args: &[&str]) -> Child {
    let mut command = daemon.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// As [`start`], with what it says written to a file.
fn start_heard(daemon: &Daemon, args: &[&str], said: &Path) -> Child {
    let mut command = daemon.command(args);
    let said = fs::OpenOptions::new().create(true).append(true).open(said).expect("a file");
    command.stdout(Stdio::null()).stderr(said).spawn().expect("starts")
}

fn end(mut run: Child) {
    run.kill().expect("killed");
    run.wait().expect("ended");
}

/// What was done because memory ran short: step and what it came to.
fn squeezed(daemon: &Daemon) -> Vec<(String, Value)> {
    let events = daemon.ask(&["get", "events"]);
    let events = events["events"].as_array().expect("events").iter();
    let squeezed = events.filter(|event| event["kind"] == "squeezed");
    squeezed
        .map(|event| (event["claim"].as_str().unwrap_or("all").to_owned(), event["detail"].clone()))
        .collect()
}

fn has(daemon: &Daemon, claim: &str, step: &str, came: &str) -> bool {
    let is = |(of, detail): &(String, Value)| of == claim && detail["step"] == step && detail["came"] == came;
    squeezed(daemon).iter().any(is)
}

fn pool(daemon: &Daemon, key: &str) -> u64 {
    let pools = daemon.ask(&["get", "pools"]);
    let mut pools = pools["pools"].as_array().expect("pools").iter();
    let memory = pools.find(|pool| pool["resource"] == "memory").expect("memory");
    memory[key].as_str().and_then(|text| text.parse().ok()).expect("digits")
}

/// Whether a process is in a group of v1's for memory.
fn memory_group(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(":memory:"))
}

/// The soft limit of the group that a process is in.
fn soft_limit(pid: u64) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.split_once(":memory:"))?.1;
    let file = format!("/sys/fs/cgroup/memory{path}/memory.soft_limit_in_bytes");
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

/// Takes so many megabytes, four at a time, holds them for a while, and ends.
fn hog(megabytes: u64, pause: &str, hold: &str) -> String {
    let steps = megabytes / 4;
    format!(
        "(i=0; while [ $i -lt {steps} ]; do head -c 4000000 /dev/zero; sleep {pause}; i=$((i+1)); done; \
         sleep {hold}) | tail -n 1 > /dev/null"
    )
}

#[test]
fn no_more_is_promised_than_the_machine_really_has_unless_the_operator_says_so() {
    let huge = "[node.capacity]\nmemory = \"1T\"\n";
    let daemon = Daemon::configured(&format!("{QUICK}{huge}"));
    daemon.eventually("it offers what there is", || pool(&daemon, "offered") < 1 << 40);
    let told = daemon.tell(&["claim", "--class", "guaranteed", "--memory", "900G"]);
    assert!(
        told.err.contains("InsufficientCapacity") && told.code == 4,
        "not now, but maybe later: {told:?}"
    );
    assert_eq!(daemon.ask(&["claim", "--memory", "16M"])["claim"]["phase"], "held");
    let asked = Daemon::configured(&format!("{QUICK}admission = \"asked\"\n{huge}"));
    let claim = asked.ask(&["claim", "--memory", "900G", "--wait", "1s"]);
    assert_eq!((claim["claim"]["phase"].as_str(), pool(&asked, "offered")), (Some("held"), 1 << 40));
}

#[test]
fn a_soft_limit_is_the_kernels_and_is_shown_and_refused_where_it_makes_no_sense() {
    let daemon = Daemon::configured("");
    let run = start(&daemon, &["run", "--memory", "64M", "--memory-soft", "48M", "--", "sleep", "60"]);
    let mut claim = Value::Null;
    daemon.eventually("it is held", || {
        claim = daemon.claim("1");
        claim["phase"] == "held" && claim["pids"][0].is_u64()
    });
    assert_eq!(
        (&claim["lines"][0]["soft"], &claim["lines"][0]["amount"]),
        (&"50331648".into(), &"67108864".into())
    );
    let pid = claim["pids"][0].as_u64().expect("a process");
    match memory_group(pid) {
        true => daemon.eventually("the kernel knows it", || soft_limit(pid).as_deref() == Some("50331648")),
        false => {
            eprintln!(
                "skipped: the kernel's own soft limit is not looked at, no v1 memory controller is here"
            );
        }
    }
    daemon.eventually("a lease goes before the daemon when memory runs out all the same", || {
        fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score").trim() == "400"
    });
    end(run);
    let told = daemon.tell(&["claim", "--memory", "16M", "--memory-soft", "32M"]);
    assert!(told.code != 0 && told.err.contains("soft limit"), "{told:?}");
    let line = r#"{"lines":[{"resource":"cpu","amount":"100","soft":"50"}]}"#;
    let (status, refused) = daemon.http("POST", "/v1/claims", line);
    assert!(status == 400 && refused.to_string().contains("cpu has no soft limit"), "{refused}");
}

#[test]
fn a_holder_near_its_own_limit_is_asked_then_gives_back_and_all_of_it_is_told() {
    let scratch = tempfile::tempdir().expect("a folder");
    let called = scratch.path().join("called");
    let config = format!(
        "{QUICK}callback = \"echo $BURSAR_STEP $BURSAR_CLAIM $BURSAR_TO_BYTES >> {0}\"\nenable_smart_pooling = true\n\
         [memory.gc]\nburstable = \"echo $BURSAR_STEP $BURSAR_CLAIM >> {0}\"\n",
        called.display()
    );
    let daemon = Daemon::configured(&config);
    let said = scratch.path().join("said");
    // It renews rarely: what is done to it, it hears at once or not at all.
    let lease = ["run", "--memory", "200M", "--ttl", "10m", "--", "sh", "-c"];
    // Nine tenths of it and a little; what is left is for what the kernel counts besides, or it would end the hog.
    let run = start_heard(&daemon, &[&lease[..], &[&hog(192, "0.02", "60")]].concat(), &said);
    daemon.eventually("it gave back", || has(&daemon, "1", "collect", "freed"));
    assert!(has(&daemon, "1", "ask", "taken"), "{:?}", squeezed(&daemon));
    let called = fs::read_to_string(called).expect("commands were run");
    // Three quarters of 200M.
    assert!(called.contains("ask 1 157286400") && called.contains("collect 1"), "{called}");
    let steps = daemon.claim("1")["pressure"].clone();
    assert_eq!(steps.as_array().map(Vec::len), Some(2), "{steps}");
    let heard = || fs::read_to_string(&said).expect("said");
    daemon.eventually("its holder is told at once", || {
        heard().contains("memory runs short: the command is asked to use less, 150M at most")
    });
    let handle = json!({ "claim": "1", "fence": daemon.claim("1")["fence"] });
    let (_, told) = hook(&daemon, &["progress"], handle);
    assert_eq!(
        (&told["pressed"], &told["use_at_most_bytes"]),
        (&json!("asked"), &json!("157286400")),
        "{told}"
    );
    let explained = daemon.ask(&["explain", "1"]);
    assert_eq!(explained["pressure"]["steps"][0]["step"], "collect", "{explained}");
    let doctor = daemon.tell(&["doctor"]).out;
    assert!(doctor.contains("ladder: freeze") && doctor.contains("acts when pools exist"), "{doctor}");
    assert!(daemon.log().contains("acts when pools exist"), "{}", daemon.log());
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", daemon.pid())).expect("a score");
    match daemon.log().contains("the kernel may end this daemon as soon as others") {
        true => eprintln!("skipped: this user may spare nobody"),
        false => assert_eq!(score.trim(), "-900", "the kernel spares the daemon"),
    }
    end(run);
}

/// How long a crowd may take: half a minute on a machine of its own, and others may have some of this one.
const CROWD_MAX: Duration = LONG.saturating_mul(8);

/// Many agents on a small machine: each wants a quarter of a pool that is promised many times over.
fn crowd(name: &str, burstable: usize, pause: &str, hold: &str) {
    // Twice what the pool has: beyond that the kernel would end something, and this machine lives on.
    let Some(small) = Small::make(name, 512 << 20) else {
        eprintln!("skipped: no v1 group of memory can be made here, so this machine would be at risk");
        return;
    };
    let daemon = small.daemon(&format!(
        "[node.capacity]\nmemory = \"256M\"\n[node.sharing]\nmemory = \"share-overcommit\"\n\
         [plugins.config.share-overcommit]\npercent = 1000\n[enforce]\ngrace-ms = 100\n\
         {QUICK}grace = \"300ms\"\nkills-per-minute = 60\n"
    ));
    let (hog, scratch) = (hog(56, pause, hold), tempfile::tempdir().expect("a folder"));
    let said = scratch.path().join("said");
    let run = |class: &'static str| {
        let args = ["run", "--class", class, "--memory", "64M", "--wait", "60s", "--", "sh", "-c", &hog];
        start_heard(&daemon, &args, &said)
    };
    let guaranteed: Vec<Child> = (0..2).map(|_| run("guaranteed")).collect();
    let mut others: Vec<Child> = (0..burstable).map(|_| run("burstable")).collect();
    for mut run in guaranteed {
        assert!(run.wait().expect("ended").success(), "who insists has what it asked for\n{}", daemon.log());
    }
    let since = Instant::now();
    while !others.is_empty() && since.elapsed() < CROWD_MAX {
        // Whoever had to make room asks again.
        others.retain_mut(|other| match other.try_wait().expect("a look") {
            Some(status) if status.success() => false,
            Some(_) => {
                *other = run("burstable");
                true
            }
            None => true,
        });
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(others.is_empty(), "{} have not finished\n{}", others.len(), daemon.log());
    assert!(!small.failures().contains("under_oom 1"), "{}", small.failures());
    let claims = daemon.ask(&["get", "claims"]);
    let claims = claims["claims"].as_array().expect("claims");
    let killed = claims.iter().filter(|claim| claim["ending"] == "over_limit").count();
    let evicted = |class: &str| {
        claims.iter().filter(|claim| claim["ending"] == "evicted" && claim["class"] == class).count()
    };
    assert_eq!((killed, evicted("guaranteed")), (0, 0), "the kernel killed nobody\n{}", daemon.log());
    let steps: Vec<String> = squeezed(&daemon).iter().map(|(_, d)| d["step"].to_string()).collect();
    let first = |step: &str| steps.iter().position(|known| known.contains(step));
    assert!(first("stop").is_some() && first("ask").is_some() && first("freeze").is_some(), "{steps:?}");
    assert!(first("kill").is_none_or(|kill| first("freeze") < Some(kill)), "{steps:?}");
    let said = fs::read_to_string(said).expect("said");
    assert!(
        said.contains("memory runs short: the command is held still"),
        "whoever runs them is told: {said}"
    );
}

#[test]
fn whoever_holds_what_others_wait_for_is_not_held_still() {
    let Some(small) = Small::make("awaited", 320 << 20) else {
        eprintln!("skipped: no v1 group of memory can be made here, so this machine would be at risk");
        return;
    };
    let daemon = small.daemon(&format!(
        "[node.capacity]\nmemory = \"256M\"\n[node.sharing]\nmemory = \"share-overcommit\"\n\
         [plugins.config.share-overcommit]\npercent = 1000\n[enforce]\ngrace-ms = 100\n\
         {QUICK}grace = \"300ms\"\n"
    ));
    // The one that stands best is not held still either: the other one is to be the holder.
    let best = start(&daemon, &["run", "--memory", "64M", "--", "sh", "-c", &hog(40, "0.02", "60")]);
    daemon.eventually("it is held", || daemon.claim("1")["phase"] == "held");
    let lock = ["run", "--memory", "256M", "--lock", "build", "--", "sh", "-c"];
    let grows = hog(236, "0.04", "60");
    let holder = start(&daemon, &[&lock[..], &[&grows]].concat());
    daemon.eventually("it holds the lock", || daemon.claim("2")["phase"] == "held");
    let waits = start(&daemon, &["run", "--lock", "build", "--wait", "60s", "--", "sleep", "60"]);
    daemon.eventually("it makes room, and whoever waits goes on", || {
        // At once, where it would be too late after a grace.
        ["evict", "kill"].iter().any(|step| has(&daemon, "2", step, "taken"))
            && daemon.claim("3")["phase"] == "held"
    });
    assert!(!has(&daemon, "2", "freeze", "taken"), "{:?}", squeezed(&daemon));
    assert_eq!(daemon.claim("2")["ending"], "evicted", "its end is said to be for room");
    [best, holder, waits].into_iter().for_each(end);
}

#[test]
fn while_it_is_short_nobody_more_is_let_in() {
    let Some(small) = Small::make("stopped", 320 << 20) else {
        eprintln!("skipped: no v1 group of memory can be made here");
        return;
    };
    let daemon =
        small.daemon(&format!("[node.capacity]\nmemory = \"256M\"\n{QUICK}pressure-threshold = 0.3\n"));
    let tiny = ["claim", "--memory", "1M"];
    assert_eq!(daemon.ask(&tiny)["claim"]["phase"], "held", "there is enough");
    let uses = start(&daemon, &["run", "--memory", "160M", "--", "sh", "-c", &hog(112, "0.01", "60")]);
    daemon.eventually("it is short", || has(&daemon, "all", "stop", "taken"));
    daemon.eventually("nobody is let in", || daemon.tell(&tiny).code == 4);
    let (status, said) = daemon.http("POST", "/v1/claims/2/cancel", "{}");
    assert_eq!(status, 200, "{said}");
    end(uses);
    daemon.eventually("there is room again, and who asks is let in", || daemon.tell(&tiny).code == 0);
}

#[test]
fn what_was_learned_of_how_much_leases_use_outlives_the_daemon() {
    let mut daemon =
        Daemon::configured(&format!("{QUICK}admission = \"measured\"\n[node.capacity]\nmemory = \"256M\"\n"));
    let sleeper = ["run", "--memory", "16M", "--", "sleep", "0.6"];
    let runs: Vec<Child> = (0..10).map(|_| start(&daemon, &sleeper)).collect();
    runs.into_iter().for_each(|mut run| assert!(run.wait().expect("ended").success()));
    daemon.eventually("more is promised than there is", || pool(&daemon, "offered") > 256 << 20);
    daemon.stop();
    daemon.start();
    daemon.eventually("so it is at once", || pool(&daemon, "offered") > 256 << 20);
}

#[test]
fn a_small_machine_that_is_promised_twice_over_lives_on() {
    crowd("few", 8, "0.03", "0.2");
}

/// Takes half a minute.
#[test]
#[ignore = "takes half a minute"]
fn twenty_four_agents_that_each_want_a_quarter_of_the_memory_share_it() {
    crowd("many", 22, "0.05", "0.5");
}
