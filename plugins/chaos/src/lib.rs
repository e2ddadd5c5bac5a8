//! Badly behaved plugins, for tests: they panic, hang, lie, abort and flood. Never shipped, never linked in.
#![deny(unsafe_code)]
use bursar_sdk::{ClaimId, prelude::*};
use std::{collections::BTreeSet, fmt::Display, fs, net, os::unix::net::UnixStream, process, time::Duration};

/// Says what came of trying to get out.
fn escaped<T>(what: &str, tried: std::io::Result<T>) -> Result<(), Fault> {
    let told: Box<dyn Display> = match tried {
        Ok(_) => Box::new("got out"),
        Err(error) => Box::new(error),
    };
    Err(Fault::new(format!("{what}: {told}")))
}

/// Tries one way out after the other, and says how each of them went.
fn flee() -> Fault {
    let ways = [
        escaped("read", fs::read("/etc/passwd")),
        escaped("list", fs::read_dir("/")),
        escaped("write", fs::write("/tmp/chaos-was-here", "x")),
        escaped("connect", net::TcpStream::connect(("127.0.0.1", 9))),
        escaped("listen", net::TcpListener::bind(("127.0.0.1", 0))),
        escaped("send", net::UdpSocket::bind(("127.0.0.1", 0))),
        escaped("local", UnixStream::connect("/run/nobody")),
        escaped("run", process::Command::new("/bin/true").spawn().and_then(|mut child| child.wait())),
        escaped("signal", signal_parent()),
        escaped("peek", fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id()))),
    ];
    let told: Vec<String> = ways.into_iter().filter_map(Result::err).map(|fault| fault.message).collect();
    let threads = std::thread::spawn(|| 1).join().map_or("no threads", |_| "threads");
    let names = std::env::vars().map(|(name, _)| name).filter(|name| name != "LLVM_PROFILE_FILE").count();
    Fault::new(format!("{}; {threads}; {names} variables", told.join("; ")))
}

/// Asks whether the host could be signalled.
fn signal_parent() -> std::io::Result<()> {
    let parent = rustix::process::getppid().ok_or_else(|| std::io::Error::other("there is no parent"))?;
    Ok(rustix::process::test_kill_process(parent)?)
}

