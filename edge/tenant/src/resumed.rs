//! What was begun before there was a C library, as `run.rs` goes on with it.
use crate::{
    Failed, Run,
    attendant::Attendant,
    run::{leave, stay, tell_failed},
    tenancy::Tenancy,
};
use bursar_enforce::{Gate, Opened};
use bursar_wire::{ClaimAnswer, Client};
use rustix::process::Pid;
use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

/// What was begun.
pub(crate) enum Begun {
    /// Nothing.
    Nothing,
    /// The child is at its gate and its claim was asked for on this connection, with this key; so much of the answer
    /// is there.
    Asked(Gate, UnixStream, Vec<u8>, String),
    /// It is further than that.
    Later(Later),
}

/// A claim was granted, and the gate of its command was opened.
pub(crate) struct Later {
    opened: Opened,
    how_far: HowFar,
    connection: UnixStream,
    /// The answer by which it was granted.
    received: Vec<u8>,
}

enum HowFar {
    Runs(u32),
    Ended(u8),
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn begun() -> Begun {
    use bursar_enforce::early::{Handed, handed};
    match handed() {
        None => Begun::Nothing,
        Some(Handed::Asked { gate, connection, received, key }) => {
            Begun::Asked(gate, connection, received, key)
        }
        Some(Handed::Running { command, opened, connection, received }) => {
            Begun::Later(Later { opened, how_far: HowFar::Runs(command), connection, received })
        }
        Some(Handed::Ended { code, opened, connection, received }) => {
            Begun::Later(Later { opened, how_far: HowFar::Ended(code), connection, received })
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn begun() -> Begun {
    Begun::Nothing
}

impl Later {
    /// Stays with the command to its end, and gives everything back.
    pub(crate) fn go_on(
        self,
        client: Client,
        run: &Run,
        ttl: Duration,
        attendant: &Attendant,
    ) -> Result<u8, Failed> {
        let mut client = client.resume(self.connection, self.received);
        let claim = client.awaited::<ClaimAnswer>()?.claim;
        if let HowFar::Ended(_) = self.how_far {
            // It may have been asked to take the lease back already, and is asked once more.
            client = Client::new(client.path());
        }
        let tenancy = Arc::new(Tenancy::new(&claim, client));
        let ended = match self.how_far {
            HowFar::Runs(pid) => {
                let command =
                    Pid::from_raw(pid as i32).ok_or_else(|| anyhow::anyhow!("a child without a pid"))?;
                attendant.begin(command);
                stay(&tenancy, run, command, self.opened, ttl, attendant)
            }
            HowFar::Ended(code) => {
                tell_failed(run, self.opened);
                Ok(code)
            }
        };
        leave(&tenancy, ended, attendant)
    }
}
