//! One thread per driver: a slow one holds up nobody but itself. Of a driver there may be several versions at once:
//! new leases go to the newest, and whoever made a lease true takes it back.
use super::{edges::Edges, enforcer::Note};
use bursar_interface::{ClaimId, Driver, Fault, FaultKind, Lease, Proof};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
};

/// What a driver is asked.
enum Job {
    Enforce(Lease),
    Release(Lease),
}

/// What a driver has answered.
pub enum Done {
    /// A lease is true, or not.
    Enforced(ClaimId, Result<(), Fault>),
    /// A lease is back, or not.
    Released(ClaimId, Result<Proof, Fault>),
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
        thread.spawn(move || work(driver, &receive, &tell))?;
        let version = self.newest(&name).map_or(0, |version| version + 1);
        self.jobs.insert((name, version), send);
        Ok(())
    }

    /// The version that new leases go to; `None` if there is no such driver.
    pub fn newest(&self, driver: &str) -> Option<u32> {
        let versions = (driver.to_owned(), 0)..=(driver.to_owned(), u32::MAX);
        self.jobs.range(versions).next_back().map(|((_, version), _)| *version)
    }

    /// Lets those go that are not the newest and that no lease needs any more.
    pub fn retire(&mut self, needed: impl Fn(&str, u32) -> bool) {
        let newest: Vec<(String, u32)> = self.jobs.keys().cloned().collect();
        let newest: BTreeMap<String, u32> = newest.into_iter().collect();
        self.jobs.retain(|(name, version), _| newest.get(name) == Some(version) || needed(name, *version));
    }

    /// Has a driver make a lease true.
    pub fn enforce(&self, driver: &str, version: u32, lease: Lease) {
        let claim = lease.claim;
        self.give(driver, version, Job::Enforce(lease), |fault| Done::Enforced(claim, Err(fault)));
    }

    /// Has a driver take a lease back.
    pub fn release(&self, driver: &str, version: u32, lease: Lease) {
        let claim = lease.claim;
        self.give(driver, version, Job::Release(lease), |fault| Done::Released(claim, Err(fault)));
    }

    fn give(&self, driver: &str, version: u32, job: Job, failed: impl Fn(Fault) -> Done) {
        let jobs = self.jobs.get(&(driver.to_owned(), version));
        if jobs.is_none_or(|jobs| jobs.send(job).is_err()) {
            let fault = Fault::new(format!("there is no driver for {driver}")).by(driver);
            self.tell.send(Note::Driver(failed(fault)));
        }
    }
}

fn work(mut driver: Box<dyn Driver>, jobs: &Receiver<Job>, tell: &Edges) {
    while let Ok(job) = jobs.recv() {
        let done = match job {
            Job::Enforce(lease) => Done::Enforced(lease.claim, guarded(|| driver.enforce(&lease))),
            Job::Release(lease) => Done::Released(lease.claim, guarded(|| driver.release(&lease))),
        };
        tell.send(Note::Driver(done));
    }
}

/// A driver that is linked in has no guard of its own.
fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Fault::of(FaultKind::Panicked, "the driver panicked; the log says where")))
}
