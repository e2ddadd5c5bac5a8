//! What strategies must keep to: lawful, the same every time, a fresh one like a warmed one.
use bursar_interface::{
    Allocator, Ask, ClaimId, Class, Fence, LineAsk, NodeSpec, Overlay, Plan, PoolSpec, Qos, Rank,
    ResourceSpec, Row, Shape, Take, Time,
};
use bursar_pool::Books;

/// Rounds that a strategy is tried for.
const ROUNDS: u64 = 12;
/// Claims that come in each round.
const ARRIVALS: u64 = 6;

/// Tries an allocator. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn allocator(make: &dyn Fn() -> Box<dyn Allocator>) -> Result<(), String> {
    let empty = Books::new();
    propose(&mut *make(), &empty, &[]).map_err(|why| format!("in an empty world: {why}"))?;
    let (mut books, mut warmed, mut next) = (fleet(), make(), 1);
    for round in 1..=ROUNDS {
        let arrivals = next..next + ARRIVALS;
        next = arrivals.end;
        let mut queue: Vec<Row> = arrivals.map(|id| open(&mut books, id)).collect();
        let takes = propose(&mut *warmed, &books, &queue)?;
        if takes != propose(&mut *make(), &books, &queue)? {
            return Err(format!("round {round}: a fresh instance proposes something else than a warmed one"));
        }
        if takes != propose(&mut *warmed, &books, &queue)? {
            return Err(format!("round {round}: asked twice, it proposes two things"));
        }
        carry_out(&mut books, &takes, round)?;
        // Every other lease ends, so that room is made in odd places.
        queue.retain(|row| books.phase(*row) > bursar_interface::Phase::Pending);
        queue.into_iter().step_by(2).for_each(|row| books.close(row));
    }
    Ok(())
}

/// Tries a qos. `make` gives a fresh instance each time.
///
/// # Errors
/// What it did that it must not.
pub fn qos(make: &dyn Fn() -> Box<dyn Qos>) -> Result<(), String> {
    let mut books = fleet();
    let rows: Vec<Row> = (1..=ARRIVALS * ROUNDS).map(|id| open(&mut books, id)).collect();
    let rank = |qos: &mut dyn Qos, rows: &[Row]| {
        let mut ranks = vec![Rank::default(); rows.len()];
        qos.rank(&books.view(), rows, &mut ranks).map(|()| ranks).map_err(|fault| fault.to_string())
    };
    let mut warmed = make();
    let ranks = rank(&mut *warmed, &rows)?;
    if ranks != rank(&mut *warmed, &rows)? || ranks != rank(&mut *make(), &rows)? {
        return Err("it ranks the same claims in two ways".into());
    }
    for (row, expected) in rows.iter().zip(&ranks) {
        if rank(&mut *make(), &[*row])? != [*expected] {
            return Err("the rank of a claim depends on who else is asked about".into());
        }
    }
    rank(&mut *make(), &[]).map(drop)
}

fn propose(allocator: &mut dyn Allocator, books: &Books, queue: &[Row]) -> Result<Vec<Take>, String> {
    let view = books.view();
    let room: usize = queue.iter().map(|&row| view.claims.lines[row as usize] as usize).sum();
    let (mut overlay, mut takes) = (Overlay::default(), vec![Take::default(); room]);
    let mut plan = Plan::new(view, &mut overlay, &mut takes);
    allocator.place(&view, queue, &mut plan).map_err(|fault| fault.to_string())?;
    Ok(plan.takes().to_vec())
}

fn carry_out(books: &mut Books, takes: &[Take], round: u64) -> Result<(), String> {
    let mut rest = takes;
    while let Some(first) = rest.first() {
        let lines = rest.iter().take_while(|take| take.claim == first.claim).count();
        let (claim, after) = rest.split_at(lines);
        rest = after;
        let placement = books.check(claim).map_err(|why| format!("round {round}: unlawful: {why:?}"))?;
        books.begin_change();
        books.grant(first.claim, Fence(round << 8 | u64::from(first.claim)), &placement, Time::NEVER);
    }
    Ok(())
}

/// Four unlike machines.
fn fleet() -> Books {
    let mut books = Books::new();
    for (name, shape, piece) in
        [("cpu", Shape::Capacity, 0), ("memory", Shape::Capacity, 0), ("gpu", Shape::Unit, 1000)]
    {
        let (name, unit) = (name.into(), "pieces".into());
        books.set_resource(&ResourceSpec {
            name,
            shape,
            unit,
            min: 1,
            step: 1,
            piece,
            springs: 0,
            driven: false,
        });
    }
    for (name, cpu, memory, gpus) in
        [("a", 8000, 64, 0), ("b", 4000, 16, 2), ("c", 16_000, 32, 1), ("d", 2000, 128, 0)]
    {
        books.set_node(&NodeSpec { name: name.into(), ..NodeSpec::default() });
        let mut pool = |resource: &str, pool: String, capacity| {
            let (resource, node) = (resource.into(), Some(name.into()));
            books.set_pool(&PoolSpec {
                resource,
                node,
                name: pool,
                capacity,
                labels: Vec::new(),
                ..PoolSpec::default()
            });
        };
        pool("cpu", "cpu".into(), cpu);
        pool("memory", "memory".into(), memory);
        (0..gpus).for_each(|gpu| pool("gpu", format!("gpu{gpu}"), 1000));
    }
    books
}

/// A claim whose sizes follow from its number alone.
fn open(books: &mut Books, id: u64) -> Row {
    let line = |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
    let mut lines = vec![line("cpu", 200 + id * 370 % 3000), line("memory", 1 + id * 7 % 20)];
    lines.extend(id.is_multiple_of(5).then(|| line("gpu", 250 + id * 50 % 750)));
    let class = [Class::Guaranteed, Class::Burstable, Class::BestEffort][id as usize % 3];
    let ask = Ask { lines, ttl_ns: 1, class, priority: id as u32 % 4, ..Ask::default() };
    books.begin_change();
    books.open_claim(ClaimId(id), "team/a", None, &ask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Fault, View};

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

    #[test]
    fn lawful_ones_pass_and_others_are_told_why() {
        let tried = |place: Place| allocator(&|| Box::new(By(place, 0)));
        assert_eq!(tried(first), Ok(()));
        assert!(tried(secretive).expect_err("it has a secret").contains("two things"));
        assert!(tried(unlawful).expect_err("it breaks the law").contains("unlawful"));
    }

    /// Ranks by how many are asked about.
    struct Crowd;
    impl Qos for Crowd {
        fn rank(&mut self, _: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
            ranks.fill(Rank { tier: pending.len() as u64, share: 0 });
            Ok(())
        }
    }

    #[test]
    fn a_rank_is_of_the_claim_alone() {
        assert!(qos(&|| Box::new(Crowd)).expect_err("it looks around").contains("who else"));
    }
}
