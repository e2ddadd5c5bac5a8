//! Logs of batch systems in the Standard Workload Format (Chapin et al., JSSPP'99; Parallel Workloads
//! Archive): header lines after `;`, then one job a line in 18 fields, -1 where something is not known.
use super::Malformed;

/// Fields of a job.
const FIELDS: usize = 18;
/// What a job runs in seconds if its run time is not known, as RLScheduler reads such logs.
const RUN_UNKNOWN_S: u64 = 10;

/// A job of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Number in the log.
    pub id: u64,
    /// When it was submitted, in seconds since the log began.
    pub submit_s: u64,
    /// How long it ran, in seconds; above 0.
    pub run_s: u64,
    /// Whether the log knows how long it ran: most that it does not know of were cancelled while they
    /// waited. Textbooks leave those out, and RLScheduler lets them run for 10 s.
    pub ran: bool,
    /// Processors: those it got or those it asked for, whichever is more; above 0.
    pub processors: u64,
    /// How long its user said that it would run, in seconds; its run time where that is not known.
    pub request_s: u64,
}

/// A log as far as it is read here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What the machine has: `MaxProcs` of the header, else `MaxNodes`; `None` if it has neither.
    pub processors: Option<u64>,
    /// Its jobs by id. Those that ran for no time at all or on no processor are left out.
    pub jobs: Vec<Job>,
}

/// Reads a log.
///
/// # Errors
/// Names the line and the field, and what would be right.
pub fn log(text: &str) -> Result<Log, Malformed> {
    let (mut max_procs, mut max_nodes, mut jobs) = (None, None, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix(';') {
            match header.split_once(':').map(|(key, value)| (key.trim(), value)) {
                Some(("MaxProcs", value)) => max_procs = Some(size(number, "MaxProcs", value)?),
                Some(("MaxNodes", value)) => max_nodes = Some(size(number, "MaxNodes", value)?),
                _ => {}
            }
        } else if !line.is_empty() {
            jobs.extend(job(&Fields::of(number, line)?)?);
        }
    }
    jobs.sort_by_key(|job: &Job| job.id);
    Ok(Log { processors: max_procs.or(max_nodes), jobs })
}

/// A size in the header. Some logs say more behind the number.
fn size(line: usize, key: &str, value: &str) -> Result<u64, Malformed> {
    let word = value.split_whitespace().next().unwrap_or("");
    word.parse().ok().filter(|&size| size > 0).ok_or_else(|| {
        Malformed(format!("line {line}: {key} is {word:?}, and must be a whole number above zero"))
    })
}

struct Fields<'a> {
    line: usize,
    cells: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(line: usize, text: &'a str) -> Result<Fields<'a>, Malformed> {
        let cells: Vec<&str> = text.split_ascii_whitespace().collect();
        match cells.len() {
            FIELDS => Ok(Fields { line, cells }),
            found => Err(Malformed(format!("line {line}: a job has {FIELDS} fields, and here are {found}"))),
        }
    }

    /// A field by its number, counted from 1; `None` for -1 and below.
    fn known(&self, field: usize, name: &str) -> Result<Option<u64>, Malformed> {
        let text = self.cells[field - 1];
        let number: i64 = text.parse().map_err(|_| {
            let line = self.line;
            Malformed(format!("line {line}: field {field} ({name}) is {text:?}, and must be a whole number"))
        })?;
        Ok(u64::try_from(number).ok())
    }

    fn needed(&self, field: usize, name: &str) -> Result<u64, Malformed> {
        self.known(field, name)?.ok_or_else(|| {
            let (line, text) = (self.line, self.cells[field - 1]);
            Malformed(format!("line {line}: field {field} ({name}) is {text}, and must be zero or more"))
        })
    }
}

/// The job of a line; `None` if there is nothing of it to replay.
fn job(fields: &Fields<'_>) -> Result<Option<Job>, Malformed> {
    let (id, submit_s) = (fields.needed(1, "job number")?, fields.needed(2, "submit time")?);
    let run = fields.known(4, "run time")?;
    let (run_s, ran) = (run.unwrap_or(RUN_UNKNOWN_S), run.is_some());
    let allocated = fields.known(5, "allocated processors")?;
    let requested = fields.known(8, "requested processors")?;
    let request_s = fields.known(9, "requested time")?.unwrap_or(run_s);
    let processors = allocated.max(requested).unwrap_or(0);
    Ok((run_s > 0 && processors > 0).then_some(Job { id, submit_s, run_s, ran, processors, request_s }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_read_as_the_field_reads_it() {
        let text = "; Version: 2.2\n;   MaxNodes: 64\n; MaxProcs: 128 (in two racks)\n; Note: x\n\n\
            2 50 0 100 8 -1 -1 16 300 -1 1 1 1 1 1 1 -1 -1\n\
            1 40 0  -1 -1 -1.5 -1 4 -1 -1 5 1 1 1 1 1 -1 -1\n\
            3 60 0   0 8 -1 -1 8 300 -1 5 1 1 1 1 1 -1 -1\n\
            4 60 0   9 -1 -1 -1 -1 300 -1 5 1 1 1 1 1 -1 -1\n";
        let jobs = vec![
            Job { id: 1, submit_s: 40, run_s: 10, ran: false, processors: 4, request_s: 10 },
            Job { id: 2, submit_s: 50, run_s: 100, ran: true, processors: 16, request_s: 300 },
        ];
        assert_eq!(log(text), Ok(Log { processors: Some(128), jobs }));
        assert_eq!(log("; MaxNodes: 64").map(|log| log.processors), Ok(Some(64)));
        assert_eq!(log(""), Ok(Log::default()));
    }

    #[test]
    fn errors_name_the_line_and_what_would_be_right() {
        let good = "1 40 0 7 4 -1 -1 4 -1 -1 5 1 1 1 1 1 -1 -1";
        for (text, told) in [
            ("; MaxProcs: many".to_owned(), "line 1: MaxProcs is \"many\", and must be a whole number"),
            ("; MaxProcs: 0".to_owned(), "line 1: MaxProcs is \"0\""),
            (format!("{good}\n1 2 3"), "line 2: a job has 18 fields, and here are 3"),
            (good.replace(" 7 ", " x "), "line 1: field 4 (run time) is \"x\", and must be a whole number"),
            (good.replace(" 7 ", " 1.5 "), "field 4"),
            (good.replace("40", "-40"), "line 1: field 2 (submit time) is -40, and must be zero or more"),
            (good.replace(" 7 ", " 99999999999999999999 "), "field 4"),
        ] {
            let why = log(&text).expect_err(told).to_string();
            assert!(why.contains(told), "{why}");
        }
    }
}
