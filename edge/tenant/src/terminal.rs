//! The terminal that `bursar run` was started on: the command has it while it runs, and whoever comes
//! next finds it usable.
use rustix::{
    fd::BorrowedFd,
    process::{Pid, getpgrp, test_kill_process_group},
    stdio::{stdin, stdout},
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp},
};

/// A terminal, and how it was at first.
#[derive(Debug)]
pub(crate) struct Terminal {
    modes: Termios,
}

impl Terminal {
    /// The terminal, if both input and output are one: in a pipeline it is somebody else's too.
    pub(crate) fn find() -> Option<Terminal> {
        let modes = tcgetattr(terminal()).ok().filter(|_| isatty(stdout()))?;
        Some(Terminal { modes })
    }

    /// The group that has it.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(terminal()).ok()
    }

    /// Gives it to a group.
    pub(crate) fn give(&self, group: Pid) {
        // Asking for it is allowed from the background, because the signal that would forbid it is blocked;
        // one that is gone needs none.
        let _ = tcsetpgrp(terminal(), group);
    }

    /// After the command: takes it back from a group that is gone and, unless the command ended well,
    /// puts the modes back that it may have left behind. Does nothing while another group has it.
    pub(crate) fn take_back(&self, ended_well: bool) {
        let Some(group) = self.foreground() else { return };
        if group != getpgrp() && test_kill_process_group(group).is_ok() {
            return;
        }
        if group != getpgrp() {
            self.give(getpgrp());
        }
        if !ended_well {
            // A terminal that is gone has no modes.
            let _ = tcsetattr(terminal(), OptionalActions::Drain, &self.modes);
        }
    }
}

fn terminal() -> BorrowedFd<'static> {
    stdin()
}
