//! What strategies must keep to: lawful, the same every time, a fresh one like a warmed one, in every world.
use crate::{
    Outside, Report,
    world::{carry_out, crowd, fleet, kinds, open, open_giant, propose},
};
use bursar_interface::{Allocator, Phase, Qos, Rank, Row, Take};
use bursar_pool::Books;
use std::time::{Duration, Instant};

/// Rounds that a strategy is tried for.
const ROUNDS: u64 = 12;
/// Claims that come in each round.
const ARRIVALS: u64 = 6;
/// Machines and claims of the huge world.
const HUGE: (u64, u64) = (1000, 16);
/// Claims that are ranked at once there: as many as a round has.
const HUGE_RANKED: u64 = bursar_interface::bound::ROUND_MAX as u64;
/// How often the huge world is tried; the quickest counts.
const HUGE_TRIES: u32 = 3;

type Make<'a, T> = &'a dyn Fn() -> Box<T>;

/// Tries an allocator. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn allocator(make: &dyn Fn() -> Box<dyn Allocator>) -> Result<(), String> {
    allocator_report(make, None).verdict()
}

/// Tries an allocator by every check; those that need somebody who sees it from outside are left out without.
pub fn allocator_report(make: Make<'_, dyn Allocator>, outside: Option<&Outside<'_>>) -> Report {
    let mut report = Report::default();
    report.check("made", MADE, || {
        drop(make());
        Ok(String::new())
    });
    report.check("lawful", LAWFUL, || rounds(make, |_, _, _, _| Ok(())));
    report.check("determinism", DETERMINISM, || {
        rounds(make, |warmed, books, queue, takes| match propose(warmed, books, queue)? == takes {
            true => Ok(()),
            false => Err("asked twice, it proposes two things".into()),
        })
    });
    report.check("fresh = warmed", FRESH, || {
        rounds(make, |_, books, queue, takes| match propose(&mut *make(), books, queue)? == takes {
            true => Ok(()),
            false => Err("a fresh instance proposes something else than a warmed one".into()),
        })
    });
    report.check("empty world", EMPTY, || no_world(make));
    report.check("permutation", PERMUTATION, || permuted(make));
    report.check("full world", FULL, || nothing_fits(make));
    let mut took = Duration::MAX;
    report.check("huge world", HUGE_MEND, || {
        let mut books = crowd(HUGE.0);
        let queue: Vec<Row> = (1..=HUGE.1).map(|id| open(&mut books, id)).collect();
        let (takes, least) = quickest(|| propose(&mut *make(), &books, &queue), |made| made)?;
        took = least;
        carry_out(&mut books, &takes, 1)?;
        Ok(format!("{} lines placed on {} nodes", takes.len(), HUGE.0))
    });
    if let Some(outside) = outside {
        report.check("deadline", DEADLINE, || outside.in_time(took));
        let mut books = fleet();
        let queue: Vec<Row> = (1..=ARRIVALS).map(|id| open(&mut books, id)).collect();
        let mut allocator = make();
        outside.endure(&mut report, &mut || propose(&mut *allocator, &books, &queue).map(drop));
        outside.farewell(&mut report, &mut || gone(make()));
    }
    report
}

/// Tries a qos. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn qos(make: &dyn Fn() -> Box<dyn Qos>) -> Result<(), String> {
    qos_report(make, None).verdict()
}

