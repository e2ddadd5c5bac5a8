//! What those who administer do is written down, and what is refused as well.
use crate::{
    access::{House, filled, token},
    daemon::Daemon,
};
use serde_json::{Value, json};

/// The acts that are written down.
fn acts(daemon: &Daemon, since: u64) -> Vec<Value> {
    let (status, log) = daemon.http("GET", &format!("/v1/audit?since={since}&limit=1000"), "");
    assert_eq!(status, 200, "{log}");
    log["audit"].as_array().expect("rows").clone()
}

fn last(daemon: &Daemon) -> u64 {
    acts(daemon, 0).last().and_then(|row| row["seq"].as_str()?.parse().ok()).unwrap_or(0)
}

#[test]
fn every_administrative_route_leaves_an_entry_carried_out_or_refused() {
    let house =
        House::with(&[token("reads", "", &["read"], ""), token("operates", "", &["operate"], "")].concat());
    let document = house.daemon.http("GET", "/v1/openapi.json", "").1;
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            if operation["x-verb"] != "operate" {
                continue;
            }
            let (method, path) = (method.to_uppercase(), filled(path));
            // A stranger, one whose token is not good for it, one whose is, and one on this machine.
            for (secret, status) in
                [(Some("wrong"), 401), (Some("reads"), 403), (Some("operates"), 0), (None, 0)]
            {
                let before = last(&house.daemon);
                let status = match secret {
                    Some(_) => {
                        let told = house.ask(&method, &path, secret, "{\"colour\":1}").0;
                        assert!(status == 0 || status == told, "{method} {path} as {secret:?}: {told}");
                        told
                    }
                    None => house.daemon.http(&method, &path, "{\"colour\":1}").0,
                };
                let rows = acts(&house.daemon, before);
                let [row] = rows.as_slice() else { panic!("{method} {path} as {secret:?}: {rows:?}") };
                assert_eq!(
                    (&row["act"], &row["status"]),
                    (&format!("{method} {path}").into(), &status.into())
                );
                assert_eq!(row["reason"].is_null(), status < 400, "{row}");
                let door = if secret.is_some() { "tcp" } else { "unix" };
                let past = ![401, 403].contains(&status);
                assert_eq!((&row["door"], row["uid"].is_null()), (&door.into(), !past), "{row}");
                assert_eq!(row["token"].is_string(), past && secret.is_some(), "{row}");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn who_did_what_when_is_told_survives_a_restart_and_is_the_administrators_business() {
    let mut house = House::with(&token("tenant", "team", &["read", "claim"], ""));
    let body = json!({ "quotas": [{ "scope": "team", "resource": "cpu", "limit": "2000" }] }).to_string();
    assert_eq!(house.daemon.http("POST", "/v1/apply", &body).0, 200);
    let claim = house.daemon.http("POST", "/v1/claims", r#"{"lines":[{"resource":"cpu","amount":"1"}]}"#).1;
    let id = claim["claim"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(house.daemon.http("POST", &format!("/v1/claims/{id}/cancel"), "").0, 200);
    let ended = json!({ "operations": [{ "cancel": { "id": "77" } }] }).to_string();
    assert_eq!(house.daemon.http("POST", "/v1/batch", &ended).0, 200);
    let rows = acts(&house.daemon, 0);
    let told: Vec<&str> = rows.iter().filter_map(|row| row["act"].as_str()).collect();
    assert_eq!(told, ["POST /v1/apply", &format!("POST /v1/claims/{id}/cancel"), "POST /v1/batch"]);
    assert_eq!((&rows[0]["body"], &rows[2]["body"]), (&body.as_str().into(), &"cancel 77".into()));
    assert_eq!((&rows[2]["status"], &rows[2]["reason"]), (&404.into(), &"UnknownClaim".into()));
    assert_eq!(rows[0]["pid"], std::process::id(), "{rows:?}");
    assert!(rows[0]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{rows:?}");
    // A tenant ends what is its own: that is no act of an administrator's.
    assert!(house.ask("POST", &format!("/v1/claims/{id}/cancel"), Some("tenant"), "").0 >= 400);
    let seen = house.ask("GET", "/v1/audit", Some("tenant"), "").1;
    assert!(seen.contains("\"audit\":[]"), "{seen}");
    let table = house.daemon.tell(&["get", "audit"]);
    assert!(
        table.code == 0 && table.out.contains("ACT") && table.out.contains("POST /v1/apply"),
        "{table:?}"
    );
    house.daemon.kill();
    house.daemon.start();
    assert_eq!(acts(&house.daemon, 0), rows, "what was answered is there after a crash");
    assert_eq!(house.daemon.http("PUT", "/v1/scopes/team", r#"{"weight":3}"#).0, 200);
    assert_eq!(last(&house.daemon), 4);
}

#[test]
fn each_cancel_of_a_batch_is_written_down_with_what_came_of_it() {
    let daemon = Daemon::plain();
    let claim = daemon.http("POST", "/v1/claims", r#"{"lines":[{"resource":"cpu","amount":"1"}]}"#).1;
    let id = claim["claim"]["id"].as_str().expect("an id").to_owned();
    let cancel = |id: &str| json!({ "cancel": { "id": id } });
    let ask = json!({ "ask": { "lines": [{ "resource": "cpu", "amount": "1" }] } });
    let body = json!({ "operations": [cancel("77777"), ask, cancel(&id)] }).to_string();
    let (status, answer) = daemon.http("POST", "/v1/batch", &body);
    assert_eq!((status, &answer["answers"][0]["error"]["reason"]), (200, &"UnknownClaim".into()));
    let rows = acts(&daemon, 0);
    let told: Vec<_> =
        rows.iter().map(|row| (&row["act"], &row["body"], &row["status"], &row["reason"])).collect();
    let act = Value::from("POST /v1/batch");
    let (refused, done) = (Value::from("cancel 77777"), Value::from(format!("cancel {id}")));
    assert_eq!(
        told,
        [(&act, &refused, &404.into(), &"UnknownClaim".into()), (&act, &done, &200.into(), &Value::Null)]
    );
}
