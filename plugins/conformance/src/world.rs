//! The worlds that strategies are tried in: small, empty, full, huge, and the same one told in another order.
use bursar_interface::{
    Allocator, Ask, ClaimId, Class, Fence, LineAsk, NodeSpec, Overlay, Plan, PoolSpec, ResourceSpec, Row,
    Shape, Take, Time,
};
use bursar_pool::Books;

/// Four unlike machines: name, millicores, gigabytes, devices.
const FLEET: [(&str, u64, u64, u64); 4] =
    [("a", 8000, 64, 0), ("b", 4000, 16, 2), ("c", 16_000, 32, 1), ("d", 2000, 128, 0)];

/// What an allocator proposes.
pub(crate) fn propose(
    allocator: &mut dyn Allocator,
    books: &Books,
    queue: &[Row],
) -> Result<Vec<Take>, String> {
    let view = books.view();
    let room: usize = queue.iter().map(|&row| view.claims.lines[row as usize] as usize).sum();
    let (mut overlay, mut takes) = (Overlay::default(), vec![Take::default(); room]);
    let mut plan = Plan::new(view, &mut overlay, &mut takes);
    allocator.place(&view, queue, &mut plan).map_err(|fault| fault.to_string())?;
    Ok(plan.takes().to_vec())
}

/// Checks a proposal as the host does, and grants it.
pub(crate) fn carry_out(books: &mut Books, takes: &[Take], round: u64) -> Result<(), String> {
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

/// A world with kinds and no machine.
pub(crate) fn kinds() -> Books {
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
    books
}

/// Four unlike machines.
pub(crate) fn fleet() -> Books {
    let mut books = kinds();
    FLEET.into_iter().for_each(|(name, cpu, memory, gpus)| machine(&mut books, name, cpu, memory, gpus));
    books
}

/// A thousand machines and more, of eight sizes.
pub(crate) fn crowd(machines: u64) -> Books {
    let mut books = kinds();
    (0..machines).for_each(|number| {
        machine(&mut books, &format!("n{number}"), 2000 << (number % 4), 16 << (number % 2), number % 2)
    });
    books
}

fn machine(books: &mut Books, name: &str, cpu: u64, memory: u64, gpus: u64) {
    books.set_node(&NodeSpec { name: name.into(), ..NodeSpec::default() });
    let mut pool = |resource: &str, pool: String, capacity| {
        let (resource, node) = (resource.into(), Some(name.into()));
        let labels = Vec::new();
        books.set_pool(&PoolSpec { resource, node, name: pool, capacity, labels, ..PoolSpec::default() });
    };
    pool("cpu", "cpu".into(), cpu);
    pool("memory", "memory".into(), memory);
    (0..gpus).for_each(|gpu| pool("gpu", format!("gpu{gpu}"), 1000));
}

/// A claim whose sizes follow from its number alone.
pub(crate) fn open(books: &mut Books, id: u64) -> Row {
    let mut lines = vec![line("cpu", 200 + id * 370 % 3000), line("memory", 1 + id * 7 % 20)];
    lines.extend(id.is_multiple_of(5).then(|| line("gpu", 250 + id * 50 % 750)));
    open_for(books, id, lines)
}

/// A claim that fits on no machine.
pub(crate) fn open_giant(books: &mut Books, id: u64) -> Row {
    open_for(books, id, vec![line("cpu", 1 << 30)])
}

fn line(resource: &str, amount: u64) -> LineAsk {
    LineAsk { resource: resource.into(), amount, ..LineAsk::default() }
}

fn open_for(books: &mut Books, id: u64, lines: Vec<LineAsk>) -> Row {
    let class = [Class::Guaranteed, Class::Burstable, Class::BestEffort][id as usize % 3];
    let ask = Ask { lines, ttl_ns: 1, class, priority: id as u32 % 4, ..Ask::default() };
    books.begin_change();
    books.open_claim(ClaimId(id), "team/a", None, &ask)
}
