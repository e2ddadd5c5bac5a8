//! The audit log: one line of JSON for each act of those who administer, in a file beside the journal. A full file
//! is put behind the others, and the oldest of them goes.
use anyhow::{Context, Result};
use bursar_interface::{Principal, Reason, Refusal};
use bursar_wire::AuditRow;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// The file that is written to; older ones are `audit.1.jsonl` and so on.
const FILE: &str = "audit.jsonl";
/// Bytes after which a file is full.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Full files that are kept.
const FILES_KEPT: usize = 4;
/// Refused acts that are written down in a second; how many were left out stands with the next one.
const REFUSED_PER_SECOND: u32 = 50;

/// The log.
pub struct Audit {
    folder: PathBuf,
    bytes_max: u64,
    end: Mutex<End>,
}

/// Where it is written to.
struct End {
    file: File,
    bytes: u64,
    /// Of the next row.
    seq: u64,
    /// Refused acts since this moment.
    refused: (Instant, u32),
    omitted: u64,
}

impl Audit {
    /// Opens the log of a state directory. A line that a crash cut short is taken away.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(folder: &Path) -> Result<Audit> {
        Audit::bounded(folder, FILE_BYTES_MAX)
    }

    fn bounded(folder: &Path, bytes_max: u64) -> Result<Audit> {
        let path = folder.join(FILE);
        let named = || format!("the audit log {}", path.display());
        let file = append(&path).with_context(named)?;
        let whole = whole_lines(&path).with_context(named)?;
        file.set_len(whole).with_context(named)?;
        let last = newest(folder).with_context(named)?;
        let end = End { file, bytes: whole, seq: last + 1, refused: (Instant::now(), 0), omitted: 0 };
        Ok(Audit { folder: folder.into(), bytes_max, end: Mutex::new(end) })
    }

    /// Writes rows down, with their places and the time; what was carried out is on the disk then.
    pub fn note(&self, rows: Vec<AuditRow>) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let done = rows.iter().any(|row| row.reason.is_none());
        let at = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        for row in rows {
            if row.reason.is_some() && !end.has_room() {
                end.omitted += 1;
                continue;
            }
            let row = AuditRow { seq: end.seq, at: at.to_string(), omitted: end.omitted, ..row };
            if let Err(error) = self.write(&mut end, &row) {
                // The act is done: its answer is as true as without this.
                tracing::error!(%error, act = row.act, uid = row.uid, "the audit log cannot be written");
            }
        }
        if done && let Err(error) = end.file.sync_data() {
            tracing::error!(%error, "the audit log cannot be synced");
        }
    }

    fn write(&self, end: &mut End, row: &AuditRow) -> io::Result<()> {
        let mut line = serde_json::to_vec(row).map_err(io::Error::other)?;
        line.push(b'\n');
        if end.bytes + line.len() as u64 > self.bytes_max && end.bytes > 0 {
            self.turn(end)?;
        }
        // One write: a reader sees all of a line or none of it.
        end.file.write_all(&line)?;
        end.bytes += line.len() as u64;
        (end.seq, end.omitted) = (end.seq + 1, 0);
        Ok(())
    }

    /// Begins a new file.
    fn turn(&self, end: &mut End) -> io::Result<()> {
        end.file.sync_data()?;
        for age in (1..FILES_KEPT).rev() {
            moved(&self.older(age), &self.older(age + 1))?;
        }
        moved(&self.folder.join(FILE), &self.older(1))?;
        end.file = append(&self.folder.join(FILE))?;
        end.bytes = 0;
        File::open(&self.folder)?.sync_all()
    }

    fn older(&self, age: usize) -> PathBuf {
        older(&self.folder, age)
    }

    /// At most `max` rows above a sequence, oldest first, that a principal may see: those who see everybody see
    /// all, others what was tried in their own scope.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn since(&self, by: &Principal, since: u64, max: usize) -> Result<Vec<AuditRow>, Refusal> {
        // Nothing is moved while it is read.
        let _end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for path in files(&self.folder) {
            let read = read(&path, &mut |row| {
                let wanted = row.seq > since && seen(by, &row);
                rows.extend(wanted.then_some(row));
                rows.len() < max
            });
            read.map_err(|error| {
                Refusal::new(Reason::BadRequest, format!("{}: {error}", path.display()))
                    .hint("see `bursar doctor`")
            })?;
        }
        Ok(rows)
    }
}

