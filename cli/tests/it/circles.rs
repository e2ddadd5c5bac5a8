//! Who waits while holding, with real processes: a ring, a ladder and dining philosophers. Of those who would wait
//! for each other forever one is told so at once, and all others go on.
use crate::daemon::{Daemon, Told, program, told};
use serde_json::json;
use std::{fs, path::Path, process::Command, thread};

/// How many there are around each table.
const SEATS: usize = 5;
/// How often each philosopher eats.
const MEALS: usize = 8;

/// A shell with the program, a place for its files, and its number.
fn shell(daemon: &Daemon, seat: usize, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(daemon.scratch.path());
    command.env("BURSAR_SOCKET", daemon.socket()).env("B", program());
    command.env("SEAT", seat.to_string()).env("NEXT", ((seat + 1) % SEATS).to_string());
    command.env("SEATS", SEATS.to_string()).env("MEALS", MEALS.to_string());
    command
}

/// All seats at once, each to its end.
fn seated(daemon: &Daemon, script: &str) -> Vec<Told> {
    let start = |seat| shell(daemon, seat, script);
    let running: Vec<_> = (0..SEATS)
        .map(|seat| {
            thread::spawn({
                let shell = start(seat);
                move || told(shell)
            })
        })
        .collect();
    running.into_iter().map(|seat| seat.join().expect("a seat")).collect()
}

fn count(told: &[Told], word: &str) -> usize {
    told.iter().map(|told| told.err.matches(word).count()).sum()
}

fn deadlocked(daemon: &Daemon) -> usize {
    let events = daemon.ask(&["get", "events"]);
    events["events"].as_array().expect("events").iter().filter(|event| event["kind"] == "deadlocked").count()
}

/// Waits until everybody around the table is in a lease.
const EVERYBODY: &str = "touch in-$SEAT; while [ $(ls in-* | wc -l) -lt $SEATS ]; do sleep 0.02; done";

