//! What a durable append costs beside a bare write and fdatasync of the same bytes.
use bursar_interface::{Ask, Batch, Command, Event, Input, LineAsk, Principal, Time, What};
use bursar_journal::{Journal, Options};
use divan::{Bencher, counter::ItemsCount};
use std::io::Write;

const INPUTS: [usize; 2] = [1, 64];

fn main() {
    divan::main();
}

fn batch(first_seq: u64, inputs: usize) -> Batch {
    let lines = ["cpu", "memory", "pids"].map(|resource| LineAsk {
        resource: resource.into(),
        amount: 1_000,
        ..LineAsk::default()
    });
    let ask = Ask { scope: "tenant/session/agent".into(), lines: lines.into(), ..Ask::default() };
    let input = Input { by: Principal { uid: 1000, ..Principal::default() }, body: Command::Ask(ask) };
    let events = (0..inputs as u32).map(|cause| Event {
        cause: Some(cause),
        what: What::Queued {
            claim: bursar_interface::ClaimId(first_seq + u64::from(cause)),
            scope: bursar_interface::ScopeId(3),
        },
    });
    Batch { first_seq, at: Time(first_seq), inputs: vec![input; inputs], events: events.collect() }
}

/// One row, one transaction, one sync.
#[divan::bench(args = INPUTS)]
fn journal_append(bencher: Bencher<'_, '_>, inputs: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut journal, _) = Journal::open(&dir.path().join("state"), Options::default()).expect("a journal");
    bencher.counter(ItemsCount::new(inputs)).bench_local(|| {
        let batch = batch(journal.next_seq(), inputs);
        journal.append(&batch, 0, "boot").expect("appended");
        journal.answered(batch.next_seq()).expect("marked");
    });
}

/// The least that durability costs: the same bytes at the end of a plain file.
#[divan::bench(args = INPUTS)]
fn write_fdatasync(bencher: Bencher<'_, '_>, inputs: usize) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut seq = 0;
    bencher.counter(ItemsCount::new(inputs)).bench_local(|| {
        let bytes = postcard::to_stdvec(&batch(seq, inputs)).expect("encoded");
        seq += inputs as u64;
        file.write_all(&bytes).expect("written");
        file.sync_data().expect("synced");
    });
}
