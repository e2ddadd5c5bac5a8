//! Goals 5 to 11: the daemon over its socket beside an empty HTTP echo, one sync, and a plain reader of
//! the same JSON. Interleaved rounds in one run; medians, their ranges, and ratios of medians.
mod etcd;
mod figure;
mod load;
mod own;
mod part;
mod peers;

use bursar_wire::Client;
use figure::{Figure, goal};
use load::{Round, asks, batch_client, echo_client, pair_client, round};
use own::Daemon;
use part::{ECHO, Echo, crowd, echo, syncs};
use serde_json::Value;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 5;
/// Connections that are many.
const CROWD: usize = 10_000;
/// Live claims that are many.
const LIVE: usize = 100_000;
/// Operations in one request.
const BATCH: usize = 512;

fn main() {
    raise_files();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == ECHO) {
        return echo(Path::new(&args[at + 1]));
    }
    let scratch = TempDir::new().expect("a folder");
    if args.iter().any(|arg| arg == "--peers") {
        let clients = args.iter().position(|arg| arg == etcd::CLIENTS).and_then(|at| args.get(at + 1));
        return peers::run(scratch.path(), clients.map(Into::into));
    }
    let echoing = Echo::start(scratch.path());
    let echo = &echoing.socket;
    // A state directory in memory syncs for nothing: the daemon without its durability.
    let volatile = Path::new("/dev/shm").is_dir().then(|| TempDir::new_in("/dev/shm").expect("a folder"));
    match &volatile {
        Some(folder) => {
            idle(&folder.path().join("idle"));
            not_durable(echo, &folder.path().join("one"));
            batched(&folder.path().join("many"));
            crowded(echo, &folder.path().join("crowd"));
            live(&folder.path().join("live"));
        }
        None => println!("goals 5, 6 and 11: skipped, there is no /dev/shm"),
    }
    durable(echo, &scratch.path().join("durable"));
}

/// A folder of a daemon's own.
fn daemon(folder: &Path) -> Daemon {
    Daemon::start(folder, "[node.capacity]\ncpu = \"200000\"\nmemory = \"1T\"\n")
}

/// Rounds of the one and the other, in turn.
fn interleaved(
    mut ours: impl FnMut() -> Round,
    mut theirs: impl FnMut() -> Round,
) -> (Vec<Round>, Vec<Round>) {
    (0..ROUNDS).map(|_| (ours(), theirs())).unzip()
}

fn rates(rounds: &[Round]) -> Figure {
    Figure::of(rounds.iter().map(|round| round.rate))
}

fn p99(rounds: &[Round]) -> Figure {
    Figure::of(rounds.iter().map(|round| round.p99_ms))
}

/// Goal 5, and what 100 clients see.
fn not_durable(echo: &Path, folder: &Path) {
    let daemon = daemon(folder);
    for clients in [1, 16, 100] {
        let (ours, theirs) = interleaved(
            || round(clients, || pair_client(&daemon.socket)),
            || round(clients, || echo_client(echo)),
        );
        let (rate, limit) = (rates(&ours), rates(&theirs));
        println!("{clients:>3} clients, echo                     {limit} requests/s");
        println!("{clients:>3} clients, ask or release, volatile {rate} requests/s");
        let (times, share) = (limit.median / rate.median, 100.0 * rate.median / limit.median);
        match clients {
            1 => goal(5, "one request of one client", times, "× the echo", false, 1.5),
            16 => goal(5, "16 clients", share, "% of the echo", true, 85.0),
            _ => {
                println!("{clients:>3} clients, p99 of the echo is {:.2} ms", p99(&theirs).median);
                goal(11, "p99 of 100 clients", p99(&ours).median, "ms", false, 2.0);
            }
        }
    }
}

/// Goal 6, beside reading the same bytes and nothing else.
fn batched(folder: &Path) {
    let daemon = daemon(folder);
    let bytes = serde_json::to_vec(&serde_json::json!({ "operations": asks(BATCH) })).expect("JSON");
    let parse = || {
        serde_json::from_slice::<Value>(&bytes).expect("JSON");
    };
    let (ours, theirs) =
        interleaved(|| round(2, || batch_client(&daemon.socket, BATCH)), || round(1, || parse));
    let of = |rounds: &[Round]| Figure::of(rounds.iter().map(|round| round.rate * BATCH as f64));
    let (ours, theirs) = (of(&ours), of(&theirs));
    println!("  2 clients, {BATCH} operations at a time    {ours} operations/s, volatile");
    println!("  1 thread reads the asks' JSON alone    {theirs} operations/s");
    goal(6, "batched, not durable", ours.median / 1e6, "M operations/s", true, 1.0);
}

