//! A journal that is killed, cut, flipped, filled, mistaken and shared.
mod crash;
mod damage;
mod flips;
mod full;
mod log;
mod migration;
mod place;
mod short;
mod syscalls;

use bursar_interface::{Batch, Command, Input, Principal, Time};
use bursar_journal::{Journal, Options};
use std::{fs, io, path::Path};

/// No ballast, so that small file systems are enough.
fn options() -> Options {
    Options { ballast_bytes: 0, log_bytes: 0, ..Options::default() }
}

fn open(dir: &Path) -> (Journal, bursar_journal::Recovered) {
    Journal::open(dir, options()).expect("a journal")
}

/// A state that is told as a text.
fn state(text: impl AsRef<str>) -> impl FnOnce(&mut dyn io::Write) -> io::Result<()> {
    move |out| out.write_all(text.as_ref().as_bytes())
}

/// A batch of `inputs` ticks.
fn batch(first_seq: u64, inputs: usize) -> Batch {
    let inputs = vec![Input { by: Principal::default(), body: Command::Tick }; inputs];
    Batch { first_seq, at: Time(first_seq), inputs, ..Batch::default() }
}

/// Appends and answers batches until the journal ends at `to`.
fn fill(journal: &mut Journal, to: u64) {
    while journal.next_seq() < to {
        let batch = batch(journal.next_seq(), 1);
        journal.append(&batch, 7, "boot").expect("appended");
        journal.answered(batch.next_seq()).expect("answered");
    }
}

/// What is read back from a sequence on, as first sequences.
fn replayed(journal: &Journal, from: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    journal.replay(from, &mut |batch| seen.push(batch.first_seq)).expect("read back");
    seen
}

/// Copies a state directory, as it lies there.
fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(to).expect("made");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("set");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}
