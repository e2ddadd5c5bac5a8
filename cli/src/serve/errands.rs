//! Commands of the operator's that are run because memory runs short: for a holder that is asked to use less, and to
//! have processes give back what they do not need. A few at once, none for long, and each stands where other processes
//! do when the kernel has to choose.
use bursar_interface::ClaimId;
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// At once.
const ERRANDS_MAX: usize = 16;
/// How long one may take.
const ERRAND_MAX: Duration = Duration::from_secs(10);

/// What a command is told, as `BURSAR_…` in its environment.
#[derive(Clone, Debug)]
pub struct Errand {
    /// `collect` or `ask`.
    pub step: &'static str,
    /// Of which lease.
    pub claim: ClaimId,
    /// Its attached processes.
    pub pids: Vec<u32>,
    /// What it uses, in bytes.
    pub used: u64,
    /// What it is to use at most, in bytes; 0 where nothing is said of that.
    pub to: u64,
}

/// One that runs.
struct Running {
    child: Child,
    since: Instant,
    errand: Errand,
}

/// All that run.
#[derive(Default)]
pub struct Errands(Vec<Running>);

impl Errands {
    /// Starts a command.
    ///
    /// # Errors
    /// In words why it cannot be.
    pub fn start(&mut self, command: &str, errand: Errand) -> Result<(), String> {
        if self.0.len() >= ERRANDS_MAX {
            return Err(format!("{ERRANDS_MAX} commands run already"));
        }
        let pids: Vec<String> = errand.pids.iter().map(u32::to_string).collect();
        let child = Command::new("sh")
            .args(["-c", command])
            .env("BURSAR_STEP", errand.step)
            .env("BURSAR_CLAIM", errand.claim.to_string())
            .env("BURSAR_PIDS", pids.join(" "))
            .env("BURSAR_USED_BYTES", errand.used.to_string())
            .env("BURSAR_TO_BYTES", errand.to.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.map_err(|error| error.to_string())?;
        // One that is gone already needs nothing.
        let _ = bursar_enforce::unspare(child.id());
        self.0.push(Running { child, since: Instant::now(), errand });
        Ok(())
    }

    /// Those that are over, with how they ended: in words what went wrong.
    pub fn over(&mut self) -> Vec<(Errand, Result<(), String>)> {
        let mut over = Vec::new();
        self.0.retain_mut(|running| {
            let ended = match running.child.try_wait() {
                Ok(Some(status)) if status.success() => Ok(()),
                Ok(Some(status)) => Err(format!("its command ended with {status}")),
                Ok(None) if running.since.elapsed() < ERRAND_MAX => return true,
                Ok(None) => {
                    // Whoever is gone by now needs no end.
                    let _ = running.child.kill();
                    let _ = running.child.wait();
                    Err(format!("its command took longer than {} s", ERRAND_MAX.as_secs()))
                }
                Err(error) => Err(error.to_string()),
            };
            over.push((running.errand.clone(), ended));
            false
        });
        over
    }
}
