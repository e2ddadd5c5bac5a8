//! Goal: looking at 1,000 leases once a second takes less than a hundredth of a core. Each lease is a cell with limits
//! and a process in it; it is looked at all over, for what moves fast, and as the daemon does it: some all over, in
//! turns, the others for what moves fast. Beside it stands what reading one small file of the kernel's costs.
use bursar_enforce::{Cell, Dial, Headroom, Hierarchy, Limits, identify};
use bursar_interface::ClaimId;
use std::{
    hint::black_box,
    process::{Child, Command, Stdio},
    time::Duration,
};

const LEASES: u64 = 1000;
const ROUNDS: u32 = 20;
/// One lease in so many is looked at all over in a round of the daemon's, where there are a thousand.
const TURNS: usize = 16;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let hierarchy = Hierarchy::detect(&format!("bench-{}", std::process::id()));
    let limits = Limits { memory_bytes: Some(64 << 20), cpu_milli: Some(1000), ..Limits::default() };
    let mut leases: Vec<(Cell, Child)> = Vec::new();
    for claim in 1..=LEASES {
        let mut command = Command::new("sleep");
        let child = command.arg("600").stdin(Stdio::null()).spawn().expect("started");
        let mut cell = hierarchy.cell(ClaimId(claim));
        cell.build(limits).expect("a cell");
        cell.join(&identify(child.id()).expect("/proc").expect("it runs")).expect("joined");
        leases.push((cell, child));
    }
    let read = per(ROUNDS, || drop(std::fs::read_to_string("/proc/self/statm")));
    let mut dials: Vec<Dial> = leases.iter().map(|(cell, _)| Dial::new(cell.clone(), true)).collect();
    let known = dials.iter_mut().filter_map(|dial| dial.look(true).memory).count();
    let mut look = |all: fn(usize) -> bool| {
        per(ROUNDS, || {
            for (place, dial) in dials.iter_mut().enumerate() {
                black_box(dial.look(all(place)));
            }
        })
    };
    let (all, fast) = (look(|_| true), look(|_| false));
    let round = look(|place| place % TURNS == 0);
    let mut headroom = Headroom::detect();
    let room = per(ROUNDS, || {
        black_box(headroom.look());
    });
    println!("one small file of the kernel's        {:>9.1} µs of processor time", micros(read));
    println!("the machine's headroom                {:>9.1} µs", micros(room));
    println!("{LEASES} leases on {}, {known} measured:", hierarchy.kind());
    for (name, time) in [("all over", all), ("what moves fast", fast), ("as the daemon does it", round)] {
        let (whole, each) = (micros(time), micros(time) / LEASES as f64);
        println!("  {name:36}{whole:>9.1} µs, {each:.1} µs each");
    }
    println!("looked at once a second: {:.2} % of a core (goal < 1 %)", 100.0 * round.as_secs_f64());
    for (cell, mut child) in leases {
        child.kill().expect("killed");
        child.wait().expect("ended");
        while !cell.remove().expect("taken away") {}
    }
    hierarchy.remove();
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Processor time of this thread for one round, the least of some.
fn per(rounds: u32, mut round: impl FnMut()) -> Duration {
    let one = |round: &mut dyn FnMut()| {
        let before = thread_time();
        round();
        thread_time().saturating_sub(before)
    };
    (0..rounds).map(|_| one(&mut round)).min().unwrap_or_default()
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