/// Tries a qos by every check; those that need somebody who sees it from outside are left out without.
pub fn qos_report(make: Make<'_, dyn Qos>, outside: Option<&Outside<'_>>) -> Report {
    let mut report = Report::default();
    report.check("made", MADE, || {
        drop(make());
        Ok(String::new())
    });
    report.check("empty world", EMPTY, || rank(&mut *make(), &Books::new(), &[]).map(|_| String::new()));
    let mut books = fleet();
    let rows: Vec<Row> = (1..=ARRIVALS * ROUNDS).map(|id| open(&mut books, id)).collect();
    report.check("determinism", DETERMINISM, || {
        let mut warmed = make();
        match rank(&mut *warmed, &books, &rows)? == rank(&mut *warmed, &books, &rows)? {
            true => Ok(String::new()),
            false => Err("it ranks the same claims in two ways".into()),
        }
    });
    report.check("fresh = warmed", FRESH, || {
        let mut warmed = make();
        rank(&mut *warmed, &books, &rows)?;
        match rank(&mut *warmed, &books, &rows)? == rank(&mut *make(), &books, &rows)? {
            true => Ok(String::new()),
            false => Err("a fresh instance ranks in another way than a warmed one".into()),
        }
    });
    report.check("permutation", ALONE, || {
        let mut qos = make();
        let ranks = rank(&mut *qos, &books, &rows)?;
        for (row, expected) in rows.iter().zip(&ranks) {
            if rank(&mut *qos, &books, &[*row])? != [*expected] {
                return Err("the rank of a claim depends on who else is asked about".into());
            }
        }
        let (mut turned, mut expected) = (rows.clone(), ranks);
        turned.reverse();
        expected.reverse();
        match rank(&mut *qos, &books, &turned)? == expected {
            true => Ok(String::new()),
            false => Err("the rank of a claim depends on who is asked about before it".into()),
        }
    });
    let mut took = Duration::MAX;
    report.check("huge world", HUGE_MEND, || {
        let mut books = crowd(HUGE.0);
        let rows: Vec<Row> = (1..=HUGE_RANKED).map(|id| open(&mut books, id)).collect();
        took = quickest(|| rank(&mut *make(), &books, &rows), |ranks| ranks)?.1;
        Ok(format!("{HUGE_RANKED} claims ranked"))
    });
    if let Some(outside) = outside {
        report.check("deadline", DEADLINE, || outside.in_time(took));
        let mut qos = make();
        outside.endure(&mut report, &mut || rank(&mut *qos, &books, &rows[..8]).map(drop));
        outside.farewell(&mut report, &mut || gone(make()));
    }
    report
}

const MADE: &str = "the constructor must succeed on no config, and its drop must not panic";
const EMPTY: &str = "nothing to decide and nowhere to place it are not faults: return Ok";
const LAWFUL: &str = "take what is free, on one node, every line of a claim or none: Plan::place does";
const DETERMINISM: &str = "no clock, no randomness, no count of one's own calls";
const FRESH: &str =
    "what is kept between calls is a cache of the view; follow its change stamps, or keep nothing";
const PERMUTATION: &str =
    "a row is where a claim stands in the tables and says nothing of it: do not decide by it";
const ALONE: &str = "rank a claim by itself: others are ranked in other calls";
const FULL: &str = "whoever fits nowhere goes on waiting: leave it out, and go on with the next";
const HUGE_MEND: &str =
    "there may be 65,536 nodes: look at what changed, and allocate nothing per node and claim";
const DEADLINE: &str =
    "a round that is not decided in time is decided by the default: keep an index, build it for release";

fn rank(qos: &mut dyn Qos, books: &Books, rows: &[Row]) -> Result<Vec<Rank>, String> {
    let mut ranks = vec![Rank::default(); rows.len()];
    qos.rank(&books.view(), rows, &mut ranks).map(|()| ranks).map_err(|fault| fault.to_string())
}

/// How long an instance takes to go.
pub(crate) fn gone<T: ?Sized>(made: Box<T>) -> Duration {
    let since = Instant::now();
    drop(made);
    since.elapsed()
}

/// The answer, and how long it took at best.
pub(crate) fn quickest<T, U>(
    mut ask: impl FnMut() -> Result<T, String>,
    keep: impl Fn(T) -> U,
) -> Result<(U, Duration), String> {
    let (mut least, mut kept) = (Duration::MAX, None);
    for _ in 0..HUGE_TRIES {
        let since = Instant::now();
        let answer = ask()?;
        least = least.min(since.elapsed());
        kept = Some(keep(answer));
    }
    kept.map(|kept| (kept, least)).ok_or_else(|| "it was not tried".into())
}

