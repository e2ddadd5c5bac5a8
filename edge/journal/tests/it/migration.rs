//! Journals of an older schema or form: migrated whole, or left alone with what to do.
use crate::{batch, fill, open, options, replayed, state, syscalls};
use bursar_interface::Time;
use bursar_journal::{Error, Follower, Journal, Options, verify};
use rusqlite::{Connection, OpenFlags};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tempfile::tempdir;

/// The first schema, as it was shipped.
const SCHEMA_1: &str = "CREATE TABLE batch (
    seq INTEGER PRIMARY KEY, -- of the first input
    next INTEGER NOT NULL,   -- of the first input after the batch
    at INTEGER NOT NULL,     -- engine time in nanoseconds
    wall INTEGER NOT NULL,   -- milliseconds since 1970, for display only
    kind INTEGER NOT NULL,   -- form of the blob: 1 = postcard
    prev INTEGER NOT NULL,   -- crc of the row before; 0 for the first ever
    crc INTEGER NOT NULL,    -- crc32c of everything else in the row
    boot TEXT NOT NULL,      -- /proc/sys/kernel/random/boot_id
    blob BLOB NOT NULL
) STRICT;
PRAGMA application_id = 0x42555253;
PRAGMA user_version = 1;";
/// Batches of every old journal here.
const ROWS: u64 = 9;

/// A journal in the first schema; rows before `first` were taken away by retention.
fn old(dir: &Path, first: u64) {
    let (mut journal, _) = open(dir);
    fill(&mut journal, ROWS);
    for next in [first, ROWS].into_iter().filter(|_| first > 0) {
        assert!(journal.checkpoint(next, Time(next), state(format!("state {next}"))).expect("begun"));
        while journal.checkpointed().is_none() {
            std::thread::yield_now();
        }
    }
    journal.close().expect("closed");
    let (present, database) = (dir.join("present"), dir.join("journal.sqlite"));
    fs::rename(&database, &present).expect("moved");
    let conn = Connection::open(&database).expect("a database");
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).expect("set");
    conn.execute_batch(SCHEMA_1).expect("made");
    conn.execute("ATTACH ?1 AS present", [present.to_string_lossy()]).expect("attached");
    conn.execute("INSERT INTO batch SELECT * FROM present.batch WHERE seq >= ?1", [first as i64])
        .expect("copied");
    conn.execute_batch("DETACH present").expect("detached");
    drop(conn);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o600)).expect("set");
    fs::remove_file(present).expect("removed");
}

/// Its schema, and where it says that its rows begin.
fn schema(dir: &Path) -> (i64, Option<(u64, u32)>) {
    let conn = Connection::open_with_flags(dir.join("journal.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let conn = conn.expect("a database");
    // Closing must not fold the log: the journal is to find what the killed one left.
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    let version = conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    let kept = conn
        .query_row("SELECT first, link FROM kept", [], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)));
    (version, kept.ok())
}

#[test]
fn the_first_schema_becomes_the_present_one() {
    let dir = tempdir().expect("a folder");
    old(dir.path(), 0);
    assert_eq!(schema(dir.path()), (1, None));
    let report = verify(dir.path()).expect("a look");
    assert!(report.sound() && report.schema == 1 && report.batches == ROWS, "{report:?}");
    assert_eq!(
        Follower::open(dir.path()).expect("a reader").since(0, 99).expect("rows").len(),
        ROWS as usize
    );
    assert_eq!(schema(dir.path()), (1, None), "a look changes nothing");
    let (mut journal, recovered) = open(dir.path());
    assert_eq!((recovered.next_seq, schema(dir.path())), (ROWS, (2, Some((0, 0)))));
    fill(&mut journal, ROWS + 3);
    assert_eq!(replayed(&journal, 0).len() as u64, ROWS + 3);
    drop(journal);
    assert!(verify(dir.path()).expect("a look").sound());
}

#[test]
fn where_retention_left_off_is_told_from_the_rows() {
    let dir = tempdir().expect("a folder");
    old(dir.path(), 4);
    let (journal, recovered) = open(dir.path());
    assert_eq!(recovered.checkpoint.map(|checkpoint| checkpoint.next_seq), Some(ROWS));
    let (version, kept) = schema(dir.path());
    assert!(version == 2 && kept.is_some_and(|(first, link)| first == 4 && link != 0), "{kept:?}");
    assert_eq!(replayed(&journal, 0), [4, 5, 6, 7, 8]);
}

