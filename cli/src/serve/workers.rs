//! One thread per driver: a slow one holds up nobody but itself. Of a driver there may be several versions at once:
//! new leases go to the newest, and whoever made a lease true takes it back.
use super::{
    edges::{Edges, apart::anywhere},
    enforcer::Note,
};
use bursar_interface::{
    Amount, ClaimId, Driver, Fault, FaultKind, Holding, Lease, Proof, Variable, variables_lawful,
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
};

/// What a driver is asked.
pub enum Job {
    /// Make a lease true.
    Enforce(Lease),
    /// Take a lease back.
    Release(Lease),
    /// Say what it holds.
    Look,
    /// Take back what no lease has.
    Sweep(Lease),
    /// Give back what nobody holds of a pool.
    Reclaim(String, Amount),
}

/// What a driver has answered.
pub enum Done {
    /// A lease is true, with what its processes find in their environment; or not.
    Enforced(ClaimId, Result<Vec<Variable>, Fault>),
    /// A lease is back, or not.
    Released(ClaimId, Result<Proof, Fault>),
    /// What it holds.
    Looked(Result<Vec<Holding>, Fault>),
    /// What no lease had is back, or not.
    Swept(ClaimId, Result<Proof, Fault>),
    /// So much of a pool that nobody held was given back, or nothing.
    Reclaimed(String, Result<Amount, Fault>),
}

impl Done {
    /// What went wrong, if anything did.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Done::Enforced(_, told) => told.as_ref().err(),
            Done::Released(_, told) | Done::Swept(_, told) => told.as_ref().err(),
            Done::Looked(told) => told.as_ref().err(),
            Done::Reclaimed(_, told) => told.as_ref().err(),
        }
    }
}

/// An answer, and of whom: the driver's name and version.
pub struct Answer {
    /// Its name.
    pub driver: String,
    /// How many versions of it there were before.
    pub version: u32,
    /// What it says.
    pub done: Done,
}

/// Drivers by name.
pub type Drivers = BTreeMap<String, Box<dyn Driver>>;

/// The drivers' threads. What waits for one is bounded by the leases that there are.
pub struct Workers {
    /// By name, and by how many versions there were before.
    jobs: BTreeMap<(String, u32), Sender<Job>>,
    tell: Edges,
}

impl Workers {
    /// Gives each driver a thread; they end when this is dropped.
    pub fn start(drivers: Drivers, tell: Edges) -> std::io::Result<Workers> {
        let mut workers = Workers { jobs: BTreeMap::new(), tell };
        drivers.into_iter().try_for_each(|(name, driver)| workers.add(name, driver))?;
        Ok(workers)
    }

    /// Gives a driver a thread: from here on it is the newest of its name.
    pub fn add(&mut self, name: String, driver: Box<dyn Driver>) -> std::io::Result<()> {
        let (send, receive) = channel();
        let (tell, thread) = (self.tell.clone(), std::thread::Builder::new().name(format!("driver-{name}")));
        let version = self.newest(&name).map_or(0, |version| version + 1);
        let who = name.clone();
        thread.spawn(move || {
            anywhere();
            work(driver, &who, version, &receive, &tell);
        })?;
        self.jobs.insert((name, version), send);
        Ok(())
    }

    /// The version that new leases go to; `None` if there is no such driver.
    pub fn newest(&self, driver: &str) -> Option<u32> {
        let versions = (driver.to_owned(), 0)..=(driver.to_owned(), u32::MAX);
        self.jobs.range(versions).next_back().map(|((_, version), _)| *version)
    }

    /// Every driver with each of its versions.
    pub fn all(&self) -> impl Iterator<Item = (&str, u32)> {
        self.jobs.keys().map(|(name, version)| (name.as_str(), *version))
    }

    /// Lets those go that are not the newest and that no lease needs any more.
    pub fn retire(&mut self, needed: impl Fn(&str, u32) -> bool) {
        let newest: Vec<(String, u32)> = self.jobs.keys().cloned().collect();
        let newest: BTreeMap<String, u32> = newest.into_iter().collect();
        self.jobs.retain(|(name, version), _| newest.get(name) == Some(version) || needed(name, *version));
    }

