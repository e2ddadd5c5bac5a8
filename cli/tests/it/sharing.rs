//! What the shipped sharing plugins change in a real run.
use crate::daemon::{Daemon, LONG, Setup};
use serde_json::Value;
use std::{collections::BTreeMap, fs, process::Stdio, thread::sleep, time::Duration, time::Instant};

fn shared(config: &str) -> Daemon {
    let plugins = vec![bursar_conformance::first_party()];
    Daemon::with(Setup { config: config.into(), plugins, ..Setup::default() })
}

/// Whether a claim is granted at once.
fn granted(daemon: &Daemon, args: &[&str]) -> bool {
    daemon.tell(&[&["claim"], args].concat()).code == 0
}

fn offered(daemon: &Daemon, kind: &str) -> Value {
    let pools = daemon.ask(&["get", "pools"]);
    let mut pools = pools["pools"].as_array().expect("pools").iter();
    pools.find(|pool| pool["resource"] == kind).expect("a pool")["offered"].clone()
}

fn state(daemon: &Daemon, id: &str) -> Value {
    let plugins = daemon.ask(&["get", "plugins"]);
    let mut plugins = plugins["plugins"].as_array().expect("plugins").iter();
    plugins.find(|plugin| plugin["id"] == id && plugin["home"] == "inline").expect(id)["state"].clone()
}

#[test]
fn overcommit_gives_more_than_there_is_to_those_who_do_not_insist() {
    let config = "[node.capacity]\ncpu = \"2\"\n[node.sharing]\ncpu = \"share-overcommit\"\n\
                  [plugins.config.share-overcommit]\npercent = 200\n";
    let mut daemon = shared(config);
    assert_eq!(
        (offered(&daemon, "cpu"), state(&daemon, "share-overcommit")),
        ("4000".into(), "active".into())
    );
    assert!(granted(&daemon, &["--cpu", "2", "--class", "guaranteed"]), "{}", daemon.log());
    assert!(!granted(&daemon, &["--cpu", "1", "--class", "guaranteed"]), "no more for certain than there is");
    assert!(granted(&daemon, &["--cpu", "2", "--class", "burstable"]));
    assert!(!granted(&daemon, &["--cpu", "0.5", "--class", "burstable"]), "no more than is offered");
    // The rules are in the journal, and nobody has to be asked for them again.
    let told = |daemon: &Daemon| {
        let events = daemon.ask(&["get", "events"]);
        let events = events["events"].as_array().expect("events").clone();
        // Of memory there is another rule where the machine has little left.
        let ours = |event: &Value| event["kind"] == "shared" && event["detail"]["resource"] == "cpu";
        events.into_iter().filter(ours).collect::<Vec<Value>>()
    };
    let first = told(&daemon);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(
        (&first[0]["detail"]["rules"]["offered"], &first[0]["detail"]["by"]["home"]),
        (&"4000".into(), &"inline".into())
    );
    daemon.stop();
    daemon.start();
    assert_eq!((offered(&daemon, "cpu"), told(&daemon).len()), ("4000".into(), 1));
}

#[test]
fn one_holder_at_a_time_is_one_holder() {
    let config = "[node.capacity]\ngpu = \"1\"\n[node.sharing]\ngpu = \"share-exclusive\"\n";
    let daemon = shared(config);
    let first = daemon.ask(&["claim", "--gpu", "0.3"])["claim"].clone();
    assert!(!granted(&daemon, &["--gpu", "0.3"]), "it has a holder");
    let (id, fence) = (first["id"].as_str().expect("an id"), first["fence"].as_str().expect("a fence"));
    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
    assert!(granted(&daemon, &["--gpu", "0.3"]));
    // Without the rule two of them fit.
    let free = shared("[node.capacity]\ngpu = \"1\"\n");
    assert!(granted(&free, &["--gpu", "0.3"]) && granted(&free, &["--gpu", "0.3"]));
}

#[test]
fn a_sharing_that_lies_is_told_of_and_one_holder_is_the_rule() {
    let config =
        "[node.capacity]\ngpu = \"1\"\n[node.sharing]\ngpu = \"chaos-lie\"\n[plugins]\ndeadline-ms = 500\n";
    let plugins = vec![bursar_conformance::badly_behaved()];
    let daemon = Daemon::with(Setup { config: config.into(), plugins, ..Setup::default() });
    let events = daemon.ask(&["get", "events"]);
    let mut faults =
        events["events"].as_array().expect("events").iter().filter(|event| event["kind"] == "plugin_fault");
    let fault = faults.next_back().expect("a fault")["detail"].clone();
    assert_eq!(
        (&fault["role"], &fault["plugin"], &fault["fault"]),
        (&"sharing".into(), &"chaos-lie".into(), &"nonsense".into())
    );
    assert!(granted(&daemon, &["--gpu", "0.3"]) && !granted(&daemon, &["--gpu", "0.3"]));
}

/// Tenths of a second in which a command wrote, by what it wrote.
fn active(path: &std::path::Path) -> BTreeMap<u64, usize> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut tenths = BTreeMap::new();
    for ms in text.lines().filter_map(|line| line.parse::<u64>().ok()) {
        *tenths.entry(ms / 100).or_default() += 1;
    }
    tenths
}

#[test]
fn those_who_share_by_turns_run_one_after_the_other() {
    let config = "[node.capacity]\ngpu = \"1\"\n[node.sharing]\ngpu = \"share-timeslice\"\n\
                  [plugins.config.share-timeslice]\nholders = 2\nquantum-ms = 500\n";
    let daemon = shared(config);
    if daemon.ask(&["doctor"])["findings"][0]["state"] != "ok" {
        eprintln!("skipped: there are no control groups to stand still in");
        return;
    }
    let written = ["a", "b"].map(|name| daemon.scratch.path().join(name));
    let mut runs: Vec<_> = written
        .iter()
        .map(|path| {
            let script = format!("while :; do date +%s%3N >> {}; sleep 0.02; done", path.display());
            let mut run = daemon.command(&["run", "--gpu", "1", "--", "sh", "-c", &script]);
            run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
        })
        .collect();
    let since = Instant::now();
    // Each has all of it at the same time, and writes in many tenths of a second.
    while written.iter().any(|path| active(path).len() < 20) {
        assert!(since.elapsed() < LONG, "{:?}", written.each_ref().map(|path| active(path).len()));
        sleep(Duration::from_millis(100));
    }
    let [a, b] = written.each_ref().map(|path| active(path));
    let both = a.keys().filter(|tenth| b.contains_key(tenth)).count();
    // Alone they would be at it in the same tenths; by turns only where one ends and the other begins.
    let begun = a.keys().next().max(b.keys().next()).copied().unwrap_or(0);
    let (of_a, of_b) = (a.range(begun..).count(), b.range(begun..).count());
    assert!(both * 2 <= of_a.min(of_b), "{both} tenths of {of_a} and {of_b} were shared");
    let refused = daemon.tell(&["claim", "--gpu", "1"]);
    assert_ne!(refused.code, 0, "two are all that take turns");
    let guaranteed = daemon.tell(&["claim", "--gpu", "1", "--class", "guaranteed"]);
    assert!(guaranteed.code != 0 && guaranteed.err.contains("NeverFits"), "{guaranteed:?}");
    for claim in ["1", "2"] {
        assert_eq!(daemon.tell(&["cancel", claim]).code, 0);
    }
    for run in &mut runs {
        run.wait().expect("it ends, though it may stand still");
    }
    daemon.eventually("all of it came back", || daemon.taken() == 0);
}