fn no_world(make: Make<'_, dyn Allocator>) -> Result<String, String> {
    let mut books = kinds();
    let lost = [open(&mut books, 1), open(&mut books, 2)];
    for (books, queue) in [(&Books::new(), &[][..]), (&fleet(), &[]), (&books, &lost)] {
        let takes = propose(&mut *make(), books, queue)?;
        if !takes.is_empty() {
            return Err(format!("where there is nothing it takes {takes:?}"));
        }
    }
    Ok(String::new())
}

/// Rounds of claims that come and leases that go; each proposal is looked at by `look`, then carried out.
fn rounds(
    make: Make<'_, dyn Allocator>,
    look: impl Fn(&mut dyn Allocator, &Books, &[Row], &[Take]) -> Result<(), String>,
) -> Result<String, String> {
    let (mut books, mut warmed, mut next, mut placed) = (fleet(), make(), 1, 0);
    for round in 1..=ROUNDS {
        let arrivals = next..next + ARRIVALS;
        next = arrivals.end;
        let mut queue: Vec<Row> = arrivals.map(|id| open(&mut books, id)).collect();
        let takes = propose(&mut *warmed, &books, &queue)?;
        look(&mut *warmed, &books, &queue, &takes).map_err(|why| format!("round {round}: {why}"))?;
        placed += takes.len();
        carry_out(&mut books, &takes, round)?;
        // Every other lease ends, so that room is made in odd places.
        queue.retain(|row| books.phase(*row) > Phase::Pending);
        queue.into_iter().step_by(2).for_each(|row| books.close(row));
    }
    Ok(format!("{placed} lines placed"))
}

/// The same claims in the same order, in other rows of the tables: they must go to the same machines.
fn permuted(make: Make<'_, dyn Allocator>) -> Result<String, String> {
    let placed = |order: &[u64]| -> Result<Vec<(u64, u32, u64)>, String> {
        let mut books = fleet();
        let mut rows: Vec<(u64, Row)> = order.iter().map(|&id| (id, open(&mut books, id))).collect();
        rows.sort_unstable();
        let queue: Vec<Row> = rows.iter().map(|(_, row)| *row).collect();
        let takes = propose(&mut *make(), &books, &queue)?;
        let ids = books.view().claims.id;
        let mut placed: Vec<(u64, u32, u64)> =
            takes.iter().map(|take| (ids[take.claim as usize], take.node, take.amount)).collect();
        placed.sort_unstable();
        Ok(placed)
    };
    let forward: Vec<u64> = (1..=ARRIVALS * 2).collect();
    let backward: Vec<u64> = forward.iter().rev().copied().collect();
    match placed(&forward)? == placed(&backward)? {
        true => Ok(String::new()),
        false => {
            Err("the same claims, asked for in the same order, go elsewhere when they stand in other rows"
                .into())
        }
    }
}

