//! The fits through real books: where claims go, and that the work follows what changed.
use bursar_allocator::fit::{BestFit, FirstFit, WorstFit};
use bursar_interface::*;
use bursar_pool::Books;

fn books(nodes: u64) -> Books {
    let mut books = Books::new();
    for (name, springs) in [("cpu", 0), ("seat", 0), ("lock", 4)] {
        let (name, unit, shape) = (name.into(), "pieces".into(), Shape::Capacity);
        books.set_resource(&ResourceSpec {
            name,
            shape,
            unit,
            min: 1,
            step: 1,
            piece: 0,
            springs,
            driven: false,
        });
    }
    for n in 0..nodes {
        let node = format!("n{n}");
        books.set_node(&NodeSpec { name: node.clone(), ..NodeSpec::default() });
        set(&mut books, "cpu", Some(&node), 1000 + 100 * n);
    }
    set(&mut books, "seat", None, 3);
    books
}

fn set(books: &mut Books, resource: &str, node: Option<&str>, capacity: u64) {
    let (resource, name, node) = (resource.to_owned(), resource.into(), node.map(str::to_owned));
    books.begin_change();
    books.set_pool(&PoolSpec { resource, node, name, capacity, labels: Vec::new(), ..PoolSpec::default() });
}

fn open(books: &mut Books, id: u64, lines: Vec<LineAsk>) -> Row {
    books.begin_change();
    books.open_claim(ClaimId(id), "team", None, &Ask { lines, ttl_ns: 1, ..Ask::default() })
}

fn line(resource: &str, amount: u64) -> LineAsk {
    LineAsk { resource: resource.into(), amount, ..LineAsk::default() }
}

/// Asks once, carries the plan out, and says which nodes were taken.
fn place(allocator: &mut dyn Allocator, books: &mut Books, queue: &[Row]) -> Vec<Row> {
    let (mut overlay, mut takes) = (Overlay::default(), vec![Take::default(); 4 * queue.len()]);
    let plan: Vec<Take> = {
        let view = books.view();
        let mut plan = Plan::new(view, &mut overlay, &mut takes);
        allocator.place(&view, queue, &mut plan).expect("no fault");
        plan.takes().to_vec()
    };
    for claim in queue {
        let own: Vec<Take> = plan.iter().filter(|take| take.claim == *claim).copied().collect();
        if let Ok(placement) = books.check(&own) {
            books.begin_change();
            books.grant(*claim, Fence(u64::from(*claim) + 1), &placement, Time::NEVER);
        }
    }
    plan.iter().map(|take| take.node).collect()
}

#[test]
fn each_fit_goes_where_it_says() {
    for (allocator, expected) in [
        (&mut FirstFit::default() as &mut dyn Allocator, [0, 0, 1]),
        (&mut BestFit::default(), [0, 0, 1]),
        (&mut WorstFit::default(), [4, 3, 2]),
    ] {
        let mut books = books(5);
        let queue: Vec<Row> = (1..=3).map(|id| open(&mut books, id, vec![line("cpu", 400)])).collect();
        assert_eq!(place(allocator, &mut books, &queue), expected);
    }
}

#[test]
fn the_work_follows_what_changed_and_not_the_size_of_the_fleet() {
    let mut books = books(500);
    let mut best = BestFit::default();
    let first = open(&mut books, 1, vec![line("cpu", 1)]);
    place(&mut best, &mut books, &[first]);
    let learnt = best.scored();
    for id in 2..100 {
        let claim = open(&mut books, id, vec![line("cpu", 1)]);
        assert_eq!(place(&mut best, &mut books, &[claim]), [0], "the fullest stays the fullest");
    }
    let after = best.scored() - learnt;
    assert!(learnt >= 500 && after < 98 * 140, "{learnt} nodes at first, {after} for 98 claims more");
}

#[test]
fn more_shapes_than_are_kept_and_plans_without_end_are_only_slower() {
    let mut books = books(3);
    let (mut warmed, mut worst) = (BestFit::default(), WorstFit::default());
    for id in 1..1500 {
        let claim = open(&mut books, id, vec![line("cpu", 1 + id % 900)]);
        let fresh = place(&mut BestFit::default(), &mut books.clone(), &[claim]);
        place(&mut worst, &mut books.clone(), &[claim]);
        assert_eq!(place(&mut warmed, &mut books, &[claim]), fresh, "claim {id}");
        books.begin_change();
        books.close(claim);
    }
}

#[test]
fn floating_pools_and_named_ones() {
    let mut books = books(2);
    let mut first = FirstFit::default();
    let named = |pool: &str| LineAsk { pool: Some(pool.into()), ..line("cpu", 5) };
    let there = open(&mut books, 1, vec![named("n1/cpu"), line("seat", 2)]);
    assert_eq!(place(&mut first, &mut books, &[there]), [1, 1]);
    let crowd = open(&mut books, 2, vec![line("cpu", 1), line("seat", 2)]);
    assert_eq!(place(&mut first, &mut books, &[crowd]), Vec::<Row>::new(), "one seat is left");
    let mut nowhere = Books::new();
    {
        let name = "seat";
        let (name, unit, shape) = (name.into(), "pieces".into(), Shape::Unit);
        nowhere.set_resource(&ResourceSpec {
            name,
            shape,
            unit,
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        });
    }
    set(&mut nowhere, "seat", None, 1);
    let only = open(&mut nowhere, 1, vec![line("seat", 1)]);
    assert_eq!(place(&mut first, &mut nowhere, &[only]), [NONE], "a fleet without nodes has floating pools");
}
