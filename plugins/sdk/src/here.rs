//! Plugins that are linked in, behind the same guard as those of a library: each speaks under its own name, and a panic
//! is a fault that tells what was said and where.
use crate::{Config, Entry, Make, guard::guarded, shim::Guarded};
use bursar_interface::{
    Allocator, Amount, Analyzer, Discipline, Driver, Fault, Finding, Holding, Lease, Metric, Offer, Plan,
    Proof, Qos, Rank, ResourceSpec, Row, Sample, Sharing, Sight, Supply, Time, Variable, View,
};

/// A plugin of this program itself.
struct Here<T: ?Sized>(Guarded<T>);

impl<T: ?Sized> Here<T> {
    fn new(who: &'static str, make: impl FnOnce() -> Result<Box<T>, Fault>) -> Result<Here<T>, Fault> {
        guarded(who, make).map(|plugin| Here(Guarded::new(who, plugin)))
    }

    fn call<R>(&mut self, run: impl FnOnce(&mut T) -> Result<R, Fault>) -> Result<R, Fault> {
        let Guarded(plugin, who) = &mut self.0;
        guarded(who, || run(plugin))
    }
}

impl Allocator for Here<dyn Allocator> {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        self.call(|plugin| plugin.place(view, queue, plan))
    }
}

impl Qos for Here<dyn Qos> {
    fn discipline(&self) -> Discipline {
        // It was asked when it was made; one that panics over it later has none of its own.
        guarded(self.0.1, || Ok(self.0.0.discipline())).unwrap_or_default()
    }

    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        self.call(|plugin| plugin.rank(view, pending, ranks))
    }
}

impl Sharing for Here<dyn Sharing> {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        self.call(|plugin| plugin.offer(view, pools, offers))
    }
}

impl Analyzer for Here<dyn Analyzer> {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        self.call(|plugin| plugin.report(sight, findings))
    }
}

impl Metric for Here<dyn Metric> {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        self.call(|plugin| plugin.collect(at, samples))
    }
}

impl Driver for Here<dyn Driver> {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        self.call(|plugin| plugin.discover())
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        self.call(|plugin| plugin.enforce(lease))
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        self.call(|plugin| plugin.release(lease))
    }

    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        self.call(|plugin| plugin.reclaim(pool, amount))
    }

    fn holdings(&mut self) -> Result<Vec<Holding>, Fault> {
        self.call(|plugin| plugin.holdings())
    }

    fn environment(&mut self, lease: &Lease) -> Result<Vec<Variable>, Fault> {
        self.call(|plugin| plugin.environment(lease))
    }
}

macro_rules! made_here {
    ($($(#[$doc:meta])* $name:ident: $role:ident;)*) => {
        impl Entry {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// When it refuses its config, or panics over it.
                pub fn $name(&self, config: &Config) -> Option<Result<Box<dyn $role>, Fault>> {
                    let Make::$role(make) = self.make else { return None };
                    let made = Here::new(self.id, || make(config));
                    Some(made.map(|here| Box::new(here) as Box<dyn $role>))
                }
            )*
        }
    };
}

made_here! {
    /// The allocator, guarded; `None` if it is none.
    allocator: Allocator;
    /// The qos, guarded; `None` if it is none.
    qos: Qos;
    /// The sharing, guarded; `None` if it is none.
    sharing: Sharing;
    /// The analyzer, guarded; `None` if it is none.
    analyzer: Analyzer;
    /// The metric, guarded; `None` if it is none.
    metric: Metric;
    /// The driver, guarded; `None` if it is none.
    driver: Driver;
}

impl Entry {
    /// What the kind is that it defines; `None` if it defines none.
    ///
    /// # Errors
    /// When it refuses its config, or panics.
    pub fn spec(&self, config: &Config) -> Option<Result<ResourceSpec, Fault>> {
        let Make::Resource(make) = self.make else { return None };
        let made = Here::new(self.id, || make(config));
        Some(made.and_then(|mut here| here.call(|plugin| Ok(plugin.spec()))))
    }
}