/// Goal 11: connections that are there.
fn crowded(echo: &Path, folder: &Path) {
    let daemon = daemon(folder);
    round(16, || pair_client(&daemon.socket));
    let before = daemon.memory_kb();
    let mut each = 0.0;
    let ours = || {
        let crowd = crowd(&daemon.socket, CROWD);
        // The last of them is in when one more is answered.
        assert!(Client::new(&daemon.socket).alive());
        each = (daemon.memory_kb() - before) / crowd.len() as f64;
        round(100, || pair_client(&daemon.socket))
    };
    let theirs = || {
        let _crowd = crowd(echo, CROWD);
        round(100, || echo_client(echo))
    };
    let (ours, theirs) = interleaved(ours, theirs);
    let (rate, limit) = (rates(&ours), rates(&theirs));
    println!("100 clients beside {CROWD}, echo     {limit} requests/s");
    println!("100 clients beside {CROWD}, ours     {rate} requests/s");
    goal(11, "beside 10,000 connections", 100.0 * rate.median / limit.median, "% of the echo", true, 80.0);
    goal(11, "memory of an idle connection", each, "kB", false, 24.0);
}

/// Goal 11: claims that are there.
fn live(folder: &Path) {
    let daemon = daemon(folder);
    let mut client = Client::new(&daemon.socket);
    for _ in 0..LIVE.div_ceil(BATCH) {
        client.batch(&asks(BATCH)).expect("granted");
    }
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(2, || batch_client(&daemon.socket, BATCH))).collect();
    let rate = Figure::of(rounds.iter().map(|round| round.rate * BATCH as f64));
    println!("  2 clients beside {LIVE} claims       {rate} operations/s");
    goal(11, "batched beside 100,000 live claims", rate.median / 1e3, "k operations/s", true, 100.0);
    goal(11, "memory with 100,000 live claims", daemon.memory_kb() / 1024.0, "MB", false, 100.0);
}

/// Goal 11: nothing to do.
fn idle(folder: &Path) {
    let daemon = daemon(folder);
    std::thread::sleep(Duration::from_secs(1));
    let (before, since) = (daemon.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let share = (daemon.cpu() - before).as_secs_f64() / since.elapsed().as_secs_f64();
    goal(11, "an idle daemon", 100.0 * share, "% of a core", false, 0.1);
    goal(11, "memory of an idle daemon", daemon.memory_kb() / 1024.0, "MB", false, 20.0);
}

/// Goals 7 to 10.
fn durable(echo: &Path, folder: &Path) {
    let daemon = daemon(folder);
    let (mut ours, mut echoes, mut sync) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ours_100, mut echoes_100, mut batches, mut sync_p99) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let took = syncs(folder, load::SPAN);
        sync.push(took.len() as f64 / took.iter().sum::<f64>());
        sync_p99.push(took[took.len() * 99 / 100] * 1e3);
        echoes.push(round(1, || echo_client(echo)));
        ours.push(round(1, || pair_client(&daemon.socket)));
        echoes_100.push(round(100, || echo_client(echo)));
        ours_100.push(round(100, || pair_client(&daemon.socket)));
        batches.push(round(4, || batch_client(&daemon.socket, 256)).rate * 256.0 / 2.0);
    }
    let (sync, sync_p99) = (Figure::of(sync), Figure::of(sync_p99));
    let (one, many, echo_one, echo_many) =
        (rates(&ours), rates(&ours_100), rates(&echoes), rates(&echoes_100));
    let limit = 1.0 / (1.0 / sync.median + 1.0 / echo_one.median);
    println!("  1 client,  append and sync             {sync} /s");
    println!("  1 client,  ask or release, durable     {one} requests/s");
    goal(7, "durable, one client", 100.0 * one.median / limit, "% of one sync and one echo", true, 90.0);
    println!("100 clients, echo                     {echo_many} requests/s");
    println!("100 clients, ask or release, durable  {many} requests/s");
    goal(8, "durable, 100 clients", 100.0 * many.median / echo_many.median, "% of the echo", true, 80.0);
    let bound = 2.0 * sync_p99.median + p99(&echoes_100).median;
    println!(
        "a sync's p99 is {:.2} ms, the echo's at 100 clients {:.2} ms",
        sync_p99.median,
        p99(&echoes_100).median
    );
    let most = (bound * 100.0).round() / 100.0;
    goal(8, "p99 of 100 clients (two syncs and the echo's queue)", p99(&ours_100).median, "ms", false, most);
    let batches = Figure::of(batches);
    println!("  4 connections, 256 asks at a time   {batches} leases/s, given back as well");
    goal(9, "durable, batched", batches.median / 1e3, "k leases/s", true, 200.0);
    goal(10, "100 clients of one pool", many.median / one.median, "× one client", true, 1.0);
}

/// Takes as many files as the system allows: each connection is two here.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    raised.expect("the hard limit is allowed");
}
