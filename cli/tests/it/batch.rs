//! Many operations in one request.
use crate::daemon::Daemon;
use bursar_wire::{Claim, Operation, Outcome};
use serde_json::{Value, json};

fn operations(operations: Value) -> Vec<Operation> {
    serde_json::from_value(operations).expect("operations")
}

fn ask(milli: u64) -> Value {
    json!({ "ask": { "lines": [{ "resource": "cpu", "amount": milli.to_string() }] } })
}

fn done(outcome: &Outcome) -> &Claim {
    match outcome {
        Outcome::Done(answer) => &answer.claim,
        Outcome::Refused(problem) => panic!("{}", problem.error),
    }
}

fn refused(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::Refused(problem) => (&problem.error.reason, &problem.error.message),
        Outcome::Done(answer) => panic!("{:?}", answer.claim),
    }
}

#[test]
fn answers_come_in_order_and_what_is_refused_holds_up_nobody() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"4\"\n");
    let mut client = daemon.client();
    let first = client.batch(&operations(json!([ask(1000), ask(500)]))).expect("answers");
    let (one, two) = (done(&first[0]).clone(), done(&first[1]).clone());
    assert_eq!((one.id, two.id, one.phase.as_str()), (1, 2, "held"));
    let (fence, other) = (one.fence.expect("held"), two.fence.expect("held"));
    let mixed = operations(json!([
        { "settle": { "id": "1", "fence": fence.to_string(), "used": [{ "resource": "cpu", "amount": "7" }] } },
        { "release": { "id": "2", "fence": "1" } },
        { "ask": { "lines": [{ "resource": "cpu", "amount": "-1" }] } },
        { "ask": { "lines": [{ "resource": "mana", "amount": "1" }] } },
        { "ask": { "lines": [{ "resource": "cpu", "amount": "4000" }] } },
        { "ask": { "lines": [{ "resource": "cpu", "amount": "100" }], "wait": "1s" } },
        { "ask": { "lines": [{ "resource": "cpu", "amount": "3000" }], "wait": "1h", "detach": true } },
        { "renew": { "id": "1", "fence": fence.to_string(), "ttl": "2h" } },
        { "cancel": { "id": "99" } },
        { "release": { "id": "2", "fence": other.to_string() } },
        { "release": { "id": "2", "fence": other.to_string() } },
    ]));
    let answers = client.batch(&mixed).expect("answers");
    assert_eq!(answers.len(), mixed.len());
    assert_eq!(done(&answers[0]).lines[0].used, Some(7));
    assert_eq!(refused(&answers[1]).0, "StaleFence");
    assert!(refused(&answers[2]).1.contains("-1"));
    assert_eq!(refused(&answers[3]).0, "UnknownResource");
    assert_eq!(refused(&answers[4]).0, "InsufficientCapacity");
    assert!(refused(&answers[5]).1.contains("does not wait"));
    assert_eq!(done(&answers[7]).id, 1);
    assert_eq!(refused(&answers[8]).0, "UnknownClaim");
    assert_eq!(done(&answers[9]).ending.as_deref(), Some("released"));
    assert_ne!(refused(&answers[10]).0, "", "given back twice");
    assert_eq!(done(&answers[6]).phase, "held", "a batch is one moment: what it gives back is there for it");
    assert_eq!(daemon.taken(), 4000);
}

#[test]
fn a_full_batch_is_one_step() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"64\"\n");
    let all: Vec<Value> = (0..bursar_wire::OPERATIONS_MAX).map(|_| ask(10)).collect();
    let answers = daemon.client().batch(&operations(all.into())).expect("answers");
    assert_eq!(answers.len(), bursar_wire::OPERATIONS_MAX);
    let ids: Vec<u64> = answers.iter().map(|answer| done(answer).id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "in order, each its own");
    // Times are reckoned back from when they are shown, so they may be off by a millisecond.
    let asked = answers.iter().map(|answer| {
        let at: jiff::Timestamp = done(answer).asked_at.as_deref().expect("a time").parse().expect("a time");
        at.as_millisecond()
    });
    let asked: Vec<i64> = asked.collect();
    let (first, last) = (asked.iter().min().expect("many"), asked.iter().max().expect("many"));
    assert!(last - first <= 2, "one step is one moment: {first} to {last}");
}

