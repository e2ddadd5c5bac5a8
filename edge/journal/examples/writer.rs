//! Appends batches for ever and says after each one how far it has answered: something to kill.
use bursar_interface::{Batch, Command, Input, Principal, Time};
use bursar_journal::{Journal, Options};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("name a state directory")?;
    let (mut journal, _) = Journal::open(dir.as_ref(), Options { ballast_bytes: 0, ..Options::default() })?;
    for turn in 0_u64.. {
        let inputs = vec![Input { by: Principal::default(), body: Command::Tick }; 1 + turn as usize % 5];
        let batch = Batch { first_seq: journal.next_seq(), at: Time(turn), inputs, ..Batch::default() };
        journal.append(&batch, 0, "boot")?;
        journal.answered(batch.next_seq())?;
        println!("{}", batch.next_seq());
        std::io::stdout().flush()?;
        if turn % 50 == 49 {
            journal.checkpoint(batch.next_seq(), batch.at, format!("state {}", batch.next_seq()))?;
        }
    }
    Ok(())
}
