//! Badly behaved plugins, for tests: they panic, hang, lie, abort and flood. Never shipped, never linked in.
#![deny(unsafe_code)]
use bursar_sdk::{ClaimId, prelude::*};
use std::{collections::BTreeSet, time::Duration};

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
    /// Logs without end, then places nothing.
    Floods, "chaos-flood", |view, queue, plan| {
        (0..10_000).for_each(|number| tracing::info!(number, "look at me"));
        Ok(())
    };
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