#[test]
fn a_row_that_is_lost_from_the_beginning_is_missed() {
    let dir = tempdir().expect("a folder");
    let few = Options { retain_batches: 1, ..options() };
    let (mut journal, _) = Journal::open(dir.path(), few).expect("a journal");
    for to in [5, 10, 15] {
        fill(&mut journal, to);
        assert!(journal.checkpoint(to, Time(to), state("state")).expect("begun"));
        while journal.checkpointed().is_none() {
            std::thread::yield_now();
        }
    }
    fill(&mut journal, 20);
    let first = replayed(&journal, 0)[0];
    drop(journal);
    assert!(first > 0 && schema(dir.path()).1.is_some_and(|kept| kept.0 == first), "retention took some");
    let conn = Connection::open(dir.path().join("journal.sqlite")).expect("a database");
    conn.execute("DELETE FROM batch WHERE seq = ?1", [first as i64]).expect("lost");
    drop(conn);
    assert!(
        verify(dir.path()).expect("a look").problems.iter().any(|problem| problem.contains("is missing"))
    );
    let read = Follower::open(dir.path()).expect("a reader").since(0, 99);
    assert!(matches!(&read, Err(Error::Damaged { .. })), "{read:?}");
    let opened = Journal::open(dir.path(), options()).map(drop);
    assert!(matches!(&opened, Err(Error::Damaged { .. })), "{opened:?}");
}

#[test]
fn killed_in_the_middle_it_is_in_the_one_schema_or_the_other() {
    let args = ["1", "50"];
    let prepare = |state: &Path| old(state, 4);
    let (mut before, mut after) = (0, 0);
    for call in syscalls::calls(args, prepare) {
        let dir = tempdir().expect("a folder");
        let state = dir.path().join("state");
        prepare(&state);
        let answered = syscalls::kill_at(&state, args, call).unwrap_or(ROWS);
        match schema(&state) {
            (1, None) => before += 1,
            (2, Some((4, _))) => after += 1,
            other => panic!("{call:?}: {other:?}"),
        }
        syscalls::check(&state, Some(answered), &format!("{call:?}"));
        assert_eq!(schema(&state).0, 2);
    }
    eprintln!("killed {before} times before it was migrated, {after} times after");
    assert_eq!(before > 10, after > 10, "{before} before, {after} after");
}

#[test]
fn rows_that_are_lost_before_a_checkpoint_are_missed_though_the_state_is_whole() {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 9);
    assert!(journal.checkpoint(9, Time(9), state("state")).expect("begun"));
    journal.close().expect("closed");
    let conn = Connection::open(dir.path().join("journal.sqlite")).expect("a database");
    conn.execute("DELETE FROM batch WHERE seq > 5", []).expect("lost");
    drop(conn);
    assert!(!verify(dir.path()).expect("a look").sound());
    let opened = Journal::open(dir.path(), options()).map(drop).expect_err("missed");
    assert!(matches!(opened, Error::Truncated { recovered: 6, answered: 9, .. }), "{opened}");
    // An operator can go on from the checkpoint, once and for all.
    let accept = Options { accept_loss: true, ..options() };
    let (mut journal, recovered) = Journal::open(dir.path(), accept).expect("accepted");
    assert_eq!((recovered.next_seq, schema(dir.path()).1.map(|kept| kept.0)), (9, Some(9)));
    assert!(recovered.notes.iter().any(|note| note.contains("accepted")), "{:?}", recovered.notes);
    fill(&mut journal, 11);
    drop(journal);
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.next_seq, replayed(&journal, 0)), (11, vec![9, 10]));
    assert!(verify(dir.path()).expect("a look").sound());
}

#[test]
fn a_database_that_is_gone_is_missed_though_the_state_is_whole() {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 9);
    assert!(journal.checkpoint(9, Time(9), state("state")).expect("begun"));
    journal.close().expect("closed");
    fs::remove_file(dir.path().join("journal.sqlite")).expect("lost");
    let opened = Journal::open(dir.path(), options()).map(drop).expect_err("missed");
    assert!(matches!(opened, Error::Truncated { recovered: 0, answered: 9, .. }), "{opened}");
    let accept = Options { accept_loss: true, ..options() };
    let (mut journal, _) = Journal::open(dir.path(), accept).expect("accepted");
    fill(&mut journal, 11);
    drop(journal);
    assert_eq!(replayed(&open(dir.path()).0, 0), [9, 10]);
}

/// Says of the last row that it is in another form, with a checksum that is right.
fn reform(dir: &Path, kind: u32) {
    let conn = Connection::open(dir.join("journal.sqlite")).expect("a database");
    let row = conn.query_row(
        "SELECT seq, next, at, wall, prev, boot, blob FROM batch ORDER BY seq DESC LIMIT 1",
        [],
        |row| {
            let words: [i64; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((words, row.get::<_, String>(5)?, row.get::<_, Vec<u8>>(6)?))
        },
    );
    let ([seq, next, at, wall, prev], boot, blob) = row.expect("a row");
    let words = [seq, next, at, wall, kind.into(), prev, boot.len() as i64];
    let crc = words.into_iter().fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()));
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, boot.as_bytes()), &blob);
    let sql = "UPDATE batch SET kind = ?1, crc = ?2 WHERE seq = ?3";
    conn.execute(sql, [kind.into(), i64::from(crc), seq]).expect("set");
}