impl End {
    /// Whether a refused act may be written down now.
    fn has_room(&mut self) -> bool {
        if self.refused.0.elapsed() >= Duration::from_secs(1) {
            self.refused = (Instant::now(), 0);
        }
        self.refused.1 += 1;
        self.refused.1 <= REFUSED_PER_SECOND
    }
}

/// Whether a principal may see a row. What did not get past the door is nobody's scope.
fn seen(by: &Principal, row: &AuditRow) -> bool {
    by.root.is_empty() || row.uid.is_some() && super::present::may_see(by, &row.scope)
}

fn older(folder: &Path, age: usize) -> PathBuf {
    folder.join(format!("audit.{age}.jsonl"))
}

/// The files, oldest first.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let ages = (1..=FILES_KEPT).rev().map(|age| older(folder, age)).collect::<Vec<_>>();
    ages.into_iter().chain([folder.join(FILE)])
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Up to where a file has whole lines.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let text = fs::read(path)?;
    Ok(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1))
}

/// The newest sequence that was written.
fn newest(folder: &Path) -> io::Result<u64> {
    let mut last = 0;
    for path in files(folder).collect::<Vec<_>>().into_iter().rev() {
        read(&path, &mut |row| {
            last = last.max(row.seq);
            true
        })?;
        if last > 0 {
            break;
        }
    }
    Ok(last)
}

/// Hands on the rows of a file for as long as they are wanted. A file that is not there has none, and what is no row
/// is passed over.
fn read(path: &Path, each: &mut impl FnMut(AuditRow) -> bool) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    for line in BufReader::new(file).split(b'\n') {
        if serde_json::from_slice(&line?).is_ok_and(|row| !each(row)) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(act: &str) -> AuditRow {
        AuditRow { act: act.into(), status: 200, uid: Some(0), ..AuditRow::default() }
    }

    fn all(audit: &Audit) -> Vec<u64> {
        let rows = audit.since(&Principal::default(), 0, usize::MAX).expect("readable");
        rows.iter().map(|row| row.seq).collect()
    }

    #[test]
    fn a_full_log_gives_up_its_oldest_rows_alone_and_counts_on_after_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::bounded(folder.path(), 1000).expect("open");
        for act in 0..40 {
            audit.note(vec![done(&format!("PUT /v1/nodes/{act}"))]);
        }
        let kept = all(&audit);
        assert_eq!(kept.last(), Some(&40));
        assert!(kept.len() < 40 && kept.windows(2).all(|two| two[1] == two[0] + 1), "{kept:?}");
        let bytes: u64 = files(folder.path()).map(|path| fs::metadata(path).map_or(0, |it| it.len())).sum();
        assert!(bytes <= 1000 * (FILES_KEPT as u64 + 1), "{bytes}");
        drop(audit);
        let mut file = OpenOptions::new().append(true).open(folder.path().join(FILE)).expect("there");
        file.write_all(b"{\"seq\":\"41\",\"at").expect("cut short");
        let audit = Audit::bounded(folder.path(), 1000).expect("open");
        audit.note(vec![done("POST /v1/apply")]);
        assert_eq!(all(&audit).last(), Some(&41));
        assert_eq!(audit.since(&Principal::default(), 39, 1).expect("readable")[0].seq, 40);
    }

    #[test]
    fn a_storm_of_refused_acts_is_counted_and_not_written_down_one_by_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(folder.path()).expect("open");
        for _ in 0..1000 {
            let refused =
                AuditRow { status: 403, reason: Some("Forbidden".into()), ..done("POST /v1/apply") };
            audit.note(vec![refused]);
        }
        audit.note(vec![done("POST /v1/apply")]);
        let rows = audit.since(&Principal::default(), 0, usize::MAX).expect("readable");
        let written = rows.len() as u64 - 1;
        let omitted: u64 = rows.iter().map(|row| row.omitted).sum();
        assert!(written < 200, "{written}");
        assert_eq!(written + omitted, 1000, "what was carried out is always written down");
    }

    #[test]
    fn each_sees_what_was_tried_in_its_own_scope() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(folder.path()).expect("open");
        for (scope, uid) in [("one/a", Some(1)), ("two", Some(2)), ("", Some(0)), ("", None)] {
            audit.note(vec![AuditRow { scope: scope.into(), uid, ..done("POST /v1/apply") }]);
        }
        let sees = |root: &str| {
            let by = Principal { root: root.into(), ..Principal::default() };
            audit.since(&by, 0, usize::MAX).expect("readable").iter().map(|row| row.seq).collect::<Vec<_>>()
        };
        assert_eq!((sees(""), sees("one"), sees("two")), (vec![1, 2, 3, 4], vec![1], vec![2]));
    }
}
