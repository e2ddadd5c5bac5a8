//! Other limits for a cell in which something lives: never so that anything is killed.
//!
//! Limits are set so that a failure leaves the old ones in force. What is in use beyond a new limit is never
//! taken: v1 memory refuses a limit below what it cannot reclaim; v2 would kill, so what is there is pushed
//! out below the mark first (`memory.high`), and the limit follows only if that went; a limit on processes
//! is set first, so that no more come, and then they are counted. Processor time is only ever slower.
use crate::{Cell, Limits, groups::Group};
use std::io;

impl Cell {
    /// Sets other limits of the kinds that are limited already. Afterwards either all of them are in force or
    /// what was before is.
    ///
    /// # Errors
    /// `ResourceBusy` with what is in use, or names the file that could not be written.
    pub fn resize(&mut self, limits: Limits) -> io::Result<()> {
        let before = self.limits;
        let done = self.lower_memory(limits).and_then(|()| self.lower_pids(limits));
        match done.and_then(|()| self.build(limits)) {
            Ok(()) => Ok(()),
            Err(error) => {
                // Up again is always possible; what cannot be written now could not be written before.
                let _ = self.build(before);
                self.limits = before;
                Err(error)
            }
        }
    }

    fn lower_memory(&self, limits: Limits) -> io::Result<()> {
        let (Some(bytes), Some(before)) = (limits.memory_bytes, self.limits.memory_bytes) else {
            return Ok(());
        };
        if bytes >= before {
            return Ok(());
        }
        if !self.grouped {
            let used = self.resident();
            return if used > bytes { Err(in_use("memory", used, bytes, "bytes")) } else { Ok(()) };
        }
        let v2 = self.v2.as_ref().filter(|_| self.v2_controllers.iter().any(|has| has == "memory"));
        if let Some(group) = v2 {
            return push_out(group, bytes, self.limits.memory_soft);
        }
        match self.v1.iter().find(|(controller, _)| *controller == "memory") {
            Some((_, group)) => group.write("memory.limit_in_bytes", bytes).map_err(|error| {
                match (error.kind(), group.number("memory.usage_in_bytes")) {
                    (io::ErrorKind::ResourceBusy, Some(used)) => in_use("memory", used, bytes, "bytes"),
                    _ => error,
                }
            }),
            None => Ok(()),
        }
    }

    fn lower_pids(&self, limits: Limits) -> io::Result<()> {
        let (Some(pids), Some(before)) = (limits.pids, self.limits.pids) else { return Ok(()) };
        if pids >= before {
            return Ok(());
        }
        let v1 = || self.v1.iter().find(|(controller, _)| *controller == "pids").map(|(_, group)| group);
        let v2 = self.v2.as_ref().filter(|_| self.v2_controllers.iter().any(|has| has == "pids"));
        let used = match v2.or_else(v1).filter(|_| self.grouped) {
            Some(group) => {
                group.write("pids.max", pids)?;
                group.number("pids.current").unwrap_or(0)
            }
            None => self.members().len() as u64,
        };
        if used > pids { Err(in_use("pids", used, pids, "processes")) } else { Ok(()) }
    }
}

/// Has the kernel take back what it can above a mark, and says whether that was enough.
fn push_out(group: &Group, bytes: u64, soft: Option<u64>) -> io::Result<()> {
    let high = group.has("memory.high");
    if high {
        group.write("memory.high", bytes)?;
    }
    let used = group.number("memory.current").unwrap_or(0);
    let fits = if used > bytes { Err(in_use("memory", used, bytes, "bytes")) } else { Ok(()) };
    // From here on the hard limit stands; above it nothing is slowed down as before.
    let lowered = fits.and_then(|()| group.write("memory.max", bytes));
    if high {
        group.write("memory.high", soft.map_or_else(|| "max".to_owned(), |soft| soft.to_string()))?;
    }
    lowered
}

fn in_use(what: &str, used: u64, limit: u64, unit: &str) -> io::Error {
    let message = format!("{used} {unit} of {what} are in use, and cannot be brought down to {limit}");
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}
