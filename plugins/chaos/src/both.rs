//! Faults that any role can have, as an allocator and as a driver of the same name: the rows of the matrix.
use crate::escape::flee;
use bursar_sdk::prelude::*;
use std::{os::fd::AsFd, process, time::Duration};

/// A daemon asks every driver that it finds what there is, and would be ended by half of these. So they behave
/// until they are told not to.
#[config]
#[derive(Default)]
pub struct Arming {
    /// Whether it misbehaves.
    pub(crate) armed: bool,
}

/// What such a driver would offer, if it came to it.
fn offer() -> Vec<Supply> {
    vec![Supply { resource: "chaos".into(), pool: "chaos".into(), capacity: 4, labels: Vec::new() }]
}

macro_rules! faults {
    ($($(#[$doc:meta])* $place:ident, $drive:ident, $id:literal, |$size:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $place;

        #[plugin(id = $id)]
        impl Allocator for $place {
            fn place(&mut self, _: &View<'_>, queue: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
                let $size = queue.len();
                let _ = $size;
                $body
            }
        }

        $(#[$doc])*
        pub struct $drive(Arming);

        impl From<Arming> for $drive {
            fn from(arming: Arming) -> Self {
                $drive(arming)
            }
        }

        impl $drive {
            fn fault(&self, $size: usize) -> Result<(), Fault> {
                let _ = $size;
                if !self.0.armed {
                    return Ok(());
                }
                $body
            }
        }

        #[plugin(id = $id, config = Arming)]
        impl Driver for $drive {
            fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
                self.fault(4).map(|()| offer())
            }
            fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
                self.fault(lease.lines.len())
            }
            fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
                self.fault(lease.lines.len()).map(|()| Proof { evidence: "nothing was held".into() })
            }
            fn reclaim(&mut self, _: &str, amount: Amount) -> Result<Amount, Fault> {
                self.fault(1).map(|()| amount)
            }
        }
    )*};
}

faults! {
    /// Panics.
    Panics, PanicsToo, "chaos-panic", |size| panic!("{size} claims are too many");
    /// Panics with something that is no text.
    Mumbles, MumblesToo, "chaos-mumble", |size| std::panic::panic_any(7_u32);
    /// Panics while it is panicking.
    Doubles, DoublesToo, "chaos-double", |size| {
        struct Sore;
        impl Drop for Sore {
            fn drop(&mut self) { panic!("and again") }
        }
        let _sore = Sore;
        panic!("once")
    };
    /// Panics on a thread of its own.
    Threads, ThreadsToo, "chaos-thread", |size| {
        // It is over before the answer is given.
        let _ = std::thread::spawn(|| panic!("beside you")).join();
        Ok(())
    };
    /// Takes the process with it.
    Aborts, AbortsToo, "chaos-abort", |size| process::abort();
    /// Ends as one does that reads where nothing is.
    Crashes, CrashesToo, "chaos-crash", |size| {
        let own = rustix::process::getpid();
        // The first one is swallowed by whoever looks for overflows of the stack.
        loop {
            let _ = rustix::process::kill_process(own, rustix::process::Signal::SEGV);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    /// Leaves as if all were well.
    Exits, ExitsToo, "chaos-exit", |size| process::exit(0);
    /// Recurses without end.
    Overflows, OverflowsToo, "chaos-overflow", |size| {
        fn deeper(depth: u64) -> u64 { std::hint::black_box(if depth == u64::MAX { 0 } else { 1 + deeper(depth + 1) }) }
        Err(Fault::new(format!("{}", deeper(size as u64))))
    };
    /// Waits for ever, without using any cpu.
    Stalls, StallsToo, "chaos-stall", |size| loop { std::thread::park(); };
    /// Never answers, and uses all the cpu there is.
    Hangs, HangsToo, "chaos-hang", |size| loop { std::hint::spin_loop() };
    /// Sleeps: late, and not by its own cpu time.
    Sleeps, SleepsToo, "chaos-sleep", |size| {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    };
    /// Takes memory without end, and keeps it.
    Hoards, HoardsToo, "chaos-hoard", |size| {
        // Pages that nobody touches count as well, and cost the machine nothing.
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop { kept.push(std::hint::black_box(vec![0; 64 << 20])); }
    };
    /// Lets a little memory go astray at each call.
    Leaks, LeaksToo, "chaos-leak", |size| {
        std::mem::forget(vec![1_u8; 64 << 10]);
        Ok(())
    };
    /// Starts a thread at each call, and forgets it.
    Spawns, SpawnsToo, "chaos-spawn", |size| {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
        Ok(())
    };
    /// Opens a file at each call, and forgets it.
    Opens, OpensToo, "chaos-open", |size| {
        if let Ok(another) = std::io::stderr().as_fd().try_clone_to_owned() {
            std::mem::forget(another);
        }
        Ok(())
    };
    /// Says that it cannot.
    Fails, FailsToo, "chaos-fail", |size| Err(Fault::new("I would rather not"));
    /// Prints without end into what is not its own.
    Babbles, BabblesToo, "chaos-babble", |size| {
        print!("{}", "look at me\n".repeat(1000));
        eprint!("{}", "look at me\n".repeat(1000));
        Ok(())
    };
    /// Logs without end.
    Floods, FloodsToo, "chaos-flood", |size| {
        (0..10_000).for_each(|number| tracing::info!(number, "look at me"));
        Ok(())
    };
    /// Changes what belongs to the whole process.
    Meddles, MeddlesToo, "chaos-meddle", |size| {
        // Where it may not, it may not.
        let _ = std::env::set_current_dir("/");
        std::panic::set_hook(Box::new(|_| {}));
        Ok(())
    };
    /// Tries to get out of its child.
    Flees, FleesToo, "chaos-flee", |size| Err(flee());
}

/// Panics when it is let go.
#[derive(Default)]
pub struct Clings;

impl Drop for Clings {
    fn drop(&mut self) {
        panic!("do not leave me")
    }
}

#[plugin(id = "chaos-cling")]
impl Allocator for Clings {
    fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// The same as a driver.
pub struct ClingsToo(Arming);

impl From<Arming> for ClingsToo {
    fn from(arming: Arming) -> Self {
        ClingsToo(arming)
    }
}

impl Drop for ClingsToo {
    fn drop(&mut self) {
        assert!(!self.0.armed, "do not leave me");
    }
}

#[plugin(id = "chaos-cling", config = Arming)]
impl Driver for ClingsToo {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        Ok(offer())
    }
    fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
        Ok(())
    }
    fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
        Ok(Proof { evidence: "nothing was held".into() })
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

/// The same as a driver.
pub struct UnbornToo;

impl From<Arming> for UnbornToo {
    fn from(arming: Arming) -> Self {
        assert!(!arming.armed, "I was never here");
        UnbornToo
    }
}

#[plugin(id = "chaos-unborn", config = Arming)]
impl Driver for UnbornToo {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        Ok(Vec::new())
    }
    fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
        Ok(())
    }
    fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
        Ok(Proof::default())
    }
}
