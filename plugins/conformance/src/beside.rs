//! What the roles beside the round must keep to: lawful offers and findings, the same every time, in every world.
use crate::{
    Outside, Report,
    strategy::{gone, quickest},
    supply::has_unit,
    world::{carry_out, crowd, fleet, open, open_giant, propose},
};
use bursar_interface::{
    Analyzer, Finding, Flow, Offer, Plan, Row, Sharing, Sight, Time, View, findings_lawful,
};
use bursar_pool::Books;
use std::time::Duration;

/// Claims in the small world, and machines in the huge one.
const CLAIMS: u64 = 24;
const HUGE: u64 = 1000;
/// Looks that an analyzer is given, and how far apart they are, in nanoseconds.
const LOOKS: u64 = 12;
const APART_NS: u64 = 10_000_000_000;

/// Units of a finding's numbers, beside those of samples.
const UNITS: [&str; 8] = ["_id", "_ms", "_claims", "servers", "_units", "_per_hour", "_leases", "_scopes"];

type Make<'a, T> = &'a dyn Fn() -> Box<T>;

const MADE: &str = "the constructor must succeed on no config, and its drop must not panic";
const LAWFUL: &str =
    "offer what there is, at most 64 times of it, and to guaranteed claims never more than there is";
const DETERMINISM: &str = "no clock, no randomness, no count of one's own calls";
const ORDER: &str = "offer each pool by itself: which others are asked about must not matter";
const EMPTY: &str = "a world without anything is no fault: return Ok";
const FOUND: &str = "name what is in the view, with a kind, numbers that end in a unit, and few words";
const DEADLINE: &str = "allocate nothing per pool and claim, and build it for release";

/// Tries a sharing. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn sharing(make: &dyn Fn() -> Box<dyn Sharing>) -> Result<(), String> {
    sharing_report(make, None).verdict()
}

/// Tries a sharing by every check; those that need somebody who sees it from outside are left out without.
pub fn sharing_report(make: Make<'_, dyn Sharing>, outside: Option<&Outside<'_>>) -> Report {
    let mut report = Report::default();
    report.check("made", MADE, || {
        drop(make());
        Ok(String::new())
    });
    let books = fleet();
    let pools = pools(&books);
    report.check("empty world", EMPTY, || offer(&mut *make(), &Books::new(), &[]).map(|_| String::new()));
    report.check("lawful", LAWFUL, || {
        let offers = offer(&mut *make(), &books, &pools)?;
        let capacity = books.view().pools.capacity;
        let lawful = |(&pool, offer): (&Row, &Offer)| offer.lawful(capacity[pool as usize]);
        pools.iter().zip(&offers).try_for_each(lawful).map(|()| format!("{} pools", pools.len()))
    });
    report.check("determinism", DETERMINISM, || {
        let mut warmed = make();
        let first = offer(&mut *warmed, &books, &pools)?;
        let same =
            offer(&mut *warmed, &books, &pools)? == first && offer(&mut *make(), &books, &pools)? == first;
        if same { Ok(String::new()) } else { Err("asked twice, it offers two things".into()) }
    });
    report.check("permutation", ORDER, || {
        let all = offer(&mut *make(), &books, &pools)?;
        for (pool, expected) in pools.iter().zip(&all) {
            if offer(&mut *make(), &books, &[*pool])? != [*expected] {
                return Err("what it offers of a pool depends on which others are asked about".into());
            }
        }
        Ok(String::new())
    });
    let mut took = Duration::MAX;
    report.check("huge world", DEADLINE, || {
        let books = crowd(HUGE);
        let pools = self::pools(&books);
        took = quickest(|| offer(&mut *make(), &books, &pools), |offers| offers)?.1;
        Ok(format!("{} pools", pools.len()))
    });
    if let Some(outside) = outside {
        report.check("deadline", DEADLINE, || outside.in_time(took));
        let mut sharing = make();
        outside.endure(&mut report, &mut || offer(&mut *sharing, &books, &pools).map(drop));
        outside.farewell(&mut report, &mut || gone(make()));
    }
    report
}

/// Tries an analyzer. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn analyzer(make: &dyn Fn() -> Box<dyn Analyzer>) -> Result<(), String> {
    analyzer_report(make, None).verdict()
}

/// Tries an analyzer by every check; those that need somebody who sees it from outside are left out without.
pub fn analyzer_report(make: Make<'_, dyn Analyzer>, outside: Option<&Outside<'_>>) -> Report {
    let mut report = Report::default();
    report.check("made", MADE, || {
        drop(make());
        Ok(String::new())
    });
    report.check("empty world", EMPTY, || look(&mut *make(), &Books::new(), 1).map(|_| String::new()));
    let mut took = Duration::MAX;
    let busy = busy();
    report.check("lawful", FOUND, || {
        let mut analyzer = make();
        let mut most = 0;
        for number in 1..=LOOKS {
            most = most.max(look(&mut *analyzer, &busy, number)?.len());
        }
        Ok(format!("{most} findings at most"))
    });
    report.check("determinism", DETERMINISM, || {
        let all = || -> Result<Vec<Vec<Finding>>, String> {
            let mut analyzer = make();
            (1..=LOOKS).map(|number| look(&mut *analyzer, &busy, number)).collect()
        };
        if all()? == all()? { Ok(String::new()) } else { Err("two that saw the same find two things".into()) }
    });
    report.check("huge world", DEADLINE, || {
        let mut books = crowd(HUGE);
        for id in 1..=CLAIMS {
            open(&mut books, id);
        }
        took = quickest(|| look(&mut *make(), &books, 1), |found| found)?.1;
        Ok(format!("{HUGE} nodes"))
    });
    if let Some(outside) = outside {
        report.check("deadline", DEADLINE, || outside.in_time(took));
        let (mut analyzer, mut number) = (make(), 0);
        outside.endure(&mut report, &mut || {
            number += 1;
            look(&mut *analyzer, &busy, number).map(drop)
        });
        outside.farewell(&mut report, &mut || gone(make()));
    }
    report
}