#[test]
fn the_same_key_is_the_same_claim_within_a_batch_and_after_it() {
    let daemon = Daemon::plain();
    let keyed = json!({ "ask": { "key": "once", "lines": [{ "resource": "cpu", "amount": "10" }] } });
    let batch = operations(json!([keyed, ask(10), keyed]));
    let first = daemon.client().batch(&batch).expect("answers");
    let again = daemon.client().batch(&batch).expect("answers");
    let id = |answers: &[Outcome], n: usize| done(&answers[n]).id;
    assert_eq!(id(&first, 0), id(&first, 2));
    assert_eq!(id(&first, 0), id(&again, 0));
    assert_ne!(id(&first, 1), id(&again, 1), "without a key it is another");
    let header =
        daemon.keyed("POST", "/v1/claims", &keyed["ask"].to_string(), &[("Idempotency-Key", "other")]);
    assert_ne!(header.1["claim"]["id"], id(&first, 0).to_string(), "a header comes first");
}

#[test]
fn what_cannot_be_read_carries_nothing_out() {
    let daemon = Daemon::plain();
    let good = ask(10).to_string();
    let many = vec![good.as_str(); bursar_wire::OPERATIONS_MAX + 1].join(",");
    let nested = format!("{{\"ask\":{{\"lines\":{}{}}}}}", "[".repeat(400), "]".repeat(400));
    for (operations, told) in [
        (many.as_str(), "more than 1024"),
        ("", "nothing to do"),
        (&format!("{good},{{\"steal\":{{}}}}"), "steal"),
        (&format!("{good},{{\"batch\":{{\"operations\":[{good}]}}}}"), "batch"),
        (&format!("{good},{nested}"), "deeper"),
        (&format!("{good},{{\"release\":{{\"id\":\"1\"}}}}"), "fence"),
        (&format!("{good},{{\"release\":{{\"id\":\"1\",\"id\":\"2\",\"fence\":\"1\"}}}}"), "twice"),
        (&format!("{good},7"), "operations[1]"),
    ] {
        let (status, answer) =
            daemon.http("POST", "/v1/batch", &format!("{{\"operations\":[{operations}]}}"));
        assert_eq!(status, 400, "{told}: {answer}");
        assert!(
            answer["error"]["message"].as_str().is_some_and(|why| why.contains(told)),
            "{told}: {answer}"
        );
    }
    assert_eq!(daemon.http("GET", "/v1/batch", "").0, 405);
    assert_eq!(daemon.ask(&["get", "claims"])["claims"], json!([]));
}

#[test]
fn a_batch_whose_asker_has_left_is_kept_or_withdrawn_as_one() {
    use std::io::Write;
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"64\"\n");
    // It is gone before, or while, or after its batch is carried out.
    for _ in 0..20 {
        let body = json!({ "operations": vec![ask(1); 200] }).to_string();
        let mut leaver = std::os::unix::net::UnixStream::connect(daemon.socket()).expect("connected");
        write!(leaver, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    }
    // Whoever had an answer on the way to it has it, and its claims with it; all or none of a batch.
    let settled = || daemon.ask(&["get", "pools"]).to_string();
    daemon.eventually("it comes to rest", || {
        let before = settled();
        // What is withdrawn comes back in more than one step, which on a busy machine are some time apart.
        std::thread::sleep(std::time::Duration::from_secs(1));
        before == settled()
    });
    assert_eq!(daemon.taken() % 200, 0, "a batch is kept or withdrawn as one");
}
