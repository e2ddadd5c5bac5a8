//! Appends batches and says after each one how far it has answered: something to kill, or to starve.
//!
//! `writer DIR [BATCHES [CHECKPOINT [ask]]]`: without a number it goes on for ever; every so many batches a
//! checkpoint is written; every third batch waits for the log only, and nothing is said of it. A batch that finds
//! the disk full is refused and said so; any other failure ends it. With `ask` each batch waits for a line on
//! standard input, and one that is in the log only says so.
use bursar_interface::{Batch, Command, Input, Principal, Time};
use bursar_journal::{Error, Journal, Options};
use std::{io::Write, process::ExitCode};

/// The journal cannot be trusted any more, or cannot be opened: a clean stop.
const STOPPED: u8 = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize, otherwise| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    match write(args[1].as_ref(), number(2, u64::MAX), number(3, 50), args.len() > 4) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(STOPPED)
        }
    }
}

fn write(dir: &std::path::Path, batches: u64, checkpoint: u64, asks: bool) -> Result<(), Error> {
    // Who is asked for each batch is watched to reach the end of its log.
    let log_bytes = if asks { 0 } else { Options::default().log_bytes };
    let (mut journal, _) = Journal::open(dir, Options { ballast_bytes: 0, log_bytes, ..Options::default() })?;
    for turn in 0..batches {
        if asks {
            let _ = std::io::stdin().lines().next();
        }
        let inputs = vec![Input { by: Principal::default(), body: Command::Tick }; 1 + turn as usize % 5];
        let batch = Batch { first_seq: journal.next_seq(), at: Time(turn), inputs, ..Batch::default() };
        let appended = match turn % 3 {
            1 => journal.write(&[&batch], 0, "boot"),
            _ => journal.append(&batch, 0, "boot").and_then(|()| journal.answered(batch.next_seq())),
        };
        match appended {
            Ok(()) if turn % 3 == 1 && asks => say("in the log"),
            Ok(()) if turn % 3 == 1 => {}
            Ok(()) => say(&batch.next_seq().to_string()),
            Err(Error::Full { .. }) => say("full"),
            Err(error) => return Err(error),
        }
        if turn % checkpoint == checkpoint - 1 {
            // One that cannot be written costs time at the next start, and nothing else.
            let next = journal.next_seq();
            let begun = journal.checkpoint(next, batch.at, |out| write!(out, "state {next}"));
            // A short run waits for it, so that every run makes the same calls.
            while batches < u64::MAX && begun.is_ok() && journal.checkpointed().is_none() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
    journal.close()
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Whoever listened may be gone.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
