//! Taking a lease's cell back: ask, then kill, until it is proved empty.
use crate::Cell;
use bursar_interface::Proof;
use std::time::{Duration, Instant};

/// How long a reclaim may take before it counts as stuck; it goes on all the same.
const STUCK: Duration = Duration::from_secs(10);

/// How far a reclaim has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Look again soon.
    Pending,
    /// Nothing is left, and this says how that is known.
    Proved(Proof),
    /// Something does not go; look again later.
    Stuck(String),
}

/// One cell on its way back.
#[derive(Debug)]
pub struct Reclaim {
    cell: Cell,
    since: Instant,
    /// How long processes have between being asked and being killed.
    grace: Duration,
    /// Processes that were there at first.
    found: usize,
    killed: bool,
    /// Nothing is left of it.
    gone: bool,
}

impl Reclaim {
    /// Asks everything in the cell to end; after `grace` it is killed. An empty one is gone at once, and
    /// with it what the kernel counted of it.
    pub fn begin(cell: Cell, grace: Duration) -> Reclaim {
        let since = Instant::now();
        if matches!(cell.remove(), Ok(true)) {
            return Reclaim { cell, since, grace, found: 0, killed: false, gone: true };
        }
        let found = cell.members().len();
        if found > 0 && grace > Duration::ZERO {
            cell.term();
        }
        Reclaim { cell, since, grace, found, killed: false, gone: false }
    }

    /// Takes a cell away in which nothing is; `None` if something is, which is left alone.
    pub fn at_once(cell: &Cell) -> Option<Proof> {
        matches!(cell.remove(), Ok(true)).then(|| proof(0, false, Duration::ZERO))
    }

    /// Whose cell it is.
    pub fn claim(&self) -> bursar_interface::ClaimId {
        self.cell.claim()
    }

    /// Goes one step on.
    pub fn advance(&mut self) -> Progress {
        if self.gone {
            return Progress::Proved(self.proof());
        }
        match self.cell.remove() {
            Ok(true) => return Progress::Proved(self.proof()),
            Err(error) => return Progress::Stuck(error.to_string()),
            Ok(false) => {}
        }
        let waited = self.since.elapsed();
        if waited >= self.grace {
            self.killed = true;
            self.cell.kill();
        }
        if waited < STUCK + self.grace {
            return Progress::Pending;
        }
        let members = self.cell.members();
        Progress::Stuck(format!(
            "{} processes do not end: {:?}",
            members.len(),
            &members[..members.len().min(8)]
        ))
    }

    fn proof(&self) -> Proof {
        proof(self.found, self.killed, self.since.elapsed())
    }
}

fn proof(found: usize, killed: bool, after: Duration) -> Proof {
    let how = match (found, killed) {
        (0, _) => "was empty".to_owned(),
        (n, false) => format!("empty after TERM to {n}"),
        (n, true) => format!("empty after KILL of {n}"),
    };
    Proof { evidence: format!("cell {how}, {} ms", after.as_millis()) }
}