macro_rules! allocators {
    ($($(#[$doc:meta])* $name:ident, $id:literal, |$view:ident, $queue:ident, $plan:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name;

        #[plugin(id = $id)]
        impl Allocator for $name {
            fn place(&mut self, $view: &View<'_>, $queue: &[Row], $plan: &mut Plan<'_>) -> Result<(), Fault> {
                let _ = ($view, $queue, &$plan);
                $body
            }
        }
    )*};
}

allocators! {
    /// Panics.
    Panics, "chaos-panic", |view, queue, plan| panic!("{} claims are too many", queue.len());
    /// Never answers.
    Hangs, "chaos-hang", |view, queue, plan| loop { std::hint::spin_loop() };
    /// Sleeps: late, and not by its own cpu time.
    Sleeps, "chaos-sleep", |view, queue, plan| {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    };
    /// Takes the process with it.
    Aborts, "chaos-abort", |view, queue, plan| std::process::abort();
    /// Says that it cannot.
    Fails, "chaos-fail", |view, queue, plan| Err(Fault::new("I would rather not"));
    /// Gives every claim to the last pool of the books.
    Lies, "chaos-lie", |view, queue, plan| {
        for &claim in queue {
            plan.take(claim, view.claims.first_line[claim as usize], view.pools.len() as Row - 1, 0, 1);
        }
        Ok(())
    };
    /// Tries to get out of its child.
    Flees, "chaos-flee", |view, queue, plan| Err(flee());
    /// Takes memory without end, and keeps it.
    Hoards, "chaos-hoard", |view, queue, plan| {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop { kept.push(vec![1; 16 << 20]); }
    };
    /// Lets a little memory go astray at each call.
    Leaks, "chaos-leak", |view, queue, plan| {
        std::mem::forget(vec![1_u8; 64 << 10]);
        Ok(())
    };
    /// Starts a thread at each call, and forgets it.
    Spawns, "chaos-spawn", |view, queue, plan| {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
        Ok(())
    };
    /// Recurses without end.
    Overflows, "chaos-overflow", |view, queue, plan| {
        fn deeper(depth: u64) -> u64 { std::hint::black_box(if depth == u64::MAX { 0 } else { 1 + deeper(depth + 1) }) }
        Err(Fault::new(format!("{}", deeper(queue.len() as u64))))
    };
    /// Leaves as if all were well.
    Exits, "chaos-exit", |view, queue, plan| process::exit(0);
    /// Panics while it is panicking.
    Doubles, "chaos-double", |view, queue, plan| {
        struct Sore;
        impl Drop for Sore {
            fn drop(&mut self) { panic!("and again") }
        }
        let _sore = Sore;
        panic!("once")
    };
    /// Panics with something that is no text.
    Mumbles, "chaos-mumble", |view, queue, plan| std::panic::panic_any(7_u32);
    /// Closes what it was given, and writes into it.
    Babbles, "chaos-babble", |view, queue, plan| {
        print!("{}", "look at me\n".repeat(1000));
        eprint!("{}", "look at me\n".repeat(1000));
        Ok(())
    };
    /// Places by when it was asked.
    Wavers, "chaos-waver", |view, queue, plan| {
        let now = std::time::Instant::now();
        let seed = format!("{now:?}").bytes().map(u32::from).sum::<u32>();
        let nodes = view.nodes.len() as Row;
        for &claim in queue {
            (0..nodes).find(|&node| plan.place(claim, (node + seed) % nodes));
        }
        Ok(())
    };
    /// Logs without end, then places nothing.
    Floods, "chaos-flood", |view, queue, plan| {
        (0..10_000).for_each(|number| tracing::info!(number, "look at me"));
        Ok(())
    };
}

/// Panics when it is let go.
#[derive(Default)]
pub struct Clings;

#[plugin(id = "chaos-cling")]
impl Allocator for Clings {
    fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

impl Drop for Clings {
    fn drop(&mut self) {
        panic!("do not leave me")
    }
}

/// Cannot be made.
pub struct Unborn;

impl Unborn {
    fn new(_: &Config) -> Result<Unborn, Fault> {
        panic!("I was never here")
    }
}

#[plugin(id = "chaos-unborn", new = Unborn::new)]
impl Allocator for Unborn {
    fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// A metric that looks where it should not.
#[derive(Default)]
pub struct Nosy;

#[plugin(id = "chaos-nosy")]
impl Metric for Nosy {
    fn collect(&mut self, _: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
        let figures = fs::read("/proc/uptime").is_ok();
        Err(Fault::new(format!("figures {figures}; {}", flee().message)))
    }
}

/// A qos that panics.
#[derive(Default)]
pub struct Ranks;

#[plugin(id = "chaos-panic")]
impl Qos for Ranks {
    fn rank(&mut self, _: &View<'_>, pending: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        panic!("nobody of {} is first", pending.len())
    }
}

macro_rules! beside {
    ($($id:literal, $sharing:ident, $analyzer:ident, |$many:ident| $body:expr;)*) => {$(
        /// Badly behaved about sharing.
        #[derive(Default)]
        pub struct $sharing;

        #[plugin(id = $id)]
        impl Sharing for $sharing {
            fn offer(&mut self, _: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
                let $many = pools.len();
                // Far more than there is, and for certain.
                offers.iter_mut().for_each(|offer| (offer.offered, offer.firm) = (u64::MAX, u64::MAX));
                $body
            }
        }

        /// Badly behaved about what it finds.
        #[derive(Default)]
        pub struct $analyzer;

        #[plugin(id = $id)]
        impl Analyzer for $analyzer {
            fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
                let $many = sight.view.pools.len();
                findings.push(Finding::new("nobody", Subject::Claim(Row::MAX), Severity::Notice, "ask nobody"));
                $body
            }
        }
    )*};
}

beside! {
    "chaos-panic", SharesInPanic, FindsInPanic, |many| panic!("{many} pools are too many");
    "chaos-abort", SharesAndAborts, FindsAndAborts, |many| { let _ = many; process::abort() };
    "chaos-hang", SharesAndHangs, FindsAndHangs, |many| { let _ = many; loop { std::hint::spin_loop() } };
    "chaos-fail", SharesNot, FindsNothing, |many| Err(Fault::new(format!("not {many}")));
    "chaos-lie", SharesTooMuch, FindsNobody, |many| { let _ = many; Ok(()) };
}

/// A kind whose driver does not let go at first.
#[derive(Default)]
pub struct Sticky;

#[plugin(id = "sticky")]
impl Resource for Sticky {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "sticky".into(),
            shape: Shape::Unit,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: true,
        }
    }
}

/// Fails to prove the first return of each lease, and panics over a lease of three.
#[derive(Default)]
pub struct StickyDriver {
    tried: BTreeSet<ClaimId>,
}

#[plugin(id = "sticky")]
impl Driver for StickyDriver {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        Ok(vec![Supply { resource: "sticky".into(), pool: "sticky".into(), capacity: 4, labels: Vec::new() }])
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        match lease.lines.iter().map(|line| line.amount).sum::<Amount>() {
            3 => panic!("three is a crowd"),
            4 => Err(Fault::new("four is too many")),
            _ => Ok(()),
        }
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        match self.tried.insert(lease.claim) {
            true => Err(Fault::new("it sticks")),
            false => Ok(Proof { evidence: "it let go at the second try".into() }),
        }
    }

    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        Ok(if pool == "sticky" { amount / 2 } else { 0 })
    }
}

/// A metric that knows nothing, and now and then not even that.
#[derive(Default)]
pub struct Clueless {
    calls: u32,
}

#[plugin(id = "chaos-metric")]
impl Metric for Clueless {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        self.calls += 1;
        samples.push(Sample { name: "clue".into(), at, value: None });
        if self.calls.is_multiple_of(2) { Err(Fault::new("no idea")) } else { Ok(()) }
    }
}