fn nothing_fits(make: Make<'_, dyn Allocator>) -> Result<String, String> {
    let mut books = fleet();
    let queue: Vec<Row> = (1..=ARRIVALS).map(|id| open_giant(&mut books, id)).collect();
    match propose(&mut *make(), &books, &queue)? {
        takes if takes.is_empty() => Ok(String::new()),
        takes => Err(format!("unlawful: no machine has what it takes in {takes:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seen;
    use bursar_interface::{Fault, Plan, View};
    use std::cell::Cell;

    type Place = fn(&mut u32, &View<'_>, &[Row], &mut Plan<'_>);

    /// Places by a function that is given a count of its calls.
    struct By(Place, u32);
    impl Allocator for By {
        fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
            (self.0)(&mut self.1, view, queue, plan);
            self.1 += 1;
            Ok(())
        }
    }

    fn first(_: &mut u32, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        for &claim in queue {
            (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
        }
    }

    fn secretive(calls: &mut u32, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        let nodes = view.nodes.len() as Row;
        for &claim in queue {
            (0..nodes).find(|&node| plan.place(claim, (node + *calls) % nodes));
        }
    }

    fn unlawful(_: &mut u32, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        for &claim in queue {
            plan.take(claim, view.claims.first_line[claim as usize], 0, 0, 1);
        }
    }

    /// Begins with another node for each row of the tables that a claim stands in.
    fn superstitious(_: &mut u32, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        let nodes = view.nodes.len() as Row;
        for &claim in queue {
            (0..nodes).find(|&node| plan.place(claim, (node + claim) % nodes));
        }
    }

    /// Cannot bear a claim that fits on no machine, however empty.
    fn easily_shaken(_: &mut u32, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        first(&mut 0, view, queue, plan);
        assert!(view.lines.amount.iter().all(|amount| *amount < 1 << 20), "nobody has that much");
    }

    fn tried(place: Place) -> Result<(), String> {
        allocator(&|| Box::new(By(place, 0)))
    }

    #[test]
    fn lawful_ones_pass_and_others_are_told_why() {
        assert_eq!(tried(first), Ok(()));
        assert!(tried(secretive).expect_err("it has a secret").contains("two things"));
        assert!(tried(unlawful).expect_err("it breaks the law").contains("unlawful"));
    }

    #[test]
    fn each_check_finds_what_it_is_for() {
        for (place, check) in [
            (secretive as Place, "determinism"),
            (unlawful, "lawful"),
            (superstitious, "permutation"),
            (easily_shaken, "full world"),
        ] {
            let told = tried(place).expect_err(check);
            assert!(told.starts_with(check), "{told}");
        }
    }

    #[test]
    fn a_report_goes_on_behind_a_failure_and_says_how_to_mend_it() {
        let report = allocator_report(&|| Box::new(By(superstitious, 0)), None);
        let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
        assert_eq!(names.last(), Some(&"huge world"), "{names:?}");
        let mends = report.checks.iter().filter_map(|check| match check.outcome {
            crate::Outcome::Failed { mend, .. } => Some(mend),
            _ => None,
        });
        assert_eq!(mends.collect::<Vec<_>>(), [PERMUTATION]);
    }

    #[test]
    fn what_it_leaves_behind_is_counted() {
        let tell = |growth: Seen| {
            let calls = Cell::new(0);
            let seen = || {
                let times = calls.replace(calls.get() + 1);
                Some(Seen {
                    memory_bytes: growth.memory_bytes * times,
                    threads: growth.threads * times,
                    files: growth.files * times,
                    lines: growth.lines * times,
                })
            };
            let outside = Outside { calls: 100, deadline: Duration::from_secs(60), seen: &seen };
            let report = allocator_report(&|| Box::new(By(first, 0)), Some(&outside));
            report.verdict().err().unwrap_or_default()
        };
        assert_eq!(tell(Seen::default()), "");
        let none = Seen::default();
        for (growth, check) in [
            (Seen { memory_bytes: 10 << 20, ..none }, "memory"),
            (Seen { threads: 9, ..none }, "threads"),
            (Seen { files: 9, ..none }, "files"),
            (Seen { lines: 900, ..none }, "log"),
        ] {
            assert!(tell(growth).starts_with(check), "{check}: {}", tell(growth));
        }
    }

    #[test]
    fn a_late_one_is_told_by_how_much() {
        let outside = Outside { calls: 1, deadline: Duration::ZERO, seen: &|| None };
        let told = allocator_report(&|| Box::new(By(first, 0)), Some(&outside)).verdict();
        assert!(told.expect_err("late").starts_with("deadline: the huge world took"));
    }

    /// Ranks by how many are asked about.
    struct Crowd;
    impl Qos for Crowd {
        fn rank(&mut self, _: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
            ranks.fill(Rank { tier: pending.len() as u64, share: 0 });
            Ok(())
        }
    }

    /// Ranks by who is asked about before.
    struct Line;
    impl Qos for Line {
        fn rank(&mut self, _: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
            let crowd = pending.len() > 1;
            (0..)
                .zip(ranks)
                .for_each(|(share, rank)| *rank = Rank { tier: 0, share: share * u64::from(crowd) });
            Ok(())
        }
    }

    #[test]
    fn a_rank_is_of_the_claim_alone() {
        assert!(qos(&|| Box::new(Crowd)).expect_err("it looks around").contains("who else"));
        assert!(qos(&|| Box::new(Line)).expect_err("it looks back").starts_with("permutation"));
    }
}
