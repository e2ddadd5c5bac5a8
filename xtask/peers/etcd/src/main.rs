//! Slots handed out by etcd, as a careful user would have it: a transaction takes a slot that nobody has, one
//! more gives it back if nobody else has it by now. Says how many such pairs there were in a second.
//!
//! `etcd-slots URL CLIENTS MILLISECONDS` → `{"pairs_per_s": 1234.5}`
#![forbid(unsafe_code)]
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, Error, KvClient, Txn, TxnOp, TxnResponse};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Slots that there are, ten for each of a hundred clients: few find theirs taken.
const SLOTS: u64 = 1_000;
/// Slots that one client tries before it says that none is free.
const TRIES_MAX: u64 = 10 * SLOTS;
/// How long etcd may take to be there, and for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = args.iter().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let ([url, ..], [clients, span]) = (args.as_slice(), numbers.as_slice()) else {
        eprintln!("etcd-slots URL CLIENTS MILLISECONDS");
        return ExitCode::from(64);
    };
    match rate(url, *clients, Duration::from_millis(*span)).await {
        Ok(rate) => {
            println!("{{\"pairs_per_s\": {rate:.1}}}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("etcd-slots: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Pairs in a second by so many clients, each on a connection of its own and one transaction at a time.
async fn rate(url: &str, clients: u64, span: Duration) -> Result<f64, Error> {
    let mut all = Vec::new();
    for number in 0..clients {
        let mut client = Holder::connect(url, number).await?;
        // The first pair of each opens its connection.
        client.pair().await?;
        all.push(client);
    }
    let start = Instant::now();
    let running: Vec<_> = all
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut pairs = 0_u64;
                while start.elapsed() < span {
                    client.pair().await?;
                    pairs += 1;
                }
                Ok::<u64, Error>(pairs)
            })
        })
        .collect();
    let mut pairs = 0;
    for client in running {
        pairs += client.await.map_err(|lost| Error::InvalidArgs(lost.to_string()))??;
    }
    Ok(pairs as f64 / start.elapsed().as_secs_f64())
}

/// One client.
struct Holder {
    etcd: KvClient,
    /// Where it looks next.
    next: u64,
}

impl Holder {
    async fn connect(url: &str, number: u64) -> Result<Holder, Error> {
        let options = ConnectOptions::new().with_timeout(PATIENCE).with_connect_timeout(PATIENCE);
        let etcd = Client::connect([url], Some(options)).await?.kv_client();
        Ok(Holder { etcd, next: number })
    }

    /// Takes a slot and gives it back.
    async fn pair(&mut self) -> Result<(), Error> {
        let (slot, revision) = self.take().await?;
        let mine = Compare::mod_revision(slot.as_str(), CompareOp::Equal, revision);
        let give = Txn::new().when([mine]).and_then([TxnOp::delete(slot.as_str(), None)]);
        match self.etcd.txn(give).await?.succeeded() {
            true => Ok(()),
            false => Err(Error::InvalidArgs(format!("{slot} was taken from its holder"))),
        }
    }

    /// A slot that was free, and the revision at which it became this client's.
    async fn take(&mut self) -> Result<(String, i64), Error> {
        for _ in 0..TRIES_MAX {
            // A walk over all slots in an order that differs from their own.
            self.next = (self.next + 389) % SLOTS;
            let slot = format!("slots/{}", self.next);
            let free = Compare::create_revision(slot.as_str(), CompareOp::Equal, 0);
            let put = TxnOp::put(slot.as_str(), "held", None);
            let answer: TxnResponse = self.etcd.txn(Txn::new().when([free]).and_then([put])).await?;
            if answer.succeeded() {
                let header = answer.header().map(|header| header.revision());
                let revision = header.ok_or_else(|| Error::InvalidArgs("an answer without a head".into()))?;
                return Ok((slot, revision));
            }
        }
        Err(Error::InvalidArgs("no slot is free".into()))
    }
}