fn pools(books: &Books) -> Vec<Row> {
    (0..books.view().pools.len() as Row).collect()
}

fn offer(sharing: &mut dyn Sharing, books: &Books, pools: &[Row]) -> Result<Vec<Offer>, String> {
    let view = books.view();
    let plain = |&pool: &Row| Offer::plain(view.pools.capacity[pool as usize]);
    let mut offers: Vec<Offer> = pools.iter().map(plain).collect();
    sharing.offer(&view, pools, &mut offers).map(|()| offers).map_err(|fault| fault.to_string())
}

/// Four machines: some claims hold, some wait, and some always will.
fn busy() -> Books {
    struct First;
    impl bursar_interface::Allocator for First {
        fn place(
            &mut self,
            view: &View<'_>,
            queue: &[Row],
            plan: &mut Plan<'_>,
        ) -> Result<(), bursar_interface::Fault> {
            for &claim in queue {
                (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
            }
            Ok(())
        }
    }
    let mut books = fleet();
    let queue: Vec<Row> = (1..=CLAIMS).map(|id| open(&mut books, id)).collect();
    // What does not fit goes on waiting, which is what is wanted here.
    let takes = propose(&mut First, &books, &queue).unwrap_or_default();
    carry_out(&mut books, &takes, 1).unwrap_or_default();
    for id in CLAIMS + 1..CLAIMS + 4 {
        open_giant(&mut books, id);
    }
    books
}

/// One look at a world, and whether what is found keeps to the bounds.
fn look(analyzer: &mut dyn Analyzer, books: &Books, number: u64) -> Result<Vec<Finding>, String> {
    let view = View { at: Time(number * APART_NS), ..books.view() };
    let flow = |resource: usize| Flow {
        resource: resource as Row,
        asked: 60 * number,
        granted: 50 * number,
        ended: 40 * number,
        given_up: number,
        amount: 50_000 * number,
        waited_ns: 50 * number * APART_NS,
        held_ns: 40 * number * APART_NS,
    };
    let flows: Vec<Flow> = (0..view.resources.len()).map(flow).collect();
    let mut found = Vec::new();
    let sight = Sight { view, samples: &[], flows: &flows, ties: &[] };
    analyzer.report(&sight, &mut found).map_err(|fault| fault.to_string())?;
    findings_lawful(&found, &view)?;
    let names = found.iter().flat_map(|finding| &finding.evidence).map(|measure| &measure.name);
    match names.into_iter().find(|name| !has_unit(name) && !UNITS.iter().any(|unit| name.ends_with(unit))) {
        Some(name) => Err(format!("{name:?} does not end in a unit")),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Fault, Severity, Subject};

    struct Offers(fn(&[Row], &mut [Offer]));
    impl Sharing for Offers {
        fn offer(&mut self, _: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
            (self.0)(pools, offers);
            Ok(())
        }
    }

    struct Finds(fn(&mut u64) -> Finding, u64);
    impl Analyzer for Finds {
        fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
            self.1 += 1;
            findings.extend((!sight.view.claims.is_empty()).then(|| (self.0)(&mut self.1)));
            Ok(())
        }
    }

    #[test]
    fn offers_that_make_no_sense_are_named() {
        let tried = |by: fn(&[Row], &mut [Offer])| sharing(&|| Box::new(Offers(by)));
        assert_eq!(tried(|_, offers| offers.iter_mut().for_each(|offer| offer.offered *= 2)), Ok(()));
        let greedy = tried(|_, offers| offers.iter_mut().for_each(|offer| offer.firm += 1));
        assert!(greedy.expect_err("too firm").starts_with("lawful"));
        let looking =
            tried(|pools, offers| offers.iter_mut().for_each(|offer| offer.holders = pools.len() as u32));
        assert!(looking.expect_err("it looks around").starts_with("permutation"));
    }

    #[test]
    fn findings_that_make_no_sense_are_named() {
        let tried = |by: fn(&mut u64) -> Finding| analyzer(&|| Box::new(Finds(by, 0)));
        let sound =
            |_: &mut u64| Finding::new("slow", Subject::Host, Severity::Notice, "wait").with("wait_ms", 1);
        assert_eq!(tried(sound), Ok(()));
        let nobody = tried(|_| Finding::new("slow", Subject::Claim(1 << 20), Severity::Notice, ""));
        assert!(nobody.expect_err("nobody").starts_with("lawful"));
        let unitless = tried(|_| Finding::new("slow", Subject::Host, Severity::Notice, "").with("wait", 1));
        assert!(unitless.expect_err("no unit").contains("unit"));
    }
}
