//! What is said to be granted now, asked for as it is said: it is granted, and one unit more is not. For one who has
//! no choice, for each of several sets of lines, for a gang, and within a lease.
use crate::daemon::Daemon;
use serde_json::Value;

const CONFIG: &str = "[node.capacity]\ncpu = \"2\"\nmemory = \"256M\"\n";

fn waits(daemon: &Daemon, ask: &[&str]) -> String {
    let claim = daemon.ask(&[&["claim", "--detach", "--wait", "1h"], ask].concat())["claim"].clone();
    assert_eq!(claim["phase"], "pending", "{claim}");
    claim["id"].as_str().expect("an id").to_owned()
}

fn explained(daemon: &Daemon, id: &str) -> (Value, Vec<Value>) {
    let told = daemon.ask(&["explain", id]);
    let changes = told["would_admit"].as_array().expect("changes").clone();
    assert!(!changes.is_empty(), "{told}");
    (told, changes)
}

/// The options of a change, with a line that may grow by one unit.
fn options(change: &Value, more: Option<&str>) -> Vec<String> {
    let lines = change["lines"].as_array().expect("lines").iter();
    let option = |line: &Value| {
        let text = |key: &str| line[key].as_str().expect("text").to_owned();
        let amount: u64 = text("amount").parse().expect("digits");
        let unit = if text("resource") == "cpu" { "m" } else { "" };
        let amount = amount + u64::from(more == Some(&text("resource")));
        [format!("--{}", text("resource")), format!("{amount}{unit}")]
    };
    lines.flat_map(option).collect()
}

/// Cancels a claim and asks for the change in its place, and for more of the kind that was made less.
fn is_as_said(daemon: &Daemon, change: &Value, less: &str, as_who: &[&str]) {
    let claim = |more| {
        let options = options(change, more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        daemon.tell(&[&["claim", "-o", "json"], as_who, &options[..]].concat())
    };
    let above = claim(Some(less));
    assert_ne!(above.code, 0, "one unit more is granted too: {change}");
    let granted = claim(None);
    assert_eq!(granted.code, 0, "{change}: {granted:?}");
    let written = change["options"].as_str().expect("options").split(' ').collect::<Vec<_>>();
    assert!(written.contains(&"--cpu"), "{change}");
    let id = granted.json()["claim"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(daemon.tell(&["cancel", &id]).code, 0);
}

#[test]
fn a_change_of_each_set_of_lines_is_granted_and_one_unit_more_is_not() {
    let daemon = Daemon::configured(CONFIG);
    assert_eq!(daemon.tell(&["claim", "--cpu", "1200m", "--scope", "held"]).code, 0);
    let id = waits(&daemon, &["--cpu", "1900m", "--or", "cpu=1,memory=64M", "--or", "cpu=1500m,memory=200M"]);
    let (told, changes) = explained(&daemon, &id);
    let sets = told["alternatives"].as_array().expect("sets").iter();
    let sets: Vec<(u64, &str)> = sets
        .map(|set| {
            (
                set["alternative"].as_u64().expect("one"),
                set["waiting_on"][0]["short_by"].as_str().expect("digits"),
            )
        })
        .collect();
    assert_eq!(sets, [(1, "200"), (2, "700")], "{told}");
    assert_eq!(told["waiting_on"][0]["short_by"], "1100", "{told}");
    let of: Vec<u64> = changes.iter().map(|change| change["alternative"].as_u64().expect("a set")).collect();
    assert_eq!(of, [1, 2, 0], "whose that gives up least comes first: {told}");
    let table = daemon.tell(&["explain", &id]).out;
    assert!(table.contains("alternative 2: InsufficientCapacity") && table.contains("--cpu 0.8"), "{table}");
    assert_eq!(daemon.tell(&["cancel", &id]).code, 0);
    changes.iter().for_each(|change| is_as_said(&daemon, change, "cpu", &[]));
}

#[test]
fn a_gang_is_explained_as_a_whole_and_what_is_within_a_lease_by_that_lease() {
    let daemon = Daemon::configured(CONFIG);
    assert_eq!(daemon.tell(&["claim", "--cpu", "1", "--scope", "held"]).code, 0);
    let gang = ["--cpu", "700m", "--scope", "crew", "--gang", "crew:2"];
    let [first, second] = [0, 1].map(|_| waits(&daemon, &gang));
    let (told, changes) = explained(&daemon, &second);
    assert_eq!(
        (&told["reason"], &told["waiting_on"][0]["short_by"]),
        (&"WaitingForGang".into(), &"400".into())
    );
    assert_eq!(told["waiting_on"][0]["holders"][0]["scope"], "held", "{told}");
    assert_eq!(changes[0]["lines"][0]["amount"], "300", "beside the 700 of the other: {told}");
    assert_eq!(daemon.tell(&["cancel", &second]).code, 0);
    let member = |cpu: &str| {
        let ask = ["claim", "--scope", "crew", "--gang", "crew:2", "--cpu", cpu];
        daemon.tell(&ask).code
    };
    assert_ne!(member("301m"), 0, "one unit more");
    assert_eq!(member("300m"), 0);
    assert_eq!(daemon.claim(&first)["phase"], "held");

    let daemon = Daemon::configured(CONFIG);
    let outer = daemon.ask(&["claim", "--cpu", "1", "--scope", "agent"])["claim"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let within = ["--within", outer.as_str()];
    assert_eq!(daemon.tell(&[&["claim", "--cpu", "600m", "--scope", "one"], &within[..]].concat()).code, 0);
    let id = waits(&daemon, &[&["--cpu", "500m", "--scope", "two"], &within[..]].concat());
    let (told, changes) = explained(&daemon, &id);
    assert_eq!(told["waiting_on"][0]["short_by"], "100", "{told}");
    assert_eq!(told["waiting_on"][0]["holders"][0]["scope"], "agent/one", "{told}");
    assert_eq!(changes[0]["lines"][0]["amount"], "400", "though another processor is free: {told}");
    assert_eq!(daemon.tell(&["cancel", &id]).code, 0);
    is_as_said(&daemon, &changes[0], "cpu", &within);
}

#[test]
fn a_gang_that_is_short_of_room_in_a_quota_is_told_which_and_whom_it_waits_for() {
    let quota = "[[quota]]\nscope = \"crew\"\nresource = \"cpu\"\nlimit = \"1500m\"\n";
    let daemon = Daemon::configured(&format!("{CONFIG}{quota}"));
    assert_eq!(daemon.tell(&["claim", "--cpu", "300m", "--scope", "crew/one"]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "200m", "--scope", "other"]).code, 0);
    let gang = ["--cpu", "700m", "--scope", "crew", "--gang", "crew:2"];
    let [first, second] = [0, 1].map(|_| waits(&daemon, &gang));
    for id in [&first, &second] {
        let told = daemon.ask(&["explain", id]);
        assert_eq!(told["reason"], "InsufficientQuota", "{told}");
        let short = &told["waiting_on"][0];
        assert_eq!((&short["short_by"], &short["quota"]), (&"200".into(), &"crew".into()), "{told}");
        let holders = short["holders"].as_array().expect("holders");
        assert_eq!(holders.len(), 1, "whoever is beside it holds none of it: {told}");
        assert_eq!(holders[0]["scope"], "crew/one", "{told}");
    }
    assert_eq!(daemon.tell(&["cancel", &first]).code, 0);
    let third =
        daemon.tell(&["claim", "--cpu", "801m", "--scope", "crew", "--gang", "crew:2", "--wait", "1h"]);
    assert!(third.code != 0 && third.err.contains("the members of gang"), "{third:?}");
}
