//! What is kept for a call is never less than what it costs: whatever its text is made of, and whatever it points at.
use super::{
    BUDGET, Gate, await_spent, config,
    provider::{Provider, Says, call},
    used,
};
use crate::daemon::Daemon;
use serde_json::{Value, json};

/// A provider whose tokenizer makes a token of every byte of text, and adds its own words about tools.
fn dearest() -> Provider {
    Provider::who(|heard| {
        let asked = heard.json();
        let text = asked["messages"][0]["content"].as_str().unwrap_or_default().len() as u64;
        let own = if asked["tools"].is_null() { 0 } else { 700 };
        Says::Document(200, Vec::new(), used(text + own, asked["max_tokens"].as_u64().unwrap_or(0)))
    })
}

/// As JSON may write a text: every character that is not plain as its number.
fn escaped(body: &Value) -> String {
    let units = |c: char| {
        let mut buffer = [0; 2];
        c.encode_utf16(&mut buffer).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    let text = body.to_string();
    text.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect()
}

#[test]
fn a_text_of_dense_tokens_never_costs_more_than_was_kept() {
    let provider = dearest();
    let daemon = Daemon::configured(&config(&provider, "wait = \"200ms\""));
    let gate = Gate::beside(&daemon, &[]);
    // Nearly all of the budget: kept for one byte as one token it fits, and one like it does not fit beside it.
    let dense = "\u{1d4d0}\u{e0041}".repeat(1200);
    let body = json!({ "model": "dear-1", "max_tokens": 10, "tools": [{ "name": "t", "input_schema": {} }],
        "messages": [{ "role": "user", "content": dense }] });
    let cost = (dense.len() as u64 + 700) * 3 + 150;
    assert!(cost <= BUDGET && cost * 2 > BUDGET);
    let answer = call(gate.address, "/anthropic/v1/messages", &[], &escaped(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    await_spent(&daemon, "usd", cost);
    let claims = daemon.ask(&["get", "claims"]);
    let line = &claims["claims"][0]["lines"][0];
    let number = |key: &str| line[key].as_str().and_then(|text| text.parse::<u64>().ok()).expect("digits");
    assert!(number("amount") >= number("used"), "less was kept than it cost: {line}");
    // The rest does not hold another: it is refused before it costs anything.
    let again = call(gate.address, "/anthropic/v1/messages", &[("x-bursar-scope", "b")], &escaped(&body));
    assert_eq!(again.status, 429, "{again:?}");
    assert_eq!(provider.heard().len(), 1);
}

#[test]
fn a_call_that_reads_what_it_does_not_hold_is_kept_a_whole_context_or_does_not_pass() {
    let provider = dearest();
    let known = "max-output = 1000\nmax-input = 2000\nusd = \"acct\"\n[gate.model.price]\ninput = \"3\"";
    let text = config(&provider, "");
    let text =
        text.replacen("max-output = 1000\nusd = \"acct\"\n[gate.model.price]\ninput = \"3\"", known, 1);
    assert!(text.contains(known), "{text}");
    let daemon = Daemon::configured(&text);
    let gate = Gate::beside(&daemon, &[]);
    let document = json!({ "type": "document", "source": { "type": "url", "url": "https://x/a.pdf" } });
    let body = json!({ "model": "dear-1", "max_tokens": 10,
        "messages": [{ "role": "user", "content": [document] }] });
    assert_eq!(gate.call("/anthropic/v1/messages", &body).status, 200, "{}", gate.log());
    let kept = &daemon.ask(&["get", "claims"])["claims"][0]["lines"][0]["amount"].clone();
    assert_eq!(kept, &json!((2000 * 3 + 10 * 15).to_string()));
    let body = json!({ "model": "gpt", "previous_response_id": "resp_1", "input": "and then?" });
    let refused = gate.call("/openai/v1/responses", &body);
    let message = refused.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(refused.status == 403 && message.contains("max-input"), "{message}");
    assert_eq!(provider.heard().len(), 1);
}
