//! Rates and budgets through the whole program: many spend at once, and nobody beyond what there is.
use crate::daemon::Daemon;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[[pool]]
resource = "usd"
name = "acct"
capacity = "1usd/d"

[[pool]]
resource = "tokens"
name = "acct/model"
capacity = "60k/m"
burst = "10k"

[[scope]]
path = "team"
weight = 3

[[quota]]
scope = "team"
resource = "usd"
limit = "0.40/d"
borrow-limit = "0.30"
"#;

fn ask(daemon: &Daemon, scope: &str, lines: Value) -> (u16, Value) {
    let (status, answer) = daemon.http(
        "POST",
        "/v1/claims",
        &json!({ "scope": scope, "ttl": "1h", "lines": lines }).to_string(),
    );
    (status, answer)
}

fn pool(daemon: &Daemon, resource: &str) -> Value {
    let pools = daemon.ask(&["get", "pools"]);
    let pools = pools["pools"].as_array().expect("pools").clone();
    pools.into_iter().find(|pool| pool["resource"] == resource).expect("the pool")
}

#[test]
fn of_sixty_four_who_spend_at_once_only_those_get_through_for_whom_it_is_enough() {
    let daemon = Daemon::configured(CONFIG);
    let granted: usize = std::thread::scope(|scope| {
        let spenders: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    let lines = json!([{ "resource": "usd", "pool": "acct", "amount": "600000" }]);
                    usize::from(ask(&daemon, "solo", lines).1["claim"]["phase"] == "held")
                })
            })
            .collect();
        spenders.into_iter().map(|spender| spender.join().expect("no panic")).sum()
    });
    assert_eq!(granted, 1, "a dollar is enough for one of them");
    let usd = pool(&daemon, "usd");
    assert_eq!(
        (&usd["held"], &usd["spent"], &usd["shape"]),
        (&json!("600000"), &json!("0"), &json!("budget"))
    );
    let claims = daemon.ask(&["get", "claims"]);
    let holder = claims["claims"].as_array().expect("claims").iter().find(|claim| claim["phase"] == "held");
    let holder = holder.expect("the holder").clone();
    let (id, fence) = (holder["id"].as_str().expect("an id"), holder["fence"].as_str().expect("a fence"));
    // What was really used takes the place of the estimate, also when it is told twice.
    for used in ["usd:acct=0.25", "usd:acct=0.20"] {
        assert_eq!(daemon.tell(&["settle", id, "--fence", fence, used]).code, 0);
    }
    let usd = pool(&daemon, "usd");
    assert_eq!((&usd["held"], &usd["spent"]), (&json!("0"), &json!("200000")));
    let lines = |amount: &str| json!([{ "resource": "usd", "pool": "acct", "amount": amount }]);
    let (status, over) = ask(&daemon, "solo", lines("800001"));
    assert_eq!((status, &over["error"]["reason"]), (409, &json!("BudgetExhausted")), "{over}");
    let wait = over["error"]["retry_after_ms"].as_u64().expect("when the day ends");
    assert!((86_000_000..=86_400_000).contains(&wait), "{wait}");
    // A child never spends beyond its parent's slice: what it may hold, borrowed or not.
    assert_eq!(ask(&daemon, "team/a", lines("300001")).1["error"]["reason"], "InsufficientQuota");
    assert_eq!(ask(&daemon, "team/a", lines("200000")).1["claim"]["phase"], "held");
    assert_eq!(ask(&daemon, "team/b", lines("100001")).1["error"]["reason"], "BudgetExhausted");
    assert_eq!(ask(&daemon, "team/b", lines("100000")).1["claim"]["phase"], "held");
}

#[test]
fn who_asks_for_a_rate_hears_exactly_when() {
    let daemon = Daemon::configured(CONFIG);
    let lines = |amount: &str| json!([{ "resource": "tokens", "pool": "acct/model", "amount": amount }]);
    let since = std::time::Instant::now();
    assert_eq!(ask(&daemon, "", lines("10000")).1["claim"]["phase"], "held");
    let (status, refused) = ask(&daemon, "", lines("2000"));
    assert_eq!((status, &refused["error"]["reason"]), (429, &json!("RateLimited")), "{refused}");
    assert!(refused["error"]["message"].as_str().expect("words").ends_with("for want of tokens:acct/model"));
    let wait = refused["error"]["retry_after_ms"].as_u64().expect("when it is back");
    // What came back before it was refused is not waited for.
    let least = 2000_u64.saturating_sub(since.elapsed().as_millis() as u64);
    assert!((least..=2000).contains(&wait), "a thousand a second come back: {wait}");
    std::thread::sleep(std::time::Duration::from_millis(wait));
    // Whoever looks sees what came back meanwhile, though nobody asked for anything.
    let spent = pool(&daemon, "tokens")["spent"].as_str().and_then(|spent| spent.parse::<u64>().ok());
    assert!(spent.expect("a number") <= 10_000 - wait, "{spent:?} after {wait} ms");
    assert_eq!(ask(&daemon, "", lines("2000")).1["claim"]["phase"], "held");
    // Whoever waits is served by time alone.
    let body = json!({ "wait": "20s", "ttl": "1h", "lines": lines("3000") });
    assert_eq!(daemon.http("POST", "/v1/claims", &body.to_string()).1["claim"]["phase"], "held");
    let (status, never) = ask(&daemon, "", lines("10001"));
    assert_eq!((status, &never["error"]["reason"]), (422, &json!("NeverFits")), "{never}");
}

#[test]
fn who_asks_for_a_rate_that_is_overdrawn_hears_when_its_debt_is_paid() {
    let daemon = Daemon::configured(CONFIG);
    let lines = |amount: &str| json!([{ "resource": "tokens", "pool": "acct/model", "amount": amount }]);
    let held = ask(&daemon, "", lines("10000")).1["claim"].clone();
    let (id, fence) = (held["id"].as_str().expect("an id"), held["fence"].as_str().expect("a fence"));
    let since = std::time::Instant::now();
    assert_eq!(daemon.tell(&["settle", id, "--fence", fence, "tokens:acct/model=60000"]).code, 0);
    let (status, refused) = ask(&daemon, "", lines("1"));
    assert_eq!((status, &refused["error"]["reason"]), (429, &json!("RateLimited")), "{refused}");
    let wait = refused["error"]["retry_after_ms"].as_u64().expect("when it is back");
    // Of the 60,000 some came back since the grant, which was before that.
    let least = 49_000_u64.saturating_sub(since.elapsed().as_millis() as u64);
    assert!((least..=50_001).contains(&wait), "50,000 are owed, a thousand a second: {wait}");
}
