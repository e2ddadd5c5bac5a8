//! A full disk: a real, small file system.
use crate::{batch, fill};
use bursar_interface::{Batch, Command, Input, Principal, Time};
use bursar_journal::{Error, Journal, Options};
use std::{path::Path, process::Command as Process};
use tempfile::tempdir;

/// A file system of a few megabytes; taken away when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None` where mounting is not allowed.
    fn mount(path: &'a Path) -> Option<Small<'a>> {
        let mut mount = Process::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: mounting is not allowed here");
        }
        mounted.then_some(Small(path))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // What is left of it goes with the machine.
        let _ = Process::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A batch of some weight.
fn heavy(first_seq: u64) -> Batch {
    let body = Command::EnforceFailed { claim: Default::default(), message: "x".repeat(64 << 10) };
    Batch {
        first_seq,
        at: Time(1),
        inputs: vec![Input { by: Principal::default(), body }],
        ..Batch::default()
    }
}

#[test]
fn a_full_disk_refuses_and_the_ballast_lets_what_gives_back_through() {
    let dir = tempdir().expect("a folder");
    let Some(_small) = Small::mount(dir.path()) else { return };
    let options = Options { ballast_bytes: 1 << 20, ..Options::default() };
    let state = dir.path().join("state");
    let (mut journal, recovered) = Journal::open(&state, options.clone()).expect("a journal");
    assert!(recovered.ballast);
    let full = loop {
        match journal.append(&heavy(journal.next_seq()), 0, "boot") {
            Ok(()) => journal.answered(journal.next_seq()).expect("answered"),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::Full { .. }), "{full}");
    let before = journal.next_seq();
    assert!(before > 5 && matches!(journal.restore_ballast(), Err(Error::Full { .. }) | Ok(())));
    journal.make_room().expect("freed");
    fill(&mut journal, before + 3);
    drop(journal);
    // A start on a disk that is nearly full works too.
    let (mut journal, recovered) = Journal::open(&state, options).expect("a journal");
    assert_eq!(recovered.next_seq, before + 3);
    journal.append(&batch(before + 3, 1), 0, "boot").expect("appended");
}
