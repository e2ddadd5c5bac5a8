//! The analysis interface: what holds work up, found in the tables, in samples, and in what went by.
use crate::{
    Amount, Fault, Row, Sample, View,
    bound::{EVIDENCE_MAX, FINDING_BYTES_MAX, FINDINGS_MAX},
};
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Notice,
    /// Work is held up.
    Warning,
    /// Work is held up, and by itself it will not get better.
    Critical,
}

impl Severity {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// What a finding is about; rows are those of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// This machine.
    #[default]
    Host,
    /// A kind of thing.
    Resource(Row),
    /// A supply.
    Pool(Row),
    /// Somebody who demands.
    Scope(Row),
    /// A demand.
    Claim(Row),
}

/// A number that a finding rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What, with its unit last: `waiting_claims`, `service_ms`.
    pub name: String,
    /// How much, rounded.
    pub value: u64,
}

/// Something that holds work up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What, in a word.
    pub kind: String,
    /// Of what.
    pub subject: Subject,
    /// How much it matters.
    pub severity: Severity,
    /// The numbers that it rests on.
    pub evidence: Vec<Measure>,
    /// What would help, in words.
    pub advice: String,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(kind: &str, subject: Subject, severity: Severity, advice: &str) -> Finding {
        Finding { kind: kind.into(), subject, severity, evidence: Vec::new(), advice: advice.into() }
    }

    /// The same with one number more.
    #[must_use]
    pub fn with(mut self, name: &str, value: u64) -> Finding {
        self.evidence.push(Measure { name: name.into(), value });
        self
    }

    /// Whether it keeps to the bounds, and its subject is in the view.
    ///
    /// # Errors
    /// In words what is wrong.
    pub fn lawful(&self, view: &View<'_>) -> Result<(), String> {
        let there = match self.subject {
            Subject::Host => true,
            Subject::Resource(row) => (row as usize) < view.resources.len(),
            Subject::Pool(row) => view.pools.id.get(row as usize).is_some_and(|&id| id != 0),
            Subject::Scope(row) => view.scopes.id.get(row as usize).is_some_and(|&id| id != 0),
            Subject::Claim(row) => view.claims.id.get(row as usize).is_some_and(|&id| id != 0),
        };
        let texts =
            [&self.kind, &self.advice].into_iter().chain(self.evidence.iter().map(|measure| &measure.name));
        let bytes: usize = texts.map(String::len).sum();
        match self {
            _ if !there => Err(format!("there is no {:?}", self.subject)),
            _ if self.kind.is_empty() => Err("a finding without a kind".into()),
            _ if self.evidence.len() > EVIDENCE_MAX => Err(format!("more than {EVIDENCE_MAX} numbers")),
            _ if bytes > FINDING_BYTES_MAX => {
                Err(format!("{bytes} bytes of words; at most {FINDING_BYTES_MAX}"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether findings keep to their bounds.
///
/// # Errors
/// In words what is wrong with the first that does not.
pub fn lawful(findings: &[Finding], view: &View<'_>) -> Result<(), String> {
    if findings.len() > FINDINGS_MAX {
        return Err(format!("{} findings; at most {FINDINGS_MAX}", findings.len()));
    }
    findings.iter().try_for_each(|finding| finding.lawful(view))
}

/// What went by of one kind since the daemon started; lines of claims are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Row of the kind.
    pub resource: Row,
    /// Lines that were asked for.
    pub asked: u64,
    /// Lines that were granted.
    pub granted: u64,
    /// Granted lines that came back.
    pub ended: u64,
    /// Lines that were never granted: their claims were cancelled, or waited too long.
    pub given_up: u64,
    /// What was granted, in base units.
    pub amount: Amount,
    /// How long granted lines had waited, in nanoseconds, added up.
    pub waited_ns: u64,
    /// How long ended lines had been held, in nanoseconds, added up.
    pub held_ns: u64,
}

/// That one lease does not end before another claim has, for a reason that the tables do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tie {
    /// Row of the claim that does not end before.
    pub waiter: Row,
    /// Row of the claim that has to end first.
    pub on: Row,
    /// Why.
    pub how: How,
}

/// Why one lease waits for another claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// The claim was made from within the lease.
    Within,
    /// A process of the lease waits for a file lock that a process of the other holds.
    File,
}

/// What an analyzer is shown.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The tables at one moment.
    pub view: View<'a>,
    /// The newest sample of each name.
    pub samples: &'a [Sample],
    /// What went by, by kind.
    pub flows: &'a [Flow],
    /// Who waits for whom beside the tables.
    pub ties: &'a [Tie],
}

/// Looks for what holds work up. Called every few seconds on a thread of its own, and asked anew each time: what
/// it does not find any more is over. It may remember what it saw; nothing rests on that but its findings.
pub trait Analyzer: Send {
    /// Appends what it finds now.
    ///
    /// # Errors
    /// A [`Fault`] when it cannot tell; what it found before stands until it can.
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault>;
}

/// A finding as it is written down when it appears, changes its severity, or is over: by names, not by rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Who found it.
    pub analyzer: String,
    /// What, in a word.
    pub kind: String,
    /// `host`, or what it is and its name: `resource cpu`, `claim 7`.
    pub subject: String,
    /// How much it matters; `None` when it is over.
    pub severity: Option<Severity>,
    /// The numbers that it rests on.
    pub evidence: Vec<Measure>,
    /// What would help, in words.
    pub advice: String,
}