#[test]
fn of_a_ring_one_is_refused_at_once_and_the_others_go_on() {
    let daemon = Daemon::plain();
    let inner = format!("{EVERYBODY}; $B run --wait 600s --lock fork-$NEXT -- true; echo $? > out-$SEAT");
    let told = seated(&daemon, &format!("$B run --lock fork-$SEAT --scope seat-$SEAT -- sh -c '{inner}'"));
    let out =
        |seat: usize| fs::read_to_string(daemon.scratch.path().join(format!("out-{seat}"))).expect("an end");
    let codes: Vec<String> = (0..SEATS).map(|seat| out(seat).trim().to_owned()).collect();
    let refused: Vec<usize> = (0..SEATS).filter(|&seat| codes[seat] == "125").collect();
    assert!(
        refused.len() == 1 && codes.iter().filter(|code| *code == "0").count() == SEATS - 1,
        "{codes:?} {told:?}"
    );
    let message = &told[refused[0]].err;
    // Who lives in a lease sees what is below it: its own claim, and the lease that it holds.
    let own = format!("of seat-{}, which is kept until", refused[0]);
    assert!(message.contains("Deadlock: claim ") && message.contains(&own), "{message}");
    assert!(message.contains("give back lease"), "{message}");
    let others = (0..SEATS).filter(|&seat| seat != refused[0]);
    others.for_each(|seat| assert!(!message.contains(&format!("seat-{seat}")), "{message}"));
    assert!(message.contains("another tenant's lease"), "{message}");
    // Who sees all is told all of it.
    let events = daemon.ask(&["get", "events"]);
    let events = events["events"].as_array().expect("events").clone();
    let told = events.iter().find(|event| event["kind"] == "deadlocked").expect("it is told");
    let id = told["claim"].as_str().expect("an id");
    let closed = daemon.claim(id);
    assert_eq!((&closed["reason"], &closed["ending"]), (&json!("Deadlock"), &json!("deadlock")));
    let explained = daemon.ask(&["explain", id]);
    let circle = explained["circle"].as_array().expect("a circle");
    assert_eq!(circle.len(), SEATS, "{circle:?}");
    for (at, link) in circle.iter().enumerate() {
        let fork = format!("fork-{}", (refused[0] + 1 + at) % SEATS);
        assert_eq!((&link["resource"], &link["pool"]), (&json!("lock"), &json!(fork)), "{circle:?}");
    }
    assert_eq!(deadlocked(&daemon), 1);
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn nobody_on_a_ladder_is_refused() {
    let daemon = Daemon::plain();
    // The last one asks for a rung that nobody on the ladder holds, though one who waits for nothing does.
    let top = daemon.ask(&["claim", "--lock", "top", "--ttl", "10m"]);
    let (id, fence) = (top["claim"]["id"].clone(), top["claim"]["fence"].clone());
    let rung = "if [ $NEXT = 0 ]; then RUNG=top; else RUNG=rung-$NEXT; fi";
    let inner = format!("{EVERYBODY}; {rung}; $B run --wait 600s --lock $RUNG -- true");
    let waits = || {
        let claims = daemon.ask(&["get", "claims"]);
        let claims = claims["claims"].as_array().expect("claims").clone();
        claims.iter().filter(|claim| claim["phase"] == "pending").count()
    };
    let ends = thread::scope(|scope| {
        let all = scope.spawn(|| {
            seated(&daemon, &format!("$B run --lock rung-$SEAT --scope seat-$SEAT -- sh -c '{inner}'"))
        });
        daemon.eventually("all wait", || waits() == SEATS);
        let give_back = [id.as_str().expect("an id"), "--fence", fence.as_str().expect("a fence")];
        assert_eq!(daemon.tell(&[&["release"], &give_back[..]].concat()).code, 0);
        all.join().expect("all ended")
    });
    assert!(ends.iter().all(|told| told.code == 0), "{ends:?}");
    assert_eq!((deadlocked(&daemon), daemon.taken()), (0, 0));
}

#[test]
fn philosophers_all_eat_and_only_those_refused_begin_again() {
    let daemon = Daemon::plain();
    let eat = "$B run --wait 600s --lock fork-$NEXT -- true || exit 9";
    let script = format!(
        "meals=0; while [ $meals -lt $MEALS ]; do \
           $B run --wait 600s --lock fork-$SEAT --scope seat-$SEAT -- sh -c '{eat}'; \
           case $? in 0) meals=$((meals+1));; 9) echo again >&2;; *) exit 1;; esac; \
         done"
    );
    let ends = seated(&daemon, &script);
    assert!(ends.iter().all(|told| told.code == 0), "{ends:?}");
    let (again, refused) = (count(&ends, "again"), count(&ends, "Deadlock: "));
    eprintln!("{} meals, {again} begun again", SEATS * MEALS);
    assert_eq!((again, refused), (deadlocked(&daemon), again));
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn leases_held_by_hand_are_named_and_another_tenants_are_not() {
    let daemon = Daemon::plain();
    let hold = |lock: &str| daemon.ask(&["claim", "--lock", lock, "--ttl", "10m"])["claim"]["id"].clone();
    let (a, b) = (hold("a"), hold("b"));
    let (a, b) = (a.as_str().expect("an id"), b.as_str().expect("an id"));
    let body = json!({"lines": [{"resource": "lock", "pool": "b", "whole": true}], "wait": "600s", "detach": true, "holding": [a]});
    let (status, waits) = daemon.http("POST", "/v1/claims", &body.to_string());
    assert_eq!((status, &waits["claim"]["phase"]), (202, &json!("pending")), "{waits}");
    let told = daemon.tell(&["claim", "--lock", "a", "--wait", "600s", "--holding", b]);
    assert_eq!(told.code, 4, "{told:?}");
    let sentence = format!(
        "waits for lock a, held by lease {a}, whose holder waits with claim {} for lock b, held by lease {b}, which",
        waits["claim"]["id"].as_str().expect("an id")
    );
    assert!(told.err.contains(&sentence), "{told:?}");
    for detach in [false, true] {
        let body = json!({"lines": [{"resource": "lock", "pool": "a"}], "wait": "600s", "detach": detach, "holding": [b], "key": "k"});
        let (status, answer) = daemon.http("POST", "/v1/claims", &body.to_string());
        assert_eq!((status, &answer["error"]["reason"]), (409, &json!("Deadlock")), "{answer}");
    }
    let bad = daemon.tell(&["claim", "--lock", "a", "--wait", "1s", "--holding", "first"]);
    assert!(bad.code == 2 && bad.err.contains("first"), "{bad:?}");
    assert!(Path::new(&daemon.socket()).exists());
}
