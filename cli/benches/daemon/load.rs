//! Clients that ask and release, alone or in batches, and what they saw.
use bursar_wire::{Client, Operation};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How long one round lasts.
pub(crate) const SPAN: Duration = Duration::from_millis(400);

/// One round of a load.
pub(crate) struct Round {
    /// Calls per second.
    pub(crate) rate: f64,
    /// Of 99 calls of 100 the longest, in milliseconds.
    pub(crate) p99_ms: f64,
}

/// A round of so many clients, each one call at a time.
pub(crate) fn round<F: FnMut() + Send>(clients: usize, make: impl Fn() -> F) -> Round {
    let mut all: Vec<F> = (0..clients).map(|_| make()).collect();
    // The first call of each opens its connection.
    all.iter_mut().for_each(|client| client());
    let start = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let running: Vec<_> =
            all.iter_mut().map(|client| scope.spawn(move || calls(start, client))).collect();
        running.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let rate = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort();
    Round { rate, p99_ms: took[took.len() * 99 / 100].as_secs_f64() * 1e3 }
}

fn calls(start: Instant, client: &mut impl FnMut()) -> Vec<Duration> {
    let mut took = Vec::new();
    while start.elapsed() < SPAN {
        let since = Instant::now();
        client();
        took.push(since.elapsed());
    }
    took
}

/// What is asked for.
pub(crate) fn body() -> Value {
    json!({ "lines": [{ "resource": "cpu", "amount": "1" }, { "resource": "memory", "amount": "4096" }] })
}

/// Has the same sent back.
pub(crate) fn echo_client(socket: &Path) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    move || {
        client.send::<Value>("POST", "/echo", &body(), None).expect("an answer");
    }
}

/// What a client reads of an answer: what it needs to give back.
#[derive(Deserialize)]
struct Granted {
    claim: Lease,
}

#[derive(Deserialize)]
struct Lease {
    id: String,
    fence: String,
}

/// Answers to a batch, as far as they are read.
#[derive(Deserialize)]
struct Answers {
    answers: Vec<Granted>,
}

/// Asks and releases in turn.
pub(crate) fn pair_client(socket: &Path) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    let mut held: Option<Lease> = None;
    move || match held.take() {
        None => {
            held = Some(client.send::<Granted>("POST", "/v1/claims", &body(), None).expect("granted").claim)
        }
        Some(Lease { id, fence }) => {
            let (path, body) = (format!("/v1/claims/{id}/release"), json!({ "fence": fence }));
            client.send::<IgnoredAny>("POST", &path, &body, None).expect("released");
        }
    }
}

/// So many asks, for what is asked for by one.
pub(crate) fn asks(count: usize) -> Vec<Operation> {
    let ask = serde_json::from_value(json!({ "ask": body() })).expect("an operation");
    vec![ask; count]
}

/// What gives such leases back.
fn releases(granted: &[Granted]) -> Value {
    let release =
        |Granted { claim: Lease { id, fence } }: &Granted| json!({ "release": { "id": id, "fence": fence } });
    json!({ "operations": granted.iter().map(release).collect::<Vec<Value>>() })
}

/// Asks and releases in turn, so many at a time.
pub(crate) fn batch_client(socket: &Path, size: usize) -> impl FnMut() + Send + use<> {
    let (mut client, asks) = (Client::new(socket), json!({ "operations": asks(size) }));
    let mut held: Vec<Granted> = Vec::new();
    move || {
        if held.is_empty() {
            held = client.send::<Answers>("POST", "/v1/batch", &asks, None).expect("granted").answers;
        } else {
            let releases = releases(&std::mem::take(&mut held));
            client.send::<IgnoredAny>("POST", "/v1/batch", &releases, None).expect("released");
        }
    }
}
