//! Clients that ask and release, alone or in batches, and what they saw.
use bursar_wire::{Client, Operation, Outcome};
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

/// Asks and releases in turn.
pub(crate) fn pair_client(socket: &Path) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    let mut held: Option<(String, String)> = None;
    move || match held.take() {
        None => {
            let answer: Value = client.send("POST", "/v1/claims", &body(), None).expect("granted");
            let text = |key: &str| answer["claim"][key].as_str().expect("a string").to_owned();
            held = Some((text("id"), text("fence")));
        }
        Some((id, fence)) => {
            let body = json!({ "fence": fence });
            client.send::<Value>("POST", &format!("/v1/claims/{id}/release"), &body, None).expect("released");
        }
    }
}

/// So many asks, for what is asked for by one.
pub(crate) fn asks(count: usize) -> Vec<Operation> {
    let ask = serde_json::from_value(json!({ "ask": body() })).expect("an operation");
    vec![ask; count]
}

/// What gives back all that was granted.
pub(crate) fn releases(granted: &[Outcome]) -> Vec<Operation> {
    let release = |outcome: &Outcome| match outcome {
        Outcome::Done(answer) => {
            let fence = bursar_interface::Fence(answer.claim.fence.expect("granted"));
            Operation::Release { id: answer.claim.id, fence }
        }
        Outcome::Refused(problem) => panic!("{}", problem.error),
    };
    granted.iter().map(release).collect()
}

/// Asks and releases in turn, so many at a time.
pub(crate) fn batch_client(socket: &Path, size: usize) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    let mut held: Vec<Operation> = Vec::new();
    move || {
        if held.is_empty() {
            held = releases(&client.batch(&asks(size)).expect("granted"));
        } else {
            client.batch(&std::mem::take(&mut held)).expect("released");
        }
    }
}
