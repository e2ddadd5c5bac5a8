//! When what is held is to be expected back: as its holder says, until that is found wrong.
//!
//! A lease that lasts longer than its estimate, or is renewed beyond its first term, is expected to last twice as long
//! each time (prediction correction: Tsafrir, Etsion and Feitelson, TPDS 2007). By what it says it would always
//! be about to end, and the head would wait for it for ever where others come and go, who pass it.
use crate::{Engine, sticky::Ends};
use bursar_interface::{NONE, Phase, Time};

impl Engine {
    /// When each held line is said to come back, by node; reads every lease.
    pub(crate) fn ends(&self) -> Ends {
        self.ends_by(|line| self.line_end(line))
    }

    /// When each held line is to be expected back, by node, and whether that is later for any than is said; reads every
    /// lease.
    pub(crate) fn outlook(&self) -> (Ends, bool) {
        let mut wrong = false;
        let ends = self.ends_by(|line| {
            let end = self.line_outlook(line);
            wrong |= end > self.line_end(line);
            end
        });
        (ends, wrong)
    }

    fn ends_by(&self, mut end: impl FnMut(usize) -> Time) -> Ends {
        let tables = self.books.tables();
        let lines = &tables.lines;
        let mut ends = Ends::new();
        for l in (0..lines.len()).filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE) {
            let node = tables.pools.node[lines.pool[l] as usize];
            ends.entry(node).or_default().push((end(l), lines.pool[l], lines.amount[l]));
        }
        ends.values_mut().for_each(|ends| ends.sort_unstable());
        ends
    }

    /// When a held line is said to come back: by its holder's estimate or else the end of its lease.
    pub(crate) fn line_end(&self, line: usize) -> Time {
        let (claims, now) = (&self.books.tables().claims, self.books.at());
        let c = self.books.tables().lines.claim[line] as usize;
        let end = match (Phase::of(claims.phase[c]), claims.expect[c]) {
            (Phase::Draining, _) => now,
            (_, 0) => Time(claims.lease_until[c]),
            (_, expect) => Time(claims.granted_at[c]).after(expect),
        };
        end.max(now)
    }

    /// When a held line is to be expected back: as it is said, or later where that was found wrong before.
    pub(crate) fn line_outlook(&self, line: usize) -> Time {
        let (claims, now) = (&self.books.tables().claims, self.books.at());
        let c = self.books.tables().lines.claim[line] as usize;
        let since = claims.granted_at[c];
        let (term, age) = match (Phase::of(claims.phase[c]), claims.expect[c]) {
            (Phase::Draining, _) => return now,
            (_, 0) => (claims.ttl[c], claims.lease_until[c].saturating_sub(since)),
            (_, expect) => (expect, now.0.saturating_sub(since)),
        };
        match age > term {
            true => Time(since).after(outlived(term, age)),
            false => self.line_end(line),
        }
    }
}

/// The first doubling of a term that an age has not passed (ns).
fn outlived(term: u64, age: u64) -> u64 {
    let doubled = std::iter::successors(Some(term.max(1)), |term| term.checked_mul(2));
    { doubled }.find(|&term| term >= age).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::outlived;

    #[test]
    fn an_estimate_doubles_until_it_holds() {
        for (term, age, then) in [(5, 5, 5), (5, 6, 10), (5, 21, 40), (0, 3, 4), (1, u64::MAX, u64::MAX)] {
            assert_eq!(outlived(term, age), then, "{term} after {age}");
        }
    }
}
