//! Soft limits: how much a lease may use without being slowed down, beside what it can never pass. An edge makes
//! them true where it can; no strategy sees them, because nothing is promised by them.
use crate::{Engine, admit::bad};
use bursar_interface::{Amount, Ask, ClaimId, LineAsk, Refusal, ResourceSpec, Row, Shape};
use bursar_pool::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The soft limit of a kind in one of a claim's sets of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Soft {
    set: u32,
    kind: Row,
    amount: Amount,
}

/// The claims that have any.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Softs(BTreeMap<ClaimId, Vec<Soft>>);

impl Softs {
    pub(crate) fn close(&mut self, claim: ClaimId) {
        if !self.0.is_empty() {
            self.0.remove(&claim);
        }
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        for (claim, softs) in &self.0 {
            digest.word(claim.0);
            for soft in softs {
                let words = [u64::from(soft.set), u64::from(soft.kind), soft.amount];
                words.into_iter().for_each(|word| digest.word(word));
            }
        }
    }
}

/// Whether a line can have this soft limit.
pub(crate) fn check_soft(spec: &ResourceSpec, amount: Amount, soft: Amount) -> Result<(), Refusal> {
    let (name, unit) = (&spec.name, &spec.unit);
    if spec.shape != Shape::Capacity {
        return bad(&format!("{name} has no soft limit"), "leave it out");
    }
    match soft == 0 || soft > amount {
        true => bad(
            &format!(
                "a soft limit of {soft} {unit} of {name} is not from 1 to the {amount} that are asked for"
            ),
            "it is where a lease is slowed down, below what it can never pass",
        ),
        false => Ok(()),
    }
}

impl Engine {
    /// Keeps the soft limits of an ask, for each of its sets of lines.
    pub(crate) fn fold_soft(&mut self, claim: ClaimId, ask: &Ask) {
        let has_any = |lines: &[LineAsk]| lines.iter().any(|line| line.soft.is_some());
        if !has_any(&ask.lines) && !ask.alternatives.iter().any(|lines| has_any(lines)) {
            return;
        }
        let sets = [&ask.lines].into_iter().chain(&ask.alternatives);
        let mut softs: Vec<Soft> = Vec::new();
        for (set, lines) in (0..).zip(sets) {
            let soft = lines.iter().filter(|line| line.soft.is_some());
            for kind in soft.filter_map(|line| self.books.resource(&line.resource)) {
                if softs.iter().any(|known| (known.set, known.kind) == (set, kind)) {
                    continue;
                }
                // Of a line without a limit of its own all counts.
                let of_kind = lines.iter().filter(|line| self.books.resource(&line.resource) == Some(kind));
                let amount = of_kind.map(|line| line.soft.unwrap_or(line.amount)).sum();
                softs.push(Soft { set, kind, amount });
            }
        }
        self.soft.0.insert(claim, softs);
    }

    /// How much of a kind a lease may use without being slowed down; `None` where it said nothing of that.
    pub fn soft_limit(&self, claim: ClaimId, kind: Row) -> Option<Amount> {
        let softs = self.soft.0.get(&claim)?;
        let set = self.books.claim(claim).and_then(|row| self.books.chosen(row)).unwrap_or(0);
        softs.iter().find(|soft| (soft.set, soft.kind) == (set, kind)).map(|soft| soft.amount)
    }
}