    /// Gives a driver something to do; it answers by a note.
    pub fn give(&self, driver: &str, version: u32, job: Job) {
        let jobs = self.jobs.get(&(driver.to_owned(), version));
        let left = match jobs {
            None => job,
            Some(jobs) => match jobs.send(job) {
                Ok(()) => return,
                Err(unsent) => unsent.0,
            },
        };
        let fault = Fault::new(format!("there is no driver for {driver}")).by(driver);
        let done = match left {
            Job::Enforce(lease) => Done::Enforced(lease.claim, Err(fault)),
            Job::Release(lease) => Done::Released(lease.claim, Err(fault)),
            Job::Look => Done::Looked(Err(fault)),
            Job::Sweep(lease) => Done::Swept(lease.claim, Err(fault)),
            Job::Reclaim(pool, _) => Done::Reclaimed(pool, Err(fault)),
        };
        self.tell.send(Note::Driver(Answer { driver: driver.into(), version, done }));
    }
}

fn work(mut driver: Box<dyn Driver>, name: &str, version: u32, jobs: &Receiver<Job>, tell: &Edges) {
    while let Ok(job) = jobs.recv() {
        let done = match job {
            Job::Enforce(lease) => Done::Enforced(lease.claim, enforce(&mut *driver, name, &lease)),
            Job::Release(lease) => Done::Released(lease.claim, guarded(name, || driver.release(&lease))),
            Job::Look => Done::Looked(guarded(name, || driver.holdings())),
            Job::Sweep(lease) => Done::Swept(lease.claim, guarded(name, || driver.release(&lease))),
            Job::Reclaim(pool, amount) => {
                let given = guarded(name, || driver.reclaim(&pool, amount));
                Done::Reclaimed(pool, given)
            }
        };
        tell.send(Note::Driver(Answer { driver: name.into(), version, done }));
    }
}

/// Makes a lease true, and asks for what its processes find in their environment.
fn enforce(driver: &mut dyn Driver, name: &str, lease: &Lease) -> Result<Vec<Variable>, Fault> {
    guarded(name, || driver.enforce(lease))?;
    let variables = guarded(name, || driver.environment(lease))?;
    let lawful = variables_lawful(name, &variables);
    lawful.map(|()| variables).map_err(|why| Fault::of(FaultKind::Nonsense, why).by(name))
}

/// A driver that is linked in has no guard of its own.
fn guarded<T>(name: &str, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let panicked = || Fault::of(FaultKind::Panicked, "the driver panicked; the log says where");
    let told = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked()));
    told.map_err(|fault| fault.by(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Fence, Supply};

    /// Sets a variable of this name, and panics over a release.
    struct Sets(&'static str);

    impl Driver for Sets {
        fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
            Ok(Vec::new())
        }

        fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
            Ok(())
        }

        fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
            panic!("no")
        }

        fn environment(&mut self, _: &Lease) -> Result<Vec<Variable>, Fault> {
            Ok(vec![Variable { name: self.0.into(), value: "x".into() }])
        }
    }

    #[test]
    fn what_a_driver_may_not_set_is_a_fault_and_so_is_a_panic() {
        let lease = Lease { claim: ClaimId(1), fence: Fence(1), lines: Vec::new(), owner: None };
        let set = |name| enforce(&mut Sets(name), "sets", &lease);
        assert_eq!(set("SETS_A").expect("its own")[0].value, "x");
        let fault = set("LD_PRELOAD").expect_err("not its own");
        assert_eq!((fault.kind, fault.plugin.as_str()), (FaultKind::Nonsense, "sets"));
        let fault = guarded("sets", || Sets("A").release(&lease)).expect_err("it panics");
        assert_eq!((fault.kind, fault.plugin.as_str()), (FaultKind::Panicked, "sets"));
    }
}
