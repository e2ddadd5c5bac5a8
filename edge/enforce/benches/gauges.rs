//! Goal: looking at 1,000 leases once a second takes less than a hundredth of a core. Each lease is a cell with limits
//! and a process in it; beside it stands what reading one small file of the kernel's costs, as the floor.
use bursar_enforce::{Cell, Headroom, Hierarchy, Limits, identify};
use bursar_interface::ClaimId;
use std::{
    hint::black_box,
    process::{Child, Command, Stdio},
    time::Duration,
};

const LEASES: u64 = 1000;
const ROUNDS: u32 = 20;

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
    let known = leases.iter().filter(|(cell, _)| cell.gauge().memory.is_some()).count();
    let look = per(ROUNDS, || {
        leases.iter().for_each(|(cell, _)| {
            black_box(cell.gauge());
        })
    });
    let headroom = Headroom::detect();
    let room = per(ROUNDS, || {
        black_box(headroom.look());
    });
    println!("one small file of the kernel's        {:>9.1} µs of processor time", micros(read));
    println!("the machine's headroom                {:>9.1} µs", micros(room));
    println!(
        "{LEASES} leases on {}, {known} measured   {:>9.1} µs, {:.1} µs each",
        hierarchy.kind(),
        micros(look),
        micros(look) / LEASES as f64
    );
    println!("looked at once a second: {:.2} % of a core (goal < 1 %)", 100.0 * look.as_secs_f64());
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
