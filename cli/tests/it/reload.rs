//! Kinds and drivers that come while the daemon runs, in one version and then in another: nothing that is held
//! notices, and whoever made a lease true takes it back.
use crate::daemon::{Daemon, Setup};
use bursar_conformance::badly_behaved;
use std::{fs, path::Path};
use tempfile::TempDir;

/// The library of the sticky kind and its driver as it would be of a version.
fn install(folder: &Path, name: &str, version: &str) {
    let mut bytes = fs::read(badly_behaved().join("libchaos.so")).expect("built");
    let (from, to) = (b"\"version\":\"0.1.0\"", format!("\"version\":\"{version}\""));
    let found: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!found.is_empty() && from.len() == to.len());
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    fs::write(folder.join(name), &bytes).expect("written");
}

/// Children of the daemon that are drivers of the sticky kind.
fn drivers(daemon: &Daemon) -> usize {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let words = processes.filter_map(|process| {
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned();
        (parent == daemon.pid().to_string()).then(|| fs::read(process.path().join("cmdline")).ok())?
    });
    words.filter(|words| words.windows(14).any(|at| at == b"driver\0sticky\0")).count()
}

fn state(daemon: &Daemon, version: &str) -> String {
    let listed = daemon.ask(&["plugin", "list"]);
    let mut all = listed["plugins"].as_array().expect("plugins").iter();
    let found = all.find(|plugin| {
        plugin["role"] == "driver" && plugin["id"] == "sticky" && plugin["version"] == version
    });
    found.map(|plugin| plugin["state"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

fn release(daemon: &Daemon, claim: &str, held: &serde_json::Value) {
    let fence = held["fence"].as_str().expect("a fence");
    assert_eq!(daemon.tell(&["release", claim, "--fence", fence]).code, 0);
    assert_eq!(daemon.await_phase(claim, "closed")["evidence"], "it let go at the second try");
}

#[test]
fn kinds_and_drivers_are_taken_into_use_and_replaced_under_what_is_held() {
    let folder = TempDir::new().expect("a folder");
    let config = "[plugins]\ndeadline-ms = 500\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], config, ..Setup::default() });
    assert_ne!(daemon.tell(&["claim", "--need", "sticky=1"]).code, 0, "there is no such kind yet");

    install(folder.path(), "libold.so", "0.1.0");
    // One of its kinds cannot be made: that is said, and all else is taken into use.
    let told = daemon.tell(&["plugin", "reload"]);
    assert!(told.code != 0 && told.err.contains("what am I?"), "{told:?}");
    assert_eq!(daemon.tell(&["claim", "--need", "sticky=2"]).code, 0);
    let first = daemon.await_phase("1", "held");
    assert_eq!((state(&daemon, "0.1.0").as_str(), drivers(&daemon)), ("active", 1));

    install(folder.path(), "libnew.so", "0.2.0");
    daemon.tell(&["plugin", "reload"]);
    assert_eq!((state(&daemon, "0.2.0"), state(&daemon, "0.1.0")), ("active".into(), "ready".into()));
    let still = daemon.claim("1");
    assert_eq!((&still["phase"], &still["fence"]), (&first["phase"], &first["fence"]), "it is not disturbed");
    assert_eq!(daemon.tell(&["claim", "--need", "sticky=1"]).code, 0);
    let second = daemon.await_phase("2", "held");
    assert_eq!(drivers(&daemon), 2, "two versions side by side");
    release(&daemon, "1", &first);
    daemon.eventually("the old version holds nothing any more and goes", || drivers(&daemon) == 1);

    // Without its library a driver takes back what it holds, and nothing new is offered of it.
    fs::remove_file(folder.path().join("libold.so")).expect("removed");
    fs::remove_file(folder.path().join("libnew.so")).expect("removed");
    daemon.tell(&["plugin", "reload"]);
    assert_eq!(daemon.claim("2")["phase"], "held");
    release(&daemon, "2", &second);
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn a_driver_that_does_not_start_has_failed_and_none_before_it_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let config =
        "[plugins]\ndeadline-ms = 500\n[plugins.config.chaos-any]\nfault = \"chaos-mumble\"\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], config, ..Setup::default() });
    install(folder.path(), "libchaos.so", "0.1.0");
    // A kind of the same library comes first, which cannot be made.
    let kind = daemon.tell(&["plugin", "reload"]);
    assert!(kind.code == 1 && kind.err.contains("what am I?"), "{kind:?}");
    daemon.tell(&["plugin", "disable", "resource", "chaos-panic"]);
    let driver = daemon.tell(&["plugin", "reload"]);
    assert!(driver.code == 1 && driver.err.contains("PluginFailed: chaos-any"), "{driver:?}");
    assert!(!driver.err.contains("goes on"), "there is none: {driver:?}");
}

/// What is offered of the sticky kind.
fn offered(daemon: &Daemon) -> String {
    let pools = daemon.ask(&["get", "pools"]);
    let mut all = pools["pools"].as_array().expect("pools").iter();
    let sticky = all.find(|pool| pool["resource"] == "sticky").expect("the pool");
    sticky["capacity"].as_str().expect("a quantity").to_owned()
}

#[test]
fn nothing_is_offered_of_a_driver_that_is_not_asked_any_more_whoever_holds_some() {
    let folder = TempDir::new().expect("a folder");
    install(folder.path(), "libchaos.so", "0.1.0");
    let config = "[plugins]\ndeadline-ms = 500\n".into();
    let mut daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--need", "sticky=1", "--ttl", "10m"]).code, 0);
    let held = daemon.await_phase("1", "held");
    let still = |daemon: &Daemon, when: &str| {
        let now = daemon.claim("1");
        assert_eq!(
            (&now["phase"], &now["fence"]),
            (&held["phase"], &held["fence"]),
            "{when}: it is not taken"
        );
    };
    let refused = |daemon: &Daemon, when: &str| {
        assert_eq!(offered(daemon), "0", "{when}");
        let told = daemon.tell(&["claim", "--need", "sticky=1"]);
        assert_eq!(told.code, 4, "{when}: {told:?}");
        still(daemon, when);
    };
    daemon.tell(&["plugin", "disable", "driver", "sticky"]);
    refused(&daemon, "disabled");
    daemon.tell(&["plugin", "enable", "driver", "sticky"]);
    assert_eq!(offered(&daemon), "4");
    still(&daemon, "enabled");

    fs::remove_file(folder.path().join("libchaos.so")).expect("removed");
    daemon.tell(&["plugin", "reload"]);
    refused(&daemon, "removed");
    install(folder.path(), "libchaos.so", "0.2.0");
    daemon.tell(&["plugin", "reload"]);
    assert_eq!(offered(&daemon), "4");

    fs::remove_file(folder.path().join("libchaos.so")).expect("removed");
    daemon.stop();
    daemon.start();
    refused(&daemon, "started without it");
}

/// What a figure of a plugin comes to; the largest, where several roles are of one name.
fn figure(daemon: &Daemon, plugin: &str, name: &str) -> Option<f64> {
    let (status, told) = daemon.http("GET", "/v1/metrics", "");
    assert_eq!(status, 200);
    let all = told["metrics"].as_array().expect("figures").iter();
    let its = all.filter(|figure| figure["plugin"] == plugin && figure["name"] == name);
    its.filter_map(|figure| figure["value"].as_f64()).max_by(f64::total_cmp)
}

fn is_active(daemon: &Daemon, role: &str) -> bool {
    let listed = daemon.ask(&["plugin", "list"]);
    let mut all = listed["plugins"].as_array().expect("plugins").iter();
    all.any(|plugin| plugin["role"] == role && plugin["id"] == "chaos-talk" && plugin["state"] == "active")
}

#[test]
fn analyzers_metrics_and_rules_come_and_go_while_the_daemon_runs() {
    let folder = TempDir::new().expect("a folder");
    let config = "[plugins]\ndeadline-ms = 500\n[plugins.config.chaos-talk]\nword = \"alive\"\n\
                  [analysis]\nevery = \"50ms\"\n[node.sharing]\nsticky = \"share-exclusive\"\n";
    let plugins = vec![folder.path().into()];
    let daemon = Daemon::with(Setup { plugins, config: config.into(), ..Setup::default() });
    assert!(!is_active(&daemon, "analyzer") && figure(&daemon, "chaos-talk", "talk_words").is_none());
    let unknown = || daemon.tell(&["doctor"]).out.contains("node.sharing.sticky");
    assert!(unknown() && daemon.log().contains("node.sharing.sticky"), "there is no such kind yet");
    // What the host's own metric measures stands beside.
    daemon.eventually("it measures", || figure(&daemon, "host", "host_memory_total_bytes").is_some());

    install(folder.path(), "libchaos.so", "0.1.0");
    daemon.tell(&["plugin", "reload"]);
    assert!(["analyzer", "metric"].iter().all(|role| is_active(&daemon, role)));
    daemon.eventually("what it counts of itself rises", || {
        figure(&daemon, "chaos-talk", "talk_words").is_some_and(|words| words >= 3.0)
    });
    let heard =
        |line: &str| line.contains("it speaks word=\"alive\"") && line.contains("plugin=\"chaos-talk\"");
    assert!(daemon.log().lines().any(heard), "{}", daemon.log());
    let shown = daemon.tell(&["get", "metrics"]).out;
    assert!(shown.contains("talk_words") && shown.contains("host_memory_total_bytes"), "{shown}");
    // The rules are for pools that came with it as well: one holder at a time.
    assert!(!unknown());
    assert_eq!(daemon.tell(&["claim", "--need", "sticky=1"]).code, 0);
    assert_ne!(daemon.tell(&["claim", "--need", "sticky=1"]).code, 0, "it has a holder");

    fs::remove_file(folder.path().join("libchaos.so")).expect("removed");
    daemon.tell(&["plugin", "reload"]);
    let spoken = || daemon.log().matches("it speaks").count();
    let mut last = 0;
    daemon.eventually("nobody asks it any more", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::mem::replace(&mut last, spoken()) == spoken()
    });
}
