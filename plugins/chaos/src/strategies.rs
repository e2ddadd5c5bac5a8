//! Strategies that propose what cannot be, or that break one rule of the conformance kit and no other.
use bursar_sdk::{
    __private::{schemars, serde},
    prelude::*,
};
use std::time::Duration;

/// Claims in order, each on the first node that takes it, beginning with node `from`.
fn first_from(from: Row, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
    let nodes = view.nodes.len() as Row;
    for &claim in queue {
        (0..nodes).find(|&node| plan.place(claim, (node + from) % nodes));
    }
}

macro_rules! allocators {
    ($($(#[$doc:meta])* $name:ident, $id:literal, |$own:ident, $view:ident, $queue:ident, $plan:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name(u64, u64);

        #[plugin(id = $id)]
        impl Allocator for $name {
            fn place(&mut self, $view: &View<'_>, $queue: &[Row], $plan: &mut Plan<'_>) -> Result<(), Fault> {
                let $own = (&mut self.0, &mut self.1);
                let _ = &$own;
                $body
            }
        }
    )*};
}

allocators! {
    /// Gives every claim to the last pool of the books.
    Lies, "chaos-lie", |own, view, queue, plan| {
        for &claim in queue {
            plan.take(claim, view.claims.first_line[claim as usize], view.pools.len() as Row - 1, 0, 1);
        }
        Ok(())
    };
    /// Places nothing, whatever fits.
    Idles, "chaos-idle", |own, view, queue, plan| {
        let _ = (view, queue, plan);
        Ok(())
    };
    /// Does well, but places nothing of more than a core.
    Shuns, "chaos-shun", |own, view, queue, plan| {
        let amount = |claim: Row| view.lines.amount[view.claims.first_line[claim as usize] as usize];
        let small: Vec<Row> = queue.iter().copied().filter(|&claim| amount(claim) <= 1000).collect();
        first_from(0, view, &small, plan);
        Ok(())
    };
    /// Does well: what the others are compared with.
    Good, "chaos-good", |own, view, queue, plan| {
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Does well, but for a thread at each call.
    Broods, "chaos-brood", |own, view, queue, plan| {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(10)));
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Places by when it was asked.
    Wavers, "chaos-waver", |own, view, queue, plan| {
        let now = std::time::Instant::now();
        first_from(format!("{now:?}").bytes().map(u32::from).sum(), view, queue, plan);
        Ok(())
    };
    /// Places by how often the world has changed since it was made.
    Remembers, "chaos-stale", |own, view, queue, plan| {
        if *own.1 != view.epoch {
            (*own.0, *own.1) = (*own.0 + 1, view.epoch);
        }
        first_from(*own.0 as Row, view, queue, plan);
        Ok(())
    };
    /// Places by where a claim stands in the tables.
    ByRow, "chaos-row", |own, view, queue, plan| {
        queue.iter().for_each(|&claim| first_from(claim, view, &[claim], plan));
        Ok(())
    };
    /// Takes nothing to do for a fault.
    Needy, "chaos-needy", |own, view, queue, plan| {
        if queue.is_empty() || view.nodes.is_empty() {
            return Err(Fault::new("there is nothing to do"));
        }
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Takes no room for a fault.
    Proud, "chaos-proud", |own, view, queue, plan| {
        for &claim in queue {
            let nodes = 0..view.nodes.len() as Row;
            let amount = view.lines.amount[view.claims.first_line[claim as usize] as usize];
            if !nodes.is_empty() && amount >= 1 << 30 {
                return Err(Fault::new("nobody has that much"));
            }
        }
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Slow where there are many nodes.
    Plods, "chaos-plod", |own, view, queue, plan| {
        if view.nodes.len() >= 1000 {
            std::thread::sleep(Duration::from_millis(400));
        }
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Knows of sixty-four nodes and no more.
    Narrow, "chaos-narrow", |own, view, queue, plan| {
        let known = [0_u64; 64];
        *own.0 = (0..view.nodes.len()).map(|node| known[node]).sum();
        first_from(0, view, queue, plan);
        Ok(())
    };
    /// Tired after two hundred calls.
    Tires, "chaos-tire", |own, view, queue, plan| {
        *own.0 += 1;
        if *own.0 > 200 {
            return Err(Fault::new("that is enough"));
        }
        first_from(0, view, queue, plan);
        Ok(())
    };
}

/// Takes its time to go.
#[derive(Default)]
pub struct Lingers;

impl Drop for Lingers {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(80));
    }
}

#[plugin(id = "chaos-linger")]
impl Allocator for Lingers {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        first_from(0, view, queue, plan);
        Ok(())
    }
}

/// A config that takes every key, known or not.
#[derive(Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(default, crate = "serde")]
#[schemars(crate = "schemars")]
pub struct Anything {
    /// How lax it is.
    lax: bool,
}

/// Takes every config.
pub struct Lax(Row);

impl From<Anything> for Lax {
    fn from(config: Anything) -> Lax {
        Lax(Row::from(config.lax))
    }
}

#[plugin(id = "chaos-lax", config = Anything)]
impl Allocator for Lax {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        first_from(self.0, view, queue, plan);
        Ok(())
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

/// How strict one is.
#[config]
#[derive(Default)]
pub struct Strictness {
    /// After how long something is kept for the oldest, in nanoseconds.
    pub reserve_after_ns: u64,
}

/// Lets nobody pass the oldest.
pub struct Strict(Strictness);

impl From<Strictness> for Strict {
    fn from(strictness: Strictness) -> Strict {
        Strict(strictness)
    }
}

#[plugin(id = "chaos-strict", config = Strictness)]
impl Qos for Strict {
    fn discipline(&self) -> Discipline {
        Discipline { reserve_after_ns: self.0.reserve_after_ns, backfill: Backfill::Nothing }
    }
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Ok(())
    }
}
