//! One thread per driver: a slow one holds up nobody but itself.
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

/// The drivers' threads. What waits for one is bounded by the leases that there are.
pub struct Workers {
    jobs: BTreeMap<String, Sender<Job>>,
    tell: Edges,
}

impl Workers {
    /// Gives each driver a thread; they end when this is dropped.
    pub fn start(drivers: BTreeMap<String, Box<dyn Driver>>, tell: Edges) -> std::io::Result<Workers> {
        let mut jobs = BTreeMap::new();
        for (name, driver) in drivers {
            let (send, receive) = channel();
            let (tell, thread) = (tell.clone(), std::thread::Builder::new().name(format!("driver-{name}")));
            thread.spawn(move || work(driver, &receive, &tell))?;
            jobs.insert(name, send);
        }
        Ok(Workers { jobs, tell })
    }

    /// Has a driver make a lease true.
    pub fn enforce(&self, driver: &str, lease: Lease) {
        let claim = lease.claim;
        self.give(driver, Job::Enforce(lease), |fault| Done::Enforced(claim, Err(fault)));
    }

    /// Has a driver take a lease back.
    pub fn release(&self, driver: &str, lease: Lease) {
        let claim = lease.claim;
        self.give(driver, Job::Release(lease), |fault| Done::Released(claim, Err(fault)));
    }

    fn give(&self, driver: &str, job: Job, failed: impl Fn(Fault) -> Done) {
        let given = self.jobs.get(driver).is_some_and(|jobs| jobs.send(job).is_ok());
        if !given {
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