#[test]
fn a_row_of_another_form_is_refused_by_its_number() {
    for kind in [0, 9] {
        let dir = tempdir().expect("a folder");
        let (mut journal, _) = open(dir.path());
        fill(&mut journal, 5);
        drop(journal);
        reform(dir.path(), kind);
        let refused = Journal::open(dir.path(), options()).map(drop).expect_err("refused");
        let told = refused.to_string();
        assert!(matches!(refused, Error::Form { seq: 4, found, .. } if found == kind), "{told}");
        assert!(told.contains("start the version that wrote it"), "{told}");
        assert!(verify(dir.path()).expect("a look").problems.iter().any(|problem| problem.contains("form")));
        let follower = Follower::open(dir.path()).expect("a reader");
        assert!(matches!(follower.since(0, 99), Err(Error::Form { .. })));
        assert_eq!(follower.since(0, 4).expect("the rows before it").len(), 4);
    }
}

#[test]
fn a_row_of_the_form_before_is_read_where_batches_were_the_same() {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 5);
    drop(journal);
    reform(dir.path(), 4);
    assert_eq!(replayed(&open(dir.path()).0, 0), [0, 1, 2, 3, 4]);
}

/// Says of a checkpoint that it is in another form, with a checksum that is right.
fn reform_checkpoint(path: &Path, digit: u8) {
    let mut bytes = fs::read(path).expect("a checkpoint");
    bytes[7] = digit;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &bytes[32..]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_checkpoint_of_another_form_is_put_aside_and_its_rows_are_replayed() {
    ['0', '4'].into_iter().for_each(put_aside);
}

fn put_aside(form: char) {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 5);
    assert!(journal.checkpoint(5, Time(5), state("state")).expect("begun"));
    while journal.checkpointed().is_none() {
        std::thread::yield_now();
    }
    journal.append(&batch(5, 1), 0, "boot").expect("appended");
    drop(journal);
    let path = dir.path().join("checkpoint-00000000000000000005");
    reform_checkpoint(&path, form as u8);
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.checkpoint, recovered.batches), (None, 6));
    assert!(
        recovered.notes.iter().any(|note| note.contains(&format!("form {form}"))),
        "{:?}",
        recovered.notes
    );
    assert_eq!(replayed(&journal, 0).len(), 6);
    assert!(!path.exists() && dir.path().join(format!("form-{form}-00000000000000000005")).exists());
}

#[test]
fn a_checkpoint_of_another_form_whose_rows_are_gone_is_refused_by_its_number() {
    let dir = tempdir().expect("a folder");
    old(dir.path(), 4);
    for next in [4, 9] {
        reform_checkpoint(&dir.path().join(format!("checkpoint-{next:020}")), b'9');
    }
    let refused = Journal::open(dir.path(), options()).map(drop).expect_err("refused");
    assert!(matches!(refused, Error::Form { found: 9, .. }), "{refused}");
    assert!(dir.path().join("checkpoint-00000000000000000009").exists(), "nothing was changed");
}

#[test]
fn a_state_that_the_host_cannot_read_is_put_aside() {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    for to in [4, 8] {
        fill(&mut journal, to);
        assert!(journal.checkpoint(to, Time(to), state(format!("state {to}"))).expect("begun"));
        while journal.checkpointed().is_none() {
            std::thread::yield_now();
        }
    }
    drop(journal);
    let (mut journal, recovered) = open(dir.path());
    assert_eq!(recovered.checkpoint.map(|checkpoint| checkpoint.next_seq), Some(8));
    assert_eq!(journal.fall_back().expect("one").map(|checkpoint| checkpoint.next_seq), Some(4));
    assert_eq!(journal.since_checkpoint(), 4);
    assert_eq!(journal.fall_back().expect("all rows"), None);
    assert_eq!((journal.since_checkpoint(), replayed(&journal, 0).len()), (8, 8));
    assert!(
        ["unread-00000000000000000008", "unread-00000000000000000004"]
            .iter()
            .all(|name| dir.path().join(name).exists())
    );
    drop(journal);
    // Where the rows before it are gone, there is nothing to fall back on.
    let dir = tempdir().expect("a folder");
    old(dir.path(), 4);
    let (mut journal, _) = open(dir.path());
    assert_eq!(journal.fall_back().expect("one").map(|checkpoint| checkpoint.next_seq), Some(4));
    assert!(matches!(journal.fall_back(), Err(Error::Damaged { .. })));
    assert!(dir.path().join("checkpoint-00000000000000000004").exists(), "it is left as it is");
}
