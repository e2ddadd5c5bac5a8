//! Faults that any role can have, each as an allocator, and all of them as a driver: the rows of the matrix.
use crate::escape::flee;
use bursar_sdk::prelude::*;
use std::{os::fd::AsFd, process, time::Duration};

/// One driver has all of them, by name: a daemon starts every driver that it finds and asks it what there is.
#[config]
#[derive(Default)]
pub struct Arming {
    /// Which fault it has; none unless it is told.
    pub(crate) fault: String,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $place:ident, $id:literal, |$size:ident| $body:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Default)]
            pub struct $place;

            impl $place {
                fn fault($size: usize) -> Result<(), Fault> {
                    let _ = $size;
                    $body
                }
            }

            #[plugin(id = $id)]
            impl Allocator for $place {
                fn place(&mut self, _: &View<'_>, queue: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
                    Self::fault(queue.len())
                }
            }
        )*

        /// Has a fault by its name.
        fn fault(name: &str, size: usize) -> Result<(), Fault> {
            match name {
                $($id => $place::fault(size),)*
                _ => Ok(()),
            }
        }
    };
}

faults! {
    /// Panics.
    Panics, "chaos-panic", |size| panic!("{size} claims are too many");
    /// Panics with something that is no text.
    Mumbles, "chaos-mumble", |size| std::panic::panic_any(7_u32);
    /// Panics while it is panicking.
    Doubles, "chaos-double", |size| {
        struct Sore;
        impl Drop for Sore {
            fn drop(&mut self) { panic!("and again") }
        }
        let _sore = Sore;
        panic!("once")
    };
    /// Panics on a thread of its own.
    Threads, "chaos-thread", |size| {
        // It is over before the answer is given.
        let _ = std::thread::spawn(|| panic!("beside you")).join();
        Ok(())
    };
    /// Takes the process with it.
    Aborts, "chaos-abort", |size| process::abort();
    /// Ends as one does that reads where nothing is.
    Crashes, "chaos-crash", |size| {
        let own = rustix::process::getpid();
        // The first one is swallowed by whoever looks for overflows of the stack.
        loop {
            let _ = rustix::process::kill_process(own, rustix::process::Signal::SEGV);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    /// Leaves as if all were well.
    Exits, "chaos-exit", |size| process::exit(0);
    /// Recurses without end.
    Overflows, "chaos-overflow", |size| {
        fn deeper(depth: u64) -> u64 { std::hint::black_box(if depth == u64::MAX { 0 } else { 1 + deeper(depth + 1) }) }
        Err(Fault::new(format!("{}", deeper(size as u64))))
    };
    /// Waits for ever, without using any cpu.
    Stalls, "chaos-stall", |size| loop { std::thread::park(); };
    /// Never answers, and uses all the cpu there is.
    Hangs, "chaos-hang", |size| loop { std::hint::spin_loop() };
    /// Sleeps: late, and not by its own cpu time.
    Sleeps, "chaos-sleep", |size| {
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    };
    /// Takes memory without end, and keeps it.
    Hoards, "chaos-hoard", |size| {
        // Pages that nobody touches count as well, and cost the machine nothing.
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop { kept.push(std::hint::black_box(vec![0; 64 << 20])); }
    };
    /// Lets a little memory go astray at each call.
    Leaks, "chaos-leak", |size| {
        std::mem::forget(vec![1_u8; 64 << 10]);
        Ok(())
    };
    /// Starts a thread at each call, and forgets it.
    Spawns, "chaos-spawn", |size| {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
        Ok(())
    };
    /// Opens a file at each call, and forgets it.
    Opens, "chaos-open", |size| {
        if let Ok(another) = std::io::stderr().as_fd().try_clone_to_owned() {
            std::mem::forget(another);
        }
        Ok(())
    };
    /// Says that it cannot.
    Fails, "chaos-fail", |size| Err(Fault::new("I would rather not"));
    /// Prints without end into what is not its own.
    Babbles, "chaos-babble", |size| {
        print!("{}", "look at me\n".repeat(1000));
        eprint!("{}", "look at me\n".repeat(1000));
        Ok(())
    };
    /// Logs without end.
    Floods, "chaos-flood", |size| {
        (0..10_000).for_each(|number| tracing::info!(number, "look at me"));
        Ok(())
    };
    /// Changes what belongs to the whole process.
    Meddles, "chaos-meddle", |size| {
        // Where it may not, it may not.
        let _ = std::env::set_current_dir("/");
        std::panic::set_hook(Box::new(|_| {}));
        Ok(())
    };
    /// Tries to get out of its child.
    Flees, "chaos-flee", |size| Err(flee());
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

/// A driver that has whatever fault it is told to have.
pub struct Any(String);

impl From<Arming> for Any {
    fn from(arming: Arming) -> Any {
        assert!(arming.fault != "chaos-unborn", "I was never here");
        Any(arming.fault)
    }
}

impl Drop for Any {
    fn drop(&mut self) {
        assert!(self.0 != "chaos-cling", "do not leave me");
    }
}

impl Any {
    /// More than anybody can take in.
    fn gush(&self) -> Option<String> {
        (self.0 == "chaos-gush").then(|| "x".repeat(9 << 20))
    }

    /// What cannot be.
    fn boasts(&self) -> bool {
        self.0 == "chaos-boast"
    }
}

#[plugin(id = "chaos-any", config = Arming)]
impl Driver for Any {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        fault(&self.0, 4)?;
        let labels = self.gush().into_iter().collect();
        let (pool, capacity) =
            if self.boasts() { ("x".repeat(1 << 16), Amount::MAX) } else { ("chaos".into(), 4) };
        Ok(vec![Supply { resource: "chaos".into(), pool, capacity, labels }])
    }
    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        self.gush().map_or(Ok(()), |words| Err(Fault::new(words)))?;
        fault(&self.0, lease.lines.len())
    }
    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        fault(&self.0, lease.lines.len())?;
        Ok(Proof { evidence: self.gush().unwrap_or_else(|| "nothing was held\0\u{1b}[31m".into()) })
    }
    fn reclaim(&mut self, _: &str, amount: Amount) -> Result<Amount, Fault> {
        fault(&self.0, 1)?;
        Ok(amount + Amount::from(self.boasts()))
    }
}
